"""How often somebody guessed: a login that worked begins anew; sources with many guesses are not counted as few."""

from camguard.events import Peer
from camguard.judge.guesses import Guesses

ONE, OTHER = Peer("203.0.113.9", scope="wan"), Peer("198.51.100.9", scope="wan")


def test_a_source_counts_alone_or_among_the_few() -> None:
    guesses = Guesses()
    for _ in range(8):
        tries = guesses.failed("porch", ONE, "admin", 1.0)
    assert (tries.count, guesses.few("porch"), guesses.spread("porch")) == (8, 8, None)
    guesses.failed("porch", OTHER, "root", 5.0)
    spread = guesses.spread("porch")
    assert spread
    assert (spread.count, spread.networks, spread.users, spread.last_at - spread.first_at) == (
        9,
        2,
        {"admin", "root"},
        4,
    )
    assert guesses.failed("porch", ONE, "admin", 6.0).count == 9
    assert guesses.few("porch") == 1
    guesses.believed("porch", ONE)
    assert guesses.of("porch", ONE) is None
    assert guesses.failed("porch", ONE, "admin", 7.0).count == 1
    assert guesses.few("garden") == 0
