"""MPEG transport streams over UDP (ISO/IEC 13818-1 section 2.4.3); behind RTP (RFC 2250) rtp.py reads them.

In: datagrams of a flow. Out: Reading("mpegts", {pids}), once for each direction, after PACKETS_MIN packets of 188 bytes
in a row each began as one does. Scrambled or not: the headers are open.
"""

from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, NotMine, Reading

SIZE = 188
PACKETS_MIN = 7  # what one datagram usually holds
STRANGERS_MAX = 3
PIDS_MAX = 16
_NULL = 0x1FFF


class Way(NamedTuple):
    """Packets in a row in one direction, and the streams in them; `told`: the reading was given."""

    packets: int = 0
    pids: tuple[int, ...] = ()
    told: bool = False


class State(NamedTuple):
    """Both directions, and datagrams that were something else."""

    up: Way = Way()
    down: Way = Way()
    strangers: int = 0


def pids(payload: bytes) -> list[int]:
    """The stream of each transport packet of a datagram that holds nothing else; [] where it holds something else."""
    if not payload or len(payload) % SIZE:
        return []
    found = []
    for at in range(0, len(payload), SIZE):
        sync, second, third, fourth = payload[at : at + 4]
        # no error indicated; adaptation field control 0 is reserved (section 2.4.3.3)
        if sync != 0x47 or second & 0x80 or not fourth & 0x30:
            return []
        found.append((second & 0x1F) << 8 | third)
    return found


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE where it is no transport stream, and when both directions were told."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    found = pids(chunk.data)
    if not found:
        strangers = state.strangers + 1
        return (NOT_MINE if strangers >= STRANGERS_MAX else state._replace(strangers=strangers)), ()
    way = state.up if chunk.up else state.down
    known = tuple(dict.fromkeys((*way.pids, *(pid for pid in found if pid != _NULL))))[:PIDS_MAX]
    way = Way(way.packets + len(found), known, way.told)
    tell = way.packets >= PACKETS_MIN and not way.told and bool(known)
    way = way._replace(told=way.told or tell)
    state = state._replace(up=way) if chunk.up else state._replace(down=way)
    reading = Reading("mpegts", {"pids": tuple(str(pid) for pid in known)})
    return (NOT_MINE if state.up.told and state.down.told else state), (reading,) if tell else ()
