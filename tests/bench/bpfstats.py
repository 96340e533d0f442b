"""What the kernel says a BPF program costs: run time and runs, by program id (needs root)."""

import contextlib
import ctypes
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

_SWITCH = Path("/proc/sys/kernel/bpf_stats_enabled")
_lib = ctypes.CDLL("libbpf.so.1", use_errno=True)


@contextlib.contextmanager
def counting() -> Iterator[None]:
    """The kernel times every BPF program while the block lasts (some 30 ns a run, which are in the numbers)."""
    before = _SWITCH.read_text()
    _SWITCH.write_text("1")
    try:
        yield
    finally:
        _SWITCH.write_text(before)


def program_of(process: int) -> int:
    """The id of the one BPF program that a process holds open."""
    found = set()
    for path in Path(f"/proc/{process}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            found |= {int(line.split()[1]) for line in path.read_text().splitlines() if line.startswith("prog_id:")}
    (program,) = found
    return program


def cost(program: int) -> tuple[int, int]:
    """Nanoseconds and runs so far of the program with this id."""
    fd = _lib.bpf_prog_get_fd_by_id(program)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf_prog_get_fd_by_id")
    try:
        return read(fd)
    finally:
        os.close(fd)


def read(fd: int) -> tuple[int, int]:
    """The same, by descriptor (struct bpf_prog_info: run_time_ns and run_cnt at 192)."""
    info, size = ctypes.create_string_buffer(256), ctypes.c_uint32(256)
    if _lib.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)):
        raise OSError(ctypes.get_errno(), "bpf_obj_get_info_by_fd")
    nanoseconds, runs = struct.unpack_from("=QQ", info, 192)
    return nanoseconds, runs


def attach_empty(tap: socket.socket) -> int:
    """Put a program that takes nothing (r0 = 0; exit) on the socket; its descriptor."""
    code = struct.pack("=BBhi", 0xB7, 0, 0, 0) + struct.pack("=BBhi", 0x95, 0, 0, 0)
    fd = _lib.bpf_prog_load(1, b"empty", b"GPL", code, ctypes.c_size_t(2), None)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "bpf_prog_load")
    tap.setsockopt(socket.SOL_SOCKET, 50, fd)
    return int(fd)
