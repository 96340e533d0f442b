"""Camera-like frames for the benchmark, and a sender that keeps a pace."""

import random
import time
from collections.abc import Sequence

from tests.capture import wire

GATEWAY = bytes.fromhex("0200000000fe")


def mac_of(camera: int) -> bytes:
    return b"\x02\x00\x00\x00" + (0x100 + camera).to_bytes(2, "big")


def ip_of(camera: int) -> bytes:
    return bytes((192, 168, camera >> 8, camera & 255))


def video(cameras: int, connections: int, frames: int, *, talk: float = 0.0, seed: int = 1) -> list[bytes]:
    """Frames of `connections` streams of `cameras` in turns, two thirds video and one third acknowledgements; the share
    `talk` of them is RTSP requests, DNS questions and openings of new connections."""
    rng = random.Random(seed)
    made = []
    for number in range(frames):
        camera, connection = number % cameras, number % connections
        own, address, peer = mac_of(camera), ip_of(camera), (0xC6336400 + connection % 251).to_bytes(4, "big")
        port = 20_000 + connection
        if rng.random() < talk:
            kind = rng.randrange(3)
            if kind == 0:
                asked = f"GET_PARAMETER rtsp://camera/ RTSP/1.0\r\nCSeq: {number}\r\n\r\n".encode()
                made.append(wire.tcp4(GATEWAY, own, peer, address, port, 554, 0x18, asked))
            elif kind == 1:
                question = rng.randbytes(2) + bytes.fromhex(
                    "01000001000000000000 04 74696d65 07 6578616d706c65 00 0001 0001"
                )
                made.append(wire.udp4(own, GATEWAY, address, GATEWAY[:4], rng.randrange(1024, 60000), 53, question))
            else:
                made.append(wire.tcp4(GATEWAY, own, peer, address, rng.randrange(1024, 20000), 80, 2, b""))
        elif number % 3 == 2:
            made.append(wire.tcp4(GATEWAY, own, peer, address, port, 554, 0x10, b""))
        else:
            made.append(wire.tcp4(own, GATEWAY, address, peer, 554, port, 0x10, b"\x80" * rng.randrange(900, 1400)))
    return made


def strangers(camera: int, count: int, seed: int) -> list[bytes]:
    """Openings from as many made-up addresses to one camera."""
    rng = random.Random(seed)
    own, address = mac_of(camera), ip_of(camera)
    return [
        wire.tcp4(GATEWAY, own, rng.randbytes(4), address, rng.randrange(1024, 65535), 554, 2, b"")
        for _ in range(count)
    ]


def pour(sender: wire.Sender, frames: Sequence[bytes], total: int, per_second: float | None) -> float:
    """Send `total` frames, over and over, at a pace or as fast as they go; the frames a second that it came to."""
    size = 2_000 if per_second is None else 64  # a card brings them in small handfuls too
    chunks = [sender.prepare(frames[at : at + size]) for at in range(0, len(frames), size)]
    begin = time.perf_counter()
    sent = turn = 0
    while sent < total:
        sent += chunks[turn % len(chunks)].send()
        turn += 1
        if per_second is not None:
            ahead = begin + sent / per_second - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
    return sent / (time.perf_counter() - begin)
