"""DHCP in both versions: what a device calls itself and what it was given."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.errors import Malformed
from camguard.protocols import dhcp

CAM = bytes.fromhex("020000000001")


def message(
    op: int, options: bytes, *, own: bytes = bytes(4), given: bytes = bytes(4), sname: bytes = b"", file: bytes = b""
) -> bytes:
    head = bytes([op, 1, 6, 0]) + bytes(8) + own + given + bytes(8) + CAM + bytes(10)
    return head + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + b"\x63\x82\x53\x63" + options


def option(number: int, data: bytes) -> bytes:
    return bytes([number, len(data)]) + data


REQUEST = message(
    1,
    option(53, b"\x03")
    + option(50, bytes([192, 168, 50, 10]))
    + option(12, b"PorchCam\0")
    + option(60, b"udhcp 1.21")
    + b"\xff",
)
ACK = message(
    2,
    option(53, b"\x05")
    + option(54, bytes([192, 168, 50, 1]))
    + option(3, bytes([192, 168, 50, 1, 192, 168, 50, 2]))
    + b"\xff",
    given=bytes([192, 168, 50, 10]),
)


def test_a_request() -> None:
    reading = dhcp.read(REQUEST)
    assert reading.from_server is False
    assert reading.detail == {
        "message": "request",
        "mac": "02:00:00:00:00:01",
        "ip": "192.168.50.10",
        "name": "PorchCam",
        "vendor_class": "udhcp 1.21",
        "router": None,
        "server": None,
        "version": 4,
    }


def test_an_answer() -> None:
    reading = dhcp.read(ACK)
    assert reading.from_server is True
    assert [reading.detail[k] for k in ("message", "ip", "router", "server")] == [
        "ack",
        "192.168.50.10",
        "192.168.50.1",
        "192.168.50.1",
    ]


def test_a_renewal_names_its_own_address() -> None:
    renewal = message(1, option(53, b"\x03") + b"\xff", own=bytes([192, 168, 50, 11]))
    assert dhcp.read(renewal).detail["ip"] == "192.168.50.11"


def test_long_options_in_parts_and_in_borrowed_fields() -> None:
    split = message(1, option(53, b"\x01") + option(12, b"porch-") + b"\0\0" + option(12, b"cam") + b"\xff")
    assert dhcp.read(split).detail["name"] == "porch-cam"
    lent = message(
        2,
        option(52, b"\x03") + b"\xff",
        file=option(53, b"\x05") + b"\xff",
        sname=option(3, bytes([10, 0, 0, 1])) + b"\xff",
    )
    assert (dhcp.read(lent).detail["message"], dhcp.read(lent).detail["router"]) == ("ack", "10.0.0.1")


def test_a_hostile_name_is_safe_to_show() -> None:
    hostile = message(1, option(53, b"\x01") + option(12, b"\x1b[2J\xff" + b"a" * 200) + b"\xff")
    name = dhcp.read(hostile).detail["name"]
    assert isinstance(name, str)
    assert name.startswith("\\x1b[2J\\xff")
    assert name.isprintable()


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (REQUEST[:239], "dhcp-form"),
        (REQUEST[:236] + b"\0\0\0\0" + REQUEST[240:], "dhcp-form"),
        (b"\x03" + REQUEST[1:], "dhcp-form"),
        (b"\x01\x06" + REQUEST[2:], "dhcp-hardware"),
        (message(1, b"\xff"), "dhcp-message"),
        (message(1, option(53, b"") + b"\xff"), "dhcp-message"),
        (message(1, option(53, b"\x63") + b"\xff"), "dhcp-message"),
        (message(1, option(53, b"\x01") + b"\x0c\x40abc"), "dhcp-option"),
        (message(1, option(53, b"\x01") + b"\x0c"), "dhcp-option"),
    ],
)
def test_messages_that_lie(payload: bytes, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        dhcp.read(payload)


def option6(number: int, data: bytes) -> bytes:
    return number.to_bytes(2, "big") + len(data).to_bytes(2, "big") + data


IP6 = bytes.fromhex("20010db8000100000000000000000010")
REQUEST6 = (
    b"\x03abc"
    + option6(1, b"\0\x03\0\x01" + CAM)
    + option6(3, bytes(12) + option6(5, IP6 + bytes(8)))
    + option6(39, b"\0\x05porch\x04home\0")
    + option6(16, bytes(6) + b"MSFT 5.0")
)


def test_version_6() -> None:
    reading = dhcp.read6(REQUEST6)
    assert reading.from_server is False
    assert [reading.detail[k] for k in ("message", "mac", "ip", "name", "vendor_class", "version")] == [
        "request",
        "02:00:00:00:00:01",
        "2001:db8:1::10",
        "porch.home",
        "MSFT 5.0",
        6,
    ]
    assert dhcp.read6(b"\x07abc" + option6(1, b"\0\x01\0\x01" + bytes(4) + CAM)).detail["mac"] == "02:00:00:00:00:01"


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"\x03ab", "dhcp6-form"),
        (b"\x0cabc", "dhcp6-form"),
        (REQUEST6[:-1], "dhcp6-option"),
        (REQUEST6 + b"\0", "dhcp6-option"),
        (b"\x03abc" + option6(3, bytes(12) + b"\0\x05\xff\xff"), "dhcp6-option"),
    ],
)
def test_version_6_that_lies(payload: bytes, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        dhcp.read6(payload)


@settings(max_examples=1000, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", REQUEST[:240], REQUEST6[:4], message(2, b"", file=b"\x35\x01\x05")])
)
def test_anything_may_come(tail: bytes, start: bytes) -> None:
    for read in (dhcp.read, dhcp.read6):
        try:
            reading = read(start + tail)
        except Malformed:
            continue
        assert all(str(value).isprintable() for value in reading.detail.values())
