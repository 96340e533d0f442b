"""Every capture of the corpus: STUN, DTLS, RTP and RTCP as our readers have them against what tshark said, and which
capture gives which other reading. What differs must be explained here. Prints the tables (pytest -s)."""

import ipaddress
from collections import Counter
from typing import Any

import pytest

from camguard.events import Chunk
from camguard.protocols import DATAGRAM_READERS, NOT_MINE, STREAM_READERS, Reading, dtls, rtp, stun
from tests.protocols.captures import datagrams, dialogues, truth

pytestmark = pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")

MINE = ("stun", "dtls", "rtp", "srt", "mpegts", "tunnel", "pppp", "ptcp", "bcudp", "dlink")
STREAMS = ("stun", "tunnel", "pppp")
_CLASSES = ("request", "indication", "success", "error")


def number_of(found: stun.Message) -> int:
    """stun.type of a message: method and class as RFC 8489 section 5 mixes them."""
    numbers = {name: number for number, name in stun.METHODS.items()}
    method = numbers.get(found.method) or int(found.method, 16)
    cls = _CLASSES.index(found.cls)
    return method & 15 | (method & 0x70) << 1 | (method & 0xF80) << 2 | (cls & 1) << 4 | (cls & 2) << 7


def theirs_of(name: str) -> int:
    """The same of truth.json's words: "allocate error", "0x0118"."""
    if name.startswith("0x"):
        return int(name, 16)
    method, _, cls = name.rpartition(" ")
    return number_of(stun.Message(method, cls))


class Read:
    """All that our readers say about one capture."""

    def __init__(self, name: str) -> None:
        self.stun: Counter[int] = Counter()  # messages in datagrams, repeats counted
        self.classic = 0
        self.dtls: Counter[int] = Counter()
        self.rtp: set[tuple[str, int, int]] = set()
        self.readings: list[tuple[bool, Reading]] = []  # over TCP?, reading
        states: dict[Any, Any] = {}
        one_way: dict[Any, Any] = {}
        for packet in datagrams(name):
            if 53 in (packet.sport, packet.dport):
                continue
            self._count(packet.payload, not packet.truncated)
            way = (packet.src, packet.sport, packet.dst, packet.dport)
            one_way[way], readings = rtp.read_one_way(one_way.get(way), packet.payload, not packet.truncated)
            for reading in readings:
                source = str(ipaddress.ip_address(packet.src))
                self.rtp.add((source, packet.sport, reading.detail["ssrc"]))  # type: ignore[arg-type]
            ends = tuple(sorted([way[:2], way[2:]]))
            chunk = Chunk(ends[0] == way[:2], packet.payload, packet.truncated)
            self._feed(states, MINE, DATAGRAM_READERS, ends, chunk, False)
        for said in dialogues(name):
            self._feed(states, STREAMS, STREAM_READERS, said.ends, said.chunk, True)

    def _count(self, payload: bytes, whole: bool) -> None:
        found = stun.message(payload, whole=whole)
        if found and payload[4:8] == stun.COOKIE:
            self.stun[number_of(found)] += 1
        elif found:
            self.classic += 1
        self.dtls.update({part.kind for part in dtls.fragments(payload)})

    def _feed(self, states: Any, names: Any, readers: Any, ends: Any, chunk: Chunk, tcp: bool) -> None:
        for name in names:
            key = (tcp, ends, name)
            if states.get(key) is not NOT_MINE:
                states[key], readings = readers[name](states.get(key), chunk)
                self.readings += [(tcp, reading) for reading in readings]

    def words(self) -> set[str]:
        """What was read, in short."""
        return {
            f"{reading.what} {reading.detail.get('maker') or reading.detail.get('name') or ''}".strip()
            for _, reading in self.readings
        }


@pytest.fixture(scope="module")
def ours() -> dict[str, Read]:
    return {name: Read(name) for name in truth()}


#: Not STUN of any RFC, though tshark says so: (capture, count) -> why.
NO_CLASSIC = {
    "rtc/arkime_stun.pcap": (1, "RSP/2.0, text that only has the port"),
    "rtc/ndpi_zoom_p2p.pcapng": (133, "Zoom's own attribute 0101 and its talk behind byte 1f"),
}
#: Messages in streams that we read and tshark does not: types, why.
MORE_STREAMED = {
    "rtc/arkime_turn.pcap": (
        {0x3, 0x103, 0x113, 0x8, 0x108, 0x118},
        "TURN over TCP port 80, which tshark takes for HTTP",
    ),
    "rtc/ndpi_stun_dtls_rtp.pcapng": ({0x1, 0x101}, "the checks that the relay carries"),
}
#: ClientHellos that are inside GTP, which a home has not: count.
HELLOS_IN_GTP = {"rtc/ndpi_dtls.pcap": 3}

#: What other than STUN each capture gives, checked by hand (nDPI's and tshark's words, first bytes). No other capture
#: gives anything.
READ = {
    **dict.fromkeys(
        (
            "brute/ndpi_ssh.pcap",
            "brute/traceshare_hydra-1_tasks.pcap",
            "brute/traceshare_hydra-4_tasks.pcap",
            "brute/traceshare_ncrack-polite.pcap",
            "brute/zeek_ssh_sshguess.pcap",
        ),
        frozenset({"tunnel ssh"}),
    ),
    "generic/ndpi_sip.pcap": {"rtp", "rtcp"},
    "generic/ndpi_skype-conference-call.pcap": {"rtp", "rtcp"},
    "generic/ndpi_wireguard.pcap": {"tunnel wireguard"},
    "rtc/ndpi_dtls.pcap": {"dtls-hello"},
    "rtc/ndpi_stun.pcap": {"dtls-hello", "rtp", "rtcp"},
    "rtc/ndpi_stun_classic.pcap": {"rtp"},
    "rtc/ndpi_stun_dtls_rtp.pcapng": {"dtls-hello", "rtp"},
    "rtc/ndpi_stun_signal.pcapng": {"rtp", "rtcp"},
    "rtc/zeek_tls_webrtc-stun.pcap": {"dtls-hello"},
    "stream/ndpi_rtp.pcapng": {"rtp", "rtcp"},
    "stream/vzvca_rtp_h264.pcap": {"rtp"},
    "stream/yi_camera_sample.pcap": {"p2p pppp"},
    **dict.fromkeys(
        (
            "stream/ucl_dlink-cam_base-firewall_wan.pcap",
            "stream/ucl_dlink-cam_my-firewall_wan.pcap",
            "stream/ucl_dlink-cam_no-firewall_wan.pcap",
            "stream/ucl_dlink-cam_no-firewall_wlan2.4.pcap",
            "stream/ucl_dlink-cam_no-firewall_wlan5.0.pcap",
        ),
        frozenset({"p2p mydlink", "rtp", "rtcp"}),  # RTP behind "$", channel and length, which tshark calls data
    ),
}


def test_every_stun_message_by_type(ours: dict[str, Read]) -> None:
    """In datagrams each message by type and number; in streams, where what was sent again is read once, the types."""
    messages = 0
    for name, theirs in truth().items():
        rows = (theirs.get("stun") or {}).get("by_flow") or []
        expected: Counter[int] = Counter()
        for row in rows:
            if row["proto"] == "udp":
                expected[theirs_of(row["type"])] += row["count"]
        assert ours[name].stun == expected, name
        messages += expected.total()
        streamed = {theirs_of(row["type"]) for row in rows if row["proto"] == "tcp"}
        got = {
            number_of(stun.Message(str(reading.detail["method"]), str(reading.detail["cls"])))
            for tcp, reading in ours[name].readings
            if tcp and reading.what == "stun"
        }
        assert got == streamed | MORE_STREAMED.get(name, (set(), ""))[0], name
    print(f"stun: {messages} messages in datagrams, no difference; streams: {MORE_STREAMED}")
    assert messages > 600


def test_every_stun_message_of_the_old_form(ours: dict[str, Read]) -> None:
    for name, theirs in truth().items():
        expected = theirs["protocols"].get("classicstun", 0)
        assert ours[name].classic == expected - NO_CLASSIC.get(name, (0, ""))[0], name
    print(f"classic stun: not believed: {NO_CLASSIC}")


def test_every_plain_dtls_handshake(ours: dict[str, Read]) -> None:
    seen = 0
    for name, theirs in truth().items():
        expected = Counter({int(kind): count for kind, count in (theirs.get("dtls") or {}).items()})
        expected[1] -= HELLOS_IN_GTP.get(name, 0)
        assert ours[name].dtls == +expected, name
        seen += expected.total()
    print(f"dtls: {seen} frames by handshake type, no difference; inside GTP, not read: {HELLOS_IN_GTP}")
    assert seen > 30


def test_every_rtp_source_and_no_other(ours: dict[str, Read]) -> None:
    """A source of which fewer than three packets were seen is not called media."""
    for name, theirs in truth().items():
        rows = (theirs.get("rtp_streams") or []) + (theirs.get("rtp_streams_heuristic") or [])
        expected = {(row["src"], row["sport"], int(row["ssrc"], 16)): row["packets"] for row in rows}
        assert ours[name].rtp <= set(expected), (name, ours[name].rtp - set(expected))
        missed = {key: packets for key, packets in expected.items() if key not in ours[name].rtp}
        assert all(packets < rtp.SEQUENCE_RUN for packets in missed.values()), (name, missed)


def test_which_capture_gives_which_reading(ours: dict[str, Read]) -> None:
    """No capture without such a talk gives a reading of it, and nothing in real traffic is odd."""
    for name in truth():
        words = ours[name].words()
        assert words - {"stun"} == READ.get(name, set()), name
        if words:
            print(f"{name}: {', '.join(sorted(words))}")


def test_the_yi_camera_names_its_viewer(ours: dict[str, Read]) -> None:
    events = Counter(str(r.detail["event"]) for _, r in ours["stream/yi_camera_sample.pcap"].readings)
    assert events == {"register": 3, "punch": 1, "ready": 1, "data": 2, "close": 1}
