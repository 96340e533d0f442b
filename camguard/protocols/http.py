"""HTTP/1.x (RFC 9112): who asked a camera's web page, ONVIF or maker's interface for what, and who logged in.

In: ordered bytes of both directions, with holes (http_framing.py cuts them into messages). Out:
  Reading("http", {method, host, path, status, content_type, scheme, user, upload, op}): once when a request is seen
      (status None), once when its answer comes. `host`: the name or address that the client calls the server by;
      `content_type`: of the request's body, then of the answer's; scheme and user are those of its Authorization;
      `upload`: the client sends a body of unknown length or of more than UPLOAD_BYTES; `op`: the ONVIF operation.
  Reading("http-media", {form, upload}): media leave the camera in a body (media.py has the forms); `upload`: it sends
      them as the client. One of each picture, segment and file, one of each endless form a connection.
  Reading("control", {what, by, granted}): the camera is asked to turn, to play sound, or for what it recorded
      (control.py): once when it is asked (granted None), once when the answer comes.
  Reading("login", {serial, service, scheme, user, default_password, outcome, outcome_source}): once when somebody says
      who he is (outcome None), once when the answer says whether it was believed ("challenge": it only asks for more,
      or would have been given to anybody). `serial` joins the two.
  Reading("odd", {name}): something that breaks the format; reading goes on behind it.
Bodies are passed over, but for the beginning of those that may hold a login, say what became of it, or what they are;
they are forgotten at once.
"""

from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import answers, control, http_asked, http_framing, media
from camguard.protocols.control import Control
from camguard.protocols.http_asked import ASKED_BODY_CAP, Asked
from camguard.protocols.http_framing import Body, Half, Head
from camguard.protocols.text import NOT_MINE, NotMine, Reading

ANSWER_BODY_CAP = 8 * 1024  # of an answer to a login, its beginning
PENDING_CAP = 16  # unanswered requests each way
UNREAD_CAP = 64 * 1024  # bytes without anything readable before a connection joined in the middle is given up
STEPS_CAP = 1024  # for one chunk

_ENDLESS = ("mjpeg", "chunked")


class Film(NamedTuple):
    """A body whose first bytes say whether it is media."""

    kind: str | None
    path: str
    endless: bool


class Side(NamedTuple):
    """One direction. Of the body under way: `asked`, whose it is (of an answer with `status` and `fields`), and `film`,
    each None where nobody waits for it. `holes`: bytes were missing since the last answer."""

    half: Half = Half()
    asked: Asked | None = None
    status: int = 0
    fields: dict[str, str] = {}  # noqa: RUF012 - never changed, of the answer that `asked` got
    film: Film | None = None
    pending: tuple[Asked, ...] = ()
    holes: bool = False


class State(NamedTuple):
    """A connection. `client_up`: the HTTP client is the camera; `known`: a message was read; `over`: it is upgraded;
    `told`: endless media that were told."""

    up: Side = Side()
    down: Side = Side()
    client_up: bool | None = None
    known: bool = False
    over: bool = False
    unread: int = 0
    serial: int = 0
    told: tuple[str, ...] = ()


Step = tuple[State, list[Reading]]


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; readings of the messages that end in them."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state, up = state or State(), chunk.up
    readings: list[Reading] = []
    if chunk.gap:
        half, pieces = http_framing.broken(_side(state, up).half)
        state, readings = _pieces(_half(state, up, half), up, pieces)
        state = _put(state, up, _side(state, up)._replace(holes=True))
    half = _side(state, up).half
    half = half._replace(tail=half.tail + chunk.data)
    if not state.known and not half.lost and not http_framing.may_be_http(half.tail):
        return NOT_MINE, ()
    for _ in range(STEPS_CAP):
        before = half
        if not before.tail or state.over:
            break
        half, pieces = http_framing.step(before)
        if pieces:
            state, news = _pieces(_half(state, up, half), up, pieces)
            readings += news
            half = _side(state, up).half
        elif half == before:
            break
    state = _half(state, up, http_framing.capped(half))
    if not state.known:
        state = state._replace(unread=state.unread + len(chunk.data))
        if state.unread > UNREAD_CAP:
            return NOT_MINE, tuple(readings)
    return (NOT_MINE if state.over else state), tuple(readings)


def _side(state: State, up: bool) -> Side:
    return state.up if up else state.down


def _put(state: State, up: bool, side: Side) -> State:
    return state._replace(up=side) if up else state._replace(down=side)


def _half(state: State, up: bool, half: Half) -> State:
    return _put(state, up, _side(state, up)._replace(half=half))


def _pieces(state: State, up: bool, pieces: list[http_framing.Piece]) -> Step:
    readings: list[Reading] = []
    for piece in pieces:
        if isinstance(piece, Head):
            state, news = (_request if piece.method else _answer)(state._replace(known=True), up, piece)
        elif isinstance(piece, Body):
            state, news = (_answered if _side(state, up).status else _said)(state, up, piece)
        else:
            news = [Reading("odd", {"name": piece.name})] if state.known else []
        readings += news
    return state, readings


# ---- requests --------------------------------------------------------------------------------------------------------


def _request(state: State, up: bool, head: Head) -> Step:
    if state.client_up is None:
        state = state._replace(client_up=up)
    asked = http_asked.of_head(state.serial, head)
    if head.method == "CONNECT" or (asked.tunnel and head.method != "GET"):
        return state._replace(over=True), []
    told = [Reading("http", dict(asked.detail), from_server=up != state.client_up)]
    if asked.control and not up:
        told.append(control.reading(asked.control, None, from_server=up != state.client_up))
    if asked.claim:
        told.append(http_asked.login(asked, None, from_server=up != state.client_up))
    side = _side(state, up)
    pending = (*side.pending[-(PENDING_CAP - 1) :], asked)
    state = _put(state, up, side._replace(pending=pending))._replace(serial=state.serial + 1)
    sends = head.method in ("POST", "PUT")
    film = Film(media.content_type(head.fields.get("content-type")), str(asked.detail["path"]), head.endless)
    wanted = asked if sends and http_asked.may_say_more(head.fields) else None
    return _expect(state, up, head, wanted, film if sends and up else None, has_body=True, news=told)


def _said(state: State, up: bool, body: Body) -> Step:
    """The body of a request: who says that he is who, and what he asks."""
    state, told = _film(state, up, body)
    side = _side(state, up)
    if not body.over:
        return state, told
    asked = side.asked
    state = _put(state, up, side._replace(asked=None))
    if asked is None or asked not in side.pending:
        return state, told
    more = http_asked.with_body(asked, body.data, whole=body.whole)
    pending = tuple(more if one == asked else one for one in side.pending)
    state = _put(state, up, side._replace(asked=None, pending=pending))
    if more.control and not asked.control and not up:
        told.append(control.reading(more.control, None, from_server=up != state.client_up))
    if more.claim and not asked.claim:
        told.append(http_asked.login(more, None, from_server=up != state.client_up))
    return state, told


# ---- answers ---------------------------------------------------------------------------------------------------------


def _answer(state: State, up: bool, head: Head) -> Step:
    if state.client_up is None:
        state = state._replace(client_up=not up)
    status, found = head.status, head.fields
    if 100 <= status < 200:
        return state._replace(over=status == 101), []
    side, other = _side(state, up), _side(state, not up)
    pending = other.pending
    if side.holes and len(pending) > 1:
        pending = ()  # answers are missing: which of the questions this one is for cannot be told
    asked = pending[0] if pending else None
    state = _put(state, not up, other._replace(pending=pending[1:]))
    kind = media.content_type(found.get("content-type"))
    detail = (asked.detail if asked else http_asked.NOTHING) | {"status": status, "content_type": kind}
    told = [Reading("http", detail, from_server=up != state.client_up)]
    if asked and asked.tunnel and status == 200:
        state = state._replace(over=True)
    waiting = asked
    if asked and asked.claim:
        by_body = asked.service == "onvif" or asked.isapi
        if outcome := answers.of_head(asked.claim, status, found, body_tells=by_body):
            told.append(http_asked.login(asked, outcome, from_server=up != state.client_up))
            waiting = asked._replace(claim=None)
    if asked and asked.control and not (status < 300 and control.needs_body(asked.control, kind)):
        told += _granted(asked.control, status, b"", state, up)
        waiting = waiting and waiting._replace(control=None)
    if waiting and not waiting.claim and not waiting.control:
        waiting = None
    state = _put(state, up, side._replace(holes=False, fields=answers.told_by(found) if waiting else {}))
    method = asked.detail["method"] if asked else None
    film = Film(kind, str(asked.detail["path"] if asked else ""), head.endless)
    sends = up and status in (200, 206) and method in (None, "GET", "POST")
    has_body = status not in (204, 304) and method != "HEAD"
    return _expect(state, up, head, waiting, film if sends else None, has_body=has_body, news=told)


def _granted(wanted: Control, status: int, body: bytes, state: State, up: bool) -> list[Reading]:
    said = control.reading(wanted, control.granted(wanted, status, body), from_server=up != state.client_up)
    return [said] if up else []


def _answered(state: State, up: bool, body: Body) -> Step:
    """The body of an answer: told as soon as it says what became of a login, at the latest when there is no more."""
    state, told = _film(state, up, body)
    side = _side(state, up)
    asked = side.asked
    if asked and asked.claim:
        outcome = answers.of_body(asked.claim, side.status, side.fields, body.data, whole=body.whole)
        if body.over:
            outcome = outcome or ("unknown", "read")
        if outcome:  # it says so already; the rest is passed over
            told.append(http_asked.login(asked, outcome, from_server=up != state.client_up))
            asked = asked._replace(claim=None)
    if asked and asked.control and body.over:
        told += _granted(asked.control, side.status, body.data, state, up)
        asked = asked._replace(control=None)
    if body.over or not (asked and (asked.claim or asked.control)):
        asked = None
    side = _side(state, up)._replace(asked=asked)
    if body.over:
        side = side._replace(status=0, fields={})
    return _put(state, up, side), told


# ---- bodies ----------------------------------------------------------------------------------------------------------


def _expect(
    state: State, up: bool, head: Head, asked: Asked | None, film: Film | None, *, has_body: bool, news: list[Reading]
) -> Step:
    """What follows the head, and who waits for it."""
    side = _side(state, up)
    keep = 0 if asked is None else ANSWER_BODY_CAP if head.status else ASKED_BODY_CAP
    if film and has_body:
        known = media.form(film.kind, film.path, endless=film.endless)
        state, more = _shows(state, up, known)
        news += more
        film = film if known is None else None
        keep = max(keep, media.LOOK_BYTES if film else 0)
    side = side._replace(asked=asked, film=film if has_body else None, status=head.status)
    half, pieces = http_framing.expect(side.half, head, keep, has_body=has_body)
    state, more = _pieces(_put(state, up, side._replace(half=half)), up, pieces)
    return state, [*news, *more]


def _film(state: State, up: bool, body: Body) -> Step:
    """Whether the first bytes of a body are media."""
    film = _side(state, up).film
    if film is None:
        return state, []
    form = media.form(film.kind, film.path, endless=film.endless, data=body.data, last=body.over)
    if form is None:
        return state, []
    state = _put(state, up, _side(state, up)._replace(film=None))
    return _shows(state, up, form)


def _shows(state: State, up: bool, form: str | None) -> Step:
    if not form or form in state.told:
        return state, []
    if form in _ENDLESS:
        state = state._replace(told=(*state.told, form))
    return state, [Reading("http-media", {"form": form, "upload": up == state.client_up}, up != state.client_up)]
