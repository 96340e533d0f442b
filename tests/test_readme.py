"""README and what it promises: the two commands, links that lead somewhere, commands that exist."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_first_screen_says_what_it_cannot_see() -> None:
    assert README.index("## What it cannot see") < README.index("## Look back")
