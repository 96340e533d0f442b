"""A camera's upload over QUIC with aioquic, and the server that takes it.

Usage: quic.py server PORT LOG CERT KEY | quic.py client HOST PORT. The client sends its standard input on one
stream. The server appends JSON lines {time, what, peer} to LOG: "ready", "first" (the stream's first 1000 bytes came).
"""

import asyncio
import json
import os
import ssl
import sys
import time

from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent, StreamDataReceived

NAME, MEDIA = "lab", 1000


def note(what: str) -> None:
    with open(sys.argv[3], "a") as log:
        log.write(json.dumps({"time": time.time(), "what": what, "peer": None}) + "\n")


class Sink(QuicConnectionProtocol):
    got = 0

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            before, self.got = self.got, self.got + len(event.data)
            if before < MEDIA <= self.got:
                note("first")


async def server() -> None:
    settings = QuicConfiguration(is_client=False, alpn_protocols=[NAME])
    settings.load_cert_chain(sys.argv[4], sys.argv[5])
    await serve("0.0.0.0", int(sys.argv[2]), configuration=settings, create_protocol=Sink)
    note("ready")
    await asyncio.Event().wait()


async def client() -> None:
    host, port = sys.argv[2], int(sys.argv[3])
    settings = QuicConfiguration(is_client=True, alpn_protocols=[NAME], verify_mode=ssl.CERT_NONE, server_name=host)
    async with connect(host, port, configuration=settings) as call:
        _, writer = await call.create_stream()
        loop = asyncio.get_running_loop()
        while data := await loop.run_in_executor(None, os.read, 0, 65536):
            writer.write(data)


asyncio.run(server() if sys.argv[1] == "server" else client())
