"""RTSP 1.0 and 2.0 (RFC 2326, RFC 7826): who asked the camera for what, and whether it was granted.

In: ordered bytes of both directions, with holes (rtsp_framing.py cuts them into messages and media). Out:
  Reading("rtsp", {method, url, status, cseq, transport, client_ports, server_ports, interleaved, destination, mode,
      range, user_agent, scheme}): once when a request is seen (status None), once when its answer comes. `from_server`
      says that the RTSP server spoke. `transport` ("udp", "tcp", "multicast"), ports and interleaved channels are those
      that the answer to SETUP settles; `mode` is "record" where the client sends the media.
  Reading("login", {serial, service, scheme, user, default_password, outcome, outcome_source}): once when a request
      holds credentials (outcome None), once when its answer says whether they were believed ("challenge": it asks
      for others, such as for a newer nonce); `serial` joins the two.
  Reading("control", {what, by, granted}): playback, talk-back (control.py): once when it is asked of the camera
      (granted None), once when its answer comes.
  Reading("rtsp-interleaved", {channel, ssrc, payload_type}): media inside a connection of which no opening was read
  Reading("odd", {name}): something that breaks the format; reading goes on behind it.
Inside a tunnel (rtsp_http.py) requests and answers are on two connections: the `serial` of a login is then its CSeq,
its detail says {tunnel: True}, and Reading("login-answer", {serial, service, outcome, outcome_source}) is said of every
answer, whether or not its request held credentials.
Of passwords, digests, nonces, cookies and session ids nothing is kept.
"""

from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import answers, control, credentials, rtsp_framing
from camguard.protocols.control import Control
from camguard.protocols.credentials import Claim
from camguard.protocols.rtsp_framing import Half, Media, Message
from camguard.protocols.text import (
    NOT_MINE,
    Detail,
    NotMine,
    Reading,
    auth_scheme,
    bare_url,
    number,
    printable,
    transport,
)

#: Requests that only a client makes (RFC 2326 section 10, table 2): they settle who is the server.
_OF_CLIENT = frozenset({"DESCRIBE", "SETUP", "PLAY", "PAUSE", "RECORD"})
_OF_SERVER = frozenset({"REDIRECT", "PLAY_NOTIFY"})

PENDING_CAP = 16  # unanswered requests each way; clients send one or two ahead
UNREAD_CAP = 64 * 1024  # bytes without anything readable before a connection joined in the middle is given up
STEPS_CAP = 1024  # for one chunk: bounds the work for a chunk of empty frames
SDP_CAP = 8 * 1024  # of a description that may name the way back to the camera's loudspeaker


class Request(NamedTuple):
    """A request that waits for its answer; `detail` is what its reading said."""

    cseq: str
    detail: Detail
    client_ports: tuple[str, ...]
    transport: str | None
    serial: int = 0
    claim: Claim | None = None
    control: Control | None = None
    backchannel: bool = False


class Side(NamedTuple):
    """One direction, and the requests in it that wait for their answers."""

    half: Half = Half()
    pending: tuple[Request, ...] = ()


class State(NamedTuple):
    """A connection. `client_up`: the RTSP client is the camera; `known`: a message was read; `told`: media was told.

    `tunnel`: what is read is one of the two connections of a tunnel. `unread`: bytes seen before anything was read.
    `recorded`: what is described or set up is footage of the past; `talk`: the media that the camera would receive,
    None where no description was read."""

    up: Side = Side()
    down: Side = Side()
    client_up: bool | None = None
    known: bool = False
    told: bool = False
    tunnel: bool = False
    unread: int = 0
    serial: int = 0
    recorded: bool = False
    talk: tuple[str, ...] | None = None


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; readings of the messages that end in them."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state, up = state or State(), chunk.up
    half = Half(lost=True) if chunk.gap else _side(state, up).half
    half = half._replace(tail=half.tail + chunk.data, textless=False)
    surely_at_start = not half.lost and not half.guess
    if not state.known and not rtsp_framing.may_be_rtsp(half):
        return NOT_MINE, ()
    readings: list[Reading] = []
    for _ in range(STEPS_CAP):
        before = half
        if not before.tail:
            break
        half, pieces = rtsp_framing.step(before)
        if half.keep and not half.skip:
            state, half = _described(state, half)
        if pieces:
            state = _half(state, up, half)
            for piece in pieces:
                state, news = _piece(state, up, piece)
                readings += news
            half = _side(state, up).half
        elif half == before:
            break
    half = rtsp_framing.capped(half)
    state = _half(state, up, half)
    if not state.known:
        state = state._replace(unread=state.unread + len(chunk.data))
        if state.unread > UNREAD_CAP or (surely_at_start and half.lost):
            return NOT_MINE, ()
    return state, tuple(readings)


def _side(state: State, up: bool) -> Side:
    return state.up if up else state.down


def _put(state: State, up: bool, side: Side) -> State:
    return state._replace(up=side) if up else state._replace(down=side)


def _half(state: State, up: bool, half: Half) -> State:
    return _put(state, up, _side(state, up)._replace(half=half))


def _described(state: State, half: Half) -> tuple[State, Half]:
    """A description that was waited for is there."""
    talk = control.talk_tracks(half.kept) if half.kept else None
    return state._replace(talk=talk), half._replace(keep=0, kept=b"")


def _piece(state: State, up: bool, piece: rtsp_framing.Piece) -> tuple[State, list[Reading]]:
    if isinstance(piece, Message):
        state = state._replace(known=True)
        return _request(state, up, piece) if piece.method else _answer(state, up, piece.status, piece.fields)
    if isinstance(piece, Media):
        if state.told:
            return state, []
        return state._replace(told=True, known=True), [Reading("rtsp-interleaved", dict(piece._asdict()))]
    return state, [Reading("odd", {"name": piece.name})] if state.known else []


def _request(state: State, up: bool, message: Message) -> tuple[State, list[Reading]]:
    """A request: tell of it and keep it until its answer comes."""
    method, url, _, fields = message
    if method in _OF_CLIENT or state.client_up is None:
        state = state._replace(client_up=up != (method in _OF_SERVER))
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
    if method in ("DESCRIBE", "SETUP"):
        state = state._replace(recorded=state.recorded or control.is_recorded(url, fields))
    wanted = None if up else _wanted(state, message)
    serial = number(fields.get("cseq")) if state.tunnel else None
    waiting = Request(
        fields.get("cseq", "")[:32],
        detail,
        asked.client_ports,
        asked.kind,
        state.serial if serial is None else serial,
        claim,
        wanted,
        method == "DESCRIBE" and control.requires_backchannel(fields),
    )
    side = _side(state, up)
    pending = tuple(other for other in side.pending if other.cseq != waiting.cseq)[-(PENDING_CAP - 1) :]
    state = _put(state, up, side._replace(pending=(*pending, waiting)))._replace(serial=state.serial + 1)
    from_server = up != state.client_up
    readings = [Reading("rtsp", dict(detail), from_server), *_login(state, waiting, None, from_server=from_server)]
    return state, [*readings, *([control.reading(wanted, None, from_server=from_server)] if wanted else [])]


def _wanted(state: State, message: Message) -> Control | None:
    """What a request asks of the camera beside its live picture."""
    method, url, _, fields = message
    if method == "RECORD" or (method == "SETUP" and control.sets_up_talk(url, fields, state.talk)):
        return Control("talk", "rtsp")
    if method == "PLAY" and (state.recorded or control.is_recorded(url, fields) or control.asks_for_past(fields)):
        return Control("playback", "rtsp")
    return None


def _login(state: State, waiting: Request, outcome: answers.Outcome | None, *, from_server: bool) -> list[Reading]:
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
    return [Reading("login", detail | {"tunnel": True} if state.tunnel else detail, from_server)]


def _answer(state: State, up: bool, status: int, fields: dict[str, str]) -> tuple[State, list[Reading]]:
    """An answer: pair it with the request of the other side that has its CSeq. Interim answers are passed over."""
    if status < 200:
        return state, []
    other = _side(state, not up)
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
    from_server = up != state.client_up
    readings = [Reading("rtsp", detail, from_server)]
    if waiting is not None and waiting.claim is not None:
        outcome = answers.of_head(waiting.claim, status, fields, body_tells=False)
        readings += _login(state, waiting, outcome, from_server=from_server)
    elif state.tunnel and (serial := number(cseq)) is not None:
        word, source = answers.of_head(_SOMEBODY, status, fields, body_tells=False) or ("unknown", "read")
        answer: Detail = {"serial": serial, "service": "rtsp", "outcome": word, "outcome_source": source}
        readings.append(Reading("login-answer", answer, from_server))
    if waiting is not None and waiting.control:
        readings.append(control.reading(waiting.control, status == 200, from_server=from_server))
    if waiting is not None and waiting.backchannel and status == 200:
        half = _side(state, up).half
        state = _half(state, up, half._replace(keep=SDP_CAP))
    return state, readings


_SOMEBODY = Claim("digest", None, None)


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
