"""One HTTP request: what its head says, what its body adds (pure). http.py keeps it until its answer comes.

In: http_framing.Head, the beginning of a body. Out: Asked, and the login reading that is made of it. Of a URL only what
is safe to show leaves; a name and password in it are a claim.
"""

from typing import NamedTuple

from camguard.protocols import control, credentials, media
from camguard.protocols.control import Control
from camguard.protocols.credentials import Claim
from camguard.protocols.http_framing import Head
from camguard.protocols.text import Detail, Reading, bare_url, host_name, number

ASKED_BODY_CAP = 16 * 1024  # bytes; a login has some hundred, a SOAP envelope with one 1 to 3 kB
UPLOAD_BYTES = 64 * 1024  # a longer request body is an upload

#: RTSP inside HTTP (rtsp_http.py reads it): what comes behind the answer is not HTTP.
_TUNNEL = "x-sessioncookie"
#: The detail of an answer whose request is not known.
NOTHING: Detail = {
    "method": None,
    "host": None,
    "path": None,
    "status": None,
    "content_type": None,
    "scheme": None,
    "user": None,
    "upload": False,
    "op": None,
}


class Asked(NamedTuple):
    """A request that waits for its answer. `claim`: who says that he is who; `control`: what the camera is to do."""

    serial: int
    detail: Detail
    claim: Claim | None
    control: Control | None
    service: str
    isapi: bool
    tunnel: bool


def of_head(serial: int, head: Head) -> Asked:
    """A request, as far as its head says."""
    found, path = head.fields, bare_url(head.url)
    claim = credentials.of_header(found.get("authorization"), head.method)
    if claim is None and "x-wsse" in found:
        claim = credentials.of_wsse_header(found["x-wsse"])
    by_header, claim = claim, claim or credentials.of_url(head.url)
    length = number(found.get("content-length", "0"))
    operation = control.operation_of_head(found)
    detail = NOTHING | {
        "method": head.method,
        "host": host_name(found.get("host") or head.url.partition("://")[2].partition("/")[0]),
        "path": path,
        "content_type": media.content_type(found.get("content-type")),
        "scheme": by_header.scheme if by_header else None,
        "user": by_header.user if by_header else None,
        "upload": head.method in ("POST", "PUT") and (head.is_chunked or length is None or length > UPLOAD_BYTES),
        "op": operation,
    }
    if claim and claim.scheme == "token":
        claim = None  # an earlier login is carried on with it
    lower = path.lower()
    service = "onvif" if "/onvif/" in lower or lower.startswith("/onvif") else "http"
    wanted = control.of_http(head.method, head.url) or control.of_operation(operation)
    return Asked(serial, detail, claim, wanted, service, "/isapi/" in lower, _TUNNEL in found)


def may_say_more(found: dict[str, str]) -> bool:
    """Whether a request's body may hold a login, or say what is asked."""
    kind = found.get("content-type", "").lower()
    length = number(found.get("content-length", "0"))
    return (length is None or length <= ASKED_BODY_CAP) and (
        not kind or any(word in kind for word in ("urlencoded", "json", "xml", "text/plain", "soap"))
    )


def with_body(asked: Asked, body: bytes, *, whole: bool) -> Asked:
    """The request with what its body says; one that is cut short names nobody."""
    found = asked.detail["op"] or control.operation(body)
    operation = found if isinstance(found, str) else None
    return asked._replace(
        claim=asked.claim or (credentials.of_body(body) if whole else None),
        control=asked.control or control.of_operation(operation) or control.of_body(body),
        detail=asked.detail | {"op": operation},
    )


def login(asked: Asked, outcome: tuple[str, str] | None, *, from_server: bool) -> Reading:
    """What somebody claimed (`outcome` None), or what became of it."""
    claim = asked.claim or Claim("form", None, None)
    detail: Detail = {
        "serial": asked.serial,
        "service": "onvif" if claim.scheme == "wsse" else asked.service,
        "scheme": claim.scheme,
        "user": claim.user,
        "default_password": claim.default_password,
        "outcome": outcome[0] if outcome else None,
        "outcome_source": outcome[1] if outcome else None,
    }
    return Reading("login", detail, from_server=from_server)
