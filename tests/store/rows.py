"""Rows for tests of the store: an alert and a session, as report.as_dict would make them, in short."""

from camguard.store import Row, rfc3339

T0 = 1_795_000_000.0


def alert(number: int, time: float = T0, state: str = "open") -> Row:
    body = {
        "kind": "alert", "time": rfc3339(time), "camera": "porch", "id": f"a{number}", "type": "remote-stream",
        "state": state, "title": "Somebody is watching: porch", "raised": rfc3339(T0 + number), "count": 1,
    }  # fmt: skip
    return Row("alert", time, "porch", f"a{number}", state, body)


def session(number: int, time: float = T0, state: str = "open", size: int = 0) -> Row:
    body = {
        "kind": "session", "time": rfc3339(time), "camera": "porch", "id": f"s{number}", "state": state,
        "started": rfc3339(time), "ended": rfc3339(time + 5) if state == "closed" else None, "evidence": ["x" * size],
    }  # fmt: skip
    return Row("session", time, "porch", f"s{number}", state, body)


def login(number: int, time: float = T0, outcome: str = "failure", camera: str = "porch") -> Row:
    body = {"kind": "login", "time": rfc3339(time), "camera": camera, "id": f"l{number}", "outcome": outcome}
    return Row("login", time, camera, f"l{number}", None, body)


def exposure(number: int, time: float = T0, state: str = "open", until: float | None = None) -> Row:
    body = {
        "kind": "exposure", "time": rfc3339(time), "camera": "porch", "id": f"e{number}", "state": state,
        "what": "upnp-mapping", "until": None if until is None else rfc3339(until),
    }  # fmt: skip
    return Row("exposure", time, "porch", f"e{number}", state, body)
