"""Open doors, attacks and new destinations through the whole core: what is read and counted becomes told matters."""

import struct
from dataclasses import replace

import pytest
from scapy.layers.l2 import ARP, Ether

from camguard.events import UDP, Alert, Exposure, Finding, Notice, Wish
from camguard.guard import Guard
from tests.test_guard import HOME
from tests.traffic import (
    CAMERA_IP,
    CAMERA_MAC,
    GATEWAY_IP,
    GATEWAY_MAC,
    LAPTOP_IP,
    LAPTOP_MAC,
    Connection,
    datagram,
    frame,
    key_of,
    run,
)

CAMERA = (CAMERA_MAC, CAMERA_IP, 40001)
OTHER_MAC = "02:00:00:00:00:77"
ROUTER = (GATEWAY_MAC, GATEWAY_IP, 5351)


def asked(at: float, port: int, lease_s: int, sender: tuple[str, str, int] = CAMERA) -> list[object]:
    """NAT-PMP: map TCP `port` for `lease_s`, and the router's yes (RFC 6886 section 3.3)."""
    question = struct.pack(">BBHHHI", 0, 2, 0, port, port, lease_s)
    answer = struct.pack(">BBHIHHI", 0, 130, 0, 1000, port, port, lease_s)
    return [datagram(at, sender, ROUTER, question), datagram(at + 0.01, ROUTER, sender, answer)]


def seen(at: float) -> list[object]:
    """Something by which camera and laptop are known."""
    return [
        datagram(at, (mac, ip, 1234), ROUTER, b"x") for mac, ip in ((CAMERA_MAC, CAMERA_IP), (LAPTOP_MAC, LAPTOP_IP))
    ]


def of(events: list[object], kind: type) -> list[object]:
    return [event for event in events if isinstance(event, kind)]


def test_a_mapping_opens_and_its_taking_back_closes() -> None:
    _, events = run(HOME, [*seen(100.1), *asked(100.5, 8554, 3600), *asked(103.5, 8554, 0)], until=106.0)
    exposures = [event for event in events if isinstance(event, Exposure)]
    assert [(one.state, one.what, one.internal_port, one.camera) for one in exposures] == [
        ("open", "pcp-mapping", 8554, "porch"),
        ("closed", "pcp-mapping", 8554, "porch"),
    ]
    alerts = [event for event in events if isinstance(event, Alert)]
    assert [(one.type, one.state) for one in alerts] == [("exposed-port", "open"), ("exposed-port", "closed")]
    assert not of(events, Finding)


def test_only_the_router_says_that_a_way_in_is_closed() -> None:
    arp = frame(Ether(src=GATEWAY_MAC) / ARP(op=2, hwsrc=GATEWAY_MAC, psrc=GATEWAY_IP, pdst=CAMERA_IP), 100.2)
    forged = datagram(103.5, (LAPTOP_MAC, LAPTOP_IP, 5351), CAMERA, struct.pack(">BBHIHHI", 0, 130, 0, 1000, 0, 0, 0))
    _, events = run(HOME, [*seen(100.1), arp, *asked(100.5, 8554, 3600), forged], until=106.0)
    assert [one.state for one in of(events, Exposure)] == ["open"]
    _, events = run(HOME, [*seen(100.1), arp, *asked(100.5, 8554, 3600), *asked(103.5, 0, 0)], until=106.0)
    assert [one.state for one in of(events, Exposure)] == ["open", "closed"]


def test_who_else_asks_for_himself_opens_nothing_of_the_cameras() -> None:
    laptop = (LAPTOP_MAC, LAPTOP_IP, 40001)
    _, events = run(HOME, [*seen(100.1), *asked(100.5, 8554, 3600, laptop)], until=103.0)
    assert not of(events, Exposure)


def test_it_was_me_settles_a_way_in_for_as_long_as_it_stands() -> None:
    guard, events = run(HOME, [*seen(100.1), *asked(100.5, 8554, 3600)], until=103.0)
    (alert,) = (event for event in events if isinstance(event, Alert))
    decided = guard.decide(Wish("w1", "terminal, anna", "allow", alert=alert.id, mode="once"), 1, 104.0, alert)
    assert [one.state for one in decided if isinstance(one, Alert)] == ["closed"]
    assert not guard.open_alerts()
    renewed = [event for item in asked(110.5, 8554, 3600) for event in guard.feed(item)]  # type: ignore[arg-type]
    assert not of(renewed, Alert)


def test_a_way_in_that_is_always_fine_is_quiet_after_it_was_closed_too() -> None:
    guard, events = run(HOME, [*seen(100.1), *asked(100.5, 8554, 3600)], until=103.0)
    (alert,) = (event for event in events if isinstance(event, Alert))
    guard.decide(Wish("w1", "terminal, anna", "allow", alert=alert.id, mode="always"), 1, 104.0, alert)
    items = [*asked(110.5, 8554, 0), *asked(112.5, 8554, 3600), *asked(113.5, 8555, 3600)]
    later = [event for item in items for event in guard.feed(item)]  # type: ignore[arg-type]
    assert [one.detail["internal_port"] for one in later if isinstance(one, Alert)] == [8555]
    assert len(of(later, Exposure)) == 3  # the record goes on


def test_an_attack_cannot_be_allowed_for_good() -> None:
    attack = Finding("camera-attacks", "porch", "*", "critical", "likely", ("many",), None, 100.0)
    guard, _ = run(HOME, [], until=101.0)
    (alert,) = guard._judge.findings([attack], 102.0)
    assert isinstance(alert, Alert)
    with pytest.raises(ValueError, match="once"):
        guard.decide(Wish("w1", "terminal, anna", "allow", alert=alert.id, mode="always"), 1, 104.0, alert)


def test_what_was_open_when_the_guard_stopped_is_no_news_and_still_closes() -> None:
    _, events = run(HOME, [*seen(100.1), *asked(100.5, 8554, 3600)], until=103.0)
    (exposure,) = (event for event in events if isinstance(event, Exposure))
    (alert,) = (event for event in events if isinstance(event, Alert))
    guard = Guard(HOME, offset_s=50.0, exposures=[replace(exposure, time=exposure.time + 50)], resume=[alert])
    items = [*seen(200.1), *asked(200.5, 8554, 3600)]
    again = [event for item in items for event in guard.feed(item)]  # type: ignore[arg-type]
    assert not of(again, Alert)
    gone = [event for item in asked(210.5, 8554, 0) for event in guard.feed(item)]  # type: ignore[arg-type]
    assert [one.state for one in gone if isinstance(one, Exposure)] == ["closed"]
    assert [(one.id, one.state) for one in gone if isinstance(one, Alert)] == [(alert.id, "closed")]


def test_a_camera_that_tries_many_strangers_is_told_once() -> None:
    items = [
        Connection(key_of(f"198.18.{number // 250}.{number % 250 + 1}", 30_000 + number, 23), first_at=101.0, flags=2)
        .second(101.0 + number // 60, up=0)
        ._replace(packets_up=1, wire_up=60, flags_down=0, packets_down=0, wire_down=0)
        for number in range(600)
    ]
    heard = Connection(key_of(), first_at=100.0).second(100.5, up=10, down=10)
    _, events = run(HOME, [heard, *items], until=115.0)
    alerts = [event for event in events if isinstance(event, Alert)]
    assert {one.type for one in alerts} == {"camera-attacks"}
    assert len({one.id for one in alerts}) == 1
    assert alerts[0].severity == "critical"


@pytest.mark.parametrize(("known", "noticed"), [((), 1), ((("porch", "203.0.113.9", 50.0),), 0)])
def test_a_first_talk_is_kept_in_the_log_and_not_told_on_the_first_day(
    known: tuple[tuple[str, str, float], ...], noticed: int
) -> None:
    guard = Guard(HOME, destinations=known)
    connection = Connection(key_of(proto=UDP), first_at=100.0)
    events: list[object] = []
    for second in range(101, 110):
        events += guard.feed(connection.second(float(second), up=200, down=200))
        events += guard.tick(float(second))
    notices = [event for event in events if isinstance(event, Notice)]
    assert [one.what for one in notices] == ["new-destination"] * noticed
    assert not of(events, Alert)


def test_a_device_that_speaks_like_a_camera_and_is_not_guarded_is_said_once() -> None:
    def probe_match(at: float) -> list[object]:
        asker = (GATEWAY_MAC, GATEWAY_IP, 40000)
        return [datagram(at, (OTHER_MAC, LAPTOP_IP, 3702), asker, b"<Types>dn:NetworkVideoTransmitter</Types>")]

    guard, _ = run(HOME, probe_match(100.1), until=102.0)
    guard.seen_devices()
    for item in probe_match(200.1):
        guard.feed(item)  # type: ignore[arg-type]
    guard.seen_devices()
    told = [one.detail for one in guard.tick(201.0) if isinstance(one, Notice) and one.what == "new-device"]
    assert len(told) == 1
    assert OTHER_MAC in told[0]
    known = Guard(HOME, speakers=(OTHER_MAC,))
    for item in probe_match(100.1):
        known.feed(item)  # type: ignore[arg-type]
    known.seen_devices()
    assert not [one for one in known.tick(101.0) if isinstance(one, Notice) and one.what == "new-device"]
