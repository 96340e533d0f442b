"""What only shows in a minute or two. In: what a camera sends to one other end, second by second; out: a Look, or None.

Six seconds (shape.py) tell a viewing at ordinary rates. Longer looks tell

- *slow pictures*: one a second, or small ones, and pictures that are answered or covered by talk the other way;
- *looks* of a few seconds each, again and again: a clip has pauses between pictures in its first second at most;
- a *constant* rate without any pauses: a clip that is sent as fast as the network takes it, or video that was padded.
  Only its length tells: motion clips are done in a minute or so. Where this camera has sent three times as fast before,
  nothing but the sender himself holds it back.

Seconds are added up in blocks of ten, and the last `BLOCKS_MAX` of them are kept. Times are packet time.
"""

from dataclasses import dataclass
from typing import NamedTuple

from camguard.events import TCP, Confidence
from camguard.track import Flow, Second

ENDS_MAX, RATES_MAX, BLOCKS_MAX, LOOKS_MAX = 2048, 1024, 12, 8
BLOCK_S = 10.0
#: The longest clip that is believed of a camera: whoever looks for a while must not become a long clip by it.
CLIP_MAX_S = 120.0
Ends = tuple[int, bytes]


class Look(NamedTuple):
    """What it looks like, in words, how sure that is, and since when. `clip_like`: if it ends soon, it was a clip.
    `pauses`: it comes in pieces, over one connection or many."""

    evidence: str
    confidence: Confidence
    since_at: float
    clip_like: bool = False
    pauses: bool = False


@dataclass(slots=True)
class Block:
    """Some ten seconds. `pictured`: seconds in which a picture ended; `even`: those like the one before."""

    began_at: float
    seconds: int = 0
    up: int = 0
    down: int = 0
    pauses: int = 0
    dry: int = 0
    pictured: int = 0
    even: int = 0


@dataclass(slots=True)
class _Memory:
    block: Block
    blocks: tuple[Block, ...] = ()  # no deque: an empty one takes 600 bytes
    last: Second | None = None
    ups: tuple[int, ...] = ()
    run: int = 0
    looks: tuple[tuple[float, int], ...] = ()
    constant_s: float = 0.0
    constant_up: int = 0


class Slow:
    """The last two minutes between each camera and each other end; capped."""

    def __init__(self) -> None:
        self._memories: dict[Ends, _Memory] = {}
        self._fastest: dict[tuple[int, bytes], int] = {}
        self._longest_clip_s: dict[int, float] = {}

    def forget(self, ends: Ends) -> None:
        """A viewing of these ends is known."""
        self._memories.pop(ends, None)

    def clip(self, host: int, length_s: float) -> None:
        """A clip of this camera has ended: they are that long."""
        known_s = self._longest_clip_s.get(host, 0.0)
        self._longest_clip_s[host] = max(known_s, min(length_s, CLIP_MAX_S))

    def add(self, flow: Flow, second: Second, proto: int, called: bool) -> Look | None:
        """One more second between the ends of `flow`; `called`: the camera may have opened all its connections."""
        memory = self._memory((flow.host, flow.peer), second.at)
        last = memory.last
        if last and second.at - last.at > BLOCK_S:
            memory.blocks = ()
            memory.block, memory.constant_s, last = Block(second.at - 1.0), 0.0, None
        look = _looks(memory, second, last)
        if second.at > memory.block.began_at + BLOCK_S:
            look = look or self._turn(flow, memory, proto, called)
            memory.block = Block(second.at - 1.0)
        block = memory.block
        block.seconds += 1
        block.up += second.up
        block.down += second.down
        block.pauses += second.pauses
        block.dry += second.dry
        block.pictured += second.dry >= 1 and second.up >= 300
        block.even += last is not None and abs(second.up - last.up) <= 0.3 * last.up
        memory.last = second
        memory.ups = (*memory.ups[-2:], second.up)
        if len(memory.ups) == 3:
            way = (flow.host, flow.peer_mac)
            if way in self._fastest or len(self._fastest) < RATES_MAX:
                self._fastest[way] = max(self._fastest.get(way, 0), min(memory.ups))
        return look

    def _memory(self, ends: Ends, at: float) -> _Memory:
        memory = self._memories.pop(ends, None) or _Memory(Block(at - 1.0))
        if len(self._memories) >= ENDS_MAX:
            del self._memories[next(iter(self._memories))]
        self._memories[ends] = memory  # the one that was used last comes last
        return memory

    def _turn(self, flow: Flow, memory: _Memory, proto: int, called: bool) -> Look | None:
        """A block is full."""
        memory.blocks = (*memory.blocks[1 - BLOCKS_MAX :], memory.block)
        return _pictures(memory.blocks, answers=proto == TCP and called) or self._constant(flow, memory)

    def _constant(self, flow: Flow, memory: _Memory, *, floor_kbps: float = 30.0) -> Look | None:
        block = memory.block
        mean = memory.constant_up / (memory.constant_s / BLOCK_S) if memory.constant_s else block.up
        steady = block.seconds >= 9 and block.even >= 8 and abs(block.up - mean) <= 0.25 * mean
        if not steady or block.up * 8 / 1000 / BLOCK_S < floor_kbps or block.up < 3 * block.down:
            memory.constant_s, memory.constant_up = 0.0, 0
            return None
        memory.constant_s += BLOCK_S
        memory.constant_up += block.up
        fastest = self._fastest.get((flow.host, flow.peer_mac), 0)
        held_back = block.up / BLOCK_S * 3 <= fastest
        clips_s = self._longest_clip_s.get(flow.host, 0.0)
        unsure_s, likely_s = (max(30.0, clips_s), max(90.0, 1.5 * clips_s)) if held_back else (120.0, 600.0)
        if memory.constant_s < unsure_s:
            return None
        rate_kbps = memory.constant_up * 8 / 1000 / memory.constant_s
        words = f"a constant {rate_kbps:.0f} kbit/s for {memory.constant_s:.0f} seconds"
        words += ", though the network takes more" if held_back else ""
        confidence: Confidence = "likely" if memory.constant_s >= likely_s else "unsure"
        return Look(words, confidence, block.began_at + BLOCK_S - memory.constant_s, True)


def _looks(
    memory: _Memory,
    second: Second,
    last: Second | None,
    *,
    dry: int = 2,
    up: int = 1500,
    answer_bytes: float = 80.0,
    look_s: int = 3,
    within_s: float = 120.0,
) -> Look | None:
    """Short looks: `look_s` seconds and more of pictures, three of them within `within_s`."""
    follows = last is not None and second.at - last.at < 1.6
    live = second.dry >= dry and second.up >= up and second.up >= 3 * second.down
    live = live and second.down < answer_bytes * second.dry
    memory.run = (memory.run + 1 if follows else 1) if live else 0
    if memory.run < look_s:
        return None
    before = memory.looks[:-1] if memory.run > look_s else memory.looks
    memory.looks = (*before[1 - LOOKS_MAX :], (second.at, memory.run))
    lately = [seconds for at, seconds in memory.looks if second.at - at <= within_s]
    total = sum(lately)
    if len(lately) < 2 or total < 8:
        return None
    words = f"pictures for {total} seconds in {len(lately)} short looks"
    first_at = next(at - seconds for at, seconds in memory.looks if second.at - at <= within_s)
    sure: Confidence = "likely" if len(lately) >= 3 and total >= 12 else "unsure"
    return Look(words, sure, first_at, pauses=True)


def _pictures(blocks: tuple[Block, ...], *, answers: bool) -> Look | None:
    """Pictures in nearly each second of the last blocks; `answers`: what comes back may be answers to an upload."""
    mine: list[Block] = []
    for block in reversed(blocks):
        if block.pictured < 8 or (mine and mine[-1].began_at - block.began_at > BLOCK_S + 1.5):
            break
        mine.append(block)
    up, down, pauses, dry = (sum(getattr(block, name) for block in mine) for name in ("up", "down", "pauses", "dry"))
    span_s = BLOCK_S * len(mine)
    if len(mine) < 2 or up < 1.2 * down or up * 8 / 1000 / span_s < 8.0:
        return None
    rate_kbps, each = up * 8 / 1000 / span_s, up / dry
    words = f"{rate_kbps:.0f} kbit/s in {dry / span_s:.0f} pictures a second for {span_s:.0f} seconds"
    since_at = mine[-1].began_at
    answered = answers and down >= 16 * dry
    if up < 3 * down:
        if rate_kbps < 100 or dry < 2 * span_s:
            return None
        return Look(f"{words}, while much comes back", "likely" if len(mine) >= 4 else "unsure", since_at)
    if answered:
        sure = len(mine) >= BLOCKS_MAX and each >= 2500
        return Look(f"{words}, each answered", "likely" if sure else "unsure", since_at, True)
    if dry < 2 * span_s and pauses > 4 * dry:  # a slow network's pauses, and now and then one of the sender's
        return None
    sure = (len(mine) >= 3 and each >= 2500) or (len(mine) >= 6 and dry >= 2 * span_s and rate_kbps >= 25)
    return Look(words, "likely" if sure else "unsure", since_at)
