"""`python -m tests.sim --seed 1 --days 1`: simulate days of a home, print the tables in Markdown. No root needed."""

import argparse
import sys

from tests.sim import attacks, day, tables
from tests.sim.run import RULES, Result, run
from tests.sim.shapes import real_views


def main() -> int:
    asked = _arguments()
    off = frozenset(asked.without)
    more = {"repeats": asked.repeats, "clips": asked.clips}
    result = run(day.ordinary(asked.seed, asked.days, asked.cameras, **more), rules=RULES - off)
    if not real_views():
        print("The corpus is not here: only shapes of the lab.\n")
    print(_of(result, asked.seed), "", tables.voyeurs(result), "", tables.false_alarms(result), "",
          tables.questions(result), "", f"Told besides: {tables.others(result)}.", sep="\n")  # fmt: skip
    if asked.attacks:
        shaped = run(attacks.attacked(asked.seed, min(asked.days, 1.0), asked.cameras), rules=RULES - off)
        print("", tables.attackers(shaped), sep="\n")
    if asked.worth:
        days = min(asked.days, 0.5)
        switched = sorted(RULES - {"baseline", "learning"})
        runs = [("all rules", RULES), *((f"without {name}", RULES - {name}) for name in switched)]
        found = [(name, run(day.ordinary(asked.seed, days, asked.cameras, **more), rules=on)) for name, on in runs]
        print("", tables.worth(found), sep="\n")
    missed = [] if off else tables.shortfall(result)
    print("\n".join(missed), file=sys.stderr)
    return 1 if missed else 0


def _of(result: Result, seed: int) -> str:
    clips = sum(deed.label == "clips" for deed in result.deeds)
    return (
        f"Seed {seed}: {len(result.days.cams)} cameras, {result.days.days:g} days, {clips} clips, "
        f"{result.items} counts and frames in {result.took_s:.0f} s of processor time."
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--cameras", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=5, help="viewings of each way and length a day")
    parser.add_argument("--clips", type=int, default=150, help="clips of each camera a day")
    parser.add_argument("--without", nargs="+", default=[], choices=sorted(RULES), help="rules switched off")
    parser.add_argument("--attacks", action="store_true", help="also the voyeurs who shape their traffic")
    parser.add_argument("--worth", action="store_true", help="also the table with each rule switched off")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
