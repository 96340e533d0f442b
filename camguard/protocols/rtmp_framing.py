"""One direction of RTMP (Adobe, "Real Time Messaging Protocol", 1.0): handshake, chunks -> commands, and media as such.

In: ordered bytes, with holes. Out: Command (its first bytes), Media, Odd. Behind a hole the chunks cannot be told apart
any more: then commands are found by how they begin. rtmp.py says what they mean.
"""

import re
from typing import NamedTuple

HANDSHAKE_BYTES = 1 + 1536 + 1536  # section 5.2: C0 C1 C2, S0 S1 S2
COMMAND_CAP = 2048  # bytes that are kept of a command; connect, the longest, has some 300
STREAMS_CAP = 32  # chunk streams of one direction; programs use 3 to 6
SIZE_CAP = 1 << 24  # of a chunk: longer than any message

SET_CHUNK_SIZE, AUDIO, VIDEO, COMMAND_AMF3, COMMAND_AMF0, AGGREGATE = 1, 8, 9, 17, 20, 22
#: Sections 5.4, 6.2, 7.1: control, media, data, shared object, command, aggregate.
_TYPES = frozenset({1, 2, 3, 4, 5, 6, 8, 9, 15, 16, 17, 18, 19, 20, 22})
_HEADER_BYTES = (11, 7, 3, 0)  # section 5.3.1.2, by format
#: A command by how it begins: AMF0's marker of a text, its length, its name, the marker of a number.
_BEGINS = re.compile(rb"\x02\x00(?:\x07connect|\x07publish|\x04play|\x05play2|\x08onStatus|\x06_error)(?=\x00)")
_LONGEST_BEGIN = 12


class Command(NamedTuple):
    """The first COMMAND_CAP bytes of a command (AMF0)."""

    data: bytes


class Media(NamedTuple):
    """A message of sound or pictures began."""


class Odd(NamedTuple):
    """Something that breaks the format."""

    name: str


Piece = Command | Media | Odd


class Stream(NamedTuple):
    """A chunk stream: the last message's header, what of the message is still to come, and what was kept of it."""

    length: int
    kind: int
    extended: bool
    left: int = 0
    kept: bytes = b""


class Half(NamedTuple):
    """One direction. `handshake`: bytes of it that are still to come; `size`: of chunks; `now`: the chunk stream of the
    chunk under way, `left`: bytes of it to come; `lost`: bytes were missing."""

    tail: bytes = b""
    handshake: int = HANDSHAKE_BYTES
    lost: bool = False
    size: int = 128
    now: int = 0
    left: int = 0
    streams: dict[int, Stream] = {}  # noqa: RUF012 - replaced, never changed


def step(half: Half) -> tuple[Half, list[Piece]]:
    """Take one header, or what is there of one chunk. The same half and nothing: more bytes are needed."""
    data = half.tail
    if half.handshake and not half.lost:
        taken = min(half.handshake, len(data))
        return half._replace(tail=data[taken:], handshake=half.handshake - taken), []
    if half.lost:
        return _found(half)
    return _chunk(half) if half.left else _header(half)


def _found(half: Half) -> tuple[Half, list[Piece]]:
    """Commands in bytes whose chunks are unknown; of each what stands in the same piece."""
    starts = [found.start() for found in _BEGINS.finditer(half.tail)]
    if not starts:
        return half._replace(tail=half.tail[-_LONGEST_BEGIN:]), []
    ends = [*starts[1:], len(half.tail)]
    return half._replace(tail=b""), [
        Command(half.tail[a : min(b, a + COMMAND_CAP)]) for a, b in zip(starts, ends, strict=True)
    ]


def _get_lost(half: Half) -> tuple[Half, list[Piece]]:
    return half._replace(lost=True, tail=half.tail[1:], streams={}, left=0), [Odd("rtmp-chunk")]


def _header(half: Half) -> tuple[Half, list[Piece]]:
    """A chunk's header (section 5.3.1)."""
    data = half.tail
    form, number = data[0] >> 6, data[0] & 0x3F
    basic = {0: 2, 1: 3}.get(number, 1)
    at = basic + _HEADER_BYTES[form]
    if len(data) < at:
        return half, []
    if basic > 1:
        number = 64 + int.from_bytes(data[1:basic], "little")
    known = half.streams.get(number)
    if (form and known is None) or (known is None and len(half.streams) >= STREAMS_CAP):
        return _get_lost(half)
    length, kind, extended, left, kept = known or Stream(0, 0, False)
    if form < 3:
        extended = data[basic : basic + 3] == b"\xff\xff\xff"
    if form < 2:
        length, kind = int.from_bytes(data[basic + 3 : basic + 6], "big"), data[basic + 6]
        if kind not in _TYPES:
            return _get_lost(half)
    at += 4 if extended else 0
    if len(data) < at:
        return half, []
    begins = form < 3 or not left
    if begins:
        left, kept = length, b""
    stream = Stream(length, kind, extended, left, kept)
    half = half._replace(tail=data[at:], now=number, left=min(left, half.size))
    half = half._replace(streams=half.streams | {number: stream})
    return half, [Media()] if begins and length and kind in (AUDIO, VIDEO, AGGREGATE) else []


def _chunk(half: Half) -> tuple[Half, list[Piece]]:
    """What is there of a chunk's payload; a message is over with the last of its chunks."""
    stream = half.streams[half.now]
    taken = half.tail[: half.left]
    wanted = stream.kind in (SET_CHUNK_SIZE, COMMAND_AMF0, COMMAND_AMF3)
    kept = stream.kept + taken[: COMMAND_CAP - len(stream.kept)] if wanted else b""
    left = stream.left - len(taken)
    half = half._replace(
        tail=half.tail[len(taken) :],
        left=half.left - len(taken),
        streams=half.streams | {half.now: stream._replace(left=left, kept=kept if left else b"")},
    )
    if left or not wanted:
        return half, []
    if stream.kind == SET_CHUNK_SIZE:
        size = int.from_bytes(kept[:4], "big") & 0x7FFFFFFF
        return half._replace(size=min(size, SIZE_CAP)) if size else half, []
    return half, [Command(kept[1:] if stream.kind == COMMAND_AMF3 else kept)]
