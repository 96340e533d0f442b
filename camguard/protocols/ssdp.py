"""SSDP (UPnP Device Architecture 2.0, section 1): what a device says that it is, and what it looks for.

In: a UDP payload from or to port 1900. Out: Reading("ssdp", {message, type, usn, server, host, speaks_camera}):
`message` is "alive", "byebye" or "update" (NOTIFY), "answer" (to a search) or "search"; `type` is what is announced
or looked for (NT, ST); `host` is where its description is (of LOCATION the host only). Anybody can announce anything,
also for others: what is said counts for the device at the sender's own address only.
"""

import re

from camguard.errors import Malformed
from camguard.protocols.text import Reading, headers, printable

_HOST = re.compile(r"(?i)https?://(?:[^/@]*@)?(\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,255})(?::\d{1,5})?(?:/|$)")
#: DigitalSecurityCamera: a type of the UPnP Forum. Axis' service: axis-discovery-ssdp (FantasticFiasco/axis-js).
#: Cellvision made cameras for D-Link and others: captures of D-LinkDayCam (IoT Sentinel).
_CAMERA_TYPES = ("urn:schemas-upnp-org:device:digitalsecuritycamera", "urn:axis-com:service:", "urn:cellvision:")
_CAMERA_WORDS = re.compile(
    r"(?i)\b(?:ip|network|internet|security|surveillance|wi-?fi|wireless|video)[ _-]?cam(?:era)?\b"
    r"|\bDCS-\d{3,4}"  # D-Link's cameras, and nothing else that it makes
)


def read(payload: bytes) -> Reading | None:
    """One SSDP message; None for what is none. Its `from_server`: whether it says what it is."""
    start, _, rest = payload.partition(b"\n")
    word = start.rstrip(b"\r")
    if word not in (b"NOTIFY * HTTP/1.1", b"M-SEARCH * HTTP/1.1") and not word.startswith(b"HTTP/1.1 200"):
        return None
    fields = headers(rest)
    kind = fields.get("nt" if word.startswith(b"NOTIFY") else "st")
    if not kind:
        raise Malformed("ssdp-type")
    if word.startswith(b"M-SEARCH"):
        message = "search"
    elif word.startswith(b"HTTP"):
        message = "answer"
    else:
        message = {"ssdp:alive": "alive", "ssdp:byebye": "byebye", "ssdp:update": "update"}.get(
            fields.get("nts", ""), ""
        )
        if not message:
            raise Malformed("ssdp-message")
    usn, server = fields.get("usn", ""), fields.get("server", "")
    host = _HOST.match(fields.get("location", ""))
    claims = message in ("alive", "answer", "update")
    return Reading(
        "ssdp",
        {
            "message": message,
            "type": printable(kind),
            "usn": printable(usn) or None,
            "server": printable(server) or None,
            "host": host[1].strip("[]").lower() if host else None,
            "speaks_camera": claims and (kind.lower().startswith(_CAMERA_TYPES) or calls_itself_camera(usn, server)),
        },
        from_server=message != "search",
    )


def calls_itself_camera(*texts: str) -> bool:
    """Whether a device's own words say that it is a camera: "IC-3115W Network Camera", "DCS-8000LH"."""
    return any(_CAMERA_WORDS.search(text[:512]) for text in texts)
