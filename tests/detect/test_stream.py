"""stream.py over minutes and hours, with counts alone: guesses that become likely, one session over many connections,
what is usual for a camera, and what begins beside what goes on day and night."""

from collections.abc import Iterator

from camguard.detect.followed import BESIDE
from camguard.detect.stream import Streams
from camguard.events import FIN, UDP, FlowCount, Peer, Session
from camguard.track import Flow, Flows
from tests.detect.wire import camera_of
from tests.traffic import Connection, key_of

CLOUD, RELAY = "198.51.100.7", "198.51.100.9"
BIT = {"up": 100_000, "dry": 15, "pauses": 15}  # 0.8 Mbit/s of video
SOUND = {"up": 8_400, "packet_bytes": 168, "pauses": 8}


def peer_of(flow: Flow) -> Peer:
    return Peer(".".join(map(str, flow.peer)), flow.peer_port)


def run(items: Iterator[FlowCount] | list[FlowCount], *, until: float, streams: Streams | None = None) -> list[Session]:
    """Every session event; ticks each second, as guard.py does."""
    streams = streams or Streams(camera_of, peer_of, lambda at: at)
    flows, out, now = Flows(0.0), [], 1.0
    for item in sorted(items, key=lambda one: one.at):
        while now < item.at:
            out += streams.tick(now)
            now += 1.0
        flow = flows.count(item)
        out += streams.counted(flow, item.at)
    while now <= until:
        out += streams.tick(now)
        now += 1.0
    return out


def sending(
    begins: int, ends: int, peer: str = CLOUD, port: int = 40000, *, goodbye: bool = True, **each: int
) -> Iterator[FlowCount]:
    """A connection that sends the same each second."""
    connection = Connection(key_of(peer, host_port=port), first_at=float(begins))
    for at in range(begins + 1, ends + 1):
        yield connection.second(float(at), **(each or BIT))
    if goodbye:
        yield connection.second(float(ends + 1), flags=0x1A | FIN)
        yield connection.second(float(ends + 7), flags=0x1A | FIN, closed=True)


def told(events: list[Session]) -> list[str]:
    """What was said of them, as it changed; before, heavy ones are of no class."""
    said = [f"{one.cls} {one.confidence}" + (" closed" if one.state == "closed" else "") for one in events]
    return [one for one in said if one != "unknown unsure"]


def words(events: list[Session]) -> str:
    return "; ".join(events[-1].evidence)


def test_a_picture_a_second_is_a_guess_and_then_likely() -> None:
    events = run(sending(10, 60, up=20_000, dry=1, pauses=1), until=100)
    assert told(events) == [
        "stream unsure",
        "stream likely",
        "stream likely closed",
    ]
    assert (events[0].started, 30 <= events[1].time <= 33, 40 <= events[2].time <= 43) == (10.0, True, True)
    assert events[-1].ended == 60.0


def test_a_guess_that_ends_like_a_clip_was_one() -> None:
    fast = sending(1, 9, up=2_500_000, pauses=100)
    events = run([*fast, *sending(40, 100, up=250_000, pauses=50)], until=140)
    assert told(events)[1:] == ["stream unsure", "clip likely closed"]
    assert not [one for one in events if one.confidence == "likely" and one.cls == "stream"]


def test_looks_over_connections_of_their_own_are_one_session() -> None:
    looks = [count for n in range(8) for count in sending(10 + 30 * n, 14 + 30 * n, port=41000 + n)]
    events = run(looks, until=400)
    assert len({one.id for one in events if one.cls == "stream"}) == 1
    assert told(events)[-1] == "stream likely closed"
    assert "short looks" in words(events)


def test_picture_and_sound_on_two_connections_are_one_session() -> None:
    events = run([*sending(10, 60), *sending(11, 60, port=40001, **SOUND)], until=100)
    assert len({one.id for one in events}) == 1
    assert events[-1].bytes_up > 50 * 108_000


def test_whoever_comes_back_at_once_is_the_same_session() -> None:
    items = [*sending(10, 40), *sending(42, 70, port=40001), *sending(73, 100, port=40002)]
    events = run(items, until=140)
    assert told(events) == ["stream likely", "stream likely closed"]
    assert events[-1].ended == 100.0
    later = run([*sending(10, 40), *sending(60, 90, port=40001)], until=140)
    assert len({one.id for one in later}) == 2
    assert [one.ended for one in later if one.state == "closed"] == [40.0, 90.0]


def test_a_clip_after_a_viewing_is_a_session_of_its_own() -> None:
    events = run([*sending(10, 40), *sending(42, 50, port=40001, up=400_000, pauses=60)], until=100)
    assert [one.cls for one in events if one.state == "closed"] == ["stream", "clip"]


# ---- what is usual ----


def chatty(ends: int, kbytes: int = 8) -> Iterator[FlowCount]:
    """A camera that sends small packets all day: looks like sound."""
    return sending(5, ends, port=39000, goodbye=False, up=kbytes * 1000, packet_bytes=200, pauses=8)


def test_a_chatty_camera_opens_a_viewing_once_and_not_again_when_it_is_known() -> None:
    day = 4 * 3600
    reconnects = [*chatty(day), *sending(day + 60, day + 600, port=39001, up=8000, packet_bytes=200, pauses=8)]
    events = run(reconnects, until=day + 700)
    assert told(events)[0] == "stream likely", "at first nobody knows"
    first = events[0].id
    again = [one for one in events if one.id != first]
    assert told(again) == ["stream unsure", "stream unsure closed"]
    assert "as it sends there day and night" in again[0].evidence[0]
    closed = next(one for one in events if one.id == first and one.state == "closed")
    assert (
        "it has sent like this for 3 hours" in closed.evidence or "it has sent like this for 4 hours" in closed.evidence
    )


def test_whoever_listens_beside_what_is_usual_is_found_likely() -> None:
    day = 4 * 3600
    events = run([*chatty(day + 300), *sending(day + 60, day + 100, port=39001, **SOUND)], until=day + 300)
    beside = [one for one in events if one.started > day]
    assert "stream likely" in told(beside)
    assert BESIDE in beside[0].evidence


def test_a_small_stream_of_a_quiet_camera_is_found() -> None:
    quiet = [Connection(key_of(CLOUD), first_at=1.0).second(float(at), up=120, down=80) for at in range(5, 7200, 30)]
    events = run([*quiet, *sending(7200, 7230, RELAY, **SOUND)], until=7300)
    assert told(events)[0] == "stream likely"
    assert events[0].time <= 7206


# ---- beside what goes on day and night ----


def recording(ends: int, at_end: dict[str, int] | None = None, change_s: int = 120) -> Iterator[FlowCount]:
    """Cloud recording, with another pace for the last `change_s`."""
    connection = Connection(key_of(CLOUD), first_at=1.0)
    for at in range(2, ends + 1):
        swing = 0.8 + 0.4 * (at // 40 % 2)  # a scene that moves and rests
        shape = dict(BIT, up=round(100_000 * swing), down=40 if at % 20 == 0 else 0)
        yield connection.second(float(at), **(shape | (at_end or {} if at > ends - change_s else {})))


def test_recording_day_and_night_is_one_session_that_says_for_how_long() -> None:
    events = run(recording(3 * 3600), until=3 * 3600 + 60)
    assert told(events) == ["stream likely", "stream likely closed"]
    assert "it has sent like this for 2 hours" in events[-1].evidence


def test_a_change_in_it_is_a_guess_of_its_own() -> None:
    for change, said in (
        ({"up": 260_000, "dry": 30}, "times as much"),
        ({"up": 30_000, "dry": 10}, "% of what it did"),
        ({"down": 400}, "told more"),
    ):
        events = run(recording(2 * 3600, change), until=2 * 3600 + 60)
        mine = [one for one in events if one.confidence == "unsure" and one.cls == "stream"]
        opened = mine[0]
        assert opened.time - (2 * 3600 - 120) <= 40, said
        assert told(mine[:1]) == ["stream unsure"]
        assert said in opened.evidence[0]
        assert BESIDE in opened.evidence
        closed = [one for one in mine if one.id == opened.id][-1]
        assert closed.state == "closed"
        assert 0 <= closed.bytes_up < 50_000_000, "what it sent since, not in all"


def test_ten_seconds_of_more_are_no_change() -> None:
    events = run(recording(2 * 3600, {"up": 260_000}, change_s=9), until=2 * 3600 + 60)
    assert len({one.id for one in events}) == 1


def test_signalling_that_begins_beside_it_is_a_guess() -> None:
    new = Connection(key_of(RELAY, host_port=45000, peer_port=3478), first_at=7000.0)
    talk = [new.second(7000.0 + at, up=60, down=60) for at in range(1, 25)]
    events = run([*recording(2 * 3600), *talk], until=2 * 3600 + 60)
    mine = [one for one in events if one.peer.ip == RELAY]
    assert told(mine) == ["stream unsure", "stream unsure closed"]
    assert mine[0].time <= 7013
    assert BESIDE in mine[0].evidence


def test_signalling_of_a_quiet_camera_and_with_known_places_is_nothing() -> None:
    new = Connection(key_of(RELAY, host_port=45000, peer_port=3478), first_at=7000.0)
    talk = [new.second(7000.0 + at, up=60, down=60) for at in range(1, 25)]
    assert not run(talk, until=7100)
    known = Connection(key_of(RELAY, host_port=44000, peer_port=3478), first_at=100.0)
    before = [known.second(100.0 + at, up=60, down=60) for at in range(1, 3)]
    events = run([*recording(2 * 3600), *before, *talk], until=2 * 3600 + 60)
    assert len({one.id for one in events}) == 1


def test_a_second_stream_to_the_same_place_says_so() -> None:
    events = run([*recording(2 * 3600), *sending(7000, 7060, port=46000)], until=2 * 3600 + 60)
    mine = [one for one in events if BESIDE in one.evidence]
    assert told(mine) == ["stream likely", "stream likely closed"]
    elsewhere = run([*recording(2 * 3600), *sending(7000, 7060, RELAY, port=46000)], until=2 * 3600 + 60)
    assert not [one for one in elsewhere if BESIDE in one.evidence], "a rule for the one is none for the other anyway"


# ---- sound ----


def test_rtp_of_sound_alone_says_sound() -> None:
    streams = Streams(camera_of, peer_of, lambda at: at)
    connection = Connection(key_of(proto=UDP), first_at=1.0)
    for payload_type, said in ((0, "RTP with sound was read in it"), (96, "RTP was read in it")):
        flow = Flow(connection.key, 1.0)
        streams = Streams(camera_of, peer_of, lambda at: at)
        out: list[Session] = []
        for at in range(2, 6):
            streams.rtp(flow, at - 0.5, payload_type)
            flow.add(connection.second(float(at), **SOUND))
            out += streams.counted(flow, float(at))
        assert out[0].evidence[0] == said
