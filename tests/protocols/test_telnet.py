"""Telnet's logins: rows whole and cut, and talk with holes (what tests/fuzz found). Real programs: tests/lab."""

from collections.abc import Callable, Sequence

import pytest

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, telnet
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

SECRET = b"Zq7Kx9Wv3TnJ5yRb"
TURNS = [
    (True, b"\xff\xfb\x01cam login: "),
    (False, b"root\r\n"),
    (True, b"root\r\nPassword: "),
    (False, SECRET + b"\r\n"),
    (True, b"\r\nLogin incorrect\r\ncam login: "),
    (False, b"root\r\n"),
    (True, b"root\r\nPassword: "),
    (False, SECRET + b"\r\n"),
    (True, b"\r\n# "),
]
TOLD = [
    ("root", False, None),
    ("root", False, "failure"),
    ("root", False, None),
    ("root", False, "success"),
]


def told(chunks: list[Chunk]) -> list[tuple[object, object, object]]:
    readings = run(telnet.read, chunks)[1]
    assert b"Zq7Kx9" not in repr(readings).encode()
    return [(r.detail["user"], r.detail["default_password"], r.detail["outcome"]) for r in readings]


@pytest.mark.parametrize("end", [b"\r\n", b"\r\0", b"\n", b"\r"])
@pytest.mark.parametrize("cut", [whole, bytewise])
def test_a_line_end_in_two_segments_is_one(cut: Callable[[Sequence[Turn]], list[Chunk]], end: bytes) -> None:
    """The LF behind a CR was taken for an empty password, and the password for the next name."""
    turns = [(up, data if up else data.replace(b"\r\n", end)) for up, data in TURNS]
    assert told(cut(turns)) == TOLD


def test_a_hole_in_the_prompt_for_a_name() -> None:
    """The name was taken for the password, and the password for the next name."""
    chunks = whole(TURNS)
    chunks[4] = Chunk(True, b"\r\nLogin incorrect\r\ncam lo")
    chunks[6] = Chunk(True, b"root\r\nPassword: ", gap=True)
    assert told(chunks)[:2] == TOLD[:2]
    assert {user for user, _, _ in told(chunks)} <= {"root", None}


def test_a_hole_where_the_name_ends() -> None:
    """The password was taken for the rest of the name."""
    chunks = whole(TURNS)
    chunks[1] = Chunk(False, b"roo")
    chunks[3] = Chunk(False, SECRET + b"\r\n", gap=True)
    assert told(chunks) == [(None, False, None), (None, False, "failure"), *TOLD[2:]]


def test_holes_anywhere() -> None:
    """Of any length, to the end of a turn as well: then what that side says next comes behind the hole."""
    for index, (up, data) in enumerate(TURNS):
        for at in range(len(data)):
            for length in (1, 4, 200):
                later = [Chunk(up, data[at + length :]), *whole(TURNS[index + 1 :])]
                behind = next((n for n, chunk in enumerate(later) if chunk.up == up and chunk.data), -1)
                later = [Chunk(one.up, one.data, n == behind) for n, one in enumerate(later) if one.data]
                told([*whole(TURNS[:index]), *([Chunk(up, data[:at])] if at else []), *later])


UP, DOWN = True, False
OPTIONS = (UP, b"\xff\xfd\x18\xff\xfd\x20\xff\xfb\x01")
ASKED = [OPTIONS, (DOWN, b"\xff\xfc\x18"), (UP, b"\r\nWelcome to camera 7\r\n\r\ncam login: "), (DOWN, b"admin\r\n")]
PASSWORD = [*ASKED, (UP, b"admin\r\nPassword: "), (DOWN, SECRET + b"\r\n")]
OUT, IN = ("admin", False, "failure"), ("admin", False, "success")
TRIED = ("admin", False, None)

#: name -> the dialogue, and what is told: (user, default password, outcome)
ROWS: dict[str, tuple[list[Turn], list[tuple[object, object, object]]]] = {
    "refused, and asked again": ([*PASSWORD, (UP, b"\r\nLogin incorrect\r\ncam login: ")], [TRIED, OUT]),
    "refused without a word": ([*PASSWORD, (UP, b"\r\ncam login: ")], [TRIED, OUT]),
    "refused below the same greeting": (
        [*PASSWORD, (UP, b"\r\nWelcome to camera 7\r\n\r\ncam login: ")],
        [TRIED, OUT],
    ),
    "refused in other words": ([*PASSWORD, (UP, b"\r\nAuthentication failed.\r\n")], [TRIED, OUT]),
    "a shell": ([*PASSWORD, (UP, b"\r\n~ # ")], [TRIED, IN]),
    "a shell that asks for the cursor": ([*PASSWORD, (UP, b"\r\n/ # \x1b[6n")], [TRIED, IN]),
    "BusyBox": ([*PASSWORD, (UP, b"\r\n\r\nBusyBox v1.22.1 (2015-07-09) built-in shell (ash)\r\n")], [TRIED, IN]),
    "last login": ([*PASSWORD, (UP, b"\r\nLast login: Sat Nov 27 20:11:43 on ttyp2\r\n")], [TRIED, IN]),
    "last failed login": ([*PASSWORD, (UP, b"\r\nLast failed login: Sat Nov 27 20:11:43\r\n")], [TRIED, IN]),
    "no answer": ([*PASSWORD, (UP, b"\r\n")], [TRIED]),
    "the password is echoed": (
        [*ASKED, (UP, b"Password: "), (DOWN, b"failed#\r\n"), (UP, b"failed#"), (UP, b"\r\nlogin: ")],
        [TRIED, OUT],
    ),
    "the echo looks like a shell": ([*ASKED, (UP, b"Password: "), (DOWN, b"a#\r\n"), (UP, b"a#")], [TRIED]),
    "a maker's default": (
        [*ASKED, (UP, b"Password: "), (DOWN, b"admin\r\n"), (UP, b"\r\n$ ")],
        [("admin", True, None), ("admin", True, "success")],
    ),
    "no password": (
        [*ASKED, (UP, b"Password: "), (DOWN, b"\r\n"), (UP, b"\r\n$ ")],
        [("admin", True, None), ("admin", True, "success")],
    ),
    "a name is enough": ([*ASKED, (UP, b"admin\r\n"), (UP, b"$ ")], [("admin", True, "success")]),
    "a name is refused": ([*ASKED, (UP, b"admin\r\nLogin incorrect\r\nlogin: ")], [("admin", None, "failure")]),
    "backspaces": (
        [*ASKED[:3], (DOWN, b"admix\x7fn\r\n"), (UP, b"Password:"), (DOWN, SECRET + b"\r"), (UP, b"\r\n# ")],
        [TRIED, IN],
    ),
    "a password only": (
        [OPTIONS, (UP, b"\r\nUser Access Verification\r\n\r\nPassword: "), (DOWN, SECRET + b"\r\n"), (UP, b"\r\ncam>")],
        [(None, False, None), (None, False, "success")],
    ),
    "username": (
        [(UP, b"Username: "), (DOWN, b"admin\r\n"), (UP, b"Password: "), (DOWN, SECRET + b"\r\n"), (UP, b"\r\ncam> ")],
        [TRIED, IN],
    ),
    "a shell for everybody": (
        [OPTIONS, (UP, b"\r\nBusyBox v1.22.1\r\n~ # "), (DOWN, b"ls\r\n"), (UP, b"ls\r\n")],
        [(None, True, "success")],
    ),
    "a shell to which nobody speaks": ([OPTIONS, (UP, b"\r\n~ # ")], []),
    "the name comes with an option": (
        [
            (UP, b"\xff\xfd\x27\xff\xfa\x27\x01\xff\xf0"),
            (DOWN, b"\xff\xfb\x27\xff\xfa\x27\x00\x00USER\x01bob\xff\xf0"),
            *[(UP, b"Password: "), (DOWN, SECRET + b"\r\n"), (UP, b"\r\nLogin incorrect\r\nlogin: ")],
        ],
        [("bob", False, None), ("bob", False, "failure")],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    turns, expected = ROWS[name]
    assert told(whole(turns)) == expected


@pytest.mark.parametrize("name", [name for name in ROWS if name != "username"])
def test_rows_byte_by_byte(name: str) -> None:
    """Without an option of telnet before it, a prompt must come in one piece."""
    turns, expected = ROWS[name]
    assert told(bytewise(turns)) == expected


@pytest.mark.parametrize("name", ROWS)
def test_rows_cut_at_each_byte(name: str) -> None:
    turns, expected = ROWS[name]
    for chunks in cut_everywhere(turns):
        if name != "username" or chunks[0].data == turns[0][1]:
            assert told(chunks) == expected


@pytest.mark.parametrize("name", ROWS)
def test_holes_make_no_success(name: str) -> None:
    """Where nobody got in, nobody gets in because something was not seen; no password is told."""
    turns, expected = ROWS[name]
    if any(outcome == "success" for _, _, outcome in expected):
        return
    for size in (1, 7):
        for _, chunks in hole_everywhere(turns, size):
            assert [row for row in told(chunks) if row[2] == "success"] == []


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\n", b"SSH-2.0-x\r\n", b"220 mail\r\n", b"\xff\xd8\xff\xe0JFIF", b"\0\1"]
)
def test_what_is_no_telnet(data: bytes) -> None:
    state, readings = run(telnet.read, whole([(UP, data)] * 10))
    assert state is NOT_MINE
    assert readings == []


def test_the_camera_as_a_client() -> None:
    state, readings = run(telnet.read, whole([(not up, data) for up, data in PASSWORD]))
    assert [one.from_server for one in readings] == [False]
    assert state is not NOT_MINE


def test_escapes_without_an_end_are_passed_over_at_once() -> None:
    """Each of them searched all that came behind it; a window's title is still none of the text."""
    assert telnet._last_line("\x1b]0;cam\x07login: ") == "login: "
    assert telnet._last_line("\x1b[1;31mlogin:\x1b[0m ") == "login: "
    pattern = telnet._ESCAPES.pattern
    assert "*" not in pattern
    assert "+" not in pattern
