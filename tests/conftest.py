"""A real desktop session for tests: Xvfb, a bus of its own (that starts no services by itself) and dunst."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BUS_CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:dir={folder}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>
"""
_DUNSTRC = """[global]
    font = Sans 11
    origin = top-right
    offset = 20x20
    width = 460
    height = 300
    notification_limit = 8
    markup = full
    format = "<b>%s</b>\\n%b"
    dbus = true
"""


def _line(read: int) -> str:
    """One whole line from a pipe (Xvfb writes the number and the line end separately, and dies if one is not taken)."""
    with os.fdopen(read) as pipe:
        return pipe.readline().strip()


class Desktop:
    """What a test does with it: `env` for programs, `start` and `stop` of the notification service, `picture`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.service: subprocess.Popen[bytes] | None = None
        self._running: list[subprocess.Popen[bytes]] = []

    def begin(self) -> None:
        """The screen and the bus; nobody shows notifications yet."""
        folder = self.folder
        read, write = os.pipe()
        self._run(["Xvfb", "-displayfd", str(write), "-screen", "0", "1000x700x24", "-nolisten", "tcp"], (write,))
        os.close(write)
        display = _line(read)
        config = folder / "bus.conf"
        config.write_text(_BUS_CONFIG.format(folder=folder))
        read, write = os.pipe()
        self._run(["dbus-daemon", f"--config-file={config}", "--nofork", f"--print-address={write}"], (write,))
        os.close(write)
        self.bus = _line(read)
        assert display, "Xvfb did not start"
        assert self.bus, "dbus-daemon did not start"
        home = {"XDG_STATE_HOME": str(folder / "state"), "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder)}
        self.env = os.environ | home | {"DISPLAY": f":{display}", "DBUS_SESSION_BUS_ADDRESS": self.bus}

    def _run(self, command: list[str], keep: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
        program = subprocess.Popen(command, pass_fds=keep, stderr=subprocess.DEVNULL)
        self._running.append(program)
        return program

    def start(self, markup: str = "full") -> None:
        """Start the notification service and wait until it answers."""
        (self.folder / "dunstrc").write_text(_DUNSTRC.replace("full", markup))
        program = subprocess.Popen(
            ["dunst", "-conf", str(self.folder / "dunstrc")], env=self.env, stderr=subprocess.DEVNULL
        )
        self.service = program
        self._running.append(program)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if "Waiting" in self.ctl("count"):
                return
            assert program.poll() is None, f"dunst ended with {program.returncode}"
            time.sleep(0.05)
        raise AssertionError("dunst does not answer")

    def ctl(self, *words: str) -> str:
        """Ask the service (dunstctl uses its own D-Bus interface, not ours)."""
        return subprocess.run(
            ["dunstctl", *words], env=self.env, capture_output=True, text=True, timeout=60, check=False
        ).stdout.strip()

    def stop(self) -> None:
        assert self.service is not None
        self.service.send_signal(signal.SIGCONT)
        self.service.terminate()
        self.service.wait(60)

    def freeze(self, frozen: bool) -> None:
        assert self.service is not None
        self.service.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def freeze_bus(self, frozen: bool) -> None:
        self._running[1].send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def count(self) -> int:
        """How many notifications are on the screen."""
        return int(self.ctl("count", "displayed") or 0)

    def texts(self) -> list[tuple[str, str]]:
        """(summary, body) of what is on the screen, as the service received it, oldest first; clears the screen."""
        number = self.count()
        self.ctl("close-all")
        (found,) = json.loads(self.ctl("history"))["data"]
        return [(one["summary"]["data"], one["body"]["data"]) for one in reversed(found[:number])]

    def picture(self, path: Path) -> None:
        subprocess.run(
            ["import", "-window", "root", str(path)], env=self.env, check=True, timeout=60, capture_output=True
        )

    def close(self) -> None:
        for program in reversed(self._running):
            program.send_signal(signal.SIGCONT)
            program.terminate()
        for program in self._running:
            program.wait(60)


@contextmanager
def a_desktop(folder: Path) -> Iterator[Desktop]:
    desktop = Desktop(folder)
    try:
        desktop.begin()
        yield desktop
    finally:
        desktop.close()


@pytest.fixture
def desktop(tmp_path: Path) -> Iterator[Desktop]:
    missing = [name for name in ("Xvfb", "dbus-daemon", "dunst", "import") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"no desktop to test with: {', '.join(missing)} not installed (tests/run.sh installs them)")
    with a_desktop(tmp_path) as made:
        made.start()
        yield made


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden/*/expected.jsonl")
