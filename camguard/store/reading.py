"""Reader: looks into guard.db, never writes. In: ranges in wall-clock seconds; out: dictionaries, devices, gaps."""

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from camguard.errors import StoreError
from camguard.events import Decision, SeenDevice
from camguard.store.decisions import LATEST_SILENCES, MAY_HOLD, SAYS_PRESENCE, SELECT, USES, Kept, Used, kept, used
from camguard.store.exposures import SELECT as EXPOSURES
from camguard.store.now import rfc3339
from camguard.store.schema import BEAT_S, VERSION, Looked, Run, as_text, bodies, is_damage, sentence


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
        return bodies(
            self._ask(
                "SELECT log.body FROM sessions JOIN log USING (seq) WHERE (:until IS NULL OR started < :until) AND"
                " (:since IS NULL OR sessions.state <> 'closed' OR coalesce(ended, started) >= :since)"
                " AND (:camera IS NULL OR sessions.camera = :camera) ORDER BY started DESC, row DESC LIMIT :limit",
                {"since": since, "until": until, "camera": camera, "limit": limit},
            )
        )

    def logins(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Logins of the range, newest first."""
        return bodies(
            self._ask(
                "SELECT log.body FROM logins JOIN log USING (seq) WHERE (:until IS NULL OR logins.time < :until) AND"
                " (:since IS NULL OR logins.time >= :since) AND (:camera IS NULL OR logins.camera = :camera)"
                " ORDER BY logins.time DESC, row DESC LIMIT :limit",
                {"since": since, "until": until, "camera": camera, "limit": limit},
            )
        )

    def alerts(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Alerts that were raised before `until` and open or changed since `since`, latest state, newest first."""
        return bodies(
            self._ask(
                "SELECT log.body FROM alerts JOIN log USING (seq) WHERE (:until IS NULL OR raised < :until) AND"
                " (:since IS NULL OR alerts.state <> 'closed' OR alerts.time >= :since)"
                " AND (:camera IS NULL OR alerts.camera = :camera) ORDER BY raised DESC, alerts.id LIMIT :limit",
                {"since": since, "until": until, "camera": camera, "limit": limit},
            )
        )

    def open_alerts(self) -> list[dict[str, Any]]:
        """Alerts not closed, newest first."""
        return bodies(
            self._ask(
                "SELECT log.body FROM alerts JOIN log USING (seq) WHERE alerts.state <> 'closed' ORDER BY raised DESC"
            )
        )

    def open_sessions(self) -> list[dict[str, Any]]:
        """Sessions not closed, newest first."""
        return bodies(
            self._ask(
                "SELECT log.body FROM sessions JOIN log USING (seq) WHERE sessions.state <> 'closed'"
                " ORDER BY started DESC"
            )
        )

    def exposures(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Ways in that were open in the range, in their latest state, newest first; `until` as last renewed."""
        return _with_until(
            self._ask(
                f"{EXPOSURES} WHERE (:until IS NULL OR opened < :until) AND (:since IS NULL OR"
                " exposures.state <> 'closed' OR exposures.time >= :since) AND (:camera IS NULL OR"
                " exposures.camera = :camera) ORDER BY opened DESC, exposures.id LIMIT :limit",
                {"since": since, "until": until, "camera": camera, "limit": limit},
            )
        )

    def open_exposures(self) -> list[dict[str, Any]]:
        """Ways in that are open, newest first; `until` as last renewed."""
        return _with_until(self._ask(f"{EXPOSURES} WHERE exposures.state <> 'closed' ORDER BY opened DESC"))

    def services(self) -> list[tuple[str, str, int, float, float]]:
        """(camera, transport, port, first time, last time) of services that are known; port 0 as in exposures.py."""
        rows = self._ask("SELECT camera, transport, port, first_time, last_time FROM services")
        return [(str(camera), str(transport), int(port), first, last) for camera, transport, port, first, last in rows]

    def habits(self) -> list[tuple[int, str]]:
        """(number, text as judge/habits.py wrote it) of what was learned."""
        return [(number, str(body)) for number, body in self._ask("SELECT number, body FROM habits ORDER BY number")]

    def habits_shown(self) -> list[dict[str, Any]]:
        """The same for whoever shows it; damaged ones are left out."""
        found = bodies([(body,) for _, body in self.habits()])
        return [shown for body in found if isinstance(shown := body.get("shown"), dict)]

    def next_habit(self) -> int:
        """The number of the next habit; none is used twice."""
        found = self._ask("SELECT seq FROM sqlite_sequence WHERE name='habits'")
        return int(found[0][0]) + 1 if found else 1

    def looked_at(self) -> list[tuple[str, float, int]]:
        """(camera, seconds of looking at it, alerts held back in its first days)."""
        return [tuple(row) for row in self._ask("SELECT camera, seconds, held FROM looked ORDER BY camera")]

    def alerts_after(self, seq: int, limit: int = 500) -> list[tuple[int, dict[str, Any]]]:
        """Every change of an alert written after `seq`, oldest first, with its own seq: for those who follow."""
        rows = self._ask("SELECT seq, body FROM log WHERE kind='alert' AND seq > ? ORDER BY seq LIMIT ?", (seq, limit))
        return [(row[0], body) for row in rows for body in bodies([row[1:]])]

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
        """Every event of the range in the order of writing, oldest first; the newest `limit` where there are more.

        With `camera` also decisions that name none, which count for all of them. Never who was home.
        """
        rows = self._ask(
            "SELECT body FROM (SELECT seq, body FROM log WHERE (:until IS NULL OR time < :until) AND (:since IS NULL OR"  # noqa: S608
            " time >= :since) AND (:camera IS NULL OR camera = :camera OR (camera IS NULL AND kind = 'decision')) AND"
            f" (:kinds = '' OR instr(:kinds, ',' || kind || ',') > 0) AND NOT {SAYS_PRESENCE}"
            " ORDER BY seq DESC LIMIT :limit) ORDER BY seq",
            {
                "since": since,
                "until": until,
                "camera": camera,
                "limit": limit,
                "kinds": f",{','.join(kinds)}," if kinds else "",
            },
        )
        return bodies(rows)

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

    def names(self, since: float = 0.0) -> list[tuple[str, str, str]]:
        """(camera, address, DNS name) learned since then (wall clock), the latest last."""
        rows = self._ask("SELECT camera, ip, name FROM names WHERE time >= ? ORDER BY time, camera, ip", (since,))
        return [(str(camera), str(ip), str(name)) for camera, ip, name in rows]

    def destinations(self) -> list[tuple[str, str, float]]:
        """(camera, place, when first met, wall clock), the oldest first."""
        rows = self._ask("SELECT camera, place, first_time FROM destinations ORDER BY first_time, camera, place")
        return [(str(camera), str(place), float(time)) for camera, place, time in rows]

    def looked(self, since: float, until: float) -> Looked:
        """How long the guard looked between `since` and `until` (now at the latest), and the gaps."""
        rows = self._ask("SELECT started, beat, ended FROM runs WHERE started < ? ORDER BY run", (until,))
        return looked([Run(*row) for row in rows], since, until)

    def runs(self) -> list[Run]:
        """All stretches of looking that are still recorded, oldest first."""
        return [Run(*row) for row in self._ask("SELECT started, beat, ended FROM runs ORDER BY run")]

    def alerts_named(self, beginning: str, limit: int = 2) -> list[dict[str, Any]]:
        """Alerts whose id begins so, latest state, newest first."""
        return bodies(
            self._ask(
                "SELECT log.body FROM alerts JOIN log USING (seq) WHERE substr(alerts.id, 1, length(:so)) = :so"
                " ORDER BY raised DESC LIMIT :limit",
                {"so": beginning, "limit": limit},
            )
        )

    # ---- what the owner decided --------------------------------------------------------------------------------------

    def decisions(self, active_at: float | None = None, limit: int = 1000) -> list[Kept]:
        """Decisions, newest first; with `active_at` (now, wall clock) only those that hold."""
        now = time.time() if active_at is None else active_at
        rows = self._ask(f"{SELECT} WHERE :all OR {MAY_HOLD} ORDER BY id DESC LIMIT :limit",
            {"all": active_at is None, "limit": limit},
        )  # fmt: skip
        found = kept(rows, now)
        return found if active_at is None else [one for one in found if one.holds]

    def silenced(self, now: float) -> dict[str | None, float]:
        """Cameras (None: all) that the owner does not want to hear of -> until when, wall clock.

        The latest word on a camera counts; what was said of one alert only is not in it.
        """
        rows = self._ask(LATEST_SILENCES)
        found = kept(rows, now)
        return {one.decision.camera: now + one.left_s for one in found if one.holds and one.left_s is not None}

    def used(self, now: float) -> dict[int, Used]:
        """How often each decision excused a viewing or a login that is recorded, by its number."""
        return used(self._ask(USES, {"now": now}))

    def decision_of(self, wish: str) -> Decision | None:
        """The decision that was made of a wish."""
        rows = self._ask(f"{SELECT} WHERE wish=?", (wish,))
        return next((one.decision for one in kept(rows, time.time())), None)

    def refusal_of(self, wish: str) -> str | None:
        """Why a wish was refused lately, in words."""
        rows = self._ask(
            "SELECT body FROM log WHERE seq > (SELECT max(seq) FROM log) - 1000 AND kind='notice' AND id=?", (wish,)
        )
        return next((str(body.get("why") or body.get("detail")) for body in bodies(rows)), None)

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _ask(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        """The rows; tried three times, because the guard may start, stop or replace the file in the middle."""
        trouble: Exception | None = None
        for _ in range(3):
            try:
                rows = self._connection().execute(sql, values).fetchall()
                if self._opened == self._state():
                    return rows
            except (sqlite3.Error, UnicodeDecodeError) as error:
                trouble = error
                if is_damage(error) and self._opened == self._state():
                    break
            self.close()
            time.sleep(0.05)
        if trouble is None:
            trouble = sqlite3.OperationalError("it changes all the time")
        raise StoreError(sentence(self.path, trouble))

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
            db.text_factory = as_text
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


def _with_until(rows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]]:
    ends = [(body, until) for text, until in rows for body in bodies([(text,)])]
    return [body | {"until": None if until is None else rfc3339(until)} for body, until in ends]


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
