"""The commands. Each imports its program at the moment of use, so that `camguard status` starts quickly on a Pi.

Data goes to stdout, messages to stderr. Exit 0 fine, 1 the answer is no, 2 configuration or usage, 3 no capture.
"""

import argparse
import difflib
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

from camguard import __version__
from camguard.errors import CaptureError, ConfigError, StoreError

PROGRAM = "camguard"
QUESTIONS = ("is ", "can ", "who ", "what ")
Command = Callable[[argparse.Namespace], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?" instead of failing
    try:
        asked = parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
        code: int = asked.command(asked)
        sys.stdout.flush()
    except (ConfigError, CaptureError, StoreError) as error:
        return _failed(error)
    except BrokenPipeError:
        # whoever read our output has seen enough (head, less); nothing more can be said there
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _joined(argv: Sequence[str]) -> list[str]:
    """`--since -2h` as `--since=-2h`: argparse would take -2h for a flag."""
    words: list[str] = []
    for word in argv:
        if words and words[-1] in ("--since", "--until") and re.match(r"-\d", word):
            words[-1] += f"={word}"
        else:
            words.append(word)
    return words


def _failed(error: Exception) -> int:
    from camguard.report import clean

    print(f"{PROGRAM}: {clean(str(error))}", file=sys.stderr)
    return {ConfigError: 2, CaptureError: 3}.get(type(error), 1)


class _Parser(argparse.ArgumentParser):
    """argparse, with the nearest word for a mistyped one and errors in one line."""

    def error(self, message: str) -> NoReturn:
        found = re.match(r"argument .*: invalid choice: '(.*)' \(choose from (.*)\)$", message)
        if found:
            known = re.findall(r"'([^']+)'", found[2])
            close = difflib.get_close_matches(found[1], known, n=1)
            hint = f' Did you mean "{close[0]}"?' if close else f" Known: {', '.join(known)}."
            message = f'no command "{found[1]}".{hint}'
        raise ConfigError(f"{message}{'' if message.endswith(('?', '.')) else '.'} Help: {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """All commands of this version with their help (tests and docs/reference.md read it)."""
    top = _Parser(
        PROGRAM,
        description="Know within seconds when somebody watches through your camera who should not.",
        epilog="Each command has its own help: camguard COMMAND --help",
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    for add in (
        _add_run,
        _add_replay,
        _add_check,
        _add_status,
        _add_sessions,
        _add_logins,
        _add_alerts,
        _add_log,
        _add_report,
        _add_allow,
        _add_watching,
        _add_learn,
        _add_cameras,
        _add_deliver,
        _add_notify,
        _add_selftest,
        _add_desktop,
        _add_options,
    ):
        add(commands)
    return top


if TYPE_CHECKING:
    from camguard.config import Config, Paths
    from camguard.review.terminal import Asked

    Commands = argparse._SubParsersAction[_Parser]


def _command(commands: "Commands", name: str, run: Command, help: str, example: str, *, places: bool = True) -> _Parser:
    """One command with help, an example, and where `places` the flags that say where camguard's files are."""
    made: _Parser = commands.add_parser(
        name,
        help=help,
        description=f"{help[:1].upper()}{help[1:]}{'?' if help.startswith(QUESTIONS) else '.'}",
        epilog=f"example: {example}",
    )
    if places:
        made.add_argument("--config", type=Path, metavar="F", help="the configuration file")
        made.add_argument("--state-dir", type=Path, metavar="DIR", help="the folder of the record")
        made.add_argument("--runtime-dir", type=Path, metavar="DIR", help="the folder of the live figures")
    made.set_defaults(command=run)
    return made


def _json(command: _Parser, what: str = "one JSON object a line instead of a table") -> None:
    command.add_argument("--json", action="store_true", help=what)


# ---- the guard -------------------------------------------------------------------------------------------------------


def _add_run(commands: "Commands") -> None:
    for name, help in (
        ("run", "look at the cameras' traffic in the foreground and print what happens"),
        ("guard", "the guard process alone, as the service runs it"),
    ):
        command = _command(commands, name, _run, help, f"sudo camguard {name} --interface br-lan")
        command.add_argument(
            "--interface", action="append", default=[], metavar="I", help="look here (may be given several times)"
        )
        _json(command, "print each event as one JSON object a line")
        command.set_defaults(foreground=name == "run")


def _run(asked: argparse.Namespace) -> int:
    from camguard import service
    from camguard.service import beside

    paths = _paths(asked)

    def load() -> "Config":  # each process reads it once it is no longer root
        return _config(asked)

    messenger = beside.start(load, paths, _tell) if asked.foreground else None
    try:
        return service.run(
            load,
            paths,
            as_json=asked.json,
            foreground=asked.foreground,
            interfaces=asked.interface,
        )
    finally:
        if messenger is not None:
            messenger.close()


def _tell(config: "Config", paths: "Paths") -> int:
    from camguard.tell import deliver

    return deliver.run(config, paths, foreground=True)


def _add_replay(commands: "Commands") -> None:
    command = _command(
        commands,
        "replay",
        _replay,
        "read capture files as if they happened now; writes nothing",
        "camguard replay evening.pcap --json",
        places=False,
    )
    command.add_argument("captures", nargs="+", type=Path, metavar="CAPTURE", help="a pcap or pcapng file")
    command.add_argument(
        "--config", type=Path, metavar="F", help="the cameras and rules; without it every local host is a camera"
    )
    command.add_argument("--facts", action="store_true", help="also print what was read, of every connection")
    command.add_argument("--learned", type=Path, metavar="STORE", help="use what this record has learned")
    _json(command)


def _replay(asked: argparse.Namespace) -> int:
    from camguard import replay

    return replay.run(asked.captures, asked.config, facts=asked.facts, as_json=asked.json, learned=asked.learned)


# ---- looking ---------------------------------------------------------------------------------------------------------


def _paths(asked: argparse.Namespace) -> "Paths":
    from camguard import config

    return config.paths(asked.config, asked.state_dir, asked.runtime_dir)


def _config(asked: argparse.Namespace) -> "Config":
    """The configuration: what is named must be there, the one in the default place need not."""
    from camguard import config

    return config.load(_paths(asked).config)


def _add_check(commands: "Commands") -> None:
    _json(
        _command(commands, "check", _check, "can it look, what does it see, can it tell you", "camguard check"),
        "one JSON object a line: name, status, detail, fix",
    )


def _check(asked: argparse.Namespace) -> int:
    from camguard import check

    return check.run(_paths(asked), as_json=asked.json)


def _add_status(commands: "Commands") -> None:
    command = _look_back(commands, "status", _status, "is anybody watching right now", "camguard status --camera porch")
    command.add_argument("--quiet", action="store_true", help="print nothing; exit 1 when something unexpected is open")


def _status(asked: argparse.Namespace) -> int:
    from camguard.review import terminal

    return terminal.status(_paths(asked), _asked(asked), quiet=asked.quiet)


def _add_sessions(commands: "Commands") -> None:
    example = "camguard sessions --since yesterday --camera porch"
    _look_back(commands, "sessions", _sessions, "who watched, when, how long, how much", example)


def _add_logins(commands: "Commands") -> None:
    help = "who logged in to which camera, by which door, and whether it worked"
    _look_back(commands, "logins", _logins, help, "camguard logins --since yesterday --camera porch")


def _add_alerts(commands: "Commands") -> None:
    _look_back(commands, "alerts", _alerts, "what you were told", "camguard alerts --since -2h")


def _add_log(commands: "Commands") -> None:
    help = "every event and every decision of yours, in the order in which they happened"
    _look_back(commands, "log", _log, help, "camguard log --since 18:15 --camera porch")


def _look_back(commands: "Commands", name: str, run: Command, help: str, example: str) -> _Parser:
    command = _command(commands, name, run, help, example)
    times = 'such as "18:15", "yesterday", "-2h", "2026-11-23 18:15"'
    first = "today" if name == "status" else "7 days before the end"
    command.add_argument("--since", metavar="TIME", help=f"from when, {times}; default: {first}")
    command.add_argument("--until", metavar="TIME", help="to when; default: now")
    command.add_argument("--camera", metavar="NAME", help="of this camera only")
    command.add_argument("--limit", type=_count, default=100, metavar="N", help="at most so many; default: 100")
    _json(command, "one JSON object" if name == "status" else "one JSON object a line instead of a table")
    return command


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f'"{text}" is no number from 1 to 1000000')
    return int(text)


def _asked(asked: argparse.Namespace) -> "Asked":
    from camguard.review import terminal

    return terminal.Asked(asked.since, asked.until, asked.camera, asked.limit, asked.json)


def _sessions(asked: argparse.Namespace) -> int:
    from camguard.review import terminal

    return terminal.sessions(_paths(asked), _asked(asked))


def _logins(asked: argparse.Namespace) -> int:
    from camguard.review import logins

    return logins.logins(_paths(asked), _asked(asked))


def _alerts(asked: argparse.Namespace) -> int:
    from camguard.review import terminal

    return terminal.alerts(_paths(asked), _asked(asked))


def _log(asked: argparse.Namespace) -> int:
    from camguard.review import history

    return history.log(_paths(asked), _asked(asked))


# ---- what you decide -------------------------------------------------------------------------------------------------


def _add_report(commands: "Commands") -> None:
    command = _command(
        commands, "report", _report, "the last 7 days in numbers", "camguard report --week --html week.html"
    )
    command.add_argument("--week", action="store_true", help="of the last 7 days (there is no other one yet)")
    command.add_argument("--html", type=Path, metavar="FILE", help="write one page with charts instead; - for stdout")
    _json(command, "one JSON object instead of text")


def _report(asked: argparse.Namespace) -> int:
    from camguard.review import weekly

    return weekly.run(_paths(asked), html=asked.html, as_json=asked.json)


def _add_allow(commands: "Commands") -> None:
    command = _command(
        commands,
        "allow",
        _allow,
        "say that the viewer of an alert is fine; with ALERT alone: what you could say",
        "camguard allow a7f --for 2h",
    )
    command.add_argument("alert", nargs="?", metavar="ALERT", help="the id of the alert, or its first characters")
    what = command.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="this viewing only: it was you")
    what.add_argument("--for", dest="length", metavar="TIME", help="this viewer, for so long: 30m, 2h, 7d")
    what.add_argument("--always", action="store_true", help="this viewer, until you take it back")
    what.add_argument("--list", action="store_true", help="what holds now, when it was decided, and by whom")
    what.add_argument("--revoke", type=_count, metavar="NO", help="take a decision back; --list shows its number")
    command.add_argument("--hours", metavar="HOURS", help='with --always or --for: only then, "mon-fri 18:00-22:00"')
    _json(command, "with --list, or of an ALERT alone: one JSON object a line")


def _allow(asked: argparse.Namespace) -> int:
    from camguard.review import decisions

    if asked.list or asked.revoke is not None:
        if asked.alert is not None:
            raise ConfigError(f"{'--list' if asked.list else '--revoke'} takes no ALERT. Help: {PROGRAM} allow --help")
        if asked.list:
            return decisions.listing(_paths(asked), as_json=asked.json)
        return decisions.revoke(_paths(asked), asked.revoke)
    if asked.alert is None:
        raise ConfigError("which alert? See their ids: camguard alerts. What holds now: camguard allow --list")
    if asked.hours is not None and not (asked.length or asked.always):
        raise ConfigError("--hours goes with --always or --for TIME.")
    if not (asked.once or asked.length or asked.always):
        from camguard.review import proposing

        return proposing.propose(_paths(asked), asked.alert, as_json=asked.json)
    mode: Literal["once", "for", "always"] = "for" if asked.length else "always" if asked.always else "once"
    return decisions.allow(_paths(asked), asked.alert, mode, asked.length, asked.hours)


def _add_watching(commands: "Commands") -> None:
    command = _command(
        commands,
        "watching",
        _watching,
        "say that you are watching now, so that you are not told of yourself",
        "camguard watching --camera porch --for 1h",
    )
    command.add_argument("--camera", metavar="NAME", help="this camera; default: all of them")
    command.add_argument("--for", dest="length", default="30m", metavar="TIME", help="for so long; default: 30m")


def _watching(asked: argparse.Namespace) -> int:
    from camguard.review import decisions

    return decisions.watching(_paths(asked), asked.camera, asked.length)


def _add_learn(commands: "Commands") -> None:
    command = _command(
        commands,
        "learn",
        _learn,
        "what has become usual for each camera, and what of it you expect",
        "camguard learn --accept 2 --hours 18:00-22:00",
    )
    what = command.add_mutually_exclusive_group()
    what.add_argument("--accept", type=_count, metavar="NO", help="expect it from now on, as it was until now")
    what.add_argument("--undo", type=_count, metavar="NO", help="do not expect it, and do not ask again")
    what.add_argument("--forget", type=_count, metavar="NO", help="forget it; it is learned anew")
    command.add_argument("--hours", metavar="HOURS", help='with --accept: only then, such as "mon-fri 18:00-22:00"')
    _json(command, "one JSON object a line, of all that was learned")


def _learn(asked: argparse.Namespace) -> int:
    from camguard.review import learn

    if asked.hours is not None and asked.accept is None:
        raise ConfigError("--hours goes with --accept NO.")
    mode: Literal["accept", "undo", "forget"] | None = None
    mode = "accept" if asked.accept else "undo" if asked.undo else "forget" if asked.forget else None
    number = asked.accept or asked.undo or asked.forget or 0
    return learn.learn(_paths(asked), mode, number, asked.hours, as_json=asked.json)


# ---- cameras ---------------------------------------------------------------------------------------------------------


def _add_cameras(commands: "Commands") -> None:
    group = commands.add_parser(
        "cameras",
        help="which devices are there, which are guarded; take one, leave one",
        description="Which devices are there, which are guarded; take one, leave one.",
        epilog="example: camguard cameras list",
    )
    inner = group.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=_Parser)
    _json(
        _command(
            inner, "list", _cameras_list, "every device seen, and whether it is guarded", "camguard cameras list --json"
        )
    )
    discover = _command(
        inner,
        "discover",
        _cameras_discover,
        "ask the network which devices are there (ARP and NDP, gently)",
        "sudo camguard cameras discover",
    )
    discover.add_argument("--interface", metavar="I", help="ask here; default: where the guard looks")
    discover.add_argument("--network", metavar="NET", help="ask only these addresses, such as 192.168.1.0/24")
    discover.add_argument("--yes", action="store_true", help="ask addresses that are not those of a home, too")
    _json(discover)
    take = _command(
        inner,
        "add",
        _cameras_add,
        "guard one more camera: writes it into the configuration and reloads the guard",
        "sudo camguard cameras add 3 porch",
    )
    take.add_argument("what", metavar="WHAT", help="a number of the list, a MAC or an address")
    take.add_argument("name", nargs="?", metavar="NAME", help="what you call it; default: what it calls itself")
    leave = _command(
        inner,
        "remove",
        _cameras_remove,
        "guard one camera less: takes it and its rules out of the configuration",
        "sudo camguard cameras remove porch",
    )
    leave.add_argument("name", metavar="NAME", help="the camera")


def _cameras_list(asked: argparse.Namespace) -> int:
    from camguard.review import cameras

    return cameras.listing(_paths(asked), as_json=asked.json)


def _cameras_discover(asked: argparse.Namespace) -> int:
    from camguard import discover

    return discover.run(
        _paths(asked), interface=asked.interface, network=asked.network, as_json=asked.json, anywhere=asked.yes
    )


def _cameras_add(asked: argparse.Namespace) -> int:
    from camguard.review import cameras

    return cameras.add(_paths(asked), asked.what, asked.name)


def _cameras_remove(asked: argparse.Namespace) -> int:
    from camguard.review import cameras

    return cameras.remove(_paths(asked), asked.name)


# ---- telling, and the rest -------------------------------------------------------------------------------------------


def _add_deliver(commands: "Commands") -> None:
    _command(
        commands,
        "deliver",
        _deliver,
        "take alerts to your phone and home automation, as the service does",
        "sudo camguard deliver",
    )


def _deliver(asked: argparse.Namespace) -> int:
    from camguard.tell import deliver

    paths = _paths(asked)
    _leave_root(paths)
    return deliver.run(_config(asked), paths, foreground=sys.stderr.isatty())


def _leave_root(paths: "Paths") -> None:
    """What reads secrets and talks to the outside is never root where camguard is installed."""
    if os.geteuid() == 0:
        from camguard.service import beside

        beside.leave_root(paths)


def _add_notify(commands: "Commands") -> None:
    command = _command(
        commands,
        "notify",
        _notify,
        "send a message marked as a test through your channels",
        "sudo camguard notify --test",
    )
    command.add_argument(
        "--test",
        nargs="?",
        const="",
        required=True,
        metavar="CHANNEL",
        help="through this channel; default: through all",
    )
    _json(command, "one JSON object a line: name, status, detail, fix")


def _notify(asked: argparse.Namespace) -> int:
    from camguard.check import trial

    paths = _paths(asked)
    _leave_root(paths)
    return trial.run(_config(asked), paths, asked.test or None, as_json=asked.json)


def _add_selftest(commands: "Commands") -> None:
    command = _command(
        commands,
        "selftest",
        _selftest,
        "send a bundled capture through the whole chain, notification included",
        "camguard selftest --no-desktop",
        places=False,
    )
    command.add_argument("--no-desktop", action="store_true", help="leave the notification out")


def _selftest(asked: argparse.Namespace) -> int:
    from camguard import selftest

    return selftest.run(desktop=not asked.no_desktop)


def _add_desktop(commands: "Commands") -> None:
    command = _command(
        commands, "desktop", _desktop, "show alerts as notifications in your desktop session", "camguard desktop --test"
    )
    command.add_argument("--test", action="store_true", help="show one notification marked as a test, and end")


def _desktop(asked: argparse.Namespace) -> int:
    from camguard.tell import desktop

    return desktop.follow(_paths(asked), test=asked.test)


def _add_options(commands: "Commands") -> None:
    command = _command(
        commands, "options", _options, "every option of the configuration", "camguard options --sample", places=False
    )
    command.add_argument("--sample", action="store_true", help="print a whole commented configuration file")
    command.add_argument("--timezone", metavar="ZONE", help="with --sample: write this time zone into it")
    _json(command)


def _options(asked: argparse.Namespace) -> int:
    from camguard import options

    if asked.sample:
        from camguard import config

        zone = asked.timezone or config.machine_timezone()
        if not config.zone_known(zone):
            raise ConfigError(f'"{zone}" is no time zone. One looks like Europe/Berlin.')
        print(options.sample(zone), end="")
    elif asked.json:
        from camguard.report import to_json

        for row in options.as_rows():
            print(to_json(row))
    else:
        print(options.as_text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
