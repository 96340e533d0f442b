"""A webhook: each alert as JSON to a program of the owner's. In: messages; out: one POST each, over HTTP/1.1.

The body is UTF-8 JSON: the alert as in contract.md, as far as the channel's detail goes, with `short_id`, `sound` and
the detail. Headers:

X-Camguard-Timestamp   seconds since 1970 when this try was made
X-Camguard-Signature   sha256=HEX, HMAC-SHA256 with the channel's key over timestamp + "." + body; none without a key
X-Camguard-Delivery    alert, state and time: the same for each try, so that a repeat is recognised

Done by asyncio's streams: one deadline holds for name, connection, certificate and answer together. A redirect is not
followed: what was meant for one address goes to no other.
"""

import asyncio
import hashlib
import hmac
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from camguard import __version__, report
from camguard.errors import SinkError
from camguard.tell.refusal import refused, unreachable
from camguard.tell.threads import in_thread

TIMEOUT_S = 10.0
MAX_HEAD = 65_536


class Webhook:
    """The Sender for a webhook. `url`, `key`: secrets; neither is ever in an error."""

    replaces = True  # a program sees by `id` that it is the same matter

    def __init__(self, name: str, url: str, key: str = "", ca_file: str | None = None) -> None:
        self.name = name
        self._url, self._key, self._ca_file = url, key.encode(), ca_file

    async def send(self, message: report.Message, *, sound: bool, remote_id: str | None) -> str | None:
        """One POST; SinkError where the answer is no 2xx."""
        alert = getattr(message, "alert", {})
        content = _allowed(alert, getattr(message, "detail", "full")) | {
            "id": message.id, "title": message.title, "body": message.body, "severity": message.severity,
            "state": message.state, "short_id": message.short_id, "sound": sound,
        }  # fmt: skip
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        stamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "X-Camguard-Timestamp": stamp,
            "X-Camguard-Delivery": _header(f"{message.id}-{message.state}-{alert.get('time') or ''}"),
        }
        if self._key:
            signed = hmac.new(self._key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
            headers["X-Camguard-Signature"] = f"sha256={signed}"
        await request("POST", self._url, body, headers, ca_file=self._ca_file)
        return None


#: What a channel may see that is told less than all.
_SHORT = {"kind", "time", "type", "confidence", "raised", "started", "count"}
_DISCREET = {"kind", "time", "raised"}


def _allowed(alert: Mapping[str, Any], detail: str) -> dict[str, Any]:
    """The alert with null for what `detail` keeps back."""
    if detail == "full":
        return dict(alert)
    kept = _SHORT if detail == "short" else _DISCREET
    return {key: value if key in kept else None for key, value in alert.items()} | {"evidence": []}


async def request(
    method: str,
    url: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = TIMEOUT_S,
    ca_file: str | None = None,
) -> int:
    """The status of an answer that is 2xx, in `timeout_s` at most, whatever hangs. SinkError for everything else."""
    parts = _split(url)
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(method, parts, body, headers or {}, ca_file)
    except SinkError:
        raise
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
        raise unreachable(error) from None


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        ok = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        ok = False
    if not ok or not url.isascii() or not url.isprintable() or " " in url:
        raise SinkError("its address is none that camguard can use. It looks like https://nas.lan/camguard", True)
    return parts


async def _exchange(
    method: str, parts: SplitResult, body: bytes, headers: Mapping[str, str], ca_file: str | None
) -> int:
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    secure = None if parts.scheme == "http" else await in_thread(lambda: _context(ca_file), "certificates")
    found = await in_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), "name")
    reader, writer = await _connect(found, secure, host)
    try:
        where = f"[{host}]" if ":" in host else host
        head = {"Host": where if parts.port is None else f"{where}:{parts.port}", "Connection": "close"}
        head |= {"User-Agent": f"camguard/{__version__}", "Accept": "*/*", "Content-Length": str(len(body)), **headers}
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"{method} {path} HTTP/1.1", *(f"{key}: {value}" for key, value in head.items()), "", ""]
        writer.write("\r\n".join(lines).encode("latin-1", "replace") + body)
        await writer.drain()
        return await _answer(reader)
    finally:
        writer.transport.abort()  # nothing more is wanted from the other side, and it shall hold up nobody


async def _connect(
    found: Sequence[tuple[Any, ...]], secure: ssl.SSLContext | None, host: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first address that takes one; the last one's error otherwise."""
    trouble: OSError = OSError()
    for *_, address in found[:4]:
        try:
            async with asyncio.timeout(TIMEOUT_S / 2 if len(found) > 1 else None):
                return await asyncio.open_connection(
                    str(address[0]), int(str(address[1])), ssl=secure, server_hostname=host if secure else None,
                    limit=MAX_HEAD,
                )  # fmt: skip
        except ssl.SSLError:
            raise
        except OSError as error:
            trouble = error
    raise trouble


async def _answer(reader: asyncio.StreamReader) -> int:
    """The status of the final answer (those that begin with 1 are passed over)."""
    for _ in range(5):
        head = await reader.readuntil(b"\r\n\r\n")
        first, _, rest = head.partition(b"\r\n")
        found = re.match(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: |$)", first)
        if not found:
            raise SinkError("what answers there does not speak HTTP")
        status = int(found[1])
        if 200 <= status < 300:
            return status
        if status >= 300:
            raise refused(status, _retry_after(rest))
    raise SinkError("what answers there does not speak HTTP")


def _retry_after(head: bytes) -> float | None:
    """RFC 9110 section 10.2.3: seconds or a date."""
    found = re.search(rb"(?im)^retry-after:[ \t]*([^\r\n]{1,40})", head)
    if not found:
        return None
    text = found[1].decode("latin-1").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


@lru_cache(maxsize=4)
def _context(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError):
        raise SinkError("the file with the certificates to trust (ca_file) cannot be read") from None


def _header(text: str) -> str:
    return re.sub(r"[^\x21-\x7e]", "_", text)[:200]
