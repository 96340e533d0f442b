"""A maker's own P2P sender, written for the lab (no real one can be had): scrambled datagrams to one server.

Usage: p2p_camera.py LISTEN_PORT SERVER PORT LOG [PAD_TO]. What arrives on 127.0.0.1:LISTEN_PORT (ffmpeg's udp output)
is XORed with a random pad, numbered and sent on; a short keep-alive goes out every second and is answered. PAD_TO: all
datagrams are filled up to so many bytes. Notes the first sent.
"""

import json
import os
import selectors
import socket
import struct
import sys
import time


def main() -> None:
    listen, server, port, log_path = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
    pad_to = int(sys.argv[5]) if len(sys.argv) > 5 else 0
    pad = int.from_bytes(os.urandom(2048), "big")
    inside = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    inside.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    inside.bind(("127.0.0.1", listen))
    family, _, _, _, address = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
    outside = socket.socket(family, socket.SOCK_DGRAM)
    outside.connect(address)
    waiting = selectors.DefaultSelector()
    waiting.register(inside, selectors.EVENT_READ)
    waiting.register(outside, selectors.EVENT_READ)
    number, beat_at = 0, 0.0
    while True:
        if time.monotonic() >= beat_at:
            beat_at = time.monotonic() + 1
            outside.send(os.urandom(28))
        for key, _ in waiting.select(0.2):
            data = key.fileobj.recv(4096)  # type: ignore[union-attr]
            if key.fileobj is inside:
                if not number:
                    with open(log_path, "a") as log:
                        log.write(json.dumps({"time": time.time(), "what": "first", "peer": address[0]}) + "\n")
                number += 1
                data = data.ljust(pad_to, b"\0")
                hidden = (int.from_bytes(data, "big") ^ (pad >> (8 * (2048 - len(data))))).to_bytes(len(data), "big")
                outside.send(struct.pack(">I", number * 2654435761 % (1 << 32)) + hidden)


main()
