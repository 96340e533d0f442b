"""Ways to feed a reader of datagrams, and a wire between real programs on loopback that remembers what they said."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator, Sequence

import pytest

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, Reading, StreamReader
from tests.protocols.streams import Turn, run, whole

#: What some other talk over UDP begins with, and noise.
OTHERS = (
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03cam\x00\x00\x01\x00\x01",
    b"\xc0\x00\x00\x00\x01\x08" + bytes(range(200)),
    b"M-SEARCH * HTTP/1.1\r\n\r\n",
    b"\x23\x02\x06\xe8" + bytes(44),
    b"\x00",
    bytes(1200),
    b"\xff" * 64,
)


def feed(read: StreamReader, turns: Sequence[Turn]) -> list[Reading]:
    return run(read, whole(turns))[1]


def gives_up(read: StreamReader, *, within: int = 8) -> None:
    """Every other talk is given up after so many packets, and gives nothing."""
    for other in OTHERS:
        state, readings = run(read, [Chunk(bool(n % 2), other) for n in range(within)])
        assert readings == [], other
        assert state is NOT_MINE, other


def cut_is_no_trouble(read: StreamReader, turns: Sequence[Turn]) -> None:
    """Each datagram cut at each byte: by a bad sender, and by the capture."""
    for index, (up, data) in enumerate(turns):
        for at in range(len(data)):
            for gap in (False, True):
                chunks = [*whole(turns[:index]), Chunk(up, data[:at], gap), *whole(turns[index + 1 :])]
                for reading in run(read, chunks)[1]:
                    assert reading.what, (index, at)


class Wire:
    """A UDP port on loopback before another one; `flows`: for each caller (from the caller, datagram) in order."""

    def __init__(self, target: int) -> None:
        self._target = ("127.0.0.1", target)
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.bind(("127.0.0.1", 0))
        self._far: dict[socket.socket, tuple[str, int]] = {}
        self.port: int = self._near.getsockname()[1]
        self.flows: dict[tuple[str, int], list[Turn]] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    @property
    def said(self) -> list[Turn]:
        """By and to the first caller, so far."""
        return list(next(iter(self.flows.values()), []))

    def _carry(self) -> None:
        while not self._over.is_set():
            for ready in select.select([self._near, *self._far], [], [], 0.05)[0]:
                with contextlib.suppress(ConnectionError):  # nobody listens there yet
                    if ready is self._near:
                        data, caller = self._near.recvfrom(65536)
                        self.flows.setdefault(caller, []).append((True, data))
                        self._far_of(caller).send(data)
                    else:
                        data, caller = ready.recv(65536), self._far[ready]
                        self.flows[caller].append((False, data))
                        self._near.sendto(data, caller)

    def _far_of(self, caller: tuple[str, int]) -> socket.socket:
        for known, owner in self._far.items():
            if owner == caller:
                return known
        far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        far.connect(self._target)
        self._far[far] = caller
        return far

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        for end in (self._near, *self._far):
            end.close()


def free_port(kind: int = socket.SOCK_DGRAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def wire(target: int) -> Iterator[Wire]:
    carrier = Wire(target)
    try:
        yield carrier
    finally:
        carrier.close()


def needs(program: str) -> pytest.MarkDecorator:
    from shutil import which

    return pytest.mark.skipif(which(program) is None, reason=f"{program} is not installed")
