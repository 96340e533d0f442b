"""Ways in to a camera that were not there before. In: what was read of UPnP, NAT-PMP and PCP, connections; out:
Exposures (for the record), and a Finding "exposed-port" when one opens and when it closes. Times on the guard's clock.

- upnp-mapping, pcp-mapping: the router was asked to let others in, and agreed. Closes when it is taken back, when its
  lease runs out, or, where it has none, when nothing was seen of it for `forget_s`. To ask again is no news. A question
  over UDP that nobody answers opens nothing: many routers know no NAT-PMP. One by UPnP whose answer was not seen does.
- inbound-port: somebody outside opened a connection that the camera accepted. One through a known mapping is that
  mapping at work. Over UDP not where the camera itself talked to others from that port within `own_s` (hole punching,
  ICE, a server that speaks again after a pause), which takes so long to know. Closes after `quiet_s` without another.
- new-service: the camera answers on a port that services.py does not know. Closes in the same way. No more than
  information where a named device at home asked first (its owner opens the camera's page for the first time), unless it
  is a port that bots use (attack.py).
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from camguard.detect.attack import SERVICES
from camguard.detect.newest import Newest
from camguard.detect.services import Service, Services
from camguard.events import ACK, TCP, UDP, Exposure, Finding, Peer, id_of
from camguard.track import Flow

OPEN_MAX, ASKED_MAX, ACCEPTED_MAX, OWN_PORTS_MAX = 256, 256, 4096, 1024
DAY_S = 86_400.0
NO_SUCH_MAPPING = 714  # UPnP's answer to a delete: it is closed already
#: What says that a UDP port of the camera is one end of a talk that both ends agreed on.
AGREED = ("stun", "p2p", "dtls-hello")
#: Why a way in is closed, as far as camguard saw.
CLOSED = {
    "delete": "the router was asked to close it",
    "lease": "its time ran out",
    "quiet": "nobody used it for a day",
    "unseen": "nothing was seen of it for 30 days",
    "replaced": "the router's port leads elsewhere now",
    "removed": "the camera is not guarded any more",
}
What = Literal["upnp-mapping", "pcp-mapping", "inbound-port", "new-service"]
Transport = Literal["tcp", "udp"]
Key = tuple[str, What, Transport, int]
Detail = Mapping[str, object]
Told = list[Exposure | Finding]


@dataclass(slots=True)
class _Open:
    """`last_at`: last renewal or use; None after a restart, until the clock is known."""

    exposure: Exposure
    last_at: float | None
    renewed: bool = False


class _Asked(NamedTuple):
    """A question by UPnP that waits for its answer."""

    flow: Flow
    at: float
    detail: Detail


@dataclass(slots=True)
class _Accepted:
    """A connection from a peer that the camera accepted. `keeps`: the exposure that it keeps open."""

    keeps: Key | None = None
    answered: bool = False


class Exposures:
    """`camera_at`: address -> the camera that has it; `is_outside`: whether a peer is somebody on the internet."""

    def __init__(
        self,
        camera_of: Callable[[int], str],
        peer_of: Callable[[Flow], Peer],
        camera_at: Callable[[str], str | None],
        is_outside: Callable[[Peer], bool],
        *,
        learn_s: float = DAY_S,
        quiet_s: float = DAY_S,
        forget_s: float = 30 * DAY_S,
        answer_s: float = 10.0,
        margin_s: float = 60.0,
        own_s: float = 600.0,
    ) -> None:
        self._camera_of, self._peer_of, self._camera_at, self._is_outside = camera_of, peer_of, camera_at, is_outside
        self._quiet_s, self._forget_s, self._answer_s = quiet_s, forget_s, answer_s
        self._margin_s, self._own_s = margin_s, own_s
        self._services = Services(learn_s)
        self._open: dict[Key, _Open] = {}
        self._asked: Newest[tuple[bytes, object, object], _Asked] = Newest(ASKED_MAX)
        self._accepted: Newest[bytes, _Accepted] = Newest(ACCEPTED_MAX)
        self._own_ports: Newest[tuple[str, int], float] = Newest(OWN_PORTS_MAX)
        self._began_at: float | None = None
        self.counters = self._services.counters
        self.counters["exposures-refused"] = 0

    # ---- what an earlier run knew, and what the next one is to know ----

    def resume(self, exposures: Iterable[Exposure], services: Iterable[Service] = ()) -> None:
        """Goes on with what was open and known when the guard stopped."""
        self._open |= {_key(one): _Open(one, None) for one in exposures}
        self._services.resume(services)

    def take_learned(self) -> tuple[list[Service], list[tuple[str, float | None]]]:
        """What is new since the last call: services, and (id, end of the lease) of mappings that were renewed."""
        renewed = [one for one in self._open.values() if one.renewed]
        for one in renewed:
            one.renewed = False
        return self._services.take_new(), [(one.exposure.id, one.exposure.until) for one in renewed]

    def open_exposures(self) -> list[Exposure]:
        """What is open now, the oldest first."""
        return [one.exposure for one in self._open.values()]

    def keep(self, cameras: Collection[str], now: float) -> Told:
        """Only these cameras are guarded from now on, perhaps with other numbers; what belongs to others is closed."""
        self._accepted.clear()
        self._asked.clear()
        self._services.keep(cameras)
        return self._closed((key for key in self._open if key[0] not in cameras), "removed", now)

    # ---- what is asked of the router ----

    def heard(self, flow: Flow, what: str, detail: Detail, camera_serves: bool, now: float, *, up: bool) -> Told:
        """A reading of a connection, `up`: said by the camera; "upnp" counts where the camera asks, at home."""
        camera = self._camera_of(flow.host)
        if what in AGREED and flow.proto == UDP and up:  # anybody can send such a datagram
            self._own_ports.put((camera, flow.host_port), now)
        if what != "upnp" or camera_serves or self._peer_of(flow).scope not in ("lan", "gateway"):
            return []
        asked = (flow.key, detail["transport"], detail["internal_port"])
        if detail["granted"] is None:
            if detail["op"] == "add":
                self._asked.put(asked, _Asked(flow, now, detail))
            return []
        self._asked.pop(asked, None)
        return self._mapping(camera, "upnp-mapping", detail, None, now)

    def mapped(self, camera: str, detail: Detail, now: float, asker: Peer | None = None) -> Told:
        """A reading "natpmp" or "pcp" about a camera; `asker`: where that was not the camera itself."""
        return self._mapping(camera, "pcp-mapping", detail, asker, now)

    def _mapping(self, camera: str, what: What, detail: Detail, asker: Peer | None, now: float) -> Told:
        if detail["op"] == "delete":
            gone = detail["granted"] or detail.get("error") == NO_SUCH_MAPPING
            return self._closed(self._meant(camera, what, detail), "delete", now) if gone else []
        out: Told = []
        for transport in _transports(detail) if detail["granted"] else ():
            out += self._mapping_opened(camera, what, transport, detail, asker, now)
        return out

    def _meant(self, camera: str, what: What, detail: Detail) -> list[Key]:
        """The mappings that a delete is about: UPnP names the router's port, the others the camera's (0: all)."""
        found = []
        first = _int(detail["external_port"])
        last = _int(detail.get("external_port_end"), first)
        for key, one in self._open.items():
            external, internal = one.exposure.external_port, one.exposure.internal_port
            if external is None or one.exposure.transport not in _transports(detail):
                continue
            if what == "upnp-mapping":
                meant = first <= external <= last
            else:
                meant = key[0] == camera and detail["internal_port"] in (0, internal)
            found += [key] if meant else []
        return found

    def _mapping_opened(
        self, camera: str, what: What, transport: Transport, detail: Detail, asker: Peer | None, now: float
    ) -> Told:
        ip = detail.get("internal_ip")
        whose = self._camera_at(str(ip)) if ip else camera
        external, internal, lease_s = (_int(detail[name]) for name in ("external_port", "internal_port", "lease_s"))
        until = now + lease_s if lease_s else None
        key: Key = (whose or camera, what, transport, external or internal)
        known = self._open.get(key)
        if known and known.exposure.internal_port == internal:
            known.last_at, known.renewed = now, True
            known.exposure = replace(known.exposure, until=until)
            return []
        same = [k for k, one in self._open.items() if k[2:] == key[2:] and one.exposure.external_port is not None]
        out = self._closed(same, "replaced", now)  # a router's port leads to one place
        exposure = Exposure("", now, key[0], "open", what, external, internal, transport, asker, until)
        more = {
            "lease_s": lease_s or None,
            "description": detail.get("description"),
            "for_ip": ip if whose is None else None,
            "only_ip": detail.get("remote_ip"),
        }
        answer = "the router agreed" if detail["granted"] else "the router's answer was not seen"
        who = "the camera" if asker is None else "somebody at home"
        words = f"{who} asked the router to open the port"
        return out + self._opened(exposure, words, (words, answer), bool(detail["granted"]), more)

    # ---- connections ----

    def counted(self, flow: Flow, now: float) -> Told:
        """What a connection did in the last second."""
        camera = self._camera_of(flow.host)
        self._services.looks(camera)
        self._began_at = now if self._began_at is None else self._began_at
        if flow.proto == UDP and (flow.first_up or flow.was_running):
            self._own_ports.put((camera, flow.host_port), now)
            return []
        out: Told = []
        accepted = self._accepted.get(flow.key)
        if accepted is None:
            if not self._is_accepted(camera, flow, now):
                return []
            accepted = _Accepted()
            self._accepted.put(flow.key, accepted)
            out = self._came_in(camera, flow, accepted, now)
        elif accepted.keeps and (kept := self._open.get(accepted.keeps)):
            kept.last_at = now
        if flow.proto == TCP and flow.payload_up and not accepted.answered:
            accepted.answered = True
            out += self._answers(camera, flow, accepted, now)
        if flow.over:
            self._accepted.pop(flow.key, None)
        return out

    def _is_accepted(self, camera: str, flow: Flow, now: float) -> bool:
        if flow.proto == TCP:
            return flow.opened_by_camera is False and bool(flow.flags_down & ACK)
        own_at = self._own_ports.get((camera, flow.host_port), self._began_at or 0.0)
        return flow.proto == UDP and bool(flow.payload_up and flow.payload_down) and now - own_at > self._own_s

    def _came_in(self, camera: str, flow: Flow, accepted: _Accepted, now: float) -> Told:
        """Where it was somebody outside: through what is known to be open, or by a way that nobody knew of."""
        peer = self._peer_of(flow)
        if not self._is_outside(peer):
            return []
        transport: Transport = "tcp" if flow.proto == TCP else "udp"
        accepted.keeps = self._way_in(camera, transport, flow.host_port)
        if accepted.keeps:
            self._open[accepted.keeps].last_at = now
            return []
        exposure = Exposure("", now, camera, "open", "inbound-port", None, flow.host_port, transport, peer)
        accepted.keeps = _key(exposure)
        words, answer = (
            "somebody outside came in",
            "the camera accepted" if flow.proto == TCP else "the camera answered",
        )
        return self._opened(exposure, words, (words, answer), flow.proto == TCP)

    def _way_in(self, camera: str, transport: Transport, port: int) -> Key | None:
        for key, one in self._open.items():
            if key[::2] == (camera, transport) and key[1] != "new-service" and one.exposure.internal_port in (0, port):
                return key
        return None

    def _answers(self, camera: str, flow: Flow, accepted: _Accepted, now: float) -> Told:
        """The camera answers on this port."""
        exposure = Exposure("", now, camera, "open", "new-service", None, flow.host_port, "tcp", None)
        if self._services.is_new(camera, flow, now, excused=accepted.keeps is not None):
            words = "the camera answered on a port on which nothing was seen before"
            accepted.keeps = _key(exposure)
            return self._opened(replace(exposure, peer=self._peer_of(flow)), words, (words,))
        if kept := self._open.get(_key(exposure)):
            kept.last_at, accepted.keeps = now, accepted.keeps or _key(exposure)
        return []

    # ---- the clock ----

    def tick(self, now: float) -> Told:
        """Answers that will not come any more; what ran out, and what nobody used."""
        self._services.tick(now)
        out: Told = []
        while self._asked and now - next(iter(self._asked.values())).at >= self._answer_s:
            _, (flow, _, detail) = self._asked.popitem(last=False)
            for transport in _transports(detail):
                out += self._mapping_opened(self._camera_of(flow.host), "upnp-mapping", transport, detail, None, now)
        for key, one in list(self._open.items()):
            one.last_at = now if one.last_at is None else one.last_at
            until, quiet_s = one.exposure.until, now - one.last_at
            if until is not None:
                out += self._closed((key,), "lease", now) if now >= until + self._margin_s else []
            elif one.exposure.external_port is None:
                out += self._closed((key,), "quiet", now) if quiet_s >= self._quiet_s else []
            elif quiet_s >= self._forget_s:
                out += self._closed((key,), "unseen", now)
        return out

    # ---- opened, closed ----

    def _opened(
        self, exposure: Exposure, words: str, evidence: tuple[str, ...], sure: bool = True, more: Detail | None = None
    ) -> Told:
        if len(self._open) >= OPEN_MAX:
            self.counters["exposures-refused"] += 1
            return []
        exposure = replace(exposure, id=id_of(*_key(exposure), f"{exposure.time:.6f}"))
        self._open[_key(exposure)] = _Open(exposure, exposure.time)
        return [exposure, replace(_finding(exposure, words, more), evidence=evidence, confidence=_sure(sure))]

    def _closed(self, keys: Iterable[Key], why: str, now: float) -> Told:
        out: Told = []
        for key in list(keys):
            exposure = replace(self._open.pop(key).exposure, time=now, state="closed")
            out += [exposure, replace(_finding(exposure, CLOSED[why], {"closed_by": why}), over=True)]
        return out


def _finding(exposure: Exposure, words: str, more: Detail | None) -> Finding:
    detail = {name: getattr(exposure, name) for name in ("what", "external_port", "internal_port", "transport")}
    camera, what, transport, port = _key(exposure)
    return Finding(
        type="exposed-port",
        camera=camera,
        key=f"{what}|{transport}|{port}",
        severity="info" if _is_mild(exposure) else "warning",
        confidence="certain",
        evidence=(words,),
        peer=exposure.peer,
        at=exposure.time,
        detail=detail | dict(more or {}),
        words=words,
    )


def _is_mild(exposure: Exposure) -> bool:
    peer = exposure.peer
    named = peer is not None and peer.device is not None and peer.scope == "lan"
    return exposure.what == "new-service" and named and exposure.internal_port not in SERVICES


def _sure(sure: bool) -> Literal["certain", "likely"]:
    return "certain" if sure else "likely"


def _key(exposure: Exposure) -> Key:
    return exposure.camera, exposure.what, exposure.transport, exposure.external_port or exposure.internal_port


def _transports(detail: Detail) -> tuple[Transport, ...]:
    return ("tcp", "udp") if detail["transport"] == "all" else ("tcp",) if detail["transport"] == "tcp" else ("udp",)


def _int(value: object, default: int = 0) -> int:
    return value if isinstance(value, int) else default
