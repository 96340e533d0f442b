"""How the guard itself is doing. In: counters that only grow, psutil. Out: Health events and problems in plain words.

Loss is never silent: whatever a counter gained is an event at the next look (every `LOOK_S` seconds), and more than
`BAD_LOSS` of a minute's packets is a problem that stays for as long as it lasts and a minute more.
Times are the guard's monotonic seconds (`at`) and wall-clock seconds (`time`).
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from camguard.events import Health, Interface

LOOK_S = 5.0
BAD_LOSS = 0.01  # of the packets of a minute
LOW_DISK_BYTES = 50 << 20
BAD_LAG_S = 2.0
MINUTE_S = 60.0

#: Counters whose growth the owner hears of, with what one unit of it means to him.
WORDS = {
    "socket-drops": "packets with content came faster than camguard could read them (volumes are still counted)",
    "nic-drops": "packets were dropped by the network card before camguard could see them",
    "flows-overflow": "packets belonged to more connections than the table holds (counted by camera only)",
    "budget-spent": "packets with content were more than camguard reads (volumes are still counted)",
    "missed-reads": "entries of the packet counters could not be read",
    "rows-dropped": "records were dropped because the disk is slower than what happens",
    "rows-lost": "records could not be written",
    "lines-lost": "lines could not be printed",
    "store-damaged": "damaged record file put aside",
    "store-full": "times the record was full",
    "errors": "faults inside camguard were caught",
}
#: Of these, growth within the last minute is also a problem; packet loss has its own measure (BAD_LOSS).
PROBLEMS = {
    "flows-overflow": "More connections than the table holds: viewing may be missed. Run: camguard check",
    "missed-reads": "The packet counters of the kernel could not all be read. Run: camguard check",
    "rows-dropped": "The disk is too slow for what happens: some records were dropped; alerts never are.",
    "errors": "A fault inside camguard was caught; see its lines in the journal and report it.",
}


@dataclass(slots=True)
class Figures:
    """The last look: memory (MB), CPU (percent of one core), free disk (MB); None where it cannot be known."""

    rss_mb: float | None = None
    cpu_percent: float | None = None
    disk_free_mb: float | None = None
    store_mb: float | None = None
    lag_s: float = 0.0
    writer_queue: int = 0
    writer_s: float = 0.0


@dataclass(slots=True)
class _Minute:
    """Growth of one counter over the last minute."""

    last: int = 0
    steps: deque[tuple[float, int]] = field(default_factory=deque)

    def add(self, at: float, value: int) -> int:
        gained = max(0, value - self.last)
        self.last = value
        self.steps.append((at, gained))
        while self.steps and self.steps[0][0] <= at - MINUTE_S:
            self.steps.popleft()
        return gained

    def total(self) -> int:
        return sum(gained for _, gained in self.steps)


class Watch:
    """Remembers the counters between two looks. One per guard process."""

    def __init__(self, state: Path) -> None:
        self.figures = Figures()
        self._state = state
        self._process = psutil.Process()
        self._process.cpu_percent()
        self._counts: dict[str, _Minute] = {}
        self._loss: dict[str, tuple[_Minute, _Minute]] = {}
        self._told: dict[str, tuple[float, int]] = {}  # when last told, and what was not told since
        self._nic_start: dict[str, int] = {}
        self._gone: set[str] = set()
        self._lag = 0.0
        self._loss_words: list[str] = []
        self.lost: dict[str, float] = {}  # interface -> share of the last minute's packets that was lost

    def lagged(self, seconds: float) -> None:
        """The second's step came this much late; the worst one until the next look counts."""
        self._lag = max(self._lag, seconds)

    def look(
        self, at: float, time: float, interfaces: Sequence[Interface], counters: Mapping[str, int]
    ) -> list[Health]:
        """Every LOOK_S: what was lost, as events (each at once, then once a minute). Brings all else up to date."""
        self._measure()
        self.figures.lag_s, self._lag = round(self._lag, 2), 0.0
        found = []
        for what, gained in self._gains(at, {**counters, "nic-drops": self._nic_drops(interfaces)}):
            told_at, kept = self._told.get(what, (-MINUTE_S, 0))
            if not gained + kept or what not in WORDS:
                continue
            if at - told_at < MINUTE_S:  # once a minute: a flood must not fill the log
                self._told[what] = told_at, kept + gained
                continue
            self._told[what] = at, 0
            found.append(Health(time, what, float(gained + kept), f"{gained + kept} {WORDS[what]}"))
        self._losses(at, interfaces)
        self._gone = {one.name for one in interfaces if one.state == "gone"}
        return found

    def problems(self) -> list[str]:
        """What is wrong right now, one sentence each; empty when all is well."""
        said = [
            f"{name}: the interface is gone. It is used again as soon as it is back." for name in sorted(self._gone)
        ]
        said += self._loss_words
        said += [words for what, words in PROBLEMS.items() if what in self._counts and self._counts[what].total()]
        free = self.figures.disk_free_mb
        if free is not None and free < LOW_DISK_BYTES >> 20:
            said.append(f"Only {free:.0f} MB of disk are free: soon nothing can be recorded.")
        if self.figures.lag_s > BAD_LAG_S:
            said.append(f"This machine is overloaded: camguard was held up for {self.figures.lag_s:.0f} s.")
        return said

    def summary(self, time: float) -> list[Health]:
        """Once an hour for the log: memory and CPU."""
        return [
            Health(time, what, value, unit)
            for what, value, unit in (
                ("memory", self.figures.rss_mb, "MB"),
                ("cpu", self.figures.cpu_percent, "percent of one core"),
                ("store", self.figures.store_mb, "MB"),
            )
            if value is not None
        ]

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        try:
            with self._process.oneshot():
                self.figures.rss_mb = round(self._process.memory_info().rss / (1 << 20), 1)
                self.figures.cpu_percent = self._process.cpu_percent()
            self.figures.disk_free_mb = round(psutil.disk_usage(str(self._state)).free / (1 << 20), 1)
        except (OSError, psutil.Error):  # a confined process may not see it all
            pass

    def _gains(self, at: float, counters: Mapping[str, int]) -> list[tuple[str, int]]:
        return [(what, self._counts.setdefault(what, _Minute()).add(at, value)) for what, value in counters.items()]

    def _nic_drops(self, interfaces: Sequence[Interface]) -> int:
        """What the cards of the tapped interfaces dropped since the first look."""
        try:
            cards = psutil.net_io_counters(pernic=True, nowrap=False)
        except (OSError, psutil.Error):
            return 0
        total = 0
        for one in interfaces:
            if one.name in cards:
                dropped = cards[one.name].dropin
                start = self._nic_start.setdefault(one.name, dropped)
                if dropped < start:  # the interface was made anew
                    start = self._nic_start[one.name] = 0
                total += dropped - start
        return total

    def _losses(self, at: float, interfaces: Sequence[Interface]) -> None:
        self._loss_words = []
        for one in interfaces:
            seen, lost = self._loss.setdefault(one.name, (_Minute(), _Minute()))
            seen.add(at, one.packets)
            lost.add(at, one.drops)
            share = self.lost[one.name] = lost.total() / max(1, seen.total() + lost.total())
            if share > BAD_LOSS:
                self._loss_words.append(
                    f"{one.name}: {share:.0%} of the packets of the last minute were lost;"
                    " this machine is too slow or too busy. Run: camguard check"
                )
