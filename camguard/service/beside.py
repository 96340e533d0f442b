"""The messenger beside the guard: `camguard run` starts it and ends it. In: Paths and Config; out: a second process.

It is forked before the guard opens its tap, so that it has no part in it, and leaves root by itself. It lives as long
as the other end of a pipe is open: whatever ends the guard, kill -9 too, ends the messenger. Signals would not do,
because the two may be different users.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from camguard import rights
from camguard.config import Config, Paths
from camguard.errors import ConfigError
from camguard.service.machine import account
from camguard.service.writer import note

MESSENGER, READERS = "camguard-deliver", "camguard"
END_S = 10.0  # what the messenger has to come to its end
_INSTALLED = Path("/var/lib/camguard")

Deliver = Callable[[Config, Paths], int]


class Beside:
    """A messenger that runs. `close` ends it."""

    def __init__(self, pid: int, alive: int) -> None:
        self.pid, self._alive = pid, alive

    def close(self) -> None:
        """Let it come to its end; after END_S it is ended."""
        os.close(self._alive)
        until = time.monotonic() + END_S
        while time.monotonic() < until:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            time.sleep(0.02)
        with contextlib.suppress(OSError):
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)


def start(load: Callable[[], Config], paths: Paths, deliver: Deliver) -> Beside | None:
    """The messenger in a process of its own; None where the configuration names nothing to send to.

    Must be called before the first thread, and before root is given up. The configuration is read by the new process:
    root reads nothing. What is wrong in it is left for the guard to say.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    asked, answer = os.pipe()
    watched, alive = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(asked)
        os.close(alive)
        os._exit(_messenger(load, paths, deliver, answer, watched))
    os.close(answer)
    os.close(watched)
    with os.fdopen(asked, "rb") as reader:
        needed = reader.read(1) == b"y"
    if needed:
        return Beside(pid, alive)
    os.close(alive)
    os.waitpid(pid, 0)
    return None


def _messenger(load: Callable[[], Config], paths: Paths, deliver: Deliver, answer: int, watched: int) -> int:
    """The new process, from its first to its last step; its exit code."""
    code = 1
    try:
        leave_root(paths)
        rights.give_up()
        try:
            config = load()
        except ConfigError:
            return 0  # the guard reads the same file and says so
        if not has_work(config):
            return 0
        os.write(answer, b"y")
        os.close(answer)
        threading.Thread(target=_end_with, args=(watched,), daemon=True).start()
        code = deliver(config, paths)
    except KeyboardInterrupt:
        code = 0
    except Exception as error:  # noqa: BLE001 - the last frame of a process; the text may show a secret
        note(f"camguard: messages are not sent: a fault in deliver ({type(error).__name__}). Please report this.")
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
    return code


def _end_with(watched: int) -> None:
    """Ask this process to end once the guard's end of the pipe is closed."""
    with contextlib.suppress(OSError):
        os.read(watched, 1)
    os.kill(os.getpid(), signal.SIGTERM)


def has_work(config: Config) -> bool:
    """Whether there is anything outside to send to."""
    return bool(config.channels or config.ping)


def leave_root(paths: Paths) -> None:
    """As root in an installation: make the outbox's folder and become the messenger, without any right."""
    owner = account(MESSENGER)
    if os.geteuid() != 0 or paths.state != _INSTALLED or owner is None:
        return
    readers = account(READERS) or owner
    folder = paths.delivery.parent
    folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    os.chown(folder, owner[0], readers[1])
    os.setgroups([readers[1], owner[1]])
    os.setresgid(readers[1], readers[1], readers[1])
    os.setresuid(*[owner[0]] * 3)
    os.umask(0o027)
