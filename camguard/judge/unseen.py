"""The alert "guard-blind", the same whoever notices that something is not seen: judge/sight.py of one camera, service
of interfaces, deliver of the guard itself. Pure."""

from typing import Literal

from camguard.events import Alert


def guard_blind(
    alert_id: str,
    how: str,
    reason: str,
    *,
    now: float,
    started: float,
    camera: str | None = None,
    severity: Literal["info", "warning"] = "info",
    evidence: tuple[str, ...] = (),
    detail: dict[str, str | int | float | None] | None = None,
) -> Alert:
    """It opens `now`. `camera` None: it is about the guard; `how`: which words it has (report/blind.py)."""
    return Alert(
        id=alert_id,
        time=now,
        camera=camera,
        type="guard-blind",
        severity=severity,
        confidence="certain",
        reason=reason,
        evidence=evidence,
        peer=None,
        session=None,
        raised=now,
        started=started,
        count=1,
        state="open",
        detail={"how": how, **(detail or {})},
    )
