"""Who was at home when: after a day it is in no file of the record, neither as a row nor as bytes."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from camguard.events import SeenDevice
from camguard.store import Reader, Row, Store
from camguard.store.presence import NOON_S
from tests.store.test_decisions import decision, row

DAY_S, HOUR_S = 86_400.0, 3600.0
START = time.time() // DAY_S * DAY_S - 5 * DAY_S
MAC = "02:00:00:00:00:21"
SAID = b"annas-phone-is-home"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "guard.db")
    yield made
    made.close()


def found(folder: Path, words: bytes) -> list[str]:
    """Files with these bytes."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and words in path.read_bytes())


def told(number: int, at: float) -> Row:
    return row(decision(number, "presence", camera=None, time=at, until=None, detail=SAID.decode()))


def hours_pass(store: Store, first: int, last: int) -> None:
    for hour in range(first, last):
        while store.retain(365, 256, START + hour * HOUR_S):
            pass


def test_after_a_day_it_is_in_no_file(store: Store, tmp_path: Path) -> None:
    """An hourly clean-up, other rows before and after, and a reader beside."""
    health = Row("health", START, None, None, None, {"kind": "health", "words": "x" * 700})
    reader = Reader(store.path)
    for number in range(1, 40):
        store.write([health, told(number, START + 60.0 * number), health], durable=True)
        store.write([row(decision(100 + number, "watching", time=START, until=START + 60))], durable=True)
    assert found(tmp_path, SAID), "so the test can fail"
    hours_pass(store, 1, 22)
    assert len(reader.decisions()) == 78
    hours_pass(store, 22, 25)
    assert found(tmp_path, SAID) == []
    assert len(reader.decisions()) == 39
    store.quick_check()


def test_a_reader_in_the_middle_only_delays_it(store: Store, tmp_path: Path) -> None:
    store.write([told(1, START)], durable=True)
    with sqlite3.connect(store.path, isolation_level=None) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM log").fetchone()
        began = time.monotonic()
        hours_pass(store, 24, 25)
        assert time.monotonic() - began < 60.0
        other.execute("COMMIT")
    other.close()
    hours_pass(store, 25, 26)
    assert found(tmp_path, SAID) == []


def test_what_was_told_under_a_wrong_clock_goes_too(store: Store, tmp_path: Path) -> None:
    store.write([told(1, START + 400 * DAY_S)], durable=True)
    hours_pass(store, 24, 25)
    assert found(tmp_path, SAID) == []


def test_a_damaged_row_goes_too(store: Store, tmp_path: Path) -> None:
    store.write([told(1, START)], durable=True)
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE log SET body = substr(body, 1, length(body) - 1)")
    db.close()
    hours_pass(store, 24, 25)
    assert found(tmp_path, SAID) == []


def test_of_a_device_the_day_is_kept_and_not_the_hour(store: Store) -> None:
    at = START + 20 * HOUR_S + 17.0
    store.devices([SeenDevice(MAC, (), "phone", at - 60.0, at)])
    hours_pass(store, 21, 43)
    assert Reader(store.path).devices()[0].last_time == at
    hours_pass(store, 43, 45)
    (device,) = Reader(store.path).devices()
    assert (device.first_time, device.last_time) == (at - 60.0, START + NOON_S)
    again = START + 46 * HOUR_S
    store.devices([SeenDevice(MAC, (), "phone", again, again)])
    assert Reader(store.path).devices()[0].last_time == again
