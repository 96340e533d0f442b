"""`camguard logins`: who said who he is at which camera's door, and whether it worked. Reads only."""

from typing import Any

from camguard import report
from camguard.config import Paths
from camguard.events import Login
from camguard.review.table import Cell, Row, show
from camguard.review.terminal import Asked, View, footer, found_in


def logins(paths: Paths, asked: Asked, now: float | None = None) -> int:
    """Print the logins of the range, newest first; 0."""
    view = View(paths, now)
    found = found_in(view, asked, "logins", view.reader.logins)
    if found:
        columns = ("WHEN", "CAMERA", "DOOR", "USER", "FROM", "OUTCOME", "EXPECTED")
        show(columns, [_row(login_of(body), view) for body in found], wraps=(1, 3, 4))
        footer(view, asked, len(found), "login")
    return 0


def login_of(body: dict[str, Any]) -> Login:
    """The login that `report.as_dict` made `body` of; KeyError, TypeError, ValueError for a damaged row."""
    peer = report.peer_of(body["peer"])
    if peer is None:
        raise ValueError("a login has a peer")
    same = ("id", "camera", "service", "scheme", "user", "outcome", "outcome_source", "default_password")
    return Login(
        **{name: body[name] for name in same},
        time=report.seconds_of(body["time"]),
        peer=peer,
        verdict=body.get("verdict"),
        reason=body.get("reason"),
    )


def _row(login: Login, view: View) -> Row:
    unexpected = login.verdict == "unexpected"
    tone = "critical" if unexpected and login.outcome == "success" else "warning" if unexpected else ""
    sure = " (as it seems)" if login.outcome_source == "inferred" and login.outcome != "unknown" else ""
    default = ", factory password" if login.default_password and login.outcome == "success" else ""
    return (
        report.day(login.time, view.zone, seconds=True),
        report.clean(login.camera, report.MAX_CAMERA),
        report.clean(f"{login.service}{f' ({login.scheme})' if login.scheme else ''}", 24),
        report.clean(login.user or "-", 24),
        report.clean(report.who_short(login.peer), 44),
        Cell(f"{report.OUTCOME_WORDS.get(login.outcome, 'not known')}{sure}{default}", tone),
        Cell({"expected": "yes", "unexpected": "NO"}.get(login.verdict or "", "-"), tone),
    )
