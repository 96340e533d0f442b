"""`camguard allow ALERT`: what the owner could say to an alert, each tried on the record. Decides nothing.

In: the paths, the alert. Out: text on stdout, the exit code.
"""
# ruff: noqa: T201 - this is a command; it prints what it is asked for

import json
from typing import Any
from zoneinfo import ZoneInfo

from camguard import report
from camguard.config import Paths
from camguard.errors import ConfigError
from camguard.events import Expect
from camguard.judge.propose import Proposal, advice, proposals
from camguard.review import trial
from camguard.review.decisions import about_somebody, alert_named
from camguard.review.terminal import View

OVER = "It is over, and could only be settled while it went on."


def propose(paths: Paths, named: str, *, as_json: bool = False, now: float | None = None) -> int:
    """Print what could be said to an alert, the smallest first, each tried on the record. Decides nothing; 0."""
    view = View(paths, now)
    body = alert_named(view, named)
    about_somebody(body, named)
    alert = report.alert_of(body)
    if alert is None:
        raise ConfigError(f"alert {report.clean(named, 40)} is damaged in the record. See: camguard alerts")
    who = report.who_short(alert.peer) if alert.peer else "it"
    seen = trial.seen(view.reader, alert, view.now)
    found = proposals(alert, seen, who, view.now, ZoneInfo(view.zone))
    alerts = trial.of_its_kind(view.reader, alert, view.now)
    tried = [(one, trial.tried(one, alert, alerts, view.config.home, view.now)) for one in found]
    short = named.strip().lower()
    if as_json:
        for one, result in tried:
            print(report.to_json(_proposal_dict(one, result, short)))
        return 0
    print(f"{report.clean(str(body['title']), report.MAX_TITLE)}. {report.clean(str(body['body']), report.MAX_BODY)}")
    print("Nothing is decided yet. What you could say, the smallest first:" if found else OVER)
    for number, (one, result) in enumerate(tried, start=1):
        lasts = one.mode in ("always", "hours")
        print(f"\n {number}  {report.clean(one.sentence, 200)}")
        print(f"    {trial.words(result, alert.camera or 'camguard', view.now, view.zone, lasts=lasts)}")
        if one.note:
            print(f"    {one.note}")
        print(f"    {_command(one, short)}")
    better = advice(alert)
    if better:
        print(f"\n{report.clean(better, 400)}")
    rules = [one for one in found if one.rule and trial.would_do(one, alert, view.config.home)]
    if rules and rules[-1].rule:
        print(f"\nInstead of {found.index(rules[-1]) + 1}, in the configuration:\n\n{_toml(rules[-1].rule)}")
    return 0


def _command(one: Proposal, alert: str) -> str:
    how = {
        "once": "--once",
        "for": f"--for {(one.for_s or 0) / 3600:g}h",
        "always": "--always",
        "hours": f'--always --hours "{one.when}"',
    }
    return f"camguard allow {alert} {how[one.mode]}"


def _proposal_dict(one: Proposal, result: trial.Trial, alert: str) -> dict[str, Any]:
    return {
        "kind": "proposal",
        "sentence": report.clean(one.sentence),
        **{name: getattr(one, name) for name in ("mode", "for_s", "when", "note")},
        "command": _command(one, alert),
        "would_have_silenced": result.silenced,
        "of_alerts": result.of,
        "others": [report.rfc3339(at) for at in result.others],
    }


def _toml(rule: Expect) -> str:
    """The rule as it stands in camguard.toml."""
    said = [("camera", rule.camera), ("peer", rule.peer), ("kinds", list(rule.kinds)), ("when", rule.when)]
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in said if value]
    return "\n".join(["[[expect]]", *(report.clean(line, 200) for line in lines)])
