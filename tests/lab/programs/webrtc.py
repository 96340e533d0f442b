"""One end of a WebRTC call with aiortc: a camera that offers its film (H.264 as it is), or who looks at it.

Usage: webrtc.py camera|viewer SIGNALS FILM [TURN_URL USER PASSWORD]. Offer and answer lie in the files SIGNALS-offer
and SIGNALS-answer: real cameras exchange them through their maker's server. With TURN_URL the camera speaks through
that relay alone. Runs until it is ended.
"""

import asyncio
import os
import sys
from pathlib import Path

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole, MediaPlayer
from aiortc.rtcconfiguration import RTCIceTransportPolicy

WHO, SIGNALS, FILM = sys.argv[1:4]


def put(name: str, description: RTCSessionDescription) -> None:
    part = Path(f"{SIGNALS}-{name}.part")
    part.write_text(description.sdp)
    os.replace(part, f"{SIGNALS}-{name}")


async def get(name: str) -> RTCSessionDescription:
    path = Path(f"{SIGNALS}-{name}")
    while not path.exists():
        await asyncio.sleep(0.02)
    return RTCSessionDescription(path.read_text(), name)


async def camera() -> None:
    settings = RTCConfiguration(iceServers=[])
    if len(sys.argv) > 4:
        url, user, password = sys.argv[4:7]
        relay = RTCIceServer(urls=url, username=user, credential=password)
        settings = RTCConfiguration(iceServers=[relay], iceTransportPolicy=RTCIceTransportPolicy.RELAY)
    call = RTCPeerConnection(settings)
    player = MediaPlayer(FILM, decode=False)
    way = call.addTransceiver(player.video, direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    way.setCodecPreferences([codec for codec in codecs if codec.mimeType == "video/H264"])
    await call.setLocalDescription(await call.createOffer())
    put("offer", call.localDescription)
    await call.setRemoteDescription(await get("answer"))


async def viewer() -> None:
    call = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    screen = MediaBlackhole()
    call.on("track", screen.addTrack)
    await call.setRemoteDescription(await get("offer"))
    await call.setLocalDescription(await call.createAnswer())
    put("answer", call.localDescription)
    await screen.start()


async def main() -> None:
    await (camera() if WHO == "camera" else viewer())
    await asyncio.Event().wait()


asyncio.run(main())
