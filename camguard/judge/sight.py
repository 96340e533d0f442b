"""Does the guard see each camera at all? In: FlowCounts; out: Sight, and guard-blind alerts. Pure.

A guard that is merely plugged in hears broadcasts and its own talk with a camera, and would look calm for ever. So what
counts is other people's unicast traffic, each direction by itself.
"""

from dataclasses import dataclass, replace
from typing import Literal

from camguard.events import Alert, FlowCount, Sight, id_of, unpack_key
from camguard.judge.unseen import guard_blind
from camguard.neighbours import is_group

How = Literal["both", "up-only", "down-only", "broadcast-only", "nothing"]

_REASONS: dict[str, str] = {
    "nothing": "not one packet of it passes here",
    "broadcast-only": "only what it says to everybody passes here",
    "up-only": "what it sends passes here, what it receives does not",
    "down-only": "what it receives passes here, what it sends does not",
}


@dataclass(slots=True)
class _Seen:
    began_at: float
    up_at: float | None = None
    down_at: float | None = None
    group_at: float | None = None
    packets_up: int = 0
    packets_down: int = 0
    both_at: float | None = None


class Sights:
    """`window_s`: how long a packet stands for a direction being seen; `blind_s`: without both directions that long the
    owner is told; `long_blind_s`: from then on it is a warning."""

    def __init__(self, *, window_s: float = 180.0, blind_s: float = 300.0, long_blind_s: float = 600.0) -> None:
        self._window_s, self._blind_s, self._long_blind_s = window_s, blind_s, long_blind_s
        self._seen: dict[str, _Seen] = {}
        self._alerts: dict[str, Alert] = {}

    def watch(self, cameras: tuple[str, ...], now: float) -> None:
        """Which cameras there are; new ones are given their time from `now`."""
        self._seen = {name: self._seen.get(name) or _Seen(now) for name in cameras}

    def resume(self, alert: Alert) -> None:
        """Goes on with a guard-blind alert that was open when the guard stopped."""
        if alert.camera:
            self._alerts[alert.camera] = alert

    def counted(self, camera: str, count: FlowCount, own: bool) -> None:
        """`own`: the guard's own machine is the other end."""
        seen = self._seen.get(camera)
        if seen is None or own:
            return
        peer = unpack_key(count.key).peer
        at = count.last_at
        if is_group(count.peer_mac, peer) or not any(peer):
            seen.group_at = at if count.packets_up else seen.group_at
            return
        seen.packets_up += count.packets_up
        seen.packets_down += count.packets_down
        seen.up_at = at if count.packets_up else seen.up_at
        seen.down_at = at if count.packets_down else seen.down_at

    def sights(self, now: float, offset_s: float) -> list[Sight]:
        """How each camera is seen now."""
        out = []
        for name, seen in self._seen.items():
            times = [at for at in (seen.up_at, seen.down_at, seen.group_at) if at is not None]
            last = max(times) + offset_s if times else None
            out.append(Sight(name, self._how(seen, now), seen.packets_up, seen.packets_down, last))
        return out

    def tick(self, now: float) -> list[Alert]:
        """guard-blind alerts that open, get worse or close; times in them on the guard's clock."""
        out: list[Alert] = []
        for name, seen in self._seen.items():
            how = self._how(seen, now)
            if how == "both":
                seen.both_at = now
            alert = self._alerts.get(name)
            since = seen.both_at if seen.both_at is not None else seen.began_at
            if how == "both":
                if alert:
                    del self._alerts[name]
                    out.append(replace(alert, time=now, state="closed", ended=now))
                continue
            blind_s = now - (alert.started if alert else since)
            if alert is None and blind_s >= self._blind_s:
                key = id_of(name, "guard-blind", f"{since:.3f}")
                alert = guard_blind(key, how, _REASONS[how], now=now, started=since, camera=name)
                self._alerts[name] = alert
                out.append(alert)
            elif alert and (
                (alert.severity == "info" and blind_s >= self._long_blind_s) or alert.detail.get("how") != how
            ):
                long = blind_s >= self._long_blind_s
                opens = long and alert.severity == "info"
                alert = replace(
                    alert,
                    time=now,
                    state="open" if opens else "update",
                    severity="warning" if long else "info",
                    reason=_REASONS[how],
                    detail={**alert.detail, "how": how},
                )
                self._alerts[name] = alert
                out.append(alert)
        return out

    def open_alerts(self) -> list[Alert]:
        """Cameras the guard is blind to now."""
        return list(self._alerts.values())

    def _how(self, seen: _Seen, now: float) -> How:
        up = seen.up_at is not None and now - seen.up_at <= self._window_s
        down = seen.down_at is not None and now - seen.down_at <= self._window_s
        if up and down:
            return "both"
        if up or down:
            return "up-only" if up else "down-only"
        group = seen.group_at is not None and now - seen.group_at <= self._window_s
        return "broadcast-only" if group else "nothing"
