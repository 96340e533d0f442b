"""Rows -> an aligned table: with rich on a terminal, plain text when piped. Text comes in clean (report.clean)."""

import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple, TextIO


class Cell(NamedTuple):
    """What stands in a cell; `tone` is only for colour, the words must say it, too."""

    text: str
    tone: str = ""


Row = Sequence[str | Cell]
WRAPS_TO = 12  # columns of a terminal that a column keeps when it gives way
#: Tones -> styles of rich.
_STYLES = {"critical": "bold red", "warning": "yellow", "info": "", "muted": "dim", "": ""}


def is_terminal(out: TextIO) -> bool:
    """Whether a person looks at `out`."""
    return out.isatty() and os.environ.get("TERM") != "dumb"


def show(
    columns: Sequence[str],
    rows: Sequence[Row],
    *,
    right: Sequence[int] = (),
    wraps: Sequence[int] = (),
    out: TextIO | None = None,
) -> None:
    """Print the table. `right`: the columns that hold numbers; `wraps`: those that give way on a narrow terminal."""
    out = out or sys.stdout
    cells = [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in rows]
    if is_terminal(out):
        _rich(columns, cells, right, wraps, out)
    else:
        out.write(plain(columns, [[cell.text for cell in row] for row in cells], right))


def plain(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """The table as text, two spaces between the columns, nothing cut, no blanks at the ends of lines."""
    table = [list(columns), *[list(row) for row in rows]]
    widths = [max(width(row[index]) for row in table) for index in range(len(columns))]
    lines = []
    for row in table:
        padded = [
            " " * (widths[i] - width(text)) + text if i in right else text + " " * (widths[i] - width(text))
            for i, text in enumerate(row)
        ]
        lines.append("  ".join(padded).rstrip() + "\n")
    return "".join(lines)


def width(text: str) -> int:
    """Columns of a terminal that `text` takes."""
    return sum(
        0 if unicodedata.category(char)[0] == "M" else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _rich(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[int], wraps: Sequence[int], out: TextIO
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        widest = max(width(name), *(width(row[index].text) for row in rows))
        table.add_column(
            name,
            justify="right" if index in right else "left",
            no_wrap=index not in wraps,
            overflow="fold",  # nothing is cut: a long word goes on in the next line
            min_width=min(widest, WRAPS_TO) if index in wraps else widest,
        )
    for row in rows:
        table.add_row(*[Text(cell.text, style=_STYLES[cell.tone]) for cell in row])  # Text: names are no markup
    Console(file=out, highlight=False, emoji=False, markup=False).print(table)
