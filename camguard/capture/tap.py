"""One tapped interface: a packet socket with a ring that the kernel fills and that is read without a call per packet.

The socket is opened, ringed and filtered while CAP_NET_RAW is held; what follows needs no right: reading, and taking up
an interface that went away and came back, by the same socket. It is promiscuous, because a mirror port shows nothing
otherwise. Sources: packet(7), Documentation/networking/packet_mmap.rst of the kernel.
"""

import contextlib
import errno
import fcntl
import mmap
import os
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from camguard.errors import CaptureError
from camguard.events import Frame, Interface

_SOL_PACKET, _ALL_PROTOCOLS = 263, 3
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _IGNORE_OUTGOING = 1, 5, 6, 10, 23
_PROMISCUOUS, _TPACKET_V2 = 1, 1
_FLAGS, _HARDWARE_ADDRESS = 0x8913, 0x8927  # ioctls SIOCGIFFLAGS, SIOCGIFHWADDR
_ETHERNET, _LOOPBACK = 1, 772  # ARPHRD_*

_SLOT = 2_048
_BLOCK = 128 * 1_024

# struct tpacket2_hdr: status, length, captured, mac, net, seconds, nanoseconds, tag, tag protocol
_slot = struct.Struct("=IIIHHIIHH").unpack_from
_status = struct.Struct("=I")
_READY, _TAGGED, _TAG_PROTOCOL = 1, 16, 64


class Tap:
    """A tapped Ethernet interface. `attach` puts the filter on the socket; it runs before the socket is bound."""

    def __init__(self, name: str, number: int, attach: Callable[[socket.socket], None], slots: int) -> None:
        self.name, self.number, self._slots = name, number, slots
        self._index, self.mac, hardware = look_up(name)
        if hardware not in (_ETHERNET, _LOOPBACK):
            raise CaptureError(
                f"{name} carries no Ethernet frames (kind {hardware}), so no camera's MAC is seen there. "
                "Fix: --interface with the one where the cameras are"
            )
        self.packets = self.drops = 0
        self.up = True
        self._next, self._last_at = 0, 0.0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self.socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
            if hardware == _LOOPBACK:  # a frame counts once: here each one goes out and comes in
                self.socket.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            size = slots * _SLOT
            self.socket.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("=IIII", _BLOCK, size // _BLOCK, _SLOT, slots))
            self._ring = mmap.mmap(self.socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            attach(self.socket)
            self._bind()
        except BaseException:
            self.socket.close()
            raise
        self.up = is_up(name)

    def _bind(self) -> None:
        self.socket.bind((self.name, _ALL_PROTOCOLS))
        self.socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, struct.pack("=IHH8s", self._index, _PROMISCUOUS, 0, b""))

    def frames(self, most: int) -> Iterator[Frame]:
        """What the ring holds, at most `most`; each slot goes back to the kernel when its frame is taken."""
        ring = self._ring
        # the kernel stamps with the wall clock; a step of it in between must not make time run back or ahead
        now = time.monotonic()
        behind = time.time() - now
        for _ in range(most):
            place = self._next * _SLOT
            status, length, captured, mac, _net, seconds, nanos, tag, protocol = _slot(ring, place)
            if not status & _READY:
                break
            data = ring[place + mac : place + mac + captured]
            _status.pack_into(ring, place, 0)
            self._next = (self._next + 1) % self._slots
            self._last_at = at = min(now, max(self._last_at, seconds + nanos / 1e9 - behind))
            if status & _TAGGED:  # the card took the VLAN tag off: put it back
                data = data[:12] + struct.pack("!HH", protocol if status & _TAG_PROTOCOL else 0x8100, tag) + data[12:]
                length += 4
            yield Frame(at, data, length, 1, 0, self.number)
        else:
            return
        self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # "network is down", else it wakes us for ever

    def look_after(self) -> list[str]:
        """Count drops, notice that the interface went away or take it up again; the sentences say what changed."""
        packets, drops = struct.unpack("=II", self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        self.packets += packets
        self.drops += drops
        try:
            index, mac, _hardware = look_up(self.name)
        except OSError:
            index, mac = 0, self.mac
        if index and index != self._index:
            old, self._index, self.mac = self._index, index, mac
            try:
                self._bind()
            except OSError:  # gone again already
                self._index, index = old, 0
        was_up, self.up = self.up, bool(index) and is_up(self.name)
        if self.up == was_up:
            return []
        if self.up:
            return [f"{self.name} is back: camguard looks at it again"]
        return [f"{self.name} has gone away: camguard sees nothing there until it is back"]

    def interface(self) -> Interface:
        """State and numbers, as of the latest `look_after`."""
        return Interface(self.name, "up" if self.up else "gone", self.mac, self.packets, self.drops)

    def close(self) -> None:
        """Give ring and socket back."""
        self._ring.close()
        self.socket.close()


def look_up(name: str) -> tuple[int, bytes, int]:
    """Index, MAC and kind (ARPHRD) of an interface; OSError (ENODEV, with the name) if there is none."""
    try:
        index = socket.if_nametoindex(name)
        answer = _ask(name, _HARDWARE_ADDRESS)
    except OSError as error:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name) from error
    return index, answer[18:24], struct.unpack_from("=H", answer, 16)[0]


def is_up(name: str) -> bool:
    """Whether the interface is there and switched on."""
    with contextlib.suppress(OSError):
        return bool(struct.unpack_from("=H", _ask(name, _FLAGS), 16)[0] & 1)
    return False


def _ask(name: str, request: int) -> bytes:
    """An ioctl about an interface, by way of a UNIX socket: IP sockets are refused to us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        answer: bytes = fcntl.ioctl(door, request, struct.pack("16s24x", name.encode()[:15]))
    return answer


def choose(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The interfaces to tap so that each frame is seen once, and a sentence for each one left out or put in.

    Of a bridge (or bond) and its ports the bridge is tapped; of two ports of one bridge, their bridge; of an interface
    and a VLAN on it, the interface.
    """
    chosen = list(dict.fromkeys(names))
    news = []
    by_master: dict[str, list[str]] = {}
    for name in chosen:
        by_master.setdefault(_master(name), []).append(name)
    for master, ports in by_master.items():
        if not master or (master not in chosen and len(ports) < 2):
            continue
        if master not in chosen:
            chosen.append(master)
        for port in ports:
            chosen.remove(port)
            news.append(f"{port} is a port of {master}: camguard looks at {master}, so that no frame counts twice")
    for name in list(chosen):
        for below in (Path("/sys/class/net") / name).glob("lower_*"):
            other = below.name.removeprefix("lower_")
            if other in chosen and _master(other) != name:
                chosen.remove(name)
                news.append(f"{name} rides on {other}: camguard looks at {other}, so that no frame counts twice")
                break
    return chosen, news


def _master(name: str) -> str:
    """The bridge or bond that the interface is a port of, "" for none."""
    link = Path("/sys/class/net") / name / "master"
    return link.resolve().name if link.exists() else ""
