"""One direction of RTSP (RFC 2326): bytes cut into messages and interleaved media. rtsp.py says what they mean.

In: ordered bytes. Segments with nothing but media may be missing, so bytes may begin in the middle of anything: the
next message start is looked for. Out: Message, Media, Odd; of a body only what `keep` asks for.
"""

import re
from typing import NamedTuple

from camguard.protocols.text import HEADER_BLOCK_CAP, end_of_headers, headers, number

METHODS = (
    *("OPTIONS", "DESCRIBE", "ANNOUNCE", "SETUP", "PLAY", "PAUSE", "TEARDOWN", "RECORD", "REDIRECT"),
    *("GET_PARAMETER", "SET_PARAMETER", "PLAY_NOTIFY"),
)
BODY_CAP = 256 * 1024  # bytes; an SDP has a few thousand
TAIL_CAP = 32 * 1024  # unread bytes of one direction
START_LINE_CAP = 4096  # bytes

_METHOD = "|".join(METHODS).encode()
_REQUEST = re.compile(rb"(?i:(" + _METHOD + rb")[ \t]([^\r\n]{1,4000}?)[ \t]RTSP/\d\.\d)[ \t]*\r?\n")
_ANSWER = re.compile(rb"RTSP/\d\.\d +(\d{3})(?: [^\r\n]*)?\r?\n")
#: A message start, as far as it can be told inside of media; behind it enough to hold a start that is cut.
_TEXT = re.compile(rb"RTSP/\d\.\d +\d{3}|(?:" + _METHOD + rb") (?:rtspu?s?://|\*|/)")
#: A media frame: "$", channel, length of 8 and more, then a byte with RTP's version 2 (RFC 2326 section 10.12).
_FRAME = re.compile(rb"\$[\x00-\x1f](?:\x00[\x08-\xff]|[\x01-\xff].)[\x80-\xbf]", re.DOTALL)
_LONGEST_START = 24
_STARTS = (*(m.encode() + b" " for m in METHODS), b"RTSP/")


class Message(NamedTuple):
    """A request (`status` 0) or an answer (`method` empty). `url` is as it was sent: it may hold a secret."""

    method: str
    url: str
    status: int
    fields: dict[str, str]


class Media(NamedTuple):
    """The second of two media frames, one behind the other."""

    channel: int
    ssrc: int
    payload_type: int


class Odd(NamedTuple):
    """Something that breaks the format."""

    name: str


Piece = Message | Media | Odd


class Half(NamedTuple):
    """One direction: unread bytes, bytes still to pass over, whether we look for a start. `frames`: media frames one
    behind the other; `guess`: the start we stand at was found by its looks; `keep`: how many bytes of the body that is
    passed over are put into `kept`; `textless`: no message start is in the tail, so nobody looks for one again."""

    tail: bytes = b""
    skip: int = 0
    lost: bool = False
    frames: int = 0
    guess: bool = False
    keep: int = 0
    kept: bytes = b""
    textless: bool = False


def may_be_rtsp(half: Half) -> bool:
    """Whether a connection in which nothing was read yet can be RTSP, from how this direction begins."""
    data = half.tail.lstrip(b"\r\n")  # servers pass over empty lines in front (RFC 2326 section 4.1)
    if half.lost or not data or data[0] == 0x24:
        return True
    return _begins(data)


def _begins(data: bytes) -> bool:
    """Whether a message, or the beginning of its first word, stands at the front."""
    word = data[:_LONGEST_START].upper().replace(b"\t", b" ")  # some servers look at neither
    return word.startswith(_STARTS) or (len(word) < 14 and any(start.startswith(word) for start in _STARTS))


def capped(half: Half) -> Half:
    """Unread bytes over the cap are given up."""
    return half._replace(tail=half.tail[-_LONGEST_START:], lost=True) if len(half.tail) > TAIL_CAP else half


def step(half: Half) -> tuple[Half, list[Piece]]:
    """Take one message, one media frame, or the noise before the next of them. The same half and nothing: more bytes
    are needed."""
    data = half.tail
    if half.skip:
        return _pass_over(half)
    if data[0] == 0x24 and not half.lost:
        return _media(half)
    if not half.lost and _begins(data):
        return _start(half)
    if not half.lost:
        if data[:1] in (b"\r", b"\n"):
            return half._replace(tail=data.lstrip(b"\r\n")), []
        return _get_lost(half, "rtsp-start")
    text = None if half.textless else _TEXT.search(data)
    found = text or _FRAME.search(data)
    if found is None:
        return half._replace(tail=data[-_LONGEST_START:]), []
    return half._replace(tail=data[found.start() :], lost=False, guess=True, textless=text is None), []


def _pass_over(half: Half) -> tuple[Half, list[Piece]]:
    """A body, or the rest of a frame; but a frame that was a guess hides no message."""
    data = half.tail
    if half.guess and not half.textless:
        found = _TEXT.search(data, 0, half.skip + _LONGEST_START)
        if found and found.start() < half.skip:
            return half._replace(tail=data[found.start() :], skip=0), []
    passed = min(half.skip, len(data))
    kept = half.kept + data[: min(passed, half.keep - len(half.kept))]
    return half._replace(tail=data[passed:], skip=half.skip - passed, kept=kept), []


def _start(half: Half) -> tuple[Half, list[Piece]]:
    data = half.tail
    if b"\n" not in data:
        if len(data) <= START_LINE_CAP:
            return half, []
        return _get_lost(half, "rtsp-start", len(data) - START_LINE_CAP)
    end = end_of_headers(data)
    if 0 <= end <= HEADER_BLOCK_CAP:
        return _message(half, end)
    if len(data) > HEADER_BLOCK_CAP:
        return _get_lost(half, "rtsp-headers")
    if _ANSWER.match(data) or _REQUEST.match(data):
        return half, []
    return _get_lost(half, "rtsp-start")


def _get_lost(half: Half, name: str, passed: int = 1) -> tuple[Half, list[Piece]]:
    """Pass over some bytes and look for the next start from there."""
    odd: list[Piece] = [] if half.guess else [Odd(name)]
    return half._replace(tail=half.tail[passed:], lost=True, frames=0), odd


def _media(half: Half) -> tuple[Half, list[Piece]]:
    """Pass over one interleaved frame; two that follow each other are no chance."""
    data = half.tail
    if len(data) < 6:
        return half, []
    size = int.from_bytes(data[2:4], "big")
    if size < 8 or data[4] >> 6 != 2:
        return _get_lost(half, "rtsp-interleaved")
    passed = min(4 + size, len(data))
    frames = half.frames + 1
    half = half._replace(tail=data[passed:], skip=4 + size - passed, keep=0, frames=frames)
    half = half._replace(guess=half.guess and frames < 2)
    if frames < 2 or len(data) < 16 or not (data[5] & 0x7F <= 34 or data[5] & 0x7F >= 96):
        return half, []
    return half, [Media(data[1], int.from_bytes(data[12:16], "big"), data[5] & 0x7F)]


def _message(half: Half, end: int) -> tuple[Half, list[Piece]]:
    """Take one whole header block of `end` bytes; its body is passed over next."""
    block = half.tail[:end]
    request, answer = _REQUEST.match(block), _ANSWER.match(block)
    start = request or answer
    if not start:
        return _get_lost(half, "rtsp-start")
    fields = headers(block[start.end() :])
    length = number(fields.get("content-length", "0"))
    half = half._replace(tail=half.tail[end:], frames=0, guess=False, keep=0, kept=b"")
    odd: list[Piece] = []
    if length is None or length > BODY_CAP:
        odd, half = [Odd("rtsp-length")], half._replace(lost=True)
    else:
        half = half._replace(skip=length)
    if request:
        return half, [Message(request[1].decode().upper(), request[2].decode("latin-1").strip(), 0, fields), *odd]
    return half, [Message("", "", int(start[1]), fields), *odd]
