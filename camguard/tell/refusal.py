"""What the other side answered, or why it could not be reached, in words for the owner. In: a status code or an
exception; out: a SinkError. No address, no name of a host and no text of the other side is ever in it.

HTTP status codes: RFC 9110 section 15, 429 RFC 6585.
"""

import socket
import ssl

from camguard.errors import SinkError

#: Answers that another try may change, although they begin with 4.
_LATER = {408, 409, 421, 423, 425, 429}
_WORDS = {
    400: "the other side does not understand the message (400). Is it the right address?",
    401: "the other side wants a password or token, or does not take this one (401). Put the right one in its place",
    403: "the other side does not allow it (403). Check the token, or who may write there",
    404: "there is nothing at that address (404). Check the address",
    405: "that address takes no messages (405). Check the address",
    410: "the address is gone for good (410). Put the new one in its place",
    413: "the other side finds the message too large (413)",
    429: "the other side takes no more messages for a while (429)",
    502: "the other side is out of order (502)",
    503: "the other side is out of order (503)",
    504: "the other side is out of order (504)",
    507: "the other side has no room (507)",
}
_CERTIFICATE = {
    10: "its certificate has expired",
    18: "its certificate is signed by itself",
    19: "its certificate is signed by itself",
    20: "nobody that this machine trusts has signed its certificate",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
    9: "its certificate is not valid yet. Is the clock of this machine right?",
}


def refused(status: int, after_s: float | None = None) -> SinkError:
    """For an answer of HTTP that is no success. `after_s`: what Retry-After said.

    A proxy whose program is not up yet says 404, or sends everybody to another page.
    """
    if 300 <= status < 400:
        words = f"the address has moved ({status}), and camguard follows nobody. Put the new one in its place"
        return SinkError(words, permanent=True, starting=True)
    words = _WORDS.get(status, f"the other side answered with {status}")
    return SinkError(words, 400 <= status < 500 and status not in _LATER, after_s, starting=status == 404)


def unreachable(error: BaseException) -> SinkError:
    """For a connection that failed. Never permanent: a network comes back, a clock is set right."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = _CERTIFICATE.get(getattr(error, "verify_code", 0), "its certificate cannot be trusted")
        return SinkError(f"nothing was sent: {why}")
    if isinstance(error, ssl.SSLError):
        return SinkError("no secure connection could be made. Does the other side speak TLS on that port?")
    if isinstance(error, TimeoutError):
        return SinkError("no answer in time")
    if isinstance(error, socket.gaierror):
        return SinkError("its name cannot be found. Is there a connection to the internet, and is the name right?")
    if isinstance(error, ConnectionRefusedError):
        return SinkError("nobody listens at that address. Is the program there running?")
    if isinstance(error, ConnectionError | EOFError):
        return SinkError("the connection was cut before there was an answer")
    if isinstance(error, OSError):
        return SinkError("the network cannot be reached")
    return SinkError(f"a fault in sending ({type(error).__name__})")
