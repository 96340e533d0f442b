"""The guard itself, as its unit runs it: an ordinary user with two rights; start, rest, a flood, alerts; its cost.

Loaded by root, its kernel program would be trusted and have no speculation barriers: prettier figures, not true."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.traffic import GATEWAY, mac_of

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65_534
_RIGHTS = "-all,+net_raw,+bpf"
_AS_NOBODY = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--bounding-set={_RIGHTS}",
    f"--inh-caps={_RIGHTS}", f"--ambient-caps={_RIGHTS}", "--no-new-privs",
)  # fmt: skip


class Guard:
    """A running guard on one interface, with its events as they come."""

    def __init__(self, folder: Path, interface: str, cameras: int) -> None:
        config = folder / "camguard.toml"
        config.write_text(
            f'[network]\ngateway = "{GATEWAY.hex(":")}"\n'
            + "".join(
                f'[[camera]]\nname = "cam{number}"\nmac = "{mac_of(number).hex(":")}"\n' for number in range(cameras)
            )
        )
        self.database = folder / "state/guard.db"
        self.folder = folder
        self._out = (folder / "out").open("w+")
        began = time.perf_counter()
        self.process = subprocess.Popen(
            [
                *_AS_NOBODY, str(Path(sys.executable).with_name("camguard")), "guard", "--json",
                "--config", str(config), "--interface", interface,
                "--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run"),
            ],
            stdout=self._out, stderr=subprocess.STDOUT, cwd=ROOT,
        )  # fmt: skip
        while "is looking at" not in self.said():
            if self.process.poll() is not None or time.perf_counter() > began + 20:
                raise RuntimeError(f"the guard did not start: {self.said()}")
            time.sleep(0.002)
        self.ready_s = time.perf_counter() - began

    def said(self) -> str:
        return (self.folder / "out").read_text()

    def events(self, kind: str) -> list[dict[str, object]]:
        lines = [line for line in self.said().splitlines() if line.startswith("{")]
        return [event for line in lines if (event := json.loads(line)).get("kind") == kind]

    def cpu_s(self) -> float:
        """User and system time of all its threads so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def memory_mb(self, what: str) -> float:
        """VmRSS or VmHWM, in MB of 10**6 bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1]) * 1024 / 1e6
        raise LookupError(what)

    def now(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.folder / "run/now.json").read_text())
        return found

    def stop(self) -> int:
        self.process.terminate()
        code = self.process.wait(20)
        self._out.close()
        return code


@contextlib.contextmanager
def guard(folder: Path, interface: str, cameras: int) -> Iterator[Guard]:
    folder.mkdir(parents=True)
    for path in (folder.parent, folder):
        os.chmod(path, 0o755)
    os.chown(folder, NOBODY, NOBODY)
    running = Guard(folder, interface, cameras)
    try:
        yield running
    finally:
        running.stop()
