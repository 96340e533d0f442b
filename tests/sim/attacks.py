"""Voyeurs who shape their traffic so as not to be told. What they do is done to shapes of ordinary viewings."""

import heapq
import random
from collections.abc import Callable

from tests.sim import change, home
from tests.sim.day import BEGAN, SLOT_S, Days, Deed
from tests.sim.home import Cam, server
from tests.sim.play import Change
from tests.sim.shapes import Shape, lab

TLS = ("tls-upload", "tls-pipe", "https-put")
UDP = ("udp-p2p",)
#: What is done, to which shapes, for how long.
SHAPED: tuple[tuple[str, tuple[str, ...], float, Callable[[random.Random], Change]], ...] = (
    ("slow start: the full rate after 60 s", TLS, 120, lambda _: change.slow_start()),
    ("pauses of 3 s after each 8 s", TLS, 120, lambda _: change.with_pauses(8, 3)),
    ("pauses of 3 s after each 4 s", TLS, 120, lambda _: change.with_pauses(4, 3)),
    ("pauses of 10 s after each 8 s", TLS, 120, lambda _: change.with_pauses(8, 10)),
    ("pauses of 20 s after each 4 s", TLS, 120, lambda _: change.with_pauses(4, 20)),
    ("50 kbit/s, 5 pictures a second", TLS, 120, lambda _: change.to_rate(50, 5)),
    ("30 kbit/s, 3 pictures a second", TLS, 120, lambda _: change.to_rate(30, 3)),
    ("15 kbit/s, 1 picture a second", TLS, 120, lambda _: change.to_rate(15, 1)),
    ("constant 300 kbit/s, TLS", TLS, 120, lambda _: change.constant(300)),
    ("constant 2 Mbit/s, TLS", TLS, 120, lambda _: change.constant(2000)),
    ("constant 300 kbit/s, UDP", UDP, 120, lambda _: change.constant(300)),
    ("the rate jumps from a fifth to twice", TLS, 120, change.uneven),
    ("answered like an upload (1.5 %), 60 s", TLS, 60, lambda _: change.answered(0.015)),
    ("answered like an upload (1.5 %), 300 s", TLS, 300, lambda _: change.answered(0.015)),
    ("half as much comes back as cover, TLS", TLS, 120, lambda _: change.answered(0.5)),
    ("half as much comes back as cover, UDP", UDP, 120, lambda _: change.answered(0.5)),
)


def attacked(seed: int, days: float, count: int, *, repeats: int = 6, clips: int = 150) -> Days:
    """Days of a home, with attackers instead of ordinary voyeurs."""
    made = Days(seed, days, count, clips=clips)
    made.background()
    slots = [(cam, n) for cam in made.cams for n in range(1, made.length_s // SLOT_S - 1)]
    made.dice.shuffle(slots)
    for _ in range(repeats):
        for label, names, length_s, how in SHAPED:
            cam, start = _next(made, slots)
            shape = made.dice.choice(lab()[made.dice.choice(names)])
            peer = made.relay() if names is TLS else made.strangers.outside()
            made.add("attack", label, cam, shape, start, peer=peer, length_s=length_s, change=how(made.dice))
        for looks_s, every_s in ((4, 30), (3, 20)):
            cam, start = _next(made, slots)
            _looks(made, cam, start, looks_s, every_s)
        cam, start = _next(made, slots)
        _beside_clip(made, cam, start)
        cam, start = _next(made, slots)
        clip, view = (made.dice.choice(lab()[name]) for name in ("clip-2mb-5mbit", made.dice.choice(TLS)))
        made.add("attack", "on the connection of a clip, after it", cam, after(clip, view), start, peer=made.relay())
        for cam in made.cams:
            if cam.kind == "cloud-ruled":
                start = BEGAN + made.dice.uniform(600, made.length_s - 600)
                made.add("attack", "through the server that records 24/7 and is expected", cam,
                         made.dice.choice(lab()[made.dice.choice(TLS)]), start, peer=server(home.RECORDING),
                         length_s=60)  # fmt: skip
    return made


def _next(made: Days, slots: list[tuple[Cam, int]]) -> tuple[Cam, float]:
    cam, slot = slots.pop()
    return cam, BEGAN + slot * SLOT_S + made.dice.uniform(0, 240)


def _looks(made: Days, cam: Cam, start: float, looks_s: int, every_s: int) -> None:
    """Ten short looks, each over a connection of its own."""
    peer, label = made.relay(), f"ten looks of {looks_s} s, every {every_s} s"
    shape = made.dice.choice(lab()[made.dice.choice(TLS)])
    _as_one(made, [
        made.add("attack", label, cam, shape, start + n * every_s, peer=peer, length_s=looks_s) for n in range(10)
    ])  # fmt: skip


def _beside_clip(made: Days, cam: Cam, start: float) -> None:
    """A viewing while a clip goes to the same server."""
    peer, label = server(home.CLIPS), "while a clip goes to the same server"
    clip = made.dice.choice(lab()["clip-8mb-2mbit"])
    view = made.dice.choice(lab()[made.dice.choice(TLS)])
    deeds = [made.add("attack", label, cam, clip, start, peer=peer),
             made.add("attack", label, cam, view, start + 1, peer=peer, length_s=60)]  # fmt: skip
    _as_one(made, deeds, media_of=1)


def _as_one(made: Days, deeds: list[Deed], media_of: int = 0) -> None:
    """Several connections that are one deed."""
    for deed in deeds:
        made.deeds.remove(deed)
    parts = [deed.items for deed in deeds]
    first, media = deeds[0], deeds[media_of]
    made.deeds.append(
        Deed(first.kind, first.label, first.camera, first.peer, first.begins_at, media.media_at, deeds[-1].ends_at,
             None, lambda: heapq.merge(*(part() for part in parts), key=lambda item: item.at))
    )  # fmt: skip


def after(clip: Shape, view: Shape, break_s: int = 2) -> Shape:
    """A clip, and then a viewing on the same connection."""
    moved = int(clip.ends_s) + break_s
    track, later = clip.tracks[0], view.tracks[0]
    rows = (*track.rows, *(row._replace(second=row.second + moved) for row in later.rows))
    return clip._replace(media_s=moved + view.media_s, ends_s=moved + view.ends_s,
                         tracks=(track._replace(rows=rows),))  # fmt: skip
