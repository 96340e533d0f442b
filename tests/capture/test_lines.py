"""Line dialogues (telnet, FTP, SSH), bodies behind a POST, NAT-PMP and PCP: what is handed up, by kernel and twin.

The kernel's part needs root (lab); the twin's does not.
"""

import time
from collections.abc import Sequence

import pytest

from camguard.capture.budget import FIRST, FLOW_LATER, LINE_LATER
from camguard.capture.kernel import KernelLedger
from camguard.capture.ledger import Ledger
from camguard.events import TCP, UDP, Frame, Host
from tests.capture import wire

CAM, GATE, NOBODY = b"\2\0\0\0\0\1", b"\2\0\0\0\0\xfe", b"\2\0\0\0\0\x77"
CAM_IP, PEER_IP = bytes((192, 168, 1, 10)), bytes((203, 0, 113, 9))
HOSTS = (Host(1, "porch", CAM, ()),)
UP, DOWN = True, False
SHORT, LONG = bytes(512), bytes(513)
Said = tuple[bool, bytes]


def frame(up: bool, payload: bytes, port: int = 40021, proto: int = TCP, peer_port: int = 40000) -> bytes:
    """One packet of a connection of the camera's `port`."""
    ends = (CAM, GATE, CAM_IP, PEER_IP, port, peer_port) if up else (GATE, CAM, PEER_IP, CAM_IP, peer_port, port)
    return wire.udp4(*ends, payload) if proto == UDP else wire.tcp4(*ends, 16, payload)


OPENING: list[Said] = [said for _ in range(FIRST) for said in ((UP, SHORT), (DOWN, SHORT))]


def opened(first: Said) -> list[Said]:
    """The first payload packets both ways; they are all handed up."""
    up = first[0]
    return [first, *((way, data) for number, (way, data) in enumerate(OPENING) if number != (0 if up else 1))]


POST, PUT, GET = (word + bytes(300) for word in (b"POST /login", b"PUT /config", b"GET /live"))

#: name -> (camera's port, the opening, what follows, which of it is handed up)
ROWS: dict[str, tuple[int, list[Said], list[Said], str]] = {
    "telnet's door": (23, OPENING, [(UP, SHORT), (DOWN, SHORT), (UP, LONG), (DOWN, LONG)], "yynn"),
    "other usual doors": (2323, OPENING, [(UP, b"#"), (DOWN, b"l")], "yy"),
    "a door that is none": (40021, OPENING, [(UP, SHORT), (DOWN, SHORT), (UP, LONG), (DOWN, LONG)], "nynn"),
    "SSH by its banner": (40022, opened((DOWN, b"SSH-2.0-Go")), [(UP, SHORT), (DOWN, SHORT), (UP, LONG)], "yyn"),
    "FTP by its greeting": (40021, opened((UP, b"220 camera")), [(UP, SHORT), (UP, LONG)], "yn"),
    "telnet by its options": (40023, opened((UP, b"\xff\xfd\x01")), [(UP, b"$")], "y"),
    "telnet by two bytes of them": (40023, opened((UP, b"\xff\xfb")), [(UP, b"$")], "y"),
    "no option of telnet": (40023, opened((UP, b"\xff\xfa\x01\x02")), [(UP, b"$")], "n"),
    "one byte": (40023, opened((UP, b"\xff")), [(UP, b"$")], "n"),
    "a greeting that comes later": (40021, [*OPENING, (UP, b"220 camera")], [(UP, b"221 bye")], "n"),
    "the body of a POST": (80, OPENING, [(DOWN, POST), (DOWN, LONG), (DOWN, LONG), (DOWN, LONG)], "yyyn"),
    "the body of a PUT": (80, OPENING, [(DOWN, PUT + LONG), (DOWN, LONG), (UP, LONG), (DOWN, LONG)], "yyny"),
    "no body": (80, OPENING, [(DOWN, GET), (DOWN, LONG)], "yn"),
    "short packets count as bodies": (80, OPENING, [(DOWN, POST), (DOWN, b"a"), (DOWN, b"b"), (DOWN, LONG)], "yyyn"),
    "a POST that ends the opening": (80, [*OPENING[:-1], (DOWN, POST)], [(DOWN, LONG)] * 3, "yyn"),
    "a POST by the camera": (80, OPENING, [(UP, POST), (UP, LONG), (DOWN, LONG)], "ynn"),
    "POST twice": (80, OPENING, [(DOWN, POST), (DOWN, POST), (DOWN, LONG), (DOWN, LONG), (DOWN, LONG)], "yyyyn"),
}  # fmt: skip


def frames_of(number: int, name: str) -> tuple[list[bytes], list[bytes]]:
    """The opening, and what follows it; every row has its own ports."""
    port, opening, after, _ = ROWS[name]
    first, then = ([frame(*said, port=port, peer_port=41000 + number) for said in part] for part in (opening, after))
    return first, then


def by_twin(frames: Sequence[bytes], at: float = 5.0) -> list[bool]:
    twin = Ledger(HOSTS)
    return [twin.packet(Frame(at, data, len(data))) for data in frames]


@pytest.mark.parametrize("name", ROWS)
def test_what_of_a_dialogue_is_handed_up(name: str) -> None:
    opening, after = frames_of(0, name)
    told = by_twin([*opening, *after])
    assert told[: len(OPENING)] == [True] * len(OPENING)
    assert "".join("y" if one else "n" for one in told[len(opening) :]) == ROWS[name][3]


def test_a_line_dialogue_has_a_budget_of_its_own() -> None:
    for port, most in ((23, LINE_LATER), (40021, FLOW_LATER)):
        opening = [frame(*said, port=port) for said in OPENING]
        told = by_twin([*opening, *(frame(DOWN, b"guess", port) for _ in range(100))])
        assert sum(told) == len(OPENING) + most


def test_port_mappings_are_read_whoever_asks() -> None:
    """NAT-PMP and PCP (RFC 6886, RFC 6887): of devices that are no camera, too."""
    for port, expected in ((5350, True), (5351, True), (5352, False)):
        data = wire.udp4(NOBODY, GATE, bytes((192, 168, 1, 77)), bytes((192, 168, 1, 1)), 50000, port, bytes(12))
        assert by_twin([data]) == [expected], port


@pytest.mark.lab
def test_the_kernel_hands_up_the_same() -> None:
    """All rows, a few at a time (budgets are a camera's own, and windows of kernel and twin begin a little apart)."""
    names = list(ROWS)
    ports = [wire.udp4(NOBODY, GATE, PEER_IP, CAM_IP, 50000, port, bytes(12)) for port in (5350, 5351, 5352)]
    with wire.pair() as (near, far):
        source, sender, twin = KernelLedger([far], HOSTS), wire.Sender(near), Ledger(HOSTS)
        try:
            for begin in range(0, len(names), 3):
                group = [(number, names[number]) for number in range(begin, min(begin + 3, len(names)))]
                frames = [data for number, name in group for part in frames_of(number, name) for data in part] + ports
                expected = [data for data in frames if twin.packet(Frame(time.monotonic(), data, len(data)))]
                for data in frames:
                    sender.send(data)
                got: list[bytes] = []
                until = time.monotonic() + 60
                while len(got) < len(expected) and time.monotonic() < until:
                    got += [one.data for one in source.read()]
                time.sleep(1.2)  # a new window: the budget is whole again
                got += [one.data for one in source.read()]
                assert got == expected, group
            assert source.counters()["budget-spent"] == twin.counters()["budget-spent"] == 0
        finally:
            sender.close()
            source.close()
