"""The few errors that some caller handles differently.

Malformed      bytes that are not what they claim: caught in one place (guard.py), counted, never fatal
ConfigError    the owner's file or command line is wrong: exit 2, file, place and nearest key, no traceback
CaptureError   the capture cannot run (no such interface, no rights, 32-bit system): exit 3, one line with what to do
StoreError     the store cannot be read or written: one line with what to do; the guard goes on and says so
"""


class Malformed(Exception):
    """Bytes from the network that break their own format; `str()` is a short counter name such as "ipv4-length"."""


class ConfigError(Exception):
    """The configuration or the command line is wrong; `str()` is one whole line for the owner."""


class CaptureError(Exception):
    """The capture cannot start or go on; `str()` is one whole line that ends in what to do."""


class StoreError(Exception):
    """The store is missing, locked, damaged or of a newer version; `str()` is one line that ends in what to do."""
