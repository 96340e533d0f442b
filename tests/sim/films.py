"""`python -m tests.sim.films --seed 1`: what the phones' rule takes for the owner's viewing, and what it finds.

Films that a phone receives from elsewhere at the camera's mean rate, beside a voyeur: how many excuse him. A camera's
true relay through another server: how many are found before the alert is due (9 s), and by 14 s.
"""

import argparse
import random
from collections.abc import Sequence
from functools import partial

from tests.detect.test_phones import FAR, FILM, Got, Sent, even, film, lively, relayed, run

FILMS = (lively, even, partial(even, unsteady=0.2), partial(film, every_s=2), partial(film, every_s=5))
JITTERS_S = (0.02, 0.1, 0.3)


def excused(seed: int, count: int) -> int:
    """Of `count` films at the camera's mean rate, begun within seconds of it, how many excuse the voyeur ever."""
    found = 0
    for number in range(count):
        dice = random.Random(f"{seed} {number}")
        camera = dice.choice((even, lively))(seed=dice.randrange(1 << 30))
        other = dice.choice(FILMS)(seed=dice.randrange(1 << 30))
        share = _mean(camera) / _mean(other)
        got = Got([value * share for value in other], begins=10 + dice.randrange(-2, 5), ip=FILM)
        found += run([Sent(camera)], [got], seconds=36).ever()
    return found


def known(seed: int, count: int, jitter_s: float) -> tuple[int, int]:
    """Of `count` lively cameras relayed through another server: explained at the age of 9 s, and of 14 s."""
    firsts = []
    for number in range(count):
        dice = random.Random(f"{seed} {number}")
        sent = lively(seed=dice.randrange(1 << 30))
        got = relayed(sent, lag_s=dice.uniform(0.2, 2.0), jitter_s=jitter_s, seed=dice.randrange(1 << 30))
        firsts.append(run([Sent(sent)], [Got(got, ip=FAR)], seconds=26).first())
    early, late = (sum(first is not None and first <= by_s for first in firsts) for by_s in (9, 14))
    return early, late


def table(seed: int, count: int, relays: int) -> str:
    """Both, in Markdown."""
    lines = ["| beside the camera | times | explained by 9 s | by 14 s | ever |", "|---|---:|---:|---:|---:|",
             f"| a film from elsewhere, at the same mean rate | {count} | | | {excused(seed, count)} |"]  # fmt: skip
    for jitter_s in JITTERS_S:
        early, late = known(seed, relays, jitter_s)
        label = f"a true relay, another server, jitter {jitter_s * 1000:.0f} ms"
        lines.append(f"| {label} | {relays} | {early} | {late} | |")
    return "\n".join(lines)


def _mean(series: Sequence[float]) -> float:
    return sum(series) / len(series)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.sim.films", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--films", type=int, default=400)
    parser.add_argument("--relays", type=int, default=100)
    asked = parser.parse_args()
    print(table(asked.seed, asked.films, asked.relays))
