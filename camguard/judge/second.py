"""Whether a viewing of which detect/ is unsure has a second sign. In: logins, open doors, findings, calls that were
named; out: the sign, in words. Pure.

What only might be a viewing is kept in the log. It is told where, within `within_s` before it or while it goes on,
something else happened that a viewer does: he logged in from the same network, a way in was opened, the camera began to
talk with that place for the first time, it was told to call that address, or privacy hours are near. A network is the
autonomous system where it is known, else the /24 or /48 (what one customer gets). Times are on the guard's clock.
"""

from collections import deque
from typing import NamedTuple

from camguard.events import VIEWING, Exposure, Finding, Login, Peer, Session
from camguard.neighbours import network_of

SIGNS_MAX, SEEN_MAX = 32, 2048
#: What detect/ says of a viewing that began while the same camera sends day and night (detect/followed.py).
BESIDE = "it began beside what goes on day and night"
_FINDINGS = {
    "new-destination": "the camera talks with this place for the first time",
    "port-scan": "it had looked for open doors before",
}


class _Sign(NamedTuple):
    at: float
    network: str | None  # None: it is about the camera, whoever comes
    words: str


class Seconds:
    """The signs of the last minutes by camera, and the sessions that had one; capped."""

    def __init__(self, *, within_s: float = 600.0) -> None:
        self._within_s = within_s
        self._signs: dict[str, deque[_Sign]] = {}
        self._seen: dict[str, str] = {}

    def login(self, login: Login, now: float) -> None:
        """A judged login: one that the owner does not expect, and that may have worked."""
        if login.verdict == "unexpected" and login.outcome != "failure":
            worked = "logged in" if login.outcome == "success" else "tried to log in"
            self._add(login.camera, now, network(login.peer), f"somebody from there {worked} shortly before")

    def exposure(self, exposure: Exposure, now: float) -> None:
        """A way in that opened."""
        if exposure.state == "open":
            self._add(exposure.camera, now, None, "a way in to the camera was opened shortly before")

    def finding(self, finding: Finding, now: float) -> None:
        """A matter that was found and told: in its first days a camera meets new places all the time."""
        words = _FINDINGS.get(finding.type)
        if words and finding.peer and finding.told and not finding.over:
            self._add(finding.camera, now, network(finding.peer), words)

    def called(self, camera: str, peer: Peer, now: float) -> None:
        """The maker's server told the camera to call this address."""
        self._add(camera, now, network(peer), "the maker's server told the camera to call somebody there")

    def sign(self, session: Session, now: float, *, private_near: bool = False) -> str | None:
        """The second sign of an unsure viewing, in words; once it has one it keeps it until it is closed."""
        if session.cls not in VIEWING or session.confidence != "unsure":
            return None
        words = self._seen.get(session.id) or self._find(session, now)
        words = words or ("privacy hours are near" if private_near else None)
        if session.state == "closed":
            self._seen.pop(session.id, None)
        elif words:
            if len(self._seen) >= SEEN_MAX and session.id not in self._seen:
                del self._seen[next(iter(self._seen))]
            self._seen[session.id] = words
        return words

    def _find(self, session: Session, now: float) -> str | None:
        where = network(session.peer)
        for sign in reversed(self._signs.get(session.camera, ())):
            if now - sign.at <= self._within_s and sign.network in (None, where):
                return sign.words
        return None

    def _add(self, camera: str, now: float, where: str | None, words: str) -> None:
        self._signs.setdefault(camera, deque(maxlen=SIGNS_MAX)).append(_Sign(now, where, words))


def network(peer: Peer) -> str:
    """Who provides the other end: its autonomous system, else the network that one customer gets."""
    if peer.asn is not None:
        return f"AS{peer.asn}"
    return network_of(peer.ip, bits6=48)


def begins_beside(session: Session) -> bool:
    """Whether it began while the camera sends day and night: a rule that covers the one does not cover the other."""
    return BESIDE in session.evidence
