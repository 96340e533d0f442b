"""allow.py: a permission is as small as its words and no longer than it says."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from camguard.events import Alert, Decision, Peer, Session, Wish
from camguard.judge.allow import PERMISSIONS_MAX, Permissions, decided, is_same_viewer

STRANGER = Peer("203.0.113.9", 443, scope="wan")
OTHER = Peer("203.0.113.10", 443, scope="wan")
SESSION = Session(
    "s1", 0, "porch", "open", STRANGER, "tcp", "rtsp", "peer", "stream", "certain", 0, None, 0, 0, 0, None, None
)
ALERT = Alert("a1", 0, "porch", "remote-stream", "critical", "certain", "", (), STRANGER, "s1", 0, 0, 1, "open")


def permitted(wish: Wish, *, until_at: float | None = None, covers: frozenset[str] = frozenset()) -> Permissions:
    permissions = Permissions()
    decision = decided(wish, 1, 1000.0, ALERT if wish.alert else None, covers, permissions, ("porch", "garage"))
    permissions.take(decision, decision.until if until_at is None else until_at, covers)
    return permissions


def allow(mode: str, **more: object) -> Wish:
    return Wish("w", "terminal, anna", "allow", alert="a1", mode=mode, **more)  # type: ignore[arg-type]


def test_once_is_this_viewing_only() -> None:
    permissions = permitted(allow("once"), covers=frozenset({"s1"}))
    assert permissions.excuses(SESSION, 1001.0)
    assert not permissions.excuses(replace(SESSION, id="s2"), 1001.0)
    permissions.closed(SESSION)
    assert not permissions.excuses(SESSION, 1002.0)
    assert not permissions.knows(1)


def test_for_a_time_is_that_camera_and_that_viewer_until_then() -> None:
    permissions = permitted(allow("for", for_s=7200.0))
    assert permissions.excuses(replace(SESSION, id="s9"), 8199.0)
    assert not permissions.excuses(SESSION, 8200.0)
    assert not permissions.excuses(replace(SESSION, peer=OTHER), 1001.0)
    assert not permissions.excuses(replace(SESSION, camera="garage"), 1001.0)


def test_always_lasts_until_it_is_revoked() -> None:
    permissions = permitted(allow("always"))
    assert permissions.excuses(SESSION, 1e9)
    permissions.take(replace(decision_of(permissions), number=2, what="revoke", revokes=1), None)
    assert not permissions.excuses(SESSION, 1e9)


def decision_of(permissions: Permissions) -> Decision:
    return next(iter(permissions._held.values())).decision


def test_watching_explains_one_viewer_at_a_time() -> None:
    permissions = permitted(Wish("w", "terminal", "watching", camera="porch", for_s=1800.0))
    assert permissions.excuses(SESSION, 1001.0)
    assert not permissions.excuses(replace(SESSION, id="s2", peer=OTHER), 1001.0), "two at a time are one too many"
    assert permissions.excuses(replace(SESSION, id="s3"), 1001.0), "the same viewer's second connection"
    permissions.closed(SESSION)
    permissions.closed(replace(SESSION, id="s3"))
    assert permissions.excuses(replace(SESSION, id="s4", peer=OTHER), 1100.0), "the phone changed its network"
    assert not permissions.excuses(SESSION, 2800.0)
    assert not permissions.excuses(replace(SESSION, camera="garage"), 1001.0)


def test_watching_is_about_the_next_viewer_and_nobody_who_was_told_of() -> None:
    permissions = Permissions()
    assert not permissions.excuses(SESSION, 999.0), "a stranger is told of"
    watching = Wish("w", "mqtt", "watching", camera="porch", for_s=1800.0)
    for number in (1, 2):  # pressed twice, it is still one viewer
        permissions.take(decided(watching, number, 1000.0, None, frozenset(), permissions, ("porch",)), 2800.0)
    mine = replace(SESSION, id="s2", peer=OTHER)
    assert not permissions.excuses(SESSION, 1001.0)
    assert permissions.excuses(mine, 1002.0)
    assert not permissions.excuses(SESSION, 1003.0)
    permissions.closed(mine)
    assert not permissions.excuses(SESSION, 1004.0), "he does not inherit the place"
    assert permissions.excuses(replace(mine, id="s3"), 1005.0)


def test_watching_over_two_connections_ends_with_the_last() -> None:
    permissions = permitted(Wish("w", "terminal", "watching", camera="porch", for_s=1800.0))
    first, second = SESSION, replace(SESSION, id="s2")
    assert permissions.excuses(first, 1001.0)
    assert permissions.excuses(second, 1002.0)
    permissions.closed(first)
    assert not permissions.excuses(replace(SESSION, id="s3", peer=OTHER), 1003.0)
    assert permissions.excuses(second, 1004.0)


def test_a_new_silence_takes_the_place_of_the_one_before() -> None:
    permissions = Permissions()
    silence = Wish("w", "mqtt", "silence", camera="porch", for_s=60.0)
    for number in range(2 * PERMISSIONS_MAX):
        permissions.take(decided(silence, number, 0.0, None, frozenset(), permissions, ("porch",)), 60.0)
    assert permissions.counters["permissions-refused"] == 0
    assert permissions.knows(2 * PERMISSIONS_MAX - 1)


def test_watching_does_not_open_privacy_hours() -> None:
    permissions = permitted(Wish("w", "terminal", "watching", for_s=1800.0))
    assert not permissions.excuses(SESSION, 1001.0, private=True)


def test_privacy_hours_open_only_to_what_was_said_of_this_viewer_in_them() -> None:
    private = replace(ALERT, type="privacy")
    viewer = replace(ALERT, peer=OTHER, type="privacy")
    elsewhere = replace(private, camera="garage")
    for number, (alert, excused) in enumerate(
        ((ALERT, False), (viewer, False), (elsewhere, False), (private, True)), start=1
    ):
        permissions = Permissions()
        wish = replace(allow("always"), alert=alert.id)
        made = decided(wish, number, 1000.0, alert, frozenset(), permissions, ("porch", "garage"))
        permissions.take(made, None)
        assert bool(permissions.excuses(SESSION, 1001.0, private=True)) is excused, (alert.type, alert.camera)
    usual = permitted(allow("always"))
    assert usual.excuses(SESSION, 1001.0), "outside of them it counts"
    once = permitted(allow("once"), covers=frozenset({"s1"}))
    assert once.excuses(SESSION, 1001.0, private=True), "this very viewing"
    assert not once.excuses(replace(SESSION, id="s2"), 1001.0, private=True)


def test_hours_are_those_of_the_wall_clock_at_home() -> None:
    evening = 1_795_554_840.0  # Tuesday, 2026-11-24 22:14 in Berlin
    permissions = Permissions(lambda now: now + evening)
    permissions.zone = ZoneInfo("Europe/Berlin")
    wish = allow("always", when="mon-fri 22:00-22:30")
    permissions.take(decided(wish, 1, evening, ALERT, frozenset(), permissions, ("porch",)), None)
    found = {minutes: bool(permissions.excuses(SESSION, 60.0 * minutes)) for minutes in (-15, 0, 15, 16, 24 * 60)}
    assert found == {-15: False, 0: True, 15: True, 16: False, 24 * 60: True}
    assert not permissions.excuses(SESSION, 4 * 86_400.0), "on a Saturday"
    assert permissions.excuses_login("porch", STRANGER, 0.0, worked=True)
    assert not permissions.excuses_login("porch", STRANGER, 1000.0, worked=True)


def test_once_holds_for_the_viewing_that_goes_on_over_a_restart() -> None:
    decision = decided(allow("once"), 1, 0.0, ALERT, frozenset({"s1"}), Permissions(), ("porch",))
    permissions = Permissions()
    permissions.take(decision, None)
    permissions.tick(0.0)
    assert not permissions.excuses(replace(SESSION, id="n0", peer=OTHER), 5.0), "another viewer"
    mine, again = replace(SESSION, id="n1"), replace(SESSION, id="n2")
    assert permissions.excuses(mine, 10.0)
    permissions.tick(100.0)
    assert permissions.excuses(mine, 101.0), "it goes on"
    assert not permissions.excuses(again, 102.0), "he comes back"
    permissions.closed(replace(SESSION, id="n9"))
    assert permissions.take_used(103.0) == []
    permissions.closed(mine)
    assert permissions.take_used(104.0) == [replace(decision, time=104.0, used=True)]
    assert permissions.take_used(105.0) == []
    assert not permissions.knows(1)


def test_once_is_used_up_when_its_viewing_is_not_seen_after_a_restart() -> None:
    permissions = Permissions()
    permissions.take(decided(allow("once"), 1, 0.0, ALERT, frozenset({"s1"}), permissions, ("porch",)), None)
    for now in (1000.0, 1059.0):
        permissions.tick(now)
        assert permissions.take_used(now) == []
    permissions.tick(1061.0)
    assert [one.number for one in permissions.take_used(1061.0)] == [1]
    assert not permissions.excuses(SESSION, 1062.0)


@pytest.mark.parametrize(
    ("alert_type", "mode", "words"),
    [
        ("camera-attacks", "always", "settled once"),
        ("default-password", "for", "settled once"),
        ("default-password", "always", "settled once"),
        ("brute-force", "for", "settled once"),
        ("brute-force", "always", "settled once"),
    ],
)
def test_what_would_be_dangerous_is_never_allowed_for_good(alert_type: str, mode: str, words: str) -> None:
    alert = replace(ALERT, type=alert_type)
    with pytest.raises(ValueError, match=words):
        decided(allow(mode, for_s=60.0), 1, 0.0, alert, frozenset({"x"}), Permissions(), ("porch",))
    assert decided(allow("once"), 1, 0.0, alert, frozenset({"x"}), Permissions(), ("porch",)).mode == "once"


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        (allow("once", when="18:00-22:00"), "hours go with"),
        (allow("always", when="dinner"), "is no day"),
        (allow("always", when=";"), "no window"),
        (replace(allow("once"), alert="zz"), "no alert zz"),
        (allow("once"), "is over"),
        (allow("for"), "for how long"),
        (Wish("w", "terminal", "watching", camera="cellar"), 'no camera "cellar"'),
        (Wish("w", "terminal", "revoke", decision=7), "does not hold"),
        (replace(allow("always"), who="mqtt"), "from afar"),
        (replace(allow("for", for_s=5.0), who="push button"), "from afar"),
        (Wish("w", "mqtt", "revoke", decision=1), "does not hold|from afar"),
    ],
)
def test_what_cannot_be_is_said(wish: Wish, words: str) -> None:
    alert = ALERT if wish.alert == "a1" else None
    with pytest.raises(ValueError, match=words):
        decided(wish, 1, 1000.0, alert, frozenset({"s1"} if wish.when else ()), Permissions(), ("porch",))


def test_hours_are_about_a_viewer() -> None:
    way_in = replace(ALERT, type="exposed-port", detail={"key": "tcp 554"})
    with pytest.raises(ValueError, match="hours go with"):
        decided(allow("always", when="18:00-22:00"), 1, 0.0, way_in, frozenset(), Permissions(), ("porch",))


def test_lengths_are_bounded() -> None:
    wish = Wish("w", "mqtt", "silence", camera="porch", for_s=1e9)
    assert decided(wish, 1, 0.0, None, frozenset(), Permissions(), ("porch",)).until == 86_400.0
    watching = Wish("w", "mqtt", "watching")
    assert decided(watching, 1, 0.0, None, frozenset(), Permissions(), ("porch",)).until == 1800.0


def test_the_table_is_capped() -> None:
    permissions = Permissions()
    base = decided(allow("always"), 1, 0.0, ALERT, frozenset(), permissions, ("porch",))
    for number in range(PERMISSIONS_MAX + 3):
        permissions.take(replace(base, number=number), None)
    assert permissions.counters["permissions-refused"] == 3
    with pytest.raises(ValueError, match="too many"):
        decided(allow("always"), 1, 0.0, ALERT, frozenset(), permissions, ("porch",))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (STRANGER, replace(STRANGER, port=9), True),
        (STRANGER, OTHER, False),
        (replace(STRANGER, name="a.example"), replace(OTHER, name="a.example"), True),
        (replace(STRANGER, device="phone"), replace(OTHER, device="phone"), True),
        (replace(STRANGER, device="phone"), STRANGER, False),
        (
            Peer("192.168.1.5", scope="lan", mac="02:00:00:00:00:05"),
            Peer("192.168.1.9", scope="lan", mac="02:00:00:00:00:05"),
            True,
        ),
        (
            Peer("192.168.1.5", scope="lan", mac="02:00:00:00:00:05"),
            Peer("192.168.1.5", scope="lan", mac="02:00:00:00:00:06"),
            False,
        ),
        (Peer("192.168.1.5", scope="lan"), Peer("192.168.1.5", scope="wan"), False),
    ],
)
def test_same_viewer(one: Peer, other: Peer, same: bool) -> None:
    assert is_same_viewer(one, other) is same
