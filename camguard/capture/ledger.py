"""The Python twin of flows.bpf.c: counts every connection of every camera, for sources that have no kernel ledger.

In: Frames in time order. Out: for each frame whether its content is handed up, and once a second of packet time the
FlowCounts (`run` does both). Pure; the same rules as the kernel program, to the byte and to the pause, and a
differential test holds the two together. The rules, in one place for both:

- Wire bytes are as on the cable: Ethernet header and VLAN tags in, frame check sequence out; where several segments
  were merged (GRO) every further one adds the header bytes again, and packets counts the segments.
- One entry per (camera, peer address, ports, protocol). Frames that are not IP, frames that lie about their lengths,
  and what finds the table full are counted under the camera's zero key, so a camera's sum is always exact.
- A pause is a gap of 10 ms and more between two payload packets (TCP, UDP) from the camera; it is dry when the packet
  before it was shorter than the largest one of the connection so far (a picture ends in a short packet).
- Fragments after the first are joined to their connection through a small table (identification -> ports).
- Handed up: openings (the first payload packets each way, TCP SYN, FIN, RST), DNS of the cameras, ARP, NDP, DHCP, mDNS,
  SSDP and WS-Discovery of everybody, malformed frames, later packets that begin like a request or an answer, and short
  ones from peer to camera; each kind has a budget per host and direction and window of 2**30 ns (1.07 s).
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from camguard.decode import Hosts, decode, flow_key
from camguard.errors import Malformed
from camguard.events import FIN, ICMPV6, RST, SYN, TCP, UDP, FlowCount, Frame, Host, Packet, pack_key, unpack_key

#: Entries in all.
CAPACITY = 65_536
#: Fragmented datagrams whose ports are remembered; the oldest goes first.
FRAGMENTS = 1_024

PAUSE_S = 0.010
#: Times of captures are floats since 1970: their steps are 0.24 us, and a gap of exactly 10 ms must count.
_PAUSE_S = PAUSE_S - 5e-7

TCP_IDLE_S, OTHER_IDLE_S, ENDED_IDLE_S = 300.0, 60.0, 5.0
#: When three quarters of the table are used, connections of at most so many payload packets go after so much silence:
#: a flood is made of them. Running sessions never go before their idle time.
THIN, THIN_IDLE_S = 1, 2.0

# Budgets of frames handed up, each per window of 2**30 ns.
FIRST = 8  # payload packets at the start of each connection, each way
FLOW_LATER = 16  # later packets of one connection, each way
HOST_FLAGS = 128  # SYN, FIN, RST of one camera, each way
HOST_OPENINGS = 256  # first payload packets of one camera's connections, each way: the reserve for what is new
HOST_LATER = 128  # later packets and DNS of one camera, each way
LINK = 128  # ARP, NDP, DHCP, discovery talk, malformed frames
SHORT = 512  # bytes of payload up to which a later packet to the camera is short

DISCOVERY_PORTS = frozenset({67, 68, 546, 547, 1900, 3702, 5353})
NDP_TYPES = frozenset({133, 134, 135, 136})
#: The first four bytes of requests and answers (RFC 9110, RFC 7826).
BEGINNINGS = frozenset(
    b"RTSP,HTTP,GET ,POST,PUT ,HEAD,OPTI,DELE,PATC,CONN,DESC,SETU,PLAY,PAUS,TEAR,ANNO,RECO,GET_,SET_,REDI".split(b",")
)

_ENDS = SYN | FIN | RST


def share_of(capacity: int, hosts: int) -> int:
    """The entries that one camera may hold: a flood on one camera's door must not blind the guard for the others."""
    return capacity if hosts < 2 else capacity // 4


def is_crowded(used: int, room: int) -> bool:
    """Whether three quarters are used."""
    return used > room * 3 // 4


def idle_s(proto: int, flags_up: int, flags_down: int) -> float:
    """Seconds of silence after which a connection is forgotten."""
    if proto == TCP:
        if (flags_up | flags_down) & RST or flags_up & flags_down & FIN:
            return ENDED_IDLE_S
        return TCP_IDLE_S
    return OTHER_IDLE_S


class _Flow:
    """One connection: what it is, and what it did since the last collect."""

    __slots__ = (
        "dry", "first_at", "first_up", "flags_down", "flags_up", "key", "largest_up", "last_at", "last_length",
        "later_down", "later_up", "packets_down", "packets_up", "pauses", "payload_down", "payload_up", "payload_up_at",
        "peer_mac", "proto", "said_down", "said_up", "window", "wire_down", "wire_up",
    )  # fmt: skip

    def __init__(self, key: bytes, proto: int, at: float, up: bool) -> None:
        self.key, self.proto, self.first_at, self.last_at, self.first_up = key, proto, at, at, up
        self.payload_up_at = -1.0
        self.largest_up = self.last_length = self.flags_up = self.flags_down = self.said_up = self.said_down = 0
        self.window = self.later_up = self.later_down = 0
        self.peer_mac = b""
        self.reset()

    def reset(self) -> None:
        """Begin a new interval."""
        self.wire_up = self.wire_down = self.payload_up = self.payload_down = 0
        self.packets_up = self.packets_down = self.pauses = self.dry = 0


class _HostBook:
    """What one camera used of its share and of its budgets."""

    __slots__ = ("entries", "number", "other", "spent", "used", "window")

    def __init__(self, number: int) -> None:
        self.number, self.entries, self.window, self.spent = number, 0, -1, 0
        self.used = [0, 0, 0, 0, 0, 0]  # flags, openings, later; down is even, up is odd
        self.other: _Flow | None = None


_FLAGS, _OPENINGS, _LATER = 0, 2, 4
_LIMITS = (HOST_FLAGS, HOST_FLAGS, HOST_OPENINGS, HOST_OPENINGS, HOST_LATER, HOST_LATER)


class Ledger:
    """Counts frames of `hosts`; `capacity` entries in all."""

    def __init__(self, hosts: Iterable[Host], *, capacity: int = CAPACITY) -> None:
        self._flows: dict[bytes, _Flow] = {}
        self._changed: dict[bytes, _Flow] = {}
        self._ports: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._capacity = capacity
        self.set_hosts(hosts)
        self._link_window, self._link_used = -1, 0
        self._counters = {"flows-overflow": 0, "budget-spent": 0, "malformed": 0, "fragments-evicted": 0}

    def packet(self, frame: Frame) -> bool:
        """Count one frame; True when its content is handed up."""
        window = int(frame.at * 1e9) >> 30
        try:
            packet = decode(frame)
        except Malformed:
            self._counters["malformed"] += 1
            for number, up in self._hosts.find_malformed(frame):
                macs = (frame.data[6:12], frame.data[:6])
                wire = max(frame.wire_len, len(frame.data))
                self._count(self._other(number, frame.at, up), frame.at, up, wire, 0, 1, 0, 0, 0, macs)
            return self._spend_link(window)
        hand_up = _is_link_talk(packet) and self._spend_link(window)
        for number, up in self._hosts.find(packet):
            hand_up |= self._account(packet, number, up, window)
        return hand_up

    def _account(self, packet: Packet, number: int, up: bool, window: int) -> bool:
        """Count `packet` for one camera; True when it is handed up."""
        at, payload_len, proto = packet.at, packet.payload_len, packet.proto
        inner = packet.fragment is not None and packet.fragment[1] > 0
        if packet.fragment is not None:
            packet = self._join(packet, packet.fragment)
        book = self._books[number]
        flow = self._find(book, packet, up) if packet.src else None
        wire, segments, last, largest = packet.wire_len, 1, payload_len, payload_len
        if packet.gso_size and payload_len > packet.gso_size:
            largest = packet.gso_size
            segments = -(-payload_len // largest)
            last = payload_len - (segments - 1) * largest
            wire += (segments - 1) * (packet.wire_len - payload_len)
        macs = (packet.src_mac, packet.dst_mac)
        talks = payload_len > 0 and proto in (TCP, UDP)
        self._count(
            flow or self._other(number, at, up),
            at, up, wire, payload_len, segments, packet.tcp_flags if flow else 0,
            last if talks and flow else 0, largest, macs,
        )  # fmt: skip
        if inner or proto not in (TCP, UDP):
            return False
        return self._hands_up(book, flow, packet, up, window)

    def _join(self, packet: Packet, fragment: tuple[int, int, bool]) -> Packet:
        """Remember the ports of a first fragment; give them to the later ones."""
        identity, offset, _more = fragment
        where = packet.src + packet.dst + identity.to_bytes(4, "big") + bytes((packet.proto,))
        if offset == 0:
            self._ports[where] = (packet.sport, packet.dport)
            self._ports.move_to_end(where)
            if len(self._ports) > FRAGMENTS:
                self._ports.popitem(last=False)
                self._counters["fragments-evicted"] += 1
            return packet
        sport, dport = self._ports.get(where, (0, 0))
        return packet._replace(sport=sport, dport=dport)

    def _find(self, book: _HostBook, packet: Packet, up: bool) -> _Flow | None:
        """The entry of this packet's connection, made when it is new; None when there is no room."""
        key = flow_key(book.number, up, packet)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= self._capacity or book.entries >= self._share:
                self._counters["flows-overflow"] += 1
                return None
            flow = self._flows[key] = _Flow(key, packet.proto, packet.at, up)
            book.entries += 1
        return flow

    def _other(self, number: int, at: float, up: bool) -> _Flow:
        """The zero-key entry of a camera; it stands outside the table."""
        book = self._books[number]
        if book.other is None:
            book.other = _Flow(pack_key(number, 0, 0, 0, bytes(4)), 0, at, up)
        return book.other

    def _count(
        self, flow: _Flow, at: float, up: bool, wire: int, payload: int, packets: int, flags: int,
        last: int, largest: int, macs: tuple[bytes, bytes],
    ) -> None:  # fmt: skip
        """Add one packet to an entry. `last` is 0 for what is no payload of TCP or UDP: such packets have no pauses."""
        self._changed[flow.key] = flow
        flow.last_at = max(flow.last_at, at)
        source, target = macs
        if up:
            flow.wire_up += wire
            flow.payload_up += payload
            flow.packets_up += packets
            flow.flags_up |= flags
            if last:
                if flow.payload_up_at >= 0 and at - flow.payload_up_at >= _PAUSE_S:
                    flow.pauses += 1
                    flow.dry += flow.last_length < flow.largest_up
                flow.payload_up_at, flow.last_length = at, last
                flow.largest_up = max(flow.largest_up, largest)
            if target and (not target[0] & 1 or not flow.peer_mac or flow.peer_mac[0] & 1):
                flow.peer_mac = target
        else:
            flow.wire_down += wire
            flow.payload_down += payload
            flow.packets_down += packets
            flow.flags_down |= flags
            if source:
                flow.peer_mac = source

    def _hands_up(self, book: _HostBook, flow: _Flow | None, packet: Packet, up: bool, window: int) -> bool:
        """Whether the content of this TCP or UDP packet is worth reading, and the budgets allow it."""
        opening = False
        if packet.payload_len and flow is not None:
            opening = (flow.said_up if up else flow.said_down) < FIRST
            if opening and up:
                flow.said_up += 1
            elif opening:
                flow.said_down += 1
        if opening:
            return self._spend(book, _OPENINGS + up, window)
        if packet.proto == TCP and packet.tcp_flags & _ENDS:
            return self._spend(book, _FLAGS + up, window)
        if not packet.payload_len:
            return False
        if packet.sport == 53 or packet.dport == 53:
            return self._spend(book, _LATER + up, window)
        begins = packet.proto == TCP and packet.payload[:4] in BEGINNINGS
        if not begins and (up or flow is None or packet.payload_len > SHORT):
            return False
        return (flow is None or self._spend_flow(flow, up, window)) and self._spend(book, _LATER + up, window)

    def _spend_flow(self, flow: _Flow, up: bool, window: int) -> bool:
        if flow.window != window:
            flow.window, flow.later_up, flow.later_down = window, 0, 0
        used = flow.later_up if up else flow.later_down
        if used >= FLOW_LATER:
            self._counters["budget-spent"] += 1
            return False
        if up:
            flow.later_up += 1
        else:
            flow.later_down += 1
        return True

    def _spend(self, book: _HostBook, kind: int, window: int) -> bool:
        if book.window != window:
            book.window, book.used = window, [0, 0, 0, 0, 0, 0]
        if book.used[kind] >= _LIMITS[kind]:
            self._counters["budget-spent"] += 1
            return False
        book.used[kind] += 1
        return True

    def _spend_link(self, window: int) -> bool:
        if self._link_window != window:
            self._link_window, self._link_used = window, 0
        if self._link_used >= LINK:
            self._counters["budget-spent"] += 1
            return False
        self._link_used += 1
        return True

    def collect(self, at: float) -> list[FlowCount]:
        """What every connection did since the last collect, and the last word of those that are forgotten at `at`."""
        counts = []
        changed, self._changed = self._changed, {}
        crowded = is_crowded(len(self._flows), self._capacity) or any(
            is_crowded(book.entries, self._share) for book in self._books.values()
        )
        gone = [flow for flow in self._flows.values() if _is_over(flow, at, crowded)]
        for flow in gone:
            changed.pop(flow.key, None)
            del self._flows[flow.key]
            self._books[unpack_key(flow.key).host].entries -= 1
        for flow in changed.values():
            counts.append(_count_of(flow, at, False))
            flow.reset()
        counts.extend(_count_of(flow, at, True) for flow in gone)
        return counts

    def open_until(self) -> float:
        """No collect after this time says anything unless new frames come."""
        return max((flow.last_at for flow in self._flows.values()), default=0.0) + TCP_IDLE_S + 1.0

    def set_hosts(self, hosts: Iterable[Host]) -> None:
        """Guard these cameras from now on; their numbers may mean others than before, so everything starts anew."""
        listed = tuple(hosts)
        self._hosts = Hosts(listed)
        self._books = {host.number: _HostBook(host.number) for host in listed}
        self._share = share_of(self._capacity, len(listed))
        self._flows, self._changed = {}, {}

    def counters(self) -> dict[str, int]:
        """Only growing numbers: flows-overflow (packets), budget-spent (frames), malformed, fragments-evicted."""
        return dict(self._counters)


def _is_over(flow: _Flow, at: float, crowded: bool) -> bool:
    idle = at - flow.last_at
    if idle > idle_s(flow.proto, flow.flags_up, flow.flags_down):
        return True
    return crowded and idle > THIN_IDLE_S and flow.said_up + flow.said_down <= THIN


def _count_of(flow: _Flow, at: float, closed: bool) -> FlowCount:
    return FlowCount(
        flow.key, at, flow.first_at, flow.last_at, flow.wire_up, flow.wire_down, flow.payload_up, flow.payload_down,
        flow.packets_up, flow.packets_down, flow.pauses, flow.dry, flow.largest_up, flow.flags_up, flow.flags_down,
        flow.first_up, flow.peer_mac, closed,
    )  # fmt: skip


def _is_link_talk(packet: Packet) -> bool:
    """ARP, NDP, DHCP, mDNS, SSDP, WS-Discovery: read whoever says it, so that the guard knows who is on the link."""
    if packet.fragment is not None and packet.fragment[1]:
        return False
    if packet.proto == UDP:
        return packet.dport in DISCOVERY_PORTS or packet.sport in DISCOVERY_PORTS
    if packet.proto == ICMPV6:
        return bool(packet.payload) and packet.payload[0] in NDP_TYPES
    return packet.ethertype == 0x0806


def run(frames: Iterable[Frame], hosts: Iterable[Host], ledger: Ledger | None = None) -> Iterator[Frame | FlowCount]:
    """Replay: the frames handed up and, at each whole second of packet time, the counts; in time order.

    Time never runs backwards: a frame that is older than one before it gets that one's time. The last FlowCounts stand
    at the whole second after the last frame. Seconds in which nothing can happen any more are jumped over. Give a
    `ledger` to read its counters afterwards.
    """
    ledger = ledger or Ledger(hosts)
    now: float | None = None
    second = 0
    for frame in frames:
        if now is None:
            now, second = frame.at, int(frame.at // 1) + 1
        elif frame.at < now:
            frame = frame._replace(at=now)  # noqa: PLW2901
        now = frame.at
        while now >= second:
            yield from ledger.collect(float(second))
            quiet = now >= second + 2 and ledger.open_until() < second
            second = int(now // 1) + 1 if quiet else second + 1
        if ledger.packet(frame):
            yield frame
    if now is not None:
        yield from ledger.collect(float(second))
