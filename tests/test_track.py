"""track.py: numbers add up, bytes come in order, holes are told, tables are capped."""

import itertools
import random

import pytest

from camguard.events import TCP, Packet
from camguard.track import FLOWS_MAX, HEAVY_MAX, HELD_MAX, Flow, Flows, Half
from tests.traffic import Connection, key_of

ACK = 16


def test_in_order_and_overlapping_and_repeated_segments_give_each_byte_once() -> None:
    half = Half(100)
    assert half.take(100, b"abc") == [(b"abc", False)]
    assert half.take(100, b"abc") == []
    assert half.take(101, b"bcde") == [(b"de", False)]
    assert half.take(105, b"f") == [(b"f", False)]


def test_early_bytes_wait_for_the_ones_before_them() -> None:
    half = Half(100)
    assert half.take(103, b"def") == []
    assert half.take(106, b"ghi") == []
    assert half.take(100, b"abc") == [(b"abc", False), (b"def", False), (b"ghi", False)]
    assert half.held_bytes == 0


def test_bytes_whose_predecessors_never_come_are_told_with_a_gap() -> None:
    half = Half(100)
    half.take(200, b"late")
    half.take(300, b"later")
    assert half.flush() == [(b"late", True), (b"later", True)]
    assert half.take(305, b"!") == [(b"!", False)]


def test_an_answer_behind_a_hole_is_not_waited_for() -> None:
    half = Half(100)
    half.take(150, b"early")
    assert half.take(5000, b"RTSP/1.0 200 OK") == [(b"early", True), (b"RTSP/1.0 200 OK", True)]


def test_sequence_numbers_wrap() -> None:
    half = Half(0xFFFFFFFF)
    assert half.take(0xFFFFFFFF, b"ab") == [(b"ab", False)]
    assert half.take(1, b"c") == [(b"c", False)]


def test_what_is_held_is_bounded() -> None:
    half = Half(100)
    for number in range(1000):
        half.take(1_000_000 - 1000 * number, b"x" * 900)
        assert half.held_bytes <= HELD_MAX


@pytest.mark.parametrize("seed", range(30))
def test_any_order_gives_the_same_bytes(seed: int) -> None:
    rng = random.Random(seed)
    message = bytes(rng.randrange(256) for _ in range(600))
    cuts = sorted({0, len(message), *(rng.randrange(600) for _ in range(6))})
    pieces = [(start, message[start : end + rng.randrange(5)]) for start, end in itertools.pairwise(cuts)]
    rng.shuffle(pieces)
    half = Half(1000)
    out = b"".join(data for start, piece in pieces for data, _ in half.take(1000 + start, piece))
    assert out + b"".join(data for data, _ in half.flush()) == message


def test_numbers_add_up_and_the_end_is_known() -> None:
    connection = Connection(key_of(), first_at=1.0)
    flows = Flows()
    flow = flows.count(connection.second(2.0, up=1000))
    flows.count(connection.second(3.0, up=500, down=70))
    assert (flow.bytes_up, flow.bytes_down) == (1500 + 54 * 2, 70 + 54)
    assert [second.up for second in flow.history or ()] == [1000, 500]
    assert not flow.over
    flows.count(connection.second(4.0, flags=0x1B))
    assert flow.over
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
    assert len(flows) == FLOWS_MAX - HEAVY_MAX
    assert flows.get(kept.key) is kept
    assert flows.counters["flows-evicted"] == HEAVY_MAX + 101


def test_a_flood_of_light_connections_evicts_no_heavy_one() -> None:
    flows = Flows()
    video = Connection(key_of(peer_port=1), first_at=0.0)
    flows.count(video.second(1.0, up=20_000))
    for number in range(FLOWS_MAX):
        flows.opened(key_of(host_port=1 + number % 60000, peer_port=2 + number // 60000), 1.0)
    assert flows.get(video.key) is not None
    for number in range(HEAVY_MAX + 10):
        flows.count(Connection(key_of(peer_port=9, host_port=1 + number), first_at=0.0).second(2.0, up=500))
    assert len(flows) <= FLOWS_MAX


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


def test_ports_that_are_used_again_are_a_new_dialogue() -> None:
    flows, key = Flows(), key_of()
    for start in (1000, 900_000):
        opening = segment(start, b"")._replace(tcp_flags=2)
        flows.content(key, True, opening)
        flow, pieces = flows.content(key, True, segment(start + 1, b"hello"))
        assert pieces == [(b"hello", False)]
        assert flow.talk
        flow.talk.faults += 1
    assert flow.talk.faults == 1
