"""Reading deliver.db: what status and check see, also while deliver is down."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from camguard.errors import StoreError
from camguard.store.delivery import ChannelState, DeliveryReader, Ping
from camguard.store.outgoing import Deliveries
from tests.store.test_outgoing import parcel


@pytest.fixture
def file(tmp_path: Path) -> Any:
    made = Deliveries.open(tmp_path / "deliver.db")
    yield made
    made.close()


def test_readers_see_what_waits_and_why_it_failed(file: Deliveries) -> None:
    reader = DeliveryReader(file.path)
    states = [ChannelState("phone", "apprise", 300.0), ChannelState("mail", "apprise", None, "no", 250.0)]
    file.save(
        [
            parcel(1), parcel(2), parcel(3, status="held"), parcel(4, status="failed", error="gone", done_at=210.0),
            parcel(5, status="failed", error="moved", done_at=220.0), parcel(6, status="sent", done_at=230.0),
        ],
        channels=states,
    )  # fmt: skip
    mail, phone = reader.channels()
    assert (mail.name, mail.error, mail.error_since, mail.waiting) == ("mail", "no", 250.0, 0)
    assert (phone.last_sent, phone.waiting, phone.held, phone.failed, phone.oldest) == (300.0, 2, 1, 2, 101.0)
    assert phone.reasons == ((220.0, "moved"), (210.0, "gone"))
    assert reader.sent("a4") == [("phone", "open", "failed", 210.0, "gone")]


def test_readers_get_along_when_deliver_is_down_and_when_it_never_was(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="camguard deliver"):
        DeliveryReader(tmp_path / "deliver.db").channels()
    file = Deliveries.open(tmp_path / "deliver.db")
    file.save(channels=[ChannelState("phone", "apprise")])
    file.close()
    assert [one.name for one in DeliveryReader(tmp_path / "deliver.db").channels()] == ["phone"]


def test_the_outcome_of_the_ping_is_kept_and_a_damaged_one_says_nothing(file: Deliveries) -> None:
    reader = DeliveryReader(file.path)
    assert reader.ping() == Ping()
    for outcome in (Ping(100.0), Ping(100.0, "no answer in time", 400.0), Ping(None, "no", 1.0)):
        file.save(ping=outcome)
        file.save(cursor=7)
        assert reader.ping() == outcome == file.load().ping
    for damaged in ("", "7", "[1]", '["x", null, null]'):
        with sqlite3.connect(file.path) as db:
            db.execute("UPDATE meta SET value=? WHERE key='ping'", (damaged,))
        db.close()
        assert reader.ping() == Ping()
