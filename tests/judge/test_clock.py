"""Hours and the clock on the wall in a viewing that goes on: daylight saving, midnight, a clock that is set.

Packet time: the guard's own clock runs from 100; `offset_s` is what lies between it and the clock on the wall.
"""

from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from camguard.events import Alert, Camera, Device, Expect, Home, Wish
from camguard.guard import Guard
from tests.judge.test_schedule import AUTUMN, SPRING
from tests.test_guard import live
from tests.traffic import CAMERA_MAC, LAPTOP_IP, LAPTOP_MAC, Connection, key_of

MINUTE_S, HOUR_S = 60.0, 3600.0


def house(zone: str, *, private: str | None = None, when: str | None = None) -> Home:
    expects = (Expect("porch", "nvr", ("stream",), when),) if when else ()
    return Home(
        timezone=zone,
        cameras=(Camera("porch", CAMERA_MAC, private=private),),
        devices=(Device("nvr", LAPTOP_MAC), Device("phone", "02:00:00:00:00:33", owner=True)),
        expects=expects,
    )


def watched(
    home: Home, begin: float, length_s: float, step: Callable[[Guard, float], None] = lambda guard, at: None
) -> list[tuple[str, str, float]]:
    """A viewing by "nvr" that begins at wall-clock `begin`: (type, state, minutes after it) of what is told.

    `step` is called before each second, with how long it goes on."""
    guard = Guard(home, offset_s=begin - 100.0)
    connection = Connection(key_of(LAPTOP_IP, 554, 50000), first_at=100.0, peer_mac=LAPTOP_MAC, first_up=False)
    found = []
    for item in live(connection, 101, 101 + int(length_s)):
        now = item.at  # type: ignore[attr-defined]
        step(guard, now - 100.0)
        for event in (*guard.feed(item), *guard.tick(now)):  # type: ignore[arg-type]
            if isinstance(event, Alert) and event.state != "update":
                found.append((event.type, event.state, round((now - 100.0) / 60.0, 1)))
    return found


def test_privacy_hours_over_the_night_that_gains_an_hour() -> None:
    home = house("Europe/Berlin", private="22:00-03:00", when="00:00-24:00")
    told = watched(home, AUTUMN - 10 * MINUTE_S, 90 * MINUTE_S)
    assert [(kind, state) for kind, state, _ in told] == [("privacy", "open"), ("privacy", "closed")]
    assert told[0][2] < 0.3
    assert told[1][2] == 70.0, "the hour from two to three is there twice"


def test_privacy_hours_over_the_night_that_loses_an_hour() -> None:
    home = house("Europe/Berlin", private="22:00-03:00", when="00:00-24:00")
    told = watched(home, SPRING - 10 * MINUTE_S, 20 * MINUTE_S)
    assert told[1] == ("privacy", "closed", 10.0), "after 01:59 it is 03:00"


def test_a_permission_that_ends_at_midnight() -> None:
    begin = datetime(2026, 11, 24, 23, 50, tzinfo=ZoneInfo("Asia/Kolkata")).timestamp()
    told = watched(house("Asia/Kolkata", when="18:00-24:00"), begin, 12 * MINUTE_S)
    assert told == [("lan-stream", "open", 10.0)]
    assert watched(house("Asia/Kolkata", when="18:00-00:30"), begin, 12 * MINUTE_S) == []


def test_a_day_that_was_left_out_ends_no_permission() -> None:
    """Samoa, 2011: Thursday's night goes on on Saturday."""
    begin = datetime(2011, 12, 29, 23, 55, tzinfo=ZoneInfo("Pacific/Apia")).timestamp()
    assert watched(house("Pacific/Apia", when="thu 22:00-06:00"), begin, 10 * MINUTE_S) == []
    told = watched(house("Pacific/Apia", when="thu 22:00-24:00"), begin, 10 * MINUTE_S)
    assert told == [("lan-stream", "open", 5.0)]


@pytest.mark.parametrize("jump_s", [2 * HOUR_S, -10 * HOUR_S, 400 * 24 * HOUR_S + 2 * HOUR_S])
def test_a_clock_that_is_set_into_privacy_hours_and_back(jump_s: float) -> None:
    """What the clock says counts, at once, and each way: one alert, taken up again."""
    begin = datetime(2026, 11, 24, 21, 0, tzinfo=ZoneInfo("UTC")).timestamp()
    home = house("UTC", private="22:00-06:00" if jump_s > 0 else "10:00-12:00", when="00:00-24:00")

    def step(guard: Guard, after_s: float) -> None:
        guard.offset_s = begin - 100.0 + (jump_s if 60.0 <= after_s < 120.0 or after_s >= 180.0 else 0.0)

    told = watched(home, begin, 240.0, step)
    assert [(kind, state) for kind, state, _ in told] == [
        ("privacy", "open"), ("privacy", "closed"), ("privacy", "open"),
    ]  # fmt: skip
    assert [minutes for _, _, minutes in told] == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("jump_s", [-3 * HOUR_S, 3 * HOUR_S, 30 * 24 * HOUR_S])
def test_a_length_is_a_length_whatever_the_clock_does(jump_s: float) -> None:
    """ "I am watching" for ten minutes, and an alert's own times, do not move with the clock."""
    begin = datetime(2026, 11, 24, 12, 0, tzinfo=ZoneInfo("UTC")).timestamp()

    def step(guard: Guard, after_s: float) -> None:
        if after_s == 1.0:
            guard.decide(Wish("w1", "terminal, anna", "watching", for_s=600.0), 1, 101.0, None)
        if after_s == 30.0:
            guard.offset_s += jump_s

    assert watched(house("UTC"), begin, 700.0, step) == [("lan-stream", "open", 10.0)]


@pytest.mark.parametrize("at_home", [True, False])
def test_presence_told_from_outside_is_no_part_of_a_verdict_about_somebody_at_home(at_home: bool) -> None:
    """What is told by MQTT is about viewings from outside (test_presence.py); what is used, the reason names."""
    begin = datetime(2026, 11, 24, 12, 0, tzinfo=ZoneInfo("UTC")).timestamp()

    def step(guard: Guard, after_s: float) -> None:
        if after_s == 1.0:
            guard.decide(Wish("w1", "mqtt, home", "presence", device="phone", home=at_home), 1, 101.0, None)
        assert not [one for one in guard.open_sessions() if "phone" in (one.reason or "")]

    assert [kind for kind, _, _ in watched(house("UTC"), begin, 60.0, step)] == ["lan-stream"]


def test_watching_is_named_by_the_reason() -> None:
    begin = datetime(2026, 11, 24, 12, 0, tzinfo=ZoneInfo("UTC")).timestamp()
    reasons: set[str | None] = set()

    def step(guard: Guard, after_s: float) -> None:
        if after_s == 1.0:
            guard.decide(Wish("w1", "terminal, anna", "watching"), 1, 101.0, None)
        reasons.update(one.reason for one in guard.open_sessions() if one.cls == "stream")

    assert watched(house("UTC"), begin, 60.0, step) == []
    assert reasons == {"you said that you are watching (decision 1)"}
