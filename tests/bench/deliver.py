"""python -m tests.bench.deliver: how fast deliver hands over, and what it costs (--write: into docs/performance.md).

The real process with ten channels, of which three hang, follows a real record; receivers are real servers on loopback.
Clocks of both sides are CLOCK_MONOTONIC of one machine. No root, no network.
"""

import argparse
import contextlib
import os
import re
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from camguard import store
from tests.tell.receivers import BlackHole, Receiver, alert
from tests.tell.test_deliver import Process, configure, eventually, hook, push

PAGE = Path(__file__).resolve().parents[2] / "docs/performance.md"
HEAD = "## Delivery\n"
BEGIN, END = "<!-- table: python -m tests.bench.deliver --write -->\n", "<!-- end of table -->\n"
LIMIT_MS, LIMIT_MB = 1000.0, 60.0


def status(pid: int, key: str) -> float:
    """MB of a line of /proc/PID/status."""
    found = re.search(rf"(?m)^{key}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def cpu_s(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def handing_over(alerts: int, pace_s: float) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record = store.Store.open(folder / "guard.db")
        fine, hanging, hole = [Receiver() for _ in range(7)], Receiver("hang"), BlackHole()
        tables = [hook(folder, f"hook{n}", one.url()) for n, one in enumerate(fine[:4])]
        tables += [push(folder, f"push{n}", f"ntfy://127.0.0.1:{one.port}/t") for n, one in enumerate(fine[4:])]
        tables += [hook(folder, "hangs", hanging.url()), hook(folder, "hole", hole.url("https"))]
        tables += [push(folder, "stuck", f"json://127.0.0.1:{hole.port}/")]
        configure(folder, *tables)
        process = Process(folder)
        assert process.ready()
        time.sleep(2.0)
        idle_mb, pid = status(pid := process.program.pid, "VmRSS"), process.program.pid
        idle_cpu = cpu_s(pid)
        time.sleep(5.0)
        idle_percent = (cpu_s(pid) - idle_cpu) / 5.0 * 100
        committed: dict[str, float] = {}
        for number in range(alerts):
            made = alert(
                f"{number:04x}", camera=f"cam{number % 200}", peer={"ip": f"10.0.{number // 200}.{number % 200}"}
            )
            row = store.Row("alert", time.time(), made["camera"], made["id"], made["state"], made)
            record.write([row], durable=True)
            committed[made["id"]] = time.monotonic()
            time.sleep(pace_s)
        eventually(lambda: all(len(one.got) >= alerts for one in fine), 30)
        late = []
        for one in fine:
            for got in one.got:
                found = re.search(rb"\[([0-9a-f]{4,})\]", got.body)
                assert found, got.body
                late.append((got.at - committed[found[1].decode()]) * 1000)
        assert len(late) == 7 * alerts, f"{len(late)} of {7 * alerts} arrived"
        late.sort()
        p99 = late[int(len(late) * 0.99)]
        peak = status(pid, "VmHWM")
        process.kill()
        record.close()
        for receiver in (*fine, hanging):
            receiver.close()
        hole.close()
    median = statistics.median(late)
    yield f"| {alerts} alerts, ten channels, three of them hang: committed to handed over, median | {median:.0f} ms |\n"
    yield f"| ... 99th percentile (goal: {LIMIT_MS:.0f} ms) | **{p99:.0f} ms** |\n"
    yield f"| ... the slowest of {len(late):,} | {late[-1]:.0f} ms |\n"
    yield f"| memory before the first message | {idle_mb:.0f} MB |\n"
    yield f"| memory at most, with Apprise (goal: {LIMIT_MB:.0f} MB) | **{peak:.0f} MB** |\n"
    yield f"| processor while nothing happens | {idle_percent:.1f} % of one core |\n"
    if p99 > LIMIT_MS or peak > LIMIT_MB:
        yield "| | **a goal is missed** |\n"


def pour(record: store.Store, numbers: range, seconds: float) -> Iterator[float]:
    """Critical findings at an even pace; how long each commit took, in seconds."""
    began = time.monotonic()
    for number in numbers:
        made = alert(f"{number:04x}", peer={"ip": f"10.{number // 62500}.{number // 250 % 250}.{number % 250}"})
        before = time.monotonic()
        row = store.Row("alert", time.time(), made["camera"], made["id"], made["state"], made)
        record.write([row], durable=True)
        yield time.monotonic() - before
        time.sleep(max(0.0, began + seconds * (number - numbers.start) / len(numbers) - time.monotonic()))


def storm(findings: int, minute_s: float) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record = store.Store.open(folder / "guard.db")
        receivers = [Receiver() for _ in range(10)]
        tables = [hook(folder, f"hook{n}", one.url()) for n, one in enumerate(receivers[:5])]
        tables += [push(folder, f"push{n}", f"ntfy://127.0.0.1:{one.port}/t") for n, one in enumerate(receivers[5:])]
        configure(folder, *tables)
        process = Process(folder)
        assert process.ready()
        pid, began = process.program.pid, time.monotonic()
        commits = list(pour(record, range(findings), minute_s))
        last = store.Reader(folder / "guard.db").last_seq()

        def taken() -> bool:
            with contextlib.closing(sqlite3.connect(f"file:{folder}/deliver.db?mode=ro", uri=True)) as db:
                return db.execute("SELECT value FROM meta WHERE key='cursor'").fetchone() == (str(last),)

        assert eventually(taken, 30)
        behind = time.monotonic() - began - minute_s
        time.sleep(1.0)
        used, peak = cpu_s(pid), status(pid, "VmHWM")
        hooks, pushes = (max(len(one.got) for one in some) for some in (receivers[:5], receivers[5:]))
        counted = max(int(one.json["count"]) for one in receivers[0].got)
        size = sum(path.stat().st_size for path in folder.glob("deliver.db*")) / 1e6
        process.kill()
        alone = list(pour(record, range(findings, findings + findings // 10), minute_s / 10))
        record.close()
        for receiver in receivers:
            receiver.close()
    yield f"| {findings:,} critical findings in {minute_s:.0f} s, ten channels: messages to a phone | {pushes} |\n"
    yield f"| ... messages to a webhook (all but a few replace an earlier one, silently) | {hooks} |\n"
    yield f"| ... viewers counted in the one message that is kept | {counted:,} |\n"
    yield f"| ... behind at the end | {max(0.0, behind):.1f} s |\n"
    yield f"| ... processor, memory, size of deliver.db | {used:.0f} s, {peak:.0f} MB, {size:.1f} MB |\n"
    with_it, without = (sorted(one)[int(len(one) * 0.99)] * 1000 for one in (commits, alone))
    both = f"{with_it:.1f}, {without:.1f} ms"
    yield f"| ... a commit of the guard meanwhile, and without deliver, 99th percentile | {both} |\n"


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    asked.add_argument("--alerts", type=int, default=200)
    asked.add_argument("--pace", type=float, default=0.2, help="seconds between alerts")
    asked.add_argument("--findings", type=int, default=10_000)
    asked.add_argument("--minute", type=float, default=60.0, help="seconds for the findings")
    given = asked.parse_args()
    threading.stack_size(256 * 1024)
    lines = ["| Delivery | |\n|---|---|\n"]
    for part in (handing_over(given.alerts, given.pace), storm(given.findings, given.minute)):
        for line in part:
            lines.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()
    if given.write:
        write("".join(lines))
    return 1 if any("missed" in line for line in lines) else 0


def write(table: str) -> None:
    """The section at the end of the page, made or brought up to date."""
    text = PAGE.read_text()
    section = f"{BEGIN}{table}{END}"
    if BEGIN in text:
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(before + section + rest.partition(END)[2])
        return
    intro = (
        "`python -m tests.bench.deliver`: the real `camguard deliver` with receivers on loopback. Handed over means\n"
        "that the receiver has the whole message.\n\n"
    )
    PAGE.write_text(f"{text.rstrip()}\n\n{HEAD}\n{intro}{section}")


if __name__ == "__main__":
    sys.exit(main())
