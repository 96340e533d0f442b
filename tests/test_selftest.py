"""`camguard selftest` as a user starts it: with a desktop, without, with one left out, and with a broken chain."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from camguard import selftest

MAKER = Path(__file__).with_name("make_samples.py")
COMMAND = [str(Path(sys.executable).with_name("camguard")), "selftest"]


def _run(env: dict[str, str], *words: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*before, *COMMAND, *words], env=env, capture_output=True, text=True, timeout=60, check=False, cwd="/"
    )


def _without_session(folder: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DBUS_", "DISPLAY", "XDG_"))}
    return env | {"HOME": str(folder), "LC_ALL": "C.UTF-8"}


def test_the_whole_chain_ends_on_the_screen(desktop: Any) -> None:
    done = _run(desktop.env)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    names = [line.split("]")[1].split()[0] for line in lines if line.startswith("[")]
    assert names == ["capture", "pipeline", "record", "companion", "notification", "ending", "quiet"]
    assert all(line.startswith("[ok]") for line in lines if line.startswith("["))
    assert "shown by dunst in" in done.stdout
    assert lines[-1] == "The whole chain works: somebody opens a camera's video, and you are told."
    ((title, body),) = desktop.texts()
    assert title == "Test: Watching ended: Sample camera, 8 seconds"
    assert "received live video" in body


def test_nothing_of_the_owner_is_touched(desktop: Any) -> None:
    before = set(desktop.folder.rglob("*"))
    temporary = set(Path(tempfile.gettempdir()).glob("camguard-selftest-*"))
    assert _run(desktop.env).returncode == 0
    assert set(desktop.folder.rglob("*")) == before
    assert set(Path(tempfile.gettempdir()).glob("camguard-selftest-*")) == temporary


def test_without_a_desktop_the_line_says_so(tmp_path: Path) -> None:
    done = _run(_without_session(tmp_path))
    assert done.returncode == 1
    assert "[fault]    notification  there is no desktop session here (no session bus)\n" in done.stdout
    assert "or leave it out: camguard selftest --no-desktop" in done.stdout
    assert done.stdout.count("[ok]") == 5  # the rest of the chain is tried all the same
    assert done.stderr == ""


def test_a_dead_service_is_a_fault(desktop: Any) -> None:
    desktop.stop()
    done = _run(desktop.env)
    assert done.returncode == 1
    assert "no notification service runs in this desktop session" in done.stdout


def test_left_out_is_named_as_left_out(tmp_path: Path) -> None:
    done = _run(_without_session(tmp_path), "--no-desktop")
    assert done.returncode == 0, done.stdout
    assert "[left out] notification  not tried, as you asked (--no-desktop)" in done.stdout
    assert "was left out" in done.stdout.splitlines()[-1]
    assert "[fault]" not in done.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root")
def test_any_user_may_run_it(tmp_path: Path) -> None:
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--bounding-set=-all")
    done = _run(_without_session(Path("/nonexistent")), "--no-desktop", before=user)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("swapped", "line"),
    [
        (("quiet", "outsider"), "[fault]    pipeline      expected one viewing, told and ended, and got none"),
        (("outsider", "quiet"), "[fault]    quiet         a recorder and a motion clip raised 3 alerts"),
    ],
)
def test_a_chain_that_does_not_hold_is_a_fault(tmp_path: Path, swapped: tuple[str, str], line: str) -> None:
    """The captures changed places: the viewing where none may be, and the other way round."""
    samples = tmp_path / "samples"
    shutil.copytree(selftest.SAMPLES, samples)
    shutil.copy(samples / f"{swapped[0]}.pcap", samples / f"{swapped[1]}.pcap")
    done = _with_samples(samples)
    assert done.returncode == 1
    assert line in done.stdout


def test_a_missing_sample_is_one_line(tmp_path: Path) -> None:
    done = _with_samples(tmp_path)
    assert done.returncode == 1
    assert "[fault]    capture" in done.stdout
    assert "Traceback" not in done.stderr


def _with_samples(folder: Path) -> subprocess.CompletedProcess[str]:
    code = "import sys, pathlib; from camguard import selftest; selftest.SAMPLES = pathlib.Path(sys.argv[1])\n"
    code += "raise SystemExit(selftest.run(desktop=False))"
    return subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_samples_are_what_the_script_makes(tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(MAKER.parent)!r}); import make_samples as m, pathlib\n"
    code += "for name in ('outsider', 'quiet'): m.write(pathlib.Path(sys.argv[1]) / f'{name}.pcap', getattr(m, name)())"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    for name in ("outsider", "quiet"):
        made, shipped = (folder / f"{name}.pcap" for folder in (tmp_path, selftest.SAMPLES))
        assert made.read_bytes() == shipped.read_bytes(), f"run tests/make_samples.py: {name}.pcap is not what it makes"


def test_no_video_is_shipped() -> None:
    """Every media packet is cut to its headers: what is kept of the file is a small part of what was on the wire."""
    from camguard.capture import pcap

    for name in ("outsider", "quiet"):
        frames = list(pcap.frames(selftest.SAMPLES / f"{name}.pcap"))
        large = [frame for frame in frames if frame.wire_len > 600 and not frame.data[54:].startswith(b"\x16\x03")]
        assert large
        assert all(len(frame.data) <= 80 for frame in large)
