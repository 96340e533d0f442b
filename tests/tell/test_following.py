"""Following a real record that starts late, is replaced, or was there before."""

from pathlib import Path

from camguard import store
from camguard.tell.following import PORTION, REOPEN_S, Follower
from tests.tell.receivers import alert


def write(record: store.Store, *keys: str, state: str = "open") -> None:
    rows = [store.Row("alert", 1e9, "porch", key, state, alert(key, state)) for key in keys]
    record.write(rows, durable=True)


def keys(follower: Follower, at: float = 0.0) -> list[str] | None:
    found = follower.read(at)
    return None if found is None else [one["id"] for _, one in found.rows]


def test_the_past_is_past_but_what_is_still_going_on(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    write(record, "old", "now", "later")
    write(record, "old", state="closed")
    follower = Follower(record.path, None, lambda _: None)
    first = follower.read(0.0)
    assert first is not None
    assert (first.rows, {one["id"] for one in first.going_on}) == ([], {"now", "later"})
    write(record, "new")
    assert keys(follower) == ["new"]
    assert {one["id"] for one in follower.open_alerts()} == {"now", "later", "new"}
    record.close()


def test_one_goes_on_where_one_was(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    write(record, "a", "b")
    follower = Follower(record.path, 1, lambda _: None)
    assert keys(follower) == ["b"]
    assert keys(follower) == []
    assert follower.seq == 2
    record.close()


def test_many_come_in_portions(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    write(record, *(f"k{n}" for n in range(PORTION + 3)))
    follower = Follower(record.path, 0, lambda _: None)
    assert [len(keys(follower) or []) for _ in range(3)] == [PORTION, 3, 0]
    record.close()


def test_a_record_that_comes_later_is_all_new_and_trouble_is_said_once(tmp_path: Path) -> None:
    said: list[str] = []
    follower = Follower(tmp_path / "guard.db", None, said.append)
    assert [keys(follower, at) for at in (0.0, 0.1, REOPEN_S)] == [None, None, None]
    record = store.Store.open(tmp_path / "guard.db")
    write(record, "a")
    assert keys(follower, 2 * REOPEN_S) == ["a"]
    assert len(said) == 2
    assert said[0].startswith("nothing is recorded yet")
    assert said[1] == "reading the store again."
    record.close()


def test_another_record_begins_from_its_beginning(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    write(record, "a", "b", "c")
    follower = Follower(record.path, 3, lambda _: None)
    assert keys(follower) == []
    record.close()
    for part in tmp_path.glob("guard.db*"):
        part.unlink()
    record = store.Store.open(tmp_path / "guard.db")
    write(record, "x")
    found = follower.read(10.0)
    assert found is not None
    assert (found.another, [one["id"] for _, one in found.rows]) == (True, ["x"])
    record.close()
