"""From the wire to Home Assistant and back: a real guard over a capture, the real deliver program, a real broker.

Only the tap is a file. A stranger watches; Home Assistant shows it; its button says that it was me; the guard decides.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from camguard import store
from tests.tell.ha import HomeAssistant
from tests.tell.mosquitto import MISSING, PASSWORD, Broker, Listener

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (tests/run.sh installs them)"
)
ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "camguard/samples"
CAMERA = "sample_camera"


class Shown:
    """A Home Assistant that listens to the broker."""

    def __init__(self, listener: Listener) -> None:
        self._listener, self._read, self.home = listener, 0, HomeAssistant()

    def look(self) -> HomeAssistant:
        while self._read < len(self._listener.heard):
            one = self._listener.heard[self._read]
            self._read += 1
            if one.topic.startswith("homeassistant/") or one.payload:
                self.home.take(one.topic, one.payload, retained=one.retained)
        return self.home

    def until(self, entity_id: str, state: str, within_s: float = 60.0) -> float:
        began = time.monotonic()
        while True:
            entity = self.look().entities.get(entity_id)
            if entity is not None and entity.shown == state:
                return time.monotonic() - began
            assert time.monotonic() - began < within_s, f"{entity_id} is {entity.shown if entity else 'unknown'}"
            time.sleep(0.02)


def wait(what: Callable[[], object], within_s: float = 60.0) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < within_s, "it did not happen"
        time.sleep(0.02)
    return time.monotonic() - began


def test_a_stranger_shows_in_home_assistant_and_it_was_me_is_decided(tmp_path: Path) -> None:
    folder = tmp_path / "broker"
    folder.mkdir()
    broker = Broker(folder)
    config, state, runtime = tmp_path / "camguard.toml", tmp_path / "state", tmp_path / "run"
    (tmp_path / "password").write_text(PASSWORD)
    config.write_text(
        (SAMPLES / "home.toml").read_text()
        + f'\n[[notify]]\nmqtt = "mqtts://localhost:{broker.port}"\nusername = "camguard"\n'
        + f'password_file = "{tmp_path}/password"\nca_file = "{folder}/ca.pem"\n'
    )
    where = ["--config", str(config), "--state-dir", str(state), "--runtime-dir", str(runtime)]
    tap = [sys.executable, str(ROOT / "tests/service/a_guard.py"), str(SAMPLES / "outsider.pcap")]
    programs: list[subprocess.Popen[bytes]] = []

    def start(command: list[str]) -> subprocess.Popen[bytes]:
        with (tmp_path / "log").open("ab") as log:
            programs.append(
                subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": str(ROOT)})
            )
        return programs[-1]

    state.mkdir()
    runtime.mkdir()
    try:
        with broker.listening("#") as heard:
            shown = Shown(heard)
            deliver = start(
                [sys.executable, "-c", "from camguard.cli import main; raise SystemExit(main())", "deliver", *where]
            )
            shown.until("binary_sensor.camguard_guard_problem", "on")  # no guard yet
            guard = start([*tap, str(config), str(state), str(runtime)])
            shown.until(f"binary_sensor.{CAMERA}_unexpected_viewer", "on")
            assert shown.home.shown(f"binary_sensor.{CAMERA}_being_watched") == "on"
            assert shown.home.shown("binary_sensor.camguard_anybody_unexpected") == "on"
            assert shown.home.shown("binary_sensor.camguard_guard_problem") == "off"
            # that the stranger comes in by a forwarded port is told beside it, and the entity shows the latest
            topic = f"camguard/{CAMERA}/alert"
            wait(lambda: [one for one in map(json.loads, heard.all(topic)) if one["event_type"] == "remote-stream"])
            told = next(one for one in map(json.loads, heard.all(topic)) if one["event_type"] == "remote-stream")
            assert (told["severity"], told["state"]) == ("critical", "open")
            assert shown.look().entities[f"event.{CAMERA}_alert"].state == "fired"
            seq, alert = store.Reader(state / "guard.db").alerts_after(0)[0]
            assert (seq > 0, told["id"]) == (True, alert["id"])

            topic, payload = shown.home.press(f"button.{CAMERA}_it_was_me")
            broker.say(topic, payload)
            took = shown.until(f"binary_sensor.{CAMERA}_unexpected_viewer", "off")
            wait(lambda: heard.last(f"{topic}/result"))
            answer = json.loads(heard.last(f"{topic}/result") or "")
            assert answer == {"ok": True, "said": "Done.", "decision": 1}
            print(f"the guard agreed that it was me within {took:.1f} s")
            base = topic.removesuffix("command")
            said = [(one.topic.removeprefix(base), one.payload) for one in heard.heard]
            settled = max(number for number, one in enumerate(said) if one == ("unexpected", "OFF"))
            assert [words for leaf, words in said[:settled] if leaf == "watched"][-1] == "ON"  # it goes on, and is fine

            part = shown.home.entities[f"switch.{CAMERA}_silence_alerts"].part
            for key, expected in (("payload_on", "on"), ("payload_off", "off")):
                broker.say(part["command_topic"], part[key])
                shown.until(f"switch.{CAMERA}_silence_alerts", expected)

            shown.until(f"binary_sensor.{CAMERA}_being_watched", "off")  # the capture ends, the viewing with it
            assert shown.home.shown("sensor.camguard_viewings_today") == "1"
            status = Path(f"/proc/{deliver.pid}/status").read_text()
            print("deliver with MQTT:", next(line for line in status.splitlines() if line.startswith("VmHWM")))
            guard.send_signal(signal.SIGKILL)
            guard.wait()
            took = shown.until("binary_sensor.camguard_guard_problem", "on")
            print(f"a killed guard showed after {took:.1f} s")
            assert shown.home.shown(f"binary_sensor.{CAMERA}_being_watched") == "unavailable"
            deliver.terminate()
            assert deliver.wait(60) == 0
            shown.until("binary_sensor.camguard_guard_problem", "unavailable")
    finally:
        for program in programs:
            program.kill()
            program.wait()
        broker.stop()
    assert PASSWORD not in (tmp_path / "log").read_text()
