"""RTP and RTCP (RFC 3550, RFC 4585): media packets told from everything else that travels over UDP. SRTP (RFC 3711) has
the same headers.

In: the UDP payloads of a flow, in order. Out: Reading("rtp", {ssrc, payload_type}) once for each source of which three
packets in sequence were seen, so that DNS, QUIC, WireGuard, PPPP or noise is never called media; Reading("rtcp",
{kinds}), once in each direction for each kind: SR and RR tell how the media arrives, PSFB asks for a whole picture.
Video and sound that share a port are two sources. STUN and DTLS on the same port (RFC 7983) neither help nor harm.
What a TURN relay carries is read as well, and what stands behind "$", a channel and a length: RTSP's interleaved form
(RFC 2326 section 10.12), which the corpus' D-Link camera (stream/ucl_dlink-cam_*) sends to its app over UDP.
"""

import struct
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import stun
from camguard.protocols.text import NOT_MINE, NotMine, Reading

SEQUENCE_RUN = 3  # packets of one source in sequence
LOSS = 3  # largest step of the sequence number that still counts as in sequence
TIMESTAMP_STEP = 90_000 * 30  # 30 s of the 90 kHz video clock between neighbours, either way (B pictures go back)
SOURCES_CAP = 8
STRANGERS_CAP = 24  # packets that are no media before the flow is given up
SHARED_CAP = 64  # of them such as share a port with media

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


KINDS = {200: "SR", 201: "RR", 202: "SDES", 203: "BYE", 204: "APP", 205: "RTPFB", 206: "PSFB", 207: "XR"}


class Reports(NamedTuple):
    """RTCP of one direction: who sends it, what it was, what of that was told."""

    ssrc: int = -1
    kinds: tuple[str, ...] = ()
    told: tuple[str, ...] = ()


class Both(NamedTuple):
    """The two directions of a flow."""

    up: State | NotMine | None = None
    down: State | NotMine | None = None
    reports_up: Reports = Reports()
    reports_down: Reports = Reports()
    shared: int = 0


def read(both: Both | NotMine | None, chunk: Chunk) -> tuple[Both | NotMine, tuple[Reading, ...]]:
    """Feed one datagram of a flow; NOT_MINE when it is no media."""
    if isinstance(both, NotMine):
        return NOT_MINE, ()
    both = both or Both()
    payload = _carried(chunk.data)
    if is_rtcp(payload):
        reports, readings = _reported(both.reports_up if chunk.up else both.reports_down, payload)
        return (both._replace(reports_up=reports) if chunk.up else both._replace(reports_down=reports)), readings
    state, readings = read_one_way(both.up if chunk.up else both.down, payload, not chunk.gap)
    both = both._replace(up=state) if chunk.up else both._replace(down=state)
    shared = both.shared + _shares_port(payload)
    return (NOT_MINE if _is_hopeless(both, shared) else both._replace(shared=shared)), readings


def _is_hopeless(both: Both, shared: int) -> bool:
    """Nothing of media, and more of something else than goes before it."""
    ways = [way for way in (both.up, both.down) if isinstance(way, State)]
    if any(source.told for way in ways for source in way.sources) or both.reports_up.told or both.reports_down.told:
        return False
    strangers = sum(way.strangers for way in ways)
    return not ways or shared >= SHARED_CAP or strangers - shared >= STRANGERS_CAP


def _carried(payload: bytes) -> bytes:
    """The packet itself, or the one that it carries."""
    if payload[:1] == b"$" and int.from_bytes(payload[2:4], "big") == len(payload) - 4:
        return payload[4:]
    return stun.inside(payload) or payload


def _reported(before: Reports, payload: bytes) -> tuple[Reports, tuple[Reading, ...]]:
    """What is new in a report. Two of the same sender are needed, or one that is whole and begins as it must (RFC 3550
    section 6.1); behind the first header of SRTCP all is encrypted, and the first may be feedback (RFC 5506)."""
    ssrc = int.from_bytes(payload[4:8], "big")
    kinds, whole = _kinds(payload)
    if not kinds:
        return before, ()
    known = before.kinds if ssrc == before.ssrc else ()
    certain = bool(before.told) or bool(known) or (whole and len(kinds) > 1 and kinds[0] in ("SR", "RR"))
    kinds = tuple(dict.fromkeys((*known, *kinds)))
    new = tuple(kind for kind in kinds if kind not in before.told) if certain else ()
    return Reports(ssrc, kinds, before.told + new), (Reading("rtcp", {"kinds": new}),) if new else ()


def _kinds(payload: bytes) -> tuple[tuple[str, ...], bool]:
    """The kinds in a compound packet, and whether its lengths end where it does; of one that is encrypted behind its
    first header only the first kind. () where it does not begin as one may (RFC 3550 section 6.4, RFC 4585 6.1)."""
    count, words = payload[0] & 31, int.from_bytes(payload[2:4], "big")
    if words < {200: 6 + 6 * count, 201: 1 + 6 * count, 205: 2, 206: 2}.get(payload[1], 1 << 16):
        return (), False
    found: list[str] = []
    at = 0
    while at + 4 <= len(payload) and payload[at] >> 6 == 2 and payload[at + 1] in KINDS:
        found.append(KINDS[payload[at + 1]])
        at += 4 * (int.from_bytes(payload[at + 2 : at + 4], "big") + 1)
    whole = at == len(payload)
    return tuple(dict.fromkeys(found if whole else found[:1])), whole


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
