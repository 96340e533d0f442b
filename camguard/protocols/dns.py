"""DNS (RFC 1035): which name was asked for and which addresses it has. Over UDP, over TCP, and mDNS (RFC 6762).

In: a UDP payload, or ordered TCP bytes. Out: Reading("dns", {qname, qtype, answers, rcode}); answers are text such as
"A 192.0.2.1", "AAAA 2001:db8::1", "CNAME cdn.example", and only those that belong to the name asked for, along its
CNAMEs. Names are lower case, without the last dot, and safe to print. An mDNS answer asks nothing: its first name
counts as asked for. Anybody can send one, and an unasked answer of port 53, too: who names peers must take an answer
only from a flow in which the camera itself asked port 53.
"""

import ipaddress
import struct
from typing import NamedTuple

from camguard.errors import Malformed
from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, NotMine, Reading

_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHIH")
_TYPES = {1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 15: "MX", 16: "TXT", 28: "AAAA", 33: "SRV", 65: "HTTPS"}
_TYPES[255] = "ANY"
RECORDS_CAP = 256  # a UDP answer holds fewer; a TCP answer of 64 KB cannot keep us busy
CHAIN_CAP = 16
NAME_CAP = 255
POINTERS_CAP = 32  # of one name; a real one has few, since each leads to a label
MESSAGES_CAP = 64  # read of one chunk of TCP
QUERY_CAP = 4096  # bytes
ASKED_CAP = 32  # questions without an answer in one connection


class Record(NamedTuple):
    """One resource record that is kept: owner name, type word, and its value as text."""

    owner: str
    kind: str
    value: str


def read(payload: bytes, tcp: bool = False) -> Reading:
    """One DNS message; with `tcp` it stands behind its two bytes of length. Its `from_server` is the QR bit."""
    if tcp:
        if len(payload) < 2 or int.from_bytes(payload[:2], "big") > len(payload) - 2:
            raise Malformed("dns-length")
        payload = payload[2 : 2 + int.from_bytes(payload[:2], "big")]
    if len(payload) < 12:
        raise Malformed("dns-short")
    _, flags, questions, answers, _, _ = _HEADER.unpack_from(payload)
    if (flags >> 11) & 15 != 0:
        raise Malformed("dns-opcode")
    at, qname, qtype = 12, "", ""
    for index in range(min(questions, RECORDS_CAP)):
        name, at = read_name(payload, at)
        if at + 4 > len(payload):
            raise Malformed("dns-question")
        if index == 0:
            kind = int.from_bytes(payload[at : at + 2], "big")
            qname, qtype = name, _TYPES.get(kind, f"TYPE{kind}")
        at += 4
    records = _records(payload, at, min(answers, RECORDS_CAP)) if flags & 0x8000 else []
    if not qname and records and not questions:
        qname, qtype = records[0].owner, records[0].kind
    return Reading(
        "dns",
        {"qname": qname, "qtype": qtype, "answers": _chain(qname, records), "rcode": flags & 15},
        from_server=bool(flags & 0x8000),
    )


def addresses(reading: Reading) -> list[tuple[str, str]]:
    """(name asked for, address) for each address in an answer; CNAMEs between the two are passed over."""
    qname, answers = reading.detail["qname"], reading.detail["answers"]
    if not isinstance(qname, str) or not isinstance(answers, tuple) or not qname:
        return []
    pairs = (answer.split(" ", 1) for answer in answers)
    return [(qname, value) for kind, value in pairs if kind in ("A", "AAAA")]


def _records(payload: bytes, at: int, count: int) -> list[Record]:
    """The answers that are kept: A, AAAA, CNAME, PTR, SRV of class IN (its top bit is mDNS's cache flush)."""
    records: list[Record] = []
    for _ in range(count):
        owner, at = read_name(payload, at)
        if at + 10 > len(payload):
            raise Malformed("dns-record")
        kind, klass, _, size = _RECORD.unpack_from(payload, at)
        at += 10
        if at + size > len(payload):
            raise Malformed("dns-record")
        value = _value(payload, at, kind, size) if klass & 0x7FFF == 1 else None
        if value is not None:
            records.append(Record(owner, _TYPES[kind], value))
        at += size
    return records


def _value(payload: bytes, at: int, kind: int, size: int) -> str | None:
    """A record's value as text, None for kinds that are not kept."""
    if kind in (1, 28):
        if size != (4 if kind == 1 else 16):
            raise Malformed("dns-address")
        return str(ipaddress.ip_address(payload[at : at + size]))
    if kind in (5, 12):
        return read_name(payload, at)[0]
    if kind == 33 and size >= 7:
        return read_name(payload, at + 6)[0]
    return None


def _chain(qname: str, records: list[Record]) -> tuple[str, ...]:
    """The records that answer for `qname`: its own and those of the names that its CNAMEs lead to, in that order."""
    names = [qname]
    answers: list[str] = []
    for name in names:  # grows while it is read, up to the cap
        for record in records:
            if record.owner != name:
                continue
            text = f"{record.kind} {record.value}"
            if text not in answers:
                answers.append(text)
            if record.kind == "CNAME" and record.value not in names and len(names) < CHAIN_CAP:
                names.append(record.value)
    return tuple(answers)


def read_name(payload: bytes, at: int) -> tuple[str, int]:
    """A name in lower case, safe to show (_label), and the offset behind it."""
    labels, behind = read_labels(payload, at)
    return ".".join(_label(label) for label in labels).lower(), behind


def read_labels(payload: bytes, at: int) -> tuple[list[bytes], int]:
    """The labels of a name as they are, and the offset behind it. Pointers must lead backwards, so a loop cannot be
    written (RFC 1035 4.1.4); a chain of them that gives no label would cost much time, so it is short."""
    labels: list[bytes] = []
    behind = -1
    limit, total, pointers = at, 0, 0
    while True:
        if at >= len(payload):
            raise Malformed("dns-name")
        size = payload[at]
        if size >= 0xC0:
            if at + 2 > len(payload):
                raise Malformed("dns-name")
            target = int.from_bytes(payload[at : at + 2], "big") & 0x3FFF
            behind = at + 2 if behind < 0 else behind
            pointers += 1
            if target >= limit or pointers > POINTERS_CAP:
                raise Malformed("dns-pointer")
            at = limit = target
            continue
        if size > 63:
            raise Malformed("dns-label")
        if size == 0:
            break
        total += size + 1
        if total >= NAME_CAP or at + 1 + size > len(payload):
            raise Malformed("dns-name")
        labels.append(payload[at + 1 : at + 1 + size])
        at += 1 + size
    return labels, at + 1 if behind < 0 else behind


def _label(raw: bytes) -> str:
    """A label as in a zone file: what is no plain character, and dots and backslashes in it, as \\DDD (RFC 4343)."""
    return "".join(chr(b) if 0x21 <= b <= 0x7E and b not in b".\\" else f"\\{b:03d}" for b in raw)


class Stream(NamedTuple):
    """Unread bytes from the camera and to it, whether anything was DNS yet, and the questions without an answer."""

    up: bytes = b""
    down: bytes = b""
    known: bool = False
    asked: tuple[tuple[bool, bytes, object], ...] = ()


def read_stream(state: Stream | NotMine | None, chunk: Chunk) -> tuple[Stream | NotMine, tuple[Reading, ...]]:
    """DNS over TCP (RFC 7766): messages behind two bytes of length each. A hole or a message that is none ends it.

    An answer counts only if the other side asked for it in this connection: else whoever connects to a camera could put
    names to addresses, and an owner's "*.example.com" would let them watch.
    """
    if isinstance(state, NotMine) or (chunk.gap and state is not None):
        return NOT_MINE, ()
    state = state or Stream()
    data = (state.up if chunk.up else state.down) + chunk.data
    readings: list[Reading] = []
    asked = state.asked
    for _ in range(MESSAGES_CAP):
        if not _may_be_dns(data):
            return NOT_MINE, tuple(readings)
        size = int.from_bytes(data[:2], "big")
        if len(data) < 2 or len(data) < 2 + size:
            break
        try:
            reading = read(data, tcp=True)
        except Malformed as error:
            if state.known or readings:
                readings.append(Reading("odd", {"name": str(error)}))
            return NOT_MINE, tuple(readings)
        question = (bool(reading.from_server) != chunk.up, data[2:4], reading.detail["qname"])
        if not reading.from_server:
            asked = (*asked[-(ASKED_CAP - 1) :], question)
        elif question in asked:
            asked = tuple(other for other in asked if other != question)
        else:
            return NOT_MINE, (*readings, Reading("odd", {"name": "dns-unasked"}))
        readings.append(reading)
        data = data[2 + size :]
    known = state.known or bool(readings)
    state = state._replace(known=known, asked=asked)
    return (state._replace(up=data) if chunk.up else state._replace(down=data)), tuple(readings)


def _may_be_dns(data: bytes) -> bool:
    """Whether bytes at a message start can be DNS, as far as they go: standard opcode, reserved bit, one question; a
    query is short and has no error code (a TLS hello fails by that)."""
    size = int.from_bytes(data[:2], "big")
    if len(data) >= 2 and size < 12:
        return False
    if len(data) >= 6:
        query = not data[4] & 0x80
        if data[4] >> 3 & 15 != 0 or data[5] & 0x40 or (query and (data[5] & 15 or size > QUERY_CAP)):
            return False
    return len(data) < 8 or data[6:8] == b"\0\x01"
