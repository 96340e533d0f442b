"""STUN and TURN: the addresses, whoever is behind a relay, and nothing secret."""

import contextlib
import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, stun
from tests.protocols.datagrams import OTHERS, cut_is_no_trouble, feed, free_port, gives_up, needs, wire
from tests.protocols.streams import bytewise, cut_everywhere, hole_everywhere, run, whole

TRANSACTION = bytes(range(12))


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def xored(ip: str, port: int) -> bytes:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    packed, mask = socket.inet_pton(family, ip), stun.COOKIE + TRANSACTION
    hidden = bytes(a ^ b for a, b in zip(packed, mask, strict=False))
    return struct.pack(">BBH", 0, 2 if ":" in ip else 1, port ^ 0x2112) + hidden


def packet(kind: int, *attributes: bytes, cookie: bytes = stun.COOKIE) -> bytes:
    body = b"".join(attributes)
    return struct.pack(">HH", kind, len(body)) + cookie + TRANSACTION + body


USER = attribute(6, b"a-secret-user:other")
SECRETS = (
    USER
    + attribute(0x14, b"a-secret-realm")
    + attribute(0x15, b"a-secret-nonce")
    + attribute(8, b"a-secret-digest!!!!!")
)
ASK = packet(0x0001)
CHECK = packet(0x0001, USER, attribute(0x802A, bytes(8)), attribute(0x25, b""), attribute(0x24, bytes(4)))
ANSWER = packet(0x0101, attribute(0x20, xored("198.51.100.7", 40000)), attribute(0x8022, b"Coturn-4.6"))
PEER = attribute(0x12, xored("203.0.113.9", 5000))
PERMIT = packet(0x0008, PEER, attribute(0x12, xored("2001:db8::9", 6000)), SECRETS)
BIND = packet(0x0009, attribute(0x0C, b"\x40\x01\0\0"), PEER, SECRETS)
ALLOCATED = packet(0x0103, attribute(0x16, xored("192.0.2.1", 49152)), attribute(0x20, xored("198.51.100.7", 40000)))


def detail(payload: bytes) -> dict[str, object]:
    readings = feed(stun.read, [(True, payload)])
    return dict(readings[0].detail) if readings else {}


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (ASK, {"method": "binding", "cls": "request", "mapped": None, "peer": None, "role": None}),
        (CHECK, {"role": "controlling", "nominated": True, "software": None}),
        (packet(0x0001, attribute(0x8029, bytes(8))), {"role": "controlled", "nominated": False}),
        (ANSWER, {"cls": "success", "mapped": "198.51.100.7:40000", "software": "Coturn-4.6"}),
        (packet(0x0101, attribute(0x20, xored("2001:db8::7", 9))), {"mapped": "[2001:db8::7]:9"}),
        (packet(0x0101, attribute(1, b"\0\1\x9c\x40\xc6\x33\x64\x07")), {"mapped": "198.51.100.7:40000"}),
        (packet(0x0113, attribute(9, b"\0\0\x04\x01Unauthorized"), SECRETS), {"method": "allocate", "error": 401}),
        (ALLOCATED, {"relayed": "192.0.2.1:49152", "mapped": "198.51.100.7:40000"}),
        (packet(0x001C, PEER), {"method": "connection-attempt", "cls": "indication", "peer": "203.0.113.9:5000"}),
        (packet(0x0016, PEER, attribute(0x13, b"xx")), {"method": "send", "peer": "203.0.113.9:5000"}),
        (packet(0x3EEF), {"method": "0xfff", "cls": "request"}),
    ],
)
def test_what_a_message_says(payload: bytes, says: dict[str, object]) -> None:
    assert says.items() <= detail(payload).items()


def test_each_far_end_of_a_permission_is_told() -> None:
    told = [reading.detail["peer"] for reading in feed(stun.read, [(True, PERMIT)])]
    assert told == ["203.0.113.9:5000", "[2001:db8::9]:6000"]


def test_who_said_it() -> None:
    turns = [(True, ASK), (False, ANSWER), (False, packet(0x0017, PEER, attribute(0x13, b"hi")))]
    assert [reading.from_server for reading in feed(stun.read, turns)] == [False, True, True]


def test_repeats_are_told_once_and_another_far_end_anew() -> None:
    """The trap of zeek#5596: each packet twice; and keep-alives for hours before the next call."""
    turns = [(True, ASK), (True, ASK), (False, ANSWER), (False, ANSWER)] * 500 + [(False, packet(0x0017, PEER))]
    assert [reading.detail["method"] for reading in feed(stun.read, turns)] == ["binding", "binding", "data"]


def test_many_far_ends_are_told_and_memory_stays_bounded() -> None:
    turns = [(False, packet(0x0017, attribute(0x12, xored("203.0.113.9", port)))) for port in range(1, 500)]
    state, readings = run(stun.read, whole(turns))
    assert len(readings) == 499
    assert isinstance(state, stun.State)
    assert len(state.told) <= stun.TOLD_MAX


def test_what_a_relay_carries_is_read_with_its_far_end() -> None:
    inside = packet(0x0017, PEER, attribute(0x13, CHECK))
    assert [(r.detail["method"], r.detail["peer"], r.detail["role"]) for r in feed(stun.read, [(False, inside)])] == [
        ("data", "203.0.113.9:5000", None),
        ("binding", "203.0.113.9:5000", "controlling"),
    ]
    channel = b"\x40\x01" + struct.pack(">H", len(CHECK)) + CHECK
    assert [(r.detail["method"], r.detail["peer"]) for r in feed(stun.read, [(True, BIND), (False, channel)])] == [
        ("channel-bind", "203.0.113.9:5000"),
        ("binding", "203.0.113.9:5000"),
    ]
    assert stun.inside(channel) == CHECK
    assert stun.inside(inside) == CHECK
    assert stun.inside(ASK) is None


@pytest.mark.parametrize(
    ("payload", "is_stun"),
    [
        (packet(0x0001, attribute(3, b"\0\0\0\6"), cookie=b"abcd"), True),
        (packet(0x0101, attribute(1, b"\0\1\x9c\x40\xc6\x33\x64\x07"), cookie=b"abcd"), True),
        (packet(0x0111, attribute(9, b"\0\0\4\0"), cookie=b"abcd"), True),
        (packet(0x0001, cookie=b"abcd"), False),  # nothing that only STUN has
        (packet(0x0001, attribute(0x24, bytes(4)), cookie=b"abcd"), False),  # PRIORITY came with the cookie
        (packet(0x0001, attribute(0x101, bytes(20)), cookie=b"abcd"), False),  # Zoom's own
        (packet(0x0003, attribute(3, b"\0\0\0\6"), cookie=b"abcd"), False),
        (packet(0x0101, attribute(1, b"\0\3\x9c\x40\xc6\x33\x64\x07"), cookie=b"abcd"), False),
        (packet(0x0001, attribute(3, b"\0\0\0\6"), cookie=b"abcd") + b"x", False),
    ],
)
def test_the_old_form_only_where_it_is_sure(payload: bytes, is_stun: bool) -> None:
    assert (stun.message(payload) is not None) is is_stun


def test_a_last_attribute_without_padding() -> None:
    """In the corpus' arkime_stun.pcap."""
    body = attribute(0x24, bytes(4)) + struct.pack(">HH", 9, 5) + b"\0\0\4\1x"
    assert detail(struct.pack(">HH", 0x0113, len(body)) + stun.COOKIE + TRANSACTION + body)["error"] == 401


def test_no_secret_leaves() -> None:
    turns = [(True, packet(kind, SECRETS, PEER)) for kind in (1, 3, 4, 8, 9, 0x16, 0x0113)]
    readings = feed(stun.read, turns)
    assert len(readings) == 7
    assert "secret" not in repr(readings)
    assert "secret" not in repr(run(stun.read, whole(turns))[0])


def test_lengths_that_lie_are_odd() -> None:
    assert feed(stun.read, [(True, ASK[:2] + b"\0\x08" + ASK[4:])])[0].detail == {"name": "stun-message"}


def test_other_talk_is_given_up() -> None:
    gives_up(stun.read)
    state, _ = run(stun.read, whole([(True, other) for other in OTHERS[:6]] + [(True, ASK)] + [(True, b"\x80")] * 90))
    assert isinstance(state, stun.State)


def test_cut_datagrams() -> None:
    cut_is_no_trouble(stun.read, [(True, CHECK), (False, ANSWER), (True, BIND), (True, PERMIT)])


DIALOGUE = [(True, packet(0x0003, SECRETS)), (False, ALLOCATED), (True, PERMIT + BIND), (False, packet(0x0017, PEER))]
PREFIXED = [(up, struct.pack(">H", len(data)) + data) for up, data in ((True, CHECK), (False, ANSWER))]


@pytest.mark.parametrize("turns", [DIALOGUE, PREFIXED])
def test_over_tcp_however_it_is_cut(turns: list[tuple[bool, bytes]]) -> None:
    expected = feed(stun.read_stream, turns)
    assert len(expected) in (6, 2)
    assert run(stun.read_stream, bytewise(turns))[1] == expected
    for chunks in cut_everywhere(turns):
        assert run(stun.read_stream, chunks)[1] == expected
    for _, chunks in hole_everywhere(turns, 7):
        assert {r.detail.get("peer") for r in run(stun.read_stream, chunks)[1]} <= {
            None,
            "203.0.113.9:5000",
            "[2001:db8::9]:6000",
        }


def test_channels_over_tcp_are_padded_and_large_ones_passed_over() -> None:
    large = b"\x40\x01" + struct.pack(">H", 40001) + bytes(40004)
    turns = [(True, BIND), (False, large), (False, packet(0x0017, attribute(0x12, xored("203.0.113.10", 7))))]
    for chunks in (
        whole(turns),
        [Chunk(up, data[at : at + 999]) for up, data in turns for at in range(0, len(data), 999)],
    ):
        assert [reading.detail["peer"] for reading in run(stun.read_stream, chunks)[1]] == [
            "203.0.113.9:5000",
            "203.0.113.10:7",
        ]


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 9, b"SSH-2.0-x\r\n", bytes(40)]
)
def test_other_streams_are_given_up(data: bytes) -> None:
    assert run(stun.read_stream, [Chunk(True, data)]) == (NOT_MINE, [])
    assert run(stun.read_stream, bytewise([(True, data)]))[0] is NOT_MINE


def test_a_relayed_connection_is_given_up_when_it_begins() -> None:
    """RFC 6062: after ConnectionBind the bytes are the ends' own."""
    turns = [(True, packet(0x000B)), (False, packet(0x010B))] + [(False, b"\x24" + bytes(99))] * 9
    state, readings = run(stun.read_stream, whole(turns))
    assert state is NOT_MINE
    assert [reading.detail["method"] for reading in readings] == ["connection-bind"] * 2


pieces = st.one_of(
    st.binary(max_size=80),
    st.sampled_from([ASK, CHECK, ANSWER, PERMIT, BIND, ALLOCATED]),
    st.builds(packet, st.integers(0, 0x3FFF), st.binary(max_size=60)),
    st.binary(max_size=60).map(lambda body: b"\x40\x01" + struct.pack(">H", len(body)) + body),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.booleans(), pieces, st.booleans()), max_size=12))
def test_anything_may_come(parts: list[tuple[bool, bytes, bool]]) -> None:
    chunks = [Chunk(up, data or b"\0", gap) for up, data, gap in parts]
    for reader in (stun.read, stun.read_stream):
        for reading in run(reader, chunks)[1]:
            assert reading.what in ("stun", "odd")


# ---- a real relay ----


@needs("turnserver")
@pytest.mark.parametrize("by", ["channels", "indications"])
def test_a_real_relay_and_its_client(by: str, tmp_path: Path) -> None:
    """coturn between its own client (as the camera) and its own peer: the far end is named, the password is not."""
    port, far = free_port(), free_port()
    here = ["-L", "127.0.0.1", "-p"]
    relay = ["turnserver", "-n", *here, str(port), "-E", "127.0.0.1", "--allow-loopback-peers", "--no-cli", "--no-tls"]
    relay += ["--no-dtls", "--db", str(tmp_path / "db"), "--pidfile", str(tmp_path / "pid"), "--log-file", "stdout"]
    relay += ["--lt-cred-mech", "-u", "a-secret-user:a-secret-password", "-r", "a-secret-realm"]
    with wire(port) as carrier:
        call = ["turnutils_uclient", *here, str(carrier.port), "-e", "127.0.0.1", "-r", str(far), "-n", "3", "-m", "1"]
        call += ["-u", "a-secret-user", "-w", "a-secret-password", "-c", *(["-s"] if by == "indications" else [])]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        running = [subprocess.Popen(relay, **quiet), subprocess.Popen(["turnutils_peer", *here, str(far)], **quiet)]
        try:
            _listens(port)
            subprocess.run([*call, "127.0.0.1"], check=True, capture_output=True, timeout=120)
        finally:
            for program in running:
                program.kill()
                program.wait()
        readings = [reading for turns in carrier.flows.values() for reading in feed(stun.read, turns)]
    said = {(r.detail["method"], r.detail["cls"], r.detail["error"]) for r in readings}
    assert {("allocate", "request", None), ("allocate", "error", 401), ("allocate", "success", None)} <= said
    assert all(str(r.detail["relayed"]).startswith("127.0.0.1:") for r in readings if r.detail["relayed"])
    used = {"channels": ("channel-bind", "request", None), "indications": ("send", "indication", None)}[by]
    assert used in said
    assert f"127.0.0.1:{far}" in {r.detail["peer"] for r in readings}
    assert "secret" not in repr(readings)


def _listens(port: int) -> None:
    """Until the relay answers; a call of its client that comes too early fails."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.2)
        probe.connect(("127.0.0.1", port))
        until = time.monotonic() + 60
        while time.monotonic() < until:
            with contextlib.suppress(ConnectionError, TimeoutError):
                probe.send(ASK)
                if stun.message(probe.recv(2048)):
                    return
    raise AssertionError("the relay does not answer")
