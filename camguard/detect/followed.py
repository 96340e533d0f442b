"""A session that is being followed. In: connections and what stream.py decides; out: its Session as an event."""

from dataclasses import dataclass, field
from typing import Literal

from camguard.detect.allday import ENDLESS_S, Pace
from camguard.events import UDP, Confidence, Peer, Session, StreamClass
from camguard.track import Flow

#: What moves pictures or sound now: media that goes on keeps it open, and no second one opens beside it.
LIVE = ("stream", "playback", "talk")
EVIDENCE_MAX = 8
#: Evidence that judge/ looks for: a rule for what goes on day and night does not cover what begins beside it.
BESIDE = "it began beside what goes on day and night"


@dataclass(slots=True)
class Followed:
    """`flow`: its main connection, `media`: those that carry its media. `spread`: over many, one after another.
    `clip_like`: if it ends soon, it was a clip. `pauses`: it comes in pieces, with breaks in between. `pace`: it is a
    change in what this connection of another session sends.
    """

    id: str
    flow: Flow
    started_at: float
    active_at: float
    cls: StreamClass
    confidence: Confidence
    protocol: str
    evidence: list[str]
    media: dict[bytes, Flow] = field(default_factory=dict)
    done_up: int = 0
    done_down: int = 0
    leaving: bool = False
    spread: bool = False
    clip_like: bool = False
    pauses: bool = False
    pace: Pace | None = None

    def flows(self) -> list[Flow]:
        """All its connections, the main one first."""
        return [self.flow, *(flow for key, flow in self.media.items() if key != self.flow.key)]

    def is_of(self, host: int, peer: bytes) -> bool:
        """Whether it is between these ends."""
        return (self.flow.host, self.flow.peer) == (host, peer)

    def bytes_up(self) -> int:
        """Wire bytes from the camera."""
        return max(0, self.done_up + sum(flow.bytes_up - flow.settled_up for flow in self.flows()))

    def bytes_down(self) -> int:
        """Wire bytes to the camera."""
        return max(0, self.done_down + sum(flow.bytes_down - flow.settled_down for flow in self.flows()))

    def forget(self, flow: Flow) -> None:
        """A connection that carried media is gone; its bytes stay."""
        if self.media.pop(flow.key, None) and flow is not self.flow:
            self.done_up += flow.bytes_up - flow.settled_up
            self.done_down += flow.bytes_down - flow.settled_down

    def add(self, *evidence: str) -> None:
        """More facts; each once."""
        self.evidence += [one for one in evidence if one not in self.evidence][: EVIDENCE_MAX - len(self.evidence)]

    def becomes(self, cls: StreamClass, confidence: Confidence, protocol: str) -> bool:
        """What it is after one more fact; whether that is news. Talk and recordings stay what they are."""
        before = (self.cls, self.confidence, self.protocol)
        if not (cls == "stream" and self.cls in LIVE) and not (cls == "playback" and self.cls == "talk"):
            self.cls = cls
        if self.confidence != "certain" or self.cls != before[0]:
            self.confidence = confidence
        self.protocol = protocol
        return before != (self.cls, self.confidence, self.protocol)

    @property
    def found(self) -> bool:
        """Whether it is a viewing for all that is known, and no mere guess that it might be one."""
        return self.cls in LIVE and self.confidence != "unsure"

    def endless(self, now: float) -> bool:
        """Whether it goes on day and night, as far as is known."""
        return self.found and now - self.started_at >= ENDLESS_S and now - self.active_at < 5.0

    def over(self) -> bool:
        """The viewer took his leave, or its connections say that they are over. Media that goes on says otherwise."""
        if self.leaving or self.protocol == "rtsp":
            return self.leaving or self.flow.over
        if self.spread:  # the next of its many connections may follow
            return False
        return all(flow.over for flow in self.flows())

    def session(self, state: Literal["open", "update", "closed"], now: float, camera: str, peer: Peer) -> Session:
        """The event; no verdict yet."""
        ended_at = (now if now - self.active_at < 1.0 else self.active_at) if state == "closed" else None
        span_s = max(1.0, (ended_at or now) - self.started_at)
        by_camera = self.flow.opened_by_camera
        hours = int(span_s // 3600)
        so_long = (f"it has sent like this for {hours} hour{'s' if hours > 1 else ''}",) if hours and self.found else ()
        return Session(
            id=self.id,
            time=now,
            camera=camera,
            state=state,
            peer=peer,
            transport="udp" if any(media.proto == UDP for media in self.flows()) else "tcp",
            protocol=self.protocol,
            initiator=None if by_camera is None else "camera" if by_camera else "peer",
            cls=self.cls,
            confidence=self.confidence,
            started=self.started_at,
            ended=ended_at,
            bytes_up=self.bytes_up(),
            bytes_down=self.bytes_down(),
            rate_kbps=round(self.bytes_up() * 8 / 1000 / span_s),
            verdict=None,
            reason=None,
            evidence=(*self.evidence, *so_long),
        )
