"""Ways in and services in the store: latest state, renewed leases, what is kept and what goes."""

from pathlib import Path
from typing import Any

from camguard.store import Reader, Store, rfc3339
from camguard.store.exposures import SERVICES_KEPT
from tests.store.rows import T0, exposure, session

DAY_S = 86_400.0


def names(rows: list[dict[str, Any]]) -> str:
    return " ".join(f"{body['id']}-{body['state']}" for body in rows)


def test_the_latest_state_of_each(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    rows = [exposure(1), exposure(2, T0 + 10, until=T0 + 100), exposure(3, T0 + 20), exposure(1, T0 + 50, "closed")]
    store.write(rows, durable=False)
    reader = Reader(store.path)
    assert names(reader.exposures()) == "e3-open e2-open e1-closed"
    assert names(reader.open_exposures()) == "e3-open e2-open"
    assert names(reader.exposures(since=T0 + 51)) == "e3-open e2-open"
    assert names(reader.exposures(until=T0 + 15)) == "e2-open e1-closed"
    assert names(reader.exposures(camera="shed")) == ""
    assert names(reader.exposures(limit=1)) == "e3-open"
    assert names(reader.log(kinds=("exposure",))) == "e1-open e2-open e3-open e1-closed"
    assert [body["until"] for body in reader.open_exposures()] == [None, rfc3339(T0 + 100)]
    store.services([], [("e2", T0 + 900), ("e3", T0 + 901), ("nobody", T0)])
    assert [body["until"] for body in reader.open_exposures()] == [rfc3339(T0 + 901), rfc3339(T0 + 900)]
    store.services([], [("e2", None)])
    assert reader.open_exposures()[1]["until"] is None
    store.close()


def test_what_is_open_outlives_the_record(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db", max_mb=1)
    old = T0 - 40 * DAY_S
    store.write([exposure(1, old), exposure(2, old), exposure(2, old + 1, "closed")], durable=False)
    while store.retain(30, 256, T0):
        pass
    reader = Reader(store.path)
    assert names(reader.exposures()) == "e1-open"
    assert names(reader.log()) == "e1-open"
    store.write([session(number, T0, "closed", 2000) for number in range(2000)], durable=False)
    while store.retain(365, 1, T0):
        pass
    assert names(reader.open_exposures()) == "e1-open", "not even where the file is full"
    store.close()


def test_services(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    store.services([("porch", "tcp", 80, T0, T0), ("porch", "tcp", 0, 0.0, 60.0)])
    store.services([("porch", "tcp", 80, T0, T0 + 9), ("porch", "tcp", 0, 0.0, 120.0), ("shed", "tcp", 80, T0, T0)])
    reader = Reader(store.path)
    assert sorted(reader.services()) == [
        ("porch", "tcp", 0, 0.0, 120.0),
        ("porch", "tcp", 80, T0, T0 + 9),
        ("shed", "tcp", 80, T0, T0),
    ]
    store.retain(365, 256, T0 + 365 * DAY_S + 5)
    assert sorted(reader.services()) == [("porch", "tcp", 0, 0.0, 120.0), ("porch", "tcp", 80, T0, T0 + 9)]
    many = [(f"camera {number}", "tcp", port, T0, T0 + port) for number in range(70) for port in range(1, 251)]
    store.services(many)
    assert len(reader.services()) == SERVICES_KEPT + 1
    store.close()
