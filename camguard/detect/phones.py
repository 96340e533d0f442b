"""Do the owner's devices receive what a camera sends? In: their volumes and the open sessions; out: who explains what.

Nothing of a device is ever read; its connections are known by their bytes a second, for a minute, and kept nowhere. A
connection of a device explains a session when it began with it, not long after, and

- *server*: it comes from the server that the camera sends to (by address or name), and the volumes fit; or from one
  beside it (the same network of 256), and rises and falls with it;
- *rates*: whatever its other end is, it began at once and rises and falls with what the camera sends (follow.py). A
  camera that sends evenly cannot be told so: evenness is no likeness.

One connection explains one session. Who joins when the camera has been sending for a while explains nothing: somebody
else had it sending. In doubt nothing is explained. Times are on the guard's clock.
"""

import bisect
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from camguard.detect.follow import LAG_MAX_S, Fit, fit, strays
from camguard.detect.received import BINS, Received, Stream
from camguard.events import VIEWING, FlowCount, Peer, Session
from camguard.track import Flow

#: Sessions looked at in one second, and pairs of session and connection compared in it.
SESSIONS_MAX, COMPARISONS_MAX = 64, 512
#: Payload bytes in a second with which a camera sends something.
CAMERA_FLOOR_BYTES = 400
#: A match ends when it has not held for so long.
GRACE_S = 5.0
#: How long before the camera a stream may have begun, and how long after it: by server, and by rates.
BEFORE_S, AFTER_S, NEAR_S = 15.0, 8.0, 4.0
#: Seconds that are compared: to find a match, and to see whether it is one still.
COMPARED_S, PARTING_S = 20, 14
#: Seconds that were compared, and how alike they must be (follow.Fit): r, explained, steps.
_LIKENESS = ((14, 0.88, 0.7, 0.7), (10, 0.92, 0.8, 0.8), (0, 0.95, 0.85, 0.85))
#: What explains a viewing shows in its first seconds, or not at all.
FOUND_S = 45.0
#: An alert may wait until its session is so old for a stream that may come to explain it (contract.md: 10 s).
WAITS_S = 9.0
#: By how much another session must fit better to take a connection away from one.
STAYS = 0.3


class Match(NamedTuple):
    """`device` receives it; `how` that is known."""

    device: str
    how: Literal["server", "rates"]

    @property
    def words(self) -> str:
        """The reason, for the owner."""
        why = "through the same server" if self.how == "server" else "it rises and falls with it"
        return f"{self.device} is receiving it at the same time ({why})"


@dataclass(slots=True)
class _Upload:
    """What a session's connections sent in each second: by the tick that ended it; `began_at`: the first one."""

    began_at: float | None = None
    sums: dict[float, int] = field(default_factory=dict)
    taken: dict[bytes, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Held:
    """Which connection explains a session, whose it is and from where, and when that was last seen to be so."""

    stream: bytes
    host: int
    peer: bytes
    match: Match
    lags_s: tuple[float, float]
    good_at: float


class _Found(NamedTuple):
    """What may explain a session, and how well it does."""

    likeness: float
    session: str
    held: _Held


class Phones:
    """The owner's devices at home. `name_of`: number of a host to its name; `peer_at`: what a camera (its number) knows
    of an address with this MAC; `scope_of`: where these two are."""

    def __init__(
        self,
        name_of: Callable[[int], str],
        peer_at: Callable[[int, bytes, bytes], Peer],
        scope_of: Callable[[bytes, bytes], str],
        *,
        home_s: float = 600.0,
    ) -> None:
        self._name_of, self._peer_at, self._scope_of, self._home_s = name_of, peer_at, scope_of, home_s
        self._received = Received()
        self._ticks: deque[float] = deque(maxlen=BINS)
        self._uploads: dict[str, _Upload] = {}
        self._held: dict[str, _Held] = {}
        self._refused = 0

    # ---- what was counted ----

    def counted(self, count: FlowCount, now: float) -> None:
        """What one connection of a device did in the last second."""
        self._received.counted(count, now, {held.stream for held in self._held.values()} if self._held else ())

    def drop(self, hosts: set[int]) -> None:
        """Forgets these devices: their numbers get another meaning."""
        self._received.drop(hosts)

    def tick(self, now: float, sessions: Iterable[tuple[Session, list[Flow]]]) -> None:
        """Once a second, after the counts: who receives what. `sessions`: the open ones, and their connections."""
        self._ticks.append(now)
        self._received.tick(now)
        going_on = self._sent(sessions)
        self._uploads = {name: upload for name, upload in self._uploads.items() if name in going_on}
        self._held = {name: held for name, held in self._held.items() if name in going_on}
        for name, held in list(self._held.items()):
            if self._still(self._series(self._uploads[name]), held, now):
                held.good_at = now
            elif now - held.good_at >= GRACE_S:
                del self._held[name]
        self._find(going_on, now)

    # ---- what the judge asks ----

    def receives(self, session: Session) -> Match | None:
        """Whose device receives this viewing now."""
        held = self._held.get(session.id)
        return held.match if held else None

    def reason(self, session: Session) -> str | None:
        """The same in words."""
        match = self.receives(session)
        return match.words if match else None

    def may_be(self, session: Session, now: float) -> bool:
        """Whether a viewing that is only likely, and still young, may come to be explained: its alert waits."""
        if session.confidence == "certain" or not _may_be_relayed(session) or now + 0.5 - session.started >= WAITS_S:
            return False
        sure = {held.stream for held in self._held.values() if held.match.how == "rates"}
        sent = session.rate_kbps * 125
        for key, stream in self._received.flowing(now):
            if key in sure or not self._outside(stream):
                continue
            got = [value for value in stream.last(6) if value]
            fits = got and 0.3 * sent <= sum(got) / len(got) <= 3 * sent
            if fits and -BEFORE_S <= stream.began_at - 1.0 - session.started <= AFTER_S:
                return True
        return False

    def at_home(self, now: float) -> dict[str, float]:
        """The devices at home, by frames of their own, and when each was last seen."""
        return {self._name_of(host): at for host, at in self._received.seen_at.items() if now - at <= self._home_s}

    @property
    def counters(self) -> dict[str, int]:
        """What the capped tables refused or forgot."""
        return {"phone-streams-evicted": self._received.evicted, "phone-comparisons-refused": self._refused}

    # ---- who explains what ----

    def _sent(self, sessions: Iterable[tuple[Session, list[Flow]]]) -> dict[str, tuple[Session, int]]:
        """Takes the sessions' new seconds; the sessions that a device could explain, with their camera's number."""
        out: dict[str, tuple[Session, int]] = {}
        for session, flows in sessions:
            if not flows or session.cls not in VIEWING or not _may_be_relayed(session):
                continue
            if len(out) >= SESSIONS_MAX:
                self._refused += 1
                break
            out[session.id] = session, flows[0].host
            upload = self._uploads.setdefault(session.id, _Upload())
            for flow in flows:
                since_at = upload.taken.get(flow.key, session.started)
                for second in flow.history or ():
                    place = bisect.bisect_left(self._ticks, second.at)
                    if second.at > since_at and place < len(self._ticks):
                        tick = self._ticks[place]
                        upload.sums[tick] = upload.sums.get(tick, 0) + second.up
                        upload.taken[flow.key] = second.at
            if upload.began_at is None:
                upload.began_at = min(
                    (tick for tick, up in upload.sums.items() if up >= CAMERA_FLOOR_BYTES), default=None
                )
            for old in [tick for tick in upload.sums if tick < self._ticks[0]]:
                del upload.sums[old]
            upload.taken = {flow.key: upload.taken[flow.key] for flow in flows if flow.key in upload.taken}
        return out

    def _series(self, upload: _Upload) -> list[int]:
        """What was sent in each of the last seconds, from the first of weight on."""
        series = [upload.sums.get(tick, 0) for tick in self._ticks]
        first = next((place for place, sent in enumerate(series) if sent >= CAMERA_FLOOR_BYTES), len(series))
        return series[first:]

    def _still(self, sent: list[int], held: _Held, now: float) -> bool:
        """Whether what was a match is one still. A camera that sends nothing more needs no explanation."""
        if max(sent[-2:], default=0) < CAMERA_FLOOR_BYTES:
            return True
        stream = self._received.get(held.stream, now)
        if stream is None:
            self._taken_up_again(held, now)
            return False
        since = max(1, min(10, len(sent), int(now - stream.began_at)))  # it may have changed its connection
        ratio = sum(stream.last(since)) / max(1, sum(sent[-since:]))
        shape = fit(sent[-PARTING_S:], stream.last(min(len(sent), PARTING_S)), lags_s=held.lags_s)
        least = 0.5 if held.match.how == "rates" else 0.2
        parted = shape is not None and since == 10 and shape.uneven >= 0.2 and shape.r < least
        return 0.4 <= ratio <= 2.5 and not parted

    def _taken_up_again(self, held: _Held, now: float) -> None:
        """A device that changes its connection goes on with another one to the same server."""
        taken = {other.stream for other in self._held.values()}
        for key, stream in self._received.flowing(now):
            same = (stream.host, stream.peer) == (held.host, held.peer)
            if same and key not in taken and stream.began_at > held.good_at - 2.0:
                held.stream = key
                return

    def _find(self, going_on: Mapping[str, tuple[Session, int]], now: float) -> None:
        """The best pairs first; each connection and each session once. What was found by its server stays so unless
        another session fits clearly better: two cameras send to one server."""
        if not going_on.keys() - self._held.keys():
            return
        sure = {held.stream for held in self._held.values() if held.match.how == "rates"}
        flowing = self._received.flowing(now)
        open_ = {key: stream for key, stream in flowing if key not in sure and self._outside(stream)}
        found: list[_Found] = []
        left = COMPARISONS_MAX
        for name, (session, host) in sorted(going_on.items(), key=lambda one: -one[1][0].started):
            upload, before = self._uploads[name], self._held.get(name)
            sent, began_at = self._series(upload), upload.began_at
            if before:
                found.append(_Found(STAYS, name, before))
                streams = {before.stream: open_[before.stream]} if before.stream in open_ else {}
            else:
                streams = open_ if sent and sent[-1] >= CAMERA_FLOOR_BYTES else {}
            # who was found defends his connection for as long as he looks
            if began_at is None or (now - began_at > FOUND_S and not before):
                continue
            for key, stream in streams.items():
                left -= 1
                if left < 0:
                    self._refused += 1
                    break
                if one := self._match(session, host, sent, stream, stream.began_at - began_at):
                    held = before or _Held(key, stream.host, stream.peer, *one[1:], now)
                    found.append(_Found(one[0] + (STAYS if before else 0.0), name, held))
        taken = set(sure)
        self._held = {name: held for name, held in self._held.items() if held.match.how == "rates"}
        for _, name, held in sorted(found, key=lambda one: -one.likeness):
            if name not in self._held and held.stream not in taken:
                self._held[name] = held
                taken.add(held.stream)

    def _match(
        self, session: Session, host: int, sent: list[int], stream: Stream, later_s: float
    ) -> tuple[float, Match, tuple[float, float]] | None:
        """How well a connection explains a session, and the delays it may have; `later_s`: how much later than the
        camera it began."""
        sent = sent[-COMPARED_S:]
        got = stream.last(len(sent))
        if later_s > AFTER_S or len(sent) < 5 or not sum(sent):
            return None
        if not 0.4 <= sum(got) / sum(sent) <= 2.5:
            return None
        shape, device = fit(sent, got, lags_s=(0.0, max(0.0, later_s) + 1.25)), self._name_of(stream.host)
        follows = shape is not None and _follows(shape)
        strayed = strays(sent[1:], got[1:])
        likeness = (shape.r + max(-1.0, shape.explained)) / 2 if shape else 0.0
        likeness -= 2 * strayed + abs(later_s) / 20
        near = self._same_server(session.peer, host, stream)
        if near == "no":
            if shape and follows and -NEAR_S / 2 <= later_s <= NEAR_S:
                return likeness, Match(device, "rates"), (shape.lag_s - 0.75, shape.lag_s + 0.75)
            return None
        # in one network many rent their servers: there it must rise and fall with it, too
        if follows or (near == "same" and later_s >= -BEFORE_S and _fits(sent, got, shape, strayed)):
            return likeness + (3 if near == "same" else 2), Match(device, "server"), (0.0, LAG_MAX_S)
        return None

    def _same_server(self, peer: Peer, host: int, stream: Stream) -> Literal["same", "network", "no"]:
        other = self._peer_at(host, stream.peer, stream.mac)
        if other.ip == peer.ip or (peer.name and other.name == peer.name):
            return "same"
        network = ".".join(peer.ip.split(".")[:3]) + "."
        return "network" if "." in peer.ip and other.ip.startswith(network) else "no"

    def _outside(self, stream: Stream) -> bool:
        """Whether it comes from outside: what a camera gives to a device at home is another viewing (peer.device)."""
        return self._scope_of(stream.peer, stream.mac) == "wan"


def _may_be_relayed(session: Session) -> bool:
    """Somebody who came in from outside by himself is no relay."""
    return session.peer.scope == "wan" and session.initiator != "peer"


def _follows(shape: Fit) -> bool:
    """Whether the one rises and falls with the other: the fewer seconds, the likelier is chance (docs/accuracy.md)."""
    r, explained, steps = next(least for seconds, *least in _LIKENESS if shape.seconds >= seconds)
    alike = shape.r >= r and shape.explained >= explained and shape.steps >= steps
    return alike and shape.uneven >= 0.1 and 0.6 <= shape.ratio <= 1.7


def _fits(sent: list[int], got: list[int], shape: Fit | None, strayed: float) -> bool:
    """Whether the volumes from the same server fit: as much, in nearly the same seconds, and no rhythm of its own."""
    ratio = sum(got[1:]) / max(1, sum(sent[1:]))
    steady = sum(value * len(got) >= sum(got) / 10 for value in got) >= 0.4 * len(got)
    if not steady or not 0.5 <= ratio <= 2.0 or strayed > 0.2:
        return False
    lively = shape is not None and shape.uneven >= 0.25 and shape.seconds >= 8
    return not lively or (shape is not None and shape.r >= 0.3)
