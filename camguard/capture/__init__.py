"""Bytes in: live sources, and which interface to look at.

`open_source` gives the kernel ledger where the kernel has BPF for us, else a packet socket that counts in Python and
says what that costs. Capture files come from `pcap.frames` through `ledger.run`.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from camguard.errors import CaptureError
from camguard.events import FlowCount, Frame, Host, Interface


class Source(Protocol):
    """A live tap. Times are CLOCK_MONOTONIC seconds; nothing here blocks."""

    #: For the owner: "kernel ledger (exact)" or "packet socket".
    what: str
    #: One line: what this source cannot do. None for the kernel ledger.
    cost: str | None

    def filenos(self) -> tuple[int, ...]:
        """Descriptors to wait on; may change after `maintain`."""
        ...

    def read(self) -> list[Frame]:
        """The frames that are ready, a bounded number of them."""
        ...

    def collect(self, at: float) -> Iterable[FlowCount]:
        """Once a second: what every connection did since the last time, closed ones too. Made as they are taken, so
        that a flood of connections is never in memory at once: take them all before the next call."""
        ...

    def maintain(self, at: float) -> list[str]:
        """Once a second: takes up interfaces that came back; returns plain sentences of what changed."""
        ...

    def interfaces(self) -> list[Interface]:
        """The tapped interfaces, with what they carried and lost."""
        ...

    def counters(self) -> dict[str, int]:
        """Only growing numbers: socket-drops, flows-overflow, budget-spent, missed-reads, ..."""
        ...

    def set_hosts(self, hosts: Sequence[Host]) -> None:
        """Guard these cameras from now on (reload); needs no right."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def open_source(interfaces: Sequence[str], hosts: Sequence[Host]) -> Source:
    """The best tap this machine allows, opened while rights are held; CaptureError: one line with what to do."""
    from camguard.capture.bpf import NoLedger
    from camguard.capture.kernel import open_kernel

    try:
        return open_kernel(interfaces, hosts)
    except NoLedger as why:
        from camguard.capture.afpacket import open_socket

        return open_socket(interfaces, hosts, str(why))


def default_interface() -> str:
    """The interface of the default route (IPv4, else IPv6); CaptureError when there is none."""
    for name in (*_default_routes4(), *_default_routes6()):
        return name
    raise CaptureError("There is no default route, so camguard cannot guess where to look. Fix: --interface NAME")


def _default_routes4() -> list[str]:
    """/proc/net/route: interface, destination, gateway, flags, ..., metric (7th), mask (8th); lowest metric first."""
    rows = [line.split() for line in _lines("/proc/net/route")[1:]]
    found = [(int(row[6]), row[0]) for row in rows if len(row) > 7 and row[1] == row[7] == "00000000"]
    return [name for _metric, name in sorted(found)]


def _default_routes6() -> list[str]:
    """/proc/net/ipv6_route: destination, prefix length, ..., metric (6th, hex), ..., interface (10th)."""
    rows = [line.split() for line in _lines("/proc/net/ipv6_route")]
    found = [(int(row[5], 16), row[9]) for row in rows if len(row) > 9 and row[0] == "0" * 32 and row[1] == "00"]
    return [name for _metric, name in sorted(found) if name != "lo"]


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
