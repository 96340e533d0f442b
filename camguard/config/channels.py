"""The places that alerts go to: [[notify]] tables -> Channel. Secrets are named here and read by deliver only.

Nothing that a mistaken owner may have written as a secret is repeated in an error.
"""

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NoReturn
from urllib.parse import SplitResult, urlsplit

from camguard import options
from camguard.config.forms import nearest
from camguard.config.secret import Secret

Kind = Literal["apprise", "webhook", "mqtt"]
Fail = Callable[[str, str], NoReturn]

MAX_NAME = 32
FOLDER = "/etc/camguard/secrets"
#: What an owner may call the secret itself, and how camguard calls the place where it is kept.
LITERALS = {
    "url": "url_file",
    "apprise": "url_file",
    "ntfy": "url_file",
    "webhook": "webhook_file",
    "webhook_url": "webhook_file",
    "hmac": "hmac_file",
    "hmac_key": "hmac_file",
    "secret": "hmac_file",
    "password": "password_file",
    "token": "url_file",
    "ping_url": "ping_url_file",
    "ping": "ping_url_file",
}
#: Keys of [[notify]] that say what the channel is -> its kind.
_KINDS: dict[str, Kind] = {
    "url_file": "apprise",
    "url_env": "apprise",
    "url_credential": "apprise",
    "webhook": "webhook",
    "webhook_file": "webhook",
    "webhook_env": "webhook",
    "webhook_credential": "webhook",
    "mqtt": "mqtt",
}
_HOME_NAMES = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".fritz.box")
_TELLTALE = re.compile(r"(?i)(^|[_-])(token|key|secret|password|passwd|auth|sig|signature)$")


@dataclass(frozen=True, slots=True)
class Channel:
    """A place that alerts go to.

    secret   apprise: the URL; webhook: the key that signs (nothing: unsigned); mqtt: the password (nothing: none)
    address  webhook: where the address is kept, when it is a secret itself; else nothing, and it is options["url"]
    options  webhook: url, ca_file; mqtt: url, username, ca_file, discovery_prefix, base_topic (only what is set)
    """

    name: str
    kind: Kind
    secret: Secret = field(default_factory=Secret)
    severity: Literal["info", "warning", "critical"] = "warning"
    cameras: tuple[str, ...] = ("*",)
    when: str | None = None
    detail: Literal["full", "short", "discreet"] = "full"
    options: Mapping[str, str] = field(default_factory=dict)
    address: Secret = field(default_factory=Secret)
    weekly: bool = True

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret that the channel needs."""
        return tuple(secret for secret in (self.secret, self.address) if secret)


def literal_words(key: str) -> str | None:
    """How to write a secret that was written into the file under `key`; None where `key` is no such word."""
    if key not in LITERALS:
        return None
    place = LITERALS[key]
    file = f"{FOLDER}/{place.removesuffix('_file').replace('ping_url', 'ping')}"
    return (
        f"a secret is not written into this file. Put it into a file of its own, "
        f'`sudo install -m 640 -g camguard-deliver /dev/stdin {file}`, and write {place} = "{file}".'
    )


def channels_of(
    tables: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]], cameras: Collection[str], fail: Fail
) -> tuple[Channel, ...]:
    """The channels of all [[notify]]: (place, with defaults, as written) each; `fail` raises the ConfigError."""
    taken: dict[str, str] = {}
    for place, table, _ in tables:
        name = table["name"]
        if name is None:
            continue
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            fail(f"{place}.name", f"must be 1 to {MAX_NAME} printable characters.")
        if name.casefold() in taken:
            fail(f"{place}.name", f'"{name}" is already used by {taken[name.casefold()]}.')
        taken[name.casefold()] = place
    made = []
    for place, table, written in tables:
        channel = _channel(place, table, written, cameras, fail)
        name = channel.name
        if table["name"] is None:
            number = 1
            while name.casefold() in taken:
                number += 1
                name = f"{channel.name} {number}"
            taken[name.casefold()] = place
        made.append(_named(channel, name))
    return tuple(made)


def secret_of(place: str, stem: str, table: Mapping[str, Any], fail: Fail) -> Secret:
    """The secret that `stem`_file, _env or _credential of a table names; nothing where none of them is written."""
    keys = [f"{stem}_{way}" for way in ("file", "env", "credential")]
    written = [key for key in keys if table[key] is not None]
    if len(written) > 1:
        fail(f"{place}.{written[1]}", f"{written[0]} says it already; write one of them.")
    if not written:
        return Secret()
    key, value = written[0], table[written[0]]
    if "://" in value or len(value) > 200 or not value.isprintable():
        fail(f"{place}.{key}", f"must say where the secret is kept, not the secret itself. {literal_words(stem)}")
    if key.endswith("_file"):
        return Secret(file=_absolute(f"{place}.{key}", value, fail))
    if key.endswith("_env"):
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            fail(f"{place}.{key}", "must be the name of a variable, such as CAMGUARD_NTFY_URL.")
        return Secret(env=value)
    if not re.fullmatch(r"[A-Za-z0-9_.\-]+", value) or value in (".", ".."):
        fail(f"{place}.{key}", "must be the name of a credential of systemd, such as ntfy.url.")
    return Secret(credential=value)


def _absolute(place: str, value: str, fail: Fail) -> Path:
    if not value.startswith("/"):
        fail(place, f"must be a whole path, such as {FOLDER}/ntfy.url.")
    return Path(value)


def _named(channel: Channel, name: str) -> Channel:
    return replace(channel, name=name)


def _channel(
    place: str, table: Mapping[str, Any], written: Mapping[str, Any], cameras: Collection[str], fail: Fail
) -> Channel:
    kind = _kind(place, written, fail)
    for name in table["cameras"]:
        if name != "*" and name not in cameras:
            fail(f"{place}.cameras", f'no camera is called "{name}".{nearest(name, cameras)}')
    if not table["cameras"]:
        fail(f"{place}.cameras", 'names no camera; write ["*"] for all.')
    secret, address, more = _READ[kind](place, table, fail)
    return Channel(
        name=table["name"] or _default_name(kind, secret or address),
        kind=kind,
        secret=secret,
        severity=table["severity"],
        cameras=tuple(table["cameras"]),
        when=table["when"],
        detail=table["detail"],
        options=more,
        address=address,
        weekly=table["weekly"],
    )


def _kind(place: str, written: Mapping[str, Any], fail: Fail) -> Kind:
    """What the channel is: exactly one key says so, and the keys of other kinds are not there."""
    found = [key for key in _KINDS if key in written]
    if not found:
        fail(place, "says no place: write url_file (phone, mail), webhook (a program of yours) or mqtt (a broker).")
    kind = _KINDS[found[0]]
    for key in found[1:]:
        if _KINDS[key] != kind:
            fail(f"{place}.{key}", f"{found[0]} stands in the same table; write a [[notify]] for each place.")
        fail(f"{place}.{key}", f"{found[0]} says it already; write one of them.")
    for key in written:
        other = options.of("notify")[key].kind
        if other and kind not in other.split():
            named = {"apprise": "an Apprise URL", "webhook": "a webhook", "mqtt": "mqtt"}
            fail(f"{place}.{key}", f"is for {named[other.split()[0]]}; this table has {found[0]}.")
    return kind


def _apprise(place: str, table: Mapping[str, Any], fail: Fail) -> tuple[Secret, Secret, dict[str, str]]:
    return secret_of(place, "url", table, fail), Secret(), {}


def _webhook(place: str, table: Mapping[str, Any], fail: Fail) -> tuple[Secret, Secret, dict[str, str]]:
    key, address = secret_of(place, "hmac", table, fail), secret_of(place, "webhook", table, fail)
    made = {} if table["ca_file"] is None else {"ca_file": str(_absolute(f"{place}.ca_file", table["ca_file"], fail))}
    if table["webhook"] is None:
        return key, address, made
    words = address_words(table["webhook"])
    if words:
        fail(f"{place}.webhook", words)
    return key, address, made | {"url": table["webhook"]}


def address_words(url: str) -> str | None:
    """Why a webhook's address in the file is wrong, or None. Says nothing of the address itself."""
    parts = _split(url)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        return "must be an address such as https://nas.lan/camguard."
    words = parts.path.split("/")
    asked = [pair.partition("=")[0] for pair in parts.query.split("&")]
    if "@" in parts.netloc or any(map(_TELLTALE.search, asked)) or any(map(_looks_secret, words)) or parts.fragment:
        file = f"{FOLDER}/webhook.url"
        return (
            "a secret is in it, and secrets are not written into this file. Put the whole address into a file of its "
            f'own, `sudo install -m 640 -g camguard-deliver /dev/stdin {file}`, and write webhook_file = "{file}".'
        )
    if parts.scheme == "http" and not at_home(parts.hostname):
        return "would send alerts readable to everybody on the way; write https://."
    return None


def _mqtt(place: str, table: Mapping[str, Any], fail: Fail) -> tuple[Secret, Secret, dict[str, str]]:
    password = secret_of(place, "password", table, fail)
    parts = _split(table["mqtt"])
    if parts is not None and "@" in parts.netloc:
        fail(
            f"{place}.mqtt",
            f"name and password do not stand in it. Write username, and for the password: {literal_words('password')}",
        )
    if parts is None or parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
        fail(f"{place}.mqtt", "must be mqtts://host:8883, or mqtt://host:1883 inside your home.")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        fail(f"{place}.mqtt", "ends after the port; a topic is written as base_topic.")
    if parts.scheme == "mqtt" and not at_home(parts.hostname):
        fail(f"{place}.mqtt", "would send password and alerts readable to everybody on the way; write mqtts://.")
    if password and table["username"] is None:
        fail(f"{place}.username", "must be written where there is a password.")
    made = {"url": table["mqtt"], "discovery_prefix": table["discovery_prefix"], "base_topic": table["base_topic"]}
    for key in ("discovery_prefix", "base_topic"):
        if not re.fullmatch(r"[^\s/+#$\x00][^\s+#\x00]{0,63}", table[key]) or table[key].endswith("/"):
            fail(f"{place}.{key}", f'must be a topic without + and #, such as "{key.partition("_")[0]}".')
    if table["discovery_prefix"] == table["base_topic"]:
        fail(f"{place}.base_topic", "must be another one than discovery_prefix.")
    if table["username"] is not None:
        made["username"] = table["username"]
    if table["ca_file"] is not None:
        if parts.scheme == "mqtt":
            fail(f"{place}.ca_file", "is for mqtts://; mqtt:// has no certificate.")
        made["ca_file"] = str(_absolute(f"{place}.ca_file", table["ca_file"], fail))
    return password, Secret(), made


_READ: dict[str, Callable[[str, Mapping[str, Any], Fail], tuple[Secret, Secret, dict[str, str]]]] = {
    "apprise": _apprise,
    "webhook": _webhook,
    "mqtt": _mqtt,
}


def _split(url: str) -> SplitResult | None:
    if not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def at_home(host: str) -> bool:
    """Whether a host is in the home's own network, as far as its name or address says."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.lower().rstrip(".")
        return "." not in name or name.endswith(_HOME_NAMES)
    return address.is_private or address.is_loopback or address.is_link_local


def _looks_secret(word: str) -> bool:
    """A part of a path that is long and mixes letters and digits: services give such addresses as a secret."""
    return len(word) >= 20 and bool(re.search(r"\d", word)) and bool(re.search(r"[A-Za-z]", word))


def _default_name(kind: str, secret: Secret) -> str:
    """A name that everybody finds without reading the secret: "ntfy" of ntfy.url, ntfy-url, CAMGUARD_NTFY_URL."""
    if kind != "apprise":
        return kind
    text = secret.file.name if secret.file else secret.env or secret.credential or ""
    stem = re.sub(r"(?i)^camguard[_-]|[._-](url|txt|conf|secret|env)$", "", text).lower()
    kept = "".join(sign for sign in stem if sign.isprintable())[:MAX_NAME].strip()
    return kept if kept not in ("", "url") else "push"
