"""Look-ups in the shipped tables, names for a homeowner, and the script that makes the tables."""

import datetime
import importlib.machinery
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from camguard import places
from camguard.places import Network, Places, tidy

TABLES = Path(places.__file__).parent / "tables"


@pytest.fixture(scope="module")
def shipped() -> Places:
    return Places()


@pytest.mark.parametrize(
    ("ip", "org", "country"),
    [
        ("8.8.8.8", "Google", "United States"),
        ("::ffff:8.8.8.8", "Google", "United States"),
        ("64:ff9b::808:808", "Google", "United States"),
        ("51.38.1.1", "OVH", "France"),
        ("2001:41d0::1", "OVH", "France"),
        ("91.0.0.1", "Deutsche Telekom", "Germany"),
        ("52.95.110.1", "Amazon", "United States"),
        ("120.24.1.1", "Alibaba", "China"),
    ],
)
def test_network_and_country(shipped: Places, ip: str, org: str, country: str) -> None:
    found = shipped.network(ip)
    assert found is not None
    assert (found.org, found.country) == (org, country)
    assert isinstance(found.asn, int)


@pytest.mark.parametrize(
    "ip",
    [
        "192.168.50.10",
        "10.0.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.1.1",
        "192.0.2.1",
        "198.51.100.7",
        "203.0.113.5",
        "224.0.0.251",
        "239.255.255.250",
        "255.255.255.255",
        "0.0.0.0",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::fb",
        "2001:db8::1",
        "::ffff:192.168.1.1",
        "",
        "porch",
        "1.2.3",
        "8.8.8.8.8",
    ],
)
def test_local_reserved_and_senseless_addresses_have_no_place(shipped: Places, ip: str) -> None:
    assert shipped.network(ip) is None


@pytest.mark.parametrize(
    ("mac", "maker"),
    [
        ("28:57:be:00:00:01", "Hikvision"),
        ("28-57-BE-00-00-01", "Hikvision"),
        ("ec:71:db:12:34:56", "Reolink"),
        ("2c:aa:8e:00:00:00", "Wyze"),
        ("b8:27:eb:01:02:03", "Raspberry Pi"),
        ("02:00:00:00:00:01", None),  # locally administered: a phone's random one, a container's
        ("01:00:5e:00:00:fb", None),  # a group
        ("00:00:00", None),
        ("zz:00:00:00:00:00", None),
        ("", None),
    ],
)
def test_maker(shipped: Places, mac: str, maker: str | None) -> None:
    assert shipped.maker(mac) == maker


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("p2p3.reolink.com", "reolink.com"),
        ("P2P.Reolink.COM.", "reolink.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("cam.s3.amazonaws.com", "cam.s3.amazonaws.com"),
        ("com", None),
        ("nas", None),
        ("porch.local", None),
        ("", None),
    ],
)
def test_domain(shipped: Places, name: str, domain: str | None) -> None:
    assert shipped.domain(name) == domain


@pytest.mark.parametrize(
    ("name", "maker"),
    [
        ("p2p11.reolink.com", "Reolink"),
        ("reolink.com.", "Reolink"),
        ("notreolink.com", None),
        ("reolink.com.evil.example", None),
        ("apiieu.ezvizlife.com", "EZVIZ"),
        ("de.ots.io.mi.com", "Xiaomi"),
        ("www.mi.com", None),
        ("example.org", None),
        ("", None),
    ],
)
def test_cloud(shipped: Places, name: str, maker: str | None) -> None:
    assert shipped.cloud(name) == maker


def test_only_confirmed_clouds_count(shipped: Places) -> None:
    rows = json.loads((TABLES / "clouds.json").read_text())
    assert [row for row in rows if row["confirmed"] and "unnamed" in row["source"]] == []
    for row in rows:
        assert shipped.cloud(f"x.{row['name']}") == (row["maker"] if row["confirmed"] else None)


@pytest.mark.parametrize(
    ("registered", "said"),
    [
        ("OVH SAS", "OVH"),
        ("Deutsche Telekom AG", "Deutsche Telekom"),
        ("AMAZON-02", "Amazon"),
        ("AMAZON-02 - Amazon.com, Inc., US", "Amazon"),
        ("Google LLC", "Google"),
        ("Hangzhou Alibaba Advertising Co.,Ltd.", "Alibaba"),
        ("Telefonica Germany GmbH & Co.OHG", "Telefónica Germany"),
        ("Example Netz GmbH & Co. KG", "Example Netz"),
        ("TELEFONICA BRASIL S.A", "Telefonica Brasil"),
        ("PT. Telekomunikasi Selular", "Telekomunikasi Selular"),
        ('OOO "NTS GRADIENT"', "NTS Gradient"),
        ("Uninet S.A. de C.V.", "Uninet"),
        ("Dreamlink sp. z o.o.", "Dreamlink"),
        ("ALLIANCE TELECOMS GROUP, S.A.", "Alliance Telecoms Group"),
        ("SK Broadband Co Ltd", "SK Broadband"),
        ("KDDI CORPORATION", "KDDI"),
        ("TIM S/A", "TIM"),
        ("TE-AS", "TE-AS"),
        ("AS-VULTR-AS", "Vultr"),
        ("Free SAS", "Free"),
        ("LLC", "LLC"),
        ("", ""),
        ("Ministry of Science and Technology Development and Higher Education", "Ministry of Science and Technology"),
        ("evil\x1b[31m\u202ename Ltd", "evil [31m name"),
        ("TP-LINK TECHNOLOGIES CO.,LTD.", "TP-Link"),
        ("Zhejiang Dahua Technology Co., Ltd.", "Dahua"),
        ("Shenzhen Hengyi Technology Co., LTD", "Shenzhen Hengyi Technology"),
    ],
)
def test_tidy(registered: str, said: str) -> None:
    assert tidy(registered) == said


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=120))
def test_tidy_never_makes_a_long_or_unprintable_name(name: str) -> None:
    said = tidy(name)
    assert said.isprintable()
    assert len(said) <= places.ORG_CAP


def test_the_cache_is_capped() -> None:
    fresh = Places()
    for number in range(places.CACHE_CAP + 10):
        fresh.network(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(fresh._known) <= places.CACHE_CAP


MEASURE = """
import ipaddress, random, time
from camguard.places import Places
def rss():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
random.seed(7)
ips = [str(ipaddress.IPv4Address(random.getrandbits(32))) for _ in range(2000)]
ips += [str(ipaddress.IPv6Address(0x2a00 << 112 | random.getrandbits(96))) for _ in range(500)]
for ip in ips[:50]:
    ipaddress.ip_address(ip).is_global
before = rss()
places = Places()
places.maker("28:57:be:00:00:01")
places.cloud("p2p.reolink.com")
best = 1e9
for batch in range(0, 2500, 500):
    began = time.perf_counter()
    for ip in ips[batch : batch + 500]:
        places.network(ip)
    best = min(best, (time.perf_counter() - began) / 500)
print(rss() - before, best * 1e6)
"""


def test_memory_and_speed() -> None:
    """Under 2 MB of memory after 2,500 look-ups all over the tables; the aim of 20 us is printed, 600 us is a fault."""
    answer = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, timeout=60, check=True)
    kilobytes, microseconds = answer.stdout.split()
    print(f"places: {kilobytes} kB, {float(microseconds):.1f} us a look-up")
    assert int(kilobytes) < 2048
    assert float(microseconds) < 600


# ---- .ci/tables


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).parents[1] / ".ci" / "tables"
    loader = importlib.machinery.SourceFileLoader("ci_tables", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("ci_tables", loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    return module


def test_check_counts_days_and_knows_the_files(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only with a day of the test's own choosing: an old checkout must still pass."""
    date = datetime.date.fromisoformat(Places().date)
    assert script.check(TABLES, date + datetime.timedelta(180)) == 0
    assert script.check(TABLES, date + datetime.timedelta(181)) == 1
    assert "181 days old" in capsys.readouterr().out
    copy = shutil.copytree(TABLES, tmp_path / "tables")
    (copy / "clouds.json").write_text("[]")
    assert script.check(copy, date) == 1
    assert "clouds.json" in capsys.readouterr().out


def test_overlapping_ranges(script: ModuleType) -> None:
    rows = [(0, 99, "a"), (10, 19, "b"), (15, 17, "c"), (120, 129, "d"), (130, 139, "d")]
    assert script.flat(rows) == [
        (0, "a"),
        (10, "b"),
        (15, "c"),
        (18, "b"),
        (20, "a"),
        (100, ""),
        (120, "d"),
        (130, "d"),
        (140, ""),
    ]


def test_joining_owner_and_country(script: ModuleType) -> None:
    owners = [(0, "x"), (10, ""), (20, "x"), (30, "y"), (40, "")]
    lands = [(0, "FR"), (35, "DE"), (50, "")]
    assert script.joined(owners, lands, 0) == [
        (0, ("x", "FR")),  # the hole between 10 and 20 is closed
        (30, ("y", "FR")),
        (35, ("y", "DE")),
        (40, ("", "DE")),
        (50, ("", "")),
    ]


def test_a_table_made_of_two_rows_is_read_back(script: ModuleType, tmp_path: Path) -> None:
    listed = "Registry,Assignment,Organization Name,Organization Address\n"
    listed += (
        'MA-L,001122,"Acme Cameras Co., Ltd.",x\nMA-L,001123,"Acme Cameras Co., Ltd.",x\nMA-L,FCFFFF,Last GmbH,x\n'
    )
    (tmp_path / "oui.bin").write_bytes(script.makers(listed))
    made = Places(tmp_path)
    macs = ["00:11:21", "00:11:22", "00:11:23", "00:11:24", "fc:ff:fe", "fc:ff:ff"]
    found = [made.maker(f"{mac}:00:00:01") for mac in macs]
    assert found == [None, "Acme Cameras", "Acme Cameras", None, None, "Last"]


def test_a_table_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "geo.bin").write_bytes(b"cgGEO\0\0\x09" + bytes(100))
    with pytest.raises(ValueError, match="another version"):
        Places(tmp_path).network("8.8.8.8")


def test_manifest_names_everything_that_must_be_credited() -> None:
    manifest = json.loads((TABLES / "manifest.json").read_text())
    credit = " ".join(source["credit"] for source in manifest["sources"])
    readme = (TABLES / "README.md").read_text()
    for word in ("Route Views", "DB-IP", "NRO", "Unicode", "IEEE"):
        assert word in credit
        assert word in readme
    assert "UNICODE LICENSE" in manifest["unicode_licence"]
    assert all(source["sha256"] and source["licence"] and source["version"] for source in manifest["sources"])


def test_network_is_none_of_unknown_parts(shipped: Places) -> None:
    """What the tables do not say is None, never guessed."""
    found = [shipped.network(f"{a}.{b}.77.7") for a in range(1, 224, 7) for b in range(0, 256, 51)]
    unannounced = [n for n in found if n is not None and n.asn is None]
    assert unannounced
    assert all(isinstance(n, Network) and n.org is None and n.country for n in unannounced)
