"""deliver.db: what is to be told, to whom, and what became of it. Written by deliver alone (outgoing.py).

Here: the words that both sides use, and reading, for status and check. Times are wall-clock seconds since 1970 UTC.
"""

import contextlib
import json
import os
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from camguard.errors import StoreError
from camguard.store.schema import as_text, bodies, code, is_damage

Status = Literal["pending", "held", "sent", "failed", "superseded"]


@dataclass(slots=True)
class Parcel:
    """One alert in one state, for one channel.

    due        wall clock, for status only: waiting itself goes by the monotonic clock
    waited_s   how long deliver has tried; the time in which the machine was off does not count
    sound      it is to make itself heard, if its severity has a sound at all
    judged     the rules of quiet have let it pass: they are asked once
    mute       it is told without a sound all the same
    """

    id: int
    channel: str
    alert: str
    seq: int
    state: str
    body: dict[str, Any]
    born: float
    due: float
    sound: bool
    tries: int = 0
    waited_s: float = 0.0
    status: Status = "pending"
    judged: bool = False
    mute: bool = False
    error: str | None = None
    done_at: float | None = None
    remote_id: str | None = None


@dataclass(slots=True)
class ChannelState:
    """What status says of a channel. `error`: why it does not work at present, since `error_since`; None: it works.

    `reasons`: why messages of the last 30 days were given up, the latest first, with their times.
    """

    name: str
    kind: str
    last_sent: float | None = None
    error: str | None = None
    error_since: float | None = None
    waiting: int = 0
    held: int = 0
    oldest: float | None = None
    failed: int = 0
    reasons: tuple[tuple[float, str], ...] = ()


class Told(NamedTuple):
    """What a channel was told of an alert last."""

    channel: str
    alert: str
    state: str
    severity: str
    remote_id: str | None


class Ping(NamedTuple):
    """The sign of life to the watch service outside. `error`: why the last try failed, since `since`; None: it worked.

    `last`: when one was taken; None: never.
    """

    last: float | None = None
    error: str | None = None
    since: float | None = None


@dataclass(slots=True)
class Kept:
    """What deliver.db held at start. `cursor` None: nothing was ever taken over."""

    cursor: int | None = None
    parcels: list[Parcel] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    quiet: dict[str, Any] = field(default_factory=dict)
    channels: dict[str, ChannelState] = field(default_factory=dict)
    last_id: int = 0
    ping: Ping = field(default_factory=Ping)


class DeliveryReader:
    """Looks into deliver.db, never writes. Needs read permission; each question may raise StoreError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def channels(self) -> list[ChannelState]:
        """All channels that deliver knows, by name."""
        with self._reading() as db:
            return channel_states(db)

    def sent(self, alert: str) -> list[tuple[str, str, str, float, str | None]]:
        """What became of an alert: (channel, state, status, when, reason), oldest first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT channel, state, status, coalesce(done_at, born), error FROM outbox WHERE alert=? ORDER BY id",
                (alert,),
            )
            return list(rows.fetchall())

    def ping(self) -> Ping:
        """How the watch service took the last sign of life."""
        with self._reading() as db:
            found = db.execute("SELECT value FROM meta WHERE key='ping'").fetchone()
        return ping_of(found[0]) if found else Ping()

    def own(self, since: float = 0.0) -> list[dict[str, Any]]:
        """Alerts that deliver itself raised, oldest first."""
        with self._reading() as db:
            return bodies(db.execute("SELECT body FROM own WHERE time >= ? ORDER BY id", (since,)).fetchall())

    @contextlib.contextmanager
    def _reading(self) -> Any:
        try:
            found = self.path.exists()
        except OSError:
            found = True
        if not found:
            raise StoreError(f"nothing was delivered yet: there is no {self.path}. Start: camguard deliver")
        wal = self.path.with_name(self.path.name + "-wal")
        if not os.access(self.path, os.R_OK):
            raise StoreError(f"you may not read {self.path}. Use sudo, or join its group")
        try:
            flags = "mode=ro" if wal.exists() else "mode=ro&immutable=1"
            db = sqlite3.connect(f"{self.path.absolute().as_uri()}?{flags}", uri=True, timeout=2.0)
            try:
                db.text_factory = as_text
                yield db
            finally:
                db.close()
        except (sqlite3.Error, UnicodeDecodeError) as error:
            raise StoreError(delivery_sentence(self.path, error)) from None


def ping_of(text: str) -> Ping:
    """The row that outgoing.py made of it; one that is damaged says nothing."""
    try:
        last, error, since = json.loads(text)
        return Ping(
            None if last is None else float(last),
            None if error is None else str(error),
            None if since is None else float(since),
        )
    except (ValueError, TypeError):
        return Ping()


def channel_states(db: sqlite3.Connection) -> list[ChannelState]:
    rows = db.execute("SELECT name, kind, last_sent, error, error_since FROM channels ORDER BY name").fetchall()
    states = {row[0]: ChannelState(*row) for row in rows}
    counted = db.execute(
        "SELECT channel, status, count(*), min(born) FROM outbox WHERE status IN ('pending', 'held', 'failed')"
        " GROUP BY channel, status"
    )
    for name, status, number, oldest in counted.fetchall():
        state = states.get(name)
        if state is None:
            continue
        if status == "failed":
            state.failed = number
            reasons = db.execute(
                "SELECT done_at, error FROM outbox WHERE channel=? AND status='failed' ORDER BY done_at DESC LIMIT 5",
                (name,),
            )
            state.reasons = tuple((at, why or "") for at, why in reasons.fetchall())
        elif status == "held":
            state.held = number
        else:
            state.waiting, state.oldest = number, oldest
    return list(states.values())


def delivery_sentence(path: Path, error: BaseException) -> str:
    if code(error) == sqlite3.SQLITE_FULL:
        return f"no room for {path}: the disk is full. Free some space"
    if is_damage(error):
        return f"{path} is damaged ({error}). Restart camguard deliver: it begins a new one"
    return f"cannot use {path}: {error}. Look at the disk, and at owner and rights of the folder"
