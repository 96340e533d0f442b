"""A Debian machine with a real systemd, booted by systemd-nspawn in a network namespace of its own (root; lab.md).

The root file system is made once by debootstrap, with the packages that install.sh asks for already in it, and the
Python packages once as wheels; both are kept in a cache folder outside of the repository. What is not tried this way is
therefore the downloading itself: .ci/run does that on the host. Each Machine is an overlay above the cached root, so
nothing of one test run is there in the next.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parents[2]
PACKAGES = (
    "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,"
    "python3,python3-venv,libbpf1,acl,ca-certificates,tzdata,iproute2,sudo"
)
TOOLS = ("systemd-nspawn", "debootstrap", "nsenter", "ip", "setpriv")


def missing_tools() -> list[str]:
    """Programs that a Machine needs and this host has not; tests/run.sh installs them."""
    return [tool for tool in TOOLS if shutil.which(tool) is None]


def cache() -> Path:
    """Where the root file system and the wheels are kept between runs."""
    named = os.environ.get("CAMGUARD_TEST_CACHE") or os.environ.get("XDG_CACHE_HOME")
    folder = Path(named) / "camguard-tests" if named else Path("/var/cache/camguard-tests")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def made_once(name: str, key: str, command: list[str]) -> Path:
    """The folder cache()/name-<hash of key>; `command`, with the folder's name appended, makes it if it is missing."""
    folder = cache() / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = folder.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)
            done = subprocess.run([*command, str(part)], capture_output=True, text=True, timeout=1500, check=False)
            assert done.returncode == 0, f"{command[0]} failed:\n{(done.stdout + done.stderr)[-3000:]}"
            part.rename(folder)
    return folder


def suite() -> str:
    """The Debian of the machine: the host's own, so that wheels made here fit the Python there; else Debian 12."""
    named = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    return named if named in {"bookworm", "trixie"} else "bookworm"


def root_folder() -> Path:
    """A minimal Debian with what install.sh needs; about 45 s to make, 350 MB."""
    build = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite()]
    return made_once("debian", " ".join(build), build)


def wheels() -> Path:
    """The Python packages of pyproject.toml, and what building needs, as wheels for the machine's Python."""
    project = tomllib.loads((REPO / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    pip = [sys.executable, "-m", "pip", "wheel", "-q", *wanted, "-w"]
    return made_once("wheels", "\n".join([sys.version, *wanted]), pip)


class Machine:
    """A booted machine; `run` runs a command in it. Its interface cam0 has a cable that ends in cam1, also in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.space = f"cgm{os.getpid()}"
        self.root = folder / "root"
        self.nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0
        self.state = ""

    def start(self) -> None:
        for name in ("upper", "work", "root"):
            (self.folder / name).mkdir()
        layers = f"lowerdir={root_folder()},upperdir={self.folder / 'upper'},workdir={self.folder / 'work'}"
        _host("mount", "-t", "overlay", "overlay", "-o", layers, str(self.root))
        (self.root / "etc/pip.conf").write_text("[global]\nno-index = true\nfind-links = /wheels\n")
        _host("ip", "netns", "add", self.space)
        for words in (
            "link add cam0 type veth peer name cam1",
            "addr add 192.0.2.1/24 dev cam0",
            "link set lo up",
            "link set cam0 up",
            "link set cam1 up",
            "route add default via 192.0.2.254 dev cam0",
        ):
            _host("ip", "-n", self.space, *words.split())
        with (self.folder / "console").open("wb") as console:
            self.nspawn = subprocess.Popen(
                [
                    *("systemd-nspawn", "-q", "-D", str(self.root), "--register=no", "--keep-unit"),
                    f"--network-namespace-path=/run/netns/{self.space}",
                    # What a real machine's root has and nspawn takes away.
                    "--capability=CAP_NET_ADMIN,CAP_BPF",
                    "--system-call-filter=bpf landlock_create_ruleset landlock_add_rule landlock_restrict_self",
                    *(f"--bind-ro={REPO}:/clone", f"--bind-ro={wheels()}:/wheels", "-b"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        try:
            self.wait_for("systemd is up", self._is_up, 240)
        except AssertionError as late:
            console = (self.folder / "console").read_text(errors="replace")[-1500:]
            raise AssertionError(f"{late}; it says {self.state!r}. Its console:\n{console}") from None
        # nspawn lays a boot id of its own over the real one, which a unit with ProtectProc= does not get to see; on a
        # real machine both are one.
        self.run("umount", "/proc/sys/kernel/random/boot_id")

    def _is_up(self) -> bool:
        assert self.nspawn is not None
        assert self.nspawn.poll() is None, (self.folder / "console").read_text(errors="replace")[-3000:]
        children = Path(f"/proc/{self.nspawn.pid}/task/{self.nspawn.pid}/children").read_text().split()
        if not children:
            return False
        self.leader = int(children[0])
        asked = self.run("systemctl", "is-system-running", check=False)
        self.state = (asked.stdout + asked.stderr).strip()
        return self.state in {"running", "degraded"}

    def wait_for(self, what: str, done: Any, seconds: float = 60.0) -> float:
        """Asks done() until it is true; how long that took. `what` is told when it does not come true."""
        began = time.monotonic()
        while not done():
            assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
            time.sleep(0.1)
        return time.monotonic() - began

    def run(
        self, *words: str, check: bool = True, seconds: float = 120, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command in the machine as root; `text` is its standard input."""
        done = subprocess.run(
            ["nsenter", "-t", str(self.leader), "-a", "--root", "/usr/bin/env", "-i", "-C", "/", *ENVIRONMENT, *words],
            input=text or "",
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert not check or done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done

    def run_as(self, user: str, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The same as `user` in a session older than the installation: without any group that came later."""
        return self.run("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *words, check=check)

    def show(self, unit: str, key: str) -> str:
        """One property of a unit, as systemctl shows it."""
        return self.run("systemctl", "show", "--value", f"--property={key}", unit).stdout.strip()

    def now(self) -> dict[str, Any]:
        """The guard's live figures; {} where there are none."""
        done = self.run("cat", "/run/camguard/now.json", check=False)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def stop(self) -> None:
        if self.nspawn is not None:
            if self.leader:
                self.run("systemctl", "poweroff", check=False)
            try:
                self.nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self.nspawn.kill()
                self.nspawn.wait(60)
        subprocess.run(["ip", "netns", "del", self.space], check=False, capture_output=True)
        subprocess.run(["umount", str(self.root)], check=False, capture_output=True)


ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8")


def _host(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, f"{words}: {done.stderr}"


@contextlib.contextmanager
def booted(folder: Path) -> Iterator[Machine]:
    """A machine that is up; switched off and cleaned up at the end whatever happens."""
    machine = Machine(folder)
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
