"""What the readers of makers' peer-to-peer talk share (pppp.py, ptcp.py, bcudp.py): what was told of a flow."""

from typing import NamedTuple

from camguard.protocols.framing import remember
from camguard.protocols.text import NOT_MINE, NotMine, Reading

TOLD_MAX = 16


class Talk(NamedTuple):
    """Events and peers that were told; whether this talk was heard, and how much else before it."""

    told: tuple[tuple[str, str | None], ...] = ()
    heard: bool = False
    strangers: int = 0


def strange(talk: Talk, most: int) -> tuple[Talk | NotMine, tuple[Reading, ...]]:
    """A message of something else; after `most` of them before the first of ours the flow is not ours."""
    strangers = talk.strangers + (not talk.heard)
    return (NOT_MINE if strangers >= most else talk._replace(strangers=strangers)), ()


def tell(
    talk: Talk, maker: str, event: str, peer: str | None, from_server: bool | None = None
) -> tuple[Talk, tuple[Reading, ...]]:
    """A message of ours; `event` "" where it tells nothing. After a close all is told anew, but a second close."""
    talk = talk._replace(heard=True)
    told = remember(talk.told, (event, peer), TOLD_MAX) if event else None
    if told is None:
        return talk, ()
    if event == "close" or ("close", None) in told:
        told = told[-1:]
    return talk._replace(told=told), (Reading("p2p", {"maker": maker, "event": event, "peer": peer}, from_server),)
