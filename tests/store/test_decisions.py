"""Decisions in the record: written with their event, found again, over when they should be, whatever the clocks do."""

import json
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from camguard import report
from camguard.events import Decision, Peer
from camguard.store import Reader, Row, Store, boottime_s, clock_is_set, decision_of
from camguard.store.schema import MIGRATIONS

PEER = Peer("203.0.113.9", 443, scope="wan", org="Example", country="France")


def decision(number: int, what: str = "allow", **more: object) -> Decision:
    known: dict[str, object] = {
        "time": time.time(),
        "wish": f"{number:016x}",
        "who": "terminal, bob",
        "camera": "porch",
    }
    known |= {"alert": "a1", "mode": "always", "peer": PEER} if what == "allow" else {}
    return Decision(number=number, what=what, **(known | more))  # type: ignore[arg-type]


def row(made: Decision) -> Row:
    return Row("decision", made.time, made.camera, None, None, report.as_dict(made))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "guard.db")


def numbers(store: Store, *, active: bool = True) -> list[int]:
    return [kept.decision.number for kept in Reader(store.path).decisions(time.time() if active else None)]


def aged(store: Store, boot: str = "another boot", **columns: float) -> None:
    """As if the machine had been started anew since."""
    db = sqlite3.connect(store.path)
    for name, value in columns.items():
        db.execute(f"UPDATE decisions SET {name}={value}")
    db.execute("UPDATE decisions SET boot=?", (boot,))
    db.commit()
    db.close()


def test_a_decision_comes_back_as_it_was(store: Store) -> None:
    made = replace(decision(1, mode="for"), time=1_795_000_000.0, until=1_795_007_200.0, when="18:00-22:00")
    store.write([row(made)], durable=True)
    reader = Reader(store.path)
    assert reader.decision_of(made.wish) == made
    assert reader.decision_of("0" * 16) is None
    assert [body["number"] for body in reader.log(kinds=("decision",))] == [1]
    assert decision_of(report.as_dict(made)) == made
    before = {key: value for key, value in report.as_dict(made).items() if key not in ("when", "private", "used")}
    assert decision_of(before) == replace(made, when=None), "of a version that did not know hours"
    assert decision_of({"number": 1}) is None
    assert decision_of(report.as_dict(made) | {"peer": "x"}) is None


def test_the_decision_and_its_event_are_one_transaction(store: Store) -> None:
    """A row that cannot be written takes the decision with it."""
    bad = row(decision(2))._replace(kind="session", body={"kind": "session"}, time=None)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="NOT NULL"):
        store.write([row(decision(1)), bad], durable=True)
    reader = Reader(store.path)
    assert reader.decisions() == []
    assert reader.log() == []
    assert not store.asked_before(decision(1).wish)


def test_the_same_wish_is_one_decision(store: Store) -> None:
    store.write([row(decision(1))], durable=True)
    store.write([row(replace(decision(2), wish=decision(1).wish))], durable=True)
    assert numbers(store, active=False) == [1]
    assert store.asked_before(decision(1).wish)


def test_numbers_are_never_used_twice(store: Store) -> None:
    assert store.next_number() == 1
    store.write([row(decision(number)) for number in (1, 2, 3)], durable=True)
    db = sqlite3.connect(store.path)
    db.execute("DELETE FROM decisions")
    db.commit()
    db.close()
    assert store.next_number() == 4


def test_taken_back_it_holds_no_more(store: Store) -> None:
    store.write([row(decision(1)), row(decision(2))], durable=True)
    store.write([row(decision(3, "revoke", revokes=1))], durable=True)
    assert numbers(store) == [2]
    (kept,) = [kept for kept in Reader(store.path).decisions() if kept.decision.number == 1]
    assert kept.revoked_at is not None


def test_once_is_over_when_the_guard_says_so_and_not_with_any_talk_of_that_address(store: Store) -> None:
    once = decision(1, mode="once")
    store.write([row(once), row(decision(2, mode="once", camera="garage"))], durable=True)
    body = {"id": "s1", "peer": {"ip": PEER.ip}, "started": None, "ended": None}
    store.write([Row("session", time.time(), "porch", "s1", "closed", body)], durable=True)
    assert numbers(store) == [2, 1]
    store.write([row(replace(once, time=once.time + 60, used=True))], durable=True)
    assert numbers(store) == [2]
    (kept,) = [kept for kept in Reader(store.path).decisions() if kept.decision.number == 1]
    assert kept.used_at == pytest.approx(once.time + 60, abs=0.01)
    assert kept.decision == replace(once, time=kept.decision.time), "as it was decided"


def test_what_a_login_was_allowed_once_is_used_up_as_it_is_written(store: Store) -> None:
    store.write([row(decision(1, mode="once", used=True))], durable=True)
    assert numbers(store) == []
    made = Reader(store.path).decision_of(decision(1).wish)
    assert made is not None
    assert made.used


def test_a_length_is_a_length_whatever_the_wall_clock_says(store: Store) -> None:
    """The clock was set a day ahead, or back, after the decision: in this boot only the time that passed counts."""
    made = decision(1, mode="for", until=time.time() + 7200)
    store.write([row(made)], durable=True)
    for jump in (-86_400, 0, 86_400):
        (kept,) = Reader(store.path).decisions(time.time() + jump)
        assert kept.holds
        assert kept.left_s is not None
        assert 7190 < kept.left_s <= 7200
    db = sqlite3.connect(store.path)
    db.execute("UPDATE decisions SET until_boottime=?", (boottime_s() - 1,))
    db.commit()
    db.close()
    assert Reader(store.path).decisions(time.time() - 86_400) == [], "two hours have passed, whatever is shown"


def test_after_a_new_start_of_the_machine_the_wall_clock_counts_if_it_is_set(store: Store) -> None:
    store.write([row(decision(1, mode="for", until=time.time() + 7200)), row(decision(2))], durable=True)
    aged(store)
    found = {kept.decision.number: kept for kept in Reader(store.path).decisions()}
    assert found[1].unsure == (not clock_is_set())
    assert found[1].holds == clock_is_set()
    assert found[2].holds, "what has no end needs no clock"


def test_silence_is_the_latest_word_on_each_camera(store: Store) -> None:
    now = time.time()

    def silence(number: int, camera: str | None, for_s: float, **more: object) -> Row:
        return row(decision(number, "silence", camera=camera, until=time.time() + for_s, **more))

    store.write([silence(1, "porch", 3600), silence(2, None, 60), silence(3, "garage", 3600, alert="a1")], durable=True)
    reader = Reader(store.path)
    found = reader.silenced(now)
    assert set(found) == {"porch", None}, "of one alert only is not of its camera"
    assert found["porch"] == pytest.approx(now + 3600, abs=2)
    store.write([silence(4, "porch", 0)], durable=True)
    assert set(reader.silenced(now)) == {None}
    store.write([row(decision(5, "revoke", revokes=2))], durable=True)
    assert reader.silenced(now) == {}


def test_what_is_over_is_forgotten_and_what_holds_is_kept(store: Store) -> None:
    old = time.time() - 400 * 86_400
    over = [
        decision(1, time=old, mode="for", until=old + 60), decision(2, time=old, mode="always"),
        decision(3, "revoke", time=old, revokes=9), decision(4, "presence", time=old),
    ]  # fmt: skip
    store.write([row(made) for made in over], durable=True)
    while store.retain(365, 256, time.time()):
        pass
    assert numbers(store, active=False) == [2]


def test_who_was_home_is_gone_within_a_day_and_never_shown_with_a_time(store: Store) -> None:
    """The clean-up comes once an hour: what it leaves must not be a day old before it comes again."""
    now = time.time()
    ages_h = (1.0, 22.9, 23.1, 48.0)
    made = [
        decision(number, "presence", camera=None, time=now - hours * 3600, until=now + 3600, detail="phone is home")
        for number, hours in enumerate(ages_h, start=1)
    ]
    other = decision(5, "watching", time=now - 48 * 3600, until=now + 3600)
    store.write([row(one) for one in [*made, other]], durable=True)
    store.write([row(other)._replace(body={"what": "presence"}, kind="notice")], durable=True)
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE log SET body = substr(body, 1, 40) WHERE seq = 1")  # damaged
    while store.retain(365, 256, now):
        pass
    assert numbers(store, active=False) == [5, 2, 1]
    kept = db.execute("SELECT count(*) FROM log WHERE body LIKE '%phone is home%'").fetchone()
    db.close()
    assert kept == (1,), "the one of 22.9 hours"
    assert [body.get("number") for body in Reader(store.path).log()] == [5, None]


def test_log_of_one_camera_has_what_counts_for_every_camera(store: Store) -> None:
    every, garage = decision(1, "watching", camera=None), decision(2, "watching", camera="garage")
    health = Row("health", time.time(), None, None, None, {"kind": "health"})
    store.write([row(every), row(garage), row(decision(3)), health], durable=True)
    assert [body["number"] for body in Reader(store.path).log(camera="porch")] == [1, 3]


def test_alerts_by_the_beginning_of_their_id(store: Store) -> None:
    for key in ("a7f3", "a7e1", "b000", "A_%x"):
        body = {"id": key, "raised": None}
        store.write([Row("alert", time.time(), "porch", key, "open", body)], durable=True)
    reader = Reader(store.path)
    assert {body["id"] for body in reader.alerts_named("a7")} == {"a7f3", "a7e1"}
    assert [body["id"] for body in reader.alerts_named("a7f")] == ["a7f3"]
    assert reader.alerts_named("a_") == []
    assert reader.alerts_named("%") == []


def test_a_refusal_is_found_by_the_wish(store: Store) -> None:
    body = {"kind": "notice", "what": "refused", "detail": "what bob asked was not done: no", "why": "no"}
    store.write([Row("notice", time.time(), None, "ab" * 8, None, body)], durable=True)
    reader = Reader(store.path)
    assert reader.refusal_of("ab" * 8) == "no"
    assert reader.refusal_of("cd" * 8) is None


def test_a_record_of_the_version_before_is_brought_up(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size=2048")
    db.execute("PRAGMA auto_vacuum=INCREMENTAL")
    db.execute("PRAGMA journal_mode=WAL")
    db.executescript(f"{MIGRATIONS[0]};PRAGMA user_version=1;")
    db.execute("INSERT INTO log (time, kind, body) VALUES (1, 'notice', ?)", (json.dumps({"what": "gap"}),))
    db.commit()
    db.close()
    store = Store.open(path)
    assert store.counters["store-damaged"] == 0
    store.write([row(decision(1))], durable=True)
    assert [body.get("what") for body in Reader(path).log()] == ["gap", "allow"]
    assert numbers(store) == [1]
