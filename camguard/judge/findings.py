"""What findings mean for the owner: open doors, scans, a camera that attacks, new destinations. Pure.

In: Findings of detect/. Out: Alerts that open, change and close, and Notices for what is only kept in the log.

One alert a matter: a camera, a type, a key that the detector chose. It is told when it opens, silently again at the
2nd, 4th, 8th, ... finding, with a sound where it became graver. It closes when the detector says that it is over, or
after `quiet_s` of its type without a finding. What comes back within `again_s` is the same matter. What the owner has
settled stays settled as long as it goes on and becomes no graver. Times are on the guard's clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from camguard.events import Alert, Finding, Notice, id_of

MATTERS_MAX = 1024
#: Seconds without a finding that close a matter, by type. An open door stays open until somebody says otherwise.
QUIET_S = {
    "exposed-port": float("inf"),
    "port-scan": 600.0,
    "camera-attacks": 900.0,
    "new-destination": 3600.0,
}
TYPES = tuple(QUIET_S)
SEVERITIES = {"info": 0, "warning": 1, "critical": 2}
Key = tuple[str, str, str]


@dataclass(slots=True)
class _Matter:
    """`alert.state` "closed": it is remembered only; with `settled` it absorbs what goes on."""

    alert: Alert
    last_at: float
    settled: bool = False

    @property
    def is_open(self) -> bool:
        return self.alert.state != "closed"


class Findings:
    """`quiet_s`: by type; a type that is not in it closes as "port-scan" does."""

    def __init__(self, *, quiet_s: Mapping[str, float] = QUIET_S, again_s: float = 600.0) -> None:
        self._quiet_s, self._again_s = quiet_s, again_s
        self._matters: dict[Key, _Matter] = {}
        self.counters = {"findings-evicted": 0}

    def resume(self, alert: Alert) -> None:
        """Goes on with an alert that was open, or lately closed, when the guard stopped."""
        key, settled = alert.detail.get("key"), bool(alert.detail.get("settled"))
        if alert.camera and isinstance(key, str):
            place = (alert.camera, alert.type, key)
            if alert.state == "closed" and place in self._matters:  # what is open goes on, whatever was before it
                return
            last_at = alert.time if alert.ended is None else alert.ended
            self._matters[place] = _Matter(alert, last_at, settled)

    def judged(self, finding: Finding, now: float) -> list[Alert]:
        """What a finding means; nothing where it is only for the log (`notice_of`)."""
        if not finding.told:
            return []
        key = (finding.camera, finding.type, finding.key)
        matter = self._matters.get(key)
        if finding.over:
            return [self._closed(matter, finding, now)] if matter and matter.is_open else self._forgotten(key)
        if matter is None:
            evicted = self._room(now)
            matter = self._matters[key] = _Matter(_alert(finding, now), now)
            return [*evicted, matter.alert]
        return self._again(matter, finding, now)

    def tick(self, now: float) -> list[Alert]:
        """Closes what fell quiet, forgets what was closed long ago."""
        out: list[Alert] = []
        for key, matter in list(self._matters.items()):
            quiet_s = self._quiet_s.get(matter.alert.type, QUIET_S["port-scan"])
            if matter.is_open and now - matter.last_at > quiet_s:
                out.append(self._closed(matter, None, now))
            elif not matter.is_open and now - matter.last_at > (
                max(quiet_s, self._again_s) if matter.settled else self._again_s
            ):
                del self._matters[key]
        return out

    def is_open(self, alert: str) -> bool:
        """Whether the alert of that id is one of these and open."""
        return any(matter.alert.id == alert and matter.is_open for matter in self._matters.values())

    def settle(self, alert: str, reason: str, now: float) -> list[Alert]:
        """The owner says that it is fine: closed, and quiet as long as it goes on."""
        found = [matter for matter in self._matters.values() if matter.alert.id == alert and matter.is_open]
        out = []
        for matter in found:
            matter.settled = True
            matter.alert = replace(
                matter.alert,
                time=now,
                state="closed",
                ended=now,
                reason=reason,
                detail=matter.alert.detail | {"settled": reason},
            )
            out.append(matter.alert)
        return out

    def open_alerts(self) -> list[Alert]:
        """What the owner should know of now."""
        return [matter.alert for matter in self._matters.values() if matter.is_open]

    def _again(self, matter: _Matter, finding: Finding, now: float) -> list[Alert]:
        before, matter.last_at = matter.alert, now
        graver = SEVERITIES[finding.severity] > SEVERITIES[before.severity]
        if matter.settled and not graver:
            return []
        was_open, count = matter.is_open, before.count + 1
        at_a_power = count & (count - 1) == 0
        state: Literal["open", "update"] = "open" if graver or (not was_open and at_a_power) else "update"
        matter.settled = False
        matter.alert = replace(
            before,
            time=now,
            state=state,
            severity=finding.severity if graver else before.severity,
            confidence="certain" if "certain" in (finding.confidence, before.confidence) else before.confidence,
            evidence=finding.evidence or before.evidence,
            reason=finding.words or before.reason,
            peer=finding.peer or before.peer,
            count=count,
            ended=None,
            detail={key: value for key, value in before.detail.items() if key != "settled"} | finding.detail,
        )
        return [matter.alert] if graver or not was_open or at_a_power else []

    def _closed(self, matter: _Matter, finding: Finding | None, now: float) -> Alert:
        last_at = now if finding else min(matter.last_at, now)
        matter.alert = replace(
            matter.alert,
            time=now,
            state="closed",
            ended=last_at,
            reason=(finding.words if finding else "") or matter.alert.reason,
            detail=matter.alert.detail | (finding.detail if finding else {}),
        )
        matter.last_at = now
        return matter.alert

    def _forgotten(self, key: Key) -> list[Alert]:
        """What the owner had settled is over: if it comes again, it is told."""
        self._matters.pop(key, None)
        return []

    def _room(self, now: float) -> list[Alert]:
        if len(self._matters) < MATTERS_MAX:
            return []
        self.counters["findings-evicted"] += 1
        closed = next((key for key, matter in self._matters.items() if not matter.is_open), None)
        key = closed or next(iter(self._matters))
        matter = self._matters.pop(key)
        return [self._closed(matter, None, now)] if matter.is_open else []


def notice_of(finding: Finding, time: float) -> Notice | None:
    """What is kept in the log of it; `time`: wall clock. None where it says nothing for the log."""
    if not finding.notice:
        return None
    return Notice(time, finding.camera, finding.notice, finding.words or "; ".join(finding.evidence))


def _alert(finding: Finding, now: float) -> Alert:
    return Alert(
        id=id_of(finding.camera, finding.type, finding.key, f"{now:.6f}"),
        time=now,
        camera=finding.camera,
        type=finding.type,
        severity=finding.severity,
        confidence=finding.confidence,
        reason=finding.words,
        evidence=finding.evidence,
        peer=finding.peer,
        session=None,
        raised=now,
        started=finding.at,
        count=1,
        state="open",
        detail={**finding.detail, "key": finding.key},
    )
