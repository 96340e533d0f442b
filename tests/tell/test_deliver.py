"""The deliver process: killed at every step, with receivers that misbehave, with secrets that must not show."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import store
from camguard.config import Channel
from camguard.store.delivery import DeliveryReader
from camguard.store.outgoing import Deliveries
from camguard.tell import deliver as module
from camguard.tell import push as push_module
from camguard.tell.deliver import Deliver
from camguard.tell.following import Follower
from camguard.tell.outbox import Outbox
from camguard.tell.push import ApprisePush
from camguard.tell.webhook import Webhook, request
from tests.tell.receivers import BlackHole, Receiver, alert, certificate

ROOT = Path(__file__).resolve().parents[2]
CANARY = "c4n4ry-s3cret-7f"


def write(record: store.Store, *alerts: dict[str, Any]) -> None:
    for one in alerts:
        record.write([store.Row("alert", 1e9, one["camera"], one["id"], one["state"], one)], durable=True)


@pytest.fixture
def record(tmp_path: Path) -> Iterator[store.Store]:
    made = store.Store.open(tmp_path / "guard.db")
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def eventually(true: Callable[[], object], seconds: float = 60.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if true():
            return True
        time.sleep(0.02)
    return bool(true())


# ---- killed ----


def test_killed_at_every_step_nothing_is_lost_and_at_most_one_is_repeated(
    tmp_path: Path, record: store.Store, receiver: Receiver
) -> None:
    write(record, *(alert(key) for key in ("a", "b", "c")))
    write(record, alert("d"), alert("d", "closed"))
    expected = {"a", "b", "c", "d"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.tell.a_deliver", str(tmp_path), receiver.url("/hook"), "60"],
        cwd=ROOT, capture_output=True, text=True, timeout=280, check=True,
    )  # fmt: skip
    rounds = [line.split("|") for line in done.stdout.splitlines()]
    assert rounds[-1] == ["end", "end"]
    assert {first for first, _ in rounds} == {"commit begins", "commit done", "send begins", "send done", "end"}
    assert len(rounds) >= 2 * 2 + 4 * 4
    for number, (killed_at, second) in enumerate(rounds, start=1):
        got = [one.json["id"] for one in receiver.got if one.path == f"/hook/{number}"]
        assert second == "end", killed_at
        assert set(got) == expected, (number, killed_at)
        assert len(got) <= len(expected) + (killed_at != "end"), (number, killed_at, got)
        if killed_at in ("send begins", "end"):
            assert len(got) == len(expected)


class Process:
    """`camguard deliver` on a folder that holds camguard.toml."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out, self.err = folder / "out", folder / "err"
        code = (
            "import sys; from pathlib import Path; from camguard import config; from camguard.tell import deliver\n"
            "where = config.Paths(*map(Path, sys.argv[1:4]))\n"
            "sys.exit(deliver.run(config.load(where.config), where, True))"
        )
        command = [sys.executable, "-c", code, str(folder / "camguard.toml"), str(folder), str(folder)]
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.program = subprocess.Popen(
                command, stdout=out, stderr=err, cwd=ROOT, env=os.environ | {"HOME": "/none"}
            )

    def ready(self) -> bool:
        return eventually(lambda: "telling" in self.err.read_text() or self.program.poll() is not None)

    def kill(self, number: int = signal.SIGKILL) -> int:
        self.program.send_signal(number)
        return self.program.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    made: list[Process] = []

    def begin() -> Process:
        made.append(Process(tmp_path))
        return made[-1]

    yield begin
    for process in made:
        if process.program.poll() is None:
            process.kill()


def configure(folder: Path, *tables: str) -> None:
    (folder / "camguard.toml").write_text('[home]\ntimezone = "UTC"\n' + "".join(f"[[notify]]\n{t}\n" for t in tables))


def hook(folder: Path, name: str, url: str, more: str = "") -> str:
    (folder / name).write_text(url + "\n")
    return f'name = "{name}"\nwebhook_file = "{folder / name}"\n{more}'


def push(folder: Path, name: str, url: str) -> str:
    (folder / name).write_text(url + "\n")
    return f'name = "{name}"\nurl_file = "{folder / name}"\n'


def test_killed_at_any_time_under_load(
    tmp_path: Path, record: store.Store, receiver: Receiver, start: Callable[[], Process]
) -> None:
    seeded = random.Random(3)
    receiver.before_answer = lambda: time.sleep(0.02)
    configure(tmp_path, hook(tmp_path, "hook", receiver.url()))
    expected: set[str] = set()
    kills = 8
    for number in range(kills):
        process = start()
        until = time.monotonic() + 0.5 + seeded.random() * 0.5
        while time.monotonic() < until:
            key = f"{number}x{len(expected)}"
            expected.add(key)
            write(record, alert(key, camera=f"cam{len(expected) % 200}", peer={"ip": f"10.0.{number}.{len(expected)}"}))
            time.sleep(0.03)
        process.kill()
    process = start()
    assert eventually(lambda: {one.json["id"] for one in receiver.got} >= expected)
    assert process.kill(signal.SIGTERM) == 0
    got = Counter(one.json["id"] for one in receiver.got)
    assert set(got) == expected
    assert sum(got.values()) - len(got) <= kills


# ---- what other channels and the end do not wait for ----


def serve_until(
    folder: Path, channels: dict[str, tuple[Channel, Any]], done: Callable[[], object], feed: Callable[[], None]
) -> Outbox:
    """Deliver in this process, until `done`."""

    async def main() -> Outbox:
        deliveries = Deliveries.open(folder / "deliver.db")
        outbox = Outbox(
            deliveries, [channel for channel, _ in channels.values()], zone="UTC", quiet_hours=None,
            at=store.boottime_s(),
        )  # fmt: skip
        program = Deliver(
            outbox, Follower(folder / "guard.db", outbox.cursor, lambda _: None), lambda one: channels[one.name][1]
        )
        task = asyncio.create_task(program.serve())
        await asyncio.sleep(0.4)
        await asyncio.to_thread(feed)
        until = time.monotonic() + 60
        while not done() and time.monotonic() < until:
            await asyncio.sleep(0.02)
        program.end()
        async with asyncio.timeout(60):
            await task
        deliveries.close()
        return outbox

    return asyncio.run(main())


def test_channels_that_hang_delay_no_other(
    tmp_path: Path, record: store.Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hang for longer than this test may take, so that nobody, nor the end, waits for one of them."""
    monkeypatch.setattr(module, "SEND_S", 600.0)
    monkeypatch.setattr(push_module, "TIMEOUT_S", 600.0)
    monkeypatch.setitem(request.__kwdefaults__, "timeout_s", 600.0)
    hanging, hole = Receiver("hang"), BlackHole()
    channels: dict[str, tuple[Channel, Any]] = {
        "hang": (Channel("hang", "webhook"), Webhook("hang", hanging.url())),
        "hole": (Channel("hole", "webhook"), Webhook("hole", hole.url("https"))),
        "push": (Channel("push", "apprise"), ApprisePush("push", f"json://127.0.0.1:{hole.port}/")),
        "fine": (Channel("fine", "webhook"), Webhook("fine", receiver.url())),
    }
    began: dict[str, float] = {}

    def feed() -> None:
        for number in range(20):
            key = f"k{number}"
            write(record, alert(key, camera=f"cam{number}"))
            began[key] = time.monotonic()
            time.sleep(0.05)

    serve_until(tmp_path, channels, lambda: len(receiver.got) == 20, feed)
    late = sorted(one.at - began[one.json["id"]] for one in receiver.got)
    assert len(late) == 20
    print(f"beside three that hang: told {late[-1]:.2f} s after the commit at most")
    hanging.close()
    hole.close()


def test_a_secret_that_cannot_be_read_to_an_end_delays_no_other_channel(
    tmp_path: Path, record: store.Store, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = threading.Event()
    deliveries = Deliveries.open(tmp_path / "deliver.db")
    monkeypatch.setattr(module, "SECRET_S", 0.3)

    def make(channel: Channel) -> Any:
        if channel.name == "dead":
            free.wait(300)
        return Webhook(channel.name, receiver.url())

    async def main() -> None:
        channels = [Channel("dead", "apprise"), Channel("fine", "webhook")]
        outbox = Outbox(deliveries, channels, zone="UTC", quiet_hours=None, at=store.boottime_s())
        program = Deliver(outbox, Follower(tmp_path / "guard.db", outbox.cursor, lambda _: None), make)
        task = asyncio.create_task(program.serve())
        await asyncio.sleep(0.4)
        write(record, alert("a"))
        until = time.monotonic() + 60
        while (not receiver.got or not outbox.queues["dead"].state.error) and time.monotonic() < until:
            await asyncio.sleep(0.02)
        program.end()
        await task
        assert len(receiver.got) == 1
        assert outbox.queues["dead"].state.error == "where its secret is kept, nothing answers in time"

    asyncio.run(main())
    free.set()
    deliveries.close()


def test_a_fault_in_one_sender_is_told_without_its_text(
    tmp_path: Path, record: store.Store, receiver: Receiver
) -> None:
    class Broken:
        name, replaces = "broken", True

        async def send(self, *_: object, **__: object) -> None:
            raise ValueError(f"https://{CANARY}/")

    channels: dict[str, tuple[Channel, Any]] = {
        "broken": (Channel("broken", "webhook"), Broken()),
        "fine": (Channel("fine", "webhook"), Webhook("fine", receiver.url())),
    }
    serve_until(tmp_path, channels, lambda: receiver.got, lambda: write(record, alert("a")))
    broken, fine = DeliveryReader(tmp_path / "deliver.db").channels()
    assert broken.error == "a fault in sending (ValueError)"
    assert fine.error is None
    assert fine.last_sent is not None


# ---- the whole program ----


def test_the_program_tells_what_is_going_on_and_ends_at_once(
    tmp_path: Path, record: store.Store, receiver: Receiver, start: Callable[[], Process]
) -> None:
    write(record, alert("past"), alert("past", "closed"), alert("now"))
    configure(
        tmp_path, hook(tmp_path, "hook", receiver.url()), push(tmp_path, "phone", f"json://127.0.0.1:{receiver.port}/p")
    )
    process = start()
    assert eventually(lambda: len(receiver.got) == 2), process.err.read_text()
    assert {one.path for one in receiver.got} == {"/hook", "/p"}
    assert next(one.json["id"] for one in receiver.got if one.path == "/hook") == "now"
    assert process.kill(signal.SIGTERM) == 0
    assert process.err.read_text() == "camguard deliver: telling 2 channels: hook, phone.\n"
    assert process.out.read_text() == ""


def test_nothing_to_do_is_said(tmp_path: Path, start: Callable[[], Process]) -> None:
    configure(tmp_path)
    process = start()
    assert process.program.wait(60) == 0
    assert "no [[notify]]" in process.err.read_text()


def test_a_second_one_is_refused(
    tmp_path: Path, record: store.Store, receiver: Receiver, start: Callable[[], Process]
) -> None:
    configure(tmp_path, hook(tmp_path, "hook", receiver.url()))
    first = start()
    assert first.ready()
    second = start()
    assert second.program.wait(60) == 1
    assert "another camguard deliver" in second.err.read_text()
    first.kill()


def test_a_record_that_comes_later_and_a_secret_that_is_put_right(
    tmp_path: Path, receiver: Receiver, start: Callable[[], Process]
) -> None:
    configure(tmp_path, hook(tmp_path, "hook", receiver.url()))
    (tmp_path / "hook").unlink()
    process = start()
    assert process.ready()
    assert eventually(lambda: "nothing is recorded yet" in process.err.read_text())
    record = store.Store.open(tmp_path / "guard.db")
    write(record, alert("a"))
    reader = DeliveryReader(tmp_path / "deliver.db")

    def error() -> str:
        with contextlib.suppress(Exception):
            return reader.channels()[0].error or ""
        return ""

    assert eventually(lambda: "no such file" in error())
    (tmp_path / "hook").write_text(receiver.url())
    assert eventually(lambda: len(receiver.got) == 1)
    assert error() == ""
    process.kill()
    record.close()


def test_no_secret_is_printed_or_written(tmp_path: Path, record: store.Store, start: Callable[[], Process]) -> None:
    receivers = [Receiver(how) for how in ("500", "404", "cut", "hang", "302", "garbage")]
    secure = Receiver(certificate=certificate(tmp_path))
    hole = BlackHole()
    (tmp_path / "key").write_text(CANARY)
    signed = f'hmac_file = "{tmp_path / "key"}"\n'
    tables = []
    for number, one in enumerate([*receivers, secure]):
        scheme = "https" if one is secure else "http"
        tables.append(hook(tmp_path, f"hook{number}", f"{scheme}://localhost:{one.port}/{CANARY}?x={CANARY}", signed))
        tables.append(push(tmp_path, f"json{number}", f"json://u:{CANARY}@localhost:{one.port}/{CANARY}?rto=1"))
        tables.append(push(tmp_path, f"ntfy{number}", f"ntfy://localhost:{one.port}/{CANARY}?rto=1&auth=token"))
    tables.append(push(tmp_path, "mail", f"mailto://u:{CANARY}@localhost:9?to=a@example.org&from=b@example.org&rto=1"))
    tables.append(push(tmp_path, "jsons", f"jsons://u:{CANARY}@localhost:{secure.port}/?verify=no"))
    tables.append(push(tmp_path, "none", f"{CANARY}://{CANARY}@x/"))
    tables.append(push(tmp_path, "gram", f"tgram://{CANARY}/{CANARY}"))
    tables.append(hook(tmp_path, "dns", f"https://{CANARY}.invalid/"))
    configure(tmp_path, *tables)
    process = start()
    assert process.ready()
    write(record, alert("a"))
    reader = DeliveryReader(tmp_path / "deliver.db")

    def all_tried() -> bool:
        return all(one.error or one.last_sent for one in reader.channels() if "3" not in one.name)

    assert eventually(all_tried), [(one.name, one.error) for one in reader.channels()]
    process.kill(signal.SIGTERM)
    written = b"".join(path.read_bytes() for path in tmp_path.glob("deliver.db*"))
    for text in (process.out.read_bytes(), process.err.read_bytes(), written):
        assert CANARY.encode() not in text
    assert process.err.read_text().count("\n") == 1
    for one in [*receivers, secure]:
        one.close()
    hole.close()


def test_ten_thousand_findings_in_a_minute_are_few_messages(
    tmp_path: Path, record: store.Store, receiver: Receiver, start: Callable[[], Process]
) -> None:
    configure(
        tmp_path, hook(tmp_path, "hook", receiver.url()), push(tmp_path, "phone", f"json://127.0.0.1:{receiver.port}/p")
    )
    process = start()
    assert process.ready()
    for start in range(0, 10_000, 100):
        rows = [
            store.Row("alert", 1e9, one["camera"], one["id"], one["state"], one)
            for one in (alert(f"k{n}", peer={"ip": f"10.1.{n // 250}.{n % 250}"}) for n in range(start, start + 100))
        ]
        record.write(rows, durable=True)

    def taken() -> bool:
        with contextlib.closing(sqlite3.connect(f"file:{tmp_path}/deliver.db?mode=ro", uri=True)) as db:
            return db.execute("SELECT value FROM meta WHERE key='cursor'").fetchone() == (str(record_seq),)

    record_seq = store.Reader(tmp_path / "guard.db").last_seq()
    assert eventually(taken)

    def hooked() -> list[dict[str, Any]]:
        return [one.json for one in receiver.got if one.path == "/hook"]

    assert eventually(lambda: any(one["count"] > 5000 for one in hooked() if "Many strangers" in one["title"]))
    time.sleep(0.5)
    hooks = hooked()
    pushes = [one for one in receiver.got if one.path == "/p"]
    assert 7 <= len(hooks) <= 150
    assert 7 <= len(pushes) <= 6 + 12
    crowd = [one for one in hooks if "Many strangers" in one["title"]]
    assert len({one["id"] for one in crowd}) == 1
    assert crowd[-1]["count"] > 5000
    assert sum(one["sound"] for one in hooks) <= 6 + 12
    process.kill()


@pytest.mark.lab
def test_memory_with_every_kind_of_channel(
    tmp_path: Path, record: store.Store, receiver: Receiver, start: Callable[[], Process]
) -> None:
    secure = Receiver(certificate=certificate(tmp_path))
    tables = [hook(tmp_path, f"hook{n}", receiver.url()) for n in range(3)]
    tables += [hook(tmp_path, f"tls{n}", secure.url(scheme="https")) for n in range(3)]
    tables += [push(tmp_path, f"ntfy{n}", f"ntfy://127.0.0.1:{receiver.port}/topic{n}") for n in range(3)]
    tables += [push(tmp_path, "mail", f"mailto://127.0.0.1:{receiver.port}?to=a@example.org&from=b@example.org")]
    configure(tmp_path, *tables)
    process = start()
    assert process.ready()
    for n in range(50):
        write(record, alert(f"k{n}", camera=f"cam{n}"))
    assert eventually(lambda: len(receiver.got) >= 6 * 50)
    status = Path(f"/proc/{process.program.pid}/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
    assert peak <= 60, f"{peak:.1f} MB"
    process.kill()
    secure.close()
