"""RTSP inside HTTP (QuickTime's tunnel; ffmpeg, GStreamer and Axis speak it): two connections of one viewing.

The client opens a GET, on which answers and media come back plainly, and a POST, on which it sends its requests in
base64; both name the same x-sessioncookie (Apple, "Tunnelling RTSP and RTP over HTTP"; ffmpeg, libavformat/rtsp.c;
gst-plugins-base, gstrtspconnection.c).

In: ordered bytes of one of the two. Out: the readings of rtsp.py of what is inside.

Who logs in says so on the POST, and what becomes of it is said on the GET. The cookie would join the two without doubt,
but no cookie leaves a reader, nor does a hash of one (facts are printed). So nothing of it is kept: both sides say the
CSeq, which one viewer never uses twice at a time, and detect/login.py joins what came from one address to one port of a
camera with the same CSeq. Where several tunnels of one address wait for the same number, the oldest takes the answer:
then it is known that somebody got in, and only who of that address is inferred.
"""

import base64
import re
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import rtsp
from camguard.protocols.rtsp_framing import METHODS
from camguard.protocols.text import HEADER_BLOCK_CAP, NOT_MINE, NotMine, Reading, end_of_headers, headers

_BEGINS = (b"GET ", b"POST ")
_START = re.compile(rb"(GET|POST) [^\r\n]{1,4000} HTTP/1\.[01][ \t]*\r?\n")
_GRANTED = re.compile(rb"HTTP/1\.[01] +200[ \r\n]")
_RUN = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
_STRANGE = re.compile(rb"[^A-Za-z0-9+/=\s]")
_METHOD = re.compile(rb"(?:" + "|".join(METHODS).encode() + rb") ")


class State(NamedTuple):
    """One connection of a tunnel. `kind`: GET or POST, "" before its head was read; `up`: the client is the camera;
    `head`: bytes of the client's head, `answer`: of the server's, None when it is over; `rest`: base64 that waits;
    `lost`: behind a hole, and the place in the four is not known yet."""

    kind: str = ""
    up: bool = False
    head: bytes = b""
    answer: bytes | None = b""
    rest: bytes = b""
    lost: bool = False
    inside: rtsp.State = rtsp.State()


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; what was asked (POST), or answered (GET), inside."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    if state is None or not state.kind:
        return _opening(state, chunk)
    if state.kind == "POST":
        return _asked(state, chunk) if chunk.up == state.up else (state, ())
    return _answered(state, chunk) if chunk.up != state.up else (state, ())


def _opening(state: State | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    if chunk.gap or (state is not None and chunk.up != state.up):
        return NOT_MINE, ()
    data = (state.head if state else b"") + chunk.data
    if not any(data.startswith(b) or b.startswith(data) for b in _BEGINS):
        return NOT_MINE, ()
    end = end_of_headers(data)
    start = _START.match(data)
    if end < 0:
        too_much = len(data) > HEADER_BLOCK_CAP or (b"\n" in data and not start)
        return (NOT_MINE if too_much else State(up=chunk.up, head=data)), ()
    if not start or "x-sessioncookie" not in headers(data[start.end() : end]):
        return NOT_MINE, ()
    inside = rtsp.State(client_up=chunk.up, known=True, tunnel=True)
    state = State(start[1].decode(), chunk.up, inside=inside)
    return read(state, Chunk(chunk.up, data[end:])) if data[end:] else (state, ())


def _answered(state: State, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """The server's side of the GET: an HTTP head, then RTSP. A refusal (401) makes it plain HTTP again."""
    if state.answer is None or chunk.gap:
        return _inside(state._replace(answer=None), chunk)
    data = state.answer + chunk.data
    end = end_of_headers(data)
    if end < 0:
        return (state._replace(answer=data) if len(data) <= HEADER_BLOCK_CAP else NOT_MINE), ()
    if not _GRANTED.match(data):
        return NOT_MINE, ()
    return _inside(state._replace(answer=None), Chunk(chunk.up, data[end:]))


def _asked(state: State, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """The client's side of the POST: base64, each request by itself (so it may end in "="), or all in one. Behind a
    hole the place in the four is the one at which a request shows."""
    odd = (Reading("odd", {"name": "rtsp-base64"}),) if _STRANGE.search(chunk.data) else ()
    lost = state.lost or chunk.gap
    if lost:
        tries = (_plain(chunk.data[at:]) for at in range(4))
        found = next((one for one in tries if _METHOD.search(one[0])), None)
        if found is None:
            return state._replace(lost=True, rest=b""), odd
        plain, rest = found
    else:
        plain, rest = _plain(state.rest + chunk.data)
    kept, readings = _inside(state._replace(rest=rest, lost=False), Chunk(chunk.up, plain, lost))
    return kept, (*readings, *odd)


def _plain(text: bytes) -> tuple[bytes, bytes]:
    text = b"".join(text.split())
    out: list[bytes] = []
    for run in _RUN.finditer(text):
        whole = len(run[0]) - len(run[0]) % 4
        out.append(base64.b64decode(run[0][:whole]))
        if run.end() == len(text) and whole < len(run[0]):
            return b"".join(out), run[0][whole:]
    return b"".join(out), b""


def _inside(state: State, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    inside, readings = rtsp.read(state.inside, chunk)
    return (NOT_MINE if isinstance(inside, NotMine) else state._replace(inside=inside)), readings
