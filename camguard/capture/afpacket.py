"""The packet socket: the tap where the kernel has no BPF for us. It counts in Python, which a fast link outruns.

One AF_PACKET socket an interface with a ring (TPACKET_V2) that the kernel fills and that is read without a call per
packet; a classic filter (filter.py) keeps other people's traffic out. VLAN tags that the card took off are put back,
superpackets (GRO, TSO) come with the size of their segments (PACKET_VNET_HDR). What does not fit the ring is counted as
lost. An interface that comes back is taken up by the same socket: bind and promiscuous mode need no right.
Source: packet(7), Documentation/networking/packet_mmap.rst of the kernel.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from camguard.capture.filter import program
from camguard.capture.ledger import Ledger
from camguard.errors import CaptureError
from camguard.events import FlowCount, Frame, Host, Interface

_SOL_PACKET, _ALL_PROTOCOLS = 263, 3
_ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION, _VNET_HDR, _IGNORE_OUTGOING = 1, 5, 6, 10, 15, 23
_PROMISCUOUS, _TPACKET_V2 = 1, 1
_ATTACH_FILTER = 26
_FLAGS, _HARDWARE_ADDRESS = 0x8913, 0x8927  # ioctls SIOCGIFFLAGS, SIOCGIFHWADDR
_ETHERNET, _LOOPBACK, _PPP, _TUNNEL = 1, 772, 512, 65534  # ARPHRD_*

#: A slot holds a frame of a link of 1,500 bytes whole; of larger ones as much as readers can use.
_SLOT = 2048
_SNAP = _SLOT - 112
_SLOTS = 4096
_BLOCK = 256 * 1024
#: Packets looked at in one `read` of one interface: about 20 ms of work.
_AT_ONCE = 2048

# struct tpacket2_hdr: status, length, captured, mac, net, seconds, nanoseconds, tag, tag protocol
_slot = struct.Struct("=IIIHHIIHH").unpack_from
_vnet = struct.Struct("=BBHH").unpack_from  # flags, kind, header length, segment size
_status = struct.Struct("=I")
_READY, _TAGGED, _TAG_PROTOCOL = 1, 16, 64
_VNET_LENGTH = 10


class _Tap:
    """One interface: its socket, its ring, and what it carried and lost."""

    def __init__(self, name: str, number: int, hosts: Sequence[Host]) -> None:
        self.name, self.number = name, number
        self.index, self.mac, hardware = _look_up(name)
        self.link = 1 if hardware in (_ETHERNET, _LOOPBACK) else 101
        if hardware not in (_ETHERNET, _LOOPBACK, _PPP, _TUNNEL):
            raise CaptureError(f"{name} is no Ethernet interface (kind {hardware}). Fix: --interface with another one.")
        self.packets = self.drops = 0
        self._next = 0
        self._last_at = 0.0
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        try:
            self.socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V2)
            self.socket.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
            if hardware == _LOOPBACK:  # a frame counts once: here each one goes out and comes in
                self.socket.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
            self._ring = self._make_ring()
            _attach(self.socket, program(hosts, _SNAP, ethernet=self.link == 1))
            self.bind()
        except OSError:
            self.socket.close()
            raise

    def _make_ring(self) -> mmap.mmap:
        """A ring of 8 MiB, or less where the kernel has no such piece of memory."""
        slots = _SLOTS
        while True:
            self._slots = slots
            size = slots * _SLOT
            try:
                self.socket.setsockopt(
                    _SOL_PACKET, _RX_RING, struct.pack("=IIII", _BLOCK, size // _BLOCK, _SLOT, slots)
                )  # fmt: skip
                return mmap.mmap(self.socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            except OSError as error:
                if error.errno != errno.ENOMEM or slots <= _BLOCK // _SLOT:
                    raise
                slots //= 2

    def bind(self) -> None:
        """Listen on the interface that bears the name now, promiscuous: a mirror port shows nothing otherwise."""
        self.socket.bind((self.name, _ALL_PROTOCOLS))
        member = struct.pack("=IHH8s", self.index, _PROMISCUOUS, 0, b"")
        self.socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)

    def frames(self) -> Iterator[Frame]:
        """What the ring holds, at most `_AT_ONCE`; each slot goes back to the kernel when its frame is taken."""
        ring, slots, link, number = self._ring, self._slots, self.link, self.number
        # the kernel stamps with the wall clock; a step of it in between must not make time run back or ahead
        now = time.monotonic()
        behind = time.time() - now
        for _ in range(_AT_ONCE):
            place = self._next * _SLOT
            status, length, captured, mac, _net, seconds, nanos, tag, protocol = _slot(ring, place)
            if not status & _READY:
                break
            start = place + mac
            data = ring[start : start + captured]
            _flags, kind, _header, segment = _vnet(ring, start - _VNET_LENGTH)
            _status.pack_into(ring, place, 0)
            self._next = (self._next + 1) % slots
            self._last_at = at = min(now, max(self._last_at, seconds + nanos / 1e9 - behind))
            if status & _TAGGED:
                tpid = protocol if status & _TAG_PROTOCOL else 0x8100
                data = data[:12] + struct.pack("!HH", tpid, tag) + data[12:]
                length += 4
            yield Frame(at, data, length, link, segment if kind else 0, number)
        else:
            return
        self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # "network is down", else it wakes us for ever

    def count(self) -> None:
        """Add what the kernel counted since the last time; reading sets its numbers back."""
        packets, drops = struct.unpack("=II", self.socket.getsockopt(_SOL_PACKET, _STATISTICS, 8))
        self.packets += packets
        self.drops += drops

    def close(self) -> None:
        self._ring.close()
        self.socket.close()


class PacketSocket:
    """A live Source that counts in Python (capture.Source)."""

    what = "packet socket"

    def __init__(self, interfaces: Sequence[str], hosts: Sequence[Host], cost: str) -> None:
        self.cost: str | None = cost
        self._ledger = Ledger(hosts)
        self._taps: list[_Tap] = []
        self._dropped = _doubles(interfaces)
        try:
            for name in interfaces:
                if name not in self._dropped:
                    self._taps.append(_Tap(name, len(self._taps), hosts))
        except BaseException:
            self.close()
            raise
        self._up = {tap.number for tap in self._taps if _is_up(tap.name)}
        self._news = [
            f"{name} shows the same frames as {other}: camguard looks at {other} only"
            for name, other in self._dropped.items()
        ]

    def filenos(self) -> tuple[int, ...]:
        return tuple(tap.socket.fileno() for tap in self._taps if tap.number in self._up)

    def read(self) -> list[Frame]:
        take = self._ledger.packet
        return [frame for tap in self._taps for frame in tap.frames() if take(frame)]

    def collect(self, at: float) -> list[FlowCount]:
        return self._ledger.collect(at)

    def maintain(self, at: float) -> list[str]:
        news, self._news = self._news, []
        for tap in self._taps:
            tap.count()
            news += self._look_after(tap)
        return news

    def _look_after(self, tap: _Tap) -> list[str]:
        """Take up an interface that came back, perhaps as another one of the same name."""
        try:
            index, mac, _hardware = _look_up(tap.name)
        except OSError:
            index, mac = 0, tap.mac
        was_up = tap.number in self._up
        if index and index != tap.index:
            old, tap.index, tap.mac = tap.index, index, mac
            try:
                tap.bind()
            except OSError:
                tap.index = old  # gone again already
                index = 0
        now_up = bool(index) and _is_up(tap.name)
        if now_up == was_up:
            return []
        if now_up:
            self._up.add(tap.number)
            return [f"{tap.name} is back: camguard looks at it again"]
        self._up.discard(tap.number)
        return [f"{tap.name} has gone away: camguard sees nothing there until it is back"]

    def interfaces(self) -> list[Interface]:
        return [
            Interface(tap.name, "up" if tap.number in self._up else "gone", tap.mac, tap.packets, tap.drops)
            for tap in self._taps
        ]

    def counters(self) -> dict[str, int]:
        return {
            **self._ledger.counters(),
            "socket-drops": sum(tap.drops for tap in self._taps),
            "duplicate-interface": len(self._dropped),
        }

    def close(self) -> None:
        for tap in self._taps:
            tap.close()


def open_socket(interfaces: Sequence[str], hosts: Sequence[Host], why: str) -> PacketSocket:
    """The fallback tap; `why` says in a few words why there is no kernel ledger. CaptureError: one line, what to do."""
    cost = (
        f"Counting in Python ({why}): more than about {_speed():,} packets a second will be lost (losses are counted). "
        "For exact counting: kernel 5.8 or newer with CAP_BPF."
    )
    try:
        return PacketSocket(interfaces, hosts, cost)
    except PermissionError as error:
        raise CaptureError(
            "camguard may not look at packets: it has no CAP_NET_RAW. Fix: start it with sudo, or by systemd."
        ) from error
    except OSError as error:
        if error.errno == errno.ENODEV:
            there = ", ".join(name for _index, name in socket.if_nameindex())
            raise CaptureError(f"no interface {error.filename}. There are: {there}. Fix: --interface NAME") from error
        raise CaptureError(
            f"cannot look at {', '.join(interfaces)}: {error.strerror}. Fix: --interface NAME"
        ) from error


def _speed() -> int:
    """Packets a second that this machine can count, to one figure: measured on a few hundred made-up ones."""
    addresses = bytes.fromhex("020000000001 020000000002 0800")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1028, 0, 0, 64, 17, 0, b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02")
    data = addresses + ip + struct.pack("!HHHH", 5000, 5001, 1008, 0) + bytes(1000)
    ledger = Ledger([Host(1, "", addresses[6:12], ())])
    begin = time.perf_counter()
    for number in range(500):
        ledger.packet(Frame(number / 1000, data, len(data)))
    each_s = (time.perf_counter() - begin) / 500 + 1.5e-6  # and the time to take it from the ring
    return int(float(f"{1 / each_s:.0e}"))


def _attach(tap: socket.socket, steps: Sequence[tuple[int, int, int, int]]) -> None:
    """SO_ATTACH_FILTER; it needs no right and stands before the socket is bound, so nothing slips past."""
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(steps), ctypes.addressof(buffer))
    tap.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, fprog)


def _ask(name: str, request: int) -> bytes:
    """An ioctl about an interface, by way of a UNIX socket: IP sockets are refused to us."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        answer: bytes = fcntl.ioctl(door, request, struct.pack("16s24x", name.encode()[:15]))
    return answer


def _look_up(name: str) -> tuple[int, bytes, int]:
    """Index, MAC and kind (ARPHRD) of an interface; OSError (ENODEV, with the name) if there is none."""
    try:
        index = socket.if_nametoindex(name)
        answer = _ask(name, _HARDWARE_ADDRESS)
    except OSError as error:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name) from error
    return index, answer[18:24], struct.unpack_from("=H", answer, 16)[0]


def _is_up(name: str) -> bool:
    with contextlib.suppress(OSError):
        return bool(struct.unpack_from("=H", _ask(name, _FLAGS), 16)[0] & 1)
    return False


def _doubles(interfaces: Sequence[str]) -> dict[str, str]:
    """Interfaces to leave out -> the chosen one that shows their frames: their bridge or bond, or what a VLAN is on."""
    found: dict[str, str] = {}
    for name in interfaces:
        folder = Path("/sys/class/net") / name
        master = folder / "master"
        if master.exists() and master.resolve().name in interfaces:
            found[name] = master.resolve().name
            continue
        for below in folder.glob("lower_*"):
            other = below.name.removeprefix("lower_")
            if other in interfaces and (below / "master").resolve() != folder.resolve():
                found[name] = other
    return found
