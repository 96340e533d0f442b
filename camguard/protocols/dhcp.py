"""DHCP for IPv4 (RFC 2131, 2132) and IPv6 (RFC 8415): what a device calls itself, which address it has, who routes.

In: a UDP payload of ports 67/68 or 546/547. Out: Reading("dhcp", {message, mac, ip, name, vendor_class, router, server,
version}); what was not said is None. `ip` is the address asked for or given.
"""

import ipaddress

from camguard.errors import Malformed
from camguard.protocols.text import Reading, printable

_MESSAGES = {1: "discover", 2: "offer", 3: "request", 4: "decline", 5: "ack", 6: "nak", 7: "release", 8: "inform"}
_MESSAGES6 = {
    1: "solicit",
    2: "advertise",
    3: "request",
    4: "confirm",
    5: "renew",
    6: "rebind",
    7: "reply",
    8: "release",
    9: "decline",
    10: "reconfigure",
    11: "information-request",
}
_COOKIE = b"\x63\x82\x53\x63"


def read(payload: bytes) -> Reading:
    """One DHCPv4 message; plain BOOTP (no message type) is not read."""
    if len(payload) < 240 or payload[0] not in (1, 2) or payload[236:240] != _COOKIE:
        raise Malformed("dhcp-form")
    if payload[1:3] != b"\x01\x06":
        raise Malformed("dhcp-hardware")
    options = _options(payload[240:])
    overload = options.get(52, b"")  # further options in the fields "file" and "sname" (RFC 2132 section 9.3)
    if overload in (b"\x01", b"\x03"):
        options = {**_options(payload[108:236]), **options}
    if overload in (b"\x02", b"\x03"):
        options = {**_options(payload[44:108]), **options}
    message = _MESSAGES.get(options.get(53, b"\0")[0] if options.get(53) else 0)
    if message is None:
        raise Malformed("dhcp-message")
    mac = payload[28:34]
    given, own = payload[16:20], payload[12:16]
    asked = options.get(50, b"")
    ip = next((_ip(raw) for raw in ((given, own) if payload[0] == 2 else (asked, own)) if _ip(raw)), None)
    name = options.get(12) or options.get(81, b"")[3:]
    return Reading(
        "dhcp",
        {
            "message": message,
            "mac": None if mac == bytes(6) else mac.hex(":"),
            "ip": ip,
            "name": _text(name),
            "vendor_class": _text(options.get(60, b"")),
            "router": _ip(options.get(3, b"")[:4]),
            "server": _ip(options.get(54, b"")),
            "version": 4,
        },
        from_server=payload[0] == 2,
    )


def _ip(raw: bytes) -> str | None:
    """Four bytes as an address, None for none or 0.0.0.0."""
    return str(ipaddress.IPv4Address(raw)) if len(raw) == 4 and any(raw) else None


def _text(raw: bytes) -> str | None:
    """A text option, without the zero byte that some clients add."""
    return printable(raw.rstrip(b"\0").decode("latin-1"), 64) or None


def _options(data: bytes) -> dict[int, bytes]:
    """Options by number; the parts of one that occurs again are joined (RFC 3396)."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise Malformed("dhcp-option")
        found[data[at]] = found.get(data[at], b"") + data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return found


def read6(payload: bytes) -> Reading:
    """One DHCPv6 message; relayed ones are not read. `mac` comes from a client identifier that is made of one."""
    if len(payload) < 4 or payload[0] not in _MESSAGES6:
        raise Malformed("dhcp6-form")
    options = _options6(payload[4:])
    duid = options.get(1, b"")
    # DUID-LLT: type 1, hardware 1, time, MAC; DUID-LL: type 3, hardware 1, MAC (RFC 8415 section 11)
    mac = duid[8:] if duid[:4] == b"\0\x01\0\x01" else duid[4:] if duid[:4] == b"\0\x03\0\x01" else b""
    name = _labels(options.get(39, b"\0")[1:])  # RFC 4704
    vendor = options.get(16, b"")[6:]
    address = _options6(options[3][12:]).get(5, b"")[:16] if len(options.get(3, b"")) >= 12 else b""
    return Reading(
        "dhcp",
        {
            "message": _MESSAGES6[payload[0]],
            "mac": mac.hex(":") if len(mac) == 6 else None,
            "ip": str(ipaddress.IPv6Address(address)) if len(address) == 16 and any(address) else None,
            "name": name,
            "vendor_class": _text(vendor),
            "router": None,
            "server": None,
            "version": 6,
        },
        from_server=payload[0] in (2, 7, 10),
    )


def _options6(data: bytes) -> dict[int, bytes]:
    """Options by number, the first of each."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        if at + 4 + size > len(data):
            raise Malformed("dhcp6-option")
        found.setdefault(int.from_bytes(data[at : at + 2], "big"), data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


def _labels(data: bytes) -> str | None:
    """A possibly partial domain name in wire form, without compression."""
    labels: list[str] = []
    at = 0
    while at < len(data) and 0 < data[at] < 64 and at + 1 + data[at] <= len(data):
        labels.append(data[at + 1 : at + 1 + data[at]].decode("latin-1"))
        at += 1 + data[at]
    return printable(".".join(labels), 64) or None
