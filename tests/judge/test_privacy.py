"""never and private: inside them nobody's viewing is usual, and every kind of viewing is told; clips are none."""

from dataclasses import replace

import pytest

from camguard import report
from camguard.events import Alert, Camera, Device, Expect, Home, Peer, Session, Wish
from camguard.judge.judge import Judge

NIGHT, DAY, MORNING = (
    1_795_560_000.0,
    1_795_604_400.0,
    1_795_588_200.0,
)  # 22:40, 11:00 and 06:30 UTC, 24 and 25 November
PHONE = Peer("192.168.1.20", 50000, scope="lan", mac="02:00:00:00:00:21", device="phone")
NVR = Peer("192.168.1.40", 5000, scope="lan", mac="02:00:00:00:00:40", device="nvr")
VAULT = Peer("192.168.1.41", 5000, scope="lan", mac="02:00:00:00:00:04", device="vault")
CLOUD = Peer("203.0.113.9", 443, name="relay.maker.example", scope="wan")
HOME = Home(
    timezone="UTC",
    cameras=(
        Camera("nursery", "02:00:00:00:00:01", private="22:00-06:30"),
        Camera("bath", "02:00:00:00:00:02", never=True),
        Camera("vault", "02:00:00:00:00:04", kind="recorder"),
    ),
    devices=(Device("nvr", NVR.mac), Device("phone", PHONE.mac, owner=True)),
    expects=(Expect("*", "nvr"), Expect("*", "*.maker.example"), Expect("*", "lan")),
)
SESSION = Session(
    "s1", 0.0, "nursery", "open", PHONE, "tcp", "rtsp", "peer", "stream", "certain", NIGHT, None, 0, 0, 500, None, None,
    ("PLAY was answered 200",),
)  # fmt: skip


class Receiver:
    """A phone of the owner's that receives everything."""

    def at_home(self, now: float) -> dict[str, float]:
        return {"phone": now}

    def reason(self, session: Session) -> str | None:
        return "phone is receiving it at the same time"

    def may_be(self, session: Session, now: float) -> bool:
        return False


def judged(session: Session, now: float = NIGHT, judge: Judge | None = None) -> list[Alert]:
    judge = judge or Judge(HOME, None, float, phones=Receiver())  # type: ignore[arg-type]
    return [one for one in judge.sessions([session], now) if isinstance(one, Alert)]


@pytest.mark.parametrize("camera", ["nursery", "bath"])
@pytest.mark.parametrize("peer", [PHONE, NVR, VAULT, CLOUD], ids=["phone", "nvr", "recorder", "cloud that is expected"])
@pytest.mark.parametrize("cls", ["stream", "playback", "talk", "control"])
def test_every_viewing_by_anybody_is_told(camera: str, peer: Peer, cls: str) -> None:
    session = replace(SESSION, camera=camera, peer=peer, cls=cls)  # type: ignore[arg-type]
    (alert,) = judged(session)
    assert (alert.type, alert.severity, alert.state) == ("privacy", "critical", "open")
    assert ("never = true" if camera == "bath" else "privacy hours (22:00-06:30)") in alert.reason
    if camera == "nursery":
        assert not judged(session, DAY), "so the test can fail: by day it is usual"


@pytest.mark.parametrize("cls", ["clip", "heartbeat", "download", "unknown"])
def test_clips_and_other_talk_are_no_viewing(cls: str) -> None:
    assert not judged(replace(SESSION, camera="bath", peer=CLOUD, cls=cls))  # type: ignore[arg-type]


def test_a_look_that_is_only_unsure_is_not_told() -> None:
    assert not judged(replace(SESSION, camera="bath", confidence="unsure"))


def test_privacy_hours_that_end_end_the_alert_and_not_the_viewing() -> None:
    judge = Judge(HOME, None, float)
    (opened,) = judged(SESSION, NIGHT, judge)
    current = {"s1": replace(SESSION, state="update")}
    assert not [one for one in judge.tick(MORNING - 1.0, current) if isinstance(one, Alert) and one.state != "update"]
    (closed,) = [one for one in judge.tick(MORNING, current) if isinstance(one, Alert)]
    assert (closed.id, closed.state, closed.ended) == (opened.id, "closed", MORNING)
    title, body = report.words(closed, "UTC")
    assert "phone is your own device" in body
    assert "ended" not in title, "he still watches"


def test_the_end_of_a_viewing_in_privacy_hours_is_told_with_its_length() -> None:
    judge = Judge(HOME, None, float)
    judged(SESSION, NIGHT, judge)
    ended = replace(SESSION, state="closed", ended=NIGHT + 720.0, bytes_up=9_000_000)
    (closed,) = judged(ended, NIGHT + 730.0, judge)
    title, body = report.words(closed, "UTC")
    assert (closed.type, closed.state) == ("privacy", "closed")
    assert "12 minutes" in title + body


def test_what_was_allowed_by_day_counts_by_day() -> None:
    """Also "I am watching" explains nothing in privacy hours: only what is said in answer to such an alert does."""
    judge = Judge(replace(HOME, expects=()), None, float)
    stranger = replace(SESSION, peer=replace(CLOUD, name=None))
    (asked,) = judged(stranger, DAY, judge)
    judge.decide(Wish("w1", "terminal, anna", "allow", alert=asked.id, mode="always"), 1, DAY + 1.0, asked)
    judged(replace(stranger, state="closed", ended=DAY + 60.0), DAY + 60.0, judge)
    judge.decide(Wish("w2", "terminal, anna", "watching"), 2, NIGHT + 86_400.0 - 5.0, None)
    (alert,) = judged(replace(stranger, id="s2"), NIGHT + 86_400.0, judge)
    assert (alert.type, alert.state) == ("privacy", "open")
    once = Wish("w3", "terminal, anna", "allow", alert=alert.id, mode="once")
    judge.decide(once, 3, NIGHT + 86_401.0, alert)
    going_on = {"s2": replace(stranger, id="s2")}
    (closed,) = [one for one in judge.tick(NIGHT + 86_401.0, going_on) if isinstance(one, Alert)]
    assert (closed.id, closed.state) == (alert.id, "closed")
    assert judged(replace(stranger, id="s3"), NIGHT + 87_000.0, judge), "the next one is told again"
