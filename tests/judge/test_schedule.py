"""schedule.py: windows over midnight, over a week's end, over a change to daylight saving."""

from datetime import datetime
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
