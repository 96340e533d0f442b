"""Where a secret is kept, and reading it. Only deliver reads; an error names the place, never what is in it."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from camguard.errors import ConfigError

MAX_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Secret:
    """The one place of three where a secret is kept; false where there is none."""

    file: Path | None = None
    env: str | None = None
    credential: str | None = None

    def __bool__(self) -> bool:
        return bool(self.file or self.env or self.credential)

    def __str__(self) -> str:
        """The place in words."""
        if self.file:
            return str(self.file)
        return f"variable {self.env}" if self.env else f"credential {self.credential}"


def read_secret(secret: Secret) -> str:
    """The secret, without white space around it. ConfigError, one line, names the place and the cure, not the value."""
    if secret.file:
        raw = _read(secret.file, str(secret.file))
    elif secret.env:
        if secret.env not in os.environ:
            raise ConfigError(f"{secret}: is not set. Set it for the program that runs `camguard deliver`.")
        raw = os.environb[secret.env.encode()]
    elif secret.credential:
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise ConfigError(f"{secret}: this process was given none. {_give(secret)}")
        raw = _read(Path(folder) / secret.credential, str(secret), _give(secret))
    else:
        raise ConfigError("a secret is needed here, and the configuration names none.")
    try:
        text = raw.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"{secret}: is not text. It must hold the secret and nothing else.") from None
    if not text:
        raise ConfigError(f"{secret}: is empty. It must hold the secret and nothing else.")
    if not text.isprintable():
        raise ConfigError(f"{secret}: has several lines. It must hold the secret in one line and nothing else.")
    return text


def open_to_all(secret: Secret) -> bool:
    """Whether every user of the machine may read the file of a secret (and so send in its name)."""
    try:
        return secret.file is not None and bool(secret.file.stat().st_mode & 0o004) and _folders_open(secret.file)
    except OSError:
        return False


def _folders_open(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in path.absolute().parents)


def _give(secret: Secret) -> str:
    return f"Add LoadCredential={secret.credential}:FILE to camguard-deliver.service (sudo systemctl edit)."


def _read(path: Path, words: str, missing: str = "Put the secret there, or correct the configuration.") -> bytes:
    try:
        # without waiting for whoever writes into a pipe
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
            raw = file.read(MAX_BYTES + 1) if regular else b""
    except FileNotFoundError:
        raise ConfigError(f"{words}: no such file. {missing}") from None
    except PermissionError:
        raise ConfigError(
            f"{words}: may not be read by this user. Use sudo; the service reads it as a member of the group "
            "camguard-deliver (sudo chgrp camguard-deliver, sudo chmod 640)."
        ) from None
    except OSError as error:
        raise ConfigError(f"{words}: cannot be read ({error.strerror}).") from None
    if not regular:
        raise ConfigError(f"{words}: is no ordinary file. It must hold the secret and nothing else.")
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"{words}: is larger than {MAX_BYTES} bytes. It must hold the secret and nothing else.")
    return raw
