"""What is told of answers and faults: in plain words, permanent where another try cannot help, without a secret."""

import socket
import ssl

import pytest

from camguard.tell.refusal import refused, unreachable

CANARY = "c4n4ry"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422, 451, 301, 302, 308])
def test_what_another_try_cannot_change(status: int) -> None:
    assert refused(status).permanent
    assert str(status) in str(refused(status))


@pytest.mark.parametrize(("status", "starting"), [(404, True), (302, True), (308, True), (401, False), (410, False)])
def test_what_a_proxy_says_whose_program_is_not_up_yet(status: int, starting: bool) -> None:
    assert refused(status).starting is starting


@pytest.mark.parametrize("status", [408, 409, 423, 425, 429, 500, 502, 503, 504, 507, 599])
def test_what_may_be_better_later(status: int) -> None:
    assert not refused(status).permanent


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(-2, CANARY), ConnectionRefusedError(111, CANARY), ConnectionResetError(CANARY),
        TimeoutError(CANARY), EOFError(CANARY), OSError(101, CANARY), ssl.SSLError(1, CANARY),
        ssl.SSLCertVerificationError(1, CANARY), ValueError(CANARY),
    ],
)  # fmt: skip
def test_faults_are_never_permanent_and_never_quoted(error: Exception) -> None:
    told = unreachable(error)
    assert not told.permanent
    assert CANARY not in str(told)
    assert len(str(told)) > 10
