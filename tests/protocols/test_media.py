"""Which form of media HTTP carries: rows whole, cut everywhere, byte by byte, with holes; curl and ffmpeg."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import http, media
from tests.protocols.relay import heard, missing, relay
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UP, DOWN = True, False
SECRET = "hunter2zebra"
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(200))
PARTS = b"--frame\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s\r\n"


def head(start: str, *fields: str) -> bytes:
    return "\r\n".join((start, *fields, "", "")).encode()


def get(path: str = "/x") -> Turn:
    return DOWN, head(f"GET {path} HTTP/1.1", "Host: cam")


def answer(kind: str | None, body: bytes = b"", *, length: bool = True, status: str = "200 OK") -> Turn:
    fields = ([f"Content-Type: {kind}"] if kind else []) + ([f"Content-Length: {len(body)}"] if length else [])
    return UP, head(f"HTTP/1.1 {status}", *fields) + body


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def upload(path: str, kind: str | None, *pieces: bytes, method: str = "PUT") -> Turn:
    fields = [f"Content-Type: {kind}"] if kind else []
    return UP, head(f"{method} {path} HTTP/1.1", "Host: cloud", "Transfer-Encoding: chunked", *fields) + chunked(
        *pieces
    )


def mixed(kind: bytes, body: bytes, count: int = 3) -> bytes:
    return PARTS % (kind, len(body), body) * count


MIXED = "multipart/x-mixed-replace; boundary=frame"
TS = (b"\x47\x40\x00\x10" + bytes(184)) * 3
MADE: Turn = (DOWN, head("HTTP/1.1 201 Created", "Content-Length: 0"))

#: name -> dialogue, (form, upload) of each reading
ROWS: dict[str, tuple[list[Turn], list[tuple[str, bool]]]] = {
    "MJPEG": ([get("/video.mjpg"), answer(MIXED, mixed(b"image/jpeg", JPEG), length=False)], [("mjpeg", False)]),
    "events in the same wrapping (Dahua)": (
        [get("/cgi-bin/attach"), answer(MIXED, mixed(b"text/plain", b"Code=VideoMotion"), length=False)],
        [],
    ),
    "sound in the same wrapping": (
        [get("/audio.cgi"), answer(MIXED, mixed(b"audio/g.711a", b"sound" * 9), length=False)],
        [("chunked", False)],
    ),
    "two snapshots": (
        [get("/snap.jpg"), answer("image/jpeg", JPEG)] * 2,
        [("snapshot", False), ("snapshot", False)],
    ),
    "a snapshot that does not say so": (
        [get("/snap"), answer("application/octet-stream", JPEG)],
        [("snapshot", False)],
    ),
    "a page, its icon, an error with a picture": (
        [
            get("/"),
            answer("text/html", b"<html>"),
            get("/icon.png"),
            answer("image/png", b"\x89PNG"),
            get("/no.jpg"),
            answer("image/jpeg", JPEG, status="404 Not Found"),
        ],
        [],
    ),
    "HLS, pulled": (
        [
            get("/live/index.m3u8"),
            answer("application/vnd.apple.mpegurl", b"#EXTM3U\n"),
            get("/live/seg1.ts"),
            answer("video/mp2t", TS),
            get("/live/seg2.m4s"),
            answer("video/iso.segment", b"\0\0\0\x18styp"),
        ],
        [("hls", False)] * 3,
    ),
    "HLS, uploaded by the camera": (
        [
            upload("/cam7/seg1.ts", "video/MP2T", TS),
            MADE,
            upload("/cam7/index.m3u8", "application/vnd.apple.mpegurl", b"#EXTM3U\n", method="POST"),
            MADE,
        ],
        [("hls", True), ("hls", True)],
    ),
    "DASH": ([get("/live.mpd"), answer("application/dash+xml", b"<MPD/>")], [("hls", False)]),
    "video uploaded without an end": (
        [upload("/cam7", "video/mp4", b"\0\0\0\x18ftyp", b"moof" * 9)],
        [("chunked", True)],
    ),
    "the same without a type": ([upload("/cam7", None, TS[:100], TS[100:])], [("chunked", True)]),
    "a clip uploaded": (
        [
            (UP, head("PUT /clip.mp4 HTTP/1.1", "Content-Type: video/mp4", "Content-Length: 9") + b"\0\0\0\x18ftypx"),
            MADE,
        ],
        [("file", True)],
    ),
    "readings of a thermometer": ([upload("/telemetry", "application/json", b"{}"), MADE], []),
    "FLV (Reolink)": ([get("/flv?app=bcs"), answer("video/x-flv", b"FLV\1" * 9, length=False)], [("chunked", False)]),
    "sound alone": ([get("/receive.cgi"), answer("audio/basic", b"\xff" * 50, length=False)], [("chunked", False)]),
    "the camera fetches a picture": (
        [(UP, head("GET /logo.jpg HTTP/1.1", "Host: x")), (DOWN, answer("image/jpeg", JPEG)[1])],
        [],
    ),
    "somebody uploads to the camera": ([(DOWN, upload("/firmware.bin", "video/mp4", b"x")[1])], []),
}


def forms(readings: list[Any]) -> list[tuple[Any, ...]]:
    return [(r.detail["form"], r.detail["upload"]) for r in readings if r.what == "http-media"]


@pytest.mark.parametrize("name", ROWS)
def test_rows_whole_byte_by_byte_and_cut_everywhere(name: str) -> None:
    turns, expected = ROWS[name]
    _, together = run(http.read, whole(turns))
    assert forms(together) == expected
    assert not [reading for reading in together if reading.what == "odd"]
    assert run(http.read, bytewise(turns))[1] == together
    for chunks in cut_everywhere(turns):
        assert run(http.read, chunks)[1] == together


@pytest.mark.parametrize("name", ROWS)
def test_a_hole_changes_no_form(name: str) -> None:
    turns, expected = ROWS[name]
    if "same wrapping" in name:
        expected = [*expected, ("mjpeg", False)]  # where the first part is missing, only the path could tell
    for _, chunks in hole_everywhere(turns, 30):
        told = forms(run(http.read, chunks)[1])
        assert set(told) <= set(expected)
        assert len(told) <= len(expected) + 1


def test_the_first_part_is_missing_and_the_path_tells() -> None:
    for path, expected in (("/video.mjpg", [("mjpeg", False)]), ("/cgi-bin/eventManager.cgi?action=attach", [])):
        start = answer(MIXED, length=False)[1]
        chunks = [*whole([get(path), (UP, start)]), Chunk(UP, b"\x11" * 50, gap=True)]
        assert forms(run(http.read, chunks)[1]) == expected


def test_polled_snapshots_of_which_only_the_heads_come_up() -> None:
    chunks = []
    for _ in range(20):
        chunks += [Chunk(*get("/snap.jpg")), Chunk(UP, answer("image/jpeg", JPEG * 200)[1][:1448], gap=True)]
    assert forms(run(http.read, chunks)[1]) == [("snapshot", False)] * 20


def test_what_is_said_of_each_message() -> None:
    turns = [
        get(f"/snap.jpg?token={SECRET}"),
        answer("image/JPEG; charset=x", JPEG),
        upload("/a", "video/mp4", b"x"),
    ]
    _, readings = run(http.read, [*whole(turns[:2]), *whole(turns[2:])])
    words = [(r.detail["content_type"], r.detail["upload"], r.detail["path"]) for r in readings if r.what == "http"]
    assert words == [(None, False, "/snap.jpg"), ("image/jpeg", False, "/snap.jpg"), ("video/mp4", True, "/a")]


@given(
    st.one_of(st.none(), st.text(max_size=60), st.sampled_from(["image/jpeg", "video/mp4", MIXED])),
    st.text(max_size=40),
    st.booleans(),
    st.binary(max_size=1200),
    st.booleans(),
)
def test_any_type_any_path_any_bytes(kind: str | None, path: str, endless: bool, data: bytes, last: bool) -> None:
    word = media.content_type(kind)
    assert word is None or (word.isascii() and len(word) <= 83 and " " not in word)
    form = media.form(word, path, endless=endless, data=data, last=last)
    assert form in ("mjpeg", "snapshot", "hls", "chunked", "file", "") or (form is None and not last)


# ---- real programs ---------------------------------------------------------------------------------------------------


class Camera(BaseHTTPRequestHandler):
    """A camera's web page, and a cloud that takes everything."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        stream = self.path.startswith("/video")
        self.send_response(200)
        self.send_header("Content-Type", MIXED if stream else "image/jpeg")
        if not stream:
            self.send_header("Content-Length", str(len(JPEG)))
        self.end_headers()
        self.wfile.write(mixed(b"image/jpeg", JPEG * 30, 20) if stream else JPEG)
        self.close_connection = stream

    def do_PUT(self) -> None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while (size := int(self.rfile.readline(), 16)) or self.rfile.readline() == b"":
                self.rfile.read(size + 2)
        else:
            self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_PUT

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def told(turns: list[Turn], *, camera_calls: bool = False) -> list[Any]:
    turns = [(up != camera_calls, data) for up, data in turns]
    readings = [reading for _, _, reading in heard(turns, {"http": http.read})]
    assert SECRET not in json.dumps([r.detail for r in readings])
    return forms(readings)


def test_curl_pulls_mjpeg_and_polls_snapshots() -> None:
    if why := missing("curl"):
        pytest.skip(why)
    with served() as port, relay(port) as between:
        here = f"http://127.0.0.1:{between.port}"
        curl = ("curl", "-s", "-o", "/dev/null", "-u", f"admin:{SECRET}")
        subprocess.run([*curl, f"{here}/video.mjpg?pw={SECRET}"], check=True, timeout=90)
        subprocess.run([*curl, *(f"{here}/snap.jpg?{n}" for n in range(5))], check=True, timeout=90)
        film, snapshots = between.talks
    assert told(film) == [("mjpeg", False)]
    assert told(snapshots) == [("snapshot", False)] * 5


FILM = (
    "-f",
    "lavfi",
    "-i",
    "testsrc2=s=160x120:r=10",
    "-t",
    "4",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-g",
    "10",
)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (("-f", "mpegts", "-method", "PUT", "{}/cam"), "chunked"),
        (("-f", "hls", "-hls_time", "1", "-method", "PUT", "{}/cam/live.m3u8"), "hls"),
        (("-f", "hls", "-hls_time", "1", "-method", "PUT", "-http_persistent", "1", "{}/cam/live.m3u8"), "hls"),
        (("-movflags", "frag_keyframe+empty_moov", "-f", "mp4", "-method", "POST", "{}/cam"), "chunked"),
    ],
    ids=["mpegts", "hls", "hls on one connection", "mp4"],
)
def test_ffmpeg_uploads_as_a_camera(how: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    if why := missing("ffmpeg"):
        pytest.skip(why)
    with served() as port, relay(port) as between:
        target = [part.format(f"http://127.0.0.1:{between.port}") for part in how]
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *FILM, *target], check=True, timeout=90)
        found = [form for turns in between.talks for form in told(turns, camera_calls=True)]
    assert set(found) == {(expected, True)}
    assert len(found) >= (4 if expected == "hls" else 1)
