"""The spool of wishes: what somebody asks the guard to decide, as one small file each. In and out: Wish.

Everybody who may write in the folder may ask (architecture.md, "What the owner decides"); so nothing in it is believed.
A file is JSON of at most 4 KB, renamed into the folder in one step, with the keys of its kind and no others. Who asked
is the file's owner, as the kernel says; the file itself says only by which way (terminal, page, mqtt, push). A repeat
of the same `id` is the same wish. The guard removes a file after its decision is on the disk.
"""

import contextlib
import errno
import json
import os
import pwd
import re
import secrets
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from camguard.errors import StoreError
from camguard.events import Decision, Wish

MOST_BYTES = 4096
MOST_FILES = 200
LOOK_AT = 5000  # names read of a folder that somebody filled
UNFINISHED_S = 60.0  # a file that was never renamed into place
#: Sticky, so that who may ask takes back nobody else's wish; set-group-id, so that the guard can read each file.
FOLDER_MODE, FILE_MODE = 0o3770, 0o640
ASK_AGAIN_S = 0.1

#: do -> keys beside "do", "id" and "who"
KEYS: dict[str, tuple[str, ...]] = {
    "allow": ("alert", "mode", "for_s", "when"),
    "revoke": ("decision",),
    "watching": ("camera", "for_s"),
    "silence": ("camera", "for_s", "alert"),
    "presence": ("device", "home"),
    "learn": ("habit", "mode", "when"),
}
#: do -> its modes
MODES = {"allow": ("once", "for", "always"), "learn": ("accept", "undo", "forget")}
#: Accounts of camguard's own programs -> the ways by which they speak for others. They cannot claim to be a terminal.
SERVICES = {"camguard-deliver": ("mqtt", "push"), "camguard-web": ("page",)}
WAYS = ("terminal", "page", "mqtt", "push")


class Spool(Protocol):
    """What knows where the folder is (config.Paths)."""

    @property
    def wishes(self) -> Path:
        """The folder."""
        ...


class Decided(Protocol):
    """What knows the decisions (store.Reader)."""

    def decision_of(self, wish: str) -> Decision | None:
        """The decision that was made of a wish."""
        ...

    def refusal_of(self, wish: str) -> str | None:
        """Why a wish was refused, in words."""
        ...


class Refused(NamedTuple):
    """A file that is no wish. `why`: a part of a sentence; `id`: the wish's, if it could be read; `who`: the owner."""

    why: str
    who: str
    id: str | None = None


class Found(NamedTuple):
    """One file of the folder, by name; to be removed once it is done with. `age_s`: how long it has waited."""

    name: str
    wish: Wish | Refused
    age_s: float = 0.0


def new_id() -> str:
    """An id for a Wish."""
    return secrets.token_hex(8)


# ---- asking ----------------------------------------------------------------------------------------------------------


def put(where: Spool | Path, wish: Wish) -> None:
    """Ask the guard. StoreError, with what to do, where the folder takes nothing; ValueError for what is no wish."""
    folder = where if isinstance(where, Path) else where.wishes
    said = {key: getattr(wish, key) for key in ("do", "id", "who", *KEYS[wish.do])}
    text = json.dumps({key: value for key, value in said.items() if value is not None})
    _checked(json.loads(text), "")
    if len(text) > MOST_BYTES:
        raise ValueError("it is too long")
    name = f"{time.time_ns():020d}-{wish.id}.json"
    try:
        _make(folder)
        with os.scandir(folder) as entries:
            waiting = sum(1 for _, _ in zip(entries, range(MOST_FILES), strict=False))
        if waiting >= MOST_FILES:
            raise StoreError(
                f"{waiting} wishes wait in {folder} already, and the guard takes none. Run: camguard check"
            )
        _write(folder, name, text.encode())
    except OSError as error:
        raise StoreError(_cannot(folder, error)) from None


def _make(folder: Path) -> None:
    """The folder, where there is none; as root for those who own the record."""
    if folder.is_dir():
        return
    try:
        folder.mkdir(mode=0o770)
    except FileExistsError:  # somebody else's first wish came in between; its rights are theirs to set
        return
    # The reading right on the record (install.sh) is handed on to this folder, and would count before the group does.
    with contextlib.suppress(OSError):
        os.removexattr(folder, "system.posix_acl_access")
    owner = folder.parent.stat()
    if os.geteuid() == 0:
        os.chown(folder, owner.st_uid, owner.st_gid)
    _rights(folder)


def _rights(folder: Path) -> None:
    try:
        folder.chmod(FOLDER_MODE)
    except PermissionError:  # the service may set no set-group-id bit; then who asks sets the group of the file
        folder.chmod(FOLDER_MODE & ~stat.S_ISGID)


def _write(folder: Path, name: str, content: bytes) -> None:
    unfinished = folder / f".{name}"
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:
            group = folder.stat().st_gid
            if os.fstat(fd).st_gid != group:  # a folder without the set-group-id bit
                with contextlib.suppress(OSError):
                    os.fchown(fd, -1, group)
            os.fchmod(fd, FILE_MODE)
            file.write(content)
            file.flush()
            os.fsync(fd)
        unfinished.rename(folder / name)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def _cannot(folder: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"there is no {folder.parent}: camguard has never run here. Start it: camguard run"
    if isinstance(error, PermissionError):
        return (
            "this user may not tell the guard anything. Use sudo, or join its group: sudo usermod -aG camguard $USER"
            " (counts from the next login)"
        )
    return f"cannot write in {folder}: {error.strerror}. Look at the disk, and run: camguard check"


def wait(reader: Decided, wish_id: str, limit_s: float) -> Decision | None:
    """The decision, as soon as it is made. None: refused (`reader.refusal_of` says why), or not within `limit_s`."""
    until = time.monotonic() + limit_s
    while True:
        with contextlib.suppress(StoreError):  # there may be no record yet
            decision = reader.decision_of(wish_id)
            if decision is not None or reader.refusal_of(wish_id) is not None:
                return decision
        if time.monotonic() >= until:
            return None
        time.sleep(ASK_AGAIN_S)


# ---- taking: for the guard -------------------------------------------------------------------------------------------


def prepare(folder: Path) -> None:
    """The folder with its rights, in a folder that is there; OSError where that cannot be."""
    _make(folder)
    found = folder.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != FOLDER_MODE:
        _rights(folder)


def take(folder: Path) -> list[Found]:
    """What waits, oldest first, at most MOST_FILES; what is more than that is refused. OSError: it cannot be read."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with os.scandir(at) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(LOOK_AT), strict=False))
        found: list[Found] = []
        for name in names:
            if name.startswith(".") and not _is_unfinished(at, name):
                continue
            if len(found) < MOST_FILES:
                found.append(Found(name, _read(at, name), _age_s(at, name)))
            else:
                found.append(Found(name, Refused(f"more than {MOST_FILES} wait at once", _owner(at, name))))
        return found
    finally:
        os.close(at)


def remove(folder: Path, name: str) -> None:
    """Done with it; OSError where it stays."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        try:
            os.unlink(name, dir_fd=at)
        except IsADirectoryError:
            os.rmdir(name, dir_fd=at)
    except FileNotFoundError:
        pass
    finally:
        os.close(at)


def _is_unfinished(at: int, name: str) -> bool:
    """Whether a hidden file was left by somebody who did not get to rename it."""
    return _age_s(at, name) > UNFINISHED_S


def _age_s(at: int, name: str) -> float:
    try:
        return max(0.0, time.time() - os.stat(name, dir_fd=at, follow_symlinks=False).st_mtime)
    except OSError:
        return 0.0


def _owner(at: int, name: str) -> str:
    try:
        return user(os.stat(name, dir_fd=at, follow_symlinks=False).st_uid)
    except OSError:
        return "somebody"


def user(uid: int) -> str:
    """The name of an account, as this machine knows it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def _read(at: int, name: str) -> Wish | Refused:
    who = _owner(at, name)
    if name.startswith("."):
        return Refused("it was never finished", who)
    try:
        # a fifo or a device must neither hold up the guard nor be touched: NONBLOCK, and only what fstat calls a file
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=at)
    except OSError as error:
        return Refused("it is no plain file" if error.errno in _NO_FILE else f"{error.strerror}".lower(), who)
    try:
        with open(fd, "rb", buffering=0) as file:
            found = os.fstat(fd)
            who = user(found.st_uid)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:  # a second name may be of somebody else's file
                return Refused("it is no plain file", who)
            content = file.read(MOST_BYTES + 1) or b""
    except OSError as error:
        return Refused(f"{error.strerror}".lower(), who)
    return read(content, who)


_NO_FILE = (errno.ELOOP, errno.ENXIO)  # a link, a socket


def read(content: bytes, owner: str) -> Wish | Refused:
    """The wish in a file of `owner`."""
    known: dict[str, Any] = {}
    try:
        if len(content) > MOST_BYTES:
            raise ValueError(f"it is longer than {MOST_BYTES} bytes")
        try:
            known = json.loads(content.decode("utf-8"), object_pairs_hook=_once)
        except (ValueError, RecursionError):
            known = {}
            raise ValueError("it is no JSON object") from None
        if not isinstance(known, dict):
            known = {}
            raise ValueError("it is no JSON object")
        return _checked(known, owner)
    except ValueError as error:
        named = known.get("id")
        return Refused(str(error), owner, named if isinstance(named, str) and _ID.fullmatch(named) else None)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that is said twice may be read differently by two readers."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


_ID = re.compile(r"[0-9a-f]{8,64}")
_MATTER = re.compile(r"[0-9A-Za-z]{3,64}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1e12


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 64 and value.isprintable()


#: key -> whether a value is one
_CHECKS: Mapping[str, Callable[[Any], bool]] = {
    "alert": lambda value: isinstance(value, str) and _MATTER.fullmatch(value) is not None,
    "mode": lambda value: isinstance(value, str),
    "habit": lambda value: type(value) is int and 0 < value < 1 << 53,
    "for_s": _is_number,
    "decision": lambda value: type(value) is int and 0 < value < 1 << 53,
    "camera": _is_text,
    "device": _is_text,
    "home": lambda value: isinstance(value, bool),
    "when": lambda value: isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable(),
}
_NEEDED = {
    "allow": ("alert", "mode"),
    "revoke": ("decision",),
    "presence": ("device", "home"),
    "learn": ("habit", "mode"),
}


def _checked(asked: dict[str, Any], owner: str) -> Wish:
    """The wish that `asked` says, in the name of `owner`; ValueError with a sentence."""
    do, named = asked.get("do"), asked.get("id")
    if not isinstance(do, str) or do not in KEYS:
        raise ValueError(f'"do" is one of {", ".join(KEYS)}')
    if not isinstance(named, str) or not _ID.fullmatch(named):
        raise ValueError('"id" is 8 to 64 hexadecimal digits')
    said: dict[str, Any] = {}
    for key, value in asked.items():
        if key in ("do", "id", "who"):
            continue
        if key not in KEYS[do]:
            raise ValueError(f"{_shown(key)} is unknown in {do}")
        if value is None:
            continue
        if not _CHECKS[key](value) or (key == "mode" and value not in MODES[do]):
            raise ValueError(f"{_shown(key)} of {do} is not one")
        said[key] = float(value) if key == "for_s" else value
    for key in _NEEDED.get(do, ()):
        if key not in said:
            raise ValueError(f'{do} needs "{key}"')
    return Wish(id=named, who=_origin(asked.get("who"), owner), do=do, **said)  # type: ignore[arg-type]


def _shown(key: str) -> str:
    text = "".join(letter if letter.isprintable() else "?" for letter in key[:40])
    return f'"{text}"'


def _origin(claimed: object, owner: str) -> str:
    """By which way, by way of whom, and who it was: "terminal, bob", "mqtt, home, camguard-deliver"."""
    if not isinstance(claimed, str) or not 0 < len(claimed) <= 200 or not claimed.isprintable():
        raise ValueError('"who" is a short text')
    way, *rest = (part.strip() for part in claimed.split(","))
    if way not in WAYS:
        raise ValueError(f'"who" begins with one of {", ".join(WAYS)}')
    if way not in SERVICES.get(owner, WAYS):
        raise ValueError(f"{owner} cannot speak as {way}")
    if way == "terminal":  # who sits there is known; what the file says of it is not needed
        rest = []
    return ", ".join(part for part in (way, ", ".join(rest)[:60], owner) if part)
