"""What the owner could say to an alert: the smallest sensible permissions, the smallest first. Pure; decides nothing.

In: an Alert, when its viewer was seen before, what the viewer is called. Out: Proposals, each a sentence; what is never
sensible, such as a guesser of passwords for good, is not among them (allow.decided refuses the worst of it, too).
Times are wall-clock seconds.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from camguard.events import Alert, Expect, Wish
from camguard.judge.allow import about

WHILE_S = 7200.0
#: Hours are proposed for a habit: so many viewings on so many days, in a window of so many hours at most, in which all
#: of them lie, or of `MANY` and more so large a share.
LEAST_SEEN, LEAST_DAYS, LONGEST_H, MANY, SHARE = 3, 2, 8, 10, 0.8
VIEWING_TYPES = ("remote-stream", "lan-stream", "privacy")
LOGIN_TYPES = ("remote-login", "lan-login", "brute-force")
#: What `camguard allow` can settle, and for how long at most it is sensible.
MODES: dict[str, tuple[Literal["once", "for", "always"], ...]] = {
    "remote-stream": ("once", "for", "always"),
    "lan-stream": ("once", "for", "always"),
    "privacy": ("once", "for"),
    "remote-login": ("once", "for", "always"),
    "lan-login": ("once", "for", "always"),
    "brute-force": ("once",),
    "stale-password": ("once",),
    "default-password": ("once",),
    "exposed-port": ("once", "for", "always"),
    "port-scan": ("once", "for"),
    "camera-attacks": ("once",),
    "new-destination": ("once", "always"),
}
_SENTENCES = {
    "brute-force": "the wrong passwords at {camera} were typed by you or a device of yours ({who})",
    "stale-password": "you know that {who} has an old password of {camera}",
    "default-password": "the login to {camera} with the maker's password was yours",
    "exposed-port": "you know that {camera} can be reached this way",
    "port-scan": "the scan of {camera} was yours ({who})",
    "camera-attacks": "you know why {camera} contacts many strangers",
    "new-destination": "{camera} may talk to {who}",
}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOST = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)+")  # no pattern: fnmatch reads more into other characters


@dataclass(frozen=True, slots=True)
class Proposal:
    """`mode` "hours": always, but only in the hours `when`. `rule`: what would say the same in the configuration, where
    something can; `note`: what the owner should know before he says it."""

    sentence: str
    mode: Literal["once", "for", "always", "hours"]
    for_s: float | None = None
    when: str | None = None
    rule: Expect | None = None
    note: str = ""

    def wish(self, alert: Alert, wish_id: str, who: str) -> Wish:
        """What would be asked of the guard."""
        mode = "always" if self.mode == "hours" else self.mode
        return Wish(wish_id, who, "allow", alert=alert.id, mode=mode, for_s=self.for_s, when=self.when)


class Span(NamedTuple):
    """One viewing or login of that viewer, wall clock."""

    started: float
    ended: float


def proposals(alert: Alert, seen: Sequence[Span], who: str, now: float, zone: ZoneInfo) -> tuple[Proposal, ...]:
    """What can be said to `alert`, the smallest first; `seen`: its viewer at that camera, other than now. None for an
    alert that only something else than a permission helps."""
    modes = MODES.get(alert.type, ())
    if alert.peer is None and not about(alert):
        return ()
    if is_nameless(alert):  # a permission that lasts wants a name: an address goes to somebody else some day
        modes = tuple(mode for mode in modes if mode != "always")
    if alert.state == "closed":
        modes = tuple(mode for mode in modes if mode != "once")
    made: list[Proposal] = []
    sentence, note = _sentence(alert, who), _note(alert)
    short = note if alert.peer and not _is_outside(alert) else ""
    for mode in modes:
        if mode == "once":
            made.append(Proposal(f"{sentence}, this time only", "once"))
        elif mode == "for":
            made.append(Proposal(f"{sentence}, for 2 hours", "for", WHILE_S, note=short))
        else:
            viewer = alert.type in VIEWING_TYPES + LOGIN_TYPES
            when = usual_hours(seen, Span(alert.started, alert.ended or now), zone) if viewer else None
            if when:
                made.append(Proposal(f"{sentence}, {when}", "hours", when=when, rule=_rule(alert, when), note=note))
            made.append(Proposal(f"{sentence}, always", "always", rule=_rule(alert, None), note=note))
    return tuple(made)


def is_nameless(alert: Alert) -> bool:
    """Whether it is about a device at home that has no name yet."""
    return alert.peer is not None and alert.peer.scope == "lan" and not alert.peer.device and not about(alert)


def advice(alert: Alert) -> str:
    """What is better than a permission, in a sentence; "" where nothing is."""
    better = {
        "privacy": "That nobody may watch now is your own rule: private or never of this camera in the configuration.",
        "brute-force": "If it is a device of yours, give it the right password; it is never allowed for good.",
        "stale-password": "Give that device the new password.",
        "default-password": "Only a new password at the camera ends this; it is never allowed for good.",
        "exposed-port": "If you do not need it, close it in the router and switch off UPnP there.",
        "camera-attacks": "A camera does this when it was taken over; it is never allowed for good. docs/safety.md",
    }
    if is_nameless(alert) and alert.peer:
        device = f'mac = "{alert.peer.mac}"' if alert.peer.mac else f'ip = "{alert.peer.ip}"'
        how = f"camguard cameras list shows it; in the configuration: [[device]] name = ..., {device}"
        first = f"To allow it for longer, name it first ({how})."
        return f"{better[alert.type]} {first}" if alert.type in better else first
    return better.get(alert.type, "")


def usual_hours(seen: Sequence[Span], this: Span, zone: ZoneInfo) -> str | None:
    """The smallest window of whole hours, and the days, in which the viewer was seen this time and most other times;
    None where that is no habit."""
    mine = _hours(this, zone)
    if mine is None:
        return None
    hours = [mine, *(known for span in seen if (known := _hours(span, zone)))]
    times = len(seen) + 1
    needed = times if times < MANY else SHARE * times
    best: tuple[int, int, int] | None = None
    for length in range(1, LONGEST_H + 1):
        for start in range(24):
            inside = [one.fits(start, length) for one in hours]
            if inside[0] and sum(inside) >= needed:
                best = max(best or (0, 0, 0), (sum(inside), -start, length))
        if best:
            break
    if best is None:
        return None
    start, length = -best[1], best[2]
    covered = [one for one in hours if one.fits(start, length)]
    dates = {one.opens(start) for one in covered}
    if len(covered) < LEAST_SEEN or len(dates) < LEAST_DAYS:
        return None
    days = _days({date.weekday() for date in dates})
    return f"{days}{' ' if days else ''}{start:02}:00-{(start + length) % 24:02}:00"


class _Hours(NamedTuple):
    """The whole hours that a viewing touched, by the clock at home."""

    day: datetime
    hour: int
    length: int

    def fits(self, start: int, length: int) -> bool:
        """Whether it lies in a window that opens at `start`."""
        return (self.hour - start) % 24 + self.length <= length

    def opens(self, start: int) -> datetime:
        """The day on which its window opened."""
        return self.day if self.hour >= start else self.day - timedelta(days=1)


def _hours(span: Span, zone: ZoneInfo) -> _Hours | None:
    begin = datetime.fromtimestamp(span.started, zone)
    minutes = begin.minute + begin.second / 60 + max(0.0, span.ended - span.started) / 60
    length = max(1, -int(-minutes // 60))
    midnight = begin.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return _Hours(midnight, begin.hour, length) if length <= LONGEST_H else None


def _days(days: set[int]) -> str:
    """ "mon-wed,sat"; "" for every day."""
    if len(days) == 7:
        return ""
    words: list[str] = []
    for day in sorted(days):
        first = day
        while first - 1 in days:
            first -= 1
        last = day
        while last + 1 in days:
            last += 1
        run = f"{_DAYS[first]}-{_DAYS[last]}" if last - first >= 2 else _DAYS[day]
        if run not in words:
            words.append(run)
    return ",".join(words)


def _sentence(alert: Alert, who: str) -> str:
    camera = alert.camera or "every camera"
    text = _SENTENCES.get(alert.type, "{camera} may be viewed by {who}")
    if alert.type in ("remote-login", "lan-login"):
        text = "{camera} may be logged in to and viewed by {who}"
    if alert.type == "privacy":
        text += ", also when nobody may"
    return text.format(camera=camera, who=who)


def _is_outside(alert: Alert) -> bool:
    """An address on the internet that is known by nothing else."""
    peer = alert.peer
    return peer is not None and peer.scope == "wan" and not peer.device and not alert.detail.get("through_cloud")


def _note(alert: Alert) -> str:
    if alert.type == "exposed-port":
        return "Everybody on the internet can try to log in there, whatever you say here."
    if alert.peer is None or about(alert):
        return ""
    if alert.detail.get("through_cloud"):
        return "It goes through the maker's cloud: a stranger with the app's password would look the same."
    if alert.peer.scope == "gateway":
        return "It comes from the router: whoever is behind it would look the same."
    if _is_outside(alert):
        return "An address outside goes to somebody else some day."
    return ""


def _rule(alert: Alert, when: str | None) -> Expect | None:
    """The [[expect]] that would say the same."""
    peer = alert.peer
    if peer is None or alert.camera is None or alert.type not in VIEWING_TYPES + LOGIN_TYPES:
        return None
    whom = peer.device or (peer.name if peer.name and peer.scope == "wan" and _HOST.fullmatch(peer.name) else peer.ip)
    kinds = ("stream",) if alert.type in VIEWING_TYPES else ("login", "stream")
    return Expect(alert.camera, whom, kinds, when)
