"""baseline.py: what is usual, what never is, and how an attacker with time would try to make it so."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from camguard.events import Camera, Habit, Home, Notice, Peer, Session, Wish
from camguard.judge import baseline, habits
from camguard.judge.baseline import Baseline
from camguard.judge.first_days import HELD
from camguard.judge.judge import Judge
from camguard.places import Places

ZONE = "Europe/Berlin"
HOME = Home(ZONE, cameras=(Camera("nursery"), Camera("porch")), learn_days=7)
MONDAY = datetime(2026, 3, 2, tzinfo=ZoneInfo(ZONE)).timestamp()  # daylight saving begins four weeks later
HOUR, DAY = 3600.0, 86_400.0
CLOUD = Peer("52.1.2.3", 443, "p2p.reolink.com", asn=16509, org="Amazon", country="United States")
SESSION = Session(
    "s", 0, "nursery", "open", CLOUD, "tcp", "tls", "camera", "stream", "likely", 0, None, 0, 0, 800, None, None
)  # fmt: skip


class Time:
    """A home whose time passes; the clock on the wall is the guard's, `off` seconds later."""

    def __init__(self, *, met: bool = True, home: Home = HOME) -> None:
        self.now, self.off, self.number = MONDAY, 0.0, 0
        self.notices: list[Notice] = []
        self.baseline = self.fresh(met=met, home=home)
        self.baseline.tick(self.now)

    def fresh(self, *, met: bool = True, home: Home = HOME) -> Baseline:
        made = Baseline(
            lambda at: at + self.off,
            domain_of=lambda name: ".".join(name.split(".")[-2:]),
            met=lambda camera, place: 0.0 if met else None,
        )
        made.reload(home)
        return made

    def to(self, at: float) -> None:
        while self.now < at:
            self.now = min(at, self.now + HOUR)
            self.notices += self.baseline.tick(self.now)

    def view(
        self,
        day: float,
        hour: float,
        length_s: float = 180.0,
        *,
        phone: bool = False,
        tainted: bool = False,
        **other: Any,
    ) -> Session:
        """A viewing that begins at that hour of the day of that number; closed when this returns."""
        self.to(MONDAY + day * DAY + hour * HOUR)
        self.number += 1
        made = replace(SESSION, id=f"s{self.number}", started=self.now, **other)
        self.judged(made, phone=phone, tainted=tainted)
        end = self.now + length_s
        while self.now < end:  # while it goes on, the judge tells of it each second; each minute is enough here
            self.now = min(end, self.now + 60.0)
            self.baseline.tick(self.now)
            self.judged(made, phone=phone, tainted=tainted)
        self.judged(replace(made, state="closed", ended=self.now), phone=phone, tainted=tainted)
        return made

    def judged(self, session: Session, *, phone: bool = False, tainted: bool = False) -> None:
        self.baseline.judged(session, self.now, held=False, phone=phone, tainted=tainted)

    def usual(self, day: float, hour: float, after_s: float = 1.0, **other: Any) -> str | None:
        """What is said of a viewing that began then and goes on for so long."""
        self.to(MONDAY + day * DAY + hour * HOUR)
        made = replace(SESSION, id="asked", started=self.now, **other)
        self.judged(made)
        said = self.baseline.usual(made, self.now + after_s)
        self.baseline._running.pop("asked", None)
        return said

    def evenings(self, days: int = 8, **other: Any) -> Habit:
        """A week and a day of evenings between 18 and 22; the habit of it."""
        for day in range(days):
            self.view(day, 18 + day % 4, phone=day % 6 != 0, **other)
        return self.of(str(other.get("peer", CLOUD).name or ""))

    def of(self, name: str = "p2p.reolink.com") -> Habit:
        who = ".".join(name.split(".")[-2:])
        return next(one for one in self.baseline.habits() if one.who == who)


@pytest.fixture
def time() -> Time:
    return Time()


# ---- what a habit is -------------------------------------------------------------------------------------------------


def test_a_week_of_evenings_is_worth_a_question_and_expected_only_once_accepted(time: Time) -> None:
    habit = time.evenings()
    assert (habit.who, habit.owner, habit.country) == ("reolink.com", "AS16509 Amazon", "United States")
    assert (habit.days, habit.count, habit.phone_count, habit.hours) == (8, 8, 6, "18:00-22:00")
    assert habit.length_s == pytest.approx(180)
    assert not habit.continuous
    assert [one.number for one in time.baseline.proposals()] == [habit.number]
    time.to(time.now + HOUR)
    assert [one.what for one in time.notices if "has become usual" in one.detail] == ["learned"]
    assert time.usual(8, 19) is None, "learning alone makes nothing expected"
    key, words = time.baseline.decide(habit.number, "accept")
    assert (key.camera, words) == ("nursery", "what nursery sends to reolink.com is expected: 18:00-22:00")
    assert time.baseline.proposals() == []
    assert time.usual(9, 19) == "you accepted that it sends to reolink.com 18:00-22:00 (camguard learn, number 1)"
    time.baseline.decide(habit.number, "undo")
    assert time.usual(10, 19) is None
    assert time.baseline.proposals() == [], "who said no is not asked again"


@pytest.mark.parametrize(
    ("days", "hours", "words"),
    [
        ([0, 1, 2, 3, 6], [18, 20], ""),
        ([0, 1, 2, 3], [18, 20], "too few days"),
        ([0, 1, 2, 3, 4], [18, 20], "no week"),
        ([0, 1, 2, 3, 4, 7], [18, 18], "one hour"),
        ([0] * 40, list(range(24)), "many on one day"),
    ],
)
def test_what_is_asked_about(time: Time, days: list[int], hours: list[int], words: str) -> None:
    for number, (day, hour) in enumerate(sorted((day, hours[n % len(hours)]) for n, day in enumerate(days))):
        time.view(day, hour + number / 100)
    assert bool(time.baseline.proposals()) is not words, words
    if words:
        with pytest.raises(ValueError, match="not seen on enough days"):
            time.baseline.decide(1, "accept")


@pytest.mark.parametrize(
    ("hours", "days", "expected"),
    [
        ([18, 19, 20, 21], range(8), "18:00-22:00"),
        ([18, 20], range(8), "18:00-21:00"),
        ([22, 23, 0, 1], range(8), "22:00-02:00"),
        ([7, 8, 19, 20], range(12), "07:00-09:00; 19:00-21:00"),
        ([18, 19], [0, 1, 2, 3, 4, 7, 8], "mon-fri 18:00-20:00"),
        ([18, 19], [5, 6, 12, 13, 19, 20], "sat,sun 18:00-20:00"),
        ([23, 22], range(8), "22:00-24:00"),
    ],
)
def test_usual_hours_and_days(time: Time, hours: list[int], days: list[int], expected: str) -> None:
    for number, day in enumerate(days):
        time.view(day, hours[number % len(hours)] + 0.1)
    assert time.of().hours == expected


def test_narrower_hours_can_be_accepted_and_wider_ones_cannot(time: Time) -> None:
    number = time.evenings().number
    with pytest.raises(ValueError, match=r"it was seen 18:00-22:00 only"):
        time.baseline.decide(number, "accept", "17:00-22:00")
    with pytest.raises(ValueError, match="is no time of day"):
        time.baseline.decide(number, "accept", "20:00-27:00")
    assert time.baseline.proposals(), "what was refused changed nothing"
    time.baseline.decide(number, "accept", "mon-fri 20:00-22:00")
    assert time.usual(8, 18.5) is None
    assert time.usual(8, 20.5)
    assert time.usual(12, 20.5) is None, "Saturday"
    time.baseline.decide(number, "forget")
    assert time.baseline.habits() == []
    assert time.usual(14, 20.5) is None
    with pytest.raises(ValueError, match="there is no habit 9"):
        time.baseline.decide(9, "accept")


def test_what_was_accepted_is_one_at_a_time_no_longer_and_at_no_higher_rate_than_it_was(time: Time) -> None:
    time.baseline.decide(time.evenings().number, "accept")
    assert time.usual(8, 19, after_s=599)
    assert time.usual(9, 19, after_s=601) is None, "ten minutes are more than twice three"
    assert time.usual(10, 19, rate_kbps=1600)
    assert time.usual(11, 19, rate_kbps=1601) is None
    assert time.usual(12, 19, confidence="certain") is None, "read to be video: that is something else"
    time.to(MONDAY + 13 * DAY + 19 * HOUR)
    first, second = (replace(SESSION, id=name, started=time.now + more) for name, more in (("a", 0.0), ("b", 30.0)))
    time.judged(first)
    time.judged(second)
    assert time.baseline.usual(first, time.now + 300)
    assert time.baseline.usual(second, time.now + 60), "a connection that is taken up again"
    assert time.baseline.usual(second, time.now + 120) is None, "one more beside it"
    time.judged(replace(first, state="closed"))
    assert time.baseline.usual(second, time.now + 120)


def test_around_the_clock_is_known_as_that_and_a_change_in_it_is_not(time: Time) -> None:
    going_on = replace(SESSION, id="cloud", started=MONDAY, rate_kbps=500)
    while time.now < MONDAY + 8 * DAY:
        time.to(time.now + HOUR / 2)
        time.judged(going_on)
    (habit,) = time.baseline.proposals()
    assert habit.continuous
    assert (habit.hours, habit.count, habit.days) == ("00:00-24:00", 1, 9)
    assert habit.length_s > 7 * DAY
    time.baseline.decide(habit.number, "accept")
    assert time.baseline.usual(going_on, time.now)
    assert time.baseline.usual(going_on, time.now + 90 * DAY) is not None, "however long"
    assert time.baseline.usual(replace(going_on, rate_kbps=1001), time.now) is None, "twice the rate"
    beside = replace(going_on, id="second", started=time.now)
    assert time.baseline.usual(beside, time.now + 61) is None, "a second one beside it"
    other = replace(CLOUD, name="p2p.elsewhere.com")
    assert time.baseline.usual(replace(beside, peer=other), time.now) is None, "another peer"


# ---- never learned ---------------------------------------------------------------------------------------------------

NEVER: dict[str, dict[str, Any]] = {
    "who comes in": {"initiator": "peer"},
    "nobody saw who began": {"initiator": None},
    "a device at home": {"peer": Peer("192.168.1.9", 5000, scope="lan", mac="02:00:00:00:00:99")},
    "the router": {"peer": Peer("192.168.1.1", 5000, scope="gateway")},
    "behind the router": {"peer": Peer("10.8.0.2", 5000, "vpn.example.com")},
    "a device of the owner's": {"peer": replace(CLOUD, device="office")},
    "recordings": {"cls": "playback"},
    "talk": {"cls": "talk"},
    "turning it": {"cls": "control"},
    "not sure what": {"confidence": "unsure"},
    "straight to somebody, over UDP": {"peer": replace(CLOUD, name=None), "transport": "udp"},
    "a P2P call without a name": {"peer": replace(CLOUD, name=None), "protocol": "p2p"},
    "privacy hours, or another sign": {"tainted": True},
}


@pytest.mark.parametrize("why", NEVER)
def test_never_learned(time: Time, why: str) -> None:
    for day in range(9):
        time.view(day, 18 + day % 3, **NEVER[why])
    assert time.baseline.habits() == []


def test_a_sign_that_comes_late_taints_what_was_not_noted_yet(time: Time) -> None:
    made = replace(SESSION, started=time.now)
    time.judged(made)
    time.judged(made, tainted=True)
    time.judged(replace(made, state="closed"))
    assert time.baseline.habits() == []


def test_what_turns_out_to_be_something_else_is_learned_as_that(time: Time) -> None:
    made = replace(SESSION, started=time.now)
    time.judged(made)
    time.judged(replace(made, cls="clip", state="closed"))
    assert [one.cls for one in time.baseline.habits()] == ["clip"]


# ---- attackers with time ---------------------------------------------------------------------------------------------


def test_a_new_peer_never_inherits(time: Time) -> None:
    time.baseline.decide(time.evenings().number, "accept")
    strangers = {
        "another name": replace(CLOUD, name="p2p.reolink.co"),
        "the same hour and network, no name": replace(CLOUD, name=None),
        "the name, put on another network by a name server": replace(CLOUD, asn=64500, org="Evil"),
        "the name and network in another country": replace(CLOUD, country="Russia"),
    }
    for number, (why, peer) in enumerate(strangers.items()):
        assert time.usual(8 + number, 19, peer=peer) is None, why
    assert time.usual(20, 19, camera="porch") is None, "another camera"
    assert time.usual(21, 19, peer=replace(CLOUD, ip="52.9.9.9", name="relay7.reolink.com")), "another server of theirs"


def test_a_slow_ramp_widens_nothing_that_was_accepted(time: Time) -> None:
    habit = time.evenings()
    time.baseline.decide(habit.number, "accept")
    for day in range(8, 68):  # an hour later each two days, and longer and faster
        time.view(day, (19 + day // 2) % 24, 180 + 60 * day, rate_kbps=800 + 50 * day)
    assert time.of().hours == "18:00-22:00"
    assert time.usual(70, 3) is None
    assert time.usual(71, 19, after_s=601) is None
    assert time.usual(72, 19, rate_kbps=1601) is None
    assert time.usual(73, 19), "what he accepted still holds"


def test_one_night_among_evenings_is_no_usual_hour_and_two_are_shown(time: Time) -> None:
    time.view(0, 3, 4 * HOUR, rate_kbps=9000)
    habit = time.evenings()
    assert habit.hours == "18:00-22:00"
    time.baseline.decide(habit.number, "accept")
    assert time.usual(8, 19, after_s=700) is None, "one long night is not twice as long"
    assert time.usual(9, 19, rate_kbps=2000) is None, "nor as fast"
    other = Time()
    other.view(0, 3)
    other.view(1, 3)
    assert other.evenings().hours == "03:00-04:00; 18:00-22:00", "the owner reads it before he accepts"


def test_the_table_cannot_be_flooded_to_drive_out_a_habit(time: Time) -> None:
    time.baseline.decide(time.evenings().number, "accept")
    for day in range(3):
        time.view(8 + day, 12, peer=replace(CLOUD, name="seldom.example.com"))
    for number in range(3 * baseline.HABITS_MAX):
        time.view(11, 1 + number / 1000, 10, peer=replace(CLOUD, name=f"a.flood{number}.com"))
    kept = {one.who for one in time.baseline.habits()}
    assert len(kept) == baseline.HABITS_MAX
    assert {"reolink.com", "example.com"} <= kept
    assert time.baseline.counters["habits-evicted"] == 2 * baseline.HABITS_MAX + 2
    assert time.usual(12, 19)


def test_where_everything_is_accepted_a_new_one_is_refused(time: Time) -> None:
    time.evenings(peer=CLOUD)
    record = next(iter(time.baseline._records.values()))
    time.baseline.decide(record.number, "accept")
    for number in range(1, baseline.HABITS_MAX):
        key = record.key._replace(who=f"{number}.com")
        time.baseline._records[key] = replace(record, number=number + 1, key=key)
    time.view(9, 12, peer=replace(CLOUD, name="a.new.com"))
    assert time.baseline.counters["habits-refused"] == 1


def test_waiting_in_the_first_week_gains_nothing_without_the_owner(time: Time) -> None:
    stranger = replace(CLOUD, name="p2p.patient.com")
    for day in range(30):
        time.view(day, 19 + day % 3, peer=stranger)
    assert time.usual(30, 19, peer=stranger) is None
    habit = time.of("p2p.patient.com")
    assert (habit.accepted, habit.phone_count) == (None, 0), "and the question says that no phone was on it"


def test_many_viewings_in_a_day_count_as_one_day(time: Time) -> None:
    for number in range(200):
        time.view(0, 1 + number / 10)
    assert (time.of().days, time.of().count) == (1, 200)


# ---- time ------------------------------------------------------------------------------------------------------------


def test_a_habit_that_is_not_seen_for_30_days_fades_and_is_new_when_it_comes_back(time: Time) -> None:
    time.baseline.decide(time.evenings().number, "accept")
    assert time.usual(36, 19)
    time.to(MONDAY + 38 * DAY)
    assert time.of().faded
    assert time.usual(38, 19) is None
    with pytest.raises(ValueError, match="not seen for 30 days"):
        time.baseline.decide(1, "accept")
    time.view(39, 19)
    assert (time.of().number, time.of().accepted, time.of().days) == (2, None, 1)
    time.to(MONDAY + 75 * DAY)
    assert time.baseline.habits() == [], "what nobody accepted goes"


def test_no_clock_on_the_wall_makes_a_habit_or_ends_one(time: Time) -> None:
    for number in range(10):
        time.off = number * DAY
        time.view(0, 12 + number)
    assert time.baseline.proposals() == [], "ten dates within a day of looking"
    time = Time()
    time.baseline.decide(time.evenings().number, "accept")
    time.off = 400 * DAY
    assert time.usual(8, 19)
    time.off = -400 * DAY
    assert time.usual(9, 19)


def test_hours_are_those_on_the_wall_also_when_daylight_saving_begins(time: Time) -> None:
    time.baseline.decide(time.evenings(27).number, "accept")
    utc = replace(SESSION, id="summer", started=datetime(2026, 3, 30, 21, 30, tzinfo=ZoneInfo(ZONE)).timestamp())
    assert time.baseline.usual(utc, utc.started)
    late = replace(utc, started=utc.started + HOUR)
    assert time.baseline.usual(late, late.started) is None


# ---- the first days --------------------------------------------------------------------------------------------------


def held(time: Time, *, sign: bool = False, **other: Any) -> str | None:
    return time.baseline.holds(replace(SESSION, started=time.now, **other), sign=sign)


def test_plain_cloud_traffic_is_held_back_for_seven_days_of_looking(time: Time) -> None:
    assert held(time) == HELD
    time.to(MONDAY + 7 * DAY - 60)
    assert held(time) == HELD
    time.to(MONDAY + 7 * DAY)
    assert held(time) is None
    assert [one.detail for one in time.notices] == [
        f"the first days of {name} are over; 0 alerts held back. What is usual: camguard learn"
        for name in ("nursery", "porch")
    ]
    assert held(Time(home=replace(HOME, learn_days=0))) is None


NOT_HELD: dict[str, dict[str, Any]] = {
    **{why: made for why, made in NEVER.items() if "tainted" not in made},
    "certain": {"confidence": "certain"},
    "a sign": {"sign": True},
    "no name": {"peer": replace(CLOUD, name=None)},
    "WebRTC": {"protocol": "webrtc"},
    "a P2P call": {"protocol": "p2p"},
    "a tunnel": {"protocol": "wireguard"},
    "a clip": {"cls": "clip"},
}


@pytest.mark.parametrize("why", NOT_HELD)
def test_never_held_back(time: Time, why: str) -> None:
    assert held(time, **NOT_HELD[why]) is None


@pytest.mark.parametrize(
    ("places", "is_held"),
    [
        ({"reolink.com", "network AS16509 Amazon"}, True),
        ({"reolink.com", "country United States"}, True),
        ({"reolink.com"}, False),
        ({"network AS16509 Amazon", "country United States"}, False),
        (set(), False),
    ],
)
def test_a_name_a_network_and_country_that_are_news_are_told(places: set[str], is_held: bool) -> None:
    made = Baseline(
        lambda at: at,
        domain_of=lambda name: "reolink.com",
        met=lambda camera, place: MONDAY if camera == "nursery" and place in places else None,
    )
    made.reload(HOME)
    assert bool(made.holds(replace(SESSION, started=MONDAY + 601), sign=False)) is is_held
    assert made.holds(replace(SESSION, started=MONDAY + 599), sign=False) is None, "that was this viewing itself"


def judge(home: Home = HOME) -> Judge:
    return Judge(home, Places(), lambda at: at, met=lambda camera, place: 0.0)


def test_the_judge_holds_back_and_counts_and_tells_when_the_days_are_over() -> None:
    made, told = judge(), []
    session = replace(SESSION, started=MONDAY)
    told += made.sessions([session], MONDAY)
    assert [(one.verdict, one.reason) for one in told if isinstance(one, Session)] == [(None, HELD)]
    assert made.baseline.take_changes(MONDAY).looked == (("nursery", 0.0, 1),)
    now = MONDAY
    made.tick(now, {"s": session})
    while now < MONDAY + 7 * DAY + HOUR and not made.open_alerts():
        now += HOUR
        made.tick(now, {"s": session})
    assert now == pytest.approx(MONDAY + 7 * DAY + HOUR, abs=HOUR)
    assert [alert.type for alert in made.open_alerts()] == ["remote-stream"]


@pytest.mark.parametrize("camera", [Camera("nursery", never=True), Camera("nursery", private="00:00-24:00")])
def test_privacy_is_neither_held_back_nor_learned_nor_excused(camera: Camera) -> None:
    made = judge(replace(HOME, cameras=(camera,)))
    for day in range(9):
        at = MONDAY + day * DAY + day * HOUR
        session = replace(SESSION, id=f"s{day}", started=at)
        made.sessions([session], at)
        assert [alert.type for alert in made.open_alerts()] == ["privacy"]
        made.sessions([replace(session, state="closed", ended=at + 60)], at + 60)
        for hour in range(24):
            made.tick(at + 61 + hour * HOUR, {})
    assert made.baseline.habits() == []


def test_from_afar_nothing_is_accepted() -> None:
    with pytest.raises(ValueError, match="from afar nothing that lasts"):
        judge().decide(Wish("w", "mqtt, home", "learn", mode="accept", habit=1), 1, MONDAY, None)


# ---- what the next run knows -----------------------------------------------------------------------------------------


def again(time: Time) -> list[tuple[int, str]]:
    """A new run of what was learned; what was refused."""
    changes = time.baseline.take_changes(time.now, last=True)
    time.baseline = time.fresh()
    refused = time.baseline.resume([(number, text) for number, _, text in changes.habits], changes.looked, 50)
    time.baseline.tick(time.now)
    return refused


def test_a_restart_loses_nothing(time: Time) -> None:
    time.evenings(4)
    before = time.baseline.habits()
    assert again(time) == []
    assert time.baseline.habits() == before
    time.to(MONDAY + 7 * DAY - 60)
    assert held(time) == HELD
    time.to(MONDAY + 7 * DAY)
    assert held(time) is None, "the days are those of both runs"
    for day in range(7, 9):
        time.view(day, 18 + day % 4)
    time.baseline.decide(1, "accept")
    assert again(time) == []
    assert time.usual(9, 19)
    time.view(9, 12, peer=replace(CLOUD, name="a.other.com"))
    assert time.of("a.other.com").number == 50, "no number means something else later"


def test_what_the_owner_said_is_saved_at_once_and_the_rest_once_an_hour(time: Time) -> None:
    number = time.evenings().number
    assert time.baseline.take_changes(time.now).habits
    time.view(8, 19)
    assert time.baseline.take_changes(time.now).habits
    time.view(8, 19.2)
    assert not time.baseline.take_changes(time.now).habits
    time.baseline.decide(number, "accept")
    changes = time.baseline.take_changes(time.now)
    assert [one[0] for one in changes.habits] == [number]
    time.baseline.unsaved(changes)
    assert time.baseline.take_changes(time.now).habits == changes.habits, "the store was full"
    time.baseline.decide(number, "forget")
    assert time.baseline.take_changes(time.now).gone == (number,)
    assert time.baseline.decide(number, "forget"), "asked again, because the disk had not taken it"


def test_damaged_and_other_versions_are_refused_one_by_one(time: Time) -> None:
    time.evenings(peer=CLOUD)
    time.view(9, 12, peer=replace(CLOUD, name="a.other.com"))
    changes = time.baseline.take_changes(time.now, last=True)
    (_, _, good), (_, _, other) = changes.habits
    whole = json.loads(good)
    bad: list[str] = [good[: len(good) // 2], "", "[]", "null", "7", '"x"', "{}", "[" * 5000]
    bad += [json.dumps(whole | {key: value}) for key, value in {
        "version": 2, "key": [], "days": [[1]], "times": [None, 0], "accepted": True, "terms": ["25:00", 1, 1, False],
    }.items()]  # fmt: skip
    bad.append(json.dumps(whole | {"days": whole["days"] * 9}))
    bad.append(good.replace('"stream"', '"talk"'))
    for text in bad:
        made = time.fresh()
        assert [number for number, _ in made.resume([(1, text), (2, other)], changes.looked)] == [1], text[:80]
        assert [one.number for one in made.habits()] == [2]


def test_every_flipped_byte_is_read_or_refused(time: Time) -> None:
    time.evenings()
    time.baseline.decide(1, "accept")
    ((_, _, good),) = time.baseline.take_changes(time.now, last=True).habits
    for at in range(len(good)):
        for letter in ("7", '"', "}", "\x00", "-"):
            made = time.fresh()
            made.resume([(1, good[:at] + letter + good[at + 1 :])])
            made.habits()
            made.usual(replace(SESSION, started=time.now), time.now)


@pytest.mark.parametrize(
    "looked", [("nursery", "x", 0), ("nursery", -1.0, 0), ("nursery", None, 0), ("nursery", 1, "")]
)
def test_damaged_time_of_looking_holds_nothing_back(time: Time, looked: Any) -> None:
    time.baseline.resume([], [looked])
    assert held(time) is None


def test_hours_within_hours() -> None:
    assert habits.is_within("20:00-22:00", "18:00-22:00")
    assert habits.is_within("mon 23:00-01:00", "22:00-02:00")
    assert not habits.is_within("mon-sat 20:00-21:00", "mon-fri 18:00-22:00")
    assert not habits.is_within("00:00-24:00", "00:00-23:59")
