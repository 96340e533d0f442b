"""What Home Assistant accepts and would show: a checker of discovery payloads and a small model of its entities.

Written from its documentation and from what its schemas require, read on 2026-11-24:

[mqtt]    home-assistant.io/integrations/mqtt: discovery topic, device discovery payload, shared options, availability
[page]    home-assistant.io/integrations/<platform>.mqtt: the options of each platform and which are required
[schema]  home-assistant/core homeassistant/components/mqtt/schemas.py (2026): device, origin, components required;
          unique_id required for entities of a device; `object_id` is no option any more, `default_entity_id` is one
[class]   home-assistant.io/integrations/<platform>/#device-class
[event]   core homeassistant/components/mqtt/event.py: retained messages and unknown event types are thrown away
[update]  core homeassistant/components/mqtt/{binary_sensor,sensor,switch,number}.py: how payloads are read

Home Assistant drops unknown options of a component without a word (REMOVE_EXTRA), and refuses unknown ones at the root;
here both are faults.
"""

import json
import re
from datetime import datetime
from typing import Any

TOPIC = re.compile(r"(?P<component>\w+)/(?:(?P<node>[a-zA-Z0-9_-]+)/)?(?P<object>[a-zA-Z0-9_-]+)/config")
SHARED = {
    "availability", "availability_mode", "availability_template", "availability_topic", "command_topic", "encoding",
    "message_expiry_interval", "payload_available", "payload_not_available", "state_topic", "qos",
}  # fmt: skip
ROOT = SHARED | {"device", "origin", "components"}
DEVICE = {
    "identifiers", "connections", "manufacturer", "model", "model_id", "name", "hw_version", "serial_number",
    "sw_version", "via_device", "suggested_area", "configuration_url",
}  # fmt: skip
ORIGIN = {"name", "sw_version", "support_url"}
ENTITY = SHARED | {
    "platform", "unique_id", "default_entity_id", "name", "icon", "entity_category", "enabled_by_default",
    "visible_by_default", "entity_picture", "json_attributes_topic", "json_attributes_template", "device_class",
}  # fmt: skip
#: platform -> (its own options, those that are required)
PLATFORMS: dict[str, tuple[set[str], set[str]]] = {
    "binary_sensor": (
        {"payload_on", "payload_off", "off_delay", "expire_after", "force_update", "value_template"},
        {"state_topic"},
    ),
    "sensor": (
        {"unit_of_measurement", "state_class", "expire_after", "force_update", "value_template", "options"}
        | {"suggested_display_precision", "last_reset_value_template"},
        {"state_topic"},
    ),
    "event": ({"event_types", "value_template"}, {"state_topic", "event_types"}),
    "button": ({"payload_press", "command_template", "retain"}, {"command_topic"}),
    "number": (
        {"min", "max", "step", "mode", "unit_of_measurement", "optimistic", "payload_reset", "retain"}
        | {"command_template", "value_template"},
        {"command_topic"},
    ),
    "switch": (
        {"payload_on", "payload_off", "state_on", "state_off", "optimistic", "retain", "command_template"}
        | {"value_template"},
        {"command_topic"},
    ),
}
CLASSES: dict[str, set[str]] = {
    "binary_sensor": {
        "battery", "battery_charging", "carbon_monoxide", "cold", "connectivity", "door", "garage_door", "gas", "heat",
        "light", "lock", "moisture", "motion", "moving", "occupancy", "opening", "plug", "power", "presence", "problem",
        "running", "safety", "smoke", "sound", "tamper", "update", "vibration", "window",
    },
    "sensor": {"timestamp", "date", "duration", "enum", "data_rate", "data_size", "temperature"},
    "event": {"button", "doorbell", "motion"},
    "button": {"identify", "restart", "update"},
    "number": {"duration", "data_rate", "temperature"},
    "switch": {"outlet", "switch"},
}  # fmt: skip
#: "When set, the entity category must be `diagnostic` for sensors" [page].
READ_ONLY = {"binary_sensor", "sensor", "event"}
STATE_CLASSES = {"measurement", "total", "total_increasing"}


def faults(topic: str, payload: str, prefix: str = "homeassistant") -> list[str]:
    """Everything that Home Assistant would refuse or pass over, in words."""
    found = TOPIC.fullmatch(topic.removeprefix(f"{prefix}/"))
    if not topic.startswith(f"{prefix}/") or not found or found["component"] != "device":
        return [f"{topic} is no topic of device discovery"]
    made = json.loads(payload)
    out = [f"the root does not know {key}" for key in made.keys() - ROOT]
    out += [f"{key} is missing" for key in ("device", "origin", "components") if not made.get(key)]
    if out:
        return out
    device, origin = made["device"], made["origin"]
    out += [f"a device does not know {key}" for key in device.keys() - DEVICE]
    out += [f"the origin does not know {key}" for key in origin.keys() - ORIGIN]
    if not device.get("identifiers") and not device.get("connections"):
        out.append("a device needs identifiers or connections")
    if not all(isinstance(one, str) for one in device.get("identifiers", [])):
        out.append("identifiers are texts")
    out += [
        f"device.{key} is no text"
        for key in ("name", "model", "via_device")
        if not isinstance(device.get(key, ""), str)
    ]
    if not isinstance(origin.get("name"), str):
        out.append("origin.name is required")
    out += _availability(made, "the root")
    for key, part in made["components"].items():
        out += [f"{key}: {fault}" for fault in _component(part, {k: made[k] for k in SHARED & made.keys()})]
    ids = [part.get("unique_id") for part in made["components"].values()]
    out += [f"unique_id {one} twice" for one in {i for i in ids if ids.count(i) > 1}]
    return out


def _availability(made: dict[str, Any], where: str) -> list[str]:
    out = []
    if "availability" in made and "availability_topic" in made:
        out.append(f"{where}: availability and availability_topic exclude each other")
    for one in made.get("availability", []):
        if not _topic(one.get("topic")) or one.keys() - {
            "topic",
            "payload_available",
            "payload_not_available",
            "value_template",
        }:
            out.append(f"{where}: availability {one}")
    if made.get("availability_mode", "latest") not in ("all", "any", "latest"):
        out.append(f"{where}: availability_mode")
    return out


def _component(part: dict[str, Any], shared: dict[str, Any]) -> list[str]:
    platform = part.get("platform")
    if platform not in PLATFORMS:
        return [f"platform {platform}"]
    own, required = PLATFORMS[platform]
    out = [f"{platform} does not know {key}" for key in part.keys() - ENTITY - own]
    out += [f"{platform} needs {key}" for key in (required | {"unique_id"}) if not (part | shared).get(key)]
    if (kind := part.get("device_class")) is not None and kind not in CLASSES[platform]:
        out.append(f"{platform} has no device_class {kind}")
    if (category := part.get("entity_category")) not in (
        None,
        "diagnostic",
        *(() if platform in READ_ONLY else ("config",)),
    ):
        out.append(f"entity_category {category} of a {platform}")
    if not re.fullmatch(rf"{platform}\.[a-z0-9_]+", part.get("default_entity_id", "")):
        out.append("default_entity_id is domain.object_id, of a-z, 0-9 and _")
    out += [f"{key} {part[key]!r}" for key in part if key.endswith("_topic") and not _topic(part[key])]
    if (icon := part.get("icon")) is not None and not re.fullmatch(r"mdi:[a-z0-9-]+", icon):
        out.append(f"icon {icon}")
    if part.get("retain"):
        out.append("commands must not be retained")
    if part.get("state_class", "measurement") not in STATE_CLASSES:
        out.append("state_class")
    if platform == "number" and not part.get("min", 1) < part.get("max", 100):
        out.append("max must be above min")
    if platform == "number" and part.get("mode", "auto") not in ("auto", "box", "slider"):
        out.append("mode")
    if platform == "event" and not all(isinstance(one, str) and one for one in part["event_types"]):
        out.append("event_types are texts")
    return out + _availability(part, "it")


def _topic(topic: object) -> bool:
    return isinstance(topic, str) and 0 < len(topic) < 65536 and not re.search(r"[+#\x00]", topic)


class Entity:
    """One entity with the options of its root; `state` as Home Assistant writes it."""

    def __init__(self, part: dict[str, Any], root: dict[str, Any], device: dict[str, Any]) -> None:
        self.part = {key: root[key] for key in SHARED & root.keys()} | part
        self.device = device
        self.state = "unknown"
        self.attributes: dict[str, Any] = {}
        self.available: dict[str, bool] = {one["topic"]: False for one in self.part.get("availability", [])}

    @property
    def shown(self) -> str:
        """`all`: available when every topic said so; nothing heard of a topic counts as not available."""
        assert self.part.get("availability_mode") == "all"
        return self.state if all(self.available.values()) else "unavailable"

    def take(self, topic: str, payload: str, retained: bool) -> None:
        if topic in self.available:
            self.available[topic] = {"online": True, "offline": False}.get(payload, self.available[topic])
        if topic == self.part.get("json_attributes_topic"):
            self.attributes = json.loads(payload)
        if topic == self.part.get("state_topic"):
            self._state(payload, retained)

    def _state(self, payload: str, retained: bool) -> None:
        platform = self.part["platform"]
        if platform in ("binary_sensor", "switch"):
            on, off = self.part.get("state_on", "ON"), self.part.get("state_off", "OFF")
            self.state = {on: "on", off: "off", "None": "unknown"}[payload]
        elif platform == "event":
            if not retained:
                made = json.loads(payload)
                assert made["event_type"] in self.part["event_types"], f"invalid event type {made['event_type']}"
                self.state, self.attributes = "fired", made
        elif payload == "None":
            self.state = "unknown"
        elif platform == "number":
            assert self.part["min"] <= float(payload) <= self.part["max"]
            self.state = payload
        elif self.part.get("unit_of_measurement") or self.part.get("state_class"):
            float(payload)
            self.state = payload
        elif self.part.get("device_class") == "timestamp":
            assert datetime.fromisoformat(payload).tzinfo is not None
            self.state = payload
        else:
            assert len(payload) <= 255, "a state has at most 255 characters"
            self.state = payload


class HomeAssistant:
    """A Home Assistant that has just started: fed with messages, it says what it shows."""

    def __init__(self, prefix: str = "homeassistant") -> None:
        self.prefix = prefix
        self.devices: dict[str, dict[str, Any]] = {}
        self.entities: dict[str, Entity] = {}
        self._retained: dict[str, str] = {}

    def take(self, topic: str, payload: str, *, retained: bool = False) -> None:
        """A message; `retained` as the broker marks what it kept from before."""
        if topic.startswith(f"{self.prefix}/device/"):
            self._discover(topic, payload)
            return
        self._retained[topic] = payload
        for entity in self.entities.values():
            entity.take(topic, payload, retained)

    def _discover(self, topic: str, payload: str) -> None:
        gone = [key for key, one in self.entities.items() if one.part["from"] == topic]
        if not payload:
            for key in gone:
                del self.entities[key]
            self.devices.pop(topic, None)
            return
        assert faults(topic, payload, self.prefix) == []
        made = json.loads(payload)
        self.devices[topic] = made["device"]
        old = {self.entities[key].part["unique_id"]: key for key in gone}
        for part in made["components"].values():
            known = old.get(part["unique_id"])  # the registry keeps the id of an entity that it knows
            taken = {one.part["unique_id"] for one in self.entities.values() if one.part["from"] != topic}
            assert part["unique_id"] not in taken, f"{part['unique_id']} is announced by two topics"
            entity = Entity(part | {"from": topic}, made, made["device"])
            self.entities[known or part["default_entity_id"]] = entity
            for one, kept in self._retained.items():
                entity.take(one, kept, True)

    def shown(self, entity_id: str) -> str:
        return self.entities[entity_id].shown

    def press(self, entity_id: str) -> tuple[str, str]:
        """(topic, payload) that a button sends."""
        part = self.entities[entity_id].part
        return part["command_topic"], part.get("payload_press", "PRESS")
