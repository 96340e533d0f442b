"""Do the numbers of a connection look like live video or sound? In: its last seconds; out: evidence in words, or None.

Four things tell live media from a file, on clear and on encrypted connections alike:

- a *picture* ends in a short packet and then the sender has nothing to say until the next one ("dry" pauses,
  FlowCount): real cameras watched live gave 9 to 35 a second, clips at most 1, whatever the uplink (lab.md). A file
  that waits for the network stops after full packets.
- *sound* is small packets at a steady low rate; a file that is sent slowly fills its packets.
- a file sent in datagrams needs acknowledgements, live media does without.
- all are one-sided and go on second after second; a program that asks and answers (chunked uploads) gets an answer for
  each piece.
"""

from collections.abc import Sequence

from camguard.events import TCP, UDP
from camguard.track import Second


def live_media(
    history: Sequence[Second],
    *,
    now: float,
    proto: int,
    may_be_upload: bool = True,
    window_s: float = 6.0,
    floor_kbps: float = 40.0,
    second_floor_kbps: float = 12.0,
    dry_per_s: float = 2.0,
    one_sided: float = 3.0,
    answer_bytes: float = 80.0,
    answer_share: float = 0.02,
    sound_answer_bytes: float = 16.0,
    unanswered: float = 16.0,
) -> str | None:
    """What makes the last `window_s` seconds look live, or None.

    `floor_kbps`: mean payload rate up (64 kbit/s sound and 150 kbit/s video lie above); `second_floor_kbps`: in nearly
    each second; `dry_per_s`: dry pauses, median, with at most one second without (a clip has many in its first second);
    `one_sided`: up against down. `answer_bytes`, `sound_answer_bytes`: bytes down for each dry pause, or any pause,
    that mean "ask and answer" on TCP (a firmware image sent to a camera in pieces of 352 bytes had 24 bytes of answer
    for each: reolink_e1 capture), only where `may_be_upload`; the answers to an upload are at most `answer_share` of
    it, talk-back is more. `unanswered`: datagrams up for each one down.
    """
    seconds = [second for second in history if second.at > now - window_s + 0.5]
    span_s = int(window_s)
    if len(seconds) < span_s - 1 or now - history[0].at < window_s - 1.5:
        return None
    up = sum(second.up for second in seconds)
    down = sum(second.down for second in seconds)
    rate_kbps = up * 8 / 1000 / span_s
    awake = sum(second.up * 8 / 1000 >= second_floor_kbps for second in seconds)
    if rate_kbps < floor_kbps or awake < span_s - 1 or up < one_sided * down:
        return None
    answers_count = proto == TCP and may_be_upload
    dry = sum(second.dry for second in seconds)
    with_dry = sum(second.dry >= 1 for second in seconds)
    if _median([second.dry for second in seconds]) >= dry_per_s and with_dry >= span_s - 1:
        if answers_count and answer_bytes * dry <= down <= answer_share * up:
            return None
        return f"{rate_kbps:.0f} kbit/s in {dry / span_s:.0f} pictures a second for {span_s} seconds"
    sent, received = (sum(second.packets_up for second in seconds), sum(second.packets_down for second in seconds))
    if proto == UDP and sent >= unanswered * received:
        return f"{rate_kbps:.0f} kbit/s in datagrams that nobody acknowledges, for {span_s} seconds"
    return _sound(seconds, rate_kbps, answered=answers_count and down >= sound_answer_bytes * _pauses(seconds))


def began(history: Sequence[Second], *, second_floor_kbps: float = 12.0, gap_s: float = 2.5) -> float:
    """Since when the connection has sent without a break: the end of the first second of it."""
    at = history[-1].at
    for second in reversed(history):
        if at - second.at > gap_s:
            break
        if second.up * 8 / 1000 >= second_floor_kbps:
            at = second.at
    return at


def _sound(
    seconds: Sequence[Second],
    rate_kbps: float,
    *,
    answered: bool,
    most_kbps: float = 320.0,
    most_packet_bytes: float = 1100.0,
    pauses_per_s: float = 4.0,
    unsteady: float = 0.35,
) -> str | None:
    """Steady small packets with pauses: sound alone (lab.md: 64 kbit/s gave 0 dry but 8 plain pauses a second)."""
    packets = sum(second.packets_up for second in seconds)
    up = [second.up for second in seconds]
    if answered or rate_kbps > most_kbps or not packets or sum(up) / packets > most_packet_bytes:
        return None
    if _pauses(seconds) < pauses_per_s * len(seconds):
        return None
    mean = sum(up) / len(up)
    if sum(abs(value - mean) > unsteady * mean for value in up) > 1:
        return None
    return f"a steady {rate_kbps:.0f} kbit/s in small packets, like sound, for {len(seconds)} seconds"


def _pauses(seconds: Sequence[Second]) -> int:
    return sum(second.pauses for second in seconds)


def _median(values: list[int]) -> int:
    """The lower one of the two middle values where their number is even."""
    return sorted(values)[(len(values) - 1) // 2]
