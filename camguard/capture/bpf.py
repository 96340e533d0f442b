"""The kernel's BPF by ctypes on libbpf.so.1: load a compiled object, read and write its maps. No compiler, no root.

`load` needs CAP_BPF; reading and writing maps needs no right at all from kernel 5.19 on. Keys and values are bytes in
the kernel's own layout. Errors are OSError with the kernel's errno; what is missing on this machine is NoLedger.
"""

import ctypes
import errno
import os
from collections.abc import Iterator, Mapping
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint32, c_uint64, c_void_p
from pathlib import Path

from camguard.errors import CaptureError

_BATCH = 512


class NoLedger(CaptureError):  # noqa: N818 - it is a state of the machine more than an error
    """This machine has no kernel ledger for us; `str()` says why and what to do. A packet socket may still do."""


class Map:
    """One BPF map, by descriptor."""

    def __init__(self, lib: ctypes.CDLL, fd: int, key_size: int, value_size: int) -> None:
        self._lib, self.fd, self.key_size, self.value_size = lib, fd, key_size, value_size

    def get(self, key: bytes) -> bytes | None:
        """The value under `key`, None where there is none."""
        value = ctypes.create_string_buffer(self.value_size)
        return value.raw if self._ok(self._lib.bpf_map_lookup_elem(self.fd, key, value)) else None

    def put(self, key: bytes, value: bytes) -> None:
        """Write the value under `key`."""
        self._ok(self._lib.bpf_map_update_elem(self.fd, key, value, c_uint64(0)))

    def pop(self, key: bytes) -> bytes | None:
        """Take the value under `key` away, in one step."""
        value = ctypes.create_string_buffer(self.value_size)
        return value.raw if self._ok(self._lib.bpf_map_lookup_and_delete_elem(self.fd, key, value)) else None

    def delete(self, key: bytes) -> None:
        """Remove `key`; nothing happens where it is not."""
        self._ok(self._lib.bpf_map_delete_elem(self.fd, key))

    def batches(self) -> Iterator[tuple[memoryview, memoryview]]:
        """Everything in the map (hash maps), as (keys, values) of some entries each; valid until the next step."""
        keys = (ctypes.c_char * (self.key_size * _BATCH))()
        values = (ctypes.c_char * (self.value_size * _BATCH))()
        place = ctypes.create_string_buffer(max(8, self.key_size))
        before = None
        while True:
            count = c_uint32(_BATCH)
            result = self._lib.bpf_map_lookup_batch(self.fd, before, place, keys, values, byref(count), None)
            code = -result if result < 0 else 0
            if code not in (0, errno.ENOENT):
                raise OSError(code, os.strerror(code))
            size = count.value
            if size:
                yield (
                    memoryview(keys).cast("B")[: size * self.key_size],
                    memoryview(values).cast("B")[: size * self.value_size],
                )
            if code == errno.ENOENT:
                return
            before = place

    def _ok(self, result: int) -> bool:
        if result < 0 and -result != errno.ENOENT:
            raise OSError(-result, os.strerror(-result))
        return result >= 0


class Loaded:
    """A loaded object: the descriptor of its program and its maps. Both live until `close`."""

    def __init__(self, lib: ctypes.CDLL, handle: int, program: int, maps: dict[str, Map]) -> None:
        self._lib, self._handle, self.program, self.maps = lib, handle, program, maps

    def close(self) -> None:
        """Unload; sockets that have the program attached keep it."""
        if self._handle:
            self._lib.bpf_object__close(self._handle)
            self._handle = 0


def load(path: Path, program: str, sizes: Mapping[str, int], constants: bytes) -> Loaded:
    """Load the object at `path`: `sizes` are the numbers of entries of its maps, `constants` its .rodata."""
    lib = _libbpf()
    handle = lib.bpf_object__open_file(os.fsencode(path), None)
    if not handle:
        raise NoLedger(f"camguard's kernel program {path} is damaged. Fix: install camguard again")
    try:
        return _load(lib, handle, program, sizes, constants)
    except BaseException:
        lib.bpf_object__close(handle)
        raise


def _load(lib: ctypes.CDLL, handle: int, program: str, sizes: Mapping[str, int], constants: bytes) -> Loaded:
    for name, size in sizes.items():
        lib.bpf_map__set_max_entries(lib.bpf_object__find_map_by_name(handle, name.encode()), size)
    found = lib.bpf_object__next_map(handle, None)
    while found:
        if lib.bpf_map__name(found).endswith(b".rodata"):
            length = c_size_t()
            old = ctypes.string_at(lib.bpf_map__initial_value(found, byref(length)), length.value)
            value = constants + old[len(constants) :]
            lib.bpf_map__set_initial_value(found, value, len(value))
        found = lib.bpf_object__next_map(handle, found)
    result = lib.bpf_object__load(handle)
    if result < 0:
        raise _refusal(-result)
    maps = {}
    found = lib.bpf_object__next_map(handle, None)
    while found:
        name = lib.bpf_map__name(found).decode()
        maps[name[name.rfind(".") :] if "." in name else name] = Map(
            lib, lib.bpf_map__fd(found), lib.bpf_map__key_size(found), lib.bpf_map__value_size(found)
        )
        found = lib.bpf_object__next_map(handle, found)
    return Loaded(
        lib, handle, lib.bpf_program__fd(lib.bpf_object__find_program_by_name(handle, program.encode())), maps
    )


def _refusal(code: int) -> NoLedger:
    if code == errno.EPERM:
        return NoLedger("camguard may not load its kernel program. Fix: run it as root or with CAP_BPF")
    if code == errno.ENOSYS:
        return NoLedger(
            "this kernel has no BPF. Fix: a kernel with CONFIG_BPF_SYSCALL (Debian's and Raspberry Pi's have)"
        )
    return NoLedger(
        f"this kernel ({os.uname().release}) does not take camguard's kernel program ({os.strerror(code)}). "
        "Fix: a kernel of 5.19 or later"
    )


def _libbpf() -> ctypes.CDLL:
    try:
        lib = ctypes.CDLL("libbpf.so.1")
    except OSError:
        raise NoLedger("libbpf.so.1 is not installed. Fix: sudo apt install libbpf1") from None
    lib.libbpf_set_print(None)
    for name, result, arguments in (
        ("bpf_object__open_file", c_void_p, [c_char_p, c_void_p]),
        ("bpf_object__close", None, [c_void_p]),
        ("bpf_object__load", c_int, [c_void_p]),
        ("bpf_object__find_map_by_name", c_void_p, [c_void_p, c_char_p]),
        ("bpf_object__find_program_by_name", c_void_p, [c_void_p, c_char_p]),
        ("bpf_object__next_map", c_void_p, [c_void_p, c_void_p]),
        ("bpf_program__fd", c_int, [c_void_p]),
        ("bpf_map__name", c_char_p, [c_void_p]),
        ("bpf_map__fd", c_int, [c_void_p]),
        ("bpf_map__key_size", c_uint32, [c_void_p]),
        ("bpf_map__value_size", c_uint32, [c_void_p]),
        ("bpf_map__set_max_entries", c_int, [c_void_p, c_uint32]),
        ("bpf_map__initial_value", c_void_p, [c_void_p, c_void_p]),
        ("bpf_map__set_initial_value", c_int, [c_void_p, c_char_p, c_size_t]),
        ("bpf_map_lookup_elem", c_int, [c_int, c_char_p, c_void_p]),
        ("bpf_map_update_elem", c_int, [c_int, c_char_p, c_char_p, c_uint64]),
        ("bpf_map_delete_elem", c_int, [c_int, c_char_p]),
        ("bpf_map_lookup_and_delete_elem", c_int, [c_int, c_char_p, c_void_p]),
        ("bpf_map_lookup_batch", c_int, [c_int, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p]),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
