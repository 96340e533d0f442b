"""One direction of HTTP/1.x (RFC 9112): bytes cut into heads and bodies. http.py says what they mean.

In: ordered bytes, with holes. Out: Head, Body (only where somebody wants it), Odd. Bodies may be missing (the kernel
hands up starts and short packets): behind a hole the next message start is looked for.
"""

import re
from typing import NamedTuple

from camguard.protocols.text import HEADER_BLOCK_CAP, end_of_headers, headers, number

METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "CONNECT")
START_LINE_CAP = 4096
TAIL_CAP = 32 * 1024  # unread bytes of one direction

_METHOD = "|".join(METHODS).encode()
#: As servers read it that take words apart at any white space, without a look at case or version (RFC 9112 section 3).
_REQUEST = re.compile(rb"(?i:(" + _METHOD + rb")[ \t]+([^\r\n\t ]{1,4000})[ \t]+HTTP/\d\.\d)[ \t]*\r?\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_TEXT = re.compile(rb"HTTP/1\.[01] \d{3}|(?:" + _METHOD + rb") (?:/|\*|https?://)")
_STARTS = (*(method.encode() + b" " for method in METHODS), b"HTTP/1.")
_LONGEST_START = 16
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")


class Head(NamedTuple):
    """A request (`status` 0) or an answer (`method` empty). `url` is as it was sent: it may hold a secret."""

    method: str
    url: str
    status: int
    fields: dict[str, str]

    @property
    def endless(self) -> bool:
        """Its body comes in chunks, or ends with the connection: nobody says beforehand how long it is."""
        return self.is_chunked or (not self.method and "content-length" not in self.fields)

    @property
    def is_chunked(self) -> bool:
        return "chunked" in self.fields.get("transfer-encoding", "").lower()


class Body(NamedTuple):
    """A body as far as it was kept. `over`: there comes no more of it; `whole`: and nothing of it is missing."""

    data: bytes
    over: bool
    whole: bool


class Odd(NamedTuple):
    """Something that breaks the format."""

    name: str


Piece = Head | Body | Odd


class Half(NamedTuple):
    """One direction. `mode`: head, length, size, chunk, trailer, close: what the next bytes are; `left`: bytes of the
    body or chunk to come; `keep`: how many bytes of the body are wanted (0: nobody waits for it). `guess`: the start we
    stand at was found by its looks."""

    tail: bytes = b""
    lost: bool = False
    guess: bool = False
    mode: str = "head"
    left: int = 0
    keep: int = 0
    kept: bytes = b""


def may_be_http(data: bytes) -> bool:
    """Whether a connection that begins like this can be HTTP; servers pass over empty lines in front (RFC 9112 section
    2.2)."""
    data = data.lstrip(b"\r\n")
    if not _begins(data):
        return False
    line, end, _ = data[:START_LINE_CAP].partition(b"\n")
    return not end or line.startswith(b"HTTP/1.") or _REQUEST.match(line + end) is not None


def _begins(data: bytes) -> bool:
    """Whether a message, or the beginning of its first word, stands at the front."""
    word = data[:_LONGEST_START].upper().replace(b"\t", b" ")
    return word.startswith(_STARTS) or (len(word) < 8 and any(start.startswith(word) for start in _STARTS))


def broken(half: Half) -> tuple[Half, list[Piece]]:
    """Bytes are missing: the body under way is told as far as it goes, and the next start is looked for."""
    return Half(lost=True), _ended(half, whole=False)


def capped(half: Half) -> Half:
    """Unread bytes over the cap are given up."""
    return half._replace(tail=half.tail[-_LONGEST_START:], lost=True) if len(half.tail) > TAIL_CAP else half


def step(half: Half) -> tuple[Half, list[Piece]]:
    """Take a message head, a piece of a body, or the noise before the next start. The same half and nothing: more bytes
    are needed. After a Head comes `expect`."""
    if half.lost:
        found = _TEXT.search(half.tail)
        if found is None:
            return half._replace(tail=half.tail[-_LONGEST_START:]), []
        return half._replace(tail=half.tail[found.start() :], lost=False, guess=True, mode="head"), []
    if half.mode == "head":
        return _head(half)
    if half.mode in ("size", "trailer"):
        return _size(half)
    return _body(half)


def expect(half: Half, head: Head, keep: int, *, has_body: bool) -> tuple[Half, list[Piece]]:
    """What follows the head (RFC 9112 section 6.3); `keep` bytes of it are wanted."""
    half = half._replace(keep=keep, kept=b"")
    length = number(head.fields.get("content-length"))
    if has_body and head.is_chunked:
        return half._replace(mode="size"), []
    if has_body and length:
        return half._replace(mode="length", left=length), []
    if has_body and head.endless:
        return half._replace(mode="close"), []
    if has_body and "content-length" in head.fields and length is None:
        return _get_lost(half, "http-length")
    return _over(half), _ended(half, whole=True)


def _over(half: Half) -> Half:
    return half._replace(mode="head", left=0, keep=0, kept=b"")


def _ended(half: Half, *, whole: bool) -> list[Piece]:
    return [Body(half.kept, True, whole)] if half.keep else []


def _get_lost(half: Half, name: str) -> tuple[Half, list[Piece]]:
    odd: list[Piece] = [] if half.guess else [Odd(name)]
    return Half(tail=half.tail[1:], lost=True), [*_ended(half, whole=False), *odd]


def _head(half: Half) -> tuple[Half, list[Piece]]:
    data = half.tail.lstrip(b"\r\n") if half.tail[:1] in (b"\r", b"\n") else half.tail
    if data is not half.tail:
        half = half._replace(tail=data)
    if not data:
        return half, []
    if not _begins(data):
        return _get_lost(half, "http-start")
    if b"\n" not in data:
        return (half, []) if len(data) <= START_LINE_CAP else _get_lost(half, "http-start")
    request, answer = _REQUEST.match(data), _ANSWER.match(data)
    start = request or answer
    if not start:
        return _get_lost(half, "http-start")
    end = end_of_headers(data)
    if end < 0 or end > HEADER_BLOCK_CAP:
        return (half, []) if len(data) <= HEADER_BLOCK_CAP else _get_lost(half, "http-headers")
    fields = headers(data[start.end() : end])
    half = half._replace(tail=data[end:], guess=False)
    if request:
        return half, [Head(request[1].decode().upper(), request[2].decode("latin-1"), 0, fields)]
    return half, [Head("", "", int(start[1]), fields)]


def _size(half: Half) -> tuple[Half, list[Piece]]:
    """A chunk's size, or the trailer behind the last chunk (RFC 9112 section 7.1)."""
    line, end, rest = half.tail.partition(b"\n")
    if not end:
        return (half, []) if len(line) <= START_LINE_CAP else _get_lost(half, "http-chunk")
    if not line.strip():
        half = half._replace(tail=rest)
        return (_over(half), _ended(half, whole=True)) if half.mode == "trailer" else (half, [])
    if half.mode == "trailer":
        return half._replace(tail=rest), []
    size = _SIZE.fullmatch(line + b"\n")
    if not size:
        return _get_lost(half, "http-chunk")
    left = int(size[1], 16)
    return half._replace(tail=rest, mode="chunk" if left else "trailer", left=left), []


def _body(half: Half) -> tuple[Half, list[Piece]]:
    """Pass over (or keep) what is there of the body."""
    if half.mode == "close" and _TEXT.match(half.tail):
        return _over(half), _ended(half, whole=True)  # no length and yet another message: there was no body
    take = len(half.tail) if half.mode == "close" else min(half.left, len(half.tail))
    kept = half.kept + half.tail[: min(take, half.keep - len(half.kept))]
    grown: list[Piece] = [Body(kept, False, False)] if len(kept) > len(half.kept) else []
    left = half.left if half.mode == "close" else half.left - take
    half = half._replace(tail=half.tail[take:], left=left, kept=kept)
    if half.mode == "length" and not left:
        return _over(half), _ended(half, whole=True)
    if half.mode == "chunk" and not left:
        half = half._replace(mode="size")
    return half, grown
