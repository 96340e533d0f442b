"""guard-blind: what is not seen, since when, what that means; and matters that the owner settled."""

from typing import Any

import pytest

from camguard import report
from camguard.events import Alert, Peer

ZONE = "Europe/Berlin"
RAISED = 1_795_554_840.25  # 2026-11-24 22:14:00.250 in Berlin
OVH = Peer("51.68.10.20", 40000, org="OVH", country="France")


def words(camera: str | None, state: str = "open", **changes: Any) -> tuple[str, str]:
    lasted = 0.0 if state == "open" else 720.0
    known: dict[str, Any] = {
        "type": "guard-blind",
        "severity": "warning",
        "confidence": "certain",
        "reason": "",
        "evidence": (),
        "peer": None,
        "session": None,
        "count": 1,
    }
    one = Alert(
        id="a7f0c1d2e3",
        time=RAISED + lasted,
        camera=camera,  # type: ignore[arg-type]
        raised=RAISED,
        started=RAISED,
        state=state,  # type: ignore[arg-type]
        ended=RAISED + lasted if state == "closed" else None,
        **(known | changes),
    )
    title, body = report.words(one, ZONE)
    assert len(title) <= 60
    assert len(body) <= 200
    assert report.as_dict(one, ZONE)["camera"] == camera
    assert title in report.line(one, ZONE)
    return title, body


RIM = [
    (
        None,
        "open",
        {"how": "interface-gone", "interface": "br-lan"},
        "camguard cannot see your cameras any more",
        "The network interface br-lan is gone since 22:14. Until this is fixed, no alert can come for any camera."
        " Run: camguard check",
    ),
    (
        None,
        "closed",
        {"how": "interface-gone", "interface": "br-lan"},
        "camguard sees your cameras again",
        "From 22:14 to 22:26 (12 minutes) no alert could come for any camera. Now it is seen.",
    ),
    (
        None,
        "open",
        {"how": "packets-lost", "percent": 4.24},
        "camguard sees only a part of your cameras",
        "Since 22:14 4.2 % of what it has to read is lost: this machine or its network port is too slow."
        " A viewing may be missed. Run: camguard check",
    ),
    (
        "porch",
        "update",
        {"how": "packets-lost"},
        "Still missing a part of porch: 12 minutes",
        "Since 22:14 a part of what it has to read is lost: this machine or its network port is too slow."
        " A viewing may be missed. Run: camguard check",
    ),
    (
        None,
        "closed",
        {"how": "packets-lost", "percent": 40},
        "camguard sees all of your cameras again",
        "From 22:14 to 22:26 (12 minutes) a part was missed. Now nothing is lost.",
    ),
    (
        None,
        "open",
        {"how": "restarted", "gap": 372.0},
        "camguard did not look for 6 minutes",
        "It did not look for 6 minutes, until 22:14. It looks again now. A viewing that began and ended in that time"
        " is not in the record.",
    ),
    (
        None,
        "closed",
        {"how": "restarted"},
        "camguard was started again",
        "It looks since 22:14. What went on just before is not known.",
    ),
    (
        None,
        "open",
        {"how": "guard-silent"},
        "camguard has stopped looking",
        "No sign of life from it since 22:14. Until this is fixed, no alert can come for any camera."
        " Run: camguard check",
    ),
    (None, "update", {"how": "guard-silent"}, "camguard still does not look: 12 minutes", None),
    (
        None,
        "closed",
        {"how": "guard-silent"},
        "camguard looks again",
        "From 22:14 to 22:26 (12 minutes) it did not look, and no alert could come. What went on then is not known.",
    ),
    ("porch", "update", {"how": "nothing"}, "Still not seeing porch: 12 minutes", None),
]


@pytest.mark.parametrize(("camera", "state", "detail", "title", "body"), RIM, ids=[f"{row[3]}" for row in RIM])
def test_what_camguard_does_not_see(
    camera: str | None, state: str, detail: dict[str, Any], title: str, body: str | None
) -> None:
    made = words(camera, state, detail=detail)
    assert made[0] == title
    assert body is None or made[1] == body


@pytest.mark.parametrize(
    ("detail", "title", "body"),
    [
        (
            {"settled": "you said that it was you (decision 3)"},
            "Settled: Nursery, you said that it was you",
            "An address of OVH in France (51.68.x.x): you said that it was you. That holds for this viewing only;"
            " camguard goes on looking. Undo: camguard allow --revoke 3",
        ),
        (
            {"settled": "you allowed it (decision 12)", "settled_until": RAISED + 7200, "settled_by": "terminal, anna"},
            "Settled: Nursery, you allowed it",
            "An address of OVH in France (51.68.x.x): you allowed it (terminal, anna). That holds until 25 Nov 00:14;"
            " camguard goes on looking. Undo: camguard allow --revoke 12",
        ),
        (
            {"settled": "Anna's phone is your own device"},
            "Settled: Nursery",
            "An address of OVH in France (51.68.x.x): Anna's phone is your own device. camguard goes on looking.",
        ),
        (
            {"settled": "you allowed it (decision 12)"},
            "Settled: Nursery, you allowed it",
            "An address of OVH in France (51.68.x.x): you allowed it. camguard goes on looking."
            " Undo: camguard allow --revoke 12",
        ),
    ],
)
def test_a_settled_matter_says_whom_how_long_and_that_camguard_goes_on(
    detail: dict[str, Any], title: str, body: str
) -> None:
    more = {"type": "remote-stream", "severity": "critical", "peer": OVH, "detail": detail}
    assert words("Nursery", "closed", **more) == (title, body)
    assert title.startswith(report.SETTLED)
    # only a matter that ended is settled
    assert not words("Nursery", "update", **more)[0].startswith(report.SETTLED)


def test_a_settled_matter_of_a_hostile_viewer_keeps_the_way_back() -> None:
    bad = Peer("x" * 999, device="<b>\u202e" + "A" * 999)
    more = {"type": "remote-stream", "severity": "critical", "peer": bad}
    _, body = words("Nursery", "closed", detail={"settled": "B" * 500 + " (decision 3)"}, **more)
    assert body.endswith("Undo: camguard allow --revoke 3")


def test_a_guard_whose_record_may_not_be_read_is_said_as_that_and_not_as_stopped() -> None:
    title, body = words(None, detail={"how": "guard-hidden"})
    assert title == "camguard cannot tell you here"
    assert "may not read what the guard writes" in body
    assert words(None, "closed", detail={"how": "guard-hidden"})[0] == "camguard can tell you here again"
