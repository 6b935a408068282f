"""Whether a row is in a ledger's file already: asked where another process may have written it, and has
died.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from ampproxy.ledger.entry import Entry

#: So far the writer moves a row whose moment another one has. Microseconds.
_MOVED = 10_000


def unwritten(path: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Those that are not there. What makes a row known is the moment at which its exchange ended, to the
    microsecond, with its status and times. Where the file cannot be read, none is there.
    """
    entries = list(entries)
    try:
        with closing(sqlite3.connect(path)) as connection:
            return [entry for entry in entries if not _is_there(connection, entry)]
    except sqlite3.Error:
        return entries


def _is_there(connection: sqlite3.Connection, entry: Entry) -> bool:
    found = connection.execute(
        "SELECT 1 FROM exchanges WHERE id BETWEEN ? AND ? AND status = ? AND total_ms = ? AND first_ms IS ?",
        (entry.at, entry.at + _MOVED, entry.status, entry.total_ms, entry.first_ms),
    )
    return found.fetchone() is not None
