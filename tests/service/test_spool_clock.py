"""Decisions and the clocks: a machine that slept, and one that does not know the time yet."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from camguard.config import Paths
from camguard.events import Camera, Decision, Event, Home, Wish
from camguard.guard import Guard
from camguard.service.resume import row_of
from camguard.service.spool import Spool
from camguard.store import Kept, Reader, Store, boottime_s

HOME = Home(cameras=(Camera("porch", "02:00:00:00:00:01"),))


class Loop:
    """As much of the loop as the spool uses, over a real store and a real guard."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "c.toml", folder, folder)
        self.guard = Guard(HOME, offset_s=time.time() - time.monotonic())
        self.said: dict[str, str] = {}
        self.store = Store.open(self.paths.database)

    def asked(self, job: Callable[[Store], Any]) -> Awaitable[Any]:
        async def answer() -> Any:
            return job(self.store)

        return answer()

    def tell(self, events: Sequence[Event], wish: str | None = None, why: str | None = None) -> None:
        self.store.write([row_of(event) for event in events], durable=True)

    def fault(self, place: str, error: BaseException | None) -> None:
        raise AssertionError(place) from error

    def holds(self, number: int) -> bool:
        """Whether the guard knows of it: what does not hold cannot be taken back."""
        try:
            self.guard.decide(Wish("f" * 16, "terminal, bob", "revoke", decision=number), 99, time.monotonic())
        except ValueError:
            return False
        return True


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return Loop(tmp_path)


def kept(number: int, left_s: float, *, unsure: bool) -> Kept:
    until = time.time() + left_s
    made = Decision(number, time.time() - 60, f"{number:016x}", "terminal, bob", "watching", until=until)
    return Kept(made, None, None, left_s, unsure)


def test_what_no_clock_can_end_yet_waits_and_is_said(loop: Loop) -> None:
    spool = Spool(loop, [kept(1, 600.0, unsure=True), kept(2, 600.0, unsure=False), kept(3, -5.0, unsure=True)])
    assert loop.said["clock"].startswith("The clock of this machine is not set yet: what you allowed")
    assert "(2)" in loop.said["clock"]
    assert not loop.holds(1)
    assert loop.holds(2)
    spool.minute(lambda: False)
    assert "clock" in loop.said
    spool.minute(lambda: True)
    assert "clock" not in loop.said
    loop.guard.tick(time.monotonic())
    assert loop.holds(1)
    assert not loop.holds(3), "it ended while the machine was off"


@pytest.mark.parametrize(("slept_s", "holds"), [(100.0, True), (700.0, False)])
def test_the_time_asleep_counts(loop: Loop, slept_s: float, holds: bool) -> None:
    """The guard's own clock stands still in a suspended machine; ten minutes are ten minutes all the same."""
    spool = Spool(loop, [])
    loop.tell(loop.guard.decide(Wish("1" * 16, "terminal, bob", "watching", for_s=600.0), 1, time.monotonic()))
    db = sqlite3.connect(loop.paths.database)
    db.execute("UPDATE decisions SET until_boottime=?", (boottime_s() + 600.0 - slept_s,))
    db.commit()
    db.close()
    asyncio.run(spool.awake(slept_s))
    loop.guard.tick(time.monotonic())
    assert bool(Reader(loop.paths.database).decisions(time.time())) == holds
    assert loop.holds(1) == holds
