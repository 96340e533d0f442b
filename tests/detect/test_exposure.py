"""Ways in to a camera: what opens one, what is no news, what closes it, and what is none. Times are packet time."""

from dataclasses import replace
from typing import Any

import pytest

from camguard.detect.exposure import OPEN_MAX, Exposures, Told
from camguard.events import UDP, Exposure, Finding, Peer
from camguard.track import Flow
from tests.traffic import CAMERA_IP, GATEWAY_IP, STRANGER_IP, Connection, key_of

DAY_S = 86_400.0
PEERS = {
    STRANGER_IP: Peer(STRANGER_IP, 50000, scope="wan"),
    "10.8.0.2": Peer("10.8.0.2", 50000, scope="wan"),
    GATEWAY_IP: Peer(GATEWAY_IP, 5000, scope="gateway"),
    "192.168.1.30": Peer("192.168.1.30", 50000, scope="lan"),
}


def exposures(**settings: Any) -> Exposures:
    return Exposures(
        lambda number: f"cam{number}",
        lambda flow: PEERS[".".join(map(str, flow.peer))],
        {CAMERA_IP: "cam1", "192.168.1.11": "cam2"}.get,
        lambda peer: peer.ip == STRANGER_IP,
        **settings,
    )


def mapping(op: str = "add", granted: bool | None = True, **change: Any) -> dict[str, Any]:
    detail = {
        "op": op, "external_port": 8554, "internal_port": 554, "transport": "tcp", "internal_ip": CAMERA_IP,
        "remote_ip": None, "lease_s": 3600, "description": "Camera", "granted": granted, "error": None,
    }  # fmt: skip
    if op == "delete":
        detail |= {"internal_port": None, "internal_ip": None, "lease_s": None, "description": None}
    return detail | change


ROUTER = Flow(key_of(GATEWAY_IP, peer_port=5000), 0.0)


def upnp(table: Exposures, detail: dict[str, Any], now: float) -> Told:
    return table.heard(ROUTER, "upnp", detail, False, now, up=detail["granted"] is None)


def events(told: Told) -> list[tuple[str, str, int | None, int]]:
    found = [one for one in told if isinstance(one, Exposure)]
    findings = [one for one in told if isinstance(one, Finding)]
    assert [one.over for one in findings] == [one.state == "closed" for one in found], "one finding for each"
    assert {one.type for one in findings} <= {"exposed-port"}
    return [(one.state, one.what, one.external_port, one.internal_port) for one in found]


OPENED = [("open", "upnp-mapping", 8554, 554)]
CLOSED = [("closed", "upnp-mapping", 8554, 554)]


def test_a_mapping_is_told_once_and_closed_when_it_is_taken_back() -> None:
    table = exposures()
    assert upnp(table, mapping(granted=None), 1.0) == []
    told = upnp(table, mapping(), 1.1)
    assert events(told) == OPENED
    finding = told[1]
    assert isinstance(finding, Finding)
    assert (finding.camera, finding.key, finding.severity, finding.confidence) == (
        "cam1", "upnp-mapping|tcp|8554", "warning", "certain",
    )  # fmt: skip
    assert finding.detail == {
        "what": "upnp-mapping", "external_port": 8554, "internal_port": 554, "transport": "tcp", "lease_s": 3600,
        "description": "Camera", "for_ip": None, "only_ip": None,
    }  # fmt: skip
    assert upnp(table, mapping(), 1800.0) == [], "a renewal"
    assert table.tick(3600.0 + 100.0) == []
    assert events(upnp(table, mapping("delete"), 4000.0)) == CLOSED
    assert table.open_exposures() == []
    assert events(upnp(table, mapping(), 5000.0)) == OPENED, "opened again"


def test_a_refusal_opens_nothing_and_no_answer_is_not_certain() -> None:
    table = exposures()
    upnp(table, mapping(granted=None), 1.0)
    assert upnp(table, mapping(granted=False, error=718), 1.1) == []
    upnp(table, mapping(granted=None), 2.0)
    assert table.tick(11.9) == []
    told = table.tick(12.1)
    assert events(told) == OPENED
    assert [one.confidence for one in told if isinstance(one, Finding)] == ["likely"]
    assert table.tick(1000.0) == []


def test_a_lease_runs_out_and_what_has_none_is_forgotten_when_nothing_is_seen_of_it() -> None:
    table = exposures()
    upnp(table, mapping(lease_s=600), 0.0)
    assert table.tick(659.0) == []
    (_, finding) = told = table.tick(661.0)
    assert events(told) == CLOSED
    assert isinstance(finding, Finding)
    assert finding.detail["closed_by"] == "lease"
    upnp(table, mapping(lease_s=0), 1000.0)
    upnp(table, mapping(lease_s=0), 1000.0 + 20 * DAY_S)
    assert table.tick(1000.0 + 49 * DAY_S) == []
    assert events(table.tick(1001.0 + 50 * DAY_S)) == CLOSED


@pytest.mark.parametrize(
    ("detail", "closes"),
    [
        (mapping("delete", granted=None), False),
        (mapping("delete", granted=False, error=606), False),
        (mapping("delete", granted=False, error=714), True),
        (mapping("delete", transport="udp"), False),
        (mapping("delete", external_port=8555), False),
        (mapping("delete", external_port=8000, external_port_end=8999), True),
        (mapping("delete", external_port=8000, external_port_end=8553), False),
    ],
)
def test_which_delete_closes(detail: dict[str, Any], closes: bool) -> None:
    table = exposures()
    upnp(table, mapping(), 1.0)
    assert events(upnp(table, detail, 2.0)) == (CLOSED if closes else [])


def test_natpmp_and_pcp() -> None:
    table = exposures()
    assert table.mapped("cam1", mapping(granted=None), 1.0) == []
    assert table.tick(100.0) == [], "nobody answers: most routers know no NAT-PMP"
    assert events(table.mapped("cam1", mapping(), 101.0)) == [("open", "pcp-mapping", 8554, 554)]
    by_port = mapping("delete", external_port=0, internal_port=554)
    assert events(table.mapped("cam2", by_port, 102.0)) == []
    assert events(table.mapped("cam1", by_port, 102.0)) == [("closed", "pcp-mapping", 8554, 554)]
    table.mapped("cam1", mapping(), 103.0)
    table.mapped("cam1", mapping(transport="udp", external_port=9000, internal_port=9000), 103.0)
    every = mapping("delete", external_port=0, internal_port=0, transport="all")
    assert len(events(table.mapped("cam1", every, 104.0))) == 2
    all_of_it = mapping(transport="all", external_port=0, internal_port=0)
    assert [one[0] for one in events(table.mapped("cam1", all_of_it, 105.0))] == ["open", "open"]


def test_whose_port_it_is() -> None:
    table = exposures()
    told = upnp(table, mapping(internal_ip="192.168.1.11"), 1.0)
    assert [one.camera for one in told] == ["cam2", "cam2"]
    told = upnp(table, mapping(internal_ip="192.168.1.99", external_port=9000), 2.0)
    assert isinstance(told[1], Finding)
    assert (told[1].camera, told[1].detail["for_ip"]) == ("cam1", "192.168.1.99")
    moved = upnp(table, mapping(internal_ip=CAMERA_IP), 3.0)
    assert [(one.camera, one.state) for one in moved if isinstance(one, Exposure)] == [
        ("cam2", "closed"), ("cam1", "open"),
    ]  # fmt: skip


def test_only_what_the_camera_asks_at_home_counts() -> None:
    table = exposures()
    assert table.heard(ROUTER, "upnp", mapping(), True, 1.0, up=False) == [], "somebody asks the camera"
    outside = Flow(key_of(STRANGER_IP, peer_port=5000), 0.0)
    assert table.heard(outside, "upnp", mapping(), False, 1.0, up=False) == []


# ---- connections ----


def inbound(
    table: Exposures, port: int, at: float, *, peer: str = STRANGER_IP, peer_port: int = 50000, proto: int = 6,
    first_up: bool = False, up: int = 400, down: int = 300, flags: int = 0x1A, began: float = 0.0
) -> Told:  # fmt: skip
    flow = Flow(key_of(peer, host_port=port, peer_port=peer_port, proto=proto), began)
    flow.add(Connection(flow.key, first_at=at, first_up=first_up, flags=flags).second(at, up=up, down=down))
    return table.counted(flow, at)


IN_554 = [("open", "inbound-port", None, 554)]


def test_somebody_outside_comes_in() -> None:
    table = exposures()
    told = inbound(table, 554, 1.0)
    assert events(told) == IN_554
    assert [(one.confidence, one.peer and one.peer.ip) for one in told if isinstance(one, Finding)] == [
        ("certain", STRANGER_IP)
    ]
    assert inbound(table, 554, 2.0, peer_port=50001) == [], "one a port"
    assert events(inbound(table, 80, 3.0, up=0, down=0)) == [("open", "inbound-port", None, 80)], "accepted is enough"
    assert inbound(table, 554, 1000.0, peer_port=50002) == []
    assert [one[3] for one in events(table.tick(3.0 + DAY_S))] == [80]
    assert [one[3] for one in events(table.tick(1000.0 + DAY_S))] == [554]


def test_a_connection_that_lasts_keeps_it_open() -> None:
    table, flow = exposures(), Flow(key_of(host_port=554, peer_port=50000), 0.0)
    one = Connection(flow.key, first_at=0.0, first_up=False)
    for hour in range(60):
        flow.add(one.second(hour * 3600.0, up=400, down=300))
        told = table.counted(flow, hour * 3600.0) + table.tick(hour * 3600.0)
        assert events(told) == (IN_554 if hour == 0 else [])


@pytest.mark.parametrize(
    "change",
    [
        {"peer": "192.168.1.30"},
        {"peer": GATEWAY_IP},
        {"peer": "10.8.0.2"},
        {"first_up": True},
        {"flags": 0x02},
        {"flags": 0x06, "up": 0, "down": 0},
        {"flags": 0x18},
    ],
    ids=["home", "router", "vpn", "outward", "half open", "half open, reset", "joined in the middle"],
)
def test_what_is_no_way_in(change: dict[str, Any]) -> None:
    assert inbound(exposures(), 554, 1.0, **change) == []


def test_over_udp() -> None:
    table = exposures()
    assert inbound(table, 5000, 0.0, proto=UDP) == [], "nobody knows yet what the camera does on that port itself"
    assert inbound(table, 5000, 601.0, proto=UDP, up=0) == [], "the camera does not answer"
    told = inbound(table, 5000, 602.0, proto=UDP)
    assert events(told) == [("open", "inbound-port", None, 5000)]
    assert [one.confidence for one in told if isinstance(one, Finding)] == ["likely"]


def test_hole_punching_and_ice_are_no_way_in() -> None:
    table = exposures()
    inbound(table, 80, 0.0, peer="192.168.1.30")
    assert inbound(table, 6000, 1000.0, proto=UDP, peer="192.168.1.30", first_up=True) == []
    assert inbound(table, 6000, 1100.0, proto=UDP) == [], "the camera itself spoke to others from there"
    ice = Flow(key_of(host_port=7000, peer_port=1, proto=UDP), 0.0)
    table.heard(ice, "stun", {}, False, 1000.0, up=True)
    assert inbound(table, 7000, 1001.0, proto=UDP) == []
    table.heard(Flow(key_of(host_port=8000, peer_port=1, proto=UDP), 0.0), "stun", {}, True, 1000.0, up=False)
    assert events(inbound(table, 8000, 1001.0, proto=UDP)), "a stranger's datagram is no agreement"
    assert events(inbound(table, 7000, 2000.0, proto=UDP, peer_port=9)), "long ago"


def test_a_known_mapping_at_work_is_no_second_matter() -> None:
    table = exposures()
    upnp(table, mapping(lease_s=0), 1.0)
    assert inbound(table, 554, 29 * DAY_S) == []
    assert table.tick(31 * DAY_S) == [], "it is in use"
    assert events(inbound(table, 80, 31 * DAY_S, peer_port=7)) == [("open", "inbound-port", None, 80)]


def test_a_service_that_was_not_there_before() -> None:
    table = exposures(learn_s=120.0)
    assert inbound(table, 80, 1.0, peer="192.168.1.30") == []
    for at in (1.0, 61.0, 121.0, 181.0):
        inbound(table, 80, at, peer="192.168.1.30", peer_port=int(at))
        assert table.tick(at + 0.5) == []
    assert inbound(table, 80, 200.0, peer="192.168.1.30", peer_port=9) == []
    assert inbound(table, 23, 201.0, peer="192.168.1.30", up=0) == [], "not answered"
    told = inbound(table, 23, 202.0, peer="192.168.1.30", peer_port=10)
    assert events(told) == [("open", "new-service", None, 23)]
    assert inbound(table, 23, 300.0, peer="192.168.1.30", peer_port=11) == []
    assert events(table.tick(300.0 + DAY_S)) == [("closed", "new-service", None, 23)]
    assert inbound(table, 23, 301.0 + DAY_S, peer="192.168.1.30", peer_port=12) == [], "it is known now"
    assert [one[1] for one in events(inbound(table, 8080, 400.0 + DAY_S))] == ["inbound-port"], "one matter, not two"


def test_a_new_port_that_a_named_device_asks_first_is_information() -> None:
    laptop = replace(PEERS["192.168.1.30"], scope="lan", device="laptop")
    table = Exposures(lambda _: "cam1", lambda _: laptop, {}.get, lambda _: False, learn_s=0.0)
    told = [one for port in (8443, 23) for one in inbound(table, port, 1.0, peer="192.168.1.30")]
    graver = {one.detail["internal_port"]: one.severity for one in told if isinstance(one, Finding)}
    assert graver == {8443: "info", 23: "warning"}


def test_what_a_restart_leaves() -> None:
    first = exposures(learn_s=60.0)
    opened = [one for one in upnp(first, mapping(), 0.0) if isinstance(one, Exposure)]
    opened += [one for one in inbound(first, 9000, 1.0) if isinstance(one, Exposure)]
    for at in (0.0, 60.0, 120.0):
        inbound(first, 80, at, peer="192.168.1.30", peer_port=int(at) + 1)
        first.tick(at)
    upnp(first, mapping(), 1800.0)
    services, renewed = first.take_learned()
    assert renewed == [(opened[0].id, 5400.0)]
    assert first.take_learned() == ([], [])
    second = exposures(learn_s=60.0)
    second.resume(opened, services)
    assert {one.what for one in second.open_exposures()} == {"upnp-mapping", "inbound-port"}
    assert inbound(second, 80, 2000.0, peer="192.168.1.30") == []
    assert inbound(second, 9000, 2000.0) == []
    assert [one[1] for one in events(inbound(second, 23, 2000.0, peer="192.168.1.30"))] == ["new-service"]
    assert upnp(second, mapping(), 2001.0) == [], "goes on"
    third = exposures()
    third.resume(opened, services)
    assert events(third.tick(9000.0)) == CLOSED, "its lease ran out while nobody looked"
    assert events(third.tick(8999.0 + DAY_S)) == []
    assert [one[1] for one in events(third.tick(9000.0 + DAY_S))] == ["inbound-port"]


def test_a_camera_that_is_not_guarded_any_more() -> None:
    table = exposures()
    upnp(table, mapping(), 1.0)
    assert table.keep(["cam1"], 2.0) == []
    assert events(table.keep(["cam2"], 3.0)) == CLOSED


def test_what_is_open_is_capped() -> None:
    table = exposures()
    told = [upnp(table, mapping(external_port=port), 1.0) for port in range(1, OPEN_MAX + 101)]
    assert sum(bool(one) for one in told) == OPEN_MAX
    assert table.counters["exposures-refused"] == 100
    for port in range(1, 1000):
        upnp(table, mapping(granted=None, external_port=port, internal_port=port), 2.0)
    assert table.tick(100.0) == []
    assert len(table.open_exposures()) == OPEN_MAX
