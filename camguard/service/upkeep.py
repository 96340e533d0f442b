"""Jobs that keep the house in order: retention, check of the file, self-check. Nothing that alerts hangs on these.

In: a way to ask the writer's thread, and what the loop knows; out: work on the writer's queue, Health events.
"""

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from camguard.config import Config
from camguard.events import Health
from camguard.health import Watch
from camguard.service import lean, machine
from camguard.service.writer import Writer
from camguard.store import Store

HOUR_S, DAY_S = 3600, 86400
CHECK_LIMIT_S = 5.0  # at a time; an alert that waits ends it sooner
CHECK_AGAIN_S = 60.0


class Keeper(Protocol):
    """The part of the loop that the jobs use."""

    config: Config
    writer: Writer
    watch: Watch
    said: dict[str, str]

    def asked(self, job: Callable[[Store], Any]) -> Awaitable[Any]:
        """What the writer's thread answers; None when the store fails."""
        ...

    def tell(self, events: list[Health]) -> None:
        """Events to the store and to whoever listens."""
        ...


def start(keeper: Keeper) -> Any:
    """The running scheduler (`shutdown(wait=False)` ends it). Imported late: the guard looks first."""
    with lean.without_plugins():
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from apscheduler.triggers.interval import IntervalTrigger

    hour, day = (IntervalTrigger(seconds=seconds, timezone=datetime.UTC) for seconds in (HOUR_S, DAY_S))
    jobs = AsyncIOScheduler(timezone=datetime.UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})
    soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=2)
    jobs.add_job(retain, hour, [keeper], next_run_time=soon)
    jobs.add_job(quick_check, day, [keeper])
    jobs.add_job(self_check, hour, [keeper], next_run_time=soon)
    jobs.start()
    return jobs


async def retain(keeper: Keeper) -> None:
    """Delete what is too old or too much, in small steps."""

    def step(opened: Store) -> int:
        return opened.retain(keeper.config.keep_days, keeper.config.max_mb, time.time())

    while await keeper.asked(step):
        await asyncio.sleep(0.2)


async def quick_check(keeper: Keeper) -> None:
    """Read the whole file once; it gives way to alerts and is tried again."""
    for _ in range(10):
        if await keeper.asked(lambda opened: opened.quick_check(CHECK_LIMIT_S, keeper.writer.alert_waits)):
            return
        await asyncio.sleep(CHECK_AGAIN_S)


async def self_check(keeper: Keeper) -> None:
    """Size of the store, rights that must not be there, memory and CPU for the log."""
    keeper.watch.figures.store_mb = await keeper.asked(lambda opened: round(opened.size_mb(), 1))
    left_over = machine.rights_left()
    if left_over:
        keeper.said["rights"] = f"camguard still holds rights that it should not: {left_over}. Please report this."
    keeper.tell(keeper.watch.summary(time.time()))
