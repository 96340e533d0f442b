"""`python -m tests.lab`: run the lab and print the accuracy table in Markdown (as root)."""

import argparse
import random
import sys
from pathlib import Path

from tests.lab import again, corpus, explained, verdict
from tests.lab.record import discard, record, temporary


def main() -> int:
    asked = _arguments()
    if asked.corpus:
        print(corpus.table(asked.corpus_folder))
        return 0
    if asked.corpus_alerts:
        print(explained.table(asked.corpus_folder))
        return 0
    rows: list[verdict.Row] = []
    if asked.replay:
        for folder in asked.replay:
            events = again.play_again(folder / "lan.pcap", again.home_of(folder))
            rows += verdict.compare(again.expected_of(folder), events)
    else:
        first = asked.seed if asked.seed is not None else random.SystemRandom().randrange(1, 10**6)
        for seed in range(first, first + asked.runs):
            rows += _run(seed, asked)
    print(verdict.table(rows))
    return 0 if all(row.good for row in rows if row.required) else 1


def _run(seed: int, asked: argparse.Namespace) -> list[verdict.Row]:
    folder = asked.keep / f"seed{seed}" if asked.keep else temporary()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = record(
            seed,
            folder,
            guard=not asked.no_guard,
            brief=asked.brief or asked.runs > 2,
            only=(lambda s: s.name in asked.only) if asked.only else (lambda s: True),
            say=lambda words: print(words, file=sys.stderr, flush=True),
        )
        if asked.no_guard:
            events = again.play_again(folder / "lan.pcap", again.home_of(folder))
        else:
            events = verdict.read_events(folder / "events.jsonl")
        rows = verdict.compare(done.expected, events)
        wrong = [f"{row.scenario}: {'; '.join(row.wrong)}" for row in rows if not row.good]
        print(f"seed {seed}: {verdict.summary(rows)} {wrong or ''}", file=sys.stderr, flush=True)
        return rows
    finally:
        if not asked.keep:
            discard(folder)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    parser.add_argument("--seed", type=int, help="the (first) seed; default: a fresh one, printed")
    parser.add_argument("--runs", type=int, default=1, help="so many seeds; more than two are brief ones")
    parser.add_argument("--brief", action="store_true", help="only outsiders, each for 15 s: for delays")
    parser.add_argument("--only", nargs="+", metavar="SCENARIO", help="only these scenarios")
    parser.add_argument("--no-guard", action="store_true", help="record only, then judge the replay of the recording")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep captures and logs in DIR/seedN")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="DIR", help="judge kept recordings again, by replay")
    parser.add_argument("--corpus", action="store_true", help="the table over the corpus of real captures instead")
    parser.add_argument("--corpus-alerts", action="store_true", help="every alert of that corpus, explained")
    parser.add_argument("--corpus-folder", type=Path, default=corpus.folder(), metavar="DIR", help="where it lies")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
