"""Where an address is, whose it is, who made a device, which domain a name belongs to: look-ups in shipped tables.

In: an address, a MAC or a name as text. Out: names for a homeowner ("OVH", "France", "Hikvision"), None where nothing
is known. The country is that of the address's registration; a hosting company's machine may stand elsewhere. The tables
(made by .ci/tables, described in tables/README.md) are mapped, not loaded; opening them reads nothing but their heads.
"""

import ipaddress
import json
import mmap
import re
import struct
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList  # type: ignore[import-untyped,unused-ignore]

BLOCK = 1024  # ranges a block; the head of a table holds the first start of each, so one look-up touches one block
CACHE_CAP = 4096  # addresses remembered by one Places

_GEO_HEAD = struct.Struct("<8s6I")  # magic, ranges of IPv4, of IPv6, networks, bytes of names, countries, 0
_OUI_HEAD = struct.Struct("<8s2I")  # magic, makers' blocks, bytes of names
GEO_MAGIC, OUI_MAGIC = b"cgGEO\0\0\1", b"cgOUI\0\0\1"


class Network(NamedTuple):
    """Who announces an address (None: nobody is known to) and in which country it is registered."""

    asn: int | None
    org: str | None
    country: str | None


class Places:
    """The shipped tables, or those in `folder`. Not for use by several threads at once."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(__file__).parent / "tables"
        self._known: dict[str, Network | None] = {}

    @cached_property
    def date(self) -> str:
        """The day of the oldest data, "2026-06-17"."""
        return str(json.loads((self._folder / "manifest.json").read_text("utf-8"))["date"])

    def network(self, ip: str) -> Network | None:
        """Owner and country of a public address; None for local and reserved ones, unknown ones, and what is none."""
        if ip not in self._known:
            if len(self._known) >= CACHE_CAP:
                self._known.clear()
            self._known[ip] = self._network(ip)
        return self._known[ip]

    def _network(self, ip: str) -> Network | None:
        try:
            address = ipaddress.ip_address(ip.partition("%")[0])
        except ValueError:
            return None
        if isinstance(address, ipaddress.IPv6Address):
            address = address.ipv4_mapped or _carried(address) or address
        if not address.is_global or address.is_multicast:
            return None
        asn, org, country = self._geo.find(address)
        self._geo.rest()
        return Network(asn, org, self._countries.get(country, country) or None) if asn or country else None

    def maker(self, mac: str) -> str | None:
        """The maker of a network card, None for one that made its address up (locally administered) or is unknown."""
        try:
            raw = bytes.fromhex(mac.replace(":", "").replace("-", ""))
        except ValueError:
            return None
        if len(raw) != 6 or raw[0] & 3:  # bit 0: a group; bit 1: locally administered
            return None
        found = self._oui.find(int.from_bytes(raw[:3], "big"))
        self._oui.rest()
        return found

    def domain(self, name: str) -> str | None:
        """The part of a name that somebody registered: "example.co.uk" of "p2p.example.co.uk"."""
        found = self._suffixes.privatesuffix(name.rstrip(".").lower()) if "." in name else None
        return None if found is None else str(found)

    def cloud(self, name: str) -> str | None:
        """The camera maker whose cloud `name` belongs to; only names that a second source confirmed."""
        parts = name.rstrip(".").lower().split(".")
        return next((self._clouds[n] for i in range(len(parts)) if (n := ".".join(parts[i:])) in self._clouds), None)

    @cached_property
    def _geo(self) -> "_Geo":
        return _Geo(_map(self._folder / "geo.bin"))

    @cached_property
    def _oui(self) -> "_Oui":
        return _Oui(_map(self._folder / "oui.bin"))

    @cached_property
    def _countries(self) -> dict[str, str]:
        return dict(json.loads((self._folder / "countries.json").read_text("utf-8")))

    @cached_property
    def _clouds(self) -> dict[str, str]:
        rows = json.loads((self._folder / "clouds.json").read_text("utf-8"))
        return {row["name"]: row["maker"] for row in rows if row["confirmed"]}

    @cached_property
    def _suffixes(self) -> "PublicSuffixList":
        from publicsuffixlist import PublicSuffixList  # 70 ms and 12 MB: only where a name is asked for

        return PublicSuffixList(accept_unknown=False)


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address in a 6to4 or NAT64 one (RFC 3056, RFC 6052)."""
    if address.sixtofour:
        return address.sixtofour
    return ipaddress.IPv4Address(address.packed[12:]) if address.packed[:12] == b"\0\x64\xff\x9b" + bytes(8) else None


def _map(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


class _Table:
    """A mapped file. A look-up makes the kernel map far more pages than it reads; `rest` hands them back (7 us)."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data

    def rest(self) -> None:
        self._data.madvise(mmap.MADV_DONTNEED)


class _Names(NamedTuple):
    """Names one behind the other, each with its length before it; the offset is the key."""

    data: mmap.mmap
    at: int

    def get(self, offset: int) -> str:
        start = self.at + offset
        return self.data[start + 1 : start + 1 + self.data[start]].decode("utf-8")


class _Ranges:
    """Sorted range starts with one number each, in two arrays behind an array of each block's first start."""

    def __init__(self, data: mmap.mmap, at: int, count: int, code: str) -> None:
        self._data, self._code, self._width = data, code, array(code).itemsize
        blocks = -(-count // BLOCK)
        self._heads: Sequence[int] = array(code, data[at : at + blocks * self._width])
        self._starts = at + blocks * self._width
        self._values = self._starts + count * self._width
        self._count = count
        self.end = self._values + 4 * count

    def find(self, number: int) -> int:
        """The number of the last range that starts at or before `number`, 0 if there is none."""
        block = bisect_right(self._heads, number) - 1
        if block < 0:
            return 0
        first, last = block * BLOCK, min((block + 1) * BLOCK, self._count)
        starts = array(self._code, self._data[self._starts + first * self._width : self._starts + last * self._width])
        at = self._values + 4 * (first + bisect_right(starts, number) - 1)
        return int.from_bytes(self._data[at : at + 4], "little")


class _Geo(_Table):
    """geo.bin: head, ranges of IPv4 (u32), ranges of IPv6 (first 64 bits), networks, names, country codes.

    A range's number is network << 8 | country, both 0 where unknown; a network is an AS number and a name's offset.
    """

    def __init__(self, data: mmap.mmap) -> None:
        magic, count4, count6, networks, names, countries, _ = _GEO_HEAD.unpack_from(data)
        if magic != GEO_MAGIC:
            raise ValueError("geo.bin is of another version of camguard")
        super().__init__(data)
        self._v4 = _Ranges(data, _GEO_HEAD.size, count4, "I")
        self._v6 = _Ranges(data, self._v4.end, count6, "Q")
        self._networks = self._v6.end
        self._names = _Names(data, self._networks + 8 * networks)
        at = self._names.at + names
        self._codes = data[at : at + 2 * countries].decode("ascii")

    def find(self, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[int | None, str | None, str]:
        """(AS number, organisation, country code or "")."""
        value = self._v4.find(int(address)) if address.version == 4 else self._v6.find(int(address) >> 64)
        network, country = value >> 8, value & 255
        code = self._codes[2 * country - 2 : 2 * country] if country else ""
        if not network:
            return None, None, code
        asn, name = struct.unpack_from("<II", self._data, self._networks + 8 * (network - 1))
        return asn, self._names.get(name) or None, code


class _Oui(_Table):
    """oui.bin: head, sorted 24-bit prefixes with a name's offset + 1 each, names."""

    def __init__(self, data: mmap.mmap) -> None:
        magic, count, _ = _OUI_HEAD.unpack_from(data)
        if magic != OUI_MAGIC:
            raise ValueError("oui.bin is of another version of camguard")
        super().__init__(data)
        self._ranges = _Ranges(data, _OUI_HEAD.size, count, "I")
        self._names = _Names(data, self._ranges.end)

    def find(self, prefix: int) -> str | None:
        """The maker of exactly this prefix; free prefixes between two makers are ranges with no name."""
        offset = self._ranges.find(prefix)
        return self._names.get(offset - 1) if offset else None


# ---- names for a homeowner --------------------------------------------------------------------------------

#: What people call the big ones, by the start of the registered name in lower case.
_CALLED = (
    ("amazon", "Amazon"),
    ("google", "Google"),
    ("microsoft", "Microsoft"),
    ("apple inc", "Apple"),
    ("cloudflare", "Cloudflare"),
    ("hangzhou alibaba", "Alibaba"),
    ("alibaba", "Alibaba"),
    ("shenzhen tencent", "Tencent"),
    ("tencent", "Tencent"),
    ("huawei cloud", "Huawei Cloud"),
    ("facebook", "Meta"),
    ("meta platforms", "Meta"),
    ("akamai", "Akamai"),
    ("digitalocean", "DigitalOcean"),
    ("oracle corp", "Oracle"),
    ("hetzner", "Hetzner"),
    ("ovh", "OVH"),
    ("telefonica de espana", "Telefónica"),
    ("telefonica germany", "Telefónica Germany"),
    ("societe francaise du radiotelephone", "SFR"),
    ("british telecommunications", "BT"),
    ("comcast", "Comcast"),
    ("chinanet", "China Telecom"),
    ("china unicom", "China Unicom"),
    ("united states department of defense", "US Department of Defense"),
    ("hangzhou hikvision", "Hikvision"),
    ("hangzhou ezviz", "EZVIZ"),
    ("zhejiang dahua", "Dahua"),
    ("reolink", "Reolink"),
    ("tp-link", "TP-Link"),
    ("wyze labs", "Wyze"),
    ("ring llc", "Ring"),
    ("blink by amazon", "Blink"),
    ("nest labs", "Nest"),
    ("anker innovations", "Anker (eufy)"),
    ("axis communications", "Axis"),
    ("ubiquiti", "Ubiquiti"),
    ("tuya smart", "Tuya"),
    ("espressif", "Espressif"),
    ("raspberry pi", "Raspberry Pi"),
    ("amcrest", "Amcrest"),
    ("arlo tech", "Arlo"),
    ("vivotek", "Vivotek"),
    ("hanwha vision", "Hanwha Vision"),
    ("xiaomi", "Xiaomi"),
    ("beijing xiaomi", "Xiaomi"),
    ("d-link", "D-Link"),
)

#: Words at the end of a name that are its legal form only, without their dots.
_FORM = re.compile(
    r"a/s|ab|ag|akcyjna|aktiebolag|anonim|anonima|ao|aps|as|asa|asi|berhad|bhd|bv|bvba|ca|"
    r"cjsc|co|company|corp|corporation|cv|doo|eireli|epp|ev|gmbh|inc|incorporated|joint|jsc|"
    r"kft|kg|kgaa|kk|lda|liability|limited|llc|llp|lp|ltd|ltda|mbh|me|nv|ohg|ojsc|oo|"
    r"ooo|oou|oy|oyj|partnership|pjsc|plc|private|proprietary|pt|pte|pty|pvt|rl|s/a|sa|"
    r"sarl|sas|sasu|sau|sdn|se|sirketi|sl|slu|sociedad|sp|spa|spolka|sprl|srl|sro|sti|"
    r"stock|tbk|uab|ug|z|zoo|zrt"
)
_ONLY_INSIDE = frozenset({"de", "&", "und", "o", "-", ""})  # go only where a legal form stood behind them
_HEADS = re.compile(
    r"(?i)^(?:(?:pt\.?|ooo|oao|zao|pjsc|jsc|llc|limited liability company|joint stock company) )+(?=\S)"
)
_HANDLE = re.compile(r"(?:AS-)?([A-Z][A-Z0-9]{2,})(?:-[A-Z0-9]+)*-(?:AS\d*|ASN\d*|NET|\d+)")
_LITTLE = frozenset(("a", "and", "da", "de", "del", "der", "di", "do", "e", "et", "for", "la", "of", "the", "und", "y"))
_LONG = re.compile(r"\b[A-Z]{4,}\b")
ORG_CAP = 40  # characters


def tidy(name: str) -> str:
    """A registered name as a person says it: "OVH SAS" -> "OVH", "Deutsche Telekom AG" -> "Deutsche Telekom"."""
    name = " ".join("".join(c if c.isprintable() and c != '"' else " " for c in name).split())
    called = next((short for start, short in _CALLED if name.lower().startswith(start)), None)
    if called is not None:
        return called
    if handle := _HANDLE.fullmatch(name):
        name = handle.group(1)
    words = _HEADS.sub("", name).replace(",", ", ").split()
    kept = len(words)
    while kept > 1 and _is_form(words[kept - 1], inside=kept < len(words)):
        kept -= 1
    words = _calm(words[:kept])
    while len(" ".join(words)) > ORG_CAP and len(words) > 1:
        words.pop()
        while len(words) > 1 and words[-1].lower() in _LITTLE:
            words.pop()
    return " ".join(words).strip(" .,-&(")[:ORG_CAP]


def _is_form(word: str, inside: bool) -> bool:
    """Whether the last word of a name is a legal form; `inside`: another one stood behind it."""
    bare = re.sub(r"[.,()]", "", word).lower()
    return _FORM.fullmatch(bare) is not None or (inside and bare in _ONLY_INSIDE)


def _calm(words: list[str]) -> list[str]:
    """A name in capitals only, in ordinary writing; abbreviations of up to three letters stay."""
    if not " ".join(words).isupper() or all(len(word) < 5 for word in words):
        return words
    written = [_LONG.sub(lambda hit: hit.group().capitalize(), word) for word in words]
    return [word.lower() if i and word.lower() in _LITTLE else word for i, word in enumerate(written)]
