"""decode: what a stack accepts is read, what it drops is Malformed, and nothing else ever comes out."""

import ipaddress
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_Router_Alert
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import PPP, PPPoE
from scapy.packet import Packet as Crafted
from scapy.packet import Raw

from camguard.capture.pcap import frames
from camguard.decode import Hosts, decode, flow_key
from camguard.errors import Malformed
from camguard.events import Frame, Host, Packet, pack_key, unpack_key

CAM, OTHER, THIRD = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
CAM_MAC, OTHER_MAC, THIRD_MAC = (bytes.fromhex(mac.replace(":", "")) for mac in (CAM, OTHER, THIRD))
ETHER = Ether(src=CAM, dst=OTHER)
V4 = IP(src="192.0.2.1", dst="198.51.100.2")
WITH_OPTION = IP(src="192.0.2.1", dst="198.51.100.2", options=[IPOption_Router_Alert()])
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
SRC4, DST4 = bytes((192, 0, 2, 1)), bytes((198, 51, 100, 2))
SRC6, DST6 = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db8" + "00" * 11 + "02")
OPTIONS = [("NOP", None), ("NOP", None), ("Timestamp", (1, 2))]


def frame(data: bytes | Crafted, wire_len: int | None = None, link: int = 1, gso_size: int = 0) -> Frame:
    raw = bytes(data)
    return Frame(1.5, raw, len(raw) if wire_len is None else wire_len, link, gso_size)


def outcome(item: Frame) -> Packet | str:
    """The packet, or the name of the oddity; anything else fails the test."""
    try:
        return decode(item)
    except Malformed as name:
        return str(name)


# ---- against scapy ---------------------------------------------------------------------------------------------------

SEGMENT = TCP(sport=554, dport=40000, flags="PA", seq=77, options=OPTIONS)
DATAGRAM = UDP(sport=5000, dport=6000)
AUTHENTICATED = ETHER / V6 / AH(nh=17, icv=b"\0" * 12, payloadlen=4) / DATAGRAM / b"hello"
CRAFTED = {
    "tcp": (ETHER / V4 / SEGMENT / b"hello", 1),
    "udp": (ETHER / V4 / DATAGRAM / b"hello", 1),
    "udp, padded by the card": (ETHER / V4 / DATAGRAM / b"hi" / Raw(b"\0" * 16), 1),
    "ip options": (ETHER / WITH_OPTION / DATAGRAM / b"x", 1),
    "vlan": (ETHER / Dot1Q(vlan=5) / V4 / SEGMENT / b"hello", 1),
    "qinq": (ETHER / Dot1AD(vlan=5) / Dot1Q(vlan=6) / V6 / SEGMENT / b"hello", 1),
    "pppoe": (ETHER / PPPoE(sessionid=1) / PPP(proto=0x21) / V4 / SEGMENT / b"hello", 1),
    "pppoe in vlan, v6": (ETHER / Dot1Q(vlan=7) / PPPoE(sessionid=1) / PPP(proto=0x57) / V6 / DATAGRAM / b"hello", 1),
    "v6": (ETHER / V6 / DATAGRAM / b"hello", 1),
    "v6 extensions": (
        ETHER / V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting(addresses=["::9"]) / SEGMENT / b"a",
        1,
    ),
    "v6 atomic fragment": (ETHER / V6 / IPv6ExtHdrFragment(id=9, offset=0, m=0) / DATAGRAM / b"hello", 1),
    "raw v4": (V4 / SEGMENT / b"hello", 101),
    "raw v6": (V6 / DATAGRAM / b"hello", 101),
    "cooked": (CookedLinux(src=CAM_MAC, lladdrlen=6, lladdrtype=1, proto=0x800) / V4 / SEGMENT / b"hello", 113),
    "cooked 2": (CookedLinuxV2(src=CAM_MAC, lladdrlen=6, lladdrtype=1, proto=0x86DD) / V6 / DATAGRAM / b"hello", 276),
    "loopback": (Loopback(type=2) / V4 / SEGMENT / b"hello", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", CRAFTED)
def test_reads_what_scapy_wrote(name: str) -> None:
    crafted, link = CRAFTED[name]
    crafted = crafted.__class__(bytes(crafted))
    above = crafted[TCP] if TCP in crafted else crafted[UDP]
    header = above.dataofs * 4 if TCP in above else 8
    network = crafted[IP] if IP in crafted else crafted[IPv6]
    whole = network.len - network.ihl * 4 if IP in crafted else len(above)
    packet = decode(frame(crafted, link=link))
    assert (packet.src, packet.dst) == ((SRC4, DST4) if IP in crafted else (SRC6, DST6))
    assert (packet.proto, packet.sport, packet.dport) == (6 if TCP in above else 17, above.sport, above.dport)
    assert packet.payload_len == len(packet.payload) == whole - header
    assert packet.payload == bytes(above)[header:whole]
    assert (packet.tcp_flags, packet.seq) == ((24, 77) if TCP in above else (0, 0))
    assert (packet.fragment, packet.truncated, packet.wire_len, packet.at) == (None, False, len(crafted), 1.5)
    assert packet.src_mac == (CAM_MAC if link not in (0, 101) else b"")
    assert packet.dst_mac == (OTHER_MAC if link == 1 else b"")
    assert packet.ethertype == (0x800 if IP in crafted else 0x86DD)


def test_reads_behind_an_authentication_header() -> None:
    packet = decode(frame(AUTHENTICATED))
    assert (packet.proto, packet.sport, packet.dport, packet.payload, packet.payload_len) == (
        17,
        5000,
        6000,
        b"hello",
        5,
    )


def test_padding_is_no_payload() -> None:
    packet = decode(frame(bytes(ETHER / V4 / SEGMENT / b"a") + b"\0" * 20))
    assert (packet.payload, packet.payload_len) == (b"a", 1)
    empty = decode(frame(bytes(ETHER / V4 / TCP(flags="A")) + b"\0" * 6))
    assert (empty.payload, empty.payload_len) == (b"", 0)


def test_icmp_and_other_protocols_have_no_ports() -> None:
    echo = decode(frame(ETHER / V4 / ICMP() / b"abc"))
    assert (echo.proto, echo.sport, echo.dport, echo.payload_len) == (1, 0, 0, 11)
    assert echo.payload == bytes(ICMP() / b"abc")
    assert decode(frame(ETHER / V6 / ICMPv6EchoRequest())).payload[0] == 128
    gre = decode(frame(ETHER / IP(src="192.0.2.1", dst="198.51.100.2", proto=47) / b"12345678"))
    assert (gre.proto, gre.payload) == (47, b"12345678")


def test_arp_and_frames_that_are_not_ip() -> None:
    arp = decode(frame(bytes(ETHER / ARP(op=2, hwsrc=CAM, psrc="192.0.2.1")) + b"\0" * 18))
    assert (arp.ethertype, arp.src, arp.dst, arp.proto, len(arp.payload), arp.payload_len) == (
        0x806,
        b"",
        b"",
        0,
        28,
        28,
    )
    odd = decode(frame(bytes(Ether(src=CAM, dst=OTHER, type=0x88CC)) + b"lldp"))
    assert (odd.ethertype, odd.src, odd.dst, odd.proto, odd.payload, odd.payload_len) == (
        0x88CC,
        b"",
        b"",
        0,
        b"lldp",
        4,
    )


def test_fragments() -> None:
    first = IP(src="192.0.2.1", dst="198.51.100.2", id=7, flags="MF") / UDP(sport=5, dport=6, len=3008) / (b"x" * 992)
    packet = decode(frame(ETHER / first))
    assert (packet.fragment, packet.sport, packet.dport, packet.payload_len) == ((7, 0, True), 5, 6, 992)
    later = IP(src="192.0.2.1", dst="198.51.100.2", id=7, flags="MF", frag=125, proto=17) / (b"y" * 1000)
    packet = decode(frame(ETHER / later))
    assert (packet.fragment, packet.proto, packet.sport, packet.payload_len) == ((7, 1000, True), 17, 0, 1000)
    last = IP(src="192.0.2.1", dst="198.51.100.2", id=7, frag=250, proto=17) / (b"z" * 9)
    assert decode(frame(ETHER / last)).fragment == (7, 2000, False)
    v6 = V6 / IPv6ExtHdrFragment(id=0x10000009, offset=3, m=1, nh=6) / (b"x" * 32)
    packet = decode(frame(ETHER / v6))
    assert (packet.fragment, packet.proto, packet.sport, packet.payload_len) == ((0x10000009, 24, True), 6, 0, 32)
    tiny = IP(src="192.0.2.1", dst="198.51.100.2", id=8, flags="MF", proto=6) / bytes(TCP(sport=9, dport=10))[:8]
    packet = decode(frame(ETHER / tiny))
    assert (packet.sport, packet.dport, packet.payload_len, packet.fragment) == (9, 10, 0, (8, 0, True))


def test_superpackets_take_their_length_from_the_frame() -> None:
    big = bytes(ETHER / IP(src="192.0.2.1", dst="198.51.100.2", len=0) / TCP() / (b"x" * 70000))
    packet = decode(frame(big, gso_size=1448))
    assert (packet.payload_len, packet.gso_size, packet.wire_len) == (70000, 1448, len(big))
    jumbo = bytes(ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2", plen=0) / TCP() / (b"x" * 70000))
    assert decode(frame(jumbo, gso_size=1428)).payload_len == 70000


def test_zero_length_tcp_options_do_not_blind_us() -> None:
    """Linux accepts such a segment (tcp_parse_options gives up on the options only), so its content is read."""
    raw = bytearray(bytes(ETHER / V4 / TCP(dataofs=6, flags="PA") / b"\x08\x00\x00\x00" / b"GET / HTTP/1.1"))
    assert decode(frame(bytes(raw))).payload == b"GET / HTTP/1.1"


# ---- lies ------------------------------------------------------------------------------------------------------------


def patched(crafted: Crafted, offset: int, value: bytes) -> Frame:
    raw = bytearray(bytes(crafted))
    raw[offset : offset + len(value)] = value
    return frame(bytes(raw))


T4, U4 = ETHER / V4 / TCP() / b"hello", ETHER / V4 / UDP(sport=1, dport=2) / b"hello"
T6, U6 = ETHER / V6 / TCP() / b"hello", ETHER / V6 / UDP(sport=1, dport=2) / b"hello"
OPT = ETHER / WITH_OPTION / UDP() / b"hello"
SESSION = ETHER / PPPoE(sessionid=1) / PPP(proto=0x21) / V4 / UDP() / b"hello"
LIES = {
    "empty": (frame(b""), "ethernet-short"),
    "13 bytes": (frame(bytes(13)), "ethernet-short"),
    "unknown link": (frame(bytes(60), link=105), "link-type"),
    "cooked cut": (frame(bytes(15), link=113), "cooked-short"),
    "cooked 2 cut": (frame(bytes(19), link=276), "cooked-short"),
    "null cut": (frame(bytes(3), link=0), "null-short"),
    "raw empty": (frame(b"", link=101), "ip-version"),
    "raw of version 7": (frame(b"\x70" + bytes(40), link=101), "ip-version"),
    "vlan cut": (frame(bytes(ETHER)[:12] + b"\x81\x00\x00"), "vlan-short"),
    "9 tags": (frame(bytes(ETHER)[:12] + b"\x81\x00\x00\x01" * 9 + b"\x08\x00" + bytes(60)), "vlan-nested"),
    "200 tags": (frame(bytes(ETHER)[:12] + b"\x81\x00\x00\x01" * 200), "vlan-nested"),
    "pppoe cut": (frame(bytes(ETHER)[:12] + b"\x88\x64\x11\x00\x00"), "pppoe-short"),
    "pppoe length beyond": (patched(SESSION, 18, b"\xff\xff"), "pppoe-length"),
    "pppoe length 0": (patched(SESSION, 18, b"\x00\x00"), "pppoe-length"),
    "arp cut": (frame(bytes(ETHER / ARP())[:40]), "arp-short"),
    "arp with long addresses": (patched(ETHER / ARP(), 18, b"\xff\xff"), "arp-short"),
    "v4 cut": (frame(bytes(T4)[:33]), "ipv4-short"),
    "v4 of version 5": (patched(T4, 14, b"\x55"), "ip-version"),
    "IHL 4": (patched(T4, 14, b"\x44"), "ipv4-header"),
    "IHL 0": (patched(T4, 14, b"\x40"), "ipv4-header"),
    "IHL beyond total": (patched(T4, 14, b"\x4f"), "ipv4-length"),
    "total beyond frame": (patched(T4, 16, b"\xff\xff"), "ipv4-length"),
    "total below header": (patched(T4, 16, b"\x00\x13"), "ipv4-length"),
    "zero-length ip option": (patched(OPT, 35, b"\x00"), "ipv4-option"),
    "ip option of length 1": (patched(OPT, 35, b"\x01"), "ipv4-option"),
    "v6 cut": (frame(bytes(T6)[:53]), "ipv6-short"),
    "v6 of version 4": (patched(T6, 14, b"\x40"), "ip-version"),
    "v6 length beyond": (patched(T6, 18, b"\xff\xff"), "ipv6-length"),
    "v6 extension beyond": (patched(ETHER / V6 / IPv6ExtHdrDestOpt() / UDP(), 55, b"\xff"), "ipv6-short"),
    "v6 header in no room": (frame(ETHER / IPv6(src="::1", dst="::2", nh=44) / b"1234"), "ipv6-short"),
    "10 extension headers": (
        frame(bytes(ETHER / IPv6(src="::1", dst="::2", nh=60, plen=80)) + (b"\x3c" + bytes(7)) * 10),
        "ipv6-extensions",
    ),
    "tcp offset 0": (patched(T4, 46, b"\x00"), "tcp-header"),
    "tcp offset 4": (patched(T4, 46, b"\x40"), "tcp-header"),
    "tcp offset beyond": (patched(T4, 46, b"\xf0"), "tcp-short"),
    "tcp in 10 bytes": (frame(ETHER / IP(proto=6, src="192.0.2.1", dst="198.51.100.2") / bytes(10)), "tcp-short"),
    "udp length 7": (patched(U4, 38, b"\x00\x07"), "udp-length"),
    "udp length beyond": (patched(U4, 38, b"\xff\xff"), "udp-length"),
    "udp length beyond, v6": (patched(U6, 58, b"\x00\x0e"), "udp-length"),
    "udp in 5 bytes": (frame(ETHER / IP(proto=17, src="192.0.2.1", dst="198.51.100.2") / bytes(5)), "udp-short"),
}  # fmt: skip


@pytest.mark.parametrize("name", LIES)
def test_lies_have_a_name(name: str) -> None:
    lie, expected = LIES[name]
    assert outcome(lie) == expected


def test_eight_tags_are_read() -> None:
    raw = bytes(ETHER)[:12] + b"\x81\x00\x00\x01" * 8 + b"\x08\x00" + bytes(V4 / UDP(sport=1, dport=2) / b"hello")
    assert decode(frame(raw)).payload == b"hello"


ALL = [(crafted, link) for crafted, link in CRAFTED.values()] + [
    (ETHER / ARP(), 1),
    (SESSION, 1),
    (OPT, 1),
    (AUTHENTICATED, 1),
]


def test_cut_at_each_byte() -> None:
    """Snapped frames are decoded as far as they go; frames that end there themselves are Malformed or padding-free."""
    for crafted, link in ALL:
        raw = bytes(crafted)
        whole = decode(frame(raw, link=link))
        for length in range(len(raw)):
            snapped = outcome(frame(raw[:length], len(raw), link))
            assert isinstance(snapped, Packet), (crafted, length, snapped)
            assert snapped.truncated
            assert whole.payload.startswith(snapped.payload)
            assert snapped.wire_len == len(raw)
            if snapped.payload:
                assert snapped[1:10] == whole[1:10]
                assert snapped.payload_len == whole.payload_len
            short = outcome(frame(raw[:length], link=link))
            if isinstance(short, Packet) and short.src and short.src == whole.src and not whole.fragment:
                # only padding was missing
                assert short.payload == whole.payload


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from(range(len(ALL))),
    st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), max_size=6),
    st.integers(0, 200),
    st.integers(0, 200),
    st.integers(0, 2000),
)
def test_only_malformed_escapes_from_changed_frames(
    which: int, changes: list[tuple[int, int]], length: int, more: int, gso: int
) -> None:
    crafted, link = ALL[which]
    raw = bytearray(bytes(crafted))
    for place, value in changes:
        if place < len(raw):
            raw[place] = value
    check(Frame(0.0, bytes(raw[:length]), len(raw[:length]) + more, link, gso))


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200), st.sampled_from((0, 1, 12, 101, 108, 113, 228, 276, 9999)), st.integers(-5, 70000))
def test_only_malformed_escapes_from_noise(raw: bytes, link: int, wire_len: int) -> None:
    check(Frame(0.0, raw, wire_len, link))


def check(item: Frame) -> None:
    packet = outcome(item)
    if isinstance(packet, Packet):
        assert len(packet.payload) <= packet.payload_len or not packet.src
        assert 0 <= packet.payload_len <= packet.wire_len or packet.ethertype == 0x806
        assert packet.payload in item.data
        assert (len(packet.src), len(packet.dst)) in ((0, 0), (4, 4), (16, 16))
        assert len(flow_key(1, True, packet)) == 24
        Hosts([Host(1, "porch", CAM_MAC, (SRC4,))]).find(packet)


# ---- whose packet ----------------------------------------------------------------------------------------------------


def test_hosts_by_mac() -> None:
    hosts = Hosts([Host(1, "porch", CAM_MAC, ()), Host(2, "yard", THIRD_MAC, (DST4,))])
    assert hosts.find(decode(frame(ETHER / V4 / UDP()))) == ((1, True),)
    assert hosts.find(decode(frame(Ether(src=OTHER, dst=CAM) / V4 / UDP()))) == ((1, False),)
    assert hosts.find(decode(frame(Ether(src=CAM, dst=THIRD) / V4 / UDP()))) == ((1, True), (2, False))
    assert hosts.find(decode(frame(Ether(src=CAM, dst=CAM) / V4 / UDP()))) == ((1, True),)
    # the address of a camera with a MAC says nothing where another MAC is seen
    assert hosts.find(decode(frame(Ether(src=OTHER, dst="02:00:00:00:00:09") / V4 / UDP()))) == ()
    # without MACs it does
    assert hosts.find(decode(frame(V4 / UDP(), link=101))) == ((2, False),)
    cooked = CookedLinux(src=CAM_MAC, lladdrlen=6, lladdrtype=1, proto=0x800)
    assert hosts.find(decode(frame(cooked / V4 / UDP(), link=113))) == ((1, True), (2, False))


def test_hosts_by_address() -> None:
    hosts = Hosts([Host(3, "routed", None, (SRC4, DST6))])
    assert hosts.find(decode(frame(ETHER / V4 / UDP()))) == ((3, True),)
    assert hosts.find(decode(frame(ETHER / V6 / UDP()))) == ((3, False),)
    assert hosts.find(decode(frame(ETHER / ARP()))) == ()
    assert Hosts([]).find(decode(frame(ETHER / V4 / UDP()))) == ()


def test_hosts_of_malformed_frames() -> None:
    hosts = Hosts([Host(1, "porch", CAM_MAC, ())])
    lie = patched(T4, 14, b"\x44")
    assert outcome(lie) == "ipv4-header"
    assert hosts.find_malformed(lie) == ((1, True),)
    assert hosts.find_malformed(frame(b"short")) == ()
    assert hosts.find_malformed(frame(bytes(60), link=101)) == ()


def test_flow_key_has_the_cameras_port_first() -> None:
    packet = decode(frame(ETHER / V4 / TCP(sport=554, dport=40000)))
    assert flow_key(7, True, packet) == pack_key(7, 6, 554, 40000, DST4)
    assert flow_key(7, False, packet) == pack_key(7, 6, 40000, 554, SRC4)
    v6 = flow_key(7, True, decode(frame(ETHER / V6 / UDP(sport=1, dport=2))))
    assert v6 == pack_key(7, 17, 1, 2, DST6)
    assert unpack_key(v6).peer == DST6
    assert flow_key(7, True, decode(frame(ETHER / V4 / ICMP()))) == pack_key(7, 0, 0, 0, DST4)
    assert flow_key(7, True, decode(frame(ETHER / ARP()))) == pack_key(7, 0, 0, 0, bytes(4))


# ---- against tshark, over the whole corpus ---------------------------------------------------------------------------

CORPUS = Path(os.environ.get("CAMGUARD_CORPUS", Path(__file__).parents[2] / "shared" / "corpus"))
#: Where tshark's connections differ from ours, and why that is right.
EXPLAINED = {
    "brute/ndpi_telnet.pcap": "5 frames were cut by their publisher, who gave the cut length as the wire length",
    "iot/sentinel_EdnetGateway_A-2.pcap": "1 frame, the same",
    "stream/ndpi_rtmp.pcap": "tshark looks into GTP tunnels of a mobile network",
    "upnp/suri_output-eve-ftp-data.pcap": "tshark looks into Teredo tunnels and leaves the outside out",
}
Ends = tuple[str, str, int, str, int]
Sums = dict[Ends, tuple[int, int, int]]  # frames, bytes, payload each way


def told(truth: dict) -> Sums:  # type: ignore[type-arg]
    """What tshark counted, streams of the same ends together."""
    sums: Counter[tuple[Ends, int]] = Counter()
    for flow in truth["flows"]:
        a, b = (flow["a"], flow["a_port"]), (flow["b"], flow["b_port"])
        for ends, way in (((flow["proto"], *a, *b), "ab"), ((flow["proto"], *b, *a), "ba")):
            for place, what in enumerate(("frames", "bytes", "payload")):
                sums[ends, place] += flow[f"{what}_{way}"]
    return as_sums(sums)


def counted(path: Path) -> Sums:
    """What we count over the same capture."""
    sums: Counter[tuple[Ends, int]] = Counter()
    for item in frames(path):
        packet = outcome(item)
        if isinstance(packet, Packet) and packet.proto in (6, 17) and not (packet.fragment and packet.fragment[1]):
            source, target = (str(ipaddress.ip_address(end)) for end in (packet.src, packet.dst))
            ends = ("tcp" if packet.proto == 6 else "udp", source, packet.sport, target, packet.dport)
            for place, number in enumerate((1, packet.wire_len, packet.payload_len)):
                sums[ends, place] += number
    return as_sums(sums)


def as_sums(sums: Counter[tuple[Ends, int]]) -> Sums:
    return {
        ends: (number, sums[ends, 1], sums[ends, 2]) for (ends, place), number in sums.items() if not place and number
    }


@pytest.mark.skipif(not (CORPUS / "truth.json").exists(), reason="no corpus here (CAMGUARD_CORPUS)")
def test_counts_like_tshark() -> None:
    truths = json.loads((CORPUS / "truth.json").read_text())["files"]
    different = {}
    for name, truth in truths.items():
        want, got = told(truth), counted(CORPUS / name)
        if sum(truth["flows_total"].values()) > len(truth["flows"]):  # the truth lists the largest ones only
            got = {ends: sums for ends, sums in got.items() if ends in want}
        if want != got:
            different[name] = {ends: (want.get(ends), got.get(ends)) for ends in want.keys() | got.keys()
                               if want.get(ends) != got.get(ends)}  # fmt: skip
            print(name, "tshark, camguard:", different[name])
    print(
        f"{len(truths) - len(different)} of {len(truths)} captures: every connection equal in frames, bytes and payload"
    )
    assert different.keys() == EXPLAINED.keys()
