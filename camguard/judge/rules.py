"""Does the owner mind? In: a Session and the home as configured; out: its verdict with the reason in words. Pure."""

import fnmatch
import ipaddress
from typing import NamedTuple
from zoneinfo import ZoneInfo

from camguard.events import VIEWING, Camera, Decision, Expect, Home, Login, Peer, Session, VerdictWord
from camguard.judge import schedule
from camguard.neighbours import is_private

#: Why the owner minds where no rule speaks of it.
UNKNOWN = "it is none of your devices and nothing you expect"


class Verdict(NamedTuple):
    """`private`: the camera is in its privacy hours or may never be watched, so even usual viewing is told.
    `decision`: the owner's own, where one excuses it (allow.py). `phone`: a device of the owner's receives it;
    `held`: the alert is held back (first_days.py)."""

    word: VerdictWord | None
    reason: str | None
    private: bool = False
    decision: Decision | None = None
    phone: bool = False
    held: bool = False


class _Rule(NamedTuple):
    expect: Expect
    windows: tuple[schedule.Window, ...]
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None


class Rules:
    """The owner's wishes, read once. Times given are wall-clock seconds."""

    def __init__(self, home: Home) -> None:
        self._zone = ZoneInfo(home.timezone)
        self._cameras = {camera.name: camera for camera in home.cameras}
        self._private = {
            camera.name: schedule.parse(camera.private) for camera in home.cameras if camera.private is not None
        }
        self._recorders = {camera.name for camera in home.cameras if camera.kind == "recorder"}
        self._owners = {device.name for device in home.devices if device.owner}
        self._named = {device.name for device in home.devices} | set(self._cameras)
        self._local = tuple(ipaddress.ip_network(text, strict=False) for text in home.local)
        self._rules = tuple(
            _Rule(expect, schedule.parse(expect.when) if expect.when else (), _network(expect.peer))
            for expect in home.expects
        )

    def judge(self, session: Session, time: float) -> Verdict:
        """Whether this talk is fine at wall-clock `time`, and why; no word for what is neither viewing nor clip."""
        camera = self._cameras.get(session.camera)
        viewing = session.cls in VIEWING
        if viewing and camera and camera.never:
            return Verdict("unexpected", "nobody may watch this camera, ever: you set never = true", True)
        if (
            viewing
            and session.camera in self._private
            and schedule.inside(self._private[session.camera], time, self._zone)
        ):
            return Verdict("unexpected", f"it is in its privacy hours ({self._cameras[session.camera].private})", True)
        if session.cls in ("unknown", "heartbeat", "download"):
            return Verdict(None, None)
        peer = session.peer
        if viewing and peer.device in self._owners:
            return Verdict("expected", f"{peer.device} is your own device")
        said, late = self._ruled(session.camera, peer, {"stream" if viewing else session.cls}, time)
        if said:
            return said
        if viewing and (known := self._recorder(session.camera, peer)):
            return known
        if not viewing:
            return Verdict(None, None)
        return Verdict("unexpected", late or UNKNOWN)

    def private_soon(self, camera: str, time: float, within_s: float = 600.0) -> bool:
        """Whether the camera's privacy hours begin within so long."""
        windows = self._private.get(camera)
        return windows is not None and schedule.inside(windows, time + within_s, self._zone)

    def judge_login(self, login: Login, time: float) -> Verdict:
        """Whether this login is fine at wall-clock `time`. Who may watch may say who he is to the RTSP door."""
        peer = login.peer
        if peer.device in self._owners:
            return Verdict("expected", f"{peer.device} is your own device")
        kinds = {"login", "stream"} if login.service == "rtsp" else {"login"}
        said, late = self._ruled(login.camera, peer, kinds, time)
        return said or self._recorder(login.camera, peer) or Verdict("unexpected", late or UNKNOWN)

    def _ruled(self, camera: str, peer: Peer, kinds: set[str], time: float) -> tuple[Verdict | None, str | None]:
        """What the rules say of it; else the rule that would have allowed it at another hour."""
        late: str | None = None
        for rule in self._rules:
            if not self._fits(rule, camera, peer, kinds):
                continue
            if not rule.windows or schedule.inside(rule.windows, time, self._zone):
                hours = f" {rule.expect.when}" if rule.expect.when else ""
                return Verdict("expected", f"you expect {rule.expect.peer}{hours}"), None
            late = f"you expect {rule.expect.peer} only {rule.expect.when}"
        return None, late

    def _recorder(self, camera: str, peer: Peer) -> Verdict | None:
        if peer.scope == "lan" and peer.device in self._recorders:
            return Verdict("expected", f"{peer.device} is your recorder")
        if peer.scope == "lan" and camera in self._recorders:
            return Verdict("expected", "it is a recorder, and those are watched at home")
        return None

    def camera(self, name: str) -> Camera | None:
        """The camera of that name."""
        return self._cameras.get(name)

    def _fits(self, rule: _Rule, camera: str, peer: Peer, kinds: set[str]) -> bool:
        expect = rule.expect
        if expect.camera not in ("*", camera) or (expect.kinds and not kinds & set(expect.kinds)):
            return False
        if expect.peer == "lan":
            return peer.scope == "lan"
        if expect.peer in self._named:
            return peer.device == expect.peer
        if rule.network is not None:
            return self._in_network(rule.network, peer)
        if peer.scope != "wan":  # at home a name is what a device calls itself: anybody can be "p2p.maker.example"
            return False
        return peer.name is not None and fnmatch.fnmatchcase(peer.name.lower(), expect.peer.lower())

    def _in_network(self, network: ipaddress.IPv4Network | ipaddress.IPv6Network, peer: Peer) -> bool:
        """An address at home is meant where it is written as one: from behind the gateway it is somebody else's."""
        address = ipaddress.ip_address(peer.ip)
        if address.version != network.version or address not in network:
            return False
        return peer.scope != "wan" or not is_private(peer.ip)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
