"""Events -> one dict (contract.md), one title and body, one line. Every sentence about an event is written here (pure).

Names in the words come from the network and from the owner: they are cleaned of control characters, of characters that
turn the direction of writing, and of markup brackets, and cut. Times in sentences are local to `zone` (a name such as
"Europe/Berlin"); times in dicts are RFC 3339, UTC, milliseconds.
"""

import json
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from camguard.events import Alert, Event, Fact, Health, Notice, Peer, Session

MAX_TITLE, MAX_BODY, MAX_CAMERA, MAX_WHO, MAX_DETAIL = 60, 200, 20, 40, 2000
MAX_MARKS = 3  # combining marks on one letter; more is a trick to draw over other lines


# ---- text that others wrote ------------------------------------------------------------------------------------------


def clean(text: str, limit: int = MAX_DETAIL) -> str:
    """`text` on one line, at most `limit` long, without control, direction-turning and unassigned characters."""
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    kept: list[str] = []
    marks = 0
    for raw in text[: limit * 4]:
        category = unicodedata.category(raw)
        char = " " if category in ("Cc", "Zl", "Zp", "Zs") else raw
        if category[0] == "C" and char == raw:
            continue
        marks = marks + 1 if category[0] == "M" else 0
        if marks <= MAX_MARKS and not (char == " " and (not kept or kept[-1] == " ")):
            kept.append(char)
    return cut("".join(kept).strip(), limit)


def cut(text: str, limit: int) -> str:
    """`text` with at most `limit` characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _name(text: str, limit: int) -> str:
    """A name for a sentence: clean, no markup brackets, cut."""
    return clean(text.replace("<", " ").replace(">", " "), limit) or "?"


# ---- times and sizes -------------------------------------------------------------------------------------------------


def rfc3339(time: float | None) -> str | None:
    """Wall-clock seconds -> "2026-11-24T20:14:03.250Z"."""
    if time is None:
        return None
    millis = round(time * 1000)
    whole = datetime.fromtimestamp(millis // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"


def seconds_of(text: str) -> float:
    """The other way: RFC 3339 -> wall-clock seconds."""
    return datetime.fromisoformat(text).timestamp()


@lru_cache(maxsize=8)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def clock(time: float, zone: str) -> str:
    """The local hour: "22:14"."""
    return f"{datetime.fromtimestamp(time, _zone(zone)):%H:%M}"


def day(time: float, zone: str, seconds: bool = False) -> str:
    """Local day and hour: "23 Nov 22:14"."""
    local = datetime.fromtimestamp(time, _zone(zone))
    return f"{local.day} {local:%b %H:%M:%S}" if seconds else f"{local.day} {local:%b %H:%M}"


def when(time: float, now: float, zone: str) -> str:
    """The hour, with the day where it is another one than that of `now`."""
    same = datetime.fromtimestamp(time, _zone(zone)).date() == datetime.fromtimestamp(now, _zone(zone)).date()
    return clock(time, zone) if same else day(time, zone)


def duration(seconds: float) -> str:
    """A length in words: "40 seconds", "12 minutes", "3 h 5 min", "2 d 4 h"."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} second{'' if whole == 1 else 's'}"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} minutes"
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(amount: float) -> str:
    """Bytes in words, decimal: "900 kB", "104 MB", "1.2 GB"."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= one * 0.9995:
            value = amount / one
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{amount:.0f} bytes"


# ---- who -------------------------------------------------------------------------------------------------------------


def who(peer: Peer | None) -> str:
    """The other end for a sentence: "an address of OVH in France (51.68.x.x)", "your NVR", "an unknown device ..."."""
    if peer is None:
        return "somebody"
    address = _name(peer.ip, 39)
    if peer.device and peer.device != peer.ip:
        return f"your device {_name(peer.device, 28)}"
    if peer.scope == "lan":
        return f"an unknown device in your home network ({address})"
    if peer.scope == "gateway":
        return f"your router ({address})"
    if peer.scope == "multicast":
        return f"every device in your home network ({address})"
    if peer.org:
        place = f" in {_name(peer.country, 24)}" if peer.country and peer.country not in peer.org else ""
        return f"an address of {_name(peer.org, MAX_WHO)}{place} ({masked(peer.ip)})"
    if peer.country:
        return f"an address in {_name(peer.country, 24)} ({masked(peer.ip)})"
    if peer.name:
        return f"{_name(peer.name, MAX_WHO)} ({masked(peer.ip)})"
    if _private(peer.ip):
        return f"somebody behind your router ({address})"
    return f"an unknown address outside ({masked(peer.ip)})"


def who_short(peer: Peer | None) -> str:
    """The other end for a table: "OVH, France", the name the owner gave, "192.168.1.77 (at home)"."""
    if peer is None:
        return ""
    if peer.device:
        return _name(peer.device, MAX_WHO)
    if peer.scope in ("lan", "gateway", "multicast"):
        word = {"lan": "at home", "gateway": "router", "multicast": "everybody at home"}[peer.scope]
        return f"{_name(peer.name or peer.ip, MAX_WHO)} ({word})"
    first = peer.org or peer.name or ""
    known = [_name(part, MAX_WHO) for part in (first, peer.country) if part and (part is first or part not in first)]
    return ", ".join(known) or f"{_name(peer.ip, MAX_WHO)} (outside)"


def masked(ip: str) -> str:
    """An address for a lock screen: enough to recognise, not enough to be taken for a name."""
    if ":" in ip:
        parts = [part for part in ip.split(":") if part][:2]
        return ":".join(_name(part, 4) for part in parts) + ":x"
    parts = ip.split(".")
    return f"{_name(parts[0], 3)}.{_name(parts[1], 3)}.x.x" if len(parts) == 4 else _name(ip, 15)


def _private(ip: str) -> bool:
    return ip.startswith(("10.", "192.168.", "169.254.", "fc", "fd", "fe80:")) or (
        ip.startswith("172.") and ip.split(".")[1].isdigit() and 16 <= int(ip.split(".")[1]) <= 31
    )


#: What judge/rules.py says when no rule speaks of the viewer.
USUAL_REASON = "it is none of your devices and nothing you expect"


# ---- title and body of an alert --------------------------------------------------------------------------------------


def words(alert: Alert, zone: str = "UTC") -> tuple[str, str]:
    """Title (at most 60 characters) and body (at most 200) of an alert, for a person."""
    title, body = _WORDS.get(alert.type, _other)(alert, _name(alert.camera, MAX_CAMERA), zone)
    return cut(title, MAX_TITLE), cut(body, MAX_BODY)


def _length_s(alert: Alert) -> float:
    return (alert.ended if alert.ended is not None else alert.time) - alert.started


def _since(alert: Alert, zone: str) -> str:
    return when(alert.started, alert.time, zone)


def _doing(alert: Alert) -> tuple[str, str]:
    """What is done with the camera: ("watching", "live video"), also for recordings and for talking through it."""
    kind = alert.detail.get("class")
    if kind == "playback":
        return "watching recordings", "recorded video"
    if kind == "talk":
        return "talking through it", "sound"
    return "watching", "live video" if alert.confidence == "certain" else "video"


def _through(alert: Alert) -> str | None:
    """The maker whose cloud the video goes through, where it does."""
    maker = alert.detail.get("through_cloud")
    return _name(str(maker), 20) if maker else None


def _reason(alert: Alert) -> str:
    """Why the owner is told, as a sentence without its full stop; "" for the usual reason."""
    reason = _name(alert.reason, 72) if alert.reason else ""
    return "" if reason in ("", USUAL_REASON) else _capital(reason).rstrip(".")


def _again(alert: Alert) -> str:
    """ " (3rd time)" when a viewer came back."""
    if alert.count < 2:
        return ""
    last = alert.count % 10 if alert.count % 100 not in (11, 12, 13) else 0
    return f" ({alert.count}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(last, 'th') } time)"


def _fit(first: str, middle: str, last: str) -> str:
    """Three sentences in the room that a body has: the middle one is left out first; the next step always stays."""
    whole = " ".join(part for part in (first, middle, last) if part)
    return whole if len(whole) <= MAX_BODY else f"{cut(first, MAX_BODY - len(last) - 1)} {last}"


def _goes(alert: Alert, zone: str) -> str:
    """The first sentence: since when, what, to whom, as sure as it is."""
    since, what = _since(alert, zone), _doing(alert)[1]
    maker = _through(alert)
    target = f"through the maker's cloud ({maker})" if maker else f"to {who(alert.peer)}"
    if alert.confidence == "certain":
        return f"Since {since}, {what} is going {target}."
    if alert.confidence == "likely":
        return f"Since {since}, something that looks like {what} is going {target}."
    return f"Since {since}, much is going {target}; camguard cannot tell if it is video."


def _watching(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    """remote-stream, and what all alerts about viewing share: still, ended."""
    doing, _ = _doing(alert)
    if alert.state == "closed":
        return _watching_ended(alert, camera, zone)
    if alert.state == "update":
        sure = "Still watching" if alert.confidence == "certain" else "Perhaps still watching"
        return f"{sure} {camera}: {duration(_length_s(alert))}", f"{_goes(alert, zone)} Was this you?"
    if alert.confidence == "unsure":
        title = f"Cannot tell if {camera} is being watched"
    elif alert.confidence == "likely":
        title = f"Your {camera} camera may be being watched"
    else:
        title = f"Somebody is {doing}: {camera}"
    title += _again(alert)
    if _through(alert):
        return title, _fit(_goes(alert, zone), "Only the app's own history can say who looks.", "Was this you?")
    usual = _capital(USUAL_REASON)
    if alert.peer is not None and alert.peer.device:
        usual = "No rule of yours allows it"
    return title, _fit(_goes(alert, zone), f"{_reason(alert) or usual}.", "Was this you?")


def _watching_ended(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    ended = alert.ended if alert.ended is not None else alert.time
    length, what = duration(_length_s(alert)), _doing(alert)[1]
    first, last = when(alert.started, ended, zone), clock(ended, zone)
    span = f"from {first} to {last}" if first != last else f"at {first}"
    span += f" ({size(alert.bytes_up)})"
    got = f"received {what}" if alert.confidence == "certain" else f"may have received {what}"
    maker = _through(alert)
    target = f"The maker's cloud ({maker})" if maker else _capital(who(alert.peer))
    title = f"Watching ended: {camera}, {length}"
    if alert.confidence != "certain":
        title = f"It ended: {camera}, {length}"
    return title, f"{target} {got} {span}. The record is kept: camguard sessions"


def _lan(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    if alert.state != "open":
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
    return title + _again(alert), _fit(_goes(alert, zone), f"{why}." if why else "", step)


def _privacy(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    if alert.state != "open":
        return _watching(alert, camera, zone)
    sure = "Watched" if alert.confidence == "certain" else "Perhaps watched"
    why = _reason(alert) or "You said that nobody may watch now"
    return f"{sure} against your wish: {camera}{_again(alert)}", _fit(_goes(alert, zone), f"{why}.", "Was this you?")


_BLIND = {
    "nothing": "No traffic seen since {since}.",
    "broadcast-only": "Since {since} only its calls to everybody are seen, not what it sends to one place.",
    "up-only": "Since {since} only what it sends is seen, not what it receives.",
    "down-only": "Since {since} only what it receives is seen, not what it sends.",
    "interface-gone": "The network interface {interface} is gone since {since}.",
}


def _blind(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    one = bool(alert.camera) and alert.camera != "*"
    what = camera if one else "your cameras"
    length = duration(_length_s(alert))
    if alert.state == "closed":
        ended = alert.ended if alert.ended is not None else alert.time
        return (
            f"camguard sees {what} again",
            f"From {when(alert.started, ended, zone)} to {clock(ended, zone)} ({length}) no alert could come for "
            f"{'this camera' if one else 'any camera'}. Now it is seen.",
        )
    how = str(alert.detail.get("how") or "nothing")
    interface = _name(str(alert.detail.get("interface") or ""), 15) if alert.detail.get("interface") else ""
    first = _BLIND.get(how, _BLIND["nothing"]).format(since=_since(alert, zone), interface=interface)
    first = first.replace("  ", " ")
    partly = how in ("up-only", "down-only", "broadcast-only")
    whom = "this camera" if one else "any camera"
    if how == "up-only":
        lost = "Log-ins and commands to it will be missed."
    else:
        lost = f"Until this is fixed, no alert can come for {whom}."
    if alert.state == "update":
        title = f"Still not seeing {what}: {length}"
    else:
        title = f"camguard sees only a part of {what}" if partly else f"camguard cannot see {what} any more"
    return title, f"{first} {lost} Run: camguard check"


#: The alerts of later versions: what is said until they have words of their own.
_OTHER = {
    "remote-login": "Somebody logged in to {} from outside",
    "lan-login": "Somebody at home logged in to {}",
    "brute-force": "Somebody is guessing the password of {}",
    "default-password": "{} uses its factory password",
    "exposed-port": "{} was opened to the internet",
    "camera-attacks": "{} is contacting many strangers",
    "port-scan": "Somebody is trying the doors of {}",
    "new-destination": "{} talks to a new place",
    "stale-password": "Something still tries an old password on {}",
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
    "guard-blind": _blind,
}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def matter(made: dict[str, Any]) -> str:
    """What a recorded alert is about, for a table: "Somebody is watching: OVH, France" """
    sure = made["confidence"] == "certain"
    watched = "Somebody is watching" if sure else "May be being watched"
    first = {
        "remote-stream": watched,
        "lan-stream": "Somebody at home is watching" if sure else "May be being watched at home",
        "privacy": "Watched against your wish" if sure else "Perhaps watched against your wish",
        "guard-blind": "camguard cannot see it",
    }.get(made["type"])
    if first is None:
        first = _capital(_OTHER.get(made["type"], made["type"]).replace("{}", "it"))
    whom = who_short(peer_of(made["peer"]))
    return f"{first}: {whom}" if whom else first


# ---- dicts -----------------------------------------------------------------------------------------------------------


def as_dict(event: Event | Fact, zone: str = "UTC") -> dict[str, Any]:
    """The event as in contract.md: all fields, null where unknown, text clean. `zone` is for the words of alerts.

    A Fact's `time` is its `at`: give facts whose `at` is wall-clock time.
    """
    if isinstance(event, Session):
        made = _session_dict(event)
    elif isinstance(event, Alert):
        made = _alert_dict(event, zone)
    elif isinstance(event, Notice):
        made = {"kind": "notice", "time": rfc3339(event.time), "camera": event.camera} | _fields(event, "what detail")
    elif isinstance(event, Health):
        made = {"kind": "health", "time": rfc3339(event.time), "camera": None} | _fields(event, "what value detail")
    else:
        made = {"kind": "fact", "time": rfc3339(event.at), "camera": None, "what": event.what}
        made |= {"client": _end(event.client), "server": _end(event.server), "detail": dict(event.detail)}
    return {key: _clean_value(value) for key, value in made.items()}


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
    }


PEER_FIELDS = ("ip", "port", "name", "scope", "asn", "org", "country", "mac", "device")


def peer_dict(peer: Peer) -> dict[str, Any]:
    """The other end with all fields."""
    return {name: getattr(peer, name) for name in PEER_FIELDS}


def peer_of(made: dict[str, Any] | None) -> Peer | None:
    """A peer from its dict (what the store keeps)."""
    return None if made is None else Peer(**{key: made[key] for key in PEER_FIELDS})


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
    at = day(event.time, zone, seconds=True) if dated else f"{datetime.fromtimestamp(event.time, _zone(zone)):%H:%M:%S}"
    if isinstance(event, Alert):
        title, body = words(event, zone)
        return f"{at} {event.severity}: {title}. {body} [{_name(event.id, 12)}]"
    if isinstance(event, Session):
        return f"{at} {session_words(event, zone)}"
    if isinstance(event, Notice):
        camera = f"{_name(event.camera, MAX_CAMERA)}: " if event.camera else ""
        return f"{at} {camera}{_name(event.what, 20)}: {clean(event.detail, 160)}"
    return (
        f"{at} health: {_name(event.what, 40)} {event.value:g}{' ' + clean(event.detail, 120) if event.detail else ''}"
    )


def fact_line(fact: Fact, zone: str) -> str:
    """One line for a fact (its `at` is wall-clock time): what, from where to where, what was read."""
    ends = " -> ".join(f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}" for ip, port in (fact.client, fact.server))
    detail = [f"{key}={_detail_word(value)}" for key, value in fact.detail.items() if value not in (None, (), "")]
    return f"{day(fact.at, zone, seconds=True)} {fact.what} {ends} {clean(' '.join(detail), 300)}".rstrip()


def _detail_word(value: object) -> str:
    return ",".join(str(one) for one in value) if isinstance(value, tuple) else str(value)


CLASS_WORDS = {
    "stream": "live video",
    "playback": "recordings",
    "talk": "talk",
    "clip": "clip",
    "heartbeat": "sign of life",
    "download": "download",
    "control": "control",
    "unknown": "unclear",
}


def session_words(event: Session, zone: str) -> str:
    """A session in one sentence: "porch: live video to OVH, France (certain, unexpected) since 22:14"."""
    camera, what = _name(event.camera, MAX_CAMERA), CLASS_WORDS.get(event.cls, "unclear")
    verdict = f", {event.verdict}" if event.verdict else ""
    text = f"{camera}: {what} with {who_short(event.peer)} ({event.confidence}{verdict})"
    if event.state == "closed":
        length = duration((event.ended if event.ended is not None else event.time) - event.started)
        return f"{text} ended after {length}, {size(event.bytes_up)}"
    return f"{text} since {clock(event.started, zone)}, {event.rate_kbps} kbit/s"
