"""guard.db and now.json: what the guard writes down and what everybody else reads. The only SQL of the guard.

In: `Row`s (an event as report.as_dict made it), seen devices, heartbeats; times are wall-clock seconds since 1970 UTC.
Out: the same dictionaries again, newest first where the name says nothing else, and how long the guard really looked.

One file, one writing process. WAL, so readers never hold up the writer. An alert is committed with synchronous=FULL
(on the disk when the call returns: SQLite, "PRAGMA synchronous"); all else with NORMAL, in the caller's batches.
Alerts outlive everything: the size cap deletes the oldest other rows first. A damaged file is kept beside the new one.
"""

import contextlib
import datetime
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

from camguard.errors import StoreError
from camguard.events import SeenDevice

#: One text per version of the file, never changed once released: migration N brings user_version N-1 to N.
MIGRATIONS = (
    """
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, kind TEXT NOT NULL, camera TEXT, id TEXT,
        state TEXT, body TEXT NOT NULL);
    CREATE INDEX log_time ON log (time);
    CREATE INDEX log_kind ON log (kind, seq);
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY, camera TEXT, started REAL NOT NULL, ended REAL, state TEXT NOT NULL, seq INTEGER NOT NULL,
        body TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX sessions_started ON sessions (started);
    CREATE TABLE alerts (
        id TEXT PRIMARY KEY, camera TEXT, raised REAL NOT NULL, time REAL NOT NULL, state TEXT NOT NULL,
        seq INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
    CREATE INDEX alerts_raised ON alerts (raised);
    CREATE TABLE devices (
        mac TEXT PRIMARY KEY, ips TEXT NOT NULL, name TEXT, first_time REAL NOT NULL, last_time REAL NOT NULL,
        speaks_camera INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (run INTEGER PRIMARY KEY, pid INTEGER NOT NULL, started REAL NOT NULL, beat REAL NOT NULL,
        ended REAL);
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
)
VERSION = len(MIGRATIONS)
BEAT_S = 30.0  # how often the service writes a heartbeat; the SD card pays about 4 KB for each
QUICK_CHECK_S = 4.0  # at start, so that a big file on a slow card cannot keep the guard from looking
DAMAGED_KEPT = 3
DEVICES_KEPT = 4096  # anybody on the link can invent MACs
_PAGE = 4096
_STEP = 2000  # rows deleted at a time: an alert never waits long behind a clean-up
_Result = TypeVar("_Result")


class Row(NamedTuple):
    """One event to keep. `body` is report.as_dict(event), `time` wall-clock seconds; notices have no `id`, `state`."""

    kind: str
    time: float
    camera: str | None
    id: str | None
    state: str | None
    body: dict[str, Any]


class Looked(NamedTuple):
    """How long the guard looked in a range (seconds) and when it did not: (from, to) wall-clock, oldest first.

    The time before the first run ever is in neither.
    """

    seconds: float
    gaps: tuple[tuple[float, float], ...]


class Run(NamedTuple):
    """One stretch of looking: `ended` is None while it lasts or where the guard died; `beat` its last sign of life."""

    started: float
    beat: float
    ended: float | None


class StoreTakenError(StoreError):
    """Another guard writes this store: one of the two must end."""


class Store:
    """The guard's only writer. Made by `Store.open`; one thread at a time; every method may raise StoreError."""

    def __init__(self, path: Path, max_mb: int, lock: int) -> None:
        self.path = path
        self.told: list[str] = []  # sentences for the owner: what was repaired or put aside; the caller empties it
        self.counters = {"store-damaged": 0, "store-full": 0, "store-rows-deleted": 0}
        self._max_bytes = max_mb << 20
        self._lock = lock
        self._run: int | None = None
        self._shrinking = False
        self._db = self._connect()

    @classmethod
    def open(cls, path: Path, max_mb: int = 256) -> Self:
        """The store at `path`, made or brought to this version where needed; StoreError if another guard writes it."""
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            lock = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreError(f"cannot use {path.parent}: {error.strerror}. Make it writable for camguard") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, max_mb, lock)
        except BlockingIOError:
            os.close(lock)
            raise StoreTakenError(f"another camguard writes in {path.parent} already. See: camguard status") from None
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Check the log into the file and let go of it; nothing more can be written."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        with contextlib.suppress(OSError):
            os.close(self._lock)

    # ---- writing -----------------------------------------------------------------------------------------------------

    def write(self, rows: Sequence[Row], *, durable: bool) -> int:
        """Commit `rows` in their order; the seq of the last one. `durable`: on the disk before this returns."""
        return self._retried(lambda: self._write(rows, durable))

    def devices(self, seen: Sequence[SeenDevice]) -> None:
        """Keep what is newest of each device seen on the link; the oldest go when there are too many."""
        values = [(d.mac, json.dumps(d.ips), d.name, d.first_time, d.last_time, d.speaks_camera) for d in seen]

        def put() -> None:
            with self._commit(durable=False):
                self._db.executemany(
                    "INSERT INTO devices VALUES (?,?,?,?,?,?) ON CONFLICT (mac) DO UPDATE SET ips=excluded.ips,"
                    " name=coalesce(excluded.name, name), last_time=max(last_time, excluded.last_time),"
                    " speaks_camera=max(speaks_camera, excluded.speaks_camera)",
                    values,
                )
                self._db.execute(
                    "DELETE FROM devices WHERE mac IN (SELECT mac FROM devices ORDER BY last_time DESC"
                    " LIMIT -1 OFFSET ?)",
                    (DEVICES_KEPT,),
                )

        self._retried(put)

    def note_start(self, now: float) -> Run | None:
        """Begin a stretch of looking; the one before it, None when this is the first."""

        def begin() -> Run | None:
            before = self._last_run()
            with self._commit(durable=False):
                cursor = self._db.execute(
                    "INSERT INTO runs (pid, started, beat) VALUES (?,?,?)", (os.getpid(), now, now)
                )
                self._run = cursor.lastrowid
            return before

        return self._retried(begin)

    def note_beat(self, now: float, *, ended: bool = False) -> None:
        """The guard looked until `now`; `ended`: and stops here. Nothing where no stretch was begun."""

        def beat() -> None:
            if not self.path.exists():  # somebody removed the file under us: what is written now would be lost
                raise _Damaged("the file was removed")
            with self._commit(durable=ended):
                self._db.execute(
                    "UPDATE runs SET beat=?, ended=? WHERE run=?", (now, now if ended else None, self._run)
                )

        self._retried(beat)

    # ---- keeping it small and whole ----------------------------------------------------------------------------------

    def retain(self, keep_days: int, max_mb: int, now: float) -> int:
        """One step of the clean-up: rows older than `keep_days`, then, from 90 % of `max_mb` down to 80 %, the oldest
        rows that are no alerts, then the oldest closed alerts. How many were deleted; call again until it is 0."""
        self._max_bytes = max_mb << 20
        return self._retried(lambda: self._retain(now - keep_days * 86400.0))

    def quick_check(self, limit_s: float = 60.0, give_way: Callable[[], bool] = bool) -> bool:
        """Whether the check was done; not, when `limit_s` was too short or `give_way` said so. A damaged file is put
        aside, as at the start, and said in `told`."""

        def check() -> bool:
            complaint = _quick_check(self._db, limit_s, give_way)
            if complaint:
                raise _Damaged(complaint)
            return complaint is not None

        return self._retried(check)

    def size_mb(self) -> float:
        """What the file and its log take on the disk."""
        return sum(p.stat().st_size for p in _parts(self.path) if p.exists()) / (1 << 20)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        """A checked connection; a file that is no whole database is put aside and a new one made."""
        try:
            return self._prepare(replaced=False)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise StoreError(f"cannot use {self.path}: {error}. Check owner and rights of the folder") from None
            return self._replace(str(error))

    def _prepare(self, *, replaced: bool) -> sqlite3.Connection:
        """Open, check, migrate. Raises sqlite3.DatabaseError; a complaint of quick_check comes as one, too."""
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640))
        db = sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            db.text_factory = _text
            db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect in a new file only, before WAL is set
            mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise sqlite3.OperationalError(f"no write-ahead log here ({mode})")
            db.execute("PRAGMA temp_store=MEMORY")  # the guard may write nowhere but in its own folders
            db.execute("PRAGMA journal_size_limit=4194304")
            db.execute("PRAGMA cache_size=-1024")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA max_page_count={self._max_pages()}")
            complaint = _quick_check(db, QUICK_CHECK_S)
            if complaint:
                raise _Damaged(complaint)
            _migrate(db, self.path, replaced=replaced)
        except BaseException:
            db.close()
            raise
        return db

    def _replace(self, why: str) -> sqlite3.Connection:
        """Put the damaged file aside under a dated name, said in `told`, and make a new one."""
        stamp = time.strftime("%Y-%m-%dT%H%M%S", time.gmtime())
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}-{number}")
        try:
            for part in _parts(self.path):
                if part.exists():
                    part.rename(aside.with_name(aside.name + part.name[len(self.path.name) :]))
            self._forget_old_damage()
            db = self._prepare(replaced=True)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(f"{self.path} is damaged ({why}) and cannot be replaced: {error}. Move it away") from None
        self.counters["store-damaged"] += 1
        self.told.append(f"the record {self.path} was damaged ({why}); it is kept as {aside.name} and a new one begins")
        return db

    def _forget_old_damage(self) -> None:
        kept = sorted(
            p for p in self.path.parent.glob(f"{self.path.name}.damaged-*") if not p.name.endswith(("-wal", "-shm"))
        )
        for old in kept[:-DAMAGED_KEPT]:
            for part in _parts(old):
                part.unlink(missing_ok=True)

    def _retried(self, work: Callable[[], _Result]) -> _Result:
        """`work()`, once more after a damaged file was replaced or room was made; sqlite3 errors become StoreError."""
        try:
            return work()
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                self._db.close()
                self._db = self._replace(str(error))
                self._run = None
            elif _code(error) == sqlite3.SQLITE_FULL:
                self.counters["store-full"] += 1
                self._make_room()
            elif isinstance(error, sqlite3.ProgrammingError):  # closed when a damaged file could not be replaced
                self._db = self._connect()
            else:
                raise StoreError(_sentence(self.path, error)) from None
        try:
            return work()
        except sqlite3.Error as error:
            raise StoreError(_sentence(self.path, error)) from None

    @contextlib.contextmanager
    def _commit(self, *, durable: bool) -> Iterator[None]:
        """One transaction; all or nothing."""
        self._db.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise

    def _write(self, rows: Sequence[Row], durable: bool) -> int:
        seq = 0
        with self._commit(durable=durable):
            for row in rows:
                text = json.dumps(row.body, ensure_ascii=False, separators=(",", ":"))
                text = text.encode("utf-8", "replace").decode()  # a lone surrogate would stop the whole batch
                cursor = self._db.execute(
                    "INSERT INTO log (time, kind, camera, id, state, body) VALUES (?,?,?,?,?,?)",
                    (row.time, row.kind, row.camera, row.id, row.state, text),
                )
                seq = cursor.lastrowid or 0
                if row.kind == "session":
                    started = seconds(row.body.get("started"))
                    ended = seconds(row.body.get("ended"))
                    if ended is None and row.state == "closed":
                        ended = row.time
                    self._db.execute(
                        "INSERT OR REPLACE INTO sessions VALUES (?,?,?,?,?,?,?)",
                        (row.id, row.camera, row.time if started is None else started, ended, row.state, seq, text),
                    )
                elif row.kind == "alert":
                    raised = seconds(row.body.get("raised"))
                    self._db.execute(
                        "INSERT OR REPLACE INTO alerts VALUES (?,?,?,?,?,?,?)",
                        (row.id, row.camera, row.time if raised is None else raised, row.time, row.state, seq, text),
                    )
        return seq

    def _last_run(self) -> Run | None:
        found = self._db.execute("SELECT started, beat, ended FROM runs ORDER BY run DESC LIMIT 1").fetchone()
        return Run(*found) if found else None

    def _max_pages(self) -> int:
        """The cap in pages, less what the write-ahead log takes beside the file."""
        return max(64, (self._max_bytes - min(8 << 20, self._max_bytes // 8)) // _PAGE)

    def _pages(self) -> tuple[int, int]:
        """Pages of the file and pages in use."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        return pages, pages - self._db.execute("PRAGMA freelist_count").fetchone()[0]

    def _retain(self, cutoff: float) -> int:
        before = self._db.total_changes
        self._db.execute(f"PRAGMA max_page_count={self._max_pages()}")
        with self._commit(durable=False):
            for what in (
                "log WHERE seq IN (SELECT seq FROM log WHERE time < :cutoff AND (kind <> 'alert' OR id NOT IN"
                " (SELECT id FROM alerts WHERE state <> 'closed')) LIMIT :step)",
                "sessions WHERE state = 'closed' AND started < :cutoff AND coalesce(ended, started) < :cutoff",
                "alerts WHERE state = 'closed' AND raised < :cutoff AND time < :cutoff",
                "runs WHERE beat < :cutoff",
                "devices WHERE last_time < :cutoff",
            ):
                self._db.execute(f"DELETE FROM {what}", {"cutoff": cutoff, "step": _STEP})  # noqa: S608
        pages, used = self._pages()
        if used > self._max_pages() * (0.8 if self._shrinking else 0.9):
            self._shrinking = True
            self._delete_oldest()
        else:
            self._shrinking = False
        if pages > self._max_pages():  # the owner lowered the cap: give the room back to the disk
            self._db.execute("PRAGMA incremental_vacuum(2000)").fetchall()
        deleted = self._db.total_changes - before
        self.counters["store-rows-deleted"] += deleted
        return deleted

    def _delete_oldest(self) -> None:
        with self._commit(durable=False):
            upto = self._db.execute(
                "SELECT max(seq) FROM (SELECT seq FROM log WHERE kind <> 'alert' ORDER BY seq LIMIT ?)", (_STEP,)
            ).fetchone()[0]
            if upto is not None:
                self._db.execute("DELETE FROM log WHERE kind <> 'alert' AND seq <= ?", (upto,))
                self._db.execute("DELETE FROM sessions WHERE state = 'closed' AND seq <= ?", (upto,))
                return
            oldest = "SELECT id FROM alerts WHERE state = 'closed' ORDER BY raised LIMIT 200"
            self._db.execute(f"DELETE FROM log WHERE kind = 'alert' AND id IN ({oldest})")  # noqa: S608
            self._db.execute(f"DELETE FROM alerts WHERE id IN ({oldest})")  # noqa: S608

    def _make_room(self) -> None:
        """After SQLITE_FULL: give back the write-ahead log, and under the cap delete the oldest rows."""
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            _, used = self._pages()
            if used > self._max_pages() * 0.8:
                for _ in range(10):
                    self._delete_oldest()
                    if self._pages()[1] < self._max_pages() * 0.8:
                        break


class Reader:
    """Looks into guard.db without ever writing; also from another user's process, also while the guard restarts.

    Needs read permission only. Where no -wal is there the guard is down and the file is opened `immutable` (a plain
    read-only opening fails then for a reader who may not write in the folder). Every method may raise StoreError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._db: sqlite3.Connection | None = None
        self._opened: tuple[object, ...] = ()

    def close(self) -> None:
        """Let go of the file; the next question opens it again."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def sessions(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Sessions that touched the range, in their latest state, newest first."""
        return _bodies(
            self._ask(
                "SELECT body FROM sessions WHERE (:until IS NULL OR started < :until) AND (:since IS NULL OR"
                " state <> 'closed' OR coalesce(ended, started) >= :since) AND (:camera IS NULL OR camera = :camera)"
                " ORDER BY started DESC, id LIMIT :limit",
                {"since": since, "until": until, "camera": camera, "limit": limit},
            )
        )

    def alerts(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Alerts that were raised before `until` and open or changed since `since`, latest state, newest first."""
        return _bodies(
            self._ask(
                "SELECT body FROM alerts WHERE (:until IS NULL OR raised < :until) AND (:since IS NULL OR"
                " state <> 'closed' OR time >= :since) AND (:camera IS NULL OR camera = :camera)"
                " ORDER BY raised DESC, id LIMIT :limit",
                {"since": since, "until": until, "camera": camera, "limit": limit},
            )
        )

    def open_alerts(self) -> list[dict[str, Any]]:
        """Alerts not closed, newest first."""
        return _bodies(self._ask("SELECT body FROM alerts WHERE state <> 'closed' ORDER BY raised DESC, id"))

    def open_sessions(self) -> list[dict[str, Any]]:
        """Sessions not closed, newest first."""
        return _bodies(self._ask("SELECT body FROM sessions WHERE state <> 'closed' ORDER BY started DESC, id"))

    def alerts_after(self, seq: int, limit: int = 500) -> list[tuple[int, dict[str, Any]]]:
        """Every change of an alert written after `seq`, oldest first, with its own seq: for those who follow."""
        rows = self._ask("SELECT seq, body FROM log WHERE kind='alert' AND seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [(row[0], body) for row in rows for body in _bodies([row[1:]])]

    def last_seq(self) -> int:
        """The seq of the latest row, 0 in an empty store; it never falls unless the owner removed the file."""
        return int(self._ask("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name='log'), 0)")[0][0])

    def log(
        self,
        since: float | None = None,
        until: float | None = None,
        camera: str | None = None,
        limit: int = 1000,
        kinds: Sequence[str] = (),
    ) -> list[dict[str, Any]]:
        """Every event of the range in the order of writing, oldest first; the newest `limit` where there are more."""
        rows = self._ask(
            "SELECT body FROM (SELECT seq, body FROM log WHERE (:until IS NULL OR time < :until) AND (:since IS NULL OR"
            " time >= :since) AND (:camera IS NULL OR camera = :camera) AND (:kinds = '' OR instr(:kinds, ',' || kind"
            " || ',') > 0) ORDER BY seq DESC LIMIT :limit) ORDER BY seq",
            {
                "since": since,
                "until": until,
                "camera": camera,
                "limit": limit,
                "kinds": f",{','.join(kinds)}," if kinds else "",
            },
        )
        return _bodies(rows)

    def devices(self) -> list[SeenDevice]:
        """Devices seen on the link, the latest first."""
        rows = self._ask(
            "SELECT mac, ips, name, first_time, last_time, speaks_camera FROM devices ORDER BY last_time DESC, mac"
        )
        found = []
        for mac, ips, name, first, last, speaks in rows:
            with contextlib.suppress(ValueError, TypeError):
                found.append(SeenDevice(mac, tuple(map(str, json.loads(ips))), name, first, last, bool(speaks)))
        return found

    def looked(self, since: float, until: float) -> Looked:
        """How long the guard looked between `since` and `until` (now at the latest), and the gaps."""
        rows = self._ask("SELECT started, beat, ended FROM runs WHERE started < ? ORDER BY run", (until,))
        return looked([Run(*row) for row in rows], since, until)

    def runs(self) -> list[Run]:
        """All stretches of looking that are still recorded, oldest first."""
        return [Run(*row) for row in self._ask("SELECT started, beat, ended FROM runs ORDER BY run")]

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _ask(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """The rows; tried three times, because the guard may start, stop or replace the file in the middle."""
        trouble: sqlite3.Error | None = None
        for _ in range(3):
            try:
                rows = self._connection().execute(sql, values).fetchall()
                if self._opened == self._state():
                    return rows
            except sqlite3.Error as error:
                trouble = error
            self.close()
            time.sleep(0.05)
        if trouble is None:
            trouble = sqlite3.OperationalError("it changes all the time")
        raise StoreError(_sentence(self.path, trouble))

    def _state(self) -> tuple[object, ...]:
        """What must be the same before and after a question: which file, and whether a writer has it open."""
        try:
            found = self.path.stat()
            writing = self.path.with_name(self.path.name + "-wal").exists()
        except FileNotFoundError:
            raise StoreError(
                f"nothing is recorded yet: there is no {self.path}. Start the guard: camguard run"
            ) from None
        except PermissionError:
            raise StoreError(
                f"you may not read {self.path}. Use sudo, or join its group: sudo usermod -aG camguard $USER"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot read {self.path}: {error.strerror}. Run: camguard check") from None
        same = (found.st_dev, found.st_ino, writing)
        return same if writing else (*same, found.st_mtime_ns, found.st_size)

    def _connection(self) -> sqlite3.Connection:
        state = self._state()
        if self._db is not None and state == self._opened:
            return self._db
        self.close()
        if not os.access(self.path, os.R_OK):
            raise StoreError(
                f"you may not read {self.path}. Use sudo, or join its group: sudo usermod -aG camguard $USER"
            )
        flags = "mode=ro" if state[2] else "mode=ro&immutable=1"
        uri = f"{self.path.absolute().as_uri()}?{flags}"
        db = sqlite3.connect(uri, uri=True, timeout=2.0, isolation_level=None, check_same_thread=False)
        try:
            db.text_factory = _text
            db.execute("PRAGMA temp_store=MEMORY")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                raise StoreError(
                    f"{self.path} was written by a newer camguard (store version {version}, this one knows {VERSION})."
                    " Use the newer one"
                )
            if version < VERSION:
                raise sqlite3.OperationalError("it is being made")
        except BaseException:
            db.close()
            raise
        self._db, self._opened = db, state
        return db


# ---- small pure parts ------------------------------------------------------------------------------------------------


def looked(runs: Sequence[Run], since: float, until: float) -> Looked:
    """What `Reader.looked` answers, from all runs in their order."""
    total = 0.0
    gaps: list[tuple[float, float]] = []
    end_before: float | None = None
    for run in runs:
        end = run.beat if run.ended is None else run.ended
        if run is runs[-1] and run.ended is None and until - run.beat <= BEAT_S + 10.0:
            end = max(end, until)  # it is looking right now: the next heartbeat is not due yet
        if end_before is not None and run.started - end_before > 1.0:
            gaps.append((end_before, run.started))
        total += max(0.0, min(end, until) - max(run.started, since))
        end_before = end if end_before is None else max(end, end_before)
    if end_before is not None and until - end_before > 1.0:
        gaps.append((end_before, until))
    inside = tuple((max(a, since), min(b, until)) for a, b in gaps if b > since and a < until)
    return Looked(min(total, max(0.0, until - since)), inside)


def rfc3339(when: float) -> str:
    """Wall-clock seconds as the contract writes times: UTC, milliseconds."""
    text = datetime.datetime.fromtimestamp(when, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def seconds(text: object) -> float | None:
    """The other way round; None for what is no time."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


class _Damaged(sqlite3.DatabaseError):
    """The file opens but is not whole."""


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _is_damage(error: BaseException) -> bool:
    return isinstance(error, _Damaged) or _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _sentence(path: Path, error: sqlite3.Error) -> str:
    code = _code(error)
    if code == sqlite3.SQLITE_FULL:
        return f"no room for {path}: the disk or the store's own limit is full. Free some space"
    if code == sqlite3.SQLITE_CANTOPEN:
        return f"cannot open {path} with its log beside it. Start the guard, or read it as root"
    if _is_damage(error):
        return f"{path} is damaged ({error}). The guard puts it aside when it starts: restart it"
    return f"cannot use {path}: {error}. Look at the disk, and at owner and rights of the folder"


def _text(raw: bytes) -> str:
    """A flipped bit in a text must not make the row unreadable."""
    return raw.decode("utf-8", "replace")


def _parts(path: Path) -> tuple[Path, Path, Path]:
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _bodies(rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    found = []
    for (text,) in rows:
        with contextlib.suppress(ValueError, TypeError):
            body = json.loads(text)
            if isinstance(body, dict):
                found.append(body)
    return found


def _quick_check(db: sqlite3.Connection, limit_s: float, give_way: Callable[[], bool] = bool) -> str | None:
    """Empty: whole; None: stopped before it was done; else the first complaint, which SQLite answers in a row."""
    deadline = time.monotonic() + limit_s
    db.set_progress_handler(lambda: time.monotonic() > deadline or give_way(), 20_000)
    try:
        answer = db.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        if _code(error) == sqlite3.SQLITE_INTERRUPT:
            return None
        raise
    finally:
        db.set_progress_handler(None, 0)
    return "" if answer and answer[0] == "ok" else str(answer and answer[0])


def _migrate(db: sqlite3.Connection, path: Path, *, replaced: bool) -> None:
    """Bring the file to VERSION, one transaction a step; a later version is refused, a senseless one is damage."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if VERSION < version < VERSION + 1000:
        raise StoreError(
            f"{path} was written by a newer camguard (store version {version}, this one knows {VERSION})."
            " Install that one again, or move the file away"
        )
    if not 0 <= version <= VERSION:
        raise _Damaged(f"store version {version}")
    try:
        for number, text in enumerate(MIGRATIONS[version:], start=version + 1):
            db.executescript(f"BEGIN IMMEDIATE;{text};PRAGMA user_version={number};COMMIT;")
        if replaced:
            # Followers remember a seq: what a new file counts must lie above anything the damaged one can have had.
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('log', ?)", (int(time.time()),))
        for table in ("log", "sessions", "alerts", "devices", "runs", "meta"):
            db.execute(f"SELECT 1 FROM {table} LIMIT 1")  # noqa: S608
    except sqlite3.OperationalError as error:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        if _code(error) == sqlite3.SQLITE_ERROR:  # a table that must not be there, or is not
            raise _Damaged(str(error)) from None
        raise


# ---- now.json --------------------------------------------------------------------------------------------------------

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """This boot of the machine; clocks of two boots cannot be compared."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def boottime_s() -> float:
    """Seconds since boot, sleep included; the same in every process of the machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_now(path: Path) -> dict[str, Any] | None:
    """The live figures as the guard last wrote them, None where there are none to read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def now_age_s(now: dict[str, Any]) -> float:
    """How old the figures are; infinite when they are of another boot or say no time."""
    written = now.get("boottime_s")
    if now.get("boot_id") != boot_id() or not isinstance(written, int | float):
        return float("inf")
    return max(0.0, boottime_s() - written)


def write_now(path: Path, figures: dict[str, Any]) -> None:
    """Replace the live figures in one step, readable by the group; OSError where that fails."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640), "w", encoding="utf-8") as file:
        json.dump(figures | {"boot_id": boot_id(), "boottime_s": round(boottime_s(), 3)}, file, ensure_ascii=False)
    new.rename(path)
