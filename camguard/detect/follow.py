"""Does one series of volumes follow another? In: bytes a second sent by a camera and received by a device. Pure.

A relay passes on what it gets: what the camera sends in one second comes down within the next few, whole or cut anew.
So the two rise and fall together, at one ratio. A film beside it has a rhythm of its own; and where the camera sends
evenly, nothing rises or falls, and evenness proves nothing.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

LAG_MAX_S = 3
_STEPS = 4  # of a second: the relay's delay is no whole number of them
LEAST_S = 5


class Fit(NamedTuple):
    """`seconds` compared; `ratio`: received to sent; `r`: correlation; `explained`: share of the received one's
    variance that the sent one accounts for at that ratio; `off`: share of bytes in another second; `uneven`: standard
    deviation of what was sent to its mean."""

    seconds: int
    lag_s: float
    ratio: float
    r: float
    explained: float
    off: float
    uneven: float


def fit(sent: Sequence[float], got: Sequence[float]) -> Fit | None:
    """The best fit over all delays; None where too little can be compared. Both series end in the same second; the
    first second of `sent` is left out, because the camera began within it."""
    best: Fit | None = None
    for step in range(LAG_MAX_S * _STEPS + 1):
        whole, part = step // _STEPS, step % _STEPS / _STEPS
        begin = 1 + whole + (part > 0)
        if len(got) - begin < LEAST_S:
            break
        model = [(1 - part) * sent[at - whole] + part * sent[at - whole - 1] for at in range(begin, len(got))]
        one = _compare(model, got[begin:], step / _STEPS)
        if one and (best is None or one.r > best.r):
            best = one
    return best


def strays(sent: Sequence[float], got: Sequence[float]) -> float:
    """Share of bytes (0 to 1) that come in other seconds than sent, at any delay, give or take three seconds: a relay
    that sends in pieces of its own strays little, a film that fills its buffer now and then much."""
    total_sent, total_got = sum(sent), sum(got)
    if not total_sent or not total_got:
        return 1.0
    best = 1.0
    for lag in range(LAG_MAX_S + 1):
        model, there = _by_three(sent[: len(sent) - lag]), _by_three(got[lag:])
        if not model or not sum(model) or not sum(there):
            continue
        ratio = sum(there) / sum(model)
        apart = sum(abs(b - ratio * a) for a, b in zip(model, there, strict=True)) / (2 * sum(there))
        best = min(best, apart)
    return best


def _by_three(series: Sequence[float]) -> list[float]:
    return [sum(series[at : at + 3]) for at in range(len(series) - 2)]


def _compare(model: Sequence[float], got: Sequence[float], lag_s: float) -> Fit | None:
    count, total, there = len(model), sum(model), sum(got)
    if total <= 0 or there <= 0:
        return None
    ratio, mean, mean_got = there / total, total / count, there / count
    spread = sum((value - mean) ** 2 for value in model)
    spread_got = sum((value - mean_got) ** 2 for value in got)
    both = sum((a - mean) * (b - mean_got) for a, b in zip(model, got, strict=True))
    r = both / math.sqrt(spread * spread_got) if spread > 0 and spread_got > 0 else 0.0
    left = sum((b - ratio * a) ** 2 for a, b in zip(model, got, strict=True))
    apart = sum(abs(b - ratio * a) for a, b in zip(model, got, strict=True))
    explained = 1 - left / spread_got if spread_got > 0 else 0.0
    return Fit(count, lag_s, ratio, r, explained, apart / (2 * there), math.sqrt(spread / count) / mean)
