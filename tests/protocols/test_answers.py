"""What became of a login: the answers of makers, of forms and of ONVIF."""

import pytest

from camguard.protocols.answers import of_body, of_head
from camguard.protocols.credentials import Claim

FORM, BASIC = Claim("form", "a", None), Claim("basic", "a", None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(200, "success"), (302, "success"), (401, "failure"), (403, "failure"), (404, "unknown"), (503, "unknown")],
)
def test_credentials_in_the_head(status: int, outcome: str) -> None:
    assert of_head(BASIC, status, {}, body_tells=False) == (outcome, "read")


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"error_code":0}', ("success", "read")),
        (b'{"error_code":-40404}', ("failure", "read")),
        (b'{"error_code":-40413,"result":{"data":{"nonce":"x"}}}', ("challenge", "read")),
        (b'{"result":true,"session":1}', ("success", "read")),
        (b'[{"code":0,"value":{"Token":{}}}]', ("success", "read")),
        (b'{"status":"ok"}', ("success", "read")),
        (b'{"errors":["no"]}', ("failure", "read")),
        (b'{"access_token":"x"}', ("success", "read")),
        (b'{"hello":1}', ("unknown", "read")),
        (b'{"error_code":', ("unknown", "read")),
        (b"<form><input type='password'></form>", ("failure", "inferred")),
        (b"<p>Login failed</p>", ("failure", "inferred")),
        (b"<p>Welcome</p>", ("unknown", "read")),
    ],
)
def test_what_a_body_says(body: bytes, outcome: tuple[str, str]) -> None:
    assert of_body(FORM, 200, {}, body, whole=True) == outcome


@pytest.mark.parametrize(
    ("status", "fields", "outcome"),
    [
        (302, {"location": "/login.html?error=1"}, ("failure", "inferred")),
        (302, {"location": "/main.html", "set-cookie": "yes"}, ("success", "inferred")),
        (302, {"location": "/main.html"}, ("unknown", "read")),
    ],
)
def test_where_a_form_leads(status: int, fields: dict[str, str], outcome: tuple[str, str]) -> None:
    assert of_head(FORM, status, fields, body_tells=False) == outcome
