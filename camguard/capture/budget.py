"""How much is handed up, and what: the budgets of reading, and the frames that everybody's talk is read in (pure).

Every kind has its budget per direction and camera, and one for all cameras together, in each window of 2**30 ns
(1.07 s). The kernel program has the same numbers (flows.bpf.c).
"""

from camguard.events import FIN, ICMPV6, RST, SYN, UDP, Packet

FIRST = 8  # payload packets at the start of each connection, each way
FLOW_LATER = 16  # later packets of one connection, each way
LINE_LATER = 64  # the same of a line dialogue: somebody types, or a program guesses
# One camera's, each way: SYN, FIN, RST; first payload packets (the reserve for what is new); later packets and DNS.
HOST_FLAGS, HOST_OPENINGS, HOST_LATER = 128, 256, 128
# The same of all cameras together: what a small machine can read.
ALL_FLAGS, ALL_OPENINGS, ALL_LATER = 256, 768, 512
LINK = 128  # ARP, NDP, DHCP, discovery talk, malformed frames
SHORT = 512  # bytes of payload up to which a later packet to the camera, or of a line dialogue, is short
BODIES = 2  # packets behind a POST or PUT that may be its body

DISCOVERY_PORTS = frozenset({67, 68, 546, 547, 1900, 3702, 5350, 5351, 5353})
NDP_TYPES = frozenset({133, 134, 135, 136})
#: The first four bytes of requests and answers (RFC 9110, RFC 7826).
BEGINNINGS = frozenset(
    b"RTSP,HTTP,GET ,POST,PUT ,HEAD,OPTI,DELE,PATC,CONN,DESC,SETU,PLAY,PAUS,TEAR,ANNO,RECO,GET_,SET_,REDI".split(b",")
)
WITH_BODY = frozenset({b"POST", b"PUT "})
#: Telnet, FTP and SSH, and where cameras have them besides: what is said there is short lines.
LINE_PORTS = frozenset({21, 22, 23, 2323, 2222})
ENDS = SYN | FIN | RST

#: Kinds; down is even, up is odd.
FLAGS, OPENINGS, LATER, TALK = 0, 2, 4, 6
_HOST = (HOST_FLAGS, HOST_FLAGS, HOST_OPENINGS, HOST_OPENINGS, HOST_LATER, HOST_LATER)
_ALL = (ALL_FLAGS, ALL_FLAGS, ALL_OPENINGS, ALL_OPENINGS, ALL_LATER, ALL_LATER, LINK)


class Budget:
    """What was handed up in the current window, of one camera or (`limits` left out) of the whole link."""

    __slots__ = ("_limits", "_used", "_window", "spent")

    def __init__(self, limits: tuple[int, ...] = _ALL) -> None:
        self._limits, self._window, self.spent = limits, -1, 0
        self._used = [0] * len(limits)

    def spend(self, kind: int, window: int) -> bool:
        """Whether one more frame of this kind may be handed up now; a refusal counts in `spent`."""
        if window > self._window:  # a time that ran back a little must not give a budget a second time
            self._window, self._used = window, [0] * len(self._limits)
        if self._used[kind] >= self._limits[kind]:
            self.spent += 1
            return False
        self._used[kind] += 1
        return True


def of_camera() -> Budget:
    """A camera's own budget."""
    return Budget(_HOST)


def window_of(at: float) -> int:
    """The window that a time (seconds) lies in."""
    return int(at * 1e9) >> 30


def is_greeting(start: bytes) -> bool:
    """Whether a connection that begins so is a line dialogue: "SSH-" (RFC 4253), "220" (RFC 959), telnet options."""
    return start[:4] == b"SSH-" or start[:3] == b"220" or (start[:1] == b"\xff" and b"\xfb" <= start[1:2] <= b"\xfe")


def is_link_talk(packet: Packet) -> bool:
    """ARP, NDP, DHCP, mDNS, SSDP, WS-Discovery, NAT-PMP, PCP: read whoever says it, to know
    who is on the link and who opens ways in."""
    if packet.fragment is not None and packet.fragment[1]:
        return False
    if packet.proto == UDP:
        return packet.dport in DISCOVERY_PORTS or packet.sport in DISCOVERY_PORTS
    if packet.proto == ICMPV6:
        return bool(packet.payload) and packet.payload[0] in NDP_TYPES
    return packet.ethertype == 0x0806
