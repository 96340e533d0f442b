"""Tunnels named: WireGuard and OpenVPN by their handshakes, SSH by both greetings. What goes through is never read, but
it may be a camera's video.

In: datagrams (`read`), ordered bytes (`read_stream`). Out: Reading("tunnel", {name, detail}), once; then the reader
wants no more. A request that nobody answers is no tunnel. Sources: WireGuard's protocol page (wireguard.com/protocol:
messages 1 to 4) and the corpus' generic/ndpi_wireguard; OpenVPN's doc/doxygen/doc_protocol_overview.h and
src/openvpn/ssl_pkt.h (opcodes, session ids), and its programs in the tests; RFC 4253 section 4.2.
"""

import struct
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, NotMine, Reading

STRANGERS_MAX = 3
TRIES_MAX = 16  # packets that fit but prove nothing
DATA_RUN = 3  # numbered packets of one WireGuard session, where its handshake was before we looked
DATA_STEP = 64  # largest step of their numbers (lost or unseen packets)
STREAM_MAX = 512  # bytes at the start of each direction
_RESET_CLIENT, _RESET_SERVER = (7, 10), 8  # P_CONTROL_HARD_RESET_CLIENT_V2 and _V3, P_CONTROL_HARD_RESET_SERVER_V2
COUNTED_MAX = 64  # packets that a client may have sent before it is answered
_RESET_MAX = 1200  # bytes; a V3 reset carries the client's wrapped key


class State(NamedTuple):
    """What a first message of each kind named: WireGuard's sender, OpenVPN's first packet; which way it went."""

    wireguard: tuple[bool, bytes] | None = None
    up: tuple[bytes, int, int] | None = None  # WireGuard's data, each way: receiver, counter, run
    down: tuple[bytes, int, int] | None = None
    openvpn: tuple[bool, bytes] | None = None
    tries: int = 0
    strangers: int = 0


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE with the reading, or where it is none of these."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    after = _wireguard(state, chunk) or _openvpn(state, chunk)
    if isinstance(after, Reading):
        return NOT_MINE, (after,)
    if after is None:
        after = state._replace(strangers=state.strangers + 1)
    after = after._replace(tries=after.tries + 1)
    return (NOT_MINE if after.strangers >= STRANGERS_MAX or after.tries >= TRIES_MAX else after), ()


def _tunnel(name: str, detail: str, from_server: bool | None = None) -> Reading:
    return Reading("tunnel", {"name": name, "detail": detail}, from_server)


def _wireguard(state: State, chunk: Chunk) -> State | Reading | None:
    data = chunk.data
    if len(data) < 32 or data[1:4] != b"\0\0\0" or chunk.gap:
        return None
    if data[0] == 1 and len(data) == 148:
        return state._replace(wireguard=(chunk.up, data[4:8]))
    if data[0] == 2 and len(data) == 92:
        answers = state.wireguard == (not chunk.up, data[8:12])
        return _tunnel("wireguard", "handshake", True) if answers else state
    if data[0] == 4 and len(data) % 16 == 0:
        receiver, number = data[4:8], int.from_bytes(data[8:16], "little")
        before = state.up if chunk.up else state.down
        run = before[2] + 1 if before and before[0] == receiver and 0 < number - before[1] <= DATA_STEP else 1
        if run >= DATA_RUN:
            return _tunnel("wireguard", "data")
        now = (receiver, number, run)
        return state._replace(up=now) if chunk.up else state._replace(down=now)
    return None


def _openvpn(state: State, chunk: Chunk) -> State | Reading | None:
    if not 14 <= len(chunk.data) <= _RESET_MAX or chunk.data[0] & 7:
        return None
    opcode = chunk.data[0] >> 3
    if opcode in _RESET_CLIENT:
        return state._replace(openvpn=(chunk.up, chunk.data))
    if opcode == _RESET_SERVER and state.openvpn and state.openvpn[0] != chunk.up:
        return _tunnel("openvpn", "handshake", True) if _answers(state.openvpn[1], chunk.data) else None
    return None


def _answers(reset: bytes, answer: bytes) -> bool:
    """Whether a server's reset belongs to this client's: it repeats the client's session id (behind a digest with
    --tls-auth), or both have only begun to count and tell nearly the same time (--tls-crypt hides the rest)."""
    if answer.find(reset[1:9], 9) >= 0:
        return True
    if min(len(reset), len(answer)) < 54:
        return False
    counts, times = zip(*(struct.unpack_from(">II", packet, 9) for packet in (reset, answer)), strict=True)
    # with --tls-crypt-v2 the count may begin at 0x0f000001 (ssl_pkt.h: EARLY_NEG_START); each try counts
    begun = all(0 < (count & ~0x0F000000) <= COUNTED_MAX for count in counts)
    return begun and min(times) > 1_000_000_000 and abs(times[0] - times[1]) < 86_400


# ---- over TCP --------------------------------------------------------------------------------------------------------


class Stream(NamedTuple):
    """How each direction begins."""

    up: bytes = b""
    down: bytes = b""


def read_stream(state: Stream | NotMine | None, chunk: Chunk) -> tuple[Stream | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes; NOT_MINE with the reading, or where the connection begins otherwise."""
    if isinstance(state, NotMine) or chunk.gap:
        return NOT_MINE, ()
    state = state or Stream()
    begun = (state.up if chunk.up else state.down) + chunk.data[:STREAM_MAX]
    state = state._replace(up=begun) if chunk.up else state._replace(down=begun)
    if not (_may_be_ssh(begun) or _may_be_openvpn(begun)) or len(begun) > 2 * _RESET_MAX:
        return NOT_MINE, ()
    if _is_ssh(state.up) and _is_ssh(state.down):
        return NOT_MINE, (_tunnel("ssh", "greetings"),)
    up, down = _packet(state.up), _packet(state.down)
    for reset, answer in ((up, down), (down, up)):
        if reset[:1] in (b"\x38", b"\x50") and answer[:1] == b"\x40":
            found = _answers(reset, answer)
            return NOT_MINE, (_tunnel("openvpn", "handshake", True),) if found else ()
    return state, ()


_SSH = (b"SSH-2.0-", b"SSH-1.99-")


def _may_be_ssh(begun: bytes) -> bool:
    return any(begun[: len(greeting)] == greeting[: len(begun)] for greeting in _SSH)


def _is_ssh(begun: bytes) -> bool:
    return begun.startswith(_SSH) and b"\n" in begun[:STREAM_MAX]


def _may_be_openvpn(begun: bytes) -> bool:
    """Packets have two bytes of length before them (doc_protocol_overview.h)."""
    return int.from_bytes(begun[:2], "big") <= _RESET_MAX and begun[2:3] in (b"", b"\x38", b"\x40", b"\x50")


def _packet(begun: bytes) -> bytes:
    """The first packet, b"" while it is not whole."""
    size = int.from_bytes(begun[:2], "big")
    return begun[2 : 2 + size] if size >= 14 and len(begun) >= 2 + size else b""
