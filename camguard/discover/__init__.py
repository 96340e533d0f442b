"""`camguard cameras discover`: who is on this link, who speaks like a camera, who is guarded, and the next command.

In: the interface, the configuration, what the guard has seen. Out: a table, or a JSON object a line.
"""

import contextlib
import json
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from camguard.config import Paths
from camguard.discover.sweep import Device, Found, Progress, ask
from camguard.errors import CaptureError, StoreError
from camguard.events import Camera

STALE_S = 15.0  # the guard writes its figures each second


def run(
    paths: Paths,
    *,
    interface: str | None = None,
    network: str | None = None,
    as_json: bool = False,
    anywhere: bool = False,
) -> int:
    """Ask, print, and say the next command. `network` narrows the sweep ("192.168.1.0/24"). Exit code 0.

    Without `interface`: where the running guard looks, else where the configuration says, else at the default route.
    `anywhere`: also addresses that are not those of a home. CaptureError, one line, without rights or interface;
    ConfigError where the configuration is wrong.
    """
    from camguard import capture, config

    settings = config.load(paths.config)
    places = (interface,) if interface else _looked_at(paths) or settings.interfaces or (capture.default_interface(),)
    troubles: list[CaptureError] = []
    for place in places:
        try:
            with _progress() as progress:
                found = ask(place, network=network, progress=progress, anywhere=anywhere)
        except CaptureError as error:
            troubles.append(error)
            continue
        _fill(found, paths, settings.home.cameras)
        _print(found, as_json)
    for trouble in troubles[:-1] if len(troubles) == len(places) else troubles:
        sys.stderr.write(f"camguard: {trouble}\n")
    if len(troubles) == len(places):
        raise troubles[-1]
    return 0


def _looked_at(paths: Paths) -> tuple[str, ...]:
    """The interfaces of the guard that runs; none where none does."""
    from camguard import store

    figures = store.read_now(paths.now)
    if figures is None or store.now_age_s(figures) > STALE_S:
        return ()
    return tuple(str(one["name"]) for one in figures.get("interfaces", []) if one.get("state") == "up")


def _fill(found: Found, paths: Paths, cameras: Sequence[Camera]) -> None:
    """What the record and the tables know of those who answered."""
    from camguard import store
    from camguard.places import Places

    names: dict[str, str] = {}
    with contextlib.suppress(StoreError):  # names are a help; the guard may never have run
        names = {seen.mac: seen.name for seen in store.Reader(paths.database).devices() if seen.name}
    places = Places()
    for device in found.devices:
        device.name = device.name or names.get(device.mac, "")
        device.maker = places.maker(device.mac) or ""
        device.guarded = next((c.name for c in cameras if c.mac == device.mac or device.ips & set(c.ips)), "")


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on stderr where that is a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _what, _part: None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, part: bar.update(task, description=what, completed=part)


def _print(found: Found, as_json: bool) -> None:
    if as_json:
        for device in found.devices:
            sys.stdout.write(json.dumps(_as_dict(device), ensure_ascii=False) + "\n")
        return
    where = f"{found.interface} ({', '.join(found.networks) or 'IPv6 only'})"
    if not found.devices:
        sys.stdout.write(f"Nobody answered on {where}. Is this the network of the cameras? Choose with --interface\n")
        return
    cameras = [device for device in found.devices if device.signs]
    rows = [("MAC", "MAKER", "ADDRESS", "NAME", "SPEAKS LIKE A CAMERA", "GUARDED")]
    for device in found.devices:
        rows.append(
            (
                device.mac,
                device.maker or "-",
                _shown_addresses(device),
                device.name or "-",
                f"yes: {', '.join(sorted(device.signs))}" if device.signs else "no",
                f"yes, as {device.guarded}" if device.guarded else "no",
            )
        )
    _print_table(rows)
    number = len(found.devices)
    sys.stdout.write(
        f"\n{number} device{'' if number == 1 else 's'} on {where}, {len(cameras)} of them "
        f"speak{'s' if len(cameras) == 1 else ''} like a camera.\n"
    )
    fresh = [device for device in cameras if not device.guarded]
    for device in fresh[:3]:
        sys.stdout.write(f"Guard it: sudo camguard cameras add {device.mac} NAME\n")
    if not fresh and not cameras:
        sys.stdout.write(
            "A camera may be asleep or keep silent. Guard one by its MAC: sudo camguard cameras add MAC NAME\n"
        )


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns; on a terminal the wide ones are cut to its width, piped nothing is cut."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    if sys.stdout.isatty():
        over = sum(widths) + 2 * (len(widths) - 1) - shutil.get_terminal_size().columns
        for column in (1, 3, 2):
            cut = max(0, min(over, widths[column] - 10))
            widths[column] -= cut
            over -= cut
    for row in rows:
        cells = [(c if len(c) <= w else c[: w - 1] + "…").ljust(w) for c, w in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def _shown_addresses(device: Device) -> str:
    ips = sorted(device.ips, key=lambda ip: (":" in ip, ip.startswith("fe80"), ip))
    return ips[0] + (f" and {len(ips) - 1} more" if len(ips) > 1 else "")


def _as_dict(device: Device) -> dict[str, Any]:
    return {
        "mac": device.mac,
        "maker": device.maker or None,
        "ips": sorted(device.ips),
        "name": device.name or None,
        "speaks_camera": sorted(device.signs),
        "guarded": device.guarded or None,
    }
