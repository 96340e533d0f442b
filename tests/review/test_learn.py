"""`camguard learn`: what is listed, in which words, and what is asked of the guard."""

import json
from pathlib import Path

import pytest

from camguard import wishes
from camguard.cli import main
from camguard.events import Habit, Wish
from camguard.report.learned import habit_words
from camguard.store import Store
from camguard.wishes import Refused
from tests.judge.test_baseline import CLOUD, DAY, MONDAY, Time

Out = pytest.CaptureFixture[str]
CONFIG = '[home]\ntimezone = "Europe/Berlin"\n[[camera]]\nname = "nursery"\nmac = "02:00:00:00:00:01"\n'
HABIT = Habit(
    2, "nursery", "reolink.com", True, "AS16509 Amazon", "United States", "stream", 5, "18:00-22:00", 6, 0.0, 1.0, 5,
    180.0, 800, False, True, False, None,
)  # fmt: skip


def changed(**other: object) -> Habit:
    return Habit(**{name: other.get(name, getattr(HABIT, name)) for name in Habit.__slots__})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("habit", "words"),
    [
        (
            HABIT,
            "nursery sends what looks like live video to reolink.com (Amazon, United States), usually 18:00-22:00, 3"
            " minutes each: 6 times on 5 days; a phone of yours at home was on it 5 of 6 times",
        ),
        (
            changed(phone_count=0, count=1, days=1, hours="00:00-24:00", owner=None, country=None),
            "nursery sends what looks like live video to reolink.com, at any hour, 3 minutes each: once on 1 day; none"
            " of your phones was on it",
        ),
        (
            changed(continuous=True),
            "nursery sends what looks like live video to reolink.com (Amazon, United States) all day long, seen on 5"
            " days: a recording in the cloud, or somebody who never stops watching",
        ),
        (
            changed(who="OVH (51.68.10.0/24)", named=False, owner="AS16276 OVH", country="France", cls="clip"),
            "nursery sends clips to OVH (51.68.10.0/24) (France), usually 18:00-22:00, 3 minutes each: 6 times on 5"
            " days",
        ),
        (changed(who="\x1b[2Jevil\u202e.com", owner=None, country=None, continuous=True), None),
    ],
)
def test_a_habit_in_words(habit: Habit, words: str | None) -> None:
    said = habit_words(habit)
    assert said == words if words else ("\x1b" not in said and "\u202e" not in said)


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "c.toml").write_text(CONFIG)
        self.where = ["--config", str(folder / "c.toml"), "--state-dir", str(folder), "--runtime-dir", str(folder)]
        self.store = Store.open(folder / "guard.db")

    def learned(self, time: Time) -> None:
        self.store.habits(*time.baseline.take_changes(time.now, last=True))

    def run(self, *words: str) -> int:
        return main(["learn", *words, *self.where])

    def asked(self) -> Wish:
        ((_, wish, _),) = wishes.take(self.folder / "wishes")
        assert not isinstance(wish, Refused)
        return wish


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_what_is_listed(house: House, capsys: Out) -> None:
    assert house.run() == 0
    empty = capsys.readouterr().out
    assert "nursery is looked at for 0 seconds of its first 7 days; 0 alerts held back so far" in empty
    assert "Nothing was learned yet." in empty
    time = Time()
    time.evenings(3)
    time.baseline._first.held("nursery")
    house.learned(time)
    assert house.run() == 0
    early = capsys.readouterr().out
    assert early.startswith("Seen, and told or held back as always:\n  1  nursery sends what looks like live video to")
    assert "3 times on 3 days; a phone of yours at home was on it 2 of 3 times.\n" in early
    assert "nursery is looked at for 2 d 20 h of its first 7 days; 1 alert held back so far" in early
    for day in range(3, 8):
        time.view(day, 18 + day % 4)
    house.learned(time)
    assert house.run() == 0
    asked = capsys.readouterr().out
    assert asked.startswith("Has become usual. Expect it?\n")
    assert "usually 18:00-22:00, 3 minutes each: 8 times on 8 days" in asked
    assert "camguard learn --accept 1, or no: --undo 1" in asked
    assert "a stranger with the app's password looks the same" in asked
    assert "first 7 days" not in asked
    main(["status", *house.where])
    assert "has become usual, and waits for your answer: camguard learn" in capsys.readouterr().out
    for mode, title in (
        ("accept", "You accepted, and it is expected:"),
        ("undo", "You do not expect, and are told of:"),
    ):
        time.baseline.decide(1, mode)
        house.learned(time)
        assert house.run() == 0
        assert capsys.readouterr().out.startswith(title)
        main(["status", *house.where])
        assert "camguard learn" not in capsys.readouterr().out
    time.baseline.decide(1, "accept")
    time.view(8, 12, peer=CLOUD, cls="clip")
    time.to(MONDAY + 40 * DAY)
    time.baseline._dirty |= set(time.baseline._records)
    house.learned(time)
    assert house.run() == 0
    assert "Not seen for 30 days: it counts no more." in capsys.readouterr().out


def test_as_json(house: House, capsys: Out) -> None:
    time = Time()
    time.evenings()
    house.learned(time)
    house.store.habits([(9, "nursery", '{"shown":{"number":9,"camera":"x"}}'), (10, "nursery", "{")])
    assert house.run("--json") == 0
    (line,) = capsys.readouterr().out.splitlines()
    made = json.loads(line)
    assert (made["number"], made["who"], made["hours"], made["accepted"]) == (1, "reolink.com", "18:00-22:00", None)
    assert made["first_time"] == "2026-03-02T17:00:00.000Z"
    assert made["words"].startswith("nursery sends what looks like live video to reolink.com")


@pytest.mark.parametrize(
    ("words", "mode", "when"),
    [
        (["--accept", "1"], "accept", None),
        (["--accept", "1", "--hours", "mon-fri 19:00-21:00"], "accept", "mon-fri 19:00-21:00"),
        (["--undo", "1"], "undo", None),
        (["--forget", "1"], "forget", None),
    ],
)
def test_what_is_asked_of_the_guard(house: House, words: list[str], mode: str, when: str | None, capsys: Out) -> None:
    time = Time()
    time.evenings()
    house.learned(time)
    assert house.run(*words) == 0
    wish = house.asked()
    assert (wish.do, wish.habit, wish.mode, wish.when) == ("learn", 1, mode, when)
    said = capsys.readouterr().out
    assert "applies as soon as the guard runs" in said
    assert ("a stranger with the app's password looks the same. Narrower: " in said) is (mode == "accept")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--accept", "2"], "nothing that was learned has the number 2. See: camguard learn"),
        (["--accept", "1"], "number 1 was seen on 3 days; five over a week"),
        (["--undo", "x"], '"x" is no number'),
        (["--accept", "1", "--undo", "1"], "not allowed with argument"),
        (["--undo", "1", "--hours", "18:00-20:00"], "--hours goes with --accept NO."),
    ],
)
def test_what_cannot_be_asked_is_exit_2_with_what_to_do(house: House, words: list[str], said: str, capsys: Out) -> None:
    time = Time()
    time.evenings(3)
    house.learned(time)
    assert house.run(*words) == 2
    assert said in capsys.readouterr().err
    assert not (house.folder / "wishes").exists()
