"""Floods of one camera: far more to one address than it answers, or than anybody asks. In: counts of its connections,
summed by address for a second; out: what is a flood and goes on for some seconds. Pure; every table capped.

- Packets to an address that is silent, at a rate no video has, or small ones, which no picture is made of (Mirai's
  attack_udp.c, attack_tcp.c and attack_gre.c send small ones, or to ever new ports).
- Connections to one address without end, answered or not; questions to a name server without end (attack_udp_dns).

Video that is pushed to a recorder which never says a word is none: fewer packets, and full ones. TCP that arrives is
acknowledged.
"""

from typing import NamedTuple

from camguard.events import UDP, FlowCount
from camguard.track import Flow

#: Addresses of one second. What is flooded is in nearly all counts of that second, so it comes in before it is full.
SECOND_MAX = 1024
#: What is known to be media may go to somebody who does not answer.
MEDIA = ("rtp", "rtsp", "rtmp", "srt", "mpegts", "dtls", "webrtc", "p2p")
#: A flood with a shorter break is the same one (the ledger may be full of it for two seconds at a time).
BREAK_S = 5.0
#: Packets up for each packet down from which on nothing comes back. TCP acknowledges each 44th or so, merged or not.
SILENT = 200
#: Wire bytes of a packet below which it is small.
SMALL_BYTES = 300


class Limits(NamedTuple):
    """A second to one address: packets to a silent one (`small`: where they are small), new connections, questions to
    a name server; `seconds`: so long at least."""

    packets: float = 3000.0
    small: float = 500.0
    opened: float = 60.0
    asked: float = 100.0
    seconds: int = 3


class Flood(NamedTuple):
    """One that goes on: a connection of it, since when, how many packets a second, in what way."""

    flow: Flow
    since: float
    packets_s: int
    how: str


class _Second:
    __slots__ = ("asked", "down", "flow", "opened", "up", "wire")

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.up = self.down = self.wire = self.opened = self.asked = 0


class _Running:
    __slots__ = ("last_at", "packets", "seconds", "since")

    def __init__(self, since: float) -> None:
        self.since, self.last_at, self.seconds, self.packets = since, since, 0, 0


class Floods:
    """Of one camera."""

    __slots__ = ("_limits", "_running", "_second")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._second: dict[bytes, _Second] = {}
        self._running: dict[bytes, _Running] = {}

    def add(self, flow: Flow, count: FlowCount, opened: bool) -> None:
        """One count; `opened`: the camera began this connection since the last tick."""
        second = self._second.get(flow.peer)
        if second is None:
            if len(self._second) >= SECOND_MAX:
                return
            second = self._second[flow.peer] = _Second(flow)
        second.down += count.packets_down
        second.opened += opened
        if flow.protocol not in MEDIA:
            second.up += count.packets_up
            second.wire += count.wire_up
        if flow.peer_port == 53 and flow.proto == UDP:
            second.asked += count.packets_up

    def tick(self, length_s: float, hears: bool, now: float) -> list[Flood]:
        """The floods of the last `length_s`; `hears`: answers to this camera are seen at all."""
        out = []
        for peer, second in self._second.items():
            how = self._how(second, length_s, hears)
            if how is None:
                continue
            running = self._running.get(peer)
            if running is None:
                running = self._running[peer] = _Running(now - length_s)
            running.last_at, running.seconds, running.packets = now, running.seconds + 1, running.packets + second.up
            if running.seconds >= self._limits.seconds:
                rate = int(running.packets / max(now - running.since, 1.0))
                out.append(Flood(second.flow, running.since, rate, how))
        self._second.clear()
        if self._running:
            self._running = {peer: one for peer, one in self._running.items() if now - one.last_at <= BREAK_S}
        return out

    def _how(self, second: _Second, length_s: float, hears: bool) -> str | None:
        rate, limits = second.up / length_s, self._limits
        if second.opened / length_s >= limits.opened:
            return "connections"
        if second.asked / length_s >= limits.asked:
            return "questions"
        small = second.wire < SMALL_BYTES * second.up
        silent = hears and second.down * SILENT < second.up
        return "packets" if silent and rate >= (limits.small if small else limits.packets) else None
