"""What happens in the simulated home, drawn from a seed: every deed with its truth, before the guard looks."""

import ipaddress
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from camguard.events import FlowCount, Frame, hosts_of, pack_key
from tests.sim import change, home
from tests.sim.home import GATEWAY_MAC, NVR, PHONE, Cam, Strangers, server
from tests.sim.play import Change, Ends, Item, play, seen_by_phone, unchanged
from tests.sim.shapes import Shape, golden, lab, real_views

BEGAN = 1_790_000_000
DAY_S = 86_400
#: A camera's viewings stand in slots of their own; the guard takes a viewer who comes back within 10 minutes for one.
SLOT_S = 900
LENGTHS_S = (5, 10, 30, 300)
RELAY_SHAPES = ("tls-upload", "tls-pipe", "https-put", "tls-merged", "low-rate", "sound-only", "still-scene")
P2P_SHAPES = ("udp-p2p", "p2p-filled", "sound-p2p")
CLIP_SHAPES = ("clip-2mb-fast", "clip-8mb-fast", "clip-2mb-1mbit", "clip-8mb-1mbit", "clip-2mb-2mbit",
               "clip-8mb-2mbit", "clip-2mb-5mbit", "clip-8mb-5mbit")  # fmt: skip
#: Ways in, in the order of the table.
RTSP, DOOR, P2P, NAMED, RELAY, BESIDE, LAN, WEBRTC, RTMP, REST, HLS, POLLED = WAYS = (
    "RTSP through a port forward",
    "an encrypted door through a port forward",
    "P2P, direct",
    "P2P, named by the maker's server",
    "through the maker's relay (TLS)",
    "the same, while the owner at home watches another camera through that relay",
    "a stranger in the LAN",
    "WebRTC",
    "RTMP to a foreign server",
    "SRT, MPEG-TS, MJPEG, QUIC, tunnels",
    "HLS, pulled or sent",
    "pictures asked for each second",
)
#: These look live because they are sent as if they were.
PACED, LIVE_CLIP = "clips that their sender paces (curl --limit-rate)", "clips sent while they are recorded"
HOME_RELAY = "owner at home, through the relay"
OTHERS = ("remote-srt", "remote-mpegts-over-udp", "remote-mjpeg", "remote-quic", "remote-ssh-reverse-tunnel",
          "remote-wireguard")  # fmt: skip


@dataclass(slots=True)
class Deed:
    """One thing that happens. `kind`: voyeur, attack, home (the owner looks, at home), away (the owner looks from
    away), quiet. `media_at`: first packet of media; `told_at`: alerts about it, one for each session, `sounded`: how
    often the owner heard of it. `shape`: whose it was."""

    kind: str
    label: str
    camera: str
    peer: str
    begins_at: float
    media_at: float
    ends_at: float
    length_s: float | None
    items: Callable[[], Iterator[Item]]
    told_at: list[float] = field(default_factory=list)
    sounded: int = 0
    shape: str = ""

    @property
    def delay_s(self) -> float | None:
        """From the first packet of media to the alert; PLAY's answer comes before the first picture: 0."""
        return max(0.0, min(self.told_at) - self.media_at) if self.told_at else None


class Days:
    """`days` of a home with `count` cameras. `repeats`: viewings of each way and length a day."""

    def __init__(self, seed: int, days: float, count: int, *, repeats: int = 3, clips: int = 150) -> None:
        self.dice, self.seed, self.count, self.repeats, self.clips = random.Random(seed), seed, count, repeats, clips
        self.length_s = int(days * DAY_S)
        self.days = days
        self.cams = home.cameras(count)
        self.home = home.configured(self.cams)
        self.numbers = {host.name: host.number for host in hosts_of(self.home)}
        self.strangers = Strangers(self.dice)
        self.deeds: list[Deed] = []
        self.frames: list[Frame] = []
        self._relays = 0
        self.renewed_at = {cam.name: BEGAN + self.dice.uniform(0.2, 0.8) * self.length_s for cam in self.cams}

    # ---- one deed ----

    def add(
        self,
        kind: str,
        label: str,
        cam: Cam,
        shape: Shape,
        start: float,
        *,
        peer: str,
        peer_mac: str = GATEWAY_MAC,
        length_s: float | None = None,
        change: Change | None = None,
        fixed: bool = False,
        to_phone: bool = False,
        **more: bool,
    ) -> Deed:
        """A shape between a camera and a peer; `to_phone`: the owner's phone at home receives the same."""
        ip = ipaddress.ip_address(cam.ip(start > self.renewed_at[cam.name])).packed
        whom = shape.tracks[0].peer if fixed else peer
        ends = Ends(cam.number, _mac(cam.mac), ip, ipaddress.ip_address(whom).packed, _mac(peer_mac))
        base, mark = int(start), f"{self.seed} {len(self.deeds)}"

        def rows() -> Change:
            if change is not None:
                return change
            return _jittery(mark) if cam.kind == "wifi" else unchanged

        def items() -> Iterator[Item]:
            return play(shape, ends, base, length_s=length_s, dice=random.Random(mark), change=rows(),
                        fixed_peers=fixed, **more)  # fmt: skip

        ends_at = base + (shape.ends_s if length_s is None else shape.media_s + length_s)
        deed = Deed(kind, label, cam.name, whom, base + shape.begins_s, base + shape.media_s, ends_at, length_s, items)
        deed.shape = f"{shape.name} ({shape.source})"
        self.deeds.append(deed)
        number = self.numbers.get("phone")
        if to_phone and number is not None:
            dice = random.Random(mark + " phone")
            lag = dice.randrange(3)
            server = dice.choice((ends.peer, ipaddress.ip_address(home.server(home.RELAYS, dice.randrange(12))).packed))
            echo = Deed("echo", label, "", "", base, base, ends_at, length_s,
                        lambda: seen_by_phone(items(), number, server, lag, random.Random(mark)))  # fmt: skip
            self.deeds.append(echo)
        return deed

    def relay(self) -> str:
        """The relay of the next viewing: a maker has many."""
        self._relays += 1
        return server(home.RELAYS, self._relays)

    def view(self, kind: str, way: str, cam: Cam, start: float, length_s: float, label: str | None = None) -> Deed:
        """Somebody looks through `way`."""
        pick, label = self.dice.choice, label or way
        if way == RTSP:
            case = pick(("remote-rtsp-interleaved", "remote-rtsp-udp", "remote-rtsp-over-ipv6"))
            return self.add(kind, label, cam, pick(golden(case)), start, length_s=length_s,
                            peer=self.strangers.outside(six="ipv6" in case))  # fmt: skip
        if way == DOOR:
            shape = called(pick(lab()[pick(("tls-pipe", "https-put", "tls-merged", "low-rate"))]))
            return self.add(kind, label, cam, shape, start, length_s=length_s, peer=self.strangers.outside())
        if way == P2P:
            mine = [shape for name in P2P_SHAPES for shape in lab()[name]]
            shape = pick(real_views() or tuple(mine)) if self.dice.random() < 0.5 else pick(mine)
            return self.add(kind, label, cam, shape, start, length_s=length_s, peer=self.strangers.outside())
        if way == NAMED:
            return self.add(kind, label, cam, pick(golden("remote-p2p-named-by-its-server")), start, peer="",
                            length_s=length_s, fixed=True)  # fmt: skip
        if way in (RELAY, BESIDE):
            shape, peer = pick(lab()[pick(RELAY_SHAPES)]), self.relay()
            if way == BESIDE:
                other = pick([one for one in self.cams if one is not cam])
                self.add("home", HOME_RELAY, other, pick(lab()[pick(RELAY_SHAPES)]), start - 15, length_s=length_s + 30,
                         peer=peer, to_phone=True)  # fmt: skip
            return self.add(kind, label, cam, shape, start, length_s=length_s, peer=peer, to_phone=kind == "home")
        if way == LAN:
            mac, ip = self.strangers.at_home()
            near = [shape for shape in real_views() if "wlan5" in shape.name or "yi_" in shape.name]
            shape = pick(near) if near and self.dice.random() < 0.4 else pick(golden("lan-unknown-device"))
            return self.add(kind, label, cam, shape, start, length_s=length_s, peer=ip, peer_mac=mac)
        case = pick(("remote-webrtc", "remote-webrtc-through-a-relay")) if way == WEBRTC else "remote-rtmp"
        case = pick(OTHERS) if way == REST else case
        case = pick(("remote-hls-pulled", "remote-hls-sent")) if way == HLS else case
        case = "remote-polled-pictures" if way == POLLED else case
        return self.add(kind, label, cam, pick(golden(case)), start, length_s=length_s, peer=self.strangers.outside())

    # ---- what goes on all the time ----

    def background(self) -> None:
        """Heartbeats, recorders, cloud recording, clock and names, clips, firmware, reboots, addresses."""
        end = BEGAN + self.length_s
        for day in range(max(1, round(self.days))):
            for cam in self.cams:
                begins = BEGAN + day * DAY_S
                upto = min(end, begins + DAY_S)
                reboot = self.dice.uniform(begins + 0.2 * (upto - begins), begins + 0.9 * (upto - begins))
                self._always(cam, begins + self.dice.uniform(1, 30), reboot)
                self._always(cam, reboot + 40, upto)
                self._clips(cam, begins, upto)
        for cam in self.cams:
            renewed = self.renewed_at[cam.name]
            self.frames += home.gets_address(renewed, cam.mac, cam.ip(True))
        macs = [cam.mac for cam in self.cams] + [NVR[0]]
        self.frames += home.new_prefix(BEGAN + 0.5 * self.length_s, "2001:db8:77::", macs)

    def _always(self, cam: Cam, begins: float, ends: float) -> None:
        """What a camera does from its start until it is switched off (without a goodbye)."""
        ip, span = cam.ip(begins > self.renewed_at[cam.name]), ends - begins
        self.frames += home.gets_address(begins, cam.mac, ip)
        self.frames += home.asks_names(begins + 1, cam, ip)
        self.frames.append(home.is_here(begins, *NVR))
        on = {"length_s": span, "says_goodbye": False}
        self.add("quiet", "heartbeats", cam, self.dice.choice(lab()["heartbeat"]), begins + 3,
                 peer=server(home.BEATS), **on)  # fmt: skip
        if cam.kind == "p2p":
            self.add("quiet", "heartbeats", cam, self.dice.choice(golden("quiet-p2p-keep-alive")), begins + 3, peer="",
                     fixed=True, **on)  # fmt: skip
        if cam.kind == "recorder":
            six = begins > BEGAN + 0.5 * self.length_s
            name, where = self.dice.choice(("recorder-tcp", "recorder-udp")), NVR[1]
            where = home.address_in("2001:db8:77::", NVR[0]) if six else where
            shape = self.dice.choice(golden("quiet-recorder") if not six else lab()[name])
            self.add("quiet", "24/7 recorder", cam, shape, begins + 5, peer=where, peer_mac=NVR[0], **on)
        if cam.kind.startswith("cloud"):
            label = "24/7 cloud recording" + (", expected by a rule" if cam.kind == "cloud-ruled" else ", no rule")
            self.add("quiet", label, cam, self.dice.choice(lab()["tls-upload"] + lab()["https-put"]), begins + 5,
                     peer=server(home.RECORDING), **on)  # fmt: skip
        clock = Deed("quiet", "names and clock", cam.name, GATEWAY_MAC, begins, begins, ends, None,
                     lambda: _asks_time(cam, int(begins) + 10, int(ends)))  # fmt: skip
        self.deeds.append(clock)

    def _clips(self, cam: Cam, begins: float, upto: float) -> None:
        """Clips at random times, of every size and uplink; a firmware image a day, a few pictures by mail."""
        share = (upto - begins) / DAY_S
        for _ in range(round(self.clips * share)):
            shape = self.dice.choice(lab()[self.dice.choice(CLIP_SHAPES)])
            whole = shape.ends_s - shape.media_s
            cut = whole * self.dice.uniform(0.15, 1.0) if self.dice.random() < 0.5 and whole > 2 else None
            self.add("quiet", "clips", cam, shape, self.dice.uniform(begins + 60, upto - 90), length_s=cut,
                     peer=server(home.CLIPS, self.dice.randrange(3)))  # fmt: skip
        for name, label, count in (("clips-kept", "clips", 10), ("snapshots", "pictures sent at motion", 6),
                                   ("firmware", "firmware", 1), ("clip-paced", PACED, 2)):  # fmt: skip
            for _ in range(max(1, round(count * share))):
                what = home.FIRMWARE if name == "firmware" else home.CLIPS
                number = 3 if label == PACED else self.dice.randrange(3)  # whose alert it is must be plain
                self.add("quiet", label, cam, self.dice.choice(lab()[name]), self.dice.uniform(begins + 60, upto - 120),
                         peer=server(what, number))  # fmt: skip

        if cam.kind in ("relay", "wifi"):
            for _ in range(max(1, round(4 * share))):
                shape = self.dice.choice(lab()["https-put"])
                self.add("quiet", LIVE_CLIP, cam, shape, self.dice.uniform(begins + 60, upto - 120),
                         peer=server(home.CLIPS, 4), length_s=self.dice.uniform(10, 30))  # fmt: skip

    # ---- who looks ----

    def viewings(self) -> None:
        """Voyeurs by each way in, and the owner, each in a slot of a camera."""
        slots = [(cam, n) for cam in self.cams for n in range(1, self.length_s // SLOT_S - 1)]
        self.dice.shuffle(slots)
        away = [slot for slot in slots if self.is_away(slot[1] * SLOT_S)]
        near = [slot for slot in slots if not self.is_away(slot[1] * SLOT_S)]
        owner = max(4, round(8 * self.days))
        for way, kind, label, from_ in (
            (LAN, "home", "owner at home, in the LAN", near),
            (RELAY, "home", HOME_RELAY, near),
            (RELAY, "away", "owner away, through the relay", away),
            (P2P, "away", "owner away, P2P", away),
        ):
            for _ in range(min(owner, len(from_))):
                cam, slot = from_.pop()
                start, length_s = self._in_slot(slot), self.dice.choice((20.0, 60.0, 180.0))
                if way == LAN:
                    shape = self.dice.choice(golden("quiet-owners-phone"))
                    self.add(kind, label, cam, shape, start, peer=PHONE[1], peer_mac=PHONE[0], length_s=length_s)
                else:
                    self.view(kind, way, cam, start, length_s, label)
        left = {*away, *near}
        rest = [slot for slot in slots if slot in left]
        for _ in range(max(1, round(self.repeats * self.days))):
            for way in WAYS:
                for length_s in LENGTHS_S:
                    fits = [slot for slot in rest if way != BESIDE or not self.is_away(slot[1] * SLOT_S)]
                    if not fits:
                        return
                    rest.remove(fits[-1])
                    cam, slot = fits[-1]
                    self.view("voyeur", way, cam, self._in_slot(slot), length_s)

    def presence(self) -> None:
        """The phone is heard every few minutes while it is at home."""
        at, dice = float(BEGAN), random.Random(f"{self.seed} presence")
        while at < BEGAN + self.length_s:
            if not self.is_away(at - BEGAN):
                self.frames.append(home.is_here(at, *PHONE))
            at += dice.uniform(60, 240)

    def phone(self) -> None:
        """The phone's own traffic at home: films and pictures from elsewhere, nothing to do with a camera."""
        number, cam, dice = self.numbers.get("phone"), self.cams[0], random.Random(f"{self.seed} phone")
        at = BEGAN + 30.0
        while number is not None and at < BEGAN + self.length_s - 300:
            if not self.is_away(at - BEGAN):
                shape = dice.choice(lab()[dice.choice(RELAY_SHAPES + CLIP_SHAPES)])
                deed = self.add("echo", "phone", cam, shape, at, peer=f"198.18.255.{dice.randrange(1, 255)}")
                deed.items = _received(deed.items, number, f"{self.seed} {at}")
            at += dice.uniform(60, 600)

    def is_away(self, second: float) -> bool:
        """Whether the owner and the phone are away, some third of the day."""
        span = min(DAY_S, self.length_s)
        return 0.35 <= second % span / span < 0.7

    def _in_slot(self, slot: int) -> float:
        return BEGAN + slot * SLOT_S + self.dice.uniform(0, 240)


def ordinary(seed: int, days: float, count: int, **more: int) -> Days:
    """Days as they are: background, the owner, voyeurs."""
    made = Days(seed, days, count, **more)
    made.background()
    made.viewings()
    made.presence()
    made.phone()
    return made


def _asks_time(cam: Cam, begins: int, ends: int) -> Iterator[FlowCount]:
    """NTP once in 1024 s (RFC 5905)."""
    for at in range(begins, ends - 70, 1024):
        key = pack_key(cam.number, 17, 40000 + at // 1024 % 20000, 123, ipaddress.ip_address("192.0.2.123").packed)
        count = FlowCount(key, float(at), at - 0.5, at - 0.4, 90, 90, 48, 48, 1, 1, 0, 0, 48, 0, 0, True,
                          _mac(GATEWAY_MAC), False)  # fmt: skip
        yield count
        yield count._replace(at=at + 61.0, wire_up=0, wire_down=0, payload_up=0, payload_down=0, packets_up=0,
                             packets_down=0, closed=True)  # fmt: skip


def called(shape: Shape, door: int = 322) -> Shape:
    """The same, but that the other end called the camera at its door (RTSPS: 322)."""
    tracks = (track._replace(first_up=False, camera_port=door) for track in shape.tracks)
    return shape._replace(tracks=tuple(tracks))


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _received(items: Callable[[], Iterator[Item]], number: int, mark: str) -> Callable[[], Iterator[Item]]:
    """What the phone gets of it, instead of what the camera sends."""
    return lambda: seen_by_phone(items(), number, None, 0, random.Random(mark))


def _jittery(mark: str) -> Change:
    return change.jittery(random.Random(mark + " wifi"))
