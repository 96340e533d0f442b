"""The writer thread: alerts are said after the commit, the queue is bounded, nothing waits for a slow reader."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from camguard.errors import StoreError
from camguard.service.writer import BATCH_ROWS, QUEUE_ROWS, Item, Printer, Writer
from camguard.store import Reader, Store
from tests.store.rows import alert, session


def running(writer: Writer) -> threading.Thread:
    thread = threading.Thread(target=writer.run)
    thread.start()
    return thread


def until(ready: Callable[[], object], within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not ready():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def made(path: Path) -> tuple[Writer, int]:
    read, write = os.pipe()
    return Writer(Store.open(path), lambda: Store.open(path), Printer(write)), read


def test_an_alert_is_in_the_store_when_its_line_is_read(tmp_path: Path) -> None:
    writer, read = made(tmp_path / "guard.db")
    thread = running(writer)
    reader = Reader(tmp_path / "guard.db")
    for number in range(30):
        writer.put([Item(session(number), "s"), Item(alert(number), f"alert {number}")])
        text = b""
        while f"alert {number}\n".encode() not in text:
            text += os.read(read, 4096)
        assert reader.alerts(limit=1)[0]["id"] == f"a{number}"
    assert writer.committed == {f"a{n}" for n in range(30)}
    writer.put([Item(alert(3, state="closed"), None)])
    writer.stop(lambda store: None)
    thread.join(60)
    assert "a3" not in writer.committed
    os.close(read)
    os.close(writer.printer.fd)


def test_rows_that_are_no_alerts_are_batched(tmp_path: Path) -> None:
    writer, read = made(tmp_path / "guard.db")
    thread = running(writer)
    for number in range(BATCH_ROWS - 1):
        writer.put([Item(session(number), None)])
    time.sleep(0.2)
    assert writer.counters["commits"] == 0
    writer.put([Item(session(99), None)])
    until(lambda: writer.counters["commits"])
    assert writer.counters == {"rows-written": BATCH_ROWS, "rows-dropped": 0, "rows-lost": 0, "commits": 1}
    begun = time.monotonic()
    writer.put([Item(session(100), None)])
    until(lambda: writer.counters["commits"] == 2)
    assert time.monotonic() - begun > 3.0
    writer.stop(lambda store: None)
    thread.join(60)
    os.close(read)
    os.close(writer.printer.fd)


def test_a_full_queue_drops_the_oldest_rows_but_no_alert(tmp_path: Path) -> None:
    writer, read = made(tmp_path / "guard.db")
    for number in range(QUEUE_ROWS + 500):
        writer.put([Item(session(number), None)])
        if number % 100 == 0:
            writer.put([Item(alert(number), None)])
    alerts = (QUEUE_ROWS + 500) // 100
    assert writer.queued() == QUEUE_ROWS
    assert writer.counters["rows-dropped"] == 500 + alerts
    thread = running(writer)
    writer.stop(lambda store: None)
    thread.join(60)
    reader = Reader(tmp_path / "guard.db")
    assert len(reader.alerts(limit=10**6)) == alerts
    kept = sorted(int(str(body["id"])[1:]) for body in reader.sessions(limit=10**6))
    assert kept[0] == 500 + alerts
    assert kept[-1] == QUEUE_ROWS + 499
    os.close(read)
    os.close(writer.printer.fd)


def test_a_reader_of_the_lines_that_sleeps_holds_nothing_up(tmp_path: Path) -> None:
    writer, read = made(tmp_path / "guard.db")
    os.set_blocking(read, False)
    thread = running(writer)
    long = "x" * 10_000
    for number in range(8):  # a pipe takes 64 KB
        writer.put([Item(session(number), long)])
    writer.put([Item(alert(1), long)])
    until(lambda: Reader(tmp_path / "guard.db").alerts())
    until(lambda: writer.printer.lost)
    writer.put([Item(session(number), long) for number in range(100, 200)])
    begun = time.monotonic()
    writer.put([Item(alert(3), long)])
    until(lambda: len(Reader(tmp_path / "guard.db").alerts()) == 2)
    assert time.monotonic() - begun < 60.0, "each line waited anew, a second each"
    os.close(read)
    writer.put([Item(alert(2), "nobody reads this")])
    until(lambda: writer.printer.gone)
    writer.stop(lambda store: None)
    thread.join(60)
    assert len(Reader(tmp_path / "guard.db").alerts()) == 3
    os.close(writer.printer.fd)


def test_without_a_store_alerts_are_said_kept_and_written_when_it_is_back(tmp_path: Path) -> None:
    read, write = os.pipe()
    path = tmp_path / "guard.db"
    broken = True

    def open_store() -> Store:
        if broken:
            raise StoreError("no disk")
        return Store.open(path)

    writer = Writer(None, open_store, Printer(write), again_s=0.1)
    thread = running(writer)
    writer.put([Item(session(1), None), Item(alert(1), "alert 1")])
    assert os.read(read, 100) == b"alert 1\n"
    until(lambda: writer.counters["rows-lost"] == 1)
    answers: list[object] = []
    time.sleep(0.15)
    writer.ask(lambda store: 7, answers.append)
    until(lambda: answers)
    assert isinstance(answers[0], StoreError)
    assert writer.trouble == "no disk"
    broken = False
    time.sleep(0.15)
    writer.ask(lambda store: 7, answers.append)
    until(lambda: answers[1:])
    assert answers[1] == 7
    assert [body["id"] for body in Reader(path).alerts()] == ["a1"]
    assert writer.trouble is None
    writer.stop(lambda store: None)
    thread.join(60)
    os.close(read)
    os.close(write)


def test_it_answers_while_it_has_nothing_to_do_and_not_while_a_job_hangs(tmp_path: Path) -> None:
    writer, read = made(tmp_path / "guard.db")
    thread = running(writer)
    before = writer.answered_at
    time.sleep(0.05)
    writer.ping()
    until(lambda: writer.answered_at > before)
    hang = threading.Event()
    writer.ask(lambda store: hang.wait(60))
    time.sleep(0.05)
    before = writer.answered_at
    writer.ping()
    time.sleep(0.2)
    assert writer.answered_at == before
    hang.set()
    writer.stop(lambda store: None)
    thread.join(60)
    os.close(read)
    os.close(writer.printer.fd)
