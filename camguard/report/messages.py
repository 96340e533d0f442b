"""What a channel sends: an alert's dict -> title and body in the detail that the owner chose. Pure.

full      the alert's own words
short     what happened, without the name of a camera, a viewer or a place: for other people's servers
discreet  that there is something to look at, and no more

Each body ends in the short id: somebody who gets a message twice sees that it is the same. `zone` as in alerts.py.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from camguard.report.alerts import FRESH_S, SETTLED
from camguard.report.text import MAX_BODY, MAX_CAMERA, MAX_TITLE, clean, clock, cut, duration, name, seconds_of, when

Detail = Literal["full", "short", "discreet"]
LEAST_ID = 4


@dataclass(frozen=True, slots=True)
class Message:
    """What one channel sends of one alert. `id` is the alert's, `short_id` the one that stands in the body."""

    title: str
    body: str
    short_id: str
    severity: str
    state: str
    id: str
    type: str


def message(
    alert: Mapping[str, Any], detail: Detail = "full", zone: str = "UTC", others: Collection[str] = ()
) -> Message:
    """The message about an alert (its dict). `others`: ids that the owner has lately seen, so that this one differs."""
    if detail == "discreet":
        title, body = "camguard", "Something to look at."
    elif detail == "short":
        title, body = _short(alert, zone)
    else:
        title, body = clean(str(alert["title"])), clean(str(alert["body"]))
    short = short_id(str(alert["id"]), others)
    mark = f" [{short}]"
    return Message(
        title=cut(title, MAX_TITLE),
        body=cut(body, MAX_BODY - len(mark)) + mark,
        short_id=short,
        severity=str(alert["severity"]),
        state=str(alert["state"]),
        id=str(alert["id"]),
        type=str(alert["type"]),
    )


def short_id(known: str, others: Collection[str] = ()) -> str:
    """The first 4 characters of an id, more where another one begins the same way."""
    length = LEAST_ID
    while length < len(known) and any(other != known and other[:length] == known[:length] for other in others):
        length += 1
    return name(known[:length], 64)


#: What happens, where it is certain and where it is not; "" : the same.
_SHORT = {
    "remote-stream": ("Somebody is watching a camera", "A camera may be being watched"),
    "lan-stream": ("Somebody at home is watching a camera", "Somebody at home may be watching a camera"),
    "privacy": ("A camera is watched against your wish", "A camera may be watched against your wish"),
    "guard-blind": ("camguard cannot see a camera", ""),
    "remote-login": ("Somebody outside tried to log in to a camera", ""),
    "lan-login": ("Somebody at home logged in to a camera", ""),
    "brute-force": ("Somebody is guessing a camera's password", ""),
    "default-password": ("A camera uses its factory password", ""),
    "exposed-port": ("A camera was opened to the internet", "A camera may be open to the internet"),
    "new-service": ("A camera answers on a new port", ""),
    "camera-attacks": ("A camera is contacting many strangers", ""),
    "port-scan": ("Somebody is trying the doors of a camera", ""),
    "new-destination": ("A camera talks to a new place", ""),
    "stale-password": ("Something still tries an old password", ""),
}
#: The same, where it worked.
_SHORT_GRAVE = {
    "remote-login": "Somebody logged in to a camera from outside",
    "brute-force": "A camera's password was guessed",
}
#: What camguard says of itself has no name of anybody in it.
_OWN = ("weekly", "test", "digest")


def _short(alert: Mapping[str, Any], zone: str) -> tuple[str, str]:
    kind, title = str(alert["type"]), clean(str(alert["title"]))
    whole = kind == "guard-blind" and alert["camera"] in (None, "", "*")
    if kind in _OWN or whole:
        return title, clean(str(alert["body"]))
    if (alert.get("detail") or {}).get("what") == "new-service":
        kind = "new-service"
    certain, perhaps = _SHORT.get(kind, ("Something to look at", ""))
    what = certain if alert["confidence"] == "certain" else perhaps or certain
    if alert["severity"] == "critical":
        what = _SHORT_GRAVE.get(kind, what)
    started, time = seconds_of(alert["started"]), seconds_of(alert["time"])
    since = when(started, time, zone)
    if alert["state"] == "closed":
        if title.startswith(SETTLED):
            return "Settled", f"{what}, since {since}: you said that it is fine. camguard goes on looking."
        ended = seconds_of(alert["ended"]) if alert.get("ended") else time
        if alert["count"] > 1:
            words = f"{what}, {alert['count']} times between {since} and {clock(ended, zone)}."
            return f"It ended, {alert['count']} times in all", words
        return f"It ended after {duration(ended - started)}", f"{what}: that was from {since} to {clock(ended, zone)}."
    goes_on = alert["state"] == "update" and alert["count"] < 2 and time - started >= FRESH_S
    length = f": {duration(time - started)}" if goes_on else ""
    return f"{what}{length}", f"Since {since}. Which camera, and who: camguard alerts"


# ---- what camguard says of itself ------------------------------------------------------------------------------------


def digest(alerts: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Title and body for many alerts at once: more happened than anybody can read one by one."""
    cameras = Counter(name(str(alert["camera"] or "camguard"), MAX_CAMERA) for alert in alerts)
    most = ", ".join(f"{camera} {count}" for camera, count in cameras.most_common(4))
    rest = len(cameras) - 4
    more = f" and {rest} more camera{'' if rest == 1 else 's'}" if rest > 0 else ""
    critical = sum(alert["severity"] == "critical" for alert in alerts)
    how_many = f" {critical} of them {'is' if critical == 1 else 'are'} critical." if critical else ""
    title = f"{len(alerts)} more alert{'' if len(alerts) == 1 else 's'}: {cameras.most_common(1)[0][0]}"
    return cut(title, MAX_TITLE), cut(f"{most}{more}.{how_many} All of them: camguard alerts", MAX_BODY)


def test_words(channel: str, now: float, zone: str) -> tuple[str, str]:
    """Title and body of the marked test of `camguard notify --test`."""
    return (
        "Test: camguard can reach you here",
        f"Sent at {clock(now, zone)} through {name(channel, 32)}. When somebody watches, it is told here.",
    )
