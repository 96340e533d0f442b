"""What the programs did against what the guard said: one row a viewing (or quiet scenario), and tables of rows.

In: expected.jsonl's objects and the guard's event dicts (contract.md). Delay is wall clock of the alert's first event
minus the first media packet that the guard could see; live and in replay both are packet time, because the lab runs on
one clock.
"""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

Event = dict[str, Any]
VIEWING = ("remote-stream", "lan-stream")
#: What is told, too, where somebody came in from outside: that there is a way in.
WAY_IN = "exposed-port"
READABLE_S, OPAQUE_S = 3.0, 10.0  # contract.md, "Delay"


@dataclass(slots=True)
class Row:
    """The verdict on one viewing, or on one quiet scenario. `wrong` says in words what is not as it must be."""

    scenario: str
    must: str | None
    within_s: float | None
    required: bool
    delay_s: float | None = None
    confidence: str | None = None
    wrong: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not self.wrong


def seconds(text: str) -> float:
    """RFC 3339 -> seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def read_events(path: Path) -> list[Event]:
    """The JSON objects in what the guard printed; its ready line is passed over."""
    lines = path.read_text(errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]


def compare(expected: Iterable[Event], events: list[Event]) -> list[Row]:
    """A row for each expected viewing and each quiet scenario."""
    rows = []
    deeds = list(expected)
    for deed in deeds:
        mine = [e for e in events if e["kind"] == "alert" and e["camera"] == deed["camera"]]
        causes = {(d["must"], d["peer"]) for d in deeds if d["camera"] == deed["camera"]}
        rows.append(_row(deed, mine, causes, events))
    return sorted(rows, key=lambda row: (row.must is None, row.scenario))


def _row(deed: Event, alerts: list[Event], causes: set[tuple[str | None, str | None]], events: list[Event]) -> Row:
    row = Row(deed["scenario"], deed["must"], deed["within_s"], deed["required"])
    right = [a for a in alerts if a["type"] == deed["must"] and (a["peer"] or {}).get("ip") == deed["peer"]]
    others = [a for a in alerts if (a["type"], (a["peer"] or {}).get("ip")) not in causes]
    others = [a for a in others if a["type"] != WAY_IN or not deed.get("came_in")]
    for alert_type in sorted({a["type"] for a in others}):
        row.wrong.append(f"alert nobody gave cause for: {alert_type}")
    if deed["must"] is None:
        return row
    if not right:
        row.wrong.append("no alert")
        return row
    # PLAY's answer raises before the first media packet: no delay then
    row.delay_s = max(0.0, min(seconds(a["raised"]) for a in right) - deed["first_seen"])
    row.confidence = right[-1]["confidence"]
    if row.delay_s > deed["within_s"]:
        row.wrong.append(f"late: {row.delay_s:.1f} s")
    count = len({a["id"] for a in right})
    if count != 1:
        row.wrong.append(f"{count} alerts for one viewer")
    sessions = {
        e["id"]
        for e in events
        if e["kind"] == "session" and e["camera"] == deed["camera"] and e["peer"]["ip"] == deed["peer"]
        and e["class"] in ("stream", "playback", "talk")
    }  # fmt: skip
    if len(sessions) != 1:
        row.wrong.append(f"{len(sessions)} sessions for one viewing")
    return row


def percentile(values: list[float], part: float) -> float:
    """The smallest value that at least `part` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def table(rows: list[Row]) -> str:
    """The accuracy table in Markdown: per scenario runs, right, delays; then recall and false alarms."""
    lines = [
        "| scenario | must | runs | right | median s | 95 % s | worst s | within s | what was wrong |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for name in dict.fromkeys(row.scenario for row in rows):
        mine = [row for row in rows if row.scenario == name]
        delays = [row.delay_s for row in mine if row.delay_s is not None]
        shown = [f"{percentile(delays, p):.1f}" for p in (0.5, 0.95, 1.0)] if delays else ["", "", ""]
        first = mine[0]
        must = (first.must or "quiet") + ("" if first.required else " (printed, not required)")
        wrong = "; ".join(sorted({w for row in mine for w in row.wrong}))
        good = sum(row.good for row in mine)
        lines.append(
            f"| {name} | {must} | {len(mine)} | {good} | {' | '.join(shown)} | {first.within_s or ''} | {wrong} |"
        )
    return "\n".join([*lines, "", summary(rows)])


def summary(rows: list[Row]) -> str:
    """Recall, false alarms and delays of what is required, in sentences."""
    judged = [row for row in rows if row.required]
    loud, quiet = [row for row in judged if row.must], [row for row in judged if not row.must]
    told = [row for row in loud if row.delay_s is not None]
    intime = [row for row in told if row.delay_s is not None and row.within_s and row.delay_s <= row.within_s]
    false = [row for row in judged if any("nobody gave cause" in w for w in row.wrong)]
    lines = [
        f"Recall {len(told)} of {len(loud)} viewings, {len(intime)} in time; false alarms {len(false)} in "
        f"{len(quiet)} quiet scenarios and {len(loud)} viewings."
    ]
    for what, limit in (("readable", READABLE_S), ("opaque", OPAQUE_S)):
        delays = [row.delay_s for row in told if row.delay_s is not None and row.within_s == limit]
        if delays:
            lines.append(
                f"Delay {what}: median {percentile(delays, 0.5):.1f} s, 95 % {percentile(delays, 0.95):.1f} s, worst "
                f"{max(delays):.1f} s ({len(delays)} viewings, at most {limit:.0f} s asked)."
            )
    return "\n".join(lines)
