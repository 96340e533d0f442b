"""What a camera sends day and night, whoever looks. In: counted Flows; out: the usual rate to a place, and since when.

A place is the other end's name, else its address. An hour in which nearly every minute had something to send counts as
one in which the camera sends without end; three of them within a day make a rate usual. What is usual is learned from
numbers alone: who wants a rate to become usual must have watched at it for hours, and was told of then. It is not
written to disk: after a new start of the guard it is learned anew. Times are packet time.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from camguard.events import Peer
from camguard.track import Flow

PLACES_MAX, MINUTE_MAX = 1024, 4096
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
Place = tuple[int, str]


@dataclass(slots=True)
class _Place:
    first_at: float
    hour_at: float
    awake: int = 0
    bytes_up: int = 0
    hours: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=24))


class Idle:
    """What is usual for each place; capped. `awake_minutes` of an hour, `hours` of a day: what "day and night" means
    at least."""

    def __init__(self, peer_of: Callable[[Flow], Peer], *, awake_minutes: int = 50, hours: int = 3) -> None:
        self._peer_of, self._awake_minutes, self._hours = peer_of, awake_minutes, hours
        self._minute: dict[bytes, tuple[Flow, int]] = {}
        self._minute_before = self._minute
        self._minute_at: float | None = None
        self._places: dict[Place, _Place] = {}

    def add(self, flow: Flow) -> None:
        """A connection was counted."""
        _, before = self._minute.get(flow.key, (flow, 0))
        if flow.key in self._minute or len(self._minute) < MINUTE_MAX:
            self._minute[flow.key] = (flow, before + flow.added_up)

    def tick(self, now: float) -> None:
        """Once a second."""
        if self._minute_at is None:
            self._minute_at = now
        if now - self._minute_at < MINUTE_S:
            return
        sums: dict[Place, int] = {}
        for flow, sent in self._minute.values():
            place = self._place(flow)
            sums[place] = sums.get(place, 0) + sent
        for place, sent in sums.items():
            self._add(place, sent, now)
        self._minute_before, self._minute, self._minute_at = self._minute, {}, now

    def knows(self, flow: Flow, now: float, *, for_s: float = 600.0) -> bool:
        """Whether the camera has talked to this place before, `for_s` ago and more."""
        known = self._places.get(self._place(flow))
        return known is not None and now - known.first_at >= for_s

    def usual_kbps(self, flow: Flow, now: float) -> float | None:
        """What it sends there day and night; None where that is not known, or where it does not."""
        known = self._places.get(self._place(flow))
        rates = sorted(rate for at, rate in known.hours if now - at <= DAY_S) if known else []
        return rates[len(rates) // 2] if len(rates) >= self._hours else None

    def now_kbps(self, flow: Flow, now: float, *, over_s: float = 6.0) -> float:
        """What it sends there now, over all connections."""
        place = self._place(flow)
        lately = {**self._minute_before, **self._minute}.values()
        mine = [one for one, _ in lately if one.host == flow.host and one.history and self._place(one) == place]
        rows = [second.up for one in mine for second in one.history or () if second.at > now - over_s]
        return sum(rows) * 8 / 1000 / over_s

    def _add(self, place: Place, sent: int, now: float) -> None:
        known = self._places.pop(place, None) or _Place(now, now)
        if len(self._places) >= PLACES_MAX:
            del self._places[next(iter(self._places))]
        self._places[place] = known  # the one that was used last comes last
        if now - known.hour_at >= HOUR_S:
            if known.awake >= self._awake_minutes:
                known.hours.append((now, known.bytes_up * 8 / 1000 / (known.awake * MINUTE_S)))
            known.hour_at, known.awake, known.bytes_up = now, 0, 0
        known.awake += 1
        known.bytes_up += sent

    def _place(self, flow: Flow) -> Place:
        peer = self._peer_of(flow)
        return flow.host, peer.name or peer.ip
