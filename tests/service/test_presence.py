"""Who is at home, told to a running guard: decided, and printed nowhere; what comes late is refused and not kept."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import wishes
from camguard.events import Wish
from camguard.store import Reader
from tests.service.test_loop import Guard

DEVICE = "annas-secret-phone"


@pytest.fixture
def guards(tmp_path: Path) -> Iterator[Any]:
    made: list[Guard] = []

    def start(*more: str) -> Guard:
        made.append(Guard(tmp_path, "quiet.pcap", *more))
        return made[-1]

    yield start
    for guard in made:
        guard.close()


def told(guard: Guard, number: int, *, age_s: float = 0.0) -> None:
    folder = guard.state / "wishes"
    wish = Wish(f"{number:016x}", "mqtt, home", "presence", device=DEVICE, home=True)
    wishes.put(folder, wish)
    for path in folder.iterdir() if age_s else ():
        os.utime(path, (time.time() - age_s,) * 2)


def decided(guard: Guard) -> int:
    reader = Reader(guard.database)
    try:
        return len([one for one in reader.decisions() if one.decision.what == "presence"])
    finally:
        reader.close()


@pytest.mark.parametrize("form", ["--json", ""])
def test_it_is_decided_and_printed_nowhere(guards: Any, form: str) -> None:
    guard = guards(*([form] if form else []))
    guard.until(lambda now: now.get("pid"))
    told(guard, 1)
    until = time.monotonic() + 60
    while not decided(guard):
        assert time.monotonic() < until
        time.sleep(0.1)
    guard.until(lambda now: now.get("health"))
    assert DEVICE not in (guard.runtime / "now.json").read_text()
    assert guard.stop() == 0
    assert guard.process.stdout is not None
    assert DEVICE not in (guard.printed + guard.process.stdout.read()).decode() + guard.errors()


def test_what_waited_while_no_guard_ran_is_not_kept(guards: Any, tmp_path: Path) -> None:
    first = guards()
    first.until(lambda now: now.get("pid"))
    assert first.stop() == 0
    told(first, 1, age_s=3600.0)
    again = guards()
    again.line("it was said too long ago")
    until = time.monotonic() + 60
    while list((again.state / "wishes").iterdir()):
        assert time.monotonic() < until
        time.sleep(0.1)
    assert again.stop() == 0
    assert not decided(again)
    assert not [one for one in tmp_path.rglob("*") if one.is_file() and DEVICE.encode() in one.read_bytes()]
