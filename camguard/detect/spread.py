"""To how many a camera talks: distinct addresses in a sliding window, distinct ports of one address. In: connections
that it opened; out: numbers. Pure; every table capped.
"""

from collections.abc import Iterator

from camguard.detect.newest import Newest
from camguard.track import Flow

#: Addresses that half a window remembers; further ones are only counted.
HALF_MAX = 1024
#: Addresses whose ports are remembered, and ports of each, and for how long.
TRIED_MAX, TRIED_PORTS_MAX, TRIED_S = 64, 256, 60.0


class Window:
    """Distinct addresses of the last `half_s` to twice that: the half that is being filled, and the one before."""

    __slots__ = ("_before", "_filled", "_half_s", "_turned_at", "answered", "since", "total")

    def __init__(self, half_s: float, at: float) -> None:
        self._half_s, self._turned_at, self.since = half_s, at, at
        self._before: dict[bytes, bool] = {}
        self._filled: dict[bytes, bool] = {}
        self.answered = self.total = 0  # of those remembered; all that were ever new

    def add(self, peer: bytes, at: float) -> None:
        """The camera began to talk to `peer`."""
        self.turn(at)
        if peer not in self._filled and peer not in self._before:
            self.total += 1
            if len(self._filled) < HALF_MAX:
                self._filled[peer] = False

    def answers(self, peer: bytes) -> None:
        """`peer` said something."""
        for half in (self._filled, self._before):
            if half.get(peer) is False:
                half[peer] = True
                self.answered += 1

    def turn(self, at: float) -> None:
        """Forgets what is older than the window."""
        age_s = at - self._turned_at
        if age_s < self._half_s:
            return
        lately = age_s < 2 * self._half_s
        self.since = self._turned_at if lately else at
        self._before, self._filled = (self._filled if lately else {}), {}
        self.answered = sum(self._before.values())
        self._turned_at = at

    def __len__(self) -> int:
        return len(self._before) + len(self._filled)


class Ports:
    """Ports at which connections came to nothing, by address; the address tried longest ago goes first."""

    __slots__ = ("_tried",)

    def __init__(self) -> None:
        self._tried: Newest[bytes, tuple[Flow, Newest[int, float]]] = Newest(TRIED_MAX)

    def add(self, flow: Flow, at: float) -> None:
        """A connection without an answer so far."""
        known = self._tried.get(flow.peer) or (flow, Newest(TRIED_PORTS_MAX))
        known[1].put(flow.peer_port, at)
        self._tried.put(flow.peer, known)

    def tried(self, least: int, now: float) -> Iterator[tuple[Flow, int, float]]:
        """A connection to each address of which `least` ports and more were tried in the last `TRIED_S`, how many they
        are, and since when."""
        for flow, ports in self._tried.values():
            if len(ports) >= least:
                lately = [at for at in ports.values() if now - at <= TRIED_S]
                if len(lately) >= least:
                    yield flow, len(lately), lately[0]
