"""What the guard's own machine is: its addresses, its gateway, its users, its rights. In: /proc, psutil. Out: Own."""

import contextlib
import ipaddress
import pwd
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from camguard.events import Own


def own() -> Own:
    """This machine on its links, now."""
    macs: set[bytes] = set()
    ips: set[bytes] = set()
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            with contextlib.suppress(ValueError):
                if one.family == psutil.AF_LINK:
                    mac = bytes.fromhex(one.address.replace(":", "").replace("-", ""))
                    if len(mac) == 6 and any(mac):
                        macs.add(mac)
                elif one.family in (socket.AF_INET, socket.AF_INET6):
                    ips.add(ipaddress.ip_address(one.address.partition("%")[0]).packed)
    return Own(frozenset(macs), frozenset(ips), frozenset(_gateways()), _forwards())


def _gateways() -> Iterator[bytes]:
    """Gateways of the default routes: /proc/net/route has the bytes of the address as one number of this machine's
    order, /proc/net/ipv6_route as they are."""
    for row in _rows("/proc/net/route"):
        if len(row) > 7 and row[1] == row[7] == "00000000" and row[2] != "00000000":
            yield int(row[2], 16).to_bytes(4, sys.byteorder)
    for row in _rows("/proc/net/ipv6_route"):
        if len(row) > 9 and row[0] == "0" * 32 and row[1] == "00" and row[4] != "0" * 32:
            yield bytes.fromhex(row[4])


def _forwards() -> bool:
    """Whether packets of others go through this machine."""
    for name in ("/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding"):
        with contextlib.suppress(OSError):
            if Path(name).read_text(encoding="ascii").strip() == "1":
                return True
    return False


def _rows(path: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(path).read_text(encoding="ascii").splitlines()]
    except OSError:
        return []


def account(name: str) -> tuple[int, int] | None:
    """User and group number of an account, None where there is none."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return found.pw_uid, found.pw_gid


def rights_left() -> str | None:
    """Capabilities that any task of this process still has ("CapEff 2000"), None as it should be."""
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            for line in (task / "status").read_text(encoding="ascii").splitlines():
                name, _, value = line.partition(":")
                if name in ("CapInh", "CapPrm", "CapEff", "CapAmb") and int(value, 16):
                    return f"{name} {value.strip()}"
    return None
