"""Pushes through the real Apprise to real servers on loopback: an ntfy-like one and a mail server."""

import asyncio
import email
import email.policy
import io
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from camguard.errors import SinkError
from camguard.tell import push
from camguard.tell.push import ApprisePush
from tests.tell.receivers import BlackHole, Receiver, alert
from tests.tell.test_webhook import letter

CANARY = "c4n4ry-s3cret"


def send(url: str, made: dict[str, Any] | None = None, *, sound: bool = True, detail: str = "full") -> None:
    asyncio.run(ApprisePush("phone", url).send(letter(made or alert(), detail), sound=sound, remote_id=None))


@pytest.fixture
def ntfy() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def ntfy_url(receiver: Receiver, more: str = "") -> str:
    return f"ntfy://127.0.0.1:{receiver.port}/{CANARY}{more}"


def test_a_push_arrives_with_words_and_short_id(ntfy: Receiver) -> None:
    send(ntfy_url(ntfy))
    (got,) = ntfy.got
    text = got.body.decode()
    assert "Since 22:14, live video. Was this you? [a1b2]" in text
    assert "Somebody is watching: a1b2c3d4e5" in text + str(got.headers)
    assert "github" not in text + str(got.headers)  # no picture from elsewhere, which would tell of every alert


@pytest.mark.parametrize(
    ("severity", "sound", "more", "priority"),
    [
        ("critical", True, "", "max"),
        ("warning", True, "", "high"),
        ("critical", False, "", "low"),
        ("critical", True, "?priority=min", "min"),
    ],
)
def test_how_loud(ntfy: Receiver, severity: str, sound: bool, more: str, priority: str) -> None:
    send(ntfy_url(ntfy, more), alert(severity=severity), sound=sound)
    assert ntfy.got[0].headers["x-priority"] == priority


@pytest.mark.parametrize(
    ("how", "permanent", "words"),
    [("500", False, "500"), ("404", True, "nothing at that address"), ("401", True, "token"), ("429", False, "while")],
)
def test_what_is_told_of_an_answer(ntfy: Receiver, how: str, permanent: bool, words: str) -> None:
    ntfy.how = how
    with pytest.raises(SinkError, match=words) as caught:
        send(ntfy_url(ntfy))
    assert caught.value.permanent is permanent
    assert CANARY not in str(caught.value)
    assert ntfy.tries == 1  # Apprise tries once: the outbox tries again


def test_a_redirect_is_not_followed(ntfy: Receiver) -> None:
    ntfy.how = "302"
    with pytest.raises(SinkError):
        send(ntfy_url(ntfy))
    assert ntfy.tries == 1


def test_a_service_that_hangs_or_is_not_there() -> None:
    hole = BlackHole()
    began = time.monotonic()
    with pytest.raises(SinkError) as caught:
        send(f"json://127.0.0.1:{hole.port}/{CANARY}?rto=0.5&cto=0.5")
    assert time.monotonic() - began < 20  # its usual limit is 30 s
    assert not caught.value.permanent
    hole.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(SinkError, match="could not be reached") as caught:
            send(f"json://127.0.0.1:{free.getsockname()[1]}/{CANARY}")
    assert not caught.value.permanent


@pytest.mark.parametrize("url", [f"nonsense {CANARY}", f"{CANARY}://x/y", f"tgram://{CANARY}"])
def test_an_address_that_apprise_does_not_know(url: str) -> None:
    with pytest.raises(SinkError) as caught:
        send(url)
    assert caught.value.permanent
    assert CANARY not in str(caught.value)


class Mails:
    """What a mail server got."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


def test_a_mail_arrives() -> None:
    mails = Mails()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(mails, hostname="127.0.0.1", port=port)
    server.start()
    try:
        url = f"mailto://127.0.0.1:{port}?from=camguard@example.org&to=owner@example.org&mode=insecure"
        send(url, alert(body="Bob & <b>Alice</b>"))
    finally:
        server.stop()
    (mail,) = mails.got
    assert mail["subject"] == "Somebody is watching: a1b2c3d4e5"
    bodies = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
    assert all("a1b2" in body for body in bodies.values())
    assert "<b>" not in bodies.get("text/html", "")


def test_hostile_names_are_only_text(ntfy: Receiver) -> None:
    nasty = "\r\nX-Evil: 1\u202e<script>\x00\\n:smile:" * 500
    send(ntfy_url(ntfy), alert(title=nasty, body=nasty))
    (got,) = ntfy.got
    assert "x-evil" not in got.headers
    assert len(got.body) < 4096
    assert "\u202e" not in got.body.decode()


def test_threads_that_never_come_back_are_few() -> None:
    async def tries() -> list[str]:
        hole = BlackHole()
        sender = ApprisePush("phone", f"json://127.0.0.1:{hole.port}/?rto=60&cto=60")
        words = []
        for _ in range(6):
            try:
                async with asyncio.timeout(0.2):
                    await sender.send(letter(alert()), sound=True, remote_id=None)
            except SinkError as error:
                words.append(str(error))
            except TimeoutError:
                words.append("timeout")
        assert sum(thread.name == "apprise" for thread in threading.enumerate()) <= push.STUCK_MAX
        hole.close()
        return words

    words = asyncio.run(tries())
    assert words[:3] == ["timeout"] * 3
    assert all("still hang" in word for word in words[3:])


def test_nothing_of_the_address_is_ever_printed(ntfy: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    said = io.StringIO()
    for how in ("ok", "500", "404", "cut"):
        ntfy.how = how
        for url in (ntfy_url(ntfy), f"json://user:{CANARY}@127.0.0.1:{ntfy.port}/{CANARY}?:x={CANARY}"):
            try:
                send(url)
            except SinkError as error:
                said.write(str(error))
    out, err = capfd.readouterr()
    assert CANARY not in out + err + said.getvalue()
    assert (out, err) == ("", "")


def test_apprise_is_loaded_at_the_first_need_only() -> None:
    code = "import sys; from camguard.tell import deliver; print('apprise' in sys.modules, 'requests' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "False False"
