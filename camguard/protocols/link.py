"""ARP (RFC 826) and Neighbour Discovery (RFC 4861): which MAC has which address, and who is the router.

In: the ARP body, or the ICMPv6 message and the IPv6 source it came from. Out: Reading("arp", ...), Reading("ndp", ...).
MACs are text, lower case; addresses are text; what a packet does not say is None.
"""

import ipaddress
import struct

from camguard.errors import Malformed
from camguard.protocols.text import Reading

_ARP = struct.Struct(">HHBBH")
_KINDS = {133: "rs", 134: "ra", 135: "ns", 136: "na"}
_FIXED = {133: 8, 134: 16, 135: 24, 136: 24}  # bytes before the options (RFC 4861 sections 4.1 to 4.4)
PREFIXES_CAP = 8


def _mac(raw: bytes) -> str | None:
    """A unicast, non-zero MAC as text."""
    return None if raw == bytes(6) or raw[0] & 1 else raw.hex(":")


def _ip(raw: bytes) -> str | None:
    """An address as text, None for the unspecified one."""
    return str(ipaddress.ip_address(raw)) if any(raw) else None


def arp(payload: bytes) -> Reading:
    """{op: request|reply, mac, ip, target_mac, target_ip} of an ARP body. `ip` is None in a probe (RFC 5227)."""
    if len(payload) < 28:
        raise Malformed("arp-short")
    hardware, protocol, hardware_len, protocol_len, op = _ARP.unpack_from(payload)
    if (hardware, protocol, hardware_len, protocol_len) != (1, 0x0800, 6, 4) or op not in (1, 2):
        raise Malformed("arp-form")
    return Reading(
        "arp",
        {
            "op": "request" if op == 1 else "reply",
            "mac": _mac(payload[8:14]),
            "ip": _ip(payload[14:18]),
            "target_mac": _mac(payload[18:24]),
            "target_ip": _ip(payload[24:28]),
        },
    )


def ndp(payload: bytes, src: bytes = b"") -> Reading:
    """{kind: ns|na|rs|ra, mac, ip, target_ip, router, prefixes} of an ICMPv6 message that came from `src` (16 bytes).

    `ip` is the sender's own address: the target of an advertisement, else `src`. `mac` is the link-layer option.
    """
    if len(payload) < 8 or payload[0] not in _KINDS:
        raise Malformed("ndp-form")
    fixed = _FIXED[payload[0]]
    if len(payload) < fixed or payload[1] != 0:
        raise Malformed("ndp-short")
    kind = _KINDS[payload[0]]
    mac, prefixes = _options(payload[fixed:])
    sender = _ip(src) if len(src) == 16 else None
    target = _ip(payload[8:24]) if kind in ("ns", "na") else None
    router = payload[6:8] != b"\0\0" if kind == "ra" else kind == "na" and bool(payload[4] & 0x80)
    return Reading(
        "ndp",
        {
            "kind": kind,
            "mac": mac,
            "ip": target if kind == "na" else sender,
            "target_ip": target,
            "router": router,
            "prefixes": prefixes,
        },
    )


def _options(data: bytes) -> tuple[str | None, tuple[str, ...]]:
    """The link-layer address and the on-link prefixes among the options (RFC 4861 section 4.6)."""
    mac: str | None = None
    prefixes: list[str] = []
    while len(data) >= 2:
        size = data[1] * 8
        if size == 0 or size > len(data):
            raise Malformed("ndp-option")
        if data[0] in (1, 2) and size == 8:
            mac = _mac(data[2:8])
        elif data[0] == 3 and size == 32 and len(prefixes) < PREFIXES_CAP and data[2] <= 128:
            network = ipaddress.ip_network((data[16:32], data[2]), strict=False)
            prefixes.append(str(network))
        data = data[size:]
    return mac, tuple(prefixes)
