"""How an owner may write a MAC, an address, a network; nearest words; time zones. ValueErrors are sentences."""

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def nearest(word: str, known: Iterable[str]) -> str:
    """' Did you mean "porch"?' where something known is near, else ''."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""


def machine_timezone() -> str:
    """The name of the machine's time zone; UTC where it has none that is known by name."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    try:
        candidates.append(os.path.realpath("/etc/localtime").partition("zoneinfo/")[2])
        candidates.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        pass
    return next((name for name in candidates if name and zone_known(name)), "UTC")


def zone_known(name: str) -> bool:
    """Whether it names a time zone of the machine's table."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def mac_text(text: str) -> str:
    """A MAC as camguard writes it, "02:00:00:00:00:01"; ValueError with a sentence for anything else."""
    digits = re.sub(r"[:.\-]", "", text.strip()).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise ValueError(f'"{text}" is no MAC; one looks like 02:00:00:00:00:01.')
    if int(digits[:2], 16) & 1:
        raise ValueError(f'"{text}" is the address of a group, not of one device.')
    if digits == "0" * 12:
        raise ValueError(f'"{text}" is the MAC of no device.')
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def ip_text(text: str) -> str:
    """An address in its usual form; ValueError with a sentence for anything else."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ValueError(f'"{text}" is no address; one looks like 192.168.1.40.') from None
    if address.is_multicast or address.is_unspecified:
        raise ValueError(f'"{text}" is not the address of one device.')
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise ValueError(f'"{text}": write the address without "%{address.scope_id}".')
    return str(address)


def net_text(text: str) -> str:
    """A network in its usual form; ValueError with a sentence for anything else."""
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f'"{text}" is no network; one looks like 192.168.50.0/24.') from None
    raise ValueError(f'"{text}" is an address inside a network. Did you mean "{meant}"?')
