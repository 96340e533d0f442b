"""camguard installed and run as a service on a Debian machine with a real systemd, the way its owner would do it.

The tests are steps of one story and share one machine: installed, installed again, running, hurt in several ways,
taken away.
"""

import os
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.machine import Machine, booted, missing_tools

pytestmark = [
    pytest.mark.nspawn,
    pytest.mark.timeout(700),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: boots a machine with systemd-nspawn"),
    pytest.mark.skipif(bool(missing_tools()), reason=f"not here: {missing_tools()}; tests/run.sh installs them"),
]

INSTALL = "/clone/systemd/install.sh"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with booted(tmp_path_factory.mktemp("machine")) as machine:
        for name in ("anna", "bob"):
            machine.run("useradd", "--create-home", name)
        yield machine


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    done = machine.run("env", "SUDO_USER=anna", INSTALL, seconds=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    machine.first_words = done.stdout  # type: ignore[attr-defined]
    return machine


def guard(machine: Machine) -> int:
    return int(machine.show("camguard", "MainPID"))


def is_looking(machine: Machine) -> bool:
    return machine.show("camguard", "ActiveState") == "active" and machine.now().get("pid") == guard(machine)


def test_it_runs_and_says_what_to_do_next(installed: Machine) -> None:
    said = installed.first_words  # type: ignore[attr-defined]
    assert "sudo camguard cameras add" in said
    assert "[ok]       pipeline" in said, "the self-test was shown"
    assert "camguard is looking at cam0: 0 cameras, 0 problems" in said
    assert "camguard check" in said
    assert installed.show("camguard", "ActiveState") == "active"
    assert installed.show("camguard", "UnitFileState") == "enabled"
    log = installed.run("journalctl", "-u", "camguard", "-o", "cat").stdout
    assert "camguard is looking at cam0: 0 cameras, 0 problems" in log
    assert "confined" not in log, "Landlock and the sealed tap work under the unit: nothing is said about them"
    assert installed.wait_for("live figures", lambda: is_looking(installed), 5) < 5
    assert installed.now()["source"] == "kernel ledger (exact)"
    assert installed.now()["cost"] is None


def test_it_is_a_copy_with_the_right_owners(installed: Machine) -> None:
    where = installed.run("/opt/camguard/bin/python", "-c", "import camguard; print(camguard.__file__)").stdout
    assert where.startswith("/opt/camguard/lib/")
    kinds = installed.run("stat", "-c", "%n %U:%G %a", "/etc/camguard", "/etc/camguard/camguard.toml").stdout
    assert kinds.splitlines() == [
        "/etc/camguard root:camguard 750",
        "/etc/camguard/camguard.toml root:camguard 640",
    ]
    folders = installed.run("stat", "-c", "%U:%G %a", "/var/lib/camguard", "/run/camguard").stdout
    assert folders.split("\n")[:2] == ["camguard:camguard 750"] * 2
    assert "/clone" not in installed.run("grep", "-rl", "/clone", "/opt/camguard", check=False).stdout


def test_no_right_is_left_in_any_task(installed: Machine) -> None:
    lines = installed.run("sh", "-c", f"cat /proc/{guard(installed)}/task/*/status").stdout.splitlines()
    found = [line.split() for line in lines if line.startswith(("Cap", "NoNewPrivs"))]
    held = {key: {row[1] for row in found if row[0] == f"{key}:"} for key in ("CapEff", "CapPrm", "CapInh", "CapAmb")}
    assert held == {key: {"0000000000000000"} for key in held}
    assert {row[1] for row in found if row[0] == "NoNewPrivs:"} == {"1"}
    assert installed.show("camguard", "User") == "camguard"


def test_score_of_the_running_unit(installed: Machine) -> None:
    installed.run("systemd-analyze", "security", "--no-pager", "--threshold=17", "camguard.service")


def test_a_camera_taken_while_it_runs_is_seen(installed: Machine) -> None:
    """cameras add, reload by it, and packets of that camera on the cable: the same process looks at them."""
    before = guard(installed)
    installed.run("camguard", "cameras", "add", "02:00:00:00:0c:01", "porch")

    def porch() -> dict[str, Any]:
        return next((camera for camera in installed.now().get("cameras", []) if camera["name"] == "porch"), {})

    installed.wait_for("the guard has read its configuration again", porch, 5)
    installed.run("/usr/bin/python3", "-", text=SEND_FRAMES)
    installed.wait_for("the camera's packets are counted", lambda: porch().get("packets_up", 0) >= 50, 10)
    assert guard(installed) == before
    mode = installed.run("stat", "-c", "%U:%G %a", "/etc/camguard/camguard.toml").stdout.strip()
    assert mode == "root:camguard 640"


# Fifty UDP packets of the camera, put on the other end of the cable.
SEND_FRAMES = """
import socket, struct
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
tap.bind(("cam1", 0))
ends = bytes.fromhex("020000000099") + bytes.fromhex("020000000c01")
for n in range(50):
    udp = struct.pack("!HHHH", 40000, 5000, 108, 0) + bytes(100)
    hosts = bytes((192, 0, 2, 7)) + bytes((192, 0, 2, 8))
    ip = struct.pack("!BBHHHBBH8s", 0x45, 0, 20 + len(udp), n, 0, 64, 17, 0, hosts)
    tap.send(ends + b"\\x08\\x00" + ip + udp)
"""


def test_the_owner_reads_without_sudo_and_others_do_not(installed: Machine) -> None:
    """anna's session is older than the installation, so that the new group does not count in it yet."""
    assert "camguard" in installed.run("id", "-Gn", "anna").stdout.split()
    status = installed.run_as("anna", "camguard", "status")
    assert "porch" in status.stdout
    assert installed.run_as("anna", "camguard", "alerts").returncode == 0
    assert installed.run_as("anna", "cat", "/etc/camguard/camguard.toml").returncode == 0
    other = installed.run_as("bob", "camguard", "status", check=False)
    assert other.returncode != 0
    assert "Traceback" not in other.stderr
    assert installed.run_as("bob", "ls", "/var/lib/camguard", check=False).returncode != 0


def test_again_is_an_update_and_keeps_what_the_owner_wrote(installed: Machine) -> None:
    config = installed.run("cat", "/etc/camguard/camguard.toml").stdout + "# the porch is the one with the plants\n"
    installed.run("sh", "-c", "cat > /etc/camguard/camguard.toml", text=config)
    before = guard(installed)
    done = installed.run(INSTALL, "--interface", "cam0", seconds=200)
    assert "is kept" in done.stdout
    assert "anna can read" in done.stdout
    assert "No camera is configured" not in done.stdout
    after = installed.run("cat", "/etc/camguard/camguard.toml").stdout
    assert [line for line in config.splitlines() if line not in after.splitlines()] == []
    assert tomllib.loads(after) == tomllib.loads(config) | {"network": {"interface": "cam0"}}
    assert guard(installed) != before
    installed.wait_for("it looks again", lambda: is_looking(installed), 5)
    assert "anna" in installed.run("getent", "group", "camguard").stdout.strip().rpartition(":")[2].split(",")


def test_killed_it_looks_again_within_three_seconds(installed: Machine) -> None:
    """Once in the gate; .ci/long asks for a hundred times."""
    for _ in range(int(os.environ.get("CAMGUARD_KILLS", "1"))):
        before = guard(installed)
        installed.run("sh", "-c", f"kill -KILL {before}")

        def again(killed: int = before) -> bool:
            return guard(installed) not in {0, killed} and is_looking(installed)

        assert installed.wait_for("it looks again", again, 10) <= 3


def test_a_hung_guard_is_ended_by_the_watchdog(installed: Machine) -> None:
    """With the watchdog's time cut from 30 s to 3 s, so that this test is short; the guard takes it from systemd."""
    drop_in = "/run/systemd/system/camguard.service.d"
    installed.run("mkdir", "-p", drop_in)
    installed.run("sh", "-c", f"cat > {drop_in}/test.conf", text="[Service]\nWatchdogSec=3\n")
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "restart", "camguard")
    # Longer than the watchdog's time: a guard that does not ping would be ended here.
    alive = guard(installed)
    installed.run("sleep", "5")
    assert guard(installed) == alive
    installed.run("sh", "-c", f"kill -STOP {alive}")
    installed.wait_for("it is restarted", lambda: guard(installed) not in {0, alive} and is_looking(installed), 15)
    assert "Watchdog timeout" in installed.run("journalctl", "-u", "camguard", "-o", "cat").stdout
    installed.run("rm", "-r", drop_in)
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "restart", "camguard")
    assert installed.show("camguard", "WatchdogUSec") == "30s"


def test_wrong_configuration_is_one_line_and_no_loop(installed: Machine) -> None:
    keep = installed.run("cat", "/etc/camguard/camguard.toml").stdout
    installed.run("sh", "-c", "cat > /etc/camguard/camguard.toml", text=keep + '\n[networc]\ninterface = "cam0"\n')
    installed.run("systemctl", "restart", "camguard", check=False)
    assert installed.show("camguard", "ExecMainStatus") == "2"
    installed.wait_for("it is not tried again", lambda: installed.show("camguard", "ActiveState") == "failed", 5)
    words = installed.run("journalctl", "-u", "camguard", "-o", "cat", "-n", "20").stdout
    assert "networc" in words
    assert "Traceback" not in words
    installed.run("sh", "-c", "cat > /etc/camguard/camguard.toml", text=keep)
    installed.run("systemctl", "restart", "camguard")


def test_companion_starts_for_the_owner_only(installed: Machine) -> None:
    """As a user unit in real user managers; what it shows is tried in tests/tell."""
    for name in ("anna", "bob"):
        installed.run("loginctl", "enable-linger", name)
        state = shlex.quote(f"systemctl --user -M {name}@.host is-system-running --wait")
        installed.run("sh", "-c", f"eval {state} || true")
        installed.run("systemctl", "--user", "-M", f"{name}@.host", "start", "camguard-desktop.service", check=False)

    def state_of(name: str) -> str:
        show = ("show", "--value", "--property=ActiveState", "camguard-desktop.service")
        return installed.run("systemctl", "--user", "-M", f"{name}@.host", *show).stdout.strip()

    installed.wait_for("anna's companion runs", lambda: state_of("anna") == "active", 10)
    assert state_of("bob") == "inactive"
    assert (
        "camguard-desktop.service"
        in installed.run("systemctl", "--global", "list-unit-files", "--state=enabled").stdout
    )


def test_stop_is_clean_and_quick(installed: Machine) -> None:
    installed.run("systemctl", "stop", "camguard", seconds=10)
    assert installed.show("camguard", "Result") == "success"
    assert installed.show("camguard", "ExecMainStatus") == "0"
    # Stopped is not gone: what was recorded can still be read, and it is said that nobody looks.
    status = installed.run_as("anna", "camguard", "status", check=False)
    assert status.returncode == 1
    assert "not looking" in status.stdout + status.stderr
    assert installed.run_as("anna", "camguard", "alerts").returncode == 0
    installed.run("systemctl", "start", "camguard")


def test_uninstall_keeps_the_record_and_purge_does_not(installed: Machine) -> None:
    companion = installed.run("/clone/systemd/uninstall.sh").stdout
    assert "Kept: the record" in companion
    assert installed.run("sh", "-c", "grep -la '^/opt/camguard' /proc/[0-9]*/cmdline", check=False).stdout == ""
    assert installed.run("systemctl", "cat", "camguard.service", check=False).returncode != 0
    assert installed.run("test", "-e", "/opt/camguard", check=False).returncode == 1
    installed.run("test", "-s", "/var/lib/camguard/guard.db")
    installed.run("test", "-s", "/etc/camguard/camguard.toml")
    installed.run("/clone/systemd/uninstall.sh", "--purge")
    left = installed.run(
        "find", "/etc", "/opt", "/usr/local", "/var/lib", "/run", "-xdev", "-name", "*camguard*"
    ).stdout
    assert left == ""
    assert installed.run("getent", "passwd", "camguard", check=False).returncode == 2
    assert installed.run("getent", "group", "camguard", check=False).returncode == 2
    # Twice is no fault.
    installed.run("/clone/systemd/uninstall.sh", "--purge")


def test_the_clone_is_untouched(machine: Machine) -> None:
    """It is mounted read-only: had the installer wanted to write there, it would have failed."""
    assert machine.run("touch", "/clone/probe", check=False).returncode != 0
    assert not (Path(__file__).resolve().parents[2] / "probe").exists()
