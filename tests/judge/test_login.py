"""What logins mean: one alert a matter, guesses that grow, a guess that worked, old and factory passwords."""

from dataclasses import replace

from camguard.events import Alert, Login, Peer
from camguard.judge.guesses import Guesses, is_news, network_of
from camguard.judge.login import LISTED_MAX, LoginMatters
from camguard.judge.rules import UNKNOWN, Verdict

STRANGER = Peer("203.0.113.9", 50000, scope="wan", org="OVH", country="France")
LAPTOP = Peer("192.168.1.30", 50000, scope="lan", mac="02:00:00:00:00:21")
PHONE = Peer("192.168.1.20", 50000, scope="lan", mac="02:00:00:00:00:22", device="phone")
MINDED, FINE = Verdict("unexpected", UNKNOWN), Verdict("expected", "phone is your own device")


class House:
    """Logins in, alerts out, with a tick each second."""

    def __init__(self, watched: bool = False) -> None:
        self.watched = watched
        self.matters = LoginMatters(lambda _camera, _peer: self.watched)
        self.now, self.number = 1000.0, 0
        self.alerts: list[Alert] = []
        self.excuse: str | None = None

    def login(
        self,
        outcome: str = "failure",
        peer: Peer = STRANGER,
        verdict: Verdict = MINDED,
        *,
        after: float = 1.0,
        default: bool | None = False,
        user: str = "admin",
    ) -> list[Alert]:
        self.wait(after)
        self.number += 1
        login = Login(
            f"l{self.number}",
            self.now,
            "porch",
            peer,
            "http",
            "basic",
            user,
            outcome,
            "read",
            default,  # type: ignore[arg-type]
        )
        return self._take(self.matters.judged(login, verdict, self.now))

    def wait(self, seconds: float) -> list[Alert]:
        before = len(self.alerts)
        self.now += seconds
        self._take(self.matters.tick(self.now, lambda _camera, _peer: self.excuse))
        return self.alerts[before:]

    def _take(self, alerts: list[Alert]) -> list[Alert]:
        self.alerts += alerts
        return alerts

    def kinds(self) -> list[tuple[str, str, str]]:
        return [(alert.type, alert.severity, alert.state) for alert in self.alerts]


def test_a_login_from_outside_that_worked_is_critical_and_one_alert() -> None:
    house = House()
    assert house.login("success") == []
    house.wait(2.0)
    assert house.kinds() == [("remote-login", "critical", "open")]
    house.login("success", after=120)
    house.wait(2.0)
    assert house.kinds()[1:] == [("remote-login", "critical", "update")]
    house.wait(4000)
    assert house.kinds()[2:] == [("remote-login", "critical", "closed")]
    assert len({alert.id for alert in house.alerts}) == 1


def test_a_login_by_a_viewer_who_is_told_of_is_not_told_again() -> None:
    house = House()
    house.login("success")
    house.watched = True
    house.wait(2.0)
    assert house.kinds() == []


def test_at_home_it_is_a_warning() -> None:
    house = House()
    house.login("success", LAPTOP)
    house.wait(2.0)
    assert house.kinds() == [("lan-login", "warning", "open")]


def test_a_wrong_login_is_a_warning_and_a_right_one_after_it_graver() -> None:
    house = House()
    house.login()
    house.login("success")
    house.wait(2.0)
    assert house.kinds() == [("remote-login", "warning", "open"), ("remote-login", "critical", "open")]
    assert len({alert.id for alert in house.alerts}) == 1


def test_guessing_is_told_at_9_10_12_16_24_40() -> None:
    house = House()
    told = [count for count in range(1, 101) if [a for a in house.login() if a.type == "brute-force"]]
    assert told == [9, 10, 12, 16, 24, 40, 72]
    guessing = [alert for alert in house.alerts if alert.type == "brute-force"]
    assert [alert.state for alert in guessing] == ["open", *["update"] * 6]
    assert [alert.count for alert in guessing] == told
    before = [alert.state for alert in house.alerts if alert.type == "remote-login"]
    assert before == ["open", "update", "update", "update", "closed"], "the wrong logins became guessing"
    house.wait(4000)
    assert house.alerts[-1].count == 100


def test_is_news() -> None:
    assert [count for count in range(300) if is_news(count)] == [9, 10, 12, 16, 24, 40, 72, 136, 264]


def test_a_guess_that_worked_is_one_critical_alert_whatever_the_count() -> None:
    for wrong in (3, 8, 9, 43):
        house = House()
        for _ in range(wrong):
            house.login()
        house.login("success")
        house.wait(5.0)
        critical = [alert for alert in house.alerts if alert.severity == "critical" and alert.state != "closed"]
        assert [(alert.type, alert.state, alert.detail["wrong"]) for alert in critical] == [
            ("brute-force", "open", wrong)
        ]
    house = House()
    for _ in range(2):
        house.login()
    house.login("success")
    house.wait(5.0)
    assert ("brute-force", "critical", "open") not in house.kinds()


def test_after_a_guess_that_worked_more_wrong_tries_are_no_news() -> None:
    house = House()
    for outcome in [*["failure"] * 5, "success", *["failure"] * 50]:
        house.login(outcome)
    assert house.kinds()[-2:] == [("brute-force", "critical", "open"), ("remote-login", "warning", "closed")]
    assert [alert.state for alert in house.login("success", after=100)] == ["update"], "silent"
    assert [alert.type for alert in house.login("unknown")] == ["remote-login"], "who knows what that one was"


def test_slow_guessing_adds_up() -> None:
    house = House()
    for _ in range(9):
        house.login(after=3 * 3600)
    assert ("brute-force", "warning", "open") in house.kinds()
    slower = House()
    for _ in range(12):
        slower.login(after=25 * 3600)
    assert "brute-force" not in {kind for kind, *_ in slower.kinds()}


def test_guessing_from_one_network_and_from_many() -> None:
    house = House()
    for number in range(9):
        house.login(peer=Peer(f"203.0.113.{number}", scope="wan"))
    assert ("brute-force", "warning", "open") in house.kinds(), "one network, many addresses"
    spread = House()
    for number in range(30):
        spread.login(peer=Peer(f"198.{number}.100.1", scope="wan"), user=f"u{number}")
    guessing = [alert for alert in spread.alerts if alert.type == "brute-force"]
    assert [(alert.count, alert.detail["networks"]) for alert in guessing] == [(n, n) for n in (9, 10, 12, 16, 24)]
    assert len({alert.id for alert in guessing}) == 1
    assert len([alert for alert in spread.alerts if alert.type == "remote-login"]) == 8, "then it is one matter"
    spread.login("success", peer=Peer("198.99.100.1", scope="wan"))
    assert spread.kinds()[-1] == ("brute-force", "critical", "open")


def test_an_old_password_of_the_owners_device_once_a_day() -> None:
    house = House()
    for _ in range(40):
        house.login(peer=PHONE, verdict=FINE, after=1800)
    assert house.kinds() == [("stale-password", "info", "open")]
    house.wait(4000)
    assert len(house.kinds()) == 1, "tries that are an hour apart go on"
    house.wait(4000)
    assert house.kinds()[1:] == [("stale-password", "info", "closed")]
    for _ in range(3):
        house.login(peer=PHONE, verdict=FINE, after=60)
    assert len(house.kinds()) == 2, "not twice a day"
    for _ in range(60):
        house.login(peer=PHONE, verdict=FINE, after=1800)
    assert house.kinds()[2:] == [("stale-password", "info", "open")]


def test_who_is_expected_and_guesses_is_no_old_password() -> None:
    anyone = Verdict("expected", "you expect lan")
    names = House()
    for number in range(40):
        names.login(peer=LAPTOP, verdict=anyone, user=f"u{number}")
    names.login("success", LAPTOP, anyone)
    assert ("brute-force", "warning", "open") in names.kinds()
    assert ("brute-force", "critical", "open") in names.kinds()
    fast, slow = House(), House()
    for house, after in ((fast, 0.1), (slow, 1.0)):
        for _ in range(300):
            house.login(peer=PHONE, verdict=FINE, after=after)
        house.login("success", PHONE, FINE)
    assert ("brute-force", "critical", "open") in fast.kinds(), "no forgotten program is so fast"
    assert slow.kinds() == [("stale-password", "info", "open")]
    slow.login(peer=PHONE, verdict=FINE)
    assert len(slow.kinds()) == 1


def test_who_logs_in_all_day_is_told_at_the_1st_2nd_4th_8th() -> None:
    house = House()
    for _ in range(100):
        house.login("success", LAPTOP, after=180)
    house.wait(5.0)
    assert [alert.count for alert in house.alerts] == [1, 2, 4, 8, 16, 32, 64]
    assert [alert.state for alert in house.alerts] == ["open", *["update"] * 6]
    house.wait(4000)
    assert (house.alerts[-1].state, house.alerts[-1].count) == ("closed", 100)


def test_guesses_from_outside_are_not_those_of_a_device_at_home() -> None:
    house = House()
    for number in range(12):
        house.login(peer=Peer(f"198.{number}.100.1", scope="wan"))
    house.login("success", LAPTOP)
    house.wait(5.0)
    assert house.kinds()[-1] == ("lan-login", "warning", "open"), "nobody at home guessed"


def test_slow_guesses_from_many_networks_are_one_matter_a_day() -> None:
    house = House()
    for number in range(36):
        house.login(peer=Peer(f"198.{number}.100.1", scope="wan"), after=2400)
    opened = [alert.type for alert in house.alerts if alert.state == "open"]
    assert opened == ["remote-login"] * 8 + ["brute-force"] * 5


def test_the_owner_who_mistypes_twice_hears_nothing() -> None:
    house = House()
    for outcome in ("failure", "failure", "success", "failure", "failure"):
        house.login(outcome, PHONE, FINE)
    assert house.kinds() == []


def test_a_factory_password_is_told_whoever_used_it_once() -> None:
    house = House()
    for _ in range(30):
        house.login("success", PHONE, FINE, default=True, after=3600)
    assert house.kinds() == [("default-password", "warning", "open")]
    house.wait(90_000)
    assert house.kinds()[1:] == [("default-password", "warning", "closed")]
    house = House()
    house.login("failure", PHONE, FINE, default=True)
    house.login("success", PHONE, FINE, default=None)
    assert house.kinds() == []


def test_a_login_of_which_nobody_knows_whether_it_worked() -> None:
    house = House()
    house.login("unknown")
    house.login("unknown")
    assert house.kinds() == [("remote-login", "warning", "open")]


def test_it_was_me_settles_it() -> None:
    house = House()
    house.login()
    (alert,) = house.alerts
    assert house.matters.is_open(alert.id)
    (closed,) = house.matters.settle(alert.id, "you said that it was you (decision 1)", house.now)
    assert (closed.state, closed.detail["settled"]) == ("closed", "you said that it was you (decision 1)")
    house.login()
    house.excuse = "you allowed it (decision 2)"
    assert [one.detail["settled"] for one in house.wait(1.0)] == ["you allowed it (decision 2)"]


def test_after_a_restart_the_same_matter_goes_on() -> None:
    house, after = House(), House()
    house.login()
    after.matters.resume(house.alerts[0])
    after.login("success")
    after.wait(2.0)
    assert {alert.id for alert in after.alerts} == {house.alerts[0].id}


def test_a_flood_of_guesses_is_counted_and_not_listed_one_by_one() -> None:
    house = House()
    house.now = 6000.0
    wrong = Login("l", 0.0, "porch", STRANGER, "http", "basic", "a", "failure", "read", False)
    assert sum(house.matters.is_listed(wrong, 6000.0 + number / 10) for number in range(500)) == LISTED_MAX
    assert house.matters.counters["logins-not-listed"] == 500 - LISTED_MAX
    assert house.matters.is_listed(replace(wrong, outcome="success"), 6050.0)
    assert house.matters.is_listed(replace(wrong, camera="garage"), 6050.0)
    assert house.matters.is_listed(wrong, 6061.0)


def test_tables_are_capped() -> None:
    guesses = Guesses()
    for number in range(10_000):
        guesses.failed("porch", Peer(f"10.{number >> 8}.{number & 255}.1", scope="wan"), "u", 1.0)
    assert guesses.counters["guesses-evicted"] == 10_000 - 4096
    assert guesses.few("porch") == 4096
    guesses.tick(100_000.0)
    assert guesses.few("porch") == 0
    house = House()
    for number in range(3000):
        house.login("unknown", Peer(f"192.168.{number >> 8}.{number & 255}", scope="lan", mac=f"m{number}"), after=0.0)
    assert len(house.matters.open_alerts()) <= 2048
    states = {alert.id: alert.state for alert in house.alerts}
    assert sum(state != "closed" for state in states.values()) == 2048, "what is pushed out is closed"


def test_a_flood_does_not_push_out_what_is_grave() -> None:
    house = House()
    house.login("success", peer=STRANGER)
    for number in range(3000):
        house.login("unknown", Peer(f"192.168.{number >> 8}.{number & 255}", scope="lan", mac=f"m{number}"), after=0.01)
    assert any(alert.severity == "critical" for alert in house.matters.open_alerts())


def test_whose_guesses_are_counted_together() -> None:
    assert network_of(STRANGER) == "203.0.113.0/24"
    assert network_of(Peer("2001:db8:1:2:3::4", scope="wan")) == "2001:db8:1:2::/64"
    assert network_of(LAPTOP) == "02:00:00:00:00:21"
    assert network_of(PHONE) == "phone"
