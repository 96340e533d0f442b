"""What earlier runs left on the broker: read once after connecting; what no camera of today stands for is cleared.

In: a connected client, the topics of today. Out: what is still of use. Only what camguard made itself with the same
base topic is ever cleared: a camera that was renamed or removed, not another program's devices.
"""

import asyncio
import contextlib
import json
import time
from typing import TYPE_CHECKING, NamedTuple

from camguard.tell import announce, commands
from camguard.tell import homeassistant as ha
from camguard.tell.broker import broke, publish, subscribe

if TYPE_CHECKING:
    import aiomqtt

QUIET_S, MOST_S, MOST = 0.5, 3.0, 5000  # what is retained comes at once; then nothing for a while


class Left(NamedTuple):
    """`announced`: this home was announced before; `minutes`: slug -> the length that the owner set."""

    announced: bool
    minutes: dict[str, int]


async def sweep(client: "aiomqtt.Client", house: ha.House) -> Left:
    """Reads and clears; SinkError where the broker does not answer."""
    topics = [f"{house.prefix}/device/+/config", f"{house.base}/#"]
    await subscribe(client, topics)
    keep = {*announce.discovery(house), *ha.states(house, ha.Seen(None, 0.0)), house.topic(None, "status")}
    found = await _retained(client)
    await _unsubscribe(client, topics)
    for topic, payload in found.items():
        if topic not in keep and _is_ours(house, topic, payload):
            await publish(client, topic, "", retain=True)
    minutes: dict[str, int] = {}
    for camera in house.cameras:
        with contextlib.suppress(commands.RefusedError):
            minutes[camera.slug] = commands.minutes_set(found.get(house.topic(camera, "watching/minutes"), b""))
    return Left(house.discovery(house.hub) in found, minutes)


async def _retained(client: "aiomqtt.Client") -> dict[str, bytes]:
    import aiomqtt

    found: dict[str, bytes] = {}
    until = time.monotonic() + MOST_S
    messages = client.messages
    for _ in range(MOST):
        try:
            async with asyncio.timeout(min(QUIET_S, max(0.0, until - time.monotonic()))):
                message = await anext(messages)
        except TimeoutError:
            break
        except aiomqtt.MqttError as error:
            raise broke(error) from None
        if message.retain and isinstance(message.payload, bytes) and message.payload:
            found[str(message.topic)] = message.payload
    return found


async def _unsubscribe(client: "aiomqtt.Client", topics: list[str]) -> None:
    import aiomqtt

    with contextlib.suppress(aiomqtt.MqttError):
        await client.unsubscribe(topics)


def _is_ours(house: ha.House, topic: str, payload: bytes) -> bool:
    """Whether a retained topic was made by an earlier run with the same base topic."""
    if topic.startswith(f"{house.base}/"):
        return topic.removeprefix(f"{house.base}/").partition("/")[2] in ha.LEAVES
    try:
        made = json.loads(payload)
        ours = made["availability"][0]["topic"] == house.topic(None, "status")
        return bool(ours and made["origin"]["name"] == "camguard")
    except (ValueError, RecursionError, KeyError, IndexError, TypeError):
        return False
