"""Words to the service manager: over a path, over an abstract name, and to nobody."""

import os
import socket
from pathlib import Path

import pytest

from camguard.service.sdnotify import Manager


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_words_arrive(tmp_path: Path, kind: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        address = str(tmp_path / "notify") if kind == "path" else f"@camguard-test-{os.getpid()}"
        listening.bind(address if kind == "path" else "\0" + address[1:])
        manager = Manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
        assert manager.watchdog_s == 30.0
        manager.ready("a line\nwith a break")
        manager.alive()
        manager.stopping()
        manager.reloading()
        heard = [listening.recv(1000).decode() for _ in range(4)]
        assert heard[:3] == ["READY=1\nSTATUS=a line with a break", "WATCHDOG=1", "STOPPING=1"]
        assert heard[3].startswith("RELOADING=1\nMONOTONIC_USEC=")
        manager.close()


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@nobody-listens-there"])
def test_no_manager_is_no_trouble(address: str) -> None:
    manager = Manager({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    assert manager.watchdog_s is None
    manager.ready("x")
    manager.alive()
    manager.close()


def test_a_watchdog_meant_for_another_process_is_not_ours(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "n"))
        manager = Manager({"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"})
        assert manager.watchdog_s is None
        manager.close()


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "n"))
        manager = Manager({"NOTIFY_SOCKET": str(tmp_path / "n")})
        for _ in range(2000):
            manager.alive()
        manager.close()
