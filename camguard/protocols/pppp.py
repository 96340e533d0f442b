"""PPPP, the peer-to-peer talk of many cheap cameras (CS2, Yi, Eufy, iLnk), as far as it is not scrambled: who was sent
to the camera, before the first byte of video.

In: datagrams (`read`), ordered bytes (`read_stream`: behind eight bytes of length and 68). Out: Reading("p2p", {maker:
"pppp", event, peer}), once for each event and peer of a flow, anew after a close:

- register: the camera tells a server that it is there; lookup: somebody asks a server, or the home, for a camera;
- punch-to: a server names the other end (peer); punch, ready: the ends reach each other; data: they talk; close;
- relay: a server stands between them (peer: where).

Messages are F1 tt LL LL, length big-endian; types and addresses: pmarrapese/iot p2p/dissector/pppp.fdesc, magicus/
pppp-dissector; over TCP: AlexxIT/go2rtc pkg/xiaomi/miss/cs2/conn.go. Addresses are a sockaddr turned round as a whole:
family 00 02, then port and address little-endian; in the corpus' yi_camera_sample the camera's own (25508 at
192.168.10.204) is a4 63 cc 0a a8 c0. Where the family is 02 00 both are big-endian (parse_sockaddr_in_be there). Device
ids, nonces and signatures stay inside.
"""

from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.framing import Half, end, frames
from camguard.protocols.makers import Talk, strange, tell
from camguard.protocols.text import NOT_MINE, NotMine, Reading

STRANGERS_MAX = 2
FRAME_MAX = 256  # bytes of a message in a stream that are looked at
_DATA, _CLOSE, _PUNCH_TO = 0xD0, 0xF0, 0x40

#: Event and least body of the messages that tell something; the others only prove the talk.
EVENTS: dict[int, tuple[str, int]] = {
    **dict.fromkeys((0x10, 0x12, 0x14, 0x16), ("register", 20)),
    0x20: ("lookup", 20),
    0x26: ("lookup", 20),
    0x30: ("lookup", 0),
    _PUNCH_TO: ("punch-to", 16),
    0x41: ("punch", 20),
    0x42: ("ready", 20),
    0x43: ("ready", 0),
    **dict.fromkeys((0x70, 0x71, 0x72, 0x73, 0x74, 0x75), ("relay", 0)),
    **dict.fromkeys((0x80, 0x82, 0x83, 0x84, 0x85), ("relay", 16)),
    _DATA: ("data", 4),
    _CLOSE: ("close", 0),
}
#: Where in its body a message has an address that matters.
_ADDRESS_AT = {_PUNCH_TO: 0, 0x80: 20, 0x82: 0}
_QUIET = frozenset(
    {0x00, 0x01, 0x02, 0x03, 0x08, 0x09, 0x11, 0x13, 0x15, 0x17, 0x18, 0x19, 0x21, 0x27, 0x31, 0x32, 0x67, 0x68, 0x69}
    | {0x6A, 0x78, 0x81, 0x87, 0xA0, 0xA1, 0xA2, 0xD1, 0xD8, 0xE0, 0xE1, 0xE5, 0xF1, 0xF9}
)


class Stream(NamedTuple):
    """The two directions of a connection, and what was told."""

    up: Half = Half()
    down: Half = Half()
    talk: Talk = Talk()


def address(data: bytes) -> str | None:
    """A sockaddr_in as these programs send it, None where it is none or nobody's."""
    if len(data) < 8 or data[:2] not in (b"\0\2", b"\2\0"):
        return None
    turned = data[:2] == b"\0\2"
    port = int.from_bytes(data[2:4], "little" if turned else "big")
    packed = data[7:3:-1] if turned else data[4:8]
    return end(packed, port) if port and any(packed) else None


def read(talk: Talk | NotMine | None, chunk: Chunk) -> tuple[Talk | NotMine, tuple[Reading, ...]]:
    """Feed one datagram of a flow; NOT_MINE where it does not begin with messages of PPPP."""
    if isinstance(talk, NotMine):
        return NOT_MINE, ()
    return _heard(talk or Talk(), chunk.data, not chunk.gap)


def _heard(talk: Talk, data: bytes, whole: bool) -> tuple[Talk | NotMine, tuple[Reading, ...]]:
    size = int.from_bytes(data[2:4], "big")
    event, least = EVENTS.get(data[1], ("", 0)) if len(data) >= 4 and data[0] == 0xF1 else ("", 0)
    ours = len(data) >= 4 and data[0] == 0xF1 and (bool(event) or data[1] in _QUIET)
    if not ours or size < least or (whole and len(data) != 4 + size) or (event == "data" and data[4:5] != b"\xd1"):
        return strange(talk, STRANGERS_MAX)
    at = _ADDRESS_AT.get(data[1])
    peer = None if at is None else address(data[4 + at : 12 + at])
    return tell(talk, "pppp", event, peer, {"punch-to": True, "lookup": False, "register": False}.get(event))


def read_stream(state: Stream | NotMine | None, chunk: Chunk) -> tuple[Stream | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes; NOT_MINE where they do not begin like this talk."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or Stream()
    if chunk.gap and not state.talk.heard:
        return NOT_MINE, ()
    half = Half() if chunk.gap else state.up if chunk.up else state.down
    waiting, found = frames(half, chunk.data, _size, FRAME_MAX)
    readings: list[Reading] = []
    talk: Talk | NotMine = state.talk
    for frame in found:
        if isinstance(talk, Talk):
            talk, more = _heard(talk, frame[8:], len(frame) < FRAME_MAX)
            readings += more
    if isinstance(talk, NotMine) or (waiting is None and not talk.heard):
        return NOT_MINE, tuple(readings)
    waiting = waiting or Half()  # behind a hole the next message that comes in one piece is read again
    state = state._replace(talk=talk)
    return (state._replace(up=waiting) if chunk.up else state._replace(down=waiting)), tuple(readings)


def _size(data: bytes) -> int | None:
    """Two bytes of length, 68, five of no meaning, then the message."""
    if data[2:3] not in (b"", b"\x68") or data[8:9] not in (b"", b"\xf1"):
        return None
    return 0 if len(data) < 9 else 8 + max(4, int.from_bytes(data[:2], "big"))
