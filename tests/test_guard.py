"""guard.py, end to end: crafted dialogues and counts in, sessions and alerts out."""

import base64
import gc
from types import FunctionType, ModuleType

import pytest
from scapy.layers.l2 import ARP, Ether

from camguard.detect.stream import DETECTORS
from camguard.events import UDP, Alert, Camera, Decision, Device, Expect, Frame, Home, Login, Session, Wish
from camguard.guard import Guard
from tests.traffic import (
    CAMERA_IP,
    CAMERA_MAC,
    GATEWAY_MAC,
    LAPTOP_IP,
    LAPTOP_MAC,
    STRANGER_IP,
    Connection,
    Dialogue,
    datagram,
    frame,
    key_of,
    rtsp_view,
    run,
)

HOME = Home(
    cameras=(Camera("porch", CAMERA_MAC),),
    devices=(Device("nvr", LAPTOP_MAC),),
    expects=(Expect("*", "nvr", ("stream",)),),
)
RTSP_KEY = key_of(host_port=554, peer_port=50000)


def alerts(events: list[object]) -> list[Alert]:
    """All but that the camera can be reached from outside: each stranger here comes in by such a way."""
    return [event for event in events if isinstance(event, Alert) and event.type != "exposed-port"]


def sessions(events: list[object]) -> list[Session]:
    return [event for event in events if isinstance(event, Session)]


def logins(events: list[object]) -> list[Login]:
    return [event for event in events if isinstance(event, Login)]


def everything_in(thing: object) -> list[bytes]:
    """All text and bytes that can be reached from `thing`."""
    seen: set[int] = set()
    queue, found = [thing], []
    while queue:
        one = queue.pop()
        if id(one) in seen or isinstance(one, type | ModuleType | FunctionType):
            continue
        seen.add(id(one))
        if isinstance(one, str | bytes):
            found.append(one.encode() if isinstance(one, str) else one)
        queue += gc.get_referents(one)
    return found


def live(connection: Connection, start: int, stop: int, *, up: int = 60_000, dry: int = 12) -> list[object]:
    return [connection.second(float(at), up=up, dry=dry, pauses=dry) for at in range(start, stop)]


def test_play_answered_200_raises_at_once() -> None:
    _, events = run(HOME, rtsp_view(100.5), until=101.0)
    (alert,) = alerts(events)
    assert (alert.type, alert.severity, alert.confidence, alert.state) == (
        "remote-stream",
        "critical",
        "certain",
        "open",
    )
    assert alert.peer
    assert alert.peer.ip == STRANGER_IP
    assert alert.peer.scope == "wan"
    assert alert.raised < 100.7
    (session,) = sessions(events)
    assert (session.protocol, session.initiator, session.verdict) == ("rtsp", "peer", "unexpected")
    assert session.evidence == ("PLAY was answered 200",)


@pytest.mark.parametrize("answer", ["401 Unauthorized", "404 Not Found", "454 Session Not Found"])
def test_play_that_is_refused_raises_nothing(answer: str) -> None:
    _, events = run(HOME, rtsp_view(100.5, play=answer), until=104.0)
    assert not events


def test_an_expected_viewer_raises_nothing_and_the_reason_is_kept() -> None:
    _, events = run(HOME, rtsp_view(100.5, peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC), until=104.0)
    assert not alerts(events)
    assert [(session.verdict, session.reason) for session in sessions(events)] == [("expected", "you expect nvr")]


def test_recorded_footage_is_playback() -> None:
    _, events = run(HOME, rtsp_view(100.5, play_range="clock=20261123T080000Z-"), until=101.0)
    assert [session.cls for session in sessions(events)] == ["playback"]
    assert alerts(events)[0].type == "remote-stream"


def test_rtsp_and_its_rtp_are_one_session_that_teardown_ends() -> None:
    transport = "RTP/AVP;unicast;client_port=6000-6001;server_port=7000-7001"
    control = Connection(RTSP_KEY, first_at=100.5, first_up=False)
    media = Connection(key_of(host_port=7000, peer_port=6000, proto=UDP), first_at=101.0)
    rtcp = Connection(key_of(host_port=7001, peer_port=6001, proto=UDP), first_at=101.0)
    items = list(rtsp_view(100.5, transport=transport))
    items += [control.second(101.0, up=900, down=700)]
    items += live(media, 102, 112)
    items += [rtcp.second(float(at), up=60) for at in range(103, 112, 5)]
    bye = Dialogue(112.0)
    bye._seq = {True: 1000 + 10_000, False: 5000 + 10_000}
    items += [bye.says(False, f"TEARDOWN rtsp://{CAMERA_IP}/stream1 RTSP/1.0\nCSeq: 9\nSession: 12345678\n\n")]
    _, events = run(HOME, items, until=116.0)
    assert [(session.state, session.transport) for session in sessions(events)] == [("open", "tcp"), ("closed", "udp")]
    assert {session.id for session in sessions(events)} == {sessions(events)[0].id}
    assert sessions(events)[-1].bytes_up > 600_000
    assert [alert.state for alert in alerts(events)] == ["open", "closed"]


def test_a_look_that_is_over_before_its_media_is_counted_leaves_no_ghost() -> None:
    transport = "RTP/AVP;unicast;client_port=6000-6001;server_port=7000-7001"
    talk = Dialogue(100.9)
    talk._seq = {True: 10_000, False: 10_000}
    bye = [
        talk.says(False, "TEARDOWN rtsp://x/ RTSP/1.0\nCSeq: 9\n\n"),
        talk.says(True, "RTSP/1.0 200 OK\nCSeq: 9\n\n"),
    ]
    ends = (CAMERA_MAC, CAMERA_IP, 7000), (GATEWAY_MAC, STRANGER_IP, 6000)
    items: list[object] = [*rtsp_view(100.5, transport=transport), *bye]
    for number in range(8):
        rtp = (
            b"\x80\x60" + (1000 + number).to_bytes(2, "big") + (3000 * number).to_bytes(4, "big") + b"SSRC" + b"v" * 900
        )
        items.append(datagram(100.7 + 0.01 * number, *ends, rtp))
    items += live(Connection(key_of(host_port=7000, peer_port=6000, proto=UDP), first_at=100.7), 101, 102)
    _, events = run(HOME, items, until=130.0)
    assert [session.state for session in sessions(events)] == ["open", "closed"]
    assert [alert.state for alert in alerts(events)] == ["open", "closed"]


def test_two_viewers_are_two_sessions_and_two_alerts() -> None:
    items = [*rtsp_view(100.5), *rtsp_view(101.5, peer_ip="203.0.113.10", peer_port=50001)]
    _, events = run(HOME, items, until=103.0)
    assert len({session.id for session in sessions(events)}) == 2
    assert len({alert.id for alert in alerts(events)}) == 2


def test_rtp_without_signalling() -> None:
    def packet(number: int) -> bytes:
        return (
            b"\x80\x60"
            + (1000 + number).to_bytes(2, "big")
            + (90_000 + 3000 * number).to_bytes(4, "big")
            + b"SSRC"
            + b"v" * 900
        )

    ends = (CAMERA_MAC, CAMERA_IP, 5004), (GATEWAY_MAC, STRANGER_IP, 5004)
    items: list[object] = [datagram(100.2 + 0.02 * number, *ends, packet(number)) for number in range(8)]
    items += live(Connection(key_of(host_port=5004, peer_port=5004, proto=UDP), first_at=100.2), 101, 104)
    _, events = run(HOME, items, until=104.0)
    (alert,) = alerts(events)
    assert (alert.confidence, alert.raised) == ("certain", 101.0)
    assert [session.protocol for session in sessions(events)] == ["rtp"]
    _, events = run(HOME, items, until=104.0, detectors=DETECTORS - {"rtp", "shape"})
    assert not sessions(events), "with the detector off nothing is found, so the test can fail"


def test_an_opaque_stream_is_likely_and_ends_in_silence() -> None:
    connection = Connection(key_of(), first_at=100.0)
    _, events = run(HOME, live(connection, 101, 131), until=160.0)
    assert [(alert.state, alert.confidence) for alert in alerts(events)] == [("open", "likely"), ("closed", "likely")]
    assert alerts(events)[0].raised <= 107.0
    assert sessions(events)[-1].ended == 130.0
    _, events = run(
        HOME, live(Connection(key_of(), first_at=100.0), 101, 131), until=160.0, detectors=DETECTORS - {"shape"}
    )
    assert not alerts(events)


def test_the_tail_of_a_viewing_that_was_closed_is_not_a_second_one() -> None:
    connection = Connection(key_of(), first_at=100.0)
    ending = connection.second(121.0, up=60_000, dry=12, pauses=12, flags=0x1B)
    tail = [connection.second(122.0, up=60_000, dry=12, pauses=12, flags=0x1B), connection.second(127.0, closed=True)]
    _, events = run(HOME, [*live(connection, 101, 121), ending, *tail], until=140.0)
    assert [session.state for session in sessions(events)] == ["open", "update", "closed"]
    assert [alert.state for alert in alerts(events)] == ["open", "closed"]


def test_what_a_viewer_without_a_name_in_dns_is_called() -> None:
    answer = (
        b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x05relay\x05maker\x07example\x00\x00\x01\x00\x01"
        b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04" + bytes(int(part) for part in STRANGER_IP.split("."))
    )
    question = answer[:2] + b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + answer[12:37]
    ends = (CAMERA_MAC, CAMERA_IP, 40001), (GATEWAY_MAC, "192.168.1.1", 53)
    asked, answered = datagram(100.1, *ends, question), datagram(100.2, *reversed(ends), answer)
    viewing = live(Connection(key_of(), first_at=100.3), 101, 109)
    _, events = run(HOME, [asked, answered, *viewing], until=109.0)
    assert alerts(events)[0].peer.name == "relay.maker.example"  # type: ignore[union-attr]
    guard, events = run(HOME, [answered, *viewing], until=109.0)
    assert alerts(events)[0].peer.name is None, "anybody can send an answer that nobody asked for"  # type: ignore[union-attr]
    assert guard.counters()["odd-dns-unasked"] == 1


@pytest.mark.parametrize(
    ("size", "seconds_", "dry"), [(2_000_000, 1, 0), (2_000_000, 16, 0), (8_000_000, 64, 1), (8_000_000, 13, 1)]
)
def test_a_clip_is_a_session_but_no_alert(size: int, seconds_: int, dry: int) -> None:
    connection = Connection(key_of(), first_at=100.0)
    items = [connection.second(101.0 + at, up=size // seconds_, pauses=40, dry=dry) for at in range(seconds_)]
    _, events = run(HOME, items, until=190.0)
    assert not alerts(events)
    assert [(session.state, session.cls) for session in sessions(events)] == [("open", "unknown"), ("closed", "clip")]


def test_a_firmware_download_is_a_download() -> None:
    connection = Connection(key_of(), first_at=100.0)
    _, events = run(HOME, [connection.second(101.0 + at, down=2_000_000) for at in range(10)], until=130.0)
    assert [session.cls for session in sessions(events)] == ["unknown", "download"]
    assert not alerts(events)


def test_never_and_privacy_hours_are_told_even_of_the_owners_devices() -> None:
    private = Home(
        cameras=(Camera("porch", CAMERA_MAC, never=True),), devices=(Device("phone", LAPTOP_MAC, owner=True),)
    )
    _, events = run(private, rtsp_view(100.5, peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC), until=101.0)
    assert [(alert.type, alert.severity) for alert in alerts(events)] == [("privacy", "critical")]


def test_a_permission_that_runs_out_during_a_viewing_is_noticed() -> None:
    timed = Home(
        timezone="UTC", cameras=HOME.cameras, devices=HOME.devices, expects=(Expect("*", "nvr", (), "00:00-00:02"),)
    )
    items = [*rtsp_view(100.5, peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC)]
    items += live(
        Connection(key_of(LAPTOP_IP, 554, 50000), first_at=100.5, peer_mac=LAPTOP_MAC, first_up=False), 101, 140
    )
    _, events = run(timed, items, until=140.0)
    assert [(session.state, session.verdict) for session in sessions(events)] == [
        ("open", "expected"),
        ("update", "unexpected"),
    ]
    assert [alert.raised for alert in alerts(events)] == [120.0]


def test_a_camera_keeps_its_name_when_its_address_changes() -> None:
    talk = frame(
        Ether(src=CAMERA_MAC, dst="ff:ff:ff:ff:ff:ff")
        / ARP(op=1, hwsrc=CAMERA_MAC, psrc="192.168.1.77", pdst="192.168.1.1"),
        100.5,
    )
    guard, _ = run(HOME, [talk], until=101.0)
    assert guard.addresses() == {"porch": ("192.168.1.77",)}
    assert [(device.mac, device.ips) for device in guard.seen_devices()] == [(CAMERA_MAC, ("192.168.1.77",))]


def test_the_wall_clock_moves_labels_and_not_durations() -> None:
    connection = Connection(key_of(), first_at=100.0)
    guard, events = run(HOME, live(connection, 101, 110), until=110.0, offset_s=1_000_000.0)
    assert alerts(events)[0].started == pytest.approx(1_000_100.0)
    guard.offset_s += 86_400
    late = [event for at in range(111, 140) for event in guard.tick(float(at))]
    closed = next(event for event in late if isinstance(event, Session))
    assert closed.ended is not None
    assert closed.ended - closed.started == pytest.approx(9.0)


def test_facts_are_read_and_hold_no_secret() -> None:
    talk = Dialogue(100.5)
    secret = "hunter2hunter2"
    request = (
        f"DESCRIBE rtsp://admin:{secret}@{CAMERA_IP}/s?password={secret} RTSP/1.0\nCSeq: 2\n"
        f'Authorization: Digest username="admin", response="{secret}", nonce="{secret}"\nCookie: {secret}\n\n'
    )
    items = [
        *talk.open(),
        talk.says(False, request),
        talk.says(True, f"RTSP/1.0 401 No\nCSeq: 2\nSession: {secret}\n\n"),
    ]
    guard, _ = run(HOME, items, until=102.0)
    facts = guard.take_facts()
    assert [(fact.what, fact.detail.get("method"), fact.detail.get("status")) for fact in facts] == [
        ("rtsp", "DESCRIBE", None),
        ("login", None, None),
        ("rtsp", "DESCRIBE", 401),
        ("login", None, None),
    ]
    assert facts[0].client == (STRANGER_IP, 50000)
    assert facts[0].server == (CAMERA_IP, 554)
    assert secret not in repr(facts)
    assert not [held for held in everything_in(guard) if secret.encode() in held]


def test_odd_frames_are_counted_and_the_guard_goes_on() -> None:
    good = next(iter(rtsp_view(100.9)))
    odd = [Frame(100.2, good.data[:20], 20), Frame(100.3, b"", 0), Frame(100.4, b"\xff" * 60, 60)]
    guard, events = run(HOME, [*odd, *rtsp_view(100.9)], until=102.0)
    assert sum(number for name, number in guard.counters().items() if name.startswith("odd-")) >= 2
    assert len(alerts(events)) == 1


def test_twice_the_same_input_gives_the_same_events() -> None:
    def once() -> list[object]:
        return run(HOME, [*rtsp_view(100.5), *live(Connection(key_of(), first_at=100.0), 101, 120)], until=150.0)[1]

    assert once() == once()


def test_after_a_restart_the_same_viewing_makes_no_second_alert() -> None:
    first, events = run(HOME, live(Connection(key_of(), first_at=100.0), 101, 120), until=119.0)
    resumed = tuple(first.open_alerts())
    assert resumed
    _, again = run(HOME, live(Connection(key_of(), first_at=100.0), 125, 140), until=139.0, start=124.0, resume=resumed)
    assert {alert.id for alert in alerts(again)} == {alerts(events)[0].id}
    assert "open" not in [alert.state for alert in alerts(again)]


def test_it_was_me_closes_the_alert_and_only_this_viewing_is_quiet() -> None:
    guard, events = run(HOME, rtsp_view(100.5), until=101.0)
    (alert,) = alerts(events)
    decided = guard.decide(Wish("w1", "terminal, anna", "allow", alert=alert.id, mode="once"), 1, 102.0, alert)
    assert next(event for event in decided if isinstance(event, Decision)).who == "terminal, anna"
    assert [(one.id, one.state, one.detail["settled"]) for one in alerts(decided)] == [
        (alert.id, "closed", "you said that it was you (decision 1)")
    ]
    assert [session.verdict for session in sessions(decided)] == ["expected"]
    again = [event for frame_ in rtsp_view(110.5, peer_port=50009) for event in guard.feed(frame_)]
    assert [one.state for one in alerts(again)] == ["open"], "the next viewing is told"


def test_a_permission_for_a_time_holds_as_long_and_not_longer() -> None:
    guard, events = run(HOME, rtsp_view(100.5), until=101.0)
    (alert,) = alerts(events)
    guard.decide(Wish("w1", "terminal", "allow", alert=alert.id, mode="for", for_s=60.0), 1, 102.0, alert)
    inside = [event for frame_ in rtsp_view(150.0, peer_port=50009) for event in guard.feed(frame_)]
    assert not alerts(inside)
    after = [event for at in range(151, 164) for event in guard.tick(float(at))]
    assert alerts(after), "it runs out in the middle of a viewing"


# ---- ways to hide, or to cry wolf, that a reviewer found

ONE = Home(cameras=(Camera("porch", CAMERA_MAC),))


def called(number: int = 0, **more: object) -> Connection:
    """A connection that a stranger opened to the camera."""
    return Connection(key_of(host_port=443, peer_port=50001 + number), first_at=100.5, first_up=False, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("down", [0, 1_300, 8_000], ids=["silent", "sends-a-little-back", "talks-through-it"])
def test_a_viewer_who_sends_something_back_is_told(down: int) -> None:
    connection = called()
    _, events = run(
        ONE, [connection.second(float(at), up=100_000, down=down, dry=15) for at in range(101, 120)], until=119
    )
    assert [alert.type for alert in alerts(events)] == ["remote-stream"]


def test_an_upload_in_answered_pieces_is_told_when_it_does_not_end() -> None:
    connection = Connection(key_of(), first_at=100.0)
    items = [connection.second(float(at), up=100_000, down=1_300, dry=15) for at in range(101, 260)]
    _, events = run(ONE, items, until=259)
    assert [round(alert.raised) for alert in alerts(events) if alert.state == "open"] == [221]


def test_an_rst_that_somebody_forged_hides_nothing() -> None:
    connection = Connection(RTSP_KEY, first_at=100.5, first_up=False, flags=0x1E)
    _, events = run(ONE, [*rtsp_view(100.5), *live(connection, 101, 130)], until=129)
    assert [alert.state for alert in alerts(events)] == ["open"]
    assert [session.state for session in sessions(events)] == ["open"]


def test_ports_that_are_used_again_after_an_rst_are_told() -> None:
    talk = Dialogue(100.5, peer_port=50001, port=443)
    opening = talk.open()
    broken = Connection(key_of(host_port=443, peer_port=50001), first_at=100.5, first_up=False, flags=0x1E)
    items = [
        *opening,
        broken.second(101.0, up=10),
        *Dialogue(101.5, peer_port=50001, port=443).open(),
        *live(broken, 102, 130),
    ]
    _, events = run(ONE, items, until=129)
    assert [alert.state for alert in alerts(events)] == ["open"]


def test_a_teardown_that_is_refused_ends_nothing() -> None:
    control = Connection(RTSP_KEY, first_at=100.5, first_up=False)
    bye = Dialogue(105.0)
    bye._seq = {True: 50_000, False: 60_000}
    items = [*rtsp_view(100.5), *live(control, 101, 130)]
    items += [
        bye.says(False, "TEARDOWN rtsp://x/ RTSP/1.0\nCSeq: 9\n\n"),
        bye.says(True, "RTSP/1.0 454 No\nCSeq: 9\n\n"),
    ]
    _, events = run(ONE, items, until=129)
    assert [alert.state for alert in alerts(events)] == ["open"]


def test_a_viewing_in_short_connections_one_after_another_is_one() -> None:
    items: list[object] = []
    for number in range(30):
        start, connection = 101 + 4 * number, called(number)
        items += [
            connection.second(float(at), up=100_000, dry=15, closed=at == start + 3) for at in range(start, start + 4)
        ]
    _, events = run(ONE, items, until=221)
    assert [alert.state for alert in alerts(events)] == ["open"]
    assert alerts(events)[0].raised < 110


def test_a_viewing_over_many_connections_at_a_time_is_one() -> None:
    many = [called(number) for number in range(8)]
    items = [one.second(float(at), up=12_500, dry=2) for at in range(101, 130) for one in many]
    _, events = run(ONE, items, until=129)
    assert len({alert.id for alert in alerts(events)}) == 1
    assert alerts(events)[0].raised < 110


def test_clips_over_several_connections_at_a_time_are_no_viewing() -> None:
    many = [Connection(key_of(host_port=40000 + number), first_at=100.0) for number in range(4)]
    items = [one.second(float(at), up=60_000, pauses=20, dry=1) for at in range(101, 130) for one in many]
    _, events = run(ONE, items, until=129)
    assert not alerts(events)


def test_a_name_that_a_device_gives_itself_makes_it_nobodys_cloud() -> None:
    home = Home(cameras=ONE.cameras, expects=(Expect("*", "*.maker.example"),))
    guard, _ = run(home, [], until=100)
    guard._neighbours.heard(bytes.fromhex(LAPTOP_MAC.replace(":", "")), 100.0, LAPTOP_IP, "p2p.maker.example")
    events = [event for item in rtsp_view(101, peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC) for event in guard.feed(item)]
    assert [alert.type for alert in alerts(events)] == ["lan-stream"]


def test_privacy_hours_that_begin_in_a_viewing_are_told_as_such() -> None:
    home = Home(timezone="UTC", cameras=(Camera("porch", CAMERA_MAC, private="00:02-00:10"),))
    connection = Connection(key_of(LAPTOP_IP, 443, 50001), first_at=100.5, peer_mac=LAPTOP_MAC, first_up=False)
    _, events = run(home, live(connection, 101, 140), until=139)
    assert [(alert.type, alert.state) for alert in alerts(events)] == [
        ("lan-stream", "open"),
        ("lan-stream", "closed"),
        ("privacy", "open"),
    ]


def test_a_camera_that_leaves_the_file_takes_its_number_and_nothing_else() -> None:
    cameras = (
        Camera("attic", "02:00:00:00:00:09"),
        Camera("porch", CAMERA_MAC),
        Camera("bath", "02:00:00:00:00:0b", never=True),
    )
    home = Home(cameras=cameras, expects=(Expect("porch", STRANGER_IP),))
    connection = Connection(key_of(host=2), first_at=100.0)
    guard, events = run(home, live(connection, 101, 115), until=114)
    assert not alerts(events)
    guard.reload(Home(cameras=cameras[1:], expects=home.expects))
    after = guard.tick(115.0)
    assert [(session.camera, session.state, session.verdict) for session in sessions(after)] == [
        ("porch", "closed", "expected")
    ]
    assert not alerts(after)


def test_a_long_viewing_over_a_restart_is_one_alert() -> None:
    first, events = run(ONE, live(Connection(key_of(), first_at=100.0), 101, 4000), until=3999)
    _, again = run(
        ONE,
        live(Connection(key_of(), first_at=100.0), 4010, 4100),
        until=4099,
        start=4005.0,
        resume=first.open_alerts(),
    )
    assert {alert.id for alert in alerts(again)} == {alerts(events)[0].id}
    assert {alert.state for alert in alerts(again)} == {"update"}


def test_names_are_known_to_the_next_run() -> None:
    first = Guard(ONE)
    first._neighbours.named(1, STRANGER_IP, "relay.maker.example")
    names = first.names()
    assert names == [("porch", STRANGER_IP, "relay.maker.example")]
    assert first.names() == []
    home = Home(cameras=ONE.cameras, expects=(Expect("*", "*.maker.example"),))
    _, events = run(home, live(Connection(key_of(), first_at=100.0), 101, 115), until=114, names=names)
    assert [session.verdict for session in sessions(events)][-1] == "expected"
    assert not alerts(events)


# ---- logins ----------------------------------------------------------------------------------------------------------

CANARY = "Canary-5ecret-Zebra"
SOAP = (
    "<s:Envelope><s:Header><o:UsernameToken><o:Username>onvif</o:Username><o:Password Type='PasswordText'>"
    f"{CANARY}</o:Password></o:UsernameToken></s:Header><s:Body><t:GetProfiles/></s:Body></s:Envelope>"
)


def basic(password: str, user: str = "admin") -> str:
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode() + "\n"


def http_login(
    at: float, password: str, status: str, *, peer_ip: str = STRANGER_IP, peer_mac: str = GATEWAY_MAC, port: int = 50000
) -> list[Frame]:
    """A request with credentials on a connection of its own, and its answer."""
    talk = Dialogue(at, peer_ip=peer_ip, peer_mac=peer_mac, port=80, peer_port=port)
    return [
        *talk.open(),
        talk.says(False, f"GET /live.jpg HTTP/1.1\nHost: cam\n{basic(password)}\n"),
        talk.says(True, f"HTTP/1.1 {status}\nContent-Length: 0\nSet-Cookie: {CANARY}\n\n"),
    ]


def test_a_strangers_login_is_told_and_the_owners_is_not() -> None:
    home = Home(cameras=HOME.cameras, devices=(Device("phone", LAPTOP_MAC, owner=True),))
    items = [
        *http_login(100.2, CANARY, "200 OK", peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC),
        *http_login(103.2, CANARY, "200 OK"),
    ]
    _, events = run(home, items, until=110.0)
    assert [(one.outcome, one.verdict, one.user, one.service, one.scheme) for one in logins(events)] == [
        ("success", "expected", "admin", "http", "basic"),
        ("success", "unexpected", "admin", "http", "basic"),
    ]
    (alert,) = alerts(events)
    assert (alert.type, alert.severity, alert.state) == ("remote-login", "critical", "open")
    assert alert.raised - 103.2 < 3.5


def test_a_login_in_the_last_second_of_a_capture_is_told() -> None:
    guard, events = run(HOME, http_login(100.2, CANARY, "200 OK"), until=101.0)
    assert not alerts(events)
    assert [one.type for one in alerts(guard.finish(101.5))] == ["remote-login"]


def test_a_guess_that_succeeds_raises_one_critical_alert() -> None:
    items = [
        frame_
        for number in range(20)
        for frame_ in http_login(
            100.1 + number, f"{CANARY}{number}", "200 OK" if number == 19 else "401 No", port=50000 + number
        )
    ]
    _, events = run(HOME, items, until=125.0)
    assert [one.outcome for one in logins(events)] == ["failure"] * 19 + ["success"]
    critical = [one for one in alerts(events) if one.severity == "critical" and one.state != "closed"]
    assert [(one.type, one.state, one.count) for one in critical] == [("brute-force", "open", 19)]


def test_who_may_watch_may_log_in_to_do_so_and_a_stranger_who_watches_is_told_of_once() -> None:
    def login(at: float, peer_ip: str, peer_mac: str, port: int) -> list[Frame]:
        talk = Dialogue(at, peer_ip=peer_ip, peer_mac=peer_mac, peer_port=port)
        return [
            *talk.open(),
            talk.says(False, f"DESCRIBE rtsp://{CAMERA_IP}/s RTSP/1.0\nCSeq: 1\n\n"),
            talk.says(True, 'RTSP/1.0 401 No\nCSeq: 1\nWWW-Authenticate: Basic realm="x"\n\n'),
            talk.says(False, f"DESCRIBE rtsp://{CAMERA_IP}/s RTSP/1.0\nCSeq: 2\n{basic(CANARY)}\n"),
            talk.says(True, "RTSP/1.0 200 OK\nCSeq: 2\n\n"),
        ]

    items = [*login(100.1, LAPTOP_IP, LAPTOP_MAC, 40000), *rtsp_view(100.4, peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC)]
    items += [*login(105.1, STRANGER_IP, GATEWAY_MAC, 40001), *rtsp_view(105.4)]
    _, events = run(HOME, items, until=112.0)
    assert [(one.outcome, one.verdict, one.reason) for one in logins(events)] == [
        ("success", "expected", "you expect nvr"),
        ("success", "unexpected", "it is none of your devices and nothing you expect"),
    ]
    assert [one.type for one in alerts(events)] == ["remote-stream"]


def test_no_password_is_anywhere() -> None:
    forms = (
        ("application/x-www-form-urlencoded", f"user=admin&password={CANARY}"),
        ("application/json", f'{{"username":"root","password":"{CANARY}"}}'),
        ("application/soap+xml", SOAP),
    )
    items = [*http_login(100.2, CANARY, "401 No"), *http_login(101.2, CANARY, "200 OK", port=50001)]
    for number, (kind, body) in enumerate(forms):
        talk = Dialogue(102.2 + number, port=80, peer_port=51000 + number)
        head = f"POST /onvif/login?pwd={CANARY} HTTP/1.1\nContent-Type: {kind}\nContent-Length: {len(body)}\n\n"
        items += [*talk.open(), talk.says(False, head), talk.says(False, body.encode())]
        items += [talk.says(True, f'HTTP/1.1 200 OK\nSet-Cookie: {CANARY}\nContent-Length: 15\n\n{{"result":true}}')]
    guard, events = run(HOME, items, until=112.0)
    told = [*events, *guard.take_facts(), *guard.open_alerts()]
    assert [one.scheme for one in logins(events)] == ["basic", "basic", "form", "form", "wsse"]
    encoded = base64.b64encode(f"admin:{CANARY}".encode())
    for secret in (CANARY.encode(), encoded):
        assert secret not in repr(told).encode()
        assert not [held for held in everything_in(guard) if secret in held]


def test_it_was_me_of_a_login_closes_it() -> None:
    guard, events = run(HOME, http_login(100.2, CANARY, "401 No"), until=104.0)
    (alert,) = alerts(events)
    decided = guard.decide(Wish("w1", "terminal, anna", "allow", alert=alert.id, mode="once"), 1, 105.0, alert)
    assert [(one.state, one.detail["settled"]) for one in alerts(decided)] == [
        ("closed", "you said that it was you (decision 1)")
    ]
    again = [event for item in http_login(110.2, CANARY, "401 No", port=50009) for event in guard.feed(item)]
    assert [one.state for one in alerts(again)] == ["open"]
    (alert,) = alerts(again)
    guard.decide(Wish("w2", "terminal, anna", "allow", alert=alert.id, mode="always"), 2, 115.0, alert)
    later = [event for item in http_login(120.2, CANARY, "401 No", port=50010) for event in guard.feed(item)]
    assert [(one.verdict, one.reason) for one in logins(later)] == [("expected", "you allowed it (decision 2)")]
    assert not alerts(later)


def test_a_guess_is_not_the_viewer_that_watching_means() -> None:
    guard, _ = run(HOME, [], until=101.0)
    guard.decide(Wish("w1", "terminal, anna", "watching"), 1, 102.0)
    guessed = [event for item in http_login(103.2, CANARY, "401 No") for event in guard.feed(item)]
    assert [one.verdict for one in logins(guessed)] == ["unexpected"]
    own = http_login(104.2, CANARY, "200 OK", peer_ip="198.51.100.7", port=50001)
    assert [one.verdict for one in logins([e for item in own for e in guard.feed(item)])] == ["expected"]


def test_while_the_owner_watches_a_guess_that_works_is_told() -> None:
    guard, _ = run(HOME, [], until=101.0)
    guard.decide(Wish("w1", "terminal, anna", "watching"), 1, 102.0)
    events = []
    for number in range(4):
        for item in http_login(103.2 + number, CANARY, "401 No" if number < 3 else "200 OK", port=50001 + number):
            events += guard.feed(item)
    assert [one.verdict for one in logins(events)] == ["unexpected"] * 4
    assert [(one.type, one.severity) for one in alerts(events)][-2:-1] == [("brute-force", "critical")]


def test_a_flood_then_a_login_that_cannot_be_read_is_told() -> None:
    before = Connection(key_of(), first_at=100.0).second(100.5, up=10)
    flooded = Connection(key_of(host_port=80, peer_port=50007), first_at=103.2, first_up=False)
    _, events = run(HOME, [before, flooded.second(104.0, up=500, down=400, flags=0x1B)], until=108.0)
    assert [(one.outcome, one.outcome_source, one.user) for one in logins(events)] == [("unknown", "inferred", None)]
    assert [(one.type, one.severity) for one in alerts(events)] == [("remote-login", "warning")]
