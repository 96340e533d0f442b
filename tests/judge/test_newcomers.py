"""A device that speaks like a camera is said once, unless the owner knows it."""

from camguard.events import Camera, Device, Home, SeenDevice
from camguard.judge.newcomers import A_DAY, DAY_S, Newcomers

HOME = Home(
    cameras=(Camera("porch", "02:00:00:00:00:01"), Camera("shed", None, ("192.168.1.9",))),
    devices=(Device("NVR", "02:00:00:00:00:02"),),
)


def device(number: int, *, speaks: bool = True, ip: str = "192.168.1.50", name: str | None = None) -> SeenDevice:
    return SeenDevice(f"02:00:00:00:00:{number:02x}", ("fe80::1", ip), name, 1.0, 2.0, speaks)


def test_once_each() -> None:
    newcomers = Newcomers(HOME)
    assert newcomers.seen([device(7, speaks=False)], 10.0) == []
    (notice,) = newcomers.seen([device(7, name="IPC-42")], 20.0)
    assert (notice.time, notice.camera, notice.what) == (20.0, None, "new-device")
    assert notice.detail == (
        "a device speaks like a camera and is not guarded: 'IPC-42', 192.168.1.50, 02:00:00:00:00:07. See: camguard"
        " cameras list"
    )
    assert newcomers.seen([device(7)], 3 * DAY_S) == []
    assert len(newcomers.seen([device(8)], 3 * DAY_S)) == 1


def test_what_the_owner_knows_and_what_an_earlier_run_told_is_not_new() -> None:
    newcomers = Newcomers(HOME, known=["02:00:00:00:00:07"])
    known = [device(1), device(2), device(9, ip="192.168.1.9"), device(7)]
    assert newcomers.seen(known, 10.0) == []
    newcomers.reload(Home())
    assert len(newcomers.seen(known, 20.0)) == 3


def test_a_flood_of_invented_ones_is_counted() -> None:
    newcomers = Newcomers(HOME)
    told = [notice for number in range(10, 200) for notice in newcomers.seen([device(number)], 10.0)]
    assert len(told) == A_DAY
    assert newcomers.counters["new-devices-not-told"] == 190 - A_DAY
    assert len(newcomers.seen([device(199)], 10.0 + DAY_S)) == 1
