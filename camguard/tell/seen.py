"""What holds now, for channels that show states: the guard's live figures and what the record adds. Blocking, small.

In: now.json, guard.db, the camera names of the channel. Out: homeassistant.Seen. The record is read when a viewing
began or ended, at midnight, and once a minute; otherwise each look costs one small file and one small question.
"""

import datetime
import time
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from camguard import store
from camguard.config import Config, Paths
from camguard.errors import StoreError
from camguard.events import VIEWING
from camguard.tell.homeassistant import House, Seen

STALE_S = 15.0  # contract.md: from then on the guard is silent
READ_EVERY_S = 60.0
LATE_S = 3.0  # a viewing that ended may be written a moment after it left the live figures
OVERLAP_S = 600.0
FIRST_ROWS, ROWS = 2000, 100_000


class Record:
    """Follows one installation for the cameras of one channel."""

    def __init__(self, paths: Paths, config: Config, house: House) -> None:
        self._paths, self._names = paths, tuple(camera.name for camera in house.cameras)
        self._zone = ZoneInfo(config.home.timezone)
        self._reader = store.Reader(paths.database)
        self._last: dict[str, dict[str, Any]] = {}
        self._today: set[str] | None = None
        self._midnight, self._tomorrow = 0.0, 0.0
        self._going_on: frozenset[str] = frozenset()
        self._due: list[float] = [0.0]
        self._read_at = 0.0

    def look(self, minutes: Mapping[str, int]) -> Seen:
        """What holds now; where the record cannot be read, what it adds is unknown."""
        at = time.time()
        now = store.read_now(self._paths.now)
        if now is not None and store.now_age_s(now) >= STALE_S:
            now = None
        going_on = frozenset(
            str(one.get("id")) for one in (now or {}).get("sessions") or () if one.get("class") in VIEWING
        )
        tick = time.monotonic()
        if going_on != self._going_on:
            self._going_on = going_on
            self._due += [tick, tick + LATE_S]
        silenced: dict[str | None, float] = {}
        try:
            if any(due <= tick for due in self._due) or at >= self._tomorrow:
                self._read(at)
                self._due = [due for due in self._due if due > tick] + [tick + READ_EVERY_S]
            silenced = dict(self._reader.silenced(at))
        except StoreError:
            self._today = None
        today = None if self._today is None else len(self._today)
        return Seen(now, at, dict(self._last), today, silenced, dict(minutes))

    def _read(self, at: float) -> None:
        local = datetime.datetime.fromtimestamp(at, self._zone)
        day = local.replace(hour=0, minute=0, second=0, microsecond=0)
        midnight = day.timestamp()
        self._tomorrow = (day + datetime.timedelta(days=1)).timestamp()
        if self._today is None or midnight != self._midnight:
            found = [one for name in self._names for one in self._reader.sessions(camera=name, limit=FIRST_ROWS)]
            found += self._reader.sessions(since=midnight, limit=ROWS)
            self._today, self._midnight = set(), midnight
        else:
            found = self._reader.sessions(since=self._read_at - OVERLAP_S, limit=ROWS)
        self._read_at = at
        for one in found:
            camera = one.get("camera")
            if one.get("class") not in VIEWING or camera not in self._names:
                continue
            before = self._last.get(str(camera))
            if before is None or _end(one) >= _end(before):
                self._last[str(camera)] = one
            if one.get("state") != "closed" or _end(one) >= midnight:
                self._today.add(str(one.get("id")))


def _end(session: Mapping[str, Any]) -> float:
    return store.seconds(session.get("ended")) or store.seconds(session.get("started")) or 0.0
