"""neighbours.py: scope goes by the other MAC; gateways are learned; peers get names; tables are capped."""

import ipaddress

import pytest

from camguard.events import Camera, Device, Home, Own
from camguard.neighbours import DEVICES_MAX, GATEWAYS_MAX, NAMES_MAX, Neighbours, is_private
from camguard.protocols import Reading
from tests.traffic import CAMERA_MAC, GATEWAY_IP, GATEWAY_MAC, LAPTOP_IP, LAPTOP_MAC, STRANGER_IP, mac_bytes

GATEWAY, LAPTOP = mac_bytes(GATEWAY_MAC), mac_bytes(LAPTOP_MAC)


def packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


def home(**more: object) -> Home:
    return Home(
        cameras=(Camera("porch", CAMERA_MAC),),
        devices=(
            Device("laptop", LAPTOP_MAC),
            Device("office", ips=("203.0.113.77",)),
            Device("printer", ips=("192.168.1.66",)),
        ),
        **more,  # type: ignore[arg-type]
    )


def learned(**more: object) -> Neighbours:
    neighbours = Neighbours(home(**more), None, Own(gateway_ips=frozenset({packed(GATEWAY_IP)})))
    neighbours.binds(GATEWAY, GATEWAY_IP, 1.0)
    return neighbours


@pytest.mark.parametrize(
    ("ip", "mac", "scope"),
    [
        (STRANGER_IP, GATEWAY, "wan"),
        ("192.168.1.99", GATEWAY, "wan"),  # a stranger in the router's VPN, or behind its SNAT
        ("2001:db8::99", GATEWAY, "wan"),
        (GATEWAY_IP, GATEWAY, "gateway"),
        (LAPTOP_IP, LAPTOP, "lan"),
        ("2001:db8::30", LAPTOP, "lan"),  # a global address, but a MAC of its own
        ("10.9.9.9", b"", "lan"),  # routed camera: no MAC is seen, so the address decides
        (STRANGER_IP, b"", "wan"),
        ("224.0.0.251", mac_bytes("01:00:5e:00:00:fb"), "multicast"),
        ("ff02::fb", mac_bytes("33:33:00:00:00:fb"), "multicast"),
        ("255.255.255.255", mac_bytes("ff:ff:ff:ff:ff:ff"), "multicast"),
    ],
)
def test_scope(ip: str, mac: bytes, scope: str) -> None:
    assert learned().scope(packed(ip), mac) == scope


def test_networks_of_the_owner_behind_the_gateway_are_home() -> None:
    assert learned(local=("192.168.50.0/24",)).scope(packed("192.168.50.7"), GATEWAY) == "lan"


def test_a_configured_gateway_counts_alone() -> None:
    neighbours = learned(gateway=LAPTOP_MAC)
    assert neighbours.scope(packed("192.168.1.99"), LAPTOP) == "wan"
    assert neighbours.scope(packed("192.168.1.99"), GATEWAY) == "lan"


def test_the_guards_own_machine_is_the_gateway_where_it_routes() -> None:
    own = Own(macs=frozenset({GATEWAY}), ips=frozenset({packed(GATEWAY_IP)}), routes=True)
    neighbours = Neighbours(home(), None, own)
    assert neighbours.scope(packed(STRANGER_IP), GATEWAY) == "wan"
    assert neighbours.scope(packed(GATEWAY_IP), GATEWAY) == "gateway"


@pytest.mark.parametrize(
    "reading",
    [
        Reading("dhcp", {"message": "ack", "mac": None, "ip": None, "name": None, "router": GATEWAY_IP}, True),
        Reading("ndp", {"kind": "ra", "mac": GATEWAY_MAC, "ip": "fe80::1", "router": True, "prefixes": ()}),
    ],
    ids=["dhcp", "router-advertisement"],
)
def test_the_gateway_is_learned(reading: Reading) -> None:
    neighbours = Neighbours(home(), None, Own())
    assert neighbours.scope(packed("10.8.0.2"), GATEWAY) == "lan"
    neighbours.said(Reading("arp", {"mac": GATEWAY_MAC, "ip": GATEWAY_IP}), GATEWAY, 1.0)
    neighbours.said(reading, GATEWAY, 2.0)
    assert neighbours.scope(packed("10.8.0.2"), GATEWAY) == "wan"


def test_a_mac_that_carries_public_addresses_is_a_gateway() -> None:
    neighbours = Neighbours(home(), None, Own())
    neighbours.carries(GATEWAY, packed(STRANGER_IP))
    neighbours.carries(LAPTOP, packed(LAPTOP_IP))
    for prefix in ("2001:db8:1::1", "2001:db8:2::1"):
        neighbours.carries(LAPTOP, packed(prefix))
    assert neighbours.scope(packed("192.168.9.9"), GATEWAY) == "wan"
    assert neighbours.scope(packed("192.168.9.9"), LAPTOP) == "lan", "two prefixes are a renumbered home"
    neighbours.carries(LAPTOP, packed("2001:db8:3::1"))
    assert neighbours.scope(packed("192.168.9.9"), LAPTOP) == "wan"


def test_a_peer_is_named_by_what_its_camera_was_told() -> None:
    neighbours = learned()
    neighbours.named(1, STRANGER_IP, "relay.example")
    assert neighbours.peer(1, packed(STRANGER_IP), 443, GATEWAY).name == "relay.example"
    assert neighbours.peer(2, packed(STRANGER_IP), 443, GATEWAY).name is None, "another camera was told nothing"


def test_a_name_that_is_heard_every_day_is_told_every_day() -> None:
    neighbours = learned()
    told = []
    for hour in range(60):
        neighbours.named(1, STRANGER_IP, "relay.example", 3600.0 * hour)
        told += [hour for _ in neighbours.take_new_names()]
    assert told == [0, 25, 50]


def test_devices_have_the_owners_names_only_at_home() -> None:
    neighbours = learned()
    assert neighbours.peer(1, packed(LAPTOP_IP), 9, LAPTOP).device == "laptop"
    assert neighbours.peer(1, packed(LAPTOP_IP), 9, GATEWAY).device is None
    assert neighbours.peer(1, packed("203.0.113.77"), 9, GATEWAY).device == "office"
    assert neighbours.peer(1, packed("192.168.1.66"), 9, b"").device == "printer"
    assert neighbours.peer(1, packed("192.168.1.66"), 9, GATEWAY).device is None, "that address in the router's VPN"


def test_a_camera_keeps_its_addresses_as_they_change() -> None:
    neighbours = learned()
    for ip in ("192.168.1.10", "192.168.1.55", "192.168.1.10"):
        neighbours.said(Reading("arp", {"mac": CAMERA_MAC, "ip": ip}), mac_bytes(CAMERA_MAC), 1.0)
    assert neighbours.ips_of(mac_bytes(CAMERA_MAC)) == ("192.168.1.10", "192.168.1.55")


def test_devices_are_told_when_something_is_new() -> None:
    neighbours = learned()
    ack = {"message": "ack", "mac": CAMERA_MAC, "ip": "192.168.1.10", "name": None, "router": None}
    neighbours.said(Reading("dhcp", ack | {"message": "request", "name": "porch-cam"}, False), b"", 1.0)
    neighbours.said(Reading("dhcp", ack, True), GATEWAY, 2.0)
    neighbours.speaks_camera(mac_bytes(CAMERA_MAC), 3.0)
    seen = {device.mac: device for device in neighbours.changed_devices(3.0, 1000.0)}[CAMERA_MAC]
    assert (seen.ips, seen.name, seen.speaks_camera) == (("192.168.1.10",), "porch-cam", True)
    assert (seen.first_time, seen.last_time) == (1001.0, 1003.0)
    assert not neighbours.changed_devices(4.0, 1000.0)


def test_tables_are_capped_and_say_so() -> None:
    neighbours = learned()
    for number in range(DEVICES_MAX + 10):
        neighbours.heard(b"\x02\x99" + number.to_bytes(4, "big"), float(number))
    for number in range(NAMES_MAX + 10):
        neighbours.named(1, str(ipaddress.ip_address(number + 1)), "x")
    for number in range(GATEWAYS_MAX + 10):
        neighbours.carries(b"\x02\x98" + number.to_bytes(4, "big"), packed(STRANGER_IP))
    assert neighbours.counters["devices-evicted"] == 11
    assert neighbours.counters["names-evicted"] == 10
    assert neighbours.counters["gateways-refused"] == 11
    assert neighbours.scope(packed("10.8.0.2"), GATEWAY) == "wan", "the real gateway is still known"


def test_addresses_that_mean_something_only_at_home() -> None:
    assert all(is_private(ip) for ip in ("10.1.2.3", "172.31.0.1", "192.168.0.1", "fe80::1", "fd00::1", "169.254.1.1"))
    assert not any(is_private(ip) for ip in ("172.32.0.1", "100.64.0.1", "203.0.113.1", "2001:db8::1"))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("p2p.maker.example", "p2p.maker.example"),
        ("P2P.Maker.Example:8080", "p2p.maker.example"),
        ("192.0.2.7", None),
        ("192.0.2.7:80", None),
        ("[2001:db8::7]:80", None),
        ("<script>.example", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_what_a_camera_calls_its_peer_is_a_name_only_where_it_can_be_one(said: str, name: str | None) -> None:
    neighbours = Neighbours(Home(), None, Own())
    neighbours.called(1, "203.0.113.7", said, 5.0)
    assert neighbours.take_new_names() == ([(1, "203.0.113.7", name)] if name else [])


@pytest.mark.parametrize(
    ("reading", "sender", "name", "speaks"),
    [
        (Reading("mdns", {"name": "porch.local", "ips": ("192.168.1.9",), "speaks_camera": True}), 9, "porch", True),
        (Reading("mdns", {"name": "porch.local", "ips": ("192.168.1.9",), "speaks_camera": True}), 8, None, False),
        (Reading("ssdp", {"host": "192.168.1.9", "speaks_camera": True}), 9, None, True),
        (Reading("ssdp", {"host": "192.168.1.9", "speaks_camera": True}), 1, None, False),
        (Reading("ssdp", {"host": None, "speaks_camera": True}), 9, None, True),
        (Reading("mdns", {"name": "porch.local", "ips": (), "speaks_camera": True}), 8, "porch", True),
    ],
)
def test_what_a_device_announces_counts_for_itself_only(
    reading: Reading, sender: int, name: str | None, speaks: bool
) -> None:
    neighbours, mac = Neighbours(Home(), None, Own()), bytes(5) + b"\x09"
    neighbours.heard(mac, 1.0)
    neighbours.said(reading, mac, 2.0, bytes((192, 168, 1, sender)))
    (seen,) = neighbours.changed_devices(3.0, 0.0)
    assert (seen.name, seen.speaks_camera) == (name, speaks)


def test_a_name_that_dhcp_gave_is_not_changed_by_mdns() -> None:
    neighbours, mac = Neighbours(Home(), None, Own()), bytes(5) + b"\x09"
    neighbours.heard(mac, 1.0, name="nursery-cam")
    said = Reading("mdns", {"name": "other.local", "ips": ("192.168.1.9",), "speaks_camera": False})
    neighbours.said(said, mac, 2.0, bytes((192, 168, 1, 9)))
    (seen,) = neighbours.changed_devices(3.0, 0.0)
    assert seen.name == "nursery-cam"


# ---- IPv6 at home ----------------------------------------------------------------------------------------------------

PHONE_V6 = ("2001:db8:1:1:a1b2:c3ff:fe04:506", "2001:db8:1:1:91ab:1:2:3", "fd00::21", "fe80::21", "2001:db8:1:1::7e")


@pytest.mark.parametrize("ip", PHONE_V6)
def test_a_device_with_many_ipv6_addresses_is_one_device(ip: str) -> None:
    """By MAC, whatever it calls itself today (RFC 8981: temporary addresses)."""
    neighbours = learned()
    peer = neighbours.peer(1, packed(ip), 50000, LAPTOP)
    assert (peer.scope, peer.device, peer.mac) == ("lan", "laptop", LAPTOP_MAC)
    assert neighbours.peer(1, packed(ip), 50000, GATEWAY).device is None, "from behind the gateway it is nobody's"


def test_a_new_prefix_each_day_makes_no_router_of_a_phone() -> None:
    """Many providers give another IPv6 prefix each day; where no advertisement was seen, only the addresses are."""
    neighbours = learned()
    for day in range(30):
        neighbours.heard(mac_bytes(CAMERA_MAC), 86_400.0 * day)
        for address in (1, 2, 3):
            neighbours.carries(LAPTOP, packed(f"2001:db8:{day:x}:1::{address}"))
        assert neighbours.peer(1, packed(f"2001:db8:{day:x}:1::1"), 50000, LAPTOP).device == "laptop"
        assert neighbours.scope(packed(f"2001:db8:{day:x}:1::1"), GATEWAY) == "wan"


def test_prefixes_that_the_router_advertises_are_those_of_home() -> None:
    """A line that breaks down again and again gives many prefixes in an hour."""
    neighbours = learned()
    for number in range(100):
        prefix = f"2001:db8:{number:x}:1::/64"
        detail = {"kind": "ra", "mac": GATEWAY_MAC, "ip": "fe80::1", "router": True, "prefixes": (prefix, "::/0")}
        neighbours.said(Reading("ndp", detail), GATEWAY, 60.0 * number)
        neighbours.carries(LAPTOP, packed(f"2001:db8:{number:x}:1::21"))
    assert neighbours.scope(packed("2001:db8:63:1::21"), LAPTOP) == "lan"
    assert neighbours.scope(packed("2a00:1450::1"), GATEWAY) == "wan"


def test_addresses_that_a_device_told_its_neighbours_are_its_own() -> None:
    neighbours = learned()
    for number in range(5):
        ip = f"2001:db8:{number:x}:1::21"
        neighbours.said(Reading("ndp", {"kind": "na", "mac": LAPTOP_MAC, "ip": ip, "router": False}), LAPTOP, 1.0)
        neighbours.carries(LAPTOP, packed(ip))
    assert neighbours.scope(packed("2001:db8:4:1::21"), LAPTOP) == "lan"


@pytest.mark.parametrize("ip", ["fe80::1", "fd00::1", "2001:db8:1:1::1"])
def test_a_router_that_translates_ipv6_hides_who(ip: str) -> None:
    """NAT66, or a proxy in the router: the stranger has the router's own address, and is told as coming through it."""
    neighbours = learned()
    for own in ("fe80::1", "fd00::1", "2001:db8:1:1::1"):
        neighbours.said(Reading("ndp", {"kind": "na", "mac": GATEWAY_MAC, "ip": own, "router": True}), GATEWAY, 1.0)
    peer = neighbours.peer(1, packed(ip), 50000, GATEWAY)
    assert (peer.scope, peer.device, peer.mac) == ("gateway", None, None)
    assert neighbours.scope(packed("fd00::99"), GATEWAY) == "wan", "a prefix that it translates (RFC 6296) is outside"
    assert neighbours.scope(packed("fd00::99"), LAPTOP) == "lan"
