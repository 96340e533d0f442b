"""Store: the guard's only writer. In: rows, devices, heartbeats; out: nothing but commits and what had to be told."""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self, TypeVar

from camguard.errors import StoreError
from camguard.events import SeenDevice
from camguard.store import decisions, exposures, presence
from camguard.store.now import seconds
from camguard.store.schema import (
    DAMAGED_KEPT,
    DESTINATIONS_KEPT,
    DEVICES_KEPT,
    HABITS_ASIDE_KEPT,
    NAMES_DAYS,
    NAMES_KEPT,
    PAGE,
    QUICK_CHECK_S,
    DamagedError,
    Row,
    Run,
    StoreTakenError,
    as_text,
    code,
    is_damage,
    migrate,
    parts,
    quick_check,
    sentence,
)

STEP_ROWS = 2000  # deleted at a time: an alert never waits long behind a clean-up
_Result = TypeVar("_Result")


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
        self._to_wipe = False  # who was home was deleted, and its bytes are still in the log
        self._open_sessions: dict[str, int] = {}
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

    def names(self, learned: Sequence[tuple[str, str, str]], now: float) -> None:
        """Keep (camera, address, DNS name), the latest name of each address; the oldest go when there are too many."""
        values = [(camera, ip, name.encode("utf-8", "replace").decode(), now) for camera, ip, name in learned]

        def put() -> None:
            with self._commit(durable=False):
                self._db.executemany("INSERT OR REPLACE INTO names VALUES (?,?,?,?)", values)
                self._db.execute(
                    "DELETE FROM names WHERE (camera, ip) IN (SELECT camera, ip FROM names ORDER BY time DESC"
                    " LIMIT -1 OFFSET ?)",
                    (NAMES_KEPT,),
                )

        self._retried(put)

    def destinations(self, met: Sequence[tuple[str, str, float]]) -> None:
        """Keep (camera, place, when first met, wall clock); the newest go when there are too many."""
        values = [(camera, place.encode("utf-8", "replace").decode(), time) for camera, place, time in met]

        def put() -> None:
            with self._commit(durable=False):
                self._db.executemany("INSERT OR IGNORE INTO destinations VALUES (?,?,?)", values)
                self._db.execute(
                    "DELETE FROM destinations WHERE (camera, place) IN (SELECT camera, place FROM destinations"
                    " ORDER BY first_time LIMIT -1 OFFSET ?)",
                    (DESTINATIONS_KEPT,),
                )

        self._retried(put)

    def habits(
        self,
        habits: Sequence[tuple[int, str, str]],
        gone: Sequence[int] = (),
        looked: Sequence[tuple[str, float, int]] = (),
    ) -> bool:
        """Keep what was learned: (number, camera, text), numbers that are no more, (camera, seconds of looking, alerts
        held back). On the disk when this returns: the owner may have said something of it."""

        def put() -> bool:
            with self._commit(durable=bool(habits or gone)):
                self._db.executemany("INSERT OR REPLACE INTO habits VALUES (?,?,?)", habits)
                self._db.executemany("DELETE FROM habits WHERE number=?", [(number,) for number in gone])
                self._db.executemany("INSERT OR REPLACE INTO looked VALUES (?,?,?)", looked)
            return True

        return self._retried(put)

    def habits_aside(self, refused: Sequence[tuple[int, str]], now: float) -> None:
        """Put (number, why) aside, so that they are said once and can be looked at; the oldest go."""

        def put() -> None:
            with self._commit(durable=False):
                for number, why in refused:
                    self._db.execute(
                        "INSERT INTO habits_aside SELECT number, body, ?, ? FROM habits WHERE number=?",
                        (now, why, number),
                    )
                    self._db.execute("DELETE FROM habits WHERE number=?", (number,))
                self._db.execute(
                    "DELETE FROM habits_aside WHERE rowid NOT IN (SELECT rowid FROM habits_aside ORDER BY rowid DESC"
                    " LIMIT ?)",
                    (HABITS_ASIDE_KEPT,),
                )

        self._retried(put)

    def services(
        self,
        services: Sequence[tuple[str, str, int, float, float]],
        renewed: Sequence[tuple[str, float | None]] = (),
    ) -> None:
        """Keep what was learned of services, and the new ends of leases (exposures.py; times are wall clock)."""

        def put() -> None:
            with self._commit(durable=False):
                exposures.put_services(self._db, services)
                exposures.renew(self._db, renewed)

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
                raise DamagedError("the file was removed")
            with self._commit(durable=ended):
                self._db.execute(
                    "UPDATE runs SET beat=?, ended=? WHERE run=?", (now, now if ended else None, self._run)
                )

        self._retried(beat)

    def asked_before(self, wish: str) -> bool:
        """Whether a decision was made of that wish."""

        def look() -> bool:
            return bool(self._db.execute("SELECT 1 FROM decisions WHERE wish=?", (wish,)).fetchone())

        return self._retried(look)

    def next_number(self) -> int:
        """The number of the next decision; none is used twice."""

        def look() -> int:
            found = self._db.execute("SELECT seq FROM sqlite_sequence WHERE name='decisions'").fetchone()
            return int(found[0]) + 1 if found else 1

        return self._retried(look)

    # ---- keeping it small and whole ----------------------------------------------------------------------------------

    def retain(self, keep_days: int, max_mb: int, now: float) -> int:
        """One step of the clean-up: rows older than `keep_days`, then, from 90 % of `max_mb` down to 80 %, the oldest
        rows that are no alerts, then the oldest closed alerts. Call again until it is 0: rows deleted, pages freed.
        Who was home goes after a day whatever `keep_days` says."""
        self._max_bytes = max_mb << 20
        cutoffs = now - keep_days * 86400.0, now - NAMES_DAYS * 86400.0, now - decisions.PRESENCE_S
        return self._retried(lambda: self._retain(*cutoffs))

    def quick_check(self, limit_s: float = 60.0, give_way: Callable[[], bool] = bool) -> bool:
        """Whether the check was done; not, when `limit_s` was too short or `give_way` said so. A damaged file is put
        aside, as at the start, and said in `told`."""

        def check() -> bool:
            self._db.execute("PRAGMA shrink_memory")  # the file is to be read, not what is remembered of it
            complaint = quick_check(self._db, limit_s, give_way)
            if complaint:
                raise DamagedError(complaint)
            return complaint is not None

        return self._retried(check)

    def size_mb(self) -> float:
        """What the file and its log take on the disk."""
        return sum(p.stat().st_size for p in parts(self.path) if p.exists()) / (1 << 20)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        """A checked connection; a file that is no whole database is put aside and a new one made."""
        try:
            return self._prepare(replaced=False)
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not is_damage(error):
                raise StoreError(f"cannot use {self.path}: {error}. Check owner and rights of the folder") from None
            return self._replace(str(error))

    def _prepare(self, *, replaced: bool) -> sqlite3.Connection:
        """Open, check, migrate. Raises sqlite3.DatabaseError; a complaint of quick_check comes as one, too."""
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640))
        db = sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            db.text_factory = as_text
            complaint = quick_check(db, QUICK_CHECK_S)  # before anything is written to it
            if complaint:
                raise DamagedError(complaint)
            if not db.execute("PRAGMA page_count").fetchone()[0]:  # both only count in a new file
                db.execute(f"PRAGMA page_size={PAGE}")
                db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            mode = db.execute("PRAGMA journal_mode=WAL").fetchone()[0]
            if mode != "wal":
                raise sqlite3.OperationalError(f"no write-ahead log here ({mode})")
            db.execute("PRAGMA temp_store=MEMORY")  # the guard may write nowhere but in its own folders
            db.execute("PRAGMA journal_size_limit=4194304")
            db.execute("PRAGMA cache_size=-1024")
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA max_page_count={self._max_pages()}")
            migrate(db, self.path, replaced=replaced)
            self._open_sessions = dict(db.execute("SELECT id, row FROM sessions WHERE state <> 'closed'").fetchall())
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
            for part in parts(self.path):
                if part.exists():
                    part.rename(aside.with_name(aside.name + part.name[len(self.path.name) :]))
            self._forget_old_damage()
            db = self._prepare(replaced=True)
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path} is damaged ({why}) and cannot be replaced: {error}. Move it away") from None
        self.counters["store-damaged"] += 1
        self.told.append(f"the record {self.path} was damaged ({why}); it is kept as {aside.name} and a new one begins")
        return db

    def _forget_old_damage(self) -> None:
        kept = sorted(
            p for p in self.path.parent.glob(f"{self.path.name}.damaged-*") if not p.name.endswith(("-wal", "-shm"))
        )
        for old in kept[:-DAMAGED_KEPT]:
            for part in parts(old):
                part.unlink(missing_ok=True)

    def _retried(self, work: Callable[[], _Result]) -> _Result:
        """`work()`, once more after a damaged file was replaced or room was made; sqlite3 errors become StoreError."""
        try:
            return work()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if is_damage(error):
                self._db.close()
                self._db = self._replace(str(error))
                self._run = None
            elif code(error) == sqlite3.SQLITE_FULL:
                self.counters["store-full"] += 1
                self._make_room()
            elif isinstance(error, sqlite3.ProgrammingError):  # closed when a damaged file could not be replaced
                self._db = self._connect()
            else:
                raise StoreError(sentence(self.path, error)) from None
        try:
            return work()
        except sqlite3.Error as error:
            raise StoreError(sentence(self.path, error)) from None

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
                    self._keep_session(row, seq)
                elif row.kind == "alert":
                    raised = seconds(row.body.get("raised"))
                    self._db.execute(
                        "INSERT OR REPLACE INTO alerts VALUES (?,?,?,?,?,?)",
                        (row.id, row.camera, row.time if raised is None else raised, row.time, row.state, seq),
                    )
                elif row.kind == "login":
                    self._db.execute(
                        "INSERT INTO logins (time, camera, outcome, seq) VALUES (?,?,?,?)",
                        (row.time, row.camera, str(row.body.get("outcome")), seq),
                    )
                elif row.kind == "exposure":
                    exposures.keep(self._db, row, seq)
                elif row.kind == "decision":
                    decisions.keep(self._db, row, text)
        return seq

    def _keep_session(self, row: Row, seq: int) -> None:
        """The latest state of a session; its place in the table is remembered as long as it is open."""
        started, ended = seconds(row.body.get("started")), seconds(row.body.get("ended"))
        if ended is None and row.state == "closed":
            ended = row.time
        place = self._open_sessions.get(row.id or "")
        if place is not None:
            changed = self._db.execute(
                "UPDATE sessions SET ended=?, state=?, seq=? WHERE row=? AND id=?",
                (ended, row.state, seq, place, row.id),
            )
            if not changed.rowcount:  # written in a transaction that failed, or in a file that was put aside
                place = None
        if place is None:
            place = self._db.execute(
                "INSERT INTO sessions (id, camera, started, ended, state, seq) VALUES (?,?,?,?,?,?)",
                (row.id, row.camera, row.time if started is None else started, ended, row.state, seq),
            ).lastrowid
        if row.state == "closed":
            self._open_sessions.pop(row.id or "", None)
        elif place is not None:
            self._open_sessions[row.id or ""] = place

    def _last_run(self) -> Run | None:
        found = self._db.execute("SELECT started, beat, ended FROM runs ORDER BY run DESC LIMIT 1").fetchone()
        return Run(*found) if found else None

    def _max_pages(self) -> int:
        """The cap in pages, less what the write-ahead log takes beside the file."""
        return max(64, (self._max_bytes - min(8 << 20, self._max_bytes // 8)) // PAGE)

    def _pages(self) -> tuple[int, int]:
        """Pages of the file and pages in use."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        return pages, pages - self._db.execute("PRAGMA freelist_count").fetchone()[0]

    def _retain(self, cutoff: float, names_cutoff: float, presence_cutoff: float) -> int:
        before = self._db.total_changes
        self._db.execute(f"PRAGMA max_page_count={self._max_pages()}")
        with self._commit(durable=False):
            for what in (
                "log WHERE seq IN (SELECT seq FROM log WHERE time < :cutoff AND (kind <> 'alert' OR id NOT IN"  # noqa: S608
                " (SELECT id FROM alerts WHERE state <> 'closed')) AND seq NOT IN (SELECT seq FROM sessions WHERE"
                f" state <> 'closed') AND seq NOT IN ({exposures.OPEN}) LIMIT :step)",
                "sessions WHERE state = 'closed' AND started < :cutoff AND coalesce(ended, started) < :cutoff",
                "alerts WHERE state = 'closed' AND raised < :cutoff AND time < :cutoff",
                "logins WHERE time < :cutoff",
                "runs WHERE beat < :cutoff",
                "devices WHERE last_time < :cutoff",
                "names WHERE time < max(:cutoff, :names)",
            ):
                values = {"cutoff": cutoff, "names": names_cutoff, "step": STEP_ROWS}
                self._db.execute(f"DELETE FROM {what}", values)  # noqa: S608
            decisions.forget(self._db, cutoff)
            exposures.forget(self._db, cutoff)
            self._to_wipe = presence.forget(self._db, presence_cutoff) or self._to_wipe
        if self._to_wipe and presence.wipe(self._db):
            self._to_wipe = False
        pages, used = self._pages()
        if used > self._max_pages() * (0.8 if self._shrinking else 0.9):
            self._shrinking = True
            self._delete_oldest()
        else:
            self._shrinking = False
        if pages > self._max_pages():  # the owner lowered the cap: give the room back to the disk
            # executescript: the module's execute() takes one step, and SQLite frees one page a step
            self._db.executescript("PRAGMA incremental_vacuum(2000)")
        deleted = self._db.total_changes - before
        self.counters["store-rows-deleted"] += deleted
        return deleted + max(0, pages - self._pages()[0])

    def _delete_oldest(self) -> None:
        with self._commit(durable=False):
            first, last = self._db.execute("SELECT min(seq), max(seq) FROM log").fetchone()
            step = max(50, min(STEP_ROWS, ((last or 0) - (first or 0)) // 20))
            upto = self._db.execute(
                "SELECT max(seq) FROM (SELECT seq FROM log WHERE kind <> 'alert' ORDER BY seq LIMIT ?)", (step,)
            ).fetchone()[0]
            if upto is not None:
                self._db.execute(
                    "DELETE FROM log WHERE kind <> 'alert' AND seq <= ? AND seq NOT IN"  # noqa: S608
                    f" (SELECT seq FROM sessions WHERE state <> 'closed') AND seq NOT IN ({exposures.OPEN})",
                    (upto,),
                )
                self._db.execute("DELETE FROM sessions WHERE state = 'closed' AND seq <= ?", (upto,))
                self._db.execute("DELETE FROM logins WHERE seq <= ?", (upto,))
                self._db.execute("DELETE FROM exposures WHERE state = 'closed' AND seq <= ?", (upto,))
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
                for _ in range(30):
                    self._delete_oldest()
                    if self._pages()[1] < self._max_pages() * 0.8:
                        break
