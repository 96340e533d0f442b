"""What the companion shows and when. The record is a real one; `show` is the test's own, and can refuse."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from camguard import report, store
from camguard.config import Paths
from camguard.events import Decision
from camguard.tell.companion import Companion
from camguard.tell.desktop import Letter


class Desk:
    """A desktop that keeps what it was shown, or refuses."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.error = ""
        self.broken = True
        self.server = "bus:1"

    def show(self, letter: Letter) -> bool:
        if self.error:
            letter.error, letter.broken = self.error, self.broken
            return False
        letter.shown = letter.replaces if letter.replaces and letter.server == self.server else len(self.letters) + 11
        letter.server = self.server
        self.letters.append(letter)
        return True

    @property
    def titles(self) -> list[str]:
        return [letter.title for letter in self.letters]


class Home:
    """A record, the guard's live figures, and a companion that can be started again."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "c.toml", folder, folder)
        self.memory = folder / "desktop.json"
        self.desk, self.said = Desk(), []
        self.at = 100.0
        self.store: store.Store | None = None
        self.companion: Companion | None = None
        self.guard_looks = True

    def start(self) -> None:
        self.companion = Companion(self.paths, self.memory, self.desk.show, self.said.append)

    def alert(self, key: str, state: str = "open", severity: str = "critical", title: str | None = None) -> None:
        self.store = self.store or store.Store.open(self.paths.database)
        body: dict[str, Any] = {
            "kind": "alert", "id": key, "camera": "porch", "state": state, "severity": severity,
            "type": "remote-stream", "title": title or f"{key} {state}", "body": "b",
            "time": "2026-11-24T20:00:00.000Z", "raised": "2026-11-24T20:00:00.000Z",
        }  # fmt: skip
        self.store.write([store.Row("alert", 1e9, "porch", key, state, body)], durable=True)

    def turns(self, seconds: float = 2.0) -> None:
        assert self.companion is not None
        end = self.at + seconds
        while self.at < end:
            if self.guard_looks:
                store.write_now(self.paths.now, {"time": "2026-11-24T20:00:00.000Z"})
            self.companion.turn(self.at)
            self.at += 0.5


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_one_matter_is_one_notification_that_sounds_once(home: Home) -> None:
    home.start()
    home.alert("a")
    home.turns()
    home.alert("a", "update")
    home.turns()
    home.alert("a", "closed")
    home.turns()
    first, second, third = home.desk.letters
    assert (first.title, first.urgency, first.sound, first.expire_ms) == ("a open", 2, "dialog-warning", 0)
    assert (second.title, second.sound, second.shown) == ("a update", None, first.shown)
    assert (third.title, third.sound, third.shown) == ("a closed", None, first.shown)
    home.turns(30)
    assert len(home.desk.letters) == 3


@pytest.mark.parametrize(
    ("severity", "urgency", "sound", "expire_ms"),
    [("critical", 2, "dialog-warning", 0), ("warning", 1, "dialog-warning", 20_000), ("info", 0, None, -1)],
)
def test_severity_decides_urgency_and_sound(
    home: Home, severity: str, urgency: int, sound: str | None, expire_ms: int
) -> None:
    home.start()
    home.alert("a", severity=severity)
    home.turns()
    (letter,) = home.desk.letters
    assert (letter.urgency, letter.sound, letter.expire_ms) == (urgency, sound, expire_ms)


def test_it_sounds_again_when_it_becomes_worse(home: Home) -> None:
    home.start()
    home.alert("a", severity="warning")
    home.turns()
    home.alert("a", "update", severity="critical")
    home.turns()
    home.alert("a", "update", severity="warning")
    home.turns()
    assert [letter.sound for letter in home.desk.letters] == ["dialog-warning", "dialog-warning", None]


def test_it_sounds_again_when_the_guard_opens_it_again(home: Home) -> None:
    home.start()
    for state in ("open", "closed", "open", "update"):
        home.alert("a", state)
        home.turns()
    home.alert("a", "open")
    home.alert("a", "update")  # overtakes the opening before it was shown
    home.turns()
    assert [bool(letter.sound) for letter in home.desk.letters] == [True, False, True, False, True]
    assert len({letter.shown for letter in home.desk.letters}) == 1


def test_updates_of_an_info_alert_are_not_shown(home: Home) -> None:
    home.start()
    for state in ("open", "update", "closed"):
        home.alert("a", state, severity="info")
        home.turns()
    assert home.desk.titles == ["a open", "a closed"]


def test_the_first_start_replays_only_what_is_open(home: Home) -> None:
    home.alert("old")
    home.alert("old", "closed")
    home.alert("going on")
    home.start()
    home.turns()
    assert home.desk.titles == ["going on open"]


def test_a_restart_shows_what_was_missed_and_nothing_twice(home: Home) -> None:
    home.start()
    home.alert("a")
    home.turns()
    home.alert("a", "closed")
    home.alert("b")
    home.start()
    home.turns()
    assert home.desk.titles == ["a open", "a closed", "b open"]
    assert home.desk.letters[1].shown == home.desk.letters[0].shown
    home.start()
    home.turns()
    assert len(home.desk.letters) == 3


def test_many_that_ended_meanwhile_are_summed_up(home: Home) -> None:
    home.start()
    home.alert("first")
    home.turns()
    for number in range(40):
        home.alert(f"m{number}")
        home.alert(f"m{number}", "closed")
    home.alert("last")
    home.start()
    home.turns()
    assert home.desk.titles[1] == "While you were away: 35 more alerts"
    assert home.desk.titles[2:] == [f"m{n} closed" for n in range(35, 40)] + ["last open"]
    home.start()
    home.turns()
    assert len(home.desk.letters) == 8


@pytest.mark.parametrize("restarted", [False, True])
def test_what_cannot_be_shown_is_not_lost(home: Home, restarted: bool) -> None:
    home.start()
    home.turns()
    home.desk.error = "the notification service does not answer"
    home.alert("a")
    home.alert("b")
    home.turns(60)
    home.alert("a", "update")
    home.turns(60)
    assert [line for line in home.said if "cannot show" in line] == [
        "cannot show notifications: the notification service does not answer. "
        "Nothing is lost: trying again until it works."
    ]
    if restarted:
        home.start()
    home.desk.error = ""
    home.turns(31)
    assert sorted(home.desk.titles) == ["a update", "b open"]
    assert all(letter.sound for letter in home.desk.letters), "what was never shown sounds when it is"
    home.start()
    home.turns()
    assert len(home.desk.letters) == 2


def test_what_was_open_at_the_first_start_is_not_lost_either(home: Home) -> None:
    for key in ("a", "b"):
        home.alert(key)
    home.alert("c")
    home.alert("c", "closed")
    home.desk.error = "no notification service"
    home.start()
    home.turns(5)
    home.start()
    home.turns(5)
    home.alert("b", "closed")
    home.desk.error = ""
    home.start()
    home.turns(5)
    assert sorted(home.desk.titles) == ["a open", "b closed"]


def test_a_refused_one_does_not_hold_up_the_others(home: Home) -> None:
    home.start()
    home.turns()
    accept = home.desk.show
    home.companion._show = lambda letter: accept(letter) if letter.title != "a open" else _refuse(letter)
    home.alert("a")
    home.alert("b")
    home.turns(10)
    assert home.desk.titles == ["b open"]


def _refuse(letter: Letter) -> bool:
    letter.error, letter.broken = "refused", False
    return False


def test_what_was_shown_beside_a_refused_one_is_not_shown_again(home: Home) -> None:
    home.start()
    home.turns()
    accept = home.desk.show
    home.companion._show = lambda letter: accept(letter) if letter.title != "a open" else _refuse(letter)
    home.alert("a")
    home.alert("b")
    home.turns(5)
    home.start()
    home.turns(5)
    assert home.desk.titles == ["b open", "a open"]


def test_ids_mean_nothing_after_the_service_restarted(home: Home) -> None:
    home.start()
    home.alert("a")
    home.turns()
    home.desk.server = "bus:2"
    home.alert("a", "update")
    home.turns()
    first, second = home.desk.letters
    assert (second.replaces, second.sound) == (first.shown, None)
    assert second.shown != first.shown
    home.alert("a", "closed")
    home.turns()
    assert home.desk.letters[2].shown == second.shown


def test_a_removed_record_begins_again(home: Home) -> None:
    home.start()
    for key in "abc":
        home.alert(key)
    home.turns()
    assert home.store is not None
    home.store.close()
    for part in home.paths.database.parent.glob("guard.db*"):
        part.unlink()
    home.store = None
    home.alert("new")
    home.turns(5)
    assert home.desk.titles[-1] == "new open"


@pytest.mark.parametrize("text", ["", "{", '{"seq": "x", "shown": {}, "stopped_boot": ""}', "[]", "\x00\xff"])
def test_a_damaged_memory_is_a_first_start(home: Home, text: str) -> None:
    home.memory.write_text(text)
    home.alert("old")
    home.alert("old", "closed")
    home.start()
    home.turns()
    assert home.desk.titles == []


def test_the_memory_stays_small(home: Home) -> None:
    home.start()
    for number in range(300):
        home.alert(f"a{number}")
    home.turns(10)
    assert len(home.desk.letters) == 300
    assert home.memory.stat().st_size < 40_000
    assert home.memory.stat().st_mode & 0o777 == 0o600


def test_a_record_that_cannot_be_read_is_said_once_and_tried_again(home: Home) -> None:
    home.start()
    home.turns(10)
    assert len([line for line in home.said if "nothing is recorded yet" in line]) == 1
    home.alert("a")
    home.turns(5)
    assert home.desk.titles == ["a open"]


def test_not_a_word_while_the_guard_looks(home: Home) -> None:
    home.alert("a")
    home.alert("a", "closed")
    home.start()
    home.turns(60)
    assert home.said == []
    assert home.desk.letters == []


def test_a_stopped_guard_is_told_once_and_so_is_its_return(home: Home) -> None:
    home.start()
    home.turns()
    home.guard_looks = False
    home.paths.now.unlink()  # as a clean stop leaves it
    home.turns(14)
    assert home.desk.letters == [], "a restart may take this long"
    home.turns(4)
    home.turns(120)
    home.start()
    home.turns(60)
    assert home.desk.titles == ["camguard is not looking at your cameras"]
    assert home.desk.letters[0].sound
    assert "since" in home.desk.letters[0].body, "the last look is remembered also when the figures are gone"
    home.guard_looks = True
    home.turns(30)
    assert home.desk.titles[1:] == ["camguard is looking again"]
    back = home.desk.letters[1]
    assert (back.sound, back.shown) == (None, home.desk.letters[0].shown)
    home.guard_looks = False
    home.paths.now.unlink()
    home.turns(30)
    assert home.desk.titles[2:] == ["camguard is not looking at your cameras"]
    assert home.desk.letters[2].sound, "it happened again, so it sounds again"


def test_figures_that_grow_old_are_a_stopped_guard(home: Home, tmp_path: Path) -> None:
    home.start()
    home.turns()
    home.guard_looks = False
    text = home.paths.now.read_text()
    age_now(home.paths.now, 13.0)
    home.turns(5)
    assert home.desk.letters == []
    age_now(home.paths.now, 16.0)
    home.turns(3)
    assert home.desk.titles == ["camguard is not looking at your cameras"]
    assert "since" in home.desk.letters[0].body
    assert text != home.paths.now.read_text()


def test_a_stopped_guard_that_could_not_be_told_is_told_later(home: Home) -> None:
    home.start()
    home.turns()
    home.guard_looks = False
    home.desk.error = "no notification service"
    home.paths.now.unlink()
    home.turns(30)
    home.start()
    home.desk.error = ""
    home.turns(40)
    assert home.desk.titles == ["camguard is not looking at your cameras"]


def test_a_suspend_is_not_a_stopped_guard(home: Home) -> None:
    home.start()
    home.turns()
    age_now(home.paths.now, 3600.0)  # CLOCK_BOOTTIME went on in the suspend, our own clock did not
    home.guard_looks = False
    home.turns(1.5)
    home.guard_looks = True
    home.turns(30)
    assert home.desk.letters == []


def test_no_guard_at_start_is_said(home: Home) -> None:
    home.guard_looks = False
    home.start()
    home.turns(1)
    assert "camguard is not looking on this machine at present. Waiting for it." in home.said
    assert home.desk.letters == []
    home.turns(6)
    assert home.desk.titles == ["camguard is not looking at your cameras"]


def age_now(path: Path, seconds: float) -> None:
    """Make the live figures that old."""
    figures = store.read_now(path) or {}
    figures["boottime_s"] = store.boottime_s() - seconds
    path.write_text(json.dumps(figures))


def silence(home: Home, number: int, for_s: float = 3600.0, camera: str | None = "porch") -> None:
    home.store = home.store or store.Store.open(home.paths.database)
    now = time.time()
    decision = Decision(number, now, f"{number:08x}", "mqtt", "silence", camera=camera, until=now + for_s)
    home.store.write([store.Row("decision", now, camera, None, None, report.as_dict(decision))], durable=True)


def stranger(home: Home, key: str, viewer: str, state: str = "open", severity: str = "critical") -> None:
    home.store = home.store or store.Store.open(home.paths.database)
    body: dict[str, Any] = {
        "kind": "alert", "id": key, "camera": "porch", "state": state, "severity": severity, "type": "remote-stream",
        "title": f"{key} {state}", "body": "b", "peer": {"ip": viewer}, "time": "2026-11-24T20:00:00.000Z",
    }  # fmt: skip
    home.store.write([store.Row("alert", 1e9, "porch", key, state, body)], durable=True)


@pytest.mark.parametrize("camera", ["porch", None])
def test_of_a_silenced_camera_only_what_is_critical_and_was_not_told_is_shown(home: Home, camera: str | None) -> None:
    home.start()
    stranger(home, "a", "203.0.113.9")
    home.turns()
    silence(home, 1, camera=camera)
    home.turns()
    stranger(home, "a", "203.0.113.9", "update")
    stranger(home, "b", "203.0.113.9")
    stranger(home, "c", "203.0.113.10", severity="warning")
    home.turns(5)
    assert home.desk.titles == ["a open", "b open"], "what was told as critical, and what is only a warning, wait"
    stranger(home, "c", "203.0.113.10")
    home.turns()
    assert home.desk.titles == ["a open", "b open", "c open"], "it became worse"
    assert home.desk.letters[-1].sound
    stranger(home, "a", "203.0.113.9", "closed")
    home.turns()
    assert (home.desk.letters[-1].title, home.desk.letters[-1].sound) == ("a closed", None)


def test_what_is_still_going_on_when_the_silence_ends_is_shown_then(home: Home) -> None:
    home.start()
    silence(home, 1)
    stranger(home, "gone", "203.0.113.9", severity="warning")
    stranger(home, "here", "203.0.113.10", severity="warning")
    home.turns()
    stranger(home, "gone", "203.0.113.9", "closed", severity="warning")
    home.turns()
    assert home.desk.letters == []
    home.start()  # also by the companion of the next login
    home.turns()
    assert home.desk.letters == []
    silence(home, 2, for_s=0.0)
    home.turns(5)
    assert home.desk.titles == ["here open"]
