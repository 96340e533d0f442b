"""RTSP's framing where the work could grow with the square of the bytes: what tests/fuzz found."""

from camguard.events import Chunk
from camguard.protocols import rtsp
from camguard.protocols.rtsp_framing import Half, step
from tests.protocols.streams import run

#: A frame by its looks, of 8 bytes, that the next one does not follow.
LOOKS_LIKE = b"$\0\0\x08\x80" + b"q" * 12


def test_a_tail_is_searched_for_a_message_once() -> None:
    """4 kB of such frames took 7 ms, since each searched all that was left for a message again."""
    half, _ = step(Half(tail=b"noise" + LOOKS_LIKE * 200, lost=True))
    assert (half.textless, half.guess, half.lost) == (True, True, False)
    for _ in range(300):
        half, _ = step(half)
        assert half.textless
    assert len(half.tail) < 150 * len(LOOKS_LIKE)


def test_a_message_that_comes_later_is_found_behind_them() -> None:
    asked = b"PLAY rtsp://192.168.1.10/live RTSP/1.0\r\nCSeq: 7\r\n\r\n"
    for at in range(len(asked)):
        chunks = [Chunk(False, LOOKS_LIKE * 9 + asked[:at], gap=True), Chunk(False, asked[at:] + LOOKS_LIKE)]
        told = [reading.detail["method"] for reading in run(rtsp.read, chunks)[1] if reading.what == "rtsp"]
        assert told == ["PLAY"], at
