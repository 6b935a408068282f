"""The log as the ledger has it: rows by their number, newest first, a page at a time. Called in threads."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ampproxy.config.schema import Config
from ampproxy.credentials.names import account_name
from ampproxy.dashboard.desk import Books
from ampproxy.dashboard.exchanges import cost_of
from ampproxy.dashboard.shapes import Exchange, Log
from ampproxy.ledger import NAME, LedgerError
from ampproxy.ledger.entry import Series, Tokens, packed_thread, unpacked_thread
from ampproxy.ledger.file import exists, explained, open_to_read
from ampproxy.ledger.prices import PriceBook

#: Rows that one answer looks at: where few fit, the next answer goes on behind them.
LOOKED_AT = 20_000
#: SQLite's largest integer: no row's number comes after it.
END = 2**63 - 1
_TOKENS = ", ".join(f"e.{name}" for name in Tokens._fields)
_SERIES = ", ".join(f"s.{name}" for name in Series._fields)
#: A bounded piece of the table by its key, then what fits of it.
_ROWS = f"""
SELECT e.id, e.thread, e.status, e.first_ms, e.total_ms, {_TOKENS}, {_SERIES}
FROM (SELECT * FROM exchanges WHERE id < :before ORDER BY id DESC LIMIT :looked) AS e
JOIN series AS s ON s.id = e.series
WHERE (:client = '' OR s.client = :client)
  AND (:model = '' OR s.asked = :model OR s.served = :model)
  AND (:account = '' OR s.account = :account)
  AND (:thread = '' OR e.thread = :thread_key)
  AND (NOT :errors OR s.outcome NOT IN ('completed', 'client-left'))
ORDER BY e.id DESC LIMIT :most
"""  # noqa: S608  names of columns alone
_LAST = "SELECT min(id) FROM (SELECT id FROM exchanges WHERE id < ? ORDER BY id DESC LIMIT ?)"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows.

    :param before: only rows with a smaller number.
    :param most: how many.
    :param account: its label.
    :param errors: only what ended otherwise than well.
    """

    before: int = END
    most: int = 50
    client: str = ""
    model: str = ""
    account: str = ""
    thread: str = ""
    errors: bool = False


def log(folder: Path | None, config: Config, books: Books, wanted: Wanted) -> Log:
    """Rows of the ledger.

    :param folder: of the state; ``None``: nothing is kept.
    :raises LedgerError: the ledger or the prices cannot be read.
    """
    path = None if folder is None else folder / NAME
    if path is None or not exists(path):
        return Log(False, (), "")
    prices = books.of(config)
    names = {account.label: account_name(account) for account in config.accounts}
    labels = {name: label for label, name in names.items()}
    values = {
        "before": wanted.before,
        "looked": LOOKED_AT,
        "most": wanted.most,
        "client": wanted.client,
        "model": wanted.model,
        "account": names.get(wanted.account, wanted.account),
        "thread": wanted.thread,
        "thread_key": packed_thread(wanted.thread),
        "errors": wanted.errors,
    }
    try:
        with closing(open_to_read(path)) as connection:
            found = connection.execute(_ROWS, values).fetchall()
            rows = tuple(_row(values, prices, labels) for values in found)
            return Log(True, rows, _next(connection, wanted, rows))
    except sqlite3.Error as error:
        raise LedgerError(f"the ledger cannot be read: {explained(error)}") from error


def _next(connection: sqlite3.Connection, wanted: Wanted, rows: tuple[Exchange, ...]) -> str:
    """The number before which the next rows are; empty: there are none."""
    if len(rows) == wanted.most:
        return rows[-1].id
    last = connection.execute(_LAST, (wanted.before, LOOKED_AT)).fetchone()[0]
    if last is None:
        return ""
    more = connection.execute("SELECT 1 FROM exchanges WHERE id < ? LIMIT 1", (last,)).fetchone()
    return str(last) if more else ""


def _row(values: tuple[object, ...], prices: PriceBook, labels: dict[str, str]) -> Exchange:
    number, thread, status, first_ms, total_ms, *rest = values
    counted = rest[: len(Tokens._fields)]
    series = Series._make(rest[len(Tokens._fields) :])
    assert isinstance(number, int)
    tokens = None if counted[0] is None else Tokens._make(value or 0 for value in counted)
    return Exchange(
        id=str(number),
        at=number / 1_000_000,
        route=series.route,
        outcome=series.outcome,
        status=status,  # type: ignore[arg-type]  # the columns' types are the table's
        asked=series.asked,
        served=series.served,
        account=labels.get(series.account, series.account),
        client=series.client,
        role=series.role,
        thread=unpacked_thread(thread),  # type: ignore[arg-type]
        input=None if tokens is None else tokens.input,
        cache_read=None if tokens is None else tokens.cache_read,
        cache_write=None if tokens is None else tokens.cache_write,
        output=None if tokens is None else tokens.output,
        reasoning=None if tokens is None else tokens.reasoning,
        usd=cost_of(series, tokens, number, prices),
        first_ms=first_ms,  # type: ignore[arg-type]
        total_ms=total_ms,  # type: ignore[arg-type]
    )
