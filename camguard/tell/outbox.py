"""The outbox: the queues of all channels and their file. No network, no waiting.

A change of an alert is committed to deliver.db for each channel that is to hear of it, together with the place up to
which guard.db was read, before anybody may send it, and is marked when it was sent: killed in between, it is sent once
more, and never lost. Where deliver.db cannot be written (disk full) the outbox goes on from memory and writes all of it
as soon as it can.
"""

import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from camguard import report
from camguard.config import Channel
from camguard.errors import SinkError, StoreError
from camguard.judge import schedule
from camguard.store.delivery import Parcel, Ping
from camguard.store.outgoing import Deliveries
from camguard.tell.queue import SHAPE, Changes, Clocks, Queue, Silenced

UNSAVED_MAX = 5000


@dataclass(frozen=True, slots=True)
class Letter(report.Message):
    """What a Sender gets: the words, and the whole alert for those who send data. `detail` binds them, too."""

    alert: Mapping[str, Any] = field(default_factory=dict)
    detail: str = "full"


class Outbox:
    """All queues. `wake` is called with the name of a channel that may have something to do.

    `replaces`: kinds of channels where a later message takes the place of the earlier one; `chance`: 0..1, for jitter.
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
        self.silenced = Silenced()
        self._file, self._say, self._zone, self._trouble = deliveries, say, zone, ""
        self._changes = Changes()
        kept = deliveries.load()
        self.cursor, self.pinged = kept.cursor, kept.ping
        self.new_channels = [one.name for one in channels if one.name not in kept.channels]
        ids, kinds = itertools.count(kept.last_id + 1), set(replaces)
        hours = schedule.parse(quiet_hours) if quiet_hours else ()
        self.queues = {
            one.name: Queue(
                one, kept, self._changes, replaces=one.kind in kinds, hours=hours, zone=ZoneInfo(zone), ids=ids,
                chance=chance, at=at,
            )
            for one in channels
        }  # fmt: skip
        for parcel in kept.parcels:
            if parcel.channel not in self.queues:
                parcel.status, parcel.error, parcel.done_at = "superseded", "this channel is no more", parcel.born
                self._changes.parcels[parcel.id] = parcel
        self._save()

    @property
    def channels(self) -> dict[str, Channel]:
        """By name."""
        return {name: queue.channel for name, queue in self.queues.items()}

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
            self._put(seq, alert, clocks)
        for name in self.new_channels:
            for alert in going_on:
                self.queues[name].put(0, dict(alert) | {"state": "open"}, clocks, self.silenced)
        self._changes.channels.update(self.new_channels)
        self.new_channels = []
        if cursor is not None:
            self.cursor = cursor
        self._save()
        self._wake_all()

    def raise_own(self, alert: dict[str, Any], clocks: Clocks, *, over: bool = False) -> None:
        """What deliver itself has to say (open, update or closed, as contract.md has alerts). On the disk on return.

        `over`: it is told as it is, and nothing more will be said of it.
        """
        self._changes.own.append((clocks.now, alert | {"state": "closed"} if over else alert))
        self._put(0, alert, clocks)
        self._save()
        self._wake_all()

    def note_ping(self, ping: Ping) -> None:
        """How the watch service took the sign of life, for status and check."""
        self.pinged = ping
        self._save()

    def own_open(self) -> list[dict[str, Any]]:
        """Alerts of deliver itself that are still open, also from before a restart."""
        try:
            found = {str(alert["id"]): alert for alert in self._file.own_open()}
        except StoreError:
            found = {}
        for _, alert in self._changes.own:
            found[str(alert["id"])] = alert
        return [alert for alert in found.values() if alert["state"] != "closed"]

    def _put(self, seq: int, alert: dict[str, Any], clocks: Clocks) -> None:
        for queue in self.queues.values():
            queue.put(seq, alert, clocks, self.silenced)

    def _wake_all(self) -> None:
        for name in self.queues:
            self.wake(name)

    # ---- what goes out -----------------------------------------------------------------------------------------------

    def next(self, name: str, clocks: Clocks) -> tuple[Parcel | None, float]:
        """The parcel of a channel that is to be sent now, or None and the seconds until there may be one."""
        queue = self.queues[name]
        parcel, wait_s = queue.next(clocks, self.silenced)
        while parcel is not None and not self._can_be_said(parcel):
            queue.damaged(parcel, clocks)
            parcel, wait_s = queue.next(clocks, self.silenced)
        self.flush()
        return parcel, wait_s

    def _can_be_said(self, parcel: Parcel) -> bool:
        try:
            self.message(parcel)
        except SHAPE:
            return False
        return True

    def message(self, parcel: Parcel) -> Letter:
        """What the channel of a parcel is to say."""
        queue = self.queues[parcel.channel]
        made = report.message(parcel.body, queue.channel.detail, self._zone, tuple(queue.told))
        fields = {name: getattr(made, name) for name in report.Message.__dataclass_fields__}
        return Letter(**fields | {"alert": parcel.body, "detail": queue.channel.detail})

    def remote_id(self, parcel: Parcel) -> str | None:
        """What the channel called its last message of the same alert."""
        return self.queues[parcel.channel].told.get(parcel.alert) or None

    def sent(self, parcel: Parcel, remote_id: str | None, clocks: Clocks) -> None:
        """It was taken."""
        self.queues[parcel.channel].sent(parcel, remote_id, clocks)
        self._save()

    def failed(self, parcel: Parcel, error: SinkError, clocks: Clocks) -> None:
        """It was not taken."""
        self.queues[parcel.channel].failed(parcel, error, clocks)
        self._save()

    # ---- the file ----------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what is not yet written; does nothing where everything is on the disk."""
        if self._changes:
            self._save()

    def retain(self, now: float) -> None:
        """Forget what is long done. Once an hour."""
        try:
            self._file.retain(now, list(self.queues))
        except StoreError as error:
            self._trouble_is(str(error))

    def _save(self) -> None:
        changes = self._changes
        changed = [self.queues[name] for name in changes.channels]
        try:
            self._file.save(
                changes.parcels.values(),
                cursor=self.cursor,
                quiet={queue.channel.name: queue.rules.kept() for queue in changed},
                channels=[queue.state for queue in changed],
                forget=changes.forget,
                own=changes.own,
                ping=self.pinged,
            )
        except StoreError as error:
            self._trouble_is(str(error))
            self._keep_for_later()
            return
        finally:
            for words in self._file.told:
                self._say(words)
            self._file.told.clear()
        for table in (changes.parcels, changes.forget, changes.own, changes.channels):
            table.clear()
        self._trouble_is("")

    def _keep_for_later(self) -> None:
        """Everything is written again, for it may be a new file that knows nothing; but not all of it for ever."""
        changes = self._changes
        changes.channels.update(set(self.queues) - set(self.new_channels))
        for queue in self.queues.values():
            changes.parcels.update(queue.waiting)
        if len(changes.parcels) > UNSAVED_MAX:
            for parcel in [one for one in changes.parcels.values() if one.status not in ("pending", "held")]:
                del changes.parcels[parcel.id]
        if len(changes.forget) > UNSAVED_MAX:
            changes.forget.clear()
        del changes.own[:-100]

    def _trouble_is(self, words: str) -> None:
        if words != self._trouble:
            self._trouble = words
            self._say(f"{words}. Alerts are sent all the same." if words else "the outbox is written again.")
