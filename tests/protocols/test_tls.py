"""The name in a ClientHello, whatever it is split by."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, Reading, tls
from tests.protocols.hellos import ALPN, PADDING, body, hello, records, server_name, vector
from tests.protocols.streams import bytewise, cut_everywhere, hole_everywhere, run, whole

HELLO = records(hello(PADDING, server_name(b"P2P.Reolink.com"), ALPN))
#: 2 ciphers, 3 extensions; the hashes: `printf 1301,1302 | sha256sum`, `printf 0015 | sha256sum`, and of nothing.
JA4 = "t12d0203h2_62ed6f6ca7ad_4298e3b3ed58"
SAID = {"sni": "p2p.reolink.com", "alpn": ("h2", "http/1.1"), "ja4": JA4, "ech": False}
EXPECTED = [Reading("tls-hello", SAID, from_server=False)]


def test_a_hello() -> None:
    assert run(tls.read, [Chunk(True, HELLO)]) == (NOT_MINE, EXPECTED)


def test_cut_anywhere() -> None:
    assert run(tls.read, bytewise([(True, HELLO)]))[1] == EXPECTED
    for chunks in cut_everywhere([(True, HELLO)]):
        assert run(tls.read, chunks)[1] == EXPECTED


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_split_over_records(size: int) -> None:
    small = Reading("tls-hello", SAID | {"ja4": "t12d0202h2_62ed6f6ca7ad_000000000000"}, from_server=False)
    assert run(tls.read, [Chunk(False, records(hello(server_name(b"p2p.reolink.com"), ALPN), size))])[1] == [small]


def test_what_follows_the_hello_and_what_the_other_side_says_do_not_matter() -> None:
    chunks = [
        Chunk(True, HELLO[:50]),
        Chunk(False, b"\x15\x03\x03\x00\x02\x02\x28"),
        Chunk(True, HELLO[50:] + b"\x17\x03"),
    ]
    assert run(tls.read, chunks)[1] == EXPECTED


def test_a_hole_anywhere_gives_no_name() -> None:
    for _, chunks in hole_everywhere([(True, HELLO)], 3):
        assert run(tls.read, chunks)[1] == [], chunks


def test_a_dialogue_joined_at_its_hello_is_read_and_one_with_a_hole_is_not() -> None:
    assert run(tls.read, [Chunk(True, HELLO, gap=True)])[1] == EXPECTED
    assert run(tls.read, [Chunk(True, HELLO[:50]), Chunk(True, HELLO[60:], gap=True)]) == (NOT_MINE, [])


@pytest.mark.parametrize(
    ("handshake", "sni"),
    [
        (hello(), None),
        (hello(ALPN), None),
        (hello(server_name(b"cam\x1b[2J.example")), None),
        (hello(server_name(b"")), None),
        (hello(server_name(b"a" * 300)), None),
        (hello(server_name(b"host.example.")), "host.example"),
        (hello(server_name(b"_dns.my-host.example")), "_dns.my-host.example"),
    ],
)
def test_names(handshake: bytes, sni: str | None) -> None:
    assert [r.detail["sni"] for r in run(tls.read, [Chunk(True, records(handshake))])[1]] == [sni]


@pytest.mark.parametrize(
    "data",
    [
        records(b"\x02" + vector(bytes(70), 3)),  # a ServerHello: the start was missed
        b"\x17\x03\x03\x00\x20" + bytes(32),
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff" + bytes(100),
        b"\x16\x03\x09\x00\x10" + bytes(16),
        records(b"\x01\xff\xff\xff" + bytes(100)),
        b"GET / HTTP/1.1\r\n",
        b"\x80\x2e\x01\x03\x01",
    ],
)
def test_what_is_no_hello_is_given_up(data: bytes) -> None:
    assert run(tls.read, [Chunk(True, data)]) == (NOT_MINE, [])


@pytest.mark.parametrize(
    "broken",
    [
        body()[:-2] + b"\x07",
        body(server_name(b"a.example"))[:67] + b"\xff\xff" + body(server_name(b"a.example"))[69:],
        b"\x03\x03" + bytes(32) + b"\xff",
        body() + b"\x00\x05\x00\x00\x00\x09a",
    ],
)
def test_a_hello_whose_lengths_lie_is_odd(broken: bytes) -> None:
    state, readings = run(tls.read, [Chunk(True, records(b"\x01" + vector(broken, 3)))])
    assert (state, readings) == (NOT_MINE, [Reading("odd", {"name": "tls-hello"})])


def test_an_endless_hello_is_given_up() -> None:
    began = time.process_time()
    piece = b"\x16\x03\x01" + vector(b"\x01\x00\x7f\xff" + bytes(12000), 2)
    chunks = [Chunk(True, piece), *whole([(True, b"\x16\x03\x01" + vector(bytes(5), 2))] * 5000)]
    assert run(tls.read, chunks) == (NOT_MINE, [])
    assert time.process_time() - began < 0.5


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.one_of(st.binary(max_size=60), st.integers(0, 60).map(lambda n: HELLO[:n])), st.booleans()
        ),
        max_size=8,
    ),
    st.integers(0, len(HELLO) - 1),
    st.integers(0, 255),
)
def test_anything_may_come(chunks: list[tuple[bool, bytes, bool]], place: int, value: int) -> None:
    run(tls.read, [Chunk(*chunk) for chunk in chunks])
    run(tls.read, [Chunk(True, HELLO[:place] + bytes([value]) + HELLO[place + 1 :])])
