"""The tables of guard.db, how a file gets them, what SQLite's complaints mean. In: a connection; out: words, errors."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from camguard.errors import StoreError

#: One text per version of the file, never changed once released: migration N brings user_version N-1 to N.
MIGRATIONS = (
    """
    -- every event, in the order of writing; written twice by SQLite (log and file), so nothing is kept in two tables
    CREATE TABLE log (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, kind TEXT NOT NULL, camera TEXT, id TEXT,
        state TEXT, body TEXT NOT NULL);
    CREATE INDEX log_time ON log (time);
    CREATE INDEX log_alerts ON log (seq) WHERE kind = 'alert';
    -- the latest state of each: seq is its row in log. No index: each costs the card a page a commit
    CREATE TABLE sessions (
        row INTEGER PRIMARY KEY, id TEXT NOT NULL, camera TEXT, started REAL NOT NULL, ended REAL,
        state TEXT NOT NULL, seq INTEGER NOT NULL);
    CREATE TABLE alerts (
        id TEXT PRIMARY KEY, camera TEXT, raised REAL NOT NULL, time REAL NOT NULL, state TEXT NOT NULL,
        seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX alerts_raised ON alerts (raised);
    CREATE TABLE devices (
        mac TEXT PRIMARY KEY, ips TEXT NOT NULL, name TEXT, first_time REAL NOT NULL, last_time REAL NOT NULL,
        speaks_camera INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (run INTEGER PRIMARY KEY, pid INTEGER NOT NULL, started REAL NOT NULL, beat REAL NOT NULL,
        ended REAL);
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    """,
    """
    -- what the owner decided; numbers are never used twice. until_boottime: the end on the clock that runs since boot
    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, wish TEXT NOT NULL UNIQUE, who TEXT NOT NULL,
        what TEXT NOT NULL, mode TEXT, camera TEXT, alert TEXT, peer TEXT, until REAL, boot TEXT NOT NULL,
        until_boottime REAL, revoked_at REAL, used_at REAL, body TEXT NOT NULL);
    CREATE INDEX decisions_once ON decisions (camera) WHERE mode = 'once' AND used_at IS NULL;
    """,
    """
    -- which name a camera was last told for an address, so that a rule by name holds after a restart, too
    CREATE TABLE names (
        camera TEXT NOT NULL, ip TEXT NOT NULL, name TEXT NOT NULL, time REAL NOT NULL,
        PRIMARY KEY (camera, ip)) WITHOUT ROWID;
    """,
    """
    -- who said who he is at a camera's door: seq is its row in log
    CREATE TABLE logins (row INTEGER PRIMARY KEY, time REAL NOT NULL, camera TEXT, outcome TEXT NOT NULL,
        seq INTEGER NOT NULL);
    """,
    """
    -- ways in to the cameras, each in its latest state: seq is its row in log; a renewal moves until alone.
    -- services: ports on which a camera was seen to answer; port 0: how long it was looked at lies between its times
    CREATE TABLE exposures (id TEXT PRIMARY KEY, camera TEXT, opened REAL NOT NULL, time REAL NOT NULL,
        state TEXT NOT NULL, until REAL, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE services (camera TEXT NOT NULL, transport TEXT NOT NULL, port INTEGER NOT NULL,
        first_time REAL NOT NULL, last_time REAL NOT NULL, PRIMARY KEY (camera, transport, port)) WITHOUT ROWID;
    """,
    """
    -- where each camera has been: a place is a registered domain, the owner of a network, or an address
    CREATE TABLE destinations (
        camera TEXT NOT NULL, place TEXT NOT NULL, first_time REAL NOT NULL,
        PRIMARY KEY (camera, place)) WITHOUT ROWID;
    """,
    """
    -- what is usual (judge/habits.py has the body); numbers are never used twice. habits_aside: what could not be read.
    -- looked: for how long each camera was looked at, and how many alerts were held back in its first days
    CREATE TABLE habits (number INTEGER PRIMARY KEY AUTOINCREMENT, camera TEXT NOT NULL, body TEXT NOT NULL);
    CREATE TABLE habits_aside (number INTEGER, body TEXT, time REAL NOT NULL, why TEXT NOT NULL);
    CREATE TABLE looked (camera TEXT PRIMARY KEY, seconds REAL NOT NULL, held INTEGER NOT NULL) WITHOUT ROWID;
    """,
)
VERSION = len(MIGRATIONS)
BEAT_S = 30.0  # how often the service writes a heartbeat; the SD card pays about 4 KB for each
QUICK_CHECK_S = 4.0  # at start, so that a big file on a slow card cannot keep the guard from looking
DAMAGED_KEPT = 3
DEVICES_KEPT = 4096  # anybody on the link can invent MACs
HABITS_ASIDE_KEPT = 256
DESTINATIONS_KEPT = 16_384  # those that were met first: they are the usual ones
NAMES_KEPT, NAMES_DAYS = 4096, 30  # an address goes to somebody else some day
PAGE = 2048  # a commit writes whole pages, most of them for one or two rows: small ones spare the card


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


class DamagedError(sqlite3.DatabaseError):
    """The file opens but is not whole."""


def code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_damage(error: BaseException) -> bool:
    """Whether the file is to be put aside. A complaint that quotes a damaged schema comes as UnicodeDecodeError, a
    flipped bit in the schema's own version as a plain error ("unsupported file format", SQLite's prepare.c)."""
    if isinstance(error, DamagedError | UnicodeDecodeError) or str(error) == "unsupported file format":
        return True
    return code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def sentence(path: Path, error: BaseException) -> str:
    if code(error) == sqlite3.SQLITE_FULL:
        return f"no room for {path}: the disk or the store's own limit is full. Free some space"
    if code(error) == sqlite3.SQLITE_CANTOPEN:
        return f"cannot open {path} with its log beside it. Start the guard, or read it as root"
    if is_damage(error):
        return f"{path} is damaged ({' '.join(str(error).split())}). The guard puts it aside when it starts: restart it"
    return f"cannot use {path}: {error}. Look at the disk, and at owner and rights of the folder"


def as_text(raw: bytes) -> str:
    """A flipped bit in a text must not make the row unreadable."""
    return raw.decode("utf-8", "replace")


def parts(path: Path) -> tuple[Path, Path, Path]:
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def bodies(rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    found = []
    for (text,) in rows:
        with contextlib.suppress(ValueError, TypeError):
            body = json.loads(text)
            if isinstance(body, dict):
                found.append(body)
    return found


def quick_check(db: sqlite3.Connection, limit_s: float, give_way: Callable[[], bool] = bool) -> str | None:
    """Empty: whole; None: stopped before it was done; else the first complaint, which SQLite answers in a row."""
    deadline = time.monotonic() + limit_s
    db.set_progress_handler(lambda: time.monotonic() > deadline or give_way(), 20_000)
    done = False
    try:
        for check in ("quick_check", "integrity_check"):  # the second also compares the indexes with their tables
            answer = db.execute(f"PRAGMA {check}(1)").fetchone()
            if not answer or answer[0] != "ok":
                return str(answer and answer[0])
            done = True
    except sqlite3.OperationalError as error:
        if code(error) != sqlite3.SQLITE_INTERRUPT:
            raise
    finally:
        db.set_progress_handler(None, 0)
    return "" if done else None


def migrate(db: sqlite3.Connection, path: Path, *, replaced: bool) -> None:
    """Bring the file to VERSION, one transaction a step; a later version is refused, a senseless one is damage."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if VERSION < version < VERSION + 1000:
        raise StoreError(
            f"{path} was written by a newer camguard (store version {version}, this one knows {VERSION})."
            " Install that one again, or move the file away"
        )
    if not 0 <= version <= VERSION:
        raise DamagedError(f"store version {version}")
    try:
        for number, text in enumerate(MIGRATIONS[version:], start=version + 1):
            db.executescript(f"BEGIN IMMEDIATE;{text};PRAGMA user_version={number};COMMIT;")
        if replaced:
            # Followers remember a seq: what a new file counts must lie above anything the damaged one can have had.
            db.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('log', ?)", (int(time.time()),))
        if _tables(db) != _tables(_fresh()):  # a flipped bit in the texts of the tables, or somebody's own changes
            raise DamagedError("its tables are not those of camguard")
    except sqlite3.OperationalError as error:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        if code(error) == sqlite3.SQLITE_ERROR:  # a table that must not be there, or is not
            raise DamagedError(str(error)) from None
        raise


def _tables(db: sqlite3.Connection) -> list[tuple[str, str]]:
    found = db.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name")
    return [(str(name), str(sql)) for name, sql in found.fetchall()]


def _fresh() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    for text in MIGRATIONS:
        db.executescript(text)
    return db
