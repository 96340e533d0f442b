"""Header blocks and text that is safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from camguard.protocols import text


@pytest.mark.parametrize(
    ("data", "end"),
    [
        (b"a: b\r\n\r\nbody", 8),
        (b"a: b\n\nbody", 6),
        (b"a: b\n\r\nbody", 7),
        (b"a: b\r\n", -1),
        (b"", -1),
        (b"a\n\nb\r\n\r\n", 3),
    ],
)
def test_end_of_headers(data: bytes, end: int) -> None:
    assert text.end_of_headers(data) == end


def test_headers() -> None:
    block = b"CSeq: 1\r\ncseq: 2\r\nno colon\r\nTransport: RTP/AVP;\r\n\tunicast\r\n: empty\r\n  \r\n"
    assert text.headers(block) == {"cseq": "1", "transport": "RTP/AVP; unicast", "": "empty"}


def test_headers_are_capped() -> None:
    assert len(text.headers(b"".join(b"h%d: x\r\n" % n for n in range(5000)))) == text.HEADER_LINES_CAP


def test_what_stands_in_front_hides_no_login() -> None:
    many = b"".join(b"h%d: x\r\n" % n for n in range(300))
    block = many + b"Authorization: Foo bar\r\nAuthorization: Basic YTpi\r\nAuthorization: Basic Yzpk\r\n"
    assert text.headers(block)["authorization"] == "Basic YTpi"


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("7", 7),
        ("0007", 7),
        ("-1", None),
        ("1e3", None),
        ("", None),
        (None, None),
        ("٣", None),
        ("9" * 10, None),
        ("²", None),
    ],
)
def test_number(value: str | None, number: int | None) -> None:
    assert text.number(value) == number


@pytest.mark.parametrize(
    ("value", "scheme"),
    [
        ('Digest username="a"', "digest"),
        ("BASIC YTpi", "basic"),
        ("Basic\tYTpi", "basic"),
        ("Bearer abc", None),
        ("", None),
        (None, None),
        ("Basicx", None),
    ],
)
def test_auth_scheme(value: str | None, scheme: str | None) -> None:
    assert text.auth_scheme(value) == scheme


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("rtsp://10.0.0.5:554/stream1", "rtsp://10.0.0.5:554/stream1"),
        ("rtsp://u:p@10.0.0.5/a?b=c#d", "rtsp://10.0.0.5/a"),
        ("/stok=0123456789abcdef/ds", "/"),
        ("/user=admin_loginpas=x", "/user=admin_login"),
        ("*", "*"),
        ("/cam/1", "/cam/1"),
        ("rtsp://[2001:db8::1]:554/x", "rtsp://[2001:db8::1]:554/x"),
        ("rtsp://a/%2e%2e/x", "rtsp://a/%2e%2e/x"),
        ("rtsp://a/x\x1b\u202e", "rtsp://a/x\\x1b\\x202e"),
    ],
)
def test_bare_url(url: str, bare: str) -> None:
    assert text.bare_url(url) == bare


@given(st.text(max_size=300))
def test_printable_is_printable(value: str) -> None:
    assert text.printable(value).isprintable()
    assert text.bare_url(value).isprintable()
