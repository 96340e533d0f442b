"""Discovery on a link of its own: a namespace with a camera that answers RTSP and ONVIF, and a host that is silent."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from camguard import discover
from camguard.errors import CaptureError

CAMERA, SILENT = "02:c0:00:00:00:21", "02:c0:00:00:00:22"

_CAMERA_PROGRAM = """
import socket, struct, threading
def rtsp(port):
    server = socket.create_server(("0.0.0.0", port))
    while True:
        talk, _ = server.accept()
        asked = talk.recv(500)
        if asked.startswith(b"OPTIONS rtsp://"):
            talk.sendall(b"RTSP/1.0 200 OK\\r\\nCSeq: 1\\r\\nPublic: OPTIONS, DESCRIBE\\r\\n\\r\\n")
        talk.close()
threading.Thread(target=rtsp, args=(8554,), daemon=True).start()
onvif = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
onvif.bind(("0.0.0.0", 3702))
onvif.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("239.255.255.250") + socket.inet_aton("192.0.2.21"))
print("ready", flush=True)
while True:
    asked, who = onvif.recvfrom(4000)
    if b"NetworkVideoTransmitter" in asked:
        onvif.sendto(b"<Envelope><Scopes>onvif://www.onvif.org/name/Garden%20cam%1b[31m onvif://www.onvif.org/type/x</Scopes></Envelope>", who)
"""


def _sh(*words: str) -> None:
    subprocess.run(words, check=True, timeout=20, capture_output=True)


@pytest.fixture(scope="module")
def link() -> Iterator[str]:
    """Three namespaces on one bridge; the name of ours. Its interface is eth0, 192.0.2.1/24."""
    if os.geteuid() != 0:
        pytest.skip("namespaces need root")
    tag = f"h6{os.getpid()}"
    ours, camera, silent = f"{tag}a", f"{tag}b", f"{tag}c"
    programs = []
    try:
        for name in (ours, camera, silent):
            _sh("ip", "netns", "add", name)
            _sh("ip", "-n", name, "link", "set", "lo", "up")
            # no wait for duplicate addresses: IPv6 is there at once
            _sh("ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0")
        _sh("ip", "-n", ours, "link", "add", "eth0", "type", "bridge")
        _sh("ip", "-n", ours, "addr", "add", "192.0.2.1/24", "dev", "eth0")
        for name, mac, ip in ((camera, CAMERA, "192.0.2.21/24"), (silent, SILENT, "192.0.2.77/24")):
            _sh("ip", "-n", ours, "link", "add", f"to{name[-1]}", "type", "veth", "peer", "eth0", "netns", name)
            _sh("ip", "-n", ours, "link", "set", f"to{name[-1]}", "master", "eth0", "up")
            _sh("ip", "-n", name, "link", "set", "eth0", "address", mac)
            _sh("ip", "-n", name, "link", "set", "eth0", "up")
            _sh("ip", "-n", name, "addr", "add", ip, "dev", "eth0")
            _sh("ip", "-n", name, "route", "add", "224.0.0.0/4", "dev", "eth0")
        _sh("ip", "-n", ours, "link", "set", "eth0", "up")
        program = subprocess.Popen(
            ["ip", "netns", "exec", camera, sys.executable, "-c", _CAMERA_PROGRAM], stdout=subprocess.PIPE
        )
        programs.append(program)
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        yield ours
    finally:
        for program in programs:
            program.kill()
            program.communicate()
        for name in (ours, camera, silent):
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=20, capture_output=True)


def _inside(namespace: str, code: str, *wrapper: str) -> subprocess.CompletedProcess[str]:
    program = "from camguard import discover\nfrom camguard.events import Camera, Home\n" + textwrap.dedent(code)
    return subprocess.run(
        ["ip", "netns", "exec", namespace, *wrapper, sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.lab
def test_everybody_on_the_link_is_found_and_the_camera_is_marked(link: str) -> None:
    home = f'Home(cameras=(Camera("porch", "{CAMERA}"),))'
    done = _inside(
        link,
        f'raise SystemExit(discover.run("eth0", {home}, lambda mac: "Maker" if mac[3:5] == "c0" else None, as_json=True))',
    )
    assert done.returncode == 0, done.stderr
    camera, silent = (json.loads(line) for line in done.stdout.splitlines())
    assert camera["mac"] == CAMERA
    assert camera["speaks_camera"] == ["ONVIF", "RTSP 8554"]
    assert (camera["guarded"], camera["maker"], camera["name"]) == ("porch", "Maker", "Garden cam [31m")
    assert "192.0.2.21" in camera["ips"]
    assert any(ip.startswith("fe80:") for ip in camera["ips"]), "NDP found no address"
    assert (silent["mac"], silent["speaks_camera"], silent["guarded"]) == (SILENT, [], None)
    assert "192.0.2.77" in silent["ips"]


@pytest.mark.lab
def test_the_table_ends_in_the_next_command(link: str) -> None:
    done = _inside(
        link,
        'raise SystemExit(discover.run(None, Home(), lambda mac: None, network="192.0.2.16/28"))',
    )
    assert done.returncode == 1  # there is no default route here
    assert "--interface" in done.stderr
    done = _inside(link, 'discover.run("eth0", Home(), lambda mac: None, network="192.0.2.16/28")')
    assert f"sudo camguard cameras add NAME {CAMERA}" in done.stdout, done.stderr
    assert "yes: ONVIF, RTSP 8554" in done.stdout
    assert "\x1b" not in done.stdout
    assert "192.0.2.77" not in done.stdout, "asked outside the network that was named"


@pytest.mark.lab
def test_without_rights_one_line_says_what_to_do(link: str) -> None:
    done = _inside(
        link,
        'discover.run("eth0", Home(), lambda mac: None)',
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    )
    assert "CaptureError: asking the link needs rights. Run: sudo camguard cameras discover" in done.stderr


@pytest.mark.lab
def test_a_large_network_is_refused_with_a_way_out(link: str) -> None:
    _sh("ip", "-n", link, "addr", "add", "10.0.0.1/8", "dev", "eth0")
    try:
        done = _inside(link, 'discover.run("eth0", Home(), lambda mac: None)')
    finally:
        _sh("ip", "-n", link, "addr", "del", "10.0.0.1/8", "dev", "eth0")
    assert "10.0.0.0/8 has 16,777,216 addresses" in done.stderr
    assert "--network 10.0.0.0/24" in done.stderr


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(CaptureError, match="there is no interface nowhere0"):
        discover.ask("nowhere0")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            "ffffffffffff02000000000108060001080006040002020000000001c0000205020000000002c0000201",
            ("02:00:00:00:00:01", "192.0.2.5"),
        ),
        (
            "ffffffffffff02000000000108060001080006040002030000000001c0000205020000000002c0000201",
            None,
        ),  # a group as MAC
        ("ffffffffffff0200000000010806000108000604000202000000000100000000020000000002c0000201", None),  # a probe
        ("0200000000010200000000020800", None),
        ("", None),
    ],
)
def test_who_answered(frame: str, expected: tuple[str, str] | None) -> None:
    assert discover._sender(bytes.fromhex(frame)) == expected


def test_answers_are_untrusted() -> None:
    signs, name = discover._signs_of(b"<x>onvif://www.onvif.org/name/%1b]0;evil%07" + b"a" * 500)
    assert signs == {"ONVIF"}
    assert name.isprintable()
    assert len(name) <= 40
    assert discover._signs_of(b"\xff\x00" * 400) == (set(), "")
    assert discover._signs_of(b"HTTP/1.1 200 OK\r\nSERVER: TV\r\nST: upnp:rootdevice\r\n\r\n") == (set(), "")
    assert discover._signs_of(
        b"HTTP/1.1 200 OK\r\nServer: IPCam/1\r\nUSN: uuid:1::urn:x:device:DigitalSecurityCamera:1\r\n\r\n"
    ) == ({"UPnP camera"}, "IPCam/1")


def test_the_module_does_not_load_scapy() -> None:
    program = "import sys, camguard.discover; raise SystemExit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 0
