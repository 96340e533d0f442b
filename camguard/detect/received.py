"""What the owner's devices receive: the bytes a second of their connections, for a minute. Pure; every table capped.

In: FlowCounts of the devices (events.Host.read is False), and a tick a second. Nothing they say is ever read, and
nothing here is kept anywhere else. Times are on the guard's clock.
"""

from collections import deque
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from camguard.events import FlowCount, unpack_key

#: Connections of one device that are followed, and seconds that are kept of each.
STREAMS_MAX, BINS = 64, 60
#: Payload bytes in a second with which a device receives something.
FLOOR_BYTES = 2_000
#: A longer silence ends a stream; what comes after it is another one.
GAP_S = 5.0
#: Who has received nothing for so long receives nothing now.
PAUSE_S = 2.0


@dataclass(slots=True)
class Stream:
    """One connection of a device: bytes received in each second, the last of them not over yet."""

    host: int
    peer: bytes
    mac: bytes
    began_at: float
    active_at: float
    now: int = 0
    bins: deque[int] = field(default_factory=lambda: deque(maxlen=BINS))

    def last(self, seconds: int) -> list[int]:
        """The last complete seconds, silent before it began."""
        there = list(self.bins)[-seconds:]
        return [0] * (seconds - len(there)) + there


class Received:
    """The connections of all devices."""

    def __init__(self) -> None:
        self._streams: dict[bytes, Stream] = {}
        self._of_device: dict[int, set[bytes]] = {}
        self.seen_at: dict[int, float] = {}
        self.evicted = 0

    def counted(self, count: FlowCount, now: float, kept: Container[bytes]) -> None:
        """What one connection did in the last second; `kept`: those that do not make room for a new one."""
        key = unpack_key(count.key)
        if count.packets_up:
            self.seen_at[key.host] = max(self.seen_at.get(key.host, count.last_at), count.last_at)
        stream = self._streams.get(count.key)
        if count.closed:
            self._forget(count.key)
        elif key.proto and count.payload_down >= FLOOR_BYTES:
            if stream is None:
                self._make_room(key.host, kept)
                stream = self._streams[count.key] = Stream(key.host, key.peer, count.peer_mac, now, now)
                self._of_device.setdefault(key.host, set()).add(count.key)
            elif now - stream.active_at > GAP_S:
                stream.began_at = now
            stream.active_at, stream.mac = now, count.peer_mac or stream.mac
        if stream:
            stream.now += count.payload_down

    def tick(self, now: float) -> None:
        """A second is over."""
        for key, stream in list(self._streams.items()):
            stream.bins.append(stream.now)
            stream.now = 0
            if now - stream.active_at > BINS:
                self._forget(key)

    def get(self, key: bytes, now: float) -> Stream | None:
        """That connection, if something comes over it now."""
        stream = self._streams.get(key)
        return stream if stream and now - stream.active_at < PAUSE_S else None

    def flowing(self, now: float) -> Iterator[tuple[bytes, Stream]]:
        """The connections over which something comes now."""
        return ((key, stream) for key, stream in self._streams.items() if now - stream.active_at < PAUSE_S)

    def drop(self, hosts: set[int]) -> None:
        """Forgets these devices: their numbers get another meaning."""
        for key in [key for key, stream in self._streams.items() if stream.host in hosts]:
            self._forget(key)
        for host in hosts:
            self.seen_at.pop(host, None)

    def _make_room(self, host: int, kept: Container[bytes]) -> None:
        """The one of the device's connections that has brought least lately goes."""
        keys = self._of_device.get(host, set())
        if len(keys) >= STREAMS_MAX:
            brought = {key: sum(self._streams[key].last(10)) + self._streams[key].now for key in keys}
            self._forget(min(keys, key=lambda key: (key in kept, brought[key])))
            self.evicted += 1

    def _forget(self, key: bytes) -> None:
        stream = self._streams.pop(key, None)
        if stream:
            self._of_device[stream.host].discard(key)
