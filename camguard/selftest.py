"""`camguard selftest`: bundled captures through the whole chain, the notification included. As any user, anywhere.

In: camguard/samples (a made-up home; no real video). Out: one line a link of the chain. Everything it writes is in a
temporary folder of its own; the owner's record, configuration and running companion are not touched. The chain is the
guard's own: capture file -> ledger -> pipeline -> committed alert -> companion -> notification service.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from camguard import config, report, store
from camguard.capture import ledger, pcap
from camguard.errors import CaptureError, ConfigError, StoreError
from camguard.events import Alert, Event, Home, hosts_of
from camguard.guard import Guard
from camguard.places import Places

SAMPLES = Path(__file__).parent / "samples"
IN_TIME_S = 3.0  # contract.md: readable viewing, packet time from the first media packet to the alert
MARK = "Test: "


@dataclass(frozen=True)
class Line:
    """One link of the chain: `mark` is "ok", "fault" or "left out"; `fix` what to do about a fault."""

    mark: str
    name: str
    detail: str
    fix: str = ""

    def text(self) -> str:
        """As it is printed."""
        first = f"[{self.mark}]".ljust(11) + self.name.ljust(14) + self.detail
        return first + (f"\n{' ' * 25}{self.fix}" if self.fix else "")


class _BrokenError(Exception):
    """A link of the chain does not hold; the rest cannot be tried. `line` says it."""

    def __init__(self, name: str, detail: str, fix: str) -> None:
        super().__init__(detail)
        self.line = Line("fault", name, detail, fix)


def run(*, desktop: bool = True, write: Callable[[str], Any] = sys.stdout.write) -> int:
    """Print the lines; 0 when every link that was tried holds, else 1. Without `desktop` no notification is raised."""
    write("camguard self-test: made-up captures through the whole chain. Nothing of yours is touched.\n")
    faults = 0
    for line in _lines(desktop):
        faults += line.mark == "fault"
        write(line.text() + "\n")
    if faults:
        write("\nThe chain does not hold: an alert would not reach you here. What to do stands above.\n")
    elif desktop:
        write("\nThe whole chain works: somebody opens a camera's video, and you are told.\n")
    else:
        write("\nThe chain works up to the companion; whether a notification is shown here was left out.\n")
    return 1 if faults else 0


def _lines(desktop: bool) -> Iterator[Line]:
    try:
        with tempfile.TemporaryDirectory(prefix="camguard-selftest-") as folder:
            yield from _chain(Path(folder), desktop)
    except _BrokenError as broken:
        yield broken.line
    except OSError as error:
        yield Line(
            "fault", "folder", f"no temporary folder: {error.strerror}", "Free some space in /tmp, or set TMPDIR."
        )


def _chain(folder: Path, desktop: bool) -> Iterator[Line]:
    again = "Install camguard again: sudo systemd/install.sh"
    try:
        home = config.load(SAMPLES / "home.toml").home
        frames = sum(1 for _ in pcap.frames(SAMPLES / "outsider.pcap"))
    except (CaptureError, ConfigError, OSError) as error:
        raise _BrokenError("capture", report.clean(str(error)), again) from None
    yield Line("ok", "capture", f"{frames} packets read: somebody outside opens a camera's video")

    events = list(_replayed(home, SAMPLES / "outsider.pcap"))
    alerts = [event for event in events if isinstance(event, Alert)]
    kinds = [(alert.type, alert.state) for alert in alerts]
    if kinds != [("remote-stream", "open"), ("exposed-port", "open"), ("remote-stream", "closed")]:
        raise _BrokenError("pipeline", f"expected one viewing, told and ended, and got {kinds or 'none'}", again)
    late_s = alerts[0].raised - alerts[0].started
    if late_s > IN_TIME_S:
        raise _BrokenError("pipeline", f"the alert came {late_s:.1f} s after the viewing began", again)
    title, _ = report.words(alerts[0])
    yield Line("ok", "pipeline", f'one alert, {late_s:.1f} s after the viewing began: "{title}"')

    # that one can come in from outside is a matter of its own; what follows is about the viewing
    viewing = [event for event in events if not isinstance(event, Alert) or event.type == "remote-stream"]
    yield from _record_and_desktop(folder, viewing, desktop)

    loud = [event for event in _replayed(home, SAMPLES / "quiet.pcap") if isinstance(event, Alert)]
    if loud:
        raise _BrokenError("quiet", f"a recorder and a motion clip raised {len(loud)} alerts", again)
    yield Line("ok", "quiet", "the owner's recorder, a motion clip and a heartbeat raised nothing")


def _replayed(home: Home, path: Path) -> Iterator[Event]:
    """What the pipeline makes of a capture, as if it had happened until now."""
    first = next(iter(pcap.frames(path))).at
    guard = Guard(home, Places(), offset_s=time.time() - first - 20.0)
    second = int(first) + 1
    for item in ledger.run(pcap.frames(path), hosts_of(home)):
        while second < item.at:
            yield from guard.tick(float(second))
            second += 1
        yield from guard.feed(item)
    yield from guard.tick(float(second))
    yield from guard.finish(float(second))


def _record_and_desktop(folder: Path, events: list[Event], desktop: bool) -> Iterator[Line]:
    """Commit the events, and let the companion follow: the alert when it opens, and again when it has ended."""
    from camguard.tell.companion import Companion
    from camguard.tell.desktop import Letter, show

    def taken(letter: Letter) -> bool:
        letter.shown, letter.server = 1, "left out"
        return True

    paths = config.paths(folder / "home.toml", folder, folder)
    said: list[str] = []
    companion = Companion(paths, folder / "desktop.json", show if desktop else taken, said.append, mark=MARK)
    zone = config.machine_timezone()
    split = next(n for n, event in enumerate(events) if isinstance(event, Alert)) + 1
    try:
        record = store.Store.open(paths.database)
        store.write_now(paths.now, {"time": store.rfc3339(time.time())})
        began = time.monotonic()
        record.write([_row(event, zone) for event in events[:split]], durable=True)
        committed_s = time.monotonic() - began
        kept = store.Reader(paths.database).open_alerts()
    except (StoreError, OSError) as error:
        raise _BrokenError("record", report.clean(str(error)), "Free some space in /tmp, or set TMPDIR.") from None
    if len(kept) != 1:
        raise _BrokenError("record", f"{len(kept)} open alerts in it, not 1", "Please report this.")
    yield Line("ok", "record", f"alert on the disk after {committed_s * 1000:.0f} ms, before anybody is told")

    opened = _follow(companion, 1)
    if opened is None:
        if not companion.pending:
            raise _BrokenError("companion", "it did not find the alert in the record", "Please report this.")
        yield Line("ok", "companion", "took the alert from the record")
        yield Line(
            "fault",
            "notification",
            companion.memory.failing or "not shown",
            "Run this in your desktop session, or leave it out: camguard selftest --no-desktop",
        )
    else:
        yield Line("ok", "companion", "took the alert from the record, and nothing twice")
        if desktop:
            yield Line(
                "ok",
                "notification",
                f"shown by {report.clean(opened.service)} in {opened.took_s * 1000:.0f} ms, marked as a test",
            )
        else:
            yield Line("left out", "notification", "not tried, as you asked (--no-desktop)")
        record.write([_row(event, zone) for event in events[split:]], durable=True)
        closed = _follow(companion, 2)
        if closed is None or closed.shown != opened.shown or closed.sound is not None:
            raise _BrokenError("ending", "the ended viewing did not replace the notification", "Please report this.")
        yield Line("ok", "ending", f'replaced in silence: "{report.clean(closed.title)}"')
    record.close()


def _row(event: Event, zone: str) -> store.Row:
    body = report.as_dict(event, zone)
    return store.Row(body["kind"], event.time, body["camera"], body.get("id"), body.get("state"), body)


def _follow(companion: Any, number: int) -> Any:
    """The `number`th letter that the companion shows, None where the first try fails."""
    for turn in range(4):
        companion.turn(float(turn) if number == 1 else 10.0 + turn)
        if len(companion.shown) >= number:
            return companion.shown[number - 1]
        if companion.memory.failing:
            return None
    return None
