"""Telnet's logins where the talk is cut or has holes: what tests/fuzz found. Real programs: tests/lab."""

from collections.abc import Callable, Sequence

import pytest

from camguard.events import Chunk
from camguard.protocols import telnet
from tests.protocols.streams import Turn, bytewise, run, whole

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
