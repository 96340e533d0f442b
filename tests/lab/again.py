"""A recording played again through ledger twin and Guard on packet time, with chosen detectors.

The rim of `camguard replay` without its printing.
"""

import json
from pathlib import Path
from typing import Any

from camguard import config, report
from camguard.capture import ledger, pcap
from camguard.detect.stream import DETECTORS
from camguard.events import Event, FlowCount, Home, hosts_of
from camguard.guard import Guard
from camguard.places import Places


def play_again(
    capture: Path, home: Home, *, detectors: frozenset[str] = DETECTORS, places: Places | None = None
) -> list[dict[str, Any]]:
    """The events of `capture` as dicts, in order."""
    guard = Guard(home, places, detectors=detectors)
    out: list[Event] = []
    last: float | None = None
    counted: float | None = None
    for item in ledger.run(pcap.frames(capture), hosts_of(home)):
        at = item.at
        if counted is not None and (not isinstance(item, FlowCount) or at != counted):
            out += guard.tick(counted)
            counted = None
        out += guard.feed(item)
        if isinstance(item, FlowCount):
            counted = at
        last = at
    if last is not None:
        out += guard.finish(last)
    return [report.as_dict(event) for event in out]


def home_of(folder: Path) -> Home:
    """The home that a recording's camguard.toml describes."""
    return config.load(folder / "camguard.toml").home


def expected_of(folder: Path) -> list[dict[str, Any]]:
    """What the programs of a recording did."""
    return [json.loads(line) for line in (folder / "expected.jsonl").read_text().splitlines()]
