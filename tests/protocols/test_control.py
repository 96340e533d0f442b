"""Turning, talking, fetching recordings as RTSP, ONVIF and makers' HTTP show it: rows whole, byte by byte, cut, with
holes; GStreamer's ONVIF backchannel."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import StreamReader, control, http, rtsp
from tests.protocols.relay import free_port, handed_up, heard, listens, missing, relay, running
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UP, DOWN = True, False
SECRET = "hunter2zebra"
PYTHON = "/usr/bin/python3"


def lines(start: str, *fields: str, body: bytes = b"") -> bytes:
    return "\r\n".join((start, *fields, f"Content-Length: {len(body)}", "", "")).encode() + body


def ask(what: str, *fields: str, body: bytes = b"") -> Turn:
    return DOWN, lines(f"{what} HTTP/1.1", "Host: cam", *fields, body=body)


def ok(body: bytes = b"", kind: str = "text/plain", status: str = "200 OK") -> Turn:
    return UP, lines(f"HTTP/1.1 {status}", f"Content-Type: {kind}", body=body)


def soap(operation: str) -> bytes:
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><Security>'
        f"<UsernameToken><Username>me</Username><Password>{SECRET}</Password></UsernameToken></Security></s:Header>"
        f'<s:Body xmlns:x="http://www.w3.org/2001/XMLSchema">\n <!-- x --><t:{operation} xmlns="z"><a/></t:{operation}>'
        "</s:Body></s:Envelope>"
    ).encode()


XML, JSON = "application/soap+xml; charset=utf-8", "application/json"
FAULT = b"<s:Envelope><s:Body><s:Fault><s:Value>ter:ActionNotSupported</s:Value></s:Fault></s:Body></s:Envelope>"
DONE = b"<s:Envelope><s:Body><tptz:ContinuousMoveResponse/></s:Body></s:Envelope>"

#: name -> dialogue, (what, by, granted) of each reading
OVER_HTTP: dict[str, tuple[list[Turn], list[tuple[Any, ...]]]] = {
    "ONVIF, moved": (
        [ask("POST /onvif/ptz", f"Content-Type: {XML}", body=soap("ContinuousMove")), ok(DONE, XML)],
        [("ptz", "onvif", None), ("ptz", "onvif", True)],
    ),
    "ONVIF, named in the head, refused in a 200": (
        [
            ask("POST /onvif/ptz", f'Content-Type: {XML}; action="http://www.onvif.org/ver20/ptz/wsdl/GotoPreset"'),
            ok(FAULT, XML),
        ],
        [("ptz", "onvif", None), ("ptz", "onvif", False)],
    ),
    "ONVIF, refused in a 400": (
        [
            ask("POST /onvif/ptz", f"Content-Type: {XML}", body=soap("AbsoluteMove")),
            ok(FAULT, XML, "400 Bad Request"),
        ],
        [("ptz", "onvif", None), ("ptz", "onvif", False)],
    ),
    "ONVIF, recordings": (
        [ask("POST /onvif/replay", f"Content-Type: {XML}", body=soap("GetReplayUri")), ok(DONE, XML)],
        [("playback", "onvif", None), ("playback", "onvif", True)],
    ),
    "ONVIF, asked and stopped only": (
        [
            ask("POST /onvif/ptz", f"Content-Type: {XML}", body=soap("GetStatus")),
            ok(DONE, XML),
            ask("POST /onvif/ptz", f"Content-Type: {XML}", body=soap("Stop")),
            ok(DONE, XML),
        ],
        [],
    ),
    "Hikvision": (
        [
            ask("PUT /ISAPI/PTZCtrl/channels/1/continuous", "Content-Type: application/xml", body=b"<PTZData/>"),
            ok(b"<ResponseStatus><statusCode>1</statusCode></ResponseStatus>", "application/xml"),
            ask("GET /ISAPI/PTZCtrl/channels/1/status"),
            ok(b"<PTZStatus/>", "application/xml"),
            ask("PUT /ISAPI/System/TwoWayAudio/channels/1/open"),
            ok(b"<TwoWayAudioSession/>", "application/xml"),
            ask(f"PUT /ISAPI/System/TwoWayAudio/channels/1/audioData?sessionId={SECRET}"),
            ok(),
            ask("POST /ISAPI/ContentMgmt/download", "Content-Type: application/xml", body=b"<downloadRequest/>"),
            ok(b"", "text/plain", "403 Forbidden"),
        ],
        [
            ("ptz", "http", None),
            ("ptz", "http", True),
            ("talk", "http", None),
            ("talk", "http", True),
            ("talk", "http", None),
            ("talk", "http", True),
            ("playback", "http", None),
            ("playback", "http", False),
        ],
    ),
    "Dahua, Amcrest": (
        [
            ask("GET /cgi-bin/ptz.cgi?action=start&channel=0&code=Left&arg1=0"),
            ok(b"OK"),
            ask("GET /cgi-bin/ptz.cgi?action=stop&channel=0&code=Left&arg1=0"),
            ok(b"OK"),
            ask("GET /cgi-bin/ptz.cgi?action=getStatus"),
            ok(b"status.Moving=false"),
            ask("GET /cgi-bin/loadfile.cgi?action=startLoad&channel=1&startTime=2026-1-1"),
            ok(b"DHAV", "application/http"),
        ],
        [("ptz", "http", None), ("ptz", "http", True), ("playback", "http", None), ("playback", "http", True)],
    ),
    "Axis": (
        [
            ask("GET /axis-cgi/com/ptz.cgi?camera=1&continuouspantiltmove=40,0"),
            (UP, lines("HTTP/1.1 204 No Content")),
            ask("GET /axis-cgi/com/ptz.cgi?query=position"),
            ok(b"pan=1"),
        ],
        [("ptz", "http", None), ("ptz", "http", True)],
    ),
    "Foscam, moved, then a wrong password": (
        [
            ask(f"GET /cgi-bin/CGIProxy.fcgi?cmd=ptzMoveUp&usr=me&pwd={SECRET}"),
            ok(b"<CGI_Result><result>0</result></CGI_Result>"),
            ask(f"GET /cgi-bin/CGIProxy.fcgi?usr=me&pwd=x{SECRET}&cmd=ptzMoveUp"),
            ok(b"<CGI_Result><result>-2</result></CGI_Result>"),
            ask("GET /cgi-bin/CGIProxy.fcgi?usr=me&pwd=&cmd=ptzStopRun"),
            ok(b"<CGI_Result><result>0</result></CGI_Result>"),
        ],
        [("ptz", "http", None), ("ptz", "http", True), ("ptz", "http", None), ("ptz", "http", False)],
    ),
    "Reolink": (
        [
            ask(f"POST /api.cgi?cmd=PtzCtrl&token={SECRET}", f"Content-Type: {JSON}", body=b'[{"cmd":"PtzCtrl"}]'),
            ok(b'[{"cmd":"PtzCtrl","code":0,"value":{"rspCode":200}}]', JSON),
            ask(f"POST /api.cgi?token={SECRET}", f"Content-Type: {JSON}", body=b'[{"cmd":"PtzCtrl","action":0}]'),
            ok(b'[{"cmd":"PtzCtrl","code":1,"error":{"rspCode":-26}}]', JSON),
            ask(f"GET /cgi-bin/api.cgi?cmd=Download&source=Mp4Record/a.mp4&token={SECRET}"),
            ok(b"\0\0\0\x18ftyp", "video/mp4"),
        ],
        [
            ("ptz", "http", None),
            ("ptz", "http", True),
            ("ptz", "http", None),
            ("ptz", "http", False),
            ("playback", "http", None),
            ("playback", "http", True),
        ],
    ),
    "Dahua's RPC": (
        [
            ask("POST /RPC2", f"Content-Type: {JSON}", body=b'{"id":3,"method": "ptz.start","params":{}}'),
            ok(b'{"id":3,"result":true}', JSON),
        ],
        [("ptz", "http", None), ("ptz", "http", True)],
    ),
    "nothing of it": (
        [
            ask("GET /ptz.html"),
            ok(b"<html>"),
            ask("POST /a", f"Content-Type: {JSON}", body=b'{"text":"PtzCtrl"}'),
            ok(),
        ],
        [],
    ),
    "the camera asks its recorder": (
        [(UP, ask("GET /cgi-bin/ptz.cgi?action=start&code=Left")[1]), (DOWN, ok(b"OK")[1])],
        [],
    ),
}

URL = "rtsp://10.0.0.5/live"
BACKCHANNEL = "Require: www.onvif.org/ver20/backchannel"
SDP = (
    b"v=0\r\ns=-\r\nm=video 0 RTP/AVP 96\r\na=recvonly\r\na=control:stream=0\r\nm=audio 0 RTP/AVP 0\r\na=sendonly\r\n"
    b"a=control:stream=1\r\n"
)


def request(method: str, url: str = URL, *fields: str, cseq: int = 1, body: bytes = b"") -> Turn:
    return DOWN, lines(f"{method} {url} RTSP/1.0", f"CSeq: {cseq}", *fields, body=body)


def reply(cseq: int = 1, status: str = "200 OK", body: bytes = b"", *fields: str) -> Turn:
    return UP, lines(f"RTSP/1.0 {status}", f"CSeq: {cseq}", *fields, body=body)


PLAYBACK: list[tuple[Any, ...]] = [("playback", "rtsp", None), ("playback", "rtsp", True)]
TALK: list[tuple[Any, ...]] = [("talk", "rtsp", None), ("talk", "rtsp", True)]
SETUP = "Transport: RTP/AVP/TCP;unicast;interleaved=2-3"
OVER_RTSP: dict[str, tuple[list[Turn], list[tuple[Any, ...]]]] = {
    "live": ([request("PLAY", URL, "Range: npt=0.000-"), reply()], []),
    "live by the clock": ([request("PLAY", URL, "Range: clock=now-", "Scale: 1.0"), reply()], []),
    "a moment in the past": ([request("PLAY", URL, "Range: clock=20261124T080000Z-"), reply()], PLAYBACK),
    "a place in a file": ([request("PLAY", URL, "Range: npt=12.5-"), reply()], PLAYBACK),
    "four times as fast": ([request("PLAY", URL, "Scale: 4"), reply()], PLAYBACK),
    "by the frame, refused": (
        [request("PLAY", URL, "Range: smpte=10:12:33:20-"), reply(1, "457 Invalid Range")],
        [("playback", "rtsp", None), ("playback", "rtsp", False)],
    ),
    "ONVIF replay": ([request("PLAY", URL, "Require: onvif-replay", "Rate-Control: no"), reply()], PLAYBACK),
    "Hikvision": (
        [request("PLAY", "rtsp://c/Streaming/tracks/101?starttime=20261124t080000z"), reply()],
        PLAYBACK,
    ),
    "Dahua": ([request("PLAY", "rtsp://c/cam/playback?channel=1&starttime=2026_11_24_08_00_00"), reply()], PLAYBACK),
    "Axis": ([request("PLAY", "rtsp://c/axis-media/media.amp?recordingid=20261124_08"), reply()], PLAYBACK),
    "told by DESCRIBE, played by a shorter name": (
        [
            request("DESCRIBE", "rtsp://c/cam/playback?channel=1&starttime=2026_11_24_08_00_00"),
            reply(1, "200 OK", b"v=0\r\n"),
            request("PLAY", "rtsp://c/cam/", cseq=2),
            reply(2),
        ],
        PLAYBACK,
    ),
    "the way back is set up": (
        [
            request("DESCRIBE", URL, BACKCHANNEL),
            reply(1, "200 OK", SDP),
            request("SETUP", URL + "/stream=0", BACKCHANNEL, SETUP, cseq=2),
            reply(2),
            request("SETUP", URL + "/stream=1", BACKCHANNEL, SETUP, cseq=3),
            reply(3),
            request("PLAY", URL, BACKCHANNEL, cseq=4),
            reply(4),
        ],
        TALK,
    ),
    "the way back is only described (recorders ask for it, always)": (
        [
            request("DESCRIBE", URL, BACKCHANNEL),
            reply(1, "200 OK", SDP),
            request("SETUP", URL + "/stream=0", BACKCHANNEL, SETUP, cseq=2),
            reply(2),
        ],
        [],
    ),
    "the way back, refused": (
        [request("SETUP", URL + "/audioback", BACKCHANNEL), reply(1, "551 Option not supported")],
        [("talk", "rtsp", None), ("talk", "rtsp", False)],
    ),
    "sound sent to the camera": (
        [
            request("ANNOUNCE", URL, body=SDP),
            reply(),
            request("RECORD", URL, cseq=2),
            reply(2),
        ],
        TALK,
    ),
    "the camera pushes to a server": (
        [(UP, request("RECORD")[1]), (DOWN, reply()[1])],
        [],
    ),
}
ROWS: dict[str, tuple[StreamReader, list[Turn], list[tuple[Any, ...]]]] = {
    **{f"http: {name}": (http.read, *row) for name, row in OVER_HTTP.items()},
    **{f"rtsp: {name}": (rtsp.read, *row) for name, row in OVER_RTSP.items()},
}


def controls(readings: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.detail["what"], r.detail["by"], r.detail["granted"]) for r in readings if r.what == "control"]


@pytest.mark.parametrize("name", ROWS)
def test_rows_whole_byte_by_byte_and_cut_everywhere(name: str) -> None:
    read, turns, expected = ROWS[name]
    state, together = run(read, whole(turns))
    assert controls(together) == expected
    assert [r.from_server for r in together if r.what == "control"] == [False, True] * (len(expected) // 2)
    assert SECRET not in repr(together) + repr(state)
    assert run(read, bytewise(turns))[1] == together
    for chunks in cut_everywhere(turns):
        assert run(read, chunks)[1] == together


@pytest.mark.parametrize("name", ROWS)
def test_a_hole_invents_nothing(name: str) -> None:
    read, turns, expected = ROWS[name]
    asked = {(what, by) for what, by, _ in expected}
    for _, chunks in hole_everywhere(turns, 30):
        told = controls(run(read, chunks)[1])
        if "only described" not in name:  # where the description is missing, its Require counts
            assert {(what, by) for what, by, _ in told} <= asked
        if True not in {granted for *_, granted in expected} and "refused in a 200" not in name:
            assert True not in {granted for *_, granted in told} or "only described" in name


def test_the_operation_of_a_request() -> None:
    turns = [ask("POST /onvif/ptz", f"Content-Type: {XML}", body=soap("GetProfiles")), ok(DONE, XML)]
    readings = run(http.read, whole(turns))[1]
    assert [r.detail["op"] for r in readings if r.what == "http"] == [None, "GetProfiles"]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"soapaction": '"http://www.onvif.org/ver20/ptz/wsdl/ContinuousMove"'}, "ContinuousMove"),
        ({"content-type": 'application/soap+xml; action="http://x/GotoPreset"; charset=utf-8'}, "GotoPreset"),
        ({"soapaction": "Stop"}, "Stop"),
        ({"soapaction": '""'}, None),
        ({"soapaction": "x/\x1b[31m"}, None),
        ({"content-type": "text/xml"}, None),
    ],
)
def test_the_operation_in_a_head(fields: dict[str, str], expected: str | None) -> None:
    assert control.operation_of_head(fields) == expected


@settings(max_examples=300)
@given(
    st.text(max_size=80),
    st.binary(max_size=200),
    st.dictionaries(st.sampled_from(["range", "scale", "require"]), st.text()),
)
def test_any_request(url: str, body: bytes, fields: dict[str, str]) -> None:
    for made in (control.of_http("GET", url), control.of_body(body), control.of_operation(control.operation(body))):
        assert made is None or made.what in ("ptz", "talk", "playback")
    control.is_recorded(url, fields)
    control.asks_for_past(fields)
    assert len(control.talk_tracks(body)) <= 16


# ---- real programs ---------------------------------------------------------------------------------------------------


def test_gstreamer_sets_up_the_way_back(tmp_path: Path) -> None:
    """gst-rtsp-server's ONVIF factory with a loudspeaker, rtspsrc with and without backchannel=onvif."""
    found = subprocess.run(
        [PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if why := missing("gst-launch-1.0") or ("no gst-rtsp-server for Python" if found.returncode else None):
        pytest.skip(why)
    port = free_port()
    camera = (PYTHON, str(Path(__file__).parent / "talking_camera.py"), str(port))
    watch = "fakesink sync=false"
    with running(*camera, ready=listens(port), log=tmp_path / "camera.log"):
        told = []
        for backchannel in ("none", "onvif"):
            with relay(port) as between:
                source = ("rtspsrc", "name=s", f"location=rtsp://127.0.0.1:{between.port}/live", "protocols=tcp")
                argv = ("gst-launch-1.0", "-q", *source, f"backchannel={backchannel}", "s.", "!", *watch.split())
                playing = lambda between=between: b"RTP-Info" in b"".join(d for t in between.talks for _, d in t)  # noqa: E731
                with running(*argv, ready=playing, log=tmp_path / f"{backchannel}.log"):
                    pass
                turns = between.talks[0]
            told.append(controls([reading for _, _, reading in heard(turns, {"rtsp": rtsp.read})]))
            _, seen = run(rtsp.read, [Chunk(*piece) for piece in handed_up(turns)])
            assert controls(seen) == told[-1]
    assert told == [[], TALK]
    assert json.dumps(told)
