"""The words of remote-login, lan-login, brute-force, stale-password and default-password (ux.md 8, rows 5 to 8). Pure.

`detail` of these alerts: user, outcome, wrong (failures), wrong_s (their length), networks, users, guessed. It is empty
after a restart of the guard: then the words do without.
"""

from camguard.events import Alert
from camguard.report.text import MAX_CAMERA, clock, duration, fit, name, when
from camguard.report.who import who

TYPES = ("remote-login", "lan-login", "brute-force", "stale-password", "default-password")


def words(alert: Alert, zone: str) -> tuple[str, str]:
    """Title and body, not cut yet."""
    camera = name(alert.camera or "", MAX_CAMERA)
    if alert.state == "closed":
        return _over(alert, camera, zone)
    return {
        "brute-force": _guessing,
        "stale-password": _stale,
        "default-password": _default,
    }.get(alert.type, _login)(alert, camera, zone)


def _login(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    at_home = alert.type == "lan-login"
    outcome = alert.detail.get("outcome")
    source = "at home" if at_home else "from outside"
    first = f"{when(alert.time, alert.time, zone)}: login{_user(alert)}"
    last = "Name it if it is yours." if at_home and not _named(alert) else "Was this you?"
    whom = _whom(alert)
    if outcome == "failure":
        count = _number(alert, "wrong")
        tries = f" ({count} tries so far)" if count > 1 else ""
        title = f"Somebody {source} tried to log in: {camera}"
        return title, fit(f"{first} was refused, {whom}{tries}.", _list(alert), last)
    if outcome == "unknown" or (outcome is None and alert.severity != "critical" and not at_home):
        title = f"Somebody {source} may be logged in: {camera}"
        return title, fit(f"{first}, {whom}.", "What the camera answered could not be read.", last)
    title = f"Somebody at home logged in to {camera}" if at_home else f"Somebody logged in to {camera} from outside"
    return title, fit(f"{first} worked, {whom}.", _list(alert), last)


def _guessing(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    count = max(_number(alert, "wrong"), alert.count)
    length = alert.detail.get("wrong_s")
    span = f" in {duration(float(length))}" if isinstance(length, int | float) and length >= 1 else ""
    networks = _number(alert, "networks")
    whom = _whom(alert) if networks < 2 else f"from {networks} different networks"
    if alert.severity == "critical":
        step = "Treat the camera as open to others until you change its password."
        first = f"{when(alert.time, alert.time, zone)}: a login{_user(alert)} worked after {count} wrong tries{span}"
        return f"Password guessed: somebody is in {camera}", fit(f"{first} {_whom(alert)}.", "", step)
    step = "None has worked so far. No need to act at once; a strong password holds."
    title = f"Somebody is guessing {camera}'s password"
    if alert.state == "update":
        title = f"Still guessing {camera}'s password"
    return title, fit(f"{count} wrong logins{span} {whom}.", "", step)


def _stale(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    count = max(_number(alert, "wrong"), alert.count)
    device = _named(alert) or "Something of yours"
    first = f"{device} tried {count} times since {when(alert.started, alert.time, zone)} and was refused."
    return (
        f"Something tries an old password: {camera}",
        fit(
            first, "Some cameras lock everybody out after many wrong tries.", "Put the camera's new password in there."
        ),
    )


def _default(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    whom = _whom(alert).removeprefix("from ")
    first = f"A login with the maker's default password, or none, worked just now, from {whom}."
    return (
        f"{camera} uses its factory password",
        fit(first, "", "Anybody who can reach the camera can do the same. Change it."),
    )


def _over(alert: Alert, camera: str, zone: str) -> tuple[str, str]:
    ended = alert.ended if alert.ended is not None else alert.time
    first, last = when(alert.started, ended, zone), clock(ended, zone)
    span = f"from {first} to {last}" if first != last else f"at {first}"
    whom = _whom(alert)
    if alert.type == "brute-force":
        networks = _number(alert, "networks")
        whom = whom if networks < 2 or alert.severity == "critical" else f"from {networks} different networks"
        count = max(_number(alert, "wrong"), alert.count)
        tail = "One login worked: change the password." if alert.severity == "critical" else "None worked."
        return f"No more guessing: {camera}", fit(f"{count} wrong logins {span}, {whom}.", "", tail)
    if alert.type == "stale-password":
        return f"No more wrong tries: {camera}", fit(f"It was {span}, {whom}.", "", "The record is kept.")
    if alert.type == "default-password":
        return f"No more such logins: {camera}", f"A factory password worked {span}. If it is changed, all is well."
    return f"No new logins of that kind: {camera}", fit(f"It was {span}, {whom}.", "", "The record is kept.")


def _user(alert: Alert) -> str:
    user = alert.detail.get("user")
    return f" as '{name(str(user), 20)}'" if user else ""


def _whom(alert: Alert) -> str:
    return f"from {who(alert.peer)}"


def _named(alert: Alert) -> str | None:
    device = alert.peer.device if alert.peer else None
    return name(device, 28) if device else None


def _list(alert: Alert) -> str:
    """Why it is told: the rule that nearly allowed it, or that none does."""
    if alert.reason.startswith(("you expect", "it tries")):
        return f"{name(alert.reason, 60).capitalize()}."
    return "No rule of yours allows it." if _named(alert) else "It is not on your list."


def _number(alert: Alert, key: str) -> int:
    value = alert.detail.get(key)
    return int(value) if isinstance(value, int | float) else 0
