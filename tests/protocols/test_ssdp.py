"""What a device says of itself by SSDP."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard.errors import Malformed
from camguard.protocols import ssdp
from tests.protocols.captures import datagrams, truth


def message(start: str, **fields: str) -> bytes:
    lines = [start, *(f"{name.replace('_', '-')}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode()


CAMERA = "urn:schemas-upnp-org:device:DigitalSecurityCamera:1"
NOTIFY = message(
    "NOTIFY * HTTP/1.1",
    HOST="239.255.255.250:1900",
    LOCATION="http://192.168.50.10:8006/rootdesc.xml",
    NT=CAMERA,
    NTS="ssdp:alive",
    SERVER="Linux UPnP/1.0 porch/1",
    USN=f"uuid:1::{CAMERA}",
)


def test_an_announcement() -> None:
    reading = ssdp.read(NOTIFY)
    assert reading
    assert (reading.what, reading.from_server) == ("ssdp", True)
    assert reading.detail == {
        "message": "alive",
        "type": CAMERA,
        "usn": f"uuid:1::{CAMERA}",
        "server": "Linux UPnP/1.0 porch/1",
        "host": "192.168.50.10",
        "speaks_camera": True,
    }


@pytest.mark.parametrize(
    ("payload", "kind", "camera", "from_server"),
    [
        (message("HTTP/1.1 200 OK", ST="urn:axis-com:service:BasicService:1", EXT=""), "answer", True, True),
        (
            message("HTTP/1.1 200 OK", ST="upnp:rootdevice", SERVER="Linux UPnP/1.0 Network Camera"),
            "answer",
            True,
            True,
        ),
        (message("HTTP/1.1 200 OK", ST="upnp:rootdevice", USN="uuid:DCS-930LB"), "answer", True, True),
        (message("HTTP/1.1 200 OK", ST="upnp:rootdevice", SERVER="Cameron/1 IP"), "answer", False, True),
        (message("NOTIFY * HTTP/1.1", NT="urn:cellvision:service:Null:1", NTS="ssdp:alive"), "alive", True, True),
        (message("NOTIFY * HTTP/1.1", NT=CAMERA, NTS="ssdp:byebye"), "byebye", False, True),
        (message("NOTIFY * HTTP/1.1", NT=CAMERA, NTS="ssdp:update"), "update", True, True),
        # who looks for cameras is none
        (message("M-SEARCH * HTTP/1.1", ST=CAMERA, MAN='"ssdp:discover"', MX="3"), "search", False, False),
    ],
)
def test_messages(payload: bytes, kind: str, camera: bool, from_server: bool) -> None:
    reading = ssdp.read(payload)
    assert reading
    assert (reading.detail["message"], reading.detail["speaks_camera"], reading.from_server) == (
        kind,
        camera,
        from_server,
    )


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("http://10.0.0.9/", "10.0.0.9"),
        ("https://CAM.local:443/d.xml?token=hunter2", "cam.local"),
        ("http://admin:hunter2@10.0.0.9:80/d.xml", "10.0.0.9"),
        ("http://[FE80::1]:80/", "fe80::1"),
        ("ftp://10.0.0.9/", None),
        ("http://\x1b[2J/", None),
        ("", None),
    ],
)
def test_of_the_location_only_the_host_leaves(location: str, host: str | None) -> None:
    reading = ssdp.read(message("HTTP/1.1 200 OK", ST="upnp:rootdevice", LOCATION=location))
    assert reading
    assert reading.detail["host"] == host
    assert "hunter2" not in repr(reading)


@pytest.mark.parametrize(
    ("payload", "fault"),
    [
        (message("NOTIFY * HTTP/1.1", NTS="ssdp:alive"), "ssdp-type"),
        (message("M-SEARCH * HTTP/1.1"), "ssdp-type"),
        (message("NOTIFY * HTTP/1.1", NT=CAMERA), "ssdp-message"),
        (message("NOTIFY * HTTP/1.1", NT=CAMERA, NTS="upnp:propchange"), "ssdp-message"),
        (b"NOTIFY * HTTP/1.1", "ssdp-type"),
    ],
)
def test_messages_that_lie(payload: bytes, fault: str) -> None:
    with pytest.raises(Malformed, match=fault):
        ssdp.read(payload)


@pytest.mark.parametrize("payload", [b"", b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n", b"\0" * 40])
def test_what_is_no_ssdp(payload: bytes) -> None:
    assert ssdp.read(payload) is None


def test_cut_anywhere() -> None:
    """What is left of a cut announcement is what it said that far, or Malformed."""
    whole = ssdp.read(NOTIFY)
    assert whole
    for at in range(len(NOTIFY)):
        try:
            reading = ssdp.read(NOTIFY[:at])
        except Malformed:
            continue
        assert reading is None or all(
            str(whole.detail[key]).startswith(str(value)) or value in (None, False)
            for key, value in reading.detail.items()
        )


@pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")
def test_in_the_corpus_only_the_camera_calls_itself_one() -> None:
    speakers, messages = set(), 0
    for name, theirs in truth().items():
        heard = 0
        for packet in datagrams(name):
            if 1900 in (packet.sport, packet.dport):
                reading = ssdp.read(packet.payload)
                heard += reading is not None
                if reading and reading.detail["speaks_camera"]:
                    speakers.add(name.rpartition("_")[0])
        told = sum(sum(counts.values()) for counts in (theirs.get("ssdp") or {}).values())
        assert heard == told, name
        messages += heard
    assert messages > 1000
    assert speakers == {"iot/sentinel_D-LinkDayCam"}


@settings(max_examples=1000, deadline=None)
@given(st.binary(max_size=200), st.integers(0, len(NOTIFY)), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", NOTIFY]))
def test_anything_may_come(tail: bytes, cut: int, start: bytes) -> None:
    try:
        reading = ssdp.read(start[:cut] + tail)
    except Malformed:
        return
    assert reading is None or all(str(value).isprintable() for value in reading.detail.values())
