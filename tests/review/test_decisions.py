"""allow, watching and log without a guard: what is asked, what is said, and which alert is meant."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from camguard import report, wishes
from camguard.cli import main
from camguard.events import Alert, Decision, Event, Health, Login, Notice, Peer, Session, Wish
from camguard.service.resume import row_of
from camguard.store import Store, write_now
from camguard.wishes import Refused

Out = pytest.CaptureFixture[str]
OVH = Peer("51.68.10.20", 4000, org="OVH", country="France")
ALERT = Alert(
    id="a7f3000001", time=time.time(), camera="nursery", type="remote-stream", severity="critical",
    confidence="certain", reason="", evidence=(), peer=OVH, session="s1", raised=time.time(), started=time.time(),
    count=1, state="open",
)  # fmt: skip
CONFIG = '[home]\ntimezone = "Europe/Berlin"\n[[camera]]\nname = "nursery"\nmac = "02:00:00:00:00:01"\n'


class House:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "c.toml").write_text(CONFIG)
        self.where = ["--config", str(folder / "c.toml"), "--state-dir", str(folder), "--runtime-dir", str(folder)]
        self.store = Store.open(folder / "guard.db")

    def write(self, *events: Event) -> None:
        self.store.write([row_of(event) for event in events], durable=True)

    def run(self, *words: str) -> int:
        return main([*words, *self.where])

    @contextlib.contextmanager
    def deciding(self, made: Decision) -> Iterator[None]:
        """A guard that makes `made` of the next wish in the spool."""
        problems: list[BaseException] = []

        def decide() -> None:
            try:
                end = time.monotonic() + 60
                while not (found := wishes.take(self.folder / "wishes") if (self.folder / "wishes").is_dir() else []):
                    assert time.monotonic() < end, "nothing was asked"
                    time.sleep(0.01)
                ((name, wish, _),) = found
                assert not isinstance(wish, Refused)
                self.write(replace(made, wish=wish.id))
                wishes.remove(self.folder / "wishes", name)
            except BaseException as problem:  # noqa: BLE001 - told by the test's own thread
                problems.append(problem)

        guard = threading.Thread(target=decide)
        guard.start()
        try:
            yield
        finally:
            guard.join()
        assert not problems

    def asked(self) -> Wish:
        ((_, wish, _),) = wishes.take(self.folder / "wishes")
        assert not isinstance(wish, Refused)
        return wish


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.mark.parametrize(
    ("words", "mode", "for_s"),
    [
        (["--once"], "once", None),
        (["--always"], "always", None),
        (["--for", "2h"], "for", 7200.0),
        (["--for", "1h 30min"], "for", 5400.0),
        (["--for=7d"], "for", 604_800.0),
        (["--for", "99999999999y"], "for", 1e9),
    ],
)
def test_allow_asks_for_what_was_said(house: House, words: list[str], mode: str, for_s: float | None) -> None:
    house.write(ALERT)
    assert house.run("allow", "a7f", *words) == 0
    wish = house.asked()
    assert (wish.do, wish.alert, wish.mode, wish.for_s) == ("allow", ALERT.id, mode, for_s)
    assert wish.who.startswith("terminal, ")


def test_hours_are_asked_for(house: House) -> None:
    house.write(ALERT)
    assert house.run("allow", "a7f", "--always", "--hours", "mon-fri 18:00-22:00") == 0
    wish = house.asked()
    assert (wish.mode, wish.for_s, wish.when) == ("always", None, "mon-fri 18:00-22:00")


def test_an_alert_alone_is_answered_with_what_could_be_said_and_decides_nothing(house: House, capsys: Out) -> None:
    """Nor does a terminal that is closed meanwhile, or time that goes by: nothing was asked of the guard."""
    house.write(ALERT)
    assert house.run("allow", "A7F") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("Somebody is watching: nursery. Since ")
    assert said[1] == "Nothing is decided yet. What you could say, the smallest first:"
    assert [line for line in said if line.startswith(" ") and "allow" in line] == [
        "    camguard allow a7f --once",
        "    camguard allow a7f --for 2h",
        "    camguard allow a7f --always",
    ]
    assert " 1  nursery may be viewed by OVH, France, this time only" in said
    assert '[[expect]]\ncamera = "nursery"\npeer = "51.68.10.20"\nkinds = ["stream"]' in "\n".join(said)
    assert not (house.folder / "wishes").exists(), "something was asked of the guard"
    assert house.run("allow", "a7f", "--json") == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["mode"], one["would_have_silenced"], one["of_alerts"]) for one in found] == [
        ("once", 1, 1), ("for", 1, 1), ("always", 1, 1),
    ]  # fmt: skip
    assert not (house.folder / "wishes").exists()


def test_a_way_in_without_anybody_can_be_settled(house: House, capsys: Out) -> None:
    house.write(replace(ALERT, type="exposed-port", peer=None, session=None, detail={"key": "tcp 554"}))
    assert house.run("allow", "a7f", "--always") == 0
    assert house.asked().mode == "always"
    assert house.run("allow", "a7f") == 0
    assert "close it in the router" in capsys.readouterr().out


def test_watching_asks_for_a_camera_and_a_time(house: House, capsys: Out) -> None:
    assert house.run("watching", "--camera", "nursery", "--for", "45m") == 0
    wish = house.asked()
    assert (wish.do, wish.camera, wish.for_s) == ("watching", "nursery", 2700.0)
    assert "applies as soon as the guard runs" in capsys.readouterr().out
    assert house.run("watching", "--camera", "nurserry") == 2
    assert 'Did you mean "nursery"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["allow"], "which alert? See their ids: camguard alerts."),
        (["allow", "a7f", "--list"], "--list takes no ALERT."),
        (["allow", "a7f", "--for", "soon"], '"soon" is no length of time; write for example "30m", "2h" or "7d".'),
        (["allow", "a7f", "--for", "0h"], '"0h" is no length of time'),
        (["allow", "a7f", "--for", "90"], '"90" is no length of time'),
        (["allow", "a7f", "--for=-2h"], '"-2h" is no length of time'),
        (["allow", "a7f", "--once", "--always"], "not allowed with argument --once"),
        (["allow", "a7f", "--hours", "18:00-22:00"], "--hours goes with --always or --for TIME."),
        (["allow", "a7f", "--once", "--hours", "18:00-22:00"], "--hours goes with --always or --for TIME."),
        (["allow", "a7f", "--always", "--hours", "dinner"], '"dinner" is no day; write mon tue'),
        (["allow", "a7f", "--always", "--hours", "25:00-26:00"], "is no time of day"),
        (["allow", "--revoke", "3"], "there is no decision 3 that holds. See: camguard allow --list"),
        (["allow", "--revoke", "x"], '"x" is no number'),
        (["allow", "a8f"], 'no alert "a8f". Did you mean a7f ('),
        (["allow", "zzzz"], 'no alert "zzzz". See the ids of all: camguard alerts'),
        (["allow", "../a"], 'no alert "../a". See the ids'),
        (["allow", "\x1b[2J"], "no alert "),
        (["allow", "b"], 'more than one alert begins with "b": b0e'),
        (["allow", "c0"], "alert c0 is about no viewer, so there is nobody to allow."),
        (["watching", "--for", "later"], '"later" is no length of time'),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_asked_is_exit_2_with_what_to_do(house: House, words: list[str], said: str, capsys: Out) -> None:
    blind = Alert(
        "c000", time.time(), "nursery", "guard-blind", "warning", "certain", "", (), None, None, time.time(),
        time.time(), 1, "open", detail={"how": "nothing"},
    )  # fmt: skip
    older = [Alert(**{key: getattr(ALERT, key) for key in ALERT.__slots__} | {"id": key}) for key in ("b0e1", "b0e2")]
    house.write(*older, blind, ALERT)
    assert house.run(*words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert "\x1b" not in error
    assert not (house.folder / "wishes").exists(), "it was asked all the same"


def test_a_record_that_is_not_there(tmp_path: Path, capsys: Out) -> None:
    assert main(["allow", "a7f", "--state-dir", str(tmp_path / "x"), "--runtime-dir", str(tmp_path)]) == 1
    assert "nothing is recorded yet" in capsys.readouterr().err
    assert main(["watching", "--state-dir", str(tmp_path / "x"), "--runtime-dir", str(tmp_path)]) == 1
    assert "camguard has never run here" in capsys.readouterr().err


def test_what_holds_is_listed_with_time_and_origin(house: House, capsys: Out) -> None:
    now = time.time()
    house.write(
        Decision(1, now, "1" * 16, "terminal, bob", "allow", camera="nursery", alert="a1", mode="always", peer=OVH),
        Decision(2, now, "2" * 16, "mqtt, home", "watching", camera="nursery", until=now + 1800),
        Decision(3, now, "3" * 16, "terminal, bob", "watching", until=now - 5),
        Decision(4, now, "4" * 16, "mqtt, home", "presence", detail="phone is home"),
        Decision(5, now, "5" * 16, "mqtt, home", "silence", until=now + 3600),
    )
    assert house.run("allow", "--list") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    at, later = report.clock(now, "Europe/Berlin"), report.clock(now + 1800, "Europe/Berlin")
    assert lines[0] == "NO DECIDED BY WHAT UNTIL USED"
    assert lines[1] == f"1 {at} terminal, bob nursery may be viewed by OVH, France you take it back never"
    assert lines[2].startswith(f"2 {at} mqtt, home the owner is watching nursery ")
    assert later in lines[2]
    assert lines[3].startswith(f"5 {at} mqtt, home no notifications about any camera; the record goes on ")
    assert lines[4] == "To take one back: camguard allow --revoke NO"
    assert house.run("allow", "--list", "--json") == 0
    assert [json.loads(line)["number"] for line in capsys.readouterr().out.splitlines()] == [1, 2, 5]
    assert house.run("allow", "--revoke", "2") == 0
    assert house.asked().decision == 2


def test_how_often_each_was_used_and_what_is_no_longer_needed(house: House, capsys: Out) -> None:
    now, day = time.time(), 86_400.0
    old = now - 200 * day

    def excused(number: int, key: str, at: float, **more: Any) -> Session:
        return Session(
            key, at, "nursery", "closed", OVH, "tcp", "rtsp", "peer", "stream", "certain", at, at + 60, 9, 9, 900,
            "expected", f"you allowed it (decision {number})", **more,
        )  # fmt: skip

    def made(number: int, at: float, **more: Any) -> Decision:
        known = {"camera": "nursery", "alert": "a1", "mode": "always", "peer": OVH} | more
        return Decision(number, at, f"{number:016x}", "terminal, bob", "allow", **known)

    login = Login("l1", now - 99 * day, "nursery", OVH, "rtsp", None, None, "success", "read", None,
        "expected", "you allowed it (decision 3)")  # fmt: skip
    house.write(
        made(1, old), made(2, old), made(3, old), made(4, now - 89 * day), made(12, now),
        made(5, old, peer=None, about="exposed-port|tcp 554"),
        excused(2, "s1", now - 95 * day), excused(2, "s2", now - 10 * day), excused(12, "s3", now - day), login,
    )  # fmt: skip
    assert house.run("allow", "--list") == 0
    lines = capsys.readouterr().out.splitlines()
    used = {line.split()[0]: line.split("you take it back")[1].strip() for line in lines[1:7]}
    assert used == {"1": "never", "2": "2 times", "3": "1 time", "4": "never", "5": "-", "12": "1 time"}
    days = {number: report.day(at, "Europe/Berlin") for number, at in ((1, old), (3, now - 99 * day))}
    assert lines[7:] == [
        *(
            f"Decision {number} was not used since {at}; no longer needed? camguard allow --revoke {number}"
            for number, at in days.items()
        ),
        "To take one back: camguard allow --revoke NO",
    ]
    assert house.run("allow", "--list", "--json") == 0
    found = {one["number"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert [found[number]["times_used"] for number in (1, 2, 5)] == [0, 2, None]
    assert found[1]["last_used"] is None
    assert found[2]["last_used"] == report.rfc3339(now - 10 * day + 60)


@pytest.mark.parametrize("mode", ["once", "for", "always"])
def test_a_name_that_is_allowed_is_said_to_let_everybody_in_who_comes_by_it(
    house: House, mode: Literal["once", "for", "always"], capsys: Out
) -> None:
    """allow.is_same_viewer: outside, by address or name. The guard's part is played over the real spool."""
    cloud = replace(OVH, name="relay.example.com")
    home = replace(cloud, scope="lan", mac="02:00:00:00:00:21")
    write_now(house.folder / "now.json", {})
    for number, (peer, warned) in enumerate(((cloud, mode != "once"), (OVH, False), (home, False)), 1):
        made = Decision(number, time.time(), "", "terminal, bob", "allow", alert=ALERT.id, mode=mode, peer=peer)
        house.write(ALERT)
        with house.deciding(made):
            assert house.run("allow", "a7f", *(["--for", "2h"] if mode == "for" else [f"--{mode}"])) == 0
        said = capsys.readouterr().out
        assert ("Whoever comes by relay.example.com is allowed" in said) == warned
        assert said.endswith(f" Undo: camguard allow --revoke {number}\n")


def test_log_is_everything_in_its_order(house: House, capsys: Out) -> None:
    now = time.time() - 60
    viewing = Session(
        "s1", now + 1, "nursery", "open", OVH, "tcp", "rtsp", "peer", "stream", "certain", now + 1, None, 9, 9, 900,
        "unexpected", None,
    )  # fmt: skip
    house.write(
        Notice(now, None, "guard-start", "camguard began to look at eth0"),
        viewing,
        ALERT,
        Decision(1, now + 3, "1" * 16, "terminal, bob", "allow", camera="nursery", alert="a1", mode="once", peer=OVH),
        Health(now + 4, "memory", 41.5, "MB"),
    )
    assert house.run("log") == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [line.split()[0] for line in lines[:1]] == ["WHEN"]
    for line, end in zip(
        lines[1:],
        (
            "- notice camguard began to look at eth0",
            "nursery session live video with OVH, France (certain, unexpected) since",
            "nursery alert critical: Somebody is watching: nursery [a7f3]",
            "nursery decision 1: nursery may be viewed by OVH, France, this time only (terminal, bob)",
            "- health camguard uses 41.5 MB of memory",
            "5 events since",
        ),
        strict=True,
    ):
        assert end in line
    assert house.run("log", "--camera", "nursery", "--json", "--since", "-1h") == 0
    kinds = [json.loads(line)["kind"] for line in capsys.readouterr().out.splitlines()]
    assert kinds == ["session", "alert", "decision"]
    assert house.run("log", "--limit", "1") == 0
    assert "health" in capsys.readouterr().out, "the newest, where there are more"
    assert house.run("log", "--until", "-1h") == 0
    assert capsys.readouterr().out.startswith("No events between ")


def test_log_shows_a_damaged_row_as_far_as_it_goes(house: House, capsys: Out) -> None:
    made = row_of(ALERT)
    house.store.write([made._replace(body={"kind": "alert", "time": made.body["time"]}), made], durable=True)
    assert house.run("log") == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
