"""Where camguard keeps its files: flags, then CAMGUARD_*, then systemd's folders, then the installation's, then XDG."""

import os
from dataclasses import dataclass
from pathlib import Path

_INSTALLED = Path("/var/lib/camguard")


@dataclass(frozen=True, slots=True)
class Paths:
    """Where things are: the configuration file, the folder of the record, the folder of the live figures."""

    config: Path
    state: Path
    runtime: Path

    @property
    def database(self) -> Path:
        """The record."""
        return self.state / "guard.db"

    @property
    def now(self) -> Path:
        """The live figures, replaced each second while the guard runs."""
        return self.runtime / "now.json"

    @property
    def wishes(self) -> Path:
        """The spool of what the owner asks the guard to decide."""
        return self.state / "wishes"

    @property
    def delivery(self) -> Path:
        """The outbox: in a folder of its own where deliver is a user of its own, else beside the record."""
        given = env_path("CAMGUARD_DELIVER_DIR")
        own = _INSTALLED.with_name("camguard-deliver") if self.state == _INSTALLED else self.state
        return (given or own) / "deliver.db"


def paths(config: Path | None = None, state: Path | None = None, runtime: Path | None = None) -> Paths:
    """Where things are: what is given, else CAMGUARD_*, else systemd's folders, else the installation's, else XDG."""
    env = os.environ
    default = default_paths()
    return Paths(
        config=config or env_path("CAMGUARD_CONFIG") or default.config,
        state=state or env_path("CAMGUARD_STATE_DIR") or _first(env.get("STATE_DIRECTORY")) or default.state,
        runtime=runtime or env_path("CAMGUARD_RUNTIME_DIR") or _first(env.get("RUNTIME_DIRECTORY")) or default.runtime,
    )


def env_path(name: str) -> Path | None:
    """The path in a variable of the environment, None where it is not set."""
    return Path(os.environ[name]) if os.environ.get(name) else None


def _first(value: str | None) -> Path | None:
    """systemd separates several folders by ':'; the first is ours."""
    return Path(value.split(":")[0]) if value else None


def default_paths() -> Paths:
    """Where things are when nothing says otherwise."""
    if Path("/etc/camguard").is_dir():
        return Paths(Path("/etc/camguard/camguard.toml"), _INSTALLED, Path("/run/camguard"))
    state = (env_path("XDG_STATE_HOME") or Path.home() / ".local/state") / "camguard"
    runtime = env_path("XDG_RUNTIME_DIR")
    return Paths(
        (env_path("XDG_CONFIG_HOME") or Path.home() / ".config") / "camguard/camguard.toml",
        state,
        runtime / "camguard" if runtime else state / "run",
    )
