"""From a seed to the scenarios of one run: rates, picture rates, packet sizes, uplinks and start times are drawn."""

import random
from dataclasses import dataclass, field

from tests.lab.media import Film
from tests.lab.verdict import OPAQUE_S, READABLE_S

CLIP_BYTES = {"2mb": 2_000_000, "8mb": 8_000_000}
#: What these send cannot be read.
OPAQUE_ACTS = ("push_stunnel", "push_openssl", "push_https", "push_sound", "push_p2p", "push_quic", "view_ssh",
               "view_wireguard")  # fmt: skip
UPLINKS = {"fast": None, "1mbit": 1000, "2mbit": 2000, "5mbit": 5000}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that happens to one camera (which carries the scenario's name).

    `act` names a function of play.py. `must`: the alert that has to come, `within_s` after the first media packet
    (None: nothing may come). `required` False: printed, not judged. `start_s` counts from the moment the guard looks.
    """

    name: str
    act: str
    start_s: float
    seconds: float
    must: str | None = None
    within_s: float | None = None
    required: bool = True
    film: str | None = None
    uplink_kbit: int | None = None
    viewers: int = 1
    detail: dict[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one seed decides."""

    seed: int
    films: tuple[Film, ...]
    sound_samples: int
    scenarios: tuple[Scenario, ...]
    macs: dict[str, str]
    router_mac: str
    camera_settings: dict[str, dict[str, str | int | bool]]
    length_s: float


def draw(seed: int, *, brief: bool = False) -> Plan:
    """The plan of `seed`; the same seed gives the same plan. `brief`: only what must be told, 15 s each."""
    dice = random.Random(seed)
    latest_s, lasting_s, before_s = (9, (14, 16), 26) if brief else (30, (20, 30), 45)
    films = (
        Film("high", dice.randrange(1400, 2600, 50), dice.choice((10, 12, 15, 20, 25)), dice.choice((1, 2, 4))),
        Film("middle", dice.randrange(450, 1100, 50), dice.choice((8, 10, 12, 15, 20)), dice.choice((1, 2, 4))),
        Film("low", 150, dice.choice((6, 8, 10, 12, 15)), dice.choice((2, 4, 8))),
        Film("still", 60, dice.choice((8, 10, 15)), 4),
        Film("short", dice.randrange(450, 900, 50), dice.choice((10, 12, 15)), 1),
    )
    rate = {film.name: film.kbps for film in films}

    def view(name: str, act: str, *, film: str | None = "any", shaped: bool = False, **more: object) -> Scenario:
        if film == "any":
            film = dice.choice(("high", "middle", "middle"))
        fits = [kbit for kbit in (None, 5000, 2000, 1000) if kbit is None or rate.get(film or "", 80) * 1.4 < kbit]
        detail: dict[str, str | int | bool] = more.pop("detail", {})  # type: ignore[assignment]
        within = OPAQUE_S if act in OPAQUE_ACTS else READABLE_S
        return Scenario(
            name,
            act,
            float(more.pop("start_s", None) or round(dice.uniform(3, latest_s), 2)),  # type: ignore[arg-type]
            float(more.pop("seconds", None) or round(dice.uniform(*lasting_s), 1)),  # type: ignore[arg-type]
            must=str(more.pop("must", "remote-stream")),
            within_s=within,
            film=film,
            uplink_kbit=dice.choice(fits) if shaped else None,
            detail=detail,
            **more,  # type: ignore[arg-type]
        )

    before = -round(dice.uniform(8, 12), 2)
    scenarios = [
        view("rtsp-udp", "view_rtsp", shaped=True, detail={"transport": "udp"}),
        view("rtsp-tcp", "view_rtsp", shaped=True, detail={"transport": "tcp"}),
        view("rtsp-ipv6", "view_rtsp", detail={"transport": dice.choice(("tcp", "udp")), "ipv6": True}),
        view("rtsp-low", "view_rtsp", film="low", detail={"transport": dice.choice(("tcp", "udp")), "tracks": "video"}),
        view("rtsp-merged", "view_rtsp", film="high", detail={"transport": "tcp", "merged": True}),
        view("rtsp-peek", "view_rtsp", seconds=5, detail={"transport": dice.choice(("tcp", "udp"))}),
        view("rtsp-before-tcp", "view_rtsp", start_s=before, seconds=before_s, detail={"transport": "tcp"}),
        view("rtsp-before-udp", "view_rtsp", start_s=before, seconds=before_s, detail={"transport": "udp"}),
        view("two-viewers", "view_rtsp", film="middle", viewers=2, detail={"transport": dice.choice(("tcp", "udp"))}),
        view("lan-stranger", "view_lan", must="lan-stream", detail={"transport": dice.choice(("tcp", "udp"))}),
        view("rtp-plain", "send_rtp", film="middle"),
        view("tls-upload", "push_stunnel", shaped=True, detail={"format": dice.choice(("mpegts", "flv", "h264"))}),
        view("tls-pipe", "push_openssl", shaped=True, detail={"format": "mpegts"}),
        view("tls-before", "push_openssl", start_s=before, seconds=before_s, detail={"format": "mpegts"}),
        view("https-put", "push_https", shaped=True),
        view("tls-ipv6", "push_openssl", detail={"format": "mpegts", "ipv6": True}),
        view("tls-merged", "push_openssl", film="high", detail={"format": "mpegts", "merged": True}),
        view("udp-p2p", "push_p2p", shaped=True),
        view("low-rate", "push_openssl", film="low", shaped=True, detail={"format": "h264"}),
        view("sound-only", "push_sound", film=None, shaped=True),
        view("sound-before", "push_sound", film="sound-large", start_s=before, seconds=before_s),
        view("sound-p2p", "push_p2p", film=None),
        view("p2p-filled", "push_p2p", film="middle", required=False, detail={"pad_to": 1128}),
        view("still-scene", "push_openssl", film="still", required=False, detail={"format": "mpegts"}),
        view("opaque-peek", "push_openssl", seconds=5, required=False, detail={"format": "mpegts"}),
        view("rtsp-in-http", "view_rtsp", detail={"transport": "http"}),
        view("rtmp-push", "push_rtmp", shaped=True),
        view("mjpeg", "pull_mjpeg", film="short", detail={"by": dice.choice(("curl", "ffmpeg"))}),
        view("snapshots-fast", "pull_snapshots", film="short", detail={"every_s": 1}),
        view("hls-pull", "pull_hls", film="short"),
        view("hls-put", "push_hls", film="short", detail={"keep": dice.random() < 0.5}),
        view("srt", "push_srt", shaped=True),
        view("mpegts-udp", "push_mpegts", shaped=True),
        view("webrtc", "call_webrtc", film="short"),
        view("webrtc-relay", "call_webrtc", film="short", viewers=2, detail={"relay": True}),
        view("p2p-named", "call_p2p", viewers=2),
        view("quic-push", "push_quic", shaped=True),
        view("ssh-reverse", "view_ssh", detail={"transport": "tcp"}),
        view("wireguard", "view_wireguard", detail={"transport": dice.choice(("tcp", "udp"))}),
    ]
    for uplink, kbit in UPLINKS.items():
        for size, count in CLIP_BYTES.items():
            long = count * 8 / 1000 / (kbit or 100000)
            start = dice.uniform(1, 4) if long > 40 else dice.uniform(4, 40)
            scenarios.append(
                Scenario(
                    f"clip-{size}-{uplink}",
                    "upload_clip",
                    round(start, 2),
                    0,
                    uplink_kbit=kbit,
                    detail={"bytes": count, "plain": dice.random() < 0.3},
                )
            )
    scenarios += [
        Scenario("recorder-tcp", "view_recorder", before, 0, film="middle", detail={"transport": "tcp"}),
        Scenario("recorder-udp", "view_recorder", 2, 0, film="high", detail={"transport": "udp"}),
        Scenario("phone-lan", "view_phone", dice.uniform(4, 30), 25, film="middle", detail={"transport": "tcp"}),
        Scenario(
            "heartbeat", "beat", 1, 0,
            detail={"bytes": dice.randrange(80, 700), "every_ms": dice.randrange(2000, 15000)},
        ),
        Scenario("firmware", "download", round(dice.uniform(4, 40), 2), 0, detail={"bytes": 20_000_000}),
        Scenario("snapshot-one", "pull_snapshot", dice.uniform(4, 40), 0, film="short",
                 detail={"every_s": 1, "count": 1}),
        Scenario("snapshots-slow", "pull_snapshot", dice.uniform(4, 12), 0, film="short",
                 detail={"every_s": dice.choice((8, 10, 15)), "count": 4}),
        Scenario("dns-ntp", "ask", 1, 0),
        Scenario("nothing", "rest", 1, 0),
        Scenario(
            "clips-kept", "upload_clips", dice.uniform(3, 6), 0, uplink_kbit=dice.choice((None, 5000, 2000)),
            detail={"bytes": dice.randrange(600_000, 2_000_000), "count": 4, "apart_s": dice.randrange(3, 8)},
        ),
        Scenario(
            "snapshots", "upload_snapshots", dice.uniform(4, 20), 0, required=False,
            detail={"bytes": dice.randrange(15_000, 60_000), "count": 12},
        ),
        Scenario(
            "clip-paced", "upload_clip", round(dice.uniform(4, 20), 2), 0, required=False,
            detail={"bytes": 2_000_000, "limit": f"{dice.choice((100, 150, 250))}k"},
        ),
    ]  # fmt: skip
    if brief:
        scenarios = [scenario for scenario in scenarios if scenario.must]
    names = [s.name for s in scenarios] + ["nvr", "phone", "laptop"]
    macs = {name: "02:" + ":".join(f"{dice.randrange(256):02x}" for _ in range(5)) for name in names}
    settings: dict[str, dict[str, str | int | bool]] = {
        s.name: {
            "mtu": dice.choice((1500, 1500, 1492, 1400)),
            "rtp_mtu": dice.choice((1400, 1300, 1000)),
            "congestion": dice.choice(("reno", "bbr")),
        }
        for s in scenarios
    }
    router = "02:" + ":".join(f"{dice.randrange(256):02x}" for _ in range(5))
    return Plan(seed, films, dice.choice((160, 240, 320, 480, 1024)), tuple(scenarios), macs, router, settings, 78.0)
