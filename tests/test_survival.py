"""The whole guard on real captures that are damaged: bits turned, frames cut, doubled, out of order. Fixed seed."""

import random
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import pytest

from camguard.capture import pcap
from camguard.errors import CaptureError
from camguard.events import Frame, Home
from camguard.guard import Guard
from camguard.replay import Look
from tests.fuzz.targets import Watch
from tests.fuzz.whole import watched
from tests.protocols.captures import CORPUS, truth

OWN = [*Path(__file__).parent.glob("golden/*/input.pcap"), *Path(__file__).parents[1].glob("camguard/samples/*.pcap")]
MUTATIONS, BLOCK, FRAMES, OF_A_CAPTURE = 2000, 250, 40, 600


class Capture(NamedTuple):
    """The beginning of a capture, every local host of it guarded as a camera."""

    home: Home
    frames: list[Frame]


@cache
def captures() -> list[Capture]:
    """Those of this project, and those of the corpus where it is there; files that are no captures left out."""
    found = []
    for path in sorted(OWN) + [CORPUS / name for name in truth()]:
        look, frames = Look(), list[Frame]()
        try:
            frames += islice(pcap.frames(path), OF_A_CAPTURE)
        except CaptureError:
            continue
        for frame in frames:
            look.see(frame)
        if frames:
            found.append(Capture(look.home(), frames))
    return found


def damaged(frames: Sequence[Frame], dice: random.Random) -> Iterator[Frame]:
    """Frames with damage; their times go on rising."""
    shown = list(frames)
    for _ in range(dice.randrange(1, 8)):
        at = dice.randrange(len(shown))
        frame = shown[at]
        data = bytearray(frame.data)
        place = dice.randrange(len(data)) if data else 0
        match dice.randrange(7):
            case 0:
                for _ in range(dice.randrange(1, 9)):
                    if data:
                        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            case 1:
                del data[place:]
            case 2:
                del data[place : place + dice.randrange(1, 20)]
            case 3:
                data[place:place] = data[place : place + dice.randrange(1, 200)]
            case 4:
                data[place : place + 4] = dice.randbytes(4)
            case 5:
                shown.insert(dice.randrange(len(shown)), frame)
            case 6:
                other = dice.randrange(len(shown))
                shown[at], shown[other] = shown[other], shown[at]
                continue
        cut_by_capture = dice.random() < 0.3
        shown[at] = frame._replace(data=bytes(data), wire_len=frame.wire_len if cut_by_capture else len(data))
    times = sorted(frame.at for frame in shown)
    return iter([frame._replace(at=at) for frame, at in zip(shown, times, strict=True)])


def one(number: int) -> tuple[list[object], dict[str, int]]:
    """What a guard says of mutation `number`, and what it counted."""
    dice = random.Random(number)
    home, frames = dice.choice(captures())
    begin = dice.randrange(max(1, len(frames) - FRAMES))
    guard = Guard(home)
    events = watched(guard, home, damaged(frames[begin : begin + FRAMES], dice), Watch())
    return [*events, *guard.take_facts()], guard.counters()


@pytest.mark.parametrize("block", range(MUTATIONS // BLOCK))
def test_nothing_is_raised_and_all_that_is_odd_is_counted(block: int) -> None:
    odd = told = 0
    for number in range(block * BLOCK, (block + 1) * BLOCK):
        events, counters = one(number)
        odd += sum(count for name, count in counters.items() if name.startswith("odd-"))
        told += len(events)
        assert len(counters) < 400, number
    assert odd > BLOCK // 10
    assert told > BLOCK


@pytest.mark.parametrize("number", range(0, MUTATIONS, 40))
def test_the_same_again_gives_the_same(number: int) -> None:
    assert one(number) == one(number)
