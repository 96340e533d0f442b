"""A permission tried on the record: which alerts of the last 30 days it would have silenced. Reads only.

In: the record, an alert, a Proposal. Out: a Trial, and its words. The answer is judge's own (allow.Permissions,
rules.Rules): each alert is put before it as the viewing, login or matter that it was, for as long as it lasted.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from camguard import report
from camguard.events import VIEWING, Alert, Home, Session
from camguard.judge.allow import Permissions, about, decided, is_same_viewer
from camguard.judge.propose import LOGIN_TYPES, VIEWING_TYPES, Proposal, Span
from camguard.judge.rules import Rules

DAYS, DAY_S = 30, 86_400.0
MOST = 5000  # alerts, sessions, logins that are looked at
STEP_S, STEPS = 600.0, 500  # how closely a viewing is followed through the hours of a permission
NAMED = 3  # alerts that are named in the words


class Record(Protocol):
    """What is asked of the record (store.Reader)."""

    def alerts(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Alerts that touched the range."""
        ...

    def sessions(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Sessions that touched the range."""
        ...

    def logins(
        self, since: float | None = None, until: float | None = None, camera: str | None = None, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Logins of the range."""
        ...


class Trial(NamedTuple):
    """`others`: when the alerts began that it would not have silenced, wall clock, newest first."""

    silenced: int
    of: int
    others: tuple[float, ...]


def of_its_kind(reader: Record, alert: Alert, now: float) -> list[Alert]:
    """The alerts of the last 30 days that a permission for `alert` could be about: of its camera, and of viewers and
    logins, or of its own type; newest first, and `alert` itself."""
    found = [report.alert_of(body) for body in reader.alerts(now - DAYS * DAY_S, now, alert.camera, MOST)]
    kind = VIEWING_TYPES + LOGIN_TYPES if alert.type in VIEWING_TYPES + LOGIN_TYPES else (alert.type,)
    same = [one for one in found if one and one.type in kind and one.id != alert.id]
    return sorted([alert, *same], key=lambda one: -one.started)


def seen(reader: Record, alert: Alert, now: float) -> tuple[Span, ...]:
    """When its viewer viewed that camera, or logged in, in the last 30 days, without what the alert is about."""
    if alert.peer is None or alert.camera is None:
        return ()
    return tuple(_seen(reader, alert, now))


def _seen(reader: Record, alert: Alert, now: float) -> Iterator[Span]:
    begin = now - DAYS * DAY_S
    ended = alert.ended if alert.ended is not None else now
    for body in reader.sessions(begin, now, alert.camera, MOST):
        with contextlib.suppress(KeyError, TypeError, ValueError):  # a damaged row
            peer, started = report.peer_of(body["peer"]), report.seconds_of(body["started"])
            if peer and body["class"] in VIEWING and is_same_viewer(peer, alert.peer or peer):
                end = report.seconds_of(body["ended"]) if body.get("ended") else now
                if end < alert.started or started > ended:
                    yield Span(started, end)
    for body in reader.logins(begin, now, alert.camera, MOST) if alert.type in LOGIN_TYPES else ():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            peer, at = report.peer_of(body["peer"]), report.seconds_of(body["time"])
            worked = body["outcome"] == "success" and not alert.started <= at <= ended
            if worked and peer and is_same_viewer(peer, alert.peer or peer):
                yield Span(at, at)


def tried(proposal: Proposal, alert: Alert, alerts: Sequence[Alert], home: Home, now: float) -> Trial:
    """What of `alerts` (of_its_kind) the proposal would have silenced: "once" and "for" from when `alert` was raised,
    the rest as if it had always been there."""
    permissions = Permissions()
    permissions.zone = ZoneInfo(home.timezone)
    covers = frozenset({alert.id})
    wish = proposal.wish(alert, "0" * 16, "terminal")
    decision = decided(wish, 1, alert.raised, alert, covers, permissions, ())
    permissions.take(decision, decision.until, covers)
    lasts = proposal.mode in ("always", "hours")
    silent = [
        one.id == alert.id
        if proposal.mode == "once"
        else (lasts or one.started >= alert.raised or one.id == alert.id) and _excused(one, alert, permissions, now)
        for one in alerts
    ]
    others = tuple(one.started for one, is_silent in zip(alerts, silent, strict=True) if not is_silent)
    return Trial(sum(silent), len(alerts), others)


def would_do(proposal: Proposal, alert: Alert, home: Home) -> bool:
    """Whether its rule, in the configuration, makes this very alert expected."""
    if proposal.rule is None:
        return False
    rules = Rules(replace(home, expects=(*home.expects, proposal.rule)))
    return rules.judge(_session(alert), alert.started).word == "expected"


def words(trial: Trial, camera: str, now: float, zone: str, *, lasts: bool = True) -> str:
    """ "would have silenced 12 of 14 alerts about nursery in the last 30 days; the other 2 were at 03:00 ...";
    `lasts`: of a permission that does."""
    camera = report.clean(camera, report.MAX_CAMERA)
    if not trial.others:
        whole = "the only alert" if trial.of == 1 else f"all {trial.of} alerts"
        return f"would have silenced {whole} of its kind about {camera} in the last {DAYS} days"
    first = f"would have silenced {trial.silenced} of {trial.of} alerts about {camera} in the last {DAYS} days"
    if not lasts:  # which others there were has nothing to do with it
        return first
    when = [report.when(at, now, zone) for at in trial.others[:NAMED]]
    if len(trial.others) > NAMED:
        return f"{first}; of the others the latest was at {when[0]}"
    if len(when) == 1:
        return f"{first}; the other was at {when[0]}"
    return f"{first}; the other {len(when)} were at {', '.join(when[:-1])} and {when[-1]}"


def _excused(one: Alert, alert: Alert, permissions: Permissions, now: float) -> bool:
    """Whether it would have been silent as long as it lasted."""
    begin = max(one.started, alert.raised) if one.id == alert.id else one.started
    end = max(begin, one.ended if one.ended is not None else now)
    step = max(STEP_S, (end - begin) / STEPS)
    moments = [*(begin + step * number for number in range(int((end - begin) / step) + 1)), end]
    return all(_at(one, permissions, at) for at in moments)


def _at(one: Alert, permissions: Permissions, at: float) -> bool:
    camera = one.camera or ""
    if one.type in VIEWING_TYPES:
        return permissions.excuses(_session(one), at, private=one.type == "privacy") is not None
    if one.peer and one.type in LOGIN_TYPES:
        worked = one.detail.get("outcome") == "success"
        return permissions.excuses_login(camera, one.peer, at, worked=worked) is not None
    return permissions.excuses_finding(camera, about(one) or "", at)


def _session(alert: Alert) -> Session:
    """The viewing that it was about."""
    peer = alert.peer
    if peer is None:
        raise ValueError("an alert about nobody is no viewing")
    cls = alert.detail.get("class")
    return Session(
        alert.id, alert.started, alert.camera or "", "open", peer, "tcp", "", None,
        cls if cls in VIEWING else "stream",  # type: ignore[arg-type]
        alert.confidence, alert.started, alert.ended, 0, 0, 0, None, None,
    )  # fmt: skip
