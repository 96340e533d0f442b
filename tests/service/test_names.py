"""Which address is which name is known again after a restart: a rule by name holds for who was looked up before."""

import time
from pathlib import Path

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from camguard.store import Reader
from tests.make_samples import CAMERA, GATEWAY, OUTSIDER, write
from tests.service.test_loop import SAMPLES, Guard

RULE = '\n[[expect]]\ncamera = "*"\npeer = "*.example.com"\n'


def dns_answer(folder: Path, name: str) -> Path:
    """A capture in which the camera is told that the outsider's address is `name`."""
    made = folder / "dns.pcap"
    asked = DNSQR(qname=name)
    question = bytes(
        Ether(src=CAMERA[0], dst=GATEWAY[0])
        / IP(src=CAMERA[1], dst=GATEWAY[1])
        / UDP(sport=40000, dport=53)
        / DNS(id=7, rd=1, qd=asked)
    )
    answer = bytes(
        Ether(src=GATEWAY[0], dst=CAMERA[0])
        / IP(src=GATEWAY[1], dst=CAMERA[1])
        / UDP(sport=53, dport=40000)
        / DNS(id=7, qr=1, qd=asked, an=DNSRR(rrname=name, type="A", ttl=60, rdata=OUTSIDER[1]))
    )
    write(made, [(0.0, question, len(question)), (0.5, answer, len(answer))])
    return made


@pytest.mark.parametrize(("name", "verdict"), [("up.example.com", "expected"), ("up.example.net", "unexpected")])
def test_a_name_learned_before_the_restart_still_holds(tmp_path: Path, name: str, verdict: str) -> None:
    (tmp_path / "camguard.toml").write_text((SAMPLES / "home.toml").read_text() + RULE)
    before = Guard(tmp_path, str(dns_answer(tmp_path, name)))
    try:
        before.line("looking")
        until = time.monotonic() + 60
        while before.now()["cameras"][0]["packets_down"] < 1 and time.monotonic() < until:
            time.sleep(0.1)
        assert before.stop() == 0
    finally:
        before.close()
    assert Reader(before.database).names() == [("Sample camera", OUTSIDER[1], name)]
    again = Guard(tmp_path)
    try:
        again.line(f"live video with {name} (certain, {verdict})")
        if verdict == "unexpected":
            again.until(lambda now: now.get("alerts"))
        else:
            time.sleep(1.5)
            assert again.now()["alerts"] == []
        assert again.stop() == 0
    finally:
        again.close()


def test_what_was_learned_of_ways_in_and_places_is_known_after_a_restart(tmp_path: Path) -> None:
    """The outsider of the sample comes in on the camera's RTSP port: open before and after, and told once."""
    (tmp_path / "camguard.toml").write_text((SAMPLES / "home.toml").read_text())
    first = Guard(tmp_path)
    try:
        first.line("can be reached from the internet")
        assert first.stop() == 0
    finally:
        first.close()
    reader = Reader(first.database)
    (exposure,) = reader.open_exposures()
    assert (exposure["what"], exposure["internal_port"], exposure["state"]) == ("inbound-port", 554, "open")
    assert ("Sample camera", "tcp", 554) in [one[:3] for one in reader.services()]
    again = Guard(tmp_path)
    try:
        again.line("live video with")
        assert again.stop() == 0
    finally:
        again.close()
    ways_in = [one for one in Reader(first.database).alerts() if one["type"] == "exposed-port"]
    assert [one["state"] for one in ways_in] == ["open"]
    assert [one["id"] for one in Reader(first.database).open_exposures()] == [exposure["id"]]
