"""Places that a camera has not talked to before. In: counts of its connections; out: Findings "new-destination", and
what the next run should know; times on the guard's clock.

A place is the registered domain that the camera asked for; without a name the owner of the network, else the address.
A name server outside the home is a place by itself: it is asked for names past the home's own. Only talk counts that
the camera began and that was answered. In a camera's first `learn_s` everything is new: kept in the log, told to
nobody. Peers of a P2P service are new every day: after `few` a day they are counted and said in one. Every table is
capped.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import NamedTuple

from camguard.detect.newest import Newest
from camguard.events import SYN, TCP, UDP, Finding, FlowCount, Peer
from camguard.track import Flow

#: Of a camera: addresses that were looked at, places that are known; of all cameras: addresses whose name may come yet.
MET_MAX, KNOWN_MAX, WAITING_MAX = 1024, 512, 256
CAMERAS_MAX = 1024
#: Ports of name servers (RFC 1035, RFC 7858) and of time servers (RFC 5905).
NAME_PORTS, TIME_PORT = (53, 853), 123
DAY_S = 86_400.0
#: An address is looked at again after so long: it may have another name by then.
LOOKED_AT_S = 3600.0
OTHERS, TIME_SERVERS = "*", "time servers"


class _Place(NamedTuple):
    key: str
    named: bool
    words: str


class _Camera:
    """Of one camera: since when it is looked at, the places it knows, and of this day those that were said (with a
    name, without) and those that were only counted."""

    __slots__ = ("day_at", "first_at", "known", "more", "said")

    def __init__(self, at: float) -> None:
        self.first_at = self.day_at = at
        self.known: Newest[str, float] = Newest(KNOWN_MAX)
        self.said = {True: 0, False: 0}
        self.more = 0


class Destinations:
    """`domain_of`: the part of a name that somebody registered, None where there is none. `known`: (camera, place, when
    first met) of earlier runs. `wait_s`: so long a name may come after the first packets. `many`, `few`: places with a
    name and without that are said one by one in a day."""

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        domain_of: Callable[[str], str | None],
        *,
        known: Iterable[tuple[str, str, float]] = (),
        learn_s: float = DAY_S,
        wait_s: float = 2.0,
        many: int = 20,
        few: int = 5,
    ) -> None:
        self._camera_of, self._peer_of, self._domain_of = camera_of, peer_of, domain_of
        self._learn_s, self._wait_s, self._most = learn_s, wait_s, {True: many, False: few}
        self._cameras: dict[str, _Camera] = {}
        self._met: dict[int, Newest[bytes, float]] = {}
        self._waiting: OrderedDict[tuple[int, bytes], tuple[Flow, float]] = OrderedDict()
        self._new: dict[tuple[str, str], float] = {}
        self.counters = {"destinations-evicted": 0}
        for camera, key, at in sorted(known, key=lambda one: one[2]):
            kept = self._camera(camera, at)
            if kept and len(kept.known) < KNOWN_MAX:
                kept.known[key] = at

    def counted(self, flow: Flow, count: FlowCount, now: float) -> None:
        """What one connection did since the last tick."""
        met = self._met.get(flow.host)
        if met is None:
            met = self._met[flow.host] = Newest(MET_MAX)
            self._camera(self._camera_of(flow.host), now)
        mark = flow.peer if flow.peer_port not in NAME_PORTS else flow.peer + b"names"
        if now - met.get(mark, float("-inf")) < LOOKED_AT_S or not _talks(flow, count):
            return
        if len(self._waiting) >= WAITING_MAX:
            return  # seen again in a second, if it is more than a moment's
        met.put(mark, now)
        self._waiting[(flow.host, mark)] = flow, now

    def tick(self, now: float) -> list[Finding]:
        """Once a second, after the counts: places that are new, and once a day how many more there were."""
        out: list[Finding] = []
        while self._waiting:
            key, (flow, at) = next(iter(self._waiting.items()))
            if now - at < self._wait_s:
                break
            del self._waiting[key]
            peer = self._peer_of(flow)
            name = self._camera_of(flow.host)
            camera = self._camera(name, now)
            if camera and peer.scope == "wan" and not (flow.peer_port in NAME_PORTS and _is_private(flow.peer)):
                out += self._met_at(name, camera, self._place(flow, peer), peer, at)
        for name, camera in self._cameras.items():
            if now - camera.day_at >= DAY_S:
                out += self._day(name, camera, now)
        return out

    def since(self, camera: str, place: str) -> float | None:
        """Since when a camera talks to a registered name, to "network ..." (its owner) or "country ..."; None: never,
        or nobody knows."""
        kept = self._cameras.get(camera)
        return None if kept is None else kept.known.get(place)

    def take_new(self) -> list[tuple[str, str, float]]:
        """(camera, place, when first met) since the last call, for the next run to know."""
        new = [(camera, key, at) for (camera, key), at in self._new.items()]
        self._new.clear()
        return new

    def drop(self, hosts: set[int]) -> None:
        """These numbers mean other cameras now."""
        for number in hosts:
            self._met.pop(number, None)
        for key in [key for key in self._waiting if key[0] in hosts]:
            del self._waiting[key]

    def _camera(self, name: str, at: float) -> _Camera | None:
        camera = self._cameras.get(name)
        if camera is None and len(self._cameras) < CAMERAS_MAX:
            camera = self._cameras[name] = _Camera(at)
        return camera

    def _place(self, flow: Flow, peer: Peer) -> _Place:
        """Which place an address is, and how it is said."""
        owner = ", ".join(part for part in (peer.org, peer.country) if part)
        where = f"{peer.ip} ({owner})" if owner else peer.ip
        if flow.peer_port in NAME_PORTS:
            return _Place(f"name server {peer.ip}", True, f"asks a name server outside your home for names: {where}")
        if peer.name:
            domain = self._domain_of(peer.name) or peer.name
            return _Place(domain[:255], True, f"first talk to {domain[:80]}")
        if flow.proto == UDP and flow.peer_port == TIME_PORT:
            return _Place(TIME_SERVERS, True, f"first talk to a time server without a name: {where}")
        key = f"AS{peer.asn} {peer.org or ''}".strip() if peer.asn else peer.org or peer.ip
        return _Place(key[:255], False, f"first talk to {where}, an address that no look-up of a name explains")

    def _met_at(self, name: str, camera: _Camera, place: _Place, peer: Peer, at: float) -> list[Finding]:
        owner = f"AS{peer.asn} {peer.org or ''}".strip() if peer.asn else peer.org or ""
        for also in (
            f"network {owner[:80]}",
            f"country {peer.country or ''}",
        ):  # for judge/first_days.py, told to nobody
            if also not in camera.known and len(camera.known) < KNOWN_MAX:
                camera.known[also] = self._new[(name, also)] = at
        if place.key in camera.known:
            camera.known.move_to_end(place.key)
            return []
        self.counters["destinations-evicted"] += camera.known.put(place.key, at)
        self._new[(name, place.key)] = at
        if camera.said[place.named] >= self._most[place.named]:
            camera.more += 1
            return []
        camera.said[place.named] += 1
        return [self._finding(name, camera, place, peer, at)]

    def _day(self, name: str, camera: _Camera, now: float) -> list[Finding]:
        """A day is over: what was only counted is said in one."""
        more, since = camera.more, camera.day_at
        camera.day_at, camera.more, camera.said = now, 0, {True: 0, False: 0}
        if not more:
            return []
        words = f"and {more} more new place{'' if more == 1 else 's'} within a day, most of them without a name"
        return [self._finding(name, camera, _Place(OTHERS, False, words), None, since, more)]

    def _finding(
        self, name: str, camera: _Camera, place: _Place, peer: Peer | None, at: float, places: int = 1
    ) -> Finding:
        server = place.key.startswith("name server ")
        return Finding(
            type="new-destination",
            camera=name,
            key=place.key,
            severity="info",
            confidence="certain",
            evidence=(place.words,),
            peer=peer,
            at=at,
            detail={
                "place": place.key if place.named and not server else None,
                "bare": int(not place.named),
                "name_server": int(server),
                "places": places,
            },
            told=at - camera.first_at >= self._learn_s,
            notice="new-destination",
            words=place.words,
        )


def _is_private(ip: bytes) -> bool:
    """An address that only means something at home (RFC 1918, RFC 4193): its name server is the home's."""
    if len(ip) == 16:
        return ip[0] & 0xFE == 0xFC or ip[:2] == b"\xfe\x80"
    return ip[0] == 10 or (ip[0] == 172 and ip[1] & 0xF0 == 16) or ip[:2] == b"\xc0\xa8"


def _talks(flow: Flow, count: FlowCount) -> bool:
    """Whether the camera began this talk, and somebody answered."""
    if flow.proto == TCP:
        if (count.flags_up | count.flags_down) & SYN:
            return count.first_up and bool(count.flags_up & count.flags_down & SYN)
        return flow.was_running and flow.host_port > flow.peer_port and count.packets_down > 0  # who knocks is unknown
    return flow.proto == UDP and count.first_up and count.packets_down > 0
