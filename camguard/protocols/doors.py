"""What the readers of telnet, FTP and SSH share: the reading of a login (pure)."""

from camguard.protocols.credentials import Claim
from camguard.protocols.text import Reading


def login(
    service: str,
    serial: int,
    claim: Claim,
    outcome: str | None = None,
    source: str | None = None,
    *,
    unanswered: str | None = None,
    from_server: bool = False,
) -> Reading:
    """Reading("login", {serial, service, scheme, user, default_password, outcome, outcome_source, unanswered}): once
    when somebody says who he is (`outcome` None), once when the answer came ("challenge": it was no attempt, or it
    goes on). `unanswered`: what it was if the connection ends like this, however long that takes; None: an answer is
    due now."""
    return Reading(
        "login",
        {
            "serial": serial,
            "service": service,
            "scheme": claim.scheme or None,
            "user": claim.user,
            "default_password": claim.default_password,
            "outcome": outcome,
            "outcome_source": source if outcome else None,
            "unanswered": unanswered,
        },
        from_server=from_server,
    )
