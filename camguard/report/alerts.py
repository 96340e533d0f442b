"""Title and body of every alert (ux.md section 8). In: an Alert and the home's time zone; out: two texts. Pure.

Order in each: what, which camera; since when; who as organisation and country; how sure; one next step. "is watching"
is said of what was recognised as video, "may be being watched" of what only looks like it.
"""

import re
from collections.abc import Callable
from typing import Any

from camguard.events import Alert
from camguard.report import attacks, blind, exposure, logins
from camguard.report.text import (
    MAX_BODY,
    MAX_CAMERA,
    MAX_TITLE,
    MAX_WHO,
    capital,
    clock,
    cut,
    duration,
    fit,
    name,
    size,
    when,
)
from camguard.report.who import peer_of, who, who_short

#: How the title of a matter begins that ended because the owner said so.
SETTLED = "Settled:"
#: What judge/rules.py says when no rule speaks of the viewer.
USUAL_REASON = "it is none of your devices and nothing you expect"


# ---- title and body of an alert --------------------------------------------------------------------------------------


def words(alert: Alert, zone: str = "UTC") -> tuple[str, str]:
    """Title (at most 60 characters) and body (at most 200) of an alert, for a person."""
    camera = name(alert.camera or "", MAX_CAMERA)
    if alert.state == "closed" and alert.detail.get("settled"):
        title, body = _settled(alert, camera, zone)
    else:
        title, body = _WORDS.get(alert.type, _other)(alert, camera, zone)
    return cut(title, MAX_TITLE), cut(body, MAX_BODY)


def _length_s(alert: Alert) -> float:
    return (alert.ended if alert.ended is not None else alert.time) - alert.started


FRESH_S = 60.0


def _news(alert: Alert) -> bool:
    """Whether it is told as something new: opened, or surer right after that."""
    return alert.state == "open" or (alert.state == "update" and alert.count < 2 and _length_s(alert) < FRESH_S)


def _since(alert: Alert, zone: str) -> str:
    return when(alert.started, alert.time, zone)


def _doing(alert: Alert) -> tuple[str, str]:
    """What is done with the camera: ("watching", "live video"), also for recordings, talking, turning."""
    kind = alert.detail.get("class")
    if kind == "playback":
        return "watching recordings", "recorded video"
    if kind == "talk":
        return "talking through it", "sound"
    if kind == "control":
        return "turning it", "commands"
    return "watching", "live video" if alert.confidence == "certain" else "video"


def _through(alert: Alert) -> str | None:
    """The maker whose cloud the video goes through, where it does."""
    maker = alert.detail.get("through_cloud")
    return name(str(maker), 20) if maker else None


def _reason(alert: Alert) -> str:
    """Why the owner is told, as a sentence without its full stop; "" for the usual reason."""
    reason = name(alert.reason, 72) if alert.reason else ""
    return "" if reason in ("", USUAL_REASON) else capital(reason).rstrip(".")


def _again(alert: Alert) -> str:
    """ " (3rd time)" when a viewer came back."""
    if alert.count < 2:
        return ""
    last = alert.count % 10 if alert.count % 100 not in (11, 12, 13) else 0
    return f" ({alert.count}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') } time)"


def _goes(alert: Alert, zone: str) -> str:
    """The first sentence: since when, what, to whom, as sure as it is."""
    since, what = _since(alert, zone), _doing(alert)[1]
    maker = _through(alert)
    target = f"through the maker's cloud ({maker})" if maker else f"to {who(alert.peer)}"
    if _hidden(alert) and not maker:
        target = f"through {who(alert.peer)}, which hides who gets it"
    if what in ("sound", "commands") and alert.confidence == "certain":
        does = "talks through the camera" if what == "sound" else "turns the camera or gives it other commands"
        return f"Since {since}, {who(alert.peer)} {does}."
    if alert.confidence == "certain":
        return f"Since {since}, {what} is going {target}."
    if alert.confidence == "likely":
        return f"Since {since}, something that looks like {what} is going {target}."
    return f"Since {since}, much is going {target}; camguard cannot tell if it is video."


def _hidden(alert: Alert) -> bool:
    """Whether all that is seen of the viewer is the router."""
    return alert.peer is not None and alert.peer.scope == "gateway" and not alert.peer.device


def _watching(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    """remote-stream, and what all alerts about viewing share: still, ended."""
    doing, _ = _doing(alert)
    if alert.state == "closed":
        return _watching_ended(alert, camera, zone)
    if not _news(alert):
        sure = f"Still {doing if alert.detail.get('class') in ('talk', 'control') else 'watching'}"
        sure = sure if alert.confidence == "certain" else "Perhaps still watching"
        how_long = _again(alert) or f": {duration(_length_s(alert))}"  # with pauses in it there is no one length
        return f"{sure} {camera}{how_long}", f"{_goes(alert, zone)} Was this you?"
    if alert.confidence == "unsure":
        title = f"Cannot tell if {camera} is being watched"
    elif alert.confidence == "likely":
        title = f"Your {camera} camera may be being watched"
    else:
        title = f"Somebody is {doing}: {camera}"
    title += _again(alert)
    if _through(alert):
        history = "Only the app's own history can say who looks."
        if alert.detail.get("phones") == "none":  # some are configured and at home
            history = "None of your phones is on it. The app's own history can say who."
        return title, fit(_goes(alert, zone), history, "Was this you?")
    usual = capital(USUAL_REASON)
    if alert.peer is not None and alert.peer.device:
        usual = "No rule of yours allows it"
    elif _hidden(alert):
        usual = "No rule of yours speaks of it"
    return title, fit(_goes(alert, zone), f"{_reason(alert) or usual}.", "Was this you?")


def _watching_ended(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    ended = alert.ended if alert.ended is not None else alert.time
    length, (doing, what) = duration(_length_s(alert)), _doing(alert)
    first, last = when(alert.started, ended, zone), clock(ended, zone)
    span = f"from {first} to {last}" if first != last else f"at {first}"
    if alert.count > 1:  # with pauses, of which the alert does not say how long they were
        length = f"{alert.count} times"
        span = f"{length} between {first} and {last}" if first != last else f"{length} at {first}"
    span += f" ({size(alert.bytes_up)})"
    got = f"received {what}" if alert.confidence == "certain" else f"may have received {what}"
    if what in ("sound", "commands"):
        got = "talked through the camera" if what == "sound" else "turned the camera or gave it other commands"
    maker = _through(alert)
    target = f"The maker's cloud ({maker})" if maker else capital(who(alert.peer))
    if _hidden(alert) and not maker:
        target = f"Somebody behind {who(alert.peer)}"
    title = f"{capital(doing) if what in ('sound', 'commands') else 'Watching'} ended: {camera}, {length}"
    if alert.confidence != "certain":
        title = f"It ended: {camera}, {length}"
    return title, fit(f"{target} {got} {span}.", "The record is kept.", "Not you? Safe next steps: docs/safety.md")


def _lan(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    if not _news(alert):
        return _watching(alert, camera, zone)
    doing, _ = _doing(alert)
    if alert.confidence == "certain":
        title = f"Somebody at home is {doing}: {camera}"
    elif alert.confidence == "likely":
        title = f"Somebody at home may be watching {camera}"
    else:
        title = f"Cannot tell if {camera} is being watched"
    known = alert.peer is not None and alert.peer.device
    why = _reason(alert) or ("No rule of yours allows it" if known else "")
    step = "Was this you?" if why else "Name it if it is yours."
    return title + _again(alert), fit(_goes(alert, zone), f"{why}." if why else "", step)


def _privacy(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    if not _news(alert):
        return _watching(alert, camera, zone)
    sure = "Watched" if alert.confidence == "certain" else "Perhaps watched"
    why = _reason(alert) or "You said that nobody may watch now"
    return f"{sure} against your wish: {camera}{_again(alert)}", fit(_goes(alert, zone), f"{why}.", "Was this you?")


_DECISION = re.compile(r" \(decision (\d+)\)$")


def _settled(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    """A matter that ended because the owner, or a rule, says that it is fine; the viewing may go on."""
    reason = str(alert.detail["settled"])
    found = _DECISION.search(reason)
    said = _DECISION.sub("", reason)
    by = name(str(alert.detail["settled_by"]), 24) if alert.detail.get("settled_by") else ""
    until = alert.detail.get("settled_until")
    title = f"{SETTLED} {camera}"
    if said.startswith("you "):
        title += f", {name(said, MAX_TITLE)}"
    if isinstance(until, int | float):
        holds = f"That holds until {when(float(until), alert.time, zone)}; camguard goes on looking."
    elif "it was you" in said:
        holds = "That holds for this viewing only; camguard goes on looking."
    else:
        holds = "camguard goes on looking."
    subject = exposure.door(alert) if alert.type in exposure.TYPES else who(alert.peer)
    first = f"{capital(subject)}: {name(said, 72)}{f' ({by})' if by else ''}."
    undo = f"Undo: camguard allow --revoke {found[1]}" if found else ""
    return title, fit(f"{first} {holds}", "", undo)


#: The alerts of later versions: what is said until they have words of their own.
_OTHER = {
    "camera-attacks": "{} is contacting many strangers",
    "port-scan": "Somebody is trying the doors of {}",
    "new-destination": "{} talks to a new place",
}


def _other(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    title = _OTHER.get(alert.type, "Something to look at: {}").format(camera)
    whom = f" It was {who(alert.peer)}." if alert.peer else ""
    if alert.state == "closed":
        return f"It ended: {camera}, {duration(_length_s(alert))}", f"It began at {_since(alert, zone)}.{whom}"
    return title, f"Seen since {_since(alert, zone)}.{whom} Look: camguard alerts"


_WORDS: dict[str, Callable[[Alert, str, str], tuple[str, str]]] = {
    "remote-stream": _watching,
    "lan-stream": _lan,
    "privacy": _privacy,
    "guard-blind": lambda alert, _camera, zone: blind.words(alert, zone),
    **dict.fromkeys(exposure.TYPES, lambda alert, _camera, zone: exposure.words(alert, zone)),
    **dict.fromkeys(attacks.TYPES, lambda alert, _camera, zone: attacks.words(alert, zone)),
    **dict.fromkeys(logins.TYPES, lambda alert, _camera, zone: logins.words(alert, zone)),
}


def matter(made: dict[str, Any]) -> str:
    """What a recorded alert is about, for a table: "Somebody is watching: OVH, France" """
    sure, grave = made["confidence"] == "certain", made["severity"] == "critical"
    watched = "Somebody is watching" if sure else "May be being watched"
    first = {
        "remote-stream": watched,
        "lan-stream": "Somebody at home is watching" if sure else "May be being watched at home",
        "privacy": "Watched against your wish" if sure else "Perhaps watched against your wish",
        "guard-blind": "camguard cannot see it",
        "exposed-port": exposure.matter(made),
        "remote-login": "Somebody logged in from outside" if grave else "Somebody outside tried to log in",
        "lan-login": "A login by somebody at home",
        "brute-force": "Its password was guessed" if grave else "Somebody is guessing its password",
        "default-password": "It uses its factory password",
        "stale-password": "Something tries an old password",
    }.get(made["type"])
    if made["type"] == "guard-blind" and not made["camera"]:
        return capital(name(made["reason"] or made["title"], MAX_TITLE))  # of the guard itself
    if first is None:
        first = capital(_OTHER.get(made["type"], made["type"]).replace("{}", "it"))
    place = made["detail"].get("place") if made["type"] == "new-destination" and made.get("detail") else None
    whom = name(str(place), MAX_WHO) if place else who_short(peer_of(made["peer"]))
    return f"{first}: {whom}" if whom else first
