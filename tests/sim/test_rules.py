"""What excuses a viewing, measured: films beside a voyeur, true relays, the first week and the one after it."""

from functools import cache

from tests.sim import day, films, weeks


@cache
def two_weeks(*, accepts: bool) -> weeks.Weeks:
    return weeks.run(weeks.made(1, 9), accepts=accepts)


def told(found: weeks.Weeks, label: str, week: int) -> tuple[int, int]:
    return found.told[label, week], found.times[label, week]


def test_films_excuse_hardly_any_voyeur() -> None:
    assert films.excused(1, 100) <= 1


def test_a_true_relay_is_known_before_the_alert_or_soon_after() -> None:
    early, late = films.known(1, 40, 0.02)
    assert early >= 24
    assert late >= 34


def test_the_first_week_holds_back_the_cloud_and_never_who_comes_himself() -> None:
    found = two_weeks(accepts=False)
    assert told(found, weeks.USUAL, 1) == (0, 14)
    for way in (day.P2P, day.LAN, day.DOOR):
        assert told(found, way, 1) == (7, 7)


def test_after_it_all_is_told_but_what_was_accepted() -> None:
    asks, accepts = two_weeks(accepts=False), two_weeks(accepts=True)
    assert told(asks, weeks.USUAL, 2) == (4, 4)
    assert told(accepts, weeks.USUAL, 2) == (0, 4)
    assert len(accepts.proposed) == 1
    for found in (asks, accepts):
        for way in (day.P2P, day.LAN, day.DOOR, weeks.LATER):
            assert told(found, way, 2) == (2, 2)


def test_a_voyeur_who_is_held_back_comes_into_the_hours_of_the_proposal_and_narrower_hours_leave_him_out() -> None:
    """All servers of a maker are one habit (docs/limits.md): what a patient voyeur adds to it are hours of his own."""
    assert "20:00-21:00" in two_weeks(accepts=True).proposed[0]
    assert told(two_weeks(accepts=True), day.RELAY, 2) == (0, 2)
    narrow = weeks.run(weeks.made(1, 9), when="01:00-02:00")
    assert told(narrow, day.RELAY, 2) == (2, 2)


def test_without_its_rule_nothing_is_held_back() -> None:
    found = weeks.run(weeks.made(1, 2), excuses=weeks.EXCUSES - {"learning"})
    assert told(found, weeks.USUAL, 1) == (4, 4)
