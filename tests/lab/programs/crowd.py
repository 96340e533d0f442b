"""What a camera says to many: crowd.py DEED SECONDS [ADDRESS...]; runs inside a camera's namespace.

flood: small datagrams to the first address as fast as they go (Mirai's attack_udp_plain), from one socket to ever new
ports. usual: what a camera does all day: keep-alives to three servers of a P2P service (PPPP's "F1 E0", re-ws.pl 2018,
and two bytes to peers that punch), the time from eight servers (RFC 5905), STUN, names. world: answers all that on
every address of the host: SECONDS long.
"""

import contextlib
import select
import socket
import sys
import time

PPPP_ALIVE, PPPP_ALIVE_ACK = bytes.fromhex("f1e00000"), bytes.fromhex("f1e10000")
NTP_QUERY = b"\x23" + bytes(47)
STUN_BINDING = bytes.fromhex("000100002112a442") + bytes(range(12))
PORTS = {32100: PPPP_ALIVE_ACK, 123: b"\x24" + bytes(47), 3478: bytes.fromhex("010100002112a442") + bytes(range(12))}


def flood(until: float, address: str) -> None:
    """Some 3,000 datagrams a second."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        number = 0
        while time.monotonic() < until:
            for _ in range(30):
                number += 1
                with contextlib.suppress(OSError):  # what came back by ICMP
                    out.sendto(bytes(64), (address, 1024 + number % 60000))
            time.sleep(0.01)


def usual(until: float, servers: list[str], peers: list[str]) -> None:
    """Each second a round: all of it is the talk of a healthy camera."""
    talk = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    number = 0
    while time.monotonic() < until:
        for server in servers[:3]:
            talk.sendto(PPPP_ALIVE, (server, 32100))
        talk.sendto(NTP_QUERY, (servers[3 + number % 8], 123))
        talk.sendto(STUN_BINDING, (servers[number % 3], 3478))
        for peer in peers if number % 5 == 0 else ():
            talk.sendto(b"\xf1\x41\x00\x14", (peer, 20000 + number))
        with contextlib.suppress(OSError):
            socket.getaddrinfo(f"host-{number % 40}.example", 80)
        number += 1
        time.sleep(0.3)


def world(until: float) -> None:
    """Servers of every kind."""
    doors = {}
    for port in PORTS:
        door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # the answer must come from the address that was asked (ip(7), IP_PKTINFO)
        door.setsockopt(socket.IPPROTO_IP, 8, 1)
        door.bind(("0.0.0.0", port))
        doors[door] = port
    print("ready", flush=True)
    while time.monotonic() < until:
        for door in select.select(list(doors), [], [], 0.5)[0]:
            data, ancillary, _, asker = door.recvmsg(2048, 64)
            del data
            asked = next(value[8:12] for level, kind, value in ancillary if (level, kind) == (socket.IPPROTO_IP, 8))
            info = bytes(4) + asked + bytes(4)
            door.sendmsg([PORTS[doors[door]]], [(socket.IPPROTO_IP, 8, info)], 0, asker)


if __name__ == "__main__":
    deed, end = sys.argv[1], time.monotonic() + float(sys.argv[2])
    if deed == "flood":
        flood(end, sys.argv[3])
    elif deed == "usual":
        usual(end, sys.argv[3:14], sys.argv[14:])
    else:
        world(end)
