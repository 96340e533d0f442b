"""The webhook against real servers on loopback: what is sent, how it is signed, what is told of each fault."""

import asyncio
import hashlib
import hmac
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import report
from camguard.errors import SinkError
from camguard.tell import webhook
from camguard.tell.outbox import Letter
from camguard.tell.webhook import Webhook, request
from tests.tell.receivers import BlackHole, Receiver, alert, certificate

CANARY = "c4n4ry-t0ken"


def letter(made: dict[str, Any], detail: str = "full") -> Letter:
    words = report.message(made, detail)  # type: ignore[arg-type]
    fields = {name: getattr(words, name) for name in report.Message.__dataclass_fields__}
    return Letter(**fields | {"alert": made, "detail": detail})


def send(
    url: str, key: str = "", made: dict[str, Any] | None = None, detail: str = "full", ca: str | None = None
) -> None:
    hook = Webhook("hook", url, key, ca)
    asyncio.run(hook.send(letter(made or alert(), detail), sound=True, remote_id=None))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def test_the_alert_arrives_signed(receiver: Receiver) -> None:
    before = time.time()
    send(receiver.url("/a/b?c=d"), "k3y")
    (got,) = receiver.got
    assert got.path == "/a/b?c=d"
    assert got.headers["content-type"] == "application/json; charset=utf-8"
    stamp = got.headers["x-camguard-timestamp"]
    assert before - 1 <= int(stamp) <= time.time()
    expected = hmac.new(b"k3y", stamp.encode() + b"." + got.body, hashlib.sha256).hexdigest()
    assert got.headers["x-camguard-signature"] == f"sha256={expected}"
    assert {key: got.json[key] for key in ("id", "camera", "severity", "state", "sound", "short_id")} == {
        "id": "a1b2c3d4e5", "camera": "porch", "severity": "critical", "state": "open", "sound": True,
        "short_id": "a1b2",
    }  # fmt: skip
    assert set(alert()) <= set(got.json)


def test_without_a_key_there_is_no_signature_and_a_repeat_has_the_same_name(receiver: Receiver) -> None:
    send(receiver.url())
    send(receiver.url())
    first, second = receiver.got
    assert "x-camguard-signature" not in first.headers
    assert first.headers["x-camguard-delivery"] == second.headers["x-camguard-delivery"]


@pytest.mark.parametrize("detail", ["short", "discreet"])
def test_what_the_channel_may_not_see_is_not_in_it(receiver: Receiver, detail: str) -> None:
    send(receiver.url(), detail=detail)
    text = receiver.got[0].body.decode()
    for word in ("porch", "OVH", "France", "198.51", "RTSP", "devices"):
        assert word not in text
    assert set(alert()) <= set(receiver.got[0].json)
    if detail == "discreet":
        assert receiver.got[0].json["type"] is None


@pytest.mark.parametrize(
    ("how", "permanent", "words"),
    [
        ("500", False, "500"), ("503", False, "out of order"), ("404", True, "nothing at that address"),
        ("401", True, "password or token"), ("302", True, "moved"), ("429", False, "for a while"),
        ("cut", False, "cut"), ("garbage", False, "does not speak HTTP"),
    ],
)  # fmt: skip
def test_what_is_told_of_an_answer(receiver: Receiver, how: str, permanent: bool, words: str) -> None:
    receiver.how = how
    with pytest.raises(SinkError) as caught:
        send(receiver.url(f"/{CANARY}"))
    assert caught.value.permanent is permanent
    assert words in str(caught.value)
    assert CANARY not in str(caught.value)
    assert caught.value.after_s == (77.0 if how == "429" else None)
    assert receiver.tries == 1  # nobody was followed elsewhere


def test_a_receiver_that_closes_after_200_has_taken_it(receiver: Receiver) -> None:
    receiver.how = "close"
    send(receiver.url())
    assert len(receiver.got) == 1


@pytest.mark.parametrize("how", ["hang", "drip"])
def test_a_receiver_that_hangs_is_left_after_the_deadline(receiver: Receiver, how: str) -> None:
    receiver.how = how
    began = time.monotonic()
    with pytest.raises(SinkError, match="no answer in time") as caught:
        asyncio.run(request("POST", receiver.url(), b"{}", timeout_s=0.5))
    assert time.monotonic() - began < 8  # its usual limit is 10 s
    assert not caught.value.permanent


def test_the_deadline_holds_for_the_certificate_as_well() -> None:
    hole = BlackHole()
    with pytest.raises(SinkError, match="no answer in time"):
        asyncio.run(request("POST", hole.url("https"), timeout_s=0.5))
    hole.close()
    assert webhook.TIMEOUT_S == 10.0


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SinkError, match="nobody listens"):
            send(f"http://127.0.0.1:{free.getsockname()[1]}/{CANARY}")


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(SinkError, match="name cannot be found") as caught:
        send(f"http://{CANARY}.invalid/")
    assert not caught.value.permanent
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x/", "nonsense", "http://", "http://x:99999/", "http://x/a b", "http://ä.de/"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(SinkError) as caught:
        send(url)
    assert caught.value.permanent


def test_a_wrong_certificate_gets_nothing(tmp_path: Path) -> None:
    pem = certificate(tmp_path)
    receiver = Receiver(certificate=pem)
    secure = receiver.url(scheme="https").replace("127.0.0.1", "localhost")
    with pytest.raises(SinkError, match="signed by itself") as caught:
        send(secure)
    assert not caught.value.permanent
    with pytest.raises(SinkError, match="for another"):
        send(receiver.url(scheme="https"), ca=str(pem))
    assert receiver.got == []
    send(secure, ca=str(pem))
    assert len(receiver.got) == 1
    receiver.close()


def test_plain_http_where_tls_was_meant(receiver: Receiver) -> None:
    with pytest.raises(SinkError, match="secure connection"):
        send(receiver.url(scheme="https"))


def test_hostile_names_are_only_text(receiver: Receiver) -> None:
    nasty = "\r\nX-Evil: 1\u202e<script>\x00\ud800" * 500
    send(receiver.url(), made=alert(camera=nasty, title=nasty, body=nasty, time="x\r\nX-Evil: 1"))
    (got,) = receiver.got
    assert "x-evil" not in got.headers
    assert len(got.json["title"]) <= 60
    assert len(got.body) < 200_000
    assert json.loads(got.body)
