"""`camguard check`: what it says for a home whose figures and record the test writes. Companions are real ones."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import check, report, store
from camguard.check.answers import telling
from camguard.config import Paths
from camguard.events import Decision, SeenDevice
from camguard.review.terminal import View

PORCH, GARAGE = "02:c4:00:00:00:01", "02:c4:00:00:00:02"
CONFIG = f"""
[home]
timezone = "Europe/Berlin"
[[camera]]
name = "porch"
mac = "{PORCH}"
[[camera]]
name = "garage"
mac = "{GARAGE}"
[[expect]]
camera = "*"
peer = "lan"
"""


class House:
    """A home of the test: its paths, its figures, its companion."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "camguard.toml", folder / "state", folder / "run")
        self.folder = folder
        for one in (self.paths.state, self.paths.runtime):
            one.mkdir()
        self.paths.config.write_text(CONFIG)
        self.store = store.Store.open(self.paths.database)
        self.running: list[subprocess.Popen[bytes]] = []
        self.figures: dict[str, Any] = {
            "pid": 0,
            "time": "2026-11-24T20:40:00.000Z",
            "since": "2026-11-24T18:00:00.000Z",
            "source": "kernel ledger (exact)",
            "cost": None,
            "interfaces": [{"name": "lo", "state": "up", "packets": 1000, "drops": 0}],
            "cameras": [_camera("porch", PORCH), _camera("garage", GARAGE)],
            "problems": [],
            "counters": {},
        }

    def look(self, age_s: float = 0.0, **changed: Any) -> None:
        """Write the live figures, that old."""
        store.write_now(self.paths.now, self.figures | changed)
        made = json.loads(self.paths.now.read_text())
        made["boottime_s"] -= age_s
        self.paths.now.write_text(json.dumps(made))

    def _start(self, command: list[str], env: dict[str, str]) -> int:
        program = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        self.running.append(program)
        return program.pid

    def guard_process(self) -> int:
        """A process as the guard is when it runs: not root, no capability."""
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
        return self._start([*user, "sleep", "60"], dict(os.environ))

    def companion(self, state: Path | None = None) -> None:
        """A real `camguard desktop` that follows this record (or the one in `state`), without a desktop session."""
        home = self.folder / f"home{len(self.running)}"
        env = {k: v for k, v in os.environ.items() if not k.startswith(("DBUS_", "DISPLAY", "XDG_"))}
        env |= {"XDG_STATE_HOME": str(home)}
        folders = ["--state-dir", str(state or self.paths.state), "--runtime-dir", str(self.paths.runtime)]
        self._start([str(Path(sys.executable).with_name("camguard")), "desktop", *folders], env)
        until = time.monotonic() + 60
        while not (home / "camguard/desktop.json").exists():
            assert time.monotonic() < until
            time.sleep(0.05)

    def alert(self) -> None:
        body = {"kind": "alert", "id": "a1", "camera": "porch", "state": "open", "severity": "critical", "title": "t",
                "body": "b", "type": "remote-stream", "time": "2026-11-24T20:00:00.000Z",
                "raised": "2026-11-24T20:00:00.000Z"}  # fmt: skip
        self.store.write([store.Row("alert", 1e9, "porch", "a1", "open", body)], durable=True)

    def close(self) -> None:
        self.store.close()
        for program in self.running:
            program.terminate()
            program.wait(60)


def _camera(name: str, mac: str, **changed: Any) -> dict[str, Any]:
    seen = {"name": name, "mac": mac, "ips": ["192.0.2.7"], "sight": "both", "packets_up": 30, "packets_down": 11}
    return seen | {"last_time": "2026-11-24T20:39:00.000Z", "up_kbps": 0, "down_kbps": 0} | changed


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def answers(house: House, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    code = check.run(house.paths, as_json=True)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(set(line) == {"name", "status", "detail", "fix"} for line in lines)
    return code, {line["name"]: line for line in lines}


def text(house: House, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = check.run(house.paths)
    return code, capsys.readouterr().out


def test_all_is_well(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look(pid=house.guard_process())
    time.sleep(0.3)
    house.companion()
    code, found = answers(house, capsys)
    assert {line["status"] for line in found.values()} == {"ok"}, found
    assert code == 0
    assert list(found) == ["guard", "configuration", "network interface", "rights", "counting", "record",
                           "address tables", "porch", "garage", "desktop"]  # fmt: skip
    house.look(pid=house.running[0].pid)
    code, said = text(house, capsys)
    assert code == 0
    assert said.splitlines()[-1] == "camguard sees both cameras and can reach you. Nothing to do."
    assert f"{PORCH}  both directions, 41 packets" in said
    assert "2 cameras, 1 rule" in said
    assert "kernel ledger (exact); 0 packets lost since 24 Nov 19:00" in said
    assert "none held" in found["rights"]["detail"]


def test_a_warning_alone_is_no_fault(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.companion()
    house.look(cameras=[_camera("porch", PORCH, sight="up-only")])
    code, said = text(house, capsys)
    assert code == 0
    assert said.splitlines()[-1] == "1 warning. camguard sees the camera and can reach you."
    assert "Log-ins and commands to it will be missed." in said


def test_nobody_follows_is_a_fault(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look()
    code, found = answers(house, capsys)
    assert code == 1
    assert found["desktop"]["status"] == "fault"
    assert "camguard can look, but cannot reach you" in found["desktop"]["detail"]
    assert "camguard desktop" in found["desktop"]["fix"]
    _, said = text(house, capsys)
    assert said.splitlines()[-1].endswith("camguard can look, but cannot reach you.")


def test_a_companion_of_another_record_does_not_count(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look()
    house.companion(state=house.folder / "elsewhere")
    _, found = answers(house, capsys)
    assert found["desktop"]["status"] == "fault"


def test_a_companion_without_its_lock_does_not_count(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    """It is starting, was refused because another one runs, or only shows a test."""
    house.look()
    script = house.folder / "camguard"
    script.write_text("import time\ntime.sleep(30)\n")
    house._start([sys.executable, str(script), "desktop", "--state-dir", str(house.paths.state)], dict(os.environ))
    assert answers(house, capsys)[1]["desktop"]["status"] == "fault"


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
@pytest.mark.parametrize(("owner", "asker"), [(65534, 0), (0, 65534), (65534, 65533)])
def test_the_companion_of_another_user_counts(owner: int, asker: int) -> None:
    def become(uid: int) -> list[str]:
        return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]

    with tempfile.TemporaryDirectory() as made:  # pytest's own folders may not be entered by others
        folder = Path(made)
        folder.chmod(0o755)
        home = folder / "home"
        home.mkdir(mode=0o700)
        os.chown(home, owner, owner)
        house = House(folder)
        house.paths.state.chmod(0o755)
        house.paths.database.chmod(0o644)
        house.look()
        house.paths.now.chmod(0o644)
        program = str(Path(sys.executable).with_name("camguard"))
        folders = ["--state-dir", str(house.paths.state), "--runtime-dir", str(house.paths.runtime)]
        env = {"XDG_STATE_HOME": str(home), "PATH": os.environ["PATH"]}
        house._start([*become(owner), program, "desktop", *folders], env)
        until = time.monotonic() + 60
        while not (home / "camguard/desktop.json").exists():
            assert time.monotonic() < until
            time.sleep(0.05)
        try:
            asked = [*become(asker), program, "check", "--json", "--config", str(house.paths.config), *folders]
            done = subprocess.run(asked, capture_output=True, timeout=60, check=False)
            desk = json.loads(done.stdout.splitlines()[-1])
        finally:
            house.close()
    assert (desk["name"], desk["status"]) == ("desktop", "ok"), done.stderr


def test_a_companion_that_ended_does_not_count(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look()
    house.companion()
    assert answers(house, capsys)[1]["desktop"]["status"] == "ok"
    house.running[0].kill()
    house.running[0].wait(60)
    house.look()
    assert answers(house, capsys)[1]["desktop"]["status"] == "fault"


def test_a_companion_that_cannot_show_is_a_fault(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look()
    house.companion()
    house.alert()
    until = time.monotonic() + 60
    while "not shown" not in (found := answers(house, capsys)[1]["desktop"])["detail"]:
        assert time.monotonic() < until
        time.sleep(0.2)
        house.look()
    assert found["status"] == "fault"
    assert "there is no desktop session here" in found["detail"]
    assert found["fix"] == "camguard desktop --test"


@pytest.mark.parametrize(
    ("sight", "status", "detail", "fix"),
    [
        ("both", "ok", "both directions, 41 packets", None),
        ("up-only", "warning", "only what it sends, not what it receives", "docs/placement.md"),
        ("down-only", "fault", "only what it receives, not what it sends", "docs/placement.md"),
        ("broadcast-only", "fault", "only what it says to everybody", "docs/placement.md"),
        ("nothing", "fault", "not one packet; last seen ", "is it plugged in?"),
    ],
)
def test_how_a_camera_is_seen(
    house: House, capsys: pytest.CaptureFixture[str], sight: str, status: str, detail: str, fix: str | None
) -> None:
    house.look(cameras=[_camera("porch", PORCH), _camera("garage", GARAGE, sight=sight)])
    _, found = answers(house, capsys)
    assert found["garage"]["status"] == status
    assert detail in found["garage"]["detail"]
    assert found["garage"]["fix"] is None if fix is None else fix in found["garage"]["fix"]


def test_a_camera_that_was_just_added_is_no_fault(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    new = _camera("garage", GARAGE, sight="nothing", last_time=None) | {"since": store.rfc3339(time.time() - 12)}
    house.look(cameras=[_camera("porch", PORCH), new])
    _, found = answers(house, capsys)
    assert found["garage"]["status"] == "warning"
    assert found["garage"]["detail"].startswith("not heard yet; camguard looks at it for 1")
    assert found["garage"]["fix"] == "wait 3 minutes, then: camguard check"


def test_a_fault_has_its_meaning_and_its_fix_below(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.companion()
    house.look(cameras=[_camera("porch", PORCH), _camera("garage", GARAGE, sight="nothing", last_time=None)])
    code, said = text(house, capsys)
    lines = said.splitlines()
    at = next(n for n, line in enumerate(lines) if "garage" in line)
    assert lines[at].endswith("not one packet; never seen yet")
    assert lines[at + 1].strip() == "No alert can come for this camera."
    assert lines[at + 2].strip().startswith("Fix: is it plugged in?")
    assert lines[-1] == "1 problem. camguard protects 1 of 2 cameras."
    assert code == 1


@pytest.mark.parametrize("age_s", [None, 16.0])
def test_a_guard_that_does_not_run_is_said_first(
    house: House, capsys: pytest.CaptureFixture[str], age_s: float | None
) -> None:
    began = time.time() - 7200
    house.store.note_start(began)
    house.store.note_beat(began + 600, ended=True)
    house.store.devices([SeenDevice(PORCH, ("192.0.2.7",), None, began, began + 300)])
    if age_s is not None:
        house.look(age_s=age_s)
    code, said = text(house, capsys)
    first = said.splitlines()[0]
    assert code == 1
    assert first.startswith("camguard is not looking since ")
    assert ". Fix: " in first
    assert first.endswith(("camguard run", "sudo systemctl start camguard"))
    assert "porch" in said
    assert "not looked at; last seen" in said
    assert "not looked at; never seen" in said
    assert said.splitlines()[-1].endswith("camguard is not looking.")
    code, found = answers(house, capsys)
    assert found["guard"]["status"] == "fault"
    assert found["guard"]["detail"].startswith("camguard is not looking since ")


def test_lost_packets_are_told(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look(interfaces=[{"name": "lo", "state": "up", "packets": 1000, "drops": 3}])
    assert answers(house, capsys)[1]["counting"]["status"] == "warning"
    house.look(interfaces=[{"name": "lo", "state": "up", "packets": 1000, "drops": 300}])
    lost = answers(house, capsys)[1]["counting"]
    assert lost["status"] == "fault"
    assert "300 packets lost since" in lost["detail"]


def test_the_cost_of_a_lesser_source_is_told(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look(source="packet socket", cost="Fast traffic may be missed.", problems=["Fast traffic may be missed."])
    _, said = text(house, capsys)
    assert "packet socket" in said
    assert said.count("Fast traffic may be missed.") == 1


def test_a_gone_interface_and_a_problem_are_told(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look(
        interfaces=[{"name": "eth9", "state": "gone", "packets": 5, "drops": 0}],
        problems=["Only 3 MB of disk are free: soon nothing can be recorded."],
    )
    code, said = text(house, capsys)
    assert "eth9 is gone" in said
    assert "Only 3 MB of disk are free" in said
    assert code == 1


def test_a_guard_with_rights_is_told(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs a process of root")
    house.look(pid=os.getpid())
    assert "runs as root" in answers(house, capsys)[1]["rights"]["detail"]


def test_a_wrong_configuration_is_a_fault_with_its_place(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look()
    house.paths.config.write_text("[[camera]]\nname = 'porch'\nmack = 'x'\n")
    code, found = answers(house, capsys)
    assert code == 1
    assert found["configuration"]["status"] == "fault"
    assert "mack" in found["configuration"]["detail"]


def test_no_camera_is_a_fault(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look(cameras=[])
    house.paths.config.write_text("")
    code, said = text(house, capsys)
    assert code == 1
    assert "Fix: sudo camguard cameras discover" in said
    assert "No camera is guarded yet." in said


def test_signs_become_words_without_utf8(house: House) -> None:
    house.look()
    command = [str(Path(sys.executable).with_name("camguard")), "check", "--config", str(house.paths.config)]
    command += ["--state-dir", str(house.paths.state), "--runtime-dir", str(house.paths.runtime)]
    done = [
        subprocess.run(
            command, env=os.environ | {"PYTHONIOENCODING": name}, capture_output=True, timeout=60, check=False
        )
        for name in ("ascii", "utf-8")
    ]
    assert b"[ok]" in done[0].stdout
    assert b"[fault]" in done[0].stdout
    assert done[0].stdout.isascii()
    assert "[✓]" in done[1].stdout.decode()
    assert "[✗]" in done[1].stdout.decode()
    assert done[0].returncode == done[1].returncode == 1


def test_hostile_names_do_not_reach_the_terminal(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look(cameras=[_camera("\x1b[2Jporch\u202e", PORCH)], source="x\x07", problems=["\x1b]0;evil\x07"])
    said = text(house, capsys)[1]
    assert said.replace("\n", "").isprintable()


def test_a_missing_record_has_a_fix(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.look()
    house.store.close()
    shutil.rmtree(house.paths.state)
    code, found = answers(house, capsys)
    assert code == 1
    assert found["record"]["status"] == "fault"
    assert found["record"]["fix"]


def test_a_silence_is_said(house: House) -> None:
    now = time.time()
    made = Decision(1, now, "00000001", "mqtt, home", "silence", camera="porch", until=now + 3600)
    house.store.write([store.Row("decision", now, "porch", None, None, report.as_dict(made))], durable=True)
    house.look()
    (told,) = [one for one in telling(house.paths, None, View(house.paths)) if one.name == "porch"]
    assert told.detail == f"silenced until {report.when(now + 3600, now, 'Europe/Berlin')} (mqtt, home)"
    assert told.meaning == "Only what is critical and new reaches you."
