"""A wire for tests: a veth pair in a network namespace of its own, and a sender as fast as C (sendmmsg by ctypes)."""

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_SEND_BATCH = 256


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True, timeout=60).stdout


@contextlib.contextmanager
def namespace() -> Iterator[None]:
    """This thread lives in a new network namespace while the block lasts; /sys still shows the old one's interfaces."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    if _libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    try:
        yield
    finally:
        _libc.setns(home, _CLONE_NEWNET)
        os.close(home)


@contextlib.contextmanager
def pair(*, plain: bool = True) -> Iterator[tuple[str, str]]:
    """A veth pair, up, in a new namespace: frames sent on the first arrive at the second. `plain`: no offloads, no IPv6
    talk of the interfaces' own."""
    near, far = f"cg{os.getpid()}a", f"cg{os.getpid()}b"
    with namespace():
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        for name in (near, far):
            run("sysctl", "-q", f"net.ipv6.conf.{name}.disable_ipv6=1")
            run("ip", "link", "set", name, "mtu", "9000", "arp", "off")
            if plain:
                run("ethtool", "-K", name, "tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off")
        for name in (near, far):
            run("ip", "link", "set", name, "up")
        time.sleep(0.25)
        yield near, far


def mount_sys() -> None:
    """Show the interfaces of this network namespace under /sys, in a mount namespace of this process's own."""
    _own_mounts()
    if _libc.mount(b"sysfs", b"/sys", b"sysfs", 0, None):
        raise OSError(ctypes.get_errno(), "mount /sys")


def hide(path: Path) -> None:
    """Make the file look empty to this process, in a mount namespace of its own."""
    _own_mounts()
    if _libc.mount(b"/dev/null", os.fsencode(path), None, 4096, None):  # MS_BIND
        raise OSError(ctypes.get_errno(), "bind")


def _own_mounts() -> None:
    if _libc.unshare(0x00020000) or _libc.mount(None, b"/", None, 0x4000 | (1 << 18), None):  # NEWNS; REC | PRIVATE
        raise OSError(ctypes.get_errno(), "unshare")


def received(name: str) -> tuple[int, int]:
    """Packets and bytes that the interface counted as received."""
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines():
        if line.strip().startswith(name + ":"):
            numbers = line.split(":")[1].split()
            return int(numbers[1]), int(numbers[0])
    raise LookupError(name)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("iov", ctypes.POINTER(_Iovec)),
        ("iov_length", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("sent", ctypes.c_uint))


class Sender:
    """Sends frames on an interface; what was prepared once can be sent again and again without Python in between."""

    def __init__(self, name: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(263, 20, 1)  # PACKET_QDISC_BYPASS
        self.socket.bind((name, 0))

    def send(self, frame: bytes) -> None:
        self.socket.send(frame)

    def prepare(self, frames: Sequence[bytes]) -> "Prepared":
        return Prepared(self.socket.fileno(), frames)

    def close(self) -> None:
        self.socket.close()


class Prepared:
    """Frames laid out for sendmmsg."""

    def __init__(self, fd: int, frames: Sequence[bytes]) -> None:
        self._fd, self.count = fd, len(frames)
        self._data = ctypes.create_string_buffer(b"".join(frames))
        self._iovecs, self._headers = (_Iovec * len(frames))(), (_Mmsghdr * len(frames))()
        place = ctypes.addressof(self._data)
        for number, frame in enumerate(frames):
            self._iovecs[number].base, self._iovecs[number].length = place, len(frame)
            self._headers[number].header.iov = ctypes.pointer(self._iovecs[number])
            self._headers[number].header.iov_length = 1
            place += len(frame)

    def send(self, times: int = 1) -> int:
        """Send all of them `times` times over; the number of frames sent."""
        size = ctypes.sizeof(_Mmsghdr)
        start = ctypes.addressof(self._headers)
        done = 0
        for _ in range(times):
            at = 0
            while at < self.count:
                want = min(_SEND_BATCH, self.count - at)
                sent = _libc.sendmmsg(self._fd, ctypes.c_void_p(start + at * size), want, 0)
                if sent < 0:
                    code = ctypes.get_errno()
                    if code in (105, 11):  # ENOBUFS, EAGAIN
                        continue
                    raise OSError(code, os.strerror(code))
                at += sent
            done += at
        return done


def _ip4(proto: int, src: bytes, dst: bytes, above: bytes) -> bytes:
    """A checked IPv4 header (a bridge with br_netfilter drops others) and what stands above it."""
    halves = struct.unpack("!HHHH", src + dst)
    total = 0x4500 + 20 + len(above) + (64 << 8 | proto) + sum(halves)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(above), 0, 0, 64, proto, ~total & 0xFFFF, src, dst) + above


def udp4(source: bytes, target: bytes, src: bytes, dst: bytes, sport: int, dport: int, payload: bytes) -> bytes:
    """An Ethernet frame with a UDP datagram (without UDP checksum)."""
    datagram = struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload
    return target + source + b"\x08\x00" + _ip4(17, src, dst, datagram)


def tcp4(
    source: bytes, target: bytes, src: bytes, dst: bytes, sport: int, dport: int, flags: int, payload: bytes
) -> bytes:
    """An Ethernet frame with a TCP segment (its checksum left out: nobody here looks at it)."""
    segment = struct.pack("!HHIIBBHHH", sport, dport, 1, 1, 0x50, flags, 65535, 0, 0) + payload
    return target + source + b"\x08\x00" + _ip4(6, src, dst, segment)
