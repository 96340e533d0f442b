"""What several readers share: an end as text, a memory of what was told, frames in a stream."""

import ipaddress
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


def end(address: bytes, port: int) -> str:
    """ "192.0.2.1:554" or "[2001:db8::1]:554" of a packed address (4 or 16 bytes)."""
    ip = ipaddress.ip_address(address)
    return f"{ip}:{port}" if ip.version == 4 else f"[{ip}]:{port}"


def remember(known: tuple[T, ...], item: T, most: int) -> tuple[T, ...] | None:
    """`known` with `item` as its newest, None when it was known. The oldest of more than `most` is forgotten, so what
    is new is always told, whatever came before, and memory stays bounded."""
    return None if item in known else (*known, item)[-most:]


class Half(NamedTuple):
    """One direction of a stream of frames: bytes of a frame not whole yet, bytes of a large one to pass over."""

    data: bytes = b""
    skip: int = 0


def frames(
    half: Half, data: bytes, size_of: Callable[[bytes], int | None], cap: int
) -> tuple[Half | None, list[bytes]]:
    """The frames that `data` completes, and what waits for more; None in its place where no frame begins.

    `size_of` gives a frame's size from its first bytes, 0 where it needs more of them, None where no frame begins. Of a
    frame larger than `cap` only its first `cap` bytes are given.
    """
    skipped = min(half.skip, len(data))
    if half.skip > skipped:
        return Half(b"", half.skip - skipped), []
    rest = half.data + data[skipped:]
    found: list[bytes] = []
    while rest:
        size = size_of(rest)
        if size is None:
            return None, found
        if size == 0 or len(rest) < min(size, cap):
            break
        found.append(rest[: min(size, cap)])
        if len(rest) < size:
            return Half(b"", size - len(rest)), found
        rest = rest[size:]
    return Half(rest), found
