"""Writes batches into the ledger's file, and makes room in it. Called in one thread at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from ampproxy.ledger import LedgerError
from ampproxy.ledger.cleaned import clean_series
from ampproxy.ledger.entry import Entry, Series, Sums, Tokens, clean_name, packed_thread
from ampproxy.ledger.file import DAY, TROUBLE, explained, open_to_write

#: Series of one day, beyond which further ones are counted as one: clients choose the names of models.
MAX_SERIES = 2000
#: What stands for the names of those.
OTHERS = "(others)"

#: Rows that one step of making room removes, and pages that it gives back to the system.
STEP = 5000
#: Bytes that a row takes, about.
_ROW_SIZE = 55
_PAGES = 500
#: Days of sums that one step removes.
_DAYS = 30

#: Rows in one statement. Python's lock is let go and fought for at every statement, not at every row.
_CHUNKS = (100, 10, 1)
_COLUMNS = ("id", "series", "thread", "status", *Tokens._fields, "first_ms", "total_ms")
_ADDED = ", ".join(f"{name} = {name} + excluded.{name}" for name in Sums._fields)
_DAILY = (
    f"INSERT INTO daily (day, series, {', '.join(Sums._fields)})"  # noqa: S608
    f" VALUES (?, ?, {', '.join('?' * len(Sums._fields))})"
    f" ON CONFLICT (day, series) DO UPDATE SET {_ADDED}"
)
_NAMES = ", ".join(Series._fields)
_SAME = " AND ".join(f"{name} = ?" for name in Series._fields)
#: How many numbers a day's sums are.
_SUMS = len(Sums._fields)
_UNKNOWN = (None,) * len(Tokens._fields)

Row = tuple[object, ...]


class Store:
    """The file, as its writer sees it. It is opened when something is written first, and again after an error
    or when another file stands in its place.

    :param max_series: takes the place of :data:`MAX_SERIES`.
    """

    def __init__(self, path: Path, max_series: int = 0) -> None:
        self.path = path
        self._max_series = max_series
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._ids: dict[Series, int] = {}
        self._counted: set[int] = set()
        self._day = -1

    def close(self) -> None:
        """Close it; what was written is in the file."""
        connection, self._connection = self._connection, None
        self._forget()
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def write(self, entries: Iterable[Entry], redacted: Callable[[str], str] = str) -> None:
        """Add rows and their sums, all or none. Without any, see that the file can be opened.

        :param redacted: cuts secrets out of names.
        :raises LedgerError: nothing was written; another call may succeed.
        """
        ordered = sorted(entries, key=lambda entry: entry.at)
        with self._transaction() as connection:
            if ordered:
                rows, sums = self._rows(connection, ordered, redacted)
                _insert(connection, rows)
                connection.executemany(_DAILY, [(*key, *values) for key, values in sums.items()])

    def make_room(self, now: int, max_age: int, max_size: int) -> bool:
        """Take one step towards the limits; whether there is more to do. A step is short: others write, too.

        :param now: in microseconds since the epoch; ``max_age`` in microseconds, ``max_size`` in bytes.
        :raises LedgerError: nothing was removed.
        """
        with self._transaction() as connection:
            more = _remove(connection, now, now - max_age, max_size)
        with self._explaining():
            return _shrink(connection, max_size) or more

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        """What goes wrong inside is told in words, and the file is opened anew next time."""
        try:
            yield
        except TROUBLE as error:
            self.close()
            raise LedgerError(explained(error)) from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done inside is done as a whole or not at all.

        :raises LedgerError: not at all.
        """
        with self._explaining():
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            # An error closes the connection, and that takes everything back.
            yield connection
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            if self._identity == _identity(self.path):
                return self._connection
            self.close()
        self._connection = open_to_write(self.path)
        self._identity = _identity(self.path)
        return self._connection

    def _rows(
        self, connection: sqlite3.Connection, entries: Sequence[Entry], redacted: Callable[[str], str]
    ) -> tuple[list[Row], dict[tuple[int, int], list[int]]]:
        """The rows, each with a number of its own, and the sums by day and series."""
        rows: list[Row] = []
        sums: dict[tuple[int, int], list[int]] = {}
        threads: dict[str, str | bytes] = {}
        for entry, number in zip(entries, _numbers(connection, entries), strict=True):
            _, series, name, status, tokens, first_ms, total_ms, _, _ = entry
            # The day of the number: a reader has nothing else to go by.
            day = number // DAY
            known = self._ids.get(series) if day == self._day else None
            if known is None:
                known = self._learn(connection, day, series, redacted)
            thread = threads.get(name)
            if thread is None:
                thread = threads[name] = _thread(name, redacted)
            rows.append((number, known, thread, status, *(tokens or _UNKNOWN), first_ms, total_ms))
            found = sums.get((day, known))
            if found is None:
                found = sums[day, known] = [0] * _SUMS
            add_up(found, tokens, first_ms, total_ms)
        return rows, sums

    def _learn(
        self, connection: sqlite3.Connection, day: int, series: Series, redacted: Callable[[str], str]
    ) -> int:
        """The number of a series, which is remembered for that day: later it may be gone."""
        if day != self._day:
            self._forget()
            self._counted = {
                number for (number,) in connection.execute("SELECT series FROM daily WHERE day = ?", (day,))
            }
            self._day = day
        elif len(self._ids) >= 4 * (self._max_series or MAX_SERIES):
            self._ids.clear()
        number = self._ids[series] = self._find(connection, series, redacted)
        self._counted.add(number)
        return number

    def _find(self, connection: sqlite3.Connection, series: Series, redacted: Callable[[str], str]) -> int:
        clean = clean_series(series, redacted)
        number = _number_of(connection, clean)
        most = self._max_series or MAX_SERIES
        if number not in self._counted and len(self._counted) >= most:
            clean = clean._replace(role=OTHERS, asked=OTHERS, served=clean.served and OTHERS)
            number = _number_of(connection, clean)
        if number is not None:
            return number
        marks = ", ".join("?" * len(clean))
        cursor = connection.execute(f"INSERT INTO series ({_NAMES}) VALUES ({marks})", clean)  # noqa: S608
        assert cursor.lastrowid is not None
        return cursor.lastrowid

    def _forget(self) -> None:
        self._ids.clear()
        self._counted.clear()
        self._day = -1


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file stands there; ``None`` if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _thread(thread: str, redacted: Callable[[str], str]) -> str | bytes:
    packed = packed_thread(thread)
    return packed if isinstance(packed, bytes) or not packed else clean_name(redacted(packed))


def add_up(sums: list[int], tokens: Tokens | None, first_ms: int | None, total_ms: int) -> None:
    """Count one row in the sums of its day."""
    sums[0] += 1
    if tokens is not None:
        sums[1] += 1
        sums[2] += tokens[0]
        sums[3] += tokens[1]
        sums[4] += tokens[2]
        sums[5] += tokens[3]
        sums[6] += tokens[4]
        sums[7] += tokens[5]
    if first_ms is not None:
        sums[8] += first_ms
        sums[9] += 1
    sums[10] += total_ms


def _numbers(connection: sqlite3.Connection, entries: Sequence[Entry]) -> list[int]:
    """A number for each row: its time, or the next that is free."""
    span = entries[0].at, entries[-1].at + len(entries)
    # Another process may have written rows of the same moments.
    others = connection.execute("SELECT 1 FROM exchanges WHERE id BETWEEN ? AND ? LIMIT 1", span).fetchone()
    numbers, last = [], -1
    for entry in entries:
        last = max(entry.at, last + 1)
        while others and connection.execute("SELECT 1 FROM exchanges WHERE id = ?", (last,)).fetchone():
            last += 1
        numbers.append(last)
    return numbers


def _number_of(connection: sqlite3.Connection, series: Series) -> int | None:
    found = connection.execute(f"SELECT id FROM series WHERE {_SAME}", series).fetchone()  # noqa: S608
    return found[0] if found else None


def _insert(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    remaining = iter(rows)
    left = len(rows)
    for size in _CHUNKS:
        marks = ", ".join([f"({', '.join('?' * len(_COLUMNS))})"] * size)
        statement = f"INSERT INTO exchanges ({', '.join(_COLUMNS)}) VALUES {marks}"  # noqa: S608
        while left >= size:
            connection.execute(statement, [value for row in islice(remaining, size) for value in row])
            left -= size


def _remove(connection: sqlite3.Connection, now: int, oldest: int, max_size: int) -> bool:
    """Remove what is too old, and the oldest rows while the file holds too much; whether there is more."""
    more = _remove_rows(connection, oldest, STEP) == STEP
    if not more and (excess := _used(connection) - max_size) > 0:
        # Rows go first: their sums are small, and tell the same of a whole day.
        count = min(STEP, excess // _ROW_SIZE + 100)
        more = _remove_rows(connection, None, count) > 0 or _remove_days(connection, now // DAY, 1)
        more = more and _used(connection) > max_size
    return _remove_days(connection, oldest // DAY, _DAYS) or more


def _remove_rows(connection: sqlite3.Connection, before: int | None, most: int) -> int:
    """Remove some rows, the oldest first; how many it were.

    :param before: only rows from before this time; ``None``: any.
    """
    step = connection.execute("SELECT id FROM exchanges ORDER BY id LIMIT 1 OFFSET ?", (most,)).fetchone()
    if step is None:
        step = connection.execute("SELECT max(id) + 1 FROM exchanges").fetchone()
    (end,) = step
    if end is None:
        return 0
    if before is not None:
        end = min(end, before)
    gone = connection.execute("DELETE FROM exchanges WHERE id < ?", (end,)).rowcount
    if gone:
        connection.execute(
            "INSERT INTO state VALUES ('rows_since', ?)"
            " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
            (end,),
        )
    return gone


def _remove_days(connection: sqlite3.Connection, before: int, count: int) -> bool:
    """Remove the sums of some days, the oldest first, and names that nothing uses any more; whether there
    were any.

    :param before: a day; its own sums and later ones stay.
    """
    days = connection.execute(
        "SELECT DISTINCT day FROM daily WHERE day < ? ORDER BY day LIMIT ?", (before, count)
    ).fetchall()
    if not days:
        return False
    connection.execute("DELETE FROM daily WHERE day <= ?", days[-1])
    connection.execute("DELETE FROM exchanges WHERE id < ?", ((days[-1][0] + 1) * DAY,))
    connection.execute("DELETE FROM series WHERE id NOT IN (SELECT series FROM daily)")
    return True


def _pages(connection: sqlite3.Connection, which: str) -> int:
    (count,) = connection.execute(f"PRAGMA {which}").fetchone()
    return int(count)


def _used(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something."""
    used = _pages(connection, "page_count") - _pages(connection, "freelist_count")
    return used * _pages(connection, "page_size")


def _shrink(connection: sqlite3.Connection, max_size: int) -> bool:
    """Give some free pages back to the system where they are too many; whether there is more to give. A few
    are kept: the next rows need them.
    """
    free, all_of_them = _pages(connection, "freelist_count"), _pages(connection, "page_count")
    too_large = all_of_them * _pages(connection, "page_size") > max_size
    if not free or not (too_large or free > max(_PAGES, all_of_them // 4)):
        return False
    # It gives one page at a time and has no rows to fetch: only a script is run to its end.
    connection.executescript(f"PRAGMA incremental_vacuum({_PAGES});")
    return free > _PAGES
