"""`camguard logins` over a real store: what a homeowner reads, what a script reads."""

import json

import pytest

from camguard import report
from camguard.events import Login
from camguard.review import history, logins
from camguard.review.terminal import Asked
from camguard.store import Row
from tests.review import test_terminal
from tests.review.test_terminal import HOUR, NOW, NVR, OVH, House

Out = pytest.CaptureFixture[str]
house = test_terminal.house


def keep(home: House, *found: Login) -> None:
    for one in found:
        home.store.write([Row("login", one.time, one.camera, one.id, None, report.as_dict(one))], durable=False)


ONE = Login("l1", NOW - HOUR, "nursery", OVH, "http", "basic", "admin", "failure", "read", False, "unexpected", "x")
OTHER = Login(
    "l2", NOW - 60, "porch", NVR, "rtsp", "digest", "nvr", "success", "read", True, "expected", "you expect NVR"
)
THIRD = Login("l3", NOW - 30, "porch", OVH, "http", "form", None, "success", "inferred", None, "unexpected", "x")


def test_a_table_newest_first(house: House, capsys: Out) -> None:
    keep(house, ONE, OTHER, THIRD)
    assert logins.logins(house.paths, Asked(), NOW) == 0
    assert capsys.readouterr().out == (
        "WHEN             CAMERA   DOOR           USER   FROM         OUTCOME                   EXPECTED\n"
        "24 Nov 22:17:30  porch    http (form)    -      OVH, France  worked (as it seems)      NO\n"
        "24 Nov 22:17:00  porch    rtsp (digest)  nvr    NVR          worked, factory password  yes\n"
        "24 Nov 21:18:00  nursery  http (basic)   admin  OVH, France  refused                   NO\n"
        "3 logins since 17 Nov 22:18.\n"
    )


def test_json_a_camera_and_a_range(house: House, capsys: Out) -> None:
    keep(house, ONE, OTHER)
    assert logins.logins(house.paths, Asked(since="-2h", camera="nursery", as_json=True), NOW) == 0
    assert [json.loads(line)["id"] for line in capsys.readouterr().out.splitlines()] == ["l1"]
    assert logins.logins(house.paths, Asked(since="-1min"), NOW + 3600) == 0
    assert capsys.readouterr().out.startswith("No logins since 24 Nov 23:17.")


def test_the_log_has_them(house: House, capsys: Out) -> None:
    keep(house, ONE)
    assert history.log(house.paths, Asked(), NOW) == 0
    assert "login as admin by OVH, France over http: refused, unexpected" in capsys.readouterr().out
