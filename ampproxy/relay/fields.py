"""What of an exchange is shown: one table, for the log's text, for its JSON and for the labels of metrics.

docs/monitoring.md lists the table; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ampproxy.relay.losses import counted, summary
from ampproxy.wire.redact import printable

if TYPE_CHECKING:
    from ampproxy.relay.record import ExchangeRecord

#: The fields that metrics may be split by.
LABELS = ("kind", "model", "account", "role", "outcome", "code")

_NO_LOSSES: Mapping[str, int] = {}


def fields_of(record: ExchangeRecord) -> dict[str, Any]:
    """The table: every field of a record that has ended, in the order of the JSON.

    Values are texts, numbers, lists and mappings of these, or ``None`` where nothing is known. Times are
    milliseconds. One literal, not a row for each: it is made for every exchange.
    """
    assert record.ended is not None
    assert record.outcome is not None
    started, usage, gaps = record.started, record.usage, record.gaps
    return {
        "request": record.request,
        "kind": record.kind,
        "method": record.method,
        "path": record.path,
        "model": printable(record.asked),
        "served": record.served,
        "account": record.account,
        "role": record.role,
        "call": record.call,
        "client": record.client,
        "thread": record.thread,
        "outcome": record.outcome.text,
        "status": record.status,
        "code": record.code,
        "why": record.why,
        "stream": record.stream,
        "total_ms": _ms(record.ended - started),
        "first_ms": None if record.first_byte is None else _ms(record.first_byte - started),
        "added_ms": None if record.sent is None else _ms(record.sent - started + record.busy),
        "gap_ms": None if gaps is None else _ms(gaps.longest),
        "bytes": record.bytes_out,
        "bytes_in": record.bytes_in,
        "input": None if usage is None else usage.input,
        "cache_read": None if usage is None else usage.cache_read,
        "cache_write": None if usage is None else usage.cache_write,
        "output": None if usage is None else usage.output,
        "reasoning": None if usage is None else usage.reasoning,
        "attempts": record.attempts,
        "losses": counted(record.losses) if record.losses else _NO_LOSSES,
        "worker": record.worker or None,
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 1)


def _same(text: str) -> str:
    return text


def line_of(record: ExchangeRecord, clean: Callable[[str], str] = _same) -> str:
    """A record that has ended as one line for people: what always is there in columns, then names and values,
    without those that say nothing.

    :param clean: what every text from elsewhere goes through.
    """
    assert record.ended is not None
    assert record.outcome is not None
    started, asked, served = record.started, record.asked, record.served
    line = (
        f"{record.kind:<10} {record.status or '-':>3} {record.outcome.text:<14}"
        f" {(record.ended - started) * 1000.0:>8.1f}ms {clean(record.method)} {clean(record.path)}"
    )
    if asked or served:
        line += f" {clean(printable(asked)) or '-'} -> {clean(served) or '-'}"
    if record.account:
        line += " " + clean(record.account)
    if record.first_byte is not None:
        line += f" first={(record.first_byte - started) * 1000.0:.1f}ms"
    if record.sent is not None:
        line += f" added={(record.sent - started + record.busy) * 1000.0:.1f}ms"
    if record.gaps is not None and record.gaps.longest:
        line += f" gap={record.gaps.longest * 1000.0:.1f}ms"
    if (usage := record.usage) is not None:
        line += f" tokens={usage.input + usage.cache_read + usage.cache_write}+{usage.output}"
    line += f" bytes={record.bytes_out}"
    if record.bytes_in:
        line += f" in={record.bytes_in}"
    line += f" client={clean(record.client)}"
    if record.role:
        line += f" role={clean(record.role)}"
    if record.call:
        line += f" call={record.call}"
    if record.thread:
        line += f" thread={clean(record.thread)}"
    if record.worker:
        line += f" worker={record.worker}"
    if record.code:
        line += f" code={clean(record.code)}"
    if record.why:
        line += f" ({clean(record.why)})"
    if record.losses and record.show_losses:
        line += f" losses={summary(record.losses)}"
    return line
