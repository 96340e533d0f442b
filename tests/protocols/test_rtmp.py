"""RTMP as cameras publish it and viewers watch it: rows read whole, cut everywhere, byte by byte, with holes; ffmpeg,
nginx-rtmp."""

import json
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, amf, rtmp, rtmp_framing
from tests.protocols.relay import free_port, handed_up, heard, listens, missing, relay, running
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UP, DOWN = True, False
SECRET = "hunter2zebra"
HELLO = bytes((0, 0, 7, 0xAA, 0, 0, 0, 0)) + bytes(index * 7 % 251 for index in range(1528))


def value(one: Any) -> bytes:
    if one is None:
        return b"\x05"
    if isinstance(one, bool):
        return bytes((1, one))
    if isinstance(one, int | float):
        return b"\x00" + struct.pack(">d", one)
    if isinstance(one, str):
        return b"\x02" + struct.pack(">H", len(one)) + one.encode()
    inner = b"".join(struct.pack(">H", len(key)) + key.encode() + value(two) for key, two in one.items())
    return b"\x03" + inner + b"\0\0\x09"


def command(*parts: Any) -> bytes:
    return b"".join(value(part) for part in parts)


def message(kind: int, body: bytes, *, stream: int = 3, size: int = 128, at: int = 0) -> bytes:
    """A message in chunks (section 5.3.1), the first with a whole header."""
    late = struct.pack(">I", at) if at >= 0xFFFFFF else b""
    head = bytes((stream,)) + min(at, 0xFFFFFF).to_bytes(3, "big") + len(body).to_bytes(3, "big") + bytes((kind,))
    out = head + struct.pack("<I", 1) + late + body[:size]
    for begin in range(size, len(body), size):
        out += bytes((0xC0 | stream,)) + late + body[begin : begin + size]
    return out


CONNECT = command(
    "connect",
    1,
    {
        "app": f"live2/{SECRET}",
        "flashVer": "FMLE/3.0 (compatible; Lavf59.27.100)",
        "tcUrl": f"rtmp://me:{SECRET}@Cloud.Example:1935/live2/{SECRET}",
        "swfUrl": f"http://x/?{SECRET}",
        "capabilities": 15,
        "fpad": False,
        "pageUrl": None,
    },
)
CONNECTED = command("_result", 1, {"fmsVer": "FMS/3"}, {"level": "status", "code": "NetConnection.Connect.Success"})
WATCHED = f"channel0_main.bcs?channel=0&stream=0&user=admin&password={SECRET}"


def status(level: str, code: str) -> bytes:
    return command("onStatus", 0, None, {"level": level, "code": code, "description": SECRET})


def publish(name: str, answer: bytes, *, camera: bool = UP) -> list[Turn]:
    return [
        (camera, b"\x03" + HELLO),
        (not camera, b"\x03" + HELLO[::-1] + HELLO),
        (camera, HELLO[::-1] + message(20, CONNECT)),
        (not camera, message(5, struct.pack(">I", 5_000_000), stream=2) + message(6, b"\0\x4c\x4b\x40\2", stream=2)),
        (not camera, message(1, struct.pack(">I", 4096), stream=2) + message(20, CONNECTED, size=4096)),
        (camera, message(1, struct.pack(">I", 60_000), stream=2)),
        (
            camera,
            message(20, command("releaseStream", 2, None, name)) + message(20, command("FCPublish", 3, None, name)),
        ),
        (camera, message(20, command("createStream", 4, None))),
        (not camera, message(20, command("_result", 4, None, 1), size=4096)),
        (camera, message(20, command("publish", 5, None, name, "live"), stream=8)),
        (not camera, message(20, answer, stream=5, size=4096)),
        (camera, message(18, command("@setDataFrame", "onMetaData", {"width": 640}), size=60_000, at=0xFFFFFF + 5)),
        (camera, message(9, b"\x17" + b"v" * 900, stream=6, size=60_000) + message(8, b"\xaf\1sound", stream=4)),
        (camera, message(9, b"\x27" + b"w" * 300, stream=6, size=60_000)),
    ]


def play(name: str, answer: bytes) -> list[Turn]:
    return [
        (DOWN, b"\x03" + HELLO),
        (UP, b"\x03" + HELLO + HELLO),
        (DOWN, HELLO + message(20, CONNECT)),
        (UP, message(20, CONNECTED)),
        (DOWN, message(17, b"\0" + command("createStream", 2, None))),
        (UP, message(20, command("_result", 2, None, 1))),
        (DOWN, message(17, b"\0" + command("play", 4, None, name, -2000), stream=8)),
        (UP, message(20, answer, stream=5)),
        (UP, message(22, b"aggregate" * 100, stream=6)),
    ]


#: name -> dialogue; (call, role, from_server) of each reading; (user, outcome) of each login
ROWS: dict[str, tuple[list[Turn], list[tuple[Any, ...]], list[tuple[Any, ...]]]] = {
    "the camera publishes": (
        publish(SECRET, status("status", "NetStream.Publish.Start")),
        [
            ("connect", None, False),
            ("publish", "publish", False),
            ("start", "publish", True),
            ("media", "publish", False),
        ],
        [],
    ),
    "it may not": (
        publish(SECRET, status("error", "NetStream.Publish.BadName"))[:11],
        [("connect", None, False), ("publish", "publish", False), ("refused", "publish", True)],
        [],
    ),
    "somebody watches the camera (Reolink)": (
        play(WATCHED, status("status", "NetStream.Play.Start")),
        [("connect", None, False), ("play", "play", False), ("start", "play", True), ("media", "play", True)],
        [("admin", None, None), ("admin", "success", "read")],
    ),
    "somebody guesses": (
        play(WATCHED, status("error", "NetStream.Play.Failed"))[:8],
        [("connect", None, False), ("play", "play", False), ("refused", "play", True)],
        [("admin", None, None), ("admin", "failure", "inferred")],
    ),
    "there is no such stream": (
        play(WATCHED, status("error", "NetStream.Play.StreamNotFound"))[:8],
        [("connect", None, False), ("play", "play", False), ("refused", "play", True)],
        [("admin", None, None), ("admin", "unknown", "inferred")],
    ),
}


def calls(readings: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.detail["call"], r.detail["role"], r.from_server) for r in readings if r.what == "rtmp"]


def logins(readings: list[Any]) -> list[tuple[Any, ...]]:
    keys = ("user", "outcome", "outcome_source")
    return [tuple(r.detail[key] for key in keys) for r in readings if r.what == "login"]


@pytest.mark.parametrize("name", ROWS)
def test_rows_whole_and_byte_by_byte(name: str) -> None:
    turns, expected, users = ROWS[name]
    state, together = run(rtmp.read, whole(turns))
    assert calls(together) == expected
    assert logins(together) == users
    assert not [reading for reading in together if reading.what == "odd"]
    assert {(r.detail["app"], r.detail["host"]) for r in together if r.what == "rtmp"} == {("live2", "cloud.example")}
    assert state.client_up is turns[0][0]
    assert run(rtmp.read, bytewise(turns))[1] == together
    assert SECRET not in repr(together)
    assert SECRET not in repr(state), "not in what is kept either"


@pytest.mark.parametrize("name", ROWS)
def test_rows_cut_everywhere(name: str) -> None:
    turns, _, _ = ROWS[name]
    _, together = run(rtmp.read, whole(turns))
    for chunks in cut_everywhere(turns):
        assert run(rtmp.read, chunks)[1] == together


@pytest.mark.parametrize("name", ROWS)
def test_a_hole_invents_nothing_and_hides_no_other_command(name: str) -> None:
    turns, expected, _ = ROWS[name]
    answer = next(index for index, (_, data) in enumerate(turns) if b"onStatus" in data)
    for index, chunks in hole_everywhere(turns, 40):
        _, readings = run(rtmp.read, chunks)
        told = calls(readings)
        assert {call for call, *_ in told} <= {call for call, *_ in expected}
        if index < answer:
            assert expected[2][0] in {call for call, *_ in told}, "it comes in a turn of its own, behind the hole"
        assert SECRET not in repr(readings)


def test_what_the_kernel_hands_up_is_enough() -> None:
    """Some of the handshake is missing, and what the camera says after its first packets."""
    turns = publish(SECRET, status("status", "NetStream.Publish.Start"))
    chunks = [
        Chunk(UP, turns[0][1][:1000]),
        Chunk(DOWN, turns[1][1][1448:], gap=True),
        Chunk(UP, turns[2][1][1536:], gap=True),
        *[Chunk(up, data, gap=True) for up, data in turns[3:]],
    ]
    told = calls(run(rtmp.read, chunks)[1])
    assert told == [("connect", None, False), ("publish", "publish", False), ("start", "publish", True)]


def test_a_connection_that_was_joined_late() -> None:
    turns = publish(SECRET, status("status", "NetStream.Publish.Start"))
    chunks = [Chunk(UP, turns[9][1], gap=True), Chunk(DOWN, turns[10][1], gap=True)]
    state, readings = run(rtmp.read, chunks)
    assert calls(readings) == [("publish", "publish", False), ("start", "publish", True)]
    assert state.client_up is True


@pytest.mark.parametrize(
    ("app", "expected"),
    [
        ("live", "live"),
        ("/live/", "live"),
        (f"live?token={SECRET}", "live"),
        (f"app/{SECRET}", "app"),
        ("3f9a1c77e0b24d5583c1aa0e4be2f6d9", None),  # a key where the application should be
        (f"secret{SECRET}", None),
        ("\x1b[31m", None),
        (7, None),
    ],
)
def test_the_application_without_a_key(app: Any, expected: str | None) -> None:
    turns = [(UP, b"\x03" + HELLO + HELLO + message(20, command("connect", 1, {"app": app, "tcUrl": 3})))]
    detail = run(rtmp.read, whole(turns))[1][0].detail
    assert (detail["app"], detail["host"]) == (expected, None)


def test_an_answer_that_is_no_refusal() -> None:
    """Servers say _error to releaseStream and the like, which nobody minds."""
    turns = publish(SECRET, command("_error", 2, None, {"level": "error", "code": "NetConnection.Call.Failed"}))[:11]
    assert [call for call, *_ in calls(run(rtmp.read, whole(turns))[1])] == ["connect", "publish"]


@pytest.mark.parametrize(
    "turns",
    [
        [(DOWN, b"GET / HTTP/1.1\r\n\r\n")],
        [
            (DOWN, b"\x03\x00\x00\x13\x0e\xe0\0\0\0\0\0\1\0\x08\0\3\0\0\0"),
            (UP, b"\x03\x00\x00\x13\x0e\xd0\0\0\x124\0"),
        ],  # RDP
        [(DOWN, b"\x03" + HELLO), (UP, b"HTTP/1.1 400 Bad\r\n\r\n")],
        [(DOWN, b"\x03" + HELLO + HELLO + b"\x03" + b"\xee" * 40)],
        [(DOWN, b"\x06" + HELLO)],  # encrypted
    ],
    ids=["http", "rdp", "no answer of its kind", "no chunk", "rtmpe"],
)
def test_what_is_not_rtmp_is_given_up(turns: list[Turn]) -> None:
    state, readings = run(rtmp.read, whole(turns))
    assert state is NOT_MINE
    assert not readings


def test_noise_joined_in_the_middle_is_given_up_soon() -> None:
    chunks = [Chunk(UP, bytes(range(256)) * 4, gap=True) for _ in range(5)]
    assert run(rtmp.read, chunks)[0] is NOT_MINE


def test_values_that_are_cut_short() -> None:
    data = command("connect", 1, {"app": "live", "more": {"deep": "x"}}, "end")
    for at in range(len(data)):
        amf.values(data[:at])
    assert amf.values(data[:33])[2] == {"app": "live"}
    assert amf.values(data) == ["connect", 1.0, {"app": "live", "more": {"deep": "x"}}, "end"]
    assert amf.values(b"\x03\0\1a" * 50) == []


PIECES = st.sampled_from(
    [data for turns, _, _ in ROWS.values() for _, data in turns if len(data) < 1000] + [b"\xc3", b""]
)


@settings(max_examples=600, deadline=None)
@given(
    st.booleans(),
    st.lists(st.tuples(st.booleans(), st.one_of(PIECES, st.binary(max_size=60)), st.booleans()), max_size=12),
)
def test_any_bytes_give_readings_and_keep_little(opened: bool, parts: list[tuple[bool, bytes, bool]]) -> None:
    chunks = whole(ROWS["the camera publishes"][0][:3]) if opened else []
    state, readings = run(rtmp.read, [*chunks, *(Chunk(*part) for part in parts)])
    assert SECRET not in repr(readings)
    if state is not NOT_MINE and state is not None:
        for half in (state.up, state.down):
            assert len(half.tail) <= 18
            assert len(half.streams) <= rtmp_framing.STREAMS_CAP
            assert all(len(stream.kept) <= rtmp_framing.COMMAND_CAP for stream in half.streams.values())


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_as_values(data: bytes) -> None:
    assert len(amf.values(data)) <= amf.VALUES_CAP + 1


@pytest.mark.parametrize(
    "piece",
    [
        message(9, b""),
        message(20, b"\x03\0\1a" * 700),
        message(20, b"\x08\0\0\0\0\0\1a" * 300, size=1),
        b"\x02\x00\x07connect\x00" * 100,
        b"\xc3",
    ],
)
def test_a_flood_costs_bounded_time(piece: bytes) -> None:
    opening = whole(ROWS["the camera publishes"][0][:3])
    began = time.process_time()
    run(rtmp.read, [*opening, *[Chunk(UP, piece * (1400 // len(piece) + 1)) for _ in range(100)]])
    assert time.process_time() - began < 3.0


def test_a_server_that_says_its_version_at_once() -> None:
    """ffmpeg -listen answers the first byte, when the client's 1537 come in two segments."""
    turns = ROWS["the camera publishes"][0]
    first, answer = turns[0], turns[1]
    assert (first[0], answer[0]) == (UP, not UP)
    early = [(UP, first[1][:1448]), (not UP, answer[1][:1]), (UP, first[1][1448:]), (not UP, answer[1][1:]), *turns[2:]]
    assert [call for call, *_ in words(early)] == [call for call, *_ in words(list(turns))] != []


# ---- real programs ---------------------------------------------------------------------------------------------------

FFMPEG = ("ffmpeg", "-nostdin", "-v", "error")
FILM = ("-re", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10", "-t", "3", "-c:v", "libx264", "-preset", "ultrafast")
FILM = (*FILM, "-g", "10", "-f", "flv")


def words(turns: list[Turn]) -> list[Any]:
    return calls([reading for _, _, reading in heard(turns, {"rtmp": rtmp.read})])


def test_ffmpeg_publishes_to_ffmpeg(tmp_path: Path) -> None:
    if why := missing("ffmpeg"):
        pytest.skip(why)
    port = free_port()
    listening = (*FFMPEG, "-listen", "1", "-i", f"rtmp://127.0.0.1:{port}/live/{SECRET}", "-f", "null", "-")
    with running(*listening, ready=listens(port), log=tmp_path / "server.log"), relay(port) as between:
        subprocess.run([*FFMPEG, *FILM, f"rtmp://127.0.0.1:{between.port}/live/{SECRET}"], check=True, timeout=90)
        (turns,) = between.talks
    told = words(turns)
    assert told[:2] == [("connect", None, False), ("publish", "publish", False)]
    # the two directions were recorded by two threads: which of these came first is not known
    assert sorted(told[2:]) == [("media", "publish", False), ("start", "publish", True)]
    camera = [Chunk(not up, data, gap) for up, data, gap in handed_up([(not up, data) for up, data in turns])]
    _, readings = run(rtmp.read, [Chunk(not c.up, c.data, c.gap) for c in camera])
    assert ("start", "publish", True) in calls(readings)
    assert SECRET not in json.dumps([r.detail for r in readings])


def test_nginx_is_published_to_and_watched(tmp_path: Path) -> None:
    module = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
    if why := missing("ffmpeg", "nginx") or (None if module.exists() else "libnginx-mod-rtmp not installed"):
        pytest.skip(why)
    port = free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(
        f"load_module {module};\ndaemon off; master_process off; pid {tmp_path}/pid; error_log {tmp_path}/error.log;\n"
        "events {}\n"
        f"rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n"
    )
    nginx = (str(shutil.which("nginx")), "-p", str(tmp_path), "-c", str(config))
    with running(*nginx, ready=listens(port), log=tmp_path / "nginx.log"), relay(port) as between:
        film = [*FFMPEG, *FILM]
        film[film.index("-t") + 1] = "60"
        publishing = (*film, f"rtmp://127.0.0.1:{between.port}/live/{SECRET}")
        published = lambda: bool(between.talks) and len(words(between.talks[0])) == 4  # noqa: E731
        with running(*publishing, ready=published, log=tmp_path / "publish.log"):
            watch = f"rtmp://127.0.0.1:{between.port}/live/{SECRET}?user=admin&password={SECRET}"
            subprocess.run([*FFMPEG, "-i", watch, "-t", "1", "-f", "null", "-"], check=True, timeout=90)
        refused = f"rtmp://127.0.0.1:{between.port}/other/{SECRET}"
        subprocess.run([*FFMPEG, "-i", refused, "-t", "1", "-f", "null", "-"], check=False, timeout=90)
        publisher, viewer, stranger = between.talks[0], between.talks[1], between.talks[-1]
    assert sorted(call for call, *_ in words(publisher)) == ["connect", "media", "publish", "start"]
    assert sorted(call for call, *_ in words(viewer)) == ["connect", "media", "play", "start"]
    assert next(call for call, *_ in words(stranger)) == "connect"
    readings = [reading for _, _, reading in heard(viewer)]
    assert logins(readings) == [("admin", None, None), ("admin", "success", "read")]
    assert SECRET not in json.dumps([r.detail for r in readings])
    _, seen = run(rtmp.read, [Chunk(*piece) for piece in handed_up(viewer)])
    assert [call for call, *_ in calls(seen)][:2] == ["connect", "play"], "nginx says the rest in its 9th packet"
