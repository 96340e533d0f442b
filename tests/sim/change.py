"""What is done to a shape's seconds: bad Wi-Fi, and attackers who shape their traffic so as not to be told.

All are made of what such a sender, network or relay does, none of what the guard looks at.
"""

import random
from collections.abc import Callable, Iterator

from tests.sim.play import Change, scaled
from tests.sim.shapes import Row

FULL_BYTES = 1400
#: The header bytes of a packet on the wire, TCP over IPv4.
HEADERS = 66


def jittery(dice: random.Random, held: float = 0.06, lost: float = 0.01) -> Change:
    """Wi-Fi at its edge: a second's packets come in one burst in the next second, now and then some are not seen."""

    def change(rows: Iterator[Row]) -> Iterator[Row]:
        waiting: Row | None = None
        for now in rows:
            row = now
            if waiting:
                sums = [a + b for a, b in zip(waiting[1:7], row[1:7], strict=True)]
                row = Row(row.second, *sums, row.pauses + 1, row.dry, max(waiting.largest_up, row.largest_up))  # type: ignore[call-arg]
                waiting = None
            elif dice.random() < held:
                waiting = row
                continue
            if dice.random() >= lost:
                yield row
        if waiting:
            yield waiting

    return change


def by_second(how: Callable[[int, Row], Row | None]) -> Change:
    """Each second by itself; the first argument counts from the first one."""

    def change(rows: Iterator[Row]) -> Iterator[Row]:
        first: int | None = None
        for row in rows:
            first = row.second if first is None else first
            if changed := how(row.second - first, row):
                yield changed

    return change


def slow_start(over_s: int = 60) -> Change:
    """The relay asks for few pictures at first and for more by and by."""
    return by_second(lambda n, row: scaled(row, min(1.0, 0.03 + n / over_s)))


def with_pauses(on_s: int, off_s: int) -> Change:
    """Media for `on_s`, then nothing for `off_s`."""
    return by_second(lambda n, row: row if n % (on_s + off_s) < on_s else None)


def to_rate(kbps: float, pictures: int) -> Change:
    """A very low rate: few and small pictures."""

    def how(_: int, row: Row) -> Row:
        up = int(kbps * 125)
        packets = max(pictures, -(-up // FULL_BYTES))
        largest = max(row.largest_up, 1)
        return Row(row.second, up + packets * HEADERS, row.packets_down * HEADERS, up, 0, packets, max(1, packets // 2),
                   pictures, pictures if largest > up // packets else 0, largest)  # fmt: skip

    return by_second(how)


def constant(kbps: int) -> Change:
    """Filled up to full packets at an even pace, as a traffic shaper does: nothing of the pictures shows."""

    def how(_: int, row: Row) -> Row:
        packets = max(1, round(kbps * 125 / FULL_BYTES))
        pauses = packets if packets < 100 else 0
        up = packets * FULL_BYTES
        return Row(row.second, up + packets * HEADERS, row.packets_down * HEADERS, up, row.payload_down, packets,
                   row.packets_down, pauses, 0, FULL_BYTES)  # fmt: skip

    return by_second(how)


def uneven(dice: random.Random) -> Change:
    """The rate jumps between a fifth and twice every few seconds."""
    steps = [dice.choice((0.2, 0.5, 1.0, 2.0)) for _ in range(120)]
    return by_second(lambda n, row: scaled(row, steps[n // 3 % 120]))


def answered(share: float) -> Change:
    """The server sends back `share` of what it gets: answers like those to an upload, or cover traffic."""

    def how(_: int, row: Row) -> Row:
        down = int(row.payload_up * share)
        packets = max(row.dry, -(-down // FULL_BYTES))
        return row._replace(payload_down=row.payload_down + down, packets_down=row.packets_down + packets,
                            wire_down=row.wire_down + down + packets * HEADERS)  # fmt: skip

    return by_second(how)
