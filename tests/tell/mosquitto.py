"""A real broker on loopback, with TLS (an authority made on the spot by openssl) and passwords, and real clients."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

PASSWORD = "correct horse 7 battery"
USER = "camguard"
READY = "test/ready"
MISSING = [
    name
    for name in ("mosquitto", "mosquitto_sub", "mosquitto_pub", "mosquitto_passwd", "openssl")
    if not shutil.which(name)
]

_OPENSSL = """[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = CA:FALSE
keyUsage = digitalSignature
subjectAltName = DNS:localhost
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


def _openssl(folder: Path, *words: str) -> None:
    subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True, timeout=60)


def authority(folder: Path) -> None:
    """ca.pem, server.pem and server.key in `folder`."""
    (folder / "openssl.cnf").write_text(_OPENSSL)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "openssl.cnf"]
    _openssl(
        folder,
        "req",
        "-x509",
        *key,
        "-extensions",
        "ca",
        "-subj",
        "/CN=a house",
        "-days",
        "2",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    )
    _openssl(folder, "req", *key, "-subj", "/CN=broker", "-keyout", "server.key", "-out", "server.csr")
    sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "openssl.cnf"]
    _openssl(folder, "x509", "-req", "-in", "server.csr", *sign, "-extensions", "server", "-out", "server.pem")


@dataclass(frozen=True)
class Heard:
    retained: bool
    topic: str
    payload: str
    at: float


class Broker:
    """mosquitto; `port` with TLS, `plain` without. Retained messages are lost when it stops."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        authority(folder)
        self.port, self.plain = _free(), _free()
        for user in (USER, "owner"):
            flag = [] if (folder / "passwords").exists() else ["-c"]
            subprocess.run(
                ["mosquitto_passwd", *flag, "-b", str(folder / "passwords"), user, PASSWORD], check=True, timeout=60
            )
        (folder / "mosquitto.conf").write_text(
            f"user {'root' if os.geteuid() == 0 else ''}\nper_listener_settings false\npersistence false\n"
            f"allow_anonymous false\npassword_file {folder}/passwords\nlog_type error\n"
            f"listener {self.port} 127.0.0.1\ncafile {folder}/ca.pem\n"
            f"certfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
            f"listener {self.plain} 127.0.0.1\n"
        )
        self._running: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self._running = subprocess.Popen(
                ["mosquitto", "-c", str(self.folder / "mosquitto.conf")], stdout=log, stderr=log
            )
        until = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.plain), 1).close()
                return
            except OSError:
                assert self._running.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < until, "mosquitto does not listen"
                time.sleep(0.02)

    def stop(self) -> None:
        if self._running:
            self.freeze(False)
            self._running.terminate()
            self._running.wait(60)
            self._running = None

    def freeze(self, frozen: bool) -> None:
        assert self._running
        self._running.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def _words(self) -> list[str]:
        where = ["-h", "localhost", "-p", str(self.port), "--cafile", str(self.folder / "ca.pem")]
        return [*where, "-u", "owner", "-P", PASSWORD, "-q", "1"]

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """mosquitto_pub, as somebody who knows the password."""
        flag = ["-r"] if retain else []
        subprocess.run(["mosquitto_pub", *self._words(), *flag, "-t", topic, "-m", payload], check=True, timeout=60)

    @contextmanager
    def saying(self, topic: str) -> "Iterator[subprocess.Popen[str]]":
        """mosquitto_pub for many messages: each line of its standard input is one, in order."""
        words = ["mosquitto_pub", *self._words(), "-t", topic, "-l"]
        program = subprocess.Popen(words, stdin=subprocess.PIPE, text=True)
        try:
            yield program
        finally:
            program.kill()
            program.wait(60)
            if program.stdin:
                with suppress(OSError):
                    program.stdin.close()

    def say_all(self, topic: str, payloads: list[str]) -> None:
        """All of them, one after the other, over one connection."""
        text = "".join(f"{one}\n" for one in payloads)
        words = ["mosquitto_pub", *self._words(), "-t", topic, "-l"]
        subprocess.run(words, input=text, text=True, check=True, timeout=60)

    @contextmanager
    def listening(self, *topics: str) -> "Iterator[Listener]":
        wanted = topics or ("#",)
        words = [word for topic in (*wanted, *(() if "#" in wanted else (READY,))) for word in ("-t", topic)]
        listener = Listener(["mosquitto_sub", *self._words(), *words, "-F", "%r\t%t\t%p"])
        try:
            until = time.monotonic() + 60
            while not listener.ready.wait(0.05):
                assert time.monotonic() < until, "mosquitto_sub hears nothing"
                self.say(READY, "?")
            yield listener
        finally:
            listener.end()


class Listener:
    """mosquitto_sub: every message since it began, in order. The broker drops what it holds for a client beyond 1000
    messages, so whoever listens to a flood may miss something: listen to what is asserted."""

    def __init__(self, words: list[str]) -> None:
        self.heard: list[Heard] = []
        self.ready = threading.Event()
        self._program = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._program.stdout
        for line in self._program.stdout:
            retained, topic, payload = line.rstrip("\n").split("\t", 2)
            if topic == READY:
                self.ready.set()
                continue
            self.heard.append(Heard(retained == "1", topic, payload, time.monotonic()))

    def last(self, topic: str) -> str | None:
        """The latest payload of a topic, None where nothing was heard of it."""
        return next((one.payload for one in reversed(self.heard) if one.topic == topic), None)

    def all(self, topic: str) -> list[str]:
        return [one.payload for one in self.heard if one.topic == topic]

    def end(self) -> None:
        self._program.kill()  # SIGTERM asks the broker first, and waits for it
        self._program.wait(60)
        self._thread.join(60)
        if self._program.stdout:
            self._program.stdout.close()


def _free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
