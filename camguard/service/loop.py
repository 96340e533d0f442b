"""The loop: frames as they come, once a second the counts, a tick, clocks, live figures and the watchdog.

In: an open Source, the Guard, a Writer; out: rows for the writer, now.json, words to systemd. `except Exception` is
here and nowhere else: counted, said once with its origin, shown in health, and the guard goes on.
"""

import asyncio
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from camguard import config as configuration
from camguard import report, store
from camguard.capture import Source
from camguard.config import Config, Paths
from camguard.errors import ConfigError, StoreError
from camguard.events import Alert, Decision, Event, Frame, Health, Login, Notice, Session, hosts_of
from camguard.guard import Guard
from camguard.health import LOOK_S, Watch
from camguard.places import Places
from camguard.service import blind, live, machine, upkeep
from camguard.service.resume import Left, row_of
from camguard.service.sdnotify import Manager
from camguard.service.spool import Spool
from camguard.service.writer import Item, Writer, note
from camguard.store import Row, Store

STEP_S = 1.0
MINUTE_S = 60.0
CLOCK_JUMP_S = 2.0
STALL_S = 5.0  # a step this late is a gap in looking
PINGS = 4  # to the watchdog in its time
WRITER_SILENT = 2 / 3  # of the watchdog's time without a sign of life of the writer: it is not fed
STOP_S = 10.0
LAST_READS = 20

_Result = TypeVar("_Result")


class Service:
    """The loop and what it holds. Made once, after the rights are gone; `serve` is its whole life."""

    def __init__(
        self,
        config: Config,
        paths: Paths,
        source: Source,
        names: tuple[str, ...],
        manager: Manager,
        writer: Writer,
        *,
        left: Left,
        as_json: bool,
        foreground: bool,
    ) -> None:
        self.config, self.paths, self.source, self.names = config, paths, source, names
        self.manager, self.writer, self.left = manager, writer, left
        self.as_json, self.foreground = as_json, foreground
        self.watch = Watch(paths.state)
        self.offset_s = time.time() - time.monotonic()
        self.guard = Guard(
            config.home,
            Places(),
            offset_s=self.offset_s,
            own=machine.own(),
            resume=left.alerts,
            names=left.names,
            exposures=left.exposures,
            services=left.services,
            destinations=left.destinations,
            habits=left.habits,
            looked=left.looked,
            next_habit=left.next_habit,
            speakers=left.speakers,
        )
        still = [alert for alert in left.alerts if alert.state != "closed"]
        self.blind = blind.Blind(still, time.monotonic(), self.offset_s)
        self.writer.committed.update(alert.id for alert in left.alerts if alert.state != "closed")
        self.since = time.time()
        self.began = {camera.name: self.since for camera in config.home.cameras}  # since when each is looked at
        self.stop = asyncio.Event()
        self.said: dict[str, str] = {}  # lasting troubles by cause: a bad configuration, rights left over
        self.spool = Spool(self, left.decisions)
        self.faults = 0
        self._fault_places: set[str] = set()
        self._next: dict[str, float] = {}
        self._listening: tuple[int, ...] = ()
        self._asleep_s = store.boottime_s() - time.monotonic()
        self._step_at = time.monotonic()
        self._looked_well = False  # tap polled and counters read in this step

    def serve(self) -> int:
        """Run until told to stop; always 0."""
        thread = threading.Thread(target=self._write, name="writer", daemon=True)
        thread.start()
        asyncio.run(self._serve())
        thread.join(STOP_S)
        if thread.is_alive():
            note("camguard: the disk did not answer; the last records may be missing.")
        return 0

    def _write(self) -> None:
        """The writer thread: goes on after a fault, which is counted and said."""
        while True:
            try:
                self.writer.run()
            except Exception as error:  # noqa: BLE001 - the one place: counted, said once, shown in health
                self.fault("writer", error)
            else:
                return

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.fault("loop", context.get("exception")))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._begin()
        self._step(time.monotonic())
        self._say_ready()
        jobs = upkeep.start(self)
        try:
            await self._steps()
        finally:
            jobs.shutdown(wait=False)
        self._end()

    async def _steps(self) -> None:
        due = time.monotonic() + STEP_S
        while not self.stop.is_set():
            try:
                await asyncio.wait_for(self.stop.wait(), max(0.0, due - time.monotonic()))
            except TimeoutError:
                now = time.monotonic()
                self.watch.lagged(now - due)
                self._step(now)
                due = max(due + STEP_S, now)

    # ---- start and end -----------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        now = time.time()
        until = self.left.looked_until
        events: list[Event] = []
        if until is not None and now - until > 1.0:
            events.append(Notice(now, None, "gap", _gap_words(until, now, self.config.home.timezone)))
            events += blind.restarted(until, now, now - store.boottime_s())
        events.append(Notice(now, None, "guard-start", f"camguard began to look at {', '.join(self.names)}"))
        if refused := self.guard.habits_refused:
            many = "a habit that was learned" if len(refused) == 1 else f"{len(refused)} habits that were learned"
            words = f"{many} before cannot be read ({refused[0][1]}), and is put aside; learning begins anew there"
            events.append(Notice(now, None, "learned", words))
            self.writer.ask(lambda opened: opened.habits_aside(refused, now))
        self.writer.put([Item(row, None) for row in self.left.rows])
        self.tell(events)

    def _end(self) -> None:
        self.manager.stopping()
        self._listen(())
        for _ in range(LAST_READS):
            frames = self._tried("read", self.source.read)
            if not frames:
                break
            self._feed(frames)
        now = time.monotonic()
        self._collect(now)
        self.tell(self._tried("finish", self.guard.finish, now) or [])
        learned, habits = self._learned(), self._tried("habits", lambda: self.guard.habits(last=True))
        ended = time.time()

        def last(opened: Store) -> None:
            if learned is not None:
                learned(opened)
            if habits is not None:
                opened.habits(*habits)
            opened.note_beat(ended, ended=True)

        self.writer.stop(last)
        self.paths.now.unlink(missing_ok=True)

    def _say_ready(self) -> None:
        """The line that says the guard looks, to stdout and systemd; what is wrong or to be done, to stderr."""
        cameras, problems = len(self.config.home.cameras), self._problems()
        line = (
            f"camguard is looking at {', '.join(self.names)}: {cameras} camera{'' if cameras == 1 else 's'},"
            f" {len(problems)} problem{'' if len(problems) == 1 else 's'}"
        )
        if self.as_json:
            note(line)  # stdout is for the events alone
        else:
            self.writer.printer.line(line)
        self.manager.ready(line)
        for problem in problems:
            note(f"camguard: {problem}")
        if not cameras:
            note("camguard: no camera is configured yet. Find yours: sudo camguard cameras discover")

    # ---- frames and the second ---------------------------------------------------------------------------------------

    def _listen(self, fds: tuple[int, ...]) -> None:
        loop = asyncio.get_running_loop()
        for fd in set(self._listening) - set(fds):
            loop.remove_reader(fd)
        for fd in set(fds) - set(self._listening):
            loop.add_reader(fd, self._frames)
        self._listening = fds

    def _frames(self) -> None:
        try:
            frames = self.source.read()
        except Exception as error:  # noqa: BLE001
            self.fault("read", error)
            self._listen(())  # until the next second: a descriptor that only fails must not eat the processor
            return
        self._feed(frames)

    def _feed(self, items: Iterable[Any]) -> None:
        feed = self.guard.feed
        for item in items:
            try:
                events = feed(item)
            except Exception as error:  # noqa: BLE001
                self.fault("frame" if isinstance(item, Frame) else "count", error)
                continue
            if events:
                self.tell(events)

    def _step(self, now: float) -> None:
        """Once a second: interfaces, counts, tick, clocks, figures, watchdog."""
        self._clocks(now)
        self._collect(now)
        self.tell(self._tried("tick", self.guard.tick, now) or [])
        self._tried("facts", self.guard.take_facts)  # for `replay --facts`; here nobody wants them, and they pile up
        if self._due("look", LOOK_S, now):
            self._look(now)
        if self._due("beat", store.BEAT_S, now):
            wall = time.time()
            self.writer.ask(lambda opened: opened.note_beat(wall))
        self._tried("wishes", self.spool.look, now)
        if self._due("minute", MINUTE_S, now):
            self._minute()
        if self.writer.printer.gone and self.foreground:
            self.stop.set()  # whoever read our lines has gone
        self._tried("now.json", self._show)
        self._feed_watchdog(now)
        self._step_at = now

    def _due(self, what: str, every_s: float, now: float) -> bool:
        """Whether `what` is to be done in this step: at first, then every so often."""
        if now < self._next.get(what, 0.0):
            return False
        self._next[what] = now + every_s - STEP_S / 2
        return True

    def _collect(self, now: float) -> None:
        before = self.faults
        for sentence in self._tried("interfaces", self.source.maintain, now) or []:
            self.tell([Health(time.time(), "interface", float(len(self.source.interfaces())), sentence)])
        if not self.stop.is_set():
            self._listen(self._tried("descriptors", self.source.filenos) or ())
        self._tried("collect", self._take, now)
        self._looked_well = self.faults == before

    def _take(self, now: float) -> None:
        """The second's counts: the source makes them one by one as they are fed."""
        self._feed(self.source.collect(now))

    def _clocks(self, now: float) -> None:
        """The wall clock may jump, the machine may sleep, this process may be stopped: all said, no duration moves."""
        wall = time.time()
        asleep_s = store.boottime_s() - now
        slept = asleep_s - self._asleep_s
        stood = now - self._step_at + max(0.0, slept)
        jump = wall - now - self.offset_s - max(0.0, slept)
        self._asleep_s, self.offset_s = asleep_s, wall - now
        self.guard.offset_s = self.offset_s
        zone = self.config.home.timezone
        if slept > 1.0:
            asyncio.get_running_loop().create_task(self.spool.awake(slept))
        if stood > STALL_S:
            self.tell([Notice(wall, None, "gap", _gap_words(wall - stood, wall, zone))])
            self._new_run(wall - jump - stood, wall)
        if abs(jump) > CLOCK_JUMP_S:
            word = "forward" if jump > 0 else "back"
            self.tell([Notice(wall, None, "clock", f"the clock was set {word} by {report.duration(abs(jump))}")])
            if stood <= STALL_S:
                self._new_run(wall - jump, wall)

    def _new_run(self, ended: float, begun: float) -> None:
        def renew(opened: Store) -> None:
            opened.note_beat(ended, ended=True)
            opened.note_start(begun)

        self.writer.ask(renew)

    def _look(self, now: float) -> None:
        """Every LOOK_S: what was lost, and what the guard as a whole does not see."""
        counters = self._counters()
        interfaces = self._tried("interfaces", self.source.interfaces) or []
        figures = self.watch.figures
        figures.writer_queue, figures.writer_s = self.writer.queued(), round(self.writer.worst_commit_s, 3)
        self.tell(self._tried("health", self.watch.look, now, time.time(), interfaces, counters) or [])
        self.tell(self._tried("blind", self.blind.look, now, self.offset_s, interfaces, self.watch.lost) or [])
        while self.writer.told:
            self.tell([Health(time.time(), "store", 1.0, self.writer.told.pop(0))])

    def _minute(self) -> None:
        learned = self._learned()
        if learned is not None:
            self.writer.ask(learned)
        asyncio.get_running_loop().create_task(self.save_habits())
        own = self._tried("own", machine.own)
        if own is not None:
            self._tried("own", self.guard.reload, self.config.home, own)
        self._tried("wishes", self.spool.minute)

    def _learned(self) -> Callable[[Store], None] | None:
        """The writer's job with what was learned since the last call; None: nothing new."""
        devices = self._tried("devices", self.guard.seen_devices) or []
        names = self._tried("names", self.guard.names) or []
        services, leases, places = self._tried("learned", self.guard.learned) or ([], [], [])
        now = time.time()

        def put(opened: Store) -> None:
            if devices:
                opened.devices(devices)
            if names:
                opened.names(names, now)
            if services or leases:
                opened.services(services, leases)
            if places:
                opened.destinations(places)

        return put if devices or names or services or leases or places else None

    async def save_habits(self) -> bool:
        """What is new of habits goes to the disk; whether that worked (what did not is tried again)."""
        found = self._tried("habits", self.guard.habits)
        if not found or not any(found):
            return found is not None
        done = await self.asked(lambda opened: opened.habits(*found))
        if done is None:
            self.guard.habits_unsaved(found)
        return done is not None

    def _feed_watchdog(self, now: float) -> None:
        if self.manager.watchdog_s is None or not self._due("watchdog", self.manager.watchdog_s / PINGS, now):
            return
        self.writer.ping()
        if self._looked_well and now - self.writer.answered_at < WRITER_SILENT * self.manager.watchdog_s:
            self.manager.alive()

    # ---- what is told ------------------------------------------------------------------------------------------------

    def tell(self, events: Sequence[Event], wish: str | None = None, why: str | None = None) -> None:
        """Events on their way to the store; `wish` and `why` mark the answer to a wish that was refused."""
        items = []
        for event in events:
            try:
                row = row_of(event, self.config.home.timezone)
                if wish:
                    row = row._replace(id=wish, body=row.body | {"why": report.clean(why or "", 300)})
                items.append(Item(row, self._line(event, row)))
            except Exception as error:  # noqa: BLE001
                self.fault("words", error)
        if items:
            self.writer.put(items)

    def _line(self, event: Event, row: Row) -> str | None:
        if isinstance(event, Decision) and event.what == "presence":
            return None  # whoever keeps these lines keeps them for longer than the day that is promised
        if self.as_json:
            return report.to_json(row.body)
        if self.foreground:
            return report.line(event, self.config.home.timezone)
        if isinstance(event, Session) or (isinstance(event, Login) and event.verdict == "expected"):
            return None  # the journal would keep who was home for longer than a day
        return f"<{_priority(event)}>{report.line(event, self.config.home.timezone)}"

    def _problems(self) -> list[str]:
        found = list(self.said.values())
        if self.source.cost:
            found.append(self.source.cost)
        if self.writer.trouble:
            found.append(f"Nothing can be recorded: {self.writer.trouble}")
        return found + self.watch.problems()

    def _counters(self) -> dict[str, int]:
        own = {"errors": self.faults} if self.faults else {}
        return {
            **(self._tried("counters", self.guard.counters) or {}),
            **(self._tried("counters", self.source.counters) or {}),
            **self.writer.all_counters(),
            **self.spool.counters,
            **own,
        }

    def _show(self) -> None:
        """now.json."""
        made = live.figures(
            self.config.home,
            self.guard,
            self.source,
            self.watch.figures,
            since=self.since,
            began=self.began,
            problems=self._problems(),
            counters=self._counters(),
            blind=self.blind.open_alerts(time.monotonic(), self.offset_s),
            told=self.writer.committed,
        )
        store.write_now(self.paths.now, made)

    # ---- faults, reload, jobs ----------------------------------------------------------------------------------------

    def _tried(self, place: str, work: Callable[..., _Result], *args: Any) -> _Result | None:
        """What `work` answers; None after a fault."""
        try:
            return work(*args)
        except Exception as error:  # noqa: BLE001
            self.fault(place, error)
            return None

    def fault(self, place: str, error: BaseException | None) -> None:
        """A fault of camguard itself: counted, its origin said once, shown in health; the guard goes on."""
        self.faults += 1
        frames = traceback.extract_tb(error.__traceback__) if error else []
        origin = f"{place}: {type(error).__name__} at {frames[-1].name}:{frames[-1].lineno}" if frames else place
        if origin in self._fault_places or len(self._fault_places) >= 100:
            return
        self._fault_places.add(origin)
        trace = "".join(traceback.format_exception(error)) if error else ""
        note(f"camguard: a fault was caught ({origin}); the guard goes on. {trace}")

    def _reload(self) -> None:
        """SIGHUP: the configuration again; a bad one is said and the old one kept."""
        self.manager.reloading()
        try:
            fresh = configuration.load(self.config.path or self.paths.config)
        except ConfigError as error:
            self.said["configuration"] = f"The changed configuration is not used: {error}"
            note(f"camguard: {error} The configuration before stays in use.")
        else:
            self.said.pop("configuration", None)
            self._take_config(fresh)
        self._say_ready()

    def _take_config(self, fresh: Config) -> None:
        if fresh.interfaces and fresh.interfaces not in (self.config.interfaces, self.names):
            self.said["interfaces"] = (
                "The changed network.interface counts after a restart: sudo systemctl restart camguard"
            )
        else:
            self.said.pop("interfaces", None)
        self.config = fresh
        self.began = {camera.name: self.began.get(camera.name, time.time()) for camera in fresh.home.cameras}
        self._tried("reload", self.source.set_hosts, hosts_of(fresh.home))
        self._tried("reload", self.guard.reload, fresh.home)

    async def asked(self, job: Callable[[Store], Any]) -> Any:
        """What the writer thread answers; None when the store fails (that is said elsewhere)."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def done(value: Any) -> None:
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(value))

        self.writer.ask(job, done)
        value = await answer
        return None if isinstance(value, StoreError) else value


def _gap_words(begun: float, ended: float, zone: str) -> str:
    first, last = report.when(begun, ended, zone), report.clock(ended, zone)
    length = report.duration(ended - begun)
    if first == last:
        return f"camguard did not look for {length} at {first}"
    return f"camguard did not look from {first} to {last} ({length})"


def _priority(event: Event) -> int:
    """The journal's priority (sd-daemon(3))."""
    if isinstance(event, Alert):
        return {"critical": 2, "warning": 4, "info": 6}[event.severity] if event.state == "open" else 5
    return 4 if isinstance(event, Health) and event.what != "memory" else 6
