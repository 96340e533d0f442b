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
  SSDP, WS-Discovery, NAT-PMP and PCP of everybody, malformed frames, later packets that begin like a request or an
  answer, up to two packets to the camera behind a POST or PUT (its body), and short ones: from peer to camera, and both
  ways in a line dialogue (telnet, FTP, SSH); within budgets (budget.py).
- The owner's devices (Host.read is False) are counted as cameras are, and nothing is handed up on their account.
"""

import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping

from camguard.capture import budget
from camguard.capture.budget import (
    BEGINNINGS,
    BODIES,
    ENDS,
    FIRST,
    FLOW_LATER,
    LINE_LATER,
    LINE_PORTS,
    SHORT,
    WITH_BODY,
    is_greeting,
)
from camguard.capture.budget import DISCOVERY_PORTS as DISCOVERY_PORTS  # noqa: PLC0414 - filter.py takes them from here
from camguard.capture.budget import NDP_TYPES as NDP_TYPES  # noqa: PLC0414
from camguard.decode import Hosts, decode, flow_key
from camguard.errors import Malformed
from camguard.events import FIN, RST, TCP, UDP, FlowCount, Frame, Host, Packet, pack_key, unpack_key

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

# Ethernet, IPv4 without options, no fragment: MACs, ethertype, version, total length, fragment, protocol, ends
_PLAIN = struct.Struct("!12sHBxH2xHxB2x12s").unpack_from
_MOST_KNOWN = 65_536


def shares(capacity: int, hosts: Iterable[Host]) -> dict[int, int]:
    """The entries that each host may hold: a flood on one camera's door must not blind the guard for the others, and
    what the owner's devices do never crowds out a camera: all of them together hold an eighth."""
    listed = tuple(hosts)
    unread = sum(not host.read for host in listed)
    of_devices = capacity // 8
    alone = len(listed) - unread < 2
    of_camera = (capacity - of_devices if unread else capacity) if alone else capacity // 4
    return {host.number: of_camera if host.read else of_devices // unread for host in listed}


def is_crowded(used: int, room: int) -> bool:
    """Whether three quarters are used."""
    return used > room * 3 // 4


def crowds(hosts: Iterable[Host], used: Mapping[int, int], share: Mapping[int, int], capacity: int) -> set[int]:
    """Who must make room: everybody when three quarters of the table or of one camera's share are used, else the
    owner's devices that use so much of theirs. `used`, `share`: entries of each host."""
    listed = tuple(hosts)
    if is_crowded(sum(used.values()), capacity) or any(
        host.read and is_crowded(used[host.number], share[host.number]) for host in listed
    ):
        return {host.number for host in listed}
    return {host.number for host in listed if is_crowded(used[host.number], share[host.number])}


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
        "bodies", "dns", "dry", "first_at", "first_up", "flags_down", "flags_up", "gone", "key", "largest_up",
        "last_at", "last_length", "later_down", "later_up", "line", "packets_down", "packets_up", "pauses",
        "payload_down", "payload_up", "payload_up_at", "peer_mac", "proto", "said_down", "said_up", "window",
        "wire_down", "wire_up",
    )  # fmt: skip

    def __init__(self, key: bytes, proto: int, at: float, up: bool, dns: bool = False) -> None:
        self.key, self.proto, self.first_at, self.last_at, self.first_up, self.dns = key, proto, at, at, up, dns
        self.payload_up_at = -1.0
        self.largest_up = self.last_length = self.flags_up = self.flags_down = self.said_up = self.said_down = 0
        self.window = self.later_up = self.later_down = self.bodies = 0
        self.line = False
        self.peer_mac = b""
        self.gone = False
        self.reset()

    def reset(self) -> None:
        """Begin a new interval."""
        self.wire_up = self.wire_down = self.payload_up = self.payload_down = 0
        self.packets_up = self.packets_down = self.pauses = self.dry = 0

    def is_over(self, at: float, crowded: bool) -> bool:
        """Whether it is forgotten at `at`."""
        idle = at - self.last_at
        if idle > idle_s(self.proto, self.flags_up, self.flags_down):
            return True
        return crowded and idle > THIN_IDLE_S and self.said_up + self.said_down <= THIN

    def count(self, at: float, closed: bool) -> FlowCount:
        """What it did in the interval that ends at `at`."""
        return FlowCount(
            self.key, at, self.first_at, self.last_at, self.wire_up, self.wire_down, self.payload_up,
            self.payload_down, self.packets_up, self.packets_down, self.pauses, self.dry, self.largest_up,
            self.flags_up, self.flags_down, self.first_up, self.peer_mac, closed,
        )  # fmt: skip


class _Book:
    """One host: how many entries it has, its budget, whether it is read, and its zero-key entry."""

    __slots__ = ("budget", "entries", "number", "other", "read")

    def __init__(self, number: int, read: bool) -> None:
        self.number, self.read, self.entries, self.budget = number, read, 0, budget.of_camera()
        self.other: _Flow | None = None


class Ledger:
    """Counts frames of `hosts`; `capacity` entries in all."""

    def __init__(self, hosts: Iterable[Host], *, capacity: int = CAPACITY) -> None:
        self._ports: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._capacity = capacity
        self._link = budget.Budget()
        self._spent_before = self._later_refused = 0
        self._counters = {"flows-overflow": 0, "malformed": 0, "fragments-evicted": 0}
        self._books: dict[int, _Book] = {}
        self.set_hosts(hosts)

    def set_hosts(self, hosts: Iterable[Host]) -> None:
        """Guard these cameras from now on; their numbers may mean others than before, so everything starts anew."""
        listed = tuple(hosts)
        self._hosts = Hosts(listed)
        self._spent_before += sum(book.budget.spent for book in self._books.values())
        self._listed, self._share = listed, shares(self._capacity, listed)
        self._books = {host.number: _Book(host.number, host.read) for host in listed}
        self._flows: dict[bytes, _Flow] = {}
        self._changed: dict[bytes, _Flow] = {}
        # plain frames that were decoded once -> whose they are: protocol, MACs, addresses and ports -> entry, book, up
        self._known: dict[int, dict[bytes, tuple[_Flow, _Book, bool]]] = {TCP: {}, UDP: {}}

    def packet(self, frame: Frame) -> bool:
        """Count one frame; True when its content is handed up."""
        at, data, wire_len, link, gso_size, _ = frame
        if link == 1 and 53 < len(data) <= wire_len:
            macs, kind, first, total, place, proto, ends = _PLAIN(data)
            if kind == 0x0800 and first == 0x45 and not place & 0x3FFF and (proto in (TCP, UDP)):
                known = self._known[proto].get(macs + ends)
                if known is not None and not known[0].gone and 28 <= total <= wire_len - 14 and not gso_size:
                    return self._again(known, at, data, wire_len, total, proto)
        try:
            packet = decode(frame)
        except Malformed:
            return self._malformed(frame)
        hand_up = budget.is_link_talk(packet)
        if hand_up:
            hand_up = self._link.spend(budget.TALK, budget.window_of(at))
            ours = self._hosts.find(packet)
        else:
            ours = self._hosts.find(packet)
            if len(ours) == 1 and link == 1:
                return self._account(packet, *ours[0], data)
        for number, up in ours:
            hand_up |= self._account(packet, number, up, None)
        return hand_up

    def _again(  # the same as _account, for the plain frames of a connection that was seen before: most of all frames
        self, known: tuple[_Flow, _Book, bool], at: float, data: bytes, wire_len: int, total: int, proto: int
    ) -> bool:
        flow, book, up = known
        flags = 0
        if proto == TCP:
            header = data[46] >> 2 & 0x3C
            flags, start, length = data[47], 34 + header, total - 20 - header
            if header < 20 or length < 0:
                return self._malformed(Frame(at, data, wire_len))
        else:
            start, length = 42, total - 28
            claimed = data[38] << 8 | data[39]
            if claimed and not 8 <= claimed <= length + 8:
                return self._malformed(Frame(at, data, wire_len))
        self._changed[flow.key] = flow
        if at > flow.last_at:  # noqa: PLR1730 - a call of max() costs a tenth of it all
            flow.last_at = at
        if up:
            flow.wire_up += wire_len
            flow.packets_up += 1
            flow.flags_up |= flags
            if length:
                flow.payload_up += length
                if at - flow.payload_up_at >= _PAUSE_S and flow.payload_up_at >= 0:
                    flow.pauses += 1
                    flow.dry += flow.last_length < flow.largest_up
                flow.payload_up_at, flow.last_length = at, length
                if length > flow.largest_up:  # noqa: PLR1730
                    flow.largest_up = length
        else:
            flow.wire_down += wire_len
            flow.packets_down += 1
            flow.flags_down |= flags
            flow.payload_down += length
        mac = data[:6] if up else data[6:12]
        if mac != flow.peer_mac:
            _remember(flow, mac)
        if not length and not flags & ENDS:
            return False
        return self._hands_up(book, flow, up, at, proto, flags, length, data[start : start + 4])

    def _malformed(self, frame: Frame) -> bool:
        """A frame that lies: it counts for the cameras whose MACs it bears."""
        self._counters["malformed"] += 1
        for number, up in self._hosts.find_malformed(frame):
            flow = self._other(number, frame.at, up)
            self._count(flow, up, frame.at, max(frame.wire_len, len(frame.data)), 0, 1, 0)
            _remember(flow, frame.data[:6] if up else frame.data[6:12])
        return self._link.spend(budget.TALK, budget.window_of(frame.at))

    def _account(self, packet: Packet, number: int, up: bool, data: bytes | None) -> bool:
        """Count `packet` for one camera; True when it is handed up. `data`: remember how to find its entry again."""
        at, length, proto = packet.at, packet.payload_len, packet.proto
        inner = packet.fragment is not None and packet.fragment[1] > 0
        if packet.fragment is not None:
            packet = self._join(packet, packet.fragment)
        book = self._books[number]
        found = self._find(book, packet, up) if packet.src else None
        flow = found or self._other(number, at, up)
        wire, segments, last, largest = packet.wire_len, 1, length, length
        if packet.gso_size and length > packet.gso_size:
            largest = packet.gso_size
            segments = -(-length // largest)
            last = length - (segments - 1) * largest
            wire += (segments - 1) * (packet.wire_len - length)
        self._count(flow, up, at, wire, length, segments, packet.tcp_flags if found else 0)
        _remember(flow, packet.dst_mac if up else packet.src_mac)
        if proto not in (TCP, UDP):
            return False
        if found and up and length:
            _pause(flow, at, last, largest)
        if inner:
            return False
        if data is not None and found and packet.fragment is None and data[12:15] == b"\x08\x00\x45":
            if len(self._known[proto]) >= _MOST_KNOWN:
                self._known[proto].clear()
            self._known[proto][data[:12] + data[26:38]] = (found, book, up)
        return self._hands_up(book, found, up, at, proto, packet.tcp_flags, length, packet.payload[:4])

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

    def _find(self, book: _Book, packet: Packet, up: bool) -> _Flow | None:
        """The entry of this packet's connection, made when it is new; None when there is no room."""
        key = flow_key(book.number, up, packet)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= self._capacity or book.entries >= self._share[book.number]:
                self._counters["flows-overflow"] += 1
                return None
            dns = 53 in (packet.sport, packet.dport)
            flow = self._flows[key] = _Flow(key, packet.proto, packet.at, up, dns)
            book.entries += 1
        return flow

    def _other(self, number: int, at: float, up: bool) -> _Flow:
        """The zero-key entry of a camera; it stands outside the table."""
        book = self._books[number]
        if book.other is None:
            book.other = _Flow(pack_key(number, 0, 0, 0, bytes(4)), 0, at, up)
        return book.other

    def _count(self, flow: _Flow, up: bool, at: float, wire: int, payload: int, packets: int, flags: int) -> None:
        """Add one packet to an entry."""
        self._changed[flow.key] = flow
        flow.last_at = max(flow.last_at, at)
        if up:
            flow.wire_up += wire
            flow.payload_up += payload
            flow.packets_up += packets
            flow.flags_up |= flags
        else:
            flow.wire_down += wire
            flow.payload_down += payload
            flow.packets_down += packets
            flow.flags_down |= flags

    def _hands_up(
        self, book: _Book, flow: _Flow | None, up: bool, at: float, proto: int, flags: int, length: int, start: bytes
    ) -> bool:
        """Whether the content of this TCP or UDP packet (its first bytes: `start`) is worth reading and affordable."""
        if not book.read:
            return False
        if length and flow is not None and (flow.said_up if up else flow.said_down) < FIRST:
            if up:
                flow.said_up += 1
            else:
                flow.said_down += 1
            if proto == TCP:
                _opens(flow, up, start)
            return self._spend(book, budget.OPENINGS + up, at)
        if proto == TCP and flags & ENDS:
            return self._spend(book, budget.FLAGS + up, at)
        if not length:
            return False
        if flow is not None and flow.dns:
            return self._spend(book, budget.LATER + up, at)
        worth = proto == TCP and start in BEGINNINGS
        if flow is not None:
            worth |= length <= SHORT and (not up or flow.line)
            worth |= not up and _is_body(flow, start if proto == TCP else b"")
        if not worth:
            return False
        return (flow is None or self._spend_flow(flow, up, at)) and self._spend(book, budget.LATER + up, at)

    def _spend_flow(self, flow: _Flow, up: bool, at: float) -> bool:
        window = budget.window_of(at)
        if window > flow.window:
            flow.window, flow.later_up, flow.later_down = window, 0, 0
        if (flow.later_up if up else flow.later_down) >= (LINE_LATER if flow.line else FLOW_LATER):
            self._later_refused += 1
            return False
        if up:
            flow.later_up += 1
        else:
            flow.later_down += 1
        return True

    def _spend(self, book: _Book, kind: int, at: float) -> bool:
        window = budget.window_of(at)
        return book.budget.spend(kind, window) and self._link.spend(kind, window)

    def collect(self, at: float) -> list[FlowCount]:
        """What every connection did since the last collect, and the last word of those that are forgotten at `at`."""
        changed, self._changed = self._changed, {}
        used = {number: book.entries for number, book in self._books.items()}
        crowded = crowds(self._listed, used, self._share, self._capacity)
        if crowded:
            gone = [flow for flow in self._flows.values() if flow.is_over(at, unpack_key(flow.key).host in crowded)]
        else:
            gone = [flow for flow in self._flows.values() if flow.is_over(at, False)]
        for flow in gone:
            flow.gone = True
            changed.pop(flow.key, None)
            del self._flows[flow.key]
            self._books[unpack_key(flow.key).host].entries -= 1
        counts = []
        for flow in changed.values():
            counts.append(flow.count(at, False))
            flow.reset()
        counts.extend(flow.count(at, True) for flow in gone)
        return counts

    def open_until(self) -> float:
        """No collect after this time says anything unless new frames come."""
        return max((flow.last_at for flow in self._flows.values()), default=0.0) + TCP_IDLE_S + 1.0

    def counters(self) -> dict[str, int]:
        """Only growing numbers: flows-overflow (packets), budget-spent (frames), malformed, fragments-evicted."""
        spent = sum(book.budget.spent for book in self._books.values()) + self._link.spent
        return {**self._counters, "budget-spent": spent + self._spent_before + self._later_refused}


def _opens(flow: _Flow, up: bool, start: bytes) -> None:
    """One of the first payload packets of a TCP connection; the very first each way says whether it talks in lines."""
    if (flow.said_up if up else flow.said_down) == 1:
        key = unpack_key(flow.key)
        flow.line = flow.line or key.host_port in LINE_PORTS or key.peer_port in LINE_PORTS or is_greeting(start)
    if not up:
        _is_body(flow, start)


def _is_body(flow: _Flow, start: bytes) -> bool:
    """Whether a payload packet to the camera may be the body of a POST or PUT just before it."""
    left = flow.bodies
    flow.bodies = BODIES if start in WITH_BODY else max(0, left - 1)
    return left > 0


def _pause(flow: _Flow, at: float, last: int, largest: int) -> None:
    """A payload packet from the camera: did it end a pause? `last`, `largest`: of the segments merged in it."""
    if flow.payload_up_at >= 0 and at - flow.payload_up_at >= _PAUSE_S:
        flow.pauses += 1
        flow.dry += flow.last_length < flow.largest_up
    flow.payload_up_at, flow.last_length = at, last
    flow.largest_up = max(flow.largest_up, largest)


def _remember(flow: _Flow, mac: bytes) -> None:
    """The other MAC: a unicast one always, a group one only where no unicast one is known."""
    if mac and (not mac[0] & 1 or not flow.peer_mac or flow.peer_mac[0] & 1):
        flow.peer_mac = mac


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
