"""Ask a link who is there, gently, and who of them speaks like a camera. For `camguard cameras discover`.

Every address of the link's IPv4 network by ARP (RFC 826), all IPv6 nodes by an echo to ff02::1 (RFC 4443); then one
WS-Discovery probe for ONVIF devices and one SSDP search; then RTSP OPTIONS (RFC 7826, 13.1) to ports 554 and 8554 of
the hosts found. It logs in nowhere. What hosts answer is untrusted: cut, made printable, counted. Needs NET_RAW.
"""

import asyncio
import contextlib
import importlib
import ipaddress
import os
import re
import select
import socket
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from camguard.errors import CaptureError

LARGEST = 20  # prefix length: 4,094 addresses
ARP_PER_S = 150.0  # 10 kB/s of broadcasts: nobody on the link notices
ROUNDS = 2  # devices that sleep on Wi-Fi miss the first question
ANSWER_S = 1.5
RTSP_PORTS = (554, 8554)
RTSP_AT_ONCE = 16
DEVICES_KEPT = 8192  # anybody on the link can invent MACs

_GROUP = "239.255.255.250"
_ETH_ARP, _ETH_IPV6 = 0x0806, 0x86DD
_PACKET_OUTGOING = 4  # packet(7): what this machine sends
_PROBE = """<?xml version="1.0" encoding="UTF-8"?>
<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing"
 xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" xmlns:dn="http://www.onvif.org/ver10/network/wsdl">
<e:Header><w:MessageID>uuid:{id}</w:MessageID><w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>
<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>
<e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"""
_SEARCH = f'M-SEARCH * HTTP/1.1\r\nHOST: {_GROUP}:1900\r\nMAN: "ssdp:discover"\r\nMX: 1\r\nST: ssdp:all\r\n\r\n'


@dataclass
class Device:
    """One device that answered. `signs`: how it speaks like a camera ("ONVIF", "RTSP 554"); `guarded`: its name."""

    mac: str
    ips: set[str] = field(default_factory=set)
    name: str = ""
    maker: str = ""
    signs: set[str] = field(default_factory=set)
    guarded: str = ""


Progress = Callable[[str, float], None]  # what is done, and how much of it (0 to 1)


@dataclass
class Found:
    """What a whole round of asking gave: devices, cameras first."""

    interface: str
    networks: tuple[str, ...]
    devices: list[Device]


def ask(
    interface: str,
    *,
    network: str | None = None,
    progress: Progress = lambda _what, _part: None,
    anywhere: bool = False,
) -> Found:
    """Everybody who answers on the link of `interface`; only with `anywhere` where the addresses are not a home's."""
    link = _Link(interface, network, anywhere=anywhere)
    with contextlib.closing(link):
        link.sweep(progress)
        progress("asking who is an ONVIF or UPnP device", 0.0)
        answers = link.asked_by_multicast()
        by_ip = {ip: device for device in link.devices.values() for ip in device.ips}
        for ip, signs, name in answers:
            if device := by_ip.get(ip):
                device.signs |= signs
                device.name = device.name or name
        progress("asking who answers like a camera", 0.0)
        reachable = {device.mac: _best_address(device, link.name) for device in link.devices.values()}
        for mac, port in asyncio.run(_who_speaks_rtsp(reachable, progress)):
            link.devices[mac].signs.add(f"RTSP {port}")
    devices = sorted(link.devices.values(), key=lambda d: (not d.signs, _order(d)))
    return Found(link.name, tuple(str(one) for one in link.networks), devices)


class _Link:
    """The link behind one interface: asks and collects. Needs NET_RAW."""

    def __init__(self, interface: str, network: str | None, *, anywhere: bool) -> None:
        self.devices: dict[str, Device] = {}
        self._sockets: list[socket.socket] = []
        _quiet_scapy()

        self.name = interface
        present = {name for _, name in socket.if_nameindex()}
        if interface not in present:
            have = ", ".join(sorted(present - {"lo"})) or "none"
            raise CaptureError(f"there is no interface {interface}. Choose one with --interface: {have}")
        self.addresses = _addresses(self.name)
        self.networks = _networks(self.name, self.addresses, network)
        strange = [str(one) for one in self.networks if not one.is_private]
        if strange and not anywhere:
            raise CaptureError(
                f"{self.name} is in {strange[0]}, which is no network of a home but perhaps your provider's. Name the "
                "interface of your home, such as --interface br-lan. To ask here all the same: --yes"
            )
        try:
            self._arp, self._ndp = self._open(_ETH_ARP), self._open(_ETH_IPV6)
        except PermissionError:
            self.close()
            raise CaptureError("asking the link needs rights. Run: sudo camguard cameras discover") from None
        except OSError as error:
            self.close()
            raise CaptureError(
                f"cannot use {self.name}: {error.strerror}. Is it up? ip link show {self.name}"
            ) from None
        self._mac: bytes = self._arp.getsockname()[4]

    def _open(self, ethertype: int) -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ethertype))
        self._sockets.append(made)
        made.bind((self.name, ethertype))
        made.setblocking(False)
        return made

    def close(self) -> None:
        for one in self._sockets:
            one.close()

    def sweep(self, progress: Progress) -> None:
        """ARP to every address, all-nodes echo by IPv6, `ROUNDS` times, the second time only to the silent ones."""
        targets = [ip for network in self.networks for ip in map(str, network.hosts()) if ip not in self.addresses]
        rounds = len(targets) * ROUNDS or 1
        for turn in range(ROUNDS):
            self._ask_all_nodes()
            known = {ip for device in self.devices.values() for ip in device.ips}
            for number, ip in enumerate(targets):
                progress(f"asking {len(targets)} addresses", (turn * len(targets) + number) / rounds)
                if ip not in known:
                    self._send(self._arp, _arp_question(self._mac, self._own_ip(ip), ip))
                    self._collect(1 / ARP_PER_S)
            self._collect(ANSWER_S / ROUNDS)

    def _own_ip(self, target: str) -> str:
        """Our address in the target's network (0.0.0.0, a probe as in RFC 5227, where we have none there)."""
        for network in self.networks:
            if ipaddress.ip_address(target) in network:
                for ip in self.addresses:
                    if ":" not in ip and ipaddress.ip_address(ip) in network:
                        return ip
        return "0.0.0.0"  # noqa: S104 - no binding: the sender address of an ARP probe

    def _ask_all_nodes(self) -> None:
        """From the link-local address, and from a global one so that hosts answer with theirs."""
        six = [ip for ip in self.addresses if ":" in ip]
        local = [ip for ip in six if ipaddress.ip_address(ip).is_link_local][:1]
        for source in local + [ip for ip in six if ip not in local][:1]:
            self._send(self._ndp, _all_nodes_echo(self._mac, source))

    def _send(self, link: socket.socket, frame: bytes) -> None:
        try:
            link.send(frame)
        except BlockingIOError:
            pass  # the second round asks again
        except OSError as error:
            raise CaptureError(
                f"cannot ask on {self.name}: {error.strerror}. Is it up? ip link show {self.name}"
            ) from None

    def _collect(self, wait_s: float) -> None:
        """Take the answers that come in this time; it is also the pause between two questions."""
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            for link in select.select([self._arp, self._ndp], [], [], left)[0]:
                with contextlib.suppress(BlockingIOError):
                    frame, origin = link.recvfrom(2048)
                    if origin[2] != _PACKET_OUTGOING:
                        self._take(frame)

    def _take(self, frame: bytes) -> None:
        heard = _sender(frame)
        if heard is None:
            return
        mac, ip = heard
        address = ipaddress.ip_address(ip)
        on_link = address.version == 6 or any(address in network for network in self.networks)
        if mac == self._mac.hex(":") or not on_link or len(self.devices) >= DEVICES_KEPT:
            return
        self.devices.setdefault(mac, Device(mac)).ips.add(ip)

    def asked_by_multicast(self) -> list[tuple[str, set[str], str]]:
        """(address, signs, name) of the answers to one WS-Discovery probe and one SSDP search."""
        own = [ip for ip in self.addresses if ":" not in ip][:1]
        if not own:
            return []
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.setblocking(False)
            asker.bind((own[0], 0))
            choice = struct.pack("4s4si", bytes(4), socket.inet_aton(own[0]), socket.if_nametoindex(self.name))
            asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, choice)
            answers: list[tuple[str, set[str], str]] = []
            with contextlib.suppress(OSError):  # no route for multicast: then nobody can be asked this way
                for text, port in ((_PROBE.format(id=uuid.uuid4()), 3702), (_SEARCH, 1900)):
                    asker.sendto(text.encode(), (_GROUP, port))
                until = time.monotonic() + 2 * ANSWER_S
                while (left := until - time.monotonic()) > 0 and len(answers) < DEVICES_KEPT:
                    if select.select([asker], [], [], left)[0]:
                        payload, (ip, *_) = asker.recvfrom(8192)
                        answers.append((ip, *_signs_of(payload)))
        return answers


# ---- questions and answers -------------------------------------------------------------------------------------------


def _quiet_scapy() -> None:
    """Its routing table filled, its warnings about interfaces without addresses off."""
    import logging

    logging.getLogger("scapy.runtime").setLevel(logging.CRITICAL)
    importlib.import_module("scapy.route")


def _addresses(interface: str) -> set[str]:
    """Our own addresses on it, without zones."""
    from scapy.arch import in6_getifaddr
    from scapy.config import conf

    four = {str(route[4]) for route in conf.route.routes if route[3] == interface} - {"0.0.0.0"}  # noqa: S104
    return four | {str(ip) for ip, _, name in in6_getifaddr() if name == interface}


def _networks(interface: str, own: set[str], wanted: str | None) -> list[ipaddress.IPv4Network]:
    """What to sweep: what was asked for, else the IPv4 networks in which we have an address on this interface."""
    if wanted is not None:
        try:
            chosen = [ipaddress.IPv4Network(wanted, strict=False)]
        except ValueError:
            raise CaptureError(f'"{wanted}" is no IPv4 network. Write it as 192.168.1.0/24') from None
    else:
        from scapy.config import conf
        from scapy.utils import ltoa

        routes = [r for r in conf.route.routes if r[3] == interface and r[2] == "0.0.0.0"]  # noqa: S104 - no gateway
        found = {ipaddress.IPv4Network((ltoa(net), ltoa(mask))) for net, mask, *_ in routes if mask}
        fours = [ipaddress.IPv4Address(ip) for ip in own if ":" not in ip]
        chosen = sorted(one for one in found if one.prefixlen < 32 and any(ip in one for ip in fours))
    for one in chosen:
        if one.prefixlen < LARGEST:
            raise CaptureError(
                f"{one} has {one.num_addresses:,} addresses; asking them all is not gentle (at most a /{LARGEST}). "
                f"Name the part where the cameras are: --network {one.network_address}/24"
            )
    return chosen


def _arp_question(mac: bytes, own_ip: str, ip: str) -> bytes:
    from scapy.layers.l2 import ARP, Ether

    own = mac.hex(":")
    return bytes(Ether(src=own, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=own, psrc=own_ip, pdst=ip))


def _all_nodes_echo(mac: bytes, source: str) -> bytes:
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
    from scapy.layers.l2 import Ether

    packet = Ether(src=mac.hex(":"), dst="33:33:00:00:00:01") / IPv6(src=source, dst="ff02::1", hlim=1)
    return bytes(packet / ICMPv6EchoRequest(id=os.getpid() & 0xFFFF, data=b"camguard"))


def _sender(frame: bytes) -> tuple[str, str] | None:
    """MAC and address of who answered: an ARP sender, or the source of an ICMPv6 message on the link; else None."""
    if len(frame) < 42:
        return None
    ethertype = struct.unpack_from("!H", frame, 12)[0]
    if ethertype == _ETH_ARP and frame[14:20] == b"\x00\x01\x08\x00\x06\x04":
        ip = ipaddress.ip_address(frame[28:32])
        mac = frame[22:28]
    elif ethertype == _ETH_IPV6 and frame[20] == 58 and len(frame) >= 58:
        # an answer to the echo, or a neighbour's question about us: both say who is at the address
        if frame[54] not in (129, 135, 136):
            return None
        ip = ipaddress.ip_address(frame[22:38])
        mac = frame[6:12]
    else:
        return None
    if ip.is_unspecified or ip.is_multicast or ip.is_loopback or mac[0] & 1 or not any(mac):
        return None
    return mac.hex(":"), str(ip)


def _signs_of(payload: bytes) -> tuple[set[str], str]:
    """What a WS-Discovery or SSDP answer says: camera signs, and a name where it gives one."""
    text = payload.decode("utf-8", "replace")
    if text.startswith("HTTP/1."):
        server = re.search(r"(?im)^server:[ \t]*([^\r\n]{1,200})", text)
        kind = re.search(r"(?im)^(?:st|usn):[^\r\n]*(?:camera|videotransmitter)", text)
        return ({"UPnP camera"} if kind else set()), _plain(server.group(1)) if server and kind else ""
    if "onvif" not in text.lower():
        return set(), ""
    name = re.search(r"onvif://www\.onvif\.org/name/([^\s<]{1,120})", text)
    from urllib.parse import unquote

    return {"ONVIF"}, _plain(unquote(name.group(1))) if name else ""


def _plain(text: str) -> str:
    """A name for a terminal: printable, one line, short."""
    return "".join(c if c.isprintable() else " " for c in text).strip()[:40]


async def _who_speaks_rtsp(hosts: dict[str, str], progress: Progress) -> list[tuple[str, int]]:
    """(MAC, port) of every host whose port answers in RTSP. A few at a time; nothing is asked but OPTIONS."""
    places = asyncio.Semaphore(RTSP_AT_ONCE)
    speaking: list[tuple[str, int]] = []
    done = 0

    async def one(mac: str, address: str) -> None:
        nonlocal done
        async with places:
            for port in RTSP_PORTS:
                if await _speaks_rtsp(address, port):
                    speaking.append((mac, port))
        done += 1
        progress("asking who answers like a camera", done / len(hosts))

    await asyncio.gather(*(one(mac, address) for mac, address in hosts.items() if address))
    return speaking


async def _speaks_rtsp(address: str, port: int) -> bool:
    shown = f"[{address.partition('%')[0]}]" if ":" in address else address
    question = f"OPTIONS rtsp://{shown}:{port}/ RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: camguard\r\n\r\n".encode()
    writer = None
    try:
        async with asyncio.timeout(ANSWER_S):
            reader, writer = await asyncio.open_connection(address, port)
            writer.write(question)
            return await reader.readexactly(7) == b"RTSP/1."
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False
    finally:
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _best_address(device: Device, interface: str) -> str:
    """Where to knock: its IPv4 address, else one of IPv6."""
    ips = sorted(device.ips, key=lambda ip: (":" in ip, ip.startswith("fe80"), ip))
    if not ips:
        return ""
    return f"{ips[0]}%{interface}" if ips[0].startswith("fe80") else ips[0]


def _order(device: Device) -> tuple[int, int]:
    first = min((ipaddress.ip_address(ip) for ip in device.ips), key=lambda ip: (ip.version, int(ip)))
    return first.version, int(first)
