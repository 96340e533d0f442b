"""Home Assistant's view of the home: which topics there are and which states hold, as topic -> payload. Pure.

In: the cameras of the configuration, now.json, the latest viewing of each camera, an alert as in contract.md. Out:
texts for topics; docs/mqtt.md is their reference, announce.py tells Home Assistant of them. No state changes unless a
fact changed, so that a caller may publish what differs from before and nothing else. Names come from the owner and from
the network: only `slug`s of the owner's camera names are used in topics and ids; names in payloads are clean and cut.
"""

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from camguard import __version__, report
from camguard.events import VIEWING, Camera

#: contract.md, alert types; what an event entity may say is fixed when it is announced.
ALERT_TYPES = (
    "remote-stream", "remote-login", "brute-force", "privacy", "camera-attacks", "lan-stream", "lan-login",
    "default-password", "exposed-port", "guard-blind", "port-scan", "new-destination", "stale-password",
)  # fmt: skip
#: Messages that are about no single camera.
HOME_TYPES = ("guard-blind", "digest", "weekly", "test", "other")
MINUTES_LEAST, MINUTES_MOST, MINUTES = 5, 240, 30
SILENCE_MINUTES, SILENCE_MOST = 60, 1440
ONLINE, OFFLINE, ON, OFF, UNKNOWN = "online", "offline", "ON", "OFF", "None"
#: Every state topic below base/<camera>/ and below base/: what may be cleared when its camera is gone.
LEAVES = (
    "status", "watched", "watched/info", "unexpected", "viewers", "last_viewed", "last_viewer", "sees", "sees/info",
    "silenced", "silenced/info", "watching/minutes",
)  # fmt: skip
_SEES = {"both": ON, "up-only": ON, "down-only": OFF, "broadcast-only": OFF, "nothing": OFF}
_SEES_WORDS = {
    "both": "both ways",
    "up-only": "only what it sends",
    "down-only": "only what it receives",
    "broadcast-only": "only what it says to everybody",
    "nothing": "no traffic",
}


@dataclass(frozen=True, slots=True)
class Announced:
    """One camera as Home Assistant knows it. `slug`: in topics; `uid`: from the MAC, the same after a renaming."""

    name: str
    slug: str
    uid: str


@dataclass(frozen=True, slots=True)
class House:
    """Which topics there are. `hub`: id of camguard itself as a device; `detail`: as in [[notify]]."""

    base: str
    prefix: str
    hub: str
    cameras: tuple[Announced, ...]
    detail: str = "full"

    def topic(self, camera: Announced | None, leaf: str) -> str:
        """A topic of a camera, or of the whole home."""
        return f"{self.base}/{camera.slug}/{leaf}" if camera else f"{self.base}/{leaf}"

    def discovery(self, uid: str) -> str:
        """Where a device is announced."""
        return f"{self.prefix}/device/{uid}/config"

    def called(self, name: object) -> Announced | None:
        """The camera of that name."""
        return next((one for one in self.cameras if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Seen:
    """What holds now. `now`: the guard's live figures, None while it is not looking; `at`: wall clock.

    `last`: camera -> its latest viewing (a session as in contract.md); `today`: viewings since midnight, None where the
    record cannot be read; `silenced`: camera (None: all) -> until (wall clock); `minutes`: slug -> what the owner set.
    """

    now: Mapping[str, Any] | None
    at: float
    last: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    today: int | None = None
    silenced: Mapping[str | None, float] = field(default_factory=dict)
    minutes: Mapping[str, int] = field(default_factory=dict)


# ---- names -----------------------------------------------------------------------------------------------------------


def slug(name: str) -> str:
    """A name for topics and entity ids: a-z, 0-9 and _, at most 40; "" where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", name.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")[:40].strip("_")


def house(
    cameras: Iterable[Camera],
    *,
    base: str = "camguard",
    prefix: str = "homeassistant",
    only: tuple[str, ...] = ("*",),
    detail: str = "full",
) -> House:
    """The topics for these cameras; `only`: names of the channel's cameras, "*" for all."""
    hub = "camguard" if base == "camguard" else f"camguard_{slug(base)}"
    made: list[Announced] = []
    taken: set[str] = set()
    for camera in cameras:
        tail = camera.mac.replace(":", "") if camera.mac else re.sub(r"[^0-9a-f]", "_", (camera.ips or ("0",))[0])
        mine = slug(camera.name)
        if not mine or mine in taken:  # two names that differ only in signs, or a name of other letters only
            mine = f"{mine or 'camera'}_{tail}"
        taken.add(mine)
        if "*" in only or camera.name in only:
            made.append(Announced(camera.name, mine, f"{hub}_{tail}"))
    return House(base, prefix, hub, tuple(made), detail)


def viewer_words(peer: Mapping[str, Any] | None, detail: str) -> str | None:
    """Who, as openly as the channel may say it; None where nobody is known or nothing may be said."""
    if peer is None or detail == "discreet":
        return None
    if detail == "short" and not peer.get("device"):
        return {"lan": "somebody at home", "gateway": "your router", "multicast": "everybody at home"}.get(
            str(peer.get("scope")), "somebody outside"
        )
    return report.who_short(report.peer_of(dict(peer))) or None


# ---- states ----------------------------------------------------------------------------------------------------------


def states(house: House, seen: Seen) -> dict[str, str]:
    """Every state: topic -> payload, to be retained. What is unknown is "None", never the last thing that was true."""
    made: dict[str, str] = {}
    for camera in house.cameras:
        made |= {house.topic(camera, leaf): payload for leaf, payload in _camera_states(house, camera, seen).items()}
    return made | {house.topic(None, leaf): payload for leaf, payload in _hub_states(house, seen).items()}


def sight(camera: str, now: Mapping[str, Any] | None) -> str:
    """ON: the guard sees the camera, OFF: it does not, "None": it began to look and cannot know yet.

    A camera that says little for minutes is not lost: until the guard raises guard-blind, what was seen counts.
    """
    own = _row(now, camera)
    if own is None:
        return OFF
    if (seen := _SEES.get(str(own.get("sight")), OFF)) == ON:
        return ON
    told = any(a.get("type") == "guard-blind" and a.get("camera") == camera for a in _rows(now, "alerts"))
    if told:
        return seen
    return UNKNOWN if own.get("last_time") is None else ON


def _camera_states(house: House, camera: Announced, seen: Seen) -> dict[str, str]:
    sees = sight(camera.name, seen.now)
    viewings = _viewings(camera.name, seen.now)
    unexpected = [one for one in viewings if one.get("verdict") == "unexpected"]
    chosen = (unexpected or viewings)[:1]
    known = sees == ON
    last = viewings[-1] if viewings else seen.last.get(camera.name)
    viewed = None if last is None else (last.get("started") if viewings else last.get("ended") or last.get("started"))
    own = _row(seen.now, camera.name)
    until = _silenced(camera.name, seen)
    return {
        "watched": _switch(bool(viewings)) if known or viewings else UNKNOWN,
        "watched/info": to_json(_info(house, chosen[0] if chosen else None)),
        "unexpected": _switch(bool(unexpected)) if known or unexpected else UNKNOWN,
        "viewers": str(len({_who(one) for one in viewings})) if known or viewings else UNKNOWN,
        "last_viewed": str(viewed) if viewed else UNKNOWN,
        "last_viewer": (viewer_words(last.get("peer"), house.detail) if last else None) or UNKNOWN,
        "sees": sees,
        "sees/info": to_json({"how": _SEES_WORDS.get(str(own.get("sight"))) if own else None}),
        "silenced": _switch(until is not None),
        "silenced/info": to_json({"until": report.rfc3339(until)}),
        "watching/minutes": str(seen.minutes.get(camera.slug, MINUTES)),
        "status": ONLINE if known or viewings else OFFLINE,
    }


def _hub_states(house: House, seen: Seen) -> dict[str, str]:
    unexpected = [
        one.name
        for one in house.cameras
        if any(v.get("verdict") == "unexpected" for v in _viewings(one.name, seen.now))
    ]
    blind = [one.name for one in house.cameras if sight(one.name, seen.now) != ON]
    cost = (seen.now or {}).get("cost")
    problems = (
        ["camguard is not looking at your cameras. To see why, run: camguard check"]
        if seen.now is None
        else [str(one) for one in seen.now.get("problems") or () if one != cost]
    )
    every = bool(house.cameras) and len(blind) == len(house.cameras)
    return {
        "unexpected": ON if unexpected else UNKNOWN if every or seen.now is None else OFF,
        "unexpected/info": to_json({"cameras": _names(unexpected), "cannot_see": _names(blind)}),
        "problem": _switch(bool(problems)),
        "problem/info": to_json({"problems": [report.clean(one, 200) for one in problems[:5]]}),
        "viewings_today": UNKNOWN if seen.today is None else str(seen.today),
        "version": __version__,
    }


def _info(house: House, viewing: Mapping[str, Any] | None) -> dict[str, Any]:
    """The attributes of Being watched: what changes with the viewing only, never with its bytes."""
    peer = (viewing or {}).get("peer") or {}
    full = house.detail == "full"
    return {
        "since": viewing.get("started") if viewing else None,
        "viewer": viewer_words(peer or None, house.detail),
        "organisation": _clean(peer.get("org")) if full else None,
        "country": _clean(peer.get("country")) if full else None,
        "expected": {"expected": True, "unexpected": False}.get(str(viewing.get("verdict"))) if viewing else None,
        "how_sure": viewing.get("confidence") if viewing else None,
    }


# ---- alerts ----------------------------------------------------------------------------------------------------------


def event(house: House, alert: Mapping[str, Any], title: str, body: str) -> tuple[str, str]:
    """(topic, JSON) of an alert for the event entity of its camera, or of the home; never retained.

    `title` and `body` as the channel's detail has them. `command_topic`: where "It was me" is to be sent.
    """
    camera = house.called(alert.get("camera"))
    known = ALERT_TYPES if camera else HOME_TYPES
    kind = str(alert.get("type"))
    made = {
        "event_type": kind if kind in known else "other",
        "type": _clean(kind),
        "id": _clean(alert.get("id")),
        "severity": alert.get("severity"),
        "state": alert.get("state"),
        "camera": report.clean(camera.name, 64) if camera else None,
        "title": title,
        "body": body,
        "viewer": viewer_words(alert.get("peer"), house.detail),
        "count": alert.get("count"),
        "command_topic": house.topic(camera, "command"),
    }
    return house.topic(camera, "alert"), to_json(made)


# ---- inside ----------------------------------------------------------------------------------------------------------


def to_json(made: Mapping[str, Any]) -> str:
    """JSON on one line; names of other alphabets stay readable."""
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def _switch(on: bool) -> str:
    return ON if on else OFF


def _clean(text: object) -> str | None:
    return report.clean(str(text), 64) if text else None


def _names(names: list[str]) -> list[str]:
    return [report.clean(name, 64) for name in names]


def _rows(now: Mapping[str, Any] | None, key: str) -> list[Mapping[str, Any]]:
    return list(now.get(key) or ()) if now else []


def _row(now: Mapping[str, Any] | None, camera: str) -> Mapping[str, Any] | None:
    return next((one for one in _rows(now, "cameras") if one.get("name") == camera), None)


def _viewings(camera: str, now: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The viewings that go on, oldest first."""
    found = [
        one
        for one in _rows(now, "sessions")
        if one.get("camera") == camera and one.get("class") in VIEWING and one.get("state") != "closed"
    ]
    return sorted(found, key=lambda one: str(one.get("started")))


def _who(viewing: Mapping[str, Any]) -> str:
    peer = viewing.get("peer") or {}
    return str(peer.get("device") or peer.get("mac") or peer.get("ip"))


def _silenced(camera: str, seen: Seen) -> float | None:
    ends = [seen.silenced[key] for key in (camera, None) if key in seen.silenced]
    return max(ends) if ends and max(ends) > seen.at else None
