"""More acts: the ways other than RTSP, TLS and a maker's P2P by which pictures leave a home. As in play.py."""

import subprocess
import sys
import time
from pathlib import Path

from tests.lab import play
from tests.lab.draw import Scenario
from tests.lab.home import LabError, OutsideHost, run, wait_for
from tests.lab.play import DOOR, HERE, HTTP, RTSP, Done, Stage

#: What is said before the first picture, in bytes towards who looks: TCP's answers, RTMP's C1 and C2 (1536 each).
ANSWERS, RTMP_TALK, CALL_TALK = 1000, 4000, 4000


def _first(stage: Stage, scenario: Scenario, proto: str, port: int, count: int, host: OutsideHost) -> None:
    """From now on the first media is noted at `host`."""
    log = stage.log(scenario.name)
    argv = ["/usr/bin/python3", str(HERE / "wire.py"), proto, str(port), str(count), str(log)]
    stage.home.start(host.ns, argv, f"wire-{scenario.name}")
    wait_for(log, "ready")


def _listens(stage: Stage, ns: str, proto: str, port: int, limit_s: float = 60) -> None:
    """Wait until somebody listens."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        argv = ["ip", "netns", "exec", ns, "ss", "-Hln", f"--{proto}", "sport", "=", f":{port}"]
        if subprocess.run(argv, capture_output=True, check=False, timeout=30).stdout:
            return
        time.sleep(0.05)
    raise LabError(f"nobody listens on {port} in {ns}")


def _there(path: Path, count: int = 1, limit_s: float = 60) -> None:
    """Wait until so many files match."""
    until = time.monotonic() + limit_s
    while len(list(path.parent.glob(path.name))) < count:
        if time.monotonic() > until:
            raise LabError(f"{path} never came")
        time.sleep(0.05)


def _nginx(stage: Stage, scenario: Scenario, ns: str, body: str, port: int) -> Path:
    """nginx in the foreground, with a folder of its own; the folder."""
    folder = stage.folder / f"www-{scenario.name}"
    folder.mkdir()
    temp = "\n".join(
        f"  {name}_temp_path {folder}/.{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    conf = stage.folder / f"nginx-{scenario.name}.conf"
    conf.write_text(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n"
        f"daemon off; user root; pid {folder}/.pid; error_log stderr; worker_processes 1; events {{}}\n"
        + body.replace("ROOT", f"access_log off;\n{temp}\n  root {folder};").replace("LISTEN", f"listen {port};")
    )
    stage.home.start(ns, ["nginx", "-e", "stderr", "-c", str(conf)], f"nginx-{scenario.name}")
    _listens(stage, ns, "tcp", port)
    return folder


# ---- cameras push ----------------------------------------------------------------------


def push_rtmp(stage: Stage, scenario: Scenario) -> Done:
    """ffmpeg publishes to nginx-rtmp."""
    out = stage.outside[scenario.name][0]
    _nginx(stage, scenario, out.ns, "rtmp { server { LISTEN application live { live on; } } }", 1935)
    _first(stage, scenario, "tcp", 1935, RTMP_TALK, out)
    return _ffmpeg(stage, scenario, "-an", "-f", "flv", f"rtmp://{play.name_of(scenario)}:1935/live/porch")


def push_srt(stage: Stage, scenario: Scenario) -> Done:
    """ffmpeg calls ffmpeg over SRT."""
    out = stage.outside[scenario.name][0]
    argv = ["ffmpeg", "-nostdin", "-v", "warning", "-i", "srt://0.0.0.0:9000?mode=listener", "-c", "copy", "-f", "null"]
    stage.home.start(out.ns, [*argv, "-"], f"listener-{scenario.name}")
    _listens(stage, out.ns, "udp", 9000)
    _first(stage, scenario, "udp", 9000, ANSWERS, out)
    return _ffmpeg(stage, scenario, "-an", "-f", "mpegts", f"srt://{play.name_of(scenario)}:9000?mode=caller")


def push_mpegts(stage: Stage, scenario: Scenario) -> Done:
    """A plain transport stream in datagrams."""
    out = stage.outside[scenario.name][0]
    stage.home.start(out.ns, ["socat", "-u", "UDP-RECV:7000", "OPEN:/dev/null"], f"sink-{scenario.name}")
    _listens(stage, out.ns, "udp", 7000)
    _first(stage, scenario, "udp", 7000, 1, out)
    return _ffmpeg(stage, scenario, "-an", "-f", "mpegts", f"udp://{out.ip}:7000?pkt_size=1316")


def push_hls(stage: Stage, scenario: Scenario) -> Done:
    """Segments and playlist, put to a web server one after the other."""
    out = stage.outside[scenario.name][0]
    body = "http { ROOT server { LISTEN location / { dav_methods PUT DELETE; create_full_put_path on; } } }"
    _nginx(stage, scenario, out.ns, body, HTTP)
    _first(stage, scenario, "tcp", HTTP, ANSWERS, out)
    keep = str(int(bool(scenario.detail["keep"])))
    more = ("-f", "hls", "-hls_time", "1", "-method", "PUT", "-http_persistent", keep)
    return _ffmpeg(stage, scenario, "-an", *more, f"http://{play.name_of(scenario)}/live/porch.m3u8")


def push_quic(stage: Stage, scenario: Scenario) -> Done:
    """ffmpeg | aioquic."""
    out, (cert, key) = stage.outside[scenario.name][0], stage.certificate
    argv = [sys.executable, str(HERE / "quic.py"), "server", "443", str(stage.log(scenario.name)), str(cert), str(key)]
    stage.home.start(out.ns, argv, f"cloud-{scenario.name}")
    wait_for(stage.log(scenario.name), "ready")
    line = " ".join(play.film_of(stage, scenario, "-an", "-f", "mpegts", "-"))
    line += f" | {sys.executable} {HERE / 'quic.py'} client {play.name_of(scenario)} 443"
    program = stage.home.start(stage.camera(scenario).ns, ["sh", "-c", line], f"push-{scenario.name}")
    return play.pushed(stage, scenario, [program])


def _ffmpeg(stage: Stage, scenario: Scenario, *out: str) -> Done:
    argv = play.film_of(stage, scenario, *out)
    return play.pushed(stage, scenario, [stage.home.start(stage.camera(scenario).ns, argv, f"push-{scenario.name}")])


def call_webrtc(stage: Stage, scenario: Scenario) -> Done:
    """aiortc at both ends; the camera dials the viewer, or a relay (coturn) through which the viewer is reached."""
    camera, (relay, viewer) = stage.camera(scenario), (stage.outside[scenario.name] * 2)[:2]
    film = stage.folder / f"{scenario.name}.ts"
    copy = ["ffmpeg", "-v", "error", "-i", str(stage.films[scenario.film or "middle"]), "-an", "-c", "copy", str(film)]
    subprocess.run(copy, check=True, timeout=60)
    signals = stage.folder / f"signals-{scenario.name}"
    argv = [sys.executable, str(HERE / "webrtc.py")]
    through: list[str] = []
    if scenario.detail.get("relay"):
        turn = ["turnserver", "-n", "--no-tls", "--no-dtls", "--no-cli", "-a", "-u", "lab:lab-Only-1", "-r", "lab",
                "-L", relay.ip, "-E", relay.ip, "-p", "3478", "--log-file", "stdout", "--pidfile",
                str(stage.folder / f"turn-{scenario.name}.pid"), "--userdb",
                str(stage.folder / f"turn-{scenario.name}.db")]  # fmt: skip
        stage.home.start(relay.ns, turn, f"turn-{scenario.name}")
        _listens(stage, relay.ns, "udp", 3478)
        through = [f"turn:{relay.ip}:3478", "lab", "lab-Only-1"]
    _first(stage, scenario, "udp", 3478 if through else 0, CALL_TALK, relay)
    looks = stage.home.start(viewer.ns, [*argv, "viewer", str(signals), "-"], f"viewer-{scenario.name}")
    shows = stage.home.start(camera.ns, [*argv, "camera", str(signals), str(film), *through], f"call-{scenario.name}")
    return play.pushed(stage, scenario, [looks, shows])


def call_p2p(stage: Stage, scenario: Scenario) -> Done:
    """A maker's server sends a viewer and the camera to each other, in plain PPPP (programs/pppp.py)."""
    camera, (maker, viewer) = stage.camera(scenario), stage.outside[scenario.name]
    program, log = ["/usr/bin/python3", str(HERE / "pppp.py")], stage.log(scenario.name)
    stage.home.start(maker.ns, [*program, "server", "32100", str(log)], f"maker-{scenario.name}")
    wait_for(log, "ready")
    argv = [*program, "camera", maker.ip, "32100", "9000"]
    shows = stage.home.start(camera.ns, argv, f"camera-{scenario.name}")
    film = play.film_of(stage, scenario, "-an", "-f", "mpegts", "udp://127.0.0.1:9000?pkt_size=1128")
    stage.home.start(camera.ns, film, f"push-{scenario.name}")
    argv = [*program, "viewer", maker.ip, "32100", str(log)]
    looks = stage.home.start(viewer.ns, argv, f"viewer-{scenario.name}")
    return [deed | {"peer": viewer.ip} for deed in play.pushed(stage, scenario, [looks, shows])]


# ---- who looks pulls ----------------------------------------------------------------------


def _pulled(stage: Stage, scenario: Scenario, argv: list[str]) -> Done:
    """An outsider at the port forward runs `argv`."""
    out = stage.outside[scenario.name][0]
    _first(stage, scenario, "tcp", DOOR, ANSWERS, out)
    return play.pushed(stage, scenario, [stage.home.start(out.ns, argv, f"viewer-{scenario.name}")])


def pull_mjpeg(stage: Stage, scenario: Scenario) -> Done:
    """The camera's page with moving pictures: ffmpeg serves it; a browser (curl) or ffmpeg looks."""
    ns, out = stage.camera(scenario).ns, stage.outside[scenario.name][0]
    serve = ["ffmpeg", "-nostdin", "-v", "warning", "-re", "-i", str(stage.films[scenario.film or "middle"]), "-an",
             "-c:v", "mjpeg", "-q:v", "8", "-f", "mpjpeg", "-content_type", "multipart/x-mixed-replace;boundary=ffmpeg",
             "-listen", "1", f"http://0.0.0.0:{HTTP}/video.mjpg"]  # fmt: skip
    stage.home.start(ns, serve, f"camera-{scenario.name}")
    _listens(stage, ns, "tcp", HTTP)
    url = f"http://{out.wan_ip}:{DOOR}/video.mjpg"
    curl = ["curl", "-sN", "-o", "/dev/null", url]
    ffmpeg = ["ffmpeg", "-nostdin", "-v", "warning", "-f", "mpjpeg", "-i", url, "-c", "copy", "-f", "null", "-"]
    return _pulled(stage, scenario, curl if scenario.detail["by"] == "curl" else ffmpeg)


def _page(stage: Stage, scenario: Scenario) -> None:
    """The camera's web server with the latest picture, which ffmpeg makes twice a second."""
    ns = stage.camera(scenario).ns
    body = (
        "http { types { image/jpeg jpg; application/vnd.apple.mpegurl m3u8; video/mp2t ts; } ROOT server { LISTEN } }"
    )
    folder = _nginx(stage, scenario, ns, body, HTTP)
    film = str(stage.films[scenario.film or "middle"])
    if scenario.act == "pull_hls":
        more = ["-an", "-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_flags",
                "delete_segments", str(folder / "live.m3u8")]  # fmt: skip
    else:
        more = ["-vf", "fps=2", "-q:v", "5", "-update", "1", "-atomic_writing", "1", str(folder / "snap.jpg")]
    argv = ["ffmpeg", "-nostdin", "-v", "warning", "-re", "-i", film, *more]
    stage.home.start(ns, argv, f"camera-{scenario.name}")
    _there(folder / ("*.ts" if scenario.act == "pull_hls" else "snap.jpg"), 3 if scenario.act == "pull_hls" else 1)


def pull_snapshots(stage: Stage, scenario: Scenario) -> Done:
    """An outsider asks for the picture again and again, each time anew (curl)."""
    _page(stage, scenario)
    url = f"http://{stage.outside[scenario.name][0].wan_ip}:{DOOR}/snap.jpg"
    line = f"while :; do curl -sS -o /dev/null {url}; sleep {scenario.detail['every_s']}; done"
    return _pulled(stage, scenario, ["sh", "-c", line])


def pull_snapshot(stage: Stage, scenario: Scenario) -> Done:
    """A device at home asks for the picture now and then, as home automation does; `count` times."""
    _page(stage, scenario)
    begun = time.time()
    url = f"http://{stage.camera(scenario).ip}:{HTTP}/snap.jpg"
    line = f"for i in $(seq {scenario.detail['count']}); do curl -sS -o /dev/null {url} || exit 1;"
    line += f" sleep {scenario.detail['every_s']}; done"
    program = stage.home.start(stage.home.lan["laptop"].ns, ["sh", "-c", line], f"poll-{scenario.name}")
    while program.poll() is None and not stage.over.is_set():
        time.sleep(0.05)
    stage.home.stop(program)
    return [{"peer": stage.home.lan["laptop"].ip, "first_media": begun, "ended": time.time()}]


def pull_hls(stage: Stage, scenario: Scenario) -> Done:
    """An outsider looks at the camera's HLS page (ffmpeg)."""
    _page(stage, scenario)
    url = f"http://{stage.outside[scenario.name][0].wan_ip}:{DOOR}/live.m3u8"
    return _pulled(stage, scenario, ["ffmpeg", "-nostdin", "-v", "warning", "-i", url, "-c", "copy", "-f", "null", "-"])


# ---- through tunnels ----------------------------------------------------------------------


def view_ssh(stage: Stage, scenario: Scenario) -> Done:
    """The camera keeps a reverse tunnel open (ssh -R); outside somebody pulls RTSP through it."""
    camera, out = stage.camera(scenario), stage.outside[scenario.name][0]
    keys = {name: stage.folder / f"{name}-{scenario.name}" for name in ("host", "user")}
    for path in keys.values():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path))
    conf = stage.folder / f"sshd-{scenario.name}.conf"
    conf.write_text(
        f"HostKey {keys['host']}\nAuthorizedKeysFile {keys['user']}.pub\nStrictModes no\nPermitRootLogin yes\n"
        "UsePAM no\nPidFile none\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    stage.home.start(out.ns, ["/usr/sbin/sshd", "-D", "-e", "-f", str(conf)], f"sshd-{scenario.name}")
    _listens(stage, out.ns, "tcp", 22)
    tunnel = ["ssh", "-N", "-F", "none", "-i", str(keys["user"]), "-o", "StrictHostKeyChecking=no", "-o",
              "UserKnownHostsFile=/dev/null", "-o", "ExitOnForwardFailure=yes", "-R", f"{DOOR}:127.0.0.1:{RTSP}",
              f"root@{play.name_of(scenario)}"]  # fmt: skip
    stage.home.start(camera.ns, tunnel, f"tunnel-{scenario.name}")
    _listens(stage, out.ns, "tcp", DOOR)
    return _through(stage, scenario, f"127.0.0.1:{DOOR}", "127.0.0.1")


def view_wireguard(stage: Stage, scenario: Scenario) -> Done:
    """The camera keeps a WireGuard tunnel open; outside somebody pulls RTSP through it."""
    camera, out = stage.camera(scenario), stage.outside[scenario.name][0]
    ends = {"c": (camera.ns, "10.66.0.1"), "o": (out.ns, "10.66.0.2")}
    names = {end: f"w{stage.home.tag[-11:]}{end}" for end in ends}
    public = {}
    for end, (ns, ip) in ends.items():
        key = stage.folder / f"wg-{scenario.name}-{end}"
        key.write_bytes(_said("wg", "genkey"))
        public[end] = _said("wg", "pubkey", feed=key.read_bytes()).decode().strip()
        stage.home.start(ns, ["wireguard-go", "-f", names[end]], f"wg{end}-{scenario.name}")
        _there(Path(f"/var/run/wireguard/{names[end]}.sock"))
        run("ip", "netns", "exec", ns, "wg", "set", names[end], "listen-port", "51820", "private-key", str(key))
        run("ip", "netns", "exec", ns, "ip", "addr", "add", f"{ip}/24", "dev", names[end])
        run("ip", "netns", "exec", ns, "ip", "link", "set", names[end], "mtu", "1420", "up")
    run("ip", "netns", "exec", out.ns, "wg", "set", names["o"], "peer", public["c"], "allowed-ips", "10.66.0.1/32")
    run("ip", "netns", "exec", camera.ns, "wg", "set", names["c"], "peer", public["o"], "allowed-ips", "10.66.0.2/32",
        "endpoint", f"{out.ip}:51820", "persistent-keepalive", "5")  # fmt: skip
    time.sleep(0.5)
    return _through(stage, scenario, f"10.66.0.1:{RTSP}", "10.66.0.2")


def _through(stage: Stage, scenario: Scenario, where: str, peer: str) -> Done:
    out = stage.outside[scenario.name][0]
    first, end = play.watch(stage, out.ns, where, scenario, scenario.seconds, peer, out.name)
    return [{"peer": out.ip, "first_media": first, "ended": end}]


def _said(*argv: str, feed: bytes | None = None) -> bytes:
    return subprocess.run(argv, input=feed, capture_output=True, check=True, timeout=30).stdout


ACTS = {
    act.__name__: act
    for act in (
        push_rtmp, push_srt, push_mpegts, push_hls, push_quic, call_webrtc, call_p2p, pull_mjpeg, pull_snapshots,
        pull_snapshot, pull_hls, view_ssh, view_wireguard,
    )
}  # fmt: skip
