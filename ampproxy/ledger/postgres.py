"""PostgreSQL as the ledger uses it: connections with a time limit, and how a ledger there is read."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ampproxy.model.base import Value

try:
    import psycopg
    import sqlalchemy
except ImportError as error:  # pragma: no cover - the tests have both
    raise ImportError("ledger.url needs two packages more: pip install 'ampproxy[postgres]'") from error
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import clean_name
from ampproxy.ledger.migrations import MIGRATIONS, check, version
from ampproxy.ledger.reading import Position, Row, Values
from ampproxy.ledger.tables import SCHEMA

#: What goes wrong at a database, or on the way to it.
TROUBLE = (sqlalchemy.exc.SQLAlchemyError, psycopg.Error, OSError)
#: Errors of a row itself: another attempt would fail as well.
UNFIT = (sqlalchemy.exc.DataError, sqlalchemy.exc.IntegrityError, UnicodeError)
#: Characters of an error that are shown.
_SHOWN = 300
#: The oldest transaction that is under way: those before it have all ended.
_OLDEST = "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)"


class Server(Value, frozen=True):
    """Where PostgreSQL is.

    :param url: as libpq takes it; without ``password`` with one in it, if there is any.
    :param timeout: seconds for one transaction, the time to connect included.
    """

    url: str
    password: str | None
    timeout: float

    def __repr__(self) -> str:
        return "Server(***)"


class _Whole(Loader):
    """Sums of whole numbers, which PostgreSQL gives as ``numeric``; it is asked for no others of it."""

    def load(self, data: Buffer) -> int:
        return int(bytes(data))


class Deadline:
    """A time limit for what is done at a database: connections that are still in use when it is over are
    severed, and who waits for an answer gets an error. A server that has stopped would otherwise be waited
    for without end: its kernel answers for it.

    :param seconds: from entering it.
    :ivar over: whether it has come.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._watched: list[psycopg.Connection[Any]] = []
        self.over = False

    def __enter__(self) -> Deadline:
        self._timer = threading.Timer(self._seconds, self._sever)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()

    def watch(self, connection: psycopg.Connection[Any]) -> None:
        """Sever this one, too."""
        with self._lock:
            self._watched.append(connection)
            if self.over:
                _sever(connection)

    def _sever(self) -> None:
        with self._lock:
            self.over = True
            for connection in self._watched:
                _sever(connection)


def _sever(connection: psycopg.Connection[Any]) -> None:
    with suppress(psycopg.Error, OSError):
        copy = socket.socket(fileno=os.dup(connection.fileno()))
        try:
            copy.shutdown(socket.SHUT_RDWR)
        finally:
            copy.close()


class Database:
    """A database, and at most one connection to it, which is made when it is needed. For one thread at a
    time.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._deadline: Deadline | None = None
        self._engine: Engine = create_engine(
            "postgresql+psycopg://", creator=self._connect, poolclass=NullPool, hide_parameters=True
        )
        self._connection: Connection | None = None
        self._raw: psycopg.Connection[Any] | None = None

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection, self._raw = self._connection, None, None
        if connection is not None:
            with suppress(*TROUBLE):
                connection.close()

    @contextmanager
    def connected(self) -> Iterator[tuple[Connection, bool]]:
        """The connection, outside of any transaction, and whether it is new.

        :raises LedgerError: the database is away, takes too long, or refuses; the connection is dropped.
        :raises Exception: one of :data:`UNFIT`.
        """
        with Deadline(self._server.timeout) as deadline:
            self._deadline = deadline
            try:
                fresh = self._connection is None
                if self._connection is None:
                    self._connection = self._engine.connect()
                elif self._raw is not None:
                    deadline.watch(self._raw)
                yield self._connection, fresh
            except UNFIT:
                self.close()
                raise
            except TROUBLE as error:
                self.close()
                raise LedgerError(self._explained(error, deadline)) from error
            except BaseException:
                self.close()
                raise
            finally:
                self._deadline = None

    def _connect(self) -> psycopg.Connection[Any]:
        timeout = self._server.timeout
        own: dict[str, Any] = {} if self._server.password is None else {"password": self._server.password}
        connection = psycopg.connect(
            self._server.url,
            **own,
            application_name="ampproxy",
            # No less, by libpq.
            connect_timeout=max(2, round(timeout)),
            # A pooler of connections would not know of what was prepared.
            prepare_threshold=None,
        )
        self._raw = connection
        if self._deadline is not None:
            self._deadline.watch(connection)
        milliseconds = str(max(1, round(timeout * 1000)))
        connection.execute(
            "SELECT set_config('search_path', %s, false), set_config('statement_timeout', %s, false),"
            " set_config('lock_timeout', %s, false),"
            " set_config('idle_in_transaction_session_timeout', %s, false)",
            (SCHEMA, milliseconds, milliseconds, milliseconds),
        )
        connection.commit()
        connection.adapters.register_loader("numeric", _Whole)
        return connection

    def _explained(self, error: BaseException, deadline: Deadline) -> str:
        if deadline.over:
            return f"it has not answered within {self._server.timeout:g} s (setting: ledger.timeout)"
        return explained(error)


def explained(error: BaseException) -> str:
    """What an error of the database means, in a clause; without the statement and its values."""
    cause = getattr(error, "orig", None) or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    message = (lines[0] if lines else type(cause).__name__).removeprefix("connection failed: ")
    return message[:_SHOWN]


class DatabaseReading:
    """A ledger at PostgreSQL; see :class:`~ampproxy.ledger.reading.Readable`.

    :raises LedgerError: it cannot be read; says why.
    """

    identity: tuple[str, ...] = ("id", "writer", "number")
    arrival: tuple[str, ...] = ("written", "id", "writer", "number")
    settled = f"exchanges.written < (SELECT {_OLDEST})"

    def __init__(self, server: Server, name: str) -> None:
        self._database = Database(server)
        self._name = name
        self._open: Connection | None = None
        with self.moment():
            found = version(self._connection)
            check(found)
            if found < len(MIGRATIONS):
                raise LedgerError("there is no ledger of this version yet: start the service once")

    @property
    def _connection(self) -> Connection:
        assert self._open is not None
        return self._open

    def rows(self, statement: str, values: Values | None = None) -> list[Row]:
        found = self._connection.execute(text(statement), dict(values or {}))
        return [tuple(row) for row in found] if found.returns_rows else []

    def fill(self, table: str, columns: tuple[str, ...], rows: Collection[Row]) -> None:
        marks = ", ".join(f":{name}" for name in columns)
        values = [dict(zip(columns, row, strict=True)) for row in rows]
        if values:
            self._connection.execute(text(f"INSERT INTO {table} VALUES ({marks})"), values)  # noqa: S608

    @contextmanager
    def moment(self) -> Iterator[None]:
        try:
            with self._database.connected() as (connection, fresh):
                if fresh:
                    connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    self._open = connection
                    yield
        except UNFIT as error:
            raise LedgerError(f"{self._name} cannot be read: {explained(error)}") from error
        except LedgerError as error:
            raise LedgerError(f"{self._name} cannot be read: {error}") from error
        finally:
            self._open = None

    def end(self) -> Position:
        (found,) = self.rows(f"SELECT {_OLDEST}, -1, -1, -1")
        return found

    def thread_key(self, thread: str) -> object:
        return clean_name(thread)

    def close(self) -> None:
        self._database.close()
