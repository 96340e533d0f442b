"""UPnP IGD (WANIPConnection:1 and :2, WANPPPConnection:1 of the UPnP Forum): a device asks the router for a way in.

In: ordered bytes of a TCP connection, SOAP over HTTP. Out: Reading("upnp", {op: "add" | "delete", external_port,
external_port_end, internal_port, transport: "tcp" | "udp", internal_ip, remote_ip, lease_s, description, granted,
error}): once when it is asked (granted None), once when the router has answered. `external_port_end` is only there of a
DeletePortMappingRange; `external_port` 0 means every port, `lease_s` 0 for ever (WANIPConnection:1, 2.2); of a delete
all but ports and transport is None. `error`: UPnP's code of a refusal (718: the port is taken; 714: there is no such
mapping). `remote_ip`: the only one who is let in. Reading("odd", {name}) where such a request breaks its format or has
a hole in it.

Only the requests named in ACTIONS are read; all else in the connection is passed over, and after ASKED_CAP other
requests, or what does not begin like HTTP, the reader is done. Seen: miniupnpc and miniupnpd, Windows 7 at a Cisco
router (corpus upnp/suri_output-eve-ftp-data).
"""

import html
import ipaddress
import re
from typing import NamedTuple

from camguard.events import Chunk
from camguard.protocols.text import NOT_MINE, Detail, NotMine, Reading, end_of_headers, headers, number, printable

HEADER_CAP = 4096
BODY_CAP = 8 * 1024  # bytes; an envelope of a real program has 500 to 1200
ASKED_CAP = 8  # other requests in the same connection (a description is often fetched first)
PASSED_CAP = 256 * 1024  # bytes of other bodies
STRANGE_CAP = 2048  # bytes of what is no HTTP, where a connection is joined in the middle
PENDING_CAP = 8
STEPS_CAP = 64  # messages in one chunk
NO_SUCH_MAPPING = 714

ACTIONS = ("AddPortMapping", "AddAnyPortMapping", "DeletePortMapping", "DeletePortMappingRange")
_ACTION = re.compile(r"urn:schemas-upnp-org:service:WAN(?:IP|PPP)Connection:\d{1,2}#(\w{1,40})")
_REQUEST = re.compile(rb"(?:M-)?[A-Z]{3,11} [^\r\n ]{1,2000} HTTP/1\.[01]\r?\n")
_ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]{0,200}\r?\n")
_START = re.compile(rb"HTTP/1\.[01] |(?:M-)?[A-Z]{3,11} [/*h]")
_LONGEST_START = 16
_FIELD = re.compile(r"<(?:[\w.-]{1,40}:)?(New[A-Za-z]{3,40}|errorCode)(?:\s[^<>]{0,400})?>([^<]{0,400})</")
_END = re.compile(rb"</(?:[\w.-]{1,40}:)?Envelope\s{0,9}>")


class Side(NamedTuple):
    """One direction: bytes not read yet, and how many of a body are to be passed over."""

    tail: bytes = b""
    skip: int = 0


class State(NamedTuple):
    """`pending`: the requests that wait for an answer, None for those that are not ours. `others`, `passed`: what was
    not ours so far, requests and bytes."""

    up: Side = Side()
    down: Side = Side()
    known: bool = False
    pending: tuple[Detail | None, ...] = ()
    others: int = 0
    passed: int = 0


def read(state: State | NotMine | None, chunk: Chunk) -> tuple[State | NotMine, tuple[Reading, ...]]:
    """Feed ordered bytes of one direction; the readings of the messages that end in them."""
    if isinstance(state, NotMine):
        return NOT_MINE, ()
    state = state or State()
    readings: list[Reading] = []
    if chunk.gap:
        state, readings = _broken(state, chunk.up)
    side = _side(state, chunk.up)
    side = side._replace(tail=side.tail + chunk.data)
    if not state.known and not chunk.gap and not _may_begin(side.tail):
        return NOT_MINE, ()
    state = _put(state, chunk.up, side)
    for _ in range(STEPS_CAP):
        before = _side(state, chunk.up)
        if not before.tail:
            break
        state, news = _step(state, chunk.up)
        readings += news
        if _side(state, chunk.up) == before:
            break
    if state.others > ASKED_CAP or state.passed > (PASSED_CAP if state.known else STRANGE_CAP):
        return NOT_MINE, tuple(readings)
    return state, tuple(readings)


def _step(state: State, up: bool) -> tuple[State, list[Reading]]:
    """One body passed over, or one message; the same state where bytes are missing for that."""
    side = _side(state, up)
    if side.skip:
        passed = min(side.skip, len(side.tail))
        side = side._replace(tail=side.tail[passed:], skip=side.skip - passed)
        return _put(state, up, side)._replace(passed=state.passed + passed), []
    if not _may_begin(side.tail):
        passed = state.passed + len(side.tail)
        return _put(state, up, Side())._replace(passed=passed), []
    end = end_of_headers(side.tail)
    if end < 0:
        passed = state.passed + len(side.tail)
        return (_put(state, up, Side())._replace(passed=passed), []) if len(side.tail) > HEADER_CAP else (state, [])
    head, body = side.tail[:end], side.tail[end:]
    if _REQUEST.match(head):
        return _asked(state._replace(known=True), up, head, body)
    if found := _ANSWER.match(head):
        return _answered(state._replace(known=True), up, int(found[1]), head, body)
    return _put(state, up, Side()), []


def _asked(state: State, up: bool, head: bytes, body: bytes) -> tuple[State, list[Reading]]:
    fields = headers(head)
    named = next((value for name, value in fields.items() if name.endswith("soapaction")), "")
    found = _ACTION.search(named)
    length = number(fields.get("content-length"))
    if found is None or found[1] not in ACTIONS:
        state = _waits(state, None)._replace(others=state.others + ("schemas-upnp-org" not in named))
        return _passed(state, up, fields, length, body), []
    size = _size(body, length)
    if (length or 0) > BODY_CAP or (size is None and len(body) > BODY_CAP):
        return _put(_waits(state, None), up, Side(body, skip=length or 0)), [_odd("upnp-long")]
    if size is None:
        return state, []
    state = _put(state, up, Side(body[size:]))
    asked = _request(found[1], _values(body[:size]))
    if asked is None:
        return _waits(state, None), [_odd("upnp-request")]
    return _waits(state, asked), [Reading("upnp", asked, False)]


def _answered(state: State, up: bool, status: int, head: bytes, body: bytes) -> tuple[State, list[Reading]]:
    fields = headers(head)
    length = number(fields.get("content-length"))
    if status < 200:  # 100 (Continue): the answer itself is still to come
        return _put(state, up, Side(body)), []
    asked = state.pending[0] if state.pending else None
    if asked is None:
        return _passed(state._replace(pending=state.pending[1:]), up, fields, length, body), []
    size = _size(body, length)
    if size is None:
        if len(body) <= BODY_CAP:
            return state, []
        size, body = 0, b""
    state = _put(state._replace(pending=state.pending[1:]), up, Side(body[size:]))
    return state, [_answer(asked, status, _values(body[:size]))]


def _broken(state: State, up: bool) -> tuple[State, list[Reading]]:
    """Bytes are missing: what was begun is given up; of an answer its status may be there already."""
    tail, readings = _side(state, up).tail, []
    found, asked = _ANSWER.match(tail), state.pending[0] if state.pending else None
    if found and asked and int(found[1]) >= 200:
        state = state._replace(pending=state.pending[1:])
        readings = [_answer(asked, int(found[1]), {})]
    elif _REQUEST.match(tail) and any(action.encode() in tail for action in ACTIONS):
        state, readings = _waits(state, None), [_odd("upnp-hole")]
    return _put(state, up, Side()), readings


def _passed(state: State, up: bool, fields: dict[str, str], length: int | None, body: bytes) -> State:
    """Goes on behind a message that is not ours; where its end is not told, with the next one that is recognised."""
    ends = length is not None or not fields.get("transfer-encoding")
    return _put(state, up, Side(body, skip=length or 0) if ends else Side())


def _size(body: bytes, length: int | None) -> int | None:
    """How many bytes the body of an envelope has, None while they are not all there."""
    if length is not None:
        return length if len(body) >= length else None
    found = _END.search(body)
    return found.end() if found else None


def _values(body: bytes) -> dict[str, str]:
    """The arguments of an action or of its answer; no XML parser, which does more than is wanted here."""
    found: dict[str, str] = {}
    for name, value in _FIELD.findall(body.decode("latin-1")):
        found.setdefault(name, html.unescape(value).strip())
    return found


def _request(action: str, values: dict[str, str]) -> Detail | None:
    """What is asked for; None where the ports are none, or the protocol."""
    delete, ranged = action.startswith("Delete"), action.endswith("Range")
    transport = values.get("NewProtocol", "").lower()
    external = _port(values.get("NewStartPort" if ranged else "NewExternalPort"))
    internal = _port(values.get("NewInternalPort"))
    last = _port(values.get("NewEndPort")) if ranged else None
    if transport not in ("tcp", "udp") or external is None or (ranged and last is None):
        return None
    if not delete and internal is None:
        return None
    off = values.get("NewEnabled", "1").lower() in ("0", "false", "no")  # a mapping that is switched off opens nothing
    detail: Detail = {
        "op": "delete" if delete or off else "add",
        "external_port": external,
        "internal_port": None if delete else internal,
        "transport": transport,
        "internal_ip": _ip(values.get("NewInternalClient")),
        "remote_ip": _ip(values.get("NewRemoteHost")),
        "lease_s": None if delete else number(values.get("NewLeaseDuration")),
        "description": printable(values.get("NewPortMappingDescription", ""), 40) or None,
        "granted": None,
        "error": None,
    }
    return detail | {"external_port_end": last} if ranged else detail


def _answer(asked: Detail, status: int, values: dict[str, str]) -> Reading:
    """AddAnyPortMapping is answered with the port that it got (WANIPConnection:2, 2.5.19)."""
    external = _port(values.get("NewReservedPort"))
    return Reading(
        "upnp",
        asked
        | {"granted": status == 200, "error": None if status == 200 else number(values.get("errorCode"))}
        | ({} if external is None else {"external_port": external}),
        True,
    )


def _port(value: str | None) -> int | None:
    found = number(value)
    return found if found is not None and found <= 65535 else None


def _ip(value: str | None) -> str | None:
    try:
        return str(ipaddress.ip_address(value or ""))
    except ValueError:
        return None


def _may_begin(tail: bytes) -> bool:
    """Whether a message may begin here, as far as it is there."""
    if len(tail) >= _LONGEST_START:
        return bool(_START.match(tail))
    return (
        b"HTTP/1.".startswith(tail[:7])
        or re.fullmatch(rb"(?:M(?:-[A-Z]*)?|[A-Z]{0,11})(?: .*)?", tail, re.S) is not None
    )


def _waits(state: State, asked: Detail | None) -> State:
    """Where too many wait, none of them is answered: the wrong one must not be."""
    return state._replace(pending=(*state.pending, asked) if len(state.pending) < PENDING_CAP else ())


def _odd(name: str) -> Reading:
    return Reading("odd", {"name": name})


def _side(state: State, up: bool) -> Side:
    return state.up if up else state.down


def _put(state: State, up: bool, side: Side) -> State:
    return state._replace(up=side) if up else state._replace(down=side)
