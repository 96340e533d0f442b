"""From the wire to the screen: a real guard on a veth pair, a real companion, a real notification service.

The bundled capture of the self-test is sent at its own pace from the other end of the link.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import selftest, store

CAMGUARD = str(Path(sys.executable).with_name("camguard"))
# sends the first seconds of a capture on eth0, cut frames filled up to their length on the wire
_SENDER = """
import socket, sys, time
from pathlib import Path
from camguard.capture import pcap
link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
link.bind(("eth0", 0))
began, first = time.monotonic(), None
for frame in pcap.frames(Path(sys.argv[1])):
    first = frame.at if first is None else first
    if frame.at - first > 4.0:
        break
    time.sleep(max(0.0, began + frame.at - first - time.monotonic()))
    link.send(frame.data + bytes(frame.wire_len - len(frame.data)))
    if b"RTSP/1.0 200 OK\\r\\nCSeq: 4" in frame.data:
        print(time.monotonic(), flush=True)
"""


@pytest.fixture
def link() -> Iterator[tuple[str, str]]:
    """Two namespaces with one end of a veth pair each, both called eth0."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    ours, theirs = f"h6d{os.getpid()}a", f"h6d{os.getpid()}b"
    try:
        for name in (ours, theirs):
            _sh("ip", "netns", "add", name)
        _sh("ip", "-n", ours, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", theirs)
        for name in (ours, theirs):
            _sh("ip", "-n", name, "link", "set", "eth0", "up")
        yield ours, theirs
    finally:
        for name in (ours, theirs):
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=60, capture_output=True)


def _sh(*words: str) -> None:
    subprocess.run(words, check=True, timeout=60, capture_output=True)


def _until(what: Callable[[], Any], seconds: float, failure: str) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, failure
        time.sleep(0.005)
    return found


@pytest.mark.lab
def test_a_viewing_on_the_wire_is_on_the_screen_in_a_second(
    link: tuple[str, str], desktop: Any, tmp_path: Path
) -> None:
    state = tmp_path / "guard"
    state.mkdir()
    folders = ["--state-dir", str(state), "--runtime-dir", str(state)]
    config = ["--config", str(selftest.SAMPLES / "home.toml")]
    watch = [CAMGUARD, "run", *config, *folders, "--interface", "eth0"]
    running = []
    try:
        guard = subprocess.Popen(
            ["ip", "netns", "exec", link[0], *watch], env=desktop.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        running.append(guard)
        assert guard.stdout is not None
        while b"camguard is looking at eth0" not in (line := guard.stdout.readline()):
            assert line, "the guard did not start"
        companion = subprocess.Popen([CAMGUARD, "desktop", *folders], env=desktop.env)
        running.append(companion)
        _until((desktop.folder / "state/camguard/desktop.json").exists, 60, "the companion did not start")
        sender = subprocess.Popen(
            ["ip", "netns", "exec", link[1], sys.executable, "-c", _SENDER, str(selftest.SAMPLES / "outsider.pcap")],
            stdout=subprocess.PIPE,
        )
        running.append(sender)
        assert sender.stdout is not None
        granted = float(sender.stdout.readline())
        reader = store.Reader(state / "guard.db")
        (alert,) = _until(reader.open_alerts, 60, "no alert in the record")
        committed = time.monotonic()
        _until(desktop.count, 60, "no notification")
        shown = time.monotonic()
        print(f"PLAY answered -> committed {committed - granted:.3f} s -> on the screen {shown - granted:.3f} s")
        assert alert["type"] == "remote-stream"
        ((title, _),) = desktop.texts()
        assert title == "Somebody is watching: Sample camera"

        guard.send_signal(signal.SIGTERM)
        assert guard.wait(60) == 0
        stopped = time.monotonic()
        titles: list[str] = []  # that the viewing has ended may be told as well

        def told() -> bool:
            titles.extend(title for title, _ in desktop.texts())
            return "camguard is not looking at your cameras" in titles

        _until(told, 60, "nobody was told that the guard has stopped")
        print(f"guard stopped -> told {time.monotonic() - stopped:.1f} s")
        companion.terminate()
        assert companion.wait(60) == 0
    finally:
        for program in running:
            program.kill()
            program.communicate()
