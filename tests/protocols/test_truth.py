"""Every capture of the corpus: what our readers say against what tshark said. What differs must be explained here.

Prints the explained differences (pytest -s); an unexplained one fails.
"""

import ipaddress
import re
import struct
from collections import Counter, defaultdict
from itertools import groupby
from typing import Any

import pytest

from camguard.errors import Malformed
from camguard.events import Chunk, Packet
from camguard.protocols import NOT_MINE, STREAM_READERS, dns, mdns, quic, rtp
from tests.protocols.captures import datagrams, dialogues, truth

pytestmark = pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")

#: Readings that are odd on purpose, or because the capture was made to be: (capture, name) -> why.
ODD_EXPECTED: dict[tuple[str, str], str] = {}


class Read:
    """All that our readers say about one capture."""

    def __init__(self, name: str) -> None:
        self.queries: set[str] = set()
        self.answers: dict[str, set[str]] = defaultdict(set)
        self.beside: dict[str, set[str]] = defaultdict(set)  # addresses outside the answer section: of name servers
        self.tls: Counter[tuple[str, str, str, int]] = Counter()  # name, client, server, port -> connections
        self.quic: Counter[tuple[str, str, str, int]] = Counter()
        self.hidden = 0  # hellos whose true name is encrypted
        self.mdns: set[str] = set()
        self.rtsp: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
        self.http: Counter[tuple[str, str, str, str]] = Counter()  # client, server and port, scheme, user
        self.asked: Counter[str] = Counter()  # requests with an Authorization, by client
        self.refused: Counter[int] = Counter()  # 401 and 403, whoever was asked
        self.rtp: set[tuple[str, int, int]] = set()
        self.odd: Counter[str] = Counter()
        states: dict[Any, Any] = {}
        flows: dict[Any, Any] = {}
        for packet in datagrams(name):
            if 53 in (packet.sport, packet.dport):
                self._dns(packet.payload)
                continue
            if 5353 in (packet.sport, packet.dport):
                self.mdns.update(mdns.read(packet.payload).detail["asked"])  # type: ignore[arg-type]
            self._quic(packet, flows)
            key = (packet.src, packet.sport, packet.dst, packet.dport)
            states[key], readings = rtp.read_one_way(states.get(key), packet.payload, not packet.truncated)
            for reading in readings:
                source = str(ipaddress.ip_address(packet.src))
                self.rtp.add((source, packet.sport, reading.detail["ssrc"]))  # type: ignore[arg-type]
        self._streams(name)

    def _quic(self, packet: Packet, flows: dict[Any, Any]) -> None:
        """Every datagram of the flow, both ways, as the guard has it."""
        ends = ((packet.src, packet.sport), (packet.dst, packet.dport))
        key = frozenset(ends)
        if flows.get(key) is NOT_MINE:
            return
        chunk = Chunk(ends[0] < ends[1], packet.payload, packet.truncated)
        flows[key], readings = quic.read(flows.get(key), chunk)
        for reading in readings:
            if reading.what == "odd":
                self.odd[str(reading.detail["name"])] += 1
            else:
                self._hello(self.quic, reading, packet.src, packet.dst, packet.dport)

    def _hello(
        self, names: Counter[tuple[str, str, str, int]], reading: Any, src: bytes, dst: bytes, port: int
    ) -> None:
        self.hidden += reading.detail["ech"]
        if reading.detail["sni"]:
            names[reading.detail["sni"], str(ipaddress.ip_address(src)), str(ipaddress.ip_address(dst)), port] += 1

    def _dns(self, payload: bytes) -> None:
        try:
            reading = dns.read(payload)
        except Malformed as error:
            self.odd[str(error)] += 1
            return
        self._dns_reading(reading)
        if reading.from_server:
            self.beside[str(reading.detail["qname"])] |= behind_answers(payload)

    def _dns_reading(self, reading: Any) -> None:
        if not reading.from_server:
            self.queries.add(reading.detail["qname"])
        for name, ip in dns.addresses(reading):
            self.answers[name].add(ip)

    def _streams(self, name: str) -> None:
        states: dict[Any, Any] = {}
        for said in dialogues(name):
            for word, read in STREAM_READERS.items():
                key = (said.ends, word)
                if states.get(key) is NOT_MINE:
                    continue
                states[key], readings = read(states.get(key), said.chunk)
                for reading in readings:
                    detail = reading.detail
                    if reading.what == "tls-hello":
                        client, _, server, port = said.ends
                        self._hello(self.tls, reading, client, server, port)
                    elif reading.what == "dns":
                        self._dns_reading(reading)
                    elif reading.what == "rtsp":
                        src, _, dst, dport = said.ends
                        ends = (str(ipaddress.ip_address(src)), f"{ipaddress.ip_address(dst)}:{dport}")
                        asked = (str(detail["method"]), str(detail["url"]))
                        told = ("status", str(detail["status"])) if detail["status"] else asked
                        self.rtsp[ends].append(told)
                    elif reading.what == "http":
                        self._http(said.ends, detail)
                    elif reading.what == "odd":
                        self.odd[str(detail["name"])] += 1

    def _http(self, ends: Any, detail: Any) -> None:
        if detail["status"] in (401, 403, 407):
            self.refused[detail["status"]] += 1
        if detail["status"] is None and detail["scheme"]:
            src, _, dst, dport = ends
            server = f"{ipaddress.ip_address(dst)}:{dport}"
            self.http[str(ipaddress.ip_address(src)), server, detail["scheme"], detail["user"] or ""] += 1


def behind_answers(payload: bytes) -> set[str]:
    """The addresses in the authority and additional sections (what tshark counts and a look-up does not)."""
    questions, answers, authority, additional = struct.unpack_from(">HHHH", payload, 4)
    at, found = 12, set()
    for _ in range(questions):
        at = dns.read_name(payload, at)[1] + 4
    for index in range(answers + authority + additional):
        at = dns.read_name(payload, at)[1]
        kind, size = struct.unpack_from(">H6xH", payload, at)
        at += 10
        if index >= answers and kind in (1, 28):
            found.add(str(ipaddress.ip_address(payload[at : at + size])))
        at += size
    return found


@pytest.fixture(scope="module")
def ours() -> dict[str, Read]:
    return {name: Read(name) for name in truth()}


def test_every_dns_name_asked_for(ours: dict[str, Read]) -> None:
    names = 0
    for name, theirs in truth().items():
        expected = {row["name"].lower() for row in theirs.get("dns_queries") or []}
        names += len(expected)
        assert ours[name].queries == expected, name
    assert names > 300


def test_every_dns_address(ours: dict[str, Read]) -> None:
    """tshark's lists also hold addresses of name servers (additional section): nobody asked for those."""
    name_servers = 0
    for name, theirs in truth().items():
        read = ours[name]
        for asked, ips in (theirs.get("dns_answers") or {}).items():
            expected = {str(ipaddress.ip_address(ip)) for ip in ips}
            got, beside = read.answers[asked.lower()], read.beside[asked.lower()]
            assert got <= expected, (name, asked)
            assert expected - got <= beside, (name, asked, expected - got - beside)
            name_servers += len(expected - got)
        assert {n for n, ips in read.answers.items() if ips} <= {n.lower() for n in theirs.get("dns_answers") or {}}, (
            name
        )
    print(f"dns: {name_servers} addresses of name servers are not counted as answers")


def connections(rows: list[dict[str, Any]]) -> Counter[tuple[str, str, str, int]]:
    """tshark's rows as ours: a hello that was sent again in its connection counts once."""
    once = {(row["name"].lower(), row["client"], row["server"], row["port"], row["stream"]) for row in rows}
    return Counter(row[:4] for row in once)


#: Read by us and not in the truth: capture -> (name, client, server, port), and why.
TLS_MORE = {
    # frame 469, a whole hello in one segment: tshark -r shows its name, tshark -2 -r (of which the truth is made) takes
    # it for a part of something longer
    "iot/xiaodu_plug_idle_on_local.pcap": ("duerbot-open.baidu.com", "192.168.1.221", "111.63.96.157", 443),
}


def test_every_tls_server_name(ours: dict[str, Read]) -> None:
    seen = 0
    for name, theirs in truth().items():
        expected = connections(theirs.get("tls_sni") or [])
        more = Counter([TLS_MORE[name]] if name in TLS_MORE else [])
        assert ours[name].tls == expected + more, name
        seen += expected.total()
    print(f"tls: {seen} connections with a server name as tshark has them; {len(TLS_MORE)} more, which it has, too")
    assert seen > 250


def test_every_quic_server_name(ours: dict[str, Read]) -> None:
    """Versions 1 and 2 and two drafts. ndpi_youtube_quic is Google's older QUIC: neither reads a name there."""
    seen = 0
    for name, theirs in truth().items():
        expected = connections(theirs.get("quic_sni") or [])
        assert ours[name].quic == expected, name
        seen += expected.total()
    print(f"quic: {seen} connections with a server name as tshark has them, no difference")
    assert seen == 4


def test_hidden_names_are_said_as_such(ours: dict[str, Read]) -> None:
    """tshark: -Y 'tls.handshake.type==1 && tls.handshake.extension.type in {65037, 65486}'."""
    hidden = {name: read.hidden for name, read in ours.items() if read.hidden}
    assert hidden == {"tls/ndpi_tls_esni_sni_both.pcap": 2, "tls/zeek_tls_tls13-ech.pcap": 2}


def test_every_mdns_name_asked_for(ours: dict[str, Read]) -> None:
    seen = 0
    for name, theirs in truth().items():
        expected = {asked.lower() for asked in theirs.get("mdns_queries") or {}}
        assert {re.sub(r"\\(\d{3})", lambda hit: chr(int(hit[1])), asked) for asked in ours[name].mdns} == expected, (
            name
        )
        seen += len(expected)
    print(f"mdns: {seen} names asked for as tshark has them, no difference")
    assert seen > 100


def test_every_rtsp_request_and_status(ours: dict[str, Read]) -> None:
    """tshark shows a segment that was sent again as one more request; ours reads the connection's bytes once."""
    repeated = 0
    for name, theirs in truth().items():
        expected: list[Any] = []
        for row in theirs.get("rtsp") or []:
            events = [tuple(event[1:]) for event in row["events"]]
            once = [event for event, _ in groupby(events)]
            repeated += len(events) - len(once)
            expected.append((row["client"], row["server"], once))
        got = [(*ends, told) for ends, told in ours[name].rtsp.items()]
        if name.endswith("ndpi_rtsp.pcap"):
            # several connections of one pair of hosts: `ends` has no client port, so compare them as one list
            merged = [event for *_, events in expected for event in events]
            assert Counter(event for *_, events in got for event in events) == Counter(merged), name
        else:
            assert sorted(got) == sorted(expected), name
    print(f"rtsp: {repeated} segments sent again are not counted")


def test_every_http_authorisation_and_refusal(ours: dict[str, Read]) -> None:
    """A scheme of no standard ("Turbo") is called token; SIP (UDP) is no login at a camera."""
    seen = refusals = 0
    for name, theirs in truth().items():
        rows = [row for row in theirs.get("auth") or [] if row["kind"] == "credentials" and row["proto"] == "tcp"]
        expected = Counter(
            (
                row["src"],
                f"{row['dst']}:{row['dport']}",
                row["scheme"].lower() if row["scheme"].lower() in ("basic", "digest") else "token",
                row.get("user") or "",
            )
            for row in rows
        )
        assert ours[name].http == expected, name
        status = theirs.get("http_auth_status") or {}
        refused = Counter(
            {
                int(code): sum(stream.get(code, 0) for stream in status.get("refused_by_stream", {}).values())
                for code in {code for stream in status.get("refused_by_stream", {}).values() for code in stream}
            }
        )
        assert ours[name].refused == refused, name
        seen, refusals = seen + len(rows), refusals + refused.total()
    print(f"http: {seen} authorisations and {refusals} refusals as tshark has them, no difference")
    assert seen >= 7


def test_every_rtp_source_and_no_other(ours: dict[str, Read]) -> None:
    """A source of which fewer than three packets were seen is not called media."""
    short = 0
    for name, theirs in truth().items():
        rows = (theirs.get("rtp_streams") or []) + (theirs.get("rtp_streams_heuristic") or [])
        expected = {(row["src"], row["sport"], int(row["ssrc"], 16)): row["packets"] for row in rows}
        assert ours[name].rtp <= set(expected), (name, ours[name].rtp - set(expected))
        missed = {key: packets for key, packets in expected.items() if key not in ours[name].rtp}
        assert all(packets < rtp.SEQUENCE_RUN for packets in missed.values()), (name, missed)
        short += len(missed)
    print(f"rtp: {short} sources of one or two packets are not called media")


def test_nothing_in_real_traffic_is_odd(ours: dict[str, Read]) -> None:
    odd = {(name, word): count for name, read in ours.items() for word, count in read.odd.items()}
    assert {key for key in odd if key not in ODD_EXPECTED} == set(), odd
