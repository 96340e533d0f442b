"""One target under atheris, in a process of its own: `python -m tests.fuzz.one TARGET FOLDER SECONDS`.

A finding ends nothing: its input is put into FOLDER/findings, one for each place in the code, and fuzzing goes on.
FOLDER/state.json is written every second, FOLDER/slow holds the inputs whose calls took the most CPU.
"""

import contextlib
import gc
import json
import re
import sys
import time
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["camguard"]):
    from camguard.protocols import STREAM_READERS  # noqa: F401
    from tests.fuzz import targets

#: On the wall's clock and under instrumentation, so more than it is: what is suspect is measured by the CPU's, and
#: the slowest of that again without instrumentation (__main__.py).
SUSPECT_S, SLOW_KEPT, COLLECT_EVERY = 0.0005, 8, 50_000


def place(error: BaseException) -> str:
    """Where an error came from: its class and the innermost function of camguard."""
    frames = [
        f for f in traceback.extract_tb(error.__traceback__) if "/camguard/" in f.filename and "fuzz" not in f.filename
    ]
    inner = f"{Path(frames[-1].filename).stem}-{frames[-1].name}-{frames[-1].lineno}" if frames else "check"
    words = re.sub(r"[^a-z]+", "-", str(error).lower())[:40] if isinstance(error, targets.Broken) else ""
    return f"{type(error).__name__}-{inner}-{words}".strip("-")


def main(name: str, folder: Path, seconds: int) -> None:
    target = targets.targets()[name]
    for sub in ("findings", "slow", "grown"):
        (folder / sub).mkdir(parents=True, exist_ok=True)
    watch = targets.Watch()
    known: set[str] = set()
    slow: list[tuple[float, Path]] = []
    done, began, told_at = 0, time.monotonic(), 0.0

    def cpu_s(data: bytes) -> float:
        exact = targets.Watch(exact=True)
        with contextlib.suppress(Exception):  # it is a finding already
            target(data, exact)
        return exact.slowest_s

    def one(data: bytes) -> None:
        nonlocal done, told_at
        done += 1
        watch.slowest_s = 0.0
        try:
            target(data, watch)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            where = place(error)
            if where not in known:
                known.add(where)
                (folder / "findings" / where).write_bytes(data)
                (folder / "findings" / f"{where}.txt").write_text("".join(traceback.format_exception(error)))
        if watch.slowest_s > SUSPECT_S and (took_s := cpu_s(data)) > (slow[0][0] if len(slow) >= SLOW_KEPT else 0.0):
            path = folder / "slow" / f"{took_s * 1e6:09.0f}"
            path.write_bytes(data)
            slow.append((took_s, path))
            slow.sort()
            if len(slow) > SLOW_KEPT:
                slow.pop(0)[1].unlink(missing_ok=True)
        if done % COLLECT_EVERY == 0:
            gc.collect()
        if done % 64 == 0 and time.monotonic() - told_at > 1:
            told_at = time.monotonic()
            state = {"executions": done, "seconds": told_at - began, "places": sorted(known)}
            (folder / "state.json").write_text(json.dumps(state))

    gc.collect()
    gc.freeze()
    gc.disable()
    options = [f"-max_total_time={seconds}", "-max_len=4096", "-timeout=20", "-rss_limit_mb=1500", "-verbosity=0"]
    if (folder / "words").exists():
        options.append(f"-dict={folder / 'words'}")
    options.append(f"-artifact_prefix={folder / 'findings'}/crash-")
    atheris.Setup([sys.argv[0], *options, str(folder / "grown"), str(folder / "seeds")], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
