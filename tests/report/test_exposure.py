"""The words of exposed-port, and of a way in for the log and for status."""

import json

import pytest

from camguard import report
from camguard.events import Alert, Exposure, Peer
from camguard.report.exposure import exposure_of, exposure_words
from tests.test_report import OVH, RAISED, ZONE, alert, assert_fit

MAPPING = {"what": "upnp-mapping", "external_port": 8554, "internal_port": 554, "transport": "tcp", "lease_s": 3600}
CAME_IN = {"what": "inbound-port", "external_port": None, "internal_port": 554, "transport": "tcp"}
SERVICE = CAME_IN | {"what": "new-service", "internal_port": 23}


def exposed(**changes: object) -> Alert:
    return alert(**{"type": "exposed-port", "severity": "warning", "peer": None, "detail": MAPPING} | changes)


ROWS = [
    (
        exposed(),
        "Nursery was opened to the internet",
        "22:14: the camera asked your router to open port 8554 (video), and the router agreed. Anyone can now try to"
        " log in. To close it, delete the port forward for 8554 in your router.",
    ),
    (
        exposed(confidence="likely"),
        "Nursery may have been opened to the internet",
        "22:14: the camera asked your router to open port 8554 (video), and camguard did not see the answer. Anyone"
        " can now try to log in. To close it, delete the port forward for 8554 in your router.",
    ),
    (
        exposed(detail=MAPPING | {"external_port": 0, "transport": "udp"}, peer=Peer("192.168.1.77", scope="lan")),
        "Nursery was opened to the internet",
        "22:14: an unknown device in your home network (192.168.1.77) asked your router to open every port, and the"
        " router agreed. To close it, delete this port forward in your router.",
    ),
    (
        exposed(detail=MAPPING | {"for_ip": "192.168.1.99"}),
        "Nursery opened a way into your home",
        "22:14: the camera asked your router to open port 8554 (video), and the router agreed. It leads to"
        " 192.168.1.99. To close it, delete the port forward for 8554 in your router.",
    ),
    (
        exposed(detail=CAME_IN, peer=OVH),
        "Nursery can be reached from the internet",
        "22:14: an address of OVH in France (51.68.x.x) came in on port 554 (video) of the camera, and it answered."
        " So can anyone. To close it, delete the port forward to the camera in your router.",
    ),
    (
        exposed(detail=SERVICE, peer=Peer("192.168.1.77", scope="lan")),
        "Nursery answers on a new port",
        "22:14: the camera answered an unknown device in your home network (192.168.1.77) on port 23 (telnet). Did you"
        " switch something on or update it? If not, change its password.",
    ),
    (
        exposed(state="closed", time=RAISED + 600, ended=RAISED + 600, detail=MAPPING | {"closed_by": "delete"}),
        "The way in is closed: Nursery",
        "Port 8554 (video): your router was asked to close it. It was from 22:14 to 22:24. If you did not want it:"
        " switch off UPnP in your router.",
    ),
    (
        exposed(state="closed", time=RAISED + 600, ended=RAISED + 600, detail=SERVICE | {"closed_by": "quiet"}),
        "The new port is quiet: Nursery",
        "Port 23 (telnet): nobody used it for a day. It was from 22:14 to 22:24. The record is kept.",
    ),
    (
        exposed(state="closed", detail=MAPPING | {"settled": "you said that you know of it (decision 3)"}),
        "Settled: Nursery, you said that you know of it",
        "Port 8554 (video): you said that you know of it. camguard goes on looking. Undo: camguard allow --revoke 3",
    ),
    (exposed(detail={}), "Nursery was opened to the internet", "Seen since 22:14. Look: camguard alerts"),
]


@pytest.mark.parametrize(("one", "title", "body"), ROWS, ids=[row[1] for row in ROWS])
def test_the_words(one: Alert, title: str, body: str) -> None:
    assert report.words(one, ZONE) == (title, body)
    assert_fit(title, body)


def test_a_table_and_a_short_message() -> None:
    assert report.matter(report.as_dict(exposed())) == "It was opened to the internet"
    assert report.matter(report.as_dict(exposed(detail=SERVICE, peer=OVH))) == "It answers on a new port: OVH, France"
    assert report.message(report.as_dict(exposed()), "short").title == "A camera was opened to the internet"
    assert report.message(report.as_dict(exposed(detail=SERVICE)), "short").title == "A camera answers on a new port"
    assert report.message(report.as_dict(exposed()), "discreet").title == "camguard"


EXPOSURE = Exposure("e1", RAISED, "Nursery", "open", "upnp-mapping", 8554, 554, "tcp", None, RAISED + 3600)


def test_the_dict_of_the_contract_and_back() -> None:
    made = report.as_dict(EXPOSURE)
    assert list(made) == [
        "kind", "time", "camera", "id", "state", "what", "external_port", "internal_port", "transport", "peer", "until",
    ]  # fmt: skip
    assert exposure_of(json.loads(report.to_json(made))) == EXPOSURE
    with pytest.raises(ValueError, match="no exposure"):
        exposure_of(made | {"what": "later"})
    with pytest.raises(KeyError):
        exposure_of({})


def test_one_line() -> None:
    words = exposure_words(EXPOSURE, ZONE)
    assert words == (
        "open: the router lets the internet in on port 8554 (video) (to 554 of the camera),"
        " until 23:14 or as long as it is renewed"
    )
    came = Exposure("e2", RAISED, "Nursery", "closed", "inbound-port", None, 9000, "udp", OVH)
    assert report.line(came, ZONE) == (
        "22:14:00 Nursery: closed: the internet comes in on port 9000 (UDP), first an address of OVH in France"
        " (51.68.x.x)"
    )
