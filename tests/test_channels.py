"""[[notify]]: names, kinds and secrets; reading a secret says where it is kept and never what it is."""

import os
from pathlib import Path

import pytest

from camguard import config
from camguard.config import Channel, Secret
from camguard.errors import ConfigError


def channels(text: str) -> tuple[Channel, ...]:
    return config.parse(text, Path("camguard.toml")).channels


def notify(*lines: str) -> str:
    return "\n".join(("[[notify]]", *lines, ""))


def test_a_channel_of_each_kind_with_everything() -> None:
    text = notify(
        'url_credential = "ntfy-url"', 'severity = "info"', 'cameras = ["*"]', 'detail = "short"', "weekly = false"
    )
    text += notify('webhook_env = "CAMGUARD_HOOK"', 'hmac_credential = "key"', 'name = "nas"', 'when = "mon-fri"')
    text += notify('mqtt = "mqtt://192.168.1.5"', 'base_topic = "house/camguard"', 'severity = "critical"')
    assert channels(text) == (
        Channel("ntfy", "apprise", Secret(credential="ntfy-url"), "info", ("*",), None, "short", weekly=False),
        Channel("nas", "webhook", Secret(credential="key"), when="mon-fri", address=Secret(env="CAMGUARD_HOOK")),
        Channel(
            "mqtt",
            "mqtt",
            severity="critical",
            options={
                "url": "mqtt://192.168.1.5",
                "discovery_prefix": "homeassistant",
                "base_topic": "house/camguard",
            },
        ),
    )


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ('url_file = "/etc/camguard/secrets/ntfy.url"', "ntfy"),
        ('url_file = "/x/Telegram"', "telegram"),
        ('url_file = "/x/url"', "push"),
        ('url_file = "/x/.url"', "push"),
        ('url_env = "CAMGUARD_NTFY_URL"', "ntfy"),
        ('url_env = "SIGNAL"', "signal"),
        ('url_credential = "mail.url"', "mail"),
        ('webhook = "http://nas:8080/x"', "webhook"),
        ('mqtt = "mqtts://example.com"', "mqtt"),
    ],
)
def test_a_name_is_found_without_reading_the_secret(line: str, name: str) -> None:
    assert [channel.name for channel in channels(notify(line))] == [name]


def test_several_of_a_kind_are_numbered_and_the_owners_names_come_first() -> None:
    ntfy = 'url_file = "/x/ntfy.url"'
    text = notify(ntfy) + notify(ntfy) + notify(ntfy, 'name = "ntfy 2"') + notify(ntfy)
    assert [channel.name for channel in channels(text)] == ["ntfy", "ntfy 3", "ntfy 2", "ntfy 4"]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hooks/camguard",
        "http://127.0.0.1:8123/api/webhook/camguard",
        "http://homeassistant.local:8123/x",
        "http://[fd00::5]/x",
        "https://example.com/x?room=nursery",
    ],
)
def test_addresses_of_webhooks_that_are_fine(url: str) -> None:
    assert channels(notify(f'webhook = "{url}"'))[0].options == {"url": url}


def test_a_webhook_may_have_a_certificate_of_the_owners_own() -> None:
    made = channels(notify('webhook = "https://nas.lan/x"', 'ca_file = "/etc/camguard/ca.pem"'))[0]
    assert made.options == {"url": "https://nas.lan/x", "ca_file": "/etc/camguard/ca.pem"}
    with pytest.raises(ConfigError, match=r"ca_file: is for mqtt; this table has url_file"):
        channels(notify('url_file = "/x"', 'ca_file = "/etc/camguard/ca.pem"'))


def test_a_secret_is_read_from_its_file_and_only_its_text_counts(tmp_path: Path) -> None:
    file = tmp_path / "ntfy.url"
    file.write_bytes(b"\xef\xbb\xbf  ntfy://topic \n")
    assert config.read_secret(Secret(file=file)) == "ntfy://topic"


def test_a_secret_from_the_environment_and_from_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMGUARD_TEST_URL", "ntfy://topic")
    assert config.read_secret(Secret(env="CAMGUARD_TEST_URL")) == "ntfy://topic"
    (tmp_path / "mail.url").write_text("mailto://x\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert config.read_secret(Secret(credential="mail.url")) == "mailto://x"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"canary-1\ncanary-2\n", "several lines"),
        (b"canary\xff", "is not text"),
        (b"canary" * 5000, "is larger than"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_not_quoted(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "ntfy.url"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        config.read_secret(Secret(file=file))
    assert str(file) in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_secret_that_is_not_there_is_said_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    os.mkfifo(tmp_path / "pipe")
    for secret, words in (
        (Secret(file=tmp_path / "none"), "no such file. Put the secret there"),
        (Secret(file=tmp_path), "cannot be read"),
        (Secret(file=tmp_path / "pipe"), "is no ordinary file"),
        (Secret(env="CAMGUARD_NOT_SET"), "variable CAMGUARD_NOT_SET: is not set"),
        (Secret(credential="ntfy"), "LoadCredential=ntfy:FILE"),
        (Secret(), "names none"),
    ):
        with pytest.raises(ConfigError) as caught:
            config.read_secret(secret)
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_of_somebody_else(tmp_path: Path) -> None:
    file = tmp_path / "ntfy.url"
    file.write_text("x")
    file.chmod(0)
    with pytest.raises(ConfigError, match="may not be read by this user"):
        config.read_secret(Secret(file=file))


def test_a_file_that_everybody_may_read_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "ntfy.url"
    file.write_text("x")
    file.chmod(0o640)
    assert not config.open_to_all(Secret(file=file))
    file.chmod(0o644)
    reachable = all(folder.stat().st_mode & 0o001 for folder in file.parents)
    assert config.open_to_all(Secret(file=file)) is reachable
    assert not config.open_to_all(Secret(file=tmp_path / "none"))
    assert not config.open_to_all(Secret(env="X"))
