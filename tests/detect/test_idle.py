"""idle.py: what is usual for a place, learned in hours and forgotten in a day."""

from camguard.detect.idle import PLACES_MAX, Idle
from camguard.events import Peer
from camguard.track import Flow
from tests.detect.wire import ip
from tests.traffic import Connection, key_of

NAMED = {"198.51.100.7": "a.maker.example", "198.51.100.8": "a.maker.example"}


def peer_of(flow: Flow) -> Peer:
    text = ".".join(map(str, flow.peer))
    return Peer(text, flow.peer_port, name=NAMED.get(text))


def talk(
    idle: Idle,
    begins: int,
    ends: int,
    *,
    peer: str = "198.51.100.7",
    up: int = 1000,
    each_s: int = 1,
    port: int = 40000,
) -> Flow:
    connection = Connection(key_of(peer, host_port=port), first_at=float(begins))
    flow = Flow(connection.key, float(begins))
    for at in range(begins, ends):
        if at % each_s == 0:
            flow.add(connection.second(float(at), up=up, packet_bytes=up))
            idle.add(flow)
        idle.tick(float(at))
    return flow


def test_three_hours_without_an_end_are_usual() -> None:
    idle = Idle(peer_of)
    flow = talk(idle, 0, 3 * 3600)
    assert idle.usual_kbps(flow, 3 * 3600) is None
    talk(idle, 3 * 3600, 3 * 3600 + 300)
    assert 8 <= (idle.usual_kbps(flow, 3 * 3600 + 300) or 0) <= 9
    assert 7 <= idle.now_kbps(flow, 3 * 3600 + 299) <= 9


def test_a_name_is_one_place_whatever_its_address() -> None:
    idle = Idle(peer_of)
    talk(idle, 0, 2 * 3600)
    flow = talk(idle, 2 * 3600, 4 * 3600, peer="198.51.100.8")
    assert idle.usual_kbps(flow, 4 * 3600)
    other = Flow(key_of("198.51.100.99"), 1.0)
    assert idle.usual_kbps(other, 4 * 3600) is None
    assert idle.knows(flow, 4 * 3600)
    assert not idle.knows(other, 4 * 3600)


def test_a_look_now_and_then_makes_nothing_usual() -> None:
    idle = Idle(peer_of)
    flow = None
    for hour in range(12):
        flow = talk(idle, 3600 * hour, 3600 * hour + 1800)
    assert flow
    assert idle.usual_kbps(flow, 12 * 3600) is None


def test_what_was_usual_is_forgotten_within_a_day() -> None:
    idle = Idle(peer_of)
    flow = talk(idle, 0, 4 * 3600)
    assert idle.usual_kbps(flow, 20 * 3600)
    assert idle.usual_kbps(flow, 29 * 3600) is None


def test_heartbeats_count_by_the_minute() -> None:
    idle = Idle(peer_of)
    flow = talk(idle, 0, 4 * 3600, up=1400, each_s=30)
    assert 0.2 <= (idle.usual_kbps(flow, 4 * 3600) or 0) <= 1.0


def test_the_tables_are_capped() -> None:
    idle = Idle(peer_of)
    for number in range(PLACES_MAX + 100):
        flow = Flow(key_of(".".join(map(str, ip(number)))), 1.0)
        flow.added_up = 5000
        idle.add(flow)
    idle.tick(1.0)
    idle.tick(62.0)
    assert len(idle._places) == PLACES_MAX
