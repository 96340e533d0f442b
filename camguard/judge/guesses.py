"""How often somebody guessed. In: failed logins that nobody expected; out: how many by whom, and when that is news.

Guesses are counted by camera and source network, because an attacker has many addresses, and by camera over all
networks, because some have many networks. A count is forgotten `forget_s` after its last guess, so guessing an hour
apart adds up. Pure; every table capped. Times are on the guard's clock.
"""

from collections import Counter, OrderedDict
from dataclasses import dataclass

from camguard import neighbours
from camguard.events import Peer

NETWORKS_MAX = 4096
USERS_MAX = 64
#: Guesses of one source from which on it is guessing and no slip (Firewalla alerts at 9; peers.md).
GUESSING = 9
#: Failures before a success from which on the password was guessed.
GUESSED = 3


@dataclass(slots=True)
class Tries:
    """Failed logins: how many, from when to when, with how many names, from how many networks."""

    count: int
    first_at: float
    last_at: float
    users: set[str]
    networks: int = 1


class Guesses:
    """Who guessed how often at which camera."""

    def __init__(self, *, forget_s: float = 86_400.0) -> None:
        self._forget_s = forget_s
        self._tries: OrderedDict[tuple[str, str], Tries] = OrderedDict()
        self._few: Counter[str] = Counter()  # by camera: guesses of sources that have too few each
        self.counters = {"guesses-evicted": 0}

    def failed(self, camera: str, peer: Peer, user: str | None, now: float) -> Tries:
        """One more; all of this source."""
        key = (camera, network_of(peer))
        tries = self._taken(key)
        if tries is None or now - tries.last_at > self._forget_s:
            if len(self._tries) >= NETWORKS_MAX:
                self._taken(next(iter(self._tries)))
                self.counters["guesses-evicted"] += 1
            tries = Tries(0, now, now, set())
        tries.count, tries.last_at = tries.count + 1, now
        if tries.count < GUESSING:
            self._few[camera] += tries.count
        if user and len(tries.users) < USERS_MAX:
            tries.users.add(user)
        self._tries[key] = tries
        return tries

    def resume(self, camera: str, peer: Peer, tries: Tries) -> None:
        """What an earlier run had counted of this source; of several words on it the most counts."""
        known = self._taken((camera, network_of(peer)))
        tries = known if known and known.count > tries.count else tries
        if len(self._tries) < NETWORKS_MAX:
            self._few[camera] += tries.count if tries.count < GUESSING else 0
            self._tries[(camera, network_of(peer))] = tries

    def of(self, camera: str, peer: Peer) -> Tries | None:
        """The guesses of this source so far."""
        return self._tries.get((camera, network_of(peer)))

    def few(self, camera: str) -> int:
        """How many guesses came from sources that have too few each to be guessing alone."""
        return self._few[camera]

    def spread(self, camera: str, *, outside: bool | None = None) -> Tries | None:
        """All guesses from such sources, where together they have enough; looks at every source, so ask seldom.
        `outside`: only those from networks outside, or only those from home."""
        if self._few[camera] < GUESSING:
            return None
        few = [
            tries
            for (known, source), tries in self._tries.items()
            if known == camera and tries.count < GUESSING and outside in (None, "/" in source)
        ]
        count = sum(tries.count for tries in few)
        if count < GUESSING or len(few) < 2:
            return None
        users = {user for tries in few for user in tries.users}
        return Tries(count, min(tries.first_at for tries in few), max(tries.last_at for tries in few), users, len(few))

    def believed(self, camera: str, peer: Peer) -> None:
        """A login of this source worked: what comes now counts anew."""
        self._taken((camera, network_of(peer)))

    def tick(self, now: float) -> None:
        """Forgets what is old: the oldest stand in front."""
        while self._tries:
            key, tries = next(iter(self._tries.items()))
            if now - tries.last_at <= self._forget_s:
                return
            self._taken(key)

    def _taken(self, key: tuple[str, str]) -> Tries | None:
        tries = self._tries.pop(key, None)
        if tries and tries.count < GUESSING:
            self._few[key[0]] -= tries.count
        return tries


def is_news(count: int) -> bool:
    """Whether so many guesses are told: at 9, 10, 12, 16, 24, 40, ..."""
    return count == GUESSING or (count > GUESSING and (count - 8) & (count - 9) == 0)


def network_of(peer: Peer) -> str:
    """Whose guesses are counted together: a device at home; outside the /24 or /64 (one attacker, many addresses)."""
    if peer.device or peer.scope != "wan":
        return peer.device or peer.mac or peer.ip
    return neighbours.network_of(peer.ip, bits6=64)
