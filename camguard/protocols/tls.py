"""TLS (RFC 8446 section 4.1.2): the name a client asks for in its ClientHello, whatever segments and records split it.

In: ordered bytes of a connection. Out: Reading("tls-hello", {sni, alpn, ja4, ech}), once (hello.py says what these
are); then the reader wants no more.
"""

from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.hello import client_hello
from camguard.protocols.text import NOT_MINE, NotMine, Reading

HELLO_CAP = 32 * 1024  # bytes of records that may hold one hello; post-quantum key shares make some 2 KB
RECORDS_CAP = 256  # that a hello may be split over; real ones take up to three


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
    said = client_hello(hello[4 : 4 + int.from_bytes(hello[1:4], "big")], "t")
    if said is None:
        return NOT_MINE, (Reading("odd", {"name": "tls-hello"}),)
    return NOT_MINE, (Reading("tls-hello", said._asdict(), from_server=False),)


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
