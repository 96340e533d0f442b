"""The whole guard on fuzzed frames: raw ones, and payloads between a stranger and the camera on well-known ports."""

import struct
from collections.abc import Iterator

from camguard.capture import ledger
from camguard.events import Camera, FlowCount, Frame, Home, hosts_of
from camguard.guard import Guard
from tests.fuzz.inputs import CHUNKS_MAX, parts
from tests.fuzz.targets import Watch, frame_of

CAMERA, GATEWAY = bytes.fromhex("020000000001"), bytes.fromhex("0200000000fe")
HERE, THERE = bytes((192, 168, 1, 10)), bytes((203, 0, 113, 9))
HOME = Home(cameras=(Camera("porch", "02:00:00:00:00:01"),), gateway="02:00:00:00:00:fe")
TCP_PORTS = (554, 80, 23, 21, 22, 53, 443, 1935)
UDP_PORTS = (53, 3478, 5353, 1900, 67, 5351, 32100, 40000)


def _wrapped(tcp: bool, up: bool, port: int, seq: int, data: bytes, at: float) -> Frame:
    """A frame of a connection between the camera's port (a peer's for DNS and the like) and a stranger's."""
    ends = (40001, port) if port in (53, 443, 1935, 3478, 5351, 32100) else (port, 40001)
    sport, dport = ends if up else ends[::-1]
    above = struct.pack(">HHIIBBHHH", sport, dport, seq, 0, 0x50, 0x18, 1000, 0, 0) if tcp else b""
    above = (above or struct.pack(">HHHH", sport, dport, 8 + len(data), 0)) + data
    macs, ips = (GATEWAY + CAMERA, HERE + THERE) if up else (CAMERA + GATEWAY, THERE + HERE)
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(above), 0, 0, 64, 6 if tcp else 17, 0)
    whole = macs + b"\x08\0" + head + ips + above
    return Frame(at, whole, len(whole))


def frames(data: bytes) -> Iterator[Frame]:
    """Control byte: 0x80 raw frame; else 0x40 TCP, 0x20 up, 0x10 bytes before it are missing, 7 which port."""
    at, seqs = 1000.0, dict[tuple[int, bool], int]()
    for number, (control, said) in enumerate(parts(data)):
        if number >= CHUNKS_MAX:
            return
        at += 0.02 + (control >> 3 & 1) * 0.7
        if control & 0x80:
            yield frame_of(control, said, at)
            continue
        tcp, up, which = bool(control & 0x40), bool(control & 0x20), control & 7
        seq = seqs.get((which, up), 1) + (control >> 4 & 1) * 1000
        seqs[which, up] = (seq + len(said)) & 0xFFFFFFFF
        yield _wrapped(tcp, up, (TCP_PORTS if tcp else UDP_PORTS)[which], seq, said[:60_000], at)


def watched(guard: Guard, home: Home, shown: Iterator[Frame], watch: Watch) -> list[object]:
    """What a guard says of frames: counts as the ledger makes them, a tick after each second; all its events."""
    out: list[object] = []
    second = None
    for item in ledger.run(shown, hosts_of(home)):
        if second is None or int(item.at) > second:
            second = int(item.at)
            if not isinstance(item, FlowCount):
                out += guard.tick(float(second))
        out += watch.call(lambda item=item: guard.feed(item))
    if second is not None:
        out += guard.tick(float(second + 1))
        out += guard.finish(float(second + 2))
    return out


def guard(data: bytes, watch: Watch) -> None:
    """Nothing is raised, whatever comes."""
    watched(Guard(HOME), HOME, frames(data), watch)
