"""The commands: help and example of each, errors in one line with the right exit code, the reference page."""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from camguard import __version__, cli, report
from camguard.errors import ConfigError
from camguard.events import Alert, Fact, Health, Login, Notice, Peer, Session

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs/reference.md").read_text()
Out = pytest.CaptureFixture[str]


def commands(parser: argparse.ArgumentParser, name: str = "camguard") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command that can be given, with its parser."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not inner:
        yield name, parser
    for action in inner:
        for word, made in action.choices.items():
            yield from commands(made, f"{name} {word}")


COMMANDS = dict(commands(cli.parser()))


def test_the_commands_of_this_version() -> None:
    assert list(COMMANDS) == [
        "camguard run",
        "camguard guard",
        "camguard replay",
        "camguard check",
        "camguard status",
        "camguard sessions",
        "camguard logins",
        "camguard alerts",
        "camguard log",
        "camguard report",
        "camguard allow",
        "camguard watching",
        "camguard learn",
        "camguard cameras list",
        "camguard cameras discover",
        "camguard cameras add",
        "camguard cameras remove",
        "camguard deliver",
        "camguard notify",
        "camguard selftest",
        "camguard desktop",
        "camguard options",
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help_an_example_that_works_and_a_place_in_the_reference(name: str) -> None:
    made = COMMANDS[name]
    assert made.description
    assert made.description.endswith((".", "?"))
    assert made.epilog is not None
    example = shlex.split(made.epilog.removeprefix("example: ").removeprefix("sudo "))
    assert " ".join(example).startswith(name)
    assert cli.parser().parse_args(cli._joined(example[1:])).command
    assert f"`{name}" in REFERENCE
    for action in made._actions:
        assert action.help, f"{name}: {action.dest} has no help"
        for flag in action.option_strings:
            if flag.startswith("--") and flag != "--help":
                assert flag in REFERENCE, f"{name}: {flag} is not in docs/reference.md"


def test_the_top_lists_every_command() -> None:
    text = cli.parser().format_help()
    for name in COMMANDS:
        assert f"    {name.split()[1]} " in text


def run(*words: str, capsys: Out) -> tuple[int, str, str]:
    code = cli.main(words)
    out, err = capsys.readouterr()
    return code, out, err


def here(tmp_path: Path, text: str = "") -> list[str]:
    """Flags for a house of its own."""
    config = tmp_path / "c.toml"
    config.write_text(text)
    return ["--config", str(config), "--state-dir", str(tmp_path / "state"), "--runtime-dir", str(tmp_path / "run")]


MISTAKES = [
    ("stauts", 'no command "stauts". Did you mean "status"?'),
    ("xyz", 'no command "xyz". Known: run, guard, replay'),
    ("cameras lst", 'no command "lst". Did you mean "list"?'),
    ("", "the following arguments are required: COMMAND"),
    ("replay", "required: CAPTURE"),
    ("alerts --limit 0", "from 1 to 1000000"),
    ("alerts --limit x", "from 1 to 1000000"),
    ("alerts --sinse today", "unrecognized arguments: --sinse"),
    ("notify", "required: --test"),
    ("options --sample --timezone Mars/North", "no time zone"),
]


@pytest.mark.parametrize(("line", "words"), MISTAKES)
def test_a_mistyped_command_line_is_one_line_and_exit_2(line: str, words: str, capsys: Out) -> None:
    code, out, err = run(*line.split(), capsys=capsys)
    assert code == 2
    assert out == ""
    assert err.startswith("camguard: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "alerts", "sessions"])
def test_an_unknown_camera_is_exit_2_with_the_nearest(command: str, tmp_path: Path, capsys: Out) -> None:
    flags = here(tmp_path, '[[camera]]\nname = "nursery"\nmac = "02:00:00:00:00:01"\n')
    code, out, err = run(command, *flags, "--camera", "nurserry", capsys=capsys)
    assert (code, out, err) == (2, "", 'camguard: no camera "nurserry". Did you mean "nursery"?\n')


def test_a_wrong_configuration_is_exit_2_without_traceback(tmp_path: Path, capsys: Out) -> None:
    flags = here(tmp_path, '[[camera]]\nname = "a"\nmak = "02:00:00:00:00:01"\n')
    code, out, err = run("run", *flags, capsys=capsys)
    assert (code, out) == (2, "")
    assert err == f'camguard: {tmp_path}/c.toml: camera[1].mak: unknown key. Did you mean "mac"?\n'
    code, _, err = run("cameras", "add", *flags, "02:00:00:00:00:02", "b", capsys=capsys)
    assert code == 2
    assert "camera[1].mak" in err


def test_a_named_configuration_must_be_there(tmp_path: Path, capsys: Out) -> None:
    code, _, err = run("run", "--config", str(tmp_path / "no.toml"), capsys=capsys)
    assert code == 2
    assert "no such file" in err


def test_no_record_is_exit_1(tmp_path: Path, capsys: Out) -> None:
    code, out, err = run("alerts", *here(tmp_path), capsys=capsys)
    assert (code, out) == (1, "")
    assert err.startswith("camguard: ")
    assert err.count("\n") == 1


def test_no_capture_is_exit_3(tmp_path: Path, capsys: Out) -> None:
    (tmp_path / "x.pcap").write_text("no capture")
    code, out, err = run("replay", str(tmp_path / "x.pcap"), capsys=capsys)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1


def test_names_in_errors_are_clean(tmp_path: Path, capsys: Out) -> None:
    flags = here(tmp_path, '[[camera]]\nname = "nursery"\nmac = "02:00:00:00:00:01"\n')
    _, _, err = run("alerts", *flags, "--camera", "\x1b[31mx\n\u202e", capsys=capsys)
    assert err.rstrip("\n").isprintable()


def test_a_time_that_begins_with_a_minus_is_no_flag(tmp_path: Path, capsys: Out) -> None:
    for words in (["--since", "-2h"], ["--since=-2h"], ["--since", "-2h", "--until", "-1h 30min"]):
        code, _, err = run("alerts", *here(tmp_path), *words, capsys=capsys)
        assert code == 1, err  # there is no record, but the words were understood
        assert "is no time" not in err


def test_options(capsys: Out) -> None:
    code, out, _ = run("options", "--json", capsys=capsys)
    assert code == 0
    assert {json.loads(line)["key"] for line in out.splitlines()} >= {"camera.mac", "expect.when", "store.max_mb"}
    _, out, _ = run("options", "--sample", "--timezone", "Asia/Tokyo", capsys=capsys)
    assert '\ntimezone = "Asia/Tokyo"\n' in out
    _, out, _ = run("options", capsys=capsys)
    assert "[[camera]]" in out


# ---- as a process ----------------------------------------------------------------------------------------------------


def process(*words: str, stdout: int = subprocess.PIPE, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "camguard.cli", *words],
        stdout=stdout,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="surrogateescape",
        env=os.environ | env,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def test_the_version() -> None:
    assert process("--version").stdout == f"camguard {__version__}\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = process("options", "--sample", stdout=write)
    finally:
        os.close(write)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_terminal_without_utf8_gets_question_marks_not_a_traceback(tmp_path: Path) -> None:
    flags = here(tmp_path, '[[camera]]\nname = "Küche"\nmac = "02:00:00:00:00:01"\n')
    done = process("status", *flags, PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert "K?che" in done.stdout
    assert "Traceback" not in done.stderr


def test_status_starts_without_what_it_does_not_need(tmp_path: Path) -> None:
    code = (
        "import sys; from camguard import cli; cli.main(sys.argv[1:]);"
        "heavy = {'scapy', 'rich', 'apscheduler', 'notifypy', 'jeepney', 'psutil', 'asyncio', 'publicsuffixlist'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "status", *here(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines()[-1] == "[]"


# ---- the reference page ----------------------------------------------------------------------------------------------

PEER = Peer("51.68.10.20")
EVENTS = (
    Session("s", 0.0, "c", "open", PEER, "tcp", "rtsp", None, "stream", "certain", 0.0, None, 1, 1, 1, None, None),
    Alert("a", 0.0, "c", "privacy", "info", "certain", "", (), PEER, None, 0.0, 0.0, 1, "open"),
    Login("l", 0.0, "c", PEER, "http", "basic", "admin", "failure", "read", None),
    Notice(0.0, None, "gap", ""),
    Health(0.0, "x", 1.0),
    Fact("dns", 0.0, ("1.2.3.4", 1), ("1.2.3.4", 2)),
)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_every_field_of_an_event_is_in_the_reference(event: Session | Alert | Notice | Health | Fact) -> None:
    made = report.as_dict(event)
    row = next(line for line in REFERENCE.splitlines() if line.startswith(f"| `{made['kind']}` |"))
    for field in set(made) - {"kind", "time", "camera"}:
        assert f"`{field}`" in row, f"{made['kind']}.{field} is not in docs/reference.md"
    if made.get("peer"):
        section = REFERENCE[REFERENCE.index("`peer` has") :]
        for field in made["peer"]:
            assert f"`{field}`" in section


def test_the_words_of_literal_types_are_in_the_reference() -> None:
    from typing import get_args, get_type_hints

    from camguard import events

    for name in ("StreamClass", "Confidence", "Scope", "Outcome"):
        for word in get_args(getattr(events, name)):
            assert f"`{word}`" in REFERENCE
    for word in get_args(get_type_hints(Alert)["severity"]):
        assert f"`{word}`" in REFERENCE


def test_every_variable_is_in_the_reference() -> None:
    text = (ROOT / "camguard/config/where.py").read_text()
    for name in (
        "CAMGUARD_CONFIG",
        "CAMGUARD_STATE_DIR",
        "CAMGUARD_RUNTIME_DIR",
        "STATE_DIRECTORY",
        "RUNTIME_DIRECTORY",
    ):
        assert name in text
        assert f"`{name}`" in REFERENCE


def test_an_error_of_the_parser_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError):
        cli.parser().parse_args(["nothing"])
