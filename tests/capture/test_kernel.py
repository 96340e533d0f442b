"""The kernel ledger against its twin, against the interface's own counters, and against floods. Needs root (lab)."""

import ctypes
import itertools
import json
import os
import platform
import random
import re
import shutil
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, fragment
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    fragment6,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet, Raw

from camguard import rights
from camguard.capture import open_source, pcap
from camguard.capture.afpacket import PacketSocket
from camguard.capture.budget import HOST_OPENINGS
from camguard.capture.kernel import KernelLedger, open_kernel
from camguard.capture.ledger import Ledger
from camguard.errors import CaptureError
from camguard.events import FlowCount, Frame, Host, pack_key
from camguard.health import Watch
from tests.capture import flows_build, wire

pytestmark = pytest.mark.lab

CAM, CAM2, PEER, GATE = ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:21", "02:00:00:00:00:fe")
NOBODY = "02:00:00:00:00:77"
CAM4, CAM4B, PEER4 = "192.168.1.10", "192.168.1.11", "203.0.113.9"
CAM6, PEER6 = "2001:db8::10", "2001:db8:1::9"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ip(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


HOSTS = (Host(1, "porch", mac(CAM), ()), Host(2, "yard", mac(CAM2), ()), Host(3, "routed", None, (ip("192.168.9.9"),)))
PHONE = Host(4, "phone", mac(PEER), (), read=False)

Sums = dict[bytes, list[object]]


def add(sums: Sums, counts: Iterable[FlowCount]) -> None:
    """Cumulative numbers of each connection; times are left out."""
    for count in counts:
        row = sums.setdefault(count.key, [0] * 8)
        for place, number in enumerate(count[4:12]):
            row[place] += number  # type: ignore[operator]
        row[8:] = [count.largest_up, count.flags_up, count.flags_down, count.first_up, count.peer_mac]


def crafted() -> Iterator[Packet]:
    """Every kind of frame that the kernel program has a branch for."""
    up, down = Ether(src=CAM, dst=GATE), Ether(src=GATE, dst=CAM)
    out4, in4 = IP(src=CAM4, dst=PEER4), IP(src=PEER4, dst=CAM4)
    out6, in6 = IPv6(src=CAM6, dst=PEER6), IPv6(src=PEER6, dst=CAM6)
    yield down / in4 / TCP(sport=40000, dport=554, flags="S")
    yield up / out4 / TCP(sport=554, dport=40000, flags="SA")
    yield (
        down
        / in4
        / TCP(sport=40000, dport=554, flags="A", options=[("NOP", None), ("NOP", None), ("Timestamp", (1, 2))])
    )
    yield down / in4 / TCP(sport=40000, dport=554, flags="PA") / Raw(b"DESCRIBE rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    for size in (1, 10, 1000, 1448):
        yield (
            up
            / out4
            / TCP(sport=554, dport=40000, flags="A", options=[("Timestamp", (1, 2)), ("NOP", None)])
            / Raw(bytes(size))
        )
    for number in range(20):
        yield up / out4 / TCP(sport=554, dport=40000, flags="A") / Raw(b"$\0" + bytes(1200))
        yield down / in4 / TCP(sport=40000, dport=554, flags="A") / Raw(bytes(12 + number))
    yield up / out4 / TCP(sport=554, dport=40000, flags="A") / Raw(b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n")
    yield down / in4 / TCP(sport=40000, dport=554, flags="FA")
    yield up / out4 / TCP(sport=554, dport=40000, flags="R")
    yield up / out4 / UDP(sport=5000, dport=6000) / Raw(b"")
    yield up / out4 / UDP(sport=5000, dport=6000) / Raw(b"x")
    yield up / out4 / UDP(sport=5000, dport=6000) / Raw(bytes(1400))
    yield up / out4 / UDP(sport=5000, dport=53) / DNS(qd=DNSQR(qname="cloud.example"))
    yield down / in4 / UDP(sport=53, dport=5000) / DNS(qr=1, qd=DNSQR(qname="cloud.example"))
    yield up / out4 / ICMP() / Raw(bytes(40))
    yield up / IP(src=CAM4, dst=PEER4, options=[IPOption_NOP()] * 4) / UDP(sport=1, dport=2) / Raw(b"options")
    yield up / IP(src=CAM4, dst=PEER4, options=[IPOption_NOP()] * 40) / TCP(sport=1, dport=2) / Raw(b"more options")
    yield up / IP(src=CAM4, dst=PEER4, proto=47) / Raw(bytes(60))
    yield from (up / part for part in fragment(out4 / UDP(sport=7000, dport=7001) / Raw(bytes(4000)), 1400))
    yield from (down / part for part in reversed(fragment(in4 / UDP(sport=7001, dport=7000) / Raw(bytes(4000)), 1400)))
    yield from (up / part for part in fragment(out4 / TCP(sport=7002, dport=7003) / Raw(bytes(3000)), 1400))
    yield up / out6 / TCP(sport=554, dport=50000, flags="SA")
    yield up / out6 / TCP(sport=554, dport=50000, flags="A", options=[("NOP", None)] * 12) / Raw(bytes(900))
    yield down / in6 / UDP(sport=1, dport=2) / Raw(b"six")
    yield down / in6 / UDP(sport=1, dport=2)
    yield up / out6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / UDP(sport=9, dport=8) / Raw(bytes(100))
    yield up / out6 / IPv6ExtHdrRouting(addresses=[PEER6]) / TCP(sport=9, dport=8) / Raw(bytes(100))
    yield up / out6 / IPv6ExtHdrFragment(offset=0, m=0, id=5) / UDP(sport=3, dport=4) / Raw(b"atomic")
    big6 = out6 / IPv6ExtHdrFragment(id=77) / UDP(sport=70, dport=71) / Raw(bytes(4000))
    yield from (up / part for part in fragment6(big6, 1300))
    yield Ether(src=CAM, dst="33:33:ff:00:00:09") / IPv6(src=CAM6, dst="ff02::1:ff00:9") / ICMPv6ND_NS(tgt=PEER6)
    yield (
        Ether(src=NOBODY, dst="33:33:ff:00:00:09") / IPv6(src="fe80::7", dst="ff02::1:ff00:9") / ICMPv6ND_NS(tgt=PEER6)
    )
    for inner in (out4 / UDP(sport=1, dport=2) / Raw(b"tag"), out6 / TCP(sport=1, dport=2) / Raw(b"tag")):
        yield up / Dot1Q(vlan=5) / inner
        yield up / Dot1Q(vlan=5, type=0x8100) / Dot1Q(vlan=6) / inner
        yield Ether(src=CAM, dst=GATE, type=0x88A8) / Dot1Q(vlan=5, type=0x8100) / Dot1Q(vlan=6) / inner
    yield up / PPPoE(sessionid=3) / PPP(proto=0x21) / out4 / UDP(sport=11, dport=12) / Raw(b"pppoe")
    yield up / PPPoE(sessionid=3) / PPP(proto=0x57) / out6 / UDP(sport=11, dport=12) / Raw(b"pppoe")
    yield Ether(src=CAM, dst="ff:ff:ff:ff:ff:ff") / ARP(psrc=CAM4, pdst=PEER4)
    yield Ether(src=NOBODY, dst="ff:ff:ff:ff:ff:ff") / ARP()
    yield Ether(src=CAM, dst="ff:ff:ff:ff:ff:ff", type=0x88CC) / Raw(bytes(80))
    yield (
        Ether(src=NOBODY, dst="ff:ff:ff:ff:ff:ff")
        / IP(src="0.0.0.0", dst="255.255.255.255")
        / UDP(sport=68, dport=67)
        / BOOTP(chaddr=mac(NOBODY))
        / DHCP(options=[("message-type", "discover"), "end"])
    )
    yield (
        Ether(src=CAM, dst="01:00:5e:7f:ff:fa")
        / IP(src=CAM4, dst="239.255.255.250")
        / UDP(sport=3702, dport=3702)
        / Raw(b"<probe/>")
    )
    yield (
        Ether(src=NOBODY, dst="01:00:5e:00:00:fb")
        / IP(src="192.168.1.7", dst="224.0.0.251")
        / UDP(sport=5353, dport=5353)
        / Raw(bytes(30))
    )
    yield Ether(src=CAM, dst=CAM2) / IP(src=CAM4, dst=CAM4B) / UDP(sport=21, dport=22) / Raw(b"camera to camera")
    yield Ether(src=CAM2, dst=CAM) / IP(src=CAM4B, dst=CAM4) / UDP(sport=22, dport=21) / Raw(b"and back")
    yield Ether(src=NOBODY, dst=GATE) / IP(src="192.168.9.9", dst=PEER4) / UDP(sport=31, dport=32) / Raw(b"by address")
    yield Ether(src=GATE, dst=NOBODY) / IP(src=PEER4, dst="192.168.9.9") / TCP(sport=32, dport=31) / Raw(b"by address")
    yield Ether(src=NOBODY, dst=GATE) / IP(src="192.168.1.99", dst=PEER4) / UDP(sport=31, dport=32) / Raw(b"not ours")
    yield from of_the_phone()


def of_the_phone() -> Iterator[Packet]:
    """What would be handed up if it were a camera's."""
    out, back = Ether(src=PEER, dst=GATE), Ether(src=GATE, dst=PEER)
    yield out / IP(src="192.168.1.21", dst=PEER4) / TCP(sport=4000, dport=80, flags="S")
    yield back / IP(src=PEER4, dst="192.168.1.21") / TCP(sport=80, dport=4000, flags="SA")
    yield (
        out / IP(src="192.168.1.21", dst=PEER4) / TCP(sport=4000, dport=80, flags="PA") / Raw(b"GET / HTTP/1.1\r\n\r\n")
    )
    yield back / IP(src=PEER4, dst="192.168.1.21") / TCP(sport=80, dport=4000, flags="PA") / Raw(b"HTTP/1.1 200 OK\r\n")
    yield out / IP(src="192.168.1.21", dst=PEER4) / UDP(sport=5000, dport=53) / DNS(qd=DNSQR(qname="private.example"))
    yield back / IP(src=PEER4, dst="192.168.1.21") / UDP(sport=53, dport=5000) / DNS(qr=1, qd=DNSQR(qname="x.example"))
    yield from (back / part for part in fragment(IP(src=PEER4, dst="192.168.1.21") / UDP() / Raw(bytes(4000)), 1400))
    yield out / IP(src="192.168.1.21", dst=PEER4) / ICMP() / Raw(bytes(40))
    yield Ether(src=PEER, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=PEER, psrc="192.168.1.21", pdst=CAM4)  # as of everybody
    lan = Ether(src=PEER, dst=CAM) / IP(src="192.168.1.21", dst=CAM4)  # the camera's own account
    yield lan / TCP(sport=4001, dport=554, flags="PA") / Raw(b"PLAY rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\n")
    yield (
        Ether(src=CAM, dst=PEER) / IP(src=CAM4, dst="192.168.1.21") / TCP(sport=554, dport=4001, flags="A") / Raw(b"x")
    )


def lies() -> Iterator[bytes]:
    """Frames whose lengths lie: counted under the zero key, whatever they say."""
    good = bytes(Ether(src=CAM, dst=GATE) / IP(src=CAM4, dst=PEER4) / TCP(sport=5, dport=6) / Raw(bytes(30)))
    for place, value in ((14, 0x41), (14, 0x65), (16, 0x7F), (17, 5), (46, 0x10), (46, 0xF0), (14, 0x4F)):
        yield good[:place] + bytes((value,)) + good[place + 1 :]
    yield good[:16] + b"\0\0" + good[18:]  # total length 0: the frame says how long it is
    udp = bytes(Ether(src=GATE, dst=CAM) / IP(src=PEER4, dst=CAM4) / UDP(sport=5, dport=6) / Raw(bytes(30)))
    for claimed in (b"\0\0", b"\0\7", b"\0\x60"):
        yield udp[:38] + claimed + udp[40:]
    six = bytes(Ether(src=CAM, dst=GATE) / IPv6(src=CAM6, dst=PEER6) / UDP(sport=5, dport=6) / Raw(bytes(30)))
    yield six[:18] + b"\x7f\xff" + six[20:]
    yield six[:18] + b"\0\0" + six[20:]
    yield six[:20] + bytes((0,)) + six[21:54] + bytes((17, 200)) + six[56:]
    for length in (14, 20, 33, 34, 37, 38, 41, 42, 47, 48, 53, 54):
        yield good[:length]
        yield udp[:length]
    for length in (14, 30, 53, 54, 57, 58, 61, 62):
        yield six[:length]
    yield mac(GATE) + mac(CAM) + b"\x81\0\0\5" * 9 + b"\x08\0" + good[14:]
    yield mac(GATE) + mac(CAM) + b"\x08\x06" + bytes(10)


def to_bytes(packets: Iterable[Packet]) -> list[bytes]:
    return [bytes(packet) for packet in packets]


def compare(frames: list[bytes], hosts: tuple[Host, ...], program: Path | None = None) -> tuple[Sums, Sums]:
    """Send the frames through the kernel; give the twin what was sent; the two sums of each connection."""
    kernel_sums: Sums = {}
    twin_sums: Sums = {}
    twin = Ledger(hosts)
    with wire.pair() as (near, far):
        source = KernelLedger([far], hosts, program=program)
        sender = wire.Sender(near)
        handed_kernel, handed_twin = [], []
        try:
            for number, data in enumerate(frames):
                at = time.monotonic()
                sender.send(data)
                if twin.packet(Frame(at, data, len(data))):
                    handed_twin.append(data)
                if number % 200 == 199:
                    handed_kernel += waiting(source)
                    add(kernel_sums, source.collect(time.monotonic()))
                    add(twin_sums, twin.collect(time.monotonic()))
            time.sleep(0.25)
            handed_kernel += waiting(source)
            add(kernel_sums, source.collect(time.monotonic()))
            add(twin_sums, twin.collect(time.monotonic()))
            assert source.counters()["flows-overflow"] == twin.counters()["flows-overflow"] == 0
            if (
                source.counters()["budget-spent"] == twin.counters()["budget-spent"] == 0
            ):  # windows begin a little apart
                assert [frame.data for frame in handed_kernel] == [data[:1936] for data in handed_twin]
            for number, (up, down, packets_up, packets_down) in source.totals().items():
                mine = [row for key, row in kernel_sums.items() if key[:2] == number.to_bytes(2, "little")]
                assert (up, down) == (sum(row[0] for row in mine), sum(row[1] for row in mine))
                assert (packets_up, packets_down) == (sum(row[4] for row in mine), sum(row[5] for row in mine))
        finally:
            sender.close()
            source.close()
    return kernel_sums, twin_sums


def waiting(source: KernelLedger) -> list[Frame]:
    """All frames that are there; `read` brings a handful at a time."""
    frames: list[Frame] = []
    while more := source.read():
        frames += more
    return frames


def without_times(sums: Sums) -> Sums:
    """Pauses depend on when a frame really went out; the tests that send with spacing compare them."""
    return {key: [*row[:6], *row[8:]] for key, row in sums.items()}


@pytest.mark.parametrize("hosts", [HOSTS, (*HOSTS, PHONE)], ids=["cameras", "and the owner's phone"])
def test_every_kind_of_frame_counts_the_same_in_kernel_and_twin(hosts: tuple[Host, ...]) -> None:
    kernel, twin = compare(to_bytes(crafted()), hosts)
    assert without_times(kernel) == without_times(twin)
    assert len(kernel) > 20
    assert any(key[0] == PHONE.number for key in kernel) == (PHONE in hosts)


def test_what_the_owners_phone_says_is_counted_and_never_handed_up() -> None:
    """Nothing but what is read of everybody: its ARP, and its talk with a camera, which is the camera's."""
    frames = to_bytes(of_the_phone())
    with wire.pair() as (near, far):
        source, sender = open_kernel([far], (*HOSTS, PHONE)), wire.Sender(near)
        for data in frames:
            sender.send(data)
        time.sleep(0.25)
        assert [frame.data for frame in waiting(source)] == frames[-3:]
        up, down, packets_up, packets_down = source.totals()[PHONE.number]
        assert (up + down, packets_up + packets_down) == (sum(map(len, frames)), len(frames))
        assert source.counters()["budget-spent"] == 0
        source.set_hosts([*HOSTS, PHONE._replace(name="nursery", read=True)])  # now it is a camera
        sender.send(frames[0])
        source.set_hosts([*HOSTS, PHONE])
        sender.send(frames[0])
        time.sleep(0.25)
        assert [frame.data for frame in waiting(source)] == frames[:1]
        assert list(source.totals()[PHONE.number]) == [len(frames[0]), 0, 1, 0]
        sender.close()
        source.close()


def test_a_flood_of_the_owners_phone_leaves_cameras_their_room() -> None:
    """All devices together hold an eighth of the table, and what they push out is their own."""
    hosts, peer = (*HOSTS, PHONE), mac(PEER)
    flood = [wire.udp4(peer, mac(GATE), ip("192.168.1.21"), ip(PEER4), 1 + n, 6000, b"x") for n in range(20_000)]
    late = wire.tcp4(mac(GATE), mac(CAM2), ip(PEER4), ip(CAM4B), 777, 554, 2, b"")
    thin = wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000, bytes(100))
    sums: Sums = {}
    closed: set[bytes] = set()
    with wire.pair() as (near, far):
        source, sender = open_kernel([far], hosts), wire.Sender(near)
        sender.send(thin)
        sender.prepare(flood).send()
        sender.send(late)
        time.sleep(2.5)
        for _ in range(4):
            counts = list(source.collect(time.monotonic()))
            add(sums, counts)
            closed.update(count.key for count in counts if count.closed)
        made, overflow = source.totals(), source.counters()["flows-overflow"]
        sender.close()
        source.close()
    assert overflow == 20_000 - 65_536 // 8
    assert made[PHONE.number][2] == 20_000
    assert pack_key(2, 6, 554, 777, ip(PEER4)) in sums
    assert {key[0] for key in closed} == {PHONE.number}, "a camera's connection is not pushed out for it"


def test_frames_that_lie_count_the_same() -> None:
    kernel, twin = compare(list(lies()), HOSTS)
    assert without_times(kernel) == without_times(twin)


def test_random_bytes_count_the_same() -> None:
    """Headers of every kind with bytes turned over; whatever kernel and twin make of them must be the same."""
    rng = random.Random(7)
    frames = []
    for data in to_bytes(crafted()) * 12:
        noisy = bytearray(data)
        for _ in range(rng.randrange(1, 4)):
            noisy[rng.randrange(12, min(len(noisy), 90))] = rng.randrange(256)
        frames.append(bytes(noisy))
    kernel, twin = compare(frames, HOSTS)
    assert without_times(kernel) == without_times(twin)


def corpus() -> list[Path]:
    folder = Path(os.environ.get("CAMGUARD_CORPUS", Path(__file__).parents[3] / "shared/corpus"))
    return [path for name in CAPTURES for path in [folder / name] if path.exists()]


CAPTURES = (
    "generic/ndpi_netflix.pcap", "generic/ndpi_bittorrent.pcap", "generic/zeek_http_bro.org.pcap",
    "iot/sentinel_D-LinkDayCam_A-1.pcap", "iot/sentinel_D-LinkHomeHub_A-1.pcap", "brute/ndpi_synscan.pcap",
)  # fmt: skip


def test_real_captures_count_the_same() -> None:
    """The two busiest senders of each capture are its cameras."""
    found = corpus()
    if not found:
        pytest.skip("the corpus of real captures is not there (CAMGUARD_CORPUS)")
    compared = 0
    for path in found:
        frames = [frame.data for frame in pcap.frames(path) if frame.link == 1 and len(frame.data) == frame.wire_len][
            :6000
        ]
        busiest = [address for address, _ in Counter(data[6:12] for data in frames).most_common(2)]
        hosts = tuple(Host(number, path.stem, address, ()) for number, address in enumerate(busiest, start=1))
        kernel, twin = compare(frames, hosts)
        assert without_times(kernel) == without_times(twin), path
        compared += len(kernel)
    assert compared > 100


def pictures(rng: random.Random, pps: float, seconds: float, port: int) -> Iterator[tuple[float, bytes]]:
    """Live video: each picture is a burst of full packets and a short one."""
    at = rng.random() / pps
    while at < seconds:
        sizes = [1200] * rng.randrange(1, 6) + [rng.randrange(40, 1100)]
        for place, size in enumerate(sizes):
            yield at + place * 0.0004, wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, port, bytes(size))
        at += 1 / pps


def test_pauses_and_dry_pauses_are_the_same_at_real_spacing() -> None:
    """Both look at the same interface: the kernel by its clock, the twin by the kernel's receive stamps.

    Nothing is tolerated: both times of one packet are taken within a microsecond, and no gap made here is within 2 ms
    of the 10 ms that make a pause - but where this machine stalled the sender, a gap may be; those are counted apart.
    """
    rng = random.Random(11)
    plan = [*pictures(rng, 15, 3, 9000), *pictures(rng, 8, 3, 9001)]
    plan += [
        (0.02 * n, wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 9002, bytes(172))) for n in range(150)
    ]
    plan += [
        (0.005 * n, wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 9003, bytes(900))) for n in range(600)
    ]
    plan.sort()
    kernel: Sums = {}
    twin: Sums = {}
    sent: dict[bytes, list[float]] = {}
    with wire.pair() as (near, far):
        exact, slow, sender = open_kernel([far], HOSTS), PacketSocket([far], HOSTS, ""), wire.Sender(near)
        start = time.monotonic()
        for at, data in plan:
            while (left := start + at - time.monotonic()) > 0:
                time.sleep(left)
            sent.setdefault(data[36:38], []).append(time.monotonic())
            sender.send(data)
        time.sleep(0.25)
        exact.read()
        slow.read()
        add(kernel, exact.collect(time.monotonic()))
        add(twin, slow.collect(time.monotonic()))
        for thing in (exact, slow, sender):
            thing.close()
    doubtful = sum(0.008 < b - a < 0.012 for times in sent.values() for a, b in itertools.pairwise(times))
    assert kernel.keys() == twin.keys()
    assert len(kernel) == 4
    for key, row in kernel.items():
        assert [*row[:6], *row[8:]] == [*twin[key][:6], *twin[key][8:]]
        assert abs(row[6] - twin[key][6]) <= doubtful, f"pauses, {doubtful} gaps near 10 ms"  # type: ignore[operator]
        assert abs(row[7] - twin[key][7]) <= doubtful, f"dry pauses, {doubtful} gaps near 10 ms"  # type: ignore[operator]
    by_port = {int.from_bytes(key[6:8], "little"): row for key, row in kernel.items()}
    assert 40 <= by_port[9000][7] <= 45, "15 pictures a second for 3 seconds"  # type: ignore[operator]
    assert 20 <= by_port[9001][7] <= 24, "8 pictures a second for 3 seconds"  # type: ignore[operator]
    assert by_port[9002][7] == 0, "sound: all packets have one size"
    assert by_port[9002][6] > 130, "and a pause before each"  # type: ignore[operator]


def superpacket(payload: int, segment: int) -> bytes:
    """struct virtio_net_hdr and a TCP segment of many: what PACKET_VNET_HDR takes."""
    frame = wire.tcp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 554, 40000, 0x10, bytes(payload))
    return struct.pack("=BBHHHH", 1, 1, 54, segment, 34, 16) + frame


@pytest.mark.parametrize(("payload", "segment"), [(20_000, 1448), (14_480, 1448), (1449, 1448), (60_000, 500)])
def test_merged_segments_count_as_on_the_wire(payload: int, segment: int) -> None:
    """The same superpacket, once cut by the sending interface and once left whole."""
    rows = []
    for whole in (False, True):
        sums: Sums = {}
        with wire.pair(plain=not whole) as (near, far):
            source = open_kernel([far], HOSTS)
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as out:
                out.setsockopt(263, 15, 1)
                out.bind((near, 0))
                out.send(superpacket(payload, segment))
                time.sleep(0.25)
                add(sums, source.collect(time.monotonic()))
                packets, wire_bytes = wire.received(far)
            source.close()
        (row,) = sums.values()
        rows.append(row)
        segments = -(-payload // segment)
        assert row[:6] == [payload + 54 * segments, 0, payload, 0, segments, 0]
        assert row[8] == segment
        assert packets == (1 if whole else segments), "the test sends what it means to send"
        if not whole:
            assert wire_bytes == row[0], "the interface counts the same"
    assert rows[0] == rows[1]


def test_flood_counts_to_the_byte() -> None:
    """300,000 frames as fast as they go: the ledger equals the receiving interface's own counters."""
    frames = [
        wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000 + n % 7, 6000, bytes(n % 1200)) for n in range(3000)
    ]
    sums: Sums = {}
    with wire.pair() as (near, far):
        source, sender = open_kernel([far], HOSTS), wire.Sender(near)
        prepared = sender.prepare(frames)
        for _ in range(10):
            prepared.send(10)
            add(sums, source.collect(time.monotonic()))
        time.sleep(0.25)
        add(sums, source.collect(time.monotonic()))
        packets, size = wire.received(far)
        sender.close()
        source.close()
    assert packets == 300_000
    assert sum(row[4] for row in sums.values()) == packets  # type: ignore[misc]
    assert sum(row[0] for row in sums.values()) == size  # type: ignore[misc]


def test_what_finds_no_room_is_counted_exactly() -> None:
    """Room for 64 connections, 200 come, three times: 136 of them find none; the camera's sum is still exact."""
    frames = [wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000 + n, bytes(100)) for n in range(200)] * 3
    sums: Sums = {}
    twin_sums: Sums = {}
    with wire.pair() as (near, far):
        source, sender = KernelLedger([far], HOSTS[:1], capacity=64), wire.Sender(near)
        twin = Ledger(HOSTS[:1], capacity=64)
        for data in frames:
            sender.send(data)
            twin.packet(Frame(1.0, data, len(data)))
        time.sleep(0.25)
        add(sums, source.collect(time.monotonic()))
        add(twin_sums, twin.collect(1.0))
        assert source.counters()["flows-overflow"] == twin.counters()["flows-overflow"] == 136 * 3
        assert source.totals()[1] == (600 * 142, 0, 600, 0)
        sender.close()
        source.close()
    zero = pack_key(1, 0, 0, 0, bytes(4))
    assert sums[zero][:6] == [408 * 142, 0, 408 * 100, 0, 408, 0]
    assert without_times(sums) == without_times(twin_sums)
    assert sum(row[0] for row in sums.values()) == 600 * 142  # type: ignore[misc]


def test_half_a_million_spoofed_connections_evict_no_session_and_lose_no_byte() -> None:
    """A flood on one camera: its own running sessions and the other camera's stay, the sums stay exact, and new
    connections of the other camera are still seen one by one."""
    session = [
        wire.tcp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 554, 40000 + n, 0x10, bytes(1000)) for n in range(20)
    ]
    other = [wire.tcp4(mac(CAM2), mac(GATE), ip(CAM4B), ip(PEER4), 554, 41000 + n, 0x10, bytes(50)) for n in range(20)]
    sums: Sums = {}
    closed: set[bytes] = set()
    with wire.pair() as (near, far):
        source, sender = open_kernel([far], HOSTS), wire.Sender(near)

        def collect() -> None:
            counts = list(source.collect(time.monotonic()))
            assert len(counts) < 14_000, "bounded: a flood must not fill the guard's memory"
            add(sums, counts)
            closed.update(count.key for count in counts if count.closed)

        running = sender.prepare(session + other)
        running.send(3)
        for part in range(20):
            flood = [
                wire.tcp4(
                    mac(GATE), mac(CAM), bytes((100 + part, 0, n >> 8 & 255, n & 255)), ip(CAM4), 1024 + n, 80, 2, b""
                )
                for n in range(25_000)
            ]
            sender.prepare(flood).send()
            running.send()
            collect()
        late = wire.tcp4(mac(GATE), mac(CAM2), ip(PEER4), ip(CAM4B), 777, 554, 2, b"")
        sender.send(late)
        time.sleep(2.2)
        for _ in range(12):
            collect()
        packets, size = wire.received(far)
        totals = source.totals()
        sender.close()
        source.close()
    assert packets == 40 * 23 + 500_000 + 1
    assert sum(up + down for up, down, _, _ in totals.values()) == size
    for data in session + other:
        key = pack_key(1 if data in session else 2, 6, 554, int.from_bytes(data[36:38], "big"), ip(PEER4))
        assert key not in closed
        assert sums[key][4] == 23, "every packet of a running session is under its own key"
    assert pack_key(2, 6, 554, 777, ip(PEER4)) in sums
    assert sum(row[0] + row[1] for row in sums.values()) == size, "what was told adds up"  # type: ignore[operator]


def test_interface_that_goes_away_is_taken_up_again() -> None:
    frame = wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000, bytes(100))
    with wire.pair() as (near, far):
        source = open_kernel([far], HOSTS)
        assert source.maintain(0) == []
        wire.run("ip", "link", "del", near)
        assert source.maintain(0) == [f"{far} has gone away: camguard sees nothing there until it is back"]
        assert source.interfaces()[0].state == "gone"
        assert source.filenos() == ()
        wire.run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        wire.run("ip", "link", "set", near, "up")
        wire.run("ip", "link", "set", far, "up")
        assert source.maintain(0) == [f"{far} is back: camguard looks at it again"]
        sender = wire.Sender(near)
        sender.send(frame)
        time.sleep(0.25)
        assert [count.wire_up for count in source.collect(time.monotonic())] == [142]
        assert frame in [got.data for got in source.read()]
        sender.close()
        source.close()


def test_other_cameras_after_a_reload() -> None:
    frame = wire.udp4(mac(CAM2), mac(GATE), ip(CAM4B), ip(PEER4), 5000, 6000, bytes(100))
    with wire.pair() as (near, far):
        source, sender = open_kernel([far], HOSTS[:1]), wire.Sender(near)
        sender.send(frame)
        time.sleep(0.25)
        assert list(source.collect(time.monotonic())) == []
        source.set_hosts([HOSTS[0], HOSTS[1], Host(3, "routed", None, (ip(PEER4),))])
        sender.send(frame)
        time.sleep(0.25)
        assert sorted(count.key[0] for count in source.collect(time.monotonic())) == [2, 3]
        sender.prepare([wire.tcp4(mac(GATE), mac(CAM2), ip(PEER4), ip(CAM4B), 9, 9, 4, b"")] * 300).send()
        time.sleep(0.25)
        spent = source.counters()["budget-spent"]
        assert spent > 100
        list(source.collect(time.monotonic()))
        source.set_hosts([Host(1, "yard", mac(CAM2), ())])
        assert source.counters()["budget-spent"] == spent, "counters only grow"
        sender.send(frame)
        time.sleep(0.25)
        assert [(count.key[0], count.wire_up) for count in source.collect(time.monotonic())] == [(1, 142)]
        sender.close()
        source.close()


def test_a_reload_under_traffic_leaves_nothing_of_the_camera_before() -> None:
    """Number 1 becomes another camera while the old one goes on sending: nothing of the old one counts for the new."""
    frames = [wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 1000 + n, 6000, bytes(9)) for n in range(20_000)]
    with wire.pair() as (near, far):
        source, sender = open_kernel([far], [HOSTS[0]]), wire.Sender(near)
        prepared = sender.prepare(frames)
        prepared.send()
        over = threading.Event()

        def go_on() -> None:
            while not over.is_set():
                prepared.send()

        going_on = threading.Thread(target=go_on)
        going_on.start()
        source.set_hosts([Host(1, "another", mac(CAM2), ())])
        over.set()  # the old camera sent all the while
        going_on.join()
        time.sleep(0.25)
        assert list(source.collect(time.monotonic())) == []
        sender.send(wire.udp4(mac(CAM2), mac(GATE), ip(CAM4), ip(PEER4), 5, 6, b"new"))
        time.sleep(0.25)
        assert [count.key for count in source.collect(time.monotonic())] == [pack_key(1, 17, 5, 6, ip(PEER4))]
        sender.close()
        source.close()


def test_more_entries_deleted_than_known_to_be_made_still_leave_room() -> None:
    """A packet that was under way while its camera was taken away leaves an entry that nobody counted as made."""
    with wire.pair() as (near, far):
        source, sender = open_kernel([far], HOSTS), wire.Sender(near)
        source._deleted[1] = 2
        source._give_room(1)
        sender.send(wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000, b"x"))
        time.sleep(0.25)
        assert [count.key for count in source.collect(time.monotonic())] == [pack_key(1, 17, 5000, 6000, ip(PEER4))]
        sender.close()
        source.close()


def test_fragments_of_strangers_do_not_push_out_those_of_a_camera() -> None:
    up, strange = Ether(src=CAM, dst=GATE), Ether(src=NOBODY, dst=GATE)
    first, *later = (bytes(up / part) for part in fragment(IP(src=CAM4, dst=PEER4) / UDP() / Raw(bytes(4000)), 1400))
    theirs = [
        bytes(strange / IP(src="192.168.1.99", dst=PEER4, flags="MF", id=n) / UDP(sport=n + 1, dport=9, len=999))
        for n in range(1, 5000, 2)
    ]
    kernel, twin = compare([first, *theirs, *later], HOSTS)
    assert without_times(kernel) == without_times(twin)
    assert [row[4] for row in kernel.values()] == [3], "all three pieces under one key"


def test_first_fragments_that_end_within_the_udp_header_count_the_same() -> None:
    """With and without padding, behind IP options and IPv6 headers; the length field may be there and lie."""
    frames = []
    for claimed in (0, 5, 8, 4008):
        for left in range(9):
            begin = struct.pack("!HHHH", 7000 + left, claimed or 1, claimed, 0)[:left]
            for options in ([], [IPOption_NOP()] * 4):
                frames.append(
                    bytes(
                        Ether(src=CAM, dst=GATE)
                        / IP(src=CAM4, dst=PEER4, proto=17, flags="MF", id=left, options=options)
                        / Raw(begin)
                    )
                )
            six = IPv6ExtHdrFragment(nh=17, m=1, id=left) / Raw(begin)
            frames.append(bytes(Ether(src=CAM, dst=GATE) / IPv6(src=CAM6, dst=PEER6) / six))
    kernel, twin = compare([padded for data in frames for padded in (data, data.ljust(60, b"\x07"))], HOSTS)
    assert without_times(kernel) == without_times(twin)
    assert len(kernel) > 20


def test_a_budget_is_not_given_twice_where_the_two_clocks_of_the_kernel_meet() -> None:
    """Payload from the camera has the exact clock, the rest one that is up to 10 ms behind: where a window begins they
    name different ones in turns."""
    frames = []
    for n in range(400):
        frames.append(wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000 + n, b"up"))
        frames.append(wire.udp4(mac(GATE), mac(CAM), ip(PEER4), ip(CAM4), 7000, 5000 + n, b"down"))
    most = 0
    with wire.pair() as (near, far):
        sender = wire.Sender(near)
        prepared = sender.prepare(frames)
        for _ in range(3):
            source = open_kernel([far], HOSTS)
            begins = ((time.monotonic_ns() >> 30) + 1) << 30
            time.sleep((begins - time.monotonic_ns()) / 1e9)
            prepared.send()
            time.sleep(0.25)
            handed = waiting(source)
            most = max(most, sum(frame.data[6:12] == mac(CAM) for frame in handed))
            source.close()
        sender.close()
    assert most == HOST_OPENINGS


def test_a_camera_whose_share_is_used_up_is_a_problem_that_the_owner_hears_of(tmp_path: Path) -> None:
    """Who connects to it now is seen by volume only, in the camera's zero key."""
    with wire.pair() as (near, far):
        source, sender = KernelLedger([far], HOSTS, capacity=256), wire.Sender(near)
        watch = Watch(tmp_path)
        assert watch.look(0.0, 0.0, [], source.counters()) == []
        for n in range(64):
            sender.send(wire.tcp4(mac(GATE), mac(CAM), ip(PEER4), ip(CAM4), 1000 + n, 554, 2, b""))
        time.sleep(0.25)
        watch.look(5.0, 5.0, [], source.counters())
        assert watch.problems() == []
        sender.send(wire.tcp4(mac(GATE), mac(CAM), ip(PEER4), ip(CAM4), 2000, 554, 2, b""))
        time.sleep(0.25)
        (told,) = watch.look(10.0, 10.0, [], source.counters())
        assert (told.what, told.value) == ("flows-overflow", 1.0)
        assert any("viewing may be missed" in problem for problem in watch.problems())
        assert pack_key(1, 0, 0, 0, bytes(4)) in {count.key for count in source.collect(time.monotonic())}
        sender.close()
        source.close()


def in_child(work: Callable[[], str]) -> str:
    """What `work` says, run in a child process of this one: it may give up rights and mounts for good."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = work()
        except BaseException as error:  # noqa: BLE001 - the parent must hear of it
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


def test_everything_works_without_any_right_once_it_is_open() -> None:
    """An ordinary user with NET_RAW and BPF opens, gives up all, and still counts, reads, reloads and re-binds."""
    frame = wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000, bytes(100))
    with wire.pair() as (near, far):
        sender = wire.Sender(near)

        def work() -> str:
            os.setgroups([])
            rights.become("nobody")
            source = open_kernel([far], HOSTS[1:])
            rights.give_up()
            source.set_hosts(HOSTS)
            sender.send(frame)
            time.sleep(0.25)
            counted = [count.wire_up for count in source.collect(time.monotonic())]
            got = [frame.data for frame in source.read()] == [frame]
            return f"{counted} {got} {source.maintain(0)} {source.counters()['missed-reads']}"

        assert in_child(work) == "[142] True [] 0"
        sender.close()


def test_no_such_interface_and_no_rights_are_one_line_with_what_to_do() -> None:
    with wire.pair() as (near, far):
        with pytest.raises(
            CaptureError, match=f"no interface nothere. There are: {near}, {far}, lo. Fix: --interface NAME"
        ):
            open_source(["nothere"], HOSTS)

        def as_nobody() -> str:
            os.setgroups([])
            os.setresuid(65534, 65534, 65534)
            open_source([far], HOSTS)
            return "opened"

        assert in_child(as_nobody).startswith("CaptureError: camguard may not look at")


def test_without_bpf_or_libbpf_a_packet_socket_counts_and_says_what_it_costs() -> None:
    frame = wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000, bytes(100))
    with wire.pair() as (near, far):
        sender = wire.Sender(near)

        def look() -> str:
            source = open_source([far], HOSTS)
            sender.send(frame)
            time.sleep(0.25)
            source.read()
            return f"{source.what}: {[count.wire_up for count in source.collect(time.monotonic())]}: {source.cost}"

        def without_bpf() -> str:
            refuse(321 if platform.machine() == "x86_64" else 280)
            return look()

        assert re.match(r"packet socket: \[142\]: Counting in Python.*this kernel has no BPF.*", in_child(without_bpf))
        fresh = "from tests.capture import wire; from camguard.capture import open_source; import glob, pathlib;"
        fresh += "[wire.hide(pathlib.Path(path).resolve()) for path in glob.glob('/usr/lib/*/libbpf.so.1')];"
        fresh += f"source = open_source(['{far}'], []); print(source.what, source.cost); source.close()"
        assert re.match(
            r"packet socket .*libbpf.so.1 is not installed.*apt install", wire.run(sys.executable, "-c", fresh)
        )
        assert in_child(look) == "kernel ledger (exact): [142]: None"
        sender.close()


def refuse(number: int) -> None:
    """From now on this process gets ENOSYS for one system call, as on a kernel that lacks it (seccomp)."""
    steps = struct.pack("=" + "HBBI" * 4, 0x20, 0, 0, 0, 0x15, 0, 1, number, 6, 0, 0, 0x00050026, 6, 0, 0, 0x7FFF0000)
    code = ctypes.create_string_buffer(steps, len(steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", 4, ctypes.addressof(code)))
    libc = ctypes.CDLL(None)
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.prctl(22, 2, ctypes.c_void_p(ctypes.addressof(program)), 0, 0) == 0


def test_a_frame_counts_once_on_a_bridge_and_what_rides_on_it() -> None:
    frame = wire.udp4(mac(CAM), mac(GATE), ip(CAM4), ip(PEER4), 5000, 6000, bytes(100))

    def work() -> str:
        with wire.pair() as (near, far):
            wire.mount_sys()
            wire.run("ip", "link", "add", "brx", "type", "bridge")
            wire.run("ip", "link", "set", far, "master", "brx")
            wire.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "beyond")
            wire.run("ip", "link", "set", "other", "master", "brx")
            wire.run("ip", "link", "add", "link", "brx", "name", "brx.5", "type", "macvlan", "mode", "bridge")
            for name in ("brx", "other", "brx.5"):
                wire.run("ip", "link", "set", name, "up")
            while "state forwarding" not in wire.run("ip", "-d", "link", "show", far):
                time.sleep(0.25)
            said = []
            for names in ([far, "brx"], [far, "other"], ["brx", "brx.5"], ["brx"]):
                source, sender = open_kernel(names, HOSTS), wire.Sender(near)
                sender.send(frame)
                time.sleep(0.25)
                counted = [count.wire_up for count in source.collect(time.monotonic())]
                tapped = [one.name for one in source.interfaces()]
                said.append(f"{tapped} {counted} {len(source.maintain(0))} {source.counters()['duplicate-interface']}")
                source.close()
                sender.close()
            return "; ".join(said)

    assert in_child(work) == "['brx'] [142] 1 1; ['brx'] [142] 2 2; ['brx'] [142] 1 1; ['brx'] [142] 0 0"


def test_the_object_is_what_its_source_compiles_to(tmp_path: Path) -> None:
    """Bytes are compared where the compiler is the manifest's; in any case the rebuilt object counts like the twin."""
    if shutil.which("clang-14") is None or shutil.which("llvm-objcopy-14") is None:
        pytest.skip("clang-14 and llvm-14 are not installed (tests/run.sh installs them)")
    rebuilt = tmp_path / "flows.bpf.o"
    flows_build.build(rebuilt)
    if json.loads(flows_build.MANIFEST.read_text())["compiler"] == flows_build.compiler():
        assert rebuilt.read_bytes() == (flows_build.ROOT / flows_build.OBJECT).read_bytes()
    kernel, twin = compare(to_bytes(crafted()), HOSTS, rebuilt)
    assert without_times(kernel) == without_times(twin)
