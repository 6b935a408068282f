"""The log as the ledger has it: rows by their number, newest first, a page at a time. Called in threads."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path

from ampproxy.config.schema import Config
from ampproxy.credentials.names import account_name
from ampproxy.dashboard.desk import Books
from ampproxy.dashboard.exchanges import cost_of
from ampproxy.dashboard.shapes import Exchange, Log
from ampproxy.ledger.entry import Series, Tokens, unpacked_thread
from ampproxy.ledger.place import place_of
from ampproxy.ledger.prices import PriceBook
from ampproxy.ledger.reading import Position, Readable, Row, Values, compared, listed, valued
from ampproxy.model.base import Value

#: Rows that one answer looks at: where few fit, the next answer goes on behind them.
LOOKED_AT = 20_000
_COLUMNS = ("id", "thread", "status", "first_ms", "total_ms", *Tokens._fields)
_SERIES = ", ".join(f"series.{name}" for name in Series._fields)
#: A bounded piece of the table by its key, then what fits of it.
_ROWS = f"""
SELECT {listed(_COLUMNS)}, {_SERIES}, {{identity}}
FROM (SELECT * FROM exchanges{{before}} ORDER BY {{order}} LIMIT :looked) AS exchanges
JOIN series ON series.id = exchanges.series
{{only}} ORDER BY {{order}} LIMIT :most
"""  # noqa: S608  names of columns alone
#: The last row of such a piece, and whether there is one behind it.
_LAST = "SELECT {identity} FROM exchanges{before} ORDER BY {order} LIMIT 2 OFFSET :skipped"
#: What a value that is wanted demands.
_ONLY = {
    "client": "series.client = :client",
    "model": "(series.asked = :model OR series.served = :model)",
    "account": "series.account = :account",
    "thread": "exchanges.thread = :thread",
}
_ERRORS = "series.outcome NOT IN ('completed', 'client-left')"
#: A row's number, as the page knows it: with PostgreSQL's of several parts.
_NUMBER = re.compile(r"[0-9]{1,19}(?:-[0-9]{1,19}){0,3}\Z")
_MAX_INTEGER = 2**63 - 1


class Wanted(Value, frozen=True):
    """Which rows.

    :param before: only rows with a smaller number; empty: any.
    :param most: how many.
    :param account: its label.
    :param errors: only what ended otherwise than well.
    """

    before: str = ""
    most: int = 50
    client: str = ""
    model: str = ""
    account: str = ""
    thread: str = ""
    errors: bool = False


def is_number(text: str) -> bool:
    """Whether a text may be the number of a row."""
    return bool(_NUMBER.match(text)) and all(int(part) <= _MAX_INTEGER for part in text.split("-"))


def log(folder: Path | None, config: Config, books: Books, wanted: Wanted) -> Log:
    """Rows of the ledger.

    :param folder: of the state; ``None``: nothing is kept.
    :raises LedgerError: the ledger or the prices cannot be read.
    """
    place = None if folder is None else place_of(config, folder)
    if place is None or not place.exists():
        return Log(False, (), "")
    prices = books.of(config)
    names = {account.label: account_name(account) for account in config.accounts}
    labels = {name: label for label, name in names.items()}
    account = names.get(wanted.account, wanted.account)
    with closing(place.open()) as ledger, ledger.moment():
        piece = _Piece(ledger, wanted, account)
        rows = tuple(_row(row, prices, labels) for row in piece.rows())
        return Log(True, rows, piece.next(rows))


class _Piece:
    """The rows of one answer.

    :param account: the name that the ledger keeps of the account that is wanted.
    """

    def __init__(self, ledger: Readable, wanted: Wanted, account: str) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._account = account
        identity = ledger.identity
        before = _position(wanted.before, len(identity))
        self._values: Values = valued("before", before)
        self._words = {
            "identity": listed(identity),
            "order": ", ".join(f"exchanges.{name} DESC" for name in identity),
            "before": f" WHERE {compared(identity, '<', 'before')}" if before else "",
        }

    def rows(self) -> list[Row]:
        """Those that are wanted, out of a bounded piece of the ledger."""
        wanted = self._wanted
        only = {name: getattr(wanted, name) for name in _ONLY if getattr(wanted, name)}
        conditions = [_ONLY[name] for name in only] + ([_ERRORS] if wanted.errors else [])
        if "thread" in only:
            only["thread"] = self._ledger.thread_key(wanted.thread)
        if "account" in only:
            only["account"] = self._account
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = _ROWS.format(only=where, **self._words)
        return self._ledger.rows(
            statement, {**self._values, **only, "looked": LOOKED_AT, "most": wanted.most}
        )

    def next(self, rows: tuple[Exchange, ...]) -> str:
        """The number before which the next rows are; empty: there are none."""
        if len(rows) == self._wanted.most:
            return rows[-1].id
        last = self._ledger.rows(_LAST.format(**self._words), {**self._values, "skipped": LOOKED_AT - 1})
        return _number(last[0]) if len(last) == 2 else ""


def _position(number: str, parts: int) -> Position:
    """The position of a row; of one that another engine numbered, as much as is known."""
    if not number:
        return ()
    found = tuple(int(part) for part in number.split("-"))[:parts]
    return (*found, *(0,) * (parts - len(found)))


def _number(identity: Row) -> str:
    return "-".join(map(str, identity))


def _row(row: Row, prices: PriceBook, labels: dict[str, str]) -> Exchange:
    number, thread, status, first_ms, total_ms, *rest = row
    counted, rest = rest[: len(Tokens._fields)], rest[len(Tokens._fields) :]
    series, identity = Series._make(rest[: len(Series._fields)]), rest[len(Series._fields) :]
    tokens = None if counted[0] is None else Tokens._make(value or 0 for value in counted)
    return Exchange(
        id=_number(tuple(identity)),
        at=number / 1_000_000,
        route=series.route,
        outcome=series.outcome,
        status=status,
        asked=series.asked,
        served=series.served,
        account=labels.get(series.account, series.account),
        client=series.client,
        role=series.role,
        thread=unpacked_thread(thread),
        input=None if tokens is None else tokens.input,
        cache_read=None if tokens is None else tokens.cache_read,
        cache_write=None if tokens is None else tokens.cache_write,
        output=None if tokens is None else tokens.output,
        reasoning=None if tokens is None else tokens.reasoning,
        usd=cost_of(series, tokens, number, prices),
        first_ms=first_ms,
        total_ms=total_ms,
    )
