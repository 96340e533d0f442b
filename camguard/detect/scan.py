"""Somebody tries a camera's doors one after the other. In: counts of its connections; out: Findings "port-scan", their
times on the guard's clock; one matter a source.

A touch is a connection that the source began and that came to nothing: a SYN that was refused or ignored, or a segment
that no connection begins with (FIN, none: RFC 9293 section 3.10.7.1), a datagram without an answer. Many distinct
ports make a scan; one port touched often, or at many cameras, is none. What comes to a port from which the camera asked
everybody (SSDP, WS-Discovery; often from a new port each time) is an answer. Every table is capped: invented sources
push out each other, and those told of are few.
"""

from collections import OrderedDict
from collections.abc import Callable

from camguard.detect.attack import is_group
from camguard.detect.newest import Newest
from camguard.events import ACK, RST, SYN, TCP, UDP, Finding, FlowCount, Peer
from camguard.track import Flow

#: Sources, and doors of all of them; the source that was silent longest goes first.
SOURCES_MAX, DOORS_MAX = 1024, 16_384
#: Doors of one source that are remembered; as many as nmap tries unasked. Further ones are only counted.
PORTS_MAX = 1000
#: Ports from which cameras asked everybody.
ASKED_MAX = 1024
#: Sources of one camera that are told of one by one within `slow_s`; the others are one matter.
TOLD_MAX = 8
#: After so much silence the size of a scan is known.
PAUSE_S = 5.0
OTHERS = "*"
_Key = tuple[int, bytes]


class _Source:
    """Who touches: doors with the time of the last touch (oldest first), those that are open, what was told when."""

    __slots__ = ("flow", "last_at", "open", "since", "told", "told_at", "told_open", "touched", "tried")

    def __init__(self, flow: Flow, now: float) -> None:
        self.flow, self.since, self.last_at = flow, now, now
        self.touched: OrderedDict[tuple[int, int], float] = OrderedDict()
        self.open: set[int] = set()
        self.tried = self.told = 0
        self.told_open, self.told_at = False, float("-inf")


class Scans:
    """`ports`: distinct ones within `quick_s` that make a scan; `slow_ports`: within `slow_s`. `again_s`: how often one
    that goes on is told to judge/; after `quiet_s` without a touch the next one is another scan."""

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        *,
        ports: int = 15,
        quick_s: float = 60.0,
        slow_ports: int = 50,
        slow_s: float = 3600.0,
        again_s: float = 60.0,
        quiet_s: float = 600.0,
    ) -> None:
        self._camera_of, self._peer_of = camera_of, peer_of
        self._ports, self._quick_s, self._slow_ports, self._slow_s = ports, quick_s, slow_ports, slow_s
        self._again_s, self._quiet_s = again_s, quiet_s
        self._sources: OrderedDict[_Key, _Source] = OrderedDict()
        self._asked: Newest[tuple[int, int], None] = Newest(ASKED_MAX)
        self._doors = 0
        self._news: set[_Key] = set()
        self._told: dict[_Key, float] = {}
        self.counters = {"scan-sources-evicted": 0}

    def counted(self, flow: Flow, count: FlowCount, now: float) -> None:
        """What one connection did since the last tick."""
        if flow.proto == UDP and count.first_up and is_group(flow.peer, count.peer_mac):
            self._asks(flow)
        if count.first_up or not flow.host_port or not count.packets_down or flow.proto not in (TCP, UDP):
            return
        key, door = (flow.host, flow.peer), (flow.proto, flow.host_port)
        if count.flags_up & SYN:
            self._opens(key, flow, now)
        if count.flags_up & SYN or count.payload_up or (flow.proto == TCP and count.flags_down & (ACK | RST)):
            # answered, or the end of a connection that was there before the guard or is forgotten
            source = self._sources.get(key)
            if source and source.touched.pop(door, None) is not None:
                self._doors -= 1
            return
        if flow.proto == UDP and (flow.host, flow.host_port) in self._asked:
            return
        self._touched(self._source(key, flow, now), door, now)
        self._news.add(key)

    def tick(self, now: float) -> list[Finding]:
        """Once a second, after the counts: whose touches make a scan."""
        out: list[Finding] = []
        later = set()
        for key in sorted(self._news):
            source = self._sources.get(key)
            if source and self._is_news(source, now):
                out.append(self._finding(key, source, now))
            elif source and source.told and source.tried > source.told:
                later.add(key)
        self._news = later
        while self._sources and now - next(iter(self._sources.values())).last_at > self._slow_s:
            self._evict()
        if self._told:
            self._told = {key: at for key, at in self._told.items() if now - at <= self._slow_s}
        return out

    def drop(self, hosts: set[int]) -> None:
        """These numbers mean other cameras now."""
        for key in [key for key in self._sources if key[0] in hosts]:
            self._doors -= len(self._sources.pop(key).touched)
        self._told = {key: at for key, at in self._told.items() if key[0] not in hosts}
        for port in [port for port in self._asked if port[0] in hosts]:
            del self._asked[port]

    def _asks(self, flow: Flow) -> None:
        """The camera asks everybody from this port; answers of the same second may have been counted before."""
        port = (flow.host, flow.host_port)
        if port not in self._asked:
            for (host, _), source in self._sources.items():
                if host == flow.host and source.touched.pop((UDP, flow.host_port), False) is not False:
                    source.tried -= 1
                    self._doors -= 1
        self._asked.put(port, None)

    def _opens(self, key: _Key, flow: Flow, now: float) -> None:
        """A door that is open: nothing by itself, but a scan that finds one has got somewhere."""
        source = self._source(key, flow, now)
        if flow.host_port not in source.open and len(source.open) < PORTS_MAX:
            source.open.add(flow.host_port)
            if source.told:
                self._news.add(key)

    def _source(self, key: _Key, flow: Flow, now: float) -> _Source:
        source = self._sources.get(key)
        if source and source.told and now - source.last_at > self._quiet_s:
            self._doors -= len(self._sources.pop(key).touched)
            source = None
        if source is None:
            if len(self._sources) >= SOURCES_MAX:
                self._evict()
                self.counters["scan-sources-evicted"] += 1
            source = self._sources[key] = _Source(flow, now)
        self._sources.move_to_end(key)
        source.last_at = now
        return source

    def _evict(self) -> None:
        self._doors -= len(self._sources.popitem(last=False)[1].touched)

    def _touched(self, source: _Source, door: tuple[int, int], now: float) -> None:
        known = source.touched.pop(door, None) is not None
        source.tried += not known
        if not known and len(source.touched) >= PORTS_MAX:
            source.touched.popitem(last=False)
        else:
            self._doors += not known
        source.touched[door] = now
        while self._doors > DOORS_MAX:
            self._evict()
            self.counters["scan-sources-evicted"] += 1

    def _is_news(self, source: _Source, now: float) -> bool:
        """A scan is told when it is one, when it first found an open door, and while it goes on."""
        while source.touched and now - next(iter(source.touched.values())) > self._slow_s:
            source.touched.popitem(last=False)
            self._doors -= 1
        if source.told:
            due = now - source.told_at >= self._again_s or now - source.last_at >= PAUSE_S
            return (due and source.tried > source.told) or (bool(source.open) and not source.told_open)
        touches = tuple(source.touched.values())
        quick = len(touches) >= self._ports and now - touches[-self._ports] <= self._quick_s
        if not quick and len(touches) < self._slow_ports:
            return False
        source.since, source.tried = touches[0], len(touches)
        return True

    def _finding(self, key: _Key, source: _Source, now: float) -> Finding:
        found = source.tried + len(source.open)
        source.told, source.told_open, source.told_at = source.tried, bool(source.open), now
        peer = self._peer_of(source.flow)
        alone = key in self._told or sum(host == key[0] for host, _ in self._told) < TOLD_MAX
        if alone:
            self._told[key] = now
        datagrams = sum(proto == UDP for proto, _ in source.touched)
        seconds = max(now - source.since, 1.0)
        ports = f"{found:,} ports{' (UDP)' if datagrams > found // 2 else ''}"
        reaches = bool(source.open) or peer.scope in ("wan", "gateway")
        lines = [f"tried {ports} of the camera in {_span(seconds)}"]
        if source.open:
            shown = ", ".join(str(port) for port in sorted(source.open)[:8])
            lines.append(f"{len(source.open)} of them open: {shown}{', ...' if len(source.open) > 8 else ''}")
        return Finding(
            type="port-scan",
            camera=self._camera_of(key[0]),
            key=(peer.device or peer.mac or peer.ip) if alone else OTHERS,
            severity="warning" if reaches and not peer.device else "info",
            confidence="certain",
            evidence=tuple(lines),
            peer=peer if alone else None,
            at=source.since,
            detail={"ports": found, "open": len(source.open), "seconds": int(seconds)},
        )


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} seconds"
    return f"{seconds / 60:.0f} minutes"
