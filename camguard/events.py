"""The words: every type that two parts of camguard share. Units are in the field names.

Times called `at` or ending in `_at` are seconds as float on the guard's own clock (monotonic when live, the capture's
timestamps when replayed). Times called `time`, `started`, `ended`, `raised` are wall-clock seconds since 1970, UTC;
only guard.py turns the one into the other, with the offset that the rim gives it.

Addresses are packed bytes (4 or 16) in per-packet values, text from Flow upwards. MACs are 6 bytes in per-packet
values and lower-case "02:00:00:00:00:01" above. "up" is away from the camera, "down" is to it. Bytes are wire bytes
(Ethernet header included, without frame check sequence) unless the name says payload.
"""

import ipaddress
import struct
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

# ---- what the owner wrote (config.py makes these) --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Camera:
    """A guarded camera. `mac` is None where it is known by address only; `ips` are addresses the owner wrote."""

    name: str
    mac: str | None = None
    ips: tuple[str, ...] = ()
    kind: Literal["camera", "recorder"] = "camera"
    vendor: str | None = None
    never: bool = False
    private: str | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """One of the owner's own devices; `owner` means its viewing counts as the owner's."""

    name: str
    mac: str | None = None
    ips: tuple[str, ...] = ()
    owner: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """What is fine. `peer`: device name, address, network, name pattern or "lan"; `when`: as schedule.py reads it."""

    camera: str = "*"
    peer: str = "lan"
    kinds: tuple[str, ...] = ()
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Home:
    """All that the core needs to know of the configuration. `local`: networks that count as home behind the gateway;
    `learn_days`: for so many days of looking at a camera plain cloud traffic is held back (0: nothing is)."""

    timezone: str = "UTC"
    cameras: tuple[Camera, ...] = ()
    devices: tuple[Device, ...] = ()
    expects: tuple[Expect, ...] = ()
    local: tuple[str, ...] = ()
    gateway: str | None = None
    learn_days: int = 0


#: The owner's devices whose volumes are counted, at most.
OWNERS_MAX = 32


class Host(NamedTuple):
    """Whom the ledger counts: `number` stands in FlowKey.host. `mac` 6 bytes or None, `ips` packed. `read`: a camera;
    else a device of the owner's, whose volumes are counted and nothing of which is ever read."""

    number: int
    name: str
    mac: bytes | None
    ips: tuple[bytes, ...]
    read: bool = True


def hosts_of(home: Home) -> tuple[Host, ...]:
    """The cameras of `home`, numbered from 1 in the order of the file, then the owner's devices that have a MAC."""
    macs = {camera.mac for camera in home.cameras}
    owners = [device for device in home.devices if device.owner and device.mac and device.mac not in macs]
    counted: tuple[Camera | Device, ...] = (*home.cameras, *owners[:OWNERS_MAX])
    return tuple(
        Host(
            number,
            one.name,
            bytes.fromhex(one.mac.replace(":", "")) if one.mac else None,
            tuple(ipaddress.ip_address(ip).packed for ip in one.ips),
            isinstance(one, Camera),
        )
        for number, one in enumerate(counted, start=1)
    )


class Own(NamedTuple):
    """What the guard's own machine is on the link: its MACs (6 bytes), its addresses (packed), the addresses of the
    gateway it uses itself, and whether it forwards packets (then its own MAC is a gateway for the cameras)."""

    macs: frozenset[bytes] = frozenset()
    ips: frozenset[bytes] = frozenset()
    gateway_ips: frozenset[bytes] = frozenset()
    routes: bool = False


class Interface(NamedTuple):
    """A tapped interface: packets and drops of the tap since it was opened."""

    name: str
    state: Literal["up", "gone"]
    mac: bytes
    packets: int
    drops: int


# ---- from the wire ---------------------------------------------------------------------------------------------------


class Frame(NamedTuple):
    """One captured frame: content only, never counted by detectors. `data` may be shorter than `wire_len` (snapped).

    `link` is the link type as in pcap (1 = Ethernet, 101 = raw IP, 113 = Linux cooked, 276 = cooked v2).
    `gso_size` is the payload size of each segment where the kernel merged several (0: not merged).
    """

    at: float
    data: bytes
    wire_len: int
    link: int = 1
    gso_size: int = 0
    interface: int = 0


class Packet(NamedTuple):
    """A decoded frame. `src`, `dst`: packed addresses (b"" where there is no IP). Ports are 0 where there are none.

    `payload` is what was captured above TCP/UDP (for ICMP the message, for ARP the ARP body, else above IP);
    `payload_len` is its length on the wire. `fragment` is None, or (identification, offset_bytes, more).
    `truncated` says that the capture cut the frame.
    """

    at: float
    src_mac: bytes
    dst_mac: bytes
    ethertype: int
    src: bytes
    dst: bytes
    proto: int
    sport: int
    dport: int
    tcp_flags: int
    seq: int
    payload: bytes
    payload_len: int
    wire_len: int
    fragment: tuple[int, int, bool] | None
    truncated: bool
    gso_size: int


TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

#: The layout of a flow key: host number, IP protocol, family (4 or 6), camera's port, peer's port, peer's address
#: (IPv4 in the first 4 bytes, rest zero). Native byte order: the kernel program writes the same bytes.
FLOW_KEY = struct.Struct("=HBBHH16s")


class FlowKey(NamedTuple):
    """`FLOW_KEY` taken apart; one connection, both directions. Bytes are the dictionary key (seeded hash), not this."""

    host: int
    proto: int
    family: int
    host_port: int
    peer_port: int
    peer: bytes


def pack_key(host: int, proto: int, host_port: int, peer_port: int, peer: bytes) -> bytes:
    """The 24 bytes under which kernel, ledger and track.py know one connection; `peer` is 4 or 16 bytes."""
    return FLOW_KEY.pack(host, proto, 4 if len(peer) == 4 else 6, host_port, peer_port, peer)


def unpack_key(key: bytes) -> FlowKey:
    """The parts of a packed key; `peer` comes back with 4 or 16 bytes."""
    host, proto, family, host_port, peer_port, peer = FLOW_KEY.unpack(key)
    return FlowKey(host, proto, family, host_port, peer_port, peer[:4] if family == 4 else peer)


class FlowCount(NamedTuple):
    """What one connection of one camera did since its last FlowCount (about a second of packet time).

    `at`: end of the interval. `first_at`, `last_at`: first packet ever and latest packet of the connection.
    `pauses`: gaps of 10 ms and more between two payload packets from the camera, in this interval; `dry` of them
    followed a packet shorter than the largest one of this connection (a picture ends in a short packet).
    `largest_up`: largest payload of one packet from the camera so far (bytes). `flags_up`, `flags_down`: OR of TCP
    flags so far each way. `first_up`: the first packet seen came from the camera. `peer_mac`: the MAC at the other end
    on this link (b"" where no MAC is seen). `closed`: the ledger has forgotten the connection after this count.
    """

    key: bytes
    at: float
    first_at: float
    last_at: float
    wire_up: int
    wire_down: int
    payload_up: int
    payload_down: int
    packets_up: int
    packets_down: int
    pauses: int
    dry: int
    largest_up: int
    flags_up: int
    flags_down: int
    first_up: bool
    peer_mac: bytes
    closed: bool


# ---- from the readers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chunk:
    """Ordered bytes for a reader. `up`: sent by the camera. `gap`: bytes before `data` were not seen.

    For readers of datagrams: one whole datagram; `gap`: its end was not captured."""

    up: bool
    data: bytes
    gap: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that was read in a dialogue. `what` names the reader's word (contract.md: "rtsp", "dns", "rtp", ...).

    `detail` values are text, numbers, or tuples of text; never a secret.
    """

    what: str
    at: float
    client: tuple[str, int]
    server: tuple[str, int]
    detail: dict[str, str | int | float | bool | tuple[str, ...] | None] = field(default_factory=dict)


# ---- from tracking ---------------------------------------------------------------------------------------------------

Scope = Literal["lan", "wan", "gateway", "multicast"]
StreamClass = Literal["stream", "playback", "talk", "clip", "heartbeat", "download", "control", "unknown"]
#: The classes in which somebody sees or hears what the camera does, or speaks through it or turns it.
VIEWING = ("stream", "playback", "talk", "control")
Confidence = Literal["certain", "likely", "unsure"]
VerdictWord = Literal["expected", "unexpected"]


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end, as far as it is known (contract.md). `device` is the name that the owner gave."""

    ip: str
    port: int | None = None
    name: str | None = None
    scope: Scope = "wan"
    asn: int | None = None
    org: str | None = None
    country: str | None = None
    mac: str | None = None
    device: str | None = None


# ---- events: what leaves the core, one JSON object each (contract.md has the field names) ----------------------------


@dataclass(frozen=True, slots=True)
class Session:
    """One viewing or other talk of weight. Emitted when it opens, when class or verdict change, and when it closes."""

    id: str
    time: float
    camera: str
    state: Literal["open", "update", "closed"]
    peer: Peer
    transport: Literal["tcp", "udp"]
    protocol: str
    initiator: Literal["camera", "peer"] | None
    cls: StreamClass
    confidence: Confidence
    started: float
    ended: float | None
    bytes_up: int
    bytes_down: int
    rate_kbps: int
    verdict: VerdictWord | None
    reason: str | None
    evidence: tuple[str, ...] = ()


def id_of(*words: object) -> str:
    """The id of what `words` say, the same wherever they are said again: ten digits."""
    import hashlib  # when it is used: before service/lean.py it would bring OpenSSL along (4 MB)

    return hashlib.blake2s("|".join(map(str, words)).encode(), digest_size=5).hexdigest()


@dataclass(frozen=True, slots=True)
class Alert:
    """One matter that the owner is told. Same `id` from open to closed; report.py adds `title` and `body`.

    `ended`, `bytes_up` and `detail` are for the words: when and with how much it ended, and what only this type knows
    (guard-blind: {"how": "nothing"}). `camera` None: it is about the guard itself, and so about all of them.
    """

    id: str
    time: float
    camera: str | None
    type: str
    severity: Literal["info", "warning", "critical"]
    confidence: Confidence
    reason: str
    evidence: tuple[str, ...]
    peer: Peer | None
    session: str | None
    raised: float
    started: float
    count: int
    state: Literal["open", "update", "closed"]
    ended: float | None = None
    bytes_up: int = 0
    detail: dict[str, str | int | float | None] = field(default_factory=dict)


Outcome = Literal["success", "failure", "unknown"]


@dataclass(frozen=True, slots=True)
class Login:
    """Somebody said who he is, at a camera's door. `outcome_source`: "read" where the camera said so. `verdict`,
    `reason`: as of a Session. The password itself is nowhere: `default_password` says whether it is a maker's default
    or none, None where that cannot be told."""

    id: str
    time: float
    camera: str
    peer: Peer
    service: str
    scheme: str | None
    user: str | None
    outcome: Outcome
    outcome_source: Literal["read", "inferred"]
    default_password: bool | None
    verdict: VerdictWord | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Exposure:
    """A way from outside, or from the home, to a camera that was not there before. `time`: when it opened or closed;
    `peer`: who came in or who asked for it; `external_port` None where no router maps it, `until`: when it runs out."""

    id: str
    time: float
    camera: str
    state: Literal["open", "closed"]
    what: Literal["upnp-mapping", "pcp-mapping", "inbound-port", "new-service"]
    external_port: int | None
    internal_port: int
    transport: Literal["tcp", "udp"]
    peer: Peer | None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What detect/ makes of numbers and readings where it is neither a viewing nor a login; judge/findings.py makes
    alerts of it. `type`: the alert's; `key`: with camera and type what makes it the same matter again; `at`: when
    it began, on the guard's clock; `over`: it has ended. `told`: whether the owner is alerted, else it is only kept
    in the log (as a Notice `notice`, with `words`)."""

    type: str
    camera: str
    key: str
    severity: Literal["info", "warning", "critical"]
    confidence: Confidence
    evidence: tuple[str, ...]
    peer: Peer | None
    at: float
    detail: dict[str, str | int | float | None] = field(default_factory=dict)
    over: bool = False
    told: bool = True
    notice: str | None = None
    words: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to keep in the log that is no alert; `what` as in contract.md (attack, new-destination, guard-start,
    gap, clock, new-device)."""

    time: float
    camera: str | None
    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class Health:
    """A figure about the guard itself."""

    time: float
    what: str
    value: float
    detail: str = ""


DecisionWord = Literal["allow", "revoke", "watching", "silence", "presence", "learn"]
Mode = Literal["once", "for", "always", "accept", "undo", "forget"]


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks the guard to decide; wishes.py reads it from the spool. `who`: origin, "terminal, bob".

    allow: `alert` (id), `mode`, `for_s`, `when` (hours as schedule.py reads them); revoke: `decision`; watching and
    silence: `camera` (None: all), `for_s`;
    silence may name one `alert`; presence: `device` and `home`; learn: `habit` (its number), `mode` (accept, undo,
    forget), and with accept narrower hours as `when`.
    """

    id: str
    who: str
    do: DecisionWord
    alert: str | None = None
    mode: Mode | None = None
    for_s: float | None = None
    camera: str | None = None
    decision: int | None = None
    device: str | None = None
    home: bool | None = None
    habit: int | None = None
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided. `until`: wall clock, None for no end; `peer`: whom an allow is about, as known then; `about`:
    the matter (alert's type and key) where it is about no viewer, such as a way in. `when`: the hours in which an allow
    counts; `private`: it answers a privacy alert, and counts in privacy hours, too. `used`: "once" is over with this;
    told again, with `time` as the moment of that.

    `number` is how the owner names it (`camguard allow --revoke 3`); `wish`: the wish's id, so that a repeat is one.
    """

    number: int
    time: float
    wish: str
    who: str
    what: DecisionWord
    camera: str | None = None
    alert: str | None = None
    mode: Mode | None = None
    until: float | None = None
    peer: Peer | None = None
    revokes: int | None = None
    detail: str = ""
    about: str | None = None
    when: str | None = None
    private: bool = False
    used: bool = False
    habit: int | None = None


Event = Session | Login | Exposure | Alert | Notice | Health | Decision


# ---- who is on the link ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeenDevice:
    """A device seen on the link. `speaks_camera`: it answered like a camera (RTSP, ONVIF, a maker's discovery)."""

    mac: str
    ips: tuple[str, ...]
    name: str | None
    first_time: float
    last_time: float
    speaks_camera: bool = False


@dataclass(frozen=True, slots=True)
class Sight:
    """How well the guard sees one camera: what passed in the last minutes, other than broadcasts and its own talk."""

    camera: str
    how: Literal["both", "up-only", "down-only", "broadcast-only", "nothing"]
    packets_up: int
    packets_down: int
    last_time: float | None


# ---- what was learned ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Habit:
    """What a camera usually does with one server (judge/habits.py). `number` is how the owner names it.

    `who`: the registered name, else network owner and the first part of the address (`named` False); `days`: on how
    many of the last days it was seen; `hours`: when, as schedule.py reads them; `count`: viewings on these days, in
    `phone_count` of them one of the owner's devices received the same; `length_s`: of one, on average. `ripe`: seen for
    long enough to ask about; `faded`: not seen for long; `accepted`: None where the owner has said nothing.
    """

    number: int
    camera: str
    who: str
    named: bool
    owner: str | None
    country: str | None
    cls: StreamClass
    days: int
    hours: str
    count: int
    first_time: float
    last_time: float
    phone_count: int
    length_s: float
    rate_kbps: int
    continuous: bool
    ripe: bool
    faded: bool
    accepted: bool | None
