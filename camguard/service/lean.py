"""What keeps the guard's memory small: modules it never uses stay out, and the C library gives back what is free.

A small router has little of it; `docs/performance.md` has the figures.
"""

import contextlib
import ctypes
import importlib
import sys
import types
from collections.abc import Iterator

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # mallopt(3)


def leave_out() -> None:
    """The guard speaks no TLS: without this asyncio and hashlib load OpenSSL (4 MB). To be called before they come."""
    for name in ("ssl", "_hashlib"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def give_back() -> None:
    """Large blocks go back to the system when they are free.

    By itself the C library (glibc) keeps freed blocks of ever larger sizes, and another heap for each thread: tables
    that grew in a flood, and moved each time, leave holes behind (1 MB here). Other C libraries are left as they are.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 64 * 1024)
        mallopt(_ARENA_MAX, 1)


@contextlib.contextmanager
def without_plugins() -> Iterator[None]:
    """While APScheduler is imported: it looks for plugins in every installed package and has pools of processes, of
    which the guard uses none; that brings e-mail parsing, zip files and multiprocessing along (2 MB)."""
    metadata = types.ModuleType("importlib.metadata")
    metadata.version = _unknown  # type: ignore[attr-defined]
    metadata.entry_points = lambda **_: ()  # type: ignore[attr-defined]
    metadata.PackageNotFoundError = ModuleNotFoundError  # type: ignore[attr-defined]
    pool = types.ModuleType("apscheduler.executors.pool")
    pool.ThreadPoolExecutor = object  # type: ignore[attr-defined]
    stood_in = {made.__name__: made for made in (metadata, pool) if made.__name__ not in sys.modules}
    before = vars(importlib).get("metadata")
    sys.modules.update(stood_in)
    importlib.metadata = sys.modules["importlib.metadata"]
    try:
        yield
    finally:
        for name in stood_in:
            sys.modules.pop(name, None)
        if before is None:
            del importlib.metadata
        else:
            importlib.metadata = before


def _unknown(name: str) -> str:
    raise ModuleNotFoundError(name)
