"""Turning a camera, talking through it, fetching what it recorded: where RTSP, ONVIF and HTTP show it (pure).

In: a request (method, URL as sent, header fields, beginning of its body) and its answer. Out: Control(what, by): what
is "ptz", "talk" or "playback", by is "rtsp", "onvif" or "http"; and whether the camera does it. Only these words leave.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from camguard.protocols import answers
from camguard.protocols.text import Reading


class Control(NamedTuple):
    """What is asked of the camera."""

    what: str
    by: str


def reading(control: Control, granted: bool | None, *, from_server: bool) -> Reading:
    """`granted` None: it is only asked for, or nobody could say."""
    return Reading("control", {"what": control.what, "by": control.by, "granted": granted}, from_server)


# ---- HTTP ------------------------------------------------------------------------------------------------------------

#: What makers' interfaces call it: (what, methods or "" for any, pattern over path and query in lower case). Stopping,
#: asking for a position and defining a preset is not turning; listening is not talking.
_PATHS: tuple[tuple[str, str, "re.Pattern[str]"], ...] = tuple(
    (what, methods, re.compile(pattern))
    for what, methods, pattern in (
        # Hikvision ISAPI: go2rtc, pkg/isapi/client.go (TwoWayAudio); HA's hikvision_next (ContentMgmt, PTZCtrl)
        ("ptz", "PUT POST", r"/isapi/ptzctrl/.*/(?:continuous|momentary|relative|absolute\w*|position3d|goto|start)\b"),
        ("talk", "PUT POST", r"/isapi/system/twowayaudio/.*/(?:open|audiodata)\b"),
        ("playback", "", r"/isapi/contentmgmt/(?:download|search|record/.*search)\b"),
        # Dahua, Amcrest: python-amcrest, ptz.py, audio.py, media.py; Dahua's RPC2: DahuaConsole, net.py
        ("ptz", "", r"/ptz\.cgi\?(?:.*&)?action=(?:start|move)"),
        ("talk", "", r"/audio\.cgi\?(?:.*&)?action=postaudio"),
        ("playback", "", r"/cgi-bin/(?:loadfile\.cgi|rpc_loadfile/)"),
        ("playback", "", r"/mediafilefind\.cgi\?(?:.*&)?action=find"),
        # Axis VAPIX: PTZ API, Audio API, Edge storage API (developer.axis.com/vapix)
        (
            "ptz",
            "",
            r"/com/ptz\.cgi\?(?:.*&)?(?:move|r?pan|r?tilt|r?zoom|center|areazoom|continuous\w+move|goto\w+preset\w*)=",
        ),
        ("talk", "POST PUT", r"/audio/transmit\.cgi"),
        ("playback", "", r"/axis-cgi/record/export"),
        # Foscam: python-foscam, libpyfoscam/foscam.py
        (
            "ptz",
            "",
            r"/cgiproxy\.fcgi\?(?:.*&)?cmd=(?:ptz(?!stop|get|set|add|del)|zoom(?:in|out)|focus(?:near|far))",
        ),
        # Reolink: reolink_aio, api.py; HiSilicon's firmware (INSTAR's CGI list): the same word, another program
        ("ptz", "", r"[?&]cmd=ptzctrl\b(?!.*act=stop)"),
        ("playback", "", r"/api\.cgi\?(?:.*&)?cmd=(?:playback|download|nvrdownload|search)\b"),
    )
)
#: Every pattern has one of these words: most requests need no further look.
_WORDS = re.compile(r"ptz|audio|contentmgmt|loadfile|mediafilefind|record/export|cgiproxy|api\.cgi")
#: The same in a body of JSON: Reolink's several commands in one request, Dahua's RPC2.
_IN_JSON = (
    ("ptz", re.compile(rb'"cmd"\s*:\s*"PtzCtrl"|"method"\s*:\s*"ptz\.(?:start|move|goto)')),
    ("playback", re.compile(rb'"cmd"\s*:\s*"(?:Search|Playback|Download)"|"method"\s*:\s*"mediaFileFind\.find')),
    ("talk", re.compile(rb'"method"\s*:\s*"speak\.start')),
)


def of_http(method: str, url: str) -> Control | None:
    """What a request asks by its path and query."""
    lower = url[:2048].lower()
    if not _WORDS.search(lower):
        return None
    for what, methods, pattern in _PATHS:
        if (not methods or method in methods.split()) and pattern.search(lower):
            return Control(what, "http")
    return None


def of_body(body: bytes) -> Control | None:
    """What a body of JSON asks."""
    if body.lstrip()[:1] not in (b"{", b"["):
        return None
    return next((Control(what, "http") for what, pattern in _IN_JSON if pattern.search(body)), None)


# ---- ONVIF -----------------------------------------------------------------------------------------------------------

#: ONVIF PTZ Service 5.3 and 5.4, Replay Control Service 5.4, Recording Search Service (FindRecordings, ...).
_MOVES = ("ContinuousMove", "RelativeMove", "AbsoluteMove", "GeoMove", "GotoPreset", "GotoHomePosition")
_OPERATIONS = dict.fromkeys((*_MOVES, "OperatePresetTour", "MoveAndStartTracking"), "ptz") | dict.fromkeys(
    ("GetReplayUri", "ExportRecordedData"), "playback"
)
_FIRST_OF_BODY = re.compile(
    rb"<(?:[\w.-]{1,40}:)?Body(?:\s[^>]{0,2000})?>\s*(?:<!--.{0,500}?-->\s*)?<(?:[\w.-]{1,40}:)?([A-Za-z]\w{0,63})[\s/>]",
    re.DOTALL,
)
_ACTION = re.compile(r"(?:^\"?|/)([A-Za-z]\w{0,63})\"?$", re.ASCII)


def operation_of_head(fields: Mapping[str, str]) -> str | None:
    """The operation that SOAPAction (SOAP 1.1 section 6.1.1) or the type's action (SOAP 1.2, RFC 3902) names."""
    action = fields.get("soapaction") or ""
    if not action:
        found = re.search(r"action=\"?([^\";\s]{1,300})", fields.get("content-type", ""))
        action = found[1] if found else ""
    named = _ACTION.search(action.strip()[:300])
    return named[1] if named else None


def operation(body: bytes) -> str | None:
    """The first element in the Body of a SOAP envelope (WS-I Basic Profile 1.1, R1011: there is one)."""
    found = _FIRST_OF_BODY.search(body)
    return found[1].decode() if found else None


def of_operation(operation: str | None) -> Control | None:
    """What an ONVIF operation asks."""
    what = _OPERATIONS.get(operation or "")
    return Control(what, "onvif") if what else None


def needs_body(control: Control, kind: str | None) -> bool:
    """Whether a good status is not all: SOAP faults, codes in JSON (Reolink) and XML (Foscam) come with it, too."""
    return control.what != "talk" and (kind is None or any(word in kind for word in ("xml", "json", "text", "soap")))


def granted(control: Control, status: int, body: bytes = b"") -> bool:
    """Whether the camera does what was asked; of the body what was read of it."""
    return 200 <= status < 300 and not answers.is_refusal(body)


# ---- RTSP ------------------------------------------------------------------------------------------------------------

#: ONVIF Streaming Specification 5.3.1 (backchannel) and 6.3 (replay): features that a client requires.
_BACKCHANNEL, _REPLAY = "onvif.org/ver20/backchannel", "onvif-replay"
#: Recorded footage by its URL: Hikvision, Dahua (and whoever has a start time), Axis (Edge storage API), Uniview.
_RECORDED = re.compile(r"/streaming/tracks/|/cam/playback\b|[?&](?:starttime|recordingid)=|/b\d{9,11}/e\d{9,11}/replay")
_MEDIA_LINES = re.compile(rb"(?m)^m=")
_CONTROL_LINE = re.compile(rb"(?m)^a=control:[ \t]*(\S{1,300})")


def requires_backchannel(fields: Mapping[str, str]) -> bool:
    """The client wants the way back to the camera's loudspeaker described or set up."""
    return _BACKCHANNEL in fields.get("require", "").lower()


def is_recorded(url: str, fields: Mapping[str, str]) -> bool:
    """Whether a DESCRIBE, SETUP or PLAY is about footage of the past."""
    return _REPLAY in fields.get("require", "").lower() or _RECORDED.search(url[:2048].lower()) is not None


def asks_for_past(fields: Mapping[str, str]) -> bool:
    """Whether a PLAY names a moment (RFC 2326 section 12.29) or a pace (12.34) that nothing live has."""
    wanted = fields.get("range", "").lower().replace(" ", "")
    at_a_time = wanted.startswith(("clock=", "smpte")) and not wanted.startswith(("clock=now", "clock=-"))
    later = re.match(r"npt=0*(?:[1-9]|0?[.:]0*[1-9:])", wanted)
    pace = re.fullmatch(r"([+-]?\d{1,6}(?:\.\d{0,9})?)", fields.get("scale", "1").strip())
    return at_a_time or later is not None or (pace is not None and float(pace[1]) != 1)


def talk_tracks(sdp: bytes) -> tuple[str, ...]:
    """The control names of the media that the camera would receive (a=sendonly, as seen from the client: ONVIF
    Streaming Specification 5.3.2)."""
    media = _MEDIA_LINES.split(sdp)[1:17]
    found = [_CONTROL_LINE.search(part) for part in media if re.search(rb"(?m)^a=sendonly\s*$", part)]
    return tuple(one[1].decode("latin-1") for one in found if one)


def sets_up_talk(url: str, fields: Mapping[str, str], tracks: tuple[str, ...] | None) -> bool:
    """Whether a SETUP is of the way back: by its name in the SDP (`tracks`, None: not read), else by its Require."""
    if tracks is not None:
        return any(url == name or url.endswith("/" + name) for name in tracks)
    return requires_backchannel(fields)
