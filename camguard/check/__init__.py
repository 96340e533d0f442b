"""`camguard check`: can it look, what does it see, can it tell you. One line each, one fix per fault.

answers.py measures, trial.py tries the channels (`camguard notify --test`); this prints: text for a homeowner, or one
JSON object a line (name, status, detail, fix).
It changes nothing.
"""

import json
import os
import platform
import sys
from collections.abc import Callable
from typing import Any

from camguard import __version__, report
from camguard.check import answers
from camguard.check.answers import Answer, number
from camguard.config import Paths
from camguard.review.terminal import View

_SIGNS = {
    True: {"ok": "[✓]", "warning": "[!]", "fault": "[✗]"},
    False: {"ok": "[ok]   ", "warning": "[warn] ", "fault": "[fault]"},
}


def run(paths: Paths, *, as_json: bool = False) -> int:
    """Print the answers (a JSON object a line with `as_json`); 0 when nothing is a fault, 1 otherwise."""
    view = View(paths)
    settings, trouble = answers.settings_of(paths)
    looks = [
        *answers.guard(view),
        *answers.configuration(paths, settings, trouble),
        *answers.looking(view),
        *answers.owners(view),
    ]
    sees, tells = list(answers.seeing(view)), list(answers.telling(paths, settings, view))
    outside = list(answers.outside(paths, settings, view))
    every = [*looks, *sees, *tells, *outside]
    if as_json:
        for one in every:
            line = {"name": one.name, "status": one.status, "detail": one.detail, "fix": one.fix or None}
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    else:
        _print(view, looks, sees, tells, outside)
    return int(any(one.status == "fault" for one in every))


def sign(status: str) -> str:
    """The sign of an answer, in words where the terminal is not UTF-8."""
    return _SIGNS[(sys.stdout.encoding or "").lower().replace("-", "") == "utf8"][status]


# ---- for the owner ---------------------------------------------------------------------------------------------------


def _print(view: View, looks: list[Answer], sees: list[Answer], tells: list[Answer], outside: list[Answer]) -> None:
    write: Callable[[str], Any] = sys.stdout.write
    if not view.looking:
        write(view.not_looking_words() + "\n\n")
    machine = f"camguard {__version__} on {platform.node()}, {_system()}, kernel {_kernel()} ({platform.machine()})"
    write(f"{machine}   {report.day(view.now, view.zone)}\n\n")
    width = max(len(one.name) for one in [*looks, *sees, *tells, *outside])
    for title, group in (("Can it look?", looks), ("What does it see?", sees), ("Can it tell you?", tells + outside)):
        write(f"{title}\n")
        if not group:
            write(" No camera is guarded yet.\n")
        for one in group:
            write(f" {sign(one.status)} {one.name.ljust(width)}  {one.detail}\n")
            for more in (one.meaning, f"Fix: {one.fix}" if one.fix else ""):
                if more:
                    write(f"        {more}\n")
    write(
        "What it can never see: viewing of video already stored in the maker's cloud; a viewer by SIM camera.  "
        "docs/limits.md\n\n"
    )
    write(_verdict(view, [*looks, *sees, *tells, *outside], sees, tells) + "\n")


def _verdict(view: View, every: list[Answer], sees: list[Answer], tells: list[Answer]) -> str:
    faults = sum(one.status == "fault" for one in every)
    warnings = sum(one.status == "warning" for one in every)
    good = sum(one.status != "fault" for one in sees)
    reached = any(one.status == "ok" for one in tells)
    which = {1: "the camera", 2: "both cameras"}.get(len(sees), f"all {len(sees)} cameras")
    well = f"camguard sees {which} and can reach you."
    if not faults and not warnings:
        return f"{well} Nothing to do."
    counts = ", ".join(number(n, what) for n, what in ((faults, "problem"), (warnings, "warning")) if n)
    if not view.looking:
        end = "camguard is not looking."
    elif not faults:
        end = well
    elif not reached:
        end = "camguard can look, but cannot reach you."
    else:
        end = f"camguard protects {good} of {number(len(sees), 'camera')}."
    return f"{counts}. {end}"


def _system() -> str:
    try:
        found = platform.freedesktop_os_release()
    except OSError:
        return "Linux"
    return report.clean(f"{found.get('NAME', 'Linux').removesuffix(' GNU/Linux')} {found.get('VERSION_ID', '')}")


def _kernel() -> str:
    return ".".join(os.uname().release.split(".")[:2])
