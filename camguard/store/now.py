"""now.json, the live figures that the guard replaces each second, and the two ways to write a time.

In and out: dictionaries (PLAN of the fields: service/live.py writes them), wall-clock seconds, RFC 3339 texts.
"""

import datetime
import json
import os
import time
from pathlib import Path
from typing import Any

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """This boot of the machine; clocks of two boots cannot be compared."""
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def boottime_s() -> float:
    """Seconds since boot, sleep included; the same in every process of the machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_now(path: Path) -> dict[str, Any] | None:
    """The live figures as the guard last wrote them, None where there are none to read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def now_age_s(now: dict[str, Any]) -> float:
    """How old the figures are; infinite when they are of another boot or say no time."""
    written = now.get("boottime_s")
    if now.get("boot_id") != boot_id() or not isinstance(written, int | float):
        return float("inf")
    return max(0.0, boottime_s() - written)


def write_now(path: Path, figures: dict[str, Any]) -> None:
    """Replace the live figures in one step, readable by the group; OSError where that fails."""
    new = path.with_name(path.name + ".new")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640), "w", encoding="utf-8") as file:
        json.dump(figures | {"boot_id": boot_id(), "boottime_s": round(boottime_s(), 3)}, file, ensure_ascii=False)
    new.rename(path)


def rfc3339(when: float) -> str:
    """Wall-clock seconds as the contract writes times: UTC, milliseconds."""
    text = datetime.datetime.fromtimestamp(when, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def seconds(text: object) -> float | None:
    """The other way round; None for what is no time."""
    if not isinstance(text, str):
        return None
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
