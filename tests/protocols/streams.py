"""Ways to cut a dialogue for a stream reader: whole, one byte at a time, cut in two at each byte, with a hole."""

from collections.abc import Iterator, Sequence
from typing import Any

from camguard.events import Chunk
from camguard.protocols import Reading, StreamReader

Turn = tuple[bool, bytes]  # up (said by the camera), bytes


def run(read: StreamReader, chunks: Sequence[Chunk] | Iterator[Chunk]) -> tuple[Any, list[Reading]]:
    """The last state and all readings."""
    state: Any = None
    readings: list[Reading] = []
    for chunk in chunks:
        state, news = read(state, chunk)
        readings += news
    return state, readings


def whole(turns: Sequence[Turn]) -> list[Chunk]:
    return [Chunk(up, data) for up, data in turns]


def bytewise(turns: Sequence[Turn]) -> list[Chunk]:
    return [Chunk(up, bytes([byte])) for up, data in turns for byte in data]


def cut_everywhere(turns: Sequence[Turn]) -> Iterator[list[Chunk]]:
    """For each turn and each place in it: the dialogue with that turn in two pieces."""
    for index, (up, data) in enumerate(turns):
        for at in range(1, len(data)):
            pieces = [Chunk(up, data[:at]), Chunk(up, data[at:])]
            yield [*whole(turns[:index]), *pieces, *whole(turns[index + 1 :])]


def hole_everywhere(turns: Sequence[Turn], size: int) -> Iterator[tuple[int, list[Chunk]]]:
    """For each turn and each place: `size` bytes from there on are missing (the number of the turn goes with it)."""
    for index, (up, data) in enumerate(turns):
        for at in range(0, max(1, len(data) - size)):
            after = Chunk(up, data[at + size :], gap=True)
            before = [Chunk(up, data[:at])] if at else []
            yield index, [*whole(turns[:index]), *before, *([after] if after.data else []), *whole(turns[index + 1 :])]
