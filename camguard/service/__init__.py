"""The guard process: opens the tap, gives up every right, then runs the pipeline until it is told to stop.

In: Config and Paths. Out: events in guard.db, lines on stdout, now.json each second, words to systemd. Owns the clock.

One loop on one thread (loop.py): frames as they come, once a second the counts, a tick and the live figures (live.py).
One writer thread (writer.py) waits for the disk. Order at the start (reliability.md): user, tap, rights given up, files
confined, tap sealed; only then the store (resume.py: what the run before left), the first thread and the first packet.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from camguard import rights
from camguard.capture import Source, default_interface, open_source
from camguard.config import Config, Paths
from camguard.errors import CaptureError, StoreError
from camguard.events import hosts_of
from camguard.service import lean, machine
from camguard.service.sdnotify import Manager
from camguard.service.writer import Printer, Writer, note
from camguard.store import Store, StoreTakenError


def run(
    config: Config | Callable[[], Config],
    paths: Paths,
    *,
    as_json: bool,
    foreground: bool,
    interfaces: Sequence[str] = (),
) -> int:
    """Guard until SIGTERM or SIGINT; the exit code. CaptureError when the tap cannot be opened.

    `config` may be a function: it is called after root was given up, so that root reads nothing of others.
    `foreground`: a person reads stdout (each event as a line); otherwise it is the journal (alerts and what matters).
    `interfaces` go before those of `config`.
    """
    lean.leave_out()
    lean.give_back()
    said = become_user(paths)
    if not isinstance(config, Config):
        config = config()
    if said:
        note(said)
    manager = Manager(os.environ)
    names = tuple(interfaces) or config.interfaces or (default_interface(),)
    source = open_source(names, hosts_of(config.home))
    try:
        confine(source, paths)
        return guard(config, paths, source, names, manager, as_json=as_json, foreground=foreground)
    finally:
        source.close()
        manager.close()


def become_user(paths: Paths) -> str | None:
    """As root in an installation: make the folders and become the user camguard. A sentence when that cannot be."""
    if os.geteuid() != 0:
        return None
    if paths.state != Path("/var/lib/camguard"):
        return "camguard runs as root here, with every right given up once it looks."
    owner = machine.account("camguard")
    if owner is None:
        return "There is no user camguard: running as root, with every right given up. Fix: sudo systemd/install.sh"
    for folder in (paths.state, paths.runtime):
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        os.chown(folder, *owner)
    rights.become("camguard")
    return None


def confine(source: Source, paths: Paths) -> None:
    """Give up what the tap needed and this process no longer does. Before the first thread and the first packet."""
    for folder in (paths.state, paths.runtime):
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise CaptureError(f"cannot make the folder {folder}: {error.strerror}. Fix: --state-dir FOLDER") from None
    rights.give_up()
    read = (paths.config.parent, paths.config.resolve().parent)
    for done in (
        rights.confine(write=(paths.state, paths.runtime), read=read),
        rights.seal_tap(source.filenos()),
    ):
        if " not " in done:  # an old kernel: the guard goes on with what protection there is, and says so
            note(f"camguard: {done}")


def guard(
    config: Config,
    paths: Paths,
    source: Source,
    names: tuple[str, ...],
    manager: Manager,
    *,
    as_json: bool,
    foreground: bool,
) -> int:
    """Everything after the rights are gone: the store, the threads, the loop."""
    from camguard.service.loop import Service
    from camguard.service.resume import Left, what_was_left

    printer = Printer(sys.stdout.fileno() if sys.stdout else 1)

    def open_store() -> Store:
        return Store.open(paths.database, config.max_mb)

    trouble: str | None = None
    opened: Store | None = None
    left = Left((), (), None)
    try:
        opened = open_store()
        left = what_was_left(opened, paths, time.time())
    except StoreTakenError as error:
        note(f"camguard: {error}")
        return 1
    except StoreError as error:
        trouble = str(error)
    writer = Writer(opened, open_store, printer)
    writer.trouble = trouble
    service = Service(config, paths, source, names, manager, writer, left=left, as_json=as_json, foreground=foreground)
    return service.serve()
