"""FTP's logins: rows whole, cut everywhere, byte by byte and with holes. Real programs: tests/lab/test_doors.py."""

import pytest

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, ftp
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

UP, DOWN = True, False
SECRET = b"Zq7Kx9Wv3TnJ5yRb"
HELLO = (UP, b"220 (vsFTPd 3.0.3)\r\n")
USER, ASKS, PASS = (DOWN, b"USER bob\r\n"), (UP, b"331 Password please\r\n"), (DOWN, b"PASS " + SECRET + b"\r\n")
TRIED, OUT, IN = (("bob", False, outcome) for outcome in (None, "failure", "success"))

#: name -> the dialogue, and what is told: (user, default password, outcome)
ROWS: dict[str, tuple[list[Turn], list[tuple[object, object, object]]]] = {
    "in": ([HELLO, USER, ASKS, PASS, (UP, b"230 Login successful.\r\n"), (DOWN, b"QUIT\r\n")], [TRIED, IN]),
    "refused, then in": (
        [HELLO, USER, ASKS, PASS, (UP, b"530 no\r\n"), USER, ASKS, PASS, (UP, b"230 yes\r\n")],
        [TRIED, OUT, TRIED, IN],
    ),
    "many lines": (
        [
            (UP, b"220-Hello\r\n220-230 of us\r\n220 ready\r\n"),
            *[USER, ASKS, PASS, (UP, b"230-Welcome\r\n 530 files\r\n530 files\r\n230 in\r\n")],
        ],
        [TRIED, IN],
    ),
    "other refusals": ([HELLO, USER, ASKS, PASS, (UP, b"430 Invalid\r\n")], [TRIED, OUT]),
    "an account": ([HELLO, USER, ASKS, PASS, (UP, b"332 account?\r\n")], [TRIED, ("bob", False, "challenge")]),
    "closed": ([HELLO, USER, ASKS, PASS, (UP, b"421 bye\r\n")], [TRIED, ("bob", False, "unknown")]),
    "anonymous": (
        [HELLO, (DOWN, b"USER Anonymous\r\n"), ASKS, (DOWN, b"PASS me@example.org\r\n"), (UP, b"230 in\r\n")],
        [("Anonymous", True, None), ("Anonymous", True, "success")],
    ),
    "a maker's default": (
        [HELLO, USER, ASKS, (DOWN, b"PASS 123456\r\n"), (UP, b"230 in\r\n")],
        [("bob", True, None), ("bob", True, "success")],
    ),
    "a name is enough": ([HELLO, USER, (UP, b"230 in\r\n")], [("bob", True, "success")]),
    "a name is refused": ([HELLO, USER, (UP, b"530 only anonymous\r\n")], [("bob", None, "failure")]),
    "in one breath": ([HELLO, (DOWN, USER[1] + PASS[1]), (UP, ASKS[1] + b"230 in\r\n")], [TRIED, IN]),
    "AUTH refused": (
        [HELLO, (DOWN, b"AUTH TLS\r\n"), (UP, b"502 no\r\n"), USER, ASKS, PASS, (UP, b"230 in\r\n")],
        [TRIED, IN],
    ),
    "AUTH TLS": ([HELLO, (DOWN, b"AUTH TLS\r\n"), (UP, b"234 go\r\n"), USER, ASKS, PASS, (UP, b"230 in\r\n")], []),
    "no password was sent": ([HELLO, USER, ASKS, (DOWN, b"QUIT\r\n"), (UP, b"221 bye\r\n")], []),
}  # fmt: skip


def told(chunks: list[Chunk]) -> list[tuple[object, object, object]]:
    readings = run(ftp.read, chunks)[1]
    assert b"Zq7Kx9" not in repr(readings).encode()
    return [(r.detail["user"], r.detail["default_password"], r.detail["outcome"]) for r in readings]


@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str) -> None:
    turns, expected = ROWS[name]
    assert told(whole(turns)) == expected
    assert told(bytewise(turns)) == expected
    for chunks in cut_everywhere(turns):
        assert told(chunks) == expected


@pytest.mark.parametrize("name", ["refused, then in", "other refusals", "closed", "a name is refused"])
def test_holes_make_no_success(name: str) -> None:
    """An answer that was not seen is not made up: at most as many successes as there were."""
    turns, expected = ROWS[name]
    for size in (1, 7, 30):
        for _, chunks in hole_everywhere(turns, size):
            successes = [row for row in told(chunks) if row[2] == "success"]
            assert len(successes) <= expected.count(IN)


@pytest.mark.parametrize(
    "turns",
    [
        [(UP, b"220 mx.example ESMTP\r\n"), (DOWN, b"EHLO camera\r\n")],
        [(DOWN, b"GET / HTTP/1.1\r\n")],
        [(UP, b"SSH-2.0-OpenSSH\r\n")],
        [(UP, b"\xff\xfb\x01")],
        [(UP, b"+OK pop3\r\n")],
    ],
)
def test_what_is_no_ftp(turns: list[Turn]) -> None:
    state, readings = run(ftp.read, whole(turns))
    assert state is NOT_MINE
    assert readings == []


def test_who_speaks() -> None:
    readings = run(ftp.read, whole(ROWS["in"][0]))[1]
    assert [one.from_server for one in readings] == [False, True]
