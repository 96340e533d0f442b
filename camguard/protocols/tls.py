"""TLS (RFC 8446 section 4.1.2): the name a client asks for in its ClientHello, whatever segments and records split it.

In: ordered bytes of a connection. Out: Reading("tls-hello", {sni, alpn}), once; then the reader wants no more. With
Encrypted Client Hello the name is the outer one, which names the hosting company only.
"""

import re
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, NotMine, Reading, printable

HELLO_CAP = 32 * 1024  # bytes of records that may hold one hello; post-quantum key shares make some 2 KB
RECORDS_CAP = 256  # that a hello may be split over; real ones take up to three
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")


class State(NamedTuple):
    """Unread bytes of the direction that began like a hello."""

    up: bool
    data: bytes


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes; NOT_MINE with the reading, or when this is no TLS or its start is missing."""
    if isinstance(state, NotMine) or (chunk.gap and state is not None):
        return NOT_MINE, ()
    if state is None:
        state = State(chunk.up, b"")
    elif state.up != chunk.up:
        return state, ()
    data = state.data + chunk.data
    hello = _handshake(data)
    if hello is None or len(data) > HELLO_CAP:
        return NOT_MINE, ()
    if len(hello) < 4 or len(hello) < 4 + int.from_bytes(hello[1:4], "big"):
        return State(chunk.up, data), ()
    detail = _client_hello(hello[4 : 4 + int.from_bytes(hello[1:4], "big")])
    if detail is None:
        return NOT_MINE, (Reading("odd", {"name": "tls-hello"}),)
    sni, alpn = detail
    return NOT_MINE, (Reading("tls-hello", {"sni": sni, "alpn": alpn}, from_server=False),)


def _handshake(data: bytes) -> bytes | None:
    """The handshake bytes in the records at the start of `data` as far as they go; None if it is no ClientHello."""
    hello = b""
    at = 0
    for _ in range(RECORDS_CAP):
        if at >= len(data):
            return hello
        head = data[at : at + 5]
        if head[0] != 22 or (len(head) > 1 and head[1] != 3) or (len(head) > 2 and head[2] > 4):
            return None
        if len(head) < 5:
            return hello
        size = int.from_bytes(head[3:5], "big")
        if not 0 < size <= 16384 + 256:
            return None
        hello += data[at + 5 : at + 5 + size]
        if hello[:1] not in (b"", b"\1") or int.from_bytes(hello[1:4], "big") > HELLO_CAP:
            return None
        if len(hello) >= 4 and len(hello) >= 4 + int.from_bytes(hello[1:4], "big"):
            return hello
        at += 5 + size
    return None


def _take(data: bytes, at: int, width: int) -> tuple[bytes, int] | None:
    """A vector with a length of `width` bytes before it, and the offset behind it; None if it does not fit."""
    size = int.from_bytes(data[at : at + width], "big")
    end = at + width + size
    return (data[at + width : end], end) if at + width <= len(data) and end <= len(data) else None


def _client_hello(body: bytes) -> tuple[str | None, tuple[str, ...]] | None:
    """(server name, ALPN names) of a ClientHello's body; None if its lengths lie."""
    at = 34  # version and random
    for width in (1, 2, 1):  # session id, cipher suites, compression methods
        taken = _take(body, at, width)
        if taken is None:
            return None
        at = taken[1]
    if at == len(body):
        return None, ()  # TLS 1.2 and older may have no extensions
    extensions = _take(body, at, 2)
    if extensions is None:
        return None
    sni: str | None = None
    alpn: tuple[str, ...] = ()
    data, at = extensions[0], 0
    while at < len(data):
        taken = _take(data, at + 2, 2)
        if taken is None:
            return None
        kind = int.from_bytes(data[at : at + 2], "big")
        if kind == 0:
            sni = _server_name(taken[0])
        elif kind == 16:
            alpn = _alpn(taken[0])
        at = taken[1]
    return sni, alpn


def _server_name(data: bytes) -> str | None:
    """The host name of a server_name extension (RFC 6066 section 3), if it can be one."""
    if len(data) < 5 or data[2] != 0:
        return None
    taken = _take(data, 3, 2)
    name = taken[0].decode("latin-1").lower() if taken else ""
    return name.rstrip(".") if len(name) <= 255 and _NAME.fullmatch(name) else None


def _alpn(data: bytes) -> tuple[str, ...]:
    """The protocol names offered (RFC 7301), at most eight."""
    names: list[str] = []
    at = 2
    while at < len(data) and len(names) < 8:
        taken = _take(data, at, 1)
        if taken is None:
            break
        names.append(printable(taken[0].decode("latin-1"), 32))
        at = taken[1]
    return tuple(names)
