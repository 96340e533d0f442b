"""Claims: who says that he is who, and whether with a factory password. The password itself never leaves."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard.protocols import credentials
from camguard.protocols.credentials import Claim, is_default, of_body, of_header, of_wsse_header

SECRET = "hunter2zebra"


def pair(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def password_digest(password: str) -> str:
    return base64.b64encode(hashlib.sha1(b"salt" + b"2026" + password.encode()).digest()).decode()


def token(kind: str, password: str) -> bytes:
    return (
        f'<a:UsernameToken><a:Username>u</a:Username><a:Password Type="#{kind}">{password}</a:Password>'
        f"<a:Nonce>{pair('salt')}</a:Nonce><b:Created>2026</b:Created></a:UsernameToken>"
    ).encode()


@pytest.mark.parametrize(
    ("value", "claim"),
    [
        (None, None),
        ("", None),
        (f"Basic {pair('admin:' + SECRET)}", Claim("basic", "admin", False)),
        (f"bAsIc {pair('admin:admin')}", Claim("basic", "admin", True)),
        (f"Basic {pair('test:fail:3')}", Claim("basic", "test", False)),
        (f"Basic {pair(':')}", Claim("basic", None, True)),
        (f"Basic {pair(SECRET)}", Claim("basic", None, None)),
        ("Basic ****", Claim("basic", None, None)),
        ('Digest username="a\\"b"', Claim("digest", 'a"b', None)),
        (f"Bearer {SECRET}", Claim("token", None, None)),
        (f"Turbo {SECRET}", Claim("token", None, None)),
        ('WSSE profile="UsernameToken"', Claim("wsse", None, None)),
    ],
)
def test_headers(value: str | None, claim: Claim | None) -> None:
    assert of_header(value, "GET") == claim


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_a_default_is_found_behind_a_digest(algorithm: str) -> None:
    made = hashlib.md5 if algorithm == "MD5" else hashlib.sha256

    def hashed(text: str) -> str:
        return made(text.encode()).hexdigest()

    for password, default in (("12345", True), (SECRET, False)):
        answer = hashed(f"{hashed(f'admin:IP Camera:{password}')}:n:1:c:auth:{hashed('GET:/x')}")
        value = (
            f'Digest username="admin", realm="IP Camera", nonce="n", uri="/x", algorithm={algorithm},'
            f' qop=auth, nc=1, cnonce="c", response="{answer}"'
        )
        assert of_header(value, "GET") == Claim("digest", "admin", default)


@pytest.mark.parametrize(
    ("body", "claim"),
    [
        (f"username=admin&password={SECRET}".encode(), Claim("form", "admin", False)),
        (b"user=admin&pass=", Claim("form", "admin", True)),
        (b"loginuse=admin&loginpas=888888&x=", Claim("form", "admin", True)),
        (b"a=1&b=2", None),
        (b"password=12345", None),
        (b"user=admin", None),
        (b'{"data":{"UserName":"root","Password":"pass"}}', Claim("form", "root", True)),
        (b'[{"param":{"User":{"userName":"a","password":"' + SECRET.encode() + b'"}}}]', Claim("form", "a", False)),
        (b'{"username":"a","password":"21232f297a57a5a743894a0e4a801fc3"}', Claim("form", "a", True)),
        (b'{"username":"a","password":"ffffffffffffffffffffffffffffffff"}', Claim("form", "a", None)),
        (b'{"method":"login","params":{"cnonce":"1","encrypt_type":"3","username":"admin"}}', None),
        (b'{"username":"a","password":', None),
        (b"[" * 5000, None),
        (b"\xff\xfe\x00=", None),
        (b"", None),
        (token("PasswordText", SECRET), Claim("wsse", "u", False)),
        (token("PasswordText", "admin"), Claim("wsse", "u", True)),
        (token("PasswordDigest", password_digest("admin")), Claim("wsse", "u", True)),
        (token("PasswordDigest", password_digest(SECRET)), Claim("wsse", "u", False)),
        (token("PasswordDigest", "***"), Claim("wsse", "u", None)),
        (b"<SessionLogin><userName>u</userName><password>00ff</password></SessionLogin>", Claim("form", "u", None)),
        (b"<note>hello</note>", None),
    ],
)
def test_bodies(body: bytes, claim: Claim | None) -> None:
    assert of_body(body) == claim


def test_the_header_of_wsse() -> None:
    digest = password_digest("1234")
    value = f'UsernameToken Username="bob", PasswordDigest="{digest}", Nonce="{pair("salt")}", Created="2026"'
    assert of_wsse_header(value) == Claim("wsse", "bob", True)


def test_a_user_name_is_short_and_printable() -> None:
    claim = of_header(f"Basic {pair('a' * 500 + chr(7) + ':x')}")
    assert claim
    assert claim.user == "a" * credentials.USER_CAP
    assert of_header(f"Basic {pair('a' + chr(27) + '[31m:x')}") == Claim("basic", "a\\x1b[31m", False)


def test_defaults_are_compared_whole() -> None:
    assert is_default("admin")
    assert not is_default("admin1")
    assert not is_default("Admin")


@given(st.one_of(st.binary(max_size=300), st.text(max_size=200).map(str.encode)))
def test_any_bytes(data: bytes) -> None:
    of_body(data)
    of_header(data.decode("latin-1"), "GET")
    of_wsse_header(data.decode("latin-1"))
