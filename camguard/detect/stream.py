"""Viewings and other talk of weight. In: Flows that were counted and what was read in them; out: Sessions, verdict still None.

A viewing opens
- at once when RTSP says so: PLAY (or RECORD, when the camera pushes) answered 200: certain;
- when RTP was read and goes on: certain, also without any signalling;
- when the numbers of a connection look live (shape.py): likely; certain where the dialogue is RTSP.
RTSP and the RTP that its SETUP named are one viewing; two RTSP dialogues are two. Uploads and downloads of weight that do
not look live become sessions of class clip and download when they end. Times in the Sessions made here are seconds on the
guard's own clock; guard.py turns them into wall-clock time.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from camguard.detect.shape import live_media
from camguard.events import UDP, Confidence, Peer, Session, StreamClass
from camguard.track import Flow

SESSIONS_MAX = 2048
CALLS_MAX = 4096
MEDIA_PORTS_MAX = 64
#: What can open a viewing; tests switch one off to see that it is needed.
DETECTORS = frozenset({"rtsp", "rtp", "shape"})
PeerOf = Callable[[Flow], Peer]


@dataclass(slots=True)
class _Call:
    """An RTSP dialogue: where its media goes, as its SETUP answers said."""

    flow: Flow
    media: set[tuple[int, bytes, str, int]] = field(default_factory=set)
    range: bool = False
    ended_at: float | None = None


@dataclass(slots=True)
class _Talk:
    """A session that is being followed."""

    id: str
    flow: Flow
    started_at: float
    cls: StreamClass
    confidence: Confidence
    protocol: str
    evidence: list[str]
    media: dict[bytes, Flow] = field(default_factory=dict)
    base_up: int = 0
    base_down: int = 0
    active_at: float = 0.0
    told: bool = False

    def flows(self) -> list[Flow]:
        return [self.flow, *(flow for key, flow in self.media.items() if key != self.flow.key)]

    def bytes_up(self) -> int:
        return sum(flow.bytes_up for flow in self.flows()) - self.base_up

    def bytes_down(self) -> int:
        return sum(flow.bytes_down for flow in self.flows()) - self.base_down


class Streams:
    """The sessions of all cameras. `silent_s` without media ends a viewing, `still_s` a clip or download.

    `media_floor_bytes`: payload a second from the camera that counts as media; `clip_bytes`, `download_bytes`: from when on
    an upload or download is worth a session; `camera_of` gives a camera's name by its number.
    """

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: PeerOf,
        wall: Callable[[float], float],
        *,
        silent_s: float = 20.0,
        still_s: float = 10.0,
        media_floor_bytes: int = 400,
        clip_bytes: int = 256_000,
        download_bytes: int = 1_000_000,
        detectors: frozenset[str] = DETECTORS,
    ) -> None:
        self._camera_of, self._peer_of, self._wall = camera_of, peer_of, wall
        self._silent_s, self._still_s = silent_s, still_s
        self._media_floor_bytes = media_floor_bytes
        self._clip_bytes, self._download_bytes = clip_bytes, download_bytes
        self._detectors = detectors
        self._talks: dict[str, _Talk] = {}
        self._by_flow: dict[bytes, _Talk] = {}
        self._calls: dict[bytes, _Call] = {}
        self._media: dict[tuple[int, bytes, str, int], _Call] = {}
        self._rtp: dict[bytes, float] = {}
        self._just_ended: dict[bytes, float] = {}
        self._bursts: dict[bytes, tuple[float, float, int, int, int, int]] = {}
        self.counters = {"sessions-refused": 0, "calls-evicted": 0}

    # ---- what was read ----

    def rtsp(self, flow: Flow, detail: Mapping[str, object], camera_serves: bool, now: float) -> list[Session]:
        """An RTSP request or answer (protocols/rtsp.py); `camera_serves`: the camera is the RTSP server."""
        flow.protocol = "rtsp"
        if "rtsp" not in self._detectors:
            return []
        call = self._call(flow)
        method, status = detail.get("method"), detail.get("status")
        if method == "SETUP" and status == 200:
            self._learn_media(call, detail)
        elif method == "PLAY" and detail.get("range") and _is_playback(str(detail["range"])):
            call.range = True
        if method == "TEARDOWN":
            return self._close_call(call, now)
        if status == 200 and ((method == "PLAY" and camera_serves) or (method == "RECORD" and not camera_serves)):
            return self._open_call(call, str(method), now)
        return []

    def rtp(self, flow: Flow, now: float) -> None:
        """RTP was read in packets from the camera; it opens a viewing when it goes on (`counted`)."""
        flow.protocol = flow.protocol or "rtp"
        if "rtp" in self._detectors and len(self._rtp) < SESSIONS_MAX:
            self._rtp.setdefault(flow.key, now)

    # ---- what was counted ----

    def counted(self, flow: Flow, now: float) -> list[Session]:
        """A connection has a new second in its history (or has ended)."""
        out: list[Session] = []
        talk = self._by_flow.get(flow.key)
        if talk is None and flow.proto == UDP:
            talk = self._join(flow)
        last = flow.history[-1] if flow.history else None
        if last and last.at >= now - 0.001 and last.up >= self._media_floor_bytes and talk:
            talk.active_at = now
        if talk is None or talk.cls in ("unknown", "clip", "download"):
            out += self._looks_live(flow, talk, now)
            talk = self._by_flow.get(flow.key)
        if talk is None or talk.cls in ("unknown", "clip", "download"):
            out += self._weighs(flow, talk, now)
            talk = self._by_flow.get(flow.key)
        if flow.ended and talk and all(other.ended for other in talk.flows()[: None if talk.protocol != "rtsp" else 1]):
            out += self._close(talk, now)
        if flow.closed:
            self._forget(flow.key)
        return out

    def tick(self, now: float) -> list[Session]:
        """Closes what fell silent."""
        out: list[Session] = []
        for talk in list(self._talks.values()):
            still_s = self._silent_s if talk.cls in ("stream", "playback", "talk") else self._still_s
            if now - talk.active_at > still_s:
                out += self._close(talk, now)
        for key, ended_at in list(self._just_ended.items()):
            if now - ended_at > 60:
                del self._just_ended[key]
        return out

    def open_sessions(self, now: float) -> list[Session]:
        """What is going on now."""
        return [self._session(talk, "update", now) for talk in self._talks.values() if talk.told]

    def keys(self) -> set[bytes]:
        """Connections that carry a session: never evicted for new ones."""
        return set(self._by_flow) | set(self._calls)

    # ---- RTSP ----

    def _call(self, flow: Flow) -> _Call:
        call = self._calls.get(flow.key)
        if call is None:
            if len(self._calls) >= CALLS_MAX:
                idle = next((key for key in self._calls if key not in self._by_flow), next(iter(self._calls)))
                self._forget_call(idle)
                self.counters["calls-evicted"] += 1
            call = self._calls[flow.key] = _Call(flow)
        return call

    def _learn_media(self, call: _Call, detail: Mapping[str, object]) -> None:
        flow = call.flow
        for side, ports in (("peer", detail.get("client_ports")), ("camera", detail.get("server_ports"))):
            for port in ports if isinstance(ports, tuple) else ():
                key = (flow.host, flow.peer, side, int(port))
                if int(port) and len(call.media) < MEDIA_PORTS_MAX:
                    call.media.add(key)
                    self._media[key] = call

    def _open_call(self, call: _Call, method: str, now: float) -> list[Session]:
        talk = self._by_flow.get(call.flow.key)
        evidence = f"{method} was answered 200"
        if talk is None:
            cls: StreamClass = "playback" if call.range else "stream"
            talk = self._start(call.flow, now, cls, "certain", "rtsp", evidence)
            return self._tell(talk, now) if talk else []
        if evidence in talk.evidence:
            return []
        talk.evidence.append(evidence)
        return self._raise_to(talk, "stream", "certain", now)

    def _close_call(self, call: _Call, now: float) -> list[Session]:
        talk = self._by_flow.get(call.flow.key)
        call.ended_at = now
        return self._close(talk, now) if talk else []

    def _join(self, flow: Flow) -> _Talk | None:
        """The RTSP viewing that a UDP connection belongs to, or the RTP viewing of the same viewer that began with it."""
        call = self._media.get((flow.host, flow.peer, "peer", flow.peer_port)) or self._media.get(
            (flow.host, flow.peer, "camera", flow.host_port)
        )
        talk = self._by_flow.get(call.flow.key) if call else None
        if talk is None and flow.key in self._rtp:
            talk = next(
                (
                    other
                    for other in self._talks.values()
                    if other.protocol in ("rtp", "rtsp")
                    and other.flow.host == flow.host
                    and other.flow.peer == flow.peer
                    and abs(other.started_at - flow.first_at) < 5
                ),
                None,
            )
        if talk:
            self._adopt(talk, flow)
        return talk

    def _adopt(self, talk: _Talk, flow: Flow) -> None:
        if flow.key not in talk.media and len(talk.media) < MEDIA_PORTS_MAX:
            talk.media[flow.key] = flow
            self._by_flow[flow.key] = talk

    # ---- shapes ----

    def _looks_live(self, flow: Flow, talk: _Talk | None, now: float) -> list[Session]:
        if not flow.history or now - self._just_ended.get(flow.key, float("-inf")) < 5:
            return []
        if flow.key in self._rtp and flow.packets_up >= 10 and flow.history[-1].up >= self._media_floor_bytes:
            started_at = min(self._rtp[flow.key], flow.history[0].at)
            return self._begin(flow, talk, now, started_at, "certain", "rtp", "RTP was read in it")
        if "shape" not in self._detectors:
            return []
        look = live_media(flow.history, now=now, proto=flow.proto)
        if look is None:
            return []
        certain = flow.protocol in ("rtsp", "rtp")
        began_at = max(flow.first_at, flow.history[0].at - 1.0)
        return self._begin(flow, talk, now, began_at, "certain" if certain else "likely", flow.protocol or "unknown", look)

    def _begin(
        self,
        flow: Flow,
        talk: _Talk | None,
        now: float,
        began_at: float,
        confidence: Confidence,
        protocol: str,
        evidence: str,
    ) -> list[Session]:
        if talk is None:
            talk = self._start(flow, now, "stream", confidence, protocol, evidence, began_at)
            return self._tell(talk, now) if talk else []
        talk.evidence.append(evidence)
        talk.active_at = now
        return self._raise_to(talk, "stream", confidence, now)

    # ---- clips and downloads ----

    def _weighs(self, flow: Flow, talk: _Talk | None, now: float) -> list[Session]:
        last = flow.history[-1] if flow.history else None
        up, down = flow.bytes_up, flow.bytes_down
        if talk:
            if last and (last.up >= 2000 or last.down >= 2000) and last.at >= now - 0.001:
                talk.active_at = now
            return []
        burst = self._bursts.get(flow.key)
        if burst is None or now - burst[1] > self._still_s:
            if len(self._bursts) >= SESSIONS_MAX:
                del self._bursts[next(iter(self._bursts))]
            before_up, before_down = (burst[4], burst[5]) if burst else (0, 0)
            burst = (max(flow.first_at, now - 1.0), now, before_up, before_down, up, down)
        if up - burst[4] + down - burst[5] >= 2000:
            burst = (burst[0], now, burst[2], burst[3], up, down)
        self._bursts[flow.key] = burst
        started_at, _, before_up, before_down, _, _ = burst
        sent, received = up - before_up, down - before_down
        if sent < self._clip_bytes and received < self._download_bytes:
            return []
        evidence = f"{sent // 1000} kB up and {received // 1000} kB down so far"
        talk = self._start(flow, now, "unknown", "unsure", flow.protocol or "unknown", evidence, started_at)
        if talk is None:
            return []
        talk.base_up, talk.base_down = before_up, before_down
        return self._tell(talk, now)

    # ---- a session's life ----

    def _start(
        self,
        flow: Flow,
        now: float,
        cls: StreamClass,
        confidence: Confidence,
        protocol: str,
        evidence: str,
        started_at: float | None = None,
    ) -> _Talk | None:
        if len(self._talks) >= SESSIONS_MAX:
            self.counters["sessions-refused"] += 1
            return None
        started_at = now if started_at is None else started_at
        name = f"{self._camera_of(flow.host)}|{flow.key.hex()}|{self._wall(started_at):.3f}"
        talk = _Talk(
            hashlib.blake2s(name.encode(), digest_size=5).hexdigest(),
            flow,
            started_at,
            cls,
            confidence,
            protocol,
            [evidence],
            active_at=now,
        )
        self._talks[talk.id] = talk
        self._by_flow[flow.key] = talk
        return talk

    def _tell(self, talk: _Talk, now: float) -> list[Session]:
        state: Literal["open", "update"] = "update" if talk.told else "open"
        talk.told = True
        return [self._session(talk, state, now)]

    def _raise_to(self, talk: _Talk, cls: StreamClass, confidence: Confidence, now: float) -> list[Session]:
        if (talk.cls, talk.confidence) == (cls, confidence):
            return []
        talk.cls, talk.confidence = cls, confidence
        return self._tell(talk, now)

    def _close(self, talk: _Talk, now: float) -> list[Session]:
        self._talks.pop(talk.id, None)
        for flow in talk.flows():
            self._by_flow.pop(flow.key, None)
            self._rtp.pop(flow.key, None)
            self._bursts.pop(flow.key, None)
            if not flow.ended:
                self._just_ended[flow.key] = now
        if talk.cls == "unknown":
            talk.cls = "download" if talk.bytes_down() > talk.bytes_up() else "clip"
            talk.confidence = "likely"
        return [self._session(talk, "closed", now)]

    def _forget(self, key: bytes) -> None:
        self._rtp.pop(key, None)
        self._bursts.pop(key, None)
        self._forget_call(key)

    def _forget_call(self, key: bytes) -> None:
        call = self._calls.pop(key, None)
        if call:
            for media in call.media:
                if self._media.get(media) is call:
                    del self._media[media]

    def _session(self, talk: _Talk, state: Literal["open", "update", "closed"], now: float) -> Session:
        flow = talk.flow
        ended_at = max(talk.active_at, talk.started_at) if state == "closed" else None
        span_s = max(1.0, (ended_at or now) - talk.started_at)
        by_camera = flow.opened_by_camera
        return Session(
            id=talk.id,
            time=now,
            camera=self._camera_of(flow.host),
            state=state,
            peer=self._peer_of(flow),
            transport="udp" if any(media.proto == UDP for media in talk.media.values()) or flow.proto == UDP else "tcp",
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


def _is_playback(text: str) -> bool:
    """A Range that names a moment other than now or the start asks for recorded footage (RFC 2326, 12.29)."""
    return text.startswith("clock=") or (text.startswith("npt=") and not text.startswith(("npt=now", "npt=0-", "npt=0.0")))
