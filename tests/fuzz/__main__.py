"""`python -m tests.fuzz [TARGET ...] --seconds 600 [--jobs 2]`: every reader under atheris (pip install -e .[fuzz]).

In: names of targets (all of them by default; --list says which there are). Out: a table of executions, new findings and
the slowest call; exit 1 where there are findings. build/fuzz/TARGET holds the inputs: seeds, what was found to lead
somewhere new (kept for the next time), findings with their tracebacks. `--again FILE TARGET` runs one input once more.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import seeds
from tests.fuzz.targets import CALL_S, Broken, Watch, targets

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "build" / "fuzz"
TRIES = 5


class Result(NamedTuple):
    """What came of one target; `findings`: new ones; `slowest_s`: CPU of its slowest call, measured plainly."""

    name: str
    seconds: float
    executions: int
    findings: list[str]
    slowest_s: float
    slowest: str


def words() -> str:
    """libFuzzer's dictionary: every short text and bytes in the readers' code."""
    found: dict[bytes, None] = {}
    for name, module in sorted(sys.modules.items()):
        if name.startswith("camguard.protocols."):
            code = compile(Path(module.__file__ or "").read_text(), name, "exec")
            found.update(dict.fromkeys(_constants(code)))
    lines = ("".join(f"\\x{byte:02x}" for byte in one) for one in found if 2 <= len(one) <= 40)
    return "".join(f'"{line}"\n' for line in lines)


def _constants(code: types.CodeType) -> Iterator[bytes]:
    for one in code.co_consts:
        if isinstance(one, types.CodeType):
            yield from _constants(one)
        for part in one if isinstance(one, tuple | frozenset) else (one,):
            if isinstance(part, bytes):
                yield part
            elif isinstance(part, str) and part.isascii():
                yield part.encode()


def fuzzed(name: str, seconds: int) -> Result:
    """One target in a process of its own, and its suspects measured again."""
    folder = FOLDER / name
    for sub in ("findings", "slow"):
        shutil.rmtree(folder / sub, ignore_errors=True)
    (folder / "state.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.one", name, str(folder), str(seconds)]
    with (folder / "log").open("wb") as log:
        code = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
    state = json.loads((folder / "state.json").read_text()) if (folder / "state.json").exists() else {}
    findings = [*state.get("places", []), *(path.name for path in (folder / "findings").glob("crash-*"))]
    if code and not findings:
        findings.append(f"ended with {code}, see {folder / 'log'}")
    slowest_s, slowest = 0.0, ""
    for path in sorted((folder / "slow").glob("*")):
        if (took := plainly(name, path.read_bytes())) > slowest_s:
            slowest_s, slowest = took, str(path.relative_to(ROOT))
    if slowest_s > CALL_S:
        findings.append(f"slow: {slowest}")
    return Result(name, state.get("seconds", 0.0), state.get("executions", 0), findings, slowest_s, slowest)


def plainly(name: str, data: bytes) -> float:
    """CPU of the slowest call of one input without instrumentation: the best of TRIES, since other work disturbs it."""
    code = f"from tests.fuzz.__main__ import measured; import sys; print(measured({name!r}, sys.stdin.buffer.read()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=data, capture_output=True, check=False)
    return float(done.stdout) if done.returncode == 0 else 0.0


def measured(name: str, data: bytes) -> float:
    """As `plainly`, in this process."""
    target, best = targets()[name], float("inf")
    for _ in range(TRIES):
        watch = Watch(exact=True)
        with contextlib.suppress(Broken):
            target(data, watch)
        best = min(best, watch.slowest_s)
    return best


def main() -> int:
    known = targets()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz the readers.")
    parser.add_argument("target", nargs="*", help="default: all")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (default 600)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="say which targets there are")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run one input, with its traceback")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(known))
        return 0
    wanted = asked.target or list(known)
    if unknown := [name for name in wanted if name not in known]:
        parser.error(f"no target {unknown[0]}; --list says which there are.")
    if asked.again:
        watch = Watch(exact=True)
        known[wanted[0]](asked.again.read_bytes(), watch)
        print(f"nothing is wrong with it; its slowest call took {watch.slowest_s * 1000:.2f} ms")
        return 0
    began = time.monotonic()
    print(f"making seeds{'' if seeds.truth() else ' (without the corpus of captures: it is not here)'} ...", flush=True)
    seeds.write(FOLDER, wanted)
    dictionary = words()
    for name in wanted:
        (FOLDER / name / "words").write_text(dictionary)
    head = f"{'target':<14} {'seconds':>7} {'executions':>10} {'findings':>8} {'slowest ms':>10}"
    print(f"seeds took {time.monotonic() - began:.0f} s\n{head}", flush=True)
    found = 0
    with ThreadPoolExecutor(asked.jobs) as pool:
        for one in pool.map(lambda name: fuzzed(name, asked.seconds), wanted):
            numbers = f"{one.seconds:>7.0f} {one.executions:>10} {len(one.findings):>8} {one.slowest_s * 1000:>10.2f}"
            print(f"{one.name:<14} {numbers}", flush=True)
            for words_of in one.findings:
                print(f"    {words_of}", flush=True)
            found += len(one.findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
