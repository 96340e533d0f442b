"""A guard process over a capture file, for tests: `python a_guard.py CAPTURE CONFIG STATE RUNTIME [--json] [trouble]`.

Everything behind the tap is the real thing; the tap is a real Source that plays the file in real time. `trouble` is
what goes wrong: "read" or "collect" fails each time, or the interface is "gone".
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from camguard import config, service
from camguard.capture import ledger, pcap
from camguard.events import FlowCount, Frame, Host, Interface, hosts_of
from camguard.service.sdnotify import Manager


class Played:
    """A Source that plays a capture file at the speed at which it was taken, one second after it was opened; where
    CAMGUARD_TEST_CURTAIN names a file, as soon as that is there."""

    what, cost = "capture file", None

    def __init__(self, path: Path, hosts: Sequence[Host], trouble: str) -> None:
        self.frames: list[Frame] = []
        self.counts: list[FlowCount] = []
        self.trouble = trouble
        self.hosts: Iterable[Host] = hosts
        self.ready, self.bell = os.pipe()
        os.set_blocking(self.ready, False)
        items = list(ledger.run(pcap.frames(path), hosts))
        curtain = os.environ.get("CAMGUARD_TEST_CURTAIN")
        if curtain is None:
            self._begin(items, time.monotonic() + 1.0)
        threading.Thread(target=self._ring, args=(items, curtain), daemon=True).start()

    def _begin(self, items: Sequence[Frame | FlowCount], at: float) -> None:
        shift = at - items[0].at
        self.counts = [
            item._replace(at=item.at + shift, first_at=item.first_at + shift, last_at=item.last_at + shift)
            for item in items
            if isinstance(item, FlowCount)
        ]
        self.frames = [item._replace(at=item.at + shift) for item in items if isinstance(item, Frame)]

    def _ring(self, items: Sequence[Frame | FlowCount], curtain: str | None) -> None:
        if curtain is not None:
            while not os.path.exists(curtain):
                time.sleep(0.02)
            self._begin(items, time.monotonic() + 0.1)
        for frame in list(self.frames):
            time.sleep(max(0.0, frame.at - time.monotonic()))
            os.write(self.bell, b"x")

    def filenos(self) -> tuple[int, ...]:
        return (self.ready,)

    def read(self) -> list[Frame]:
        if self.trouble == "read":
            raise ValueError("a fault in read")
        with contextlib.suppress(BlockingIOError):
            os.read(self.ready, 4096)
        return self._due(self.frames)

    def _due(self, waiting: list) -> list:
        now = time.monotonic()
        due = [item for item in waiting if item.at <= now]
        del waiting[: len(due)]
        return due

    def collect(self, at: float) -> list[FlowCount]:
        if self.trouble == "collect":
            raise ValueError("a fault in collect")
        return self._due(self.counts)

    def maintain(self, at: float) -> list[str]:
        return []

    def interfaces(self) -> list[Interface]:
        return [Interface("file0", "gone" if self.trouble == "gone" else "up", bytes(6), 1000, 0)]

    def counters(self) -> dict[str, int]:
        return {"socket-drops": 0}

    def set_hosts(self, hosts: Sequence[Host]) -> None:
        self.hosts = hosts

    def close(self) -> None:
        os.close(self.ready)


def main() -> int:
    capture, config_path, state, runtime = map(Path, sys.argv[1:5])
    trouble = sys.argv[-1] if sys.argv[-1] in ("read", "collect", "gone") else ""
    where = config.paths(config_path, state, runtime)
    loaded = config.load(config_path)
    state.mkdir(exist_ok=True)
    runtime.mkdir(exist_ok=True)
    source = Played(capture, hosts_of(loaded.home), trouble)
    return service.guard(
        loaded, where, source, ("file0",), Manager(os.environ), as_json="--json" in sys.argv, foreground=True
    )


if __name__ == "__main__":
    sys.exit(main())
