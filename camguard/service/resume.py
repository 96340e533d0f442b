"""What the run before left. In: the store and the live figures; out: alerts that go on, rows that close the rest."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from camguard import report, store
from camguard.config import Paths
from camguard.events import Alert, Event, Exposure
from camguard.report.exposure import exposure_of
from camguard.store import NAMES_DAYS, Kept, Reader, Row, Run, Store

RESUME_S = 600.0  # an alert goes on when the guard was away for less
LASTING = ("exposed-port",)  # these go on however long: what is open stays open while nobody looks
DECISIONS = 10_000


class Left:
    """What the run before left: alerts that go on, rows that close the rest, when it last looked, what was decided.

    `names`: (camera, address, DNS name) as cameras were told lately. `exposures`: ways in that were open; `services`:
    what each camera is known to answer on; `destinations`: where it is known to talk to; `speakers`: MACs of
    devices that spoke like a camera; `habits`: what is usual (number, text), `looked`: for how long each camera was
    looked at, `next_habit`: a number (judge/baseline.py). Times are wall clock.
    """

    def __init__(
        self,
        alerts: Sequence[Alert],
        rows: Sequence[Row],
        looked_until: float | None,
        decisions: Sequence[Kept] = (),
        names: Sequence[tuple[str, str, str]] = (),
        exposures: Sequence[Exposure] = (),
        services: Sequence[tuple[str, str, int, float, float]] = (),
        destinations: Sequence[tuple[str, str, float]] = (),
        speakers: Sequence[str] = (),
        habits: Sequence[tuple[int, str]] = (),
        looked: Sequence[tuple[str, float, int]] = (),
        next_habit: int = 1,
    ) -> None:
        self.alerts, self.rows, self.looked_until = tuple(alerts), tuple(rows), looked_until
        self.decisions, self.names = tuple(decisions), tuple(names)
        self.exposures, self.services = tuple(exposures), tuple(services)
        self.destinations, self.speakers = tuple(destinations), tuple(speakers)
        self.habits, self.looked, self.next_habit = tuple(habits), tuple(looked), next_habit


def what_was_left(opened: Store, paths: Paths, now: float) -> Left:
    """Begin this run in the store, and see what the one before left open."""
    before = opened.note_start(now)
    if before is None:
        return Left((), (), None)
    until = _last_look(before, paths, now)
    reader = Reader(paths.database)
    try:
        alerts = [_until_now(alert, now) for alert in map(report.alert_of, reader.open_alerts()) if alert]
        lately = [alert for alert in map(report.alert_of, reader.alerts(since=now - RESUME_S)) if alert]
        rows = [_closed_session(body, until) for body in reader.open_sessions()]
        decisions = still_hold(reader.decisions(limit=DECISIONS))
        once = [kept.decision for kept in decisions if kept.decision.mode == "once"]
        names = reader.names(since=now - NAMES_DAYS * 86_400.0)
        exposures = [one for one in map(_exposure, reversed(reader.open_exposures())) if one]
        services, destinations = reader.services(), reader.destinations()
        speakers = [device.mac for device in reader.devices() if device.speaks_camera]
        known = names, exposures, services, destinations, speakers, reader.habits(), reader.looked_at()
        next_habit = reader.next_habit()
    finally:
        reader.close()
    if now - until <= RESUME_S:
        # lately closed ones, too: the same viewer coming back is the same matter
        closed = [one for one in lately if one.state == "closed" and one.type != "guard-blind" and one.time <= now]
        return Left([*alerts, *closed], rows, until, decisions, *known, next_habit)
    lasting = [alert for alert in alerts if alert.type in LASTING]
    closed = [replace(alert, state="closed", ended=until, time=now) for alert in alerts if alert.type not in LASTING]
    rows += [*map(row_of, closed), *(row_of(replace(one, time=until, used=True)) for one in once)]
    lasts = [kept for kept in decisions if kept.decision not in once]
    return Left(lasting, rows, until, lasts, *known, next_habit)


def still_hold(decisions: Sequence[Kept]) -> tuple[Kept, ...]:
    """Those that go on after a start, in the order in which they were made; also those of which no clock can say it
    yet."""
    found = [kept for kept in decisions if kept.holds or (kept.unsure and kept._replace(unsure=False).holds)]
    return tuple(sorted(found, key=lambda kept: kept.decision.number))


def _last_look(before: Run, paths: Paths, now: float) -> float:
    """The heartbeat in the store is up to 30 s old; the live figures of the same boot know the second."""
    if before.ended is not None:
        return min(before.ended, now)
    figures = store.read_now(paths.now) or {}
    age = store.now_age_s(figures)
    if before.beat > now:  # the clock was set back meanwhile: how long nobody looked is known within one boot only
        return now - age if age < before.beat - before.started else now
    return max(before.beat, min(now, now - age)) if age < now - before.beat else before.beat


def _until_now(alert: Alert, now: float) -> Alert:
    """Nothing was told later than now: an alert dated so by a clock that was wrong would never fall quiet."""
    ended = None if alert.ended is None else min(alert.ended, now)
    return replace(alert, time=min(alert.time, now), started=min(alert.started, now), ended=ended)


def _closed_session(body: dict[str, Any], until: float) -> Row:
    closed = body | {"state": "closed", "ended": store.rfc3339(until), "time": store.rfc3339(until)}
    return Row("session", until, body.get("camera"), body.get("id"), "closed", closed)


def _exposure(body: dict[str, Any]) -> Exposure | None:
    try:
        return exposure_of(body)
    except (KeyError, TypeError, ValueError):  # a damaged row
        return None


def row_of(event: Event, zone: str = "UTC") -> Row:
    """The event as a row of the store."""
    body = report.as_dict(event, zone)
    return Row(body["kind"], event.time, body["camera"], body.get("id"), body.get("state"), body)
