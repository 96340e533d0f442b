"""Real programs' dialogues as the readers get them: a relay on loopback that writes down both directions in order."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, STREAM_READERS, Reading
from tests.protocols.streams import Turn

HANG_S = 90  # a program that needs longer hangs


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Relay:
    """Listens on `port` and passes on to `target`. `talks`: of each connection the turns; `target` speaks up."""

    def __init__(self, target: int) -> None:
        self.talks: list[list[Turn]] = []
        self._target, self._lock = target, threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            turns: list[Turn] = []
            with self._lock:
                self.talks.append(turns)
                self._open += [client, server]
            for up, source, sink in ((False, client, server), (True, server, client)):
                threading.Thread(target=self._pass, args=(turns, up, source, sink), daemon=True).start()

    def _pass(self, turns: list[Turn], up: bool, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(1448):
                with self._lock:
                    turns.append((up, data))
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@contextmanager
def relay(target: int) -> Iterator[Relay]:
    made = Relay(target)
    try:
        yield made
    finally:
        made.close()


@contextmanager
def running(*argv: str, ready: Callable[[], bool], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A program until the end of the block; entered when `ready`."""
    with log.open("wb") as out:
        program = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        until = time.monotonic() + HANG_S
        while not ready():
            assert program.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        yield program
    finally:
        program.terminate()
        try:
            program.wait(10)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait(10)


def listens(port: int) -> Callable[[], bool]:
    """Whether a program listens there, without a connection to it (some serve only one)."""

    def look() -> bool:
        wanted = f":{port:04X} "
        lines = (Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()).splitlines()
        return any(wanted in line.split(maxsplit=2)[1] + " " and " 0A " in line for line in lines)

    return look


def heard(turns: list[Turn], readers: dict[str, Any] | None = None) -> list[tuple[str, bool, Reading]]:
    """What all the readers say of a connection: (reader, up, reading), as listen.py runs them."""
    states: dict[str, Any] = {}
    out = []
    for up, data in turns:
        for name, read in (readers or STREAM_READERS).items():
            if states.get(name) is not NOT_MINE:
                states[name], readings = read(states.get(name), Chunk(up, data))
                out += [(name, up, reading) for reading in readings]
    return out


def handed_up(turns: list[Turn]) -> list[tuple[bool, bytes, bool]]:
    """What the kernel hands up of it (capture/flows.bpf.c): the first 8 pieces each way, what begins like a request or
    an answer, and from the peer what is short; (up, bytes, a hole before them)."""
    seen, hole = {True: 0, False: 0}, {True: False, False: False}
    out = []
    for up, data in turns:
        seen[up] += 1
        starts = data.startswith((b"RTSP/", b"HTTP/", b"GET ", b"POST ", b"PUT ", b"DESCRIBE", b"SETUP", b"PLAY"))
        if seen[up] <= 8 or starts or (not up and len(data) <= 512):
            out.append((up, data, hole[up]))
            hole[up] = False
        else:
            hole[up] = True
    return out


def missing(*programs: str) -> str | None:
    """Why the test cannot run here."""
    absent = [name for name in programs if shutil.which(name) is None]
    return f"{', '.join(absent)} not installed (tests/run.sh installs it)" if absent else None
