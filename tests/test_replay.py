"""replay: the same bytes twice, nothing written, cameras found without a configuration, facts of every connection."""

import json
import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from camguard import replay
from camguard.errors import CaptureError, ConfigError
from camguard.events import FlowCount, Frame, pack_key

CAMERA, PHONE, GATEWAY = "02:00:00:00:00:01", "02:00:00:00:00:21", "02:00:00:00:00:fe"
START = 1_795_554_840
Timed = tuple[float, bytes]


def write(path: Path, frames: Sequence[Timed], link: int = 1) -> Path:
    """A classic pcap file."""
    parts = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)]
    for at, data in frames:
        parts.append(struct.pack("<IIII", START + int(at), round(at % 1 * 1e6), len(data), len(data)) + data)
    path.write_bytes(b"".join(parts))
    return path


def ether(src: str, dst: str, above: Packet) -> bytes:
    return bytes(Ether(src=src, dst=dst) / above)


def rtsp_view(viewer_mac: str, viewer: str, *, camera: str = "192.168.1.10", at: float = 0.0) -> list[Timed]:
    """A viewer asks for PLAY over TCP and the camera answers 200; then a few seconds of interleaved media."""
    up, down = [1000], [5000]
    frames: list[Timed] = []

    def say(moment: float, from_camera: bool, flags: str, data: bytes = b"") -> None:
        seq, ack = (up, down) if from_camera else (down, up)
        tcp = TCP(sport=554, dport=40000) if from_camera else TCP(sport=40000, dport=554)
        tcp.seq, tcp.ack, tcp.flags = seq[0], ack[0], flags
        ip = IP(src=camera, dst=viewer) if from_camera else IP(src=viewer, dst=camera)
        macs = (CAMERA, viewer_mac) if from_camera else (viewer_mac, CAMERA)
        frames.append((at + moment, ether(*macs, ip / tcp / Raw(data))))
        seq[0] += len(data) + ("S" in flags)

    say(0.0, False, "S")
    say(0.01, True, "SA")
    say(0.02, False, "A")
    url = f"rtsp://{camera}/live"
    for number, method in enumerate(("DESCRIBE", "SETUP", "PLAY"), start=1):
        extra = "Transport: RTP/AVP/TCP;interleaved=0-1\r\n" if method == "SETUP" else ""
        say(0.1 * number, False, "PA", f"{method} {url} RTSP/1.0\r\nCSeq: {number}\r\n{extra}\r\n".encode())
        say(0.1 * number + 0.02, True, "PA", f"RTSP/1.0 200 OK\r\nCSeq: {number}\r\n{extra}\r\n".encode())
    for number in range(200):
        rtp = struct.pack(">BBHII", 0x80, 96, number, number * 3000, 77) + bytes(900)
        say(0.5 + number * 0.02, True, "PA", b"$\x00" + struct.pack(">H", len(rtp)) + rtp)
    return frames


def dns_talk(mac: str, ip: str, name: str, at: float) -> list[Timed]:
    ask = IP(src=ip, dst="192.168.1.1") / UDP(sport=5353, dport=53) / DNS(id=1, qd=DNSQR(qname=name))
    answer = IP(src="192.168.1.1", dst=ip) / UDP(sport=53, dport=5353) / DNS(
        id=1, qr=1, qd=DNSQR(qname=name), an=DNSRR(rrname=name, rdata="93.184.216.34")
    )  # fmt: skip
    return [(at, ether(mac, GATEWAY, ask)), (at + 0.01, ether(GATEWAY, mac, answer))]


Out = pytest.CaptureFixture[str]


def said(capsys: Out) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_twice_prints_identical_bytes_and_writes_nothing(tmp_path: Path, capsys: Out) -> None:
    path = write(tmp_path / "a.pcap", rtsp_view(GATEWAY, "51.68.10.20"))
    texts = []
    for _ in range(2):
        for as_json in (True, False):
            assert replay.run([path], None, facts=True, as_json=as_json) == 0
        texts.append(capsys.readouterr())
    assert texts[0] == texts[1]
    assert "Somebody is watching: 192.168.1.10" in texts[0].out
    assert os.listdir(tmp_path) == ["a.pcap"]


def test_an_outsider_at_a_camera_found_without_configuration(tmp_path: Path, capsys: Out) -> None:
    path = write(tmp_path / "a.pcap", rtsp_view(GATEWAY, "51.68.10.20"))
    replay.run([path], None, as_json=True)
    out, err = capsys.readouterr()
    alerts = [made for made in map(json.loads, out.splitlines()) if made["kind"] == "alert"]
    assert [(one["type"], one["severity"], one["camera"], one["state"]) for one in alerts[:1]] == [
        ("remote-stream", "critical", "192.168.1.10", "open")
    ]
    assert alerts[0]["time"] == "2026-11-24T21:14:00.320Z"  # the answer to PLAY
    assert alerts[1]["type"] == "exposed-port"  # and that one can come in from outside
    assert err == "camguard: 209 packets in 4 seconds, 1 camera: 2 alerts. Times are UTC.\n"


def test_with_a_configuration_its_cameras_rules_and_hours_count(tmp_path: Path, capsys: Out) -> None:
    path = write(tmp_path / "a.pcap", rtsp_view(PHONE, "192.168.1.21"))
    config = tmp_path / "c.toml"
    text = f'[home]\ntimezone = "Asia/Tokyo"\n[[camera]]\nname = "porch"\nmac = "{CAMERA}"\n'
    config.write_text(text)
    replay.run([path], config)
    out = capsys.readouterr().out
    assert "25 Nov 06:14:00 warning: Somebody at home is watching: porch. Since 06:14" in out
    config.write_text(text + '[[expect]]\npeer = "lan"\n')
    replay.run([path], config)
    out = capsys.readouterr().out
    assert "porch: live video" in out
    assert "warning" not in out


def test_facts_are_those_of_every_connection(tmp_path: Path, capsys: Out) -> None:
    frames = rtsp_view(GATEWAY, "51.68.10.20") + dns_talk(PHONE, "192.168.1.21", "example.com", 1.0)
    path = write(tmp_path / "a.pcap", sorted(frames))
    config = tmp_path / "c.toml"
    config.write_text('[[camera]]\nname = "other"\nmac = "02:00:00:00:00:77"\n')
    replay.run([path], config, facts=True, as_json=True)
    made = said(capsys)
    assert {one["kind"] for one in made} == {"fact"}  # nobody's camera is in this capture
    names = [(one["what"], one["detail"].get("qname") or one["detail"].get("method")) for one in made]  # type: ignore[attr-defined]
    assert ("dns", "example.com") in names
    assert ("rtsp", "PLAY") in names
    times = [one["time"] for one in made]
    assert times == sorted(times)  # type: ignore[type-var]
    dns = next(one for one in made if one["what"] == "dns")
    assert (dns["client"], dns["server"]) == (
        {"ip": "192.168.1.21", "port": 5353},
        {"ip": "192.168.1.1", "port": 53},
    )


def test_talk_between_two_local_hosts_is_read_once(tmp_path: Path, capsys: Out) -> None:
    path = write(tmp_path / "a.pcap", rtsp_view(PHONE, "192.168.1.21"))
    replay.run([path], None, facts=True, as_json=True)
    plays = [one for one in said(capsys) if one["kind"] == "fact" and one["detail"].get("status") == 200]  # type: ignore[attr-defined]
    assert sorted(one["detail"]["method"] for one in plays) == ["DESCRIBE", "PLAY", "SETUP"]  # type: ignore[index]


def test_several_files_are_one_capture_in_the_order_of_time(tmp_path: Path, capsys: Out) -> None:
    frames = rtsp_view(GATEWAY, "51.68.10.20")
    whole = write(tmp_path / "whole.pcap", frames)
    first, second = write(tmp_path / "1.pcap", frames[:9]), write(tmp_path / "2.pcap", frames[9:])
    replay.run([whole], None, as_json=True)
    expected = capsys.readouterr().out
    replay.run([second, first], None, as_json=True)
    assert capsys.readouterr().out == expected


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda raw: raw[:-500], "is cut in the middle; everything before the cut was read"),
        (lambda raw: raw[:24], "0 packets"),
    ],
)
def test_a_cut_capture_ends_with_one_clear_line(tmp_path: Path, capsys: Out, damage: object, words: str) -> None:
    path = write(tmp_path / "a.pcap", rtsp_view(GATEWAY, "51.68.10.20"))
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    assert replay.run([path], None) == 0
    err = capsys.readouterr().err
    assert len([line for line in err.splitlines() if words in line]) == 1


def test_odd_packets_are_counted_by_name(tmp_path: Path, capsys: Out) -> None:
    frames = rtsp_view(GATEWAY, "51.68.10.20")
    lying = bytearray(frames[0][1])
    lying[14] = 0x41  # an IPv4 header of 4 bytes
    path = write(tmp_path / "a.pcap", [*frames, (5.0, bytes(lying))])
    replay.run([path], None)
    assert "camguard: 1 odd packet" in capsys.readouterr().err


def test_what_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello, this is text")
    with pytest.raises(CaptureError):
        replay.run([tmp_path / "x"], None)
    with pytest.raises(CaptureError):
        replay.run([tmp_path / "missing.pcap"], None)
    good = write(tmp_path / "a.pcap", rtsp_view(GATEWAY, "51.68.10.20"))
    with pytest.raises(ConfigError):
        replay.run([good], tmp_path / "missing.toml")
    with pytest.raises(ConfigError):
        replay.run([good], None, learned=tmp_path / "missing.db")


# ---- who is a camera without a configuration -------------------------------------------------------------------------


def look(*frames: bytes, link: int = 1) -> replay.Look:
    made = replay.Look()
    for number, data in enumerate(frames):
        made.see(Frame(float(number), data, len(data), link))
    return made


def udp(src_mac: str, dst_mac: str, src: str, dst: str) -> bytes:
    layer = IPv6 if ":" in src else IP
    return ether(src_mac, dst_mac, layer(src=src, dst=dst) / UDP(sport=5000, dport=6000) / Raw(b"x"))


def test_local_hosts_are_cameras_and_the_gateway_is_not() -> None:
    home = look(
        udp(CAMERA, GATEWAY, "192.168.1.10", "8.8.8.8"),
        udp(GATEWAY, CAMERA, "8.8.8.8", "192.168.1.10"),
        udp(GATEWAY, CAMERA, "192.168.1.1", "192.168.1.10"),
        udp(PHONE, "33:33:00:00:00:fb", "fe80::21", "ff02::fb"),
        udp(PHONE, CAMERA, "192.168.1.21", "192.168.1.10"),
        udp(PHONE, "ff:ff:ff:ff:ff:ff", "0.0.0.0", "255.255.255.255"),
    ).home()
    assert [(camera.name, camera.mac) for camera in home.cameras] == [("192.168.1.10", CAMERA), ("192.168.1.21", PHONE)]
    assert home.gateway == GATEWAY


def test_a_second_mac_of_an_address_is_a_router_on_the_way() -> None:
    home = look(udp(CAMERA, PHONE, "192.168.1.10", "10.0.0.9"), udp(PHONE, GATEWAY, "192.168.1.10", "10.0.0.9")).home()
    assert [(camera.name, camera.mac) for camera in home.cameras] == [("192.168.1.10", CAMERA)]


def test_captures_without_macs_go_by_address() -> None:
    packets = [
        bytes(IP(src=src, dst=dst) / UDP() / Raw(b"x"))
        for src, dst in (("10.0.0.5", "9.9.9.9"), ("9.9.9.9", "10.0.0.5"))
    ]
    home = look(*packets, link=101).home()
    assert [(camera.name, camera.mac, camera.ips) for camera in home.cameras] == [("10.0.0.5", None, ("10.0.0.5",))]


def test_a_home_with_public_addresses_is_the_network_with_the_most_hosts() -> None:
    home = look(
        udp(CAMERA, GATEWAY, "192.0.2.10", "198.51.100.7"),
        udp(GATEWAY, CAMERA, "198.51.100.7", "192.0.2.10"),
        udp(PHONE, CAMERA, "192.0.2.21", "192.0.2.10"),
    ).home()
    assert [camera.name for camera in home.cameras] == ["192.0.2.10", "192.0.2.21"]
    assert home.gateway == GATEWAY


def test_arp_tells_which_network_is_the_home() -> None:
    arp = ether(CAMERA, "ff:ff:ff:ff:ff:ff", ARP(hwsrc=CAMERA, psrc="192.0.2.10", pdst="192.0.2.1"))
    frames = [udp(GATEWAY, CAMERA, "198.51.100.7", "192.0.2.10"), udp(CAMERA, GATEWAY, "192.0.2.10", "198.51.100.7")]
    assert [camera.name for camera in look(*frames, arp).home().cameras] == ["192.0.2.10"]
    assert [camera.name for camera in look(arp, *frames).home().cameras] == ["192.0.2.10"]


def test_every_connection_has_an_end_in_the_list() -> None:
    made = look(
        udp(CAMERA, GATEWAY, "192.168.1.10", "8.8.8.8"),
        udp(GATEWAY, CAMERA, "9.9.9.9", "192.168.1.10"),
        udp(GATEWAY, PHONE, "1.1.1.1", "2.2.2.2"),
        udp(PHONE, "01:00:5e:00:00:fb", "192.168.1.21", "224.0.0.251"),
    )
    assert [host.name for host in made.everybody()] == ["192.168.1.10", "1.1.1.1", "192.168.1.21"]


def test_a_flood_of_addresses_is_bounded() -> None:
    made = replay.Look(hosts_max=50, pairs_max=100)
    for number in range(300):
        data = udp(
            f"02:00:00:00:{number // 256:02x}:{number % 256:02x}",
            GATEWAY,
            f"10.0.{number // 256}.{number % 256}",
            "8.8.8.8",
        )
        made.see(Frame(0.0, data, len(data)))
    assert len(made.everybody()) == 50
    assert len(made.home().cameras) == 50


# ---- ticks -----------------------------------------------------------------------------------------------------------


def count(at: float) -> FlowCount:
    key = pack_key(1, 6, 1, 2, bytes(4))
    return FlowCount(key, at, at, at, *[0] * 11, True, b"", False)


def test_counts_come_before_the_tick_of_their_second_and_frames_after() -> None:
    ticks = replay._Ticks()
    frame = Frame(10.4, b"", 0)
    assert list(ticks.before(frame)) == []
    assert list(ticks.before(count(11.0))) == []
    assert list(ticks.before(frame._replace(at=11.0))) == [11.0]
    assert list(ticks.before(frame._replace(at=13.5))) == [12.0, 13.0]
    assert list(ticks.before(count(14.0))) == []
    assert list(ticks.rest()) == [14.0]
    assert list(ticks.rest()) == []


def test_a_long_gap_is_gone_through_in_minutes_and_its_end_is_not_missed() -> None:
    ticks = replay._Ticks()
    frame = Frame(0.5, b"", 0)
    list(ticks.before(frame))
    end = 10 * 365 * 86_400.0
    seconds = list(ticks.before(frame._replace(at=end + 0.5)))
    assert len(seconds) < 10_000
    assert seconds[:900] == [float(second) for second in range(1, 901)]
    assert seconds[900:902] == [901.0, 961.0]
    assert seconds[-1] == end


# ---- real captures ---------------------------------------------------------------------------------------------------

CORPUS = Path(os.environ.get("CAMGUARD_CORPUS") or Path(__file__).parents[2] / "shared" / "corpus")


@pytest.mark.skipif(not (CORPUS / "truth.json").exists(), reason=f"no corpus of real captures at {CORPUS}")
def test_every_real_capture_is_read_and_its_names_are_found(capsys: Out) -> None:
    truth = json.loads((CORPUS / "truth.json").read_text())["files"]
    assert len(truth) > 150
    missed: dict[str, set[str]] = {}
    found = 0
    for name, known in truth.items():
        assert replay.run([CORPUS / name], None, facts=True, as_json=True) == 0
        text = capsys.readouterr().out
        if name.startswith("stream/"):
            replay.run([CORPUS / name], None, facts=True, as_json=True)
            assert capsys.readouterr().out == text, f"{name}: not the same bytes twice"
        facts = [made for made in map(json.loads, text.splitlines()) if made["kind"] == "fact"]
        names = {str(one["detail"].get("sni") or one["detail"].get("qname", "")).rstrip(".").lower() for one in facts}
        wanted = {one["name"].lower() for key in ("tls_sni", "dns_queries") for one in known.get(key, [])}
        if wanted - names:
            missed[name] = wanted - names
        found += len(wanted)
    assert not missed
    assert found > 300
