"""An RTSP camera: gst-rtsp-server with Digest login over a prepared Matroska file (H.264, PCMU).

Usage: rtsp_camera.py PORT FILE USER PASSWORD MTU LOG [TRACKS [PATH]]. Appends one JSON object a line to LOG: PLAY
answered, TEARDOWN, connection closed, each with the wall clock in seconds. Loops nothing: the file is longer than any
viewing.
"""

import json
import sys
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def main() -> None:
    port, film, user, password, mtu, log_path = sys.argv[1:7]
    tracks = sys.argv[7].split(",") if len(sys.argv) > 7 else ["video", "audio"]
    Gst.init(None)
    log = open(log_path, "a", buffering=1)  # noqa: SIM115

    def note(what: str, client: GstRtspServer.RTSPClient) -> None:
        connection = client.get_connection()
        ip = connection.get_ip() if connection else None
        log.write(json.dumps({"time": time.time(), "what": what, "peer": ip}) + "\n")

    server = GstRtspServer.RTSPServer()
    server.set_address("::")
    server.set_service(port)
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "owner")
    auth.add_digest(user, password, token)
    server.set_auth(auth)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.add_role_from_structure(
        Gst.Structure.new_from_string("owner,media.factory.access=(boolean)true,media.factory.construct=(boolean)true")
    )
    parts = [f"filesrc location={film} ! matroskademux name=d"]
    if "video" in tracks:
        parts.append(f"d. ! queue ! h264parse config-interval=-1 ! rtph264pay name=pay{len(parts) - 1} pt=96 mtu={mtu}")
    if "audio" in tracks:
        parts.append(f"d. ! queue ! audio/x-mulaw ! rtppcmupay name=pay{len(parts) - 1} pt=0 mtu={mtu}")
    factory.set_launch("( " + " ".join(parts) + " )")
    server.get_mount_points().add_factory(sys.argv[8] if len(sys.argv) > 8 else "/live", factory)

    def connected(_server: GstRtspServer.RTSPServer, client: GstRtspServer.RTSPClient) -> None:
        client.connect("play-request", lambda c, _ctx: note("play", c))
        client.connect("teardown-request", lambda c, _ctx: note("teardown", c))
        client.connect("closed", lambda c: note("closed", c))

    server.connect("client-connected", connected)
    server.attach(None)
    log.write(json.dumps({"time": time.time(), "what": "ready", "peer": None}) + "\n")
    GLib.MainLoop().run()


main()
