"""The rules of quiet (contract.md), for one channel. In: alerts as dictionaries, wall-clock seconds. Out: answers.

No clock, no files, no network. Judged is what is about to be sent, so what was overtaken in the queue costs nothing:

- one notification a matter, updated and closed; updates of what was not told, or is only information, are not told;
- at most `PER_HOUR` notifications a camera and hour for repeats, updates, information and warnings;
- the first critical of each viewer goes out at once, for the first `NEW_VIEWERS` new viewers of a camera in an hour;
- from the next one on a single notification is kept, counted up and made to sound again at 10, 20, 40, ...;
- what found no room is counted and told in one notification as soon as there is room: nothing disappears.

Every alert keeps its own place in the guard's store whatever is answered here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from camguard import report
from camguard.events import id_of

HOUR_S = 3600.0
PER_HOUR = 6
UPDATES_PER_HOUR = 4  # of the six: updates leave room for what is new
NEW_VIEWERS = 6
TIDY_S = 1.0
GATHER_S = 60.0  # what found no room waits that long for company, even where there is room again
CAMERAS_MAX, VIEWERS_MAX, ALERTS_MAX = 256, 256, 1000
RANK = {"info": 0, "warning": 1, "critical": 2}


class Answer(NamedTuple):
    """`what`: send it; drop it (nothing is lost: it was told, or is no news); gather: it is counted and told later;
    crowd: send `instead`. `sound`: it is to make itself heard."""

    what: Literal["send", "drop", "gather", "crowd"]
    sound: bool = False
    instead: dict[str, Any] | None = None


@dataclass
class _Crowd:
    """The one notification for the seventh new viewer and all later ones. `count`: with the first six."""

    id: str
    count: int


@dataclass
class _More:
    """What found no room: how many messages, since when, the worst of them."""

    since: float
    count: int = 0
    severity: str = "info"
    critical: int = 0


@dataclass
class _Camera:
    told: list[float] = field(default_factory=list)
    viewers: dict[str, float] = field(default_factory=dict)  # of the hour: when the first critical of each happened
    crowd: _Crowd | None = None
    more: _More | None = None
    tidied: float = 0.0


class Quiet:
    """What one channel was told lately.

    `replaces`: a later message of a matter takes the place of the earlier one there. `names`: names of cameras may be
    said there.
    """

    def __init__(self, *, replaces: bool, names: bool = True, kept: Mapping[str, Any] | None = None) -> None:
        self._replaces, self._names = replaces, names
        self._cameras: dict[str, _Camera] = {}
        self._alerts: dict[str, str] = {}  # id -> the severity in which it was told
        for name, one in (kept or {}).get("cameras", {}).items():
            self._cameras[name] = _Camera(
                told=list(one["told"]),
                viewers=dict(one["viewers"]),
                crowd=_Crowd(**one["crowd"]) if one["crowd"] else None,
                more=_More(**one["more"]) if one["more"] else None,
            )

    def kept(self) -> dict[str, Any]:
        """What must outlive a restart, as JSON; what the channel was told of each alert stands in the outbox."""
        return {"cameras": {name: asdict(camera) for name, camera in self._cameras.items()}}

    def told(self, alert: str) -> bool:
        """Whether the channel knows of the alert."""
        return alert in self._alerts

    def counts(self, alert: Mapping[str, Any]) -> bool:
        """Whether it is the notification that counts new viewers up: each change of it is another viewer."""
        crowd = self._camera(alert).crowd
        return crowd is not None and crowd.id == alert["id"]

    def remember(self, alert: str, severity: str) -> None:
        """The channel was told of it."""
        self._alerts.pop(alert, None)
        self._alerts[alert] = severity
        while len(self._alerts) > ALERTS_MAX:
            del self._alerts[next(iter(self._alerts))]

    def judge(self, alert: Mapping[str, Any], now: float, *, owed: bool = False) -> Answer:
        """What to do with an alert that is about to be sent, counted as if it were. `owed`: it overtook an opening
        in the queue, and stands for it now."""
        state, severity, told = alert["state"], str(alert["severity"]), self._alerts.get(str(alert["id"]))
        opens = state == "open" or owed
        camera = self._camera(alert)
        self._forget(camera, now)
        if not opens and told is None:
            return Answer("drop")
        if state == "update" and not owed and (severity == "info" or not self._replaces):
            return Answer("drop")
        worse = told is not None and RANK.get(severity, 1) > RANK.get(told, 1)
        if severity == "critical" and (opens or worse) and (told is None or worse):
            return self._critical(camera, alert, now)
        if state == "closed" and not owed and self._replaces:
            return self._send(camera, alert, now, sound=False)  # the end of a notification is no new one
        room = PER_HOUR if opens or state == "closed" else UPDATES_PER_HOUR
        if len(camera.told) >= room:
            return self._no_room(camera, alert, now, opens)
        camera.told.append(now)
        return self._send(camera, alert, now, sound=(opens or worse) and severity != "info")

    def gather(self, alert: Mapping[str, Any], now: float) -> None:
        """Count an alert that is not sent by itself; `digests` tells of it."""
        camera = self._camera(alert)
        if camera.more is None:
            camera.more = _More(since=now)
        more, severity = camera.more, str(alert["severity"])
        more.count += 1
        more.critical += severity == "critical"
        if RANK.get(severity, 1) >= RANK[more.severity]:
            more.severity = severity if severity in RANK else "warning"

    def digests(self, now: float) -> list[dict[str, Any]]:
        """One alert for each camera whose gathered messages may be told now; counted as told."""
        made = []
        for name, camera in self._cameras.items():
            self._forget(camera, now)
            more = camera.more
            if more is None or len(camera.told) >= PER_HOUR or now - more.since < GATHER_S:
                continue
            camera.more = None
            camera.told.append(now)
            made.append(_digest(name, more, now, self._names))
        return made

    def next_digest_s(self, now: float) -> float | None:
        """Seconds until `digests` may have something; None while nothing is gathered."""
        waits = []
        for camera in self._cameras.values():
            if camera.more is None:
                continue
            recent = sorted(camera.told)[-PER_HOUR:]
            room_at = recent[0] + HOUR_S if len(recent) >= PER_HOUR else now
            waits.append(max(room_at, camera.more.since + GATHER_S) - now)
        return max(0.0, min(waits)) if waits else None

    # ---- inside ------------------------------------------------------------------------------------------------------

    def _camera(self, alert: Mapping[str, Any]) -> _Camera:
        name = str(alert.get("camera") or "*")
        camera = self._cameras.get(name)
        if camera is None:
            if len(self._cameras) >= CAMERAS_MAX:
                quietest = min(self._cameras, key=lambda one: (self._cameras[one].more is not None, one))
                del self._cameras[quietest]
            camera = self._cameras[name] = _Camera()
        return camera

    def _forget(self, camera: _Camera, now: float) -> None:
        """Drop what is older than an hour. A time in the future (the clock was set back) counts as now."""
        if 0.0 <= now - camera.tidied < TIDY_S:
            return
        camera.tidied = now
        camera.told = [min(at, now) for at in camera.told if now - at < HOUR_S]
        if camera.more is not None:
            camera.more.since = min(camera.more.since, now)

    def _critical(self, camera: _Camera, alert: Mapping[str, Any], now: float) -> Answer:
        viewer, at = viewer_of(alert), _time(alert, now)
        camera.viewers = {one: then for one, then in camera.viewers.items() if abs(at - then) < HOUR_S}
        if len(camera.viewers) < NEW_VIEWERS:
            camera.crowd = None
        if viewer in camera.viewers:  # the same viewer again: a repeat
            if len(camera.told) >= PER_HOUR:
                return self._no_room(camera, alert, now, True)
            camera.told.append(now)
            return self._send(camera, alert, now, sound=True)
        seen = len(camera.viewers)
        if seen < VIEWERS_MAX:
            camera.viewers[viewer] = at
        if seen < NEW_VIEWERS:
            return self._send(camera, alert, now, sound=True)
        first = camera.crowd is None
        if camera.crowd is None:
            camera.crowd = _Crowd(id_of("crowd", alert["camera"], now), seen)
        camera.crowd.count += 1
        sounds = first or _sounds_again(camera.crowd.count)
        return Answer("crowd", sounds, _crowd(alert, camera.crowd, sounds))

    def _no_room(self, camera: _Camera, alert: Mapping[str, Any], now: float, opens: bool) -> Answer:
        if not opens and alert["state"] == "update":
            return Answer("drop")  # the next update says the same, and more
        self.gather(alert, now)
        return Answer("gather")

    def _send(self, camera: _Camera, alert: Mapping[str, Any], now: float, *, sound: bool) -> Answer:
        self.remember(str(alert["id"]), str(alert["severity"]))
        return Answer("send", sound)


def held(alert: Mapping[str, Any], *, hours: bool, silenced: bool, known: bool) -> bool:
    """Whether an alert has to wait. `hours`: now lies in the quiet hours, or outside the channel's own; `silenced`: the
    owner silenced the camera; `known`: this very alert was told there as critical. Whatever is critical and was not,
    passes: a matter that became worse, another matter of the same viewer, another viewer."""
    if alert["severity"] == "critical":
        return silenced and known
    return hours or silenced


def viewer_of(alert: Mapping[str, Any]) -> str:
    """Who an alert is about: the owner's name for the device, else the address, else the kind of alert."""
    peer = alert.get("peer") or {}
    return str(peer.get("device") or peer.get("ip") or f"type:{alert.get('type')}")


def wanted(alert: Mapping[str, Any], severity: str, cameras: Sequence[str], *, weekly: bool) -> bool:
    """Whether a channel asked for such an alert. The weekly report has a switch of its own."""
    if alert.get("type") == "weekly":
        return weekly
    if RANK.get(str(alert["severity"]), 1) < RANK[severity]:
        return False
    camera = alert.get("camera")
    return camera in (None, "*") or "*" in cameras or camera in cameras


def _sounds_again(count: int) -> bool:
    """10, 20, 40, 80, ..."""
    tens, rest = divmod(count, 10)
    return rest == 0 and tens > 0 and tens & (tens - 1) == 0


def _time(alert: Mapping[str, Any], now: float) -> float:
    """When it happened: viewers of one hour are counted together however late they are told. Not in the future."""
    try:
        return min(now, report.seconds_of(str(alert["time"])))
    except ValueError:
        return now


def _crowd(alert: Mapping[str, Any], crowd: _Crowd, sounds: bool) -> dict[str, Any]:
    return dict(alert) | {
        "id": crowd.id,
        "title": f"Many strangers: {report.cut(str(alert['camera']), report.MAX_CAMERA)}, {crowd.count} in an hour",
        "body": f"{crowd.count} viewers within an hour that you do not expect. They are counted here and not told "
        "one by one. All of them: camguard alerts",
        "severity": "critical",
        "count": crowd.count,
        "state": "open" if sounds else "update",
        "peer": None,
        "session": None,
    }


def _digest(camera: str, more: _More, now: float, names: bool) -> dict[str, Any]:
    shown = camera if names and camera != "*" else "your cameras"
    one = {"camera": shown, "severity": "warning"}
    title, body = report.digest([one | {"severity": "critical"}] * more.critical + [one] * (more.count - more.critical))
    return {
        "kind": "alert",
        "time": report.rfc3339(now),
        "camera": camera,
        "id": id_of("more", camera, more.since, more.count),
        "type": "digest",
        "severity": more.severity,
        "title": title,
        "body": body,
        "confidence": "certain",
        "reason": None,
        "evidence": [],
        "peer": None,
        "session": None,
        "raised": report.rfc3339(now),
        "started": report.rfc3339(more.since),
        "count": more.count,
        "state": "open",
    }
