"""Holes in the router made with real clients at a real miniupnpd, and a stranger who comes in through a port forward.

upnpc, a NAT-PMP request of 12 bytes and a PCP request of 60 run in the camera's namespace; the router grants, and the
guard tells which port is open, and when it is closed again: taken back, or run out.
"""

import json
import struct
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.lab.doors import Doors, a_home_with_doors
from tests.lab.home import run, wait_for
from tests.lab.play import PYTHON

pytestmark = pytest.mark.lab
LEASE_S = 20
GUARD_S = 90  # how long something may take that takes a second on a quiet machine
TABLE = """
table inet upnp {
    chain to_camera { }
    chain forward { type filter hook forward priority -10; policy accept; jump to_camera; }
    chain in { }
    chain out { }
    chain prerouting { type nat hook prerouting priority -110; policy accept; jump in; }
    chain postrouting { type nat hook postrouting priority 110; policy accept; jump out; }
}
"""
#: 203.0.113.0/24 is reserved for examples, and miniupnpd would call that no public address: hence ext_ip.
CONFIG = """
ext_ifname=w1
ext_ip=9.9.9.9
listening_ip=br-lan
http_port=5000
enable_upnp=yes
enable_natpmp=yes
secure_mode=yes
upnp_table_name=upnp
upnp_nat_table_name=upnp
upnp_forward_chain=to_camera
upnp_nat_chain=in
upnp_nat_postrouting_chain=out
uuid=00000000-0000-0000-0000-000000000001
allow 1-65535 192.168.77.0/24 1-65535
deny 0-65535 0.0.0.0/0 0-65535
"""
SEND = """
import socket, sys
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.settimeout(20)
one.sendto(bytes.fromhex(sys.argv[2]), (sys.argv[1], 5351))
print(one.recv(1100).hex())
"""
SERVE = """
import socketserver, sys
class Greets(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"camera " + self.request.recv(100))
socketserver.ThreadingTCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(("", int(sys.argv[1])), Greets) as server:
    print("ready", flush=True)
    server.serve_forever()
"""


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    """The router forwards 7070 to the camera's 7000 by its own configuration; miniupnpd does what it is asked."""
    with a_home_with_doors("exposure", {7070: 7000}, "miniupnpd", "upnpc") as made:
        home, folder = made.home, made.home.folder
        run("ip", "netns", "exec", home.router, "nft", "-f", "-", feed=TABLE)
        (folder / "miniupnpd.conf").write_text(CONFIG)
        argv = ["miniupnpd", "-d", "-f", f"{folder}/miniupnpd.conf", "-P", f"{folder}/miniupnpd.pid"]
        home.start(home.router, argv, "miniupnpd")
        wait_for(folder / "miniupnpd.log", "NAT-PMP/PCP traffic", 60)
        for port in (7000, 8000):
            home.start(made.camera.ns, [PYTHON, "-c", SERVE, str(port)], f"serve{port}")
            wait_for(folder / f"serve{port}.log", "ready", 60)
        made.look()
        yield made


def upnpc(doors: Doors, *asked: str) -> str:
    return doors.run(doors.camera.ns, "upnpc", "-m", "eth0", *asked)


def router_is_asked(doors: Doors, payload: bytes) -> bytes:
    """A datagram from the camera to the router's port mapping service; its answer."""
    return bytes.fromhex(doors.run(doors.camera.ns, PYTHON, "-c", SEND, "192.168.77.1", payload.hex()))


def natpmp(external: int, lease_s: int) -> bytes:
    return b"\0\2\0\0" + struct.pack(">HHI", 8000, external, lease_s)


def pcp(doors: Doors, external: int, lease_s: int) -> bytes:
    client = bytes(10) + b"\xff\xff" + bytes(map(int, doors.camera.ip.split(".")))
    ports = struct.pack(">HH", 8000, external) + bytes(10) + b"\xff\xff" + bytes(4)
    return b"\2\1\0\0" + struct.pack(">I", lease_s) + client + b"nonce-of-lab" + b"\6\0\0\0" + ports


def soon(what: Callable[[], Any], limit_s: float = GUARD_S) -> Any:
    """What `what` answers, as soon as that is something."""
    until = time.monotonic() + limit_s
    while not (found := what()) and time.monotonic() < until:
        time.sleep(0.2)
    return found


def told(doors: Doors, port: int, state: str) -> dict[str, Any]:
    """The exposure of that port of the router (or else of the camera), in that state, once it is told."""

    def look() -> list[dict[str, Any]]:
        found = [one for one in doors.events("exposure") if port in (one["external_port"], one["internal_port"])]
        return [one for one in found if one["state"] == state]

    found = soon(look)
    assert len(found) == 1, doors.events("exposure")
    return found[0]


def alerts(doors: Doors, port: int) -> list[dict[str, Any]]:
    found = [one for one in doors.events("alert") if one["type"] == "exposed-port"]
    return [one for one in found if port in (one["detail"]["external_port"], one["detail"]["internal_port"])]


def comes_in(doors: Doors, port: int) -> str:
    """What the camera says to the stranger who says hello at the router's port."""
    say = f"echo hello | socat -t 5 - TCP:{doors.outside}:{port}"
    return doors.run(doors.stranger.ns, "sh", "-c", say)


def test_upnp_opened_and_taken_back(doors: Doors) -> None:
    asked = upnpc(doors, "-e", "lab camera", "-a", doors.camera.ip, "8000", "8554", "TCP")
    assert "is redirected to internal" in asked, asked
    opened = told(doors, 8554, "open")
    assert (opened["camera"], opened["what"], opened["internal_port"], opened["until"]) == (
        "door", "upnp-mapping", 8000, None,
    )  # fmt: skip
    (alert,) = soon(lambda: alerts(doors, 8554))
    assert (alert["title"], alert["severity"], alert["confidence"]) == (
        "door was opened to the internet", "warning", "certain",
    )  # fmt: skip
    assert "delete the port forward for 8554 in your router" in alert["body"]
    assert alert["detail"]["description"] == "lab camera"
    assert comes_in(doors, 8554) == "camera hello\n", "it is open indeed"
    upnpc(doors, "-a", doors.camera.ip, "8000", "8554", "TCP")
    upnpc(doors, "-d", "8554", "TCP")
    told(doors, 8554, "closed")
    soon(lambda: len(alerts(doors, 8554)) == 2)
    assert [one["state"] for one in alerts(doors, 8554)] == ["open", "closed"], "a renewal is no news, nor is its use"
    assert not [one for one in doors.events("exposure") if one["what"] == "inbound-port"]
    assert comes_in(doors, 8554) == ""


def test_any_port_over_upnp_2(doors: Doors) -> None:
    """AddAnyPortMapping; the answer says which port it is."""
    asked = upnpc(doors, "-n", doors.camera.ip, "8000", "8600", "TCP", "600")
    assert "is redirected to internal" in asked, asked
    assert told(doors, 8600, "open")["until"]
    upnpc(doors, "-N", "8600", "8601", "TCP")
    told(doors, 8600, "closed")


def test_a_refusal_is_no_hole(doors: Doors) -> None:
    """Secure mode: nobody may ask for somebody else, and the camera does not get 8700 for the laptop."""
    asked = upnpc(doors, "-a", doors.laptop.ip, "22", "8700", "TCP")
    assert "failed with code" in asked, asked
    upnpc(doors, "-a", doors.camera.ip, "8000", "8701", "TCP", "600")
    told(doors, 8701, "open")  # what was asked before it was read before it
    assert not [one for one in doors.events("exposure") if one["external_port"] == 8700]


def test_natpmp_opened_and_taken_back(doors: Doors) -> None:
    answer = router_is_asked(doors, natpmp(8610, 600))
    assert (answer[1], answer[2:4]) == (0x82, b"\0\0"), answer.hex()
    opened = told(doors, 8610, "open")
    assert (opened["what"], opened["internal_port"], opened["transport"]) == ("pcp-mapping", 8000, "tcp")
    assert comes_in(doors, 8610) == "camera hello\n"
    router_is_asked(doors, natpmp(0, 0))
    told(doors, 8610, "closed")


def test_pcp_opened_and_taken_back(doors: Doors) -> None:
    answer = router_is_asked(doors, pcp(doors, 8620, 600))
    assert (answer[1], answer[3]) == (0x81, 0), answer.hex()
    assert told(doors, 8620, "open")["what"] == "pcp-mapping"
    router_is_asked(doors, pcp(doors, 8620, 0))
    told(doors, 8620, "closed")


def test_a_lease_that_runs_out(doors: Doors) -> None:
    asked = upnpc(doors, "-a", doors.camera.ip, "8000", "8630", "TCP", str(LEASE_S))
    assert "is redirected to internal" in asked, asked
    told(doors, 8630, "open")
    told(doors, 8630, "closed")
    soon(lambda: len(alerts(doors, 8630)) == 2)
    assert alerts(doors, 8630)[-1]["detail"]["closed_by"] == "lease"


def test_a_stranger_through_a_port_forward(doors: Doors) -> None:
    """Made by the owner, long ago: nobody asked for it in our time."""
    assert comes_in(doors, 7070) == "camera hello\n"
    opened = told(doors, 7000, "open")
    assert (opened["what"], opened["external_port"], opened["peer"]["ip"]) == (
        "inbound-port", None, doors.stranger.ip,
    )  # fmt: skip
    comes_in(doors, 7070)
    (alert,) = soon(lambda: alerts(doors, 7000))
    assert alert["title"] == "door can be reached from the internet"


def test_what_is_open_goes_on_after_a_restart(doors: Doors) -> None:
    """The guard stops and starts anew: it knows what is open, and does not tell it again."""
    folder, home = doors.home.folder, doors.home
    told(doors, 7000, "open")
    (guard,) = [one for one in home.running if "camguard.cli run" in " ".join(map(str, one.args))]  # type: ignore[arg-type]
    home.stop(guard, wait_s=60)
    (folder / "guard.log").unlink()
    doors.look()  # its events begin anew
    where = ("--state-dir", f"{folder}/state", "--runtime-dir", f"{folder}/run")
    argv = (sys.executable, "-m", "camguard.cli", "status", "--json", "--config", f"{folder}/camguard.toml", *where)
    assert "inbound-port" in {one["what"] for one in json.loads(doors.run(home.router, *argv))["exposures"]}
    assert comes_in(doors, 7070) == "camera hello\n"
    assert "is redirected" in upnpc(doors, "-a", doors.camera.ip, "8000", "8640", "TCP", "600")
    told(doors, 8640, "open")  # what was said before it was read before it
    assert not [one for one in doors.events("exposure") if one["internal_port"] == 7000]
    assert not alerts(doors, 7000)
