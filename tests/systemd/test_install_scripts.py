"""install.sh and uninstall.sh as far as they go without installing: what they say, and that they say it in one line."""

import os
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
TOUCHED = ("/opt/camguard", "/etc/camguard", "/usr/local/bin/camguard", "/etc/sysusers.d/camguard.conf")
AS_NOBODY = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []


def run(script: str, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The script as an ordinary user; programs in `path` stand for those of another machine."""
    search = ":".join([*([str(path)] if path else []), "/usr/sbin:/usr/bin:/sbin:/bin"])
    return subprocess.run(
        [*AS_NOBODY, "env", "-i", f"PATH={search}", "bash", str(FOLDER / script), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )


def on_machine(folder: Path, **programs: str) -> Path:
    """A folder of programs that answer as another machine's would."""
    folder.chmod(0o755)
    for parent in folder.parents:  # pytest's own folders are closed to other users
        if parent.stat().st_uid == os.geteuid() and parent not in (Path("/"), Path("/tmp")):
            parent.chmod(parent.stat().st_mode | 0o011)
    for name, answer in programs.items():
        (folder / name).write_text(f"#!/bin/sh\necho {answer}\n")
        (folder / name).chmod(0o755)
    return folder


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    assert done.returncode == code, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr


def test_dry_run_says_every_step_and_changes_nothing() -> None:
    before = [Path(name).exists() for name in TOUCHED]
    done = run("install.sh", "--dry-run")
    assert done.returncode == 0, done.stderr
    for step in (
        "install -d -o camguard -g camguard -m 0750 /var/lib/camguard /run/camguard",
        "/opt/camguard/bin/python -m pip install",
        "ln -sfn /opt/camguard/bin/camguard /usr/local/bin/camguard",
        "/etc/systemd/system/camguard.service",
        "/etc/systemd/system/camguard-deliver.service",
        "install -d -o root -g camguard-deliver -m 0750 /etc/camguard/secrets",
        "install -d -o camguard -g camguard -m 3770 /var/lib/camguard/wishes",
        "install -d -o camguard-deliver -g camguard -m 0750 /var/lib/camguard-deliver",
        "/etc/systemd/user/camguard-desktop.service",
    ):
        assert step in done.stdout
    assert [Path(name).exists() for name in TOUCHED] == before


def test_dry_run_of_uninstall_changes_nothing(tmp_path: Path) -> None:
    before = [Path(name).exists() for name in TOUCHED]
    done = run("uninstall.sh", "--dry-run", "--purge")
    assert done.returncode == 0, done.stderr
    assert [Path(name).exists() for name in TOUCHED] == before


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_without_root_it_names_the_way(script: str) -> None:
    refused(run(script), 2, f"sudo systemd/{script}", "--dry-run")


@pytest.mark.parametrize("script", ["install.sh", "uninstall.sh"])
def test_unknown_option_is_one_line(script: str) -> None:
    refused(run(script, "--frobnicate"), 2, "--frobnicate", "--help")


def test_no_such_owner() -> None:
    refused(run("install.sh", "--dry-run", "--owner", "nobody-of-that-name"), 2, "nobody-of-that-name", "--owner")


def test_no_such_interface_lists_those_that_are_there() -> None:
    refused(run("install.sh", "--dry-run", "--interface", "wire7"), 2, "wire7", "lo")


def test_option_without_its_name() -> None:
    refused(run("install.sh", "--owner"), 2, "--owner needs a name")


def test_32_bit_system_is_told_so(tmp_path: Path) -> None:
    """Raspberry Pi OS 32-bit may run a 64-bit kernel: the user space counts."""
    machine = on_machine(tmp_path, getconf="32", uname="aarch64")
    refused(run("install.sh", "--dry-run", path=machine), 3, "32-bit", "64-bit")


def test_other_processor_is_told_so(tmp_path: Path) -> None:
    refused(run("install.sh", "--dry-run", path=on_machine(tmp_path, uname="riscv64")), 3, "riscv64")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ("", "Only root can read"),
        ("camguard-deliver", "Only root can read"),
        ("camguard-deliver,anna", "anna can read"),
    ],
)
def test_who_can_read_is_people_and_not_a_service(tmp_path: Path, members: str, said: str) -> None:
    done = run("install.sh", "--dry-run", path=on_machine(tmp_path, getent=f"camguard:x:990:{members}"))
    assert done.returncode == 0, done.stderr
    assert next(line for line in done.stdout.splitlines() if "can read what camguard records" in line).endswith(
        f"{said} what camguard records. To let a person read it: sudo systemd/install.sh --owner NAME"
    )
