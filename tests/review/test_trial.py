"""trial.py: a permission tried on a real record says what the guard would have done."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from camguard import report
from camguard.events import Alert, Camera, Device, Event, Expect, Home, Login, Peer, Session
from camguard.judge.propose import Proposal, Span
from camguard.review import trial
from camguard.service.resume import row_of
from camguard.store import Reader, Row, Store

ZONE = ZoneInfo("Europe/Berlin")
DAY_S = 86_400.0
PHONE = Peer("192.168.1.21", scope="lan", mac="02:00:00:00:00:21", device="phone")
OVH = Peer("51.68.10.20", 4000, org="OVH", country="France")
HOME = Home("Europe/Berlin", (Camera("nursery"), Camera("porch")), (Device("phone", "02:00:00:00:00:21"),))
ALWAYS, ONCE = Proposal("", "always"), Proposal("", "once")
EVENING = Proposal("", "hours", when="18:00-22:00")


def at(day: int, clock: str) -> float:
    """That day of November 2026 by the clock in Berlin."""
    hour, minute = map(int, clock.split(":"))
    return datetime(2026, 11, day, hour, minute, tzinfo=ZONE).timestamp()


NOW = at(25, "20:10")


def alert(key: str, started: float, peer: Peer | None = PHONE, minutes: float = 5, **changes: object) -> Alert:
    end = started + 60 * minutes
    made = Alert(
        key, end, "nursery", "lan-stream", "warning", "certain", "", (), peer, f"s-{key}", started + 5, started, 1,
        "closed", end,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


THIS = alert("this", at(25, "20:05"), state="open", ended=None, time=at(25, "20:05"))
#: Twelve evenings of the phone, and two nights.
FORTNIGHT = [
    *(alert(f"e{day}", at(day, "19:00")) for day in range(12, 24)),
    alert("n1", at(20, "03:00")),
    alert("n2", at(22, "03:00")),
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "guard.db")


def recorded(store: Store, *events: Event) -> Reader:
    store.write([row_of(event) for event in events], durable=False)
    return Reader(store.path)


def tried(reader: Reader, proposal: Proposal, this: Alert = THIS, now: float = NOW) -> trial.Trial:
    return trial.tried(proposal, this, trial.of_its_kind(reader, this, now), HOME, now)


def test_hours_would_have_silenced_the_evenings_and_not_the_nights(store: Store) -> None:
    found = tried(recorded(store, THIS, *FORTNIGHT), EVENING)
    assert (found.silenced, found.of, found.others) == (13, 15, (at(22, "03:00"), at(20, "03:00")))
    assert trial.words(found, "nursery", NOW, "Europe/Berlin") == (
        "would have silenced 13 of 15 alerts about nursery in the last 30 days; the other 2 were at 22 Nov 03:00 and"
        " 20 Nov 03:00"
    )


def test_always_would_have_silenced_that_viewer_at_that_camera(store: Store) -> None:
    stranger = alert("x1", at(24, "03:00"), OVH, type="remote-stream")
    porch = alert("p1", at(24, "04:00"), camera="porch")
    old = alert("o1", NOW - 31 * DAY_S)
    blind = alert("b1", at(24, "05:00"), None, type="guard-blind")
    reader = recorded(store, THIS, *FORTNIGHT, stranger, porch, old, blind)
    found = tried(reader, ALWAYS)
    assert (found.silenced, found.of, found.others) == (15, 16, (stranger.started,))
    assert tried(reader, ALWAYS, stranger).silenced == 1
    assert "; the other was at 24 Nov 03:00" in trial.words(found, "nursery", NOW, "Europe/Berlin")


def test_once_and_for_a_time_count_from_this_alert_on(store: Store) -> None:
    first = alert("f1", at(24, "18:00"))
    within, after = alert("f2", at(24, "19:30")), alert("f3", at(24, "20:30"))
    reader = recorded(store, first, within, after, alert("f0", at(24, "17:00")))
    assert tried(reader, Proposal("", "for", 7200.0), first).silenced == 2
    assert tried(reader, Proposal("", "for", 3 * 3600.0), first).silenced == 3
    once = tried(reader, ONCE, replace(first, state="open", ended=None))
    assert (once.silenced, once.of) == (1, 4)
    assert trial.words(once, "nursery", NOW, "Europe/Berlin", lasts=False).endswith("1 of 4 alerts about nursery in"
        " the last 30 days")  # fmt: skip


@pytest.mark.parametrize(("minutes", "silenced"), [(110, 1), (119, 1), (121, 0), (600, 0), (24 * 60 + 30, 0)])
def test_a_viewing_that_outlasts_the_hours_would_have_been_told(store: Store, minutes: float, silenced: int) -> None:
    long = alert("l1", at(24, "20:00"), minutes=minutes)
    assert tried(recorded(store, long), EVENING, long).silenced == silenced


def test_in_privacy_hours_only_what_was_said_in_them_counts(store: Store) -> None:
    private = alert("p1", at(24, "23:00"), type="privacy")
    reader = recorded(store, THIS, private)
    assert tried(reader, ALWAYS).others == (private.started,)
    assert tried(reader, ALWAYS, private).silenced == 2


def test_logins_of_a_viewer_who_is_allowed_are_silent_and_a_factory_password_is_not(store: Store) -> None:
    login = alert("l1", at(24, "03:00"), OVH, type="remote-login", detail={"outcome": "success"})
    factory = replace(login, id="d1", type="default-password")
    guesses = replace(login, id="g1", type="brute-force", peer=replace(OVH, ip="51.68.10.99"))
    reader = recorded(store, login, factory, guesses)
    assert tried(reader, ALWAYS, login)[:2] == (1, 2)
    assert tried(reader, ONCE, replace(factory, state="open"))[:2] == (1, 1)


def test_a_way_in_is_its_own_matter(store: Store) -> None:
    one = alert("w1", at(20, "12:00"), None, type="exposed-port", detail={"key": "tcp 554"})
    again, other = replace(one, id="w2", started=at(22, "12:00")), replace(one, id="w3", detail={"key": "tcp 23"})
    assert tried(recorded(store, one, again, other), ALWAYS, one)[:2] == (2, 3)
    assert "all 2 alerts of its kind" in trial.words(trial.Trial(2, 2, ()), "nursery", NOW, "UTC")


def test_when_a_viewer_was_seen(store: Store) -> None:
    def viewing(key: str, started: float, peer: Peer = PHONE, **changes: object) -> Session:
        made = Session(
            key, started + 60, "nursery", "closed", peer, "tcp", "rtsp", "peer", "stream", "certain", started,
            started + 60, 9, 9, 900, "unexpected", None,
        )  # fmt: skip
        return replace(made, **changes)  # type: ignore[arg-type]

    moved = replace(PHONE, ip="192.168.1.99", mac="02:00:00:00:00:99")  # by another MAC, the same name of the owner's
    reader = recorded(
        store,
        viewing("a", at(20, "19:00")),
        viewing("b", at(21, "19:00"), moved),
        viewing("c", at(22, "19:00"), OVH),
        viewing("d", at(22, "20:00"), cls="clip"),
        viewing("e", at(22, "21:00"), camera="porch"),
        viewing("f", at(25, "20:06"), ended=None, state="open"),
        viewing("g", NOW - 31 * DAY_S),
        Login("h", at(23, "19:00"), "nursery", PHONE, "http", None, "admin", "success", "read", None),
    )
    with_damage = row_of(viewing("x", at(24, "19:00")))
    store.write([with_damage._replace(body={"kind": "session", "peer": None, "class": "stream"})], durable=False)
    views = {Span(at(20, "19:00"), at(20, "19:01")), Span(at(21, "19:00"), at(21, "19:01"))}
    assert set(trial.seen(reader, THIS, NOW)) == views
    login = Span(at(23, "19:00"), at(23, "19:00"))
    found = set(trial.seen(reader, replace(THIS, type="lan-login"), NOW))
    assert found == views | {login}
    assert trial.seen(reader, replace(THIS, peer=None), NOW) == ()


def test_a_rule_to_copy_is_only_shown_where_it_would_do(store: Store) -> None:
    def would(rule: Expect, home: Home = HOME) -> bool:
        return trial.would_do(Proposal("", "always", rule=rule), THIS, home)

    assert would(Expect("nursery", "phone", ("stream",)))
    assert would(Expect("nursery", "phone", ("stream",), "wed 20:00-21:00"))
    assert not would(Expect("nursery", "phone", ("stream",), "wed 21:00-22:00"))
    assert not would(Expect("porch", "phone", ("stream",)))
    assert not would(Expect("nursery", "phone"), replace(HOME, cameras=(Camera("nursery", never=True),)))
    assert not trial.would_do(ALWAYS, THIS, HOME)


def test_damaged_rows_are_left_out(store: Store) -> None:
    reader = recorded(store, *FORTNIGHT[:2])
    made = row_of(FORTNIGHT[2])
    bodies: list[dict[str, object]] = [{"id": "q"}, made.body | {"started": "soon"}, made.body | {"peer": {"ip": 1}}]
    store.write([Row("alert", NOW, "nursery", f"q{n}", "closed", body) for n, body in enumerate(bodies)], durable=False)
    assert tried(reader, ALWAYS)[:2] == (3, 3)
    assert report.alert_of(
        {key: value for key, value in made.body.items() if key not in ("ended", "detail")}
    ) == replace(FORTNIGHT[2], detail={}), "of a version that did not keep them"
