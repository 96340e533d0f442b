"""What goes on day and night, and a change in it. In: connections of a viewing that does not end; out: cues, in words.

A recorder or a cloud that gets the picture around the clock hides who else looks: the maker's servers hand on what they
have already. What may still change is how much the camera sends or is told, measured by what this camera's own swings
are: more than it ever was while nothing was found, for more than ten seconds. Times are packet time.
"""

from dataclasses import dataclass

from camguard.events import TCP
from camguard.track import Flow

BLOCK_S = 10.0
PACES_MAX = 512
#: What goes on for so long goes on day and night, as far as is known; so long a change is one: then it is the custom.
ENDLESS_S, CHANGE_S = 1800.0, 600.0


@dataclass(slots=True)
class Pace:
    """The pace of one endless connection: usual bytes a block, and how far it swings."""

    since: float
    block_at: float
    up: int = 0
    down: int = 0
    last_up: int = 0
    last_down: int = 0
    mean_up: float = 0.0
    high_up: float = 1.8
    low_up: float = 0.55
    high_down: float = 0.0
    changed_at: float | None = None

    def add(self, flow: Flow, now: float) -> str | None:
        """One more second; the change that it ends in, once."""
        if not flow.history or flow.history[-1].at != now:
            return None
        self.up += flow.history[-1].up
        self.down += flow.history[-1].down
        if now - self.block_at < BLOCK_S:
            return None
        scale = BLOCK_S / (now - self.block_at)
        up, down = round(self.up * scale), round(self.down * scale)
        two_up, two_down = (up + self.last_up) / 2, (down + self.last_down) / 2
        steady = min(up, self.last_up) > 0.6 * max(up, self.last_up)  # one block alone is no change
        change = self._change(two_up, two_down, now) if now - self.since > ENDLESS_S and steady else None
        if self.changed_at is None or now - self.changed_at > CHANGE_S:
            self._learn(two_up, two_down)
        self.last_up, self.last_down, self.up, self.down, self.block_at = up, down, 0, 0, now
        return change

    def going_on(self, now: float) -> bool:
        """Whether a change that was found goes on, or it has become the custom."""
        return self.changed_at is not None and now - self.changed_at < CHANGE_S

    def _change(self, up: float, down: float, now: float) -> str | None:
        ratio = up / max(1.0, self.mean_up)
        words = None
        if ratio > self.high_up:
            words = f"it sends {ratio:.1f} times as much as it did"
        elif ratio < self.low_up:
            words = f"it sends {100 * ratio:.0f} % of what it did"
        elif down > 3 * self.high_down + 400:
            words = "it is told more than it was"
        if words is None:
            self.changed_at = None if not self.going_on(now) else self.changed_at
            return None
        if self.changed_at is not None:
            return None
        self.changed_at = now
        return words

    def _learn(self, up: float, down: float, *, share: float = 0.01, fades: float = 0.9995) -> None:
        """The usual pace, and its swings; they are forgotten within hours."""
        if not self.mean_up:
            self.mean_up = up
        self.mean_up += share * (up - self.mean_up)
        ratio = up / max(1.0, self.mean_up)
        self.high_up = max(1.8, self.high_up * fades, 1.2 * ratio)
        self.low_up = min(0.55, self.low_up / fades, max(0.05, ratio / 1.2))
        self.high_down = max(self.high_down * fades, down)


class Paces:
    """The paces of connections whose viewing goes on; capped."""

    def __init__(self) -> None:
        self._paces: dict[bytes, Pace] = {}

    def changed(self, flow: Flow, now: float) -> tuple[str, Pace] | None:
        """One more second of `flow`: the change that it shows, once, and where to ask whether it goes on."""
        pace = self._paces.get(flow.key)
        if pace is None:
            if len(self._paces) >= PACES_MAX:
                return None
            pace = self._paces[flow.key] = Pace(now, now)
        words = pace.add(flow, now)
        return (words, pace) if words else None

    def forget(self, key: bytes) -> None:
        """The connection is gone, or its viewing over."""
        self._paces.pop(key, None)


#: Services of their own, no viewer's: names, clock, discovery.
_SERVICES = frozenset({53, 67, 123, 137, 853, 1900, 3702, 5353, 5355})


def stays(flow: Flow, now: float, *, stays_s: float = 10.0, least_bytes: int = 100) -> bool:
    """Whether a connection has just become one that stays, and in which both ends talk: signalling does so. True in a
    second or two of its life only."""
    age_s = now - flow.first_at
    both = flow.payload_up >= least_bytes and flow.payload_down >= least_bytes
    calls = flow.opened_by_camera is not False or flow.proto != TCP
    return both and calls and stays_s <= age_s < stays_s + 2.0 and flow.peer_port not in _SERVICES and not flow.over
