"""RTSP 1.0 and 2.0 (RFC 2326, RFC 7826): who asked the camera for what, and whether it was granted.

In: ordered bytes of both directions. Segments with nothing but interleaved media may be missing, so a chunk may begin
in the middle of anything: the reader finds the next message start. Out:
  Reading("rtsp", {method, url, status, cseq, transport, client_ports, server_ports, interleaved, destination, mode,
      range, user_agent, scheme}): once when a request is seen (status None), once when its answer comes. `from_server`
      says that the RTSP server spoke. `transport` ("udp", "tcp", "multicast"), ports and interleaved channels are those
      that the answer to SETUP settles; `mode` is "record" where the client sends the media.
  Reading("login", {serial, service, scheme, user, default_password, outcome, outcome_source}): once when a request
      holds credentials (outcome None), once when its answer says whether they were believed ("challenge": it asks
      for others, such as for a newer nonce); `serial` joins the two.
  Reading("rtsp-interleaved", {channel, ssrc, payload_type}): media inside a connection of which no opening was read
  Reading("odd", {name}): something that breaks the format; reading goes on behind it.
Of passwords, digests, nonces, cookies and session ids nothing is kept.
"""

import re
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import answers, credentials
from camguard.protocols.credentials import Claim
from camguard.protocols.text import (
    HEADER_BLOCK_CAP,
    NOT_MINE,
    Detail,
    NotMine,
    Reading,
    auth_scheme,
    bare_url,
    end_of_headers,
    headers,
    number,
    printable,
    transport,
)

METHODS = (
    *("OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "RECORD", "REDIRECT"),
    *("GET_PARAMETER", "SET_PARAMETER", "PLAY_NOTIFY"),
)
#: Requests that only a client makes (RFC 2326 section 10, table 2): they settle who is the server.
_OF_CLIENT = frozenset({"DESCRIBE", "SETUP", "PLAY", "PAUSE", "RECORD"})
_OF_SERVER = frozenset({"REDIRECT", "PLAY_NOTIFY"})

BODY_CAP = 256 * 1024  # bytes; an SDP has a few thousand
PENDING_CAP = 16  # unanswered requests each way; clients send one or two ahead
UNREAD_CAP = 64 * 1024  # bytes without anything readable before a connection joined in the middle is given up
TAIL_CAP = 32 * 1024  # unread bytes of one direction
START_LINE_CAP = 4096  # bytes
STEPS_CAP = 1024  # for one chunk: bounds the work for a chunk of empty frames

_METHOD = "|".join(METHODS).encode()
_REQUEST = re.compile(rb"(" + _METHOD + rb") ([^\r\n]{1,4000}?)[ \t]RTSP/\d\.\d[ \t]*\r?\n")
_ANSWER = re.compile(rb"RTSP/\d\.\d +(\d{3})(?: [^\r\n]*)?\r?\n")
#: A message start, as far as it can be told inside of media; behind it enough to hold a start that is cut.
_TEXT = re.compile(rb"RTSP/\d\.\d +\d{3}|(?:" + _METHOD + rb") (?:rtspu?s?://|\*|/)")
#: A media frame: "$", channel, length of 8 and more, then a byte with RTP's version 2 (RFC 2326 section 10.12).
_FRAME = re.compile(rb"\$[\x00-\x1f](?:\x00[\x08-\xff]|[\x01-\xff].)[\x80-\xbf]", re.DOTALL)
_LONGEST_START = 24
_STARTS = (*(m.encode() + b" " for m in METHODS), b"RTSP/")
#: RTSP inside HTTP (QuickTime's way, still in ffmpeg and Axis): the answers and the media come on the GET connection.
_TUNNEL = re.compile(
    rb"GET [^\r\n]+\r?\n(?:[^\r\n]+\r?\n)*?(?i:accept: *application/x-rtsp-tunnelled|x-sessioncookie:)"
)


class Request(NamedTuple):
    """A request that waits for its answer; `detail` is what its reading said."""

    cseq: str
    detail: Detail
    client_ports: tuple[str, ...]
    transport: str | None
    serial: int = 0
    claim: Claim | None = None


class Side(NamedTuple):
    """One direction: unread bytes, bytes still to pass over, whether we look for a start, requests waiting."""

    tail: bytes = b""
    skip: int = 0
    lost: bool = False
    pending: tuple[Request, ...] = ()
    frames: int = 0  # media frames one behind the other
    guess: bool = False  # the start we stand at was found by its looks


class State(NamedTuple):
    """A connection. `client_up`: the RTSP client is the camera; `known`: a message was read; `told`: media was told.

    `tunnel`: it began as RTSP inside HTTP. `unread`: bytes seen before anything was read.
    """

    up: Side = Side()
    down: Side = Side()
    client_up: bool | None = None
    known: bool = False
    told: bool = False
    tunnel: bool = False
    unread: int = 0
    serial: int = 0


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; readings of the messages that end in them."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    side = state.up if chunk.up else state.down
    if chunk.gap:
        side = Side(lost=True, pending=side.pending)
    side = _arrive(side, chunk.data)
    surely_at_start = not side.lost and not side.guess
    tunnel = state.tunnel or (not state.known and _TUNNEL.match(side.tail) is not None)
    state = _put(state, chunk.up, side)._replace(tunnel=tunnel)
    if not state.known and not tunnel and not _may_be_mine(side):
        return NOT_MINE, ()
    readings: list[Reading] = []
    for _ in range(STEPS_CAP):
        before = state.up if chunk.up else state.down
        if not before.tail or before.skip:
            break
        state, news = _step(state, chunk.up)
        readings += news
        if (state.up if chunk.up else state.down) == before:
            break
    side = state.up if chunk.up else state.down
    if len(side.tail) > TAIL_CAP:
        state = _put(state, chunk.up, side._replace(tail=side.tail[-_LONGEST_START:], lost=True))
    if not state.known:
        state = state._replace(unread=state.unread + len(chunk.data))
        if state.unread > UNREAD_CAP or (surely_at_start and side.lost and not tunnel):
            return NOT_MINE, ()
    return state, tuple(readings)


def _arrive(side: Side, data: bytes) -> Side:
    """New bytes behind the unread ones, less those to pass over; but a frame that was a guess hides no message."""
    if side.skip and side.guess and (found := _TEXT.search(data)) and found.start() < side.skip:
        return side._replace(tail=data[found.start() :], skip=0)
    data = side.tail + data
    skipped = min(side.skip, len(data))
    return side._replace(tail=data[skipped:], skip=side.skip - skipped)


def _put(state: State, up: bool, side: Side) -> State:
    return state._replace(up=side) if up else state._replace(down=side)


def _may_be_mine(side: Side) -> bool:
    """Whether a connection in which nothing was read yet can be RTSP, from how this direction begins."""
    data = side.tail
    if side.lost or not data or data[0] == 0x24:
        return True
    return any(data.startswith(s) or s.startswith(data[: len(s)]) for s in _STARTS)


def _step(state: State, up: bool) -> tuple[State, list[Reading]]:
    """Take one message, one media frame, or the noise before the next of them from the unread bytes of one side."""
    side = state.up if up else state.down
    data = side.tail
    if data[0] == 0x24 and not side.lost:
        return _media(state, up)
    if not side.lost and any(data.startswith(s) or s.startswith(data[: len(s)]) for s in _STARTS):
        if b"\n" not in data:
            if len(data) <= START_LINE_CAP:
                return state, []
            return _get_lost(state, up, "rtsp-start", len(data) - START_LINE_CAP)
        end = end_of_headers(data)
        if 0 <= end <= HEADER_BLOCK_CAP:
            return _message(state, up, end)
        if len(data) > HEADER_BLOCK_CAP:
            return _get_lost(state, up, "rtsp-headers")
        if _ANSWER.match(data) or _REQUEST.match(data):
            return state, []
        return _get_lost(state, up, "rtsp-start")
    if not side.lost:
        if data.strip(b"\r\n") == b"" or data[:1] in b"\r\n":
            return _put(state, up, side._replace(tail=data.lstrip(b"\r\n"))), []
        return _get_lost(state, up, "rtsp-start")
    found = _TEXT.search(data) or _FRAME.search(data)
    if found is None:
        return _put(state, up, side._replace(tail=data[-_LONGEST_START:])), []
    return _put(state, up, side._replace(tail=data[found.start() :], lost=False, guess=True)), []


def _get_lost(state: State, up: bool, name: str, passed: int = 1) -> tuple[State, list[Reading]]:
    """Pass over some bytes and look for the next start from there."""
    side = state.up if up else state.down
    odd = [Reading("odd", {"name": name})] if state.known and not side.guess else []
    return _put(state, up, side._replace(tail=side.tail[passed:], lost=True, frames=0)), odd


def _media(state: State, up: bool) -> tuple[State, list[Reading]]:
    """Pass over one interleaved frame; tell of media once, where two frames followed each other without a SETUP."""
    side = state.up if up else state.down
    data = side.tail
    if len(data) < 6:
        return state, []
    size = int.from_bytes(data[2:4], "big")
    if size < 8 or data[4] >> 6 != 2:
        return _get_lost(state, up, "rtsp-interleaved")
    passed = min(4 + size, len(data))
    side = side._replace(tail=data[passed:], skip=4 + size - passed, frames=side.frames + 1)
    side = side._replace(guess=side.guess and side.frames < 2)
    state = _put(state, up, side)
    if state.told or side.frames < 2 or len(data) < 16 or not (data[5] & 0x7F <= 34 or data[5] & 0x7F >= 96):
        return state, []
    detail: Detail = {
        "channel": data[1],
        "ssrc": int.from_bytes(data[12:16], "big"),
        "payload_type": data[5] & 0x7F,
    }
    state = state._replace(told=True, known=True)
    return state, [Reading("rtsp-interleaved", detail)]


def _message(state: State, up: bool, end: int) -> tuple[State, list[Reading]]:
    """Take one whole header block of `end` bytes and pass over its body."""
    side = state.up if up else state.down
    block = side.tail[:end]
    request, answer = _REQUEST.match(block), _ANSWER.match(block)
    if not request and not answer:
        return _get_lost(state, up, "rtsp-start")
    fields = headers(block[(request or answer).end() :])  # type: ignore[union-attr]
    length = number(fields.get("content-length", "0"))
    odd: list[Reading] = []
    if length is None or length > BODY_CAP:
        odd, side = [Reading("odd", {"name": "rtsp-length"})], side._replace(lost=True)
    body = length if length is not None and length <= BODY_CAP else 0
    passed = min(end + body, len(side.tail))
    side = side._replace(tail=side.tail[passed:], skip=end + body - passed, frames=0, guess=False)
    state = _put(state, up, side)._replace(known=True)
    if request:
        state, news = _request(state, up, request.group(1).decode(), request.group(2).decode("latin-1").strip(), fields)
    else:
        state, news = _answer(state, up, int(answer.group(1)), fields)  # type: ignore[union-attr]
    return state, news + odd


def _request(state: State, up: bool, method: str, url: str, fields: dict[str, str]) -> tuple[State, list[Reading]]:
    """A request: tell of it and keep it until its answer comes."""
    if method in _OF_CLIENT or state.client_up is None:
        state = state._replace(client_up=up != (method in _OF_SERVER))
    side = state.up if up else state.down
    asked = transport(fields.get("transport", ""))
    detail: Detail = {
        "method": method,
        "url": bare_url(url),
        "status": None,
        "cseq": number(fields.get("cseq")),
        "transport": None,
        "client_ports": (),
        "server_ports": (),
        "interleaved": (),
        "destination": None,
        "mode": "record" if method in ("ANNOUNCE", "RECORD") else asked.mode,
        "range": printable(fields["range"], 64) if "range" in fields else None,
        "user_agent": printable(fields["user-agent"], 80) if "user-agent" in fields else None,
        "scheme": auth_scheme(fields.get("authorization")),
    }
    claim = credentials.of_header(fields.get("authorization"), method)
    if claim and claim.scheme == "token":
        claim = None
    waiting = Request(fields.get("cseq", "")[:32], detail, asked.client_ports, asked.kind, state.serial, claim)
    pending = tuple(other for other in side.pending if other.cseq != waiting.cseq)[-(PENDING_CAP - 1) :]
    state = _put(state, up, side._replace(pending=(*pending, waiting)))._replace(serial=state.serial + 1)
    readings = [Reading("rtsp", dict(detail), from_server=up != state.client_up)]
    return state, [*readings, *_login(waiting, None, from_server=up != state.client_up)]


def _login(waiting: Request, outcome: answers.Outcome | None, *, from_server: bool) -> list[Reading]:
    """What somebody claimed (`outcome` None), or what became of it."""
    claim = waiting.claim
    if claim is None:
        return []
    detail: Detail = {
        "serial": waiting.serial,
        "service": "rtsp",
        "scheme": claim.scheme,
        "user": claim.user,
        "default_password": claim.default_password,
        "outcome": outcome[0] if outcome else None,
        "outcome_source": outcome[1] if outcome else None,
    }
    return [Reading("login", detail, from_server=from_server)]


def _answer(state: State, up: bool, status: int, fields: dict[str, str]) -> tuple[State, list[Reading]]:
    """An answer: pair it with the request of the other side that has its CSeq. Interim answers are passed over."""
    if status < 200:
        return state, []
    other = state.down if up else state.up
    cseq = fields.get("cseq", "")[:32]
    waiting = next((r for r in other.pending if r.cseq == cseq), None)
    if waiting is None and not cseq and other.pending:
        waiting = other.pending[0]
    if state.client_up is None:
        state = state._replace(client_up=not up)
    given = transport(fields.get("transport", ""))
    if waiting is not None:
        pending = tuple(r for r in other.pending if r is not waiting)
        state = _put(state, not up, other._replace(pending=pending))
        detail = dict(waiting.detail)
    else:  # its request was not seen; some answers still say what they answer
        detail = _unasked(fields)
    detail["status"] = status
    if detail["method"] == "SETUP" and status < 300:
        detail["transport"] = given.kind or (waiting.transport if waiting else None)
        detail["client_ports"] = given.client_ports or (waiting.client_ports if waiting else ())
        detail["server_ports"], detail["interleaved"] = given.server_ports, given.interleaved
        detail["destination"], detail["mode"] = given.destination, given.mode or detail["mode"]
        state = state._replace(told=True)
    readings = [Reading("rtsp", detail, from_server=up != state.client_up)]
    if waiting is not None and waiting.claim is not None:
        outcome = answers.of_head(waiting.claim, status, fields, body_tells=False)
        readings += _login(waiting, outcome, from_server=up != state.client_up)
    return state, readings


def _unasked(fields: dict[str, str]) -> Detail:
    """What an answer without its request says: a Transport answers SETUP, RTP-Info answers PLAY."""
    method = "SETUP" if "transport" in fields else "PLAY" if "rtp-info" in fields else None
    return {
        "method": method,
        "url": None,
        "status": None,
        "cseq": number(fields.get("cseq")),
        "transport": None,
        "client_ports": (),
        "server_ports": (),
        "interleaved": (),
        "destination": None,
        "mode": None,
        "range": None,
        "user_agent": None,
        "scheme": None,
    }
