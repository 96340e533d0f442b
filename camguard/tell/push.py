"""A push through Apprise: phone, mail, chat. In: messages and one Apprise URL; out: one notification each.

Apprise (apprise 2.2 and later) is loaded when the first message is sent, by this process alone. One URL a delivery, a
new object each time, its own retries off: what failed is tried again by the outbox. It may say "failed" of what did
arrive (caronc/apprise#1685), so each body ends in the short id. Its answer is tested by `bool`. Its messages are never
shown, because they may quote the address, which is the secret; only a status code is taken from them.
"""

import asyncio
import importlib
import logging
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from camguard import report
from camguard.errors import SinkError
from camguard.tell.refusal import refused
from camguard.tell.threads import in_thread

TIMEOUT_S = 30.0
STUCK_MAX = 3  # threads of one channel that never came back; then it is left alone until one does
#: How loud: schema -> attribute of the plugin, values for critical, other with sound, without sound. An owner who
#: writes the same into the URL is not overruled.
_LOUD: dict[str, tuple[str, Any, Any, Any]] = {
    "ntfy": ("priority", "max", "high", "low"),
    "ntfys": ("priority", "max", "high", "low"),
    "gotify": ("priority", 10, 8, 3),
    "gotifys": ("priority", 10, 8, 3),
    "pover": ("priority", 1, 0, -1),
    "tgram": ("silent", False, False, True),
}
_QUIET_LOGGERS = ("apprise", "urllib3", "requests", "charset_normalizer", "markdown", "MARKDOWN", "paho", "asyncio")


class ApprisePush:
    """The Sender for one Apprise URL. The URL is never in an error."""

    replaces = False  # hardly any service can, and Apprise hands on none of the ids that it would need

    def __init__(self, name: str, url: str) -> None:
        self.name, self._url = name, url
        self._stuck: list[bool] = []

    async def send(self, message: report.Message, *, sound: bool, remote_id: str | None) -> str | None:
        """Hand it to Apprise; SinkError where it does not say that it was sent."""
        if len(self._stuck) >= STUCK_MAX:
            raise SinkError("the service does not answer, and earlier tries still hang")
        self._stuck.append(True)

        def work() -> SinkError | None:
            try:
                return _notify(self._url, message, sound)
            finally:
                self._stuck.pop()

        try:
            async with asyncio.timeout(TIMEOUT_S):
                trouble = await in_thread(work, "apprise")
        except TimeoutError:
            raise SinkError("the service did not answer in time") from None
        if trouble is not None:
            raise trouble
        return None


def silence() -> None:
    """No library may print: what they have to say can hold an address. Called once by the program, too."""
    logging.getLogger().addHandler(logging.NullHandler())  # else logging's last resort prints warnings to stderr
    for name in _QUIET_LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    warnings.simplefilter("ignore")


def _notify(url: str, message: report.Message, sound: bool) -> SinkError | None:
    """Blocking. Loads Apprise when first called."""
    silence()
    try:
        import apprise
    except ImportError:
        return SinkError("Apprise is not installed. Run systemd/install.sh again")
    asset = apprise.AppriseAsset(
        app_id="camguard",
        app_desc="camguard",
        app_url="",
        storage_mode="memory",  # nothing is written to the disk
        async_mode=False,
        default_service_retry=0,
        http_redirects=False,  # what was meant for one address goes to no other
        image_url_mask="",
        image_url_logo="",
        service_timeout=TIMEOUT_S - 2.0,
    )
    schema = url.partition("://")[0].lower()
    plugin = _plugin(apprise, url, schema, asset)
    if plugin is None:
        known = bool(re.fullmatch(r"[a-z0-9]{1,20}", schema))
        which = f" (it begins with {schema}://)" if known else ""
        return SinkError(f"this is no address that Apprise understands{which}", True)
    _loudness(plugin, url, schema, message, sound)
    plugin.retry, plugin.optional = 0, False  # whatever the URL says: "optional" would call a failure a success
    box = apprise.Apprise(asset=asset)
    box.add(plugin)
    kind = {"critical": apprise.NotifyType.FAILURE, "warning": apprise.NotifyType.WARNING}.get(
        message.severity, apprise.NotifyType.INFO
    )
    if message.state == "closed":
        kind = apprise.NotifyType.SUCCESS
    result = box.notify(title=message.title, body=message.body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT)
    return None if bool(result) else _why(result)


def _plugin(apprise: Any, url: str, schema: str, asset: Any) -> Any:
    """Apprise's object for the URL, None where it knows no such address.

    Apprise would load all its 155 plugins (16 MB, a second) to find the one; here the one is found by its text. What is
    not found so (an address as the service itself writes it, https://...) goes Apprise's own way.
    """
    try:
        made = _class_of(apprise, schema)
        if made is None:
            return apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
        asked = made.parse_url(url)
        return made(**asked | {"asset": asset}) if asked else None
    except Exception:  # noqa: BLE001 plugins of many people, and what they raise may show the URL
        return None


_CLASSES: dict[str, Any] = {}


def _class_of(apprise: Any, schema: str) -> Any:
    """The plugin that says `protocol = "SCHEMA"`, loaded alone; None where none is found."""
    if not re.fullmatch(r"[a-z0-9+.-]{1,30}", schema):
        return None
    if schema not in _CLASSES:
        _CLASSES[schema] = next(filter(None, map(_loaded(schema), _files_of(apprise, schema))), None)
    return _CLASSES[schema]


def _files_of(apprise: Any, schema: str) -> list[str]:
    """Modules of Apprise whose text claims the schema."""
    folder = Path(apprise.__file__).parent / "plugins"
    claim = re.compile(
        rf"""^    (?:secure_)?protocol\b[^=\n]*=\s*(?:\([^)]*)?["']{re.escape(schema)}["']""", re.MULTILINE
    )
    found = []
    for path in sorted(folder.rglob("*.py")):
        if claim.search(path.read_text(encoding="utf-8", errors="replace")):
            found.append(".".join(("apprise", "plugins", *path.relative_to(folder).with_suffix("").parts)))
    return found


def _loaded(schema: str) -> Callable[[str], Any]:
    def load(module: str) -> Any:
        for one in vars(importlib.import_module(module)).values():
            said = [getattr(one, name, None) for name in ("protocol", "secure_protocol")]
            claims = [word for words in said if words for word in ([words] if isinstance(words, str) else words)]
            if isinstance(one, type) and one.__module__ == module and schema in claims:
                return one
        return None

    return load


def _loudness(plugin: Any, url: str, schema: str, message: report.Message, sound: bool) -> None:
    if schema not in _LOUD:
        return
    attribute, critical, other, silent = _LOUD[schema]
    if re.search(rf"[?&]{attribute}=", url, re.IGNORECASE) or not hasattr(plugin, attribute):
        return
    value = silent if not sound else critical if message.severity == "critical" else other
    setattr(plugin, attribute, value)


def _why(result: Any) -> SinkError:
    """Apprise's own words are read for a status code and thrown away."""
    words = " ".join(str(getattr(entry, "message", "")) for entry in _entries(result))
    found = re.findall(r"error=([3-5]\d\d)\d*\b", words) or re.findall(r"\bHTTP (?:error )?([3-5]\d\d)\b", words)
    if found:
        return refused(int(found[-1]))
    if re.search(r"(?i)timed? ?out", words) or getattr(getattr(result, "status", None), "name", "") == "TIMEOUT":
        return SinkError("the service did not answer in time")
    if re.search(r"(?i)certificate", words):
        return SinkError("nothing was sent: the certificate of the service cannot be trusted")
    return SinkError("the service could not be reached, or did not take it")


def _entries(result: Any) -> list[Any]:
    try:
        return list(result.logs())
    except Exception:  # noqa: BLE001 only to learn more; an older Apprise has none
        return []
