"""What the guard as a whole does not see: opened at once, closed when it is over, never flapping, over restarts."""

import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from camguard import report, store
from camguard.events import Alert, Interface
from camguard.health import LOOK_S, Watch
from camguard.service.blind import CALM_MOST_S, CALM_S, LONG_S, MATTERS_MAX, Blind, restarted
from camguard.service.resume import what_was_left
from tests.service.test_loop import Guard

T = 1_795_000_000.0


class Looks:
    """Looks every LOOK_S of a guard whose clock reads `at`, with the wall clock `offset_s` ahead of it."""

    def __init__(self, blind: Blind | None = None, at: float = 1000.0) -> None:
        self.blind, self.at, self.offset_s = blind or Blind(), at, T - at
        self.said: list[Alert] = []

    def run(self, seconds: float, *, gone: bool = False, lost: float = 0.0, name: str = "eth0") -> None:
        until = self.at + seconds
        while self.at < until:
            self.at += LOOK_S
            taps = [Interface(name, "gone" if gone else "up", bytes(6), 0, 0)]
            self.said += self.blind.look(self.at, self.offset_s, taps, {name: lost})

    def states(self) -> list[tuple[str, str]]:
        return [(one.state, one.severity) for one in self.said]


def words(alert: Alert) -> tuple[str, str]:
    made = report.as_dict(alert, "Europe/Berlin")
    assert len(made["title"]) <= 60
    assert len(made["body"]) <= 200
    return made["title"], made["body"]


def test_an_interface_that_is_gone_is_told_at_the_first_look_and_closed_with_its_length() -> None:
    looks = Looks()
    looks.run(60)
    assert not looks.said
    looks.run(LOOK_S, gone=True)
    (opened,) = looks.said
    assert (opened.type, opened.severity, opened.state, opened.camera) == ("guard-blind", "info", "open", None)
    assert words(opened)[0] == "camguard cannot see your cameras any more"
    assert "interface eth0 is gone" in words(opened)[1]
    assert report.matter(report.as_dict(opened, "UTC")) == "A network interface is gone"
    looks.run(120, gone=True)
    looks.run(CALM_S - LOOK_S)
    assert len(looks.said) == 1, "not over yet"
    assert [one.id for one in looks.blind.open_alerts(looks.at, looks.offset_s)] == [opened.id]
    looks.run(LOOK_S)
    closed = looks.said[-1]
    assert (closed.id, closed.state) == (opened.id, "closed")
    assert closed.ended is not None
    assert closed.ended - closed.started == 120, "to the last bad look, not to the end of the calm"
    assert not looks.blind.open_alerts(looks.at, looks.offset_s)


def test_after_ten_minutes_it_is_told_again_as_a_warning() -> None:
    looks = Looks()
    looks.run(LONG_S + 3600, gone=True)
    assert looks.states() == [("open", "info"), ("open", "warning")]
    assert looks.said[1].time - looks.said[1].started == LONG_S


@pytest.mark.parametrize("period", [LOOK_S, 2 * LOOK_S, 50.0])
def test_what_comes_and_goes_is_one_matter_and_counted(period: float) -> None:
    looks = Looks()
    for _ in range(int(3600 / period / 2)):
        looks.run(period, gone=True)
        looks.run(period)
    assert len({one.id for one in looks.said}) == 1
    (last,) = looks.blind.open_alerts(looks.at, looks.offset_s)
    assert last.count == int(3600 / period / 2)
    assert len(looks.said) < 12, "told on a growing scale"


def test_what_comes_back_each_two_minutes_all_day_is_soon_one_matter() -> None:
    looks = Looks()
    for _ in range(24 * 30):
        looks.run(LOOK_S, gone=True)
        looks.run(120 - LOOK_S)
    assert len({one.id for one in looks.said}) <= 3
    looks.run(2 * CALM_MOST_S)
    assert not looks.blind.open_alerts(looks.at, looks.offset_s)
    looks.run(LOOK_S, gone=True)
    looks.run(CALM_S + LOOK_S)
    assert looks.said[-1].state == "closed", "after a calm hour it is as at first"


def test_packets_lost_are_told_above_one_percent_and_over_below_half_a_percent() -> None:
    looks = Looks()
    looks.run(60, lost=0.01)
    assert not looks.said
    looks.run(60, lost=0.013)
    (opened,) = looks.said
    assert words(opened)[0] == "camguard sees only a part of your cameras"
    assert "1.3 %" in words(opened)[1]
    looks.run(300, lost=0.006)
    assert len(looks.said) == 1, "between the two it stays as it is"
    looks.run(5, lost=0.25)
    looks.run(CALM_S, lost=0.004)
    assert looks.states() == [("open", "info"), ("closed", "info")]
    assert looks.said[-1].detail["percent"] == 25.0


def test_the_share_comes_from_the_counters_of_the_tap(tmp_path: Path) -> None:
    watch, blind = Watch(tmp_path), Blind()
    said: list[Alert] = []
    for number, (packets, drops) in enumerate([(0, 0), (10_000, 90), (10_100, 210), (30_000, 210)]):
        taps = [Interface("lo", "up", bytes(6), packets, drops)]
        watch.look(5.0 * number, T, taps, {})
        said += blind.look(5.0 * number, T, taps, watch.lost)
    assert [(one.state, one.detail["percent"]) for one in said] == [("open", 2.0)]


def test_two_interfaces_are_two_matters_and_ever_new_ones_are_bounded() -> None:
    looks = Looks()
    looks.run(LOOK_S, gone=True)
    looks.run(LOOK_S, gone=True, name="eth1")
    assert len({one.id for one in looks.said}) == 2
    for number in range(500):
        looks.run(LOOK_S, gone=True, name=f"veth{number}")
    assert len(looks.blind.open_alerts(looks.at, looks.offset_s)) <= MATTERS_MAX


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
def test_a_set_clock_changes_labels_and_no_length(jump: float) -> None:
    looks = Looks()
    looks.run(LOOK_S, gone=True)
    looks.run(100, gone=True)
    looks.offset_s += jump
    looks.run(CALM_S)
    opened, closed = looks.said
    assert closed.ended is not None
    assert (closed.ended - closed.started, closed.id) == (100, opened.id)
    assert closed.started == pytest.approx(opened.started + jump)


# ---- started again ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap_s", "booted_ago_s", "severity"),
    [(15.0, 1e6, "info"), (3600.0, 1e6, "info"), (120.0, 30.0, "info"), (8 * 3600.0, 40.0, "warning")],
)
def test_a_start_after_a_gap_is_told_with_its_length_and_closed(
    gap_s: float, booted_ago_s: float, severity: str
) -> None:
    """A warning only where the machine itself was off, so that nobody could tell meanwhile."""
    opened, closed = restarted(T - gap_s, T, T - booted_ago_s)
    assert [(one.state, one.severity) for one in (opened, closed)] == [("open", severity), ("closed", severity)]
    assert opened.id == closed.id
    assert words(opened)[0] == f"camguard did not look for {report.duration(gap_s)}"


@pytest.mark.parametrize("gap_s", [1.1, 2.0, 14.9])
def test_a_short_gap_such_as_a_restart_by_hand_is_no_alert(gap_s: float) -> None:
    assert restarted(T - gap_s, T, T - 1e6) == []


def test_hostile_names_of_interfaces_are_harmless() -> None:
    looks = Looks()
    looks.run(LOOK_S, gone=True, name="e\x1b[2J\u202e<b>x</b>\n" + "y" * 10_000)
    made = report.as_dict(looks.said[0], "UTC")
    assert "\x1b" not in str(made)
    assert "\u202e" not in str(made)
    assert "<b>" not in made["body"]


# ---- over a restart of the guard -------------------------------------------------------------------------------------


def test_a_trouble_that_outlives_the_guard_goes_on_as_the_same_matter() -> None:
    before = Looks()
    before.run(60, gone=True)
    (opened,) = before.said
    kept = report.alert_of(report.as_dict(opened, "UTC"))
    assert kept is not None
    after = Looks(Blind([kept], 5.0, before.offset_s + before.at - 5.0), 5.0)
    after.offset_s = before.offset_s + before.at - 5.0
    after.run(60, gone=True)
    assert not after.said
    after.run(CALM_S)
    (closed,) = after.said
    assert (closed.id, closed.state) == (opened.id, "closed")
    assert closed.ended is not None
    assert closed.ended - closed.started == pytest.approx(115, abs=0.01)
    assert words(closed)[0] == "camguard sees your cameras again"


def test_a_trouble_from_long_ago_is_closed_in_the_record(tmp_path: Path) -> None:
    where = tmp_path / "guard.db"
    opened = store.Store.open(where)
    opened.note_start(T - 7200)
    looks = Looks()
    looks.run(LOOK_S, gone=True)
    body = report.as_dict(looks.said[0], "UTC")
    opened.write([store.Row("alert", T - 7200, None, body["id"], "open", body)], durable=True)
    opened.note_beat(T - 7000)

    class Where:
        database, now = where, tmp_path / "now.json"

    left = what_was_left(opened, Where(), T)  # type: ignore[arg-type]
    opened.close()
    assert not left.alerts
    assert [(row.id, row.state, row.camera) for row in left.rows] == [(body["id"], "closed", None)]


def _alerts(guard: Guard) -> list[dict[str, Any]]:
    reader = store.Reader(guard.database)
    try:
        return [one for one in reader.log(kinds=("alert",)) if one["type"] == "guard-blind"]
    finally:
        reader.close()


def test_a_guard_killed_and_started_again_records_the_gap_as_an_alert_that_is_over(tmp_path: Path) -> None:
    first, second = Guard(tmp_path), None
    try:
        first.line("camguard is looking")
        time.sleep(1.2)
        first.process.send_signal(signal.SIGKILL)
        first.process.wait(60)
        with sqlite3.connect(first.database) as db:  # as if that had been a while ago
            db.execute("UPDATE runs SET started = started - 60, beat = beat - 60")
        db.close()
        (first.runtime / "now.json").unlink()
        second = Guard(tmp_path)
        second.line("info: camguard did not look for")
        found = _alerts(second)
        assert second.stop() == 0
        assert "Traceback" not in second.errors()
    finally:
        for guard in (first, second):
            if guard is not None:
                guard.close()
    assert {(one["severity"], one["camera"]) for one in found} == {("info", None)}
    assert found[0]["state"] == "open"
    assert found[0]["title"].startswith("camguard did not look for ")


def test_a_guard_started_again_at_once_records_the_gap_and_raises_nothing(tmp_path: Path) -> None:
    first, second = Guard(tmp_path), None
    try:
        first.line("camguard is looking")
        assert first.stop() == 0
        time.sleep(1.5)
        second = Guard(tmp_path)
        second.line("camguard is looking")
        assert second.stop() == 0
        reader = store.Reader(second.database)
        gaps = [one["detail"] for one in reader.log(kinds=("notice",)) if one["what"] == "gap"]
        reader.close()
        assert _alerts(second) == []
    finally:
        for guard in (first, second):
            if guard is not None:
                guard.close()
    assert len(gaps) == 1
    assert "did not look for" in gaps[0]


def test_an_interface_that_goes_is_told_by_the_running_guard_and_shown_in_the_live_figures(tmp_path: Path) -> None:
    guard = Guard(tmp_path, "outsider.pcap", "gone")
    try:
        guard.line("camguard cannot see your cameras any more", within_s=LOOK_S + 90)
        (shown,) = _blind_in(guard.until(_blind_in))
        assert shown["id"] == _alerts(guard)[0]["id"]
        assert (shown["camera"], shown["severity"], shown["state"]) == (None, "info", "open")
    finally:
        guard.close()


def _blind_in(now: dict[str, Any]) -> list[dict[str, Any]]:
    return [one for one in now.get("alerts", ()) if one["type"] == "guard-blind"]
