"""filter: whatever the ledger counts or hands up gets through; the rest of the link does not."""

import os
from pathlib import Path

import pytest
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NA, ICMPv6ND_RA, IPv6
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Packet as Crafted

from camguard.capture.filter import Instruction, program
from camguard.capture.ledger import Ledger
from camguard.capture.pcap import frames
from camguard.events import Frame, Host

CORPUS = Path(os.environ.get("CAMGUARD_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
CAM = Host(1, "porch", bytes.fromhex("020000000001"), ())
ROUTED = Host(2, "yard", None, (bytes((192, 0, 2, 1)), bytes.fromhex("20010db8" + "00" * 11 + "01")))
SNAP = 1936


def passes(steps: list[Instruction], data: bytes) -> int:
    """Runs classic BPF as the kernel does on a socket: a load beyond the end drops the frame."""
    accumulator = index = at = 0
    loads = {0x20: 4, 0x28: 2, 0x30: 1, 0x40: 4, 0x48: 2, 0x50: 1}
    while True:
        code, if_true, if_false, k = steps[at]
        at += 1
        if code in loads:
            place = k + (index if code >= 0x40 else 0)
            if place + loads[code] > len(data):
                return 0
            accumulator = int.from_bytes(data[place : place + loads[code]])
        elif code == 0x15:
            at += if_true if accumulator == k else if_false
        elif code == 0x45:
            at += if_true if accumulator & k else if_false
        elif code == 0x05:
            at += k
        elif code == 0x01:
            index = k
        elif code == 0x07:
            index = accumulator
        elif code == 0x0C:
            accumulator += index
        elif code == 0x54:
            accumulator &= k
        elif code == 0x64:
            accumulator <<= k
        else:
            assert code == 0x06
            return k


ETHER = Ether(src="02:00:00:00:00:08", dst="02:00:00:00:00:09")
V4, V6 = IP(src="198.51.100.1", dst="198.51.100.2"), IPv6(src="2001:db8:1::1", dst="2001:db8:1::2")
WITH_OPTION = IP(src="198.51.100.1", dst="198.51.100.2", options=[IPOption_Router_Alert()])
TAKEN: dict[str, Crafted] = {
    "from the camera": Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:09") / V4 / TCP(),
    "to the camera": Ether(src="02:00:00:00:00:08", dst="02:00:00:00:00:01") / V6 / UDP(),
    "from the camera, not IP": Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:09", type=0x88CC) / b"lldp",
    "camera by address": ETHER / IP(src="192.0.2.1", dst="198.51.100.2") / TCP(),
    "to a camera by address": ETHER / IP(src="198.51.100.2", dst="192.0.2.1") / TCP(),
    "camera by address, tagged": ETHER / Dot1Q(vlan=1) / IP(src="198.51.100.2", dst="192.0.2.1") / TCP(),
    "camera by IPv6 address": ETHER / IPv6(src="2001:db8::1", dst="2001:db8:1::2") / TCP(),
    "to a camera by IPv6 address": ETHER / IPv6(src="2001:db8:1::2", dst="2001:db8::1") / TCP(),
    "arp": ETHER / ARP(),
    "arp, tagged": ETHER / Dot1Q(vlan=1) / ARP(),
    "dhcp": ETHER / V4 / UDP(sport=68, dport=67) / BOOTP(),
    "dhcp, ip options": ETHER / WITH_OPTION / UDP(sport=67, dport=68) / BOOTP(),
    "dhcpv6": ETHER / V6 / UDP(sport=546, dport=547) / b"x",
    "mdns": ETHER / V4 / UDP(sport=5353, dport=5353) / b"x",
    "mdns, double tags": ETHER / Dot1AD(vlan=1) / Dot1Q(vlan=1) / V6 / UDP(sport=5353, dport=5353) / b"x",
    "ssdp answer": ETHER / V4 / UDP(sport=1900, dport=50000) / b"x",
    "ws-discovery": ETHER / V4 / UDP(sport=50000, dport=3702) / b"x",
    "first fragment": ETHER / IP(src="198.51.100.1", dst="198.51.100.2", flags="MF") / UDP(sport=68, dport=67, len=999),
    "ndp advertisement": ETHER / V6 / ICMPv6ND_NA(),
    "router advertisement": ETHER / Dot1Q(vlan=1) / V6 / ICMPv6ND_RA(),
}  # fmt: skip
LEFT: dict[str, Crafted] = {
    "tcp of others": ETHER / V4 / TCP(sport=5353, dport=1900) / b"x",
    "udp of others": ETHER / V4 / UDP(sport=53, dport=40000) / b"x",
    "udp of others, v6": ETHER / V6 / UDP(sport=53, dport=40000) / b"x",
    "udp of others, tagged": ETHER / Dot1Q(vlan=1) / V4 / UDP(sport=53, dport=40000) / b"x",
    "later fragment": ETHER / IP(src="198.51.100.1", dst="198.51.100.2", frag=9, proto=17) / UDP(sport=68, dport=67),
    "ping": ETHER / V6 / ICMPv6EchoRequest(),
    "lldp of others": Ether(src="02:00:00:00:00:08", dst="02:00:00:00:00:09", type=0x88CC) / b"lldp",
    "a bit off the MAC": Ether(src="02:00:00:00:00:03", dst="02:00:00:00:00:09") / V4 / TCP(),
    "three tags": ETHER / Dot1Q(vlan=1) / Dot1Q(vlan=1) / Dot1Q(vlan=1) / V4 / TCP(),
    "nothing": ETHER,
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_what_gets_through(name: str) -> None:
    data = bytes(TAKEN[name])
    assert passes(program([CAM, ROUTED], SNAP), data) == SNAP
    ledger = Ledger([CAM, ROUTED])  # and the ledger wants it: it is counted or handed up
    assert ledger.packet(Frame(1.0, data, len(data))) or ledger.collect(2.0)


@pytest.mark.parametrize("name", LEFT)
def test_what_does_not(name: str) -> None:
    data = bytes(LEFT[name])
    assert passes(program([CAM, ROUTED], SNAP), data) == 0
    ledger = Ledger([CAM, ROUTED])
    assert not ledger.packet(Frame(1.0, data, len(data)))
    assert not ledger.collect(2.0)


def test_with_no_camera_the_talk_of_the_link_is_still_heard() -> None:
    steps = program([], SNAP)
    assert passes(steps, bytes(ETHER / ARP())) == SNAP
    assert passes(steps, bytes(TAKEN["from the camera"])) == 0


def test_many_cameras() -> None:
    hosts = [Host(n, "", (0x020000000000 + n).to_bytes(6), ()) for n in range(1, 301)]
    steps = program(hosts, SNAP)
    assert all(max(step[1], step[2]) < 256 for step in steps)
    assert passes(steps, bytes(Ether(src="02:00:00:00:01:2c", dst="02:00:00:00:10:00") / V4 / TCP())) == SNAP
    assert passes(steps, bytes(LEFT["tcp of others"])) in (0, SNAP)  # 02:...:08 and :09 are cameras 8 and 9 here
    too_many = [Host(n, "", (0x020000000000 + n).to_bytes(6), ()) for n in range(1, 3001)]
    assert program(too_many, SNAP) == [(0x06, 0, 0, SNAP)]


@pytest.mark.skipif(not (CORPUS / "truth.json").exists(), reason="no corpus here (CAMGUARD_CORPUS)")
def test_the_filter_takes_all_that_the_ledger_wants_in_real_captures() -> None:
    wanted = kept_out = 0
    for path in sorted(CORPUS.glob("*/*.pcap*")):
        sample = [frame for frame, _ in zip(frames(path), range(60), strict=False)]
        if not sample or sample[0].link != 1:
            continue
        host = Host(1, "", sample[0].data[6:12], ())
        steps, ledger = program([host], SNAP), Ledger([host])
        for frame in sample:
            ledger.collect(frame.at)
            handed_up = ledger.packet(frame)
            if handed_up or ledger.collect(frame.at):
                # frames that lie about their lengths are handed up whoever sent them; a stranger's may stay outside
                if passes(steps, frame.data):
                    wanted += 1
                else:
                    assert ledger.counters()["malformed"]
            else:
                kept_out += not passes(steps, frame.data)
    print(wanted, "frames wanted and taken,", kept_out, "of others kept out")
    assert wanted > 3000
    assert kept_out > 300
