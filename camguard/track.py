"""Connections of the cameras: FlowCount -> Flow (numbers), Packet -> ordered bytes (content). Pure; every table capped.

Numbers come from FlowCounts only and content from handed-up packets only, so nothing is counted twice. The kernel hands
up openings and dialogues, not the video between them: a hole in the bytes is the normal case and is told to the reader
as `gap`. Held back are only bytes that arrived too early, for at most a second.
"""

from collections import deque
from typing import NamedTuple

from camguard.events import FIN, RST, SYN, TCP, FlowCount, Packet, unpack_key

#: Connections that are known, and those of them that send so much that their seconds are kept.
FLOWS_MAX, HEAVY_MAX = 6144, 2048
HISTORY_S = 10
#: Payload bytes a second from the camera with which a history begins: less is keep-alive.
HISTORY_FLOOR_BYTES = 400
#: A longer break in sending ends a stretch (`Flow.busy_at`).
BREAK_S = 2.5
#: Bytes that arrived before the ones in front of them: kept per direction, and in all.
HELD_MAX = 16 * 1024
HELD_TOTAL_MAX = 8 * 1024 * 1024
HELD_SEGMENTS_MAX = 8
#: A message behind a hole is read at once: the kernel keeps the video before it, so nothing is to be waited for.
MESSAGE_STARTS = (b"RTSP/", b"HTTP/", b"GET /", b"PUT /", b"POST /")
_WINDOW = 1 << 31


class Second(NamedTuple):
    """What a connection did in one interval of about a second that ended `at`; bytes are payload."""

    at: float
    up: int
    down: int
    packets_up: int
    packets_down: int
    pauses: int
    dry: int


class Flow:
    """One connection of one camera: totals since it was first seen, and its last `HISTORY_S` seconds.

    `settled_up`, `settled_down`: bytes that belong to closed sessions. `reused`: opened anew on the same ports.
    `busy_at`: since when it sends without a break; `sent_at`: its last second with payload of weight.
    """

    __slots__ = (
        "added_down",
        "added_up",
        "busy_at",
        "bytes_down",
        "bytes_up",
        "closed",
        "first_at",
        "first_up",
        "flags_down",
        "flags_up",
        "history",
        "host",
        "host_port",
        "key",
        "largest_up",
        "last_at",
        "packets_up",
        "payload_down",
        "payload_up",
        "peer",
        "peer_mac",
        "peer_port",
        "proto",
        "protocol",
        "reused",
        "sent_at",
        "seq_down",
        "seq_up",
        "settled_down",
        "settled_up",
        "talk",
        "was_running",
    )

    def __init__(self, key: bytes, at: float) -> None:
        parts = unpack_key(key)
        self.key = key
        self.host, self.proto, self.host_port = parts.host, parts.proto, parts.host_port
        self.peer, self.peer_port = parts.peer, parts.peer_port
        self.first_at = self.last_at = at
        self.bytes_up = self.bytes_down = self.packets_up = self.payload_up = self.payload_down = 0
        self.added_up = self.added_down = self.settled_up = self.settled_down = 0
        self.busy_at = self.sent_at = float("-inf")
        self.largest_up = self.flags_up = self.flags_down = 0
        self.first_up = False
        self.was_running = self.reused = False
        self.protocol: str | None = None
        self.closed = False
        self.peer_mac = b""
        self.history: list[Second] | None = None
        self.talk: Talk | None = None
        self.seq_up: int | None = None
        self.seq_down: int | None = None

    @property
    def over(self) -> bool:
        """Its ends say that it is over, or the ledger has forgotten it. Anybody can forge an RST, and ports are used
        again: what still sends is not over, whatever its flags say; see to that."""
        both_fin = self.flags_up & FIN and self.flags_down & FIN
        said = self.proto == TCP and not self.reused and (both_fin or (self.flags_up | self.flags_down) & RST)
        return self.closed or bool(said)

    @property
    def opened_by_camera(self) -> bool | None:
        """Who opened it; None where that was before the guard looked."""
        if self.proto == TCP:
            both_seen = self.flags_up & SYN and self.flags_down & SYN
            return self.first_up if both_seen else None
        return None if self.was_running else self.first_up

    def add(self, count: FlowCount) -> None:
        """Takes a difference; history begins with the first second of weight from the camera."""
        self.first_at, self.last_at = count.first_at, count.last_at
        self.added_up, self.added_down = count.wire_up, count.wire_down
        self.bytes_up += count.wire_up
        self.bytes_down += count.wire_down
        self.packets_up += count.packets_up
        self.payload_up += count.payload_up
        self.payload_down += count.payload_down
        self.largest_up = count.largest_up
        self.flags_up, self.flags_down = count.flags_up, count.flags_down
        self.first_up = count.first_up
        self.peer_mac = count.peer_mac or self.peer_mac
        self.closed = count.closed
        if count.payload_up >= HISTORY_FLOOR_BYTES:
            self.history = self.history or []
            self.busy_at = count.at if count.at - self.sent_at > BREAK_S else self.busy_at
            self.sent_at = count.at
        if self.history is not None:
            if len(self.history) >= HISTORY_S:
                del self.history[0]
            self.history.append(
                Second(
                    count.at,
                    count.payload_up,
                    count.payload_down,
                    count.packets_up,
                    count.packets_down,
                    count.pauses,
                    count.dry,
                )
            )


class Talk:
    """The dialogue of one connection: both directions' ordered bytes, and the readers' states (listen.py runs them)."""

    __slots__ = ("down", "faults", "states", "up")

    def __init__(self, seq_up: int | None = None, seq_down: int | None = None) -> None:
        self.up, self.down = Half(seq_up), Half(seq_down)
        self.states: dict[str, object] = {}
        self.faults = 0


class Half:
    """One direction of a TCP connection (RFC 9293): segments in, ordered bytes out, holes told."""

    __slots__ = ("held", "held_bytes", "next_seq")

    def __init__(self, next_seq: int | None = None) -> None:
        self.next_seq = next_seq
        self.held: dict[int, bytes] = {}
        self.held_bytes = 0

    def take(self, seq: int, data: bytes) -> list[tuple[bytes, bool]]:
        """Ordered (bytes, gap before them) that a segment makes readable."""
        if self.next_seq is None:
            self.next_seq = (seq + len(data)) & 0xFFFFFFFF
            return [(data, True)]
        out: list[tuple[bytes, bool]] = []
        ahead = _distance(self.next_seq, seq)
        if ahead > 0 and data.startswith(MESSAGE_STARTS):
            out = self.flush()
            self.next_seq = (seq + len(data)) & 0xFFFFFFFF
            return [*out, (data, True)]
        if ahead > 0:
            if len(self.held) >= HELD_SEGMENTS_MAX or self.held_bytes + len(data) > HELD_MAX:
                out = self.flush()
                return [*out, *self.take(seq, data)] if out else out
            if len(data) > len(self.held.get(seq, b"")):
                self.held_bytes += len(data) - len(self.held.get(seq, b""))
                self.held[seq] = data
            return []
        if -ahead >= len(data):
            return []  # sent again
        out.append((data[-ahead:], False))
        self.next_seq = (self.next_seq + len(data) + ahead) & 0xFFFFFFFF
        out += self._follow_on()
        return out

    def flush(self) -> list[tuple[bytes, bool]]:
        """What is held, although bytes before it never came."""
        out: list[tuple[bytes, bool]] = []
        while self.held and self.next_seq is not None:
            base = self.next_seq
            seq = min(self.held, key=lambda start: _distance(base, start))
            data = self._pop(seq)
            self.next_seq = (seq + len(data)) & 0xFFFFFFFF
            out.append((data, True))
            out += self._follow_on()
        return out

    def drop(self) -> int:
        """Forgets what is held; returns how many bytes that were."""
        dropped, self.held_bytes = self.held_bytes, 0
        self.held.clear()
        return dropped

    def _follow_on(self) -> list[tuple[bytes, bool]]:
        out: list[tuple[bytes, bool]] = []
        while self.held and self.next_seq is not None:
            base = self.next_seq
            seq = min(self.held, key=lambda start: _distance(base, start))
            ahead = _distance(base, seq)
            if ahead > 0:
                break
            data = self._pop(seq)
            if -ahead < len(data):
                out.append((data[-ahead:], False))
                self.next_seq = (base + len(data) + ahead) & 0xFFFFFFFF
        return out

    def _pop(self, seq: int) -> bytes:
        data = self.held.pop(seq)
        self.held_bytes -= len(data)
        return data


#: The dialogue of connections that no reader wants any more of: one for all of them.
DEAF = Talk()


class Flows:
    """The tables of connections: light ones, and heavy ones that have a history. A connection that carries a session or
    a dialogue (`kept`) is not evicted for a new one, and a flood of light ones evicts no heavy one."""

    def __init__(self, began_at: float | None = None) -> None:
        self.counters = {"flows-evicted": 0, "bytes-held-dropped": 0}
        self._light: dict[bytes, Flow] = {}
        self._heavy: dict[bytes, Flow] = {}
        self._began_at = began_at
        self._waiting: dict[bytes, Flow] = {}
        self._held_bytes = 0
        self.kept: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._light) + len(self._heavy)

    def get(self, key: bytes) -> Flow | None:
        """The connection under `key`."""
        return self._heavy.get(key) or self._light.get(key)

    def count(self, count: FlowCount) -> Flow:
        """Adds a difference to its connection."""
        flow = self.opened(count.key, count.first_at)
        flow.add(count)
        if count.closed:
            self._drop(count.key)
        elif flow.history is not None and count.key in self._light:
            del self._light[count.key]
            self._evict(self._heavy, HEAVY_MAX)
            self._heavy[count.key] = flow
        return flow

    def content(self, key: bytes, up: bool, segment: Packet) -> tuple[Flow, list[tuple[bytes, bool]]]:
        """The ordered bytes that a TCP segment makes readable: (bytes, gap before them)."""
        flow, flags = self.opened(key, segment.at), segment.tcp_flags
        if not flow.flags_up | flow.flags_down:
            flow.first_up = up  # until the first count comes
        if flags & SYN:
            following = (segment.seq + 1) & 0xFFFFFFFF
            before = flow.seq_up if up else flow.seq_down
            if flow.talk and before != following:
                flow.talk = None  # the ports are used again
            flow.reused |= flow.over
            flow.seq_up, flow.seq_down = (following, flow.seq_down) if up else (flow.seq_up, following)
        if up:
            flow.flags_up |= flags
        else:
            flow.flags_down |= flags
        if not segment.payload or flow.talk is DEAF:
            return flow, []
        if flow.talk is None:
            flow.talk = Talk(flow.seq_up, flow.seq_down)
        half = flow.talk.up if up else flow.talk.down
        held_before = half.held_bytes
        pieces = half.take(segment.seq, segment.payload)
        self._held_bytes += half.held_bytes - held_before
        if half.held:
            self._waiting[key] = flow
            if self._held_bytes > HELD_TOTAL_MAX:
                self.counters["bytes-held-dropped"] += half.drop()
        return flow, pieces

    def opened(self, key: bytes, at: float) -> Flow:
        """The connection under `key`, made when it is new."""
        flow = self.get(key)
        if flow is None:
            self._evict(self._light, FLOWS_MAX - HEAVY_MAX)
            flow = self._light[key] = Flow(key, at)
            if self._began_at is None:
                self._began_at = at
            flow.was_running = at - self._began_at < 2.0
        return flow

    def late(self) -> list[tuple[Flow, bool, bytes, bool]]:
        """Once a second: what was held and whose missing bytes did not come: (flow, up, bytes, gap)."""
        out = []
        for flow in self._waiting.values():
            for up in (True, False):
                if flow.talk:
                    half = flow.talk.up if up else flow.talk.down
                    out += [(flow, up, data, gap) for data, gap in half.flush()]
        self._waiting.clear()
        self._held_bytes = 0
        return out

    def drop_hosts(self, hosts: set[int]) -> None:
        """Forgets the connections of these cameras."""
        for key in [key for table in (self._light, self._heavy) for key, flow in table.items() if flow.host in hosts]:
            self._drop(key)

    def _evict(self, table: dict[bytes, Flow], most: int) -> None:
        """Makes room in a full table: the oldest connection that nothing is attached to goes."""
        if len(table) >= most and (key := next((key for key in table if key not in self.kept), None)):
            self._drop(key)
            self.counters["flows-evicted"] += 1

    def _drop(self, key: bytes) -> None:
        self._light.pop(key, None)
        self._heavy.pop(key, None)
        self._waiting.pop(key, None)


class Rates:
    """How much each camera sends and receives, over the last `span_s` whole seconds."""

    def __init__(self, span_s: int = 5) -> None:
        self._seconds: deque[dict[int, tuple[int, int]]] = deque([{}], maxlen=span_s + 1)

    def add(self, host: int, count: FlowCount) -> None:
        """What a connection did in this second."""
        second = self._seconds[-1]
        up, down = second.get(host, (0, 0))
        second[host] = (up + count.wire_up, down + count.wire_down)

    def tick(self) -> None:
        """The second is over."""
        self._seconds.append({})

    def of(self, host: int) -> tuple[int, int]:
        """kbit/s up and down."""
        over = list(self._seconds)[:-1] or [{}]
        up, down = (sum(second.get(host, (0, 0))[way] for second in over) * 8 // 1000 // len(over) for way in (0, 1))
        return up, down


def _distance(base: int, seq: int) -> int:
    """How far `seq` is ahead of `base` in sequence space (RFC 1982), negative when behind."""
    return (seq - base + _WINDOW) % (2 * _WINDOW) - _WINDOW
