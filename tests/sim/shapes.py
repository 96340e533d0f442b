"""Shapes: what a connection did, second by second, as the ledger counted it in a capture; never invented.

A shape comes from a capture of real programs (the lab's recordings, kept as numbers in shapes/lab.json; the golden
cases, whose dialogues give the frames that readers need) or of a real camera (the corpus, read where it is there).
A capture is counted at several offsets to the whole second, so that a viewing does not always begin with one.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from camguard import config
from camguard.capture import ledger, pcap
from camguard.decode import decode
from camguard.events import FIN, RST, SYN, TCP, UDP, FlowCount, Frame, Host, hosts_of, unpack_key
from camguard.neighbours import is_group
from tests import traffic
from tests.lab import corpus

HERE = Path(__file__).parent
LAB = HERE / "shapes" / "lab.json"
GOLDEN = HERE.parent / "golden"
#: Offsets to the whole second at which a capture is counted.
OFFSETS_S = (0.0, 0.33, 0.67)
#: Talk around the shape that the simulator makes itself: DNS, DHCP, NTP, mDNS, SSDP, WS-Discovery.
NOT_SHAPE = frozenset({53, 67, 68, 123, 546, 547, 1900, 3702, 5353})


class Row(NamedTuple):
    """One second of one connection; `second` counts from the whole second before the shape began."""

    second: int
    wire_up: int
    wire_down: int
    payload_up: int
    payload_down: int
    packets_up: int
    packets_down: int
    pauses: int
    dry: int
    largest_up: int


class Track(NamedTuple):
    """One connection of a shape. `begins_s`: its first packet, after the whole second before the shape began."""

    peer: str
    proto: int
    camera_port: int
    peer_port: int
    first_up: bool
    flags_up: int
    flags_down: int
    begins_s: float
    rows: tuple[Row, ...]


class Said(NamedTuple):
    """A frame that the ledger handed up, `at_s` after the whole second before the shape began."""

    at_s: float
    data: bytes
    wire_len: int


class Shape(NamedTuple):
    """`media_s`, `ends_s`: first packet of media, last packet; both after the whole second before the shape began.
    The first track is that of the most bytes; `camera`, `peer`: addresses in `frames` (MAC of the camera)."""

    name: str
    source: str
    begins_s: float
    media_s: float
    ends_s: float
    tracks: tuple[Track, ...]
    camera: str = ""
    frames: tuple[Said, ...] = ()


def shape_of(
    name: str,
    source: str,
    frames: Iterable[Frame],
    hosts: Sequence[Host],
    number: int = 1,
    *,
    media_at: float | None = None,
    first_media_bytes: int = 400,
    skip_bytes: int = 0,
    with_frames: bool = False,
    offset_s: float = 0.0,
    peers: frozenset[str] = frozenset(),
) -> Shape | None:
    """The shape of all that host `number` did in a capture.

    The media begins at `media_at` (the capture's time), else with the first packet of `first_media_bytes` after
    `skip_bytes` of payload on the busiest connection. `peers`: only talk with these.
    """
    counts: dict[bytes, list[FlowCount]] = {}
    said: list[Frame] = []
    for item in ledger.run((frame._replace(at=frame.at + offset_s) for frame in frames), hosts):
        if isinstance(item, FlowCount):
            counts.setdefault(item.key, []).append(item)
        elif with_frames:
            said.append(item)
    return assemble(
        name, source, counts, said, hosts, number, offset_s=offset_s, media_at=media_at,
        first_media_bytes=first_media_bytes, skip_bytes=skip_bytes, peers=peers,
    )  # fmt: skip


def assemble(
    name: str,
    source: str,
    counts: dict[bytes, list[FlowCount]],
    said: Sequence[Frame],
    hosts: Sequence[Host],
    number: int,
    *,
    offset_s: float,
    media_at: float | None,
    first_media_bytes: int = 400,
    skip_bytes: int = 0,
    peers: frozenset[str] = frozenset(),
) -> Shape | None:
    """As `shape_of`, of counts that were made already."""
    chosen = {}
    for key, seconds in counts.items():
        parts = unpack_key(key)
        talk = {parts.host_port, parts.peer_port}
        wanted = not peers or corpus.ipaddress.ip_address(parts.peer).compressed in peers
        wanted = wanted and parts.host == number and parts.proto in (TCP, UDP) and not talk & NOT_SHAPE
        if wanted and not is_group(seconds[0].peer_mac, parts.peer):
            chosen[key] = seconds
    if not chosen:
        return None
    began_at = min(seconds[0].first_at for seconds in chosen.values())
    base = float(int(began_at))
    busiest = sorted(chosen, key=lambda key: -sum(count.payload_up + count.payload_down for count in chosen[key]))
    tracks = tuple(_track(key, chosen[key], base) for key in busiest)
    ends_s = max(seconds[-1].last_at for seconds in chosen.values()) - base
    media_s = (media_at + offset_s - base) if media_at is not None else tracks[0].begins_s
    mac = hosts[number - 1].mac or b""
    ours = tuple(Said(frame.at - base, frame.data, frame.wire_len) for frame in said if _is_talk(frame, mac))
    return Shape(name, source, began_at - base, media_s, ends_s, tracks, mac.hex(":"), ours)


def _track(key: bytes, seconds: list[FlowCount], base: float) -> Track:
    parts, last = unpack_key(key), seconds[-1]
    rows = tuple(
        Row(int(c.at - base), c.wire_up, c.wire_down, c.payload_up, c.payload_down, c.packets_up, c.packets_down,
            c.pauses, c.dry, c.largest_up)
        for c in seconds if c.packets_up or c.packets_down
    )  # fmt: skip
    peer = str(corpus.ipaddress.ip_address(parts.peer))
    flags = [flags & ~(FIN | RST) for flags in (last.flags_up, last.flags_down)]
    return Track(peer, parts.proto, parts.host_port, parts.peer_port, last.first_up, *flags,
                 seconds[0].first_at - base, rows)  # fmt: skip


def _is_talk(frame: Frame, mac: bytes) -> bool:
    """Whether it is said between the camera and one other end, other than what the simulator says itself."""
    packet = decode(frame)
    if packet.proto not in (TCP, UDP) or mac not in (packet.src_mac, packet.dst_mac):
        return False
    return not {packet.sport, packet.dport} & NOT_SHAPE and not is_group(packet.dst_mac, packet.dst)


def first_media(frames: Iterable[Frame], track: Track, least_bytes: int, skip_bytes: int) -> float:
    """Time of the first packet of `least_bytes` from the camera after `skip_bytes` on the connection of `track`."""
    sent = 0
    for frame in frames:
        try:
            packet = decode(frame)
        except ValueError:
            continue
        if (packet.proto, packet.sport, packet.dport) == (track.proto, track.camera_port, track.peer_port):
            sent += packet.payload_len
            if packet.payload_len >= least_bytes and sent > skip_bytes:
                return packet.at
    raise LookupError(f"no media in {track}")


# ---- where shapes come from ------------------------------------------------------------------------------------------


@cache
def lab() -> dict[str, tuple[Shape, ...]]:
    """Scenario of the lab -> its shapes, of several seeds and offsets (shapes/lab.json; make_shapes.py makes it)."""
    found: dict[str, list[Shape]] = {}
    for one in json.loads(LAB.read_text()):
        tracks = tuple(Track(*track[:8], tuple(Row(*row) for row in track[8])) for track in one["tracks"])
        shape = Shape(one["name"], one["source"], one["begins_s"], one["media_s"], one["ends_s"], tracks)
        found.setdefault(one["name"], []).append(shape)
    return {name: tuple(shapes) for name, shapes in found.items()}


#: Golden case -> bytes of dialogue on the busiest connection before the media.
GOLDEN_VIEWS = {
    "remote-rtsp-interleaved": 2300, "remote-rtsp-udp": 0, "remote-rtsp-over-ipv6": 0, "remote-webrtc": 2000,
    "remote-webrtc-through-a-relay": 2000, "remote-rtmp": 3000, "remote-p2p-named-by-its-server": 0,
    "lan-unknown-device": 0, "quiet-owners-phone": 2300, "remote-mjpeg": 400, "remote-mpegts-over-udp": 0,
    "remote-hls-pulled": 0, "remote-hls-sent": 0, "remote-polled-pictures": 0,
    "remote-srt": 500, "remote-quic": 3000, "remote-ssh-reverse-tunnel": 3000, "remote-wireguard": 1000,
    "quiet-recorder": 0, "quiet-p2p-keep-alive": -1, "quiet-one-picture": -1,
}  # fmt: skip


SPOKEN = ("remote-rtsp-interleaved", "remote-rtsp-udp", "lan-unknown-device", "quiet-recorder", "quiet-owners-phone")


@cache
def golden(case: str) -> tuple[Shape, ...]:
    """The shapes of a golden case, with the frames of its dialogue."""
    path, hosts = GOLDEN / case / "input.pcap", hosts_of(config.load(GOLDEN / case / "config.toml").home)
    frames, skip = list(pcap.frames(path)), GOLDEN_VIEWS[case]
    found = _timed(f"golden:{case}", case, frames, hosts, skip, with_frames=True)
    return tuple(_spoken(shape) if case in SPOKEN else shape for shape in found)


def _spoken(shape: Shape) -> Shape:
    """With an RTSP dialogue that can be read: the golden cases' own is cut in the middle of its lines."""
    talk = next(track for track in shape.tracks if track.proto == TCP)
    ports = sorted((track.peer_port, track.camera_port) for track in shape.tracks if track.proto == UDP)
    transport = "RTP/AVP/TCP;unicast;interleaved=0-1"
    if ports:
        client, server = ports[0]
        transport = f"RTP/AVP;unicast;client_port={client}-{client + 1};server_port={server}-{server + 1}"
    said = list(traffic.rtsp_view(0.0, peer_ip=talk.peer, peer_port=talk.peer_port, transport=transport))
    step_s = (shape.media_s - talk.begins_s) / (len(said) + 1)
    camera, theirs = traffic.mac_bytes(traffic.CAMERA_MAC), bytes.fromhex(shape.camera.replace(":", ""))
    spoken = [
        Said(talk.begins_s + step_s * n, one.data[:12].replace(camera, theirs) + one.data[12:], one.wire_len)
        for n, one in enumerate(said)
    ]
    media = [one for one in shape.frames if one.data[23] == UDP and one.at_s >= shape.media_s]
    return shape._replace(frames=(*spoken, *media))


def _timed(
    name: str, source: str, frames: list[Frame], hosts: Sequence[Host], skip: int, **more: object
) -> Iterator[Shape]:
    """The capture's shapes; its media begins with the first packet of 400 bytes and more (sound: 100)."""
    whole = shape_of(name, source, frames, hosts, **more)  # type: ignore[arg-type]
    assert whole is not None, name
    media_at = None if skip < 0 else first_media(frames, whole.tracks[0], 400, skip)
    for offset_s in OFFSETS_S:
        shape = shape_of(name, source, frames, hosts, media_at=media_at, offset_s=offset_s, **more)  # type: ignore[arg-type]
        assert shape is not None
        yield shape


#: Live views in the corpus: file -> camera and viewer, as the corpus' README has them.
CORPUS_VIEWS = {
    "stream/ucl_dlink-cam_no-firewall_wan.pcap": ("192.168.1.115", "130.104.214.55"),
    "stream/ucl_dlink-cam_base-firewall_wan.pcap": ("192.168.1.115", "130.104.214.55"),
    "stream/ucl_dlink-cam_my-firewall_wan.pcap": ("192.168.1.115", "130.104.212.112"),
    "stream/ucl_dlink-cam_no-firewall_wlan5.0.pcap": ("192.168.1.115", "192.168.1.222"),
    "stream/yi_camera_sample.pcap": ("192.168.10.204", "192.168.10.248"),
}


@cache
def real_views() -> tuple[Shape, ...]:
    """The live views of real cameras (Yi, D-Link), numbers only; empty where the corpus is absent."""
    found: list[Shape] = []
    for file, (camera, viewer) in CORPUS_VIEWS.items():
        path = corpus.folder() / file
        if not path.exists():
            continue
        frames = list(pcap.frames(path))
        hosts = (Host(1, camera, None, (corpus.ipaddress.ip_address(camera).packed,)),)
        found += _timed(f"corpus:{Path(file).stem}", file, frames, hosts, 0, peers=frozenset({viewer}))
    return tuple(found)


def is_open(track: Track) -> bool:
    """Whether the ledger saw it open: TCP with both SYNs, or any UDP."""
    return track.proto == UDP or bool(track.flags_up & track.flags_down & SYN)
