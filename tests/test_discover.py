"""Discovery on a link of its own: a namespace with a camera that answers RTSP and ONVIF, and a host that is silent."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from camguard import store
from camguard.events import SeenDevice

CAMERA, SILENT = "02:c0:00:00:00:21", "02:c0:00:00:00:22"

# a camera as far as discovery can tell: answers RTSP OPTIONS on 8554 and a WS-Discovery probe, with a hostile name
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
group = socket.inet_aton("239.255.255.250") + socket.inet_aton("192.0.2.21")
onvif.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
print("ready", flush=True)
while True:
    asked, who = onvif.recvfrom(4000)
    if b"NetworkVideoTransmitter" in asked:
        scopes = b"onvif://www.onvif.org/name/Garden%20cam%1b[31m onvif://www.onvif.org/type/x"
        onvif.sendto(b"<Envelope><Scopes>" + scopes + b"</Scopes></Envelope>", who)
"""


def _sh(*words: str) -> None:
    subprocess.run(words, check=True, timeout=60, capture_output=True)


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
        until = time.monotonic() + 60
        while b"fe80" not in subprocess.check_output(["ip", "-n", ours, "-6", "addr", "show", "eth0"], timeout=60):
            assert time.monotonic() < until, "the bridge got no IPv6 address"
            time.sleep(0.05)
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
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=60, capture_output=True)


def _discover(
    namespace: str, folder: Path, *words: str, wrapper: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """`camguard cameras discover` in that namespace, with a configuration and a record of its own."""
    config = folder / "camguard.toml"
    config.write_text(f'[[camera]]\nname = "porch"\nmac = "{CAMERA}"\n')
    folder.chmod(0o755)
    env = os.environ | {"CAMGUARD_CONFIG": str(config), "CAMGUARD_STATE_DIR": str(folder)}
    return subprocess.run(
        [
            "ip",
            "netns",
            "exec",
            namespace,
            *wrapper,
            sys.executable,
            "-m",
            "camguard.cli",
            "cameras",
            "discover",
            *words,
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=env,
        cwd="/",
    )


@pytest.mark.lab
def test_everybody_on_the_link_is_found_and_the_camera_is_marked(link: str, tmp_path: Path) -> None:
    seen = SeenDevice(SILENT, (), "doorbell of the neighbours", 0.0, 0.0)
    store.Store.open(tmp_path / "guard.db").devices([seen])
    done = _discover(link, tmp_path, "--interface", "eth0", "--json")
    assert done.returncode == 0, done.stderr
    camera, silent = (json.loads(line) for line in done.stdout.splitlines())
    assert camera["mac"] == CAMERA
    assert camera["speaks_camera"] == ["ONVIF", "RTSP 8554"]
    assert (camera["guarded"], camera["maker"], camera["name"]) == ("porch", None, "Garden cam [31m")
    assert "192.0.2.21" in camera["ips"]
    assert any(ip.startswith("fe80:") for ip in camera["ips"]), "NDP found no address"
    assert (silent["mac"], silent["speaks_camera"], silent["guarded"]) == (SILENT, [], None)
    assert silent["name"] == "doorbell of the neighbours"
    assert "192.0.2.77" in silent["ips"]


@pytest.mark.lab
def test_the_table_ends_in_the_next_command(link: str, tmp_path: Path) -> None:
    done = _discover(link, tmp_path)
    assert done.returncode == 3  # there is no default route here
    assert "--interface" in done.stderr
    done = subprocess.run(
        ["ip", "netns", "exec", link, sys.executable, "-c", _TABLE],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert f"sudo camguard cameras add {CAMERA} NAME" in done.stdout, done.stderr
    assert "yes: ONVIF, RTSP 8554" in done.stdout
    assert "\x1b" not in done.stdout
    assert "192.0.2.77" not in done.stdout, "asked outside the network that was named"


_TABLE = """
from camguard import config, discover
raise SystemExit(discover.run(config.paths(), interface="eth0", network="192.0.2.16/28"))
"""


@pytest.mark.lab
def test_without_rights_one_line_says_what_to_do(link: str) -> None:
    user = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders may not be entered by others
        done = _discover(link, Path(folder), "--interface", "eth0", wrapper=user)
    assert done.stderr == "camguard: asking the link needs rights. Run: sudo camguard cameras discover\n"
    assert done.returncode == 3


@pytest.mark.lab
def test_where_the_guard_looks_is_where_it_asks(link: str, tmp_path: Path) -> None:
    running = {"name": "eth0", "state": "up"}, {"name": "gone0", "state": "gone"}
    store.write_now(tmp_path / "now.json", {"interfaces": running})
    done = _discover(link, tmp_path, "--network", "192.0.2.16/28", "--json", "--runtime-dir", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["mac"] for line in done.stdout.splitlines()][:1] == [CAMERA]
    figures = json.loads((tmp_path / "now.json").read_text())
    (tmp_path / "now.json").write_text(json.dumps(figures | {"boottime_s": figures["boottime_s"] - 60}))
    done = _discover(link, tmp_path, "--runtime-dir", str(tmp_path))
    assert done.returncode == 3, "it runs no longer, and there is no default route here"


@pytest.mark.lab
def test_one_of_two_interfaces_that_cannot_be_asked_does_not_hide_the_other(link: str, tmp_path: Path) -> None:
    store.write_now(tmp_path / "now.json", {"interfaces": [{"name": one, "state": "up"} for one in ("no0", "eth0")]})
    done = _discover(link, tmp_path, "--network", "192.0.2.16/28", "--json", "--runtime-dir", str(tmp_path))
    assert done.returncode == 0
    assert CAMERA in done.stdout
    assert done.stderr.startswith("camguard: there is no interface no0.")


@pytest.mark.lab
def test_the_providers_network_is_not_asked(link: str, tmp_path: Path) -> None:
    _sh("ip", "-n", link, "addr", "add", "100.64.0.1/29", "dev", "eth0")
    try:
        done = _discover(link, tmp_path, "--interface", "eth0")
        asked = _discover(link, tmp_path, "--interface", "eth0", "--network", "100.64.0.0/29", "--yes", "--json")
    finally:
        _sh("ip", "-n", link, "addr", "del", "100.64.0.1/29", "dev", "eth0")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (3, "", 1)
    assert "perhaps your provider's" in done.stderr
    assert "--interface" in done.stderr
    assert asked.returncode == 0


@pytest.mark.lab
def test_a_large_network_is_refused_with_a_way_out(link: str, tmp_path: Path) -> None:
    _sh("ip", "-n", link, "addr", "add", "10.0.0.1/8", "dev", "eth0")
    try:
        done = _discover(link, tmp_path, "--interface", "eth0")
    finally:
        _sh("ip", "-n", link, "addr", "del", "10.0.0.1/8", "dev", "eth0")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert "10.0.0.0/8 has 16,777,216 addresses" in done.stderr
    assert "--network 10.0.0.0/24" in done.stderr
