"""Which interface is looked at when the owner names none."""

import pytest

from camguard.capture import default_interface
from camguard.errors import CaptureError
from tests.capture import wire

pytestmark = pytest.mark.lab


def test_the_default_route_says_where_to_look() -> None:
    with wire.pair() as (near, far):
        with pytest.raises(CaptureError, match=r"no default route.*Fix: --interface NAME"):
            default_interface()
        wire.run("sysctl", "-q", f"net.ipv6.conf.{near}.disable_ipv6=0")
        wire.run("ip", "-6", "route", "add", "default", "dev", near)
        assert default_interface() == near
        wire.run("ip", "route", "add", "default", "dev", near, "metric", "200")
        wire.run("ip", "route", "add", "default", "dev", far, "metric", "100")
        assert default_interface() == far, "the lower metric wins, IPv4 before IPv6"
