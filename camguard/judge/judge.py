"""Whether the owner minds, and what he is told. In: what detect/ found; out: the same with verdicts, and Alerts. Pure.

Times are on the guard's own clock, but for schedules and decisions, which are about the clock on the wall (`wall`).
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol
from zoneinfo import ZoneInfo

from camguard.events import Alert, Decision, Event, Exposure, Finding, Home, Login, Peer, Session, Wish
from camguard.judge.allow import LOCAL, Permissions, decided
from camguard.judge.baseline import Baseline
from camguard.judge.findings import TYPES as FINDING_TYPES
from camguard.judge.findings import Findings, notice_of
from camguard.judge.login import TYPES as LOGIN_TYPES
from camguard.judge.login import LoginMatters
from camguard.judge.presence import Presence
from camguard.judge.quiet import Matters
from camguard.judge.rules import UNKNOWN, Rules, Verdict
from camguard.judge.second import Seconds, begins_beside
from camguard.places import Places

#: Alerts after which nothing about that camera is held back or learned.
SIGNS = ("remote-login", "brute-force", "camera-attacks")
#: What excuses a viewing besides the owner's own words: a phone that receives it, an accepted habit, the first days.
EXCUSES = frozenset({"phones", "baseline", "learning"})


class Receivers(Protocol):
    """What is known of the owner's devices at home (detect/phones.py)."""

    def reason(self, session: Session) -> str | None:
        """Which of them receives this viewing now, in words."""

    def may_be(self, session: Session, now: float) -> bool:
        """Whether that may turn out so in a moment."""

    def at_home(self, now: float) -> dict[str, float]:
        """Which of them are at home: name, last seen at."""


class Judge:
    """The owner's rules and decisions, and every matter he was told of."""

    def __init__(
        self,
        home: Home,
        places: Places | None,
        wall: Callable[[float], float],
        met: Callable[[str, str], float | None] = lambda camera, place: None,
        phones: Receivers | None = None,
        excuses: frozenset[str] = EXCUSES,
    ) -> None:
        self._phones, self._excuses = phones if "phones" in excuses else None, excuses
        self._places, self._wall = places, wall
        tables = {"domain_of": places.domain, "maker_of": places.cloud} if places else {}
        self.baseline = Baseline(wall, met=met, **tables)
        self._matters, self._permissions, self._findings = Matters(), Permissions(wall), Findings()
        self._logins, self._presence = LoginMatters(self._matters.tells_of), Presence()
        self._seconds = Seconds()
        self._verdicts: dict[str, Verdict] = {}
        self.reload(home)

    def reload(self, home: Home) -> None:
        """A changed configuration."""
        self._rules = Rules(home)
        self.baseline.reload(home)
        self._presence.reload(home)
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
            self._learn(session, verdict, now)
            near = self._rules.private_soon(session.camera, self._wall(now))
            sign = self._seconds.sign(session, now, private_near=near)
            alerts = self._matters.judged(session, verdict, self._cloud(session), now, sign)
            if self._phones and verdict.word == "unexpected" and self._phones.at_home(now):
                alerts = [replace(alert, detail=alert.detail | {"phones": "none"}) for alert in alerts]
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
                worked = login.outcome == "success" and not self._logins.guessed(login)
                excuse = self._permissions.excuses_login(login.camera, login.peer, now, worked=worked)
                verdict = Verdict("expected", excuse) if excuse else verdict
            alerts = self._logins.judged(login, verdict, now)
            told = replace(login, verdict=verdict.word, reason=verdict.reason)
            self._seconds.login(told, now)
            out += [told] if self._logins.is_listed(login, now) else []
            out += alerts
        return out

    def findings(self, findings: Iterable[Finding | Exposure], now: float) -> list[Event]:
        """Open doors (also for the record, as they are), attacks, new destinations."""
        out: list[Event] = []
        for finding in findings:
            if isinstance(finding, Exposure):
                self._seconds.exposure(finding, now)
                out.append(finding)
                continue
            self._seconds.finding(finding, now)
            notice = notice_of(finding, now)
            out += [notice] if notice else []
            known = self._permissions.excuses_finding(finding.camera, f"{finding.type}|{finding.key}", now)
            out += [] if known and not finding.over else self._findings.judged(finding, now)
        return out

    def called(self, camera: str, peer: Peer, now: float) -> None:
        """The maker's server told the camera to call somebody."""
        self._seconds.called(camera, peer, now)

    # ---- the clock ----

    def tick(self, now: float, current: dict[str, Session], *, last: bool = False) -> list[Event]:
        """What is judged anew, told again, closed. `current`: the sessions as they are now, by id; `last`: nothing
        comes after this."""
        out: list[Event] = []
        self._presence.tick(now)
        self._permissions.tick(now)
        out += self._permissions.take_used(now)
        for session in current.values():
            if self._verdict(session, now) != self._verdicts.get(session.id):
                out += self.sessions([session], now)
            else:
                self._learn(session, self._verdicts[session.id], now)
        out += self.baseline.tick(now)
        out += self._matters.tick(now, current)
        out += self._logins.tick(now, self._excuse_at(now), last=last)
        return [*out, *self._findings.tick(now)]

    def decide(self, wish: Wish, number: int, now: float, alert: Alert | None) -> list[Event]:
        """Makes a decision of a wish (the first event), and closes what it settles. ValueError: why not, in words."""
        if wish.do == "learn":
            return [self._learned(wish, number, now)]
        if wish.do == "presence" and wish.device:
            self._presence.told(wish.device, bool(wish.home), now)
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
        parts = (self._matters, self._logins, self._findings, self._permissions, self.baseline)
        return {name: number for part in parts for name, number in part.counters.items()}

    def _excuse_at(self, now: float) -> Callable[[str, Peer], str | None]:
        return lambda camera, peer: self._permissions.excuses_login(camera, peer, now, worked=False)

    def _verdict(self, session: Session, now: float) -> Verdict:
        verdict = self._rules.judge(session, self._wall(now))
        beside = session.peer.scope == "wan" and session.confidence != "certain" and begins_beside(session)
        if verdict.word == "expected" and beside:  # whom the owner expects day and night, he does not expect twice
            verdict = Verdict("unexpected", "it began beside what the camera sends there day and night")
        if verdict.word != "unexpected":
            return verdict
        excuse = self._permissions.excuses(session, now, private=verdict.private)
        if excuse:
            return Verdict("expected", excuse[0], decision=excuse[1])
        if verdict.private:  # nothing that was learned counts in privacy hours
            return verdict
        if received := self._phones.reason(session) if self._phones else None:
            return Verdict("expected", received, phone=True)
        if "baseline" in self._excuses and (usual := self.baseline.usual(session, now)):
            return Verdict("expected", usual)
        before = self._verdicts.get(session.id)
        told = before is not None and before.word == "unexpected"
        # it waits for seconds (contract.md: delays)
        if self._phones and not told and self._phones.may_be(session, now):
            return Verdict(None, "one of your devices may be receiving it: that shows in a moment")
        if "learning" in self._excuses and (held := self.baseline.holds(session, sign=self._sign(session))):
            return Verdict(None, held, held=True)
        from_outside = session.peer.scope == "wan" and session.initiator == "camera" and verdict.reason == UNKNOWN
        present = self._presence.reason(self._phones.at_home(now) if self._phones else ()) if from_outside else None
        return Verdict("unexpected", present) if present else verdict

    def _learn(self, session: Session, verdict: Verdict, now: float) -> None:
        tainted = verdict.private or self._sign(session)
        self.baseline.judged(session, now, held=verdict.held, phone=verdict.phone, tainted=tainted)

    def _sign(self, session: Session) -> bool:
        """Whether something else speaks against this viewing: a login from outside, attacks by the camera, or an open
        door or a new place that is about the same other end."""
        return any(
            alert.camera == session.camera
            and (alert.type in SIGNS or (alert.peer is not None and alert.peer.ip == session.peer.ip))
            for part in (self._logins, self._findings)
            for alert in part.open_alerts()
        )

    def _learned(self, wish: Wish, number: int, now: float) -> Decision:
        """What the owner says of a habit."""
        if wish.who.split(",")[0] not in LOCAL:
            raise ValueError("from afar nothing that lasts can be said; use camguard learn at home")
        key, words = self.baseline.decide(wish.habit or 0, wish.mode, wish.when)
        return Decision(
            number=number,
            time=self._wall(now),
            wish=wish.id,
            who=wish.who,
            what="learn",
            camera=key.camera,
            mode=wish.mode,
            detail=words,
            when=wish.when,
            habit=wish.habit,
        )

    def _cloud(self, session: Session) -> str | None:
        """The maker whose server the camera dialled, where it was the camera that dialled."""
        if not self._places or not session.peer.name or session.initiator != "camera":
            return None
        return self._places.cloud(session.peer.name)
