"""Capture files -> Frame: pcap (four magics), pcapng; ERF through scapy. For replay and tests.

Streaming: a file of any size costs about 2 MB. What a file claims is not believed: lengths are capped, and whatever
does not fit is a counted oddity in `Reading.odd`, by these names:

    cut                 the file ends inside a record (it was copied while it was written, or the disk was full)
    length              a record longer than 1 MiB, or a block that cannot be: nothing after it can be read
    wire-length         the length on the wire is absurd or shorter than what was captured: the captured one is taken
    block-length        the two lengths of a pcapng block differ
    interface           a pcapng packet of an interface that was not described (or of one beyond the 4096th)
    byte-order          a pcapng section that says neither little nor big endian
    compressed          the gzip layer is damaged: nothing after it can be read

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. Lengths include no FCS as tcpdump and dumpcap write them.
"""

import gzip
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, cast

from camguard.errors import CaptureError
from camguard.events import Frame

_CHUNK = 256 * 1024
#: Larger than any frame: the kernel merges up to 512 KiB ("big TCP"), tcpdump's own limit is 256 KiB.
_MAX_FRAME = 1024 * 1024
_MAX_INTERFACES = 4096

_PCAP = {
    b"\xa1\xb2\xc3\xd4": (">", 1_000_000),
    b"\xd4\xc3\xb2\xa1": ("<", 1_000_000),
    b"\xa1\xb2\x3c\x4d": (">", 1_000_000_000),
    b"\x4d\x3c\xb2\xa1": ("<", 1_000_000_000),
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_GZIP = b"\x1f\x8b"
_SECTION, _INTERFACE, _OLD_PACKET, _SIMPLE_PACKET, _PACKET = 0x0A0D0D0A, 1, 2, 3, 6
_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}

_new = tuple.__new__


class Reading:
    """One capture file, read once: iterate for its frames, then look at `odd`. CaptureError if it is no capture."""

    def __init__(self, path: Path) -> None:
        self.odd: Counter[str] = Counter()
        self._path = path
        try:
            self._file: BufferedReader = path.open("rb")
            magic = self._file.read(4)
            self._file.seek(0)
            if magic[:2] == _GZIP:
                self._file.close()
                self._file = cast(BufferedReader, gzip.open(path, "rb"))  # noqa: SIM115 - __iter__ closes it
                magic = self._file.read(4)
                self._file.seek(0)
        except (OSError, EOFError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            raise CaptureError(f"cannot read {path}: {reason}. Give a pcap or pcapng file that exists.") from error
        if magic in _PCAP:
            self._frames = self._pcap(*_PCAP[magic])
        elif magic == _PCAPNG:
            self._frames = self._pcapng()
        elif path.suffix == ".erf":
            self._frames = self._scapy()
        else:
            self._file.close()
            raise CaptureError(
                f"{path} is no capture file (pcap, pcapng, erf). Give a file that tcpdump, dumpcap or Wireshark wrote."
            )

    def __iter__(self) -> Iterator[Frame]:
        try:
            yield from self._frames
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self.odd["compressed"] += 1
        except OSError as error:
            raise CaptureError(
                f"cannot read {self._path} to its end: {error.strerror}. Copy the file again."
            ) from error
        finally:
            self._file.close()

    def _pcap(self, order: str, units: int) -> Iterator[Frame]:
        header = self._file.read(24)
        if len(header) < 24:
            self.odd["cut"] += 1
            return
        # the upper bits tell of a frame check sequence; no known writer of Ethernet captures sets them
        link = struct.unpack(order + "I", header[20:])[0] & 0xFFFF
        record = struct.Struct(order + "IIII").unpack_from
        buffer = b""
        at = 0
        while chunk := self._file.read1(_CHUNK):
            buffer = buffer[at:] + chunk
            at, end = 0, len(buffer)
            while at + 16 <= end:
                seconds, part, captured, wire = record(buffer, at)
                if captured > _MAX_FRAME:
                    self.odd["length"] += 1
                    return
                start = at + 16
                stop = start + captured
                if stop > end:
                    break
                if not captured <= wire <= _MAX_FRAME:
                    self.odd["wire-length"] += 1
                    wire = captured
                yield _new(Frame, (seconds + part / units, buffer[start:stop], wire, link, 0, 0))
                at = stop
        if at < len(buffer):
            self.odd["cut"] += 1

    def _pcapng(self) -> Iterator[Frame]:  # noqa: PLR0912 - one branch for each way in which a block lies
        section = _Section("<")
        buffer = b""
        at = skip = 0
        while chunk := self._file.read1(_CHUNK):
            buffer = buffer[at:] + chunk
            at, end = 0, len(buffer)
            while at + 12 <= end or skip:
                if skip:  # the rest of a block too large to hold
                    step = min(skip, end - at)
                    at, skip = at + step, skip - step
                    if skip:
                        break
                    continue
                if buffer[at : at + 4] == _PCAPNG:
                    order = _ORDERS.get(buffer[at + 8 : at + 12])
                    if order is None:
                        self.odd["byte-order"] += 1
                        return
                    section = _Section(order, section.last_at)
                kind, length = section.block(buffer, at)
                if length < 12 or length % 4:
                    self.odd["length"] += 1
                    return
                if length > _MAX_FRAME + _CHUNK:
                    if kind in (_PACKET, _SIMPLE_PACKET, _OLD_PACKET):
                        self.odd["length"] += 1
                    skip = length
                    continue
                if at + length > end:
                    break
                if buffer[at + length - 4 : at + length] != buffer[at + 4 : at + 8]:
                    self.odd["block-length"] += 1
                frame = section.read(kind, buffer[at + 8 : at + length - 4], self.odd)
                if frame is not None:
                    yield frame
                at += length
        if at < len(buffer) or skip:
            self.odd["cut"] += 1

    def _scapy(self) -> Iterator[Frame]:
        """ERF, frame by frame: slow, and good enough for a file of an appliance now and then."""
        from scapy.error import Scapy_Exception
        from scapy.utils import ERFEthernetReader

        with ERFEthernetReader(str(self._path)) as reader:
            while True:
                try:
                    packet = reader.read_packet()
                except (EOFError, struct.error):
                    return
                except Scapy_Exception:
                    self.odd["length"] += 1
                    return
                data = bytes(packet)
                yield Frame(float(packet.time), data, max(packet.wirelen or 0, len(data)))


class _Described(NamedTuple):
    """An interface of a pcapng section: link type, snap length, clock units a second, seconds to add."""

    link: int
    snap: int
    units: int
    offset_s: int


class _Section:
    """What a pcapng section has said so far: its byte order and its interfaces."""

    def __init__(self, order: str, last_at: float = 0.0) -> None:
        self.last_at = last_at
        self.block = struct.Struct(order + "II").unpack_from
        self._order = order
        self._packet = struct.Struct(order + "IIIII").unpack_from
        self._old_packet = struct.Struct(order + "HHIIII").unpack_from
        self._interfaces: list[_Described] = []

    def read(self, kind: int, body: bytes, odd: Counter[str]) -> Frame | None:
        """The frame in a block, or None where the block is none (or is not to be believed)."""
        if kind == _PACKET and len(body) >= 20:
            number, high, low, captured, wire = self._packet(body)
        elif kind == _SIMPLE_PACKET and len(body) >= 4 and self._interfaces:
            number, high, low = 0, None, 0
            wire = struct.unpack_from(self._order + "I", body)[0]
            captured = min(wire, self._interfaces[0].snap or wire, len(body) - 4)
        elif kind == _OLD_PACKET and len(body) >= 20:
            number, _drops, high, low, captured, wire = self._old_packet(body)
        else:
            if kind == _INTERFACE and len(body) >= 8:
                self._describe(body, odd)
            elif kind in (_PACKET, _SIMPLE_PACKET, _OLD_PACKET):
                odd["length"] += 1
            return None
        start = 4 if kind == _SIMPLE_PACKET else 20
        if number >= len(self._interfaces):
            odd["interface"] += 1
            return None
        if start + captured > len(body):
            odd["length"] += 1
            return None
        if not captured <= wire <= _MAX_FRAME:
            odd["wire-length"] += 1
            wire = captured
        about = self._interfaces[number]
        if high is not None:
            self.last_at = (high << 32 | low) / about.units + about.offset_s
        return _new(Frame, (self.last_at, body[start : start + captured], wire, about.link, 0, number))

    def _describe(self, body: bytes, odd: Counter[str]) -> None:
        """An interface description: link type, snap length; of its options the clock's (9 resolution, 14 offset)."""
        if len(self._interfaces) >= _MAX_INTERFACES:
            odd["interface"] += 1
            return
        link, snap = struct.unpack_from(self._order + "H2xI", body)
        units, offset_s = 1_000_000, 0
        at = 8
        while at + 4 <= len(body):
            code, length = struct.unpack_from(self._order + "HH", body, at)
            value = body[at + 4 : at + 4 + length]
            if code == 0:
                break
            if code == 9 and len(value) == 1:
                units = 2 ** (value[0] & 127) if value[0] & 128 else 10 ** value[0]
            elif code == 14 and len(value) == 8:
                offset_s = struct.unpack(self._order + "q", value)[0]
            at += 4 + (length + 3) // 4 * 4
        self._interfaces.append(_Described(link, snap, units, offset_s))


def frames(path: Path) -> Iterator[Frame]:
    """The frames of a capture file in file order, times as the file has them. CaptureError at once if it is none."""
    return iter(Reading(path))
