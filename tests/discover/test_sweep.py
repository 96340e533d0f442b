"""What the sweep makes of answers, without a network. The real asking is tested in test_discover.py."""

import ipaddress
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


@given(st.binary(max_size=120))
@settings(max_examples=1000, deadline=None)
def test_no_answer_breaks_it(data: bytes) -> None:
    heard = sweep._sender(data)
    assert heard is None or ipaddress.ip_address(heard[1])
    sweep._sender(b"\x02" * 12 + b"\x08\x06\x00\x01\x08\x00\x06\x04" + data)
    sweep._sender(b"\x02" * 12 + b"\x86\xdd\x60\x00\x00\x00\x00\x08\x3a\xff" + data)
    for begin in (b"", b"HTTP/1.1 200 OK\r\nST: camera\r\nSERVER:", b"onvif://www.onvif.org/name/"):
        signs, name = sweep._signs_of(begin + data)
        assert len(name) <= 40
        assert name.isprintable()
        assert signs <= {"ONVIF", "UPnP camera"}


def test_the_module_does_not_load_scapy() -> None:
    program = "import sys, camguard.discover.sweep; raise SystemExit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
