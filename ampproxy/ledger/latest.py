"""The last exchange of a client, as the ledger has it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ampproxy.ledger.entry import Series, unpacked_thread
from ampproxy.ledger.reading import Readable


class Latest(NamedTuple):
    """One exchange.

    :ivar at: when it ended, in seconds since the epoch.
    :ivar input: all tokens of its prompt, cached ones included; ``None``: unknown, as ``output`` then is.
    """

    at: float
    thread: str
    asked: str
    served: str
    account: str
    route: str
    outcome: str
    status: int
    input: int | None
    output: int | None


_ROW = """
SELECT exchanges.id, series, thread, status, input + cache_read + cache_write, output FROM exchanges
    WHERE series IN ({numbers}) ORDER BY exchanges.id DESC LIMIT 1
"""
#: Of more series those that came last are looked at: a statement has an end.
_MOST_SERIES = 500


def latest(ledger: Readable, client: str, asked: Collection[str] | None = None) -> Latest | None:
    """The last exchange of a client; ``None``: there is none.

    :param client: its name.
    :param asked: the models that it may have asked for; ``None``: any.
    :raises LedgerError: the ledger cannot be read.
    """
    columns = ", ".join(Series._fields)
    with ledger.moment():
        rows = ledger.rows(f"SELECT id, {columns} FROM series WHERE client = :client", {"client": client})  # noqa: S608
        series = {int(number): Series._make(values) for number, *values in rows}
        if asked is not None:
            series = {number: one for number, one in series.items() if one.asked in asked}
        numbers = sorted(series)[-_MOST_SERIES:]
        found = ledger.rows(_ROW.format(numbers=", ".join(map(str, numbers)))) if numbers else []
    return _latest(series[found[0][1]], *found[0]) if found else None


def _latest(
    one: Series, at: int, _: int, thread: str | bytes, status: int, input: int | None, output: int | None
) -> Latest:
    return Latest(
        at / 1_000_000,
        unpacked_thread(thread),
        one.asked,
        one.served,
        one.account,
        one.route,
        one.outcome,
        status,
        input,
        output,
    )
