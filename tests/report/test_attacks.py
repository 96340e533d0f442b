"""The words of attacks, scans and new places (ux.md 8, row 10), each whole."""

import itertools

import pytest

from camguard import report
from camguard.events import Alert, Peer
from camguard.report import attacks
from tests.test_report import OVH, RAISED, ZONE, alert, assert_fit

LAPTOP = Peer("192.168.1.77", scope="lan")
OWN = Peer("192.168.1.20", scope="lan", device="Anna's laptop")
CLOUD = Peer("198.18.0.1", name="p2p1.reolink.com", org="Amazon", country="Ireland")
TELNET = {"how": "scan", "service": "telnet", "destinations": 214, "seconds": 600}
SCAN = {"ports": 1000, "open": 2, "seconds": 8}
TAKEN = "Cameras do this when they are taken over. Unplug it when it is safe to."


def attack(**changes: object) -> Alert:
    return alert(**({"type": "camera-attacks", "peer": None, "detail": TELNET} | changes))


def scan(**changes: object) -> Alert:
    return alert(**({"type": "port-scan", "severity": "info", "peer": LAPTOP, "detail": SCAN} | changes))


def place(**changes: object) -> Alert:
    return alert(**({"type": "new-destination", "severity": "info", "peer": CLOUD} | changes))


ROWS = [
    (
        attack(),
        "Nursery is contacting many strangers",
        f"In 10 minutes it tried 214 addresses, on telnet ports. {TAKEN}",
    ),
    (
        attack(state="update", count=2, time=RAISED + 600),
        "Nursery is still contacting many strangers",
        f"In 10 minutes it tried 214 addresses, on telnet ports. {TAKEN}",
    ),
    (
        attack(detail={"how": "many", "destinations": 4200, "seconds": 40}),
        "Nursery is contacting many strangers",
        f"In 40 seconds it contacted 4,200 addresses. {TAKEN}",
    ),
    (
        attack(peer=OVH, detail={"how": "flood", "packets_s": 9100, "destinations": 1, "seconds": 6}),
        "Nursery is flooding somebody",
        f"In 6 seconds it sent 9,100 packets a second to an address of OVH in France (51.68.x.x). {TAKEN}",
    ),
    (
        attack(peer=LAPTOP, detail={"how": "ports", "destinations": 53, "seconds": 3}),
        "Nursery is trying somebody's doors",
        f"In 3 seconds it tried 53 ports of an unknown device in your home network (192.168.1.77). {TAKEN}",
    ),
    (
        attack(detail={"how": "mail", "destinations": 9, "seconds": 300}),
        "Nursery is sending mail to many",
        f"In 5 minutes it sent mail to 9 mail servers. {TAKEN}",
    ),
    (
        attack(state="closed", ended=RAISED + 600, time=RAISED + 1500),
        "Nursery stopped contacting many strangers",
        "From 22:14 to 22:24 it tried 214 addresses, on telnet ports. That it stopped does not make it safe: reset it,"
        " or leave it unplugged.",
    ),
    (
        scan(),
        "Somebody is trying the doors of Nursery",
        "An unknown device in your home network (192.168.1.77) tried 1,000 ports of it in 8 seconds, since 22:14; 2 are"
        " open. That is how one looks for a way in. Was this you?",
    ),
    (
        scan(peer=OVH, severity="warning", detail={"ports": 15, "open": 0, "seconds": 60}),
        "Somebody is trying the doors of Nursery",
        "An address of OVH in France (51.68.x.x) tried 15 ports of it in 60 seconds, since 22:14; none answered. From"
        " outside nobody should get that far: close its ports in your router.",
    ),
    (
        scan(peer=OWN, detail=SCAN | {"open": 1}),
        "Anna's laptop tries the doors of Nursery",
        "Your device Anna's laptop tried 1,000 ports of it in 8 seconds, since 22:14; 1 is open. A network scanner does"
        " this.",
    ),
    (
        scan(peer=None),
        "Somebody is trying the doors of Nursery",
        "Several addresses, one after the other, tried 1,000 ports of it in 8 seconds, since 22:14; 2 are open. From"
        " outside nobody should get that far: close its ports in your router.",
    ),
    (
        scan(state="closed", ended=RAISED + 8, time=RAISED + 700),
        "No more scanning: Nursery",
        "An unknown device in your home network (192.168.1.77) tried 1,000 ports at 22:14; 2 are open.",
    ),
    (
        place(detail={"place": "reolink.com", "bare": 0, "places": 1}),
        "Nursery talks to a new place: reolink.com",
        "Since 22:14, it talks to reolink.com (Amazon, Ireland), where it never was before. Updates and new functions"
        " do so.",
    ),
    (
        place(peer=OVH, detail={"place": None, "bare": 1, "places": 1}),
        "Nursery talks to an address without a name",
        "Since 22:14, it talks to an address of OVH in France (51.68.x.x); no look-up of a name led there. Viewers by"
        " P2P look like this, and so do strangers.",
    ),
    (
        place(peer=OVH, detail={"place": None, "name_server": 1, "places": 1}),
        "Nursery asks a name server outside",
        "Since 22:14, it asks an address of OVH in France (51.68.x.x) for names, past your home's own name server. Some"
        " makers do this.",
    ),
    (
        place(peer=None, detail={"bare": 1, "places": 41}),
        "Nursery met 41 more new places",
        "Within a day it talked to 41 more places that it never talked to before, most without a name. The record is"
        " kept.",
    ),
    (
        place(state="closed", detail={"place": "reolink.com"}, ended=RAISED, time=RAISED + 3600),
        "Nursery talked to a new place: reolink.com",
        "At 22:14, it talked to reolink.com (Amazon, Ireland), where it never was before. Updates and new functions"
        " do so.",
    ),
]


@pytest.mark.parametrize(("one", "title", "body"), ROWS, ids=[f"{row[0].type} {row[0].state} {row[1]}" for row in ROWS])
def test_words(one: Alert, title: str, body: str) -> None:
    said = report.words(one, ZONE)
    assert said == (title, body)
    assert_fit(*said)


def test_every_combination_fits_and_is_plain() -> None:
    details: tuple[dict[str, object], ...] = ({}, TELNET, SCAN, {"how": "flood"}, {"how": "mail"}, {"how": "ports"},
        {"place": "a" * 250, "places": 1}, {"name_server": 1}, {"bare": 1}, {"places": 999_999},
        {"how": "scan", "service": "<b>" * 40, "destinations": 10**9, "seconds": 10**9},
        {"how": "flood", "packets_s": None, "seconds": None})  # fmt: skip
    peers = (None, LAPTOP, OWN, OVH, CLOUD, Peer("2001:db8::1", org="o" * 90, country="c" * 60))
    states, names = ("open", "update", "closed"), ("Nursery", "<" * 60, "")
    for kind, detail, peer, state, camera in itertools.product(attacks.TYPES, details, peers, states, names):
        one = alert(type=kind, detail=detail, peer=peer, state=state, camera=camera, ended=RAISED + 90)
        assert_fit(*report.words(one, ZONE))


def test_a_new_place_is_named_in_a_table() -> None:
    made = report.as_dict(place(detail={"place": "reolink.com"}), ZONE)
    assert report.matter(made) == "It talks to a new place: reolink.com"
    assert report.matter(report.as_dict(attack(), ZONE)) == "It is contacting many strangers"
