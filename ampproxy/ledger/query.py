"""Reads a ledger: sums by series, and by day or thread, over a span of time.

Whole days come from the daily sums; what a span begins or ends with within a day is summed up from the rows.
So a span is exact to the microsecond, and a year of it takes no longer than its days.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple

from ampproxy.ledger.entry import Series, Sums, Tokens, unpacked_thread
from ampproxy.ledger.file import DAY
from ampproxy.ledger.reading import Readable, Row
from ampproxy.model.base import Value

#: What :func:`read` gives sums by, besides the series themselves.
NOTHING, BY_DAY, BY_THREAD = "nothing", "day", "thread"


class Span(NamedTuple):
    """From a time up to, and not including, another; in microseconds since the epoch. ``None``: open."""

    since: int | None = None
    until: int | None = None


class Line(NamedTuple):
    """The sums of one series, on one day or of one thread if so asked.

    :ivar key: the day as days since the epoch, the thread, or nothing.
    :ivar day: a day of it, as days since the epoch: prices were the same on all days that are in.
    """

    key: int | str
    series: Series
    sums: Sums
    day: int = 0


class Reading(Value, frozen=True):
    """What was found.

    :param rows_since: rows from before this time are gone, only their daily sums are there; in microseconds
        since the epoch.
    :param rounded: days that are in as a whole, although the span has only a part of them: their rows are
        gone.
    """

    lines: list[Line]
    rows_since: int = 0
    rounded: tuple[int, ...] = ()


_SUMMED = ", ".join(f"sum({name})" for name in Sums._fields)
_TOKENS = ", ".join(f"coalesce(sum({name}), 0)" for name in Tokens._fields)
_COUNTED = f"count(*), count(input), {_TOKENS}, coalesce(sum(first_ms), 0), count(first_ms), sum(total_ms)"
_ROW_KEYS = {NOTHING: "0", BY_DAY: f"exchanges.id / {DAY}", BY_THREAD: "thread"}
_DAY_KEYS = {NOTHING: "0", BY_DAY: "day"}
#: No time comes after it: the largest integer of either engine.
_END = 2**63 - 1
#: Days on which prices change that are told apart in one reading; of more, the latest.
_MAX_CHANGES = 50


def unchanging(series: Series) -> tuple[int, ...]:
    """Of a price that never changes: on no day."""
    return ()


def read(
    ledger: Readable,
    span: Span,
    by: str = NOTHING,
    same: Callable[[Series], Hashable] = lambda series: series,
    changes: Callable[[Series], Iterable[int]] = unchanging,
) -> Reading:
    """The sums of a span, by series and by day or thread.

    :param by: :data:`NOTHING`, :data:`BY_DAY` or :data:`BY_THREAD`.
    :param same: series for which it gives the same are summed up as one, and stand there as any of them.
    :param changes: the days, since the epoch, on which the price of a series changes: what was before, and
        what is from then on, are told apart.
    :raises LedgerError: the ledger cannot be read to its end.
    """
    since = 0 if span.since is None else min(max(span.since, 0), _END)
    until = _END if span.until is None else min(span.until, _END)
    with ledger.moment():
        return _read(ledger, since, max(since, until), by, same, changes)


def _read(
    ledger: Readable,
    since: int,
    until: int,
    by: str,
    same: Callable[[Series], Hashable],
    changes: Callable[[Series], Iterable[int]],
) -> Reading:
    found = ledger.rows("SELECT value FROM state WHERE name = 'rows_since'")
    rows_since = found[0][0] if found else 0
    names = _merged(ledger, same)
    table = _Tables(ledger, by, _changing(names.values(), changes, since, until), since // DAY)
    if by == BY_THREAD:
        return Reading(table.lines(names, table.rows(since, until)), rows_since)
    records: list[Row] = []
    rounded: list[int] = []
    first, last = -(-since // DAY), until // DAY
    edges = [(since, until)] if first > last else [(since, first * DAY), (last * DAY, until)]
    for begin, end in edges:
        if begin >= end:
            continue
        day = begin // DAY
        whole = table.days(day, day + 1) if begin < rows_since else []
        if whole:
            rounded.append(day)
        records += whole or table.rows(begin, end)
    records += table.days(first, last)
    return Reading(table.lines(names, records), rows_since, tuple(rounded))


def _changing(
    series: Iterable[Series], changes: Callable[[Series], Iterable[int]], since: int, until: int
) -> list[int]:
    """The days within a span on which any price changes."""
    days = sorted({day for one in series for day in changes(one) if since < day * DAY < until})
    return days[-_MAX_CHANGES:]


def _merged(ledger: Readable, same: Callable[[Series], Hashable]) -> dict[int, Series]:
    """The series by number, one for all that are the same; a table ``merged`` says which stands for which."""
    found: dict[int, Series] = {}
    numbers: dict[Hashable, int] = {}
    pairs = []
    columns = ", ".join(Series._fields)
    for number, *values in ledger.rows(f"SELECT id, {columns} FROM series"):  # noqa: S608
        series = Series._make(values)
        series = series._replace(amp=bool(series.amp))
        part = numbers.setdefault(same(series), number)
        found.setdefault(part, series)
        pairs.append((number, part))
    ledger.rows("CREATE TEMP TABLE IF NOT EXISTS merged (id INTEGER PRIMARY KEY, part INTEGER NOT NULL)")
    ledger.rows("DELETE FROM merged")
    ledger.fill("merged", ("id", "part"), pairs)
    return found


class _Tables:
    """The two tables, each summed up by key, by series, and by the days on which prices change.

    :param changes: those days, in order.
    :param first: the first day of the span.
    """

    def __init__(self, ledger: Readable, by: str, changes: list[int], first: int) -> None:
        self._ledger = ledger
        self._first = first
        self._by = by
        self._changes = changes

    def days(self, first: int, last: int) -> list[Row]:
        """The sums of whole days, up to and not including the last."""
        what = (
            f"SELECT {_DAY_KEYS[self._by]} AS key, part, {self._period('day', 1)} AS period, {_SUMMED}"  # noqa: S608
            " FROM daily JOIN merged ON merged.id = daily.series"
            " WHERE day >= :first AND day < :last GROUP BY key, part, period"
        )
        return self._ledger.rows(what, {"first": first, "last": last})

    def rows(self, begin: int, end: int) -> list[Row]:
        """The sums of rows."""
        what = (
            f"SELECT {_ROW_KEYS[self._by]} AS key, part, {self._period('exchanges.id', DAY)} AS period,"  # noqa: S608
            f" {_COUNTED} FROM exchanges JOIN merged ON merged.id = exchanges.series"
            " WHERE exchanges.id >= :begin AND exchanges.id < :end GROUP BY key, part, period"
        )
        return self._ledger.rows(what, {"begin": begin, "end": end})

    def _period(self, column: str, unit: int) -> str:
        """An expression for how many of the changes had been."""
        each = (f"CASE WHEN {column} >= {day * unit} THEN 1 ELSE 0 END" for day in self._changes)
        return " + ".join(each) or "0"

    def lines(self, names: dict[int, Series], records: Iterable[Row]) -> list[Line]:
        """What was found, with names."""
        lines = []
        for key, part, period, *sums in records:
            shown = unpacked_thread(key) if self._by == BY_THREAD else key
            lines.append(Line(shown, names[part], Sums._make(sums), self._day(period)))
        return lines

    def _day(self, period: int) -> int:
        """A day of a period."""
        return self._changes[period - 1] if period else self._first
