"""The week in numbers, from a real record; what is written for the owner of the page, and only for him."""

import json
import os
import stat
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from camguard import config, report, store
from camguard.errors import ConfigError, StoreError
from camguard.events import Decision, Exposure, Peer
from camguard.review import weekly
from camguard.review.page import page
from camguard.review.weekly import Facts, days_before, facts, first_look, headline, text
from tests.review.weeks import DAY_S, HOSTILE, HOUR_S, OVH, PHONE, SINCE, UNTIL, ZONE, a_week, blind, looked, viewing

CAMERAS = ("nursery", "porch", "garage")


@pytest.fixture
def record(tmp_path: Path) -> Any:
    made = store.Store.open(tmp_path / "guard.db")
    yield made
    made.close()


def of(record: store.Store, since: float = SINCE, until: float = UNTIL, cameras: tuple[str, ...] = ()) -> Facts:
    reader = store.Reader(record.path)
    try:
        return facts(reader, since, until, cameras)
    finally:
        reader.close()


def test_a_week_in_numbers(tmp_path: Path) -> None:
    reader = a_week(tmp_path / "guard.db")
    found = facts(reader, SINCE, UNTIL, CAMERAS)
    reader.close()
    assert headline(found) == ("1 unexpected viewer, 14 views of yours, 1 that camguard cannot tell, guard up 99.94 %")
    assert [found.count("unexpected", camera) for camera in CAMERAS] == [2, 0, 0]
    assert found.gaps == ((SINCE + DAY_S + 13 * HOUR_S, SINCE + DAY_S + 13 * HOUR_S + 360),)
    assert [(name, round(end - begin)) for name, begin, end in found.blind] == [("garage", round(1.2 * DAY_S))]
    said = text(found, ZONE)
    assert said.splitlines()[0] == "2 unexpected viewings this week. 16 Nov 09:00 to 23 Nov 09:00"
    assert "nursery: 9 viewings, 2 not expected" in said
    assert "20 Nov 21:00 nursery: live video to OVH, France, 14 minutes" in said
    assert "17 Nov 22:00, 6 minutes" in said
    assert "docs/safety.md" in said
    assert "log-in" not in said, "nothing is said of what is not read"
    assert found.week().failed_logins is None


def test_what_stands_open_is_said(record: store.Store) -> None:
    looked(record, (SINCE - DAY_S, UNTIL))
    for one in (
        Exposure("e1", SINCE, "porch", "open", "upnp-mapping", 8554, 554, "tcp", None),
        Exposure("e2", SINCE, "porch", "open", "inbound-port", None, 80, "tcp", Peer("51.68.10.20", 1, org=HOSTILE)),
        Exposure("e3", SINCE, "porch", "closed", "new-service", None, 23, "tcp", None),
    ):
        record.write(
            [store.Row("exposure", one.time, one.camera, one.id, one.state, report.as_dict(one))], durable=False
        )
    found = of(record, cameras=CAMERAS)
    assert found.week().open_ways == 2
    said = text(found, ZONE)
    assert "Open now:" in said
    assert "porch: the router lets the internet in on port 8554 (video) (to 554 of the camera)" in said
    assert sorted(one["id"] for one in weekly.as_dict(found)["exposures"]) == ["e1", "e2"]
    assert "on port 8554" in page(found, ZONE)


def test_permissions_that_end_soon_are_in_every_form_of_the_report(record: store.Store) -> None:
    looked(record, (SINCE - DAY_S, UNTIL))
    now = time.time()  # what is left of a permission is counted by the clock that runs
    for number, days in ((1, 2.0), (2, 1.0), (3, 4.0)):
        one = Decision(
            number, now, f"{number:016x}", "terminal, bob", "allow", camera="porch", alert="a1", mode="for",
            until=now + days * DAY_S, peer=Peer("51.68.10.20", org=f"OVH{number}"),
        )  # fmt: skip
        record.write([store.Row("decision", now, "porch", None, None, report.as_dict(one))], durable=False)
    found = of(record, cameras=CAMERAS)
    assert [one.number for one in found.ending] == [2, 1]
    _, body = report.weekly(found.week(), ZONE)
    assert body.endswith("2 permissions end within 3 days: camguard allow --list.")
    lines = text(found, ZONE).splitlines()
    assert lines[lines.index("Ends within 3 days:") + 1].startswith("  porch may be viewed by OVH2 until ")
    assert "OVH3" not in text(found, ZONE)
    assert [one["number"] for one in weekly.as_dict(found)["ending"]] == [2, 1]
    assert "porch may be viewed by OVH2 until " in page(found, ZONE)


def test_a_quiet_week_and_one_of_which_nothing_is_known(record: store.Store) -> None:
    looked(record, (SINCE - DAY_S, UNTIL))
    found = of(record, cameras=CAMERAS)
    assert headline(found) == "0 unexpected viewers, 0 views of yours, guard up 100 %"
    assert text(found, ZONE).startswith("Quiet week: nobody unexpected.")
    assert "Not expected" not in text(found, ZONE)
    assert "did not look" not in text(found, ZONE)
    viewing(record, "one", "porch", UNTIL - HOUR_S, 5, PHONE)
    assert "porch: 1 viewing, expected" in text(of(record, cameras=CAMERAS), ZONE)


def test_what_touches_the_ends_counts_once_and_what_lies_outside_does_not(record: store.Store) -> None:
    looked(record, (SINCE - DAY_S, UNTIL))
    viewing(record, "before", "porch", SINCE - 7200, 60, PHONE)
    viewing(record, "into", "porch", SINCE - 600, 20, PHONE)
    viewing(record, "over", "porch", SINCE + 2.9 * DAY_S, 3 * 24 * 60, PHONE)
    viewing(record, "on", "porch", UNTIL - 600, 20, OVH, verdict="unexpected", state="open", ended=None)
    viewing(record, "after", "porch", UNTIL + 60, 20, PHONE)
    found = of(record)
    assert [one.started for one in found.viewings] == pytest.approx([SINCE - 600, SINCE + 2.9 * DAY_S, UNTIL - 600])
    assert "10 minutes, and goes on" in text(found, ZONE)


def test_a_first_week_begins_with_the_first_look(record: store.Store) -> None:
    looked(record, (UNTIL - 2 * DAY_S, UNTIL))
    found = of(record, cameras=CAMERAS)
    assert found.since == UNTIL - 2 * DAY_S
    assert headline(found).endswith("guard up 100 %"), "before that it was not there to look"
    assert report.weekly(found.week(), ZONE)[1].startswith("2 days, 3 cameras")


def test_an_interface_that_was_gone_counts_as_not_looked_once(record: store.Store) -> None:
    looked(record, (SINCE - DAY_S, SINCE + DAY_S), (SINCE + 2 * DAY_S, UNTIL))
    blind(record, "g1", None, SINCE + 1.5 * DAY_S, SINCE + 2.5 * DAY_S, "a network interface is gone")
    blind(record, "g2", None, SINCE + DAY_S, SINCE + 2 * DAY_S, "camguard was started again")
    blind(record, "g3", None, SINCE + 3 * DAY_S, SINCE + 4 * DAY_S, "packets come faster than they can be read")
    blind(record, "g4", None, UNTIL - HOUR_S, None, "a network interface is gone")
    found = of(record)
    assert found.gaps == ((SINCE + DAY_S, SINCE + 2.5 * DAY_S), (UNTIL - HOUR_S, UNTIL))
    assert not found.blind


def test_the_reasons_are_those_of_the_guard() -> None:
    from camguard.service.blind import _REASONS

    assert _REASONS["interface-gone"] == weekly._INTERFACE_GONE
    assert _REASONS["restarted"] == weekly._STARTED_AGAIN


def test_the_same_viewer_is_one_and_an_own_device_is_named(record: store.Store) -> None:
    looked(record, (SINCE, UNTIL))
    for number in range(5):
        viewing(record, f"s{number}", "porch", SINCE + number * HOUR_S, 1, OVH, verdict="unexpected")
    viewing(record, "p", "porch", SINCE + 9 * HOUR_S, 1, PHONE, verdict="unexpected")
    assert headline(of(record)).startswith("2 unexpected viewers,")
    assert "live video to phone" in text(of(record), ZONE)


def test_seven_days_are_seven_days_by_the_clock_on_the_wall() -> None:
    """On 25 October 2026 the clocks in Berlin went back: that week has an hour more."""
    until = datetime(2026, 10, 26, 9, tzinfo=ZoneInfo(ZONE)).timestamp()
    assert until - days_before(until, 7, ZONE) == 7 * DAY_S + HOUR_S


def test_hostile_names_are_harmless(record: store.Store) -> None:
    looked(record, (SINCE, UNTIL))
    who = OVH | {"org": HOSTILE, "name": HOSTILE}
    viewing(record, "x", HOSTILE, SINCE + HOUR_S, 1, who, verdict="unexpected")
    said = text(of(record), ZONE)
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert max(map(len, said.splitlines())) < 200


# ---- the command -----------------------------------------------------------------------------------------------------


def paths(tmp_path: Path) -> config.Paths:
    (tmp_path / "camguard.toml").write_text(
        f'[home]\ntimezone = "{ZONE}"\n' + "".join(f'[[camera]]\nname = "{one}"\nip = "192.168.1.{n}"\n'
                                                    for n, one in enumerate(CAMERAS, start=5))
    )  # fmt: skip
    return config.paths(tmp_path / "camguard.toml", tmp_path, tmp_path)


def test_report_as_text_and_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a_week(tmp_path / "guard.db").close()
    assert weekly.run(paths(tmp_path), now=UNTIL) == 0
    assert "1 unexpected viewer, 14 views of yours" in capsys.readouterr().out
    assert weekly.run(paths(tmp_path), as_json=True, now=UNTIL) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["unexpected_viewers"], made["expected"], made["failed_logins"]) == (1, 14, None)
    assert made["up_percent"] == pytest.approx(99.9405, abs=1e-4)
    assert [one["name"] for one in made["cameras"]] == list(CAMERAS)
    assert made["since"] == "2026-11-16T08:00:00.000Z"


def test_the_page_is_for_its_owner_alone_and_in_place_in_one_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a_week(tmp_path / "guard.db").close()
    where = tmp_path / "week.html"
    where.write_text("old")
    assert weekly.run(paths(tmp_path), html=where, now=UNTIL) == 0
    assert where.read_text().startswith("<!doctype html>")
    assert stat.S_IMODE(where.stat().st_mode) == 0o600
    assert not list(tmp_path.glob(".week.html*"))
    assert capsys.readouterr().err == f"Written: {where}\n"
    assert weekly.run(paths(tmp_path), html=Path("-"), now=UNTIL) == 0
    assert capsys.readouterr().out == where.read_text()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    a_week(tmp_path / "guard.db").close()
    with pytest.raises(ConfigError, match=r"cannot write .*No such file or directory"):
        weekly.run(paths(tmp_path), html=tmp_path / "nowhere" / "week.html", now=UNTIL)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        weekly.run(paths(tmp_path), html=tmp_path / "folder", now=UNTIL)
    assert not [one for one in os.listdir(tmp_path) if one.endswith(".new")]


def test_without_a_record_it_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded yet"):
        weekly.run(paths(tmp_path), now=UNTIL)
    assert first_look(store.Reader(tmp_path / "guard.db")) is None
