"""Ways in to the cameras and known services, as the store keeps them. In: an open transaction of guard.db."""

import sqlite3
from collections.abc import Iterable, Sequence

from camguard.store.now import seconds
from camguard.store.schema import Row

SERVICES_KEPT = 16_384

#: The body of each in its latest state, and the end of its lease, which a renewal moves without a row in log.
SELECT = "SELECT log.body, exposures.until FROM exposures JOIN log USING (seq)"

#: Rows of log that must stay, because what they tell goes on.
OPEN = "SELECT seq FROM exposures WHERE state <> 'closed'"


def keep(db: sqlite3.Connection, row: Row, seq: int) -> None:
    """The latest state of an exposure."""
    db.execute(
        "INSERT INTO exposures VALUES (:id,:camera,:time,:time,:state,:until,:seq) ON CONFLICT (id) DO UPDATE SET"
        " time=excluded.time, state=excluded.state, seq=excluded.seq",
        {
            "id": row.id,
            "camera": row.camera,
            "time": row.time,
            "state": row.state,
            "until": seconds(row.body.get("until")),
            "seq": seq,
        },
    )


def renew(db: sqlite3.Connection, renewed: Iterable[tuple[str, float | None]]) -> None:
    """(id, new end of the lease as wall clock, None for no end)."""
    db.executemany("UPDATE exposures SET until=? WHERE id=?", [(until, name) for name, until in renewed])


def put_services(db: sqlite3.Connection, services: Sequence[tuple[str, str, int, float, float]]) -> None:
    """(camera, transport, port, first time, last time); port 0: how long the camera was looked at lies between them."""
    db.executemany(
        "INSERT INTO services VALUES (?,?,?,?,?) ON CONFLICT (camera, transport, port) DO UPDATE SET"
        " first_time=excluded.first_time, last_time=excluded.last_time",
        services,
    )
    db.execute(
        "DELETE FROM services WHERE (camera, transport, port) IN (SELECT camera, transport, port FROM services"
        " WHERE port <> 0 ORDER BY last_time DESC LIMIT -1 OFFSET ?)",
        (SERVICES_KEPT,),
    )


def forget(db: sqlite3.Connection, cutoff: float) -> None:
    """What is older than the record is kept; what is open stays, and how long each camera was looked at."""
    db.execute("DELETE FROM exposures WHERE state = 'closed' AND time < ?", (cutoff,))
    db.execute("DELETE FROM services WHERE port <> 0 AND last_time < ?", (cutoff,))
