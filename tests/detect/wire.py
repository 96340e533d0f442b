"""Counts of many connections at once, for detectors that look at how many there are."""

from collections.abc import Callable, Iterable
from typing import Protocol

from camguard.events import ACK, RST, SYN, TCP, UDP, Finding, FlowCount, Peer, pack_key
from camguard.track import Flow, Flows

GATEWAY = bytes.fromhex("0200000000fe")
LAPTOP = bytes.fromhex("020000000021")
GROUP = bytes.fromhex("01005e7ffffa")


class Detector(Protocol):
    def counted(self, flow: Flow, count: FlowCount, now: float) -> None: ...
    def tick(self, now: float) -> list[Finding]: ...


def ip(number: int, net: int = 198) -> bytes:
    """The `number`-th of many addresses outside."""
    return bytes((net, 18 + number // 65536, number // 256 % 256, number % 256))


def count(
    peer: bytes,
    at: float,
    *,
    proto: int = TCP,
    host: int = 1,
    host_port: int = 40000,
    peer_port: int = 23,
    up: int = 1,
    down: int = 0,
    flags_up: int = SYN,
    flags_down: int = 0,
    first_up: bool = True,
    first_at: float | None = None,
    packet_bytes: int = 0,
    mac: bytes = GATEWAY,
    closed: bool = False,
) -> FlowCount:
    """One connection's last second: `up`, `down` packets with `packet_bytes` of payload each."""
    tcp = proto == TCP
    return FlowCount(
        key=pack_key(host, proto, host_port, peer_port, peer),
        at=at,
        first_at=at - 0.5 if first_at is None else first_at,
        last_at=at - 0.1,
        wire_up=up * (54 + packet_bytes),
        wire_down=down * (54 + packet_bytes),
        payload_up=up * packet_bytes,
        payload_down=down * packet_bytes,
        packets_up=up,
        packets_down=down,
        pauses=0,
        dry=0,
        largest_up=packet_bytes,
        flags_up=flags_up if tcp else 0,
        flags_down=flags_down if tcp else 0,
        first_up=first_up,
        peer_mac=mac,
        closed=closed,
    )


def answered(peer: bytes, at: float, **changed: object) -> FlowCount:
    """A TCP connection that the other end accepted and that moved something both ways."""
    values: dict[str, object] = {"flags_up": SYN | ACK, "flags_down": SYN | ACK, "up": 6, "down": 6, "packet_bytes": 80}
    return count(peer, at, **(values | changed))  # type: ignore[arg-type]


def refused(peer: bytes, at: float, host_port: int, **changed: object) -> FlowCount:
    """A SYN to the camera that it refuses."""
    values: dict[str, object] = {
        "host_port": host_port,
        "peer_port": 50000,
        "up": 1,
        "down": 1,
        "flags_up": RST | ACK,
        "flags_down": SYN,
        "first_up": False,
    }
    return count(peer, at, **(values | changed))  # type: ignore[arg-type]


def datagram(peer: bytes, at: float, **changed: object) -> FlowCount:
    """A UDP talk."""
    values: dict[str, object] = {"proto": UDP, "packet_bytes": 60, "peer_port": 32100}
    return count(peer, at, **(values | changed))  # type: ignore[arg-type]


def seconds(detector: Detector, told: Iterable[Iterable[FlowCount]], began_at: float = 1.0) -> list[Finding]:
    """Runs the counts of one second after the other, with a tick after each; all findings."""
    flows, out = Flows(0.0), []
    for number, counts in enumerate(told):
        now = began_at + number
        for one in counts:
            moved = one._replace(at=now, first_at=one.first_at + now - one.at, last_at=now - 0.1)
            detector.counted(flows.count(moved), moved, now)
        out += detector.tick(now)
    return out


def camera_of(number: int) -> str:
    return f"camera {number}"


def peer_of(known: dict[bytes, Peer] | None = None) -> Callable[[Flow], Peer]:
    """Peers outside, but those that are given."""

    def peer(flow: Flow) -> Peer:
        found = (known or {}).get(flow.peer)
        text = ".".join(map(str, flow.peer)) if len(flow.peer) == 4 else flow.peer.hex(":", 2)
        return found or Peer(text, flow.peer_port, scope="lan" if flow.peer_mac == LAPTOP else "wan")

    return peer
