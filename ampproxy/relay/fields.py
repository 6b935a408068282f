"""What of an exchange is shown: one table, for the log's text, for its JSON and for the labels of metrics.

docs/monitoring.md lists the table; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ampproxy.relay.losses import counted
from ampproxy.wire.redact import printable

if TYPE_CHECKING:
    from ampproxy.relay.record import ExchangeRecord


@dataclass(frozen=True, slots=True)
class Field:
    """One row of the table.

    :param name: in JSON, in the events of ``twisted.logger``, and as a label of metrics.
    :param take: its value of a record that has ended: text, a number, a list, a mapping, or ``None``
        where nothing is known.
    :param label: whether metrics may be split by it.
    """

    name: str
    take: Callable[[ExchangeRecord], Any]
    label: bool = False


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000.0, 1)


def _since(record: ExchangeRecord, moment: float | None) -> float | None:
    return None if moment is None else _ms(moment - record.started)


def added(record: ExchangeRecord) -> float | None:
    """The gateway's own share of an exchange, in seconds: from the whole question until the first request
    to an account or to Amp was on its way, plus what the answer's pieces spent in the gateway. What it
    takes to try further accounts is not in it. ``None`` where nobody was asked.
    """
    return None if record.sent is None else record.sent - record.started + record.busy


#: In the order of the JSON. A class of tokens is missing (``None``) where the vendor told no usage.
FIELDS = (
    Field("request", lambda record: record.request),
    Field("kind", lambda record: record.kind, label=True),
    Field("method", lambda record: record.method),
    Field("path", lambda record: record.path),
    Field("model", lambda record: printable(record.asked), label=True),
    Field("served", lambda record: record.served),
    Field("account", lambda record: record.account, label=True),
    Field("role", lambda record: record.role, label=True),
    Field("client", lambda record: record.client),
    Field("thread", lambda record: record.thread),
    Field("outcome", lambda record: "" if record.outcome is None else record.outcome.value, label=True),
    Field("status", lambda record: record.status),
    Field("code", lambda record: record.code, label=True),
    Field("why", lambda record: record.why),
    Field("stream", lambda record: record.stream),
    Field("total_ms", lambda record: _since(record, record.ended)),
    Field("first_ms", lambda record: _since(record, record.first_byte)),
    Field("added_ms", lambda record: _ms(added(record))),
    Field("gap_ms", lambda record: None if record.gaps is None else _ms(record.gaps.longest)),
    Field("bytes", lambda record: record.bytes_out),
    Field("bytes_in", lambda record: record.bytes_in),
    Field("input", lambda record: None if record.usage is None else record.usage.input),
    Field("cache_read", lambda record: None if record.usage is None else record.usage.cache_read),
    Field("cache_write", lambda record: None if record.usage is None else record.usage.cache_write),
    Field("output", lambda record: None if record.usage is None else record.usage.output),
    Field("reasoning", lambda record: None if record.usage is None else record.usage.reasoning),
    Field("attempts", lambda record: record.attempts),
    Field("losses", lambda record: counted(record.losses) if record.losses else {}),
)
_TAKERS = tuple((field.name, field.take) for field in FIELDS)


def fields_of(record: ExchangeRecord) -> dict[str, Any]:
    """Every field of a record that has ended."""
    return {name: take(record) for name, take in _TAKERS}


def line_of(fields: Mapping[str, Any]) -> str:
    """The fields as one line for people: what always is there in columns, then names and values, without
    those that say nothing.
    """
    get = fields.__getitem__
    parts = [
        f"{get('kind'):<10} {get('status') or '-':>3} {get('outcome'):<14} {get('total_ms') or 0:>8.1f}ms"
        f" {get('method')} {get('path')}"
    ]
    if get("model") or get("served"):
        parts.append(f"{get('model') or '-'} -> {get('served') or '-'}")
    if get("account"):
        parts.append(get("account"))
    if get("first_ms") is not None:
        parts.append(f"first={get('first_ms')}ms")
    if get("added_ms") is not None:
        parts.append(f"added={get('added_ms')}ms")
    if get("gap_ms"):
        parts.append(f"gap={get('gap_ms')}ms")
    if get("input") is not None:
        parts.append(f"tokens={get('input') + get('cache_read') + get('cache_write')}+{get('output')}")
    parts.append(f"bytes={get('bytes')}")
    if get("bytes_in"):
        parts.append(f"in={get('bytes_in')}")
    parts += [f"{name}={get(name)}" for name in ("client", "role", "thread", "code") if get(name)]
    if get("why"):
        parts.append(f"({get('why')})")
    return " ".join(parts)


class ExchangeLine:
    """The line of an exchange, made when it is asked for: most log formats never do."""

    __slots__ = ("_fields", "_more")

    def __init__(self, fields: Mapping[str, Any], more: str = "") -> None:
        self._fields = fields
        self._more = more

    def __str__(self) -> str:
        return line_of(self._fields) + self._more
