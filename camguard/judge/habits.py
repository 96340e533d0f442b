"""What one camera usually does with one server, as figures. In: viewings that ended or go on; out: words for hours, a
Habit for whoever shows it, text for the store. Pure.

A record has one entry a day, however many viewings the day had, and keeps the last DAYS_KEPT of them. What fades is
measured in time of looking at that camera, so a clock that is set wrong, or a guard that was off, changes nothing. What
the owner accepted is frozen at that moment (`Terms`): what comes after it never makes it wider.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from camguard.events import Habit, Session, StreamClass
from camguard.judge import schedule
from camguard.neighbours import is_private, network_of

DAY_S, HOUR_S = 86_400.0, 3600.0
DAYS_KEPT = 31
#: Not seen for so long while the camera was looked at: it is no habit any more.
FADES_S = 30 * DAY_S
#: What makes a habit worth a question: so many days, over so long, at so many different hours of the day.
RIPE_DAYS, RIPE_S, RIPE_HOURS = 5, 6 * DAY_S, 2
#: So long a day, on a usual day, is an upload around the clock and no viewing.
CONTINUOUS_S = 6 * HOUR_S
#: An accepted viewing may last so many times its usual longest, at least so long, and at so many times its rate.
WIDER, LEAST_S, LEAST_KBPS = 2.0, 600.0, 64
VERSION = 1
#: Names of connections that say nothing of what is in them. What is read to be video, or a way to a viewer, is told.
PLAIN = ("unknown", "tls", "quic", "http")
_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ALL_HOURS = (1 << 24) - 1


class Key(NamedTuple):
    """Whose habit it is. Another name, network, country, class or way of sending is another habit: nobody inherits.

    `who`: the registered domain, else network owner and the first part of the address; `certain`: media was read."""

    camera: str
    who: str
    named: bool
    owner: str
    country: str
    cls: StreamClass
    certain: bool


def key_of(session: Session, domain_of: Callable[[str], str | None]) -> Key | None:
    """Whose habit a viewing can be; None for what is never learned. `domain_of`: the registered part of a name."""
    peer = session.peer
    if session.initiator != "camera" or session.cls not in ("stream", "clip") or session.confidence == "unsure":
        return None
    if peer.scope != "wan" or peer.device or is_private(peer.ip):
        return None
    owner = f"AS{peer.asn} {peer.org or ''}".strip() if peer.asn else peer.org or ""
    if peer.name:
        who = domain_of(peer.name) or peer.name
    elif session.transport == "tcp" and session.protocol in PLAIN:
        who = f"{peer.org or 'a server without a name'} ({network_of(peer.ip, bits6=48)})"
    else:  # datagrams to somebody without a name may go straight to a viewer
        return None
    certain = session.confidence == "certain"
    return Key(session.camera, who[:200], bool(peer.name), owner[:80], peer.country or "", session.cls, certain)


class Terms(NamedTuple):
    """What the owner accepted: hours as schedule.py reads them, the longest viewing, the highest rate (0: any)."""

    when: str
    longest_s: float
    rate_kbps: int
    continuous: bool


@dataclass(slots=True)
class Day:
    """`date`: of the calendar, as a number; `hours`: bit 0 is midnight to one; `sent_s`: of all viewings together;
    `looked_s`: for how long the camera had been looked at by then."""

    date: int
    looked_s: float
    hours: int = 0
    count: int = 0
    phone: int = 0
    sent_s: float = 0.0
    longest_s: float = 0.0
    rate_kbps: int = 0


@dataclass(slots=True)
class Record:
    """One habit. `accepted`: None where the owner has said nothing, False where he does not want to be asked again;
    `terms` only where it is True; `told`: the log says that it is worth a question."""

    number: int
    key: Key
    first_time: float
    last_time: float
    days: list[Day] = field(default_factory=list)
    accepted: bool | None = None
    terms: Terms | None = None
    told: bool = False

    def day(self, date: int, looked_s: float) -> Day:
        """The entry of a day; what is too old, or too much, goes."""
        self.days = [one for one in self.days if looked_s - one.looked_s < FADES_S]
        found = next((one for one in self.days if one.date == date), None)
        if found is None:
            found = Day(date, looked_s)
            self.days = [*self.days, found][-DAYS_KEPT:]
        found.looked_s = looked_s
        return found

    def is_faded(self, looked_s: float, fades_s: float = FADES_S) -> bool:
        """Whether it was not seen for so long that it counts for nothing."""
        return looked_s - max((one.looked_s for one in self.days), default=float("-inf")) >= fades_s

    def is_ripe(self) -> bool:
        """Whether it went on for long enough, on enough days and at enough hours to ask about."""
        if len(self.days) < RIPE_DAYS:
            return False
        span_s = max(one.looked_s for one in self.days) - min(one.looked_s for one in self.days)
        return span_s >= RIPE_S and _union(self.days).bit_count() >= RIPE_HOURS

    def is_continuous(self) -> bool:
        """Whether it goes on around the clock; the first and the last day may be parts of one."""
        inner = self.days[1:-1] if len(self.days) > 2 else self.days
        return bool(inner) and _median(one.sent_s for one in inner) >= CONTINUOUS_S

    def when(self) -> str:
        """Its usual hours, as schedule.py reads them: those that were met on two days at least, give or take one."""
        if self.is_continuous():
            return "00:00-24:00"
        near = [one.hours | _turned(one.hours, 1) | _turned(one.hours, -1) for one in self.days]
        often = sum(1 << hour for hour in range(24) if sum(mask >> hour & 1 for mask in near) >= 2)
        ranges = _ranges((often & _union(self.days)) or _union(self.days))
        days = "" if any(start >= end for start, end in ranges) else _weekdays(one.date for one in self.days)
        return "; ".join(f"{days}{start:02d}:00-{end:02d}:00" for start, end in ranges)

    def usual(self) -> Terms:
        """What accepting it now would accept. Medians of days: one long night does not make long nights usual."""
        continuous = self.is_continuous()
        longest_s = max(LEAST_S, WIDER * _median(one.longest_s for one in self.days))
        rate = max(LEAST_KBPS, int(WIDER * _median(one.rate_kbps for one in self.days)))
        return Terms(self.when(), float("inf") if continuous else longest_s, rate, continuous)

    def habit(self, looked_s: float) -> Habit:
        """For whoever shows it."""
        count, sent_s = sum(one.count for one in self.days), sum(one.sent_s for one in self.days)
        terms = self.terms or (self.usual() if self.days else Terms("00:00-24:00", 0.0, 0, False))
        return Habit(
            number=self.number,
            camera=self.key.camera,
            who=self.key.who,
            named=self.key.named,
            owner=self.key.owner or None,
            country=self.key.country or None,
            cls=self.key.cls,
            days=len(self.days),
            hours=terms.when,
            count=count,
            first_time=self.first_time,
            last_time=self.last_time,
            phone_count=sum(one.phone for one in self.days),
            length_s=sent_s / count if count else 0.0,
            rate_kbps=int(_median(one.rate_kbps for one in self.days)) if self.days else 0,
            continuous=terms.continuous,
            ripe=self.is_ripe(),
            faded=self.is_faded(looked_s),
            accepted=self.accepted,
        )


# ---- hours and days --------------------------------------------------------------------------------------------------


def is_within(narrow: str, wide: str) -> bool:
    """Whether every minute of the week of `narrow` lies in `wide`; ValueError with a sentence for no hours."""
    zone, monday = ZoneInfo("UTC"), datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC")).timestamp()
    inner, outer = schedule.parse(narrow), schedule.parse(wide)
    times = (monday + minute * 60 for minute in range(7 * 24 * 60))
    return all(schedule.inside(outer, time, zone) for time in times if schedule.inside(inner, time, zone))


def _union(days: Iterable[Day]) -> int:
    mask = 0
    for one in days:
        mask |= one.hours
    return mask


def _turned(mask: int, by: int) -> int:
    """The hours of `mask`, each `by` hours later, around midnight."""
    by %= 24
    return (mask << by | mask >> 24 - by) & ALL_HOURS


def _ranges(mask: int) -> list[tuple[int, int]]:
    """Hours as ranges around midnight, a single hour between two filled in; a range that ends at or before its start
    crosses midnight."""
    mask |= _turned(mask, 1) & _turned(mask, -1)
    if mask == ALL_HOURS:
        return [(0, 24)]
    starts = [hour for hour in range(24) if mask >> hour & 1 and not mask >> (hour - 1) % 24 & 1]
    ends = {hour: next(step for step in range(1, 25) if not mask >> (hour + step) % 24 & 1) for hour in starts}
    return [(hour, hour + ends[hour] if hour + ends[hour] <= 24 else hour + ends[hour] - 24) for hour in starts]


def _weekdays(dates: Iterable[int]) -> str:
    """The days of the week, as schedule.py reads them; "" for every day. Day 1 of the calendar was a Monday."""
    seen = sorted({(date - 1) % 7 for date in dates})
    if set(seen) <= {0, 1, 2, 3, 4}:
        return "mon-fri " if len(seen) >= 3 else ",".join(_NAMES[day] for day in seen) + " "
    if set(seen) <= {5, 6}:
        return ",".join(_NAMES[day] for day in seen) + " "
    return "" if len(seen) >= 4 else ",".join(_NAMES[day] for day in seen) + " "


# ---- for the store ---------------------------------------------------------------------------------------------------


def text_of(record: Record, looked_s: float) -> str:
    """The record as the store keeps it, with the figures that `camguard learn` shows."""
    days = [
        [one.date, round(one.looked_s), one.hours, one.count, one.phone, round(one.sent_s), round(one.longest_s),
         one.rate_kbps]
        for one in record.days
    ]  # fmt: skip
    terms = record.terms and [
        record.terms.when,
        None if record.terms.continuous else record.terms.longest_s,
        record.terms.rate_kbps,
        record.terms.continuous,
    ]
    shown = record.habit(looked_s)
    return json.dumps(
        {
            "version": VERSION,
            "key": list(record.key),
            "times": [record.first_time, record.last_time],
            "days": days,
            "accepted": record.accepted,
            "terms": terms,
            "told": record.told,
            "shown": {name: getattr(shown, name) for name in Habit.__slots__},
        },
        ensure_ascii=True,
        separators=(",", ":"),
    )


def record_of(number: int, text: str) -> Record:
    """The record that `text_of` wrote; ValueError for one that is damaged, or of another version."""
    try:
        made = json.loads(text)
        if made["version"] != VERSION:
            raise ValueError("it is of another version")
        camera, who, named, owner, country, cls, certain = made["key"]
        first, last = (_number(one) for one in made["times"])
        key = Key(_text(camera), _text(who), bool(named), _text(owner), _text(country), cls, bool(certain))
        days = [_day(one) for one in made["days"]]
        accepted, terms = made["accepted"], made["terms"] and _terms(*made["terms"])
        if (
            cls not in ("stream", "clip") or accepted not in (None, True, False) or len(days) > DAYS_KEPT
            or (accepted is True) is (terms is None) or type(number) is not int or number < 1
        ):  # fmt: skip
            raise ValueError("it contradicts itself")
        return Record(number, key, first, last, days, accepted, terms, bool(made["told"]))
    except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is damaged ({type(error).__name__})") from None


def _terms(when: Any, longest_s: Any, rate_kbps: Any, continuous: Any) -> Terms:
    schedule.parse(_text(when))
    limit_s = float("inf") if continuous and longest_s is None else _number(longest_s)
    return Terms(when, limit_s, int(_number(rate_kbps)), bool(continuous))


def _day(made: list[Any]) -> Day:
    date, looked_s, hours, count, phone, sent_s, longest_s, rate_kbps = (_number(one) for one in made)
    if not (0 < date < 4_000_000 and 0 <= hours <= ALL_HOURS and phone <= count):
        raise ValueError("a day of it cannot be")
    return Day(int(date), looked_s, int(hours), int(count), int(phone), sent_s, longest_s, int(rate_kbps))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e15:
        raise ValueError("a number of it cannot be")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 300:
        raise ValueError("a text of it cannot be")
    return value


def _median(numbers: Iterable[float]) -> float:
    """The middle one; `statistics` would bring fractions and random numbers along (1 MB)."""
    ordered = sorted(numbers)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
