"""Every option of camguard.toml, declared once: type, default, unit, help and example.

The check of the file (config.py), the commented sample, `camguard options` and docs/reference.md are derived from this
list. Values are typed by msgspec; what a value must also be (a MAC, a known camera, ...) is checked in config.py.
"""

import json
from dataclasses import dataclass

#: Sections that are lists of tables: [[camera]] and so on.
MANY = ("camera", "device", "expect")
#: Sections and keys of the published format that this version does not read yet, with what they are for.
LATER = {
    "notify": "alerts to your phone or mail",
    "quiet": "quiet hours",
    "web": "the review page",
}

Value = bool | int | str | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Option:
    """One key of one section. `default` None: not set; `required`: must be written; `type` is what msgspec converts to.

    `example` is the value in TOML, as the sample file shows it; `unset`: what holds, in words, when it is not written.
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
    "store": "The record of what was seen.",
}


def of(section: str) -> dict[str, Option]:
    """The options of one section by key; empty for an unknown section."""
    return {option.name: option for option in OPTIONS if option.section == section}


def header(section: str) -> str:
    """The TOML header of a section: [home] or [[camera]]."""
    return f"[[{section}]]" if section in MANY else f"[{section}]"


def sample(timezone: str | None = None) -> str:
    """A whole camguard.toml, everything explained and commented out, but for `timezone` where it is given."""
    lines = ["# camguard. Every key with its meaning; a line counts once the # before it is taken away.", ""]
    for section in SECTIONS:
        lines.append(f"# {SECTION_HELP[section]}")
        active = section == "home" and timezone is not None
        lines.append(header(section) if active else f"#{header(section)}")
        for option in of(section).values():
            written = active and option.name == "timezone"
            value = toml_value(timezone) if written else option.example
            lines.append(f"#   {option.help}{_default_note(option)}")
            lines.append(f"{'' if written else '#'}{option.name} = {value}")
        lines.append("")
    return "\n".join(lines)


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
