"""The first days of a camera: how long it was looked at, and which alerts are held back until it is known. Pure.

Held back is only what the owner will most likely see explained by `camguard learn`: plain cloud traffic. That is: the
camera dialled (nobody came in, nobody at home), a server that it knows by name, with nothing but the numbers to say
that it is video, nothing else speaking against it; the name belongs to a maker's known cloud, or the camera talked to
it before; and it talked before to that network, or to that country. Without a name it is never held back: the other end
of a P2P call may be the viewer himself. Time of looking is the guard's own, so no clock on a wall makes it longer.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from camguard.events import Home, Notice, Session
from camguard.judge.habits import DAY_S, HOUR_S, PLAIN, Key

#: Talk that came so long before a viewing is other talk of the camera.
EARLIER_S = 600.0
HELD = "held back in the first days of this camera; camguard learn shows what is usual"

Looked = tuple[str, float, int]


@dataclass(slots=True)
class _Camera:
    """`saved_s`, `saved_held`: what the store knows of it."""

    seconds: float = 0.0
    held: int = 0
    saved_s: float = -HOUR_S
    saved_held: int = 0
    over: bool = False


class FirstDays:
    """`maker_of`: whose cloud a name is; `met`: (camera, place) -> since when it talks to a registered name, or to
    "network ..." or "country ..." (detect/destinations.py), on the guard's clock."""

    def __init__(self, maker_of: Callable[[str], str | None], met: Callable[[str, str], float | None]) -> None:
        self._maker_of, self._met = maker_of, met
        self._cameras: dict[str, _Camera] = {}
        self._names: tuple[str, ...] = ()
        self._learn_s = 0.0
        self._at: float | None = None

    def reload(self, home: Home) -> None:
        """A changed configuration."""
        self._learn_s, self._names = home.learn_days * DAY_S, tuple(one.name for one in home.cameras)

    def resume(self, looked: Iterable[Looked]) -> None:
        """(camera, seconds of looking, alerts held back) of an earlier run."""
        for camera, seconds, held in looked:
            good = isinstance(seconds, int | float) and 0 <= seconds < 1e12 and isinstance(held, int)
            # damaged: the first days are over, because to hold back once more would be the worse mistake
            one = _Camera(seconds, held, seconds, held) if good else _Camera(self._learn_s)
            one.over = one.seconds >= self._learn_s
            self._cameras[camera] = one

    def at_least(self, camera: str, seconds: float) -> None:
        """It was looked at for so long at least, as something says that was learned of it."""
        one = self._cameras.setdefault(camera, _Camera())
        one.seconds = max(one.seconds, seconds)
        one.over = one.over or one.seconds >= self._learn_s

    def seconds(self, camera: str) -> float:
        """For how long it was looked at."""
        return self._cameras[camera].seconds if camera in self._cameras else 0.0

    def holds(self, session: Session, key: Key | None, *, sign: bool) -> str | None:
        """Why an alert about this viewing is held back for now; `key`: whose habit it can be, `sign`: something else
        speaks against it."""
        if self.seconds(session.camera) >= self._learn_s or sign or key is None or not session.peer.name:
            return None
        if session.confidence == "certain" or session.cls != "stream" or session.protocol not in PLAIN:
            return None
        if not (self._maker_of(session.peer.name) or self._is_earlier(session, key.who)):
            return None
        places = (f"network {key.owner}", f"country {key.country}")
        return HELD if any(self._is_earlier(session, place) for place in places) else None

    def held(self, camera: str) -> None:
        """One more alert was held back."""
        self._cameras.setdefault(camera, _Camera()).held += 1

    def tick(self, now: float) -> list[Notice]:
        """Once a second: time passes; that the first days of a camera are over is said once."""
        passed_s = 0.0 if self._at is None else min(max(0.0, now - self._at), HOUR_S)
        self._at = now
        out = []
        for name in self._names:
            camera = self._cameras.setdefault(name, _Camera())
            camera.seconds += passed_s
            if not camera.over and camera.seconds >= self._learn_s > 0:
                camera.over = True
                many = f"{camera.held} alert{'' if camera.held == 1 else 's'}"
                words = f"the first days of {name} are over; {many} held back. What is usual: camguard learn"
                out.append(Notice(now, name, "learned", words))
        return out

    def take_changes(self, *, last: bool) -> tuple[Looked, ...]:
        """What the store does not know yet: time once an hour, and at the `last` call."""
        out = []
        for name, one in self._cameras.items():
            if one.held != one.saved_held or one.seconds - one.saved_s >= (1.0 if last else HOUR_S):
                one.saved_s, one.saved_held = one.seconds, one.held
                out.append((name, one.seconds, one.held))
        return tuple(out)

    def _is_earlier(self, session: Session, place: str) -> bool:
        since = self._met(session.camera, place)
        return since is not None and session.started - since >= EARLIER_S
