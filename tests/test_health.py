"""Health: loss is an event within one look and a problem while it is more than 1 % of a minute's packets."""

import re
from pathlib import Path

from camguard.events import Interface
from camguard.health import LOOK_S, PROBLEMS, WORDS, Watch

T = 1_795_000_000.0


def taps(packets: int, drops: int, state: str = "up") -> list[Interface]:
    return [Interface("lo", state, bytes(6), packets, drops)]  # type: ignore[arg-type]


def test_growth_is_an_event_once_and_then_at_most_once_a_minute(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    assert watch.look(0.0, T, taps(0, 0), {"socket-drops": 0}) == []
    (first,) = watch.look(5.0, T + 5, taps(100, 7), {"socket-drops": 7})
    assert (first.what, first.value) == ("socket-drops", 7.0)
    assert "7 packets" in first.detail
    later = [watch.look(5.0 * n, T + 5 * n, taps(100 * n, 7 * n), {"socket-drops": 7 * n}) for n in range(2, 14)]
    told = [event.value for events in later for event in events]
    assert told == [7.0 * 12], "what came in between is in the next one, nothing is lost and nothing repeated"
    assert LOOK_S <= 10.0, "visible within 10 s"


def test_counters_that_are_no_loss_are_not_told(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    assert watch.look(0.0, T, taps(0, 0), {"rows-written": 50, "odd-ipv4-length": 3}) == []
    assert watch.problems() == []


def test_one_percent_of_a_minute_is_a_problem_until_it_is_over(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.look(0.0, T, taps(0, 0), {})
    watch.look(5.0, T, taps(10_000, 90), {})
    assert watch.problems() == []
    watch.look(10.0, T, taps(10_100, 200), {})
    (said,) = watch.problems()
    assert "2% of the packets" in said
    watch.look(71.0, T, taps(20_000, 200), {})
    assert watch.problems() == []


def test_an_interface_that_is_gone_is_a_problem_until_it_is_back(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.look(0.0, T, taps(0, 0, "gone"), {})
    assert watch.problems() == ["lo: the interface is gone. It is used again as soon as it is back."]
    watch.look(5.0, T, taps(0, 0), {})
    assert watch.problems() == []


def test_faults_and_overflow_are_problems_for_a_minute(tmp_path: Path) -> None:
    for what in PROBLEMS:
        watch = Watch(tmp_path)
        watch.look(0.0, T, [], {what: 0})
        watch.look(5.0, T, [], {what: 3})
        assert watch.problems() == [PROBLEMS[what]]
        watch.look(66.0, T, [], {what: 3})
        assert watch.problems() == []


def test_lag_is_the_worst_since_the_last_look(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.lagged(3.5)
    watch.lagged(0.1)
    watch.look(0.0, T, [], {})
    assert "held up for 4 s" in watch.problems()[0]
    watch.look(5.0, T, [], {})
    assert watch.problems() == []


def test_own_figures_are_real(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    watch.look(0.0, T, [], {})
    status = Path("/proc/self/status").read_text()
    rss = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    assert abs((watch.figures.rss_mb or 0) - rss) < 5
    assert (watch.figures.disk_free_mb or 0) > 0
    assert {event.what for event in watch.summary(T)} >= {"memory", "cpu"}


def test_every_word_is_for_a_person() -> None:
    for text in (*WORDS.values(), *PROBLEMS.values()):
        assert not re.search(r"\b(flow|endpoint|peer|anomaly|intruder)s?\b", text), text
