"""Who is at home, as part of a verdict about a viewing from outside: named by its reason, gone after a day."""

import pytest

from camguard.events import Device, Home
from camguard.judge.presence import DAY_S, Presence

HOME = Home(devices=(Device("anna", "02:00:00:00:00:31", owner=True), Device("ben", "02:00:00:00:00:32", owner=True)))


def presence(*told: tuple[str, bool]) -> Presence:
    made = Presence()
    made.reload(HOME)
    for device, home in told:
        made.told(device, home, 100.0)
    return made


@pytest.mark.parametrize(
    ("told", "seen", "reason"),
    [
        ((), (), None),
        ((), ("anna",), None),
        ((), ("anna", "ben"), "your phones are at home, and none of them receives it"),
        ((("anna", True),), ("ben",), "your phones are at home, and none of them receives it"),
        ((("anna", False),), ("ben",), "anna is said to be away, and may be the viewer"),
        ((("anna", False), ("ben", False)), (), "anna and ben are said to be away, and may be the viewer"),
        ((("anna", False),), ("anna", "ben"), "your phones are at home, and none of them receives it"),
        ((("anna", False), ("anna", True)), ("ben",), "your phones are at home, and none of them receives it"),
    ],
)
def test_what_presence_says(told: tuple[tuple[str, bool], ...], seen: tuple[str, ...], reason: str | None) -> None:
    assert presence(*told).reason(seen) == reason


def test_what_was_said_is_forgotten_after_a_day() -> None:
    made = presence(("anna", False))
    made.tick(100.0 + DAY_S - 1)
    assert made.reason(()) is not None
    made.tick(100.0 + DAY_S)
    assert made.reason(()) is None


def test_a_home_without_devices_of_the_owner_knows_nothing() -> None:
    made = Presence()
    made.reload(Home())
    assert made.reason(()) is None
