"""Feeds the deeds of a simulated home to the real Guard, on packet time, and notes which of them it told."""

import heapq
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from camguard.detect.stream import DETECTORS
from camguard.events import Alert, Event, Frame
from camguard.guard import Guard
from camguard.judge.judge import EXCUSES
from camguard.places import Places
from tests.sim import home
from tests.sim.day import BEGAN, Days, Deed
from tests.sim.play import Item

VIEWING = ("remote-stream", "lan-stream", "privacy")
#: An alert belongs to a deed of the same ends that began before it and ended at most so long before it.
AFTER_S = 30.0
_FIRST = {"voyeur": 0, "attack": 0, "away": 1, "home": 2, "quiet": 3}


@dataclass(slots=True)
class Result:
    """What came of it. `strays`: alerts about viewings that no deed explains; `others`: alerts of other types, with
    the deed they are about."""

    days: Days
    deeds: list[Deed]
    strays: list[Alert] = field(default_factory=list)
    others: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    counters: dict[str, int] = field(default_factory=dict)
    items: int = 0
    took_s: float = 0.0


#: What can be switched off.
RULES = DETECTORS | EXCUSES


def run(days: Days, *, rules: frozenset[str] = RULES) -> Result:
    """One run from the first second to a while after the last; `rules`: what is not switched off."""
    began = time.process_time()
    guard = Guard(days.home, Places(), own=home.OWN, detectors=DETECTORS & rules, excuses=EXCUSES & rules)
    result = Result(days, [deed for deed in days.deeds if deed.kind != "echo"])
    judge = Told(result)
    second = BEGAN
    judge.take(guard.tick(float(second)))
    for item in in_order(days):
        while second < item.at or (second == item.at and isinstance(item, Frame)):
            judge.take(guard.tick(float(second)))
            second += 1
        judge.take(guard.feed(item))
        result.items += 1
    for later in range(second, second + 60):
        judge.take(guard.tick(float(later)))
    result.counters = {name: count for name, count in guard.counters().items() if count}
    result.took_s = time.process_time() - began
    return result


def in_order(days: Days) -> Iterator[Item]:
    """All items by time; a deed's are made when it begins."""
    numbers = itertools.count()
    heap: list[tuple[float, int, Item | None, Iterator[Item]]] = []
    for deed in days.deeds:
        heap.append((float(int(deed.begins_at)), next(numbers), None, _begun(deed)))
    frames = iter(sorted(days.frames, key=lambda frame: frame.at))
    heap.append((0.0, next(numbers), None, frames))
    heapq.heapify(heap)
    while heap:
        _, number, item, source = heap[0]
        if item is not None:
            yield item
        following = next(source, None)
        if following is None:
            heapq.heappop(heap)
        else:
            heapq.heapreplace(heap, (following.at, number, following, source))


def _begun(deed: Deed) -> Iterator[Item]:
    yield from deed.items()


class Told:
    """Which deed an alert is about."""

    def __init__(self, result: Result) -> None:
        self._result = result
        self._deeds: dict[tuple[str, str], list[Deed]] = {}
        for deed in result.deeds:
            self._deeds.setdefault((deed.camera, deed.peer), []).append(deed)
        self._sessions: dict[str, Deed | None] = {}

    def take(self, events: list[Event]) -> None:
        """The guard's events of a moment."""
        for event in events:
            if isinstance(event, Alert) and event.state != "closed":
                self._alert(event)

    def _alert(self, alert: Alert) -> None:
        if alert.type not in VIEWING:
            deed = self._deed(alert)
            key = (alert.type, deed.kind if deed else "none", deed.label if deed else "")
            self._result.others[key] += alert.state == "open"
            return
        session = alert.session or alert.id
        if session not in self._sessions:
            deed = self._sessions[session] = self._deed(alert)
            if deed is None:
                self._result.strays.append(alert)
            else:
                deed.told_at.append(alert.time)
        deed = self._sessions[session]
        if deed and alert.state == "open":
            deed.sounded += 1

    def _deed(self, alert: Alert) -> Deed | None:
        if alert.peer is None or alert.camera is None:
            return None
        near = [
            deed
            for deed in self._deeds.get((alert.camera, alert.peer.ip), ())
            if deed.begins_at - 1 <= alert.time <= deed.ends_at + AFTER_S
        ]
        return min(near, key=lambda deed: (_FIRST[deed.kind], -deed.begins_at), default=None)
