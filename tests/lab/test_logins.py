"""Real programs at a camera's doors: curl, ffmpeg and hydra with the right password at a known place.

Every attempt is counted and each outcome is right, by what the HTTP camera itself noted and by what was asked of the
RTSP camera; a guess that worked is one critical alert; the right password is nowhere in what camguard wrote.
"""

import base64
import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.lab.doors import PASSWORD, USER, WRONG, Doors, a_home_with_doors
from tests.lab.home import wait_for
from tests.lab.media import Film, encode
from tests.lab.play import HERE, PYTHON

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    with a_home_with_doors("logins", {80: 80, 554: 554}) as made:
        folder, camera, home = made.home.folder, made.home.lan["door"], made.home
        film = encode(Film("small", 200, 10, 2), folder)
        web, rtsp = folder / "web.jsonl", folder / "rtsp.jsonl"
        home.start(camera.ns, [PYTHON, str(HERE / "http_camera.py"), "80", USER, PASSWORD, str(web)], "web")
        rtsp_argv = [PYTHON, str(HERE / "rtsp_camera.py"), "554", str(film), USER, PASSWORD, "1400", str(rtsp)]
        home.start(camera.ns, [*rtsp_argv, "video,audio", "/"], "rtsp")
        for log in (web, rtsp):
            wait_for(log, "ready", 20)
        made.look()
        knock(made)
        yield made


def onvif(password: str) -> str:
    nonce, created = b"lab-nonce", "2026-11-24T22:00:00Z"
    digest = base64.b64encode(hashlib.sha1(nonce + created.encode() + password.encode()).digest()).decode()
    return (
        "<s:Envelope><s:Header><wsse:UsernameToken>"
        f'<wsse:Username>{USER}</wsse:Username><wsse:Password Type="x#PasswordDigest">{digest}</wsse:Password>'
        f"<wsse:Nonce>{base64.b64encode(nonce).decode()}</wsse:Nonce><wsu:Created>{created}</wsu:Created>"
        "</wsse:UsernameToken></s:Header><s:Body><trt:GetProfiles/></s:Body></s:Envelope>"
    )


def knock(doors: Doors) -> None:
    """All that is done in this lab, door by door."""
    laptop, camera = doors.home.lan["laptop"], doors.home.lan["door"]
    curl = ("curl", "-s", "-m", "10", "-o", "/dev/null")
    for way in ("basic", "digest"):
        for password in (WRONG[0], PASSWORD):
            doors.run(laptop.ns, *curl, f"--{way}", "-u", f"{USER}:{password}", f"http://{camera.ip}/{way}")
    for password in (WRONG[0], PASSWORD):
        kind = "Content-Type: application/soap+xml"
        url = f"http://{camera.ip}/onvif/device_service"
        doors.run(laptop.ns, *curl, "-H", kind, "--data-binary", onvif(password), url)
    doors.hydra(7, f"http-get://{doors.outside}/basic")
    doors.hydra(5, f"http-get://{doors.outside}/digest", tasks=4)
    form = "http-post-form", "/login:username=^USER^&password=^PASS^:F=false"
    doors.hydra(6, doors.outside, *form, tasks=4)
    for password in (WRONG[0], PASSWORD):
        url = f"rtsp://{USER}:{password}@{camera.ip}/"
        argv = ("ffmpeg", "-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i", url, "-t", "1", "-f", "null", "-")
        doors.run(laptop.ns, *argv)
    doors.hydra(5, f"rtsp://{doors.outside}")
    time.sleep(14)


def told(doors: Doors) -> Counter[tuple[str, str]]:
    return Counter((f"{one['service']} {one['scheme']}", one["outcome"]) for one in doors.events("login"))


def test_every_attempt_at_the_web_page_is_counted_and_each_outcome_is_right(doors: Doors) -> None:
    rows = [json.loads(line) for line in (doors.home.folder / "web.jsonl").read_text().splitlines()]
    names = {"basic": "http basic", "digest": "http digest", "form": "http form", "onvif": "onvif wsse"}
    noted = Counter(
        (names[row["door"]], "success" if row["right"] else "failure") for row in rows if row["what"] == "login"
    )
    got = Counter({key: count for key, count in told(doors).items() if not key[0].startswith("rtsp")})
    print(f"logins at the web page, as the camera noted them: {sorted(noted.items())}")
    assert {key: count for key, count in got.items() if key[1] == "failure"} == {
        key: count for key, count in noted.items() if key[1] == "failure"
    }
    # a client that was believed shows its credentials with every request: that is one login
    assert {key for key in got if key[1] != "failure"} == {key for key in noted if key[1] == "success"}
    assert sum(count for key, count in noted.items() if key[1] == "failure") > 15
    assert {one["user"] for one in doors.events("login")} == {USER}


def test_every_attempt_over_rtsp(doors: Doors) -> None:
    """ffmpeg: one wrong, one right; hydra: four wrong, one right."""
    got = {key[1]: count for key, count in told(doors).items() if key[0].startswith("rtsp")}
    assert got == {"failure": 5, "success": 2}


def test_a_guess_that_worked_is_one_critical_alert(doors: Doors) -> None:
    critical = [one for one in doors.events("alert") if one["type"] == "brute-force" and one["severity"] == "critical"]
    assert len({one["id"] for one in critical}) == 1
    assert [one["state"] for one in critical].count("open") == 1
    assert critical[0]["title"] == "Password guessed: somebody is in door"


def test_a_flood_of_guesses_with_64_tasks_is_counted(doors: Doors) -> None:
    """What is not kept one by one is in the alert's count; the guess that worked is told."""
    before = len(doors.events("login"))
    rows = len((doors.home.folder / "web.jsonl").read_text().splitlines())
    words = doors.home.folder / "many"
    words.write_text("\n".join([*(f"flood-Canary-{number}" for number in range(700)), PASSWORD]) + "\n")
    options = ("-I", "-f", "-t", "64", "-w", "5", "-l", USER, "-P", str(words))
    doors.run(doors.stranger.ns, "hydra", *options, f"http-get://{doors.outside}/basic", wait_s=120)
    time.sleep(14)
    noted = [json.loads(line) for line in (doors.home.folder / "web.jsonl").read_text().splitlines()[rows:]]
    wrong = sum(not row["right"] for row in noted)
    listed = Counter(one["outcome"] for one in doors.events("login")[before:])
    guesses = [one for one in doors.events("alert") if one["type"] == "brute-force"][-1]
    took_s = noted[-1]["time"] - noted[0]["time"]
    print(
        f"hydra, 64 tasks: {wrong} wrong guesses in {took_s:.1f} s; listed {dict(listed)}; alert {guesses['title']!r}"
    )
    assert wrong >= 600
    assert listed["failure"] <= 240
    assert guesses["severity"] == "critical"
    assert listed["success"] + listed["unknown"] >= 1


def test_no_password_is_anywhere_in_what_camguard_wrote(doors: Doors) -> None:
    assert doors.told_secrets() == []
