"""WireGuard, OpenVPN and SSH are named once somebody answers; OpenVPN's own program as well."""

import socket
import struct
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, Reading, tunnels
from tests.protocols.datagrams import cut_is_no_trouble, feed, free_port, gives_up, needs, wire
from tests.protocols.streams import Turn, bytewise, cut_everywhere, run, whole

INITIATION = b"\1\0\0\0" + b"abcd" + bytes(140)
RESPONSE = b"\2\0\0\0" + b"efgh" + b"abcd" + bytes(80)


def data(counter: int, receiver: bytes = b"efgh", size: int = 64) -> bytes:
    return b"\4\0\0\0" + receiver + struct.pack("<Q", counter) + bytes(size)


SESSION, OTHER = b"client01", b"server01"
RESET = b"\x38" + SESSION + b"\0" + bytes(4)
RESET_ANSWER = b"\x40" + OTHER + b"\1" + bytes(4) + SESSION + bytes(4)
STAMP = struct.pack(">II", 1, 1_700_000_000)
CRYPT = b"\x38" + SESSION + STAMP + bytes(37)
CRYPT_ANSWER = b"\x40" + OTHER + STAMP + bytes(49)
AUTH = b"\x38" + SESSION + bytes(20) + STAMP + bytes(5)
AUTH_ANSWER = b"\x40" + OTHER + bytes(20) + STAMP + b"\1" + bytes(4) + SESSION + bytes(4)


@pytest.mark.parametrize(
    ("turns", "name"),
    [
        ([(True, INITIATION), (False, RESPONSE)], "wireguard"),
        ([(False, INITIATION), (False, INITIATION), (True, RESPONSE)], "wireguard"),
        ([(True, data(5)), (False, data(9, b"abcd")), (True, data(6)), (True, data(7))], "wireguard"),
        ([(True, RESET), (True, RESET), (False, RESET_ANSWER)], "openvpn"),
        ([(True, CRYPT), (False, CRYPT_ANSWER)], "openvpn"),
        ([(True, b"\x50" + CRYPT[1:]), (False, CRYPT_ANSWER)], "openvpn"),
        ([(True, CRYPT[:12] + b"\x07" + CRYPT[13:]), (False, CRYPT_ANSWER)], "openvpn"),  # the seventh try
        ([(True, AUTH), (False, AUTH_ANSWER)], "openvpn"),
    ],
)
def test_a_tunnel_that_stands_is_named_once(turns: list[Turn], name: str) -> None:
    state, readings = run(tunnels.read, whole(turns * 3))
    assert [reading.detail["name"] for reading in readings] == [name]
    assert state is NOT_MINE


@pytest.mark.parametrize(
    "turns",
    [
        [(True, INITIATION)] * 5,
        [(True, INITIATION), (True, RESPONSE)],
        [(True, INITIATION), (False, RESPONSE[:8] + b"wxyz" + RESPONSE[12:])],
        [(True, INITIATION + b"x"), (False, RESPONSE)],
        [(True, data(5))] * 5,
        [(True, data(5)), (True, data(50_000)), (True, data(3)), (True, data(900))],
        [(True, RESET)] * 5,
        [(False, RESET_ANSWER)] * 5,
        [(True, RESET), (False, RESET_ANSWER[:14] + b"somebody" + bytes(4))],
        [(True, CRYPT), (False, CRYPT_ANSWER[:13] + bytes(4) + CRYPT_ANSWER[17:])],
    ],
)
def test_what_nobody_answered_is_none(turns: list[Turn]) -> None:
    assert feed(tunnels.read, turns) == []


def test_the_answer_is_the_servers() -> None:
    assert feed(tunnels.read, [(True, INITIATION), (False, RESPONSE)])[0].from_server is True
    assert feed(tunnels.read, [(True, RESET), (False, RESET_ANSWER)])[0].from_server is True


def framed(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


GREETINGS: list[Turn] = [(False, b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"), (True, b"SSH-2.0-dropbear_2019.78\r\n")]
OVER_TCP: list[Turn] = [(True, framed(RESET)), (False, framed(RESET_ANSWER))]


@pytest.mark.parametrize(("turns", "name"), [(GREETINGS, "ssh"), (OVER_TCP, "openvpn")])
def test_over_tcp_however_it_is_cut(turns: list[Turn], name: str) -> None:
    state, readings = run(tunnels.read_stream, whole(turns))
    assert [reading.detail["name"] for reading in readings] == [name]
    assert state is NOT_MINE
    assert run(tunnels.read_stream, bytewise(turns))[1] == readings
    for chunks in cut_everywhere(turns):
        assert run(tunnels.read_stream, chunks)[1] == readings
    assert feed(tunnels.read_stream, turns[:1]) == []


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"SSH-1.5-x\r\n", b"\0\x0e\x39" + bytes(20), b"\x16\3\1\2\0"])
def test_other_streams_are_given_up(data: bytes) -> None:
    assert run(tunnels.read_stream, [Chunk(True, data)]) == (NOT_MINE, [])
    assert run(tunnels.read_stream, [Chunk(True, GREETINGS[1][1], gap=True)]) == (NOT_MINE, [])


def test_other_talk_is_given_up() -> None:
    gives_up(tunnels.read)
    assert run(tunnels.read, [Chunk(True, INITIATION)] * tunnels.TRIES_MAX)[0] is NOT_MINE


def test_cut_datagrams() -> None:
    cut_is_no_trouble(tunnels.read, [(True, INITIATION), (False, RESPONSE), (True, AUTH), (False, AUTH_ANSWER)])


KNOWN = [INITIATION, RESPONSE, data(1), data(2), data(3), RESET, RESET_ANSWER, CRYPT, CRYPT_ANSWER]


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.one_of(st.binary(min_size=1, max_size=160), st.sampled_from(KNOWN)))))
def test_anything_may_come(turns: list[Turn]) -> None:
    for reader in (tunnels.read, tunnels.read_stream):
        assert all(reading.what == "tunnel" for reading in feed(reader, turns))


@needs("openvpn")
@pytest.mark.parametrize("kind", ["", "--tls-auth", "--tls-crypt"])
@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_openvpns_own_program(kind: str, proto: str, tmp_path: Path) -> None:
    """A client calls a server that has its own keys; only the first packets matter, so no tunnel device is needed."""
    key, cert, static = tmp_path / "key", tmp_path / "cert", tmp_path / "static"
    subject = ["-subj", "/CN=lab", "-addext", "basicConstraints=critical,CA:TRUE"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    subprocess.run([*make, *subject, "-keyout", key, "-out", cert], check=True, capture_output=True)
    subprocess.run(["openvpn", "--genkey", "secret", static], check=True, capture_output=True)
    port = free_port(socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM)
    shared = ["--dev", "null", "--ifconfig-noexec", "--ca", cert, "--cert", cert, "--key", key, "--verb", "0"]
    shared += [kind, static] if kind else []
    serve = ["openvpn", "--tls-server", "--dh", "none", "--local", "127.0.0.1", "--lport", str(port), *shared]
    serve += ["--proto", "tcp-server" if proto == "tcp" else "udp"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(serve, **quiet)
    try:
        said = _openvpn_over_tcp(port, shared) if proto == "tcp" else _openvpn_over_udp(port, shared)
    finally:
        server.kill()
        server.wait()
    assert said == [Reading("tunnel", {"name": "openvpn", "detail": "handshake"}, True)]


def _call(port: int, proto: str, shared: list[object]) -> "subprocess.Popen[bytes]":
    call = ["openvpn", "--tls-client", "--remote", "127.0.0.1", str(port), "--nobind", "--proto", proto, *shared]
    return subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # type: ignore[arg-type]


def _openvpn_over_udp(port: int, shared: list[object]) -> list[Reading]:
    with wire(port) as carrier:
        client = _call(carrier.port, "udp", shared)
        try:
            until = time.monotonic() + 60
            while not feed(tunnels.read, carrier.said) and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            client.kill()
            client.wait()
        return feed(tunnels.read, carrier.said)


def _openvpn_over_tcp(port: int, shared: list[object]) -> list[Reading]:
    """The client speaks to us; what it says goes on to the server, whose answer is read."""
    with socket.create_server(("127.0.0.1", 0)) as near:
        near.settimeout(60)
        client = _call(near.getsockname()[1], "tcp-client", shared)
        try:
            caller = near.accept()[0]
            with caller, _connected(port) as far:
                caller.settimeout(60)
                first = caller.recv(4096)
                far.sendall(first)
                answer = far.recv(4096)
        finally:
            client.kill()
            client.wait()
    return feed(tunnels.read_stream, [(True, first), (False, answer)])


def _connected(port: int) -> socket.socket:
    until = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except ConnectionRefusedError:
            assert time.monotonic() < until
            time.sleep(0.05)
