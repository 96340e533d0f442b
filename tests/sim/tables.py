"""The tables of a simulated day, in Markdown, for docs/accuracy.md."""

import math
from collections.abc import Iterable, Sequence

from tests.sim.day import LENGTHS_S, WAYS, Deed
from tests.sim.run import Result


def delays(deeds: Iterable[Deed]) -> list[float]:
    """From the first media packet to the alert, of those that were told, in order."""
    return sorted(deed.delay_s for deed in deeds if deed.delay_s is not None)


def rank(values: Sequence[float], share: float) -> float:
    """The value that `share` of them do not exceed (nearest rank)."""
    return values[max(0, math.ceil(share * len(values)) - 1)]


def _times(found: Sequence[float]) -> str:
    if not found:
        return "- | - | -"
    return f"{rank(found, 0.5):.1f} | {rank(found, 0.95):.1f} | {found[-1]:.1f}"


def voyeurs(result: Result) -> str:
    """Found per way and length, time to alert."""
    lines = ["| voyeur's way in | " + " | ".join(f"{n} s" for n in LENGTHS_S) + " | median s | 95 % s | worst s |",
             "|---|" + "---:|" * (len(LENGTHS_S) + 3)]  # fmt: skip
    mine = [deed for deed in result.deeds if deed.kind == "voyeur"]
    for way in (*WAYS, None):
        ours = [deed for deed in mine if way in (None, deed.label)]
        cells = []
        for length_s in LENGTHS_S:
            of_length = [deed for deed in ours if deed.length_s == length_s]
            cells.append(f"{sum(bool(deed.told_at) for deed in of_length)} of {len(of_length)}")
        lines.append(f"| {way or 'all'} | {' | '.join(cells)} | {_times(delays(ours))} |")
    return "\n".join(lines)


def false_alarms(result: Result) -> str:
    """What should raise nothing: how often it happened, and alerts per camera and 30 days."""
    lines = ["| what should raise nothing | times | alerts | per camera and 30 days |", "|---|---:|---:|---:|"]
    mine = [deed for deed in result.deeds if deed.kind in ("quiet", "home")]
    for label in sorted({deed.label for deed in mine}):
        ours = [deed for deed in mine if deed.label == label]
        lines.append(f"| {label} | {len(ours)} | {_alerts(ours)} | {_rate(result, ours):.1f} |")
    lines.append(f"| nothing that happened explains it | | {len(result.strays)} | |")
    return "\n".join(lines)


def shortfall(result: Result) -> list[str]:
    """Which of the aims for voyeurs are missed, in words."""
    mine = [deed for deed in result.deeds if deed.kind == "voyeur" and deed.length_s is not None]
    longer = [deed for deed in mine if (deed.length_s or 0) >= 10 and not deed.told_at]
    short = [deed for deed in mine if deed.length_s == 5]
    words = [f"not told: {deed.label}, {deed.length_s:.0f} s at {deed.camera}" for deed in longer]
    if len(delays(short)) < 0.95 * len(short):
        words.append(f"of {len(short)} viewings of 5 s only {len(delays(short))} were told")
    return words


def _alerts(deeds: Sequence[Deed]) -> int:
    return sum(len(deed.told_at) for deed in deeds)


def _rate(result: Result, deeds: Sequence[Deed]) -> float:
    cameras = len({deed.camera for deed in deeds})
    return _alerts(deeds) * 30 / result.days.days / max(1, cameras)


def questions(result: Result) -> str:
    """Viewings of the owner from away that nothing explains, and how often he was asked."""
    lines = ["| the owner looks from away | viewings | asked | most a viewing |", "|---|---:|---:|---:|"]
    mine = [deed for deed in result.deeds if deed.kind == "away"]
    for label in sorted({deed.label for deed in mine}):
        ours = [deed for deed in mine if deed.label == label]
        asked = [deed.sounded for deed in ours]
        lines.append(f"| {label} | {len(ours)} | {sum(asked)} | {max(asked)} |")
    return "\n".join(lines)


def attackers(result: Result) -> str:
    """Voyeurs who shape their traffic."""
    lines = ["| what the voyeur does | found | median s | 95 % s | worst s |", "|---|---:|---:|---:|---:|"]
    labels = dict.fromkeys(deed.label for deed in result.deeds if deed.kind == "attack")
    for label in labels:
        ours = [deed for deed in result.deeds if (deed.kind, deed.label) == ("attack", label)]
        found = delays(ours)
        lines.append(f"| {label} | {len(found)} of {len(ours)} | {_times(found)} |")
    return "\n".join(lines)


def worth(results: Sequence[tuple[str, Result]]) -> str:
    """Found per way (all lengths), median time to alert, and false alarms, with each rule switched off."""
    lines = ["| way in | " + " | ".join(name for name, _ in results) + " |", "|---|" + "---:|" * len(results)]
    for way in WAYS:
        cells = []
        for _, result in results:
            ours = [deed for deed in result.deeds if (deed.kind, deed.label) == ("voyeur", way)]
            found = delays(ours)
            cells.append(f"{len(found)} of {len(ours)}" + (f", {rank(found, 0.5):.1f} s" if found else ""))
        lines.append(f"| {way} | {' | '.join(cells)} |")
    quiet = [str(_alerts([d for d in result.deeds if d.kind in ("quiet", "home")])) for _, result in results]
    lines.append(f"| alerts on what should raise nothing | {' | '.join(quiet)} |")
    return "\n".join(lines)


def others(result: Result) -> str:
    """Alerts of other types (logins, open doors, ...), by what they are about."""
    told = [f"{kind} {count} ({who}{': ' + label if label else ''})"
            for (kind, who, label), count in sorted(result.others.items()) if count]  # fmt: skip
    return "; ".join(told) or "none"
