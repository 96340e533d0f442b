"""The ClientHello of TLS (RFC 8446 section 4.1.2), DTLS (RFC 9147 section 5.3) and QUIC (RFC 9001): whom a client asks
for, and with what program.

In: the body of one ClientHello, behind its handshake header. Out: `Hello`, None where its lengths lie. With Encrypted
Client Hello the name is the outer one, which names the hosting company only; a browser may send the extension as a
decoy (RFC 9849 section 6.2), and nobody outside can tell.

JA4 says which TLS program asks: FoxIO, github.com/FoxIO-LLC/ja4, technical_details/JA4.md (BSD 3-Clause; of the JA4
family only this one is free of FoxIO's own licence). GREASE values (RFC 8701) are passed over everywhere. Where the
first ALPN name is not ASCII the document is followed, not FoxIO's programs, which print "99".
"""

import re
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Literal, NamedTuple

from camguard.protocols.text import printable

ALPN_CAP = 8  # names kept
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_SERVER_NAME, _SIGNATURES, _ALPN, _VERSIONS = 0, 13, 16, 43
#: encrypted_client_hello (RFC 9849 section 5), and encrypted_server_name of its early drafts.
_HIDDEN = {0xFE0D, 0xFFCE}
_JA4_VERSIONS = {
    0x0304: "13",
    0x0303: "12",
    0x0302: "11",
    0x0301: "10",
    0x0300: "s3",
    0x0002: "s2",
    0xFEFF: "d1",
    0xFEFD: "d2",
    0xFEFC: "d3",
}


class Hello(NamedTuple):
    """`sni`: server name, lower case, None where there is none or none that can be one; `alpn`: the protocols offered;
    `ech`: the true name is encrypted. `_asdict()` is the detail of a Reading."""

    sni: str | None
    alpn: tuple[str, ...]
    ja4: str
    ech: bool


def client_hello(body: bytes, transport: Literal["t", "q", "d"]) -> Hello | None:
    """Take apart a ClientHello's body; `transport` as in JA4: TLS over TCP, QUIC, DTLS."""
    at = 34  # version and random
    widths = (1, 1, 2, 1) if transport == "d" else (1, 2, 1)  # session id, DTLS: cookie, cipher suites, compression
    fields: list[bytes] = []
    for width in widths:
        taken = vector(body, at, width)
        if taken is None:
            return None
        fields.append(taken[0])
        at = taken[1]
    kinds: list[int] = []
    found: dict[int, bytes] = {}
    if at < len(body):  # TLS 1.2 and older may have no extensions
        extensions = vector(body, at, 2)
        if extensions is None:
            return None
        data, at = extensions[0], 0
        while at < len(data):
            taken = vector(data, at + 2, 2)
            if taken is None:
                return None
            kinds.append(int.from_bytes(data[at : at + 2], "big"))
            found.setdefault(kinds[-1], taken[0])
            at = taken[1]
    names = list(_alpn(found.get(_ALPN, b"")))
    versions = list(_numbers(found.get(_VERSIONS, b"")[1:])) or [int.from_bytes(body[:2], "big")]
    return Hello(
        _server_name(found.get(_SERVER_NAME, b"")),
        tuple(printable(name.decode("latin-1"), 32) for name in names),
        _ja4(
            transport,
            min(versions) if transport == "d" else max(versions),  # DTLS counts down
            list(_numbers(fields[-2])),
            [kind for kind in kinds if not _is_grease(kind)],
            names[0] if names else b"",
            list(_numbers(found.get(_SIGNATURES, b"")[2:])),
        ),
        not _HIDDEN.isdisjoint(found),
    )


def vector(data: bytes, at: int, width: int) -> tuple[bytes, int] | None:
    """A vector with a length of `width` bytes before it, and the offset behind it; None if it does not fit."""
    size = int.from_bytes(data[at : at + width], "big")
    end = at + width + size
    return (data[at + width : end], end) if at + width <= len(data) and end <= len(data) else None


def _server_name(data: bytes) -> str | None:
    """The host name of a server_name extension (RFC 6066 section 3), if it can be one."""
    if len(data) < 5 or data[2] != 0:
        return None
    taken = vector(data, 3, 2)
    name = taken[0].decode("latin-1").lower() if taken else ""
    return name.rstrip(".") if len(name) <= 255 and _NAME.fullmatch(name) else None


def _alpn(data: bytes) -> Iterator[bytes]:
    """The protocol names offered (RFC 7301), the first ALPN_CAP of them."""
    at = 2
    for _ in range(ALPN_CAP):
        taken = vector(data, at, 1) if at < len(data) else None
        if taken is None:
            return
        yield taken[0]
        at = taken[1]


def _is_grease(value: int) -> bool:
    return value & 0x0F0F == 0x0A0A and value >> 8 == value & 0xFF


def _numbers(data: bytes) -> Iterator[int]:
    """Numbers of two bytes each, without GREASE."""
    values = (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data) - 1, 2))
    return (value for value in values if not _is_grease(value))


def _ja4(transport: str, version: int, ciphers: list[int], kinds: list[int], alpn: bytes, signatures: list[int]) -> str:
    first, last = chr(alpn[0]) if alpn else "0", chr(alpn[-1]) if alpn else "0"
    if not (first + last).isascii() or not (first + last).isalnum():
        first, last = f"{alpn[0]:02x}"[0], f"{alpn[-1]:02x}"[1]
    hashed = _hexes(sorted(kind for kind in kinds if kind not in (_SERVER_NAME, _ALPN)))
    return (
        f"{transport}{_JA4_VERSIONS.get(version, '00')}{'d' if _SERVER_NAME in kinds else 'i'}"
        f"{min(len(ciphers), 99):02}{min(len(kinds), 99):02}{first}{last}"
        f"_{_hash(_hexes(sorted(ciphers)))}"
        f"_{_hash(f'{hashed}_{_hexes(signatures)}' if signatures else hashed)}"
    )


def _hexes(values: Iterable[int]) -> str:
    return ",".join(f"{value:04x}" for value in values)


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12] if text else "0" * 12
