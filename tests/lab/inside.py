"""Python inside a network namespace: a thread that lives there, so that what it starts and listens on is there, too.

A socket belongs to the namespace in which it was made, a program and a thread to that of the thread that started it; so
receivers and brokers of other tests stand on the router's own loopback without being changed.
"""

import ctypes
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
CLONE_NEWNET = 0x40000000  # setns(2)


class Inside:
    """`inside(do, ...)` calls `do` in the namespace and returns what it returns."""

    def __init__(self, ns: str) -> None:
        self._thread = ThreadPoolExecutor(1, f"in {ns}", _enter, (ns,))

    def __call__(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return self._thread.submit(do, *args, **kwargs).result()

    def close(self) -> None:
        self._thread.shutdown()


def _enter(ns: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    where = os.open(f"/run/netns/{ns}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(where, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {ns}")
    finally:
        os.close(where)
