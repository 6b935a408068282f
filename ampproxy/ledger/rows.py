"""Single exchanges out of a ledger, the newest first: found from the end of the file, some at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Entry, Series, Tokens, packed_thread, unpacked_thread
from ampproxy.ledger.file import explained

_SERIES = ", ".join(f"series.{name}" for name in Series._fields)
_TOKENS = ", ".join(f"exchanges.{name}" for name in Tokens._fields)
#: The order of the joins is as it is written: from the newest row back, for as many as are wanted.
_ROWS = f"""
    SELECT exchanges.id, thread, status, first_ms, total_ms, {_TOKENS}, {_SERIES}
    FROM exchanges CROSS JOIN wanted ON wanted.id = exchanges.series
        CROSS JOIN series ON series.id = exchanges.series
    WHERE exchanges.id > :after AND exchanges.id >= :since
        AND (:thread IS NULL OR thread = :thread)
        AND (NOT :errors OR wanted.failed OR status >= 400)
    ORDER BY exchanges.id
"""  # noqa: S608


class Wanted(NamedTuple):
    """Which exchanges.

    :ivar series: whether those of a series may be among them.
    :ivar errors: those alone that did not go well.
    :ivar thread: those of one thread alone; empty: of any.
    :ivar since: those alone that ended at this time or later; in microseconds since the epoch.
    """

    series: Callable[[Series], bool] = lambda series: True
    errors: bool = False
    thread: str = ""
    since: int = 0


class Rows:
    """The exchanges of a ledger that are wanted.

    :param connection: as :func:`~ampproxy.ledger.file.open_to_read` gives it.
    """

    def __init__(self, connection: sqlite3.Connection, wanted: Wanted) -> None:
        self._connection = connection
        self._wanted = wanted
        self._known = 0

    def newest(self, most: int) -> list[Entry]:
        """The last ones, in the order in which they ended.

        :raises LedgerError: the file cannot be read.
        """
        return self._read(f"{_ROWS} DESC LIMIT {most:d}", 0)[::-1]

    def after(self, at: int, most: int) -> list[Entry]:
        """Those that ended after a time, in order, and no more than so many.

        :param at: :attr:`Entry.at` of one that is known.
        :raises LedgerError: the file cannot be read.
        """
        return self._read(f"{_ROWS} LIMIT {most:d}", at)

    def _read(self, query: str, after: int) -> list[Entry]:
        wanted, connection = self._wanted, self._connection
        try:
            connection.execute("PRAGMA temp_store = MEMORY")
            # One transaction: no row is of a series that is newer than those that are known.
            connection.execute("BEGIN")
            self._note_series()
            if not connection.execute("SELECT EXISTS (SELECT 1 FROM wanted)").fetchone()[0]:
                # None of ten million would be.
                connection.execute("COMMIT")
                return []
            rows = connection.execute(
                query,
                {
                    "after": after,
                    "since": wanted.since,
                    "errors": wanted.errors,
                    "thread": packed_thread(wanted.thread) if wanted.thread else None,
                },
            ).fetchall()
            connection.execute("COMMIT")
            return [_entry(row) for row in rows]
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read: {explained(error)}") from error

    def _note_series(self) -> None:
        """Keep which series are wanted; those that are new, where some are known already."""
        connection = self._connection
        connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY, failed INTEGER NOT NULL)"
        )
        columns = ", ".join(Series._fields)
        found = connection.execute(
            f"SELECT id, {columns} FROM series WHERE id > ? ORDER BY id",  # noqa: S608
            (self._known,),
        ).fetchall()
        pairs = []
        for number, *values in found:
            series = _series(values)
            self._known = number
            if self._wanted.series(series):
                pairs.append((number, series.outcome != "completed"))
        connection.executemany("INSERT INTO wanted VALUES (?, ?)", pairs)


def _entry(row: tuple[object, ...]) -> Entry:
    at, thread, status, first_ms, total_ms = row[:5]
    counts = row[5 : 5 + len(Tokens._fields)]
    tokens = None if counts[0] is None else Tokens._make(count or 0 for count in counts)
    series = _series(row[5 + len(Tokens._fields) :])
    return Entry(at, series, unpacked_thread(thread), status, tokens, first_ms, total_ms)  # type: ignore[arg-type]


def _series(values: object) -> Series:
    series = Series._make(values)  # type: ignore[arg-type]
    return series._replace(amp=bool(series.amp))
