"""What became of a login, from the answer: status, a few header fields, the beginning of the body (pure).

Out: (outcome, source): outcome is "success", "failure", "unknown", or "challenge" where the answer only asks for more
(a nonce, a realm); source is "read" where the answer says so, "inferred" where it only looks so. None: not yet, the
body may say more.
"""

import json
import re
from typing import Any

from camguard.protocols.credentials import Claim
from camguard.protocols.text import bare_url

Outcome = tuple[str, str]

#: ONVIF Core 5.8.1 (ter:NotAuthorized), WS-Security 1.1 section 12 (FailedAuthentication, ...), gSOAP's own texts.
_REFUSED = re.compile(
    rb"NotAuthorized|FailedAuthentication|InvalidSecurity|InvalidSecurityToken|FailedCheck|SenderNotAuthorized|"
    rb"(?i:sender not authorized|not authorized|authority failure|unauthorized)"
)
_FAULT = re.compile(rb"<(?:[\w.-]+:)?Fault[\s>]")
_STATUS_VALUE = re.compile(rb"<statusValue>\s*(\d{3})\s*</statusValue>")  # Hikvision ISAPI
_RESULT = re.compile(rb"<result>\s*(-?\d{1,4})\s*</result>")  # python-foscam, foscam.py: 0 is success, -2 who are you
_BAD = re.compile(rb"(?i)incorrect|invalid|wrong|denied|fail(?:ed|ure)?\b|not match|unauthori[sz]ed")
_PASSWORD_FIELD = re.compile(rb"(?i)type\s*=\s*[\"']?password")
_BACK_TO_LOGIN = re.compile(r"(?i)login|signin|error|fail|denied")
#: Tapo's first answer, "here is the nonce" (pytapo, __init__.py); Dahua's has "random" (DahuaConsole, net.py).
_TAPO_CHALLENGE = -40413


def of_head(claim: Claim, status: int, found: dict[str, str], *, body_tells: bool) -> Outcome | None:
    """What the status says of credentials that came with the request."""
    if status in (401, 403):
        # RFC 7616 section 3.3: the password was right, the nonce too old
        stale = re.search(r"stale\s*=\s*\"?true", found.get("www-authenticate", ""), re.I)
        return ("challenge" if stale else "failure"), "read"
    if claim.scheme == "form" and 300 <= status < 400:
        return _of_page(status, found, b"")
    if claim.scheme == "form" and found.get("content-type", "").startswith(("image/", "video/", "audio/")):
        return ("success" if status < 300 else "unknown"), "read"  # it came with the picture's own URL
    if claim.scheme in ("form", "wsse") or body_tells:
        return None
    return ("success" if status < 400 else "unknown"), "read"


def told_by(found: dict[str, str]) -> dict[str, str]:
    """What of an answer's head may say how a login ended; no value of a cookie is among it."""
    kept = {"location": bare_url(found["location"])} if "location" in found else {}
    return kept | ({"set-cookie": "yes"} if "set-cookie" in found else {})


def of_body(claim: Claim, status: int, fields: dict[str, str], body: bytes, *, whole: bool) -> Outcome | None:
    """What the answer says in its body; `whole`: there comes no more of it."""
    value = _STATUS_VALUE.search(body)
    if value:
        return ("success" if value[1] == b"200" else "failure"), "read"
    if claim.scheme == "wsse" or (claim.scheme != "form" and b"Envelope" in body):
        return _of_soap(claim, status, body, whole=whole)
    if claim.scheme != "form":
        return (("success" if status < 400 else "unknown"), "read") if whole else None
    if result := _RESULT.search(body):
        return {b"0": "success", b"-2": "failure"}.get(result[1], "unknown"), "read"
    text = body.strip()
    if text[:1] in (b"{", b"["):
        try:
            said = _of_json(json.loads(text))
        except (ValueError, RecursionError):
            said = None
        if said or not whole:
            return said
    return _of_page(status, fields, body) if whole else None


def is_refusal(body: bytes) -> bool:
    """Whether an answer with a good status says no all the same: SOAP faults, codes in JSON, Foscam's result."""
    result = _RESULT.search(body)
    if _FAULT.search(body) or (result and result[1] != b"0"):
        return True
    text = body.strip()
    if text[:1] not in (b"{", b"["):
        return False
    try:
        said = _of_json(json.loads(text))
    except (ValueError, RecursionError):
        return False
    return said is not None and said[0] == "failure"


def _of_soap(claim: Claim, status: int, body: bytes, *, whole: bool) -> Outcome | None:
    if _FAULT.search(body):
        if _REFUSED.search(body):
            return "failure", "read"
        return ("unknown", "read") if whole else None
    if not whole and not re.search(rb"</(?:[\w.-]+:)?Envelope", body):
        return None
    if claim.pre_auth:
        return "challenge", "read"  # it would have been answered without a login as well
    return ("success" if status < 400 else "unknown"), "read"


def _of_json(said: Any) -> Outcome | None:
    """The code or flag of the answers of Tapo, Dahua, Reolink, and what most others have."""
    if isinstance(said, list):
        said = said[0] if said else None
    if not isinstance(said, dict):
        return None
    params = said.get("params")
    if said.get("error_code") == _TAPO_CHALLENGE or (isinstance(params, dict) and "random" in params):
        return "challenge", "read"
    for key in ("error_code", "code", "errorCode", "ret", "errcode"):
        number = said.get(key)
        if isinstance(number, int) and not isinstance(number, bool):
            return ("success" if number in (0, 200) else "failure"), "read"
    for key in ("result", "success", "ok", "authenticated", "status"):
        flag = said.get(key)
        if isinstance(flag, bool):
            return ("success" if flag else "failure"), "read"
        if isinstance(flag, str) and flag.lower() in ("ok", "success", "fail", "failed", "failure", "error"):
            return ("success" if flag.lower() in ("ok", "success") else "failure"), "read"
    if said.get("error") or said.get("errors"):
        return "failure", "read"
    if any(said.get(key) for key in ("token", "access_token", "session", "sessionId", "session_id", "stok")):
        return "success", "read"
    return None


def _of_page(status: int, fields: dict[str, str], body: bytes) -> Outcome:
    """A page made for a person says it in its own words only."""
    if status >= 400:
        return ("failure", "inferred") if status < 500 else ("unknown", "read")
    if _BACK_TO_LOGIN.search(fields.get("location", "")) or _PASSWORD_FIELD.search(body):
        return "failure", "inferred"
    if "set-cookie" in fields:
        return "success", "inferred"
    if _BAD.search(body):
        return "failure", "inferred"
    return "unknown", "read"
