"""The few errors that some caller handles differently.

Malformed      bytes that are not what they claim: caught in one place (guard.py), counted, never fatal
ConfigError    the owner's file or command line is wrong: exit 2, file, place and nearest key, no traceback
CaptureError   the capture cannot run (no such interface, no rights, 32-bit system): exit 3, one line with what to do
StoreError     the store cannot be read or written: one line with what to do; the guard goes on and says so
SinkError      an alert was not taken by a channel: one line in plain words; try again later, or never (permanent)
"""


class Malformed(Exception):  # noqa: N818 - the field's word; style.md and every reader use it
    """Bytes from the network that break their own format; `str()` is a short counter name such as "ipv4-length"."""


class ConfigError(Exception):
    """The configuration or the command line is wrong; `str()` is one whole line for the owner."""


class CaptureError(Exception):
    """The capture cannot start or go on; `str()` is one whole line that ends in what to do."""


class StoreError(Exception):
    """The store is missing, locked, damaged or of a newer version; `str()` is one line that ends in what to do."""


class SinkError(Exception):
    """A channel did not take an alert; `str()` is one plain line for the owner that holds no address and no secret.

    `permanent`: trying again cannot help. `after_s`: the other side asked to be left alone that long.
    `starting`: permanent, unless the other side is only just starting; so tried for some minutes.
    """

    def __init__(
        self, words: str, permanent: bool = False, after_s: float | None = None, *, starting: bool = False
    ) -> None:
        super().__init__(words)
        self.permanent, self.after_s, self.starting = permanent, after_s, starting
