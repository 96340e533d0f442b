"""The page of the week: whole by itself, harmless whatever names are in it, readable in both colours."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from camguard import store
from camguard.review.page import COLOURS, page
from camguard.review.weekly import Facts, facts
from tests.review.weeks import DAY_S, HOSTILE, HOUR_S, OVH, SINCE, UNTIL, ZONE, a_week, blind, looked, viewing

CAMERAS = ("nursery", "porch", "garage")
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Tags(HTMLParser):
    """Every element with its attributes; that they are nested right."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def rects(text: str, kind: str) -> list[ElementTree.Element]:
    """Rectangles of a kind in the charts of the cameras."""
    charts = re.findall(r"<figcaption>.*?</figcaption>.*?(<svg.*?</svg>)", text, re.DOTALL)
    return [one for chart in charts for one in ElementTree.fromstring(chart).iter("rect") if one.get("class") == kind]


@pytest.fixture
def week(tmp_path: Path) -> Facts:
    reader = a_week(tmp_path / "guard.db")
    found = facts(reader, SINCE, UNTIL, CAMERAS)
    reader.close()
    return found


def test_it_needs_nothing_else_and_runs_nothing(week: Facts) -> None:
    made = page(week, ZONE)
    tags = Tags(made).found
    assert not {tag for tag, _ in tags} & {"script", "link", "img", "iframe", "object", "a", "form", "image", "use"}
    for tag, attributes in tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{tag} {name}"
            assert name not in ("src", "href", "xlink:href")
            assert "//" not in (value or ""), f"{tag} {name}"
    assert not re.search(r"https?:|@import|url\((?!#hatch\))", made)
    policy = next(a["content"] for tag, a in tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert len(made) < 40_000


def test_each_viewing_is_drawn_once_and_what_was_not_seen_is_hatched(week: Facts) -> None:
    made = page(week, ZONE)
    assert len(rects(made, "unexpected")) == 2
    assert len(rects(made, "unclear")) == 1
    assert len(rects(made, "expected")) == 14
    hatched = [float(one.get("width", "0")) for one in rects(made, "hatch")]
    assert len(hatched) == 4, "the gap in each of three charts, and the camera that was not seen"
    assert max(hatched) == pytest.approx(1.2 * 40, abs=0.2)
    assert min(hatched) >= 2.0, "six minutes of a week can be seen"
    assert "1 unexpected viewer" in made
    assert "99.94 %" in made


def test_a_camera_without_a_viewing_and_a_home_without_a_camera(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    looked(record, (SINCE, UNTIL))
    record.close()
    reader = store.Reader(tmp_path / "guard.db")
    quiet = page(facts(reader, SINCE, UNTIL, CAMERAS), ZONE)
    none = page(facts(reader, SINCE, UNTIL), ZONE)
    reader.close()
    Tags(quiet)
    assert not rects(quiet, "hatch")
    assert quiet.count("0 viewings") >= 3
    assert "Not you?" not in quiet
    Tags(none)
    assert "No camera is guarded yet" in none


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    looked(record, (SINCE, UNTIL))
    viewing(record, "x", HOSTILE, SINCE + HOUR_S, 1, OVH | {"org": HOSTILE, "country": "'\"><svg onload=x>"},
            verdict="unexpected")  # fmt: skip
    blind(record, "b", HOSTILE, SINCE + DAY_S, SINCE + 2 * DAY_S, HOSTILE)
    record.close()
    reader = store.Reader(tmp_path / "guard.db")
    made = page(facts(reader, SINCE, UNTIL, (HOSTILE, "&amp;<b>")), ZONE)
    reader.close()
    tags = {tag for tag, _ in Tags(made).found}
    assert not tags & {"script", "img"}
    assert "\x1b" not in made
    assert "\u202e" not in made
    assert len(made) < 40_000
    for chart in re.findall(r"<svg.*?</svg>", made, re.DOTALL):
        ElementTree.fromstring(chart)


def test_a_hundred_cameras_and_a_flood_of_viewings_stay_a_page(tmp_path: Path) -> None:
    record = store.Store.open(tmp_path / "guard.db")
    looked(record, *((SINCE + n * HOUR_S, SINCE + n * HOUR_S + 3000) for n in range(160)))
    for number in range(2000):
        viewing(record, f"v{number}", f"camera {number % 100}", SINCE + number * 300, 1, OVH, verdict="unexpected")
    record.close()
    reader = store.Reader(tmp_path / "guard.db")
    found = facts(reader, SINCE, UNTIL)
    reader.close()
    made = page(found, ZONE)
    Tags(made)
    assert found.count("unexpected") == 2000
    assert "1980 earlier ones" in made
    assert len(made) < 3_500_000


@pytest.mark.parametrize("number", [0, 1], ids=["light", "dark"])
def test_colours_can_be_told_apart(number: int) -> None:
    """WCAG 2.2, 1.4.3 and 1.4.11: text 4.5 : 1, marks 3 : 1, on the page and on what is raised."""
    for back in ("page", "raised"):
        for name in ("text", "muted", "critical"):
            assert contrast(COLOURS[name][number], COLOURS[back][number]) >= 4.5, (name, back)
        for name in ("critical-mark", "calm-mark", "blind-mark", "line"):
            assert contrast(COLOURS[name][number], COLOURS[back][number]) >= 3.0, (name, back)


def contrast(one: str, other: str) -> float:
    first, second = sorted((_light(one), _light(other)), reverse=True)
    return (first + 0.05) / (second + 0.05)


def _light(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
