"""Is the guard alive? Said by deliver itself, because a guard that has died says nothing.

In: the age of now.json, three clocks. Out: guard-blind through the outbox when the guard has been silent for `STALE_S`,
closed with its length when it is back; and, with [alive] in the configuration, a GET to a watch service outside
(healthchecks and its like) every `PING_S` as long as the guard looks. While it does not, nothing is sent at all: the
other side then notices, as it does when this machine, its power or its network is gone. The address is a secret.

Clocks: `at` seconds since boot with sleep (ages and lengths), `awake` the same without sleep (a guard that was asleep
with the machine needs a moment to write again), `now` wall clock (labels only: a set clock changes no length).
"""

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from camguard import report, store
from camguard.config import Secret, read_secret
from camguard.errors import ConfigError, SinkError, StoreError
from camguard.events import Alert, id_of
from camguard.judge.unseen import guard_blind
from camguard.store.delivery import Ping
from camguard.tell.threads import Patient
from camguard.tell.webhook import request

STALE_S = 15.0  # contract.md: the guard is silent
AWAKE_S = 3.0  # of these, time that must have passed awake
UPDATE_S = 600.0  # it still lasts: said after that long, then after twice, four times as long

How = Literal["guard-silent", "guard-hidden"]
_REASONS: dict[How, str] = {
    "guard-silent": "the guard gives no sign of life",
    "guard-hidden": "the messenger may not read what the guard writes",
}


class Pace(NamedTuple):
    """`look_s`: how often the figures are looked at. `start_s`: guard and deliver may have just been started, and that
    long nothing need be there yet. `ping_s`: between two pings; `again_s`: after one that failed; `limit_s`: for one.
    """

    look_s: float = 1.0
    start_s: float = 30.0
    ping_s: float = 300.0
    again_s: float = 60.0
    limit_s: float = 10.0


PACE = Pace()
NEVER_PINGED = Ping()


class Sign(NamedTuple):
    """The guard's last sign of life: how old (infinite: there is none); since when it has looked (wall clock).

    `hidden`: there may be one, but this user may not read it.
    """

    age_s: float
    since: float | None = None
    hidden: bool = False


def sign(path: Path) -> Sign:
    """What now.json says."""
    figures = store.read_now(path)
    if figures is not None:
        return Sign(store.now_age_s(figures), store.seconds(figures.get("since")))
    hidden = False
    try:
        hidden = path.exists() and not os.access(path, os.R_OK)
    except PermissionError:
        hidden = True
    except OSError:
        pass
    return Sign(math.inf, None, hidden)


class Silence:
    """When to say that the guard is silent. `left`: this matter, still open from the deliver before; `last_look`: until
    when the record says that the guard looked (wall clock), for a guard that was never seen alive."""

    def __init__(
        self,
        left: Mapping[str, Any] | None = None,
        last_look: Callable[[], float | None] = lambda: None,
        start_s: float = PACE.start_s,
    ) -> None:
        self._last_look, self._start_s = last_look, start_s
        self._alert = None if left is None else _left(left)
        self._seen = False
        self._quiet_from: float | None = None  # awake
        self._sign_at: float | None = None  # of the last sign of life, as far as it is known
        self._update_s = 0.0  # the length from which the next update is due

    def look(self, found: Sign, at: float, awake: float, now: float) -> Alert | None:
        """Once a second: what there is to say."""
        if found.age_s < STALE_S - AWAKE_S:
            said = self._close(found, at, now) if self._alert else None
            self._seen, self._quiet_from, self._sign_at, self._alert = True, None, at - found.age_s, None
            return said
        if found.age_s < math.inf:
            self._sign_at = at - found.age_s
        if self._quiet_from is None:
            self._quiet_from = awake
        if self._alert is not None:
            return self._goes_on(at, now)
        waited_s = awake - self._quiet_from
        if found.age_s < math.inf:
            over = found.age_s >= STALE_S and waited_s >= AWAKE_S
        else:  # a clean stop takes the figures away
            over = waited_s >= (STALE_S if self._seen else self._start_s)
        return self._open("guard-hidden" if found.hidden else "guard-silent", waited_s, at, now) if over else None

    def _open(self, how: How, waited_s: float, at: float, now: float) -> Alert:
        if self._sign_at is None:
            known = self._last_look()
            self._sign_at = at - (waited_s if known is None else max(waited_s, now - known))
        started = now - (at - self._sign_at)
        self._update_s = _next_update_s(now - started)
        self._alert = _alert(id_of(how, f"{started:.3f}"), how, raised=now, started=started)
        return self._alert

    def _goes_on(self, at: float, now: float) -> Alert | None:
        alert = self._alert
        assert alert is not None
        started = alert.started if self._sign_at is None else now - (at - self._sign_at)
        length_s = now - started
        due_s, self._update_s = self._update_s, _next_update_s(length_s)
        if not due_s or length_s < due_s:  # 0: left by the deliver before, which has said what was due
            return None
        self._alert = replace(alert, state="update", time=now, started=started)
        return self._alert

    def _close(self, found: Sign, at: float, now: float) -> Alert:
        alert = self._alert
        assert alert is not None
        if self._sign_at is not None:
            started, ended = now - (at - self._sign_at), now
        else:  # from another boot, or the figures are gone: only the labels are known
            started, ended = alert.started, max(now, alert.started)
            if found.since is not None and started < found.since < now:
                ended = found.since
        return replace(alert, state="closed", time=now, started=started, ended=ended)


def _next_update_s(length_s: float) -> float:
    due_s = UPDATE_S
    while due_s <= length_s:
        due_s *= 2
    return due_s


def _alert(key: str, how: How, *, raised: float, started: float) -> Alert:
    return guard_blind(key, how, _REASONS[how], now=raised, started=started, severity="warning")


def _left(body: Mapping[str, Any]) -> Alert | None:
    """The alert that `body` was made of; None where it is damaged."""
    raised, started = store.seconds(body.get("raised")), store.seconds(body.get("started"))
    if raised is None or started is None or not isinstance(body.get("id"), str):
        return None
    how: How = "guard-hidden" if body.get("reason") == _REASONS["guard-hidden"] else "guard-silent"
    return _alert(body["id"], how, raised=raised, started=started)


class Alive:
    """What runs in deliver: `tasks` by name. `raise_own` has it on the disk when it returns.

    `pinged`: what became of the ping before; `note` keeps each one's outcome for status and check.
    """

    def __init__(
        self,
        now: Path,
        database: Path,
        raise_own: Callable[[dict[str, object]], None],
        own_open: Sequence[Mapping[str, Any]] = (),
        *,
        ping: Secret | None = None,
        zone: str = "UTC",
        say: Callable[[str], None] = lambda _: None,
        pace: Pace = PACE,
        pinged: Ping = NEVER_PINGED,
        note: Callable[[Ping], None] = lambda _: None,
    ) -> None:
        self._path, self._database, self._raise, self._zone, self._say = now, database, raise_own, zone, say
        self._ping, self._pace = ping, pace
        self._pinged, self._note = pinged, note
        self._trouble = ""
        self._address: Patient[str] = Patient("secret")
        left = [one for one in own_open if one.get("type") == "guard-blind"]
        self._silence = Silence(left[-1] if left else None, self._looked_until, pace.start_s)

    @property
    def tasks(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Each runs for ever."""
        made: dict[str, Callable[[], Awaitable[None]]] = {"the watch over the guard": self.watch}
        if self._ping is not None:
            made["the ping"] = self.ping
        return made

    async def watch(self) -> None:
        """Say when the guard falls silent, and when it is back."""
        while True:
            at, awake, now = store.boottime_s(), time.monotonic(), time.time()
            alert = self._silence.look(sign(self._path), at, awake, now)
            if alert is not None:
                made = report.as_dict(alert, self._zone)
                self._raise(made)
                self._say(f"{made['title']}.")
            await asyncio.sleep(self._pace.look_s)

    async def ping(self) -> None:
        """GET the address as long as the guard looks."""
        due = 0.0
        while True:
            if store.boottime_s() >= due and sign(self._path).age_s < STALE_S:
                wait_s = await self._one_ping()
                due = store.boottime_s() + wait_s
            await asyncio.sleep(self._pace.look_s)

    async def _one_ping(self) -> float:
        """Seconds until the next. What went wrong is said once, without the address."""
        assert self._ping is not None
        secret = self._ping
        try:
            address = await self._address.result(lambda: read_secret(secret), self._pace.limit_s)
            await request("GET", address, timeout_s=self._pace.limit_s)
        except (ConfigError, SinkError, TimeoutError) as caught:
            error = SinkError(f"{secret}: cannot be read in time") if isinstance(caught, TimeoutError) else caught
            words = str(error).rstrip(".")
            if words != self._trouble:
                self._say(f"the watch service ([alive]) was not reached: {words}. Trying again until it works.")
            self._trouble = words
            since = self._pinged.since if self._pinged.error else None
            self._pinged = Ping(self._pinged.last, words, time.time() if since is None else since)
            self._note(self._pinged)
            permanent = isinstance(error, ConfigError) or error.permanent
            return self._pace.ping_s if permanent else self._pace.again_s
        if self._trouble:
            self._say("the watch service ([alive]) is reached again.")
        self._trouble = ""
        self._pinged = Ping(time.time())
        self._note(self._pinged)
        return self._pace.ping_s

    def _looked_until(self) -> float | None:
        """The end of the last stretch of looking that is recorded."""
        reader = store.Reader(self._database)
        with contextlib.suppress(StoreError):
            try:
                runs = reader.runs()
                return None if not runs else (runs[-1].beat if runs[-1].ended is None else runs[-1].ended)
            finally:
                reader.close()
        return None
