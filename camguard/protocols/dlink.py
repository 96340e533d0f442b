"""D-Link's peer-to-peer talk (mydlink), as far as it is plain: that two ends reach each other.

In: datagrams of a flow. Out: Reading("p2p", {maker: "mydlink", event, peer: None}), once each: punch (one end knocks),
ready (both did).

Source: captures, not a description: in the corpus' stream/ucl_dlink-cam_* (D-Link DCS-8000LH) camera and app knock with
25 bytes, 24 FF 00 15 and 21 more, at several ports of each other; then media comes as "$", channel, length, RTP (RTSP's
interleaved form, RFC 2326 section 10.12; rtp.py reads it).
"""

from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, NotMine, Reading

KNOCK, KNOCK_SIZE = b"\x24\xff\x00\x15", 25
STRANGERS_MAX = 3


class State(NamedTuple):
    """Who knocked; packets of something else."""

    up: bool = False
    down: bool = False
    strangers: int = 0


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE when both have knocked, or where it is something else."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    if len(chunk.data) != KNOCK_SIZE or not chunk.data.startswith(KNOCK):
        strangers = state.strangers + 1
        return (NOT_MINE if strangers >= STRANGERS_MAX else state._replace(strangers=strangers)), ()
    first = not state.up and not state.down
    state = state._replace(up=True) if chunk.up else state._replace(down=True)
    if state.up and state.down:
        return NOT_MINE, (_said("ready"),)
    return state, (_said("punch"),) if first else ()


def _said(event: str) -> Reading:
    return Reading("p2p", {"maker": "mydlink", "event": event, "peer": None})
