"""Events as dicts (contract.md has the fields), as JSON and as one line for the journal or a terminal. Pure."""

import json
from datetime import datetime
from typing import Any

from camguard.events import Alert, Decision, Event, Exposure, Fact, Health, Login, Notice, Session
from camguard.report.alerts import words
from camguard.report.exposure import exposure_words
from camguard.report.text import MAX_CAMERA, clean, clock, day, duration, name, rfc3339, seconds_of, size, when, zone_of
from camguard.report.who import peer_dict, peer_of, who_short

# ---- dicts -----------------------------------------------------------------------------------------------------------


def as_dict(event: Event | Fact, zone: str = "UTC") -> dict[str, Any]:
    """The event as in contract.md: all fields, null where unknown, text clean. `zone` is for the words of alerts.

    A Fact's `time` is its `at`: give facts whose `at` is wall-clock time.
    """
    if isinstance(event, Session):
        made = _session_dict(event)
    elif isinstance(event, Login):
        made = {"kind": "login", "time": rfc3339(event.time), "camera": event.camera, "id": event.id}
        made |= {"peer": peer_dict(event.peer)}
        made |= _fields(event, "service scheme user outcome outcome_source default_password verdict reason")
    elif isinstance(event, Exposure):
        made = {"kind": "exposure", "time": rfc3339(event.time), "camera": event.camera}
        made |= _fields(event, "id state what external_port internal_port transport")
        made |= {"peer": None if event.peer is None else peer_dict(event.peer), "until": rfc3339(event.until)}
    elif isinstance(event, Alert):
        made = _alert_dict(event, zone)
    elif isinstance(event, Notice):
        made = {"kind": "notice", "time": rfc3339(event.time), "camera": event.camera} | _fields(event, "what detail")
    elif isinstance(event, Health):
        made = {"kind": "health", "time": rfc3339(event.time), "camera": None} | _fields(event, "what value detail")
    elif isinstance(event, Decision):
        made = _decision_dict(event)
    else:
        made = {"kind": "fact", "time": rfc3339(event.at), "camera": None, "what": event.what}
        made |= {"client": _end(event.client), "server": _end(event.server), "detail": dict(event.detail)}
    return {key: _clean_value(value) for key, value in made.items()}


def alert_of(body: dict[str, Any]) -> Alert | None:
    """The alert that `as_dict` made `body` of; None for a damaged row."""
    same = ("id", "camera", "type", "severity", "confidence", "reason", "session", "count", "state")
    ended = body.get("ended") or (body.get("time") if body.get("state") == "closed" else None)
    try:
        return Alert(
            **{key: body[key] for key in same},
            time=seconds_of(body["time"]),
            raised=seconds_of(body["raised"]),
            started=seconds_of(body["started"]),
            evidence=tuple(body["evidence"]),
            peer=peer_of(body["peer"]),
            ended=None if ended is None else seconds_of(ended),
            bytes_up=int(body.get("bytes_up") or 0),
            detail=_detail(body.get("detail")),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _detail(kept: object) -> dict[str, str | int | float | None]:
    if not isinstance(kept, dict):
        return {}
    return {str(key): value for key, value in kept.items() if value is None or isinstance(value, str | int | float)}


def _fields(event: object, names: str) -> dict[str, Any]:
    return {name: getattr(event, name) for name in names.split()}


def _session_dict(event: Session) -> dict[str, Any]:
    return {
        "kind": "session",
        "time": rfc3339(event.time),
        "camera": event.camera,
        "id": event.id,
        "state": event.state,
        "peer": peer_dict(event.peer),
        **_fields(event, "transport protocol initiator"),
        "class": event.cls,
        "confidence": event.confidence,
        "started": rfc3339(event.started),
        "ended": rfc3339(event.ended),
        **_fields(event, "bytes_up bytes_down rate_kbps verdict reason"),
        "evidence": list(event.evidence),
    }


def _alert_dict(event: Alert, zone: str) -> dict[str, Any]:
    title, body = words(event, zone)
    return {
        "kind": "alert",
        "time": rfc3339(event.time),
        "camera": event.camera,
        **_fields(event, "id type severity"),
        "title": title,
        "body": body,
        **_fields(event, "confidence reason"),
        "evidence": list(event.evidence),
        "peer": None if event.peer is None else peer_dict(event.peer),
        "session": event.session,
        "raised": rfc3339(event.raised),
        "started": rfc3339(event.started),
        "count": event.count,
        "state": event.state,
        "ended": rfc3339(event.ended),
        "bytes_up": event.bytes_up,
        "detail": dict(event.detail),
    }


def _decision_dict(event: Decision) -> dict[str, Any]:
    return {
        "kind": "decision",
        "time": rfc3339(event.time),
        "camera": event.camera,
        **_fields(event, "who what"),
        "until": rfc3339(event.until),
        **_fields(event, "alert number wish mode revokes detail about when private used habit"),
        "peer": None if event.peer is None else peer_dict(event.peer),
    }


def _end(end: tuple[str, int]) -> dict[str, Any]:
    return {"ip": end[0], "port": end[1]}


def _clean_value(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _clean_value(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_clean_value(inner) for inner in value]
    return value


def to_json(made: dict[str, Any]) -> str:
    """One line of JSON; names of other alphabets stay readable."""
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


# ---- one line --------------------------------------------------------------------------------------------------------


def line(event: Event, zone: str = "UTC", *, dated: bool = False) -> str:
    """One line for the journal or a terminal: "22:14:03 critical: Somebody is ..."; `dated`: with the day in front."""
    at = (
        day(event.time, zone, seconds=True)
        if dated
        else f"{datetime.fromtimestamp(event.time, zone_of(zone)):%H:%M:%S}"
    )
    if isinstance(event, Alert):
        title, body = words(event, zone)
        return f"{at} {event.severity}: {title}. {body} [{name(event.id, 12)}]"
    if isinstance(event, Session):
        return f"{at} {session_words(event, zone)}"
    if isinstance(event, Login):
        return f"{at} {name(event.camera, MAX_CAMERA)}: {login_words(event)}"
    if isinstance(event, Exposure):
        return f"{at} {name(event.camera, MAX_CAMERA)}: {exposure_words(event, zone)}"
    if isinstance(event, Notice):
        camera = f"{name(event.camera, MAX_CAMERA)}: " if event.camera else ""
        return f"{at} {camera}{notice_words(event)}"
    if isinstance(event, Decision):
        return f"{at} decision {event.number}: {decision_words(event, zone)}"
    return f"{at} {health_words(event)}"


def notice_words(event: Notice) -> str:
    """What happened, as the one who saw it wrote it down; else its name."""
    return clean(event.detail, 160) or name(event.what.replace("-", " "), 40)


def health_words(event: Health) -> str:
    """How the guard does, in a sentence: "camguard uses 41.5 MB of memory"."""
    words_of = {
        ("memory", "MB"): f"camguard uses {event.value:g} MB of memory",
        ("cpu", "percent of one core"): f"camguard uses {event.value:g} percent of one processor core",
        ("store", "MB"): f"the record takes {event.value:g} MB",
    }
    own = words_of.get((event.what, event.detail))
    return own or clean(event.detail, 160) or f"{name(event.what.replace('-', ' '), 40)}: {event.value:g}"


def decision_words(event: Decision, zone: str) -> str:
    """What was decided, in words: "porch may be viewed by anna's phone until 22:00 (terminal)"."""
    camera = name(event.camera, MAX_CAMERA) if event.camera else "every camera"
    until = f" until {when(event.until, event.time, zone)}" if event.until is not None else ""
    viewer = who_short(event.peer) if event.peer else "somebody"
    which = camera if event.camera else "any camera"
    over = event.until is not None and event.until <= event.time  # "silence" for no time takes one back
    once = ", this time only: settled" if event.used else ", this time only"
    how_long = {"once": once, "always": ", from now on"}.get(event.mode or "", until)
    how_long = f" {clean(event.when, 60)}{how_long}" if event.when else how_long
    how_long += ", also in privacy hours" if event.private and event.mode != "once" else ""
    if event.what == "allow" and event.peer is None:
        return f"what alert {name(event.alert or '', 12)} says of {camera} is fine{how_long} ({clean(event.who, 40)})"
    words_of = {
        "allow": f"{camera} may be viewed by {viewer}{how_long}",
        "revoke": f"decision {event.revokes} is taken back",
        "watching": f"the owner is watching {camera}{until}",
        "silence": f"the silence about {which} is ended"
        if over
        else f"no notifications about {which}{until}; the record goes on",
        "presence": clean(event.detail, 60),
        "learn": clean(event.detail, 160),
    }
    return f"{words_of[event.what]} ({clean(event.who, 40)})"


def fact_line(fact: Fact, zone: str) -> str:
    """One line for a fact (its `at` is wall-clock time): what, from where to where, what was read."""
    ends = " -> ".join(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip, port in (fact.client, fact.server))
    detail = [f"{key}={_detail_word(value)}" for key, value in fact.detail.items() if value not in (None, (), "")]
    return f"{day(fact.at, zone, seconds=True)} {fact.what} {ends} {clean(' '.join(detail), 300)}".rstrip()


def _detail_word(value: object) -> str:
    return ",".join(str(one) for one in value) if isinstance(value, tuple) else str(value)


OUTCOME_WORDS = {"success": "worked", "failure": "refused", "unknown": "not known"}


def login_words(event: Login) -> str:
    """A login in one sentence, without its camera: "login as admin by OVH, France over http: refused"."""
    user = f" as {name(event.user, 24)}" if event.user else ""
    outcome = {"unknown": "nobody knows if it worked"}.get(event.outcome, OUTCOME_WORDS[event.outcome])
    sure = ", as it seems" if event.outcome_source == "inferred" and event.outcome != "unknown" else ""
    verdict = f", {event.verdict}" if event.verdict else ""
    default = ", with a maker's default password or none" if event.default_password else ""
    return f"login{user} by {who_short(event.peer)} over {name(event.service, 12)}: {outcome}{sure}{verdict}{default}"


CLASS_WORDS = {
    "stream": "live video",
    "playback": "recordings",
    "talk": "talk",
    "clip": "clip",
    "heartbeat": "sign of life",
    "download": "download",
    "control": "turning it",
    "unknown": "unclear",
}


def session_words(event: Session, zone: str) -> str:
    """A session in one sentence: "porch: live video to OVH, France (certain, unexpected) since 22:14"."""
    camera, what = name(event.camera, MAX_CAMERA), CLASS_WORDS.get(event.cls, "unclear")
    verdict = f", {event.verdict}" if event.verdict else ""
    text = f"{camera}: {what} with {who_short(event.peer)} ({event.confidence}{verdict})"
    if event.state == "closed":
        length = duration((event.ended if event.ended is not None else event.time) - event.started)
        return f"{text} ended after {length}, {size(event.bytes_up)}"
    rate = f", {event.rate_kbps} kbit/s" if event.rate_kbps else ""  # at its opening nothing was measured yet
    return f"{text} since {clock(event.started, zone)}{rate}"
