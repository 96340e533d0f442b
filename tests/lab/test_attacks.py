"""Real attackers in namespaces: nmap at a camera's doors, cameras that scan and flood, and one that only does what
cameras do all day. Each is told exactly once, or not at all.
"""

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.gate import missing
from tests.lab.home import Home, run, wait_for
from tests.lab.play import HERE, PYTHON
from tests.lab.record import ROOT, discard, guard_argv, temporary

pytestmark = pytest.mark.lab
MACS = {name: f"02:00:00:00:78:{number:02x}" for number, name in enumerate(
    ("scanned", "doors", "bot", "flooder", "prober", "quiet", "laptop"), 1)}  # fmt: skip
CAMERAS = tuple(name for name in MACS if name != "laptop")
ROUTER_MAC = "02:00:00:00:78:fe"
#: Stands for the internet: answers with RST and ICMP but for what programs/crowd.py answers.
WORLD, DARK = "198.18.0.0/16", "198.19.0.0/16"
SERVERS = [f"198.18.{number}.1" for number in range(1, 12)]
PEERS = [f"198.18.{number}.77" for number in range(20, 40)]
_numbers = itertools.count()


def in_ns(home: Home, ns: str, *argv: str, wait_s: float = 120) -> str:
    """A program in a namespace, to its end; what it printed."""
    done = subprocess.run(
        ["ip", "netns", "exec", ns, *argv], capture_output=True, text=True, timeout=wait_s, check=False
    )
    (home.folder / f"ran-{next(_numbers)}.log").write_text(f"{argv}\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="module")
def told() -> Iterator[dict[str, list[dict[str, Any]]]]:
    """All attacks at the same time, one a camera; the alerts by camera, in order."""
    if reason := missing():
        pytest.skip(reason)
    if shutil.which("nmap") is None:
        pytest.skip("the lab needs nmap (tests/run.sh installs it)")
    folder = temporary()
    os.chmod(folder, 0o755)
    home = Home(folder, f"cgatk{os.getpid()}", ROUTER_MAC)
    try:
        home.open()
        hosts = {name: home.add_lan(name, mac) for name, mac in MACS.items()}
        world, stranger = home.add_outside("world"), home.add_outside("stranger")
        # everything that comes from this stranger's line reaches one camera: a "DMZ host" of a home router
        home.rules.append(f'add rule inet lab pre iifname "w{stranger.number}" dnat ip to {hosts["doors"].ip}')
        home.serve({})
        for net, way in ((WORLD, "local"), (DARK, "blackhole")):
            run(
                "ip",
                "netns",
                "exec",
                home.router,
                "ip",
                "route",
                "add",
                net,
                "via",
                world.ip,
                "dev",
                f"w{world.number}",
            )
            run(
                "ip",
                "netns",
                "exec",
                world.ns,
                "ip",
                "route",
                "add",
                way,
                net,
                *(("dev", "lo") if way == "local" else ()),
            )
        home.start(world.ns, [PYTHON, str(HERE / "crowd.py"), "world", "300"], "world")
        wait_for(folder / "world.log", "ready", 60)
        for name in ("scanned", "doors"):
            log = folder / f"{name}.jsonl"
            home.start(hosts[name].ns, [PYTHON, str(HERE / "http_camera.py"), "80", "viewer", "x", str(log)], name)
            wait_for(log, "ready", 60)
        (folder / "camguard.toml").write_text(
            '[home]\ntimezone = "UTC"\n[network]\ninterface = "br-lan"\n'
            + "".join(f'[[camera]]\nname = "{name}"\nmac = "{MACS[name]}"\n' for name in CAMERAS)
        )
        argv = " ".join(guard_argv(folder, ordinary_user=False))
        home.start(home.router, ["sh", "-c", f"cd {ROOT} && exec {argv} > {folder}/events.jsonl"], "guard")
        wait_for(folder / "guard.log", "camguard is looking", 60)
        crowd = [PYTHON, str(HERE / "crowd.py")]
        busy = [
            home.start(hosts["quiet"].ns, [*crowd, "usual", "45", *SERVERS, *PEERS], "usual"),
            home.start(hosts["flooder"].ns, [*crowd, "flood", "12", "198.19.1.1"], "flood"),
        ]
        # one address answers each camera, so that the guard hears both ways of all of them
        for name in ("bot", "flooder", "prober"):
            in_ns(home, hosts[name].ns, "ping", "-c", "1", "-W", "2", SERVERS[0])
        scripts = "broadcast-upnp-info,broadcast-wsdd-discover,broadcast-dns-service-discovery"
        in_ns(home, hosts["quiet"].ns, "nmap", "--script", scripts, "--script-timeout", "10")
        scan = ("nmap", "-n", "-Pn", "-T5", "--max-retries", "0")
        in_ns(home, hosts["laptop"].ns, *scan, "-sS", hosts["scanned"].ip)
        in_ns(home, stranger.ns, *scan, "-sS", "--top-ports", "100", stranger.wan_ip)
        in_ns(home, hosts["bot"].ns, *scan, "-sS", "-p", "23", "198.18.0.0/25", "198.19.0.0/25")
        in_ns(home, hosts["prober"].ns, *scan, "-sS", "--top-ports", "200", hosts["laptop"].ip)
        for program in busy:
            program.wait(120)
        time.sleep(8)  # an attack is summed up when it pauses
        lines = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
        made: dict[str, list[dict[str, Any]]] = {name: [] for name in CAMERAS}
        for event in lines:
            if event["kind"] == "alert" and event["camera"]:
                made[event["camera"]].append(event)
        yield made
    finally:
        home.close()
        if keep := os.environ.get("CAMGUARD_LAB_KEEP"):
            shutil.copytree(folder, Path(keep) / "attacks", dirs_exist_ok=True)
        discard(folder)


Told = dict[str, list[dict[str, Any]]]


def the_only(alerts: list[dict[str, Any]], *types: str) -> dict[str, Any]:
    """The last word of the one matter that was told; `types`: its type, and of what else may be told beside it."""
    matters = {alert["id"]: alert for alert in alerts}
    assert sorted({alert["type"] for alert in matters.values()} - set(types[1:])) == [types[0]], matters
    (found,) = [alert for alert in matters.values() if alert["type"] == types[0]]
    return found


def test_nmap_at_home_is_one_port_scan_and_nothing_else(told: Told) -> None:
    alert = the_only(told["scanned"], "port-scan")
    assert alert["severity"] == "warning", "port 80 answered"
    assert alert["peer"]["mac"] == MACS["laptop"]
    assert alert["detail"]["open"] == 1
    assert alert["detail"]["ports"] >= 100
    assert alert["title"] == "Somebody is trying the doors of scanned"


def test_nmap_from_outside_is_one_port_scan(told: Told) -> None:
    alert = the_only(told["doors"], "port-scan", "exposed-port")
    assert alert["severity"] == "warning"
    assert alert["peer"]["scope"] == "wan"
    assert alert["detail"]["ports"] >= 15  # a scan; of its last ports it is not told one by one


def test_a_camera_that_scans_telnet_is_one_attack(told: Told) -> None:
    alert = the_only(told["bot"], "camera-attacks")
    assert (alert["severity"], alert["detail"]["how"], alert["detail"]["service"]) == ("critical", "scan", "telnet")
    assert alert["title"] == "bot is contacting many strangers"


def test_a_camera_that_floods_is_one_attack(told: Told) -> None:
    alert = the_only(told["flooder"], "camera-attacks")
    assert alert["detail"]["how"] == "flood"
    assert alert["peer"]["ip"] == "198.19.1.1"


def test_a_camera_that_tries_the_doors_of_a_laptop_is_one_attack(told: Told) -> None:
    alert = the_only(told["prober"], "camera-attacks")
    assert alert["detail"]["how"] == "ports"
    assert alert["peer"]["mac"] == MACS["laptop"]


def test_discovery_keep_alives_names_and_the_time_are_none(told: Told) -> None:
    assert told["quiet"] == []
