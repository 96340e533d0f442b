"""The sessions that are open, and how a connection finds the one that it belongs to. In: connections; out: Followed.

A viewer may use many connections: at once, one after another, or a new one where the last one broke. Times are packet
time.
"""

from collections.abc import Callable

from camguard.detect.allday import Pace
from camguard.detect.calls import MEDIA_PORTS_MAX
from camguard.detect.followed import BESIDE, LIVE, Followed
from camguard.events import TCP, Confidence, Peer, StreamClass, id_of
from camguard.track import Flow

SESSIONS_MAX = 2048
Ends = tuple[int, bytes]


class Talks:
    """All open sessions by id (`open`) and by connection (`by_flow`). `spread`: those of many connections, by their
    ends. `back_s`: so long after one connection the next one may go on with its viewing."""

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        wall: Callable[[float], float],
        *,
        back_s: float = 6.0,
    ) -> None:
        self._camera_of, self._peer_of, self._wall, self.back_s = camera_of, peer_of, wall, back_s
        self.open: dict[str, Followed] = {}
        self.by_flow: dict[bytes, Followed] = {}
        self.spread: dict[Ends, Followed] = {}
        self._lately: dict[Ends, Followed] = {}
        self._endless: dict[int, list[Followed]] = {}

    @property
    def full(self) -> bool:
        """Whether no more can be followed."""
        return len(self.open) >= SESSIONS_MAX

    def make(
        self,
        flow: Flow,
        started_at: float,
        now: float,
        cls: StreamClass,
        confidence: Confidence,
        evidence: str,
        pace: Pace | None = None,
    ) -> Followed:
        """A new session. One that is a change (`pace`) in what a connection sends leaves the connection where it is."""
        talk_id = id_of(self._camera_of(flow.host), flow.key.hex(), f"{self._wall(started_at):.3f}")
        talk = Followed(talk_id, flow, started_at, now, cls, confidence, flow.protocol or "unknown", [evidence])
        talk.pace = pace
        self.open[talk_id] = talk
        if pace is None:
            self.by_flow[flow.key] = talk
            self.is_viewing(talk, confidence, now)
        return talk

    def is_viewing(self, talk: Followed, confidence: Confidence, now: float) -> None:
        """It has become a viewing: the next connection of these ends may go on with it."""
        if talk.cls in LIVE:
            talk.add(*self._beside(talk.flow, confidence, now))
            self._lately[(talk.flow.host, talk.flow.peer)] = talk

    def remove(self, talk: Followed) -> None:
        """It is over."""
        self.open.pop(talk.id, None)
        ends = (talk.flow.host, talk.flow.peer)
        for table in (self.spread, self._lately):
            if table.get(ends) is talk:
                del table[ends]
        for flow in () if talk.pace else talk.flows():
            self.by_flow.pop(flow.key, None)

    def tick(self, now: float) -> None:
        """Once a second: which of them go on day and night."""
        self._endless = {}
        for talk in self.open.values():
            if talk.endless(now):
                self._endless.setdefault(talk.flow.host, []).append(talk)

    def sends_endlessly(self, host: int) -> bool:
        """Whether this camera sends day and night."""
        return host in self._endless

    def of_viewer(self, flow: Flow) -> Followed | None:
        """What the same viewer has open: rather pictures and sound than anything else."""
        mine = [talk for talk in self.open.values() if talk.is_of(flow.host, flow.peer)]
        return next((talk for talk in mine if talk.cls in LIVE), next(iter(mine), None))

    def may_come_back(self, talk: Followed) -> bool:
        """Whether only numbers told the viewing: over one connection less, it may go on over the next."""
        return talk.cls in LIVE and talk.confidence == "likely" and talk.flow.proto == TCP and not talk.leaving

    def went_on(self, flow: Flow, *, together_s: float = 5.0) -> Followed | None:
        """The viewing that this connection may go on with, if it looks live: of the same ends, at the same door, begun
        together with the first one or when that had just ended."""
        talk = self._lately.get((flow.host, flow.peer)) if flow.proto == TCP else None
        if talk is None or not self.may_come_back(talk) or len(talk.media) >= MEDIA_PORTS_MAX:
            return None
        other, over = talk.flow, talk.over()
        same_door = flow.peer_port == other.peer_port or flow.host_port == other.host_port
        begins_at, near_s = (talk.active_at, self.back_s) if over else (other.first_at, together_s)
        return talk if same_door and abs(flow.first_at - begins_at) <= near_s else None

    def takes(self, talk: Followed, flow: Flow) -> None:
        """`flow` is one more connection of `talk`."""
        talk.media[flow.key] = flow
        self.by_flow[flow.key] = talk

    def _beside(self, flow: Flow, confidence: Confidence, now: float) -> list[str]:
        """Whether it begins while the same place outside gets the picture day and night: a rule for that is not one for
        this. A guess says so wherever it goes."""
        peer = self._peer_of(flow)
        if confidence == "certain" or peer.scope != "wan":
            return []
        for talk in self._endless.get(flow.host, ()):
            if talk.flow.key != flow.key and talk.endless(now):
                place = self._peer_of(talk.flow)
                if confidence == "unsure" or (place.name or place.ip) == (peer.name or peer.ip):
                    return [BESIDE]
        return []
