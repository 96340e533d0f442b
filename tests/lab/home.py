"""A home in network namespaces: router with bridge, NAT, port forwards and pinholes; LAN hosts; hosts on the internet.

Every host on the internet hangs on a WAN link of its own at the router, shaped (or not) by tbf on the router's side, so
that scenarios which run at the same time do not share an uplink. All names carry this process' id; `close` removes
everything and ends only programs that this home started.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

LAN4, LAN6 = "192.168.77.", "2001:db8:77::"
OUT4, OUT6 = "198.51.100.", "2001:db8:ffff::"
WAN4, WAN6 = "203.0.113.", "2001:db8:aaaa::"


class LabError(Exception):
    """The lab itself failed (a program did not start); never a verdict on the guard."""


@dataclass(slots=True)
class LanHost:
    """A device at home."""

    name: str
    ns: str
    mac: str
    ip: str
    ip6: str


@dataclass(slots=True)
class OutsideHost:
    """A host on the internet with its own link to the router; `wan_ip` is how it reaches the home."""

    name: str
    ns: str
    number: int
    ip: str
    ip6: str
    wan_ip: str
    uplink_kbit: int | None


@dataclass(slots=True)
class Home:
    """The namespaces and programs of one run. `folder` is for logs; `tag` makes names unique."""

    folder: Path
    tag: str
    router_mac: str
    lan: dict[str, LanHost] = field(default_factory=dict)
    out: dict[str, OutsideHost] = field(default_factory=dict)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    rules: list[str] = field(default_factory=list)
    namespaces: list[str] = field(default_factory=list)

    @property
    def router(self) -> str:
        return f"{self.tag}-router"

    # ---- building ----

    def open(self) -> None:
        """Make the router."""
        self._namespace(self.router)
        self._inside(
            self.router,
            "ip link add br-lan type bridge forward_delay 0 mcast_snooping 0",
            f"ip link set br-lan address {self.router_mac} up",
            f"ip addr add {LAN4}1/24 dev br-lan",
            f"ip addr add {LAN6}1/64 dev br-lan nodad",
            "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1",
        )

    def add_lan(
        self, name: str, mac: str, *, merged: bool = False, mtu: int = 1500, congestion: str = "reno"
    ) -> LanHost:
        """A device on the bridge. `merged`: leave segmentation offloads on, so that the guard sees superpackets."""
        number = 10 + len(self.lan)
        ns, port = f"{self.tag}-{name}", f"p{number}"
        host = LanHost(name, ns, mac, f"{LAN4}{number}", f"{LAN6}{number:x}")
        self._namespace(ns)
        run(
            "ip",
            "link",
            "add",
            "eth0",
            "netns",
            ns,
            "address",
            mac,
            "type",
            "veth",
            "peer",
            "name",
            port,
            "netns",
            self.router,
        )
        if not merged:
            self._plain(ns, "eth0")
            self._plain(self.router, port)
        self._inside(
            ns,
            f"ip link set eth0 mtu {mtu} up",
            f"ip addr add {host.ip}/24 dev eth0",
            "sysctl -qw net.ipv6.conf.eth0.accept_ra=0",
            f"ip addr add {host.ip6}/64 dev eth0 nodad",
            f"ip route add default via {LAN4}1",
            f"ip -6 route add default via {LAN6}1",
            f"sysctl -qw net.ipv4.tcp_congestion_control={congestion}",
        )
        self._inside(self.router, f"ip link set {port} master br-lan up")
        self.lan[name] = host
        return host

    def add_outside(self, name: str, uplink_kbit: int | None = None) -> OutsideHost:
        """A host on the internet; what the home sends to it is shaped to `uplink_kbit` in the router."""
        number = 1 + len(self.out)
        ns, port = f"{self.tag}-{name}", f"w{number}"
        host = OutsideHost(name, ns, number, f"{OUT4}{number}", f"{OUT6}{number:x}", f"{WAN4}{number}", uplink_kbit)
        self._namespace(ns)
        run("ip", "link", "add", "eth0", "netns", ns, "type", "veth", "peer", "name", port, "netns", self.router)
        self._plain(ns, "eth0")
        self._plain(self.router, port)
        self._inside(
            self.router,
            f"ip link set {port} up",
            f"ip addr add {host.wan_ip} peer {host.ip}/32 dev {port}",
            f"ip addr add {WAN6}{number:x}/128 dev {port} nodad",
            f"ip -6 route add {host.ip6}/128 dev {port}",
        )
        self._inside(
            ns,
            "ip link set eth0 up",
            f"ip addr add {host.ip} peer {host.wan_ip}/32 dev eth0",
            f"ip route add default via {host.wan_ip}",
            f"ip addr add {host.ip6}/128 dev eth0 nodad",
            f"ip -6 route add {WAN6}{number:x}/128 dev eth0",
            f"ip -6 route add default via {WAN6}{number:x} dev eth0",
        )
        if uplink_kbit:
            self._inside(
                self.router, f"tc qdisc add dev {port} root tbf rate {uplink_kbit}kbit burst 4000 latency 300ms"
            )
        self.out[name] = host
        return host

    def forward(self, outside: OutsideHost, door: int, inside: LanHost, port: int) -> None:
        """Whoever sits at `outside` reaches inside:port at its router address, and by a pinhole over IPv6."""
        self.rules.append(
            f'add rule inet lab pre iifname "w{outside.number}" tcp dport {door} dnat ip to {inside.ip}:{port}'
        )
        self.rules.append(
            f'add rule inet lab forward iifname "w{outside.number}" ip6 daddr {inside.ip6} tcp dport {port} accept'
        )

    def join(self, hosts: list[OutsideHost]) -> None:
        """These hosts on the internet reach each other, through this router as through any other on the way."""
        for one in hosts:
            self.rules += [
                f'add rule inet lab forward iifname "w{one.number}" oifname "w{other.number}" accept'
                for other in hosts
                if other is not one
            ]

    def serve(self, names: dict[str, tuple[str, str | None]]) -> None:
        """Close the firewall, start dnsmasq (DHCP, DNS with `names` -> IPv4, IPv6; router advertisements)."""
        table = [
            "add table inet lab",
            "add chain inet lab pre { type nat hook prerouting priority -100; }",
            "add chain inet lab post { type nat hook postrouting priority 100; }",
            "add chain inet lab forward { type filter hook forward priority 0; policy drop; }",
            f"add rule inet lab post ip saddr {OUT4}0/24 accept",
            'add rule inet lab post oifname "w*" meta nfproto ipv4 masquerade',
            "add rule inet lab forward ct state established,related accept",
            'add rule inet lab forward iifname "br-lan" accept',
            "add rule inet lab forward ct status dnat accept",
            *self.rules,
        ]
        run("ip", "netns", "exec", self.router, "nft", "-f", "-", feed="\n".join(table) + "\n")
        records = [f"--host-record={name},{ip}" + (f",{ip6}" if ip6 else "") for name, (ip, ip6) in names.items()]
        self.start(
            self.router,
            ["dnsmasq", "-k", "-C", "/dev/null", "--interface=br-lan", "--bind-interfaces", "--no-resolv", "--no-hosts",
             "--user=root", f"--pid-file={self.folder}/dnsmasq.pid", f"--dhcp-leasefile={self.folder}/leases",
             f"--dhcp-range={LAN4}200,{LAN4}240,255.255.255.0,12h", f"--dhcp-range={LAN6},ra-stateless", "--enable-ra",
             *records],
            "dnsmasq",
        )  # fmt: skip

    # ---- programs ----

    def start(
        self, ns: str, argv: list[str], log: str, stdin: int | None = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        """Start a program inside a namespace; its output goes to LOG.log in the folder."""
        with open(self.folder / f"{log}.log", "ab") as out:
            program = subprocess.Popen(
                ["ip", "netns", "exec", ns, *argv], stdin=stdin, stdout=out, stderr=out, start_new_session=True
            )
        self.running.append(program)
        return program

    def stop(self, program: subprocess.Popen[bytes], how: int = signal.SIGTERM, wait_s: float = 5) -> int | None:
        """End one of our programs (with whatever it started in its session) and wait for it."""
        if program.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                program.wait(wait_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait(60)
        if program in self.running:
            self.running.remove(program)
        return program.returncode

    def close(self) -> None:
        """End what still runs, remove the namespaces."""
        for program in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGTERM)
        for program in list(self.running):
            self.stop(program, wait_s=1)
        for ns in self.namespaces:
            subprocess.run(["ip", "netns", "delete", ns], check=False, capture_output=True)
            shutil.rmtree(f"/etc/netns/{ns}", ignore_errors=True)

    # ---- inside ----

    def _namespace(self, ns: str) -> None:
        run("ip", "netns", "add", ns)
        self.namespaces.append(ns)
        resolver = Path("/etc/netns") / ns
        resolver.mkdir(parents=True)
        (resolver / "resolv.conf").write_text(f"nameserver {LAN4}1\noptions timeout:1\n")
        self._inside(
            ns, "ip link set lo up", "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0"
        )

    def _plain(self, ns: str, device: str) -> None:
        run(
            "ip",
            "netns",
            "exec",
            ns,
            "ethtool",
            "-K",
            device,
            "tso",
            "off",
            "gso",
            "off",
            "gro",
            "off",
            "tx",
            "off",
            "rx",
            "off",
        )

    def _inside(self, ns: str, *lines: str) -> None:
        run("ip", "netns", "exec", ns, "sh", "-ec", "\n".join(lines))


def run(*argv: str, feed: str | None = None) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(argv, input=feed, text=True, capture_output=True, timeout=60, check=False)
    if done.returncode:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")


def wait_for(path: Path, what: str, limit_s: float = 60) -> None:
    """Wait until the log at `path` holds `what`."""
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        if path.exists() and what in path.read_text(errors="replace"):
            return
        time.sleep(0.05)
    raise LabError(f"{path} never said {what!r}")
