"""The Python ledger in rows: what is counted where, what a pause is, what is handed up, what goes when."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from camguard.capture import budget, ledger
from camguard.capture.ledger import Ledger, run, shares
from camguard.events import FlowCount, Frame, Host, pack_key

CAM, YARD, GATE, NOBODY = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:fe", "02:00:00:00:00:77"
A, B, C = "192.168.1.10", "203.0.113.9", "192.168.1.11"
SIX, SIX_PEER = "2001:db8::10", "2001:db8:1::9"


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ip(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


PORCH, OTHER = Host(1, "porch", mac(CAM), ()), Host(2, "yard", mac(YARD), ())
UP, DOWN = Ether(src=CAM, dst=GATE), Ether(src=GATE, dst=CAM)
ZERO = pack_key(1, 0, 0, 0, bytes(4))


def frame(packet: Packet, at: float = 0.0, gso_size: int = 0) -> Frame:
    data = bytes(packet)
    return Frame(at, data, len(data), gso_size=gso_size)


def udp(size: int, at: float = 0.0, port: int = 6000, gso_size: int = 0) -> Frame:
    return frame(UP / IP(src=A, dst=B) / UDP(sport=5000, dport=port) / Raw(bytes(size)), at, gso_size)


def key(proto: int = 17, own: int = 5000, peer_port: int = 6000, peer: bytes = ip(B)) -> bytes:
    return pack_key(1, proto, own, peer_port, peer)


ROWS: list[tuple[str, Packet, bytes, tuple[int, int, int, int, int, int]]] = [
    ("udp up", UP / IP(src=A, dst=B) / UDP(sport=5000, dport=6000) / Raw(bytes(10)), key(), (52, 0, 10, 0, 1, 0)),
    ("udp down", DOWN / IP(src=B, dst=A) / UDP(sport=6000, dport=5000) / Raw(bytes(10)), key(), (0, 52, 0, 10, 0, 1)),
    ("tcp", UP / IP(src=A, dst=B) / TCP(sport=5000, dport=6000) / Raw(bytes(3)), key(6), (57, 0, 3, 0, 1, 0)),
    ("padded", UP / IP(src=A, dst=B) / TCP(sport=5000, dport=6000) / b"" / Raw(b""), key(6), (54, 0, 0, 0, 1, 0)),
    ("vlan", UP / Dot1Q(vlan=3) / IP(src=A, dst=B) / UDP(sport=5000, dport=6000), key(), (46, 0, 0, 0, 1, 0)),
    ("no ports", UP / IP(src=A, dst=B) / ICMP(), pack_key(1, 0, 0, 0, ip(B)), (42, 0, 8, 0, 1, 0)),
    ("not ip", UP / ARP(), ZERO, (42, 0, 28, 0, 1, 0)),
    ("malformed", UP / IP(src=A, dst=B, len=9000) / UDP(), ZERO, (42, 0, 0, 0, 1, 0)),
]


@pytest.mark.parametrize(("name", "packet", "where", "numbers"), ROWS, ids=[row[0] for row in ROWS])
def test_one_packet(name: str, packet: Packet, where: bytes, numbers: tuple[int, ...]) -> None:
    book = Ledger([PORCH])
    book.packet(frame(packet, 5.0))
    (count,) = book.collect(6.0)
    assert (count.key, count[4:10]) == (where, numbers)
    assert (count.at, count.first_at, count.last_at, count.peer_mac) == (6.0, 5.0, 5.0, mac(GATE))
    assert count.first_up == (numbers[0] > 0)
    assert book.collect(7.0) == []


def test_ethernet_padding_is_wire_but_no_payload() -> None:
    data = bytes(UP / IP(src=A, dst=B) / TCP(sport=5000, dport=6000)) + bytes(6)
    book = Ledger([PORCH])
    book.packet(Frame(0.0, data, len(data)))
    assert book.collect(1.0)[0][4:7] == (60, 0, 0)


def test_a_packet_between_two_cameras_counts_for_both() -> None:
    book = Ledger([PORCH, OTHER])
    book.packet(frame(Ether(src=CAM, dst=YARD) / IP(src=A, dst=C) / UDP(sport=1, dport=2) / Raw(b"x")))
    counts = {count.key: count for count in book.collect(1.0)}
    assert counts[pack_key(1, 17, 1, 2, ip(C))].wire_up == 43
    assert counts[pack_key(2, 17, 2, 1, ip(A))].wire_down == 43


def test_the_owners_devices_are_counted_and_not_handed_up() -> None:
    book = Ledger([PORCH, Host(2, "phone", mac(YARD), (), read=False)])
    ask = Ether(src=YARD, dst=GATE) / IP(src=C, dst=B) / TCP(sport=9, dport=80, flags="PA") / Raw(b"GET / HTTP/1.1\r\n")
    assert not any(book.packet(frame(ask, at)) for at in (0.1, 0.2))
    assert book.packet(frame(Ether(src=YARD, dst=CAM) / IP(src=C, dst=A) / TCP(sport=9, dport=80, flags="S"), 0.3))
    assert book.packet(frame(Ether(src=YARD, dst="ff:ff:ff:ff:ff:ff") / ARP(hwsrc=YARD, psrc=C, pdst=A), 0.4))
    sums = {count.key: count.packets_up for count in book.collect(1.0)}
    assert sums[pack_key(2, 6, 9, 80, ip(B))] == 2
    assert book.counters()["budget-spent"] == 0


def test_the_owners_devices_never_crowd_out_a_camera() -> None:
    hosts = [PORCH, *(Host(2 + n, f"phone {n}", bytes((2, 0, 0, 0, 9, n)), (), read=False) for n in range(3))]
    assert shares(80, hosts) == {1: 70, 2: 3, 3: 3, 4: 3}
    assert shares(80, [PORCH]) == {1: 80}
    book = Ledger(hosts[:2], capacity=80)
    for port in range(1, 31):
        packet = Ether(src="02:00:00:00:09:00", dst=GATE) / IP(src=C, dst=B) / UDP(sport=port, dport=2)
        book.packet(frame(packet, 0.5))
        book.packet(frame(UP / IP(src=A, dst=B) / UDP(sport=port, dport=2), 0.5))
    keys = [count.key for count in book.collect(1.0)]
    assert sum(key[0] == 1 for key in keys) == 30
    assert sum(key[0] == 2 for key in keys) == 10 + 1  # and what found no room, under the zero key
    gone = [count.key[0] for count in book.collect(4.0) if count.closed]
    assert gone == [2] * 10, "the phone makes room for itself, the camera's stay"


def test_cameras_known_by_address_and_new_cameras_after_a_reload() -> None:
    book = Ledger([Host(1, "routed", None, (ip(A),))])
    packet = frame(Ether(src=NOBODY, dst=GATE) / IP(src=A, dst=B) / UDP(sport=1, dport=2))
    book.packet(packet)
    assert len(book.collect(1.0)) == 1
    book.set_hosts([PORCH])
    book.packet(packet)
    assert book.collect(2.0) == []


#: (gaps in ms and payload sizes of one sender, pauses, dry ones)
CADENCES: list[tuple[str, list[tuple[float, int]], int, int]] = [
    ("one packet", [(0, 100)], 0, 0),
    ("9.9 ms is no pause", [(0, 1000), (9.9, 1000)], 0, 0),
    ("10 ms is one", [(0, 1000), (10, 1000)], 1, 0),
    ("full packets wait for the network", [(0, 1000), (20, 1000), (20, 1000)], 2, 0),
    ("a picture ends in a short packet", [(0, 1000), (1, 300), (66, 1000), (1, 20), (66, 1000)], 2, 2),
    ("the first packet is the largest so far", [(0, 300), (66, 1000)], 1, 0),
    ("sound has one size", [(0, 172)] + [(20, 172)] * 10, 10, 0),
    ("no payload, no pause", [(0, 1000), (5, 0), (6, 1000)], 1, 0),
]


@pytest.mark.parametrize("start", [0.0, 1_790_000_000.123456], ids=["monotonic", "since 1970"])
@pytest.mark.parametrize(("name", "steps", "pauses", "dry"), CADENCES, ids=[row[0] for row in CADENCES])
def test_pauses(name: str, steps: list[tuple[float, int]], pauses: int, dry: int, start: float) -> None:
    book, at = Ledger([PORCH]), start
    for gap_ms, size in steps:
        at += gap_ms / 1000
        book.packet(udp(size, at))
    (count,) = book.collect(at + 1)
    assert (count.pauses, count.dry) == (pauses, dry)
    assert count.largest_up == max(size for _, size in steps)


def test_a_pause_across_two_intervals_counts_once_in_the_second() -> None:
    book = Ledger([PORCH])
    book.packet(udp(1000, 0.5))
    book.packet(udp(20, 0.98))
    first = book.collect(1.0)[0]
    book.packet(udp(1000, 1.02))
    second = book.collect(2.0)[0]
    assert [(count.pauses, count.dry, count.wire_up) for count in (first, second)] == [(1, 0, 1104), (1, 1, 1042)]


def test_what_the_peer_sends_makes_no_pause() -> None:
    book = Ledger([PORCH])
    for at in (0.0, 0.5):
        book.packet(frame(DOWN / IP(src=B, dst=A) / UDP(sport=6000, dport=5000) / Raw(bytes(100)), at))
    assert book.collect(1.0)[0].pauses == 0


@pytest.mark.parametrize(
    ("payload", "segment", "wire", "packets", "largest", "dry"),
    [(3000, 1000, 3000 + 3 * 42, 3, 1000, 0), (2500, 1000, 2500 + 3 * 42, 3, 1000, 1), (900, 1000, 942, 1, 900, 0)],
)
def test_merged_segments(payload: int, segment: int, wire: int, packets: int, largest: int, dry: int) -> None:
    """Each further segment had headers of its own; a superpacket ends short when its payload is no multiple."""
    book = Ledger([PORCH])
    book.packet(udp(payload, 0.0, gso_size=segment))
    book.packet(udp(1, 0.5))
    (count,) = book.collect(1.0)
    assert count[4:12] == (wire + 43, 0, payload + 1, 0, packets + 1, 0, 1, dry)
    assert count.largest_up == largest


def test_fragments_join_their_connection_whatever_came_between() -> None:
    parts = fragment(UP / IP(src=A, dst=B, id=7) / UDP(sport=5000, dport=6000) / Raw(bytes(3000)), 1400)
    book = Ledger([PORCH])
    for part in (
        parts[0],
        *fragment(UP / IP(src=A, dst=B, id=8) / UDP(sport=1, dport=2) / Raw(bytes(3000)), 1400),
        *parts[1:],
    ):
        book.packet(frame(part))
    counts = {count.key: count for count in book.collect(1.0)}
    assert counts[key()].payload_up == 3000
    assert counts[key(own=1, peer_port=2)].payload_up == 3000
    book.packet(frame(fragment(UP / IP(src=A, dst=B, id=9) / UDP(sport=5, dport=6) / Raw(bytes(3000)), 1400)[1]))
    assert book.collect(2.0)[0].key == pack_key(1, 0, 0, 0, ip(B)), "the first one was never seen: no ports"


def test_remembered_fragments_are_capped() -> None:
    book = Ledger([PORCH])
    for number in range(ledger.FRAGMENTS + 5):
        book.packet(frame(fragment(UP / IP(src=A, dst=B, id=number) / UDP() / Raw(bytes(2000)), 1400)[0]))
    assert book.counters()["fragments-evicted"] == 5


def test_the_other_mac() -> None:
    """A unicast one always; a group one only where no unicast one is known."""
    book = Ledger([PORCH])
    inner = IP(src=A, dst=B) / UDP(sport=5000, dport=6000)
    seen = []
    for source, target in ((CAM, "01:00:5e:00:00:01"), (CAM, GATE), (CAM, "01:00:5e:00:00:01"), (CAM, NOBODY)):
        book.packet(frame(Ether(src=source, dst=target) / inner))
        seen.append(book.collect(1.0)[0].peer_mac)
    assert seen == [mac("01:00:5e:00:00:01"), mac(GATE), mac(GATE), mac(NOBODY)]


# ---- handed up -------------------------------------------------------------------------------------------------------


def tcp(payload: bytes, *, up: bool, flags: str = "A") -> Packet:
    if up:
        return UP / IP(src=A, dst=B) / TCP(sport=554, dport=40000, flags=flags) / Raw(payload)
    return DOWN / IP(src=B, dst=A) / TCP(sport=40000, dport=554, flags=flags) / Raw(payload)


def handed(packets: list[Packet], hosts: tuple[Host, ...] = (PORCH,), step: float = 0.001) -> list[bool]:
    book = Ledger(hosts)
    return [book.packet(frame(packet, number * step)) for number, packet in enumerate(packets)]


def test_the_first_payload_packets_each_way_come_up_and_then_no_more() -> None:
    video = [tcp(bytes(1200), up=True)] * 20
    assert handed(video) == [True] * 8 + [False] * 12
    both = [packet for pair in zip(video, [tcp(bytes(600), up=False)] * 20, strict=True) for packet in pair]
    assert handed(both) == [True] * 16 + [False] * 24


@pytest.mark.parametrize(
    ("name", "packet", "hand_up"),
    [
        ("video", tcp(b"\x80" + bytes(1200), up=True), False),
        ("bare acknowledgement", tcp(b"", up=False), False),
        ("short, to the camera", tcp(bytes(512), up=False), True),
        ("long, to the camera", tcp(bytes(513), up=False), False),
        ("short, from the camera", tcp(bytes(100), up=True), False),
        ("an answer from the camera", tcp(b"RTSP/1.0 401 Unauthorized\r\n" + bytes(900), up=True), True),
        ("a long request to the camera", tcp(b"POST /onvif HTTP/1.1\r\n" + bytes(900), up=False), True),
        ("a request by a word of three letters", tcp(b"GET / HTTP/1.1\r\n" + bytes(900), up=False), True),
        ("begins nearly like one", tcp(b"GETX" + bytes(900), up=False), False),
        ("end", tcp(b"", up=True, flags="FA"), True),
        ("reset", tcp(b"", up=False, flags="R"), True),
        ("dns", UP / IP(src=A, dst=B) / UDP(sport=5000, dport=53) / Raw(bytes(1000)), True),
    ],
)  # fmt: skip
def test_later_packets(name: str, packet: Packet, hand_up: bool) -> None:
    opening = [
        packet / Raw(b"") if packet.haslayer(UDP) else tcp(bytes(600), up=up) for up in (True, False) for _ in range(8)
    ]
    assert handed([*opening, packet])[-1] is hand_up


LINK_TALK: list[tuple[str, Packet, bool]] = [
    ("arp", Ether(src=NOBODY, dst="ff:ff:ff:ff:ff:ff") / ARP(), True),
    ("ndp", Ether(src=NOBODY, dst="33:33:00:00:00:01") / IPv6(src=SIX_PEER, dst="ff02::1") / ICMPv6ND_NS(), True),
    ("ping", Ether(src=NOBODY, dst=GATE) / IP(src=A, dst=B) / ICMP(), False),
    *(
        (f"udp {port}", Ether(src=NOBODY, dst=GATE) / IP(src=C, dst=B) / UDP(sport=9, dport=port) / Raw(b"x"), True)
        for port in sorted(budget.DISCOVERY_PORTS)
    ),
    ("an answer", Ether(src=NOBODY, dst=GATE) / IP(src=C, dst=B) / UDP(sport=3702, dport=9) / Raw(b"x"), True),
    ("others' dns", Ether(src=NOBODY, dst=GATE) / IP(src=C, dst=B) / UDP(sport=9, dport=53) / Raw(b"x"), False),
    ("others' rtsp", Ether(src=NOBODY, dst=GATE) / IP(src=C, dst=B) / TCP(dport=554, flags="S"), False),
]


@pytest.mark.parametrize(("name", "packet", "hand_up"), LINK_TALK, ids=[row[0] for row in LINK_TALK])
def test_talk_of_everybody(name: str, packet: Packet, hand_up: bool) -> None:
    assert handed([packet]) == [hand_up]


def test_budgets_are_apart_and_come_back() -> None:
    """A flood of openings spends its own budget: first payloads of other connections still come up, and the next window
    has the whole budget again."""
    flood = [
        DOWN / IP(src=f"198.51.100.{n % 250}", dst=A) / TCP(sport=1000 + n, dport=554, flags="S") for n in range(300)
    ]
    login = DOWN / IP(src=B, dst=A) / TCP(sport=40000, dport=554) / Raw(b"DESCRIBE rtsp://a/ RTSP/1.0\r\n")
    book = Ledger([PORCH, OTHER])
    assert sum(book.packet(frame(packet, 0.1)) for packet in flood) == budget.HOST_FLAGS
    assert book.packet(frame(login, 0.1))
    assert book.counters()["budget-spent"] == 300 - budget.HOST_FLAGS
    assert sum(book.packet(frame(packet, 2.5)) for packet in flood) == budget.HOST_FLAGS
    arp = Ether(src=NOBODY, dst=GATE) / ARP()
    assert sum(book.packet(frame(arp, 5.0)) for _ in range(300)) == budget.LINK
    assert book.packet(frame(login, 5.0)), "the link's budget is not the camera's"


def test_one_connection_cannot_spend_its_cameras_budget() -> None:
    talk = [tcp(bytes(600), up=False)] * 8 + [tcp(b"OPTIONS * RTSP/1.0\r\n", up=False)] * 100
    assert sum(handed(talk)) == 8 + budget.FLOW_LATER


# ---- room ------------------------------------------------------------------------------------------------------------


def test_overflow_goes_to_the_zero_key_and_one_camera_does_not_take_it_all() -> None:
    book = Ledger([PORCH, OTHER], capacity=40)
    for number in range(50):
        book.packet(udp(100, 0.0, 1000 + number))
    yard = Ether(src=YARD, dst=GATE) / IP(src=C, dst=B) / UDP(sport=1, dport=2) / Raw(bytes(58))
    book.packet(frame(yard))
    counts = {count.key: count for count in book.collect(1.0)}
    assert book.counters()["flows-overflow"] == 40
    assert counts[ZERO].packets_up == 40
    assert pack_key(2, 17, 1, 2, ip(B)) in counts
    assert sum(count.wire_up for count in counts.values()) == 50 * 142 + 100


@pytest.mark.parametrize(
    ("packets", "idle"),
    [
        ([UP / IP(src=A, dst=B) / UDP(sport=1, dport=2)], 60),
        ([tcp(b"", up=True)], 300),
        ([tcp(b"", up=True, flags="R")], 5),
        ([tcp(b"", up=True, flags="FA")], 300),
        ([tcp(b"", up=True, flags="FA"), tcp(b"", up=False, flags="FA")], 5),
    ],
    ids=["udp", "tcp", "reset", "one fin", "two fins"],
)
def test_idle_connections_are_forgotten_and_say_so(packets: list[Packet], idle: int) -> None:
    book = Ledger([PORCH])
    for packet in packets:
        book.packet(frame(packet, 10.0))
    assert not book.collect(11.0)[0].closed
    assert book.collect(10.0 + idle) == []
    (last,) = book.collect(10.5 + idle)
    assert last.closed
    assert last[4:12] == (0,) * 8
    assert book.collect(11.0 + idle) == []


def test_a_crowded_table_forgets_what_never_talked_and_keeps_what_does() -> None:
    book = Ledger([PORCH], capacity=100)
    for at in (0.0, 0.01):
        book.packet(udp(500, at, 1))
    for number in range(80):
        book.packet(frame(DOWN / IP(src=B, dst=A) / TCP(sport=1000 + number, dport=554, flags="S"), 0.0))
    book.collect(1.0)
    closed = [count.key for count in book.collect(3.0) if count.closed]
    assert len(closed) == 80
    assert key(peer_port=1) not in closed


# ---- replay ----------------------------------------------------------------------------------------------------------


def test_run_gives_frames_and_counts_in_time_order() -> None:
    frames = [udp(100, 10.2), udp(100, 10.7), udp(100, 11.0), udp(100, 13.5)]
    said = [
        ("frame", item.at) if isinstance(item, Frame) else ("count", item.at, item.packets_up)
        for item in run(frames, [PORCH])
    ]
    assert said == [
        ("frame", 10.2), ("frame", 10.7), ("count", 11.0, 2), ("frame", 11.0), ("count", 12.0, 1), ("frame", 13.5),
        ("count", 14.0, 1),
    ]  # fmt: skip


def test_run_never_goes_back_in_time_and_jumps_over_years() -> None:
    frames = [udp(100, 5.5), udp(100, 3.0), udp(100, 1_790_000_000.0), udp(100, 1_790_000_000.5)]
    items = list(run(frames, [PORCH]))
    times = [item.at for item in items]
    assert times == sorted(times)
    closed = [item for item in items if isinstance(item, FlowCount) and item.closed]
    assert [(item.at, item.packets_up) for item in closed] == [(66.0, 0)]
    assert len(items) < 12


def test_run_twice_says_the_same() -> None:
    def frames() -> Iterator[Frame]:
        for number in range(400):
            yield udp(number % 900, number / 50, 6000 + number % 9)

    assert list(run(frames(), [PORCH])) == list(run(frames(), [PORCH]))


# ---- the two ledgers have one set of numbers -------------------------------------------------------------------------


def test_the_kernel_program_has_the_same_limits() -> None:
    source = (Path(ledger.__file__).parent / "flows.bpf.c").read_text()
    numbers = {name: int(value) for name, value in re.findall(r"#define (\w+) (\d+)(?:ULL)?$", source, re.MULTILINE)}
    for module, names in (
        (ledger, "CAPACITY FRAGMENTS"),
        (budget, "FIRST FLOW_LATER HOST_FLAGS HOST_OPENINGS HOST_LATER ALL_FLAGS ALL_OPENINGS ALL_LATER LINK SHORT"),
    ):
        for name in names.split():
            assert numbers[name] == getattr(module, name), name
    assert numbers["PAUSE_NS"] == ledger.PAUSE_S * 1e9
    discovery = source[source.index("int is_discovery") : source.index("int is_link_talk")]
    assert {int(port) for port in re.findall(r"case (\d+):", discovery)} == budget.DISCOVERY_PORTS
    words = re.findall(r"case WORD\('(.)', '(.)', '(.)', '(.)'\)", source)
    assert {"".join(word).encode() for word in words} == budget.BEGINNINGS
