"""The words of guard-blind: what camguard does not see, or did not, and what that means. Pure.

`how` is what judge/sight.py sees of one camera, or what the rim knows of itself: "interface-gone" (detail: interface),
"packets-lost" (percent), "restarted" (gap, seconds), "guard-silent", "guard-hidden" (deliver may not read what the
guard writes). Without a camera it is about all of them.
"""

from camguard.events import Alert
from camguard.report.text import MAX_CAMERA, clock, duration, name, when

_SEEN = {
    "nothing": "No traffic seen since {since}.",
    "broadcast-only": "Since {since} only its calls to everybody are seen, not what it sends to one place.",
    "up-only": "Since {since} only what it sends is seen, not what it receives.",
    "down-only": "Since {since} only what it receives is seen, not what it sends.",
    "interface-gone": "The network interface {interface} is gone since {since}.",
    "packets-lost": "Since {since} {share} is lost: this machine or its network port is too slow.",
    "guard-silent": "No sign of life from it since {since}.",
    "guard-hidden": "Since {since} the part that tells you may not read what the guard writes.",
}
_PARTS = ("up-only", "down-only", "broadcast-only", "packets-lost")


def words(alert: Alert, zone: str) -> tuple[str, str]:
    """Title and body, not cut yet."""
    one = bool(alert.camera) and alert.camera != "*"
    what = name(alert.camera or "", MAX_CAMERA) if one else "your cameras"
    how = str(alert.detail.get("how") or "nothing")
    if how == "restarted":
        return _restarted(alert, zone)
    if alert.state == "closed":
        return _ended(alert, how, what, one, zone)
    share = _number(alert, "percent")
    interface = alert.detail.get("interface")
    first = _SEEN.get(how, _SEEN["nothing"]).format(
        since=when(alert.started, alert.time, zone),
        interface=name(str(interface), 15) if interface else "",
        share=f"{'a part' if share is None else _percent(share)} of what it has to read",
    )
    body = f"{first.replace('  ', ' ')} {_lost(how, one)} Run: camguard check"
    length = duration(alert.time - alert.started)
    if how == "guard-silent":
        title = "camguard has stopped looking"
        return (f"camguard still does not look: {length}" if alert.state == "update" else title), body
    if how == "guard-hidden":
        return "camguard cannot tell you here", body
    if alert.state == "update":
        return f"Still {'missing a part' if how == 'packets-lost' else 'not seeing'} {_of(how, what)}: {length}", body
    return f"camguard sees only a part of {what}" if how in _PARTS else f"camguard cannot see {what} any more", body


def _of(how: str, what: str) -> str:
    return f"of {what}" if how == "packets-lost" else what


def _lost(how: str, one: bool) -> str:
    if how == "up-only":
        return "Log-ins and commands to it will be missed."
    if how == "packets-lost":
        return "A viewing may be missed."
    return f"Until this is fixed, no alert can come for {'this camera' if one else 'any camera'}."


def _ended(alert: Alert, how: str, what: str, one: bool, zone: str) -> tuple[str, str]:
    ended = alert.ended if alert.ended is not None else alert.time
    span = f"From {when(alert.started, ended, zone)} to {clock(ended, zone)} ({duration(ended - alert.started)})"
    if how == "guard-silent":
        return (
            "camguard looks again",
            f"{span} it did not look, and no alert could come. What went on then is not known.",
        )
    if how == "guard-hidden":
        return (
            "camguard can tell you here again",
            f"{span} it could not read the guard's record, so no alert could come.",
        )
    if how == "packets-lost":
        return f"camguard sees all of {what} again", f"{span} a part was missed. Now nothing is lost."
    whom = "this camera" if one else "any camera"
    return f"camguard sees {what} again", f"{span} no alert could come for {whom}. Now it is seen."


def _restarted(alert: Alert, zone: str) -> tuple[str, str]:
    gap, until = _number(alert, "gap"), when(alert.raised, alert.time, zone)
    if gap is None:
        return "camguard was started again", f"It looks since {until}. What went on just before is not known."
    first = f"It did not look for {duration(gap)}, until {until}."
    return (
        f"camguard did not look for {duration(gap)}",
        f"{first} It looks again now. A viewing that began and ended in that time is not in the record.",
    )


def _number(alert: Alert, key: str) -> float | None:
    value = alert.detail.get(key)
    return float(value) if isinstance(value, int | float) else None


def _percent(share: float) -> str:
    return f"{share:.1f} %" if share < 9.95 else f"{share:.0f} %"
