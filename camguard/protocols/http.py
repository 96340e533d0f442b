"""HTTP/1.x (RFC 9112): who asked a camera's web page, ONVIF or maker's interface for what, and who logged in.

In: ordered bytes of both directions. Bodies may be missing (the kernel hands up starts and short packets), so a chunk
may begin in the middle of anything: the reader finds the next message start. Out:
  Reading("http", {method, host, path, status, scheme, user}): once when a request is seen (status None), once when its
      answer comes; scheme and user are those of its Authorization.
  Reading("login", {serial, service, scheme, user, default_password, outcome, outcome_source}): once when somebody says
      who he is (outcome None), once when the answer says whether it was believed ("challenge": it only asks for more,
      or would have been given to anybody). `serial` joins the two.
  Reading("odd", {name}): something that breaks the format; reading goes on behind it.
Bodies are passed over, but for short ones that may hold a login or say what became of it; they are forgotten at once.
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
    bare_url,
    end_of_headers,
    headers,
    number,
    printable,
)

METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "CONNECT")
ASKED_BODY_CAP = 16 * 1024  # bytes; a login has some hundred, a SOAP envelope with one 1 to 3 kB
ANSWER_BODY_CAP = 8 * 1024  # of an answer to a login, its beginning
PENDING_CAP = 16  # unanswered requests each way
START_LINE_CAP = 4096
TAIL_CAP = 32 * 1024
UNREAD_CAP = 64 * 1024  # bytes without anything readable before a connection joined in the middle is given up
STEPS_CAP = 1024  # for one chunk

_METHOD = "|".join(METHODS).encode()
_REQUEST = re.compile(rb"(" + _METHOD + rb") ([^\r\n ]{1,4000}) HTTP/1\.[01][ \t]*\r?\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_TEXT = re.compile(rb"HTTP/1\.[01] \d{3}|(?:" + _METHOD + rb") (?:/|\*|https?://)")
_STARTS = (*(method.encode() + b" " for method in METHODS), b"HTTP/1.")
_LONGEST_START = 16
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
#: RTSP inside HTTP, and what a connection becomes after it was upgraded, is not ours.
_TUNNELLED = ("x-sessioncookie",)


class Asked(NamedTuple):
    """A request that waits for its answer."""

    serial: int
    detail: Detail
    claim: Claim | None
    service: str
    isapi: bool


class Side(NamedTuple):
    """One direction. `mode`: head, length, size, chunk, trailer, close: what the next bytes are; `left`: bytes of the
    body or chunk to come; `kept`: the body so far, where somebody wants it (None: nobody); `about`: whose body it is,
    and of an answer `status` and `fields`. `holes`: bytes were missing since the last answer."""

    tail: bytes = b""
    lost: bool = False
    guess: bool = False
    mode: str = "head"
    left: int = 0
    kept: bytes | None = None
    about: Asked | None = None
    status: int = 0
    fields: dict[str, str] = {}  # noqa: RUF012 - never changed, of the answer that `about` got
    pending: tuple[Asked, ...] = ()
    holes: bool = False


class State(NamedTuple):
    """A connection. `client_up`: the HTTP client is the camera; `known`: a message was read; `over`: it is upgraded."""

    up: Side = Side()
    down: Side = Side()
    client_up: bool | None = None
    known: bool = False
    over: bool = False
    unread: int = 0
    serial: int = 0


Step = tuple[State, list[Reading]]


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; readings of the messages that end in them."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    readings: list[Reading] = []
    side = _side(state, chunk.up)
    if chunk.gap:
        state, readings = _broken(state, chunk.up)
        side = _side(state, chunk.up)
    side = side._replace(tail=side.tail + chunk.data)
    if not state.known and not side.lost and not _may_be_mine(side.tail):
        return NOT_MINE, ()
    state = _put(state, chunk.up, side)
    for _ in range(STEPS_CAP):
        if not _side(state, chunk.up).tail or state.over:
            break
        before = _side(state, chunk.up)
        state, news = _step(state, chunk.up)
        readings += news
        if _side(state, chunk.up) == before:
            break
    side = _side(state, chunk.up)
    if len(side.tail) > TAIL_CAP:
        state = _put(state, chunk.up, side._replace(tail=side.tail[-_LONGEST_START:], lost=True))
    if not state.known:
        state = state._replace(unread=state.unread + len(chunk.data))
        if state.unread > UNREAD_CAP:
            return NOT_MINE, tuple(readings)
    return (NOT_MINE if state.over else state), tuple(readings)


def _side(state: State, up: bool) -> Side:
    return state.up if up else state.down


def _put(state: State, up: bool, side: Side) -> State:
    return state._replace(up=side) if up else state._replace(down=side)


def _may_be_mine(data: bytes) -> bool:
    if not any(data.startswith(s) or s.startswith(data[: len(s)]) for s in _STARTS):
        return False
    line, end, _ = data[:START_LINE_CAP].partition(b"\n")
    return not end or line.startswith(b"HTTP/1.") or b" HTTP/1." in line


def _broken(state: State, up: bool) -> Step:
    """Bytes are missing: what was kept is judged as far as it goes, and the next start is looked for."""
    state, readings = _body_ended(state, up, whole=False)
    side = _side(state, up)
    return _put(state, up, Side(lost=True, pending=side.pending, holes=True)), readings


def _step(state: State, up: bool) -> Step:
    """Take a message head, a piece of a body, or the noise before the next start."""
    side = _side(state, up)
    if side.lost:
        found = _TEXT.search(side.tail)
        if found is None:
            return _put(state, up, side._replace(tail=side.tail[-_LONGEST_START:])), []
        return _put(state, up, side._replace(tail=side.tail[found.start() :], lost=False, guess=True, mode="head")), []
    if side.mode == "head":
        return _head(state, up)
    if side.mode in ("size", "trailer"):
        return _size(state, up)
    return _body(state, up)


def _get_lost(state: State, up: bool, name: str) -> Step:
    side = _side(state, up)
    odd = [Reading("odd", {"name": name})] if state.known and not side.guess else []
    state, news = _body_ended(state, up, whole=False)
    side = _side(state, up)
    return _put(state, up, Side(tail=side.tail[1:], lost=True, pending=side.pending, holes=side.holes)), [*news, *odd]


def _head(state: State, up: bool) -> Step:
    side = _side(state, up)
    data = side.tail.lstrip(b"\r\n") if side.tail[:1] in (b"\r", b"\n") else side.tail
    if not data:
        return _put(state, up, side._replace(tail=b"")), []
    state, side = _put(state, up, side._replace(tail=data)), side._replace(tail=data)
    if not any(data.startswith(s) or s.startswith(data[: len(s)]) for s in _STARTS):
        return _get_lost(state, up, "http-start")
    if b"\n" not in data:
        return (state, []) if len(data) <= START_LINE_CAP else _get_lost(state, up, "http-start")
    request, answer = _REQUEST.match(data), _ANSWER.match(data)
    if not request and not answer:
        return _get_lost(state, up, "http-start")
    end = end_of_headers(data)
    if end < 0 or end > HEADER_BLOCK_CAP:
        return (state, []) if len(data) <= HEADER_BLOCK_CAP else _get_lost(state, up, "http-headers")
    found = headers(data[(request or answer).end() : end])  # type: ignore[union-attr]
    state = _put(state, up, side._replace(tail=data[end:], guess=False))._replace(known=True)
    if request:
        return _request(state, up, request[1].decode(), request[2].decode("latin-1"), found)
    return _answer(state, up, int(answer[1]), found)  # type: ignore[index]


# ---- requests --------------------------------------------------------------------------------------------------------


def _request(state: State, up: bool, method: str, url: str, found: dict[str, str]) -> Step:
    if state.client_up is None:
        state = state._replace(client_up=up)
    if any(name in found for name in _TUNNELLED) or method == "CONNECT":
        return state._replace(over=True), []
    value = found.get("authorization")
    claim = credentials.of_header(value, method)
    if claim is None and "x-wsse" in found:
        claim = credentials.of_wsse_header(found["x-wsse"])
    path = bare_url(url)
    detail: Detail = {
        "method": method,
        "host": printable(found["host"].rpartition("@")[2], 255) if "host" in found else None,
        "path": path,
        "status": None,
        "scheme": claim.scheme if claim else None,
        "user": claim.user if claim else None,
    }
    if claim and claim.scheme == "token":
        claim = None  # an earlier login is carried on with it
    lower = path.lower()
    service = "onvif" if "/onvif/" in lower or lower.startswith("/onvif") else "http"
    asked = Asked(state.serial, detail, claim, service, "/isapi/" in lower)
    readings = [Reading("http", dict(detail), from_server=up != state.client_up)]
    if claim:
        readings.append(_login(asked, None, state, up))
    side = _side(state, up)
    state = state._replace(serial=state.serial + 1)
    state = _put(state, up, side._replace(pending=(*side.pending[-(PENDING_CAP - 1) :], asked)))
    wanted = claim is None and method == "POST" and _may_hold_login(found)
    return _expect_body(state, up, found, asked if wanted else None, has_body=True, news=readings)


def _may_hold_login(found: dict[str, str]) -> bool:
    kind = found.get("content-type", "").lower()
    length = number(found.get("content-length", "0"))
    return (length is None or length <= ASKED_BODY_CAP) and (
        not kind or any(word in kind for word in ("urlencoded", "json", "xml", "text/plain", "soap"))
    )


def _login(asked: Asked, outcome: tuple[str, str] | None, state: State, up: bool) -> Reading:
    """What somebody claimed (`outcome` None), or what became of it; `up`: who says so."""
    claim = asked.claim or Claim("form", None, None)
    detail: Detail = {
        "serial": asked.serial,
        "service": "onvif" if claim.scheme == "wsse" else asked.service,
        "scheme": claim.scheme,
        "user": claim.user,
        "default_password": claim.default_password,
        "outcome": outcome[0] if outcome else None,
        "outcome_source": outcome[1] if outcome else None,
    }
    return Reading("login", detail, from_server=up != state.client_up)


# ---- answers ---------------------------------------------------------------------------------------------------------


def _answer(state: State, up: bool, status: int, found: dict[str, str]) -> Step:
    if state.client_up is None:
        state = state._replace(client_up=not up)
    if 100 <= status < 200:
        return state._replace(over=status == 101), []
    side, other = _side(state, up), _side(state, not up)
    pending = other.pending
    if side.holes and len(pending) > 1:
        pending = ()  # answers are missing: which of the questions this one is for cannot be told
    asked = pending[0] if pending else None
    state = _put(state, not up, other._replace(pending=pending[1:]))
    state = _put(state, up, side._replace(holes=False))
    nothing: Detail = {"method": None, "host": None, "path": None, "status": None, "scheme": None, "user": None}
    detail = dict(asked.detail if asked else nothing) | {"status": status}
    readings = [Reading("http", detail, from_server=up != state.client_up)]
    wanted = None
    if asked and asked.claim:
        outcome = answers.of_head(asked.claim, status, found, body_tells=asked.service == "onvif" or asked.isapi)
        if outcome:
            readings.append(_login(asked, outcome, state, up))
        else:
            wanted = asked
            state = _put(state, up, _side(state, up)._replace(status=status, fields=_told(found)))
    has_body = status not in (204, 304) and not (asked and asked.detail["method"] == "HEAD")
    return _expect_body(state, up, found, wanted, has_body=has_body, answer=True, news=readings)


def _told(found: dict[str, str]) -> dict[str, str]:
    """What of an answer's head says how a login ended; no value of a cookie is among it."""
    kept = {name: bare_url(found[name]) for name in ("location",) if name in found}
    return kept | ({"set-cookie": "yes"} if "set-cookie" in found else {})


def _body_ended(state: State, up: bool, *, whole: bool) -> Step:
    """The body that somebody waited for is there, or as much of it as will ever be."""
    side = _side(state, up)
    asked, kept = side.about, side.kept or b""
    state = _put(state, up, side._replace(mode="head", left=0, kept=None, about=None, status=0, fields={}))
    if asked is None:
        return state, []
    if side.status:  # an answer
        if asked.claim is None:
            return state, []
        outcome = answers.of_body(asked.claim, side.status, side.fields, kept, whole=whole) or ("unknown", "read")
        return state, [_login(asked, outcome, state, up)]
    claim = credentials.of_body(kept) if whole else None
    if claim is None or asked not in side.pending:
        return state, []
    told = asked._replace(claim=claim)
    side = _side(state, up)
    state = _put(state, up, side._replace(pending=tuple(told if one == asked else one for one in side.pending)))
    return state, [_login(told, None, state, up)]


# ---- bodies ----------------------------------------------------------------------------------------------------------


def _expect_body(
    state: State,
    up: bool,
    found: dict[str, str],
    wanted: Asked | None,
    *,
    has_body: bool,
    news: list[Reading],
    answer: bool = False,
) -> Step:
    """What follows the head (RFC 9112 section 6.3)."""
    side = _side(state, up)._replace(kept=b"" if wanted else None, about=wanted)
    length = number(found.get("content-length"))
    if has_body and "chunked" in found.get("transfer-encoding", "").lower():
        return _put(state, up, side._replace(mode="size")), news
    if has_body and length:
        return _put(state, up, side._replace(mode="length", left=length)), news
    if has_body and answer and "content-length" not in found:
        return _put(state, up, side._replace(mode="close")), news
    if has_body and "content-length" in found and length is None:
        state, more = _get_lost(_put(state, up, side), up, "http-length")
        return state, [*news, *more]
    state, more = _body_ended(_put(state, up, side), up, whole=True)
    return state, [*news, *more]


def _size(state: State, up: bool) -> Step:
    """A chunk's size, or the trailer behind the last chunk (RFC 9112 section 7.1)."""
    side = _side(state, up)
    line, end, rest = side.tail.partition(b"\n")
    if not end:
        return (state, []) if len(line) <= START_LINE_CAP else _get_lost(state, up, "http-chunk")
    if not line.strip():
        state = _put(state, up, side._replace(tail=rest))
        return _body_ended(state, up, whole=True) if side.mode == "trailer" else (state, [])
    if side.mode == "trailer":
        return _put(state, up, side._replace(tail=rest)), []
    size = _SIZE.fullmatch(line + b"\n")
    if not size:
        return _get_lost(state, up, "http-chunk")
    left = int(size[1], 16)
    return _put(state, up, side._replace(tail=rest, mode="chunk" if left else "trailer", left=left)), []


def _body(state: State, up: bool) -> Step:
    """Pass over (or keep) what is there of the body."""
    side = _side(state, up)
    if side.mode == "close" and (found := _TEXT.match(side.tail)):
        state, news = _body_ended(state, up, whole=True)  # no length and yet another message: there was no body
        return (state, news) if found else (state, [])
    take = len(side.tail) if side.mode == "close" else min(side.left, len(side.tail))
    kept = side.kept
    if kept is not None:
        cap = ANSWER_BODY_CAP if side.status else ASKED_BODY_CAP
        kept = kept + side.tail[: min(take, cap - len(kept))] if len(kept) < cap else kept
    left = side.left if side.mode == "close" else side.left - take
    side = side._replace(tail=side.tail[take:], left=left, kept=kept)
    state = _put(state, up, side)
    if side.mode == "length" and not left:
        return _body_ended(state, up, whole=True)
    if side.mode == "chunk" and not left:
        return _put(state, up, side._replace(mode="size")), []
    if side.about and side.about.claim and side.status and kept:
        outcome = answers.of_body(side.about.claim, side.status, side.fields, kept, whole=False)
        if outcome:  # it says so already; the rest is passed over
            asked = side.about
            state = _put(state, up, side._replace(kept=None, about=None, status=0, fields={}))
            return state, [_login(asked, outcome, state, up)]
    return state, []
