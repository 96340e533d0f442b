"""Text for a person: what others wrote made harmless; times, lengths and sizes in words. Pure.

Times in are wall-clock seconds since 1970; times in words are local to `zone`, a name such as "Europe/Berlin".
"""

import unicodedata
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

MAX_TITLE, MAX_BODY, MAX_CAMERA, MAX_WHO, MAX_DETAIL = 60, 200, 20, 40, 2000
MAX_MARKS = 3  # combining marks on one letter; more is a trick to draw over other lines

# ---- text that others wrote ------------------------------------------------------------------------------------------


def clean(text: str, limit: int = MAX_DETAIL) -> str:
    """`text` on one line, at most `limit` long, without control, direction-turning and unassigned characters."""
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    kept: list[str] = []
    marks = 0
    for raw in text[: limit * 4]:
        category = unicodedata.category(raw)
        char = " " if category in ("Cc", "Zl", "Zp", "Zs") else raw
        if category[0] == "C" and char == raw:
            continue
        marks = marks + 1 if category[0] == "M" else 0
        if marks <= MAX_MARKS and not (char == " " and (not kept or kept[-1] == " ")):
            kept.append(char)
    return cut("".join(kept).strip(), limit)


def cut(text: str, limit: int) -> str:
    """`text` with at most `limit` characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def fit(first: str, middle: str, last: str) -> str:
    """Three sentences in the room that a body has: the middle one is left out first; the next step always stays."""
    whole = " ".join(part for part in (first, middle, last) if part)
    if len(whole) <= MAX_BODY:
        return whole
    return f"{cut(first, MAX_BODY - len(last) - 1)} {last}" if last else cut(first, MAX_BODY)


def name(text: str, limit: int) -> str:
    """A name for a sentence: clean, no markup brackets, cut."""
    return clean(text.replace("<", " ").replace(">", " "), limit) or "?"


# ---- times and sizes -------------------------------------------------------------------------------------------------


def rfc3339(time: float | None) -> str | None:
    """Wall-clock seconds -> "2026-11-24T20:14:03.250Z"."""
    if time is None:
        return None
    millis = round(time * 1000)
    whole = datetime.fromtimestamp(millis // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"


def seconds_of(text: str) -> float:
    """The other way: RFC 3339 -> wall-clock seconds."""
    return datetime.fromisoformat(text).timestamp()


@lru_cache(maxsize=8)
def zone_of(name: str) -> ZoneInfo:
    """The time zone of that name."""
    return ZoneInfo(name)


def clock(time: float, zone: str) -> str:
    """The local hour: "22:14"."""
    return f"{datetime.fromtimestamp(time, zone_of(zone)):%H:%M}"


def day(time: float, zone: str, seconds: bool = False) -> str:
    """Local day and hour: "23 Nov 22:14"."""
    local = datetime.fromtimestamp(time, zone_of(zone))
    return f"{local.day} {local:%b %H:%M:%S}" if seconds else f"{local.day} {local:%b %H:%M}"


def when(time: float, now: float, zone: str) -> str:
    """The hour, with the day where it is another one than that of `now`."""
    same = datetime.fromtimestamp(time, zone_of(zone)).date() == datetime.fromtimestamp(now, zone_of(zone)).date()
    return clock(time, zone) if same else day(time, zone)


def duration(seconds: float) -> str:
    """A length in words: "40 seconds", "12 minutes", "3 h 5 min", "2 d 4 h"."""
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} second{'' if whole == 1 else 's'}"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} minutes"
    hours, rest = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def short_duration(seconds: float) -> str:
    """A length for a table: "40 s", "12 min", "3 h 5 min", "2 d 4 h"."""
    return duration(seconds).replace(" seconds", " s").replace(" second", " s").replace(" minutes", " min")


def size(amount: float) -> str:
    """Bytes in words, decimal: "900 kB", "104 MB", "1.2 GB"."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if amount >= one * 0.9995:
            value = amount / one
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{amount:.0f} bytes"


def capital(text: str) -> str:
    """`text` with a capital letter in front."""
    return text[:1].upper() + text[1:]
