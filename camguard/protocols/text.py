"""What the readers share: the shape of a reading, and the header block of RTSP and its relatives.

In: bytes of one message. Out: `Reading`s, header dictionaries, text that is safe to show. Nothing here keeps a secret:
of an Authorization header only the scheme's name leaves.
"""

import re
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from camguard.events import Chunk

Detail = dict[str, str | int | float | bool | tuple[str, ...] | None]


class Reading(NamedTuple):
    """One thing read. `what` is the word of events.Fact; `from_server`: who said it, None where both ends are equal."""

    what: str
    detail: Detail
    from_server: bool | None = None


class NotMine:
    """The state of a reader that has given up on a connection, or has read all that it wants of it."""

    def __repr__(self) -> str:
        return "NOT_MINE"


NOT_MINE: Final = NotMine()

#: A reader of ordered bytes. The state is None at first, NOT_MINE at the end, and else the reader's own business.
StreamReader = Callable[[Any, Chunk], tuple[Any, tuple[Reading, ...]]]

HEADER_BLOCK_CAP = 16 * 1024  # bytes; RTSP servers refuse far shorter ones
HEADER_LINES_CAP = 2048  # of so many bytes; who puts many lines in front does not hide what comes behind them

_FOLD = re.compile(r"\r?\n[ \t]+")


def end_of_headers(data: bytes) -> int:
    """The offset behind the blank line that ends a header block, -1 where it has not come yet."""
    ends = [at + len(line) for line in (b"\n\r\n", b"\n\n") if (at := data.find(line)) >= 0]
    return min(ends, default=-1)


def headers(block: bytes) -> dict[str, str]:
    """Header lines (without the start line) as lower-case name -> value. The first of a name counts, but no login in an
    unknown scheme hides one behind it (servers differ in which they believe); lines past the cap and lines without a
    colon are passed over; folded lines are joined (RFC 2326 section 4.2 refers to RFC 2068)."""
    found: dict[str, str] = {}
    for line in _FOLD.sub(" ", block.decode("latin-1")).splitlines()[:HEADER_LINES_CAP]:
        name, colon, value = line.partition(":")
        if not colon:
            continue
        word = name.strip().lower()
        if word == "authorization" and auth_scheme(found.get(word)) is None:
            found.pop(word, None)
        found.setdefault(word, value.strip())
    return found


def number(value: str | None) -> int | None:
    """A header value of up to nine ASCII digits as a number, else None."""
    return int(value) if value is not None and len(value) < 10 and value.isascii() and value.isdigit() else None


def auth_scheme(value: str | None) -> str | None:
    """ "basic" or "digest" of an Authorization value, None for none or another; the rest of it is not looked at."""
    scheme = next(iter((value or "").split(maxsplit=1)), "").lower()
    return scheme if scheme in ("basic", "digest") else None


def printable(value: str, limit: int = 200) -> str:
    """`value` cut to `limit` characters, with everything that is not plainly printable ASCII as \\xNN."""
    return "".join(c if " " <= c <= "~" else f"\\x{ord(c):02x}" for c in value[:limit])


# A password can stand in the user part, in the query, and with some makers in the path
# ("/user=admin&password=x&channel=1"; TP-Link Tapo's session: "/stok=x/ds"): everything from such a word on is cut.
_SECRET_WORD = re.compile(
    r"(?i)(?:pass|pwd|psw|pw=|pas=|token|stok=|auth|sess|secret|sign|key=|sid=|nonce|cookie).*", re.DOTALL
)
_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")


def bare_url(url: str) -> str:
    """A URL without user, password, query and fragment, at most 200 safe characters; rather too short than a secret."""
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        scheme, rest = "", url
    rest = rest.rpartition("@")[2]  # a password may hold "/" and "?" unescaped: the last "@" counts
    rest = re.split(r"[?#;]", rest, maxsplit=1)[0]
    plain = _PERCENT.sub(lambda hit: chr(int(hit.group()[1:], 16)), rest)
    rest = rest.partition("/")[0] if plain != rest and _SECRET_WORD.search(plain) else _SECRET_WORD.sub("", rest)
    return printable(f"{scheme}{slashes}{rest}")


_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})")


def host_name(value: str) -> str | None:
    """The name or address of an authority ("user@Cam.example:80", "[2001:db8::1]:80"), in lower case; None where it is
    neither (RFC 3986 section 3.2)."""
    host = value[:1024].strip().rpartition("@")[2]
    if host.startswith("["):
        inner = host[1:].partition("]")[0]
        return inner.lower() if ":" in inner and _ADDRESS.fullmatch(inner) else None
    name = host.partition(":")[0].rstrip(".")
    return name.lower() if _NAME.fullmatch(name) else None


class Transport(NamedTuple):
    """The first offer of a Transport header, as far as it says."""

    kind: str | None
    client_ports: tuple[str, ...]
    server_ports: tuple[str, ...]
    interleaved: tuple[str, ...]
    destination: str | None
    mode: str | None


_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]{2,45}")


def transport(value: str) -> Transport:
    """Take apart a Transport header (RFC 2326 section 12.39; dest_addr and src_addr of RFC 7826 section 18.54)."""
    first = value[:1024].partition(",")[0]
    protocol, *parts = (part.strip() for part in first.split(";"))
    fields = {name.strip().lower(): text.strip().strip('"') for name, _, text in (p.partition("=") for p in parts)}
    if not protocol.upper().startswith(("RTP/", "MP2T", "RAW/", "X-REAL-RDT", "SRTP")):
        return Transport(None, (), (), (), None, None)
    channels = _range(fields.get("interleaved", ""))
    client = _range(fields.get("client_port", "")) or _dest_ports(fields.get("dest_addr", ""))
    server = _range(fields.get("server_port", "")) or _dest_ports(fields.get("src_addr", ""))
    if "multicast" in fields:
        kind, client = "multicast", client or _range(fields.get("port", ""))
    else:
        kind = "tcp" if channels or protocol.upper().endswith("/TCP") else "udp"
    destination = fields.get("destination", "")
    mode = fields.get("mode", "").lower() or None
    return Transport(
        kind,
        client,
        server,
        channels,
        destination if _ADDRESS.fullmatch(destination) else None,
        "record" if mode in ("record", "receive") else "play" if mode else None,
    )


def _range(text: str) -> tuple[str, ...]:
    """ "8000-8001" -> ("8000", "8001"); numbers above 65535 are none."""
    found = _PORTS.match(text)
    parts = [part for part in found.groups() if part] if found else []
    return tuple(parts) if all(int(part) <= 65535 for part in parts) else ()


def _dest_ports(text: str) -> tuple[str, ...]:
    """The ports of quoted addresses: '":8000"/":8001"' -> ("8000", "8001")."""
    ports = re.findall(r":(\d{1,5})\"?(?=/|$)", text)[:2]
    return tuple(ports) if all(int(port) <= 65535 for port in ports) else ()
