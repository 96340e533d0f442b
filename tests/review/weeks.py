"""A made-up week in a real record, for the tests of the report; `python -m tests.review.weeks FILE` writes its page."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from camguard import store
from camguard.report import rfc3339
from camguard.review.page import page
from camguard.review.weekly import days_before, facts

ZONE = "Europe/Berlin"
UNTIL = 1_795_420_800.0  # Monday, 2026-11-23 09:00 in Berlin
HOUR_S, DAY_S = 3600.0, 86_400.0
SINCE = days_before(UNTIL, 7, ZONE)
HOSTILE = '</text><script>alert(1)</script>"><img src=x onerror=y>\x1b[31m\u202e' + "ö" * 10_000


def peer(**known: Any) -> dict[str, Any]:
    empty = {"ip": "198.51.100.7", "port": 5000, "name": None, "scope": "wan", "asn": None, "org": None,
             "country": None, "mac": None, "device": None}  # fmt: skip
    return empty | known


PHONE = peer(ip="192.168.1.21", scope="lan", device="phone")
OVH = peer(asn=16276, org="OVH", country="France")


def viewing(
    record: store.Store, key: str, camera: str, at: float, minutes: float, who: dict[str, Any], **more: Any
) -> None:
    """A session, closed unless `more` says otherwise."""
    body = {
        "kind": "session", "time": rfc3339(at + 60 * minutes), "camera": camera, "id": key, "state": "closed",
        "peer": who, "transport": "tcp", "protocol": "rtsp", "initiator": "peer", "class": "stream",
        "confidence": "certain", "started": rfc3339(at), "ended": rfc3339(at + 60 * minutes), "bytes_up": 10_000_000,
        "bytes_down": 5, "rate_kbps": 900, "verdict": "expected", "reason": "it is yours", "evidence": [],
    } | more  # fmt: skip
    record.write([store.Row("session", at, camera, key, body["state"], body)], durable=False)


def blind(
    record: store.Store, key: str, camera: str | None, at: float, end: float | None, reason: str, severity: str = "info"
) -> None:
    """A guard-blind alert."""
    body = {
        "kind": "alert", "time": rfc3339(at if end is None else end), "camera": camera, "id": key,
        "type": "guard-blind", "severity": severity, "title": "t", "body": "b", "confidence": "certain",
        "reason": reason, "evidence": [], "peer": None, "session": None, "raised": rfc3339(at),
        "started": rfc3339(at), "count": 1, "state": "open" if end is None else "closed",
    }  # fmt: skip
    record.write([store.Row("alert", at if end is None else end, camera, key, str(body["state"]), body)], durable=False)


def looked(record: store.Store, *spans: tuple[float, float]) -> None:
    """Stretches of looking, each ended cleanly."""
    for begin, end in spans:
        record.note_start(begin)
        record.note_beat(end, ended=True)


def a_week(path: Path) -> store.Reader:
    """Three cameras: 14 views of the owner's, a stranger twice, one that cannot be told, a gap, one camera unseen."""
    record = store.Store.open(path)
    tuesday = SINCE + DAY_S + 13 * HOUR_S
    looked(record, (SINCE - 30 * DAY_S, tuesday), (tuesday + 360, UNTIL))
    for number in range(14):
        camera = ("nursery", "porch")[number % 2]
        viewing(record, f"own{number}", camera, SINCE + number * 11.5 * HOUR_S + 600, 5, PHONE)
    viewing(record, "str1", "nursery", SINCE + 4.5 * DAY_S, 14, OVH, verdict="unexpected")
    viewing(record, "str2", "nursery", SINCE + 5.5 * DAY_S, 3, OVH, verdict="unexpected")
    viewing(record, "dim1", "porch", SINCE + 2.2 * DAY_S, 2, OVH, verdict="unexpected", confidence="unsure")
    viewing(record, "clip1", "porch", SINCE + 2.3 * DAY_S, 2, OVH, verdict=None, **{"class": "clip"})
    blind(record, "b1", "garage", SINCE + 3 * DAY_S, SINCE + 4.2 * DAY_S, "not one packet of it passes here")
    record.close()
    return store.Reader(path)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = a_week(Path(folder) / "guard.db")
        Path(sys.argv[1]).write_text(page(facts(reader, SINCE, UNTIL, ("nursery", "porch", "garage")), ZONE))
        reader.close()


if __name__ == "__main__":
    main()
