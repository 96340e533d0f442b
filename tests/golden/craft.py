"""Writes the golden cases for which no real program can be had: python -m tests.golden.craft (then --update-golden).

Turning a camera and talking through it (Dahua's HTTP API, as control.py reads it), recorded footage over RTSP, and a
maker's P2P in its plain form (PPPP: message types as in protocols/pppp.py). One camera, one stranger, no pictures.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from camguard.events import Frame
from tests.traffic import CAMERA_IP, CAMERA_MAC, GATEWAY_MAC, STRANGER_IP, Dialogue, datagram, rtsp_view

HERE = Path(__file__).parent
CONFIG = f'[home]\ntimezone = "Europe/Berlin"\n\n[[camera]]\nname = "porch"\nmac = "{CAMERA_MAC}"\n'
BEGAN = 1_790_000_000.0
SERVERS = ("192.0.2.11", "192.0.2.12", "192.0.2.13")
REGISTER, ALIVE, ALIVE_ANSWER, PUNCH_TO, PUNCH, READY, DATA, DATA_ANSWER = (
    0x10, 0xE0, 0xE1, 0x40, 0x41, 0x42, 0xD0, 0xD1,
)  # fmt: skip
DEVICE = b"LABX\0\0\0\0" + struct.pack(">I", 123456) + b"ABCDE\0\0\0"


def pppp(kind: int, body: bytes = b"") -> bytes:
    return struct.pack(">BBH", 0xF1, kind, len(body)) + body


def sent(at: float, peer: str, port: int, data: bytes, *, up: bool) -> Frame:
    camera, other = (CAMERA_MAC, CAMERA_IP, 20000), (GATEWAY_MAC, peer, port)
    return datagram(at, *((camera, other) if up else (other, camera)), data)


def keep_alive(until_s: float) -> Iterator[Frame]:
    """The camera registers at three servers and stays known there."""
    for second in range(0, int(until_s), 5):
        for number, server in enumerate(SERVERS):
            at = BEGAN + second + 0.1 * number
            kind, body = (REGISTER, DEVICE + bytes(20)) if not second else (ALIVE, b"")
            yield sent(at, server, 32100, pppp(kind, body), up=True)
            yield sent(at + 0.03, server, 32100, pppp(ALIVE_ANSWER), up=False)


def named(at: float) -> Iterator[Frame]:
    """A server tells the camera whom to call; both ends reach each other."""
    ip = bytes(reversed(bytes(int(part) for part in STRANGER_IP.split("."))))
    yield sent(at, SERVERS[0], 32100, pppp(PUNCH_TO, struct.pack(">H", 2) + struct.pack("<H", 30000) + ip + bytes(8)),
               up=False)  # fmt: skip
    for number in range(3):
        yield sent(at + 0.1 + 0.05 * number, STRANGER_IP, 30000, pppp(PUNCH, DEVICE), up=True)
        yield sent(at + 0.12 + 0.05 * number, STRANGER_IP, 30000, pppp(PUNCH, DEVICE), up=False)
    yield sent(at + 0.4, STRANGER_IP, 30000, pppp(READY, DEVICE), up=True)


def p2p_view() -> Iterator[Frame]:
    """12 pictures a second of some 5 kB, each piece acknowledged."""
    yield from keep_alive(12)
    yield from named(BEGAN + 3)
    number = 0
    for picture in range(6 * 12):
        at = BEGAN + 4 + picture / 12
        for piece in range(6):
            size = 1024 if piece < 5 else 300 + 7 * picture
            body = struct.pack(">BBH", 0xD1, 1, number & 0xFFFF) + bytes(size)
            yield sent(at + 0.001 * piece, STRANGER_IP, 30000, pppp(DATA, body), up=True)
            number += 1
        yield sent(at + 0.02, STRANGER_IP, 30000, pppp(DATA_ANSWER, struct.pack(">BBHH", 0xD1, 1, 1, number)), up=False)


def asked(*talks: tuple[str, str]) -> Iterator[Frame]:
    """Requests of one outsider to the camera's web server, each over a connection of its own, half a second apart."""
    for number, (question, answer) in enumerate(talks):
        talk = Dialogue(BEGAN + 0.5 * number, port=80, peer_port=50000 + number)
        yield from talk.open()
        yield talk.says(False, question + "\n")
        yield talk.says(True, answer + "\n")


OK = "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 4\n\nOK"
TURN = "GET /cgi-bin/ptz.cgi?action=start&channel=0&code=Left&arg1=0&arg2=1&arg3=0 HTTP/1.1\nHost: 203.0.113.1\n"
TALK = "POST /cgi-bin/audio.cgi?action=postAudio&httptype=singlepart&channel=1 HTTP/1.1\nHost: 203.0.113.1\n"
TALK += "Content-Type: Audio/G.711A\nContent-Length: 9999999\n"
REFUSED = 'HTTP/1.1 401 Unauthorized\nWWW-Authenticate: Digest realm="x", nonce="y"\nContent-Length: 0\n'
CASES = {
    "remote-p2p-named-by-its-server": p2p_view,
    "quiet-p2p-keep-alive": lambda: iter([*keep_alive(60), *named(BEGAN + 20)]),
    "remote-turns-the-camera": lambda: asked(*[(TURN, OK)] * 4),
    "remote-talks-through-it": lambda: asked((TALK, OK)),
    "remote-recorded-footage": lambda: rtsp_view(BEGAN, play_range="clock=20260901T120000Z-"),
    "exposed-but-turning-is-refused": lambda: asked(*[(TURN, REFUSED)] * 2),
}


def main() -> None:
    for name, frames in CASES.items():
        folder = HERE / name
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").write_text(CONFIG)
        with (folder / "input.pcap").open("wb") as out:
            out.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65535, 1))
            for frame in sorted(frames(), key=lambda one: one.at):
                seconds, nanoseconds = divmod(round(frame.at * 1e9), 1_000_000_000)
                data = frame.data[:300]
                out.write(struct.pack("<IIII", seconds, nanoseconds, len(data), frame.wire_len) + data)


if __name__ == "__main__":
    main()
