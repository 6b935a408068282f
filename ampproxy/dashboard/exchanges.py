"""Exchanges as the page shows them: from records, under way or just ended, and from rows of the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ampproxy.dashboard.shapes import Exchange
from ampproxy.ledger.entry import MODEL_ROUTES, Entry, Series, Sums, Tokens, entry_of
from ampproxy.ledger.file import DAY
from ampproxy.ledger.prices import PriceBook
from ampproxy.ledger.query import Line
from ampproxy.ledger.report import report
from ampproxy.relay.record import ExchangeRecord
from ampproxy.wire.redact import LOOKED_AT, printable

#: Characters of a text that is shown of others.
_MAX_TEXT = 300


def cost_of(series: Series, tokens: Tokens | None, at: int, prices: PriceBook) -> float | None:
    """What one exchange cost, in US dollars; ``None``: not known.

    :param at: when it ended, in microseconds since the epoch.
    """
    if series.route not in MODEL_ROUTES or tokens is None:
        return None
    sums = Sums(1, 1, *tokens, first_ms=0, firsts=0, total_ms=0)
    cost = report([Line(0, series, sums, at // DAY)], "route", prices).total.cost
    return None if cost.missing else round(cost.amount, 8)


def ended(record: ExchangeRecord, wall: float, prices: PriceBook | None) -> Exchange:
    """A record that has ended. May be called in any thread.

    :param wall: when, in seconds since the epoch.
    """
    entry: Entry = entry_of(record, wall)
    usage = record.usage
    return Exchange(
        **_asked(record),
        at=wall,
        outcome=entry.series.outcome,
        input=None if usage is None else usage.input,
        cache_read=None if usage is None else usage.cache_read,
        cache_write=None if usage is None else usage.cache_write,
        output=None if usage is None else usage.output,
        reasoning=None if usage is None else usage.reasoning,
        usd=None if prices is None else cost_of(entry.series, entry.tokens, entry.at, prices),
        first_ms=entry.first_ms,
        total_ms=entry.total_ms,
        code=record.code,
        why=_short(record.why),
        failed=record.failed,
    )


def running(records: Iterable[ExchangeRecord], now: float, wall: float) -> tuple[Exchange, ...]:
    """Records of running exchanges.

    :param now: monotonic seconds, when it is ``wall``.
    """
    return tuple(
        Exchange(
            **_asked(record),
            at=wall - max(0.0, now - record.started),
            outcome="",
            first_ms=None if record.first_byte is None else int((record.first_byte - record.started) * 1000),
        )
        for record in records
    )


def _asked(record: ExchangeRecord) -> dict[str, Any]:
    """What a record knows from its beginning on."""
    same = ("status", "account", "client", "role", "thread", "method", "stream", "reasons")
    shortened = {name: _short(getattr(record, name)) for name in ("asked", "served", "path")}
    known = {name: getattr(record, name) for name in same}
    return {"id": record.request, "route": record.kind, **known, **shortened}


def _short(text: str) -> str:
    return printable(text[:LOOKED_AT])[:_MAX_TEXT]
