"""rules.py: who is expected, when, and with what reason."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from camguard.events import Camera, Device, Expect, Home, Peer, Session
from camguard.judge.rules import Rules

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
NIGHT = datetime(2026, 11, 24, 23, 0, tzinfo=UTC).timestamp()
STRANGER = Peer("203.0.113.9", 443, scope="wan")
NVR = Peer("192.168.1.40", 5000, scope="lan", mac="02:00:00:00:00:40", device="nvr")
SESSION = Session(
    "x", 0, "porch", "open", STRANGER, "tcp", "rtsp", "peer", "stream", "certain", 0, None, 0, 0, 0, None, None
)

HOME = Home(
    cameras=(
        Camera("porch", "02:00:00:00:00:01"),
        Camera("bedroom", "02:00:00:00:00:02", never=True),
        Camera("nursery", "02:00:00:00:00:03", private="22:00-06:30"),
        Camera("vault", "02:00:00:00:00:04", kind="recorder"),
    ),
    devices=(Device("nvr", "02:00:00:00:00:40"), Device("phone", "02:00:00:00:00:21", owner=True)),
    expects=(
        Expect("*", "nvr", ("stream",)),
        Expect("porch", "*.maker.example"),
        Expect("porch", "198.51.100.0/24", (), "mon-fri 08:00-18:00"),
        Expect("porch", "192.168.7.7"),
        Expect("nursery", "lan"),
    ),
)


def judged(session: Session = SESSION, time: float = NOON, **changes: object) -> tuple[str | None, str | None, bool]:
    return tuple(Rules(HOME).judge(replace(session, **changes), time))[:3]  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    ("changes", "time", "word", "reason"),
    [
        ({}, NOON, "unexpected", "it is none of your devices and nothing you expect"),
        ({"peer": NVR}, NOON, "expected", "you expect nvr"),
        ({"peer": replace(NVR, device="phone")}, NOON, "expected", "phone is your own device"),
        ({"peer": replace(NVR, device=None)}, NOON, "unexpected", "it is none of your devices and nothing you expect"),
        ({"peer": replace(STRANGER, name="relay3.maker.example")}, NOON, "expected", "you expect *.maker.example"),
        ({"peer": replace(STRANGER, name="maker.example.evil.test")}, NOON, "unexpected", None),
        (
            {"peer": replace(STRANGER, ip="198.51.100.5")},
            NOON,
            "expected",
            "you expect 198.51.100.0/24 mon-fri 08:00-18:00",
        ),
        (
            {"peer": replace(STRANGER, ip="198.51.100.5")},
            NIGHT,
            "unexpected",
            "you expect 198.51.100.0/24 only mon-fri 08:00-18:00",
        ),
        ({"peer": Peer("192.168.7.7", scope="lan")}, NOON, "expected", None),
        ({"peer": Peer("192.168.7.7", scope="wan")}, NOON, "unexpected", None),  # that address from behind the gateway
        ({"peer": Peer("192.168.1.1", scope="gateway"), "camera": "nursery"}, NOON, "unexpected", None),
        ({"peer": Peer("192.168.1.9", scope="lan"), "camera": "nursery"}, NOON, "expected", "you expect lan"),
        ({"peer": replace(NVR, device="vault")}, NOON, "expected", "vault is your recorder"),
        ({"peer": replace(NVR, device="vault", scope="wan")}, NOON, "unexpected", None),
        (
            {"camera": "vault", "peer": replace(NVR, device=None)},
            NOON,
            "expected",
            "it is a recorder, and those are watched at home",
        ),
        ({"camera": "vault"}, NOON, "unexpected", None),
        ({"cls": "clip"}, NOON, None, None),
        ({"cls": "clip", "peer": replace(STRANGER, name="a.maker.example")}, NOON, "expected", None),
        ({"cls": "download"}, NOON, None, None),
    ],
)
def test_verdicts(changes: dict[str, object], time: float, word: str | None, reason: str | None) -> None:
    given = judged(time=time, **changes)
    assert given[0] == word
    assert reason is None or given[1] == reason
    assert given[2] is False


@pytest.mark.parametrize(
    ("camera", "time", "private"),
    [("bedroom", NOON, True), ("nursery", NIGHT, True), ("nursery", NOON, False)],
)
def test_privacy_comes_before_every_permission(camera: str, time: float, private: bool) -> None:
    word, _, told = judged(camera=camera, peer=replace(NVR, device="phone"), time=time)
    assert (word, told) == (("unexpected" if private else "expected"), private)


def test_a_clip_in_privacy_hours_is_no_viewing() -> None:
    assert judged(camera="nursery", cls="clip", time=NIGHT) == (None, None, False)
