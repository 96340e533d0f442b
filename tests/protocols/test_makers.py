"""Dahua's, Reolink's and D-Link's own peer-to-peer talk."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, StreamReader, bcudp, dlink, ptcp, rtp
from tests.protocols.datagrams import cut_is_no_trouble, feed, gives_up
from tests.protocols.streams import Turn, run, whole
from tests.protocols.test_rtp import packet as media


def events(read: StreamReader, turns: list[Turn]) -> list[tuple[object, object]]:
    return [(reading.detail["event"], reading.detail["peer"]) for reading in feed(read, turns)]


# ---- Dahua: khoanguyen-3fc/dh-p2p helpers.py, main.py ----


def phony(body: bytes = b"") -> bytes:
    return b"PTCP" + bytes(20) + body


def request(path: str, body: str = "") -> bytes:
    digest = 'X-WSSE: UsernameToken Username="P2PClient", PasswordDigest="a-secret", Nonce="1", Created="now"'
    return f"{'DHPOST' if body else 'DHGET'} {path} HTTP/1.1\r\nCSeq: 1\r\n{digest}\r\n\r\n{body}".encode()


PUNCH = b"\xff\xfe\xff\xe7" + bytes(16) + b"\x7f\xd5\xff\xf7" + bytes(8) + b"\xff\xfb\xff\xf7\xff\xfe" + bytes(6)
GRANTED = b"HTTP/1.1 200 OK\r\n\r\n<body><Identify>1 2</Identify><PubAddr>203.0.113.9:51547</PubAddr></body>"
DAHUA: list[Turn] = [
    (True, request("/probe/p2psrv")),
    (True, request("/device/A-SERIAL/p2p-channel", "<body><LocalAddr>192.168.1.7:4000</LocalAddr></body>")),
    (False, GRANTED),
    (False, request("/device/A-SERIAL/relay-channel", "<body><agentAddr>198.51.100.4:8900</agentAddr></body>")),
    (False, PUNCH),
    (True, phony(b"\0\3\1\0")),
    (True, phony()),
    (True, phony(b"\x10\0\0\x04" + bytes(8) + b"RTSP")),
    (True, phony(b"\x12\0\0\4" + bytes(8) + b"DISC")),
]


def test_dahua_from_the_request_to_the_end() -> None:
    assert events(ptcp.read, DAHUA) == [
        ("lookup", None),
        ("punch-to", None),
        ("punch-to", "203.0.113.9:51547"),
        ("relay", "198.51.100.4:8900"),
        ("punch", None),
        ("ready", None),
        ("data", None),
        ("close", None),
    ]
    assert events(ptcp.read, DAHUA[5:] * 2) == [("ready", None), ("data", None), ("close", None)] * 2
    for secret in ("a-secret", "A-SERIAL", "192.168.1.7"):
        assert secret not in repr(run(ptcp.read, whole(DAHUA)))


@pytest.mark.parametrize(
    "payload",
    [GRANTED, phony()[:23], PUNCH[:20] + bytes(24), b"DHCP /", b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n\r\n"],
)
def test_dahua_what_is_none(payload: bytes) -> None:
    assert run(ptcp.read, [Chunk(False, payload)] * ptcp.STRANGERS_MAX) == (NOT_MINE, [])


def test_dahua_an_address_that_is_none_is_not_told() -> None:
    lie = GRANTED.replace(b"203.0", b"999.0")
    assert events(ptcp.read, [(True, request("/probe/p2psrv")), (False, lie)]) == [("lookup", None)]


# ---- Reolink: neolink dissector/udp.md ----


def discovery(xml: str, number: int = 87) -> bytes:
    body = bcudp.unmasked(number, xml.encode())
    return bcudp.DISCOVERY + struct.pack("<IIII", len(body), 1, number, 0xC0FFEE) + body


def test_reolink_from_the_search_to_the_end() -> None:
    turns: list[Turn] = [
        (True, discovery("<P2P>\n<C2M_Q><uid>A-UID</uid><p>MAC</p></C2M_Q></P2P>")),
        (False, discovery("<P2P><R2D_C><cli><ip>203.0.113.9</ip><port>51547</port></cli></R2D_C></P2P>", 0xFFFFFFFF)),
        (False, discovery("<P2P><C2D_C><uid>A-UID</uid><cli><port>24862</port></cli></C2D_C></P2P>")),
        (True, discovery("<P2P><D2C_C_R><rsp>0</rsp></D2C_C_R></P2P>")),
        (False, discovery("<P2P><C2D_T><sid>6209</sid><conn>relay</conn></C2D_T></P2P>")),
        (True, bcudp.ACK + bytes(24)),
        (True, bcudp.DATA + bytes(4) + bytes(12) + bytes(600)),
        (True, bcudp.DATA + bytes(4) + bytes(12) + bytes(600)),
        (False, discovery("<P2P><C2D_DISC><cid>82000</cid></C2D_DISC></P2P>")),
    ]
    expected = ["lookup", "punch-to", "punch", "ready", "relay", "data", "close"]
    assert [event for event, _ in events(bcudp.read, turns)] == expected
    assert events(bcudp.read, turns)[1] == ("punch-to", "203.0.113.9:51547")
    assert [event for event, _ in events(bcudp.read, turns[6:] * 2)] == ["data", "close"] * 2
    assert "A-UID" not in repr(run(bcudp.read, whole(turns)))


@pytest.mark.parametrize(
    "payload",
    [
        bcudp.DATA + b"\0" * 4 + b"\1" + bytes(20),
        bcudp.DISCOVERY + bytes(30),
        bcudp.ACK[:4] + bytes(4) + b"\1" * 20,
        b"\x3a\xcf\x87\x2b" + bytes(30),
    ],
)
def test_reolink_what_is_none(payload: bytes) -> None:
    assert run(bcudp.read, [Chunk(False, payload)] * bcudp.STRANGERS_MAX) == (NOT_MINE, [])


def test_reolink_an_unknown_or_masked_otherwise_message_tells_nothing() -> None:
    assert events(bcudp.read, [(True, discovery("<P2P><NEW_ONE/></P2P>")), (True, discovery("\0\0garbage"))]) == []


# ---- D-Link: the corpus' captures ----

KNOCK = dlink.KNOCK + bytes(21)


def test_dlink_knocks_and_then_media() -> None:
    behind = [(True, b"$\0" + struct.pack(">H", len(media(n))) + media(n)) for n in range(3)]
    turns = [(True, KNOCK), (True, KNOCK), (False, KNOCK), (False, KNOCK)]
    assert events(dlink.read, turns) == [("punch", None), ("ready", None)]
    assert run(dlink.read, [Chunk(True, KNOCK[:-1])] * dlink.STRANGERS_MAX) == (NOT_MINE, [])
    assert [reading.what for reading in feed(rtp.read, [*turns, *behind])] == ["rtp"]
    wrong = [(True, data[:3] + b"\1" + data[4:]) for _, data in behind]
    assert feed(rtp.read, wrong) == []


# ---- all of them ----

READERS = [ptcp.read, bcudp.read, dlink.read]
KNOWN = [*[data for _, data in DAHUA], discovery("<P2P><C2D_C/></P2P>"), KNOCK, bcudp.DATA + bytes(30)]


@pytest.mark.parametrize("read", READERS)
def test_other_talk_is_given_up(read: StreamReader) -> None:
    gives_up(read)


@pytest.mark.parametrize("read", READERS)
def test_cut_datagrams(read: StreamReader) -> None:
    cut_is_no_trouble(read, [(True, data) for data in KNOWN])


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(
                st.binary(max_size=90),
                st.sampled_from(KNOWN),
                st.binary(max_size=60).map(lambda body: bcudp.DISCOVERY + bytes(4) + b"\1\0\0\0" + bytes(8) + body),
                st.binary(max_size=60).map(lambda body: b"DHGET /" + body),
            ),
        ),
        max_size=10,
    )
)
def test_anything_may_come(turns: list[Turn]) -> None:
    for read in READERS:
        assert all(reading.what == "p2p" for reading in feed(read, turns))
