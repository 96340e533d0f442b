"""Viewings and other talk of weight. In: counted Flows and what was read in them; out: Sessions, not judged yet.

A viewing opens
- at once when RTSP says so: PLAY (or RECORD, when the camera pushes) answered 200: certain;
- when RTP was read and goes on: certain, also without any signalling;
- when the numbers of a connection look live (shape.py): likely; certain where the dialogue is RTSP.
RTSP and the RTP that its SETUP named are one viewing; two RTSP dialogues are two. Uploads and downloads of weight that
do not look live become sessions of class clip and download when they end. Times in the Sessions made here are seconds
on the guard's own clock; guard.py turns them into wall-clock time.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from camguard.detect.calls import MEDIA_PORTS_MAX, Call, Calls
from camguard.detect.pairs import Pairs
from camguard.detect.shape import began, live_media
from camguard.detect.weight import Bursts
from camguard.events import UDP, VIEWING, Confidence, Peer, Session, StreamClass
from camguard.track import Flow

SESSIONS_MAX = 2048
#: What can open a viewing; tests switch one off to see that it is needed.
DETECTORS = frozenset({"rtsp", "rtp", "shape"})


@dataclass(slots=True)
class _Talk:
    """A session that is being followed: its main connection, and those that carry its media."""

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

    def flows(self) -> list[Flow]:
        return [self.flow, *(flow for key, flow in self.media.items() if key != self.flow.key)]

    def bytes_up(self) -> int:
        return self.done_up + sum(flow.bytes_up - flow.settled_up for flow in self.flows())

    def bytes_down(self) -> int:
        return self.done_down + sum(flow.bytes_down - flow.settled_down for flow in self.flows())

    def forget(self, flow: Flow) -> None:
        """A connection that carried media is gone; its bytes stay."""
        if self.media.pop(flow.key, None) and flow is not self.flow:
            self.done_up += flow.bytes_up - flow.settled_up
            self.done_down += flow.bytes_down - flow.settled_down

    def over(self) -> bool:
        """The viewer took his leave, or its connections say that they are over. Media that goes on says otherwise."""
        if self.leaving or self.protocol == "rtsp":
            return self.leaving or self.flow.over
        if self.spread:  # the next of its many connections may follow
            return False
        return all(flow.over for flow in self.flows())


class Streams:
    """The sessions of all cameras.

    `silent_s` without media ends a viewing, `over_s` where its end was said; `still_s` a clip or download.
    `media_floor_bytes`: payload a second from the camera that counts as media. `again_s`: what an ended viewing sends
    for so long is its tail, not a new one.
    """

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        wall: Callable[[float], float],
        *,
        silent_s: float = 20.0,
        over_s: float = 2.5,
        still_s: float = 10.0,
        again_s: float = 5.0,
        media_floor_bytes: int = 400,
        detectors: frozenset[str] = DETECTORS,
    ) -> None:
        self._camera_of, self._peer_of, self._wall = camera_of, peer_of, wall
        self._silent_s, self._over_s, self._still_s, self._again_s = silent_s, over_s, still_s, again_s
        self._media_floor_bytes = media_floor_bytes
        self._detectors = detectors
        self._talks: dict[str, _Talk] = {}
        self._by_flow: dict[bytes, _Talk] = {}
        self._calls, self._bursts, self._pairs = Calls(), Bursts(still_s=still_s), Pairs()
        self._spread: dict[tuple[int, bytes], _Talk] = {}
        self._rtp: dict[bytes, float] = {}
        self._just_ended: dict[bytes, float] = {}
        self._refused = {"sessions-refused": 0}

    # ---- what was read ----

    def rtsp(self, flow: Flow, detail: Mapping[str, object], camera_serves: bool, now: float) -> list[Session]:
        """An RTSP request or answer (protocols/rtsp.py); `camera_serves`: the camera is the RTSP server."""
        flow.protocol = "rtsp"
        if "rtsp" not in self._detectors:
            return []
        call = self._calls.heard(flow, detail, self._by_flow)
        method, granted = detail.get("method"), detail.get("status") == 200
        talk = self._by_flow.get(flow.key)
        if method == "TEARDOWN" and talk:
            if granted:
                return self._close(talk, now)
            talk.leaving = detail.get("status") is None  # refused: he stays
            return []
        if granted and method == ("PLAY" if camera_serves else "RECORD"):
            return self._granted(call, talk, f"{method} was answered 200", now)
        return []

    def rtp(self, flow: Flow, now: float) -> None:
        """RTP was read in packets from the camera; it opens a viewing when it goes on (`counted`)."""
        flow.protocol = flow.protocol or "rtp"
        if "rtp" in self._detectors and len(self._rtp) < SESSIONS_MAX:
            self._rtp.setdefault(flow.key, now)

    # ---- what was counted ----

    def counted(self, flow: Flow, now: float) -> list[Session]:
        """A connection has a new second in its history, or has ended."""
        out: list[Session] = []
        talk = self._by_flow.get(flow.key) or self._join(flow)
        if talk and talk.cls in VIEWING:
            if flow.history and flow.history[-1].at == now and flow.history[-1].up >= self._media_floor_bytes:
                talk.active_at = now
        elif not self._is_tail(flow, now):
            out = self._looks_live(flow, talk, now) or self._weighs(flow, talk, now)
            talk = self._by_flow.get(flow.key)
            self._pairs.add(flow, now)
        if flow.closed:
            if talk and talk.over() and not out:
                out += self._close(talk, now)
            elif talk:
                talk.forget(flow)
            self._by_flow.pop(flow.key, None)
            self._rtp.pop(flow.key, None)
            self._bursts.forget(flow.key)
            self._calls.forget(flow.key)
        return out

    def tick(self, now: float) -> list[Session]:
        """Closes what fell silent."""
        out = self._looks_live_together(now)
        for talk in list(self._talks.values()):
            patience_s = self._silent_s if talk.cls in VIEWING else self._still_s
            if now - talk.active_at > (self._over_s if talk.over() else patience_s):
                out += self._close(talk, now)
        self._just_ended = {key: at for key, at in self._just_ended.items() if now - at < self._again_s}
        return out

    def drop(self, hosts: set[int], now: float) -> list[Session]:
        """Closes what these cameras have open."""
        return [
            closed
            for talk in list(self._talks.values())
            if talk.flow.host in hosts
            for closed in self._close(talk, now)
        ]

    def open_sessions(self, now: float) -> list[Session]:
        """What is going on now."""
        return [self._session(talk, "update", now) for talk in self._talks.values()]

    def keys(self) -> set[bytes]:
        """Connections that carry a session or a dialogue: never evicted for new ones."""
        return set(self._by_flow) | self._calls.keys()

    @property
    def counters(self) -> dict[str, int]:
        """What the capped tables refused."""
        return self._refused | self._calls.counters

    def _is_tail(self, flow: Flow, now: float) -> bool:
        """Whether a viewing of this connection, or of the dialogue it serves, has only just ended."""
        call = self._calls.serving(flow) if flow.proto == UDP else None
        return flow.key in self._just_ended or (call is not None and now - call.ended_at < self._again_s)

    # ---- what opens a session ----

    def _granted(self, call: Call, talk: _Talk | None, evidence: str, now: float) -> list[Session]:
        if talk is None:
            cls: StreamClass = "playback" if call.range else "stream"
            return self._start(call.flow, now, now, cls=cls, confidence="certain", evidence=evidence)
        if evidence in talk.evidence:
            return []
        return self._becomes_live(talk, "certain", evidence, now)

    def _join(self, flow: Flow) -> _Talk | None:
        """The viewing that a connection belongs to: by SETUP's ports, RTP of one viewer that began together, or one of
        the many connections of a viewing."""
        call = self._calls.serving(flow) if flow.proto == UDP else None
        talk = self._by_flow.get(call.flow.key) if call else self._spread.get((flow.host, flow.peer))
        if talk is None and flow.key in self._rtp and flow.proto == UDP:
            talk = next((other for other in self._talks.values() if _began_together(other, flow)), None)
        if talk and len(talk.media) < MEDIA_PORTS_MAX:
            talk.media[flow.key] = flow
            self._by_flow[flow.key] = talk
        return talk

    def _looks_live(self, flow: Flow, talk: _Talk | None, now: float) -> list[Session]:
        if not flow.history or flow.history[-1].at != now or flow.closed:
            return []
        confidence: Confidence = "likely" if flow.protocol not in ("rtsp", "rtp") else "certain"
        if flow.key in self._rtp and flow.packets_up >= 10 and flow.history[-1].up >= self._media_floor_bytes:
            evidence: str | None = "RTP was read in it"
        elif "shape" in self._detectors:
            evidence = live_media(flow.history, now=now, proto=flow.proto, may_be_upload=_may_be_upload(flow, now))
        else:
            evidence = None
        if evidence is None:
            return []
        if talk:
            return self._becomes_live(talk, confidence, evidence, now)
        began_at = max(flow.first_at, began(flow.history) - 1.0)
        return self._start(flow, now, began_at, cls="stream", confidence=confidence, evidence=evidence)

    def _looks_live_together(self, now: float) -> list[Session]:
        out: list[Session] = []
        for ends, flows, evidence in self._pairs.live(now) if "shape" in self._detectors else ():
            main = next((flow for flow in flows if flow.key in self._by_flow), flows[0])
            talk = self._by_flow.get(main.key)
            if talk and talk.cls in VIEWING:
                continue
            if talk:
                out += self._becomes_live(talk, "likely", evidence, now)
            else:
                out += self._start(main, now, now - 6.0, cls="stream", confidence="likely", evidence=evidence)
            if talk := self._by_flow.get(main.key):
                self._spread[ends], talk.spread = talk, True
                self._pairs.forget(ends)
        return out

    def _weighs(self, flow: Flow, talk: _Talk | None, now: float) -> list[Session]:
        burst = self._bursts.counted(flow, now)
        if burst is None:
            return []
        if talk:
            talk.active_at = max(talk.active_at, burst.at)
            return []
        evidence = "it moved many bytes at once"
        flow.settled_up, flow.settled_down = burst.base_up, burst.base_down
        return self._start(flow, now, burst.started_at, cls="unknown", confidence="unsure", evidence=evidence)

    # ---- a session's life ----

    def _start(
        self,
        flow: Flow,
        now: float,
        started_at: float,
        *,
        cls: StreamClass,
        confidence: Confidence,
        evidence: str,
    ) -> list[Session]:
        if len(self._talks) >= SESSIONS_MAX:
            self._refused["sessions-refused"] += 1
            return []
        name = f"{self._camera_of(flow.host)}|{flow.key.hex()}|{self._wall(started_at):.3f}"
        session_id = hashlib.blake2s(name.encode(), digest_size=5).hexdigest()
        protocol = flow.protocol or "unknown"
        talk = _Talk(session_id, flow, started_at, now, cls, confidence, protocol, [evidence])
        self._talks[session_id] = self._by_flow[flow.key] = talk
        return [self._session(talk, "open", now)]

    def _becomes_live(self, talk: _Talk, confidence: Confidence, evidence: str, now: float) -> list[Session]:
        talk.evidence.append(evidence)
        talk.cls, talk.confidence, talk.active_at = "stream", confidence, now
        talk.protocol = talk.flow.protocol or talk.protocol
        return [self._session(talk, "update", now)]

    def _close(self, talk: _Talk, now: float) -> list[Session]:
        self._talks.pop(talk.id, None)
        if self._spread.get((talk.flow.host, talk.flow.peer)) is talk:
            del self._spread[(talk.flow.host, talk.flow.peer)]
        for flow in talk.flows():
            self._by_flow.pop(flow.key, None)
            self._bursts.forget(flow.key)
            self._just_ended[flow.key] = now
        if talk.cls == "unknown":
            talk.cls = "download" if talk.bytes_down() > talk.bytes_up() else "clip"
            talk.confidence = "likely"
        self._calls.ended(talk.flow.key, now)
        closed = self._session(talk, "closed", now)
        for flow in talk.flows():
            flow.settled_up, flow.settled_down = flow.bytes_up, flow.bytes_down
        return [closed]

    def _session(self, talk: _Talk, state: Literal["open", "update", "closed"], now: float) -> Session:
        flow = talk.flow
        ended_at = (now if now - talk.active_at < 1.0 else talk.active_at) if state == "closed" else None
        span_s = max(1.0, (ended_at or now) - talk.started_at)
        by_camera = flow.opened_by_camera
        return Session(
            id=talk.id,
            time=now,
            camera=self._camera_of(flow.host),
            state=state,
            peer=self._peer_of(flow),
            transport="udp" if any(media.proto == UDP for media in talk.flows()) else "tcp",
            protocol=talk.protocol,
            initiator=None if by_camera is None else "camera" if by_camera else "peer",
            cls=talk.cls,
            confidence=talk.confidence,
            started=talk.started_at,
            ended=ended_at,
            bytes_up=talk.bytes_up(),
            bytes_down=talk.bytes_down(),
            rate_kbps=round(talk.bytes_up() * 8 / 1000 / span_s),
            verdict=None,
            reason=None,
            evidence=tuple(talk.evidence),
        )


def _began_together(talk: _Talk, flow: Flow, *, within_s: float = 5.0) -> bool:
    """Sound and picture of one RTP viewer without signalling: same camera, same viewer, same moment."""
    other = talk.flow
    same_ends = (other.host, other.peer) == (flow.host, flow.peer)
    return talk.protocol in ("rtp", "rtsp") and same_ends and abs(talk.started_at - flow.first_at) < within_s


def _may_be_upload(flow: Flow, now: float, *, longest_s: float = 120.0) -> bool:
    """A camera that calls somebody and is answered piece by piece may be storing a file, for a while. Whoever called
    the camera himself, or keeps it sending for longer, is looking, whatever he sends back."""
    return flow.opened_by_camera is not False and now - flow.busy_at < longest_s
