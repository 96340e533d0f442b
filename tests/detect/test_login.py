"""Attempts -> Logins: what is one login, what is another, and what nobody can know."""

from camguard.detect.login import ASKED_MAX, Logins
from camguard.events import Login, Peer
from camguard.track import DEAF, Flow
from tests.traffic import Connection, key_of


def logins() -> Logins:
    return Logins(lambda host: f"camera {host}", lambda flow: Peer("203.0.113.9", flow.peer_port))


def detail(serial: int, outcome: str | None, user: str = "admin") -> dict[str, object]:
    return {
        "serial": serial,
        "service": "http",
        "scheme": "basic",
        "user": user,
        "default_password": False,
        "outcome": outcome,
        "outcome_source": "read" if outcome else None,
    }


def tried(table: Logins, flow: Flow, serial: int, outcome: str, now: float, user: str = "admin") -> list[Login]:
    assert table.heard(flow, detail(serial, None, user), now) == []
    return table.heard(flow, detail(serial, outcome, user), now)


def flow(port: int = 50000) -> Flow:
    return Flow(key_of(host_port=80, peer_port=port), 0.0)


def test_credentials_with_every_request_are_one_login() -> None:
    table, one = logins(), flow()
    assert [login.outcome for login in tried(table, one, 0, "success", 1.0)] == ["success"]
    assert [tried(table, one, serial, "success", 1000.0 * serial) for serial in range(1, 5)] == [[]] * 4
    assert tried(table, flow(50001), 0, "success", 4030.0) == [], "a browser opens several connections"
    assert tried(table, flow(50002), 0, "success", 4200.0), "and comes back another time"
    assert tried(table, flow(50003), 0, "success", 4201.0, "root"), "somebody else"


def test_every_failure_counts_and_the_success_after_it() -> None:
    table = logins()
    outcomes = ["failure", "failure", "success", "failure", "success"]
    told = [tried(table, flow(50000 + n), 0, outcome, float(n)) for n, outcome in enumerate(outcomes)]
    assert [[login.outcome for login in one] for one in told] == [[outcome] for outcome in outcomes]


def test_a_challenge_is_no_attempt() -> None:
    table = logins()
    assert tried(table, flow(), 0, "challenge", 1.0) == []
    assert table.tick(100.0) == []


def test_an_answer_that_never_comes() -> None:
    table = logins()
    table.heard(flow(), detail(0, None), 1.0)
    assert table.tick(10.0) == []
    (login,) = table.tick(11.0)
    assert (login.outcome, login.outcome_source, login.user) == ("unknown", "inferred", "admin")
    assert table.tick(100.0) == []


def test_a_number_that_means_another_camera_now() -> None:
    table = logins()
    tried(table, flow(), 0, "success", 1.0)
    table.heard(flow(), detail(1, None), 2.0)
    table.drop({1})
    assert table.tick(100.0) == []
    assert tried(table, flow(), 2, "success", 3.0)


def test_questions_without_answers_are_capped() -> None:
    table = logins()
    for port in range(ASKED_MAX + 100):
        table.heard(flow(port + 1), detail(0, None), 1.0)
    assert table.counters["logins-evicted"] == 100
    assert len(table.tick(50.0)) == ASKED_MAX


def at_ssh(serial: int, outcome: str | None, unanswered: str | None = None) -> dict[str, object]:
    """As ssh.py says it: without a name, inferred."""
    return {
        "serial": serial, "service": "ssh", "scheme": None, "user": None, "default_password": None, "outcome": outcome,
        "outcome_source": "inferred" if outcome else None, "unanswered": unanswered,
    }  # fmt: skip


def test_each_success_of_a_session_is_a_login() -> None:
    """Credentials with every request are HTTP's way; who comes over SSH, telnet or FTP twice was let in twice."""
    table = logins()
    for port, now in ((50000, 1.0), (50001, 2.0)):
        told = table.heard(flow(port), at_ssh(0, "success"), now)
        assert [(login.outcome, login.outcome_source, login.service) for login in told] == [
            ("success", "inferred", "ssh")
        ]


def test_how_a_connection_ends_may_settle_it() -> None:
    """The last word of a server, or a refused key: a failure if nothing comes after it, however long that takes."""
    table, one = logins(), Flow(key_of(host_port=22, peer_port=50000), 0.0)
    counts = Connection(one.key, first_at=1.0, first_up=False)
    one.talk = DEAF
    assert table.heard(one, at_ssh(0, None), 1.0) == []
    assert table.heard(one, at_ssh(0, None, "failure"), 2.0) == []
    assert table.tick(100.0) == [], "somebody may be typing"
    one.add(counts.second(100.0, up=100, down=100))
    assert table.counted(one, 100.0) == []
    one.add(counts.second(101.0, flags=0x14))
    (login,) = table.counted(one, 101.0)
    assert (login.outcome, login.outcome_source) == ("failure", "inferred")
    assert table.counted(one, 102.0) == []
    assert table.tick(200.0) == []


def test_what_comes_after_it_settles_it_otherwise() -> None:
    table, one = logins(), Flow(key_of(host_port=22, peer_port=50000), 0.0)
    counts = Connection(one.key, first_at=1.0, first_up=False)
    table.heard(one, at_ssh(0, None, "failure"), 2.0)
    assert [login.outcome for login in table.heard(one, at_ssh(0, "success"), 3.0)] == ["success"]
    one.talk = DEAF
    one.add(counts.second(4.0, flags=0x14))
    assert table.counted(one, 4.0) == []
    table.heard(one, at_ssh(1, None, "failure"), 5.0)
    table.drop({1})
    assert table.counted(one, 6.0) == []


def test_the_usual_doors_of_a_shell() -> None:
    for port, service in ((21, "ftp"), (22, "ssh"), (2222, "ssh"), (23, "telnet"), (2323, "telnet")):
        table, one = logins(), Flow(key_of(host_port=port, peer_port=50000), 0.0)
        one.add(Connection(one.key, first_at=5.0, first_up=False).second(6.0, up=400, down=300, flags=0x13))
        assert [login.service for login in table.counted(one, 6.0)] == [service]


def test_a_connection_of_which_nothing_could_be_read() -> None:
    table = logins()
    for number, port in enumerate((50000, 50001, 50002)):
        one = flow(port)
        counts = Connection(one.key, first_at=5.0, first_up=False)
        one.add(counts.second(5.5, up=400, down=300))
        assert table.counted(one, 5.5) == [], "it goes on"
        one.add(counts.second(6.0, flags=0x13, up=100))
        told = table.counted(one, 6.0)
        assert [(login.outcome, login.service, login.user) for login in told] == (
            [("unknown", "http", None)] if number == 0 else []
        ), "one a minute for each peer and door"
        assert table.counted(one, 7.0) == []
    scanned = Flow(key_of(host_port=80, peer_port=50009), 0.0)
    scanned.add(Connection(scanned.key, first_at=5.0, first_up=False).second(6.0, flags=0x16))
    assert table.counted(scanned, 6.0) == []
    unknown = Flow(key_of(host_port=9999, peer_port=50010), 0.0)
    unknown.add(Connection(unknown.key, first_at=5.0, first_up=False).second(6.0, up=100, down=100, flags=0x13))
    assert table.counted(unknown, 6.0) == [], "nobody knows that this is a door"
