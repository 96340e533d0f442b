"""Reolink's peer-to-peer talk (BcUDP): who was sent to the camera.

In: datagrams of a flow. Out: Reading("p2p", {maker: "bcudp", event, peer}), once for each event and peer of a flow,
anew after a close: lookup (a camera is searched for), punch-to (a server names the client: peer), punch, ready, relay,
data, close.

Source: thirtythreeforty/neolink dissector/udp.md and crates/core/src/bcudp/{xml,xml_crypto,de}.rs: three kinds of
packets by their first four bytes; discovery carries XML behind a fixed and public mask. The messages between server and
camera are not in it: that they name the client as the others do (<cli><ip/><port/></cli>) is our reading (?).
"""

import re
import struct
from itertools import cycle

from camguard.events import Chunk
from camguard.protocols.makers import Talk, strange, tell
from camguard.protocols.text import NOT_MINE, NotMine, Reading

DISCOVERY, ACK, DATA = b"\x3a\xcf\x87\x2a", b"\x20\xcf\x87\x2a", b"\x10\xcf\x87\x2a"
STRANGERS_MAX = 3
XML_MAX = 2048
_MASK = (0x1F2D3C4B, 0x5A6C7F8D, 0x38172E4B, 0x8271635A, 0x863F1A2B, 0xA5C6F7D8, 0x8371E1B4, 0x17F2D3A5)
_TAG = re.compile(rb"<P2P>\s*<([A-Z0-9]{3}_[A-Z_]{1,8})>")
_CLIENT = re.compile(rb"<cli>\s*<ip>\s*(\d{1,3}(?:\.\d{1,3}){3})\s*</ip>\s*<port>\s*(\d{1,5})\s*</port>")
_EVENTS = {"C2D_S": "lookup", "C2M_Q": "lookup", "C2R_C": "lookup", "C2D_C": "punch", "C2D_T": "punch"}
_READY = ("D2C_C_R", "D2C_T", "D2C_CFM")


def read(talk: Talk | NotMine | None, chunk: Chunk) -> tuple[Talk | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE where the flow does not begin with this talk."""
    if isinstance(talk, NotMine):
        return NOT_MINE, ()
    talk = talk or Talk()
    found = _event(chunk.data)
    return strange(talk, STRANGERS_MAX) if found is None else tell(talk, "bcudp", *found)


def _event(data: bytes) -> tuple[str, str | None] | None:
    """Event ("" for one that tells nothing) and peer of a packet, None where it is another protocol's."""
    if len(data) < 20:
        return None
    if data[:4] == DATA:
        return ("data", None) if data[8:12] == b"\0\0\0\0" else None
    if data[:4] == ACK:
        return ("", None) if data[8:16] == bytes(8) else None
    if data[:4] != DISCOVERY or data[8:12] != b"\1\0\0\0":
        return None
    size, number = struct.unpack_from("<I4xI", data, 4)
    xml = unmasked(number, data[20 : 20 + min(size, XML_MAX)])
    tag = _TAG.match(xml.lstrip(b"\xef\xbb\xbf \r\n\t"))
    word = tag.group(1).decode() if tag else ""
    client = _CLIENT.search(xml)
    if client and all(int(part) < 256 for part in client.group(1).split(b".")) and 0 < int(client.group(2)) < 65536:
        return "punch-to", f"{client.group(1).decode()}:{client.group(2).decode()}"
    if word.endswith("_DISC"):
        return "close", None
    if b"<conn>relay</conn>" in xml:
        return "relay", None
    return ("ready" if word in _READY else _EVENTS.get(word, "")), None


def unmasked(number: int, data: bytes) -> bytes:
    """Discovery XML without (or with) its mask; `number`: the packet's transmission id (xml_crypto.rs)."""
    mask = b"".join(((word + number) & 0xFFFFFFFF).to_bytes(4, "little") for word in _MASK)
    return bytes(a ^ b for a, b in zip(data, cycle(mask), strict=False))
