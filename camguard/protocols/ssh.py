"""SSH (RFC 4253, RFC 4252): which programs talk, and, by sizes alone, how often somebody tried to log in and whether it
worked (pure).

In: ordered bytes of both directions; behind NEWKEYS one chunk is one TCP segment, and each end sends what it says in
one. Out:
  Reading("ssh", {server, client}): the software of both ends, once they have agreed on keys.
  Reading("login", ...) as doors.py has it, `outcome_source` "inferred", user None, scheme "key" or None.

What is encrypted still has its size, and KEXINIT says in clear which cipher and MAC are used. So the size of each
message before the login is known: SERVICE_ACCEPT ("ssh-userauth") has 17 bytes, USERAUTH_SUCCESS has 1,
USERAUTH_FAILURE always the same list of methods (the idea of Zeek's analyzer, src/analyzer/protocol/ssh/SSH.cc). An
answer of the size of SUCCESS is a success, one of the size of FAILURE a failure; a larger one asks for more
(INFO_REQUEST, PK_OK) or is the last word (DISCONNECT, "too many authentication failures"). The first request of
OpenSSH, libssh, PuTTY, dropbear and others is "none", which only asks for the methods and is no attempt; a program
that begins with the password is told from it by the sizes of both: a second request that is no longer than the first,
or one padded to 64 bytes, as OpenSSH pads passwords (sshconnect2.c). A key that is refused is a failure of its own
only where nothing else is tried after it: clients offer every key they have. What does not fit is unknown. Under
AES-CTR with a plain MAC the prompt "Password: " of servers before OpenSSH 8.7 is as long as FAILURE, and counts as
one. Caps: PACKET_CAP bytes of an unencrypted packet, RECORDS_CAP records; NOT_MINE after the first bytes that are not
"SSH-"."""

import re
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import doors
from camguard.protocols.credentials import Claim
from camguard.protocols.ssh_sizes import PACKET_CAP, Sizes, agreed, offers, records
from camguard.protocols.text import NOT_MINE, NotMine, Reading, printable

BANNER_CAP = 255  # bytes (RFC 4253 section 4.2)
UNREAD_RECORDS_CAP = 4  # encrypted ones up to SERVICE_ACCEPT: EXT_INFO of both, SERVICE_REQUEST, and itself
RECORDS_CAP = 512  # encrypted ones before anybody is in
STEPS_CAP = 64  # unencrypted packets in one chunk
SOFTWARE_CAP = 40  # characters

_KEXINIT, _NEWKEYS = 20, 21
_OF_CLIENT = frozenset({30, 34})  # KEXDH_INIT, KEX_ECDH_INIT; KEX_DH_GEX_REQUEST (RFC 4253, 5656, 4419)
_ACCEPT, _SUCCESS = 17, 1  # bytes of payload: SERVICE_ACCEPT "ssh-userauth", USERAUTH_SUCCESS
_LONGEST_FAILURE = 80  # bytes: longer ones than the lists of methods that there are bring EXT_INFO along (OpenSSH 9.6)
_REQUEST = 41  # bytes of payload: USERAUTH_REQUEST with a password, user and password of one character or none
_SHORTEST_SIGNATURE = 48  # bytes; Ed25519 adds 87
_SHORTEST_PK_OK = 72  # bytes; that of Ed25519 has 80, DISCONNECT "Too many authentication failures" at most 64
_SHORTEST_KEY = 96  # bytes: a request with a public key; "none" with a name of 60 characters
#: Programs whose first request is always "none".
_ASKS_FIRST = re.compile(r"(?i)openssh|libssh[-_](?!2)|putty|winscp|filezilla|dropbear|^go\b|jsch|asyncssh|trilead")


class Side(NamedTuple):
    """One direction. `software`: of its banner; `offers`: its KEXINIT's lists; `sizes`: since its NEWKEYS."""

    tail: bytes = b""
    software: str | None = None
    offers: tuple[tuple[str, ...], ...] = ()
    secret: bool = False
    lost: bool = False


class State(NamedTuple):
    """A connection. `accepted`: SERVICE_ACCEPT was seen; `first`: size of the first request; `failure`: that of
    USERAUTH_FAILURE; `request`: that of the latest request; `attempt`: what waits for an answer: "" nothing, "none" the
    first request if it may be "none", "key" or "some"; `maybe_none`: the first request was refused, and what it was is
    not known yet; `refused`: keys were refused and nothing else was tried; `more`: the server has asked for more."""

    up: Side = Side()
    down: Side = Side()
    client_up: bool | None = None
    accepted: bool = False
    first: int = 0
    failure: int = 0
    request: int = 0
    attempt: str = ""
    refused: bool = False
    maybe_none: bool = False
    more: bool = False
    serial: int = 0
    records: int = 0


Step = tuple[State, list[Reading]]


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; what they say of logins."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    side = state.up if chunk.up else state.down
    if side.software is None:
        begun = side.tail + chunk.data
        if not b"SSH-".startswith(begun[:4]):
            return NOT_MINE, ()
        banner, end, rest = begun.partition(b"\n")
        if not end:
            state = _put(state, chunk.up, side._replace(tail=begun))
            return (state if len(begun) <= BANNER_CAP else NOT_MINE), ()
        software = banner.decode("latin-1").strip().partition("-")[2].partition("-")[2]
        side, data = side._replace(software=printable(software, SOFTWARE_CAP), tail=b""), rest
    elif chunk.gap and not side.secret:
        return NOT_MINE, _nobody_knows(state)
    else:
        data = chunk.data
    news: list[Reading] = []
    if not side.secret:
        side = side._replace(tail=side.tail + data)
        state, data, news = _clear(_put(state, chunk.up, side), chunk.up)
        side = state.up if chunk.up else state.down
        if side.lost or len(side.tail) > PACKET_CAP:
            return NOT_MINE, (*news, *_nobody_knows(state))
    if side.secret and data:
        state, more = _encrypted(state, chunk.up, data, gap=chunk.gap)
        news += more
    over = any(one.what == "login" and one.detail["outcome"] == "success" for one in news)
    return (NOT_MINE if over or state.records > RECORDS_CAP else state), tuple(news)


def _put(state: State, up: bool, side: Side) -> State:
    return state._replace(up=side) if up else state._replace(down=side)


def _nobody_knows(state: State) -> tuple[Reading, ...]:
    """What was said is lost before the login: that there may have been one."""
    keys_agreed = state.client_up is not None
    return (doors.login("ssh", state.serial, Claim("", None, None)),) if keys_agreed and not state.accepted else ()


# ---- in clear --------------------------------------------------------------------------------------------------------


def _clear(state: State, up: bool) -> tuple[State, bytes, list[Reading]]:
    """Unencrypted packets up to NEWKEYS; the bytes behind it, and what was read."""
    news: list[Reading] = []
    for _ in range(STEPS_CAP):
        side = state.up if up else state.down
        tail = side.tail
        if len(tail) < 6:
            break
        length = int.from_bytes(tail[:4], "big")
        if not 2 <= length <= PACKET_CAP or tail[4] >= length:
            return _put(state, up, side._replace(lost=True)), b"", news
        if len(tail) < 4 + length:
            break
        code, body, rest = tail[5], tail[6 : 4 + length - tail[4]], tail[4 + length :]
        side = side._replace(tail=rest)
        if code == _KEXINIT:
            side = side._replace(offers=offers(body))
        if code == _NEWKEYS:
            return _put(state, up, side._replace(secret=True, tail=b"")), rest, news
        state = _put(state, up, side)
        if code in _OF_CLIENT and state.client_up is None:
            state = state._replace(client_up=up)
            client, server = (state.up, state.down) if up else (state.down, state.up)
            detail = {"server": server.software, "client": client.software}
            news.append(Reading("ssh", dict(detail), from_server=False))
    return state, b"", news


# ---- encrypted -------------------------------------------------------------------------------------------------------


def _encrypted(state: State, up: bool, data: bytes, *, gap: bool) -> Step:
    """Records of one end: each has a size, and that is all."""
    server = up != state.client_up
    client, other = (state.up, state.down) if state.client_up else (state.down, state.up)
    sizes = agreed(client.offers, other.offers, server=server)
    if state.client_up is None or sizes is None:
        state = state._replace(records=RECORDS_CAP + 1)
        return state, [one._replace(from_server=server) for one in _nobody_knows(state)]
    news: list[Reading] = []
    side = state.up if up else state.down
    tail = b"" if gap else side.tail
    if sizes.clear:
        found, tail = records(tail + data, sizes)
    else:
        found, tail = [len(data) - sizes.mac - (4 if sizes.apart else 0)], b""
    state = _put(state, up, side._replace(tail=tail))
    for size in found:
        if size > 0 and size % sizes.block == 0:
            state, more = _answer(state, size, sizes) if server else _ask(state, size, sizes.of(_REQUEST))
            news += more
        state = state._replace(records=state.records + 1)
    if not state.accepted and state.records > UNREAD_RECORDS_CAP:
        state = state._replace(records=RECORDS_CAP + 1)
        news += _nobody_knows(state)
    return state, [one._replace(from_server=server) for one in news]


def _login(state: State, outcome: str | None, *, unanswered: str | None = None) -> Reading:
    open_to_all = outcome == "success" and state.attempt == "none" and _asks_first(state)
    claim = Claim("key" if state.attempt == "key" else "", None, True if open_to_all else None)
    return doors.login("ssh", state.serial, claim, outcome, "inferred", unanswered=unanswered)


def _ask(state: State, size: int, shortest: int) -> Step:
    """The client sent something. Before SERVICE_ACCEPT that was SERVICE_REQUEST; `shortest`: of a request."""
    if not state.accepted:
        return state, []
    if state.more:  # an answer to what the server asked for: the key again with a signature, or a password
        scheme = "key" if state.request >= _SHORTEST_KEY and size >= state.request + _SHORTEST_SIGNATURE else "some"
        state = state._replace(more=False, attempt=scheme, request=size)
        return state, [_login(state, None)]
    if state.first and size < (state.first if state.maybe_none else shortest):
        return state, []  # DISCONNECT
    if not state.first:
        padded = size % 64 == 0
        none = not padded and size < _SHORTEST_KEY
        state = state._replace(first=size, request=size, attempt="none" if none else _scheme(size))
        return state, [] if none else [_login(state, None)]
    news: list[Reading] = []
    if state.maybe_none:  # answered with a failure: was it "none"?
        state, news = _settle_first(state, none=size > state.first)
    elif state.refused and _scheme(size) != "key":
        news = [_login(state._replace(attempt="key"), "challenge")]
    state = state._replace(attempt=_scheme(size), request=size, refused=state.refused and _scheme(size) == "key")
    return state, [*news, _login(state, None)]


def _scheme(size: int) -> str:
    """A request with a public key is long, and not padded to 64 bytes as OpenSSH pads passwords."""
    return "key" if size >= _SHORTEST_KEY and size % 64 else "some"


def _settle_first(state: State, *, none: bool) -> Step:
    """The first request was refused; now it is known whether it was "none"."""
    state = state._replace(maybe_none=False, attempt="some")
    if none:
        return state, [] if _asks_first(state) else [_login(state, "challenge")]
    told = _login(state, "failure")
    return state._replace(serial=state.serial + 1), [told]


def _answer(state: State, size: int, sizes: Sizes) -> Step:
    """The server sent something."""
    if not state.accepted:
        return state._replace(accepted=size == sizes.of(_ACCEPT)), []
    if not state.attempt:  # a banner came before the answer to "none" (RFC 4252 section 5.4)
        return state._replace(failure=size if state.maybe_none and size <= _LONGEST_FAILURE else state.failure), []
    if size == sizes.of(_SUCCESS):
        return state, [_login(state, "success")]
    if state.attempt == "none":
        return _none_answered(state, size)
    if not state.failure and size <= _LONGEST_FAILURE and state.attempt != "key":
        state = state._replace(failure=size)
    if size == state.failure:
        return _refused(state)
    # INFO_REQUEST, PK_OK, or DISCONNECT: if nothing more comes, it was the last word
    is_key = size >= _SHORTEST_PK_OK and size + 32 <= state.request <= size + 112
    return state._replace(more=True), [_login(state, None, unanswered="unknown" if is_key else "failure")]


def _asks_first(state: State) -> bool:
    """Whether the client is a program that always begins with "none"."""
    return _ASKS_FIRST.search((state.up if state.client_up else state.down).software or "") is not None


def _none_answered(state: State, size: int) -> Step:
    """The methods are told; that is the size of every failure to come, unless EXT_INFO came with it."""
    state = state._replace(failure=size if size <= _LONGEST_FAILURE else 0, attempt="", maybe_none=True)
    return state, [] if _asks_first(state) else [_login(state, None)]


def _refused(state: State) -> Step:
    state = state._replace(more=False)
    if state.attempt == "key":
        told = _login(state, None, unanswered="failure")
        return state._replace(attempt="", refused=True), [told]
    told = _login(state, "failure")
    return state._replace(attempt="", serial=state.serial + 1), [told]
