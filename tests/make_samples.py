"""Makes camguard/samples/*.pcap, the captures of `camguard selftest`: run it, commit what it wrote.

A made-up home with documentation addresses. No video is in them: media payloads are cut to their headers (the length on
the wire stays), so the files are small. Always writes the same bytes; tests/test_selftest.py checks that.
"""

import random
import struct
from collections.abc import Iterator
from pathlib import Path

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether

CAMERA = ("02:5a:00:00:00:10", "192.0.2.10")
GATEWAY = ("02:5a:00:00:00:01", "192.0.2.1")
RECORDER = ("02:5a:00:00:00:20", "192.0.2.20")
OUTSIDER = (GATEWAY[0], "198.51.100.77")
CLOUD = (GATEWAY[0], "203.0.113.25")
BEGIN = 1_764_590_400.0  # 2025-12-01 12:00 UTC; the self-test moves it to now
KEPT = 62  # bytes kept of a media packet: headers, and the RTP header

Packet = tuple[float, bytes, int]  # time, bytes kept, length on the wire


def write(path: Path, packets: list[Packet]) -> None:
    """A pcap file (nanosecond magic, Ethernet) in time order."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 2048, 1)]
    for at, data, wire in sorted(packets):
        seconds, rest = divmod(round((BEGIN + at) * 1_000_000), 1_000_000)
        parts += (struct.pack("<IIII", seconds, rest * 1000, len(data), wire), data)
    path.write_bytes(b"".join(parts))


class Talk:
    """One TCP connection, client to server; keeps sequence numbers."""

    def __init__(self, client: tuple[str, str], server: tuple[str, str], ports: tuple[int, int]) -> None:
        self.ends = ((client, ports[0]), (server, ports[1]))
        self.seq = [1000, 9000]

    def send(self, at: float, side: int, payload: bytes, flags: str = "PA", keep: int | None = None) -> Packet:
        (source, sport), (target, dport) = self.ends[side], self.ends[1 - side]
        packet = bytes(
            Ether(src=source[0], dst=target[0])
            / IP(src=source[1], dst=target[1])
            / TCP(sport=sport, dport=dport, flags=flags, seq=self.seq[side], ack=self.seq[1 - side], window=8000)
            / payload
        )
        self.seq[side] += len(payload) + ("S" in flags or "F" in flags)
        return at, packet[:keep], len(packet)

    def open(self, at: float) -> Iterator[Packet]:
        yield self.send(at, 0, b"", "S")
        yield self.send(at + 0.01, 1, b"", "SA")
        yield self.send(at + 0.02, 0, b"", "A")

    def close(self, at: float) -> Iterator[Packet]:
        yield self.send(at, 0, b"", "FA")
        yield self.send(at + 0.01, 1, b"", "FA")
        yield self.send(at + 0.02, 0, b"", "A")


def rtsp(talk: Talk, at: float, transport: str, granted: str) -> Iterator[Packet]:
    """OPTIONS, DESCRIBE, SETUP and PLAY, each answered; 50 ms apart."""
    url = f"rtsp://{talk.ends[1][0][1]}:554/live"
    media = b"v=0\r\ns=camera\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"
    asked = (
        ("OPTIONS", url, "", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", b""),
        ("DESCRIBE", url, "Accept: application/sdp\r\n", "Content-Type: application/sdp\r\n", media),
        ("SETUP", f"{url}/track1", f"Transport: {transport}\r\n", f"Transport: {granted}\r\nSession: 7\r\n", b""),
        ("PLAY", url, "Session: 7\r\nRange: npt=0.000-\r\n", "Session: 7\r\n", b""),
    )
    for number, (method, target, question, answer, body) in enumerate(asked, 1):
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        yield talk.send(at, 0, f"{method} {target} RTSP/1.0\r\nCSeq: {number}\r\n{question}\r\n".encode())
        yield talk.send(at + 0.02, 1, f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{answer}{length}\r\n".encode() + body)
        at += 0.05


def pictures(draw: random.Random, begin: float, seconds: float, rate: int) -> Iterator[tuple[float, int]]:
    """(time, payload length) of the packets of live video: each picture some full packets and a short one."""
    for picture in range(int(seconds * rate)):
        at = begin + picture / rate
        full = 9 if picture % (2 * rate) == 0 else draw.randint(1, 3)
        for number in range(full):
            yield at + number * 0.0002, 1400
        yield at + full * 0.0002, draw.randint(120, 1100)


def hello() -> list[Packet]:
    """The camera and the gateway say who they are."""
    everybody = "ff:ff:ff:ff:ff:ff"
    asks = Ether(src=CAMERA[0], dst=everybody) / ARP(op=1, hwsrc=CAMERA[0], psrc=CAMERA[1], pdst=GATEWAY[1])
    tells = Ether(src=GATEWAY[0], dst=CAMERA[0]) / ARP(
        op=2, hwsrc=GATEWAY[0], psrc=GATEWAY[1], hwdst=CAMERA[0], pdst=CAMERA[1]
    )
    return [(0.0, bytes(asks), 42), (0.001, bytes(tells), 42)]


def outsider() -> list[Packet]:
    """Somebody outside opens the camera's video over RTSP, watches for 8 s and leaves."""
    draw = random.Random(1)
    talk = Talk(OUTSIDER, CAMERA, (50_114, 554))
    packets = hello() + list(talk.open(1.0))
    asked = "RTP/AVP;unicast;client_port=41000-41001"
    packets += rtsp(talk, 1.05, asked, f"{asked};server_port=6970-6971;ssrc=1234ABCD")
    sequence = 100
    for at, length in pictures(draw, 1.3, 8.0, 15):
        head = struct.pack("!BBHII", 0x80, 96, sequence, int(at * 90_000), 0x1234ABCD)
        sequence += 1
        packet = bytes(
            Ether(src=CAMERA[0], dst=OUTSIDER[0])
            / IP(src=CAMERA[1], dst=OUTSIDER[1])
            / UDP(sport=6970, dport=41000)
            / (head + bytes(length))
        )
        packets.append((at, packet[:KEPT], len(packet)))
    packets.append(talk.send(9.4, 0, b"TEARDOWN rtsp://192.0.2.10:554/live RTSP/1.0\r\nCSeq: 5\r\nSession: 7\r\n\r\n"))
    packets.append(talk.send(9.42, 1, b"RTSP/1.0 200 OK\r\nCSeq: 5\r\nSession: 7\r\n\r\n"))
    return packets + list(talk.close(9.5))


def quiet() -> list[Packet]:
    """What must raise nothing: the owner's recorder, a heartbeat to the maker, and a motion clip of 1 MB."""
    draw = random.Random(2)
    recorder = Talk(RECORDER, CAMERA, (39_002, 554))
    packets = hello() + list(recorder.open(1.0))
    packets += rtsp(recorder, 1.05, "RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP/TCP;unicast;interleaved=0-1")
    sequence = 7
    for at, length in pictures(draw, 1.3, 12.0, 10):
        head = struct.pack("!BBHII", 0x80, 96, sequence, int(at * 90_000), 0x77)
        sequence += 1
        framed = b"$\x00" + struct.pack("!H", 12 + length) + head + bytes(length)
        packets.append(recorder.send(at, 1, framed, keep=74))
    heartbeat = Talk(CAMERA, CLOUD, (40_100, 8883))
    packets += heartbeat.open(0.5)
    for at in (0.6, 5.6, 10.6):
        packets.append(heartbeat.send(at, 0, b"\x17\x03\x03\x00\x28" + draw.randbytes(40)))
        packets.append(heartbeat.send(at + 0.04, 1, b"\x17\x03\x03\x00\x28" + draw.randbytes(40)))
    clip = Talk(CAMERA, CLOUD, (40_200, 443))
    packets += clip.open(4.0)
    packets.append(clip.send(4.05, 0, b"\x16\x03\x01\x00\xc8" + draw.randbytes(200)))
    packets.append(clip.send(4.09, 1, b"\x16\x03\x03\x04\x00" + draw.randbytes(1024)))
    at = 4.15
    for number in range(700):  # an uplink of 8 Mbit/s
        packets.append(clip.send(at, 0, bytes(1448), keep=60))
        at += 1514 * 8 / 8e6
        if number % 8 == 7:
            packets.append(clip.send(at, 1, b"", "A"))
    return packets + list(clip.close(at + 0.1))


if __name__ == "__main__":
    samples = Path(__file__).resolve().parent.parent / "camguard" / "samples"
    for name, made in (("outsider", outsider()), ("quiet", quiet())):
        write(samples / f"{name}.pcap", made)
