"""Whether the owner minds, and what he is told. In: what detect/ found; out: the same with verdicts, and Alerts. Pure.

Times are on the guard's own clock, but for schedules and decisions, which are about the clock on the wall (`wall`).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from zoneinfo import ZoneInfo

from camguard.events import Alert, Decision, Event, Exposure, Finding, Home, Login, Peer, Session, Wish
from camguard.judge.allow import Permissions, decided
from camguard.judge.findings import TYPES as FINDING_TYPES
from camguard.judge.findings import Findings, notice_of
from camguard.judge.login import TYPES as LOGIN_TYPES
from camguard.judge.login import LoginMatters
from camguard.judge.quiet import Matters
from camguard.judge.rules import Rules, Verdict
from camguard.places import Places


class Judge:
    """The owner's rules and decisions, and every matter he was told of."""

    def __init__(self, home: Home, places: Places | None, wall: Callable[[float], float]) -> None:
        self._places, self._wall = places, wall
        self._matters, self._permissions, self._findings = Matters(), Permissions(wall), Findings()
        self._logins = LoginMatters(self._matters.tells_of)
        self._verdicts: dict[str, Verdict] = {}
        self.reload(home)

    def reload(self, home: Home) -> None:
        """A changed configuration."""
        self._rules = Rules(home)
        self._permissions.zone = ZoneInfo(home.timezone)
        self._cameras = tuple(camera.name for camera in home.cameras)

    def resume(self, alert: Alert) -> None:
        """Goes on with an alert that was open, or lately closed, when the guard stopped."""
        if alert.type in LOGIN_TYPES:
            self._logins.resume(alert)
        elif alert.type in FINDING_TYPES:
            self._findings.resume(alert)
        else:
            self._matters.resume(alert)

    def resume_decision(self, decision: Decision, until_at: float | None) -> None:
        """A decision of an earlier run that still holds."""
        self._permissions.take(decision, until_at)

    # ---- what was found ----

    def sessions(self, sessions: Iterable[Session], now: float) -> list[Event]:
        """Viewings and other talk of weight."""
        out: list[Event] = []
        for session in sessions:
            verdict = self._verdicts[session.id] = self._verdict(session, now)
            alerts = self._matters.judged(session, verdict, self._cloud(session), now)
            out += [self.told(session), *alerts]
            if session.state == "closed":
                del self._verdicts[session.id]
                self._permissions.closed(session)
                out += self._permissions.take_used(now)
        return out

    def logins(self, logins: Iterable[Login], now: float) -> list[Event]:
        """Who said who he is."""
        out: list[Event] = []
        for login in logins:
            verdict = self._rules.judge_login(login, self._wall(now))
            if verdict.word == "unexpected":
                worked = login.outcome == "success"
                excuse = self._permissions.excuses_login(login.camera, login.peer, now, worked=worked)
                verdict = Verdict("expected", excuse) if excuse else verdict
            alerts = self._logins.judged(login, verdict, now)
            told = replace(login, verdict=verdict.word, reason=verdict.reason)
            out += [told] if self._logins.is_listed(login, now) else []
            out += alerts
        return out

    def findings(self, findings: Iterable[Finding | Exposure], now: float) -> list[Event]:
        """Open doors (also for the record, as they are), attacks, new destinations."""
        out: list[Event] = []
        for finding in findings:
            if isinstance(finding, Exposure):
                out.append(finding)
                continue
            notice = notice_of(finding, now)
            out += [notice] if notice else []
            known = self._permissions.excuses_finding(finding.camera, f"{finding.type}|{finding.key}", now)
            out += [] if known and not finding.over else self._findings.judged(finding, now)
        return out

    # ---- the clock ----

    def tick(self, now: float, current: dict[str, Session], *, last: bool = False) -> list[Event]:
        """What is judged anew, told again, closed. `current`: the sessions as they are now, by id; `last`: nothing
        comes after this."""
        out: list[Event] = []
        self._permissions.tick(now)
        out += self._permissions.take_used(now)
        for session in current.values():
            if self._verdict(session, now) != self._verdicts.get(session.id):
                out += self.sessions([session], now)
        out += self._matters.tick(now, current)
        out += self._logins.tick(now, self._excuse_at(now), last=last)
        return [*out, *self._findings.tick(now)]

    def decide(self, wish: Wish, number: int, now: float, alert: Alert | None) -> list[Event]:
        """Makes a decision of a wish (the first event), and closes what it settles. ValueError: why not, in words."""
        covers = self._matters.sessions_of(alert.id) if alert else frozenset()
        of_login = alert is not None and self._logins.is_open(alert.id)
        of_finding = alert is not None and self._findings.is_open(alert.id)
        if alert and (of_login or of_finding):
            covers = frozenset({f"{alert.type}|{alert.id}"})
        decision = decided(wish, number, self._wall(now), alert, covers, self._permissions, self._cameras)
        words = f"you said that it was you (decision {decision.number})"
        settled: list[Alert] = []
        if alert and of_finding and decision.what == "allow":
            words = f"you said that you know of it (decision {decision.number})"
            settled = self._findings.settle(alert.id, words, now)
        elif alert and of_login and decision.what == "allow" and decision.mode == "once":
            settled = self._logins.settle(alert.id, words, now)
        if settled and decision.mode == "once":
            decision = replace(decision, used=True)  # by closing it; nothing lingers
        else:
            until_at = None if decision.until is None else decision.until - self._wall(0.0)
            self._permissions.take(decision, until_at, covers)
        return [decision, *settled]

    # ---- what the rim shows ----

    def told(self, session: Session) -> Session:
        """The session with its verdict."""
        verdict = self._verdicts.get(session.id, Verdict(None, None))
        return replace(session, verdict=verdict.word, reason=verdict.reason)

    def open_alerts(self) -> list[Alert]:
        """What the owner should know of now."""
        return [*self._matters.open_alerts(), *self._logins.open_alerts(), *self._findings.open_alerts()]

    @property
    def counters(self) -> dict[str, int]:
        """What the capped tables refused or forgot."""
        parts = (self._matters, self._logins, self._findings, self._permissions)
        return {name: number for part in parts for name, number in part.counters.items()}

    def _excuse_at(self, now: float) -> Callable[[str, Peer], str | None]:
        return lambda camera, peer: self._permissions.excuses_login(camera, peer, now, worked=False)

    def _verdict(self, session: Session, now: float) -> Verdict:
        verdict = self._rules.judge(session, self._wall(now))
        if verdict.word != "unexpected":
            return verdict
        excuse = self._permissions.excuses(session, now, private=verdict.private)
        return Verdict("expected", excuse[0], decision=excuse[1]) if excuse else verdict

    def _cloud(self, session: Session) -> str | None:
        """The maker whose server the camera dialled, where it was the camera that dialled."""
        if not self._places or not session.peer.name or session.initiator != "camera":
            return None
        return self._places.cloud(session.peer.name)
