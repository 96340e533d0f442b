"""The week as one HTML page that needs nothing else: no script, no other file, no network. In: Facts; out: the text.

Two kinds of charts, inline SVG: viewings by day, a small chart for each camera, all on one scale; and a strip of the
time in which camguard looked. What was not seen is drawn as a hatch, never as "nothing happened". Colours and signs are
those of ux.md 14, for light and dark; each has a second sign (outline, solid, hatch, word). Names are cleaned and
escaped: they come from the network and from the owner.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from html import escape
from itertools import pairwise
from zoneinfo import ZoneInfo

from camguard import report
from camguard.review.weekly import (
    LISTED,
    Facts,
    Viewing,
    camera_words,
    ending_words,
    gap_words,
    headline,
    span_words,
    viewing_words,
    way_words,
)

#: token -> (light, dark); a test computes their contrast.
COLOURS = {
    "page": ("#FFFFFF", "#0F151C"),
    "raised": ("#F3F5F8", "#18212B"),
    "text": ("#16202B", "#E8EDF2"),
    "muted": ("#51606F", "#A7B4C1"),
    "line": ("#7A8896", "#6B7B8B"),
    "critical": ("#A3123A", "#FF8A7A"),
    "critical-mark": ("#B5134A", "#FF6A5E"),
    "calm-mark": ("#0072B2", "#56B4E9"),
    "calm-fill": ("#E6F1FB", "#10283D"),
    "blind-mark": ("#7A8896", "#6F7F8F"),
    "blind-fill": ("#EDF0F3", "#222C37"),
}
_STYLE = """
*{box-sizing:border-box}
body{margin:0 auto;max-width:60rem;padding:1.25rem 1rem 3rem;background:var(--page);color:var(--text);
font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 .25rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
p{margin:.25rem 0}.muted{color:var(--muted)}.bad{color:var(--critical)}
.numbers{display:flex;flex-wrap:wrap;gap:.75rem;margin:1.25rem 0;padding:0;list-style:none}
.numbers li{flex:1 1 9rem;background:var(--raised);border-radius:.5rem;padding:.6rem .8rem}
.numbers b{display:block;font-size:1.6rem;line-height:1.2}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(20rem,100%),1fr));gap:1rem}
figure{margin:0;background:var(--raised);border-radius:.5rem;padding:.6rem .6rem .3rem;break-inside:avoid}
figcaption{font-weight:600}svg{display:block;width:100%;max-width:26rem;height:auto}svg.broad,svg.narrow{max-width:100%}.broad{display:none}
@media(min-width:46rem){.broad{display:block}.narrow{display:none}}
svg text{font:11px system-ui,sans-serif;fill:var(--muted)}svg text.n{fill:var(--text)}
.axis{stroke:var(--line);stroke-width:1}.tick{stroke:var(--line);stroke-width:1;stroke-dasharray:2 3}
.expected{fill:var(--calm-fill);stroke:var(--calm-mark);stroke-width:1.5}
.unexpected{fill:var(--critical-mark);stroke:var(--critical-mark);stroke-width:1.5}
.unclear{fill:none;stroke:var(--muted);stroke-width:1.5;stroke-dasharray:3 2}
.looked{fill:var(--calm-fill);stroke:var(--calm-mark);stroke-width:1}
.hatch{fill:url(#hatch);stroke:var(--blind-mark);stroke-width:.75}
.hatch-back{fill:var(--blind-fill)}.hatch-line{stroke:var(--blind-mark);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;margin:.5rem 0 .75rem;padding:0;list-style:none}
.legend svg{display:inline-block;width:1.1rem;height:1.1rem;vertical-align:-.2rem;margin-right:.35rem}
ul.list{padding-left:1.2rem;margin:.25rem 0}
@media print{:root{--page:#fff;--raised:#fff;--text:#000;--muted:#000;--critical:#000}figure{border:1px solid #000}}
"""
_ROOM = "default-src 'none'; style-src 'unsafe-inline'"
_DAY_W, _BAR_W, _BAR_H, _TOP, _LEFT = 40, 24, 76, 16, 6
_STRIP_H, _LABEL, _PITCH = 16, 15, 37
_WIDTHS = {"broad": 860, "narrow": 330}


def page(found: Facts, zone: str) -> str:
    """The whole page."""
    title = report.weekly(found.week(), zone)[0]
    strangers = [one for one in found.viewings if one.sort == "unexpected"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" '
        f'content="light dark"><meta http-equiv="Content-Security-Policy" content="{_ROOM}">'
        '<meta name="referrer" content="no-referrer">',
        f"<title>{_safe(title)} · camguard</title><style>{_colours()}{_STYLE}</style></head><body>",
        _patterns(),
        f"<main><h1{' class=bad' if strangers else ''}>{'■ ' if strangers else ''}{_safe(title)}</h1>",
        f'<p class="muted">{_safe(span_words(found, zone))} ({_safe(zone)})</p>',
        _numbers(found),
        "<h2>Viewings by day</h2>",
        _legend(found),
        f'<div class="charts">{"".join(_camera(found, camera, zone) for camera in found.cameras)}</div>'
        if found.cameras
        else '<p class="muted">No camera is guarded yet.</p>',
        *_strangers(strangers, found, zone),
        "<h2>When camguard looked</h2>",
        _strips(found, zone),
        *_list((gap_words(gap, zone) for gap in found.gaps[-LISTED:]), "Not looked:"),
        *_list((way_words(one, zone) for one in found.ways[:LISTED]), "Open now, from outside or new:"),
        *_list((ending_words(one, found.until, zone) for one in found.ending[:LISTED]), "Ends within 3 days:"),
        '<p class="muted">Only what passes camguard is counted, and never what was in the picture. '
        "What it cannot see: docs/limits.md</p>",
        "</main></body></html>\n",
    ]
    return "\n".join(parts)


def _safe(text: str) -> str:
    return escape(report.clean(text, 400))


def _colours() -> str:
    light, dark = (";".join(f"--{name}:{pair[n]}" for name, pair in COLOURS.items()) for n in (0, 1))
    return f":root{{color-scheme:light dark;{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}"


def _patterns() -> str:
    """The hatch, once for all charts."""
    return (
        '<svg width="0" height="0" style="position:absolute" aria-hidden="true"><defs><pattern id="hatch" width="6" '
        'height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" '
        'class="hatch-back"/><line x1="1" y1="0" x2="1" y2="6" class="hatch-line"/></pattern></defs></svg>'
    )


def _numbers(found: Facts) -> str:
    strangers, week = found.strangers, found.week()
    rows = [
        (str(strangers), f"unexpected viewer{'' if strangers == 1 else 's'}", strangers > 0),
        (str(found.count("expected")), "views of yours", False),
        (report.up_words(week), "of the time camguard looked", False),
    ]
    if found.count("unclear"):
        rows.insert(2, (str(found.count("unclear")), "that camguard cannot tell", False))
    items = "".join(f"<li{' class=bad' if bad else ''}><b>{_safe(n)}</b> {_safe(words)}</li>" for n, words, bad in rows)
    return f'<ul class="numbers" aria-label="{_safe(headline(found))}">{items}</ul>'


def _legend(found: Facts) -> str:
    kinds = [("expected", "Expected"), ("unexpected", "Not expected")]
    if found.count("unclear"):
        kinds.append(("unclear", "Cannot tell"))
    kinds.append(("hatch", "Not seen"))
    items = "".join(
        f'<li><svg viewBox="0 0 16 16" aria-hidden="true"><rect x="1.5" y="1.5" width="13" height="13" class="{name}"/>'
        f"</svg>{word}</li>"
        for name, word in kinds
    )
    return f'<ul class="legend">{items}</ul>'


# ---- viewings by day -------------------------------------------------------------------------------------------------


def _days(found: Facts, zone: str) -> list[date]:
    where = ZoneInfo(zone)
    first = datetime.fromtimestamp(found.since, where).date()
    last = datetime.fromtimestamp(max(found.since, found.until - 1), where).date()
    return [first + timedelta(days=number) for number in range(min((last - first).days, 61) + 1)]


def _midnight(day: date, zone: str) -> float:
    return datetime.combine(day, time(), ZoneInfo(zone)).timestamp()


def _camera(found: Facts, camera: str, zone: str) -> str:
    """One camera: a column a day, the sorts stacked, hatch behind what was not seen."""
    days = _days(found, zone)
    counted = {day: dict.fromkeys(("expected", "unexpected", "unclear"), 0) for day in days}
    for one in found.viewings:
        if one.camera == camera:
            counted[_day_of(one, found, zone)][one.sort] += 1
    scale = _BAR_H / _most(found, zone)
    midnights = [_midnight(day, zone) for day in (*days, days[-1] + timedelta(days=1))]
    width, foot = _LEFT * 2 + _DAY_W * len(days), _TOP + _BAR_H
    marks: list[str] = []
    for begin, end in _unseen(found, camera):
        x, last = (_LEFT + _DAY_W * _days_after(at, midnights) for at in (begin, end))
        wide = max(2.0, last - x)
        marks.append(
            f'<rect x="{x:.1f}" y="{_TOP}" width="{wide:.1f}" height="{_BAR_H}" class="hatch">'
            f"<title>{_safe(gap_words((begin, end), zone))}</title></rect>"
        )
    for number, day in enumerate(days):
        left = _LEFT + number * _DAY_W
        marks += _bar(counted[day], left + (_DAY_W - _BAR_W) / 2, foot, scale, f"{day:%A}")
        for words, y in ((f"{day:%a}", foot + 13), (str(day.day), foot + 25)):
            marks.append(f'<text x="{left + _DAY_W / 2}" y="{y}" text-anchor="middle">{words}</text>')
    marks.append(f'<line x1="0" y1="{foot}" x2="{width}" y2="{foot}" class="axis"/>')
    words = camera_words(found, camera)
    name = _safe(report.clean(camera, report.MAX_CAMERA))
    told = _safe(words.partition(": ")[2] if words.startswith(report.clean(camera, report.MAX_CAMERA)) else words)
    return (
        f'<figure><figcaption>{name}</figcaption><p class="muted">{told}</p>'
        f'<svg viewBox="0 0 {width} {foot + 30}" role="img" aria-label="{_safe(words)}">{"".join(marks)}</svg></figure>'
    )


def _bar(counts: dict[str, int], x: float, foot: float, scale: float, day: str) -> Iterator[str]:
    top = foot
    for sort in ("expected", "unclear", "unexpected"):
        if counts[sort]:
            high = max(3.0, counts[sort] * scale)
            top -= high
            word = {"expected": "expected", "unclear": "cannot tell", "unexpected": "not expected"}[sort]
            yield (
                f'<rect x="{x}" y="{top:.1f}" width="{_BAR_W}" height="{high:.1f}" class="{sort}">'
                f"<title>{day}: {counts[sort]} {word}</title></rect>"
            )
    total = sum(counts.values())
    if total:
        yield f'<text x="{x + _BAR_W / 2}" y="{top - 4:.1f}" text-anchor="middle" class="n">{total}</text>'


def _day_of(one: Viewing, found: Facts, zone: str) -> date:
    at = min(max(one.started, found.since), max(found.since, found.until - 1))
    return datetime.fromtimestamp(at, ZoneInfo(zone)).date()


def _most(found: Facts, zone: str) -> int:
    """The largest column of all cameras: one scale for all."""
    columns: dict[tuple[str, date], int] = {}
    for one in found.viewings:
        key = (one.camera, _day_of(one, found, zone))
        columns[key] = columns.get(key, 0) + 1
    return max([1, *columns.values()])


def _unseen(found: Facts, camera: str) -> list[tuple[float, float]]:
    """When the camera was not seen."""
    return [*found.gaps, *((first, last) for name, first, last in found.blind if name == camera)]


def _days_after(at: float, midnights: list[float]) -> float:
    """How many days after the first midnight; a day in which the clocks change is a day."""
    for number, (begin, end) in enumerate(pairwise(midnights)):
        if at < end:
            return number + max(0.0, at - begin) / (end - begin)
    return float(len(midnights) - 1)


# ---- when camguard looked --------------------------------------------------------------------------------------------


def _strips(found: Facts, zone: str) -> str:
    """A strip for the guard, and one for each camera that it did not always see; drawn for two widths of a screen."""
    names = list(dict.fromkeys(name for name, _, _ in found.blind))[:50]
    rows = [("camguard", list(found.gaps)), *((name, _unseen(found, name)) for name in names)]
    told = f"camguard looked {report.up_words(found.week())} of the time, {len(found.gaps)} gaps"
    drawn = "".join(
        f'<svg class="{name}" viewBox="0 0 {width} {len(rows) * _PITCH + 18}" role="img" aria-label="{_safe(told)}">'
        f"{''.join(_strip(rows, width, found, zone))}</svg>"
        for name, width in _WIDTHS.items()
    )
    return f"<figure>{drawn}</figure>"


def _strip(rows: list[tuple[str, list[tuple[float, float]]]], width: int, found: Facts, zone: str) -> Iterator[str]:
    whole, foot = max(found.until - found.since, 1.0), len(rows) * _PITCH

    def across(at: float) -> float:
        return 1 + (at - found.since) / whole * (width - 2)

    for number, (name, spans) in enumerate(rows):
        y = number * _PITCH + _LABEL
        yield f'<text x="1" y="{y - 4}" class="n">{_safe(report.clean(name, report.MAX_CAMERA))}</text>'
        yield f'<rect x="1" y="{y}" width="{width - 2}" height="{_STRIP_H}" class="looked"/>'
        for begin, end in spans:
            wide = max(3.0, across(end) - across(begin))
            x = min(across(begin), width - 1 - wide)
            yield (
                f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{_STRIP_H}" class="hatch">'
                f"<title>{_safe(gap_words((begin, end), zone))}</title></rect>"
            )
    for day in _days(found, zone)[1:]:
        x = across(_midnight(day, zone))
        yield f'<line x1="{x:.1f}" y1="{_LABEL}" x2="{x:.1f}" y2="{foot + 2}" class="tick"/>'
        if x < width - 24:
            yield f'<text x="{x + 3:.1f}" y="{foot + 12}">{day:%a}</text>'


# ---- in words --------------------------------------------------------------------------------------------------------


def _strangers(strangers: list[Viewing], found: Facts, zone: str) -> list[str]:
    if not strangers:
        return []
    listed = [viewing_words(one, found, zone) for one in strangers[-LISTED:]]
    more = len(strangers) - len(listed)
    return [
        '<h2 class="bad">■ Not expected</h2>',
        *_list(listed, ""),
        f"<p>{more} earlier ones: camguard sessions --since -7d</p>" if more else "",
        "<p>Not you? There is time to think. What to think of first is in docs/safety.md.</p>",
    ]


def _list(lines: Iterable[str], head: str) -> list[str]:
    items = "".join(f"<li>{_safe(line)}</li>" for line in lines)
    if not items:
        return []
    return [f"<p>{head}</p>" if head else "", f'<ul class="list">{items}</ul>']
