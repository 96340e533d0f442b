"""The jobs work on the writer's thread, give way to alerts, and say what they find."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from camguard.config import Config
from camguard.events import Health
from camguard.health import Watch
from camguard.service import upkeep
from camguard.service.writer import Printer, Writer
from camguard.store import Reader, Store
from tests.store.rows import T0, session


class House:
    """What the loop is to the jobs, on one thread."""

    def __init__(self, path: Path) -> None:
        self.config = Config(keep_days=7)
        self.store = Store.open(path)
        self.writer = Writer(self.store, lambda: self.store, Printer(1))
        self.watch = Watch(path.parent)
        self.said: dict[str, str] = {}
        self.told: list[Health] = []
        self.jobs = 0

    def asked(self, job: Callable[[Store], Any]) -> Awaitable[Any]:
        async def answer() -> Any:
            self.jobs += 1
            return job(self.store)

        return answer()

    def tell(self, events: list[Health]) -> None:
        self.told += events


def test_retention_goes_on_until_nothing_is_left_to_do(tmp_path: Path) -> None:
    house = House(tmp_path / "guard.db")
    house.store.write([session(n, T0 - 9e8, "closed") for n in range(4500)], durable=False)  # decades ago
    asyncio.run(upkeep.retain(house))
    assert Reader(house.store.path).log() == []
    assert house.jobs >= 4, "in steps"
    house.store.close()


def test_the_check_puts_a_damaged_file_aside(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    house = House(path)
    house.store.write([session(n, size=300) for n in range(300)], durable=False)
    house.store.close()
    house.store = Store.open(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))
    asyncio.run(upkeep.quick_check(house))
    assert house.store.counters["store-damaged"] == 1
    assert "was damaged" in house.store.told[0]
    house.store.close()


def test_the_self_check_tells_memory_and_finds_rights(tmp_path: Path) -> None:
    house = House(tmp_path / "guard.db")
    house.watch.look(0.0, T0, [], {})
    asyncio.run(upkeep.self_check(house))
    assert {event.what for event in house.told} == {"memory", "cpu", "store"}
    assert ("rights" in house.said) == (os.geteuid() == 0), "a test that runs as root holds rights"
    house.store.close()


def test_the_scheduler_runs_them(tmp_path: Path) -> None:
    house = House(tmp_path / "guard.db")

    async def look() -> list[str]:
        jobs = upkeep.start(house)
        names = [job.name for job in jobs.get_jobs()]
        jobs.modify_job(jobs.get_jobs()[0].id, next_run_time=jobs.get_jobs()[0].next_run_time.replace(year=2020))
        async with asyncio.timeout(60):
            while not house.jobs:
                await asyncio.sleep(0.02)
        jobs.shutdown(wait=False)
        return names

    assert sorted(asyncio.run(look())) == ["quick_check", "retain", "self_check"]
    assert house.jobs >= 1
    house.store.close()
