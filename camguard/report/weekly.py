"""The words of the weekly report (ux.md 8, row 12). In: what was counted; out: title and body. Pure."""

from dataclasses import dataclass
from datetime import datetime

from camguard.report.text import MAX_BODY, MAX_TITLE, cut, duration, name, when, zone_of

MOST_MISSED = 0.05  # of the time: more than this is said in the title


@dataclass(frozen=True, slots=True)
class Week:
    """What was counted between `since` and `until` (wall-clock seconds).

    `viewings`: all of them; `unexpected`: of these. `gaps`: (from, to) in which camguard did not look. `failed_logins`:
    None where log-ins are not read. `open_ways`: ways in to a camera that are open at its end. `ending`: permissions
    that end within three days. `reached`, `reached_at`: the channel that took the latest message, and when.
    """

    since: float
    until: float
    cameras: int
    viewings: int
    unexpected: int
    gaps: tuple[tuple[float, float], ...] = ()
    failed_logins: int | None = None
    open_ways: int = 0
    ending: int = 0
    reached: str | None = None
    reached_at: float | None = None

    @property
    def up_percent(self) -> float:
        """The share of the time in which camguard looked."""
        whole = max(self.until - self.since, 1.0)
        return 100.0 * (1.0 - min(sum(end - begin for begin, end in self.gaps), whole) / whole)


def weekly(week: Week, zone: str = "UTC") -> tuple[str, str]:
    """Title (at most 60 characters) and body (at most 200)."""
    parts = [_viewings(week), _ways(week), _logins(week), _gaps(week, zone), _reached(week, zone), _ending(week)]
    while len(" ".join(filter(None, parts))) > MAX_BODY and len(parts) > 1:
        parts.pop()
    return cut(_title(week), MAX_TITLE), cut(" ".join(filter(None, parts)), MAX_BODY)


def up_words(week: Week) -> str:
    """ "99.98 %": never rounded up to a whole that it was not."""
    cut_down = int(week.up_percent * 100) / 100
    return "100 %" if not week.gaps else f"{min(cut_down, 99.99):.2f} %"


def _title(week: Week) -> str:
    missed = sum(end - begin for begin, end in week.gaps)
    if week.unexpected:
        return f"{_count(week.unexpected, 'unexpected viewing')} this week"
    if missed > MOST_MISSED * (week.until - week.since):
        return f"Nobody unexpected seen, but {duration(missed)} missed"
    return "Quiet week: nobody unexpected"


def _viewings(week: Week) -> str:
    whole = f"{_count(round((week.until - week.since) / 86_400) or 1, 'day')}, {_count(week.cameras, 'camera')}"
    if not week.viewings:
        return f"{whole}: no viewing at all."
    if not week.unexpected:
        return f"{whole}: {_count(week.viewings, 'viewing')}, {'all ' if week.viewings > 1 else ''}expected."
    return f"{whole}: {_count(week.viewings, 'viewing')}, {week.unexpected} not expected (camguard alerts)."


def _logins(week: Week) -> str:
    return f"{_count(week.failed_logins, 'failed log-in')}." if week.failed_logins else ""


def _ways(week: Week) -> str:
    verb = "is" if week.open_ways == 1 else "are"
    return f"{_count(week.open_ways, 'way in')} {verb} open: camguard status." if week.open_ways else ""


def _ending(week: Week) -> str:
    if not week.ending:
        return ""
    verb = "ends" if week.ending == 1 else "end"
    return f"{_count(week.ending, 'permission')} {verb} within 3 days: camguard allow --list."


def _gaps(week: Week, zone: str) -> str:
    if not week.gaps:
        return "camguard looked all the time."
    if len(week.gaps) == 1:
        begin, end = week.gaps[0]
        weekday = f"{datetime.fromtimestamp(begin, zone_of(zone)):%A}"
        return f"1 gap of {duration(end - begin)} on {weekday}."
    total = sum(end - begin for begin, end in week.gaps)
    return f"{len(week.gaps)} gaps, {duration(total)} together ({up_words(week)} seen)."


def _reached(week: Week, zone: str) -> str:
    if week.reached is None:
        return ""
    at = f" (last {when(week.reached_at, week.until, zone)})" if week.reached_at is not None else ""
    return f"Alerts are reaching {name(week.reached, 32)}{at}."


def _count(count: int | None, what: str) -> str:
    if what == "way in":
        return f"{count} way{'' if count == 1 else 's'} in"
    return f"{count} {what}{'' if count == 1 else 's'}"
