"""STUN (RFC 8489), its older form (RFC 3489), TURN relays (RFC 8656; over TCP: RFC 6062): who wants to reach a camera
from afar, and by which relay.

In: datagrams (`read`), or ordered bytes (`read_stream`: RFC 8489 section 6.2.2, or behind two bytes of length as ICE
over TCP has it, RFC 4571). Out: Reading("stun", {method, cls, mapped, relayed, peer, role, nominated, error,
software}), once for each method, class and addresses:

- mapped: how the other end sees the sender; relayed: where the relay takes what is meant for the camera;
- peer: the far end behind the relay. What comes through the relay is read as well, with the same peer;
- role: "controlling" or "controlled" in the checks between two ends (ICE, RFC 8445); nominated: this way is taken;
- error: the number; 401 is a relay's usual first answer.

USERNAME, REALM, NONCE and digests stay inside. The old form has no cookie: it is believed only where each attribute is
one of RFC 3489 and each length fits. DTLS and RTP may follow on the same flow (RFC 7983).
"""

from collections.abc import Iterator
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.framing import Half, end, frames, remember
from camguard.protocols.text import NOT_MINE, NotMine, Reading, printable

COOKIE = b"\x21\x12\xa4\x42"
METHODS = {
    1: "binding",
    2: "shared-secret",
    3: "allocate",
    4: "refresh",
    6: "send",
    7: "data",
    8: "create-permission",
    9: "channel-bind",
    10: "connect",
    11: "connection-bind",
    12: "connection-attempt",
}
CLASSES = ("request", "indication", "success", "error")
#: Attributes of RFC 3489 section 11.2, and two that its programs added: 8020 (XOR-MAPPED-ADDRESS), 8022 (SERVER).
_CLASSIC = frozenset({*range(1, 12), 0x8020, 0x8022})

TOLD_MAX = 32  # messages that are remembered as told
PEERS_MAX = 8  # far ends in one message (CreatePermission may name several)
CHANNELS_MAX = 8
ATTRIBUTES_MAX = 32
STRANGERS_MAX = 8  # packets of something else; where STUN was heard the next call may still come, whatever goes on
MESSAGE_MAX = 2048  # bytes of a message in a stream


class Message(NamedTuple):
    """One message. `inside`: what an indication relays; `channel`: the number that a ChannelBind asks for."""

    method: str
    cls: str
    mapped: str | None = None
    relayed: str | None = None
    peers: tuple[str, ...] = ()
    role: str | None = None
    nominated: bool = False
    error: int | None = None
    software: str | None = None
    channel: int | None = None
    inside: bytes = b""


class State(NamedTuple):
    """What was told, the far end of each channel of a relay, whether STUN was heard, how much else before it."""

    told: tuple[tuple[object, ...], ...] = ()
    channels: tuple[tuple[int, str], ...] = ()
    heard: bool = False
    strangers: int = 0


class Stream(NamedTuple):
    """A connection: its two directions, whether frames have a length before them (None: not known yet)."""

    up: Half = Half()
    down: Half = Half()
    prefixed: bool | None = None
    state: State = State()


def message(payload: bytes, *, whole: bool = True) -> Message | None:
    """The message that `payload` is, None where it is none. `whole`: its end was captured, too."""
    if len(payload) < 20 or payload[0] & 0xC0:
        return None
    size, cookie = int.from_bytes(payload[2:4], "big"), payload[4:8] == COOKIE
    if size + 20 != len(payload) if whole else size + 20 < len(payload):
        return None
    kind = int.from_bytes(payload[:2], "big")
    number = kind & 0x0F | kind >> 1 & 0x70 | kind >> 2 & 0xF80
    attributes = list(_attributes(payload[20:]))
    padded = sum(4 + (len(value) + 3 & ~3) for _, value in attributes)
    last = len(attributes[-1][1]) if attributes else 0
    fits = size in (padded, padded - (-last & 3))  # some leave the last one without padding (arkime_stun.pcap)
    if whole and not fits:
        return None
    cls = CLASSES[kind >> 4 & 1 | kind >> 7 & 2]
    if not cookie and not (
        size % 4 == 0 and number == 1 and cls != "indication" and fits and _is_classic(cls, dict(attributes))
    ):
        return None
    found = Message(METHODS.get(number, f"0x{number:03x}"), cls)
    for name, value in attributes:
        found = _add(found, name, value, payload[4:20])
    return found


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each attribute, up to the first that does not fit."""
    at = 0
    for _ in range(ATTRIBUTES_MAX):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if at + 4 > len(data) or at + 4 + size > len(data):
            return
        yield int.from_bytes(data[at : at + 2], "big"), data[at + 4 : at + 4 + size]
        at += 4 + (size + 3 & ~3)


def _is_classic(cls: str, attributes: dict[int, bytes]) -> bool:
    """Whether this can only be RFC 3489: an answer says an address, a request carries one of the few things it may."""
    if not attributes or not attributes.keys() <= _CLASSIC:
        return False
    if cls == "request":
        change = attributes.get(3)
        return 6 in attributes or 2 in attributes or (change is not None and change in (bytes(4), *_CHANGES))
    needed = 1 if cls == "success" else 9
    return needed in attributes and (cls == "error" or _address(attributes[1], b"") is not None)


_CHANGES = (b"\0\0\0\2", b"\0\0\0\4", b"\0\0\0\6")


def _address(value: bytes, mask: bytes) -> str | None:
    """A (XOR-)MAPPED-ADDRESS (RFC 8489 sections 14.1, 14.2); `mask`: cookie and transaction, empty for none."""
    if len(value) not in (8, 20) or value[1] != (1 if len(value) == 8 else 2):
        return None
    port, packed = int.from_bytes(value[2:4], "big"), value[4:]
    if mask:
        port ^= int.from_bytes(mask[:2], "big")
        packed = bytes(a ^ b for a, b in zip(packed, mask, strict=False))
    return end(packed, port)


def _add(found: Message, name: int, value: bytes, mask: bytes) -> Message:
    """What one attribute says; a later mapped address is as good as the first."""
    match name:
        case 0x0001:
            return found._replace(mapped=found.mapped or _address(value, b""))
        case 0x0020 | 0x8020:
            return found._replace(mapped=_address(value, mask) or found.mapped)
        case 0x0012 if len(found.peers) < PEERS_MAX:
            peer = _address(value, mask)
            return found._replace(peers=(*found.peers, peer)) if peer and peer not in found.peers else found
        case 0x0016:
            return found._replace(relayed=_address(value, mask))
        case 0x0013:
            return found._replace(inside=value)
        case 0x000C if len(value) == 4:
            return found._replace(channel=int.from_bytes(value[:2], "big"))
        case 0x0009 if len(value) >= 4:
            return found._replace(error=(value[2] & 7) * 100 + value[3] % 100)
        case 0x0025:
            return found._replace(nominated=True)
        case 0x8029 | 0x802A:
            return found._replace(role="controlled" if name == 0x8029 else "controlling")
        case 0x8022:
            return found._replace(software=printable(value.decode("latin-1").rstrip("\0"), 40) or None)
    return found


def channel_data(payload: bytes) -> tuple[int, bytes] | None:
    """Number and content of a TURN channel's packet (RFC 8656 section 12.4), None if it is none."""
    if len(payload) < 4 or payload[0] >> 4 != 4:
        return None
    size = int.from_bytes(payload[2:4], "big")
    return (int.from_bytes(payload[:2], "big"), payload[4 : 4 + size]) if 0 <= len(payload) - 4 - size < 4 else None


def inside(payload: bytes) -> bytes | None:
    """What a packet to or from a relay carries, None where it carries nothing: for the readers of DTLS and RTP."""
    if payload[4:8] == COOKIE and payload[:2] in (b"\x00\x16", b"\x00\x17"):
        found = message(payload)
        return found.inside if found and found.inside else None
    channel = channel_data(payload)
    return channel[1] if channel else None


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one datagram of a flow; NOT_MINE where no STUN comes, or none for long."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    return _heard(state or State(), chunk.data, not chunk.gap)


def _heard(state: State, payload: bytes, whole: bool) -> tuple[State | NotMine, tuple[Reading, ...]]:
    found = message(payload, whole=whole)
    if found is None:
        channel = channel_data(payload) if state.heard else None
        if channel:
            peer = dict(state.channels).get(channel[0])
            inner = message(channel[1])
            return _tell(state, inner, peer) if inner else (state, ())
        if payload[4:8] == COOKIE and payload[:1] <= b"\x01" and whole:
            return state, (Reading("odd", {"name": "stun-message"}),)
        if state.heard:
            return state, ()
        strangers = state.strangers + 1
        return (NOT_MINE if strangers >= STRANGERS_MAX else state._replace(strangers=strangers)), ()
    state = state._replace(heard=True, strangers=0)
    if found.method == "channel-bind" and found.channel and found.peers:
        others = tuple(pair for pair in state.channels if pair[0] != found.channel)
        state = state._replace(channels=(*others, (found.channel, found.peers[0]))[-CHANNELS_MAX:])
    state, readings = _tell(state, found, None)
    inner = message(found.inside) if found.inside and found.peers else None
    if inner:
        state, more = _tell(state, inner, found.peers[0])
        readings += more
    return state, readings


def _tell(state: State, found: Message, behind: str | None) -> tuple[State, tuple[Reading, ...]]:
    """The message for each far end in it, as far as that is new; `behind`: it came through the relay from there."""
    readings: list[Reading] = []
    for peer in found.peers or (behind,):
        told = remember(
            state.told, (found.method, found.cls, found.mapped, found.relayed, peer, found.nominated), TOLD_MAX
        )
        if told is None:
            continue
        state = state._replace(told=told)
        detail: dict[str, str | int | float | bool | tuple[str, ...] | None] = {
            "method": found.method,
            "cls": found.cls,
            "mapped": found.mapped,
            "relayed": found.relayed,
            "peer": peer,
            "role": found.role,
            "nominated": found.nominated,
            "error": found.error,
            "software": found.software,
        }
        readings.append(Reading("stun", detail, _from_server(found)))
    return state, tuple(readings)


def _from_server(found: Message) -> bool | None:
    if found.cls == "indication":
        return {"send": False, "data": True, "connection-attempt": True}.get(found.method)
    return found.cls != "request"


# ---- over TCP --------------------------------------------------------------------------------------------------------


def read_stream(state: Stream | NotMine | None, chunk: Chunk) -> tuple[Stream | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes; NOT_MINE where the talk is another, or where a relayed connection begins (RFC 6062)."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or Stream()
    half = state.up if chunk.up else state.down
    if chunk.gap:
        half = Half()
    if state.prefixed is None:
        data = half.data + chunk.data
        prefixed = _is_prefixed(data)
        if prefixed is None:
            return (NOT_MINE if len(data) >= 10 or data[0] > 7 else _with(state, chunk.up, Half(data))), ()
        state = state._replace(prefixed=prefixed)
    waiting, found = frames(half, chunk.data, _prefixed_size if state.prefixed else _plain_size, MESSAGE_MAX)
    talk: State | NotMine = state.state
    readings: list[Reading] = []
    for frame in found:
        payload = frame[2:] if state.prefixed else frame
        if isinstance(talk, State):
            talk, more = _heard(talk, payload, len(frame) < MESSAGE_MAX)
            readings += more
    if isinstance(talk, State) and waiting is None:  # a hole, or a relayed connection that goes on in its own words
        talk = NOT_MINE if talk.strangers + 1 >= STRANGERS_MAX else talk._replace(strangers=talk.strangers + 1)
    if isinstance(talk, NotMine):
        return NOT_MINE, tuple(readings)
    return _with(state._replace(state=talk), chunk.up, waiting or Half()), tuple(readings)


def _with(state: Stream, up: bool, half: Half) -> Stream:
    return state._replace(up=half) if up else state._replace(down=half)


def _is_prefixed(data: bytes) -> bool | None:
    """Whether frames have a length before them, None where this does not begin like either (or is too short)."""
    if data[:1] <= b"\x01" and data[4:8] == COOKIE:
        return False
    return True if data[:1] <= b"\x07" and data[2:3] <= b"\x01" and data[6:10] == COOKIE else None


def _plain_size(data: bytes) -> int | None:
    if data[0] >> 4 == 4:
        return 0 if len(data) < 4 else 4 + (int.from_bytes(data[2:4], "big") + 3 & ~3)
    if data[0] > 1 or not COOKIE.startswith(data[4:8]):
        return None
    return 0 if len(data) < 8 else 20 + int.from_bytes(data[2:4], "big")


def _prefixed_size(data: bytes) -> int | None:
    return 0 if len(data) < 2 else 2 + int.from_bytes(data[:2], "big")
