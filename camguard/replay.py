"""`camguard replay`: capture files through the same pipeline as live traffic, on packet time. Writes nothing.

In: pcap or pcapng files (several are merged by time), a configuration or none. Out: events as lines or JSON on stdout,
what was odd on stderr. The same files give the same bytes, whenever and wherever they are read.

Without a configuration every local host of the capture is a camera named after its address: a first reading of the
files finds them. Facts are read of every connection, whoever its hosts are: that is a second ledger of its own.
"""
# ruff: noqa: T201 - this is a command; it prints what it is asked for

import heapq
import ipaddress
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path

from camguard import config, report, store
from camguard.capture import ledger, pcap
from camguard.decode import Hosts, decode
from camguard.errors import ConfigError, Malformed
from camguard.events import TCP, UDP, Alert, Camera, Event, Fact, FlowCount, Frame, Home, Host, hosts_of
from camguard.guard import Guard
from camguard.listen import Heard, Listener
from camguard.neighbours import is_private
from camguard.places import Places
from camguard.track import Flows

HOSTS_MAX = 60_000  # host numbers have 16 bits
PAIRS_MAX = 1_000_000
ARP = 0x0806
ADDRESSES_MAX = 8
#: How a gap without a packet is gone through: up to so many seconds of it, in steps of so many seconds.
STEPS = ((900, 1), (86_400, 60), (30 * 86_400, 3600), (1 << 62, 86_400))
#: No home's own networks, but where a capture's hosts may be all the same: a provider's (RFC 6598), this machine.
_ALSO_NEAR = (ipaddress.ip_network("100.64.0.0/10"), ipaddress.ip_network("::1/128"))


def run(
    captures: Sequence[Path],
    path: Path | None,
    *,
    facts: bool = False,
    as_json: bool = False,
    learned: Path | None = None,
) -> int:
    """Print what the guard would have said; 0. ConfigError, CaptureError for files that are none."""
    files = Files(captures)
    if learned is not None and not learned.exists():
        raise ConfigError(f"{learned}: no such file.")
    look = Look() if path is None or facts else None
    if look:
        for frame in files.frames():
            look.see(frame)
    home = config.load(path).home if path is not None or look is None else look.home()
    home = replace(home, learn_days=0)  # a capture is looked at to see what is in it: nothing is held back
    merged: Iterator[tuple[float, Event | Fact]] = _events(files, home, _learned(learned) if learned else ())
    if look and facts:
        merged = heapq.merge(merged, _facts(files, look.everybody()), key=lambda pair: pair[0])
    told: Counter[str] = Counter()
    for _, item in merged:
        if isinstance(item, Alert) and item.state == "open":
            told[item.id] += 1
        print(report.to_json(report.as_dict(item, home.timezone)) if as_json else _line(item, home.timezone))
    for words in files.remarks():
        print(f"camguard: {words}", file=sys.stderr)
    print(f"camguard: {_summary(files, home, len(told))}", file=sys.stderr)
    return 0


class Files:
    """The capture files, read as often as needed; remembers what was odd in them at the last reading."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = paths
        self.odd: dict[Path, Counter[str]] = {}
        self.odd_packets: Counter[str] = Counter()
        self.packets = 0
        self.first_at: float | None = None
        self.last_at = 0.0

    def frames(self) -> Iterator[Frame]:
        """All frames, those of several files in the order of their times."""
        readings = [pcap.Reading(path) for path in self.paths]
        self.odd = {path: reading.odd for path, reading in zip(self.paths, readings, strict=True)}
        self.packets = 0
        merged: Iterable[Frame] = readings[0] if len(readings) == 1 else heapq.merge(*readings, key=attrgetter("at"))
        for frame in merged:
            self.packets += 1
            if self.first_at is None:
                self.first_at = frame.at
            self.last_at = frame.at
            yield frame

    def remarks(self) -> list[str]:
        """One clear line for each file that is cut or damaged, and one for packets that break their own format."""
        lines = []
        for path, odd in self.odd.items():
            if odd["cut"] and len(odd) == 1:
                lines.append(f"{path} is cut in the middle; everything before the cut was read.")
            elif odd:
                lines.append(f"{path} is damaged ({_counted(odd)}); what could be read was read.")
        if self.odd_packets:
            lines.append(f"{sum(self.odd_packets.values())} odd packets ({_counted(self.odd_packets)}).")
        return lines


def _counted(odd: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(odd.items()))


def _summary(files: Files, home: Home, alerts: int) -> str:
    cameras = f"{len(home.cameras)} camera{'' if len(home.cameras) == 1 else 's'}"
    if not home.cameras:
        cameras = "no host with a home address, so no camera (name yours with --config)"
    length = report.duration(files.last_at - (files.first_at if files.first_at is not None else files.last_at))
    packets = f"{files.packets} packet{'' if files.packets == 1 else 's'}"
    return f"{packets} in {length}, {cameras}: {alerts} alert{'' if alerts == 1 else 's'}. Times are {home.timezone}."


def _line(item: Event | Fact, zone: str) -> str:
    return report.fact_line(item, zone) if isinstance(item, Fact) else report.line(item, zone, dated=True)


# ---- the pipeline ----------------------------------------------------------------------------------------------------


def _learned(path: Path) -> list[tuple[int, str]]:
    reader = store.Reader(path)
    try:
        return reader.habits()
    finally:
        reader.close()


def _events(files: Files, home: Home, habits: Sequence[tuple[int, str]] = ()) -> Iterator[tuple[float, Event]]:
    """Packet time and event, in order: counts and frames into the guard, a tick at each whole second."""
    guard = Guard(home, Places(), habits=habits)
    ticks = _Ticks()
    at = 0.0
    for item in ledger.run(files.frames(), hosts_of(home)):
        at = item.at
        for second in ticks.before(item):
            for event in guard.tick(second):
                yield second, event
        for event in guard.feed(item):
            yield at, event
    for second in ticks.rest():
        at = second
        for event in guard.tick(second):
            yield second, event
    if ticks.any:
        for event in guard.finish(at):
            yield at, event
    for name, count in guard.counters().items():
        if name.startswith("odd-") and count:
            files.odd_packets[name.removeprefix("odd-")] = count


class _Ticks:
    """Which whole seconds pass between two items of the ledger; counts at second n come before the tick of n."""

    def __init__(self) -> None:
        self.any = False
        self._next = 0
        self._last = 0.0

    def before(self, item: Frame | FlowCount) -> Iterator[float]:
        """The seconds whose tick is due before this item."""
        if not self.any:
            self.any, self._next = True, int(item.at // 1) + 1
        self._last = item.at
        began = self._next
        while self._next < item.at or (self._next == item.at and isinstance(item, Frame)):
            yield float(self._next)
            step = next(step for upto, step in STEPS if self._next - began < upto)
            # the second of the item itself is never jumped over
            self._next = min(self._next + step, max(self._next + 1, int(item.at // 1)))

    def rest(self) -> Iterator[float]:
        """The tick of the last counts."""
        if self.any and self._next <= self._last:
            yield float(self._next)
            self._next += 1


def _facts(files: Files, hosts: Sequence[Host]) -> Iterator[tuple[float, Fact]]:
    """Packet time and fact of every connection that has one of `hosts` at an end."""
    flows = Flows()
    listener, finder = Listener(flows), Hosts(hosts)
    ips = {host.number: str(ipaddress.ip_address(host.ips[0])) for host in hosts}
    second = 0
    again = Files(files.paths)
    for item in ledger.run(again.frames(), hosts):
        if int(item.at) > second:
            second = int(item.at)
            for heard in listener.late():
                yield item.at, _fact(heard, ips, item.at)
        if isinstance(item, FlowCount):
            flows.count(item)
            continue
        try:
            packet = decode(item)
        except Malformed:
            continue  # the guard counts it
        # between two hosts of the list the talk is told once, by the one with the smaller number
        for host, up in sorted(finder.find(packet))[:1]:
            for heard in listener.camera(host, up, packet):
                yield item.at, _fact(heard, ips, item.at)


def _fact(heard: Heard, ips: dict[int, str], at: float) -> Fact:
    flow, up, reading = heard
    host = (ips[flow.host], flow.host_port)
    peer = (_ip(flow.peer), flow.peer_port)
    host_serves = (reading.from_server is not False) == up
    client, server = (peer, host) if host_serves else (host, peer)
    return Fact(reading.what, at, client, server, dict(reading.detail))


# ---- who is in the capture -------------------------------------------------------------------------------------------


@lru_cache(maxsize=65_536)
def _ip(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))


@lru_cache(maxsize=65_536)
def _is_private(packed: bytes) -> bool:
    address = ipaddress.ip_address(packed)
    return is_private(str(address)) or any(
        address in network for network in _ALSO_NEAR if network.version == address.version
    )


@lru_cache(maxsize=65_536)
def _is_one(packed: bytes) -> bool:
    """The address of one host, not of a group, of nobody or of everybody."""
    address = ipaddress.ip_address(packed)
    return not (address.is_multicast or address.is_unspecified or packed in (b"\xff\xff\xff\xff",))


class Look:
    """The first reading: the local hosts, the gateway, and one end of every connection."""

    def __init__(self, *, hosts_max: int = HOSTS_MAX, pairs_max: int = PAIRS_MAX) -> None:
        self._hosts_max, self._pairs_max = hosts_max, pairs_max
        self._sources: dict[
            bytes, list[bytes]
        ] = {}  # MAC (where there is none, address) -> addresses, first seen first
        self._gateways: Counter[bytes] = Counter()
        self._arps: dict[tuple[bytes, bytes], None] = {}
        self._ends: dict[bytes, None] = {}
        self._pairs: set[tuple[bytes, bytes, bytes, bytes]] = set()

    def see(self, frame: Frame) -> None:
        """One more frame."""
        try:
            packet = decode(frame)
        except Malformed:
            return
        src, dst = packet.src, packet.dst
        if packet.ethertype == ARP and len(packet.payload) >= 28 and len(self._arps) < self._hosts_max:
            self._arps[(packet.src_mac, packet.payload[14:18])] = None  # RFC 826: the sender's protocol address
        pair = (src, dst, packet.src_mac, packet.dst_mac)
        if not src or not dst or pair in self._pairs or len(self._pairs) >= self._pairs_max:
            return
        self._pairs.add(pair)
        self._see_ends(src, dst, packet.src_mac, packet.dst_mac)
        known = src in self._ends or dst in self._ends or len(self._ends) >= self._hosts_max
        if packet.proto in (TCP, UDP) and _is_one(src) and not known:
            self._ends[dst if _is_private(dst) and _is_one(dst) and not _is_private(src) else src] = None

    def _see_ends(self, src: bytes, dst: bytes, src_mac: bytes, dst_mac: bytes) -> None:
        """A MAC that sends from, or is sent what goes to, an IPv4 address outside is a gateway."""
        has_mac = any(src_mac)
        if has_mac and len(src) == 4 and _is_one(src) and not _is_private(src):
            self._gateways[src_mac] += 1
        if any(dst_mac) and not dst_mac[0] & 1 and len(dst) == 4 and _is_one(dst) and not _is_private(dst):
            self._gateways[dst_mac] += 1
        if _is_one(src):
            known = self._sources.setdefault(src_mac if has_mac else src, [])
            if src not in known and len(known) < ADDRESSES_MAX:
                known.append(src)

    def home(self) -> Home:
        """Every local host that is not a gateway as a camera."""
        local = {
            key: [address for address in addresses if _is_private(address)]
            for key, addresses in self._sources.items()
            if key not in self._gateways and any(_is_private(address) for address in addresses)
        }
        gateway = max(self._gateways, key=lambda mac: (self._gateways[mac], mac), default=None)
        if not local:
            # a home with public addresses: the network (of 256) in which the most MACs are; ARP is the best sign
            fours = [(key, ip) for key, ips in self._sources.items() for ip in ips if len(key) == 6 and len(ip) == 4]
            sizes = Counter(ip[:3] for _, ip in fours)
            sizes.update(ip[:3] for _, ip in self._arps)
            largest = max(sizes, key=lambda net: sizes[net], default=b"")
            gateways = [key for key, ip in fours if ip[:3] != largest]
            local = {key: [ip] for key, ip in fours if key not in gateways}
            gateway = next(iter(gateways), None)
        return Home(cameras=tuple(_cameras(local))[: self._hosts_max], gateway=gateway.hex(":") if gateway else None)

    def everybody(self) -> tuple[Host, ...]:
        """One end of every connection, known by its address."""
        return tuple(Host(number, _ip(end), None, (end,)) for number, end in enumerate(self._ends, start=1))


def _cameras(local: dict[bytes, list[bytes]]) -> Iterator[Camera]:
    met: set[bytes] = set()
    for key, addresses in local.items():
        # a second MAC for an address that was met already is a router on the way
        own = [address for address in addresses if address not in met]
        if own:
            met.update(own)
            name = _ip(min(own, key=len))  # an IPv4 address says more to a person than a link-local one
            mac = key.hex(":") if len(key) == 6 else None
            yield Camera(name, mac, () if mac else (name,))
