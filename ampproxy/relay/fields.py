"""What of an exchange is shown: one table, for the log's text, for its JSON and for the labels of metrics.

docs/monitoring.md lists the table; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ampproxy.relay.losses import counted
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
        "client": record.client,
        "thread": record.thread,
        "outcome": record.outcome.value,
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
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000.0, 1)


def _same(text: str) -> str:
    return text


def line_of(fields: Mapping[str, Any], clean: Callable[[str], str] = _same) -> str:
    """The fields as one line for people: what always is there in columns, then names and values, without
    those that say nothing.

    :param fields: those of the table; ``show_losses``, where it is true, has the losses shown, too.
    :param clean: what every text from elsewhere goes through.
    """
    status, model, served = fields["status"], fields["model"], fields["served"]
    line = (
        f"{fields['kind']:<10} {status or '-':>3} {fields['outcome']:<14} {fields['total_ms']:>8.1f}ms"
        f" {clean(fields['method'])} {clean(fields['path'])}"
    )
    if model or served:
        line += f" {clean(model) or '-'} -> {clean(served) or '-'}"
    if account := fields["account"]:
        line += " " + clean(account)
    if (first := fields["first_ms"]) is not None:
        line += f" first={first}ms"
    if (added := fields["added_ms"]) is not None:
        line += f" added={added}ms"
    if gap := fields["gap_ms"]:
        line += f" gap={gap}ms"
    if (tokens := fields["input"]) is not None:
        line += f" tokens={tokens + fields['cache_read'] + fields['cache_write']}+{fields['output']}"
    line += f" bytes={fields['bytes']}"
    if inward := fields["bytes_in"]:
        line += f" in={inward}"
    for name in ("client", "role", "thread", "code"):
        if value := fields[name]:
            line += f" {name}={clean(value)}"
    if why := fields["why"]:
        line += f" ({clean(why)})"
    if fields.get("show_losses"):
        line += " losses=" + ",".join(f"{kind}:{count}" for kind, count in fields["losses"].items())
    return line
