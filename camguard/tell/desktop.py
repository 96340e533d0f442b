"""Notifications in the owner's session: one checked door to the desktop, and the program `camguard desktop`.

In: alerts that are committed in guard.db (companion.py decides what is shown when). Out: notifications by notify-py,
always through `CheckedNotifier`, because notify-py's own ways say "sent" when the notification service is dead, hang
on a hung one, and let a name from the network become an option or markup. Source of the calls and hints: freedesktop
Desktop Notifications Specification 1.2. A call takes at most `TIMEOUT_S`, whatever the service does.
"""

import contextlib
import fcntl
import html
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call  # type: ignore[import-untyped]
from jeepney.auth import AuthenticationError  # type: ignore[import-untyped]
from jeepney.bus import get_connectable_addresses  # type: ignore[import-untyped]
from jeepney.bus_messages import message_bus  # type: ignore[import-untyped]
from jeepney.io.blocking import DBusConnection, prep_socket  # type: ignore[import-untyped]
from notifypy import Notify
from notifypy.os_notifiers._base import BaseNotifier

from camguard import report
from camguard.config import Paths

TIMEOUT_S = 2.0
POLL_S = 0.5
_SERVICE = DBusAddress(
    "/org/freedesktop/Notifications", "org.freedesktop.Notifications", "org.freedesktop.Notifications"
)
_NO_SESSION = "there is no desktop session here (no session bus)"


@dataclass
class Letter:
    """One notification to show, and what became of it.

    `replaces`: id of the one to swap in place, if `server` is still the service that gave it. `expire_ms`: -1 as the
    service likes, 0 never. After `show`: `shown` (the service's id), `server` (which service, in which session),
    `service` (its name), or `error` in words and `broken` = the service takes nothing at all.
    """

    title: str
    body: str
    urgency: Literal[0, 1, 2] = 1
    sound: str | None = None
    expire_ms: int = -1
    replaces: int = 0
    server: str = ""
    shown: int = 0
    service: str = ""
    error: str = ""
    broken: bool = False
    took_s: float = field(default=0.0)


class _RefusedError(Exception):
    """The service or the bus answered with an error; `str()` is its D-Bus name."""


class CheckedNotifier(BaseNotifier):  # type: ignore[misc]
    """The notifier that notify-py uses: believes only a `method_return`, and fills in the letter."""

    def __init__(self, letter: Letter, **_: Any) -> None:
        self._letter = letter
        self._deadline = time.monotonic() + TIMEOUT_S

    def send_notification(self, notification_title: str, notification_subtitle: str, **_: Any) -> bool:
        """Show it; False with `letter.error` where the service did not answer that it is shown. Never raises."""
        letter = self._letter
        try:
            with contextlib.closing(_session_bus()) as bus:
                self._notify(bus, notification_title, notification_subtitle)
        except (TimeoutError, OSError, AuthenticationError, _RefusedError, ValueError, RuntimeError) as error:
            letter.shown, letter.error = 0, _in_words(error)
            letter.broken = not (isinstance(error, _RefusedError) and "ServiceUnknown" not in str(error))
            return False
        return True

    def _notify(self, bus: DBusConnection, title: str, body: str) -> None:
        letter = self._letter
        replaces = letter.replaces if self._instance(bus) == letter.server else 0
        name, *_ = self._call(bus, new_method_call(_SERVICE, "GetServerInformation"))
        (abilities,) = self._call(bus, new_method_call(_SERVICE, "GetCapabilities"))
        if "body-markup" in abilities:  # only then is "&lt;" shown as "<"
            body = html.escape(body, quote=False)
        hints: dict[str, tuple[str, Any]] = {
            "urgency": ("y", letter.urgency),
            "category": ("s", "x-camguard.alert"),
            "suppress-sound": ("b", letter.sound is None),
        }
        if letter.sound:
            hints["sound-name"] = ("s", letter.sound)
        message: tuple[Any, ...] = ("camguard", replaces, "camera-web", title, body, [], hints, letter.expire_ms)
        (shown,) = self._call(bus, new_method_call(_SERVICE, "Notify", "susssasa{sv}i", message))
        letter.shown, letter.service, letter.server, letter.error = int(shown), str(name), self._instance(bus), ""

    def _instance(self, bus: DBusConnection) -> str:
        """Which running service in which session: ids mean something only there. "" while none runs."""
        try:
            (session,) = self._call(bus, new_method_call(message_bus, "GetId"))
            (owner,) = self._call(bus, message_bus.GetNameOwner(_SERVICE.bus_name))
        except _RefusedError:
            return ""
        return f"{session}{owner}"

    def _call(self, bus: DBusConnection, message: Any) -> tuple[Any, ...]:
        reply = bus.send_and_get_reply(message, timeout=max(0.0, self._deadline - time.monotonic()))
        if reply.header.message_type is not MessageType.method_return:
            raise _RefusedError(reply.header.fields.get(HeaderFields.error_name, "error"))
        return tuple(reply.body)


class _Bus(DBusConnection):  # type: ignore[misc]
    """A connection to the bus that never waits without end, not even for the greeting."""

    def send_and_get_reply(self, message: Any, *, timeout: float | None = None) -> Any:
        return super().send_and_get_reply(message, timeout=TIMEOUT_S if timeout is None else timeout)


def _session_bus() -> DBusConnection:
    """The session's bus: DBUS_SESSION_BUS_ADDRESS, else the one where systemd puts it."""
    address = os.environ.get("DBUS_SESSION_BUS_ADDRESS")
    if not address and (runtime := os.environ.get("XDG_RUNTIME_DIR")):
        address = f"unix:path={runtime}/bus"
    if not address:
        raise FileNotFoundError
    return _Bus(prep_socket(next(iter(get_connectable_addresses(address))), timeout=1.0))


def _in_words(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"the notification service does not answer (waited {TIMEOUT_S:.0f} s)"
    if isinstance(error, AuthenticationError):
        return "the desktop session belongs to another user"
    if isinstance(error, _RefusedError):
        if "ServiceUnknown" in str(error) or "NameHasNoOwner" in str(error) or "Spawn" in str(error):
            return "no notification service runs in this desktop session"
        return f"the notification service refused it ({report.clean(str(error))[:80]})"
    return _NO_SESSION


def show(letter: Letter) -> bool:
    """Raise one notification; True only if the service said that it is shown. Takes `TIMEOUT_S` at most."""
    began = time.monotonic()
    door = Notify(
        # some services render markup in the title too, and none says so
        default_notification_title=_plain(letter.title.translate({60: "‹", 62: "›"}), 60) or "camguard",
        default_notification_message=_plain(letter.body, 400),
        default_notification_application_name="camguard",
        use_custom_notifier=CheckedNotifier,
        letter=letter,
    )
    sent = bool(door.send())
    letter.took_s = time.monotonic() - began
    return sent


def _plain(text: str, length: int) -> str:
    """Text that any service can take: no control characters, no lone surrogates (they cannot be sent), not endless."""
    return report.clean(text.encode("utf-8", "replace").decode())[:length]


# ---- the program -----------------------------------------------------------------------------------------------------


def memory_folder() -> Path:
    """Where the companion keeps its one small file: $XDG_STATE_HOME/camguard."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "camguard"


def follow(paths: Paths, *, test: bool = False) -> int:
    """`camguard desktop`: show each alert of `paths.database` until SIGTERM. `test`: show one marked notification.

    Exit code: 0 after SIGTERM or SIGINT or a test that was shown; 1 test not shown, another companion runs, or its own
    folder cannot be written.
    """
    if test:
        return _test()
    from camguard.tell.companion import Companion

    folder = memory_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(folder / "desktop.lock", paths)
    except BlockingIOError:
        _say("another camguard desktop runs for this user already. Nothing to do.")
        return 1
    except OSError as error:
        _say(f"cannot write in {folder}: {error.strerror}. Make it writable for this user.")
        return 1
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # taken below, between two turns: nothing is cut in the middle
    try:
        companion = Companion(paths, folder / "desktop.json", show, _say)
        while True:
            companion.turn(time.monotonic())
            if signal.sigtimedwait(ends, POLL_S) is not None:
                return 0
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ends)
        os.close(lock)


def _say(sentence: str) -> None:
    sys.stderr.write(f"camguard desktop: {sentence}\n")
    sys.stderr.flush()


def _test() -> int:
    letter = Letter(
        "Test: camguard can reach you here",
        "This is only a test; nobody is watching. An alert from camguard will look like this.",
        sound="dialog-warning",
    )
    if show(letter):
        sys.stdout.write(f"Shown by {report.clean(letter.service)} in {letter.took_s * 1000:.0f} ms. Did you see it?\n")
        return 0
    _say(f"the test notification was not shown: {letter.error}.")
    return 1


def _lock(path: Path, paths: Paths) -> int:
    """Hold the lock that says "a companion of this user follows this store"; BlockingIOError if one does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, json.dumps({"pid": os.getpid(), "database": str(paths.database.absolute())}).encode(), 0)
    return lock
