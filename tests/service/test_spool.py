"""Wishes and a running guard: each is one decision, whatever happens; it holds as long as said, and no longer."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import wishes
from camguard.config import Paths
from camguard.errors import ConfigError, StoreError
from camguard.events import Decision, Wish
from camguard.review import decisions, history
from camguard.review.terminal import Asked
from camguard.store import Kept, Reader, seconds
from tests.service.test_loop import Guard

Out = pytest.CaptureFixture[str]
NOBODY = 65534


class Home:
    """Guards over one folder, one after the other, and what the owner can do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths = Paths(folder / "camguard.toml", folder / "state", folder / "run")
        self.reader = Reader(self.paths.database)
        self.guards: list[Guard] = []

    def start(self, sample: str = "outsider.pcap", **options: Any) -> Guard:
        self.guards.append(Guard(self.folder, sample, **options))
        return self.guards[-1]

    def waiting(self) -> tuple[Guard, Path]:
        """A guard whose viewing begins as soon as the file is there."""
        curtain = self.folder / f"curtain{len(self.guards)}"
        return self.start(env={"CAMGUARD_TEST_CURTAIN": str(curtain)}), curtain

    def ask(self, do: str, who: str = "terminal", wish_id: str | None = None, **more: Any) -> Wish:
        wish = Wish(wish_id or wishes.new_id(), who, do, **more)  # type: ignore[arg-type]
        wishes.put(self.paths, wish)
        return wish

    def decided(self, wish: Wish) -> Decision:
        decision = wishes.wait(self.reader, wish.id, 60)
        assert decision is not None, self.reader.refusal_of(wish.id)
        return decision

    def refused(self, wish: Wish) -> str:
        assert wishes.wait(self.reader, wish.id, 60) is None
        why = self.reader.refusal_of(wish.id)
        assert why is not None, "neither decided nor refused"
        return why

    def files(self) -> list[str]:
        return sorted(os.listdir(self.paths.wishes))

    def alert(self) -> dict[str, Any]:
        """The alert of the sample, once it is open."""
        self.until(self.told)
        return self.told()[0]

    def until(self, ready: Callable[[], Any], within_s: float = 60.0) -> None:
        end = time.monotonic() + within_s
        while True:
            try:
                if ready():
                    return
            except (StoreError, AssertionError, OSError):  # there may be no record yet
                if time.monotonic() >= end:
                    raise
            assert time.monotonic() < end, "it did not come to it"
            time.sleep(0.05)

    def told(self) -> list[dict[str, Any]]:
        """Open alerts of viewings: that the sample's viewer came in from outside is a matter of its own."""
        return [body for body in self.reader.open_alerts() if body["type"] == "remote-stream"]

    def log(self, kind: str) -> list[dict[str, Any]]:
        return [body for body in self.reader.log(kinds=(kind,)) if body.get("type") != "exposed-port"]

    def states(self) -> list[str]:
        return [body["state"] for body in self.log("alert")]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    for guard in made.guards:
        guard.close()


@pytest.fixture
def public() -> Iterator[Home]:
    """In a folder that a guard without root can enter."""
    with tempfile.TemporaryDirectory(prefix="camguard-spool-") as name:
        Path(name).chmod(0o755)
        made = Home(Path(name))
        yield made
        for guard in made.guards:
            guard.close()


def test_once_closes_the_alert_and_covers_nothing_after_it(home: Home, capsys: Out) -> None:
    guard = home.start()
    alert = home.alert()
    assert decisions.allow(home.paths, alert["id"][:3].upper(), "once") == 0
    said = capsys.readouterr().out
    assert said.startswith("Done: Sample camera may be viewed by 198.51.100.77 (outside), this time only (terminal, ")
    assert said.endswith("When that viewer comes back, you are told again. Undo: camguard allow --revoke 1\n")
    assert home.states() == ["open", "closed"]
    guard.line("decision 1: Sample camera may be viewed")
    guard.line("Settled: Sample camera")
    (session,) = home.reader.open_sessions()
    assert (session["verdict"], session["reason"]) == ("expected", "you said that it was you (decision 1)")
    home.until(lambda: home.files() == [])
    (kept,) = home.reader.decisions(time.time())
    assert (kept.decision.alert, kept.decision.mode) == (alert["id"], "once")
    home.until(lambda: not home.reader.open_sessions())  # the viewing ends
    assert home.reader.decisions(time.time()) == [], "it was this time only"
    assert decisions.listing(home.paths) == 0
    assert "Nothing is allowed" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="no decision 1 that holds"):
        decisions.revoke(home.paths, 1)
    guard.stop()
    home.start()  # the same viewer comes again
    home.until(home.told)


def test_once_outlives_kill_9_for_the_viewing_that_goes_on(home: Home) -> None:
    guard = home.start()
    alert = home.alert()
    assert decisions.allow(home.paths, alert["id"], "once") == 0
    home.until(lambda: home.states() == ["open", "closed"])
    guard.process.kill()
    guard.process.wait()
    told = len(home.log("alert"))
    guard = home.start()  # the sample begins anew: the same viewer is seen, within a minute of the start
    home.until(lambda: any(body["verdict"] == "expected" for body in home.reader.open_sessions()))
    (session,) = home.reader.open_sessions()
    assert session["reason"] == "you said that it was you (decision 1)"
    home.until(lambda: not home.reader.open_sessions())  # the viewing ends
    home.until(lambda: home.reader.decisions(time.time()) == [])
    assert len(home.log("alert")) == told, "told in spite of what was said of it"
    assert [body["used"] for body in home.log("decision")] == [False, True]
    guard.stop()
    home.start()  # and comes back
    home.until(home.told)


def test_for_a_time_is_quiet_as_long_as_said_and_not_longer(home: Home, capsys: Out) -> None:
    home.start()
    alert = home.alert()
    assert decisions.allow(home.paths, alert["id"], "for", "3s") == 0
    assert "Undo: camguard allow --revoke 1" in capsys.readouterr().out
    assert home.told() == []
    (kept,) = home.reader.decisions()
    assert kept.decision.until is not None
    home.until(home.told)
    told = seconds(home.told()[0]["time"]) or 0.0
    assert told > kept.decision.until - 0.1
    print(f"told again {told - kept.decision.until:.1f} s after the permission ended")
    assert home.reader.decisions(time.time()) == []


def test_always_outlives_kill_9_and_is_taken_back(home: Home, capsys: Out) -> None:
    guard = home.start()
    decisions.allow(home.paths, home.alert()["id"], "always")
    guard.process.kill()
    guard.process.wait()
    told = len(home.log("alert"))
    guard = home.start()
    home.until(lambda: any(body["verdict"] == "expected" for body in guard.now()["sessions"]))
    guard.process.send_signal(signal.SIGHUP)
    time.sleep(1.5)
    assert len(home.log("alert")) == told, "told in spite of the permission"
    capsys.readouterr()
    decisions.listing(home.paths)
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[0] == "1"
    assert "Sample camera may be viewed by 198.51.100.77 (outside)" in table[1]
    assert "you take it back" in table[1]
    assert f"terminal, {wishes.user(os.getuid())}" in table[1]
    assert decisions.revoke(home.paths, 1) == 0
    assert capsys.readouterr().out.startswith("Done: decision 1 is taken back (terminal, ")
    assert len(home.told()) == 1, "the viewing that goes on is told"
    history.log(home.paths, Asked(since="-1h"))
    lines = [line for line in capsys.readouterr().out.splitlines() if " decision " in line]
    assert len(lines) == 2
    assert "1: Sample camera may be viewed" in lines[0]
    assert "2: decision 1 is taken back" in lines[1]


def test_watching_before_the_viewing_means_no_alert_at_all(home: Home, capsys: Out) -> None:
    guard, curtain = home.waiting()
    guard.line("looking")
    assert decisions.watching(home.paths, "Sample camera", "30m") == 0
    curtain.touch()
    assert capsys.readouterr().out.startswith("Done: the owner is watching Sample camera until ")
    home.until(lambda: home.log("session"))
    time.sleep(2)
    assert home.log("alert") == []
    assert decisions.revoke(home.paths, 1) == 0
    home.until(home.told)


def test_many_at_once_and_the_same_twice(home: Home, capsys: Out) -> None:
    guard = home.start("quiet.pcap")
    guard.line("looking")
    asked = [home.ask("watching", for_s=60.0 + number) for number in range(20)]
    twice = [home.ask("silence", "mqtt, home", wish_id="ab" * 8, for_s=600.0) for _ in range(3)]
    made = [home.decided(wish) for wish in (*asked, twice[0])]
    home.until(lambda: home.files() == [])
    assert sorted(decision.number for decision in made) == list(range(1, 22)), "each has its own number"
    assert len(home.log("decision")) == 21, "the repeat is one decision"
    home.ask("silence", "mqtt, home", wish_id="ab" * 8, for_s=600.0)  # also later
    home.until(lambda: home.files() == [])
    assert len(home.log("decision")) == 21
    assert list(home.reader.silenced(time.time())) == [None]
    ended = home.ask("silence", "mqtt, home", for_s=0.0)
    home.decided(ended)
    assert home.reader.silenced(time.time()) == {}


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"do": "revoke", "decision": 99}, "decision 99 does not hold (any more)"),
        ({"do": "watching", "camera": "nowhere"}, 'there is no camera "nowhere"'),
        ({"do": "allow", "alert": "0123", "mode": "once"}, "there is no alert 0123"),
        ({"do": "allow", "alert": "0123", "mode": "always", "who": "mqtt, home"}, "there is no alert 0123"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_is_answered(shared: Home, wish: dict[str, Any], why: str) -> None:
    asked = shared.ask(**wish)
    assert shared.refused(asked) == why
    shared.until(lambda: shared.files() == [])
    said = [body for body in shared.log("notice") if body["what"] == "refused"][-1]
    assert said["detail"].startswith(f"what {wish.get('who', 'terminal')}, {wishes.user(os.getuid())} asked was not")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    made = Home(tmp_path_factory.mktemp("shared"))
    made.start("quiet.pcap").line("looking")
    yield made
    for guard in made.guards:
        guard.close()


def test_from_afar_nothing_lasting_can_be_said(home: Home) -> None:
    home.start()
    alert = home.alert()
    for who in ("mqtt, home", "push"):
        for more in ({"mode": "always"}, {"mode": "for", "for_s": 60.0}):
            asked = home.ask("allow", who, alert=alert["id"], **more)
            assert home.refused(asked).startswith("from afar only this one viewing can be allowed")
    home.decided(home.ask("allow", "mqtt, home", alert=alert["id"], mode="once"))
    assert home.told() == []
    assert home.refused(home.ask("revoke", "mqtt, home", decision=1)).startswith("from afar")


def test_hostile_files_are_removed_and_do_no_harm(home: Home) -> None:
    guard = home.start("quiet.pcap")
    guard.line("looking")
    spool = home.paths.wishes
    (spool / "1.json").symlink_to("/etc/passwd")
    os.mkfifo(spool / "2.json")
    (spool / "3").mkdir()
    (spool / "4.json").write_bytes(b"[" * 4000)
    (spool / "5.json").write_bytes(b"\xff" * 100_000)
    (spool / "6\x1b[2J\n.json").write_text(json.dumps({"do": "watching", "id": "0" * 16, "who": "x" * 4000}))
    (spool / "7.json").write_text(json.dumps({"do": "watching", "id": "0" * 16, "who": "terminal", "for_s": 1e300}))
    for number in range(100, 360):
        (spool / f"{number}.json").write_text("{}")
    home.until(lambda: home.files() == [])
    home.decided(home.ask("watching"))
    refused = [body for body in home.log("notice") if body["what"] == "refused"]
    assert 5 <= len(refused) <= 10, "said, but not two hundred times"
    home.until(lambda: guard.now()["counters"]["wishes-refused"] == 267)
    assert guard.now()["counters"].get("errors", 0) == 0
    assert Path("/etc/passwd").exists()
    assert guard.stop() == 0
    assert guard.errors() == ""


def test_the_folder_comes_back_when_it_is_removed(home: Home) -> None:
    guard = home.start("quiet.pcap")
    guard.line("looking")
    home.paths.wishes.rmdir()
    home.until(home.paths.wishes.is_dir)
    home.decided(home.ask("watching"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to run the guard as somebody who may not write there")
def test_killed_between_the_decision_and_the_removal_it_is_one_decision(public: Home) -> None:
    """The guard may read the spool and not write in it, so the file stays; then it is killed."""
    for folder in (public.paths.state, public.paths.runtime, public.paths.wishes):
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
    os.chown(public.paths.wishes, 0, NOBODY)
    public.paths.wishes.chmod(0o750)
    nobody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    guard = public.start("quiet.pcap", by=nobody)
    guard.line("looking")
    first = public.ask("watching", for_s=600.0)
    public.decided(first)
    public.until(lambda: any("cannot be removed" in problem for problem in guard.now()["problems"]))
    second = public.ask("watching", for_s=600.0)  # a file that stays does not keep others waiting
    public.decided(second)
    time.sleep(2.5)
    assert len(public.files()) == 2
    assert len(public.log("decision")) == 2, "the same file was decided again"
    guard.process.kill()
    guard.process.wait()
    os.chown(public.paths.wishes, NOBODY, NOBODY)
    guard = public.start("quiet.pcap", by=nobody)
    public.until(lambda: public.files() == [])
    assert [kept.decision.number for kept in public.reader.decisions()] == [2, 1]
    assert len(public.log("decision")) == 2
    assert not any("cannot be removed" in problem for problem in guard.now()["problems"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to take away the guard's right to look")
def test_a_spool_that_cannot_be_read_is_said_and_nothing_else_suffers(public: Home) -> None:
    for folder in (public.paths.state, public.paths.runtime, public.paths.wishes):
        folder.mkdir()
    for folder in (public.paths.state, public.paths.runtime):
        os.chown(folder, NOBODY, NOBODY)
    public.paths.wishes.chmod(0o700)
    guard = public.start(by=("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"))
    guard.line("critical: Somebody is watching")
    assert any(problem.startswith("Nobody can tell the guard anything") for problem in guard.now()["problems"])
    os.chown(public.paths.wishes, NOBODY, NOBODY)
    public.until(lambda: not guard.now()["problems"])
    public.decided(public.ask("watching"))


@pytest.mark.parametrize("round_", range(3))
def test_killed_at_any_moment_no_wish_is_lost_and_none_is_two(home: Home, round_: int) -> None:
    guard = home.start("quiet.pcap")
    guard.line("looking")
    asked = [home.ask("watching", for_s=600.0 + number) for number in range(10)]
    home.until(lambda: len(home.reader.decisions()) > 3 * round_)
    guard.process.kill()
    guard.process.wait()
    home.start("quiet.pcap").line("looking")
    home.until(lambda: home.files() == [])
    made = [kept.decision for kept in home.reader.decisions()]
    assert sorted(decision.wish for decision in made) == sorted(wish.id for wish in asked)
    assert len(home.log("decision")) == 10
    assert len({decision.number for decision in made}) == 10


def test_without_a_guard_it_is_noted_and_applies_when_it_runs(home: Home, capsys: Out) -> None:
    guard = home.start()
    alert = home.alert()
    guard.stop()
    assert decisions.allow(home.paths, alert["id"], "for", "2h") == 0
    assert capsys.readouterr().out.startswith("It is noted, and applies as soon as the guard runs. Start it: ")
    told = len(home.log("alert"))
    _, curtain = home.waiting()
    home.until(lambda: home.reader.decisions(time.time()))
    curtain.touch()
    (kept,) = home.reader.decisions(time.time())
    assert isinstance(kept, Kept)
    assert kept.left_s is not None
    assert 7000 < kept.left_s <= 7200, "two hours from when it was decided"
    home.until(lambda: any(body["verdict"] == "expected" for body in home.log("session")))
    assert [body for body in home.log("alert")[told:] if body["state"] != "closed"] == []


def test_now_is_now_not_when_the_guard_comes_back(home: Home) -> None:
    """ "I am watching now" was said while no guard ran: what is left of it counts, and nothing after it."""
    home.paths.wishes.mkdir(parents=True)
    long_ago, lately = (home.ask("watching", for_s=600.0), home.ask("silence", "mqtt, home", for_s=600.0))
    for wish, age_s in ((long_ago, 900), (lately, 300)):
        (file,) = home.paths.wishes.glob(f"*{wish.id}*")
        os.utime(file, (time.time() - age_s, time.time() - age_s))
    home.start("quiet.pcap").line("looking")
    home.until(lambda: home.files() == [])
    assert home.refused(long_ago) == "it was asked too long ago"
    decision = home.decided(lately)
    assert decision.until is not None
    assert decision.until - time.time() == pytest.approx(300, abs=100)
