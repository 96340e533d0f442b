"""Tables: aligned plain text when piped, nothing cut there, no markup from names anywhere."""

import io
import os
import pty
import re

import pytest

from camguard.review import table

ROWS = [("nursery", table.Cell("WATCHED", "critical"), "5"), ("厨房", "nobody", "12")]


def test_plain_is_aligned_and_has_no_blanks_at_the_end() -> None:
    out = io.StringIO()
    table.show(("CAMERA", "NOW", "TODAY"), ROWS, right=(2,), out=out)
    assert out.getvalue() == (
        "CAMERA   NOW      TODAY\n"
        "nursery  WATCHED      5\n"
        "厨房     nobody      12\n"
    )  # fmt: skip


def test_plain_has_no_colour_and_cuts_nothing() -> None:
    long = "x" * 300
    assert table.plain(("A",), [(long,)]) == f"A\n{long}\n"
    assert table.plain(("A", "B"), [("", "")]) == "A  B\n\n"


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_a_terminal_gets_colour_unless_it_is_not_wanted(
    no_color: str | None, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    text = shown([("[bold]nursery[/]", table.Cell("WATCHED", "critical"), ":eye: " + "x" * 200)])
    assert ("\x1b[1;31m" in text) == coloured
    assert "[bold]nursery[/]" in text  # a name is no markup
    assert ":eye:" in text
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert all(len(line) <= 80 for line in plain.splitlines())
    assert plain.count("x") == 200  # nothing is cut
    assert "WATCHED" in plain


def shown(rows: list[table.Row]) -> str:
    """What a person at a terminal of 80 columns sees."""
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as out:
        table.show(("CAMERA", "NOW", "WHAT"), rows, wraps=(2,), out=out)
        out.flush()
        text = os.read(leader, 65_536).decode()
    os.close(leader)
    return text
