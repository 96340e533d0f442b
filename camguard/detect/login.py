"""Logins at a camera's doors. In: what was read of credentials and of their answers (protocols/), connections that
ended; out: Logins, not judged yet, their times on the guard's own clock.

- An attempt is a request with credentials; its answer says what became of it. The first 401, before any credentials, is
  the question and no attempt (RFC 7235 section 2.1), nor is a 401 that only asks for a newer nonce.
- Clients send their credentials with every request: on a connection on which they were believed, and from the same
  address within `same_s`, that is still the same login. After a failure the next success is one of its own.
- A connection of telnet, FTP or SSH is one session: every success there is a login, however soon after another.
- What the readers infer may depend on how the connection ends (`unanswered`: SSH's last word, a refused key).
- An answer that never came, and a connection to a known door of which nothing could be read ("too much talk to read"),
  are logins of unknown outcome.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from camguard.detect.newest import Newest
from camguard.events import TCP, Login, Outcome, Peer, id_of, unpack_key
from camguard.track import DEAF, Flow

ASKED_MAX = 2048
KNOWN_MAX = 4096
DOORS_MAX = 1024
#: Where cameras are spoken to (facts.md section 2): only used of connections of which nothing could be read.
USUAL_DOORS = {
    **{80: "http", 8080: "http", 554: "rtsp", 8554: "rtsp", 2020: "onvif"},
    **{21: "ftp", 22: "ssh", 2222: "ssh", 23: "telnet", 2323: "telnet"},
}
SESSIONS = frozenset({"telnet", "ftp", "ssh"})


class _Asked(NamedTuple):
    """Credentials that wait for their answer."""

    flow: Flow
    at: float
    detail: Mapping[str, object]


class Logins:
    """`answer_s`: how long an answer is waited for; `same_s`: credentials that were believed are the same login again
    so long after they were last seen; `unread_s`: of connections that could not be read one is told in so long."""

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        *,
        answer_s: float = 10.0,
        same_s: float = 60.0,
        unread_s: float = 60.0,
    ) -> None:
        self._camera_of, self._peer_of = camera_of, peer_of
        self._answer_s, self._same_s, self._unread_s = answer_s, same_s, unread_s
        self._asked: Newest[tuple[bytes, int], _Asked] = Newest(ASKED_MAX)
        self._ending: Newest[bytes, _Asked] = Newest(ASKED_MAX)
        self._believed: Newest[tuple[object, ...], float] = Newest(KNOWN_MAX)
        self._doors: Newest[tuple[int, int], str] = Newest(DOORS_MAX)
        self._unread: Newest[tuple[int, int, bytes], float] = Newest(KNOWN_MAX)
        self._number = 0
        self.counters = {"logins-evicted": 0}

    def heard(self, flow: Flow, detail: Mapping[str, object], now: float) -> list[Login]:
        """A Reading("login") of a connection in which the camera is the server."""
        self.speaks(flow, str(detail["service"]))
        key = (flow.key, int(str(detail["serial"])))
        self._ending.pop(flow.key, None)
        if detail["outcome"] is None and detail.get("unanswered"):
            self._asked.pop(key, None)
            self.counters["logins-evicted"] += self._ending.put(flow.key, _Asked(flow, now, detail))
            return []
        if detail["outcome"] is None:
            self.counters["logins-evicted"] += self._asked.put(key, _Asked(flow, now, detail))
            return []
        self._asked.pop(key, None)
        if detail["outcome"] == "challenge":
            return []
        return self._told(flow, detail, now)

    def answered(self, flow: Flow, detail: Mapping[str, object], now: float) -> list[Login]:
        """A Reading("login-answer"): RTSP inside HTTP asks on one connection and answers on another. Address, port and
        number join them; where several wait for the same number, the oldest takes the answer, and that is inferred."""
        ends, number = (flow.host, flow.host_port, flow.peer), int(str(detail["serial"]))
        waiting = [
            key
            for key, asked in self._asked.items()
            if key[1] == number
            and asked.detail.get("tunnel")
            and (asked.flow.host, asked.flow.host_port, asked.flow.peer) == ends
        ]
        if not waiting:
            return []  # it answers a request without credentials
        asked = self._asked.pop(waiting[0])
        if detail["outcome"] == "challenge":
            return []
        source = detail["outcome_source"] if len(waiting) == 1 else "inferred"
        found = {**asked.detail, "outcome": detail["outcome"], "outcome_source": source}
        return self._told(asked.flow, found, now)

    def speaks(self, flow: Flow, service: str) -> None:
        """The camera answers such talk on this port: a door at which one can log in."""
        door = (flow.host, flow.host_port)
        if self._doors.get(door) is None or service in ("rtsp", "onvif"):
            self._doors.put(door, service)

    def counted(self, flow: Flow, now: float) -> list[Login]:
        """A connection that ended: what that says of a login, and if not a word was handed up at a door, that nobody
        knows what was said."""
        ending = self._ending.pop(flow.key, None) if flow.over else None
        if ending:
            detail = {**ending.detail, "outcome": ending.detail["unanswered"], "outcome_source": "inferred"}
            return self._told(flow, detail, now)
        service = self._doors.get((flow.host, flow.host_port)) or USUAL_DOORS.get(flow.host_port)
        if service is None or flow.proto != TCP or not flow.over or flow.talk is not None or flow.was_running:
            return []
        if not flow.payload_up or not flow.payload_down or flow.opened_by_camera:
            return []
        key = (flow.host, flow.host_port, flow.peer)
        flow.talk = DEAF  # told, or part of what was told
        if now - self._unread.get(key, -self._unread_s) < self._unread_s:
            return []
        self._unread.put(key, now)
        return [self._login(flow, {"service": service}, "unknown", now)]

    def tick(self, now: float) -> list[Login]:
        """Answers that will not come any more."""
        out: list[Login] = []
        while self._asked:
            key, asked = next(iter(self._asked.items()))
            if now - asked.at < self._answer_s:
                break
            del self._asked[key]
            out += self._told(asked.flow, {**asked.detail, "outcome": "unknown", "outcome_source": "inferred"}, now)
        return out

    def drop(self, hosts: set[int]) -> None:
        """These numbers mean other cameras now."""
        tables: tuple[Newest[Any, Any], ...] = (self._believed, self._doors, self._unread)
        for table in tables:
            for known in [known for known in table if _host_of(known) in hosts]:
                del table[known]
        waiting: tuple[Newest[Any, _Asked], ...] = (self._asked, self._ending)
        for asked in waiting:
            for key in [key for key, one in asked.items() if one.flow.host in hosts]:
                del asked[key]

    def _told(self, flow: Flow, detail: Mapping[str, object], now: float) -> list[Login]:
        outcome: Outcome = detail["outcome"]  # type: ignore[assignment]
        if detail["service"] in SESSIONS:
            return [self._login(flow, detail, outcome, now)]
        who = (detail["service"], detail["scheme"], detail["user"])
        here, around = (flow.key, *who), (flow.host, flow.peer, *who)
        last = self._believed.get(around)
        again = here in self._believed or (last is not None and now - last < self._same_s)
        if outcome == "failure":
            self._believed.pop(here, None)
            self._believed.pop(around, None)
        elif outcome == "success":
            self._believed.put(here, now)
            self._believed.put(around, now)
        return [] if again and outcome != "failure" else [self._login(flow, detail, outcome, now)]

    def _login(self, flow: Flow, detail: Mapping[str, object], outcome: Outcome, now: float) -> Login:
        self._number += 1
        camera = self._camera_of(flow.host)
        default = detail.get("default_password")
        return Login(
            id=id_of(camera, f"{now:.6f}", self._number),
            time=now,
            camera=camera,
            peer=self._peer_of(flow),
            service=str(detail["service"]),
            scheme=_text(detail.get("scheme")),
            user=_text(detail.get("user")),
            outcome=outcome,
            outcome_source="inferred" if detail.get("outcome_source", "inferred") == "inferred" else "read",
            default_password=default if isinstance(default, bool) else None,
        )


def _host_of(key: tuple[object, ...]) -> object:
    """The camera's number: it stands in front, by itself or in the packed key of a connection."""
    return unpack_key(key[0]).host if isinstance(key[0], bytes) else key[0]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
