"""`camguard status`, `sessions` and `alerts`: what the store and the live figures say, for a person or as JSON lines.

In: the paths and what was asked (time words, camera, limit). Out: text on stdout, the exit code. Reads only.
"""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camguard import report
from camguard.config import Config, Paths, load, machine_timezone, unknown_camera
from camguard.errors import ConfigError, StoreError
from camguard.events import VIEWING, Home
from camguard.report.exposure import exposure_of, exposure_words
from camguard.review import deliveries, moments, phones
from camguard.review.table import Cell, Row, show
from camguard.review.weekly import ending, ending_words
from camguard.store import Reader, now_age_s, read_now

STALE_S = 15.0  # now.json is written each second; older than this, the guard is not looking
SIGHT_S = 180.0  # how long a packet stands for a camera that is seen (judge/sight.py)
WEEK_S = 7 * 86400.0
WAYS_LISTED = 8
SEEN_WORDS = {
    "both": "both ways",
    "up-only": "only what it sends",
    "down-only": "only what it receives",
    "broadcast-only": "only its calls to all",
    "nothing": "no traffic",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the owner asked for: time words (None: the default range), a camera, how many at most, JSON or a table."""

    since: str | None = None
    until: str | None = None
    camera: str | None = None
    limit: int = 100
    as_json: bool = False


@dataclass(frozen=True, slots=True)
class _Range:
    """The range that was searched, wall-clock seconds; `said_until`: the owner named its end."""

    since: float
    until: float
    said_until: bool
    zone: str
    now: float

    def words(self) -> str:
        """ "since 23 Nov 00:00" or "between 22 Nov 00:00 and 23 Nov 00:00"."""
        first = report.day(self.since, self.zone)
        if self.said_until:
            return f"between {first} and {report.day(self.until, self.zone)}"
        return f"since {first}"


class View:
    """What all three commands need: the figures, the record, the home's time zone. `now`: wall-clock seconds."""

    def __init__(self, paths: Paths, now: float | None = None) -> None:
        self.paths = paths
        self.now = time.time() if now is None else now
        self.reader = Reader(paths.database)
        self.figures = read_now(paths.now)
        self.looking = self.figures is not None and now_age_s(self.figures) <= STALE_S
        self.trouble = ""  # what is wrong with the configuration, in its own words
        self.config = self._config()
        self.zone = self.config.home.timezone

    def _config(self) -> Config:
        """The configuration, or none where this user may not read it or it is wrong."""
        try:
            return load(self.paths.config if self.paths.config.exists() else None)
        except (ConfigError, OSError) as error:
            self.trouble = report.clean(str(error))
            return Config(home=Home(timezone=machine_timezone()))

    def cameras(self) -> list[str]:
        """The names of the guarded cameras, in the order of the file."""
        seen = [str(camera.get("name")) for camera in (self.figures or {}).get("cameras", [])]
        return list(dict.fromkeys([camera.name for camera in self.config.home.cameras] + seen))

    def range(self, asked: Asked) -> _Range:
        """The asked range; a week up to now where nothing is said. ConfigError for words that mean no time."""
        try:
            until = self.now if asked.until is None else moments.parse(asked.until, self.now, self.zone)
            since = until - WEEK_S if asked.since is None else moments.parse(asked.since, self.now, self.zone)
        except ValueError as error:
            raise ConfigError(f"{error}.") from None
        if since > until:
            raise ConfigError(
                f"the range is empty: it begins {report.day(since, self.zone)} and ends {report.day(until, self.zone)}."
            )
        return _Range(since, until, asked.until is not None, self.zone, self.now)

    def known_camera(self, name: str | None) -> None:
        """ConfigError, with the nearest name, for a camera that is neither guarded nor recorded."""
        if name is None or name in self.cameras():
            return
        try:
            recorded = self.reader.alerts(camera=name, limit=1) or self.reader.sessions(camera=name, limit=1)
        except StoreError:
            recorded = []
        if not recorded:
            raise unknown_camera(name, self.cameras())

    def not_looking_words(self) -> str:
        """The first line of an answer while the guard does not look."""
        last = self.last_look()
        since = f" since {report.when(last, self.now, self.zone)}" if last is not None else ""
        wrong = f"correct {self.paths.config}, then: " if self.wrong() else ""
        return f"camguard is not looking{since}. Fix: {wrong}{start_words()}"

    def wrong(self) -> bool:
        """Whether there is something wrong in the configuration, and not only that this user may not read it."""
        return bool(self.trouble) and os.access(self.paths.config, os.R_OK)

    def not_yet_heard(self, camera: dict[str, Any]) -> float | None:
        """For a camera of the figures that nothing was heard of, seconds since the guard began to look at it: while
        these are few it may only be quiet. None: heard of, or long enough."""
        began = camera.get("since") or (self.figures or {}).get("since")
        if camera.get("sight") != "nothing" or camera.get("last_time") or not isinstance(began, str):
            return None
        waited = self.now - report.seconds_of(began)
        return max(0.0, waited) if waited < SIGHT_S else None

    def silenced_words(self) -> dict[str, str]:
        """Cameras that are silenced now -> "silenced until 22:14 (mqtt, home)"; "" stands for every camera."""
        found: dict[str, str] = {}
        try:
            ends = self.reader.silenced(self.now)
            decisions = self.reader.decisions(self.now) if ends else []
        except StoreError:
            return found
        for name, until in ends.items():
            said = [one.decision for one in decisions if one.decision.what == "silence" and not one.decision.alert]
            who = next((report.clean(one.who, 40) for one in said if one.camera == name), "")
            by = f" ({who})" if who else ""
            found[name or ""] = f"silenced until {report.when(until, self.now, self.zone)}{by}"
        return found

    def last_look(self) -> float | None:
        """When the guard last looked, as far as anything says so."""
        found = []
        written = (self.figures or {}).get("time")
        if isinstance(written, str):
            found.append(report.seconds_of(written))
        with contextlib.suppress(StoreError):
            found += [run.beat if run.ended is None else run.ended for run in self.reader.runs()[-1:]]
        return max(found, default=None)


def start_words() -> str:
    """How the guard is started on this machine."""
    units = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    installed = any(Path(folder, "camguard.service").exists() for folder in units)
    return "sudo systemctl start camguard" if installed and Path("/run/systemd/system").is_dir() else "camguard run"


# ---- alerts and sessions ---------------------------------------------------------------------------------------------


def alerts(paths: Paths, asked: Asked, now: float | None = None) -> int:
    """Print the alerts of the range, newest first; 0."""
    view = View(paths, now)
    found = found_in(view, asked, "alerts", view.reader.alerts)
    if found:
        ids = short_ids([alert["id"] for alert in found])
        rows = [_alert_row(alert, ids[alert["id"]], view) for alert in found]
        show(("ID", "WHEN", "CAMERA", "SEVERITY", "WHAT", "LASTED", "STATE"), rows, wraps=(2, 4))
        footer(view, asked, len(found), "alert", _was_it_you(found, ids))
    return 0


def sessions(paths: Paths, asked: Asked, now: float | None = None) -> int:
    """Print the sessions of the range, newest first; 0."""
    view = View(paths, now)
    found = found_in(view, asked, "sessions", view.reader.sessions)
    if found:
        columns = ("WHEN", "CAMERA", "WHAT", "WITH", "SURE", "EXPECTED", "LASTED", "SENT")
        live = {one["id"]: one for one in (view.figures or {}).get("sessions", [])} if view.looking else {}
        show(columns, [_session_row(session, view, live) for session in found], right=(7,), wraps=(1, 3))
        footer(view, asked, len(found), "session")
    return 0


def found_in(view: View, asked: Asked, what: str, ask: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The records for a table; none where they were printed as JSON or where there are none, which is said."""
    view.known_camera(asked.camera)
    span = view.range(asked)
    found = ask(since=span.since, until=span.until, camera=asked.camera, limit=asked.limit)
    if not found:
        print(_empty(view, span, what, asked.camera), file=sys.stderr if asked.as_json else sys.stdout)
    if asked.as_json:
        for record in found:
            print(report.to_json(record))
        return []
    return found


def _empty(view: View, span: _Range, what: str, camera: str | None) -> str:
    """The empty answer: the range, and how long the guard really looked in it."""
    looked = view.reader.looked(span.since, span.until).seconds
    of_camera = f" of {report.clean(camera, 64)}" if camera else ""
    how_long = f"looked {report.duration(looked)} of it" if looked >= 1 else "did not look in that time"
    return f"No {what}{of_camera} {span.words()}. camguard {how_long}."


def footer(view: View, asked: Asked, count: int, word: str, hint: str = "") -> None:
    """How many were shown, of which range, and what one may do."""
    span = view.range(asked)
    more = f" There may be more: --limit {asked.limit * 2}" if count >= asked.limit else ""
    print(f"{count} {word}{'' if count == 1 else 's'} {span.words()}.{more}{hint}")


def _was_it_you(alerts: Sequence[dict[str, Any]], ids: dict[str, str]) -> str:
    """What to type where the newest viewer that is still open was the owner."""
    of_viewers = [one for one in alerts if one.get("peer") and one["state"] != "closed"]
    return f" It was you? camguard allow {ids[of_viewers[0]['id']]} --once" if of_viewers else ""


def _alert_row(alert: dict[str, Any], short: str, view: View) -> Row:
    tone = alert["severity"] if alert["state"] != "closed" else ""
    return (
        short,
        report.when(report.seconds_of(alert["started"]), view.now, view.zone),
        report.clean(alert["camera"] or "-", report.MAX_CAMERA),
        Cell(alert["severity"], tone),
        Cell(report.matter(alert), tone),
        report.short_duration(_lasted_s(alert, view.now)) if alert.get("count", 1) < 2 else f"{alert['count']} times",
        "open" if alert["state"] != "closed" else "closed",
    )


def _lasted_s(record: dict[str, Any], now: float) -> float:
    """How long it lasted, or has lasted until `now`."""
    end = now
    if record["state"] == "closed":
        end = report.seconds_of(record.get("ended") or record["time"])
    return end - report.seconds_of(record["started"])


def _session_row(session: dict[str, Any], view: View, live: dict[str, dict[str, Any]]) -> Row:
    """`live`: what goes on by id, as it is now; the record has an open session as it was told last."""
    sent = report.size(session["bytes_up"])
    if session["state"] != "closed":
        sent = report.size(live[session["id"]]["bytes_up"]) if session["id"] in live else "-"
    unexpected = session["verdict"] == "unexpected"
    lasted = report.short_duration(_lasted_s(session, view.now))
    return (
        report.when(report.seconds_of(session["started"]), view.now, view.zone),
        report.clean(session["camera"], report.MAX_CAMERA),
        report.CLASS_WORDS.get(session["class"], "unclear"),
        report.clean(report.who_short(report.peer_of(session["peer"])), 44),
        session["confidence"],
        Cell(
            {"expected": "yes", "unexpected": "NO"}.get(session["verdict"] or "", "-"), "critical" if unexpected else ""
        ),
        lasted if session["state"] == "closed" else f"{lasted}, on",
        sent,
    )


def short_ids(ids: Sequence[str], least: int = 3) -> dict[str, str]:
    """Each id -> the shortest beginning that no other shown one has, at least `least` long."""
    length = least
    while len({one[:length] for one in ids}) < len(set(ids)) and length < 64:
        length += 1
    return {one: one[:length] for one in ids}


# ---- status ----------------------------------------------------------------------------------------------------------


def status(paths: Paths, asked: Asked = Asked(), *, quiet: bool = False, now: float | None = None) -> int:
    """Print who is watching now. 1: the guard is not looking, or (with `quiet`, which prints nothing) something
    unexpected is open. The asked range is the one in which viewings are counted (today, where nothing is said)."""
    view = View(paths, now)
    view.known_camera(asked.camera)
    figures = _of_camera(view.figures or {}, asked.camera)
    alerts_open = figures.get("alerts", []) if view.looking else _recorded_alerts(view, asked.camera)
    if quiet:
        return 0 if view.looking and not [alert for alert in alerts_open if alert.get("severity") != "info"] else 1
    if asked.as_json:
        made = {"looking": view.looking, "last_look": report.rfc3339(view.last_look())} | figures
        made |= {"exposures": _exposures(view, asked.camera)}
        print(report.to_json(made | {"channels": _channels(view), "watch_service": _watch_service(view)}))
        return 0 if view.looking else 1
    names = [name for name in view.cameras() if asked.camera in (None, name)][: asked.limit]
    print(_headline(view, len(names)) if view.looking else view.not_looking_words())
    if view.trouble and (view.wrong() or not view.looking):
        print(view.trouble)
    if names:
        ranged = asked.since is not None or asked.until is not None
        span = view.range(asked if ranged else Asked(since="today"))
        rows = [_camera_row(view, name, figures, alerts_open, _viewings(view, name, span)) for name in names]
        print()
        columns = ("CAMERA", "NOW", "VIEWER", "SINCE", "VIEWED" if ranged else "TODAY", "SEEN")
        show(columns, rows, right=(4,), wraps=(0, 2, 5))
    elif not view.trouble:
        print("No camera is configured. See which devices are there: camguard cameras list")
    remarks = _silenced(view, names) + _remarks(view, figures, alerts_open) + _ways_in(view, names) + _ending(view)
    with contextlib.suppress(StoreError):
        remarks += phones.remarks(view.config.home, view.reader.devices(), view.now)
    remarks += _usual(view, names)
    pings = view.config.ping is not None
    remarks += deliveries.remarks(paths, view.config.channels, view.now, view.zone, pings=pings)
    if remarks:
        print("\n" + "\n".join(remarks))
    return 0 if view.looking else 1


def _usual(view: View, names: list[str]) -> list[str]:
    """Habits that wait for an answer."""
    try:
        found = view.reader.habits_shown()
    except StoreError:
        return []
    asked = [
        one
        for one in found
        if one.get("camera") in names
        and (one.get("cls"), one.get("ripe"), one.get("faded"), one.get("accepted")) == ("stream", True, False, None)
    ]
    if not asked:
        return []
    if len(asked) == 1:
        return ["What one camera does has become usual, and waits for your answer: camguard learn"]
    return [f"{len(asked)} habits have become usual, and wait for your answer: camguard learn"]


def _of_camera(figures: dict[str, Any], camera: str | None) -> dict[str, Any]:
    """The figures, of one camera only where one is asked for."""
    if camera is None:
        return figures
    keys = {"cameras": "name", "sessions": "camera", "alerts": "camera"}
    kept = {part: [one for one in figures.get(part, []) if one.get(key) == camera] for part, key in keys.items()}
    return figures | {part: found for part, found in kept.items() if part in figures}


def _recorded_alerts(view: View, camera: str | None) -> list[dict[str, Any]]:
    try:
        return [alert for alert in view.reader.open_alerts() if camera in (None, alert["camera"])]
    except StoreError:
        return []


def _headline(view: View, count: int) -> str:
    """ "camguard is watching 3 cameras since 20 Nov 18:40 (3 d 4 h, 2 gaps, 8 minutes)"."""
    figures = view.figures or {}
    since = report.seconds_of(figures["since"])
    extra = [report.duration(view.now - since)]
    try:
        gaps = view.reader.looked(view.now - WEEK_S, view.now).gaps
    except StoreError:
        gaps = ()
    if gaps:
        total = report.duration(sum(end - begin for begin, end in gaps))
        extra.append(f"{len(gaps)} gap{'' if len(gaps) == 1 else 's'} in 7 days, {total}")
    cameras = f"{count} camera{'' if count == 1 else 's'}"
    return f"camguard is watching {cameras} since {report.day(since, view.zone)} ({', '.join(extra)})"


def _camera_row(
    view: View, name: str, figures: dict[str, Any], alerts_open: list[dict[str, Any]], viewings: str
) -> Row:
    live = [one for one in figures.get("sessions", []) if view.looking and one["camera"] == name]
    own: dict[str, Any] = next((one for one in figures.get("cameras", []) if view.looking and one["name"] == name), {})
    sight = own.get("sight", "unknown")
    blind = [one for one in alerts_open if one["camera"] == name and one["type"] == "guard-blind"]
    state, viewer, since = _now_words(view, [one for one in live if one["class"] in VIEWING], blind, sight)
    if view.not_yet_heard(own) is not None:
        state, since = Cell("not heard yet", "muted"), ""
    elif view.looking and not own:  # the guard has not read the file since it was added
        state = Cell("not looked at yet", "warning")
    return (report.clean(name, report.MAX_CAMERA), state, viewer, since, viewings, SEEN_WORDS.get(sight, "-"))


def _now_words(view: View, now: list[dict[str, Any]], blind: list[dict[str, Any]], sight: str) -> tuple[Cell, str, str]:
    """What happens at one camera: state, viewer, since."""
    if not view.looking:
        return Cell("not looking", "muted"), "", ""
    if now:
        first = sorted(now, key=lambda one: (one["verdict"] != "unexpected", one["started"]))[0]
        sure = first["confidence"] == "certain"
        unexpected = first["verdict"] == "unexpected"
        words = ("WATCHED" if sure else "MAYBE WATCHED") if unexpected else ("watched" if sure else "maybe watched")
        state = Cell(f"{words}, {first['verdict'] or 'unclear'}", "critical" if unexpected else "")
        viewer = report.clean(report.who_short(report.peer_of(first["peer"])), 30)
        more = f" +{len(now) - 1}" if len(now) > 1 else ""
        return state, viewer + more, report.when(report.seconds_of(first["started"]), view.now, view.zone)
    if sight == "nothing" or (blind and sight not in ("both", "unknown")):
        since = report.when(report.seconds_of(blind[0]["started"]), view.now, view.zone) if blind else ""
        return Cell("cannot see" if sight == "nothing" else "sees a part", "warning"), "", since
    return Cell("nobody"), "", ""


def _viewings(view: View, name: str, span: _Range) -> str:
    """How many viewings touched the range."""
    try:
        found = view.reader.sessions(since=span.since, until=span.until, camera=name, limit=100_000)
    except StoreError:
        return "-"
    return str(sum(1 for one in found if one["class"] in VIEWING))


def _channels(view: View) -> list[dict[str, Any]]:
    """The channels for --json; none where deliver.db may not be read."""
    try:
        return [one.as_dict() for one in deliveries.deliveries(view.paths, view.config.channels)]
    except StoreError:
        return []


def _watch_service(view: View) -> dict[str, Any] | None:
    if view.config.ping is None:
        return None
    try:
        found = deliveries.ping(view.paths)
    except StoreError:
        return None
    return {
        "last_sent": report.rfc3339(found.last),
        "error": None if found.error is None else report.clean(found.error),
        "error_since": report.rfc3339(found.since),
    }


def _silenced(view: View, names: Sequence[str]) -> list[str]:
    """One line for each camera of which the owner does not want to hear at present, or one for all of them."""
    words = view.silenced_words()
    lines = [f"! Every camera: {words['']}"] if "" in words else []
    return lines + [f"! {report.clean(one, report.MAX_CAMERA)}: {words[one]}" for one in names if one in words]


def _ways_in(view: View, names: Sequence[str]) -> list[str]:
    """One line for each way in from outside, and each new service, that is open as far as camguard saw."""
    found, lines = [one for one in _exposures(view, None) if one.get("camera") in names], []
    for body in found[:WAYS_LISTED]:
        with contextlib.suppress(KeyError, TypeError, ValueError):  # a damaged row
            one = exposure_of(body)
            since = report.when(one.time, view.now, view.zone)
            camera = report.clean(one.camera, report.MAX_CAMERA)
            lines.append(f"! {camera}, since {since}: {exposure_words(one, view.zone, state=False)}")
    more = len(found) - WAYS_LISTED
    return lines + ([f"! and {more} more: camguard log"] if more > 0 else [])


def _ending(view: View) -> list[str]:
    """Permissions that end soon."""
    try:
        found = ending(view.reader, view.now)
    except StoreError:
        return []
    if not found:
        return []
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return [f"Ends soon: {ending_words(found[0], view.now, view.zone)}{more}: camguard allow --list"]


def _exposures(view: View, camera: str | None) -> list[dict[str, Any]]:
    try:
        return [one for one in view.reader.open_exposures() if camera in (None, one.get("camera"))]
    except StoreError:
        return []


def _remarks(view: View, figures: dict[str, Any], alerts_open: list[dict[str, Any]]) -> list[str]:
    """What needs the owner, one line each."""
    remarks = []
    if alerts_open:
        count = len(alerts_open)
        remarks.append(f"! {count} open alert{'' if count == 1 else 's'}: camguard alerts")
    if view.looking:
        if figures.get("cost"):
            remarks.append(f"! {report.clean(str(figures['cost']), 200)}")
        remarks += [f"! {report.clean(str(problem), 200)}" for problem in figures.get("problems", [])]
        blind = [
            camera["name"]
            for camera in figures.get("cameras", [])
            if camera.get("sight") == "nothing" and view.not_yet_heard(camera) is None
        ]
        if blind:
            names = ", ".join(report.clean(name, report.MAX_CAMERA) for name in blind)
            remarks.append(f"! Not one packet is seen of {names}: camguard check")
    return remarks
