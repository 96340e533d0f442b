"""A camera with a loudspeaker: gst-rtsp-server's ONVIF factory, with Digest login where a user is given.

Usage: talking_camera.py PORT [USER PASSWORD].
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
gi.require_version("GstRtsp", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

Gst.init(None)
server = GstRtspServer.RTSPOnvifServer()
server.set_address("127.0.0.1")
server.set_service(sys.argv[1])
factory = GstRtspServer.RTSPOnvifMediaFactory()
factory.set_launch(
    "( videotestsrc is-live=true ! video/x-raw,format=I420,width=160,height=120,framerate=10/1"
    " ! jpegenc ! rtpjpegpay name=pay0 )"
)
factory.set_backchannel_launch(
    "( capsfilter caps=application/x-rtp,media=audio,payload=0,clock-rate=8000,encoding-name=PCMU"
    " name=depay_backchannel ! rtppcmudepay ! fakesink async=false )"
)
factory.set_media_gtype(GstRtspServer.RTSPOnvifMedia)
if len(sys.argv) > 3:
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "owner")
    auth.add_digest(sys.argv[2], sys.argv[3], token)
    server.set_auth(auth)
    factory.add_role_from_structure(
        Gst.Structure.new_from_string("owner,media.factory.access=(boolean)true,media.factory.construct=(boolean)true")
    )
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
