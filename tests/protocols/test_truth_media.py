"""RTMP and HLS in the corpus: what our readers say against what tshark said. What differs is explained here."""

from collections import Counter
from typing import Any

import pytest

from camguard.protocols import NOT_MINE, amf, http, rtmp, rtmp_framing
from tests.protocols.captures import dialogues, truth

pytestmark = pytest.mark.skipif(not truth(), reason="the corpus of captures is not here (CAMGUARD_CORPUS)")

#: Calls that tshark pairs inside of a mobile network's tunnel (GTP over UDP), which we do not open: the answer's frame.
IN_A_TUNNEL = {"stream/ndpi_rtmp.pcap": {"38", "43"}}


def readings(name: str, read: Any) -> list[Any]:
    states: dict[Any, Any] = {}
    out = []
    for said in dialogues(name):
        if states.get(said.ends) is not NOT_MINE:
            states[said.ends], news = read(states.get(said.ends), said.chunk)
            out += news
    return out


def answers(state: Any, chunk: Any) -> tuple[Any, list[Any]]:
    """What rtmp_framing makes of one connection: the transaction of each _result."""
    halves = state or {True: rtmp_framing.Half(), False: rtmp_framing.Half()}
    half, found = halves[chunk.up], []
    half = half._replace(tail=half.tail + chunk.data)
    while half.tail:
        before = half
        half, pieces = rtmp_framing.step(half)
        found += [amf.values(piece.data) for piece in pieces if isinstance(piece, rtmp_framing.Command)]
        if not pieces and half == before:
            break
    return {**halves, chunk.up: half}, [said[1] for said in found if said[:1] == ["_result"]]


def test_every_rtmp_call_that_was_answered() -> None:
    seen = tunnelled = 0
    for name, theirs in truth().items():
        calls = theirs.get("rtmp_calls") or {}
        expected = set(calls) - IN_A_TUNNEL.get(name, set())
        spoken = bool(calls) or any(r.what == "rtmp" for r in readings(name, rtmp.read))
        assert spoken == bool(calls), f"{name}: RTMP where tshark sees none"
        if calls:
            assert len(readings(name, answers)) == len(expected), name
        seen, tunnelled = seen + len(expected), tunnelled + len(calls) - len(expected)
    print(f"rtmp: {seen} answered calls as tshark has them, {tunnelled} inside of GTP are not opened")
    assert seen == 2


def test_the_viewing_that_was_refused() -> None:
    told = [(r.detail["call"], r.detail["app"], r.detail["host"]) for r in readings("stream/ndpi_rtmp.pcap", rtmp.read)]
    assert told == [(call, "StreamPlayer", "fc432.streamedia.info") for call in ("connect", "play", "refused")]


def test_forms_of_media_over_http() -> None:
    """As tshark shows the content types of answers: 15 and 1 of image/jpeg, a video/mp4 with a length, a playlist."""
    forms = Counter[tuple[str, str]]()
    for name, theirs in truth().items():
        if theirs.get("http") or name == "stream/ndpi_hls.pcapng":
            for reading in readings(name, http.read):
                if reading.what == "http-media":
                    forms[name, str(reading.detail["form"])] += 1
    print(f"http-media: {dict(forms)}")
    assert forms["stream/ndpi_hls.pcapng", "hls"] == 1
    assert forms["stream/ndpi_mpeg-dash.pcap", "file"] == 1
    assert forms["iot/ndpi_alexa-app.pcapng", "snapshot"] == 15
    assert forms["generic/zeek_http_bro.org.pcap", "snapshot"] == 1
