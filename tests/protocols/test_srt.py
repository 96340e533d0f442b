"""SRT handshakes: who calls, and that data flows; from real programs as well."""

import struct
import subprocess
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.protocols import NOT_MINE, srt
from tests.protocols.datagrams import cut_is_no_trouble, feed, free_port, gives_up, needs, wire
from tests.protocols.streams import Turn, run, whole

CALLER, LISTENER = 0x1111, 0x2222


def shake(word: int, *, version: int = 5, extension: int = 0, own: int = CALLER, to: int = 0, cipher: int = 0) -> bytes:
    head = struct.pack(">HHIII", 0x8000, 0, 0, 1000, to)
    body = struct.pack(">IHHIIIiII", version, cipher, extension, 77, 1500, 8192, word, own, 0x5EC12E7)
    return head + body + b"\x01\0\0\x7f" + bytes(12)


def data(to: int) -> bytes:
    return struct.pack(">IIII", 78, 0xC0000001, 2000, to) + bytes(1316)


CALL: list[Turn] = [
    (True, shake(1, version=4, extension=2)),
    (False, shake(1, extension=0x4A17, own=CALLER, to=CALLER)),
    (True, shake(-1, extension=5) + b"\0\5\0\4" + b"#!::u=admin,s=secret"),
    (False, shake(-1, extension=1, own=LISTENER, to=CALLER)),
    (True, data(LISTENER)),
]


def said(turns: list[Turn]) -> list[tuple[object, object, object]]:
    return [(r.detail["stage"], r.detail["caller"], r.from_server) for r in feed(srt.read, turns)]


def test_the_camera_calls() -> None:
    assert said(CALL) == [("induction", True, False), ("conclusion", True, False), ("data", True, None)]


def test_the_camera_is_called() -> None:
    turned = [(not up, payload) for up, payload in CALL]
    assert said(turned) == [("induction", False, False), ("conclusion", False, False), ("data", False, None)]


def test_first_seen_with_the_answer() -> None:
    assert said(CALL[1:])[0] == ("induction", True, True)


def test_rendezvous_refusal_and_encryption() -> None:
    assert said([(True, shake(0)), (False, shake(0, own=LISTENER))]) == [("rendezvous", None, None)]
    assert said([*CALL[:3], (False, shake(1002, to=CALLER))])[-1] == ("rejected", True, True)
    encrypted = feed(srt.read, [*CALL[:2], (True, shake(-1, extension=7, cipher=2))])
    assert [reading.detail["encrypted"] for reading in encrypted] == [False, True]
    assert "secret" not in repr(run(srt.read, whole(CALL[:4])))


@pytest.mark.parametrize(
    "payload",
    [
        shake(1)[:63],
        shake(1, version=3),
        shake(7),
        shake(5000),
        b"\x80\x01" + shake(1)[2:],
        shake(1)[:28] + bytes(4) + shake(1)[32:],
    ],
)
def test_no_handshake(payload: bytes) -> None:
    assert srt.handshake(payload) is None


def test_data_for_a_socket_that_nobody_named_says_nothing() -> None:
    state, readings = run(srt.read, whole([*CALL[:4], *[(True, data(0x3333))] * srt.WAITING_MAX]))
    assert [reading.detail["stage"] for reading in readings] == ["induction", "conclusion"]
    assert state is NOT_MINE


def test_other_talk_is_given_up() -> None:
    gives_up(srt.read)


def test_cut_datagrams() -> None:
    cut_is_no_trouble(srt.read, CALL)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.one_of(st.binary(max_size=90), st.sampled_from([p for _, p in CALL])))))
def test_anything_may_come(turns: list[Turn]) -> None:
    assert all(reading.what == "srt" for reading in feed(srt.read, turns))


@needs("srt-live-transmit")
@pytest.mark.parametrize("secret", ["", "&passphrase=a-secret-phrase&pbkeylen=16"])
def test_real_programs(secret: str) -> None:
    """srt-live-transmit calls another one and sends; the wire between them is read as the camera who calls."""
    port = free_port()
    listener = ["srt-live-transmit", "-q", f"srt://127.0.0.1:{port}?mode=listener{secret}", "file://con"]
    with wire(port) as carrier:
        caller = ["srt-live-transmit", "-q", "file://con", f"srt://127.0.0.1:{carrier.port}?mode=caller{secret}"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        ears = subprocess.Popen(listener, **quiet)
        mouth = subprocess.Popen(caller, stdin=subprocess.PIPE, **quiet)
        assert mouth.stdin
        try:
            stages: list[object] = []
            until = time.monotonic() + 60
            while "data" not in stages and time.monotonic() < until:
                mouth.stdin.write(bytes(1316))
                mouth.stdin.flush()
                time.sleep(0.02)
                stages = [reading.detail["stage"] for reading in feed(srt.read, carrier.said)]
        finally:
            for program in (mouth, ears):
                program.kill()
                program.communicate()
        readings = feed(srt.read, carrier.said)
    assert [reading.detail["stage"] for reading in readings] == ["induction", "conclusion", "data"]
    assert all(reading.detail["caller"] is True for reading in readings)
    assert readings[-1].detail["encrypted"] is bool(secret)
