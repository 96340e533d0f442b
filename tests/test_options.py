"""Options are declared once: sample file, reference and check must all say the same."""

import re
import tomllib
from pathlib import Path

import pytest

from camguard import config, options
from camguard.config import Channel, Secret
from camguard.events import Camera, Device, Expect, Home

REFERENCE = Path(__file__).parent.parent / "docs/reference.md"


def taken(text: str) -> str:
    """The sample with every comment sign before a header or key taken away."""
    return re.sub(r"^#(?=\[|\w+ = )", "", text, flags=re.MULTILINE)


def test_the_sample_as_it_is_sets_the_time_zone_only() -> None:
    zone = {"timezone": "Europe/Berlin"}
    assert {key: made for key, made in tomllib.loads(options.sample("Europe/Berlin")).items() if made} == {"home": zone}
    assert not any(tomllib.loads(options.sample()).values())
    assert config.parse(options.sample(), Path("x")) == config.parse("", Path("x")), "an empty table says nothing"


def test_a_key_of_the_sample_alone_is_one_of_its_own_table() -> None:
    for line in ('interface = "br-lan"', 'hours = "23:00-07:00"', "keep_days = 365", "max_mb = 256"):
        text = options.sample("Europe/Berlin")
        assert text.count(f"\n#{line}") == 1
        config.parse(text.replace(f"\n#{line}", f"\n{line}"), Path("x"))


def test_every_example_of_the_sample_is_right() -> None:
    made = config.parse(taken(options.sample("Europe/Berlin")), Path("sample"))
    assert made == config.Config(
        home=Home(
            timezone="Europe/Berlin",
            cameras=(
                Camera("porch", "02:00:00:00:00:01", ("192.168.1.40",), "camera", "reolink", False, "22:00-06:30"),
            ),
            devices=(Device("phone", "02:00:00:00:00:21", ("192.168.1.20",), True),),
            expects=(Expect("porch", "phone", ("stream", "clip"), "mon-fri 22:00-06:30"),),
            local=("192.168.50.0/24",),
            gateway="02:ff:ff:ff:ff:ff",
            learn_days=7,
        ),
        interfaces=("br-lan",),
        path=Path("sample"),
        channels=(
            Channel(
                name="my phone",
                kind="apprise",
                secret=Secret(file=Path("/etc/camguard/secrets/ntfy.url")),
                when="07:00-23:00",
            ),
            Channel(
                name="webhook",
                kind="webhook",
                secret=Secret(file=Path("/etc/camguard/secrets/webhook.key")),
                options={"url": "https://nas.lan/camguard"},
            ),
            Channel(
                name="mqtt",
                kind="mqtt",
                secret=Secret(file=Path("/etc/camguard/secrets/mqtt.password")),
                options={
                    "url": "mqtts://broker.lan:8883",
                    "discovery_prefix": "homeassistant",
                    "base_topic": "camguard",
                    "username": "camguard",
                    "ca_file": "/etc/camguard/broker-ca.pem",
                },
            ),
        ),
        quiet_hours="23:00-07:00",
        ping=Secret(file=Path("/etc/camguard/secrets/ping.url")),
    )


def test_the_sample_names_every_option_with_its_help() -> None:
    text = options.sample("UTC")
    for option in options.OPTIONS:
        assert f"{option.name} = " in text
        assert option.help in text


@pytest.mark.parametrize("option", options.OPTIONS, ids=lambda option: option.place)
def test_an_option_is_whole(option: options.Option) -> None:
    assert option.help.endswith((".", "?"))
    assert option.type_words
    assert option.default_words != "none", "say in words what holds when nothing is written"
    tomllib.loads(f"x = {option.example}")


def test_defaults_are_those_of_the_types_that_they_fill() -> None:
    made = config.parse(
        '[[camera]]\nname = "a"\nip = "10.0.0.1"\n[[device]]\nname = "b"\nip = "10.0.0.2"\n[[expect]]\n'
        '[[notify]]\nurl_file = "/a"\n',
        Path("x"),
    )
    assert made.home.cameras == (Camera("a", ips=("10.0.0.1",)),)
    assert made.home.devices == (Device("b", ips=("10.0.0.2",)),)
    assert made.home.expects == (Expect(),)
    assert made.channels == (Channel("a", "apprise", Secret(file=Path("/a"))),)
    assert (made.quiet_hours, made.ping) == (None, None)
    assert (made.keep_days, made.max_mb) == (config.Config().keep_days, config.Config().max_mb)


def test_text_rows_and_reference_agree() -> None:
    text, rows = options.as_text(), options.as_rows()
    for option, row in zip(options.OPTIONS, rows, strict=True):
        assert row["key"] == option.place
        assert option.help in text
        assert f"{option.name} = {option.example}" in text
    assert options.as_markdown() in REFERENCE.read_text(), (
        "paste the new table: python -c 'from camguard import options; print(options.as_markdown())'"
    )
