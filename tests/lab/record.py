"""Run one seed: build the home, start tcpdump and the guard on its bridge, play the scenarios, keep what happened.

What lies in the folder afterwards: lan.pcap (br-lan), camguard.toml, who.json, expected.jsonl (what the programs did,
written before anything of the guard is read), events.jsonl (what the guard printed), *.log.
"""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import play, ways
from tests.lab.draw import Plan, Scenario, draw
from tests.lab.home import Home, LabError, wait_for
from tests.lab.media import Film, certificate, encode, encode_sound

ROOT = Path(__file__).resolve().parents[2]
ACTS = play.ACTS | ways.ACTS
_runs = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Recording:
    """A finished run."""

    plan: Plan
    folder: Path
    expected: list[dict[str, Any]]
    looked_from: float
    guard_code: int | None
    guard_status: dict[str, str]


def configuration(plan: Plan) -> str:
    """What the owner of this home wrote: the cameras, the recorder that may look, the phone that is the owner's."""
    lines = ["[home]", 'timezone = "UTC"', "learn_days = 0", "", "[network]", 'interface = "br-lan"', ""]
    for scenario in plan.scenarios:
        lines += ["[[camera]]", f'name = "{scenario.name}"', f'mac = "{plan.macs[scenario.name]}"', ""]
    lines += ["[[device]]", 'name = "nvr"', f'mac = "{plan.macs["nvr"]}"', ""]
    lines += ["[[device]]", 'name = "phone"', f'mac = "{plan.macs["phone"]}"', "owner = true", ""]
    lines += ["[[expect]]", 'camera = "*"', 'peer = "nvr"', 'kinds = ["stream"]', ""]
    return "\n".join(lines)


def guard_argv(folder: Path, *, ordinary_user: bool) -> list[str]:
    """`camguard run` as it is started in the lab; as an ordinary user it keeps NET_RAW and BPF alone."""
    argv = [sys.executable, "-m", "camguard.cli", "run", "--json", "--config", str(folder / "camguard.toml"),
            "--state-dir", str(folder / "state"), "--runtime-dir", str(folder / "run")]  # fmt: skip
    if not ordinary_user:
        return argv
    caps = "+net_raw,+bpf"
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", f"--inh-caps=-all,{caps}",
            f"--ambient-caps=-all,{caps}", f"--bounding-set=-all,{caps}", *argv]  # fmt: skip


def record(
    seed: int,
    folder: Path,
    *,
    guard: bool = True,
    only: Callable[[Scenario], bool] = lambda _: True,
    ordinary_user: bool = True,
    brief: bool = False,
    live: Callable[[Path], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> Recording:
    """Play the seed. `folder` must exist; `only` chooses scenarios; `live` is called when the guard looks.

    LabError where the lab itself fails.
    """
    plan = draw(seed, brief=brief)
    scenarios = [scenario for scenario in plan.scenarios if only(scenario)]
    os.chmod(folder, 0o755)
    (folder / "camguard.toml").write_text(configuration(plan))
    home = Home(folder, f"cglab{os.getpid()}x{next(_runs)}", plan.router_mac)
    try:
        return _record(plan, scenarios, home, guard, ordinary_user, live, say)
    finally:
        home.close()
        for path in (*folder.glob("*.mkv"), *folder.glob("*.bin"), *folder.glob("*.ts")):
            path.unlink()


def _record(
    plan: Plan,
    scenarios: list[Scenario],
    home: Home,
    guard: bool,
    ordinary_user: bool,
    live: Callable[[Path], None],
    say: Callable[[str], None],
) -> Recording:
    folder = home.folder
    say(f"seed {plan.seed}: encoding")
    with ThreadPoolExecutor(2) as pool:
        coming = {film.name: pool.submit(encode, film, folder) for film in plan.films}
        films = {name: future.result() for name, future in coming.items()}
    films["sound"] = encode_sound(Film("sound", 64, 0, 0), plan.sound_samples, folder)
    films["sound-large"] = encode_sound(Film("sound-large", 64, 0, 0), 1024, folder)
    stage = play.Stage(home, plan, films, certificate(folder))
    say("building the home")
    home.open()
    for who in ("nvr", "phone", "laptop"):
        home.add_lan(who, plan.macs[who])
    for scenario in scenarios:
        play.prepare(stage, scenario)
    hosts = {play.name_of(s): stage.outside[s.name][0] for s in scenarios if s.name in stage.outside}
    six = {s.name for s in scenarios if s.detail.get("ipv6")}
    home.serve({n: (h.ip, h.ip6 if n.split(".")[0] in six else None) for n, h in hosts.items()})
    _who(stage, scenarios)
    for log in [log for scenario in scenarios for log in play.open_doors(stage, scenario)]:
        wait_for(log, "ready", 60)

    earliest = min(0.0, *(s.start_s for s in scenarios)) if scenarios else 0.0
    zero = time.time() - earliest + 0.5
    done: list[dict[str, Any]] = []
    faults: list[str] = []

    def act(scenario: Scenario) -> None:
        time.sleep(max(0.0, zero + scenario.start_s - time.time()))
        try:
            for deed in ACTS[scenario.act](stage, scenario):
                done.append({"scenario": scenario.name, "camera": scenario.name, "must": scenario.must,
                             "within_s": scenario.within_s, "required": scenario.required,
                             "came_in": scenario.act in play.COME_IN, **deed})  # fmt: skip
        except (LabError, OSError, IndexError, subprocess.SubprocessError) as error:
            faults.append(f"{scenario.name}: {error!r}")

    threads = [threading.Thread(target=act, args=(scenario,), daemon=True) for scenario in scenarios]
    for thread in threads:
        thread.start()
    time.sleep(max(0.0, zero - 3 - time.time()))
    say("the guard starts to look")
    dump, watcher = _look(home, guard, ordinary_user, zero)
    looked_from = time.time()
    live(folder)
    last = max((s.start_s + s.seconds for s in scenarios), default=0)
    length = plan.length_s if any(s.act in ("upload_clip", "view_recorder") for s in scenarios) else last + 8
    time.sleep(max(0.0, zero + length - time.time()))
    stage.over.set()
    for thread in threads:
        thread.join(120)
    time.sleep(1.5)
    for deed in done:
        deed["first_seen"] = max(deed["first_media"], looked_from)
    with open(folder / "expected.jsonl", "w") as out:
        out.writelines(json.dumps(deed) + "\n" for deed in sorted(done, key=lambda d: str(d["scenario"])))
    status = _status(watcher.pid) if watcher else {}
    code = home.stop(watcher, signal.SIGTERM, 60) if watcher else None
    home.stop(dump, signal.SIGINT, 60)
    if faults:
        raise LabError("; ".join(faults) + f" (logs in {folder})")
    return Recording(plan, folder, done, looked_from, code, status)


def _look(home: Home, guard: bool, ordinary_user: bool, zero: float) -> tuple[Any, Any]:
    """Start tcpdump and the guard on br-lan about 3 s before `zero`; both are looking when this returns."""
    folder = home.folder
    dump = home.start(
        home.router,
        ["tcpdump", "-i", "br-lan", "-s", "2048", "-B", "16384", "-Z", "root", "-w", str(folder / "lan.pcap")],
        "tcpdump",
    )
    wait_for(folder / "tcpdump.log", "listening on")
    if not guard:
        return dump, None
    for name in ("state", "run"):
        (folder / name).mkdir(exist_ok=True)
        if ordinary_user:
            os.chown(folder / name, 65534, 65534)
    # An ordinary user may not be able to enter the clone's folder; the mount is seen by the guard's own process only.
    here = folder / "clone"
    here.mkdir(exist_ok=True)
    argv = " ".join(guard_argv(folder, ordinary_user=ordinary_user)).replace(str(ROOT), str(here))
    line = f"mount --bind {ROOT} {here} && cd {here} && exec {argv} > {folder}/events.jsonl"
    watcher = home.start(home.router, ["sh", "-c", line], "guard")
    try:
        wait_for(folder / "guard.log", "camguard is looking", 60)
    except LabError as error:
        raise LabError(f"{error}; it said: {(folder / 'guard.log').read_text()[-2000:]}") from None
    return dump, watcher


def _status(pid: int) -> dict[str, str]:
    """/proc/PID/status of the running guard: its rights and its memory."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _who(stage: play.Stage, scenarios: list[Scenario]) -> None:
    plan, home = stage.plan, stage.home
    rows = [
        {"name": s.name, "act": s.act, "camera_mac": plan.macs[s.name], "camera_ip": home.lan[s.name].ip,
         "camera_ip6": home.lan[s.name].ip6, "outside": [[h.ip, h.ip6] for h in stage.outside.get(s.name, [])],
         "must": s.must, "within_s": s.within_s, "required": s.required, "start_s": s.start_s, "seconds": s.seconds,
         "film": s.film, "uplink_kbit": s.uplink_kbit, "detail": s.detail, **plan.camera_settings[s.name]}
        for s in scenarios
    ]  # fmt: skip
    people = {who: [plan.macs[who], home.lan[who].ip] for who in ("nvr", "phone", "laptop")}
    whole = {"seed": plan.seed, "router_mac": plan.router_mac, "people": people, "films": [repr(f) for f in plan.films],
             "sound_samples": plan.sound_samples, "scenarios": rows}  # fmt: skip
    (stage.folder / "who.json").write_text(json.dumps(whole, indent=1))


def temporary() -> Path:
    """A new folder for a run; the caller removes it (`discard`)."""
    return Path(tempfile.mkdtemp(prefix=f"camguard-lab-{os.getpid()}-"))


def discard(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
