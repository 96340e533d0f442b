"""Least right: what the guard's process may still do once its tap is open.

Order, all before the first thread starts (capabilities, Landlock and seccomp belong to a thread and are inherited by
those it starts later):

    become(user)      root -> an ordinary user that holds CAP_NET_RAW and CAP_BPF and nothing else
    (open the tap)    capture.open_source
    give_up()         no capability in any task, no-new-privileges
    confine(...)      files: write only these folders, read only those (Landlock)
    seal_tap(...)     the tap can only be read; no IP or packet socket, no other way round it (seccomp)

Afterwards the process still reads and updates BPF maps by descriptor, receives on the tap, binds a spare socket again
and switches promiscuous mode, writes its store and starts threads. Sources: capabilities(7), landlock(7), seccomp(2).
"""

import ctypes
import errno
import os
import platform
import pwd
import socket
import stat
import struct
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from camguard.errors import CaptureError

_CAPS = {"NET_ADMIN": 12, "NET_RAW": 13, "SYS_ADMIN": 21, "PERFMON": 38, "BPF": 39}
_KEEPCAPS, _SECCOMP, _NO_NEW_PRIVS, _AMBIENT = 8, 22, 38, 47  # prctl options

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _prctl(option: int, first: int, second: int | ctypes.c_void_p = 0) -> bool:
    last = second if isinstance(second, ctypes.c_void_p) else ctypes.c_ulong(second)
    zero = ctypes.c_ulong(0)
    return bool(_libc.prctl(ctypes.c_int(option), ctypes.c_ulong(first), last, zero, zero) == 0)


# ---- capabilities ----------------------------------------------------------------------------------------------------


def become(user: str) -> None:
    """From root to `user` and its groups, keeping NET_RAW and BPF (permitted, effective). CaptureError if it cannot."""
    if os.geteuid() != 0:
        raise CaptureError(f"only root can become the user {user}. Start with sudo, or as {user} by systemd.")
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CaptureError(f"there is no user {user}. Run: sudo systemd/install.sh") from None
    if entry.pw_uid == 0:
        raise CaptureError(f"the user {user} is root itself. Run: sudo systemd/install.sh")
    try:
        os.initgroups(user, entry.pw_gid)
        _prctl(_KEEPCAPS, 1)
        os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
        _prctl(_KEEPCAPS, 0)
    except OSError as error:
        raise CaptureError(f"cannot become the user {user}: {error.strerror}. Start as real root.") from error
    # where root's own bounding set lacks one of the two, the other is still worth having
    held = _status(Path("/proc/self/status"))["CapPrm"]
    _set_capabilities(held & _mask(("NET_RAW", "BPF")))


def have(cap: str) -> bool:
    """Whether this process may use the capability now: have("NET_RAW")."""
    return bool(_status(Path("/proc/self/status"))["CapEff"] & _mask((cap,)))


def give_up(keep: Sequence[str] = ()) -> None:
    """No capability but `keep` in any task, and none to be gained again. CaptureError if the kernel says otherwise.

    `keep=("BPF",)` is for kernels before 5.19, which do not read a map by descriptor without it.
    """
    _prctl(_NO_NEW_PRIVS, 1)
    _prctl(_AMBIENT, 4)  # PR_CAP_AMBIENT_CLEAR_ALL
    wanted = _mask(keep)
    _set_capabilities(wanted & _status(Path("/proc/self/status"))["CapPrm"])
    for task in Path("/proc/self/task").iterdir():
        status = _status(task / "status")
        left = status["CapEff"] | status["CapPrm"] | status["CapInh"] | status["CapAmb"]
        if left & ~wanted or status["NoNewPrivs"] != 1:
            raise CaptureError(
                f"task {task.name} still holds rights ({left:x}) after they were given up: a thread was started too "
                "early. This is a fault of camguard: please report it."
            )


def _mask(caps: Iterable[str]) -> int:
    return sum(1 << _CAPS[cap.removeprefix("CAP_")] for cap in caps)


def _status(path: Path) -> dict[str, int]:
    """The capability sets and NoNewPrivs of /proc/.../status as numbers."""
    wanted = {"CapInh": 16, "CapPrm": 16, "CapEff": 16, "CapAmb": 16, "NoNewPrivs": 10}
    found = dict.fromkeys(wanted, 0)
    for line in path.read_text().splitlines():
        name, _, value = line.partition(":")
        if name in wanted:
            found[name] = int(value, wanted[name])
    return found


def _set_capabilities(mask: int) -> None:
    """Permitted and effective set to `mask`, inheritable to nothing."""
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    low, high = mask & 0xFFFFFFFF, mask >> 32
    if _libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise CaptureError(f"cannot set capabilities: {reason}. Is another security module in the way? See its log.")


# ---- files: Landlock -------------------------------------------------------------------------------------------------

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 1 << 1, 1 << 2, 1 << 3
_REMOVE_DIR, _REMOVE_FILE, _MAKE_DIR, _MAKE_REG, _MAKE_SOCK = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 9
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_READ = _READ_FILE | _READ_DIR
_WRITE = (
    _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _MAKE_SOCK | _REFER | _TRUNCATE
)  # fmt: skip
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE
#: File rights known to each version of Landlock; index 0 is version 1. Version 5 adds ioctl on devices.
_KNOWN = ((1 << 13) - 1, (1 << 14) - 1, (1 << 15) - 1, (1 << 15) - 1, (1 << 16) - 1)
_TCP_BIND_CONNECT = 3  # from version 4
_SIGNALS = 2  # from version 6: no signal to a process outside


def confine(write: Sequence[Path], read: Sequence[Path]) -> str:
    """Only `write` can be written (and read), only `read` and what Python itself needs can be read; nothing is run.

    Returns what was done, in words. A kernel without Landlock is no error: the words say so.
    """
    version = _libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        return "files are not confined: this kernel has no Landlock (it comes with 5.13, and can be off at boot)"
    _prctl(_NO_NEW_PRIVS, 1)
    known = _KNOWN[min(version, len(_KNOWN)) - 1]
    rules = struct.pack("=QQQ", known, _TCP_BIND_CONNECT, _SIGNALS)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _libc.syscall(ctypes.c_long(_CREATE_RULESET), rules, ctypes.c_size_t(size), ctypes.c_uint(0))
    if ruleset < 0:
        return f"files are not confined: Landlock refused ({os.strerror(ctypes.get_errno())})"
    try:
        for path in (*read, *_always_read()):
            _allow(ruleset, path, known & _READ)
        for path in write:
            _allow(ruleset, path, known & _WRITE)
        if _libc.syscall(ctypes.c_long(_RESTRICT_SELF), ctypes.c_int(ruleset), ctypes.c_uint(0)) != 0:
            return f"files are not confined: Landlock refused ({os.strerror(ctypes.get_errno())})"
    finally:
        os.close(ruleset)
    folders = ", ".join(str(path) for path in write) or "nothing"
    return f"files are confined (Landlock {version}): can write {folders} only"


def _allow(ruleset: int, path: Path, access: int) -> None:
    """One rule: `access` at and under `path`. A path that is not there is left out: there is nothing to reach."""
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _ON_FILES
        rule = struct.pack("=Qi", access, fd)
        kind_path_beneath = ctypes.c_int(1)
        if _libc.syscall(ctypes.c_long(_ADD_RULE), ctypes.c_int(ruleset), kind_path_beneath, rule, ctypes.c_uint(0)):
            reason = os.strerror(ctypes.get_errno())
            raise CaptureError(f"cannot confine files to {path}: {reason}. Choose another folder for it.")
    finally:
        os.close(fd)


def _always_read() -> Iterator[Path]:
    """Python's own folders (imports at the moment of use), shared libraries, time zones, /proc and interface state."""
    # not all of sys.path: it begins with the current folder when Python is started with -m
    folders = ("site-packages", "dist-packages", "lib-dynload")
    yield from (Path(entry) for entry in sys.path if Path(entry).name in folders)
    yield from (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    yield Path(__file__).parent.parent
    for name in ("/usr/lib", "/usr/share/zoneinfo", "/lib", "/lib64", "/proc", "/sys", "/dev/null", "/dev/urandom"):
        yield Path(name)
    for name in ("/etc/localtime", "/etc/timezone", "/etc/ld.so.cache", "/etc/passwd", "/etc/group"):
        yield Path(name)


# ---- the tap: seccomp ------------------------------------------------------------------------------------------------

# architecture -> (AUDIT_ARCH, numbers of the calls below)
_ARCHITECTURES = {
    "x86_64": (
        0xC000003E,
        {
            "write": 1, "sendfile": 40, "sendto": 44, "pwrite64": 18, "writev": 20, "pwritev": 296, "pwritev2": 328,
            "dup": 32, "dup2": 33, "dup3": 292, "fcntl": 72, "splice": 275, "socket": 41, "sendmsg": 46,
            "sendmmsg": 307, "io_setup": 206, "io_submit": 209,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "write": 64, "sendfile": 71, "sendto": 206, "pwrite64": 68, "writev": 66, "pwritev": 70, "pwritev2": 287,
            "dup": 23, "dup3": 24, "fcntl": 25, "splice": 76, "socket": 198, "sendmsg": 211, "sendmmsg": 269,
            "io_setup": 0, "io_submit": 2,
        },
    ),
}  # fmt: skip
#: The same numbers on every architecture. pidfd_getfd copies a descriptor, io_uring writes without a call to see.
_NEW_CALLS = {"io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "pidfd_getfd": 438}
#: Refused with the tap's descriptor in the first argument.
_ON_TAP = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendfile", "dup", "dup2", "dup3")
#: Refused whatever the descriptor: sendmsg could hand the tap to ourselves under another number (SCM_RIGHTS).
_NEVER = ("sendmsg", "sendmmsg", "io_setup", "io_submit", *_NEW_CALLS)
_MAX_TAPS = 120

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM
_Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k


def seal_tap(fds: Sequence[int]) -> str:
    """From now on the tap can be read, not written, sent on or copied; no socket but UNIX and netlink can be made.

    `fds` and every packet socket that is open now are the tap. They must stay open to the end: a file that came to
    bear such a number later could not be written. sendmsg is refused altogether (send and sendto on others work).
    Returns what was done, in words; a kernel without seccomp is no error.
    """
    taps = sorted({*fds, *_packet_sockets()})
    if len(taps) > _MAX_TAPS:
        raise CaptureError(f"{len(taps)} taps are too many to seal ({_MAX_TAPS}). Name fewer interfaces.")
    if platform.machine() not in _ARCHITECTURES or sys.maxsize < 2**32:
        return f"the tap is not sealed: no rules for {platform.machine()} (x86-64 and arm64 have them)"
    program = b"".join(struct.pack("=HBBI", *step) for step in tap_filter(platform.machine(), taps))
    buffer = ctypes.create_string_buffer(program, len(program))
    prog = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer)))
    _prctl(_NO_NEW_PRIVS, 1)
    if not _prctl(_SECCOMP, 2, ctypes.c_void_p(ctypes.addressof(prog))):
        return f"the tap is not sealed: seccomp refused ({os.strerror(ctypes.get_errno())})"
    return f"the tap can only be read (seccomp, {len(taps)} descriptors)"


def _packet_sockets() -> Iterator[int]:
    """Descriptors of this process that are AF_PACKET sockets."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                continue
            found = socket.socket(fileno=fd)
        except OSError:
            continue
        family = found.family
        found.detach()
        if family == socket.AF_PACKET:
            yield fd


def tap_filter(machine: str, taps: Sequence[int]) -> list[_Instruction]:
    """The seccomp program (classic BPF over struct seccomp_data: number, architecture, address, six arguments)."""
    arch, numbers = _ARCHITECTURES[machine]
    numbers = numbers | _NEW_CALLS
    refuse_taps = [step for fd in taps for step in ((_EQUAL, 0, 1, fd), (_RETURN, 0, 0, _REFUSE))]
    program: list[_Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, 0x40000000),  # x32, the same calls by other numbers
        (_RETURN, 0, 0, _REFUSE),
    ]
    for name in _NEVER:
        program += ((_EQUAL, 0, 1, numbers[name]), (_RETURN, 0, 0, _REFUSE))
    families = [(_EQUAL, 0, 1, int(family)) for family in (socket.AF_UNIX, socket.AF_NETLINK)]
    allow = (_RETURN, 0, 0, _ALLOW)
    program += _when(
        numbers["socket"],
        [(_LOAD, 0, 0, 16), families[0], allow, families[1], allow, (_RETURN, 0, 0, _REFUSE)],
    )
    for name in _ON_TAP:
        if name in numbers:
            program += _when(numbers[name], [(_LOAD, 0, 0, 16), *refuse_taps, allow])
    program += _when(numbers["splice"], [(_LOAD, 0, 0, 32), *refuse_taps, allow])  # third argument: where it goes
    copies = [(_EQUAL, 2, 0, 0), (_EQUAL, 1, 0, 1030), allow]  # F_DUPFD, F_DUPFD_CLOEXEC; other commands are fine
    program += _when(numbers["fcntl"], [(_LOAD, 0, 0, 24), *copies, (_LOAD, 0, 0, 16), *refuse_taps, allow])
    return [*program, allow]


def _when(number: int, steps: list[_Instruction]) -> list[_Instruction]:
    """`steps` (which end the program) for the call `number`; other calls go on behind them, the number still loaded."""
    return [(_EQUAL, 0, len(steps), number), *steps]
