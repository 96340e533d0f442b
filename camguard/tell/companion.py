"""What the desktop companion shows, and when: follows guard.db and now.json, remembers what was shown.

In: rows of alerts (seq, dictionary as in contract.md), the age of now.json, a monotonic clock (seconds). Out: letters
for `desktop.show`. A letter that could not be shown stays pending, in its newest form, until it is: nothing is lost.
An alert sounds when it is first shown, when it became worse, and when the guard opens it again (judge/quiet.py: the
viewer came back for the 2nd, 4th, 8th, ... time); everything else replaces it in silence. Of what the owner silenced
only a critical alert that was not shown as critical before is shown; the rest waits, and what ended meanwhile is not
shown at all.
"""

import contextlib
import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from camguard import report, store
from camguard.config import Paths, machine_timezone
from camguard.errors import StoreError
from camguard.tell import quiet
from camguard.tell.desktop import Letter
from camguard.tell.following import Follower, Silences

STALE_S = 15.0  # contract.md: the guard is silent
RESUME_S = 3.0  # awake time that must pass as well: after a suspend the guard needs a moment to write again
START_GRACE_S = 5.0  # at login the guard may be a moment late
RETRY_S = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
MISSED_SHOWN = 5  # ended alerts of while nobody was logged in: the newest; the rest in one line
SILENCES_S = 1.0  # how often the record is asked what the owner silenced, while something is pending
REMEMBERED = 200  # alerts whose notification is remembered; the oldest are forgotten

_RANK = {"info": 0, "warning": 1, "critical": 2}
_GUARD, _MISSED = "guard", "missed"  # ids of the companion's own letters; alert ids are hashes


@dataclass
class Memory:
    """The companion's small file. `seq`: everything up to here was shown. `shown`: alert -> id, seq, severity, server.

    `waiting`: alerts that were open at the very first start and could not be shown yet (their rows lie before `seq`).
    `stopped_boot`: the boot in which "the guard has stopped" was said and not yet taken back. `failing`: why nothing
    can be shown at present.
    """

    seq: int | None = None
    shown: dict[str, dict[str, Any]] = field(default_factory=dict)
    waiting: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped_boot: str = ""
    failing: str = ""

    @classmethod
    def read(cls, path: Path) -> "Memory":
        """The file's content; a new memory where there is none or it is damaged."""
        try:
            kept = json.loads(path.read_text())
            shown = {str(k): {"id": int(v["id"]), "seq": int(v["seq"]), **v} for k, v in kept["shown"].items()}
            seq = None if kept["seq"] is None else int(kept["seq"])
            return cls(seq, shown, dict(kept["waiting"]), str(kept["stopped_boot"]), "")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        new = path.with_suffix(".new")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file)
        new.replace(path)


class Companion:
    """Call `turn` twice a second. `show` raises one letter (False: it was not); `say` is for stderr, once a change."""

    def __init__(
        self, paths: Paths, memory: Path, show: Callable[[Letter], bool], say: Callable[[str], None], mark: str = ""
    ) -> None:
        self._paths, self._memory_path, self._show, self._say, self._mark = paths, memory, show, say, mark
        self.memory = Memory.read(memory)
        self.pending = {key: (self.memory.seq or 0, alert) for key, alert in self.memory.waiting.items()}
        self.shown: list[Letter] = []  # by this process, newest last; for the self-test
        self._following = Follower(paths.database, self.memory.seq, say)
        self._silences = Silences(paths.database)
        self._silenced: tuple[dict[str | None, float], dict[str, float]] = ({}, {})
        self._silenced_at = -math.inf
        self._guard_at = self._retry_at = 0.0
        self._failures = 0
        self._opened_again: set[str] = set()
        self._seen_looking = False
        self._quiet_since: float | None = None
        self._last_looked = ""
        self._catching_up, self._more = True, False
        if _GUARD not in self.memory.shown:  # it was to be said, and could not be
            self.memory.stopped_boot = ""
        self._remember()

    def turn(self, at: float) -> None:
        """Read what is new, look whether the guard still looks, show what is pending. `at`: monotonic seconds."""
        self._read(at)
        if at >= self._guard_at:
            self._guard_at = at + 1.0
            self._watch_guard(at)
        if self.pending and not self._more and at >= self._retry_at:
            self._deliver(at)

    # ---- reading -----------------------------------------------------------------------------------------------------

    def _read(self, at: float) -> None:
        found = self._following.read(at)
        if found is None:
            self._more = False
            return
        for alert in found.going_on:
            self.memory.waiting[str(alert["id"])] = alert
            self.pending[str(alert["id"])] = (self._following.seq or 0, alert)
        if found.another:
            self.memory.shown = {key: one for key, one in self.memory.shown.items() if key == _GUARD}
        for seq, alert in found.rows:
            self._take(seq, alert)
        self._more = self._catching_up and bool(found.rows)  # what was missed comes in portions
        if self._catching_up and not found.rows:
            self._catching_up = False
            self._sum_up_missed()
            self._remember()

    def _take(self, seq: int, alert: dict[str, Any]) -> None:
        key = str(alert.get("id"))
        before = self.memory.shown.get(key)
        if before is not None and before["seq"] >= seq:
            return
        self.memory.waiting.pop(key, None)
        overtaken = self.pending.pop(key, None)
        if overtaken is not None and overtaken[1].get("state") == "open":
            self._opened_again.add(key)  # what was to sound must sound, in whatever form it is shown
        self.pending[key] = (seq, alert)  # the newest form, at the end of the queue

    def _sum_up_missed(self) -> None:
        """Many alerts that came and ended while nobody was logged in are one letter, not a pile."""
        ended = [k for k, (_, a) in self.pending.items() if a.get("state") == "closed" and k not in self.memory.shown]
        if len(ended) <= MISSED_SHOWN:
            return
        more = ended[:-MISSED_SHOWN]
        seqs = [self.pending.pop(key)[0] for key in more]
        letter = {
            "title": f"While you were away: {len(more)} more alerts",
            "body": "They came and ended while nobody was logged in here. Look at them with: camguard alerts",
            "severity": "warning",
            "state": "open",
        }
        self.memory.shown.pop(_MISSED, None)
        self.pending = {_MISSED: (max(seqs), letter), **self.pending}

    # ---- is the guard looking? ---------------------------------------------------------------------------------------

    def _watch_guard(self, at: float) -> None:
        now = store.read_now(self._paths.now)
        age = store.now_age_s(now) if now else math.inf
        if age < STALE_S - RESUME_S:
            self._seen_looking, self._quiet_since = True, None
            self._last_looked = str((now or {}).get("time") or "")
            self._guard_is_back()
            return
        if self._quiet_since is None:
            self._quiet_since = at
            if not self._seen_looking and not self._forbidden():
                self._say("camguard is not looking on this machine at present. Waiting for it.")
        if age < math.inf:
            over = age >= STALE_S and at - self._quiet_since >= RESUME_S
        else:  # a clean stop removes the figures: as long as a restart may take, or a late start at login
            over = at - self._quiet_since >= (STALE_S if self._seen_looking else START_GRACE_S)
        if over and self.memory.stopped_boot != store.boot_id():
            self._guard_has_stopped(str((now or {}).get("time") or "") or self._last_looked)

    def _guard_has_stopped(self, last: str) -> None:
        self.memory.stopped_boot = store.boot_id()
        if self._seen_looking:
            self._say("camguard has stopped looking.")
        if self._forbidden():
            title = "camguard cannot tell you here"
            body = (
                "This user may not read what camguard records, so no alert can come here. "
                "Log in again, or run: sudo usermod -aG camguard $USER"
            )
        else:
            title = "camguard is not looking at your cameras"
            since = f" since {report.clock(then, machine_timezone())}" if (then := store.seconds(last)) else ""
            body = f"It has not looked{since}. Until it does again, no alert can come. To see why, run: camguard check"
        self._own_letter(title, body, "open")

    def _forbidden(self) -> bool:
        """Whether the figures are there, for others: then nothing can be said about the guard."""
        try:
            self._paths.now.stat()
        except PermissionError:
            return True
        except OSError:
            return False
        return not os.access(self._paths.now, os.R_OK)

    def _guard_is_back(self) -> None:
        if self.memory.stopped_boot:
            self.memory.stopped_boot = ""
            self._say("camguard is looking again.")
            self._own_letter("camguard is looking again", "It watches your cameras and will tell you here.", "closed")

    def _own_letter(self, title: str, body: str, state: Literal["open", "closed"]) -> None:
        if state == "open":
            self.memory.shown.pop(_GUARD, None)  # sounds once each time it happens
        self.pending.pop(_GUARD, None)
        self.pending[_GUARD] = (0, {"title": title, "body": body, "severity": "warning", "state": state})
        self._remember()

    # ---- showing -----------------------------------------------------------------------------------------------------

    def _deliver(self, at: float) -> None:
        for key, (seq, alert) in list(self.pending.items()):
            before = self.memory.shown.get(key)
            if alert.get("severity") == "info" and alert.get("state") == "update":
                self._done(key, seq, alert, before or {"id": 0, "server": ""})
                continue
            if key not in (_GUARD, _MISSED) and self._held_back(at, key, alert):
                if alert.get("state") == "closed":
                    self._done(key, seq, alert, {"id": 0, "server": ""})
                continue
            letter = self._letter(alert, before, key in self._opened_again)
            if not self._show(letter):
                self._failed(at, letter.error)
                if letter.broken:
                    return
                continue
            self.shown = [*self.shown[-50:], letter]
            if self._failures:
                self._say("notifications are shown again.")
            self._failures, self.memory.failing = 0, ""
            self._done(key, seq, alert, {"id": letter.shown, "server": letter.server})

    def _held_back(self, at: float, key: str, alert: dict[str, Any]) -> bool:
        """Whether the owner does not want to hear of it now. The end of what was shown takes its place, unheard."""
        now = time.time()
        if at - self._silenced_at >= SILENCES_S:
            self._silenced_at = at
            with contextlib.suppress(StoreError):
                self._silenced = self._silences.at(now)
        cameras, alerts = self._silenced
        until = max(cameras.get(None, 0.0), cameras.get(alert.get("camera"), 0.0), alerts.get(key, 0.0))
        if now >= until or (key in self.memory.shown and alert.get("state") == "closed"):
            return False
        before = self.memory.shown.get(key)
        known = before is not None and bool(before.get("id")) and before.get("severity") == "critical"
        return quiet.held(alert, hours=False, silenced=True, known=known)

    def _letter(self, alert: dict[str, Any], before: dict[str, Any] | None, opened: bool) -> Letter:
        severity = str(alert.get("severity"))
        rank = _RANK.get(severity, 1)
        worse = before is None or rank > _RANK.get(str(before.get("severity")), 1)
        sounds = rank > 0 and (worse or opened or alert.get("state") == "open")
        return Letter(
            title=self._mark + str(alert.get("title") or "camguard"),
            body=str(alert.get("body") or ""),
            urgency=(0, 1, 2)[rank],
            sound="dialog-warning" if sounds else None,
            expire_ms=20_000 if self._mark else (-1, 20_000, 0)[rank],
            replaces=int(before["id"]) if before else 0,
            server=str(before.get("server", "")) if before else "",
        )

    def _failed(self, at: float, why: str) -> None:
        if why != self.memory.failing:
            self._say(f"cannot show notifications: {why}. Nothing is lost: trying again until it works.")
        self.memory.failing = why
        self._retry_at = at + RETRY_S[min(self._failures, len(RETRY_S) - 1)]
        self._failures += 1
        self._remember()

    def _done(self, key: str, seq: int, alert: dict[str, Any], shown: dict[str, Any]) -> None:
        self.pending.pop(key, None)
        self._opened_again.discard(key)
        self.memory.waiting.pop(key, None)
        self.memory.shown.pop(key, None)
        self.memory.shown[key] = {"seq": seq, "severity": alert.get("severity"), **shown}
        while len(self.memory.shown) > REMEMBERED:
            self.memory.shown.pop(next(iter(self.memory.shown)))
        self._remember()

    def _remember(self) -> None:
        """What is still pending is read again after a restart; what was shown is known by its own seq."""
        waiting = [seq for key, (seq, _) in self.pending.items() if key != _GUARD and key not in self.memory.waiting]
        seq = self._following.seq
        self.memory.seq = seq if not waiting or seq is None else min(seq, min(waiting) - 1)
        try:
            self.memory.write(self._memory_path)
        except OSError as error:
            self._following.trouble_is(f"cannot write {self._memory_path}: {error.strerror}")
