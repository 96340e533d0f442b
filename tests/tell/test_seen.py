"""seen.py: the live figures and the record, read from real files."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from camguard import store
from camguard.config import Config, Paths
from camguard.events import Camera, Home
from camguard.store import Row, Store, rfc3339
from camguard.tell import homeassistant as ha
from camguard.tell.seen import Record
from tests.tell.test_homeassistant import figures, session

CAMERAS = (Camera("Nursery", "02:00:00:00:00:01"), Camera("Porch (front)", "02:00:00:00:00:02"))


class Home_:
    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "camguard.toml", folder, folder)
        self.store = Store.open(self.paths.database)
        config = Config(home=Home(cameras=CAMERAS, timezone="UTC"))
        self.record = Record(self.paths, config, ha.house(CAMERAS))

    def wrote(self, number: int, started: float, ended: float | None = None, **other: Any) -> dict[str, Any]:
        state = "closed" if ended is not None else "open"
        body = session(
            id=f"s{number}", started=rfc3339(started), ended=None if ended is None else rfc3339(ended), state=state,
            time=rfc3339(ended or started),
        ) | other  # fmt: skip
        self.store.write([Row("session", ended or started, body["camera"], body["id"], state, body)], durable=False)
        return body

    def now(self, **other: Any) -> None:
        store.write_now(self.paths.now, figures(**other))

    def look(self) -> ha.Seen:
        return self.record.look({})


@pytest.fixture
def home(tmp_path: Path) -> Home_:
    return Home_(tmp_path)


def _midnight() -> float:
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def test_the_latest_viewing_and_the_viewings_of_today(home: Home_) -> None:
    today = _midnight()
    home.now()
    home.wrote(1, today - 7200, today - 3600)  # yesterday
    home.wrote(2, today - 600, today + 1)  # it reached into today
    home.wrote(3, today - 500, today - 400, camera="Porch (front)")
    home.wrote(4, today + 0.5, today + 0.6, **{"class": "clip"})
    home.wrote(5, today + 0.5, today + 0.6, camera="somebody else's")
    found = home.look()
    assert found.now is not None
    assert {name: one["id"] for name, one in found.last.items()} == {"Nursery": "s2", "Porch (front)": "s3"}
    assert found.today == 1


def test_a_viewing_counts_when_it_begins_and_is_the_last_one_when_it_ends(home: Home_) -> None:
    home.now()
    before = home.look().today
    at = time.time()
    body = home.wrote(7, at)
    home.now(sessions=[body])
    assert home.look().today == (before or 0) + 1
    home.wrote(7, at, at + 1)
    home.now()
    assert home.look().last["Nursery"]["state"] == "closed"
    assert home.look().today == (before or 0) + 1  # the same viewing


def test_figures_that_are_old_or_missing_mean_that_the_guard_does_not_look(home: Home_) -> None:
    assert home.look().now is None
    home.now()
    assert home.look().now is not None
    old = store.read_now(home.paths.now) or {}
    text = home.paths.now.read_text().replace(str(old["boottime_s"]), str(old["boottime_s"] - 15.1))
    home.paths.now.write_text(text)
    assert home.look().now is None
    home.paths.now.write_text('{"half')
    assert home.look().now is None


def test_without_a_record_what_it_adds_is_unknown(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "camguard.toml", tmp_path, tmp_path)
    found = Record(paths, Config(home=Home(cameras=CAMERAS)), ha.house(CAMERAS)).look({})
    assert (found.now, found.today, found.last, found.silenced) == (None, None, {}, {})


def test_the_record_is_not_read_each_second(home: Home_) -> None:
    today = _midnight()
    for number in range(200):
        home.wrote(number, today - 1000 + number, today - 900 + number)
    home.now()
    home.look()
    began = time.process_time()
    for _ in range(50):
        home.look()
    each_ms = (time.process_time() - began) / 50 * 1000
    print(f"a look costs {each_ms:.2f} ms")
    assert each_ms < 20


def test_the_next_day_is_a_new_count(home: Home_) -> None:
    home.now()
    home.wrote(1, time.time() - 1, time.time())
    assert home.look().today == 1
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert home.record._tomorrow == tomorrow.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
