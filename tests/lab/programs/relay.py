"""A maker's relay on the internet: takes a camera's upload over TLS and passes it on to whoever views it.

Usage: relay.py PORT LOG CERT KEY. Who connects says a line first: "camera NAME" and sends, "view NAME" and is given
what that camera sends from then on, "film KBIT" and is given random bytes at this rate, ten times a second.
Appends JSON lines {time, what, name, peer} to LOG: "ready", "first" (of a camera's bytes), "viewer", "end".
"""

import asyncio
import json
import os
import ssl
import sys
import time

PORT, LOG_PATH = int(sys.argv[1]), sys.argv[2]
LOG = open(LOG_PATH, "a", buffering=1)  # noqa: SIM115
viewers: dict[str, set[asyncio.StreamWriter]] = {}


def note(what: str, name: str = "", peer: object = None) -> None:
    LOG.write(json.dumps({"time": time.time(), "what": what, "name": name, "peer": str(peer)}) + "\n")


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer = writer.get_extra_info("peername")[0]
    try:
        role, _, name = (await reader.readline()).decode().strip().partition(" ")
        if role == "camera":
            begun = False
            while data := await reader.read(65536):
                if not begun:
                    begun = True
                    note("first", name, peer)
                for viewer in list(viewers.get(name, ())):
                    viewer.write(data)
        elif role == "view":
            viewers.setdefault(name, set()).add(writer)
            note("viewer", name, peer)
            await reader.read()
            viewers[name].discard(writer)
        elif role == "film":
            while True:
                writer.write(os.urandom(int(name) * 1000 // 80))
                await writer.drain()
                await asyncio.sleep(0.1)
    except (OSError, ssl.SSLError, ValueError):
        pass
    for others in viewers.values():
        others.discard(writer)
    note("end", peer=peer)
    writer.close()


async def main() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(sys.argv[3], sys.argv[4])
    await asyncio.start_server(serve, None, PORT, ssl=context)
    note("ready")
    await asyncio.Event().wait()


asyncio.run(main())
