"""guard.db and now.json: what the guard writes down and what everybody else reads. The only SQL of the guard.

In: `Row`s (an event as report.as_dict made it), seen devices, heartbeats; times are wall-clock seconds since 1970 UTC.
Out: the same dictionaries again, newest first where the name says nothing else, and how long the guard really looked.

One file, one writing process. WAL, so readers never hold up the writer. An alert is committed with synchronous=FULL
(on the disk when the call returns: SQLite, "PRAGMA synchronous"); all else with NORMAL, in the caller's batches.
Alerts outlive everything: the size cap deletes the oldest other rows first. A damaged file is kept beside the new one.

schema.py the tables and their migrations; decisions.py what the owner decided; presence.py who was at home, and for how
short a time that is kept; writing.py Store; reading.py Reader; now.py the live figures and times.
"""

from camguard.store.decisions import Kept, Used, clock_is_set, decision_of
from camguard.store.now import boot_id, boottime_s, now_age_s, read_now, rfc3339, seconds, write_now
from camguard.store.presence import day_of, is_day
from camguard.store.reading import Reader, looked
from camguard.store.schema import BEAT_S, NAMES_DAYS, VERSION, Looked, Row, Run, StoreTakenError
from camguard.store.writing import Store

__all__ = [
    "BEAT_S", "NAMES_DAYS", "VERSION", "Kept", "Looked", "Reader", "Row", "Run", "Store", "StoreTakenError", "Used",
    "boot_id", "boottime_s", "clock_is_set", "day_of", "decision_of", "is_day", "looked", "now_age_s", "read_now",
    "rfc3339", "seconds", "write_now",
]  # fmt: skip
