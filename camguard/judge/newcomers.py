"""Devices that speak like a camera and are not in the configuration. In: devices as seen on the link; out: one Notice
each, for the log. Pure; a flood of invented ones is counted, not told.
"""

from collections.abc import Iterable

from camguard.events import Camera, Device, Home, Notice, SeenDevice

#: Devices that are told of in a day, and those that are remembered.
A_DAY, TOLD_MAX = 20, 4096
DAY_S = 86_400.0


class Newcomers:
    """`known`: MACs of earlier runs that spoke like a camera then: they were told of."""

    def __init__(self, home: Home, known: Iterable[str] = ()) -> None:
        self._told = dict.fromkeys(known)
        self._day, self._today = float("-inf"), 0
        self.counters = {"new-devices-not-told": 0}
        self.reload(home)

    def reload(self, home: Home) -> None:
        """A changed configuration."""
        named: tuple[Camera | Device, ...] = (*home.cameras, *home.devices)
        self._macs = {one.mac for one in named if one.mac}
        self._ips = {ip for one in named if not one.mac for ip in one.ips}

    def seen(self, devices: Iterable[SeenDevice], time: float) -> list[Notice]:
        """What is new among `devices`; `time`: wall clock."""
        if not self._day <= time < self._day + DAY_S:
            self._day, self._today = time, 0
        out = []
        for device in devices:
            if not device.speaks_camera or device.mac in self._told or device.mac in self._macs:
                continue
            if not self._ips.isdisjoint(device.ips):
                continue
            if self._today >= A_DAY or len(self._told) >= TOLD_MAX:
                self.counters["new-devices-not-told"] += 1
                continue
            self._told[device.mac] = None
            self._today += 1
            out.append(Notice(time, None, "new-device", _words(device)))
        return out


def _words(device: SeenDevice) -> str:
    ip = next((ip for ip in device.ips if ":" not in ip), next(iter(device.ips), ""))
    called = f"'{device.name[:40]}'" if device.name else ""
    which = ", ".join(part for part in (called, ip, device.mac) if part)
    return f"a device speaks like a camera and is not guarded: {which}. See: camguard cameras list"
