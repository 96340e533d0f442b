"""`camguard notify --test [CHANNEL]`: one marked test through each channel, and in plain words what became of it.

In: the configuration (its secrets are read here, so it is run by whoever may read them). Out: one line a channel, one
thing to do where it failed. It passes the outbox by: nothing is tried again. That a channel took it is remembered.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

from camguard import config as configuration
from camguard import report
from camguard.check.answers import Answer
from camguard.config import Channel, Config, Paths, Secret
from camguard.errors import ConfigError, SinkError
from camguard.report.text import rfc3339
from camguard.review import deliveries
from camguard.review.terminal import STALE_S
from camguard.store import now_age_s, read_now

MOST_S = 60.0
_WATCH = "watch service"
_LOOK_AT = {
    "apprise": 'look at your phone or mail: "Test: camguard can reach you here"',
    "webhook": "your program has it: a message whose title begins with Test",
    "mqtt": "the broker has it; Home Assistant shows it as an event",
}


def run(config: Config, paths: Paths, name: str | None, *, as_json: bool = False) -> int:
    """Try the channel of that name, or all; 0 when each of them took the test, 1 otherwise."""
    channels = chosen(config, name)
    watched = name is None and config.ping is not None
    if not channels and not watched:
        print_one(
            Answer("channels", "fault", "none is configured: camguard can look, but not reach your phone",
                   fix=f"write a [[notify]] into {config.path or paths.config}; README has an example"),
            8, as_json,
        )  # fmt: skip
        return 1
    width = max([len(channel.name) for channel in channels] + [len(_WATCH)] * watched)
    failed = False
    for answer in asyncio.run(_all(channels, config, paths, watched=watched)):
        print_one(answer, width, as_json)
        failed = failed or answer.status == "fault"
    return int(failed)


def chosen(config: Config, name: str | None) -> tuple[Channel, ...]:
    """The channels that are meant. ConfigError, with the nearest name, for one that is not there."""
    if name is None:
        return config.channels
    found = tuple(channel for channel in config.channels if channel.name.casefold() == name.casefold())
    if found:
        return found
    names = [channel.name for channel in config.channels]
    hint = configuration.nearest(name, names) or (f" There is: {', '.join(names)}." if names else " There is none yet.")
    raise ConfigError(f'no channel is called "{name}".{hint}')


async def _all(channels: Sequence[Channel], config: Config, paths: Paths, *, watched: bool) -> list[Answer]:
    tries = [_one(channel, config, paths) for channel in channels]
    return list(await asyncio.gather(*tries, *([_ping(config, paths)] if watched else [])))


async def _ping(config: Config, paths: Paths) -> Answer:
    """The watch service is told that camguard looks, if it does: a test must not make it believe so."""
    from camguard.tell.webhook import request

    try:
        address = configuration.read_secret(config.ping or Secret())
        figures = read_now(paths.now)
        if figures is None or now_age_s(figures) > STALE_S:
            return Answer(_WATCH, "warning", "not tried: camguard is not looking", fix="camguard check")
        await request("GET", address)
    except (ConfigError, SinkError) as error:
        sentence, _, fix = str(error).rstrip(".").partition(". ")
        return Answer(_WATCH, "fault", sentence, fix=fix)
    return Answer(_WATCH, "ok", "took the sign of life")


async def _one(channel: Channel, config: Config, paths: Paths) -> Answer:
    from camguard.tell.deliver import sender_of

    said: list[str] = []
    began = time.monotonic()
    try:
        sender = sender_of(channel, config, paths, said.append)
        async with asyncio.timeout(MOST_S):
            await sender.send(_letter(channel, config), sound=True, remote_id=None)
    except ConfigError as error:
        return _not_tried(channel, str(error))
    except SinkError as error:
        return _failed(channel, str(error))
    except TimeoutError:
        return _failed(channel, "no answer in time")
    except Exception as error:  # noqa: BLE001 its text may show a secret
        return _failed(channel, f"a fault in sending ({type(error).__name__}). Please report this")
    deliveries.note_test(paths, channel.name, time.time())
    detail = f"taken in {time.monotonic() - began:.1f} s; {_LOOK_AT[channel.kind]}"
    for secret in channel.secrets:
        if configuration.open_to_all(secret):
            fix = f"sudo chgrp camguard-deliver {secret.file} && sudo chmod 640 {secret.file}"
            return Answer(channel.name, "warning", detail, f"Every user of this machine can read {secret}.", fix)
    return Answer(channel.name, "ok", detail)


def _failed(channel: Channel, words: str) -> Answer:
    sentence, _, fix = words.rstrip(".").partition(". ")
    return Answer(channel.name, "fault", sentence, fix=fix)


def _not_tried(channel: Channel, words: str) -> Answer:
    """Its secret could not be read, by whoever runs this."""
    if any(secret.env or secret.credential for secret in channel.secrets):
        return Answer(
            channel.name,
            "fault",
            f"not tried from here: {words.partition('. ')[0]}",
            "Such a secret is given to the service only; there each alert is a trial.",
            "camguard check, after the next alert; or keep the secret in a file",
        )
    sentence, _, fix = words.rstrip(".").partition(". ")
    return Answer(channel.name, "fault", f"not tried: {sentence}", fix=fix)


def _letter(channel: Channel, config: Config) -> Any:
    """The marked test. In every detail the same: it says nothing about anybody."""
    from camguard.tell.outbox import Letter

    now, zone = time.time(), config.home.timezone
    title, body = report.test_words(channel.name, now, zone)
    alert: dict[str, Any] = {
        "kind": "alert", "time": rfc3339(now), "camera": None, "id": f"{time.time_ns():x}"[-10:], "type": "test",
        "severity": "warning", "title": title, "body": body, "confidence": "certain", "reason": None, "evidence": [],
        "peer": None, "session": None, "raised": rfc3339(now), "started": rfc3339(now), "count": 1, "state": "open",
    }  # fmt: skip
    made = report.message(alert, "full", zone)
    fields = {name: getattr(made, name) for name in report.Message.__dataclass_fields__}
    return Letter(**fields | {"alert": alert, "detail": channel.detail})


def print_one(answer: Answer, width: int, as_json: bool) -> None:
    """One answer, as `camguard check` prints them."""
    if as_json:
        line = {"name": answer.name, "status": answer.status, "detail": answer.detail, "fix": answer.fix or None}
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        return
    from camguard.check import sign

    sys.stdout.write(f" {sign(answer.status)} {report.clean(answer.name, 32).ljust(width)}  {answer.detail}\n")
    for more in (answer.meaning, f"Fix: {answer.fix}" if answer.fix else ""):
        if more:
            sys.stdout.write(f"        {more}\n")
