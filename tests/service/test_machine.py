"""What the guard's own machine is, against what `ip` says of it."""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from camguard.service import machine


def test_own_addresses_and_gateways() -> None:
    own = machine.own()
    assert ipaddress.ip_address("127.0.0.1").packed in own.ips
    for card in Path("/sys/class/net").iterdir():
        mac = (card / "address").read_text().strip()
        if len(mac) == 17 and mac != "00:00:00:00:00:00":
            assert bytes.fromhex(mac.replace(":", "")) in own.macs
    for line in Path("/proc/net/route").read_text().splitlines()[1:]:
        if line.split()[1] == "00000000":
            assert own.gateway_ips
    assert own.routes == (Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1") or own.routes


IN_A_NAMESPACE = """
import json
from camguard.service import machine
own = machine.own()
print(json.dumps([sorted(ip.hex() for ip in own.ips), sorted(ip.hex() for ip in own.gateway_ips), own.routes,
                  sorted(mac.hex() for mac in own.macs)]))
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a network namespace")
def test_a_router_with_two_families(tmp_path: Path) -> None:
    setup = (
        "mount -t sysfs s /sys; ip link set lo up; ip link add wan0 type veth peer name wan1; ip link set wan1 up;"
        "ip link set wan0 address 02:00:00:00:00:31; ip link set wan0 up; ip addr add 192.0.2.7/24 dev wan0;"
        "ip -6 addr add 2001:db8::7/64 dev wan0 nodad; ip route add default via 192.0.2.1;"
        "ip -6 route add default via fe80::1 dev wan0; echo 1 > /proc/sys/net/ipv4/ip_forward;"
        f"exec {sys.executable} -c '{IN_A_NAMESPACE}'"
    )
    done = subprocess.run(
        ["unshare", "--net", "--mount", "sh", "-c", setup],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    ips, gateways, routes, macs = json.loads(done.stdout)
    assert "c0000207" in ips
    assert ipaddress.ip_address("2001:db8::7").packed.hex() in ips
    assert gateways == sorted(["c0000201", ipaddress.ip_address("fe80::1").packed.hex()])
    assert routes is True
    assert "020000000031" in macs


def test_accounts() -> None:
    assert machine.account("root") == (0, 0)
    assert machine.account("no-such-user-here") is None


def test_rights_that_are_left_are_found() -> None:
    left = machine.rights_left()
    assert (left is not None) == (os.geteuid() == 0)
