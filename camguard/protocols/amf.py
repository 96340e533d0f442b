"""AMF0 (Adobe, "Action Message Format - AMF 0", 2007), as much of it as RTMP's commands use.

In: bytes of a command, possibly cut short. Out: its values, as far as they are there; what is unknown ends the list.
"""

import struct
from typing import Any

VALUES_CAP = 64  # of one command, and of one object in it
DEPTH_CAP = 4


class _CutShort(Exception):  # noqa: N818 - not an error: there is no more to read
    """The bytes end here, or what comes is no AMF0."""


def values(data: bytes) -> list[Any]:
    """Numbers as float, texts as str, objects as dict, null and undefined as None; what cannot be read is left out."""
    out: list[Any] = []
    at = 0
    while at < len(data) and len(out) < VALUES_CAP:
        try:
            value, at = _value(data, at, 0)
        except _CutShort as found:
            return out + [one for one in found.args if one]
        out.append(value)
    return out


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """One value and the offset behind it (markers of section 2.1)."""
    marker = _part(data, at, 1)[0]
    at += 1
    if marker == 0x00:
        return struct.unpack(">d", _part(data, at, 8))[0], at + 8
    if marker == 0x01:
        return bool(_part(data, at, 1)[0]), at + 1
    if marker == 0x02:
        return _text(data, at, 2)
    if marker == 0x0C:
        return _text(data, at, 4)
    if marker in (0x05, 0x06):
        return None, at
    if marker in (0x03, 0x08) and depth < DEPTH_CAP:
        return _object(data, at + 4 if marker == 0x08 else at, depth)
    raise _CutShort


def _object(data: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    """Names and values up to the end marker; of one that is cut short what is there (in the exception)."""
    found: dict[str, Any] = {}
    try:
        for _ in range(VALUES_CAP):
            name, at = _text(data, at, 2)
            if not name and _part(data, at, 1) == b"\x09":
                return found, at + 1
            found[name], at = _value(data, at, depth + 1)
    except _CutShort:
        raise _CutShort(found) from None
    raise _CutShort(found)


def _text(data: bytes, at: int, length_bytes: int) -> tuple[str, int]:
    size = int.from_bytes(_part(data, at, length_bytes), "big")
    at += length_bytes
    return _part(data, at, size).decode("utf-8", "replace"), at + size


def _part(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise _CutShort
    return data[at : at + size]
