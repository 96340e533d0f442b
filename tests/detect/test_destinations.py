"""Places that a camera never talked to: what is one, when the owner is told, and what a P2P service does not cause."""

from collections.abc import Iterable

from camguard.detect.destinations import DAY_S, KNOWN_MAX, MET_MAX, WAITING_MAX, Destinations
from camguard.events import SYN, FlowCount, Peer
from camguard.track import Flow
from tests.detect.wire import LAPTOP, answered, camera_of, count, datagram, ip, peer_of, seconds

CLOUD, CLOUD2, BARE, NAMELESS = ip(1), ip(2), ip(3), ip(4)
PEERS = {
    CLOUD: Peer("198.18.0.1", 443, name="p2p1.reolink.com", asn=16509, org="Amazon", country="Ireland"),
    CLOUD2: Peer("198.18.0.2", 443, name="api.reolink.com", asn=16509, org="Amazon", country="Ireland"),
    BARE: Peer("198.18.0.3", 9000, asn=16276, org="OVH", country="France"),
    NAMELESS: Peer("198.18.0.4", 9000),
}
QUIET: list[FlowCount] = []


def domain_of(name: str) -> str | None:
    return ".".join(name.split(".")[-2:])


def destinations(learn_s: float = 0.0, known: Iterable[tuple[str, str, float]] = ()) -> Destinations:
    return Destinations(camera_of, peer_of(PEERS), domain_of, known=known, learn_s=learn_s)


def talk(peer: bytes, n: int = 0, **changed: object) -> list[FlowCount]:
    return [answered(peer, 1.0, host_port=30000 + n, peer_port=443, **changed)]


def test_a_domain_is_told_once_whatever_its_hosts() -> None:
    table = destinations()
    (finding,) = seconds(table, [talk(CLOUD), QUIET, QUIET, talk(CLOUD2), QUIET, QUIET, talk(CLOUD, 1), QUIET, QUIET])
    assert (finding.type, finding.camera, finding.key) == ("new-destination", "camera 1", "reolink.com")
    assert (finding.severity, finding.told, finding.notice) == ("info", True, "new-destination")
    assert finding.words == "first talk to reolink.com"
    assert finding.peer
    assert finding.peer.name == "p2p1.reolink.com"
    places = ("network AS16509 Amazon", "country Ireland", "reolink.com")
    assert table.take_new() == [("camera 1", place, 1.0) for place in places]
    assert table.take_new() == []
    assert [table.since("camera 1", place) for place in (*places, "country France")] == [1.0, 1.0, 1.0, None]
    assert table.since("camera 2", "reolink.com") is None


def test_a_bare_address_is_said_in_words_by_its_owner() -> None:
    first, second = seconds(destinations(), [[*talk(BARE), *talk(NAMELESS, 1)], QUIET, QUIET])
    assert first.key == "AS16276 OVH"
    assert first.words == ("first talk to 198.18.0.3 (OVH, France), an address that no look-up of a name explains")
    assert first.detail["bare"] == 1
    assert second.key == "198.18.0.4"
    assert "198.18.0.4, an address that no look-up" in second.words


def test_a_name_that_comes_after_the_first_packets_still_counts() -> None:
    late: dict[bytes, Peer] = {}
    table = Destinations(camera_of, peer_of(late), domain_of, learn_s=0.0)
    seconds(table, [talk(CLOUD)])
    late[CLOUD] = PEERS[CLOUD]
    assert [finding.key for finding in seconds(table, [QUIET, QUIET, QUIET], began_at=2.0)] == ["reolink.com"]


def test_a_name_server_outside_is_a_place_by_itself() -> None:
    asks = [datagram(BARE, 1.0, peer_port=53, down=1)]
    told = seconds(destinations(), [asks, talk(BARE), QUIET, QUIET, asks, QUIET, QUIET])
    assert [finding.key for finding in told] == ["name server 198.18.0.3", "AS16276 OVH"]
    assert told[0].words == "asks a name server outside your home for names: 198.18.0.3 (OVH, France)"
    assert told[0].detail["name_server"] == 1
    home = bytes((192, 168, 1, 1))
    assert seconds(destinations(), [[datagram(home, 1.0, peer_port=53, down=1)], QUIET, QUIET]) == []


def test_time_servers_without_a_name_are_one_place() -> None:
    asks = [[datagram(ip(10 + n), 1.0, peer_port=123, down=1)] for n in range(12)]
    assert [finding.key for finding in seconds(destinations(), [*asks, QUIET, QUIET])] == ["time servers"]


def test_only_talk_that_the_camera_began_and_that_was_answered() -> None:
    none = [
        *talk(BARE, first_up=False),
        count(BARE, 1.0, peer_port=443),
        count(BARE, 1.0, host_port=554, peer_port=443, down=2, flags_up=0x14, flags_down=SYN, first_up=False),
        datagram(BARE, 1.0),
        datagram(BARE, 1.0, down=3, first_up=False),
        datagram(ip(9), 1.0, down=1, mac=LAPTOP),
    ]
    assert seconds(destinations(), [none, QUIET, QUIET, QUIET]) == []


def test_the_first_day_is_for_the_log_only() -> None:
    table = destinations(learn_s=DAY_S)
    early = seconds(table, [talk(CLOUD), QUIET, QUIET])
    late = seconds(table, [talk(BARE), QUIET, QUIET], began_at=DAY_S + 2.0)
    assert [(finding.key, finding.told) for finding in (*early, *late)] == [
        ("reolink.com", False),
        ("AS16276 OVH", True),
    ]


def test_what_an_earlier_run_knew_is_not_new_and_its_first_day_counts() -> None:
    table = destinations(learn_s=DAY_S, known=[("camera 1", "reolink.com", -2 * DAY_S), ("other", "x.org", 0.0)])
    told = seconds(table, [talk(CLOUD), talk(BARE), QUIET, QUIET])
    assert [(finding.key, finding.told) for finding in told] == [("AS16276 OVH", True)]


def test_peers_of_a_p2p_service_are_a_few_and_then_a_number_a_day() -> None:
    peers = {ip(n): Peer(f"peer {n}", asn=n + 1, org=f"Provider {n}") for n in range(400)}
    table = Destinations(camera_of, peer_of(peers), domain_of, learn_s=0.0)
    day = [[datagram(ip(n), 1.0, down=2)] for n in range(46)]
    first = seconds(table, [*day, QUIET, QUIET])
    assert [finding.key for finding in first] == [f"AS{n + 1} Provider {n}" for n in range(5)]
    (rest,) = seconds(table, [QUIET], began_at=DAY_S + 2.0)
    assert rest.words == "and 41 more new places within a day, most of them without a name"
    assert (rest.told, rest.detail["places"]) == (True, 41)
    again = seconds(table, [*day, [datagram(ip(99), 1.0, down=2)], QUIET, QUIET], began_at=DAY_S + 4.0)
    assert [finding.key for finding in again] == ["AS100 Provider 99"], "a new day; what is known is not new"


def test_tables_are_capped() -> None:
    peers = {ip(n): Peer(f"peer {n}", asn=n + 1) for n in range(3000)}
    table = Destinations(camera_of, peer_of(peers), domain_of, learn_s=0.0)
    told = seconds(table, [[datagram(ip(n), 1.0, down=2) for n in range(k, k + 100)] for k in range(0, 3000, 100)])
    seconds(table, [QUIET] * 3, began_at=60.0)
    assert len(told) == 5
    camera = table._cameras["camera 1"]
    assert len(camera.known) == KNOWN_MAX
    assert len(table._met[1]) <= MET_MAX
    assert len(table._waiting) <= WAITING_MAX
    assert table.counters["destinations-evicted"] > 0


def test_cameras_with_other_numbers() -> None:
    table = destinations()
    seconds(table, [talk(CLOUD)])
    table.drop({1})
    assert seconds(table, [QUIET, QUIET, QUIET], began_at=5.0) == []


def test_a_connection_that_ran_before_the_guard_is_a_place_as_well() -> None:
    running = answered(BARE, 1.0, host_port=40000, peer_port=443, flags_up=0x10, flags_down=0x10)
    assert Flow(running.key, 1.0).was_running is False
    assert [finding.key for finding in seconds(destinations(), [[running], QUIET, QUIET])] == ["AS16276 OVH"]
