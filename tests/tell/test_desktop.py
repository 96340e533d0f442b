"""The checked door to the desktop and the program `camguard desktop`, with a real notification service under Xvfb."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import store
from camguard.tell import desktop as module
from camguard.tell.desktop import Letter, show

HOSTILE = [
    ("--version", "-h"),
    ("<b>bold</b> & <img src='/etc/passwd'>", "<a href='http://192.0.2.1/'>click</a> &amp; <i>"),
    ("\x1b[31mred\x07\x00", "\u202egnp.exe \ud800 line\nline"),
    ("", ""),
    ("x" * 5000, "y" * 50_000),
]


@pytest.fixture
def session(desktop: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The desktop, and this process in its session."""
    for name in ("DISPLAY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, desktop.env[name])
    return desktop


# ---- the door --------------------------------------------------------------------------------------------------------


def test_it_is_shown_and_said_by_whom(session: Any, tmp_path: Path) -> None:
    letter = Letter("Somebody is watching: Porch", "Since 22:14, live video is going out.", urgency=2, expire_ms=0)
    before = tmp_path / "before.png"
    session.picture(before)
    assert show(letter)
    assert (letter.service, letter.error) == ("dunst", "")
    assert letter.shown > 0
    assert session.count() == 1
    until = time.monotonic() + 60
    after = tmp_path / "after.png"
    while time.monotonic() < until:
        session.picture(after)
        if colours(after) > colours(before):
            break
        time.sleep(0.1)
    assert colours(after) > colours(before), "nothing was drawn on the screen"
    assert session.texts() == [("Somebody is watching: Porch", "Since 22:14, live video is going out.")]


def colours(picture: Path) -> int:
    asked = ["identify", "-format", "%k", str(picture)]
    return int(subprocess.run(asked, capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.parametrize(("title", "body"), HOSTILE)
def test_hostile_names_are_shown_as_plain_text(session: Any, title: str, body: str) -> None:
    assert show(Letter(title, body, expire_ms=0))
    ((summary, shown),) = session.texts()
    assert len(summary) <= 60
    assert len(shown) <= 2000
    assert (summary + shown).replace("\n", "").isprintable()
    assert "<" not in shown, "markup from the network would be rendered"
    if title.startswith("<b>"):
        assert shown == "&lt;a href='http://192.0.2.1/'&gt;click&lt;/a&gt; &amp;amp; &lt;i&gt;"


def test_a_service_without_markup_gets_plain_text(session: Any) -> None:
    session.stop()
    session.start(markup="no")
    assert show(Letter("a", "Tom & <Jerry>", expire_ms=0))
    assert session.texts() == [("a", "Tom & <Jerry>")]


def test_replacing_swaps_in_place(session: Any) -> None:
    first = Letter("opened", "b", expire_ms=0)
    assert show(first)
    second = Letter("ended", "b", expire_ms=0, replaces=first.shown, server=first.server)
    assert show(second)
    assert second.shown == first.shown
    assert session.texts() == [("ended", "b")]


def test_an_id_of_a_service_that_restarted_replaces_nothing(session: Any) -> None:
    first = Letter("opened", "b", expire_ms=0)
    assert show(first)
    session.stop()
    session.start()
    other = Letter("of somebody else", "b", expire_ms=0)
    assert show(other)
    second = Letter("ended", "b", expire_ms=0, replaces=other.shown, server=first.server)
    assert show(second)
    assert second.server != first.server
    assert len(session.texts()) == 2


def test_a_dead_service_is_no_success(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for, however long that might be."""
    monkeypatch.setattr(module, "TIMEOUT_S", 600.0)
    session.stop()
    letter = Letter("a", "b")
    assert not show(letter)
    assert letter.error == "no notification service runs in this desktop session"
    assert letter.broken


def test_a_hung_service_costs_two_seconds(session: Any) -> None:
    session.freeze(True)
    letter = Letter("a", "b")
    began = time.monotonic()
    assert not show(letter)
    assert time.monotonic() - began > 1.8
    assert letter.error == "the notification service does not answer (waited 2 s)"


def test_a_hung_bus_costs_little_too(session: Any) -> None:
    session.freeze_bus(True)
    letter = Letter("a", "b")
    began = time.monotonic()
    assert not show(letter)  # or it would hang for ever
    print(f"a bus that hangs costs {time.monotonic() - began:.1f} s")
    assert letter.error
    session.freeze_bus(False)
    assert show(letter)


@pytest.mark.parametrize("address", ["", "unix:path=/nonexistent/bus", "tcp:host=192.0.2.1,port=1", "rubbish"])
def test_no_session_is_said_in_words(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    letter = Letter("a", "b")
    assert not show(letter)
    assert letter.error == "there is no desktop session here (no session bus)"


def test_the_bus_is_found_where_systemd_puts_it(session: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (session.folder / "bus").symlink_to(session.bus.partition("path=")[2].partition(",")[0])
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    assert show(Letter("a", "b"))


# ---- the program -----------------------------------------------------------------------------------------------------


class Companion:
    """`camguard desktop` as its own process, in that session, over a record of its own."""

    def __init__(self, desktop: Any) -> None:
        self.desktop = desktop
        self.state = desktop.folder / "record"
        self.state.mkdir()
        self.store = store.Store.open(self.state / "guard.db")
        self.look()
        self.stderr = desktop.folder / "stderr"
        self.program: subprocess.Popen[bytes] | None = None

    def look(self, age_s: float = 0.0) -> None:
        """The guard's live figures, as if written that long ago."""
        store.write_now(self.state / "now.json", {"time": "2026-11-24T20:00:00.000Z"})
        if age_s:
            text = (self.state / "now.json").read_text()
            stamp = store.read_now(self.state / "now.json")["boottime_s"]
            (self.state / "now.json").write_text(text.replace(str(stamp), str(stamp - age_s)))

    def command(self, *words: str) -> list[str]:
        folders = ["--state-dir", str(self.state), "--runtime-dir", str(self.state)]
        return [str(Path(sys.executable).with_name("camguard")), "desktop", *folders, *words]

    def start(self) -> None:
        with self.stderr.open("ab") as stderr:
            self.program = subprocess.Popen(self.command(), env=self.desktop.env, stderr=stderr)
        memory = self.desktop.folder / "state/camguard/desktop.json"
        wait_for(memory.exists, "the companion did not begin")

    def alert(self, state: str, title: str) -> None:
        body = {"kind": "alert", "id": "a1", "camera": "porch", "state": state, "severity": "critical", "title": title,
                "body": "b", "time": "2026-11-24T20:00:00.000Z", "raised": "2026-11-24T20:00:00.000Z"}  # fmt: skip
        self.look()
        self.store.write([store.Row("alert", 1e9, "porch", "a1", state, body)], durable=True)

    def has_shown_all(self) -> bool:
        """Whether what the record says of the alert so far was on the screen, as far as the companion remembers."""
        memory = json.loads((self.desktop.folder / "state/camguard/desktop.json").read_text())
        last = store.Reader(self.state / "guard.db").last_seq()
        return bool(last) and memory["shown"].get("a1", {}).get("seq", 0) >= last

    def stop(self) -> int:
        assert self.program is not None
        self.program.send_signal(signal.SIGTERM)
        return self.program.wait(60)


def wait_for(what: Callable[[], object], failure: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, failure
        time.sleep(0.05)


@pytest.fixture
def companion(desktop: Any) -> Iterator[Companion]:
    made = Companion(desktop)
    yield made
    made.store.close()
    if made.program is not None and made.program.poll() is None:
        made.program.kill()
        made.program.wait(60)


def shown(desktop: Any) -> list[str]:
    return [summary for summary, _ in desktop.texts()]


def test_an_alert_of_the_record_reaches_the_screen_and_is_replaced(companion: Companion) -> None:
    companion.start()
    began = time.monotonic()
    companion.alert("open", "Somebody is watching: Porch")
    wait_for(companion.desktop.count, "not shown")
    print(f"from commit to screen: {(time.monotonic() - began) * 1000:.0f} ms")
    companion.alert("closed", "Watching ended: Porch")
    wait_for(companion.has_shown_all, "the end was not shown")
    assert companion.desktop.count() == 1
    assert shown(companion.desktop) == ["Watching ended: Porch"]
    assert companion.stop() == 0
    assert companion.stderr.read_text() == ""


def test_one_runs_per_user(companion: Companion) -> None:
    companion.start()
    second = subprocess.run(
        companion.command(), env=companion.desktop.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert second.returncode == 1
    assert second.stderr == "camguard desktop: another camguard desktop runs for this user already. Nothing to do.\n"
    assert companion.stop() == 0


@pytest.mark.parametrize("how", ["dead", "hung"])
def test_a_service_that_fails_delays_an_alert_and_loses_none(companion: Companion, how: str) -> None:
    companion.start()
    if how == "dead":
        companion.desktop.stop()
    else:
        companion.desktop.freeze(True)
    companion.alert("open", "Somebody is watching: Porch")
    wait_for(lambda: "cannot show" in companion.stderr.read_text(), "the failure was not said")
    time.sleep(2.5)
    if how == "dead":
        companion.desktop.start()
    else:
        companion.desktop.freeze(False)
    wait_for(companion.desktop.count, "lost")
    wait_for(lambda: "shown again" in companion.stderr.read_text(), "not taken back")
    assert companion.stderr.read_text().count("cannot show") == 1
    assert companion.stop() == 0
    assert set(shown(companion.desktop)) == {"Somebody is watching: Porch"}


def test_a_guard_that_stopped_and_came_back(companion: Companion) -> None:
    companion.start()
    companion.look(age_s=16.0)
    wait_for(companion.desktop.count, "the stopped guard was not told")
    assert shown(companion.desktop) == ["camguard is not looking at your cameras"]
    companion.look()
    wait_for(companion.desktop.count, "the return was not told")
    assert shown(companion.desktop) == ["camguard is looking again"]
    assert companion.stop() == 0
    assert companion.stderr.read_text().splitlines() == [
        "camguard desktop: camguard has stopped looking.",
        "camguard desktop: camguard is looking again.",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_a_user_who_may_not_read_is_told_so_and_not_that_the_guard_stopped(companion: Companion) -> None:
    (companion.state / "now.json").chmod(0o600)
    with tempfile.TemporaryDirectory() as made:  # pytest's own folders may not be entered by others
        state = Path(made) / "record"
        state.mkdir(mode=0o700)
        home = Path(made) / "home"
        home.mkdir()
        os.chown(home, 65534, 65534)
        Path(made).chmod(0o755)
        env = {"XDG_STATE_HOME": str(home), "PATH": os.environ["PATH"]}
        command = [companion.command()[0], "desktop", "--state-dir", str(state), "--runtime-dir", str(state)]
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        words = companion.desktop.folder / "words"
        with words.open("wb") as stderr:
            program = subprocess.Popen([*user, *command], env=env, stderr=stderr)
        wait_for(lambda: "cannot show notifications" in words.read_text(), "it says nothing")
        time.sleep(2.0)
        program.terminate()
        program.wait(60)
        said = words.read_text()
        memory = json.loads((home / "camguard/desktop.json").read_text())
    assert "you may not read" in said
    assert "cannot show notifications: there is no desktop session here" in said
    assert "not looking" not in said
    assert "has stopped" not in said
    assert memory["stopped_boot"]


def test_sigterm_ends_it_at_once_also_while_the_service_hangs(companion: Companion) -> None:
    companion.start()
    companion.desktop.freeze(True)
    companion.alert("open", "a")
    time.sleep(1.0)
    assert companion.stop() == 0


def test_it_costs_next_to_nothing_at_rest(companion: Companion) -> None:
    companion.start()
    assert companion.program is not None
    time.sleep(1.0)
    before = _cpu_s(companion.program.pid)
    for _ in range(4):
        companion.look()
        time.sleep(1.0)
    share = (_cpu_s(companion.program.pid) - before) / 4
    print(f"companion at rest: {share:.2%} of a core")
    assert share < 0.2, "it turns in circles"
    assert companion.stop() == 0


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_test_shows_one_marked_notification(companion: Companion) -> None:
    done = subprocess.run(
        companion.command("--test"), env=companion.desktop.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Shown by dunst in ")
    assert shown(companion.desktop) == ["Test: camguard can reach you here"]


def test_test_says_plainly_what_is_wrong(companion: Companion) -> None:
    companion.desktop.stop()
    done = subprocess.run(
        companion.command("--test"), env=companion.desktop.env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert done.stderr == (
        "camguard desktop: the test notification was not shown: no notification service runs in this desktop session.\n"
    )


def test_a_folder_that_cannot_be_written_is_one_line(companion: Companion) -> None:
    blocked = companion.desktop.folder / "blocked"
    blocked.write_text("")
    env = companion.desktop.env | {"XDG_STATE_HOME": str(blocked)}
    done = subprocess.run(companion.command(), env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Make it writable" in done.stderr
