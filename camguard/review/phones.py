"""The owner's phones that may change their MAC, and one that seems to have done so. In: the home, the devices seen;
out: words. Pure.

A phone makes up a MAC for each network ("private address", "randomised MAC"), with the second bit of the first byte set
(IEEE 802, locally administered), and may take another one later; then camguard does not know it any more. A phone that
was not here for a week, and a new one with a made-up MAC that calls itself the same, are probably one phone. Probably:
anybody in the Wi-Fi can call himself so, and so the owner is told to compare, and nothing is taken over.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from camguard import report
from camguard.events import Device, Home, SeenDevice

GONE_S = 7 * 86_400.0
HERE_S = 2 * 86_400.0
#: What many phones call themselves: no sign of anything.
COMMON = {"iphone", "ipad", "android", "phone", "galaxy", "pixel", "localhost", "unknown", "*", "lan", ""}
TURN_OFF = (
    "in the phone's settings of this Wi-Fi turn off \"private address\" (Android: use the device's MAC), then enter the"
    " MAC that it shows"
)


class Moved(NamedTuple):
    """A phone of the owner's, and the device that it seems to be now."""

    device: Device
    now: SeenDevice


def is_made_up(mac: str | None) -> bool:
    """Whether a MAC ("02:00:00:00:00:21") is one that a device gave itself."""
    return mac is not None and bool(int(mac[:2], 16) & 2)


def may_change(home: Home) -> list[Device]:
    """The owner's devices that may change their MAC."""
    return [device for device in home.devices if device.owner and is_made_up(device.mac)]


def moved(home: Home, seen: Sequence[SeenDevice], now: float) -> list[Moved]:
    """The owner's devices that seem to have another MAC now; `now`: wall clock."""
    known = {one.mac for one in home.devices} | {one.mac for one in home.cameras}
    by_mac = {one.mac: one for one in seen}
    found = []
    for device in home.devices:
        before = by_mac.get(device.mac or "")
        if not device.owner or before is None or now - before.last_time < GONE_S:
            continue
        same = [
            one
            for one in seen
            if one.mac not in known
            and is_made_up(one.mac)
            and _name(one) not in COMMON
            and _name(one) == _name(before)
            and now - one.last_time < HERE_S
            and one.first_time > before.first_time
        ]
        if same:
            found.append(Moved(device, max(same, key=lambda one: one.first_time)))
    return found


def moved_words(one: Moved) -> str:
    """One sentence."""
    name, said = report.clean(one.device.name, report.MAX_CAMERA), report.clean(one.now.name or "", 24)
    return f'{name} was not seen for a week; a new device with MAC {one.now.mac} calls itself the same ("{said}")'


def moved_fix(one: Moved) -> str:
    """What to do."""
    return f"if your phone itself shows {one.now.mac} in its Wi-Fi settings, enter that as its mac"


def remarks(home: Home, seen: Sequence[SeenDevice], now: float) -> list[str]:
    """One line each for `status` and `cameras list`."""
    changed = moved(home, seen, now)
    lines = [f"! {moved_words(one)}: {moved_fix(one)}" for one in changed]
    may = [device for device in may_change(home) if device not in [one.device for one in changed]]
    if may:
        names = _list(report.clean(device.name, report.MAX_CAMERA) for device in may)
        lines.append(f"{names} may change {'its' if len(may) == 1 else 'their'} MAC by {_self(may)}: camguard check")
    return lines


def _self(devices: Sequence[Device]) -> str:
    return "itself" if len(devices) == 1 else "themselves"


def _list(names: Iterable[str]) -> str:
    every = list(names)
    return " and ".join([", ".join(every[:-1]), every[-1]] if len(every) > 1 else every)


def _name(device: SeenDevice) -> str:
    return (device.name or "").casefold().removesuffix(".local").removesuffix(".lan").strip()
