"""ClientHellos to build, for TLS and what else carries them."""

import struct


def vector(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">H", kind) + vector(data, 2)


def server_name(name: bytes) -> bytes:
    return extension(0, vector(b"\0" + vector(name, 2), 2))


ALPN = extension(16, vector(vector(b"h2", 1) + vector(b"http/1.1", 1), 2))
PADDING = extension(21, bytes(400))


def body(*extensions: bytes) -> bytes:
    tail = vector(b"".join(extensions), 2) if extensions else b""
    return b"\x03\x03" + bytes(32) + vector(bytes(32), 1) + vector(b"\x13\x01\x13\x02", 2) + vector(b"\0", 1) + tail


def hello(*extensions: bytes) -> bytes:
    return b"\x01" + vector(body(*extensions), 3)


def records(handshake: bytes, size: int = 16384) -> bytes:
    pieces = [handshake[at : at + size] for at in range(0, len(handshake), size)]
    return b"".join(b"\x16\x03\x01" + vector(piece, 2) for piece in pieces)
