"""Every option of camguard.toml, declared once: type, default, unit, help and example.

The check of the file (config.py), the commented sample, `camguard options` and docs/reference.md are derived from this
list. Values are typed by msgspec; what a value must also be (a MAC, a known camera, ...) is checked in config.py.
"""

import json
from dataclasses import dataclass

#: Sections that are lists of tables: [[camera]] and so on.
MANY = ("camera", "device", "expect", "notify")
#: Sections and keys of the published format that this version does not read yet, with what they are for.
LATER = {
    "web": "the review page",
}

Value = bool | int | str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Option:
    """One key of one section. `default` None: not set; `required`: must be written; `type` is what msgspec converts to.

    `example` is the value in TOML, as the sample file shows it; `unset`: what holds, in words, when it is not written.
    `kind`: only tables of this kind (or these, with blanks between) take the key ([[notify]]: what the channel is).
    `instead`: the key of the same table that says the same thing in another way, so that only one of them is written.
    """

    section: str
    name: str
    type: object
    help: str
    example: str
    default: Value = None
    unit: str = ""
    choices: tuple[str, ...] = ()
    required: bool = False
    unset: str = ""
    least: int | None = None
    most: int | None = None
    kind: str = ""
    instead: str = ""

    @property
    def place(self) -> str:
        """The key with its section, as it is written in the reference: `camera.mac`."""
        return f"{self.section}.{self.name}"

    @property
    def type_words(self) -> str:
        """The type for a person."""
        if self.choices and self.type is not str:
            return "list of " + ", ".join(f'"{choice}"' for choice in self.choices)
        if self.choices:
            return " or ".join(f'"{choice}"' for choice in self.choices)
        return TYPE_WORDS[self.type]

    @property
    def default_words(self) -> str:
        """The default for a person, in TOML where it is a value."""
        if self.required:
            return "must be written"
        if self.unset:
            return self.unset
        return toml_value(self.default)


TEXTS = str | list[str]
TYPE_WORDS: dict[object, str] = {
    str: "text",
    TEXTS: "text or list of texts",
    list[str]: "list of texts",
    bool: "true or false",
    int: "whole number",
}


def toml_value(value: Value) -> str:
    """`value` as it is written in TOML ("none" for None: TOML has no such word)."""
    if value is None:
        return "none"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)


def _other_ways(
    section: str, key: str, what: str, variable: str, credential: str, kind: str = "", instead: str = ""
) -> tuple[Option, Option]:
    """The two other places that a secret may be in: `key` is its ..._file."""
    stem, first = key.removesuffix("_file"), instead or key
    return (
        Option(
            section,
            f"{stem}_env",
            str,
            f"The variable of the environment that holds {what}.",
            f'"CAMGUARD_{variable}"',
            unset="not written",
            kind=kind,
            instead=first,
        ),
        Option(
            section,
            f"{stem}_credential",
            str,
            f"The systemd credential that holds {what}.",
            f'"{credential}"',
            unset="not written",
            kind=kind,
            instead=first,
        ),
    )


OPTIONS: tuple[Option, ...] = (
    Option(
        "home",
        "timezone",
        str,
        "The time zone of your home: for the times in messages and for hours in rules.",
        '"Europe/Berlin"',
        unset="the machine's",
    ),
    Option(
        "home",
        "learn_days",
        int,
        "Alerts for plain cloud traffic are held back for so many days of looking at a camera, and what is usual is"
        " learned; 0: none is ever held back.",
        "7",
        default=7,
        unit="days",
        least=0,
        most=30,
    ),
    Option(
        "network",
        "interface",
        TEXTS,
        "The network interface where the cameras' traffic passes; a list for several.",
        '"br-lan"',
        unset="the one with the default route",
    ),
    Option(
        "network",
        "local",
        list[str],
        "Networks behind the router that count as home all the same (a second house, a VPN of yours).",
        '["192.168.50.0/24"]',
        default=(),
    ),
    Option(
        "network", "gateway", str, "The MAC of the router.", '"02:ff:ff:ff:ff:ff"', unset="learned from the network"
    ),
    Option("camera", "name", str, "What you call it; messages use this name.", '"porch"', required=True),
    Option(
        "camera",
        "mac",
        str,
        "Its MAC: the camera is known by it, whatever address it gets. `camguard cameras list` shows it.",
        '"02:00:00:00:00:01"',
        unset="none; then ip must be written",
    ),
    Option(
        "camera",
        "ip",
        TEXTS,
        "Its address, where its MAC is not seen (cameras behind another router); a list for several.",
        '"192.168.1.40"',
        unset="learned from its MAC",
    ),
    Option(
        "camera",
        "kind",
        str,
        'A "recorder" fetches from cameras and is watched at home; only what it sends outside counts as viewing.',
        '"camera"',
        default="camera",
        choices=("camera", "recorder"),
    ),
    Option("camera", "vendor", str, "The maker, for its cloud's names.", '"reolink"', unset="found from the MAC"),
    Option("camera", "never", bool, "true: nobody may ever watch it; every viewing is told.", "false", default=False),
    Option(
        "camera",
        "private",
        str,
        "Private hours: even usual viewing is told then.",
        '"22:00-06:30"',
        unset="no private hours",
    ),
    Option("device", "name", str, "What you call it; rules and messages use this name.", '"phone"', required=True),
    Option("device", "mac", str, "Its MAC.", '"02:00:00:00:00:21"', unset="none; then ip must be written"),
    Option("device", "ip", TEXTS, "Its address or addresses.", '"192.168.1.20"', unset="learned from its MAC"),
    Option("device", "owner", bool, "true: its viewing counts as your own.", "true", default=False),
    Option("expect", "camera", str, 'Which camera the rule is for; "*": all.', '"porch"', default="*"),
    Option(
        "expect",
        "peer",
        str,
        'Who may: the name of a device, an address, a network, a name like "*.example.com", or "lan" for all at home.',
        '"phone"',
        default="lan",
    ),
    Option(
        "expect",
        "kinds",
        list[str],
        "What is fine: watching, sending clips, logging in; everything when not written.",
        '["stream", "clip"]',
        choices=("stream", "clip", "login"),
        unset="everything",
    ),
    Option(
        "expect",
        "when",
        str,
        "The hours of the rule; days name the day on which the hours begin.",
        '"mon-fri 22:00-06:30"',
        unset="always",
    ),
    Option(
        "notify",
        "name",
        str,
        "What messages of camguard call this channel.",
        '"my phone"',
        unset="from the file's name, such as ntfy",
    ),
    Option(
        "notify",
        "url_file",
        str,
        "A file with the Apprise URL of your phone or mail (ntfy, Telegram, Signal, Pushover, mailto, ...).",
        '"/etc/camguard/secrets/ntfy.url"',
        unset="not written",
        kind="apprise",
    ),
    *_other_ways("notify", "url_file", "an Apprise URL", "NTFY_URL", "ntfy.url", "apprise"),
    Option(
        "notify",
        "severity",
        str,
        "Alerts of at least this weight go here.",
        '"warning"',
        default="warning",
        choices=("info", "warning", "critical"),
    ),
    Option("notify", "cameras", list[str], 'Alerts of these cameras go here; "*": all.', '["*"]', default=("*",)),
    Option(
        "notify",
        "when",
        str,
        "The hours of this channel; outside of them alerts wait, but critical ones go out always.",
        '"07:00-23:00"',
        unset="always",
    ),
    Option(
        "notify",
        "detail",
        str,
        'How much it says: "short" leaves out names and places, "discreet" says that there is something to look at.',
        '"full"',
        default="full",
        choices=("full", "short", "discreet"),
    ),
    Option(
        "notify", "weekly", bool, "true: the weekly report goes here too, whatever severity says.", "true", default=True
    ),
    Option(
        "notify",
        "webhook",
        str,
        "The address of a program of yours that takes alerts as JSON. One that is a secret itself goes into a file.",
        '"https://nas.lan/camguard"',
        unset="not written",
        kind="webhook",
    ),
    Option(
        "notify",
        "webhook_file",
        str,
        "A file with the address, where the address itself is a secret.",
        '"/etc/camguard/secrets/webhook.url"',
        unset="not written",
        kind="webhook",
        instead="webhook",
    ),
    *_other_ways("notify", "webhook_file", "the address", "WEBHOOK_URL", "webhook.url", "webhook", "webhook"),
    Option(
        "notify",
        "hmac_file",
        str,
        "A file with the key that signs what is sent, so that your program knows it is from camguard.",
        '"/etc/camguard/secrets/webhook.key"',
        unset="not signed",
        kind="webhook",
    ),
    *_other_ways("notify", "hmac_file", "the key", "WEBHOOK_KEY", "webhook.key", "webhook"),
    Option(
        "notify",
        "mqtt",
        str,
        "The broker of your home automation: mqtts://host:8883, or mqtt://host:1883 inside your home.",
        '"mqtts://broker.lan:8883"',
        unset="not written",
        kind="mqtt",
    ),
    Option(
        "notify",
        "username",
        str,
        "The name that the broker knows camguard by.",
        '"camguard"',
        unset="not written",
        kind="mqtt",
    ),
    Option(
        "notify",
        "password_file",
        str,
        "A file with the password for the broker.",
        '"/etc/camguard/secrets/mqtt.password"',
        unset="not written",
        kind="mqtt",
    ),
    *_other_ways("notify", "password_file", "the password", "MQTT_PASSWORD", "mqtt.password", "mqtt"),
    Option(
        "notify",
        "ca_file",
        str,
        "The certificate that signed the one of the broker or webhook, where it is one of your own.",
        '"/etc/camguard/broker-ca.pem"',
        unset="the ones the machine trusts",
        kind="mqtt webhook",
    ),
    Option(
        "notify",
        "discovery_prefix",
        str,
        "Where Home Assistant looks for new devices.",
        '"homeassistant"',
        default="homeassistant",
        kind="mqtt",
    ),
    Option(
        "notify",
        "base_topic",
        str,
        "The first part of camguard's own topics.",
        '"camguard"',
        default="camguard",
        kind="mqtt",
    ),
    Option(
        "quiet",
        "hours",
        str,
        "Alerts of weight info and warning wait until these hours are over; critical ones never wait.",
        '"23:00-07:00"',
        unset="no quiet hours",
    ),
    Option(
        "alive",
        "ping_url_file",
        str,
        "A file with the address of a watch service (as healthchecks.io) that tells you when camguard falls silent.",
        '"/etc/camguard/secrets/ping.url"',
        unset="nobody is asked",
    ),
    *_other_ways("alive", "ping_url_file", "the address", "PING_URL", "ping.url"),
    Option(
        "store", "max_mb", int, "How large the record may grow.", "256", default=256, unit="MB", least=16, most=65536
    ),
    Option(
        "store", "keep_days", int, "How long the record is kept.", "365", default=365, unit="days", least=1, most=3650
    ),
)

SECTIONS: tuple[str, ...] = tuple(dict.fromkeys(option.section for option in OPTIONS))
SECTION_HELP: dict[str, str] = {
    "home": "Your home.",
    "network": "Where to look. Usually nothing here needs to be written.",
    "camera": "One [[camera]] for each camera. `sudo camguard cameras add` writes these for you.",
    "device": "Your own devices, so that messages can call them by name and rules can mention them.",
    "expect": "What is fine. Anybody else who watches a camera is told. Without a rule every viewer is told.",
    "notify": "Where alerts go. One [[notify]] for each place. A secret is not written here, only where it is kept.",
    "quiet": "Hours in which only what is critical is told.",
    "alive": "Somebody outside who notices when camguard, or the whole machine, falls silent.",
    "store": "The record of what was seen.",
}


def of(section: str) -> dict[str, Option]:
    """The options of one section by key; empty for an unknown section."""
    return {option.name: option for option in OPTIONS if option.section == section}


def kinds(section: str) -> tuple[str, ...]:
    """The kinds of tables that a section has, in the order of the list; empty where all are alike."""
    return tuple(dict.fromkeys(kind for option in of(section).values() for kind in option.kind.split()[:1]))


def header(section: str) -> str:
    """The TOML header of a section: [home] or [[camera]]."""
    return f"[[{section}]]" if section in MANY else f"[{section}]"


def sample(timezone: str | None = None) -> str:
    """A whole camguard.toml, every key explained and commented out, but for `timezone` where it is given."""
    lines = ["# camguard. Every key with its meaning; a line counts once the # before it is taken away.", ""]
    for section in SECTIONS:
        lines.append(f"# {SECTION_HELP[section]}")
        for number, kind in enumerate(kinds(section) or ("",)):
            # an empty table says nothing; a commented one would give its keys to the table above it
            active = section not in MANY
            lines.append(header(section) if active else f"#{header(section)}")
            shown = ("", kind) if number == 0 else (kind,)
            for option in (option for option in of(section).values() if option.kind.split(" ")[0] in shown):
                lines += _sample_lines(option, timezone if active and option.name == "timezone" else None)
            lines.append("")
    return "\n".join(lines)


def _sample_lines(option: Option, written: str | None) -> list[str]:
    if option.instead:
        return [f"#   Or: {option.name} = {option.example}  {option.help}"]
    value = option.example if written is None else toml_value(written)
    return [
        f"#   {option.help}{_default_note(option)}",
        f"{'#' if written is None else ''}{option.name} = {value}",
    ]


def _default_note(option: Option) -> str:
    unit = f" {option.unit}" if option.unit else ""
    return f" Default: {option.default_words}{unit}." if not option.required else ""


def as_rows() -> list[dict[str, object]]:
    """One dict per option for `camguard options`: key, type, default, unit, help, example."""
    return [
        {
            "key": option.place,
            "type": option.type_words,
            "default": option.default_words,
            "unit": option.unit or None,
            "help": option.help,
            "example": option.example,
        }
        for option in OPTIONS
    ]


def as_text() -> str:
    """All options for a terminal: key, type and default on one line, the help below."""
    lines = []
    for section in SECTIONS:
        lines.append(f"{header(section)}  {SECTION_HELP[section]}")
        for option in of(section).values():
            unit = f" {option.unit}" if option.unit else ""
            lines.append(f"  {option.name}: {option.type_words}; default: {option.default_words}{unit}")
            lines.append(f"      {option.help}")
            lines.append(f"      example: {option.name} = {option.example}")
        lines.append("")
    return "\n".join(lines)


def as_markdown() -> str:
    """The table of docs/reference.md (a test compares)."""
    lines = ["| key | type | default | what it is | example |", "|---|---|---|---|---|"]
    for option in OPTIONS:
        unit = f" {option.unit}" if option.unit else ""
        default = option.default_words if option.required or option.unset else f"`{option.default_words}`"
        lines.append(
            f"| `{option.place}` | {option.type_words} | {default}{unit} | {option.help} | `{option.example}` |"
        )
    return "\n".join(lines) + "\n"
