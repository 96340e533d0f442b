"""The live figures: what status, check and the companions read each second. In: the guard's state; out: one dict."""

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from camguard import report
from camguard.capture import Source
from camguard.events import Alert, Home
from camguard.guard import Guard
from camguard.health import Figures


def figures(
    home: Home,
    guard: Guard,
    source: Source,
    health: Figures,
    *,
    since: float,
    began: Mapping[str, float],
    problems: list[str],
    counters: dict[str, int],
    told: set[str],
    blind: Sequence[Alert] = (),
) -> dict[str, Any]:
    """All fields of now.json but the boot's. `told`: ids of alerts that were committed; others are not shown yet.

    `began`: since when each camera is looked at (wall clock). `blind`: alerts about the guard as a whole.
    """
    zone = home.timezone
    return {
        "version": 1,
        "pid": os.getpid(),
        "time": report.rfc3339(time.time()),
        "since": report.rfc3339(since),
        "source": source.what,
        "cost": source.cost,
        "interfaces": [
            {"name": one.name, "state": one.state, "packets": one.packets, "drops": one.drops}
            for one in source.interfaces()
        ],
        "cameras": _cameras(home, guard, began),
        "sessions": [report.as_dict(session, zone) for session in guard.open_sessions()],
        "alerts": [report.as_dict(alert, zone) for alert in (*guard.open_alerts(), *blind) if alert.id in told],
        "problems": problems,
        "counters": counters,
        "health": {name: getattr(health, name) for name in health.__slots__},
    }


def _cameras(home: Home, guard: Guard, began: Mapping[str, float]) -> list[dict[str, Any]]:
    sights = {sight.camera: sight for sight in guard.sights()}
    rates, addresses = guard.rates(), guard.addresses()
    made = []
    for camera in home.cameras:
        sight = sights.get(camera.name)
        up, down = rates.get(camera.name, (0, 0))
        made.append(
            {
                "name": camera.name,
                "mac": camera.mac,
                "ips": list(addresses.get(camera.name) or camera.ips),
                "since": report.rfc3339(began.get(camera.name)),
                "sight": sight.how if sight else "nothing",
                "packets_up": sight.packets_up if sight else 0,
                "packets_down": sight.packets_down if sight else 0,
                "last_time": report.rfc3339(sight.last_time) if sight else None,
                "up_kbps": up,
                "down_kbps": down,
            }
        )
    return made
