"""The weekly report: once a week, also when it was missed, whatever the clocks do; through a real outbox."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from camguard import store
from camguard.config import Channel
from camguard.store.delivery import DeliveryReader
from camguard.store.outgoing import Deliveries
from camguard.tell.monday import HOUR, LOOK_AGAIN_S, Monday, latest_monday
from camguard.tell.outbox import Outbox
from camguard.tell.queue import Clocks
from tests.review.weeks import DAY_S, HOUR_S, OVH, PHONE, UNTIL, ZONE, a_week, looked, viewing

MINUTE_S = 60.0


class Home:
    """A record, an outbox with one channel, and a clock that is set by hand. `start` is a start of deliver."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now, self.at = folder, UNTIL - HOUR_S, 100.0
        self.start()

    def start(self) -> None:
        self.deliveries = Deliveries.open(self.folder / "deliver.db")
        channel = Channel("hook", "webhook", options={"url": "http://127.0.0.1:1/"})
        self.outbox = Outbox(self.deliveries, [channel], zone=ZONE, quiet_hours=None, at=self.at)
        self.monday = Monday(
            self.folder / "guard.db",
            self.folder / "deliver.db",
            lambda alert, *, over=False: self.outbox.raise_own(dict(alert), Clocks(self.at, self.now), over=over),
            ("nursery", "porch", "garage"),
            ZONE,
            lambda: self.now,
        )

    def stop(self) -> None:
        self.deliveries.close()

    def holds_a_report(self) -> bool:
        return [one["type"] for one in DeliveryReader(self.folder / "deliver.db").own()] == ["weekly"]

    def look(self, at: float | None = None) -> list[dict[str, Any]]:
        """Look at that time; what the channel is to send now."""
        self.now = self.now if at is None else at
        asyncio.run(self.monday.look())
        sent = []
        while True:
            parcel, _ = self.outbox.next("hook", Clocks(self.at, self.now))
            if parcel is None:
                return sent
            sent.append(parcel.body)
            self.outbox.sent(parcel, None, Clocks(self.at, self.now))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    a_week(tmp_path / "guard.db").close()
    made = Home(tmp_path)
    yield made
    made.stop()


def test_said_once_on_monday_at_nine(home: Home) -> None:
    assert home.look(UNTIL - 1) != [], "the one of the Monday before was missed"
    assert home.look(UNTIL - 1) == []
    (said,) = home.look(UNTIL)
    assert (said["type"], said["severity"], said["state"], said["camera"]) == ("weekly", "info", "open", None)
    assert said["title"] == "2 unexpected viewings this week"
    assert said["body"].startswith("7 days, 3 cameras: 16 viewings, 2 not expected")
    assert "1 gap of 6 minutes on Tuesday" in said["body"]
    for later in (0, 1, 600, DAY_S, 7 * DAY_S - 1):
        assert home.look(UNTIL + later) == []
    assert len(home.look(UNTIL + 7 * DAY_S)) == 1


def test_it_names_the_channel_that_took_a_message(home: Home) -> None:
    home.look(UNTIL - 1)
    (said,) = home.look(UNTIL)
    assert "Alerts are reaching hook" in said["body"]


def test_one_that_was_missed_is_said_once_at_the_next_start_and_of_many_the_latest(home: Home) -> None:
    home.look(UNTIL)
    home.stop()
    home.now = UNTIL + 23 * DAY_S  # a Wednesday, three Mondays later
    home.start()
    (said,) = home.look()
    assert said["started"] == store.rfc3339(UNTIL + 14 * DAY_S)
    for _ in range(3):
        home.stop()
        home.start()
        assert home.look() == []


def test_where_nothing_was_looked_at_before_monday_nothing_is_missed(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    looked(record, (UNTIL + 2 * DAY_S, UNTIL + 2 * DAY_S + HOUR_S))
    record.close()
    home = Home(tmp_path)
    assert home.look(UNTIL + 2 * DAY_S + HOUR_S) == []
    (said,) = home.look(UNTIL + 7 * DAY_S)
    assert said["body"].startswith("5 days,"), "since the first look"
    home.stop()


def test_without_a_record_it_waits_for_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert home.look(UNTIL) == []
    a_week(tmp_path / "guard.db").close()
    assert len(home.look(UNTIL + 60)) == 1
    home.stop()


def test_a_clock_that_was_wrong_for_a_while_costs_no_report(home: Home) -> None:
    home.look(UNTIL)
    assert len(home.look(UNTIL + 400 * DAY_S)) == 1, "the clock says so"
    home.stop()
    home.now = UNTIL + 1 * DAY_S
    home.start()
    assert home.look() == [], "set right again: this week's was said"
    assert len(home.look(UNTIL + 7 * DAY_S)) == 1
    assert home.look(0.0) == [], "a clock without a battery"


def test_it_is_no_open_matter_of_deliver(home: Home) -> None:
    home.look(UNTIL)
    assert home.outbox.own_open() == []
    home.stop()
    home.start()
    assert home.outbox.own_open() == []


def test_names_from_the_network_are_not_in_it(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    looked(record, (UNTIL - 7 * DAY_S, UNTIL))
    for number in range(3):
        viewing(record, f"x{number}", "<b>\u202eporch", UNTIL - DAY_S + number, 1, OVH | {"org": "<script>\x1b"},
                verdict="unexpected")  # fmt: skip
    viewing(record, "p", "porch", UNTIL - DAY_S, 1, PHONE)
    record.close()
    home = Home(tmp_path)
    (said,) = home.look(UNTIL)
    home.stop()
    assert "script" not in said["title"] + said["body"]
    assert "\u202e" not in str(said)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/St_Johns", "Pacific/Apia", "UTC"])
def test_the_latest_monday_at_nine(zone: str) -> None:
    where = ZoneInfo(zone)
    first = datetime(2026, 1, 1, tzinfo=where)
    for hour in range(0, 24 * 365, 5):
        now = (first + timedelta(hours=hour)).timestamp()
        found = latest_monday(now, zone)
        local = datetime.fromtimestamp(found, where)
        assert (local.weekday(), local.hour, local.minute) == (0, HOUR, 0)
        assert 0 <= now - found < 7 * DAY_S + 2 * HOUR_S
    assert latest_monday(UNTIL, "Europe/Berlin") == UNTIL
    assert latest_monday(UNTIL - 1, "Europe/Berlin") == UNTIL - 7 * DAY_S


def test_it_runs_beside_the_others_and_looks_at_once(home: Home) -> None:
    home.now = UNTIL

    async def begin() -> None:
        task = asyncio.create_task(home.monday.run())
        until = asyncio.get_running_loop().time() + 60
        while not home.holds_a_report() and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(begin())
    assert home.holds_a_report()
    assert LOOK_AGAIN_S <= 15 * MINUTE_S
