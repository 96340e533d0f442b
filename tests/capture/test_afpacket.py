"""afpacket: the fallback counts as the kernel ledger does, says what it loses, and needs no right once it is open."""

import json
import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from camguard.capture import afpacket
from camguard.errors import CaptureError
from camguard.events import FlowCount, Frame, Host, unpack_key
from tests.capture.wire import Sender, pair, received, run, tcp4, udp4

pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="needs root and network namespaces")]

CAM, VIEWER, OTHER = (bytes.fromhex(f"02000000000{n}") for n in (1, 2, 3))
CAM_IP, VIEWER_IP = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
HOSTS = [Host(1, "porch", CAM, ())]
UP = udp4(CAM, VIEWER, CAM_IP, VIEWER_IP, 5000, 6000, bytes(500))
DOWN = udp4(VIEWER, CAM, VIEWER_IP, CAM_IP, 6000, 5000, bytes(100))
STRANGER = udp4(OTHER, VIEWER, b"\xc0\0\2\3", VIEWER_IP, 1, 2, bytes(100))


def wait_read(source: afpacket.PacketSocket) -> list[Frame]:
    time.sleep(0.25)
    return source.read()


def only(counts: list[FlowCount]) -> FlowCount:
    assert len(counts) == 1, counts
    return counts[0]


def test_counts_what_the_interface_counts() -> None:
    with pair() as (near, far):
        sender, source = Sender(near), afpacket.open_socket([far], HOSTS, "a test. Fix: none")
        packets, size = received(far)
        frames = []
        for _ in range(100):
            sender.prepare([UP, UP, DOWN, STRANGER]).send(5)
            frames += source.read()
        frames += wait_read(source)
        count = only(source.collect(time.monotonic()))
        assert unpack_key(count.key)[:5] == (1, 17, 4, 5000, 6000)
        assert (count.packets_up, count.packets_down) == (1000, 500)
        assert (count.payload_up, count.payload_down) == (500_000, 50_000)
        more_packets, more = (after - before for after, before in zip(received(far), (packets, size), strict=True))
        assert (more_packets, more) == (2000, count.wire_up + count.wire_down + 500 * len(STRANGER))
        assert {frame.data for frame in frames} == {UP, DOWN}
        assert [frame.at for frame in frames] == sorted(frame.at for frame in frames)
        assert abs(frames[-1].at - time.monotonic()) < 5
        assert source.maintain(0.0) == []
        (interface,) = source.interfaces()
        # the stranger's frames never left the kernel
        assert (interface.name, interface.state, interface.packets, interface.drops) == (far, "up", 1500, 0)
        source.close()
        sender.close()


def test_what_is_lost_is_counted() -> None:
    with pair() as (near, far):
        sender, source = Sender(near), afpacket.open_socket([far], HOSTS, "")
        sent = sender.prepare([UP] * 1000).send(20)
        time.sleep(0.25)
        for _ in range(4):
            source.read()
        source.maintain(0.0)
        count = only(source.collect(time.monotonic()))
        lost = source.counters()["socket-drops"]
        assert (sent, lost) == (20_000, 20_000 - 4096)
        assert count.packets_up == sent - lost
        assert source.interfaces()[0].drops == lost
        source.close()
        sender.close()


def test_tags_are_counted_and_shown() -> None:
    tagged = UP[:12] + b"\x81\x00\x20\x05" + UP[12:]
    double = UP[:12] + b"\x88\xa8\x00\x07\x81\x00\x00\x05" + UP[12:]
    with pair(plain=False) as (near, far):
        sender, source = Sender(near), afpacket.open_socket([far], HOSTS, "")
        sender.prepare([tagged, double]).send()
        assert [(frame.data, frame.wire_len) for frame in wait_read(source)] == [
            (tagged, len(tagged)),
            (double, len(double)),
        ]
        assert only(source.collect(time.monotonic())).wire_up == len(tagged) + len(double)
        source.close()
        sender.close()


def test_superpackets_count_as_their_segments() -> None:
    """What the sender's kernel would cut into 1,448 byte segments crosses the veth pair in one piece."""
    big = tcp4(CAM, VIEWER, CAM_IP, VIEWER_IP, 554, 40000, 16, bytes(10_000))
    # struct virtio_net_hdr: checksum still to be made, TCP over IPv4, header length, segment, where the checksum is
    header = struct.pack("=BBHHHH", 1, 1, 54, 1448, 34, 16)
    with pair(plain=False) as (near, far):
        sender, source = Sender(near), afpacket.open_socket([far], HOSTS, "")
        sender.socket.setsockopt(263, 15, 1)  # PACKET_VNET_HDR
        sender.send(header + big)
        (frame,) = wait_read(source)
        assert (frame.gso_size, frame.wire_len) == (1448, len(big))
        assert big.startswith(frame.data[:34])
        assert len(frame.data) < 2048
        count = only(source.collect(time.monotonic()))
        assert (count.packets_up, count.payload_up, count.largest_up) == (7, 10_000, 1448)
        assert count.wire_up == len(big) + 6 * 54
        source.close()
        sender.close()


def test_a_frame_on_the_loopback_counts_once() -> None:
    with pair():
        run("ip", "link", "set", "lo", "up")
        sender, source = Sender("lo"), afpacket.open_socket(["lo"], HOSTS, "")
        sender.send(UP)
        assert len(wait_read(source)) == 1
        assert only(source.collect(time.monotonic())).packets_up == 1
        source.close()
        sender.close()


def test_the_guards_own_frames_count_once() -> None:
    """What this machine sends by the tapped interface is seen there too: one frame each way, each counted once."""
    with pair() as (near, far):
        there, here, source = Sender(near), Sender(far), afpacket.open_socket([far], HOSTS, "")
        there.send(UP)
        here.socket.setsockopt(263, 20, 0)
        here.send(DOWN)
        assert len(wait_read(source)) == 2
        count = only(source.collect(time.monotonic()))
        assert (count.packets_up, count.packets_down) == (1, 1)
        for one in (there, here, source):
            one.close()


def test_two_interfaces() -> None:
    with pair() as (near, far):
        one, two, source = Sender(near), Sender(far), afpacket.open_socket([near, far], HOSTS, "")
        assert len(source.filenos()) == 2
        assert [tap.name for tap in source.interfaces()] == [near, far]
        one.send(UP)
        assert [frame.interface for frame in wait_read(source)] == [1]
        for each in (one, two, source):
            each.close()


def test_other_cameras_after_a_reload() -> None:
    yard = udp4(OTHER, VIEWER, b"\xc0\0\2\3", VIEWER_IP, 1, 2, bytes(100))
    with pair() as (near, far):
        sender, source = Sender(near), afpacket.open_socket([far], [], "")
        sender.prepare([UP, yard]).send()
        assert wait_read(source) == []
        source.set_hosts([Host(1, "yard", OTHER, ())])
        sender.prepare([UP, yard]).send()
        assert [frame.data for frame in wait_read(source)] == [yard]
        assert only(source.collect(time.monotonic())).packets_up == 1
        source.close()
        sender.close()


def test_what_this_costs_is_said() -> None:
    with pair() as (_, far):
        source = afpacket.open_socket([far], HOSTS, "this kernel is 5.4, older than 5.19. Fix: a newer kernel")
        assert source.what == "packet socket"
        assert source.cost is not None
        begin, _, rest = source.cost.partition("more than about ")
        assert begin == "Counting in Python, because this kernel is 5.4, older than 5.19: "
        number, _, rest = rest.partition(" ")
        assert int(number.replace(",", "")) >= 10_000
        assert rest == "packets a second will be lost (losses are counted). For exact counting: a newer kernel"
        source.close()


def test_no_such_interface() -> None:
    with pair() as (near, far), pytest.raises(CaptureError) as caught:
        afpacket.open_socket([far, "eth99"], HOSTS, "")
    assert str(caught.value) == f"There is no interface eth99. There are: {near}, {far}, lo. Fix: --interface NAME"
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(CaptureError):
        afpacket.open_socket(["lo", "eth99"], HOSTS, "")
    assert len(os.listdir("/proc/self/fd")) == before


# ---- with the rights of an ordinary user -----------------------------------------------------------------------------

HERE = Path(__file__)


def ordinary(caps: str, body: str) -> str:
    """What the program prints as user 65534 with these capabilities and no others."""
    rights = [f"--{kind}-caps=-all{',' + caps if caps else ''}" for kind in ("inh", "ambient")]
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *rights, "--no-new-privs",
               sys.executable, "-c", f"import sys; sys.path.insert(0, {str(HERE.parents[2])!r})\n{body}"]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


OPEN = """
from camguard.capture import open_source
from camguard.errors import CaptureError
try:
    source = open_source(["lo"], [])
    print(source.what, "|", source.cost)
except CaptureError as error:
    print(error)
"""


def test_without_bpf_the_packet_socket_is_taken() -> None:
    said = ordinary("+net_raw", OPEN)
    assert said.startswith("packet socket | Counting in Python, because camguard may not load its kernel program: ")


def test_without_any_right_it_is_said_what_to_do() -> None:
    assert ordinary("", OPEN) == (
        "camguard may not look at network traffic. Fix: sudo camguard run (it gives every right up at once)\n"
    )


SEALED = f"""
import json, os, struct, subprocess, sys, time
sys.path.insert(0, {str(HERE.parents[2])!r})
from pathlib import Path
from tests.capture.wire import Sender, pair, run, udp4
from camguard import rights
from camguard.capture import afpacket
from camguard.events import Host
CAM, OTHER = bytes.fromhex("020000000001"), bytes.fromhex("020000000003")
frames = [udp4(mac, bytes.fromhex("020000000002"), bytes(4), bytes(4), 1, 2, bytes(9)) for mac in (CAM, OTHER)]
said = []
with pair() as (near, far):
    orders, order = os.pipe()
    done, ready = os.pipe()
    if not os.fork():  # stays root: sends, and pulls the cable
        os.close(order)
        sender = Sender(near)
        while word := os.read(orders, 1):
            if word == b"s":
                for frame in frames:
                    sender.send(frame)
            elif word == b"d":
                run("ip", "link", "del", near)
            else:
                run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
                for name in (near, far):
                    run("ip", "link", "set", name, "up")
                sender = Sender(near)
            os.write(ready, b".")
        os._exit(0)
    os.close(orders)
    def tell(word):
        os.write(order, word)
        os.read(done, 1)
        time.sleep(0.25)
    rights.become("nobody")
    source = afpacket.open_socket([far], [Host(1, "porch", CAM, ())], "")
    rights.give_up()
    rights.confine([Path("/dev/shm")], [])
    rights.seal_tap(source.filenos())
    def look(word):
        tell(word)
        seen = sum(frame.data in frames for frame in source.read())  # the interfaces talk NDP of their own
        said.append([source.maintain(0.0), seen, len(source.filenos())])
    look(b"s")
    look(b"d")
    look(b"a")
    look(b"s")
    source.set_hosts([Host(1, "porch", CAM, ()), Host(2, "yard", OTHER, ())])
    look(b"s")
    os.close(order)
    with open("/proc/self/status") as status:
        caps = [line.split()[1] for line in status if line.startswith(("CapEff", "CapPrm"))]
    print(json.dumps([said, far, caps]), flush=True)
    os._exit(0)
"""


def test_sealed_it_still_looks_and_takes_up_an_interface_that_comes_back() -> None:
    answer = subprocess.run([sys.executable, "-c", SEALED], capture_output=True, text=True, check=True, timeout=60)
    said, far, caps = json.loads(answer.stdout)
    assert caps == ["0" * 16, "0" * 16]
    assert said == [
        [[], 1, 1],
        [[f"{far} has gone away: camguard sees nothing there until it is back"], 0, 0],
        [[f"{far} is back: camguard looks at it again"], 0, 1],
        [[], 1, 1],
        [[], 2, 1],
    ]


def test_promiscuous_mode_stays_on(tmp_path: Path) -> None:
    with pair() as (near, far):
        source = afpacket.open_socket([far], HOSTS, "")

        def promiscuity() -> int:
            (link,) = json.loads(run("ip", "-d", "-j", "link", "show", far))
            return int(link["promiscuity"])

        assert promiscuity() == 1
        run("ip", "link", "del", near)
        source.maintain(0.0)
        run("ip", "link", "add", near, "type", "veth", "peer", "name", far)
        run("ip", "link", "set", far, "up")
        source.maintain(0.0)
        assert promiscuity() == 1
        source.close()
        assert promiscuity() == 0


def test_a_silent_tap_wakes_nobody() -> None:
    """After "network is down" the descriptor must not stay ready for ever: the guard would turn in circles."""
    import select

    with pair() as (near, far):
        source = afpacket.open_socket([far], HOSTS, "")
        (fd,) = source.filenos()
        run("ip", "link", "set", far, "down")
        assert select.select([fd], [], [], 60)[0] == [fd]
        source.read()
        assert select.select([fd], [], [], 0.05)[0] == []
        run("ip", "link", "set", far, "up")
        sender = Sender(near)
        time.sleep(0.25)
        source.maintain(0.0)
        sender.send(UP)
        assert select.select([fd], [], [], 60)[0] == [fd]
        assert len(source.read()) == 1
        source.close()
        sender.close()


def test_the_descriptor_is_a_packet_socket_and_closes() -> None:
    with pair() as (_, far):
        source = afpacket.open_socket([far], HOSTS, "")
        (fd,) = source.filenos()
        seen = socket.socket(fileno=fd)
        assert seen.family == socket.AF_PACKET
        seen.detach()
        source.close()
        with pytest.raises(OSError):
            os.fstat(fd)
