"""The writer thread: rows come in from the loop, are committed to the store, and only then are alerts said aloud.

The loop never waits for the disk: `put` and `ask` return at once. The queue is bounded; when it is full, the oldest
row that is no alert is dropped and counted. Such rows are written in batches (50 rows or 5 seconds), alerts at once and
durably, and so is what the owner decided. Where the store fails, alerts are said all the same and kept to be written
when it works again.
"""

import contextlib
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from camguard.errors import StoreError
from camguard.store import Row, Store

QUEUE_ROWS = 5000
BATCH_ROWS = 50
BATCH_S = 5.0
AGAIN_S = 15.0  # between two tries to open or use a store that failed
UNSAVED_ALERTS = 1000
PIECE = 2048  # bytes printed at a time
URGENT = ("alert", "decision")  # committed at once and durably, never dropped


class Item(NamedTuple):
    """One row on its way. `line` is what is printed (None: nothing): alerts after the commit, others on arrival."""

    row: Row
    line: str | None


class Printer:
    """Whole lines on a file descriptor, without ever waiting for a reader that is slow, stopped or gone."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.lost = 0
        self.gone = False
        self._stuck = False

    def line(self, text: str, wait_s: float = 1.0) -> None:
        """Print `text`; counted as lost when the other side takes nothing within `wait_s` (or at once, again)."""
        if self.gone:
            self.lost += 1
            return
        poll = select.poll()
        poll.register(self.fd, select.POLLOUT)
        data = (text + "\n").encode("utf-8", "replace")
        try:
            while data:
                if not poll.poll(0 if self._stuck else wait_s * 1000):
                    self._stuck = True
                    self.lost += 1
                    return
                self._stuck = False
                # a pipe that can be written takes a page without waiting for its reader (pipe(7))
                data = data[os.write(self.fd, data[:PIECE]) :]
        except OSError:
            self.gone = True
            self.lost += 1


class Writer:
    """Owns the store. `run` is the thread's whole life; everything else public is for the loop's thread."""

    def __init__(
        self, store: Store | None, open_store: Callable[[], Store], printer: Printer, *, again_s: float = AGAIN_S
    ) -> None:
        self.printer = printer
        self.trouble: str | None = None  # what is wrong with the store now, one sentence
        self.told: list[str] = []  # sentences from the store (a damaged file put aside), for the loop to take
        self.answered_at = time.monotonic()
        self.counters = {"rows-written": 0, "rows-dropped": 0, "rows-lost": 0, "commits": 0}
        self.committed: set[str] = set()  # ids of open alerts that were committed or said
        self.worst_commit_s = 0.0
        self._store = store
        self._open_store = open_store
        self._again_s = again_s
        self._tried_at = time.monotonic()
        self._items: deque[Item] = deque()
        self._alerts_waiting = 0
        self._jobs: deque[tuple[Callable[[Store], Any], Callable[[Any], None] | None]] = deque()
        self._unsaved: deque[Row] = deque(maxlen=UNSAVED_ALERTS)
        self._wake = threading.Condition()
        self._stopping = False
        self._pending: list[Item] = []  # rows taken over, not yet due

    # ---- for the loop ------------------------------------------------------------------------------------------------

    def put(self, items: list[Item]) -> None:
        """Take rows over, in their order."""
        with self._wake:
            for item in items:
                if len(self._items) >= QUEUE_ROWS:
                    self._drop_one()
                self._items.append(item)
                self._alerts_waiting += item.row.kind in URGENT
            self._wake.notify()

    def ask(self, job: Callable[[Store], Any], done: Callable[[Any], None] | None = None) -> None:
        """Run `job` on the store between two batches; `done` gets its answer (or the StoreError) in this thread."""
        with self._wake:
            self._jobs.append((job, done))
            self._wake.notify()

    def ping(self) -> None:
        """Ask for a sign of life: `answered_at` moves when the thread is not stuck."""
        with self._wake:
            self._wake.notify()

    def queued(self) -> int:
        """Rows waiting."""
        return len(self._items)

    def alert_waits(self) -> bool:
        """Whether a long job should give way."""
        return self._alerts_waiting > 0

    def all_counters(self) -> dict[str, int]:
        """Its own counters, the printer's and the store's."""
        store = self._store.counters if self._store is not None else {}
        return self.counters | {"lines-lost": self.printer.lost} | store

    def stop(self, last: Callable[[Store], Any]) -> None:
        """Write what waits, run `last`, close the store, end `run`."""
        self.ask(last)
        with self._wake:
            self._stopping = True
            self._wake.notify()

    def _drop_one(self) -> None:
        for index, item in enumerate(self._items):
            if item.row.kind not in URGENT:
                del self._items[index]
                self.counters["rows-dropped"] += 1
                return

    # ---- the thread --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Write until `stop`. May be called again after it raised something unforeseen: what it had in hand is lost."""
        due = 0.0
        while True:
            with self._wake:
                if not (self._items or self._jobs or self._stopping):
                    self._wake.wait(max(0.0, due - time.monotonic()) if self._pending else None)
                fresh, self._items = list(self._items), deque()
                jobs, self._jobs = list(self._jobs), deque()
                self._alerts_waiting = 0
                stopping = self._stopping
            self.answered_at = time.monotonic()
            if fresh and not self._pending:
                due = self.answered_at + BATCH_S
            for item in fresh:
                if item.line is not None and item.row.kind not in URGENT:
                    self.printer.line(item.line)
            self._pending += fresh
            if (
                any(item.row.kind in URGENT for item in fresh)
                or (self._pending and (stopping or len(self._pending) >= BATCH_ROWS or self.answered_at >= due))
                or (jobs and (self._pending or self._unsaved))
            ):
                batch, self._pending = self._pending, []
                self._commit(batch)
            for job, done in jobs:
                self._job(job, done)
            if stopping and not self._items and not self._jobs:
                if self._store is not None:
                    self._store.close()
                return

    def _commit(self, items: list[Item]) -> None:
        """Write, then say the alerts. Where the store fails the alerts are said all the same, and kept."""
        begun = time.monotonic()
        alerts = [item for item in items if item.row.kind in URGENT]
        rows = [*self._unsaved, *(item.row for item in items)]
        written = False
        try:
            written = self._write(rows)
        finally:
            for item in alerts:
                self._say(item)
        self.worst_commit_s = max(self.worst_commit_s, time.monotonic() - begun)
        if written:
            self._unsaved.clear()
        else:
            self._unsaved.extend(item.row for item in alerts)
            self.counters["rows-lost"] += len(items) - len(alerts)

    def _write(self, rows: list[Row]) -> bool:
        store = self._usable()
        if store is None:
            return False
        try:
            store.write(rows, durable=any(row.kind in URGENT for row in rows))
        except StoreError as error:
            self.trouble = str(error)
            return False
        finally:
            self._take_told(store)
        self.trouble = None
        self.counters["rows-written"] += len(rows)
        self.counters["commits"] += 1
        return True

    def _say(self, item: Item) -> None:
        if item.row.id is not None:
            if item.row.state == "closed":
                self.committed.discard(item.row.id)
            else:
                self.committed.add(item.row.id)
        if item.line is not None:
            self.printer.line(item.line)

    def _job(self, job: Callable[[Store], Any], done: Callable[[Any], None] | None) -> None:
        answer: Any = None
        store = self._usable()
        if store is not None:
            try:
                answer = job(store)
            except StoreError as error:
                self.trouble = str(error)
                answer = error
            self._take_told(store)
        else:
            answer = StoreError(self.trouble or "there is no store")
        if done is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed already
                done(answer)

    def _usable(self) -> Store | None:
        """The store; opened anew, from time to time, where it could not be opened before."""
        if self._store is None and time.monotonic() - self._tried_at >= self._again_s:
            self._tried_at = time.monotonic()
            try:
                self._store = self._open_store()
            except StoreError as error:
                self.trouble = str(error)
        return self._store

    def _take_told(self, store: Store | None) -> None:
        if store is not None and store.told:
            self.told += store.told
            store.told = []


def note(text: str) -> None:
    """A message for a person, on stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
