"""Golden cases: the whole output of a replay is compared, not a part of it (tests/golden/README.md)."""

import json
from pathlib import Path

import pytest

from camguard import replay

CASES = sorted(path.parent for path in (Path(__file__).parent / "golden").glob("*/input.pcap"))


def replayed(case: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert replay.run([case / "input.pcap"], case / "config.toml", as_json=True) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_golden(case: Path, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    out = replayed(case, capsys)
    assert replayed(case, capsys) == out, "the same capture must give the same bytes"
    expected = case / "expected.jsonl"
    if request.config.getoption("--update-golden"):
        expected.write_text(out)
    assert out == expected.read_text()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_name_of_a_case_says_what_must_come_of_it(case: Path) -> None:
    events = [json.loads(line) for line in (case / "expected.jsonl").read_text().splitlines()]
    types = {event["type"] for event in events if event["kind"] == "alert"}
    first = case.name.split("-")[0]
    must = {"remote": {"remote-stream"}, "lan": {"lan-stream"}, "exposed": {"exposed-port"}, "quiet": set()}[first]
    beside = {"exposed-port"} if first == "remote" else set()  # who watches may have come in from outside
    assert must <= types <= must | beside


def test_there_are_cases() -> None:
    assert len(CASES) >= 12
