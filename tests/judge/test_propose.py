"""propose.py: what could be said to each alert, the smallest first, and what is never offered."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from camguard.events import Alert, Expect, Peer
from camguard.judge import schedule
from camguard.judge.allow import Permissions, decided
from camguard.judge.propose import LONGEST_H, MODES, Span, advice, proposals, usual_hours

ZONE = ZoneInfo("Europe/Berlin")
DAY_S = 86_400.0
PHONE = Peer("192.168.1.21", scope="lan", mac="02:00:00:00:00:21", device="Anna's phone")
UNKNOWN = Peer("192.168.1.77", scope="lan", mac="02:00:00:00:00:77")
OVH = Peer("51.68.10.20", 4000, org="OVH", country="France")


def at(day: int, clock: str, month: int = 11) -> float:
    """That day of November 2026 (the 23rd is a Monday) by the clock in Berlin."""
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, month, day, hour, minute, tzinfo=ZONE).timestamp()


def span(day: int, clock: str, minutes: float = 10) -> Span:
    return Span(at(day, clock), at(day, clock) + 60 * minutes)


NOW = at(25, "19:10")
ALERT = Alert(
    "a7f3000001", NOW, "nursery", "lan-stream", "warning", "certain", "", (), PHONE, "s1", NOW, NOW - 300, 1, "open"
)
EVENINGS = [span(day, clock) for day, clock in ((16, "18:20"), (17, "20:05"), (18, "21:40"), (20, "18:00"))]


def offered(alert: Alert, seen: list[Span] | None = None, who: str = "Anna's phone") -> list[tuple[str, str | None]]:
    return [(one.mode, one.when) for one in proposals(alert, seen or [], who, NOW, ZONE)]


def test_a_viewer_with_a_habit_gets_four_choices_the_smallest_first() -> None:
    found = proposals(ALERT, EVENINGS, "Anna's phone", NOW, ZONE)
    assert [one.sentence for one in found] == [
        "nursery may be viewed by Anna's phone, this time only",
        "nursery may be viewed by Anna's phone, for 2 hours",
        "nursery may be viewed by Anna's phone, mon-wed,fri 18:00-22:00",
        "nursery may be viewed by Anna's phone, always",
    ]
    assert [one.mode for one in found] == ["once", "for", "hours", "always"]
    assert found[2].rule == Expect("nursery", "Anna's phone", ("stream",), "mon-wed,fri 18:00-22:00")
    assert found[3].rule == Expect("nursery", "Anna's phone", ("stream",))
    wish = found[2].wish(ALERT, "w" * 8, "terminal")
    assert (wish.mode, wish.when, wish.for_s, wish.alert) == ("always", "mon-wed,fri 18:00-22:00", None, ALERT.id)
    assert found[1].wish(ALERT, "w" * 8, "terminal").for_s == 7200.0
    assert not any(one.note for one in found)


@pytest.mark.parametrize(
    ("seen", "this", "when"),
    [
        (EVENINGS, span(25, "19:05"), "mon-wed,fri 18:00-22:00"),
        ([span(16, "18:20"), span(17, "18:30")], span(18, "18:40"), "mon-wed 18:00-19:00"),
        ([span(14, "23:30", 60), span(21, "23:50", 30)], span(15, "00:10"), "sat 23:00-01:00"),
        ([span(day, "12:00") for day in range(16, 23)], span(23, "12:30"), "12:00-13:00"),
        ([*[span(day, "18:10") for day in range(9, 18)], span(12, "03:00")], span(18, "18:20"), "18:00-19:00"),
        ([*[span(day, "18:10") for day in range(9, 18)], span(12, "03:00")], span(18, "03:20"), None),
        (EVENINGS, span(25, "03:00"), None),
        ([span(25, "18:00"), span(25, "18:30")], span(25, "19:00"), None),
        ([span(24, "18:00")], span(25, "18:00"), None),
        ([], span(25, "18:00"), None),
        ([span(day, "09:00", 60 * LONGEST_H) for day in (23, 24)], span(25, "09:00"), "mon-wed 09:00-17:00"),
        ([span(day, "09:00", 60 * LONGEST_H + 1) for day in (23, 24)], span(25, "09:00"), None),
        ([span(day, "09:00") for day in (23, 24)], span(25, "09:00", 60 * 10), None),
        ([span(24, "18:00", 60), span(24, "20:00", 0)], span(25, "19:59"), "tue,wed 18:00-21:00"),
    ],
    ids=[
        "evenings", "one hour", "over midnight: the day on which it opened", "every day", "but for one night",
        "that one night", "not what goes on now", "one day is no habit", "two times are none", "never before",
        "as long as can be", "too long", "this one is too long", "to the full hour",
    ],
)  # fmt: skip
def test_hours_are_the_smallest_in_which_it_was_seen(seen: list[Span], this: Span, when: str | None) -> None:
    assert usual_hours(seen, this, ZONE) == when
    if when:
        windows = schedule.parse(when)
        assert schedule.inside(windows, this.started, ZONE), "it covers what it was made for"
        assert schedule.inside(windows, max(this.started, this.ended - 1), ZONE)


def test_the_clock_of_the_home_counts_also_when_it_is_set_back() -> None:
    """On 25 October 2026 Berlin left summer time: the same hour by the clock is another one by the sun."""
    seen = [Span(at(day, "18:30", 10), at(day, "18:40", 10)) for day in (22, 23, 24, 26)]
    assert usual_hours(seen, Span(at(27, "18:30", 10), at(27, "18:40", 10)), ZONE) == "mon,tue,thu-sat 18:00-19:00"


def test_an_unknown_device_at_home_is_to_be_named_first() -> None:
    alert = replace(ALERT, peer=UNKNOWN)
    assert offered(alert, EVENINGS) == [("once", None), ("for", None)]
    assert (
        'name it first (camguard cameras list shows it; in the configuration: [[device]] name = ..., mac = "02:00:'
        in (advice(alert))
    )
    assert 'ip = "192.168.1.77"' in advice(replace(alert, peer=replace(UNKNOWN, mac=None)))
    assert advice(ALERT) == ""


def test_through_the_cloud_a_stranger_would_look_the_same() -> None:
    relay = replace(OVH, name="relay.maker.example")
    alert = replace(ALERT, type="remote-stream", peer=relay, detail={"through_cloud": "Maker"})
    once, *longer = proposals(alert, [], "OVH, France", NOW, ZONE)
    assert once.note == ""
    for one in longer:
        assert one.note == "It goes through the maker's cloud: a stranger with the app's password would look the same."
    assert longer[-1].rule == Expect("nursery", "relay.maker.example", ("stream",))
    plain = proposals(replace(alert, detail={}), [], "OVH, France", NOW, ZONE)
    assert [one.note for one in plain] == ["", "", "An address outside goes to somebody else some day."]


@pytest.mark.parametrize("name", ["*.example", "a?.example", "[ab].example", "lan", "*", "x y.example", ""])
def test_a_name_from_the_network_never_becomes_a_pattern(name: str) -> None:
    alert = replace(ALERT, type="remote-stream", peer=replace(OVH, name=name))
    rule = proposals(alert, [], "OVH", NOW, ZONE)[-1].rule
    assert rule is not None
    assert rule.peer == OVH.ip


def test_braces_in_names_are_only_names() -> None:
    found = proposals(replace(ALERT, camera="{who}{0}"), [], "{camera}", NOW, ZONE)
    assert found[0].sentence == "{who}{0} may be viewed by {camera}, this time only"


@pytest.mark.parametrize(
    ("alert_type", "modes", "said"),
    [
        ("privacy", ["once", "for"], "is your own rule"),
        ("remote-login", ["once", "for", "always"], ""),
        ("lan-login", ["once", "for", "always"], ""),
        ("brute-force", ["once"], "never allowed for good"),
        ("default-password", ["once"], "Only a new password"),
        ("stale-password", ["once"], "new password"),
        ("exposed-port", ["once", "for", "always"], "close it in the router"),
        ("port-scan", ["once", "for"], ""),
        ("new-destination", ["once", "always"], ""),
        ("camera-attacks", ["once"], "never allowed for good"),
        ("guard-blind", [], ""),
        ("weekly", [], ""),
    ],
)
def test_what_is_sensible_and_what_is_never_offered(alert_type: str, modes: list[str], said: str) -> None:
    key = {"key": "k"} if alert_type in ("exposed-port", "port-scan", "new-destination", "camera-attacks") else {}
    alert = replace(ALERT, type=alert_type, detail=dict(key))
    assert [mode for mode, _ in offered(alert)] == modes
    assert said in advice(alert)
    over = replace(alert, state="closed", ended=NOW)
    assert [mode for mode, _ in offered(over)] == [mode for mode in modes if mode != "once"], "it is over"
    for one in proposals(alert, [], "Anna's phone", NOW, ZONE):  # the guard would take each of them
        wish = one.wish(alert, "w" * 8, "terminal")
        decided(wish, 1, NOW, alert, frozenset({"s1"}), Permissions(), ("nursery",))


def test_each_type_that_can_be_settled_has_its_own_words() -> None:
    said = {kind: proposals(replace(ALERT, type=kind), [], "X", NOW, ZONE)[0].sentence for kind in MODES}
    same = {said.pop("remote-stream"), said.pop("lan-stream")}
    assert same == {"nursery may be viewed by X, this time only"}
    assert said.pop("remote-login") == said.pop("lan-login")
    assert len(set(said.values())) == len(said)
    assert said["privacy"] == "nursery may be viewed by X, also when nobody may, this time only"


def test_an_alert_about_nobody_offers_nothing() -> None:
    assert offered(replace(ALERT, peer=None)) == []
    way_in = replace(ALERT, type="exposed-port", peer=None, detail={"key": "tcp 554"})
    assert [mode for mode, _ in offered(way_in)] == ["once", "for", "always"]
