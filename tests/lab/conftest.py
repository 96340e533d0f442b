"""The lab's two runs, made once for all its tests, at the same time: one fixed seed, one fresh (CAMGUARD_LAB_SEED)."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lab import verdict
from tests.lab.gate import SEEDS, Run, finished, missing, notes
from tests.lab.record import discard, record, temporary


@pytest.fixture(scope="session")
def runs() -> Iterator[dict[str, Future[Run]]]:
    """Both runs; the fixed one with the guard as an ordinary user (NET_RAW and BPF only), the fresh one as root."""
    if reason := missing():
        pytest.skip(reason)
    folders = {which: temporary() for which in SEEDS}

    def one(which: str) -> Run:
        done = record(SEEDS[which], folders[which], ordinary_user=which == "fixed")
        events = verdict.read_events(done.folder / "events.jsonl")
        finished[which] = verdict.compare(done.expected, events)
        notes.append(f"{which}: the guard's memory was at most {done.guard_status['VmHWM']}, {len(events)} events")
        return Run(done, events, finished[which])

    with ThreadPoolExecutor(len(SEEDS)) as pool:
        yield {which: pool.submit(one, which) for which in SEEDS}
    keep = os.environ.get("CAMGUARD_LAB_KEEP")
    for which, folder in folders.items():
        if keep:
            shutil.copytree(folder, Path(keep) / f"{which}-seed{SEEDS[which]}", dirs_exist_ok=True)
        discard(folder)


@pytest.fixture(params=list(SEEDS))
def run(request: pytest.FixtureRequest, runs: dict[str, Future[Run]]) -> Run:
    """Each of the two runs in turn."""
    return runs[request.param].result()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The seeds, so that a failure can be repeated, and what only is printed."""
    for which, rows in finished.items():
        terminalreporter.section(f"lab, {which} seed {SEEDS[which]} (repeat: CAMGUARD_LAB_SEED={SEEDS[which]})")
        terminalreporter.write_line(verdict.summary(rows))
        for row in rows:
            if not row.required:
                what = "; ".join(row.wrong) or f"as hoped, {row.delay_s or 0:.1f} s"
                terminalreporter.write_line(f"printed, not required: {row.scenario}: {what}")
    for line in notes:
        terminalreporter.write_line(f"lab: {line}")
