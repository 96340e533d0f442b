"""Whose viewing is it, through a relay: the owner's phone at home raises nothing; the same relay without it is told.

A camera (ffmpeg, TLS) sends to a relay on the internet; who views gets it from there: the owner's phone at home, or a
stranger outside, also while the phone sees a film at the same rate. The guard looks at the home's bridge.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.gate import missing, notes
from tests.lab.home import Home, LanHost, OutsideHost, wait_for
from tests.lab.play import PYTHON
from tests.lab.record import ROOT, discard, guard_argv, temporary
from tests.lab.verdict import seconds

pytestmark = pytest.mark.lab
ROUTER, PHONE = "02:00:00:00:78:fe", "02:00:00:00:78:21"
CAMERAS = {name: f"02:00:00:00:78:{number:02x}" for number, name in enumerate(("porch", "yard", "hall", "attic"), 1)}
PORT, KBIT = 443, 1000
OPAQUE_S = 10.0  # contract.md
SOON_S = 90.0  # a limit of the test only


@dataclass
class Relayed:
    """The home, and who is outside."""

    home: Home
    relay: OutsideHost
    films: OutsideHost
    stranger: OutsideHost

    @property
    def folder(self) -> Path:
        return self.home.folder

    @contextmanager
    def sends(self, camera: str) -> Iterator[float]:
        """The camera sends live video to the relay; since when, in the relay's own time."""
        film = "testsrc2=size=640x360:rate=15"
        line = (
            f"(echo camera {camera}; exec ffmpeg -nostdin -v error -re -f lavfi -i {film} -c:v libx264"
            f" -preset ultrafast -tune zerolatency -g 30 -b:v {KBIT}k -maxrate {KBIT}k -bufsize {KBIT}k"
            " -f mpegts -flush_packets 1 -)"
            f" | openssl s_client -quiet -connect {self.relay.ip}:{PORT}"
        )
        program = self.home.start(self.home.lan[camera].ns, ["sh", "-c", line], f"camera-{camera}")
        try:
            wait_for(self.folder / "relay.jsonl", f'"first", "name": "{camera}"', 60)
            noted = [json.loads(one) for one in (self.folder / "relay.jsonl").read_text().splitlines()]
            yield next(one["time"] for one in noted if (one["what"], one["name"]) == ("first", camera))
        finally:
            self.home.stop(program)

    @contextmanager
    def gets(self, who: LanHost | OutsideHost, what: str, server: OutsideHost) -> Iterator[None]:
        """Somebody is given something by a server: "view NAME" or "film KBIT"."""
        line = f"echo {what} | openssl s_client -quiet -connect {server.ip}:{PORT} > /dev/null"
        program = self.home.start(who.ns, ["sh", "-c", line], f"gets-{who.name}-{what.replace(' ', '-')}")
        try:
            if what.startswith("view"):
                wait_for(self.folder / "relay.jsonl", f'"viewer", "name": "{what.split()[1]}"', 60)
            yield
        finally:
            self.home.stop(program)

    def events(self, kind: str, camera: str) -> list[dict[str, Any]]:
        """What the guard told so far of viewing this camera."""
        lines = (self.folder / "events.jsonl").read_text().splitlines()
        made = [one for one in map(json.loads, lines) if one["kind"] == kind and one["camera"] == camera]
        return [one for one in made if kind != "alert" or one["type"] == "remote-stream"]

    def soon(self, kind: str, camera: str, **fields: object) -> dict[str, Any]:
        """The first such event, as soon as it is there."""
        until = time.monotonic() + SOON_S
        while time.monotonic() < until:
            for one in self.events(kind, camera):
                if all(one[name] == value for name, value in fields.items()):
                    return one
            time.sleep(0.2)
        raise AssertionError(f"no {kind} of {camera} with {fields}: {self.events(kind, camera)}")


@pytest.fixture(scope="module")
def relayed() -> Iterator[Relayed]:
    if reason := missing():
        pytest.skip(reason)
    folder = temporary()
    os.chmod(folder, 0o755)
    home = Home(folder, f"cgrel{os.getpid()}", ROUTER)
    try:
        home.open()
        for name, mac in CAMERAS.items():
            home.add_lan(name, mac)
        home.add_lan("phone", PHONE)
        made = Relayed(home, *(home.add_outside(name) for name in ("relay", "films", "stranger")))
        home.join([made.relay, made.films, made.stranger])
        home.serve({})
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=relay.example", "-days", "2",
             "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"], check=True, capture_output=True, timeout=60,
        )  # fmt: skip
        for host in (made.relay, made.films):
            program = str(Path(__file__).parent / "programs" / "relay.py")
            pair = [f"{folder}/cert.pem", f"{folder}/key.pem"]
            home.start(host.ns, [PYTHON, program, str(PORT), f"{folder}/{host.name}.jsonl", *pair], host.name)
            wait_for(folder / f"{host.name}.jsonl", "ready", 60)
        lines = ['[home]\ntimezone = "UTC"\nlearn_days = 0\n[network]\ninterface = "br-lan"\n']
        lines += [f'[[camera]]\nname = "{name}"\nmac = "{mac}"\n' for name, mac in CAMERAS.items()]
        lines += [f'[[device]]\nname = "phone"\nmac = "{PHONE}"\nowner = true\n']
        (folder / "camguard.toml").write_text("".join(lines))
        argv = " ".join(guard_argv(folder, ordinary_user=False))
        home.start(home.router, ["sh", "-c", f"cd {ROOT} && exec {argv} > {folder}/events.jsonl"], "guard")
        wait_for(folder / "guard.log", "camguard is looking", 60)
        time.sleep(3)  # the kernel ledger has seen the phone's and the cameras' first seconds
        yield made
    finally:
        home.close()
        if keep := os.environ.get("CAMGUARD_LAB_KEEP"):
            shutil.copytree(folder, Path(keep) / "relay", dirs_exist_ok=True)
        discard(folder)


def test_the_owners_phone_at_home_raises_nothing(relayed: Relayed) -> None:
    phone = relayed.home.lan["phone"]
    with relayed.gets(phone, "view porch", relayed.relay), relayed.sends("porch"):
        session = relayed.soon("session", "porch", verdict="expected")
        time.sleep(12)
    relayed.soon("session", "porch", state="closed")
    assert session["reason"] == "phone is receiving it at the same time (through the same server)"
    assert not relayed.events("alert", "porch")
    assert {one["verdict"] for one in relayed.events("session", "porch")} <= {"expected", None}


def test_the_same_relay_and_somebody_outside_is_one_alert_in_time(relayed: Relayed) -> None:
    with relayed.gets(relayed.stranger, "view yard", relayed.relay), relayed.sends("yard") as since:
        alert = relayed.soon("alert", "yard", state="open")
    delay_s = seconds(alert["raised"]) - since
    notes.append(f"a stranger through a relay: told after {delay_s:.1f} s")
    assert delay_s <= OPAQUE_S
    relayed.soon("alert", "yard", state="closed")
    assert [one["state"] for one in relayed.events("alert", "yard")] == ["open", "closed"]


def test_a_film_on_the_phone_excuses_no_stranger(relayed: Relayed) -> None:
    film = relayed.gets(relayed.home.lan["phone"], f"film {KBIT}", relayed.films)
    with relayed.gets(relayed.stranger, "view hall", relayed.relay), film, relayed.sends("hall") as since:
        alert = relayed.soon("alert", "hall", state="open")
        time.sleep(12)
        delay_s = seconds(alert["raised"]) - since
        notes.append(f"the same while the phone sees a film at the same rate: told after {delay_s:.1f} s")
        assert delay_s <= OPAQUE_S
        assert [one["state"] for one in relayed.events("alert", "hall")] == ["open"]
    assert not [one for one in relayed.events("session", "hall") if one["verdict"] == "expected"]


def test_the_phone_stops_and_the_camera_goes_on(relayed: Relayed) -> None:
    phone = relayed.home.lan["phone"]
    with ExitStack() as stack:
        with relayed.gets(phone, "view attic", relayed.relay):
            stack.enter_context(relayed.sends("attic"))
            relayed.soon("session", "attic", verdict="expected")
        stopped = time.time()
        alert = relayed.soon("alert", "attic", state="open")
    after_s = seconds(alert["raised"]) - stopped
    notes.append(f"the phone stops, the camera goes on: told after {after_s:.1f} s")
    assert 0 <= after_s <= OPAQUE_S
