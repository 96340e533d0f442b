"""The simulated home: cameras, who belongs to it, addresses outside, and the frames that the link hears."""

import ipaddress
import random
from collections.abc import Iterator
from typing import NamedTuple

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_RA, ICMPv6NDOptDstLLAddr, ICMPv6NDOptPrefixInfo, IPv6
from scapy.layers.l2 import ARP, Ether

from camguard.events import Camera, Device, Expect, Frame, Home, Own
from tests.traffic import frame

GATEWAY_MAC, GATEWAY_IP = "02:00:00:00:00:fe", "192.168.1.1"
NVR, PHONE = ("02:00:00:00:00:20", "192.168.1.20"), ("02:00:00:00:00:21", "192.168.1.21")
#: What a camera is, in turn: how its owner sees it and where its clips go.
KINDS = ("relay", "p2p", "recorder", "cloud-ruled", "cloud", "wifi")
NAMES = ("porch", "nursery", "garage", "shop", "attic", "hall")
#: A maker's names (places' clouds.json has them) and the servers behind: clips, relays, heartbeats, recording.
CLIPS, RELAYS, BEATS, RECORDING, FIRMWARE = "clips", "relay", "beat", "recording", "firmware"
DOMAINS = {CLIPS: "clips.ezvizlife.com", RELAYS: "vtm.ezvizlife.com", BEATS: "eucas.ezvizlife.com",
           RECORDING: "stream-eu.dropcam.com", FIRMWARE: "update.ezvizlife.com"}  # fmt: skip
SERVERS = {CLIPS: 5, RELAYS: 12, BEATS: 1, RECORDING: 1, FIRMWARE: 1}


class Cam(NamedTuple):
    """A camera here; `number` as the ledger counts it."""

    number: int
    name: str
    kind: str
    mac: str

    def ip(self, renewed: bool) -> str:
        """Its address, before and after DHCP gave it another one."""
        return f"192.168.1.{100 + self.number + 50 * renewed}"


def cameras(count: int) -> tuple[Cam, ...]:
    """`count` cameras, of each kind in turn."""
    return tuple(
        Cam(n + 1, NAMES[n] if n < len(NAMES) else f"{NAMES[n % len(NAMES)]}-{n // len(NAMES) + 1}",
            KINDS[n % len(KINDS)], f"02:00:00:00:01:{n + 1:02x}")
        for n in range(count)
    )  # fmt: skip


def configured(cams: tuple[Cam, ...]) -> Home:
    """What its owner wrote: the recorder may look, one camera's cloud recording is expected, the other's is not."""
    ruled = [cam.name for cam in cams if cam.kind == "cloud-ruled"]
    return Home(
        cameras=tuple(Camera(cam.name, cam.mac) for cam in cams),
        devices=(Device("nvr", NVR[0]), Device("phone", PHONE[0], owner=True)),
        expects=(
            Expect(peer="nvr", kinds=("stream",)),
            *(Expect(name, "stream-*.dropcam.com", ("stream",)) for name in ruled),
        ),
        gateway=GATEWAY_MAC,
    )


OWN = Own(gateway_ips=frozenset({ipaddress.ip_address(GATEWAY_IP).packed}))


def server(what: str, number: int = 0) -> str:
    """A server of the maker; documentation addresses (RFC 5737)."""
    return f"198.51.100.{10 + 20 * list(SERVERS).index(what) + number % SERVERS[what]}"


class Strangers:
    """Fresh addresses outside and at home, none twice in a while."""

    def __init__(self, dice: random.Random) -> None:
        self._dice, self._count = dice, 0

    def outside(self, *, six: bool = False) -> str:
        """Somebody outside: benchmark addresses (RFC 2544), documentation ones for IPv6 (RFC 3849)."""
        self._count += 1
        if six:
            return str(ipaddress.ip_address("2001:db8:99::1") + self._count)
        return str(ipaddress.ip_address("198.18.0.1") + self._count)

    def at_home(self) -> tuple[str, str]:
        """MAC and address of a device that nobody named."""
        self._count += 1
        return (
            f"02:00:00:01:{self._count // 256 % 256:02x}:{self._count % 256:02x}",
            f"192.168.2.{self._count % 250 + 1}",
        )


# ---- what the link hears ---------------------------------------------------------------------------------------------


def asks_names(at: float, cam: Cam, ip: str) -> Iterator[Frame]:
    """The camera asks its router for each name of its maker, and is told (RFC 1035)."""
    camera, router = Ether(src=cam.mac, dst=GATEWAY_MAC), Ether(src=GATEWAY_MAC, dst=cam.mac)
    for number, (what, name) in enumerate(DOMAINS.items()):
        port, when = 41000 + number, at + 0.02 * number
        question = DNSQR(qname=name)
        yield frame(camera / IP(src=ip, dst=GATEWAY_IP) / UDP(sport=port, dport=53) / DNS(id=number, qd=question), when)
        records = [DNSRR(rrname=name, ttl=60, rdata=server(what, n)) for n in range(SERVERS[what])]
        answer = DNS(id=number, qr=1, qd=question, an=records)
        yield frame(router / IP(src=GATEWAY_IP, dst=ip) / UDP(sport=53, dport=port) / answer, when + 0.01)


def is_here(at: float, mac: str, ip: str) -> Frame:
    """A device announces its address (RFC 5227)."""
    return frame(Ether(src=mac, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=mac, psrc=ip, pdst=ip), at)


def gets_address(at: float, mac: str, ip: str) -> Iterator[Frame]:
    """The router gives an address (RFC 2131), and the device announces it."""
    client = bytes.fromhex(mac.replace(":", ""))
    asked = BOOTP(op=1, chaddr=client, xid=7) / DHCP(
        options=[("message-type", "request"), ("requested_addr", ip), "end"]
    )
    given = BOOTP(op=2, chaddr=client, xid=7, yiaddr=ip) / DHCP(
        options=[("message-type", "ack"), ("server_id", GATEWAY_IP), ("router", GATEWAY_IP), "end"]
    )
    every, whole = "ff:ff:ff:ff:ff:ff", IP(src="0.0.0.0", dst="255.255.255.255")
    yield frame(Ether(src=mac, dst=every) / whole / UDP(sport=68, dport=67) / asked, at)
    yield frame(
        Ether(src=GATEWAY_MAC, dst=mac) / IP(src=GATEWAY_IP, dst=ip) / UDP(sport=67, dport=68) / given, at + 0.02
    )
    yield is_here(at + 0.1, mac, ip)


def new_prefix(at: float, prefix: str, macs: list[str]) -> Iterator[Frame]:
    """The provider gives another IPv6 network: the router says so (RFC 4861), everybody has a new address."""
    router = "fe80::ff:fe00:fe"
    advert = IPv6(src=router, dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800)
    yield frame(Ether(src=GATEWAY_MAC, dst="33:33:00:00:00:01") / advert / ICMPv6NDOptPrefixInfo(prefix=prefix), at)
    for number, mac in enumerate(macs):
        ip = address_in(prefix, mac)
        told = IPv6(src=ip, dst="ff02::1", hlim=255) / ICMPv6ND_NA(tgt=ip, R=0, O=1) / ICMPv6NDOptDstLLAddr(lladdr=mac)
        yield frame(Ether(src=mac, dst="33:33:00:00:00:01") / told, at + 0.1 + 0.01 * number)


def address_in(prefix: str, mac: str) -> str:
    """The address of a device in a network, of its MAC (RFC 4291, appendix A)."""
    raw = bytes.fromhex(mac.replace(":", ""))
    tail = bytes([raw[0] ^ 2, raw[1], raw[2], 0xFF, 0xFE, *raw[3:]])
    return str(ipaddress.ip_address(ipaddress.ip_address(prefix).packed[:8] + tail))
