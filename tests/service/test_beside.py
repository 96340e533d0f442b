"""The messenger beside the guard: it starts where there is something to send, and ends with the guard, however that
one ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from camguard.config import Channel, Config, Paths, Secret
from camguard.errors import ConfigError
from camguard.service import beside

CHANNEL = Channel("ntfy", "apprise", Secret(file=Path("/x")))

#: A guard that starts a messenger and then does as it is told; the messenger writes down its id and how it ended.
GUARD = """
import os, signal, sys, time
from pathlib import Path
from camguard.config import Channel, Config, Paths
from camguard.service import beside

folder, what = Path(sys.argv[1]), sys.argv[2]

def deliver(config, paths):
    def end(*_):
        (folder / "ended").write_text("by SIGTERM")
        raise SystemExit(0)
    if what in ("stubborn", "fails"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, end)
    (folder / "new").write_text(str(os.getpid()))
    (folder / "new").rename(folder / "messenger")
    if what == "fails":
        raise RuntimeError("what may be a secret")
    time.sleep(600)
    return 0

if what == "stubborn":
    beside.END_S = 0.5
config = Config(channels=(Channel("ntfy", "apprise"),))
made = beside.start(lambda: config, Paths(folder / "c", folder / "s", folder / "r"), deliver)
assert made is not None
while not (folder / "messenger").exists():
    time.sleep(0.01)
if what == "waits":
    time.sleep(600)
made.close()
print("closed", flush=True)
"""


def gone(pid: int, within_s: float = 60.0) -> bool:
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def start(folder: Path, what: str) -> subprocess.Popen[str]:
    program = subprocess.Popen(
        [sys.executable, "-c", GUARD, str(folder), what], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until = time.monotonic() + 60
    while not (folder / "messenger").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    return program


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_the_guard_however_that_one_ends(tmp_path: Path, number: signal.Signals) -> None:
    guard = start(tmp_path, "waits")
    messenger = int((tmp_path / "messenger").read_text())
    assert messenger != guard.pid
    assert not gone(messenger, 0.2)
    guard.send_signal(number)
    guard.communicate(timeout=60)
    assert gone(messenger)
    assert (tmp_path / "ended").read_text() == "by SIGTERM", "it had the time to come to its end"


def test_the_guard_ends_it_and_waits_for_it(tmp_path: Path) -> None:
    guard = start(tmp_path, "closes")
    out, err = guard.communicate(timeout=60)
    assert (out, err, guard.returncode) == ("closed\n", "", 0)
    assert (tmp_path / "ended").exists()


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    guard = start(tmp_path, "stubborn")
    messenger = int((tmp_path / "messenger").read_text())
    out, _ = guard.communicate(timeout=60)
    assert out == "closed\n"
    assert gone(messenger)


def test_a_fault_of_it_is_told_and_is_not_the_guards(tmp_path: Path) -> None:
    guard = start(tmp_path, "fails")
    out, err = guard.communicate(timeout=60)
    assert (out, guard.returncode) == ("closed\n", 0)
    assert err == "camguard: messages are not sent: a fault in deliver (RuntimeError). Please report this.\n"


def test_there_is_none_where_nothing_is_to_be_sent(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "c", tmp_path / "s", tmp_path / "r")

    def wrong() -> Config:
        raise ConfigError("c: camera[1].mak: unknown key.")

    def never(*_: object) -> int:
        (tmp_path / "called").touch()
        return 0

    children = psutil.Process().children()
    assert beside.start(Config, paths, never) is None
    assert beside.start(wrong, paths, never) is None
    assert not (tmp_path / "called").exists()
    assert psutil.Process().children() == children, "nothing is left behind"


def test_what_there_is_to_send_to() -> None:
    assert not beside.has_work(Config())
    assert beside.has_work(Config(channels=(CHANNEL,)))
    assert beside.has_work(Config(ping=Secret(env="X")))
