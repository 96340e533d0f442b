"""Does one series of volumes follow another? In: bytes a second sent by a camera and received by a device. Pure.

A relay passes on what it gets: what the camera sends in one second comes down within the next few, whole or cut anew.
So the two rise and fall together, at one ratio. A film beside it has a rhythm of its own; and where the camera sends
evenly, nothing rises or falls, and evenness proves nothing.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

LAG_MAX_S = 3
_STEPS = 4  # of a second: the relay's delay is no whole number of them
LEAST_S = 6


class Fit(NamedTuple):
    """`seconds` compared; `ratio`: received to sent; `r`: correlation, `steps`: that of the changes from one second to
    the next; `explained`: share of the received one's variance that the sent one accounts for at that ratio; `uneven`:
    standard deviation of what was sent to its mean."""

    seconds: int
    lag_s: float
    ratio: float
    r: float
    steps: float
    explained: float
    uneven: float


def fit(sent: Sequence[float], got: Sequence[float], *, lags_s: tuple[float, float] = (0.0, LAG_MAX_S)) -> Fit | None:
    """The best fit over these delays; None where too little can be compared. Both series end in the same second; the
    first second of `sent` is left out, because the camera began within it."""
    best: Fit | None = None
    low, high = (int(min(max(0.0, lag_s), LAG_MAX_S) * _STEPS) for lag_s in lags_s)
    for step in range(low, high + 1):
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
        if len(model) < LEAST_S // 2 or not sum(model) or not sum(there):
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
    ratio, mean = there / total, total / count
    spread = sum((value - mean) ** 2 for value in model)
    spread_got = sum((value - there / count) ** 2 for value in got)
    left = sum((b - ratio * a) ** 2 for a, b in zip(model, got, strict=True))
    explained = 1 - left / spread_got if spread_got > 0 else 0.0
    r, steps = _correlation(model, got), _correlation(_changes(model), _changes(got))
    return Fit(count, lag_s, ratio, r, steps, explained, math.sqrt(spread / count) / mean)


def _changes(series: Sequence[float]) -> list[float]:
    return [b - a for a, b in itertools.pairwise(series)]


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    mean, mean_other = sum(one) / len(one), sum(other) / len(other)
    both = sum((a - mean) * (b - mean_other) for a, b in zip(one, other, strict=True))
    spread = sum((a - mean) ** 2 for a in one) * sum((b - mean_other) ** 2 for b in other)
    return both / math.sqrt(spread) if spread > 0 else 0.0
