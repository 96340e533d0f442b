"""What is usual for each camera, learned from judged viewings; and what the owner accepted of it. Pure.

Learned: what a camera itself sends out to a server, under its registered name (without one: network owner and the first
part of the address), its network owner and its country. Never learned: who comes in from outside, whoever is at home or
behind the router, logins, open doors, what was seen while another sign spoke against it, and anything in privacy hours.
Learning alone makes nothing expected: a habit counts only when it was seen on many days over a week (habits.py), the
owner accepted it, and what happens stays inside what he accepted - his hours, its length, its rate, one at a time.

Times are on the guard's clock; dates and hours those on the wall.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from camguard.events import Habit, Home, Notice, Session
from camguard.judge import schedule
from camguard.judge.first_days import FirstDays, Looked
from camguard.judge.habits import DAY_S, FADES_S, HOUR_S, Key, Record, Terms, is_within, key_of, record_of, text_of

#: Habits of one camera, and of all.
HABITS_MAX, ALL_MAX = 64, 4096
RUNNING_MAX = 2048
#: A viewing that lasts so long is noted while it goes on; one that lasts a quarter of a day counts on each of its days.
LONG_S, DAYS_LONG_S = 600.0, 6 * HOUR_S
MINUTE_S = 60.0
#: Two of one habit may overlap for so long: a connection that is taken up again. After that the second is none.
BESIDE_S = 60.0


class Changes(NamedTuple):
    """What the store is to know: (number, camera, text) of habits, numbers that are no more, and (camera, seconds of
    looking, alerts held back)."""

    habits: tuple[tuple[int, str, str], ...] = ()
    gone: tuple[int, ...] = ()
    looked: tuple[Looked, ...] = ()


@dataclass(slots=True)
class _Running:
    """A viewing that goes on. `noted_at`: up to when it is in its record; `unexplained_s`: time in which no phone of
    the owner's received it; `tainted`: something spoke against it."""

    key: Key
    started_at: float
    seen_at: float
    noted_at: float | None = None
    phone: bool = False
    unexplained_s: float = 0.0
    held: bool = False
    tainted: bool = False


class Baseline:
    """The habits of all cameras. `domain_of`: the registered part of a name; the others as first_days.py has them."""

    def __init__(
        self,
        wall: Callable[[float], float],
        *,
        domain_of: Callable[[str], str | None] = lambda name: name,
        maker_of: Callable[[str], str | None] = lambda name: None,
        met: Callable[[str, str], float | None] = lambda camera, place: None,
    ) -> None:
        self._wall, self._domain_of = wall, domain_of
        self._first = FirstDays(maker_of, met)
        self._records: dict[Key, Record] = {}
        self._running: dict[str, _Running] = {}
        self._dirty: set[Key] = set()
        self._gone: set[int] = set()
        self._forgotten: dict[int, Key] = {}
        self._next = 1
        self._minute_at = self._saved_at = float("-inf")
        self._urgent = False
        self.counters = {"habits-refused": 0, "habits-evicted": 0}
        self.reload(Home())

    def reload(self, home: Home) -> None:
        """A changed configuration."""
        self._zone = ZoneInfo(home.timezone)
        self._first.reload(home)

    def resume(
        self, habits: Iterable[tuple[int, str]], looked: Iterable[Looked] = (), next_number: int = 1
    ) -> list[tuple[int, str]]:
        """What an earlier run learned; (number, why) of what could not be read. `next_number`: of a new habit."""
        refused = []
        for number, text in habits:
            try:
                record = record_of(number, text)
            except ValueError as error:
                refused.append((number, str(error)))
                continue
            if len(self._records) < ALL_MAX:
                self._records[record.key] = record
        numbers = [one.number for one in self._records.values()] + [number for number, _ in refused]
        self._next = max([self._next, next_number, *(number + 1 for number in numbers if type(number) is int)])
        self._first.resume(looked)
        for record in self._records.values():
            self._first.at_least(record.key.camera, max((day.looked_s for day in record.days), default=0.0))
        return refused

    # ---- what is asked of it -----------------------------------------------------------------------------------------

    def holds(self, session: Session, *, sign: bool) -> str | None:
        """Why an alert about this viewing is held back for now (first_days.py)."""
        return self._first.holds(session, self._key(session), sign=sign)

    def usual(self, session: Session, now: float) -> str | None:
        """The accepted habit that covers this viewing, in words."""
        key = self._key(session)
        record = self._records.get(key) if key else None
        if key is None or record is None or record.terms is None or record.is_faded(self._first.seconds(key.camera)):
            return None
        terms, age_s = record.terms, now - session.started
        if not schedule.inside(schedule.parse(terms.when), self._wall(session.started), self._zone):
            return None
        if age_s > terms.longest_s or session.rate_kbps > terms.rate_kbps > 0:
            return None
        if age_s > BESIDE_S and any(
            name != session.id and other.key == key and other.started_at < session.started
            for name, other in self._running.items()
        ):
            return None
        hours = "" if terms.when == "00:00-24:00" else f" {terms.when}"
        return f"you accepted that it sends to {key.who}{hours} (camguard learn, number {record.number})"

    def habits(self) -> list[Habit]:
        """All of them, by number."""
        records = sorted(self._records.values(), key=lambda one: one.number)
        return [one.habit(self._first.seconds(one.key.camera)) for one in records]

    def proposals(self) -> list[Habit]:
        """Viewings that are worth a question."""
        return [one for one in self.habits() if _is_question(one)]

    # ---- learning ----------------------------------------------------------------------------------------------------

    def judged(self, session: Session, now: float, *, held: bool, phone: bool, tainted: bool) -> None:
        """A viewing with its verdict. `held`: its alert is held back; `phone`: a device of the owner's receives it;
        `tainted`: it is in privacy hours, or something else speaks against it: then nothing of it is learned."""
        key, running = self._key(session), self._running.get(session.id)
        if running is not None and running.key != key:  # it turned out to be something else
            del self._running[session.id]
            running = None
        if key is None:
            return
        if running is None:
            if len(self._running) >= RUNNING_MAX:
                self.counters["habits-refused"] += 1
                return
            running = self._running[session.id] = _Running(key, session.started, session.started)
        if not (phone or running.phone):
            running.unexplained_s += max(0.0, now - running.seen_at)
        running.seen_at, running.phone = now, phone
        running.tainted |= tainted
        if held and not running.held:
            self._first.held(key.camera)
            running.held = True
        ended = session.state == "closed"
        pause_s = now - (session.started if running.noted_at is None else running.noted_at)
        if not running.tainted and (ended or pause_s >= (LONG_S if running.noted_at is None else MINUTE_S)):
            self._note(running, session, now)
        if ended:
            self._running.pop(session.id, None)

    def tick(self, now: float) -> list[Notice]:
        """Once a second: time of looking; once a minute what became a habit, and what is none any more."""
        out = self._first.tick(now)
        if now - self._minute_at < MINUTE_S:
            return out
        self._minute_at = now
        for key, record in list(self._records.items()):
            looked_s = self._first.seconds(key.camera)
            if record.is_faded(looked_s, FADES_S if record.accepted is None else 3 * FADES_S):
                self._drop(key)
            elif not record.told and _is_question(record.habit(looked_s)):
                record.told = True
                self._dirty.add(key)
                words = f"what {key.camera} sends to {key.who} has become usual. Expect it? See: camguard learn"
                out.append(Notice(now, key.camera, "learned", words))
        return out

    def take_changes(self, now: float, *, last: bool = False) -> Changes:
        """What the store does not know yet: at once what the owner said, else once an hour, and at the `last` call."""
        looked = self._first.take_changes(last=last)
        if not (last or self._urgent or now - self._saved_at >= HOUR_S):
            return Changes(looked=looked)
        self._saved_at, self._urgent = now, False
        found = [self._records[key] for key in self._dirty if key in self._records]
        habits = [(one.number, one.key.camera, text_of(one, self._first.seconds(one.key.camera))) for one in found]
        gone = tuple(sorted(self._gone))
        self._dirty.clear()
        self._gone.clear()
        return Changes(tuple(sorted(habits)), gone, looked)

    def unsaved(self, changes: Changes) -> None:
        """The store could not keep these; they come again."""
        numbers = {number for number, _, _ in changes.habits}
        self._dirty |= {key for key, record in self._records.items() if record.number in numbers}
        self._gone |= set(changes.gone)
        self._urgent = True

    # ---- what the owner says -----------------------------------------------------------------------------------------

    def decide(self, number: int, mode: str | None, when: str | None = None) -> tuple[Key, str]:
        """accept: from now on it is expected as it was until now, in the hours `when` where those are narrower. undo:
        it is expected no more, and not asked about again. forget: it is learned anew. Whom that is about, and the words
        for the log; ValueError: why not, for whoever asked."""
        record = next((one for one in self._records.values() if one.number == number), None)
        if record is None and mode == "forget" and number in self._forgotten:  # asked again: it was not on the disk
            record = Record(number, self._forgotten[number], 0.0, 0.0)
        if record is None:
            raise ValueError(f"there is no habit {number}")
        key, words = record.key, f"what {record.key.camera} sends to {record.key.who}"
        if mode == "forget":
            self._drop(key)
            self._forgotten = {number: key}
            words = f"{words} is forgotten, and learned anew"
        elif mode == "accept":
            record.terms = self._accepted(record, when)
            record.accepted, record.told = True, True
            words = f"{words} is expected: {record.terms.when}"
        else:
            record.accepted, record.terms, record.told = False, None, True
            words = f"{words} is not expected"
        self._dirty.add(key)
        self._urgent = True
        return key, words

    def _accepted(self, record: Record, when: str | None) -> Terms:
        if record.key.cls != "stream":
            raise ValueError("nobody is told of clips anyway")
        if record.is_faded(self._first.seconds(record.key.camera)):
            raise ValueError("it was not seen for 30 days; it is learned anew when it comes back")
        if not record.is_ripe():
            raise ValueError(
                "it was not seen on enough days yet (five, over a week, at different hours); to allow one viewer now:"
                " camguard allow ALERT"
            )
        terms = record.usual()
        if when is None:
            return terms
        if not is_within(when, terms.when):
            raise ValueError(
                f"it was seen {terms.when} only; for more hours write an [[expect]] into the configuration"
            )
        return terms._replace(when=when)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _key(self, session: Session) -> Key | None:
        return key_of(session, self._domain_of)

    def _note(self, running: _Running, session: Session, now: float) -> None:
        """The viewing into the days that it is of: that of its beginning, but each day of one that goes on and on."""
        record, looked_s = self._record(running.key, session, now), self._first.seconds(running.key.camera)
        if record is None:
            return
        first = running.noted_at is None
        at = max(session.started if running.noted_at is None else running.noted_at, now - 2 * DAY_S)
        every_day = now - session.started >= DAYS_LONG_S
        day = record.day(self._local(now if every_day else session.started).toordinal(), looked_s)
        while True:
            here = self._local(at)
            if every_day and here.toordinal() != day.date:
                day = record.day(here.toordinal(), looked_s)
            day.hours |= 1 << here.hour
            if at >= now:
                break
            step_s = min(now - at, HOUR_S / 2)
            day.sent_s += step_s
            at += step_s
        day.count += first
        day.longest_s = max(day.longest_s, now - session.started)
        day.rate_kbps = max(day.rate_kbps, session.rate_kbps)
        if session.state == "closed" and running.unexplained_s < MINUTE_S:
            day.phone = min(day.count, day.phone + 1)
        record.last_time = self._wall(now)
        running.noted_at = now
        self._dirty.add(running.key)

    def _record(self, key: Key, session: Session, now: float) -> Record | None:
        record = self._records.get(key)
        if record is not None and record.is_faded(self._first.seconds(key.camera)):
            self._drop(key)  # it comes back as something new, also where it was accepted
            record = None
        if record is None:
            mine = [one for one in self._records.values() if one.key.camera == key.camera]
            if len(mine) >= HABITS_MAX or len(self._records) >= ALL_MAX:
                # whoever comes with many names drives out what came once, and nothing that was seen on more days
                free = [one for one in mine if one.accepted is None]
                if not free:
                    self.counters["habits-refused"] += 1
                    return None
                self._drop(min(free, key=lambda one: (len(one.days), one.last_time)).key)
                self.counters["habits-evicted"] += 1
            record = self._records[key] = Record(self._next, key, self._wall(session.started), self._wall(now))
            self._next += 1
        return record

    def _drop(self, key: Key) -> None:
        record = self._records.pop(key, None)
        if record is not None:
            self._gone.add(record.number)

    def _local(self, at: float) -> datetime:
        return datetime.fromtimestamp(self._wall(at), self._zone)


def _is_question(habit: Habit) -> bool:
    return habit.cls == "stream" and habit.ripe and not habit.faded and habit.accepted is None
