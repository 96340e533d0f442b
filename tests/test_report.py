"""Every sentence about an event: lengths, forbidden words, hostile names, times, and the exact JSON of the contract."""

import itertools
import json
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard import report
from camguard.events import Alert, Fact, Health, Notice, Peer, Session

ZONE = "Europe/Berlin"
RAISED = 1_795_554_840.25  # 2026-11-24 22:14:00.250 in Berlin
OVH = Peer("51.68.10.20", 40000, org="OVH", country="France", asn=16276)
FORBIDDEN = re.compile(r"\b(flows?|streams?|endpoints?|peers?|anomal(y|ies)|intru(der|sion)s?)\b", re.IGNORECASE)
HOSTILE = "<b>x</b>\x1b[31m\u202egnp.exe\u2066\n\r\t\x00\x9b & " + "A" * 10_000
PEERS = (
    None,
    OVH,
    Peer("51.68.10.20", 1, country="France"),
    Peer("51.68.10.20", 1, name="cam.example.net"),
    Peer("51.68.10.20", 1),
    Peer("2001:db8:1:2::3", 1, org="Hetzner Online GmbH and a very long name of a company", country="Germany"),
    Peer("10.8.0.2", 1),
    Peer("192.168.1.77", 1, scope="lan"),
    Peer("192.168.1.20", 1, scope="lan", device="Anna's phone"),
    Peer("192.168.1.1", 1, scope="gateway"),
    Peer("239.1.2.3", 1, scope="multicast"),
    Peer(HOSTILE, 1, name=HOSTILE, org=HOSTILE, country=HOSTILE),
    Peer(HOSTILE, 1, scope="lan", name=HOSTILE, device=HOSTILE),
)
NAMES = ("Nursery", "a", "The camera above the garage door", HOSTILE, "", "Küche 厨房", "x" * 64)
DETAILS = (
    {},
    {"class": "playback"},
    {"class": "talk"},
    {"through_cloud": "Reolink"},
    {"through_cloud": HOSTILE, "class": "stream"},
    *({"how": how} for how in ("nothing", "broadcast-only", "up-only", "down-only", "interface-gone", "new-word")),
    {"how": "interface-gone", "interface": HOSTILE},
    {"user": HOSTILE, "outcome": "failure", "wrong": 10**9, "wrong_s": 1e9, "networks": 4096},
    {"user": "admin", "outcome": "success", "wrong": 43, "wrong_s": 360.0, "networks": 1},
    {"what": "upnp-mapping", "external_port": 65535, "internal_port": 65535, "transport": "udp", "only_ip": HOSTILE},
    {"what": "pcp-mapping", "external_port": 0, "internal_port": 0, "transport": "tcp", "for_ip": HOSTILE},
    {"what": "inbound-port", "external_port": None, "internal_port": 8554, "transport": "tcp", "closed_by": "quiet"},
    {"what": "new-service", "external_port": None, "internal_port": 23, "transport": "tcp", "closed_by": HOSTILE},
)
TYPES = (
    "remote-stream",
    "lan-stream",
    "privacy",
    "guard-blind",
    "remote-login",
    "exposed-port",
    "brute-force",
    "lan-login",
    "stale-password",
    "default-password",
    "later",
)


def alert(**changes: object) -> Alert:
    known: dict[str, object] = {
        "id": "a7f0c1",
        "time": RAISED,
        "camera": "Nursery",
        "type": "remote-stream",
        "severity": "critical",
        "confidence": "certain",
        "reason": report.USUAL_REASON,
        "evidence": ("RTSP PLAY answered 200",),
        "peer": OVH,
        "session": "s1",
        "raised": RAISED,
        "started": RAISED,
        "count": 1,
        "state": "open",
    }
    return Alert(**(known | changes))  # type: ignore[arg-type]


def assert_fit(title: str, body: str) -> None:
    assert 0 < len(title) <= 60, title
    assert 0 < len(body) <= 200, body
    for text in (title, body):
        assert not [char for char in text if unicodedata.category(char)[0] == "C"], text
        assert not set("<>") & set(text), text
        assert not FORBIDDEN.search(text), text
        assert "  " not in text, text
        assert not re.search(r"\bNone\b(?!( has)? worked)", text), text


def test_words_of_every_combination_fit_and_are_plain() -> None:
    count = 0
    for kind, confidence, state, peer, detail in itertools.product(
        TYPES, ("certain", "likely", "unsure"), ("open", "update", "closed"), PEERS, DETAILS
    ):
        one = alert(type=kind, confidence=confidence, state=state, peer=peer, detail=detail, time=RAISED + 840, count=3)
        title, body = report.words(one, ZONE)
        assert_fit(title, body)
        assert body.endswith(("?", ".", "camguard check", "docs/safety.md", "camguard alerts", "--revoke 3")), body
        count += 1
    assert count == len(TYPES) * 3 * 3 * len(PEERS) * len(DETAILS)


def test_words_with_every_camera_name_length_and_reason_fit() -> None:
    reasons = ("", report.USUAL_REASON, "you expect nvr only mon-fri 22:00-06:30", HOSTILE)
    for name, seconds, reason, kind, state in itertools.product(
        NAMES, (0, 59, 840, 86_400 * 400), reasons, TYPES, ("open", "update", "closed")
    ):
        one = alert(
            camera=name,
            started=RAISED - seconds,
            ended=RAISED,
            reason=reason,
            type=kind,
            state=state,
            bytes_up=10**15,
            count=1234,
            confidence="likely",
        )
        assert_fit(*report.words(one, ZONE))


def test_forbidden_words_are_found_by_this_test() -> None:
    with pytest.raises(AssertionError):
        assert_fit("A stream of Nursery", "x")
    with pytest.raises(AssertionError):
        assert_fit("x", "y" * 201)


ROWS = [
    (
        alert(),
        "Somebody is watching: Nursery",
        "Since 22:14, live video is going to an address of OVH in France (51.68.x.x). It is none of your devices and"
        " nothing you expect. Was this you?",
    ),
    (
        alert(confidence="likely", severity="warning", detail={"through_cloud": "Reolink"}),
        "Your Nursery camera may be being watched",
        "Since 22:14, something that looks like video is going through the maker's cloud (Reolink). Only the app's"
        " own history can say who looks. Was this you?",
    ),
    (
        alert(state="update", time=RAISED + 720),
        "Still watching Nursery: 12 minutes",
        "Since 22:14, live video is going to an address of OVH in France (51.68.x.x). Was this you?",
    ),
    (
        alert(state="closed", time=RAISED + 845, ended=RAISED + 840, bytes_up=104_000_000),
        "Watching ended: Nursery, 14 minutes",
        "An address of OVH in France (51.68.x.x) received live video from 22:14 to 22:28 (104 MB)."
        " The record is kept. Not you? Safe next steps: docs/safety.md",
    ),
    (
        alert(state="update", time=RAISED + 14),
        "Somebody is watching: Nursery",
        "Since 22:14, live video is going to an address of OVH in France (51.68.x.x). It is none of your devices and"
        " nothing you expect. Was this you?",
    ),
    (
        alert(state="update", time=RAISED + 14, type="lan-stream", peer=Peer("192.168.1.77", 1, scope="lan")),
        "Somebody at home is watching: Nursery",
        "Since 22:14, live video is going to an unknown device in your home network (192.168.1.77)."
        " Name it if it is yours.",
    ),
    (
        alert(state="update", time=RAISED + 720, count=3),
        "Still watching Nursery (3rd time)",
        "Since 22:14, live video is going to an address of OVH in France (51.68.x.x). Was this you?",
    ),
    (
        alert(state="closed", time=RAISED + 845, ended=RAISED + 140, count=2, bytes_up=104_000_000),
        "Watching ended: Nursery, 2 times",
        "An address of OVH in France (51.68.x.x) received live video 2 times between 22:14 and 22:16 (104 MB)."
        " The record is kept. Not you? Safe next steps: docs/safety.md",
    ),
    (
        alert(peer=Peer("2001:db8::1", 1, scope="gateway")),
        "Somebody is watching: Nursery",
        "Since 22:14, live video is going through your router (2001:db8::1), which hides who gets it."
        " No rule of yours speaks of it. Was this you?",
    ),
    (
        alert(peer=Peer("192.168.1.1", 1, scope="gateway"), state="closed", ended=RAISED + 840),
        "Watching ended: Nursery, 14 minutes",
        "Somebody behind your router (192.168.1.1) received live video from 22:14 to 22:28 (0 bytes)."
        " The record is kept. Not you? Safe next steps: docs/safety.md",
    ),
    (
        alert(type="lan-stream", severity="warning", peer=Peer("192.168.1.77", 1, scope="lan")),
        "Somebody at home is watching: Nursery",
        "Since 22:14, live video is going to an unknown device in your home network (192.168.1.77)."
        " Name it if it is yours.",
    ),
    (
        alert(type="lan-stream", peer=Peer("192.168.1.9", 1, scope="lan", device="NVR"), confidence="likely"),
        "Somebody at home may be watching Nursery",
        "Since 22:14, something that looks like video is going to your device NVR. No rule of yours allows it."
        " Was this you?",
    ),
    (
        alert(confidence="unsure"),
        "Cannot tell if Nursery is being watched",
        "Since 22:14, much is going to an address of OVH in France (51.68.x.x); camguard cannot tell if it is video."
        " It is none of your devices and nothing you expect. Was this you?",
    ),
    (
        alert(type="privacy", reason="it is in its privacy hours (22:00-06:30)", count=2),
        "Watched against your wish: Nursery (2nd time)",
        "Since 22:14, live video is going to an address of OVH in France (51.68.x.x)."
        " It is in its privacy hours (22:00-06:30). Was this you?",
    ),
    (
        alert(type="guard-blind", peer=None, detail={"how": "nothing"}),
        "camguard cannot see Nursery any more",
        "No traffic seen since 22:14. Until this is fixed, no alert can come for this camera. Run: camguard check",
    ),
    (
        alert(type="guard-blind", peer=None, detail={"how": "up-only"}),
        "camguard sees only a part of Nursery",
        "Since 22:14 only what it sends is seen, not what it receives. Log-ins and commands to it will be missed."
        " Run: camguard check",
    ),
    (
        alert(type="guard-blind", peer=None, state="closed", time=RAISED + 720, ended=RAISED + 720),
        "camguard sees Nursery again",
        "From 22:14 to 22:26 (12 minutes) no alert could come for this camera. Now it is seen.",
    ),
    (
        alert(camera="*", type="guard-blind", peer=None, detail={"how": "interface-gone", "interface": "eth1"}),
        "camguard cannot see your cameras any more",
        "The network interface eth1 is gone since 22:14. Until this is fixed, no alert can come for any camera."
        " Run: camguard check",
    ),
]


@pytest.mark.parametrize(("one", "title", "body"), ROWS, ids=[row[1] for row in ROWS])
def test_the_words_of_the_usual_alerts(one: Alert, title: str, body: str) -> None:
    assert report.words(one, ZONE) == (title, body)


def test_the_first_forty_characters_name_the_matter_and_the_camera() -> None:
    for kind in ("remote-stream", "lan-stream", "guard-blind"):
        title, _ = report.words(alert(type=kind, camera="Nursery"), ZONE)
        assert "Nursery" in title[:40]


def test_a_day_is_named_when_it_is_not_today() -> None:
    _, body = report.words(alert(time=RAISED + 86_400, state="update"), ZONE)
    assert "Since 24 Nov 22:14" in body


def test_hours_are_those_of_the_home() -> None:
    assert "22:14" in report.words(alert(), ZONE)[1]
    assert "16:14" in report.words(alert(), "America/New_York")[1]


# ---- who -------------------------------------------------------------------------------------------------------------

WHO = [
    (OVH, "an address of OVH in France (51.68.x.x)", "OVH, France"),
    (
        Peer("85.17.1.2", org="LeaseWeb Netherlands", country="Netherlands"),
        "an address of LeaseWeb Netherlands (85.17.x.x)",
        "LeaseWeb Netherlands",
    ),
    (Peer("51.68.10.20", name="cam.example.net"), "cam.example.net (51.68.x.x)", "cam.example.net"),
    (Peer("51.68.10.20"), "an unknown address outside (51.68.x.x)", "51.68.10.20 (outside)"),
    (Peer("2a01:4f8::9", country="Germany"), "an address in Germany (2a01:4f8:x)", "Germany"),
    (Peer("10.8.0.2"), "somebody behind your router (10.8.0.2)", "10.8.0.2 (outside)"),
    (
        Peer("192.168.1.77", scope="lan"),
        "an unknown device in your home network (192.168.1.77)",
        "192.168.1.77 (at home)",
    ),
    (Peer("192.168.1.9", scope="lan", device="NVR"), "your device NVR", "NVR"),
    (Peer("192.168.1.1", scope="gateway"), "your router (192.168.1.1)", "192.168.1.1 (router)"),
    (None, "somebody", ""),
]


@pytest.mark.parametrize(("peer", "long", "short"), WHO)
def test_who(peer: Peer | None, long: str, short: str) -> None:
    assert report.who(peer) == long
    assert report.who_short(peer) == short


# ---- clean -----------------------------------------------------------------------------------------------------------


@given(st.text(max_size=300), st.integers(1, 60))
def test_clean_text_is_one_short_line_without_control(text: str, limit: int) -> None:
    made = report.clean(text, limit)
    assert len(made) <= limit
    assert not [char for char in made if unicodedata.category(char)[0] == "C" or char in "\n\r\u2028\u2029"]
    assert made == made.strip()
    assert report.clean(made, limit) == made


def test_clean_keeps_names_of_other_alphabets_and_drops_tricks() -> None:
    assert report.clean("Küche 厨房 كاميرا") == "Küche 厨房 كاميرا"
    assert report.clean("a\u202eb\x1b[2Jc\x07d\x7fe") == "ab [2Jc d e"
    assert report.clean("z" + "\u0301" * 40 + "!") == "z" + "\u0301" * report.MAX_MARKS + "!"
    assert len(report.clean("x" * 10_000, 40)) == 40


# ---- numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (89.4, "89 seconds"),
        (90, "2 minutes"),
        (720, "12 minutes"),
        (5400, "1 h 30 min"),
        (7200, "2 h"),
        (86_400 * 3 + 4 * 3600, "3 d 4 h"),
        (86_400, "1 d"),
        (-5, "0 seconds"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert report.duration(seconds) == words


def test_short_duration() -> None:
    assert [report.short_duration(seconds) for seconds in (1, 40, 720, 5400, 90_000)] == [
        "1 s",
        "40 s",
        "12 min",
        "1 h 30 min",
        "1 d 1 h",
    ]


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (999_999, "1.0 MB"), (104_000_000, "104 MB"), (1_240_000_000, "1.2 GB")],
)
def test_size(amount: int, words: str) -> None:
    assert report.size(amount) == words


def test_times_are_rfc3339_utc_with_milliseconds() -> None:
    assert report.rfc3339(RAISED) == "2026-11-24T21:14:00.250Z"
    assert report.rfc3339(1.9996) == "1970-01-01T00:00:02.000Z"
    assert report.rfc3339(None) is None
    assert report.seconds_of("2026-11-24T21:14:00.250Z") == RAISED


# ---- dicts: the fields of contract.md --------------------------------------------------------------------------------

SESSION = Session(
    id="s1",
    time=RAISED,
    camera="Nursery",
    state="open",
    peer=OVH,
    transport="tcp",
    protocol="rtsp",
    initiator=None,
    cls="stream",
    confidence="certain",
    started=RAISED,
    ended=None,
    bytes_up=1,
    bytes_down=2,
    rate_kbps=3,
    verdict=None,
    reason=None,
    evidence=("a", "b"),
)


def test_a_session_has_the_fields_of_the_contract() -> None:
    assert report.as_dict(SESSION) == {
        "kind": "session",
        "time": "2026-11-24T21:14:00.250Z",
        "camera": "Nursery",
        "id": "s1",
        "state": "open",
        "peer": {
            "ip": "51.68.10.20",
            "port": 40000,
            "name": None,
            "scope": "wan",
            "asn": 16276,
            "org": "OVH",
            "country": "France",
            "mac": None,
            "device": None,
        },
        "transport": "tcp",
        "protocol": "rtsp",
        "initiator": None,
        "class": "stream",
        "confidence": "certain",
        "started": "2026-11-24T21:14:00.250Z",
        "ended": None,
        "bytes_up": 1,
        "bytes_down": 2,
        "rate_kbps": 3,
        "verdict": None,
        "reason": None,
        "evidence": ["a", "b"],
    }


def test_an_alert_has_the_fields_of_the_contract() -> None:
    made = report.as_dict(alert(peer=None, session=None), ZONE)
    names = "kind time camera id type severity title body confidence reason evidence peer session raised started count"
    assert " ".join(made) == f"{names} state ended bytes_up detail"
    assert made["peer"] is None
    assert made["session"] is None
    assert made["raised"] == "2026-11-24T21:14:00.250Z"
    assert (made["title"], made["body"]) == report.words(alert(peer=None, session=None), ZONE)


def test_notice_health_and_fact() -> None:
    assert report.as_dict(Notice(RAISED, None, "gap", "did not look")) == {
        "kind": "notice",
        "time": "2026-11-24T21:14:00.250Z",
        "camera": None,
        "what": "gap",
        "detail": "did not look",
    }
    assert report.as_dict(Health(RAISED, "rss_mb", 31.5)) == {
        "kind": "health",
        "time": "2026-11-24T21:14:00.250Z",
        "camera": None,
        "what": "rss_mb",
        "value": 31.5,
        "detail": "",
    }
    fact = Fact(
        "dns", RAISED, ("192.168.1.4", 5000), ("192.168.1.1", 53), {"qname": "a.example", "answers": ("A 1.2.3.4",)}
    )
    assert report.as_dict(fact) == {
        "kind": "fact",
        "time": "2026-11-24T21:14:00.250Z",
        "camera": None,
        "what": "dns",
        "client": {"ip": "192.168.1.4", "port": 5000},
        "server": {"ip": "192.168.1.1", "port": 53},
        "detail": {"qname": "a.example", "answers": ["A 1.2.3.4"]},
    }
    assert report.fact_line(fact, ZONE) == (
        "24 Nov 22:14:00 dns 192.168.1.4:5000 -> 192.168.1.1:53 qname=a.example answers=A 1.2.3.4"
    )


def test_hostile_names_reach_neither_json_nor_lines() -> None:
    bad = Peer("51.68.10.20", 1, name=HOSTILE, org=HOSTILE)
    for event in (alert(peer=bad, camera=HOSTILE, evidence=(HOSTILE,)), Notice(RAISED, HOSTILE, HOSTILE, HOSTILE)):
        text = report.to_json(report.as_dict(event, ZONE))
        assert text.isprintable()
        assert json.loads(text)["time"] == "2026-11-24T21:14:00.250Z"
        assert report.line(event, ZONE).isprintable()
        assert len(report.line(event, ZONE)) < 400


def test_a_peer_comes_back_from_its_dict() -> None:
    assert report.peer_of(report.peer_dict(OVH)) == OVH
    assert report.peer_of(None) is None


def test_lines() -> None:
    assert report.line(SESSION, ZONE) == (
        "22:14:00 Nursery: live video with OVH, France (certain) since 22:14, 3 kbit/s"
    )
    assert report.line(replace(SESSION, rate_kbps=0), ZONE).endswith("(certain) since 22:14"), "nothing measured yet"
    for event, words in (
        (Notice(RAISED, None, "guard-start", "camguard began to look at eth0"), "camguard began to look at eth0"),
        (Notice(RAISED, "Nursery", "new-device", ""), "Nursery: new device"),
        (Health(RAISED, "budget-spent", 23.0, "23 packets were too many"), "23 packets were too many"),
        (Health(RAISED, "memory", 41.5, "MB"), "camguard uses 41.5 MB of memory"),
        (Health(RAISED, "cpu", 3.0, "percent of one core"), "camguard uses 3 percent of one processor core"),
        (Health(RAISED, "store", 2.5, "MB"), "the record takes 2.5 MB"),
        (Health(RAISED, "store", 1.0, "the record was damaged"), "the record was damaged"),
        (Health(RAISED, "odd-thing", 7.0), "odd thing: 7"),
    ):
        assert report.line(event, ZONE) == f"22:14:00 {words}"
    assert report.line(alert(), ZONE, dated=True).startswith(
        "24 Nov 22:14:00 critical: Somebody is watching: Nursery. "
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (alert(), "Somebody is watching: OVH, France"),
        (alert(confidence="likely"), "May be being watched: OVH, France"),
        (
            alert(type="lan-stream", peer=Peer("192.168.1.7", scope="lan")),
            "Somebody at home is watching: 192.168.1.7 (at home)",
        ),
        (alert(type="guard-blind", peer=None), "camguard cannot see it"),
        (alert(type="remote-login"), "Somebody logged in from outside: OVH, France"),
    ],
)
def test_the_matter_of_a_recorded_alert(one: Alert, words: str) -> None:
    assert report.matter(report.as_dict(one)) == words
