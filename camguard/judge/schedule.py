"""Is a moment inside a weekly window? In: text such as "mon-fri 22:00-06:30" and wall-clock seconds; out: yes or no.

A window may cross midnight; its days name the day on which it opens. Several windows are separated by ";". Times are
wall clock in the home's time zone, so a window keeps its hours when daylight saving begins or ends: an hour that comes
twice is in it twice, one that is left out is not there. Where a zone left out a whole day (Samoa, 30 December 2011),
the day before is the one that was.
"""

import re
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = frozenset(range(7))
_DAY_MIN = 24 * 60
_HOURS = re.compile(r"(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})$")


class Window(NamedTuple):
    """Opens on each of `days` (0 = Monday) at `start_min` after midnight, for `length_min` minutes."""

    days: frozenset[int]
    start_min: int
    length_min: int


def parse(text: str) -> tuple[Window, ...]:
    """The windows that `text` names; ValueError with one sentence for the owner where it names none."""
    windows = tuple(_window(part.strip().lower()) for part in text.split(";") if part.strip())
    if not windows:
        raise ValueError('no window in it; write for example "mon-fri 22:00-06:30"')
    return windows


def inside(windows: tuple[Window, ...], time: float, zone: ZoneInfo) -> bool:
    """Whether wall-clock `time` (seconds since 1970) lies in one of the windows."""
    local = datetime.fromtimestamp(time, zone)
    minute = local.hour * 60 + local.minute
    today = local.weekday()
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    yesterday = datetime.fromtimestamp(midnight.timestamp() - 1.0, zone).weekday()
    for window in windows:
        if today in window.days and 0 <= minute - window.start_min < window.length_min:
            return True
        if yesterday in window.days and minute + _DAY_MIN - window.start_min < window.length_min:
            return True
    return False


def _window(part: str) -> Window:
    hours = _HOURS.search(part)
    words = part[: hours.start()].strip() if hours else part
    days = _days(words) if words else _EVERY_DAY
    if not hours:
        return Window(days, 0, _DAY_MIN)
    start_hour, start_minute, end_hour, end_minute = (int(number) for number in hours.groups())
    if start_minute > 59 or end_minute > 59 or start_hour > 23 or end_hour * 60 + end_minute > _DAY_MIN:
        raise ValueError(f'"{hours.group()}" is no time of day; write for example "22:00-06:30"')
    start_min = start_hour * 60 + start_minute
    length_min = (end_hour * 60 + end_minute - start_min) % _DAY_MIN
    return Window(days, start_min, length_min or _DAY_MIN)


def _days(words: str) -> frozenset[int]:
    days: set[int] = set()
    for word in re.split(r"[,\s]+", words):
        first, dash, last = word.partition("-")
        if first not in _DAYS or (dash and last not in _DAYS):
            raise ValueError(
                f'"{word}" is no day; write mon tue wed thu fri sat sun, for example "mon-fri 22:00-06:30"'
            )
        start = _DAYS.index(first)
        span = (_DAYS.index(last) - start) % 7 if dash else 0
        days.update((start + step) % 7 for step in range(span + 1))
    return frozenset(days)
