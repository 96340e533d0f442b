"""track.py: numbers add up, bytes come in order, holes are told, tables are capped."""

import random

import pytest

from camguard.events import TCP, Packet
from camguard.track import FLOWS_MAX, HELD_MAX, Flow, Flows, Half
from tests.traffic import Connection, key_of

SYN, ACK = 2, 16


def test_in_order_and_overlapping_and_repeated_segments_give_each_byte_once() -> None:
    half = Half()
    assert half.take(99, SYN, b"") == []
    assert half.take(100, ACK, b"abc") == [(b"abc", False)]
    assert half.take(100, ACK, b"abc") == []
    assert half.take(101, ACK, b"bcde") == [(b"de", False)]
    assert half.take(105, ACK, b"f") == [(b"f", False)]


def test_early_bytes_wait_for_the_ones_before_them() -> None:
    half = Half()
    half.take(99, SYN, b"")
    assert half.take(103, ACK, b"def") == []
    assert half.take(106, ACK, b"ghi") == []
    assert half.take(100, ACK, b"abc") == [(b"abc", False), (b"def", False), (b"ghi", False)]
    assert half.held_bytes == 0


def test_bytes_whose_predecessors_never_come_are_told_with_a_gap() -> None:
    half = Half()
    half.take(99, SYN, b"")
    half.take(200, ACK, b"late")
    half.take(300, ACK, b"later")
    assert half.flush() == [(b"late", True), (b"later", True)]
    assert half.take(305, ACK, b"!") == [(b"!", False)]


def test_an_answer_behind_a_hole_is_not_waited_for() -> None:
    half = Half()
    half.take(99, SYN, b"")
    half.take(150, ACK, b"early")
    assert half.take(5000, ACK, b"RTSP/1.0 200 OK") == [(b"early", True), (b"RTSP/1.0 200 OK", True)]


def test_sequence_numbers_wrap() -> None:
    half = Half()
    half.take(0xFFFFFFFE, SYN, b"")
    assert half.take(0xFFFFFFFF, ACK, b"ab") == [(b"ab", False)]
    assert half.take(1, ACK, b"c") == [(b"c", False)]


def test_what_is_held_is_bounded() -> None:
    half = Half()
    half.take(99, SYN, b"")
    for number in range(1000):
        half.take(1_000_000 - 1000 * number, ACK, b"x" * 900)
        assert half.held_bytes <= HELD_MAX


@pytest.mark.parametrize("seed", range(30))
def test_any_order_gives_the_same_bytes(seed: int) -> None:
    rng = random.Random(seed)
    message = bytes(rng.randrange(256) for _ in range(600))
    cuts = sorted({0, len(message), *(rng.randrange(600) for _ in range(6))})
    pieces = [(start, message[start : end + rng.randrange(5)]) for start, end in zip(cuts, cuts[1:], strict=False)]
    rng.shuffle(pieces)
    half = Half()
    half.take(999, SYN, b"")
    out = b"".join(data for start, piece in pieces for data, _ in half.take(1000 + start, ACK, piece))
    assert out + b"".join(data for data, _ in half.flush()) == message


def test_numbers_add_up_and_the_end_is_known() -> None:
    connection = Connection(key_of(), first_at=1.0)
    flows = Flows()
    flow = flows.count(connection.second(2.0, up=1000))
    flows.count(connection.second(3.0, up=500, down=70))
    assert (flow.payload_up, flow.payload_down) == (1500, 70)
    assert [second.up for second in flow.history or ()] == [1000, 500]
    assert not flow.ended
    flows.count(connection.second(4.0, flags=0x1B))
    assert flow.ended
    flows.count(connection.second(9.0, closed=True))
    assert flows.get(connection.key) is None


def test_who_opened_a_connection_is_unknown_when_its_opening_was_not_seen() -> None:
    flow = Flow(key_of(), 0.0)
    flow.add(Connection(key_of(), first_at=0.0, flags=0x18).second(1.0, up=10))
    assert flow.opened_by_camera is None
    flow.add(Connection(key_of(), first_at=0.0, flags=0x1A, first_up=False).second(2.0, up=10))
    assert flow.opened_by_camera is False


def test_the_table_of_connections_is_capped_and_keeps_what_carries_a_session() -> None:
    flows = Flows()
    kept = flows.opened(key_of(peer_port=1), 0.0)
    flows.kept = {kept.key}
    for number in range(FLOWS_MAX + 100):
        flows.opened(key_of(host_port=1 + number % 60000, peer_port=2 + number // 60000), 1.0)
    assert len(flows) == FLOWS_MAX
    assert flows.get(kept.key) is kept
    assert flows.counters["flows-evicted"] == 101


def segment(seq: int, data: bytes) -> Packet:
    return Packet(0.0, b"", b"", 0x0800, b"", b"", TCP, 0, 0, ACK, seq, data, len(data), len(data), None, False, 0)


def test_held_bytes_of_all_connections_are_bounded() -> None:
    flows = Flows()
    for number in range(900):
        key = key_of(host_port=1 + number)
        flows.content(key, True, segment(1, b"a"))
        flows.content(key, True, segment(100_000, b"x" * 15_000))
    assert flows.counters["bytes-held-dropped"] > 0
    assert len(flows.late()) <= 8 * 1024 * 1024 // 15_000 + 1
