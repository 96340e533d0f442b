"""What was read of pictures, sound and control on a connection, beyond RTSP and RTP. In: readings; out: what they mean.

`said` maps one reading, without memory: how the connection is called, and whether a viewing opens at once ("now"),
or when media goes on ("goes-on": the numbers must follow). `Pieces` counts what is fetched or sent piece by piece over
many connections: polled pictures, HLS. `Callers` remembers who was announced: the address that a maker's server told
the camera to call, and who sits behind a relay.
"""

import ipaddress
import re
from collections import deque
from collections.abc import Mapping
from typing import Literal, NamedTuple, Protocol

from camguard.detect.newest import Newest
from camguard.events import StreamClass
from camguard.track import Flow

#: Names that say how bytes travel, not what they are: a better one takes their place.
WEAK = frozenset({"http", "tls", "quic", "dtls", "stun"})
PIECES_MAX, CALLERS_MAX = 2048, 1024
RELAYED_MAX = 3  # addresses behind one relay that are named
Ends = tuple[int, bytes]


class Read(Protocol):
    """A reading as protocols/ makes it."""

    @property
    def what(self) -> str:
        """The reader's word."""

    @property
    def detail(self) -> Mapping[str, object]:
        """What it read."""


class Said(NamedTuple):
    """`protocol`: contract.md's word. `cls`: what opens, with `evidence` in words. `pieces`: it comes over many
    connections, which belong together."""

    protocol: str | None = None
    cls: StreamClass | None = None
    opens: Literal["now", "goes-on", "no"] = "no"
    evidence: str = ""
    pieces: bool = False


NOTHING = Said()
_NAMES = {"tls-hello": "tls", "quic-hello": "quic", "dtls-hello": "dtls", "http": "http", "stun": "stun", "p2p": "p2p"}
_CONTROL: dict[str, tuple[StreamClass, str]] = {
    "ptz": ("control", "it turned the camera"),
    "talk": ("talk", "it spoke through the camera"),
    "playback": ("playback", "it was given recorded footage"),
}
_BY = {"onvif": "ONVIF", "http": "HTTP", "rtsp": "RTSP"}


def said(reading: Read, up: bool, camera_serves: bool) -> Said:
    """What one reading says. `up`: the camera said it; `camera_serves`: the camera is the server of this dialogue."""
    what, detail = reading.what, reading.detail
    if what in _NAMES:
        return Said(_NAMES[what])
    if what == "tunnel":
        return Said(str(detail.get("name") or "unknown"))
    if what == "srt":
        agreed = detail.get("stage") not in ("rejected", "induction")
        return Said("srt", "stream", "goes-on" if agreed else "no", "live media over SRT was read in it")
    if what == "mpegts":
        return Said("mpegts", "stream", "goes-on" if up else "no", "an MPEG transport stream was read in it")
    if what == "rtmp":
        return _rtmp(detail, camera_serves)
    if what == "http-media":
        return _http_media(detail, up, camera_serves)
    if what == "control" and camera_serves and detail.get("granted") is True:
        cls, words = _CONTROL.get(str(detail.get("what")), (None, ""))
        by = _BY.get(str(detail.get("by")), "")
        return Said(None, cls, "now" if cls else "no", f"{words}, by {by}" if by else words)
    return NOTHING


def _rtmp(detail: Mapping[str, object], camera_serves: bool) -> Said:
    """The camera publishes to a server, or a viewer plays from the camera (RTMP 1.0, sections 7.2.2.1, 7.2.2.6); who
    publishes to the camera speaks through it."""
    role = detail.get("role")
    if detail.get("call") == "media" and role == ("play" if camera_serves else "publish"):
        return Said("rtmp", "stream", "goes-on", "RTMP: picture or sound was read in it")
    if detail.get("call") != "start":
        return Said("rtmp")
    if role == ("play" if camera_serves else "publish"):
        return Said("rtmp", "stream", "now", f"RTMP: {role} was granted")
    if camera_serves and role == "publish":
        return Said("rtmp", "talk", "now", "it was let publish to the camera over RTMP")
    return Said("rtmp")


def _http_media(detail: Mapping[str, object], up: bool, camera_serves: bool) -> Said:
    if detail.get("form") != "mjpeg":
        return Said("http")
    if camera_serves and up:
        return Said("mjpeg", "stream", "now", "the camera answered with moving pictures (MJPEG)")
    return Said("mjpeg", "stream", "goes-on" if up else "no", "the camera sends moving pictures (MJPEG)")


class Pieces:
    """Pictures and segments that come one by one; capped.

    Three pictures within `pictures_s` are a viewing; rarer ones, three in `rare_s`, are kept as a sign of life. Those
    less than `apart_s` apart count as one: a page of thumbnails comes all at once. Pictures that the camera sends of
    its own accord come in threes at each motion, so `sent` in `sent_s` are asked for. HLS: a playlist and two segments
    within `hls_s`; where the camera sends them, two that are `apart_s` apart: on a connection that is kept open, the
    playlist's request stands in the middle of a packet and is not handed up.
    """

    def __init__(
        self,
        *,
        pictures_s: float = 12.0,
        rare_s: float = 180.0,
        apart_s: float = 0.5,
        sent: int = 20,
        sent_s: float = 30.0,
        hls_s: float = 30.0,
    ) -> None:
        self._pictures_s, self._rare_s, self._apart_s = pictures_s, rare_s, apart_s
        self._sent, self._sent_s, self._hls_s = sent, sent_s, hls_s
        self._seen: Newest[tuple[Ends, str], deque[float]] = Newest(PIECES_MAX)
        self._paths: Newest[bytes, str] = Newest(CALLERS_MAX)

    def asked(self, flow: Flow, detail: Mapping[str, object]) -> None:
        """What was asked for last on this connection (http): the next piece is this."""
        self._paths.put(flow.key, str(detail.get("path") or ""))

    def forget(self, key: bytes) -> None:
        """The connection is gone."""
        self._paths.pop(key, None)

    def heard(self, flow: Flow, detail: Mapping[str, object], now: float) -> Said:
        """One more piece (http-media); what all of them between these ends are."""
        ends, path, sent = (flow.host, flow.peer), self._paths.get(flow.key, ""), bool(detail.get("upload"))
        if detail.get("form") == "snapshot":
            return self._picture(ends, path, sent, now)
        if detail.get("form") == "hls":
            return self._hls(ends, path, sent, now)
        return Said("http")

    def _picture(self, ends: Ends, path: str, sent: bool, now: float) -> Said:
        """The same picture again and again; a page's icons are different ones, each fetched once."""
        apart_s = 0.0 if sent else self._apart_s
        times = self._add(ends, f"picture {sent} {_numberless(path)}", self._sent if sent else 3, now, apart_s)
        if sent:
            live = len(times) == self._sent and now - times[0] <= self._sent_s
            words = "the camera sends picture after picture"
            return Said("http", "stream", "now", words, True) if live else Said("http")
        if len(times) < 3 or now - times[0] > self._rare_s:
            return Said("http")
        if now - times[0] <= self._pictures_s:
            return Said("http", "stream", "now", f"a picture at least every {self._pictures_s / 2:.0f} seconds", True)
        return Said("http", "heartbeat", "now", "now and then a picture", True)

    def _hls(self, ends: Ends, path: str, sent: bool, now: float) -> Said:
        playlist = path.lower().endswith((".m3u8", ".m3u", ".mpd"))
        kind = "playlist" if playlist else "segment sent" if sent else "segment"
        self._add(ends, kind, 1 if playlist else 2, now, self._apart_s if kind == "segment sent" else 0.0)
        lists = self._seen.get((ends, "playlist"))
        segments = self._seen.get((ends, "segment sent" if sent else "segment"), deque())
        began_at = min(segments[0], now if sent or not lists else lists[0]) if len(segments) == 2 else float("-inf")
        if now - began_at > self._hls_s or not (sent or lists):
            return Said("hls")
        words = "the camera sends" if sent else "the camera was asked for"
        return Said("hls", "stream", "now", f"{words} video in segments (HLS)", True)

    def _add(self, ends: Ends, kind: str, most: int, now: float, apart_s: float = 0.0) -> deque[float]:
        times = self._seen.get((ends, kind)) or deque(maxlen=most)
        if not times or now - times[-1] >= apart_s:
            times.append(now)
        self._seen.put((ends, kind), times)
        return times


class Callers:
    """Who was announced as the other end: by a maker's server (PUNCH_TO), by a relay (TURN), by the ends themselves
    when they try whether they reach each other (ICE, P2P); capped. `called_s`: how long an announcement counts.
    """

    def __init__(self, *, called_s: float = 60.0) -> None:
        self._called_s = called_s
        self._called: Newest[Ends, float] = Newest(CALLERS_MAX)
        self._ready: Newest[bytes, float] = Newest(CALLERS_MAX)
        self._relayed: Newest[bytes, dict[str, bool]] = Newest(CALLERS_MAX)

    def heard(self, flow: Flow, up: bool, reading: Read, now: float) -> None:
        """A STUN or P2P reading; `up`: the camera said it."""
        detail, event = reading.detail, reading.detail.get("event")
        ip = _ip(detail.get("peer"))
        if event == "ready" or detail.get("role"):  # only the two ends of a call have a role (RFC 8445 section 6.1.1)
            self._ready.put(flow.key, now)
        if event == "punch-to":
            if ip and not up:
                self._called.put((flow.host, ip.packed), now)
        elif ip and (reading.what == "stun" or event == "relay"):
            self._relayed.put(flow.key, known := self._relayed.get(flow.key, {}))
            if len(known) < RELAYED_MAX or str(ip) in known:
                known[str(ip)] = known.get(str(ip), False) or detail.get("method") != "create-permission"

    def announced(self, flow: Flow, now: float) -> bool:
        """Whether the other end was announced: media on this connection needs less proof."""
        called_at = max(
            self._called.get((flow.host, flow.peer), float("-inf")), self._ready.get(flow.key, float("-inf"))
        )
        return now - called_at < self._called_s

    def words(self, flow: Flow) -> list[str]:
        """Evidence about who is at the other end, if anything is known."""
        out = []
        if (flow.host, flow.peer) in self._called:
            out.append(f"the maker's server told the camera to call {ipaddress.ip_address(flow.peer)}")
        if relayed := self._relayed.get(flow.key):
            used = [ip for ip, is_used in relayed.items() if is_used]  # a permission is asked for each that might be
            out.append(f"through a relay, for somebody at {' or '.join(used or relayed)}")
        return out

    def forget(self, key: bytes) -> None:
        """The connection is gone."""
        self._relayed.pop(key, None)
        self._ready.pop(key, None)


def _ip(text: object) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address in "192.0.2.1:5000" or "[2001:db8::1]:5000"."""
    try:
        return ipaddress.ip_address(str(text).rpartition(":")[0].strip("[]"))
    except ValueError:
        return None


def _numberless(path: str) -> str:
    """A counter in the name is no other picture: /snap/0001.jpg, /snap/0002.jpg. Icons (PNG, GIF) are told apart."""
    return path if path.lower().endswith((".png", ".gif", ".ico", ".svg")) else re.sub(r"\d+", "#", path)
