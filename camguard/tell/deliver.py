"""The program `camguard deliver`: the only one that talks to the outside. Follows guard.db, tells the channels.

One task and one queue a channel; the following, the housekeeping, MQTT and the dead man's ping are tasks beside them. A
channel that hangs, refuses or fails keeps its own task waiting and nobody else. What is decided when and in which order
stands in outbox.py and quiet.py; here is only what waits and what sends. Ends on SIGTERM or SIGINT, and gives what is
being sent `GRACE_S` to be done, so that it need not be sent twice.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from camguard import report, store
from camguard.config import Channel, Config, Paths, read_secret
from camguard.errors import ConfigError, SinkError, StoreError
from camguard.store.delivery import Parcel
from camguard.store.outgoing import Deliveries
from camguard.tell.alive import Alive
from camguard.tell.following import PORTION, Follower, Silences
from camguard.tell.monday import Monday
from camguard.tell.outbox import Outbox
from camguard.tell.push import ApprisePush, silence
from camguard.tell.queue import LOOK_S, Clocks, Silenced
from camguard.tell.threads import Patient
from camguard.tell.webhook import Webhook

POLL_S = 0.25  # how often guard.db is asked for news
SILENCE_S = 1.0
FLUSH_S = 5.0
RETAIN_S = 3600.0
SECRET_S = 10.0
SEND_S = 60.0  # the last limit on one try; every sender has a shorter one of its own
GRACE_S = 3.0
FAULT_S = 10.0


class Sender(Protocol):
    """One channel's way out. `replaces`: a later message of a matter takes the place of the earlier one there."""

    name: str
    replaces: bool

    async def send(self, message: report.Message, *, sound: bool, remote_id: str | None) -> str | None:
        """Send; what the other side calls the message, for replacing it. SinkError where it was not taken."""
        ...


def sender_of(channel: Channel, config: Config, paths: Paths, say: Callable[[str], None] | None = None) -> Sender:
    """The way out of a channel, its secrets read. ConfigError where one cannot be read."""
    if channel.kind == "mqtt":
        from camguard.tell.mqtt import Mqtt

        return Mqtt(channel, config, paths, say=say)
    if channel.kind == "apprise":
        return ApprisePush(channel.name, read_secret(channel.secret))
    url = channel.options.get("url") or read_secret(channel.address)
    key = read_secret(channel.secret) if channel.secret else ""
    return Webhook(channel.name, url, key, channel.options.get("ca_file"))


class Deliver:
    """The tasks. `make` gives the way out of a channel, again after each failure: a secret may have been put right."""

    def __init__(
        self,
        outbox: Outbox,
        follower: Follower,
        make: Callable[[Channel], Sender],
        *,
        silences: Callable[[float], tuple[Mapping[str | None, float], Mapping[str, float]]] = lambda _: ({}, {}),
        say: Callable[[str], None] = lambda _: None,
        lasting: Mapping[str, Sender] | None = None,
    ) -> None:
        self.outbox, self._follower, self._make, self._say = outbox, follower, make, say
        self._silences = silences
        self._senders: dict[str, Sender] = dict(lasting or {})
        self._lasting = set(self._senders)
        self._makers: dict[str, Patient[Sender]] = {name: Patient("secret") for name in outbox.channels}
        self._bells: dict[str, asyncio.Event] = {}
        self._ending = asyncio.Event()
        outbox.wake = self.wake

    def wake(self, name: str) -> None:
        """A channel has something to do; may be called before the tasks run."""
        if name in self._bells:
            self._bells[name].set()

    def raise_own(self, alert: dict[str, object], *, over: bool = False) -> None:
        """For alive.py and monday.py: an alert of deliver itself, on the disk when this returns."""
        self.outbox.raise_own(dict(alert), _clocks(), over=over)

    async def serve(self, beside: Mapping[str, Callable[[], Awaitable[None]]] | None = None) -> None:
        """Until `end` is called. `beside`: what else runs, by name; each is started again when it fails."""
        self._bells = {name: asyncio.Event() for name in self.outbox.channels}
        self._look_what_is_silenced(time.time())  # before a channel asks what it may send
        channels = [
            asyncio.create_task(self._kept_running(f"channel {name}", partial(self._channel, name)))
            for name in self._bells
        ]
        others = {"following": self._follow, "housekeeping": self._keep_house, **(beside or {})}
        tasks = [asyncio.create_task(self._kept_running(name, work)) for name, work in others.items()]
        await self._ending.wait()
        for bell in self._bells.values():
            bell.set()
        if channels:
            await asyncio.wait(channels, timeout=GRACE_S)
        for task in (*channels, *tasks):
            task.cancel()
        await asyncio.gather(*channels, *tasks, return_exceptions=True)
        self.outbox.flush()

    def end(self) -> None:
        """Be done with it, soon."""
        self._ending.set()

    # ---- the tasks ---------------------------------------------------------------------------------------------------

    async def _channel(self, name: str) -> None:
        bell = self._bells[name]
        while not self._ending.is_set():
            bell.clear()
            parcel, wait_s = self.outbox.next(name, _clocks())
            if parcel is None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(bell.wait(), min(wait_s, LOOK_S))
                continue
            try:
                remote_id = await self._send(name, parcel)
            except SinkError as error:
                if name not in self._lasting:
                    self._senders.pop(name, None)
                self.outbox.failed(parcel, error, _clocks())
            else:
                self.outbox.sent(parcel, remote_id, _clocks())

    async def _send(self, name: str, parcel: Parcel) -> str | None:
        try:
            if name not in self._senders:
                self._senders[name] = await self._made(self.outbox.channels[name])
            message, remote_id = self.outbox.message(parcel), self.outbox.remote_id(parcel)
            async with asyncio.timeout(SEND_S):
                return await self._senders[name].send(message, sound=parcel.sound, remote_id=remote_id)
        except SinkError:
            raise
        except ConfigError as error:
            raise SinkError(str(error)) from None
        except TimeoutError:
            raise SinkError("no answer in time") from None
        except Exception as error:  # noqa: BLE001 one channel's fault is not another's, and its text may show a secret
            raise SinkError(f"a fault in sending ({type(error).__name__})") from None

    async def _made(self, channel: Channel) -> Sender:
        """In a thread: a secret on a disk that gives no answer holds up this channel only."""
        try:
            return await self._makers[channel.name].result(lambda: self._make(channel), SECRET_S)
        except TimeoutError:
            raise SinkError("where its secret is kept, nothing answers in time") from None

    async def _follow(self) -> None:
        first = True
        silence_at = 0.0
        while True:
            at, now = _clocks()
            if at >= silence_at:
                silence_at = at + SILENCE_S
                self._look_what_is_silenced(now)
            portion = self._follower.read(at)
            if portion is not None and (first or portion.rows or self.outbox.cursor != self._follower.seq):
                going_on = self._follower.open_alerts() if first and self.outbox.new_channels else []
                self.outbox.take(portion.rows, Clocks(at, now), self._follower.seq, going_on)
                first = False
            await asyncio.sleep(0 if portion is not None and len(portion.rows) >= PORTION else POLL_S)

    def _look_what_is_silenced(self, now: float) -> None:
        with contextlib.suppress(StoreError):
            self.outbox.silenced = Silenced(*self._silences(now))

    async def _keep_house(self) -> None:
        retain_at = 0.0
        while True:
            self.outbox.flush()
            if store.boottime_s() >= retain_at:
                retain_at = store.boottime_s() + RETAIN_S
                self.outbox.retain(time.time())
            await asyncio.sleep(FLUSH_S)

    async def _kept_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while not self._ending.is_set():
            try:
                await work()
            except Exception as error:  # noqa: BLE001 the others go on; its text may show a secret
                self._say(f"a fault in {name} ({type(error).__name__}). Beginning it again.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), FAULT_S)


def run(config: Config, paths: Paths, foreground: bool = False) -> int:
    """`camguard deliver`, until SIGTERM or SIGINT. Exit code: 0 so ended, or nothing to tell; 1 no file to write in.

    `foreground`: started by a person or by `camguard run`; says when it is ready.
    """
    silence()
    if not config.channels and config.ping is None:
        _say("nothing to do: the configuration has no [[notify]] and no [alive].")
        return 0
    try:
        deliveries = Deliveries.open(paths.delivery)
    except StoreError as error:
        _say(f"{str(error).rstrip('.')}.")
        return 1
    try:
        return asyncio.run(_main(config, paths, deliveries, foreground))
    finally:
        deliveries.close()


async def _main(config: Config, paths: Paths, deliveries: Deliveries, foreground: bool) -> int:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, about: _say(f"a fault ({type(about.get('exception')).__name__})."))
    try:
        outbox = Outbox(
            deliveries,
            config.channels,
            zone=config.home.timezone,
            quiet_hours=config.quiet_hours,
            say=_say,
            at=store.boottime_s(),
        )
    except StoreError as error:
        _say(f"{str(error).rstrip('.')}.")
        return 1
    lasting = {one.name: sender_of(one, config, paths, _say) for one in config.channels if one.kind == "mqtt"}
    deliver = Deliver(
        outbox,
        Follower(paths.database, outbox.cursor, _say),
        lambda channel: sender_of(channel, config, paths, _say),
        silences=Silences(paths.database).at,
        say=_say,
        lasting=lasting,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, deliver.end)
    if foreground:
        _say(f"telling {_names(config.channels)}.")
    alive = Alive(
        paths.now,
        paths.database,
        deliver.raise_own,
        outbox.own_open(),
        ping=config.ping,
        zone=config.home.timezone,
        say=_say,
        pinged=outbox.pinged,
        note=outbox.note_ping,
    )
    monday = Monday(
        paths.database,
        paths.delivery,
        deliver.raise_own,
        [camera.name for camera in config.home.cameras],
        config.home.timezone,
    )
    brokers = {f"channel {name}": sender.run for name, sender in lasting.items()}  # type: ignore[attr-defined]
    await deliver.serve({**brokers, **alive.tasks, "the weekly report": monday.run})
    return 0


def _names(channels: Sequence[Channel]) -> str:
    names = ", ".join(report.clean(one.name, 32) for one in channels)
    return f"{len(channels)} channel{'' if len(channels) == 1 else 's'}: {names}" if channels else "no channel"


def _clocks() -> Clocks:
    return Clocks(store.boottime_s(), time.time())


def _say(sentence: str) -> None:
    sys.stderr.write(f"camguard deliver: {sentence}\n")
    sys.stderr.flush()
