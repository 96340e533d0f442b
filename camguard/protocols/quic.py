"""QUIC (RFC 9000, 9001; version 2: RFC 9369): the name a client asks for, in the Initial packets that begin it.

In: the datagrams of a UDP flow. Out: Reading("quic-hello", {sni, alpn, ja4, ech, version}), once (hello.py says what
these are); then the reader wants no more. Initial packets hide nothing: their keys are made of a connection id in the
first one (RFC 9001 section 5.2). The hello may be split over frames and packets, in any order. After a Retry or with
another version the client's next packet has new keys; each packet is tried with the id that it names, and with the
first one. Drafts 23 to 34 differ in one number only and are read; Google's older QUIC is not.

`cryptography` is imported at the first Initial packet: a home without QUIC does not pay its memory.
"""

import hmac
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

from camguard.errors import Malformed
from camguard.events import Chunk
from camguard.protocols.hello import client_hello
from camguard.protocols.text import NOT_MINE, NotMine, Reading

DATAGRAMS_CAP = 10  # of a flow, both ways; a hello takes one or two, Retry and version negotiation some more
PACKETS_CAP = 4  # Initial packets of one datagram; real ones have one
HELLO_CAP = 16 * 1024  # bytes of a hello, and of all its pieces together
PIECES_CAP = 128  # Chrome cuts a hello into some twenty
FRAMES_CAP = 512  # of one packet, padding not counted
_V2 = 0x6B3343CF
#: First version of each kind -> what keys are salted with: RFC 9001 section 5.2, RFC 9369 section 3.3.1, the drafts'.
_SALTS = {
    1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    _V2: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
    0xFF000017: bytes.fromhex("c3eef712c72ebb5a11a7d2432bb46365bef9f502"),  # draft-ietf-quic-tls-23 to -28
    0xFF00001D: bytes.fromhex("afbfec289993d24c9e9786f19c6111e04390a899"),  # -29 to -32
}
_NAMES = {1: "1", _V2: "2"}


class Keys(NamedTuple):
    """What opens the client's Initial packets: AES-128 key, nonce base, header protection key."""

    key: bytes
    iv: bytes
    hp: bytes


class State(NamedTuple):
    """Datagrams so far, the connection id of the first Initial packet, and pieces of the client's hello by offset."""

    seen: int = 0
    dcid: bytes = b""
    pieces: tuple[tuple[int, bytes], ...] = ()


class Initial(NamedTuple):
    """An Initial packet as it stands in a datagram; `data` from its first byte on, `at`: its packet number."""

    version: int
    dcid: bytes
    data: bytes
    at: int


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed one datagram; NOT_MINE with the reading, or when this is no QUIC or says no name early enough."""
    if isinstance(state, NotMine) or (state is None and not _may_begin(chunk.data)):
        return NOT_MINE, ()
    state = state or State()
    try:
        for packet in _initials(chunk.data):
            state = state._replace(dcid=state.dcid or packet.dcid)
            for dcid in dict.fromkeys((packet.dcid, state.dcid)):
                plain = _open(packet, initial_keys(packet.version, dcid))
                if plain is not None:
                    state = state._replace(pieces=_keep(state.pieces, plain))
                    break
            hello = _joined(state.pieces)
            if hello is not None:
                said = client_hello(hello, "q")
                if said is None:
                    raise Malformed("quic-hello")
                detail = {**said._asdict(), "version": version_name(packet.version)}
                return NOT_MINE, (Reading("quic-hello", detail, from_server=False),)
    except Malformed as error:
        return NOT_MINE, (Reading("odd", {"name": str(error)}),)
    state = state._replace(seen=state.seen + 1)
    return (state if state.seen < DATAGRAMS_CAP else NOT_MINE), ()


def version_name(version: int) -> str:
    """ "1", "2" or "draft-29"."""
    return _NAMES.get(version) or f"draft-{version & 0xFF}"


def initial_keys(version: int, dcid: bytes) -> Keys:
    """The client's keys (RFC 9001 section 5.2); `version` is one that is known."""
    secret = hmac.new(_salt(version) or b"", dcid, sha256).digest()
    secret = _expand(secret, b"client in", 32)
    word = b"quicv2 " if version == _V2 else b"quic "
    return Keys(
        _expand(secret, word + b"key", 16), _expand(secret, word + b"iv", 12), _expand(secret, word + b"hp", 16)
    )


def _expand(secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label of at most one hash (RFC 8446 section 7.1, RFC 5869 section 2.3)."""
    info = size.to_bytes(2, "big") + bytes([6 + len(label)]) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\1", sha256).digest()[:size]


def _salt(version: int) -> bytes | None:
    """None for versions that are not read. Drafts 33 and 34 have version 1's."""
    if 0xFF000017 <= version <= 0xFF000022:
        version = 0xFF000017 if version < 0xFF00001D else 0xFF00001D if version < 0xFF000021 else 1
    return _SALTS.get(version)


def _may_begin(data: bytes) -> bool:
    """Whether a flow can begin so: a long header of a known version, or of one that asks for negotiation (RFC 9000
    section 15: 0x?a?a?a?a)."""
    version = int.from_bytes(data[1:5], "big")
    known = _salt(version) is not None or version & 0x0F0F0F0F == 0x0A0A0A0A
    return len(data) > 5 and data[0] & 0x80 != 0 and known


def _initials(data: bytes) -> Iterator[Initial]:
    """The Initial packets of a datagram, other long packets before or between them or not (RFC 9000 section 12.2)."""
    for _ in range(PACKETS_CAP):
        if len(data) < 7 or not data[0] & 0x80:
            return
        version = int.from_bytes(data[1:5], "big")
        dcid, at = data[6 : 6 + data[5]], 6 + data[5]
        at += 1 + (data[at] if at < len(data) else 0)
        kind = data[0] >> 4 & 3
        kind = (kind - 1) & 3 if version == _V2 else kind  # RFC 9369 section 3.2
        if _salt(version) is None or len(dcid) > 20 or at >= len(data) or kind == 3:
            return  # an unknown version, or a Retry, which has no length
        if kind == 0:
            size, at = _varint(data, at)  # a token
            at += size
        size, at = _varint(data, at)
        end = at + size
        if end > len(data):
            return
        if kind == 0:
            yield Initial(version, dcid, data[:end], at)
        data = data[end:]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length and the offset behind it (RFC 9000 section 16)."""
    if at >= len(data):
        raise Malformed("quic-number")
    size = 1 << (data[at] >> 6)
    if at + size > len(data):
        raise Malformed("quic-number")
    return int.from_bytes(data[at : at + size], "big") & ((1 << (8 * size - 2)) - 1), at + size


def _open(packet: Initial, keys: Keys) -> bytes | None:
    """The frames of an Initial packet (RFC 9001 sections 5.3, 5.4), None where these are not its keys."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    data, at = packet.data, packet.at
    if len(data) < at + 20:
        return None
    mask = Cipher(algorithms.AES(keys.hp), modes.ECB()).encryptor().update(data[at + 4 : at + 20])  # noqa: S305
    first = data[0] ^ (mask[0] & 0x0F)
    body = at + (first & 3) + 1
    number = bytes(a ^ b for a, b in zip(data[at:body], mask[1:], strict=False))
    nonce = int.from_bytes(keys.iv, "big") ^ int.from_bytes(number, "big")  # a client's first numbers are never cut off
    try:
        return AESGCM(keys.key).decrypt(nonce.to_bytes(12, "big"), data[body:], bytes([first]) + data[1:at] + number)
    except InvalidTag:
        return None


def _keep(pieces: tuple[tuple[int, bytes], ...], plain: bytes) -> tuple[tuple[int, bytes], ...]:
    """The pieces with those of a packet's CRYPTO frames (RFC 9000 section 19; of others only their length counts)."""
    at, kept = 0, list(pieces)
    for _ in range(FRAMES_CAP):
        while at < len(plain) and plain[at] == 0:  # padding
            at += 1
        if at == len(plain):
            break
        kind = plain[at]
        at += 1
        if kind in (2, 3):
            at = _behind_ack(plain, at, kind)
        elif kind == 6:
            offset, at = _varint(plain, at)
            size, at = _varint(plain, at)
            if at + size > len(plain):
                raise Malformed("quic-crypto")
            kept.append((offset, plain[at : at + size]))
            at += size
        elif kind == 0x1C:  # the connection is closed
            break
        elif kind != 1:
            raise Malformed("quic-frame")
    if len(kept) > PIECES_CAP or sum(len(piece) for _, piece in kept) > HELLO_CAP:
        raise Malformed("quic-pieces")
    return tuple(kept)


def _behind_ack(plain: bytes, at: int, kind: int) -> int:
    """The offset behind an ACK frame (RFC 9000 section 19.3)."""
    _, at = _varint(plain, at)
    _, at = _varint(plain, at)
    ranges, at = _varint(plain, at)
    for _ in range(min(1 + 2 * ranges + (3 if kind == 3 else 0), len(plain))):
        _, at = _varint(plain, at)
    return at


def _joined(pieces: tuple[tuple[int, bytes], ...]) -> bytes | None:
    """The body of the ClientHello, None as long as a part of it is missing."""
    hello = b""
    for offset, piece in sorted(pieces):
        if offset > len(hello):
            break
        hello += piece[len(hello) - offset :]
    if hello and hello[0] != 1:
        raise Malformed("quic-hello")
    size = int.from_bytes(hello[1:4], "big")
    return hello[4 : 4 + size] if len(hello) >= 4 and len(hello) >= 4 + size else None
