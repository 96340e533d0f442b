"""RTMP (Adobe, "Real Time Messaging Protocol", 1.0): who publishes to whom, and who watches.

In: ordered bytes of both directions, with holes (rtmp_framing.py). Out:
  Reading("rtmp", {call, app, host, role, media}): `call` "connect", "publish", "play" when it is asked; "start" when
      the server says that it begins, "refused" when it says no (7.2.2); "media" once, when media come. `app`:
      the application up to its first "/"; `host`: what the client calls the server by; `role`: "publish" or "play",
      None before it is known.
  Reading("login", {serial, service, scheme, user, default_password, outcome, outcome_source}): where the name of what
      is played holds a user and a password (Reolink: rtmp://.../bcs/channel0_main.bcs?user=...; go2rtc, README).
  Reading("odd", {name}): something that breaks the format.
The name of what is published is a key to the owner's channel: it never leaves, nor does the query of any name.
"""

import re
from typing import Any, NamedTuple

from camguard.events import Chunk
from camguard.protocols import amf, credentials, rtmp_framing
from camguard.protocols.credentials import Claim
from camguard.protocols.rtmp_framing import HANDSHAKE_BYTES, Command, Half, Media
from camguard.protocols.text import NOT_MINE, Detail, NotMine, Reading, bare_url, host_name

UNREAD_CAP = 4096  # bytes without a command, behind the handshake or a hole, before the connection is given up
STEPS_CAP = 2048  # for one chunk: bounds the work for a run of empty messages

VERSION = 3  # section 5.2.2
_APP = re.compile(r"[A-Za-z0-9_.-]{1,24}")
_STARTS = {"NetStream.Publish.Start": "publish", "NetStream.Play.Start": "play"}
_ANSWERS = ("NetConnection.Connect.", "NetStream.Publish.", "NetStream.Play.")
_OF_CLIENT = ("connect", "publish", "play", "play2")


class State(NamedTuple):
    """A connection. `client_up`: the RTMP client is the camera, None until it is known; `known`: a command was read;
    `claim`: credentials that wait for the server's word, `serial`: how many there were."""

    up: Half = Half()
    down: Half = Half()
    client_up: bool | None = None
    known: bool = False
    app: str | None = None
    host: str | None = None
    role: str | None = None
    media: bool = False
    claim: Claim | None = None
    serial: int = 0
    unread: int = 0


Step = tuple[State, list[Reading]]


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; readings of the commands that end in them."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    first = state is None
    state, up = state or State(), chunk.up
    half = state.up if up else state.down
    if chunk.gap:
        half = Half(lost=True)
    elif not _may_be_mine(state, half, chunk):
        return NOT_MINE, ()
    elif first:
        state = state._replace(client_up=up)  # who speaks first is the client
    was_lost = half.lost
    state = _put(state, up, half._replace(tail=half.tail + chunk.data))
    if half.lost or not half.handshake:
        state = state._replace(unread=state.unread + len(chunk.data))
    readings: list[Reading] = []
    for _ in range(STEPS_CAP):
        before = state.up if up else state.down
        if not before.tail:
            break
        half, pieces = rtmp_framing.step(before)
        state = _put(state, up, half)
        for piece in pieces:
            state, news = _piece(state, up, piece)
            readings += news
        if not pieces and half == before:
            break
    else:
        state = _put(state, up, half._replace(lost=True, tail=b"", streams={}, left=0))
    if not state.known and (state.unread > UNREAD_CAP or (half.lost and not was_lost)):
        return NOT_MINE, ()
    return state, tuple(readings)


def _put(state: State, up: bool, half: Half) -> State:
    return state._replace(up=half) if up else state._replace(down=half)


def _may_be_mine(state: State, half: Half, chunk: Chunk) -> bool:
    """Each side begins with the version; the server waits for the client's first 1537 bytes (section 5.2.1), which
    other protocols that begin with a 3 do not send. ffmpeg's says its version, one byte, before (rtmpproto.c)."""
    if half.lost or half.handshake < HANDSHAKE_BYTES or not chunk.data:
        return True
    client = state.up if state.client_up else state.down
    early = state.client_up is not None and chunk.up != state.client_up and client.handshake > 1536 and not client.lost
    return chunk.data[0] == VERSION and not (early and len(chunk.data) > 1)


def _piece(state: State, up: bool, piece: rtmp_framing.Piece) -> Step:
    if isinstance(piece, Command):
        return _command(state, up, amf.values(piece.data))
    if isinstance(piece, Media):
        if state.media or not state.known:
            return state, []
        state = state._replace(media=True, role=state.role or ("publish" if up == state.client_up else "play"))
        return state, [_reading(state, up, "media")]
    return state, [Reading("odd", {"name": piece.name})] if state.known else []


def _command(state: State, up: bool, said: list[Any]) -> Step:
    """A command: name, transaction, object, arguments (section 7)."""
    name, more = (said[0] if said else None), said[2:]
    if name in _OF_CLIENT:
        return _asked(state._replace(known=True, client_up=up), up, str(name), more)
    if name not in ("onStatus", "_error", "_result"):
        return state, []
    state = state._replace(known=True, client_up=not up if state.client_up is None else state.client_up)
    info = next((one for one in reversed(more) if isinstance(one, dict)), {})
    code = str(info.get("code"))
    if role := _STARTS.get(code):
        state, news = _outcome(state, up, ("success", "read"))
        state = state._replace(role=role)
        return state, [*news, _reading(state, up, "start")]
    refused = name != "_result" and info.get("level") == "error" and code.startswith(_ANSWERS)
    if not refused:
        return state, []
    wrong = not code.endswith("StreamNotFound")  # where there is no such stream, the password may be right
    state, news = _outcome(state, up, ("failure" if wrong else "unknown", "inferred"))
    return state, [*news, _reading(state, up, "refused")]


def _asked(state: State, up: bool, name: str, more: list[Any]) -> Step:
    if name == "connect":
        asked = more[0] if more and isinstance(more[0], dict) else {}
        app, url = asked.get("app"), asked.get("tcUrl")
        state = state._replace(app=_app(app), host=_host(url))
        return state, [_reading(state, up, "connect")]
    state = state._replace(role="publish" if name == "publish" else "play")
    target = next((one for one in more if isinstance(one, str)), "")
    claim = credentials.of_url(target) if state.role == "play" else None
    news = [_reading(state, up, str(state.role))]
    if claim:
        state = state._replace(claim=claim, serial=state.serial + 1)
        news.append(_login(state, claim, None, up))
    return state, news


def _outcome(state: State, up: bool, outcome: tuple[str, str]) -> Step:
    """The server's word on what was asked, and so on who asked."""
    if state.claim is None:
        return state, []
    return state._replace(claim=None), [_login(state, state.claim, outcome, up)]


def _login(state: State, claim: Claim, outcome: tuple[str, str] | None, up: bool) -> Reading:
    detail: Detail = {
        "serial": state.serial,
        "service": "rtmp",
        "scheme": claim.scheme,
        "user": claim.user,
        "default_password": claim.default_password,
        "outcome": outcome[0] if outcome else None,
        "outcome_source": outcome[1] if outcome else None,
    }
    return Reading("login", detail, up != state.client_up)


def _reading(state: State, up: bool, call: str) -> Reading:
    detail: Detail = {"call": call, "app": state.app, "host": state.host, "role": state.role, "media": state.media}
    return Reading("rtmp", detail, up != state.client_up)


def _app(value: object) -> str | None:
    """The application without instance and query; what is too long for a name may be a key."""
    word = re.split(r"[/?]", value.lstrip("/"), maxsplit=1)[0] if isinstance(value, str) else ""
    return word if _APP.fullmatch(word) and bare_url("/" + word) == "/" + word else None


def _host(url: object) -> str | None:
    return host_name(url.partition("://")[2].partition("/")[0]) if isinstance(url, str) else None
