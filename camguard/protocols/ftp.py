"""FTP's control connection (RFC 959, RFC 4217): who logs in, and whether it was believed (pure).

In: ordered bytes of both directions, with holes. Out: Reading("login", ...) as doors.py has it: for each PASS (or
USER where that is enough or refused), and for the answer: 230 and 232 in, 530, 430 and 532 refused, 331 and 332 more
is asked. `anonymous` (RFC 1635) is a login that needs no password. After AUTH TLS nothing more can be read. The
password is compared with a list and forgotten. Caps: LINE_CAP bytes of a line, PENDING_CAP unanswered commands;
NOT_MINE after TRIES_CAP chunks or UNREAD_CAP bytes without a word of FTP, and where it is mail (RFC 5321), whose
server begins with 220 as well."""

import re
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import doors
from camguard.protocols.credentials import Claim, is_default, user_name
from camguard.protocols.text import NOT_MINE, NotMine, Reading

LINE_CAP = 1024
LINES_CAP = 256  # of one chunk
PENDING_CAP = 16
TRIES_CAP, UNREAD_CAP = 64, 2048

_REPLY = re.compile(rb"([1-5]\d\d)([ -])")
_COMMAND = re.compile(rb"(?i)([a-z]{3,4})(?: (.*))?$", re.DOTALL)
_OF_MAIL = frozenset({b"EHLO", b"HELO", b"MAIL", b"LHLO"})
_OUTCOMES = {230: "success", 232: "success", 530: "failure", 430: "failure", 532: "failure", 431: "failure"}
_MORE = frozenset({331, 332, 334, 336, 503})  # "goes on", or "first USER": no attempt
_ANONYMOUS = frozenset({"anonymous", "ftp"})


class Asked(NamedTuple):
    """A command that waits for its reply."""

    word: bytes
    serial: int = 0
    claim: Claim | None = None


class State(NamedTuple):
    """`up`, `down`: an unfinished line each way. `known`: a command of FTP was read; `server_up`: the server is the
    camera; `multi`: the code of a reply of several lines (RFC 959 section 4.2); `opaque`: AUTH was asked for."""

    up: bytes = b""
    down: bytes = b""
    known: bool = False
    server_up: bool | None = None
    chunks: int = 0
    said: int = 0
    multi: bytes = b""
    user: str | None = None
    pending: tuple[Asked, ...] = ()
    serial: int = 0
    over: bool = False


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; what they say of logins."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    rest = b"" if chunk.gap else (state.up if chunk.up else state.down)
    if chunk.gap and chunk.up == state.server_up:
        state = state._replace(pending=(), multi=b"")  # which command a reply is for cannot be told any more
    *lines, rest = re.split(rb"\r?\n", rest + chunk.data)
    if len(rest) > LINE_CAP:
        rest = rest[:LINE_CAP]
    state = state._replace(up=rest) if chunk.up else state._replace(down=rest)
    state = state._replace(chunks=state.chunks + 1, said=state.said + len(chunk.data))
    news: list[Reading] = []
    for line in lines[:LINES_CAP]:
        state, more = _line(state, chunk.up, line[:LINE_CAP])
        news += more
        if state.over:
            return NOT_MINE, tuple(news)
    if not state.known and (state.chunks > TRIES_CAP or state.said > UNREAD_CAP or not _may_be_mine(state, chunk.up)):
        return NOT_MINE, tuple(news)
    return state, tuple(news)


def _may_be_mine(state: State, up: bool) -> bool:
    """Whether an unfinished first line can be FTP's: a reply with 220 or 120, or letters of a command."""
    if state.server_up is not None:
        return True
    begun = (state.up if up else state.down)[:3]
    return b"220".startswith(begun) or b"120".startswith(begun) or (begun.isalpha() and begun.isascii())


def _line(state: State, up: bool, line: bytes) -> tuple[State, list[Reading]]:
    """One whole line of either side."""
    if state.server_up is None:
        reply = _REPLY.match(line)
        if reply and reply[1] in (b"220", b"120"):
            state = state._replace(server_up=up)
        elif line[:5].upper() in (b"USER ", b"AUTH "):
            state = state._replace(server_up=not up)
        else:
            return state._replace(over=True), []
    return _reply(state, line) if up == state.server_up else _command(state, line)


def _command(state: State, line: bytes) -> tuple[State, list[Reading]]:
    found = _COMMAND.match(line.lstrip(b"\xff\xf4\xf2"))  # telnet's interrupt stands before ABOR
    word = found[1].upper() if found else b""
    if word in _OF_MAIL:
        return state._replace(over=True), []
    value = ((found[2] if found else None) or b"").decode("utf-8", "replace")
    asked, news = Asked(word), []
    if word == b"USER":
        state = state._replace(known=True, user=user_name(value.strip()))
        asked = Asked(word, state.serial, Claim("", state.user, None))
    elif word == b"PASS":
        open_to_all = (state.user or "").lower() in _ANONYMOUS
        claim = Claim("", state.user, open_to_all or is_default(value))
        asked = Asked(word, state.serial, claim)
        news = [doors.login("ftp", state.serial, claim)]
        state = state._replace(known=True, serial=state.serial + 1)
    elif word in (b"AUTH", b"FEAT", b"SYST", b"QUIT", b"PASV", b"EPSV", b"PWD"):
        state = state._replace(known=True)
    return state._replace(pending=(*state.pending[-(PENDING_CAP - 1) :], asked)), news


def _reply(state: State, line: bytes) -> tuple[State, list[Reading]]:
    found = _REPLY.match(line + b" ")
    if state.multi:  # RFC 959 section 4.2: it goes on until the same code with a space
        if not found or found[1] != state.multi or found[2] != b" ":
            return state, []
        state = state._replace(multi=b"")
    elif not found:
        return state, []
    elif found[2] == b"-":
        return state._replace(multi=found[1]), []
    code = int(found[1])
    if code < 200 or not state.pending:
        return state, []
    asked, state = state.pending[0], state._replace(pending=state.pending[1:])
    if asked.word == b"AUTH":
        return state._replace(over=code in (234, 334)), []
    if asked.claim is None:
        return state, []
    outcome = _OUTCOMES.get(code, "challenge" if code in _MORE else "unknown")
    if asked.word == b"PASS":
        return state, [doors.login("ftp", asked.serial, asked.claim, outcome, "read", from_server=True)]
    if outcome not in ("success", "failure"):
        return state, []
    claim = asked.claim._replace(default_password=True if outcome == "success" else None)
    state = state._replace(serial=state.serial + 1)  # the name was enough
    return state, [doors.login("ftp", asked.serial, claim, outcome, "read", from_server=True)]
