"""100,000 new connections on one camera, through ledger and guard: the sums stay exact, memory is bounded, the attack
is told once, and another camera's viewer is told at the same moment as without it.
"""

import heapq
import random
import struct
import tracemalloc
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from operator import attrgetter

import pytest

from camguard.capture import ledger
from camguard.events import ACK, SYN, Alert, Camera, FlowCount, Frame, Home, Own, hosts_of, unpack_key
from camguard.guard import Guard
from tests.traffic import CAMERA_MAC, GATEWAY_IP, GATEWAY_MAC, ip_bytes, mac_bytes, rtsp_view

FLOODED_MAC, FLOODED_IP = "02:00:00:00:00:02", "192.168.1.11"
HOME = Home(cameras=(Camera("porch", CAMERA_MAC), Camera("flooded", FLOODED_MAC)))
NUMBER, SECONDS, BEGAN, VIEWED = 100_000, 20, 100.0, 110.0
_HEAD = struct.Struct("!6s6sHBBHHHBBH4s4sHHIIBBHHH")


def segment(at: float, up: bool, peer: bytes, host_port: int, peer_port: int, flags: int) -> Frame:
    """A TCP frame without payload between the flooded camera and an address outside."""
    ends = [(mac_bytes(FLOODED_MAC), ip_bytes(FLOODED_IP), host_port), (mac_bytes(GATEWAY_MAC), peer, peer_port)]
    (src_mac, src, sport), (dst_mac, dst, dport) = ends if up else ends[::-1]
    ip = (0x0800, 0x45, 0, 40, 0, 0, 64, 6, 0, src, dst)
    data = _HEAD.pack(dst_mac, src_mac, *ip, sport, dport, 1, 1, 0x50, flags, 8192, 0, 0)
    return Frame(at, data, len(data))


def addresses() -> Iterator[bytes]:
    made = random.Random(11)
    while True:
        first = made.randrange(1, 223)
        if first not in (10, 127, 169, 172, 192, 203):
            yield bytes((first,)) + made.randbytes(3)


def scans() -> Iterator[Frame]:
    """The camera tries telnet all over the internet, as Mirai does; every tenth address answers."""
    for number, peer in zip(range(NUMBER), addresses(), strict=False):
        at = BEGAN + number * SECONDS / NUMBER
        yield segment(at, True, peer, 1024 + number % 60000, 23, SYN)
        if number % 10 == 0:
            yield segment(at, False, peer, 1024 + number % 60000, 23, SYN | ACK)


def touched() -> Iterator[Frame]:
    """One source knocks at every port of the camera and the rest of the world at one."""
    one = next(addresses())
    for number, peer in zip(range(NUMBER), addresses(), strict=False):
        at = BEGAN + number * SECONDS / NUMBER
        yield segment(at, False, one if number % 2 else peer, number % 65536 if number % 2 else 80, 40000, SYN)


def play(flood: Iterable[Frame]) -> tuple[list[Alert], Guard, dict[str, int], dict[str, int], int]:
    """All alerts; the guard; wire bytes of each camera as sent and as counted; bytes of memory that were added."""
    hosts = hosts_of(HOME)
    guard = Guard(HOME, own=Own(gateway_ips=frozenset({ip_bytes(GATEWAY_IP)})))
    names, macs = {host.number: host.name for host in hosts}, {host.mac: host.name for host in hosts}
    sent: dict[str, int] = defaultdict(int)
    counted: dict[str, int] = defaultdict(int)

    def frames() -> Iterator[Frame]:
        for frame in heapq.merge(flood, rtsp_view(VIEWED), key=attrgetter("at")):
            sent[macs.get(frame.data[:6]) or macs[frame.data[6:12]]] += frame.wire_len
            yield frame

    alerts: list[Alert] = []
    tracemalloc.start()
    last = None
    for item in ledger.run(frames(), hosts):
        if last is not None and item.at > last:
            alerts += [event for event in guard.tick(last) if isinstance(event, Alert)]
            last = None
        alerts += [event for event in guard.feed(item) if isinstance(event, Alert)]
        if isinstance(item, FlowCount):
            last = item.at
            counted[names[unpack_key(item.key).host]] += item.wire_up + item.wire_down
    added, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    end = BEGAN + SECONDS + 60
    alerts += [
        event
        for at in range(int(BEGAN) + SECONDS, int(end))
        for event in guard.tick(float(at))
        if isinstance(event, Alert)
    ]
    return alerts, guard, sent, counted, added


def of(alerts: list[Alert], camera: str, kind: str) -> list[Alert]:
    return [alert for alert in alerts if (alert.camera, alert.type) == (camera, kind)]


@pytest.mark.parametrize(("flood", "kind"), [(scans, "camera-attacks"), (touched, "port-scan")])
def test_a_hundred_thousand_new_connections(flood: Callable[[], Iterator[Frame]], kind: str) -> None:
    calm, *_ = play([])
    alerts, guard, sent, counted, added = play(flood())
    assert counted == sent, "the ledger's sums are exact, whatever its table has room for"
    assert added < 40_000_000, f"{added} bytes"
    seen = of(alerts, "porch", "remote-stream")
    assert [alert.raised for alert in seen] == [alert.raised for alert in of(calm, "porch", "remote-stream")]
    assert seen, "and there is a viewer"
    told = of(alerts, "flooded", kind)
    assert len({alert.id for alert in told}) == 1
    assert [alert.state for alert in told].count("open") == 1
    assert told[0].raised <= BEGAN + 3
    others = {alert.type for alert in alerts if alert.camera == "flooded"} - {kind, "guard-blind"}
    assert not others
    if kind == "camera-attacks":
        destinations = told[-1].detail["destinations"]
        assert isinstance(destinations, int)
        assert 0.9 * NUMBER < destinations <= NUMBER, "those that the ledger had room for"
    assert guard.counters()["flows-evicted"] > 0
