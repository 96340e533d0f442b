"""An ONVIF camera (devicemgmt and media) that wants a WS-UsernameToken, with SOAP faults as Core 5.9 has them.

Usage: onvif_camera.py PORT USER PASSWORD LOG. Appends one JSON object a line to LOG: "ready", then each request: the
operation, whether it held a token, whether that was right. Access class PRE_AUTH is answered to anybody.
"""

import base64
import hashlib
import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, USER, PASSWORD, LOG = int(sys.argv[1]), sys.argv[2], sys.argv[3], open(sys.argv[4], "a", buffering=1)  # noqa: SIM115
SPACES = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:ter="http://www.onvif.org/ver10/error"'
)
FAULT = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>"
    '<s:Reason><s:Text xml:lang="en">Sender not authorized</s:Text></s:Reason></s:Fault>'
)
PRE_AUTH = ("GetSystemDateAndTime", "GetServices", "GetCapabilities")


def answer(operation: str, host: str) -> str:
    """The body of what is answered; only what onvif-zeep reads."""
    if operation == "GetCapabilities":
        url = f"http://{host}/onvif"
        return (
            "<tds:GetCapabilitiesResponse><tds:Capabilities>"
            f"<tt:Device><tt:XAddr>{url}/device_service</tt:XAddr></tt:Device>"
            f"<tt:Media><tt:XAddr>{url}/media_service</tt:XAddr><tt:StreamingCapabilities/></tt:Media>"
            "</tds:Capabilities></tds:GetCapabilitiesResponse>"
        )
    if operation == "GetDeviceInformation":
        return (
            "<tds:GetDeviceInformationResponse><tds:Manufacturer>lab</tds:Manufacturer><tds:Model>door</tds:Model>"
            "<tds:FirmwareVersion>1</tds:FirmwareVersion><tds:SerialNumber>1</tds:SerialNumber>"
            "<tds:HardwareId>1</tds:HardwareId></tds:GetDeviceInformationResponse>"
        )
    if operation == "GetHostname":
        return "<tds:GetHostnameResponse><tds:HostnameInformation/></tds:GetHostnameResponse>"
    return f"<trt:{operation}Response/>"


class Camera(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
        operation = re.search(r"<(?:[\w-]+:)?Body[^>]*>\s*<(?:[\w-]+:)?(\w+)", body)[1]
        token = "UsernameToken" in body
        right = token and self.is_right(body)
        LOG.write(json.dumps({"operation": operation, "token": token, "right": right}) + "\n")
        granted = right or operation in PRE_AUTH
        inner = answer(operation, self.headers["Host"]) if granted else FAULT
        data = f"<?xml version='1.0'?><s:Envelope {SPACES}><s:Body>{inner}</s:Body></s:Envelope>".encode()
        self.send_response(200 if granted else 400)
        self.send_header("Content-Type", "application/soap+xml; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def is_right(self, body: str) -> bool:
        user, digest, nonce, created = (
            re.search(rf"<(?:[\w-]+:)?{name}(?:\s[^>]*)?>([^<]*)<", body)[1]
            for name in ("Username", "Password", "Nonce", "Created")
        )
        good = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        return user == USER and base64.b64decode(digest) == good

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("0.0.0.0", PORT), Camera)
    LOG.write(json.dumps({"operation": "ready"}) + "\n")
    server.serve_forever()
