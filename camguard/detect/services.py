"""Which TCP ports each camera answers on, and which of them are new. In: connections that a camera answered.

All ports of the first `learn_s` of looking at a camera are known ones, and each new one is from when it was told. Ports
that are given out by chance (RFC 6335 section 6; Linux' ip_local_port_range) change with each start and each FTP
transfer: those from 49152 up are never new, those from 32768 up when a second connection uses them later.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from camguard.detect.newest import Newest
from camguard.track import Flow

SERVICES_MAX = 256  # of one camera
CHANCE_MAX = 1024
CHANCE_PORT, DYNAMIC_PORT = 32_768, 49_152
LOOK_S, HOUR_S = 60.0, 3600.0
#: camera, transport, port, first and last time; port 0: how long the camera was looked at lies between its times
Service = tuple[str, str, int, float, float]


@dataclass(slots=True)
class _Known:
    """`ports`: TCP port -> [first, last use]; `new`: those that the store does not have like this yet."""

    looked_s: float = 0.0
    ports: dict[int, list[float]] = field(default_factory=dict)
    new: set[int] = field(default_factory=set)


class Services:
    """What is known of each camera, by its name. Capped."""

    def __init__(self, learn_s: float) -> None:
        self._learn_s = learn_s
        self._known: dict[str, _Known] = {}
        self._chance: Newest[tuple[str, int], tuple[bytes, float]] = Newest(CHANCE_MAX)
        self._looked: set[str] = set()
        self._look_at: float | None = None
        self.counters = {"services-refused": 0}

    def resume(self, services: Iterable[Service]) -> None:
        """Goes on with what an earlier run knew."""
        for camera, _, port, first, last in services:
            known = self._known.setdefault(camera, _Known())
            if port:
                known.ports[port] = [first, last]
            else:
                known.looked_s = last - first

    def take_new(self) -> list[Service]:
        """What the store does not have yet; a last use is told once an hour."""
        found: list[Service] = []
        for camera, known in self._known.items():
            for port in sorted(known.new):
                first, last = known.ports.get(port, (0.0, known.looked_s))
                found.append((camera, "tcp", port, first, last))
            known.new.clear()
        return found

    def keep(self, cameras: Collection[str]) -> None:
        """Forgets all other cameras."""
        self._known = {camera: known for camera, known in self._known.items() if camera in cameras}

    def looks(self, camera: str) -> None:
        """The camera was seen."""
        self._looked.add(camera)

    def is_new(self, camera: str, flow: Flow, now: float, *, excused: bool) -> bool:
        """The camera answers on this port: whether that is news. `excused`: it is told in another way already."""
        known, port = self._known.setdefault(camera, _Known()), flow.host_port
        if (times := known.ports.get(port)) is not None:
            if now - times[1] >= HOUR_S:
                times[1] = now
                known.new.add(port)
            return False
        excused = excused or known.looked_s < self._learn_s
        if not excused and port >= CHANCE_PORT and self._may_be_chance(camera, flow, now):
            return False
        if len(known.ports) >= SERVICES_MAX:
            self.counters["services-refused"] += 1
            return False
        known.ports[port] = [now, now]
        known.new.add(port)
        return not excused

    def tick(self, now: float) -> None:
        """Counts the minutes in which a camera was seen."""
        if self._look_at is not None and now - self._look_at < LOOK_S:
            return
        looked_s = 0.0 if self._look_at is None else min(now - self._look_at, 2 * LOOK_S)
        self._look_at = now
        for camera in self._looked:
            known = self._known.setdefault(camera, _Known())
            if known.looked_s < self._learn_s:
                known.looked_s += looked_s
                known.new.add(0)
        self._looked.clear()

    def _may_be_chance(self, camera: str, flow: Flow, now: float) -> bool:
        """Whether this may be the only connection that the port is ever used for."""
        place = (camera, flow.host_port)
        before = self._chance.get(place)
        if before is None:
            self._chance.put(place, (flow.key, now))
            return True
        return flow.host_port >= DYNAMIC_PORT or before[0] == flow.key or now - before[1] < LOOK_S
