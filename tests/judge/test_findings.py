"""One alert a matter: when findings sound, when they are silent, when they end."""

from typing import Any

from camguard.events import Finding
from camguard.judge.findings import MATTERS_MAX, QUIET_S, Findings, notice_of


def finding(**changed: Any) -> Finding:
    values: dict[str, Any] = {
        "type": "port-scan",
        "camera": "porch",
        "key": "198.51.100.0/24",
        "severity": "info",
        "confidence": "certain",
        "evidence": ("15 ports in 2 s",),
        "peer": None,
        "at": 1.0,
        "detail": {"ports": 15},
    }
    return Finding(**(values | changed))


def test_opens_once_and_is_updated_at_the_2nd_4th_8th_finding() -> None:
    findings = Findings()
    told = [findings.judged(finding(at=float(number)), float(number)) for number in range(1, 18)]
    assert [number for number, alerts in enumerate(told, start=1) if alerts] == [1, 2, 4, 8, 16]
    alerts = [alert for some in told for alert in some]
    assert [alert.state for alert in alerts] == ["open", "update", "update", "update", "update"]
    assert len({alert.id for alert in alerts}) == 1
    assert alerts[-1].count == 16
    assert [alert.count for alert in findings.open_alerts()] == [17]
    assert alerts[0].started == 1.0


def test_graver_sounds_again_at_any_count() -> None:
    findings = Findings()
    for number in range(3):
        findings.judged(finding(), float(number))
    (alert,) = findings.judged(finding(severity="warning", detail={"ports": 90}, evidence=("90 ports",)), 4.0)
    assert (alert.state, alert.severity, alert.count) == ("open", "warning", 4)
    assert alert.detail["ports"] == 90
    assert alert.evidence == ("90 ports",)
    assert findings.judged(finding(), 5.0) == []
    assert findings.open_alerts()[0].severity == "warning", "it does not become harmless again"


def test_other_keys_types_and_cameras_are_other_matters() -> None:
    findings = Findings()
    made = [{}, {"key": "x"}, {"type": "camera-attacks"}, {"camera": "garage"}]
    alerts = [alert for changed in made for alert in findings.judged(finding(**changed), 1.0)]
    assert [alert.state for alert in alerts] == ["open"] * 4
    assert len({alert.id for alert in alerts}) == 4


def test_over_closes_and_says_when() -> None:
    findings = Findings()
    findings.judged(finding(type="exposed-port"), 1.0)
    (alert,) = findings.judged(finding(type="exposed-port", over=True, words="the router closed it"), 50.0)
    assert (alert.state, alert.ended, alert.reason) == ("closed", 50.0, "the router closed it")
    assert findings.open_alerts() == []
    assert not findings.is_open(alert.id)
    assert findings.judged(finding(type="exposed-port", over=True), 51.0) == [], "it is closed once"


def test_quiet_closes_with_the_time_of_the_last_finding() -> None:
    findings = Findings()
    findings.judged(finding(), 1.0)
    findings.judged(finding(), 20.0)
    assert findings.tick(20.0 + QUIET_S["port-scan"]) == []
    (alert,) = findings.tick(21.0 + QUIET_S["port-scan"])
    assert (alert.state, alert.ended, alert.count) == ("closed", 20.0, 2)


def test_an_open_door_does_not_close_by_silence() -> None:
    findings = Findings()
    (alert,) = findings.judged(finding(type="exposed-port"), 1.0)
    assert findings.tick(30 * 86_400.0) == []
    assert findings.is_open(alert.id)


def test_what_comes_back_soon_is_the_same_matter_and_sounds_at_the_2nd_4th_time() -> None:
    findings = Findings()
    ids, states = set(), []
    for number in range(1, 6):
        (alert,) = findings.judged(finding(type="exposed-port"), number * 60.0)
        ids.add(alert.id)
        states.append(alert.state)
        findings.judged(finding(type="exposed-port", over=True), number * 60.0 + 30)
    assert len(ids) == 1
    assert states == ["open", "open", "update", "open", "update"]


def test_what_comes_back_late_is_a_new_matter() -> None:
    findings = Findings()
    (first,) = findings.judged(finding(type="exposed-port"), 1.0)
    findings.judged(finding(type="exposed-port", over=True), 2.0)
    findings.tick(700.0)
    (second,) = findings.judged(finding(type="exposed-port"), 701.0)
    assert second.id != first.id
    assert second.count == 1


def test_settled_is_closed_and_quiet_as_long_as_it_goes_on() -> None:
    findings = Findings()
    (alert,) = findings.judged(finding(severity="warning"), 1.0)
    (closed,) = findings.settle(alert.id, "you said that it was you (decision 3)", 2.0)
    assert (closed.state, closed.reason) == ("closed", "you said that it was you (decision 3)")
    assert closed.detail["settled"] == closed.reason
    assert [findings.judged(finding(severity="warning"), 2.0 + 100 * number) for number in range(1, 20)] == [[]] * 19
    (worse,) = findings.judged(finding(severity="critical"), 2000.0)
    assert (worse.state, worse.severity) == ("open", "critical")
    assert "settled" not in worse.detail
    assert findings.settle("no-such-id", "x", 3.0) == []


def test_settled_and_over_is_told_when_it_comes_again() -> None:
    findings = Findings()
    (alert,) = findings.judged(finding(type="exposed-port"), 1.0)
    findings.settle(alert.id, "you said that it was you", 2.0)
    findings.tick(1e7)
    assert findings.judged(finding(type="exposed-port"), 1e7) == [], "the door never closed"
    assert findings.judged(finding(type="exposed-port", over=True), 1e7 + 1) == []
    assert [alert.state for alert in findings.judged(finding(type="exposed-port"), 1e7 + 2)] == ["open"]


def test_goes_on_after_a_restart() -> None:
    before = Findings()
    (alert,) = before.judged(finding(), 1.0)
    after = Findings()
    after.resume(alert)
    assert after.is_open(alert.id)
    (update,) = after.judged(finding(), 30.0)
    assert (update.id, update.state, update.count) == (alert.id, "update", 2)
    (closed,) = before.settle(alert.id, "you said that it was you", 2.0)
    later = Findings()
    later.resume(closed)
    assert not later.is_open(alert.id)
    assert later.judged(finding(), 30.0) == []


def test_a_finding_for_the_log_is_no_alert() -> None:
    findings = Findings()
    quiet = finding(type="new-destination", told=False, notice="new-destination", words="first talk to example.com")
    assert findings.judged(quiet, 1.0) == []
    assert findings.open_alerts() == []
    notice = notice_of(quiet, 100.0)
    assert notice
    assert (notice.time, notice.camera, notice.what) == (100.0, "porch", "new-destination")
    assert notice.detail == "first talk to example.com"
    assert notice_of(finding(), 100.0) is None


def test_a_flood_of_matters_is_bounded_and_leaves_none_open_in_the_record() -> None:
    findings = Findings()
    opened, closed = 0, 0
    for number in range(3 * MATTERS_MAX):
        for alert in findings.judged(finding(key=str(number)), 1.0):
            opened += alert.state == "open"
            closed += alert.state == "closed"
    assert opened == 3 * MATTERS_MAX
    assert len(findings.open_alerts()) == MATTERS_MAX == opened - closed
    assert findings.counters["findings-evicted"] == 2 * MATTERS_MAX
