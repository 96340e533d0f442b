"""What one channel still has to be told, in which order, and when to try again. No files, no network, no waiting.

In: alerts, results of sending, the clocks. Out: the next parcel, or how long there is none. What has to be written down
is noted in `Changes`, which all queues share and outbox.py commits.

A newer state of an alert takes the place of one that still waits, and is heard if that was to be heard. Critical goes
first. The rules of quiet (quiet.py) are asked when a parcel is about to be sent, so that what was overtaken costs
nothing; a queue that grows is asked about earlier, and above `QUEUE_MAX` what comes is counted and told in one message.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from camguard.config import Channel
from camguard.errors import SinkError
from camguard.judge import schedule
from camguard.store.delivery import ChannelState, Kept, Parcel, Status
from camguard.tell import quiet

RETRY_FIRST_S, RETRY_MOST_S, JITTER = 5.0, 3600.0, 0.2
LIFE_S = 72 * 3600.0
STARTING_S = 600.0  # what may only be starting on the other side is given that long
QUEUE_MAX = 200  # parcels of a channel that wait
LOOK_S = 30.0  # quiet hours and silences are looked at that often


#: What an alert of a wrong shape raises; the record may hold such, from a damaged disk or another version.
SHAPE = (KeyError, TypeError, AttributeError, ValueError)
DAMAGED = "its record is damaged and cannot be told. See: camguard alerts"


class Clocks(NamedTuple):
    """`at`: seconds since boot, all waiting goes by it, so that a set clock neither hurries nor loses anything; `now`:
    wall-clock seconds, for hours and dates."""

    at: float
    now: float


@dataclass
class Silenced:
    """What the owner does not want to hear of, until when (wall clock). Of cameras, None is all."""

    cameras: Mapping[str | None, float] = field(default_factory=dict)
    alerts: Mapping[str, float] = field(default_factory=dict)

    def holds(self, alert: Mapping[str, Any], now: float) -> bool:
        """Whether one of them speaks of this alert now."""
        camera = alert.get("camera")
        ends = (self.cameras.get(None), self.cameras.get(camera) if camera else None, self.alerts.get(str(alert["id"])))
        return any(end is not None and now < end for end in ends)


@dataclass
class Changes:
    """What is not yet on the disk. `forget`: parcels that leave no trace; `channels`: names whose state changed."""

    parcels: dict[int, Parcel] = field(default_factory=dict)
    forget: set[int] = field(default_factory=set)
    own: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    channels: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.parcels or self.forget or self.own or self.channels)


class Queue:
    """One channel's. `replaces`: a later message takes the place of the earlier one there; `ids`: for new parcels."""

    def __init__(
        self,
        channel: Channel,
        kept: Kept,
        changes: Changes,
        *,
        replaces: bool,
        hours: tuple[schedule.Window, ...],
        zone: ZoneInfo,
        ids: Iterator[int],
        chance: Callable[[], float],
        at: float,
    ) -> None:
        self.channel, self._replaces, self._changes = channel, replaces, changes
        self._hours, self._zone, self._ids, self._chance = hours, zone, ids, chance
        self._when = schedule.parse(channel.when) if channel.when else ()
        names = channel.detail == "full"
        try:
            self.rules = quiet.Quiet(replaces=replaces, names=names, kept=kept.quiet.get(channel.name))
        except SHAPE:
            self.rules = quiet.Quiet(replaces=replaces, names=names)
        self.state = ChannelState(channel.name, channel.kind)
        if (known := kept.channels.get(channel.name)) is not None:
            self.state.last_sent, self.state.error = known.last_sent, known.error
            self.state.error_since = known.error_since
        self.waiting: dict[int, Parcel] = {}
        self.told: dict[str, str] = {}  # alert -> what the channel calls its message, "" where it has no name for it
        self._told_as: dict[str, str] = {}  # alert -> the severity in which the channel took it
        self._by_alert: dict[str, list[Parcel]] = {}
        self._due: dict[int, float] = {}  # at
        self._since: dict[int, float] = {}  # at: up to where waited_s is counted
        self._sending: int | None = None
        for told in kept.told:
            if told.channel == channel.name:
                self.rules.remember(told.alert, told.severity)
                self.told[told.alert] = told.remote_id or ""
                self._told_as[told.alert] = told.severity
        for parcel in kept.parcels:
            if parcel.channel == channel.name:
                self._enqueue(parcel, at)  # whatever it waited for before: deliver was started anew

    # ---- what comes in -----------------------------------------------------------------------------------------------

    def put(self, seq: int, alert: dict[str, Any], clocks: Clocks, silenced: Silenced) -> None:
        """A change of an alert, if the channel asked for such."""
        try:
            self._put(seq, alert, clocks, silenced)
        except SHAPE:
            key, state = str(alert.get("id")), str(alert.get("state"))
            parcel = Parcel(next(self._ids), self.channel.name, key, seq, state, alert, clocks.now, clocks.now, False)
            self._enqueue(parcel, clocks.at)
            self.damaged(parcel, clocks)

    def _put(self, seq: int, alert: dict[str, Any], clocks: Clocks, silenced: Silenced) -> None:
        channel = self.channel
        if not quiet.wanted(alert, channel.severity, channel.cameras, weekly=channel.weekly):
            return
        state, key = str(alert["state"]), str(alert["id"])
        older = self._waiting_of(key)
        if state != "open" and not self.rules.told(key) and key not in self._by_alert:
            return  # nobody here was told that it began
        if state == "update" and not older and (alert["severity"] == "info" or not self._replaces):
            return
        # What was to be told, and to be heard, is told and heard in whatever form it goes out.
        owed = state == "open" or any(one.sound or one.state == "open" for one in older)
        judged = any(one.judged for one in older)
        for one in older:
            self._done(one, "superseded", clocks)
        if len(self.waiting) >= QUEUE_MAX // 2:
            self._thin(clocks, silenced)
        if len(self.waiting) < QUEUE_MAX or judged:
            self._add(seq, alert, clocks, owed=owed, judged=judged)
        elif owed:
            self.rules.gather(alert, clocks.now)
            self._changes.channels.add(channel.name)

    # ---- what goes out -----------------------------------------------------------------------------------------------

    def next(self, clocks: Clocks, silenced: Silenced) -> tuple[Parcel | None, float]:
        """The parcel that is to be sent now and is marked so, or None and the seconds until there may be one."""
        for alert in self.rules.digests(clocks.now):
            self._changes.channels.add(self.channel.name)
            self._add(0, alert, clocks, owed=True, judged=True)
        self._hold(clocks, silenced)
        while ready := [one for one in self._pending() if self._due[one.id] <= clocks.at]:
            parcel = min(ready, key=lambda one: (-quiet.RANK.get(str(one.body.get("severity")), 1), one.id))
            if parcel.judged or self._judged(parcel, clocks):
                self._sending = parcel.id
                return parcel, 0.0
        waits = [LOOK_S, *(self._due[one.id] - clocks.at for one in self._pending())]
        gathered_s = self.rules.next_digest_s(clocks.now)
        if gathered_s is not None:
            waits.append(max(0.5, gathered_s))
        return None, max(0.0, min(waits))

    def sent(self, parcel: Parcel, remote_id: str | None, clocks: Clocks) -> None:
        """It was taken. What else waits need not wait any longer where the channel did not work before."""
        self._done(parcel, "sent", clocks)
        self.rules.remember(parcel.alert, str(parcel.body["severity"]))  # judged before a crash: its end is to be told
        parcel.error, parcel.remote_id = None, remote_id
        self.told.pop(parcel.alert, None)
        self.told[parcel.alert], self._told_as[parcel.alert] = remote_id or "", str(parcel.body["severity"])
        while len(self.told) > quiet.ALERTS_MAX:
            oldest = next(iter(self.told))
            del self.told[oldest]
            self._told_as.pop(oldest, None)
        if self.state.error is not None:
            self._due = {known: min(due, clocks.at) for known, due in self._due.items()}
        self.state.last_sent, self.state.error, self.state.error_since = clocks.now, None, None
        self._changes.channels.add(self.channel.name)

    def failed(self, parcel: Parcel, error: SinkError, clocks: Clocks) -> None:
        """It was not taken: tried again later, or given up."""
        self._sending = None
        parcel.tries += 1
        parcel.waited_s += max(0.0, clocks.at - self._since[parcel.id])
        self._since[parcel.id] = clocks.at
        parcel.error = str(error)
        if self.state.error is None:
            self.state.error_since = clocks.now
        self.state.error = str(error)
        self._changes.channels.add(self.channel.name)
        newer = [one for one in self._waiting_of(parcel.alert) if one.id > parcel.id]
        if error.permanent and not (error.starting and parcel.waited_s < STARTING_S):
            self._done(parcel, "failed", clocks)
        elif newer:  # came while this one was being sent
            newer[-1].sound |= parcel.sound
            newer[-1].judged |= parcel.judged
            self._changes.parcels[newer[-1].id] = newer[-1]
            self._done(parcel, "superseded", clocks)
        elif parcel.waited_s >= LIFE_S:
            parcel.error = f"given up after 72 hours: {error}"
            self._done(parcel, "failed", clocks)
        else:
            wait_s = backoff(parcel.tries, error.after_s, self._chance())
            self._due[parcel.id], parcel.due = clocks.at + wait_s, clocks.now + wait_s
            self._changes.parcels[parcel.id] = parcel

    def damaged(self, parcel: Parcel, clocks: Clocks) -> None:
        """It cannot be told, now or ever; that says nothing of the channel."""
        parcel.error = DAMAGED
        self._done(parcel, "failed", clocks)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _pending(self) -> list[Parcel]:
        return [one for one in self.waiting.values() if one.status == "pending"]

    def _waiting_of(self, alert: str) -> list[Parcel]:
        """What waits of an alert, oldest first, without what is being sent."""
        return [one for one in self._by_alert.get(alert, ()) if one.id != self._sending]

    def _add(self, seq: int, alert: dict[str, Any], clocks: Clocks, *, owed: bool, judged: bool) -> None:
        key, state = str(alert["id"]), str(alert["state"])
        parcel = Parcel(next(self._ids), self.channel.name, key, seq, state, alert, clocks.now, clocks.now, owed)
        if judged:
            parcel.judged, parcel.sound = True, owed and alert["severity"] != "info"
        self._enqueue(parcel, clocks.at)
        self._changes.parcels[parcel.id] = parcel

    def _enqueue(self, parcel: Parcel, at: float) -> None:
        self.waiting[parcel.id] = parcel
        self._by_alert.setdefault(parcel.alert, []).append(parcel)
        self._due[parcel.id] = self._since[parcel.id] = at

    def _dequeue(self, parcel: Parcel) -> None:
        if self._sending == parcel.id:
            self._sending = None
        for table in (self.waiting, self._due, self._since):
            table.pop(parcel.id, None)
        same = [one for one in self._by_alert.pop(parcel.alert, ()) if one.id != parcel.id]
        if same:
            self._by_alert[parcel.alert] = same

    def _done(self, parcel: Parcel, status: Status, clocks: Clocks) -> None:
        """It is settled, and kept for the owner to look at."""
        parcel.status, parcel.done_at = status, clocks.now
        self._dequeue(parcel)
        self._changes.parcels[parcel.id] = parcel

    def _drop(self, parcel: Parcel) -> None:
        """It leaves no trace: it was counted elsewhere, or was no news."""
        self._dequeue(parcel)
        self._changes.parcels.pop(parcel.id, None)
        self._changes.forget.add(parcel.id)

    def _thin(self, clocks: Clocks, silenced: Silenced) -> None:
        """A queue that grows is judged ahead of its sending: many become one."""
        self._hold(clocks, silenced)
        for parcel in self._pending():
            if not parcel.judged and parcel.id in self.waiting:
                self._judged(parcel, clocks)

    def _hold(self, clocks: Clocks, silenced: Silenced) -> None:
        """Which parcels wait for the end of quiet hours, of the channel's own hours, of a silence."""
        now = clocks.now
        hours = bool(self._hours) and schedule.inside(self._hours, now, self._zone)
        hours = hours or (bool(self._when) and not schedule.inside(self._when, now, self._zone))
        for parcel in list(self.waiting.values()):
            if parcel.id == self._sending:
                continue
            try:
                self._hold_one(parcel, now, silenced, hours)
            except SHAPE:
                self.damaged(parcel, clocks)

    def _hold_one(self, parcel: Parcel, now: float, silenced: Silenced, hours: bool) -> None:
        alert, silent = parcel.body, silenced.holds(parcel.body, now)
        known = self._told_as.get(parcel.alert) == "critical" and not self.rules.counts(alert)
        waits = quiet.held(alert, hours=hours, silenced=silent, known=known)
        if waits and silent and parcel.state == "closed":
            parcel.mute = True  # it came and went while nothing was to be said
        status: Status = "held" if waits else "pending"
        if status != parcel.status:
            parcel.status = status
            self._changes.parcels[parcel.id] = parcel

    def _judged(self, parcel: Parcel, clocks: Clocks) -> bool:
        try:
            return self._judge(parcel, clocks)
        except SHAPE:
            self.damaged(parcel, clocks)
            return False

    def _judge(self, parcel: Parcel, clocks: Clocks) -> bool:
        """Whether the rules of quiet let it pass; else it is gone from the queue, and may stand in another one."""
        answer = self.rules.judge(parcel.body, clocks.now, owed=parcel.sound)
        self._changes.channels.add(self.channel.name)
        if answer.what == "send":
            parcel.judged, parcel.sound = True, answer.sound and not parcel.mute
            self._changes.parcels[parcel.id] = parcel
            return True
        self._drop(parcel)
        if answer.instead is not None:
            older = self._waiting_of(str(answer.instead["id"]))
            sound = answer.sound or any(one.sound for one in older)
            for one in older:
                self._drop(one)
            if sound or self._replaces:
                self._add(0, answer.instead, clocks, owed=sound, judged=True)
        return False


def backoff(tries: int, after_s: float | None, chance: float) -> float:
    """Seconds to the next try: 5, doubled each time up to an hour, each up to a fifth shorter or longer (`chance` is
    0 to 1); not sooner than the other side asked for, but within the hour."""
    plain = min(RETRY_FIRST_S * 2.0 ** min(tries - 1, 20), RETRY_MOST_S)
    spread = plain * (1 - JITTER + 2 * JITTER * chance)
    return min(RETRY_MOST_S, max(RETRY_FIRST_S, spread, after_s or 0.0))
