"""HTTP as cameras and their users speak it: rows read whole, cut everywhere, byte by byte and with holes."""

import base64
import hashlib
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, http, http_framing
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UP, DOWN = True, False
SECRET = "hunter2zebra"


def lines(*text: str, body: bytes = b"", length: bool = True) -> bytes:
    head = [*text, *([f"Content-Length: {len(body)}"] if length and body else [])]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def basic(user: str, password: str) -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def digest(user: str, password: str, method: str, uri: str, *, qop: bool = True) -> str:
    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    middle = "n1:00000001:c1:auth" if qop else "n1"
    response = md5(f"{md5(f'{user}:cam:{password}')}:{middle}:{md5(f'{method}:{uri}')}")
    more = ', qop=auth, nc=00000001, cnonce="c1"' if qop else ""
    return f'Authorization: Digest username="{user}", realm="cam", nonce="n1", uri="{uri}", response="{response}"{more}'


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def post(path: str, body: bytes, kind: str, *more: str) -> bytes:
    return lines(f"POST {path} HTTP/1.1", "Host: cam", f"Content-Type: {kind}", *more, body=body)


def soap(token: str, ask: str = "<trt:GetProfiles/>") -> bytes:
    return (
        '<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header><wsse:Security>'
        f"<wsse:UsernameToken>{token}</wsse:UsernameToken></wsse:Security></s:Header><s:Body>{ask}</s:Body></s:Envelope>"
    ).encode()


FAULT = (
    b"<s:Envelope><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value>"
    b"</s:Subcode></s:Code></s:Fault></s:Body></s:Envelope>"
)
OTHER_FAULT = b"<s:Envelope><s:Body><s:Fault><s:Value>ter:ActionNotSupported</s:Value></s:Fault></s:Body></s:Envelope>"
PROFILES = b"<s:Envelope><s:Body><trt:GetProfilesResponse/></s:Body></s:Envelope>"
TOKEN = f"<wsse:Username>onvif</wsse:Username><wsse:Password Type='x#PasswordText'>{SECRET}</wsse:Password>"
GET, OK, NO = "GET /cgi/live.jpg HTTP/1.1", "HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized"
FORM = "application/x-www-form-urlencoded"
JPEG = b"\xff\xd8" + bytes(range(256)) * 3

#: name -> dialogue, and (scheme, user, default, outcome, source) of each login in it
ROWS: dict[str, tuple[list[Turn], list[tuple[Any, ...]]]] = {
    "the first 401 is a question": ([(DOWN, lines(GET)), (UP, lines(NO, body=b"no"))], []),
    "basic, refused, then right, on one connection": (
        [
            (DOWN, lines(GET)),
            (UP, lines(NO, 'WWW-Authenticate: Basic realm="cam"', body=b"no")),
            (DOWN, lines(GET, basic("admin", "wrong-" + SECRET))),
            (UP, lines(NO, body=b"no")),
            (DOWN, lines(GET, basic("admin", SECRET))),
            (UP, lines(OK, "Content-Type: image/jpeg", body=JPEG)),
        ],
        [("basic", "admin", False, "failure", "read"), ("basic", "admin", False, "success", "read")],
    ),
    "digest": (
        [
            (DOWN, lines(GET, digest("bob", SECRET, "GET", "/cgi/live.jpg"))),
            (UP, lines(OK, body=JPEG)),
        ],
        [("digest", "bob", False, "success", "read")],
    ),
    "digest with a factory password": (
        [
            (DOWN, lines(GET, digest("admin", "888888", "GET", "/cgi/live.jpg", qop=False))),
            (UP, lines(OK, body=JPEG)),
        ],
        [("digest", "admin", True, "success", "read")],
    ),
    "a nonce that is too old is no failure": (
        [
            (DOWN, lines(GET, digest("bob", SECRET, "GET", "/cgi/live.jpg"))),
            (UP, lines(NO, 'WWW-Authenticate: Digest realm="cam", nonce="n2", stale=TRUE', body=b"no")),
        ],
        [("digest", "bob", False, "challenge", "read")],
    ),
    "no password at all": (
        [(DOWN, lines(GET, basic("admin", ""))), (UP, lines("HTTP/1.1 204 No Content"))],
        [("basic", "admin", True, "success", "read")],
    ),
    "two ahead of their answers": (
        [
            (DOWN, lines(GET, basic("a", SECRET)) + lines(GET, basic("b", SECRET))),
            (UP, lines(NO, body=b"no") + lines(OK, "Transfer-Encoding: chunked", length=False) + chunked(b"yes", JPEG)),
        ],
        [("basic", "a", False, "failure", "read"), ("basic", "b", False, "success", "read")],
    ),
    "a form with a page as the answer": (
        [
            (DOWN, post("/login.cgi", f"user=admin&pwd={SECRET}&go=1".encode(), FORM)),
            (UP, lines(OK, "Content-Type: text/html", body=b"<h1>Wrong password</h1>")),
            (DOWN, post("/login.cgi", b"user=admin&pwd=12345&go=1", FORM)),
            (UP, lines("HTTP/1.1 302 Found", f"Set-Cookie: sid={SECRET}", "Location: /live.html")),
        ],
        [("form", "admin", False, "failure", "inferred"), ("form", "admin", True, "success", "inferred")],
    ),
    "in the URL: Foscam, then a picture of Reolink's": (
        [
            (DOWN, lines(f"GET /cgi-bin/CGIProxy.fcgi?cmd=getDevState&usr=admin&pwd={SECRET} HTTP/1.1")),
            (UP, lines(OK, "Content-Type: text/plain", body=b"<CGI_Result>\n<result>-2</result>\n</CGI_Result>")),
            (DOWN, lines("GET /cgi-bin/CGIProxy.fcgi?usr=admin&pwd=&cmd=getDevState HTTP/1.1")),
            (UP, lines(OK, "Content-Type: text/plain", body=b"<CGI_Result><result>0</result></CGI_Result>")),
            (DOWN, lines(f"GET /cgi-bin/api.cgi?cmd=Snap&user=me&password={SECRET} HTTP/1.1")),
            (UP, lines(OK, "Content-Type: image/jpeg", body=JPEG)),
        ],
        [
            ("form", "admin", False, "failure", "read"),
            ("form", "admin", True, "success", "read"),
            ("form", "me", False, "success", "read"),
        ],
    ),
    "JSON, in chunks (Reolink)": (
        [
            (
                DOWN,
                lines(
                    "POST /cgi-bin/api.cgi?cmd=Login HTTP/1.1",
                    "Content-Type: application/json",
                    "Transfer-Encoding: chunked",
                )
                + chunked(
                    b'[{"cmd":"Login","action":0,"param":{"User":',
                    json.dumps({"userName": "admin", "password": SECRET}).encode() + b"}}]",
                ),
            ),
            (UP, lines(OK, body=b'[{"cmd":"Login","code":1,"error":{"detail":"login failed","rspCode":-7}}]')),
        ],
        [("form", "admin", False, "failure", "read")],
    ),
    "Tapo": (
        [
            (
                DOWN,
                post(
                    "/",
                    b'{"method":"login","params":{"hashed":true,"password":"0192023A7BBD73250516F069DF18B500","username":"admin"}}',
                    "application/json",
                ),
            ),
            (UP, lines(OK, body=b'{"error_code":-40401,"result":{}}')),
            (
                DOWN,
                post(
                    "/", b'{"method":"login","params":{"password":"x' + SECRET.encode() + b'","username":"admin"}}', ""
                ),
            ),
            (UP, lines(OK, body=b'{"error_code":0,"result":{"stok":"' + SECRET.encode() + b'"}}')),
        ],
        [("form", "admin", None, "failure", "read"), ("form", "admin", False, "success", "read")],
    ),
    "Dahua asks first": (
        [
            (
                DOWN,
                post("/RPC2_Login", b'{"method":"global.login","params":{"userName":"admin","password":""}}', FORM),
            ),
            (UP, lines(OK, body=b'{"error":{"code":268632079},"params":{"random":"1","realm":"r"},"result":false}')),
        ],
        [("form", "admin", True, "challenge", "read")],
    ),
    "ONVIF refuses in a 400, then in a 200, and then believes": (
        [
            (DOWN, post("/onvif/device_service", soap(TOKEN), "application/soap+xml")),
            (UP, lines("HTTP/1.1 400 Bad Request", body=FAULT)),
            (DOWN, post("/onvif/device_service", soap(TOKEN), "application/soap+xml")),
            (UP, lines(OK, body=FAULT)),
            (DOWN, post("/onvif/device_service", soap(TOKEN), "application/soap+xml")),
            (UP, lines(OK, "Transfer-Encoding: chunked", length=False) + chunked(PROFILES)),
        ],
        [("wsse", "onvif", False, word, "read") for word in ("failure", "failure", "success")],
    ),
    "ONVIF: another fault says nothing, and some questions need no login": (
        [
            (DOWN, post("/onvif/device_service", soap(TOKEN), "application/soap+xml")),
            (UP, lines("HTTP/1.1 500 Error", body=OTHER_FAULT)),
            (DOWN, post("/onvif/device_service", soap(TOKEN, "<d:GetSystemDateAndTime/>"), "application/soap+xml")),
            (UP, lines(OK, body=PROFILES)),
        ],
        [("wsse", "onvif", False, word, "read") for word in ("unknown", "challenge")],
    ),
    "Hikvision says no in a 200": (
        [
            (DOWN, lines("GET /ISAPI/Security/userCheck HTTP/1.1", basic("admin", SECRET))),
            (UP, lines(OK, body=b"<userCheck><statusValue>401</statusValue></userCheck>")),
            (
                DOWN,
                post(
                    "/ISAPI/Security/sessionLogin",
                    f"<SessionLogin><userName>admin</userName><password>{'ab' * 32}</password></SessionLogin>".encode(),
                    "application/xml",
                ),
            ),
            (UP, lines(OK, body=b"<SessionLogin><statusValue>200</statusValue></SessionLogin>")),
        ],
        [("basic", "admin", False, "failure", "read"), ("form", "admin", None, "success", "read")],
    ),
    "the camera asks a server": (
        [(UP, lines("GET /update HTTP/1.1", basic("cam", SECRET))), (DOWN, lines(OK, body=b"none"))],
        [("basic", "cam", False, "success", "read")],
    ),
    "an earlier login is carried on": (
        [(DOWN, lines(GET, f"Authorization: Bearer {SECRET}")), (UP, lines(OK, body=b"ok"))],
        [],
    ),
    "an answer without a length": (
        [(DOWN, lines("GET / HTTP/1.0", basic("a", SECRET))), (UP, lines("HTTP/1.0 200 OK") + JPEG)],
        [("basic", "a", False, "success", "read")],
    ),
    "100 Continue before the answer": (
        [
            (DOWN, post("/login", json.dumps({"username": "a", "password": SECRET}).encode(), "application/json")),
            (UP, lines("HTTP/1.1 100 Continue")),
            (UP, lines(OK, body=b'{"success":true}')),
        ],
        [("form", "a", False, "success", "read")],
    ),
}


def logins(readings: list[Any]) -> list[tuple[Any, ...]]:
    """What the rows are compared by; each outcome belongs to a claim that was told before it."""
    asked = {r.detail["serial"]: r for r in readings if r.what == "login" and r.detail["outcome"] is None}
    out = []
    for reading in readings:
        detail = reading.detail
        if reading.what == "login" and detail["outcome"] is not None:
            assert asked.pop(detail["serial"]).detail["user"] == detail["user"]
            words = ("scheme", "user", "default_password", "outcome", "outcome_source")
            out.append(tuple(detail[word] for word in words))
    assert not asked
    return out


@pytest.mark.parametrize("name", ROWS)
def test_rows_whole_and_byte_by_byte(name: str) -> None:
    turns, expected = ROWS[name]
    _, together = run(http.read, whole(turns))
    assert logins(together) == expected
    assert not [reading for reading in together if reading.what == "odd"]
    state, single = run(http.read, bytewise(turns))
    assert single == together
    assert SECRET not in repr(together) + repr(state)


@pytest.mark.parametrize("name", ROWS)
def test_rows_cut_everywhere(name: str) -> None:
    turns, _ = ROWS[name]
    _, together = run(http.read, whole(turns))
    for chunks in cut_everywhere(turns):
        assert run(http.read, chunks)[1] == together


@pytest.mark.parametrize("name", ROWS)
def test_a_hole_tells_nothing_that_is_not_so(name: str) -> None:
    """Told is what was there: no outcome turns into its opposite, and nobody is invented."""
    turns, expected = ROWS[name]
    users = {row[1] for row in expected}
    for _, chunks in hole_everywhere(turns, 40):
        _, readings = run(http.read, chunks)
        told = [r.detail for r in readings if r.what == "login"]
        assert {detail["scheme"] for detail in told} <= {row[0] for row in expected}
        assert (
            len({d["serial"] for d in told if d["outcome"] == "success"})
            <= len([row for row in expected if row[3] in ("success", "challenge", "unknown")])
            or len(users) > 1
        )
        assert SECRET not in repr(readings)


def test_what_was_asked_and_answered() -> None:
    turns = [
        (DOWN, lines(f"GET /snap.jpg?user=admin&password={SECRET} HTTP/1.1", "Host: 10.0.0.5")),
        (UP, lines(OK, body=JPEG)),
        (DOWN, lines("HEAD / HTTP/1.1")),
        (UP, b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"),
        (DOWN, lines("GET /b HTTP/1.1")),
        (UP, lines("HTTP/1.1 404 Not Found", body=b"no")),
    ]
    _, told = run(http.read, whole(turns))
    readings = [reading for reading in told if reading.what == "http"]
    words = [(r.detail["method"], r.detail["path"], r.detail["status"], r.from_server) for r in readings]
    assert words == [
        ("GET", "/snap.jpg", None, False),
        ("GET", "/snap.jpg", 200, True),
        ("HEAD", "/", None, False),
        ("HEAD", "/", 200, True),
        ("GET", "/b", None, False),
        ("GET", "/b", 404, True),
    ]
    assert readings[0].detail["host"] == "10.0.0.5"


def test_bodies_that_the_kernel_keeps_are_passed_over() -> None:
    chunks = [
        Chunk(DOWN, lines(GET)),
        Chunk(UP, b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n" + JPEG),
        Chunk(DOWN, lines(GET, basic("admin", SECRET))),
        Chunk(UP, lines(NO, body=b"no"), gap=True),
    ]
    assert logins(run(http.read, chunks)[1]) == [("basic", "admin", False, "failure", "read")]


def test_with_missing_answers_two_questions_stay_open() -> None:
    """Which of them the answer behind the hole is for cannot be told."""
    chunks = [
        Chunk(DOWN, lines(GET, basic("a", SECRET))),
        Chunk(DOWN, lines(GET, basic("b", SECRET))),
        Chunk(UP, lines(OK), gap=True),
    ]
    outcomes = [r.detail["outcome"] for r in run(http.read, chunks)[1] if r.what == "login"]
    assert outcomes == [None, None]


@pytest.mark.parametrize("front", [b"", b"\n", b"\r\n\r\n"])
@pytest.mark.parametrize("line", ["get /a HTTP/1.1", "GET\t/a\tHTTP/1.1", "GET  /a  HTTP/1.1", "GET /a HTTP/1.7"])
@pytest.mark.parametrize("cut", [1, 2, 4, 10, 1000])
def test_a_login_in_a_request_that_only_servers_understand(front: bytes, line: str, cut: int) -> None:
    """Empty lines in front, white space, case and version: a server that minds none of them hides no login."""
    asked = front + lines(line, basic("bob", SECRET))
    turns: list[Turn] = [(DOWN, asked[:cut]), (DOWN, asked[cut:]), (UP, lines(OK, body=JPEG))]
    assert logins(run(http.read, whole(turns))[1]) == [("basic", "bob", False, "success", "read")]


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"SSH-2.0-OpenSSH\r\n",
        b"OPTIONS rtsp://cam/ RTSP/1.0\r\nCSeq: 1\r\n\r\n",
        b"POST /x HTTP/1.0\r\nX-SessionCookie: abc\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n",
        b"\x00" * 70_000,
    ],
)
def test_what_is_not_ours_is_left(start: bytes) -> None:
    assert run(http.read, [Chunk(DOWN, start)])[0] is NOT_MINE


def test_a_tunnel_is_left_when_it_is_granted() -> None:
    """Some cameras ask for a login before they let RTSP into HTTP (Axis)."""
    ask = ("GET /x HTTP/1.0", "X-SessionCookie: abc", "Accept: application/x-rtsp-tunnelled")
    turns = [(DOWN, lines(*ask, basic("admin", SECRET))), (UP, lines(NO, body=b"no"))]
    state, readings = run(http.read, whole(turns))
    assert logins(readings) == [("basic", "admin", False, "failure", "read")]
    assert state is not NOT_MINE
    again = [(DOWN, lines(*ask)), (UP, lines("HTTP/1.0 200 OK", "Content-Type: application/x-rtsp-tunnelled"))]
    assert run(http.read, whole([*turns, *again]))[0] is NOT_MINE


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Cam.Example.:8080", "cam.example"),
        ("10.0.0.5", "10.0.0.5"),
        ("[2001:DB8::1]:80", "2001:db8::1"),
        (f"admin:{SECRET}@cam", "cam"),
        ("cam\x1b[31m", None),
        ("a b", None),
        ("", None),
        ("[nonsense]", None),
        ("-x", None),
        ("x" * 300, None),
    ],
)
def test_the_name_of_the_server(host: str, expected: str | None) -> None:
    _, readings = run(http.read, [Chunk(UP, lines("GET /update HTTP/1.1", f"Host: {host}"))])
    assert readings[0].detail["host"] == expected


def test_the_name_in_a_whole_url() -> None:
    _, readings = run(http.read, [Chunk(UP, lines(f"GET http://u:{SECRET}@cloud.example:81/x HTTP/1.1"))])
    assert (readings[0].detail["host"], readings[0].detail["path"]) == ("cloud.example", "http://cloud.example:81/x")


def test_an_upgraded_connection_is_left() -> None:
    turns = [(DOWN, lines("GET /ws HTTP/1.1", "Upgrade: websocket")), (UP, lines("HTTP/1.1 101 Switching"))]
    assert run(http.read, whole(turns))[0] is NOT_MINE


PIECES = st.sampled_from(
    [data for turns, _ in ROWS.values() for _, data in turns] + [b"\r\n", b"HTTP/1.1 ", b"GET /", b"zz\r\n", b"\0"]
)


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.one_of(PIECES, st.binary(max_size=60)), st.integers(0, 400), st.booleans()),
        max_size=12,
    )
)
def test_any_bytes_give_readings_and_keep_little(parts: list[tuple[bool, bytes, int, bool]]) -> None:
    state: Any = None
    for up, data, cut, gap in parts:
        state, readings = http.read(state, Chunk(up, data[cut % (len(data) + 1) :], gap))
        assert SECRET not in repr(readings)
        if state is not NOT_MINE:
            for side in (state.up, state.down):
                assert len(side.half.tail) <= http_framing.TAIL_CAP
                assert len(side.half.kept) <= http.ASKED_BODY_CAP
                assert len(side.pending) <= http.PENDING_CAP


@pytest.mark.parametrize(
    "piece",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
        b"GET " + b"a" * 1400,
        b"POST / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n" + b"[" * 9000,
        b'Authorization: Digest a="' * 50,
        b"<UsernameToken" * 100,
    ],
)
def test_a_flood_costs_bounded_time(piece: bytes) -> None:
    began = time.process_time()
    run(http.read, [Chunk(DOWN, piece) for _ in range(200)])
    assert time.process_time() - began < 3.0
