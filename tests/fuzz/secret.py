"""The secrecy oracle: talk of many forms with a secret where secrets stand, fed to every reader, however cut and holed.

In: fuzz bytes as choices. A secret is never put where it would be no secret (a path, a host), so wherever it comes out,
in clear, as base64 or as hex, in part or whole, a reader is to blame.
"""

import base64
import hashlib
import struct
from collections.abc import Callable, Iterator

from camguard.errors import Malformed
from camguard.events import Chunk
from camguard.protocols import DATAGRAM_READERS, NOT_MINE, STREAM_READERS, Reading, StreamReader
from tests.fuzz.inputs import Choice
from tests.fuzz.targets import Broken, Watch, check_reading

SECRET = "Zq7Kx9Wv3TnJ5yRb"
HASH = hashlib.md5(SECRET.encode()).hexdigest()
PIECE, PIECES_MAX = 6, 400  # so many of its characters in a row are too many
Turns = list[tuple[bool, bytes]]


def _forms(secret: str) -> frozenset[str]:
    """Every piece of the secret as it might leave: plain, base64 at each of its three places, hex, hashed."""
    raw = secret.encode()
    whole = [secret, raw.hex(), hashlib.md5(raw).hexdigest(), hashlib.sha1(raw).hexdigest()]
    whole += [base64.b64encode(b"x" * shift + raw).decode()[4 if shift else 0 : -4] for shift in range(3)]
    return frozenset(
        text[at : at + size].lower()
        for text, size in zip(whole, (PIECE, 2 * PIECE, 12, 12, 8, 8, 8), strict=True)
        for at in range(len(text) - size + 1)
    )


FORMS = sorted(_forms(SECRET))


def leaked(readings: list[Reading]) -> str | None:
    """The piece of the secret that the readings show."""
    return holds(repr(readings))


def holds(text: str) -> str | None:
    """The first piece of the secret in `text`."""
    lower = text.lower()
    return next((piece for piece in FORMS if piece in lower), None)


# ---- talk over TCP ---------------------------------------------------------------------------------------------------


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _authorization(pick: Choice) -> str:
    """A header that holds the secret."""
    user = pick.one_of(("admin", "", "a b", "x" * 80, "me@home", 'q"q'))
    digest = (
        f'username="{user}", realm="{SECRET}", nonce="{SECRET}", uri="/", response="{HASH}"'
        f', opaque="{SECRET}", cnonce="{SECRET}", nc=00000001, qop=auth'
    )
    value = pick.one_of(
        (
            f"Basic {_b64(f'{user}:{SECRET}')}",
            f"Basic {_b64(f'{user}:{SECRET}').rstrip('=')}",
            f"basic   {_b64(f'{SECRET}')}" if pick.below(2) else f"Basic {_b64(':' + SECRET)}",
            f"Digest {digest}",
            f"Digest {digest.replace(', ', ',')}",
            f"Digest {digest.replace('=', ' = ')}",
            f"Bearer {SECRET}",
            f"Token {SECRET}",
            f"{SECRET}",
            f"Negotiate {_b64(SECRET)}",
            f'WSSE profile="UsernameToken"\r\nX-WSSE: UsernameToken Username="{user}", PasswordDigest="{_b64(SECRET)}",'
            f' Nonce="{SECRET}", Created="2026-01-01T00:00:00Z"',
        )
    )
    name = pick.one_of(("Authorization", "authorization", "AUTHORIZATION", "Proxy-Authorization", "Cookie", "X-Token"))
    colon = pick.one_of((": ", ":", ":\t", " : ", ":\r\n ", ": \t "))
    return f"{name}{colon}{value}\r\n"


def _url(pick: Choice, scheme: str) -> str:
    """A URL that may hold the secret where a password or a token stands."""
    word = pick.one_of(("password", "PWD", "pass", "passwd", "token", "auth", "p%61ssword", "sessionid", "psw", "sign"))
    value = pick.one_of((SECRET, "%5A" + SECRET[1:], SECRET + "%40", "a/" + SECRET, SECRET + "/b", "%2F" + SECRET))
    absolute = pick.one_of(("", f"{scheme}://192.168.1.10:554", f"{scheme}://cam.example"))
    return pick.one_of(
        (
            f"{absolute}/live",
            f"{scheme}://admin:{value}@192.168.1.10/live",
            f"{scheme}://{value}@cam.example/live?x=1",
            f"{scheme}://admin:{value}@cam.example",
            f"{scheme}://a:b@c:{value}@cam.example/1",
            f"{absolute}/live?user=admin&{word}={value}",
            f"{absolute}/user=admin&{word}={value}&channel=1",
            f"{absolute}/user=admin_{word}={value}_channel=1.sdp",
            f"{absolute}/a;{word}={value}",
            f"{absolute}/a#{value}",
            f"{absolute}/cgi?cmd=x&usr=admin&{word}={value}",
            f"{absolute}/x%3F{word}%3D{value}",
        )
    )


def _junk(pick: Choice) -> str:
    return f"X-Junk: {pick.rest(60).decode('latin-1')}\r\n" if pick.below(3) == 2 else ""


def _rtsp(pick: Choice) -> Turns:
    turns: Turns = []
    for number in range(1 + pick.below(4)):
        method = pick.one_of(("DESCRIBE", "SETUP", "PLAY", "OPTIONS", "ANNOUNCE", "SET_PARAMETER"))
        body = pick.one_of(("", f"password: {SECRET}\r\n"))
        more = pick.one_of(("", f"Session: {SECRET}\r\n", "Transport: RTP/AVP/TCP;interleaved=0-1\r\n"))
        head = f"{method} {_url(pick, 'rtsp')} RTSP/1.0\r\nCSeq: {number}\r\n{_junk(pick)}{more}{_authorization(pick)}"
        turns.append((False, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode("latin-1")))
        status = pick.one_of(("200 OK", "401 Unauthorized", "454 Session Not Found"))
        challenge = pick.one_of(
            ("", f'WWW-Authenticate: Digest realm="x", nonce="{SECRET}"\r\n', f"Session: {SECRET};timeout=60\r\n")
        )
        turns.append((True, f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{challenge}{_junk(pick)}\r\n".encode("latin-1")))
    return turns


def _bodies(pick: Choice) -> tuple[str, str]:
    word = pick.one_of(("password", "pwd", "Password", "passwd", "loginpas", "user.password"))
    digest = pick.one_of(("#PasswordDigest", "#PasswordText", ""))
    soap = (
        "<s:Envelope><s:Header><wsse:Security><wsse:UsernameToken><wsse:Username>admin</wsse:Username>"
        f'<wsse:Password Type="{digest}">{SECRET}</wsse:Password><wsse:Nonce>{SECRET}</wsse:Nonce>'
        f"<wsu:Created>{SECRET}</wsu:Created></wsse:UsernameToken>"
        "</wsse:Security></s:Header><s:Body><GetProfiles/></s:Body></s:Envelope>"
    )
    return pick.one_of(
        (
            ("application/x-www-form-urlencoded", f"user=admin&{word}={SECRET}"),
            ("application/x-www-form-urlencoded", f"{word}={SECRET}&username=admin&token={SECRET}"),
            ("application/json", f'{{"username": "admin", "{word}": "{SECRET}"}}'),
            ("application/json", f'[{{"cmd":"Login","param":{{"User":{{"userName":"admin","{word}":"{SECRET}"}}}}}}]'),
            (
                "application/json",
                f'{{"method":"login","params":{{"hashed":true,"{word}":"{SECRET}","username":"admin"}}}}',
            ),
            ("application/soap+xml", soap),
            ("text/xml", f"<SessionLogin><userName>admin</userName><password>{SECRET}</password></SessionLogin>"),
            ("text/plain", SECRET),
        )
    )


def _http(pick: Choice) -> Turns:
    turns: Turns = []
    for _ in range(1 + pick.below(3)):
        kind, body = _bodies(pick)
        method = pick.one_of(("GET", "POST", "PUT", "HEAD"))
        if method in ("GET", "HEAD"):
            body = ""
        chunked = bool(body) and pick.below(3) == 2
        framed = f"{len(body):x}\r\n{body}\r\n0\r\n\r\n" if chunked else body
        size = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        secret = pick.one_of(("", _authorization(pick), f"Cookie: sid={SECRET}\r\n", f"X-sessioncookie: {SECRET}\r\n"))
        head = f"{method} {_url(pick, 'http')} HTTP/1.1\r\nHost: cam.example\r\n{_junk(pick)}"
        head += f"Content-Type: {kind}\r\n{secret}"
        turns.append((False, f"{head}{size}\r\n\r\n{framed}".encode("latin-1")))
        status = pick.one_of(("200 OK", "401 Unauthorized", "302 Found", "403 Forbidden"))
        answer = pick.one_of(("", f'{{"token":"{SECRET}","code":0}}', f"<stok>{SECRET}</stok>"))
        more = pick.one_of(
            ("", f"Set-Cookie: sid={SECRET}\r\n", f'WWW-Authenticate: Digest realm="r", nonce="{SECRET}"\r\n')
        )
        more += pick.one_of(("", f"Location: /x?token={SECRET}\r\n"))
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {len(answer)}\r\n\r\n"
        turns.append((True, (head + answer).encode()))
    return turns


def _tunnel(pick: Choice) -> Turns:
    inside = b"".join(data for up, data in _rtsp(pick) if not up)
    kind = pick.one_of(("POST", "GET"))
    head = (
        f"{kind} /live?token={SECRET} HTTP/1.0\r\nx-sessioncookie: {SECRET}\r\nContent-Length: 32767\r\n\r\n".encode()
    )
    answers = b"".join(data for up, data in _rtsp(pick) if up)
    opening: Turns = [(False, head), (True, b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n")]
    return [opening[0], (False, base64.b64encode(inside))] if kind == "POST" else [*opening, (True, answers)]


def _telnet(pick: Choice) -> Turns:
    option = pick.one_of((b"", b"\xff\xfd\x18\xff\xfb\x01", b"\xff\xfb\x03"))
    ask = pick.one_of((b"cam login: ", b"Username: ", b"login:"))
    word = pick.one_of((b"Password: ", b"password:"))
    end = pick.one_of((b"\r\n", b"\r\0", b"\n"))
    turns: Turns = [(True, option + ask)]
    for _ in range(1 + pick.below(3)):
        turns += [(False, b"root" + end), (True, b"root\r\n" + word), (False, SECRET.encode() + end)]
        turns.append((True, pick.one_of((b"\r\nLogin incorrect\r\n", b"\r\n# ", b"\r\nWelcome\r\n$ ")) + ask))
    return turns


def _ftp(pick: Choice) -> Turns:
    word = pick.one_of(("PASS", "pass", "Pass"))
    turns: Turns = [(True, b"220 ready\r\n")]
    for _ in range(1 + pick.below(3)):
        turns += [(False, b"USER admin\r\n"), (True, b"331 password\r\n"), (False, f"{word} {SECRET}\r\n".encode())]
        turns.append((True, pick.one_of((b"230 in\r\n", b"530 no\r\n", b"332 ACCT\r\n"))))
        turns.append((False, f"ACCT {SECRET}\r\n".encode()))
    return turns


def _rtmp(pick: Choice) -> Turns:
    from tests.protocols import test_rtmp as rtmp

    assert rtmp.SECRET
    url = f"rtmp://me:{SECRET}@cloud.example/live"
    connect = {"app": f"live/{SECRET}", "tcUrl": url, "pageUrl": f"http://x/?{SECRET}", "pubUser": SECRET}
    name = pick.one_of((SECRET, f"{SECRET}?x=1", f"a?user=admin&password={SECRET}", f"cam?token={SECRET}"))
    ask = rtmp.command(pick.one_of(("publish", "play", "releaseStream", "FCPublish")), 4, None, name, "live")
    level = rtmp.command(
        "onStatus", 0, None, {"level": "status", "code": "NetStream.Play.Start", "description": SECRET}
    )
    size = pick.one_of((128, 64, 4096))
    up = bool(pick.below(2))
    return [
        (up, b"\x03" + rtmp.HELLO),
        (not up, b"\x03" + rtmp.HELLO[::-1] + rtmp.HELLO),
        (up, rtmp.HELLO[::-1] + rtmp.message(20, rtmp.command("connect", 1, connect), size=128)),
        (not up, rtmp.message(20, rtmp.CONNECTED, size=128)),
        (up, rtmp.message(20, ask, size=size)),
        (not up, rtmp.message(20, level, size=size)),
    ]


def _soap(pick: Choice) -> Turns:
    from tests.protocols import test_upnp as upnp

    data = upnp.asked("AddPortMapping", **upnp.ADD).replace(b"Connection: Close", _authorization(pick).strip().encode())
    return [(True, data), (False, upnp.answered())]


# ---- talk over UDP ---------------------------------------------------------------------------------------------------


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack(">HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _stun(pick: Choice) -> Turns:
    secret = SECRET.encode()
    turns: Turns = []
    for _ in range(1 + pick.below(4)):
        kind = pick.one_of((1, 3, 4, 8, 9, 0x16, 0x0101, 0x0103, 0x0111, 0x0113, 0x0104))
        kinds = [pick.one_of((6, 0x14, 0x15, 8, 0x1E, 0x1C, 9, 0x8002, 0x0007)) for _ in range(1 + pick.below(4))]
        body = b"".join(_attribute(one, (b"\0\0\4\1" if one == 9 else b"") + secret) for one in kinds)
        peer = _attribute(0x12, b"\0\1" + bytes(6)) if pick.below(2) else b""
        head = struct.pack(">HH", kind, len(body + peer)) + b"\x21\x12\xa4\x42" + secret[:12]
        turns.append((bool(pick.below(2)), head + body + peer))
    return turns


def _makers(pick: Choice) -> Turns:
    """Ids and nonces of the makers' own talk, SRT's stream id, cookies of DTLS and QUIC, keys of tunnels."""
    from tests.protocols import test_pppp as pppp
    from tests.protocols import test_srt as srt

    secret, many = SECRET.encode(), (SECRET * 8).encode()
    uid = b"VSTC\0\0\0\0" + secret[:12]
    wireguard = [b"\1\0\0\0" + many + many[:16], b"\2\0\0\0" + many[:88], b"\4\0\0\0" + many]
    hello = b"\xfe\xfd" + many[:32] + b"\x10" + secret + b"\x10" + secret + b"\0\2\xc0\x2b\1\0\0\0"
    dtls = b"\x16\xfe\xfd" + bytes(8) + struct.pack(">H", 12 + len(hello)) + b"\1" + len(hello).to_bytes(3, "big")
    dtls += b"\0\0\0\0\0" + len(hello).to_bytes(3, "big") + hello
    quic = b"\xf0\0\0\0\1\x08" + secret[:8] + b"\x08" + secret[:8] + b"\x10" + secret + b"\x40\x40" + many[:64]
    rows: tuple[Turns, ...] = (
        [(True, pppp.message(0x14, uid + bytes(20) + many[:48])), (False, pppp.message(0x41, uid))],
        [(True, pppp.message(0x10, many[:44])), (True, pppp.message(0x82, many[:20]))],
        [*srt.CALL[:2], (True, srt.shake(-1, extension=5) + b"\0\5\0\4" + secret), *srt.CALL[3:]],
        [(True, data) for data in wireguard],
        [(True, dtls), (False, dtls)],
        [(True, quic.ljust(1200, b"\0")), (False, quic)],
        [(True, b"\x38" + many[:54]), (False, b"\x40" + many[:60]), (True, b"\x20" + many[:60])],
    )
    return rows[pick.below(len(rows))]


STREAMS: tuple[Callable[[Choice], Turns], ...] = (_rtsp, _http, _tunnel, _telnet, _ftp, _rtmp, _soap)
DATAGRAMS: tuple[Callable[[Choice], Turns], ...] = (_stun, _makers)


def _cut(turns: Turns, pick: Choice, *, datagrams: bool) -> list[Chunk]:
    """The talk in pieces, with up to two holes that are told as such; a datagram's hole is its end."""
    size = pick.one_of((0, 0, 1, 3, 16, 100, 536, 1448))
    size = max(size, sum(len(data) for _, data in turns) // PIECES_MAX) if size else 0
    holes = {pick.below(len(turns)): (pick.below(600), 1 + pick.below(300)) for _ in range(pick.below(3))}
    out: list[Chunk] = []
    missing: set[bool] = set()
    for number, (up, data) in enumerate(turns):
        at, length = holes.get(number, (len(data), 0))
        if datagrams:
            out.append(Chunk(up, data[:at] or b"\0", at < len(data)))
            continue
        for part in (data[:at], data[at + length :]):
            step = size or max(1, len(part))
            for begin in range(0, len(part), step):
                out.append(Chunk(up, part[begin : begin + step], up in missing))
                missing.discard(up)
            if at < len(data):
                missing.add(up)
                at = len(data)
    return out


def hear(readers: dict[str, StreamReader], said: list[Chunk], watch: Watch) -> Iterator[tuple[str, list[Reading]]]:
    for name, read in readers.items():
        state: object = None
        told: list[Reading] = []
        for chunk in said:
            try:
                state, news = watch.call(lambda read=read, state=state, chunk=chunk: read(state, chunk))
            except Malformed as error:
                news = (Reading("odd", {"name": str(error)}),)
            told += news
            if state is NOT_MINE:
                break
        yield name, told


def _check(data: bytes, watch: Watch, *, datagrams: bool) -> None:
    if holds(data.decode("latin-1")):
        return  # chance, or a fuzzer that learned the secret: it could stand anywhere
    pick = Choice(data)
    talk = pick.one_of(DATAGRAMS if datagrams else STREAMS)
    said = _cut(talk(pick), pick, datagrams=datagrams)
    for name, told in hear(DATAGRAM_READERS if datagrams else STREAM_READERS, said, watch):
        for reading in told:
            check_reading(reading)
        if piece := leaked(told):
            raise Broken(f"{name} tells {piece!r} of the secret in {talk.__name__[1:]}: {told!r:.400}")


def streams(data: bytes, watch: Watch) -> None:
    """All readers of streams, fed with one talk."""
    _check(data, watch, datagrams=False)


def datagrams(data: bytes, watch: Watch) -> None:
    """All readers of datagrams, fed with one talk."""
    _check(data, watch, datagrams=True)
