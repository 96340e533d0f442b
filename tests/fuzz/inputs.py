"""Fuzz input -> what a reader gets: chunks with sides, cuts and gaps. And back, so that real talk can be a seed.

MARK stands before each part; the byte behind it says who speaks (1), whether bytes before it are missing (2), and into
which pieces the part is cut (SIZES; 0: none; -16: it comes sixteen times; FILL: again and again in one piece). Any
bytes are a valid input, and bytes put in or taken out by a mutation change little: nothing has a length.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from camguard.events import Chunk

T = TypeVar("T")

MARK = b"\xf5\x9e"
FILL = -1
SIZES = (0, 1, 2, 7, 64, 500, FILL, -16)
CHUNKS_MAX, BYTES_MAX, CHUNK_MAX = 300, 64 * 1024, 4096


def parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(control byte, bytes) of each part; what stands before the first mark is one said by the camera."""
    first, *rest = data.split(MARK)
    if first:
        yield 1, first
    yield from ((part[0], part[1:]) for part in rest if len(part) > 1)


def chunks(data: bytes, most: int = CHUNKS_MAX) -> Iterator[Chunk]:
    """What the reader is fed, capped in number and bytes; none is larger than CHUNK_MAX."""
    left, given = most, 0
    for control, said in parts(data):
        size = SIZES[control >> 2 & 7] or len(said)
        if size == FILL:
            pieces = [said * max(1, CHUNK_MAX // len(said))]
        elif size < 0:
            pieces = [said] * -size
        else:
            pieces = [said[at : at + size] for at in range(0, len(said), size)]
        for number, piece in enumerate(pieces):
            left, given = left - 1, given + len(piece)
            if left < 0 or given > BYTES_MAX:
                return
            yield Chunk(bool(control & 1), piece[:CHUNK_MAX], bool(control & 2) and not number)


def encode(said: Iterable[Chunk]) -> bytes:
    """The input that gives these chunks."""
    return b"".join(MARK + bytes([chunk.up + 2 * chunk.gap]) + chunk.data for chunk in said if chunk.data)


class Choice:
    """Fuzz bytes as a row of choices; when they are used up, always the first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def below(self, most: int) -> int:
        """A number from 0 to `most` - 1."""
        size = 1 if most <= 256 else 2
        raw = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(raw, "big") % most if most else 0

    def one_of(self, items: Sequence[T]) -> T:
        return items[self.below(len(items))]

    def rest(self, most: int) -> bytes:
        """Up to `most` of the bytes as they are."""
        found = self._data[self._at : self._at + self.below(most + 1)]
        self._at += len(found)
        return found


def mutated(seed: bytes, edits: bytes) -> bytes:
    """`seed` with bits turned, bytes put in, taken out, cut, doubled, marks put in, as `edits` says."""
    choice, data = Choice(edits[1:]), bytearray(seed)
    for _ in range(edits[0] % 8 if edits else 0):
        at = choice.below(len(data) + 1)
        match choice.below(7):
            case 0:
                data[at : at + 1] = bytes([choice.below(256)])
            case 1:
                data[at:at] = MARK + bytes([choice.below(32)])
            case 2:
                del data[at : at + 1 + choice.below(40)]
            case 3:
                data[at:at] = data[at : at + choice.below(200)]
            case 4:
                data[at:at] = choice.rest(40)
            case 5:
                data[at : at + 2] = choice.one_of((b"\xff\xff", b"\0\0", b"\x80\0", b"\0\1", b"\r\n", b"\x7f\xff"))
            case 6:
                del data[at:]
    return bytes(data)
