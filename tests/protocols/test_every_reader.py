"""Every reader, found by itself: any bytes in, facts or Malformed out, bounded state. tests/fuzz goes deeper."""

import inspect
from base64 import b64encode
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from camguard import listen
from camguard.events import Chunk
from camguard.protocols import DATAGRAM_READERS, NOT_MINE, STREAM_READERS, Reading
from tests.fuzz import secret, seeds
from tests.fuzz.inputs import Choice, chunks, encode, mutated
from tests.fuzz.targets import Broken, Watch, check_reading, check_state, plain_readers, stream_like, targets

#: All but those that take whole frames, which have tests of their own (test_decode.py, test_survival.py).
NAMES = [name for name in targets() if name not in ("decode", "guard")]
OF_CONNECTIONS = {**STREAM_READERS, **{f"{name}, datagrams": read for name, read in DATAGRAM_READERS.items()}}
NOTHING_BUT_BYTES = [b"", b"\0", bytes(40), b"\xff" * 40, b"GET / HTTP/1.1\r\n\r\n"]


@cache
def rows_of(name: str) -> list[bytes]:
    """What the tests of this reader hold, short ones: where mutations begin."""
    read = STREAM_READERS.get(name) or DATAGRAM_READERS.get(name.removesuffix("-udp"))
    read = read or plain_readers().get(name.removesuffix("-one"))
    found = [one for one in seeds.rows(read) if len(one) < 1500] if read else []
    return [*NOTHING_BUT_BYTES, *found]


@pytest.mark.parametrize("name", NAMES)
def test_any_bytes(name: str) -> None:
    """Bytes out of nowhere, and this reader's own table rows with a few edits."""
    target, rows = targets()[name], rows_of(name)

    @settings(max_examples=1000, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, len(rows) - 1), st.binary(max_size=120))
    def holds(row: int, data: bytes) -> None:
        target(data if row == 0 or name.startswith("secrets") else mutated(rows[row], data), Watch())

    holds()


@pytest.mark.parametrize("name", OF_CONNECTIONS)
def test_a_reader_is_pure(name: str) -> None:
    """The same state and bytes give the same again, so that nothing is kept but in the state."""
    read = OF_CONNECTIONS[name]
    rows = rows_of(name.removesuffix(", datagrams"))
    for row in rows[:: max(1, len(rows) // 40)]:
        state: object = None
        for chunk in list(chunks(row))[:40]:
            first, again = read(state, chunk), read(state, chunk)
            assert first == again, row
            state = first[0]
            if state is NOT_MINE:
                break


def test_no_reader_is_forgotten() -> None:
    """What has the form of a reader is registered or called by listen.py, and so tested here."""
    registered = {*STREAM_READERS.values(), *DATAGRAM_READERS.values()}
    assert [f"{read.__module__}.{read.__name__}" for read in stream_like() if read not in registered] == []
    called = inspect.getsource(listen)
    for name, read in plain_readers().items():
        call = f"{read.__module__.rpartition('.')[2]}.{read.__name__}("
        assert call in called, f"{name} is called by nobody"


def test_the_oracles_see() -> None:
    """Each promise that is looked at can be seen broken."""

    def is_broken(broken: Callable[[], object]) -> bool:
        try:
            broken()
        except Broken:
            return True
        return False

    assert is_broken(lambda: check_reading(Reading("x", {"name": "a\x1b[2J"})))
    assert is_broken(lambda: check_reading(Reading("x", {"name": b"bytes"})))  # type: ignore[dict-item]
    assert is_broken(lambda: check_reading(Reading("x", {"names": ("a" * 1000,) * 30})))
    assert is_broken(lambda: check_reading("x"))
    assert is_broken(lambda: check_state(bytes(100_000)))
    assert not is_broken(lambda: check_reading(Reading("odd", {"name": "x-y", "ips": ("a", "b"), "n": 1, "m": None})))
    text = secret.SECRET
    for shown in (text, text[3:9], text.lower(), text.encode().hex(), b64encode(b"u:" + text.encode())):
        assert secret.leaked([Reading("x", {"name": f"..{shown!r}.."})]), shown
    assert not secret.leaked([Reading("x", {"name": text[:5] + "-" + text[5:9]})])


def test_the_secret_stands_in_what_the_readers_read() -> None:
    """Else the oracle would be blind: every kind of talk is known by some reader, and holds the secret."""
    for talk in secret.STREAMS:
        turns = talk(Choice(bytes(200)))
        told = [reading for _, news in secret.hear(STREAM_READERS, [Chunk(*turn) for turn in turns], Watch()) for
                reading in news]  # fmt: skip
        assert [reading for reading in told if reading.what != "odd"], talk.__name__
    for talk in secret.DATAGRAMS:
        kinds = [talk(Choice(bytes([kind]) + bytes(50))) for kind in range(7)]
        assert all(secret.holds(b"".join(data for _, data in turns).decode("latin-1")) for turns in kinds)


def test_inputs_are_what_they_were_made_of() -> None:
    said = [Chunk(True, b"abc"), Chunk(False, b"\0" * 9, gap=True), Chunk(False, b"z")]
    assert list(chunks(encode(said))) == said
