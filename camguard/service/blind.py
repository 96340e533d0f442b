"""What the guard as a whole does not see: an interface that is gone, packets that are lost, a start after a gap.

In: the tapped interfaces and the share of packets lost within the last minute, every few seconds. Out: guard-blind
alerts without a camera, as judge/sight.py has them for one: info at first, told again as a warning after `LONG_S`,
closed when it is over. Opened at the first bad look; over only after a while without one, and after a longer while each
time the same comes back, so that what comes and goes is one matter, counted. Times given are the guard's monotonic
seconds; alerts leave with wall-clock times, so that a set clock changes labels and no length.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from camguard.events import Alert, Interface, id_of
from camguard.health import BAD_LOSS
from camguard.judge.unseen import guard_blind

LONG_S = 600.0  # contract.md: guard-blind of over 10 minutes is a warning
CALM_S, CALM_MOST_S = 60.0, 3600.0  # without a bad look before it is over; doubled each time it comes back
TOLD_GAP_S = 15.0  # as of a guard that is silent; a shorter gap, such as a restart by hand, is in the record alone
GOOD_LOSS = BAD_LOSS / 2  # between the two it stays as it is
MATTERS_MAX = 64

How = Literal["interface-gone", "packets-lost", "restarted"]
_REASONS: dict[How, str] = {
    "interface-gone": "a network interface is gone",
    "packets-lost": "packets come faster than they can be read",
    "restarted": "camguard was started again",
}


@dataclass(slots=True)
class _Matter:
    """One trouble of one interface. `bad_at`: the last bad look; `calm_s`: what it takes to be over this time."""

    alert: Alert
    started_at: float
    raised_at: float
    bad_at: float
    calm_s: float
    good: bool = False
    told: int = 1


class Blind:
    """The troubles that are open, and how often each came lately. `left`: alerts still open from the run before."""

    def __init__(self, left: Iterable[Alert] = (), at: float = 0.0, offset_s: float = 0.0) -> None:
        self._open: dict[tuple[How, str], _Matter] = {}
        self._lately: dict[tuple[How, str], tuple[float, float]] = {}  # when it was over, and the calm it took
        for alert in left:
            how = _how_of(alert)
            if how is not None and how != "restarted":
                since = alert.started - offset_s
                self._open[how, str(alert.detail.get("interface") or "")] = _Matter(
                    alert, since, alert.raised - offset_s, at, CALM_S
                )

    def look(
        self, at: float, offset_s: float, interfaces: Sequence[Interface], lost: Mapping[str, float]
    ) -> list[Alert]:
        """What there is to say. `lost`: interface -> share of the last minute's packets."""
        out: list[Alert] = []
        gone = {one.name for one in interfaces if one.state == "gone"}
        for name in sorted(gone):
            out += self._bad("interface-gone", name, 0.0, at, offset_s)
        for name, share in sorted(lost.items()):
            if share > BAD_LOSS or (share > GOOD_LOSS and self._is_bad("packets-lost", name)):
                out += self._bad("packets-lost", name, round(100 * share, 1), at, offset_s)
        for key, matter in list(self._open.items()):
            if matter.bad_at >= at:
                continue
            matter.good = True
            if at - matter.bad_at >= matter.calm_s:
                del self._open[key]
                self._remember(key, at, matter.calm_s)
                out.append(_told(matter, offset_s, at, state="closed", ended=matter.bad_at + offset_s))
        return out

    def open_alerts(self, at: float, offset_s: float) -> list[Alert]:
        """The troubles that last."""
        return [_told(matter, offset_s, at) for matter in self._open.values()]

    def _is_bad(self, how: How, name: str) -> bool:
        matter = self._open.get((how, name))
        return matter is not None and not matter.good

    def _bad(self, how: How, name: str, percent: float, at: float, offset_s: float) -> list[Alert]:
        matter = self._open.get((how, name))
        if matter is None:
            if len(self._open) >= MATTERS_MAX:
                return []
            ended, calm_s = self._lately.get((how, name), (0.0, 0.0))
            calm_s = min(CALM_MOST_S, 2 * calm_s) if calm_s and at - ended < CALM_MOST_S else CALM_S
            alert = _alert(how, name, percent, at, offset_s)
            self._open[how, name] = _Matter(alert, at, at, at, calm_s)
            return [alert]
        back, matter.bad_at, matter.good = matter.good, at, False
        alert = matter.alert
        worst = max(percent, float(alert.detail.get("percent") or 0.0))
        if how == "packets-lost":
            alert = replace(alert, detail={**alert.detail, "percent": worst})
        matter.alert = replace(alert, count=alert.count + back)
        if matter.alert.severity == "info" and at - matter.started_at >= LONG_S:
            matter.alert = replace(matter.alert, severity="warning")
            return [_told(matter, offset_s, at, state="open")]
        if matter.alert.count >= 2 * matter.told:
            matter.told = matter.alert.count
            return [_told(matter, offset_s, at, state="update")]
        return []

    def _remember(self, key: tuple[How, str], at: float, calm_s: float) -> None:
        self._lately.pop(key, None)
        self._lately[key] = at, calm_s
        while len(self._lately) > MATTERS_MAX:
            del self._lately[next(iter(self._lately))]


def restarted(until: float, now: float, boot: float) -> list[Alert]:
    """A start after a gap (wall clock): the guard looked until `until`, and looks again since `now`; none if short.

    Info: deliver and the companion tell of a guard that is silent. Where the machine itself was off for long (it was
    booted at `boot`) nobody could, and it is a warning.
    """
    gap_s = now - until
    if gap_s < TOLD_GAP_S:
        return []
    severity: Literal["info", "warning"] = "warning" if gap_s > LONG_S and until < boot else "info"
    opened = replace(
        _alert("restarted", "", 0.0, now, 0.0), severity=severity, started=until, detail=_detail("restarted", gap=gap_s)
    )
    return [opened, replace(opened, state="closed", ended=now)]


def _how_of(alert: Alert) -> How | None:
    """What an alert of this module is about; None for all others."""
    if alert.type != "guard-blind" or alert.camera is not None:
        return None
    return next((how for how in _REASONS if how == alert.detail.get("how")), None)


def _detail(
    how: How, interface: str = "", percent: float | None = None, gap: float | None = None
) -> dict[str, str | int | float | None]:
    made: dict[str, str | int | float | None] = {"how": how, "interface": interface, "percent": percent, "gap": gap}
    return {key: value for key, value in made.items() if value not in (None, "")}


def _told(
    matter: _Matter,
    offset_s: float,
    at: float,
    *,
    state: Literal["open", "update", "closed"] | None = None,
    ended: float | None = None,
) -> Alert:
    """The alert as it is now, its times by the clock as it is set now."""
    matter.alert = replace(
        matter.alert,
        time=at + offset_s,
        raised=matter.raised_at + offset_s,
        started=matter.started_at + offset_s,
        state=state or matter.alert.state,
        ended=ended,
    )
    return matter.alert


def _alert(how: How, name: str, percent: float, at: float, offset_s: float) -> Alert:
    now = at + offset_s
    return guard_blind(
        id_of(how, name, f"{now:.3f}"),
        how,
        _REASONS[how],
        now=now,
        started=now,
        evidence=(f"at the interface {name}",) if name else (),
        detail=_detail(how, name, percent or None),
    )
