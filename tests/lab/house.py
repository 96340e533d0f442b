"""A house with a phone: the lab's home, the guard and the messenger as two processes of two users, as the units run
them, and on the router a push service, a program's webhook and a broker with a Home Assistant that listens.

Each camera has one stranger outside, who comes and goes when a test says so (`House.watched`).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.lab import play
from tests.lab.draw import Plan, Scenario
from tests.lab.home import Home, LabError, wait_for
from tests.lab.inside import Inside
from tests.lab.media import Film, encode
from tests.lab.record import ROOT, configuration
from tests.tell.ha import HomeAssistant
from tests.tell.mosquitto import PASSWORD, USER, Broker
from tests.tell.receivers import Receiver

FILM = Film("middle", 500, 10, 1, seconds=100)
GUARD, MESSENGER, GROUP = 65534, 65533, 65534
CAPS = "+net_raw,+bpf"
RIGHTS = (f"--inh-caps=-all,{CAPS}", f"--ambient-caps=-all,{CAPS}", f"--bounding-set=-all,{CAPS}")
TOPIC = "a-topic-that-nobody-guesses"
REAL = time.time() - time.monotonic()  # the receivers note monotonic seconds


def a_plan(cameras: tuple[str, ...]) -> Plan:
    """One RTSP camera each, watched from outside over TCP and over UDP in turn."""
    scenarios = tuple(
        Scenario(name, "view_rtsp", 0, 0, film=FILM.name, detail={"transport": ("tcp", "udp")[number % 2]})
        for number, name in enumerate(cameras)
    )
    macs = {name: f"02:00:00:00:06:{number:02x}" for number, name in enumerate((*cameras, "nvr", "phone"), 16)}
    settings: dict[str, dict[str, str | int | bool]] = {
        name: {"mtu": 1500, "rtp_mtu": 1300, "congestion": "reno"} for name in cameras
    }
    return Plan(0, (FILM,), 0, scenarios, macs, "02:00:00:00:06:01", settings, 0.0)


class House:
    """Made by `open_house`. `push`, `hook`: the receivers; `ha`: what a Home Assistant shows."""

    def __init__(self, folder: Path, cameras: tuple[str, ...], stack: ExitStack) -> None:
        self.folder, self.plan = folder, a_plan(cameras)
        self.home = Home(folder, f"cghouse{os.getpid()}", self.plan.router_mac)
        stack.callback(self.home.close)
        os.chmod(folder, 0o755)
        self.stage = play.Stage(self.home, self.plan, {FILM.name: encode(FILM, folder)}, (folder, folder))
        self.home.open()
        self.nvr = self.home.add_lan("nvr", self.plan.macs["nvr"])
        for scenario in self.plan.scenarios:
            play.prepare(self.stage, scenario)
        self.home.serve({})
        doors = [log for scenario in self.plan.scenarios for log in play.open_doors(self.stage, scenario)]
        self.inside = Inside(self.home.router)
        stack.callback(self.inside.close)
        self.push, self.hook = self.inside(Receiver), self.inside(Receiver)
        stack.callback(self.push.close)
        stack.callback(self.hook.close)
        (folder / "broker").mkdir()
        self.broker = self.inside(Broker, folder / "broker")
        stack.callback(self.broker.stop)
        self.heard = self.inside(stack.enter_context, self.broker.listening("#"))
        self.ha, self._read, self._reading = HomeAssistant(), 0, threading.Lock()
        self.guard: subprocess.Popen[bytes]
        self.deliver: subprocess.Popen[bytes]
        for log in doors:
            wait_for(log, "ready", 60)
        self._configure()

    def _configure(self) -> None:
        secrets = {"ntfy.url": f"ntfy://127.0.0.1:{self.push.port}/{TOPIC}", "mqtt.password": PASSWORD}
        for name, text in secrets.items():
            (self.folder / name).write_text(text)
            os.chown(self.folder / name, 0, GROUP)
            (self.folder / name).chmod(0o640)
        (self.folder / "camguard.toml").write_text(
            configuration(self.plan)
            + f'\n[[notify]]\nname = "phone"\nurl_file = "{self.folder}/ntfy.url"\n'
            + f'\n[[notify]]\nname = "hook"\nwebhook = "{self.hook.url()}"\n'
            + f'\n[[notify]]\nmqtt = "mqtts://localhost:{self.broker.port}"\nusername = "{USER}"\n'
            + f'password_file = "{self.folder}/mqtt.password"\nca_file = "{self.folder}/broker/ca.pem"\n'
        )
        for name, user, mode in (
            ("state", GUARD, 0o750), ("run", GUARD, 0o750), ("deliver", MESSENGER, 0o750),
        ):  # fmt: skip
            (self.folder / name).mkdir()
            os.chown(self.folder / name, user, GROUP)
            (self.folder / name).chmod(mode)

    # ---- camguard's own programs -------------------------------------------------------------------------------------

    def start_guard(self) -> subprocess.Popen[bytes]:
        """`camguard guard` as its unit runs it; it looks when this returns."""
        began = time.time()
        program = self._start("guard", GUARD, RIGHTS, self.folder)
        self.until(lambda: _written(self.folder / "run/now.json") > began, 60, "the guard does not look")
        return program

    def start_deliver(self) -> subprocess.Popen[bytes]:
        """`camguard deliver` as its unit runs it."""
        rights = ("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
        return self._start("deliver", MESSENGER, rights, self.folder)

    def start_run(self, hook: Receiver) -> subprocess.Popen[bytes]:
        """`camguard run` of an ordinary user, with files and a webhook of its own; it looks when this returns."""
        folder = self.folder / "alone"
        folder.mkdir()
        (folder / "camguard.toml").write_text(configuration(self.plan) + f'\n[[notify]]\nwebhook = "{hook.url()}"\n')
        for name in ("state", "run", "deliver"):
            (folder / name).mkdir()
            os.chown(folder / name, GUARD, GROUP)
        program = self._start("run", GUARD, RIGHTS, folder)
        self.until((folder / "run/now.json").exists, 60, "camguard run does not look")
        return program

    def _start(self, command: str, user: int, rights: tuple[str, ...], folder: Path) -> subprocess.Popen[bytes]:
        # An ordinary user may not be able to enter the clone's folder; the mount is seen by this process only.
        here = self.folder / "clone"
        here.mkdir(exist_ok=True)
        python = sys.executable.replace(str(ROOT), str(here))
        argv = ["setpriv", "--reuid", str(user), "--regid", str(GROUP), "--clear-groups", *rights,
                python, "-m", "camguard.cli", command, *_where(folder)]  # fmt: skip
        line = f"umask 027 && mount --bind {ROOT} {here} && cd {here} && exec {' '.join(argv)}"
        return self.home.start(
            self.home.router, ["env", f"CAMGUARD_DELIVER_DIR={folder}/deliver", "sh", "-c", line], command
        )

    def camguard(self, *words: str) -> str:
        """A command of the owner, who is root here; what it printed. It must succeed."""
        done = subprocess.run(
            [sys.executable, "-m", "camguard.cli", *words, *_where(self.folder)], cwd=ROOT, capture_output=True,
            text=True, timeout=60, check=False, env=os.environ | {"CAMGUARD_DELIVER_DIR": f"{self.folder}/deliver"},
        )  # fmt: skip
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout

    def kill(self, program: subprocess.Popen[bytes]) -> None:
        """SIGKILL, as a crash or the kernel's memory guard would."""
        self.home.stop(program, signal.SIGKILL)

    # ---- who watches -------------------------------------------------------------------------------------------------

    @contextmanager
    def watched(self, camera: str, who: str = "stranger") -> Iterator[float]:
        """Somebody watches the camera until the block ends; since when (the camera's log, wall clock)."""
        scenario = next(one for one in self.plan.scenarios if one.name == camera)
        log, outside = self.stage.log(camera), self.stage.outside[camera][0]
        ns, place = outside.ns, f"{outside.wan_ip}:{play.DOOR}"
        if who == "nvr":
            ns, place = self.nvr.ns, f"{self.home.lan[camera].ip}:{play.RTSP}"
        before = len(play.said(log, "play"))
        argv = ["ffmpeg", "-nostdin", "-v", "warning", "-rtsp_transport", str(scenario.detail["transport"]),
                "-i", f"rtsp://{play.LOGIN[0]}:{play.LOGIN[1]}@{place}/live",
                "-map", "0", "-c", "copy", "-f", "null", "-"]  # fmt: skip
        viewer = self.home.start(ns, argv, f"{who}-{camera}")
        try:
            self.until(lambda: len(play.said(log, "play")) > before, 60, f"{who} never saw {camera}")
            since = play.said(log, "play")[before]
            yield since
        finally:
            self.home.stop(viewer, signal.SIGINT)

    # ---- what arrived ------------------------------------------------------------------------------------------------

    def hooked(self, camera: str | None) -> list[dict[str, Any]]:
        """What the webhook got about a camera (None: about camguard itself), in order, each with `at` (wall clock). Not
        that each stranger here comes in by a forwarded port: a matter of its own (test_exposure.py)."""
        return [
            got.json | {"at": got.at + REAL}
            for got in list(self.hook.got)
            if got.json["camera"] == camera and got.json["type"] != "exposed-port"
        ]

    def pushed(self, *words: str) -> list[tuple[str, float]]:
        """What the push service got that holds all these words: text and wall clock, in order."""
        found = [(_text(got), got.at + REAL) for got in list(self.push.got)]
        found = [one for one in found if "can be reached from the internet" not in one[0]]  # as in `hooked`
        return [one for one in found if all(word in one[0] for word in words)]

    def shown(self, entity_id: str) -> str:
        """The state of an entity as Home Assistant shows it now."""
        with self._reading:
            for one in self.heard.heard[self._read :]:
                self._read += 1
                if one.topic.startswith("homeassistant/") or one.payload:
                    self.ha.take(one.topic, one.payload, retained=one.retained)
            entity = self.ha.entities.get(entity_id)
        return "not announced" if entity is None else entity.shown

    def becomes(self, entity_id: str, state: str, within_s: float) -> None:
        """Wait until Home Assistant shows this state."""
        self.until(lambda: self.shown(entity_id) == state, within_s, lambda: f"{entity_id} is {self.shown(entity_id)}")

    def say(self, topic: str, payload: str) -> None:
        """mosquitto_pub, as somebody who knows the broker's password."""
        self.inside(self.broker.say, topic, payload)

    @staticmethod
    def until(what: Callable[[], object], within_s: float, else_say: str | Callable[[], str]) -> None:
        """Wait for it; AssertionError with the words where it does not come."""
        end = time.monotonic() + within_s
        while not what():
            if time.monotonic() > end:
                raise AssertionError(else_say if isinstance(else_say, str) else else_say())
            time.sleep(0.02)

    def logs(self) -> str:
        """What the programs said."""
        return "\n".join(
            f"--- {name}\n{(self.folder / f'{name}.log').read_text()[-3000:]}"
            for name in ("guard", "deliver", "run") if (self.folder / f"{name}.log").exists()
        )  # fmt: skip


@contextmanager
def open_house(folder: Path, cameras: tuple[str, ...]) -> Iterator[House]:
    """A house of these cameras; guard and messenger are still to be started."""
    with ExitStack() as stack:
        yield House(folder, cameras, stack)


def _where(folder: Path) -> list[str]:
    return [
        f"--{flag}={folder}/{name}"
        for flag, name in (("config", "camguard.toml"), ("state-dir", "state"), ("runtime-dir", "run"))
    ]


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _text(got: Any) -> str:
    """Title and body, wherever the push protocol puts them."""
    headers = {key: value for key, value in got.headers.items() if key.startswith("x-") or key == "title"}
    try:
        body = json.dumps(json.loads(got.body), ensure_ascii=False)
    except ValueError:
        body = got.body.decode(errors="replace")
    return f"{headers} {body}"


__all__ = ["House", "LabError", "open_house"]
