"""A table that keeps the newest entries: what a detector remembers, however much a flood gives it to remember."""

from collections import OrderedDict
from typing import TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Newest(OrderedDict[_Key, _Value]):
    """At most `most` entries, the one that was put in last comes last. Put in with `put` only."""

    __slots__ = ("_most",)

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def put(self, key: _Key, value: _Value) -> bool:
        """Puts it in as the newest; whether the oldest went, because the table was full."""
        self.pop(key, None)
        full = len(self) >= self._most
        if full:
            self.popitem(last=False)
        self[key] = value
        return full
