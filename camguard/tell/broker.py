"""The connection to an MQTT broker: TLS, name and password, last will; what fails, in words for the owner.

In: the channel of the configuration. Out: a connected aiomqtt.Client, or SinkError / ConfigError, neither of which
holds the broker's address, a user name or a password. aiomqtt (and paho below it) is imported at the first need.

paho connects in a thread that nobody can stop (up to the keepalive in a TLS handshake), and its errors come as texts.
So the way to the broker is tried first, with one deadline for name, connection and certificate.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from camguard.config import Channel, read_secret
from camguard.errors import ConfigError, SinkError
from camguard.tell.refusal import unreachable
from camguard.tell.threads import in_thread

if TYPE_CHECKING:
    import aiomqtt

KEEPALIVE_S = 15  # a broker that went away without a word is found in twice that
ANSWER_S = 8.0  # how long the broker may take to confirm
CONNECT_S = 10.0
#: CONNACK: bad user name or password, not authorised (MQTT 3.1.1 section 3.2.2.3; paho gives them as of MQTT 5, 2.4).
_REFUSED = {4, 5, 134, 135}

QUIET = logging.getLogger("camguard.mqtt")  # paho's own log names topics and clients
QUIET.addHandler(logging.NullHandler())
QUIET.propagate = False


class Address(NamedTuple):
    """Where the broker is; `tls` None: plainly, inside the home."""

    host: str
    port: int
    tls: ssl.SSLContext | None


def address(channel: Channel) -> Address:
    """The broker of the channel; ConfigError where the certificate file cannot be used."""
    url = urlsplit(channel.options["url"])
    if url.scheme != "mqtts":
        return Address(url.hostname or "", url.port or 1883, None)
    ca_file = channel.options.get("ca_file")
    try:
        tls = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise ConfigError(f"{ca_file}: cannot be read, or holds no certificate.") from None
    return Address(url.hostname or "", url.port or 8883, tls)


@contextlib.asynccontextmanager
async def connected(
    channel: Channel, *, identifier: str | None = None, will_topic: str | None = None, will: str = ""
) -> "AsyncIterator[aiomqtt.Client]":
    """A client while it is connected; `identifier` None: any, for one message."""
    import aiomqtt

    password = await in_thread(lambda: read_secret(channel.secret), "secret") if channel.secret else None
    where = await in_thread(lambda: address(channel), "certificates")
    await _try_the_way(where)
    client = aiomqtt.Client(
        where.host,
        where.port,
        username=channel.options.get("username"),
        password=password,
        identifier=identifier,
        will=aiomqtt.Will(will_topic, will, qos=1, retain=True) if will_topic else None,
        keepalive=KEEPALIVE_S,
        timeout=ANSWER_S,
        tls_context=where.tls,
        max_queued_incoming_messages=5000,
        max_queued_outgoing_messages=5000,
        logger=QUIET,
    )
    try:
        async with asyncio.timeout(CONNECT_S):
            await client.__aenter__()
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        raise broke(error) from None
    try:
        yield client
    finally:
        with contextlib.suppress(aiomqtt.MqttError, OSError, ValueError):
            await client.__aexit__(None, None, None)


async def _try_the_way(where: Address) -> None:
    """SinkError where name, connection or certificate fail."""
    try:
        async with asyncio.timeout(CONNECT_S):
            await _open(where)
    except (ConnectionResetError, ConnectionAbortedError, EOFError) as error:
        if where.tls:
            raise SinkError("no secure connection could be made. Does the broker speak TLS on that port?") from None
        raise unreachable(error) from None
    except (OSError, ValueError) as error:
        raise unreachable(error) from None


async def _open(where: Address) -> None:
    found = await in_thread(lambda: socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM), "name")
    trouble: OSError = OSError()
    for *_, one in found[:4]:
        try:
            async with asyncio.timeout(CONNECT_S / 3 if len(found) > 1 else None):
                _, writer = await asyncio.open_connection(
                    str(one[0]), int(str(one[1])), ssl=where.tls, server_hostname=where.host if where.tls else None
                )
        except ssl.SSLError:
            raise
        except OSError as error:
            trouble = error
            continue
        writer.transport.abort()
        return
    raise trouble


async def publish(client: "aiomqtt.Client", topic: str, payload: str, *, retain: bool = False) -> None:
    """Published and confirmed (QoS 1); SinkError otherwise."""
    import aiomqtt

    try:
        await client.publish(topic, payload.encode("utf-8", "replace"), qos=1, retain=retain)
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        raise broke(error) from None
    _end_if_cancelled()


async def subscribe(client: "aiomqtt.Client", topics: list[str]) -> None:
    """Subscribed, as far as the broker's rules allow it; SinkError where it does not answer."""
    import aiomqtt

    try:
        await client.subscribe([(topic, 1) for topic in topics])
    except (aiomqtt.MqttError, OSError, ValueError) as error:
        raise broke(error) from None
    _end_if_cancelled()


def _end_if_cancelled() -> None:
    """asyncio.wait_for, which aiomqtt waits with, forgets a cancellation that comes with the answer (until 3.12)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def broke(error: BaseException) -> SinkError:
    """Why a client's work failed."""
    reason: Any = getattr(error, "rc", None)
    if getattr(reason, "value", reason) in _REFUSED:
        return SinkError("the broker does not take this user name and password. Check both, and the broker's own rules")
    if isinstance(error, TimeoutError) or "timed out" in str(error):
        return SinkError("the broker gives no answer in time")
    return SinkError("the connection to the broker broke")
