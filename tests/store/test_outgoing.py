"""deliver.db: what is committed together, what readers see, what is forgotten."""

import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from camguard.errors import StoreError
from camguard.store.delivery import ChannelState, Parcel
from camguard.store.outgoing import DONE_KEPT, Deliveries


def parcel(number: int, **more: Any) -> Parcel:
    body = {"id": f"a{number}", "severity": "warning", "state": "open", "name": "\ud800 ünï"}
    return Parcel(**{
        "id": number, "channel": "phone", "alert": f"a{number}", "seq": number, "state": "open", "body": body,
        "born": 100.0 + number, "due": 100.0, "sound": True,
    } | more)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Any:
    made = Deliveries.open(tmp_path / "deliver.db")
    yield made
    made.close()


def test_what_is_saved_is_loaded_again(file: Deliveries) -> None:
    waiting = parcel(1, judged=True, mute=True, tries=3, waited_s=7.5, error="nobody listens")
    sent = parcel(2, status="sent", done_at=200.0, remote_id="r7")
    file.save([waiting, sent], cursor=9, quiet={"phone": {"cameras": {}}}, channels=[ChannelState("phone", "apprise")])
    kept = file.load()
    assert (kept.cursor, kept.last_id, kept.quiet) == (9, 2, {"phone": {"cameras": {}}})
    (again,) = kept.parcels
    assert again.body["name"] == "? ünï"
    again.body = waiting.body
    assert again == waiting
    assert kept.told == [("phone", "a2", "open", "warning", "r7")]
    assert list(kept.channels) == ["phone"]


def test_all_or_nothing(file: Deliveries) -> None:
    file.save([parcel(1)], cursor=1)
    broken = parcel(2)
    broken.alert = None  # type: ignore[assignment]
    with pytest.raises(StoreError):
        file.save([parcel(3), broken], cursor=7)
    kept = file.load()
    assert (kept.cursor, [one.id for one in kept.parcels]) == (1, [1])


def test_what_is_done_is_forgotten_in_time_and_bodies_at_once(file: Deliveries) -> None:
    file.save([parcel(n, status="sent", done_at=float(n)) for n in range(1, DONE_KEPT + 11)])
    file.save([parcel(DONE_KEPT + 20)])
    with sqlite3.connect(file.path) as db:
        assert db.execute("SELECT count(*) FROM outbox WHERE body <> '' AND status='sent'").fetchone() == (0,)
    file.retain(100.0, ["phone"])
    with sqlite3.connect(file.path) as db:
        assert db.execute("SELECT count(*) FROM outbox WHERE status='sent'").fetchone() == (DONE_KEPT,)
    file.retain(DONE_KEPT + 31 * 86400.0, ["phone"])
    assert [one.id for one in file.load().parcels] == [DONE_KEPT + 20]
    with sqlite3.connect(file.path) as db:
        assert db.execute("SELECT count(*) FROM outbox").fetchone() == (1,)


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    Deliveries.open(tmp_path / "deliver.db").close()
    with sqlite3.connect(tmp_path / "deliver.db") as db:
        db.execute("PRAGMA user_version=7")
    with pytest.raises(StoreError, match="newer camguard"):
        Deliveries.open(tmp_path / "deliver.db")


def test_the_guard_does_not_load_it() -> None:
    code = "import sys, camguard.service; print('camguard.store.delivery' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False"
