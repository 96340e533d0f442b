"""slow.py: what shows in a minute or two, and what must not."""

import random
from collections.abc import Iterator

import pytest

from camguard.detect.slow import CLIP_MAX_S, ENDS_MAX, Look, Slow
from camguard.events import TCP, UDP
from camguard.track import Flow, Second
from tests.detect.wire import GATEWAY, answered, ip

DICE = random.Random(4)


def flow_of(number: int = 1) -> Flow:
    count = answered(ip(number), 1.0)
    flow = Flow(count.key, 1.0)
    flow.add(count)
    assert flow.peer_mac == GATEWAY
    return flow


def second(at: float, up: int, *, dry: int = 0, pauses: int | None = None, down: int = 0) -> Second:
    return Second(at, up, down, -(-up // 1400), 1, dry if pauses is None else pauses, dry)


def looks(
    seconds: Iterator[Second], *, slow: Slow | None = None, proto: int = TCP, called: bool = True
) -> dict[float, Look]:
    slow = slow or Slow()
    flow = flow_of()
    found = {one.at: slow.add(flow, one, proto, called) for one in seconds}
    return {at: look for at, look in found.items() if look}


def first(found: dict[float, Look], confidence: str) -> float | None:
    return next((at for at, look in found.items() if look.confidence == confidence), None)


def every_second(count: int, up: int, **more: int) -> Iterator[Second]:
    return (second(float(n), up, **more) for n in range(1, count + 1))


# ---- pictures ----


@pytest.mark.parametrize("each", [3_000, 20_000, 80_000])
def test_one_picture_a_second_is_likely_after_half_a_minute(each: int) -> None:
    found = looks(every_second(60, each, dry=1))
    assert 20 <= (first(found, "unsure") or 0) <= 22
    assert 30 <= (first(found, "likely") or 0) <= 33


def test_small_messages_every_second_stay_a_guess() -> None:
    assert first(looks(every_second(300, 1_500, dry=1)), "likely") is None
    assert not looks(every_second(300, 700, dry=1)), "less than 8 kbit/s is a heartbeat"


def test_three_small_pictures_a_second_are_likely_after_a_minute() -> None:
    found = looks(every_second(90, 3_750, dry=3))
    assert 60 <= (first(found, "likely") or 0) <= 63


def test_a_clip_that_runs_dry_once_a_second_is_no_picture_a_second() -> None:
    assert not looks(every_second(100, 125_000, dry=1, pauses=40)), "a slow network has pauses of its own"


def test_pictures_with_talk_back_are_found_and_a_download_is_not() -> None:
    found = looks(every_second(60, 40_000, dry=8, down=20_000))
    assert 20 <= (first(found, "unsure") or 0) <= 22
    assert 40 <= (first(found, "likely") or 0) <= 44
    assert not looks(every_second(60, 40_000, dry=8, down=60_000))


def test_pieces_that_are_each_answered_may_be_an_upload_for_two_minutes() -> None:
    rows = list(every_second(150, 100_000, dry=5, down=1_500))
    found = looks(iter(rows))
    assert first(found, "unsure")
    assert 120 <= (first(found, "likely") or 0) <= 132
    assert all(look.clip_like for at, look in found.items() if at < 120)
    datagrams = looks(iter(rows), proto=UDP)
    assert (first(datagrams, "likely") or 0) <= 33, "in datagrams there is no such thing as an answer"


# ---- looks ----


def peeks(length_s: int, every_s: int, count: int, **shape: int) -> Iterator[Second]:
    for number in range(count):
        for n in range(length_s):
            yield second(1.0 + number * every_s + n, 100_000, **(shape or {"dry": 15}))


@pytest.mark.parametrize(("length_s", "every_s"), [(4, 7), (4, 24), (3, 20), (5, 40)])
def test_looks_of_a_few_seconds_again_and_again(length_s: int, every_s: int) -> None:
    found = looks(peeks(length_s, every_s, 6))
    assert first(found, "unsure")
    assert first(found, "likely")
    assert all(look.pauses for look in found.values())


def test_one_look_and_clips_again_and_again_are_none() -> None:
    assert not looks(peeks(4, 7, 1))
    assert not looks(peeks(4, 24, 20, dry=1, pauses=60)), "clips have pauses of the network"
    assert not looks(peeks(2, 10, 20)), "a clip runs dry in its first second, a picture is one burst"
    assert not looks(peeks(3, 100, 6)), "rare ones are no viewing"


# ---- a constant rate ----


def constant(kbps: int, count: int, *, after: float = 0.0, jitter: float = 0.05) -> Iterator[Second]:
    for n in range(1, count + 1):
        up = round(kbps * 125 * DICE.uniform(1 - jitter, 1 + jitter))
        yield second(after + n, up, pauses=20)


def test_a_constant_rate_on_an_unknown_network_is_a_guess_until_no_clip_is_that_long() -> None:
    found = looks(constant(2000, 700))
    assert 120 <= (first(found, "unsure") or 0) <= 133
    assert 600 <= (first(found, "likely") or 0) <= 661
    assert not looks(constant(2000, 110)), "a clip of 27 MB at 2 Mbit/s"


def test_a_constant_rate_far_below_what_the_network_took_before_is_the_senders_own() -> None:
    slow = Slow()
    assert not looks(constant(20_000, 8), slow=slow)
    found = looks(constant(2000, 120, after=60.0), slow=slow)
    assert 90 <= (first(found, "unsure") or 0) - 0 <= 95
    assert 150 <= (first(found, "likely") or 0) <= 162
    assert not looks(constant(10_000, 100, after=300.0), slow=slow), "half of it may be another server's network"


def test_how_long_this_cameras_clips_are_counts_up_to_a_limit() -> None:
    slow = Slow()
    looks(constant(20_000, 8), slow=slow)
    slow.clip(1, 70.0)
    found = looks(constant(2000, 200, after=60.0), slow=slow)
    assert 60 + 70 <= (first(found, "unsure") or 0) <= 60 + 81
    assert 60 + 105 <= (first(found, "likely") or 0) <= 60 + 121
    slow.clip(1, 100_000.0)  # somebody looked for a day, and it was taken for a clip
    found = looks(constant(2000, 400, after=600.0), slow=slow)
    assert (first(found, "likely") or 0) <= 600 + 1.5 * CLIP_MAX_S + 22


def test_a_rate_that_wanders_and_one_with_breaks_are_not_constant() -> None:
    assert not looks(constant(2000, 700, jitter=0.9))
    broken = (one for one in constant(2000, 700) if int(one.at) % 30 > 12)
    assert not looks(broken)


# ---- bounds ----


def test_tables_are_capped_and_a_break_begins_anew() -> None:
    slow = Slow()
    for number in range(ENDS_MAX + 100):
        slow.add(flow_of(number), second(1.0, 5000, dry=1), TCP, True)
    assert len(slow._memories) == ENDS_MAX
    rows = [*every_second(18, 20_000, dry=1), *(second(200.0 + n, 20_000, dry=1) for n in range(18))]
    assert not looks(iter(rows)), "two halves of a look, three minutes apart, are no whole one"
