"""camguard.toml -> Config: what the owner wrote, checked. Also where camguard keeps its files.

Errors are ConfigError, one line: file, place (`camera[2].mac`, counted from 1), what is wrong, the nearest right word.
"""

import dataclasses
import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec

from camguard import options
from camguard.errors import ConfigError
from camguard.events import Camera, Device, Expect, Home
from camguard.judge import schedule

MAX_FILE_BYTES = 1_000_000
MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Config:
    """All that the owner decided. `interfaces` empty: the one with the default route. `path` None: no file was read."""

    home: Home = field(default_factory=Home)
    interfaces: tuple[str, ...] = ()
    keep_days: int = 365
    max_mb: int = 256
    path: Path | None = None


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


def paths(config: Path | None = None, state: Path | None = None, runtime: Path | None = None) -> Paths:
    """Where things are: what is given, else CAMGUARD_*, else systemd's folders, else the installation's, else XDG."""
    env = os.environ
    default = _default_paths()
    return Paths(
        config=config or _env_path("CAMGUARD_CONFIG") or default.config,
        state=state or _env_path("CAMGUARD_STATE_DIR") or _first(env.get("STATE_DIRECTORY")) or default.state,
        runtime=runtime or _env_path("CAMGUARD_RUNTIME_DIR") or _first(env.get("RUNTIME_DIRECTORY")) or default.runtime,
    )


def _env_path(name: str) -> Path | None:
    return Path(os.environ[name]) if os.environ.get(name) else None


def _first(value: str | None) -> Path | None:
    """systemd separates several folders by ':'; the first is ours."""
    return Path(value.split(":")[0]) if value else None


def _default_paths() -> Paths:
    if Path("/etc/camguard").is_dir():
        return Paths(Path("/etc/camguard/camguard.toml"), Path("/var/lib/camguard"), Path("/run/camguard"))
    state = (_env_path("XDG_STATE_HOME") or Path.home() / ".local/state") / "camguard"
    runtime = _env_path("XDG_RUNTIME_DIR")
    return Paths(
        (_env_path("XDG_CONFIG_HOME") or Path.home() / ".config") / "camguard/camguard.toml",
        state,
        runtime / "camguard" if runtime else state / "run",
    )


def load(path: Path | None) -> Config:
    """The checked configuration. None or a missing file in the default place: defaults and no camera."""
    default = _default_paths().config
    path = path or _env_path("CAMGUARD_CONFIG") or default
    if path == default and not _exists(path):
        return Config(home=Home(timezone=machine_timezone()))
    return parse(_read(path), path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder on the way may not be entered: let the reading say so
        return True


def _read(path: Path) -> str:
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
    return _Check(path, tree).config()


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


def nearest(word: str, known: Iterable[str]) -> str:
    """' Did you mean "porch"?' where something known is near, else ''."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""


def machine_timezone() -> str:
    """The name of the machine's time zone; UTC where it has none that is known by name."""
    candidates = [os.environ.get("TZ", "").lstrip(":")]
    try:
        candidates.append(os.path.realpath("/etc/localtime").partition("zoneinfo/")[2])
        candidates.append(Path("/etc/timezone").read_text(encoding="ascii").strip())
    except (OSError, UnicodeDecodeError):
        pass
    return next((name for name in candidates if name and zone_known(name)), "UTC")


def zone_known(name: str) -> bool:
    """Whether it names a time zone of the machine's table."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def mac_text(text: str) -> str:
    """A MAC as camguard writes it, "02:00:00:00:00:01"; ValueError with a sentence for anything else."""
    digits = re.sub(r"[:.\-]", "", text.strip()).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits):
        raise ValueError(f'"{text}" is no MAC; one looks like 02:00:00:00:00:01.')
    if int(digits[:2], 16) & 1:
        raise ValueError(f'"{text}" is the address of a group, not of one device.')
    if digits == "0" * 12:
        raise ValueError(f'"{text}" is the MAC of no device.')
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))


def ip_text(text: str) -> str:
    """An address in its usual form; ValueError with a sentence for anything else."""
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        raise ValueError(f'"{text}" is no address; one looks like 192.168.1.40.') from None
    if address.is_multicast or address.is_unspecified:
        raise ValueError(f'"{text}" is not the address of one device.')
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id:
        raise ValueError(f'"{text}": write the address without "%{address.scope_id}".')
    return str(address)


def net_text(text: str) -> str:
    """A network in its usual form; ValueError with a sentence for anything else."""
    try:
        return str(ipaddress.ip_network(text.strip()))
    except ValueError:
        pass
    try:
        meant = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f'"{text}" is no network; one looks like 192.168.50.0/24.') from None
    raise ValueError(f'"{text}" is an address inside a network. Did you mean "{meant}"?')


class _Check:
    """One file being checked; every failure is a ConfigError that names file and place."""

    def __init__(self, path: Path, tree: dict[str, Any]) -> None:
        self.path = path
        self.tree = tree
        self.taken: dict[
            tuple[str, str], str
        ] = {}  # ("name" | "mac" | "ip", value) -> place where it was first written

    def config(self) -> Config:
        """The whole file."""
        for section in self.tree:
            self._section_known(section)
        home, network, store = (self._table(name, self.tree.get(name, {})) for name in ("home", "network", "store"))
        cameras = tuple(self._camera(place, table) for place, table in self._tables("camera"))
        devices = tuple(self._device(place, table) for place, table in self._tables("device"))
        names = {camera.name for camera in cameras}
        expects = tuple(self._expect(place, table, names, devices) for place, table in self._tables("expect"))
        gateway = network["gateway"]
        return Config(
            home=Home(
                timezone=self._timezone(home["timezone"]),
                cameras=cameras,
                devices=devices,
                expects=expects,
                local=tuple(self._made("network.local", net_text, text) for text in network["local"]),
                gateway=None if gateway is None else self._made("network.gateway", mac_text, gateway),
            ),
            interfaces=self._interfaces(network["interface"]),
            keep_days=store["keep_days"],
            max_mb=store["max_mb"],
            path=self.path,
        )

    def fail(self, place: str, words: str) -> NoReturn:
        """The one way out."""
        raise ConfigError(f"{self.path}: {place}: {words}")

    def _section_known(self, section: str) -> None:
        if section in options.SECTIONS:
            return
        if section in options.LATER:
            self.fail(
                section, f"{options.LATER[section]} come with a later version of camguard; take this section out."
            )
        homes = [options.header(name) for name in options.SECTIONS if section in options.of(name)]
        hint = f" It belongs under {homes[0]}." if homes else nearest(section, options.SECTIONS)
        self.fail(section, f"unknown section.{hint}" if not homes else f"unknown here.{hint}")

    def _tables(self, section: str) -> list[tuple[str, dict[str, Any]]]:
        """The tables of a [[list]], each with its place, counted from 1."""
        value = self.tree.get(section, [])
        if not isinstance(value, list):
            self.fail(section, f"write it with two brackets: [[{section}]].")
        places = [f"{section}[{number}]" for number in range(1, len(value) + 1)]
        return [(place, self._table(place, table)) for place, table in zip(places, value, strict=True)]

    def _table(self, place: str, value: Any) -> dict[str, Any]:
        """Every option of one table, typed, with defaults for what is not written."""
        known = options.of(place.partition("[")[0])
        if not isinstance(value, dict):
            self.fail(place, f"must be a table: {options.header(place.partition('[')[0])}.")
        for key in value:
            if key not in known:
                self.fail(f"{place}.{key}", f"unknown key.{self._key_hint(key, known)}")
        for option in known.values():
            if option.required and option.name not in value:
                self.fail(f"{place}.{option.name}", "must be written.")
        return {
            name: self._typed(f"{place}.{name}", option, value[name]) if name in value else option.default
            for name, option in known.items()
        }

    def _key_hint(self, key: str, known: Iterable[str]) -> str:
        hint = nearest(key, known)
        homes = [options.header(name) for name in options.SECTIONS if key in options.of(name)]
        if not hint and homes:
            return f" It belongs under {homes[0]}."
        return hint or f" Known here: {', '.join(known)}."

    def _typed(self, place: str, option: options.Option, value: Any) -> Any:
        try:
            made = msgspec.convert(value, option.type)
        except msgspec.ValidationError:
            self.fail(place, f"must be {option.type_words}, for example {option.example}.")
        if isinstance(made, int) and not isinstance(made, bool):
            least, most = option.least, option.most
            if (least is not None and made < least) or (most is not None and made > most):
                self.fail(place, f"must be from {least} to {most} {option.unit}.")
        for word in made if isinstance(made, list) else [made]:
            if option.choices and word not in option.choices:
                self.fail(place, f'"{word}" is not known; {option.type_words}.{nearest(str(word), option.choices)}')
        return made

    def _made(self, place: str, make: Callable[[str], str], text: str) -> str:
        try:
            return make(text)
        except ValueError as error:
            self.fail(place, str(error))

    def _timezone(self, name: str | None) -> str:
        if name is None:
            return machine_timezone()
        if not zone_known(name):
            hint = nearest(name, available_timezones()) or " One looks like Europe/Berlin."
            self.fail("home.timezone", f'"{name}" is no time zone.{hint}')
        return name

    def _interfaces(self, value: str | list[str] | None) -> tuple[str, ...]:
        names = [] if value is None else [value] if isinstance(value, str) else value
        for name in names:
            # the kernel's rule for names of interfaces: 1 to 15 bytes, no '/', no white space
            if not re.fullmatch(r"[^\s/]{1,15}", name) or not name.isprintable():
                self.fail(
                    "network.interface", f'"{name}" cannot be the name of an interface. `ip -br link` lists them.'
                )
        return tuple(dict.fromkeys(names))

    def _once(self, place: str, key: str, value: str) -> None:
        """A name, MAC or address stands for one camera or device only."""
        mark = (key, value.casefold())
        if mark in self.taken:
            self.fail(f"{place}.{key}", f'"{value}" is already used by {self.taken[mark]}.')
        self.taken[mark] = place

    def _who(self, place: str, table: dict[str, Any]) -> tuple[str, str | None, tuple[str, ...]]:
        """Name, MAC and addresses of a camera or device."""
        name = table["name"]
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable() or name in ("*", "lan"):
            self.fail(f"{place}.name", f'must be 1 to {MAX_NAME} printable characters, and not "*" or "lan".')
        mac = None if table["mac"] is None else self._made(f"{place}.mac", mac_text, table["mac"])
        written = table["ip"] or []
        written = [written] if isinstance(written, str) else written
        ips = tuple(self._made(f"{place}.ip", ip_text, text) for text in written)
        if mac is None and not ips:
            self.fail(place, f'"{name}" needs a mac (or an ip, where its MAC is not seen).')
        self._once(place, "name", name)
        if mac is not None:
            self._once(place, "mac", mac)
        for ip in ips:
            self._once(place, "ip", ip)
        return name, mac, ips

    def _when(self, place: str, text: str | None) -> str | None:
        if text is not None:
            try:
                schedule.parse(text)
            except ValueError as error:
                self.fail(place, f"{error}.")
        return text

    def _camera(self, place: str, table: dict[str, Any]) -> Camera:
        name, mac, ips = self._who(place, table)
        private = self._when(f"{place}.private", table["private"])
        return Camera(name, mac, ips, table["kind"], table["vendor"], table["never"], private)

    def _device(self, place: str, table: dict[str, Any]) -> Device:
        name, mac, ips = self._who(place, table)
        return Device(name, mac, ips, table["owner"])

    def _expect(self, place: str, table: dict[str, Any], cameras: set[str], devices: tuple[Device, ...]) -> Expect:
        camera, peer = table["camera"], table["peer"]
        if camera != "*" and camera not in cameras:
            self.fail(f"{place}.camera", f'no camera is called "{camera}".{nearest(camera, cameras)}')
        if "/" in peer:
            self._made(f"{place}.peer", net_text, peer)
        if not self._peer_known(peer, cameras | {device.name for device in devices}):
            known = cameras | {device.name for device in devices} | {"lan"}
            words = ' Write the name of a [[device]], an address, a network, a name like "*.example.com" or "lan".'
            self.fail(f"{place}.peer", f'no device is called "{peer}".{nearest(peer, known) or words}')
        when = self._when(f"{place}.when", table["when"])
        return Expect(camera, peer, tuple(table["kinds"] or ()), when)

    def _peer_known(self, peer: str, names: set[str]) -> bool:
        if peer == "lan" or peer in names:
            return True
        if "/" in peer:
            return True  # net_text has looked at it
        try:
            ipaddress.ip_address(peer)
        except ValueError:
            # a name pattern has a dot in it: "*" alone would allow the whole world
            return "." in peer.strip("*.") and bool(re.fullmatch(r"[\w*?.\-]+", peer)) and not _looks_like_ip(peer)
        return True


def _looks_like_ip(text: str) -> bool:
    return bool(re.fullmatch(r"[\d.]+", text))


# ---- changing the file -----------------------------------------------------------------------------------------------


def add_camera(path: Path, name: str, mac: str | None, ip: str | None = None) -> None:
    """Write one more [[camera]] at the end of the file; nothing else in it moves. ConfigError where it may not be."""
    text = _read(path) if _exists(path) else ""
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
    text = _read(path)
    home = parse(text, path).home
    names = [camera.name for camera in home.cameras]
    if name not in names:
        raise ConfigError(f'{path}: no camera is called "{name}".{nearest(name, names)}')
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


def unknown_camera(name: str, known: Iterable[str]) -> ConfigError:
    """The error for a camera that is not there, with the nearest name."""
    return ConfigError(f'no camera "{name}".{nearest(name, known)}')
