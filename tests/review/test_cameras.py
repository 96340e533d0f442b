"""cameras list, add, remove: who was seen, who is guarded; the file afterwards, and what the guard was told."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from camguard import config
from camguard.config import Paths
from camguard.errors import ConfigError
from camguard.events import Camera, SeenDevice
from camguard.places import Places
from camguard.review import cameras
from camguard.store import Store, write_now

START = time.time() - 3600
CONFIG = """
[home]
timezone = "UTC"
[[camera]]
name = "porch"
mac = "02:00:00:00:00:01"
[[camera]]
name = "gone"
mac = "02:00:00:00:00:99"
[[device]]
name = "phone"
ip = "192.168.1.20"
"""
MADE_BY_SOMEBODY = "b8:27:eb:01:02:03"  # Raspberry Pi's own range, in every IEEE table


@dataclass
class House:
    paths: Paths
    store: Store

    def cameras(self) -> tuple[Camera, ...]:
        return config.load(self.paths.config).home.cameras


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "run").mkdir()
    (tmp_path / "c.toml").write_text(CONFIG)
    paths = Paths(tmp_path / "c.toml", tmp_path / "state", tmp_path / "run")
    made = House(paths, Store.open(paths.database))
    made.store.devices(
        [
            SeenDevice("02:00:00:00:00:01", ("fe80::1", "192.168.1.40"), "cam-1", START, START + 60),
            SeenDevice(MADE_BY_SOMEBODY, ("192.168.1.41",), "pi\x1b[31m", START + 1, START + 61),
            SeenDevice("02:00:00:00:00:03", ("192.168.1.42", "192.168.1.9"), "Yard Cam", START + 2, START + 62, True),
            SeenDevice("02:00:00:00:00:04", ("192.168.1.20",), None, START + 3, START + 63, True),
            SeenDevice("02:00:00:00:00:05", ("192.168.1.9",), None, START + 4, START + 10),
        ]
    )
    yield made
    made.store.close()


Out = pytest.CaptureFixture[str]


def looking(house: House, pid: int) -> None:
    write_now(house.paths.now, {"pid": pid, "cameras": [], "time": "2026-11-24T20:00:00.000Z"})


def test_the_list(house: House, capsys: Out) -> None:
    looking(house, 1)
    assert cameras.listing(house.paths) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NO", "NAME", "GUARDED", "MAC", "ADDRESS", "MAKER", "CALLS", "ITSELF", "LAST", "SEEN"]
    assert [line.split()[0] for line in lines[1:-1]] == ["1", "-", "3", "4", "2", "5"]
    assert "porch  yes (file)" in lines[1]
    assert "192.168.1.40" in lines[1]
    assert "cam-1" in lines[1]
    assert "gone   yes (file), never seen " in lines[2]
    assert "02:00:00:00:00:99" in lines[2]
    assert "no, speaks like a camera" in lines[3]
    assert "phone" in lines[4], "the others: seen last comes first"
    assert "speaks like" not in lines[4], "the owner knows it"
    assert (Places().maker(MADE_BY_SOMEBODY) or "?") in lines[5]
    assert "pi [31m" in lines[5]
    assert lines[-1] == "2 guarded, 4 others. Guard one: sudo camguard cameras add NO NAME"


def test_the_list_as_json(house: House, capsys: Out) -> None:
    assert cameras.listing(house.paths, as_json=True) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["number"] for row in rows] == [1, 2, 3, 4, 5, None]
    assert [row["guarded"] for row in rows] == [True, False, False, False, False, True]
    assert [row["name"] for row in rows] == ["porch", None, None, "phone", None, "gone"]
    assert rows[2]["speaks_camera"] is True
    assert rows[1]["calls_itself"] == "pi [31m"
    assert set(rows[0]) == {
        "number", "name", "guarded", "origin", "mac", "ips", "maker", "calls_itself", "speaks_camera", "first_seen",
        "last_seen",
    }  # fmt: skip


def test_the_list_while_the_guard_is_not_looking(house: House, capsys: Out) -> None:
    assert cameras.listing(house.paths) == 1
    assert capsys.readouterr().out.startswith("camguard is not looking. Fix: ")


def test_the_list_before_anything_was_recorded(tmp_path: Path, capsys: Out) -> None:
    (tmp_path / "c.toml").write_text("")
    assert cameras.listing(Paths(tmp_path / "c.toml", tmp_path, tmp_path)) == 1
    assert "sudo camguard cameras discover" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "name", "camera"),
    [
        ("3", "yard", Camera("yard", "02:00:00:00:00:03")),
        ("3", None, Camera("Yard Cam", "02:00:00:00:00:03")),
        ("02-00-00-00-00-03", "yard", Camera("yard", "02:00:00:00:00:03")),
        ("192.168.1.42", "yard", Camera("yard", "02:00:00:00:00:03")),
        ("192.168.1.9", "yard", Camera("yard", "02:00:00:00:00:03")),  # the one that had the address last
        ("02:00:00:00:00:77", "yard", Camera("yard", "02:00:00:00:00:77")),
        ("10.9.9.9", "yard", Camera("yard", None, ("10.9.9.9",))),
        ("02:00:00:00:00:05", None, Camera("camera", "02:00:00:00:00:05")),
    ],
)
def test_add(house: House, capsys: Out, what: str, name: str | None, camera: Camera) -> None:
    assert cameras.add(house.paths, what, name) == 0
    assert house.cameras()[-1] == camera
    out = capsys.readouterr().out
    assert out.startswith(f"{camera.name} ({camera.mac or camera.ips[0]}) is now in {house.paths.config}.\n")
    assert out.endswith("The guard is not running; it reads this when it starts.\n")
    assert ("give it a fixed address" in out) == (camera.mac is None)
    assert ("chose the name" in out) == (name is None)


def test_a_camera_that_was_never_seen_is_said(house: House, capsys: Out) -> None:
    cameras.add(house.paths, "02:00:00:00:00:77", "yard")
    assert "was not seen yet" in capsys.readouterr().err


def test_a_chosen_name_is_free(house: House) -> None:
    for mac in ("02:00:00:00:00:0a", "02:00:00:00:00:0b"):
        cameras.add(house.paths, mac, None)
    assert [camera.name for camera in house.cameras()[-2:]] == ["camera", "camera 2"]


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("9", "no device has number 9"),
        ("0", "number 0"),
        ("porsch", "no MAC"),
        ("224.0.0.1", "one device"),
        ("1", "already used"),
    ],
)
def test_what_cannot_be_added(house: House, what: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        cameras.add(house.paths, what, "x")
    assert house.paths.config.read_text() == CONFIG


def test_a_wrong_file_is_told_before_it_is_changed(house: House) -> None:
    house.paths.config.write_text("[home")
    with pytest.raises(ConfigError, match="line 1"):
        cameras.add(house.paths, "3", "yard")


def test_remove(house: House, capsys: Out) -> None:
    with house.paths.config.open("a") as file:
        file.write('[[expect]]\ncamera = "gone"\n')
    assert cameras.remove(house.paths, "gone") == 0
    assert [camera.name for camera in house.cameras()] == ["porch"]
    assert "with 1 rule for it" in capsys.readouterr().out
    with pytest.raises(ConfigError, match='Did you mean "porch"'):
        cameras.remove(house.paths, "prch")


def test_a_running_guard_is_told(house: House, capsys: Out) -> None:
    code = (
        "import signal,sys; signal.signal(signal.SIGHUP, lambda *_: sys.exit(42)); print(1, flush=True); signal.pause()"
    )
    guard = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert guard.stdout is not None
        guard.stdout.readline()
        looking(house, guard.pid)
        cameras.add(house.paths, "3", "yard")
        assert capsys.readouterr().out.endswith("The running guard was told to read it again.\n")
        assert guard.wait(60) == 42
    finally:
        guard.kill()
        guard.wait()
        guard.stdout.close()  # type: ignore[union-attr]


def test_a_guard_that_has_just_ended_is_no_error(house: House, capsys: Out) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    looking(house, ended.pid)
    cameras.add(house.paths, "3", "yard")
    assert capsys.readouterr().out.endswith("it reads this when it starts.\n")
