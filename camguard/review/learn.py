"""`camguard learn`: what was learned of each camera, what is worth a question, and the owner's answer.

In: the paths, what was asked. Out: text on stdout, the exit code. Answers go through the spool (wishes.py).
"""
# ruff: noqa: T201 - this is a command; it prints what it is asked for

import contextlib
from dataclasses import asdict, fields
from typing import Any, Literal

from camguard import report, wishes
from camguard.config import Paths
from camguard.errors import ConfigError
from camguard.events import Habit, Wish
from camguard.report.learned import habit_words
from camguard.review.decisions import TERMINAL, ask
from camguard.review.terminal import View

DAY_S = 86_400.0
#: What accepting a maker's cloud means.
CLOUD = (
    "Accepting lets in whoever comes through that server in these hours: a stranger with the app's password looks the"
    " same. While a phone of yours at home receives it, nothing needs to be accepted."
)
AFTER = (
    "In these hours a stranger with the app's password looks the same. Narrower: camguard learn --accept {0} --hours"
    ' "18:00-20:00". Undo: camguard learn --undo {0}'
)


def learn(
    paths: Paths,
    mode: Literal["accept", "undo", "forget"] | None = None,
    number: int = 0,
    hours: str | None = None,
    *,
    as_json: bool = False,
    now: float | None = None,
) -> int:
    """Print what was learned, or give an answer: 0 done or noted, 1 refused. ConfigError for a number that is none."""
    view = View(paths, now)
    found = _habits(view)
    if mode is None:
        return _listing(view, found, as_json=as_json)
    habit = next((one for one in found if one.number == number), None)
    if habit is None:
        raise ConfigError(f"nothing that was learned has the number {number}. See: camguard learn")
    if mode == "accept" and not habit.ripe:
        seen = f"{habit.days} day{'' if habit.days == 1 else 's'}"
        raise ConfigError(
            f"number {number} was seen on {seen}; five over a week, at different hours, are the least that can be"
            " accepted. To allow one viewer now: camguard allow ALERT"
        )
    done = ask(view, Wish(wishes.new_id(), TERMINAL, "learn", habit=number, mode=mode, when=hours))
    if done == 0 and mode == "accept":
        print(AFTER.format(number))
    return done


def _habits(view: View) -> list[Habit]:
    """All that were learned; those that this version cannot read are left out (the guard says so)."""
    found = []
    for body in view.reader.habits_shown():
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            habit = Habit(**{one.name: body[one.name] for one in fields(Habit)})
            habit_words(habit)
            found.append(habit)
    return found


def _listing(view: View, found: list[Habit], *, as_json: bool) -> int:
    if as_json:
        for habit in found:
            times = {name: report.rfc3339(getattr(habit, name)) for name in ("first_time", "last_time")}
            print(report.to_json({"kind": "habit"} | asdict(habit) | times | {"words": habit_words(habit)}))
        return 0
    asked = [one for one in found if one.ripe and not one.faded and one.accepted is None and one.cls == "stream"]
    accepted = [one for one in found if one.accepted]
    refused = [one for one in found if one.accepted is False]
    rest = [one for one in found if one not in asked and one.accepted is None]
    _part("Has become usual. Expect it?", asked, "camguard learn --accept {0}, or no: --undo {0}")
    if asked:
        print(CLOUD)
    _part("You accepted, and it is expected:", accepted, "take it back: camguard learn --undo {0}")
    _part("You do not expect, and are told of:", refused, "camguard learn --accept {0}")
    _part("Seen, and told or held back as always:", rest, "learn it anew: camguard learn --forget {0}")
    for line in _first_days(view):
        print(line)
    if not found:
        print("Nothing was learned yet. What a camera sends to a server again and again is listed here.")
    return 0


def _part(title: str, found: list[Habit], what: str) -> None:
    if not found:
        return
    print(title)
    for habit in found:
        faded = " Not seen for 30 days: it counts no more." if habit.faded else ""
        print(f"  {habit.number}  {habit_words(habit)}.{faded}\n     {what.format(habit.number)}")


def _first_days(view: View) -> list[str]:
    """Of each camera whose first days are not over: how far they are, and what was held back."""
    days = view.config.home.learn_days
    known = {name: (seconds, held) for name, seconds, held in view.reader.looked_at() if _is_number(seconds)}
    lines = []
    for camera in view.config.home.cameras:
        seconds, held = known.get(camera.name, (0.0, 0))
        if seconds < days * DAY_S:
            many = f"{held} alert{'' if held == 1 else 's'}"
            lines.append(
                f"{report.clean(camera.name, report.MAX_CAMERA)} is looked at for {report.duration(seconds)} of its"
                f" first {days} days; {many} held back so far (camguard sessions shows them)."
            )
    return lines


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
