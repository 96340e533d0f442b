"""`camguard allow` and `camguard watching`: what the owner decides, said to the guard; and what holds.

In: the paths, what was asked. Out: text on stdout, the exit code. Everything goes through the spool (wishes.py); the
answer is the decision itself, as the guard wrote it down.
"""
# ruff: noqa: T201 - these are commands; they print what they are asked for

import difflib
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from camguard import report, wishes
from camguard.config import Paths
from camguard.errors import ConfigError, StoreError
from camguard.events import Decision, Wish
from camguard.judge import schedule
from camguard.report.records import decision_words
from camguard.review import moments
from camguard.review.table import Cell, Row, show
from camguard.review.terminal import View, short_ids, start_words
from camguard.review.weekly import ENDING_S
from camguard.store import Kept, Used

WAIT_S = 3.0
NAMED_MAX = 20
UNUSED_S = 90 * 86_400.0
LONGEST_S = 1e9  # the guard has shorter limits of its own, and says until when
RECENT = 200  # alerts among which the nearest id is looked for
TERMINAL = "terminal"  # the guard adds who sits there: the owner of the file


def allow(
    paths: Paths,
    alert: str,
    mode: Literal["once", "for", "always"],
    length: str | None = None,
    hours: str | None = None,
    now: float | None = None,
) -> int:
    """ "That was me": 0 done or noted, 1 refused. ConfigError for an alert that is not there, hours that are none."""
    view = View(paths, now)
    for_s = None if length is None else _length(length)
    if hours is not None:
        _hours(hours)
    found = alert_named(view, alert)
    about_somebody(found, alert)
    wish = Wish(wishes.new_id(), TERMINAL, "allow", alert=str(found["id"]), mode=mode, for_s=for_s, when=hours)
    return ask(view, wish)


def watching(paths: Paths, camera: str | None, length: str, now: float | None = None) -> int:
    """ "I am watching now": 0 done or noted, 1 refused."""
    view = View(paths, now)
    if camera is not None and camera not in [one.name for one in view.config.home.cameras]:
        view.known_camera(camera)
    return ask(view, Wish(wishes.new_id(), TERMINAL, "watching", camera=camera, for_s=_length(length)))


def revoke(paths: Paths, number: int, now: float | None = None) -> int:
    """Take a decision back: 0 done or noted, 1 refused. ConfigError for one that does not hold."""
    view = View(paths, now)
    if number not in [kept.decision.number for kept in _holding(view)]:
        raise ConfigError(f"there is no decision {number} that holds. See: camguard allow --list")
    return ask(view, Wish(wishes.new_id(), TERMINAL, "revoke", decision=number))


def listing(paths: Paths, *, as_json: bool = False, now: float | None = None) -> int:
    """Print what holds, the oldest first; 0."""
    view = View(paths, now)
    found = _holding(view)
    used = view.reader.used(view.now) if found else {}
    if as_json:
        for kept in found:
            times, last = used.get(kept.decision.number, (0, None))
            made = {"times_used": None if kept.decision.about else times, "last_used": report.rfc3339(last)}
            print(report.to_json(report.as_dict(kept.decision, view.zone) | made))
    elif not found:
        print("Nothing is allowed beyond your configuration. It was you? camguard allow ALERT")
    else:
        rows = [_row(kept, view, used.get(kept.decision.number)) for kept in found]
        show(("NO", "DECIDED", "BY", "WHAT", "UNTIL", "USED"), rows, right=(0,), wraps=(2, 3))
        for kept in found:
            if (since := _unused_since(kept, used.get(kept.decision.number), view.now)) is not None:
                number = kept.decision.number
                day = report.day(since, view.zone)
                print(f"Decision {number} was not used since {day}; no longer needed? camguard allow --revoke {number}")
        print("To take one back: camguard allow --revoke NO")
    return 0


# ---- the alert that is meant -----------------------------------------------------------------------------------------


def alert_named(view: View, named: str) -> dict[str, Any]:
    """The alert whose id begins so; ConfigError with the nearest one."""
    beginning = named.strip().lower()
    found = view.reader.alerts_named(beginning, NAMED_MAX) if beginning.isalnum() else []
    same = [one for one in found if one["id"] == beginning] or found
    if len(same) == 1:
        return same[0]
    shown = report.clean(named, 40)
    if same:
        ids = short_ids([str(one["id"]) for one in same])
        which = "; ".join(f"{ids[str(one['id'])]} ({_when(one, view)})" for one in same[:3])
        raise ConfigError(f'more than one alert begins with "{shown}": {which}. Write more of it.')
    recent = view.reader.alerts(limit=RECENT)
    short = {one_id[: max(3, len(beginning))]: one_id for one_id in reversed([str(one["id"]) for one in recent])}
    near = difflib.get_close_matches(beginning, list(short), n=1, cutoff=0.5)
    if near:
        one = next(one for one in recent if one["id"] == short[near[0]])
        raise ConfigError(f'no alert "{shown}". Did you mean {near[0]} ({_when(one, view)})?')
    raise ConfigError(f'no alert "{shown}". See the ids of all: camguard alerts')


def about_somebody(alert: dict[str, Any], named: str) -> None:
    """ConfigError for an alert to which no permission is an answer."""
    if alert.get("peer") is None and not (alert.get("detail") or {}).get("key"):
        shown = report.clean(named, 40)
        raise ConfigError(f"alert {shown} is about no viewer, so there is nobody to allow. See: camguard alerts")


def _when(alert: dict[str, Any], view: View) -> str:
    started = report.when(report.seconds_of(alert["started"]), view.now, view.zone)
    return f"{started} {report.clean(alert['camera'] or 'camguard', report.MAX_CAMERA)}"


def _hours(words: str) -> None:
    try:
        schedule.parse(words)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None


def _length(words: str) -> float:
    try:
        return min(moments.length(words), LONGEST_S)
    except ValueError as error:
        raise ConfigError(f"{error}.") from None


# ---- asking ----------------------------------------------------------------------------------------------------------


def ask(view: View, wish: Wish) -> int:
    """Say it to the guard, and print what it answers: 0 done or noted, 1 refused."""
    wishes.put(view.paths, wish)
    decision = wishes.wait(view.reader, wish.id, WAIT_S) if view.looking else None
    if decision is not None:
        print(f"Done: {_words(decision, view)}")
        if decision.what != "revoke":
            print(_what_follows(decision))
        return 0
    why = _refusal(view, wish.id)
    if why is not None:
        print(f"camguard: not done: {report.clean(why, 300)}.", file=sys.stderr)
        return 1
    if view.looking:
        print("It is noted. The guard has not answered yet; it applies as soon as it does.")
    else:
        print(f"It is noted, and applies as soon as the guard runs. Start it: {start_words()}")
    return 0


def _refusal(view: View, wish: str) -> str | None:
    try:
        return view.reader.refusal_of(wish)
    except StoreError:
        return None


def _what_follows(decision: Decision) -> str:
    if decision.what == "learn":
        return "See: camguard learn"
    undo = f"Undo: camguard allow --revoke {decision.number}"
    if decision.what == "watching":
        return f"The next viewer counts as you, one at a time; of a second one, or one told before, you hear. {undo}"
    if decision.about is not None:
        again = "When it was closed and is opened again" if decision.mode == "once" else "After that"
        return (
            "It stays quiet from now on; the record goes on. " + undo
            if decision.mode == "always"
            else (f"{again}, you are told again. {undo}")
        )
    if decision.mode == "once":
        again = f"When that viewer comes back, you are told again. {undo}"
        return "When it happens again, you are told again." if decision.used else again
    peer = decision.peer
    if peer is not None and peer.name and peer.scope == "wan" and not (peer.device or peer.mac):
        by_name = f"Whoever comes by {report.clean(peer.name, 80)} is allowed"
        return f"{by_name}; if that is a maker's cloud, a stranger with its app, too. {undo}"
    return f"It is recorded all the same: camguard sessions. {undo}"


def _words(decision: Decision, view: View) -> str:
    return decision_words(decision, view.zone)


# ---- what holds ------------------------------------------------------------------------------------------------------


def _holding(view: View) -> Sequence[Kept]:
    """What holds now or may hold once the clock is set, without who is home, in the order in which it was decided."""
    found = [
        kept
        for kept in view.reader.decisions()
        if kept.decision.what != "presence" and (kept.holds or (kept.unsure and kept._replace(unsure=False).holds))
    ]
    return found[::-1]


def _unused_since(kept: Kept, used: Used | None, now: float) -> float | None:
    """Since when a permission was not needed, where that is long ago. Of what is about no viewer no use is recorded."""
    decision = kept.decision
    if decision.what != "allow" or decision.about or kept.unsure:
        return None
    since = max(decision.time, used.last_time if used else 0.0)
    return since if now - since >= UNUSED_S else None


def _row(kept: Kept, view: View, used: Used | None) -> Row:
    decision = kept.decision
    soon = kept.left_s is not None and kept.left_s <= ENDING_S and decision.what == "allow"
    if kept.unsure:
        until = "when the clock is set"
    elif kept.left_s is not None:
        until = report.when(view.now + kept.left_s, view.now, view.zone)
    else:
        until = "the end of this viewing" if decision.mode == "once" else "you take it back"
    what = decision_words(replace(decision, until=None, mode=None), view.zone)
    return (
        str(decision.number),
        report.when(decision.time, view.now, view.zone),
        report.clean(decision.who, 40),
        what[: what.rindex(" (")],
        Cell(until, "warning" if soon else ""),
        "-" if decision.about or decision.what == "silence" else _times(used.times if used else 0),
    )


def _times(count: int) -> str:
    return {0: "never", 1: "1 time"}.get(count, f"{count} times")
