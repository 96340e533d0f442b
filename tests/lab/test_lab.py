"""The lab's verdicts: every outsider's view raises one right alert in time, every quiet scenario raises none."""

import json
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from camguard.detect.stream import DETECTORS
from tests.lab import again, verdict
from tests.lab.draw import draw
from tests.lab.gate import SEEDS, Run, missing, notes
from tests.lab.record import ROOT, discard, record, temporary

if TYPE_CHECKING:
    from tests.conftest import Desktop

pytestmark = pytest.mark.lab
REQUIRED = [scenario.name for scenario in draw(0).scenarios if scenario.required]
CLOSES_S = 35.0  # what stopped so long before the end of the run must have been told as ended


@pytest.mark.parametrize("scenario", REQUIRED)
def test_scenario(run: Run, scenario: str) -> None:
    rows = run.rows_of(scenario)
    assert rows, "the scenario was not played"
    seed = run.recording.plan.seed
    assert [row.wrong for row in rows if row.wrong] == [], f"seed {seed}, {rows}"


def test_what_ended_is_told_as_ended(run: Run) -> None:
    over = max(deed["ended"] for deed in run.recording.expected)
    for deed in run.recording.expected:
        alerts = [
            e for e in run.events
            if e["kind"] == "alert" and e["camera"] == deed["camera"] and (e["peer"] or {}).get("ip") == deed["peer"]
        ]  # fmt: skip
        if deed["must"] and deed["required"] and deed["ended"] < over - CLOSES_S:
            assert alerts[-1]["state"] == "closed", deed


def test_kernel_counts(run: Run) -> None:
    """The whole of the run above was seen by the kernel ledger, not by its slower stand-in."""
    said = (run.recording.folder / "guard.log").read_text()
    assert f"{len(run.recording.plan.scenarios)} cameras, 0 problems" in said, said


def test_guard_stops_cleanly_without_rights(run: Run) -> None:
    assert run.recording.guard_code == 0
    assert run.recording.guard_status["CapEff"] == run.recording.guard_status["CapPrm"] == "0" * 16
    assert run.recording.guard_status["NoNewPrivs"] == "1"


def test_store_holds_what_was_printed(run: Run) -> None:
    folder = run.recording.folder
    done = subprocess.run(
        [sys.executable, "-m", "camguard.cli", "alerts", "--json", "--since=-1d", "--limit", "1000", "--config",
         str(folder / "camguard.toml"), "--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    stored = {json.loads(line)["id"] for line in done.stdout.splitlines()}
    assert {event["id"] for event in run.events if event["kind"] == "alert"} == stored, done.stderr


def test_replay_of_the_recording_says_the_same(run: Run) -> None:
    folder = run.recording.folder
    rows = verdict.compare(run.recording.expected, again.play_again(folder / "lan.pcap", again.home_of(folder)))
    assert {row.scenario: row.wrong for row in rows if row.required and row.wrong} == {}


@pytest.mark.parametrize(
    ("detector", "scenarios"),
    [
        ("rtsp", {"rtsp-tcp", "rtsp-merged"}),
        ("rtp", {"rtp-plain"}),
        ("media", {"mjpeg", "snapshots-fast", "hls-pull", "hls-put", "srt", "mpegts-udp"}),
        ("shape", {"tls-upload", "tls-pipe", "https-put", "udp-p2p", "low-rate", "sound-only", "tls-ipv6"}),
    ],
)
def test_detector_is_needed(runs: dict[str, Future[Run]], detector: str, scenarios: set[str]) -> None:
    """Without it these scenarios go wrong: their tests above can fail."""
    run = runs["fixed"].result()
    folder = run.recording.folder
    events = again.play_again(folder / "lan.pcap", again.home_of(folder), detectors=DETECTORS - frozenset({detector}))
    wrong = {row.scenario for row in verdict.compare(run.recording.expected, events) if row.wrong}
    assert scenarios <= wrong


def test_expected_would_notice(runs: dict[str, Future[Run]]) -> None:
    """A guard that says nothing, and one that says too much, both fail."""
    run = runs["fixed"].result()
    silent = verdict.compare(run.recording.expected, [])
    assert {row.scenario for row in silent if row.wrong} == {d["scenario"] for d in run.recording.expected if d["must"]}
    some = next(e for e in run.events if e["kind"] == "alert" and e["type"] == "remote-stream")
    loud = [some | {"camera": camera} for camera in REQUIRED]
    quiet = {row.scenario for row in verdict.compare(run.recording.expected, loud) if not row.must and row.wrong}
    assert quiet == {d["scenario"] for d in run.recording.expected if not d["must"] and d["required"]}


def test_seed_decides() -> None:
    assert draw(7) == draw(7)
    assert draw(7) != draw(8)


def test_alert_is_shown_on_the_desk(tmp_path: Path, desktop: "Desktop") -> None:
    """One outsider over RTSP: a real notification daemon shows it; its text is read back, its picture is kept."""
    if reason := missing():
        pytest.skip(reason)
    shown_at: list[float] = []
    picture = tmp_path / "alert.png"
    companions: list[subprocess.Popen[bytes]] = []

    def follow(folder: Path) -> None:
        places = ["--config", str(folder / "camguard.toml"), "--state-dir", str(folder / "state")]
        argv = [sys.executable, "-m", "camguard.cli", "desktop", *places, "--runtime-dir", str(folder / "run")]
        companions.append(subprocess.Popen(argv, cwd=ROOT, env=desktop.env))

    def look() -> None:
        until = time.monotonic() + 280
        while time.monotonic() < until:
            if desktop.count():
                shown_at.append(time.time())
                time.sleep(0.3)
                desktop.picture(picture)
                desktop.ctl("close-all")  # into the daemon's history, where it can be read
                return
            time.sleep(0.05)

    folder = temporary()  # pytest's own folders are root's alone, and the guard here is an ordinary user
    try:
        with ThreadPoolExecutor(1) as pool:
            looking = pool.submit(look)
            done = record(SEEDS["fixed"], folder, brief=True, only=lambda s: s.name == "rtsp-udp", live=follow)
            looking.result()
        rows = verdict.compare(done.expected, verdict.read_events(folder / "events.jsonl"))
        desktop.ctl("close-all")
        history = json.loads(desktop.ctl("history"))
    finally:
        for companion in companions:
            companion.terminate()
            companion.wait(60)
        discard(folder)
    texts = [entry["summary"]["data"] + "\n" + entry["body"]["data"] for entry in history["data"][0]]
    assert any(text.startswith("Somebody is watching: rtsp-udp\nSince ") for text in texts), texts
    assert shown_at, "no notification was on the screen"
    took_s = shown_at[0] - done.expected[0]["first_seen"]
    notes.append(f"from the first media packet to the notification on the screen: {took_s:.2f} s of wall clock")
    assert [row.wrong for row in rows] == [[]]
    assert picture.stat().st_size > 1000
    kept = ROOT / "build" / "lab"
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "alert.png").write_bytes(picture.read_bytes())
