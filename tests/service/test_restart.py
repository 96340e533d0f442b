"""A guard process that is killed in the middle of everything, and started again: one alert each, and its end."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from camguard.events import Frame
from camguard.store import Reader, seconds
from tests.service.test_loop import Guard
from tests.test_guard import http_login
from tests.test_guard_findings import asked, seen
from tests.traffic import CAMERA_IP, CAMERA_MAC, LAPTOP_IP, LAPTOP_MAC, Dialogue, ip_bytes, mac_bytes, rtsp_view

BEGIN, BREAK, END = 100.0, 112.0, 140.0
OTHER_MAC, OTHER_IP = "02:00:00:00:00:77", "192.168.1.77"
CAMERAS = {"porch": 1, "garage": 2, "bath": 3, "attic": 4, "yard": 5, "cellar": 6}
CONFIG = '[network]\ngateway = "02:00:00:00:00:fe"\n' + "".join(
    f'[[camera]]\nname = "{name}"\nmac = "02:00:00:00:00:{number:02x}"\n{"never = true" if name == "bath" else ""}\n'
    for name, number in CAMERAS.items()
)
CONFIG += f'[[device]]\nname = "phone"\nmac = "{LAPTOP_MAC}"\nowner = true\n'


def of_camera(name: str, frames: Iterator[Frame] | list[Any]) -> list[Frame]:
    """The same talk with another camera; nothing looks at checksums."""
    number = CAMERAS[name]
    mac, ip = bytes.fromhex(f"0200000000{number:02x}"), bytes((192, 168, 1, 9 + number))
    return [
        one._replace(data=one.data.replace(mac_bytes(CAMERA_MAC), mac, 1).replace(ip_bytes(CAMERA_IP), ip, 1))
        for one in frames
    ]


def viewing(start: float, stop: float, **peer: str) -> list[Frame]:
    """RTSP to its PLAY, then video on the same connection; with nothing but video where it began before `start`."""
    frames = list(rtsp_view(start + 0.2, **peer)) if start == BEGIN else []  # type: ignore[arg-type]
    talk = Dialogue(start + 0.5, **peer)  # type: ignore[arg-type]
    talk._seq = {True: 200_000, False: 90_000}
    number = 1000
    while talk.at < stop:
        for size in (1268, 1268, 400 + number * 7 % 800):  # a picture: the last packet of it is a shorter one
            number += 1
            rtp = b"\x80\x60" + struct.pack(">HI", number, 3600 * (number // 3)) + b"SSRC" + bytes(size)
            frames.append(talk.says(True, b"$\0" + struct.pack(">H", len(rtp)) + rtp))
            talk.at -= 0.009
        frames.append(talk._frame(False, "A", b""))
        talk.at += 0.05
    return frames


def everything(start: float, stop: float) -> list[Frame]:
    """All that goes on between two moments."""
    frames = of_camera("porch", viewing(start, stop))
    frames += of_camera("garage", viewing(start, stop, peer_ip=OTHER_IP, peer_mac=OTHER_MAC))
    frames += of_camera("bath", viewing(start, stop, peer_ip=LAPTOP_IP, peer_mac=LAPTOP_MAC))
    for number in range(int(2 * (stop - start))):
        at, port = start + 0.2 + 0.5 * number, 51_000 + number + int(start)
        frames += of_camera("attic", http_login(at, f"guess-{at}", "401 Unauthorized", port=port))
    lease_s = 3600 if start < BREAK else 0
    frames += of_camera("yard", [*seen(start + 0.1), *asked(start + 2.5, 8554, lease_s)])
    for number in range(int(20 * (stop - start))):
        at = start + 0.3 + 0.05 * number
        port = 1 + number + (1000 if start > BREAK else 0)
        scan = Dialogue(at, peer_ip=OTHER_IP, peer_mac=OTHER_MAC, port=port, peer_port=40_000 + number)
        frames += of_camera("cellar", [scan._frame(False, "S", b""), scan._frame(True, "RA", b"")])
    return [one for one in frames if start <= one.at <= stop]


def written(path: Path, frames: list[Frame]) -> str:
    """A capture file; no more than headers of video."""
    parts = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 2048, 1)]
    for at, data, wire, *_ in sorted(frames):
        whole, rest = divmod(round((1_764_590_400.0 + at) * 1_000_000), 1_000_000)
        kept = data[:74] if wire > 450 else data  # and of RTP
        parts += (struct.pack("<IIII", whole, rest * 1000, len(kept), wire), kept)
    path.write_bytes(b"".join(parts))
    return str(path)


def kinds(alerts: list[dict[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """Ids by camera and type; strangers come in by an open door, which is a matter of its own."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in alerts:
        if one["camera"] and (one["type"] != "exposed-port" or one["camera"] == "yard"):
            found.setdefault((one["camera"], one["type"]), set()).add(one["id"])
    return found


MATTERS = {
    ("porch", "remote-stream"),
    ("garage", "lan-stream"),
    ("bath", "privacy"),
    ("attic", "brute-force"),
    ("yard", "exposed-port"),
    ("cellar", "port-scan"),
}


def test_each_kind_goes_on_as_one_alert_and_ends(tmp_path: Path) -> None:
    (tmp_path / "camguard.toml").write_text(CONFIG)
    first = Guard(tmp_path, written(tmp_path / "first.pcap", everything(BEGIN, BREAK)))
    try:
        until = time.monotonic() + 120
        while not (first.database.exists() and set(kinds(alerts_of(first))) >= MATTERS):
            assert time.monotonic() < until, (kinds(alerts_of(first)), first.now())
            time.sleep(0.3)
        time.sleep(2.0)
        first.process.kill()
        first.process.wait()
    finally:
        first.close()
    before, seq = Reader(first.database).alerts(), Reader(first.database).last_seq()
    began = time.time()
    again = Guard(tmp_path, written(tmp_path / "second.pcap", everything(BREAK + 2.0, END)))
    try:
        ended = {("porch", "remote-stream"), ("garage", "lan-stream"), ("bath", "privacy"), ("yard", "exposed-port")}
        again.line("looking")
        until = time.monotonic() + 180
        while ended & set(kinds(Reader(again.database).open_alerts())):
            assert time.monotonic() < until, Reader(again.database).open_alerts()
            time.sleep(0.3)
        assert again.stop() == 0
    finally:
        again.close()
    reader = Reader(again.database)
    assert kinds(reader.alerts()) == kinds(before), "no second alert of any kind"
    changes = [body for _, body in reader.alerts_after(seq) if body["type"] != "guard-blind"]
    assert "open" not in [body["state"] for body in changes], [body for body in changes if body["state"] == "open"]
    latest = {body["id"]: body for body in reader.alerts()}
    raised = {body["id"]: (body["started"], body["count"]) for body in before}
    for one in latest.values():
        if one["camera"]:
            assert one["started"] == raised[one["id"]][0]
            assert one["count"] >= raised[one["id"]][1]
        if (one["camera"], one["type"]) in ended:
            assert one["state"] == "closed"
            lasted = (seconds(one["ended"]) or 0) - began  # video goes on for 26 seconds after the second start
            assert lasted > (1.0 if one["type"] == "exposed-port" else 20.0), one
    assert not reader.open_sessions(), "no viewing is left open"


def alerts_of(guard: Guard) -> list[dict[str, Any]]:
    return Reader(guard.database).alerts()
