"""The DTLS ClientHello, in fragments, after STUN, twice, and through a relay; from a real client as well."""

import random
import socket
import struct
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.protocols import NOT_MINE, dtls
from tests.protocols.datagrams import cut_is_no_trouble, feed, gives_up, needs
from tests.protocols.streams import run, whole
from tests.protocols.test_stun import ANSWER, CHECK, PEER, attribute, packet


def hello(name: bytes = b"cam.example", cookie: bytes = b"") -> bytes:
    sni = struct.pack(">HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack(">HH", 0, len(sni)) + sni + struct.pack(">HHHB", 16, 9, 7, 6) + b"webrtc"
    extensions += struct.pack(">HH", 21, 400) + bytes(400)
    body = b"\xfe\xfd" + bytes(range(32)) + b"\0" + bytes([len(cookie)]) + cookie + b"\0\2\xc0\x2b" + b"\1\0"
    return body + struct.pack(">H", len(extensions)) + extensions


def record(body: bytes, kind: int = 22, version: bytes = b"\xfe\xff", epoch: int = 0) -> bytes:
    return bytes([kind]) + version + struct.pack(">H", epoch) + bytes(6) + struct.pack(">H", len(body)) + body


def part(body: bytes, at: int, end: int, *, sequence: int = 0, kind: int = 1) -> bytes:
    head = struct.pack(">B", kind) + len(body).to_bytes(3, "big") + struct.pack(">H", sequence)
    return head + at.to_bytes(3, "big") + (min(end, len(body)) - at).to_bytes(3, "big") + body[at:end]


BODY = hello()
WHOLE = record(part(BODY, 0, len(BODY)))
PARTS = [record(part(BODY, at, at + 100)) for at in range(0, len(BODY), 100)]


def names(datagrams: list[bytes]) -> list[object]:
    return [reading.detail.get("sni") for reading in feed(dtls.read, [(True, data) for data in datagrams])]


def test_name_and_program() -> None:
    (reading,) = feed(dtls.read, [(True, WHOLE)])
    assert reading.what == "dtls-hello"
    assert reading.from_server is False
    assert reading.detail["sni"] == "cam.example"
    assert reading.detail["alpn"] == ("webrtc",)
    assert str(reading.detail["ja4"]).startswith("dd2d0103wc_")


@pytest.mark.parametrize("version", dtls.VERSIONS)
def test_versions(version: bytes) -> None:
    assert names([record(part(BODY, 0, len(BODY)), version=version)]) == ["cam.example"]


def test_after_stun_with_every_packet_twice() -> None:
    """The trap of zeek#5596."""
    turns = [(True, CHECK)] * 2 + [(False, ANSWER)] * 2 + [(False, CHECK)] * 20 + [(True, WHOLE)] * 2
    assert len(feed(dtls.read, turns)) == 1


def test_fragments_in_any_order_twice_and_overlapping() -> None:
    for seed in range(20):
        order = PARTS * 2 + [record(part(BODY, 50, 250))]
        random.Random(seed).shuffle(order)
        assert names(order) == ["cam.example"]
    assert names([record(b"".join(part(BODY, at, at + 90) for at in range(0, len(BODY), 90)))]) == ["cam.example"]


def test_a_missing_fragment_leaves_nothing_and_the_hello_with_a_cookie_counts() -> None:
    assert names(PARTS[:2] + PARTS[3:]) == []
    second = hello(b"second.example", b"cookie")
    again = record(part(second, 0, len(second), sequence=1))
    assert names([*PARTS[:2], again]) == ["second.example"]


def test_through_a_relay() -> None:
    assert names([packet(0x0016, PEER, attribute(0x13, WHOLE))]) == ["cam.example"]
    assert names([b"\x40\x01" + struct.pack(">H", len(WHOLE)) + WHOLE]) == ["cam.example"]


def test_what_is_encrypted_or_of_the_server_is_no_hello() -> None:
    assert names([record(part(BODY, 0, len(BODY)), epoch=1), record(part(BODY, 0, len(BODY), kind=2))]) == []
    assert names([record(part(BODY, 0, len(BODY)), kind=23)]) == []


def test_a_hello_that_lies_is_odd_and_a_huge_one_is_not_waited_for() -> None:
    broken = BODY[:-1]  # the extensions are said to be longer
    assert feed(dtls.read, [(True, record(part(broken, 0, len(broken))))])[0].detail == {"name": "dtls-hello"}
    huge = bytes(dtls.HELLO_MAX + 1)
    state, readings = run(dtls.read, whole([(True, record(part(huge, at, at + 500))) for at in range(0, 9000, 500)]))
    assert readings == []
    assert state is NOT_MINE


def test_memory_is_bounded() -> None:
    body = bytes(dtls.HELLO_MAX)
    state, _ = run(dtls.read, whole([(True, record(part(body, at, at + 1))) for at in range(0, 4000, 2)]))
    assert isinstance(state, dtls.State)
    assert len(state.parts) <= dtls.FRAGMENTS_MAX


def test_other_talk_is_given_up() -> None:
    gives_up(dtls.read, within=dtls.SHARED_MAX)


def test_cut_datagrams() -> None:
    cut_is_no_trouble(dtls.read, [(True, WHOLE), (True, PARTS[0]), (True, PARTS[1])])


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=120),
            st.binary(max_size=80).map(record),
            st.builds(lambda at, data: record(part(data, at % (len(data) + 1), 999)), st.integers(0, 60), st.binary()),
            st.sampled_from(PARTS),
        ),
        max_size=12,
    )
)
def test_anything_may_come(datagrams: list[bytes]) -> None:
    for reading in feed(dtls.read, [(True, data) for data in datagrams]):
        assert reading.what in ("dtls-hello", "odd")


@needs("openssl")
def test_a_real_client() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        where = f"127.0.0.1:{server.getsockname()[1]}"
        client = subprocess.Popen(
            ["openssl", "s_client", "-dtls1_2", "-mtu", "256", "-connect", where, "-servername", "cam.example"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            readings: list[object] = []
            state = None
            while not readings:
                state, news = dtls.read(state, whole([(True, server.recv(65536))])[0])
                readings += [reading.detail["sni"] for reading in news]
        finally:
            client.kill()
            client.communicate()
    assert readings == ["cam.example"]
