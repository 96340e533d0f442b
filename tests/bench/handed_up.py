"""What a handed-up packet costs: decoded, put in order, offered to all readers and detectors; and scapy, which dissects
the same packet, in the same process. The packets are those that the ledger hands up of the golden captures."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scapy.layers.l2 import Ether

from camguard import config
from camguard.capture import ledger
from camguard.capture.pcap import frames
from camguard.events import Frame, hosts_of
from camguard.guard import Guard
from camguard.places import Places

CASES = sorted((Path(__file__).resolve().parents[1] / "golden").glob("*/input.pcap"))
ROUNDS = 5


def lines() -> Iterator[str]:
    """Rows of the table."""
    talk = [frame.data for case in CASES for frame in handed_up(case)]
    own_us, scapy_us = best(lambda: sum(map(fed_s, CASES))), best(lambda: dissected_s(talk))
    own_us, scapy_us = own_us / len(talk), scapy_us / len(talk)
    yield f"| A packet that is handed up (one of {len(talk):,} of the golden captures) | us of CPU | times the guard |\n|---|---|---|\n"  # noqa: E501
    yield f"| **the guard: decoded, put in order, all readers, all detectors** | **{own_us:.1f}** | 1 |\n"
    yield f"| scapy: `Ether(packet)`, dissected and no more | {scapy_us:.1f} | {scapy_us / own_us:.1f} |\n\n"


def handed_up(case: Path) -> list[Frame]:
    """The packets of a capture that the ledger hands up."""
    hosts = hosts_of(config.load(case.with_name("config.toml")).home)
    return [item for item in ledger.run(frames(case), hosts) if isinstance(item, Frame)]


def fed_s(case: Path) -> float:
    """CPU seconds of all handed-up packets of a capture; what is counted goes in as well, and is not measured."""
    home = config.load(case.with_name("config.toml")).home
    guard, spent_s = Guard(home, Places()), 0.0
    for item in list(ledger.run(frames(case), hosts_of(home))):
        if not isinstance(item, Frame):
            guard.feed(item)
            guard.tick(item.at)
            continue
        began = time.process_time_ns()
        guard.feed(item)
        spent_s += (time.process_time_ns() - began) / 1e9
    return spent_s


def dissected_s(talk: list[bytes]) -> float:
    """CPU seconds of scapy."""
    began = time.process_time_ns()
    for data in talk:
        Ether(data)
    return (time.process_time_ns() - began) / 1e9


def best(measure: Callable[[], float]) -> float:
    """Microseconds: the least of some rounds."""
    return min(measure() for _ in range(ROUNDS)) * 1e6
