"""A maker's P2P in its plain form, written for the lab (no real one can be had): server, camera and who looks.

Usage: pppp.py server PORT LOG | pppp.py camera SERVER PORT LISTEN_PORT | pppp.py viewer SERVER PORT LOG. Messages as in
camguard/protocols/pppp.py: the camera registers, the viewer looks it up, the server sends each to the other (PUNCH_TO),
they punch, and what arrives on the camera's 127.0.0.1:LISTEN_PORT goes to the viewer as data that he acknowledges. LOG
gets JSON lines {time, what, peer}: the server's "ready", the viewer's "first" at the first data.
"""

import json
import selectors
import socket
import struct
import sys
import time

REGISTER, LOOKUP, PUNCH_TO, PUNCH, READY, DATA, ANSWER, ALIVE, ALIVE_ANSWER = (
    0x10, 0x20, 0x40, 0x41, 0x42, 0xD0, 0xD1, 0xE0, 0xE1,
)  # fmt: skip
DEVICE = b"LABX\0\0\0\0" + struct.pack(">I", 123456) + b"ABCDE\0\0\0"
Address = tuple[str, int]


def note(what: str, peer: str | None) -> None:
    with open(sys.argv[-1], "a") as log:
        log.write(json.dumps({"time": time.time(), "what": what, "peer": peer}) + "\n")


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xF1, kind, len(body)) + body


def packed(address: Address) -> bytes:
    """A sockaddr turned round: family, port and address little-endian."""
    return struct.pack(">H", 2) + struct.pack("<H", address[1]) + socket.inet_aton(address[0])[::-1] + bytes(8)


def unpacked(body: bytes) -> Address:
    return socket.inet_ntoa(body[4:8][::-1]), struct.unpack_from("<H", body, 2)[0]


def server() -> None:
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.bind(("0.0.0.0", int(sys.argv[2])))
    note("ready", None)
    camera: Address | None = None
    while True:
        data, peer = wire.recvfrom(2048)
        if data[1] == REGISTER:
            camera = peer
        elif data[1] == LOOKUP and camera:
            wire.sendto(message(PUNCH_TO, packed(peer)), camera)
            wire.sendto(message(PUNCH_TO, packed(camera)), peer)
        elif data[1] == ALIVE:
            wire.sendto(message(ALIVE_ANSWER), peer)


def end(first: bytes) -> None:
    """Camera (with a way in for its film) or viewer."""
    is_camera = sys.argv[1] == "camera"
    home = (socket.gethostbyname(sys.argv[2]), int(sys.argv[3]))
    wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    waiting = selectors.DefaultSelector()
    waiting.register(wire, selectors.EVENT_READ)
    film = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if is_camera:
        film.bind(("127.0.0.1", int(sys.argv[4])))
        waiting.register(film, selectors.EVENT_READ)
    other: Address | None = None
    number, beat_at, seen = 0, 0.0, False
    while True:
        if time.monotonic() >= beat_at:
            beat_at = time.monotonic() + 2
            wire.sendto(message(ALIVE) if seen or (is_camera and number) else first, home)
        for key, _ in waiting.select(0.2):
            data, peer = key.fileobj.recvfrom(4096)  # type: ignore[union-attr]
            if key.fileobj is film:
                if other:
                    wire.sendto(message(DATA, struct.pack(">BBH", 0xD1, 1, number & 0xFFFF) + data), other)
                    number += 1
            elif data[1] == PUNCH_TO:
                for _ in range(3):
                    wire.sendto(message(PUNCH, DEVICE), unpacked(data[4:]))
            elif data[1] == PUNCH:
                wire.sendto(message(READY, DEVICE), peer)
            elif data[1] == READY and is_camera:
                other = peer
            elif data[1] == DATA:
                if not seen:
                    note("first", peer[0])
                seen = True
                wire.sendto(message(ANSWER, struct.pack(">BBH", 0xD1, 1, 1) + data[6:8]), peer)


if sys.argv[1] == "server":
    server()
else:
    end(message(REGISTER, DEVICE + bytes(20)) if sys.argv[1] == "camera" else message(LOOKUP, DEVICE + bytes(16)))
