"""What logins mean for the owner. In: Logins with their verdicts; out: Alerts that open, change and close. Pure.

One alert a matter: a camera, a type, a source (a device at home, a network outside). Told are
- an unexpected login that worked (critical from outside), one of which nobody knows whether it worked, a wrong one;
- guessing (guesses.py), and, critical, a success after three wrong tries;
- the owner's own device that tries an old password again and again, once a day; one that tries many names, or as fast
  as only a program guesses, is told like anybody;
- a maker's default password that works, whoever used it: one alert until a day has passed without.
A login that worked is told `hold_s` later, and not at all where its viewer is told of by then: to log in is how one
begins to watch. Times are on the guard's clock.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from camguard.events import Alert, Login, Peer, id_of
from camguard.judge.guesses import GUESSED, GUESSING, Guesses, Tries, is_news, network_of
from camguard.judge.rules import Verdict

MATTERS_MAX = 2048
HELD_MAX = 512
#: Logins that did not work, of one camera in one minute, that are kept one by one.
LISTED_MAX = 120
#: Names that an old password is not tried with, and tries in a minute that no forgotten program makes.
NAMES_TRIED, FAST = 4, 120
GUESSES = "it tries one login after the other"
SEVERITIES = {"info": 0, "warning": 1, "critical": 2}
TYPES = ("remote-login", "lan-login", "brute-force", "stale-password", "default-password")
Severity = Literal["info", "warning", "critical"]
Key = tuple[str, str, str]
_LABELS = {"success": "worked", "failure": "was refused", "unknown": "was made, nobody knows with what success"}


@dataclass(slots=True)
class _Matter:
    alert: Alert
    last_at: float


@dataclass(slots=True)
class _Stale:
    """Failures of a device of which logins are expected. `minute_at`, `fast`: those of a minute; `guesses`: they are no
    old password."""

    count: int
    first_at: float
    last_at: float
    told_at: float | None = None
    users: set[str] = field(default_factory=set)
    minute_at: float = float("-inf")
    fast: int = 0
    guesses: bool = False


class LoginMatters:
    """`quiet_s` without anything new closes a matter; `stale_tries` failures, `stale_s` at most between two of them,
    are an old password; `day_s`: how often at most that is told, and how long without a default password closes it."""

    def __init__(
        self,
        tells_of: Callable[[str, Peer], bool],
        *,
        hold_s: float = 2.0,
        quiet_s: float = 1800.0,
        stale_tries: int = 3,
        stale_s: float = 7200.0,
        day_s: float = 86_400.0,
    ) -> None:
        self._tells_of = tells_of
        self._hold_s, self._quiet_s, self._day_s = hold_s, quiet_s, day_s
        self._stale_tries, self._stale_s = stale_tries, stale_s
        self._guesses = Guesses()
        self._matters: dict[Key, _Matter] = {}
        self._held: list[tuple[float, Login, Verdict]] = []
        self._stale: dict[tuple[str, str], _Stale] = {}
        self._spread_at: dict[str, float] = {}  # when guessing from many networks was told, by camera
        self._listed: tuple[int, Counter[str]] = (-1, Counter())
        self._counters = {"login-matters-evicted": 0, "logins-not-listed": 0}

    @property
    def counters(self) -> dict[str, int]:
        """What the capped tables refused or forgot."""
        return self._counters | self._guesses.counters

    def resume(self, alert: Alert) -> None:
        """Goes on with an alert that was open when the guard stopped; what was counted for it goes on, too."""
        if not alert.camera or not alert.peer or alert.state == "closed":
            return
        networks, wrong = alert.detail.get("networks"), alert.detail.get("wrong")
        spread = isinstance(networks, int | float) and networks > 1 and not alert.detail.get("guessed")
        whom = "*" if spread else self._whom(alert.type, alert.peer)
        if spread:
            self._spread_at[alert.camera] = alert.time
        self._matters[(alert.camera, alert.type, whom)] = _Matter(alert, alert.time)
        worked = alert.detail.get("outcome") == "success"  # then what comes now counts anew
        if isinstance(wrong, int | float) and whom != "*" and alert.type != "stale-password" and not worked:
            user = alert.detail.get("user")
            tries = Tries(int(wrong), alert.started, alert.time, {user} if isinstance(user, str) else set())
            self._guesses.resume(alert.camera, alert.peer, tries)

    def judged(self, login: Login, verdict: Verdict, now: float) -> list[Alert]:
        """What a login with its verdict means."""
        out = self._default(login, now) if login.outcome == "success" and login.default_password else []
        if verdict.word == "expected" and not self._guesses_too(login, now):
            return out + self._expected(login, now)
        if verdict.word == "expected":
            verdict = verdict._replace(reason=GUESSES)
        if login.outcome == "failure":
            return out + self._failed(login, verdict, now)
        if login.outcome == "unknown":
            return out + self._attempted(login, verdict, 1, now)
        return out + self._worked(login, verdict, now)

    def guessed(self, login: Login) -> bool:
        """Whether this source guessed so often that a login of it is no proof that it is the owner."""
        tries = self._guesses.of(login.camera, login.peer)
        return tries is not None and tries.count >= GUESSED

    def is_listed(self, login: Login, now: float) -> bool:
        """Whether it is kept by itself. Of a camera's failures so many a minute are; the rest only counts for the
        alert: a flood of guesses must not wear out the card."""
        if login.outcome == "success":
            return True
        minute = int(now // 60)
        if self._listed[0] != minute:
            self._listed = (minute, Counter())
        key = f"{login.outcome}|{login.camera}"
        self._listed[1][key] += 1
        if self._listed[1][key] <= LISTED_MAX:
            return True
        self._counters["logins-not-listed"] += 1
        return False

    def tick(self, now: float, excuse: Callable[[str, Peer], str | None], *, last: bool = False) -> list[Alert]:
        """Logins that were held back, matters that the owner has settled (`excuse`: why this source is fine now),
        matters that fell quiet; `last`: nothing comes after this."""
        out: list[Alert] = []
        due = [one for one in self._held if last or one[0] <= now]
        self._held = [one for one in self._held if one not in due]
        for _, login, verdict in due:
            if not excuse(login.camera, login.peer) and not self._tells_of(login.camera, login.peer):
                out += self._told(login, verdict, _type(login), _severity(login), {}, now)
        for key, matter in list(self._matters.items()):
            alert = matter.alert
            excused = excuse(alert.camera or "", alert.peer) if alert.peer and alert.type in TYPES[:3] else None
            if excused:
                out += self._close(key, now, excused)
            elif now - matter.last_at > self._open_s(alert.type):
                out += self._close(key, now, None)
        self._stale = {
            key: stale
            for key, stale in self._stale.items()
            if now - stale.last_at <= self._stale_s or (stale.told_at is not None and now - stale.told_at < self._day_s)
        }
        self._spread_at = {camera: at for camera, at in self._spread_at.items() if now - at <= self._day_s}
        self._guesses.tick(now)
        return out

    def _open_s(self, alert_type: str) -> float:
        return {"default-password": self._day_s, "stale-password": self._stale_s}.get(alert_type, self._quiet_s)

    def is_open(self, alert: str) -> bool:
        """Whether the alert of that id is one of these and open."""
        return any(matter.alert.id == alert for matter in self._matters.values())

    def settle(self, alert: str, reason: str, now: float) -> list[Alert]:
        """The owner says that it was he."""
        found = [key for key, matter in self._matters.items() if matter.alert.id == alert]
        for key in found:
            peer = self._matters[key].alert.peer
            if peer:
                self._guesses.believed(key[0], peer)
        return [closed for key in found for closed in self._close(key, now, reason)]

    def open_alerts(self) -> list[Alert]:
        """What the owner should know of now."""
        return [matter.alert for matter in self._matters.values()]

    # ---- one outcome each ----

    def _guesses_too(self, login: Login, now: float) -> bool:
        """Whether a source of which logins are expected guesses: taken over, or somebody else than was meant."""
        stale = self._stale.get((login.camera, network_of(login.peer)))
        if stale is None or now - stale.last_at > self._stale_s or login.outcome == "unknown":
            return False
        if login.outcome == "failure":
            if login.user and len(stale.users) < NAMES_TRIED:
                stale.users.add(login.user)
            if now - stale.minute_at > 60.0:
                stale.minute_at, stale.fast = now, 0
            stale.fast += 1
            stale.guesses |= len(stale.users) >= NAMES_TRIED or stale.fast >= FAST
            stale.last_at = now if stale.guesses else stale.last_at
        return stale.guesses

    def _expected(self, login: Login, now: float) -> list[Alert]:
        """A device of the owner's: only an old password is worth a word."""
        key = (login.camera, network_of(login.peer))
        if login.outcome == "success":
            self._stale.pop(key, None)
        if login.outcome != "failure":
            return []
        stale = self._stale.get(key)
        if stale is None or now - stale.last_at > self._stale_s:
            if len(self._stale) >= MATTERS_MAX:
                return []
            told_at = stale.told_at if stale else None
            stale = self._stale[key] = _Stale(0, now, now, told_at, {login.user} if login.user else set())
        stale.count, stale.last_at = stale.count + 1, now
        matter = self._matters.get((login.camera, "stale-password", key[1]))
        if matter:
            matter.last_at = now
            matter.alert = replace(matter.alert, count=stale.count)
            return []
        if stale.count < self._stale_tries or (stale.told_at is not None and now - stale.told_at < self._day_s):
            return []
        stale.told_at = now
        verdict = Verdict("expected", "it is a device of yours, and the camera refuses its password")
        detail = {"wrong": stale.count, "wrong_s": now - stale.first_at}
        return self._told(login, verdict, "stale-password", "info", detail, now)

    def _failed(self, login: Login, verdict: Verdict, now: float) -> list[Alert]:
        tries = self._guesses.failed(login.camera, login.peer, login.user, now)
        few = self._guesses.few(login.camera)
        if tries.count < GUESSING <= few:
            spread = self._guesses.spread(login.camera) if is_news(few) else None
            if spread:
                self._spread_at[login.camera] = now
                return self._guessing(login, verdict, spread, "*", now)
            if self._goes_on((login.camera, "brute-force", "*"), few, now) or login.camera in self._spread_at:
                return []  # it counts; each new network is no new matter
        many = self._matters.get((login.camera, "brute-force", "*"))
        if many and tries.count < GUESSING:  # of an earlier run, whose sources are not counted any more: it goes on
            self._goes_on((login.camera, "brute-force", "*"), many.alert.count + 1, now)
            return []
        whom = network_of(login.peer)
        guessing = self._matters.get((login.camera, "brute-force", whom))
        if guessing and guessing.alert.severity == "critical":
            guessing.last_at = now  # the worst is told; more wrong tries are no news
            return []
        if tries.count >= GUESSING or guessing:
            attempts = (login.camera, _type(login), whom)
            before = self._matters.get(attempts)
            closed = (
                self._close(attempts, now, None) if before and before.alert.detail.get("outcome") == "failure" else []
            )
            return [*self._guessing(login, verdict, tries, whom, now), *closed]
        return self._attempted(login, verdict, tries.count, now)

    def _goes_on(self, key: Key, count: int, now: float) -> bool:
        """Whether it is a matter that is open; it is counted up silently."""
        matter = self._matters.get(key)
        if matter:
            matter.last_at = now
            matter.alert = replace(matter.alert, count=max(count, matter.alert.count))
        return matter is not None

    def _guessing(self, login: Login, verdict: Verdict, tries: Tries, whom: str, now: float) -> list[Alert]:
        self._goes_on((login.camera, "brute-force", whom), tries.count, now)
        if not is_news(tries.count):
            return []
        detail = _detail_of(tries)
        return self._told(login, verdict, "brute-force", "warning", detail, now, whom=whom, count=tries.count)

    def _attempted(self, login: Login, verdict: Verdict, count: int, now: float) -> list[Alert]:
        """A login that failed, or may have: told at the 1st, 2nd, 4th, 8th."""
        key = (login.camera, _type(login), network_of(login.peer))
        matter = self._matters.get(key)
        if matter and matter.alert.detail.get("outcome") == "success":
            matter.last_at = now  # told of in graver words
            return []
        if login.outcome == "failure" and count & (count - 1):
            if matter:
                matter.last_at = now
            return []
        if login.outcome == "unknown" and matter and matter.alert.detail.get("outcome") == "unknown":
            matter.last_at = now
            return []
        if login.outcome == "unknown" and self._tells_of(login.camera, login.peer):
            return []
        return self._told(login, verdict, _type(login), "warning", {"wrong": count}, now)

    def _worked(self, login: Login, verdict: Verdict, now: float) -> list[Alert]:
        tries = self._guesses.of(login.camera, login.peer)
        spread = self._guesses.spread(login.camera, outside=login.peer.scope == "wan" and not login.peer.device)
        self._guesses.believed(login.camera, login.peer)
        found = tries if tries and tries.count >= GUESSED else spread
        if found:
            detail = _detail_of(found) | {"guessed": 1}
            whom = network_of(login.peer)
            attempts = (login.camera, _type(login), whom)
            before = self._matters.get(attempts)
            closed = self._close(attempts, now, None) if before and before.alert.severity != "critical" else []
            told = self._told(login, verdict, "brute-force", "critical", detail, now, whom=whom, count=found.count)
            return [*told, *closed]
        if len(self._held) < HELD_MAX:
            self._held.append((now + self._hold_s, login, verdict))
            return []
        return self._told(login, verdict, _type(login), _severity(login), {}, now)

    def _default(self, login: Login, now: float) -> list[Alert]:
        matter = self._matters.get((login.camera, "default-password", "*"))
        if matter:
            matter.last_at = now
            return []
        verdict = Verdict(None, "a login with a maker's default password, or none, worked")
        return self._told(login, verdict, "default-password", "warning", {}, now, whom="*")

    # ---- alerts ----

    def _whom(self, alert_type: str, peer: Peer) -> str:
        return "*" if alert_type == "default-password" else network_of(peer)

    def _told(
        self,
        login: Login,
        verdict: Verdict,
        alert_type: str,
        severity: Severity,
        detail: dict[str, float],
        now: float,
        *,
        whom: str | None = None,
        count: int | None = None,
    ) -> list[Alert]:
        """Opens the matter, or tells more of it: graver sounds again, the rest is silent."""
        if whom is None:
            whom = network_of(login.peer)
        key = (login.camera, alert_type, whom)
        matter = self._matters.get(key)
        known = detail | {"service": login.service, "user": login.user, "outcome": login.outcome}
        words = f"{login.service} login{f' as {login.user}' if login.user else ''} {_LABELS[login.outcome]}"
        gone: list[Alert] = []
        if matter is None:
            gone = self._room(now)
            alert = Alert(
                id=id_of(*key, login.id),
                time=now,
                camera=login.camera,
                type=alert_type,
                severity=severity,
                confidence="certain" if login.outcome_source == "read" else "likely",
                reason=verdict.reason or "",
                evidence=(words,),
                peer=login.peer,
                session=None,
                raised=now,
                started=now - float(detail.get("wrong_s", 0.0)),
                count=count or 1,
                state="open",
                detail=known,
            )
        else:
            before = matter.alert
            graver = SEVERITIES[severity] > SEVERITIES[before.severity]
            more = before.count + 1
            again = login.outcome == "success" == before.detail.get("outcome") and not graver and count is None
            if again and more & (more - 1):  # who logs in all day is told at the 1st, 2nd, 4th, 8th
                self._matters[key] = _Matter(replace(before, count=more), now)
                return []
            alert = replace(
                before,
                time=now,
                state="open" if graver else "update",
                severity=severity if graver else before.severity,
                evidence=(*before.evidence[-3:], words) if words not in before.evidence else before.evidence,
                peer=login.peer,
                count=max(count, before.count) if count else more,
                detail=before.detail | known | _at_least(before, known),
            )
        self._matters[key] = _Matter(alert, now)
        return [*gone, alert]

    def _room(self, now: float) -> list[Alert]:
        """Makes room in a full table: the oldest of the least grave ones is closed."""
        if len(self._matters) < MATTERS_MAX:
            return []
        self._counters["login-matters-evicted"] += 1
        return self._close(min(self._matters, key=lambda key: SEVERITIES[self._matters[key].alert.severity]), now, None)

    def _close(self, key: Key, now: float, settled: str | None) -> list[Alert]:
        matter = self._matters.pop(key)
        detail = matter.alert.detail | ({"settled": settled} if settled else {})
        return [
            replace(
                matter.alert,
                time=now,
                state="closed",
                ended=matter.last_at,
                reason=settled or matter.alert.reason,
                detail=detail,
            )
        ]


def _detail_of(tries: Tries) -> dict[str, float]:
    return {
        "wrong": tries.count,
        "wrong_s": tries.last_at - tries.first_at,
        "networks": tries.networks,
        "users": len(tries.users),
    }


def _at_least(before: Alert, known: Mapping[str, object]) -> dict[str, str | int | float | None]:
    """Counts of guesses do not go back where an earlier run counted more."""
    counted = [name for name in ("wrong", "networks", "users") if name in known and "networks" in known]
    pairs = [(name, before.detail.get(name), known[name]) for name in counted]
    return {
        name: max(old, new) for name, old, new in pairs if isinstance(old, int | float) and isinstance(new, int | float)
    }


def _type(login: Login) -> str:
    return "lan-login" if login.peer.scope in ("lan", "multicast") else "remote-login"


def _severity(login: Login) -> Severity:
    return "critical" if login.outcome == "success" and _type(login) == "remote-login" else "warning"
