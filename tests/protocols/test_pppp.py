"""PPPP: the viewer is named before the first byte of video."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, makers, pppp
from tests.protocols.captures import datagrams, truth
from tests.protocols.datagrams import cut_is_no_trouble, feed, gives_up
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UID = b"VSTC\0\0\0\0" + struct.pack(">I", 123456) + b"ABCDE\0\0\0"


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xF1, kind, len(body)) + body


def turned(ip: str, port: int) -> bytes:
    """As CS2's servers and the Yi camera send it."""
    return b"\0\2" + struct.pack("<H", port) + bytes(reversed([int(part) for part in ip.split(".")])) + bytes(8)


def plain(ip: str, port: int) -> bytes:
    return b"\2\0" + struct.pack(">H", port) + bytes(int(part) for part in ip.split(".")) + bytes(8)


REGISTER = message(0x14, UID + b"\2\xd2\2\x0f" + turned("192.168.10.204", 25508) + b"a-secret-nonce" * 4)
PUNCH_TO = message(0x40, turned("203.0.113.9", 51547))
DRW = message(0xD0, b"\xd1\2\0\0" + bytes(600))


def events(turns: list[Turn]) -> list[tuple[object, object]]:
    return [(reading.detail["event"], reading.detail["peer"]) for reading in feed(pppp.read, turns)]


@pytest.mark.parametrize(
    ("payload", "event", "peer"),
    [
        (REGISTER, "register", None),
        (message(0x10, UID + bytes(24)), "register", None),
        (message(0x20, UID + turned("192.168.1.7", 4000)), "lookup", None),
        (message(0x30), "lookup", None),
        (PUNCH_TO, "punch-to", "203.0.113.9:51547"),
        (message(0x40, plain("203.0.113.9", 51547)), "punch-to", "203.0.113.9:51547"),
        (message(0x40, bytes(16)), "punch-to", None),
        (message(0x41, UID), "punch", None),
        (message(0x42, UID + bytes(4)), "ready", None),
        (message(0x43), "ready", None),
        (message(0x80, UID + turned("198.51.100.1", 32100) + bytes(4)), "relay", "198.51.100.1:32100"),
        (message(0x82, turned("198.51.100.1", 32100) + bytes(4)), "relay", "198.51.100.1:32100"),
        (message(0x83, bytes(4) + UID + bytes(4)), "relay", None),
        (DRW, "data", None),
        (message(0xF0), "close", None),
    ],
)
def test_what_a_message_says(payload: bytes, event: str, peer: str | None) -> None:
    assert events([(False, payload)]) == [(event, peer)]


def test_the_viewer_is_named_before_anything_else() -> None:
    """Registration goes on all day; who comes is told at once, each once."""
    idle: list[Turn] = [(True, message(0x00)), (True, REGISTER), (False, message(0x15, bytes(4)))] * 100
    calls: list[Turn] = [(False, PUNCH_TO), (False, PUNCH_TO), (False, message(0x40, turned("203.0.113.10", 9)))]
    assert events([*idle, *calls]) == [
        ("register", None),
        ("punch-to", "203.0.113.9:51547"),
        ("punch-to", "203.0.113.10:9"),
    ]


def test_after_a_close_the_same_ends_are_told_anew() -> None:
    talk: list[Turn] = [
        (True, message(0x41, UID)),
        (False, message(0x43)),
        (True, DRW),
        (True, DRW),
        (True, message(0xF0)),
    ]
    assert [event for event, _ in events([*talk, *talk[-1:], *talk])] == ["punch", "ready", "data", "close"] * 2


def test_many_viewers_are_told_and_memory_stays_bounded() -> None:
    turns = [(False, message(0x40, turned("203.0.113.9", port))) for port in range(1, 300)]
    state, readings = run(pppp.read, whole(turns))
    assert len(readings) == 299
    assert isinstance(state, makers.Talk)
    assert len(state.told) <= makers.TOLD_MAX


@pytest.mark.parametrize(
    "payload",
    [
        b"\xf1\x40\0\x10",
        PUNCH_TO + b"x",
        message(0x40, turned("203.0.113.9", 5)[:8]),
        message(0x41, UID[:8]),
        message(0xD0, b"\xd2\0\0\0"),
        message(0x55, UID),
        b"\xf2" + PUNCH_TO[1:],
    ],
)
def test_what_does_not_fit_is_none(payload: bytes) -> None:
    assert run(pppp.read, [Chunk(False, payload)] * 2) == (NOT_MINE, [])


def test_nothing_of_ids_and_nonces_leaves() -> None:
    assert "VSTC" not in repr(run(pppp.read, [Chunk(True, REGISTER)]))
    assert "secret" not in repr(run(pppp.read, [Chunk(True, REGISTER)]))


def test_other_talk_is_given_up() -> None:
    gives_up(pppp.read)


def test_cut_datagrams() -> None:
    cut_is_no_trouble(pppp.read, [(True, REGISTER), (False, PUNCH_TO), (True, DRW)])


def framed(payload: bytes) -> bytes:
    return struct.pack(">H", len(payload)) + b"\x68" + bytes(5) + payload


STREAM: list[Turn] = [
    (True, framed(REGISTER)),
    (False, framed(PUNCH_TO)),
    (True, framed(DRW) * 2),
    (True, framed(message(0xF0))),
]


def test_over_tcp_however_it_is_cut() -> None:
    expected = feed(pppp.read_stream, STREAM)
    assert [reading.detail["event"] for reading in expected] == ["register", "punch-to", "data", "close"]
    assert run(pppp.read_stream, bytewise(STREAM))[1] == expected
    for chunks in cut_everywhere(STREAM):
        assert run(pppp.read_stream, chunks)[1] == expected
    for _, chunks in hole_everywhere(STREAM, 11):
        assert {r.detail["peer"] for r in run(pppp.read_stream, chunks)[1]} <= {None, "203.0.113.9:51547"}


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00", b"\0\x04\x68" + bytes(6), bytes(9)])
def test_other_streams_are_given_up(data: bytes) -> None:
    assert run(pppp.read_stream, [Chunk(True, data)]) == (NOT_MINE, [])
    assert run(pppp.read_stream, [Chunk(True, framed(DRW), gap=True)]) == (NOT_MINE, [])


KNOWN = [REGISTER, PUNCH_TO, DRW, message(0xF0), message(0xE0), *[framed(DRW), framed(PUNCH_TO)]]


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(
                st.binary(min_size=1, max_size=80),
                st.sampled_from(KNOWN),
                st.builds(message, st.integers(0, 255), st.binary(max_size=60)),
            ),
        ),
        max_size=12,
    )
)
def test_anything_may_come(turns: list[Turn]) -> None:
    for reader in (pppp.read, pppp.read_stream):
        assert all(reading.what == "p2p" for reading in feed(reader, turns))


@pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")
def test_addresses_are_turned_round_as_the_yi_camera_sends_its_own() -> None:
    """Its registration holds the very address and port that it sends from."""
    seen = 0
    for packet in datagrams("stream/yi_camera_sample.pcap"):
        if packet.payload[:2] == b"\xf1\x14":
            own = f"{'.'.join(str(byte) for byte in packet.src)}:{packet.sport}"
            assert pppp.address(packet.payload[28:44]) == own
            seen += 1
    assert seen == 6
