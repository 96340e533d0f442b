"""The spool: what is put there comes out as it was, by its owner's name; what is no wish is refused, harmless."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from camguard import wishes
from camguard.errors import StoreError
from camguard.events import Decision, Wish
from camguard.wishes import MOST_FILES, Refused

ID = "0123456789abcdef"
ME = wishes.user(os.getuid())
ALLOW = {"do": "allow", "id": ID, "who": "terminal", "alert": "a7f3", "mode": "once"}
WISHES = (
    Wish(ID, "terminal", "allow", alert="a7f3", mode="for", for_s=7200.0),
    Wish(ID, "terminal", "allow", alert="a7f3", mode="always"),
    Wish(ID, "terminal", "revoke", decision=3),
    Wish(ID, "mqtt, home", "watching", camera="porch", for_s=1800.0),
    Wish(ID, "mqtt, home", "watching", for_s=1800.0),
    Wish(ID, "page, anna", "silence", camera="Veranda – süd", for_s=0.0),
    Wish(ID, "push", "silence", alert="a7f3", for_s=3600.0),
    Wish(ID, "mqtt, home", "presence", device="anna's phone", home=False),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "wishes"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can enter (pytest's own are for one user)."""
    with tempfile.TemporaryDirectory(prefix="camguard-wishes-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize("wish", WISHES, ids=lambda wish: f"{wish.do}-{wish.mode}-{wish.who}")
def test_a_wish_comes_out_as_it_went_in_with_who_it_was(folder: Path, wish: Wish) -> None:
    folder.parent.mkdir()
    wishes.put(folder, wish)
    ((name, found, age_s),) = wishes.take(folder)
    assert age_s < 10
    who = "terminal" if wish.who == "terminal" else wish.who
    assert found == wish.__class__(**{key: getattr(wish, key) for key in wish.__slots__} | {"who": f"{who}, {ME}"})
    wishes.remove(folder, name)
    wishes.remove(folder, name)
    assert wishes.take(folder) == []


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_folder_and_files_have_their_rights_whatever_the_umask(folder: Path, umask: int) -> None:
    folder.parent.mkdir()
    before = os.umask(umask)
    try:
        wishes.put(folder, WISHES[0])
    finally:
        os.umask(before)
    (file,) = folder.iterdir()
    assert folder.stat().st_mode & 0o7777 == 0o3770
    assert file.stat().st_mode & 0o7777 == 0o640


def test_the_guard_puts_the_rights_of_its_folder_right(folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o755)
    wishes.prepare(folder)
    assert folder.stat().st_mode & 0o7777 == 0o3770


def test_first_wishes_at_once_are_all_taken(tmp_path: Path) -> None:
    """Each finds no folder, and all but one find it made meanwhile."""
    at_once, troubles = threading.Barrier(8), []

    def ask(folder: Path) -> None:
        at_once.wait()
        try:
            wishes.put(folder, Wish(wishes.new_id(), "terminal", "watching"))
        except StoreError as error:
            troubles.append(error)

    for number in range(40):
        folder = tmp_path / str(number) / "wishes"
        folder.parent.mkdir()
        asking = [threading.Thread(target=ask, args=[folder]) for _ in range(8)]
        for one in asking:
            one.start()
        for one in asking:
            one.join()
        assert len(wishes.take(folder)) == 8, troubles
        assert folder.stat().st_mode & 0o7777 == 0o3770


@pytest.mark.skipif(not shutil.which("setfacl"), reason="setfacl is not installed")
def test_a_right_to_read_the_record_does_not_keep_one_of_the_group_from_asking(folder: Path) -> None:
    folder.parent.mkdir()
    done = subprocess.run(["setfacl", "-m", "d:u:64003:rX", str(folder.parent)], check=False)
    if done.returncode:
        pytest.skip("this file system keeps no access lists")
    wishes.prepare(folder)
    listed = subprocess.run(["getfacl", "-cnp", str(folder)], capture_output=True, text=True, check=True).stdout
    assert "default:user:64003:r-x" in listed, "it was handed on"
    assert "\nuser:64003:" not in listed
    assert folder.stat().st_mode & 0o7777 == 0o3770


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become two other users")
def test_of_one_group_nobody_takes_back_what_another_asked(public: Path) -> None:
    folder = public / "wishes"
    wishes.prepare(folder)
    os.chown(folder, 64001, 64001)
    folder.chmod(wishes.FOLDER_MODE)
    wishes.put(folder, WISHES[0])
    (file,) = folder.iterdir()
    os.chown(file, 64002, 64001)
    for uid, taken in ((64003, False), (64001, True)):  # another of the group; the guard, who owns the folder
        done = subprocess.run(["rm", "-f", str(file)], user=uid, group=64001, extra_groups=[], check=False,
                              capture_output=True)  # fmt: skip
        assert (done.returncode == 0, file.exists()) == (taken, not taken), done.stderr


def test_the_oldest_comes_first(folder: Path) -> None:
    folder.parent.mkdir()
    for number in range(5):
        wishes.put(folder, Wish(f"{number:016x}", "terminal", "revoke", decision=number + 1))
    assert [found.wish.decision for found in wishes.take(folder) if isinstance(found.wish, Wish)] == [1, 2, 3, 4, 5]


def test_nothing_of_a_wish_can_be_seen_before_it_is_whole(folder: Path) -> None:
    folder.parent.mkdir()
    wishes.prepare(folder)
    stop = threading.Event()
    torn: list[Refused] = []

    def taking() -> None:
        while not stop.is_set():
            for found in wishes.take(folder):
                if isinstance(found.wish, Refused):
                    torn.append(found.wish)
                wishes.remove(folder, found.name)

    reader = threading.Thread(target=taking)
    reader.start()
    for _ in range(300):
        wishes.put(folder, Wish(wishes.new_id(), "terminal", "watching"))
    stop.set()
    reader.join()
    assert torn == []


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"alert": "a/../b"}, '"alert" of allow is not one'),
        ({"alert": 7}, '"alert" of allow is not one'),
        ({"alert": None}, 'allow needs "alert"'),
        ({"mode": "forever"}, '"mode" of allow is not one'),
        ({"mode": ["once"]}, '"mode" of allow is not one'),
        ({"for_s": -1}, '"for_s" of allow is not one'),
        ({"for_s": True}, '"for_s" of allow is not one'),
        ({"for_s": "2h"}, '"for_s" of allow is not one'),
        ({"for_s": float("nan")}, '"for_s" of allow is not one'),
        ({"for_s": float("inf")}, '"for_s" of allow is not one'),
        ({"for_s": 10**400}, '"for_s" of allow is not one'),
        ({"camera": "porch"}, '"camera" is unknown in allow'),
        ({"\x1b[2J": 1}, '"?[2J" is unknown in allow'),
        ({"do": "format"}, '"do" is one of allow, revoke, watching, silence, presence, learn'),
        ({"do": ["allow"]}, '"do" is one of allow, revoke, watching, silence, presence, learn'),
        ({"id": "../../x"}, '"id" is 8 to 64 hexadecimal digits'),
        ({"id": 7}, '"id" is 8 to 64 hexadecimal digits'),
        ({"who": "root"}, '"who" begins with one of terminal, page, mqtt, push'),
        ({"who": ""}, '"who" is a short text'),
        ({"who": "terminal\n, bob"}, '"who" is a short text'),
        ({"who": "push, " + "t" * 200}, '"who" is a short text'),
    ],
    ids=str,
)
def test_what_is_no_wish_is_refused_and_said(changes: dict[str, object], why: str) -> None:
    found = wishes.read(json.dumps(ALLOW | changes).encode(), "bob")
    assert isinstance(found, Refused)
    assert (found.why, found.who) == (why, "bob")


@pytest.mark.parametrize(
    "content",
    [
        b"", b"null", b"[]", b"7", b'"allow"', b"\xff\xfe", b"{", b"[" * 4000, b'{"a":' * 800, b"\0" * 100,
        b'{"do":"allow","do":"revoke"}', json.dumps(ALLOW).encode()[:-1],
    ],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_what_is_no_json_object_is_refused(content: bytes) -> None:
    assert wishes.read(content, "bob") == Refused("it is no JSON object", "bob")


def test_a_refused_wish_keeps_its_id_for_whoever_waits() -> None:
    found = wishes.read(json.dumps(ALLOW | {"more": 1}).encode(), "bob")
    assert isinstance(found, Refused)
    assert found.id == ID


def test_a_wish_is_at_most_4_kb(folder: Path) -> None:
    content = json.dumps(ALLOW).encode()
    assert isinstance(wishes.read(content + b" " * (4096 - len(content)), "bob"), Wish)
    assert wishes.read(content + b" " * (4097 - len(content)), "bob") == Refused("it is longer than 4096 bytes", "bob")
    folder.mkdir(parents=True)
    with (folder / "big.json").open("wb") as file:
        file.truncate(1 << 40)  # a terabyte of nothing: it must not be read
    begun = time.monotonic()
    ((_, found, _),) = wishes.take(folder)
    assert isinstance(found, Refused)
    assert time.monotonic() - begun < 60.0


# ---- who it was ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claimed", "owner", "who"),
    [
        ("terminal, root", "bob", "terminal, bob"),
        ("terminal", "root", "terminal, root"),
        ("mqtt, home", "camguard-deliver", "mqtt, home, camguard-deliver"),
        ("push", "camguard-deliver", "push, camguard-deliver"),
        ("page, anna", "camguard-web", "page, anna, camguard-web"),
        ("mqtt", "bob", "mqtt, bob"),
        ("mqtt, " + "x" * 90, "bob", "mqtt, " + "x" * 60 + ", bob"),
    ],
)
def test_who_it_was_is_the_owner_of_the_file(claimed: str, owner: str, who: str) -> None:
    found = wishes.read(json.dumps(ALLOW | {"who": claimed}).encode(), owner)
    assert isinstance(found, Wish)
    assert found.who == who


@pytest.mark.parametrize(
    ("claimed", "owner"),
    [
        ("terminal, bob", "camguard-deliver"), ("page, bob", "camguard-deliver"), ("terminal", "camguard-web"),
        (" terminal", "camguard-deliver"), ("terminal ,x", "camguard-deliver"),
    ],
)  # fmt: skip
def test_the_messenger_cannot_speak_as_somebody_at_home(claimed: str, owner: str) -> None:
    found = wishes.read(json.dumps(ALLOW | {"who": claimed}).encode(), owner)
    assert isinstance(found, Refused)
    assert found.why.startswith(f"{owner} cannot speak as")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")
def test_a_file_of_another_user_bears_that_users_name(folder: Path) -> None:
    folder.mkdir(parents=True)
    file = folder / "1.json"
    file.write_text(json.dumps(ALLOW | {"who": "terminal, root"}))
    os.chown(file, 65534, -1)
    ((_, found, _),) = wishes.take(folder)
    assert isinstance(found, Wish)
    assert found.who == f"terminal, {wishes.user(65534)}"
    assert wishes.user(3_999_999_999) == "user 3999999999"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be two users")
def test_a_member_of_the_group_can_ask_and_the_guard_can_read_it(public: Path) -> None:
    """The guard is nobody:5001, the owner of the house 5002 in group 5001; neither is root."""
    folder = public / "state" / "wishes"
    folder.parent.mkdir(mode=0o750)
    os.chown(folder.parent, 65534, 5001)
    as_guard = as_user(65534, [5001])
    as_owner = as_user(5002, [5002, 5001])
    run(as_guard, "wishes.prepare(folder)", folder)
    run(as_owner, "os.umask(0o077); wishes.put(folder, Wish('0123456789abcdef', 'terminal', 'watching'))", folder)
    assert "user 5002" in run(as_guard, "print(wishes.take(folder)[0].wish.who)", folder)
    run(as_guard, "wishes.remove(folder, wishes.take(folder)[0].name); assert not wishes.take(folder)", folder)
    as_stranger = as_user(5003, [5003])
    said = run(as_stranger, "wishes.put(folder, Wish('0123456789abcdef', 'terminal', 'watching'))", folder, fails=True)
    assert "StoreError: this user may not tell the guard anything" in said


def as_user(uid: int, gids: list[int]) -> list[str]:
    more = f"--groups={','.join(map(str, gids[1:]))}" if gids[1:] else "--clear-groups"
    return ["setpriv", f"--reuid={uid}", f"--regid={gids[0]}", more]


def run(user: list[str], code: str, folder: Path, *, fails: bool = False) -> str:
    start = "import os, sys; from pathlib import Path; from camguard import wishes; from camguard.events import Wish\n"
    command = [*user, sys.executable, "-c", f"{start}folder = Path(sys.argv[1])\n{code}", str(folder)]
    env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60, cwd="/", env=env)
    assert (done.returncode != 0) == fails, done.stderr
    return done.stdout + done.stderr


# ---- hostile files ---------------------------------------------------------------------------------------------------


def test_links_fifos_sockets_and_folders_are_refused_untouched(folder: Path, tmp_path: Path) -> None:
    folder.mkdir(parents=True)
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps(ALLOW))
    (folder / "link.json").symlink_to(secret)
    (folder / "nowhere.json").symlink_to("/does/not/exist")
    os.link(secret, folder / "hard.json")
    os.mkfifo(folder / "fifo.json")
    (folder / "folder.json").mkdir()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "sock.json"))
    begun = time.monotonic()
    found = wishes.take(folder)
    assert time.monotonic() - begun < 60.0, "the fifo held it up"
    listener.close()
    assert len(found) == 6
    assert all(isinstance(one.wish, Refused) for one in found)
    for one in found:
        wishes.remove(folder, one.name)
    assert list(folder.iterdir()) == []
    assert secret.read_text() == json.dumps(ALLOW), "what a link leads to was touched"


def test_the_folder_itself_must_not_be_a_link(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.json").write_text(json.dumps(ALLOW))
    folder.parent.mkdir()
    folder.symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"Not a directory|symbolic"):
        wishes.take(folder)


def test_names_from_hell(folder: Path) -> None:
    folder.mkdir(parents=True)
    names = [b"\x1b]0;x\x07.json", b"\xff\xfe", b"a\nb.json", b"-rf", "\u202egnp.json".encode(), b"x" * 255]
    for name in names:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(json.dumps(ALLOW).encode())
    found = wishes.take(folder)
    assert len(found) == len(names)
    for one in found:
        wishes.remove(folder, one.name)
    assert list(folder.iterdir()) == []


def test_what_was_never_finished_is_removed_after_a_while(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / ".1.json").write_text("half")
    assert wishes.take(folder) == []
    os.utime(folder / ".1.json", (time.time() - 3600, time.time() - 3600))
    ((name, found, age_s),) = wishes.take(folder)
    assert (name, found) == (".1.json", Refused("it was never finished", ME))
    assert age_s == pytest.approx(3600, abs=10)


def test_a_full_spool_takes_no_more(folder: Path) -> None:
    folder.parent.mkdir()
    for _ in range(MOST_FILES):
        wishes.put(folder, Wish(wishes.new_id(), "terminal", "watching"))
    with pytest.raises(StoreError, match=f"{MOST_FILES} wishes wait"):
        wishes.put(folder, Wish(wishes.new_id(), "terminal", "watching"))
    assert len(list(folder.iterdir())) == MOST_FILES


def test_more_than_a_full_spool_is_refused_without_being_read(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(MOST_FILES + 50):
        (folder / f"{number:05}.json").write_text(json.dumps(ALLOW))
    found = wishes.take(folder)
    assert sum(isinstance(one.wish, Wish) for one in found) == MOST_FILES
    assert {one.wish.why for one in found if isinstance(one.wish, Refused)} == {f"more than {MOST_FILES} wait at once"}


def test_where_there_is_no_record_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="camguard has never run here"):
        wishes.put(tmp_path / "nothing" / "wishes", WISHES[0])


def test_a_wish_that_would_be_refused_is_not_even_put(folder: Path) -> None:
    folder.parent.mkdir()
    with pytest.raises(ValueError, match='"camera" of watching is not one'):
        wishes.put(folder, Wish(ID, "terminal", "watching", camera="x" * 65))
    assert not folder.exists()


# ---- waiting ---------------------------------------------------------------------------------------------------------


class Answers:
    """Decided after so many questions."""

    def __init__(self, after: int, refused: str | None = None) -> None:
        self.left, self.refused = after, refused

    def decision_of(self, wish: str) -> Decision | None:
        self.left -= 1
        if self.left > 1:
            raise StoreError("it is being made")
        return Decision(1, 0.0, wish, "terminal", "watching") if self.left < 1 and self.refused is None else None

    def refusal_of(self, wish: str) -> str | None:
        return self.refused if self.left < 1 else None


def test_waiting_ends_with_the_answer() -> None:
    begun = time.monotonic()
    decision = wishes.wait(Answers(3), ID, 300.0)
    assert decision is not None
    assert decision.wish == ID
    assert wishes.wait(Answers(3, "no"), ID, 300.0) is None
    assert time.monotonic() - begun < 60.0
    begun = time.monotonic()
    assert wishes.wait(Answers(10**6), ID, 0.3) is None
    assert 0.3 <= time.monotonic() - begun < 60.0
