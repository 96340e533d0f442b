"""THE PIPELINE: capture -> decode -> track + read -> detect -> judge. In: Frames and FlowCounts; out: events. Pure.

    Frame      decode -> who on the link said it -> listen (readers) -> detect.stream, detect.login  \\
                                                                                                      > judge -> events
    FlowCount  track -> detect.stream (shapes), detect.login (unread), judge.sight                   /

`feed` and `tick` are all that the rim calls, live and in replay alike. Inside, times are seconds on the guard's own
clock; events leave with wall-clock times (`offset_s`).
"""

import ipaddress
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from camguard.decode import decode
from camguard.detect.attack import Attacks
from camguard.detect.destinations import Destinations
from camguard.detect.exposure import Exposures
from camguard.detect.login import Logins
from camguard.detect.phones import Phones
from camguard.detect.scan import Scans
from camguard.detect.services import Service
from camguard.detect.stream import DETECTORS, Streams
from camguard.errors import Malformed
from camguard.events import (
    Alert,
    Decision,
    Event,
    Exposure,
    Fact,
    FlowCount,
    Frame,
    Home,
    Own,
    Packet,
    Peer,
    SeenDevice,
    Session,
    Sight,
    Wish,
    hosts_of,
    unpack_key,
)
from camguard.judge.baseline import Changes
from camguard.judge.judge import EXCUSES, Judge
from camguard.judge.newcomers import Newcomers
from camguard.judge.sight import Sights
from camguard.listen import Heard, Listener, fact
from camguard.neighbours import Neighbours, ip_text, is_private
from camguard.places import Places
from camguard.protocols import Reading, dns
from camguard.roster import Change, Roster
from camguard.track import Flow, Flows, Rates

FACTS_MAX = 65_536
NOTHING_OWN = Own()
#: Readings in which a camera says by which name it calls its peer, and where they say it.
_NAMING = {"tls-hello": "sni", "quic-hello": "sni", "dtls-hello": "sni", "http": "host"}


class Guard:
    """The whole core. Of an earlier run: `resume`, alerts that were open or lately closed when it stopped; `names`, as
    `names()` gave them; `exposures` that were open, `services` and `destinations` that were known (camera, place,
    when first met), times of all of them wall-clock; `speakers`, MACs that spoke like a camera. `detectors`: what may
    open a viewing; `excuses`: what may explain one."""

    def __init__(
        self,
        home: Home,
        places: Places | None = None,
        *,
        offset_s: float = 0.0,
        own: Own = NOTHING_OWN,
        resume: Sequence[Alert] = (),
        names: Iterable[tuple[str, str, str]] = (),
        exposures: Iterable[Exposure] = (),
        services: Iterable[Service] = (),
        destinations: Iterable[tuple[str, str, float]] = (),
        habits: Iterable[tuple[int, str]] = (),
        looked: Iterable[tuple[str, float, int]] = (),
        next_habit: int = 1,
        speakers: Iterable[str] = (),
        detectors: frozenset[str] = DETECTORS,
        excuses: frozenset[str] = EXCUSES,
    ) -> None:
        self.offset_s = offset_s
        self._places, self._own = places, own
        self._flows = Flows()
        self._listener = Listener(self._flows)
        self._neighbours = Neighbours(home, places, own)
        self._roster = Roster(self._neighbours)
        camera_of = self._roster.camera
        self._streams = Streams(camera_of, self._peer, lambda at: at + self.offset_s, detectors=detectors)
        self._logins = Logins(camera_of, self._peer)
        self._exposures = Exposures(camera_of, self._peer, self._roster.camera_at, _is_outside)
        known = [(camera, place, time - offset_s) for camera, place, time in destinations]
        self._destinations = Destinations(camera_of, self._peer, self._domain, known=known)
        attacks, scans = Attacks(camera_of, self._peer), Scans(camera_of, self._peer)
        self._watchers: tuple[Attacks, Scans, Destinations] = (attacks, scans, self._destinations)
        link = self._neighbours
        self._phones = Phones(self._roster.device, lambda host, ip, mac: link.peer(host, ip, 0, mac), link.scope)
        self._judge = Judge(
            home, places, lambda at: at + self.offset_s, self._destinations.since, self._phones, excuses
        )
        self._sights = Sights()
        self._newcomers = Newcomers(home, speakers)
        self._facts: deque[Fact] = deque(maxlen=FACTS_MAX)
        self._rates = Rates()
        self._now: float | None = None
        self._pending: list[Event] = []
        self.reload(home)
        numbers = {name: number for number, name in self._roster.names.items()}
        for camera, ip, name in names:
            if camera in numbers:
                self._neighbours.named(numbers[camera], ip, name)
        self._neighbours.take_new_names()
        for alert in resume:
            (self._sights if alert.type == "guard-blind" else self._judge).resume(_shifted(alert, -offset_s))
        learned = [(*one[:3], one[3] - offset_s, one[4] - offset_s) for one in services]
        self._exposures.resume([_shifted(one, -offset_s) for one in exposures], learned)
        #: What an earlier run learned and this one cannot read: (number, why).
        self.habits_refused = self._judge.baseline.resume(habits, looked, next_habit)

    def reload(self, home: Home, own: Own | None = None) -> None:
        """A changed configuration; sessions of cameras that are no more, or have another number now, are closed."""
        self._own = own or self._own
        hosts = hosts_of(home)
        self._let_go(self._roster.change(hosts), {host.name for host in hosts if host.read})
        self._roster.take(hosts)
        self._judge.reload(home)
        self._newcomers.reload(home)
        self._neighbours.reload(home, self._own)
        if self._now is not None:
            self._sights.watch(tuple(self._roster.names.values()), self._now)

    def _let_go(self, change: Change, kept: set[str]) -> None:
        """Cameras are numbered by their place in the file: what a number had that is another camera now is closed."""
        self._phones.drop(change.devices)
        if self._now is not None and change.cameras:
            self._pending += self._judge.sessions(self._streams.drop(change.cameras, self._now), self._now)
            self._flows.drop_hosts(change.cameras)
            for part in (self._logins, *self._watchers):
                part.drop(change.cameras)
            self._pending += self._judge.findings(self._exposures.keep(kept, self._now), self._now)
        self._neighbours.renumber(change.renumbered)

    # ---- the two ways in, and the clock ----

    def feed(self, item: Frame | FlowCount) -> list[Event]:
        """One handed-up frame, or what one connection did in the last second."""
        return self._out(self._counted(item) if isinstance(item, FlowCount) else self._frame(item))

    def _frame(self, item: Frame) -> list[Event]:
        try:
            packet = decode(item)
        except Malformed as error:
            self._listener.count_odd(str(error))
            return []
        self._begin(packet.at)
        said = self._listener.link(packet)
        out: list[Event] = []
        if said:
            self._neighbours.said(said, packet.src_mac, packet.at, packet.src)
            out += self._mapped(said, packet)
        for host, up in self._roster.hosts.find(packet):
            if up and (packet.src_mac or packet.src):
                self._neighbours.heard(packet.src_mac, packet.at, ip_text(packet.src) if packet.src else None)
            for heard in self._listener.camera(host, up, packet):
                out += self._heard(heard, packet.at)
        return out

    def tick(self, now: float) -> list[Event]:
        """Once a second, after the counts: what fell silent, what is told again, what is judged anew."""
        return self._out(self._tick(now))

    def _tick(self, now: float, *, last: bool = False) -> list[Event]:
        self._begin(now)
        self._now = now
        out, self._pending = self._pending, []
        for heard in self._listener.late():
            out += self._heard(heard, now)
        out += self._judge.sessions(self._streams.tick(now), now)
        out += self._judge.logins(self._logins.tick(now), now)
        current = {session.id: session for session in self._streams.open_sessions(now)}
        self._phones.tick(now, [(session, self._streams.flows_of(known)) for known, session in current.items()])
        out += self._judge.findings(self._exposures.tick(now), now)
        for part in self._watchers:
            out += self._judge.findings(part.tick(now), now)
        out += self._judge.tick(now, current, last=last)
        out += self._sights.tick(now)
        self._flows.kept = self._streams.keys()
        self._rates.tick()
        return out

    def finish(self, now: float) -> list[Event]:
        """The end of a replay: what ended is closed, what goes on stays open."""
        return self._out(self._tick(now, last=True))

    def decide(self, wish: Wish, number: int, now: float, alert: Alert | None = None) -> list[Event]:
        """Makes a decision of a wish; `alert`: the one it names, as recorded. ValueError: why not, in words."""
        decision, *settled = self._judge.decide(wish, number, now, alert)
        return [decision, *self._out(settled), *self.tick(now)]

    def resume_decision(self, decision: Decision, until_at: float | None) -> None:
        """A decision of an earlier run that still holds; `until_at` on the guard's clock."""
        self._judge.resume_decision(decision, until_at)

    # ---- what the rim shows ----

    def open_sessions(self) -> list[Session]:
        """What is going on, with its verdict."""
        now = self._now or 0.0
        return [_shifted(self._judge.told(session), self.offset_s) for session in self._streams.open_sessions(now)]

    def open_alerts(self) -> list[Alert]:
        """What the owner should know of now."""
        found = (*self._judge.open_alerts(), *self._sights.open_alerts())
        return [_shifted(alert, self.offset_s) for alert in found]

    def sights(self) -> list[Sight]:
        """How well each camera is seen."""
        return self._sights.sights(self._now or 0.0, self.offset_s)

    def addresses(self) -> dict[str, tuple[str, ...]]:
        """Each camera's latest addresses, as learned."""
        return self._roster.addresses()

    def seen_devices(self) -> list[SeenDevice]:
        """Devices on the link with something new since the last call; one that speaks like a camera is told once."""
        devices = self._neighbours.changed_devices(self._now or 0.0, self.offset_s)
        self._pending += self._newcomers.seen(devices, self._now or 0.0)
        return devices

    def names(self) -> list[tuple[str, str, str]]:
        """(camera, address, name) that cameras were told by DNS since the last call, for the next run to know."""
        return [(self._roster.names.get(host, ""), ip, name) for host, ip, name in self._neighbours.take_new_names()]

    def learned(self) -> tuple[list[Service], list[tuple[str, float | None]], list[tuple[str, str, float]]]:
        """What the next run is to know, new since the last call: services, new ends of leases, places met."""
        services, leases = self._exposures.take_learned()
        return (
            [(*one[:3], one[3] + self.offset_s, one[4] + self.offset_s) for one in services],
            [(name, None if until is None else until + self.offset_s) for name, until in leases],
            [(camera, place, at + self.offset_s) for camera, place, at in self._destinations.take_new()],
        )

    def habits(self, *, last: bool = False) -> Changes:
        """What the next run is to know of habits; at once what the owner said, else once an hour and at the `last`."""
        return self._judge.baseline.take_changes(self._now or 0.0, last=last)

    def habits_unsaved(self, changes: Changes) -> None:
        """These could not be kept; they come again."""
        self._judge.baseline.unsaved(changes)

    def rates(self) -> dict[str, tuple[int, int]]:
        """kbit/s up and down of each camera over the last seconds."""
        return {name: self._rates.of(number) for number, name in self._roster.names.items()}

    def counters(self) -> dict[str, int]:
        """Oddities by name ("odd-..."), and what every capped table had to refuse or forget."""
        out = {f"odd-{name}": number for name, number in self._listener.odd.items()}
        for part in (
            self._flows,
            self._neighbours,
            self._streams,
            self._logins,
            self._exposures,
            *self._watchers,
            self._phones,
            self._newcomers,
            self._judge,
        ):
            out |= part.counters
        return out

    def take_facts(self) -> list[Fact]:
        """What was read since the last call (the latest FACTS_MAX)."""
        facts = list(self._facts)
        self._facts.clear()
        return facts

    # ---- frames ----

    def _begin(self, now: float) -> None:
        if self._now is None:
            self._now = now
            self._sights.watch(tuple(self._roster.names.values()), now)
            kept = self._exposures.keep(set(self._roster.names.values()), now)  # of cameras that were removed meanwhile
            self._pending += self._judge.findings(kept, now)

    def _heard(self, heard: Heard, now: float) -> list[Event]:
        flow, up, reading = heard
        camera_serves = reading.from_server == up
        self._facts.append(fact(heard, self._roster.ip_in(flow), now + self.offset_s))
        if reading.what == "dns":
            for name, ip in () if up else dns.addresses(reading):
                self._neighbours.named(flow.host, ip, name, now)
            return []
        if reading.what in ("login", "login-answer"):
            takes = self._logins.heard if reading.what == "login" else self._logins.answered
            return self._judge.logins(takes(flow, reading.detail, now), now) if camera_serves else []
        if reading.what == "rtsp":
            if camera_serves and up:
                self._speaks_camera(flow, now)
            return self._judge.sessions(self._streams.rtsp(flow, reading.detail, camera_serves, now), now)
        if reading.what in ("rtp", "rtsp-interleaved"):
            if up:
                flow.protocol = "rtsp" if reading.what == "rtsp-interleaved" else flow.protocol
                self._streams.rtp(flow, now, reading.detail.get("payload_type"))
            return []
        if reading.what == "p2p" and reading.detail.get("event") == "punch-to":
            self._called(flow, str(reading.detail.get("peer")), now)
        called = reading.detail.get(_NAMING.get(reading.what, ""))
        if reading.detail.get("ech"):  # the name in clear is that of the hosting company
            called = None
        if called and not camera_serves and flow.opened_by_camera is not False:
            self._neighbours.called(flow.host, ip_text(flow.peer), str(called), now)
        if reading.what == "http" and camera_serves and up:
            self._logins.speaks(flow, "http")
        out = self._judge.sessions(self._streams.heard(flow, up, reading, camera_serves, now), now)
        opened = self._exposures.heard(flow, reading.what, reading.detail, camera_serves, now, up=up)
        return [*out, *self._judge.findings(opened, now)]

    def _mapped(self, said: Reading, packet: Packet) -> list[Event]:
        """Somebody asked the router, by NAT-PMP or PCP, to let others in to a camera."""
        if said.what not in ("natpmp", "pcp"):
            return []
        if said.from_server and said.detail["op"] == "delete" and not self._neighbours.may_be_router(packet.src_mac):
            return []  # anybody at home can say that a way in is closed
        asker = ip_text(packet.dst if said.from_server else packet.src)
        camera = self._roster.camera_at(str(said.detail.get("internal_ip") or asker))
        if camera is None:
            return []
        by_itself = self._roster.camera_at(asker) == camera
        ip, mac = (packet.dst, packet.dst_mac) if said.from_server else (packet.src, packet.src_mac)
        peer = None if by_itself else self._neighbours.peer(0, ip, 0, mac)
        return self._judge.findings(self._exposures.mapped(camera, said.detail, packet.at, peer), packet.at)

    # ---- counts ----

    def _counted(self, count: FlowCount) -> list[Event]:
        self._begin(count.at)
        if self._roster.devices and unpack_key(count.key).host in self._roster.devices:
            self._phones.counted(count, count.at)  # and nowhere else: nothing of a device of the owner's is looked at
            return []
        flow = self._flows.count(count)
        camera = self._roster.names.get(flow.host)
        if camera is None:
            return []
        self._rates.add(flow.host, count)
        self._sights.counted(camera, count, self._neighbours.is_own(flow.peer))
        for part in self._watchers:
            part.counted(flow, count, count.at)  # also what has no ports: pings and GRE may be attacks
        if not flow.proto:
            return []
        self._neighbours.carries(count.peer_mac, flow.peer)
        out = self._judge.sessions(self._streams.counted(flow, count.at), count.at)
        out += self._judge.logins(self._logins.counted(flow, count.at), count.at)
        return [*out, *self._judge.findings(self._exposures.counted(flow, count.at), count.at)]

    def _out(self, events: Iterable[Event]) -> list[Event]:
        return [_shifted(event, self.offset_s) for event in events]

    def _called(self, flow: Flow, ends: str, now: float) -> None:
        """The maker's server named the address that the camera is to call."""
        with suppress(ValueError):
            ip = ipaddress.ip_address(ends.rpartition(":")[0].strip("[]")).packed
            peer = self._neighbours.peer(flow.host, ip, 0, flow.peer_mac)
            self._judge.called(self._roster.camera(flow.host), peer, now)

    def _speaks_camera(self, flow: Flow, now: float) -> None:
        if mac := self._roster.mac(flow.host):
            self._neighbours.speaks_camera(mac, now)

    def _domain(self, name: str) -> str | None:
        return self._places.domain(name) if self._places else name

    def _peer(self, flow: Flow) -> Peer:
        return self._neighbours.peer(flow.host, flow.peer, flow.peer_port, flow.peer_mac)


def _is_outside(peer: Peer) -> bool:
    """Somebody on the internet, and no guest network or VPN of the router's."""
    return peer.scope == "wan" and not is_private(peer.ip)


#: Fields that hold times.
_TIMES = ("time", "started", "ended", "raised", "until")
_E = TypeVar("_E", bound=Event)


def _shifted(event: _E, offset_s: float) -> _E:
    """The event with its times `offset_s` later: from the guard's own clock to that on the wall."""
    times = {name: getattr(event, name, None) for name in _TIMES}
    return replace(event, **{name: at + offset_s for name, at in times.items() if at is not None})
