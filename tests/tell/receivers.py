"""Receivers for deliver's tests: real servers on loopback that keep what they got, and can misbehave in known ways."""

import http.server
import json
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Got:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


class Receiver:
    """An HTTP server. `how`: "ok", "500", "404", "429", "401", "302", "hang" (no answer), "drip" (an answer that never
    ends), "cut" (closes without an answer), "close" (answers 200 and closes), "garbage"."""

    def __init__(self, how: str = "ok", certificate: Path | None = None) -> None:
        self.how = how
        self.got: list[Got] = []
        self.tries = 0
        self.before_answer: Callable[[], None] = lambda: None
        self._stop = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 120

            def do_POST(self) -> None:
                outer._answer(self)

            do_GET = do_PUT = do_POST

            def log_message(self, *_: object) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def url(self, path: str = "/hook", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def _answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        self.tries += 1
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        got = Got(handler.path, {k.lower(): v for k, v in handler.headers.items()}, body, time.monotonic())
        how = self.how
        if how in ("ok", "close"):
            self.got.append(got)
        self.before_answer()
        handler.close_connection = True
        if how == "hang":
            self._stop.wait(100)
            return
        if how == "drip":
            while not self._stop.wait(0.2):
                try:
                    handler.wfile.write(b"x")
                except OSError:
                    return
            return
        if how == "cut":
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        if how == "garbage":
            handler.wfile.write(b"220 smtp ready\r\n\r\n")
            return
        status = 200 if how in ("ok", "close") else int(how)
        handler.send_response(status)
        if how == "302":
            handler.send_header("Location", f"http://127.0.0.1:{self.port}/elsewhere")
        if how == "429":
            handler.send_header("Retry-After", "77")
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"{}")

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()


class BlackHole:
    """A port that takes connections and says nothing, whatever comes."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}/hook"

    def close(self) -> None:
        self._socket.close()


def certificate(folder: Path, name: str = "localhost", *, days: int = 2) -> Path:
    """A certificate that only itself signed, with its key, in one file."""
    path = folder / f"{name}-{os.getpid()}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", str(days), "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-keyout", path, "-out", f"{path}.crt"],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def alert(key: str = "a1b2c3d4e5", state: str = "open", severity: str = "critical", **more: Any) -> dict[str, Any]:
    """An alert as guard.db has it."""
    return {
        "kind": "alert", "time": "2026-11-24T20:14:03.000Z", "camera": "porch", "id": key, "type": "remote-stream",
        "severity": severity, "title": f"Somebody is watching: {key}", "body": "Since 22:14, live video. Was this you?",
        "confidence": "certain", "reason": "it is none of your devices", "evidence": ["RTSP PLAY answered 200"],
        "peer": {"ip": f"198.51.100.{sum(key.encode()) % 250}", "port": 5000, "name": None, "scope": "wan",
                 "asn": 16276, "org": "OVH", "country": "France", "mac": None, "device": None},
        "session": "s1", "raised": "2026-11-24T20:14:03.000Z", "started": "2026-11-24T20:14:00.000Z", "count": 1,
        "state": state,
    } | more  # fmt: skip
