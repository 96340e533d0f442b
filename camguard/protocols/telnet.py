"""Telnet (RFC 854, RFC 855): who logs in at a camera's shell, and whether the shell opens (pure).

In: ordered bytes of both directions, with holes. Out: Reading("login", ...) as doors.py has it: one for each name and
password that is given, one for what became of it. There is no message format: prompts, refusals and shells are known by
their words, those of login(1) of util-linux, BusyBox, inetutils and OpenBSD, and those that thc-hydra looks for
(hydra-telnet.c). A shell that opens to whoever connects is a login without a name and with no password.

A password lives in the state while it is typed, is compared with a list (credentials.is_default) and forgotten; what
the server says on that line (an echo) is not looked at. Caps: what is typed ahead TYPED_CAP, unread text TEXT_CAP
bytes; NOT_MINE after TRIES_CAP chunks or UNREAD_CAP bytes without a telnet option or a prompt, once in, and at
QUIET_CAP."""

import re
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols import doors
from camguard.protocols.credentials import Claim, is_default, user_name
from camguard.protocols.text import NOT_MINE, NotMine, Reading

TYPED_CAP = 512
TEXT_CAP = 2048
ISSUE_LINES_CAP = 32
TRIES_CAP, UNREAD_CAP = 8, 2048
QUIET_CAP = 16 * 1024  # bytes of the server after which somebody who is not asked for a name is in some other dialogue

_IAC, _SB, _SE = 0xFF, 0xFA, 0xF0
_NEW_ENVIRON = 39
_USER = re.compile(rb"(?:\x00|\x03)USER\x01([^\x00-\x03]{1,64})")  # RFC 1572: VAR "USER" VALUE name

_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]{0,20}[A-Za-z]|\][^\x07\x1b]{0,200}\x07|.)")
_ASKS_NAME = re.compile(r"(?i)(?:login|user ?name|user ?id|user|account)(?: ?name)?\s*:\s*$")
_ASKS_PASSWORD = re.compile(r"(?i)pass(?:word|wd|code|phrase)[^:>]{0,40}:\s*$")
_REFUSED = re.compile(
    r"(?i)incorrect|invalid|wrong|denied|bad (?:password|login|user)|fail(?:ed|ure)\b|unauthori[sz]ed|not allowed|"
    r"too many|locked|try again|unknown user|closed by"
)
#: "Last failed login" is said to those who are in (pam_lastlog), "Last login" too.
_IN = re.compile(r"(?i)^\s*(?:last (?:failed |successful )?login|welcome\b|busybox v|there (?:was|were) \d+ failed)")
_WELCOME = re.compile(r"(?i)^\s*welcome")  # may be what everybody is shown, where not all of that was seen
_SHELL = re.compile(r"^.{0,80}[#$>]\s?$")
_OTHERS = (b"SSH-", b"220", b"HTTP/", b"RTSP/", b"+OK", b"* OK")


class Side(NamedTuple):
    """One direction: an option that is cut (RFC 854), and how much was said."""

    cut: bytes = b""
    said: int = 0


class State(NamedTuple):
    """`known`: it is telnet. `server_up`: the server is the camera, None while nobody knows. `step`: what comes next:
    "name", "password", "verdict", or "" (the server has asked for nothing yet). `text`: what the server said since,
    `typed`: what the client said and nobody asked for yet; `issue`: lines that were there before any login; `waits`:
    the name was given, nothing else; `echo`: the line on which the password was typed has not ended; `ended`: a
    typed line did with CR, and what may belong to that (LF, NUL) is still to come; `holes`: of the server's text."""

    up: Side = Side()
    down: Side = Side()
    known: bool = False
    server_up: bool | None = None
    chunks: int = 0
    step: str = ""
    text: str = ""
    typed: bytes = b""
    issue: tuple[str, ...] = ()
    user: str | None = None
    claim: Claim | None = None
    echo: bool = False
    ended: bool = False
    holes: bool = False
    serial: int = 0


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; what they say of logins."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    side = state.up if chunk.up else state.down
    if not side.said and (chunk.data.startswith(_OTHERS) or _is_binary(chunk.data)):
        return NOT_MINE, ()
    data = chunk.data if chunk.gap else side.cut + chunk.data
    text, cut, options, name = strip(data)
    side = Side(cut, side.said + len(chunk.data))
    state = state._replace(up=side) if chunk.up else state._replace(down=side)
    state = state._replace(known=state.known or options, chunks=state.chunks + 1, user=name or state.user)
    if chunk.gap:  # the end of a line would be taken for a line, or what was typed for the answer to another prompt
        lost = state.step in ("name", "waits")  # a password must not be taken for a name: wait for the next question
        state = state._replace(typed=b"", ended=False, step="" if lost else state.step)
        state = state._replace(holes=state.holes or chunk.up == state.server_up or state.server_up is None)
    if not state.step:
        state = _who(state, chunk.up, text)
    if not state.known and (state.chunks > TRIES_CAP or state.up.said + state.down.said > UNREAD_CAP):
        return NOT_MINE, ()
    news: tuple[Reading, ...] = ()
    if state.server_up is None or not state.known or not text:
        return state, ()
    if chunk.up == state.server_up:
        state = _said(state, text.decode("latin-1"))
    else:
        state, news = _type(state, text)
    state, more = _goes_on(state)
    news = tuple(one._replace(from_server=chunk.up == state.server_up) for one in (*news, *more))
    server = state.up if state.server_up else state.down
    over = any(one.detail["outcome"] == "success" for one in news)
    if over or (not state.step and server.said > QUIET_CAP):
        return NOT_MINE, news
    return state, news


def strip(data: bytes) -> tuple[bytes, bytes, bool, str | None]:
    """Without telnet's commands: (text, a command that is cut off at the end, whether options were negotiated, the user
    name that a client gave by NEW-ENVIRON)."""
    text, at, options, name = bytearray(), 0, False, None
    while (found := data.find(_IAC, at)) >= 0:
        text += data[at:found]
        command = data[found + 1] if found + 1 < len(data) else None
        if command == _IAC:
            text.append(_IAC)
            at = found + 2
        elif command == _SB:
            end = data.find(bytes((_IAC, _SE)), found + 2)
            if end < 0:
                return bytes(text), data[found : found + TYPED_CAP], True, name
            body, at = data[found + 2 : end], end + 2
            options = True
            if body[:1] == bytes((_NEW_ENVIRON,)) and body[1:2] in (b"\0", b"\2") and (user := _USER.search(body)):
                name = user_name(user[1].decode("latin-1"))
        elif command is not None and 0xFB <= command <= 0xFE:
            if found + 2 >= len(data):
                return bytes(text), data[found:], options, name
            options, at = True, found + 3
        elif command is None:
            return bytes(text), data[found:], options, name
        else:
            at = found + 2
    text += data[at:]
    return bytes(text), b"", options, name


def _is_binary(data: bytes) -> bool:
    """A first chunk that neither negotiates nor is text."""
    if data[:1] == b"\xff":
        return len(data) > 1 and not 0xFA <= data[1] <= 0xFE
    return any(byte < 7 and byte for byte in data[:64])


def _who(state: State, up: bool, text: bytes) -> State:
    """The server is who asks for a name or a password, or shows a line before the other end typed anything."""
    line = _last_line(text.decode("latin-1"))
    if _ASKS_NAME.search(line) or _ASKS_PASSWORD.search(line):
        return state._replace(server_up=up, known=True)
    if state.known and state.server_up is None and text.strip(b"\r\n\0"):
        return state._replace(server_up=up)
    return state


def _last_line(text: str) -> str:
    """What stands behind the last line end, without escape sequences."""
    return _ESCAPES.sub("", re.split(r"[\r\n]", text)[-1].replace("\0", ""))


def _said(state: State, text: str) -> State:
    """The server's text since the last step."""
    if state.echo:
        end = re.search(r"[\r\n]", text)
        if end is None:
            return state
        text, state = text[end.end() :], state._replace(echo=False)
    return state._replace(text=(state.text + text)[-TEXT_CAP:])


def _type(state: State, data: bytes) -> tuple[State, tuple[Reading, ...]]:
    """The client typed: kept until a line is asked for. A line at the prompt of a shell that asked for nothing: in."""
    if state.ended:  # taken for an empty line, it would be the password, and the password the next name
        state, data = state._replace(ended=False), data[1:] if data[:1] in (b"\n", b"\0") else data
        if not data:
            return state, ()
    if not state.step and not state.serial and not state.typed and _is_shell(state, _last_line(state.text)):
        return state, (doors.login("telnet", state.serial, Claim("", None, True), "success", "read"),)
    return state._replace(typed=(state.typed + data)[-TYPED_CAP:]), ()


def _take_line(state: State) -> tuple[State, str | None]:
    """The next line of what was typed, with backspaces done; None where it has not ended."""
    end = re.search(rb"\r\n|\r\0|\r|\n", state.typed)
    if end is None:
        return state, None
    line: list[str] = []
    for letter in state.typed[: end.start()].decode("utf-8", "replace"):
        if letter in "\x08\x7f":
            del line[-1:]
        elif letter >= " ":
            line.append(letter)
    rest = state.typed[end.end() :]
    return state._replace(typed=rest.lstrip(b"\n\0"), ended=end[0] == b"\r" and not rest), "".join(line)


def _goes_on(state: State) -> tuple[State, tuple[Reading, ...]]:
    """Prompts and lines, as long as one answers the other."""
    news: list[Reading] = []
    for _ in range(8):
        before = state
        if state.step == "verdict":
            state, more = _verdict(state)
            news += more
        if state.step in ("", "waits"):
            state, more = _asked(state)
            news += more
        if state.step in ("name", "password"):
            state, more = _answered(state)
            news += more
        if state == before:
            break
    return state, tuple(news)


def _asked(state: State) -> tuple[State, list[Reading]]:
    """Whether the server asks for something now. In `waits` a name was given and no password asked for yet."""
    line = _last_line(state.text)
    if _ASKS_PASSWORD.search(line):
        return state._replace(step="password", issue=_issue(state), text=""), []
    if _ASKS_NAME.search(line) and not _IN.search(line):
        refused = state.step == "waits" and state.user and _REFUSED.search(state.text)
        claim, serial = Claim("", state.user, None), state.serial
        news = [doors.login("telnet", serial, claim, "failure", "read")] if refused else []
        state = state._replace(step="name", issue=_issue(state), text="", user=None, serial=serial + len(news))
        return state._replace(typed=b""), news  # only what is typed after the question can be a name
    if state.step == "waits" and state.user and re.search(r"[\r\n]", state.text) and _outcome(state) == "success":
        return state, [doors.login("telnet", state.serial, Claim("", state.user, True), "success", "read")]
    return state, []


def _issue(state: State) -> tuple[str, ...]:
    """What the server shows to everybody: it says nothing of a login."""
    if state.issue or state.serial:
        return state.issue
    shown = (line.strip() for line in re.split(r"[\r\n]+", state.text))
    return tuple(dict.fromkeys(line for line in shown if line))[:ISSUE_LINES_CAP]


def _answered(state: State) -> tuple[State, list[Reading]]:
    """A line that was asked for, where it has come."""
    state, line = _take_line(state)
    if line is None and state.step == "name" and _ASKS_PASSWORD.search(_last_line(state.text)):
        # the name has a hole: what is typed next is no name
        return state._replace(step="password", typed=b"", text=""), []
    if line is None:
        return state, []
    if state.step == "name":
        return state._replace(step="waits", user=user_name(line.strip()), text=""), []
    claim = Claim("", state.user, is_default(line))
    asked = doors.login("telnet", state.serial, claim)
    return state._replace(step="verdict", claim=claim, text="", echo=True), [asked]


def _verdict(state: State) -> tuple[State, list[Reading]]:
    """What became of the password."""
    outcome = _outcome(state)
    claim = state.claim
    if outcome is None or claim is None:
        return state, []
    told = doors.login("telnet", state.serial, claim, outcome, "read")
    return state._replace(step="", claim=None, serial=state.serial + 1), [told]


def _outcome(state: State) -> str | None:
    """The first line that settles it: a refusal, a prompt again, a greeting, a shell."""
    lines = [_ESCAPES.sub("", line.replace("\0", "")) for line in re.split(r"[\r\n]+", state.text)]
    for line in lines[:-1]:
        if line.strip() in state.issue:
            continue
        if _IN.search(line) and not (state.holes and _WELCOME.search(line)):
            return "success"
        if _REFUSED.search(line):
            return "failure"
    last = lines[-1]
    if (_ASKS_NAME.search(last) or _ASKS_PASSWORD.search(last)) and not _IN.search(last):
        return "failure"
    return "success" if _is_shell(state, last) else None


def _is_shell(state: State, line: str) -> bool:
    """Whether it is a shell's prompt, and not the beginning of a line that everybody is shown."""
    return _SHELL.match(line) is not None and not any(shown.startswith(line.strip()) for shown in state.issue)
