"""What the run before left: alerts go on after a short absence, everything is closed after a long one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from camguard import report
from camguard.config import paths
from camguard.events import Alert, Decision, Exposure, Peer
from camguard.service.resume import RESUME_S, row_of, still_hold, what_was_left
from camguard.store import Kept, Reader, Store, write_now
from tests.store.rows import session

T = 1_795_000_000.0
PEER = Peer("203.0.113.9", 443, scope="wan", org="Example", country="France")
ALERT = Alert(
    id="a1", time=T, camera="porch", type="remote-stream", severity="critical", confidence="certain", reason="why",
    evidence=("PLAY was answered 200",), peer=PEER, session="s1", raised=T - 5, started=T - 7, count=2, state="open",
)  # fmt: skip


def left_behind(folder: Path, died: float) -> Store:
    store = Store.open(folder / "guard.db")
    store.note_start(T - 100)
    closed = replace(ALERT, id="a2", state="closed")
    blind = replace(ALERT, id="a3", state="closed", type="guard-blind", peer=None)
    store.write([row_of(ALERT), row_of(closed), row_of(blind), session(1, T)], durable=True)
    store.note_beat(died)
    store.close()
    return Store.open(folder / "guard.db")


def test_an_alert_survives_the_store() -> None:
    assert report.alert_of(report.as_dict(ALERT)) == ALERT
    cloud = replace(ALERT, ended=T, bytes_up=9, detail={"class": "stream", "through_cloud": "Reolink", "settled": None})
    assert report.alert_of(report.as_dict(cloud)) == cloud, "what its words need comes back, too"
    before = {key: value for key, value in report.as_dict(cloud).items() if key not in ("ended", "bytes_up", "detail")}
    assert report.alert_of(before) == ALERT, "of a version that did not keep them"
    assert report.alert_of(report.as_dict(cloud) | {"detail": ["x"], "bytes_up": None, "ended": None}) == ALERT
    assert report.alert_of({"id": "a1"}) is None
    assert report.alert_of(report.as_dict(ALERT) | {"raised": "soon"}) is None
    assert report.alert_of(report.as_dict(ALERT) | {"ended": "soon"}) is None
    assert report.alert_of(report.as_dict(ALERT) | {"peer": {"ip": "x"}}) is None


def test_the_first_run_ever(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    left = what_was_left(store, paths(state=tmp_path, runtime=tmp_path), T)
    assert (left.alerts, left.rows, left.looked_until) == ((), (), None)
    store.close()


def test_a_short_absence(tmp_path: Path) -> None:
    store = left_behind(tmp_path, died=T + 10)
    left = what_was_left(store, paths(state=tmp_path, runtime=tmp_path), T + 60)
    assert [alert.id for alert in left.alerts] == ["a1", "a2"], "open ones, and lately closed viewings"
    assert left.looked_until == T + 10
    (row,) = left.rows
    assert (row.kind, row.id, row.state, row.time) == ("session", "s1", "closed", T + 10)
    store.close()


def test_a_long_absence_closes_everything(tmp_path: Path) -> None:
    store = left_behind(tmp_path, died=T + 10)
    left = what_was_left(store, paths(state=tmp_path, runtime=tmp_path), T + RESUME_S + 60)
    assert left.alerts == ()
    store.write(left.rows, durable=True)
    reader = Reader(store.path)
    assert reader.open_alerts() == []
    assert reader.open_sessions() == []
    (closed,) = [body for body in reader.alerts() if body["id"] == "a1"]
    assert closed["title"].startswith("Watching ended")
    store.close()


def test_what_is_open_stays_open_while_nobody_looks(tmp_path: Path) -> None:
    """A port in the router does not close because the guard is away."""
    store = left_behind(tmp_path, died=T + 10)
    exposure = Exposure("e1", T, "porch", "open", "upnp-mapping", 8554, 554, "tcp", None, T + 3600)
    port = replace(ALERT, id="a4", type="exposed-port", severity="warning", peer=None, session=None)
    gone = replace(exposure, id="e2", state="closed")
    store.write([row_of(exposure), row_of(port), row_of(replace(gone, state="open")), row_of(gone)], durable=True)
    store.services([("porch", "tcp", 80, T, T)], [("e1", T + 9999)])
    left = what_was_left(store, paths(state=tmp_path, runtime=tmp_path), T + 30 * 86_400)
    assert left.exposures == (replace(exposure, until=T + 9999),)
    assert left.services == (("porch", "tcp", 80, T, T),)
    assert [alert.id for alert in left.alerts] == ["a4"]
    assert "a4" not in [row.id for row in left.rows]
    store.close()


def test_the_live_figures_know_the_second_of_death(tmp_path: Path) -> None:
    store = left_behind(tmp_path, died=T + 10)
    write_now(tmp_path / "now.json", {})  # as if written right now, T + 35
    left = what_was_left(store, paths(state=tmp_path, runtime=tmp_path), T + 35)
    assert left.looked_until is not None
    assert abs(left.looked_until - (T + 35)) < 2
    store.close()


@pytest.mark.parametrize("back_s", [30.0, 7200.0, 400 * 86_400.0])
def test_a_clock_that_was_set_back_meanwhile(tmp_path: Path, back_s: float) -> None:
    """A board without a clock of its own starts in the past: what was open goes on, and nothing is dated later than
    now; what was closed by then is no matter any more."""
    store = left_behind(tmp_path, died=T + 10)
    left = what_was_left(store, paths(state=tmp_path, runtime=tmp_path), T - back_s)
    assert left.looked_until == T - back_s
    assert [alert.id for alert in left.alerts] == ["a1"]
    assert max(time for alert in left.alerts for time in (alert.time, alert.started)) <= T - back_s
    (row,) = left.rows
    assert (row.id, row.state, row.time) == ("s1", "closed", T - back_s)
    store.close()


def test_what_still_holds_goes_on() -> None:
    """Also what only a clock can end that nobody has set yet, and what is for the viewing that goes on."""

    def kept(number: int, mode: str = "for", left_s: float | None = 60.0, **more: Any) -> Kept:
        made = Decision(number, T, f"{number:016x}", "terminal, bob", "allow", mode=mode)  # type: ignore[arg-type]
        return Kept(made, **({"revoked_at": None, "used_at": None, "left_s": left_s, "unsure": False} | more))

    found = still_hold(
        [
            kept(9, "always", None),
            kept(8, unsure=True),
            kept(7, left_s=-1.0),
            kept(6, left_s=-1.0, unsure=True),
            kept(5, revoked_at=T),
            kept(4, revoked_at=T, unsure=True),
            kept(3, "once", None),
            kept(2),
            kept(1, "once", None, used_at=T),
        ]
    )
    assert [one.decision.number for one in found] == [2, 3, 8, 9]


def test_once_goes_on_over_a_short_absence_and_is_used_up_by_a_long_one(tmp_path: Path) -> None:
    made = Decision(1, T, "1" * 16, "terminal, bob", "allow", camera="porch", alert="a1", mode="once", peer=PEER)
    store = left_behind(tmp_path, died=T + 10)
    store.write([row_of(made), row_of(replace(made, number=2, wish="2" * 16, mode="always"))], durable=True)
    where = paths(state=tmp_path, runtime=tmp_path)
    left = what_was_left(store, where, T + 60)
    assert [kept.decision.number for kept in left.decisions] == [1, 2]
    store.note_beat(T + 70)
    left = what_was_left(store, where, T + 70 + RESUME_S + 60)
    assert [kept.decision.number for kept in left.decisions] == [2]
    store.write(left.rows, durable=True)
    assert [kept.decision.number for kept in Reader(store.path).decisions(T) if kept.holds] == [2]
    store.close()
