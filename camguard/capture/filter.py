"""The classic BPF program that keeps other people's traffic away from the packet socket (pure).

It lets through what `ledger.Ledger` counts or hands up, and sometimes a little more (it compares four bytes of a MAC):
the ledger looks again. Everything else ends here, in the kernel, before a byte is copied.
"""

from collections.abc import Iterable, Sequence

from camguard.capture.ledger import DISCOVERY_PORTS, NDP_TYPES
from camguard.events import Host

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, k

# linux/filter.h
_WORD, _HALF, _BYTE = 0x20, 0x28, 0x30  # load A from a fixed place
_WORD_X, _HALF_X, _BYTE_X = 0x40, 0x48, 0x50  # load A from X + place
_LOAD_X, _A_TO_X, _ADD_X = 0x01, 0x07, 0x0C
_AND, _SHIFT_LEFT, _EQUAL, _ANY_BIT, _RETURN = 0x54, 0x64, 0x15, 0x45, 0x06

_TAGS = (0x8100, 0x88A8, 0x9100)
#: More instructions than this do not fit the kernel's default for socket options (net.core.optmem_max).
_MAX_LENGTH = 1500


def program(hosts: Iterable[Host], snap: int) -> list[Instruction]:
    """Instructions that return `snap` (bytes to copy) for frames of `hosts` and link talk of everybody, else 0.

    Too many cameras for a filter: everything is let through.
    """
    listed = tuple(hosts)
    take: Instruction = (_RETURN, 0, 0, snap)
    macs = sorted({host.mac for host in listed if host.mac})
    routed = sorted({ip for host in listed if not host.mac for ip in host.ips})
    words = sorted({int.from_bytes(mac[2:]) for mac in macs})
    steps = [*_any_of((_WORD, 0, 0, 2), words, take), *_any_of((_WORD, 0, 0, 8), words, take)]
    ipv4 = sorted({int.from_bytes(ip) for ip in routed if len(ip) == 4})
    ipv6 = [ip for ip in routed if len(ip) == 16]
    steps += _ethertype()
    steps += [(_EQUAL, 0, 1, 0x0806), take]
    steps += _if_equal(0x0800, [*_addresses4(ipv4, take), *_discovery4(take)])
    steps += _if_equal(0x86DD, [*_addresses6(ipv6, take), *_discovery6(take)])
    steps.append((_RETURN, 0, 0, 0))
    return steps if len(steps) <= _MAX_LENGTH else [take]


def _any_of(load: Instruction, values: Sequence[int], take: Instruction) -> list[Instruction]:
    """Load a value; take the frame if it is one of `values`; else go on."""
    if not values:
        return []
    return [load, *(step for value in values for step in ((_EQUAL, 0, 1, value), take))]


def _ethertype() -> list[Instruction]:
    """A = ethertype, X = bytes of VLAN tags before it (none, one, two); tags that the card took off are not here."""
    tags = len(_TAGS)
    inner: list[Instruction] = [(_LOAD_X, 0, 0, 4), (_HALF, 0, 0, 16)]
    deeper: list[Instruction] = [(_LOAD_X, 0, 0, 8), (_HALF, 0, 0, 20)]
    skip = len(inner) + tags + len(deeper)
    steps: list[Instruction] = [(_LOAD_X, 0, 0, 0), (_HALF, 0, 0, 12)]
    steps += _one_of(_TAGS, skip)
    steps += [*inner, *_one_of(_TAGS, len(deeper)), *deeper]
    return steps


def _one_of(values: Sequence[int], skip: int) -> list[Instruction]:
    """Go on if A is one of `values`, else jump over `skip` instructions."""
    count = len(values)
    return [
        (_EQUAL, count - 1 - place, skip if place == count - 1 else 0, value) for place, value in enumerate(values)
    ]  # fmt: skip


def _if_equal(value: int, steps: list[Instruction]) -> list[Instruction]:
    """`steps` (which must end the program) if A is `value`; long ones are jumped over by a far jump."""
    body = [*steps, (_RETURN, 0, 0, 0)]
    return [(_EQUAL, 1, 0, value), (0x05, 0, 0, len(body)), *body]  # 0x05: jump always, 32 bits far


def _addresses4(values: Sequence[int], take: Instruction) -> list[Instruction]:
    return [*_any_of((_WORD_X, 0, 0, 26), values, take), *_any_of((_WORD_X, 0, 0, 30), values, take)]


def _addresses6(addresses: Sequence[bytes], take: Instruction) -> list[Instruction]:
    """All four words, the last one first: many an address of a home ends in ::1."""
    steps: list[Instruction] = []
    for address in addresses:
        for place in (22, 38):  # source, destination
            for left, word in ((7, 12), (5, 8), (3, 4), (1, 0)):
                steps.append((_WORD_X, 0, 0, place + word))
                steps.append((_EQUAL, 0, left, int.from_bytes(address[word : word + 4])))
            steps.append(take)
    return steps


def _discovery4(take: Instruction) -> list[Instruction]:
    """UDP with a discovery port in its first (or only) fragment; the header may carry options."""
    steps: list[Instruction] = [
        (_BYTE_X, 0, 0, 23),
        (_EQUAL, 1, 0, 17),
        (_RETURN, 0, 0, 0),
        (_HALF_X, 0, 0, 20),
        (_ANY_BIT, 0, 1, 0x1FFF),
        (_RETURN, 0, 0, 0),
        (_BYTE_X, 0, 0, 14),
        (_AND, 0, 0, 15),
        (_SHIFT_LEFT, 0, 0, 2),
        (_ADD_X, 0, 0, 0),
        (_A_TO_X, 0, 0, 0),
    ]
    return [*steps, *_ports(14, take)]


def _discovery6(take: Instruction) -> list[Instruction]:
    """UDP with a discovery port, or NDP (RFC 4861 forbids extension headers before it in all but name)."""
    udp = [*_ports(54, take), (_RETURN, 0, 0, 0)]
    ndp = _any_of((_BYTE_X, 0, 0, 54), sorted(NDP_TYPES), take)
    return [(_BYTE_X, 0, 0, 20), (_EQUAL, 0, len(udp), 17), *udp, (_EQUAL, 0, len(ndp), 58), *ndp]


def _ports(place: int, take: Instruction) -> list[Instruction]:
    ports = sorted(DISCOVERY_PORTS)
    return [*_any_of((_HALF_X, 0, 0, place), ports, take), *_any_of((_HALF_X, 0, 0, place + 2), ports, take)]
