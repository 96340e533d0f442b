"""SSH by its sizes: dialogues whose records are as long as those of real programs (them: tests/lab/test_doors.py).

The lengths below are those of the corpus (OpenSSH 6.7 with aes128-ctr and hmac-sha1) and of OpenSSH 9.2 in the lab.
"""

import struct

import pytest

from camguard.events import Chunk
from camguard.protocols import NOT_MINE, ssh
from tests.protocols.streams import run

UP, DOWN = True, False
CHACHA, GCM, CTR, ETM = (
    ("chacha20-poly1305@openssh.com", ""),
    ("aes128-gcm@openssh.com", ""),
    ("aes128-ctr", "hmac-sha1"),
    ("aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
)
#: cipher -> bytes around the padded part, bytes of its block, whether the length field is part of it
AROUND = {CHACHA: (20, 8, 0), GCM: (20, 16, 0), CTR: (20, 16, 4), ETM: (36, 16, 0)}
ACCEPT, SUCCESS, FAILURE, NONE = 17, 1, 24, 35  # payloads; FAILURE: "publickey,password", NONE: user "root"
DISCONNECT, KEY, SIGNED, PK_OK, ASKS, TELLS = 45, 112, 199, 71, 47, 22


def packet(payload: bytes) -> bytes:
    """In clear (RFC 4253 section 6)."""
    pad = 8 - (5 + len(payload)) % 8
    pad += 8 if pad < 4 else 0
    return struct.pack(">IB", 1 + len(payload) + pad, pad) + payload + bytes(pad)


def kexinit(cipher: tuple[str, str], packed: str = "none") -> bytes:
    names = (
        "curve25519-sha256",
        "ssh-ed25519",
        cipher[0],
        cipher[0],
        cipher[1] or "hmac-sha2-256",
        cipher[1] or "hmac-sha2-256",
        packed,
        packed,
    )
    lists = b"".join(struct.pack(">I", len(name)) + name.encode() for name in names)
    return packet(b"\x14" + bytes(16) + lists + bytes(8) + bytes(5))  # fmt: skip


def record(cipher: tuple[str, str], payload: int, padded: int = 0) -> bytes:
    """Something encrypted; `padded`: to a multiple of so many bytes, as OpenSSH pads passwords."""
    around, block, length_field = AROUND[cipher]
    size = -(-(length_field + 5 + payload) // block) * block
    if padded:
        size += padded - size % padded
    head = struct.pack(">I", size) if cipher in (GCM, ETM) else b"\xaa\xbb\xcc\xdd" if cipher == CHACHA else b""
    return head + bytes([0xA5]) * (size + around - len(head))


def opening(cipher: tuple[str, str], client: bytes = b"OpenSSH_9.2p1 Debian-2", packed: str = "none") -> list[Chunk]:
    return [
        Chunk(DOWN, b"SSH-2.0-" + client + b"\r\n"),
        Chunk(UP, b"SSH-2.0-dropbear_2019.78\r\n" + kexinit(cipher, packed)),
        Chunk(DOWN, kexinit(cipher, packed)),
        Chunk(DOWN, packet(b"\x1e" + bytes(36))),
        Chunk(UP, packet(b"\x1f" + bytes(200)) + packet(b"\x15")),
        Chunk(DOWN, packet(b"\x15") + record(cipher, ACCEPT)),
        Chunk(UP, record(cipher, ACCEPT)),
    ]


def talk(cipher: tuple[str, str], *records: int | tuple[int, int], client: bytes = b"OpenSSH_9.2p1") -> list[Chunk]:
    """An opening, then records in turn: client, server, client, ...; (payload, padded to)."""
    chunks = opening(cipher, client)
    for number, one in enumerate(records):
        payload, padded = one if isinstance(one, tuple) else (one, 0)
        chunks.append(Chunk(number % 2 == 1, record(cipher, payload, padded)))
    return chunks


def told(chunks: list[Chunk]) -> list[tuple[object, object, object]]:
    """(serial, outcome or how it stands if nothing more comes, scheme), the last word on each serial."""
    last: dict[object, tuple[object, object, object]] = {}
    for one in run(ssh.read, chunks)[1]:
        if one.what == "login":
            detail = one.detail
            last[detail["serial"]] = (
                detail["serial"],
                detail["outcome"] or f"if it ends: {detail['unanswered']}",
                detail["scheme"],
            )
    return list(last.values())


PASSWORD = (52, 64)
#: name -> the records in turn, and what is told
ROWS: dict[str, tuple[list[int | tuple[int, int]], list[tuple[object, object, object]]]] = {
    "nothing but the question": ([NONE, FAILURE], []),
    "a password": ([NONE, FAILURE, PASSWORD, SUCCESS], [(0, "success", None)]),
    "a wrong one": ([NONE, FAILURE, PASSWORD, FAILURE], [(0, "failure", None)]),
    "three": (
        [NONE, FAILURE, PASSWORD, FAILURE, PASSWORD, FAILURE, PASSWORD, SUCCESS],
        [(0, "failure", None), (1, "failure", None), (2, "success", None)],
    ),
    "too many": ([NONE, FAILURE, PASSWORD, DISCONNECT], [(0, "if it ends: failure", None)]),
    "no answer": ([NONE, FAILURE, PASSWORD], [(0, "if it ends: None", None)]),
    "a key that is refused": ([NONE, FAILURE, KEY + 240, FAILURE], [(0, "if it ends: failure", "key")]),
    "a refused key, then a password": (
        [NONE, FAILURE, KEY + 240, FAILURE, PASSWORD, SUCCESS],
        [(0, "success", None)],
    ),
    "a refused key, then a wrong password": (
        [NONE, FAILURE, KEY + 240, FAILURE, PASSWORD, FAILURE],
        [(0, "failure", None)],
    ),
    "in a dialogue": ([NONE, FAILURE, 59, ASKS, (TELLS, 64), SUCCESS], [(0, "success", None)]),
    "in a dialogue, refused": ([NONE, FAILURE, 59, ASKS, (TELLS, 64), FAILURE], [(0, "failure", None)]),
    "in a dialogue, and gone": ([NONE, FAILURE, 59, ASKS], [(0, "if it ends: failure", None)]),
    "a client that goes": ([NONE, FAILURE, PASSWORD, FAILURE, 20], [(0, "failure", None)]),
    "everybody is let in": ([NONE, SUCCESS], [(0, "success", None)]),
}


@pytest.mark.parametrize("cipher", AROUND)
@pytest.mark.parametrize("name", ROWS)
def test_rows(name: str, cipher: tuple[str, str]) -> None:
    records, expected = ROWS[name]
    assert told(talk(cipher, *records)) == expected


@pytest.mark.parametrize("cipher", AROUND)
def test_a_key(cipher: tuple[str, str]) -> None:
    """Ed25519: the key is asked about, then it signs."""
    assert told(talk(cipher, NONE, FAILURE, KEY, PK_OK, SIGNED, SUCCESS)) == [(0, "success", "key")]
    scheme = "key" if cipher == CHACHA else None  # there a password can be as long
    assert told(talk(cipher, NONE, FAILURE, KEY, PK_OK)) == [(0, "if it ends: unknown", scheme)]


def test_a_program_that_begins_with_the_password() -> None:
    """ncrack pads as OpenSSH does; others are known when they try again."""
    ncrack = talk(CTR, (49, 64), FAILURE, (61, 64), FAILURE, (49, 64), FAILURE)
    assert told(ncrack) == [(0, "failure", None), (1, "failure", None), (2, "failure", None)]
    again = talk(CHACHA, 60, FAILURE, 60, FAILURE, client=b"paramiko_2.12")
    assert told(again) == [(0, "failure", None), (1, "failure", None)]


def test_one_request_of_a_program_that_nobody_knows() -> None:
    """It may have asked for the methods, or tried a password: nobody knows."""
    assert told(talk(CHACHA, 44, FAILURE, client=b"check_1.0")) == [(0, "if it ends: None", None)]
    assert told(talk(CHACHA, NONE, FAILURE, PASSWORD, FAILURE, client=b"check_1.0")) == [(0, "failure", None)]


def test_the_last_word_of_openssh_6() -> None:
    """Six wrong passwords (traceshare_hydra): the sixth is answered with a longer DISCONNECT."""
    chunks = talk(CTR, *([35, FAILURE] + [55, FAILURE] * 5 + [55, 92]), client=b"libssh-0.6.3")
    assert told(chunks) == [*((n, "failure", None) for n in range(5)), (5, "if it ends: failure", None)]


def test_what_cannot_be_told_is_unknown() -> None:
    """Compressed, an unknown MAC, a server that pads otherwise, a hole before the keys: never a success."""
    records = [Chunk(n % 2 == 1, record(CTR, size)) for n, size in enumerate((NONE, FAILURE, 60, SUCCESS))]
    unknown = [(0, "if it ends: None", None)]
    assert told([*opening(CTR, packed="zlib"), *records]) == unknown
    odd = ("aes128-ctr", "hmac-of-my-own")
    AROUND[odd] = AROUND[CTR]
    assert told([*opening(odd), *records]) == unknown
    del AROUND[odd]
    padded = opening(CTR)[:-1] + [Chunk(UP, record(CTR, ACCEPT + 32))] + records * 2
    assert told(padded) == unknown
    begun = opening(CTR)
    assert told([*begun[:4], Chunk(UP, begun[4].data[50:], gap=True), *begun[5:], *records]) == unknown


def test_holes_behind_the_keys_make_no_success() -> None:
    records = [NONE, FAILURE, PASSWORD, FAILURE, PASSWORD, FAILURE]
    for cipher in AROUND:
        chunks = talk(cipher, *records)
        for gone in range(7, len(chunks)):
            left = [*chunks[:gone], *chunks[gone + 1 :]]
            side = chunks[gone].up
            later = next((n for n in range(gone, len(left)) if left[n].up == side), None)
            if later is not None:
                left[later] = Chunk(side, left[later].data, gap=True)
            assert "success" not in [outcome for _, outcome, _ in told(left)]


@pytest.mark.parametrize("cipher", [GCM, ETM])
def test_lengths_in_clear_need_no_segments(cipher: tuple[str, str]) -> None:
    """Cut anywhere and byte by byte: what stands in clear is read as it comes."""
    chunks = talk(cipher, NONE, FAILURE, PASSWORD, FAILURE, PASSWORD, SUCCESS)
    expected = [(0, "failure", None), (1, "success", None)]
    assert told([Chunk(one.up, bytes([byte])) for one in chunks for byte in one.data]) == expected
    for index, one in enumerate(chunks):
        for at in range(1, len(one.data)):
            cut = [Chunk(one.up, one.data[:at]), Chunk(one.up, one.data[at:])]
            assert told([*chunks[:index], *cut, *chunks[index + 1 :]]) == expected


def test_the_software_of_both_ends() -> None:
    readings = run(ssh.read, opening(CHACHA, b"OpenSSH_9.2p1 \xff" + b"x" * 60))[1]
    assert [one.what for one in readings] == ["ssh"]
    assert readings[0].detail == {"server": "dropbear_2019.78", "client": "OpenSSH_9.2p1 \\xff" + "x" * 25}
    assert readings[0].from_server is False


def test_who_speaks() -> None:
    for flip in (False, True):
        chunks = [Chunk(one.up != flip, one.data) for one in talk(CHACHA, NONE, FAILURE, PASSWORD, DISCONNECT)]
        logins = [one for one in run(ssh.read, chunks)[1] if one.what == "login"]
        assert [one.from_server for one in logins] == [False, True]


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01", b"SSX", b"SSH-" + b"x" * 300])
def test_what_is_no_ssh(data: bytes) -> None:
    state, readings = run(ssh.read, [Chunk(UP, data)])
    assert state is NOT_MINE
    assert readings == []
