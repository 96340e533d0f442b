"""camguard.toml -> Config: what the owner wrote, checked. Also where camguard keeps its files.

where.py     the files
loading.py   the file and its TOML
checking.py  what is in it
channels.py  the places that alerts go to
secret.py    where secrets are kept, and reading them
forms.py     how a MAC, an address, a network may be written
editing.py   adding and removing a camera

Errors are ConfigError, one line: file, place (`camera[2].mac`, counted from 1), what is wrong, the nearest right word.
"""

from collections.abc import Iterable

from camguard.config.channels import Channel
from camguard.config.checking import Config
from camguard.config.editing import add_camera, remove_camera
from camguard.config.forms import ip_text, mac_text, machine_timezone, nearest, net_text, zone_known
from camguard.config.loading import MAX_FILE_BYTES, load, parse
from camguard.config.secret import Secret, open_to_all, read_secret
from camguard.config.where import Paths, paths
from camguard.errors import ConfigError

__all__ = [
    "MAX_FILE_BYTES",
    "Channel",
    "Config",
    "Paths",
    "Secret",
    "add_camera",
    "ip_text",
    "load",
    "mac_text",
    "machine_timezone",
    "nearest",
    "net_text",
    "open_to_all",
    "parse",
    "paths",
    "read_secret",
    "remove_camera",
    "unknown_camera",
    "zone_known",
]


def unknown_camera(name: str, known: Iterable[str]) -> ConfigError:
    """The error for a camera that is not there, with the nearest name."""
    return ConfigError(f'no camera "{name}".{nearest(name, known)}')
