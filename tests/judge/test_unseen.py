"""The alert that something is not seen."""

from camguard import report
from camguard.judge.unseen import guard_blind


def test_it_has_the_words_of_what_is_not_seen() -> None:
    made = guard_blind("a1", "interface-gone", "why", now=9.0, started=3.0, detail={"interface": "eth0"})
    assert (made.id, made.type, made.state, made.raised, made.started) == ("a1", "guard-blind", "open", 9.0, 3.0)
    assert "eth0" in report.words(made)[1]


def test_of_a_camera_it_names_the_camera() -> None:
    made = guard_blind("a1", "nothing", "why", now=9.0, started=3.0, camera="porch", severity="warning")
    assert (made.severity, made.detail) == ("warning", {"how": "nothing"})
    assert "porch" in report.words(made)[0]
