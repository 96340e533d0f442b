"""Real servers behind a camera's doors: OpenSSH, telnetd of inetutils and of BusyBox, vsftpd, ONVIF, RTSP.

hydra, OpenSSH, telnet, curl, onvif-zeep and GStreamer log in with right and wrong passwords and keys, from the LAN and
from outside. Each attempt is counted and each outcome is right, by what the server itself noted. The servers have users
of their own: in a mount namespace, /etc/passwd and its like are other files.
"""

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from camguard.capture import pcap
from camguard.decode import decode
from camguard.events import TCP
from camguard.neighbours import ip_text
from tests.lab.doors import PASSWORD, USER, WRONG, Doors, a_home_with_doors
from tests.lab.home import LabError, wait_for
from tests.lab.media import Film, encode
from tests.lab.play import HERE, PYTHON

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
_numbers = itertools.count()
#: The server's users are these; nothing of the machine's own is seen or changed.
SERVERS = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/sshd /run/empty
touch /run/utmp
for name in passwd group shadow pam.d; do mount --bind {etc}/$name /etc/$name; done
touch {etc}/btmp {etc}/wtmp {etc}/lastlog
mount -t tmpfs tmpfs /var/log
for name in btmp wtmp lastlog; do touch /var/log/$name; mount --bind {etc}/$name /var/log/$name; done
/usr/sbin/sshd -D -e -f {etc}/sshd.conf 2>{folder}/sshd.log &
/usr/sbin/sshd -D -e -f {etc}/sshd-pam.conf 2>{folder}/sshd-pam.log &
unshare -m sh -c "umount /var/log/btmp /var/log/wtmp; exec busybox telnetd -F -p 2323 -l {etc}/login" &
socat TCP-LISTEN:23,reuseaddr,fork EXEC:/usr/sbin/telnetd,nofork &
/usr/sbin/vsftpd {etc}/vsftpd.conf &
wait
"""
SSHD = """
Port {port}
HostKey {etc}/host_key
LogLevel VERBOSE
PidFile none
UsePAM {pam}
PasswordAuthentication yes
KbdInteractiveAuthentication {pam}
AuthorizedKeysFile {etc}/authorized
StrictModes no
PrintMotd no
Subsystem sftp internal-sftp
"""
VSFTPD = """
listen=YES
background=NO
local_enable=YES
anonymous_enable=NO
pam_service_name=vsftpd
secure_chroot_dir=/run/empty
seccomp_sandbox=NO
isolate_network=NO
vsftpd_log_file={folder}/vsftpd.log
xferlog_enable=YES
xferlog_std_format=NO
log_ftp_protocol=NO
"""
PAM = "auth required pam_unix.so\naccount required pam_unix.so\nsession optional pam_lastlog.so\n"
CIPHERS = (
    (),
    ("-c", "aes128-gcm@openssh.com"),
    ("-c", "aes256-ctr", "-m", "hmac-sha2-256-etm@openssh.com"),
    ("-c", "aes128-ctr", "-m", "hmac-sha1"),
)


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    forwards = {port: port for port in (21, 22, 23, 2222, 2323, 554, 8080)}
    programs = ("sshd", "telnetd", "vsftpd", "busybox", "telnet", "gst-launch-1.0", "tcpdump")
    with a_home_with_doors("doors", forwards, *programs) as made:
        home, folder = made.home, made.home.folder
        users(folder)
        script = folder / "servers.sh"
        script.write_text(SERVERS.format(folder=folder, etc=folder / "etc"))
        home.start(made.camera.ns, ["unshare", "-m", "sh", str(script)], "servers")
        onvif, rtsp = folder / "onvif.jsonl", folder / "rtsp.jsonl"
        home.start(made.camera.ns, [PYTHON, str(HERE / "onvif_camera.py"), "8080", USER, PASSWORD, str(onvif)], "onvif")
        film = encode(Film("small", 200, 10, 2), folder)
        rtsp_argv = [PYTHON, str(HERE / "rtsp_camera.py"), "554", str(film), USER, PASSWORD, "1400", str(rtsp)]
        home.start(made.camera.ns, [*rtsp_argv, "video,audio", "/"], "rtsp")
        dump = ["tcpdump", "-U", "-i", "eth0", "-w", str(folder / "door.pcap"), "tcp port 554 or tcp port 2323"]
        home.start(made.camera.ns, dump, "tcpdump")
        for log in (onvif, rtsp):
            wait_for(log, "ready", 60)
        wait_for(folder / "tcpdump.log", "listening on", 60)
        for port in (21, 22, 23, 2222, 2323):
            is_open(made, port)
        made.look()
        with ThreadPoolExecutor(4) as pool:
            done = [
                pool.submit(knock, made)
                for knock in (over_ssh, guess_ssh, over_ftp, over_telnet, over_web, guess_telnet)
            ]
            for one in done:
                one.result()
        settled(made)
        yield made


def users(folder: Path) -> None:
    """The camera's accounts, keys and settings."""
    etc = folder / "etc"
    (etc / "pam.d").mkdir(parents=True)
    (folder / "home").mkdir()
    os.chown(folder / "home", 4242, 4242)
    made = subprocess.run(["openssl", "passwd", "-6", PASSWORD], check=True, timeout=60, capture_output=True, text=True)
    hashed = made.stdout.strip()
    (etc / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nsshd:x:101:65534::/run/sshd:/usr/sbin/nologin\nnobody:x:65534:65534::/:/bin/false\n"
        f"ftp:x:4243:4243::{folder}/home:/bin/sh\n{USER}:x:4242:4242::{folder}/home:/bin/sh\n"
    )
    (etc / "group").write_text(f"root:x:0:\ntty:x:5:\nutmp:x:43:\nnogroup:x:65534:\n{USER}:x:4242:\n")
    (etc / "shadow").write_text(f"root:*:19000:0:99999:7:::\n{USER}:{hashed}:19000:0:99999:7:::\n")
    for name in ("login", "sshd", "vsftpd", "other"):
        (etc / "pam.d" / name).write_text(PAM)
    for name in ("host_key", "right_key", "wrong_key"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(etc / name)]
        subprocess.run(argv, check=True, timeout=60)
    (etc / "authorized").write_text((etc / "right_key.pub").read_text())
    for name, port, pam in (("sshd", 22, "no"), ("sshd-pam", 2222, "yes")):
        (etc / f"{name}.conf").write_text(SSHD.format(port=port, pam=pam, etc=etc))
    (etc / "vsftpd.conf").write_text(VSFTPD.format(folder=folder))
    (etc / "login").write_text("#!/bin/sh\nexec busybox login\n")
    (etc / "login").chmod(0o755)


def is_open(doors: Doors, port: int) -> None:
    """Wait until the camera's server listens; nothing is sent."""
    until = time.monotonic() + 60
    while f":{port} " not in doors.run(doors.camera.ns, "ss", "-Hltn", f"sport = :{port}"):
        if time.monotonic() > until:
            raise LabError(f"nothing listens on {port}")
        time.sleep(0.2)


def settled(doors: Doors) -> None:
    """Wait until the guard tells no more: an answer is due in 10 s, and vsftpd takes its time to refuse."""
    until, before = time.monotonic() + 120, -1
    while (now := len(doors.events("login"))) != before and time.monotonic() < until:
        before = now
        time.sleep(13)


def ssh(doors: Doors, passwords: list[str], *options: str, port: int = 22, key: str | None = None) -> None:
    """One connection of OpenSSH from the laptop that is asked for a password as often as there are passwords."""
    folder = doors.home.folder
    number = next(_numbers)
    words, asks = folder / f"answers-{number}", folder / f"ask-{number}"
    words.write_text("".join(f"{word}\n" for word in passwords))
    asks.write_text(f"#!/bin/sh\nhead -n 1 {words}\nsed -i 1d {words}\n")
    asks.chmod(0o755)
    settings = {
        "StrictHostKeyChecking": "no", "UserKnownHostsFile": "/dev/null", "ConnectTimeout": "30",
        "PubkeyAuthentication": "yes" if key else "no", "IdentitiesOnly": "yes",
        "NumberOfPasswordPrompts": str(max(1, len(passwords))), "PasswordAuthentication": "yes" if passwords else "no",
    }  # fmt: skip
    argv = ["ssh", "-p", str(port), *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]
    argv += ["-F", "none", *(("-i", str(folder / "etc" / key)) if key else ()), *options]
    more = {"SSH_ASKPASS": str(asks), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"}
    doors.run(doors.laptop.ns, "setsid", "-w", *argv, f"{USER}@{doors.camera.ip}", "echo in", more=more)


def telnet(doors: Doors, port: int, *passwords: str) -> None:
    """telnet from the laptop: a name and a password, as often as there are some; a command if the last is right."""
    typed = "".join(f"sleep 2; echo {USER}; sleep 2; echo {word}; sleep 5; " for word in passwords)
    then = "echo 'echo $((41+1))'; sleep 1; echo exit; sleep 1" if passwords[-1] == PASSWORD else "sleep 1"
    doors.run(doors.laptop.ns, "sh", "-c", f"({typed} {then}) | telnet {doors.camera.ip} {port}")


# ---- what is done at each door ---------------------------------------------------------------------------------------


def over_ssh(doors: Doors) -> None:
    for options in CIPHERS:
        ssh(doors, [WRONG[0], WRONG[1], PASSWORD], *options)
        ssh(doors, [WRONG[2]], *options)
        ssh(doors, [PASSWORD], *options)
        ssh(doors, [], *options, key="right_key")
        ssh(doors, [], *options, key="wrong_key")
    ssh(doors, [PASSWORD], key="wrong_key")  # the refused key is no failure: the password was right
    for way in ("keyboard-interactive", "password"):
        for words in ([WRONG[0], PASSWORD], [WRONG[1]], [PASSWORD]):
            ssh(doors, words, "-o", f"PreferredAuthentications={way}", port=2222)


def guess_ssh(doors: Doors) -> None:
    doors.hydra(7, f"ssh://{doors.outside}")
    doors.hydra(9, f"ssh://{doors.outside}", tasks=4)


def over_ftp(doors: Doors) -> None:
    curl = ("curl", "-s", "-m", "60", "-o", "/dev/null")
    for password in (WRONG[0], PASSWORD):
        doors.run(doors.laptop.ns, *curl, "-u", f"{USER}:{password}", f"ftp://{doors.camera.ip}/")
    doors.run(doors.laptop.ns, *curl, f"ftp://{doors.camera.ip}/")  # anonymous
    doors.hydra(7, f"ftp://{doors.outside}")
    doors.hydra(6, f"ftp://{doors.outside}", tasks=4)


def over_telnet(doors: Doors) -> None:
    for port in (23, 2323):
        telnet(doors, port, WRONG[0], PASSWORD)
        telnet(doors, port, WRONG[1], WRONG[2])
        telnet(doors, port, PASSWORD)


def guess_telnet(doors: Doors) -> None:
    """At BusyBox: inetutils waits for answers to options that hydra does not give."""
    for tasks, right_at in ((1, 5), (4, 6)):
        doors.hydra(right_at, "-s", "2323", f"telnet://{doors.outside}", tasks=tasks)


def over_web(doors: Doors) -> None:
    client = str(HERE / "onvif_client.py")
    for password in (WRONG[0], WRONG[1], PASSWORD):
        doors.run(doors.laptop.ns, sys.executable, client, doors.camera.ip, "8080", USER, password)
    for password in (WRONG[0], PASSWORD):
        source = ("rtspsrc", f"location=rtsp://{doors.camera.ip}/", f"user-id={USER}", f"user-pw={password}")
        doors.run(doors.laptop.ns, "timeout", "10", "gst-launch-1.0", "-q", *source, "protocols=tcp", "!", "fakesink")


# ---- what the servers noted, and what was told of it -----------------------------------------------------------------


def told(doors: Doors, service: str, ip: str) -> dict[str, int]:
    """Outcomes of the logins from this address."""
    rows = [one for one in doors.events("login") if one["service"] == service and one["peer"]["ip"] == ip]
    return dict(Counter(one["outcome"] for one in rows))


def noted(doors: Doors, log: str, ip: str) -> Counter[str]:
    """What sshd noted of this address: "Failed password", "Accepted publickey", ..."""
    found = re.findall(rf"((?:Failed|Accepted) [a-z-]+)\S* for \S+ from {ip} ", (doors.home.folder / log).read_text())
    return Counter(found)


def records(path: Path) -> int:
    """Entries of terminals (pts) in a log of utmp's form (utmp(5): 384 bytes, the line at 8) that are logins: the
    user's own ones in wtmp (type 7), all in btmp."""
    data = path.read_bytes()
    rows = [data[at : at + 384] for at in range(0, len(data), 384)]
    return sum(row[8:11] == b"pts" and (path.name == "btmp" or row[0] == 7) for row in rows)


def wire(doors: Doors, port: int, ip: str) -> tuple[bytes, bytes]:
    """All that the camera's `port` said to this address, and what it was told, as tcpdump has it."""
    said, heard = bytearray(), bytearray()
    for frame in pcap.frames(doors.home.folder / "door.pcap"):
        packet = decode(frame)
        if packet.proto == TCP and ip_text(packet.dst) == ip and packet.sport == port:
            said += packet.payload
        elif packet.proto == TCP and ip_text(packet.src) == ip and packet.dport == port:
            heard += packet.payload
    return bytes(said), bytes(heard)


def agree(truth: dict[str, int], got: dict[str, int]) -> None:
    """hydra goes away when it has the password; what others of its tasks had asked by then nobody answers any more."""
    unanswered = got.get("unknown", 0)
    assert got.get("success", 0) == truth["success"]
    assert truth["failure"] - unanswered <= got["failure"] <= truth["failure"]
    assert unanswered <= 3


def show(door: str, truth: dict[str, int], got: dict[str, int]) -> None:
    """A row of docs/accuracy.md."""
    wrong, right = truth["failure"], truth["success"]
    print(f"| {door} | {wrong} | {got.get('failure', 0)} | {right} | {got.get('success', 0)} |")


def test_ssh_with_passwords_and_keys(doors: Doors) -> None:
    plain, pam = (noted(doors, log, doors.laptop.ip) for log in ("sshd.log", "sshd-pam.log"))
    assert (plain["Failed password"], plain["Accepted password"], plain["Accepted publickey"]) == (12, 9, 4)
    assert (pam["Accepted keyboard-interactive"], pam["Accepted password"]) == (2, 2)
    both = plain + pam
    wrong = [count for name, count in both.items() if name.startswith("Failed") and "publickey" not in name]
    truth = {  # of the refused keys only those after which nothing else was tried
        "failure": sum(wrong) + len(CIPHERS),
        "success": sum(count for name, count in both.items() if name.startswith("Accepted")),
    }
    got = told(doors, "ssh", doors.laptop.ip)
    show("SSH, password, key and dialogue (OpenSSH)", truth, got)
    assert got == truth
    keys = Counter(one["outcome"] for one in doors.events("login") if one["scheme"] == "key")
    assert keys["success"] == 4
    assert {one["outcome_source"] for one in doors.events("login") if one["service"] == "ssh"} == {"inferred"}


def test_ssh_guessed_with_hydra(doors: Doors) -> None:
    seen, got = noted(doors, "sshd.log", doors.stranger.ip), told(doors, "ssh", doors.stranger.ip)
    truth = {"failure": seen["Failed password"], "success": seen["Accepted password"]}
    show("SSH (hydra, 1 and 4 tasks)", truth, got)
    assert truth["failure"] >= 6 + 8
    agree(truth, got)


def test_ftp(doors: Doors) -> None:
    text = (doors.home.folder / "vsftpd.log").read_text()
    for who, ip in (("curl", doors.laptop.ip), ("hydra, 1 and 4 tasks", doors.stranger.ip)):
        said = re.findall(rf"(FAIL|OK) LOGIN: Client \"(?:::ffff:)?{ip}\"", text)
        truth, got = {"failure": said.count("FAIL"), "success": said.count("OK")}, told(doors, "ftp", ip)
        show(f"FTP ({who})", truth, got)
        assert truth["success"] >= 1
        agree(truth, got)
    defaults = {one["user"]: one["default_password"] for one in doors.events("login") if one["service"] == "ftp"}
    assert defaults == {USER: False, "anonymous": True}


def test_telnet(doors: Doors) -> None:
    """Of inetutils with login(1): what it refused is in btmp, whom it let in in wtmp."""
    etc, got = doors.home.folder / "etc", told(doors, "telnet", doors.laptop.ip)
    inetutils = {"failure": records(etc / "btmp"), "success": records(etc / "wtmp")}
    assert inetutils == {"failure": 3, "success": 2}
    truth = {key: count + busybox(doors, doors.laptop.ip)[key] for key, count in inetutils.items()}
    show("telnet (inetutils, BusyBox)", truth, got)
    assert got == truth == {"failure": 6, "success": 4}


def busybox(doors: Doors, ip: str) -> dict[str, int]:
    """BusyBox' login keeps no record; its words on the wire do. (hydra is often wrong about telnet, and says so.)"""
    said = wire(doors, 2323, ip)[0]
    return {"failure": said.count(b"Login incorrect"), "success": said.count(b"individual files in /usr/share/doc")}


def test_telnet_guessed_with_hydra(doors: Doors) -> None:
    truth, got = busybox(doors, doors.stranger.ip), told(doors, "telnet", doors.stranger.ip)
    show("telnet (hydra, 1 and 4 tasks)", truth, got)
    assert truth["failure"] >= 3 + 1
    assert truth["success"] >= 1
    assert (got["failure"], got["success"]) == (truth["failure"], truth["success"])
    assert got.get("unknown", 0) <= 4


def test_onvif(doors: Doors) -> None:
    rows = [json.loads(line) for line in (doors.home.folder / "onvif.jsonl").read_text().splitlines()[1:]]
    asked = [row for row in rows if row["token"] and row["operation"] not in ("GetCapabilities", "GetServices")]
    wrong, right = sum(not row["right"] for row in asked), sum(row["right"] for row in asked)
    got = told(doors, "onvif", doors.laptop.ip)
    show("ONVIF UsernameToken (onvif-zeep)", {"failure": wrong, "success": 1}, got)
    assert wrong >= 2
    assert right >= 2
    assert got == {"failure": wrong, "success": 1}, "a token with every request is one login"


def test_rtsp_of_gstreamer(doors: Doors) -> None:
    """GStreamer asks again and again with the same wrong password: each is an attempt, as the wire has it."""
    said, heard = wire(doors, 554, doors.laptop.ip)
    questions = heard.count(b"DESCRIBE ") - len(re.findall(rb"DESCRIBE (?:[^\r]+\r\n)*?Authorization", heard))
    refused = said.count(b"RTSP/1.0 401 ") - questions
    got = told(doors, "rtsp", doors.laptop.ip)
    show("RTSP Digest (GStreamer)", {"failure": refused, "success": 1}, got)
    assert questions == 2
    assert refused >= 1
    assert got == {"failure": refused, "success": 1}


def test_guesses_that_worked_are_critical(doors: Doors) -> None:
    guessed = [one for one in doors.events("alert") if one["type"] == "brute-force" and one["severity"] == "critical"]
    assert {one["peer"]["ip"] for one in guessed if one["peer"]["scope"] == "wan"} == {doors.stranger.ip}


def test_no_password_is_anywhere_in_what_camguard_wrote(doors: Doors) -> None:
    assert doors.events("login")
    assert doors.told_secrets() == []
