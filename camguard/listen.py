"""Which reader hears what. In: decoded packets that were handed up; out: what was read, with connection and side.

Malformed is caught here and nowhere else (but for frames, guard.py): it becomes a counted oddity, and a connection that
breaks its format again and again is read no more (its numbers still count).
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from camguard.decode import flow_key
from camguard.errors import Malformed
from camguard.events import ICMPV6, TCP, UDP, Chunk, Fact, Packet
from camguard.neighbours import ip_text
from camguard.protocols import (
    DATAGRAM_READERS,
    NOT_MINE,
    STREAM_READERS,
    Reading,
    StreamReader,
    dhcp,
    dns,
    link,
    mdns,
    natpmp,
    ssdp,
)
from camguard.track import DEAF, Flow, Flows, Talk

FAULTS_MAX = 20
ODD_NAMES_MAX = 256
ASKED_MAX = 64
ARP = 0x0806
DNS_PORT, WS_DISCOVERY_PORT, MDNS_PORT, SSDP_PORT = 53, 3702, 5353, 1900
DHCP_PORTS = frozenset({67, 68})
DHCPV6_PORTS = frozenset({546, 547})


class Heard(NamedTuple):
    """`up`: the camera said it."""

    flow: Flow
    up: bool
    reading: Reading


class Listener:
    """Runs the readers over the connections in `flows`."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows
        self.odd: Counter[str] = Counter()

    def link(self, packet: Packet) -> Reading | None:
        """What a device said to its neighbours: ARP, NDP, DHCP, mDNS, SSDP, NAT-PMP, WS-Discovery."""
        try:
            if packet.ethertype == ARP:
                return link.arp(packet.payload)
            if packet.proto == ICMPV6 and packet.payload[:1] in (b"\x85", b"\x86", b"\x87", b"\x88"):
                return link.ndp(packet.payload, packet.src)
            if packet.proto != UDP:
                return None
            ports = {packet.sport, packet.dport}
            if ports <= DHCP_PORTS:
                return dhcp.read(packet.payload)
            if ports <= DHCPV6_PORTS:
                return dhcp.read6(packet.payload)
            if natpmp.PORT in ports:
                return natpmp.read(packet.payload)
            if MDNS_PORT in ports:
                return mdns.read(packet.payload)
            if SSDP_PORT in ports:
                return ssdp.read(packet.payload)
            if packet.sport == WS_DISCOVERY_PORT and b"NetworkVideoTransmitter" in packet.payload:
                return Reading("ws-discovery", {"type": "NetworkVideoTransmitter"})
        except Malformed as error:
            self.count_odd(str(error))
        return None

    def camera(self, host: int, up: bool, packet: Packet) -> Iterator[Heard]:
        """What was said between camera `host` and a peer."""
        key = flow_key(host, up, packet)
        if packet.proto == TCP:
            flow, pieces = self._flows.content(key, up, packet)
            flow.peer_mac = flow.peer_mac or (packet.dst_mac if up else packet.src_mac)
            for data, gap in pieces:
                yield from self._read(flow, STREAM_READERS, Chunk(up, data, gap))
        elif packet.proto == UDP and packet.payload:
            flow = self._flows.opened(key, packet.at)
            flow.peer_mac = flow.peer_mac or (packet.dst_mac if up else packet.src_mac)
            yield from self._datagram(flow, up, packet)

    def late(self) -> Iterator[Heard]:
        """Once a second: bytes whose predecessors never came."""
        for flow, up, data, gap in self._flows.late():
            yield from self._read(flow, STREAM_READERS, Chunk(up, data, gap))

    def count_odd(self, name: str) -> None:
        """Counts an oddity under its name; names are ours, the cap is a belt to the braces."""
        self.odd[name if name in self.odd or len(self.odd) < ODD_NAMES_MAX else "other"] += 1

    def _read(self, flow: Flow, readers: dict[str, StreamReader], chunk: Chunk) -> Iterator[Heard]:
        talk = flow.talk
        if talk is None or talk is DEAF:
            return
        for name, read in readers.items():
            state = talk.states.get(name)
            if state is NOT_MINE:
                continue
            try:
                talk.states[name], readings = read(state, chunk)
            except Malformed as error:
                readings = (Reading("odd", {"name": str(error)}),)
            for reading in readings:
                if reading.what == "odd":
                    talk.faults += 1
                    self.count_odd(str(reading.detail["name"]))
                else:
                    yield Heard(flow, chunk.up, reading)
        if talk.faults >= FAULTS_MAX or all(talk.states.get(name) is NOT_MINE for name in readers):
            flow.talk = DEAF

    def _names(self, flow: Flow, up: bool, reading: Reading) -> Iterator[Heard]:
        """Only an answer that was asked for may name a peer: else anybody could call himself the maker's cloud."""
        talk, qname = flow.talk or Talk(), reading.detail["qname"]
        asked = talk.states.get("dns-asked", ())
        if up and not reading.from_server:
            talk.states["dns-asked"] = (*asked, qname)[-ASKED_MAX:]  # type: ignore[misc]
        elif not up and qname not in asked:  # type: ignore[operator]
            self.count_odd("dns-unasked")
            return
        yield Heard(flow, up, reading)

    def _datagram(self, flow: Flow, up: bool, packet: Packet) -> Iterator[Heard]:
        if flow.talk is None:
            flow.talk = Talk()
        if DNS_PORT in (packet.sport, packet.dport):
            try:
                reading = dns.read(packet.payload)
            except Malformed as error:
                self.count_odd(str(error))
            else:
                yield from self._names(flow, up, reading)
            return
        yield from self._read(flow, DATAGRAM_READERS, Chunk(up, packet.payload, packet.truncated))


def fact(heard: Heard, host_ip: str, time: float) -> Fact:
    """What was heard, as an event; `host_ip`: the camera's own address as far as it is known."""
    flow, up, reading = heard
    host, peer = (host_ip, flow.host_port), (ip_text(flow.peer), flow.peer_port)
    camera_serves = (reading.from_server is not False) == up
    client, server = (peer, host) if camera_serves else (host, peer)
    return Fact(reading.what, time, client, server, dict(reading.detail))
