"""Who of the owner's devices is at home. In: what the owner's home automation says (wishes), and which devices were
seen; out: what that says of a viewing from outside. Kept in memory for a day at most, and shown only as used for a
verdict.
"""

from collections.abc import Collection

from camguard.events import Home

DAY_S = 86_400.0
DEVICES_MAX = 64


class Presence:
    """What was said of each device of the owner's, and when, on the guard's clock."""

    def __init__(self) -> None:
        self._said: dict[str, tuple[bool, float]] = {}
        self._owners: frozenset[str] = frozenset()

    def reload(self, home: Home) -> None:
        """A changed configuration."""
        self._owners = frozenset(device.name for device in home.devices if device.owner)

    def told(self, device: str, home: bool, now: float) -> None:
        """Somebody says that this device is at home, or away."""
        if device in self._owners or len(self._said) < DEVICES_MAX:
            self._said[device] = (home, now)

    def tick(self, now: float) -> None:
        """Forgets what is a day old."""
        self._said = {device: said for device, said in self._said.items() if now - said[1] < DAY_S}

    def reason(self, seen: Collection[str]) -> str | None:
        """What presence says of a viewing from outside that no device at home receives; None where nobody knows.
        `seen`: devices whose own traffic passes here, which counts more than what was said (of a sleeping phone it is
        often said that it is away)."""
        here = {device for device, (home, _) in self._said.items() if home} | set(seen)
        away = sorted(device for device, (home, _) in self._said.items() if not home and device not in here)
        if away:
            return (
                f"{' and '.join(away[:2])} {'is' if len(away) == 1 else 'are'} said to be away, and may be the viewer"
            )
        if self._owners and self._owners <= here:
            return "your phones are at home, and none of them receives it"
        return None
