"""Looks each second at what is under way, and has it noted (see :mod:`ampproxy.ledger.journal`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from ampproxy.ledger.entry import Entry, entry_of, is_kept
from ampproxy.ledger.journal import Journal, Key
from ampproxy.relay.record import ExchangeRecord, Outcome

#: Seconds between two looks, and those after which what is under way is noted.
INTERVAL = 1.0


class Watch:
    """In the reactor's thread. Its methods never wait or raise.

    :param records: all that is under way.
    :param new_row: gives the rest of a row's key.
    :param in_thread: runs a function in another thread.
    :param wall: seconds since the epoch.
    :ivar management: whether requests on Amp's own routes get rows, too; ``None``: nothing gets any.
    """

    def __init__(
        self,
        journal: Journal,
        records: Callable[[], Iterable[ExchangeRecord]],
        new_row: Callable[[], Key],
        *,
        clock: IReactorTime,
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        wall: Callable[[], float],
        log: Logger,
    ) -> None:
        self._journal = journal
        self._records = records
        self._new_row = new_row
        self._clock = clock
        self._in_thread = in_thread
        self._wall = wall
        self._log = log
        self._rows: dict[Key, Entry] = {}
        self._used: dict[Key, object] = {}
        self._timer: IDelayedCall | None = None
        self._noting: Deferred[None] | None = None
        self.management: bool | None = None

    def start(self) -> None:
        """Look from now on."""
        self._timer = self._clock.callLater(INTERVAL, self._look)

    def stop(self) -> Deferred[None]:
        """Look no more, now that all is in the ledger; fires when that is done."""
        if self._timer is None:
            return succeed(None)
        if self._timer.active():
            self._timer.cancel()
        noted = self._noting or succeed(None)
        return noted.addCallback(lambda _: self._in_thread(self._journal.close))

    def _look(self) -> None:
        self._timer = self._clock.callLater(INTERVAL, self._look)
        # A disk that takes longer is not asked for more.
        if self._noting is None and self._has_changed():
            self._journal.announce(self._rows.keys())
            self._noting = self._in_thread(partial(self._journal.note, self._rows))
            # It may be over already.
            self._noting.addErrback(self._defect).addCallback(self._noted)

    def _noted(self, _: object) -> None:
        self._noting = None

    def _defect(self, failure: Any) -> None:
        self._log.failure("Unhandled error while noting what is under way", failure)

    def _has_changed(self) -> bool:
        """Bring the rows up to date; whether there are others than before."""
        now, wall = self._clock.seconds(), self._wall()
        rows: dict[Key, Entry] = {}
        used: dict[Key, object] = {}
        for record in self._records():
            if not self._is_noted(record, now):
                continue
            key = record.row = record.row or self._new_row()
            known = self._rows.get(key)
            if known is None or self._used[key] is not record.usage:
                known = _as_failed(record, now, wall, key)
            rows[key], used[key] = known, record.usage
        changed = rows != self._rows
        self._rows, self._used = rows, used
        return changed

    def _is_noted(self, record: ExchangeRecord, now: float) -> bool:
        """Whether an exchange has been costing something for so long. One of a worker's is the supervisor's
        affair, and what that has the workers'.
        """
        return (
            self.management is not None
            and record.sent is not None
            and record.outcome is None
            and now - record.started >= INTERVAL
            and not record.worker
            and is_kept(record, management=self.management)
        )


def _as_failed(record: ExchangeRecord, now: float, wall: float, key: Key) -> Entry:
    found = copy(record)
    found.close(now, Outcome.FAILED)
    return entry_of(found, wall, *key)
