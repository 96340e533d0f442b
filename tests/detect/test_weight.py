"""weight.py: bursts of one connection are counted apart from each other."""

from camguard.detect.weight import BURSTS_MAX, Bursts
from camguard.track import Flow
from tests.traffic import Connection, key_of


def feed(bursts: Bursts, flow: Flow, connection: Connection, at: float, up: int = 0, down: int = 0) -> object:
    flow.add(connection.second(at, up=up, down=down))
    return bursts.counted(flow, at)


def test_two_clips_over_one_connection_are_two_bursts() -> None:
    bursts, connection = Bursts(), Connection(key_of(), first_at=0.0)
    flow = Flow(connection.key, 0.0)
    assert feed(bursts, flow, connection, 1.0, up=200_000) is None
    first = feed(bursts, flow, connection, 2.0, up=200_000)
    assert first is not None
    assert first.base_up == 0
    after_first = flow.bytes_up
    assert feed(bursts, flow, connection, 60.0, up=100_000) is None, "the second clip starts from nothing"
    second = feed(bursts, flow, connection, 61.0, up=200_000)
    assert second is not None
    assert (second.base_up, second.started_at) == (after_first, 59.0)


def test_heartbeats_never_weigh() -> None:
    bursts, connection = Bursts(), Connection(key_of(), first_at=0.0)
    flow = Flow(connection.key, 0.0)
    assert not [at for at in range(1, 3600) if feed(bursts, flow, connection, float(at), up=900, down=900)]


def test_the_table_is_capped() -> None:
    bursts = Bursts()
    for number in range(BURSTS_MAX + 50):
        connection = Connection(key_of(host_port=number % 60000 + 1, peer_port=number // 60000 + 1), first_at=0.0)
        feed(bursts, Flow(connection.key, 0.0), connection, 1.0, up=50_000)
    assert len(bursts._bursts) == BURSTS_MAX
