"""The kernel ledger: flows.bpf.o counts every byte of the cameras in the kernel; this reads the sums once a second.

Opened while CAP_NET_RAW and CAP_BPF are held; everything afterwards needs no right (kernel 5.19 or later). Loss is
never silent: what the ring loses, what finds the table full, frames not handed up for want of budget, and reads of the
table that failed are counters.
"""

import os
import re
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from camguard.capture.bpf import Loaded, Map, NoLedger, load
from camguard.capture.ledger import CAPACITY, THIN, THIN_IDLE_S, crowds, idle_s, shares
from camguard.capture.tap import Tap, choose
from camguard.errors import CaptureError
from camguard.events import FLOW_KEY, FlowCount, Frame, Host, Interface, pack_key

PROGRAM = Path(__file__).with_name("flows.bpf.o")
#: Slots of 2 KiB in the ring of each interface: what the budgets hand up in a quarter of a second.
_SLOTS = 1_024
#: Frames taken from the ring at a time: what is in it costs no memory of this process a second time.
_AT_ONCE = 64
#: MACs at the other ends that are kept as one object each; there are few, but a liar can make up many.
_MOST_MACS = 1_024
_ATTACH_BPF = 50
_BOOKS = 256

# struct flow of flows.bpf.c. The first eight numbers are what a second adds to.
_FLOW = struct.Struct("=QQQQIIIIQQQII2xBBBx4x6s")
_SUMS = 48
_PEEK = struct.Struct("=56xQ18xBBxBBB8x")  # last_ns, flags up, flags down, protocol, payload packets up, down
# struct book: the camera's sums; what has no entry; first, last; overflow, spent, malformed, created; first up, MAC
_BOOK = struct.Struct("=4Q6QQQ4Q18xBx6s6x")
_UNREAD = struct.Struct("=147xB12x")  # of a device of the owner's: counted, never handed up

#: The kernel's coarse clock is up to 10 ms behind; entries that were touched since the last read less this are read.
_SLACK_NS = 100_000_000
#: New one-packet connections told in one second; the rest (a flood) is told in the seconds after. What was told of each
#: must be kept: beyond so many in all, those of a flooded camera wait for their second packet, their end, or room.
_MOST_NEW = 3_072
_MOST_TOLD = 12_800
_MOST_GONE = 4_096
_NOTHING = bytes(_SUMS)
_NO_MAC = bytes(6)
_SUM = struct.Struct("=QQQQIIII").unpack


class KernelLedger:
    """A live Source whose numbers come from the kernel (capture.Source)."""

    what = "kernel ledger (exact)"
    cost: str | None = None

    def __init__(
        self, interfaces: Sequence[str], hosts: Sequence[Host], *, capacity: int = CAPACITY, program: Path | None = None
    ) -> None:
        names, self._news = choose(interfaces)
        self._left_out = len(self._news)
        self._capacity = capacity
        self._hosts: tuple[Host, ...] = ()
        self._told: dict[bytes, bytes] = {}
        self._macs: dict[bytes, bytes] = {_NO_MAC: b""}
        self._others: dict[int, tuple[int, ...]] = {}
        self._deleted: dict[int, int] = {}
        self._read_ns = 0
        self._waiting = False  # new connections wait to be told
        self._missed = 0
        self._past = [0, 0]  # overflow and spent of cameras that are guarded no longer
        self._taps: list[Tap] = []
        size = max(_BOOKS, 2 * len(hosts)) + 1
        self._size = size
        sizes = {"flows": capacity, "books": size, "rooms": size, "macs": size, "addresses": 4 * size}
        self._loaded = load(program or PROGRAM, "ledger", sizes, struct.pack("=Q", 1))
        self._flows, self._books, self._rooms = (self._loaded.maps[name] for name in ("flows", "books", "rooms"))
        try:
            self.set_hosts(hosts)
            for number, name in enumerate(names):
                self._taps.append(Tap(name, number, _attacher(self._loaded), _SLOTS))
        except BaseException:
            self.close()
            raise

    def set_hosts(self, hosts: Sequence[Host]) -> None:
        """Guard these cameras from now on; those that keep number, MAC and addresses keep their counts."""
        if len(hosts) >= self._size:
            raise CaptureError(f"room for {self._size - 1} cameras until camguard is started again")
        stay = [host for host in self._hosts if host in set(hosts)]
        for name in (
            "macs",
            "addresses",
        ):  # first nobody counts for them any more, else their traffic makes new entries
            _fill(self._loaded.maps[name], dict(_ends(stay, name)))
        self._forget({host.number for host in self._hosts if host not in stay})
        for host in hosts:
            if host not in stay and not host.read:
                self._books.put(struct.pack("=I", host.number), _UNREAD.pack(1))
        for name in ("macs", "addresses"):
            _fill(self._loaded.maps[name], dict(_ends(hosts, name)))
        routed = any(host.mac is None for host in hosts)
        self._loaded.maps[".bss"].put(bytes(4), struct.pack("=Q", routed))
        self._hosts = tuple(hosts)
        self._shares = shares(self._capacity, hosts)
        for host in hosts:
            self._deleted.setdefault(host.number, 0)
            self._give_room(host.number)

    def _give_room(self, number: int) -> None:
        self._rooms.put(struct.pack("=I", number), struct.pack("=QQ", self._deleted[number], self._shares[number]))

    def _forget(self, numbers: set[int]) -> None:
        """Empty the table of these cameras: their numbers get another meaning."""
        if not numbers:
            return
        for key in [key for key, _ in self._entries() if FLOW_KEY.unpack(key)[0] in numbers]:
            self._flows.delete(key)
            self._told.pop(key, None)
        for number in numbers:
            book = self._book(number)
            self._past = [self._past[0] + book[12], self._past[1] + book[13]]
            self._books.put(struct.pack("=I", number), bytes(self._books.value_size))
            self._others.pop(number, None)
            self._deleted[number] = 0

    def _entries(self) -> Iterator[tuple[bytes, bytes]]:
        """Every entry of the table: key, value."""
        for keys, values in self._flows.batches():
            for place in range(len(keys) // 24):
                yield bytes(keys[place * 24 : place * 24 + 24]), bytes(values[place * 96 : place * 96 + 96])

    def filenos(self) -> tuple[int, ...]:
        return tuple(tap.socket.fileno() for tap in self._taps if tap.up)

    def read(self) -> list[Frame]:
        return [frame for tap in self._taps for frame in tap.frames(_AT_ONCE)]

    def collect(self, at: float) -> Iterator[FlowCount]:
        over: list[bytes] = []
        try:
            yield from self._read_flows(at, over)
            yield from self._take_away(at, over)
            yield from self._collect_others(at)
        except OSError:
            self._missed += 1  # nothing is lost: the next read has the sums

    def _read_flows(self, at: float, over: list[bytes]) -> Iterator[FlowCount]:
        """Read the table: the differences, and into `over` the keys of what is to be forgotten."""
        now_ns = time.monotonic_ns()
        since_ns = self._read_ns - _SLACK_NS
        crowded, flooded = self._crowds()
        new = 0
        told = self._told
        behind = self._waiting and len(told) < _MOST_TOLD
        self._waiting = self._waiting and not behind
        alike: dict[bytes, bytes] = {}
        for keys, values in self._flows.batches():
            for place, (last_ns, flags_up, flags_down, proto, up, down) in enumerate(_PEEK.iter_unpack(values)):
                if last_ns < since_ns:  # nothing new; is it over?
                    idle = (now_ns - last_ns) / 1e9
                    if len(over) < _MOST_GONE and (
                        idle > idle_s(proto, flags_up, flags_down)
                        or (
                            crowded
                            and up + down <= THIN
                            and idle > THIN_IDLE_S
                            and bytes(keys[place * 24 : place * 24 + 2]) in crowded
                        )
                    ):
                        over.append(bytes(keys[place * 24 : place * 24 + 24]))
                        continue
                    if not behind:
                        continue
                key = bytes(keys[place * 24 : place * 24 + 24])
                sums = bytes(values[place * 96 : place * 96 + _SUMS])
                before = told.get(key, _NOTHING)
                if before == sums:
                    continue
                if before is _NOTHING and up + down <= THIN:
                    new += 1
                    if new > _MOST_NEW or (len(told) >= _MOST_TOLD and key[:2] in flooded):
                        self._waiting = True
                        continue
                    sums = alike.setdefault(sums, sums)  # the entries of a flood are all the same
                told[key] = sums
                yield self._count(key, bytes(values[place * 96 : place * 96 + 96]), before, at, False)
        self._read_ns = now_ns

    def _count(self, key: bytes, value: bytes, before: bytes, at: float, closed: bool) -> FlowCount:
        """The difference between an entry and what was told of it before."""
        (
            wire_up, wire_down, payload_up, payload_down, packets_up, packets_down, pauses, dry,
            first_ns, last_ns, _payload_ns, largest_up, _last, flags_up, flags_down, first_up, mac,
        ) = _FLOW.unpack(value)  # fmt: skip
        w_up, w_down, p_up, p_down, n_up, n_down, pauses_before, dry_before = _SUM(before)
        if mac not in self._macs and len(self._macs) < _MOST_MACS:
            self._macs[mac] = mac
        return FlowCount(
            key, at, first_ns / 1e9, last_ns / 1e9, wire_up - w_up, wire_down - w_down, payload_up - p_up,
            payload_down - p_down, (packets_up - n_up) & 0xFFFFFFFF, (packets_down - n_down) & 0xFFFFFFFF,
            (pauses - pauses_before) & 0xFFFFFFFF, (dry - dry_before) & 0xFFFFFFFF, largest_up, flags_up, flags_down,
            bool(first_up), self._macs.get(mac, mac), closed,
        )  # fmt: skip

    def _crowds(self) -> tuple[set[bytes], set[bytes]]:
        """The hosts that must make room, and those that use more than half of their share, as their keys begin."""
        used = {host.number: self._book(host.number)[15] - self._deleted[host.number] for host in self._hosts}
        crowded = crowds(self._hosts, used, self._shares, self._capacity)
        flooded = {number for number, count in used.items() if count > self._shares[number] // 2}
        return {struct.pack("=H", number) for number in crowded}, {struct.pack("=H", number) for number in flooded}

    def _take_away(self, at: float, keys: list[bytes]) -> Iterator[FlowCount]:
        """Forget these connections; the last word of each."""
        touched = set()
        for key in keys:
            value = self._flows.pop(key)
            if value is None:
                continue
            number = FLOW_KEY.unpack(key)[0]
            self._deleted[number] = self._deleted.get(number, 0) + 1
            touched.add(number)
            yield self._count(key, value, self._told.pop(key, _NOTHING), at, True)
        for number in touched:
            self._give_room(number)

    def _book(self, number: int) -> tuple[int, ...]:
        return _BOOK.unpack(self._books.get(struct.pack("=I", number)) or bytes(_BOOK.size))

    def _collect_others(self, at: float) -> Iterator[FlowCount]:
        """What the cameras did outside the table, under their zero keys."""
        for host in self._hosts:
            book = self._book(host.number)
            sums, before = book[4:10], self._others.get(host.number, (0,) * 6)
            if sums == before:
                continue
            self._others[host.number] = sums
            wire_up, wire_down, payload_up, payload_down, up, down = (a - b for a, b in zip(sums, before, strict=True))
            mac: bytes = book[17]  # type: ignore[assignment] # the last field of a book
            yield FlowCount(
                pack_key(host.number, 0, 0, 0, bytes(4)), at, book[10] / 1e9, book[11] / 1e9, wire_up, wire_down,
                payload_up, payload_down, up, down, 0, 0, 0, 0, 0, bool(book[16]), mac, False,
            )  # fmt: skip

    def totals(self) -> dict[int, tuple[int, int, int, int]]:
        """Of each camera since the start, whatever became of its connections: wire bytes up, down, packets up, down."""
        return {host.number: self._book(host.number)[:4] for host in self._hosts}  # type: ignore[misc]

    def maintain(self, at: float) -> list[str]:
        news, self._news = self._news, []
        for tap in self._taps:
            news += tap.look_after()
        return news

    def interfaces(self) -> list[Interface]:
        return [tap.interface() for tap in self._taps]

    def counters(self) -> dict[str, int]:
        books = [self._book(number) for number in (0, *(host.number for host in self._hosts))]
        return {
            "socket-drops": sum(tap.drops for tap in self._taps),
            "flows-overflow": self._past[0] + sum(book[12] for book in books),
            "budget-spent": self._past[1] + sum(book[13] for book in books),
            "malformed": books[0][14],
            "missed-reads": self._missed,
            "duplicate-interface": self._left_out,
        }

    def close(self) -> None:
        for tap in self._taps:
            tap.close()
        self._loaded.close()


def open_kernel(interfaces: Sequence[str], hosts: Sequence[Host]) -> KernelLedger:
    """The kernel ledger on these interfaces. NoLedger: a packet socket may do; CaptureError: nothing will."""
    check_machine(sys.maxsize, os.uname().release)
    there = sorted(name for _index, name in socket.if_nameindex())
    for name in interfaces:
        if name not in there:
            raise CaptureError(f"There is no interface {name}. There are: {', '.join(there)}. Fix: --interface NAME")
    try:
        return KernelLedger(interfaces, hosts)
    except PermissionError:
        raise CaptureError(
            "camguard may not look at network traffic. Fix: sudo camguard run (it gives every right up at once)"
        ) from None
    except NoLedger:
        raise
    except OSError as error:
        raise NoLedger(f"the kernel ledger does not start here ({error.strerror}). Fix: see docs/limits.md") from error


def check_machine(largest: int, release: str) -> None:
    """CaptureError on a 32-bit system; NoLedger before kernel 5.19, where maps cannot be read without CAP_BPF: camguard
    keeps no right while it reads strangers' bytes."""
    if largest < 2**32:
        raise CaptureError("camguard needs a 64-bit system. Fix: install the 64-bit Raspberry Pi OS or Debian")
    numbers = re.match(r"(\d+)\.(\d+)", release)
    if numbers and (int(numbers[1]), int(numbers[2])) < (5, 19):
        raise NoLedger(f"this kernel is {release}, older than 5.19. Fix: a newer kernel")


def _attacher(loaded: Loaded) -> Callable[[socket.socket], None]:
    def attach(tap: socket.socket) -> None:
        tap.setsockopt(socket.SOL_SOCKET, _ATTACH_BPF, loaded.program)

    return attach


def _ends(hosts: Sequence[Host], name: str) -> Iterator[tuple[bytes, bytes]]:
    """What stands in the map `macs` or `addresses`: a camera's end of a packet -> its number."""
    for host in hosts:
        number = struct.pack("=I", host.number)
        if name == "macs" and host.mac is not None:
            yield host.mac, number
        elif name == "addresses" and host.mac is None:
            for ip in host.ips:
                yield ip.ljust(16, b"\0"), number


def _fill(target: Map, wanted: dict[bytes, bytes]) -> None:
    """Make the map hold this and nothing else."""
    size = target.key_size
    there = [bytes(keys[at : at + size]) for keys, _ in target.batches() for at in range(0, len(keys), size)]
    for key in there:
        if key not in wanted:
            target.delete(key)
    for key, value in wanted.items():
        target.put(key, value)
