"""The guard as a process: ready, told, committed, stopped, reloaded, watched, killed. Only the tap is a file."""

import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from camguard import store
from camguard.store import Reader

SAMPLES = Path(__file__).parents[2] / "camguard" / "samples"
HERE = Path(__file__).parent


class Guard:
    """One running guard over a sample, with a real service manager's socket. `by`: words before the command."""

    def __init__(
        self,
        folder: Path,
        sample: str = "outsider.pcap",
        *more: str,
        watchdog_s: float | None = None,
        env: dict[str, str] | None = None,
        by: Sequence[str] = (),
    ) -> None:
        self.state, self.runtime, self.config = folder / "state", folder / "run", folder / "camguard.toml"
        self.database = self.state / "guard.db"
        if not self.config.exists():
            self.config.write_text((SAMPLES / "home.toml").read_text())
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = f"camguard-test-{os.getpid()}-{id(self)}"
        self.manager.bind(f"\0{name}")
        env = os.environ | {"NOTIFY_SOCKET": f"@{name}"} | (env or {})
        if watchdog_s:
            env["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        command = [*by, sys.executable, str(HERE / "a_guard.py"), str(SAMPLES / sample), str(self.config)]
        self.process = subprocess.Popen(
            [*command, str(self.state), str(self.runtime), *more],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
        )  # fmt: skip
        self.printed = b""

    def line(self, words: str, within_s: float = 60.0) -> str:
        """The next line of stdout with `words` in it."""
        assert self.process.stdout is not None
        until, seen = time.monotonic() + within_s, []
        while True:
            text, end, rest = self.printed.partition(b"\n")
            if end:
                self.printed = rest
                if words in text.decode():
                    return text.decode()
                seen.append(text.decode())
                continue
            if not select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                break
            more = os.read(self.process.stdout.fileno(), 65536)
            if not more:
                break
            self.printed += more
        raise AssertionError(
            f"no line with {words!r}: {seen} {self.errors() if self.process.poll() is not None else ''}"
        )

    def heard(self, within_s: float) -> str | None:
        """The next words to the service manager."""
        return self.manager.recv(4096).decode() if select.select([self.manager], [], [], within_s)[0] else None

    def now(self) -> dict[str, Any]:
        found = store.read_now(self.runtime / "now.json")
        assert found, "no live figures"
        return found

    def until(self, wanted: Callable[[dict[str, Any]], object], within_s: float = 60.0) -> dict[str, Any]:
        """The live figures as soon as they are as `wanted`: a machine that is busy shows them later."""
        until = time.monotonic() + within_s
        while not wanted(store.read_now(self.runtime / "now.json") or {}):
            assert time.monotonic() < until, self.now()
            time.sleep(0.1)
        return self.now()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        self.manager.close()


def viewings(alerts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the way in by which the sample's outsider comes: it is a matter of its own."""
    return [one for one in alerts if one["type"] != "exposed-port"]


@pytest.fixture
def guards(tmp_path: Path) -> Iterator[Any]:
    made: list[Guard] = []

    def start(*more: Any, **options: Any) -> Guard:
        made.append(Guard(tmp_path, *more, **options))
        return made[-1]

    yield start
    for guard in made:
        guard.close()


def test_from_ready_to_a_clean_stop(guards: Any) -> None:
    guard = guards()
    assert guard.line("looking") == "camguard is looking at file0: 1 camera, 0 problems"
    assert guard.heard(60) == "READY=1\nSTATUS=camguard is looking at file0: 1 camera, 0 problems"

    guard.line("critical: Somebody is watching: Sample camera")
    (alert,) = viewings(Reader(guard.database).open_alerts())  # told only after it was committed
    assert alert["type"] == "remote-stream"

    now = guard.until(lambda now: now.get("alerts") and now["cameras"][0]["up_kbps"] > 50)
    assert store.now_age_s(now) < 60.0
    assert [body["id"] for body in viewings(now["alerts"])] == [alert["id"]]
    assert [body["class"] for body in now["sessions"]] == ["stream"]
    (camera,) = now["cameras"]
    assert camera["name"] == "Sample camera"
    assert now["health"]["rss_mb"] > 5

    assert guard.stop() == 0
    assert guard.heard(60) == "STOPPING=1"
    assert not (guard.runtime / "now.json").exists()
    reader = Reader(guard.database)
    assert "guard-start" in [body["what"] for body in reader.log(kinds=("notice",))]
    assert reader.runs()[-1].ended is not None
    assert reader.devices(), "devices seen on the link are kept"


def test_json_lines_are_the_events(guards: Any) -> None:
    guard = guards("outsider.pcap", "--json")
    alert = json.loads(guard.line('"kind":"alert"'))
    assert viewings(Reader(guard.database).open_alerts()) == [alert]
    assert guard.stop() == 0
    assert guard.process.stdout is not None
    for text in (guard.printed + guard.process.stdout.read()).splitlines():
        assert "kind" in json.loads(text)
    assert "camguard is looking at file0: 1 camera, 0 problems" in guard.errors()


def test_killed_and_back_the_alert_goes_on_and_the_gap_is_told(guards: Any) -> None:
    guard = guards()
    guard.line("critical:")
    before = viewings(Reader(guard.database).open_alerts())
    time.sleep(1.1)
    guard.process.kill()
    guard.process.wait()
    died = time.time()
    time.sleep(1.5)
    again = guards("quiet.pcap")
    again.line("camguard did not look")
    again.line("looking")
    now = again.until(lambda now: now.get("alerts"))
    assert [body["id"] for body in viewings(now["alerts"])] == [body["id"] for body in before]
    reader = Reader(again.database)
    assert [body["id"] for body in viewings(reader.open_alerts())] == [body["id"] for body in before]
    (left,) = [body for body in reader.sessions() if body["peer"]["ip"] == before[0]["peer"]["ip"]]
    assert left["state"] == "closed"
    assert abs((store.seconds(left["ended"]) or 0) - died) < 30.0, "ended when the guard last looked"
    assert again.stop() == 0
    looked = reader.looked(died - 60, time.time())
    assert any(1.0 < end - begin < 200.0 for begin, end in looked.gaps)


def test_reload_takes_a_good_file_and_keeps_the_old_one_over_a_bad(guards: Any) -> None:
    guard = guards("quiet.pcap")
    guard.line("looking")
    assert (guard.heard(60) or "").startswith("READY=1")
    guard.config.write_text(guard.config.read_text() + '\n[[camera]]\nname = "porch"\nmac = "02:5a:00:00:00:77"\n')
    guard.process.send_signal(signal.SIGHUP)
    assert guard.line("looking") == "camguard is looking at file0: 2 cameras, 0 problems"
    words = guard.heard(60) or ""
    assert words.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert abs(int(words.split("=")[-1]) / 1e6 - time.monotonic()) < 60
    assert (guard.heard(60) or "").startswith("READY=1")
    now = guard.until(lambda now: len(now.get("cameras", ())) == 2)
    looked_at = {camera["name"]: camera["since"] for camera in now["cameras"]}
    assert list(looked_at) == ["Sample camera", "porch"]
    assert guard.now()["since"] == looked_at["Sample camera"] < looked_at["porch"], "each since it was added"

    guard.config.write_text("[[kamera]]\n")
    guard.process.send_signal(signal.SIGHUP)
    assert guard.line("looking") == "camguard is looking at file0: 2 cameras, 1 problem"
    assert "kamera" in guard.until(lambda now: now.get("problems"))["problems"][0]
    assert guard.stop() == 0
    assert "kamera" in guard.errors()


def test_the_watchdog_is_fed_and_starves_when_the_process_stands(guards: Any) -> None:
    guard = guards("quiet.pcap", watchdog_s=3)
    guard.line("looking")
    pings = [guard.heard(60) for _ in range(4)]
    assert pings.count("WATCHDOG=1") >= 2, pings
    guard.process.send_signal(signal.SIGSTOP)
    while guard.heard(0.1):
        pass
    assert guard.heard(6.5) is None, "a stopped guard fed its watchdog"
    guard.process.send_signal(signal.SIGCONT)
    assert "WATCHDOG=1" in (guard.heard(60) or "")
    guard.line("camguard did not look")
    assert guard.stop() == 0
    gaps = Reader(guard.database).looked(time.time() - 60, time.time()).gaps
    assert any(5.0 < end - begin < 200.0 for begin, end in gaps), gaps


def test_a_writer_that_hangs_starves_the_watchdog_but_not_the_alert(guards: Any) -> None:
    guard = guards("outsider.pcap", watchdog_s=3)
    guard.line("looking")
    other = sqlite3.connect(guard.database, isolation_level=None, timeout=60)
    until = time.monotonic() + 60
    while other.execute("SELECT 1 FROM runs WHERE beat > started").fetchone() is None:
        assert time.monotonic() < until  # what the start has to write is written: nothing else is ahead of the alert
        time.sleep(0.05)
    other.execute("BEGIN IMMEDIATE")  # somebody holds the lock of the file: every write waits, then fails
    guard.line("critical:")  # said all the same, after the tries of whatever else was to be written first
    silent, until = 0.0, time.monotonic() + 60
    while silent <= 1.5 and time.monotonic() < until:
        begun = time.monotonic()
        guard.heard(4.0)
        silent = max(silent, time.monotonic() - begun)
    assert silent > 1.5, "the watchdog was fed as if the writer answered"
    guard.until(lambda now: any("Nothing can be recorded" in problem for problem in now.get("problems", ())))
    other.execute("COMMIT")
    other.close()
    assert guard.stop() == 0
    assert [body["type"] for body in viewings(Reader(guard.database).alerts())] == ["remote-stream"], (
        "kept, and written later"
    )


@pytest.mark.parametrize("trouble", ["read", "collect"])
def test_a_fault_is_counted_said_once_and_shown(guards: Any, trouble: str) -> None:
    guard = guards("quiet.pcap", trouble, watchdog_s=3)
    guard.line("looking")
    time.sleep(5.5)
    guard.until(lambda now: any("fault inside camguard" in problem for problem in now.get("problems", ())))
    assert guard.until(lambda now: now["counters"]["errors"] >= 2)
    heard = [word for word in iter(lambda: guard.heard(0.1), None) if word == "WATCHDOG=1"]
    if trouble == "collect":
        assert not heard, "the counters could not be read, and the watchdog was fed"
    assert guard.stop() == 0
    assert guard.errors().count("a fault was caught") == 1


def test_without_a_store_alerts_are_said_and_the_problem_shown(guards: Any, tmp_path: Path) -> None:
    (tmp_path / "state" / "guard.db").mkdir(parents=True)
    guard = guards()
    assert guard.line("looking") == "camguard is looking at file0: 1 camera, 1 problem"
    guard.line("critical: Somebody is watching")
    now = guard.until(lambda now: now.get("alerts"))
    assert any("Nothing can be recorded" in problem for problem in now["problems"])
    assert len(viewings(now["alerts"])) == 1
    assert guard.stop() == 0


def test_a_second_guard_on_the_same_store_ends_with_one_line(guards: Any) -> None:
    guard = guards("quiet.pcap")
    guard.line("looking")
    second = guards("quiet.pcap")
    assert second.process.wait(60) == 1
    (said,) = second.errors().splitlines()
    assert "another camguard" in said
    assert guard.stop() == 0


def test_when_the_reader_of_the_lines_goes_the_guard_ends(guards: Any) -> None:
    guard = guards()
    guard.line("looking")
    assert guard.process.stdout is not None
    guard.process.stdout.close()
    assert guard.process.wait(60) == 0


FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")


@pytest.mark.skipif(not FAKETIME.exists(), reason="faketime is not installed (tests/run.sh installs it)")
def test_the_wall_clock_jumps_by_a_day_and_back(guards: Any, tmp_path: Path) -> None:
    """Said each time; the alert under way goes on under its id, and how long the guard looked is not moved by it."""
    clock = tmp_path / "clock"
    clock.write_text("+0")
    env = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1"}
    guard = guards(env=env | {"DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    guard.line("looking")
    guard.line("critical:")
    (alert,) = viewings(Reader(guard.database).open_alerts())
    clock.write_text("+1d")
    assert "forward by 1 d" in guard.line("the clock was set")
    clock.write_text("+0")
    assert "back by 1 d" in guard.line("the clock was set")
    now = guard.until(lambda now: now.get("alerts"))
    assert store.now_age_s(now) < 60.0
    assert [body["id"] for body in viewings(now["alerts"])] == [alert["id"]]
    assert guard.stop() == 0
    reader = Reader(guard.database)
    assert len(viewings(reader.alerts())) == 1
    assert [body["what"] for body in reader.log(kinds=("notice",))].count("clock") == 2
    lengths = [(run.ended or run.beat) - run.started for run in reader.runs()]
    assert len(lengths) == 3
    assert 2.0 < sum(lengths) < 1000.0, lengths  # a day is 86,400
