"""The real guard on a real link: rights, reload, killed and back, loss. Root, a network namespace of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import store, wishes
from camguard.events import Wish
from camguard.store import Reader

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make network namespaces"),
]
GUARD_MAC, CAMERA_MAC = "02:00:00:00:0a:01", "02:00:00:00:0a:02"

#: Sent from the camera's side: openings of connections, each of which is handed up until the budget is spent.
FLOOD = """
import socket, struct, sys
count, flags, size = map(int, sys.argv[1:])
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
tap.bind(("eth0", 0))
head = bytes.fromhex("020000000a01020000000a020800")
for n in range(count):
    tcp = struct.pack("!HHIIBBHHH", 1024 + n % 60000, 443, 1, 0, 0x50, flags, 65535, 0, 0) + bytes(size)
    ends = bytes([10, 77, 0, 2, 203, 0, 113, n % 250])
    tap.send(head + struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0, 64, 6, 0) + ends + tcp)
"""
#: The command, without an installation.
CAMGUARD = "import sys; from camguard.cli import main; sys.exit(main())"


class Link:
    """Two namespaces with a veth between them: the guard's end and the camera's."""

    def __init__(self, name: str) -> None:
        self.guard, self.camera = f"{name}g", f"{name}c"
        for space in (self.guard, self.camera):
            self._ip("netns", "add", space)
            self._ip("-n", space, "link", "set", "lo", "up")
        self.wire()

    def wire(self) -> None:
        self._ip("-n", self.guard, "link", "add", "cam0", "type", "veth", "peer", "name", "eth0", "netns", self.camera)
        for space, card, mac, ip in (
            (self.guard, "cam0", GUARD_MAC, "10.77.0.1/24"),
            (self.camera, "eth0", CAMERA_MAC, "10.77.0.2/24"),
        ):
            self._ip("-n", space, "link", "set", card, "address", mac)
            self._ip("-n", space, "addr", "add", ip, "dev", card)
            self._ip("-n", space, "link", "set", card, "up")

    def cut(self) -> None:
        self._ip("-n", self.guard, "link", "del", "cam0")

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)

    def ping(self, count: int = 3) -> None:
        command = ["ip", "netns", "exec", self.camera, "ping", "-q", "-c", str(count), "-i", "0.05", "10.77.0.1"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def flood(self, count: int, flags: int = 2, payload: int = 0) -> None:
        command = [
            "ip",
            "netns",
            "exec",
            self.camera,
            sys.executable,
            "-c",
            FLOOD,
            str(count),
            str(flags),
            str(payload),
        ]
        subprocess.run(command, check=True, timeout=60)

    def close(self) -> None:
        for space in (self.guard, self.camera):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True, timeout=60)


class Live:
    """`camguard run` on that link."""

    def __init__(self, link: Link, folder: Path) -> None:
        self.config, self.runtime, self.database = folder / "c.toml", folder / "run", folder / "state" / "guard.db"
        if not self.config.exists():
            self.config.write_text(f'[network]\ninterface = "cam0"\n[[camera]]\nname = "porch"\nmac = "{CAMERA_MAC}"\n')
        command = ["ip", "netns", "exec", link.guard, sys.executable, "-c", CAMGUARD, "run"]
        command += ["--config", str(self.config), "--state-dir", str(folder / "state")]
        with (folder / "out").open("a") as out, (folder / "err").open("a") as err:
            self.process = subprocess.Popen([*command, "--runtime-dir", str(self.runtime)], stdout=out, stderr=err)

    def now(self) -> dict[str, Any]:
        """The live figures once this process has written them."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            found = store.read_now(self.runtime / "now.json")
            if found and found["pid"] == self.process.pid:
                return found
            assert self.process.poll() is None, "the guard ended"
            time.sleep(0.01)
        raise AssertionError("no live figures")

    def until(self, ready: Any, within_s: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + within_s
        while not ready(found := self.now()):
            assert time.monotonic() < end, json.dumps(found)
            time.sleep(0.05)
        return found

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


@pytest.fixture
def link() -> Iterator[Link]:
    made = Link(f"cgsv{os.getpid()}")
    yield made
    made.close()


@pytest.fixture
def live(link: Link, tmp_path: Path) -> Iterator[Live]:
    made = Live(link, tmp_path)
    yield made
    made.close()


def test_no_task_holds_a_right_and_a_clean_stop_is_0(live: Live, link: Link) -> None:
    assert live.now()["source"].startswith("kernel ledger")
    tasks = list(Path(f"/proc/{live.process.pid}/task").iterdir())
    assert len(tasks) >= 2
    for task in tasks:
        status = (task / "status").read_text()
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert re.search(rf"{name}:\s+0+\n", status), status
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
    link.ping()
    found = live.until(lambda now: now["interfaces"][0]["packets"] >= 3)
    assert "10.77.0.2" in found["cameras"][0]["ips"]
    live.process.send_signal(signal.SIGTERM)
    assert live.process.wait(60) == 0


def test_killed_again_and_again_it_looks_again(live: Live, link: Link, tmp_path: Path) -> None:
    guard = live

    def starts() -> int:
        return [body["what"] for body in Reader(guard.database).log(kinds=("notice",))].count("guard-start")

    for turn in range(4):
        guard.until(lambda _, before=turn: starts() > before)  # killed at once, it would have had no time to write it
        guard.process.kill()
        guard.process.wait()
        died = time.monotonic()
        guard = Live(link, tmp_path)
        try:
            guard.now()
            print(f"it looks again {time.monotonic() - died:.1f} s after it was killed")
            link.flood(50, flags=24, payload=1000)
            guard.until(lambda now: now["cameras"][0]["up_kbps"] > 0)
        finally:
            if turn == 3:
                guard.process.terminate()
                assert guard.process.wait(60) == 0
            guard.close()
    assert starts() == 5


def test_loss_is_counted_and_told(live: Live, link: Link) -> None:
    live.now()
    live.process.send_signal(signal.SIGSTOP)
    link.flood(60_000, flags=2)
    live.process.send_signal(signal.SIGCONT)
    begun = time.monotonic()
    found = live.until(lambda now: now["counters"]["socket-drops"] + now["counters"]["budget-spent"] > 0)
    counted = found["counters"]["socket-drops"] + found["counters"]["budget-spent"]
    assert counted > 1000
    lost: list[str] = []
    while not lost and time.monotonic() - begun < 60:
        time.sleep(0.2)
        lost = [
            body["what"]
            for body in Reader(live.database).log(kinds=("health",))
            if body["what"] in ("socket-drops", "budget-spent")
        ]
    assert lost
    print(f"loss is in the record {time.monotonic() - begun:.1f} s after it can be counted")


def test_a_camera_added_by_reload_is_guarded_without_any_right(live: Live, link: Link) -> None:
    live.config.write_text('[network]\ninterface = "cam0"\n[[camera]]\nname = "other"\nmac = "02:00:00:00:0a:99"\n')
    live.now()
    live.process.send_signal(signal.SIGHUP)
    live.until(lambda now: [camera["name"] for camera in now["cameras"]] == ["other"])
    live.config.write_text(f'[network]\ninterface = "cam0"\n[[camera]]\nname = "porch"\nmac = "{CAMERA_MAC}"\n')
    live.process.send_signal(signal.SIGHUP)
    live.until(lambda now: [camera["name"] for camera in now["cameras"]] == ["porch"])
    link.flood(500, flags=24, payload=1000)
    found = live.until(lambda now: now["cameras"][0]["up_kbps"] > 100)
    assert found["counters"].get("errors", 0) == 0


def test_an_interface_that_goes_and_comes_back(live: Live, link: Link) -> None:
    live.now()
    link.cut()
    found = live.until(lambda now: now["interfaces"][0]["state"] == "gone")
    live.until(lambda now: any("is gone" in problem for problem in now["problems"]))
    live.until(lambda now: [(one["type"], one["camera"]) for one in now["alerts"]] == [("guard-blind", None)])
    link.wire()
    live.until(lambda now: now["interfaces"][0]["state"] == "up")
    link.ping()
    live.until(lambda now: now["interfaces"][0]["packets"] > found["interfaces"][0]["packets"])
    live.until(lambda now: not any("is gone" in problem for problem in now["problems"]))


#: An installation of its own over /etc, /var/lib and /run, seen by this process alone (overlays in a mount namespace).
INSTALLED = """
set -e
mount -t tmpfs none "$1"
for folder in etc var/lib; do
    mkdir -p "$1/$folder/up" "$1/$folder/work"
    mount -t overlay none -o "lowerdir=/$folder,upperdir=$1/$folder/up,workdir=$1/$folder/work" "/$folder"
    grep -q " /$folder overlay " /proc/self/mounts  # what is hidden next stays where it is
    rm -rf "/$folder/camguard"  # of a camguard that is really installed here
done
mount -t tmpfs none /run
sed -i /^camguard:/d /etc/passwd /etc/group
echo 'camguard:x:64201:64201::/nonexistent:/usr/sbin/nologin' >> /etc/passwd
echo 'camguard:x:64201:' >> /etc/group
mkdir -p /etc/camguard
printf '[network]\\ninterface = "cam0"\\n' > /etc/camguard/camguard.toml
chown 0:64201 /etc/camguard/camguard.toml; chmod 640 /etc/camguard/camguard.toml
exec "$2" -c "$3" run
"""


def test_root_becomes_the_user_of_the_installation(link: Link, tmp_path: Path) -> None:
    command = ["ip", "netns", "exec", link.guard, "unshare", "--mount", "sh", "-c", INSTALLED, "sh", str(tmp_path)]
    process = subprocess.Popen([*command, sys.executable, CAMGUARD], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stderr
        line = b""
        while b"looking" not in line:
            line = process.stdout.readline()
            assert line, process.stderr.read().decode()
        status = Path(f"/proc/{process.pid}/status").read_text()
        assert "Uid:\t64201\t64201\t64201\t64201" in status
        assert "Gid:\t64201\t64201\t64201\t64201" in status
        assert re.search(r"Groups:\t(64201 )?\n", status)
        assert re.search(r"CapPrm:\t0+\n", status)
        root = Path(f"/proc/{process.pid}/root")
        assert (root / "var/lib/camguard/guard.db").stat().st_uid == 64201
        assert (root / "run/camguard").stat().st_mode & 0o777 == 0o750
        process.terminate()
        assert process.wait(60) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def test_a_wish_reaches_the_guard_that_may_write_nowhere_else(live: Live) -> None:
    live.now()
    spool = live.database.parent / "wishes"
    assert spool.stat().st_mode & 0o7777 == 0o3770
    wish = Wish(wishes.new_id(), "terminal", "watching", camera="porch", for_s=60.0)
    wishes.put(spool, wish)
    (spool / "link.json").symlink_to("/etc/shadow")
    decision = wishes.wait(Reader(live.database), wish.id, 60)
    assert decision is not None
    assert decision.who == f"terminal, {wishes.user(os.getuid())}", "accounts are known inside the confinement"
    live.until(lambda _: not list(spool.iterdir()))
    assert live.now()["counters"].get("errors", 0) == 0
