"""Crafted traffic for tests of the core: counts of a connection second by second, and dialogues as frames (scapy)."""

from collections.abc import Iterable, Iterator

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from camguard.events import TCP as PROTO_TCP
from camguard.events import FlowCount, Frame, Home, Own, pack_key
from camguard.guard import Guard

CAMERA_MAC = "02:00:00:00:00:01"
GATEWAY_MAC = "02:00:00:00:00:fe"
LAPTOP_MAC = "02:00:00:00:00:21"
CAMERA_IP, GATEWAY_IP, LAPTOP_IP = "192.168.1.10", "192.168.1.1", "192.168.1.30"
STRANGER_IP = "203.0.113.9"


def mac_bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def ip_bytes(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def key_of(
    peer: str = STRANGER_IP, host_port: int = 40000, peer_port: int = 443, proto: int = PROTO_TCP, host: int = 1
) -> bytes:
    return pack_key(host, proto, host_port, peer_port, ip_bytes(peer))


class Connection:
    """One connection's counts, second by second; `second` gives the next FlowCount."""

    def __init__(
        self, key: bytes, *, first_at: float, flags: int = 0x1A, peer_mac: str = GATEWAY_MAC, first_up: bool = True
    ) -> None:
        self.key, self.first_at, self.flags = key, first_at, flags
        self.peer_mac, self.first_up = mac_bytes(peer_mac), first_up
        self.largest = 0

    def second(
        self,
        at: float,
        *,
        up: int = 0,
        down: int = 0,
        packet_bytes: int = 1400,
        pauses: int = 0,
        dry: int = 0,
        closed: bool = False,
        flags: int | None = None,
    ) -> FlowCount:
        packets = -(-up // packet_bytes)
        self.largest = max(self.largest, min(up, packet_bytes))
        packets_down = packets // 2 + (down > 0)
        flags = self.flags if flags is None else flags
        return FlowCount(
            key=self.key,
            at=at,
            first_at=self.first_at,
            last_at=at,
            wire_up=up + 54 * packets,
            wire_down=down + 54 * packets_down,
            payload_up=up,
            payload_down=down,
            packets_up=packets,
            packets_down=packets_down,
            pauses=pauses,
            dry=dry,
            largest_up=self.largest,
            flags_up=flags,
            flags_down=flags,
            first_up=self.first_up,
            peer_mac=self.peer_mac,
            closed=closed,
        )


class Dialogue:
    """A TCP connection as frames: the peer calls the camera. Sequence numbers are kept."""

    def __init__(
        self,
        at: float,
        *,
        peer_ip: str = STRANGER_IP,
        peer_mac: str = GATEWAY_MAC,
        port: int = 554,
        peer_port: int = 50000,
    ) -> None:
        self.at = at
        self._ends = {True: (CAMERA_MAC, CAMERA_IP, port), False: (peer_mac, peer_ip, peer_port)}
        self._seq = {True: 1000, False: 5000}

    def open(self) -> list[Frame]:
        return [self._frame(False, "S", b""), self._frame(True, "SA", b""), self._frame(False, "A", b"")]

    def says(self, up: bool, text: str | bytes) -> Frame:
        data = text.replace("\n", "\r\n").encode() if isinstance(text, str) else text
        return self._frame(up, "PA", data)

    def skips(self, up: bool, size: int) -> None:
        """Bytes that are sent but not handed up."""
        self._seq[up] += size

    def _frame(self, up: bool, flags: str, data: bytes) -> Frame:
        (src_mac, src, sport), (dst_mac, dst, dport) = self._ends[up], self._ends[not up]
        ip = IPv6 if ":" in src else IP
        packet = Ether(src=src_mac, dst=dst_mac) / ip(src=src, dst=dst)
        packet /= TCP(sport=sport, dport=dport, seq=self._seq[up], ack=self._seq[not up], flags=flags)
        self._seq[up] += len(data) + ("S" in flags)
        self.at += 0.01
        return frame(packet / Raw(data) if data else packet, self.at)


def frame(packet: Ether, at: float) -> Frame:
    data = bytes(packet)
    return Frame(at, data, len(data))


def datagram(at: float, src: tuple[str, str, int], dst: tuple[str, str, int], data: bytes) -> Frame:
    """A UDP frame; ends are (MAC, address, port)."""
    ip = IPv6 if ":" in src[1] else IP
    return frame(
        Ether(src=src[0], dst=dst[0]) / ip(src=src[1], dst=dst[1]) / UDP(sport=src[2], dport=dst[2]) / Raw(data), at
    )


def rtsp_view(
    at: float,
    *,
    peer_ip: str = STRANGER_IP,
    peer_mac: str = GATEWAY_MAC,
    peer_port: int = 50000,
    transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1",
    play: str = "200 OK",
    play_range: str = "npt=0.000-",
) -> Iterator[Frame]:
    """What ffmpeg says to a camera to see its video; `transport` is what SETUP's answer settles."""
    talk = Dialogue(at, peer_ip=peer_ip, peer_mac=peer_mac, peer_port=peer_port)
    yield from talk.open()
    url = f"rtsp://{CAMERA_IP}/stream1"
    for cseq, (method, extra, answer) in enumerate(
        (
            ("OPTIONS", "", "Public: DESCRIBE, SETUP, TEARDOWN, PLAY\n"),
            ("DESCRIBE", "Accept: application/sdp\n", "Content-Length: 0\n"),
            ("SETUP", f"Transport: {transport}\n", f"Transport: {transport}\nSession: 12345678\n"),
            ("PLAY", f"Session: 12345678\nRange: {play_range}\n", "Session: 12345678\n"),
        ),
        start=1,
    ):
        status = play if method == "PLAY" else "200 OK"
        yield talk.says(False, f"{method} {url} RTSP/1.0\nCSeq: {cseq}\n{extra}\n")
        yield talk.says(True, f"RTSP/1.0 {status}\nCSeq: {cseq}\n{answer}\n")


def run(
    home: Home, items: Iterable[object], *, until: float, start: float = 100.0, **options: object
) -> tuple[Guard, list[object]]:
    """Feeds frames and counts in time order with a tick each second; all events that came out."""
    guard = Guard(home, own=Own(gateway_ips=frozenset({ip_bytes(GATEWAY_IP)})), **options)  # type: ignore[arg-type]
    events: list[object] = []
    now = start
    for item in sorted(items, key=lambda one: one.at):  # type: ignore[attr-defined]
        while item.at > now:  # type: ignore[attr-defined]
            events += guard.tick(now)
            now += 1.0
        events += guard.feed(item)  # type: ignore[arg-type]
    while now <= until:
        events += guard.tick(now)
        now += 1.0
    return guard, events
