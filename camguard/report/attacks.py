"""The words of camera-attacks, port-scan and new-destination (ux.md 8, row 10). Pure.

`detail` of these alerts: how, service, destinations, seconds, packets_s (camera-attacks); ports, open, seconds
(port-scan); place, bare, name_server, places (new-destination).
"""

from camguard.events import Alert
from camguard.report.text import MAX_CAMERA, capital, clock, duration, fit, name, when
from camguard.report.who import masked, who

TYPES = ("camera-attacks", "port-scan", "new-destination")
TAKEN_OVER = "Cameras do this when they are taken over. Unplug it when it is safe to."


def words(alert: Alert, zone: str) -> tuple[str, str]:
    """Title and body, not cut yet."""
    camera = name(alert.camera or "", MAX_CAMERA)
    return {"camera-attacks": _attacks, "port-scan": _scan}.get(alert.type, _place)(alert, camera, zone)


def _attacks(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    how, number = alert.detail.get("how"), _number(alert, "destinations")
    span = duration(max(_number(alert, "seconds"), 1))
    titles = {"flood": "flooding somebody", "ports": "trying somebody's doors", "mail": "sending mail to many"}
    doing = titles.get(str(how), "contacting many strangers")
    deed = {
        "scan": f"it tried {number:,} addresses, on {name(str(alert.detail.get('service')), 20)} ports",
        "many": f"it contacted {number:,} addresses",
        "mail": f"it sent mail to {number:,} mail servers",
        "ports": f"it tried {number:,} ports of {who(alert.peer)}",
        "flood": f"it sent {_number(alert, 'packets_s'):,} packets a second to {who(alert.peer)}",
    }.get(str(how), "it contacted many addresses")
    if alert.state == "closed":
        step = "That it stopped does not make it safe: reset it, or leave it unplugged."
        return f"{camera} stopped {doing}", fit(f"{capital(_span(alert, zone))} {deed}.", "", step)
    first = "is still" if alert.state == "update" and alert.time - alert.started >= 60 else "is"
    return f"{camera} {first} {doing}", fit(f"In {span} {deed}.", "", TAKEN_OVER)


def _scan(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    ports, opened = _number(alert, "ports"), _number(alert, "open")
    whom = capital(who(alert.peer)) if alert.peer else "Several addresses, one after the other,"
    found = f"; {opened} {'is' if opened == 1 else 'are'} open" if opened else "; none answered"
    if alert.state == "closed":
        return f"No more scanning: {camera}", f"{whom} tried {ports:,} ports {_span(alert, zone)}{found}."
    at_home = alert.peer is not None and alert.peer.scope in ("lan", "multicast")
    step = "Was this you?" if at_home else "From outside nobody should get that far: close its ports in your router."
    span = duration(max(_number(alert, "seconds"), 1))
    first = f"{whom} tried {ports:,} ports of it in {span}, since {_since(alert, zone)}{found}."
    if alert.peer is not None and alert.peer.device:
        return f"{name(alert.peer.device, 20)} tries the doors of {camera}", fit(
            first, "A network scanner does this.", ""
        )
    middle = "That is how one looks for a way in." if at_home else ""
    return f"Somebody is trying the doors of {camera}", fit(first, middle, step)


def _place(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    """new-destination: nothing to act on by itself."""
    place, places = alert.detail.get("place"), _number(alert, "places")
    past = alert.state == "closed"
    since = f"{'At' if past else 'Since'} {_since(alert, zone)}"
    talk = "talked" if past else "talks"
    if places > 1:
        first = f"Within a day it talked to {places} more places that it never talked to before, most without a name."
        return f"{camera} met {places} more new places", fit(first, "", "The record is kept.")
    if _number(alert, "name_server"):
        whom = f"{who(alert.peer)}" if alert.peer else "a name server"
        first = f"{since}, it {'asked' if past else 'asks'} {whom} for names, past your home's own name server."
        return f"{camera} {'asked' if past else 'asks'} a name server outside", fit(first, "", "Some makers do this.")
    if place:
        where = f" ({_owner(alert)})" if _owner(alert) else ""
        first = f"{since}, it {talk} to {name(str(place), 60)}{where}, where it never was before."
        return f"{camera} {talk} to a new place: {name(str(place), 24)}", fit(
            first, "", "Updates and new functions do so."
        )
    first = f"{since}, it {talk} to {who(alert.peer)}; no look-up of a name led there."
    last = "Viewers by P2P look like this, and so do strangers."
    return f"{camera} {talk} to an address without a name", fit(first, "", last)


def _owner(alert: Alert) -> str:
    peer = alert.peer
    if peer is None:
        return ""
    return ", ".join(name(part, 24) for part in (peer.org or masked(peer.ip), peer.country) if part)


def _since(alert: Alert, zone: str) -> str:
    return when(alert.started, alert.time, zone)


def _span(alert: Alert, zone: str) -> str:
    ended = alert.ended if alert.ended is not None else alert.time
    first, last = when(alert.started, ended, zone), clock(ended, zone)
    return f"from {first} to {last}" if first != last else f"at {first}"


def _number(alert: Alert, key: str) -> int:
    value = alert.detail.get(key)
    return int(value) if isinstance(value, int | float) else 0
