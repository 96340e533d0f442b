"""DNS over UDP and TCP, mDNS, and names that are written to do harm."""

import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.errors import Malformed
from camguard.events import Chunk
from camguard.protocols import NOT_MINE, dns
from tests.protocols.streams import bytewise, cut_everywhere, run, whole


def name(text: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode("latin-1") for part in text.split(".") if part) + b"\0"


def header(flags: int, questions: int, answers: int) -> bytes:
    return struct.pack(">HHHHHH", 0x1234, flags, questions, answers, 0, 0)


def question(text: str, kind: int = 1) -> bytes:
    return name(text) + struct.pack(">HH", kind, 1)


def record(owner: bytes, kind: int, value: bytes, klass: int = 1) -> bytes:
    return owner + struct.pack(">HHIH", kind, klass, 60, len(value)) + value


def answer(asked: str, *records: bytes, kind: int = 1, flags: int = 0x8180) -> bytes:
    return header(flags, 1, len(records)) + question(asked, kind) + b"".join(records)


FIRST = b"\xc0\x0c"  # a pointer to the name in the question
QUERY = header(0x0100, 1, 0) + question("P2P.Reolink.com")
CHAIN = answer(
    "app.cam.example",
    record(FIRST, 5, name("edge.cdn.example")),
    record(name("edge.cdn.example"), 5, name("n1.cdn.example")),
    record(name("n1.cdn.example"), 1, bytes([192, 0, 2, 1])),
    record(name("n1.cdn.example"), 28, bytes.fromhex("20010db8000000000000000000000001")),
)


def test_a_query() -> None:
    reading = dns.read(QUERY)
    assert reading.detail == {"qname": "p2p.reolink.com", "qtype": "A", "answers": (), "rcode": 0}
    assert reading.from_server is False
    assert dns.addresses(reading) == []


def test_addresses_come_back_under_the_name_asked_for() -> None:
    reading = dns.read(CHAIN)
    assert reading.from_server is True
    assert reading.detail["answers"] == (
        "CNAME edge.cdn.example",
        "CNAME n1.cdn.example",
        "A 192.0.2.1",
        "AAAA 2001:db8::1",
    )
    assert dns.addresses(reading) == [("app.cam.example", "192.0.2.1"), ("app.cam.example", "2001:db8::1")]


def test_records_in_any_order() -> None:
    shuffled = answer(
        "a.example", record(name("b.example"), 1, bytes([192, 0, 2, 9])), record(FIRST, 5, name("b.example"))
    )
    assert dns.addresses(dns.read(shuffled)) == [("a.example", "192.0.2.9")]


def test_an_address_of_a_name_nobody_asked_for_is_passed_over() -> None:
    poisoned = answer(
        "a.example", record(name("bank.example"), 1, bytes([203, 0, 113, 66])), record(FIRST, 1, bytes(4))
    )
    assert dns.addresses(dns.read(poisoned)) == [("a.example", "0.0.0.0")]


def test_names_that_lead_to_each_other_end() -> None:
    loop = answer("a.example", record(FIRST, 5, name("b.example")), record(name("b.example"), 5, name("a.example")))
    assert dns.addresses(dns.read(loop)) == []
    chain = [record(name(f"n{n}"), 5, name(f"n{n + 1}")) for n in range(100)]
    long = answer("n0", *chain, record(name("n100"), 1, bytes(4)))
    assert dns.addresses(dns.read(long)) == [], "a chain longer than any real one is not followed to its end"


def test_an_mdns_answer_is_read_under_its_own_name() -> None:
    reading = dns.read(header(0x8400, 0, 1) + record(name("porch.local"), 1, bytes([10, 0, 0, 5]), klass=0x8001))
    assert dns.addresses(reading) == [("porch.local", "10.0.0.5")]


def test_a_refusal() -> None:
    assert dns.read(answer("gone.example", flags=0x8183)).detail["rcode"] == 3


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"\x03a.b\x00", r"a\046b"),
        (b"\x04a\x1b[m\x00", r"a\027[m"),
        (b"\x03a\\b\x00", r"a\092b"),
        (b"\x02\xc3\xa9\x00", r"\195\169"),
        (b"\x03a b\x00", r"a\032b"),
        (b"\x00", ""),
        (name("CAM.Example"), "cam.example"),
    ],
)
def test_names_are_safe_to_show(raw: bytes, text: str) -> None:
    assert dns.read_name(raw, 0) == (text, len(raw))


@pytest.mark.parametrize(
    ("raw", "at", "fault"),
    [
        (b"\xc0\x00", 0, "dns-pointer"),  # to itself
        (b"\x01a\xc0\x00", 0, "dns-pointer"),  # to its own start
        (b"\xc0\x02\xc0\x00", 0, "dns-pointer"),  # forwards
        (b"\x01a\x00\xc0\x05\xc0\x03", 5, "dns-pointer"),  # two that lead to each other
        (b"\x01a\0" + b"".join(struct.pack(">H", 0xC000 | max(0, at)) for at in range(1, 200, 2)), 201, "dns-pointer"),
        (b"\xc0", 0, "dns-name"),
        (b"\x05ab", 0, "dns-name"),
        (b"\x01a", 0, "dns-name"),
        (b"\x40" + b"a" * 64 + b"\0", 0, "dns-label"),
        (b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 4 + b"\0", 0, "dns-name"),  # over 255
    ],
)
def test_names_that_do_harm(raw: bytes, at: int, fault: str) -> None:
    with pytest.raises(Malformed, match=f"^{fault}$"):
        dns.read_name(raw, at)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (QUERY[:11], "dns-short"),
        (QUERY[:-3], "dns-question"),
        (header(0x2900, 1, 0) + question("a"), "dns-opcode"),
        (answer("a.example", record(FIRST, 1, bytes(5))), "dns-address"),
        (answer("a.example", FIRST + struct.pack(">HHIH", 1, 1, 60, 400) + bytes(4)), "dns-record"),
        (header(0x8180, 1, 3) + question("a.example"), "dns-name"),
    ],
)
def test_messages_that_lie(payload: bytes, fault: str) -> None:
    with pytest.raises(Malformed, match=f"^{fault}$"):
        dns.read(payload)


def test_every_cut_of_an_answer_is_malformed_or_the_whole() -> None:
    for at in range(len(CHAIN)):
        with pytest.raises(Malformed):
            dns.read(CHAIN[:at])


def framed(*messages: bytes) -> bytes:
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


ASK = header(0x0100, 1, 0) + question("app.cam.example")
TURNS = [(True, framed(ASK)), (False, framed(CHAIN)), (True, framed(ASK, QUERY)), (False, framed(CHAIN))]


def test_over_tcp_whole_and_cut_anywhere() -> None:
    expected = run(dns.read_stream, whole(TURNS))[1]
    assert [r.from_server for r in expected] == [False, True, False, False, True]
    assert run(dns.read_stream, bytewise(TURNS))[1] == expected
    for chunks in cut_everywhere(TURNS):
        assert run(dns.read_stream, chunks)[1] == expected


def test_one_message_behind_its_length() -> None:
    assert dns.read(framed(QUERY), tcp=True) == dns.read(QUERY)
    with pytest.raises(Malformed, match="dns-length"):
        dns.read(framed(QUERY)[:-1], tcp=True)


@pytest.mark.parametrize(
    "first",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"OPTIONS rtsp://a/ RTSP/1.0\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-x\r\n",
        b"\x00\x04abcdefgh",
        bytes(64),
        b"\xff" * 64,
    ],
)
def test_what_is_not_dns_is_given_up(first: bytes) -> None:
    state, readings = run(dns.read_stream, [Chunk(True, first)])
    assert (state, readings) == (NOT_MINE, [])


def test_a_hole_ends_a_tcp_dialogue_but_not_its_start() -> None:
    assert run(dns.read_stream, [Chunk(True, framed(QUERY), gap=True)])[1] == [dns.read(QUERY)]
    assert run(dns.read_stream, [*whole(TURNS[:1]), Chunk(False, framed(CHAIN), gap=True)])[0] is NOT_MINE


@pytest.mark.parametrize(
    "turns",
    [
        [(False, framed(CHAIN))],  # nobody asked
        [(False, framed(ASK)), (False, framed(CHAIN))],  # it asked itself
        [(True, framed(QUERY)), (False, framed(CHAIN))],  # for another name
        [(True, framed(b"\x99" + ASK[1:])), (False, framed(CHAIN))],  # with another number
        [(True, framed(ASK)), (False, framed(CHAIN)), (False, framed(CHAIN))],  # answered already
    ],
)
def test_an_answer_that_was_not_asked_for_names_nothing(turns: list[tuple[bool, bytes]]) -> None:
    state, readings = run(dns.read_stream, whole(turns))
    assert state is NOT_MINE
    assert (readings[-1].what, readings[-1].detail) == ("odd", {"name": "dns-unasked"})


def test_questions_without_an_answer_are_capped() -> None:
    asks = [Chunk(True, framed(n.to_bytes(2, "big") + ASK[2:])) for n in range(500)]
    assert len(run(dns.read_stream, asks)[0].asked) == dns.ASKED_CAP


def test_a_broken_message_in_a_dns_dialogue_is_odd() -> None:
    broken = framed(header(0x8180, 1, 3) + question("a.example"))
    _, readings = run(dns.read_stream, [*whole(TURNS[:1]), Chunk(False, broken)])
    assert (readings[-1].what, readings[-1].detail) == ("odd", {"name": "dns-name"})


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.binary(max_size=120).map(lambda tail: CHAIN[:30] + tail)))
def test_any_datagram(payload: bytes) -> None:
    try:
        reading = dns.read(payload)
    except Malformed:
        return
    assert str(reading.detail["qname"]).isprintable()
    assert all(value.isprintable() for _, value in dns.addresses(reading))


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.one_of(st.binary(max_size=80), st.sampled_from([framed(QUERY), framed(CHAIN)]))),
        max_size=8,
    )
)
def test_any_stream(chunks: list[tuple[bool, bytes]]) -> None:
    run(dns.read_stream, [Chunk(up, data) for up, data in chunks])


def test_the_longest_answer_takes_bounded_time() -> None:
    pointers = record(FIRST, 5, FIRST) * 5000
    payload = header(0x8180, 1, 5000) + question("a.example") + pointers
    deep = header(0x8180, 1, 200) + question(".".join(["a"] * 120)) + record(FIRST, 5, FIRST) * 200
    began = time.process_time()
    for message in (payload[:65000], deep):
        dns.read(message)
    assert time.process_time() - began < 0.5
