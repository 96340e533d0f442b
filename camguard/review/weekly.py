"""The week in numbers: for `camguard report`, and for the message that deliver sends on Mondays.

In: the record and a range (wall-clock seconds). Out: `Facts`, their text; page.py makes the HTML page of them. Only
what the record holds is counted: log-ins are not read yet, so none are mentioned.
"""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from camguard import report
from camguard.config import Paths
from camguard.errors import ConfigError, StoreError
from camguard.events import VIEWING, Decision, Exposure
from camguard.report.exposure import exposure_of, exposure_words
from camguard.report.records import decision_words
from camguard.store import Kept, Looked, Run

DAY_S = 86_400.0
READ_AT_ONCE = 20_000  # sessions of a day, alerts of the range
LISTED = 20
ENDING_S = 3 * DAY_S
_INTERFACE_GONE = "a network interface is gone"  # service/blind.py
_STARTED_AGAIN = "camguard was started again"


class Record(Protocol):
    """What is asked of the record (store.Reader)."""

    def sessions(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Sessions that touched the range."""
        ...

    def alerts(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Alerts that touched the range."""
        ...

    def looked(self, since: float, until: float) -> Looked:
        """How long the guard looked."""
        ...

    def runs(self) -> list[Run]:
        """All stretches of looking."""
        ...

    def open_exposures(self) -> list[dict[str, Any]]:
        """Ways in that are open."""
        ...

    def decisions(self, active_at: float | None = None, limit: int = 1000) -> list[Kept]:
        """What holds then."""
        ...


@dataclass(frozen=True, slots=True)
class Viewing:
    """One viewing that touched the range. `sort`: "expected", "unexpected", or "unclear": too little was seen to tell.

    `who` in words, `viewer` what tells one viewer from another; `ended` None: it goes on.
    """

    camera: str
    sort: str
    who: str
    viewer: str
    what: str
    started: float
    ended: float | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What was counted between `since` and `until`; `since` is the first look where that was later.

    `gaps`: (from, to) in which camguard did not look at all. `blind`: (camera, from, to) in which it looked and did not
    see that one. `alerts`: severity -> how many. `ways`: ways in to a camera that are open now. `ending`:
    permissions that end within `ENDING_S`.
    """

    since: float
    until: float
    cameras: tuple[str, ...]
    viewings: tuple[Viewing, ...]
    gaps: tuple[tuple[float, float], ...]
    blind: tuple[tuple[str, float, float], ...]
    alerts: tuple[tuple[str, int], ...]
    ways: tuple[Exposure, ...] = ()
    ending: tuple[Decision, ...] = ()

    def count(self, sort: str, camera: str | None = None) -> int:
        """Viewings of that sort."""
        return sum(one.sort == sort and camera in (None, one.camera) for one in self.viewings)

    @property
    def strangers(self) -> int:
        """Different viewers that were not expected."""
        return len({one.viewer for one in self.viewings if one.sort == "unexpected"})

    def week(self, reached: str | None = None, reached_at: float | None = None) -> report.Week:
        """For the words of the message."""
        return report.Week(
            since=self.since,
            until=self.until,
            cameras=len(self.cameras),
            viewings=self.count("expected") + self.count("unexpected"),
            unexpected=self.count("unexpected"),
            gaps=self.gaps,
            open_ways=len(self.ways),
            ending=len(self.ending),
            reached=reached,
            reached_at=reached_at,
        )


def facts(reader: Record, since: float, until: float, cameras: Sequence[str] = ()) -> Facts:
    """What the record says of the range; `cameras`: those that are guarded now. StoreError where it cannot be read."""
    runs = reader.runs()
    if runs and since < runs[0].started < until:
        since = runs[0].started
    alerts = reader.alerts(since, until, limit=READ_AT_ONCE)
    viewings = tuple(sorted(_viewings(reader, since, until), key=lambda one: (one.started, one.camera)))
    gone, blind = _blind(alerts, since, until)
    seen = [one.camera for one in viewings]
    severities = [str(one["severity"]) for one in alerts if (report.seconds_of(one["time"])) >= since]
    return Facts(
        since=since,
        until=until,
        cameras=tuple(dict.fromkeys([*cameras, *seen])),
        viewings=viewings,
        gaps=tuple(_joined([*reader.looked(since, until).gaps, *gone])),
        blind=tuple(blind),
        alerts=tuple((word, severities.count(word)) for word in ("critical", "warning", "info")),
        ways=tuple(_ways(reader)),
        ending=tuple(ending(reader, until)),
    )


def ending(reader: Record, now: float) -> list[Decision]:
    """Permissions that hold and end soon, the first one first."""
    soon = [
        (kept.left_s, kept.decision)
        for kept in reader.decisions(now)
        if kept.decision.what == "allow" and kept.left_s is not None and kept.left_s <= ENDING_S
    ]
    return [decision for _, decision in sorted(soon, key=lambda one: one[0])]


def ending_words(one: Decision, now: float, zone: str) -> str:
    """ "nursery may be viewed by anna's phone until 22:00 (terminal, bob)", seen from `now`."""
    return decision_words(replace(one, time=now), zone)


def _ways(reader: Record) -> Iterator[Exposure]:
    for body in reader.open_exposures():
        with contextlib.suppress(KeyError, TypeError, ValueError):  # a damaged row
            yield exposure_of(body)


def days_before(until: float, days: int, zone: str) -> float:
    """The same hour by the clock on the wall, so many days earlier."""
    return (datetime.fromtimestamp(until, ZoneInfo(zone)) - timedelta(days=days)).timestamp()


def _viewings(reader: Record, since: float, until: float) -> Iterator[Viewing]:
    """Day by day: a week of motion clips is not held in memory for a few viewings."""
    known: set[str] = set()
    begin = since
    while begin < until:
        for one in reader.sessions(begin, min(begin + DAY_S, until), limit=READ_AT_ONCE):
            if one["class"] in VIEWING and one["id"] not in known:
                known.add(str(one["id"]))
                yield _viewing(one)
        begin += DAY_S


def _viewing(session: dict[str, Any]) -> Viewing:
    peer = session["peer"] or {}
    sort = "unclear"
    if session["verdict"] in ("expected", "unexpected") and session["confidence"] != "unsure":
        sort = str(session["verdict"])
    return Viewing(
        camera=str(session["camera"]),
        sort=sort,
        who=report.clean(report.who_short(report.peer_of(peer)), 60) or "somebody unknown",
        viewer=str(peer.get("device") or peer.get("ip") or ""),
        what=report.CLASS_WORDS.get(str(session["class"]), "unclear"),
        started=report.seconds_of(session["started"]),
        ended=report.seconds_of(session["ended"]) if session.get("ended") else None,
    )


def _blind(
    alerts: Iterable[dict[str, Any]], since: float, until: float
) -> tuple[list[tuple[float, float]], list[tuple[str, float, float]]]:
    """From guard-blind alerts: when nothing could be seen of any camera, and when not of one."""
    gone: list[tuple[float, float]] = []
    blind: list[tuple[str, float, float]] = []
    for one in alerts:
        if one["type"] != "guard-blind" or one["reason"] == _STARTED_AGAIN:
            continue
        begin = max(since, report.seconds_of(one["started"]))
        end = min(until, report.seconds_of(one["time"]) if one["state"] == "closed" else until)
        if end <= begin:
            continue
        if one["camera"]:
            blind.append((str(one["camera"]), begin, end))
        elif one["reason"] == _INTERFACE_GONE:
            gone.append((begin, end))
    return gone, sorted(blind, key=lambda span: span[1])


def _joined(spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same time, each moment once, in order."""
    made: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if made and begin <= made[-1][1]:
            made[-1] = (made[-1][0], max(end, made[-1][1]))
        else:
            made.append((begin, end))
    return made


# ---- in words --------------------------------------------------------------------------------------------------------


def headline(found: Facts) -> str:
    """ "0 unexpected viewers, 14 views of yours, guard up 99.98 %"."""
    parts = [_count(found.strangers, "unexpected viewer"), f"{_count(found.count('expected'), 'view')} of yours"]
    unclear = found.count("unclear")
    if unclear:
        parts.append(f"{unclear} that camguard cannot tell")
    return ", ".join([*parts, f"guard up {report.up_words(found.week())}"])


def span_words(found: Facts, zone: str) -> str:
    """ "17 Nov 09:00 to 24 Nov 09:00"."""
    return f"{report.day(found.since, zone)} to {report.day(found.until, zone)}"


def text(found: Facts, zone: str) -> str:
    """The whole report as lines for a terminal."""
    lines = [f"{report.weekly(found.week(), zone)[0]}. {span_words(found, zone)}", "", headline(found)]
    lines += ["", *(camera_words(found, camera) for camera in found.cameras)]
    strangers = [one for one in found.viewings if one.sort == "unexpected"]
    if strangers:
        lines += ["", "Not expected:", *(f"  {viewing_words(one, found, zone)}" for one in strangers[-LISTED:])]
        lines += _more(len(strangers), "camguard sessions --since -7d")
        lines.append("  Not you? What to think of first: docs/safety.md")
    if found.ways:
        lines += ["", "Open now:", *(f"  {way_words(one, zone)}" for one in found.ways[:LISTED])]
        lines += _more(len(found.ways), "camguard log --since -7d")
    if found.ending:
        lines += ["", "Ends within 3 days:", *(f"  {ending_words(one, found.until, zone)}" for one in found.ending)]
        lines.append("  All of it: camguard allow --list")
    if found.gaps:
        lines += ["", "camguard did not look:", *(f"  {gap_words(gap, zone)}" for gap in found.gaps[-LISTED:])]
        lines += _more(len(found.gaps), "camguard log --since -7d")
    return "\n".join(lines)


def camera_words(found: Facts, camera: str) -> str:
    """ "nursery: 9 viewings, 1 not expected; not seen for 3 h"."""
    expected, unexpected, unclear = (found.count(sort, camera) for sort in ("expected", "unexpected", "unclear"))
    parts = [_count(expected + unexpected + unclear, "viewing")]
    if unexpected:
        parts.append(f"{unexpected} not expected")
    elif expected and not unclear:
        parts.append("all expected" if expected > 1 else "expected")
    if unclear:
        parts.append(f"{unclear} that camguard cannot tell")
    blind_s = sum(end - begin for name, begin, end in found.blind if name == camera)
    blind = f"; not wholly seen for {report.duration(blind_s)}" if blind_s else ""
    return f"{report.clean(camera, report.MAX_CAMERA)}: {', '.join(parts)}{blind}"


def viewing_words(one: Viewing, found: Facts, zone: str) -> str:
    """ "23 Nov 22:14 nursery: live video to OVH, France, 14 minutes"."""
    length = report.duration((found.until if one.ended is None else one.ended) - one.started)
    still = ", and goes on" if one.ended is None else ""
    camera = report.clean(one.camera, report.MAX_CAMERA)
    return f"{report.day(one.started, zone)} {camera}: {one.what} to {one.who}, {length}{still}"


def way_words(one: Exposure, zone: str) -> str:
    """ "23 Nov 22:14 nursery: the router lets the internet in on port 8554"."""
    camera = report.clean(one.camera, report.MAX_CAMERA)
    return f"{report.day(one.time, zone)} {camera}: {exposure_words(one, zone, state=False)}"


def gap_words(gap: tuple[float, float], zone: str) -> str:
    """ "17 Nov 22:40, 6 minutes"."""
    return f"{report.day(gap[0], zone)}, {report.duration(gap[1] - gap[0])}"


def as_dict(found: Facts) -> dict[str, Any]:
    """The numbers for --json; unknown is null."""
    spans = [{"from": report.rfc3339(begin), "to": report.rfc3339(end)} for begin, end in found.gaps]
    return {
        "kind": "report",
        "since": report.rfc3339(found.since),
        "until": report.rfc3339(found.until),
        "unexpected_viewers": found.strangers,
        **{sort: found.count(sort) for sort in ("expected", "unexpected", "unclear")},
        "failed_logins": None,
        "up_percent": round(found.week().up_percent, 4),
        "gaps": spans,
        "alerts": dict(found.alerts),
        "exposures": [report.as_dict(one) for one in found.ways],
        "ending": [report.as_dict(one) for one in found.ending],
        "cameras": [
            {"name": camera} | {sort: found.count(sort, camera) for sort in ("expected", "unexpected", "unclear")}
            for camera in found.cameras
        ],
        "viewings": [
            asdict(one) | {"started": report.rfc3339(one.started), "ended": report.rfc3339(one.ended)}
            for one in found.viewings
        ],
    }


def _more(count: int, how: str) -> list[str]:
    return [f"  and {count - LISTED} earlier ones: {how}"] if count > LISTED else []


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


# ---- the command -----------------------------------------------------------------------------------------------------


def run(paths: Paths, *, html: Path | None = None, as_json: bool = False, now: float | None = None) -> int:
    """`camguard report`: print the last 7 days, or write them as a page; 0."""
    from camguard.review.page import page
    from camguard.review.terminal import View

    view = View(paths, now)
    found = facts(view.reader, days_before(view.now, 7, view.zone), view.now, view.cameras())
    if html is not None:
        _write(html, page(found, view.zone))
    elif as_json:
        sys.stdout.write(f"{report.to_json(as_dict(found))}\n")
    else:
        sys.stdout.write(f"{text(found, view.zone)}\n")
    return 0


def _write(path: Path, content: str) -> None:
    """The page in place in one step, for its owner alone: it shows who was watched, and when. "-": stdout."""
    if str(path) == "-":
        sys.stdout.write(content)
        return
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.write(content)
        new.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise ConfigError(f"cannot write {path}: {error.strerror}.") from None
    sys.stderr.write(f"Written: {path}\n")


def first_look(reader: Record) -> float | None:
    """When camguard began to look at all; None where that is not known."""
    try:
        runs = reader.runs()
    except StoreError:
        return None
    return runs[0].started if runs else None
