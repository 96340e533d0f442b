"""RTP is told from everything else that UDP carries."""

import os
import random
import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.protocols import NOT_MINE, Reading, rtp
from tests.protocols.streams import run, whole


def packet(
    sequence: int, ssrc: int = 0xCAFE, kind: int = 96, *, stamp: int = 3000, first: int = 0x80, body: bytes = b"x" * 40
) -> bytes:
    return struct.pack(">BBHII", first, kind, sequence & 0xFFFF, stamp, ssrc) + body


def feed(payloads: list[bytes]) -> list[Reading]:
    state, readings = None, []
    for payload in payloads:
        state, news = rtp.read_one_way(state, payload)
        readings += news
    return readings


def test_three_in_sequence_are_media_and_told_once() -> None:
    payloads = [packet(n) for n in range(10)]
    assert feed(payloads[:2]) == []
    assert feed(payloads) == [Reading("rtp", {"ssrc": 0xCAFE, "payload_type": 96})]


@pytest.mark.parametrize(
    ("sequences", "media"),
    [
        ([65534, 65535, 0], True),  # the number turns over
        ([5, 6, 9], True),  # two lost
        ([5, 6, 10], False),  # too many lost
        ([5, 5, 5, 5], False),  # the same packet again and again
        ([5, 5, 6, 6, 7], True),  # each seen twice, on a mirror port
        ([7, 6, 5, 4], False),  # backwards
        ([1, 2, 100, 101, 102], True),
        ([10, 20, 30, 40], False),
    ],
)
def test_sequence(sequences: list[int], media: bool) -> None:
    assert bool(feed([packet(n) for n in sequences])) is media


@pytest.mark.parametrize("kind", [0, 8, 34, 96, 127, 0x80 | 96, 0x80 | 26])
def test_payload_types_of_media(kind: int) -> None:
    assert [r.detail["payload_type"] for r in feed([packet(n, kind=kind) for n in range(3)])] == [kind & 0x7F]


@pytest.mark.parametrize("kind", [35, 64, 72, 77, 95, 200, 201, 192, 213])
def test_other_payload_types_are_none(kind: int) -> None:
    assert feed([packet(n, kind=kind) for n in range(5)]) == []


def test_video_and_sound_on_one_port() -> None:
    payloads = [packet(n // 2, ssrc=1 + n % 2, kind=96 + n % 2) for n in range(8)]
    assert [r.detail["ssrc"] for r in feed(payloads)] == [1, 2]


def test_signalling_on_the_same_port_does_no_harm() -> None:
    stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    dtls = b"\x16\xfe\xff" + bytes(60)
    report = struct.pack(">BBHI", 0x81, 201, 7, 0xCAFE) + bytes(24)
    payloads = [stun, dtls] * 20 + [report] * 20 + [packet(1), stun, packet(2), report, packet(3)]
    assert len(feed(payloads)) == 1


def test_reports_are_no_media() -> None:
    report = struct.pack(">BBHI", 0x80, 200, 6, 0xCAFE) + bytes(20)
    assert rtp.is_rtcp(report)
    assert not rtp.is_rtcp(report[:10])
    assert not rtp.is_rtcp(packet(1))
    assert feed([report] * 50) == []


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (packet(1, first=0x8F)[:40], "fifteen sources do not fit"),
        (packet(1, first=0x90, body=b"\xbe\xde\x00\x20" + bytes(20)), "the extension does not fit"),
        (packet(1, first=0x90, body=b"\xbe"), "no room for an extension"),
        (packet(1, first=0xA0, body=b"\x00" * 20), "padding of no bytes"),
        (packet(1, first=0xA0, body=b"\xff" * 20), "more padding than packet"),
        (packet(1)[:11], "short"),
        (packet(1, first=0x40), "version 1"),
        (b"", "nothing"),
    ],
)
def test_headers_that_lie(payload: bytes, why: str) -> None:
    assert rtp.header(payload) is None, why


def test_header_with_sources_extension_and_padding() -> None:
    body = bytes(8) + b"\xbe\xde\x00\x01" + bytes(4) + b"media" + b"\x00\x00\x03"
    found = rtp.header(packet(9, first=0xB2, body=body))
    assert found is not None
    assert (found.sequence, found.payload_len) == (9, 5)


def test_a_cut_packet_is_not_judged_by_its_padding() -> None:
    cut = packet(1, first=0xA0, body=b"\x00" * 20)
    assert rtp.header(cut, whole=False) is not None


def strangers(name: str) -> list[bytes]:
    """Thirty payloads of a protocol that is not RTP, as near to it as it gets."""
    rng = random.Random(name)
    many = range(30)
    return {
        "dns": [
            struct.pack(">HHHHHH", 0x8060 + n % 2, 0x0100, 1, 0, 0, 0) + b"\x03cam\x00\x00\x01\x00\x01" for n in many
        ],
        "quic long": [b"\xc0\x00\x00\x00\x01\x08" + rng.randbytes(1194) for _ in many],
        "quic short": [
            bytes([0x40 | rng.randrange(64)]) + b"\x11\x22\x33\x44\x55\x66\x77\x88" + rng.randbytes(900) for _ in many
        ],
        "quic without its fixed bit": [
            bytes([0x80 | rng.randrange(64)]) + b"connid12" + rng.randbytes(900) for _ in many
        ],
        "wireguard": [b"\x04\x00\x00\x00\x01\x02\x03\x04" + struct.pack("<Q", n) + rng.randbytes(96) for n in many],
        "pppp": [
            b"\xf1\xd0" + struct.pack(">H", 1028) + b"\xd1\x02" + struct.pack(">H", n) + rng.randbytes(1024)
            for n in many
        ],
        "srt control": [struct.pack(">HHIII", 0x8002, 0, n, n * 10000, 0x1234) + bytes(28) for n in many],
        "mdns": [bytes(2) + b"\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00" + rng.randbytes(60) for _ in many],
        "ntp": [b"\x23\x02\x06\xe8" + rng.randbytes(44) for _ in many],
        "random": [rng.randbytes(rng.randrange(1, 1200)) for _ in many],
        "random behind 0x80": [b"\x80\x60" + rng.randbytes(500) for _ in many],
        "counter behind 0x80, wild clock": [packet(n, stamp=rng.getrandbits(32)) for n in many],
        "counter, new source each time": [packet(n, ssrc=rng.getrandbits(32)) for n in many],
    }[name]


@pytest.mark.parametrize(
    "name",
    [
        "dns",
        "quic long",
        "quic short",
        "quic without its fixed bit",
        "wireguard",
        "pppp",
        "srt control",
        "mdns",
        "ntp",
        "random",
        "random behind 0x80",
        "counter behind 0x80, wild clock",
        "counter, new source each time",
    ],
)
def test_other_protocols_are_no_media(name: str) -> None:
    assert feed(strangers(name)) == []


def test_a_million_random_bytes_are_no_media() -> None:
    assert feed([os.urandom(100) for _ in range(10_000)]) == []


def test_a_flow_without_media_is_given_up_and_one_with_media_is_not() -> None:
    state = None
    for _ in range(rtp.STRANGERS_CAP):
        state, _ = rtp.read_one_way(state, b"\xf1\xe0\x00\x00")
    assert state is NOT_MINE
    state = None
    for payload in [packet(1), packet(2), packet(3), *[b"\xf1\xe0\x00\x00"] * 100]:
        state, _ = rtp.read_one_way(state, payload)
    assert state is not NOT_MINE


def test_a_flood_of_invented_sources_is_capped_and_keeps_the_real_one() -> None:
    state, told = None, []
    for n in range(3):
        state, news = rtp.read_one_way(state, packet(n, ssrc=7))
        told += news
    for n in range(1000):
        state, news = rtp.read_one_way(state, packet(n, ssrc=1000 + n))
        told += news
    assert isinstance(state, rtp.State)
    assert len(state.sources) <= rtp.SOURCES_CAP + 1
    assert 7 in {source.ssrc for source in state.sources}
    assert len(told) == 1


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=60), st.integers(0, 8).map(packet)), max_size=20))
def test_anything_may_come(payloads: list[bytes]) -> None:
    for reading in feed(payloads):
        assert reading.what == "rtp"


# ---- RTCP, and what carries media ----


def report(kind: int, ssrc: int = 7, body: bytes = b"", count: int = 0) -> bytes:
    return struct.pack(">BBHI", 0x80 | count, kind, 1 + len(body) // 4, ssrc) + body


COMPOUND = report(200, body=bytes(20)) + report(202, body=bytes(4), count=1)
WHOLE_PICTURE = report(206, body=bytes(4), count=1)  # PLI


def kinds(turns: list[tuple[bool, bytes]]) -> list[object]:
    readings = run(rtp.read, whole(turns))[1]
    assert all(reading.what == "rtcp" for reading in readings)
    return [reading.detail["kinds"] for reading in readings]


def test_a_whole_report_is_told_once_and_each_new_kind_later() -> None:
    assert kinds([(True, COMPOUND)] * 9) == [("SR", "SDES")]
    assert kinds([(True, COMPOUND), (True, WHOLE_PICTURE), (True, COMPOUND)]) == [("SR", "SDES"), ("PSFB",)]
    assert kinds([(True, COMPOUND), (False, COMPOUND)]) == [("SR", "SDES")] * 2


def test_one_that_stands_alone_or_is_encrypted_needs_a_second_of_its_sender() -> None:
    encrypted = report(201, body=b"") + os.urandom(38)
    assert kinds([(False, encrypted)]) == []
    assert kinds([(False, encrypted), (False, report(201, 8))]) == []
    assert kinds([(False, encrypted), (True, encrypted)]) == []
    assert kinds([(False, encrypted), (False, encrypted)]) == [("RR",)]
    assert kinds([(False, WHOLE_PICTURE), (False, WHOLE_PICTURE)]) == [("PSFB",)]


def test_reports_that_lie_are_none() -> None:
    for lie in (report(201, count=1), report(200), report(205), report(207, body=bytes(8)), report(202, body=bytes(8))):
        assert kinds([(True, lie)] * 5) == []


def test_a_name_asked_for_on_the_link_is_no_report() -> None:
    """LLMNR with such a number, in the corpus' upnp/suri_output-eve-ftp-data.pcap."""
    ask = b"\xac\xcf\0\0\0\1\0\0\0\0\0\0\4wpad\0\0\1\0\1"
    assert kinds([(True, ask)] * 5) == []


@pytest.mark.parametrize(
    "carry",
    [
        lambda payload: b"\x40\x01" + struct.pack(">H", len(payload)) + payload,
        lambda payload: b"$\x00" + struct.pack(">H", len(payload)) + payload,
    ],
    ids=["a TURN channel", "RTSP's interleaved form"],
)
def test_media_inside_another_talk(carry: Callable[[bytes], bytes]) -> None:
    turns = [(True, carry(packet(n))) for n in range(3)] + [(False, carry(COMPOUND))]
    assert [reading.what for reading in run(rtp.read, whole(turns))[1]] == ["rtp", "rtcp"]
    assert run(rtp.read, whole([(up, data[:-1]) for up, data in turns]))[1] == []


def test_a_flow_that_never_was_media_is_given_up() -> None:
    stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12)
    assert run(rtp.read, whole([(True, stun)] * rtp.SHARED_CAP))[0] is NOT_MINE
    assert run(rtp.read, whole([(bool(n % 2), b"\xf1\xe0\0\0") for n in range(rtp.STRANGERS_CAP)]))[0] is NOT_MINE
    told = [(True, packet(n)) for n in range(3)] + [(True, stun)] * rtp.SHARED_CAP
    assert run(rtp.read, whole(told))[0] is not NOT_MINE


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(
                st.binary(max_size=60),
                st.integers(0, 8).map(packet),
                st.sampled_from([COMPOUND, WHOLE_PICTURE]),
                st.builds(report, st.integers(190, 215), st.just(7), st.binary(max_size=40), st.integers(0, 31)),
            ),
        ),
        max_size=20,
    )
)
def test_anything_may_come_both_ways(turns: list[tuple[bool, bytes]]) -> None:
    for reading in run(rtp.read, whole(turns))[1]:
        assert reading.what in ("rtp", "rtcp")
