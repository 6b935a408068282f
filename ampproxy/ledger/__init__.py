"""What exchanges used, kept across restarts in a SQLite file, and read again for ``ampproxy usage``."""

from __future__ import annotations

#: The file's name, in the folder of state.
NAME = "ledger.sqlite3"


class LedgerError(Exception):
    """The ledger cannot be written or read; the message says why, and what would help."""
