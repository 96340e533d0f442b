"""The camera attacks others. In: counts of its connections; out: Findings "camera-attacks", their times on the guard's
clock. One matter a camera: who scans also floods, and what the owner does about it is the same.

- Scanning: connections to many addresses on a port that no camera uses towards many, but that bots try: telnet first
  of all (Mirai's scanner.c: 23, each tenth time 2323).
- Very many addresses in a short time on any ports, most of them silent; or simply too many.
- Trying the ports of one address one after the other, where most are refused or ignored.
- Flooding one address (flood.py).
- Mail to the servers of several owners: a camera reports to one.

No attack are multicast and broadcast (discovery), and keep-alives to the servers and peers of a maker's P2P. Nothing
is made of missing answers where only what the camera sends is seen. A count costs a few dictionary look-ups; every
table is capped.
"""

from collections.abc import Callable
from typing import NamedTuple

from camguard.detect.flood import Flood, Floods, Limits
from camguard.detect.spread import Ports, Window
from camguard.events import SYN, TCP, Finding, FlowCount, Peer
from camguard.track import Flow

#: Ports of services that bots look for, and that a camera has no reason to try at many addresses.
SERVICES = {
    22: "SSH",
    2222: "SSH",
    23: "telnet",
    2323: "telnet",
    445: "Windows sharing",
    3389: "remote desktop",
    5555: "Android debugging",
    7547: "router maintenance",
    8291: "MikroTik router",
    37215: "Huawei router",
    52869: "Realtek router",
}
MAIL_PORTS = (25, 465, 587)
CAMERAS_MAX = 1024
#: Mail servers of a camera.
MAIL_MAX = 64
#: Answers are missed only where answers are seen at all.
HEARS_S = 600.0
HOUR_S = 3600.0
#: After so much silence the size of an attack is known.
PAUSE_S = 5.0
FLOODS = {
    "packets": "sent {rate} packets a second, and nothing came back, to",
    "connections": "opened one connection after the other ({rate} packets a second) to",
    "questions": "asked without end ({rate} packets a second) the name server",
}


Detail = dict[str, str | int | float | None]


class _Seen(NamedTuple):
    """One kind of attack as it looks now: addresses in all, and those of the window; `words` with {number}."""

    kind: str
    since: float
    total: int
    fresh: int
    words: str
    detail: Detail


class _Part(NamedTuple):
    """One kind of attack of a matter: since when, how many addresses were met before, the line of evidence."""

    since: float
    base: int
    line: str


class _Matter:
    __slots__ = ("detail", "last_at", "parts", "peer", "told_at")

    def __init__(self, at: float) -> None:
        self.last_at = self.told_at = at
        self.parts: dict[str, _Part] = {}
        self.detail: Detail = {}
        self.peer: Peer | None = None


class _Camera:
    __slots__ = ("floods", "hears_at", "mail", "many", "matter", "news", "ports", "services", "wide")

    def __init__(self, limits: Limits, at: float) -> None:
        self.hears_at = float("-inf")
        self.many, self.wide = Window(30.0, at), Window(300.0, at)
        self.services: dict[str, tuple[Window, Window]] = {}
        self.mail: dict[bytes, tuple[float, Flow]] = {}
        self.ports = Ports()
        self.floods = Floods(limits)
        self.news: set[str] = set()
        self.matter: _Matter | None = None


class Attacks:
    """`scan`, `slow_scan`: addresses with one such service within a minute, within an hour. `ports`: of one address,
    that came to nothing, within a minute. `many`: addresses on any ports within a minute, three quarters of them
    silent; `wide`: within ten minutes, silent or not. `mailed`: owners of mail servers within an hour. `again_s`: how
    often an attack that goes on is told to judge/; after `quiet_s` without one it is another matter."""

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        *,
        scan: int = 8,
        ports: int = 50,
        slow_scan: int = 20,
        many: int = 100,
        wide: int = 400,
        mailed: int = 4,
        flood: Limits = Limits(),  # noqa: B008 - a value
        again_s: float = 60.0,
        quiet_s: float = 900.0,
    ) -> None:
        self._camera_of, self._peer_of = camera_of, peer_of
        self._ports = ports
        self._scan, self._slow_scan, self._many, self._wide, self._mailed = scan, slow_scan, many, wide, mailed
        self._flood, self._again_s, self._quiet_s = flood, again_s, quiet_s
        self._cameras: dict[int, _Camera] = {}
        self._ticked_at = float("-inf")
        self.counters = {"attack-cameras-refused": 0}

    def counted(self, flow: Flow, count: FlowCount, now: float) -> None:
        """What one connection did since the last tick; what has no ports (ICMP, GRE: protocol 0) belongs here, too."""
        camera = self._cameras.get(flow.host)
        if camera is None:
            if len(self._cameras) >= CAMERAS_MAX:
                self.counters["attack-cameras-refused"] += 1
                return
            camera = self._cameras[flow.host] = _Camera(self._flood, now)
        if is_group(flow.peer, count.peer_mac):
            return
        if count.packets_down and count.packets_up:
            camera.hears_at = now
        dials = count.first_up and (flow.proto != TCP or bool(count.flags_up & SYN))
        new = dials and count.first_at > self._ticked_at - 0.05
        camera.floods.add(flow, count, new)
        answered = count.packets_down > 0 and (flow.proto != TCP or bool(count.flags_down & SYN))
        if new:
            self._opened(camera, flow, now)
            if flow.proto == TCP and not answered:
                camera.ports.add(flow, now)
                camera.news.add("ports")
        if dials and answered:
            camera.many.answers(flow.peer)

    def tick(self, now: float) -> list[Finding]:
        """Once a second, after the counts: what is an attack, and which go on."""
        length_s = max(now - self._ticked_at, 1.0) if self._ticked_at > float("-inf") else 1.0
        self._ticked_at = now
        out: list[Finding] = []
        for number, camera in self._cameras.items():
            hears = now - camera.hears_at <= HEARS_S
            for flood in camera.floods.tick(length_s, hears, now):
                out += self._flooded(camera, flood, now)
            if camera.news:
                out += self._spread(number, camera, hears, now)
                camera.news.clear()
            matter = camera.matter
            if matter and now - matter.last_at > self._quiet_s:
                camera.matter = None
            elif matter and matter.last_at > matter.told_at and self._is_due(matter, now):
                out.append(self._finding(number, matter, now))
        return out

    def drop(self, hosts: set[int]) -> None:
        """These numbers mean other cameras now."""
        for number in hosts:
            self._cameras.pop(number, None)

    def _is_due(self, matter: _Matter, now: float) -> bool:
        return now - matter.told_at >= self._again_s or now - matter.last_at >= PAUSE_S

    def _opened(self, camera: _Camera, flow: Flow, now: float) -> None:
        """The camera began to talk to somebody."""
        camera.many.add(flow.peer, now)
        camera.wide.add(flow.peer, now)
        kind = "many"
        if flow.proto == TCP and (service := SERVICES.get(flow.peer_port)):
            kind = service
            windows = camera.services.get(service)
            if windows is None:
                windows = camera.services[service] = Window(30.0, now), Window(HOUR_S / 2, now)
            for window in windows:
                window.add(flow.peer, now)
        elif flow.proto == TCP and flow.peer_port in MAIL_PORTS:
            kind = "mail"
            if flow.peer in camera.mail or len(camera.mail) < MAIL_MAX:
                camera.mail[flow.peer] = now, flow
        camera.news.add(kind)

    def _spread(self, host: int, camera: _Camera, hears: bool, now: float) -> list[Finding]:
        """What the connections of the last second are part of."""
        out: list[Finding] = []
        for service in sorted(camera.news & camera.services.keys()):
            quick, slow = camera.services[service]
            window = quick if len(quick) >= self._scan else slow
            if len(window) >= (self._scan if window is quick else self._slow_scan):
                words = f"tried {{number}} addresses on {service} ports"
                out += self._seen(host, camera, _of(service, window, words, {"how": "scan", "service": service}), now)
        if "mail" in camera.news and len(camera.mail) >= self._mailed:
            out += self._mailed_to(host, camera, now)
        if "ports" in camera.news and hears:
            for flow, number, since in camera.ports.tried(self._ports, now):
                target = self._peer_of(flow)
                words = f"tried {{number}} ports of {target.ip}"
                seen = _Seen("ports", since, number, number, words, {"how": "ports"})
                out += self._seen(host, camera, seen, now, target)
        if out or (camera.matter and not camera.matter.parts.keys() <= {"many", "flood"}):
            return out  # these addresses are told of by their service
        quick, wide = camera.many, camera.wide
        silent = 4 * quick.answered <= len(quick)
        if len(quick) >= self._many and silent and hears:
            words = "contacted {number} addresses, most of which did not answer,"
            return self._seen(host, camera, _of("many", quick, words, {"how": "many"}), now)
        if len(wide) >= self._wide:
            return self._seen(host, camera, _of("many", wide, "contacted {number} addresses", {"how": "many"}), now)
        return []

    def _mailed_to(self, host: int, camera: _Camera, now: float) -> list[Finding]:
        camera.mail = {peer: one for peer, one in camera.mail.items() if now - one[0] <= HOUR_S}
        peers = [self._peer_of(flow) for _, flow in camera.mail.values()]
        owners = {peer.asn or peer.org or peer.ip for peer in peers if peer.scope not in ("lan", "multicast")}
        if len(owners) < self._mailed:
            return []
        since, number = min(at for at, _ in camera.mail.values()), len(camera.mail)
        words = f"sent mail to {{number}} mail servers of {len(owners)} owners"
        return self._seen(host, camera, _Seen("mail", since, number, number, words, {"how": "mail"}), now)

    def _flooded(self, camera: _Camera, flood: Flood, now: float) -> list[Finding]:
        peer = self._peer_of(flood.flow)
        words = f"{FLOODS[flood.how].format(rate=f'{flood.packets_s:,}')} {peer.ip}"
        detail: Detail = {"how": "flood", "flood": flood.how, "packets_s": flood.packets_s}
        seen = _Seen("flood", flood.since, 1, 1, words, detail)
        return self._seen(flood.flow.host, camera, seen, now, peer)

    def _seen(self, host: int, camera: _Camera, seen: _Seen, now: float, peer: Peer | None = None) -> list[Finding]:
        """Puts one kind of attack into the matter; told at once where it is the first of its kind."""
        matter = camera.matter = camera.matter or _Matter(now)
        before = matter.parts.get(seen.kind)
        since, base = (before.since, before.base) if before else (seen.since, seen.total - seen.fresh)
        number, seconds = max(seen.total - base, seen.fresh), now - since
        line = f"{seen.words.format(number=f'{number:,}')} in {_span(seconds)}"
        matter.parts[seen.kind] = _Part(since, base, line)
        matter.last_at = now
        if next(iter(matter.parts)) == seen.kind:  # the words are about what was seen first
            matter.detail = {**seen.detail, "destinations": number, "seconds": int(seconds)}
            matter.peer = peer
        return [] if before else [self._finding(host, matter, now)]

    def _finding(self, host: int, matter: _Matter, now: float) -> Finding:
        matter.told_at = now
        return Finding(
            type="camera-attacks",
            camera=self._camera_of(host),
            key="*",
            severity="critical",
            confidence="certain" if "telnet" in matter.parts else "likely",
            evidence=tuple(part.line for part in matter.parts.values()),
            peer=matter.peer,
            at=min(part.since for part in matter.parts.values()),
            detail=dict(matter.detail),
        )


def _of(kind: str, window: Window, words: str, detail: Detail) -> _Seen:
    return _Seen(kind, window.since, window.total, len(window), words, detail)


def is_group(peer: bytes, mac: bytes) -> bool:
    """Whether packets to `peer` are for several (multicast, broadcast), or for nobody in particular."""
    if mac and mac[0] & 1:
        return True
    return (peer[0] >= 224 or peer[0] == 0) if len(peer) == 4 else peer[0] == 0xFF


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(round(seconds), 1)} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / HOUR_S:.0f} hours"
