"""What a camera usually does, in words. In: Habits; out: sentences. Pure."""

from camguard.events import Habit
from camguard.report.text import MAX_CAMERA, MAX_WHO, clean, duration, name


def habit_words(habit: Habit) -> str:
    """One habit in a sentence: who gets what, when, how long, how often; whether a phone of the owner's was on it."""
    what = "sends what looks like live video" if habit.cls == "stream" else "sends clips"
    words = f"{name(habit.camera, MAX_CAMERA)} {what} to {_who(habit)}"
    days = f"{habit.days} day{'' if habit.days == 1 else 's'}"
    if habit.continuous:
        return f"{words} all day long, seen on {days}: a recording in the cloud, or somebody who never stops watching"
    often = "once on 1 day" if habit.count == 1 else f"{_times(habit.count)} on {days}"
    words = f"{words}, {hours_words(habit.hours)}, {duration(habit.length_s)} each: {often}"
    if habit.cls != "stream":
        return words
    if not habit.phone_count:
        return f"{words}; none of your phones was on it"
    return f"{words}; a phone of yours at home was on it {habit.phone_count} of {_times(habit.count)}"


def hours_words(hours: str) -> str:
    """Hours as schedule.py reads them, for a sentence: "usually mon-fri 18:00-22:00"."""
    return "at any hour" if hours == "00:00-24:00" else f"usually {clean(hours, 80)}"


def _who(habit: Habit) -> str:
    """The server with whose network it is on: "reolink.com (Amazon, United States)"."""
    owner = (habit.owner or "").partition(" ")[2] if (habit.owner or "").startswith("AS") else habit.owner or ""
    known = ", ".join(part for part in (owner if habit.named else "", habit.country or "") if part)
    return f"{name(habit.who, MAX_WHO)} ({name(known, MAX_WHO)})" if known else name(habit.who, MAX_WHO)


def _times(count: int) -> str:
    return f"{count} time{'' if count == 1 else 's'}"
