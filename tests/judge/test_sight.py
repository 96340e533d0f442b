"""sight.py: broadcasts and the guard's own talk are not sight; blindness is told, gets worse, and ends."""

import pytest

from camguard.judge.sight import Sights
from tests.traffic import Connection, key_of

BOTH = {"up": 500, "down": 500}


def counted(
    sights: Sights,
    at: float,
    *,
    own: bool = False,
    peer: str = "203.0.113.9",
    peer_mac: str = "02:00:00:00:00:fe",
    **bytes_: int,
) -> None:
    sights.counted("porch", Connection(key_of(peer), first_at=0.0, peer_mac=peer_mac).second(at, **bytes_), own)


def sights() -> Sights:
    made = Sights()
    made.watch(("porch",), 0.0)
    return made


def test_both_directions() -> None:
    seen = sights()
    counted(seen, 10.0, **BOTH)
    assert seen.sights(11.0, 1000.0)[0].how == "both"
    assert seen.sights(11.0, 1000.0)[0].last_time == 1010.0


def test_one_direction_only() -> None:
    seen = sights()
    connection = Connection(key_of(), first_at=0.0).second(10.0, up=500)._replace(packets_down=0)
    seen.counted("porch", connection, False)
    assert seen.sights(11.0, 0.0)[0].how == "up-only"
    seen.counted("porch", connection._replace(at=300.0, last_at=300.0, packets_up=0, packets_down=4), False)
    assert seen.sights(301.0, 0.0)[0].how == "down-only"


@pytest.mark.parametrize(
    ("peer", "mac"),
    [
        ("255.255.255.255", "ff:ff:ff:ff:ff:ff"),
        ("224.0.0.251", "01:00:5e:00:00:fb"),
        ("192.168.1.255", "ff:ff:ff:ff:ff:ff"),
    ],
)
def test_broadcasts_are_not_sight(peer: str, mac: str) -> None:
    seen = sights()
    counted(seen, 10.0, peer=peer, peer_mac=mac, up=300)
    assert seen.sights(11.0, 0.0)[0].how == "broadcast-only"


def test_the_guards_own_talk_is_not_sight() -> None:
    seen = sights()
    counted(seen, 10.0, own=True, **BOTH)
    assert seen.sights(11.0, 0.0)[0].how == "nothing"


def test_blindness_is_told_gets_worse_and_ends() -> None:
    seen = sights()
    told = [
        (at, alert.state, alert.severity, alert.detail["how"]) for at in range(900) for alert in seen.tick(float(at))
    ]
    assert told == [(300, "open", "info", "nothing"), (600, "open", "warning", "nothing")]
    counted(seen, 900.0, **BOTH)
    closed = seen.tick(901.0)
    assert [(alert.state, alert.ended, alert.started) for alert in closed] == [("closed", 901.0, 0.0)]
    assert not seen.open_alerts()


def test_how_it_is_blind_is_told_when_it_changes() -> None:
    seen = sights()
    for at in range(400):
        seen.tick(float(at))
    counted(seen, 400.0, peer="224.0.0.251", peer_mac="01:00:5e:00:00:fb", up=300)
    assert [alert.detail["how"] for alert in seen.tick(401.0)] == ["broadcast-only"]
    assert [alert.detail["how"] for alert in seen.tick(402.0)] == []


def test_a_camera_with_a_heartbeat_a_minute_is_seen() -> None:
    seen = sights()
    told = []
    for at in range(3600):
        if at % 60 == 0:
            counted(seen, float(at), **BOTH)
        told += seen.tick(float(at))
    assert not told
