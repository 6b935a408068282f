"""Entries and records to try the ledger with."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from ampproxy.ledger.entry import Entry, Series, Tokens
from ampproxy.ledger.file import DAY
from ampproxy.model.events import Usage
from ampproxy.relay.record import ExchangeRecord, Outcome

THREAD = "T-0123abcd-4567-4890-abcd-ef0123456789"
SECOND = 1_000_000
SERIES = Series(
    client="key0",
    role="smart",
    asked="claude-opus-4-6",
    served="claude-opus-4-6",
    account="claude-api-key[0]",
    route="local",
    outcome="completed",
    amp=True,
)
TOKENS = Tokens(100, 2000, 300, 40, 5)


def moment(text: str) -> int:
    """Microseconds since the epoch of a time in UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * SECOND)


NOON = moment("2026-11-01T12:00:00")
assert NOON % DAY == DAY // 2


def entry(at: int = NOON, *, tokens: Tokens | None = TOKENS, thread: str = THREAD, **series: Any) -> Entry:
    """A row; what is named differs from the usual."""
    return Entry(at, SERIES._replace(**series), thread, 200, tokens, 250, 1500)


def keyed(entries: Iterable[Entry], writer: int, first: int) -> list[Entry]:
    """Rows with the keys that a process gives them, counted from a number on."""
    return [entry._replace(writer=writer, number=number) for number, entry in enumerate(entries, first)]


def record(**changes: Any) -> ExchangeRecord:
    """An exchange that has ended; what is named differs from the usual."""
    found = ExchangeRecord(
        started=100.0,
        method="POST",
        path="/api/provider/anthropic/v1/messages",
        client="key0",
        thread=THREAD,
        role="smart",
        kind="local",
        asked="claude-opus-4-6",
        served="claude-opus-4-6",
        account="claude-api-key[0]",
        status=200,
        first_byte=100.25,
        usage=Usage(input=100, cache_read=2000, cache_write=300, output=40, reasoning=5),
    )
    outcome = changes.pop("outcome", Outcome.COMPLETED)
    for name, value in changes.items():
        setattr(found, name, value)
    found.close(101.5, outcome)
    return found
