"""What the owner asks of a running guard: wishes become decisions. In: the spool, the store; out: events, rows, words.

Once a second the folder is looked at (one stat where nothing changed). Each wish is decided on the loop's thread and
told like every event; its file is removed by the writer's thread, and only when the decision is on the disk. Killed in
between, the guard finds the file again, and its id in the record: one wish, one decision. A file that is no wish, or
asks for what cannot be, is said and removed. At the start, what was decided before and still holds goes on.
"""

import asyncio
import contextlib
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from camguard import report, store, wishes
from camguard.config import Paths
from camguard.events import Event, Notice, Wish
from camguard.guard import Guard
from camguard.judge.allow import DEFAULT_S
from camguard.store import Kept, Reader, Store
from camguard.wishes import Found, Refused

SETTLED = 3  # looks without a change before the folder is left alone: its time has no finer grain than the kernel's
AGAIN_S = 30.0  # between two tries with a file that could not be removed, or was not decided
PRESENCE_LATE_S = 600.0
LATE_S = 10.0  # what has waited longer was asked while no guard ran
SAID_A_MINUTE = 10  # refusals that are said and recorded; more are counted


class Keeper(Protocol):
    """The part of the loop that is used here."""

    paths: Paths
    guard: Guard
    said: dict[str, str]

    def asked(self, job: Callable[[Store], Any]) -> Awaitable[Any]:
        """What the writer's thread answers; None when the store fails."""
        ...

    def tell(self, events: Sequence[Event], wish: str | None = None, why: str | None = None) -> None:
        """Events to the store and to whoever listens; `wish`, `why`: for whoever waits for the answer to a wish."""
        ...

    async def save_habits(self) -> bool:
        """What is new of habits goes to the disk; whether that worked."""
        ...

    def fault(self, place: str, error: BaseException | None) -> None:
        """A fault of camguard itself: counted, said once."""
        ...


class Spool:
    """The folder, and what is being decided. `look` once a second, on the loop's thread."""

    def __init__(self, keeper: Keeper, decisions: Sequence[Kept]) -> None:
        self.counters = {"wishes-refused": 0}
        self._keeper, self._folder = keeper, keeper.paths.wishes
        self._unsure = [kept for kept in decisions if kept.unsure]
        self._mark: tuple[int, int] | None = None
        self._unchanged = 0
        self._task: asyncio.Task[None] | None = None
        self._current = ""
        self._poison: set[str] = set()  # names of files over which camguard stumbled
        self._number = 0
        self._said: deque[float] = deque(maxlen=SAID_A_MINUTE)
        self._look_at = 0.0
        self._again: set[str] = set()  # names of files that were not done with
        self._refusals: set[str] = set()  # of these, what was said already
        now = time.monotonic()
        for kept in decisions:
            if not kept.unsure:
                resume(keeper.guard, kept, now)
        with contextlib.suppress(OSError):
            wishes.prepare(self._folder)
        self._clock_words()

    def look(self, now: float) -> None:
        """What is new in the folder goes on its way. `now`: monotonic seconds."""
        if self._task is not None:
            if not self._task.done():
                return
            error = self._task.exception()
            self._task = None
            if error is not None:
                self._keeper.fault("wishes", error)
                self._poison.add(self._current)
                self._mark = None
        try:
            found = self._new(now)
        except FileNotFoundError:
            self._mark = None
            with contextlib.suppress(OSError):
                wishes.prepare(self._folder)
            return
        except OSError as error:
            self._keeper.said["wishes"] = (
                f"Nobody can tell the guard anything: {self._folder} cannot be read ({error.strerror})."
            )
            return
        if not self._again:
            self._keeper.said.pop("wishes", None)
        if found:
            self._task = asyncio.get_running_loop().create_task(self._all(found))

    async def awake(self, slept_s: float) -> None:
        """The machine slept, and the guard's own clock with it: what ends by itself ends when it should."""
        kept = await self._keeper.asked(lambda _: Reader(self._keeper.paths.database).decisions())
        now = time.monotonic()
        for one in kept or ():
            if one.left_s is not None and one.left_s > -slept_s - 60.0 and one.revoked_at is None and not one.unsure:
                resume(self._keeper.guard, one, now)

    def minute(self, clock_is_set: Callable[[], bool] = store.clock_is_set) -> None:
        """Decisions that waited for the clock."""
        if self._unsure and clock_is_set():
            now, wall = time.monotonic(), time.time()
            for kept in self._unsure:
                left_s = (kept.decision.until or 0.0) - wall
                if left_s > 0:  # what has run out must not displace what holds
                    resume(self._keeper.guard, kept._replace(left_s=left_s, unsure=False), now)
            self._unsure = []
            self._clock_words()

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _new(self, now: float) -> list[Found]:
        state = os.stat(self._folder, follow_symlinks=False)
        mark = (state.st_ino, state.st_mtime_ns)
        self._unchanged = self._unchanged + 1 if mark == self._mark else 0
        self._mark = mark
        again = bool(self._again) and now >= self._look_at
        if self._unchanged > SETTLED and not again:
            return []
        found = wishes.take(self._folder)
        if again:
            self._look_at = now + AGAIN_S
            self._again = set()
        return [one for one in found if one.name not in self._again]

    async def _all(self, found: Sequence[Found]) -> None:
        for name, asked, age_s in found:
            self._current = name
            wish = Refused("camguard stumbled over it", asked.who) if name in self._poison else asked
            done = await (self._refused(name, wish) if isinstance(wish, Refused) else self._wish(name, wish, age_s))
            if not done:
                self._again.add(name)
                self._look_at = max(self._look_at, time.monotonic() + 1.0)
        self._poison.clear()

    async def _wish(self, name: str, wish: Wish, age_s: float) -> bool:
        """One wish, from its file to its decision; whether its file is gone."""
        known = await self._keeper.asked(
            lambda opened: (opened.asked_before(wish.id), opened.next_number(), self._alerts(wish))
        )
        if known is None:  # nothing can be recorded, which is said elsewhere
            return False
        before, number, alerts = known
        if before:
            return await self._remove(name, wish.id)
        if wish.do == "presence" and age_s > PRESENCE_LATE_S:  # who was home then is of no use, and not to be kept
            return await self._refused(name, _no(wish, "it was said too long ago"))
        if age_s > LATE_S and wish.do in DEFAULT_S and wish.for_s != 0:  # "now" was said a while ago
            left_s = (DEFAULT_S[wish.do] if wish.for_s is None else wish.for_s) - age_s
            if left_s <= 0:
                return await self._refused(name, _no(wish, "it was asked too long ago"))
            wish = replace(wish, for_s=left_s)
        if wish.alert is not None:
            named = [body for body in alerts if body.get("id") == wish.alert] or alerts
            if len(named) > 1:
                return await self._refused(name, _no(wish, f"more than one alert begins with {wish.alert}"))
            alert = report.alert_of(named[0]) if named else None
            if alert is None:
                return await self._refused(name, _no(wish, f"there is no alert {wish.alert}"))
            wish = replace(wish, alert=alert.id)
        else:
            alert = None
        self._number = max(self._number + 1, number)
        try:
            events = self._keeper.guard.decide(wish, self._number, time.monotonic(), alert)
        except ValueError as error:
            self._number -= 1
            return await self._refused(name, _no(wish, str(error)))
        # what was said of a habit is on the disk before anybody is told so; else the wish is there, and is done again
        if wish.do == "learn" and not await self._keeper.save_habits():
            return False
        self._keeper.tell(events)
        return await self._remove(name, wish.id)

    def _alerts(self, wish: Wish) -> list[dict[str, Any]]:
        if wish.alert is None:
            return []
        reader = Reader(self._keeper.paths.database)
        try:
            return reader.alerts_named(wish.alert)
        finally:
            reader.close()

    async def _refused(self, name: str, refused: Refused) -> bool:
        at = time.monotonic()
        if name not in self._refusals:
            self.counters["wishes-refused"] += 1
            if len(self._said) < SAID_A_MINUTE or at - self._said[0] > 60.0:
                self._said.append(at)
                what = f"what {refused.who} asked was not done: {refused.why}"
                self._keeper.tell([Notice(time.time(), None, "refused", what)], wish=refused.id, why=refused.why)
        gone = await self._remove(name, None)
        (self._refusals.discard if gone else self._refusals.add)(name)
        return gone

    async def _remove(self, name: str, decided: str | None) -> bool:
        """The file goes, where a decision was made of it only when that is on the disk."""

        def job(opened: Store) -> str:
            if decided is not None and not opened.asked_before(decided):
                return "not written"
            try:
                wishes.remove(self._folder, name)
            except OSError as error:
                return error.strerror or "an error"
            return ""

        trouble: str | None = await self._keeper.asked(job)
        if trouble:
            self._keeper.said["wishes"] = (
                f"A wish that was dealt with cannot be removed from {self._folder} ({trouble.lower()})."
            )
        return trouble == ""

    def _clock_words(self) -> None:
        if self._unsure:
            self._keeper.said["clock"] = (
                f"The clock of this machine is not set yet: what you allowed up to a certain time"
                f" ({len(self._unsure)}) counts again when it is."
            )
        else:
            self._keeper.said.pop("clock", None)


def resume(guard: Guard, kept: Kept, now: float) -> None:
    """What was decided before holds for as long as it has left."""
    guard.resume_decision(kept.decision, None if kept.left_s is None else now + kept.left_s)


def _no(wish: Wish, why: str) -> Refused:
    return Refused(why, wish.who, wish.id)
