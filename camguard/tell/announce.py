"""What is announced to Home Assistant: one JSON per device, topic -> payload, to be retained (MQTT discovery). Pure.

Facts: home-assistant.io/integrations/mqtt (device discovery payload: device, origin and components are required, each
component needs platform and unique_id; availability at the root counts for a component that has none of its own), and
the pages binary_sensor.mqtt, sensor.mqtt, event.mqtt, button.mqtt, number.mqtt and switch.mqtt for their options.
"""

from typing import Any

from camguard import __version__, report
from camguard.tell.homeassistant import (
    ALERT_TYPES,
    HOME_TYPES,
    MINUTES_LEAST,
    MINUTES_MOST,
    OFF,
    ON,
    SILENCE_MINUTES,
    Announced,
    House,
    slug,
    to_json,
)


def discovery(house: House) -> dict[str, str]:
    """Every device: topic -> JSON, to be retained."""
    made = {house.discovery(house.hub): _device(house, None, house.hub, _hub_parts(house))}
    for camera in house.cameras:
        made[house.discovery(camera.uid)] = _device(house, camera, camera.uid, _camera_parts(house, camera))
    return {topic: to_json(payload) for topic, payload in made.items()}


def _device(house: House, camera: Announced | None, uid: str, parts: dict[str, dict[str, Any]]) -> dict[str, Any]:
    about: dict[str, Any] = {"identifiers": [uid]}
    if camera is None:
        about |= {
            "name": "camguard",
            "manufacturer": "camguard",
            "model": "Guard of your cameras",
            "sw_version": __version__,
        }
    else:
        about |= {"name": report.clean(camera.name, 64), "model": "Guarded camera", "via_device": house.hub}
    for key, part in parts.items():
        part["unique_id"] = f"{uid}_{key}"
        word = part.pop("word", None) or slug(part["name"])
        part["default_entity_id"] = f"{part['platform']}.{camera.slug if camera else house.hub}_{word}"
    return {
        "device": about,
        "origin": {"name": "camguard", "sw_version": __version__},
        "availability": [{"topic": house.topic(one, "status")} for one in ([None, camera] if camera else [None])],
        "availability_mode": "all",
        "qos": 1,
        "components": parts,
    }


def _camera_parts(house: House, camera: Announced) -> dict[str, dict[str, Any]]:
    def topic(leaf: str) -> str:
        return house.topic(camera, leaf)

    #: What stays true, or is needed most, while the camera cannot be seen.
    always = {"availability": [{"topic": house.topic(None, "status")}]}
    command = {"command_topic": topic("command"), "retain": False}
    return {
        "watched": {
            "platform": "binary_sensor",
            "name": "Being watched",
            "icon": "mdi:eye",
            "state_topic": topic("watched"),
            "json_attributes_topic": topic("watched/info"),
        },
        "unexpected": {
            "platform": "binary_sensor",
            "name": "Unexpected viewer",
            "device_class": "safety",
            "state_topic": topic("unexpected"),
        },
        "viewers": {
            "platform": "sensor",
            "name": "Viewers",
            "icon": "mdi:account-eye",
            "state_topic": topic("viewers"),
            "unit_of_measurement": "viewers",
            "state_class": "measurement",
        },
        "alert": {
            "platform": "event",
            "name": "Alert",
            "icon": "mdi:alert",
            "state_topic": topic("alert"),
            "event_types": [*ALERT_TYPES, "other"],
            **always,
        },
        "last_viewed": {
            "platform": "sensor",
            "name": "Last viewed",
            "device_class": "timestamp",
            "state_topic": topic("last_viewed"),
            **always,
        },
        "last_viewer": {
            "platform": "sensor",
            "name": "Last viewer",
            "icon": "mdi:account",
            "state_topic": topic("last_viewer"),
            **always,
        },
        "sees": {
            "platform": "binary_sensor",
            "name": "Guard sees this camera",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topic("sees"),
            "json_attributes_topic": topic("sees/info"),
            **always,
        },
        "was_me": {
            "platform": "button",
            "name": "It was me",
            "icon": "mdi:account-check",
            "payload_press": to_json({"do": "was-me"}),
            **command,
        },
        "watching": {
            "platform": "button",
            "name": "I am watching now",
            "icon": "mdi:eye-check",
            "payload_press": to_json({"do": "watching"}),
            **command,
            **always,
        },
        "watching_minutes": {
            "platform": "number",
            "name": "I am watching for",
            "icon": "mdi:timer-outline",
            "entity_category": "config",
            "min": MINUTES_LEAST,
            "max": MINUTES_MOST,
            "step": 5,
            "mode": "box",
            "unit_of_measurement": "min",
            "state_topic": topic("watching/minutes"),
            "command_topic": topic("watching/minutes/set"),
            "retain": False,
            **always,
        },
        "silence": {
            "platform": "switch",
            "name": "Silence alerts",
            "icon": "mdi:bell-off",
            "entity_category": "config",
            "state_topic": topic("silenced"),
            "json_attributes_topic": topic("silenced/info"),
            "payload_on": to_json({"do": "silence", "minutes": SILENCE_MINUTES}),
            "payload_off": to_json({"do": "silence", "minutes": 0}),
            "state_on": ON,
            "state_off": OFF,
            **command,
            **always,
        },
    }


def _hub_parts(house: House) -> dict[str, dict[str, Any]]:
    def topic(leaf: str) -> str:
        return house.topic(None, leaf)

    return {
        "unexpected": {
            "platform": "binary_sensor",
            "name": "Anybody unexpected",
            "device_class": "safety",
            "state_topic": topic("unexpected"),
            "json_attributes_topic": topic("unexpected/info"),
        },
        "problem": {
            "platform": "binary_sensor",
            "name": "Guard working",
            "word": "guard_problem",  # an automation reads on and off, and on means a problem
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": topic("problem"),
            "json_attributes_topic": topic("problem/info"),
        },
        "viewings_today": {
            "platform": "sensor",
            "name": "Viewings today",
            "icon": "mdi:counter",
            "state_topic": topic("viewings_today"),
            "unit_of_measurement": "viewings",
            "state_class": "total_increasing",
        },
        "version": {
            "platform": "sensor",
            "name": "Version",
            "icon": "mdi:tag",
            "entity_category": "diagnostic",
            "state_topic": topic("version"),
        },
        "alert": {
            "platform": "event",
            "name": "Message",
            "icon": "mdi:message-alert",
            "state_topic": topic("alert"),
            "event_types": list(HOME_TYPES),
        },
    }
