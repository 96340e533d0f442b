"""The words of logins and guesses (ux.md 8, rows 5 to 8), and of a login in a list."""

import pytest

from camguard import report
from camguard.events import Alert, Login, Peer
from tests.test_report import OVH, RAISED, ZONE, alert, assert_fit

WORKED = {"service": "http", "user": "admin", "outcome": "success"}
GUESSED = WORKED | {"wrong": 43, "wrong_s": 360.0, "networks": 1, "guessed": 1}
PHONE = Peer("192.168.1.20", scope="lan", device="Anna's phone")
LAPTOP = Peer("192.168.1.77", scope="lan")

ROWS = [
    (
        alert(type="remote-login", detail=WORKED),
        "Somebody logged in to Nursery from outside",
        "22:14: login as 'admin' worked, from an address of OVH in France (51.68.x.x). It is not on your list. Was this"
        " you?",
    ),
    (
        alert(type="remote-login", severity="warning", detail=WORKED | {"outcome": "failure", "wrong": 2}),
        "Somebody from outside tried to log in: Nursery",
        "22:14: login as 'admin' was refused, from an address of OVH in France (51.68.x.x) (2 tries so far). It is not"
        " on your list. Was this you?",
    ),
    (
        alert(type="remote-login", severity="warning", detail={"outcome": "unknown", "user": None}),
        "Somebody from outside may be logged in: Nursery",
        "22:14: login, from an address of OVH in France (51.68.x.x). What the camera answered could not be read. Was"
        " this you?",
    ),
    (
        alert(type="lan-login", severity="warning", peer=LAPTOP, detail=WORKED),
        "Somebody at home logged in to Nursery",
        "22:14: login as 'admin' worked, from an unknown device in your home network (192.168.1.77). It is not on your"
        " list. Name it if it is yours.",
    ),
    (
        alert(type="brute-force", detail=GUESSED, count=43),
        "Password guessed: somebody is in Nursery",
        "22:14: a login as 'admin' worked after 43 wrong tries in 6 minutes from an address of OVH in France"
        " (51.68.x.x). Treat the camera as open to others until you change its password.",
    ),
    (
        alert(type="brute-force", severity="warning", detail=GUESSED | {"outcome": "failure"}, count=43),
        "Somebody is guessing Nursery's password",
        "43 wrong logins in 6 minutes from an address of OVH in France (51.68.x.x). None has worked so far. No need to"
        " act at once; a strong password holds.",
    ),
    (
        alert(type="brute-force", severity="warning", detail=GUESSED | {"networks": 12}, count=43),
        "Somebody is guessing Nursery's password",
        "43 wrong logins in 6 minutes from 12 different networks. None has worked so far. No need to act at once; a"
        " strong password holds.",
    ),
    (
        alert(type="default-password", severity="warning", peer=PHONE, detail=WORKED),
        "Nursery uses its factory password",
        "A login with the maker's default password, or none, worked just now, from your device Anna's phone. Anybody"
        " who can reach the camera can do the same. Change it.",
    ),
    (
        alert(type="stale-password", severity="info", peer=PHONE, detail={"wrong": 3, "wrong_s": 60.0}),
        "Something tries an old password: Nursery",
        "Anna's phone tried 3 times since 22:14 and was refused. Some cameras lock everybody out after many wrong"
        " tries. Put the camera's new password in there.",
    ),
    (
        alert(type="brute-force", severity="warning", state="closed", count=43, ended=RAISED + 600, time=RAISED + 4200),
        "No more guessing: Nursery",
        "43 wrong logins from 22:14 to 22:24, from an address of OVH in France (51.68.x.x). None worked.",
    ),
]


@pytest.mark.parametrize(("one", "title", "body"), ROWS, ids=[f"{row[0].type} {row[0].state}" for row in ROWS])
def test_words(one: Alert, title: str, body: str) -> None:
    said = report.words(one, ZONE)
    assert said == (title, body)
    assert_fit(*said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "login as admin by OVH, France over http: refused, unexpected"),
        ({"outcome": "success", "default_password": True, "verdict": "expected"},
         "login as admin by OVH, France over http: worked, expected, with a maker's default password or none"),
        ({"outcome": "success", "outcome_source": "inferred", "user": None, "verdict": None},
         "login by OVH, France over http: worked, as it seems"),
        ({"outcome": "unknown", "outcome_source": "inferred", "verdict": None},
         "login as admin by OVH, France over http: nobody knows if it worked"),
    ],
)  # fmt: skip
def test_a_login_in_one_line(changes: dict[str, object], words: str) -> None:
    known: dict[str, object] = {
        "id": "l1", "time": RAISED, "camera": "Nursery", "peer": OVH, "service": "http", "scheme": "basic",
        "user": "admin", "outcome": "failure", "outcome_source": "read", "default_password": False,
        "verdict": "unexpected",
    }  # fmt: skip
    login = Login(**(known | changes))  # type: ignore[arg-type]
    assert report.login_words(login) == words
    assert report.line(login, ZONE) == f"22:14:00 Nursery: {words}"
    assert report.as_dict(login)["kind"] == "login"


def test_short_messages_say_what_happened() -> None:
    for one, title in (
        (alert(type="remote-login"), "Somebody logged in to a camera from outside"),
        (alert(type="remote-login", severity="warning"), "Somebody outside tried to log in to a camera"),
        (alert(type="brute-force"), "A camera's password was guessed"),
    ):
        assert report.message(report.as_dict(one, ZONE), "short", ZONE).title == title
