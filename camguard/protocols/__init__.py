"""What is said on the wire: one pure reader a protocol.

Readers of ordered TCP bytes are listed in STREAM_READERS: `read(state, chunk) -> (state, readings)`; the state is None
at the start, and `NOT_MINE` when the reader wants no more of the connection. Those of UDP flows: DATAGRAM_READERS,
the same, with one datagram in each chunk. Readers of single datagrams are plain functions that take the payload:
`dns.read`, `mdns.read`, `ssdp.read`, `dhcp.read`, `dhcp.read6`, `natpmp.read`, `link.arp`, `link.ndp`.

Only errors.Malformed escapes from any of them. A stream reader does not raise over one odd message, because what comes
after it may matter: it goes on at the next one and says Reading("odd", {"name": ...}).
"""

from camguard.protocols import (
    bcudp,
    dlink,
    dns,
    dtls,
    ftp,
    http,
    mpegts,
    pppp,
    ptcp,
    quic,
    rtmp,
    rtp,
    rtsp,
    rtsp_http,
    srt,
    ssh,
    stun,
    telnet,
    tls,
    tunnels,
    upnp,
)
from camguard.protocols.text import NOT_MINE, Reading, StreamReader

__all__ = ["DATAGRAM_READERS", "NOT_MINE", "STREAM_READERS", "Reading", "StreamReader"]

STREAM_READERS: dict[str, StreamReader] = {
    "rtsp": rtsp.read,
    "http": http.read,
    "rtsp-http": rtsp_http.read,
    "rtmp": rtmp.read,
    "tls": tls.read,
    "dns": dns.read_stream,
    "telnet": telnet.read,
    "ftp": ftp.read,
    "ssh": ssh.read,
    "stun": stun.read_stream,
    "tunnel": tunnels.read_stream,
    "pppp": pppp.read_stream,
    "upnp": upnp.read,
}

DATAGRAM_READERS: dict[str, StreamReader] = {
    "quic": quic.read,
    "stun": stun.read,
    "dtls": dtls.read,
    "rtp": rtp.read,
    "srt": srt.read,
    "mpegts": mpegts.read,
    "tunnel": tunnels.read,
    "pppp": pppp.read,
    "ptcp": ptcp.read,
    "bcudp": bcudp.read,
    "dlink": dlink.read,
}
