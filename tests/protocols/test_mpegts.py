"""MPEG transport streams over UDP; from ffmpeg as well."""

import socket
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, Reading, mpegts
from tests.protocols.datagrams import cut_is_no_trouble, feed, gives_up, needs
from tests.protocols.streams import run


def packet(pid: int, first: int = 0x47, control: int = 0x10, flags: int = 0) -> bytes:
    return struct.pack(">BHB", first, pid | flags << 8, control) + bytes(184)


SEVEN = b"".join(packet(pid) for pid in (0, 4096, 256, 256, 257, 256, 0x1FFF))


def test_seven_in_one_datagram_or_one_by_one() -> None:
    expected = [Reading("mpegts", {"pids": ("0", "4096", "256", "257")})]
    assert feed(mpegts.read, [(True, SEVEN)]) == expected
    assert feed(mpegts.read, [(True, SEVEN)] * 9) == expected
    assert feed(mpegts.read, [(True, SEVEN[at : at + 188]) for at in range(0, len(SEVEN), 188)]) == expected
    assert len(feed(mpegts.read, [(True, SEVEN), (False, SEVEN)])) == 2


@pytest.mark.parametrize(
    "payload",
    [
        SEVEN[:-1],
        packet(1) * 6,
        packet(1) * 6 + packet(1, first=0x46),
        packet(1) * 6 + packet(1, control=0),
        packet(1) * 6 + packet(1, flags=0x80),
        packet(0x1FFF) * 7,
        b"G" * 187,
    ],
)
def test_what_is_none(payload: bytes) -> None:
    assert feed(mpegts.read, [(True, payload)]) == []


def test_other_talk_is_given_up() -> None:
    gives_up(mpegts.read)


def test_cut_datagrams() -> None:
    cut_is_no_trouble(mpegts.read, [(True, SEVEN)])


def test_memory_is_bounded() -> None:
    state, _ = run(mpegts.read, [Chunk(True, packet(pid)) for pid in range(1000)])
    assert state is not NOT_MINE
    assert len(state.up.pids) == mpegts.PIDS_MAX


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.binary(max_size=400), st.integers(0, 0x1FFF).map(packet)), max_size=12))
def test_anything_may_come(payloads: list[bytes]) -> None:
    assert all(reading.what == "mpegts" for reading in feed(mpegts.read, [(True, payload) for payload in payloads]))


@needs("ffmpeg")
def test_ffmpeg() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as viewer:
        viewer.bind(("127.0.0.1", 0))
        viewer.settimeout(60)
        where = f"udp://127.0.0.1:{viewer.getsockname()[1]}?pkt_size=1316"
        source = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=10", "-t", "60", "-f", "mpegts", where]
        camera = subprocess.Popen(
            ["ffmpeg", "-loglevel", "error", "-re", *source], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            readings = feed(mpegts.read, [(True, viewer.recv(65536)) for _ in range(8)])
        finally:
            camera.kill()
            camera.wait()
    assert len(readings) == 1
    assert "256" in readings[0].detail["pids"]  # type: ignore[operator]
