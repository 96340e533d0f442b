"""review/phones.py: a phone that may change its MAC is said, with what to do; one that did so is recognised, and not
taken for somebody else's."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from camguard.check.answers import owners
from camguard.config import Paths
from camguard.events import Device, Home, SeenDevice
from camguard.review import cameras, phones, terminal
from camguard.review.terminal import View
from camguard.store import Store

NOW = time.time()
DAY_S = 86_400.0
OLD, NEW, REAL = "6a:00:00:00:00:21", "da:31:00:00:00:07", "3c:06:30:00:00:01"
PHONE = Device("phone", OLD, owner=True)


def seen(mac: str, name: str | None = "Annas-Phone", *, first_days: float = 0.5, last_days: float = 0.1) -> SeenDevice:
    return SeenDevice(mac, ("192.168.1.20",), name, NOW - first_days * DAY_S, NOW - last_days * DAY_S)


GONE = seen(OLD, first_days=90.0, last_days=9.0)


@pytest.mark.parametrize(
    ("mac", "made_up"),
    [
        ("02:00:00:00:00:01", True),
        ("da:31:00:00:00:07", True),
        ("3c:06:30:00:00:01", False),
        ("ff:00:00:00:00:01", True),
    ],
)
def test_a_made_up_mac(mac: str, made_up: bool) -> None:
    assert phones.is_made_up(mac) is made_up


def test_only_the_owners_devices_with_such_a_mac() -> None:
    home = Home(
        devices=(
            PHONE,
            Device("tablet", REAL, owner=True),
            Device("nvr", NEW),
            Device("pc", ips=("10.0.0.1",), owner=True),
        )
    )
    assert phones.may_change(home) == [PHONE]


@pytest.mark.parametrize(
    ("others", "found"),
    [
        ([seen(NEW)], True),
        ([seen(NEW, "annas-phone.local")], True),
        ([seen(NEW, "Bobs-Phone")], False),
        ([seen(NEW, None)], False),
        ([seen(REAL)], False),  # a MAC by its maker: another device
        ([seen(NEW, last_days=4.0, first_days=5.0)], False),  # not here now
        ([seen(NEW, first_days=100.0)], False),  # it was here before the phone
        ([], False),
    ],
)
def test_a_phone_that_took_another_mac(others: list[SeenDevice], found: bool) -> None:
    moved = phones.moved(Home(devices=(PHONE,)), [GONE, *others], NOW)
    assert [(one.device.name, one.now.mac) for one in moved] == ([("phone", NEW)] if found else [])


@pytest.mark.parametrize(
    "home",
    [
        Home(devices=(PHONE, Device("guest", NEW))),  # the owner knows it by another name
        Home(devices=(Device("phone", OLD),)),  # nobody of whom it matters
    ],
)
def test_nobody_is_taken_for_a_phone_that_is_known_as_another(home: Home) -> None:
    assert not phones.moved(home, [GONE, seen(NEW)], NOW)


def test_a_phone_that_is_here_has_not_moved() -> None:
    assert not phones.moved(Home(devices=(PHONE,)), [seen(OLD, last_days=6.9), seen(NEW)], NOW)


def test_what_every_phone_calls_itself_is_no_sign() -> None:
    here = [seen(OLD, "iPhone", first_days=90.0, last_days=9.0), seen(NEW, "iPhone")]
    assert not phones.moved(Home(devices=(PHONE,)), here, NOW)


CONFIG = f"""
[home]
timezone = "UTC"
[[camera]]
name = "porch"
mac = "3c:06:30:00:00:10"
[[device]]
name = "phone"
mac = "{OLD}"
owner = true
[[device]]
name = "nvr"
mac = "{REAL}"
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(tmp_path / "state" / "guard.db")
    made.devices([seen(REAL, "nvr"), seen(OLD, last_days=0.0)])
    yield made
    made.close()


@pytest.fixture
def paths(tmp_path: Path, store: Store) -> Paths:
    (tmp_path / "run").mkdir()
    (tmp_path / "c.toml").write_text(CONFIG)
    return Paths(tmp_path / "c.toml", store.path.parent, tmp_path / "run")


def moved_away(store: Store) -> None:
    store._db.execute("DELETE FROM devices WHERE mac = ?", (OLD,))
    store.devices([GONE, seen(NEW)])


def test_check_says_what_may_happen_and_what_to_do(paths: Paths) -> None:
    (answer,) = owners(View(paths))
    assert (answer.name, answer.status) == ("phone", "warning")
    assert OLD in answer.detail
    assert "stranger" in answer.meaning
    assert "private address" in answer.fix


def test_check_says_which_one_it_seems_to_be(paths: Paths, store: Store) -> None:
    moved_away(store)
    (answer,) = owners(View(paths))
    assert (answer.name, answer.status) == ("phone", "warning")
    assert NEW in answer.detail
    assert f"if your phone itself shows {NEW}" in answer.fix, "anybody in the Wi-Fi can call himself so"


@pytest.mark.parametrize("command", ["status", "list"])
def test_the_other_commands_say_it_in_a_line(
    paths: Paths, store: Store, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    def say() -> str:
        _ = terminal.status(paths) if command == "status" else cameras.listing(paths)
        return capsys.readouterr().out

    assert "phone may change its MAC by itself: camguard check" in say()
    moved_away(store)
    said = say()
    assert f'! phone was not seen for a week; a new device with MAC {NEW} calls itself the same ("Annas-Phone")' in said
    assert "may change" not in said


def test_the_hour_at_which_an_owners_phone_was_here_is_nowhere(
    paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    cameras.listing(paths)
    lines = capsys.readouterr().out.splitlines()
    phone, nvr = (next(line for line in lines if mac in line) for mac in (OLD, REAL))
    assert phone.rstrip().endswith("today")
    assert nvr.rstrip()[-3] == ":", "of other devices the hour is there for a day"
    cameras.listing(paths, as_json=True)
    rows = {row["mac"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows[OLD]["last_seen"].endswith("T12:00:00.000Z")
    assert not rows[REAL]["last_seen"].endswith("T12:00:00.000Z")


def test_a_day_is_shown_as_a_day(paths: Paths, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    noon = datetime(2026, 11, 15, 12, tzinfo=UTC).timestamp()
    store._db.execute("UPDATE devices SET last_time = ? WHERE mac = ?", (noon, REAL))
    cameras.listing(paths)
    (line,) = [line for line in capsys.readouterr().out.splitlines() if REAL in line]
    assert line.rstrip().endswith("15 Nov")
