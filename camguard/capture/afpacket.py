"""The packet socket: the tap where the kernel has no BPF for us. It counts in Python, which a fast link outruns.

Each interface has the ring of tap.py and a classic filter (filter.py) that keeps other people's traffic out; to change
it needs no right. Superpackets (GRO, TSO) come with the size of their segments (PACKET_VNET_HDR). What does not fit the
ring is counted as lost. Source: packet(7), linux/virtio_net.h.
"""

import ctypes
import errno
import mmap
import socket
import struct
import time
from collections.abc import Iterator, Sequence

from camguard.capture.filter import program
from camguard.capture.ledger import Ledger
from camguard.capture.tap import Tap, choose
from camguard.errors import CaptureError
from camguard.events import FlowCount, Frame, Host, Interface

#: A ring of 8 MiB an interface: 20 ms of as much as this can count.
_SLOTS = 4_096
#: Packets looked at in one `read` of one interface.
_AT_ONCE = 2_048
#: Bytes of a frame that come up: a slot of 2 KiB less the headers in it. Larger ones than 1,500 are cut.
_SNAP = 1_936

_ATTACH_FILTER = 26
_SOL_PACKET, _RX_RING, _VNET_HDR = 263, 5, 15
_SLOT, _BLOCK = 2_048, 256 * 1_024

_peek = struct.Struct("=I8xH").unpack_from  # of struct tpacket2_hdr: status, where the frame begins
_VNET_LENGTH = 10
_merged = struct.Struct("=xBxxH").unpack_from  # of struct virtio_net_hdr: kind, segment size
_READY = 1


class MergingTap(Tap):
    """A Tap whose frames say how the kernel merged them: a header before each frame has the size of the segments."""

    def __init__(self, name: str, number: int, steps: Sequence[tuple[int, int, int, int]]) -> None:
        super().__init__(name, number, lambda tap: attach(tap, steps), _BLOCK // _SLOT)
        # the header can only be asked for before the ring is made: once more, and larger
        self._ring.close()
        self.socket.setsockopt(_SOL_PACKET, _RX_RING, bytes(16))
        self.socket.setsockopt(_SOL_PACKET, _VNET_HDR, 1)
        self._slots = _SLOTS
        while True:
            size = self._slots * _SLOT
            ring = struct.pack("=IIII", _BLOCK, size // _BLOCK, _SLOT, self._slots)
            try:
                self.socket.setsockopt(_SOL_PACKET, _RX_RING, ring)
                break
            except OSError as error:
                if error.errno != errno.ENOMEM or size == _BLOCK:
                    self.socket.close()
                    raise
                self._slots //= 2
        self._ring = mmap.mmap(self.socket.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._next = 0

    def frames(self, most: int) -> Iterator[Frame]:
        ring = self._ring
        taken = super().frames(most)
        for _ in range(most):
            place = self._next * _SLOT
            status, start = _peek(ring, place)
            if not status & _READY:
                self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # as Tap.frames does at its end
                return
            kind, segment = _merged(ring, place + start - _VNET_LENGTH)
            frame = next(taken)
            yield frame._replace(gso_size=segment) if kind else frame


class PacketSocket:
    """A live Source that counts in Python (capture.Source)."""

    what = "packet socket"

    def __init__(self, interfaces: Sequence[str], hosts: Sequence[Host], cost: str) -> None:
        self.cost: str | None = cost
        self._ledger = Ledger(hosts)
        names, self._news = choose(interfaces)
        self._left_out = len(self._news)
        self._taps: list[MergingTap] = []
        try:
            steps = program(hosts, _SNAP)
            for number, name in enumerate(names):
                self._taps.append(MergingTap(name, number, steps))
        except BaseException:
            self.close()
            raise

    def set_hosts(self, hosts: Sequence[Host]) -> None:
        """Guard these cameras from now on: first the filter lets them through, then they are counted."""
        steps = program(hosts, _SNAP)
        for tap in self._taps:
            attach(tap.socket, steps)
        self._ledger.set_hosts(hosts)

    def filenos(self) -> tuple[int, ...]:
        return tuple(tap.socket.fileno() for tap in self._taps if tap.up)

    def read(self) -> list[Frame]:
        take = self._ledger.packet
        return [frame for tap in self._taps for frame in tap.frames(_AT_ONCE) if take(frame)]

    def collect(self, at: float) -> list[FlowCount]:
        return self._ledger.collect(at)

    def maintain(self, at: float) -> list[str]:
        news, self._news = self._news, []
        for tap in self._taps:
            news += tap.look_after()
        return news

    def interfaces(self) -> list[Interface]:
        return [tap.interface() for tap in self._taps]

    def counters(self) -> dict[str, int]:
        return {
            **self._ledger.counters(),
            "socket-drops": sum(tap.drops for tap in self._taps),
            "duplicate-interface": self._left_out,
        }

    def close(self) -> None:
        for tap in self._taps:
            tap.close()


def open_socket(interfaces: Sequence[str], hosts: Sequence[Host], why: str) -> PacketSocket:
    """The fallback tap; `why` is the sentence (reason, "Fix: ...") that says why there is no kernel ledger.

    CaptureError: one line with what to do.
    """
    reason, _, fix = why.partition(". Fix: ")
    cost = (
        f"Counting in Python, because {reason.rstrip('.')}: more than about {speed():,} packets a second will be lost "
        f"(losses are counted). For exact counting: {fix or 'kernel 5.19 or newer with CAP_BPF'}"
    )
    try:
        return PacketSocket(interfaces, hosts, cost)
    except PermissionError as error:
        raise CaptureError(
            "camguard may not look at network traffic. Fix: sudo camguard run (it gives every right up at once)"
        ) from error
    except OSError as error:
        if error.errno == errno.ENODEV:
            there = ", ".join(sorted(name for _index, name in socket.if_nameindex()))
            raise CaptureError(
                f"There is no interface {error.filename}. There are: {there}. Fix: --interface NAME"
            ) from error
        raise CaptureError(
            f"cannot look at {', '.join(interfaces)}: {error.strerror}. Fix: --interface NAME"
        ) from error


def speed() -> int:
    """Packets a second that this machine can count in half of a core, to one figure: measured on a few made-up ones.

    Half, because the ring holds 20 to 80 ms of traffic, and the rest of the guard and of the machine want their turn.
    """
    addresses = bytes.fromhex("020000000001 020000000002 0800")
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1028, 0, 0, 64, 17, 0, b"\x0a\x00\x00\x01", b"\x0a\x00\x00\x02")
    data = addresses + ip + struct.pack("!HHHH", 5000, 5001, 1008, 0) + bytes(1000)
    ledger = Ledger([Host(1, "", addresses[6:12], ())])
    begin = time.perf_counter()
    for number in range(500):
        ledger.packet(Frame(number / 1000, data, len(data)))
    each_s = (time.perf_counter() - begin) / 500 + 2e-6  # and the time to take it from the ring
    return int(float(f"{0.5 / each_s:.0e}"))


def attach(tap: socket.socket, steps: Sequence[tuple[int, int, int, int]]) -> None:
    """SO_ATTACH_FILTER, in place of the filter before; it needs no right."""
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    tap.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, struct.pack("@HP", len(steps), ctypes.addressof(buffer)))
