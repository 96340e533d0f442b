"""Readings beyond RTSP and RTP -> sessions: what opens one, what only names or explains it, what opens nothing."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest

from camguard.detect.media import CALLERS_MAX, PIECES_MAX, Callers, Pieces
from camguard.detect.stream import Streams
from camguard.events import TCP, UDP, FlowCount, Peer, Session
from camguard.track import Flow
from tests.traffic import STRANGER_IP, Connection, key_of


class Read(NamedTuple):
    what: str
    detail: Mapping[str, object]


def http_media(form: str, *, upload: bool = False) -> Read:
    return Read("http-media", {"form": form, "upload": upload})


def asked(path: str) -> Read:
    return Read("http", {"method": "GET", "path": path, "status": 200})


def control(what: str, by: str = "onvif", granted: bool | None = True) -> Read:
    return Read("control", {"what": what, "by": by, "granted": granted})


class Table:
    """Streams with one camera, and its connections with one viewer by their peer's port."""

    def __init__(self) -> None:
        self.streams = Streams(lambda host: f"camera {host}", lambda flow: Peer(STRANGER_IP, flow.peer_port), float)
        self.flows: dict[int, Flow] = {}
        self.counts: dict[int, Connection] = {}

    def flow(self, port: int = 50000, proto: int = TCP, peer: str = STRANGER_IP) -> Flow:
        if port not in self.flows:
            key = key_of(peer, host_port=80, peer_port=port, proto=proto)
            self.flows[port], self.counts[port] = Flow(key, 100.0), Connection(key, first_at=100.0, first_up=False)
        return self.flows[port]

    def heard(self, reading: Read, at: float, port: int = 50000, *, up: bool = True, serves: bool = True,
              proto: int = TCP) -> list[Session]:  # fmt: skip
        return self.streams.heard(self.flow(port, proto), up, reading, serves, at)

    def second(self, at: float, port: int = 50000, **more: object) -> list[Session]:
        flow, count = self.flow(port), self.counts[port].second(at, **more)  # type: ignore[arg-type]
        assert isinstance(count, FlowCount)
        flow.add(count)
        return self.streams.counted(flow, at) + self.streams.tick(at)


def told(sessions: list[Session]) -> list[tuple[str, str, str, str]]:
    return [(one.state, one.cls, one.protocol, one.confidence) for one in sessions]


RTMP_START = Read("rtmp", {"call": "start", "role": "publish", "media": True})


@pytest.mark.parametrize(
    ("reading", "up", "serves", "comes"),
    [
        (RTMP_START, False, False, [("open", "stream", "rtmp", "certain")]),
        (Read("rtmp", {"call": "start", "role": "play"}), True, True, [("open", "stream", "rtmp", "certain")]),
        (Read("rtmp", {"call": "start", "role": "publish"}), True, True, [("open", "talk", "rtmp", "certain")]),
        (Read("rtmp", {"call": "start", "role": "play"}), False, False, []),
        (Read("rtmp", {"call": "publish", "role": "publish"}), True, False, []),
        (http_media("mjpeg"), True, True, [("open", "stream", "mjpeg", "certain")]),
        (http_media("mjpeg"), False, False, []),
        (http_media("snapshot"), True, True, []),
        (http_media("hls"), True, True, []),
        (http_media("chunked", upload=True), True, False, []),
        (control("ptz"), True, True, [("open", "control", "unknown", "certain")]),
        (control("talk"), True, True, [("open", "talk", "unknown", "certain")]),
        (control("playback", "http"), True, True, [("open", "playback", "unknown", "certain")]),
        (control("ptz", granted=None), False, True, []),
        (control("ptz", granted=False), True, True, []),
        (control("ptz"), False, False, []),
        (control("dance"), True, True, []),
        (Read("p2p", {"event": "register", "peer": None}), True, False, []),
        (Read("p2p", {"event": "punch-to", "peer": "198.51.100.7:4000"}), False, False, []),
        (Read("p2p", {"event": "data", "peer": None}), True, False, []),
        (Read("stun", {"method": "binding", "cls": "request", "peer": None}), True, False, []),
        (Read("tunnel", {"name": "wireguard"}), True, False, []),
        (Read("srt", {"stage": "conclusion", "caller": True}), True, False, []),
        (Read("mpegts", {"pids": ("256",)}), True, False, []),
        (Read("rtcp", {"kinds": ("SR",)}), True, False, []),
        (Read("nobody-knows", {}), True, False, []),
    ],
)
def test_what_one_reading_opens(reading: Read, up: bool, serves: bool, comes: list[tuple[str, str, str, str]]) -> None:
    assert told(Table().heard(reading, 101.0, up=up, serves=serves)) == comes


@pytest.mark.parametrize(
    ("readings", "name"),
    [
        (["tls-hello"], "tls"),
        (["quic-hello"], "quic"),
        (["dtls-hello"], "dtls"),
        (["stun", "dtls-hello"], "webrtc"),
        (["dtls-hello", "stun"], "webrtc"),
        (["stun"], "stun"),
        (["http", "rtmp"], "rtmp"),
        (["rtmp", "http"], "rtmp"),
        (["p2p", "dtls-hello"], "p2p"),
        (["rtcp"], None),
    ],
)
def test_the_best_name_stays(readings: list[str], name: str | None) -> None:
    table = Table()
    for what in readings:
        table.heard(Read(what, {}), 101.0)
    assert table.flow().protocol == name


@pytest.mark.parametrize(
    ("reading", "proto"),
    [
        (Read("srt", {"stage": "conclusion", "caller": True}), "srt"),
        (Read("mpegts", {"pids": ()}), "mpegts"),
        (Read("rtmp", {"call": "media", "role": "play", "media": True}), "rtmp"),
    ],
)
def test_datagrams_of_media_open_when_they_go_on(reading: Read, proto: str) -> None:
    table = Table()
    assert table.heard(reading, 100.5, proto=UDP) == []
    assert told(table.second(101.0, up=90_000, packet_bytes=1316)) == [("open", "stream", proto, "certain")]


def test_srt_that_the_camera_only_receives_is_no_viewing() -> None:
    table = Table()
    table.heard(Read("srt", {"stage": "conclusion", "caller": True}), 100.5, proto=UDP)
    assert [table.second(float(at), up=4_400, down=90_000, packet_bytes=44) for at in range(101, 110)] == [[]] * 9


def test_rtp_after_stun_is_webrtc() -> None:
    table = Table()
    table.heard(Read("stun", {"method": "binding", "cls": "success", "peer": None}), 100.2, proto=UDP)
    table.streams.rtp(table.flow(), 100.5)
    (session,) = table.second(101.0, up=90_000, packet_bytes=1100)
    assert (session.protocol, session.confidence) == ("webrtc", "certain")
    assert session.evidence == ("RTP was read in it, set up as WebRTC does (STUN, DTLS)",)


def test_who_sits_behind_a_relay_is_evidence() -> None:
    table = Table()
    for peer in ("198.51.100.7:4000", "198.51.100.7:4002", "[2001:db8::7]:4000"):
        table.heard(Read("stun", {"method": "channel-bind", "cls": "request", "peer": peer}), 100.2, proto=UDP)
    table.streams.rtp(table.flow(), 100.5)
    (session,) = table.second(101.0, up=90_000, packet_bytes=1100)
    assert session.evidence[1] == "through a relay, for somebody at 198.51.100.7 or 2001:db8::7"


def test_a_permission_is_no_use_of_a_relay() -> None:
    table = Table()
    for method, peer in (("create-permission", "192.168.9.9:1"), ("channel-bind", "198.51.100.7:4000")):
        table.heard(Read("stun", {"method": method, "cls": "request", "peer": peer}), 100.2, proto=UDP)
    table.streams.rtp(table.flow(), 100.5)
    (session,) = table.second(101.0, up=90_000, packet_bytes=1100)
    assert session.evidence[1] == "through a relay, for somebody at 198.51.100.7"


def p2p(event: str, peer: str | None = None) -> Read:
    return Read("p2p", {"maker": "pppp", "event": event, "peer": peer})


@pytest.mark.parametrize(
    ("peer", "opened_at"),
    [(f"{STRANGER_IP}:50000", 102.0), ("203.0.113.77:50000", 106.0), (None, 106.0)],
    ids=["named", "another-was-named", "nobody-was-named"],
)
def test_whom_the_maker_announces_needs_less_proof(peer: str | None, opened_at: float) -> None:
    table = Table()
    table.heard(p2p("register"), 90.0, 32100, up=True, proto=UDP)
    if peer:
        table.heard(p2p("punch-to", peer), 100.0, 32100, up=False, proto=UDP)
    table.heard(p2p("punch"), 100.1, proto=UDP)
    opened = [one for at in range(101, 110) for one in table.second(float(at), up=30_000, dry=12, pauses=12)]
    assert told(opened) == [("open", "stream", "p2p", "likely")]
    assert opened[0].time == opened_at
    named = f"the maker's server told the camera to call {STRANGER_IP}"
    assert (named in opened[0].evidence) == (peer == f"{STRANGER_IP}:50000")


@pytest.mark.parametrize(("role", "opened_at"), [("controlling", 102.0), (None, 106.0)])
def test_the_two_ends_of_a_call_need_less_proof_than_a_look_at_ones_own_address(
    role: str | None, opened_at: float
) -> None:
    table = Table()
    detail = {"method": "binding", "cls": "request", "peer": None, "role": role}
    table.heard(Read("stun", detail), 100.1, proto=UDP)
    opened = [one for at in range(101, 110) for one in table.second(float(at), up=30_000, dry=12, pauses=12)]
    assert [one.time for one in opened] == [opened_at]


def test_an_announcement_opens_nothing_and_counts_for_a_minute() -> None:
    table = Table()
    table.heard(p2p("punch-to", f"{STRANGER_IP}:50000"), 100.0, 32100, up=False, proto=UDP)
    table.heard(p2p("ready"), 100.1, proto=UDP)
    assert [table.second(float(at), up=900, down=900, pauses=3) for at in range(101, 162)] == [[]] * 61
    opened = [one for at in range(162, 175) for one in table.second(float(at), up=30_000, dry=12, pauses=12)]
    assert [one.time for one in opened] == [166.0]


def polls(table: Table, times: list[float], path: str = "/snap.jpg", **more: bool) -> list[Session]:
    out = []
    for number, at in enumerate(times):
        table.heard(asked(path.replace("N", str(number))), at, 50000 + number)
        out += table.heard(http_media("snapshot", **more), at, 50000 + number)
    return out


@pytest.mark.parametrize(
    ("times", "path", "comes"),
    [
        ([100.0], "/snap.jpg", []),
        ([100.0, 101.0], "/snap.jpg", []),
        ([100.0, 101.0, 102.0, 103.0], "/snap.jpg", [("open", "stream", "http", "certain")]),
        ([100.0, 101.0, 102.0], "/img/N.jpg", [("open", "stream", "http", "certain")]),
        ([100.0, 105.0, 110.0], "/snap.jpg", [("open", "stream", "http", "certain")]),
        ([100.0, 110.0, 120.0, 130.0], "/snap.jpg", [("open", "heartbeat", "http", "certain")]),
        ([100.0, 160.0, 220.0], "/snap.jpg", [("open", "heartbeat", "http", "certain")]),
        ([100.0, 200.0, 300.0], "/snap.jpg", []),
        ([100.0, 100.1, 100.2, 100.3], "/icons/N.png", []),
        ([100.0 + at / 10 for at in range(10)], "/thumbnails/N.jpg", []),
        ([100.0 + at / 5 for at in range(20)], "/snap.jpg", [("open", "stream", "http", "certain")]),
    ],
)
def test_polled_pictures(times: list[float], path: str, comes: list[tuple[str, str, str, str]]) -> None:
    assert told(polls(Table(), times, path)) == comes


def test_rare_pictures_that_become_frequent_are_told_in_the_same_session() -> None:
    sessions = polls(Table(), [100.0, 110.0, 120.0, 121.0, 122.0])
    assert told(sessions) == [("open", "heartbeat", "http", "certain"), ("update", "stream", "http", "certain")]
    assert len({one.id for one in sessions}) == 1


def test_pictures_at_a_motion_are_no_viewing_and_those_without_an_end_are() -> None:
    assert polls(Table(), [100.0, 100.5, 101.0, 200.0, 200.5, 201.0], upload=True) == []
    told_ = polls(Table(), [100.0 + at for at in range(30)], upload=True)
    assert [(one.cls, one.time) for one in told_] == [("stream", 119.0)]


def test_a_poll_goes_on_over_many_connections_and_ends_in_silence() -> None:
    table = Table()
    out: list[Session] = []
    for number in range(30):
        out += table.heard(http_media("snapshot"), 100.5 + number, 50000 + number)
        out += table.second(101.0 + number, 50000 + number, up=20_000, closed=True)
    for at in range(131, 160):
        out += table.streams.tick(float(at))
    assert [(one.state, one.time) for one in out] == [("open", 102.5), ("closed", 151.0)]
    assert out[-1].bytes_up > 25 * 20_000


@pytest.mark.parametrize(
    ("pieces", "pulled_at", "sent_at"),
    [
        (["live.m3u8", "1.ts", "2.ts"], 102.0, 102.0),
        (["1.ts", "live.m3u8", "2.ts", "live.m3u8"], 102.0, 102.0),
        (["1.ts", "2.ts", "live.m3u8"], 102.0, 101.0),
        (["live.m3u8", "live.m3u8", "1.ts", "live.m3u8"], None, None),
        (["1.ts", "2.ts", "3.ts"], None, 101.0),
        (["live.m3u8", "1.m4s", *["live.m3u8"] * 40, "2.m4s"], None, None),
    ],
)
@pytest.mark.parametrize("upload", [False, True])
def test_hls(pieces: list[str], pulled_at: float | None, sent_at: float | None, upload: bool) -> None:
    table = Table()
    out = []
    for number, name in enumerate(pieces):
        table.heard(asked(f"/live/{name}"), 100.0 + number, 50000 + number, serves=not upload)
        out += table.heard(http_media("hls", upload=upload), 100.0 + number, 50000 + number, serves=not upload)
    opened_at = sent_at if upload else pulled_at
    assert [one.time for one in out] == ([opened_at] if opened_at else [])
    assert told(out)[:1] == ([("open", "stream", "hls", "certain")] if opened_at else [])


def test_segments_that_are_sent_all_at_once_are_a_clip() -> None:
    table = Table()
    for number in range(5):
        table.heard(asked(f"/clip/{number}.ts"), 100.0 + number / 20, serves=False)
        assert table.heard(http_media("hls", upload=True), 100.0 + number / 20, serves=False) == []


def test_turning_the_camera_is_one_session_a_viewer_and_burst() -> None:
    table = Table()
    out = [one for at in range(10) for one in table.heard(control("ptz"), 100.0 + at, 50000 + at)]
    for at in range(110, 140):
        out += table.streams.tick(float(at))
    assert [(one.state, one.cls, one.time) for one in out] == [("open", "control", 100.0), ("closed", "control", 130.0)]
    assert out[0].evidence == ("it turned the camera, by ONVIF",)


def test_turning_and_speaking_belong_to_the_viewing_that_is_open() -> None:
    table = Table()
    (opened,) = table.heard(http_media("mjpeg"), 100.0)
    assert table.heard(control("ptz"), 101.0, 50001) == []
    (spoken,) = table.heard(control("talk", "http"), 102.0, 50002)
    assert (spoken.id, spoken.state, spoken.cls) == (opened.id, "update", "talk")
    assert spoken.evidence[1:] == ("it turned the camera, by ONVIF", "it spoke through the camera, by HTTP")
    assert table.heard(http_media("mjpeg"), 103.0) == [], "and talk stays talk"


def test_who_turned_the_camera_first_and_looks_then_has_one_session() -> None:
    table = Table()
    (turned,) = table.heard(control("ptz"), 100.0)
    (looks,) = table.heard(http_media("mjpeg"), 101.0, 50001)
    assert (looks.id, looks.state, looks.cls, looks.protocol) == (turned.id, "update", "stream", "mjpeg")


def test_somebody_elses_hand_is_no_part_of_a_viewing() -> None:
    table = Table()
    (opened,) = table.heard(http_media("mjpeg"), 100.0)
    other = Flow(key_of("203.0.113.77", host_port=80, peer_port=50001), 100.0)
    (turned,) = table.streams.heard(other, True, control("ptz"), True, 101.0)
    assert turned.id != opened.id


def test_recorded_footage_over_rtsp_stays_recorded() -> None:
    table = Table()
    detail = {"method": "PLAY", "status": None, "range": "clock=20260101T000000Z-"}
    table.streams.rtsp(table.flow(), detail, True, 100.0)
    (opened,) = table.streams.rtsp(table.flow(), {**detail, "status": 200}, True, 100.1)
    assert opened.cls == "playback"
    assert table.heard(control("playback", "rtsp"), 100.1) == []


def test_tables_are_capped() -> None:
    pieces, callers = Pieces(), Callers()
    for number in range(PIECES_MAX + 10):
        flow = Flow(key_of(peer_port=number), 100.0)
        pieces.asked(flow, {"path": "/" + "x" * number})
        pieces.heard(flow, {"form": "snapshot"}, 100.0)
    assert (len(pieces._seen), len(pieces._paths)) == (PIECES_MAX, CALLERS_MAX)
    for number in range(3000):
        peer = f"10.0.{number // 256}.{number % 256}:1"
        flow = Flow(key_of(peer_port=number), 100.0)
        for reading in (p2p("punch-to", peer), p2p("ready"), Read("stun", {"peer": peer})):
            callers.heard(flow, False, reading, 100.0)
    assert max(len(callers._called), len(callers._ready), len(callers._relayed)) <= CALLERS_MAX


@pytest.mark.parametrize("peer", [None, "", "x", ":", "1.2.3:4", 7, "999.1.1.1:5"])
def test_a_peer_that_is_no_address_is_nobody(peer: object) -> None:
    table = Table()
    for what in ("stun", "p2p"):
        assert table.heard(Read(what, {"event": "punch-to", "peer": peer}), 100.0, proto=UDP) == []
