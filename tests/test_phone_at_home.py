"""The owner's phone at home beside a camera, through the whole guard: counts in, sessions and alerts out."""

import gc
from dataclasses import replace
from types import FunctionType, ModuleType

import pytest

from camguard.capture import ledger
from camguard.events import Alert, Camera, Device, FlowCount, Frame, Home, Own, Session, Wish, hosts_of
from camguard.guard import Guard
from camguard.report.alerts import words
from tests.traffic import (
    CAMERA_MAC,
    GATEWAY_IP,
    LAPTOP_IP,
    LAPTOP_MAC,
    STRANGER_IP,
    Connection,
    Dialogue,
    ip_bytes,
    key_of,
    rtsp_view,
    run,
)

HOME = Home(cameras=(Camera("porch", CAMERA_MAC),), devices=(Device("phone", LAPTOP_MAC, owner=True),))
PHONE, FILM = 2, "198.51.100.9"
BEGINS = 110


def upload(seconds: int = 30, *, begins: int = BEGINS) -> list[FlowCount]:
    """The camera sends live video to a relay."""
    connection = Connection(key_of(), first_at=begins + 0.2)
    return [
        connection.second(float(begins + 1 + n), up=60_000 + 3_000 * (n % 4), dry=12, pauses=12) for n in range(seconds)
    ]


def download(seconds: int = 30, *, begins: int = BEGINS, ip: str = STRANGER_IP, rate: int = 64_500) -> list[FlowCount]:
    """The phone receives something."""
    connection = Connection(key_of(ip, 50_001, host=PHONE), first_at=begins + 0.5)
    return [connection.second(float(begins + 1 + n), up=300, down=rate) for n in range(seconds)]


def alerts(events: list[object]) -> list[Alert]:
    return [event for event in events if isinstance(event, Alert)]


def sessions(events: list[object]) -> list[Session]:
    return [event for event in events if isinstance(event, Session)]


def test_the_phone_receives_it_through_the_same_relay() -> None:
    guard, events = run(HOME, [*upload(), *download()], until=165.0)
    assert not alerts(events)
    last = sessions(events)[-1]
    assert (last.state, last.cls, last.verdict) == ("closed", "stream", "expected")
    assert last.reason == "phone is receiving it at the same time (through the same server)"
    assert {session.camera for session in sessions(events)} == {"porch"}
    assert guard.counters()["sessions-refused"] == 0


def test_without_the_phone_it_is_told_at_once() -> None:
    _, events = run(HOME, upload(), until=165.0)
    alert = alerts(events)[0]
    assert (alert.type, alert.state, alert.raised - BEGINS) == ("remote-stream", "open", 6.0)
    assert "phones" not in alert.detail, "whether one is at home is not known"


@pytest.mark.parametrize(
    ("name", "of_phone"),
    [
        ("a film at the same rate", download(ip=FILM)),
        ("a film of before", download(60, begins=90, ip=FILM)),
        ("a download", download(ip=FILM, rate=4_000_000)),
        ("messages with the same server", download(rate=2_500)),
        ("it joins later", download(begins=BEGINS + 12)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_else_the_phone_does_excuses_nobody(name: str, of_phone: list[FlowCount]) -> None:
    _, events = run(HOME, [*upload(), *of_phone], until=165.0)
    first, last = alerts(events)[0], alerts(events)[-1]
    assert first.state == "open"
    assert first.raised - BEGINS <= 9.0
    assert last.state == "closed"
    assert not last.detail.get("settled"), "nothing excused it later, either"
    assert all(session.verdict != "expected" for session in sessions(events))


def test_an_alert_that_was_raised_does_not_wait_again() -> None:
    _, events = run(HOME, [*upload(), *download(begins=BEGINS + 6, ip=FILM)], until=165.0)
    assert [alert.state for alert in alerts(events)] == ["open", "closed"]
    assert alerts(events)[0].raised - BEGINS == 6.0


def test_it_is_told_that_none_of_the_phones_is_on_it() -> None:
    _, events = run(HOME, [*upload(), *download(60, begins=100, ip=FILM)], until=165.0)
    alert = alerts(events)[0]
    assert alert.detail["phones"] == "none"
    through = replace(alert, detail=alert.detail | {"through_cloud": "Reolink"})
    _, body = words(through)
    assert body.endswith("None of your phones is on it. The app's own history can say who. Was this you?")
    _, body = words(replace(through, detail=through.detail | {"phones": None}))
    assert "None of your phones" not in body


def test_the_alert_comes_when_the_phone_stops_and_the_camera_goes_on() -> None:
    _, events = run(HOME, [*upload(60), *download(20)], until=200.0)
    opened = alerts(events)[0]
    assert (opened.state, opened.severity) == ("open", "critical")
    assert 5.0 <= opened.raised - (BEGINS + 20) <= 7.0
    verdicts = [session.verdict for session in sessions(events)]
    assert verdicts.index("expected") < verdicts.index("unexpected")


def test_no_second_alert_when_both_stop() -> None:
    _, events = run(HOME, [*upload(20), *download(17)], until=200.0)
    assert not alerts(events)


@pytest.mark.parametrize("camera", [{"never": True}, {"private": "00:00-24:00"}], ids=["never", "privacy hours"])
def test_privacy_is_told_whoever_it_is(camera: dict[str, str | bool]) -> None:
    home = replace(HOME, cameras=(replace(HOME.cameras[0], **camera),))  # type: ignore[arg-type]
    _, events = run(home, [*upload(), *download()], until=165.0)
    assert (alerts(events)[0].type, alerts(events)[0].raised - BEGINS) == ("privacy", 6.0)


def test_what_is_certain_never_waits() -> None:
    _, events = run(HOME, [*rtsp_view(BEGINS + 0.5), *download(begins=BEGINS)], until=BEGINS + 1.0)
    alert = next(alert for alert in alerts(events) if alert.type == "remote-stream")
    assert alert.raised - BEGINS < 0.7


def test_a_device_that_is_not_the_owners_explains_nothing() -> None:
    home = replace(HOME, devices=(Device("guest", LAPTOP_MAC),))
    assert [host.name for host in hosts_of(home)] == ["porch"]
    _, events = run(home, [*upload(), *download()], until=165.0)
    assert alerts(events)[0].raised - BEGINS == 6.0


def test_a_reload_forgets_no_phone() -> None:
    guard = Guard(HOME, own=Own(gateway_ips=frozenset({ip_bytes(GATEWAY_IP)})))
    events: list[object] = []
    both = sorted([*upload(), *download()], key=lambda count: count.at)
    for second in range(100, 150):
        for count in (count for count in both if count.at == second):
            events += guard.feed(count)
        events += guard.tick(float(second))
        if second in (113, 125):
            guard.reload(replace(HOME, timezone="Europe/Berlin"))
    assert not alerts(events)


# ---- nothing of the phone is looked at -------------------------------------------------------------------------------


def test_nothing_of_the_phone_is_kept_or_told() -> None:
    """Its peers stand in no table but that of the last minute, and in no event."""
    film = ip_bytes(FILM)
    guard, events = run(HOME, [*upload(), *download(ip=FILM)], until=BEGINS + 30.0)
    assert film in everything_in(guard), "the test looks where it would be"
    assert guard.rates().keys() == {"porch"}
    assert [sight.camera for sight in guard.sights()] == ["porch"]
    assert FILM not in repr(guard.learned()) + repr(guard.habits())
    assert FILM not in repr(events) + repr(guard.open_sessions()) + repr(guard.names())
    for second in range(BEGINS + 31, BEGINS + 120):
        guard.tick(float(second))
    assert film not in everything_in(guard), "a minute later it is gone"


def everything_in(thing: object) -> set[bytes]:
    seen: set[int] = set()
    queue, found = [thing], set()
    while queue:
        one = queue.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, bytes):
            found.add(one)
            if len(one) == 24:
                found.add(one[8:12])
        queue += gc.get_referents(one)
    return found


def test_what_the_phone_says_is_never_read() -> None:
    """Even where a frame of it comes up, and as the ledger never hands one up."""
    ask = Dialogue(100.2, peer_ip=FILM, port=80)
    said = [*ask.open(), ask.says(False, "GET /secret HTTP/1.1\nHost: private.example\n\n")]
    swap = [bytes.fromhex(mac.replace(":", "")) for mac in (CAMERA_MAC, LAPTOP_MAC)]
    frames = [Frame(one.at, one.data.replace(*swap), one.wire_len) for one in said]
    guard, events = run(HOME, frames, until=102.0)
    assert not guard.take_facts()
    assert not events
    assert not any(isinstance(item, Frame) for item in ledger.run(frames, hosts_of(HOME)))
    assert guard.counters()["names-evicted"] == 0


def test_a_direct_view_at_home_is_the_phones_own() -> None:
    """What the camera and the phone say to each other is the camera's: read, and known by the device."""
    view = list(rtsp_view(100.5, peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC))
    handed = [item for item in ledger.run(view, hosts_of(HOME)) if isinstance(item, Frame)]
    assert handed == [one for one in view if len(one.data) > 54 or one.data[47] & 2], "all but bare acknowledgements"
    _, events = run(HOME, handed, until=104.0)
    assert [(one.verdict, one.reason) for one in sessions(events)] == [("expected", "phone is your own device")]


@pytest.mark.parametrize(
    ("home", "reason"),
    [
        (True, "your phones are at home, and none of them receives it"),
        (False, "phone is said to be away, and may be the viewer"),
    ],
)
def test_presence_told_from_outside_is_named_by_the_reason_and_excuses_nobody(home: bool, reason: str) -> None:
    guard, _ = run(HOME, [], until=101.0)
    guard.decide(Wish("w1", "mqtt, home", "presence", device="phone", home=home), 1, 102.0, None)
    events: list[object] = []
    for count in upload():
        events += [*guard.feed(count), *guard.tick(count.at)]
    alert = alerts(events)[0]
    assert (alert.type, alert.state, alert.reason) == ("remote-stream", "open", reason)
    assert "phone" in words(alert)[1].lower()
