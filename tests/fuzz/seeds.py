"""Where the fuzzer begins: the table rows of tests/protocols, and the corpus of real captures where it is there."""

import importlib
import types
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from camguard.capture import pcap
from camguard.errors import CaptureError
from camguard.events import Chunk
from camguard.protocols import DATAGRAM_READERS, NOT_MINE, STREAM_READERS, StreamReader
from tests.fuzz.inputs import MARK, encode
from tests.fuzz.targets import plain_readers
from tests.fuzz.whole import TCP_PORTS, UDP_PORTS
from tests.protocols.captures import CORPUS, datagrams, dialogues, truth

HERE = Path(__file__).parents[1] / "protocols"
SEED_MAX, OF_A_CAPTURE, OF_A_READER = 4096, 40, 400


def rows(reader: object) -> list[bytes]:
    """Inputs made of the bytes and dialogues in the tests of this reader's module."""
    wanted = getattr(reader, "__module__", "")
    found: dict[bytes, None] = {}
    for path in sorted(HERE.glob("test_*.py")):
        module = importlib.import_module(f"tests.protocols.{path.stem}")
        if not any(isinstance(one, types.ModuleType) and one.__name__ == wanted for one in vars(module).values()):
            continue
        for name, value in vars(module).items():
            marks = getattr(value, "pytestmark", None) if callable(value) else None
            if marks:
                for mark in marks:
                    found.update(dict.fromkeys(_inputs(mark.args)))
            elif not name.startswith("__") and isinstance(value, bytes | list | tuple | dict):
                found.update(dict.fromkeys(_inputs(value)))
    return [one for one in found if 0 < len(one) <= 4 * SEED_MAX]


def _inputs(value: Any, depth: int = 0) -> Iterator[bytes]:
    """Bytes as they are; a list of turns as a dialogue; what is inside of anything else."""
    if isinstance(value, bytes):
        yield encode([Chunk(True, value)])
        yield encode([Chunk(False, value)])
    elif isinstance(value, dict):
        yield from _inputs(list(value.values()), depth + 1)
    elif isinstance(value, list | tuple) and depth < 6:
        values = list(value.values) if hasattr(value, "marks") else list(value)
        if values and all(_is_turn(one) for one in values):
            yield encode([Chunk(one[0], one[1]) for one in values])
        for one in values[:200]:
            yield from _inputs(one[1] if _is_turn(one) else one, depth + 1)


def _is_turn(one: Any) -> bool:
    return isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], bool) and isinstance(one[1], bytes)


def conversations() -> Iterator[tuple[bool, list[Chunk]]]:
    """(over TCP, its beginning) of connections and flows of the corpus, at most OF_A_CAPTURE of each capture."""
    for name in truth():
        streams: dict[object, list[Chunk]] = {}
        for said in islice(dialogues(name), 4000):
            _keep(streams, said.ends, said.chunk)
        flows: dict[object, list[Chunk]] = {}
        for packet in islice(datagrams(name), 4000):
            ends = frozenset({(packet.src, packet.sport), (packet.dst, packet.dport)})
            _keep(flows, ends, Chunk(packet.src < packet.dst, packet.payload[:SEED_MAX]))
        yield from ((True, said) for said in streams.values())
        yield from ((False, said) for said in flows.values())


def _keep(known: dict[object, list[Chunk]], ends: object, chunk: Chunk) -> None:
    if ends not in known and len(known) >= OF_A_CAPTURE:
        return
    kept = known.setdefault(ends, [])
    if sum(len(one.data) for one in kept) < SEED_MAX and len(kept) < 24:
        kept.append(Chunk(chunk.up, chunk.data[:SEED_MAX], chunk.gap))


def _speaks(read: StreamReader, said: Iterable[Chunk]) -> bool:
    """Whether this reader finds something in it."""
    state: Any = None
    for chunk in said:
        state, news = read(state, chunk)
        if news:
            return True
        if state is NOT_MINE:
            return False
    return False


def raw_frames() -> list[bytes]:
    """Frames of every capture, for decode and the guard."""
    found: dict[bytes, None] = {}
    for name in truth():
        try:
            for frame in islice(pcap.frames(CORPUS / name), 0, 400, 40):
                if frame.link == 1:
                    found[MARK + b"\x80" + frame.data[:1500]] = None
        except CaptureError:
            continue
    return list(found)


def write(folder: Path, wanted: Iterable[str]) -> None:
    """One folder of seeds for each target in `wanted` (targets.targets()'s names)."""
    seeds: dict[str, list[bytes]] = {name: [] for name in wanted}
    readers = STREAM_READERS | {name if name not in STREAM_READERS else f"{name}-udp": read for name, read in
                                DATAGRAM_READERS.items()}  # fmt: skip
    plain = {name if name not in readers else f"{name}-one": read for name, read in plain_readers().items()}
    for name in seeds.keys() & readers.keys():
        seeds[name] += rows(readers[name])
    for name in seeds.keys() & plain.keys():
        seeds[name] += [one.split(MARK)[-1][1:] for one in rows(plain[name])]
    if seeds:
        for over_tcp, said in conversations():
            kinds = STREAM_READERS if over_tcp else DATAGRAM_READERS
            for name in seeds.keys() & readers.keys():
                mine = readers[name] in kinds.values() and len(seeds[name]) < OF_A_READER
                if mine and _speaks(readers[name], said):
                    seeds[name].append(encode(said))
            if not over_tcp:
                for name in seeds.keys() & plain.keys():
                    if len(seeds[name]) < OF_A_READER and len(said[0].data) > 7:
                        seeds[name].append(said[0].data)
            if "guard" in seeds and len(seeds["guard"]) < OF_A_READER:
                seeds["guard"].append(_for_guard(over_tcp, len(seeds["guard"]), said))
    for name in seeds.keys() & {"decode", "guard"}:
        seeds[name] += raw_frames()
    for name in seeds.keys() & {"secrets", "secrets-udp"}:
        seeds[name] += [bytes([kind]) + bytes((kind * 7 + n * 13) % 251 for n in range(80)) for kind in range(40)]
    for name, inputs in seeds.items():
        (folder / name / "seeds").mkdir(parents=True, exist_ok=True)
        for number, one in enumerate(inputs):
            (folder / name / "seeds" / f"{number:04d}").write_bytes(one)


def _for_guard(over_tcp: bool, number: int, said: list[Chunk]) -> bytes:
    which = number % len(TCP_PORTS if over_tcp else UDP_PORTS)
    return b"".join(
        MARK + bytes([over_tcp * 0x40 + chunk.up * 0x20 + chunk.gap * 0x10 + which]) + chunk.data for chunk in said
    )
