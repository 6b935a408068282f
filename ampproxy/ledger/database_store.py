"""Writes batches into a ledger at PostgreSQL, and removes what is too old. Called in one thread at a time.

Several processes write at once. A batch is one transaction: names that are new, rows, sums of those rows
that were really added. What two of them change both is changed in one order, so that neither waits for the
other in a circle: names, then sums by day and series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection, delete, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from ampproxy.ledger.entry import Entry, Series, Sums, Tokens
from ampproxy.ledger.file import DAY
from ampproxy.ledger.migrations import NAMES, PRUNE, lock, migrate, try_lock
from ampproxy.ledger.postgres import Database, Server
from ampproxy.ledger.store import OTHERS, add_up
from ampproxy.ledger.tables import daily, exchanges, series, state

#: Series of one day, beyond which further ones are counted as one, where no setting says otherwise.
MAX_SERIES = 50_000
#: Rows that one step of removing takes; days of sums.
STEP, DAYS = 5000, 30
#: Seconds after which the series of a day are counted anew: other processes add some, too.
_RECOUNT_INTERVAL = 60.0
#: Names in one statement.
_NAMES_AT_ONCE = 200
_NAMED = [series.c[name] for name in Series._fields]
_UNKNOWN = (None,) * len(Tokens._fields)
_ROW = ("id", "writer", "number", "series", "thread", "status", *Tokens._fields, "first_ms", "total_ms")

_ADD_ROWS = (
    insert(exchanges)
    .on_conflict_do_nothing(index_elements=[exchanges.c.id, exchanges.c.writer, exchanges.c.number])
    .returning(exchanges.c.id, exchanges.c.writer, exchanges.c.number)
)
_summing = insert(daily)
_ADD_SUMS = _summing.on_conflict_do_update(
    index_elements=[daily.c.day, daily.c.series],
    set_={name: daily.c[name] + _summing.excluded[name] for name in Sums._fields},
)
_since = insert(state)
_KEEP_SINCE = _since.on_conflict_do_update(
    index_elements=[state.c.name],
    set_={"value": func.greatest(state.c.value, _since.excluded.value)},
)


class DatabaseStore:
    """The tables, as one of their writers sees them. After an error it connects anew.

    :param seconds: a clock that only goes forward.
    """

    def __init__(self, server: Server, max_series: int, seconds: Callable[[], float]) -> None:
        self._database = Database(server)
        self._max_series = max_series
        self._seconds = seconds
        self._ids: dict[Series, int] = {}
        self._day = -1
        self._counted: set[int] = set()
        self._counted_at = 0.0

    def close(self) -> None:
        """Let go of the connection."""
        self._database.close()
        self._forget()

    def add(self, rows: Sequence[Entry]) -> int:
        """Add rows and their sums, all or none; gives how many were not there yet. Without any, see that the
        database can be used.

        :raises LedgerError: it is not known whether they were added: they may be added again.
        :raises Exception: they never can be.
        """
        with self._connected() as connection:
            if not rows:
                return 0
            with connection.begin():
                # Meanwhile no process removes names.
                lock(connection, NAMES, shared=True)
                return self._add(connection, rows)

    def prune(self, oldest: int) -> bool:
        """Remove some of what ended before a time; whether there is more. One process at a time does it.

        :param oldest: in microseconds since the epoch.
        :raises LedgerError: nothing was removed.
        """
        with self._connected() as connection, connection.begin():
            if not try_lock(connection, PRUNE):
                return False
            more = _remove_rows(connection, oldest)
            return _remove_days(connection, oldest // DAY) or more

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        """The connection, to tables of the newest version. After an error nothing that was learnt counts: the
        transaction that found it was taken back.
        """
        try:
            with self._database.connected() as (connection, fresh):
                if fresh:
                    migrate(connection)
                yield connection
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._ids.clear()
        self._counted.clear()
        self._day = -1

    def _add(self, connection: Connection, rows: Sequence[Entry]) -> int:
        ordered = sorted(rows, key=lambda row: row.at)
        numbers = {
            (day, one): number
            for day, names in sorted(_by_day(ordered).items())
            for one, number in self._numbers(connection, day, names).items()
        }
        by_key = {
            (row.at, row.writer, row.number): (
                numbers[row.at // DAY, row.series],
                row,
            )
            for row in ordered
        }
        records = [_record(key, number, entry) for key, (number, entry) in by_key.items()]
        added = [by_key[key[0], key[1], key[2]] for key in connection.execute(_ADD_ROWS, records)]
        if sums := _summed(added):
            connection.execute(_ADD_SUMS, sums)
        return len(added)

    def _numbers(self, connection: Connection, day: int, names: set[Series]) -> dict[Series, int]:
        """The numbers of the series of one day; those that are one too many are counted as others."""
        if day != self._day:
            self._forget()
            self._day = day
        elif len(self._ids) >= 4 * self._max_series:
            self._ids.clear()
        missing = [one for one in names if one not in self._ids]
        if missing:
            self._learn(connection, day, sorted(missing))
        return {one: self._ids[one] for one in names}

    def _learn(self, connection: Connection, day: int, missing: Sequence[Series]) -> None:
        now = self._seconds()
        if not self._counted or now - self._counted_at >= _RECOUNT_INTERVAL:
            self._counted = set(connection.scalars(select(daily.c.series).where(daily.c.day == day)))
            self._counted_at = now
        known = _find(connection, missing)
        meant: dict[Series, Series] = {}
        free = self._max_series - len(self._counted)
        for one in missing:
            if known.get(one) not in self._counted:
                free -= 1
                if free < 0:
                    meant[one] = one._replace(role=OTHERS, asked=OTHERS, served=one.served and OTHERS)
        wanted = sorted({meant.get(one, one) for one in missing} - known.keys())
        known.update(_found_or_made(connection, wanted))
        for one in missing:
            number = self._ids[one] = known[meant.get(one, one)]
            self._counted.add(number)


def _record(key: tuple[int, int, int], number: int, entry: Entry) -> dict[str, object]:
    counts = entry.tokens or _UNKNOWN
    values = (*key, number, entry.thread, entry.status, *counts, entry.first_ms, entry.total_ms)
    return dict(zip(_ROW, values, strict=True))


def _summed(added: Iterable[tuple[int, Entry]]) -> list[dict[str, int]]:
    """The sums by day and series, in this order."""
    sums: dict[tuple[int, int], list[int]] = {}
    for number, entry in added:
        found = sums.setdefault((entry.at // DAY, number), [0] * len(Sums._fields))
        add_up(found, entry.tokens, entry.first_ms, entry.total_ms)
    return [
        {"day": day, "series": number, **dict(zip(Sums._fields, found, strict=True))}
        for (day, number), found in sorted(sums.items())
    ]


def _by_day(rows: Iterable[Entry]) -> dict[int, set[Series]]:
    found: dict[int, set[Series]] = {}
    for row in rows:
        found.setdefault(row.at // DAY, set()).add(row.series)
    return found


def _find(connection: Connection, names: Sequence[Series]) -> dict[Series, int]:
    """The numbers of those series that have one."""
    found = {}
    for start in range(0, len(names), _NAMES_AT_ONCE):
        wanted = [tuple(_stored(one).values()) for one in names[start : start + _NAMES_AT_ONCE]]
        question = select(series.c.id, *_NAMED).where(tuple_(*_NAMED).in_(wanted))
        for number, *values in connection.execute(question):
            found[Series._make(values)] = number
    return found


def _stored(one: Series) -> dict[str, object]:
    return {**one._asdict(), "amp": int(one.amp)}


def _found_or_made(connection: Connection, names: Sequence[Series]) -> dict[Series, int]:
    """The numbers of series, made where there are none. Another process may make the same: then both have
    that number.
    """
    if not names:
        return {}
    known = _find(connection, names)
    missing = [_stored(one) for one in names if one not in known]
    if missing:
        connection.execute(insert(series).on_conflict_do_nothing(), missing)
        known = _find(connection, names)
    return known


def _remove_rows(connection: Connection, oldest: int) -> bool:
    """Remove a step of the oldest rows that are too old; whether there may be more."""
    last = connection.scalar(
        select(exchanges.c.id).where(exchanges.c.id < oldest).order_by(exchanges.c.id).limit(1).offset(STEP)
    )
    end = oldest if last is None else last
    gone = connection.execute(delete(exchanges).where(exchanges.c.id < end)).rowcount
    if gone:
        connection.execute(_KEEP_SINCE, {"name": "rows_since", "value": end})
    return last is not None


def _remove_days(connection: Connection, before: int) -> bool:
    """Remove the sums of some days, and names that nothing uses any more; whether there were any."""
    days = list(
        connection.scalars(
            select(daily.c.day).where(daily.c.day < before).distinct().order_by(daily.c.day).limit(DAYS)
        )
    )
    if not days:
        return False
    # No process adds rows meanwhile: a name that it has just found would be gone.
    lock(connection, NAMES)
    connection.execute(delete(daily).where(daily.c.day <= days[-1]))
    connection.execute(delete(exchanges).where(exchanges.c.id < (days[-1] + 1) * DAY))
    connection.execute(
        text("DELETE FROM series WHERE NOT EXISTS (SELECT 1 FROM daily WHERE daily.series = series.id)")
    )
    return True
