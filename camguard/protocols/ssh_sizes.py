"""SSH's encrypted packets by their sizes (RFC 4253 section 6, RFC 5647, OpenSSH's PROTOCOL and
PROTOCOL.chacha20poly1305).

In: the name lists of both KEXINITs, bytes. Out: Sizes, which say how large a message of a known length is on the
wire; pure."""

from typing import NamedTuple

PACKET_CAP = 16 * 1024  # bytes of one packet before a login

Offers = tuple[tuple[str, ...], ...]
_MACS = {
    "hmac-md5": 16, "hmac-md5-96": 12, "hmac-sha1": 20, "hmac-sha1-96": 12, "hmac-sha2-256": 32, "hmac-sha2-512": 64,
    "umac-64": 8, "umac-128": 16, "hmac-ripemd160": 20,
}  # fmt: skip
_SMALL_BLOCKS = ("3des", "blowfish", "cast128", "arcfour", "idea")


class Sizes(NamedTuple):
    """What a cipher makes of a packet (RFC 4253 section 6): `block` bytes, `mac` bytes behind it, and whether the
    length stands before what is padded (`apart`) and can be read (`clear`)."""

    block: int
    mac: int
    apart: bool
    clear: bool

    def of(self, payload: int) -> int:
        """The padded size of a packet, length field and MAC left out where they stand apart."""
        size = (0 if self.apart else 4) + 1 + payload + 4
        return -(-size // self.block) * self.block


def offers(body: bytes) -> Offers:
    """The name lists of KEXINIT (RFC 4253 section 7.1): keys, host keys, ciphers, MACs and compression each way."""
    lists: list[tuple[str, ...]] = []
    at = 16
    for _ in range(8):
        size = int.from_bytes(body[at : at + 4], "big")
        names = body[at + 4 : at + 4 + min(size, 4096)].decode("latin-1")
        lists.append(tuple(names.split(",")[:64]))
        at += 4 + size
    return tuple(lists)


def agreed(client: Offers, other: Offers, *, server: bool) -> Sizes | None:
    """Cipher and MAC for what one end sends: the client's first that the server has, too (RFC 4253 section 7.1); None
    where what they agreed on does not tell sizes."""
    if not client or not other:
        return None
    chosen = [next((name for name in client[row] if name in other[row]), "") for row in (2, 3, 4, 5, 6, 7)]
    cipher, mac, packed = (chosen[place + server] for place in (0, 2, 4))
    if not cipher or packed == "zlib":
        return None
    if cipher.startswith("chacha20"):
        return Sizes(8, 16, apart=True, clear=False)
    if "gcm" in cipher:
        return Sizes(16, 16, apart=True, clear=True)
    name = mac.removesuffix("@openssh.com")
    after = name.endswith("-etm")
    size = _MACS.get(name.removesuffix("-etm"))
    block = 8 if cipher.startswith(_SMALL_BLOCKS) else 16
    return None if size is None else Sizes(block, size, apart=after, clear=after)


def records(data: bytes, sizes: Sizes) -> tuple[list[int], bytes]:
    """The sizes of records whose length can be read, and the bytes of one that has not ended."""
    found: list[int] = []
    while len(data) >= 4:
        size = int.from_bytes(data[:4], "big")
        if size == 0 or size % sizes.block or size > 2 * PACKET_CAP:
            return found, b""
        if len(data) < 4 + size + sizes.mac:
            break
        found.append(size)
        data = data[4 + size + sizes.mac :]
    return found, data[: 3 * PACKET_CAP]
