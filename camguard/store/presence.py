"""Who was at home when is kept for a day at most: what is deleted, what is made less exact. In: guard.db's writer.

What the owner told of it (decisions) goes, its bytes too, also from the write-ahead log: a deleted row otherwise stays
readable in the file until something else is written there. Of a device on the link it is kept on which day it was last
seen: that is what tells a phone that changed its MAC from one that is out for the evening.
"""

import sqlite3

DAY_S = 86_400.0
NOON_S = 43_200.0  # a last sight at exactly noon UTC means that day and says no hour

#: Rows of log that say who was home, or that nobody can read any more. CASE: json_extract must not see a damaged body.
_TOLD = "kind = 'decision' AND CASE WHEN json_valid(body) THEN json_extract(body, '$.what') = 'presence' ELSE 1 END"


def day_of(time: float) -> float:
    """The day of a time, as it is kept of a device."""
    return time // DAY_S * DAY_S + NOON_S


def is_day(time: float) -> bool:
    """Whether a time of a device says the day alone."""
    return time % DAY_S == NOON_S


def forget(db: sqlite3.Connection, cutoff: float) -> bool:
    """Drop what was told before `cutoff` (or is dated after the day that follows: the clock was wrong), and the hours
    at which devices were last seen before it; in the caller's transaction. Whether something was dropped: then `wipe`
    afterwards."""
    db.execute("PRAGMA secure_delete=ON")  # zeros over what is deleted (sqlite.org/pragma.html)
    try:
        times = {"from": cutoff, "to": cutoff + DAY_S}
        told = "time NOT BETWEEN :from AND :to"
        gone = db.execute(f"DELETE FROM decisions WHERE what = 'presence' AND {told}", times).rowcount  # noqa: S608
        gone += db.execute(f"DELETE FROM log WHERE {told} AND {_TOLD}", times).rowcount  # noqa: S608
        day = f"(CAST(last_time / {DAY_S} AS INTEGER) * {DAY_S} + {NOON_S})"
        db.execute(f"UPDATE devices SET last_time = {day} WHERE last_time < :from AND last_time <> {day}", times)  # noqa: S608
    finally:
        db.execute("PRAGMA secure_delete=OFF")
    return gone > 0


def wipe(db: sqlite3.Connection) -> bool:
    """Empty the write-ahead log; False where somebody reads just now: try again later. It waits for nobody."""
    db.execute("PRAGMA busy_timeout=0")
    try:
        busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.OperationalError:
        return False
    finally:
        db.execute("PRAGMA busy_timeout=5000")
    return not busy
