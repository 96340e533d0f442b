"""Real captures (../shared/corpus) replayed as `camguard replay` does without a configuration, judged by what is known.

What a viewing is comes from the corpus' own label and measurements (truth.json): in the files listed here, every
connection on which the named camera sent `VIEW_BYTES` and more. Elsewhere nothing is known to be a viewing; what was
told is printed, not judged.
"""

import ipaddress
import json
import os
import time
from pathlib import Path
from typing import Any

from camguard import replay
from camguard.capture import pcap
from camguard.decode import decode
from camguard.places import Places
from tests.lab import again, verdict

VIEW_BYTES = 500_000
MEDIA_PACKET_BYTES = 400
#: file -> the camera's address in it (README.md and MANIFEST.tsv of the corpus).
CAMERAS = {
    "stream/ucl_dlink-cam_no-firewall_wan.pcap": "192.168.1.115",
    "stream/ucl_dlink-cam_no-firewall_wlan2.4.pcap": "192.168.1.115",
    "stream/ucl_dlink-cam_no-firewall_wlan5.0.pcap": "192.168.1.115",
    "stream/ucl_dlink-cam_base-firewall_wan.pcap": "192.168.1.115",
    "stream/ucl_dlink-cam_my-firewall_wan.pcap": "192.168.1.115",
    "stream/vzvca_rtp_h264.pcap": "192.168.0.101",
    "stream/yi_camera_sample.pcap": "192.168.10.204",
}
READABLE = ("stream/vzvca_rtp_h264.pcap",)
#: groups in which a capture may well hold calls, uploads or attacks: what is told there is only counted.
QUIET_GROUPS = ("iot/",)


def folder() -> Path:
    """Where the corpus lies."""
    root = Path(__file__).resolve().parents[2]
    return Path(os.environ.get("CAMGUARD_CORPUS", root.parent / "shared" / "corpus"))


def alerts_of(capture: Path) -> list[dict[str, Any]]:
    """All events of a capture in which every local host is taken for a camera."""
    look = replay.Look()
    for frame in replay.Files([capture]).frames():
        look.see(frame)
    return again.play_again(capture, look.home(), places=Places())


def first_media(capture: Path, camera: tuple[str, int], peer: tuple[str, int]) -> float:
    """When the camera first sent a packet of media size on the connection (punching and keep-alives are shorter)."""
    ends = (ipaddress.ip_address(camera[0]).packed, camera[1], ipaddress.ip_address(peer[0]).packed, peer[1])
    packets = map(decode, pcap.frames(capture))
    return next(
        p.at for p in packets if (p.src, p.sport, p.dst, p.dport) == ends and p.payload_len >= MEDIA_PACKET_BYTES
    )


def rows_of(where: Path, name: str, truth: dict[str, Any], events: list[dict[str, Any]]) -> list[verdict.Row]:
    """A row for each labelled viewing of the file; one quiet row where none is known."""
    camera = CAMERAS.get(name)
    deeds = []
    for flow in truth["flows"] if camera else ():
        for end, other, up in (("a", "b", "bytes_ab"), ("b", "a", "bytes_ba")):
            if flow[end] != camera or flow[up] < VIEW_BYTES:
                continue
            ends = (flow[end], flow[f"{end}_port"]), (flow[other], flow[f"{other}_port"])
            home = ipaddress.ip_address(flow[other]).is_private
            deeds.append({
                "scenario": f"{name} -> {flow[other]}", "camera": camera, "peer": flow[other],
                "must": "lan-stream" if home else "remote-stream", "required": True,
                "within_s": verdict.READABLE_S if name in READABLE else verdict.OPAQUE_S,
                "first_seen": first_media(where / name, *ends),
            })  # fmt: skip
    if not deeds:
        told = [e for e in events if e["kind"] == "alert" and e["type"] in verdict.VIEWING and e["state"] == "open"]
        row = verdict.Row(name, None, None, name.startswith(QUIET_GROUPS))
        row.wrong = [f"told: {a['type']} {a['camera']} -> {(a['peer'] or {}).get('ip')}" for a in told]
        return [row]
    events = [e for e in events if e["kind"] != "alert" or e["type"] in verdict.VIEWING]
    return verdict.compare(deeds, events)


def judge(where: Path) -> tuple[list[verdict.Row], float]:
    """All rows, and how long it took."""
    truth = json.loads((where / "truth.json").read_text())["files"]
    began = time.monotonic()
    rows: list[verdict.Row] = []
    for name in sorted(truth):
        rows += rows_of(where, name, truth[name], alerts_of(where / name))
    return rows, time.monotonic() - began


def table(where: Path) -> str:
    """The labelled viewings, then what was told in captures of which no viewing is known, in Markdown."""
    rows, took_s = judge(where)
    known = [row for row in rows if row.must]
    others = [row for row in rows if not row.must]
    lines = [verdict.table(known), "", "| capture without a known viewing | told |", "|---|---|"]
    lines += [f"| {row.scenario} | {'; '.join(sorted(set(row.wrong)))} |" for row in others if row.wrong]
    silent = sum(not row.wrong for row in others)
    judged = [row for row in others if row.required]
    lines += [
        "",
        f"{silent} of {len(others)} captures without a known viewing stayed silent; of the {len(judged)} of other home "
        f"devices {sum(bool(row.wrong) for row in judged)} did not. Replay of all took {took_s:.0f} s.",
    ]
    return "\n".join(lines)
