"""One alert a matter. In: judged Sessions; out: Alerts that open, are updated on a growing scale, close. Pure.

A matter is one camera, one type and one viewer. A viewer who comes back within `again_s` is the same matter: the alert
is taken up again and counted, and sounds again only at the 2nd, 4th, 8th, ... time. An alert that was open when the
guard stopped is closed where its viewer is not seen within `resume_s`; what is seen of him within that time went on all
the while and is no news, over however many connections. Times are on the guard's clock.
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from camguard.events import VIEWING, Alert, Peer, Session, id_of
from camguard.judge.rules import Verdict

MATTERS_MAX = 4096
#: Minutes after which an open matter is told again, silently: "Still watching Nursery: 12 minutes".
UPDATES_MIN = (5, 15, 30, 60, 120, 240, 480, 960, 1440)


@dataclass(slots=True)
class _Matter:
    """`resumed`: of an earlier run, and its viewer not seen yet in this one; `known_until`: since he was, what else is
    his went on, too."""

    alert: Alert
    open: dict[str, Session] = field(default_factory=dict)
    done_bytes: int = 0
    told: int = 0
    resumed: bool = False
    since_at: float | None = None
    known_until: float = float("-inf")


class Matters:
    """The open and lately closed matters."""

    def __init__(self, *, again_s: float = 600.0, resume_s: float = 60.0) -> None:
        self._again_s, self._resume_s = again_s, resume_s
        self._matters: dict[tuple[str, str, str], _Matter] = {}
        self.counters = {"matters-evicted": 0}

    def resume(self, alert: Alert) -> None:
        """Goes on with an alert that was open, or lately closed, when the guard stopped."""
        if alert.peer and alert.camera:
            key = (alert.camera, alert.type, alert.peer.device or alert.peer.ip)
            if alert.state != "closed" or key not in self._matters:  # what is open goes on, whatever was before it
                self._matters[key] = _Matter(alert, resumed=alert.state != "closed", done_bytes=alert.bytes_up)

    def judged(
        self, session: Session, verdict: Verdict, cloud: str | None, now: float, sign: str | None = None
    ) -> list[Alert]:
        """What a session with its verdict means for the owner. `cloud`: the maker whose server the peer is; `sign`:
        what else speaks for it where detect/ is unsure (second.py)."""
        if sign and session.confidence == "unsure":
            session = replace(session, evidence=(*session.evidence, sign))
        key = self._key(session, verdict)
        known = next((m for m in self._matters.values() if session.id in m.open), None)
        matter = known or self._matters.get(key)
        sure = session.confidence != "unsure" or sign is not None
        minded = verdict.word == "unexpected" and session.cls in VIEWING and sure
        if session.state == "closed" or not minded:
            return self._leaves(known, session, verdict, now) if known else []
        if known and known.alert.type != key[1]:  # privacy hours began, or where the viewer is was learned late
            return [*self._leaves(known, session, verdict, now), *self.judged(session, verdict, cloud, now, sign)]
        stale = matter is not None and not (matter.open or matter.resumed)
        if matter is None or (stale and now - (matter.alert.ended or matter.alert.time) > self._again_s):
            return [self._opens(key, session, verdict, cloud, now)]
        return self._goes_on(matter, session, verdict, cloud, now)

    def tick(self, now: float, sessions: dict[str, Session]) -> list[Alert]:
        """Open matters that are told again, and closed ones that are forgotten; `sessions`: as they are now, by id."""
        out: list[Alert] = []
        for key, matter in list(self._matters.items()):
            matter.open = {known: sessions.get(known, session) for known, session in matter.open.items()}
            alert = matter.alert
            if not matter.open:
                if alert.state != "closed":
                    matter.since_at = now if matter.since_at is None else matter.since_at
                    if now - matter.since_at > self._resume_s:
                        matter.alert = replace(alert, state="closed", time=now, ended=matter.since_at)
                        matter.resumed = False
                        out.append(matter.alert)
                elif alert.state == "closed" and now - (alert.ended or alert.time) > self._again_s:
                    del self._matters[key]
                continue
            due = matter.told < len(UPDATES_MIN) and now - alert.started >= 60 * UPDATES_MIN[matter.told]
            if due:
                while matter.told < len(UPDATES_MIN) and now - alert.started >= 60 * UPDATES_MIN[matter.told]:
                    matter.told += 1
                matter.alert = replace(alert, time=now, state="update", bytes_up=self._bytes(matter))
                out.append(matter.alert)
        return out

    def sessions_of(self, alert: str) -> frozenset[str]:
        """The sessions that an open alert is about."""
        return frozenset(
            known for matter in self._matters.values() if matter.alert.id == alert for known in matter.open
        )

    def tells_of(self, camera: str, peer: Peer) -> bool:
        """Whether an alert is about this viewer already, or was until lately: to take one's leave is no news either."""
        whom = peer.device or peer.ip
        return any((known, other) == (camera, whom) for known, _, other in self._matters)

    def open_alerts(self) -> list[Alert]:
        """What the owner should know of now."""
        return [matter.alert for matter in self._matters.values() if matter.open or matter.resumed]

    def _key(self, session: Session, verdict: Verdict) -> tuple[str, str, str]:
        return session.camera, _type(session, verdict), session.peer.device or session.peer.ip

    def _opens(
        self, key: tuple[str, str, str], session: Session, verdict: Verdict, cloud: str | None, now: float
    ) -> Alert:
        if len(self._matters) >= MATTERS_MAX:
            closed = next((known for known, matter in self._matters.items() if not matter.open), None)
            del self._matters[closed or next(iter(self._matters))]
            self.counters["matters-evicted"] += 1
        alert = Alert(
            id=id_of(*key, session.id),
            time=now,
            camera=session.camera,
            type=key[1],
            severity=_severity(session, key[1], cloud),
            confidence=session.confidence,
            reason=verdict.reason or "",
            evidence=session.evidence,
            peer=session.peer,
            session=session.id,
            raised=now,
            started=session.started,
            count=1,
            state="open",
            bytes_up=session.bytes_up,
            detail={"class": session.cls, "through_cloud": cloud},
        )
        self._matters[key] = _Matter(alert, {session.id: session})
        return alert

    def _goes_on(
        self, matter: _Matter, session: Session, verdict: Verdict, cloud: str | None, now: float
    ) -> list[Alert]:
        alert = matter.alert
        if matter.resumed:
            matter.known_until = now + self._resume_s
        again = session.id not in matter.open and now >= matter.known_until
        severity = _severity(session, alert.type, cloud)
        worse = (severity, session.confidence) in (("critical", "certain"), ("critical", "likely")) and (
            alert.severity != "critical"
        )
        surer = session.confidence == "certain" and alert.confidence != "certain"
        count = alert.count + again
        sounds = worse or (again and count & (count - 1) == 0)
        was_closed, matter.resumed = not matter.open, False
        matter.open[session.id] = session
        state: Literal["open", "update"] = "open" if sounds else "update"
        matter.alert = replace(
            alert,
            time=now,
            state=state,
            severity=severity if worse else alert.severity,
            confidence="certain" if surer else alert.confidence,
            evidence=session.evidence,
            peer=session.peer,
            session=session.id,
            count=count,
            ended=None,
            bytes_up=self._bytes(matter),
        )
        return [matter.alert] if (again or worse or surer or was_closed) else []

    def _leaves(self, matter: _Matter, session: Session, verdict: Verdict, now: float) -> list[Alert]:
        matter.open.pop(session.id, None)
        matter.done_bytes += session.bytes_up
        if matter.open:
            return []
        matter.alert = replace(
            matter.alert,
            time=now,
            state="closed",
            ended=session.ended or now,
            bytes_up=matter.done_bytes,
            evidence=session.evidence,
            reason=verdict.reason if verdict.word == "expected" and verdict.reason else matter.alert.reason,
            detail=matter.alert.detail | _settled(verdict),
        )
        return [matter.alert]

    def _bytes(self, matter: _Matter) -> int:
        return matter.done_bytes + sum(session.bytes_up for session in matter.open.values())


def _settled(verdict: Verdict) -> dict[str, str | float | None]:
    """What closed the matter before its viewing ended: the reason, who decided it and until when (wall clock)."""
    if verdict.word != "expected":
        return {"settled": None}
    decision = verdict.decision
    return {
        "settled": verdict.reason,
        "settled_by": decision.who if decision else None,
        "settled_until": decision.until if decision else None,
    }


def _type(session: Session, verdict: Verdict) -> str:
    if verdict.private:
        return "privacy"
    return "lan-stream" if session.peer.scope in ("lan", "multicast") else "remote-stream"


def _severity(session: Session, alert_type: str, cloud: str | None) -> Literal["info", "warning", "critical"]:
    """contract.md: a stream that is only likely and goes through the maker's cloud is a warning."""
    if alert_type == "lan-stream" or session.confidence == "unsure":
        return "warning"
    return "warning" if session.confidence != "certain" and cloud and alert_type == "remote-stream" else "critical"
