"""The weekly report in two sentences, and that it never promises more than was seen."""

from typing import Any

import pytest

from camguard import report

ZONE = "Europe/Berlin"
UNTIL = 1_795_554_840.0  # Tuesday, 2026-11-24 22:14 in Berlin
DAY_S = 86_400.0


def week(**changes: Any) -> report.Week:
    known = {"since": UNTIL - 7 * DAY_S, "until": UNTIL, "cameras": 3, "viewings": 14, "unexpected": 0}
    return report.Week(**(known | changes))


ROWS = [
    (
        {},
        "Quiet week: nobody unexpected",
        "7 days, 3 cameras: 14 viewings, all expected. camguard looked all the time.",
    ),
    (
        {
            "gaps": ((UNTIL - 360, UNTIL),),
            "failed_logins": 3,
            "reached": "ntfy",
            "reached_at": UNTIL - 3600,
        },
        "Quiet week: nobody unexpected",
        "7 days, 3 cameras: 14 viewings, all expected. 3 failed log-ins. 1 gap of 6 minutes on Tuesday."
        " Alerts are reaching ntfy (last 21:14).",
    ),
    (
        {"ending": 1},
        "Quiet week: nobody unexpected",
        "7 days, 3 cameras: 14 viewings, all expected. camguard looked all the time."
        " 1 permission ends within 3 days: camguard allow --list.",
    ),
    (
        {"viewings": 1, "cameras": 1},
        "Quiet week: nobody unexpected",
        "7 days, 1 camera: 1 viewing, expected. camguard looked all the time.",
    ),
    (
        {"open_ways": 2},
        "Quiet week: nobody unexpected",
        "7 days, 3 cameras: 14 viewings, all expected. 2 ways in are open: camguard status. camguard looked all the"
        " time.",
    ),
    (
        {"viewings": 0},
        "Quiet week: nobody unexpected",
        "7 days, 3 cameras: no viewing at all. camguard looked all the time.",
    ),
    (
        {"unexpected": 1},
        "1 unexpected viewing this week",
        "7 days, 3 cameras: 14 viewings, 1 not expected (camguard alerts). camguard looked all the time.",
    ),
    (
        {"gaps": ((UNTIL - 2 * DAY_S, UNTIL), (UNTIL - 4 * DAY_S, UNTIL - 3 * DAY_S - 3600))},
        "Nobody unexpected seen, but 2 d 23 h missed",
        "7 days, 3 cameras: 14 viewings, all expected. 2 gaps, 2 d 23 h together (57.73 % seen).",
    ),
]


@pytest.mark.parametrize(("changes", "title", "body"), ROWS)
def test_words(changes: dict[str, Any], title: str, body: str) -> None:
    assert report.weekly(week(**changes), ZONE) == (title, body)


def test_words_fit_whatever_was_counted() -> None:
    gaps = tuple((UNTIL - 1000 * n, UNTIL - 1000 * n + 999) for n in range(1, 500))
    for changes in ({}, {"gaps": gaps}, {"unexpected": 10**9, "gaps": gaps}):
        made = week(
            viewings=10**12, cameras=10**6, failed_logins=10**12, reached="<x>\u202e" * 99, reached_at=0.0, **changes
        )
        title, body = report.weekly(made, ZONE)
        assert len(title) <= 60
        assert len(body) <= 200
        assert "<" not in body


def test_a_share_is_never_rounded_up_to_a_whole() -> None:
    assert report.up_words(week()) == "100 %"
    assert report.up_words(week(gaps=((UNTIL - 1, UNTIL),))) == "99.99 %"
    assert report.up_words(week(gaps=((UNTIL - 120, UNTIL),))) == "99.98 %"
    assert report.up_words(week(gaps=((0.0, UNTIL),))) == "0.00 %"
