"""What became of messages, in `status` and `check`: from a deliver.db that the real writer wrote."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from camguard import check, cli, store
from camguard.config import Channel, Paths
from camguard.errors import StoreError
from camguard.review import deliveries
from camguard.store.delivery import ChannelState, Parcel, Ping
from camguard.store.outgoing import Deliveries

ZONE = "Europe/Berlin"
NOW = 1_795_554_840.0  # 2026-11-24 22:14:00 in Berlin
HOUR_S = 3600.0
CONFIG = """
[home]
timezone = "Europe/Berlin"
[[notify]]
url_file = "/etc/camguard/secrets/ntfy.url"
[[notify]]
mqtt = "mqtts://broker.lan"
"""
NTFY, MQTT = Channel("ntfy", "apprise"), Channel("mqtt", "mqtt")


class House:
    """Paths with a configuration, a record and an outbox."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "c.toml", folder / "state", folder / "run")
        self.paths.runtime.mkdir()
        self.paths.config.write_text(CONFIG)
        store.Store.open(self.paths.database).close()
        self.outbox = Deliveries.open(self.paths.delivery)
        self.running = True
        self.flags = ["--config", str(self.paths.config), "--state-dir", str(self.paths.state)]
        self.flags += ["--runtime-dir", str(self.paths.runtime)]

    def close(self) -> None:
        """deliver ends."""
        if self.running:
            self.outbox.close()
        self.running = False

    def parcels(self, channel: str, status: str, count: int, born: float, error: str | None = None) -> None:
        first = 1000 * (1 + ["pending", "held", "failed"].index(status))
        body = {"id": "a", "severity": "critical"}
        self.outbox.save(
            Parcel(
                first + n,
                channel,
                "a",
                1,
                "open",
                body,
                born,
                born,
                True,
                status=status,
                error=error,  # type: ignore[arg-type]
                done_at=born if status == "failed" else None,
            )
            for n in range(count)
        )

    def words(self, now: float = NOW) -> dict[str, str]:
        return {one.name: one.words(now, ZONE) for one in deliveries.deliveries(self.paths, (NTFY, MQTT))}

    def remarks(self, now: float = NOW) -> list[str]:
        return deliveries.remarks(self.paths, (NTFY, MQTT), now, ZONE)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


def test_a_channel_that_works_and_one_that_was_never_tried(house: House) -> None:
    house.outbox.save(channels=[ChannelState("ntfy", "apprise", last_sent=NOW - HOUR_S)])
    assert house.words() == {"ntfy": "took a message 21:14", "mqtt": "not tried yet"}
    assert house.remarks() == [], "nothing of it needs the owner"


def test_a_channel_that_is_not_reached_and_what_waits(house: House) -> None:
    trouble = ChannelState("ntfy", "apprise", NOW - 9 * HOUR_S, "nobody listens at that address. Is it running?", NOW)
    house.outbox.save(channels=[trouble])
    house.parcels("ntfy", "pending", 3, NOW - HOUR_S)
    words = "not reached since 22:14: nobody listens at that address. Is it running?; 3 messages waiting since 21:14"
    assert house.words()["ntfy"] == words
    assert house.remarks() == [f"! ntfy: {words}"]


def test_what_waits_for_a_moment_is_not_told_and_what_waits_long_is(house: House) -> None:
    house.outbox.save(channels=[ChannelState("ntfy", "apprise", NOW - 9 * HOUR_S)])
    house.parcels("ntfy", "pending", 1, NOW - 20)
    assert house.words()["ntfy"] == "took a message 13:14"
    assert house.words(NOW + HOUR_S)["ntfy"] == "took a message 13:14; 1 message waiting since 22:13"
    assert house.remarks() == []
    assert len(house.remarks(NOW + HOUR_S)) == 1


def test_what_was_given_up_is_told_with_the_reason(house: House) -> None:
    house.outbox.save(channels=[ChannelState("mqtt", "mqtt", NOW - 60)])
    house.parcels("mqtt", "failed", 2, NOW - 60, "\x1b[2Jthe address is gone for good (410). Put the new one there")
    words = "took a message 22:13; 2 messages given up ([2Jthe address is gone for good (410). Put the new one there)"
    assert house.words()["mqtt"] == words
    assert house.remarks() == [f"! mqtt: {words}"]


def test_a_channel_that_took_a_test(house: House) -> None:
    deliveries.note_test(house.paths, "ntfy", NOW - 60)
    house.outbox.save(channels=[ChannelState("mqtt", "mqtt", NOW - HOUR_S)])
    deliveries.note_test(house.paths, "mqtt", NOW - 2 * HOUR_S)
    assert house.words() == {"ntfy": "took a test 22:13", "mqtt": "took a message 21:14"}
    house.paths.delivery.with_name("tests.json").write_text('{"ntfy": "never"}')
    assert house.words()["ntfy"] == "not tried yet"


def test_what_is_held_is_no_fault(house: House) -> None:
    house.outbox.save(channels=[ChannelState("ntfy", "apprise", NOW - 60)])
    house.parcels("ntfy", "held", 2, NOW - 9 * HOUR_S)
    assert house.words()["ntfy"] == "took a message 22:13; 2 messages held until the quiet hours or a silence end"
    assert house.remarks() == []


def test_a_deliver_that_does_not_run_is_told(house: House) -> None:
    assert deliveries.runs(house.paths)
    house.close()
    assert not deliveries.runs(house.paths)
    assert house.remarks() == ["! Messages are not sent: camguard deliver does not run. Fix: camguard run"]
    assert deliveries.remarks(house.paths, (), NOW, ZONE) == [], "nobody wants messages here"


def test_no_outbox_yet(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "c.toml", tmp_path / "state", tmp_path / "run")
    assert [one.words(NOW, ZONE) for one in deliveries.deliveries(paths, (NTFY,))] == ["not tried yet"]
    assert len(deliveries.remarks(paths, (NTFY,), NOW, ZONE)) == 1


def test_an_outbox_that_is_damaged_is_one_line(house: House) -> None:
    house.close()
    house.paths.delivery.write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError):
        deliveries.deliveries(house.paths, (NTFY,))
    assert len(house.remarks()) == 1
    assert "damaged" in house.remarks()[0]


def test_a_watch_service_that_is_not_reached_is_told_and_one_that_is_is_not(house: House) -> None:
    def told() -> list[str]:
        return deliveries.remarks(house.paths, (), NOW, ZONE, pings=True)

    assert told() == [], "not tried yet"
    house.outbox.save(ping=Ping(NOW - HOUR_S, "\x1b[2Jno answer in time.", NOW - 60))
    assert told() == ["! watch service ([alive]): not reached since 22:13: [2Jno answer in time"]
    assert house.remarks() == [], "nobody asked for one"
    house.outbox.save(ping=Ping(NOW))
    assert told() == []
    house.close()
    assert told() == ["! Messages are not sent: camguard deliver does not run. Fix: camguard run"]


# ---- in the commands -------------------------------------------------------------------------------------------------


def test_status_reads_both_records_together(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    house.outbox.save(channels=[ChannelState("ntfy", "apprise", None, "no answer in time", now)])
    house.parcels("ntfy", "failed", 1, now, "no answer in time")
    cli.main(("status", *house.flags))
    out = capsys.readouterr().out
    assert "! ntfy: not reached since" in out
    assert "1 message given up (no answer in time)" in out
    cli.main(("status", *house.flags, "--json"))
    made = json.loads(capsys.readouterr().out)["channels"]
    assert [(one["name"], one["error"], one["failed"]) for one in made] == [
        ("ntfy", "no answer in time", 1),
        ("mqtt", None, 0),
    ]
    assert made[0]["reasons"][0]["reason"] == "no answer in time"


def answers(house: House, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, str]]:
    check.run(house.paths, as_json=True)
    return {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}


def test_check_says_whether_it_can_tell_you(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    now = time.time()
    found = answers(house, capsys)
    assert (found["ntfy"]["status"], found["ntfy"]["detail"]) == ("warning", "not tried yet")
    assert found["ntfy"]["fix"] == "sudo camguard notify --test ntfy"
    assert "desktop" not in found, "a machine without a screen has its channels"
    house.outbox.save(
        channels=[
            ChannelState("ntfy", "apprise", now - 60),
            ChannelState("mqtt", "mqtt", None, "no answer in time. Is it on?", now),
        ]
    )
    found = answers(house, capsys)
    assert found["ntfy"]["status"] == "ok"
    assert found["mqtt"]["status"] == "fault"
    assert found["mqtt"]["detail"].endswith("no answer in time")
    assert found["mqtt"]["fix"] == "Is it on?"
    house.close()
    found = answers(house, capsys)
    assert found["messages"]["status"] == "fault"
    assert found["messages"]["fix"] == "camguard run"


def test_status_and_check_say_how_the_watch_service_took_it(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    now, name = time.time(), "watch service ([alive])"
    assert name not in answers(house, capsys), "none is configured"
    house.paths.config.write_text(f'{CONFIG}[alive]\nping_url_file = "/etc/camguard/secrets/ping.url"\n')
    assert answers(house, capsys)[name]["status"] == "warning", "not tried yet"
    house.outbox.save(ping=Ping(now - 600, "the address is gone for good (404). Put the new one there", now))
    found = answers(house, capsys)[name]
    assert (found["status"], found["fix"]) == ("fault", "Put the new one there")
    assert found["detail"].endswith("the address is gone for good (404)")
    cli.main(("status", *house.flags))
    assert f"! {name}: not reached since " in capsys.readouterr().out
    cli.main(("status", *house.flags, "--json"))
    made = json.loads(capsys.readouterr().out)["watch_service"]
    assert (made["error"][:11], made["last_sent"] is None, made["error_since"] is None) == ("the address", False, False)
    house.outbox.save(ping=Ping(now))
    assert answers(house, capsys)[name]["status"] == "ok"
    cli.main(("status", *house.flags))
    assert name not in capsys.readouterr().out
    cli.main(("check", *house.flags))
    out = capsys.readouterr().out
    assert f"{name}  took a sign of life " in out
    assert "can reach you" not in out, "a watch service is told nothing of what is seen"
