"""The answers of `camguard check`: what is measured, and what is made of it. Each is one line, with one fix per fault.

In: the live figures (now.json), the record, the configuration, /proc, and which companions run. Out: Answers.
"""

import shlex
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from camguard import config, report
from camguard.check.followers import followers
from camguard.config import Config, Paths
from camguard.errors import ConfigError, StoreError
from camguard.places import Places
from camguard.review import deliveries, phones
from camguard.review.terminal import View, start_words

Status = Literal["ok", "warning", "fault"]
TABLES_OLD_S = 180 * 86_400.0  # dependencies.md: an address must not be called unexpected on stale data
MANY_LOST = 0.01  # of all packets

_PLACEMENT = "docs/placement.md"
_SILENCED = "Only what is critical and new reaches you."
_END_IT = "to hear of all again: camguard allow --list, then camguard allow --revoke NO"


@dataclass(frozen=True)
class Answer:
    """One line: what was looked at, how it is, what to know, and (for a fault or warning) the one thing to do."""

    name: str
    status: Status
    detail: str
    meaning: str = ""
    fix: str = ""


# ---- can it look? ----------------------------------------------------------------------------------------------------


def settings_of(paths: Paths) -> tuple[Config | None, str]:
    try:
        return config.load(paths.config if paths.config.exists() else None), ""
    except (ConfigError, OSError) as error:
        return None, str(error)


def guard(view: View) -> Iterator[Answer]:
    """Whether the guard looks at present; the first thing to know."""
    if not view.looking:
        sentence, _, fix = view.not_looking_words().partition(". Fix: ")
        yield Answer("guard", "fault", sentence, "No alert can come.", fix)
        return
    figures = view.figures or {}
    since = report.day(report.seconds_of(str(figures["since"])), view.zone)
    yield Answer("guard", "ok", f"looking since {since}")
    for problem in figures.get("problems", []):
        if problem != figures.get("cost"):
            sentence, _, fix = report.clean(str(problem)).partition(" Run: ")
            yield Answer("guard", "warning", sentence, fix="" if fix == "camguard check" else fix)


def configuration(paths: Paths, settings: Config | None, trouble: str) -> Iterator[Answer]:
    if settings is None:
        unreadable = "may not be read" in trouble
        fix = "sudo camguard check" if unreadable else f"correct {paths.config}, then: sudo systemctl reload camguard"
        yield Answer("configuration", "warning" if unreadable else "fault", report.clean(trouble), fix=fix)
        return
    cameras, rules = len(settings.home.cameras), len(settings.home.expects)
    where = settings.path or "none yet"
    detail = f"{where}, {number(cameras, 'camera')}, {number(rules, 'rule')}"
    if cameras:
        yield Answer("configuration", "ok", detail)
    else:
        yield Answer(
            "configuration", "fault", detail, "Nothing is guarded.", "sudo camguard cameras discover, then cameras add"
        )


def looking(view: View) -> Iterator[Answer]:
    figures = view.figures or {}
    if view.looking:
        for interface in figures.get("interfaces", []):
            yield _interface(interface)
        yield from _rights(int(figures.get("pid") or 0))
        yield _counting(figures, view)
    yield _record(view)
    yield _tables()


def _interface(figures: dict[str, Any]) -> Answer:
    name = str(figures["name"])
    if figures.get("state") != "up":
        return Answer("network interface", "fault", f"{name} is gone", "Nothing is seen there.", f"ip link show {name}")
    found = psutil.net_if_stats().get(name)
    speed = f", {_speed(found.speed)}" if found is not None and found.speed else ""
    packets = int(figures.get("packets") or 0)
    if not packets:
        return Answer(
            "network interface",
            "warning",
            f"{name}, up{speed}, but not one packet has come",
            fix=f"is it the right one? {_PLACEMENT}",
        )
    return Answer("network interface", "ok", f"{name}, up{speed}")


def _speed(mbps: int) -> str:
    return f"{mbps // 1000} Gbit/s" if mbps >= 1000 and mbps % 1000 == 0 else f"{mbps} Mbit/s"


def _rights(pid: int) -> Iterator[Answer]:
    """What the running guard may do, as the kernel says (proc(5), status: Uid, CapEff), in each of its tasks."""
    held, root = 0, False
    try:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            held |= int(fields["CapEff"], 16)
            root = root or fields["Uid"].split()[1] == "0"
    except (OSError, KeyError, ValueError):
        return  # hidden from this user: nothing is known, so nothing is said
    if root:
        yield Answer(
            "rights", "warning", "the guard runs as root", fix="let it run as its own user: sudo systemd/install.sh"
        )
    elif held:
        yield Answer("rights", "warning", f"the guard still holds rights ({held:x})", fix="Please report this.")
    else:
        yield Answer("rights", "ok", "none held: given up before the first packet was read, no root")


def _counting(figures: dict[str, Any], view: View) -> Answer:
    counters = figures.get("counters", {})
    packets = sum(int(one.get("packets") or 0) for one in figures.get("interfaces", []))
    lost = sum(int(one.get("drops") or 0) for one in figures.get("interfaces", []))
    lost += sum(int(counters.get(name) or 0) for name in ("flows-overflow", "missed-reads"))
    since = report.day(report.seconds_of(str(figures["since"])), view.zone)
    detail = f"{report.clean(str(figures.get('source')))}; {number(lost, 'packet')} lost since {since}"
    if lost > MANY_LOST * max(packets, 1):
        return Answer(
            "counting",
            "fault",
            detail,
            "A viewing may be missed.",
            f"use a faster machine, or mirror less: {_PLACEMENT}",
        )
    if figures.get("cost"):
        return Answer("counting", "warning", detail, report.clean(str(figures["cost"])), "docs/limits.md")
    return Answer("counting", "warning" if lost else "ok", detail)


def _record(view: View) -> Answer:
    try:
        alerts = len(view.reader.open_alerts())
        size = view.paths.database.stat().st_size
    except StoreError as error:
        sentence, _, fix = report.clean(str(error)).rpartition(". ")
        return Answer("record", "fault", sentence or fix, fix=fix if sentence else "")
    except OSError as error:
        return Answer("record", "fault", f"{view.paths.database}: {error.strerror}", fix="sudo camguard check")
    return Answer("record", "ok", f"{view.paths.database}, {report.size(size)}, {number(alerts, 'open alert')}")


def _tables() -> Answer:
    """The date of the shipped address and maker tables."""
    name = "address tables"
    try:
        date = Places().date
        age_s = time.time() - time.mktime(time.strptime(date, "%Y-%m-%d"))
    except (OSError, ValueError, KeyError):
        return Answer(
            name, "fault", "not there", "Nobody can be named.", "install camguard again: sudo systemd/install.sh"
        )
    if age_s > TABLES_OLD_S:
        return Answer(
            name,
            "warning",
            f"of {date}: older than half a year",
            "Owners of addresses may be wrong.",
            "update camguard",
        )
    return Answer(name, "ok", f"of {date}")


def owners(view: View) -> Iterator[Answer]:
    """The owner's phones that may change their MAC, or seem to have done so."""
    home = view.config.home
    try:
        changed = phones.moved(home, view.reader.devices(), view.now)
    except StoreError:
        changed = []
    for one in changed:
        name, meaning = (
            report.clean(one.device.name, report.MAX_CAMERA),
            "Until then its viewing counts as a stranger's.",
        )
        yield Answer(name, "warning", phones.moved_words(one), meaning, phones.moved_fix(one))
    for device in phones.may_change(home):
        if device not in [one.device for one in changed]:
            name = report.clean(device.name, report.MAX_CAMERA)
            detail = f"{device.mac} is a MAC that the device made up, and it may take another one"
            meaning = "After that camguard does not know it, and its viewing counts as a stranger's."
            yield Answer(name, "warning", detail, meaning, phones.TURN_OFF)


# ---- what does it see? -----------------------------------------------------------------------------------------------


def seeing(view: View) -> Iterator[Answer]:
    figures = view.figures or {}
    if view.looking:
        for camera in figures.get("cameras", []):
            yield _camera(camera, view)
        return
    last = _last_seen(view)
    for camera in view.config.home.cameras:
        when = last.get(camera.mac or "") or max((last.get(ip, 0.0) for ip in camera.ips), default=0.0)
        seen = f"last seen {report.when(when, view.now, view.zone)}" if when else "never seen"
        yield Answer(report.clean(camera.name, report.MAX_CAMERA), "fault", f"not looked at; {seen}", fix=start_words())


def _last_seen(view: View) -> dict[str, float]:
    """MAC and address -> when the record last heard of it."""
    try:
        devices = view.reader.devices()
    except StoreError:
        return {}
    found = {ip: device.last_time for device in reversed(devices) for ip in device.ips}
    return found | {device.mac: device.last_time for device in devices}


def _camera(camera: dict[str, Any], view: View) -> Answer:
    name = report.clean(str(camera["name"]), report.MAX_CAMERA)
    up, down = int(camera.get("packets_up") or 0), int(camera.get("packets_down") or 0)
    known = camera.get("mac") or ", ".join(camera.get("ips") or [])
    last = camera.get("last_time")
    seen = f"last seen {report.when(report.seconds_of(last), view.now, view.zone)}" if last else "never seen yet"
    mirror = f"mirror both directions of its port, or run camguard on the router: {_PLACEMENT}"
    missed = "No alert can come for this camera."
    match camera.get("sight"):
        case "both":
            return Answer(name, "ok", f"{known}  both directions, {number(up + down, 'packet')}")
        case "up-only":
            return Answer(
                name,
                "warning",
                "only what it sends, not what it receives",
                "Log-ins and commands to it will be missed.",
                mirror,
            )
        case "down-only":
            return Answer(name, "fault", "only what it receives, not what it sends", missed, mirror)
        case "broadcast-only":
            return Answer(name, "fault", "only what it says to everybody, not what it says to others", missed, mirror)
        case _:
            waited = view.not_yet_heard(camera)
            if waited is not None:
                detail = f"not heard yet; camguard looks at it for {report.duration(waited)} only"
                return Answer(name, "warning", detail, fix="wait 3 minutes, then: camguard check")
            fix = f"is it plugged in? If it is, its traffic does not pass here: {_PLACEMENT}"
            return Answer(name, "fault", f"not one packet; {seen}", missed, fix)


# ---- can it tell you? ------------------------------------------------------------------------------------------------


def telling(paths: Paths, settings: Config | None, view: View) -> Iterator[Answer]:
    """The channels of the configuration, and the companions. A machine without a screen needs no companion."""
    for name, words in view.silenced_words().items():
        yield Answer(report.clean(name, report.MAX_CAMERA) or "every camera", "warning", words, _SILENCED, _END_IT)
    channels = list(_channels(paths, settings, view))
    yield from channels
    found = followers(paths)
    for one in found:
        if one.failing:
            reason = report.clean(one.failing)
            yield Answer(
                "desktop", "fault", f"{one.user}: notifications are not shown: {reason}", fix="camguard desktop --test"
            )
        else:
            yield Answer("desktop", "ok", f"a companion of {one.user} follows the record")
    if not found and not channels:
        fix = "in your desktop session: systemctl --user start camguard-desktop, or: camguard desktop"
        yield Answer("desktop", "fault", "nothing follows the record: camguard can look, but cannot reach you", fix=fix)


def _channels(paths: Paths, settings: Config | None, view: View) -> Iterator[Answer]:
    if settings is None or not settings.channels:
        return
    start = deliveries.start_words(paths)
    if not deliveries.runs(paths):
        yield Answer("messages", "fault", "camguard deliver does not run: nothing reaches your channels", fix=start)
    try:
        found = deliveries.deliveries(paths, settings.channels)
    except StoreError as error:
        sentence, _, fix = report.clean(str(error)).rpartition(". ")
        yield Answer("messages", "warning", sentence or fix, fix=fix if sentence else "")
        return
    for one in found:
        name, detail = report.clean(one.name, 32), one.words(view.now, view.zone)
        test = f"sudo camguard notify --test {shlex.quote(one.name)}"
        if one.trouble:
            sentence, _, fix = detail.partition(". ")
            yield Answer(name, "fault", sentence, "Alerts wait, and are tried again for three days.", fix or test)
        elif not one.works or "given up" in detail or "waiting" in detail:
            yield Answer(name, "warning", detail, fix=test)
        else:
            yield Answer(name, "ok", detail)


def outside(paths: Paths, settings: Config | None, view: View) -> Iterator[Answer]:
    """The watch service of [alive], which notices when camguard or the whole machine falls silent."""
    if settings is None or settings.ping is None:
        return
    name, test = deliveries.WATCH_SERVICE, "sudo camguard notify --test"
    if not settings.channels and not deliveries.runs(paths):
        yield Answer(name, "fault", "camguard deliver does not run", fix=deliveries.start_words(paths))
        return
    try:
        found = deliveries.ping(paths)
    except StoreError as error:
        if not settings.channels:  # said of them already
            yield Answer(name, "warning", report.clean(str(error)))
        return
    if trouble := deliveries.ping_trouble(found, view.now, view.zone):
        sentence, _, fix = trouble.partition(". ")
        missed = "It cannot know that all is well, and will tell you that camguard is silent."
        yield Answer(name, "fault", sentence, missed, fix or test)
    elif found.last is None:
        yield Answer(name, "warning", "not tried yet: it is told only while the guard looks", fix=test)
    else:
        yield Answer(name, "ok", f"took a sign of life {report.when(found.last, view.now, view.zone)}")


def number(count: int, what: str) -> str:
    """ "1 camera", "3 cameras"."""
    return f"{count} {what}{'' if count == 1 else 's'}"
