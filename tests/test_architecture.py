"""The import table: a row may import only what its row names, and its own folder (docs/architecture.md)."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "camguard"

CORE = {
    "config",
    "decode",
    "detect",
    "errors",
    "events",
    "guard",
    "judge",
    "listen",
    "neighbours",
    "options",
    "places",
} | {"roster"}
#: part -> (what of camguard it may import, which third-party packages)
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "events": (set(), set()),
    "errors": (set(), set()),
    "options": ({"errors", "events"}, {"msgspec"}),
    "config": ({"errors", "events", "options", "judge/schedule"}, {"msgspec", "tomlkit"}),
    "decode": ({"errors", "events"}, set()),
    "protocols": ({"errors", "events"}, {"cryptography"}),
    "capture/ledger": ({"decode", "errors", "events"}, set()),
    "places": ({"events"}, {"publicsuffixlist"}),
    "neighbours": ({"events", "places", "protocols"}, set()),
    "track": ({"events"}, set()),
    "listen": ({"decode", "errors", "events", "neighbours", "protocols", "track"}, set()),
    "detect": ({"events", "track"}, set()),
    "roster": ({"decode", "events", "neighbours", "track"}, set()),
    "judge": ({"errors", "events", "neighbours", "places"}, set()),
    "report": ({"events", "places"}, set()),
    "guard": ({*CORE, "protocols", "track"} - {"config", "options"}, set()),
    # ---- the I/O line ----
    "capture": ({"capture/ledger", "decode", "errors", "events", "options"}, {"scapy"}),
    "rights": ({"errors", "events"}, set()),
    "store": ({"errors", "events"}, set()),
    "health": ({"events"}, {"psutil"}),
    "discover": ({"capture", "config", "errors", "events", "places", "store"}, {"rich", "scapy"}),
    "wishes": ({"errors", "events"}, set()),
    "tell": (
        {"config", "errors", "events", "judge/schedule", "judge/unseen", "options", "report", "review/weekly", "store"}
        | {"wishes"},
        {"aiomqtt", "apprise", "apscheduler", "jeepney", "notifypy"},
    ),
    "review": ({"config", "errors", "events", "judge", "options", "places", "report", "store", "wishes"}, {"rich"}),
}
#: Programs that exercise everything at the moment of use.
FREE = {"__init__", "__main__", "check", "cli", "replay", "selftest", "service"}
FORBIDDEN_IN_CORE = {
    "socket",
    "asyncio",
    "threading",
    "multiprocessing",
    "time",
    "sqlite3",
    "subprocess",
    "os",
    "logging",
    "random",
}
PURE = {
    "decode",
    "detect",
    "errors",
    "events",
    "guard",
    "judge",
    "listen",
    "neighbours",
    "protocols",
    "report",
    "roster",
    "track",
    "capture/ledger",
}
NAMES_THAT_MUST_NOT_EXIST = {"utils", "helpers", "common", "constants", "managers", "models", "base"}


def part_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    name = "/".join(parts)
    return name if name in TABLE else parts[0]


def imports_of(path: Path) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            module = node.module or ""
            names = [
                f"{module}.{alias.name}"
                if (
                    PACKAGE / module.removeprefix("camguard").strip(".").replace(".", "/") / f"{alias.name}.py"
                ).exists()
                or module == "camguard"
                else module
                for alias in node.names
            ]
            found += [(name, node.lineno) for name in dict.fromkeys(names)]
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def check(part: str, module: str) -> str | None:
    """Why `part` may not import `module`, or None."""
    ours, theirs = TABLE[part]
    top, *below = module.split(".")
    if top == "camguard":
        target = "/".join(below[:2])
        folder = below[0] if below else ""
        if (
            folder in ("__version__", "")
            or target in ours
            or folder in ours
            or folder == part.split("/", maxsplit=1)[0]
        ):
            return None
        return f"{part} may not import camguard.{'.'.join(below)}"
    if top in sys.stdlib_module_names:
        return f"{part} is pure and may not import {top}" if part in PURE and top in FORBIDDEN_IN_CORE else None
    return None if top in theirs else f"{part} may not import {top}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports(path: Path) -> None:
    part = part_of(path)
    if part in FREE:
        return
    assert part in TABLE, f"{part} has no row in the import table"
    faults = [f"{path}:{line}: {why}" for module, line in imports_of(path) if (why := check(part, module))]
    assert not faults, "\n".join(faults)


def test_the_check_finds_a_forbidden_import() -> None:
    assert check("detect", "camguard.store") == "detect may not import camguard.store"
    assert check("track", "time") == "track is pure and may not import time"
    assert check("store", "scapy.all") == "store may not import scapy"


def test_no_room_without_a_name() -> None:
    assert not [path for path in FILES if path.stem in NAMES_THAT_MUST_NOT_EXIST]


def test_scapy_is_not_on_the_running_path() -> None:
    for path in FILES:
        if part_of(path) in ("discover", "capture"):
            continue
        assert not [line for module, line in imports_of(path) if module.split(".")[0] == "scapy"], path
