"""Dahua's peer-to-peer talk (PTCP, "PhonyTCP"), and the requests and punches that begin it.

In: datagrams of a flow. Out: Reading("p2p", {maker: "ptcp", event, peer}), once for each event and peer of a flow, anew
after a close:

- lookup: DHGET, DHPOST to the maker's servers; punch-to: a channel is asked for or granted, peer: the other end where
  it stands in clear (PubAddr); relay: an agent stands between (agentAddr);
- punch: a STUN request or answer with every bit turned round; ready: a PTCP connection; data: something goes through;
  close.

Source: khoanguyen-3fc/dh-p2p README.md, helpers.py, main.py, ptcp.lua: a 24-byte header that begins PTCP, then type and
length. Requests carry a digest: nothing but path words and these addresses is looked at.
"""

import re

from camguard.events import Chunk
from camguard.protocols.makers import Talk, strange, tell
from camguard.protocols.text import NOT_MINE, NotMine, Reading

STRANGERS_MAX = 3
TEXT_MAX = 2048  # bytes of a request that are looked at

#: Type of a body -> event (main.py, ptcp.lua): data, bind, status, heartbeat, and the signing that comes before.
_EVENTS = {0x00: "ready", 0x10: "data", 0x11: "ready", 0x19: "ready", 0x1A: "ready", 0x1B: "ready"}
#: A STUN binding request and answers turned round (main.py: data = b"\\xff\\xfe\\xff\\xe7" ...), by their attribute.
_PUNCHES = (b"\xff\xfe\xff\xe7", b"\xfe\xfe\xff\xe7", b"\xfe\xfe\xff\xf3")
_PUNCH_ATTRIBUTES = (b"\x7f\xd5\xff\xf7", b"\x7f\xd6\xff\xf7")
_ADDRESS = re.compile(rb"<(PubAddr|agentAddr)>(\d{1,3}(?:\.\d{1,3}){3}:\d{1,5})</")


def read(talk: Talk | NotMine | None, chunk: Chunk) -> tuple[Talk | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE where the flow does not begin with this talk."""
    if isinstance(talk, NotMine):
        return NOT_MINE, ()
    talk = talk or Talk()
    found = _packet(chunk.data) or _punch(chunk.data) or _request(chunk.data, talk.heard)
    return strange(talk, STRANGERS_MAX) if found is None else tell(talk, "ptcp", *found)


def _packet(data: bytes) -> tuple[str, str | None] | None:
    if len(data) < 24 or not data.startswith(b"PTCP"):
        return None
    body = data[24:]
    if body[:1] == b"\x12":  # CONN or DISC
        return ("close" if body[12:16] == b"DISC" else "ready"), None
    return _EVENTS.get(body[0], "") if body else "", None


def _punch(data: bytes) -> tuple[str, str | None] | None:
    fits = len(data) >= 32 and data[:4] in _PUNCHES and data[20:24] in _PUNCH_ATTRIBUTES
    return ("punch", None) if fits else None


def _request(data: bytes, heard: bool) -> tuple[str, str | None] | None:
    """Requests, and their answers where a request was heard before: others answer in HTTP over UDP as well."""
    if not data.startswith((b"DHGET /", b"DHPOST /")) and not (heard and data.startswith(b"HTTP/1.1 ")):
        return None
    text = data[:TEXT_MAX]
    found = _ADDRESS.search(text)
    peer = found.group(2).decode() if found and _is_address(found.group(2)) else None
    path = text.split(b" ", 2)[1] if data.startswith(b"DH") else b""
    if (found and found.group(1) == b"agentAddr") or b"/relay" in path:
        return "relay", peer
    if peer or b"/p2p-channel" in path:
        return "punch-to", peer
    return ("lookup" if path else ""), None


def _is_address(text: bytes) -> bool:
    address, _, port = text.partition(b":")
    return all(int(part) < 256 for part in address.split(b".")) and 0 < int(port) < 65536
