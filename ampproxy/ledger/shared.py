"""A ledger that several processes share: a database, and a disk that keeps what it does not take now."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ampproxy.ledger import LedgerError
from ampproxy.ledger.cleaned import cleaned
from ampproxy.ledger.entry import Entry
from ampproxy.ledger.spool import Spool
from ampproxy.ledger.writing import Progress

#: Seconds to the next attempt after an error; doubles up to the longest.
RETRY, MAX_RETRY_SECONDS = 1.0, 10.0
#: Seconds between two looks for what ended processes left.
ADOPT_INTERVAL = 30.0


class Adds(Protocol):
    """What keeps the rows for good: :class:`~ampproxy.ledger.database_store.DatabaseStore`."""

    def add(self, rows: Sequence[Entry]) -> int:
        """Add rows, all or none; those that are there already stay as they are.

        :raises LedgerError: it is not known whether they were added.
        """

    def prune(self, oldest: int) -> bool:
        """Remove some of what ended before a time; whether there is more.

        :raises LedgerError: nothing was removed.
        """

    def close(self) -> None:
        """Let go of it."""


class SharedStore:
    """The ledger as :class:`~ampproxy.ledger.recorder.Recorder` writes it; see
    :class:`~ampproxy.ledger.writing.Writes`.

    A batch goes to the database, and to the disk if that does not take it. As long as anything is on the
    disk, what comes later goes there, too: so the database gets rows in order.

    :param seconds: a clock that only goes forward.
    """

    def __init__(self, database: Adds, spool: Spool, seconds: Callable[[], float]) -> None:
        self._database = database
        self._spool = spool
        self._seconds = seconds
        self._why = ""
        self._retry = 0.0
        self._retry_at = 0.0
        self._adopt_at = 0.0

    def write(self, entries: Sequence[Entry], redacted: Callable[[str], str]) -> Progress:
        rows = cleaned(entries, redacted)
        if self._seconds() >= self._adopt_at:
            self._spool.adopt()
            self._adopt_at = self._seconds() + ADOPT_INTERVAL
        if not self._spool and self._seconds() >= self._retry_at and self._add(rows):
            return Progress()
        if rows:
            self._keep(rows)
        lost = self._drain()
        pause = max(0.0, self._retry_at - self._seconds())
        return Progress(self._why, self._spool.waiting, pause, lost)

    def make_room(self, now: int, max_age: int, max_size: int) -> bool:
        """See :meth:`~ampproxy.ledger.writing.Writes.make_room`. The size is the database's own affair."""
        if self._why:
            return False
        try:
            return self._database.prune(now - max_age)
        except LedgerError as error:
            self._failed(error)
            return False

    def close(self) -> None:
        self._database.close()
        self._spool.close()

    def _add(self, rows: Sequence[Entry]) -> bool:
        """Have rows added; whether they were."""
        try:
            self._database.add(rows)
        except LedgerError as error:
            self._failed(error)
            return False
        self._why, self._retry, self._retry_at = "", 0.0, 0.0
        return True

    def _failed(self, error: LedgerError) -> None:
        self._why = str(error)
        self._retry = min(max(RETRY, self._retry * 2), MAX_RETRY_SECONDS)
        self._retry_at = self._seconds() + self._retry

    def _keep(self, rows: Sequence[Entry]) -> None:
        try:
            self._spool.append(rows)
        except LedgerError:
            # Who has sent these keeps them until there is room again.
            self._drain()
            raise

    def _drain(self) -> int:
        """Have the batch added that has waited longest, if it is time to; how many rows can never be."""
        if self._seconds() < self._retry_at:
            return 0
        rows, length = self._spool.oldest()
        lost = 0
        try:
            if not length or not self._add(rows):
                return 0
        except Exception:
            # It must not keep all others from being added.
            lost = len(rows)
        self._spool.stored(length)
        return lost
