"""Telnet, FTP and SSH in the captures of the corpus: our readers against what tshark read and what their labels say."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from camguard.protocols import NOT_MINE, STREAM_READERS, Reading
from tests.protocols.captures import Ends, dialogues, truth

pytestmark = pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")
DOORS = ("telnet", "ftp", "ssh")


def read(name: str) -> dict[Ends, list[Reading]]:
    """What the three readers say of each connection of a capture."""
    states: dict[Any, Any] = {}
    found: dict[Ends, list[Reading]] = defaultdict(list)
    for said in dialogues(name):
        for door in DOORS:
            key = (said.ends, door)
            if states.get(key) is not NOT_MINE:
                states[key], readings = STREAM_READERS[door](states.get(key), said.chunk)
                found[said.ends] += readings
    return found


@pytest.fixture(scope="module")
def ours() -> dict[str, dict[Ends, list[Reading]]]:
    return {name: read(name) for name in truth()}


def outcomes(readings: list[Reading], service: str) -> Counter[str]:
    """The last word on each attempt; of what is still open, what it was if the connection ended there."""
    last: dict[object, str] = {}
    for one in readings:
        if one.what == "login" and one.detail["service"] == service:
            last[one.detail["serial"]] = str(one.detail["outcome"] or one.detail["unanswered"])
    return Counter(last.values())


def total(found: dict[Ends, list[Reading]], service: str) -> Counter[str]:
    return sum((outcomes(readings, service) for readings in found.values()), Counter())


def test_every_ftp_login(ours: dict[str, dict[Ends, list[Reading]]]) -> None:
    """A PASS is an attempt, 230 in, 530 refused."""
    logins = 0
    for name, theirs in truth().items():
        servers = (theirs.get("ftp_logins") or {}).values()
        expected = Counter(
            {word: sum(row.get(code, 0) for row in servers) for word, code in (("success", "230"), ("failure", "530"))}
        )
        assert total(ours[name], "ftp") == +expected, name
        logins += expected.total()
    assert logins == 32


def test_every_ssh_connection_and_its_software(ours: dict[str, dict[Ends, list[Reading]]]) -> None:
    """tshark knows port 22 only; one more is elsewhere."""
    connections, elsewhere = 0, []
    for name, theirs in truth().items():
        rows = theirs.get("ssh_sessions") or []
        said = [(ends, r.detail) for ends, readings in ours[name].items() for r in readings if r.what == "ssh"]
        told = [detail for ends, detail in said if 22 in (ends[1], ends[3])]
        elsewhere += [detail["server"] for _, detail in said if detail not in told]
        expected = Counter(frozenset(banner[8:48] for banner in row["banners"].values()) for row in rows)
        assert Counter(frozenset((str(one["client"]), str(one["server"]))) for one in told) == expected, name
        connections += len(told)
    assert connections > 500
    assert elsewhere == ["APACHE-SSHD-2.5.0"]


def test_every_telnet_session(ours: dict[str, dict[Ends, list[Reading]]]) -> None:
    """The only one that logs in: user "fake", and a shell."""
    told = {name: total(found, "telnet") for name, found in ours.items()}
    assert {name: dict(found) for name, found in told.items() if found} == {"brute/ndpi_telnet.pcap": {"success": 1}}


#: name -> attempts by connection: (failures, connections). hydra's first one only asks for the methods; the sixth wrong
#: password of a connection is answered with "too many".
GUESSED = {
    "brute/traceshare_hydra-1_tasks.pcap": {6: 60, 0: 1},
    "brute/traceshare_hydra-4_tasks.pcap": {6: 239, 4: 1, 1: 2, 0: 1},
    "brute/traceshare_ncrack-polite.pcap": {5: 201, 3: 1, 1: 1},
    "brute/zeek_ssh_sshguess.pcap": {1: 7, 2: 2, 3: 2},
}


@pytest.mark.parametrize("name", GUESSED)
def test_every_guess_is_counted_and_none_worked(ours: dict[str, dict[Ends, list[Reading]]], name: str) -> None:
    """Dictionary attacks, as their labels say; no session follows any of them on the wire."""
    found = ours[name].values()
    assert total(ours[name], "ssh").keys() == {"failure"}
    assert Counter(outcomes(readings, "ssh")["failure"] for readings in found) == GUESSED[name]
    print(f"{name}: {total(ours[name], 'ssh')['failure']} guesses told as wrong")


def test_an_ssh_login_that_worked(ours: dict[str, dict[Ends, list[Reading]]]) -> None:
    """OpenSSH 5: two wrong passwords, then a session. A server that pads in its own way: nobody knows."""
    found = [outcomes(readings, "ssh") for readings in ours["brute/ndpi_ssh.pcap"].values() if readings]
    assert sorted(map(dict, found), key=len) == [{"None": 1}, {"failure": 2, "success": 1}]
