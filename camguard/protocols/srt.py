"""SRT (draft-sharabayko-srt-01): who calls whom for a live stream over UDP, and that data flows.

In: datagrams of a flow. Out: Reading("srt", {stage, caller, encrypted}), once for each stage: "induction",
"conclusion", "agreement", "rendezvous", "rejected", "data". caller: it is the camera who calls, None where both do;
encrypted: a key was asked for; "data": a data packet went to a socket that a handshake named. The stream id, which may
hold names and passwords, is not looked at. Sections: 3.2.1 (handshake), 3.1 (data packet), 4.3 (who sends what).
"""

import struct
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, NotMine, Reading

STRANGERS_MAX = 3  # packets of something else before a handshake
WAITING_MAX = 64  # packets after it without data for its sockets
_HANDSHAKE = struct.Struct(">HHIIIIHHIIIiII")
_STAGES = {0: "rendezvous", 1: "induction", -1: "conclusion", -2: "agreement"}
#: Section 3.2.1.1, table 7: what a listener says that wants no call; applications may use 2000 to 3999.
_REJECTED = range(1000, 4000)
_MAGIC = 0x4A17  # a listener's answer to an induction (section 4.3.1.1)


class Handshake(NamedTuple):
    """One handshake packet; `asks`: its sender calls, None where that is not said; `socket`: the sender's own."""

    stage: str
    asks: bool | None
    encrypted: bool
    socket: int


class State(NamedTuple):
    """Sockets that handshakes named, who calls, what was told, packets of no use since."""

    sockets: tuple[int, ...] = ()
    caller: bool | None = None
    encrypted: bool = False
    told: tuple[str, ...] = ()
    strangers: int = 0


def handshake(payload: bytes) -> Handshake | None:
    """The handshake that `payload` is, None where it is none."""
    if len(payload) < 64:
        return None
    kind, subtype, specific, _, _, version, cipher, extension, _, mtu, window, word, socket, _ = _HANDSHAKE.unpack_from(
        payload
    )
    stage = _STAGES.get(word) or ("rejected" if word in _REJECTED else None)
    plain = kind == 0x8000 and subtype == 0 and specific == 0 and version in (4, 5) and cipher in (0, 2, 3, 4)
    if stage is None or not plain or not 76 <= mtu <= 65535 or not 0 < window < 1 << 24:
        return None
    target = int.from_bytes(payload[12:16], "big")
    asks: bool | None = None
    if stage == "induction":  # a caller knows no socket yet, a listener shows that it speaks SRT
        asks = target == 0 and extension != _MAGIC
    elif stage == "rejected":
        asks = False
    return Handshake(
        stage, asks, bool(cipher) or (version == 5 and stage != "induction" and bool(extension & 2)), socket
    )


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE where no handshake comes, and when data was told."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    found = handshake(chunk.data)
    if found is None:
        target = int.from_bytes(chunk.data[12:16], "big")
        if state.sockets and len(chunk.data) > 16 and not chunk.data[0] & 0x80 and target in state.sockets:
            return NOT_MINE, (_reading(state, "data", None),)
        strangers = state.strangers + 1
        most = WAITING_MAX if state.sockets else STRANGERS_MAX
        return (NOT_MINE if strangers >= most else state._replace(strangers=strangers)), ()
    caller = state.caller
    if found.asks is not None:
        caller = found.asks == chunk.up
    sockets = state.sockets if found.socket in (0, *state.sockets) else (*state.sockets, found.socket)[-4:]
    state = state._replace(sockets=sockets, caller=caller, encrypted=state.encrypted or found.encrypted, strangers=0)
    # an answer of the same stage is told only where it says something else
    if found.stage in state.told:
        return state, ()
    server = None if caller is None else caller != chunk.up
    return state._replace(told=(*state.told, found.stage)), (_reading(state, found.stage, server),)


def _reading(state: State, stage: str, from_server: bool | None) -> Reading:
    return Reading("srt", {"stage": stage, "caller": state.caller, "encrypted": state.encrypted}, from_server)
