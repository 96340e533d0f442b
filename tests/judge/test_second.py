"""second.py: what makes a guess worth a warning, and what does not."""

from dataclasses import replace

import pytest

from camguard.detect import followed
from camguard.events import Exposure, Finding, Login, Peer, Session
from camguard.judge import second
from camguard.judge.second import SEEN_MAX, SIGNS_MAX, Seconds, begins_beside, network

RELAY = Peer("198.51.100.9", 443, asn=64500)
HOME_OF_STRANGER = Peer("203.0.113.9", 50000, asn=64501)
SESSION = Session(
    "s1", 0, "porch", "open", RELAY, "tcp", "unknown", "camera", "stream", "unsure", 95, None, 1000, 0, 100, None, None
)
LOGIN = Login("l1", 0, "porch", RELAY, "http", "basic", "admin", "success", "read", None, "unexpected", "")
DOOR = Exposure("e1", 0, "porch", "open", "upnp-mapping", 8554, 554, "tcp", None)
PLACE = Finding("new-destination", "porch", "k", "info", "certain", (), RELAY, 0)


def signs(**changed: object) -> Seconds:
    known = Seconds()
    known.login(replace(LOGIN, **changed), 100.0)  # type: ignore[arg-type]
    return known


def test_a_login_from_the_same_network() -> None:
    assert "logged in" in (signs().sign(SESSION, 200.0) or "")
    assert "tried" in (signs(outcome="unknown").sign(SESSION, 200.0) or "")
    assert signs(peer=replace(RELAY, ip="198.51.7.1")).sign(SESSION, 200.0), "another address of the same network"


@pytest.mark.parametrize(
    "changed",
    [{"outcome": "failure"}, {"verdict": "expected"}, {"verdict": None}, {"peer": HOME_OF_STRANGER}, {"camera": "b"}],
)  # fmt: skip
def test_logins_that_are_no_sign(changed: dict[str, object]) -> None:
    assert signs(**changed).sign(SESSION, 200.0) is None


def test_a_way_in_is_one_whoever_comes() -> None:
    known = Seconds()
    known.exposure(replace(DOOR, state="closed"), 90.0)
    assert known.sign(SESSION, 100.0) is None
    known.exposure(DOOR, 100.0)
    assert "way in" in (known.sign(SESSION, 699.0) or "")
    assert known.sign(replace(SESSION, id="s2", camera="shop"), 200.0) is None


def test_a_new_place_a_call_and_privacy_hours() -> None:
    known = Seconds()
    known.finding(replace(PLACE, type="exposed-port"), 100.0)
    known.finding(replace(PLACE, over=True), 100.0)
    known.finding(replace(PLACE, peer=None), 100.0)
    assert known.sign(SESSION, 101.0) is None
    known.finding(PLACE, 101.0)
    assert "first time" in (known.sign(SESSION, 102.0) or "")
    called = Seconds()
    called.called("porch", RELAY, 100.0)
    assert "told the camera to call" in (called.sign(SESSION, 102.0) or "")
    assert "privacy" in (Seconds().sign(SESSION, 1.0, private_near=True) or "")


def test_only_guesses_need_one_and_it_must_be_near() -> None:
    known = signs()
    for other in (replace(SESSION, confidence="likely"), replace(SESSION, cls="clip"), replace(SESSION, cls="unknown")):
        assert known.sign(other, 200.0) is None
    assert known.sign(SESSION, 701.0) is None


def test_once_told_it_stays_told_until_the_session_is_closed() -> None:
    known = signs()
    words = known.sign(SESSION, 200.0)
    assert known.sign(SESSION, 5000.0) == words
    assert known.sign(replace(SESSION, state="closed"), 5001.0) == words
    assert known.sign(SESSION, 5002.0) is None


def test_tables_are_capped() -> None:
    known = Seconds()
    known.exposure(DOOR, 100.0)
    for number in range(SEEN_MAX + 50):
        assert known.sign(replace(SESSION, id=f"s{number}"), 101.0)
    assert len(known._seen) == SEEN_MAX
    for number in range(SIGNS_MAX + 50):
        known.exposure(DOOR, 100.0 + number)
    assert len(known._signs["porch"]) == SIGNS_MAX


def test_networks_and_the_words_of_the_detector() -> None:
    assert network(Peer("203.0.113.9")) == "203.0.113.0/24"
    assert network(Peer("2001:db8:1:2::3")) == "2001:db8:1::/48"
    assert second.BESIDE == followed.BESIDE
    assert begins_beside(replace(SESSION, evidence=("x", followed.BESIDE)))
    assert not begins_beside(SESSION)
