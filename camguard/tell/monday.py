"""The weekly report: each Monday at nine by the clock of the home, through the channels, as information.

In: the record, and what deliver itself has said before. Out: one message a week through the outbox. One that was missed
because nothing ran is told once, at the next start; of several that were missed, the latest. APScheduler says when to
look; whether a report is due is read from the record each time, so that looking too often or too late does no harm.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from camguard import report, store
from camguard.errors import StoreError
from camguard.events import Alert, id_of
from camguard.review.weekly import Facts, days_before, facts, first_look
from camguard.store.delivery import DeliveryReader
from camguard.tell.threads import in_thread

HOUR = 9
LOOK_AGAIN_S = 600  # also right after a start, after a clock was set, after a record that could not be read
WRONG_CLOCK_S = 86_400.0  # a report from so far in the future was made while the clock was wrong


class Raise(Protocol):
    """Deliver's raise_own: on the disk when it returns. `over`: nothing more will be said of it."""

    def __call__(self, alert: dict[str, object], *, over: bool = False) -> None:
        """Say it."""
        ...


class Monday:
    """`run` runs for ever. `cameras`: the names of those that are guarded."""

    def __init__(
        self,
        database: Path,
        delivery: Path,
        raise_own: Raise,
        cameras: Sequence[str],
        zone: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database, self._delivery, self._raise = database, delivery, raise_own
        self._cameras, self._zone, self._clock = tuple(cameras), zone, clock
        self._told: float | None = None

    async def run(self) -> None:
        """Look when it is time, until cancelled."""
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from apscheduler.triggers.cron import CronTrigger
        from apscheduler.triggers.interval import IntervalTrigger

        zone = ZoneInfo(self._zone)
        jobs = AsyncIOScheduler(timezone=zone, job_defaults={"coalesce": True, "misfire_grace_time": None})
        jobs.add_job(self.look, CronTrigger(day_of_week="mon", hour=HOUR, timezone=zone))
        jobs.add_job(self.look, IntervalTrigger(seconds=LOOK_AGAIN_S, timezone=zone))
        jobs.start()
        try:
            await self.look()
            await asyncio.Event().wait()
        finally:
            jobs.shutdown(wait=False)

    async def look(self) -> None:
        """Send the latest report that is due and was not sent."""
        now = self._clock()
        due = latest_monday(now, self._zone)
        if self._was_told(due, now):
            return
        try:
            made = await in_thread(lambda: self._made(due, now), "weekly")
        except StoreError:
            return  # said by those who follow the record; looked at again soon
        if made is not None and not self._was_told(due, now):
            self._told = now
            self._raise(made, over=True)

    def _was_told(self, due: float, now: float) -> bool:
        return self._told is not None and due <= self._told < now + WRONG_CLOCK_S

    def _made(self, due: float, now: float) -> dict[str, Any] | None:
        """The message; None where it was sent, or where camguard was not there in that week."""
        sent = DeliveryReader(self._delivery).own(since=due)
        times = [store.seconds(one.get("raised")) for one in sent if one.get("type") == "weekly"]
        if any(at is not None and due <= at < now + WRONG_CLOCK_S for at in times):
            self._told = now
            return None
        reader = store.Reader(self._database)
        try:
            first = first_look(reader)
            if first is None or first >= due:
                return None
            found = facts(reader, days_before(due, 7, self._zone), due, self._cameras)
        finally:
            reader.close()
        return alert_of(found, now, self._zone, *self._reached())

    def _reached(self) -> tuple[str | None, float | None]:
        """The channel that took the latest message, and when."""
        works = [one for one in DeliveryReader(self._delivery).channels() if one.last_sent and not one.error]
        latest = max(works, key=lambda one: one.last_sent or 0.0, default=None)
        return (None, None) if latest is None else (latest.name, latest.last_sent)


def latest_monday(now: float, zone: str) -> float:
    """The last Monday, nine o'clock, that is not after `now`."""
    local = datetime.fromtimestamp(now, ZoneInfo(zone))
    monday = (local - timedelta(days=local.weekday())).replace(hour=HOUR, minute=0, second=0, microsecond=0, fold=0)
    return (monday if monday <= local else monday - timedelta(days=7)).timestamp()


def alert_of(
    found: Facts, now: float, zone: str, reached: str | None = None, reached_at: float | None = None
) -> dict[str, Any]:
    """The report as an alert's dict: information, about no camera."""
    title, body = report.weekly(found.week(reached, reached_at), zone)
    alert = Alert(
        id=id_of("weekly", f"{found.until:.0f}"),
        time=now,
        camera=None,
        type="weekly",
        severity="info",
        confidence="certain",
        reason="a week has passed",
        evidence=(),
        peer=None,
        session=None,
        raised=now,
        started=found.since,
        count=1,
        state="open",
    )
    return report.as_dict(alert, zone) | {"title": title, "body": body}
