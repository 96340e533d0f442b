"""pcap: every dialect gives the same frames; damage is counted and never fatal; a big file costs little memory."""

import gzip
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import ERFEthernetWriter, PcapNgWriter, PcapWriter

from camguard.capture.pcap import Reading, frames
from camguard.errors import CaptureError
from camguard.events import Frame

CORPUS = Path(os.environ.get("CAMGUARD_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
DATA = (b"first frame.", b"second frame, of another length", b"3")
START = 1_700_000_000


def pcap(order: str = "<", units: int = 1_000_000, link: int = 1, cut_to: int | None = None) -> bytes:
    magic = 0xA1B2C3D4 if units == 1_000_000 else 0xA1B23C4D
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for number, data in enumerate(DATA):
        kept = data[:cut_to]
        out += struct.pack(order + "IIII", START + number, units // 4, len(kept), len(data)) + kept
    return out


def block(order: str, kind: int, body: bytes, last: int | None = None) -> bytes:
    body += bytes(-len(body) % 4)
    length = 12 + len(body)
    return struct.pack(order + "II", kind, length) + body + struct.pack(order + "I", last or length)


def section(order: str) -> bytes:
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def option(order: str, code: int, value: bytes) -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def interface(order: str, link: int = 1, snap: int = 0, options: bytes = b"") -> bytes:
    return block(order, 1, struct.pack(order + "HHI", link, 0, snap) + options)


def packet(order: str, number: int, stamp: int, data: bytes, wire: int | None = None) -> bytes:
    head = struct.pack(
        order + "IIIII", number, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data) if wire is None else wire
    )
    return block(order, 6, head + data + bytes(-len(data) % 4) + option(order, 2, b"\0\0\0\1") + option(order, 0, b""))


def old_packet(order: str, number: int, stamp: int, data: bytes) -> bytes:
    head = struct.pack(order + "HHIIII", number, 0xFFFF, stamp >> 32, stamp & 0xFFFFFFFF, len(data), len(data))
    return block(order, 2, head + data)


def simple_packet(order: str, data: bytes, wire: int | None = None) -> bytes:
    return block(order, 3, struct.pack(order + "I", wire or len(data)) + data)


def read(tmp_path: Path, content: bytes, name: str = "x.pcap") -> tuple[list[Frame], dict[str, int]]:
    path = tmp_path / name
    path.write_bytes(content)
    reading = Reading(path)
    return list(reading), dict(reading.odd)


# ---- pcap ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("units", [1_000_000, 1_000_000_000])
def test_the_four_magics(tmp_path: Path, order: str, units: int) -> None:
    got, odd = read(tmp_path, pcap(order, units))
    assert got == [Frame(START + n + 0.25, data, len(data), 1, 0, 0) for n, data in enumerate(DATA)]
    assert odd == {}


def test_snapped_frames_and_link_types(tmp_path: Path) -> None:
    got, odd = read(tmp_path, pcap(link=113, cut_to=5))
    assert [(frame.data, frame.wire_len, frame.link) for frame in got] == [(d[:5], len(d), 113) for d in DATA]
    assert odd == {}


def test_a_compressed_file(tmp_path: Path) -> None:
    whole = gzip.compress(pcap())
    assert len(read(tmp_path, whole)[0]) == 3
    cut = gzip.compress(pcap() + os.urandom(100_000))[:50_000]
    assert read(tmp_path, cut)[1] in ({"compressed": 1}, {"length": 1})
    assert read(tmp_path, whole[:-12])[1] == {"compressed": 1}


@pytest.mark.parametrize("make", [pcap, lambda: pcapng("<")], ids=["pcap", "pcapng"])
def test_a_file_cut_at_each_byte(tmp_path: Path, make: Callable[[], bytes]) -> None:
    """What came before the cut is read; the cut is one oddity, unless it falls between two records."""
    content = make()
    whole, _ = read(tmp_path, content)
    between = 0
    for length in range(4, len(content)):
        got, odd = read(tmp_path, content[:length])
        assert got == whole[: len(got)]
        assert odd in ({}, {"cut": 1})
        between += not odd
    assert between == (3 if make is pcap else 4)


def test_a_record_of_absurd_length_ends_the_reading(tmp_path: Path) -> None:
    content = pcap() + struct.pack("<IIII", START, 0, 0x7FFFFFFF, 60) + bytes(100)
    got, odd = read(tmp_path, content)
    assert (len(got), odd) == (3, {"length": 1})


@pytest.mark.parametrize("wire", [3, 0, 0xFFFFFFFF])
def test_a_wire_length_that_lies(tmp_path: Path, wire: int) -> None:
    got, odd = read(tmp_path, pcap() + struct.pack("<IIII", START, 0, 60, wire) + bytes(60))
    assert (got[-1].wire_len, odd) == (60, {"wire-length": 1})


@pytest.mark.parametrize("content", [b"", b"\xa1", b"#!/bin/sh\n", bytes(100), b"PK\x03\x04" + bytes(30)])
def test_what_is_no_capture(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CaptureError, match=r"no capture file .* Give a file that"):
        read(tmp_path, content)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="No such file"):
        frames(tmp_path / "none.pcap")
    with pytest.raises(CaptureError, match="Is a directory"):
        frames(tmp_path)
    with pytest.raises(CaptureError, match="damaged"):
        read(tmp_path, b"\x1f\x8b\x08\x00")


# ---- pcapng ----------------------------------------------------------------------------------------------------------


def pcapng(order: str) -> bytes:
    out = section(order) + interface(order)
    for number, data in enumerate(DATA):
        out += packet(order, 0, (START + number) * 1_000_000 + 250_000, data)
    return out


@pytest.mark.parametrize("order", "<>")
def test_pcapng(tmp_path: Path, order: str) -> None:
    got, odd = read(tmp_path, pcapng(order))
    assert got == [Frame(START + n + 0.25, data, len(data), 1, 0, 0) for n, data in enumerate(DATA)]
    assert odd == {}


def test_sections_of_both_orders_in_one_file(tmp_path: Path) -> None:
    got, odd = read(tmp_path, pcapng("<") + pcapng(">") + pcapng("<"))
    assert [frame.data for frame in got] == list(DATA) * 3
    assert len({frame.at for frame in got}) == 3
    assert odd == {}


def test_interfaces_have_their_own_link_type_and_clock(tmp_path: Path) -> None:
    content = section("<")
    content += interface("<", 1, 0, option("<", 9, b"\x09") + option("<", 0, b""))  # nanoseconds
    content += interface("<", 101, 0, option("<", 2, b"eth1") + option("<", 9, b"\x8a"))  # 1/1024 s
    content += interface("<", 113, 0, option("<", 14, struct.pack("<q", -100)))  # microseconds, 100 s earlier
    content += packet("<", 0, START * 10**9 + 123_456_789, b"a" * 20)
    content += packet("<", 1, START * 1024 + 512, b"b" * 21, wire=900)
    content += packet("<", 2, START * 10**6, b"c" * 22)
    content += old_packet("<", 1, START * 1024 + 256, b"d" * 23)
    got, odd = read(tmp_path, content)
    assert [(frame.interface, frame.link, frame.wire_len) for frame in got] == [
        (0, 1, 20),
        (1, 101, 900),
        (2, 113, 22),
        (1, 101, 23),
    ]
    assert [frame.at for frame in got] == [
        pytest.approx(START + 0.123456789, abs=1e-6),
        START + 0.5,
        START - 100,
        START + 0.25,
    ]
    assert odd == {}


def test_simple_packets_have_the_time_of_the_packet_before(tmp_path: Path) -> None:
    content = section(">") + interface(">", snap=10) + packet(">", 0, 5_000_000, b"abc")
    content += simple_packet(">", b"0123456789", wire=15) + simple_packet(">", b"0123")
    got, odd = read(tmp_path, content)
    assert got[1:] == [Frame(5.0, b"0123456789", 15), Frame(5.0, b"0123", 4)]
    assert odd == {}


def test_other_blocks_are_passed_over(tmp_path: Path) -> None:
    names, statistics, secret = block("<", 4, bytes(40)), block("<", 5, bytes(12)), block("<", 10, bytes(3_000_000))
    content = section("<") + names + interface("<") + secret + packet("<", 0, 0, b"a") + statistics
    got, odd = read(tmp_path, content)
    assert ([frame.data for frame in got], odd) == ([b"a"], {})


PNG_LIES = {
    "interface not described": (packet("<", 1, 0, b"a"), {"interface": 1}, 2),
    "two lengths": (block("<", 5, bytes(8), last=16), {"block-length": 1}, 2),
    "packet longer than its block": (
        block("<", 6, struct.pack("<IIIII", 0, 0, 0, 5000, 5000) + b"a"),
        {"length": 1},
        2,
    ),
    "packet block too short": (block("<", 6, bytes(16)), {"length": 1}, 2),
    "old packet block too short": (block("<", 2, bytes(16)), {"length": 1}, 2),
    "huge packet": (block("<", 6, bytes(2_000_000)), {"length": 1}, 2),
    "wire length below captured": (packet("<", 0, 0, b"abcd", wire=1), {"wire-length": 1}, 3),
    "block length 0": (struct.pack("<II", 6, 0) + bytes(8), {"length": 1}, 1),
    "block length 8": (struct.pack("<II", 6, 8) + bytes(8), {"length": 1}, 1),
    "block length odd": (struct.pack("<II", 6, 33) + bytes(40), {"length": 1}, 1),
    "block of 4 GB": (struct.pack("<II", 5, 0xFFFFFFFC), {"cut": 1}, 1),
    "section of no order": (block("<", 0x0A0D0D0A, bytes(16)), {"byte-order": 1}, 1),
}


@pytest.mark.parametrize("name", PNG_LIES)
def test_lies_of_pcapng(tmp_path: Path, name: str) -> None:
    lie, expected, count = PNG_LIES[name]
    got, odd = read(tmp_path, section("<") + interface("<") + packet("<", 0, 0, b"a") + lie + packet("<", 0, 9, b"b"))
    assert (len(got), odd) == (count, expected)


def test_interfaces_are_capped(tmp_path: Path) -> None:
    _, odd = read(tmp_path, section("<") + interface("<") * 4_100 + packet("<", 4_095, 0, b"a"))
    assert odd == {"interface": 4}


@pytest.mark.parametrize("exponent", [0, 18, 127, 128, 255])
def test_absurd_clocks(tmp_path: Path, exponent: int) -> None:
    clock = option("<", 9, bytes((exponent,))) + option("<", 14, struct.pack("<q", -(2**63)))
    got, _ = read(tmp_path, section("<") + interface("<", options=clock) + packet("<", 0, 2**64 - 1, b"a"))
    assert got[0].at == pytest.approx(-(2.0**63), rel=10)


# ---- noise -----------------------------------------------------------------------------------------------------------


@settings(max_examples=1000, deadline=None)
@given(
    st.sampled_from((pcap("<"), pcap(">", 10**9), pcapng("<"), pcapng(">") + pcapng("<"))),
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 255)), max_size=5),
    st.integers(4, 400),
)
def test_only_capture_error_escapes(content: bytes, changes: list[tuple[int, int]], length: int) -> None:
    raw = bytearray(content[:length])
    for place, value in changes:
        if place < len(raw):
            raw[place] = value
    path = Path(f"/dev/shm/camguard-test-{os.getpid()}.pcap")
    try:
        path.write_bytes(raw)
        for frame in Reading(path):
            assert len(frame.data) <= frame.wire_len <= 2**20
    except CaptureError:
        assert raw[:4] != content[:4]
    finally:
        path.unlink()


# ---- with the programs of others -------------------------------------------------------------------------------------


def test_reads_what_scapy_writes(tmp_path: Path) -> None:
    crafted = []
    for number in range(5):
        one = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP() / UDP() / (b"x" * number)
        one.time = START + number / 8
        crafted.append(one)
    for writer, name in ((PcapWriter, "a.pcap"), (PcapNgWriter, "a.pcapng"), (ERFEthernetWriter, "a.erf")):
        with writer(str(tmp_path / name)) as out:
            out.write(crafted)
        got = list(frames(tmp_path / name))
        assert [frame.at for frame in got] == [pytest.approx(START + number / 8, abs=1e-3) for number in range(5)]
        assert [frame.data for frame in got] == [bytes(one) for one in crafted]


@pytest.mark.skipif(not (CORPUS / "truth.json").exists(), reason="no corpus here (CAMGUARD_CORPUS)")
def test_the_corpus_has_every_frame_and_no_oddity() -> None:
    truths = json.loads((CORPUS / "truth.json").read_text())["files"]
    readings = {name: Reading(CORPUS / name) for name in truths}
    assert {name: len(list(reading)) for name, reading in readings.items()} == {
        name: truth["frames"] for name, truth in truths.items()
    }
    assert [name for name, reading in readings.items() if reading.odd] == []


MEMORY = """
import resource, sys
from pathlib import Path
from camguard.capture.pcap import frames
first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
count = sum(1 for _ in frames(Path(sys.argv[1])))
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - first)
"""


def test_a_big_file_costs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "big.pcap"
    record = struct.pack("<IIII", START, 0, 1000, 1000) + bytes(1000)
    with path.open("wb") as out:
        out.write(pcap()[:24])
        for _ in range(60):
            out.write(record * 1000)
    answer = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    count, more_kb = map(int, answer.stdout.split())
    assert count == 60_000
    assert more_kb < 8_000
