"""The MQTT channel: Home Assistant's devices and states, alerts as events, commands as wishes. One connection.

In: alerts to send; the guard's live figures and record; commands from the broker. Out: topics (docs/mqtt.md); wishes in
the spool. A broker that is gone, hangs or refuses is tried again, 1 s to 60 s; nothing else of deliver waits for it.
What is said for the owner or a log never holds the broker's address, a name or a password.

States are retained and published when they change; all of it again after a new connection, and (within some seconds,
so that a hundred programs do not answer at once) when Home Assistant says that it has started. What an earlier
configuration left behind on the broker (a renamed or removed camera) is cleared.
"""

import asyncio
import contextlib
import hashlib
import random
import re
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from camguard import report, store, wishes
from camguard.config import Channel, Config, Paths
from camguard.errors import ConfigError, SinkError, StoreError
from camguard.events import Wish
from camguard.tell import announce, commands
from camguard.tell import homeassistant as ha
from camguard.tell.broker import broke, connected, publish, subscribe
from camguard.tell.leftovers import sweep
from camguard.tell.seen import Record
from camguard.tell.threads import in_thread

if TYPE_CHECKING:
    import aiomqtt

NOT_YET = "not connected to the broker yet"
WAIT_FOR_UP_S = 3.0  # right after the start; later an alert is tried again by the outbox
LOOK_S = 1.0
BIRTH_JITTER_S = 4.0
ANNOUNCE_EVERY_S = 5.0  # at most, whoever says that Home Assistant has started
SETTLE_S = 0.5  # between a device's announcement and its states
RETRY_S = (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
STEADY_S = 60.0
COMMANDS_A_MINUTE = 30
BUSY_MOST = 100  # more than a minute's followed and refused ones together: only what the broker or the disk holds up
TOO_MANY = "too many commands; wait a minute"
LATE_FIGURES_S = 2.2  # now.json is a second old at most, and read once a second
DECIDED_S = 3.0  # how long the guard's answer is waited for
HA_BIRTH = "homeassistant/status"  # its default, whatever the prefix of discovery is


class StateSource(Protocol):
    """Where the states come from."""

    def look(self, minutes: Mapping[str, int]) -> ha.Seen:
        """What holds now; blocks for a moment."""
        ...


class Mqtt:
    """One [[notify]] with mqtt = "...". `send` is for alerts, `run` for all the rest."""

    replaces = True

    def __init__(
        self, channel: Channel, config: Config, paths: Paths, *, say: Callable[[str], None] | None = None
    ) -> None:
        self.name = channel.name
        self.trouble: str | None = NOT_YET  # why alerts cannot be sent at present; None: connected
        self._channel, self._config, self._paths = channel, config, paths
        self._say = say or (lambda words: print(words, file=sys.stderr))  # noqa: T201
        options = channel.options
        self.house = ha.house(
            config.home.cameras,
            base=options.get("base_topic", "camguard"),
            prefix=options.get("discovery_prefix", "homeassistant"),
            only=channel.cameras,
            detail=channel.detail,
        )
        self._minutes: dict[str, int] = {}
        self._seen = ha.Seen(None, 0.0)
        self._sent: dict[str, str] = {}
        self._client: aiomqtt.Client | None = None
        self._up = asyncio.Event()
        self._running = False
        self._broken: str | None = None
        self._changed = asyncio.Event()
        self._again: asyncio.Task[None] | None = None
        self._announced_at = 0.0
        self._busy: set[asyncio.Task[None]] = set()
        self._commands: list[float] = []  # when each came, of the last minute
        self._refused: list[float] = []
        self._asking = asyncio.Lock()
        self._who = commands.WHO if self.name == commands.WHO else f"{commands.WHO}, {self.name}"
        # The same name each time: the broker ends what is left of an earlier connection before this one begins.
        own = f"{socket.gethostname()}|{paths.state}|{self.house.base}|{self.name}".encode()
        self._identifier = f"camguard-{hashlib.blake2s(own, digest_size=6).hexdigest()}"

    # ---- alerts ------------------------------------------------------------------------------------------------------

    async def send(self, message: report.Message, *, sound: bool, remote_id: str | None) -> str | None:
        """The alert as an event of its camera; returns its id. SinkError where the broker did not confirm it."""
        alert = getattr(message, "alert", None) or {
            "id": message.id, "type": message.type, "severity": message.severity, "state": message.state,
        }  # fmt: skip
        topic, payload = ha.event(self.house, alert, message.title, message.body)
        if self._running:
            if self.trouble == NOT_YET:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(WAIT_FOR_UP_S):
                        await self._up.wait()
            if self._client is None:
                raise SinkError(self.trouble or "the connection to the broker broke")
            try:
                await publish(self._client, topic, payload)
            except SinkError as error:
                self._broken = str(error)  # a new connection rather than waiting for this one to be found dead
                self._changed.set()
                raise
        else:  # camguard notify --test
            async with connected(self._channel) as client:
                await publish(client, topic, payload)
        return message.id

    # ---- the connection ----------------------------------------------------------------------------------------------

    async def run(self, source: StateSource | None = None) -> None:
        """For ever: connect, announce, publish what changes, follow commands, connect again. Ends when cancelled."""
        source = source or Record(self._paths, self._config, self.house)
        self._running = True
        tries = 0
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._session(source)
                except (SinkError, ConfigError, StoreError) as error:
                    self._trouble_is(str(error))
                except Exception as error:  # noqa: BLE001 whatever it is: the next connection may do without it
                    self._trouble_is(f"a fault in camguard ({type(error).__name__}); please report this")
                tries = 0 if time.monotonic() - began > STEADY_S else tries + 1
                base = RETRY_S[min(tries, len(RETRY_S)) - 1] if tries else RETRY_S[0]
                await asyncio.sleep(base * random.uniform(0.75, 1.25))  # noqa: S311
        finally:
            self._running = False

    async def _session(self, source: StateSource) -> None:
        """One connection, from greeting to the end; SinkError says why it ended."""
        status = self.house.topic(None, "status")
        async with connected(self._channel, identifier=self._identifier, will_topic=status, will=ha.OFFLINE) as client:
            try:
                self._sent, self._broken = {}, None
                left = await sweep(client, self.house)
                self._minutes = left.minutes | self._minutes
                if left.announced:  # Home Assistant knows these devices: alerts need not wait
                    self._client = client
                    self._up.set()
                await subscribe(client, self._topics_in())
                self._seen = await in_thread(lambda: source.look(self._minutes), "states")
                await self._announce(client)
                self._client = client
                self._up.set()
                self._trouble_is(None)
                await self._both(self._follow(client), self._keep_up(client, source))
            except asyncio.CancelledError:
                await self._farewell(client)
                raise
            finally:
                self._client = None
                self._up.clear()
                for task in (*self._busy, *([self._again] if self._again else [])):
                    task.cancel()
                self._again = None

    async def _both(self, *work: Any) -> None:
        """Until one of them ends, which it does with an error; then the other is ended too."""
        tasks = [asyncio.create_task(one) for one in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _farewell(self, client: "aiomqtt.Client") -> None:
        """A clean end sends no last will, so it is said."""
        with contextlib.suppress(SinkError, TimeoutError):
            await asyncio.wait_for(publish(client, self.house.topic(None, "status"), ha.OFFLINE, retain=True), 2)

    def _trouble_is(self, words: str | None) -> None:
        if words != self.trouble:
            self.trouble = words
            self._say(
                f"{self.name}: connected."
                if words is None
                else f"{self.name}: {words.rstrip('.')}. Trying again until it works."
            )

    # ---- out ---------------------------------------------------------------------------------------------------------

    async def _announce(self, client: "aiomqtt.Client") -> None:
        """Every device, then every state, whatever was published before."""
        self._announced_at = time.monotonic()
        for topic, payload in announce.discovery(self.house).items():
            await publish(client, topic, payload, retain=True)
        await asyncio.sleep(SETTLE_S)
        self._sent = {}
        await self._publish_states(client)
        await publish(client, self.house.topic(None, "status"), ha.ONLINE, retain=True)

    async def _publish_states(self, client: "aiomqtt.Client") -> None:
        for topic, payload in ha.states(self.house, self._seen).items():
            before = self._sent.get(topic)
            if before is None or not _same(topic, before, payload):
                await publish(client, topic, payload, retain=True)
                self._sent[topic] = payload

    async def _keep_up(self, client: "aiomqtt.Client", source: StateSource) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            self._changed.clear()
            if self._broken:
                raise SinkError(self._broken)
            self._seen = await in_thread(lambda: source.look(self._minutes), "states")
            await self._publish_states(client)

    async def _born_again(self, client: "aiomqtt.Client") -> None:
        soonest = self._announced_at + ANNOUNCE_EVERY_S - time.monotonic()
        await asyncio.sleep(max(0.0, soonest) + random.uniform(0.0, BIRTH_JITTER_S))  # noqa: S311
        with contextlib.suppress(SinkError):  # the connection's own tasks notice and say so
            await self._announce(client)

    # ---- in ----------------------------------------------------------------------------------------------------------

    def _topics_in(self) -> list[str]:
        made = [HA_BIRTH, f"{self.house.prefix}/status", self.house.topic(None, "status")]
        made.append(self.house.topic(None, "command"))
        for camera in self.house.cameras:
            made += [self.house.topic(camera, "command"), self.house.topic(camera, "watching/minutes/set")]
        return list(dict.fromkeys(made))

    async def _follow(self, client: "aiomqtt.Client") -> None:
        import aiomqtt

        try:
            async for message in client.messages:
                payload = message.payload if isinstance(message.payload, bytes) else b""
                self._take(client, str(message.topic), payload, bool(message.retain))
        except (aiomqtt.MqttError, OSError) as error:
            raise broke(error) from None

    def _take(self, client: "aiomqtt.Client", topic: str, payload: bytes, retained: bool) -> None:
        """What came in. Retained commands are old ones: never followed."""
        if retained:
            return
        if topic in (HA_BIRTH, f"{self.house.prefix}/status"):
            if payload == b"online" and (self._again is None or self._again.done()):
                self._again = asyncio.create_task(self._born_again(client))
        elif topic == self.house.topic(None, "status"):
            if payload == ha.OFFLINE.encode():  # the last will of an earlier connection came late
                self._do(publish(client, topic, ha.ONLINE, retain=True))
        else:
            known: list[ha.Announced | None] = [None, *self.house.cameras]
            for camera in known:
                if topic == self.house.topic(camera, "command"):
                    self._do(self._command(client, camera, payload))
                elif camera and topic == self.house.topic(camera, "watching/minutes/set"):
                    with contextlib.suppress(commands.RefusedError):
                        self._minutes[camera.slug] = commands.minutes_set(payload)
                        self._changed.set()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        if len(self._busy) >= BUSY_MOST:
            work.close()
            return

        async def done() -> None:
            with contextlib.suppress(SinkError):
                await work

        task = asyncio.create_task(done())
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _command(self, client: "aiomqtt.Client", camera: ha.Announced | None, payload: bytes) -> None:
        answer: dict[str, Any]
        try:
            decided = await self._decided(camera, payload)
            if decided is None:
                return
            answer = decided
        except commands.RefusedError as error:
            answer = {"ok": False, "said": f"Refused: {error}.", "decision": None}
        except (StoreError, OSError):
            answer = {
                "ok": False,
                "said": "camguard could not take it: its folder cannot be written.",
                "decision": None,
            }
        self._changed.set()
        await publish(client, f"{self.house.topic(camera, 'command')}/result", ha.to_json(answer))

    async def _decided(self, camera: ha.Announced | None, payload: bytes) -> dict[str, Any] | None:
        """The answer; None where too many of late were not followed: a flood is not answered, and takes no place."""
        try:
            wish = commands.wish(payload, camera, self._seen, wishes.new_id(), self._who)
        except commands.RefusedError:
            if not self._room(self._refused):
                return None
            if len(self._refused) >= COMMANDS_A_MINUTE:
                raise commands.RefusedError(TOO_MANY) from None  # the last that is answered
            if not commands.understood(payload):
                raise
            # an automation may press before the figures that it is about are read: look once more, then refuse
            await asyncio.sleep(LATE_FIGURES_S)
            wish = commands.wish(payload, camera, self._seen, wishes.new_id(), self._who)
        if not self._room(self._commands):
            if not self._room(self._refused):
                return None
            raise commands.RefusedError(TOO_MANY)
        async with self._asking:  # one after the other: in the order in which they came
            await in_thread(lambda: wishes.put(self._paths, wish), "wish")
        return await in_thread(lambda: self._decision(wish), "decision")

    def _room(self, lately: list[float]) -> bool:
        """Whether one more of these may be followed this minute; counted if so."""
        at = time.monotonic()
        lately[:] = [one for one in lately if one > at - 60.0]
        if len(lately) >= COMMANDS_A_MINUTE:
            return False
        lately.append(at)
        return True

    def _decision(self, wish: Wish) -> dict[str, Any]:
        """Blocks until the guard has decided, or for `DECIDED_S`."""
        reader = store.Reader(self._paths.database)
        try:
            decision = wishes.wait(reader, wish.id, DECIDED_S)
            if decision is not None:
                ends = decision.until is not None and decision.until > decision.time
                until = f", until {report.rfc3339(decision.until)}" if ends else ""
                return {"ok": True, "said": f"Done{until}.", "decision": decision.number}
            with contextlib.suppress(StoreError):
                if (refused := reader.refusal_of(wish.id)) is not None:
                    raise commands.RefusedError(refused.rstrip("."))
        finally:
            reader.close()
        return {"ok": None, "said": "Taken down; it applies as soon as the guard runs.", "decision": None}


def _same(topic: str, before: str, payload: str) -> bool:
    """Whether nothing changed; figures in the sentences of the guard's own problems change all the time."""
    if topic.endswith("/problem/info"):
        return re.sub(r"\d+", "", before) == re.sub(r"\d+", "", payload)
    return before == payload
