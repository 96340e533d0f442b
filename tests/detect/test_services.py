"""Known services and new ones: learning, ports given out by chance, caps, what is kept for the next run."""

from camguard.detect.services import SERVICES_MAX, Services
from camguard.track import Flow
from tests.traffic import key_of


def flow(port: int, number: int = 1) -> Flow:
    return Flow(key_of(host_port=port, peer_port=50_000 + number), 0.0)


def learned(learn_s: float = 60.0) -> Services:
    """Services that have looked at camera "a" long enough."""
    table = Services(learn_s)
    for at in (0.0, 60.0):
        table.looks("a")
        table.tick(at)
    table.take_new()
    return table


def test_a_camera_is_learned_only_while_it_is_seen() -> None:
    table = Services(600.0)
    for minute in range(30):
        if minute % 3 == 0:
            table.looks("a")
        table.tick(minute * 60.0)
    assert table.is_new("a", flow(80), 2000.0, excused=False) is False
    (eighty, looked) = sorted(table.take_new(), key=lambda one: -one[2])
    assert eighty == ("a", "tcp", 80, 2000.0, 2000.0)
    assert looked[2:] == (0, 0.0, 540.0)
    table.looks("a")
    table.tick(3000.0)  # a stop in between counts for two minutes at most
    assert table.is_new("a", flow(23), 3001.0, excused=False) is True
    assert table.is_new("a", flow(23, 2), 3002.0, excused=False) is False
    assert table.is_new("b", flow(23), 3003.0, excused=False) is False, "each camera by itself"


def test_ports_that_are_given_out_by_chance() -> None:
    table = learned()
    for number in range(5):
        assert not table.is_new("a", flow(50_001, number), 1000.0 * number, excused=False)
    for number in range(500):  # FTP transfers
        assert not table.is_new("a", flow(33_000 + number), float(number), excused=False)
    assert not table.is_new("a", flow(37_777, 1), 1000.0, excused=False)
    assert not table.is_new("a", flow(37_777, 1), 2000.0, excused=False), "the same connection"
    assert not table.is_new("a", flow(37_777, 2), 1010.0, excused=False), "and one beside it"
    assert table.is_new("a", flow(37_777, 3), 1100.0, excused=False)


def test_the_last_use_is_kept_once_an_hour() -> None:
    table = learned()
    table.is_new("a", flow(80), 0.0, excused=True)
    assert [one[2:] for one in table.take_new()] == [(80, 0.0, 0.0)]
    for at in range(0, 7200, 60):
        table.is_new("a", flow(80, at), float(at), excused=False)
    assert [one[2:] for one in table.take_new()] == [(80, 0.0, 3600.0)]
    other = Services(60.0)
    other.resume([("a", "tcp", 80, 0.0, 3600.0), ("a", "tcp", 0, 0.0, 60.0)])
    assert not other.is_new("a", flow(80), 9000.0, excused=False)
    assert other.is_new("a", flow(23), 9000.0, excused=False)
    other.keep(["b"])
    assert not other.is_new("a", flow(24), 9000.0, excused=False), "another camera of that name is learned anew"


def test_a_camera_that_answers_everywhere() -> None:
    table = learned()
    found = [table.is_new("a", flow(port), 100.0, excused=False) for port in range(1, 1000)]
    assert sum(found) == SERVICES_MAX
    assert table.counters["services-refused"] == 999 - SERVICES_MAX
