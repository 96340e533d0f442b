"""UPnP's port mappings: dialogues as miniupnpc and miniupnpd have them, whole, cut, with holes, and any bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, upnp
from tests.protocols.streams import Turn, bytewise, cut_everywhere, hole_everywhere, run, whole

SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"


def asked(action: str, service: str = SERVICE, **values: object) -> bytes:
    arguments = "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
    body = (
        '<?xml version="1.0"?>\r\n<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        ' s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body>'
        f'<u:{action} xmlns:u="{service}">{arguments}</u:{action}></s:Body></s:Envelope>\r\n'
    )
    return (
        "POST /ctl/IPConn HTTP/1.1\r\nHost: 192.168.1.1:5000\r\nUser-Agent: Debian, UPnP/1.1, MiniUPnPc/2.2.4\r\n"
        f'Content-Length: {len(body)}\r\nContent-Type: text/xml\r\nSOAPAction: "{service}#{action}"\r\n'
        f"Connection: Close\r\n\r\n{body}"
    ).encode()


def answered(status: str = "200 OK", body: str = "") -> bytes:
    body = f"<s:Envelope><s:Body>{body}</s:Body></s:Envelope>\r\n"
    return f"HTTP/1.1 {status}\r\nContent-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def fault(code: int) -> bytes:
    body = f"<s:Fault><detail><UPnPError><errorCode>{code}</errorCode></UPnPError></detail></s:Fault>"
    return answered("500 Internal Server Error", body)


ADD = {
    "NewRemoteHost": "", "NewExternalPort": 8554, "NewProtocol": "TCP", "NewInternalPort": 554,
    "NewInternalClient": "192.168.1.10", "NewEnabled": 1, "NewPortMappingDescription": "Camera &amp; RTSP",
    "NewLeaseDuration": 3600,
}  # fmt: skip
DELETE = {"NewRemoteHost": "", "NewExternalPort": 8554, "NewProtocol": "TCP"}
ANY = {"NewReservedPort": 8555}
EXTERNAL = "<u:AddAnyPortMappingResponse><NewReservedPort>8555</NewReservedPort></u:AddAnyPortMappingResponse>"
NAT = {"NewExternalIPAddress": ""}
#: name, dialogue, (op, external, internal, transport, granted, error) of each reading
ROWS: list[tuple[str, list[Turn], list[tuple[Any, ...]]]] = [
    (
        "granted",
        [(True, asked("AddPortMapping", **ADD)), (False, answered())],
        [("add", 8554, 554, "tcp", None, None), ("add", 8554, 554, "tcp", True, None)],
    ),
    (
        "taken",
        [(True, asked("AddPortMapping", **ADD)), (False, fault(718))],
        [("add", 8554, 554, "tcp", None, None), ("add", 8554, 554, "tcp", False, 718)],
    ),
    (
        "another port",
        [(True, asked("AddAnyPortMapping", SERVICE[:-1] + "2", **ADD)), (False, answered(body=EXTERNAL))],
        [("add", 8554, 554, "tcp", None, None), ("add", 8555, 554, "tcp", True, None)],
    ),
    (
        "PPP, only asked",
        [(True, asked("AddPortMapping", "urn:schemas-upnp-org:service:WANPPPConnection:1", **ADD))],
        [("add", 8554, 554, "tcp", None, None)],
    ),
    (
        "delete",
        [(True, asked("DeletePortMapping", **DELETE)), (False, fault(714))],
        [("delete", 8554, None, "tcp", None, None), ("delete", 8554, None, "tcp", False, 714)],
    ),
    (
        "several in one connection",
        [
            (True, b"GET /rootDesc.xml HTTP/1.1\r\nHost: 192.168.1.1\r\n\r\n"),
            (False, answered(body="<serviceType>x</serviceType>")),
            (True, asked("GetExternalIPAddress", **NAT)),
            (False, answered(body="<NewExternalIPAddress>203.0.113.1</NewExternalIPAddress>")),
            (True, asked("AddPortMapping", **ADD)),
            (False, b"HTTP/1.1 100 Continue\r\n\r\n"),
            (False, answered()),
            (True, asked("DeletePortMapping", **DELETE)),
            (False, answered()),
        ],
        [
            ("add", 8554, 554, "tcp", None, None),
            ("add", 8554, 554, "tcp", True, None),
            ("delete", 8554, None, "tcp", None, None),
            ("delete", 8554, None, "tcp", True, None),
        ],
    ),
]
dialogues = pytest.mark.parametrize(("turns", "expected"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])


def short(readings: list[Any]) -> list[tuple[Any, ...]]:
    fields = ("op", "external_port", "internal_port", "transport", "granted", "error")
    return [tuple(one.detail.get(field) for field in fields) for one in readings if one.what == "upnp"]


@dialogues
def test_whole_and_cut(turns: list[Turn], expected: list[tuple[Any, ...]]) -> None:
    assert short(run(upnp.read, whole(turns))[1]) == expected
    assert short(run(upnp.read, bytewise(turns))[1]) == expected
    for chunks in cut_everywhere(turns):
        assert short(run(upnp.read, chunks)[1]) == expected
    swapped = [(not up, data) for up, data in turns]
    assert short(run(upnp.read, whole(swapped))[1]) == expected, "who is the camera does not matter to the reader"


@dialogues
def test_with_a_hole(turns: list[Turn], expected: list[tuple[Any, ...]]) -> None:
    """What is read is right: never another port, never a yes that was a no."""
    right = {(one[0], one[2], one[4]) for one in expected}
    for _, chunks in hole_everywhere(turns, 40):
        for found in short(run(upnp.read, chunks)[1]):
            assert (found[0], found[2], found[4]) in right
            assert found[1] in (8554, 8555)


def test_all_of_a_request() -> None:
    (reading,) = run(upnp.read, [Chunk(True, asked("AddPortMapping", **ADD))])[1]
    assert reading.from_server is False
    assert reading.detail == {
        "op": "add", "external_port": 8554, "internal_port": 554, "transport": "tcp", "internal_ip": "192.168.1.10",
        "remote_ip": None, "lease_s": 3600, "description": "Camera & RTSP", "granted": None, "error": None,
    }  # fmt: skip
    values = ADD | {
        "NewInternalClient": "cam.lan",
        "NewRemoteHost": "203.0.113.9",
        "NewPortMappingDescription": "\x1b[",
    }
    (reading,) = run(upnp.read, [Chunk(True, asked("AddPortMapping", **values))])[1]
    found = [reading.detail[name] for name in ("internal_ip", "remote_ip", "description")]
    assert found == [None, "203.0.113.9", "\\x1b["]


def test_a_range_and_a_mapping_that_is_switched_off() -> None:
    ranged = {"NewStartPort": 8000, "NewEndPort": 8999, "NewProtocol": "UDP", "NewManage": 1}
    (reading,) = run(upnp.read, [Chunk(True, asked("DeletePortMappingRange", **ranged))])[1]
    assert [reading.detail[name] for name in ("op", "external_port", "external_port_end", "transport")] == [
        "delete", 8000, 8999, "udp",
    ]  # fmt: skip
    (reading,) = run(upnp.read, [Chunk(True, asked("AddPortMapping", **ADD | {"NewEnabled": 0}))])[1]
    assert reading.detail["op"] == "delete"


def test_a_body_whose_length_is_not_told() -> None:
    request = asked("AddPortMapping", **ADD)
    chunked = request.replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nX-Length")
    head, body = chunked.split(b"\r\n\r\n", 1)
    turns = [(True, head + b"\r\n\r\n" + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"), (False, answered())]
    assert [one[4] for one in short(run(upnp.read, whole(turns))[1])] == [None, True]


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"NewExternalPort": 70000}, "upnp-request"),
        ({"NewProtocol": "SCTP"}, "upnp-request"),
        ({"NewInternalPort": ""}, "upnp-request"),
        ({"NewPortMappingDescription": "x" * 9000}, "upnp-long"),
    ],
)
def test_what_breaks_the_format_is_odd_and_its_answer_nobodys(change: dict[str, object], name: str) -> None:
    chunks = [Chunk(True, asked("AddPortMapping", **ADD | change)), Chunk(False, answered())]
    readings = run(upnp.read, chunks)[1]
    assert [(one.what, one.detail.get("name")) for one in readings] == [("odd", name)]


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\x00\x01\x00", b"OPTIONS\0", b"SSH-2.0-x\r\n", b"220 ftp\r\n"])
def test_what_is_no_http_is_given_up_at_once(data: bytes) -> None:
    assert upnp.read(None, Chunk(False, data))[0] is NOT_MINE


def test_a_connection_of_another_kind_is_given_up_soon() -> None:
    state: Any = None
    for number in range(upnp.ASKED_CAP + 1):
        assert state is not NOT_MINE, number
        state, _ = upnp.read(state, Chunk(False, b"GET /x HTTP/1.1\r\n\r\n"))
        if state is not NOT_MINE:
            state, _ = upnp.read(state, Chunk(True, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
    assert state is NOT_MINE
    chunks = [Chunk(True, b"\xff" * 1000, gap=number == 0) for number in range(4)]
    assert run(upnp.read, chunks)[0] is NOT_MINE, "joined in the middle of something else"
    endless = [Chunk(True, b"GET /a HTTP/1.1\r\nX: " + b"x" * 1000), *[Chunk(True, b"x" * 1000)] * 300]
    assert run(upnp.read, endless)[0] is NOT_MINE


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.booleans(),
            st.one_of(
                st.binary(max_size=300),
                st.sampled_from([asked("AddPortMapping", **ADD), answered(), fault(718), answered("100 Continue")]),
                st.builds(lambda cut: asked("AddPortMapping", **ADD)[:cut], st.integers(0, 900)),
            ),
        ),
        max_size=12,
    )
)
def test_any_bytes(pieces: list[tuple[bool, bool, bytes]]) -> None:
    state: Any = None
    for up, gap, data in pieces:
        state, _ = upnp.read(state, Chunk(up, data, gap))
        if state is not NOT_MINE:
            assert len(state.up.tail) + len(state.down.tail) <= 2 * (upnp.HEADER_CAP + upnp.BODY_CAP + 1000)
            assert len(state.pending) <= upnp.PENDING_CAP
