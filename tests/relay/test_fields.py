"""The fields of an exchange's line: one table for all formats."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.logger import Logger, formatEvent

from ampproxy.model.events import Usage
from ampproxy.model.loss import Loss
from ampproxy.relay.fields import LABELS, fields_of
from ampproxy.relay.gaps import BOUNDS, Gaps
from ampproxy.relay.record import ExchangeRecord, Outcome


def served(**members: object) -> ExchangeRecord:
    """An exchange that went well."""
    record = ExchangeRecord(started=100.0, method="POST", path="/v1/messages", request="id-1", client="key0")
    record.kind, record.asked, record.served = "mapped", "gpt-5", "claude-x"
    record.account, record.status, record.bytes_out = "claude-api-key[0]", 200, 42
    record.sent, record.first_byte, record.busy = 100.002, 100.5, 0.0005
    record.usage = Usage(10, 20, 30, 40, 5)
    for name, value in members.items():
        setattr(record, name, value)
    record.close(101.25, Outcome.COMPLETED)
    return record


def test_every_field() -> None:
    """The fields say what the record says, in milliseconds where it is a time."""
    gaps = Gaps()
    gaps.add(0.3)
    told = fields_of(served(gaps=gaps, losses=(Loss("top_k", "top_k", "x"),), stream=True))
    assert told == {
        "request": "id-1", "kind": "mapped", "method": "POST", "path": "/v1/messages",
        "model": "gpt-5", "served": "claude-x", "account": "claude-api-key[0]", "role": "",
        "client": "key0", "thread": "", "outcome": "completed", "status": 200, "code": "", "why": "",
        "stream": True, "total_ms": 1250.0, "first_ms": 500.0, "added_ms": 2.5, "gap_ms": 300.0,
        "call": "", "bytes": 42, "bytes_in": 0,
        "input": 10, "cache_read": 20, "cache_write": 30, "output": 40,
        "reasoning": 5, "attempts": [], "losses": {"top_k": 1}, "worker": None,
    }  # fmt: skip
    assert set(LABELS) < set(told)


def test_every_field_is_documented() -> None:
    """docs/monitoring.md explains each field, in the order of the table, and marks those that are labels."""
    text = (Path(__file__).parents[2] / "docs" / "monitoring.md").read_text()
    section = text.partition("### The line of an exchange")[2].partition("\n### ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert named == list(fields_of(served()))
    assert {re.findall(r"`(\w+)`", row)[0] for row in rows if "*" in row} == set(LABELS)


def test_line() -> None:
    """The text for people; any observer of Twisted's prints it."""
    events: list[dict[str, object]] = []
    served().log_line(Logger(observer=events.append))  # type: ignore[arg-type]
    assert formatEvent(events[0]) == (
        "mapped     200 completed        1250.0ms POST /v1/messages gpt-5 -> claude-x claude-api-key[0]"
        " first=500.0ms added=2.5ms tokens=60+40 bytes=42 client=key0"
    )


def test_line_of_what_never_was_asked() -> None:
    """A refusal leaves out what is not known, and says why."""
    record = ExchangeRecord(started=1.0, method="GET", path="/x", status=404, code="not_found")
    record.close(1.0, Outcome.REFUSED, "There is\x1b no such path.\nReally.")
    events: list[dict[str, object]] = []
    record.log_line(Logger(observer=events.append))  # type: ignore[arg-type]
    assert formatEvent(events[0]) == (
        "none       404 refused             0.0ms GET /x bytes=0 client=- code=not_found"
        " (There is\\x1b no such path.)"
    )
    assert events[0]["first_ms"] is events[0]["added_ms"] is events[0]["input"] is None


def test_gaps() -> None:
    """Pauses are counted by length; only those that one notices can be the longest."""
    gaps = Gaps()
    for seconds in (0.01, 0.1, 0.11, 2.5, 299.0, 1000.0):
        gaps.add(seconds)
    assert len(gaps.counts) == len(BOUNDS) + 1
    assert gaps.counts == [2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1]
    assert gaps.longest == 1000.0
    assert abs(gaps.total - 1301.72) < 1e-6
