"""The name in QUIC's Initial packets: made by hand, and by a real client (aioquic) over loopback."""

import asyncio
import datetime
import ssl
import struct
from pathlib import Path

import pytest
from aioquic.asyncio import QuicConnectionProtocol, connect, serve
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicProtocolVersion
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import DATAGRAM_READERS, NOT_MINE, Reading, quic
from tests.protocols.hellos import ALPN, hello, server_name
from tests.protocols.streams import run

V1, V2, DRAFT29 = 1, 0x6B3343CF, 0xFF00001D
DCID, SCID = bytes.fromhex("8394c8f03e515708"), bytes.fromhex("f067a5502a4262b5")
HELLO = hello(server_name(b"p2p.camera.example"), ALPN)
JA4 = "q12d0202h2_62ed6f6ca7ad_000000000000"


def said(version: str = "1") -> Reading:
    detail = {"sni": "p2p.camera.example", "alpn": ("h2", "http/1.1"), "ja4": JA4, "ech": False, "version": version}
    return Reading("quic-hello", detail, from_server=False)


def varint(value: int) -> bytes:
    """Two bytes wide, as a length field that is filled in later; or four."""
    return struct.pack(">H", value | 0x4000) if value < 0x4000 else struct.pack(">I", value | 0x80000000)


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def initial(
    frames: bytes,
    *,
    dcid: bytes = DCID,
    key_dcid: bytes | None = None,
    version: int = V1,
    number: int = 0,
    size: int = 0,
    token: bytes = b"",
    wide: int = 4,
) -> bytes:
    """A client's Initial packet (RFC 9001 section 5), padded inside to `size` bytes; the number in `wide` bytes."""
    keys = quic.initial_keys(version, dcid if key_dcid is None else key_dcid)
    first = 0xC0 | (0x10 if version == V2 else 0) | (wide - 1)
    head = bytes([first]) + struct.pack(">I", version) + bytes([len(dcid)]) + dcid + bytes([len(SCID)]) + SCID
    head += varint(len(token)) + token
    frames = frames.ljust(size - len(head) - 2 - wide - 16, b"\0")
    head += varint(wide + len(frames) + 16) + number.to_bytes(wide, "big")
    nonce = (int.from_bytes(keys.iv, "big") ^ number).to_bytes(12, "big")
    sealed = AESGCM(keys.key).encrypt(nonce, frames, head)
    mask = Cipher(algorithms.AES(keys.hp), modes.ECB()).encryptor().update(sealed[4 - wide :][:16])
    plain = bytearray(head)
    plain[0] ^= mask[0] & 0x0F
    for at in range(wide):
        plain[len(head) - wide + at] ^= mask[1 + at]
    return bytes(plain) + sealed


def read(*datagrams: bytes) -> tuple[object, list[Reading]]:
    return run(quic.read, [Chunk(True, data) for data in datagrams])


def test_keys_of_the_rfcs() -> None:
    """RFC 9001 appendix A.1, RFC 9369 appendix A.1."""
    assert quic.initial_keys(V1, DCID) == (
        bytes.fromhex("1f369613dd76d5467730efcbe3b1a22d"),
        bytes.fromhex("fa044b2f42a3fd3b46fb255c"),
        bytes.fromhex("9f50449e04a0e810283a1e9933adedd2"),
    )
    assert quic.initial_keys(V2, DCID) == (
        bytes.fromhex("8b1a0bc121284290a29e0971b5cd045d"),
        bytes.fromhex("91f73e2351d8fa91660e909f"),
        bytes.fromhex("45b95e15235d6f45a6b19cbcb0294ba9"),
    )


@pytest.mark.parametrize(("version", "name"), [(V1, "1"), (V2, "2"), (DRAFT29, "draft-29"), (0xFF000017, "draft-23")])
@pytest.mark.parametrize("wide", [1, 2, 4])
def test_a_hello(version: int, name: str, wide: int) -> None:
    assert read(initial(crypto(0, HELLO), version=version, size=1200, wide=wide)) == (NOT_MINE, [said(name)])
    assert read(initial(crypto(0, HELLO), version=version, number=77, wide=wide)) == (NOT_MINE, [said(name)])


def test_it_is_registered() -> None:
    assert DATAGRAM_READERS["quic"] is quic.read


def test_split_over_frames_out_of_order_and_overlapping() -> None:
    """As Chrome does it: pieces in any order, PING and PADDING between them."""
    cuts = [crypto(at, HELLO[at : at + 25]) for at in range(0, len(HELLO), 20)]
    mixed = b"\x01\0\0".join(cuts[::2]) + b"\0" * 9 + b"".join(reversed(cuts[1::2]))
    assert read(initial(mixed)) == (NOT_MINE, [said()])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0, 1, 1)])
def test_split_over_packets_in_any_order_and_repeated(order: tuple[int, ...]) -> None:
    parts = [crypto(0, HELLO[:30]), crypto(30, HELLO[30:70]), crypto(70, HELLO[70:])]
    first = initial(b"\x01", number=9)  # the connection id that all keys are made of
    packets = [initial(part, number=n, dcid=SCID[:5], key_dcid=DCID) for n, part in enumerate(parts)]
    assert read(first, *(packets[n] for n in order)) == (NOT_MINE, [said()])


def test_a_part_that_never_comes_is_waited_for_a_few_datagrams_only() -> None:
    half = initial(crypto(0, HELLO[:30]))
    for count in range(1, quic.DATAGRAMS_CAP):
        assert read(*[half] * count)[0] is not NOT_MINE
    assert read(*[half] * quic.DATAGRAMS_CAP) == (NOT_MINE, [])


def test_coalesced_packets() -> None:
    """RFC 9000 section 12.2: a 0-RTT packet before it, another Initial behind it."""
    zero_rtt = b"\xd0" + struct.pack(">I", V1) + bytes([8]) + DCID + bytes([8]) + SCID + varint(30) + bytes(30)
    both = initial(crypto(0, HELLO[:40])) + zero_rtt + initial(crypto(40, HELLO[40:]), number=1)
    assert read(zero_rtt + both) == (NOT_MINE, [said()])
    assert read(initial(b"\x01") + b"\x40" + bytes(30))[1] == []


def test_retry_changes_the_keys() -> None:
    """RFC 9001 section 5.2: after a Retry the client's keys come from the server's connection id."""
    retry = b"\xf0" + struct.pack(">I", V1) + bytes([8]) + SCID + bytes([8]) + b"newdcid!" + b"a token" + bytes(16)
    again = initial(crypto(0, HELLO), dcid=b"newdcid!", token=b"a token", number=1)
    first = initial(crypto(0, HELLO[:50]))
    assert read(first, retry, again) == (NOT_MINE, [said()])


def test_version_negotiation() -> None:
    """A client that first asks with a version that nobody has (RFC 9000 section 15), then with 1."""
    strange = b"\xc0" + struct.pack(">I", 0x1A2A3A4A) + bytes([8]) + DCID + bytes([0]) + bytes(1180)
    answer = b"\x80" + bytes(4) + bytes([0]) + bytes([8]) + DCID + struct.pack(">I", V1)
    assert read(strange, answer, initial(crypto(0, HELLO))) == (NOT_MINE, [said()])


def test_acknowledgements_and_the_server_between() -> None:
    ack = b"\x02" + varint(3) + varint(0) + varint(1) + varint(0) + varint(0) + varint(0)
    ecn = b"\x03" + varint(3) + varint(0) + varint(0) + varint(0) + varint(1) + varint(2) + varint(3)
    server = initial(crypto(0, b"\x02" + bytes(60)), dcid=SCID, key_dcid=b"other keys")
    chunks = [
        Chunk(True, initial(crypto(0, HELLO[:50]))),
        Chunk(False, server),
        Chunk(True, initial(ack + ecn + crypto(50, HELLO[50:]), number=1, dcid=b"", key_dcid=DCID)),
    ]
    assert run(quic.read, chunks) == (NOT_MINE, [said()])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        b"\x40" + bytes(40),  # a short header: the start was missed
        b"\xc0" + struct.pack(">I", 0x51303436) + bytes(100),  # gQUIC Q046
        b"\xc0" + struct.pack(">I", 2) + bytes(100),
        b"\x80\x60" + bytes(40),  # RTP
        b"\xc0\x00\x00\x00\x00" + bytes(40),
    ],
)
def test_what_is_no_quic_is_given_up_at_once(data: bytes) -> None:
    assert read(data) == (NOT_MINE, [])


@pytest.mark.parametrize(
    ("frames", "fault"),
    [
        (crypto(0, b"\x02" + bytes(60)), "quic-hello"),  # a ServerHello from a client
        (crypto(0, b"\x01\0\0\x05abcde"), "quic-hello"),
        (b"\x06\x00\x45\x00abc", "quic-crypto"),
        (b"\x1e", "quic-frame"),
        (b"\x01" * 60 + b"\x06", "quic-number"),
        (b"\x02\x00\x00\x7f\xff\x00", "quic-number"),
        (b"".join(crypto(5000 + at, b"x") for at in range(quic.PIECES_CAP + 1)), "quic-pieces"),
        (crypto(9, bytes(quic.HELLO_CAP + 1)), "quic-pieces"),
    ],
)
def test_packets_that_lie(frames: bytes, fault: str) -> None:
    assert read(initial(frames, size=80)) == (NOT_MINE, [Reading("odd", {"name": fault})])


def test_a_datagram_cut_anywhere_says_nothing_or_is_odd() -> None:
    packet = initial(crypto(0, HELLO))
    for at in range(len(packet)):
        _, readings = run(quic.read, [Chunk(True, packet[:at], gap=True)])
        assert all(reading.what == "odd" for reading in readings), at
    assert read(packet[:60], packet)[1] == [said()]


def test_any_bit_wrong_is_no_hello() -> None:
    """What is sealed is opened only whole."""
    packet = initial(crypto(0, HELLO))
    for at in range(len(packet)):
        changed = packet[:at] + bytes([packet[at] ^ 0x10]) + packet[at + 1 :]
        assert all(reading.what == "odd" for reading in read(changed)[1]), at


FRAMES = st.sampled_from([crypto(0, HELLO[:50]), crypto(50, HELLO[50:]), b"\x01", b"\x1c\0", b"\x02\0\0\0\0", b"\0\0"])


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=60),
            st.binary(max_size=60).map(lambda data: b"\xc0\0\0\0\1" + data),
            st.lists(st.one_of(FRAMES, st.binary(max_size=40)), max_size=6).map(
                lambda f: initial(b"".join(f), size=60)
            ),
        ),
        max_size=12,
    )
)
def test_anything_may_come(datagrams: list[bytes]) -> None:
    _, readings = read(*datagrams)
    assert len(readings) <= 1


# ---- a real client and server ----------------------------------------------------------------------------------------


def certificate(folder: Path) -> tuple[str, str]:
    """Paths of a certificate for p2p.camera.example, signed by itself, and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "p2p.camera.example")])
    day = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, day, day + datetime.timedelta(36500))
    (folder / "cert.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return str(folder / "cert.pem"), str(folder / "key.pem")


class Relay(asyncio.DatagramProtocol):
    """Between client and server on loopback: passes datagrams on and keeps them, as a tap would."""

    def __init__(self, server: tuple[str, int]) -> None:
        self.server, self.client, self.heard = server, ("", 0), list[Chunk]()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        up = addr != self.server
        if up:
            self.client = addr
        self.heard.append(Chunk(up, data))
        self.transport.sendto(data, self.server if up else self.client)  # type: ignore[attr-defined]


async def talk(folder: Path, version: int, alpn: list[str], retry: bool) -> list[Chunk]:
    """All datagrams of one handshake; `up` is the client's side."""
    theirs = QuicConfiguration(is_client=False, alpn_protocols=alpn, supported_versions=[version])
    theirs.load_cert_chain(*certificate(folder))
    mine = QuicConfiguration(
        is_client=True,
        alpn_protocols=alpn,
        server_name="p2p.camera.example",
        original_version=version,
        supported_versions=[version],
        verify_mode=ssl.CERT_NONE,
    )
    server = await serve("127.0.0.1", 0, configuration=theirs, retry=retry, create_protocol=QuicConnectionProtocol)
    address = server._transport.get_extra_info("sockname")
    loop = asyncio.get_running_loop()
    transport, relay = await loop.create_datagram_endpoint(lambda: Relay(address), local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        async with asyncio.timeout(60), connect("127.0.0.1", port, configuration=mine, local_port=0) as client:
            await client.ping()
        return list(relay.heard)
    finally:
        transport.close()
        server.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("retry", [False, True])
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    ("version", "name"), [(QuicProtocolVersion.VERSION_1, "1"), (QuicProtocolVersion.VERSION_2, "2")]
)
def test_a_real_client(tmp_path: Path, version: int, name: str, many: bool, retry: bool) -> None:
    """aioquic, with a hello of one packet and of several, with and without Retry."""
    alpn = ["h3", *(f"protocol-{n:03}" for n in range(150))] if many else ["h3"]
    heard = asyncio.run(talk(tmp_path, version, alpn, retry))
    _, readings = run(quic.read, heard)
    assert [(r.what, r.detail["sni"], r.detail["version"], r.detail["ech"]) for r in readings] == [
        ("quic-hello", "p2p.camera.example", name, False)
    ]
    assert str(readings[0].detail["ja4"]).startswith("q13d")
    assert readings[0].detail["alpn"] == tuple(alpn[:8])
    if many:  # it was really split: its first datagram alone does not say it
        assert run(quic.read, heard[:1])[1] == []
    if retry:
        assert any(not chunk.up and chunk.data[0] >> 4 & 3 == (0 if name == "2" else 3) for chunk in heard)
