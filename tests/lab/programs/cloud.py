"""A server on the internet: HTTP with or without TLS, a raw TLS sink, a UDP sink or echo; notes what came and when.

Usage: cloud.py MODE PORT LOG [CERT KEY], MODE is tls, http, udp or echo. Appends JSON lines {time, what, peer, bytes}
to LOG: "accept", "first" (first bytes of media: the first 1000 bytes of body or stream have come), "end".
tls: GET /n -> n bytes; PUT or POST, chunked or sized -> 201; anything that is not HTTP is taken as a stream; what
begins with "beat" gets a short answer each time.
"""

import asyncio
import json
import ssl
import sys
import time

MODE, PORT, LOG_PATH = sys.argv[1], int(sys.argv[2]), sys.argv[3]
LOG = open(LOG_PATH, "a", buffering=1)  # noqa: SIM115
MEDIA = 1000


def note(what: str, peer: object, count: int = 0) -> None:
    LOG.write(json.dumps({"time": time.time(), "what": what, "peer": str(peer), "bytes": count}) + "\n")


async def body(reader: asyncio.StreamReader, peer: object, size: int | None, chunked: bool) -> int:
    """Take a request body to its end; note when its first kilobyte had come."""
    got, noted = 0, False
    while size is None or got < size:
        if chunked:
            length = int((await reader.readline()).strip() or b"0", 16)
            if not length:
                break
            data = await reader.readexactly(length + 2)
        else:
            data = await reader.read(65536)
            if not data:
                break
        got += len(data)
        if not noted and got >= MEDIA:
            noted = True
            note("first", peer, got)
    return got


async def http(first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: object) -> int:
    head = first + await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:])}
    method, path = lines[0].split(" ")[:2]
    if method == "GET":
        size = int(path.rsplit("/", 1)[1])
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // 50000):
            writer.write(bytes(50000))
            await writer.drain()
        return size
    if "100-continue" in fields.get("expect", ""):
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    chunked = "chunked" in fields.get("transfer-encoding", "")
    size = int(fields["content-length"]) if "content-length" in fields else None
    got = await body(reader, peer, size, chunked)
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    return got


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    peer, got = writer.get_extra_info("peername")[0], 0
    note("accept", peer)
    try:
        first = await reader.readexactly(4)
        if first in (b"GET ", b"PUT ", b"POST"):
            while len(first) == 4:
                got += await http(first, reader, writer, peer)
                first = await reader.read(4)
        elif first == b"beat":
            while data := await reader.read(4096):
                got += len(data)
                writer.write(b"ok" + bytes(40))
                await writer.drain()
        else:
            got = await body(reader, peer, None, False)
    except (OSError, asyncio.IncompleteReadError, ssl.SSLError, ValueError) as error:
        note("broken: " + repr(error), peer, got)
    note("end", peer, got)
    try:
        writer.close()
        await writer.wait_closed()
    except (OSError, ssl.SSLError):
        pass


class Datagrams(asyncio.DatagramProtocol):
    """Notes the first datagram of media size of each sender; in echo mode answers each."""

    def __init__(self) -> None:
        self.seen: set[object] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if MODE == "echo" or len(data) < 100:
            self.transport.sendto(data[:48], addr)  # type: ignore[attr-defined]
        elif addr not in self.seen:
            self.seen.add(addr)
            note("first", addr[0], len(data))


async def main() -> None:
    loop = asyncio.get_running_loop()
    if MODE == "http":
        await asyncio.start_server(serve, None, PORT)
    elif MODE == "tls":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(sys.argv[4], sys.argv[5])
        await asyncio.start_server(serve, None, PORT, ssl=context)
    else:
        await loop.create_datagram_endpoint(Datagrams, ("::", PORT))
    note("ready", None)
    await asyncio.Event().wait()


asyncio.run(main())
