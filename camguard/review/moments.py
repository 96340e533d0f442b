"""Words for a moment -> wall-clock seconds: the words of systemd.time(7), in the time zone of the home.

"2026-11-23 18:15:30", "2026-11-23", "18:15" (today), "now", "today", "yesterday", "tomorrow", "2h ago", "-1h 30min",
"+5min", "@1764000000", RFC 3339 ("2026-11-23T18:15:00Z"); "UTC" at the end counts in UTC.
"""

import contextlib
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

_SECONDS = {
    1e-3: "ms msec",
    1.0: "s sec second seconds",
    60.0: "m min minute minutes",
    3600.0: "h hr hour hours",
    86400.0: "d day days",
    604800.0: "w week weeks",
    2629800.0: "M month months",  # systemd: 30.44 days
    31557600.0: "y year years",  # systemd: 365.25 days
}
_UNITS = {word: seconds for seconds, words in _SECONDS.items() for word in words.split()}
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)")
_DATE = re.compile(
    r"(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,?\s+)?(?:(\d{4}|\d{2})-(\d{1,2})-(\d{1,2}))?"
    r"(?:(?:^|[ Tt]+)(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?)?$",
    re.IGNORECASE,
)
EXAMPLE = 'write for example "18:15", "yesterday", "2h ago" or "2026-11-23 18:15"'


def parse(text: str, now: float, zone: str) -> float:
    """The moment that `text` means, wall-clock seconds; ValueError with one sentence where it means none."""
    words = text.strip()
    where: tzinfo = ZoneInfo(zone)
    if re.search(r"\sUTC$", words, re.IGNORECASE):
        where, words = UTC, words[:-3].strip()
    try:
        return _parse(words, now, where)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f'"{text}" is no time; {EXAMPLE}') from None


def length(text: str) -> float:
    """The length that `text` means ("2h", "1h 30min", "45m"), seconds; ValueError with one sentence for none."""
    words = text.strip()
    with contextlib.suppress(ValueError, OverflowError):
        found = _span(words)
        if found > 0 and not words[-1:].isdigit():
            return found
    raise ValueError(f'"{text}" is no length of time; write for example "30m", "2h" or "7d"')


def _parse(words: str, now: float, where: tzinfo) -> float:
    today = datetime.fromtimestamp(now, where).replace(hour=0, minute=0, second=0, microsecond=0)
    named = {"today": 0, "yesterday": -1, "tomorrow": 1}
    if words == "now":
        return now
    if words in named:
        return (today + timedelta(days=named[words])).timestamp()
    if words.startswith("@"):
        return float(words[1:])
    if words.endswith(" ago"):
        return now - _span(words[:-4])
    if words[:1] in "+-" and words:
        return now + _span(words[1:]) * (1 if words[0] == "+" else -1)
    if re.search(r"(Z|[+-]\d\d:?\d\d)$", words) and "T" in words:
        return datetime.fromisoformat(words).timestamp()
    found = _DATE.match(words)
    if not found or not words or (found[1] is None and found[4] is None):
        raise ValueError
    year, month, day_of_month = found[1], found[2], found[3]
    moment = today
    if year:
        full = int(year) + (2000 if len(year) == 2 else 0)
        moment = today.replace(year=full, month=int(month), day=int(day_of_month))
    if found[4]:
        moment = moment.replace(hour=int(found[4]), minute=int(found[5]), second=int(found[6] or 0))
    return moment.timestamp()


def _span(words: str) -> float:
    """A length such as "1h 30min" in seconds; a bare number counts seconds."""
    total, at = 0.0, 0
    while at < len(words):
        found = _SPAN.match(words, at)
        if not found or (found[2] or "s") not in _UNITS:
            raise ValueError
        total += float(found[1]) * _UNITS[found[2] or "s"]
        at = found.end()
    if not words.strip():
        raise ValueError
    return total
