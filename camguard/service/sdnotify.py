"""What the guard tells systemd: ready, reloading, stopping, alive (sd_notify(3), without a library).

In: the environment that systemd gives. Nothing happens where it gave none.
"""

import os
import socket
import time
from collections.abc import Mapping


class Manager:
    """The service manager that started this process, if one did. Connected at once: later the process is confined."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        self.watchdog_s: float | None = None
        address = environment.get("NOTIFY_SOCKET", "")
        if address[:1] not in ("/", "@"):
            return
        made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            made.setblocking(False)
            made.connect("\0" + address[1:] if address[0] == "@" else address)  # "@": an abstract name
        except OSError:
            made.close()
            return
        self._socket = made
        if environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid()):
            usec = environment.get("WATCHDOG_USEC", "")
            self.watchdog_s = int(usec) / 1e6 if usec.isdigit() and int(usec) else None

    def ready(self, status: str) -> None:
        """The guard looks; also the end of a reload."""
        self._say("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._say(f"STATUS={status}")

    def reloading(self) -> None:
        """A reload begins (systemd.service(5), Type=notify-reload, wants the time of it)."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The guard ends because it was told to."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """The watchdog's ping."""
        self._say("WATCHDOG=1")

    def close(self) -> None:
        """Let go of the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *words: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send("\n".join(word.replace("\n", " ") for word in words).encode())
        except OSError:
            return  # a manager that does not listen must not stop the guard; its watchdog will notice
