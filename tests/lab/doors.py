"""A home whose camera has doors at which one can log in: a laptop at home, a stranger outside, and the guard.

The right password and every wrong one hold the word Canary, so that it can be looked for in what camguard wrote.
"""

import base64
import itertools
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.gate import missing
from tests.lab.home import Home, LanHost, OutsideHost, wait_for
from tests.lab.record import ROOT, discard, guard_argv, temporary

USER, PASSWORD = "viewer", "lab-Canary-77"
WRONG = [f"wrong-Canary-{number}" for number in range(12)]
CAMERA_MAC, LAPTOP_MAC, ROUTER_MAC = "02:00:00:00:77:01", "02:00:00:00:77:02", "02:00:00:00:77:fe"
_numbers = itertools.count()


@dataclass
class Doors:
    """The home with its camera ("door") and its laptop, and who is outside."""

    home: Home
    stranger: OutsideHost

    @property
    def outside(self) -> str:
        return self.stranger.wan_ip

    @property
    def camera(self) -> LanHost:
        return self.home.lan["door"]

    @property
    def laptop(self) -> LanHost:
        return self.home.lan["laptop"]

    def look(self) -> None:
        """The guard begins to look."""
        folder = self.home.folder
        (folder / "camguard.toml").write_text(
            '[home]\ntimezone = "UTC"\n[network]\ninterface = "br-lan"\n'
            f'[[camera]]\nname = "door"\nmac = "{CAMERA_MAC}"\n'
        )
        argv = " ".join(guard_argv(folder, ordinary_user=False))
        self.home.start(self.home.router, ["sh", "-c", f"cd {ROOT} && exec {argv} > {folder}/events.jsonl"], "guard")
        wait_for(folder / "guard.log", "camguard is looking", 60)

    def run(self, ns: str, *argv: str, wait_s: float = 120, more: Mapping[str, str] | None = None) -> str:
        """A program in a namespace, to its end; what it printed. `more`: variables of its environment."""
        done = subprocess.run(
            ["ip", "netns", "exec", ns, *argv], capture_output=True, text=True, timeout=wait_s, check=False,
            stdin=subprocess.DEVNULL, cwd=self.home.folder, env={**os.environ, **(more or {})},
        )  # fmt: skip
        (self.home.folder / f"ran-{next(_numbers)}.log").write_text(f"{argv}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def hydra(self, right_at: int | None, *target: str, tasks: int = 1) -> str:
        """hydra from outside with a list of passwords in which the right one is at place `right_at` (from 1)."""
        words = self.home.folder / f"words-{next(_numbers)}"
        listed = WRONG if right_at is None else [*WRONG[: right_at - 1], PASSWORD, *WRONG[right_at - 1 :]]
        words.write_text("\n".join(listed) + "\n")
        options = ("-I", "-f", "-t", str(tasks), "-w", "5", "-l", USER, "-P", str(words))
        return self.run(self.stranger.ns, "hydra", *options, *target)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """What the guard told so far."""
        lines = (self.home.folder / "events.jsonl").read_text().splitlines()
        return [made for made in map(json.loads, lines) if made["kind"] == kind]

    def logins(self, service: str, since: int = 0) -> Counter[str]:
        """The outcomes of the logins at this service, from the `since`th login of all on."""
        return Counter(one["outcome"] for one in self.events("login")[since:] if one["service"] == service)

    def told_secrets(self) -> list[str]:
        """The files of the guard in which a password stands, plain or as Basic has it."""
        folder = self.home.folder
        found = []
        for path in [
            folder / "events.jsonl",
            folder / "guard.log",
            *(folder / "state").rglob("*"),
            *(folder / "run").rglob("*"),
        ]:
            data = path.read_bytes() if path.is_file() else b""
            basic = base64.b64encode(f"{USER}:{PASSWORD}".encode())
            found += [path.name for word in (b"Canary", basic) if word in data]
        return found


@contextmanager
def a_home_with_doors(name: str, forwards: Mapping[int, int], *programs: str) -> Iterator[Doors]:
    """`forwards`: the router's port -> the camera's; `programs`: what must be installed besides hydra. The guard looks
    when `Doors.look` says so. With CAMGUARD_LAB_KEEP the folder is kept there, under `name`."""
    if reason := missing():
        pytest.skip(reason)
    for program in ("hydra", *programs):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            pytest.skip(f"the lab needs {program} (tests/run.sh installs it)")
    folder = temporary()
    os.chmod(folder, 0o755)
    home = Home(folder, f"cg{name[:3]}{os.getpid()}", ROUTER_MAC)
    try:
        home.open()
        camera = home.add_lan("door", CAMERA_MAC)
        home.add_lan("laptop", LAPTOP_MAC)
        stranger = home.add_outside("stranger")
        for outer, inner in forwards.items():
            home.forward(stranger, outer, camera, inner)
        home.serve({})
        yield Doors(home, stranger)
    finally:
        home.close()
        if keep := os.environ.get("CAMGUARD_LAB_KEEP"):
            shutil.copytree(folder, Path(keep) / name, dirs_exist_ok=True)
        discard(folder)
