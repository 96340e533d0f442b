"""NAT-PMP and PCP: requests and answers of the RFCs' own forms, cut at each byte, any bytes, and a real capture."""

import contextlib
import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard.errors import Malformed
from camguard.protocols import natpmp
from tests.protocols.captures import datagrams, truth


def pcp(
    *, answer: bool = False, opcode: int = 1, lease_s: int = 3600, protocol: int = 6, internal: int = 554,
    external: int = 8554, result: int = 0, client: str = "192.168.1.10", options: bytes = b"", version: int = 2
) -> bytes:  # fmt: skip
    packed = ipaddress.ip_address(client).packed
    client16 = bytes(10) + b"\xff\xff" + packed if len(packed) == 4 else packed
    head = bytes([version, opcode | answer << 7, 0, result if answer else 0]) + struct.pack(">I", lease_s)
    head += struct.pack(">I", 77) + bytes(12) if answer else client16
    body = b"nonce-of-12-" + bytes([protocol, 0, 0, 0]) + struct.pack(">HH", internal, external) + bytes(16)
    return head + body + options


def third_party(ip: str) -> bytes:
    return bytes([1, 0, 0, 16]) + bytes(10) + b"\xff\xff" + ipaddress.ip_address(ip).packed


ROWS = [
    ("map tcp", b"\0\2\0\0" + struct.pack(">HHI", 554, 8554, 3600), ("natpmp", "add", 8554, 554, "tcp", 3600, None)),
    ("map udp", b"\0\1\0\0" + struct.pack(">HHI", 5000, 0, 60), ("natpmp", "add", 0, 5000, "udp", 60, None)),
    ("delete", b"\0\2\0\0" + struct.pack(">HHI", 554, 0, 0), ("natpmp", "delete", 0, 554, "tcp", 0, None)),
    (
        "granted",
        b"\0\x82\0\0" + struct.pack(">IHHI", 9, 554, 8555, 1800),
        ("natpmp", "add", 8555, 554, "tcp", 1800, True),
    ),
    ("refused", b"\0\x82\0\2" + struct.pack(">IHHI", 9, 554, 0, 0), ("natpmp", "add", 0, 554, "tcp", 0, False)),
    ("deleted", b"\0\x81\0\0" + struct.pack(">IHHI", 9, 554, 0, 0), ("natpmp", "delete", 0, 554, "udp", 0, True)),
    ("pcp", pcp(), ("pcp", "add", 8554, 554, "tcp", 3600, None)),
    ("pcp granted", pcp(answer=True, lease_s=120), ("pcp", "add", 8554, 554, "tcp", 120, True)),
    ("pcp refused", pcp(answer=True, result=2, lease_s=0), ("pcp", "add", 8554, 554, "tcp", 0, False)),
    ("pcp delete", pcp(lease_s=0, protocol=17), ("pcp", "delete", 8554, 554, "udp", 0, None)),
    ("pcp all", pcp(protocol=0, internal=0, external=0), ("pcp", "add", 0, 0, "all", 3600, None)),
]


@pytest.mark.parametrize(("payload", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_requests_and_answers(payload: bytes, expected: tuple[object, ...]) -> None:
    reading = natpmp.read(payload)
    assert reading is not None
    fields = ("op", "external_port", "internal_port", "transport", "lease_s", "granted")
    assert (reading.what, *(reading.detail[field] for field in fields)) == expected
    assert reading.from_server == (reading.detail["granted"] is not None)
    for end in range(len(payload)):
        if not (end >= 8 and reading.detail["error"] and reading.what == "natpmp"):  # a refusal may end early
            with pytest.raises(Malformed):
                natpmp.read(payload[:end])


@pytest.mark.parametrize(
    "payload",
    [b"\0\0", b"\0\x80\0\0" + bytes(8), pcp(opcode=0), pcp(opcode=2), pcp(protocol=132), b"\0\x82\0\1" + bytes(4)],
    ids=["public address", "its answer", "announce", "peer", "sctp", "no room for ports"],
)
def test_what_opens_nothing(payload: bytes) -> None:
    assert natpmp.read(payload) is None


def test_for_whom_a_mapping_is() -> None:
    def internal_ip(payload: bytes) -> object:
        reading = natpmp.read(payload)
        return reading and reading.detail["internal_ip"]

    assert internal_ip(pcp()) == "192.168.1.10"
    assert internal_ip(pcp(client="2001:db8::7")) == "2001:db8::7"
    assert internal_ip(pcp(options=bytes([2, 0, 0, 0]) + third_party("192.168.1.30"))) == "192.168.1.30"
    assert internal_ip(pcp(answer=True, options=third_party("192.168.1.30"))) == "192.168.1.30"
    assert internal_ip(pcp(answer=True)) is None
    assert internal_ip(ROWS[0][1]) is None


@pytest.mark.parametrize(
    ("payload", "name"),
    [
        (b"", "natpmp-short"),
        (pcp(version=1), "natpmp-version"),
        (pcp() + b"\0", "pcp-length"),
        (pcp() + bytes(1100), "pcp-length"),
        (pcp()[:40], "pcp-short"),
    ],
)
def test_what_breaks_the_format(payload: bytes, name: str) -> None:
    with pytest.raises(Malformed, match=name):
        natpmp.read(payload)


@given(
    st.one_of(
        st.binary(max_size=1200),
        st.builds(
            lambda kind, rest: kind + rest, st.sampled_from([b"\0\1", b"\0\x82", b"\2\1", b"\2\x81"]), st.binary()
        ),
        st.builds(lambda options: pcp(options=options), st.binary(max_size=64)),
    )
)
def test_any_bytes(payload: bytes) -> None:
    with contextlib.suppress(Malformed):
        natpmp.read(payload)


@pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")
def test_a_real_capture() -> None:
    """nDPI's natpmp.pcap: one mapping granted; a second client asks six times and is not answered."""
    readings = [natpmp.read(p.payload) for p in datagrams("upnp/ndpi_natpmp.pcap") if natpmp.PORT in (p.sport, p.dport)]
    found = [(one.detail["op"], one.detail["transport"], one.detail["granted"]) for one in readings if one]
    assert found == [("add", "tcp", None), ("add", "tcp", True), *[("add", "tcp", None)] * 6]
    assert readings.count(None) == 3
