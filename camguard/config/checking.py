"""One file being checked: TOML tables -> Config. Every failure is a ConfigError with file, place and cure."""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import available_timezones

import msgspec

from camguard import options
from camguard.config.channels import Channel, channels_of, literal_words, secret_of
from camguard.config.forms import ip_text, mac_text, machine_timezone, nearest, net_text, zone_known
from camguard.config.secret import Secret
from camguard.errors import ConfigError
from camguard.events import Camera, Device, Expect, Home
from camguard.judge import schedule

MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Config:
    """All that the owner decided. `interfaces` empty: the one with the default route. `path` None: no file was read.

    `quiet_hours`: as schedule.py reads it. `ping`: where the address of the dead man's ping is kept.
    """

    home: Home = field(default_factory=Home)
    interfaces: tuple[str, ...] = ()
    keep_days: int = 365
    max_mb: int = 256
    path: Path | None = None
    channels: tuple[Channel, ...] = ()
    quiet_hours: str | None = None
    ping: Secret | None = None


class Check:
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
        single = [section for section in options.SECTIONS if section not in options.MANY]
        home, network, quiet, alive, store = (self._table(name, self.tree.get(name, {})) for name in single)
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
                learn_days=home["learn_days"],
            ),
            interfaces=self._interfaces(network["interface"]),
            keep_days=store["keep_days"],
            max_mb=store["max_mb"],
            path=self.path,
            channels=self._channels(names),
            quiet_hours=self._when("quiet.hours", quiet["hours"]),
            ping=secret_of("alive", "ping_url", alive, self.fail) or None,
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
                secret = literal_words(key) if place.startswith(("notify", "alive")) else None
                self.fail(f"{place}.{key}", secret or f"unknown key.{self._key_hint(key, known)}")
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

    def _channels(self, cameras: set[str]) -> tuple[Channel, ...]:
        tables = self._tables("notify")
        for place, table in tables:
            self._when(f"{place}.when", table["when"])
        written = self.tree.get("notify", [])
        return channels_of(
            [(place, table, written[number]) for number, (place, table) in enumerate(tables)], cameras, self.fail
        )

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
