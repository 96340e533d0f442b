"""camguard.toml: what is read, and the one line that every mistake gets: file, place, nearest key."""

import os
import stat
from pathlib import Path

import pytest

from camguard import config, options
from camguard.errors import ConfigError
from camguard.events import Camera, Device, Expect, Home

WHOLE = """
[home]
learn_days = 3
timezone = "Europe/Berlin"
[network]
interface = "br-lan"
local = ["192.168.50.0/24", "fd00::/8"]
gateway = "02-FF-FF-FF-FF-FE"
[[camera]]
name = "porch"
mac = "0200.0000.0001"
kind = "recorder"
vendor = "reolink"
never = true
private = "22:00-06:30"
[[camera]]
name = "far"
ip = ["192.168.50.4", "fd00::4"]
[[device]]
name = "phone"
mac = "02:00:00:00:00:21"
owner = true
[[expect]]
camera = "porch"
peer = "phone"
kinds = ["stream", "clip"]
when = "mon-fri 22:00-06:30"
[[expect]]
peer = "*.example.com"
[store]
max_mb = 100
keep_days = 30
"""
NTFY = '[[notify]]\nurl_file = "/etc/camguard/secrets/ntfy.url"\n'
HEAD = '[[camera]]\nname = "porch"\nmac = "02:00:00:00:00:01"\n'


def parse(text: str) -> config.Config:
    return config.parse(text, Path("camguard.toml"))


def test_a_whole_file() -> None:
    assert parse(WHOLE) == config.Config(
        home=Home(
            timezone="Europe/Berlin",
            cameras=(
                Camera("porch", "02:00:00:00:00:01", (), "recorder", "reolink", True, "22:00-06:30"),
                Camera("far", None, ("192.168.50.4", "fd00::4")),
            ),
            devices=(Device("phone", "02:00:00:00:00:21", (), True),),
            expects=(
                Expect("porch", "phone", ("stream", "clip"), "mon-fri 22:00-06:30"),
                Expect("*", "*.example.com"),
            ),
            local=("192.168.50.0/24", "fd00::/8"),
            gateway="02:ff:ff:ff:ff:fe",
            learn_days=3,
        ),
        interfaces=("br-lan",),
        keep_days=30,
        max_mb=100,
        path=Path("camguard.toml"),
    )


def test_an_empty_file_is_fine() -> None:
    made = parse("")
    assert made.home.cameras == ()
    assert (made.interfaces, made.keep_days, made.max_mb) == ((), 365, 256)


MISTAKES = [
    # text, place, what must be in the sentence
    ('[[camera]]\nname = "porch"\nmac = "02:00:00:00:00"\n', "camera[1].mac", "is no MAC"),
    (HEAD + '[[camera]]\nname = "b"\nmac = "zz:00:00:00:00:01"\n', "camera[2].mac", "02:00:00:00:00:01"),
    ('[[camera]]\nname = "porch"\nmac = "01:00:5e:00:00:01"\n', "camera[1].mac", "group"),
    ('[[camera]]\nname = "porch"\nmac = "00:00:00:00:00:00"\n', "camera[1].mac", "no device"),
    ('[[camera]]\nname = "porch"\nip = "192.168.1.400"\n', "camera[1].ip", "is no address"),
    ('[[camera]]\nname = "porch"\nip = "224.0.0.1"\n', "camera[1].ip", "not the address of one device"),
    ('[[camera]]\nname = "porch"\nip = "fe80::1%eth0"\n', "camera[1].ip", '"%eth0"'),
    ('[[camera]]\nname = "porch"\n', "camera[1]", "needs a mac"),
    ('[[camera]]\nmac = "02:00:00:00:00:01"\n', "camera[1].name", "must be written"),
    ('[[camera]]\nname = "a\\u001bb"\nmac = "02:00:00:00:00:01"\n', "camera[1].name", "printable"),
    ('[[camera]]\nname = "lan"\nmac = "02:00:00:00:00:01"\n', "camera[1].name", '"lan"'),
    ('[[camera]]\nname = "porch"\nmac = 5\n', "camera[1].mac", "must be text"),
    (HEAD + "never = 1\n", "camera[1].never", "true or false"),
    (HEAD + "nevr = true\n", "camera[1].nevr", 'Did you mean "never"?'),
    (HEAD + "xyz = true\n", "camera[1].xyz", "Known here: name, mac, ip"),
    (HEAD + "keep_days = 3\n", "camera[1].keep_days", "[store]"),
    (HEAD + 'kind = "nvr"\n', "camera[1].kind", '"camera" or "recorder"'),
    (HEAD + 'private = "25:00-06:00"\n', "camera[1].private", "25:00"),
    (HEAD + HEAD.replace("01", "02"), "camera[2].name", "already used by camera[1]"),
    (HEAD + HEAD.replace("porch", "PORCH").replace("01", "02"), "camera[2].name", "already used by camera[1]"),
    (HEAD + HEAD.replace("porch", "yard"), "camera[2].mac", "already used by camera[1]"),
    (HEAD + '[[device]]\nname = "p"\nmac = "02:00:00:00:00:01"\n', "device[1].mac", "already used by camera[1]"),
    (HEAD + '[[expect]]\ncamera = "proch"\n', "expect[1].camera", 'Did you mean "porch"?'),
    (HEAD + '[[expect]]\npeer = "pone"\n[[device]]\nname = "phone"\nip = "10.0.0.2"\n', "expect[1].peer", '"phone"?'),
    (HEAD + '[[expect]]\npeer = "*"\n', "expect[1].peer", "[[device]]"),
    (HEAD + '[[expect]]\npeer = "192.168.1.300"\n', "expect[1].peer", "no device"),
    (HEAD + '[[expect]]\npeer = "192.168.1.7/24"\n', "expect[1].peer", '"192.168.1.0/24"?'),
    (HEAD + '[[expect]]\nkinds = ["steam"]\n', "expect[1].kinds", 'Did you mean "stream"?'),
    (HEAD + '[[expect]]\nkinds = "stream"\n', "expect[1].kinds", "must be list of"),
    (HEAD + '[[expect]]\nwhen = "monday"\n', "expect[1].when", "monday"),
    ('[home]\ntimezone = "Europe/Berln"\n', "home.timezone", 'Did you mean "Europe/Berlin"?'),
    ('[home]\ntimezone = "../../etc/passwd"\n', "home.timezone", "no time zone"),
    ('[network]\nlocal = ["192.168.50.1/24"]\n', "network.local", '"192.168.50.0/24"?'),
    ('[network]\ngateway = "192.168.1.1"\n', "network.gateway", "is no MAC"),
    ('[network]\ninterface = "a/b"\n', "network.interface", "ip -br link"),
    ("[store]\nmax_mb = 1\n", "store.max_mb", "from 16 to"),
    ('[store]\nkeep_days = "long"\n', "store.keep_days", "whole number"),
    ("[[home]]\n", "home", "[home]"),
    ("[home]\nlearn_days = 31\n", "home.learn_days", "must be from 0 to 30 days."),
    ("[camera]\n", "camera", "[[camera]]"),
    ("camera = [1]\n", "camera[1]", "[[camera]]"),
    ("[camra]\n", "camra", 'Did you mean "camera"?'),
    ('timezone = "UTC"\n', "timezone", "[home]"),
    ("[[notify]]\n", "notify[1]", "url_file (phone, mail)"),
    ("[notify]\n", "notify", "[[notify]]"),
    (NTFY + 'url_env = "X"\n', "notify[1].url_env", "url_file says it already"),
    (NTFY + 'mqtt = "mqtts://b.lan"\n', "notify[1].mqtt", "a [[notify]] for each place"),
    (NTFY + NTFY + 'hmac_file = "/k"\n', "notify[2].hmac_file", "is for a webhook"),
    (NTFY + 'base_topic = "x"\n', "notify[1].base_topic", "is for mqtt"),
    (NTFY + 'detail = "ful"\n', "notify[1].detail", 'Did you mean "full"?'),
    (NTFY + 'severity = "high"\n', "notify[1].severity", '"info" or "warning"'),
    (NTFY + 'cameras = ["proch"]\n' + HEAD, "notify[1].cameras", 'Did you mean "porch"?'),
    (NTFY + "cameras = []\n", "notify[1].cameras", '["*"]'),
    (NTFY + 'when = "7-23"\n', "notify[1].when", "7-23"),
    (NTFY + 'name = ""\n', "notify[1].name", "1 to 32"),
    (NTFY + 'name = "A"\n' + NTFY + 'name = "a"\n', "notify[2].name", "already used by notify[1]"),
    (NTFY + "weekly = 1\n", "notify[1].weekly", "true or false"),
    (NTFY + 'webook = "https://nas.lan/"\n', "notify[1].webook", 'Did you mean "webhook"?'),
    (NTFY + 'hours = "07:00-23:00"\n', "notify[1].hours", "[quiet]"),
    ('[[notify]]\nurl_file = "ntfy.url"\n', "notify[1].url_file", "whole path"),
    ('[[notify]]\nurl_env = "NTFY-URL"\n', "notify[1].url_env", "variable"),
    ('[[notify]]\nurl_credential = "../x"\n', "notify[1].url_credential", "credential of systemd"),
    ('[[notify]]\nwebhook = "nas.lan/x"\n', "notify[1].webhook", "https://nas.lan"),
    ('[[notify]]\nwebhook = "http://example.com/x"\n', "notify[1].webhook", "write https://"),
    ('[[notify]]\nwebhook = "https://[::1/x"\n', "notify[1].webhook", "must be an address"),
    ('[[notify]]\nmqtt = "broker.lan"\n', "notify[1].mqtt", "mqtts://host:8883"),
    ('[[notify]]\nmqtt = "mqtt://example.com"\n', "notify[1].mqtt", "write mqtts://"),
    ('[[notify]]\nmqtt = "mqtts://b.lan/topic"\n', "notify[1].mqtt", "base_topic"),
    ('[[notify]]\nmqtt = "mqtts://b.lan:99999"\n', "notify[1].mqtt", "mqtts://host:8883"),
    ('[[notify]]\nmqtt = "mqtt://b.lan"\nca_file = "/ca.pem"\n', "notify[1].ca_file", "is for mqtts://"),
    ('[[notify]]\nmqtt = "mqtts://b.lan"\nca_file = "ca.pem"\n', "notify[1].ca_file", "whole path"),
    ('[[notify]]\nmqtt = "mqtts://b.lan"\npassword_file = "/p"\n', "notify[1].username", "must be written"),
    ('[[notify]]\nmqtt = "mqtts://b.lan"\nbase_topic = "a/#"\n', "notify[1].base_topic", "without + and #"),
    ('[[notify]]\nmqtt = "mqtts://b.lan"\nbase_topic = "homeassistant"\n', "notify[1].base_topic", "another one"),
    ("[[quiet]]\n", "quiet", "[quiet]"),
    ('[quiet]\nhours = "late"\n', "quiet.hours", "late"),
    ('[quiet]\nhour = "22:00-06:00"\n', "quiet.hour", 'Did you mean "hours"?'),
    ('[alive]\nping_url_file = "/p"\nping_url_env = "P"\n', "alive.ping_url_env", "ping_url_file says it already"),
    ("[web]\n", "web", "later version"),
    ('[home]\ntimezone "UTC"\n', "line 2, column 10", "Expected '='"),
    ('[home]\ntimezone = "UTC\n', "line 2, column 16", "quotation mark is missing"),
    ("[home]\n[home]\n", "line 2, column 6", "[home] is written twice"),
    ("[home", "line 1", "Expected"),
]


@pytest.mark.parametrize(("text", "place", "words"), MISTAKES, ids=[f"{row[1]}-{i}" for i, row in enumerate(MISTAKES)])
def test_a_mistake_is_one_line_with_file_place_and_cure(text: str, place: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    line = str(caught.value)
    assert line.startswith(f"camguard.toml: {place}: "), line
    assert words in line
    assert "\n" not in line
    assert line.endswith((".", "?"))


CANARY = "s3cr3tCanary9876543210x"
LITERAL = [
    # what an owner may do with a secret that has no place in the file, and what the error tells to write
    ('[[notify]]\nurl = "ntfy://{}/t"\n', "notify[1].url", "url_file = "),
    ('[[notify]]\nurl_file = "ntfys://user:{}@host/t"\n', "notify[1].url_file", "url_file = "),
    ('[[notify]]\nurl_env = "tgram://{}/1"\n', "notify[1].url_env", "url_file = "),
    ('[[notify]]\nurl_credential = "https://{}"\n', "notify[1].url_credential", "url_file = "),
    ('[[notify]]\nwebhook = "https://me:{}@nas.lan/x"\n', "notify[1].webhook", "webhook_file = "),
    ('[[notify]]\nwebhook = "https://nas.lan/x?a=1&token={}"\n', "notify[1].webhook", "webhook_file = "),
    ('[[notify]]\nwebhook = "https://hooks.example.com/services/{}"\n', "notify[1].webhook", "webhook_file = "),
    ('[[notify]]\nwebhook = "https://nas.lan/x"\nhmac = "{}"\n', "notify[1].hmac", "hmac_file = "),
    ('[[notify]]\nmqtt = "mqtts://me:{}@b.lan"\n', "notify[1].mqtt", "password_file = "),
    ('[[notify]]\nmqtt = "mqtts://b.lan"\npassword = "{}"\n', "notify[1].password", "password_file = "),
    ('[alive]\nping_url = "https://hc.example.com/{}"\n', "alive.ping_url", "ping_url_file = "),
    ('[alive]\nping_url_file = "https://hc.example.com/{}"\n', "alive.ping_url_file", "ping_url_file = "),
]


@pytest.mark.parametrize(("text", "place", "words"), LITERAL, ids=[row[1] + f"-{i}" for i, row in enumerate(LITERAL)])
def test_a_secret_in_the_file_is_refused_with_the_way_to_do_it_and_not_repeated(
    text: str, place: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text.format(CANARY))
    line = str(caught.value)
    assert line.startswith(f"camguard.toml: {place}: "), line
    assert words in line
    assert "/etc/camguard/secrets/" in line
    assert CANARY not in line
    assert "\n" not in line


def test_peers_of_a_rule_may_be_written_in_every_way() -> None:
    peers = ("lan", "porch", "phone", "192.168.1.9", "fd00::9", "192.168.1.0/24", "*.example.com", "cam.example.com")
    text = (
        HEAD + '[[device]]\nname = "phone"\nip = "10.0.0.2"\n' + "".join(f'[[expect]]\npeer = "{p}"\n' for p in peers)
    )
    assert tuple(rule.peer for rule in parse(text).home.expects) == peers


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(b"[home]\n# \xff\xfe\n")
    with pytest.raises(ConfigError, match="line 2: is not UTF-8"):
        config.load(path)
    path.write_bytes(b"#" * (config.MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="larger"):
        config.load(path)
    path.write_text("[" * 100_000)
    with pytest.raises(ConfigError):
        config.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        config.load(tmp_path)
    path.write_text("\ufeff[home]\ntimezone = 'UTC'\n")
    assert config.load(path).home.timezone == "UTC"


# ---- where the files are ---------------------------------------------------------------------------------------------

VARIABLES = (
    "CAMGUARD_CONFIG",
    "CAMGUARD_STATE_DIR",
    "CAMGUARD_RUNTIME_DIR",
    "CAMGUARD_DELIVER_DIR",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An environment that says nothing but HOME."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_paths_what_is_given_comes_first(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/s/one:/s/two")
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/r")
    made = config.paths()
    assert (made.state, made.runtime) == (Path("/s/one"), Path("/r"))
    monkeypatch.setenv("CAMGUARD_STATE_DIR", "/cs")
    monkeypatch.setenv("CAMGUARD_RUNTIME_DIR", "/cr")
    monkeypatch.setenv("CAMGUARD_CONFIG", "/c.toml")
    made = config.paths()
    assert (made.config, made.state, made.runtime) == (Path("/c.toml"), Path("/cs"), Path("/cr"))
    made = config.paths(Path("/f.toml"), Path("/fs"), Path("/fr"))
    assert (made.config, made.database, made.now) == (Path("/f.toml"), Path("/fs/guard.db"), Path("/fr/now.json"))


def test_the_outbox_is_beside_the_record_or_where_the_service_keeps_it(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert config.paths(state=Path("/s")).delivery == Path("/s/deliver.db")
    assert config.paths(state=Path("/var/lib/camguard")).delivery == Path("/var/lib/camguard-deliver/deliver.db")
    monkeypatch.setenv("CAMGUARD_DELIVER_DIR", "/d")
    assert config.paths(state=Path("/s")).delivery == Path("/d/deliver.db")


@pytest.mark.skipif(Path("/etc/camguard").is_dir(), reason="camguard is installed here")
def test_paths_of_an_ordinary_user(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config.paths()
    assert made.config == bare / ".config/camguard/camguard.toml"
    assert made.state == bare / ".local/state/camguard"
    assert made.runtime == bare / ".local/state/camguard/run"
    monkeypatch.setenv("XDG_CONFIG_HOME", "/xc")
    monkeypatch.setenv("XDG_STATE_HOME", "/xs")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/xr")
    made = config.paths()
    assert made == config.Paths(Path("/xc/camguard/camguard.toml"), Path("/xs/camguard"), Path("/xr/camguard"))


@pytest.mark.skipif(Path("/etc/camguard").is_dir(), reason="camguard is installed here")
def test_only_the_default_file_may_be_missing(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = config.load(None)
    assert made.path is None
    assert made.home.cameras == ()
    assert config.load(config.paths().config) == made
    with pytest.raises(ConfigError, match="no such file"):
        config.load(bare / "named.toml")
    monkeypatch.setenv("CAMGUARD_CONFIG", str(bare / "also-named.toml"))
    with pytest.raises(ConfigError, match="also-named"):
        config.load(None)


# ---- changing the file -----------------------------------------------------------------------------------------------

OWNERS = """# my house
[home]
timezone = "UTC"  # for now

# the front
[[camera]]
name = "porch" # by the door
mac = "02:00:00:00:00:01"
#never = true

[[device]]
name = "nvr"
mac = "02:00:00:00:00:09"

# the back
[[camera]]
name = "yard"
mac = "02:00:00:00:00:02"

# rules
[[expect]]
camera = "porch"
peer = "nvr"

[[expect]]
peer = "nvr"
# the end
"""


def test_adding_a_camera_moves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(OWNERS)
    config.add_camera(path, 'the "old" barn', "02:00:00:00:00:77")
    assert path.read_text() == OWNERS + '\n[[camera]]\nname = "the \\"old\\" barn"\nmac = "02:00:00:00:00:77"\n'
    assert config.load(path).home.cameras[-1] == Camera('the "old" barn', "02:00:00:00:00:77")
    config.add_camera(path, "far", None, "10.0.0.9")
    assert config.load(path).home.cameras[-1] == Camera("far", None, ("10.0.0.9",))


def test_removing_a_camera_takes_its_lines_and_its_rules_only(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(OWNERS)
    assert config.remove_camera(path, "porch") == 1
    gone = ('[[camera]]\nname = "porch" # by the door\nmac = "02:00:00:00:00:01"\n#never = true\n\n',)
    gone += ('[[expect]]\ncamera = "porch"\npeer = "nvr"\n\n',)
    expected = OWNERS
    for part in gone:
        assert part in expected
        expected = expected.replace(part, "")
    assert path.read_text() == expected
    with pytest.raises(ConfigError, match=r'no camera is called "yrd"\. Did you mean "yard"'):
        config.remove_camera(path, "yrd")
    assert config.remove_camera(path, "yard") == 0
    assert "# the end" in path.read_text()
    assert "# rules" in path.read_text()


def test_a_camera_that_a_channel_names_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(OWNERS + NTFY + 'name = "my phone"\ncameras = ["yard"]\n')
    before = path.read_text()
    with pytest.raises(ConfigError, match=r'"my phone" names the camera'):
        config.remove_camera(path, "yard")
    assert path.read_text() == before
    config.remove_camera(path, "porch")


def test_what_was_added_can_be_removed(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    for text in ("", OWNERS, options.sample("UTC"), OWNERS.replace("\n", "\r\n")):
        path.write_bytes(text.encode())
        before = config.load(path).home
        config.add_camera(path, "barn", "02:00:00:00:00:77")
        assert len(config.load(path).home.cameras) == len(before.cameras) + 1
        config.remove_camera(path, "barn")
        assert config.load(path).home == before


@pytest.mark.parametrize(
    ("name", "mac", "words"),
    [
        ("porch", "02:00:00:00:00:77", "already used"),
        ("barn", "02:00:00:00:00:01", "already used"),
        ("barn", "02:00", "is no MAC"),
        ("a\nb", "02:00:00:00:00:77", "printable"),
        ("", "02:00:00:00:00:77", "printable"),
    ],
)
def test_a_camera_that_may_not_be_leaves_the_file_alone(tmp_path: Path, name: str, mac: str, words: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text(OWNERS)
    with pytest.raises(ConfigError, match=words):
        config.add_camera(path, name, mac)
    assert path.read_text() == OWNERS
    assert os.listdir(tmp_path) == ["c.toml"]


def test_a_file_written_in_one_line_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    text = 'camera = [{name = "a", mac = "02:00:00:00:00:01"}]\n'
    path.write_text(text)
    with pytest.raises(ConfigError, match="one line"):
        config.add_camera(path, "b", "02:00:00:00:00:77")
    with pytest.raises(ConfigError, match="by hand"):
        config.remove_camera(path, "a")
    assert path.read_text() == text


def test_a_header_inside_a_text_is_no_header(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    text = HEAD + 'vendor = """\n[[camera]]\n"""\n' + HEAD.replace("porch", "yard").replace("01", "02")
    path.write_text(text)
    with pytest.raises(ConfigError, match="by hand"):
        config.remove_camera(path, "yard")
    assert path.read_text() == text


def test_the_change_keeps_owner_mode_and_link_and_is_one_step(tmp_path: Path) -> None:
    real = tmp_path / "real.toml"
    real.write_text(OWNERS)
    real.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(real, 0, 4242)
    link = tmp_path / "link.toml"
    link.symlink_to(real)
    with real.open() as old:
        config.add_camera(link, "barn", "02:00:00:00:00:77")
        assert old.read() == OWNERS  # a reader of the old file sees the whole old file
    assert link.is_symlink()
    found = real.stat()
    assert stat.S_IMODE(found.st_mode) == 0o640
    if os.geteuid() == 0:
        assert found.st_gid == 4242
    assert sorted(os.listdir(tmp_path)) == ["link.toml", "real.toml"]


def test_a_first_file_is_made_and_is_not_for_everybody(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.toml"
    config.add_camera(path, "porch", "02:00:00:00:00:01")
    assert config.load(path).home.cameras == (Camera("porch", "02:00:00:00:00:01"),)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
