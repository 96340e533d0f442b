"""What the owner decided, as the store keeps it, and whether it still holds. In: rows of guard.db; out: Decisions.

A length is a length whatever the wall clock does: the end is kept on the clock that runs since boot as well, and counts
by that as long as the machine is not started anew. After that only the wall clock can say, where it was set by anybody.
"""

import contextlib
import ctypes
import json
import re
import sqlite3
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from camguard.events import Decision, Peer
from camguard.store.now import boot_id, boottime_s, seconds
from camguard.store.schema import Row

DECISIONS_KEPT = 5000  # over ones; what holds is never deleted
PRESENCE_S = 23 * 3600.0  # who was home is kept for 24 h at most, and the clean-up comes once an hour
_RTC = Path("/sys/class/rtc")
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
_ERROR, _UNSYNC = 5, 0x40  # TIME_ERROR, STA_UNSYNC (adjtimex(2))

SELECT = (
    "SELECT decisions.body, revoked_at, used_at, until, boot, until_boottime FROM decisions"  # bodies first, as in log
)

#: Of a row: nothing but the clock can have ended it.
MAY_HOLD = "(what NOT IN ('revoke', 'learn') AND revoked_at IS NULL AND used_at IS NULL)"

#: A row of log that says who was home; a damaged body is none. CASE: json_extract must not see a damaged one.
SAYS_PRESENCE = (
    "(kind = 'decision' AND CASE WHEN json_valid(body) THEN json_extract(body, '$.what') = 'presence' ELSE 0 END)"
)

#: By which reason what went on was expected, and when: the reason of what a decision excused ends in its number.
USES = (
    "SELECT CASE WHEN json_valid(body) THEN json_extract(body, '$.reason') END, coalesce(ended, :now) FROM sessions"
    " JOIN log USING (seq) WHERE instr(body, '(decision ') > 0 UNION ALL"
    " SELECT CASE WHEN json_valid(body) THEN json_extract(body, '$.reason') END, logins.time FROM logins"
    " JOIN log USING (seq) WHERE instr(body, '(decision ') > 0"
)
_EXCUSED = re.compile(r"\(decision (\d{1,15})\)$")

LATEST_SILENCES = (
    f"{SELECT} WHERE what='silence' AND alert IS NULL AND revoked_at IS NULL AND id IN"  # noqa: S608
    " (SELECT max(id) FROM decisions WHERE what='silence' AND alert IS NULL GROUP BY camera)"
)


class Kept(NamedTuple):
    """A decision with what became of it. `left_s`: seconds until it ends; None for no end.

    `unsure`: it was made before the machine was started anew, and no clock can say yet whether it has ended.
    """

    decision: Decision
    revoked_at: float | None
    used_at: float | None
    left_s: float | None
    unsure: bool

    @property
    def holds(self) -> bool:
        """Whether it counts now."""
        return (
            self.decision.what not in ("revoke", "learn")
            and self.revoked_at is None
            and self.used_at is None
            and not self.unsure
            and (self.left_s is None or self.left_s > 0)
        )


class Used(NamedTuple):
    """How many viewings and logins a decision excused, and when the last of them ended, wall clock."""

    times: int
    last_time: float


def kept(rows: list[tuple[Any, ...]], now: float) -> list[Kept]:
    """The decisions of `SELECT`; damaged rows are left out. `now`: wall clock."""
    found = []
    boot, since_boot_s = boot_id(), boottime_s()
    dated: bool | None = None
    for text, revoked_at, used_at, until, made_in, until_boottime in rows:
        decision = None
        with contextlib.suppress(ValueError, TypeError):
            decision = decision_of(json.loads(text))
        if decision is None:
            continue
        left_s, unsure = None, False
        if until is not None:
            same = made_in == boot and until_boottime is not None
            if not same and dated is None:
                dated = clock_is_set()
            left_s = until_boottime - since_boot_s if same else until - now
            unsure = not same and not dated
        found.append(Kept(decision, revoked_at, used_at, left_s, unsure))
    return found


def used(rows: list[tuple[Any, ...]]) -> dict[int, Used]:
    """What `USES` found, by the number of the decision."""
    found: dict[int, Used] = {}
    for reason, time_ in rows:
        excused = _EXCUSED.search(reason) if isinstance(reason, str) else None
        if excused and isinstance(time_, float):
            before = found.get(int(excused[1]), Used(0, time_))
            found[int(excused[1])] = Used(before.times + 1, max(before.last_time, time_))
    return found


def decision_of(body: Any) -> Decision | None:
    """The decision that `report.as_dict` made `body` of; None for a damaged row."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        peer = body["peer"]
        if peer is not None:
            peer = Peer(**{one.name: peer[one.name] for one in fields(Peer)})
        made, until = seconds(body["time"]), seconds(body["until"])
        if made is None or not isinstance(body["number"], int):
            return None
        same = ("number", "wish", "who", "what", "camera", "alert", "mode", "revokes", "detail")
        later = {name: body[name] for name in ("about", "when", "private", "used", "habit") if name in body}
        return Decision(time=made, until=until, peer=peer, **{name: body[name] for name in same}, **later)
    return None


def clock_is_set() -> bool:
    """Whether the wall clock can be right just after the machine was started: it has a battery, or was set by now."""
    if _SYNCHRONISED.exists():
        return True
    with contextlib.suppress(OSError):
        if any(_RTC.iterdir()):
            return True
    buffer = ctypes.create_string_buffer(512)  # struct timex, asked with modes = 0; it is about 208 bytes
    with contextlib.suppress(OSError, AttributeError):
        state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
        status = ctypes.c_int.from_buffer(buffer, 8 * 5).value
        return 0 <= state != _ERROR and not status & _UNSYNC
    return False


# ---- writing: for Store, in its transactions -------------------------------------------------------------------------


def keep(db: sqlite3.Connection, row: Row, text: str) -> None:
    """Beside the row in log; a wish that was decided before is not decided again. "Once" is told again when it is over
    (`used`)."""
    body = row.body
    until = seconds(body.get("until"))
    until_boottime = None if until is None else boottime_s() + until - row.time
    db.execute(
        "INSERT INTO decisions (id, time, wish, who, what, mode, camera, alert, peer, until, boot, until_boottime,"
        " body) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT DO NOTHING",
        (
            body["number"], row.time, body["wish"], body["who"], body["what"], body["mode"], body["camera"],
            body["alert"], json.dumps(body["peer"]), until, boot_id(), until_boottime, text,
        ),
    )  # fmt: skip
    if body.get("used"):
        db.execute("UPDATE decisions SET used_at=? WHERE id=? AND used_at IS NULL", (row.time, body["number"]))
    if body["what"] == "revoke":
        db.execute(
            "UPDATE decisions SET revoked_at=? WHERE id=? AND revoked_at IS NULL", (row.time, body.get("revokes"))
        )


def forget(db: sqlite3.Connection, cutoff: float) -> None:
    """Drop what is over and older than `cutoff`, and the oldest of too many; in the caller's transaction."""
    over = (
        "(what IN ('revoke', 'presence', 'learn') OR revoked_at IS NOT NULL OR used_at IS NOT NULL OR"
        " (until IS NOT NULL AND until < :cutoff))"
    )
    db.execute(f"DELETE FROM decisions WHERE time < :cutoff AND {over}", {"cutoff": cutoff})  # noqa: S608
    db.execute(
        f"DELETE FROM decisions WHERE id IN (SELECT id FROM decisions WHERE {over} ORDER BY id DESC"  # noqa: S608
        " LIMIT -1 OFFSET :most)",
        {"cutoff": time.time(), "most": DECISIONS_KEPT},
    )
