"""Events -> one dict, one title and body, one line. Every sentence about an event is written here (pure).

text.py     what others wrote made harmless; times and sizes in words
who.py      the other end
alerts.py   title and body
logins.py   title and body of what logins mean
blind.py    title and body of what camguard does not see
messages.py what a channel sends: full, short, discreet
weekly.py   the weekly report
records.py  dicts, JSON, lines

Names in the words come from the network and from the owner: they are cleaned of control characters, of characters that
turn the direction of writing, and of markup brackets, and cut. Times in sentences are local to `zone` (a name such as
"Europe/Berlin"); times in dicts are RFC 3339, UTC, milliseconds.
"""

from camguard.report.alerts import SETTLED, USUAL_REASON, matter, words
from camguard.report.messages import Detail, Message, digest, message, short_id, test_words
from camguard.report.records import (
    CLASS_WORDS,
    OUTCOME_WORDS,
    alert_of,
    as_dict,
    fact_line,
    line,
    login_words,
    session_words,
    to_json,
)
from camguard.report.text import (
    MAX_BODY,
    MAX_CAMERA,
    MAX_MARKS,
    MAX_TITLE,
    clean,
    clock,
    cut,
    day,
    duration,
    rfc3339,
    seconds_of,
    short_duration,
    size,
    when,
)
from camguard.report.weekly import Week, up_words, weekly
from camguard.report.who import masked, peer_dict, peer_of, who, who_short

__all__ = [
    "CLASS_WORDS",
    "MAX_BODY",
    "MAX_CAMERA",
    "MAX_MARKS",
    "MAX_TITLE",
    "OUTCOME_WORDS",
    "SETTLED",
    "USUAL_REASON",
    "Detail",
    "Message",
    "Week",
    "alert_of",
    "as_dict",
    "clean",
    "clock",
    "cut",
    "day",
    "digest",
    "duration",
    "fact_line",
    "line",
    "login_words",
    "masked",
    "matter",
    "message",
    "peer_dict",
    "peer_of",
    "rfc3339",
    "seconds_of",
    "session_words",
    "short_duration",
    "short_id",
    "size",
    "test_words",
    "to_json",
    "up_words",
    "weekly",
    "when",
    "who",
    "who_short",
    "words",
]
