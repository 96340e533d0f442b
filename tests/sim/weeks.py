"""`python -m tests.sim.weeks --seed 1`: a first week that holds back, what is proposed then, and a second one.

Each day the same server gets live video of the camera that records to a cloud without a rule, clips that are sent while
they are recorded, and voyeurs by four ways. After a week the owner accepts all that is proposed.
"""

import argparse
import random
from collections import Counter
from dataclasses import dataclass, field, replace

from camguard.events import Wish
from camguard.guard import Guard
from camguard.judge.judge import EXCUSES
from camguard.places import Places
from tests.sim import home
from tests.sim.day import BEGAN, DAY_S, DOOR, LAN, P2P, RELAY, Days, called
from tests.sim.run import Result, Told, in_order
from tests.sim.shapes import lab

USUAL = "each day at the usual server, live video"
FIRST_S, LATE_S = 6 * 3600.0, 20 * 3600.0
LATER = "through the maker's relay, from the second week on, at another hour"


@dataclass(slots=True)
class Weeks:
    """What came of it: (label, week) -> viewings, told; `proposed`: habits asked about."""

    times: Counter[tuple[str, int]] = field(default_factory=Counter)
    told: Counter[tuple[str, int]] = field(default_factory=Counter)
    proposed: list[str] = field(default_factory=list)


def made(seed: int, days: int, per_day: int = 2) -> Days:
    """One camera's days, with nothing in them but what can be told."""
    out = Days(seed, days, 1)
    cam, dice = out.cams[0], random.Random(seed)
    out.frames += home.gets_address(BEGAN, cam.mac, cam.ip(False))
    out.renewed_at[cam.name] = float("inf")
    for day in range(days):
        begins = BEGAN + day * DAY_S
        out.frames += home.asks_names(begins + 1, cam, cam.ip(False))
        out.add("quiet", "heartbeats", cam, lab()["heartbeat"][0], begins + 3, peer=home.server(home.CLIPS, 4),
                length_s=60)  # fmt: skip
        for n in range(per_day):
            at = begins + FIRST_S + n * 5 * 3600 + dice.uniform(0, 1200)
            out.add("quiet", USUAL, cam, dice.choice(lab()["https-put"]), at, peer=home.server(home.CLIPS, 4),
                    length_s=dice.uniform(20, 40))  # fmt: skip
        for n, way in enumerate((RELAY, P2P, LAN, DOOR)):
            at = begins + LATE_S + n * 1800 + dice.uniform(0, 200)
            if way == RELAY:
                out.add("voyeur", way, cam, dice.choice(lab()["tls-upload"]), at, peer=out.relay(), length_s=30)
            elif way == DOOR:
                out.add("voyeur", way, cam, called(dice.choice(lab()["tls-pipe"])), at,
                        peer=out.strangers.outside(), length_s=30)  # fmt: skip
            else:
                out.view("voyeur", way, cam, at, 30)
        if day >= 7:
            out.add("voyeur", LATER, cam, dice.choice(lab()["tls-upload"]), begins + 15 * 3600 + dice.uniform(0, 600),
                    peer=out.relay(), length_s=30)  # fmt: skip
    return out


def run(
    days: Days, *, learn_days: int = 7, accepts: bool = True, when: str | None = None, excuses: frozenset[str] = EXCUSES
) -> Weeks:
    """The real guard over these days; an hour after them the owner accepts what is proposed (`when`:
    in these hours only)."""
    guard = Guard(replace(days.home, learn_days=learn_days), Places(), own=home.OWN, excuses=excuses)
    result = Result(days, [deed for deed in days.deeds if deed.kind != "echo"])
    judge, weeks, second = Told(result), Weeks(), BEGAN
    asked_at = BEGAN + learn_days * DAY_S + 3600
    heard_at, is_asked = 0.0, False
    for item in in_order(days):
        while second < item.at:
            judge.take(guard.tick(float(second)))
            if second >= asked_at and not is_asked:
                _asked(guard, weeks, float(second), when, accepts=accepts)
                is_asked = True
            # nothing but the time passes
            second += min(60, max(1, int(item.at) - second)) if second - heard_at > 900 else 1
        judge.take(guard.feed(item))
        heard_at = item.at
        result.items += 1
    for deed in result.deeds:
        key = deed.label, int(deed.begins_at - BEGAN) // (7 * DAY_S) + 1
        weeks.times[key] += 1
        weeks.told[key] += bool(deed.told_at)
    return weeks


def _asked(guard: Guard, weeks: Weeks, now: float, when: str | None, *, accepts: bool) -> None:
    for number, habit in enumerate(guard._judge.baseline.proposals(), 1):
        weeks.proposed.append(f"{habit.who}, {habit.hours}")
        if accepts:
            wish = Wish(f"w{number}", "terminal, owner", "learn", mode="accept", habit=habit.number, when=when)
            guard.decide(wish, number, now)


def table(weeks: Weeks) -> str:
    """Told of how many, in each week."""
    lines = ["| what | first week | second week |", "|---|---:|---:|"]
    for label in dict.fromkeys(label for label, _ in weeks.times):
        cells = [f"{weeks.told[label, n]} of {weeks.times[label, n]}" for n in (1, 2)]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += ["", f"Proposed after a week: {'; '.join(weeks.proposed) or 'nothing'}."]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.sim.weeks", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--keep-asking", action="store_true", help="the owner accepts nothing")
    parser.add_argument("--when", help="the hours in which the owner accepts it")
    parser.add_argument("--without", nargs="+", default=[], choices=sorted(EXCUSES))
    asked = parser.parse_args()
    print(table(run(made(asked.seed, asked.days), accepts=not asked.keep_asking, when=asked.when,
                    excuses=EXCUSES - set(asked.without))))  # fmt: skip
