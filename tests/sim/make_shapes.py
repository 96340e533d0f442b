"""Make shapes/lab.json anew from recordings of the lab: python -m tests.sim.make_shapes DIR... (docs/accuracy.md).

In: folders as `python -m tests.lab --no-guard --keep` leaves them. Out: seconds of connections, numbers only.
"""

import json
import sys
from pathlib import Path
from typing import Any

from camguard.capture import ledger, pcap
from camguard.events import FlowCount, Host, hosts_of
from tests.lab import again
from tests.sim.shapes import LAB, OFFSETS_S, Shape, assemble

#: Acts whose connections begin after the guard looks and say nothing that can be read.
VIEWS = ("tls-upload", "tls-pipe", "https-put", "tls-ipv6", "tls-merged", "udp-p2p", "low-rate", "sound-only",
         "sound-p2p", "p2p-filled", "still-scene")  # fmt: skip
OTHERS = ("clip-2mb-fast", "clip-8mb-fast", "clip-2mb-1mbit", "clip-8mb-1mbit", "clip-2mb-2mbit", "clip-8mb-2mbit",
          "clip-2mb-5mbit", "clip-8mb-5mbit", "clip-paced", "clips-kept", "snapshots", "heartbeat", "firmware",
          "dns-ntp", "recorder-udp", "recorder-tcp")  # fmt: skip


def shapes_of(folder: Path) -> list[Shape]:
    """The shapes of one recording."""
    who = json.loads((folder / "who.json").read_text())
    hosts = hosts_of(again.home_of(folder))
    media = {one["scenario"]: one["first_media"] for one in again.expected_of(folder)}
    outside = {s["name"]: frozenset(ip for pair in s["outside"] for ip in pair if ip) for s in who["scenarios"]}
    out: list[Shape] = []
    for offset_s in OFFSETS_S:
        counts = _counts(folder, hosts, offset_s)
        for host in hosts:
            if host.name not in (*VIEWS, *OTHERS):
                continue
            shape = assemble(
                host.name, f"lab seed {who['seed']}", counts[host.number], (), hosts, host.number, offset_s=offset_s,
                media_at=media.get(host.name) if host.name in VIEWS else None, peers=outside[host.name],
            )  # fmt: skip
            if shape and sum(len(track.rows) for track in shape.tracks):
                out.append(shape)
    return out


def _counts(folder: Path, hosts: tuple[Host, ...], offset_s: float) -> dict[int, dict[bytes, list[FlowCount]]]:
    counts: dict[int, dict[bytes, list[FlowCount]]] = {host.number: {} for host in hosts}
    frames = (frame._replace(at=frame.at + offset_s) for frame in pcap.frames(folder / "lan.pcap"))
    for item in ledger.run(frames, hosts):
        if isinstance(item, FlowCount):
            counts[int.from_bytes(item.key[:2], sys.byteorder)].setdefault(item.key, []).append(item)
    return counts


def as_json(shape: Shape) -> dict[str, Any]:
    """The shape without frames or addresses but the peers' (documentation addresses), times to the millisecond."""
    tracks = [[*track[:7], round(track.begins_s, 3), [list(row) for row in track.rows]] for track in shape.tracks]
    times = {key: round(getattr(shape, key), 3) for key in ("begins_s", "media_s", "ends_s")}
    return {"name": shape.name, "source": shape.source, **times, "tracks": tracks}


def main() -> None:
    shapes = [shape for folder in sys.argv[1:] for shape in shapes_of(Path(folder))]
    lines = ",\n".join(json.dumps(as_json(shape), separators=(",", ":")) for shape in shapes)
    LAB.write_text(f"[\n{lines}\n]\n")
    print(f"{LAB}: {len(shapes)} shapes of {len({shape.name for shape in shapes})} scenarios")


if __name__ == "__main__":
    main()
