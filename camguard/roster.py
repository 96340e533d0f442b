"""Who is guarded: the cameras, and the owner's devices that are only counted, by their numbers (FlowKey.host). Pure.

In: hosts as events.hosts_of numbers them, what neighbours.py knows of addresses. Out: names, and who has an address.
"""

from typing import NamedTuple

from camguard.decode import Hosts
from camguard.events import Host
from camguard.neighbours import Neighbours, ip_text
from camguard.track import Flow


class Change(NamedTuple):
    """What another configuration changes. `cameras`, `devices`: numbers that mean somebody else now, or nobody;
    `renumbered`: old number of a camera -> its new one, None where it is no more."""

    cameras: set[int]
    devices: set[int]
    renumbered: dict[int, int | None]


class Roster:
    """The hosts of one configuration."""

    def __init__(self, neighbours: Neighbours) -> None:
        self._neighbours = neighbours
        self._cameras: dict[int, Host] = {}
        self.devices: dict[int, Host] = {}
        self.take(())

    def change(self, hosts: tuple[Host, ...]) -> Change:
        """What will be otherwise with these."""
        new = {host.number: host for host in hosts}
        numbers = {host.name: host.number for host in hosts if host.read}
        gone = {number for number, host in (self._cameras | self.devices).items() if new.get(number) != host}
        return Change(
            gone & self._cameras.keys(),
            gone & self.devices.keys(),
            {number: numbers.get(host.name) for number, host in self._cameras.items()},
        )

    def take(self, hosts: tuple[Host, ...]) -> None:
        """These count from now on."""
        self._cameras = {host.number: host for host in hosts if host.read}
        self.devices = {host.number: host for host in hosts if not host.read}
        self.names = {host.number: host.name for host in self._cameras.values()}
        self.hosts = Hosts(tuple(self._cameras.values()))

    def camera(self, number: int) -> str:
        """A camera's name."""
        return self.names.get(number, f"camera {number}")

    def device(self, number: int) -> str:
        """The name of a device of the owner's."""
        return self.devices[number].name if number in self.devices else f"device {number}"

    def mac(self, number: int) -> bytes | None:
        """A camera's MAC, where it is known by one."""
        return self._cameras[number].mac if number in self._cameras else None

    def camera_at(self, ip: str) -> str | None:
        """The camera that has this address."""
        for number, host in self._cameras.items():
            if (host.mac and ip in self._neighbours.ips_of(host.mac)) or ip in map(ip_text, host.ips):
                return self.names[number]
        return None

    def addresses(self) -> dict[str, tuple[str, ...]]:
        """Each camera's latest addresses, as learned."""
        return {host.name: self._neighbours.ips_of(host.mac) for host in self._cameras.values() if host.mac}

    def ip_in(self, flow: Flow) -> str:
        """The camera's own address in a connection, as far as it is known: the latest of its family."""
        ips = self._neighbours.ips_of(self.mac(flow.host) or b"")
        same = [ip for ip in ips if (":" in ip) == (len(flow.peer) == 16)]
        return same[-1] if same else ""
