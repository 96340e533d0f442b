"""rights: real processes start as root, become an ordinary user, seal themselves and then try to break out."""

import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from camguard import rights
from camguard.errors import CaptureError

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give it up")
UNSHARE = ["unshare", "--net", "--"]
HERE = str(Path(__file__).parents[1])

#: Runs one statement after another in a process of its own; `tell(name, do)` notes "ok" or the name of the error.
HEAD = f"""
import ctypes, errno, fcntl, json, os, socket, struct, subprocess, sys, threading
sys.path.insert(0, {HERE!r})
from pathlib import Path
from camguard import rights
libc = ctypes.CDLL(None, use_errno=True)
state, other = Path(sys.argv[1]), Path(sys.argv[2])
said = {{}}
def tell(name, do):
    try:
        value = do()
        said[name] = "ok" if value is None or not isinstance(value, str) else value
    except OSError as error:
        said[name] = errno.errorcode[error.errno]
    except Exception as error:
        said[name] = f"{{type(error).__name__}}: {{error}}"
def call(number, *args):
    value = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) if isinstance(a, int) else a for a in args))
    if value < 0:
        raise OSError(ctypes.get_errno(), "")
    return value
def finish():
    print(json.dumps(said), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that others can enter: pytest's own are closed to them, again with each run of pytest that begins."""
    with tempfile.TemporaryDirectory(prefix="camguard-rights-") as made:
        yield Path(made)


def run(tmp_path: Path, body: str, *before: str) -> tuple[dict[str, str], list[dict[str, str]]]:
    """What the process said, and the status of each of its tasks, read from outside while it still ran."""
    state, other = tmp_path / "state", tmp_path / "other"
    for folder in (tmp_path, state, other):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
    (other / "secret").write_text("s")
    (other / "secret").chmod(0o644)
    command = [*before, sys.executable, "-c", HEAD + body, str(state), str(other)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        tasks = [task_status(task) for task in Path(f"/proc/{child.pid}/task").iterdir()] if line else []
        _, errors = child.communicate(timeout=60)
        assert child.returncode == 0, errors
    said: dict[str, str] = json.loads(line)
    return said, tasks


def task_status(task: Path) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)


SEALED = """
if libc.prctl(65, 1, 0, 0, 0) != 0:
    said["mdwe"] = "this kernel has none"
os.system("ip link set lo up")
frame = bytes.fromhex("020000000002020000000001") + b"\\x88\\xb5" + bytes(46)
waits, go = os.pipe()
if not os.fork():  # stays root: the one who sends
    os.read(waits, 1)
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("lo", 3))
    sender.send(frame)
    os._exit(0)
rights.become("nobody")
said["held"] = " ".join(cap for cap in ("NET_RAW", "BPF", "NET_ADMIN", "SYS_ADMIN") if rights.have(cap))
tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
spare = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
tap.settimeout(5)
tap.bind(("lo", 3))
nr_bpf = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
attr = ctypes.create_string_buffer(struct.pack("IIIII", 1, 4, 8, 10, 0), 128)
book = call(nr_bpf, 0, attr, 128)
rights.give_up()
said["files"] = rights.confine([state], [])
said["tap"] = rights.seal_tap([tap.fileno()])
threading.Thread(target=sys.stdin.read, daemon=True).start()
"""


@AS_ROOT
@pytest.mark.lab
def test_a_sealed_guard_can_look_and_nothing_else(tmp_path: Path) -> None:
    said, tasks = run(tmp_path, SEALED + TRIES + "finish()", *UNSHARE)
    assert said.pop("held") == "NET_RAW BPF"
    assert said.pop("files").startswith("files are confined (Landlock ")
    assert said.pop("tap") == "the tap can only be read (seccomp, 2 descriptors)"
    said.pop("mdwe", None)
    assert said == {**dict.fromkeys(WORKS, "ok"), **dict.fromkeys(REFUSED, "EPERM"), **dict.fromkeys(CLOSED, "EACCES")}
    assert len(tasks) == 2
    for task in tasks:
        assert {int(task[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
        assert (task["NoNewPrivs"], task["Seccomp"]) == ("1", "2")
        assert task["Uid"].split() == ["65534"] * 4
        assert task["Gid"].split() == ["65534"] * 4
        assert task["Groups"].split() in ([], ["65534"])


WORKS = (
    "receive", "bind the spare", "promiscuous", "read a map", "write a map", "store", "now.json", "log", "netlink",
    "unix", "interfaces", "time zone", "late import", "processes", "thread", "send on unix", "statistics",
)  # fmt: skip
REFUSED = (
    "send", "sendto", "write", "writev", "pwrite", "sendmsg", "sendfile", "splice", "dup", "dup2", "dupfd",
    "send on spare", "hand over", "io_uring", "aio", "pidfd", "x32", "packet socket", "ip socket", "ip6 socket",
    "bluetooth socket",
)  # fmt: skip
CLOSED = ("write elsewhere", "remove elsewhere", "read elsewhere", "run")
TRIES = """
def receive():
    os.write(go, b"g")
    while frame not in tap.recv(2048):
        pass
def promiscuous():
    for s in (tap, spare):
        s.setsockopt(263, 1, struct.pack("=iHH8s", socket.if_nametoindex("lo"), 1, 0, b""))
key, value = ctypes.create_string_buffer(4), ctypes.create_string_buffer(b"counted", 8)
def on_map(command, target):
    attr = struct.pack("=I4xQQQ", book, ctypes.addressof(key), ctypes.addressof(target), 0)
    call(nr_bpf, command, ctypes.create_string_buffer(attr, 128), 128)
def read_map():
    seen = ctypes.create_string_buffer(8)
    on_map(1, seen)
    assert seen.value == b"counted", seen.value
def store():
    import sqlite3
    base = sqlite3.connect(state / "guard.db", isolation_level=None)
    base.execute("pragma journal_mode=wal"); base.execute("pragma temp_store=memory")
    base.execute("create table t (a)")
    base.executemany("insert into t values (?)", [(i,) for i in range(1000)])
    assert base.execute("select a from t order by a desc").fetchone() == (999,)
    base.close()
def now():
    (state / "now.new").write_text("{}")
    os.replace(state / "now.new", state / "now.json")
def thread():
    done = []
    one = threading.Thread(target=done.append, args=(1,)); one.start(); one.join()
    assert done == [1]
def zone():
    import zoneinfo, datetime
    assert datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset()
def late():
    import xml.etree.ElementTree, decimal, _decimal
def on_unix():
    a, b = socket.socketpair()
    a.send(b"x"); assert b.recv(1) == b"x"
def spliced():
    out, into = os.pipe()
    os.write(into, frame)
    os.splice(out, tap.fileno(), len(frame))
def over():
    a, b = socket.socketpair()
    socket.send_fds(a, [b"x"], [tap.fileno()])
def pidfd():
    call(438, os.pidfd_open(os.getpid()), tap.fileno(), 0)
tell("write a map", lambda: on_map(2, value))
tell("read a map", read_map)
tell("receive", receive)
tell("bind the spare", lambda: spare.bind(("lo", 3)))
tell("promiscuous", promiscuous)
tell("statistics", lambda: tap.getsockopt(263, 6, 8))
tell("store", store)
tell("now.json", now)
tell("log", lambda: os.write(2, b"a line for the journal\\n"))
tell("thread", thread)
tell("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close())
tell("unix", lambda: socket.socket(socket.AF_UNIX).close())
tell("send on unix", on_unix)
tell("interfaces", lambda: (os.listdir("/sys/class/net"), Path("/sys/class/net/lo/flags").read_text()) and None)
tell("time zone", zone)
tell("late import", late)
tell("processes", lambda: Path("/proc/self/status").read_bytes() and None)
tell("send", lambda: tap.send(frame))
tell("sendto", lambda: tap.sendto(frame, ("lo", 0)))
tell("write", lambda: os.write(tap.fileno(), frame))
tell("writev", lambda: os.writev(tap.fileno(), [frame]))
tell("pwrite", lambda: os.pwrite(tap.fileno(), frame, 0))
tell("sendmsg", lambda: tap.sendmsg([frame]))
tell("sendfile", lambda: os.sendfile(tap.fileno(), os.open(os.__file__, os.O_RDONLY), 0, 60))
tell("splice", spliced)
tell("dup", lambda: os.dup(tap.fileno()))
tell("dup2", lambda: os.dup2(tap.fileno(), 99))
tell("dupfd", lambda: fcntl.fcntl(tap.fileno(), fcntl.F_DUPFD, 50))
tell("send on spare", lambda: spare.send(frame))
tell("hand over", over)
tell("pidfd", pidfd)
tell("io_uring", lambda: call(425, 8, ctypes.create_string_buffer(120)))
tell("aio", lambda: call({"x86_64": 206, "aarch64": 0}[os.uname().machine], 8, ctypes.create_string_buffer(8)))
tell("x32", lambda: call(0x40000000 | 1, tap.fileno(), frame, 60))
tell("packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
tell("ip socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
tell("ip6 socket", lambda: socket.socket(socket.AF_INET6))
tell("bluetooth socket", lambda: socket.socket(31, socket.SOCK_RAW, 0))
tell("write elsewhere", lambda: (other / "new").write_text("x"))
tell("read elsewhere", lambda: (other / "secret").read_text())
tell("remove elsewhere", lambda: (other / "secret").unlink())
tell("run", lambda: os.execv("/bin/true", ["true"]))
"""


@AS_ROOT
@pytest.mark.lab
def test_without_the_seal_all_of_this_works(tmp_path: Path) -> None:
    """The tries above can fail: in a process that kept its tap open to writing, the frames do go out."""
    body = SEALED.replace('said["tap"] = rights.seal_tap([tap.fileno()])', "").replace(
        'said["files"] = rights.confine([state], [])', ""
    )
    said, _ = run(tmp_path, body + TRIES.replace('tell("run"', '0 and tell("run"') + "finish()", *UNSHARE)
    sending = {"send", "sendto", "write", "writev", "sendmsg", "sendfile", "dup", "dup2", "dupfd", "hand over", "pidfd"}
    assert {said[name] for name in (*sending, "ip socket", "write elsewhere", "read elsewhere")} <= {"ok", "s"}
    assert said["packet socket"] == "EPERM"  # by the capabilities alone


@AS_ROOT
def test_a_unit_with_ambient_capabilities_gives_them_up(tmp_path: Path) -> None:
    body = """
tell("before", lambda: " ".join(cap for cap in ("NET_RAW", "BPF") if rights.have("CAP_" + cap)))
tell("give up", rights.give_up)
finish()
"""
    setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all,+net_raw,+bpf",
               "--inh-caps=-all,+net_raw,+bpf", "--ambient-caps=-all,+net_raw,+bpf", "--no-new-privs"]  # fmt: skip
    said, tasks = run(tmp_path, body, *setpriv)
    assert said == {"before": "NET_RAW BPF", "give up": "ok"}
    assert {int(tasks[0][name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}


@AS_ROOT
def test_one_right_can_be_kept_for_old_kernels(tmp_path: Path) -> None:
    body = """
rights.become("nobody")
tell("give up", lambda: rights.give_up(keep=("BPF",)))
tell("left", lambda: f"{rights.have('BPF')} {rights.have('NET_RAW')}")
finish()
"""
    said, tasks = run(tmp_path, body)
    assert said == {"give up": "ok", "left": "True False"}
    assert int(tasks[0]["CapPrm"], 16) == 1 << 39


@AS_ROOT
def test_a_thread_that_was_started_too_early_is_found(tmp_path: Path) -> None:
    body = """
rights.become("nobody")
threading.Thread(target=sys.stdin.read, daemon=True).start()
tell("give up", rights.give_up)
finish()
"""
    said, _ = run(tmp_path, body)
    assert "still holds rights (8000002000)" in said["give up"]


@AS_ROOT
def test_who_one_can_become(tmp_path: Path) -> None:
    body = """
tell("nobody known", lambda: rights.become("no-such-user"))
tell("root", lambda: rights.become("root"))
tell("nobody", lambda: rights.become("nobody"))
tell("again", lambda: rights.become("nobody"))
tell("back", lambda: os.setuid(0))
finish()
"""
    said, _ = run(tmp_path, body)
    assert said == {
        "nobody known": "CaptureError: there is no user no-such-user. Run: sudo systemd/install.sh",
        "root": "CaptureError: the user root is root itself. Run: sudo systemd/install.sh",
        "nobody": "ok",
        "again": "CaptureError: only root can become the user nobody. Start with sudo, or as nobody by systemd.",
        "back": "EPERM",
    }


#: A seccomp filter of the test's own, which plays a kernel without Landlock and then one without seccomp.
OLD_KERNEL = """
def old_kernel(number):
    steps = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (6, 0, 0, 0x50000 | errno.ENOSYS), (6, 0, 0, 0x7FFF0000)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    prog = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    libc.prctl(38, 1, 0, 0, 0)
    assert libc.prctl(22, 2, prog, 0, 0) == 0
nr_prctl = {"x86_64": 157, "aarch64": 167}[os.uname().machine]
old_kernel(444)
tell("files", lambda: rights.confine([state], []))
tell("still writes", lambda: (other / "new").write_text("x"))
old_kernel(nr_prctl)
tell("tap", lambda: rights.seal_tap([0]))
finish()
"""


def test_an_old_kernel_is_told_in_words(tmp_path: Path) -> None:
    said, _ = run(tmp_path, OLD_KERNEL)
    assert said == {
        "files": "files are not confined: this kernel has no Landlock (it comes with 5.13, and can be off at boot)",
        "still writes": "ok",
        "tap": "the tap is not sealed: seccomp refused (Function not implemented)",
    }


def test_the_folder_it_was_started_in_stays_closed(tmp_path: Path) -> None:
    """`python -m camguard` puts the current folder on sys.path: that is no reason to read it."""
    body = """
os.chdir(other)
sys.path.insert(0, str(other))
rights.confine([state], [])
tell("read", lambda: (other / "secret").read_text())
import json.tool, camguard.events
finish()
"""
    assert run(tmp_path, body)[0] == {"read": "EACCES"}


def test_folders_and_files_can_be_named(tmp_path: Path) -> None:
    body = """
(state / "readable").write_text("r"); (state / "file").write_text("f")
tell("files", lambda: rights.confine([state / "file", state / "missing"], [state / "readable"]))
tell("write the file", lambda: (state / "file").write_text("again"))
tell("read the other", lambda: (state / "readable").read_text())
tell("write the other", lambda: (state / "readable").write_text("x"))
tell("write the folder", lambda: (state / "new").write_text("x"))
finish()
"""
    said, _ = run(tmp_path, body)
    assert said.pop("files").endswith(f"can write {tmp_path}/state/file, {tmp_path}/state/missing only")
    assert said == {
        "write the file": "ok",
        "read the other": "r",
        "write the other": "EACCES",
        "write the folder": "EACCES",
    }


# ---- the filter itself, on both architectures ------------------------------------------------------------------------

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
NUMBERS = {
    "x86_64": {"read": 0, "write": 1, "dup": 32, "sendto": 44, "sendmsg": 46, "fcntl": 72, "socket": 41, "splice": 275},
    "aarch64": {
        "read": 63, "write": 64, "dup": 23, "sendto": 206, "sendmsg": 211, "fcntl": 25, "socket": 198, "splice": 76,
    },
}  # fmt: skip
CALLS = [
    ("read", (7,), True), ("write", (7,), False), ("write", (8,), True), ("write", (9,), False), ("dup", (9,), False),
    ("dup", (1,), True), ("sendto", (7,), False), ("sendto", (8,), True), ("sendmsg", (8,), False),
    ("fcntl", (7, 3), True), ("fcntl", (7, 0), False), ("fcntl", (7, 1030), False), ("fcntl", (8, 0), True),
    ("socket", (1,), True), ("socket", (16,), True), ("socket", (2,), False), ("socket", (10,), False),
    ("socket", (17,), False), ("splice", (8, 0, 7), False), ("splice", (7, 0, 8), True),
]  # fmt: skip


def verdict(program: list[tuple[int, int, int, int]], data: bytes) -> int:
    """Runs classic BPF as seccomp does."""
    at = accumulator = 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x15:
            at += if_true if accumulator == k else if_false
        elif code == 0x35:
            at += if_true if accumulator >= k else if_false
        else:
            assert code == 0x06
            return k


@pytest.mark.parametrize("machine", ARCH)
@pytest.mark.parametrize(("name", "args", "allowed"), CALLS)
def test_the_filter(machine: str, name: str, args: tuple[int, ...], allowed: bool) -> None:
    program = rights.tap_filter(machine, [7, 9])
    padded = (*args, *(0,) * (6 - len(args)))
    # the kernel takes the low 32 bits of these arguments, and so must the filter
    for high in (0, 1 << 32):
        data = struct.pack("<IIQ6Q", NUMBERS[machine][name], ARCH[machine], 0, *(high | arg for arg in padded))
        assert verdict(program, data) == (0x7FFF0000 if allowed else 0x00050001)
    foreign = struct.pack("<IIQ6Q", NUMBERS[machine][name], 0x40000003, 0, *padded)  # 32-bit x86
    assert verdict(program, foreign) == 0x00050001


def test_the_filter_takes_many_taps() -> None:
    program = rights.tap_filter("x86_64", range(3, 123))
    assert len(program) < 4096
    assert max(max(step[1], step[2]) for step in program) < 256
    data = struct.pack("<IIQ6Q", 72, ARCH["x86_64"], 0, 122, 0, 0, 0, 0, 0)
    assert verdict(program, data) == 0x00050001
    with pytest.raises(CaptureError, match="too many"):
        rights.seal_tap(range(3, 200))
