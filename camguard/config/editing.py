"""Changing camguard.toml for the owner: one camera more, one camera less; nothing else in the file moves."""

import dataclasses
import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path

from camguard import options
from camguard.config.forms import nearest
from camguard.config.loading import exists, parse, read
from camguard.errors import ConfigError


def add_camera(path: Path, name: str, mac: str | None, ip: str | None = None) -> None:
    """Write one more [[camera]] at the end of the file; nothing else in it moves. ConfigError where it may not be."""
    text = read(path) if exists(path) else ""
    before = parse(text, path).home.cameras
    keys = {"name": name, "mac": mac, "ip": ip}
    block = "".join(f"{key} = {options.toml_value(value)}\n" for key, value in keys.items() if value is not None)
    changed = f"{text.rstrip()}\n\n[[camera]]\n{block}".lstrip()
    if isinstance(tomllib.loads(text).get("camera"), list) and not _headers(text.splitlines(), "camera"):
        raise ConfigError(f"{path}: the cameras are written in one line. Write each as [[camera]], then try again.")
    if parse(changed, path).home.cameras[:-1] != before:
        raise ConfigError(f"{path}: could not be changed without changing more than one camera. Edit it by hand.")
    _replace(path, changed)


def remove_camera(path: Path, name: str) -> int:
    """Take one [[camera]] out, and the rules that name it; how many rules. ConfigError for an unknown name.

    Lines are taken out as text, because rewriting the file (tomlkit) would put comments of the owner in other places.
    """
    text = read(path)
    before = parse(text, path)
    home = before.home
    names = [camera.name for camera in home.cameras]
    if name not in names:
        raise ConfigError(f'{path}: no camera is called "{name}".{nearest(name, names)}')
    naming = [channel.name for channel in before.channels if name in channel.cameras]
    if naming:
        raise ConfigError(f'{path}: [[notify]] "{naming[0]}" names the camera. Take it out of `cameras` there first.')
    rules = [index for index, rule in enumerate(home.expects) if rule.camera == name]
    lines = text.splitlines(keepends=True)
    wanted = dataclasses.replace(
        home,
        cameras=tuple(camera for camera in home.cameras if camera.name != name),
        expects=tuple(rule for rule in home.expects if rule.camera != name),
    )
    try:
        headers = [_headers(lines, "expect")[index] for index in rules] + [_headers(lines, "camera")[names.index(name)]]
        for start in sorted(headers, reverse=True):
            del lines[start : _block_end(lines, start)]
        changed = "".join(lines)
        same = parse(changed, path).home == wanted
    except (IndexError, ConfigError):
        same = False
    if not same:
        raise ConfigError(f"{path}: [[camera]] {name} cannot be told from the rest. Take its lines out by hand.")
    _replace(path, changed)
    return len(rules)


_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_.\"'-]+)\s*\]\]?\s*(#.*)?$")


def _headers(lines: Sequence[str], section: str) -> list[int]:
    """Where the tables of a [[list]] begin."""
    found = [(index, _HEADER.match(line.rstrip())) for index, line in enumerate(lines)]
    return [index for index, match in found if match and match[1].strip("\"'") == section]


def _block_end(lines: Sequence[str], start: int) -> int:
    """The line after the table that begins at `start`; comments behind a blank line belong to what comes next."""
    end = next((i for i in range(start + 1, len(lines)) if _HEADER.match(lines[i].rstrip())), len(lines))
    tail = end
    while tail > start + 1 and (not lines[tail - 1].strip() or lines[tail - 1].lstrip().startswith("#")):
        tail -= 1
    blank = next((i for i in range(tail, end) if not lines[i].strip()), end)
    return blank + 1 if blank < end else end


def _replace(path: Path, text: str) -> None:
    """Put the new text in place in one step, keeping owner, mode and access list of the old file."""
    import shutil
    import tempfile

    path = path.resolve()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if path.exists():
                old = path.stat()
                os.chown(temporary, old.st_uid, old.st_gid)
                shutil.copystat(path, temporary)
                os.utime(temporary)
            else:
                os.chmod(temporary, 0o640)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise ConfigError(f"{path}: cannot be changed ({error.strerror}). Use sudo.") from None
