"""`camguard notify --test`: real receivers on loopback; each way to fail is one plain line, and no secret is in it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from camguard import cli, store
from tests.tell.receivers import Receiver

CANARY = "c4n4ry-s3cret"
Out = pytest.CaptureFixture[str]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def notify(tmp_path: Path, text: str, *words: str, capsys: Out) -> tuple[int, str, str]:
    path = tmp_path / "c.toml"
    path.write_text('[home]\ntimezone = "UTC"\n' + text)
    code = cli.main(("notify", "--config", str(path), "--state-dir", str(tmp_path / "state"), "--test", *words))
    out, err = capsys.readouterr()
    assert CANARY not in out + err
    return code, out, err


def secret(tmp_path: Path, name: str, text: str) -> str:
    file = tmp_path / name
    file.write_text(text)
    file.chmod(0o640)
    return str(file)


def rows(out: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in map(json.loads, out.splitlines())}


def test_each_channel_gets_a_message_that_is_marked_as_a_test(tmp_path: Path, receiver: Receiver, capsys: Out) -> None:
    ntfy = secret(tmp_path, "ntfy.url", f"ntfy://127.0.0.1:{receiver.port}/{CANARY}")
    key = secret(tmp_path, "hook.key", CANARY)
    text = f'[[notify]]\nurl_file = "{ntfy}"\n[[notify]]\nwebhook = "{receiver.url()}"\nhmac_file = "{key}"\n'
    code, out, err = notify(tmp_path, text, capsys=capsys)
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines()] == ["ntfy", "webhook"]
    assert out.count("taken in") == 2
    assert len(receiver.got) == 2
    hook = next(got for got in receiver.got if got.path == "/hook")
    assert hook.json["type"] == "test"
    assert hook.json["title"] == "Test: camguard can reach you here"
    assert hook.headers["x-camguard-signature"].startswith("sha256=")
    push = next(got for got in receiver.got if got.path != "/hook")
    assert b"Test: camguard can reach you here" in push.body
    assert not (tmp_path / "state").exists(), "a test makes no outbox"


def test_the_signature_is_checked_as_the_reference_says(tmp_path: Path, receiver: Receiver, capsys: Out) -> None:
    page = (Path(__file__).parents[2] / "docs/reference.md").read_text()
    snippet = page.partition("```python\n")[2].partition("```")[0]
    known: dict[str, Any] = {}
    exec(snippet, known)
    key = secret(tmp_path, "hook.key", f"{CANARY}\n")
    notify(tmp_path, f'[[notify]]\nwebhook = "{receiver.url()}"\nhmac_file = "{key}"\n', capsys=capsys)
    got = receiver.got[0]
    names = {"x-camguard-timestamp": "X-Camguard-Timestamp", "x-camguard-signature": "X-Camguard-Signature"}
    headers = {names[name]: value for name, value in got.headers.items() if name in names}
    assert known["is_from_camguard"](CANARY, headers, got.body)
    assert not known["is_from_camguard"](CANARY, headers, got.body + b" ")
    assert not known["is_from_camguard"]("another", headers, got.body)


def test_one_channel_alone(tmp_path: Path, receiver: Receiver, capsys: Out) -> None:
    text = f'[[notify]]\nname = "a"\nwebhook = "{receiver.url("/a")}"\n'
    text += f'[[notify]]\nname = "b"\nwebhook = "{receiver.url("/b")}"\n'
    code, out, _ = notify(tmp_path, text, "B", capsys=capsys)
    assert code == 0
    assert [got.path for got in receiver.got] == ["/b"]
    code, out, err = notify(tmp_path, text, "c", capsys=capsys)
    assert (code, out, err) == (2, "", 'camguard: no channel is called "c". There is: a, b.\n')
    assert len(receiver.got) == 1


@pytest.mark.parametrize(
    ("how", "detail", "fix"),
    [("401", "(401)", "Put the right one"), ("404", "(404)", "Check the address"), ("500", "answered with 500", None)],
)
def test_a_refusal_is_told_with_what_to_do(
    tmp_path: Path, receiver: Receiver, capsys: Out, how: str, detail: str, fix: str | None
) -> None:
    receiver.how = how
    address = secret(tmp_path, "webhook.url", receiver.url(f"/{CANARY}"))
    code, out, _ = notify(tmp_path, f'[[notify]]\nwebhook_file = "{address}"\n', "--json", capsys=capsys)
    row = rows(out)["webhook"]
    assert (code, row["status"]) == (1, "fault")
    assert detail in row["detail"]
    assert fix in row["fix"] if fix else row["fix"] is None


def test_what_cannot_be_tried_is_told(tmp_path: Path, receiver: Receiver, capsys: Out) -> None:
    receiver.close()
    none = tmp_path / "none.url"
    nonsense = secret(tmp_path, "nonsense.url", f"nonsense://{CANARY}")
    text = f'[[notify]]\nurl_file = "{none}"\n[[notify]]\nurl_credential = "mail.url"\n'
    text += f'[[notify]]\nwebhook = "{receiver.url()}"\n[[notify]]\nurl_file = "{nonsense}"\n'
    text += f'[[notify]]\nmqtt = "mqtt://127.0.0.1:{receiver.port}"\n'
    code, out, _ = notify(tmp_path, text, "--json", capsys=capsys)
    found = rows(out)
    assert code == 1
    assert {row["status"] for row in found.values()} == {"fault"}
    assert found["none"]["detail"] == f"not tried: {none}: no such file"
    assert found["none"]["fix"] == "Put the secret there, or correct the configuration"
    assert found["mail"]["detail"] == "not tried from here: credential mail.url: this process was given none"
    assert found["webhook"]["detail"] == found["mqtt"]["detail"] == "nobody listens at that address"
    assert "no address that Apprise understands" in found["nonsense"]["detail"]


def test_one_that_fails_does_not_keep_another_from_working(tmp_path: Path, receiver: Receiver, capsys: Out) -> None:
    text = f'[[notify]]\nurl_file = "{tmp_path / "none"}"\n[[notify]]\nwebhook = "{receiver.url()}"\n'
    code, out, _ = notify(tmp_path, text, "--json", capsys=capsys)
    assert code == 1
    assert rows(out)["webhook"]["status"] == "ok"
    assert len(receiver.got) == 1


def test_no_channel_is_the_answer_no(tmp_path: Path, capsys: Out) -> None:
    code, out, err = notify(tmp_path, "", capsys=capsys)
    assert (code, err) == (1, "")
    assert "none is configured" in out
    assert "[[notify]]" in out


def test_the_watch_service_is_told_only_that_camguard_looks_if_it_does(
    tmp_path: Path, receiver: Receiver, capsys: Out
) -> None:
    address = secret(tmp_path, "ping.url", receiver.url(f"/{CANARY}"))
    text = f'[alive]\nping_url_file = "{address}"\n'
    flags = ["--runtime-dir", str(tmp_path), "--json"]
    code, out, _ = notify(tmp_path, text, *flags, capsys=capsys)
    assert (code, receiver.got) == (0, [])
    assert rows(out)["watch service"]["detail"] == "not tried: camguard is not looking"
    store.write_now(tmp_path / "now.json", {})
    code, out, _ = notify(tmp_path, text, *flags, capsys=capsys)
    assert (code, rows(out)["watch service"]["status"]) == (0, "ok")
    assert [got.path for got in receiver.got] == [f"/{CANARY}"]
    receiver.how = "404"
    code, out, _ = notify(tmp_path, text, *flags, capsys=capsys)
    assert (code, rows(out)["watch service"]["fix"]) == (1, "Check the address")


def test_a_secret_that_everybody_can_read_is_told(tmp_path: Path, receiver: Receiver, capsys: Out) -> None:
    for folder in (tmp_path, *tmp_path.parents):  # pytest's own folders are closed to other users
        if "pytest" in str(folder):
            folder.chmod(folder.stat().st_mode | 0o011)
    key = secret(tmp_path, "hook.key", CANARY)
    Path(key).chmod(0o644)
    text = f'[[notify]]\nwebhook = "{receiver.url()}"\nhmac_file = "{key}"\n'
    code, out, _ = notify(tmp_path, text, capsys=capsys)
    assert code == 0
    assert f"Every user of this machine can read {key}." in out
    assert f"sudo chmod 640 {key}" in out
