"""Every alert that the corpus of real captures raises, with what was found when somebody read it.

Replayed without a configuration every local host is a camera: a phone in a call "is being watched". What is judged is
whether the alert says what is in the capture. An alert without a row here, or a row without an alert, is a fault.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from tests.lab import corpus


class Explained(NamedTuple):
    """`capture`, `peer`: patterns; `type` exact. `right`: it says what is in the capture."""

    capture: str
    type: str
    peer: str
    right: bool
    why: str


class Told(NamedTuple):
    """One matter: what it came to."""

    capture: str
    type: str
    severity: str
    camera: str
    peer: str
    title: str


ROWS = (
    # ---- guesses and attacks ----
    Explained("brute/ndpi_ssh.pcap", "lan-login", "172.16.238.1", True,
        "SSH: two passwords refused, the third took; a shell for four minutes"),
    Explained("brute/ndpi_telnet.pcap", "lan-login", "192.168.0.2", True, "telnet login 'fake', then a shell"),
    Explained("brute/zeek_ftp_bruteforce.pcap", "brute-force", "192.168.56.1", True, "30 FTP logins answered 530"),
    Explained("brute/zeek_ftp_bruteforce.pcap", "lan-login", "192.168.56.1", True, "its first tries"),
    Explained("brute/zeek_ssh_sshguess.pcap", "brute-force", "192.168.56.1", True,
        "11 SSH connections with up to three passwords each, none got in"),
    Explained("brute/zeek_ssh_sshguess.pcap", "lan-login", "192.168.56.1", True, "its first tries"),
    Explained("brute/ndpi_synscan.pcap", "camera-attacks", "64.13.134.52", True,
        "a SYN scan of 1,000 ports of one address outside, by a host at home"),
    # ---- logins ----
    Explained("iot/sentinel_EdimaxPlug1101W_C-2.pcap", "lan-login", "10.10.10.30", True, "the app logs in to the plug"),
    Explained("iot/sentinel_EdimaxPlug1101W_C-2.pcap", "default-password", "10.10.10.30", True,
        "as admin with 1234, as it leaves the factory"),
    Explained("login/mercury_http_auth.pcap", "lan-login", "192.168.1.100", True,
        "a browser at a router's page: 401, then 200 with Basic"),
    Explained("upnp/suri_output-eve-ftp-data.pcap", "lan-login", "192.168.0.13", True, "FTP login 'anonymous'"),
    Explained("upnp/suri_output-eve-ftp-data.pcap", "default-password", "192.168.0.13", True,
        "anonymous FTP asks for no password"),
    # ---- ways in ----
    Explained("upnp/suri_output-eve-ftp-data.pcap", "exposed-port", "", True,
        "Windows maps a port for Teredo by UPnP three times, granted, and never gives it back"),
    Explained("upnp/ndpi_natpmp.pcap", "exposed-port", "", True,
        "NAT-PMP: a map of 51413 granted for an hour; closed when that was over"),
    Explained("generic/ndpi_wireguard.pcap", "exposed-port", "139.162.192.157", False,
        "captures of two years in one file: the second begins in the middle of a connection, with the server's packet."
        " Where a file or the guard begins, camguard knows that it cannot know who began"),
    # ---- new places ----
    Explained("rtc/ndpi_stun.pcap", "new-destination", "31.13.86.54", True,
        "captures of five years in one file: what comes after the first day is told; no look-up is in it (a TURN relay"
        " of Facebook's)"),
    # ---- viewings: the known ones, and what would be one if it were a camera ----
    Explained("stream/ucl_dlink-cam_*", "remote-stream", "130.104.21*", True, "the known view from outside"),
    Explained("stream/ucl_dlink-cam_*", "lan-stream", "192.168.1.222", True, "the known view at home"),
    Explained("stream/yi_camera_sample.pcap", "lan-stream", "192.168.10.248", True, "the known view at home"),
    Explained("stream/vzvca_rtp_h264.pcap", "remote-stream", "85.17.186.6", True, "H.264 by RTP, without signalling"),
    Explained("stream/ndpi_rtsp.pcap", "lan-stream", "10.1.1.10", True, "RTSP, PLAY granted again and again"),
    Explained("stream/ndpi_rtp.pcapng", "lan-stream", "10.204.220.171", True, "H.263 by RTP"),
    Explained("stream/ndpi_rtp.pcapng", "lan-stream", "148.153.85.97", False,
        "RTP, sound, and outside: captures of four networks in one file, MACs made zero, so nothing says where it is"),
    Explained("generic/ndpi_skype-conference-call.pcap", "remote-stream", "104.46.40.49", True,
        "a computer's conference call"),
    Explained("rtc/ndpi_stun_classic.pcap", "lan-stream", "172.16.63.224", True,
        "a telephone call (G.729): sound, which the words call video"),
    # ---- about the guard itself ----
    Explained("*", "guard-blind", "", True,
        "the capture holds one direction of a host, or for minutes to years no packet of it"),
)  # fmt: skip


def matters(name: str, events: Iterable[dict[str, Any]]) -> list[Told]:
    """The last word of every matter that an owner was told of in a capture."""
    last: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["kind"] == "alert":
            last[event["id"]] = event
    return sorted(
        Told(name, a["type"], a["severity"], str(a["camera"]), str((a["peer"] or {}).get("ip") or ""), a["title"])
        for a in last.values()
    )


def row_of(told: Told) -> Explained | None:
    """Its explanation."""
    return next((row for row in ROWS if _is_of(row, told)), None)


def judge(where: Path) -> Iterator[Told]:
    """Every matter of every capture."""
    for name in sorted(json.loads((where / "truth.json").read_text())["files"]):
        yield from matters(name, corpus.alerts_of(where / name))


def table(where: Path) -> str:
    """All of them in Markdown; those about the guard's own sight are counted only."""
    found = list(judge(where))
    lines = ["| capture | alert | camera, other end | right? | what is there |", "|---|---|---|---|---|"]
    for told in found:
        row = row_of(told)
        if told.type == "guard-blind":
            continue
        ends = f"{told.camera}, {told.peer}" if told.peer else told.camera
        right = "not explained" if row is None else "yes" if row.right else "no"
        lines.append(
            f"| {told.capture} | {told.type} ({told.severity}) | {ends} | {right} | {row.why if row else ''} |"
        )
    blind = Counter(told.capture for told in found if told.type == "guard-blind")
    wrong = sum(1 for told in found if (row := row_of(told)) is None or not row.right)
    return "\n".join([
        *lines,
        "",
        f"{len(found) - sum(blind.values())} alerts, {wrong} of them wrong or not explained; beside them"
        f" {sum(blind.values())} of guard-blind in {len(blind)} captures: {ROWS[-1].why}.",
    ])  # fmt: skip


def _is_of(row: Explained, told: Told) -> bool:
    return row.type == told.type and fnmatchcase(told.capture, row.capture) and fnmatchcase(told.peer, row.peer)
