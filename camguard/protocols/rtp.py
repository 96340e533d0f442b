"""RTP and RTCP (RFC 3550): media packets told from everything else that travels over UDP.

In: the UDP payloads of one direction of one flow, in order. Out: Reading("rtp", {ssrc, payload_type}) once for each
source of which three packets in sequence were seen, so that DNS, QUIC, WireGuard, PPPP or noise is never called media.
Video and sound that share a port are two sources. STUN and DTLS on the same port (RFC 7983) neither help nor harm.
"""

import struct
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, NotMine, Reading

SEQUENCE_RUN = 3  # packets of one source in sequence
LOSS = 3  # largest step of the sequence number that still counts as in sequence
TIMESTAMP_STEP = 90_000 * 30  # 30 s of the 90 kHz video clock between neighbours, either way (B pictures go back)
SOURCES_CAP = 8
STRANGERS_CAP = 24  # packets that are no media before the flow is given up

_HEADER = struct.Struct(">BBHII")


class Header(NamedTuple):
    """A packet that has the form of RTP; `payload_len` is what lies behind header, sources and extension."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload_len: int


class Source(NamedTuple):
    """A sender on its way to be believed: last sequence number and timestamp, packets in sequence, whether told."""

    ssrc: int
    sequence: int
    timestamp: int
    run: int
    told: bool


class State(NamedTuple):
    """Sources seen in one direction, oldest first, and packets in it that were no media."""

    sources: tuple[Source, ...] = ()
    strangers: int = 0


def header(payload: bytes, whole: bool = True) -> Header | None:
    """The RTP header if `payload` has the form of one, else None. `whole`: the capture did not cut the packet."""
    if len(payload) < 12:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(payload)
    payload_type = second & 0x7F
    # RFC 3551 section 6: 35-71 and 77-95 unassigned, 72-76 kept free for RTCP
    if first >> 6 != 2 or not (payload_type <= 34 or payload_type >= 96):
        return None
    size = 12 + 4 * (first & 15)
    if first & 0x10:  # extension: length in words at offset 2 of its header (RFC 3550 section 5.3.1)
        if len(payload) < size + 4:
            return None
        size += 4 + 4 * int.from_bytes(payload[size + 2 : size + 4], "big")
    padding = payload[-1] if first & 0x20 and whole else 0
    if first & 0x20 and whole and padding == 0:
        return None
    left = len(payload) - size - padding
    return Header(payload_type, sequence, timestamp, ssrc, left) if left >= 0 else None


def is_rtcp(payload: bytes) -> bool:
    """Whether `payload` is RTCP: V=2, type 192 to 213, and a length in words that fits (RFC 3550 section 6.4)."""
    if len(payload) < 8 or payload[0] >> 6 != 2 or not 192 <= payload[1] <= 213:
        return False
    return 4 * (int.from_bytes(payload[2:4], "big") + 1) <= len(payload)


def _shares_port(payload: bytes) -> bool:
    """STUN, ZRTP, DTLS, TURN channels: first byte 0-3, 16-19, 20-63, 64-79 (RFC 7983 section 7)."""
    return bool(payload) and (payload[0] <= 3 or 16 <= payload[0] <= 79)


class Both(NamedTuple):
    """The two directions of a flow."""

    up: State | NotMine | None = None
    down: State | NotMine | None = None


def read(both: Both | NotMine | None, chunk: Chunk) -> tuple[Both | NotMine, tuple[Reading, ...]]:
    """Feed one datagram of a flow; NOT_MINE when neither direction is media."""
    if isinstance(both, NotMine):
        return NOT_MINE, ()
    both = both or Both()
    state, readings = read_one_way(both.up if chunk.up else both.down, chunk.data, not chunk.gap)
    both = both._replace(up=state) if chunk.up else both._replace(down=state)
    return (NOT_MINE if both.up is NOT_MINE and both.down is NOT_MINE else both), readings


def read_one_way(
    state: State | NotMine | None, payload: bytes, whole: bool = True
) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one UDP payload of one direction; a reading for each source that has just become certain."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    media = header(payload, whole)
    if media is None:
        if is_rtcp(payload):
            return state, ()
        strangers = state.strangers + 1
        known = any(source.told for source in state.sources)
        if strangers >= STRANGERS_CAP and not known and not _shares_port(payload):
            return NOT_MINE, ()
        return state._replace(strangers=strangers), ()
    before = next((source for source in state.sources if source.ssrc == media.ssrc), None)
    now, readings = _step(before, media)
    others = tuple(source for source in state.sources if source.ssrc != media.ssrc)
    if len(others) >= SOURCES_CAP:  # a flood of invented sources pushes out the untold first
        untold = next((source for source in others if not source.told), others[0])
        others = tuple(source for source in others if source is not untold)
    return state._replace(sources=(*others, now)), readings


def _step(before: Source | None, media: Header) -> tuple[Source, tuple[Reading, ...]]:
    """What is known of a source after one more packet of it."""
    if before is None:
        return Source(media.ssrc, media.sequence, media.timestamp, 1, False), ()
    step = (media.sequence - before.sequence) & 0xFFFF
    drift = ((media.timestamp - before.timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
    if step == 0:  # seen twice, for example on a mirror port
        return before, ()
    run = before.run + 1 if step <= LOSS and abs(drift) <= TIMESTAMP_STEP else 1
    tell = not before.told and run >= SEQUENCE_RUN
    after = Source(media.ssrc, media.sequence, media.timestamp, run, before.told or tell)
    if not tell:
        return after, ()
    return after, (Reading("rtp", {"ssrc": media.ssrc, "payload_type": media.payload_type}),)
