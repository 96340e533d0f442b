"""Frame -> Packet: Ethernet, VLAN, PPPoE, ARP, IPv4, IPv6, TCP, UDP. Pure, and the hottest Python of the guard.

`decode` takes what a stranger put on the wire. It returns a Packet or raises `Malformed` with one of these names:

    ethernet-short  cooked-short  null-short  link-type     the frame is no frame
    vlan-short  vlan-nested  pppoe-short  pppoe-length      tags: cut, more than 8, a length beyond the frame
    arp-short                                               the ARP body is cut
    ip-version                                              a version other than 4 or 6
    ipv4-short  ipv4-header  ipv4-length  ipv4-option       cut; IHL below 5; total length lies; option of length 0 or 1
    ipv6-short  ipv6-length  ipv6-extensions                cut; payload length lies; more than 8 extension headers
    tcp-short  tcp-header  udp-short  udp-length            cut; data offset below 5; UDP length lies

These are the frames that a receiving stack drops too. What a stack accepts is decoded, however odd: TCP options are
never looked at (Linux takes a segment with a zero-length option, so a guard that refused it could be blinded).
A frame that the capture cut (`len(data) < wire_len`) is not malformed: it is decoded as far as it goes.
Sources: IEEE 802.1Q, RFC 2516, 826, 791, 8200, 4302, 9293, 768; LINKTYPE_* of tcpdump.org.
"""

import struct
from collections.abc import Iterable

from camguard.errors import Malformed
from camguard.events import FLOW_KEY, ICMPV6, TCP, UDP, Frame, Host, Packet

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
_PPPOE = 0x8864
_TAGS = frozenset({0x8100, 0x88A8, 0x9100})
_NDP = (b"\x85", b"\x86", b"\x87", b"\x88", b"\x89")
_MAX_NESTED = 8

_ETHERNET = struct.Struct("!6s6sH").unpack_from
_TAG = struct.Struct("!2xH").unpack_from
_SESSION = struct.Struct("!BBHHH").unpack_from
_SLL = struct.Struct("!2x2xH8sH").unpack_from
_SLL2 = struct.Struct("!H2xI2xBB8s").unpack_from
_IP4 = struct.Struct("!BxHHHxB2x4s4s").unpack_from
_IP6 = struct.Struct("!4xHBx16s16s").unpack_from
_FRAGMENT6 = struct.Struct("!BxHI").unpack_from
_TCP = struct.Struct("!HHI4xBB").unpack_from
_UDP = struct.Struct("!HHH").unpack_from
_PORTS = struct.Struct("!HH").unpack_from

_AH, _FRAGMENT = 51, 44
#: Extension headers with a length in 8-byte units: hop-by-hop, routing, destination options, mobility, HIP, shim6.
_EXTENSIONS = frozenset({0, 43, 60, 135, 139, 140, _AH, _FRAGMENT})
_PPP = {0x0021: IPV4, 0x0057: IPV6}
_RAW_LINKS = frozenset({101, 12, 14, 228, 229})

# What stands above IP: sport, dport, tcp flags, seq, payload, payload_len
_Above = tuple[int, int, int, int, bytes, int]


def decode(frame: Frame) -> Packet:  # noqa: PLR0912 - one branch a layer; a call a layer costs a tenth of it all
    """The packet in a frame, or Malformed. What is neither IP nor ARP comes back with src = dst = b"" and proto 0."""
    at, data, wire_len, link, gso_size, _ = frame
    if len(data) > wire_len:  # noqa: PLR1730 - a call of max() costs 5 % of all
        wire_len = len(data)
    truncated = len(data) < wire_len
    src_mac = dst_mac = b""
    if link == 1:
        if len(data) < 14:
            return _stump(frame, "ethernet-short")
        dst_mac, src_mac, ethertype = _ETHERNET(data)
        offset = 14
        if ethertype in _TAGS or ethertype == _PPPOE:
            ethertype, offset = _unwrap(data, wire_len, ethertype, offset)
    else:
        src_mac, ethertype, offset = _other_link(link, data, wire_len)
    src = dst = b""
    proto = 0
    fragment: tuple[int, int, bool] | None = None
    if ethertype == IPV4:
        if len(data) >= offset + 20:
            src, dst, proto, fragment, above = _ipv4(data, offset, wire_len)
        else:
            above = _cut(truncated, "ipv4-short")
    elif ethertype == IPV6:
        if len(data) >= offset + 40:
            src, dst, proto, fragment, above = _ipv6(data, offset, wire_len)
        else:
            above = _cut(truncated, "ipv6-short")
    elif ethertype == ARP:
        above = _arp(data, offset, truncated)
    else:
        above = (0, 0, 0, 0, data[offset:], max(0, wire_len - offset))
    sport, dport, flags, seq, payload, payload_len = above
    # twice as fast as calling the NamedTuple, and this is the hottest line of all
    return tuple.__new__(Packet, (
        at, src_mac, dst_mac, ethertype, src, dst, proto, sport, dport, flags, seq, payload, payload_len, wire_len,
        fragment, truncated, gso_size,
    ))  # fmt: skip


def _cut(truncated: bool, name: str) -> _Above:
    """Nothing above: fine where the capture cut the frame, Malformed where the frame itself is too short."""
    if not truncated:
        raise Malformed(name)
    return (0, 0, 0, 0, b"", 0)


def _stump(frame: Frame, name: str) -> Packet:
    """The Packet of a frame that the capture cut inside its link header."""
    if len(frame.data) >= frame.wire_len:
        raise Malformed(name)
    return Packet(
        frame.at, b"", b"", 0, b"", b"", 0, 0, 0, 0, 0, b"", 0, frame.wire_len, None, True, frame.gso_size
    )  # fmt: skip


def _unwrap(data: bytes, wire_len: int, ethertype: int, offset: int) -> tuple[int, int]:
    """Ethertype and offset of what VLAN tags and a PPPoE session carry; ethertype 0 where the capture cut it."""
    for _ in range(_MAX_NESTED):
        if ethertype in _TAGS:
            if len(data) < offset + 4:
                return _cut_tag(data, wire_len, "vlan-short")
            (ethertype,) = _TAG(data, offset)
            offset += 4
        elif ethertype == _PPPOE:
            if len(data) < offset + 8:
                return _cut_tag(data, wire_len, "pppoe-short")
            version, code, _session, length, protocol = _SESSION(data, offset)
            if version != 0x11 or code != 0:
                return ethertype, offset
            if length < 2 or offset + 6 + length > wire_len:
                raise Malformed("pppoe-length")
            return _PPP.get(protocol, ethertype), offset + 8
        else:
            return ethertype, offset
    if ethertype in _TAGS or ethertype == _PPPOE:
        raise Malformed("vlan-nested")
    return ethertype, offset


def _cut_tag(data: bytes, wire_len: int, name: str) -> tuple[int, int]:
    if len(data) >= wire_len:
        raise Malformed(name)
    return 0, len(data)


def _other_link(link: int, data: bytes, wire_len: int) -> tuple[bytes, int, int]:
    """Source MAC (b"" where none), ethertype and offset of the content, for link types other than Ethernet."""
    truncated = len(data) < wire_len
    if link in _RAW_LINKS:
        return b"", _version(data, 0, truncated), 0
    if link == 113:  # LINKTYPE_LINUX_SLL
        if len(data) < 16:
            return _short_link(truncated, "cooked-short")
        length, address, ethertype = _SLL(data)
        return (address[:6] if length == 6 else b""), *_unwrap(data, wire_len, ethertype, 16)
    if link == 276:  # LINKTYPE_LINUX_SLL2
        if len(data) < 20:
            return _short_link(truncated, "cooked-short")
        ethertype, _index, _kind, length, address = _SLL2(data)
        return (address[:6] if length == 6 else b""), *_unwrap(data, wire_len, ethertype, 20)
    if link in (0, 108):  # LINKTYPE_NULL, LINKTYPE_LOOP: four bytes of address family, then IP
        if len(data) < 4:
            return _short_link(truncated, "null-short")
        return b"", _version(data, 4, truncated), 4
    raise Malformed("link-type")


def _short_link(truncated: bool, name: str) -> tuple[bytes, int, int]:
    if not truncated:
        raise Malformed(name)
    return b"", 0, 20  # behind all there is


def _version(data: bytes, offset: int, truncated: bool) -> int:
    """The ethertype that the version nibble at `offset` stands for."""
    if len(data) <= offset:
        if truncated:
            return 0
        raise Malformed("ip-version")
    version = data[offset] >> 4
    if version == 4:
        return IPV4
    if version == 6:
        return IPV6
    raise Malformed("ip-version")


def _arp(data: bytes, offset: int, truncated: bool) -> _Above:
    """RFC 826: the body ends after two hardware and two protocol addresses; what follows is padding."""
    if len(data) < offset + 8:
        return _cut(truncated, "arp-short")
    length = 8 + 2 * data[offset + 4] + 2 * data[offset + 5]
    if len(data) < offset + length and not truncated:
        raise Malformed("arp-short")
    return 0, 0, 0, 0, data[offset : offset + length], length


def _ipv4(data: bytes, offset: int, wire_len: int) -> tuple[bytes, bytes, int, tuple[int, int, bool] | None, _Above]:
    """RFC 791. A total length of 0 is a superpacket that the kernel did not cut yet: the frame says how long it is."""
    first, total, identity, place, proto, src, dst = _IP4(data, offset)
    header = (first & 15) * 4
    if first >> 4 != 4:
        raise Malformed("ip-version")
    if header < 20:
        raise Malformed("ipv4-header")
    room = wire_len - offset
    if total == 0:
        total = room
    if total < header or total > room:
        raise Malformed("ipv4-length")
    captured = len(data)
    if header > 20:
        _check_options(data[offset + 20 : min(captured, offset + header)])
    end = offset + total
    if end > captured:  # noqa: PLR1730
        end = captured
    start = offset + header
    fragment = None
    if place & 0x3FFF:
        fragment = (identity, (place & 0x1FFF) * 8, bool(place & 0x2000))
        if place & 0x1FFF:
            return src, dst, proto, fragment, (0, 0, 0, 0, data[start:end], total - header)
    return src, dst, proto, fragment, _above(data, start, end, total - header, proto, fragment is not None)


def _check_options(options: bytes) -> None:
    """RFC 791 section 3.1: 0 ends the list, 1 is padding, every other option carries its length (at least 2)."""
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        if at + 1 < len(options) and options[at + 1] < 2:
            raise Malformed("ipv4-option")
        at += options[at + 1] if at + 1 < len(options) else 2


def _ipv6(  # noqa: PLR0912 - the header chain of RFC 8200 in one place
    data: bytes, offset: int, wire_len: int
) -> tuple[bytes, bytes, int, tuple[int, int, bool] | None, _Above]:
    """RFC 8200. A payload length of 0 is a jumbogram or a superpacket: the frame says how long it is."""
    length, proto, src, dst = _IP6(data, offset)
    if data[offset] >> 4 != 6:
        raise Malformed("ip-version")
    start = offset + 40
    room = wire_len - start
    if length == 0 and proto != 59:
        length = room
    if length > room:
        raise Malformed("ipv6-length")
    captured = len(data)
    stop = start + length  # on the wire
    end = stop if stop < captured else captured
    fragment = None
    if proto in _EXTENSIONS:
        for _ in range(_MAX_NESTED):
            size = 8
            if start + 8 > end:
                if stop <= captured:
                    raise Malformed("ipv6-short")
                return src, dst, proto, fragment, (0, 0, 0, 0, b"", max(0, stop - start))
            kind, proto = proto, data[start]
            if kind == _FRAGMENT:
                _next, place, identity = _FRAGMENT6(data, start)
                if place & 0xFFF9:  # an "atomic" fragment (RFC 6946) is a whole packet
                    fragment = (identity, place & 0xFFF8, bool(place & 1))
            elif kind == _AH:
                size = (data[start + 1] + 2) * 4
            else:
                size = (data[start + 1] + 1) * 8
            start += size
            if start > stop:
                raise Malformed("ipv6-short")
            if fragment is not None and fragment[1]:
                return src, dst, proto, fragment, (0, 0, 0, 0, data[start:end], stop - start)
            if proto not in _EXTENSIONS:
                break
        else:
            raise Malformed("ipv6-extensions")
    above = _above(data, start, end, stop - start, proto, fragment is not None)
    if proto == ICMPV6 and data[offset + 7] != 255 and above[4][:1] in _NDP:
        # RFC 4861 section 7.1: with fewer hops left it comes from behind a router, and is not the neighbour it claims
        above = (*above[:4], b"", above[5])
    return src, dst, proto, fragment, above


def _above(data: bytes, start: int, end: int, length: int, proto: int, first_fragment: bool) -> _Above:
    """Ports and payload. `length` bytes stand here on the wire, `end` is where the captured ones stop."""
    captured = end - start
    if proto == TCP:
        if captured >= 14:
            sport, dport, seq, words, flags = _TCP(data, start)
            header = (words >> 4) * 4
            if header < 20:
                raise Malformed("tcp-header")
            if header > length:
                if not first_fragment:
                    raise Malformed("tcp-short")
                return sport, dport, flags, seq, b"", 0
            return sport, dport, flags, seq, data[start + header : end], length - header
        if length < 20 and not first_fragment:
            raise Malformed("tcp-short")
        sport, dport = _PORTS(data, start) if captured >= 4 else (0, 0)
        return sport, dport, 0, 0, b"", max(0, length - 20)
    if proto == UDP:
        if captured >= 6:
            sport, dport, claimed = _UDP(data, start)
            # 0 is allowed in jumbograms; the first fragment carries the length of the whole datagram
            if claimed and (claimed < 8 or (claimed > length and not first_fragment)):
                raise Malformed("udp-length")
            if length < 8 and not first_fragment:
                raise Malformed("udp-short")
            return sport, dport, 0, 0, data[start + 8 : end], max(0, length - 8)
        if length < 8 and not first_fragment:
            raise Malformed("udp-short")
        sport, dport = _PORTS(data, start) if captured >= 4 else (0, 0)
        return sport, dport, 0, 0, b"", max(0, length - 8)
    return 0, 0, 0, 0, data[start:end], length


class Hosts:
    """Which guarded camera a packet belongs to: by MAC; by address for cameras without MAC and packets without MACs."""

    def __init__(self, hosts: Iterable[Host]) -> None:
        listed = tuple(hosts)
        self._by_mac = {host.mac: host.number for host in listed if host.mac}
        self._by_ip = {ip: host.number for host in listed for ip in host.ips}
        self._routed = {ip: host.number for host in listed if not host.mac for ip in host.ips}

    def find(self, packet: Packet) -> tuple[tuple[int, bool], ...]:
        """(host number, up) of every camera at an end of this packet: none, one or two (camera to camera)."""
        return self._ends(packet.src_mac, packet.dst_mac, packet.src, packet.dst)

    def find_malformed(self, frame: Frame) -> tuple[tuple[int, bool], ...]:
        """The same for a frame that decode refused: by its MACs alone."""
        if frame.link != 1 or len(frame.data) < 12:
            return ()
        return self._ends(frame.data[6:12], frame.data[:6], b"", b"")

    def _ends(self, src_mac: bytes, dst_mac: bytes, src: bytes, dst: bytes) -> tuple[tuple[int, bool], ...]:
        up = self._by_mac.get(src_mac)
        down = self._by_mac.get(dst_mac)
        if up is None:
            up = (self._routed if src_mac else self._by_ip).get(src)
        if down is None:
            down = (self._routed if dst_mac else self._by_ip).get(dst)
        if up is None:
            return () if down is None else ((down, False),)
        if down is None or down == up:
            return ((up, True),)
        return ((up, True), (down, False))


def flow_key(host: int, up: bool, packet: Packet) -> bytes:
    """The 24 bytes of events.pack_key for this packet, seen from camera `host`. Without ports: proto and ports 0."""
    peer = packet.dst if up else packet.src
    family = 4 if len(peer) != 16 else 6
    sport, dport = packet.sport, packet.dport
    if not (sport or dport):
        return FLOW_KEY.pack(host, 0, family, 0, 0, peer)
    if up:
        return FLOW_KEY.pack(host, packet.proto, family, sport, dport, peer)
    return FLOW_KEY.pack(host, packet.proto, family, dport, sport, peer)
