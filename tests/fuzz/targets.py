"""What is fuzzed, and what must hold: one function a reader, found by itself, so that none can be forgotten.

Each takes any bytes and raises Broken where a promise of the readers does not hold: only Malformed escapes; readings
are plain, safe to print and small; the state is small; a call takes at most CALL_S of CPU.
"""

import importlib
import inspect
import pickle
import pkgutil
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from camguard import protocols
from camguard.decode import decode
from camguard.errors import Malformed
from camguard.events import Chunk, Frame
from camguard.protocols import DATAGRAM_READERS, NOT_MINE, STREAM_READERS, Reading, StreamReader
from tests.fuzz.inputs import chunks, parts

R = TypeVar("R")

#: reliability.md row 14. Row 13 allows 16 KiB each way; a reader of RTSP may hold twice that.
CALL_S, STATE_BYTES, READING_CHARACTERS = 0.005, 80 * 1024, 24 * 1024
LINKS = (1, 1, 1, 101, 113, 276, 0, 147)


class Broken(AssertionError):
    """A promise that a reader broke, in words."""


class Watch:
    """The slowest call so far, by the clock on the wall: never less than the CPU it took, and far cheaper to look at.
    `exact`: by the CPU's own clock."""

    def __init__(self, *, exact: bool = False) -> None:
        self.slowest_s = 0.0
        self._clock = time.thread_time if exact else time.perf_counter

    def call(self, work: Callable[[], R]) -> R:
        began = self._clock()
        try:
            return work()
        finally:
            took = self._clock() - began
            if took > self.slowest_s:
                self.slowest_s = took


def check_reading(reading: object) -> None:
    """A reading holds plain values only, nothing that moves a cursor, and not much of it."""
    if not isinstance(reading, Reading) or (not reading.what.isidentifier() and "-" not in reading.what):
        raise Broken(f"no reading: {reading!r:.200}")
    size = 0
    for name, value in reading.detail.items():
        values = value if isinstance(value, tuple) else (value,)
        for one in values:
            if isinstance(one, str):
                size += len(one)
                if not one.isprintable():
                    raise Broken(f"{reading.what}.{name} is not safe to print: {one!r:.200}")
            elif not isinstance(one, int | float | bool | None):
                raise Broken(f"{reading.what}.{name} is a {type(one).__name__}")
    if size > READING_CHARACTERS:
        raise Broken(f"{reading.what} has {size} characters")


def follow(read: StreamReader, said: Iterable[Chunk], watch: Watch) -> list[Reading]:
    """Feeds a reader as listen.py does, and holds it to its promises; all readings."""
    state: object = None
    told: list[Reading] = []
    number = 0
    for number, chunk in enumerate(said):
        try:
            state, news = watch.call(lambda state=state, chunk=chunk: read(state, chunk))
        except Malformed as error:
            check_name(error)
            continue
        if not isinstance(news, tuple):
            raise Broken(f"the readings are a {type(news).__name__}")
        for reading in news:
            check_reading(reading)
        told += news
        if state is NOT_MINE:
            return told
        if number % 16 == 0:
            check_state(state)
    check_state(state)
    return told


def check_state(state: object) -> None:
    if state is not NOT_MINE and (size := len(pickle.dumps(state))) > STATE_BYTES:
        raise Broken(f"the state has {size} bytes")


def check_name(error: Malformed) -> None:
    """Malformed holds a counter's name, and nothing of what came."""
    if not str(error).replace("-", "").replace("_", "").isalnum() or len(str(error)) > 40:
        raise Broken(f"no name of an oddity: {str(error)!r:.100}")


def plain_readers() -> dict[str, Callable[..., Reading | None]]:
    """The functions that read one payload: every public one of protocols/ with `payload` first that gives a Reading."""
    found = {}
    for info in pkgutil.iter_modules(protocols.__path__):
        module = importlib.import_module(f"camguard.protocols.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            wanted = inspect.signature(function)
            gives = str(wanted.return_annotation)
            if function.__module__ != module.__name__ or name.startswith("_") or "Reading" not in gives:
                continue
            if next(iter(wanted.parameters), "") == "payload":
                found[info.name if name == "read" else f"{info.name}.{name}"] = function
    return found


def stream_like() -> Iterator[StreamReader]:
    """Every function of protocols/ that has the form of a reader of connections or flows."""
    for info in pkgutil.iter_modules(protocols.__path__):
        module = importlib.import_module(f"camguard.protocols.{info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            own = function.__module__ == module.__name__ and name.startswith("read")
            if own and list(inspect.signature(function).parameters) == ["state", "chunk"]:
                yield function


Target = Callable[[bytes, Watch], None]


def _of_chunks(read: StreamReader) -> Target:
    def one(data: bytes, watch: Watch) -> None:
        follow(read, chunks(data), watch)

    return one


def _of_payload(read: Callable[..., Reading | None]) -> Target:
    more = [name for name in inspect.signature(read).parameters if name != "payload"]

    def one(data: bytes, watch: Watch) -> None:
        extra = {"tcp": bool(data[:1] < b"\x80")} if "tcp" in more else {"src": data[-16:]} if "src" in more else {}
        extra = extra if data[-1:] > b"\x40" else {}
        try:
            reading = watch.call(lambda: read(data[:65535], **extra))
        except Malformed as error:
            check_name(error)
        else:
            if reading is not None:
                check_reading(reading)

    return one


def frame_of(control: int, data: bytes, at: float) -> Frame:
    """One frame: its link type, whether the capture cut it, and whether the kernel merged segments into it."""
    wire_len = len(data) + (control >> 3 & 1) * 500
    return Frame(at, data, wire_len, LINKS[control & 7], 1448 if control & 32 else 0)


def _decode(data: bytes, watch: Watch) -> None:
    for control, frame in parts(data):
        try:
            packet = watch.call(lambda control=control, frame=frame: decode(frame_of(control, frame, 1.0)))
        except Malformed as error:
            check_name(error)
        else:
            if len(packet.payload) > len(frame) or (packet.src and len(packet.src) not in (4, 16)):
                raise Broken(f"no packet: {packet!r:.200}")


def targets() -> dict[str, Target]:
    """All that is fuzzed, by name."""
    from tests.fuzz import secret, whole

    found: dict[str, Target] = {name: _of_chunks(read) for name, read in STREAM_READERS.items()}
    for name, read in DATAGRAM_READERS.items():
        found[f"{name}-udp" if name in found else name] = _of_chunks(read)
    for name, plain in plain_readers().items():
        found[f"{name}-one" if name in found else name] = _of_payload(plain)
    return found | {"decode": _decode, "guard": whole.guard, "secrets": secret.streams, "secrets-udp": secret.datagrams}
