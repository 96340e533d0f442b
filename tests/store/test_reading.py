"""The store's reader: read permission is enough, the guard may come and go, gaps are gaps."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from camguard.errors import StoreError
from camguard.store import Looked, Reader, Run, Store, looked
from tests.store.rows import T0, alert, login, session


def test_ranges_cameras_and_limits(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    store.write([session(1, T0, "closed"), session(2, T0 + 100, "open"), session(3, T0 + 200, "closed")], durable=False)
    store.write([alert(1, T0 + 1), alert(2, T0 + 2, "closed"), alert(3, T0 + 3, "closed")], durable=True)
    reader = Reader(store.path)

    def names(rows: list[dict]) -> str:
        return " ".join(body["id"] for body in rows)

    assert names(reader.sessions()) == "s3 s2 s1"
    assert names(reader.sessions(since=T0 + 150)) == "s3 s2", "what is still open touches every later range"
    assert names(reader.sessions(until=T0 + 150)) == "s2 s1"
    assert names(reader.sessions(since=T0 + 4.9, until=T0 + 50)) == "s1", "ended in the range"
    assert names(reader.sessions(since=T0 + 5.1, until=T0 + 50)) == ""
    assert names(reader.sessions(camera="nursery")) == ""
    assert names(reader.sessions(camera="porch", limit=1)) == "s3"
    assert names(reader.alerts(since=T0 + 3)) == "a3 a1"
    assert names(reader.alerts(until=T0 + 3)) == "a2 a1"
    assert names(reader.log(kinds=("alert",), limit=2)) == "a2 a3"
    assert names(reader.log(since=T0 + 2, until=T0 + 150)) == "s2 a2 a3"
    store.close()


def test_logins(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    rows = [login(1), login(2, T0 + 50, "success"), login(3, T0 + 100, camera="garage"), login(4, T0 + 100)]
    store.write(rows, durable=False)
    reader = Reader(store.path)

    def names(rows: list[dict]) -> str:
        return " ".join(body["id"] for body in rows)

    assert names(reader.logins()) == "l4 l3 l2 l1"
    assert names(reader.logins(since=T0 + 50, until=T0 + 100)) == "l2"
    assert names(reader.logins(camera="garage")) == "l3"
    assert names(reader.logins(limit=1)) == "l4"
    assert names(reader.log(kinds=("login",))) == "l1 l2 l3 l4"
    while store.retain(30, 256, T0 + 30 * 86_400 + 60):
        pass
    assert names(reader.logins()) == "l4 l3", "what is too old goes from both tables"
    store.close()


@pytest.mark.parametrize(
    ("runs", "since", "until", "expected"),
    [
        ([], 0, 100, Looked(0.0, ())),
        ([Run(10, 60, 60)], 0, 60, Looked(50.0, ())),
        ([Run(10, 60, 60)], 0, 100, Looked(50.0, ((60, 100),))),
        ([Run(10, 60, None)], 0, 90, Looked(80.0, ())),  # the next heartbeat is not due yet
        ([Run(10, 60, None)], 0, 200, Looked(50.0, ((60, 200),))),
        ([Run(10, 60, 60), Run(80, 100, 100)], 0, 100, Looked(70.0, ((60, 80),))),
        ([Run(10, 60, None), Run(80, 100, None)], 50, 101, Looked(31.0, ((60, 80),))),
        ([Run(10, 60, 60), Run(60.5, 100, 100)], 0, 100, Looked(89.5, ())),  # less than a second is none
        ([Run(10, 60, 60), Run(80, 100, 100)], 90, 100, Looked(10.0, ())),
    ],
)
def test_looked(runs: list[Run], since: float, until: float, expected: Looked) -> None:
    assert looked(runs, since, until) == expected


def test_nothing_there_is_one_line_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing is recorded yet"):
        Reader(tmp_path / "guard.db").alerts()


def test_one_reader_through_stop_start_and_replacement(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    store = Store.open(path)
    store.write([alert(1)], durable=True)
    reader = Reader(path)
    assert [body["id"] for body in reader.alerts()] == ["a1"]
    store.close()  # the reader has the file open: SQLite leaves the log beside it
    assert [body["id"] for body in reader.alerts()] == ["a1"]
    reader.close()
    Store.open(path).close()
    assert [body["id"] for body in reader.alerts()] == ["a1"]
    assert not path.with_name("guard.db-wal").exists(), "a reader made the guard's log"
    store = Store.open(path)
    store.write([alert(2)], durable=True)
    assert [body["id"] for body in reader.alerts()] == ["a2", "a1"]
    store.close()
    path.unlink()
    store = Store.open(path)
    store.write([alert(3)], durable=True)
    assert [body["id"] for body in reader.alerts()] == ["a3"]
    store.close()


def test_a_follower_misses_nothing_while_the_guard_restarts(tmp_path: Path) -> None:
    path = tmp_path / "guard.db"
    Store.open(path).close()
    seen: list[int] = []
    faults: list[str] = []
    done = threading.Event()

    def follow() -> None:
        reader, at = Reader(path), 0
        while True:
            last = done.is_set()
            try:
                for seq, body in reader.alerts_after(at):
                    at = seq
                    seen.append(int(str(body["id"])[1:]))
            except StoreError as error:
                faults.append(str(error))
            if last:
                return
            time.sleep(0.002)

    follower = threading.Thread(target=follow)
    follower.start()
    for start in range(0, 200, 10):
        store = Store.open(path)
        for number in range(start, start + 10):
            store.write([alert(number)], durable=True)
        store.close()
    done.set()
    follower.join()
    assert seen == list(range(200)), faults


ANOTHER_USER = """
import os, sys
os.setgroups([int(sys.argv[2])]); os.setgid(65534); os.setuid(65534)
from pathlib import Path
from camguard.store import Reader
reader = Reader(Path(sys.argv[1]))
for _ in sys.stdin:
    print(len(reader.alerts()), flush=True)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_a_member_of_the_group_reads_while_the_guard_runs_and_while_it_does_not(tmp_path: Path) -> None:
    group = 64123
    folder = tmp_path / "state"
    folder.mkdir(mode=0o750)
    os.chown(folder, 0, group)
    folder.chmod(0o2750)  # as in an installation, where everything of the guard is of its group
    for parent in tmp_path.parents:
        if str(parent).startswith("/tmp/"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    path = folder / "guard.db"
    store = Store.open(path)
    store.write([alert(1)], durable=True)
    assert path.stat().st_mode & 0o777 == 0o640
    assert path.with_name("guard.db-wal").stat().st_mode & 0o777 == 0o640
    child = subprocess.Popen(
        [sys.executable, "-c", ANOTHER_USER, str(path), str(group)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip

    def ask() -> str:
        assert child.stdin
        assert child.stdout
        child.stdin.write("?\n")
        child.stdin.flush()
        return child.stdout.readline().strip()

    try:
        assert ask() == "1"
        store.close()
        assert ask() == "1", "the guard is down and nobody may write in the folder"
        store = Store.open(path)
        store.write([alert(2)], durable=True)
        assert ask() == "2"
        store.close()
    finally:
        child.stdin.close()
        child.wait(60)
        child.stdout.close()
    child = subprocess.run(
        [sys.executable, "-c", ANOTHER_USER, str(path), "64999"],
        input="?\n",
        capture_output=True,
        text=True,
        check=False,
    )  # type: ignore[assignment]
    assert "you may not read" in str(child.stderr)
