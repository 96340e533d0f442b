"""Acts: what each scenario's programs do. An act runs on its own thread and returns what was done, from their logs."""

import json
import math
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.draw import Plan, Scenario
from tests.lab.home import Home, LabError, LanHost, OutsideHost, wait_for

HERE = Path(__file__).parent / "programs"
PYTHON = "/usr/bin/python3"
LOGIN = ("viewer", "lab-Only-1")
#: Acts in which somebody outside opens a connection that the camera accepts.
COME_IN = ("view_rtsp", "pull_mjpeg", "pull_snapshots", "pull_hls")
RTSP, DOOR, TLS, HTTP, P2P = 554, 8554, 443, 80, 7000


@dataclass(slots=True)
class Stage:
    """Where the acts play: the home, the films, who outside belongs to which scenario, when the run ends."""

    home: Home
    plan: Plan
    films: dict[str, Path]
    certificate: tuple[Path, Path]
    outside: dict[str, list[OutsideHost]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def folder(self) -> Path:
        return self.home.folder

    def camera(self, scenario: Scenario) -> LanHost:
        return self.home.lan[scenario.name]

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"


Done = list[dict[str, Any]]


def said(path: Path, what: str, peer: str | None = None) -> list[float]:
    """The times at which a program noted `what` (about `peer`)."""
    if not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
    return [row["time"] for row in rows if row["what"] == what and (peer is None or peer in str(row["peer"]))]


# ---- what has to run before the curtain ----------------------------------------------------------------------


def prepare(stage: Stage, scenario: Scenario) -> None:
    """Make the scenario's camera, the hosts outside and the servers that must be there from the start."""
    plan, home = stage.plan, stage.home
    settings = plan.camera_settings[scenario.name]
    merged = bool(scenario.detail.get("merged"))
    home.add_lan(
        scenario.name,
        plan.macs[scenario.name],
        merged=merged,
        mtu=1500 if scenario.act.startswith("view") else int(settings["mtu"]),
        congestion=str(settings["congestion"]),
    )
    if scenario.act not in ("view_lan", "view_recorder", "view_phone", "rest", "pull_snapshot"):
        stage.outside[scenario.name] = [
            home.add_outside(f"out{n}-{scenario.name}", scenario.uplink_kbit) for n in range(scenario.viewers)
        ]
        for host in stage.outside[scenario.name]:
            home.forward(host, DOOR, stage.camera(scenario), HTTP if scenario.act.startswith("pull") else RTSP)
        home.join(stage.outside[scenario.name])


def open_doors(stage: Stage, scenario: Scenario) -> list[Path]:
    """Start the scenario's servers; the logs that will say "ready"."""
    cert, key = stage.certificate
    settings = stage.plan.camera_settings[scenario.name]
    log = stage.log(scenario.name)
    if scenario.act.startswith("view"):
        film = str(stage.films[scenario.film or "middle"])
        tracks = str(scenario.detail.get("tracks", "video,audio"))
        argv = [
            PYTHON,
            str(HERE / "rtsp_camera.py"),
            str(RTSP),
            film,
            *LOGIN,
            str(settings["rtp_mtu"]),
            str(log),
            tracks,
        ]
        stage.home.start(stage.camera(scenario).ns, argv, f"camera-{scenario.name}")
        return [log]
    if scenario.act == "rest" or scenario.act not in ACTS:  # those of ways.py start their own
        return []
    mode, port = {"push_p2p": ("udp", P2P), "send_rtp": ("udp", P2P), "ask": ("echo", 123)}.get(
        scenario.act, ("tls", TLS)
    )
    if scenario.detail.get("plain"):
        mode, port = "http", HTTP
    outside = stage.outside[scenario.name][0]
    argv = [PYTHON, str(HERE / "cloud.py"), mode, str(port), str(log), str(cert), str(key)]
    stage.home.start(outside.ns, argv, f"cloud-{scenario.name}")
    return [log]


def name_of(scenario: Scenario) -> str:
    """The name under which the scenario's server is found in the DNS."""
    return f"{scenario.name}.maker.example"


# ---- viewers pull ----------------------------------------------------------------------


def watch(
    stage: Stage, viewer_ns: str, where: str, scenario: Scenario, seconds: float, peer: str, label: str
) -> tuple[float, float]:
    """Look through the camera at `where` with ffmpeg for `seconds`; when PLAY was answered and when it ended."""
    url = f"rtsp://{LOGIN[0]}:{LOGIN[1]}@{where}/live"
    argv = ["ffmpeg", "-nostdin", "-v", "warning", "-rtsp_transport", str(scenario.detail["transport"]),
            "-i", url, "-map", "0", "-c", "copy", "-f", "null", "-"]  # fmt: skip
    viewer = stage.home.start(viewer_ns, argv, f"viewer-{label}")
    until = time.time() + 60
    while not said(stage.log(scenario.name), "play", peer) and time.time() < until:
        time.sleep(0.02)
    begun = said(stage.log(scenario.name), "play", peer)[0]
    stage.over.wait(max(0, begun + seconds - time.time()))
    stage.home.stop(viewer, signal.SIGINT)
    return begun, time.time()


def view_rtsp(stage: Stage, scenario: Scenario) -> Done:
    """Outsiders look through the port forward, or by the camera's own IPv6 address."""
    done: Done = []
    camera = stage.camera(scenario)

    def one(number: int, outside: OutsideHost) -> None:
        time.sleep(1.5 * number)
        six = bool(scenario.detail.get("ipv6"))
        where = f"[{camera.ip6}]:{RTSP}" if six else f"{outside.wan_ip}:{DOOR}"
        peer = outside.ip6 if six else outside.ip
        first, end = watch(stage, outside.ns, where, scenario, scenario.seconds, peer, outside.name)
        done.append({"peer": peer, "first_media": first, "ended": end})

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(stage.outside[scenario.name])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


def _view_from(stage: Stage, scenario: Scenario, who: str, seconds: float) -> Done:
    viewer, camera = stage.home.lan[who], stage.camera(scenario)
    first, end = watch(stage, viewer.ns, f"{camera.ip}:{RTSP}", scenario, seconds, viewer.ip, f"{who}-{scenario.name}")
    return [{"peer": viewer.ip, "first_media": first, "ended": end}]


def view_lan(stage: Stage, scenario: Scenario) -> Done:
    """A laptop that the owner never named looks."""
    return _view_from(stage, scenario, "laptop", scenario.seconds)


def view_phone(stage: Stage, scenario: Scenario) -> Done:
    """The owner's phone looks."""
    return _view_from(stage, scenario, "phone", scenario.seconds)


def view_recorder(stage: Stage, scenario: Scenario) -> Done:
    """The owner's recorder pulls until the run is over."""
    return _view_from(stage, scenario, "nvr", 10_000)


# ---- cameras push ----------------------------------------------------------------------


def film_of(stage: Stage, scenario: Scenario, *out: str) -> list[str]:
    """ffmpeg that plays the scenario's film at its own speed and only copies."""
    film = str(stage.films[scenario.film or "sound"])
    track = ("-map", "0:v") if scenario.detail.get("format") == "h264" else ("-map", "0")
    return ["ffmpeg", "-nostdin", "-v", "warning", "-re", "-i", film, *track, "-c", "copy", "-flush_packets", "1", *out]


def pushed(stage: Stage, scenario: Scenario, programs: list[Any], *, six: bool = False) -> Done:
    """Let a push run for the scenario's time; its first media time is what the receiving program noted."""
    log = stage.log(scenario.name)
    until = time.time() + 60
    while not said(log, "first") and time.time() < until:
        time.sleep(0.02)
    first = said(log, "first")[0]
    stage.over.wait(max(0, first + scenario.seconds - time.time()))
    for program in programs:
        stage.home.stop(program, signal.SIGINT)
    outside = stage.outside[scenario.name][0]
    return [{"peer": outside.ip6 if six else outside.ip, "first_media": first, "ended": time.time()}]


def push_stunnel(stage: Stage, scenario: Scenario) -> Done:
    """ffmpeg -> stunnel on the camera -> TLS to a server."""
    ns, port = stage.camera(scenario).ns, 9000
    conf = stage.folder / f"stunnel-{scenario.name}.conf"
    conf.write_text(
        f"foreground = yes\npid =\n[up]\nclient = yes\naccept = 127.0.0.1:{port}\nconnect = {name_of(scenario)}:{TLS}\n"
    )
    tunnel = stage.home.start(ns, ["stunnel", str(conf)], f"stunnel-{scenario.name}")
    wait_for(stage.folder / f"stunnel-{scenario.name}.log", "Configuration successful")
    sound = {"flv": ("-an",), "h264": ("-an",)}.get(str(scenario.detail["format"]), ())
    argv = film_of(stage, scenario, *sound, "-f", str(scenario.detail["format"]), f"tcp://127.0.0.1:{port}")
    return pushed(stage, scenario, [stage.home.start(ns, argv, f"push-{scenario.name}"), tunnel])


def push_openssl(stage: Stage, scenario: Scenario) -> Done:
    """ffmpeg | openssl s_client."""
    six = bool(scenario.detail.get("ipv6"))
    argv = film_of(stage, scenario, "-f", str(scenario.detail.get("format", "mpegts")), "-")
    return _piped(stage, scenario, argv, six=six)


def push_sound(stage: Stage, scenario: Scenario) -> Done:
    """64 kbit/s of PCMU and nothing else, through TLS."""
    return _piped(stage, scenario, film_of(stage, scenario, "-f", "mulaw", "-"))


def _piped(stage: Stage, scenario: Scenario, argv: list[str], *, six: bool = False) -> Done:
    line = " ".join(argv) + f" | openssl s_client {'-6' if six else '-4'} -quiet -connect {name_of(scenario)}:{TLS}"
    line += f" -servername {name_of(scenario)}"
    program = stage.home.start(stage.camera(scenario).ns, ["sh", "-c", line], f"push-{scenario.name}")
    return pushed(stage, scenario, [program], six=six)


def push_https(stage: Stage, scenario: Scenario) -> Done:
    """ffmpeg's own chunked PUT over HTTPS."""
    argv = film_of(stage, scenario, "-f", "mpegts", "-method", "PUT", f"https://{name_of(scenario)}:{TLS}/live/in.ts")
    program = stage.home.start(stage.camera(scenario).ns, argv, f"push-{scenario.name}")
    return pushed(stage, scenario, [program])


def push_p2p(stage: Stage, scenario: Scenario) -> Done:
    """Scrambled datagrams to one server (programs/p2p_camera.py), of picture or sound, filled up or not."""
    ns, log = stage.camera(scenario).ns, str(stage.log(f"{scenario.name}-sent"))
    pad = str(scenario.detail.get("pad_to", 0))
    argv = [PYTHON, str(HERE / "p2p_camera.py"), "9000", name_of(scenario), str(P2P), log, pad]
    sender = stage.home.start(ns, argv, f"p2p-{scenario.name}")
    time.sleep(0.5)
    form, size = ("mpegts", 1128) if scenario.film else ("mulaw", stage.plan.sound_samples)
    argv = film_of(stage, scenario, "-f", form, f"udp://127.0.0.1:9000?pkt_size={size}")
    return pushed(stage, scenario, [stage.home.start(ns, argv, f"push-{scenario.name}"), sender])


def send_rtp(stage: Stage, scenario: Scenario) -> Done:
    """Plain RTP without any signalling."""
    outside = stage.outside[scenario.name][0]
    argv = film_of(stage, scenario, "-an", "-f", "rtp", f"rtp://{outside.ip}:{P2P}?pkt_size=1200")
    return pushed(stage, scenario, [stage.home.start(stage.camera(scenario).ns, argv, f"push-{scenario.name}")])


# ---- the quiet ones ----------------------------------------------------------------------


def upload_clip(stage: Stage, scenario: Scenario) -> Done:
    """curl sends a motion clip to the maker, over HTTPS or in the clear."""
    scheme, port = ("http", HTTP) if scenario.detail.get("plain") else ("https", TLS)
    limit = ["--limit-rate", str(scenario.detail["limit"])] if "limit" in scenario.detail else []
    clip = _clip(stage, scenario, int(scenario.detail["bytes"]))
    argv = ["curl", "-sS", "-k", *limit, "-T", str(clip), f"{scheme}://{name_of(scenario)}:{port}/clips/motion.mp4"]
    return _to_its_end(stage, scenario, argv)


def upload_clips(stage: Stage, scenario: Scenario) -> Done:
    """Clip after clip on one TLS connection that stays open, some seconds apart."""
    clips = _clip(stage, scenario, int(scenario.detail["bytes"]))
    head = f"PUT /clips/motion.mp4 HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: {clips.stat().st_size}\\r\\n\\r\\n"
    line = f"for i in $(seq {scenario.detail['count']}); do printf '{head}'; cat {clips};"
    line += f" sleep {scenario.detail['apart_s']}; done | openssl s_client -quiet"
    line += f" -no_ign_eof -nocommands -connect {name_of(scenario)}:{TLS}"
    return _to_its_end(stage, scenario, ["sh", "-c", line])


def upload_snapshots(stage: Stage, scenario: Scenario) -> Done:
    """A still picture every other second, each over a connection of its own."""
    picture = _clip(stage, scenario, int(scenario.detail["bytes"]))
    line = f"for i in $(seq {scenario.detail['count']}); do"
    line += f" curl -sS -k -T {picture} https://{name_of(scenario)}:{TLS}/now.jpg; sleep 2; done"
    return _to_its_end(stage, scenario, ["sh", "-c", line])


def _clip(stage: Stage, scenario: Scenario, count: int) -> Path:
    path = stage.folder / f"{scenario.name}.bin"
    path.write_bytes(stage.plan.seed.to_bytes(8, "big") * (count // 8))
    return path


def _to_its_end(stage: Stage, scenario: Scenario, argv: list[str]) -> Done:
    """Run a transfer to its end; one that fails is no proof of anything."""
    begun = time.time()
    program = stage.home.start(stage.camera(scenario).ns, argv, f"transfer-{scenario.name}")
    while program.poll() is None and not stage.over.is_set():
        time.sleep(0.05)
    unfinished = program.poll() is None
    code = stage.home.stop(program)
    if unfinished or code:
        raise LabError(f"the transfer of {scenario.name} failed ({code})")
    return [{"peer": stage.outside[scenario.name][0].ip, "first_media": begun, "ended": time.time()}]


def download(stage: Stage, scenario: Scenario) -> Done:
    """curl fetches new firmware."""
    where = f"https://{name_of(scenario)}:{TLS}/firmware/{scenario.detail['bytes']}"
    return _to_its_end(stage, scenario, ["curl", "-sS", "-k", "-o", "/dev/null", where])


def beat(stage: Stage, scenario: Scenario) -> Done:
    """A small message to the maker's server every few seconds over one TLS connection, answered each time."""
    every, size = int(scenario.detail["every_ms"]) / 1000, int(scenario.detail["bytes"])
    times = math.ceil(stage.plan.length_s / every) + 1
    line = f"for i in $(seq {times}); do printf 'beat%0{size}d' $i; sleep {every}; done"
    line += f" | openssl s_client -quiet -connect {name_of(scenario)}:{TLS}"
    begun = time.time()
    program = stage.home.start(stage.camera(scenario).ns, ["sh", "-c", line], f"beat-{scenario.name}")
    stage.over.wait()
    stage.home.stop(program)
    return [{"peer": stage.outside[scenario.name][0].ip, "first_media": begun, "ended": time.time()}]


def ask(stage: Stage, scenario: Scenario) -> Done:
    """Name look-ups and the clock: a 48-byte request and answer, again and again."""
    line = (
        f"while :; do getent ahosts {name_of(scenario)} >/dev/null; getent hosts gone.maker.example >/dev/null;"
        f" printf '\\043%047d' 0 | socat -t 1 - UDP:{name_of(scenario)}:123 >/dev/null; sleep 2; done"
    )
    begun = time.time()
    program = stage.home.start(stage.camera(scenario).ns, ["sh", "-c", line], f"ask-{scenario.name}")
    stage.over.wait()
    stage.home.stop(program)
    return [{"peer": stage.outside[scenario.name][0].ip, "first_media": begun, "ended": time.time()}]


def rest(stage: Stage, scenario: Scenario) -> Done:
    """A camera that nobody talks to; like any host it asks for its router now and then."""
    line = "while :; do ping -c 1 -W 1 192.168.77.1 >/dev/null; sleep 20; done"
    program = stage.home.start(stage.camera(scenario).ns, ["sh", "-c", line], f"rest-{scenario.name}")
    begun = time.time()
    stage.over.wait()
    stage.home.stop(program)
    return [{"peer": None, "first_media": begun, "ended": time.time()}]


ACTS = {
    act.__name__: act
    for act in (
        view_rtsp, view_lan, view_phone, view_recorder, push_stunnel, push_openssl, push_sound, push_https, push_p2p,
        send_rtp, upload_clip, upload_clips, upload_snapshots, download, beat, ask, rest,
    )
}  # fmt: skip
