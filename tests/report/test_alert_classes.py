"""What is done with a camera, in words: watching, watching recordings, talking through it, turning it."""

from dataclasses import replace

import pytest

from camguard import report
from camguard.events import Alert, Peer

STRANGER = Peer("51.68.1.2", org="OVH", country="FR")
REASON = "it is none of your devices and nothing you expect"


def alert(cls: str) -> Alert:
    evidence, detail = ("PTZ",), {"class": cls}
    return Alert(
        "a1b2c3", 100.0, "Nursery", "remote-stream", "critical", "certain", REASON, evidence, STRANGER, "s", 100.0,
        95.0, 1, "open", detail=detail,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cls", "title", "does", "ended"),
    [
        ("stream", "Somebody is watching: Nursery", "live video is going to", "Watching ended: Nursery, 2 minutes"),
        (
            "playback",
            "Somebody is watching recordings: Nursery",
            "recorded video is going to",
            "Watching ended: Nursery, 2 minutes",
        ),
        (
            "talk",
            "Somebody is talking through it: Nursery",
            "talks through the camera",
            "Talking through it ended: Nursery, 2 minutes",
        ),
        ("control", "Somebody is turning it: Nursery", "turns the camera", "Turning it ended: Nursery, 2 minutes"),
    ],
)
def test_what_is_done_stands_in_title_and_body(cls: str, title: str, does: str, ended: str) -> None:
    assert report.words(alert(cls))[0] == title
    assert does in report.words(alert(cls))[1]
    assert report.words(replace(alert(cls), state="closed", ended=200.0, time=200.0))[0] == ended
