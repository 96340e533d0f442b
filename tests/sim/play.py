"""A shape played at a time of day between a camera of the simulated home and one other end: FlowCounts and frames."""

import heapq
import ipaddress
import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from camguard.events import FIN, RST, TCP, FlowCount, Frame, pack_key, unpack_key
from tests.sim.shapes import Row, Said, Shape, Track

Change = Callable[[Iterator[Row]], Iterator[Row]]
Item = Frame | FlowCount


class Ends(NamedTuple):
    """Who talks: the camera (number as in the ledger, MAC, IPv4 address) and its peer (address, MAC on this link)."""

    host: int
    mac: bytes
    ip: bytes
    peer: bytes
    peer_mac: bytes


def unchanged(rows: Iterator[Row]) -> Iterator[Row]:
    """The shape as it was."""
    return rows


def play(
    shape: Shape,
    ends: Ends,
    start: int,
    *,
    length_s: float | None = None,
    dice: random.Random,
    change: Change = unchanged,
    says_goodbye: bool = True,
    fixed_peers: bool = False,
    closes: bool = True,
) -> Iterator[Item]:
    """What the ledger would say of `shape` from second `start` on, in time order.

    `length_s` of media: a longer one repeats the shape's middle, a shorter one cuts it (None: as long as it was).
    `change` shapes each connection's seconds anew; `fixed_peers`: the capture's addresses stay (they are in what is
    said). Frames go out with new addresses; connections of which nothing is read get new ports, too.
    """
    stop_s = shape.ends_s if length_s is None else shape.media_s + length_s
    ports = {id(track): dice.randrange(32768, 61000) for track in shape.tracks}
    streams: list[Iterable[Item]] = [
        _counts(shape, track, ends, start, stop_s, ports[id(track)], change,
                says_goodbye, fixed_peers, closes)
        for track in shape.tracks
    ]  # fmt: skip
    main = shape.tracks[0].peer
    told = [said for said in shape.frames if said.at_s < stop_s and not _says_goodbye(said)]
    streams.append(_frame(said, shape, ends, start, main, fixed_peers) for said in told)
    yield from heapq.merge(*streams, key=lambda item: item.at)


def _counts(
    shape: Shape,
    track: Track,
    ends: Ends,
    start: int,
    stop_s: float,
    port: int,
    change: Change,
    says_goodbye: bool,
    fixed_peers: bool,
    closes: bool,
) -> Iterator[FlowCount]:
    camera_port, peer_port = track.camera_port, track.peer_port
    if not shape.frames:
        camera_port, peer_port = (port, peer_port) if track.first_up else (camera_port, port)
    peer = ends.peer if track.peer == shape.tracks[0].peer and not fixed_peers else _packed(track.peer)
    key = pack_key(ends.host, track.proto, camera_port, peer_port, peer)
    first_at, largest, at = start + track.begins_s, 0, 0.0
    last: FlowCount | None = None
    for row in change(_rows(shape, track, stop_s)):
        at, largest = float(start + row.second), max(largest, row.largest_up)
        if last:
            yield last
        last = FlowCount(
            key, at, first_at, max(first_at, min(at - 0.01, start + stop_s)), row.wire_up, row.wire_down,
            row.payload_up, row.payload_down, row.packets_up, row.packets_down, row.pauses, row.dry, largest,
            track.flags_up, track.flags_down, track.first_up, ends.peer_mac, False,
        )  # fmt: skip
    if last is None:
        return
    if not closes:
        yield last
        return
    idle_s = 61.0
    if track.proto == TCP:
        idle_s = 6.0 if says_goodbye else 301.0
        if says_goodbye:
            last = last._replace(flags_up=last.flags_up | FIN, flags_down=last.flags_down | FIN)
    yield last
    yield last._replace(
        at=last.at + idle_s, wire_up=0, wire_down=0, payload_up=0, payload_down=0, packets_up=0, packets_down=0,
        pauses=0, dry=0, closed=True,
    )  # fmt: skip


def _rows(shape: Shape, track: Track, stop_s: float) -> Iterator[Row]:
    """The seconds up to `stop_s`; where the shape is shorter, whole seconds of its media again and again."""
    rows = {row.second: row for row in track.rows}
    first, last = int(shape.media_s) + 2, int(shape.ends_s)
    first = min(first, last)
    second = 0
    while second < stop_s:
        second += 1
        row = rows.get(
            second if second <= last or stop_s <= shape.ends_s else first + (second - first) % (last - first + 1)
        )
        if row is None:
            continue
        share = stop_s - (second - 1)
        yield (
            scaled(row._replace(second=second), share)
            if share < 1 and stop_s != shape.ends_s
            else row._replace(second=second)
        )


def scaled(row: Row, share: float) -> Row:
    """A second with `share` of the bytes, packets and pauses."""
    second, *numbers, largest = row
    return Row(second, *(round(number * share) for number in numbers), largest)


def _packed(ip: str) -> bytes:
    return ipaddress.ip_address(ip).packed


def _says_goodbye(said: Said) -> bool:
    """FIN, RST and TEARDOWN of the capture: a viewing here ends when it ends."""
    data = said.data
    if data[12:14] == b"\x08\x00" and data[23] == TCP:
        return bool(data[14 + (data[14] & 15) * 4 + 13] & (FIN | RST)) or b"TEARDOWN" in data[54:80]
    return (
        data[12:14] == b"\x86\xdd" and data[20] == TCP and (bool(data[67] & (FIN | RST)) or b"TEARDOWN" in data[74:100])
    )


def _frame(said: Said, shape: Shape, ends: Ends, start: int, main: str, fixed_peers: bool) -> Frame:
    """The frame with this home's addresses; checksums stay as they were (nothing looks at them)."""
    data, up = bytearray(said.data), said.data[6:12].hex(":") == shape.camera
    data[0:12] = ends.peer_mac + ends.mac if up else ends.mac + ends.peer_mac
    size, source = (4, 26) if data[12:14] == b"\x08\x00" else (16, 22)
    ours, theirs = (source, source + size) if up else (source + size, source)
    if size == 4:
        data[ours : ours + 4] = ends.ip
    if not fixed_peers and data[theirs : theirs + size] == _packed(main):
        data[theirs : theirs + size] = ends.peer
    return Frame(start + said.at_s, bytes(data), said.wire_len)


def seen_by_phone(
    items: Iterable[Item], host: int, server: bytes | None, lag_s: int, dice: random.Random
) -> Iterator[FlowCount]:
    """The same stream as an owner's device gets it, `lag_s` later, from `server` (None: the one of the items): what
    went up comes down. Some of a second's bytes come a second later: relay and Wi-Fi have buffers of their own."""
    late: dict[bytes, tuple[int, int, int]] = {}
    port = dice.randrange(32768, 61000)
    for item in items:
        if isinstance(item, Frame):
            continue
        held = 0.0 if item.closed else dice.uniform(0.0, 0.3)
        sent = (item.wire_up, item.payload_up, item.packets_up)
        before, after = late.get(item.key, (0, 0, 0)), tuple(int(number * held) for number in sent)
        wire, payload, packets = (now - kept + came for now, kept, came in zip(sent, after, before, strict=True))
        late[item.key] = after  # type: ignore[assignment]
        parts = unpack_key(item.key)
        yield item._replace(
            key=pack_key(host, parts.proto, port, parts.peer_port, server or parts.peer), at=item.at + lag_s,
            first_at=item.first_at + lag_s, last_at=item.last_at + lag_s, wire_up=item.wire_down, wire_down=wire,
            payload_up=item.payload_down, payload_down=payload, packets_up=item.packets_down, packets_down=packets,
            pauses=0, dry=0, largest_up=min(item.largest_up, 600), first_up=True,
        )  # fmt: skip
