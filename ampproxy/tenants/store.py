"""What clients have used of their limits, in one SQLite file (https://www.sqlite.org/wal.html).

Many reservations and settlements are one transaction, which reads, decides and writes: so neither requests
at the same time nor two processes (``ampproxy restart``) give more than a limit has. A committed
transaction survives the process, whatever ends it; what a killed process had reserved stays counted.
What is kept is a client's name or a salted digest of its key, a period, and three numbers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from ampproxy.model.base import Value
from ampproxy.model.clients import KeyLimit, Period
from ampproxy.tenants.counting import NOTHING, Amounts, Demand, LimitReached, Taken, reserve, windows_of
from ampproxy.wire.words import of_counts

if TYPE_CHECKING:
    import sqlite3

NAME = "clients.sqlite3"

_T = TypeVar("_T")

#: So many periods of a kind are kept of each client, the newest; only the present one counts.
KEPT = 3
#: Seconds to wait for another process that writes. The reactor does not wait.
BUSY_TIMEOUT = 2.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS used (
    tenant TEXT NOT NULL, period TEXT NOT NULL, start INTEGER NOT NULL,
    requests INTEGER NOT NULL, tokens INTEGER NOT NULL, usd INTEGER NOT NULL,
    PRIMARY KEY (tenant, period, start)
) WITHOUT ROWID
"""
#: By what is there, not by the clock: one that was ahead for a while must not have taken the counts of the
#: day that it is then set back to.
_PRUNE = """
DELETE FROM used WHERE tenant = ?1 AND period = ?2 AND start NOT IN (
    SELECT start FROM used WHERE tenant = ?1 AND period = ?2 ORDER BY start DESC LIMIT ?3)
"""
_ADD = """
INSERT INTO used VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (tenant, period, start) DO UPDATE SET
    requests = requests + excluded.requests, tokens = tokens + excluded.tokens, usd = usd + excluded.usd
"""
_GIVE_BACK = """
UPDATE used SET requests = requests - ?, tokens = tokens - ?, usd = usd - ?
    WHERE tenant = ? AND period = ? AND start = ?
"""
_READ = "SELECT requests, tokens, usd FROM used WHERE tenant = ? AND period = ? AND start = ?"


class CountsFailed(Exception):
    """The counts cannot be read or written; nothing was. The message names the file and the reason."""


class Take(Value, frozen=True):
    """A reservation that is asked for."""

    tenant: str
    limits: tuple[KeyLimit, ...]
    demand: Demand


class Settle(Value, frozen=True):
    """What is given back of a reservation."""

    taken: Taken
    back: Amounts


class Look(Value, frozen=True):
    """A question for what is used and reserved in the present periods."""

    tenant: str
    limits: tuple[KeyLimit, ...]


Order: TypeAlias = Take | Settle | Look
#: What becomes of an order; ``None`` of a settlement.
Result: TypeAlias = Taken | LimitReached | dict[Period, Amounts] | None


class Counts:
    """The counts. Its methods wait for the disk, and are called by one thread at a time.

    :param folder: where the file is; ``None``: counts are forgotten with the process.
    :param wall: seconds since the epoch.
    """

    def __init__(self, folder: Path | None, wall: Callable[[], float]) -> None:
        self.path = None if folder is None else folder / NAME
        self._wall = wall
        self._database: sqlite3.Connection | None = None

    def work(self, orders: Sequence[Order]) -> list[Result]:
        """Carry orders out, all in one transaction; gives what became of each.

        :raises CountsFailed: none of them was.
        """
        return self._transaction(lambda database: [self._carry_out(database, order) for order in orders])

    def used(self, tenant: str, limits: Iterable[KeyLimit]) -> dict[Period, Amounts]:
        """What a client has used and reserved in the present periods.

        :raises CountsFailed: that cannot be read.
        """
        limits = tuple(limits)
        return self._transaction(lambda database: _read(database, tenant, limits, self._wall()), "BEGIN")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        database, self._database = self._database, None
        if database is not None:
            database.close()

    def _carry_out(self, database: sqlite3.Connection, order: Order) -> Result:
        if isinstance(order, Look):
            return _read(database, order.tenant, order.limits, self._wall())
        if isinstance(order, Settle):
            back = order.back
            for window in order.taken.windows:
                # A period that is long over may be gone.
                database.execute(
                    _GIVE_BACK, (back.requests, back.tokens, back.usd, order.taken.tenant, *window)
                )
            return None
        wall = self._wall()
        used = _read(database, order.tenant, order.limits, wall)
        try:
            taken = reserve(order.tenant, order.limits, used, order.demand, wall)
        except LimitReached as reached:
            return reached
        for period, start in taken.windows:
            _add(database, taken.tenant, period, start, taken.amounts)
            if used[period] == NOTHING:
                database.execute(_PRUNE, (taken.tenant, period, KEPT))
        return taken

    def _transaction(self, work: Callable[[sqlite3.Connection], _T], begin: str = "BEGIN IMMEDIATE") -> _T:
        import sqlite3

        try:
            database = self._database
            if database is None:
                database = self._database = self._open()
            database.execute(begin)
            try:
                result = work(database)
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            with suppress(sqlite3.Error):
                self.close()
            raise CountsFailed(f"{self.path}: {of_counts(error)}") from None
        return result

    def _open(self) -> sqlite3.Connection:
        import sqlite3

        if self.path is not None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Made by us, so that no other user can read it at any time.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        database = sqlite3.connect(
            self.path or ":memory:", timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
        )
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(_SCHEMA)
        except BaseException:
            database.close()
            raise
        return database


def _read(
    database: sqlite3.Connection, tenant: str, limits: Iterable[KeyLimit], wall: float
) -> dict[Period, Amounts]:
    found: dict[Period, Amounts] = {}
    for period, start in windows_of(limits, wall):
        row = database.execute(_READ, (tenant, period, start)).fetchone()
        found[period] = NOTHING if row is None else Amounts(*row)
    return found


def _add(database: sqlite3.Connection, tenant: str, period: Period, start: int, amounts: Amounts) -> None:
    row = (tenant, period, start, amounts.requests, amounts.tokens, amounts.usd)
    database.execute(_ADD, row)
