"""`camguard log`: every event and every decision in the order in which it happened. Text or JSON lines; reads only."""

import contextlib
from typing import Any

from camguard import report
from camguard.config import Paths
from camguard.events import Health, Notice, Session
from camguard.report.exposure import exposure_of, exposure_words
from camguard.report.records import decision_words, health_words, notice_words
from camguard.review.logins import login_of
from camguard.review.table import Cell, Row, show
from camguard.review.terminal import Asked, View, footer, found_in
from camguard.store import decision_of


def log(paths: Paths, asked: Asked, now: float | None = None) -> int:
    """Print what happened in the range, oldest first; 0."""
    view = View(paths, now)
    found = found_in(view, asked, "events", view.reader.log)
    if found:
        show(("WHEN", "CAMERA", "KIND", "WHAT"), [_row(body, view) for body in found], wraps=(1, 3))
        footer(view, asked, len(found), "event")
    return 0


def _row(body: dict[str, Any], view: View) -> Row:
    kind = str(body.get("kind"))
    words = ""
    with contextlib.suppress(KeyError, TypeError, ValueError):  # a damaged row is shown as far as it goes
        words = _words(kind, body, view)
    tone = str(body.get("severity")) if kind == "alert" and body.get("state") != "closed" else ""
    return (
        report.day(report.seconds_of(body["time"]), view.zone, seconds=True),
        report.clean(str(body.get("camera") or "-"), report.MAX_CAMERA),
        report.clean(kind, 12),
        Cell(words, tone),
    )


def _words(kind: str, body: dict[str, Any], view: View) -> str:
    """What happened, without when and at which camera."""
    camera = body.get("camera")
    if kind == "alert":
        short = str(body["id"])[:4]
        return f"{body['severity']}: {report.clean(str(body['title']), report.MAX_TITLE)} [{report.clean(short, 8)}]"
    if kind == "session":
        words = report.session_words(session_of(body), view.zone)
        return words.partition(": ")[2] if camera else words
    if kind == "login":
        return report.login_words(login_of(body))
    if kind == "exposure":
        return exposure_words(exposure_of(body), view.zone)
    if kind == "decision":
        decision = decision_of(body)
        return "" if decision is None else f"{decision.number}: {decision_words(decision, view.zone)}"
    at, what, detail = report.seconds_of(body["time"]), str(body["what"]), str(body.get("detail") or "")
    if kind == "health":
        return health_words(Health(at, what, float(body["value"]), detail))
    return notice_words(Notice(at, camera, what, detail))


def session_of(body: dict[str, Any]) -> Session:
    """The session that `report.as_dict` made `body` of; KeyError, TypeError, ValueError for a damaged row."""
    same = ("id", "camera", "state", "transport", "protocol", "initiator", "confidence", "bytes_up", "bytes_down")
    peer = report.peer_of(body["peer"])
    if peer is None:
        raise ValueError("a session has a peer")
    ended = body.get("ended")
    return Session(
        **{name: body[name] for name in same},
        time=report.seconds_of(body["time"]),
        started=report.seconds_of(body["started"]),
        ended=None if ended is None else report.seconds_of(ended),
        peer=peer,
        cls=body["class"],
        rate_kbps=body["rate_kbps"],
        verdict=body["verdict"],
        reason=body["reason"],
    )
