"""mDNS (RFC 6762) and service discovery in it (RFC 6763): how a device calls itself and what it offers.

In: a UDP payload from or to port 5353. Out: Reading("mdns", {asked, name, names, types, ips, model, speaks_camera}).
What a device claims: `names` are its hosts ("localcam.local") and services ("DCS-8000LH-5483"), `name` the best of them
to show, `types` its services ("_rtsp._tcp"), `ips` its addresses, `model` as its TXT says. Only an answer claims, and a
question that begs for a name before taking it (section 8.1: the records are in the authority section); the answers in
other questions are what others said (section 7.1). `asked`: the names that are looked for. Anybody can answer for
others (a router that repeats another network's talk does): what is claimed counts if `ips` is empty or has the sender's
address. A camera that has just got an address may say its old one first (captures of D-LinkDayCam), then the right one.
"""

import ipaddress
import struct
from typing import NamedTuple

from camguard.errors import Malformed
from camguard.protocols.dns import RECORDS_CAP, read_labels, read_name
from camguard.protocols.ssdp import calls_itself_camera
from camguard.protocols.text import Reading, printable

KEPT_CAP = 16  # names, types, addresses of one message
_A, _PTR, _TXT, _AAAA, _SRV = 1, 12, 16, 28, 33
#: rtsp, axis-video, axis-nvr, psia (cameras' HTTP interface): IANA's service names.
_CAMERA_TYPES = {"_rtsp._tcp", "_rtsps._tcp", "_axis-video._tcp", "_axis-nvr._tcp", "_psia._tcp"}
#: HomeKit accessory categories in the TXT of _hap._tcp: camera, video doorbell (HAP specification R2, table 12-3).
_HAP_CAMERAS = {"ci=17", "ci=18"}


class Record(NamedTuple):
    """One resource record: the labels of its owner, its type, and where its value stands."""

    owner: tuple[str, ...]
    kind: int
    at: int
    size: int


def read(payload: bytes) -> Reading:
    """One mDNS message. Its `from_server`: whether it answers."""
    if len(payload) < 12:
        raise Malformed("mdns-short")
    _, flags, questions, *counts = struct.unpack_from(">HHHHHH", payload)
    if (flags >> 11) & 15:
        raise Malformed("mdns-opcode")
    at, asked = 12, list[str]()
    for _ in range(min(questions, RECORDS_CAP)):
        name, at = read_name(payload, at)
        at += 4
        asked.append(printable(name, 255))
    records, answers = _records(payload, at, counts), bool(flags & 0x8000)
    claims = records[0] + records[2] if answers else records[1]
    hosts, services, types, ips, texts = (list[str]() for _ in range(5))
    for owner, kind, at, size in claims:
        if kind in (_A, _AAAA) and size == (4 if kind == _A else 16):
            hosts.append(".".join(owner))
            ips.append(str(ipaddress.ip_address(payload[at : at + size])))
        elif kind in (_SRV, _TXT) and len(owner) > 2:
            services.append(owner[0])
            types.append(_type(owner[1:]))
            if kind == _TXT:
                texts += _texts(payload[at : at + size])
        elif kind == _PTR and owner[:1] != ("_services",) and _type(owner):
            types.append(_type(owner))
            instance = _decoded(read_labels(payload, at)[0])
            services.append(instance[0] if len(instance) > 2 else "")
    models = [text.partition("=")[2] for text in texts if text.lower().startswith(("model=", "md=", "mdl="))]
    return Reading(
        "mdns",
        {
            "asked": _first(asked),
            "name": next(iter(_first(services) or [host.removesuffix(".local") for host in hosts]), None),
            "names": _first(hosts + services),
            "types": _first(types),
            "ips": _first(ips),
            "model": printable(models[0], 64) if models else None,
            "speaks_camera": not _CAMERA_TYPES.isdisjoint(types)
            or ("_hap._tcp" in types and not _HAP_CAMERAS.isdisjoint(texts))
            or calls_itself_camera(*services, *texts),
        },
        from_server=answers,
    )


def _records(payload: bytes, at: int, counts: list[int]) -> list[list[Record]]:
    """The records of class IN (its top bit: cache flush, section 10.2) of answers, authority and additional section."""
    sections: list[list[Record]] = []
    left = RECORDS_CAP
    for count in counts:
        sections.append([])
        for _ in range(min(count, left)):
            owner, at = read_labels(payload, at)
            if at + 10 > len(payload):
                raise Malformed("mdns-record")
            kind, klass, _, size = struct.unpack_from(">HHIH", payload, at)
            at += 10
            if at + size > len(payload):
                raise Malformed("mdns-record")
            if klass & 0x7FFF == 1:
                sections[-1].append(Record(_decoded(owner), kind, at, size))
            at += size
        left -= min(count, left)
    return sections


def _decoded(labels: list[bytes]) -> tuple[str, ...]:
    """Labels as text that is safe to show; they are UTF-8 (RFC 6762 section 16)."""
    return tuple(printable(label.decode("utf-8", "replace").strip(), 63) for label in labels)


def _type(owner: tuple[str, ...]) -> str:
    """ "_rtsp._tcp" of a service's owner name, its subtypes left out; "" where it is none (RFC 6763 sections 4, 7)."""
    if "_sub" in owner:
        owner = owner[owner.index("_sub") + 1 :]
    return ".".join(owner[:2]).lower() if len(owner) > 1 and owner[1].lower() in ("_tcp", "_udp") else ""


def _texts(data: bytes) -> list[str]:
    """The strings of a TXT record, the first KEPT_CAP (RFC 6763 section 6)."""
    found: list[str] = []
    at = 0
    while at < len(data) and len(found) < KEPT_CAP:
        found.append(data[at + 1 : at + 1 + data[at]].decode("utf-8", "replace"))
        at += 1 + data[at]
    return found


def _first(values: list[str]) -> tuple[str, ...]:
    """The different ones that say something, in their order, up to the cap."""
    return tuple(value for value in dict.fromkeys(values) if value)[:KEPT_CAP]
