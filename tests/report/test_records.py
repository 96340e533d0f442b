"""Decisions of the owner: one line each, with whom, until when and from where."""

from typing import Any

import pytest

from camguard import report
from camguard.events import Decision, Peer

ZONE = "Europe/Berlin"
TIME = 1_795_554_840.25  # 2026-11-24 22:14:00.250 in Berlin
ANNA = Peer("192.168.1.20", scope="lan", device="Anna's phone")
HOSTILE = "<b>x</b>\x1b[31m\u202egnp.exe\u2066\n\r\t\x00" + "A" * 10_000

ROWS = [
    (
        {"what": "allow", "mode": "once", "peer": ANNA},
        "porch may be viewed by Anna's phone, this time only (terminal, bob)",
    ),
    (
        {"what": "allow", "mode": "always", "peer": ANNA},
        "porch may be viewed by Anna's phone, from now on (terminal, bob)",
    ),
    (
        {"what": "allow", "mode": "for", "peer": ANNA, "until": TIME + 3600},
        "porch may be viewed by Anna's phone until 23:14 (terminal, bob)",
    ),
    (
        {"what": "allow", "mode": "for", "peer": ANNA, "until": TIME + 7200},
        "porch may be viewed by Anna's phone until 25 Nov 00:14 (terminal, bob)",
    ),
    (
        {"what": "allow", "mode": "once", "alert": "a7f0c1"},
        "what alert a7f0c1 says of porch is fine, this time only (terminal, bob)",
    ),
    (
        {"what": "allow", "mode": "once", "peer": ANNA, "used": True},
        "porch may be viewed by Anna's phone, this time only: settled (terminal, bob)",
    ),
    (
        {"what": "allow", "mode": "always", "peer": ANNA, "when": "mon-fri 18:00-22:00", "private": True},
        "porch may be viewed by Anna's phone mon-fri 18:00-22:00, from now on, also in privacy hours (terminal, bob)",
    ),
    (
        {"what": "allow", "mode": "for", "peer": ANNA, "when": "18:00-22:00", "until": TIME + 3600},
        "porch may be viewed by Anna's phone 18:00-22:00 until 23:14 (terminal, bob)",
    ),
    ({"what": "revoke", "revokes": 3}, "decision 3 is taken back (terminal, bob)"),
    ({"what": "watching", "until": TIME + 1800}, "the owner is watching porch until 22:44 (terminal, bob)"),
    (
        {"what": "silence", "camera": None, "until": TIME + 1800, "who": "mqtt"},
        "no notifications about any camera until 22:44; the record goes on (mqtt)",
    ),
    (
        {"what": "silence", "camera": None, "until": TIME, "who": "mqtt"},
        "the silence about any camera is ended (mqtt)",
    ),
    ({"what": "silence", "until": TIME}, "the silence about porch is ended (terminal, bob)"),
    ({"what": "presence", "detail": "Anna's phone is home"}, "Anna's phone is home (terminal, bob)"),
]


def decision(**changes: Any) -> Decision:
    known: dict[str, Any] = {"number": 7, "time": TIME, "wish": "w1", "who": "terminal, bob", "camera": "porch"}
    return Decision(**(known | changes))


@pytest.mark.parametrize(("changes", "words"), ROWS, ids=[row[1] for row in ROWS])
def test_a_decision_in_one_line(changes: dict[str, Any], words: str) -> None:
    one = decision(**changes)
    assert report.line(one, ZONE) == f"22:14:00 decision 7: {words}"
    assert report.as_dict(one, ZONE)["kind"] == "decision"


def test_a_hostile_decision_is_one_printable_line() -> None:
    bad = Peer(HOSTILE, device=HOSTILE)
    for what in ("allow", "watching", "silence", "presence"):
        one = decision(what=what, mode="once", peer=bad, camera=HOSTILE, who=HOSTILE, detail=HOSTILE, until=TIME)
        assert report.line(one, ZONE).isprintable()
        assert len(report.line(one, ZONE)) < 300
        assert report.to_json(report.as_dict(one, ZONE)).isprintable()
