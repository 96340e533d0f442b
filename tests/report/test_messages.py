"""What channels send: three details, short ids that differ, hostile names, the digest and the marked test."""

import itertools
import re
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard import report
from camguard.events import Alert, Peer

ZONE = "Europe/Berlin"
RAISED = 1_795_554_840.25  # 2026-11-24 22:14:00.250 in Berlin
HOSTILE = "<b>x</b>\x1b[31m\u202egnp.exe\u2066\n\r\t\x00\x9b & " + "A" * 10_000
NAMES = ("Nursery", "OVH", "France", "51.68", "Anna", "192.168", "cam.example")


def alert(**changes: Any) -> dict[str, Any]:
    known: dict[str, Any] = {
        "id": "a7f0c1d2e3",
        "time": RAISED,
        "camera": "Nursery",
        "type": "remote-stream",
        "severity": "critical",
        "confidence": "certain",
        "reason": report.USUAL_REASON,
        "evidence": ("RTSP PLAY answered 200",),
        "peer": Peer("51.68.10.20", 40000, name="cam.example.net", org="OVH", country="France"),
        "session": "s1",
        "raised": RAISED,
        "started": RAISED,
        "count": 1,
        "state": "open",
    }
    return report.as_dict(Alert(**(known | changes)), ZONE)


def test_full_is_the_alerts_own_words_with_the_short_id() -> None:
    made = alert()
    sent = report.message(made, "full", ZONE)
    assert sent == report.Message(
        "Somebody is watching: Nursery",
        made["body"] + " [a7f0]",
        "a7f0",
        "critical",
        "open",
        "a7f0c1d2e3",
        "remote-stream",
    )


def test_discreet_says_nothing_but_that_there_is_something() -> None:
    for changes in ({}, {"state": "closed"}, {"type": "guard-blind", "camera": "*"}, {"type": "weekly"}):
        sent = report.message(alert(**changes), "discreet", ZONE)
        assert (sent.title, sent.body) == ("camguard", "Something to look at. [a7f0]")


SHORT = [
    ({}, "Somebody is watching a camera", "Since 22:14. Which camera, and who: camguard alerts [a7f0]"),
    ({"confidence": "likely"}, "A camera may be being watched", None),
    ({"type": "lan-stream", "confidence": "certain"}, "Somebody at home is watching a camera", None),
    ({"state": "update", "time": RAISED + 720}, "Somebody is watching a camera: 12 minutes", None),
    (
        {"state": "closed", "time": RAISED + 840, "ended": RAISED + 840},
        "It ended after 14 minutes",
        "Somebody is watching a camera: that was from 22:14 to 22:28. [a7f0]",
    ),
    ({"state": "update", "time": RAISED + 14}, "Somebody is watching a camera", None),
    (
        {"state": "closed", "time": RAISED + 840, "ended": RAISED + 120, "count": 2},
        "It ended, 2 times in all",
        "Somebody is watching a camera, 2 times between 22:14 and 22:16. [a7f0]",
    ),
    (
        {"state": "closed", "time": RAISED + 60, "detail": {"settled": "you said that it was you (decision 3)"}},
        "Settled",
        "Somebody is watching a camera, since 22:14: you said that it is fine. camguard goes on looking. [a7f0]",
    ),
    (
        {"type": "guard-blind", "camera": "*", "peer": None, "detail": {"how": "guard-silent"}},
        "camguard has stopped looking",
        None,
    ),
    ({"type": "guard-blind", "peer": None}, "camguard cannot see a camera", None),
    ({"type": "a-later-one"}, "Something to look at", None),
]


@pytest.mark.parametrize(("changes", "title", "body"), SHORT, ids=[row[1] for row in SHORT])
def test_short_says_what_and_names_nobody(changes: dict[str, Any], title: str, body: str | None) -> None:
    sent = report.message(alert(**changes), "short", ZONE)
    assert sent.title == title
    assert body is None or sent.body == body
    assert not [name for name in NAMES if name in sent.title + sent.body]


def test_short_names_nobody_whatever_happens() -> None:
    peers = (None, Peer("192.168.1.20", 1, scope="lan", device="Anna's phone"), Peer("51.68.10.20", org="OVH"))
    details = ({}, {"settled": "Anna's phone is your own device"}, {"through_cloud": "OVH"})
    for kind, state, sure, peer, detail in itertools.product(
        ("remote-stream", "lan-stream", "privacy", "guard-blind", "remote-login", "brute-force", "other"),
        ("open", "update", "closed"),
        ("certain", "likely", "unsure"),
        peers,
        details,
    ):
        made = alert(type=kind, state=state, confidence=sure, peer=peer, detail=detail, reason="you expect Anna only")
        sent = report.message(made, "short", ZONE)
        assert not [name for name in NAMES if name in sent.title + sent.body], sent
        assert len(sent.title) <= 60
        assert len(sent.body) <= 200


@pytest.mark.parametrize("detail", ["full", "short", "discreet"])
def test_hostile_names_are_harmless_and_fit(detail: report.Detail) -> None:
    bad = Peer(HOSTILE, 1, name=HOSTILE, org=HOSTILE, country=HOSTILE, device=HOSTILE)
    made = alert(camera=HOSTILE, peer=bad, reason=HOSTILE, evidence=(HOSTILE,))
    # what another program wrote into the record is no better than what came from the network
    for one in (made, made | {"title": HOSTILE, "body": HOSTILE, "id": HOSTILE}):
        sent = report.message(one, detail, ZONE)
        for text in (sent.title, sent.body, sent.short_id):
            assert not [char for char in text if unicodedata.category(char)[0] == "C"], text
        assert len(sent.title) <= 60
        assert len(sent.body) <= 200
        assert "<" not in sent.short_id


def test_a_body_that_is_too_long_keeps_its_short_id() -> None:
    sent = report.message(alert() | {"body": "x" * 200}, "full", ZONE)
    assert len(sent.body) == 200
    assert sent.body.endswith("… [a7f0]")


@pytest.mark.parametrize(
    ("others", "short"),
    [((), "a7f0"), (("a7f0c1d2e3",), "a7f0"), (("b7f0c1d2e3", "a7f1"), "a7f0"), (("a7f0c1ffff", "x"), "a7f0c1d")],
)
def test_a_short_id_is_as_long_as_it_must_be(others: tuple[str, ...], short: str) -> None:
    assert report.short_id("a7f0c1d2e3", others) == short
    assert report.message(alert(), "full", ZONE, others).body.endswith(f" [{short}]")


@given(st.sets(st.text("0123456789abcdef", min_size=10, max_size=10), min_size=1, max_size=60))
def test_short_ids_differ(ids: set[str]) -> None:
    assert len({report.short_id(one, ids) for one in ids}) == len(ids)


def test_many_alerts_in_one_message() -> None:
    many = [alert(severity="warning") for _ in range(30)] + [alert(camera="porch")] * 7 + [alert(camera=HOSTILE)]
    title, body = report.digest(many)
    assert title == "38 more alerts: Nursery"
    assert body.startswith("Nursery 30, porch 7, b x /b [31mgnp.exe")
    assert body.endswith("1. 8 of them are critical. All of them: camguard alerts")
    title, body = report.digest([alert(camera=f"camera {number}") for number in range(7)])
    assert "and 3 more cameras." in body
    assert report.digest([alert()])[0] == "1 more alert: Nursery"
    assert max(map(len, report.digest([alert(camera="x" * 99 + str(n)) for n in range(10_000)]))) <= 200


def test_the_marked_test_says_that_it_is_one() -> None:
    title, body = report.test_words("ntfy", RAISED, ZONE)
    assert title.startswith("Test")
    assert body == "Sent at 22:14 through ntfy. When somebody watches, it is told here."
    assert len(report.test_words(HOSTILE, RAISED, ZONE)[1]) <= 200
    assert not re.search(r"[\x00-\x1f<>]", report.test_words(HOSTILE, RAISED, ZONE)[1])
