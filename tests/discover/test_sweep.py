"""What the sweep makes of answers, without a network. The real asking is tested in test_discover.py."""

import subprocess
import sys

import pytest

from camguard.discover import sweep
from camguard.errors import CaptureError


def test_an_interface_that_is_not_there() -> None:
    with pytest.raises(CaptureError, match="there is no interface nowhere0"):
        sweep.ask("nowhere0")


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
    assert sweep._sender(bytes.fromhex(frame)) == expected


def test_answers_are_untrusted() -> None:
    signs, name = sweep._signs_of(b"<x>onvif://www.onvif.org/name/%1b]0;evil%07" + b"a" * 500)
    assert signs == {"ONVIF"}
    assert name.isprintable()
    assert len(name) <= 40
    assert sweep._signs_of(b"\xff\x00" * 400) == (set(), "")
    assert sweep._signs_of(b"HTTP/1.1 200 OK\r\nSERVER: TV\r\nST: upnp:rootdevice\r\n\r\n") == (set(), "")
    assert sweep._signs_of(
        b"HTTP/1.1 200 OK\r\nServer: IPCam/1\r\nUSN: uuid:1::urn:x:device:DigitalSecurityCamera:1\r\n\r\n"
    ) == ({"UPnP camera"}, "IPCam/1")


def test_the_module_does_not_load_scapy() -> None:
    program = "import sys, camguard.discover.sweep; raise SystemExit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=20, check=False).returncode == 0
