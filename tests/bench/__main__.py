# ruff: noqa: E501 - rows of a table
"""python -m tests.bench: measures camguard and prints the table of docs/performance.md (--write puts it there). Root.

Everything happens on veth pairs in network namespaces. Rows that need what is not installed say so.
"""

import argparse
import contextlib
import datetime
import json
import os
import platform
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from camguard import rights
from camguard.capture.kernel import KernelLedger
from camguard.events import Host
from tests.bench import bpfstats, handed_up
from tests.bench.guard import ROOT, Guard, guard
from tests.bench.traffic import GATEWAY, mac_of, pour, strangers, video
from tests.capture import wire
from tests.conftest import Desktop, a_desktop
from tests.traffic import rtsp_view

PAGE = ROOT / "docs/performance.md"
BEGIN, END = "<!-- table: python -m tests.bench --write -->\n", "<!-- end of table -->\n"
Lines = Iterator[str]


def hosts(cameras: int) -> list[Host]:
    return [Host(number + 1, f"cam{number}", mac_of(number), ()) for number in range(cameras)]


def exactness(size: int) -> Lines:
    yield "| Every byte is counted | |\n|---|---|\n"
    frames = video(1, 100, 20_000)
    with wire.pair() as (near, far):
        source, sender = KernelLedger([far], hosts(1)), wire.Sender(near)
        pace = pour(sender, frames, size, None)
        time.sleep(0.3)
        packets, size_bytes = wire.received(far)
        up, down, packets_up, packets_down = source.totals()[1]
        counts = list(source.collect(time.monotonic()))
        sender.close()
        source.close()
    told = sum(count.packets_up + count.packets_down for count in counts)
    told_bytes = sum(count.wire_up + count.wire_down for count in counts)
    assert (packets_up + packets_down, up + down) == (told, told_bytes) == (packets, size_bytes), "not exact"
    yield f"| sent as fast as they go | {packets:,} packets at {pace:,.0f} a second |\n"
    yield f"| the receiving interface counted | {packets:,} packets, {size_bytes:,} bytes |\n"
    yield f"| the ledger counted | {told:,} packets, {told_bytes:,} bytes: **the same** |\n\n"


def watch(kind: str, frames: list[bytes], total: int, pace: float | None) -> tuple[int, float]:
    """Packets seen and CPU seconds of one way of looking."""
    with wire.pair() as (near, far):
        sender = wire.Sender(near)
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.observe", kind, far],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT,
        )  # fmt: skip
        assert child.stdout is not None
        if child.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{kind} did not start")
        pour(sender, frames, total, pace)
        time.sleep(1)
        out, _ = child.communicate("stop\n", timeout=120)
        sender.close()
    result = json.loads(out)
    return result["seen"], result["cpu_s"]


def cost(total: int) -> Lines:
    frames = video(1, 100, 20_000, talk=0.02)
    yield f"| Who looks at {total:,} packets, sent as fast as they go | seen | CPU, user + system | a packet seen | times the guard |\n"
    yield "|---|---|---|---|---|\n"
    seen, user_s, kernel_s, notes = guarded(frames, total, None)
    mine = (user_s + kernel_s) / seen
    yield (
        f"| **the guard, all of it** ({notes}) | {seen:,} | {user_s:.2f} s + {kernel_s:.2f} s in the kernel program "
        f"| **{mine * 1e6:.2f} us** | 1 |\n"
    )
    for kind, name in (
        ("tcpdump", "`tcpdump -w /dev/null`"), ("loop", "a `recv` + `struct` loop in Python"), ("scapy", "`scapy.sniff`"),
    ):  # fmt: skip
        if kind == "tcpdump" and shutil.which("tcpdump") is None:
            yield f"| {name} | not installed | | | |\n"
            continue
        seen, cpu_s = watch(kind, frames, total, None)
        each = cpu_s / max(seen, 1)
        yield f"| {name} | {seen:,} | {cpu_s:.2f} s | {each * 1e6:.2f} us | {each / mine:,.1f} |\n"
    for pace in (100_000, 10_000):
        seen, user_s, kernel_s, notes = guarded(frames, pace * 8, pace)
        mine = (user_s + kernel_s) / seen
        yield (
            f"| the guard at {pace:,} a second ({notes}) | {seen:,} | {user_s:.2f} s + {kernel_s:.2f} s "
            f"| {mine * 1e6:.2f} us, {mine * pace * 100:.1f} % of a core | |\n"
        )
    yield "\n"


def guarded(frames: list[bytes], total: int, pace: float | None) -> tuple[int, float, float, str]:
    """Packets the guard saw, its user and system seconds, its program's seconds, and what it said of it."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        near, far = stack.enter_context(wire.pair())
        stack.enter_context(bpfstats.counting())
        with guard(folder / "g", far, 1) as running:
            program = bpfstats.program_of(running.process.pid)
            sender = wire.Sender(near)
            view(sender, GATEWAY)
            packets, _ = wire.received(far)
            cpu, (run_ns, _runs) = running.cpu_s(), bpfstats.cost(program)
            pour(sender, frames, total, pace)
            time.sleep(2.1)
            seen = wire.received(far)[0] - packets
            cpu, run_ns = running.cpu_s() - cpu, bpfstats.cost(program)[0] - run_ns
            alerts = [alert for alert in running.events("alert") if alert["type"] == "remote-stream"]
            assert alerts, f"the guard missed the viewing in the flood: {running.said()[-2000:]}"
            counters = running.now()["counters"]
            camera = running.now()["cameras"][0]  # type: ignore[index]
            sender.close()
    told = camera["packets_up"] + camera["packets_down"]
    assert told >= seen, f"the guard counted {told} of {seen} packets"
    return seen, cpu, run_ns / 1e9, f"2 % talk; alert raised; drops {counters['socket-drops']}"  # type: ignore[index]


def view(sender: wire.Sender, gateway: bytes) -> float:
    """Somebody outside plays the first camera's stream over RTSP; when the last word, the answer to PLAY, was sent."""
    sent_at = 0.0
    for frame in rtsp_view(0.0, peer_mac=gateway.hex(":")):
        time.sleep(0.01)
        sent_at = time.perf_counter()
        sender.send(mine(frame.data))
    return sent_at


def mine(data: bytes) -> bytes:
    """The dialogue's camera is the benchmark's first one."""
    theirs = bytes.fromhex("020000000001")
    return data[:12].replace(theirs, mac_of(0)) + data[12:]


def kernel_cost() -> Lines:
    yield "| A packet in the kernel (bpf statistics, whose own clock is in it) | ns |\n|---|---|\n"
    plain = video(1, 100, 10_000)
    kinds = {
        "video from a camera (TCP)": [data for data in plain if data[6:12] == mac_of(0)],
        "acknowledgements to a camera": [data for data in plain if data[6:12] == GATEWAY],
        "somebody else's traffic": [data.replace(mac_of(0), b"\x02\0\0\0\x99\x99") for data in plain],
    }
    with bpfstats.counting(), wire.pair() as (near, far):
        sender = wire.Sender(near)
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        fd = bpfstats.attach_empty(tap)
        tap.bind((far, 3))
        yield f"| an empty filter | {best(sender, plain, lambda: bpfstats.read(fd)):.0f} |\n"
        tap.close()
        os.close(fd)
        sender.close()
    for least in (True, False):
        for name, frames in kinds.items():
            ns = ledger_ns(frames, 1, least).split(" |")[0]
            yield f"| {name}{', loaded with NET_RAW and BPF only, as the guard does' if least else ', loaded by root'} | {ns} |\n"
    yield "\n"


def ledger_ns(frames: list[bytes], cameras: int, least: bool) -> str:
    """Nanoseconds a packet; `least`: loaded with NET_RAW and BPF only, which makes the kernel's verifier more careful."""
    with bpfstats.counting(), wire.pair() as (near, far):
        sender = wire.Sender(near)

        def work() -> str:
            if least:
                rights._set_capabilities(rights._mask(("NET_RAW", "BPF")))
            source = KernelLedger([far], hosts(cameras))
            ns = best(sender, frames, lambda: bpfstats.read(source._loaded.program))
            list(source.collect(time.monotonic()))
            pour(sender, frames, len(frames), None)
            began = time.process_time()
            list(source.collect(time.monotonic()))
            return f"{ns:.0f} | {(time.process_time() - began) * 1e3:.1f}"

        return in_child(work)


def best(sender: wire.Sender, frames: list[bytes], read: Callable[[], tuple[int, int]]) -> float:
    """The best of five rounds: other jobs of the machine only ever add to it."""
    rounds = []
    pour(sender, frames, 20_000, None)
    for _ in range(5):
        time.sleep(0.05)
        before = read()
        pour(sender, frames, 100_000, None)
        time.sleep(0.05)
        after = read()
        rounds.append((after[0] - before[0]) / max(1, after[1] - before[1]))
    return min(rounds)


def in_child(work: Callable[[], str]) -> str:
    """What `work` says, run in a child process: it gives up rights for good."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            said = work()
        except BaseException as error:  # noqa: BLE001 - shown in the table
            said = f"failed: {type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


def flat() -> Lines:
    yield "| Cameras | connections | kernel, ns a packet | reading the sums once a second, ms of CPU |\n|---|---|---|---|\n"
    for cameras in (1, 10, 100):
        for connections in (100, 10_000):
            frames = video(cameras, connections, max(20_000, connections))
            yield f"| {cameras} | {connections:,} | {ledger_ns(frames, cameras, True)} |\n"
    yield "\n"


def at_rest_and_flooded() -> Lines:
    yield "| The guard with 100 cameras | | |\n|---|---|---|\n"
    with tempfile.TemporaryDirectory() as folder, wire.pair() as (near, far):
        sender = wire.Sender(near)
        with guard(Path(folder) / "g", far, 100) as running:
            yield f"| ready after | {running.ready_s:.2f} s | aim: under 1 s |\n"
            time.sleep(3)
            cpu = running.cpu_s()
            time.sleep(10)
            yield f"| CPU at rest | {(running.cpu_s() - cpu) * 10:.2f} % of a core | aim: under 0.5 % |\n"
            yield f"| memory at rest (VmRSS) | {running.memory_mb('VmRSS'):.1f} MB | |\n"
            pour(sender, video(100, 10_000, 20_000, talk=0.02), 400_000, 100_000)
            time.sleep(1.5)
            yield f"| memory after 400,000 packets of 10,000 connections (VmHWM) | {running.memory_mb('VmHWM'):.1f} MB | aim: at most 40 MB |\n"
            for part in range(10):
                pour(sender, strangers(part, 50_000, part), 50_000, 100_000)
            time.sleep(3)
            yield f"| memory after 500,000 spoofed connections (VmHWM) | {running.memory_mb('VmHWM'):.1f} MB | aim: at most 40 MB |\n"
            counters = running.now()["counters"]
            yield f"| what the flood cost | {counters['flows-overflow']:,} packets counted without a connection, {counters['socket-drops']:,} frames not read | counted, never silent |\n"  # type: ignore[index]
        sender.close()
    yield "\n"


def replay(folder: Path) -> Lines:
    yield "| Replay of a capture | packets a second | |\n|---|---|---|\n"
    capture = folder / "bench.pcap"
    frames = video(1, 100, 200_000, talk=0.02)
    with capture.open("wb") as out:
        out.write(struct.pack("=IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, data in enumerate(frames):
            micros = number * 500
            out.write(
                struct.pack("=IIII", 1_790_000_000 + micros // 1_000_000, micros % 1_000_000, len(data), len(data))
            )
            out.write(data)
    camguard = str(Path(sys.executable).with_name("camguard"))
    commands = {
        "`camguard replay`": [camguard, "replay", str(capture)],
        "`tcpdump -n -r`": ["tcpdump", "-n", "-r", str(capture)],
    }
    if (nfstream := nfstream_python()) is not None:
        script = f"from nfstream import NFStreamer\nif __name__ == '__main__':\n    print(sum(1 for _ in NFStreamer(source={str(capture)!r}, n_meters=1)))"
        path = folder / "nf.py"
        path.write_text(script)
        commands["nfstream 6 (C, one meter)"] = [nfstream, str(path)]
    for name, command in commands.items():
        if shutil.which(command[0]) is None:
            yield f"| {name} | not installed | |\n"
            continue
        began = time.perf_counter()
        subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300, check=True, cwd=folder
        )
        each_s = (time.perf_counter() - began) / len(frames)
        yield f"| {name} | {1 / each_s:,.0f} | {'aim: 200,000, not required' if 'replay' in name else ''} |\n"
    if nfstream is None:
        yield "| nfstream | not to be had here | |\n"
    yield "\n"


def nfstream_python() -> str | None:
    """A Python that has nfstream, in a folder of its own (it is no dependency of camguard); None where it cannot be had."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "camguard-bench"
    python = home / "bin/python"
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(home)], check=False, capture_output=True)
        if made.returncode:
            return None
    if subprocess.run([str(python), "-c", "import nfstream"], check=False, capture_output=True).returncode:
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "nfstream"], check=False, capture_output=True, timeout=300
        )
    worked = subprocess.run([str(python), "-c", "import nfstream"], check=False, capture_output=True).returncode == 0
    return str(python) if worked else None


def delay(rounds: int) -> Lines:
    """Wall clock from the packet that answers PLAY to the committed alert, and on to the notification that the desktop's
    own service shows; the guard and the companion were at rest before."""
    yield "| From the packet to you, wall clock | median | worst |\n|---|---|---|\n"
    desk = all(shutil.which(name) for name in ("Xvfb", "dbus-daemon", "dunst", "dunstctl"))
    committed, shown = [], []
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as folder, wire.pair() as (near, far), contextlib.ExitStack() as stack:
            os.chmod(folder, 0o755)
            sender = wire.Sender(near)
            running = stack.enter_context(guard(Path(folder) / "g", far, 1))
            desktop = stack.enter_context(companion(Path(folder), running)) if desk else None
            time.sleep(1 + number * 0.13)
            began = view(sender, GATEWAY)
            committed.append(wait(partial(alerts, running.database)) - began)
            if desktop is not None:
                shown.append(wait(desktop.count) - began)
            sender.close()
    for name, times in (("alert committed to the store", committed), ("notification on the screen (dunst)", shown)):
        if times:
            times.sort()
            middle, worst = times[len(times) // 2] * 1e3, times[-1] * 1e3
            yield f"| answer to PLAY on the wire -> {name} ({rounds} runs) | {middle:.0f} ms | {worst:.0f} ms |\n"
        else:
            yield f"| {name} | no desktop to measure with (Xvfb, dbus, dunst) | |\n"
    yield "\n"


@contextlib.contextmanager
def companion(folder: Path, running: Guard) -> Iterator[Desktop]:
    """`camguard desktop` in a session of its own."""
    home = folder / "desk"
    home.mkdir()
    with a_desktop(home) as desktop:
        desktop.start()
        program = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("camguard")), "desktop", "--config", str(folder / "g/camguard.toml"),
                "--state-dir", str(folder / "g/state"), "--runtime-dir", str(folder / "g/run"),
            ],
            env=desktop.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield desktop
        finally:
            program.terminate()
            program.wait(10)


def alerts(database: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        found: int = reader.execute("select count(*) from alerts").fetchone()[0]
    return found


def wait(reached: Callable[[], int]) -> float:
    """When it was reached; infinity after ten seconds."""
    until = time.perf_counter() + 10
    while not reached():
        if time.perf_counter() > until:
            return float("inf")
        time.sleep(0.002)
    return time.perf_counter()


def machine() -> str:
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    day = datetime.datetime.now(datetime.UTC).date()
    return f"Measured {day} on {os.cpu_count()} cores of {model or platform.machine()}, kernel {platform.release()}, Python {platform.python_version()}; load {os.getloadavg()[0]:.1f} at the start.\n\n"


def main() -> int:
    asked = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    asked.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    asked.add_argument("--only", nargs="*", help="parts: exact cost kernel flat guard talk replay delay")
    asked.add_argument("--packets", type=int, default=800_000)
    given = asked.parse_args()
    if os.geteuid():
        print("the benchmark makes network namespaces: run it as root", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        parts: dict[str, Callable[[], Lines]] = {
            "exact": lambda: exactness(given.packets),
            "cost": lambda: cost(given.packets),
            "kernel": kernel_cost,
            "flat": flat,
            "guard": at_rest_and_flooded,
            "talk": handed_up.lines,
            "replay": lambda: replay(Path(folder)),
            "delay": lambda: delay(9),
        }
        table = machine()
        print(table, end="", flush=True)
        for name, part in parts.items():
            if given.only and name not in given.only:
                continue
            for line in part():
                print(line, end="", flush=True)
                table += line
    if given.write:
        page = PAGE.read_text()
        head, tail = page[: page.index(BEGIN) + len(BEGIN)], page[page.index(END) :]
        PAGE.write_text(head + table + tail)
    return 0


if __name__ == "__main__":
    sys.exit(main())
