"""What the owner has allowed, and for how long. In: Decisions and Sessions; out: the reason a viewing is fine, or None.

Ends are kept on the guard's own clock: "for 2 hours" is two hours, whatever happens to the wall clock. A permission is
as small as its words: one camera and one viewer, in the hours it names; "once" covers the viewing that goes on and
nothing after it, also where the guard is started again in the middle; "I am watching now" explains the next viewer of a
camera, one at a time however often it is said, and nobody who was told of before. In privacy hours only what was said
in answer to a privacy alert counts, and "once".
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from camguard.events import VIEWING, Alert, Decision, Peer, Session, Wish
from camguard.judge import schedule

PERMISSIONS_MAX = 1000
DAY_S = 86_400.0
#: The longest and the usual length of what ends by itself.
LONGEST_S = {"allow": 366 * DAY_S, "watching": 4 * 3600.0, "silence": DAY_S, "presence": DAY_S, "revoke": 0.0}
DEFAULT_S = {"watching": 1800.0, "silence": 3600.0}
#: Origins that somebody at the guard's own machine or page speaks from.
LOCAL = ("terminal", "page")
#: Alerts that a permission which lasts would make dangerous -> why it can only be settled once.
ONLY_ONCE = {
    "brute-force": "that somebody guesses passwords",
    "camera-attacks": "that a camera contacts many strangers",
    "default-password": "a maker's password",
}


@dataclass(slots=True)
class _Permission:
    """`covers`: the sessions that "once" means; none yet where it `waits`: the guard was started again, and the viewing
    that went on is to show itself; since when it does, `since_at`."""

    decision: Decision
    until_at: float | None
    covers: set[str]
    windows: tuple[schedule.Window, ...] = ()
    waits: bool = False
    since_at: float | None = None


class Permissions:
    """What holds now; capped. `now` and `until_at` are seconds on the guard's clock, `wall` gives the wall clock; the
    caller sets `zone`, the home's. `resume_s`: how long "once" waits for its viewing after a start."""

    def __init__(self, wall: Callable[[float], float] = float, *, resume_s: float = 60.0) -> None:
        self.zone = ZoneInfo("UTC")
        self._wall, self._resume_s = wall, resume_s
        self._held: dict[int, _Permission] = {}
        self._used: list[Decision] = []
        #: Who "I am watching" means, by camera: one viewer, with his viewings that go on.
        self._watching: dict[str, tuple[str, set[str]]] = {}
        #: Viewings that were told as unexpected: "I am watching now" is about the next one.
        self._told: set[str] = set()
        self.counters = {"permissions-refused": 0}

    @property
    def is_full(self) -> bool:
        """Whether no more decisions can be held."""
        return len(self._held) >= PERMISSIONS_MAX

    def take(self, decision: Decision, until_at: float | None, covers: frozenset[str] = frozenset()) -> None:
        """Keeps a decision; `covers`: the sessions that "once" means, none where it is of an earlier run."""
        if decision.what == "revoke" and decision.revokes is not None:
            self._held.pop(decision.revokes, None)
        elif decision.what in ("allow", "watching", "silence"):
            if decision.what != "allow":  # the newest one about a camera counts
                same = [number for number, held in self._held.items() if _about(held.decision) == _about(decision)]
                if any(number > decision.number for number in same):
                    return
                for number in same:
                    del self._held[number]
            if self.is_full:
                self.counters["permissions-refused"] += 1
                return
            windows = schedule.parse(decision.when) if decision.when else ()
            waits = decision.mode == "once" and not covers
            self._held[decision.number] = _Permission(decision, until_at, set(covers), windows, waits)

    def knows(self, number: int) -> bool:
        """Whether that decision still holds."""
        return number in self._held

    def excuses(self, session: Session, now: float, *, private: bool = False) -> tuple[str, Decision] | None:
        """Why this viewing is fine, and who decided it; `private`: only what was said about this viewer counts."""
        if session.cls not in VIEWING:
            return None
        for permission in self._held.values():
            decision = permission.decision
            if decision.what == "silence" or not self._counts(permission, session.camera, now):
                continue
            if decision.what == "watching":
                if not private and session.id not in self._told and self._watches(session):
                    return f"you said that you are watching (decision {decision.number})", decision
            elif decision.mode == "once":
                if self._is_that_viewing(permission, session):
                    return f"you said that it was you (decision {decision.number})", decision
            elif (decision.private or not private) and decision.peer and is_same_viewer(decision.peer, session.peer):
                return f"you allowed it (decision {decision.number})", decision
        self._told.add(session.id)
        return None

    def excuses_login(self, camera: str, peer: Peer, now: float, *, worked: bool) -> str | None:
        """Why this login is fine, in words: who may view may log in. Where nobody is "watching" yet only one that
        `worked` may be meant: a guess is not."""
        for permission in self._held.values():
            decision = permission.decision
            if not self._counts(permission, camera, now):
                continue
            if decision.what == "watching":
                viewer = self._watching[camera][0] if camera in self._watching else None
                if viewer == _viewer(peer) or (viewer is None and worked):
                    return f"you said that you are watching (decision {decision.number})"
            elif decision.mode in ("for", "always") and decision.peer and is_same_viewer(decision.peer, peer):
                return f"you allowed it (decision {decision.number})"
        return None

    def excuses_finding(self, camera: str, matter: str, now: float) -> bool:
        """Whether the owner has said that this way in, scan or place is known to him."""
        return any(
            held.decision.about == matter and held.decision.camera == camera
            for held in self._held.values()
            if held.until_at is None or now < held.until_at
        )

    def closed(self, session: Session) -> None:
        """The viewing is over: "once" is used up, and the next viewing may be the one that "watching" means."""
        self._told.discard(session.id)
        if session.camera in self._watching:
            _, going_on = self._watching[session.camera]
            going_on.discard(session.id)
            if not going_on:
                del self._watching[session.camera]
        for permission in list(self._held.values()):
            if session.id in permission.covers:
                permission.covers.discard(session.id)
                if permission.decision.mode == "once" and not permission.covers:
                    self._use_up(permission)

    def tick(self, now: float) -> None:
        """Forgets what has run out, and "once" whose viewing did not show itself after a start."""
        for number, permission in list(self._held.items()):
            if permission.until_at is not None and now >= permission.until_at:
                del self._held[number]
            elif permission.waits:
                permission.since_at = now if permission.since_at is None else permission.since_at
                permission.waits = now - permission.since_at <= self._resume_s
                if not permission.waits and not permission.covers:
                    self._use_up(permission)

    def take_used(self, now: float) -> list[Decision]:
        """ "Once" that is over since the last call, told again as used at `now`."""
        used, self._used = self._used, []
        return [replace(decision, time=now, used=True) for decision in used]

    def _use_up(self, permission: _Permission) -> None:
        del self._held[permission.decision.number]
        self._used.append(permission.decision)

    def _counts(self, permission: _Permission, camera: str, now: float) -> bool:
        """Whether it is about that camera and this moment."""
        if permission.decision.camera not in (None, camera):
            return False
        if permission.until_at is not None and now >= permission.until_at:
            return False
        return not permission.windows or schedule.inside(permission.windows, self._wall(now), self.zone)

    def _is_that_viewing(self, permission: _Permission, session: Session) -> bool:
        peer = permission.decision.peer
        if permission.waits and peer and is_same_viewer(peer, session.peer):
            permission.covers.add(session.id)
        return session.id in permission.covers

    def _watches(self, session: Session) -> bool:
        viewer, going_on = self._watching.setdefault(session.camera, (_viewer(session.peer), set()))
        if viewer != _viewer(session.peer):
            return False
        going_on.add(session.id)
        return True


def is_same_viewer(one: Peer, other: Peer) -> bool:
    """Whether two peers are the same viewer: by the owner's name, at home by MAC, outside by address or name."""
    if one.device or other.device:
        return one.device == other.device
    if one.scope != other.scope:
        return False
    if one.mac or other.mac:
        return one.mac == other.mac
    return one.ip == other.ip or (one.name is not None and one.name == other.name)


def decided(
    wish: Wish,
    number: int,
    time: float,
    alert: Alert | None,
    covers: frozenset[str],
    permissions: Permissions,
    cameras: tuple[str, ...],
) -> Decision:
    """The decision that a wish asks for at wall-clock `time`; ValueError with a sentence for whoever asked.

    What comes from afar (a push button, MQTT) may only lower the noise of one matter or for a while (architecture.md).
    """
    if wish.camera is not None and wish.camera not in cameras:
        raise ValueError(f'there is no camera "{wish.camera}"')
    if wish.do == "allow":
        _allowable(wish, alert, covers)
    if wish.do == "revoke" and (wish.decision is None or not permissions.knows(wish.decision)):
        raise ValueError(f"decision {wish.decision} does not hold (any more)")
    if wish.who.split(",")[0] not in LOCAL and (wish.do == "revoke" or wish.mode in ("for", "always")):
        raise ValueError("from afar only this one viewing can be allowed; use camguard allow at home")
    if permissions.is_full and wish.do in ("allow", "watching"):
        raise ValueError("too many decisions hold already; take some back (camguard allow --list)")
    if wish.mode == "for" and not wish.for_s:
        raise ValueError("for how long?")
    for_s = None if wish.for_s is None else min(wish.for_s, LONGEST_S[wish.do])  # 0: no longer
    if wish.mode in ("once", "always"):
        for_s = None
    if wish.do in ("watching", "silence") and for_s is None:
        for_s = DEFAULT_S[wish.do]
    return Decision(
        number=number,
        time=time,
        wish=wish.id,
        who=wish.who,
        what=wish.do,
        camera=alert.camera if alert else wish.camera,
        alert=wish.alert,
        mode=wish.mode,
        until=None if for_s is None else time + for_s,
        peer=alert.peer if alert and wish.do == "allow" and not about(alert) else None,
        revokes=wish.decision,
        about=about(alert) if alert and wish.do == "allow" else None,
        when=wish.when,
        private=alert is not None and wish.do == "allow" and alert.type == "privacy",
        detail=f"{wish.device} is {'home' if wish.home else 'away'}" if wish.do == "presence" else "",
    )


def _allowable(wish: Wish, alert: Alert | None, covers: frozenset[str]) -> None:
    """ValueError, with a sentence, where nobody may be allowed this."""
    if alert is None or (alert.peer is None and not about(alert)):
        raise ValueError(f"there is no alert {wish.alert} about a viewer or a way in")
    if alert.type in ONLY_ONCE and wish.mode != "once":
        raise ValueError(f"{ONLY_ONCE[alert.type]} can be settled once, not allowed for good (--once)")
    if wish.when is not None:
        if wish.mode not in ("for", "always") or about(alert):
            raise ValueError("hours go with a viewer that is allowed for a time or always")
        schedule.parse(wish.when)
    if wish.mode == "once" and not covers:
        raise ValueError(f"alert {wish.alert} is over; to be quiet about this from now on: --for or --always")


def about(alert: Alert) -> str | None:
    """The matter of an alert of findings.py, None for one about a viewer."""
    key = alert.detail.get("key")
    return f"{alert.type}|{key}" if key else None


def _about(decision: Decision) -> tuple[str, str | None, str | None]:
    return decision.what, decision.camera, decision.alert


def _viewer(peer: Peer) -> str:
    return peer.device or peer.ip
