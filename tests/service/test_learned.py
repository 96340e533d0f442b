"""What was learned and a running guard: an answer is a decision, holds after a restart, and damage is said once."""

import sqlite3
import time as clock
from collections.abc import Iterator
from pathlib import Path

import pytest

from camguard.review import history, learn
from camguard.review.terminal import Asked
from camguard.store import Store
from tests.judge.test_baseline import Time
from tests.service.test_spool import Home

Out = pytest.CaptureFixture[str]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    (tmp_path / "state").mkdir()
    yield made
    for guard in made.guards:
        guard.close()


def prepared(home: Home) -> None:
    """A record of a run before, in which a week of evenings was learned."""
    learned = Time()
    learned.evenings()
    store = Store.open(home.paths.database)
    store.note_start(clock.time() - 60)
    store.habits(*learned.baseline.take_changes(learned.now, last=True))
    store.note_beat(clock.time() - 30, ended=True)
    store.close()


def test_what_is_accepted_is_a_decision_and_holds_after_a_restart(home: Home, capsys: Out) -> None:
    prepared(home)
    guard = home.start()
    home.until(home.reader.open_alerts)
    assert learn.learn(home.paths, "accept", 1, "17:00-23:00") == 1
    assert "it was seen 18:00-22:00 only; for more hours write an [[expect]]" in capsys.readouterr().err
    assert learn.learn(home.paths, "accept", 1, "19:00-21:00") == 0
    said = capsys.readouterr().out
    assert said.startswith("Done: what nursery sends to reolink.com is expected: 19:00-21:00 (terminal, ")
    guard.line("decision 1: what nursery sends to reolink.com is expected: 19:00-21:00")
    assert home.reader.habits_shown()[0]["accepted"] is True, "on the disk before it was said"
    home.until(lambda: home.files() == [])
    assert guard.stop() == 0
    guard = home.start()
    home.until(home.reader.open_alerts)
    assert learn.learn(home.paths) == 0
    assert "You accepted, and it is expected:\n  1  nursery" in capsys.readouterr().out
    assert learn.learn(home.paths, "undo", 1) == 0
    home.until(lambda: home.reader.habits_shown()[0]["accepted"] is False)
    assert learn.learn(home.paths, "forget", 1) == 0
    home.until(lambda: home.reader.habits() == [])
    home.until(lambda: home.files() == [])
    capsys.readouterr()
    assert history.log(home.paths, Asked()) == 0
    log = capsys.readouterr().out
    for words in ("is expected: 19:00-21:00", "is not expected", "is forgotten, and learned anew"):
        assert f"what nursery sends to reolink.com {words}" in log
    assert guard.stop() == 0
    looked = {name: seconds for name, seconds, _ in home.reader.looked_at()}
    assert looked["Sample camera"] > 1.0, "the time of looking is added up"


def test_from_afar_it_is_refused(home: Home) -> None:
    prepared(home)
    home.start()
    assert "from afar nothing that lasts" in home.refused(home.ask("learn", "push, phone", habit=1, mode="accept"))
    assert home.reader.habits_shown()[0]["accepted"] is None


def test_damaged_and_older_ones_are_said_once_and_kept_aside(home: Home) -> None:
    prepared(home)
    db = sqlite3.connect(home.paths.database)
    db.execute("INSERT INTO habits VALUES (2, 'nursery', ?)", ('{"version":0}',))
    db.execute("INSERT INTO habits VALUES (3, 'nursery', ?)", (b"\xff\x00{",))
    db.execute("UPDATE looked SET seconds='x' WHERE camera='porch'")
    db.commit()
    db.close()
    guard = home.start()
    guard.line("2 habits that were learned before cannot be read")
    home.until(lambda: [number for number, _ in home.reader.habits()] == [1])
    assert guard.stop() == 0
    guard = home.start()
    home.until(home.reader.open_alerts)
    assert guard.stop() == 0
    told = [body["detail"] for body in home.log("notice") if body["what"] == "learned"]
    assert [words for words in told if "put aside" in words] == [
        "2 habits that were learned before cannot be read (it is of another version), and is put aside; learning begins"
        " anew there"
    ]
    db = sqlite3.connect(home.paths.database)
    assert db.execute("SELECT number FROM habits_aside ORDER BY number").fetchall() == [(2,), (3,)]
    assert home.reader.next_habit() == 4
