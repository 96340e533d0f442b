"""The whole core and what it learns, over a real upload that looks live: the camera dials a server by its name, TLS."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from camguard import config, replay
from camguard.capture import ledger, pcap
from camguard.events import Alert, Event, Session, Wish, hosts_of
from camguard.guard import Guard
from camguard.judge.first_days import HELD
from camguard.judge.habits import Day, Key, Record, Terms, text_of
from camguard.places import Places
from camguard.store import Store

CASE = Path(__file__).parent / "golden/remote-opaque-tls"
HOME = config.load(CASE / "config.toml").home
NAME = "tls-upload.maker.example"
KEY = Key("porch", NAME, True, "", "", "stream", False)
TERMS = Terms("00:00-24:00", 600.0, 5000, False)
MET = [("porch", place, 0.0) for place in (NAME, "network ", "country ")]


def accepted(key: Key = KEY, terms: Terms = TERMS) -> str:
    return text_of(Record(1, key, 0.0, 0.0, [Day(1, 0.0, count=1)], True, terms, True), 0.0)


def through(home: object = HOME, **known: object) -> tuple[Guard, list[Event]]:
    """The capture through a guard that knows this of a run before."""
    guard, out = Guard(home, Places(), **known), []  # type: ignore[arg-type]
    ticks = replay._Ticks()
    at = 0.0
    for item in ledger.run(pcap.frames(CASE / "input.pcap"), hosts_of(HOME)):
        at = item.at
        for second in ticks.before(item):
            out += guard.tick(second)
        out += guard.feed(item)
    for second in ticks.rest():
        at = second
        out += guard.tick(second)
    return guard, [*out, *guard.finish(at)]


def verdicts(events: list[Event]) -> set[tuple[str | None, str | None]]:
    return {(one.verdict, one.reason) for one in events if isinstance(one, Session) and one.cls == "stream"}


def alerts(events: list[Event]) -> list[Alert]:
    return [one for one in events if isinstance(one, Alert) and one.type == "remote-stream"]


def test_the_configuration_learns_for_seven_days() -> None:
    assert HOME.learn_days == 7


def test_in_the_first_days_it_is_held_back_where_the_name_is_no_news() -> None:
    guard, events = through(destinations=MET)
    assert alerts(events) == []
    assert verdicts(events) == {(None, HELD)}
    changes = guard.habits(last=True)
    assert [(name, held) for name, _, held in changes.looked] == [("porch", 1)]
    ((_, camera, text),) = changes.habits
    assert (camera, json.loads(text)["shown"]["who"], json.loads(text)["shown"]["count"]) == ("porch", NAME, 1)


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"destinations": MET[1:]},
        {"destinations": MET[:1]},
        {"destinations": MET, "looked": [("porch", 7 * 86_400.0, 3)]},
        {"destinations": MET, "looked": [("porch", "damaged", 3)]},
        {"destinations": MET, "home": replace(HOME, learn_days=0)},
    ],
    ids=["all is new", "the name is new", "network and country are new", "a week is over", "damaged", "learn_days = 0"],
)
def test_else_it_is_told(known: dict[str, object]) -> None:
    _, events = through(**known)
    assert [one.state for one in alerts(events)][:1] == ["open"]
    assert alerts(events)[-1].state == "closed"


def test_what_was_accepted_is_expected_and_what_differs_from_it_is_told() -> None:
    _, events = through(habits=[(1, accepted())])
    assert alerts(events) == []
    assert ("expected", f"you accepted that it sends to {NAME} (camguard learn, number 1)") in verdicts(events)
    for other in (KEY._replace(who="other.example"), KEY._replace(owner="AS1 X"), KEY._replace(camera="shed")):
        assert alerts(through(habits=[(1, accepted(other))])[1]), other
    assert alerts(through(habits=[(1, accepted(terms=TERMS._replace(rate_kbps=200)))])[1]), "faster than it was"
    assert alerts(through(habits=[(1, accepted(terms=TERMS._replace(when="01:00-02:00")))])[1]), "another hour"
    for home in (
        replace(HOME, cameras=tuple(replace(one, never=True) for one in HOME.cameras)),
        replace(HOME, cameras=tuple(replace(one, private="00:00-24:00") for one in HOME.cameras)),
    ):
        _, events = through(home, habits=[(1, accepted())], destinations=MET)
        assert [one.type for one in events if isinstance(one, Alert)][:1] == ["privacy"]


def test_taking_it_back_tells_at_once() -> None:
    guard, _ = through(habits=[(1, accepted())])
    (decision, *_) = guard.decide(Wish("ab" * 8, "terminal, anna", "learn", habit=1, mode="undo"), 4, 1.8e9)
    assert (decision.what, decision.mode, decision.habit, decision.number) == ("learn", "undo", 1, 4)  # type: ignore[union-attr]
    assert guard.habits().habits


def test_a_replay_holds_nothing_back_and_can_use_what_was_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(tmp_path / "guard.db")
    store.habits([(1, "porch", accepted())])
    store.close()
    told = []
    for learned in (None, tmp_path / "guard.db"):
        assert replay.run([CASE / "input.pcap"], CASE / "config.toml", as_json=True, learned=learned) == 0
        events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        told.append([one["state"] for one in events if one["kind"] == "alert"])
    assert told[0][0] == "open"
    assert told[1] == []
