"""Single exchanges out of a ledger, the newest first: found from its end, some at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ampproxy.ledger.entry import Entry, Series, Tokens, unpacked_thread
from ampproxy.ledger.reading import Position, Readable, Row, compared, listed, valued

_COLUMNS = ("id", "series", "thread", "status", "first_ms", "total_ms", *Tokens._fields)
#: Only this table stands in FROM, so it is read in the order of its key, for as many rows as are wanted.
_ROWS = f"""
    SELECT {listed(_COLUMNS)}, {{more}} FROM exchanges
    WHERE exchanges.id >= :since AND {{only}} AND exchanges.series IN (SELECT id FROM wanted)
    ORDER BY {{order}} LIMIT {{most:d}}
"""  # noqa: S608
_FAILED = "(exchanges.status >= 400 OR exchanges.series IN (SELECT id FROM wanted WHERE failed = 1))"


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
    """The exchanges of a ledger that are wanted. One of them at a time reads a ledger that was opened, and
    none after an error.

    :param position: where :meth:`new` begins; by default at the beginning of the ledger.
    :ivar position: where it has got to.
    """

    def __init__(self, ledger: Readable, wanted: Wanted, position: Position = ()) -> None:
        self._ledger = ledger
        self._wanted = wanted
        self._series: dict[int, Series] = {}
        self._known = 0
        #: Rows that :meth:`newest` gave although others may become visible before them.
        self._given: set[Row] = set()
        self.position = position or (0,) * len(ledger.arrival)

    def newest(self, most: int) -> list[Entry]:
        """The last ones, in the order in which they ended; :meth:`new` goes on behind them.

        :raises LedgerError: the ledger cannot be read.
        """
        ledger = self._ledger
        order = ", ".join(f"exchanges.{name} DESC" for name in ledger.identity)
        with ledger.moment():
            self.position = ledger.end()
            found = self._read((), order, most)[::-1]
        self._given = {self._identity(row) for row in found if self._arrival(row) > self.position}
        return [self._entry(row) for row in found]

    def new(self, most: int) -> list[Entry]:
        """Those that have become visible since, in that order, and no more than so many.

        :raises LedgerError: the ledger cannot be read.
        """
        ledger = self._ledger
        only = (ledger.settled, compared(ledger.arrival, ">", "after"))
        with ledger.moment():
            found = self._read(only, listed(ledger.arrival), most)
        if found:
            self.position = self._arrival(found[-1])
        return [self._entry(row) for row in found if self._identity(row) not in self._given]

    def _read(self, only: tuple[str, ...], order: str, most: int) -> list[Row]:
        wanted, ledger = self._wanted, self._ledger
        self._note_series()
        if not self._series:
            # None of ten million would be.
            return []
        values: dict[str, object] = {"since": wanted.since}
        if only:
            values.update(valued("after", self.position))
        if wanted.thread:
            only = (*only, "exchanges.thread = :thread")
            values["thread"] = ledger.thread_key(wanted.thread)
        if wanted.errors:
            only = (*only, _FAILED)
        statement = _ROWS.format(
            more=f"{listed(ledger.identity)}, {listed(ledger.arrival)}",
            only=" AND ".join(only or ("1 = 1",)),
            order=order,
            most=most,
        )
        return ledger.rows(statement, values)

    def _note_series(self) -> None:
        """Keep which series are wanted; those that are new, where some are known already."""
        ledger = self._ledger
        ledger.rows(
            "CREATE TEMP TABLE IF NOT EXISTS wanted (id INTEGER PRIMARY KEY, failed INTEGER NOT NULL)"
        )
        if not self._known:
            ledger.rows("DELETE FROM wanted")
        columns = ", ".join(Series._fields)
        found = ledger.rows(
            f"SELECT id, {columns} FROM series WHERE id > :known ORDER BY id",  # noqa: S608
            {"known": self._known},
        )
        pairs = []
        for number, *values in found:
            series = _series(values)
            self._known = number
            if self._wanted.series(series):
                self._series[number] = series
                pairs.append((number, int(series.outcome != "completed")))
        ledger.fill("wanted", ("id", "failed"), pairs)

    def _identity(self, row: Row) -> Row:
        start = len(_COLUMNS)
        return row[start : start + len(self._ledger.identity)]

    def _arrival(self, row: Row) -> Row:
        return row[len(_COLUMNS) + len(self._ledger.identity) :]

    def _entry(self, row: Row) -> Entry:
        at, number, thread, status, first_ms, total_ms, *counts = row[: len(_COLUMNS)]
        tokens = None if counts[0] is None else Tokens._make(count or 0 for count in counts)
        return Entry(at, self._series[number], unpacked_thread(thread), status, tokens, first_ms, total_ms)


def _series(values: list[object]) -> Series:
    series = Series._make(values)
    return series._replace(amp=bool(series.amp))
