"""Who says that he is who: credentials in a header, a form, JSON or SOAP (pure; rtsp.py and http.py share it).

In: a value that holds credentials. Out: Claim(scheme, user, default_password). The password is compared with a short
list at once and forgotten: no password, hash, digest, nonce, cookie or token leaves this file.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from camguard.protocols.text import printable

#: What cameras are delivered with: the passwords of cameradar's dictionary (github.com/Ullaakut/cameradar,
#: dictionaries/credentials.json), which attackers try first. "" is no password at all.
DEFAULT_PASSWORDS = frozenset(
    {"", "111111", "1111111", "1234", "12345", "123456", "12345678", "4321", "666666", "888888", "9999", "admin"}
    | {"administrator", "aiphone", "camera", "fliradmin", "hikvision", "hikadmin", "ikwd", "jvc", "meinsm", "pass"}
    | {"password", "reolink", "root", "service", "supervisor", "system", "toor", "tp-link", "ubnt", "wbox123"}
)
USER_CAP = 64  # characters
DEPTH_CAP = 6  # of JSON inside JSON
VALUE_CAP = 4096  # characters of one header value

#: Scheme names that leave the reader; another one (RFC 7235 lets anybody make one up) is "token".
_SCHEMES = {"basic": "basic", "digest": "digest", "wsse": "wsse", "usernametoken": "wsse"}
_USER_KEYS = frozenset(
    {"user", "username", "usr", "login", "loginuse", "account", "uname", "userid", "loginname", "name", "email"}
    | {"user_name"}
)
_PASSWORD_KEYS = frozenset(
    {"pass", "password", "passwd", "pwd", "psw", "loginpas", "userpwd", "loginpass", "passphrase", "digest_passwd"}
    | {"user_password"}
)
_PART = re.compile(r'([A-Za-z*-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))')


class Claim(NamedTuple):
    """`default_password`: a maker's default, or empty; None where it cannot be told. `pre_auth`: of a question that is
    answered without a login as well, so that only a refusal says something."""

    scheme: str
    user: str | None
    default_password: bool | None
    pre_auth: bool = False


def is_default(password: str) -> bool:
    """Whether it is one of the list, in clear or as the MD5 that a maker's page sends (Tapo: pytapo, __init__.py)."""
    return password in DEFAULT_PASSWORDS or (len(password) == 32 and password.lower() in _DEFAULTS_MD5)


def of_header(value: str | None, method: str = "") -> Claim | None:
    """The claim of an Authorization header (RFC 7617, RFC 7616); `method` is needed to try defaults on a digest."""
    word, rest = [*(value or "")[:VALUE_CAP].split(maxsplit=1), "", ""][:2]
    if not word:
        return None
    scheme = _SCHEMES.get(word.lower(), "token")
    if scheme == "basic":
        return _basic(rest.strip())
    if scheme == "digest":
        parts = fields(rest)
        return Claim("digest", user_name(parts.get("username")), _is_default_digest(parts, method))
    return Claim(scheme, None, None)


def of_wsse_header(value: str) -> Claim:
    """The claim of an X-WSSE header: UsernameToken Username="...", PasswordDigest="...", Nonce="...", Created="..."."""
    parts = fields(value[:VALUE_CAP].partition(" ")[2])
    digest = parts.get("passworddigest")
    known = None if digest is None else _is_default_wsse(digest, parts.get("nonce", ""), parts.get("created", ""))
    return Claim("wsse", user_name(parts.get("username")), known)


def of_url(url: str) -> Claim | None:
    """The claim of a query that holds a name and a password (Foscam's CGIProxy, Reolink's api.cgi, a form's GET)."""
    query = url.partition("?")[2][:VALUE_CAP]
    return _form(query.encode("latin-1", "replace")) if query else None


def of_body(body: bytes) -> Claim | None:
    """The claim of a login form, of JSON, of ONVIF's UsernameToken or of Hikvision's session login; None: no claim."""
    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if text.startswith(b"<"):
        return _xml(text)
    if text.startswith((b"{", b"[")):
        return _json(text)
    return _form(text)


def fields(text: str) -> dict[str, str]:
    """name=value, name="value" lists, names in lower case; the first of a name counts."""
    found: dict[str, str] = {}
    for name, quoted, plain in _PART.findall(text):
        found.setdefault(name.lower(), re.sub(r"\\(.)", r"\1", quoted) if quoted else plain)
    return found


def user_name(value: object) -> str | None:
    """A user name that is safe to show; None for none."""
    return printable(value, USER_CAP) if isinstance(value, str) and value else None


# ---- one scheme each -------------------------------------------------------------------------------------------------


def _basic(text: str) -> Claim:
    try:
        pair = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return Claim("basic", None, None)
    user, colon, password = pair.partition(":")  # a password may hold colons, a name may not (RFC 7617 section 2)
    return Claim("basic", user_name(user), is_default(password)) if colon else Claim("basic", None, None)


def _is_default_digest(parts: dict[str, str], method: str) -> bool | None:
    """Whether one of the defaults gives this answer (RFC 7616 section 3.4.1; without qop RFC 2069)."""
    algorithm = parts.get("algorithm", "MD5").upper()
    qop, needed = parts.get("qop", "").lower(), ("username", "realm", "nonce", "uri", "response")
    if not method or any(name not in parts for name in needed) or qop not in ("", "auth"):
        return None
    if algorithm not in ("MD5", "SHA-256"):
        return None
    middle = f"{parts['nonce']}:{parts.get('nc', '')}:{parts.get('cnonce', '')}:{qop}" if qop else parts["nonce"]
    second = _hashed(algorithm, f"{method}:{parts['uri']}")
    first = f"{parts['username']}:{parts['realm']}:"
    answers = (
        _hashed(algorithm, f"{_hashed(algorithm, first + word)}:{middle}:{second}") for word in DEFAULT_PASSWORDS
    )
    return parts["response"].lower() in answers


def _is_default_wsse(digest: str, nonce: str, created: str) -> bool | None:
    """Base64(SHA-1(nonce + created + password)) (WS-Security UsernameToken Profile 1.1, section 3.1)."""
    try:
        given, salt = base64.b64decode(digest, validate=True), base64.b64decode(nonce, validate=True)
    except (binascii.Error, ValueError):
        return None
    begun = hashlib.sha1(salt + created.encode("utf-8", "replace"), usedforsecurity=False)
    for word in DEFAULT_PASSWORDS:
        whole = begun.copy()
        whole.update(word.encode())
        if whole.digest() == given:
            return True
    return False


def _hashed(algorithm: str, text: str) -> str:
    data = text.encode("utf-8", "replace")
    if algorithm == "SHA-256":
        return hashlib.sha256(data).hexdigest()
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


#: ONVIF Core 5.9.4.3, access class PRE_AUTH: answered without any login.
_PRE_AUTH = re.compile(
    rb"<(?:[\w.-]+:)?(?:GetSystemDateAndTime|GetServices|GetServiceCapabilities|GetCapabilities|GetHostname|GetWsdlUrl"
    rb"|GetEndpointReference)[\s/>]"
)


def _element(name: str) -> "re.Pattern[bytes]":
    return re.compile(rb"<(?:[\w.-]+:)?" + name.encode() + rb"(?:\s([^>]{0,400}))?>\s*([^<]{0,512}?)\s*</")


_USERNAME, _PASSWORD, _NONCE, _CREATED = (_element(name) for name in ("Username", "Password", "Nonce", "Created"))
_HIK_USER, _HIK_PASSWORD = _element("userName"), _element("password")


def _xml(body: bytes) -> Claim | None:
    if b"UsernameToken" in body:
        user, password, nonce, created = (e.search(body) for e in (_USERNAME, _PASSWORD, _NONCE, _CREATED))
        known: bool | None = None
        if password:
            secret = password[2].decode("utf-8", "replace")
            known = is_default(secret)
            if b"PasswordDigest" in (password[1] or b""):
                salt, made = (found[2].decode("latin-1") if found else "" for found in (nonce, created))
                known = _is_default_wsse(secret, salt, made)
        return Claim("wsse", _text(user), known, _PRE_AUTH.search(body) is not None)
    if b"<SessionLogin" in body:  # Hikvision ISAPI, /ISAPI/Security/sessionLogin: the password is a salted hash
        return Claim("form", _text(_HIK_USER.search(body)), None) if _HIK_PASSWORD.search(body) else None
    return None


def _text(found: "re.Match[bytes] | None") -> str | None:
    return user_name(found[2].decode("utf-8", "replace")) if found else None


def _form(body: bytes) -> Claim | None:
    if b"=" not in body or b"\0" in body:
        return None
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=64)
    except ValueError:
        return None
    return _pairs(pairs)


def _json(body: bytes) -> Claim | None:
    try:
        return _pairs(list(_leaves(json.loads(body), 0)))
    except (ValueError, RecursionError):
        return None


def _leaves(value: Any, depth: int) -> Iterator[tuple[str, str]]:
    """All texts under a name, from the outside in."""
    if depth > DEPTH_CAP:
        return
    inner: list[Any] = []
    for key, one in value.items() if isinstance(value, dict) else ():
        if isinstance(one, str):
            yield key, one
        else:
            inner.append(one)
    for one in (*inner, *(value if isinstance(value, list) else ())):
        yield from _leaves(one, depth + 1)


def _pairs(pairs: Iterable[tuple[str, str]]) -> Claim | None:
    """A claim needs a password beside a name; a page that hashes it says so by another name or by its length."""
    user = password = None
    for key, value in pairs:
        word = key.rpartition(".")[2].lower()
        if password is None and word in _PASSWORD_KEYS:
            password = value
        elif user is None and word in _USER_KEYS:
            user = value
    if password is None or user is None:
        return None
    hashed = len(password) > 32 or (len(password) == 32 and not is_default(password))
    return Claim("form", user_name(user), None if hashed else is_default(password))


_DEFAULTS_MD5 = frozenset(_hashed("MD5", word) for word in DEFAULT_PASSWORDS)
