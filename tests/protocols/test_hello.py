"""What a ClientHello says of whom it asks for and of the program that asks; JA4 against values that others computed."""

import struct
from collections import Counter
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, quic, tls
from camguard.protocols.hello import ALPN_CAP, client_hello
from tests.protocols.captures import datagrams, dialogues, truth
from tests.protocols.hellos import ALPN, body, extension, server_name, vector

GREASE = 0x0A0A


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}H", *values)


def made(
    ciphers: list[int], kinds: list[int], signatures: list[int], alpn: list[bytes] | None = None, version: int = 0x0304
) -> bytes:
    """A hello with these lists, in this order."""
    content = {
        0: vector(b"\0" + vector(b"camera.example", 2), 2),
        13: vector(numbers(*signatures), 2),
        16: vector(b"".join(vector(name, 1) for name in alpn or ()), 2),
        43: vector(numbers(GREASE, version, 0x0303), 1),
    }
    tail = b"".join(extension(kind, content.get(kind, b"")) for kind in kinds)
    start = b"\x03\x03" + bytes(32) + b"\0" + vector(numbers(*ciphers), 2) + b"\1\0"
    return start + (vector(tail, 2) if kinds else b"")


# The example of FoxIO's document (technical_details/JA4.md), in the order of its JA4_ro, with GREASE put in.
CIPHERS = [GREASE, 0x1301, 0x1302, 0x1303, 0xC02B, 0xC02F, 0xC02C, 0xC030, 0xCCA9, 0xCCA8, 0xC013, 0xC014]
CIPHERS += [0x009C, 0x009D, 0x002F, 0x0035]
KINDS = [0x1A1A, 0x1B, 0x00, 0x33, 0x10, 0x4469, 0x17, 0x2D, 0x0D, 0x05, 0x23, 0x12, 0x2B, 0xFF01, 0x0B, 0x0A, 0x15]
SIGNATURES = [0x0403, 0x0804, 0x0401, 0xFAFA, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]


def ja4(body: bytes, transport: Literal["t", "q", "d"] = "t") -> str:
    said = client_hello(body, transport)
    assert said
    return said.ja4


def test_the_example_of_the_document() -> None:
    assert ja4(made(CIPHERS, KINDS, SIGNATURES, [b"h2", b"http/1.1"])) == "t13d1516h2_8daaf6152771_e5627efa2ab1"


def test_without_signature_algorithms() -> None:
    """The document's second example: the same list of extensions, hashed without an underscore."""
    assert ja4(made(CIPHERS, KINDS, [], [b"h2"])) == "t13d1516h2_8daaf6152771_6d807ffa2a79"


def test_lists_that_are_empty_have_no_hash_and_long_ones_count_to_99() -> None:
    assert ja4(made([], [], [])) == "t12i000000_000000000000_000000000000"
    assert ja4(made([], [0], [])) == "t12d000100_000000000000_000000000000"
    assert ja4(made(list(range(1, 121)), list(range(100, 220)), [])).startswith("t12i999900_")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"h2", "h2"),
        (b"http/1.1", "h1"),
        (b"x", "xx"),
        (b"", "00"),
        (b"\xab", "ab"),
        (b"\xab\xcd", "ad"),
        (b"\x30\xab", "3b"),
        (b"\x30\x31\xab\xcd", "3d"),
        (b"\x30\xab\xcd\x31", "01"),
        (b"/x", "28"),
    ],
)
def test_the_first_and_last_character_of_alpn(name: bytes, shown: str) -> None:
    """The document's rows: what is not alphanumeric is shown in hexadecimal."""
    assert ja4(made([1], [16], [], [name])).partition("_")[0] == f"t12i0101{shown}"


@pytest.mark.parametrize(
    ("legacy", "version", "shown"),
    [
        (b"\x03\x03", 0x0304, "13"),
        (b"\x03\x03", None, "12"),
        (b"\x03\x02", None, "11"),
        (b"\x03\x01", None, "10"),
        (b"\x03\x00", None, "s3"),
        (b"\x00\x02", None, "s2"),
        (b"\x05\x05", None, "00"),
    ],
)
def test_versions(legacy: bytes, version: int | None, shown: str) -> None:
    built = made([1], [43] if version else [], [], version=version or 0)
    assert ja4(legacy + built[2:])[:3] == "t" + shown


def test_dtls_has_a_cookie_and_counts_its_versions_down() -> None:
    start = b"\xfe\xfd" + bytes(32) + b"\0" + vector(b"cookie", 1) + vector(numbers(0xC02B), 2) + b"\1\0"
    said = client_hello(start + vector(server_name(b"cam.example"), 2), "d")
    assert said
    assert (said.sni, said.ja4[:10]) == ("cam.example", "dd2d010100")
    both = extension(43, vector(numbers(0xFEFD, 0xFEFC), 1))
    assert ja4(start + vector(both, 2), "d")[:10] == "dd3i010100"
    assert client_hello(start, "t") is None


@pytest.mark.parametrize(
    ("extensions", "ech"),
    [
        ([server_name(b"host.example")], False),
        ([server_name(b"host.example"), extension(0xFE0D, b"\0" * 40)], True),
        ([extension(0xFFCE, b"\0" * 40)], True),
        ([extension(0xFE0D, b"")], True),
    ],
)
def test_a_hidden_name_is_said_as_such(extensions: list[bytes], ech: bool) -> None:
    said = client_hello(body(*extensions), "t")
    assert said
    assert said.ech is ech
    assert said.sni == ("host.example" if extensions[0][:2] == b"\0\0" else None)


def test_a_long_list_of_protocols_is_cut_and_safe_to_show() -> None:
    said = client_hello(body(extension(16, vector(b"".join(vector(b"\x1b[2J%d" % i, 1) for i in range(50)), 2))), "t")
    assert said
    assert said.alpn == tuple(f"\\x1b[2J{i}" for i in range(ALPN_CAP))


#: JA4 as nDPI computed it (ntop/nDPI, tests/cfgs/default/result/*.out), by capture.
NDPI = {
    "tls/ndpi_chrome.pcap": {"t13d1516h2_8daaf6152771_e5627efa2ab1": 3, "t13d1516h2_8daaf6152771_9b887d9acb53": 3},
    "tls/ndpi_firefox.pcap": {"t13d1813h2_e8a523a41297_84e5d5db657c": 5, "t13d1814h2_e8a523a41297_d267a5f792d4": 1},
    "tls/ndpi_tls_esni_sni_both.pcap": {"t13d031100_55b375c5d22e_77359c92d649": 2},
    "rtc/ndpi_quic-29.pcap": {"q13d0512h9_d55e91d5c3b2_cd318bf3b157": 1},
    "rtc/ndpi_quic-v2.pcapng": {"q13d0310h3_55b375c5d22e_0a3b52e28cea": 1},
}


@pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")
@pytest.mark.parametrize("name", NDPI)
def test_ja4_as_ndpi_has_it(name: str) -> None:
    got: Counter[str] = Counter()
    states: dict[object, object] = {}
    for said in dialogues(name):
        if states.get(said.ends) is not NOT_MINE:
            states[said.ends], readings = tls.read(states.get(said.ends), said.chunk)  # type: ignore[arg-type]
            got.update(str(reading.detail["ja4"]) for reading in readings if reading.what == "tls-hello")
    for packet in datagrams(name):
        ends = frozenset({(packet.src, packet.sport), (packet.dst, packet.dport)})
        if states.get(ends) is not NOT_MINE:
            chunk = Chunk(packet.sport < packet.dport, packet.payload)
            states[ends], readings = quic.read(states.get(ends), chunk)  # type: ignore[arg-type]
            got.update(str(reading.detail["ja4"]) for reading in readings if reading.what == "quic-hello")
    assert got == Counter(NDPI[name])


@settings(max_examples=1000, deadline=None)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", made(CIPHERS, KINDS, SIGNATURES, [b"h2"]), body(ALPN)]),
    st.integers(0, 400),
    st.sampled_from(["t", "q", "d"]),
)
def test_anything_may_come(tail: bytes, start: bytes, cut: int, transport: Literal["t", "q", "d"]) -> None:
    said = client_hello(start[:cut] + tail, transport)
    if said:
        assert (said.sni or "").isprintable()
        assert len(said.ja4) == 36
        assert said.ja4.isprintable()
