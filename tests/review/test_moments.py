"""Time words as systemd.time(7) has them, in the time zone of the home."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard.report import rfc3339
from camguard.review import moments

NOW = 1_795_554_843.5  # Tue 2026-11-24 22:14:03.5 in Berlin (UTC+1)
ZONE = "Europe/Berlin"

ROWS = [
    ("now", "2026-11-24T21:14:03.500Z"),
    ("today", "2026-11-23T23:00:00.000Z"),
    ("yesterday", "2026-11-22T23:00:00.000Z"),
    ("tomorrow", "2026-11-24T23:00:00.000Z"),
    ("2h ago", "2026-11-24T19:14:03.500Z"),
    ("1 week ago", "2026-11-17T21:14:03.500Z"),
    ("-1h 30min", "2026-11-24T19:44:03.500Z"),
    ("-1h30min", "2026-11-24T19:44:03.500Z"),
    ("+5min", "2026-11-24T21:19:03.500Z"),
    ("-90", "2026-11-24T21:12:33.500Z"),
    ("18:15", "2026-11-24T17:15:00.000Z"),
    ("18:15:30", "2026-11-24T17:15:30.000Z"),
    ("2026-11-23", "2026-11-22T23:00:00.000Z"),
    ("26-11-23", "2026-11-22T23:00:00.000Z"),
    ("2026-11-23 18:15", "2026-11-23T17:15:00.000Z"),
    ("Mon 2026-11-23 18:15", "2026-11-23T17:15:00.000Z"),
    ("2026-11-23T18:15:00", "2026-11-23T17:15:00.000Z"),
    ("2026-11-23 18:15 UTC", "2026-11-23T18:15:00.000Z"),
    ("2026-11-23T18:15:00Z", "2026-11-23T18:15:00.000Z"),
    ("2026-11-23T18:15:00.250+01:00", "2026-11-23T17:15:00.250Z"),
    ("2026-07-01 12:00", "2026-07-01T10:00:00.000Z"),  # summer time
    ("@1795554843", "2026-11-24T21:14:03.000Z"),
    ("  today ", "2026-11-23T23:00:00.000Z"),
]


@pytest.mark.parametrize(("words", "moment"), ROWS)
def test_words(words: str, moment: str) -> None:
    assert rfc3339(moments.parse(words, NOW, ZONE)) == moment


@pytest.mark.parametrize(
    "words",
    ["", "x", "18", "25:00", "2026-13-01", "2026-02-30", "3 fortnights ago", "-", "+", " ago", "Mon", "@x", "18:15:99"],
)
def test_what_means_no_time_is_said_with_an_example(words: str) -> None:
    with pytest.raises(ValueError, match="is no time; write for example"):
        moments.parse(words, NOW, ZONE)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_one_sentence(words: str) -> None:
    try:
        assert isinstance(moments.parse(words, NOW, ZONE), float)
    except ValueError as error:
        assert "is no time" in str(error)  # noqa: PT017


def test_the_hour_of_a_day_with_a_change_of_clocks() -> None:
    # the night to 25 October 2026 has 25 hours in Berlin
    autumn = 1_792_994_400.0  # 2026-10-26 07:00 UTC+1
    day = moments.parse("2026-10-26", autumn, ZONE) - moments.parse("2026-10-25", autumn, ZONE)
    assert day == 25 * 3600


@pytest.mark.parametrize(
    ("words", "seconds"), [("30m", 1800), ("2h", 7200), ("1h 30min", 5400), ("7d", 604_800), ("45 seconds", 45)]
)
def test_a_length(words: str, seconds: float) -> None:
    assert moments.length(words) == seconds


@pytest.mark.parametrize("words", ["", " ", "90", "0m", "-2h", "2 fortnights", "h", "today", "1e9h", "\x00"])
def test_no_length(words: str) -> None:
    with pytest.raises(ValueError, match="no length of time"):
        moments.length(words)
