"""Commands that come over MQTT -> Wishes. In: the payload, the camera of its topic, what holds now; out: a Wish. Pure.

Whoever has the broker's password can send these, so they may only lower the noise of one matter, for a while: "it was
me" (the viewing that goes on, and nothing after it), "I am watching now", "silence", presence. Nothing permanent can be
said here, whatever is sent; the guard refuses it once more by the wish's `who`.
"""

import json
from collections.abc import Mapping
from typing import Any

from camguard import report
from camguard.events import Wish
from camguard.tell.homeassistant import (
    MINUTES,
    MINUTES_LEAST,
    MINUTES_MOST,
    SILENCE_MINUTES,
    SILENCE_MOST,
    Announced,
    Seen,
)

WHO = "mqtt"
MOST_BYTES = 1024
#: do -> keys that it may have beside "do"
KEYS = {
    "was-me": ("alert",),
    "watching": ("minutes",),
    "silence": ("minutes",),
    "presence": ("device", "home"),
}


class RefusedError(Exception):
    """The command is not followed; `str()` is one sentence for whoever sent it."""


def wish(payload: bytes, camera: Announced | None, seen: Seen, wish_id: str, who: str = WHO) -> Wish:
    """What the command asks for. `camera` None: it came on the topic of the home. RefusedError with a sentence."""
    asked = _read(payload)
    do = asked["do"]
    name = camera.name if camera else None
    if do == "was-me":
        if camera is None:
            raise RefusedError("it was me at which camera? Send it to the command topic of the camera")
        return Wish(id=wish_id, who=who, do="allow", alert=_matter(asked.get("alert"), camera, seen), mode="once")
    if do == "watching":
        usual = seen.minutes.get(camera.slug, MINUTES) if camera else MINUTES
        minutes = _minutes(asked.get("minutes", usual), MINUTES_LEAST, MINUTES_MOST)
        return Wish(id=wish_id, who=who, do="watching", camera=name, for_s=minutes * 60.0)
    if do == "silence":
        minutes = _minutes(asked.get("minutes", SILENCE_MINUTES), 0, SILENCE_MOST)
        return Wish(id=wish_id, who=who, do="silence", camera=name, for_s=minutes * 60.0)
    if camera is not None:
        raise RefusedError("presence is of a person, not of a camera: send it to the command topic of the home")
    device, home = asked.get("device"), asked.get("home")
    if not isinstance(device, str) or not device or len(device) > 64 or not device.isprintable():
        raise RefusedError('presence needs "device", the name of one of your devices')
    if not isinstance(home, bool):
        raise RefusedError('presence needs "home", true or false')
    return Wish(id=wish_id, who=who, do="presence", device=device, home=home)


def understood(payload: bytes) -> bool:
    """Whether it is a command at all, whatever becomes of it."""
    try:
        _read(payload)
    except RefusedError:
        return False
    return True


def minutes_set(payload: bytes) -> int:
    """The length that the owner set for "I am watching now"; RefusedError where it is none."""
    text = payload[:16].decode("ascii", "replace").strip()
    whole = text.removesuffix(".0")
    if not whole.isdecimal() or not whole.isascii():
        raise RefusedError("minutes are a whole number")
    return _minutes(int(whole), MINUTES_LEAST, MINUTES_MOST)


def _read(payload: bytes) -> dict[str, Any]:
    if len(payload) > MOST_BYTES:
        raise RefusedError(f"a command has at most {MOST_BYTES} bytes")
    try:
        asked = json.loads(payload.decode("utf-8"), object_pairs_hook=_once)
    except (ValueError, RecursionError):
        raise RefusedError('a command is JSON, such as {"do":"was-me"}') from None
    if not isinstance(asked, dict):
        raise RefusedError('a command is JSON, such as {"do":"was-me"}')
    do = asked.get("do")
    if not isinstance(do, str) or do not in KEYS:
        raise RefusedError(f'"do" is one of {", ".join(KEYS)}')
    for key in asked:
        if key != "do" and key not in KEYS[do]:
            raise RefusedError(f'"{report.clean(key, 40)}" is unknown in {do}')
    return asked


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A key that is said twice may be read differently by two readers."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError
    return made


def _minutes(value: object, least: int, most: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise RefusedError(f"minutes are a whole number from {least} to {most}")
    return value


def _matter(named: object, camera: Announced, seen: Seen) -> str:
    """The id of the alert that "it was me" means; where several are open, one must be named."""
    if seen.now is None:
        raise RefusedError("camguard is not looking at present, so nobody can be told apart")
    if named is not None and (not isinstance(named, str) or not 3 <= len(named) <= 64 or not named.isalnum()):
        raise RefusedError('"alert" is the id of an alert, or its first characters')
    going_on = {one.get("id") for one in _of(seen.now, "sessions", camera)}
    found = [
        str(one["id"])
        for one in _of(seen.now, "alerts", camera)
        if one.get("id") and one.get("session") in going_on and one.get("peer")
    ]
    if named is not None:
        found = [one for one in found if one.startswith(named)]
    if not found:
        raise RefusedError("that viewing is over" if named else "nobody unexpected is watching this camera")
    if len(found) > 1:
        raise RefusedError('there is more than one viewer: name the alert, {"do":"was-me","alert":"..."}')
    return found[0]


def _of(now: Mapping[str, Any], key: str, camera: Announced) -> list[Mapping[str, Any]]:
    return [one for one in now.get(key) or () if one.get("camera") == camera.name and one.get("state") != "closed"]
