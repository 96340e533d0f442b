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
    pytest.mark.timeout(1800),
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
    done = machine.run("env", "SUDO_USER=anna", INSTALL, seconds=600, check=False)
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
    installed.wait_for("live figures", lambda: is_looking(installed))
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

    installed.wait_for("the guard has read its configuration again", porch)
    installed.run("/usr/bin/python3", "-", text=SEND_FRAMES)
    installed.wait_for("the camera's packets are counted", lambda: porch().get("packets_up", 0) >= 50)
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
    done = installed.run(INSTALL, "--interface", "cam0", seconds=600)
    assert "is kept" in done.stdout
    assert "anna can read" in done.stdout
    assert "No camera is configured" not in done.stdout
    after = installed.run("cat", "/etc/camguard/camguard.toml").stdout
    assert [line for line in config.splitlines() if line not in after.splitlines()] == []
    assert tomllib.loads(after) == tomllib.loads(config) | {"network": {"interface": "cam0"}}
    assert guard(installed) != before
    assert installed.run_as("anna", "cat", "/etc/camguard/camguard.toml").stdout == after
    installed.wait_for("it looks again", lambda: is_looking(installed))
    assert "anna" in installed.run("getent", "group", "camguard").stdout.strip().rpartition(":")[2].split(",")


def test_killed_it_looks_again(installed: Machine) -> None:
    """Once in the gate; .ci/long asks for a hundred times."""
    for _ in range(int(os.environ.get("CAMGUARD_KILLS", "1"))):
        before = guard(installed)
        installed.run("sh", "-c", f"kill -KILL {before}")

        def again(killed: int = before) -> bool:
            return guard(installed) not in {0, killed} and is_looking(installed)

        print(f"it looks again {installed.wait_for('it looks again', again):.1f} s after it was killed")


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
    installed.wait_for("it is restarted", lambda: guard(installed) not in {0, alive} and is_looking(installed))
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
    installed.wait_for("it is not tried again", lambda: installed.show("camguard", "ActiveState") == "failed")
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

    installed.wait_for("anna's companion runs", lambda: state_of("anna") == "active")
    assert state_of("bob") == "inactive"
    assert (
        "camguard-desktop.service"
        in installed.run("systemctl", "--global", "list-unit-files", "--state=enabled").stdout
    )


RECEIVER = """
import http.server, json

class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        got = {"id": body.get("id"), "title": body["title"], "path": self.path}
        got["signed"] = self.headers.get("X-Camguard-Signature")
        with open("/tmp/got", "a") as out:
            out.write(json.dumps(got) + "\\n")
        self.send_response(200)
        self.end_headers()

http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
"""

# An alert in the record, as the guard writes it.
ALERT = """
import time
from pathlib import Path
from camguard import report, store
from camguard.events import Alert, Peer

now = time.time()
alert = Alert("a7f0c1d2e3", now, "porch", "remote-stream", "critical", "certain", report.USUAL_REASON, (),
              Peer("192.0.2.99", 5000, org="Example", country="France"), "s1", now, now, 1, "open")
with_words = report.as_dict(alert)
record = store.Store.open(Path("/var/lib/camguard/guard.db"))
record.write([store.Row("alert", now, "porch", alert.id, "open", with_words)], durable=True)
record.close()
"""


def test_messenger_without_a_channel_ends_well(installed: Machine) -> None:
    assert installed.show("camguard-deliver", "UnitFileState") == "enabled"
    assert installed.show("camguard-deliver", "Result") == "success"
    assert installed.show("camguard-deliver", "ActiveState") == "inactive"


def test_messenger_takes_an_alert_to_the_owners_program(installed: Machine) -> None:
    installed.run("sh", "-c", "cat > /tmp/receiver.py", text=RECEIVER)
    installed.run("systemd-run", "--unit=receiver", "/usr/bin/python3", "/tmp/receiver.py")
    listens = ("bash", "-c", "</dev/tcp/127.0.0.1/8099")
    installed.wait_for("the receiver", lambda: installed.run(*listens, check=False).returncode == 0)
    key = "/etc/camguard/secrets/hook.key"
    installed.run("install", "-m", "640", "-g", "camguard-deliver", "/dev/stdin", key, text="a planted canary\n")
    channel = f'\n[[notify]]\nwebhook = "http://127.0.0.1:8099/x"\nhmac_file = "{key}"\n'
    installed.run("sh", "-c", "cat >> /etc/camguard/camguard.toml", text=channel)
    assert "not tried yet" in installed.run("camguard", "check", check=False).stdout
    tried = installed.run("camguard", "notify", "--test")
    assert "taken in" in tried.stdout

    installed.run("systemctl", "restart", "camguard-deliver")
    installed.wait_for("it runs", lambda: installed.show("camguard-deliver", "ActiveState") == "active")
    installed.wait_for("its outbox is there", lambda: _exists(installed, "/var/lib/camguard-deliver/deliver.db"))
    installed.run("systemctl", "stop", "camguard")
    installed.run("runuser", "-u", "camguard", "--", "/opt/camguard/bin/python", "-", text=ALERT)
    installed.run("systemctl", "start", "camguard")

    def got() -> str:
        return installed.run("cat", "/tmp/got", check=False).stdout

    installed.wait_for("the alert is there", lambda: '"a7f0c1d2e3"' in got())
    assert got().count('"signed": "sha256=') == len(got().splitlines())
    check = installed.run_as("anna", "camguard", "check", check=False).stdout
    assert "[\N{CHECK MARK}] webhook" in check, check
    assert "canary" not in installed.run("journalctl", "-u", "camguard-deliver", "-o", "cat").stdout


def test_messenger_takes_a_secret_from_systemd_and_loads_apprise(installed: Machine) -> None:
    """A file that only root can read, handed over by LoadCredential=, as docs/reference.md has it; and ntfy."""
    installed.run("install", "-m", "600", "/dev/stdin", "/root/hook.url", text="http://127.0.0.1:8099/credential\n")
    drop_in = "/etc/systemd/system/camguard-deliver.service.d"
    installed.run("mkdir", "-p", drop_in)
    lines = "[Service]\nLoadCredential=hook.url:/root/hook.url\n"
    installed.run("sh", "-c", f"cat > {drop_in}/override.conf", text=lines)
    channel = '\n[[notify]]\nname = "by systemd"\nwebhook_credential = "hook.url"\n'
    ntfy = "/etc/camguard/secrets/ntfy.url"
    text = "ntfy://127.0.0.1:8099/topic\n"
    installed.run("install", "-m", "640", "-g", "camguard-deliver", "/dev/stdin", ntfy, text=text)
    channel += f'\n[[notify]]\nurl_file = "{ntfy}"\n'
    installed.run("sh", "-c", "cat >> /etc/camguard/camguard.toml", text=channel)
    installed.run("systemctl", "daemon-reload")
    installed.run("systemctl", "restart", "camguard-deliver")

    # The alert of before is still open: a new channel is told of it.
    def told(path: str) -> bool:
        lines = installed.run("cat", "/tmp/got").stdout.splitlines()
        return any(f'"path": "{path}"' in line and "Somebody is watching: porch" in line for line in lines)

    installed.wait_for("the new channel is told", lambda: told("/credential"))
    installed.wait_for("Apprise works within the bounds of the unit", lambda: told("/"))
    tried = installed.run("camguard", "notify", "--test", "by systemd", check=False)
    assert tried.returncode == 1
    assert "not tried from here: credential hook.url" in tried.stdout
    status = installed.run("cat", f"/proc/{installed.show('camguard-deliver', 'MainPID')}/status").stdout
    assert int(status.partition("VmHWM:")[2].split()[0]) < 60_000, "at most 60 MB, with Apprise loaded"
    installed.run("rm", "-r", drop_in)
    installed.run("systemctl", "daemon-reload")


def _exists(machine: Machine, path: str) -> bool:
    return machine.run("test", "-e", path, check=False).returncode == 0


def test_messenger_has_no_right_and_only_it_reads_the_secrets(installed: Machine) -> None:
    pid = installed.show("camguard-deliver", "MainPID")
    lines = installed.run("cat", f"/proc/{pid}/status").stdout.splitlines()
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    assert [status[key] for key in ("CapEff", "CapPrm", "CapBnd", "CapAmb")] == [["0000000000000000"]] * 4
    assert status["NoNewPrivs"] == ["1"]
    assert installed.run("stat", "-c", "%U:%G", f"/proc/{pid}").stdout.strip() == "camguard-deliver:camguard"
    kinds = installed.run("sh", "-c", "stat -c '%n %U:%G %a' /etc/camguard/secrets /var/lib/camguard*/*.db").stdout
    assert kinds.splitlines() == [
        "/etc/camguard/secrets root:camguard-deliver 750",
        "/var/lib/camguard-deliver/deliver.db camguard-deliver:camguard 640",
        "/var/lib/camguard/guard.db camguard:camguard 640",
    ]
    for user in ("camguard", "anna", "bob"):
        for words in (("cat", "/etc/camguard/secrets/hook.key"), ("ls", "/etc/camguard/secrets")):
            assert installed.run("runuser", "-u", user, "--", *words, check=False).returncode != 0, user
    installed.run("runuser", "-u", "camguard-deliver", "--", "cat", "/etc/camguard/secrets/hook.key")
    # It writes in its own folder and into the spool of wishes, and nowhere else of camguard's.
    for path, code in (("/var/lib/camguard/wishes/x", 0), ("/var/lib/camguard/x", 1), ("/etc/camguard/x", 1)):
        done = installed.run("nsenter", "-t", pid, "-m", "setpriv", "--reuid=camguard-deliver", "--regid=camguard",
                             "--init-groups", "touch", path, check=False)  # fmt: skip
        assert (done.returncode != 0) == bool(code), path
    owner = installed.run("stat", "-c", "%G", "/var/lib/camguard/wishes/x").stdout.strip()
    assert owner == "camguard", "the guard can read it"
    installed.run("rm", "/var/lib/camguard/wishes/x")


def test_the_spool_is_sticky_and_works_where_the_guard_has_to_make_it_itself(installed: Machine) -> None:
    """RestrictSUIDSGID= lets the guard set no set-group-id bit: who asks then gives the file to the group."""
    spool = "/var/lib/camguard/wishes"

    def rights() -> str:
        return installed.run("stat", "-c", "%U:%G %a", spool, check=False).stdout.strip()

    assert rights() == "camguard:camguard 3770", "as installed, also after the guard was started"
    installed.run("systemctl", "stop", "camguard")
    installed.run("rm", "-r", spool)
    installed.run("systemctl", "start", "camguard")
    installed.wait_for("the guard makes it", lambda: rights() == "camguard:camguard 1770")
    as_anna = ("setpriv", "--reuid=anna", "--regid=anna", "--init-groups")  # as after her next login
    said = installed.run(*as_anna, "camguard", "watching", "--for", "1min").stdout
    assert said.startswith("Done: the owner is watching every camera "), said
    installed.run("chmod", "3770", spool)
    installed.run("setfacl", "-m", "u:anna:rwX", spool)
    installed.run("systemctl", "restart", "camguard")
    installed.wait_for("it looks", lambda: is_looking(installed))
    assert rights() == "camguard:camguard 3770"


def test_in_a_terminal_it_is_two_programs_of_two_users_that_end_together(installed: Machine) -> None:
    """`sudo camguard run`, also when the guard is killed and can say nothing any more."""
    installed.run("systemctl", "stop", "camguard-deliver", "camguard")
    command = "setsid camguard run >/tmp/run.log 2>&1 </dev/null & echo $!"
    first = installed.run("sh", "-c", command).stdout.strip()

    def child() -> str:
        return installed.run("cat", f"/proc/{first}/task/{first}/children", check=False).stdout.strip()

    def user(pid: str) -> str:
        return installed.run("stat", "-c", "%U:%G", f"/proc/{pid}", check=False).stdout.strip()

    installed.wait_for("the guard is not root", lambda: user(first) == "camguard:camguard")
    second = child()
    installed.wait_for("nor is the messenger", lambda: user(second) == "camguard-deliver:camguard")
    caps = [line.split() for line in installed.run("cat", f"/proc/{second}/status").stdout.splitlines()]
    assert {row[1] for row in caps if row and row[0] in ("CapEff:", "CapPrm:", "CapAmb:")} == {"0" * 16}
    installed.wait_for("it tells", lambda: "telling 3 channels" in installed.run("cat", "/tmp/run.log").stdout)
    installed.run("sh", "-c", f"kill -KILL {first}")
    installed.wait_for("both are gone", lambda: user(second) == "")
    installed.run("systemctl", "start", "camguard", "camguard-deliver")


def test_score_of_the_running_messenger(installed: Machine) -> None:
    installed.run("systemd-analyze", "security", "--no-pager", "--threshold=15", "camguard-deliver.service")


def test_stop_is_clean_and_quick(installed: Machine) -> None:
    installed.run("systemctl", "stop", "camguard-deliver", seconds=60)
    assert installed.show("camguard-deliver", "Result") == "success"
    installed.run("systemctl", "stop", "camguard", seconds=60)
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
    for name in ("camguard", "camguard-deliver"):
        assert installed.run("getent", "passwd", name, check=False).returncode == 2
        assert installed.run("getent", "group", name, check=False).returncode == 2
    # Twice is no fault.
    installed.run("/clone/systemd/uninstall.sh", "--purge")


def test_the_clone_is_untouched(machine: Machine) -> None:
    """It is mounted read-only: had the installer wanted to write there, it would have failed."""
    assert machine.run("touch", "/clone/probe", check=False).returncode != 0
    assert not (Path(__file__).resolve().parents[2] / "probe").exists()
