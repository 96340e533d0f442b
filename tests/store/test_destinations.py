"""Where each camera has been, in the store: first times stay, and what was met first outlives a flood."""

from pathlib import Path

from camguard.store import Reader, Store, writing
from tests.store.rows import T0


def test_the_first_time_stays(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    store.destinations([("porch", "reolink.com", T0), ("shed", "reolink.com", T0 + 1)])
    store.destinations([("porch", "reolink.com", T0 + 99), ("porch", "AS16276 OVH \ud800", T0 + 2)])
    assert Reader(store.path).destinations() == [
        ("porch", "reolink.com", T0),
        ("shed", "reolink.com", T0 + 1),
        ("porch", "AS16276 OVH ?", T0 + 2),
    ]
    store.close()


def test_what_was_met_first_outlives_a_flood(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "guard.db")
    most = writing.DESTINATIONS_KEPT
    store.destinations([("porch", "reolink.com", T0)])
    for first in range(0, most + 2000, 2000):
        store.destinations([("porch", f"AS{n}", T0 + 1 + n) for n in range(first, first + 2000)])
    kept = Reader(store.path).destinations()
    assert len(kept) == most
    assert kept[0][1] == "reolink.com"
    store.close()
