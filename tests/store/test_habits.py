"""What was learned, in the store: the latest of each, numbers that are never used twice, what is damaged aside."""

import sqlite3
from pathlib import Path

import pytest

from camguard.store import Reader, Store, schema


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "guard.db")


def test_the_latest_of_each_is_kept_and_numbers_are_never_used_twice(store: Store) -> None:
    reader = Reader(store.path)
    assert (reader.habits(), reader.looked_at(), reader.next_habit()) == ([], [], 1)
    store.habits([(1, "porch", "a"), (7, "porch", "b")], (), [("porch", 3600.0, 2)])
    store.habits([(1, "porch", "c")], (7,), [("porch", 7200.0, 2), ("shed", 1.0, 0)])
    assert reader.habits() == [(1, "c")]
    assert reader.looked_at() == [("porch", 7200.0, 2), ("shed", 1.0, 0)]
    assert reader.next_habit() == 8
    store.close()
    assert Reader(store.path).next_habit() == 8


def test_what_cannot_be_read_is_put_aside_once(store: Store) -> None:
    store.habits([(1, "porch", "good"), (2, "porch", "{bad")])
    store.habits_aside([(2, "it is damaged")], 5.0)
    store.habits_aside([(2, "it is damaged")], 6.0)
    assert Reader(store.path).habits() == [(1, "good")]
    db = sqlite3.connect(store.path)
    assert db.execute("SELECT * FROM habits_aside").fetchall() == [(2, "{bad", 5.0, "it is damaged")]
    for number in range(3, 3 + schema.HABITS_ASIDE_KEPT):
        store.habits([(number, "porch", "x")])
        store.habits_aside([(number, "bad")], float(number))
    assert db.execute("SELECT count(*), min(number) FROM habits_aside").fetchone() == (schema.HABITS_ASIDE_KEPT, 3)
    db.close()


def test_only_whole_ones_are_shown(store: Store) -> None:
    store.habits([(1, "porch", '{"shown":{"number":1}}'), (2, "porch", '{"shown":[]}'), (3, "p", "7"), (4, "p", "{")])
    assert Reader(store.path).habits_shown() == [{"number": 1}]
