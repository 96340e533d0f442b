"""The outbox: what each channel still has to be told, what it was told, when to try again. No network, no waiting.

In: changes of alerts (from guard.db, or deliver's own), results of sending, two clocks as arguments: `at` monotonic
seconds (all waiting goes by it, so that a set clock neither hurries nor loses anything), `now` wall-clock seconds
(quiet hours, dates). Out: the next parcel of a channel, or how long there is none.

Each channel has a queue of its own. A parcel is committed to deliver.db, together with the place up to which guard.db
was read, before anybody may send it, and is marked when it was sent: killed in between, it is sent once more. Where
deliver.db cannot be written (disk full) the outbox goes on from memory and writes all of it as soon as it can.
"""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from camguard import report
from camguard.config import Channel
from camguard.errors import SinkError, StoreError
from camguard.judge import schedule
from camguard.store.delivery import ChannelState, Deliveries, Kept, Parcel, Status
from camguard.tell import quiet

RETRY_FIRST_S, RETRY_MOST_S, JITTER = 5.0, 3600.0, 0.2
LIFE_S = 72 * 3600.0
QUEUE_MAX = 200  # parcels of a channel that wait; what comes above is counted and told in one message
LOOK_S = 30.0  # quiet hours and silences are looked at that often
UNSAVED_MAX = 5000

Clocks = tuple[float, float]  # at, now


@dataclass
class _Queue:
    """One channel: what waits, what it was told, its rules."""

    channel: Channel
    replaces: bool
    rules: quiet.Quiet
    state: ChannelState
    when: tuple[schedule.Window, ...] = ()
    waiting: dict[int, Parcel] = field(default_factory=dict)
    by_alert: dict[str, list[Parcel]] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)  # parcel -> monotonic
    since: dict[int, float] = field(default_factory=dict)  # parcel -> monotonic, up to where waited_s is counted
    remote: dict[str, str] = field(default_factory=dict)  # alert -> what the channel calls its message
    sending: int | None = None


class Outbox:
    """All queues and their file. `wake` is called with the name of a channel that may have something to do.

    `replaces`: kinds of channels where a later message takes the place of the earlier one.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        channels: Sequence[Channel],
        *,
        zone: str,
        quiet_hours: str | None,
        replaces: Iterable[str] = ("mqtt", "webhook"),
        say: Callable[[str], None] = lambda _: None,
        chance: Callable[[], float] = random.random,
        at: float,
    ) -> None:
        self.wake: Callable[[str], None] = lambda _: None
        self._file, self._say, self._chance = deliveries, say, chance
        self._zone, self._home = ZoneInfo(zone), zone
        self._hours = schedule.parse(quiet_hours) if quiet_hours else ()
        self.silenced: Mapping[str | None, float] = {}  # camera (None: all) -> until, wall clock
        self.silenced_alerts: Mapping[str, float] = {}
        self._unsaved: dict[int, Parcel] = {}
        self._forget: set[int] = set()
        self._own: list[tuple[float, dict[str, Any]]] = []
        self._trouble = ""
        kept = deliveries.load()
        self.cursor, self._last_id = kept.cursor, kept.last_id
        self._dirty: set[str] = set()
        self.new_channels: list[str] = [one.name for one in channels if one.name not in kept.channels]
        kinds = set(replaces)
        self._queues = {one.name: self._queue(one, one.kind in kinds, kept) for one in channels}
        self._take_up(kept, at)
        self._save()

    @property
    def channels(self) -> dict[str, Channel]:
        return {name: queue.channel for name, queue in self._queues.items()}

    # ---- what comes in -----------------------------------------------------------------------------------------------

    def take(
        self,
        rows: Sequence[tuple[int, dict[str, Any]]],
        clocks: Clocks,
        cursor: int | None = None,
        going_on: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Changes of alerts from guard.db, and the place up to which it has now been read. `going_on`: alerts that are
        open now; channels that were never served hear of these, not of the past."""
        for seq, alert in rows:
            for queue in self._queues.values():
                self._put(queue, seq, alert, clocks)
        for name in self.new_channels:
            for alert in going_on:
                self._put(self._queues[name], 0, dict(alert) | {"state": "open"}, clocks)
        self._dirty.update(self.new_channels)
        self.new_channels = []
        if cursor is not None:
            self.cursor = cursor
        self._save()
        self._wake_all()

    def raise_own(self, alert: dict[str, Any], clocks: Clocks) -> None:
        """What deliver itself has to say (open, update or closed, as contract.md has alerts). On the disk on return."""
        self._own.append((clocks[1], alert))
        for queue in self._queues.values():
            self._put(queue, 0, alert, clocks)
        self._save()
        self._wake_all()

    def own_open(self) -> list[dict[str, Any]]:
        """Alerts of deliver itself that are still open, also from before a restart."""
        try:
            found = {str(alert["id"]): alert for alert in self._file.own_open()}
        except StoreError:
            found = {}
        for _, alert in self._own:
            found[str(alert["id"])] = alert
        return [alert for alert in found.values() if alert["state"] != "closed"]

    # ---- what goes out -----------------------------------------------------------------------------------------------

    def next(self, name: str, clocks: Clocks) -> tuple[Parcel | None, float]:
        """The parcel that is to be sent now and is marked so, or None and the seconds until there may be one."""
        at, now = clocks
        queue = self._queues[name]
        self._digests(queue, clocks)
        changed = self._hold(queue, now)
        while True:
            ready = [one for one in queue.waiting.values() if one.status == "pending" and queue.due[one.id] <= at]
            if not ready:
                break
            parcel = min(ready, key=lambda one: (-quiet.RANK.get(str(one.body.get("severity")), 1), one.id))
            if parcel.judged or self._judge(queue, parcel, clocks):
                queue.sending = parcel.id
                self._save()
                return parcel, 0.0
            changed = True
        if changed:
            self._save()
        waits = [queue.due[one.id] - at for one in queue.waiting.values() if one.status == "pending"]
        more = queue.rules.next_digest_s(now)
        waits += [LOOK_S] + ([] if more is None else [max(0.5, more)])
        return None, max(0.0, min(waits))

    def message(self, parcel: Parcel) -> "Letter":
        """What the channel of a parcel is to say."""
        queue = self._queues[parcel.channel]
        made = report.message(parcel.body, queue.channel.detail, self._home, tuple(queue.remote))
        fields = {name: getattr(made, name) for name in report.Message.__dataclass_fields__}
        return Letter(**fields | {"alert": parcel.body, "detail": queue.channel.detail})

    def remote_id(self, parcel: Parcel) -> str | None:
        """What the channel called its last message of the same alert."""
        return self._queues[parcel.channel].remote.get(parcel.alert)

    def sent(self, parcel: Parcel, remote_id: str | None, clocks: Clocks) -> None:
        """It was taken. What else waits need not wait any longer: the channel works."""
        queue = self._queues[parcel.channel]
        self._done(queue, parcel, "sent", clocks)
        parcel.error, parcel.remote_id = None, remote_id
        queue.remote.pop(parcel.alert, None)
        queue.remote[parcel.alert] = remote_id or ""
        while len(queue.remote) > quiet.ALERTS_MAX:
            del queue.remote[next(iter(queue.remote))]
        if queue.state.error is not None:
            queue.due.update({known: min(due, clocks[0]) for known, due in queue.due.items()})
        queue.state.last_sent, queue.state.error, queue.state.error_since = clocks[1], None, None
        self._dirty.add(parcel.channel)
        self._save()

    def failed(self, parcel: Parcel, error: SinkError, clocks: Clocks) -> None:
        """It was not taken: tried again later, or given up."""
        at, now = clocks
        queue = self._queues[parcel.channel]
        queue.sending = None
        parcel.tries += 1
        parcel.waited_s += max(0.0, at - queue.since[parcel.id])
        queue.since[parcel.id] = at
        parcel.error = str(error)
        if queue.state.error is None:
            queue.state.error_since = now
        queue.state.error = str(error)
        self._dirty.add(parcel.channel)
        if error.permanent:
            self._done(queue, parcel, "failed", clocks)
        elif parcel.waited_s >= LIFE_S:
            parcel.error = f"given up after 72 hours: {error}"
            self._done(queue, parcel, "failed", clocks)
        else:
            wait_s = self._backoff(parcel.tries, error.after_s)
            queue.due[parcel.id], parcel.due = at + wait_s, now + wait_s
            self._unsaved[parcel.id] = parcel
            self._overtaken_by_waiting(queue, parcel, clocks)
        self._save()

    def flush(self) -> None:
        """Write what could not be written before; does nothing where everything is on the disk."""
        if self._unsaved or self._forget or self._own or self._dirty:
            self._save()

    def retain(self, now: float) -> None:
        """Forget what is long done. Once an hour."""
        try:
            self._file.retain(now, list(self._queues))
        except StoreError as error:
            self._trouble_is(str(error))

    # ---- inside: coming in -------------------------------------------------------------------------------------------

    def _queue(self, channel: Channel, replaces: bool, kept: Kept) -> _Queue:
        rules = quiet.Quiet(replaces=replaces, names=channel.detail == "full", kept=kept.quiet.get(channel.name))
        known = kept.channels.get(channel.name)
        state = ChannelState(channel.name, channel.kind)
        if known is not None:
            state.last_sent, state.error, state.error_since = known.last_sent, known.error, known.error_since
        windows = schedule.parse(channel.when) if channel.when else ()
        queue = _Queue(channel, replaces, rules, state, windows)
        for told in kept.told:
            if told.channel == channel.name:
                rules.remember(told.alert, told.severity)
                queue.remote[told.alert] = told.remote_id or ""
        return queue

    def _take_up(self, kept: Kept, at: float) -> None:
        """What waited when deliver ended is tried at once; what waited for a channel that is no more is given up."""
        for parcel in kept.parcels:
            queue = self._queues.get(parcel.channel)
            if queue is None:
                parcel.status, parcel.error, parcel.done_at = "superseded", "this channel is no more", parcel.born
                self._unsaved[parcel.id] = parcel
                continue
            self._enqueue(queue, parcel, at)

    def _put(self, queue: _Queue, seq: int, alert: dict[str, Any], clocks: Clocks) -> None:
        channel = queue.channel
        if not quiet.wanted(alert, channel.severity, channel.cameras, weekly=channel.weekly):
            return
        state, key = str(alert["state"]), str(alert["id"])
        older = [one for one in queue.by_alert.get(key, ()) if one.id != queue.sending]
        if state != "open" and not queue.rules.told(key) and key not in queue.by_alert:
            return  # nobody here was told that it began
        if state == "update" and not older and (alert["severity"] == "info" or not queue.replaces):
            return
        #: What was to be told, and to be heard, is told and heard in whatever form it goes out.
        owed = state == "open" or any(one.sound or one.state == "open" for one in older)
        judged = any(one.judged for one in older)
        for one in older:
            self._done(queue, one, "superseded", clocks)
        if len(queue.waiting) >= QUEUE_MAX // 2:
            self._thin(queue, clocks)
        if len(queue.waiting) >= QUEUE_MAX and not judged:
            if owed:
                queue.rules.gather(alert, clocks[1])
                self._dirty.add(channel.name)
            return
        self._add(queue, seq, alert, clocks, owed=owed, judged=judged)

    def _add(
        self, queue: _Queue, seq: int, alert: dict[str, Any], clocks: Clocks, *, owed: bool, judged: bool = False
    ) -> None:
        at, now = clocks
        self._last_id += 1
        parcel = Parcel(
            self._last_id, queue.channel.name, str(alert["id"]), seq, str(alert["state"]), alert, now, now, owed
        )
        if judged:
            parcel.judged, parcel.sound = True, owed and alert["severity"] != "info"
        self._enqueue(queue, parcel, at)
        self._unsaved[parcel.id] = parcel

    def _enqueue(self, queue: _Queue, parcel: Parcel, at: float) -> None:
        queue.waiting[parcel.id] = parcel
        queue.by_alert.setdefault(parcel.alert, []).append(parcel)
        queue.due[parcel.id] = queue.since[parcel.id] = at

    def _dequeue(self, queue: _Queue, parcel: Parcel) -> None:
        if queue.sending == parcel.id:
            queue.sending = None
        queue.waiting.pop(parcel.id, None)
        queue.due.pop(parcel.id, None)
        queue.since.pop(parcel.id, None)
        same = [one for one in queue.by_alert.pop(parcel.alert, ()) if one.id != parcel.id]
        if same:
            queue.by_alert[parcel.alert] = same

    def _thin(self, queue: _Queue, clocks: Clocks) -> None:
        """A queue that grows is judged ahead of its sending: many become one."""
        self._hold(queue, clocks[1])
        for parcel in list(queue.waiting.values()):
            if parcel.status == "pending" and not parcel.judged and parcel.id in queue.waiting:
                self._judge(queue, parcel, clocks)

    # ---- inside: going out -------------------------------------------------------------------------------------------

    def _hold(self, queue: _Queue, now: float) -> bool:
        """Which parcels wait for the end of quiet hours, of the channel's own hours, of a silence; whether that changed
        for one."""
        changed = False
        hours = bool(self._hours) and schedule.inside(self._hours, now, self._zone)
        hours = hours or (bool(queue.when) and not schedule.inside(queue.when, now, self._zone))
        for parcel in queue.waiting.values():
            if parcel.id == queue.sending:
                continue
            alert = parcel.body
            camera = alert.get("camera")
            until = (
                self.silenced.get(None, 0.0),
                self.silenced.get(camera, 0.0) if camera else 0.0,
                self.silenced_alerts.get(parcel.alert, 0.0),
            )
            silenced = now < max(until)
            known = queue.rules.knows_viewer(alert)
            wait = quiet.held(alert, hours=hours, silenced=silenced, known=known, owed=parcel.sound)
            if wait and silenced and parcel.state == "closed":
                parcel.mute = True  # it came and went while nothing was to be said
            status = "held" if wait else "pending"
            if status != parcel.status:
                parcel.status = "held" if wait else "pending"
                self._unsaved[parcel.id] = parcel
                changed = True
        return changed

    def _judge(self, queue: _Queue, parcel: Parcel, clocks: Clocks) -> bool:
        """Whether the rules of quiet let it pass as it is; changes it where they say so."""
        answer = queue.rules.judge(parcel.body, clocks[1], owed=parcel.sound)
        self._dirty.add(queue.channel.name)
        if answer.what == "send":
            parcel.judged, parcel.sound = True, answer.sound and not parcel.mute
            self._unsaved[parcel.id] = parcel
            return True
        self._drop(queue, parcel)
        if answer.what == "crowd" and answer.instead is not None:
            self._put_made(queue, answer.instead, clocks, sound=answer.sound)
        return False

    def _put_made(self, queue: _Queue, alert: dict[str, Any], clocks: Clocks, *, sound: bool) -> None:
        """A message that the rules of quiet made themselves takes the place of its earlier form."""
        older = [one for one in queue.by_alert.get(str(alert["id"]), ()) if one.id != queue.sending]
        sound = sound or any(one.sound for one in older)
        for one in older:
            self._drop(queue, one)
        if not sound and not queue.replaces:
            return
        self._add(queue, 0, alert, clocks, owed=sound, judged=True)

    def _digests(self, queue: _Queue, clocks: Clocks) -> None:
        for alert in queue.rules.digests(clocks[1]):
            self._dirty.add(queue.channel.name)
            self._add(queue, 0, alert, clocks, owed=alert["severity"] != "info", judged=True)

    def _overtaken_by_waiting(self, queue: _Queue, parcel: Parcel, clocks: Clocks) -> None:
        """A newer state that came while this one was being sent takes its place."""
        newer = [one for one in queue.by_alert.get(parcel.alert, ()) if one.id > parcel.id]
        if newer:
            newest = newer[-1]
            newest.sound = newest.sound or parcel.sound
            newest.judged = newest.judged or parcel.judged
            self._unsaved[newest.id] = newest
            self._done(queue, parcel, "superseded", clocks)

    def _done(self, queue: _Queue, parcel: Parcel, status: Status, clocks: Clocks) -> None:
        parcel.status, parcel.done_at = status, clocks[1]
        self._dequeue(queue, parcel)
        self._unsaved[parcel.id] = parcel

    def _drop(self, queue: _Queue, parcel: Parcel) -> None:
        """It leaves no trace: it was counted elsewhere, or was no news."""
        self._dequeue(queue, parcel)
        self._unsaved.pop(parcel.id, None)
        self._forget.add(parcel.id)

    def _backoff(self, tries: int, after_s: float | None) -> float:
        """5 s, doubled each time up to an hour, each up to a fifth shorter or longer."""
        plain = RETRY_FIRST_S * 2.0 ** min(tries - 1, 20)
        spread = min(plain, RETRY_MOST_S) * (1 - JITTER + 2 * JITTER * self._chance())
        return min(RETRY_MOST_S, max(RETRY_FIRST_S, spread, after_s or 0.0))

    # ---- inside: the file --------------------------------------------------------------------------------------------

    def _save(self) -> None:
        queues = [self._queues[name] for name in self._dirty]
        quiet_states = {queue.channel.name: queue.rules.kept() for queue in queues}
        try:
            self._file.save(
                self._unsaved.values(),
                cursor=self.cursor,
                quiet=quiet_states,
                channels=[queue.state for queue in queues],
                forget=self._forget,
                own=self._own,
            )
        except StoreError as error:
            self._trouble_is(str(error))
            self._bound_unsaved()
            return
        finally:
            for words in self._file.told:
                self._say(words)
            self._file.told.clear()
        self._unsaved, self._forget, self._own = {}, set(), []
        self._dirty.clear()
        self._trouble_is("")

    def _bound_unsaved(self) -> None:
        """While nothing can be written, what is done with need not be remembered for ever."""
        self._dirty = set(self._queues)
        for queue in self._queues.values():
            self._unsaved.update(queue.waiting)  # a damaged file was put aside: the new one knows none of them
        if len(self._unsaved) > UNSAVED_MAX:
            self._unsaved = {known: one for known, one in self._unsaved.items() if one.status in ("pending", "held")}
        if len(self._forget) > UNSAVED_MAX:
            self._forget.clear()
        del self._own[:-100]

    def _trouble_is(self, words: str) -> None:
        if words != self._trouble:
            self._trouble = words
            self._say(f"{words}. Alerts are sent all the same." if words else "the outbox is written again.")

    def _wake_all(self) -> None:
        for name in self._queues:
            self.wake(name)


@dataclass(frozen=True, slots=True)
class Letter(report.Message):
    """What a Sender gets: the words, and the whole alert for those who send data. `detail` binds them, too."""

    alert: Mapping[str, Any] = field(default_factory=dict)
    detail: str = "full"
