"""deliver.db, writing: parcels and the cursor (the last row of guard.db that was taken over), committed together.

So a row is either still to be read there or already waits here. Commits are NORMAL: a power cut can only take back the
latest ones, cursor and parcels alike, which repeats a message and loses none; what stands nowhere else (`own`) is
committed FULL. A damaged file is put aside.
"""

import contextlib
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from camguard.errors import StoreError
from camguard.store.delivery import ChannelState, Kept, Parcel, Ping, Told, channel_states, delivery_sentence, ping_of
from camguard.store.schema import DamagedError, StoreTakenError, as_text, bodies, is_damage, parts, quick_check

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    -- seq: the row of guard.db, 0 for what deliver itself had to say; body is emptied once it is done with
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY, channel TEXT NOT NULL, alert TEXT NOT NULL, seq INTEGER NOT NULL, state TEXT NOT NULL,
        severity TEXT NOT NULL, body TEXT NOT NULL, born REAL NOT NULL, due REAL NOT NULL, tries INTEGER NOT NULL,
        waited_s REAL NOT NULL, status TEXT NOT NULL, sound INTEGER NOT NULL, judged INTEGER NOT NULL,
        mute INTEGER NOT NULL, error TEXT, done_at REAL, remote_id TEXT);
    CREATE INDEX outbox_waiting ON outbox (id) WHERE status IN ('pending', 'held');
    CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL;
    CREATE TABLE channels (
        name TEXT PRIMARY KEY, kind TEXT NOT NULL, last_sent REAL, error TEXT, error_since REAL) WITHOUT ROWID;
    CREATE TABLE own (id INTEGER PRIMARY KEY, time REAL NOT NULL, alert TEXT NOT NULL, state TEXT NOT NULL,
        body TEXT NOT NULL);
    """,
)
VERSION = len(MIGRATIONS)
DONE_KEPT_S, DONE_KEPT = 30 * 86400.0, 5000  # what was sent or failed stays for the owner to look at
OWN_KEPT = 500
DAMAGED_KEPT = 2
MAX_PAGES = 16384  # 64 MB; a full queue of ten channels takes about five


class Deliveries:
    """The writer. Made by `Deliveries.open`; one thread; every method may raise StoreError."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path, self._lock = path, lock
        self.told: list[str] = []  # sentences for the owner: what was put aside
        self._db: sqlite3.Connection | None = None
        self._db = self._connect()

    @classmethod
    def open(cls, path: Path) -> Self:
        """The file at `path`, made where there is none; StoreTakenError if another deliver writes it."""
        try:
            path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            lock = os.open(path.with_name("deliver.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StoreError(f"cannot use {path.parent}: {error.strerror}. Make it writable for camguard") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return cls(path, lock)
        except BlockingIOError:
            os.close(lock)
            raise StoreTakenError(f"another camguard deliver writes {path} already. See: camguard status") from None
        except BaseException:
            os.close(lock)
            raise

    def close(self) -> None:
        """Let go of the file; nothing more can be written."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        with contextlib.suppress(OSError):
            os.close(self._lock)

    def load(self) -> Kept:
        """All that waits, and what is needed to go on."""
        try:
            db = self._open_db()
            kept = Kept()
            for key, value in db.execute("SELECT key, value FROM meta").fetchall():
                if key == "cursor":
                    kept.cursor = int(value)
                elif key == "ping":
                    kept.ping = ping_of(value)
                elif key.startswith("quiet:"):
                    with contextlib.suppress(ValueError):
                        kept.quiet[key.removeprefix("quiet:")] = json.loads(value)
            kept.parcels = [parcel for row in db.execute(_WAITING).fetchall() if (parcel := _parcel(row)) is not None]
            told = db.execute(
                "SELECT channel, alert, state, severity, remote_id FROM outbox WHERE status='sent' ORDER BY id DESC"
                " LIMIT 2000"
            )
            kept.told = [Told(*row) for row in told.fetchall()][::-1]
            kept.channels = {one.name: one for one in channel_states(db)}
            kept.last_id = db.execute("SELECT coalesce(max(id), 0) FROM outbox").fetchone()[0]
        except (sqlite3.Error, UnicodeDecodeError, ValueError) as error:
            raise self._trouble(error) from None
        return kept

    def save(
        self,
        parcels: Iterable[Parcel] = (),
        *,
        cursor: int | None = None,
        quiet: Mapping[str, Any] | None = None,
        channels: Iterable[ChannelState] = (),
        forget: Iterable[int] = (),
        own: Sequence[tuple[float, dict[str, Any]]] = (),
        ping: Ping | None = None,
    ) -> None:
        """Commit all of it, or nothing. `forget`: ids of parcels that leave no trace; `own`: (time, alert)."""
        try:
            db = self._open_db()
            db.execute(f"PRAGMA synchronous={'FULL' if own else 'NORMAL'}")
            db.execute("BEGIN IMMEDIATE")
            try:
                db.executemany(_PUT, [_values(parcel) for parcel in parcels])
                db.executemany("DELETE FROM outbox WHERE id=?", [(one,) for one in forget])
                meta = [(f"quiet:{name}", json.dumps(state)) for name, state in (quiet or {}).items()]
                if cursor is not None:
                    meta.append(("cursor", str(cursor)))
                if ping is not None:
                    meta.append(("ping", json.dumps(ping)))
                db.executemany("INSERT OR REPLACE INTO meta VALUES (?,?)", meta)
                db.executemany(
                    "INSERT OR REPLACE INTO channels VALUES (?,?,?,?,?)",
                    [(c.name, c.kind, c.last_sent, c.error, c.error_since) for c in channels],
                )
                db.executemany(
                    "INSERT INTO own (time, alert, state, body) VALUES (?,?,?,?)",
                    [(at, alert["id"], alert["state"], _text(alert)) for at, alert in own],
                )
                db.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._trouble(error) from None

    def own_open(self) -> list[dict[str, Any]]:
        """Alerts of deliver itself that were opened and not closed, oldest first."""
        try:
            rows = self._open_db().execute(
                "SELECT body FROM own WHERE id IN (SELECT max(id) FROM own GROUP BY alert) AND state <> 'closed'"
                " ORDER BY id"
            )
            return bodies(rows.fetchall())
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._trouble(error) from None

    def retain(self, now: float, names: Sequence[str]) -> None:
        """Forget what is long done, and channels that are no more and have nothing to show."""
        try:
            db = self._open_db()
            db.execute("DELETE FROM outbox WHERE done_at < ?", (now - DONE_KEPT_S,))
            db.execute(
                "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE done_at IS NOT NULL ORDER BY done_at DESC"
                " LIMIT -1 OFFSET ?)",
                (DONE_KEPT,),
            )
            db.execute("DELETE FROM own WHERE id <= (SELECT max(id) FROM own) - ? AND state = 'closed'", (OWN_KEPT,))
            db.execute("DELETE FROM channels WHERE name NOT IN (SELECT value FROM json_each(?))", (json.dumps(names),))
            db.execute("PRAGMA incremental_vacuum")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise self._trouble(error) from None

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _open_db(self) -> sqlite3.Connection:
        """The connection; opened again where the file was removed, which is said once so that all is written again."""
        if self._db is not None and not self.path.exists():
            self._db.close()
            self._db = self._connect()
            raise StoreError(f"{self.path} was removed and is new now")
        if self._db is None:
            self._db = self._connect()
        return self._db

    def _connect(self) -> sqlite3.Connection:
        try:
            return self._prepare()
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if not is_damage(error):
                raise StoreError(delivery_sentence(self.path, error)) from None
            return self._replace(str(error))

    def _prepare(self) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640))
        db = sqlite3.connect(self.path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            db.text_factory = as_text
            complaint = quick_check(db, 4.0)
            if complaint:
                raise DamagedError(complaint)
            if not db.execute("PRAGMA page_count").fetchone()[0]:
                db.execute("PRAGMA auto_vacuum=INCREMENTAL")
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA temp_store=MEMORY")
            db.execute("PRAGMA journal_size_limit=4194304")
            db.execute("PRAGMA cache_size=-1024")
            db.execute(f"PRAGMA max_page_count={MAX_PAGES}")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if VERSION < version < VERSION + 1000:
                raise StoreError(f"{self.path} was written by a newer camguard. Install that one, or move it away")
            if not 0 <= version <= VERSION:
                raise DamagedError(f"version {version}")
            for number, text in enumerate(MIGRATIONS[version:], start=version + 1):
                db.executescript(f"BEGIN IMMEDIATE;{text};PRAGMA user_version={number};COMMIT;")
        except BaseException:
            db.close()
            raise
        return db

    def _replace(self, why: str) -> sqlite3.Connection:
        """Put the damaged file aside, said in `told`; what waits in memory is written to the new one by the caller."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        aside = self.path.with_name(f"{self.path.name}.damaged-{time.time_ns() // 1_000_000}")
        try:
            for part in parts(self.path):
                if part.exists():
                    part.rename(aside.with_name(aside.name + part.name[len(self.path.name) :]))
            old = sorted(p for p in self.path.parent.glob(f"{self.path.name}.damaged-*") if p.name[-1].isdigit())
            for gone in old[:-DAMAGED_KEPT]:
                for part in parts(gone):
                    part.unlink(missing_ok=True)
            db = self._prepare()
        except (OSError, sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(f"{self.path} is damaged ({why}) and cannot be replaced: {error}. Move it away") from None
        self.told.append(f"{self.path} was damaged ({why}); it is kept as {aside.name}. What waited in it may be lost")
        return db

    def _trouble(self, error: Exception) -> StoreError:
        if is_damage(error):
            try:
                self._db = self._replace(str(error))
            except StoreError as worse:
                return worse
            return StoreError(f"{self.path} was damaged and is new now")
        return StoreError(delivery_sentence(self.path, error))


_WAITING = (
    "SELECT id, channel, alert, seq, state, body, born, due, sound, tries, waited_s, status, judged, mute, error,"
    " done_at, remote_id FROM outbox WHERE status IN ('pending', 'held') ORDER BY id"
)
_PUT = (
    "INSERT INTO outbox (id, channel, alert, seq, state, body, born, due, sound, tries, waited_s, status, judged,"
    " mute, error, done_at, remote_id, severity) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (id)"
    " DO UPDATE SET alert=excluded.alert, seq=excluded.seq, state=excluded.state, body=excluded.body, due=excluded.due,"
    " sound=excluded.sound, tries=excluded.tries, waited_s=excluded.waited_s, status=excluded.status,"
    " judged=excluded.judged, mute=excluded.mute, error=excluded.error, done_at=excluded.done_at,"
    " remote_id=excluded.remote_id"
)


def _values(parcel: Parcel) -> tuple[Any, ...]:
    done = parcel.status in ("sent", "failed", "superseded")
    return (
        parcel.id, parcel.channel, parcel.alert, parcel.seq, parcel.state, "" if done else _text(parcel.body),
        parcel.born, parcel.due, parcel.sound, parcel.tries, parcel.waited_s, parcel.status, parcel.judged,
        parcel.mute, parcel.error, parcel.done_at, parcel.remote_id, str(parcel.body.get("severity", "")),
    )  # fmt: skip


def _text(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace").decode()


def _parcel(row: Sequence[Any]) -> Parcel | None:
    found = bodies([(row[5],)])
    if not found:
        return None
    values = list(row)
    values[5], values[8], values[12], values[13] = found[0], bool(row[8]), bool(row[12]), bool(row[13])
    return Parcel(*values)
