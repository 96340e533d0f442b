"""Is the guard alive: a real receiver, real figures, a real deliver process beside a guard that is killed."""

import asyncio
import contextlib
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import report, store
from camguard.config import Secret
from camguard.events import Alert
from camguard.store.delivery import Ping
from camguard.tell.alive import AWAKE_S, PACE, STALE_S, UPDATE_S, Alive, Pace, Sign, Silence, sign
from tests.tell.receivers import Receiver

ROOT = Path(__file__).resolve().parents[2]
CANARY = "c4n4ry-p1ng-7f"
T = 1_795_000_000.0
NONE = Sign(math.inf)
START_S = PACE.start_s
QUICK = Pace(look_s=0.05, start_s=0.2, ping_s=0.3, again_s=0.1, limit_s=1.0)
PATIENT = QUICK._replace(limit_s=30.0)  # where the other side answers


class Clocks:
    """The three clocks of a machine, moved together; `silence` is asked once a second, as in deliver."""

    def __init__(self, silence: Silence, at: float = 1000.0) -> None:
        self.silence, self.at, self.awake, self.now = silence, at, at, T
        self.said: list[Alert] = []

    def run(self, seconds: float, found: Callable[[float], Sign]) -> None:
        until = self.at + seconds
        while self.at < until:
            self.at, self.awake, self.now = self.at + 1, self.awake + 1, self.now + 1
            alert = self.silence.look(found(self.at), self.at, self.awake, self.now)
            if alert is not None:
                self.said.append(alert)

    def lives(self, seconds: float) -> None:
        self.run(seconds, lambda _: Sign(0.4, T - 100))

    def dead(self, seconds: float) -> None:
        """The figures stay as they are."""
        last = self.at - 0.4
        self.run(seconds, lambda at: Sign(at - last, T - 100))

    def asleep(self, seconds: float) -> None:
        self.at, self.now = self.at + seconds, self.now + seconds


def body(alert: Alert) -> dict[str, Any]:
    return report.as_dict(alert, "Europe/Berlin")


# ---- when it is said -------------------------------------------------------------------------------------------------


def test_said_when_the_figures_are_older_than_15_s_and_not_before() -> None:
    clocks = Clocks(Silence())
    clocks.lives(60)
    clocks.dead(14)
    assert not clocks.said
    clocks.dead(0)
    last = clocks.at - 14.4
    clocks.run(3, lambda at: Sign(at - last))
    (said,) = clocks.said
    assert (said.type, said.severity, said.state, said.camera) == ("guard-blind", "warning", "open", None)
    assert 15.0 <= said.time - said.started < 17.0
    assert body(said)["title"] == "camguard has stopped looking"
    assert "camguard check" in body(said)["body"]


def test_closed_with_the_length_when_it_is_back() -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.dead(240)
    clocks.lives(2)
    opened, closed = clocks.said
    assert (closed.id, closed.state) == (opened.id, "closed")
    assert closed.ended is not None
    assert 239 <= closed.ended - closed.started <= 243
    assert "(4 minutes)" in body(closed)["body"]
    clocks.dead(60)
    assert clocks.said[-1].id != opened.id, "another silence is another matter"


def test_a_restart_of_the_guard_is_no_silence() -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.run(10, lambda _: NONE)  # a clean stop takes the figures away
    clocks.lives(5)
    assert not clocks.said


def test_a_clean_stop_is_said_as_well() -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.run(18, lambda _: NONE)
    (said,) = clocks.said
    assert 14 <= said.time - said.started <= 17, "since the last sign of life"


def test_a_guard_that_never_came_is_given_time_to_start_then_said_since_the_record_ends() -> None:
    clocks = Clocks(Silence(last_look=lambda: T - 7200))
    clocks.run(START_S - 1, lambda _: NONE)
    assert not clocks.said
    clocks.run(3, lambda _: NONE)
    (said,) = clocks.said
    assert said.started == pytest.approx(T - 7200, abs=2)
    first = Clocks(Silence())
    first.run(START_S + 2, lambda _: NONE)
    assert first.said[0].started == pytest.approx(T + 1, abs=1), "nothing is known: since deliver looks"


def test_after_a_suspend_the_guard_has_a_moment_to_write_again() -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    last = clocks.at
    clocks.asleep(8 * 3600)
    clocks.run(AWAKE_S - 1, lambda at: Sign(at - last))
    clocks.lives(5)
    assert not clocks.said
    last = clocks.at
    clocks.asleep(8 * 3600)
    clocks.run(AWAKE_S + 2, lambda at: Sign(at - last))
    assert len(clocks.said) == 1


@pytest.mark.parametrize("jump", [-86_400, 86_400, -40 * 365 * 86_400])
def test_a_set_clock_neither_hurries_nor_hinders_nor_changes_a_length(jump: float) -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.now += jump
    clocks.lives(5)
    assert not clocks.said
    clocks.dead(100)
    clocks.now -= jump
    clocks.dead(0)
    last = clocks.at - 100.4
    clocks.run(20, lambda at: Sign(at - last))
    clocks.lives(1)
    opened, closed = clocks.said
    assert closed.ended is not None
    assert (opened.state, closed.state) == ("open", "closed")
    assert 119 <= closed.ended - closed.started <= 123


def test_updates_come_ever_more_rarely() -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.dead(UPDATE_S * 9)
    states = [(one.state, round((one.time - one.started) / UPDATE_S)) for one in clocks.said[1:]]
    assert states == [("update", 1), ("update", 2), ("update", 4), ("update", 8)]
    assert body(clocks.said[1])["title"].startswith("camguard still does not look: 10 min")


# ---- over a restart of deliver ---------------------------------------------------------------------------------------


def test_a_deliver_that_was_restarted_goes_on_with_the_same_matter() -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.dead(100)
    (opened,) = clocks.said
    again = Clocks(Silence(body(opened)), clocks.at)
    again.now = clocks.now
    last = clocks.at - 100.4
    again.run(100, lambda at: Sign(at - last))
    assert not again.said, "it was said"
    again.lives(1)
    (closed,) = again.said
    assert (closed.id, closed.state) == (opened.id, "closed")
    assert closed.ended is not None
    assert 199 <= closed.ended - closed.started <= 203


def test_what_a_reboot_ended_ends_when_the_guard_looked_again() -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.dead(100)
    (opened,) = clocks.said
    rebooted = Clocks(Silence(body(opened)), 20.0)
    rebooted.now = clocks.now + 3600
    rebooted.run(1, lambda _: Sign(0.2, clocks.now + 600))
    (closed,) = rebooted.said
    assert closed.ended == clocks.now + 600
    assert closed.started == pytest.approx(opened.started, abs=0.01)


@pytest.mark.parametrize("spoiled", [{"raised": None}, {"started": 7}, {"id": None}])
def test_a_damaged_row_is_left_alone(spoiled: dict[str, Any]) -> None:
    clocks = Clocks(Silence())
    clocks.lives(5)
    clocks.dead(20)
    again = Clocks(Silence(body(clocks.said[0]) | spoiled))
    again.lives(5)
    assert not again.said


# ---- the figures -----------------------------------------------------------------------------------------------------


def test_the_sign_of_life_is_read_from_the_figures(tmp_path: Path) -> None:
    path = tmp_path / "now.json"
    assert sign(path) == NONE
    store.write_now(path, {"since": "2026-11-24T20:14:03.000Z"})
    found = sign(path)
    assert found.age_s < 1.0
    assert found.since == store.seconds("2026-11-24T20:14:03.000Z")
    for spoiled in ("", "[]", '{"boottime_s": "soon"}', '{"boot_id": "another", "boottime_s": 1}', "\x00" * 5000):
        path.write_text(spoiled)
        assert sign(path).age_s == math.inf


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not read")
def test_figures_that_may_not_be_read_are_said_as_that(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    hidden = tmp_path / "run"
    hidden.mkdir(mode=0o700)
    store.write_now(hidden / "now.json", {})
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setresuid(65534, 65534, 65534)
            code = 0 if sign(hidden / "now.json") == Sign(math.inf, None, True) else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    clocks = Clocks(Silence())
    clocks.run(START_S + 2, lambda _: Sign(math.inf, None, True))
    assert body(clocks.said[0])["title"] == "camguard cannot tell you here"
    again = Clocks(Silence(body(clocks.said[0])))
    again.lives(1)
    assert body(again.said[0])["title"] == "camguard can tell you here again"


# ---- the ping --------------------------------------------------------------------------------------------------------


class Watched:
    """The figures of a guard, and the ping as a task, as deliver runs it."""

    def __init__(self, folder: Path, url: str, pace: Pace = QUICK) -> None:
        self.now = folder / "now.json"
        self.said: list[str] = []
        self.raised: list[dict[str, object]] = []
        self.noted: list[Ping] = []
        self.secret = folder / "ping.url"
        self.secret.write_text(url)
        self.alive = Alive(
            self.now,
            folder / "guard.db",
            self.raised.append,
            ping=Secret(file=self.secret),
            say=self.said.append,
            pace=pace,
            note=self.noted.append,
        )

    async def run(self, until: float | Callable[[], object], lives: bool = True) -> None:
        """For so many seconds, or until that is true."""
        task = asyncio.create_task(self.alive.ping())
        end = time.monotonic() + (60.0 if callable(until) else until)
        while time.monotonic() < end and not (callable(until) and until()):
            if lives:
                store.write_now(self.now, {})
            await asyncio.sleep(0.05)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_pinged_every_so_often_while_the_guard_looks(tmp_path: Path, receiver: Receiver) -> None:
    assert PACE.ping_s == 300.0
    watched = Watched(tmp_path, receiver.url(f"/ping/{CANARY}?rid=1"), PATIENT)
    began = time.monotonic()
    asyncio.run(watched.run(lambda: len(receiver.got) >= 4))
    assert 4 <= len(receiver.got) <= (time.monotonic() - began) / QUICK.ping_s + 1
    assert {one.path for one in receiver.got} == {f"/ping/{CANARY}?rid=1"}, "never another one, such as /fail"
    assert {one.body for one in receiver.got} == {b""}, "nothing of the home goes out with it"
    assert not watched.said


def test_nothing_is_sent_while_the_guard_does_not_look(tmp_path: Path, receiver: Receiver) -> None:
    watched = Watched(tmp_path, receiver.url(), PATIENT)
    asyncio.run(watched.run(0.5, lives=False))
    watched.now.write_text(json.dumps({"boot_id": store.boot_id(), "boottime_s": store.boottime_s() - STALE_S}))
    asyncio.run(watched.run(0.5, lives=False))
    assert receiver.tries == 0
    asyncio.run(watched.run(lambda: receiver.tries))
    assert receiver.tries > 0


@pytest.mark.parametrize("how", ["500", "404", "302", "cut", "garbage", "hang", "drip", "refused"])
def test_a_watch_service_out_of_order_is_said_once_without_its_address_and_again_when_it_works(
    tmp_path: Path, receiver: Receiver, how: str
) -> None:
    receiver.how = how
    url = receiver.url(f"/{CANARY}")
    watched = Watched(tmp_path, f"http://127.0.0.1:1/{CANARY}" if how == "refused" else url)
    asyncio.run(watched.run(lambda: len(watched.noted) >= 3))
    assert len(watched.said) == 1, watched.said
    assert watched.said[0].startswith("the watch service ([alive]) was not reached: ")
    assert {(one.last, one.since) for one in watched.noted} == {(None, watched.noted[0].since)}, "since the first"
    assert str(watched.noted[0].error) in watched.said[0]
    receiver.how = "ok"
    watched.secret.write_text(url)  # read again for each try: a secret may be put right
    asyncio.run(watched.run(lambda: len(watched.said) >= 2))
    assert watched.said[1:] == ["the watch service ([alive]) is reached again."]
    assert (watched.noted[-1].error, watched.noted[-1].since) == (None, None)
    assert abs(time.time() - (watched.noted[-1].last or 0.0)) < 60
    assert not [words for words in [*watched.said, *map(str, watched.noted)] if CANARY in words or "127.0.0.1" in words]


def test_a_hanging_watch_service_holds_up_no_alert(tmp_path: Path) -> None:
    hanging = Receiver("hang")
    watched = Watched(tmp_path, hanging.url(), QUICK._replace(limit_s=600.0))
    made = watched.alive

    async def both() -> None:
        store.write_now(watched.now, {})
        ping = asyncio.create_task(made.ping())
        async with asyncio.timeout(60):
            while not hanging.tries:
                await asyncio.sleep(0.02)
            watched.now.unlink()
            watch = asyncio.create_task(made.watch())
            while not watched.raised:
                await asyncio.sleep(0.02)
        assert not ping.done()
        for task in (ping, watch):
            task.cancel()
        await asyncio.gather(ping, watch, return_exceptions=True)

    asyncio.run(both())
    hanging.close()
    assert [one["title"] for one in watched.raised] == ["camguard has stopped looking"]


def test_a_secret_that_is_not_there_is_said_by_its_place(tmp_path: Path) -> None:
    watched = Watched(tmp_path, CANARY)
    watched.secret.unlink()
    asyncio.run(watched.run(lambda: watched.said))
    (said,) = watched.said
    assert str(watched.secret) in said
    watched.secret.write_text(f"not-an-address-{CANARY}")
    asyncio.run(watched.run(lambda: len(watched.said) >= 2))
    assert len(watched.said) == 2
    assert CANARY not in watched.said[1]


# ---- the whole of deliver --------------------------------------------------------------------------------------------


def test_a_guard_that_is_killed_is_told_and_its_return_with_the_length(tmp_path: Path, receiver: Receiver) -> None:
    """A process stands for the guard: it writes the figures each second until it is killed with -9."""
    state, runtime = tmp_path / "state", tmp_path / "run"
    for folder in (state, runtime):
        folder.mkdir()
    store.Store.open(state / "guard.db").close()
    (tmp_path / "ping.url").write_text(receiver.url(f"/ping/{CANARY}"))
    config = tmp_path / "camguard.toml"
    config.write_text(
        f'[home]\ntimezone = "Europe/Berlin"\n[[notify]]\nwebhook = "{receiver.url("/hook")}"\n'
        f'[alive]\nping_url_file = "{tmp_path / "ping.url"}"\n'
    )
    deliver = subprocess.Popen(
        [sys.executable, "-m", "camguard.cli", "deliver", "--config", config, "--state-dir", state,
         "--runtime-dir", runtime],
        cwd=ROOT, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    write = (
        "import sys, time, pathlib; from camguard import store\n"
        "while True: store.write_now(pathlib.Path(sys.argv[1]), {}); time.sleep(0.5)"
    )

    def guard() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", write, runtime / "now.json"], cwd=ROOT)

    running = guard()
    try:
        pinged_by = time.monotonic() + 60
        while not [one for one in receiver.got if one.path.startswith("/ping")] and time.monotonic() < pinged_by:
            time.sleep(0.1)
        running.send_signal(signal.SIGKILL)
        running.wait()
        killed_at = time.monotonic()

        def hooks() -> list[dict[str, Any]]:
            return [one.json for one in receiver.got if one.path == "/hook"]

        while not hooks() and time.monotonic() < killed_at + 60:
            time.sleep(0.1)
        told_s = time.monotonic() - killed_at
        running = guard()
        while len(hooks()) < 2 and time.monotonic() < killed_at + 120:
            time.sleep(0.1)
    finally:
        running.kill()
        running.wait()
        deliver.send_signal(signal.SIGTERM)
        _, errors = deliver.communicate(timeout=60)
    assert [(one["type"], one["state"], one["severity"]) for one in hooks()] == [
        ("guard-blind", "open", "warning"), ("guard-blind", "closed", "warning"),
    ]  # fmt: skip
    print(f"a killed guard is told after {told_s:.1f} s")
    assert told_s > 14.0
    assert hooks()[0]["id"] == hooks()[1]["id"]
    assert re.search(r"\(.*(second|minute)s?\)", hooks()[1]["body"])
    assert len([one for one in receiver.got if one.path == f"/ping/{CANARY}"]) == 1
    assert CANARY not in errors
    assert "camguard has stopped looking." in errors
