"""Uploads and downloads of weight. In: counted Flows; out: when a burst of bytes is worth a session.

A burst is what a connection moves without a break of `still_s`: one connection to the maker may carry many clips a day.
"""

from typing import NamedTuple

from camguard.track import Flow

BURSTS_MAX = 2048
#: Less than this in a second is keep-alive, not part of a transfer.
_SECOND_BYTES = 2000


class Burst(NamedTuple):
    """`base_up`, `base_down`: the connection's bytes when the burst began; `at`: last second with weight."""

    started_at: float
    at: float
    base_up: int
    base_down: int


class Bursts:
    """What moves now, by connection; capped. `clip_bytes` up or `download_bytes` down are worth a session."""

    def __init__(self, *, still_s: float = 10.0, clip_bytes: int = 256_000, download_bytes: int = 1_000_000) -> None:
        self._still_s, self._clip_bytes, self._download_bytes = still_s, clip_bytes, download_bytes
        self._bursts: dict[bytes, Burst] = {}

    def counted(self, flow: Flow, now: float) -> Burst | None:
        """The burst that has grown to weight, else None."""
        heavy = flow.added_up + flow.added_down >= _SECOND_BYTES
        burst = self._bursts.get(flow.key)
        if burst is None or now - burst.at > self._still_s:
            if not heavy:
                return None
            if len(self._bursts) >= BURSTS_MAX:
                del self._bursts[next(iter(self._bursts))]
            base_up, base_down = flow.bytes_up - flow.added_up, flow.bytes_down - flow.added_down
            burst = Burst(max(flow.first_at, now - 1.0), now, base_up, base_down)
        self._bursts[flow.key] = burst._replace(at=now) if heavy else burst
        sent, received = flow.bytes_up - burst.base_up, flow.bytes_down - burst.base_down
        return burst if sent >= self._clip_bytes or received >= self._download_bytes else None

    def forget(self, key: bytes) -> None:
        """The connection is gone, or its burst became something else."""
        self._bursts.pop(key, None)
