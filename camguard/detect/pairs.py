"""A viewing spread over several connections. In: counted Flows without a viewing; out: those that look live together.

Each of many short connections, or of several at a time, may look like nothing; what a camera sends to one other end is
added up second by second and looked at as one (shape.py). The more connections there are at a time, the more pauses are
asked for: several clips at once have some each. What shows in a minute only (slow.py) is looked for here, too, over one
connection or several.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from camguard.detect.shape import live_media
from camguard.detect.slow import Look, Slow
from camguard.events import TCP
from camguard.track import HISTORY_S, Flow, Second

PAIRS_MAX = 1024
Ends = tuple[int, bytes]


class Spread(NamedTuple):
    """Connections of one camera to one other end that look live together, the busiest first. `several`: more than one
    carried it lately."""

    ends: Ends
    flows: list[Flow]
    look: Look
    several: bool


@dataclass(slots=True)
class _Pair:
    began_at: float
    seconds: list[Second] = field(default_factory=list)
    widths: list[int] = field(default_factory=list)
    now: dict[bytes, Flow] = field(default_factory=dict)
    lately: dict[bytes, Flow] = field(default_factory=dict)


class Pairs:
    """What each camera sends to each other end, over all connections; capped."""

    def __init__(self, *, width_s: float = 1.5, longest_upload_s: float = 120.0) -> None:
        self._width_s, self._longest_upload_s = width_s, longest_upload_s
        self._pairs: dict[Ends, _Pair] = {}
        self.slow = Slow()

    def add(self, flow: Flow, now: float) -> None:
        """A connection that carries no viewing sent something of weight in the second that ends `now`."""
        if not flow.history or flow.history[-1].at != now:
            return
        ends = (flow.host, flow.peer)
        pair = self._pairs.get(ends)
        if pair is None:
            if len(self._pairs) >= PAIRS_MAX:
                del self._pairs[next(iter(self._pairs))]
            pair = self._pairs[ends] = _Pair(now)
        pair.now[flow.key] = flow

    def forget(self, ends: Ends) -> None:
        """A viewing of these ends is open."""
        self._pairs.pop(ends, None)
        self.slow.forget(ends)

    def live(self, now: float) -> list[Spread]:
        """Once a second: pairs that look live."""
        out: list[Spread] = []
        for ends, pair in list(self._pairs.items()):
            if not pair.now:
                if pair.seconds and now - pair.seconds[-1].at > HISTORY_S:
                    del self._pairs[ends]
                continue
            flows = list(pair.now.values())
            pair.seconds = [*pair.seconds[1 - HISTORY_S :], _sum([flow.history[-1] for flow in flows if flow.history])]
            pair.widths = [*pair.widths[1 - HISTORY_S :], len(flows)]
            pair.lately = {**dict(list(pair.lately.items())[-32:]), **pair.now}
            pair.now = {}
            flows.sort(key=lambda flow: flow.added_up, reverse=True)
            proto, called = _proto(flows), _called(flows)
            several = len(pair.lately) > 1
            slow = self.slow.add(flows[0], pair.seconds[-1], proto, called)
            if several and (words := self._look(pair, proto, called)):
                slow = Look(f"{words}, over several connections", "likely", now - 6.0)
            if slow:
                out.append(Spread(ends, flows, slow, several))
        return out

    def _look(self, pair: _Pair, proto: int, called: bool) -> str | None:
        now = pair.seconds[-1].at
        return live_media(
            pair.seconds,
            now=now,
            proto=proto,
            may_be_upload=called and now - pair.began_at < self._longest_upload_s,
            dry_per_s=max(2.0, self._width_s * max(pair.widths[-6:])),
        )


def _proto(flows: list[Flow]) -> int:
    return TCP if all(flow.proto == TCP for flow in flows) else flows[0].proto


def _called(flows: list[Flow]) -> bool:
    return all(flow.opened_by_camera is not False for flow in flows)


def _sum(seconds: list[Second]) -> Second:
    at, *numbers = zip(*seconds, strict=True)
    return Second(at[0], *(int(sum(column)) for column in numbers))
