"""The rules of quiet, sentence by sentence as contract.md has them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard import report
from camguard.tell.quiet import HOUR_S, Quiet, held, wanted
from tests.tell.receivers import alert


def a(
    key: str, state: str = "open", severity: str = "critical", viewer: str | None = None, **more: Any
) -> dict[str, Any]:
    made = alert(key, state, severity, **more)
    if viewer is not None:
        made["peer"] = made["peer"] | {"ip": viewer}
    return made


def told(quiet: Quiet, *items: dict[str, Any], now: float = 1000.0) -> list[tuple[str, bool]]:
    return [quiet.judge(item, now)[:2] for item in items]


# ---- "one alert a matter, updated and closed" ----


def test_one_matter_is_updated_and_closed_and_sounds_once() -> None:
    quiet = Quiet(replaces=True)
    assert told(quiet, a("x"), a("x", "update"), a("x", "closed")) == [("send", True), ("send", False), ("send", False)]


def test_where_nothing_can_be_replaced_it_is_opened_and_closed_only() -> None:
    quiet = Quiet(replaces=False)
    assert told(quiet, a("x"), a("x", "update"), a("x", "closed")) == [("send", True), ("drop", False), ("send", False)]


def test_what_was_not_told_is_not_updated_and_not_closed() -> None:
    assert told(Quiet(replaces=True), a("x", "update"), a("x", "closed")) == [("drop", False), ("drop", False)]


def test_information_has_no_sound_and_no_updates() -> None:
    quiet = Quiet(replaces=True)
    items = [a("x", state, "info") for state in ("open", "update", "closed")]
    assert told(quiet, *items) == [("send", False), ("drop", False), ("send", False)]


def test_an_opening_that_was_overtaken_in_the_queue_is_told_and_heard_in_its_later_form() -> None:
    assert Quiet(replaces=False).judge(a("x", "closed"), 0.0, owed=True)[:2] == ("send", True)


def test_a_matter_that_becomes_worse_is_heard_again() -> None:
    quiet = Quiet(replaces=True)
    assert told(quiet, a("x", "open", "warning"), a("x", "update", "critical")) == [("send", True), ("send", True)]


# ---- "six notifications per camera and hour for repeats, updates, info and warning" ----


def sends(quiet: Quiet, items: list[dict[str, Any]], now: float = 1000.0) -> int:
    return sum(quiet.judge(item, now).what == "send" for item in items)


@pytest.mark.parametrize("severity", ["info", "warning"])
def test_six_an_hour_for_information_and_warnings(severity: str) -> None:
    quiet = Quiet(replaces=True)
    assert sends(quiet, [a(f"w{n}", "open", severity) for n in range(20)]) == 6
    assert sends(quiet, [a("later", "open", severity)], 1000.0 + HOUR_S - 1) == 0
    assert sends(quiet, [a("later2", "open", severity)], 1000.0 + HOUR_S) == 1


def test_six_an_hour_for_each_camera() -> None:
    quiet = Quiet(replaces=True)
    cameras = [a(f"w{c}{n}", "open", "warning", camera=c) for n in range(9) for c in ("porch", "nursery")]
    assert sends(quiet, cameras) == 12


def test_six_an_hour_for_repeats() -> None:
    quiet = Quiet(replaces=True)
    assert sends(quiet, [a("x")]) == 1  # the first critical of a viewer is no repeat
    assert sends(quiet, [a("x", count=n) for n in (2, 4, 8, 16, 32, 64, 128, 256)]) == 6


def test_the_same_viewer_with_a_new_matter_is_a_repeat() -> None:
    quiet = Quiet(replaces=True)
    assert sends(quiet, [a(f"m{n}", viewer="198.51.100.7") for n in range(20)]) == 7


def test_updates_count_too_and_leave_room_for_what_is_new() -> None:
    quiet = Quiet(replaces=True)
    assert sends(quiet, [a("x")] + [a("x", "update") for _ in range(20)]) == 1 + 4
    assert sends(quiet, [a(f"w{n}", "open", "warning") for n in range(9)]) == 2


# ---- "the first critical of each viewer goes out at once for the first six new viewers of a camera in an hour" ----


def test_first_criticals_go_out_however_much_was_told_before() -> None:
    quiet = Quiet(replaces=True)
    sends(quiet, [a(f"w{n}", "open", "warning") for n in range(9)])
    firsts = [a(f"c{n}", viewer=f"198.51.100.{n}") for n in range(6)]
    assert told(quiet, *firsts) == [("send", True)] * 6


def test_what_is_told_late_is_counted_in_the_hour_in_which_it_happened() -> None:
    quiet, late = Quiet(replaces=True), report.seconds_of("2026-11-30T00:00:00.000Z")
    week = [a(f"d{n}", viewer=f"10.1.0.{n}", time=f"2026-11-{n:02}T12:00:00.000Z") for n in range(1, 29)]
    assert told(quiet, *week, now=late) == [("send", True)] * 28
    hour = [a(f"h{n}", viewer=f"10.2.0.{n}", time=f"2026-11-29T12:{n:02}:00.000Z") for n in range(20)]
    assert [answer for answer, _ in told(quiet, *hour, now=late)] == ["send"] * 6 + ["crowd"] * 14


def test_the_hour_goes_by_and_new_viewers_are_told_one_by_one_again() -> None:
    quiet = Quiet(replaces=True)
    for hour in range(3):
        firsts = [a(f"c{hour}{n}", viewer=f"198.51.{hour}.{n}") for n in range(6)]
        assert told(quiet, *firsts, now=1000.0 + hour * HOUR_S) == [("send", True)] * 6


# ---- "from the seventh on one notification is kept, counted up and made to sound again at 10, 20, 40" ----


def test_from_the_seventh_on_one_notification_is_kept_and_counted_up() -> None:
    quiet = Quiet(replaces=True)
    answers = [quiet.judge(a(f"c{n}", viewer=f"10.0.{n // 250}.{n % 250}"), 1000.0) for n in range(100)]
    assert [answer.what for answer in answers] == ["send"] * 6 + ["crowd"] * 94
    made = [answer.instead for answer in answers if answer.instead is not None]
    assert {one["id"] for one in made} != {"c6"}
    assert len({one["id"] for one in made}) == 1
    assert [one["count"] for one in made] == list(range(7, 101))
    assert [one["count"] for one, answer in zip(made, answers[6:], strict=True) if answer.sound] == [7, 10, 20, 40, 80]
    assert "100 in an hour" in made[-1]["title"]
    assert len(made[-1]["title"]) <= 60


def test_a_viewer_of_the_crowd_who_comes_again_is_a_repeat() -> None:
    quiet = Quiet(replaces=True)
    for n in range(8):
        quiet.judge(a(f"c{n}", viewer=f"10.0.0.{n}"), 1000.0)
    assert quiet.judge(a("again", viewer="10.0.0.7"), 1000.0).what == "send"


# ---- what found no room is told in one, as soon as there is room ----


def test_what_found_no_room_is_told_in_one_message() -> None:
    quiet = Quiet(replaces=False)
    sends(quiet, [a(f"w{n}", "open", "warning") for n in range(6)])
    assert [quiet.judge(a(f"v{n}", "open", "warning"), 1100.0).what for n in range(5)] == ["gather"] * 5
    quiet.gather(a("q", "open", "critical"), 1100.0)
    assert quiet.digests(1200.0) == []
    assert quiet.next_digest_s(1200.0) == pytest.approx(1000.0 + HOUR_S - 1200.0)
    (digest,) = quiet.digests(1000.0 + HOUR_S)
    assert (digest["severity"], digest["count"], digest["camera"]) == ("critical", 6, "porch")
    assert "6 more alerts: porch" in digest["title"]
    assert "1 of them is critical" in digest["body"]
    assert quiet.digests(1000.0 + HOUR_S) == []
    assert quiet.next_digest_s(1000.0 + HOUR_S) is None


def test_a_digest_where_names_may_not_be_said() -> None:
    quiet = Quiet(replaces=False, names=False)
    quiet.gather(a("q"), 0.0)
    (digest,) = quiet.digests(60.0)
    assert "porch" not in digest["title"] + digest["body"]


# ---- state, clocks, floods ----


def test_what_was_told_outlives_a_restart() -> None:
    first = Quiet(replaces=True)
    for n in range(9):
        first.judge(a(f"c{n}", viewer=f"10.0.0.{n}"), 1000.0)
        first.judge(a(f"w{n}", "open", "warning"), 1000.0)
    second = Quiet(replaces=True, kept=json.loads(json.dumps(first.kept())))
    crowd = second.judge(a("new", viewer="10.9.9.9"), 1001.0)
    assert crowd.what == "crowd"
    assert crowd.instead is not None
    assert crowd.instead["count"] == 10
    assert second.judge(a("w", "open", "warning"), 1001.0).what == "gather"
    assert second.next_digest_s(1001.0) is not None


def test_a_clock_that_is_set_back_does_not_silence_for_longer_than_an_hour() -> None:
    quiet = Quiet(replaces=True)
    sends(quiet, [a(f"w{n}", "open", "warning") for n in range(6)], now=1e9)
    assert sends(quiet, [a("x", "open", "warning")], now=1e9 - 86400) == 0
    assert sends(quiet, [a("y", "open", "warning")], now=1e9 - 86400 + HOUR_S) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9), st.sampled_from(["open", "update", "closed"]),
            st.sampled_from(["info", "warning", "critical"]), st.integers(0, 12), st.floats(0, 400),
        ),
        max_size=150,
    )
)  # fmt: skip
def test_in_no_hour_more_than_the_rules_allow_and_nothing_disappears(
    steps: list[tuple[int, str, str, int, float]],
) -> None:
    quiet, now, log, gathered, digested = Quiet(replaces=False), 0.0, [], 0, 0
    for key, state, severity, viewer, wait in steps:
        now += wait
        digested += sum(one["count"] for one in quiet.digests(now))
        answer = quiet.judge(a(f"k{key}", state, severity, viewer=f"10.0.0.{viewer}"), now)
        gathered += answer.what == "gather"
        if answer.what == "send":
            log.append((now, severity))
        assert not (answer.what == "drop" and state == "open")
    digested += sum(one["count"] for one in quiet.digests(now + 2 * HOUR_S))
    assert gathered == digested
    for at, _ in log:
        hour = [severity for then, severity in log if at <= then < at + HOUR_S]
        assert sum(severity != "critical" for severity in hour) <= 6
        assert len(hour) <= 6 + 12  # six, and the first criticals of six viewers, twice where the hour slides


def test_a_flood_of_names_and_viewers_is_bounded() -> None:
    quiet = Quiet(replaces=True)
    for n in range(3000):
        quiet.judge(a(f"c{n}", viewer=f"v{n}", camera=f"cam{n % 700}"), 1000.0 + n)
        quiet.judge(a(f"d{n}", viewer=f"v{n}", camera="porch"), 1000.0 + n)
    assert len(json.dumps(quiet.kept())) < 300_000


# ---- hours, silence, filters ----


@pytest.mark.parametrize(
    ("severity", "state", "hours", "silenced", "known", "waits"),
    [
        ("info", "open", True, False, False, True),
        ("warning", "open", True, False, False, True),
        ("critical", "open", True, False, False, False),  # "critical never"
        ("critical", "closed", True, False, True, False),
        ("warning", "open", False, False, False, False),
        ("warning", "open", False, True, False, True),
        ("critical", "open", False, True, True, True),
        ("critical", "open", False, True, False, False),  # another matter
        ("critical", "update", False, True, False, False),  # it became worse
        ("critical", "update", False, True, True, True),
    ],
)
def test_what_waits(severity: str, state: str, hours: bool, silenced: bool, known: bool, waits: bool) -> None:
    assert held(a("x", state, severity), hours=hours, silenced=silenced, known=known) is waits


@pytest.mark.parametrize(
    ("severity", "cameras", "wanted_severity", "camera", "kind", "goes"),
    [
        ("warning", ("*",), "warning", "porch", "lan-stream", True),
        ("warning", ("*",), "info", "porch", "port-scan", False),
        ("critical", ("*",), "warning", "porch", "lan-stream", False),
        ("warning", ("nursery",), "critical", "porch", "remote-stream", False),
        ("warning", ("nursery",), "critical", "nursery", "remote-stream", True),
        ("warning", ("nursery",), "warning", "*", "guard-blind", True),
        ("critical", ("nursery",), "info", None, "weekly", True),
    ],
)
def test_what_a_channel_asked_for(
    severity: str, cameras: tuple[str, ...], wanted_severity: str, camera: str | None, kind: str, goes: bool
) -> None:
    made = a("x", severity=wanted_severity, camera=camera, type=kind)
    assert wanted(made, severity, cameras, weekly=True) is goes
    if kind == "weekly":
        assert not wanted(made, severity, cameras, weekly=False)
