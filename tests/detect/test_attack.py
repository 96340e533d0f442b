"""A camera that attacks others: what is told, and all the usual talk that is not."""

import itertools
import random
import tracemalloc
from collections.abc import Iterable

from camguard.detect.attack import Attacks
from camguard.detect.spread import HALF_MAX
from camguard.events import ACK, SYN, UDP, Finding, FlowCount, Peer
from camguard.track import Flows
from tests.detect.wire import GROUP, LAPTOP, answered, camera_of, count, datagram, ip, peer_of, seconds

ECHO = answered(ip(9), 1.0, peer_port=443)  # both ways are seen


def found(told: Iterable[Iterable[FlowCount]], peers: dict[bytes, Peer] | None = None) -> list[Finding]:
    return seconds(Attacks(camera_of, peer_of(peers)), told)


def spread(number: int, a_second: int, **changed: object) -> list[list[FlowCount]]:
    """Connections to `number` addresses, so many a second."""
    all_of_them = [count(ip(n), 1.0, host_port=30000 + n % 30000, **changed) for n in range(number)]  # type: ignore[arg-type]
    return [[*all_of_them[n : n + a_second], ECHO] for n in range(0, number, a_second)]


# ---- scanning ----


def test_telnet_at_many_addresses_is_told_once_and_grows() -> None:
    told = found(spread(40 * 150, 40))
    assert [finding.type for finding in told] == ["camera-attacks"] * len(told)
    first = told[0]
    assert (first.camera, first.key, first.severity, first.confidence) == ("camera 1", "*", "critical", "certain")
    assert first.detail["how"] == "scan"
    assert first.detail["service"] == "telnet"
    assert first.detail["destinations"] == 40
    assert first.evidence == ("tried 40 addresses on telnet ports in 1 seconds",)
    assert len(told) == 3, "it goes on: told again each minute"
    assert told[-1].detail["destinations"] == 4840
    assert told[-1].evidence[0].startswith("tried 4,840 addresses on telnet ports in 2 minutes")


def test_eight_in_a_minute_are_enough_and_seven_are_not() -> None:
    def every_seven_seconds(number: int) -> list[list[FlowCount]]:
        return [[count(ip(n // 7), 1.0)] if n % 7 == 0 else [] for n in range(7 * number)]

    assert found(every_seven_seconds(7)) == []
    assert len(found(every_seven_seconds(8))) == 1


def test_slowly_over_an_hour_too() -> None:
    slow = [[count(ip(n // 150), 1.0, peer_port=(22, 2222)[n % 2])] if n % 150 == 0 else [] for n in range(3100)]
    finding = found(slow)[0]
    assert finding.detail["service"] == "SSH"
    assert finding.detail["destinations"] == 20
    assert finding.confidence == "likely"


def test_the_same_address_again_and_again_is_one() -> None:
    assert found([[count(ip(n % 7), 1.0, host_port=30000 + n)] for n in range(600)]) == []


def test_answers_do_not_make_it_harmless() -> None:
    told = found([[answered(ip(n), 1.0, peer_port=5555)] for n in range(8)])
    assert [finding.detail["service"] for finding in told] == ["Android debugging"]


def test_two_services_are_one_matter_with_two_lines() -> None:
    told = found([[count(ip(n), 1.0, peer_port=(23, 7547)[n % 2])] for n in range(60)])
    assert [len(finding.evidence) for finding in told] == [1, 2]
    assert told[-1].detail["service"] == "telnet", "the words stay about what was seen first"
    assert len({finding.key for finding in told}) == 1


def test_somebody_scans_the_camera() -> None:
    assert found([[count(ip(n), 1.0, host_port=23, peer_port=5000, first_up=False)] for n in range(300)]) == []


def test_a_quarter_of_an_hour_later_it_is_another_attack() -> None:
    told = found([*spread(20, 20), *[[]] * 1000, *spread(20, 20)])
    assert [finding.detail["destinations"] for finding in told] == [20, 20]
    assert told[1].at > told[0].at + 900


def test_when_it_pauses_its_whole_size_is_told() -> None:
    told = found([*spread(64, 32), *[[]] * 10])
    assert [finding.detail["destinations"] for finding in told] == [32, 64]


# ---- very many ----


def test_very_many_silent_addresses_on_any_port() -> None:
    (finding,) = found(spread(120, 40, peer_port=80))
    assert finding.detail["how"] == "many"
    assert finding.evidence == ("contacted 120 addresses, most of which did not answer, in 2 seconds",)


def test_datagrams_and_pings_count_as_well() -> None:
    assert len(found(spread(120, 40, proto=UDP, peer_port=6881))) == 1
    pings = [[*(count(ip(n), 1.0, proto=0, host_port=0, peer_port=0) for n in range(120)), ECHO]]
    assert len(found(pings)) == 1


def test_a_hundred_that_answer_are_none_but_four_hundred_are() -> None:
    def web(number: int) -> list[list[FlowCount]]:
        return [[answered(ip(n), 1.0, peer_port=443, host_port=30000 + n)] for n in range(number)]

    assert found(web(350)) == []
    finding = found(web(500))[0]
    assert finding.detail["how"] == "many"


def test_answers_that_come_a_second_later_count() -> None:
    asked = [datagram(ip(n), 1.0, host_port=20000 + n) for n in range(150)]
    answers = [one._replace(packets_down=1, first_at=0.0) for one in asked]
    told: list[list[FlowCount]] = []
    for n in range(0, 150, 10):
        told.append([*asked[n : n + 10], *answers[max(n - 10, 0) : n], ECHO])
    assert found(told) == []


def test_where_only_what_the_camera_sends_is_seen_silence_says_nothing() -> None:
    one_way = [[count(ip(n), 1.0, peer_port=443, host_port=30000 + n) for n in range(50)]] * 20
    assert found(one_way) == []


# ---- one address ----


def test_the_ports_of_one_address() -> None:
    told = found(
        [[count(ip(1), 1.0, peer_port=n * 25 + k, host_port=40000 + k) for k in range(25)] + [ECHO] for n in range(3)]
    )
    (finding,) = told
    assert finding.detail["how"] == "ports"
    assert finding.peer
    assert finding.peer.ip == "198.18.0.1"
    assert finding.evidence == ("tried 50 ports of 198.18.0.1 in 1 seconds",)


def test_ftp_uses_ever_new_ports_of_its_server() -> None:
    assert found([[answered(ip(1), 1.0, peer_port=50000 + n, host_port=40000 + n)] for n in range(600)]) == []


def test_a_flood_of_small_datagrams_is_told_after_three_seconds() -> None:
    flood = [[datagram(ip(1), 1.0, up=900, packet_bytes=100, peer_port=80), ECHO]]
    assert found(flood * 2) == []
    (finding,) = found(flood * 6)
    assert finding.detail["how"] == "flood"
    assert finding.detail["packets_s"] == 900
    assert finding.peer
    assert finding.evidence == ("sent 900 packets a second, and nothing came back, to 198.18.0.1 in 3 seconds",)


def test_a_flood_to_ever_new_ports_and_a_syn_flood() -> None:
    ports = [[*(datagram(ip(1), 1.0, peer_port=1 + (n * 600 + k) % 65000) for k in range(600)), ECHO] for n in range(6)]
    assert {finding.detail["how"] for finding in found(ports)} == {"flood"}
    syns = [
        [*(count(ip(1), 1.0, peer_port=80, host_port=1024 + n * 600 + k) for k in range(600)), ECHO] for n in range(6)
    ]
    (finding,) = found(syns)
    assert finding.detail["flood"] == "connections"


def test_a_flood_of_questions_to_a_name_server_that_answers() -> None:
    asks = [[datagram(ip(1), 1.0, peer_port=53, up=150, down=150)]]
    (finding,) = found(asks * 7)
    assert finding.detail["flood"] == "questions"
    assert found([[datagram(ip(1), 1.0, peer_port=53, up=20, down=0), ECHO]] * 60) == [], "its resolver is away"


def test_video_pushed_to_somebody_who_never_answers_is_no_flood() -> None:
    assert found([[datagram(ip(1), 1.0, up=1500, packet_bytes=1350, peer_port=9000), ECHO]] * 30) == []


def test_what_a_reader_knows_to_be_media_is_no_flood_at_any_rate() -> None:
    detector, flows = Attacks(camera_of, peer_of()), Flows(0.0)
    told = []
    for n in range(30):
        for one in (datagram(ip(1), n + 1.0, up=8000, packet_bytes=1350, peer_port=5004, first_at=1.0), ECHO):
            flow = flows.count(one)
            flow.protocol = "rtp" if one is not ECHO else "tls"
            detector.counted(flow, one._replace(at=n + 1.0), n + 1.0)
        told += detector.tick(n + 1.0)
    assert told == []


def test_an_upload_at_full_speed_is_no_flood() -> None:
    up = answered(ip(1), 1.0, peer_port=443, up=9000, down=210, packet_bytes=1400)
    assert found([[up, ECHO]] * 30) == []


# ---- mail ----


def mail(owners: int) -> tuple[list[list[FlowCount]], dict[bytes, Peer]]:
    peers = {ip(n): Peer(str(n), 25, asn=n % owners + 1) for n in range(12)}
    return [[answered(ip(n % 12), 1.0, peer_port=(25, 587)[n % 2], host_port=30000 + n)] for n in range(24)], peers


def test_mail_to_servers_of_several_owners() -> None:
    (finding,) = found(*mail(6))
    assert finding.detail["how"] == "mail"
    assert "mail servers of 4 owners" in finding.evidence[0]


def test_one_provider_has_many_mail_servers() -> None:
    assert found(*mail(2)) == []


# ---- the usual talk ----


def test_discovery_is_none() -> None:
    ssdp = [[datagram(bytes((239, 255, 255, 250)), 1.0, peer_port=1900, up=60, mac=GROUP) for _ in range(30)]]
    broadcast = [[datagram(bytes((192, 168, 1, 255)), 1.0, peer_port=32108, up=20, mac=b"\xff" * 6)]]
    assert found([*ssdp * 60, *broadcast * 60]) == []


def test_p2p_keep_alives_and_hole_punching_are_none() -> None:
    servers = [datagram(ip(n), 1.0, down=1, peer_port=32100, first_at=0.0) for n in range(3)]
    punched = [
        datagram(ip(100 + n), 1.0, host_port=20000 + n, peer_port=port)
        for n in range(20)
        for port in (4000, 4001, 4002)
    ]
    assert found([[*servers, *punched] if n % 10 == 0 else servers for n in range(1200)]) == []


def test_name_servers_time_servers_stun_and_a_content_network_are_none() -> None:
    def usual(n: int) -> list[FlowCount]:
        return [
            datagram(ip(1), 1.0, down=1, peer_port=53, host_port=20000 + n),
            datagram(ip(10 + n % 8), 1.0, down=1, peer_port=123),
            datagram(ip(30 + n % 4), 1.0, up=4, down=3, peer_port=3478),
            answered(ip(50 + n // 20 % 30), 1.0, peer_port=443, host_port=30000 + n, up=200, down=20),
        ]

    assert found([usual(n) for n in range(1200)]) == []


def test_a_recorder_that_reaches_for_its_cameras_is_none() -> None:
    cameras = [count(bytes((192, 168, 1, n)), 1.0, peer_port=554, host_port=40000 + n, mac=LAPTOP) for n in range(32)]
    assert found([cameras] * 60) == []


# ---- limits ----


def test_a_hundred_thousand_new_connections_are_bounded() -> None:
    detector, flows = Attacks(camera_of, peer_of()), Flows(0.0)
    made = random.Random(4)
    ports = (23, 80, 445, 25, 9000)
    began = False
    for second in range(11):
        for n in range(10_000):
            one = count(
                made.randbytes(4), second + 1.0, peer_port=made.choice(ports), flags_up=SYN | (ACK * (n % 2)), up=1
            )
            detector.counted(flows.count(one), one, second + 1.0)
        detector.tick(second + 1.0)
        if not began:
            tracemalloc.start()
            began = True
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 8_000_000, f"{grown} bytes more after 100,000 connections"


def test_windows_forget() -> None:
    detector = Attacks(camera_of, peer_of())
    told = seconds(detector, itertools.chain(spread(7, 7), [[]] * 3700, spread(7, 7)))
    assert told == []
    assert HALF_MAX >= 1000, "numbers up to it are exact"


def test_a_camera_that_is_another_now_begins_anew() -> None:
    detector = Attacks(camera_of, peer_of())
    seconds(detector, spread(7, 7))
    detector.drop({1})
    later = [[count(ip(100 + n), 1.0) for n in range(7)]]
    assert seconds(detector, later, began_at=5.0) == []
