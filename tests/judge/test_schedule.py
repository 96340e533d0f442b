"""schedule.py: windows over midnight, over a week's end, over a change to daylight saving."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from camguard.judge.schedule import inside, parse

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("when", "moment", "expected"),
    [
        ("22:00-06:30", "2026-11-24 23:00", True),
        ("22:00-06:30", "2026-11-24 06:29", True),
        ("22:00-06:30", "2026-11-24 06:30", False),
        ("22:00-06:30", "2026-11-24 21:59", False),
        ("mon-fri 22:00-06:30", "2026-11-28 03:00", True),  # Saturday, opened on Friday
        ("mon-fri 22:00-06:30", "2026-11-28 23:00", False),  # Saturday evening
        ("mon-fri 22:00-06:30", "2026-11-23 03:00", False),  # Monday, would have opened on Sunday
        ("sat,sun", "2026-11-29 12:00", True),
        ("sat,sun", "2026-11-30 00:00", False),
        ("fri-mon 10:00-11:00", "2026-11-29 10:30", True),
        ("07:00-09:00; sat 10:00-12:00", "2026-11-28 11:00", True),
        ("07:00-09:00; sat 10:00-12:00", "2026-11-27 11:00", False),
        ("00:00-24:00", "2026-11-27 23:59", True),
        ("22:00-06:30", "2026-03-29 06:29", True),  # the night that loses an hour
        ("22:00-06:30", "2026-10-25 06:30", False),  # the night that gains one
    ],
)
def test_inside(when: str, moment: str, expected: bool) -> None:
    assert inside(parse(when), at(moment), BERLIN) is expected


@pytest.mark.parametrize(
    "text", ["", "  ;", "noon", "mon-xyz 10:00-11:00", "25:00-26:00", "10:61-11:00", "10:00-24:30", "mon 10"]
)
def test_what_is_no_window_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        parse(text)


#: 02:00 becomes 03:00 on 29 March 2026; 03:00 becomes 02:00 on 25 October.
SPRING, AUTUMN = 1_774_746_000.0, 1_792_890_000.0


def minutes_inside(when: str, start: float, hours: int, zone: ZoneInfo = BERLIN) -> int:
    """For how many minutes of the `hours` after `start` the window is open."""
    windows = parse(when)
    return sum(inside(windows, start + 60.0 * minute, zone) for minute in range(60 * hours))


@pytest.mark.parametrize(
    ("when", "start", "minutes"),
    [
        ("22:00-06:30", SPRING - 4 * 3600, 7 * 60 + 30),  # an hour shorter, and both ends on time
        ("22:00-06:30", AUTUMN - 5 * 3600, 9 * 60 + 30),
        ("02:00-03:00", SPRING - 4 * 3600, 0),  # an hour that is not there
        ("02:30-03:30", SPRING - 4 * 3600, 30),
        ("02:00-03:00", AUTUMN - 5 * 3600, 120),  # one that is there twice: privacy holds in both
        ("sat 22:00-06:30", SPRING - 4 * 3600, 7 * 60 + 30),
        ("sun 22:00-06:30", SPRING - 4 * 3600, 0),
    ],
)
def test_both_nights_of_daylight_saving(when: str, start: float, minutes: int) -> None:
    assert minutes_inside(when, start, 12) == minutes


@pytest.mark.parametrize(
    ("when", "minutes"),
    [("00:00-24:00", 1440), ("18:00-24:00", 360), ("18:00-00:00", 360), ("00:00-00:00", 1440), ("23:59-24:00", 1)],
)
def test_to_midnight(when: str, minutes: int) -> None:
    day = datetime(2026, 11, 24, tzinfo=BERLIN).timestamp()
    assert minutes_inside(when, day, 24) == minutes
    assert not inside(parse("mon 18:00-24:00"), day, BERLIN), "24:00 of Monday is no more Monday's"


def test_a_zone_with_half_an_hour() -> None:
    kolkata = ZoneInfo("Asia/Kolkata")
    assert inside(parse("22:00-06:30"), datetime(2026, 11, 24, 16, 30, tzinfo=UTC).timestamp(), kolkata)
    assert not inside(parse("22:00-06:30"), datetime(2026, 11, 24, 16, 29, tzinfo=UTC).timestamp(), kolkata)


@pytest.mark.parametrize(
    ("when", "expected"), [("thu 22:00-06:30", True), ("fri 22:00-06:30", False), ("sat 00:00-06:30", True)]
)
def test_a_day_that_was_left_out(when: str, expected: bool) -> None:
    """Samoa had no Friday, 30 December 2011: what opened on Thursday evening lasts into Saturday morning."""
    apia = ZoneInfo("Pacific/Apia")
    saturday = datetime(2011, 12, 31, 3, 0, tzinfo=apia)
    assert saturday.timestamp() - datetime(2011, 12, 29, 22, 0, tzinfo=apia).timestamp() == 5 * 3600
    assert inside(parse(when), saturday.timestamp(), apia) is expected


def test_midnight_that_is_left_out() -> None:
    """Beirut goes from 23:59 to 01:00."""
    beirut = ZoneInfo("Asia/Beirut")
    begins = datetime(2026, 3, 29, 1, 0, tzinfo=beirut).timestamp()
    assert minutes_inside("sat 22:00-06:30", begins - 2 * 3600, 12, beirut) == 7 * 60 + 30
