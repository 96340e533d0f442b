"""NAT-PMP (RFC 6886) and PCP (RFC 6887): a device asks its router to let others in on a port, or takes that back.

In: the payload of one datagram to or from UDP port 5351. Out: Reading("natpmp" or "pcp", {op: "add" | "delete",
external_port, internal_port, transport: "tcp" | "udp" | "all", internal_ip, remote_ip, lease_s, granted, error}), or
None for what opens nothing: a question for the outside address, ANNOUNCE, PEER (RFC 6887 section 12: about connections
that the client opens itself), protocols other than TCP and UDP.

`granted` is None in a request. `internal_ip` is None where the packet names nobody: then it is whoever asked.
`external_port` of a request is only wished for, and 0 there means any. A delete with `internal_port` 0 is about all
ports of that transport (RFC 6886 section 3.4, RFC 6887 section 15.1).
"""

import ipaddress
import struct
from typing import Literal

from camguard.errors import Malformed
from camguard.protocols.text import Reading

PORT = 5351
PCP_MOST = 1100  # bytes of a message (RFC 6887 section 7)
_MAP_OF_NATPMP = {1: "udp", 2: "tcp"}  # RFC 6886 section 3.3
_PCP_TRANSPORTS = {0: "all", 6: "tcp", 17: "udp"}
_ANSWER = 0x80
_PCP_HEADER, _PCP_MAP, _MAP, _THIRD_PARTY = 24, 36, 1, 1
_NATPMP_REQUEST = struct.Struct(">xxxxHHI")
_NATPMP_ANSWER = struct.Struct(">xxHxxxxHHI")


def read(payload: bytes) -> Reading | None:
    """What a datagram asks for or answers; Malformed where it is neither."""
    if len(payload) < 2:
        raise Malformed("natpmp-short")
    if payload[0] == 0:
        return _natpmp(payload)
    if payload[0] == 2:
        return _pcp(payload)
    raise Malformed("natpmp-version")


def _natpmp(payload: bytes) -> Reading | None:
    transport = _MAP_OF_NATPMP.get(payload[1] & ~_ANSWER)
    if transport is None:
        return None
    if not payload[1] & _ANSWER:
        if len(payload) < _NATPMP_REQUEST.size:
            raise Malformed("natpmp-short")
        internal, external, lease_s = _NATPMP_REQUEST.unpack_from(payload)
        return _reading("natpmp", transport, external, internal, lease_s, None, None)
    if len(payload) >= _NATPMP_ANSWER.size:
        result, internal, external, lease_s = _NATPMP_ANSWER.unpack_from(payload)
        return _reading("natpmp", transport, external, internal, lease_s, result, None)
    if len(payload) >= 8 and payload[2:4] != b"\0\0":  # a refusal may end there (RFC 6886 section 3.5)
        return None
    raise Malformed("natpmp-short")


def _pcp(payload: bytes) -> Reading | None:
    if len(payload) < _PCP_HEADER or len(payload) > PCP_MOST or len(payload) % 4:
        raise Malformed("pcp-length")
    if payload[1] & ~_ANSWER != _MAP:
        return None
    if len(payload) < _PCP_HEADER + _PCP_MAP:
        raise Malformed("pcp-short")
    lease_s = int.from_bytes(payload[4:8], "big")
    transport = _PCP_TRANSPORTS.get(payload[36])
    internal, external = struct.unpack_from(">HH", payload, 40)
    if transport is None:
        return None
    answer = bool(payload[1] & _ANSWER)
    client = None if answer else _ip(payload[8:24])
    internal_ip = _third_party(payload[_PCP_HEADER + _PCP_MAP :]) or client
    return _reading("pcp", transport, external, internal, lease_s, payload[3] if answer else None, internal_ip)


def _third_party(options: bytes) -> str | None:
    """For whom the mapping is, where it is not for the asker (RFC 6887 sections 7.3 and 13.1)."""
    while len(options) >= 4:
        size = int.from_bytes(options[2:4], "big")
        if options[0] == _THIRD_PARTY and size == 16 and len(options) >= 20:
            return _ip(options[4:20])
        options = options[4 + -(-size // 4) * 4 :]
    return None


def _ip(packed: bytes) -> str:
    """IPv4 comes mapped into IPv6 (RFC 6887 section 5)."""
    address = ipaddress.IPv6Address(packed)
    return str(address.ipv4_mapped or address)


def _reading(
    what: Literal["natpmp", "pcp"],
    transport: str,
    external: int,
    internal: int,
    lease_s: int,
    result: int | None,
    internal_ip: str | None,
) -> Reading:
    """`result`: None in a request, 0 for a yes. The time of a refusal says how long that stands: no delete."""
    return Reading(
        what,
        {
            "op": "delete" if lease_s == 0 and not result else "add",
            "external_port": external,
            "internal_port": internal,
            "transport": transport,
            "internal_ip": internal_ip,
            "remote_ip": None,
            "lease_s": lease_s,
            "granted": None if result is None else result == 0,
            "error": result or None,
        },
        result is not None,
    )
