"""quiet.py: one alert a matter, updated and closed; a viewer who comes back is the same matter, ever more quietly."""

from dataclasses import replace

from camguard.events import Alert, Peer, Session
from camguard.judge.quiet import MATTERS_MAX, Matters
from camguard.judge.rules import Verdict

STRANGER = Peer("203.0.113.9", 443, scope="wan")
SESSION = Session(
    "s1",
    0,
    "porch",
    "open",
    STRANGER,
    "tcp",
    "unknown",
    "camera",
    "stream",
    "likely",
    95.0,
    None,
    1000,
    0,
    100,
    None,
    None,
)
NO = Verdict("unexpected", "it is nothing you expect")
YES = Verdict("expected", "you expect nvr")


def view(
    matters: Matters, at: float, session: Session = SESSION, verdict: Verdict = NO, cloud: str | None = None
) -> list[Alert]:
    return matters.judged(session, verdict, cloud, at)


def closed(session: Session = SESSION, *, ended: float, bytes_up: int = 5000) -> Session:
    return replace(session, state="closed", ended=ended, bytes_up=bytes_up)


def test_opened_and_closed_under_one_id() -> None:
    matters = Matters()
    (opened,) = view(matters, 100.0)
    assert (opened.state, opened.type, opened.severity, opened.started) == ("open", "remote-stream", "critical", 95.0)
    (ended,) = view(matters, 160.0, closed(ended=150.0))
    assert (ended.state, ended.id, ended.ended, ended.bytes_up) == ("closed", opened.id, 150.0, 5000)
    assert not matters.open_alerts()


def test_expected_unsure_and_other_talk_raise_nothing() -> None:
    matters = Matters()
    assert not view(matters, 100.0, verdict=YES)
    assert not view(matters, 100.0, replace(SESSION, confidence="unsure"))
    assert not view(matters, 100.0, replace(SESSION, cls="clip"), Verdict(None, None))
    assert not view(matters, 110.0, closed(ended=110.0), YES)


def test_severities() -> None:
    assert view(Matters(), 1.0, cloud="Reolink")[0].severity == "warning"
    assert view(Matters(), 1.0, replace(SESSION, confidence="certain"), cloud="Reolink")[0].severity == "critical"
    lan = replace(SESSION, peer=Peer("192.168.1.9", scope="lan"))
    assert (view(Matters(), 1.0, lan)[0].type, view(Matters(), 1.0, lan)[0].severity) == ("lan-stream", "warning")
    private = Verdict("unexpected", "privacy hours", True)
    assert (view(Matters(), 1.0, lan, private)[0].type, view(Matters(), 1.0, lan, private)[0].severity) == (
        "privacy",
        "critical",
    )


def test_a_viewer_who_comes_back_is_the_same_matter_and_sounds_ever_more_rarely() -> None:
    matters, sounded, ids = Matters(), [], set()
    for number in range(1, 20):
        at = 100.0 * number
        session = replace(SESSION, id=f"s{number}")
        (alert,) = view(matters, at, session)
        ids.add(alert.id)
        assert alert.count == number
        sounded += [number] if alert.state == "open" else []
        view(matters, at + 20, closed(session, ended=at + 20))
    assert len(ids) == 1
    assert sounded == [1, 2, 4, 8, 16]


def test_after_a_long_break_it_is_a_new_matter() -> None:
    matters = Matters()
    (first,) = view(matters, 100.0)
    view(matters, 120.0, closed(ended=120.0))
    (second,) = view(matters, 800.0, replace(SESSION, id="s2"))
    assert second.id != first.id
    assert second.count == 1


def test_two_connections_of_one_viewer_close_with_the_last_and_add_up() -> None:
    matters = Matters()
    view(matters, 100.0)
    other = replace(SESSION, id="s2")
    view(matters, 101.0, other)
    assert not view(matters, 110.0, closed(ended=110.0, bytes_up=3000))
    (ended,) = view(matters, 120.0, closed(other, ended=120.0, bytes_up=4000))
    assert (ended.state, ended.bytes_up) == ("closed", 7000)


def test_getting_surer_is_told_once() -> None:
    matters = Matters()
    view(matters, 100.0, cloud="Reolink")
    sure = replace(SESSION, confidence="certain", state="update")
    (alert,) = view(matters, 105.0, sure, cloud="Reolink")
    assert (alert.state, alert.severity, alert.confidence) == ("open", "critical", "certain")
    assert not view(matters, 106.0, sure, cloud="Reolink")


def test_a_long_viewing_is_told_again_on_a_growing_scale() -> None:
    matters = Matters()
    view(matters, 100.0)
    now_session = replace(SESSION, bytes_up=77)
    told = [at for at in range(100, 7500) if matters.tick(float(at), {"s1": now_session})]
    assert told == [395, 995, 1895, 3695, 7295]
    assert matters.open_alerts()[0].bytes_up == 77


def test_an_alert_from_before_a_restart_is_taken_up_again() -> None:
    before = Matters()
    (opened,) = view(before, 100.0)
    after = Matters()
    after.resume(opened)
    (again,) = view(after, 130.0, replace(SESSION, id="s2"))
    assert (again.id, again.count, again.state) == (opened.id, 1, "update"), "a restart of the guard makes no sound"
    lonely = Matters()
    lonely.resume(opened)
    told = [alert for at in range(130, 800) for alert in lonely.tick(float(at), {})]
    assert [alert.state for alert in told] == ["closed"], "nobody came back: it is closed, not left open for ever"


def test_the_table_is_capped() -> None:
    matters = Matters()
    for number in range(MATTERS_MAX + 5):
        view(
            matters,
            1.0,
            replace(SESSION, id=f"s{number}", peer=Peer(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")),
        )
    assert matters.counters["matters-evicted"] == 5


def test_an_unsure_viewing_with_a_second_sign_is_a_warning_that_names_it() -> None:
    unsure = replace(SESSION, confidence="unsure", peer=replace(SESSION.peer, scope="wan"))
    (alert,) = Matters().judged(unsure, Verdict("unexpected", "x"), None, 100.0, "somebody from there logged in")
    assert (alert.type, alert.severity, alert.confidence) == ("remote-stream", "warning", "unsure")
    assert alert.evidence[-1] == "somebody from there logged in"
