"""A port scan of a camera: which touches make one, whose it is, how grave, and what is none."""

import random
import tracemalloc
from collections.abc import Iterable

from camguard.detect.scan import DOORS_MAX, OTHERS, TOLD_MAX, Scans
from camguard.events import ACK, FIN, RST, SYN, UDP, Finding, FlowCount, Peer
from camguard.track import Flows
from tests.detect.wire import GROUP, LAPTOP, answered, camera_of, count, ip, peer_of, refused, seconds

HOME = bytes((192, 168, 1, 30))


def found(told: Iterable[Iterable[FlowCount]], peers: dict[bytes, Peer] | None = None) -> list[Finding]:
    return seconds(Scans(camera_of, peer_of(peers)), told)


def scan(ports: Iterable[int], peer: bytes = HOME, **changed: object) -> list[FlowCount]:
    return [refused(peer, 1.0, port, mac=LAPTOP, **changed) for port in ports]


def test_fifteen_ports_within_a_minute_and_not_fourteen() -> None:
    assert found([scan([n]) for n in range(14)]) == []
    (finding,) = found([scan([n]) for n in range(1, 16)])
    assert (finding.type, finding.camera, finding.key, finding.severity) == (
        "port-scan",
        "camera 1",
        "192.168.1.30",
        "info",
    )
    assert finding.evidence == ("tried 15 ports of the camera in 14 seconds",)
    assert finding.detail == {"ports": 15, "open": 0, "seconds": 14}
    assert finding.at == 1.0


def test_a_whole_scan_is_one_matter_and_the_last_word_has_its_size() -> None:
    ports = list(range(1, 1001))
    told = found([*(scan(ports[n : n + 10]) for n in range(0, 1000, 10)), scan([4000])])
    assert {finding.key for finding in told} == {"192.168.1.30"}
    assert [finding.detail["ports"] for finding in told] == [20, 620]


def test_slowly_fifty_in_an_hour() -> None:
    slow = [scan([n // 65]) if n % 65 == 0 else [] for n in range(65 * 60)]
    finding = found(slow)[0]
    assert finding.detail["ports"] == 50
    assert found([scan([n // 80]) if n % 80 == 0 else [] for n in range(80 * 120)]) == []


def test_ports_that_ignore_it_count_as_well() -> None:
    silent = [
        count(HOME, 1.0, host_port=n, first_up=False, up=0, down=1, flags_up=0, flags_down=SYN) for n in range(20)
    ]
    assert len(found([silent])) == 1


def test_datagrams_count_and_are_said() -> None:
    datagrams = [count(HOME, 1.0, proto=UDP, host_port=n, first_up=False, up=0, down=1) for n in range(1, 21)]
    (finding,) = found([datagrams])
    assert finding.evidence[0] == "tried 20 ports (UDP) of the camera in 1 seconds"
    answers = [one._replace(packets_up=1, payload_up=40) for one in datagrams]
    assert found([answers]) == [], "they were answered"


def test_answers_to_what_the_camera_asked_everybody_are_no_touches() -> None:
    """A camera that looks for the router by SSDP each minute, from a new port each time (miniupnpc does)."""
    group = bytes((239, 255, 255, 250))
    for first, last in ((0, 1), (1, 0)):
        told = []
        for port in range(40000, 40060):
            asks = count(group, 1.0, proto=UDP, host_port=port, peer_port=1900, mac=GROUP)
            answer = count(HOME, 1.0, proto=UDP, host_port=port, peer_port=1900, first_up=False, up=0, down=3)
            told.append([(asks, answer)[first], (asks, answer)[last]])
        assert found(told) == []
    touches = [count(HOME, 1.0, proto=UDP, host_port=n, first_up=False, up=0, down=1) for n in range(39_990, 40_010)]
    assert found([*told, touches]) == [], "ten of them"
    assert len(found([*told, touches, scan(range(1, 6))])) == 1


def test_scans_without_a_syn() -> None:
    for flags in (FIN, 0, FIN | 8 | 32):
        assert len(found([scan(range(1, 17), flags_down=flags)])) == 1, flags


def test_an_open_door_makes_it_a_warning() -> None:
    opened = answered(HOME, 1.0, host_port=554, first_up=False, flags_down=SYN | RST, mac=LAPTOP)
    (finding,) = found([[opened, *scan(range(1, 21))]])
    assert finding.severity == "warning"
    assert finding.detail == {"ports": 21, "open": 1, "seconds": 1}
    assert finding.evidence[1] == "1 of them open: 554"
    later = found([scan(range(1, 21)), [opened]])
    assert [finding.severity for finding in later] == ["info", "warning"], "told again at once when it gets somewhere"


def test_from_outside_it_is_a_warning() -> None:
    (finding,) = found([[refused(ip(1), 1.0, port) for port in range(1, 21)]])
    assert finding.severity == "warning"
    assert finding.peer
    assert finding.peer.ip == "198.18.0.1"


def test_the_owners_own_device_is_told_of_but_no_warning() -> None:
    peers = {HOME: Peer("192.168.1.30", scope="lan", device="laptop")}
    opened = answered(HOME, 1.0, host_port=554, first_up=False, flags_down=SYN | RST, mac=LAPTOP)
    (finding,) = found([[opened, *scan(range(1, 21))]], peers)
    assert (finding.severity, finding.key) == ("info", "laptop")


def test_after_ten_quiet_minutes_it_is_told_anew() -> None:
    told = found([scan(range(1, 21)), *[[]] * 601, scan(range(1, 21))])
    assert [finding.detail["ports"] for finding in told] == [20, 20]


# ---- what is none ----


def test_one_port_is_no_scan_however_often() -> None:
    assert found([[refused(HOME, 1.0, 23, peer_port=1024 + n, mac=LAPTOP)] for n in range(600)]) == []


def test_one_port_of_many_cameras_is_no_scan() -> None:
    assert found([[refused(HOME, 1.0, 23, host=n, mac=LAPTOP) for n in range(1, 60)]]) == []


def test_what_the_camera_began_is_none() -> None:
    dialled = [answered(ip(1), 1.0, host_port=30000 + n, peer_port=443) for n in range(100)]
    failed = [count(ip(1), 1.0, host_port=30000 + n, peer_port=443, down=1, flags_down=RST | ACK) for n in range(100)]
    assert found([dialled, failed]) == []


def test_ends_of_connections_that_are_forgotten_are_none() -> None:
    late = [
        refused(ip(1), 1.0, 30000 + n, peer_port=443, flags_down=flags, flags_up=RST)
        for n, flags in enumerate([FIN | ACK, RST, RST | ACK, ACK] * 20)
    ]
    assert found([late]) == []


def test_only_what_the_server_sends_is_seen() -> None:
    answers = [
        count(ip(1), 1.0, host_port=30000 + n, up=0, down=3, flags_up=0, flags_down=SYN | ACK, first_up=False)
        for n in range(60)
    ]
    assert found([answers]) == []


def test_a_viewer_that_uses_several_open_doors_is_none() -> None:
    doors = [answered(HOME, 1.0, host_port=port, first_up=False, mac=LAPTOP) for port in range(8000, 8040)]
    assert found([doors] * 5) == []


# ---- limits ----


def test_invented_sources_are_few_matters() -> None:
    told = found([[refused(ip(100 + n), 1.0, port) for port in range(1, 17)] for n in range(60)])
    keys = [finding.key for finding in told]
    assert len(told) == 60
    assert len(set(keys)) == TOLD_MAX + 1
    assert keys.count(OTHERS) == 60 - TOLD_MAX
    assert told[-1].peer is None


def test_a_hundred_thousand_touches_are_bounded() -> None:
    detector, flows, made = Scans(camera_of, peer_of()), Flows(0.0), random.Random(4)
    tracemalloc.start()
    for second in range(10):
        for n in range(10_000):
            peer = HOME if n % 2 else made.randbytes(4)
            one = refused(peer, second + 1.0, made.randrange(1, 65536), host=1 + n % 3)
            detector.counted(flows.count(one), one, second + 1.0)
        detector.tick(second + 1.0)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert detector._doors <= DOORS_MAX
    assert detector._doors == sum(len(source.touched) for source in detector._sources.values())
    assert detector.counters["scan-sources-evicted"] > 0
    assert grown < 16_000_000, f"{grown} bytes more"


def test_sources_are_forgotten() -> None:
    detector = Scans(camera_of, peer_of())
    seconds(detector, [scan(range(1, 21)), *[[]] * 3700])
    assert not detector._sources
    assert detector._doors == 0
    seconds(detector, [scan(range(1, 10))])
    detector.drop({1})
    assert not detector._sources
    assert detector._doors == 0


def test_when_it_pauses_its_whole_size_is_told() -> None:
    told = found([scan(range(1, 21)), scan(range(21, 900)), *[[]] * 10])
    assert [finding.detail["ports"] for finding in told] == [20, 899]
