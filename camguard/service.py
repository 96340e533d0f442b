"""The guard process: opens the tap, gives up every right, then runs the pipeline until it is told to stop.

In: Config and Paths. Out: events in guard.db, lines on stdout, now.json each second, words to systemd. Owns the clock.

One loop on one thread: frames as they come, once a second the counts, a tick and the live figures. One writer thread
(writer.py) waits for the disk. Order at the start (reliability.md): user, tap, rights given up, files confined, tap
sealed; only then the store, the first thread and the first packet.
"""

import asyncio
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from camguard import config as configuration
from camguard import machine, report, rights, store
from camguard.capture import Source, default_interface, open_source
from camguard.config import Config, Paths
from camguard.errors import CaptureError, ConfigError, StoreError
from camguard.events import Alert, Event, Frame, Health, Notice, Session, hosts_of
from camguard.guard import Guard
from camguard.health import LOOK_S, Watch
from camguard.places import Places
from camguard.sdnotify import Manager
from camguard.store import Reader, Row, Run, Store
from camguard.writer import Item, Printer, Writer

STEP_S = 1.0
MINUTE_S = 60.0
RESUME_S = 600.0  # an alert goes on when the guard was away for less
CLOCK_JUMP_S = 2.0
STALL_S = 5.0  # a step this late is a gap in looking
WRITER_SILENT_S = 20.0  # no sign of life of the writer for this long: the watchdog is not fed
STOP_S = 10.0
LAST_READS = 20
HOUR_S, DAY_S = 3600, 86400

_Result = TypeVar("_Result")


def run(config: Config, paths: Paths, *, as_json: bool, foreground: bool, interfaces: Sequence[str] = ()) -> int:
    """Guard until SIGTERM or SIGINT; the exit code. CaptureError when the tap cannot be opened.

    `foreground`: a person reads stdout (each event as a line); otherwise it is the journal (alerts and what matters).
    `interfaces` go before those of `config`.
    """
    said = become_user(paths)
    if said:
        _note(said)
    manager = Manager(os.environ)
    names = tuple(interfaces) or config.interfaces or (default_interface(),)
    source = open_source(names, hosts_of(config.home))
    try:
        confine(source, paths)
        return _guard(config, paths, source, names, manager, as_json=as_json, foreground=foreground)
    finally:
        source.close()
        manager.close()


def become_user(paths: Paths) -> str | None:
    """As root in an installation: make the folders and become the user camguard. A sentence when that cannot be.

    To be called before anything of others is read; a second call does nothing.
    """
    if os.geteuid() != 0:
        return None
    if paths.state != Path("/var/lib/camguard"):
        return "camguard runs as root here, with every right given up once it looks."
    owner = machine.account("camguard")
    if owner is None:
        return "There is no user camguard: running as root, with every right given up. Fix: sudo systemd/install.sh"
    for folder in (paths.state, paths.runtime):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        os.chown(folder, *owner)
    rights.become("camguard")
    return None


def confine(source: Source, paths: Paths) -> None:
    """Give up what the tap needed and this process no longer does. Before the first thread and the first packet."""
    for folder in (paths.state, paths.runtime):
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise CaptureError(f"cannot make the folder {folder}: {error.strerror}. Fix: --state-dir FOLDER") from None
    rights.give_up()
    rights.confine(write=(paths.state, paths.runtime), read=(paths.config.parent,))
    rights.seal_tap(source.filenos())


def _guard(
    config: Config,
    paths: Paths,
    source: Source,
    names: tuple[str, ...],
    manager: Manager,
    *,
    as_json: bool,
    foreground: bool,
) -> int:
    """Everything after the rights are gone."""
    printer = Printer(sys.stdout.fileno() if sys.stdout else 1)

    def open_store() -> Store:
        return Store.open(paths.database, config.max_mb)

    trouble: str | None = None
    opened: Store | None = None
    left = Left((), (), None)
    try:
        opened = open_store()
        left = what_was_left(opened, paths, time.time())
    except store.StoreTakenError as error:
        _note(f"camguard: {error}")
        return 1
    except StoreError as error:
        trouble = str(error)
    writer = Writer(opened, open_store, printer)
    writer.trouble = trouble
    service = Service(config, paths, source, names, manager, writer, left=left, as_json=as_json, foreground=foreground)
    return service.serve()


class Left:
    """What the run before left: alerts that go on, rows that close the rest, and when it last looked."""

    def __init__(self, alerts: Sequence[Alert], rows: Sequence[Row], looked_until: float | None) -> None:
        self.alerts, self.rows, self.looked_until = tuple(alerts), tuple(rows), looked_until


def what_was_left(opened: Store, paths: Paths, now: float) -> Left:
    """Begin this run in the store, and see what the one before left open."""
    before = opened.note_start(now)
    if before is None:
        return Left((), (), None)
    until = _last_look(before, paths, now)
    reader = Reader(paths.database)
    try:
        alerts = [alert for alert in map(alert_of, reader.open_alerts()) if alert]
        rows = [_closed_session(body, until) for body in reader.open_sessions()]
    finally:
        reader.close()
    if now - until <= RESUME_S:
        return Left(alerts, rows, until)
    closed = [replace(alert, state="closed", ended=until, time=now) for alert in alerts]
    return Left((), [*rows, *map(row_of, closed)], until)


def _last_look(before: Run, paths: Paths, now: float) -> float:
    """The heartbeat in the store is up to 30 s old; the live figures of the same boot know the second."""
    if before.ended is not None:
        return before.ended
    figures = store.read_now(paths.now) or {}
    age = store.now_age_s(figures)
    return max(before.beat, min(now, now - age)) if age < now - before.beat else before.beat


def _closed_session(body: dict[str, Any], until: float) -> Row:
    closed = body | {"state": "closed", "ended": store.rfc3339(until), "time": store.rfc3339(until)}
    return Row("session", until, body.get("camera"), body.get("id"), "closed", closed)


def alert_of(body: dict[str, Any]) -> Alert | None:
    """The alert that `report.as_dict` made `body` of, as far as the contract keeps it; None for a damaged row."""
    times = {name: store.seconds(body.get(name)) for name in ("time", "raised", "started")}
    same = ("id", "camera", "type", "severity", "confidence", "reason", "session", "count", "state")
    try:
        if None in times.values():
            return None
        return Alert(
            **{name: body[name] for name in same},
            **times,  # type: ignore[arg-type]
            evidence=tuple(body["evidence"]),
            peer=report.peer_of(body["peer"]),
        )
    except (KeyError, TypeError):
        return None


def row_of(event: Event, zone: str = "UTC") -> Row:
    """The event as a row of the store."""
    body = report.as_dict(event, zone)
    return Row(body["kind"], event.time, body["camera"], body.get("id"), body.get("state"), body)


class Service:
    """The loop and what it holds. Made once, after the rights are gone; `serve` is its whole life."""

    def __init__(  # noqa: PLR0917 - what run() has opened, in that order
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
        self.guard = Guard(config.home, Places(), offset_s=self.offset_s, own=machine.own(), resume=left.alerts)
        self.writer.committed.update(alert.id for alert in left.alerts)
        self.since = time.time()
        self.stop = asyncio.Event()
        self.said: dict[str, str] = {}  # lasting troubles by cause: a bad configuration, rights left over
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
            _note("camguard: the disk did not answer; the last records may be missing.")
        return 0

    def _write(self) -> None:
        """The writer thread: goes on after a fault, which is counted and said."""
        while True:
            try:
                self.writer.run()
            except Exception as error:  # noqa: BLE001 - the one place: counted, said once, shown in health
                self._fault("writer", error)
            else:
                return

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self._fault("loop", context.get("exception")))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        self._begin()
        self._step(time.monotonic())
        line = self._looking_at()
        self.writer.printer.line(line) if not self.as_json else _note(line)
        self.manager.ready(line)
        jobs = self._jobs()
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
        events.append(Notice(now, None, "guard-start", f"camguard began to look at {', '.join(self.names)}"))
        self.writer.put([Item(row, None) for row in self.left.rows])
        self._tell(events)

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
        self._tell(self._tried("finish", self.guard.finish, now) or [])
        devices = self._tried("devices", self.guard.seen_devices) or []
        ended = time.time()

        def last(opened: Store) -> None:
            if devices:
                opened.devices(devices)
            opened.note_beat(ended, ended=True)

        self.writer.stop(last)
        self.paths.now.unlink(missing_ok=True)

    def _looking_at(self) -> str:
        cameras, problems = len(self.config.home.cameras), len(self._problems())
        return (
            f"camguard is looking at {', '.join(self.names)}: {cameras} camera{'' if cameras == 1 else 's'},"
            f" {problems} problem{'' if problems == 1 else 's'}"
        )

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
            self._fault("read", error)
            self._listen(())  # until the next second: a descriptor that only fails must not eat the processor
            return
        self._feed(frames)

    def _feed(self, items: Sequence[Any]) -> None:
        feed = self.guard.feed
        for item in items:
            try:
                events = feed(item)
            except Exception as error:  # noqa: BLE001
                self._fault("frame" if isinstance(item, Frame) else "count", error)
                continue
            if events:
                self._tell(events)

    def _step(self, now: float) -> None:
        """Once a second: interfaces, counts, tick, clocks, figures, watchdog."""
        self._clocks(now)
        self._collect(now)
        self._tell(self._tried("tick", self.guard.tick, now) or [])
        if self._due("look", LOOK_S, now):
            self._look(now)
        if self._due("beat", store.BEAT_S, now):
            wall = time.time()
            self.writer.ask(lambda opened: opened.note_beat(wall))
        if self._due("minute", MINUTE_S, now):
            self._minute()
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
            self._tell([Health(time.time(), "interface", float(len(self.source.interfaces())), sentence)])
        if not self.stop.is_set():
            self._listen(self._tried("descriptors", self.source.filenos) or ())
        self._feed(self._tried("collect", self.source.collect, now) or [])
        self._looked_well = self.faults == before

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
        if stood > STALL_S:
            self._tell([Notice(wall, None, "gap", _gap_words(wall - stood, wall, zone))])
            self._new_run(wall - jump - stood, wall)
        if abs(jump) > CLOCK_JUMP_S:
            word = "forward" if jump > 0 else "back"
            self._tell([Notice(wall, None, "clock", f"the clock was set {word} by {report.duration(abs(jump))}")])
            if stood <= STALL_S:
                self._new_run(wall - jump, wall)

    def _new_run(self, ended: float, begun: float) -> None:
        def renew(opened: Store) -> None:
            opened.note_beat(ended, ended=True)
            opened.note_start(begun)

        self.writer.ask(renew)

    def _look(self, now: float) -> None:
        self.writer.ping()
        counters = self._counters()
        interfaces = self._tried("interfaces", self.source.interfaces) or []
        figures = self.watch.figures
        figures.writer_queue, figures.writer_s = self.writer.queued(), round(self.writer.worst_commit_s, 3)
        self._tell(self._tried("health", self.watch.look, now, time.time(), interfaces, counters) or [])
        while self.writer.told:
            self._tell([Health(time.time(), "store", 1.0, self.writer.told.pop(0))])
        if self.writer.printer.gone and self.foreground:
            self.stop.set()  # whoever read our lines has gone

    def _minute(self) -> None:
        devices = self._tried("devices", self.guard.seen_devices) or []
        if devices:
            self.writer.ask(lambda opened: opened.devices(devices))
        own = self._tried("own", machine.own)
        if own is not None:
            self._tried("own", self.guard.reload, self.config.home, own)

    def _feed_watchdog(self, now: float) -> None:
        if self.manager.watchdog_s is None or not self._due("watchdog", self.manager.watchdog_s / 4, now):
            return
        if self._looked_well and now - self.writer.answered_at < WRITER_SILENT_S:
            self.manager.alive()

    # ---- what is told ------------------------------------------------------------------------------------------------

    def _tell(self, events: Sequence[Event]) -> None:
        items = []
        for event in events:
            try:
                row = row_of(event, self.config.home.timezone)
                items.append(Item(row, self._line(event, row)))
            except Exception as error:  # noqa: BLE001
                self._fault("words", error)
        if items:
            self.writer.put(items)

    def _line(self, event: Event, row: Row) -> str | None:
        if self.as_json:
            return report.to_json(row.body)
        if self.foreground:
            return report.line(event, self.config.home.timezone)
        if isinstance(event, Session):
            return None
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
            **own,
        }

    def _show(self) -> None:
        """now.json."""
        home = self.config.home
        sights = {sight.camera: sight for sight in self.guard.sights()}
        rates, addresses = self.guard.rates(), self.guard.addresses()
        cameras = []
        for camera in home.cameras:
            sight = sights.get(camera.name)
            up, down = rates.get(camera.name, (0, 0))
            cameras.append(
                {
                    "name": camera.name,
                    "mac": camera.mac,
                    "ips": list(addresses.get(camera.name) or camera.ips),
                    "sight": sight.how if sight else "nothing",
                    "packets_up": sight.packets_up if sight else 0,
                    "packets_down": sight.packets_down if sight else 0,
                    "last_time": report.rfc3339(sight.last_time) if sight else None,
                    "up_kbps": up,
                    "down_kbps": down,
                }
            )
        figures = self.watch.figures
        store.write_now(
            self.paths.now,
            {
                "version": 1,
                "pid": os.getpid(),
                "time": report.rfc3339(time.time()),
                "since": report.rfc3339(self.since),
                "source": self.source.what,
                "cost": self.source.cost,
                "interfaces": [
                    {"name": one.name, "state": one.state, "packets": one.packets, "drops": one.drops}
                    for one in self.source.interfaces()
                ],
                "cameras": cameras,
                "sessions": [report.as_dict(session, home.timezone) for session in self.guard.open_sessions()],
                "alerts": [
                    report.as_dict(alert, home.timezone)
                    for alert in self.guard.open_alerts()
                    if alert.id in self.writer.committed
                ],
                "problems": self._problems(),
                "counters": self._counters(),
                "health": {name: getattr(figures, name) for name in figures.__slots__},
            },
        )

    # ---- faults, reload, jobs ----------------------------------------------------------------------------------------

    def _tried(self, place: str, work: Callable[..., _Result], *args: Any) -> _Result | None:
        """What `work` answers; None after a fault."""
        try:
            return work(*args)
        except Exception as error:  # noqa: BLE001
            self._fault(place, error)
            return None

    def _fault(self, place: str, error: BaseException | None) -> None:
        """A fault of camguard itself: counted, its origin said once, shown in health; the guard goes on."""
        self.faults += 1
        frames = traceback.extract_tb(error.__traceback__) if error else []
        origin = f"{place}: {type(error).__name__} at {frames[-1].name}:{frames[-1].lineno}" if frames else place
        if origin in self._fault_places or len(self._fault_places) >= 100:
            return
        self._fault_places.add(origin)
        trace = "".join(traceback.format_exception(error)) if error else ""
        _note(f"camguard: a fault was caught ({origin}); the guard goes on. {trace}")

    def _reload(self) -> None:
        """SIGHUP: the configuration again; a bad one is said and the old one kept."""
        self.manager.reloading()
        try:
            fresh = configuration.load(self.config.path or self.paths.config)
        except ConfigError as error:
            self.said["configuration"] = f"The changed configuration is not used: {error}"
            _note(f"camguard: {error} The configuration before stays in use.")
        else:
            self.said.pop("configuration", None)
            self._take_config(fresh)
        line = self._looking_at()
        self.writer.printer.line(line) if not self.as_json else _note(line)
        self.manager.ready(line)

    def _take_config(self, fresh: Config) -> None:
        if fresh.interfaces and fresh.interfaces not in (self.config.interfaces, self.names):
            self.said["interfaces"] = (
                "The changed network.interface counts after a restart: sudo systemctl restart camguard"
            )
        else:
            self.said.pop("interfaces", None)
        self.config = fresh
        self._tried("reload", self.source.set_hosts, hosts_of(fresh.home))
        self._tried("reload", self.guard.reload, fresh.home)

    def _jobs(self) -> Any:
        """Retention, check of the file and self-check: nothing that alerts or feeds the watchdog hangs on these."""
        import datetime

        from apscheduler.schedulers.asyncio import AsyncIOScheduler

        jobs = AsyncIOScheduler(timezone=datetime.UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=2)
        jobs.add_job(self._retain, "interval", seconds=HOUR_S, next_run_time=soon)
        jobs.add_job(self._quick_check, "interval", seconds=DAY_S)
        jobs.add_job(self._self_check, "interval", seconds=HOUR_S, next_run_time=soon)
        jobs.start()
        return jobs

    async def _retain(self) -> None:
        while await self._asked(lambda opened: opened.retain(self.config.keep_days, self.config.max_mb, time.time())):
            await asyncio.sleep(0.2)

    async def _quick_check(self) -> None:
        for _ in range(10):
            if await self._asked(lambda opened: opened.quick_check(5.0, self.writer.alert_waits)):
                return
            await asyncio.sleep(MINUTE_S)

    async def _self_check(self) -> None:
        self.watch.figures.store_mb = await self._asked(lambda opened: round(opened.size_mb(), 1))
        left_over = await asyncio.to_thread(machine.rights_left)
        if left_over:
            self.said["rights"] = f"camguard still holds rights that it should not: {left_over}. Please report this."
        self._tell(self.watch.summary(time.time()))

    async def _asked(self, job: Callable[[Store], Any]) -> Any:
        """What the writer thread answers; None when the store fails (that is said elsewhere)."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()

        def done(value: Any) -> None:
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(value))

        self.writer.ask(job, done)
        value = await answer
        return None if isinstance(value, StoreError) else value


def _gap_words(begun: float, ended: float, zone: str) -> str:
    return (
        f"camguard did not look from {report.when(begun, ended, zone)} to {report.clock(ended, zone)}"
        f" ({report.duration(ended - begun)})"
    )


def _priority(event: Event) -> int:
    """The journal's priority (sd-daemon(3))."""
    if isinstance(event, Alert):
        return {"critical": 2, "warning": 4, "info": 6}[event.severity] if event.state == "open" else 5
    return 4 if isinstance(event, Health) and event.what != "memory" else 6


def _note(text: str) -> None:
    """A message for a person, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
