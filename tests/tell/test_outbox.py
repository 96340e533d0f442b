"""The outbox over a real deliver.db; time is given by the test."""

import contextlib
import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard.config import Channel
from camguard.errors import SinkError, StoreError
from camguard.store.delivery import DeliveryReader, Parcel
from camguard.store.outgoing import Deliveries
from camguard.tell import queue as module
from camguard.tell.outbox import Outbox
from camguard.tell.queue import LIFE_S, Clocks, Silenced, backoff
from tests.tell.receivers import alert

NOON = 1_795_600_800.0 - 1_795_600_800.0 % 86400 + 43200  # UTC


class Post:
    """An outbox that can be killed and started again, and its clocks."""

    def __init__(self, folder: Path, *channels: Channel, hours: str | None = None) -> None:
        self.path, self.channels, self.hours = folder / "deliver.db", channels or (Channel("phone", "webhook"),), hours
        self.at, self.now = 1000.0, NOON
        self.seq = 0
        self.said: list[str] = []
        self.file: Deliveries | None = None
        self.start()

    def start(self) -> None:
        """As after kill -9: nothing of the old one is closed in order."""
        if self.file is not None:
            self.file.close()
        self.file = Deliveries.open(self.path)
        self.outbox = Outbox(
            self.file, self.channels, zone="UTC", quiet_hours=self.hours, say=self.said.append, chance=lambda: 0.5,
            at=self.at,
        )  # fmt: skip

    @property
    def clocks(self) -> Clocks:
        return Clocks(self.at, self.now)

    def wait(self, seconds: float) -> None:
        self.at += seconds
        self.now += seconds

    def take(self, *alerts: dict[str, Any]) -> None:
        rows = []
        for one in alerts:
            self.seq += 1
            rows.append((self.seq, one))
        self.outbox.take(rows, self.clocks, self.seq)

    def next(self, name: str = "phone") -> Parcel | None:
        return self.outbox.next(name, self.clocks)[0]

    def sent(self, name: str = "phone") -> list[tuple[str, str, bool]]:
        """Send all that can be sent now: (alert, state, sound)."""
        done = []
        while (parcel := self.next(name)) is not None:
            done.append((parcel.alert, parcel.state, parcel.sound))
            self.outbox.sent(parcel, None, self.clocks)
        return done

    def rows(self) -> list[tuple[Any, ...]]:
        with sqlite3.connect(self.path) as db:
            return db.execute("SELECT alert, state, status FROM outbox ORDER BY id").fetchall()


@pytest.fixture
def post(tmp_path: Path) -> Post:
    return Post(tmp_path)


def test_an_alert_and_the_place_in_the_record_are_one_commit(post: Post) -> None:
    post.take(alert("a"))
    with sqlite3.connect(post.path) as db:
        assert db.execute("SELECT value FROM meta WHERE key='cursor'").fetchone() == ("1",)
        assert db.execute("SELECT alert, status FROM outbox").fetchall() == [("a", "pending")]
    post.start()
    assert post.outbox.cursor == 1
    assert post.sent() == [("a", "open", True)]
    post.start()
    assert post.sent() == []
    assert post.rows() == [("a", "open", "sent")]


def test_killed_while_sending_it_is_sent_once_more(post: Post) -> None:
    post.take(alert("a"))
    assert post.next() is not None
    post.start()
    assert post.sent() == [("a", "open", True)]


def test_a_newer_state_takes_the_place_of_one_that_waits(post: Post) -> None:
    post.take(alert("a"), alert("a", "update"), alert("b"), alert("a", "closed"))
    assert post.sent() == [("b", "open", True), ("a", "closed", True)]  # what was to be heard is heard
    assert post.rows()[:2] == [("a", "open", "superseded"), ("a", "update", "superseded")]


def test_open_update_close_sound_once(post: Post) -> None:
    heard = []
    for state in ("open", "update", "closed"):
        post.take(alert("a", state))
        heard += post.sent()
    assert heard == [("a", "open", True), ("a", "update", False), ("a", "closed", False)]


def test_apprise_hears_of_openings_and_ends_only(tmp_path: Path) -> None:
    post = Post(tmp_path, Channel("phone", "apprise"))
    heard = []
    for state in ("open", "update", "update", "closed"):
        post.take(alert("a", state))
        heard += post.sent()
    assert heard == [("a", "open", True), ("a", "closed", False)]


def test_a_state_that_comes_while_the_former_is_sent_waits_its_turn(post: Post) -> None:
    post.take(alert("a"))
    parcel = post.next()
    assert parcel is not None
    post.take(alert("a", "closed"))
    post.outbox.sent(parcel, None, post.clocks)
    assert post.sent() == [("a", "closed", False)]


def test_one_that_fails_while_a_newer_state_waits_is_overtaken(post: Post) -> None:
    post.take(alert("a"))
    parcel = post.next()
    assert parcel is not None
    post.take(alert("a", "closed"))
    post.outbox.failed(parcel, SinkError("no"), post.clocks)
    assert post.sent() == [("a", "closed", True)]


def test_information_that_came_and_went_is_told_once_without_sound(tmp_path: Path) -> None:
    post = Post(tmp_path, Channel("phone", "apprise", severity="info"))
    post.take(alert("a", "open", "info"), alert("a", "closed", "info"))
    assert post.sent() == [("a", "closed", False)]


def test_critical_goes_first(post: Post) -> None:
    post.take(alert("w", severity="warning"), alert("c", severity="critical"))
    assert [one[0] for one in post.sent()] == ["c", "w"]


def test_the_remote_id_is_kept_for_replacing(post: Post) -> None:
    post.take(alert("a"))
    parcel = post.next()
    assert parcel is not None
    post.outbox.sent(parcel, "remote-7", post.clocks)
    post.start()
    post.take(alert("a", "update"))
    update = post.next()
    assert update is not None
    assert post.outbox.remote_id(update) == "remote-7"


# ---- trying again ----


def test_retries_grow_from_5_s_to_1_h_with_jitter(post: Post) -> None:
    post.take(alert("a"))
    waits = []
    for _ in range(14):
        parcel = post.next()
        assert parcel is not None
        post.outbox.failed(parcel, SinkError("broken"), post.clocks)
        until = post.outbox.next("phone", post.clocks)[1]
        began = post.at
        while post.next() is None:
            post.outbox.queues["phone"]._sending = None
            post.wait(1.0)
        post.outbox.queues["phone"]._sending = None
        waits.append(post.at - began)
        assert until <= 30.0
    assert waits[:4] == [5, 10, 20, 40]
    assert waits[-1] == 3600
    assert [backoff(3, None, chance) for chance in (0.0, 1.0)] == pytest.approx([16.0, 24.0])
    assert [backoff(1, 1e9, 0.5), backoff(50, None, 1.0), backoff(1, None, 0.0)] == [3600, 3600, 5]


def test_retry_after_is_honoured(post: Post) -> None:
    post.take(alert("a"))
    parcel = post.next()
    assert parcel is not None
    post.outbox.failed(parcel, SinkError("too many", after_s=300), post.clocks)
    post.wait(299)
    assert post.next() is None
    post.wait(2)
    assert post.next() is not None


def test_permanent_errors_are_not_tried_again_and_shown(post: Post) -> None:
    post.take(alert("a"))
    parcel = post.next()
    assert parcel is not None
    post.outbox.failed(parcel, SinkError("there is nothing at that address (404)", permanent=True), post.clocks)
    post.wait(7200)
    assert post.next() is None
    (state,) = DeliveryReader(post.path).channels()
    assert (state.failed, state.waiting) == (1, 0)
    assert state.reasons == ((NOON, "there is nothing at that address (404)"),)
    assert state.error == "there is nothing at that address (404)"


def test_after_72_hours_of_trying_it_is_given_up_and_shown(post: Post) -> None:
    post.take(alert("a"))
    tried_s = 0.0
    began = post.at
    while post.outbox.queues["phone"].waiting:
        parcel = post.next()
        if parcel is None:
            post.wait(600)
            continue
        post.outbox.failed(parcel, SinkError("nobody listens"), post.clocks)
        tried_s = post.at - began
    assert LIFE_S <= tried_s < LIFE_S + 2 * 3600
    (state,) = DeliveryReader(post.path).channels()
    assert state.failed == 1
    assert "72 hours" in state.reasons[0][1]


def test_a_clock_that_jumps_neither_loses_nor_hurries(post: Post) -> None:
    post.take(alert("a"))
    parcel = post.next()
    assert parcel is not None
    post.outbox.failed(parcel, SinkError("no"), post.clocks)
    post.now += 30 * 86400
    assert post.next() is None  # 5 s have not passed
    post.at += 6
    parcel = post.next()
    assert parcel is not None
    post.outbox.failed(parcel, SinkError("no"), post.clocks)
    post.now -= 60 * 86400
    post.at += 12
    assert post.sent() == [("a", "open", True)]


def test_the_time_in_which_the_machine_was_off_does_not_count(post: Post) -> None:
    post.take(alert("a"))
    parcel = post.next()
    assert parcel is not None
    post.outbox.failed(parcel, SinkError("no"), post.clocks)
    post.now += 10 * 86400
    post.at = 5.0  # another boot
    post.start()
    assert post.sent() == [("a", "open", True)]


def test_when_one_gets_through_the_others_need_not_wait(post: Post) -> None:
    post.take(alert("a"), alert("b"))
    for _ in range(2):
        parcel = post.next()
        assert parcel is not None
        post.outbox.failed(parcel, SinkError("no"), post.clocks)
    post.take(alert("c"))
    parcel = post.next()
    assert parcel is not None
    assert parcel.alert == "c"
    post.outbox.sent(parcel, None, post.clocks)
    assert [one[0] for one in post.sent()] == ["a", "b"]


# ---- hours and silence ----


def test_quiet_hours_hold_back_warnings_and_never_criticals(tmp_path: Path) -> None:
    post = Post(tmp_path, hours="23:00-07:00")
    post.now = NOON + 11.5 * 3600  # 23:30
    post.take(alert("w", severity="warning"), alert("c", severity="critical"))
    assert post.sent() == [("c", "open", True)]
    assert DeliveryReader(post.path).channels()[0].held == 1
    post.start()
    post.take(alert("w", "closed", "warning"))
    assert post.sent() == []
    post.wait(7.6 * 3600)
    assert post.sent() == [("w", "closed", True)]


def test_a_channel_has_its_own_hours(tmp_path: Path) -> None:
    post = Post(tmp_path, Channel("phone", "webhook", when="07:00-11:00"), Channel("other", "webhook"))
    post.take(alert("w", severity="warning"))
    assert post.sent() == []
    assert post.sent("other") == [("w", "open", True)]
    post.wait(19.5 * 3600)
    assert post.sent() == [("w", "open", True)]


def test_a_silenced_camera_says_nothing_but_what_is_critical_and_new(post: Post) -> None:
    post.take(alert("a"))
    post.sent()
    post.outbox.silenced = Silenced({"porch": post.now + 3600})
    post.take(
        alert("a", count=2), alert("w", severity="warning"), alert("n", severity="warning", camera="nursery"),
        alert("stranger", peer={"ip": "203.0.113.9"}),
    )  # fmt: skip
    assert [one[0] for one in post.sent()] == ["stranger", "n"]
    post.take(alert("w", "closed", "warning"))
    assert post.sent() == []
    post.start()
    post.wait(3601)
    assert post.sent() == [("a", "open", True), ("w", "closed", False)]


def test_a_silence_holds_no_critical_alert_that_was_not_told_as_critical(post: Post) -> None:
    """Whoever was told of before: who tried passwords, a device of the home, the same stranger hours ago."""
    post.take(alert("tried", severity="warning"), alert("likely", severity="warning"), alert("before"))
    post.sent()
    post.wait(3 * 3600)
    post.outbox.silenced = Silenced({None: post.now + 86400})
    post.take(alert("watches"), alert("privacy"), alert("likely", "open"))
    assert sorted(one[0] for one in post.sent()) == ["likely", "privacy", "watches"]
    post.take(alert("watches", "open", count=2), alert("likely", "open", count=2))
    assert post.sent() == []
    silenced = post.outbox.silenced
    post.start()
    post.outbox.silenced = silenced
    assert post.sent() == [], "what was told is known after a restart"


@pytest.mark.parametrize(
    "wrong", [{"severity": None}, {"peer": "text"}, {"id": None}, {"state": 7}, {"camera": []}, {"title": None}]
)
def test_an_alert_of_a_wrong_shape_takes_no_other_with_it(post: Post, wrong: dict[str, Any]) -> None:
    post.take(alert("bad") | wrong, alert("fine", peer={"ip": "203.0.113.9"}))
    assert "fine" in [one[0] for one in post.sent()]
    assert post.outbox.queues["phone"].waiting == {}
    post.start()
    assert post.sent() == []


def test_an_alert_that_lacks_what_it_needs_is_given_up_in_plain_words(post: Post) -> None:
    for key in ("id", "state", "severity", "peer", "camera", "type", "title"):
        body = alert(f"no-{key}")
        del body[key]
        post.take(body, alert(f"after-{key}", peer={"ip": "203.0.113.9"}, camera=key))
        assert f"after-{key}" in [one[0] for one in post.sent()]
    assert post.outbox.queues["phone"].waiting == {}
    assert post.file is not None
    (state,) = DeliveryReader(post.path).channels()
    assert state.failed >= 3
    assert state.error is None
    assert {why for _, why in state.reasons} == {module.DAMAGED}


def test_what_was_stored_damaged_is_given_up(post: Post) -> None:
    post.take(alert("bad"), alert("fine", peer={"ip": "203.0.113.9"}))
    with sqlite3.connect(post.path) as db:
        db.execute("""UPDATE outbox SET body='{"id": 4, "peer": "text"}' WHERE alert='bad'""")
        db.execute("INSERT OR REPLACE INTO meta VALUES ('quiet:phone', '{\"cameras\": {\"porch\": 7}}')")
    post.start()
    assert [one[0] for one in post.sent()] == ["fine"]
    assert ("bad", "open", "failed") in post.rows()


def test_what_may_only_be_starting_is_tried_for_ten_minutes(post: Post) -> None:
    post.take(alert("a"))
    waited = 0.0
    for _ in range(200):
        parcel, wait_s = post.outbox.next("phone", post.clocks)
        if parcel is not None:
            post.outbox.failed(parcel, SinkError("nothing there", permanent=True, starting=True), post.clocks)
        elif post.outbox.queues["phone"].waiting:
            post.wait(wait_s)
            waited += wait_s
        else:
            break
    assert post.rows() == [("a", "open", "failed")]
    assert 600 <= waited <= 1300


def test_a_critical_alert_that_did_not_go_out_is_not_held_by_a_silence(post: Post) -> None:
    post.take(alert("a"))
    parcel, _ = post.outbox.next("phone", post.clocks)
    assert parcel is not None
    post.outbox.failed(parcel, SinkError("no answer in time"), post.clocks)
    post.outbox.silenced = Silenced({"porch": post.now + 3600})
    post.wait(60)
    assert [one[0] for one in post.sent()] == ["a"]


def test_strangers_who_are_counted_up_are_not_held_by_a_silence(post: Post) -> None:
    post.take(*(alert(f"a{n}", peer={"ip": f"203.0.113.{n}"}) for n in range(8)))
    before = len(post.sent())
    assert before >= 7
    post.outbox.silenced = Silenced({"porch": post.now + 3600})
    post.take(*(alert(f"b{n}", peer={"ip": f"198.51.100.{n}"}) for n in range(4)))
    parcel, _ = post.outbox.next("phone", post.clocks)
    assert parcel is not None
    post.outbox.failed(parcel, SinkError("no answer in time"), post.clocks)
    post.wait(60)
    assert post.sent()


def test_silence_for_every_camera(post: Post) -> None:
    post.outbox.silenced = Silenced({None: post.now + 3600})
    post.take(alert("w", severity="warning"))
    assert post.sent() == []


def test_silence_for_one_alert(post: Post) -> None:
    post.outbox.silenced = Silenced(alerts={"w": post.now + 3600})
    post.take(alert("w", severity="warning"), alert("v", severity="warning"))
    assert [one[0] for one in post.sent()] == ["v"]


# ---- many ----


def test_ten_thousand_findings_are_a_few_messages(tmp_path: Path) -> None:
    post = Post(tmp_path, *(Channel(f"c{n}", "webhook") for n in range(10)))
    for portion in range(20):
        post.take(
            *(
                alert(f"{portion}-{n}", severity="critical" if n % 2 else "warning", peer={"ip": f"10.{portion}.{n}"})
                for n in range(500)
            )
        )
        assert all(len(queue.waiting) <= module.QUEUE_MAX for queue in post.outbox.queues.values())
    heard = post.sent("c0")
    assert len(heard) <= 6 + 6 + 2  # the first criticals, six warnings, the crowd as it was and as it is
    post.sent("c1")
    post.wait(3601)
    (digest,) = post.sent("c0")
    counted = json.loads(json.dumps(post.outbox.queues["c1"].rules.kept()))["cameras"]["porch"]
    assert counted["more"]["count"] == 5000 - 6
    assert counted["crowd"]["count"] == 5000
    assert post.path.stat().st_size < 4_000_000
    assert digest[2]


def test_a_queue_that_cannot_be_emptied_is_bounded_and_counted(post: Post) -> None:
    post.outbox.silenced = Silenced({None: post.now + 600})
    post.take(*(alert(f"w{n}", severity="warning", camera=f"cam{n}") for n in range(module.QUEUE_MAX + 50)))
    assert len(post.outbox.queues["phone"].waiting) == module.QUEUE_MAX
    post.wait(601)
    heard = post.sent()
    assert len(heard) == module.QUEUE_MAX + 50  # fifty digests of one, each for its camera


# ---- channels come and go ----


def test_a_new_channel_hears_of_what_is_going_on(post: Post) -> None:
    post.take(alert("old"))
    post.sent()
    post.channels = (*post.channels, Channel("new", "webhook"))
    post.start()
    assert post.outbox.new_channels == ["new"]
    post.outbox.take([], post.clocks, 1, [alert("old", "update")])
    assert post.sent("new") == [("old", "open", True)]
    assert post.sent() == []
    post.start()
    assert post.outbox.new_channels == []


def test_what_waits_for_a_channel_that_is_no_more_is_given_up(post: Post) -> None:
    post.take(alert("a"))
    post.channels = (Channel("other", "webhook"),)
    post.start()
    post.outbox.retain(post.now)
    assert post.rows() == [("a", "open", "superseded")]
    assert [one.name for one in DeliveryReader(post.path).channels()] == []


# ---- deliver's own alerts ----


def test_own_alerts_go_the_same_way_and_outlive_a_restart(post: Post) -> None:
    own = alert("blind", severity="warning", type="guard-blind", camera="*", peer=None)
    post.outbox.raise_own(own, post.clocks)
    post.start()
    assert post.outbox.own_open() == [own]
    assert post.sent() == [("blind", "open", True)]
    post.outbox.raise_own(own | {"state": "closed"}, post.clocks)
    assert post.outbox.own_open() == []
    assert post.sent() == [("blind", "closed", False)]
    assert [one["state"] for one in DeliveryReader(post.path).own()] == ["open", "closed"]


def test_the_weekly_report_goes_where_it_is_wanted(tmp_path: Path) -> None:
    post = Post(tmp_path, Channel("yes", "apprise", severity="critical"), Channel("no", "apprise", weekly=False))
    post.outbox.raise_own(alert("week", severity="info", type="weekly", camera=None, peer=None), post.clocks)
    assert post.sent("yes") == [("week", "open", False)]
    assert post.sent("no") == []


# ---- the disk ----


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], check=False, capture_output=True
    )
    if made.returncode:
        pytest.skip("a small file system can only be made by root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.lab
def test_a_full_disk_holds_up_no_alert_and_is_written_when_there_is_room(small_disk: Path) -> None:
    post = Post(small_disk)
    filler = small_disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 1024)
    big = alert("a", evidence=["x" * 60_000] * 8)
    post.take(big)
    assert any("no room" in words for words in post.said)
    assert post.sent() == [("a", "open", True)]
    post.take(alert("b", evidence=["x" * 60_000]))
    assert post.next() is not None
    filler.unlink()
    post.outbox.flush()
    assert post.said[-1] == "the outbox is written again."
    post.start()
    assert post.outbox.cursor == 2
    assert post.sent() == [("b", "open", True)]


def test_a_damaged_file_is_put_aside_at_start(post: Post) -> None:
    post.take(*(alert(f"a{n}", camera=f"c{n}") for n in range(100)))
    assert post.file is not None
    post.file.close()
    raw = bytearray(post.path.read_bytes())
    raw[5000:9000] = b"\xff" * 4000
    post.path.write_bytes(raw)
    post.start()
    assert any("damaged" in words for words in post.said)
    assert list(post.path.parent.glob("deliver.db.damaged-*"))
    assert post.outbox.cursor is None
    post.take(alert("b"))
    assert post.sent() == [("b", "open", True)]


def test_a_removed_file_is_written_again(post: Post) -> None:
    post.take(alert("a"))
    for part in post.path.parent.glob("deliver.db*"):
        part.unlink()
    post.take(alert("b"))
    post.outbox.flush()
    post.start()
    assert sorted(one[0] for one in post.sent()) == ["a", "b"]


def test_two_cannot_write_one_file(post: Post) -> None:
    with pytest.raises(StoreError, match="another camguard deliver"):
        Deliveries.open(post.path)


def test_what_is_said_to_a_channel_goes_by_its_detail(tmp_path: Path) -> None:
    post = Post(tmp_path, Channel("d", "apprise", detail="discreet"), Channel("s", "apprise", detail="short"))
    post.take(alert("a1b2c3"))
    for name in ("d", "s"):
        parcel = post.next(name)
        assert parcel is not None
        said = post.outbox.message(parcel)
        assert "porch" not in said.title + said.body
        assert "[a1b2]" in said.body
