"""The corpus of real captures as the readers get it: ordered bytes of TCP connections, payloads of UDP.

CAMGUARD_CORPUS names the folder, else ../shared/corpus beside the project; where it is absent the tests are skipped.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from camguard.capture import pcap
from camguard.decode import decode
from camguard.errors import Malformed
from camguard.events import TCP, UDP, Chunk, Packet
from camguard.track import Flows

CORPUS = Path(os.environ.get("CAMGUARD_CORPUS") or Path(__file__).parents[3] / "shared" / "corpus")


@cache
def truth() -> dict[str, dict[str, Any]]:
    """What tshark read in each capture, by the capture's name; empty where the corpus is absent."""
    path = CORPUS / "truth.json"
    return json.loads(path.read_text())["files"] if path.exists() else {}


Ends = tuple[bytes, int, bytes, int]


class Said(NamedTuple):
    """Ordered TCP bytes of one connection: `ends` as the sender of its first packet sees them."""

    ends: Ends
    chunk: Chunk


def packets(name: str) -> Iterator[Packet]:
    for frame in pcap.frames(CORPUS / name):
        try:
            yield decode(frame)
        except Malformed:
            continue


def datagrams(name: str) -> Iterator[Packet]:
    return (p for p in packets(name) if p.proto == UDP and p.payload and p.fragment is None)


def dialogues(name: str) -> Iterator[Said]:
    """`up` is the side that answers (the camera of an ordinary viewing). Holes are told after a second, as live."""
    flows, known = Flows(), dict[bytes, Ends]()
    second = None
    for packet in packets(name):
        if second is not None and int(packet.at) != second:
            yield from (Said(known[flow.key], Chunk(up, data, gap)) for flow, up, data, gap in flows.late())
        second = int(packet.at)
        if packet.proto != TCP or packet.fragment is not None:
            continue
        ends = (packet.src, packet.sport, packet.dst, packet.dport)
        up = key_of(ends) not in known and key_of(ends[2:] + ends[:2]) in known
        if up:
            ends = ends[2:] + ends[:2]
        known[key_of(ends)] = ends
        for data, gap in flows.content(key_of(ends), up, packet)[1]:
            yield Said(ends, Chunk(up, data, gap))
    yield from (Said(known[flow.key], Chunk(up, data, gap)) for flow, up, data, gap in flows.late())


def key_of(ends: Ends) -> bytes:
    """Any 24 bytes of its own will do for a connection."""
    return hashlib.blake2b(repr(ends).encode(), digest_size=24).digest()
