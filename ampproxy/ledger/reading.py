"""What a ledger is read through, and the one that reads SQLite's file.

Each statement on a ledger is written once, in the SQL that SQLite and PostgreSQL share, with its values as
``:name``. SQLite executes it as it is. PostgreSQL gets it by SQLAlchemy (:mod:`ampproxy.ledger.postgres`),
which understands the same names; to load that costs half a second and 26 MB, so that who has a file does
without.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import packed_thread
from ampproxy.ledger.file import explained

Row = tuple[Any, ...]
#: Values by name.
Values = Mapping[str, object]
#: Where one has got to in the order in which rows became visible.
Position = tuple[int, ...]


class Readable(Protocol):
    """A ledger that is open to be read. Used by one thread at a time.

    :ivar identity: the columns of ``exchanges`` that are a row's own, in the order of time.
    :ivar arrival: the columns of ``exchanges`` in whose order rows become visible.
    :ivar settled: a condition on ``exchanges``: no other row will become visible before this one.
    """

    identity: tuple[str, ...]
    arrival: tuple[str, ...]
    settled: str

    def rows(self, statement: str, values: Values = ...) -> list[Row]:
        """What a statement finds. Within :meth:`moment`."""

    def fill(self, table: str, columns: tuple[str, ...], rows: Collection[Row]) -> None:
        """Put rows into a temporary table. Within :meth:`moment`."""

    @contextmanager
    def moment(self) -> Iterator[None]:
        """What is read inside is of one moment, whoever writes meanwhile. Temporary tables stay.

        :raises LedgerError: it cannot be read.
        """

    def end(self) -> Position:
        """The position behind all rows that are there. Within :meth:`moment`."""

    def thread_key(self, thread: str) -> object:
        """A thread as the column ``thread`` has it."""

    def close(self) -> None:
        """Let go of it."""


class FileReading:
    """SQLite's file; see :class:`Readable`.

    :param connection: as :func:`~ampproxy.ledger.file.open_to_read` gives it.
    """

    identity: tuple[str, ...] = ("id",)
    arrival: tuple[str, ...] = ("id",)
    settled = "1 = 1"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def rows(self, statement: str, values: Values | None = None) -> list[Row]:
        return self.connection.execute(statement, values or {}).fetchall()

    def fill(self, table: str, columns: tuple[str, ...], rows: Collection[Row]) -> None:
        marks = ", ".join("?" * len(columns))
        self.connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    @contextmanager
    def moment(self) -> Iterator[None]:
        connection = self.connection
        try:
            # What is made for the question alone is not made on a disk.
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LedgerError(f"the ledger cannot be read: {explained(error)}") from error

    def end(self) -> Position:
        return self.rows("SELECT coalesce(max(id), 0) FROM exchanges")[0]

    def thread_key(self, thread: str) -> object:
        return packed_thread(thread)

    def close(self) -> None:
        self.connection.close()


def listed(columns: tuple[str, ...], suffix: str = "") -> str:
    """Columns of ``exchanges`` one after another, each with its table's name and a suffix."""
    return ", ".join(f"exchanges.{name}{suffix}" for name in columns)


def compared(columns: tuple[str, ...], operator: str, name: str) -> str:
    """A condition that compares columns of ``exchanges``, with the values ``name0``, ``name1`` ..."""
    marks = ", ".join(f":{name}{number}" for number in range(len(columns)))
    return f"({listed(columns)}) {operator} ({marks})"


def valued(name: str, position: Position) -> dict[str, int]:
    """The values for :func:`compared`."""
    return {f"{name}{number}": value for number, value in enumerate(position)}
