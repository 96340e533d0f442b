"""The other end of a talk in words and as a dict: who it is, as far as it is known. Pure."""

from typing import Any

from camguard.events import Peer
from camguard.report.text import MAX_WHO, name

PEER_FIELDS = ("ip", "port", "name", "scope", "asn", "org", "country", "mac", "device")


def peer_dict(peer: Peer) -> dict[str, Any]:
    """The other end with all fields."""
    return {name: getattr(peer, name) for name in PEER_FIELDS}


def peer_of(made: dict[str, Any] | None) -> Peer | None:
    """A peer from its dict (what the store keeps)."""
    return None if made is None else Peer(**{key: made[key] for key in PEER_FIELDS})


def who(peer: Peer | None) -> str:
    """The other end for a sentence: "an address of OVH in France (51.68.x.x)", "your NVR", "an unknown device ..."."""
    if peer is None:
        return "somebody"
    address = name(peer.ip, 39)
    if peer.device and peer.device != peer.ip:
        return f"your device {name(peer.device, 28)}"
    if peer.scope == "lan":
        return f"an unknown device in your home network ({address})"
    if peer.scope == "gateway":
        return f"your router ({address})"
    if peer.scope == "multicast":
        return f"every device in your home network ({address})"
    if peer.org:
        place = f" in {name(peer.country, 24)}" if peer.country and peer.country not in peer.org else ""
        return f"an address of {name(peer.org, MAX_WHO)}{place} ({masked(peer.ip)})"
    if peer.country:
        return f"an address in {name(peer.country, 24)} ({masked(peer.ip)})"
    if peer.name:
        return f"{name(peer.name, MAX_WHO)} ({masked(peer.ip)})"
    if _private(peer.ip):
        return f"somebody behind your router ({address})"
    return f"an unknown address outside ({masked(peer.ip)})"


def who_short(peer: Peer | None) -> str:
    """The other end for a table: "OVH, France", the name the owner gave, "192.168.1.77 (at home)"."""
    if peer is None:
        return ""
    if peer.device:
        return name(peer.device, MAX_WHO)
    if peer.scope in ("lan", "gateway", "multicast"):
        word = {"lan": "at home", "gateway": "router", "multicast": "everybody at home"}[peer.scope]
        return f"{name(peer.name or peer.ip, MAX_WHO)} ({word})"
    first = peer.org or peer.name or ""
    known = [name(part, MAX_WHO) for part in (first, peer.country) if part and (part is first or part not in first)]
    return ", ".join(known) or f"{name(peer.ip, MAX_WHO)} (outside)"


def masked(ip: str) -> str:
    """An address for a lock screen: enough to recognise, not enough to be taken for a name."""
    if ":" in ip:
        parts = [part for part in ip.split(":") if part][:2]
        return ":".join(name(part, 4) for part in parts) + ":x"
    parts = ip.split(".")
    return f"{name(parts[0], 3)}.{name(parts[1], 3)}.x.x" if len(parts) == 4 else name(ip, 15)


def _private(ip: str) -> bool:
    return ip.startswith(("10.", "192.168.", "169.254.", "fc", "fd", "fe80:")) or (
        ip.startswith("172.") and ip.split(".")[1].isdigit() and 16 <= int(ip.split(".")[1]) <= 31
    )
