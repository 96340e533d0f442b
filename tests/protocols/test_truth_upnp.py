"""UPnP's port mappings of the corpus against the SOAP actions that tshark saw. Others are no business of ours."""

from collections import Counter
from typing import Any

import pytest

from camguard.protocols import NOT_MINE, upnp
from tests.protocols.captures import dialogues, truth

pytestmark = pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")


def readings_of(name: str) -> list[tuple[str, Any]]:
    """(client, reading) of all connections."""
    states: dict[Any, Any] = {}
    found = []
    for said in dialogues(name):
        state = states.get(said.ends)
        if state is not NOT_MINE:
            states[said.ends], readings = upnp.read(state, said.chunk)
            found += [(".".join(map(str, said.ends[0])), reading) for reading in readings]
    return found


@pytest.mark.parametrize("name", [name for name, known in truth().items() if known.get("soap_actions")])
def test_every_mapping_that_tshark_saw(name: str) -> None:
    wanted = Counter(
        {
            (one["client"], one["action"].rpartition("#")[2]): one["count"]
            for one in truth()[name]["soap_actions"]
            if one["action"].rpartition("#")[2] in upnp.ACTIONS
        }
    )
    words = {"add": "AddPortMapping", "delete": "DeletePortMapping"}
    found = readings_of(name)
    assert Counter((ip, words[one.detail["op"]]) for ip, one in found if one.detail["granted"] is None) == wanted
    assert not [one for _, one in found if one.what == "odd"]


def test_the_three_of_teredo() -> None:
    """Windows 7 at a Cisco router: asked for three times, granted three times."""
    found = [one.detail for _, one in readings_of("upnp/suri_output-eve-ftp-data.pcap")]
    assert [one["granted"] for one in found] == [None, True] * 3
    ports = {(one["external_port"], one["internal_port"], one["transport"], one["internal_ip"]) for one in found}
    assert all(external == internal for external, internal, _, _ in ports)
    assert {one[2:] for one in ports} == {("udp", "192.168.0.13")}
    assert {(one["description"], one["lease_s"]) for one in found} == {("Teredo", 0)}
