"""Following guard.db: every change of an alert once, in the order of writing. The companion and deliver both do it.

In: the place up to which one has read (`seq`), a monotonic clock in seconds. Out: portions of rows (seq, alert). The
guard may start, stop, replace or lose the record meanwhile; what cannot be read is said once and tried again.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from camguard import store
from camguard.errors import StoreError

REOPEN_S = 2.0
PORTION = 500
SILENCES_S = 60.0


class Portion(NamedTuple):
    """`rows`: what is new. `going_on`: at the very first reading, the alerts that were open then, oldest first: the
    past is past, except what is still going on. `another`: the record is another one, what was known is void."""

    rows: list[tuple[int, dict[str, Any]]]
    going_on: tuple[dict[str, Any], ...] = ()
    another: bool = False


class Follower:
    """`seq` None: nothing was ever read. `say` gets a sentence when reading fails, and when it works again."""

    def __init__(self, database: Path, seq: int | None, say: Callable[[str], None]) -> None:
        self.seq, self.trouble = seq, ""
        self._database, self._say, self._read_at = database, say, 0.0
        self._reader = store.Reader(database)
        if seq is None and self._no_store():
            self.seq = 0  # all that will ever be in it is new

    def read(self, at: float) -> Portion | None:
        """What is new (`PORTION` rows at most); None while the record cannot be read."""
        if at < self._read_at:
            return None
        going_on: tuple[dict[str, Any], ...] = ()
        another = False
        try:
            last = self._reader.last_seq()
            if self.seq is None:
                going_on = tuple(reversed(self._reader.open_alerts()))
                self.seq = last
            elif last < self.seq:  # the old one was removed
                self.seq, another = 0, True
            rows = self._reader.alerts_after(self.seq, PORTION) if last > self.seq else []
        except StoreError as error:
            self._read_at = at + REOPEN_S
            self.trouble_is(str(error))
            return None
        self.trouble_is("")
        if rows:
            self.seq = rows[-1][0]
        return Portion(rows, going_on, another)

    def open_alerts(self) -> list[dict[str, Any]]:
        """The alerts that are open now, oldest first; none where the record cannot be read."""
        try:
            return self._reader.open_alerts()[::-1]
        except StoreError:
            return []

    def trouble_is(self, sentence: str) -> None:
        """Say it where it is another trouble than before; "" : there is none any more."""
        if sentence != self.trouble:
            self.trouble = sentence
            self._say(
                f"{sentence.rstrip('.')}. Trying again until it works." if sentence else "reading the store again."
            )

    def _no_store(self) -> bool:
        try:
            return not self._database.exists()
        except OSError:
            return False  # it may be there: a folder on the way may not be entered


class Silences:
    """What the owner does not want to hear of at present: cameras (None: all) and alerts, each with its end."""

    def __init__(self, database: Path) -> None:
        self._reader = store.Reader(database)
        self._seq, self._until = -1, 0.0
        self._alerts: dict[str, float] = {}

    def at(self, now: float) -> tuple[dict[str | None, float], dict[str, float]]:
        """As the record has it; StoreError where it cannot be read."""
        last = self._reader.last_seq()
        if last != self._seq or now >= self._until:
            self._seq, self._until = last, now + SILENCES_S
            self._alerts = {
                str(one.decision.alert): now + one.left_s
                for one in self._reader.decisions(now)
                if one.decision.what == "silence" and one.decision.alert and one.left_s is not None
            }
        return self._reader.silenced(now), self._alerts
