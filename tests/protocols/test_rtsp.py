"""RTSP as cameras and viewers speak it: rows read whole, cut everywhere, byte by byte and with holes."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, rtsp, rtsp_framing
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UP, DOWN = True, False


def lines(*text: str, body: bytes = b"") -> bytes:
    return "\r\n".join(text).encode() + b"\r\n\r\n" + body


SDP = b"v=0\r\no=- 0 0 IN IP4 10.0.0.1\r\nm=video 0 RTP/AVP 96\r\na=control:rtsp://10.0.0.1/track1\r\n"
URL = "rtsp://198.51.100.7:554/stream1"
FRAME = b"$\x00\x00\x14" + b"\x80\x60\x00\x01" + b"\x00\x00\x00\x02" + b"\x11\x22\x33\x44" + b"12345678"

VIEW_OVER_UDP: list[Turn] = [
    (DOWN, lines(f"OPTIONS {URL} RTSP/1.0", "CSeq: 1", "User-Agent: Lavf59")),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 1", "Public: OPTIONS, DESCRIBE, SETUP, PLAY")),
    (DOWN, lines(f"DESCRIBE {URL} RTSP/1.0", "CSeq: 2", "Accept: application/sdp")),
    (UP, lines("RTSP/1.0 401 Unauthorized", "CSeq: 2", 'WWW-Authenticate: Digest realm="cam", nonce="0a4f"')),
    (
        DOWN,
        lines(
            f"DESCRIBE {URL} RTSP/1.0",
            "CSeq: 3",
            'Authorization: Digest username="admin", realm="cam", nonce="0a4f", response="deadbeef"',
        ),
    ),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 3", f"Content-Length: {len(SDP)}", body=SDP)),
    (
        DOWN,
        lines(f"SETUP {URL}/track1 RTSP/1.0", "CSeq: 4", "Transport: RTP/AVP;unicast;client_port=50000-50001"),
    ),
    (
        UP,
        lines(
            "RTSP/1.0 200 OK",
            "CSeq: 4",
            "Session: 4711deadsecret;timeout=60",
            "Transport: RTP/AVP;unicast;client_port=50000-50001;server_port=6970-6971;ssrc=11223344",
        ),
    ),
    (DOWN, lines(f"PLAY {URL} RTSP/1.0", "CSeq: 5", "Session: 4711deadsecret", "Range: npt=0.000-")),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 5", "Session: 4711deadsecret", "RTP-Info: url=x;seq=1")),
    (DOWN, lines(f"TEARDOWN {URL} RTSP/1.0", "CSeq: 6", "Session: 4711deadsecret")),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 6")),
]
VIEW_OVER_TCP: list[Turn] = [
    (DOWN, lines(f"SETUP {URL} RTSP/1.0", "CSeq: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")),
    (DOWN, lines(f"PLAY {URL} RTSP/1.0", "CSeq: 2")),
    (UP, lines("RTSP/1.0 200 OK", "CSeq: 2") + FRAME * 3),
    (UP, FRAME * 2),
    (DOWN, FRAME[:1] + b"\x01" + FRAME[2:]),  # a receiver report goes the other way
    (DOWN, lines(f"GET_PARAMETER {URL} RTSP/1.0", "CSeq: 3")),
    (UP, FRAME + lines("RTSP/1.0 200 OK", "CSeq: 3") + FRAME),
]
PUSH: list[Turn] = [
    (UP, lines("ANNOUNCE rtsp://cloud.example/cam7 RTSP/1.0", "CSeq: 1", f"Content-Length: {len(SDP)}", body=SDP)),
    (DOWN, lines("RTSP/1.0 200 OK", "CSeq: 1")),
    (
        UP,
        lines(
            "SETUP rtsp://cloud.example/cam7/1 RTSP/1.0",
            "CSeq: 2",
            "Transport: RTP/AVP/TCP;interleaved=0-1;mode=record",
        ),
    ),
    (DOWN, lines("RTSP/1.0 200 OK", "CSeq: 2", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record")),
    (UP, lines("RECORD rtsp://cloud.example/cam7 RTSP/1.0", "CSeq: 3")),
    (DOWN, lines("RTSP/1.0 200 OK", "CSeq: 3")),
]
BOTH_ASK: list[Turn] = [
    (DOWN, lines(f"DESCRIBE {URL} RTSP/1.0", "CSeq: 1")),
    (UP, lines("OPTIONS * RTSP/1.0", "CSeq: 1")),  # the server asks before it answers, with the same number
    (DOWN, lines("RTSP/1.0 501 Not Implemented", "CSeq: 1")),
    (UP, lines("RTSP/1.0 404 Not Found", "CSeq: 1")),
]
ROWS = {"udp": VIEW_OVER_UDP, "tcp": VIEW_OVER_TCP, "push": PUSH, "both ask": BOTH_ASK}


def words(readings: list[Any]) -> list[tuple[Any, ...]]:
    """What the rows are compared by: method, status, whether the server spoke."""
    return [(r.detail.get("method"), r.detail.get("status"), r.from_server) for r in readings if r.what == "rtsp"]


def test_a_viewing_over_udp() -> None:
    _, readings = run(rtsp.read, whole(VIEW_OVER_UDP))
    readings = [reading for reading in readings if reading.what == "rtsp"]
    assert words(readings) == [
        ("OPTIONS", None, False),
        ("OPTIONS", 200, True),
        ("DESCRIBE", None, False),
        ("DESCRIBE", 401, True),
        ("DESCRIBE", None, False),
        ("DESCRIBE", 200, True),
        ("SETUP", None, False),
        ("SETUP", 200, True),
        ("PLAY", None, False),
        ("PLAY", 200, True),
        ("TEARDOWN", None, False),
        ("TEARDOWN", 200, True),
    ]
    setup, play = readings[7].detail, readings[9].detail
    assert (setup["transport"], setup["client_ports"], setup["server_ports"]) == (
        "udp",
        ("50000", "50001"),
        ("6970", "6971"),
    )
    assert (play["range"], play["url"], play["cseq"]) == ("npt=0.000-", URL, 5)
    assert readings[0].detail["user_agent"] == "Lavf59"
    assert [r.detail["scheme"] for r in readings[2:6]] == [None, None, "digest", "digest"]


def test_a_viewing_inside_tcp_passes_over_the_media() -> None:
    _, readings = run(rtsp.read, whole(VIEW_OVER_TCP))
    assert [w[:2] for w in words(readings)] == [
        ("SETUP", None),
        ("SETUP", 200),
        ("PLAY", None),
        ("PLAY", 200),
        ("GET_PARAMETER", None),
        ("GET_PARAMETER", 200),
    ]
    assert (readings[1].detail["transport"], readings[1].detail["interleaved"]) == ("tcp", ("0", "1"))
    assert not [r for r in readings if r.what != "rtsp"], "the opening was read: the media are no news"


def test_a_camera_that_pushes_is_the_client() -> None:
    state, readings = run(rtsp.read, whole(PUSH))
    assert state.client_up is True
    assert [(m, s) for m, s, _ in words(readings)][-1] == ("RECORD", 200)
    assert [r.from_server for r in readings] == [False, True] * 3
    assert {r.detail["mode"] for r in readings} == {"record"}


def test_requests_of_the_server_are_paired_by_direction() -> None:
    _, readings = run(rtsp.read, whole(BOTH_ASK))
    assert words(readings) == [
        ("DESCRIBE", None, False),
        ("OPTIONS", None, True),
        ("OPTIONS", 501, False),
        ("DESCRIBE", 404, True),
    ]


@pytest.mark.parametrize("turns", ROWS.values(), ids=ROWS)
def test_cut_anywhere_reads_the_same(turns: list[Turn]) -> None:
    expected = run(rtsp.read, whole(turns))[1]
    assert run(rtsp.read, bytewise(turns))[1] == expected
    for chunks in cut_everywhere(turns):
        assert run(rtsp.read, chunks)[1] == expected


@pytest.mark.parametrize("turns", ROWS.values(), ids=ROWS)
@pytest.mark.parametrize("size", [1, 17, 90])
def test_a_hole_costs_no_more_than_the_message_it_is_in(turns: list[Turn], size: int) -> None:
    """Whatever is missing: every request and answer of the other turns is still read."""
    for index, chunks in hole_everywhere(turns, size):
        _, readings = run(rtsp.read, chunks)
        left = turns[:index] + turns[index + 1 :]
        sent = sum(data.count(b" RTSP/1.0\r\n") for _, data in left)
        answered = sum(data.count(b"RTSP/1.0 ") for _, data in left)
        assert sum(1 for _, status, _ in words(readings) if status is None) >= sent, (index, chunks)
        assert sum(1 for _, status, _ in words(readings) if status is not None) >= answered, (index, chunks)


def test_the_kernel_hands_up_no_video() -> None:
    """After PLAY only segments that begin like an answer come up, each behind a hole; so may one cut out of media."""
    opening = whole(VIEW_OVER_TCP[:4])
    later = [
        Chunk(UP, FRAME[7:] + b"\x00\x01\x02" * 400, gap=True),
        Chunk(DOWN, lines(f"PAUSE {URL} RTSP/1.0", "CSeq: 9"), gap=True),
        Chunk(UP, lines("RTSP/1.0 200 OK", "CSeq: 9"), gap=True),
        Chunk(UP, b"\x24" * 700 + lines("RTSP/1.0 200 OK", "CSeq: 10"), gap=True),
        Chunk(DOWN, b"junk" + lines(f"TEARDOWN {URL} RTSP/1.0", "CSeq: 11"), gap=True),
    ]
    _, readings = run(rtsp.read, [*opening, *later])
    assert [w[:2] for w in words(readings)][4:] == [("PAUSE", None), ("PAUSE", 200), (None, 200), ("TEARDOWN", None)]
    assert not [r for r in readings if r.what == "odd"], "bytes out of the middle of media are no fault of the peer"


def test_a_start_that_is_cut_behind_a_hole() -> None:
    request = lines(f"PLAY {URL} RTSP/1.0", "CSeq: 9")
    for at in range(1, 20):
        chunks = [Chunk(DOWN, b"\x99" * 50 + request[:at], gap=True), Chunk(DOWN, request[at:])]
        assert words(run(rtsp.read, chunks)[1]) == [("PLAY", None, False)], at


def test_what_only_looks_like_a_frame_hides_no_message_and_is_not_odd() -> None:
    false_frame = b"\x99$\x00\x0f\xa0\x80" + b"\x99" * 60  # says it is 4000 bytes long
    answer = lines("RTSP/1.0 200 OK", "CSeq: 1")
    short_frame = b"\x99$\x00\x00\x08\x80" + b"\x99" * 60
    chunks = [
        *whole(VIEW_OVER_TCP[:1]),
        Chunk(UP, false_frame, gap=True),
        Chunk(UP, b"\x98" * 30 + answer),
        Chunk(UP, short_frame, gap=True),
    ]
    _, readings = run(rtsp.read, chunks)
    assert [(r.what, r.detail.get("status")) for r in readings] == [("rtsp", None), ("rtsp", 200)]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"PLAY rtsp://a/x RTSP/1.0\nCSeq: 1\n\n",
        b"PLAY  rtsp://a/x  RTSP/1.0 \r\nCSeq: 1\r\n\r\n",
        b"\r\n\r\nPLAY rtsp://a/x RTSP/1.0\r\nCSeq:1\r\n\r\n",
        b"PLAY rtsp://a/x RTSP/2.0\r\ncseq : 1\r\n\r\n",
        b"PLAY rtsp://a/x RTSP/1.0\r\nX:\r\nCSEQ:   1\r\n\r\n",
    ],
)
def test_sloppy_requests_that_servers_accept(request_bytes: bytes) -> None:
    opened = VIEW_OVER_UDP[:2]  # blank lines come between messages
    detail = run(rtsp.read, whole([*opened, (DOWN, request_bytes)]))[1][-1].detail
    assert (detail["method"], detail["url"], detail["cseq"]) == ("PLAY", "rtsp://a/x", 1)


@pytest.mark.parametrize("front", [b"", b"\n", b"\r\n\r\n"])
@pytest.mark.parametrize(
    "line", ["DESCRIBE rtsp://a/x RTSP/1.0", "describe rtsp://a/x rtsp/1.0", "DESCRIBE\t/x RTSP/1.0"]
)
@pytest.mark.parametrize("cut", [1, 2, 5, 1000])
def test_a_login_behind_empty_lines_or_in_small_letters(front: bytes, line: str, cut: int) -> None:
    asked = front + lines(line, "CSeq: 1", "Authorization: Basic Ym9iOnpl")
    turns: list[Turn] = [(DOWN, asked[:cut]), (DOWN, asked[cut:]), (UP, lines("RTSP/1.0 200 OK", "CSeq: 1"))]
    found = [r.detail for r in run(rtsp.read, whole(turns))[1] if r.what == "login"]
    assert [(one["user"], one["outcome"]) for one in found] == [("bob", None), ("bob", "success")]


def test_an_interim_answer_is_not_the_answer() -> None:
    turns = [VIEW_OVER_UDP[0], (UP, lines("RTSP/1.0 100 Continue", "CSeq: 1")), VIEW_OVER_UDP[1]]
    assert words(run(rtsp.read, whole(turns))[1]) == [("OPTIONS", None, False), ("OPTIONS", 200, True)]


def test_unread_bytes_are_capped() -> None:
    chunks = [*whole(VIEW_OVER_TCP[:4]), Chunk(UP, b"$\x00\x00\x08\x80\x60aaaaaa" * 20000)]
    state, _ = run(rtsp.read, chunks)
    assert len(state.up.half.tail) <= rtsp_framing.TAIL_CAP
    assert words(run(rtsp.read, [*chunks, Chunk(UP, lines("RTSP/1.0 200 OK", "CSeq: 7"))])[1])[-1] == (None, 200, True)


def test_media_inside_a_connection_that_was_joined_late() -> None:
    chunks = [Chunk(UP, b"\xaa" * 100 + FRAME * 2, gap=True), Chunk(UP, FRAME * 5)]
    _, readings = run(rtsp.read, chunks)
    assert [(r.what, r.detail) for r in readings] == [
        ("rtsp-interleaved", {"channel": 0, "ssrc": 0x11223344, "payload_type": 96})
    ]


def test_an_answer_without_its_request_says_what_it_can() -> None:
    chunks = [
        Chunk(UP, lines("RTSP/1.0 200 OK", "CSeq: 8", "Transport: RTP/AVP;unicast;client_port=4000-4001"), gap=True),
        Chunk(UP, lines("RTSP/1.0 200 OK", "CSeq: 9", "RTP-Info: url=rtsp://a/b")),
    ]
    state, readings = run(rtsp.read, chunks)
    assert words(readings) == [("SETUP", 200, True), ("PLAY", 200, True)]
    assert readings[0].detail["client_ports"] == ("4000", "4001")
    assert state.client_up is False


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        ("RTP/AVP;multicast;destination=239.1.2.3;port=5000-5001;ttl=16", ("multicast", ("5000", "5001"), "239.1.2.3")),
        ("RTP/AVP/UDP;unicast;client_port=70000-70001", ("udp", (), None)),
        ('RTP/AVP;unicast;dest_addr=":8000"/":8001";src_addr="192.0.2.5:6256"', ("udp", ("8000", "8001"), None)),
        ("RTP/SAVP/TCP;unicast;interleaved=2-3", ("tcp", (), None)),
        ("gibberish", (None, (), None)),
        ("", (None, (), None)),
    ],
)
def test_transport_of_the_answer(transport: str, expected: tuple[Any, ...]) -> None:
    turns = [
        (DOWN, lines(f"SETUP {URL} RTSP/1.0", "CSeq: 1")),
        (UP, lines("RTSP/1.0 200 OK", "CSeq: 1", f"Transport: {transport}")),
    ]
    detail = run(rtsp.read, whole(turns))[1][1].detail
    assert (detail["transport"], detail["client_ports"], detail["destination"]) == expected


def test_playback_shows_its_range() -> None:
    request = lines(f"PLAY {URL} RTSP/1.0", "CSeq: 1", "Range: clock=20261124T080000Z-20261124T083000Z")
    assert run(rtsp.read, [Chunk(DOWN, request)])[1][0].detail["range"] == "clock=20261124T080000Z-20261124T083000Z"


SECRET = "hunter2zebra"  # itself no word that a filter could know


@pytest.mark.parametrize(
    "url",
    [
        f"rtsp://admin:{SECRET}@10.0.0.5/live",
        f"rtsp://admin:a/b?c{SECRET}@10.0.0.5/live",
        f"rtsp://admin:x@{SECRET}@10.0.0.5/live",
        f"rtsp://10.0.0.5/live?user=admin&password={SECRET}",
        f"rtsp://10.0.0.5/user=admin&password={SECRET}&channel=1&stream=0.sdp",
        f"rtsp://10.0.0.5/user=admin_password={SECRET}_channel=1_stream=0.sdp?real_stream",
        f"rtsp://10.0.0.5/live/p%61ssword={SECRET}/1",
        f"rtsp://10.0.0.5/live;token={SECRET}",
        f"rtsp://10.0.0.5/live#{SECRET}",
        f"/live?pw={SECRET}",
    ],
)
def test_no_secret_leaves_a_reading(url: str) -> None:
    request = lines(
        f"DESCRIBE {url} RTSP/1.0",
        "CSeq: 1",
        f"Authorization: Basic {SECRET}",
        f"Cookie: {SECRET}",
        f"Session: {SECRET}",
        f"X-Auth-Token: {SECRET}",
        f"Require: {SECRET}",
    )
    answer = lines("RTSP/1.0 200 OK", "CSeq: 1", f"Session: {SECRET}", f"Set-Cookie: {SECRET}", f'Nonce: "{SECRET}"')
    state, readings = run(rtsp.read, [Chunk(DOWN, request), Chunk(UP, answer)])
    assert [reading.what for reading in readings] == ["rtsp", "login"] * 2
    assert SECRET not in repr(readings)
    assert SECRET not in repr(state), "not in what waits for an answer either"


def test_control_characters_never_leave() -> None:
    request = lines("PLAY rtsp://10.0.0.5/\x1b[31m RTSP/1.0", "CSeq: 1", "User-Agent: \x1b]0;owned\x07\x9b")
    detail = run(rtsp.read, [Chunk(DOWN, request)])[1][0].detail
    assert detail["user_agent"] == "\\x1b]0;owned\\x07\\xc2\\x9b"
    assert str(detail["url"]).isprintable()


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /x HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"OPTIONS sip:bob@example.com SIP/2.0\r\nVia: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"\x00" * 40,
    ],
)
def test_what_is_not_rtsp_is_given_up_at_once(first: bytes) -> None:
    assert run(rtsp.read, [Chunk(DOWN, first)])[0] is NOT_MINE


def test_noise_joined_in_the_middle_is_given_up_in_the_end() -> None:
    noise = bytes(range(256)) * 8
    chunks = [Chunk(UP, noise, gap=index == 0) for index in range(40)]
    assert run(rtsp.read, chunks)[0] is NOT_MINE


def test_a_header_block_without_end_does_not_hide_what_follows() -> None:
    flood = b"DESCRIBE rtsp://a/ RTSP/1.0\r\n" + b"X: y\r\n" * 6000
    start, more = whole(VIEW_OVER_UDP[:2]), whole(VIEW_OVER_UDP[2:4])
    pieces = [Chunk(DOWN, flood[at : at + 1400]) for at in range(0, len(flood), 1400)]
    _, readings = run(rtsp.read, [*start, *pieces, *more])
    assert words(readings)[-2:] == [("DESCRIBE", None, False), ("DESCRIBE", 401, True)]
    assert ("odd", {"name": "rtsp-headers"}) in [(r.what, r.detail) for r in readings]


def test_a_body_length_that_lies_does_not_hide_what_follows() -> None:
    first = lines(f"OPTIONS {URL} RTSP/1.0", "CSeq: 1", "Content-Length: 999999999999")
    _, readings = run(rtsp.read, [Chunk(DOWN, first), Chunk(DOWN, lines(f"PLAY {URL} RTSP/1.0", "CSeq: 2"))])
    assert words(readings) == [("OPTIONS", None, False), ("PLAY", None, False)]


def test_requests_that_nobody_answers_are_capped() -> None:
    flood = [Chunk(DOWN, lines(f"OPTIONS {URL} RTSP/1.0", f"CSeq: {n}")) for n in range(500)]
    state, _ = run(rtsp.read, flood)
    assert len(state.down.pending) == rtsp.PENDING_CAP


PIECES = st.one_of(
    st.binary(max_size=300),
    st.sampled_from([data for turns in ROWS.values() for _, data in turns]),
    st.sampled_from([FRAME, b"$", b"\r\n\r\n", b"RTSP/1.0 ", b"PLAY rtsp://", b"$\x00\xff\xff\x80", b"CSeq: 1\r\n"]),
)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.tuples(st.booleans(), PIECES, st.booleans()), max_size=12))
def test_anything_may_come(chunks: list[tuple[bool, bytes, bool]]) -> None:
    began = time.monotonic()
    state, _ = run(rtsp.read, [Chunk(*chunk) for chunk in chunks])
    assert time.monotonic() - began < 1
    if state is not NOT_MINE and state is not None:
        assert len(state.up.half.tail) <= rtsp_framing.TAIL_CAP
        assert len(state.down.half.tail) <= rtsp_framing.TAIL_CAP


@pytest.mark.parametrize(
    "unit",
    [
        b"$\x00\x00\x00\x80",
        b"$\x00\x00\x08\x80\x60aaaaaa",
        b"$\x00\x00\x08\x80aaaaaaaaaaaa",
        b"PLAY /",
        b"PLAY   ",
        b"PLAY / RTSP/1.0\r\n",
        b"RTSP/1.0 200\r",
        b"\r\n",
        b"$",
    ],
)
def test_the_worst_bytes_take_bounded_time(unit: bytes) -> None:
    data = unit * (64 * 1024 // len(unit))
    chunks = [Chunk(UP, data[at : at + 2048], gap=at == 0) for at in range(0, len(data), 2048)]
    began = time.process_time()
    run(rtsp.read, [*whole(VIEW_OVER_UDP[:2]), *chunks, Chunk(UP, data)])
    assert time.process_time() - began < 1
