"""ARP and Neighbour Discovery."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.errors import Malformed
from camguard.protocols import link

ARP_HEAD = bytes.fromhex("0001080006040001")
CAM, ROUTER = bytes.fromhex("020000000001"), bytes.fromhex("02ffffffffff")
IP4, GATE4 = bytes([192, 168, 50, 10]), bytes([192, 168, 50, 1])
IP6 = bytes.fromhex("fe80000000000000" + "0000000000000001")
GLOBAL6 = bytes.fromhex("20010db800010000" + "0000000000000010")
PREFIX = bytes([3, 4, 64, 0xC0]) + bytes(12) + GLOBAL6[:8] + bytes(8)


def test_arp() -> None:
    asked = link.arp(ARP_HEAD + CAM + IP4 + bytes(6) + GATE4 + bytes(18))  # padded to the shortest frame
    assert asked.what == "arp"
    assert asked.detail == {
        "op": "request",
        "mac": "02:00:00:00:00:01",
        "ip": "192.168.50.10",
        "target_mac": None,
        "target_ip": "192.168.50.1",
    }
    reply = link.arp(ARP_HEAD[:7] + b"\x02" + ROUTER + GATE4 + CAM + IP4)
    assert (reply.detail["op"], reply.detail["target_mac"]) == ("reply", "02:00:00:00:00:01")


def test_a_probe_claims_no_address() -> None:
    assert link.arp(ARP_HEAD + CAM + bytes(4) + bytes(6) + IP4).detail["ip"] is None


def test_a_group_is_no_sender() -> None:
    assert link.arp(ARP_HEAD + b"\xff" * 6 + IP4 + bytes(6) + GATE4).detail["mac"] is None


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (bytes(27), "arp-short"),
        (b"\x00\x06" + ARP_HEAD[2:] + bytes(20), "arp-form"),
        (ARP_HEAD[:4] + b"\x08\x04" + ARP_HEAD[6:] + bytes(20), "arp-form"),
        (ARP_HEAD[:7] + b"\x09" + bytes(20), "arp-form"),
    ],
)
def test_arp_that_lies(payload: bytes, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        link.arp(payload)


def test_solicitation_and_advertisement() -> None:
    asked = link.ndp(b"\x87\x00\x00\x00" + bytes(4) + GLOBAL6 + b"\x01\x01" + CAM, IP6)
    assert asked.detail == {
        "kind": "ns",
        "mac": "02:00:00:00:00:01",
        "ip": "fe80::1",
        "target_ip": "2001:db8:1::10",
        "router": False,
        "prefixes": (),
    }
    said = link.ndp(b"\x88\x00\x00\x00\xe0\x00\x00\x00" + GLOBAL6 + b"\x02\x01" + ROUTER, IP6)
    assert (said.detail["kind"], said.detail["ip"], said.detail["router"]) == ("na", "2001:db8:1::10", True)
    assert link.ndp(b"\x88\x00\x00\x00\x60\x00\x00\x00" + GLOBAL6, IP6).detail["router"] is False


def test_duplicate_address_detection_claims_nothing_yet() -> None:
    assert link.ndp(b"\x87\x00\x00\x00" + bytes(4) + GLOBAL6, bytes(16)).detail["ip"] is None


def test_router_advertisement() -> None:
    said = link.ndp(b"\x86\x00\x00\x00\x40\x00\x07\x08" + bytes(8) + b"\x01\x01" + ROUTER + PREFIX, IP6)
    assert said.detail == {
        "kind": "ra",
        "mac": "02:ff:ff:ff:ff:ff",
        "ip": "fe80::1",
        "target_ip": None,
        "router": True,
        "prefixes": ("2001:db8:1::/64",),
    }
    leaves = link.ndp(b"\x86\x00\x00\x00\x40\x00\x00\x00" + bytes(8), IP6)
    assert leaves.detail["router"] is False, "lifetime 0: no default router any more"


def test_router_solicitation() -> None:
    assert link.ndp(b"\x85\x00\x00\x00" + bytes(4) + b"\x01\x01" + CAM, IP6).detail["kind"] == "rs"


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"\x87\x00", "ndp-form"),
        (b"\x80\x00\x00\x00" + bytes(20), "ndp-form"),
        (b"\x87\x01\x00\x00" + bytes(20), "ndp-short"),
        (b"\x87\x00\x00\x00" + bytes(10), "ndp-short"),
        (b"\x85\x00\x00\x00" + bytes(4) + b"\x01\x00" + CAM, "ndp-option"),  # length zero
        (b"\x85\x00\x00\x00" + bytes(4) + b"\x01\x02" + CAM, "ndp-option"),  # longer than the message
    ],
)
def test_ndp_that_lies(payload: bytes, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        link.ndp(payload, IP6)


def test_many_prefixes_are_capped() -> None:
    said = link.ndp(b"\x86\x00\x00\x00\x40\x00\x07\x08" + bytes(8) + PREFIX * 40, IP6)
    assert len(said.detail["prefixes"]) == link.PREFIXES_CAP  # type: ignore[arg-type]


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=120), st.sampled_from([b"", ARP_HEAD, b"\x86\x00\x00\x00", b"\x87\x00\x00\x00"]))
def test_anything_may_come(tail: bytes, start: bytes) -> None:
    for read in (link.arp, link.ndp):
        try:
            read(start + tail)
        except Malformed:
            continue
