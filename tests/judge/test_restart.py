"""A guard that is started again in the middle: one alert, under one id, with its end; packet time, every kind of it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from camguard.events import Alert, Camera, Device, Exposure, Home, Peer, Session
from camguard.guard import Guard
from tests.judge.test_login import LAPTOP, STRANGER, House
from tests.test_guard import http_login, live
from tests.test_guard_findings import asked, seen
from tests.traffic import CAMERA_MAC, LAPTOP_IP, LAPTOP_MAC, Connection, key_of, rtsp_view, run

HOME = Home(timezone="UTC", cameras=(Camera("porch", CAMERA_MAC),), devices=(Device("phone", LAPTOP_MAC, owner=True),))
NEVER = Home(timezone="UTC", cameras=(Camera("porch", CAMERA_MAC, never=True),), devices=HOME.devices)
OTHER_MAC, OTHER_IP = "02:00:00:00:00:77", "192.168.1.77"
BREAK, BACK, END = 130.0, 140.0, 170.0


def viewing(peer_ip: str, peer_mac: str | None) -> list[object]:
    """RTSP, interleaved, to its end: PLAY is said before the break, and nothing but media after it."""
    more = {"peer_mac": peer_mac} if peer_mac else {}
    connection = Connection(key_of(peer_ip, 554, 50000), first_at=100.5, first_up=False, **more)
    media = live(connection, 102, int(END))
    return [*rtsp_view(100.5, peer_ip=peer_ip, **more), *media, connection.second(END, closed=True)]


def opaque() -> list[object]:
    connection = Connection(key_of(), first_at=100.5)
    return [*live(connection, 101, int(END)), connection.second(END, closed=True)]


def guessing() -> list[object]:
    return [
        one
        for number in range(60)
        for one in http_login(101.1 + number, f"guess-{number}", "401 Unauthorized", port=51000 + number)
    ]


def entering() -> list[object]:
    """Somebody logs in each ten seconds."""
    return [
        one for number in range(7) for one in http_login(101.1 + 10 * number, "word", "200 OK", port=51000 + number)
    ]


def mapping() -> list[object]:
    return [*seen(100.1), *asked(100.5, 8554, 3600), *seen(BACK), *asked(150.5, 8554, 3600), *asked(END, 8554, 0)]


def scanning(start: float = 101.0) -> list[object]:
    """A laptop tries each port of the camera, five a second."""
    found: list[object] = []
    for number in range(345):
        at = start + 0.2 * number
        one = Connection(
            key_of(OTHER_IP, 1 + number, 40000 + number), first_at=at, peer_mac=OTHER_MAC, first_up=False, flags=0x14
        )
        count = one.second(at, down=0)
        found.append(count._replace(packets_down=1, packets_up=1, wire_down=60, wire_up=60, flags_down=2, closed=True))
    return found


KINDS = {
    "remote-stream": (HOME, viewing("203.0.113.9", None), True),
    "remote-stream, encrypted": (HOME, opaque(), True),
    "lan-stream": (HOME, viewing(OTHER_IP, OTHER_MAC), True),
    "privacy": (NEVER, viewing(LAPTOP_IP, LAPTOP_MAC), True),
    "remote-login": (HOME, entering(), False),
    "brute-force": (HOME, guessing(), False),
    "exposed-port": (HOME, mapping(), True),
    "port-scan": (HOME, scanning(), False),
}


def in_two_runs(home: Home, items: Iterable[object], until: float) -> tuple[list[object], list[object]]:
    """What the first guard says up to the break, and what the next one says from its start on. As the service does,
    the second is given what was open or lately closed, and nothing of the sessions."""
    items = list(items)
    first = [one for one in items if one.at <= BREAK]  # type: ignore[attr-defined]
    second = [one for one in items if one.at >= BACK]  # type: ignore[attr-defined]
    before, told = run(home, first, until=BREAK)
    services, _, places = before.learned()
    exposures = {one.id: one for one in told if isinstance(one, Exposure)}.values()
    still = [one for one in exposures if one.state == "open"]
    more = {"exposures": still, "services": services, "destinations": places}
    _, again = run(home, second, until=until, start=BACK, resume=left_open(told), **more)
    return told, again


def left_open(events: Sequence[object]) -> list[Alert]:
    latest = {one.id: one for one in events if isinstance(one, Alert)}
    return list(latest.values())


def of_kind(events: Iterable[object], kind: str) -> list[Alert]:
    return [one for one in events if isinstance(one, Alert) and one.type == kind]


@pytest.mark.parametrize("name", KINDS)
def test_one_alert_one_id_and_an_end(name: str) -> None:
    home, items, ends = KINDS[name]
    kind = name.partition(",")[0]
    before, after = in_two_runs(home, items, until=END + 30.0)
    told = of_kind(before, kind)
    assert told, "so the test can fail"
    again = of_kind(after, kind)
    assert {one.id for one in again} <= {told[0].id}
    assert "open" not in [one.state for one in again], "a start of the guard makes no sound"
    types = [{one.type for one in events if isinstance(one, Alert)} for events in (before, after)]
    assert types[1] <= types[0], "nor another alert of the same"
    assert [one.state for one in again][-1:] == (["closed"] if ends else [one.state for one in again][-1:])
    if ends:
        assert again[-1].ended is not None
        assert END - 1.0 <= again[-1].ended <= END + 15.0
        assert again[-1].started == told[0].started


def test_a_viewer_who_went_while_nobody_looked_is_closed() -> None:
    items = [one for one in viewing("203.0.113.9", None) if one.at < BACK]  # type: ignore[attr-defined]
    before, after = in_two_runs(HOME, items, until=BACK + 90.0)
    (closed,) = of_kind(after, "remote-stream")
    assert (closed.id, closed.state) == (of_kind(before, "remote-stream")[0].id, "closed")
    assert not [one for one in after if isinstance(one, Session)]


def test_two_connections_that_go_on_are_no_news() -> None:
    """A viewer with two viewings before the break has two after it, and the count stays."""
    two = [
        Connection(key_of(OTHER_IP, 40000 + 9 * number, 50000 + number), first_at=100.5, peer_mac=OTHER_MAC)
        for number in (0, 1)
    ]
    items = [one for number, connection in enumerate(two) for one in live(connection, 101 + number, int(END))]
    before, after = in_two_runs(HOME, items, until=END)
    count = of_kind(before, "lan-stream")[-1].count
    assert of_kind(after, "lan-stream")[-1].count == count
    assert "open" not in [one.state for one in of_kind(after, "lan-stream")]


def test_what_is_open_counts_and_not_what_was_closed_before_it() -> None:
    """The record gives the open ones first, then those that were closed lately."""
    _, told = run(HOME, [one for one in opaque() if one.at < BREAK], until=BREAK)  # type: ignore[attr-defined]
    (alert,) = [one for one in left_open(told) if one.type == "remote-stream"]
    old = replace(alert, id="older", state="closed", ended=BREAK)
    guard = Guard(HOME, resume=[alert, old])
    assert [one.id for one in guard.open_alerts()] == [alert.id]


# ---- what was counted of logins --------------------------------------------------------------------------------------


def restarted(house: House) -> House:
    """A house whose matters are those of the next run."""
    after = House()
    after.now, after.number = house.now, 1000 + house.number
    for alert in {one.id: one for one in house.alerts}.values():
        after.matters.resume(alert)
    return after


def from_network(number: int) -> Peer:
    return replace(STRANGER, ip=f"198.51.{number}.7")


def test_guesses_before_a_restart_count_after_it() -> None:
    house = House()
    for number in range(10):
        house.login(user=f"user{number}")
    (before,) = [one for one in house.matters.open_alerts() if one.type == "brute-force"]
    after = restarted(house)
    told = [one for number in range(30) for one in after.login(user="root")]
    assert {one.id for one in told} == {before.id}
    counts = [one.count for one in told]
    assert counts == sorted(counts)
    assert counts[0] > before.count
    assert "open" not in [one.state for one in told]
    assert all(one.detail["users"] >= before.detail["users"] for one in told)  # type: ignore[operator]


def test_a_guess_that_works_after_a_restart_is_a_guess() -> None:
    house = House()
    for _ in range(5):
        house.login()
    after = restarted(house)
    told = after.login("success")
    assert ("brute-force", "critical", "open") in [(one.type, one.severity, one.state) for one in told]


@pytest.mark.parametrize("sources", [1, 9])
def test_guesses_from_many_networks_go_on_as_one_matter(sources: int) -> None:
    house = House()
    for number in range(12):
        house.login(peer=from_network(number))
    (before,) = [one for one in house.matters.open_alerts() if one.type == "brute-force"]
    assert before.detail["networks"] == 12
    after = restarted(house)
    told = [one for number in range(sources) for one in after.login(peer=from_network(100 + number))]
    assert "open" not in [one.state for one in told]
    assert {one.id for one in told} <= {before.id}
    (still,) = [one for one in after.matters.open_alerts() if one.type == "brute-force"]
    assert still.count >= before.count, "it never goes back"
    closed = after.wait(1801.0)
    assert before.id in [one.id for one in closed if one.state == "closed"]
    later = next(one for number in range(200, 250) for one in after.login(peer=from_network(number)))
    assert (later.state, later.id == before.id) == ("open", False), "what comes later is a matter of its own"


def test_a_login_of_a_device_at_home_goes_on() -> None:
    house = House()
    house.login(peer=LAPTOP)
    after = restarted(house)
    told = after.login(peer=LAPTOP)
    assert [(one.type, one.state, one.detail["wrong"]) for one in told] == [("lan-login", "update", 2)]
