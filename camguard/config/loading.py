"""camguard.toml -> Config: reading the file and its TOML; what is in it is checked in checking.py."""

import re
import tomllib
from pathlib import Path

from camguard.config.checking import Check, Config
from camguard.config.forms import machine_timezone
from camguard.config.where import default_paths, env_path
from camguard.errors import ConfigError
from camguard.events import Home

MAX_FILE_BYTES = 1_000_000


def load(path: Path | None) -> Config:
    """The checked configuration. None or a missing file in the default place: defaults and no camera."""
    default = default_paths().config
    path = path or env_path("CAMGUARD_CONFIG") or default
    if path == default and not exists(path):
        return Config(home=Home(timezone=machine_timezone()))
    return parse(read(path), path)


def exists(path: Path) -> bool:
    """Whether it is there, or may be there behind a folder that may not be entered."""
    try:
        return path.exists()
    except OSError:  # a folder on the way may not be entered: let the reading say so
        return True


def read(path: Path) -> str:
    """The text of the file; ConfigError, one line, where there is none to have."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file. `camguard options --sample` prints one to begin with.") from None
    except PermissionError:
        raise ConfigError(f"{path}: may not be read by this user. Use sudo, or join the group camguard.") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}).") from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: is larger than {MAX_FILE_BYTES} bytes; that is no configuration of camguard.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line}: is not UTF-8 text. Save the file as UTF-8.") from None


def parse(text: str, path: Path) -> Config:
    """The configuration in `text`; `path` is for the error messages and kept in the Config."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_syntax_words(path, text, str(error))) from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply.") from None
    return Check(path, tree).config()


def _syntax_words(path: Path, text: str, message: str) -> str:
    """tomllib says "Expected '=' after a key in a key/value pair (at line 3, column 5)": the line goes to the front."""
    found = re.match(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", message, re.DOTALL)
    if not found:
        return f"{path}: {message}."
    line = int(found[2]) if found[2] else text.count("\n") + 1
    column = f", column {found[3]}" if found[3] else ""
    what = found[1].replace("Illegal character '\\n'", "a quotation mark is missing at the end of the line")
    what = re.sub(r"Cannot declare \('([^']*)',\) twice", r"[\1] is written twice", what)
    return f"{path}: line {line}{column}: {what}."
