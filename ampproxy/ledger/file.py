"""The ledger's file: its tables, its versions, and how it is opened.

One table has a row for each exchange; another has sums by day, written in the same transaction, so that ten
million rows are summed up by looking at some thousands. Names stand in a table of their own.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from ampproxy.config import files
from ampproxy.ledger import LedgerError

#: Microseconds of a day. Days are UTC, as on the vendors' own bills.
DAY = 86_400_000_000

#: Seconds to wait for another process that writes.
BUSY_TIMEOUT = 2.0

#: Bytes that the write-ahead log keeps on disk when it has been emptied.
_KEPT_LOG = 4 * 1024 * 1024

_VERSION_1 = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    client TEXT NOT NULL, role TEXT NOT NULL, asked TEXT NOT NULL, served TEXT NOT NULL,
    account TEXT NOT NULL, route TEXT NOT NULL, outcome TEXT NOT NULL,
    amp INTEGER NOT NULL,          -- whether it came by one of Amp's own paths
    UNIQUE (client, role, asked, served, account, route, outcome, amp)
);
CREATE TABLE exchanges (
    id INTEGER PRIMARY KEY,        -- when it ended: microseconds since the epoch, made unique
    series INTEGER NOT NULL REFERENCES series,
    thread BLOB NOT NULL,          -- the 16 bytes of Amp's T-UUID, else text
    status INTEGER NOT NULL,
    input INTEGER, cache_read INTEGER, cache_write INTEGER, output INTEGER, reasoning INTEGER,
    first_ms INTEGER, total_ms INTEGER NOT NULL
);
CREATE TABLE daily (
    day INTEGER NOT NULL,          -- days since the epoch
    series INTEGER NOT NULL REFERENCES series,
    requests INTEGER NOT NULL,
    metered INTEGER NOT NULL,      -- those whose tokens are known
    input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write INTEGER NOT NULL,
    output INTEGER NOT NULL, reasoning INTEGER NOT NULL,
    first_ms INTEGER NOT NULL, firsts INTEGER NOT NULL, total_ms INTEGER NOT NULL,
    PRIMARY KEY (day, series)
) WITHOUT ROWID;
CREATE TABLE state (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE VIEW readable AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', exchanges.id / 1e6, 'unixepoch') AS ended,
        client, role, asked, served, account, route, outcome, status,
        CASE typeof(thread) WHEN 'blob' THEN lower(hex(thread)) ELSE thread END AS thread,
        input, cache_read, cache_write, output, reasoning, first_ms, total_ms
    FROM exchanges JOIN series ON series.id = exchanges.series;
"""

_VERSION_2 = """
ALTER TABLE exchanges ADD COLUMN cache_write_1h INTEGER;  -- the part of cache_write that is kept for an hour
ALTER TABLE daily ADD COLUMN cache_write_1h INTEGER NOT NULL DEFAULT 0;
DROP VIEW readable;
CREATE TABLE priced_series (
    id INTEGER PRIMARY KEY,
    client TEXT NOT NULL, role TEXT NOT NULL, asked TEXT NOT NULL, served TEXT NOT NULL,
    account TEXT NOT NULL, route TEXT NOT NULL, outcome TEXT NOT NULL,
    amp INTEGER NOT NULL,          -- whether it came by one of Amp's own paths
    tier TEXT NOT NULL,            -- how it was served where that has a price of its own: fast, flex, ...
    prompt_over INTEGER NOT NULL,  -- tokens: a length that the prompt exceeded, where prices differ by it
    UNIQUE (client, role, asked, served, account, route, outcome, amp, tier, prompt_over)
);
INSERT INTO priced_series
    SELECT id, client, role, asked, served, account, route, outcome, amp, '', 0 FROM series;
DROP TABLE series;
ALTER TABLE priced_series RENAME TO series;
CREATE VIEW readable AS
    SELECT strftime('%Y-%m-%dT%H:%M:%fZ', exchanges.id / 1e6, 'unixepoch') AS ended,
        client, role, asked, served, account, route, outcome, status,
        CASE typeof(thread) WHEN 'blob' THEN lower(hex(thread)) ELSE thread END AS thread,
        input, cache_read, cache_write, output, reasoning, first_ms, total_ms,
        cache_write_1h, tier, prompt_over
    FROM exchanges JOIN series ON series.id = exchanges.series;
"""

#: What makes version N of version N - 1, the first of nothing. Only ever added to.
MIGRATIONS: tuple[str, ...] = (_VERSION_1, _VERSION_2)


#: What SQLite says, in lower case -> what it means to the owner of the machine.
_MEANINGS = (
    ("not a database", "it is not a ledger, or is damaged: move it away, and a new one will be created"),
    ("malformed", "it is damaged: move it away (with its -wal and -shm), and a new one will be created"),
    ("locked", "another program holds it locked"),
    ("full", "the disk is full"),
    ("readonly", "it is read-only: check its permissions and those of its folder"),
    ("unable to open", "it cannot be opened: check the permissions of its folder"),
)


#: What the methods below may raise besides their own.
TROUBLE = (sqlite3.Error, OSError)


def explained(error: Exception) -> str:
    """What an error of SQLite or of the system means, in a clause."""
    message = str(error).lower()
    for word, meaning in _MEANINGS:
        if word in message and isinstance(error, sqlite3.Error):
            return meaning
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def open_to_write(path: Path, migrations: Sequence[str] = MIGRATIONS) -> sqlite3.Connection:
    """The file, made if it is not there, in the newest version.

    Only its owner can read it, and the folder if that is new.

    :raises LedgerError: it is of a newer version.
    :raises OSError, sqlite3.Error: it cannot be opened or written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    # One thread at a time uses it, but not always the same one.
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
    try:
        # This comes before there is any table, or it has no effect.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        _set_journal(connection)
        # A crash of this program loses nothing that was written; one of the machine, the last seconds.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_KEPT_LOG}")
        _migrate(connection, path, migrations)
    except BaseException:
        connection.close()
        raise
    return connection


def _set_journal(connection: sqlite3.Connection) -> None:
    """Have a write-ahead log. Where two begin a file at once, SQLite does not wait for this by itself."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.02)


def _migrate(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    """Bring the tables to the newest version, one step a transaction; another process may do the same."""
    while (version := _version(connection)) < len(migrations):
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection) == version:
                for statement in _statements(migrations[version]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    _check_version(connection, path, migrations)


def _statements(script: str) -> list[str]:
    """The statements of a script: ``executescript`` would end the transaction first."""
    found, statement = [], ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _check_version(connection: sqlite3.Connection, path: Path, migrations: Sequence[str]) -> None:
    version = _version(connection)
    if version > len(migrations):
        raise LedgerError(
            f"{path} is of version {version}, and this ampproxy knows up to {len(migrations)}: a newer one"
            " has written it"
        )


def open_to_read(path: Path) -> sqlite3.Connection:
    """The file, never changed, whether or not a service writes to it.

    :raises LedgerError: there is none, or it cannot be read; says why.
    """
    if not exists(path):
        raise LedgerError(f"there is no ledger at {path}")
    problem: Exception | None = None
    for mode in _modes(path):
        try:
            connection = sqlite3.connect(
                f"file:{quote(str(path))}?{mode}", uri=True, timeout=BUSY_TIMEOUT, isolation_level=None
            )
        except sqlite3.Error as error:
            problem = problem or error
            continue
        try:
            version = _version(connection)
            _check_version(connection, path, MIGRATIONS)
            if version < len(MIGRATIONS):
                raise LedgerError(f"{path} has no ledger of this version yet: start the service once")
            return connection
        except sqlite3.Error as error:
            connection.close()
            problem = problem or error
        except LedgerError:
            connection.close()
            raise
    assert problem is not None
    raise LedgerError(f"{path} cannot be read: {explained(problem)}")


def exists(path: Path) -> bool:
    """Whether there is a file that the service keeps.

    :raises LedgerError: the system does not let us read it, or not even look.
    """
    try:
        with files.opened(path):
            return True
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {denied(error)}") from None


def denied(error: OSError) -> str:
    """Why the system does not let us read what the service keeps, and what helps."""
    reason = error.strerror or type(error).__name__
    return f"{reason}: run this as the service's user" if isinstance(error, PermissionError) else reason


def _modes(path: Path) -> tuple[str, ...]:
    """How to open it. Where nobody can write beside it, as on a read-only disk, SQLite wants to be told that
    nobody does; with a log that is not empty that would be a lie.
    """
    log = path.with_name(path.name + "-wal")
    try:
        empty = not log.exists() or log.stat().st_size == 0
    except OSError:
        empty = False
    return ("mode=ro", "mode=ro&immutable=1") if empty else ("mode=ro",)
