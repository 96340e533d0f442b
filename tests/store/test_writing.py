"""The store's writer: what is committed stays, what is damaged is put aside, what is too much goes, alerts last."""

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from camguard.errors import StoreError
from camguard.events import SeenDevice
from camguard.store import Reader, Row, Store, StoreTakenError, rfc3339
from camguard.store.schema import DAMAGED_KEPT, DEVICES_KEPT, NAMES_KEPT, VERSION
from tests.store.rows import T0, alert, session

ROOT = str(Path(__file__).parents[2])


def ids(store: Path) -> set[str]:
    return {str(body.get("id")) for body in Reader(store).alerts(limit=10**6)}


def test_rows_come_back_as_they_went_in(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    rows = [session(1), alert(1), alert(1, T0 + 9, "closed"), Row("notice", T0, None, None, None, {"what": "gap"})]
    assert store.write(rows, durable=True) == 4
    reader = Reader(store.path)
    assert reader.log() == [row.body for row in rows]
    assert reader.alerts() == [rows[2].body]
    assert reader.alerts_after(0) == [(2, rows[1].body), (3, rows[2].body)]
    assert reader.alerts_after(2) == [(3, rows[2].body)]
    assert reader.last_seq() == 4
    assert reader.open_alerts() == []
    assert reader.open_sessions() == [rows[0].body]
    store.close()


def test_a_lone_surrogate_does_not_stop_the_batch(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    store.write([Row("notice", T0, None, None, None, {"detail": "a\udce4b"}), alert(1)], durable=True)
    assert [body.get("detail") for body in Reader(store.path).log()] == ["a?b", None]
    store.close()


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.store.rows import alert, session
from camguard.store import Store
store = Store.open(Path(sys.argv[1]))
number = int(sys.argv[3])
while True:
    number += 1
    store.write([session(number, size=200), alert(number)], durable=True)
    print(number, flush=True)
"""


def test_kill_9_loses_no_alert_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    acknowledged: set[str] = set()
    rng = random.Random(3)
    for round_ in range(12):
        command = [sys.executable, "-c", WRITER, str(path), ROOT, str(round_ * 100_000)]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        acknowledged.add(f"a{child.stdout.readline().strip()}")
        time.sleep(rng.uniform(0.0, 0.08))
        child.send_signal(signal.SIGKILL)
        acknowledged |= {f"a{line.strip()}" for line in child.stdout.read().splitlines() if line.strip()}
        child.wait()
        child.stdout.close()
        missing = acknowledged - ids(path)
        assert not missing, f"round {round_}: {len(missing)} of {len(acknowledged)} are gone"
    store = Store.open(path)
    assert store.counters["store-damaged"] == 0
    store.close()


def test_a_cut_or_torn_log_leaves_whole_transactions(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    for number in range(60):
        store.write([session(number, size=300), alert(number)], durable=True)
    rng = random.Random(5)
    wal = (tmp_path / "guard.db-wal").read_bytes()
    for turn in range(40):
        copy = tmp_path / f"copy{turn}" / "guard.db"
        copy.parent.mkdir()
        shutil.copy(store.path, copy)
        torn = bytearray(wal[: rng.randrange(len(wal))])
        if torn and turn % 2:
            torn[rng.randrange(len(torn))] ^= 1 << rng.randrange(8)
        copy.with_name("guard.db-wal").write_bytes(torn)
        again = Store.open(copy)
        numbers = {name[1:] for name in ids(copy)}
        assert numbers == {str(n) for n in range(len(numbers))}, "not a prefix of what was written"
        assert {str(body["id"])[1:] for body in Reader(copy).sessions()} == numbers, "half a transaction"
        assert again.counters["store-damaged"] == 0
        again.close()
    store.close()


def filled(path: Path, rows: int = 400) -> bytes:
    store = Store.open(path)
    for number in range(rows):
        store.write([session(number, state="closed", size=200), alert(number, state="closed")], durable=False)
    store.devices([SeenDevice("02:00:00:00:00:01", ("192.0.2.1",), "cam", T0, T0)])
    store.note_start(T0)
    store.close()
    return path.read_bytes()


def use(path: Path) -> Store:
    """Open whatever lies there and work with it: no error but StoreError may come, and new alerts are kept."""
    store = Store.open(path)
    store.note_start(T0 + 10)
    store.write([alert(10**6, T0 + 10)], durable=True)
    assert "a1000000" in ids(path)
    return store


def test_flipped_bits_are_found_or_harmless(tmp_path: Path) -> None:
    whole = filled(tmp_path / "whole" / "guard.db")
    rng = random.Random(7)
    aside, said = 0, []
    for turn in range(90):
        path = tmp_path / f"flip{turn}" / "guard.db"
        path.parent.mkdir()
        broken = bytearray(whole)
        for _ in range(rng.choice((1, 1, 8, 64))):
            broken[rng.randrange(len(broken)) if turn % 3 else rng.randrange(2048)] ^= 1 << rng.randrange(8)
        path.write_bytes(broken)
        reader = Reader(path)
        for ask in (reader.alerts, reader.sessions, reader.log, reader.devices, reader.runs, reader.last_seq):
            try:
                ask()  # type: ignore[operator]
            except StoreError as error:
                said.append(str(error))
        store = Store.open(path)
        if store.counters["store-damaged"]:
            aside += 1
            (kept,) = path.parent.glob("guard.db.damaged-*")
            assert kept.read_bytes() == broken, "the damaged file was changed"
            assert kept.name in store.told[0]
        store.close()
        use(path).close()  # what is found only here was written to before, in good faith
        shutil.rmtree(path.parent)
    assert said, "no reader met damage"
    assert not [text for text in said if "\n" in text]
    assert 10 < aside < 90, f"{aside} of 90: the test does not reach both ways"


@pytest.mark.parametrize("size", [0, 1, 15, 100, 2047, 2048, 2049, 20_000, 65_536])
def test_a_truncated_file_is_put_aside(tmp_path: Path, size: int) -> None:
    path = tmp_path / "guard.db"
    cut = filled(path)[:size]
    path.write_bytes(cut)
    store = use(path)
    # an empty file (or one byte) is a new one to SQLite; everything else that is cut is damage
    assert store.counters["store-damaged"] == (0 if size <= 1 else 1)
    store.close()


def test_something_else_than_a_database_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    path.write_bytes(b"not a database at all\n" * 1000)
    store = use(path)
    assert "was damaged" in store.told[0]
    store.close()


def test_damage_while_running_is_put_aside_by_the_daily_check(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    whole = filled(path)
    store = Store.open(path)
    for page in range(1, len(whole) // 2048):
        with path.open("r+b") as file:
            file.seek(page * 2048)
            file.write(os.urandom(2048))
    assert store.quick_check(60.0)
    assert store.counters["store-damaged"] == 1
    for number in range(500, 520):
        store.write([alert(number)], durable=True)
    assert {f"a{n}" for n in range(500, 520)} <= ids(path)
    store.close()


def test_a_replaced_store_counts_on_above_what_followers_know(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    filled(path)
    known = Reader(path).last_seq()
    path.write_bytes(b"x" * 5000)
    store = Store.open(path)
    seq = store.write([alert(7)], durable=True)
    assert seq > known
    assert [body["id"] for _, body in Reader(path).alerts_after(known)] == ["a7"]
    store.close()


def test_only_some_damaged_files_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    for _ in range(DAMAGED_KEPT + 3):
        path.write_bytes(b"x" * 5000)
        Store.open(path).close()
        path.unlink()
    assert len(list(tmp_path.glob("guard.db.damaged-*"))) <= DAMAGED_KEPT


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    filled(path)
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    before = path.read_bytes()
    for ask in (lambda: Store.open(path), lambda: Reader(path).alerts()):
        with pytest.raises(StoreError, match="newer camguard") as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_the_removed_file_is_noticed_at_the_next_heartbeat(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    store.note_start(T0)
    for name in ("guard.db", "guard.db-wal", "guard.db-shm"):
        (tmp_path / name).unlink()
    store.note_beat(T0 + 30)
    store.write([alert(1)], durable=True)
    assert ids(store.path) == {"a1"}
    store.close()


def test_one_writer(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    with pytest.raises(StoreTakenError, match="another camguard"):
        Store.open(tmp_path / "guard.db")
    store.close()
    Store.open(tmp_path / "guard.db").close()


def test_a_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use"):
        Store.open(tmp_path / "file" / "guard.db")
    (tmp_path / "guard.db").mkdir()
    with pytest.raises(StoreError) as caught:
        Store.open(tmp_path / "guard.db")
    assert "\n" not in str(caught.value)


def test_the_cap_holds_and_takes_the_oldest_rows_that_are_no_alerts(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    store = Store.open(path, max_mb=1)
    for number in range(2000):
        rows = [session(number, state="closed", size=900)]
        if number % 40 == 0:
            rows.append(alert(number, state="closed"))
        store.write(rows, durable=False)
    assert store.counters["store-full"] > 0
    assert path.stat().st_size <= 1 << 20
    reader = Reader(path)
    assert ids(path) == {f"a{n}" for n in range(0, 2000, 40)}
    kept = [int(str(body["id"])[1:]) for body in reader.sessions(limit=10**6)]
    assert max(kept) == 1999
    assert min(kept) > 100
    store.close()


def test_retention_by_days_spares_what_is_open(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    day = 86400.0
    old, new = T0 - 40 * day, T0 - 2 * day
    store.write(
        [
            session(1, old, "closed"), session(2, new, "closed"), session(3, old, "open"),
            alert(4, old, "closed")._replace(body=alert(4).body | {"raised": rfc3339(old), "state": "closed"}),
            alert(5, old, "open")._replace(body=alert(5).body | {"raised": rfc3339(old)}),
            alert(6, new, "closed"),
        ],
        durable=False,
    )  # fmt: skip
    while store.retain(30, 256, T0):
        pass
    reader = Reader(store.path)
    assert {body["id"] for body in reader.sessions()} == {"s2", "s3"}
    assert ids(store.path) == {"a5", "a6"}
    assert {body["id"] for body in reader.log()} == {"s2", "s3", "a5", "a6"}
    store.close()


def test_a_lowered_cap_gives_room_back(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    store = Store.open(path, max_mb=16)
    for number in range(3000):
        store.write([session(number, state="closed", size=900)] * 2, durable=False)
    store.close()
    before = path.stat().st_size
    store = Store.open(path, max_mb=2)
    for _ in range(90):
        if not store.retain(3650, 2, T0):
            break
    store.close()
    assert path.stat().st_size < 2.2 * (1 << 20) < before


def test_the_table_of_devices_is_capped(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    macs = [f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}" for n in range(DEVICES_KEPT + 100)]
    store.devices([SeenDevice(mac, (), None, T0 + n, T0 + n) for n, mac in enumerate(macs)])
    kept = Reader(store.path).devices()
    assert len(kept) == DEVICES_KEPT
    assert kept[0].mac == macs[-1]
    store.devices([SeenDevice(macs[-1], ("192.0.2.9",), None, T0, T0 + 1e6, True), kept[1]])
    store.devices([SeenDevice(macs[-1], ("192.0.2.9",), "named", T0, T0)])
    first = Reader(store.path).devices()[0]
    assert (first.name, first.speaks_camera, first.first_time, first.last_time) == (
        "named", True, T0 + DEVICES_KEPT + 99, T0 + 1e6,
    )  # fmt: skip
    store.close()


def test_little_is_written_to_the_card(tmp_path: Path) -> None:
    """In bursts at most twice what the rows hold (log and file) and 0.7 KB an event; the kernel counts it."""

    def written() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))

    store = Store.open(tmp_path / "guard.db")
    before = written()
    store.write([session(0)], durable=True)
    if written() == before:
        pytest.skip("this file system does not count what is written to it (tmpfs)")
    before = written()
    for start in range(0, 2000, 50):
        store.write([session(start + n, size=300) for n in range(50)], durable=False)
    store.close()
    body = len(json.dumps(session(1, size=300).body))
    assert (written() - before) / 2000 <= 2 * body + 700


def test_a_day_at_rest_costs_the_card_little(tmp_path: Path) -> None:
    """2880 heartbeats: at most 20 MB a day (reliability.md 17)."""
    store = Store.open(tmp_path / "guard.db")
    store.note_start(T0)
    begun = int(Path("/proc/self/io").read_text().split("\nwrite_bytes:")[1].split()[0])
    for number in range(288):
        store.note_beat(T0 + 30 * number)
    store.close()
    ended = int(Path("/proc/self/io").read_text().split("\nwrite_bytes:")[1].split()[0])
    assert (ended - begun) * 10 <= 20_000_000


DISK_FULL = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.store.rows import alert, session
from camguard.errors import StoreError
from camguard.store import Reader, Store
path = Path(sys.argv[1]) / "state" / "guard.db"
store = Store.open(path, max_mb=64)
kept, refused = 0, ""
for number in range(5000):
    try:
        more = [session(number * 9 + n, size=900, state="closed") for n in range(9)]
        store.write([alert(number), *more], durable=True)
        kept = number
    except StoreError as error:
        refused = str(error)
        break
assert "no room" in refused and "\\n" not in refused, refused
assert len(Reader(path).alerts(limit=10**6)) == kept + 1
(Path(sys.argv[1]) / "ballast").unlink()
store.write([alert(10**6)], durable=True)  # there is room again: it goes on by itself
store.close()
store = Store.open(path)
assert store.counters["store-damaged"] == 0 and len(Reader(path).alerts(limit=10**6)) == kept + 2
print("ok", kept)
"""


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_is_said_in_one_line_and_loses_nothing(tmp_path: Path) -> None:
    script = (
        'mount -t tmpfs -o size=2m none "$1" && head -c 500000 /dev/zero > "$1/ballast" && exec "$2" -c "$3" "$1" "$4"'
    )
    command = ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, DISK_FULL]
    done = subprocess.run([*command, ROOT], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ok")


def test_the_names_that_a_camera_was_told_are_kept_and_forgotten(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    day = 86_400.0
    store.names([("porch", "203.0.113.9", "old.example.com"), ("porch", "203.0.113.8", "up.example.com")], T0)
    store.names([("porch", "203.0.113.9", "new.example.com"), ("shed", "203.0.113.9", "x\udce9.example")], T0 + 5 * day)
    reader = Reader(store.path)
    told = [("porch", "203.0.113.9", "new.example.com"), ("shed", "203.0.113.9", "x?.example")]
    assert reader.names() == [("porch", "203.0.113.8", "up.example.com"), *told]
    assert reader.names(since=T0 + 1) == told
    store.retain(365, 256, T0 + 31 * day)
    assert reader.names() == told, "what is older than 30 days is somebody else's address by now"
    store.retain(2, 256, T0 + 8 * day)
    assert reader.names() == [], "never longer than the record is kept"
    store.names([("porch", f"2001:db8::{number:x}", "n") for number in range(NAMES_KEPT)], T0 + 9 * day)
    store.names([("porch", "203.0.113.7", "last")], T0 + 10 * day)
    assert len(reader.names()) == NAMES_KEPT
    assert reader.names()[-1] == ("porch", "203.0.113.7", "last")
    store.close()
