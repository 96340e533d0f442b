"""What became of the messages: for `camguard status` and `check`. Reads deliver.db, writes nothing.

In: the paths and the configured channels. Out: one Delivery for each channel, with how it is in words. The times of
marked tests (`camguard notify --test`) stand beside deliver.db in a small file of their own, tests.json.
"""

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camguard import report
from camguard.config import Channel, Paths
from camguard.errors import StoreError
from camguard.store.delivery import ChannelState, DeliveryReader, Ping

WATCH_SERVICE = "watch service ([alive])"
LATE_S = 60.0  # what waits longer is said


@dataclass(frozen=True, slots=True)
class Delivery:
    """One channel. `state` None: deliver has not met it yet. `trouble`: why it does not work now; "" it works."""

    name: str
    kind: str
    state: ChannelState | None
    tested: float | None = None

    @property
    def works(self) -> bool:
        """Whether it took a message or a test, and has no trouble since."""
        return not self.trouble and bool(self.tested or (self.state and self.state.last_sent))

    @property
    def trouble(self) -> str:
        """Why nothing goes through at present."""
        return report.clean(self.state.error or "", 200).rstrip(".") if self.state else ""

    def words(self, now: float, zone: str) -> str:
        """ "took a message 22:14; 3 wait since 22:40"."""
        state, parts = self.state or ChannelState(self.name, self.kind), []
        if self.trouble:
            since = f" since {report.when(state.error_since, now, zone)}" if state.error_since else ""
            parts.append(f"not reached{since}: {self.trouble}")
        elif state.last_sent and state.last_sent >= (self.tested or 0.0):
            parts.append(f"took a message {report.when(state.last_sent, now, zone)}")
        elif self.tested:
            parts.append(f"took a test {report.when(self.tested, now, zone)}")
        else:
            parts.append("not tried yet")
        if state.waiting and (self.trouble or (state.oldest and now - state.oldest > LATE_S)):
            oldest = f" since {report.when(state.oldest, now, zone)}" if state.oldest else ""
            parts.append(f"{_count(state.waiting, 'message')} waiting{oldest}")
        if state.held:
            parts.append(f"{_count(state.held, 'message')} held until the quiet hours or a silence end")
        if state.failed:
            why = f" ({report.clean(state.reasons[0][1], 120).rstrip('.')})" if state.reasons else ""
            parts.append(f"{_count(state.failed, 'message')} given up{why}")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        state = self.state or ChannelState(self.name, self.kind)
        return {
            "name": self.name,
            "kind": self.kind,
            "last_sent": report.rfc3339(state.last_sent),
            "tested": report.rfc3339(self.tested),
            "error": state.error,
            "error_since": report.rfc3339(state.error_since),
            "waiting": state.waiting,
            "held": state.held,
            "failed": state.failed,
            "reasons": [{"time": report.rfc3339(at), "reason": report.clean(why)} for at, why in state.reasons],
        }


def deliveries(paths: Paths, channels: Sequence[Channel]) -> list[Delivery]:
    """Every configured channel, in the order of the file. StoreError where deliver.db may not be read."""
    states: dict[str, ChannelState] = {}
    if _there(paths.delivery):
        states = {state.name: state for state in DeliveryReader(paths.delivery).channels()}
    tested = _tests(paths)
    return [
        Delivery(channel.name, channel.kind, states.get(channel.name), tested.get(channel.name)) for channel in channels
    ]


def ping(paths: Paths) -> Ping:
    """What became of the last sign of life to the watch service. StoreError where deliver.db may not be read."""
    return DeliveryReader(paths.delivery).ping() if _there(paths.delivery) else Ping()


def ping_trouble(found: Ping, now: float, zone: str) -> str:
    """ "not reached since 22:14: no answer in time"; "" where it was reached at the last try, or none was made."""
    if found.error is None:
        return ""
    since = f" since {report.when(found.since, now, zone)}" if found.since else ""
    return f"not reached{since}: {report.clean(found.error, 200).rstrip('.')}"


def note_test(paths: Paths, name: str, now: float) -> None:
    """Remember that a channel took a marked test; not where its folder is not there or is another's."""
    file = paths.delivery.with_name("tests.json")
    new = file.with_suffix(".new")
    with contextlib.suppress(OSError):
        text = json.dumps(_tests(paths) | {name: now})
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w") as out:
            out.write(text)
        new.replace(file)


def _tests(paths: Paths) -> dict[str, float]:
    try:
        found = json.loads(paths.delivery.with_name("tests.json").read_bytes())
        return {str(name): float(at) for name, at in found.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def runs(paths: Paths) -> bool:
    """Whether a deliver works on this outbox: it holds a flock on deliver.lock, shown by /proc/locks (proc(5))."""
    try:
        inode = os.stat(paths.delivery.with_name("deliver.lock")).st_ino
    except OSError:
        return False
    with contextlib.suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            parts = line.split()
            if len(parts) > 5 and parts[1] == "FLOCK" and parts[5].rpartition(":")[2] == str(inode):
                return True
    return False


def start_words(paths: Paths) -> str:
    """How deliver is started on this machine."""
    unit = any(
        Path(folder, "camguard-deliver.service").exists()
        for folder in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
    )
    return "sudo systemctl start camguard-deliver" if unit and Path("/run/systemd/system").is_dir() else "camguard run"


def remarks(paths: Paths, channels: Sequence[Channel], now: float, zone: str, *, pings: bool = False) -> list[str]:
    """What of it needs the owner, one line each; none where everything goes through. `pings`: [alive] is configured."""
    if not channels and not pings:
        return []
    try:
        found, pinged = deliveries(paths, channels), ping(paths) if pings else Ping()
    except StoreError as error:
        return [f"! {report.clean(str(error), 200)}"]
    lines = (
        [] if runs(paths) else [f"! Messages are not sent: camguard deliver does not run. Fix: {start_words(paths)}"]
    )
    for one in found:
        if one.state and (one.trouble or one.state.failed or _is_late(one.state, now)):
            lines.append(f"! {report.clean(one.name, 32)}: {one.words(now, zone)}")
    if trouble := ping_trouble(pinged, now, zone):
        lines.append(f"! {WATCH_SERVICE}: {trouble}")
    return lines


def _is_late(state: ChannelState, now: float) -> bool:
    return bool(state.waiting and state.oldest and now - state.oldest > LATE_S)


def _there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return True  # it may be there: a folder on the way may not be entered, and the reader says so


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
