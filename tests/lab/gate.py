"""What conftest.py and test_lab.py share: the two seeds, a finished run, what is printed at the end."""

import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import verdict
from tests.lab.record import Recording

FIXED = 1
FRESH = int(os.environ.get("CAMGUARD_LAB_SEED") or random.SystemRandom().randrange(2, 10**6))
SEEDS = {"fixed": FIXED, "fresh": FRESH}
PROGRAMS = (
    "ip", "nft", "tc", "ethtool", "dnsmasq", "tcpdump", "ffmpeg", "curl", "openssl", "stunnel", "socat", "ping",
    "setpriv", "nginx", "turnserver", "wireguard-go", "wg", "sshd", "ssh-keygen",
)  # fmt: skip
finished: dict[str, list[verdict.Row]] = {}
notes: list[str] = []  # measured figures that the tests want printed at the end


@dataclass(slots=True)
class Run:
    """One finished run and what came of it."""

    recording: Recording
    events: list[dict[str, Any]]
    rows: list[verdict.Row]

    def rows_of(self, scenario: str) -> list[verdict.Row]:
        return [row for row in self.rows if row.scenario == scenario]


def missing() -> str | None:
    """Why the lab cannot run here, or None."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None and not Path("/usr/sbin", name).exists()]
    if os.geteuid() != 0:
        return "the lab needs root (network namespaces)"
    return f"the lab needs {', '.join(absent)} (tests/run.sh installs them)" if absent else None
