"""The words of exposed-port (ux.md 8, row 9), and of ways in for the log and for status. Pure.

`detail` of the alert: what, external_port (0: every port), internal_port, transport, lease_s, description, for_ip
(where the port leads to another device than the camera), only_ip (who alone is let in), closed_by.
"""

from typing import Any

from camguard.events import Alert, Exposure
from camguard.report.text import MAX_CAMERA, capital, clock, fit, name, seconds_of, when
from camguard.report.who import peer_of, who

TYPES = ("exposed-port",)
#: What usually answers there, so that a number says something to its owner.
KNOWN_PORTS = {
    21: "FTP",
    22: "SSH",
    23: "telnet",
    80: "the web page",
    443: "the web page",
    554: "video",
    8080: "the web page",
    8443: "the web page",
    8554: "video",
}


def words(alert: Alert, zone: str) -> tuple[str, str]:
    """Title and body, not cut yet."""
    camera = name(alert.camera or "", MAX_CAMERA)
    what = alert.detail.get("what")
    if alert.state == "closed":
        return _over(alert, camera, zone)
    at = when(alert.started, alert.time, zone)
    if "internal_port" not in alert.detail:
        return f"{camera} was opened to the internet", f"Seen since {at}. Look: camguard alerts"
    if what == "new-service":
        return _service(alert, camera, at)
    if what == "inbound-port":
        return _came_in(alert, camera, at)
    return _mapping(alert, camera, at)


def _mapping(alert: Alert, camera: str, at: str) -> tuple[str, str]:
    """A hole that the router was asked for."""
    asker = "the camera" if alert.peer is None else who(alert.peer)
    port = _port(alert, "external_port")
    sure = alert.confidence == "certain"
    answer = "the router agreed" if sure else "camguard did not see the answer"
    title = f"{camera} was opened to the internet" if sure else f"{camera} may have been opened to the internet"
    first = f"{at}: {asker} asked your router to open {port}, and {answer}."
    if only := _text(alert, "only_ip"):
        middle = f"Only {only} can come in there."
    elif other := _text(alert, "for_ip"):
        title = f"{camera} opened a way into your home"
        middle = f"It leads to {other}."
    else:
        middle = "Anyone can now try to log in."
    last = f"To close it, delete the port forward for {_number(alert, 'external_port')} in your router."
    if not _number(alert, "external_port"):
        last = "To close it, delete this port forward in your router."
    return title, fit(first, middle, last)


def _came_in(alert: Alert, camera: str, at: str) -> tuple[str, str]:
    """Somebody came in, and nobody knows who opened the way."""
    port = _port(alert, "internal_port")
    sure = alert.confidence == "certain"
    title = f"{camera} can be reached from the internet" if sure else f"{camera} answers somebody on the internet"
    first = f"{at}: {who(alert.peer)} came in on {port} of the camera, and it answered."
    middle = "So can anyone."
    return title, fit(first, middle, "To close it, delete the port forward to the camera in your router.")


def _service(alert: Alert, camera: str, at: str) -> tuple[str, str]:
    port = _port(alert, "internal_port")
    first = f"{at}: the camera answered {who(alert.peer)} on {port}."
    last = "Did you switch something on or update it? If not, change its password."
    return f"{camera} answers on a new port", fit(first, "Nothing was seen there before.", last)


def _over(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    ended = alert.ended if alert.ended is not None else alert.time
    what, port = alert.detail.get("what"), door(alert)
    first, last = when(alert.started, ended, zone), clock(ended, zone)
    span = f"It was from {first} to {last}." if first != last else f"It was at {first}."
    why = {
        "delete": "your router was asked to close it",
        "lease": "the time that was asked for ran out",
        "quiet": "nobody used it for a day",
        "unseen": "nothing was seen of it for 30 days",
        "replaced": "your router's port leads elsewhere now",
        "removed": "the camera is not guarded any more",
    }.get(str(alert.detail.get("closed_by")), "nothing is seen of it any more")
    if what == "new-service":
        return f"The new port is quiet: {camera}", fit(f"{capital(port)}: {why}. {span}", "", "The record is kept.")
    if what == "inbound-port":
        step = "If the port forward is still there, delete it."
        return f"Nobody comes in any more: {camera}", fit(f"{capital(port)}: {why}. {span}", "", step)
    step = "If you did not want it: switch off UPnP in your router."
    if alert.detail.get("closed_by") == "unseen":
        step = "Look in your router whether it is gone."
    return f"The way in is closed: {camera}", fit(f"{capital(port)}: {why}. {span}", "", step)


# ---- in the log and in status ----------------------------------------------------------------------------------------

_WHAT = {
    "upnp-mapping": "the router lets the internet in on {}",
    "pcp-mapping": "the router lets the internet in on {}",
    "inbound-port": "the internet comes in on {}",
    "new-service": "it answers on a new port, {}",
}


def exposure_words(exposure: Exposure, zone: str, *, state: bool = True) -> str:
    """A way in, in one sentence without its camera: "open: the router lets the internet in on port 8554"."""
    external, internal = exposure.external_port, exposure.internal_port
    port = port_words(internal if external is None else external, exposure.transport)
    leads = f" (to {internal} of the camera)" if external is not None and internal != external else ""
    by = {"inbound-port": "first", "new-service": "asked by"}.get(exposure.what, "asked for by")
    whom = f", {by} {who(exposure.peer)}" if exposure.peer else ""
    ends = ""
    if exposure.state == "open" and exposure.until is not None:
        ends = f", until {when(exposure.until, exposure.time, zone)} or as long as it is renewed"
    begin = f"{exposure.state}: " if state else ""
    return f"{begin}{_WHAT[exposure.what].format(port)}{leads}{whom}{ends}"


def exposure_of(made: dict[str, Any]) -> Exposure:
    """The exposure that `as_dict` made `made` of; KeyError, TypeError, ValueError for a damaged row."""
    same = ("id", "camera", "state", "what", "external_port", "internal_port", "transport")
    if made["what"] not in _WHAT or not isinstance(made["internal_port"], int):
        raise ValueError("no exposure")
    return Exposure(
        **{field: made[field] for field in same},
        time=seconds_of(made["time"]),
        peer=peer_of(made["peer"]),
        until=seconds_of(made["until"]) if made.get("until") else None,
    )


def port_words(port: int, transport: object = "tcp") -> str:
    """ "port 554 (video)", "port 5000 (UDP)", "every port"."""
    if not port:
        return "every port"
    means = "UDP" if transport == "udp" else KNOWN_PORTS.get(port)
    return f"port {port} ({means})" if means else f"port {port}"


def door(alert: Alert) -> str:
    """Which port it is about: the router's where it is known, else the camera's."""
    if "internal_port" not in alert.detail:
        return "a way in"
    return _port(alert, "internal_port" if alert.detail.get("external_port") is None else "external_port")


def matter(made: dict[str, Any]) -> str:
    """What a recorded alert is about, for a table."""
    detail = made.get("detail") or {}
    return {
        "new-service": "It answers on a new port",
        "inbound-port": "It can be reached from the internet",
    }.get(str(detail.get("what")), "It was opened to the internet")


def _port(alert: Alert, which: str) -> str:
    return port_words(_number(alert, which), alert.detail.get("transport"))


def _number(alert: Alert, key: str) -> int:
    value = alert.detail.get(key)
    return int(value) if isinstance(value, int | float) else 0


def _text(alert: Alert, key: str) -> str | None:
    value = alert.detail.get(key)
    return name(str(value), 45) if value else None
