"""Who is on the link, and who a camera talks to. In: what ARP, NDP, DHCP and DNS said, and MACs; out: scopes, Peers.

A peer is judged by the *other MAC*, not by its address: what comes through the gateway's MAC is outside whatever
address it has (a stranger in the router's VPN has a private one), and a device with a MAC of its own is at home even
with a global IPv6 address. The gateway is learned from DHCP, router advertisements, ARP and the guard machine's own
route; a MAC that carries public IPv4 addresses is one too.

Every table is capped: a flood of made-up MACs or names costs memory for `DEVICES_MAX` devices, and `NAMES_MAX` names a
camera.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from camguard.events import Home, Own, Peer, Scope, SeenDevice
from camguard.places import Places
from camguard.protocols import Reading

DEVICES_MAX = 1024
NAMES_MAX = 512
IPS_PER_DEVICE = 8
#: An IPv6 peer's own MAC carries few networks at a time (its prefix, the one before: many providers give another one
#: each day); a router carries the world's.
GATEWAY_PREFIXES = 3
PREFIXES_S = 6 * 3600.0
HOME_PREFIXES_MAX = 64
GATEWAYS_MAX = 64
DAY_S = 86_400.0
_NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})+")

_PRIVATE = tuple(
    ipaddress.ip_network(text)
    for text in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
    )
)


def mac_text(mac: bytes) -> str:
    """6 bytes as "02:00:00:00:00:01"."""
    return mac.hex(":")


def ip_text(ip: bytes) -> str:
    """4 or 16 packed bytes as text; an IPv4 address mapped into IPv6 as IPv4."""
    address = ipaddress.ip_address(ip)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def network_of(ip: str, *, bits6: int) -> str:
    """The network around `ip`, as text: the /24 of an IPv4 address, the first `bits6` bits of an IPv6 one."""
    bits = 24 if ipaddress.ip_address(ip).version == 4 else bits6
    return str(ipaddress.ip_network((ip, bits), strict=False))


def is_private(ip: str) -> bool:
    """Whether `ip` is an address that only means something at home (RFC 1918, 4193, link-local, loopback)."""
    address = ipaddress.ip_address(ip)
    return any(address.version == network.version and address in network for network in _PRIVATE)


def is_group(mac: bytes, ip: bytes) -> bool:
    """Whether a packet to `mac` or `ip` is for several (broadcast, multicast)."""
    return bool(mac and mac[0] & 1) or ip[:1] == b"\xff" * (len(ip) == 16) or (len(ip) == 4 and ip[0] >= 224)


@dataclass(slots=True)
class _Seen:
    first_at: float
    last_at: float
    ips: list[str] = field(default_factory=list)
    name: str | None = None
    speaks_camera: bool = False
    told_at: float = float("-inf")
    changed: bool = True


class Neighbours:
    """What is known of the link. `now` is seconds on the guard's clock."""

    def __init__(self, home: Home, places: Places | None, own: Own) -> None:
        self.counters = {"devices-evicted": 0, "names-evicted": 0, "gateways-refused": 0}
        self._places = places
        self._seen: dict[bytes, _Seen] = {}
        self._names: dict[int, dict[str, tuple[str, float]]] = {}
        self._new_names: dict[tuple[int, str], str] = {}
        self._learned_macs: set[bytes] = set()
        self._prefixes: dict[bytes, dict[bytes, float]] = {}
        self._home_prefixes: dict[bytes, None] = {}
        self._latest_at = float("-inf")
        self._gateway_ips: set[str] = {ip_text(ip) for ip in own.gateway_ips}
        self.reload(home, own)

    def reload(self, home: Home, own: Own) -> None:
        """Takes a changed configuration, or a changed machine; what was learned stays."""
        self._own = own
        self._local = tuple(ipaddress.ip_network(text, strict=False) for text in home.local)
        self._configured = bytes.fromhex(home.gateway.replace(":", "")) if home.gateway else None
        self._gateway_ips |= {ip_text(ip) for ip in own.gateway_ips}
        self._own_ips = {ip_text(ip) for ip in own.ips}
        self._devices_by_mac = {device.mac: device.name for device in home.devices if device.mac} | {
            camera.mac: camera.name for camera in home.cameras if camera.mac
        }
        self._devices_by_ip = {ip: device.name for device in home.devices if not device.mac for ip in device.ips} | {
            ip: camera.name for camera in home.cameras if not camera.mac for ip in camera.ips
        }

    # ---- what was heard ----

    def said(self, reading: Reading, src_mac: bytes, now: float, src: bytes = b"") -> None:
        """What a device told its neighbours (listen.py's `link`); `src`: its address, where it spoke over IP."""
        detail = reading.detail
        mac = bytes.fromhex(str(detail["mac"]).replace(":", "")) if detail.get("mac") else src_mac
        ip = str(detail["ip"]) if detail.get("ip") else None
        if reading.what == "ws-discovery":
            self.speaks_camera(src_mac, now)
        elif reading.what in ("mdns", "ssdp"):
            self._announced(reading, src_mac, src, now)
        elif reading.what == "dhcp":
            name = detail.get("name")
            self.heard(mac, now, ip if detail["message"] == "ack" else None, str(name) if name else None)
            if detail.get("router") and reading.from_server:
                self.router(now, ip=str(detail["router"]))
        elif ip:
            self.binds(mac, ip, now)
        if reading.what == "ndp" and detail["kind"] == "ra":
            self._advertised(detail.get("prefixes"))
            if detail["router"]:
                self.router(now, ip=ip, mac=src_mac)

    def _advertised(self, prefixes: object) -> None:
        """On-link prefixes of a router advertisement (RFC 4861, 4.6.2): addresses in them are at home."""
        for text in prefixes if isinstance(prefixes, tuple) else ():
            network = ipaddress.ip_network(str(text), strict=False)
            if network.version == 6 and network.prefixlen == 64:
                self._home_prefixes[network.network_address.packed[:8]] = None
                if len(self._home_prefixes) > HOME_PREFIXES_MAX:
                    del self._home_prefixes[next(iter(self._home_prefixes))]

    def _announced(self, reading: Reading, src_mac: bytes, src: bytes, now: float) -> None:
        """What a device says of itself; a router that repeats the talk of another network says it of others."""
        detail, sender = reading.detail, ip_text(src) if src else ""
        ips = detail.get("ips")
        claimed = {*(ips if isinstance(ips, tuple) else ()), detail.get("host")} - {None}
        if claimed and sender not in claimed:
            return
        seen, name = self._seen.get(src_mac), detail.get("name")
        self.heard(src_mac, now, None, None if (seen and seen.name) or not name else str(name).removesuffix(".local"))
        if detail.get("speaks_camera"):
            self.speaks_camera(src_mac, now)

    def heard(self, mac: bytes, now: float, ip: str | None = None, name: str | None = None) -> None:
        """A frame of `mac` was seen; it says that it has `ip`, or is called `name`."""
        if not mac or mac[0] & 1 or mac == b"\0" * 6:
            return
        self._latest_at = max(self._latest_at, now)
        seen = self._seen.get(mac)
        if seen is None:
            if len(self._seen) >= DEVICES_MAX:
                oldest = min(self._seen, key=lambda known: self._seen[known].last_at)
                del self._seen[oldest]
                self.counters["devices-evicted"] += 1
            seen = self._seen[mac] = _Seen(now, now)
        seen.last_at = now
        if ip and ip not in seen.ips and ip not in ("0.0.0.0", "::"):  # noqa: S104
            seen.ips = [*seen.ips[1 - IPS_PER_DEVICE :], ip]
            seen.changed = True
        if name and name != seen.name:
            seen.name = name[:255]
            seen.changed = True

    def binds(self, mac: bytes, ip: str, now: float) -> None:
        """ARP, NDP or DHCP said that `ip` is at `mac`."""
        self.heard(mac, now, ip)
        if ip in self._gateway_ips:
            self._learn(mac)

    def router(self, now: float, *, ip: str | None = None, mac: bytes | None = None) -> None:
        """DHCP (option 3) or a router advertisement (RFC 4861, 4.2) named the way out."""
        if ip:
            if len(self._gateway_ips) < GATEWAYS_MAX:
                self._gateway_ips.add(ip)
            for known, seen in self._seen.items():
                if ip in seen.ips:
                    self._learn(known)
        if mac:
            self._learn(mac)
            self.heard(mac, now, ip)

    def carries(self, mac: bytes, ip: bytes) -> None:
        """A camera's packets to or from `ip` go through `mac`: learns a gateway where nothing else told one."""
        if not mac or mac in self._learned_macs or mac[0] & 1:
            return
        text = ip_text(ip)
        if is_private(text) or self._is_local(text):
            return
        if ":" not in text:
            self._learn(mac)
            return
        seen = self._seen.get(mac)
        if ip[:8] in self._home_prefixes or (seen and text in seen.ips):
            return
        if mac not in self._prefixes and len(self._prefixes) >= DEVICES_MAX:
            del self._prefixes[next(iter(self._prefixes))]
        prefixes = self._prefixes.setdefault(mac, {})
        prefixes[ip[:8]] = self._latest_at
        for prefix in [one for one, at in prefixes.items() if self._latest_at - at > PREFIXES_S]:
            del prefixes[prefix]
        if len(prefixes) >= GATEWAY_PREFIXES:
            self._learn(mac)

    def speaks_camera(self, mac: bytes, now: float) -> None:
        """The device answered like a camera (RTSP server, ONVIF)."""
        self.heard(mac, now)
        seen = self._seen.get(mac)
        if seen and not seen.speaks_camera:
            seen.speaks_camera = seen.changed = True

    def named(self, host: int, ip: str, name: str, now: float = float("-inf")) -> None:
        """Camera number `host` was told by DNS (or said itself, in TLS) that `name` is at `ip`."""
        names = self._names.setdefault(host, {})
        name = name[:255]
        before, told_at = names.pop(ip, ("", float("-inf")))
        if before != name or now - told_at > DAY_S:
            self._new_names[(host, ip)], told_at = name, now
        if len(names) >= NAMES_MAX:
            del names[next(iter(names))]
            self.counters["names-evicted"] += 1
        names[ip] = (name, told_at)

    def called(self, host: int, ip: str, name: str, now: float) -> None:
        """Camera number `host` calls its peer so (TLS, HTTP), perhaps with a port; an address is no name."""
        name = name.rpartition(":")[0] if name.rpartition(":")[2].isdigit() else name
        if _NAME.fullmatch(name.lower()) and not name.replace(".", "").isdigit():
            self.named(host, ip, name.lower(), now)

    def renumber(self, places: Mapping[int, int | None]) -> None:
        """Cameras have other numbers now: old -> new, None for one that is no more."""
        self._names = {new: self._names[old] for old, new in places.items() if new is not None and old in self._names}

    def take_new_names(self) -> list[tuple[int, str, str]]:
        """(camera's number, address, name) that were learned since the last call, or heard again after a day."""
        new = [(host, ip, name) for (host, ip), name in self._new_names.items()]
        self._new_names.clear()
        return new

    # ---- what follows ----

    def scope(self, ip: bytes, mac: bytes) -> Scope:
        """Where a peer is; `mac` is the other MAC of its packets, b"" where no MAC is seen."""
        text = ip_text(ip)
        if is_group(mac, ip):
            return "multicast"
        if self._is_local(text):
            return "lan"
        if self._is_gateway(mac):
            at_gateway = text in self._gateway_ips or (self._own.routes and text in self._own_ips)
            return "gateway" if at_gateway or text in self._ips_of(mac) else "wan"
        if mac and (is_private(text) or self._learned_macs or self._configured or self._own.routes):
            return "lan"
        return "lan" if is_private(text) else "wan"

    def peer(self, host: int, ip: bytes, port: int, mac: bytes) -> Peer:
        """All that is known of the other end."""
        text = ip_text(ip)
        scope = self.scope(ip, mac)
        place = self._places.network(text) if self._places and scope == "wan" else None
        at_home = scope == "lan" and mac
        device = self._devices_by_mac.get(mac_text(mac)) if at_home else None
        seen = self._seen.get(mac) if at_home else None
        return Peer(
            ip=text,
            port=port or None,
            name=self._names.get(host, {}).get(text, ("",))[0] or (seen.name if seen else None),
            scope=scope,
            asn=place.asn if place else None,
            org=place.org if place else None,
            country=place.country if place else None,
            mac=mac_text(mac) if at_home else None,
            device=device or (None if scope == "wan" and is_private(text) else self._devices_by_ip.get(text)),
        )

    def may_be_router(self, mac: bytes) -> bool:
        """Whether it is the way out, or nobody knows which device is."""
        known = self._learned_macs or self._configured or self._own.routes
        return self._is_gateway(mac) or not known or not mac

    def is_own(self, ip: bytes) -> bool:
        """Whether `ip` is an address of the guard's own machine."""
        return ip in self._own.ips

    def ips_of(self, mac: bytes) -> tuple[str, ...]:
        """The latest addresses of a device, newest last."""
        return tuple(self._ips_of(mac))

    def changed_devices(self, now: float, offset_s: float) -> list[SeenDevice]:
        """Devices with something new since the last call, or last told over a minute ago and seen since."""
        out = []
        for mac, seen in self._seen.items():
            if seen.changed or (seen.last_at > seen.told_at and now - seen.told_at >= 60):
                seen.changed, seen.told_at = False, now
                out.append(
                    SeenDevice(
                        mac_text(mac),
                        tuple(seen.ips),
                        seen.name,
                        seen.first_at + offset_s,
                        seen.last_at + offset_s,
                        seen.speaks_camera,
                    )
                )
        return out

    def _learn(self, mac: bytes) -> None:
        if len(self._learned_macs) < GATEWAYS_MAX:
            self._learned_macs.add(mac)
        else:
            self.counters["gateways-refused"] += 1

    def _ips_of(self, mac: bytes) -> Iterable[str]:
        seen = self._seen.get(mac)
        return seen.ips if seen else ()

    def _is_local(self, ip: str) -> bool:
        address = ipaddress.ip_address(ip)
        return any(address.version == network.version and address in network for network in self._local)

    def _is_gateway(self, mac: bytes) -> bool:
        if not mac:
            return False
        if self._configured:
            return mac == self._configured
        return mac in self._learned_macs or (self._own.routes and mac in self._own.macs)
