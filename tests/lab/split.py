"""Cut a recording's lan.pcap into one capture a scenario (tcpdump, by the camera's MAC), for reading and tuning."""

import json
import subprocess
from pathlib import Path


def split(folder: Path, target: Path) -> None:
    """Write TARGET/<scenario>.pcap: the camera's frames, and what the whole link hears (ARP, NDP, DHCP, RA)."""
    who = json.loads((folder / "who.json").read_text())
    target.mkdir(parents=True, exist_ok=True)
    for scenario in who["scenarios"]:
        subprocess.run(
            ["tcpdump", "-r", str(folder / "lan.pcap"), "-w", str(target / f"{scenario['name']}.pcap"), "-Z", "root",
             f"ether host {scenario['camera_mac']} or ether multicast"],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
