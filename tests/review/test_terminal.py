"""status, alerts, sessions over a real store and real live figures: what a homeowner reads, what a script reads."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from camguard import report
from camguard.config import Paths
from camguard.errors import ConfigError
from camguard.events import Alert, Decision, Exposure, Peer, Session
from camguard.review import history, terminal
from camguard.review.terminal import Asked
from camguard.store import Row, Store, write_now

NOW = 1_795_555_080.0  # Tue 24 Nov 2026 22:18 in Berlin
HOUR = 3600.0
DAY = 86_400.0
OVH = Peer("51.68.10.20", 4000, org="OVH", country="France")
NVR = Peer("192.168.1.9", 554, scope="lan", device="NVR")
CONFIG = """
[home]
timezone = "Europe/Berlin"
[[camera]]
name = "nursery"
mac = "02:00:00:00:00:01"
[[camera]]
name = "porch"
mac = "02:00:00:00:00:02"
[[camera]]
name = "garage"
mac = "02:00:00:00:00:03"
"""


def session(**changes: object) -> Session:
    known: dict[str, object] = {
        "id": "s1",
        "time": NOW - 240,
        "camera": "nursery",
        "state": "open",
        "peer": OVH,
        "transport": "tcp",
        "protocol": "rtsp",
        "initiator": "peer",
        "cls": "stream",
        "confidence": "certain",
        "started": NOW - 240,
        "ended": None,
        "bytes_up": 104_000_000,
        "bytes_down": 5,
        "rate_kbps": 900,
        "verdict": "unexpected",
        "reason": None,
    }
    return Session(**(known | changes))  # type: ignore[arg-type]


def alert(**changes: object) -> Alert:
    known: dict[str, object] = {
        "id": "a7f00001",
        "time": NOW - 240,
        "camera": "nursery",
        "type": "remote-stream",
        "severity": "critical",
        "confidence": "certain",
        "reason": "",
        "evidence": (),
        "peer": OVH,
        "session": "s1",
        "raised": NOW - 240,
        "started": NOW - 240,
        "count": 1,
        "state": "open",
    }
    return Alert(**(known | changes))  # type: ignore[arg-type]


@dataclass
class House:
    paths: Paths
    store: Store

    def write(self, *events: Session | Alert) -> None:
        for event in events:
            kind = "session" if isinstance(event, Session) else "alert"
            body = report.as_dict(event, "Europe/Berlin")
            self.store.write([Row(kind, event.time, event.camera, event.id, event.state, body)], durable=False)

    def live(self, *, sessions: tuple[Session, ...] = (), alerts: tuple[Alert, ...] = (), **changes: object) -> None:
        figures: dict[str, object] = {
            "version": "0",
            "pid": 1,
            "time": report.rfc3339(NOW),
            "since": report.rfc3339(NOW - 3 * DAY - 4 * HOUR),
            "source": "kernel ledger (exact)",
            "cost": None,
            "cameras": [
                {"name": "nursery", "sight": "both"},
                {"name": "porch", "sight": "both"},
                {"name": "garage", "sight": "nothing"},
            ],
            "sessions": [report.as_dict(one) for one in sessions],
            "alerts": [report.as_dict(one) for one in alerts],
            "problems": [],
        }
        write_now(self.paths.now, figures | changes)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    (tmp_path / "run").mkdir()
    (tmp_path / "c.toml").write_text(CONFIG)
    paths = Paths(tmp_path / "c.toml", tmp_path / "state", tmp_path / "run")
    made = House(paths, Store.open(paths.database))
    yield made
    made.store.close()


Out = pytest.CaptureFixture[str]


# ---- status ----------------------------------------------------------------------------------------------------------


def test_status_shows_who_watches_now(house: House, capsys: Out) -> None:
    blind = alert(id="b1", type="guard-blind", camera="garage", peer=None, severity="warning", started=NOW + 22 * 60)
    expected = session(
        id="s2", camera="porch", peer=NVR, state="closed", ended=NOW - HOUR, started=NOW - 2 * HOUR, verdict="expected"
    )
    house.write(session(), expected)
    house.live(sessions=(session(),), alerts=(alert(), blind))
    house.store.note_start(NOW - 2 * DAY)
    house.store.note_beat(NOW - DAY, ended=True)
    house.store.note_start(NOW - DAY + 480)
    house.store.note_beat(NOW)
    assert terminal.status(house.paths, now=NOW) == 0
    assert capsys.readouterr().out == (
        "camguard is watching 3 cameras since 21 Nov 18:18 (3 d 4 h, 1 gap in 7 days, 8 minutes)\n"
        "\n"
        "CAMERA   NOW                  VIEWER       SINCE  TODAY  SEEN\n"
        "nursery  WATCHED, unexpected  OVH, France  22:14      1  both ways\n"
        "porch    nobody                                       1  both ways\n"
        "garage   cannot see                        22:40      0  no traffic\n"
        "\n"
        "! 2 open alerts: camguard alerts\n"
        "! Not one packet is seen of garage: camguard check\n"
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "WATCHED, unexpected"),
        ({"confidence": "likely"}, "MAYBE WATCHED, unexpected"),
        ({"verdict": "expected"}, "watched, expected"),
        ({"verdict": "expected", "confidence": "likely"}, "maybe watched, expected"),
        ({"cls": "heartbeat"}, "nobody"),
        ({"cls": "unknown", "confidence": "unsure", "verdict": None}, "nobody"),
    ],
)
def test_status_words(house: House, capsys: Out, changes: dict[str, object], words: str) -> None:
    house.live(sessions=(session(**changes),))
    terminal.status(house.paths, now=NOW)
    line = capsys.readouterr().out.splitlines()[3]
    assert line.split("  ")[1].strip() == words


def test_status_counts_two_viewers_and_shows_the_unexpected_one(house: House, capsys: Out) -> None:
    house.live(sessions=(session(peer=NVR, verdict="expected", started=NOW - 900), session(id="s2")))
    terminal.status(house.paths, now=NOW)
    assert "WATCHED, unexpected  OVH, France +1" in capsys.readouterr().out


def test_status_says_that_the_guard_is_not_looking(house: House, capsys: Out) -> None:
    house.store.note_start(NOW - DAY)
    house.store.note_beat(NOW + 22 * 60)
    assert terminal.status(house.paths, now=NOW + 2 * HOUR) == 1
    out = capsys.readouterr().out
    assert out.startswith(f"camguard is not looking since 24 Nov 22:40. Fix: {terminal.start_words()}\n")
    assert "nursery  not looking" in out
    assert "nobody" not in out


def test_old_figures_are_not_believed(house: House, capsys: Out) -> None:
    house.live()
    text = house.paths.now.read_text()
    figures = json.loads(text)
    figures["boottime_s"] -= terminal.STALE_S + 1
    house.paths.now.write_text(json.dumps(figures))
    assert terminal.status(house.paths, now=NOW + 60) == 1
    assert capsys.readouterr().out.startswith("camguard is not looking since 22:18. ")
    house.paths.now.write_text(text.replace(figures["boot_id"], "another"))
    assert terminal.status(house.paths, now=NOW + 60) == 1
    house.paths.now.write_text("{")
    assert terminal.status(house.paths, now=NOW + 60) == 1


def test_status_where_nothing_was_ever_recorded(tmp_path: Path, capsys: Out) -> None:
    (tmp_path / "c.toml").write_text("")
    assert terminal.status(Paths(tmp_path / "c.toml", tmp_path / "no", tmp_path / "no")) == 1
    assert "camguard is not looking. Fix: " in capsys.readouterr().out


def test_status_quiet_is_an_exit_code(house: House, capsys: Out) -> None:
    house.live()
    assert terminal.status(house.paths, quiet=True) == 0
    house.live(alerts=(alert(severity="info"),))
    assert terminal.status(house.paths, quiet=True) == 0
    house.live(alerts=(alert(),))
    assert terminal.status(house.paths, quiet=True) == 1
    house.paths.now.unlink()
    assert terminal.status(house.paths, quiet=True) == 1
    assert capsys.readouterr() == ("", "")


def test_status_json_is_one_object(house: House, capsys: Out) -> None:
    house.live(sessions=(session(),))
    assert terminal.status(house.paths, Asked(as_json=True), now=NOW) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["looking"] is True
    assert made["sessions"][0]["camera"] == "nursery"
    house.paths.now.unlink()
    assert terminal.status(house.paths, Asked(as_json=True), now=NOW) == 1
    assert json.loads(capsys.readouterr().out)["looking"] is False


def test_status_of_one_camera_and_range(house: House, capsys: Out) -> None:
    house.write(session(camera="porch", state="closed", started=NOW - 3 * DAY, ended=NOW - 3 * DAY + 60))
    house.live(sessions=(session(),), alerts=(alert(),))
    terminal.status(house.paths, Asked(camera="porch", since="-7d"), now=NOW)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2:] == [
        "CAMERA  NOW     VIEWER  SINCE  VIEWED  SEEN",
        "porch   nobody                      1  both ways",
    ]
    assert terminal.status(house.paths, Asked(camera="porch"), quiet=True, now=NOW) == 0
    terminal.status(house.paths, Asked(camera="porch", as_json=True), now=NOW)
    made = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in made["cameras"]] == ["porch"]
    assert made["sessions"] == made["alerts"] == []
    with pytest.raises(ConfigError, match="no camera"):
        terminal.status(house.paths, Asked(camera="x"), now=NOW)
    terminal.status(house.paths, Asked(limit=1), now=NOW)
    assert "porch" not in capsys.readouterr().out


def test_status_tells_problems_and_what_the_source_cannot_do(house: House, capsys: Out) -> None:
    house.live(cost="Some packets may be missed.", problems=["eth1 is gone\x1b[31m"])
    terminal.status(house.paths, now=NOW)
    out = capsys.readouterr().out
    assert "! Some packets may be missed.\n" in out
    assert "! eth1 is gone [31m\n" in out


def test_status_says_what_is_silenced_until_when_and_by_whom(house: House, capsys: Out) -> None:
    house.live()
    now = time.time()
    for number, (who, camera) in enumerate([("mqtt, home", "porch"), ("anna\x1b[2J", None)], 1):
        made = Decision(number, now, f"{number:08x}", who, "silence", camera=camera, until=now + 3600)
        house.store.write([Row("decision", now, camera, None, None, report.as_dict(made))], durable=True)
    terminal.status(house.paths, now=now)
    until = report.when(now + 3600, now, "Europe/Berlin")
    lines = capsys.readouterr().out.splitlines()
    assert f"! porch: silenced until {until} (mqtt, home)" in lines
    assert f"! Every camera: silenced until {until} (anna [2J)" in lines
    assert not any(line.startswith("! nursery") for line in lines)
    gone = Decision(3, now, "00000003", "mqtt, home", "silence", camera="porch", until=now)
    house.store.write([Row("decision", now, "porch", None, None, report.as_dict(gone))], durable=True)
    terminal.status(house.paths, now=now)
    assert "porch: silenced" not in capsys.readouterr().out


def test_status_says_which_permission_ends_soon(house: House, capsys: Out) -> None:
    house.live()
    now = time.time()

    def decide(number: int, days: float | None, what: str = "allow", **more: object) -> None:
        until = None if days is None else now + days * DAY
        known = {"camera": "nursery", "alert": "a1", "mode": "for", "peer": OVH} | more
        made = Decision(number, now, f"{number:08x}", "terminal, bob", what, until=until, **known)  # type: ignore[arg-type]
        house.store.write([Row("decision", now, "nursery", None, None, report.as_dict(made))], durable=True)

    decide(1, 3.1)
    decide(2, None, mode="always")
    decide(3, 0.5, "watching", mode=None, peer=None)
    terminal.status(house.paths, now=now)
    assert "Ends soon" not in capsys.readouterr().out
    decide(4, 2.9)
    until = report.when(now + 2.9 * DAY, now, "Europe/Berlin")
    said = f"Ends soon: nursery may be viewed by OVH, France until {until} (terminal, bob)"
    terminal.status(house.paths, now=now)
    assert f"{said}: camguard allow --list" in capsys.readouterr().out.splitlines()
    decide(5, 2.95)
    terminal.status(house.paths, now=now)
    assert f"{said}, and 1 more: camguard allow --list" in capsys.readouterr().out.splitlines()


def test_status_and_log_say_what_stands_open(house: House, capsys: Out) -> None:
    one = Exposure("e1", NOW - HOUR, "porch", "open", "upnp-mapping", 8554, 554, "tcp", None, NOW + HOUR)
    for event in (one, replace(one, id="e2"), replace(one, id="e2", state="closed")):
        body = report.as_dict(event, "Europe/Berlin")
        house.store.write([Row("exposure", event.time, event.camera, event.id, event.state, body)], durable=False)
    terminal.status(house.paths, now=NOW)
    shown = capsys.readouterr().out
    assert shown.count("the router lets the internet in") == 1
    assert (
        "! porch, since 21:18: the router lets the internet in on port 8554 (video) (to 554 of the camera), until 23:18"
        in shown
    )
    terminal.status(house.paths, Asked(camera="nursery"), now=NOW)
    assert "the router lets" not in capsys.readouterr().out
    terminal.status(house.paths, Asked(as_json=True), now=NOW)
    assert [made["id"] for made in json.loads(capsys.readouterr().out)["exposures"]] == ["e1"]
    history.log(house.paths, Asked(), now=NOW)
    shown = " ".join(capsys.readouterr().out.split())
    assert "open: the router lets the internet in" in shown
    assert "closed: the router lets the internet in" in shown


def test_status_with_a_configuration_that_cannot_be_read(house: House, capsys: Out) -> None:
    house.paths.config.write_text('[[camera]]\nname = "nursery"\nmak = "02:00:00:00:00:01"\n')
    house.live()
    assert terminal.status(house.paths, now=NOW) == 0
    wrong = f'{house.paths.config}: camera[1].mak: unknown key. Did you mean "mac"?'
    out = capsys.readouterr().out
    assert out.splitlines()[1] == wrong
    assert "\nnursery  nobody" in out
    house.paths.now.unlink()
    assert terminal.status(house.paths, now=NOW) == 1
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"camguard is not looking. Fix: correct {house.paths.config}, then: {terminal.start_words()}",
        wrong,
    ], "and not: no camera is configured"


def test_a_camera_that_was_just_added_is_not_heard_yet(house: House, capsys: Out) -> None:
    def shown(**camera: object) -> tuple[str, str]:
        house.live(cameras=[{"name": "nursery", "sight": "nothing", "last_time": None} | camera])
        assert terminal.status(house.paths, now=NOW) == 0
        out = capsys.readouterr().out
        return out.splitlines()[3], "yes" if "Not one packet is seen of nursery" in out else "no"

    line, told = shown(since=report.rfc3339(NOW - 5))
    assert (line.split("  ")[1], told) == ("not heard yet", "no")
    line, told = shown(since=report.rfc3339(NOW - 200))
    assert (line.split("  ")[1], told) == ("cannot see", "yes")
    line, told = shown(since=report.rfc3339(NOW - 5), last_time=report.rfc3339(NOW - 300))
    assert (line.split("  ")[1], told) == ("cannot see", "yes")
    house.live(cameras=[])
    terminal.status(house.paths, now=NOW)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("camguard is watching 3 cameras "), "as many as are shown"
    assert "nursery  not looked at yet" in lines[3]


# ---- alerts and sessions ---------------------------------------------------------------------------------------------


def test_alerts_table(house: House, capsys: Out) -> None:
    ended = NOW - 300
    house.write(
        alert(
            id="a7e00000",
            type="lan-stream",
            severity="warning",
            peer=NVR,
            state="closed",
            time=ended,
            ended=ended,
            raised=NOW - 660,
            started=NOW - 660,
        ),
        alert(),
    )
    assert terminal.alerts(house.paths, Asked(since="today"), now=NOW) == 0
    assert capsys.readouterr().out == (
        "ID   WHEN   CAMERA   SEVERITY  WHAT                               LASTED  STATE\n"
        "a7f  22:14  nursery  critical  Somebody is watching: OVH, France  4 min   open\n"
        "a7e  22:07  nursery  warning   Somebody at home is watching: NVR  6 min   closed\n"
        "2 alerts since 24 Nov 00:00. It was you? camguard allow a7f --once\n"
    )


def test_sessions_table(house: House, capsys: Out) -> None:
    house.write(
        session(id="s0", camera="porch", peer=NVR, state="closed", ended=NOW - DAY + 60, started=NOW - DAY,
                verdict="expected", bytes_up=900_000, confidence="likely"),
        session(bytes_up=0),  # as it was told at its opening
    )  # fmt: skip
    house.live(sessions=(session(),))
    assert terminal.sessions(house.paths, Asked(), now=NOW) == 0
    assert capsys.readouterr().out == (
        "WHEN          CAMERA   WHAT        WITH         SURE     EXPECTED  LASTED       SENT\n"
        "22:14         nursery  live video  OVH, France  certain  NO        4 min, on  104 MB\n"
        "23 Nov 22:18  porch    live video  NVR          likely   yes       60 s       900 kB\n"
        "2 sessions since 17 Nov 22:18.\n"
    )


def test_what_goes_on_has_no_size_where_nobody_counts(house: House, capsys: Out) -> None:
    house.write(session(bytes_up=0))
    assert terminal.sessions(house.paths, Asked(), now=NOW) == 0
    assert capsys.readouterr().out.splitlines()[1].endswith("4 min, on     -")


def test_an_alert_with_pauses_has_no_one_length(house: House, capsys: Out) -> None:
    house.write(alert(state="closed", ended=NOW - 60, count=2))
    assert terminal.alerts(house.paths, Asked(), now=NOW) == 0
    assert "  2 times  closed" in capsys.readouterr().out


def test_camera_range_and_limit(house: House, capsys: Out) -> None:
    house.write(
        *(session(id=f"s{n}", started=NOW - n * HOUR, state="closed", ended=NOW - n * HOUR + 1) for n in range(5))
    )
    house.write(session(id="p", camera="porch", state="closed", ended=NOW))
    asked = Asked(camera="nursery", since="-150min", until="-30min", as_json=True)
    terminal.sessions(house.paths, asked, now=NOW)
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["s1", "s2"]
    terminal.sessions(house.paths, Asked(limit=2), now=NOW)
    assert capsys.readouterr().out.endswith("2 sessions since 17 Nov 22:18. There may be more: --limit 4\n")


def test_json_lines_are_the_events_of_the_contract(house: House, capsys: Out) -> None:
    house.write(alert())
    terminal.alerts(house.paths, Asked(as_json=True), now=NOW)
    assert capsys.readouterr().out == report.to_json(report.as_dict(alert(), "Europe/Berlin")) + "\n"


def test_an_empty_answer_names_the_range_and_how_long_the_guard_looked(house: House, capsys: Out) -> None:
    house.store.note_start(NOW - 2 * DAY)
    house.store.note_beat(NOW - 1.5 * DAY, ended=True)
    house.store.note_start(NOW - 1.5 * DAY + 480)
    house.store.note_beat(NOW)
    asked = Asked(since="yesterday", until="today")
    assert terminal.alerts(house.paths, asked, now=NOW) == 0
    assert capsys.readouterr().out == (
        "No alerts between 23 Nov 00:00 and 24 Nov 00:00. camguard looked 23 h 52 min of it.\n"
    )
    terminal.sessions(house.paths, Asked(since="-30d", until="-29d", camera="porch"), now=NOW)
    assert capsys.readouterr().out == (
        "No sessions of porch between 25 Oct 22:18 and 26 Oct 22:18. camguard did not look in that time.\n"
    )
    terminal.alerts(house.paths, Asked(since="today", as_json=True), now=NOW)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("No alerts since 24 Nov 00:00. camguard looked 22 h 18 min of it.")


def test_an_unknown_camera_gets_the_nearest_name(house: House) -> None:
    with pytest.raises(ConfigError, match=r'no camera "nurserry"\. Did you mean "nursery"\?'):
        terminal.alerts(house.paths, Asked(camera="nurserry"), now=NOW)


def test_a_camera_that_was_removed_is_still_found_in_the_record(house: House, capsys: Out) -> None:
    house.write(alert(camera="barn"))
    terminal.alerts(house.paths, Asked(camera="barn"), now=NOW)
    assert "barn" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [("lately", None, "is no time"), (None, "x", "is no time"), ("today", "yesterday", "empty")],
)
def test_a_range_that_is_none(house: House, since: str | None, until: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        terminal.sessions(house.paths, Asked(since, until), now=NOW)


def test_hostile_names_do_not_reach_the_terminal(house: House, capsys: Out) -> None:
    bad = Peer("51.68.10.20", 1, org="\x1b]0;x\x07[red]\u202eevil\n\n" + "A" * 9000)
    house.write(alert(peer=bad), session(peer=bad))
    for show in (terminal.alerts, terminal.sessions):
        show(house.paths, Asked(), now=NOW)
        out = capsys.readouterr().out
        assert all(line.isprintable() for line in out.splitlines())
        assert len(out.splitlines()) == 3
        assert max(map(len, out.splitlines())) < 200


def test_ids_are_as_short_as_can_be() -> None:
    assert terminal.short_ids(["abcd1", "abcd2", "xyzzy"]) == {"abcd1": "abcd1", "abcd2": "abcd2", "xyzzy": "xyzzy"}
    assert terminal.short_ids(["abc1", "xyz1"]) == {"abc1": "abc", "xyz1": "xyz"}
    assert terminal.short_ids([]) == {}
