"""shape.py: rows of seconds that are live media, and rows that are not."""

import pytest

from camguard.detect.shape import began, live_media
from camguard.events import TCP, UDP
from camguard.track import Second


def seconds(
    *,
    up: int,
    dry: int,
    pauses: int | None = None,
    packets: int = 0,
    answers: int | None = None,
    down: int = 0,
    count: int = 6,
) -> list[Second]:
    packets = packets or -(-up // 1400)
    answers = packets // 2 if answers is None else answers
    pauses = dry if pauses is None else pauses
    return [Second(float(n + 1), up, down, packets, answers, pauses, dry) for n in range(count)]


LIVE = {
    "video of 1.6 Mbit/s, 25 pictures": seconds(up=200_000, dry=25),
    "video of 150 kbit/s, 8 pictures": seconds(up=19_000, dry=8),
    "video of 5 pictures a second": seconds(up=40_000, dry=5),
    "video of 2 pictures a second": seconds(up=100_000, dry=2, pauses=20),
    "sound of 64 kbit/s in small packets": seconds(up=8_400, dry=0, pauses=8, packets=50),
}
NOT_LIVE = {
    "a clip at 5 Mbit/s": seconds(up=600_000, dry=0, pauses=80),
    "a clip at 1 Mbit/s": seconds(up=120_000, dry=1, pauses=80),
    "a clip that runs dry in its first second": [
        second._replace(dry=17 if second.at == 1 else 0) for second in seconds(up=240_000, dry=0, pauses=80)
    ],
    "a clip on a very slow uplink, full packets": seconds(up=16_000, dry=0, pauses=12),
    "heartbeats": seconds(up=700, dry=1),
    "a download": seconds(up=20_000, dry=10, down=900_000),
    "a call in which both ends send": seconds(up=20_000, dry=10, down=20_000),
    "four seconds only": seconds(up=200_000, dry=25, count=4),
}


@pytest.mark.parametrize("name", LIVE)
def test_live(name: str) -> None:
    assert live_media(LIVE[name], now=6.0, proto=TCP)


@pytest.mark.parametrize("name", NOT_LIVE)
def test_not_live(name: str) -> None:
    history = NOT_LIVE[name]
    assert live_media(history, now=history[-1].at, proto=TCP) is None


def test_a_break_of_two_seconds_is_no_stream_yet() -> None:
    history = [second for second in seconds(up=200_000, dry=25, count=8) if second.at not in (4.0, 5.0)]
    assert live_media(history, now=8.0, proto=TCP) is None


def test_pieces_that_are_each_answered_are_an_upload() -> None:
    asked = seconds(up=300_000, dry=5, down=5 * 200)
    assert live_media(asked, now=6.0, proto=TCP) is None
    assert live_media(asked, now=6.0, proto=TCP, may_be_upload=False), "whoever called the camera is looking"
    talking = seconds(up=100_000, dry=15, down=8_000)
    assert live_media(talking, now=6.0, proto=TCP), "talk-back is more than an answer"
    assert live_media(asked, now=6.0, proto=UDP), "in a datagram protocol acknowledgements are payload"


def test_datagrams_that_nobody_acknowledges_are_live() -> None:
    filled = seconds(up=80_000, dry=0, packets=60, answers=1)
    assert live_media(filled, now=6.0, proto=UDP)
    assert live_media(filled, now=6.0, proto=TCP) is None
    quic_clip = seconds(up=120_000, dry=0, packets=90, answers=40)
    assert live_media(quic_clip, now=6.0, proto=UDP) is None


def test_sound_in_packets_of_1024_samples() -> None:
    assert live_media(seconds(up=8_368, dry=0, pauses=8, packets=8), now=6.0, proto=TCP)


def test_small_pieces_that_are_each_answered_are_no_sound() -> None:
    rows = seconds(up=4928, dry=0, pauses=14, packets=14, down=336)
    assert live_media(rows, now=6.0, proto=TCP) is None
    assert live_media([second._replace(up=8000) for second in rows], now=6.0, proto=UDP)


def test_sound_must_be_steady() -> None:
    rows = [
        second._replace(up=2_000 if second.at % 2 else 16_000) for second in LIVE["sound of 64 kbit/s in small packets"]
    ]
    assert live_media(rows, now=6.0, proto=TCP) is None


def test_began_looks_back_to_the_last_break() -> None:
    history = [Second(1.0, 9000, 0, 10, 5, 5, 5), *(Second(float(at), 9000, 0, 10, 5, 5, 5) for at in (10, 11, 12))]
    assert began(history) == 10.0
