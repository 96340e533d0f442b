"""RTSP inside HTTP: what is asked on one connection and answered on another; ffmpeg against gst-rtsp-server."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, rtsp_framing, rtsp_http
from tests.protocols.relay import free_port, handed_up, heard, listens, missing, relay, running
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UP, DOWN = True, False
COOKIE, SECRET = "zebracookie77", "hunter2zebra"
URL = "rtsp://10.0.0.5/live"
PYTHON = "/usr/bin/python3"


def lines(*text: str) -> bytes:
    return "\r\n".join((*text, "", "")).encode()


def asked(method: str, cseq: int, *fields: str) -> bytes:
    return lines(f"{method} {URL} RTSP/1.0", f"CSeq: {cseq}", *fields)


GET = lines("GET /live HTTP/1.0", f"x-sessioncookie: {COOKIE}", "Accept: application/x-rtsp-tunnelled")
POST = lines(
    "POST /live HTTP/1.0",
    f"X-SessionCookie: {COOKIE}",
    "Content-Type: application/x-rtsp-tunnelled",
    "Content-Length: 32767",
)
BASIC = "Authorization: Basic " + base64.b64encode(f"admin:{SECRET}".encode()).decode()
FRAME = b"$\x00" + (20).to_bytes(2, "big") + b"\x80\x60" + bytes(6) + b"\x11\x22\x33\x44" + b"media..."
REQUESTS = [
    asked("DESCRIBE", 1),
    asked("DESCRIBE", 2, BASIC),
    asked("SETUP", 3, BASIC, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"),
    asked("PLAY", 4, BASIC, "Range: clock=20261124T080000Z-"),
]
QUESTIONS: list[Turn] = [(DOWN, POST), *((DOWN, base64.b64encode(one)) for one in REQUESTS)]
ANSWERS: list[Turn] = [
    (DOWN, GET),
    (UP, lines("HTTP/1.0 200 OK", "Content-Type: application/x-rtsp-tunnelled")),
    (UP, lines("RTSP/1.0 401 Unauthorized", "CSeq: 1", 'WWW-Authenticate: Digest nonce="n"')),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 2")),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 3", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 4", "RTP-Info: url=x") + FRAME * 2),
]


def words(readings: list[Any]) -> list[tuple[Any, ...]]:
    keys = {"rtsp": ("method", "status"), "login": ("serial", "user", "outcome"), "login-answer": ("serial", "outcome")}
    keys["control"] = ("what", "granted")
    return [(r.what, *(r.detail[key] for key in keys[r.what]), r.from_server) for r in readings if r.what in keys]


ASKED = [
    ("rtsp", "DESCRIBE", None, False),
    ("rtsp", "DESCRIBE", None, False),
    ("login", 2, "admin", None, False),
    ("rtsp", "SETUP", None, False),
    ("login", 3, "admin", None, False),
    ("rtsp", "PLAY", None, False),
    ("login", 4, "admin", None, False),
    ("control", "playback", None, False),
]
ANSWERED = [
    ("rtsp", None, 401, True),
    ("login-answer", 1, "failure", True),
    ("rtsp", None, 200, True),
    ("login-answer", 2, "success", True),
    ("rtsp", "SETUP", 200, True),
    ("login-answer", 3, "success", True),
    ("rtsp", "PLAY", 200, True),
    ("login-answer", 4, "success", True),
]
ROWS = {
    "the POST": (QUESTIONS, ASKED),
    "all requests in one piece of base64": ([(DOWN, POST + base64.b64encode(b"".join(REQUESTS)))], ASKED),
    "base64 in lines": ([(DOWN, POST), (DOWN, base64.encodebytes(REQUESTS[3]))], ASKED[5:]),
    "the GET": (ANSWERS, ANSWERED),
    "the camera is the client": (
        [(not up, data) for up, data in QUESTIONS[:2]],
        [("rtsp", "DESCRIBE", None, False)],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows_whole_byte_by_byte_and_cut_everywhere(name: str) -> None:
    turns, expected = ROWS[name]
    state, together = run(rtsp_http.read, whole(turns))
    assert words(together) == expected
    assert not [r for r in together if r.what == "odd"]
    assert {r.detail["tunnel"] for r in together if r.what == "login"} <= {True}
    for secret in (COOKIE, SECRET):
        assert secret not in repr(together) + repr(state)
    assert run(rtsp_http.read, bytewise(turns))[1] == together
    for chunks in cut_everywhere(turns):
        assert run(rtsp_http.read, chunks)[1] == together


@pytest.mark.parametrize("size", [1, 3, 40])
def test_a_hole_hides_only_what_is_in_it(size: int) -> None:
    for index, chunks in hole_everywhere(QUESTIONS, size):
        if not index:
            continue  # without its head it is no tunnel
        told = [word for word in words(run(rtsp_http.read, chunks)[1]) if word[0] == "rtsp"]
        assert len(told) >= len(REQUESTS) - 1
    for index, chunks in hole_everywhere(ANSWERS, size):
        if index:
            told = [word for word in words(run(rtsp_http.read, chunks)[1]) if word[0] == "rtsp"]
            assert len(told) >= len(ANSWERS) - 3


def test_a_hole_in_base64_that_has_no_place_in_the_four() -> None:
    """What comes behind a hole may begin anywhere in a run of base64."""
    run_of = base64.b64encode(b"".join(REQUESTS))
    start = len(base64.b64encode(REQUESTS[0] + REQUESTS[1]))
    for at in range(start - 40, start - 4):
        chunks = [Chunk(DOWN, POST + run_of[:20]), Chunk(DOWN, run_of[at:], gap=True)]
        told = [word[1] for word in words(run(rtsp_http.read, chunks)[1]) if word[0] == "rtsp"]
        assert told == ["SETUP", "PLAY"], at


@pytest.mark.parametrize(
    "turns",
    [
        [(DOWN, b"GET / HTTP/1.1\r\nHost: cam\r\n\r\n")],
        [(DOWN, b"POST /login HTTP/1.1\r\nContent-Length: 3\r\n\r\na=b")],
        [(DOWN, b"\x16\x03\x01\x02\x00")],
        [(DOWN, b"GET nonsense\n")],
        [(UP, b"SSH-2.0-x\r\n")],
        [(DOWN, b"GET /" + b"a" * 20_000)],
        [(DOWN, GET), (UP, lines("HTTP/1.0 401 Unauthorized", "WWW-Authenticate: Basic"))],
        [(DOWN, GET[:20]), (UP, b"HTTP/1.0 400 Bad\r\n\r\n")],
    ],
)
def test_what_is_no_tunnel_is_given_up(turns: list[Turn]) -> None:
    state, readings = run(rtsp_http.read, whole(turns))
    assert state is NOT_MINE
    assert not readings


def test_what_is_no_base64_is_odd_and_hides_nothing() -> None:
    chunks = [Chunk(DOWN, POST), Chunk(DOWN, b"\x00\xff!!"), Chunk(DOWN, QUESTIONS[1][1])]
    readings = run(rtsp_http.read, chunks)[1]
    assert [(r.what, r.detail.get("name")) for r in readings][:1] == [("odd", "rtsp-base64")]
    assert words(readings) == ASKED[:1]


def test_a_login_without_a_number_keeps_one_of_its_own() -> None:
    request = lines(f"DESCRIBE {URL} RTSP/1.0", "CSeq: x", BASIC)
    turns = [(DOWN, POST), (DOWN, base64.b64encode(request))]
    assert words(run(rtsp_http.read, whole(turns))[1])[1][:2] == ("login", 0)


PIECES = st.sampled_from([*(data for _, data in QUESTIONS + ANSWERS), b"=", b"====", b"\r\n"])


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from([None, (DOWN, GET), (DOWN, POST)]),
    st.lists(st.tuples(st.booleans(), st.one_of(PIECES, st.binary(max_size=60)), st.booleans()), max_size=12),
)
def test_any_bytes_give_readings_and_keep_little(opening: Turn | None, parts: list[tuple[bool, bytes, bool]]) -> None:
    chunks = [Chunk(*opening)] if opening else []
    state, readings = run(rtsp_http.read, [*chunks, *(Chunk(*part) for part in parts)])
    assert COOKIE not in repr(readings)
    assert SECRET not in repr(readings)
    if state is not NOT_MINE and state is not None:
        assert len(state.rest) < 4
        assert len(state.inside.down.half.tail) <= rtsp_framing.TAIL_CAP


# ---- real programs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("password", [SECRET, f"wrong-{SECRET}"], ids=["right", "wrong"])
def test_ffmpeg_watches_through_a_tunnel(password: str, tmp_path: Path) -> None:
    found = subprocess.run(
        [PYTHON, "-c", "import gi; gi.require_version('GstRtspServer', '1.0')"],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if why := missing("ffmpeg") or ("no gst-rtsp-server for Python" if found.returncode else None):
        pytest.skip(why)
    port = free_port()
    camera = (PYTHON, str(Path(__file__).parent / "talking_camera.py"), str(port), "viewer", SECRET)
    with running(*camera, ready=listens(port), log=tmp_path / "camera.log"), relay(port) as between:
        source = f"rtsp://viewer:{password}@127.0.0.1:{between.port}/live"
        watch = ("ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "http", "-i", source, "-t", "1", "-f", "null")
        done = subprocess.run([*watch, "-"], check=False, timeout=90, capture_output=True)
        get, post = sorted(between.talks, key=lambda turns: turns[0][1][:4])
    assert (done.returncode == 0) == (password == SECRET), done.stderr
    for pieces in (lambda turns: [Chunk(*turn) for turn in turns], lambda turns: [Chunk(*p) for p in handed_up(turns)]):
        questions, answers = (run(rtsp_http.read, pieces(turns))[1] for turns in (post, get))
        claimed = {r.detail["serial"]: r.detail["user"] for r in questions if r.what == "login"}
        became = {r.detail["serial"]: r.detail["outcome"] for r in answers if r.what == "login-answer"}
        assert set(claimed.values()) == {"viewer"}
        first = became[min(claimed)]
        assert first == ("success" if password == SECRET else "failure")
        asked_for = [r.detail["method"] for r in questions if r.what == "rtsp"]
        assert asked_for[:2] == ["OPTIONS", "DESCRIBE"]
        assert ("PLAY" in asked_for) == (password == SECRET)
        assert bool([r for r in answers if r.detail.get("method") == "PLAY"]) == (password == SECRET)
    everything = repr([heard(turns) for turns in (get, post)])
    cookie = next(line for line in get[0][1].decode().splitlines() if "sessioncookie" in line).split()[-1]
    assert SECRET not in everything
    assert cookie not in everything
