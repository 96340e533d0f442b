"""What begins beside a 24/7 upload to an expected server, and whom a maker's server calls, through the whole judge."""

from dataclasses import replace

import pytest

from camguard.events import Alert, Camera, Expect, Home, Peer, Session
from camguard.judge.judge import Judge
from camguard.judge.second import BESIDE

CLOUD = Peer("198.51.100.18", 443, name="up.maker.example")
HOME = Home(cameras=(Camera("porch", "02:00:00:00:00:01"),), expects=(Expect("porch", "up.maker.example"),))
SESSION = Session(
    "s1", 100.0, "porch", "open", CLOUD, "tcp", "tls", "camera", "stream", "likely", 94.0, None, 90_000, 900, 800, None,
    None, ("it looks live",),
)  # fmt: skip


def alerts(session: Session, home: Home = HOME) -> list[tuple[str, str]]:
    judge = Judge(home, None, float)
    return [(one.type, one.severity) for one in judge.sessions([session], 100.0) if isinstance(one, Alert)]


@pytest.mark.parametrize(
    ("session", "told"),
    [
        (SESSION, []),
        (replace(SESSION, evidence=("it looks live", BESIDE)), [("remote-stream", "critical")]),
        (replace(SESSION, evidence=("PLAY was answered 200", BESIDE), confidence="certain"), []),
        (replace(SESSION, evidence=("it looks live", BESIDE), peer=replace(CLOUD, scope="lan", name=None)), []),
    ],
    ids=["the expected one", "a second one beside it", "certain: the rule is about it", "at home"],
)
def test_a_rule_for_day_and_night_does_not_cover_what_begins_beside_it(
    session: Session, told: list[tuple[str, str]]
) -> None:
    home = replace(HOME, expects=(*HOME.expects, Expect("porch", "lan")))
    assert alerts(session, home) == told


def test_whom_the_makers_server_calls_is_a_second_sign() -> None:
    stranger = Peer("203.0.113.9", 4000)
    unsure = replace(SESSION, peer=stranger, confidence="unsure", transport="udp", protocol="p2p")
    judge = Judge(HOME, None, float)
    assert not [one for one in judge.sessions([unsure], 100.0) if isinstance(one, Alert)]
    judge.called("porch", stranger, 101.0)
    (alert,) = [one for one in judge.sessions([replace(unsure, state="update")], 102.0) if isinstance(one, Alert)]
    assert (alert.severity, alert.evidence[-1]) == (
        "warning", "the maker's server told the camera to call somebody there",
    )  # fmt: skip
