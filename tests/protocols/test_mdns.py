"""What a device says of itself by mDNS."""

import ipaddress
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.errors import Malformed
from camguard.protocols import mdns
from tests.protocols.captures import datagrams, truth

A, PTR, TXT, AAAA, SRV, ANY = 1, 12, 16, 28, 33, 255


def name(text: str) -> bytes:
    """Labels between "|", since a service's name may hold dots."""
    labels = [label.encode() for label in text.split("|")]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def question(text: str, kind: int = ANY) -> bytes:
    return name(text) + struct.pack(">HH", kind, 1)


def record(owner: str, kind: int, data: bytes, klass: int = 0x8001) -> bytes:
    return name(owner) + struct.pack(">HHIH", kind, klass, 120, len(data)) + data


def address(owner: str, ip: str) -> bytes:
    packed = ipaddress.ip_address(ip).packed
    return record(owner, A if len(packed) == 4 else AAAA, packed)


def service(instance: str, target: str) -> bytes:
    return record(instance, SRV, struct.pack(">HHH", 0, 0, 554) + name(target))


def texts(owner: str, *values: str) -> bytes:
    return record(owner, TXT, b"".join(bytes([len(value)]) + value.encode() for value in values))


def message(
    answers: list[bytes] | None = None,
    *,
    asked: list[bytes] | None = None,
    authority: list[bytes] | None = None,
    more: list[bytes] | None = None,
    flags: int = 0x8400,
) -> bytes:
    parts = [asked or [], answers or [], authority or [], more or []]
    return struct.pack(">HHHHHH", 0, flags, *map(len, parts)) + b"".join(b"".join(part) for part in parts)


PORCH = "Porch.Cam 1|_rtsp|_tcp|local"
ANSWER = message(
    [
        record("_rtsp|_tcp|local", PTR, name(PORCH)),
        record("_services|_dns-sd|_udp|local", PTR, name("_rtsp|_tcp|local")),
    ],
    more=[
        service(PORCH, "porch|local"),
        texts(PORCH, "path=/live", "model=X-1"),
        address("porch|local", "192.168.50.10"),
        address("porch|local", "fe80::10"),
    ],
)


def test_an_answer() -> None:
    reading = mdns.read(ANSWER)
    assert (reading.what, reading.from_server) == ("mdns", True)
    assert reading.detail == {
        "asked": (),
        "name": "Porch.Cam 1",
        "names": ("porch.local", "Porch.Cam 1"),
        "types": ("_rtsp._tcp",),
        "ips": ("192.168.50.10", "fe80::10"),
        "model": "X-1",
        "speaks_camera": True,
    }


def test_a_pointer_in_a_service_name() -> None:
    """As real ones are written: the instance's name ends in a pointer to the type (RFC 1035 section 4.1.4)."""
    owner = name("_axis-video|_tcp|local")
    data = b"\x0bAXIS P1 - 1\xc0\x0c"
    raw = message([owner + struct.pack(">HHIH", PTR, 1, 120, len(data)) + data])
    detail = mdns.read(raw).detail
    assert (detail["name"], detail["types"], detail["speaks_camera"]) == ("AXIS P1 - 1", ("_axis-video._tcp",), True)


def test_a_question_claims_nothing() -> None:
    """Who looks for cameras is none; the answers in a question are what others said (RFC 6762 section 7.1)."""
    known = record("_rtsp|_tcp|local", PTR, name(PORCH))
    reading = mdns.read(message([known], asked=[question("_rtsp|_tcp|local", PTR)], flags=0))
    assert reading.from_server is False
    assert reading.detail == {
        "asked": ("_rtsp._tcp.local",),
        "name": None,
        "names": (),
        "types": (),
        "ips": (),
        "model": None,
        "speaks_camera": False,
    }


def test_a_device_that_begs_for_its_name() -> None:
    """RFC 6762 section 8.1; D-LinkDayCam does it when it starts."""
    probe = message(asked=[question("porch|local")], authority=[address("porch|local", "192.168.50.10")], flags=0)
    detail = mdns.read(probe).detail
    assert (detail["asked"], detail["names"], detail["ips"]) == (("porch.local",), ("porch.local",), ("192.168.50.10",))


@pytest.mark.parametrize(
    ("records", "camera"),
    [
        ([service("A|_hap|_tcp|local", "a|local"), texts("A|_hap|_tcp|local", "ci=17", "md=X")], True),
        ([service("A|_hap|_tcp|local", "a|local"), texts("A|_hap|_tcp|local", "ci=18")], True),
        ([service("A|_hap|_tcp|local", "a|local"), texts("A|_hap|_tcp|local", "ci=2")], False),
        ([texts("A|_http|_tcp|local", "ci=17")], False),
        ([texts(" [02:00]|_http|_tcp|local", "IC-3115W Network Camera")], True),  # EdimaxCam1
        ([service("DCS-930LB_1C7185|_http|_tcp|local", "a|local")], True),  # D-LinkDayCam
        ([service("D-Link DCH-S150 Configuration Utility|_http|_tcp|local", "a|local")], False),
        ([record("_cam|_sub|_psia|_tcp|local", PTR, name("A|_psia|_tcp|local"))], True),
        ([record("_raop|_tcp|local", PTR, name("A|_raop|_tcp|local"))], False),
        ([address("camera|local", "10.0.0.9")], False),  # a bare host name is anybody's choice
        ([record("_rtsp|_tcp|local", PTR, name(PORCH), klass=3)], False),
    ],
)
def test_who_speaks_like_a_camera(records: list[bytes], camera: bool) -> None:
    assert mdns.read(message(records)).detail["speaks_camera"] is camera


def test_without_a_service_the_host_is_the_name() -> None:
    assert mdns.read(message([address("localcam|local", "10.0.0.9")])).detail["name"] == "localcam"


def test_names_are_safe_to_show_and_few() -> None:
    hostile = [service(f"\x1b[2J{n} ü|_http|_tcp|local", "a|local") for n in range(100)]
    names = mdns.read(message(hostile)).detail["names"]
    assert isinstance(names, tuple)
    assert len(names) == mdns.KEPT_CAP
    assert names[0] == "\\x1b[2J0 \\xfc"


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (b"", "mdns-short"),
        (bytes(11), "mdns-short"),
        (message(flags=0x2800), "mdns-opcode"),
        (ANSWER[:-1], "mdns-record"),
        (message([name("a|local") + b"\0\1"]), "mdns-record"),
        (message(asked=[b"\xc0\x0c\0\1\0\1"], flags=0), "dns-pointer"),
        (message([b"\x80a"]), "dns-label"),
    ],
)
def test_messages_that_lie(payload: bytes, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        mdns.read(payload)


def test_cut_anywhere() -> None:
    for at in range(len(ANSWER)):
        with pytest.raises(Malformed):
            mdns.read(ANSWER[:at])


@pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")
def test_in_the_corpus_only_cameras_call_themselves_so() -> None:
    speakers = set()
    for capture in truth():
        for packet in datagrams(capture):
            if 5353 in (packet.sport, packet.dport):
                reading = mdns.read(packet.payload)
                if reading.detail["speaks_camera"]:
                    speakers.add(capture.partition("-cam_")[0] if "-cam_" in capture else capture.rpartition("_")[0])
    assert speakers == {"iot/sentinel_D-LinkDayCam", "iot/sentinel_EdimaxCam1", "stream/ucl_dlink"}


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(ANSWER)), st.integers(0, 255))
def test_anything_may_come(tail: bytes, place: int, value: int) -> None:
    for payload in (
        tail,
        ANSWER[:12] + tail,
        ANSWER[:place] + bytes([value]) + ANSWER[place + 1 :],
        ANSWER[:place] + tail,
    ):
        try:
            reading = mdns.read(payload)
        except Malformed:
            continue
        assert all(str(item).isprintable() for item in reading.detail.values())
