"""homeassistant.py, announce.py and commands.py: what Home Assistant is told, what it shows, what it may ask."""

import contextlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Camera
from camguard.tell import announce, commands
from camguard.tell import homeassistant as ha
from tests.tell.ha import HomeAssistant, faults

ROOT = Path(__file__).resolve().parents[2]
NURSERY = Camera("Nursery", "02:00:00:00:00:01")
PORCH = Camera("Porch (front)", "02:00:00:00:00:02")
STRANGER = {
    "ip": "51.68.1.2", "port": 40000, "name": None, "scope": "wan", "asn": 16276, "org": "OVH", "country": "France",
    "mac": None, "device": None,
}  # fmt: skip
PHONE = STRANGER | {"ip": "192.168.1.21", "scope": "lan", "org": None, "country": None, "device": "Anna's phone"}
HOSTILE = [
    "<b>x</b>", "{{ states('lock.door') }}", "a\x00\x1b[2J", "\u202eevil", "x" * 10_000, "None", "ON", "+/#", '"}',
    "\n\r", "",
]  # fmt: skip


def session(peer: dict[str, Any] = STRANGER, **other: Any) -> dict[str, Any]:
    return {
        "kind": "session", "id": "s1", "camera": "Nursery", "state": "open", "class": "stream", "peer": peer,
        "started": "2026-11-24T21:14:00.000Z", "ended": None, "verdict": "unexpected", "confidence": "certain",
        "bytes_up": 1000, "rate_kbps": 900,
    } | other  # fmt: skip


def alert(**other: Any) -> dict[str, Any]:
    return {
        "kind": "alert", "id": "a7f3c1d2e4", "camera": "Nursery", "type": "remote-stream", "severity": "critical",
        "state": "open", "peer": STRANGER, "session": "s1", "count": 1,
    } | other  # fmt: skip


def figures(**other: Any) -> dict[str, Any]:
    cameras = [
        {"name": "Nursery", "sight": "both", "last_time": "2026-11-24T21:14:00.000Z"},
        {"name": "Porch (front)", "sight": "both", "last_time": "2026-11-24T21:14:00.000Z"},
    ]
    return {"cost": None, "cameras": cameras, "sessions": [], "alerts": [], "problems": []} | other


def seen(now: dict[str, Any] | None, **other: Any) -> ha.Seen:
    return ha.Seen(**{"now": now, "at": 1000.0, "today": 0} | other)


HOUSE = ha.house([NURSERY, PORCH])


def state(leaf: str, now: dict[str, Any] | None, house: ha.House = HOUSE, **other: Any) -> str:
    return ha.states(house, seen(now, **other))[f"camguard/{leaf}"]


# ---- announced -------------------------------------------------------------------------------------------------------


def test_everything_announced_is_as_home_assistant_documents_it() -> None:
    made = announce.discovery(HOUSE)
    assert {topic: faults(topic, payload) for topic, payload in made.items()} == {topic: [] for topic in made}
    assert set(made) == {
        "homeassistant/device/camguard/config",
        "homeassistant/device/camguard_020000000001/config",
        "homeassistant/device/camguard_020000000002/config",
    }


def test_the_checker_finds_what_is_wrong() -> None:
    topic, payload = list(announce.discovery(HOUSE).items())[1]
    right = json.loads(payload)

    def with_part(**other: Any) -> list[str]:
        part = {**right["components"]["watched"], **other}
        part = {key: value for key, value in part.items() if value is not None}
        return faults(topic, json.dumps(right | {"components": {"watched": part}}))

    assert with_part() == []
    assert with_part(object_id="x") == ["watched: binary_sensor does not know object_id"]
    assert with_part(device_class="watched") == ["watched: binary_sensor has no device_class watched"]
    assert with_part(unique_id=None) == ["watched: binary_sensor needs unique_id"]
    assert with_part(state_topic=None) == ["watched: binary_sensor needs state_topic"]
    assert with_part(entity_category="config") == ["watched: entity_category config of a binary_sensor"]
    assert with_part(state_topic="camguard/+/watched") == ["watched: state_topic 'camguard/+/watched'"]
    assert with_part(default_entity_id="binary_sensor.Nürsery")
    assert faults(topic, json.dumps(right | {"origin": {}})) == ["origin is missing"]
    assert faults(topic, json.dumps(right | {"device": {"name": "x"}})) == ["a device needs identifiers or connections"]
    assert faults("homeassistant/device/Tür/config", payload)


def test_the_entities_are_those_of_the_reference_page() -> None:
    home = HomeAssistant()
    for topic, payload in announce.discovery(HOUSE).items():
        home.take(topic, payload)
    page = (ROOT / "docs/mqtt.md").read_text()
    told = set(
        re.findall(r"`((?:binary_sensor|sensor|event|button|number|switch)\.(?:nursery|camguard)_[a-z_]+)`", page)
    )
    assert told == {one for one in home.entities if "porch" not in one}
    for leaf in {
        topic.split("/", 2)[2] for topic in ha.states(HOUSE, seen(None)) if topic.startswith("camguard/nursery/")
    }:
        assert f"`{leaf}`" in page, leaf


def test_a_renamed_camera_stays_the_same_device_with_the_same_entities() -> None:
    before, after = HOUSE, ha.house([replace(NURSERY, name="Kids' room"), PORCH])
    uid = "camguard_020000000001"
    old, new = (json.loads(announce.discovery(house)[house.discovery(uid)]) for house in (before, after))
    assert [one["unique_id"] for one in old["components"].values()] == [
        one["unique_id"] for one in new["components"].values()
    ]
    assert old["device"]["identifiers"] == new["device"]["identifiers"] == [uid]
    assert new["components"]["watched"]["state_topic"] == "camguard/kids_room/watched"
    home = HomeAssistant()
    for house in (before, after):
        for topic, payload in announce.discovery(house).items():
            home.take(topic, payload)
    assert "binary_sensor.nursery_being_watched" in home.entities  # an automation of the owner's goes on working


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Nursery", "nursery"),
        ("Tür 2", "tur_2"),
        ("Straße", "strasse"),
        ("a/b#c+d", "a_b_c_d"),
        ("子供", ""),
        ("x" * 99, "x" * 40),
    ],
)
def test_slugs(name: str, expected: str) -> None:
    assert ha.slug(name) == expected


def test_names_that_differ_only_in_signs_get_topics_of_their_own() -> None:
    cameras = [
        Camera("Tür", "02:00:00:00:00:01"),
        Camera("Tur", "02:00:00:00:00:02"),
        Camera("子供", None, ("fe80::1",)),
    ]
    house = ha.house(cameras)
    assert [one.slug for one in house.cameras] == ["tur", "tur_020000000002", "camera_fe80__1"]
    for topic, payload in announce.discovery(house).items():
        assert faults(topic, payload) == []


def test_only_the_cameras_of_the_channel_and_two_camguards_beside_each_other() -> None:
    house = ha.house([NURSERY, PORCH], only=("Nursery",), base="upstairs/cams")
    assert [one.name for one in house.cameras] == ["Nursery"]
    made = announce.discovery(house)
    assert not set(made) & set(announce.discovery(HOUSE))
    assert {topic: faults(topic, payload) for topic, payload in made.items()} == {topic: [] for topic in made}


# ---- states ----------------------------------------------------------------------------------------------------------


def test_a_day_of_a_camera_as_home_assistant_shows_it() -> None:
    """Each step: what holds, then what Home Assistant shows: watched, unexpected, viewers, last, seen, guard."""
    home = HomeAssistant()
    sent: dict[str, str] = {}
    mine = session(PHONE, id="s0", verdict="expected", started="2026-11-24T18:02:00.000Z")
    quiet = figures()
    first = figures(cameras=[{"name": "Nursery", "sight": "nothing", "last_time": None}, quiet["cameras"][1]])
    blind_row = {"name": "Nursery", "sight": "nothing", "last_time": "2026-11-24T21:40:00.000Z"}
    blind = figures(cameras=[blind_row, quiet["cameras"][1]], alerts=[alert(type="guard-blind", peer=None)])
    ended = {"Nursery": session(state="closed", ended="2026-11-24T21:28:00.000Z")}
    yours = {"Nursery": mine | {"state": "closed", "ended": "2026-11-24T18:20:00.000Z"}}
    both = [session(), mine | {"started": "2026-11-24T21:20:00.000Z"}]
    still = figures(cameras=[blind_row, quiet["cameras"][1]])
    none, last = "unavailable unavailable unavailable", "21:28 OVH, France"
    day: list[tuple[str, ha.Seen, str]] = [
        ("06:00 the guard is off", seen(None, today=None), f"{none} unknown unknown off problem"),
        ("06:01 it starts, nothing passed yet", seen(first), f"{none} unknown unknown unknown ok"),
        ("06:02 it sees the camera", seen(quiet), "off off 0 unknown unknown on ok"),
        ("18:02 you look in", seen(figures(sessions=[mine])), "on off 1 18:02 Anna's phone on ok"),
        ("18:20 you stop", seen(quiet, last=yours), "off off 0 18:20 Anna's phone on ok"),
        ("21:14 a stranger", seen(figures(sessions=[session()]), last=yours), "on on 1 21:14 OVH, France on ok"),
        ("21:20 and you, too", seen(figures(sessions=both), last=yours), "on on 2 21:20 Anna's phone on ok"),
        ("21:28 both end", seen(quiet, last=ended), f"off off 0 {last} on ok"),
        ("21:40 it says nothing for a while", seen(still, last=ended), f"off off 0 {last} on ok"),
        ("21:45 it is gone", seen(blind, last=ended), f"{none} {last} off ok"),
        ("23:00 the guard stops", seen(None, last=ended), f"{none} {last} off problem"),
    ]
    for topic, payload in announce.discovery(HOUSE).items():
        home.take(topic, payload)
    home.take("camguard/status", "online")
    for when, what, expected in day:
        for topic, payload in ha.states(HOUSE, what).items():
            if sent.get(topic) != payload:
                home.take(topic, payload)
                sent[topic] = payload
        show = [home.shown(f"binary_sensor.nursery_{one}") for one in ("being_watched", "unexpected_viewer")]
        show += [home.shown(f"sensor.nursery_{one}") for one in ("viewers", "last_viewed", "last_viewer")]
        show[3] = show[3][11:16] if "T" in show[3] else show[3]
        show.append(home.shown("binary_sensor.nursery_guard_sees_this_camera"))
        show.append({"on": "problem", "off": "ok"}[home.shown("binary_sensor.camguard_guard_problem")])
        print(f"{when:36} {' '.join(show)}")
        assert " ".join(show) == expected, when
    home.take("camguard/status", "offline")  # the last will
    assert {one.shown for one in home.entities.values()} == {"unavailable"}


def test_states_do_not_change_while_only_bytes_and_times_do() -> None:
    one = figures(sessions=[session()])
    row = {"name": "Nursery", "sight": "both", "last_time": "2026-11-24T21:15:00.000Z", "up_kbps": 12, "packets_up": 99}
    other = figures(sessions=[session(bytes_up=999_999, rate_kbps=1)], cameras=[row, one["cameras"][1]])
    assert ha.states(HOUSE, seen(one)) == ha.states(HOUSE, seen(other, at=1007.0))


def test_being_watched_tells_of_the_unexpected_viewer_first() -> None:
    both = figures(sessions=[session(PHONE, id="s0", verdict="expected"), session(started="2026-11-24T21:20:00.000Z")])
    assert json.loads(state("nursery/watched/info", both)) == {
        "since": "2026-11-24T21:20:00.000Z", "viewer": "OVH, France", "organisation": "OVH", "country": "France",
        "expected": False, "how_sure": "certain",
    }  # fmt: skip
    assert json.loads(state("nursery/watched/info", figures()))["since"] is None


@pytest.mark.parametrize("kind", ["clip", "heartbeat", "download", "unknown"])
def test_what_is_no_viewing_is_none(kind: str) -> None:
    assert state("nursery/watched", figures(sessions=[session(**{"class": kind})])) == "OFF"
    assert state("nursery/watched", figures(sessions=[session(**{"class": "talk"})])) == "ON"


def test_the_home_as_a_whole() -> None:
    stranger = figures(sessions=[session()])
    assert state("unexpected", stranger) == "ON"
    assert json.loads(state("unexpected/info", stranger))["cameras"] == ["Nursery"]
    assert state("unexpected", figures()) == "OFF"
    assert state("unexpected", None) == "None"
    assert state("unexpected", figures(cameras=[])) == "None"  # no camera is seen: nobody knows
    assert state("problem", figures(problems=["eth0: the interface is gone."])) == "ON"
    assert state("problem", figures(problems=["slower"], cost="slower")) == "OFF"  # a property, not a fault
    assert state("viewings_today", figures(), today=None) == "None"


def test_silence_ends_by_itself() -> None:
    held: dict[str | None, float] = {"Nursery": 1060.0}
    assert state("nursery/silenced", figures(), silenced=held) == "ON"
    assert json.loads(state("nursery/silenced/info", figures(), silenced=held)) == {"until": "1970-01-01T00:17:40.000Z"}
    assert state("nursery/silenced", figures(), silenced=held, at=1060.0) == "OFF"
    assert state("porch_front/silenced", figures(), silenced=held) == "OFF"
    assert state("porch_front/silenced", figures(), silenced={None: 1001.0}) == "ON"


@pytest.mark.parametrize(
    ("detail", "viewer"), [("full", "OVH, France"), ("short", "somebody outside"), ("discreet", None)]
)
def test_the_detail_of_the_channel_holds_everywhere(detail: str, viewer: str | None) -> None:
    house = ha.house([NURSERY], detail=detail)
    made = ha.states(house, seen(figures(sessions=[session()])))
    _, payload = ha.event(house, alert(), "title", "body")
    assert json.loads(payload)["viewer"] == viewer
    assert made["camguard/nursery/last_viewer"] == (viewer or "None")
    assert ("OVH" in json.dumps(made)) == (detail == "full")
    named = ha.states(house, seen(figures(sessions=[session(PHONE)])))["camguard/nursery/last_viewer"]
    assert named == {"full": "Anna's phone", "short": "Anna's phone", "discreet": "None"}[detail]


def test_hostile_names_are_harmless() -> None:
    for bad in HOSTILE:
        peer = STRANGER | {"org": bad or None, "name": bad or None, "country": bad or None}
        made = ha.states(HOUSE, seen(figures(sessions=[session(peer)], problems=[bad])))
        topic, payload = ha.event(HOUSE, alert(peer=peer, type=bad), "t", "b")
        assert json.loads(payload)["event_type"] == "other"
        made[topic] = payload
        home = HomeAssistant()
        for one, text in (announce.discovery(HOUSE) | made).items():
            home.take(one, text)
        assert set(made) == {*ha.states(HOUSE, seen(figures())), "camguard/nursery/alert"}  # no topic of theirs
        for text in made.values():
            assert len(text) < 2000
            assert not re.search("[\\x00-\\x1f\\u202a-\\u202e\\u2066-\\u2069]", text)
            assert "<b>" not in text.replace(json.dumps(bad), "") or "problems" in text


def test_a_camera_with_a_hostile_name_of_the_owner() -> None:
    for number, bad in enumerate(one for one in HOSTILE if one.strip()):
        house = ha.house([Camera(bad, f"02:00:00:00:01:{number:02x}")])
        for topic, payload in announce.discovery(house).items():
            assert faults(topic, payload) == []


def test_alerts_are_events_of_their_camera_or_of_the_home() -> None:
    topic, payload = ha.event(HOUSE, alert(), "Somebody is watching: Nursery", "Since 22:14 ...")
    assert topic == "camguard/nursery/alert"
    assert json.loads(payload) == {
        "event_type": "remote-stream", "type": "remote-stream", "id": "a7f3c1d2e4", "severity": "critical",
        "state": "open", "camera": "Nursery", "title": "Somebody is watching: Nursery", "body": "Since 22:14 ...",
        "viewer": "OVH, France", "count": 1, "command_topic": "camguard/nursery/command",
    }  # fmt: skip
    topic, payload = ha.event(HOUSE, {"type": "digest", "id": "d1", "camera": None}, "12 more alerts", "...")
    assert (topic, json.loads(payload)["event_type"]) == ("camguard/alert", "digest")


def test_the_alert_types_are_those_of_the_words() -> None:
    from camguard.report.alerts import _WORDS

    assert set(ha.ALERT_TYPES) >= set(_WORDS)


# ---- commands --------------------------------------------------------------------------------------------------------

WATCHED = figures(sessions=[session()], alerts=[alert()])


def ask(
    payload: bytes | dict[str, Any], now: dict[str, Any] | None = WATCHED, camera: str | None = "Nursery", **o: Any
) -> Any:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return commands.wish(raw, HOUSE.called(camera), seen(now, **o), "id1")


def refusal(payload: bytes | dict[str, Any], **other: Any) -> str:
    with pytest.raises(commands.RefusedError) as caught:
        ask(payload, **other)
    return str(caught.value)


def test_it_was_me_is_this_viewing_only() -> None:
    made = ask({"do": "was-me"})
    assert (made.do, made.mode, made.alert, made.for_s, made.who) == ("allow", "once", "a7f3c1d2e4", None, "mqtt")
    assert ask({"do": "was-me", "alert": "a7f3"}).alert == "a7f3c1d2e4"


def test_it_was_me_never_means_somebody_else() -> None:
    two = figures(sessions=[session(), session(id="s2")], alerts=[alert(), alert(id="b1c2d3", session="s2")])
    assert "more than one viewer" in refusal({"do": "was-me"}, now=two)
    assert ask({"do": "was-me", "alert": "b1c2d3"}, now=two).alert == "b1c2d3"
    assert "over" in refusal({"do": "was-me", "alert": "ffff"})
    assert "nobody unexpected" in refusal({"do": "was-me"}, now=figures())
    assert "nobody unexpected" in refusal({"do": "was-me"}, camera="Porch (front)")
    assert "over" in refusal({"do": "was-me", "alert": "a7f3"}, now=figures(alerts=[alert()]))  # its viewing has ended
    assert "not looking" in refusal({"do": "was-me"}, now=None)
    assert "which camera" in refusal({"do": "was-me"}, camera=None)


def test_watching_and_silence_end_by_themselves() -> None:
    assert (ask({"do": "watching"}).for_s, ask({"do": "watching"}).camera) == (1800.0, "Nursery")
    assert ask({"do": "watching"}, minutes={"nursery": 45}).for_s == 2700.0
    assert ask({"do": "watching", "minutes": 240}).for_s == 14400.0
    assert ask({"do": "silence", "minutes": 1440}).for_s == 86400.0
    assert ask({"do": "silence", "minutes": 0}).for_s == 0.0
    assert ask({"do": "silence"}, camera=None).camera is None
    made = ask({"do": "presence", "device": "phone", "home": True}, camera=None)
    assert (made.do, made.device, made.home) == ("presence", "phone", True)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"PRESS", b"{", b"[]", b"null", b'"was-me"', b"\xff\xfe", b"[" * 1000, b'{"do":"was-me"}' + b" " * 1024,
        {"do": "allow"}, {"do": "always"}, {"do": "revoke", "decision": 1}, {"do": ["was-me"]}, {"do": None}, {},
        {"do": "was-me", "mode": "always"}, {"do": "was-me", "for_s": 99}, {"do": "was-me", "who": "terminal, bob"},
        {"do": "was-me", "alert": 7}, {"do": "was-me", "alert": ""}, {"do": "was-me", "alert": "a7%"},
        {"do": "watching", "minutes": 4}, {"do": "watching", "minutes": 241}, {"do": "watching", "minutes": True},
        {"do": "watching", "minutes": "30"}, {"do": "watching", "minutes": 1e308}, {"do": "watching", "camera": "*"},
        {"do": "silence", "minutes": -1}, {"do": "silence", "minutes": 1441}, {"do": "silence", "minutes": 30.5},
        {"do": "presence", "device": "phone", "home": True}, b'{"do":"silence","do":"was-me"}',
        b'{"do":"silence","minutes":NaN}',
    ],
)  # fmt: skip
def test_everything_else_is_refused_with_a_sentence(payload: bytes | dict[str, Any]) -> None:
    words = refusal(payload)
    assert 10 < len(words) < 160


_KEYS = st.sampled_from(["do", "alert", "minutes", "mode", "device", "home", "for_s", "who", "id"])
_WORDS = st.sampled_from([*commands.KEYS, "allow", "revoke", "once", "always", "a7f3", "phone"])
_VALUES = st.one_of(_WORDS, st.integers(-9, 2000), st.booleans(), st.none(), st.floats(), st.text(max_size=5))


@given(st.dictionaries(_KEYS, _VALUES), st.sampled_from([None, "Nursery"]))
@settings(max_examples=500, deadline=None)
def test_whatever_is_sent_nothing_permanent_comes_of_it(sent: dict[str, Any], camera: str | None) -> None:
    try:
        made = ask(sent, camera=camera)
    except commands.RefusedError:
        return
    assert made.do in ("allow", "watching", "silence", "presence")
    assert (made.mode == "once" and made.alert == "a7f3c1d2e4") if made.do == "allow" else made.mode is None
    assert made.decision is None
    assert (made.who, made.id) == ("mqtt", "id1")
    if made.do in ("watching", "silence"):
        assert made.for_s is not None
        assert 0 <= made.for_s <= 86_400


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_command_or_refused(raw: bytes) -> None:
    with contextlib.suppress(commands.RefusedError):
        ask(raw)


@pytest.mark.parametrize(("payload", "minutes"), [(b"45", 45), (b"5.0", 5), (b" 240 ", 240)])
def test_the_minutes_of_the_number(payload: bytes, minutes: int) -> None:
    assert commands.minutes_set(payload) == minutes


@pytest.mark.parametrize("payload", [b"", b"4", b"241", b"-5", b"x", b"\xd9\xa3\xd9\xa0", b"9" * 99, b"30.5", b"1e2"])
def test_other_minutes_are_refused(payload: bytes) -> None:
    with pytest.raises(commands.RefusedError):
        commands.minutes_set(payload)


def test_every_button_and_switch_of_home_assistant_is_understood() -> None:
    home = HomeAssistant()
    for topic, payload in announce.discovery(HOUSE).items():
        home.take(topic, payload)
    for entity_id, word in (("button.nursery_it_was_me", "allow"), ("button.nursery_i_am_watching_now", "watching")):
        topic, payload = home.press(entity_id)
        assert topic == "camguard/nursery/command"
        assert ask(payload.encode()).do == word
    part = home.entities["switch.nursery_silence_alerts"].part
    assert [ask(part[key].encode()).for_s for key in ("payload_on", "payload_off")] == [3600.0, 0.0]


# ---- the blueprints --------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """YAML with Home Assistant's !input."""


class _Input(str):
    __slots__ = ()


_Loader.add_constructor("!input", lambda loader, node: _Input(node.value))

BLUEPRINTS = sorted((ROOT / "docs/blueprints").glob("*.yaml"))


def _inside(made: Any) -> list[Any]:
    if isinstance(made, dict):
        return [one for value in made.values() for one in _inside(value)]
    if isinstance(made, list):
        return [one for value in made for one in _inside(value)]
    return [made]


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.name)
def test_blueprints_are_whole(path: Path) -> None:
    """home-assistant.io/docs/blueprint/schema and .../docs/automation/yaml: their keys; each input is used."""
    made = yaml.load(path.read_text(), _Loader)
    assert made.keys() <= {"blueprint", "mode", "max", "max_exceeded", "variables", "triggers", "conditions", "actions"}
    about = made["blueprint"]
    assert about.keys() <= {"name", "description", "domain", "author", "homeassistant", "source_url", "input"}
    assert about["domain"] == "automation"
    assert all(one.keys() <= {"name", "description", "default", "selector"} for one in about["input"].values())
    used = {str(one) for one in _inside({k: v for k, v in made.items() if k != "blueprint"}) if isinstance(one, _Input)}
    assert used == set(about["input"])
    assert all("trigger" in one for one in made["triggers"])
    for text in (one for one in _inside(made) if isinstance(one, str)):
        assert text.count("{{") == text.count("}}")
        assert text.count("{%") == text.count("%}")


def test_the_commands_of_the_blueprints_are_understood() -> None:
    assert len(BLUEPRINTS) == 2
    found = re.findall(r"'(\{\"do\".*\})'", "\n".join(path.read_text() for path in BLUEPRINTS))
    assert len(found) == 2
    for text in found:
        ask(text.replace("{{ id }}", "a7f3c1d2e4").encode())
