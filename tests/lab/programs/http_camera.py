"""A camera's web page with four doors: Basic, Digest, a form that answers in JSON, ONVIF with WS-UsernameToken.

Usage: http_camera.py PORT USER PASSWORD LOG. Appends one JSON object a line to LOG: "ready", then each request that
held credentials: door, whether they were right. What a real camera refuses it refuses: 401, and a SOAP fault in a 400.
"""

import base64
import hashlib
import json
import re
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, USER, PASSWORD, LOG = int(sys.argv[1]), sys.argv[2], sys.argv[3], open(sys.argv[4], "a", buffering=1)  # noqa: SIM115
FAULT = b"<s:Envelope><s:Body><s:Fault><s:Value>ter:NotAuthorized</s:Value></s:Fault></s:Body></s:Envelope>"
PROFILES = b"<s:Envelope><s:Body><trt:GetProfilesResponse/></s:Body></s:Envelope>"


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


class Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        value = self.headers.get("Authorization", "")
        door = "digest" if self.path.startswith("/digest") else "basic"
        if value and not value.lower().startswith(door):
            self.note(
                value.split()[0].lower(), False
            )  # the wrong way to say it is wrong, too (hydra begins with Basic)
        if not value.lower().startswith(door):
            self.refuse(door)
            return
        right = self.is_digest(value) if door == "digest" else self.is_basic(value)
        self.note(door, right)
        if right:
            self.say(200, b"picture " * 100, "image/jpeg")
        else:
            self.refuse(door)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.path.startswith("/onvif"):
            right = self.is_token(body.decode())
            self.note("onvif", right)
            self.say(200 if right else 400, PROFILES if right else FAULT, "application/soap+xml")
            return
        form = urllib.parse.parse_qs(body.decode())
        right = (form.get("username"), form.get("password")) == ([USER], [PASSWORD])
        self.note("form", right)
        self.say(200, json.dumps({"success": right}).encode(), "application/json")

    def is_basic(self, value: str) -> bool:
        return base64.b64decode(value.split()[1]).decode() == f"{USER}:{PASSWORD}"

    def is_digest(self, value: str) -> bool:
        part = dict(re.findall(r'(\w+)="?([^",]*)"?', value))
        middle = ":".join([part["nonce"], *([part["nc"], part["cnonce"], part["qop"]] if "qop" in part else [])])
        second = md5(f"{self.command}:{part['uri']}")
        return part["username"] == USER and part["response"] == md5(
            f"{md5(f'{USER}:cam:{PASSWORD}')}:{middle}:{second}"
        )

    def is_token(self, body: str) -> bool:
        user, digest, nonce, created = (
            re.search(rf"<\w+:{name}(?:\s[^>]*)?>([^<]*)<", body)[1]
            for name in ("Username", "Password", "Nonce", "Created")
        )
        good = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        return user == USER and base64.b64decode(digest) == good

    def refuse(self, door: str) -> None:
        more = (
            'Digest realm="cam", nonce="n0nce", qop="auth", algorithm=MD5' if door == "digest" else 'Basic realm="cam"'
        )
        self.say(401, b"no", "text/plain", ("WWW-Authenticate", more))

    def say(self, status: int, body: bytes, kind: str, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(len(body))), *more):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def note(self, door: str, right: bool) -> None:
        LOG.write(json.dumps({"time": time.time(), "what": "login", "door": door, "right": right}) + "\n")

    def log_message(self, *_: object) -> None:
        pass


server = ThreadingHTTPServer(("", PORT), Door)
LOG.write(json.dumps({"time": time.time(), "what": "ready"}) + "\n")
server.serve_forever()
