"""Which desktop companions follow a record now, of whatever user: for `camguard check`.

A companion holds a flock on its own desktop.lock, which says which record it follows; /proc/locks (proc(5)) shows
everybody who holds one. What this user may not read of another user's companion is taken as the usual.
"""

import contextlib
import json
import pwd
from dataclasses import dataclass
from pathlib import Path

import psutil

from camguard import config
from camguard.config import Paths


@dataclass(frozen=True)
class Follower:
    """A companion that runs. `failing`: why its last notification was not shown, None if it was or is not known."""

    pid: int
    user: str
    failing: str | None


def followers(paths: Paths) -> list[Follower]:
    """The companions, of any user, that follow this store now (for `camguard check`)."""
    found = []
    holders = _flock_holders()
    for process in psutil.process_iter(["pid", "username", "cmdline", "uids"]):
        words = process.info["cmdline"] or []
        if "desktop" not in words or not any("camguard" in Path(word).name for word in words[:3]):
            continue
        if process.pid not in holders:  # it is starting, or it was refused, or it only runs a test
            continue
        folder = _folder_of(process)
        if _record_of(folder, words) != str(paths.database.absolute()):
            continue
        failing = None
        with contextlib.suppress(OSError, ValueError):
            failing = json.loads((folder / "desktop.json").read_text()).get("failing") or None
        found.append(Follower(process.pid, process.info["username"], failing))
    return found


def _record_of(folder: Path, words: list[str]) -> str:
    """Which record it follows: as its lock says, else (another user's) as its command line does, else the usual one."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        return str(json.loads((folder / "desktop.lock").read_text())["database"])
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == "--state-dir":
            return str(Path(after) / "guard.db")
        if word.startswith("--state-dir="):
            return str(Path(word.partition("=")[2]) / "guard.db")
    return str(config.paths().database.absolute())


def _folder_of(process: psutil.Process) -> Path:
    """Where that process keeps its file: as its environment says if we may read it, else the usual place."""
    with contextlib.suppress(psutil.Error, OSError):
        if state := process.environ().get("XDG_STATE_HOME"):
            return Path(state) / "camguard"
    with contextlib.suppress(psutil.Error, KeyError):
        return Path(pwd.getpwuid(process.uids().real).pw_dir) / ".local/state/camguard"
    return Path("/nonexistent")


def _flock_holders() -> set[int]:
    """Processes that hold a flock, from /proc/locks (proc(5)): readable for everybody."""
    holders = set()
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            parts = line.split()
            if len(parts) > 4 and parts[1] == "FLOCK":
                holders.add(int(parts[4]))
    return holders
