"""DTLS 1.0 to 1.3 (RFC 6347, RFC 9147): whom a client asks for in its ClientHello, whatever fragments and relays it
comes in. Its content is never read.

In: datagrams of a flow, also what a TURN relay carries. Out: Reading("dtls-hello", {sni, alpn, ja4, ech}), once; then
the reader wants no more. WebRTC has no server name: there the hello says only that a call begins. STUN comes before it
on the same flow, and a capture may have each packet twice (the trap of zeek issue 5596); neither counts against it.
"""

from collections.abc import Iterator
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import stun
from camguard.protocols.hello import client_hello
from camguard.protocols.text import NOT_MINE, NotMine, Reading

HELLO_MAX = 16 * 1024  # bytes of a hello; post-quantum key shares make some 2 KB
FRAGMENTS_MAX = 32
RECORDS_MAX = 16  # in one datagram
STRANGERS_MAX = 8  # packets of something else
SHARED_MAX = 64  # packets of STUN and RTP, which share the port
#: DTLS 1.0, 1.2 (1.3 says 1.2 as well), and what OpenSSL said before the standard (zeek, nDPI dtls.c).
VERSIONS = (b"\xfe\xff", b"\xfe\xfd", b"\x01\x00")


class Fragment(NamedTuple):
    """A part of a handshake message (RFC 6347 section 4.2.2): `size` of the whole one, `at` where `data` belongs."""

    kind: int
    size: int
    sequence: int
    at: int
    data: bytes


class State(NamedTuple):
    """The hello that is not whole yet: which way it goes, its fragments; packets of others."""

    up: bool = False
    parts: tuple[Fragment, ...] = ()
    strangers: int = 0
    shared: int = 0


def fragments(payload: bytes) -> Iterator[Fragment]:
    """The handshake fragments that are not encrypted (epoch 0), up to the first record that does not fit."""
    at = 0
    for _ in range(RECORDS_MAX):
        head = payload[at : at + 13]
        if len(head) < 13 or not 20 <= head[0] <= 25 or head[1:3] not in VERSIONS:
            return
        size = int.from_bytes(head[11:13], "big")
        body = payload[at + 13 : at + 13 + size]
        if head[0] == 22 and head[3:5] == b"\0\0" and len(body) == size:
            yield from _of_record(body)
        at += 13 + size


def _of_record(body: bytes) -> Iterator[Fragment]:
    at = 0
    while at + 12 <= len(body):
        size, sequence = int.from_bytes(body[at + 1 : at + 4], "big"), int.from_bytes(body[at + 4 : at + 6], "big")
        offset, length = int.from_bytes(body[at + 6 : at + 9], "big"), int.from_bytes(body[at + 9 : at + 12], "big")
        data = body[at + 12 : at + 12 + length]
        if len(data) < length or offset + length > size:
            return
        yield Fragment(body[at], size, sequence, offset, data)
        at += 12 + length


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE with the reading, or where nothing of DTLS comes."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    payload = stun.inside(chunk.data) or chunk.data
    if payload[1:3] not in VERSIONS or not 20 <= payload[0] <= 25:
        return _stranger(state, payload), ()
    for part in fragments(payload):
        if part.kind != 1 or not 0 < part.size <= HELLO_MAX:
            continue
        state = _with(state, chunk.up, part)
        body = _whole(state.parts)
        if body is not None:
            hello = client_hello(body, "d")
            if hello is None:
                return NOT_MINE, (Reading("odd", {"name": "dtls-hello"}),)
            return NOT_MINE, (Reading("dtls-hello", {**hello._asdict()}, from_server=False),)
    return (state if state.parts else _stranger(state, payload)), ()


def _stranger(state: State, payload: bytes) -> State | NotMine:
    """STUN and RTP share a port with DTLS (RFC 7983): there the hello may still come, or be long past."""
    if payload[:1] <= b"\x03" or payload[:1] >= b"\x80":
        state = state._replace(shared=state.shared + 1)
    else:
        state = state._replace(strangers=state.strangers + 1)
    return NOT_MINE if state.strangers >= STRANGERS_MAX or state.shared >= SHARED_MAX else state


def _with(state: State, up: bool, part: Fragment) -> State:
    """A hello that begins anew (with a cookie, RFC 6347 section 4.2.1) takes the place of the one before."""
    same = state.parts and state.up == up and state.parts[0][1:3] == part[1:3]
    known = state.parts if same else ()
    if any(other.at == part.at and len(other.data) >= len(part.data) for other in known):
        return state
    return state._replace(up=up, parts=(*known, part)[-FRAGMENTS_MAX:])


def _whole(parts: tuple[Fragment, ...]) -> bytes | None:
    """The message that its fragments make, None while there is a hole; they may overlap."""
    body = b""
    for part in sorted(parts, key=lambda part: part.at):
        if part.at > len(body):
            return None
        body += part.data[len(body) - part.at :]
    return body if parts and len(body) == parts[0].size else None
