"""RTSP dialogues and where their media goes. In: what was read of SETUP and PLAY; out: which call a UDP flow serves.

With RTSP over UDP the media connection is opened by the camera and looks like a call of its own (lab.md); only the
ports that the answer to SETUP names tie it to the dialogue (RFC 2326, 12.39). Behind NAT the viewer's port may be
another one: the camera's port then decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from camguard.track import Flow

CALLS_MAX = 4096
MEDIA_PORTS_MAX = 64


@dataclass(slots=True)
class Call:
    """One RTSP dialogue. `range`: PLAY asked for a moment in the past (recorded footage); `ended_at`: when its viewing
    was over."""

    flow: Flow
    ports: set[tuple[int, bytes, str, int]] = field(default_factory=set)
    range: bool = False
    ended_at: float = float("-inf")


class Calls:
    """The dialogues that were heard, and an index of their media ports; capped."""

    def __init__(self) -> None:
        self.counters = {"calls-evicted": 0}
        self._calls: dict[bytes, Call] = {}
        self._by_port: dict[tuple[int, bytes, str, int], Call] = {}

    def heard(self, flow: Flow, detail: Mapping[str, object], kept: Mapping[bytes, object]) -> Call:
        """The call of `flow` after one more request or answer; calls of connections in `kept` are not evicted."""
        call = self._calls.get(flow.key)
        if call is None:
            if len(self._calls) >= CALLS_MAX:
                self.forget(next((key for key in self._calls if key not in kept), next(iter(self._calls))))
                self.counters["calls-evicted"] += 1
            call = self._calls[flow.key] = Call(flow)
        if detail.get("method") == "SETUP" and detail.get("status") == 200:
            self._learn(call, "peer", detail.get("client_ports"))
            self._learn(call, "camera", detail.get("server_ports"))
        if detail.get("method") == "PLAY" and detail.get("range"):
            call.range = _is_past(str(detail["range"]))
        return call

    def serving(self, flow: Flow) -> Call | None:
        """The call whose media this UDP connection carries."""
        return self._by_port.get((flow.host, flow.peer, "peer", flow.peer_port)) or self._by_port.get(
            (flow.host, flow.peer, "camera", flow.host_port)
        )

    def ended(self, key: bytes, now: float) -> None:
        """The viewing of this dialogue is over; what its media ports still send is the tail of it."""
        if call := self._calls.get(key):
            call.ended_at = now

    def forget(self, key: bytes) -> None:
        """The connection is gone."""
        call = self._calls.pop(key, None)
        for port in call.ports if call else ():
            if self._by_port.get(port) is call:
                del self._by_port[port]

    def keys(self) -> set[bytes]:
        """Connections with a dialogue."""
        return set(self._calls)

    def _learn(self, call: Call, side: str, ports: object) -> None:
        for text in ports if isinstance(ports, tuple) else ():
            port = (call.flow.host, call.flow.peer, side, int(text))
            if int(text) and len(call.ports) < MEDIA_PORTS_MAX:
                call.ports.add(port)
                self._by_port[port] = call


def _is_past(text: str) -> bool:
    """A Range that names a moment other than now or the start asks for recorded footage (RFC 2326, 12.29)."""
    return text.startswith("clock=") or (
        text.startswith("npt=") and not text.startswith(("npt=now", "npt=0-", "npt=0.0"))
    )
