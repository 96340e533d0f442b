"""The receiving host's own wire: notes when the first BYTES of payload have come from or to PORT (0: any port).

Usage: wire.py tcp|udp PORT BYTES LOG. Appends JSON lines {time, what, peer} to LOG: "ready", then "first", and ends.
BYTES is what the handshakes of a protocol need: behind it come pictures.
"""

import json
import socket
import struct
import sys
import time

PROTO, PORT, BYTES, LOG = {"tcp": 6, "udp": 17}[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
TO_THIS_HOST, EVERYTHING = 0, 3  # linux/if_packet.h: PACKET_HOST; linux/if_ether.h: ETH_P_ALL


def note(what: str, peer: str | None) -> None:
    with open(LOG, "a") as log:
        log.write(json.dumps({"time": time.time(), "what": what, "peer": peer}) + "\n")


def main() -> None:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(EVERYTHING))
    wire.bind(("eth0", EVERYTHING))
    note("ready", None)
    got = 0
    while got < BYTES:
        data, (_, ethertype, direction, _, _) = wire.recvfrom(65536)
        if ethertype != 0x0800 or direction != TO_THIS_HOST or data[9] != PROTO:
            continue
        head = 4 * (data[0] & 15)
        if PORT and PORT not in struct.unpack_from(">HH", data, head):
            continue
        own = 8 if PROTO == 17 else 4 * (data[head + 12] >> 4)
        got += int.from_bytes(data[2:4], "big") - head - own
        peer = socket.inet_ntoa(data[12:16])
    note("first", peer)


main()
