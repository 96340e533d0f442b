"""`camguard cameras list | add | remove`: which devices were seen, which are guarded; taking one and leaving one.

In: the paths, what was asked. Out: text on stdout, the exit code. `add` and `remove` change camguard.toml and reload a
running guard; what was done is said.
"""
# ruff: noqa: T201 - these are commands; they print what they are asked for

import ipaddress
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from camguard import config, report
from camguard.config import Paths
from camguard.errors import ConfigError, StoreError
from camguard.events import Camera, SeenDevice
from camguard.places import Places
from camguard.review import phones
from camguard.review.table import Cell, Row, show
from camguard.review.terminal import View
from camguard.store import day_of, is_day


class Entry(NamedTuple):
    """One line of the list. `number` stays the same while the device is recorded; None for a camera never seen."""

    number: int | None
    seen: SeenDevice | None
    camera: Camera | None
    device: str | None


def entries(view: View) -> list[Entry]:
    """Every device seen, in the order in which they were first seen, then the cameras that were never seen."""
    try:
        seen = sorted(view.reader.devices(), key=lambda one: (one.first_time, one.mac))
    except StoreError:
        seen = []
    home = view.config.home
    rows = []
    met: set[str] = set()
    for number, one in enumerate(seen, start=1):
        camera = next((c for c in home.cameras if _same(c.mac, c.ips, one)), None)
        device = next((d.name for d in home.devices if _same(d.mac, d.ips, one)), None)
        rows.append(Entry(number, one, camera, device))
        met |= {camera.name} if camera else set()
    return rows + [Entry(None, None, camera, None) for camera in home.cameras if camera.name not in met]


def _same(mac: str | None, ips: tuple[str, ...], seen: SeenDevice) -> bool:
    return mac == seen.mac if mac is not None else bool(set(ips) & set(seen.ips))


def listing(paths: Paths, *, as_json: bool = False) -> int:
    """Print the list; 1 while the guard is not looking."""
    view = View(paths)
    places = Places()
    if not view.looking and not as_json:
        print(view.not_looking_words())
    found = entries(view)
    if as_json:
        for entry in found:
            print(report.to_json(_entry_dict(entry, places, view)))
        return 0 if view.looking else 1
    if found:
        # the interesting ones first, what was not seen for long last; the number is what `add` takes and stays
        found.sort(key=_order)
        columns = ("NO", "NAME", "GUARDED", "MAC", "ADDRESS", "MAKER", "CALLS ITSELF", "LAST SEEN")
        show(columns, [_entry_row(entry, places, view) for entry in found], right=(0,), wraps=(1, 2, 5, 6))
        guarded = sum(1 for entry in found if entry.camera)
        print(f"{guarded} guarded, {len(found) - guarded} others. Guard one: sudo camguard cameras add NO NAME")
        for remark in phones.remarks(view.config.home, [one.seen for one in found if one.seen], view.now):
            print(remark)
    else:
        print("No device was seen yet. Ask the network: sudo camguard cameras discover")
    return 0 if view.looking else 1


def _order(entry: Entry) -> tuple[bool, bool, float]:
    """Guarded ones, as they were first seen; what speaks like a camera and is unknown; then the latest first."""
    last = entry.seen.last_time if entry.seen and not entry.camera else 0.0
    stranger = entry.camera is None and entry.device is None and entry.seen is not None and entry.seen.speaks_camera
    return entry.camera is None, entry.camera is None and not stranger, -last


def _address(seen: SeenDevice | None, camera: Camera | None) -> str:
    """The address a person knows: IPv4 before IPv6, the latest first."""
    ips = seen.ips if seen else camera.ips if camera else ()
    return next((ip for ip in ips if ":" not in ip), next(iter(ips), "-"))


def _entry_row(entry: Entry, places: Places, view: View) -> Row:
    mac = entry.seen.mac if entry.seen else (entry.camera.mac if entry.camera else None)
    if entry.camera:
        guarded = Cell("yes (file)" if entry.seen else "yes (file), never seen", "" if entry.seen else "warning")
    elif entry.seen and entry.seen.speaks_camera and not entry.device:
        guarded = Cell("no, speaks like a camera", "warning")
    else:
        guarded = Cell("no", "muted")
    name = entry.camera.name if entry.camera else entry.device
    last = _last(entry, view) if entry.seen else "never"
    return (
        str(entry.number or "-"),
        report.clean(name or "-", report.MAX_CAMERA),
        guarded,
        mac or "-",
        _address(entry.seen, entry.camera),
        report.clean((places.maker(mac) if mac else None) or "-", 24),
        report.clean((entry.seen.name if entry.seen else None) or "-", 24),
        last,
    )


def _last(entry: Entry, view: View) -> str:
    """When a device was last seen; of the owner's phones, and of what was not seen for a day, the day alone: who was at
    home at which hour is nothing to show."""
    last = entry.seen.last_time if entry.seen else 0.0
    if not _is_owners(entry, view) and not is_day(last):
        return report.when(last, view.now, view.zone)
    zone = "UTC" if is_day(last) else view.zone
    day = report.day(last, zone).rpartition(" ")[0]
    return "today" if day == report.day(view.now, view.zone).rpartition(" ")[0] else day


def _is_owners(entry: Entry, view: View) -> bool:
    return entry.device in [device.name for device in view.config.home.devices if device.owner]


def _entry_dict(entry: Entry, places: Places, view: View) -> dict[str, object]:
    mac = entry.seen.mac if entry.seen else (entry.camera.mac if entry.camera else None)
    ips = entry.seen.ips if entry.seen else entry.camera.ips if entry.camera else ()
    maker, said = places.maker(mac) if mac else None, entry.seen.name if entry.seen else None
    last = entry.seen.last_time if entry.seen else None
    if last is not None and _is_owners(entry, view):
        last = day_of(last)
    return {
        "number": entry.number,
        "name": entry.camera.name if entry.camera else entry.device,
        "guarded": entry.camera is not None,
        "origin": "file" if entry.camera or entry.device else None,
        "mac": mac,
        "ips": list(ips),
        "maker": report.clean(maker, 80) if maker else None,
        "calls_itself": report.clean(said, 80) if said else None,
        "speaks_camera": bool(entry.seen and entry.seen.speaks_camera),
        "first_seen": report.rfc3339(entry.seen.first_time) if entry.seen else None,
        "last_seen": report.rfc3339(last),
    }


# ---- add and remove --------------------------------------------------------------------------------------------------


def add(paths: Paths, what: str, name: str | None) -> int:
    """Guard one more camera: `what` is a number of the list, a MAC or an address. ConfigError for anything else."""
    view = View(paths)
    config.load(paths.config)  # a file that is wrong is told before anything is changed
    known = entries(view)
    mac, ip, seen = _find(what, known)
    taken = {camera.name.casefold() for camera in view.config.home.cameras}
    chosen = name if name is not None else _free_name(_guess_name(seen, mac), taken)
    config.add_camera(paths.config, chosen, mac, ip)
    print(f"{chosen} ({mac or ip}) is now in {paths.config}.")
    if name is None:
        print(f"camguard chose the name; change it in {paths.config} if you like.")
    if mac is None:
        print("Its MAC was not seen, so it is known by this address only: give it a fixed address in the router.")
    elif seen is None:
        print("It was not seen yet. If it stays so, look with: camguard check", file=sys.stderr)
    print(reload_words(paths, view))
    return 0


def remove(paths: Paths, name: str) -> int:
    """Guard one camera less. ConfigError, with the nearest name, where it is not there."""
    view = View(paths)
    rules = config.remove_camera(paths.config, name)
    also = f", with {rules} rule{'' if rules == 1 else 's'} for it" if rules else ""
    print(f"{report.clean(name, 64)} is no longer in {paths.config}{also}. What was recorded stays.")
    print(reload_words(paths, view))
    return 0


def _find(what: str, known: list[Entry]) -> tuple[str | None, str | None, SeenDevice | None]:
    """MAC, address (only where there is no MAC) and device that `what` means."""
    if what.isdecimal():
        entry = next((one for one in known if one.number == int(what)), None)
        if entry is None or entry.seen is None:
            raise ConfigError(f"no device has number {what}. The numbers: camguard cameras list")
        return entry.seen.mac, None, entry.seen
    seen = [one.seen for one in known if one.seen]
    try:
        ip = str(ipaddress.ip_address(what))
    except ValueError:
        ip = ""
    if ip:
        # the device that had the address last
        device = max((one for one in seen if ip in one.ips), key=lambda one: one.last_time, default=None)
        return (device.mac, None, device) if device else (None, _checked_ip(ip), None)
    try:
        mac = config.mac_text(what)
    except ValueError as error:
        raise ConfigError(f"{error} Give a number of `camguard cameras list`, a MAC or an address.") from None
    return mac, None, next((one for one in seen if one.mac == mac), None)


def _checked_ip(ip: str) -> str:
    try:
        return config.ip_text(ip)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _guess_name(seen: SeenDevice | None, mac: str | None) -> str:
    """What the device calls itself, or its maker, or "camera"."""
    said = report.clean(seen.name, 20) if seen and seen.name else ""
    if said and said not in ("*", "lan"):
        return said
    maker = Places().maker(mac) if mac else None
    return report.clean(maker.split()[0].strip(",."), 20).casefold() if maker else "camera"


def _free_name(name: str, taken: set[str]) -> str:
    number, chosen = 1, name
    while chosen.casefold() in taken:
        number += 1
        chosen = f"{name} {number}"
    return chosen


def reload_words(paths: Paths, view: View) -> str:
    """Make a running guard read the file again; what was done, in one sentence."""
    if not view.looking or view.figures is None:
        return "The guard is not running; it reads this when it starts."
    pid = view.figures.get("pid")
    try:
        # the figures are written by the guard's user: a signal goes to a process of the same user only
        if isinstance(pid, int) and pid > 1 and Path(f"/proc/{pid}").stat().st_uid == paths.now.stat().st_uid:
            os.kill(pid, signal.SIGHUP)
            return "The running guard was told to read it again."
    except PermissionError:
        pass
    except OSError:
        return "The guard is not running; it reads this when it starts."
    if os.geteuid() == 0 and Path("/run/systemd/system").is_dir():
        asked = subprocess.run(["systemctl", "reload", "camguard"], check=False, capture_output=True, timeout=30)  # noqa: S607
        if asked.returncode == 0:
            return "The running guard was told to read it again."
    return "The running guard must be told: sudo systemctl reload camguard"
