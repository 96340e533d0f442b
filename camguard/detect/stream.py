"""Viewings and other talk of weight. In: counted Flows and what was read in them; out: Sessions, not judged yet.

A viewing opens
- at once when RTSP says so: PLAY (or RECORD, when the camera pushes) answered 200: certain;
- at once when another protocol says so, or when enough pieces came (media.py): certain;
- when RTP or other media was read and goes on: certain, also without any signalling;
- when the numbers of a connection look live (shape.py): likely; certain where the dialogue is RTSP; in a third of the
  time where the other end was announced (a maker's server told the camera to call it);
- when a longer look says so (slow.py), or something begins beside what goes on day and night (allday.py): unsure, or
  likely as it goes on. What is no more than this camera sends there all day (idle.py) stays unsure.
RTSP and the RTP that its SETUP named are one viewing; two RTSP dialogues are two. Whoever turns the camera or speaks
through it does so in the viewing that he has open, else in a session of class control or talk of his own. Uploads and
downloads of weight that do not look live become sessions of class clip and download when they end. Times in the
Sessions made here are seconds on the guard's own clock; guard.py turns them into wall-clock time.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from camguard.detect.allday import Paces, stays
from camguard.detect.calls import MEDIA_PORTS_MAX, Call, Calls
from camguard.detect.followed import BESIDE, LIVE, Followed
from camguard.detect.idle import Idle
from camguard.detect.media import WEAK, Callers, Pieces, Read, Said, said
from camguard.detect.pairs import Pairs
from camguard.detect.shape import began, live_media
from camguard.detect.slow import CLIP_MAX_S
from camguard.detect.talks import SESSIONS_MAX, Talks
from camguard.detect.weight import Bursts
from camguard.events import UDP, Confidence, Peer, Session, StreamClass
from camguard.track import Flow

#: What can open a viewing; tests switch one off to see that it is needed.
DETECTORS = frozenset({"rtsp", "rtp", "shape", "media"})
#: Dialogues whose only purpose is live media: what looks live in them is.
_CERTAIN = ("rtsp", "rtp", "webrtc")
#: RTP payload types of sound (RFC 3551, table 4); video has others, most have none of their own.
_SOUND = frozenset(range(24)) - {1, 2, 19, 20, 21, 22, 23}
_TUNNELS = {"wireguard": "a WireGuard tunnel", "openvpn": "an OpenVPN tunnel", "ssh": "an SSH tunnel"}


class Streams:
    """The sessions of all cameras.

    `silent_s` without media ends a viewing, `over_s` where its end was said, `back_s` where the numbers told it: its
    viewer may be back over another connection, `pause_s` where he comes and goes; `still_s` a clip or download.
    `media_floor_bytes`: payload a second from the camera that counts as media. `again_s`: what an ended viewing sends
    for so long is its tail, not a new one; `rare_s`: what comes now and then (heartbeat) may pause for so long.
    """

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        wall: Callable[[float], float],
        *,
        silent_s: float = 20.0,
        over_s: float = 2.5,
        back_s: float = 6.0,
        pause_s: float = 60.0,
        still_s: float = 10.0,
        again_s: float = 5.0,
        rare_s: float = 180.0,
        media_floor_bytes: int = 400,
        detectors: frozenset[str] = DETECTORS,
    ) -> None:
        self._camera_of, self._peer_of = camera_of, peer_of
        self._silent_s, self._over_s, self._still_s, self._again_s = silent_s, over_s, still_s, again_s
        self._rare_s, self._media_floor_bytes, self._pause_s = rare_s, media_floor_bytes, pause_s
        self._detectors = detectors
        self._talks = Talks(camera_of, peer_of, wall, back_s=back_s)
        self._calls, self._bursts, self._pairs = Calls(), Bursts(still_s=still_s), Pairs()
        self._pieces, self._callers = Pieces(rare_s=rare_s), Callers()
        self._idle, self._paces = Idle(peer_of), Paces()
        self._going_on: dict[bytes, str] = {}
        self._just_ended: dict[bytes, float] = {}
        self._refused = {"sessions-refused": 0}

    # ---- what was read ----

    def rtsp(self, flow: Flow, detail: Mapping[str, object], camera_serves: bool, now: float) -> list[Session]:
        """An RTSP request or answer (protocols/rtsp.py); `camera_serves`: the camera is the RTSP server."""
        flow.protocol = "rtsp"
        if "rtsp" not in self._detectors:
            return []
        call = self._calls.heard(flow, detail, self._talks.by_flow)
        method, granted = detail.get("method"), detail.get("status") == 200
        talk = self._talks.by_flow.get(flow.key)
        if method == "TEARDOWN" and talk:
            if granted:
                return self._close(talk, now)
            talk.leaving = detail.get("status") is None  # refused: he stays
            return []
        if granted and method == ("PLAY" if camera_serves else "RECORD"):
            return self._granted(call, talk, f"{method} was answered 200", now)
        return []

    def rtp(self, flow: Flow, now: float, payload_type: object = None) -> None:
        """RTP was read in packets from the camera; it opens a viewing when it goes on (`counted`)."""
        webrtc = flow.protocol in ("stun", "dtls", "webrtc")
        self._name(flow, "webrtc" if webrtc else "rtp")
        if "rtp" in self._detectors:
            what = "RTP with sound" if payload_type in _SOUND else "RTP"
            words = f"{what} was read in it" + (", set up as WebRTC does (STUN, DTLS)" if webrtc else "")
            if what == "RTP" and flow.key in self._going_on:  # sound came first, on the same connection
                self._going_on[flow.key] = words
            self._goes_on(flow, words)

    def heard(self, flow: Flow, up: bool, reading: Read, camera_serves: bool, now: float) -> list[Session]:
        """Any other reading (protocols/); `up`: the camera said it, `camera_serves`: it is the dialogue's server."""
        fact = said(reading, up, camera_serves)
        if reading.what == "http":
            self._pieces.asked(flow, reading.detail)
        elif reading.what == "http-media" and fact.cls is None:
            fact = self._pieces.heard(flow, reading.detail, now)
        elif reading.what in ("stun", "p2p"):
            self._callers.heard(flow, up, reading, now)
            if talk := self._talks.by_flow.get(flow.key):
                talk.add(*self._callers.words(flow))
        self._name(flow, fact.protocol)
        if "media" not in self._detectors or fact.opens == "no":
            return []
        if fact.opens == "goes-on":
            self._goes_on(flow, fact.evidence)
            return []
        return self._opens(flow, fact, now)

    # ---- what was counted ----

    def counted(self, flow: Flow, now: float) -> list[Session]:
        """A connection has a new second in its history, or has ended."""
        out: list[Session] = []
        self._idle.add(flow)
        talk = self._talks.by_flow.get(flow.key) or self._join(flow)
        sent = flow.history[-1].up if flow.history and flow.history[-1].at == now else 0
        if talk and talk.cls in LIVE and sent >= self._media_floor_bytes:
            talk.active_at = now
        if talk and talk.found:
            out = self._changes(flow, talk, now)
        elif not self._is_tail(flow, now):
            out = self._looks_live(flow, talk, now) or self._weighs(flow, talk, now) or self._signals(flow, now)
            talk = self._talks.by_flow.get(flow.key)
            self._pairs.add(flow, now)
        if flow.closed:
            if talk and talk.over() and not out and not self._talks.may_come_back(talk):
                out += self._close(talk, now)
            elif talk:
                talk.forget(flow)
            self._talks.by_flow.pop(flow.key, None)
            self._going_on.pop(flow.key, None)
            self._callers.forget(flow.key)
            self._pieces.forget(flow.key)
            self._bursts.forget(flow.key)
            self._calls.forget(flow.key)
            self._paces.forget(flow.key)
        return out

    def tick(self, now: float) -> list[Session]:
        """Closes what fell silent."""
        self._idle.tick(now)
        self._talks.tick(now)
        out = self._looks_live_together(now)
        for talk in list(self._talks.open.values()):
            if talk.pace:  # a change ends with what it is a change in, or is no change any more
                if not talk.pace.going_on(now) or talk.flow.key not in self._talks.by_flow:
                    out += self._close(talk, now)
                continue
            patience_s = self._silent_s if talk.cls in (*LIVE, "control") else self._still_s
            patience_s = self._rare_s if talk.cls == "heartbeat" else patience_s
            patience_s = self._pause_s if talk.pauses else patience_s
            over_s = self._talks.back_s if self._talks.may_come_back(talk) else self._over_s
            if now - talk.active_at > (over_s if talk.over() else patience_s):
                out += self._close(talk, now)
        self._just_ended = {key: at for key, at in self._just_ended.items() if now - at < self._again_s}
        return out

    def drop(self, hosts: set[int], now: float) -> list[Session]:
        """Closes what these cameras have open."""
        return [
            closed
            for talk in list(self._talks.open.values())
            if talk.flow.host in hosts
            for closed in self._close(talk, now)
        ]

    def open_sessions(self, now: float) -> list[Session]:
        """What is going on now."""
        return [self._session(talk, "update", now) for talk in self._talks.open.values()]

    def flows_of(self, session_id: str) -> list[Flow]:
        """The connections of a session that is open."""
        talk = self._talks.open.get(session_id)
        return talk.flows() if talk else []

    def keys(self) -> set[bytes]:
        """Connections that carry a session or a dialogue: never evicted for new ones."""
        return set(self._talks.by_flow) | self._calls.keys()

    @property
    def counters(self) -> dict[str, int]:
        """What the capped tables refused."""
        return self._refused | self._calls.counters

    def _is_tail(self, flow: Flow, now: float) -> bool:
        """Whether a viewing of this connection, or of the dialogue it serves, has only just ended."""
        call = self._calls.serving(flow) if flow.proto == UDP else None
        return flow.key in self._just_ended or (call is not None and now - call.ended_at < self._again_s)

    # ---- what opens a session ----

    def _granted(self, call: Call, talk: Followed | None, evidence: str, now: float) -> list[Session]:
        if talk is None:
            cls: StreamClass = "playback" if call.range else "stream"
            return self._start(call.flow, now, now, cls=cls, confidence="certain", evidence=evidence)
        if evidence in talk.evidence:
            return []
        return self._becomes(talk, "playback" if call.range else "stream", "certain", evidence, now)

    def _opens(self, flow: Flow, fact: Said, now: float) -> list[Session]:
        """Somebody was given pictures or sound, or moved the camera, and the dialogue says so."""
        talk = self._talks.by_flow.get(flow.key) or (
            self._talks.of_viewer(flow) if fact.cls != "stream" or fact.pieces else None
        )
        cls: StreamClass = fact.cls or "stream"
        if talk is None:
            out = self._start(flow, now, now, cls=cls, confidence="certain", evidence=fact.evidence)
            talk = self._talks.by_flow.get(flow.key)
        elif talk.cls in LIVE and cls in ("control", "heartbeat"):
            talk.add(fact.evidence)
            return []
        else:
            out = self._becomes(talk, cls, "certain", fact.evidence, now, only_news=True)
        if talk and (fact.pieces or cls == "control"):
            talk.spread = True  # each step of it may come over a connection of its own
        if talk and fact.pieces:
            self._talks.spread[(flow.host, flow.peer)] = talk
        return out

    def _goes_on(self, flow: Flow, evidence: str) -> None:
        if len(self._going_on) < SESSIONS_MAX:
            self._going_on.setdefault(flow.key, evidence)

    def _name(self, flow: Flow, protocol: str | None) -> None:
        """What a connection is called, as well as is known."""
        if {flow.protocol, protocol} == {"stun", "dtls"}:
            flow.protocol = "webrtc"
        elif protocol and (flow.protocol is None or (flow.protocol in WEAK and protocol not in WEAK)):
            flow.protocol = protocol

    def _join(self, flow: Flow) -> Followed | None:
        """The viewing that a connection belongs to: by SETUP's ports, RTP of one viewer that began together, or one of
        the many connections of a viewing."""
        call = self._calls.serving(flow) if flow.proto == UDP else None
        talk = self._talks.by_flow.get(call.flow.key) if call else self._talks.spread.get((flow.host, flow.peer))
        if talk is None and flow.key in self._going_on and flow.proto == UDP:
            talk = next((other for other in self._talks.open.values() if _began_together(other, flow)), None)
        if talk and len(talk.media) < MEDIA_PORTS_MAX:
            self._talks.takes(talk, flow)
        return talk

    def _looks_live(self, flow: Flow, talk: Followed | None, now: float) -> list[Session]:
        if not flow.history or flow.history[-1].at != now or flow.closed:
            return []
        if talk is None and (before := self._talks.went_on(flow)) and self._shape(flow, now, 2.0):
            before.add("its viewer came back over another connection")
            before.active_at = now
            self._talks.takes(before, flow)
            return []
        last = flow.history[-1]
        going_on = self._going_on.get(flow.key)
        confidence: Confidence = "certain" if going_on or flow.protocol in _CERTAIN else "likely"
        if going_on and flow.packets_up >= 10 and last.up >= max(self._media_floor_bytes, last.down // 4):
            evidence: str | None = going_on
        elif "shape" in self._detectors:
            evidence = self._shape(flow, now)
        else:
            evidence = None
        if evidence is None:
            return []
        if confidence == "likely" and self._is_usual(flow, now):
            if talk and talk.cls in LIVE:
                return []
            confidence, evidence = "unsure", f"{evidence}, as it sends there day and night"
        else:
            self._pairs.forget((flow.host, flow.peer))
        if talk:
            return self._becomes(talk, "stream", confidence, evidence, now)
        began_at = max(flow.first_at, began(flow.history) - 1.0)
        return self._start(flow, now, began_at, cls="stream", confidence=confidence, evidence=evidence)

    def _shape(self, flow: Flow, now: float, window_s: float = 6.0) -> str | None:
        """Evidence that the numbers look live."""
        called = _may_be_upload(flow, now)
        look = live_media(flow.history or [], now=now, proto=flow.proto, may_be_upload=called, window_s=window_s)
        if look is None and window_s > 2.0 and self._callers.announced(flow, now):
            return self._shape(flow, now, 2.0)
        return look

    def _looks_live_together(self, now: float) -> list[Session]:
        out: list[Session] = []
        for ends, flows, look, several in self._pairs.live(now) if "shape" in self._detectors else ():
            main = next((flow for flow in flows if flow.key in self._talks.by_flow), flows[0])
            talk = self._talks.by_flow.get(main.key)
            guessed = talk is not None and talk.cls in LIVE and look.confidence == "unsure"
            if (talk and talk.found) or guessed or self._is_usual(main, now):
                continue
            if talk:
                out += self._becomes(talk, "stream", look.confidence, look.evidence, now)
            else:
                out += self._start(
                    main, now, look.since_at, cls="stream", confidence=look.confidence, evidence=look.evidence
                )
            if talk := self._talks.by_flow.get(main.key):
                talk.clip_like, talk.pauses = look.clip_like, look.pauses
                if several or look.pauses:
                    self._talks.spread[ends], talk.spread = talk, True
                if talk.found:
                    self._pairs.forget(ends)
        return out

    def _is_usual(self, flow: Flow, now: float, *, most_kbps: float = 320.0, more: float = 1.5) -> bool:
        """Whether what the camera sends to this place now is no more than it sends there day and night: little. Whoever
        listens beside it doubles that."""
        usual_kbps = self._idle.usual_kbps(flow, now)
        if usual_kbps is None or usual_kbps > most_kbps or self._callers.announced(flow, now):
            return False
        return self._idle.now_kbps(flow, now) <= more * usual_kbps

    def _changes(self, flow: Flow, talk: Followed, now: float) -> list[Session]:
        """A change in what goes on day and night is a session of its own beside it: a rule may excuse the one."""
        found = self._paces.changed(flow, now)
        if found is None or self._talks.full or "shape" not in self._detectors:
            return []
        words, pace = found
        beside = self._talks.make(flow, now - 20.0, now, "stream", "unsure", words, pace)
        beside.done_up, beside.done_down = flow.settled_up - flow.bytes_up, flow.settled_down - flow.bytes_down
        beside.add(BESIDE)
        return [self._session(beside, "open", now)]

    def _signals(self, flow: Flow, now: float) -> list[Session]:
        """Talk that begins while the camera sends day and night: who watches what a server has already shows no
        otherwise (facts.md, section 5)."""
        if flow.key in self._talks.by_flow or not stays(flow, now) or "shape" not in self._detectors:
            return []
        if not self._talks.sends_endlessly(flow.host) or self._talks.of_viewer(flow):
            return []
        known = self._peer_of(flow).scope != "wan" or self._idle.knows(flow, now)
        if known and not self._callers.announced(flow, now):
            return []
        words = "the camera began to talk with somebody new"
        return self._start(flow, now, flow.first_at, cls="stream", confidence="unsure", evidence=words)

    def _weighs(self, flow: Flow, talk: Followed | None, now: float) -> list[Session]:
        burst = self._bursts.counted(flow, now)
        if burst is None:
            return []
        if talk:
            if talk.cls not in ("control", "heartbeat"):
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
        if cls in LIVE and (turned := self._talks.of_viewer(flow)) and turned.cls == "control":
            turned.media[turned.flow.key] = turned.flow
            turned.flow, turned.spread, self._talks.by_flow[flow.key] = flow, False, turned
            return self._becomes(turned, cls, confidence, evidence, now)
        if self._talks.full:
            self._refused["sessions-refused"] += 1
            return []
        talk = self._talks.make(flow, started_at, now, cls, confidence, evidence)
        tunnel = _TUNNELS.get(talk.protocol)
        talk.add(*self._callers.words(flow), *([f"through {tunnel}"] if tunnel else []))
        return [self._session(talk, "open", now)]

    def _becomes(
        self,
        talk: Followed,
        cls: StreamClass,
        confidence: Confidence,
        evidence: str,
        now: float,
        *,
        only_news: bool = False,
    ) -> list[Session]:
        talk.add(evidence)
        talk.active_at = now
        was_viewing = talk.cls in LIVE
        news = talk.becomes(cls, confidence, talk.flow.protocol or talk.protocol)
        if not was_viewing:
            self._talks.is_viewing(talk, confidence, now)
        return [self._session(talk, "update", now)] if news or not only_news else []

    def _close(self, talk: Followed, now: float) -> list[Session]:
        self._talks.remove(talk)
        if talk.pace:
            return [self._session(talk, "closed", now)]
        for flow in talk.flows():
            self._bursts.forget(flow.key)
            self._paces.forget(flow.key)
            self._just_ended[flow.key] = now
        guessed = talk.cls == "stream" and not talk.found and talk.clip_like
        if talk.cls == "unknown" or (guessed and talk.active_at - talk.started_at <= CLIP_MAX_S):
            talk.cls = "download" if talk.bytes_down() > talk.bytes_up() else "clip"
            talk.confidence = "likely"
        if talk.cls == "clip":
            self._pairs.slow.clip(talk.flow.host, talk.active_at - talk.started_at)
        self._calls.ended(talk.flow.key, now)
        closed = self._session(talk, "closed", now)
        for flow in talk.flows():
            flow.settled_up, flow.settled_down = flow.bytes_up, flow.bytes_down
        return [closed]

    def _session(self, talk: Followed, state: Literal["open", "update", "closed"], now: float) -> Session:
        return talk.session(state, now, self._camera_of(talk.flow.host), self._peer_of(talk.flow))


def _began_together(talk: Followed, flow: Flow, *, within_s: float = 5.0) -> bool:
    """Sound and picture of one RTP viewer without signalling: same camera, same viewer, same moment."""
    other = talk.flow
    same_ends = (other.host, other.peer) == (flow.host, flow.peer)
    return talk.protocol in ("rtp", "rtsp", "webrtc") and same_ends and abs(talk.started_at - flow.first_at) < within_s


def _may_be_upload(flow: Flow, now: float, *, longest_s: float = 120.0) -> bool:
    """A camera that calls somebody and is answered piece by piece may be storing a file, for a while. Whoever called
    the camera himself, or keeps it sending for longer, is looking, whatever he sends back."""
    return flow.opened_by_camera is not False and now - flow.busy_at < longest_s
