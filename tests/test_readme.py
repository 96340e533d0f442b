"""README and what it promises: the two commands, links that lead somewhere, commands that exist."""

import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from camguard import report
from camguard.events import Alert, Peer
from tests.test_architecture import TABLE

REPO = Path(__file__).resolve().parent.parent
README = (REPO / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```\w*\n(.*?)^```", README, re.M | re.S)
COMMANDS = sorted(
    {
        found
        for block in BLOCKS
        for found in re.findall(r"^(?:sudo )?(?:\.venv/bin/)?camguard ((?:cameras )?[a-z]+)", block, re.M)
        if found != "is"  # the ready line
    }
)


def test_install_is_two_commands_that_can_be_run() -> None:
    install = README.partition("## Install")[2]
    lines = re.search(r"^```\n(.*?)^```", install, re.M | re.S)
    assert lines
    assert lines[1].splitlines() == ["sudo systemd/install.sh", "tests/run.sh"]
    for line in lines[1].splitlines():
        assert os.access(REPO / line.removeprefix("sudo "), os.X_OK)


def test_gate_takes_the_commands_from_readme() -> None:
    gate = (REPO / ".ci" / "run").read_text("utf-8")
    assert "install.sh" not in gate.replace("uninstall.sh", "")
    assert "tests/run.sh" not in gate


def test_links_lead_somewhere() -> None:
    for page in [REPO / "README.md", *(REPO / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("command", COMMANDS)
def test_command_of_readme_exists(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "camguard.cli", *shlex.split(command), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: camguard")


def test_alert_of_readme_is_what_camguard_says() -> None:
    """The picture's text, which stands in README for those who do not see it."""
    started = datetime(2026, 11, 23, 22, 14, tzinfo=UTC).timestamp()
    told = Alert(
        id="a7f",
        time=started + 3,
        camera="Nursery",
        type="remote-stream",
        severity="critical",
        confidence="certain",
        reason="it is none of your devices and nothing you expect",
        evidence=(),
        peer=Peer("51.68.44.10", 40000, org="OVH", country="France"),
        session=None,
        raised=started + 3,
        started=started,
        count=1,
        state="open",
    )
    title, body = report.words(told)
    assert f"![{title}. {body}](docs/alert.png)" in README


def test_alerts_that_readme_quotes_have_these_words() -> None:
    quoted = re.findall(r'\*"(.+?)"\*', README)
    tested = "".join(path.read_text("utf-8") for path in (REPO / "tests/report").glob("test_*.py"))
    assert len(quoted) >= 4
    assert [title for title in quoted if f'"{title}"' not in tested] == []


def test_first_screen_says_what_it_cannot_see() -> None:
    assert README.index("## What it cannot see") < README.index("## Look back")


def test_architecture_page_has_the_import_table() -> None:
    """The table that test_architecture.py holds the code to, row by row."""
    page = (REPO / "docs" / "architecture.md").read_text("utf-8")
    rows = {
        cells[0]: tuple({name for name in cell.split(", ") if name != "-"} for cell in cells[1:])
        for line in page.partition("## Imports")[2].partition("## Processes")[0].splitlines()
        if line.startswith("| ") and len(cells := [cell.strip() for cell in line.strip("|").split("|")]) == 3
    }
    for part, (ours, theirs) in TABLE.items():
        assert rows.get(part) == (ours, theirs), f"docs/architecture.md, row {part}"


def test_architecture_page_names_every_room() -> None:
    """Files that are named are there, and every file and folder of camguard/ itself is named."""
    page = (REPO / "docs" / "architecture.md").read_text("utf-8")
    drawn = page.partition("    camguard/")[2].partition("## From a packet")[0]
    named = set(re.findall(r"\b[a-z_]+\.py\b|(?<= )[a-z]+/", drawn))
    files = {path.name for path in (REPO / "camguard").rglob("*.py")}
    gone = {name for name in named if name.endswith(".py")} - files
    assert not gone, f"named, but not there: {gone}"
    top = {
        path.name + "/" if path.is_dir() else path.name
        for path in (REPO / "camguard").iterdir()
        if not path.name.startswith("__") and (path.suffix == ".py" or (path.is_dir() and any(path.glob("*"))))
    }
    assert top <= named, f"there, but not named: {top - named}"


def test_architecture_page_says_what_each_file_is_for() -> None:
    """Every file is named in the part of its own folder: two folders may have files of the same name."""
    page = (REPO / "docs" / "architecture.md").read_text("utf-8")
    drawn = page.partition("    camguard/")[2].partition("    systemd/")[0]
    parts = dict(re.findall(r"^ {6}(\w+)/ (.*?)(?=^ {6}\S|\Z)", drawn, re.M | re.S))
    for folder in (REPO / "camguard").iterdir():
        files = {path.name for path in folder.glob("*.py")} - {"__init__.py"}
        named = set(re.findall(r"\b[a-z_]+\.py\b", parts.get(folder.name, "")))
        assert files == named, f"{folder.name}/: not named {files - named}, not there {named - files}"
