"""The unit files by themselves: the score, the rights, and that nothing in them is unknown to systemd."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "systemd"
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here; tests/run.sh installs it"
)


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(UNITS / name)
    return parser


@needs_systemd
@pytest.mark.parametrize(("name", "most"), [("camguard.service", 17), ("camguard-deliver.service", 15)])
def test_a_service_scores_well(name: str, most: int) -> None:
    done = subprocess.run(
        [
            *["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={most}"],
            UNITS / name,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-500:]
    assert f"Overall exposure level for {name}: 1." in done.stdout


@needs_systemd
@pytest.mark.parametrize("name", ["camguard.service", "camguard-deliver.service", "camguard-desktop.service"])
def test_systemd_knows_every_line(name: str, tmp_path: Path) -> None:
    # The programs are not installed here: verify a copy that names one that is.
    text = (UNITS / name).read_text().replace("/opt/camguard/bin/camguard", "/usr/bin/true")
    (tmp_path / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / name],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if name in line and "graphical-session.target" not in line]
    assert said == []


def test_guard_holds_two_rights_and_no_more() -> None:
    service = unit("camguard.service")["Service"]
    assert set(service["AmbientCapabilities"].split()) == {"CAP_NET_RAW", "CAP_BPF"}
    assert set(service["CapabilityBoundingSet"].split()) == {"CAP_NET_RAW", "CAP_BPF"}
    assert service["User"] == "camguard"
    assert service["NoNewPrivileges"] == "yes"
    assert not {"AF_INET", "AF_INET6"} & set(service["RestrictAddressFamilies"].split())


def test_bpf_is_allowed_again_after_privileged_is_refused() -> None:
    """In systemd 252 bpf is in @privileged: the order of the lines decides."""
    filters = [line for line in (UNITS / "camguard.service").read_text().splitlines() if line.startswith("SystemCallF")]
    refused = next(place for place, line in enumerate(filters) if "~@privileged" in line)
    allowed = next(place for place, line in enumerate(filters) if " bpf " in f" {line.partition('=')[2]} ")
    assert allowed > refused


def test_guard_is_watched_and_comes_back() -> None:
    service = unit("camguard.service")["Service"]
    assert (service["Type"], service["WatchdogSec"], service["Restart"]) == ("notify", "30", "always")
    assert float(service["RestartSec"]) <= 2
    assert unit("camguard.service")["Unit"]["StartLimitIntervalSec"] == "0"


def test_messenger_has_no_right_and_two_folders_to_write_in() -> None:
    service = unit("camguard-deliver.service")["Service"]
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"] == ""
    assert service["NoNewPrivileges"] == "yes"
    assert set(service["RestrictAddressFamilies"].split()) == {"AF_INET", "AF_INET6", "AF_UNIX"}
    assert service["ProtectSystem"] == "strict"
    assert service["ReadWritePaths"] == "-/var/lib/camguard/wishes"
    assert service["StateDirectory"] == "camguard-deliver"


def test_messenger_is_another_user_whose_files_the_group_can_read() -> None:
    """It alone is in the group of the secrets; the guard's user is not, and is another one."""
    service = unit("camguard-deliver.service")["Service"]
    assert service["User"] == "camguard-deliver" != unit("camguard.service")["Service"]["User"]
    assert service["Group"] == "camguard"
    assert service["SupplementaryGroups"] == "camguard-deliver"
    assert service["UMask"] == "0027"
    lines = (UNITS / "camguard.sysusers").read_text().splitlines()
    assert [line.split()[:3] for line in lines if line.startswith("m ")] == [["m", "camguard-deliver", "camguard"]]


def test_messenger_outlives_the_guard() -> None:
    """It has to tell that the guard fell silent."""
    whole = unit("camguard-deliver.service")["Unit"]
    assert not {"Requires", "BindsTo", "PartOf", "Requisite", "StopPropagatedFrom"} & set(whole)
    assert whole["StartLimitIntervalSec"] == "0"
    service = unit("camguard-deliver.service")["Service"]
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "2")


def test_companion_opens_no_network_socket() -> None:
    assert unit("camguard-desktop.service")["Service"]["RestrictAddressFamilies"] == "AF_UNIX"


def test_companion_is_started_once_whatever_the_desktop() -> None:
    """The autostart entry starts the unit and not a second companion, and is left out where systemd starts it."""
    entry = unit("camguard-desktop.desktop")["Desktop Entry"]
    assert "systemctl --user start camguard-desktop.service ||" in entry["Exec"]
    assert entry["X-systemd-skip"] == "true"
