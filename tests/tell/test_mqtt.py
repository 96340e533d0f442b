"""mqtt.py and broker.py against a real mosquitto with TLS and password, heard and commanded by its own clients."""

import asyncio
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from camguard import report, store
from camguard.config import Channel, Config, Paths, Secret
from camguard.errors import SinkError
from camguard.events import Camera, Home
from camguard.tell import announce, broker
from camguard.tell import homeassistant as ha
from camguard.tell.mqtt import Mqtt
from camguard.tell.outbox import Letter
from tests.tell.ha import HomeAssistant
from tests.tell.mosquitto import MISSING, PASSWORD, USER, Broker, Listener
from tests.tell.test_homeassistant import HOSTILE, STRANGER, alert, figures, session

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (tests/run.sh installs them)"
)
NURSERY, PORCH = Camera("Nursery", "02:00:00:00:00:01"), Camera("Porch (front)", "02:00:00:00:00:02")
INFO = "camguard/nursery/watched/info"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    yield made
    made.stop()


@dataclass
class Bench:
    """One camguard and the broker; `said`: what it said for the owner."""

    server: Broker
    paths: Paths
    cameras: tuple[Camera, ...] = (NURSERY, PORCH)
    said: list[str] = field(default_factory=list)

    def channel(self, **other: Any) -> Channel:
        secret = self.paths.state / "mqtt.password"
        if not secret.exists():
            secret.write_text(PASSWORD + "\n")
        options = {
            "url": f"mqtts://localhost:{self.server.port}", "username": USER,
            "ca_file": str(self.server.folder / "ca.pem"),
            "discovery_prefix": "homeassistant", "base_topic": "camguard",
        } | other.pop("options", {})  # fmt: skip
        return Channel(**{"name": "mqtt", "kind": "mqtt", "secret": Secret(file=secret), "options": options} | other)

    def mqtt(self, **other: Any) -> Mqtt:
        return Mqtt(self.channel(**other), Config(home=Home(cameras=self.cameras)), self.paths, say=self.said.append)

    def now(self, **other: Any) -> None:
        store.write_now(self.paths.now, figures(**other))


@pytest.fixture
def bench(server: Broker, tmp_path: Path) -> Iterator[Bench]:
    server.stop()  # what the test before left there is gone
    server.start()
    paths = Paths(tmp_path / "camguard.toml", tmp_path, tmp_path)
    made = Bench(server, paths)
    made.now()
    yield made
    assert not [one for one in made.said if PASSWORD in one or "localhost" in one or USER + " " in one.split(":")[0]]


@asynccontextmanager
async def running(mqtt: Mqtt) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(mqtt.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: Callable[[], object], seconds: float = 60.0) -> float:
    """Waits for it; how long it took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it did not happen"
        await asyncio.sleep(0.02)
    return time.monotonic() - began


def letter(made: dict[str, Any], detail: str = "full") -> Letter:
    whole = {"title": "Somebody is watching: Nursery", "body": "Since 22:14 ...", "confidence": "certain"} | made
    words = report.message(whole | {"time": "2026-11-24T21:14:00.000Z", "started": "2026-11-24T21:14:00.000Z"}, detail)  # type: ignore[arg-type]
    return Letter(**{name: getattr(words, name) for name in words.__slots__}, alert=whole, detail=detail)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 280))


async def online(heard: Listener) -> None:
    await until(lambda: heard.last("camguard/status") == "online")


async def settled(heard: Listener, seconds: float = 1.2) -> None:
    """Waits until nothing new was heard for so long."""
    known = -1
    while known != len(heard.heard):
        known = len(heard.heard)
        await asyncio.sleep(seconds)


# ---- out -------------------------------------------------------------------------------------------------------------


def test_a_home_assistant_that_starts_later_shows_everything(bench: Bench) -> None:
    bench.now(sessions=[session()])

    async def work() -> None:
        with bench.server.listening("#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                with bench.server.listening("homeassistant/#", "camguard/#") as late:
                    await until(lambda: late.last("camguard/status") and late.last("camguard/version"))
                    await settled(late, 0.5)
            await until(lambda: heard.last("camguard/status") == "offline")  # a clean end says so, too
        assert all(one.retained for one in late.heard)
        home = HomeAssistant()
        for one in late.heard:
            home.take(one.topic, one.payload, retained=True)
        assert home.shown("binary_sensor.nursery_being_watched") == "on"
        assert home.shown("binary_sensor.nursery_unexpected_viewer") == "on"
        assert home.shown("binary_sensor.porch_front_being_watched") == "off"
        assert home.shown("binary_sensor.camguard_anybody_unexpected") == "on"
        assert home.shown("sensor.nursery_last_viewer") == "OVH, France"
        assert home.entities["binary_sensor.nursery_being_watched"].attributes["country"] == "France"
        order = [one.topic for one in heard.heard]
        assert order.index("homeassistant/device/camguard/config") < order.index("camguard/nursery/watched")
        assert order.index("camguard/nursery/watched") < order.index("camguard/status")

    run(work())


def test_states_are_sent_when_facts_change_and_only_then(bench: Bench) -> None:
    async def work() -> None:
        with bench.server.listening("#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                await settled(heard)
                before = len(heard.heard)
                for number in range(5):
                    row = {
                        "name": "Nursery",
                        "sight": "both",
                        "last_time": "2026-11-24T21:14:00.000Z",
                        "up_kbps": number,
                    }
                    bench.now(cameras=[row, figures()["cameras"][1]])
                    await asyncio.sleep(0.5)
                assert len(heard.heard) == before
                bench.now(sessions=[session()])
                took = await until(lambda: heard.last("camguard/nursery/watched") == "ON")
                print(f"from now.json to the broker's client: {took:.2f} s")
                bench.now(sessions=[])
                await until(lambda: heard.last("camguard/nursery/watched") == "OFF")
                changed = {one.topic for one in heard.heard[before:]}
                assert not {topic for topic in changed if "porch" in topic}
                assert heard.all("camguard/nursery/watched") == ["OFF", "ON", "OFF"]
                bench.paths.now.unlink()  # the guard stopped
                await until(lambda: heard.last("camguard/problem") == "ON")
                left = [heard.last(f"camguard/nursery/{leaf}") for leaf in ("status", "watched", "unexpected")]
                assert left == ["offline", "None", "None"]

    run(work())


def test_an_alert_is_an_event_that_is_not_kept(bench: Bench) -> None:
    async def work() -> None:
        mqtt = bench.mqtt()
        with bench.server.listening("#") as heard:
            async with running(mqtt):
                await online(heard)
                began = time.monotonic()
                assert await mqtt.send(letter(alert()), sound=True, remote_id=None) == "a7f3c1d2e4"
                took = time.monotonic() - began
                await until(lambda: heard.last("camguard/nursery/alert"))
                print(f"an alert is confirmed by the broker after {took * 1000:.0f} ms")
                for bad in HOSTILE:
                    made = alert(title=bad or "x", body=bad or "x", peer=STRANGER | {"org": bad, "name": bad})
                    await mqtt.send(letter(made), sound=False, remote_id="a7f3c1d2e4")
                await mqtt.send(letter(alert(camera=None, type="digest")), sound=False, remote_id=None)
                await until(lambda: heard.last("camguard/alert"))
                with bench.server.listening("camguard/#") as late:
                    await until(lambda: late.last("camguard/status"))
                    await asyncio.sleep(0.3)
                assert late.all("camguard/nursery/alert") == []
        home = HomeAssistant()
        for one in heard.heard:
            home.take(one.topic, one.payload, retained=one.retained)
        events = [json.loads(one) for one in heard.all("camguard/nursery/alert")]
        assert len(events) == len(HOSTILE) + 1
        assert (events[0]["event_type"], events[0]["viewer"]) == ("remote-stream", "OVH, France")
        assert all(len(one["title"]) <= 60 and len(one["body"]) <= 200 for one in events)
        assert home.entities["event.nursery_alert"].state == "fired"

    run(work())


def test_one_message_without_the_rest(bench: Bench) -> None:
    """camguard notify --test: no run(), and the running deliver's connection is not cut."""

    async def work() -> None:
        with bench.server.listening("camguard/#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                await bench.mqtt().send(letter(alert(camera=None, type="test")), sound=False, remote_id=None)
                await until(lambda: heard.last("camguard/alert"))
                await asyncio.sleep(0.3)
                assert heard.last("camguard/status") == "online"
        assert json.loads(heard.last("camguard/alert") or "")["event_type"] == "test"

    run(work())


def test_home_assistant_that_says_it_started_is_told_again(bench: Bench) -> None:
    async def work() -> None:
        topic = "homeassistant/device/camguard_020000000001/config"
        with bench.server.listening("#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                for _ in range(5):
                    bench.server.say("homeassistant/status", "online")
                took = await until(lambda: len(heard.all(topic)) == 2)
                await until(lambda: heard.all("camguard/status").count("online") == 2)
                print(f"announced again after {took:.1f} s")
                assert heard.all("camguard/nursery/watched") == ["OFF", "OFF"]
                bench.server.say("homeassistant/status", "offline")
                await asyncio.sleep(1)
                assert len(heard.all(topic)) == 2

    run(work())


# ---- in --------------------------------------------------------------------------------------------------------------


def wishes_in(bench: Bench) -> list[dict[str, Any]]:
    return [json.loads(one.read_text()) for one in sorted(bench.paths.wishes.glob("[0-9]*.json"))]  # the finished ones


async def answer(heard: Listener, number: int = 1, topic: str = "camguard/nursery/command/result") -> dict[str, Any]:
    await until(lambda: len(heard.all(topic)) >= number)
    return dict(json.loads(heard.all(topic)[number - 1]))


def test_commands_become_wishes(bench: Bench) -> None:
    bench.now(sessions=[session()], alerts=[alert()])

    async def work() -> None:
        with bench.server.listening("camguard/#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                bench.server.say("camguard/nursery/watching/minutes/set", "45")
                await until(lambda: heard.last("camguard/nursery/watching/minutes") == "45")
                bench.server.say("camguard/nursery/command", '{"do":"was-me"}')
                bench.server.say("camguard/nursery/command", '{"do":"watching"}')
                bench.server.say("camguard/command", '{"do":"presence","device":"phone","home":true}')
                await until(lambda: len(wishes_in(bench)) == 3)
                assert (await answer(heard))["ok"] is None  # no guard runs here
        made = {one["do"]: one for one in wishes_in(bench)}
        assert (made["allow"]["alert"], made["allow"]["mode"]) == ("a7f3c1d2e4", "once")
        assert (made["watching"]["camera"], made["watching"]["for_s"]) == ("Nursery", 2700)
        assert (made["presence"]["device"], made["presence"]["home"]) == ("phone", True)
        assert {one["who"] for one in made.values()} == {"mqtt"}

    run(work())


def test_commands_that_are_refused(bench: Bench) -> None:
    async def work() -> None:
        bench.server.say("camguard/nursery/command", '{"do":"silence","minutes":60}', retain=True)  # from last week
        with bench.server.listening("camguard/#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                bench.server.say("camguard/nursery/command", '{"do":"allow","mode":"always"}')
                bench.server.say("camguard/nursery/command", '{"do":"silence","minutes":60,"for":"ever"}')
                bench.server.say("camguard/nursery/watching/minutes/set", "100000")
                first, second = await answer(heard), await answer(heard, 2)
                assert (first["ok"], second["ok"]) == (False, False)
                assert "was-me" in first["said"]
                assert '"for" is unknown' in second["said"]
                await asyncio.sleep(1.2)
                assert heard.last("camguard/nursery/watching/minutes") == "30"
        assert wishes_in(bench) == []

    run(work())


def test_a_flood_of_commands_is_cut_and_delays_no_alert(bench: Bench) -> None:
    """The flood goes on until the alert is confirmed and the cut is said, so neither waits for its end."""
    result = "camguard/nursery/command/result"

    def flood(program: "subprocess.Popen[str]", over: threading.Event) -> int:
        assert program.stdin
        sent = 0
        while not over.is_set():
            program.stdin.write('{"do":"never"}\n' * 100)
            program.stdin.flush()
            sent += 100
        return sent

    async def work() -> None:
        mqtt = bench.mqtt()
        over = threading.Event()
        with bench.server.listening("camguard/status", "camguard/nursery/alert", result) as heard:
            async with running(mqtt):
                await online(heard)
                with bench.server.saying("camguard/nursery/command") as program:
                    flooding = asyncio.create_task(asyncio.to_thread(flood, program, over))
                    try:
                        await until(lambda: heard.all(result))  # it has begun
                        began = time.monotonic()
                        await mqtt.send(letter(alert()), sound=True, remote_id=None)
                        took = time.monotonic() - began
                        await until(lambda: heard.last("camguard/nursery/alert"))
                        await until(lambda: any("too many" in one for one in heard.all(result)))
                        assert program.poll() is None
                        assert not flooding.done()
                    finally:
                        over.set()
                    sent = await flooding
                print(f"an alert in a flood of {sent} commands took {took * 1000:.0f} ms")
        assert wishes_in(bench) == []

    run(work())


# ---- faults ----------------------------------------------------------------------------------------------------------


def test_a_broker_that_comes_back_gets_everything_again(bench: Bench) -> None:
    async def work() -> None:
        mqtt = bench.mqtt()
        with bench.server.listening("#") as heard:
            async with running(mqtt):
                await online(heard)
                await until(lambda: bench.said)
                bench.server.stop()
                await until(lambda: mqtt.trouble)
                with pytest.raises(SinkError) as caught:
                    await mqtt.send(letter(alert()), sound=True, remote_id=None)
                assert not caught.value.permanent
                await asyncio.sleep(1)
                bench.server.start()
                with bench.server.listening("#") as again:
                    await until(lambda: again.last("camguard/status") == "online")
                    assert again.last("homeassistant/device/camguard_020000000001/config")
                    assert again.last("camguard/nursery/watched") == "OFF"
                    await mqtt.send(letter(alert()), sound=True, remote_id=None)
                    await until(lambda: bench.said[-1] == "mqtt: connected.")
        assert bench.said[0] == "mqtt: connected."
        assert bench.said[-1] == "mqtt: connected."
        assert len(bench.said) <= 4  # a fault is said once, not with each try

    run(work())


def test_a_broker_that_hangs_delays_nobody_else(bench: Bench) -> None:
    async def work() -> None:
        mqtt = bench.mqtt()
        late: list[float] = []

        async def others() -> None:
            while True:
                began = time.monotonic()
                await asyncio.sleep(0.01)
                late.append(time.monotonic() - began - 0.01)

        with bench.server.listening("camguard/status") as heard:
            async with running(mqtt):
                await online(heard)
                await until(lambda: mqtt.trouble is None)
                ticking = asyncio.create_task(others())
                bench.server.freeze(True)
                began = time.monotonic()
                with pytest.raises(SinkError) as caught:
                    await mqtt.send(letter(alert()), sound=True, remote_id=None)
                took = time.monotonic() - began
                await until(lambda: mqtt.trouble)
                with pytest.raises(SinkError):  # from then on it is known: nothing is waited for
                    mqtt.send(letter(alert()), sound=True, remote_id=None).send(None)
                print(f"gave up after {took:.1f} s: {caught.value}; others at most {max(late) * 1000:.0f} ms late")
                assert max(late) < took / 2  # who waits for the broker holds up nobody for as long
                bench.server.freeze(False)
                await until(lambda: mqtt.trouble is None, 120)
                ticking.cancel()
                bench.server.freeze(True)
                began = time.monotonic()
            print(f"with a broker that hangs, the end took {time.monotonic() - began:.1f} s")
            assert time.monotonic() - began < 25  # nor does the end wait until the broker is found dead (30 s)
            bench.server.freeze(False)

    run(work())


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("wrong password", "does not take this user name and password"),
        ("no ca_file", "its certificate is signed by itself"),
        ("another host", "its certificate is for another"),
        ("not TLS", "no secure connection could be made"),
        ("nobody there", "nobody listens"),
        ("unknown name", "its name cannot be found"),
        ("no such ca_file", "cannot be read, or holds no certificate"),
        ("no such password", "no such file"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(bench: Bench, what: str, words: str) -> None:
    channel = bench.channel()
    options = dict(channel.options)
    secret = channel.secret
    port = bench.server.port
    if what == "wrong password":
        secret = Secret(file=bench.paths.state / "wrong")
        (bench.paths.state / "wrong").write_text("hunter2-hunter2")
    elif what == "no ca_file":
        del options["ca_file"]
    elif what == "another host":
        options["url"] = f"mqtts://127.0.0.1:{port}"
    elif what == "not TLS":
        options["url"] = f"mqtts://localhost:{bench.server.plain}"
    elif what == "nobody there":
        options["url"] = "mqtts://localhost:1"
    elif what == "unknown name":
        options["url"] = f"mqtts://no-such-host.invalid:{port}"
    elif what == "no such ca_file":
        options["ca_file"] = "/nowhere/ca.pem"
    elif what == "no such password":
        secret = Secret(file=Path("/nowhere/password"))

    async def work() -> None:
        mqtt = Mqtt(
            Channel(name="mqtt", kind="mqtt", secret=secret, options=options),
            Config(),
            bench.paths,
            say=bench.said.append,
        )
        async with running(mqtt):
            await until(lambda: bench.said)
            with pytest.raises(SinkError) as caught:
                await mqtt.send(letter(alert()), sound=False, remote_id=None)
        for said in (str(caught.value), bench.said[0]):
            assert words in said
            assert "hunter2" not in said

    run(work())


def test_nothing_secret_in_any_log(
    bench: Bench, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)

    async def work() -> None:
        with bench.server.listening("#") as heard:
            mqtt = bench.mqtt()
            async with running(mqtt):
                await online(heard)
                await until(lambda: mqtt.trouble is None)  # what it says comes a moment after what the broker heard
                bench.server.stop()
                await until(lambda: mqtt.trouble)
                bench.server.start()

    run(work())
    out = capfd.readouterr()
    text = "\n".join([caplog.text, out.out, out.err, *bench.said])
    assert bench.said
    for word in (PASSWORD, "localhost", str(bench.server.port), "ca.pem"):
        assert word not in text, word


def test_the_last_will_of_a_process_that_was_killed(bench: Bench, tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        "import asyncio, sys\nfrom pathlib import Path\n"
        "from camguard.config import Channel, Config, Paths, Secret\nfrom camguard.events import Camera, Home\n"
        "from camguard.tell.mqtt import Mqtt\n"
        f"paths = Paths(*[Path({str(tmp_path)!r})] * 3)\n"
        f"channel = Channel(name='mqtt', kind='mqtt', secret=Secret(file=Path({str(bench.channel().secret.file)!r})),"
        f" options={dict(bench.channel().options)!r})\n"
        f"home = Home(cameras=(Camera('Nursery', '02:00:00:00:00:01'),))\n"
        "async def main(): await Mqtt(channel, Config(home=home), paths).run()\n"
        "asyncio.run(main())\n"
    )

    async def work() -> None:
        env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
        with bench.server.listening("camguard/status") as heard:
            program = subprocess.Popen([sys.executable, str(script)], env=env, stderr=subprocess.DEVNULL)
            try:
                await until(lambda: heard.last("camguard/status") == "online")
                program.send_signal(signal.SIGKILL)
                took = await until(lambda: heard.last("camguard/status") == "offline")
                print(f"the last will came {took:.2f} s after the kill")
            finally:
                program.kill()
                program.wait()
            async with running(bench.mqtt()):  # the next one: the same name at the broker
                await online(heard)
                bench.server.say("camguard/status", "offline", retain=True)  # a will that comes late
                await until(lambda: heard.all("camguard/status")[-2:] == ["offline", "online"])

    run(work())


# ---- what was left ---------------------------------------------------------------------------------------------------


def test_a_renamed_and_a_removed_camera_leave_nothing_behind(bench: Bench) -> None:
    others = {
        "homeassistant/device/robot/config": '{"origin":{"name":"robot"},"device":{"identifiers":["r"]}}',
        "homeassistant/device/camguard_other/config": json.dumps(
            {"origin": {"name": "camguard"}, "availability": [{"topic": "camguard2/status"}]}
        ),
        "camguard/evidence/head": "later",
    }

    async def work() -> None:
        for topic, payload in others.items():
            bench.server.say(topic, payload, retain=True)
        with bench.server.listening("#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                bench.server.say("camguard/nursery/watching/minutes/set", "60")
                await until(lambda: heard.last("camguard/nursery/watching/minutes") == "60")
        bench.cameras = (Camera("Nursery", "02:00:00:00:00:09"), Camera("Veranda", "02:00:00:00:00:02"))
        with bench.server.listening("camguard/status") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                await until(lambda: heard.all("camguard/status")[-1] == "online")
                with bench.server.listening("#") as late:
                    await until(lambda: late.last("camguard/version"))
                    await settled(late, 0.5)
        left = {one.topic: one.payload for one in late.heard}
        assert {topic: left.get(topic) for topic in others} == others
        assert not [topic for topic in left if "porch" in topic or "020000000001" in topic]
        assert left["camguard/nursery/watching/minutes"] == "60"  # the owner's, kept at the broker
        house = bench.mqtt().house
        assert set(left) == {
            *others,
            *announce.discovery(house),
            *ha.states(house, ha.Seen(None, 0.0)),
            "camguard/status",
        }

    run(work())


def test_paho_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, camguard.tell.mqtt; print([m for m in sys.modules if m.split('.')[0] in ('paho', 'aiomqtt')])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "[]"
    assert broker.QUIET.propagate is False


def test_garbage_takes_no_place_of_a_command(bench: Bench) -> None:
    async def work() -> None:
        result = "camguard/nursery/command/result"
        with bench.server.listening("camguard/#") as heard:
            async with running(bench.mqtt()):
                await online(heard)
                flood = [*["rubbish"] * 60, '{"do":"silence","minutes":0}']
                bench.server.say_all("camguard/nursery/command", flood)
                await until(lambda: len(wishes_in(bench)) == 1)
                await until(lambda: any("Taken down" in one for one in heard.all(result)))
                refused = [one for one in heard.all(result) if "Refused" in one]
                assert len(refused) == 30
                assert ["too many" in one for one in refused].count(True) == 1

    run(work())


def test_commands_that_wait_take_no_place_of_a_command(bench: Bench) -> None:
    """29 that are looked at twice before they are refused, and 35 good ones: 30 are followed, and the rest is told."""

    async def work() -> None:
        result = "camguard/nursery/command/result"
        with bench.server.listening("camguard/status", result) as heard:
            async with running(bench.mqtt()):
                await online(heard)
                flood = ['{"do":"was-me"}'] * 29 + ['{"do":"silence","minutes":0}'] * 35
                bench.server.say_all("camguard/nursery/command", flood)
                await until(lambda: len([one for one in heard.all(result) if "Taken down" in one]) == 30)
                await until(lambda: any("too many" in one for one in heard.all(result)))
                assert len(wishes_in(bench)) == 30

    run(work())


def test_a_name_whose_first_address_is_silent_is_reached_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "CONNECT_S", 3.0)

    async def main() -> None:
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        alive = server.sockets[0].getsockname()
        silent = socket.socket()
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        waiting = [socket.socket() for _ in range(3)]  # its queue is full: a fourth gets no answer
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(silent.getsockname())
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", where) for where in (silent.getsockname(), alive)]
        monkeypatch.setattr(broker.socket, "getaddrinfo", lambda *_, **__: found)
        await broker._try_the_way(broker.Address("broker.lan", 1883, None))
        for one in (silent, *waiting):
            one.close()
        server.close()

    asyncio.run(main())
