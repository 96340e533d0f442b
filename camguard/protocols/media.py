"""Which form of media an HTTP body is (pure). In: type, path and first bytes of a body; out: a word.

mjpeg     pictures one after the other in one answer (multipart/x-mixed-replace, RFC 2046 section 5.1 in Netscape's
          use; cameras send events in the same wrapping, so the first part decides)
snapshot  one picture
hls       a playlist or a segment (RFC 8216 sections 3, 10; DASH: ISO/IEC 23009-1 annex C)
chunked   sound or video without an end that is known beforehand
file      sound or video of a known length: a clip
"""

import re

LOOK_BYTES = 1024  # of a body, to see what it is

_PICTURES = frozenset({"image/jpeg", "image/jpg", "image/pjpeg", "image/webp", "image/heic"})
_PLAYLISTS = frozenset(
    {"application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl"}
    | {"application/dash+xml"}
)
_SEGMENTS = frozenset({"video/mp2t", "video/iso.segment", "video/x-mpegts"})
_VAGUE = frozenset({None, "application/octet-stream", "binary/octet-stream", "text/plain"})
_TYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,40}/[a-z0-9][a-z0-9.+-]{0,40}")
_EXTENSION = re.compile(r"\.([A-Za-z0-9]{1,5})$")
_NUMBERED = re.compile(r"\d[^/]*$")
_PART_TYPE = re.compile(rb"(?i)content-type:[ \t]*([a-z0-9./+-]{1,80})[\r\n; \t]")
#: Dahua's eventManager.cgi (python-amcrest, event.py) and the like: the wrapping of MJPEG with text in it.
_EVENTS = re.compile(r"(?i)event|alert|alarm|notif|subscri")


def content_type(value: str | None) -> str | None:
    """The bare type of a Content-Type ("image/jpeg"), None for none or what is no type."""
    word = (value or "")[:200].partition(";")[0].strip().lower()
    return word if _TYPE.fullmatch(word) else None


def form(kind: str | None, path: str, *, endless: bool, data: bytes = b"", last: bool = False) -> str | None:
    """The form of a body; "" where it is no media, None where more of it (`data`, the first LOOK_BYTES) must be seen.
    `last`: there is no more to see."""
    last = last or len(data) >= LOOK_BYTES
    if kind == "multipart/x-mixed-replace":
        if found := _PART_TYPE.search(data):
            part = found[1].lower()
            return "mjpeg" if part.startswith(b"image/") else "chunked" if _is_av(part.decode("latin-1")) else ""
        return ("" if _EVENTS.search(path) else "mjpeg") if last else None
    found_extension = _EXTENSION.search(path)
    extension = found_extension[1].lower() if found_extension else ""
    if kind in _PLAYLISTS or (kind in _VAGUE and extension in ("m3u8", "mpd")):
        return "hls"
    if kind in _SEGMENTS or extension == "m4s" or (extension == "ts" and kind in _VAGUE):
        return "chunked" if endless and not _NUMBERED.search(path) else "hls"  # segments are numbered
    if kind in _PICTURES:
        return "snapshot"
    if kind is not None and _is_av(kind):
        return "chunked" if endless else "file"
    if kind not in _VAGUE:
        return ""
    seen = _looks(data)
    if seen is None and not last:
        return None
    return {"picture": "snapshot", "video": "chunked" if endless else "file"}.get(seen or "", "")


def _is_av(kind: str) -> bool:
    return kind.startswith(("video/", "audio/"))


def _looks(data: bytes) -> str | None:
    """By the first bytes: JPEG (ITU-T T.81 annex B), MP4 (ISO/IEC 14496-12), FLV (Adobe, annex E), Matroska (RFC 9559),
    MPEG-TS (ISO/IEC 13818-1: 0x47 every 188 bytes). None: too few of them."""
    if data.startswith(b"\xff\xd8\xff"):
        return "picture"
    if data[4:8] in (b"ftyp", b"styp", b"moof") or data.startswith((b"FLV\x01", b"\x1a\x45\xdf\xa3")):
        return "video"
    if data.startswith(b"\x47"):
        return None if len(data) <= 188 else "video" if data[188] == 0x47 else ""
    return None if len(data) < 8 else ""
