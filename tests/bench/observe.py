"""One way of looking, as a process of its own: python -m tests.bench.observe scapy|loop|tcpdump|ledger INTERFACE.

Prints "ready", looks until a line comes on stdin, prints {"seen": packets, "cpu_s": user and system time since ready}.
"""

import json
import resource
import socket
import struct
import subprocess
import sys
import threading
import time

Result = tuple[int, float]


def scapy(interface: str) -> Result:
    from scapy.all import AsyncSniffer  # all: with its layers, as everybody uses it

    seen = 0

    def count(_packet: object) -> None:
        nonlocal seen
        seen += 1

    sniffer = AsyncSniffer(iface=interface, prn=count, store=False)
    sniffer.start()
    time.sleep(0.5)
    begin = ready()
    sys.stdin.readline()
    spent = time.process_time() - begin
    sniffer.stop()
    return seen, spent


def loop(interface: str) -> Result:
    """What one writes first: recv, unpack Ethernet, IP and ports, count packets and bytes of each connection."""
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3)
    tap.bind((interface, 3))
    tap.settimeout(0.2)
    table: dict[tuple[bytes, bytes, int, int, int], list[int]] = {}
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    begin = ready()
    seen = 0
    while not stop.is_set():
        try:
            data = tap.recv(65_535)
        except TimeoutError:
            continue
        _to, _source, kind = struct.unpack("!6s6sH", data[:14])
        if kind != 0x0800:
            continue
        first, _tos, _total, _id, _place, _ttl, proto, _sum, src, dst = struct.unpack("!BBHHHBBH4s4s", data[14:34])
        start = 14 + (first & 15) * 4
        sport, dport = struct.unpack("!HH", data[start : start + 4])
        row = table.setdefault((src, dst, proto, sport, dport), [0, 0])
        row[0] += 1
        row[1] += len(data)
        seen += 1
    return seen, time.process_time() - begin


def tcpdump(interface: str) -> Result:
    program = subprocess.Popen(
        ["tcpdump", "-i", interface, "-n", "-w", "/dev/null", "--immediate-mode"], stderr=subprocess.PIPE, text=True
    )
    assert program.stderr is not None
    while "listening" not in program.stderr.readline():
        pass
    ready()
    sys.stdin.readline()
    program.terminate()
    said = program.stderr.read()
    program.wait()
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    seen = next(int(line.split()[0]) for line in said.splitlines() if "captured" in line)
    return seen, spent.ru_utime + spent.ru_stime


def ledger(interface: str) -> Result:
    """The kernel ledger alone, read once a second as the guard does."""
    from camguard.capture.kernel import open_kernel
    from camguard.events import Host
    from tests.bench.traffic import mac_of

    source = open_kernel([interface], [Host(1, "camera", mac_of(0), ())])
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    begin = ready()
    seen = 0
    while not stop.wait(1):
        source.read()
        seen += sum(count.packets_up + count.packets_down for count in source.collect(time.monotonic()))
    seen += sum(count.packets_up + count.packets_down for count in source.collect(time.monotonic()))
    return seen, time.process_time() - begin


def ready() -> float:
    print("ready", flush=True)
    return time.process_time()


if __name__ == "__main__":
    look = {"scapy": scapy, "loop": loop, "tcpdump": tcpdump, "ledger": ledger}[sys.argv[1]]
    packets, cpu_s = look(sys.argv[2])
    print(json.dumps({"seen": packets, "cpu_s": cpu_s}), flush=True)
