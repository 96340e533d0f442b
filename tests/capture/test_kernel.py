"""The kernel ledger against its twin, against the interface's own counters, and against floods. Needs root (lab)."""

import random
import time
from collections.abc import Iterable, Iterator
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

from camguard.capture import open_source
from camguard.capture.kernel import KernelLedger, open_kernel
from camguard.capture.ledger import Ledger
from camguard.errors import CaptureError
from camguard.events import FlowCount, Frame, Host
from tests.capture import wire

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


def compare(frames: list[bytes], hosts: tuple[Host, ...], gaps: list[float] | None = None) -> tuple[Sums, Sums]:
    """Send the frames through the kernel; give the twin what was sent; the two sums of each connection."""
    kernel_sums: Sums = {}
    twin_sums: Sums = {}
    twin = Ledger(hosts)
    with wire.pair() as (near, far):
        source = open_kernel([far], hosts)
        sender = wire.Sender(near)
        handed_kernel, handed_twin = [], []
        try:
            next_at = time.monotonic()
            for number, data in enumerate(frames):
                if gaps:
                    next_at += gaps[number]
                    while (left := next_at - time.monotonic()) > 0:
                        time.sleep(left if left < 0.002 else left - 0.001)
                at = time.monotonic()
                sender.send(data)
                if twin.packet(Frame(at, data, len(data))):
                    handed_twin.append(data)
                if number % 200 == 199:
                    handed_kernel += source.read()
                    add(kernel_sums, source.collect(time.monotonic()))
                    add(twin_sums, twin.collect(time.monotonic()))
            time.sleep(0.05)
            handed_kernel += source.read()
            add(kernel_sums, source.collect(time.monotonic()))
            add(twin_sums, twin.collect(time.monotonic()))
            assert source.counters()["flows-overflow"] == twin.counters()["flows-overflow"] == 0
            assert [frame.data for frame in handed_kernel] == [data[:1936] for data in handed_twin]
            for number, (up, down, packets_up, packets_down) in source.totals().items():
                mine = [row for key, row in kernel_sums.items() if key[:2] == number.to_bytes(2, "little")]
                assert (up, down) == (sum(row[0] for row in mine), sum(row[1] for row in mine))
                assert (packets_up, packets_down) == (sum(row[4] for row in mine), sum(row[5] for row in mine))
        finally:
            sender.close()
            source.close()
    return kernel_sums, twin_sums


def without_times(sums: Sums) -> Sums:
    """Pauses depend on when a frame really went out; the tests that send with spacing compare them."""
    return {key: [*row[:6], *row[8:]] for key, row in sums.items()}


def test_every_kind_of_frame_counts_the_same_in_kernel_and_twin() -> None:
    kernel, twin = compare(to_bytes(crafted()), HOSTS)
    assert without_times(kernel) == without_times(twin)
    assert len(kernel) > 20


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
