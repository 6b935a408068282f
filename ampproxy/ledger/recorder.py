"""Hears of exchanges, and has them written in batches by another thread."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import SystemRandom
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ampproxy.ledger import LedgerError
from ampproxy.ledger.entry import Entry, beside, entry_of, is_kept
from ampproxy.ledger.watch import Watch
from ampproxy.ledger.writing import Progress, Writes
from ampproxy.model.ledger import Ledger
from ampproxy.relay.record import ExchangeRecord
from ampproxy.wire.words import counted

#: Seconds between two batches: what a kill or a power cut may cost.
INTERVAL = 1.0
#: Rows of one transaction; as many as wait are written at once.
BATCH = 1000
#: Rows that may wait for a disk that does not take them; some ten megabytes.
MAX_WAITING = 20_000
#: Seconds between two looks at the limits, also while nothing is written; and rows, about a megabyte.
ROOM_INTERVAL = 600.0
ROOM_ROWS = 20_000
#: Seconds to the next try after an error; doubles up to the longest.
RETRY, MAX_RETRY_SECONDS = 1.0, 30.0
#: Seconds that the end of the service waits for the last batch.
STOP_TIMEOUT = 10.0

_T = TypeVar("_T")

#: Runs a function in another thread, and gives its result in this one.
InThread = Callable[[Callable[[], _T]], "Deferred[_T]"]


def new_writer() -> int:
    """A number for a process by which its rows are known: random, of 63 bits, for no other has it."""
    return SystemRandom().getrandbits(63)


def row_keys(writer: int) -> Callable[[], tuple[int, int]]:
    """Gives the rows of a writer their numbers."""
    numbers = count(1)
    return lambda: (writer, next(numbers))


class Recorder:
    """The observer of exchanges that fills the ledger. Its methods are called in the reactor's thread, and
    none of them waits or raises.

    What cannot be written waits, up to :data:`MAX_WAITING` rows, and is tried again; what does not fit is
    counted, and told in the log.

    :param name: how the log calls the ledger of some settings.
    :param make_store: makes what keeps the rows by some settings, in the other thread: it takes a while to
        load.
    :param in_thread: runs the store's methods.
    :param wall: seconds since the epoch.
    :param new_row: gives the rest of a row's key, to exchanges that have none yet.
    :param watch: keeps what is under way, for the case that the process is killed; ``None``: another process
        does that.
    :ivar settled: how many rows are written, or given up.
    """

    def __init__(
        self,
        name: Callable[[Ledger], str],
        make_store: Callable[[Ledger], Writes],
        *,
        clock: IReactorTime,
        in_thread: InThread[Any],
        wall: Callable[[], float],
        log: Logger,
        new_row: Callable[[], tuple[int, int]],
        watch: Watch | None = None,
    ) -> None:
        self._name_of = name
        self._make_store = make_store
        self._clock = clock
        self._in_thread = in_thread
        self._wall = wall
        self._log = log
        self._new_row = new_row
        self._watch = watch
        self._settings = Ledger(enable=False)
        self._redacted: Callable[[str], str] = str
        self._store: Writes | None = None
        self._store_of: object = None
        self._waiting: list[Entry] = []
        self._timer: IDelayedCall | None = None
        self._working: Deferred[None] | None = None
        self._running = False
        self._room_due = 0.0
        self._since_room = 0
        self._retry = 0.0
        self._trouble = ""
        self._missing = 0
        self.settled = 0
        self._progress = Progress()
        self._away = False

    @property
    def _name(self) -> str:
        return self._name_of(self._settings)

    @property
    def trouble(self) -> str:
        """Why it cannot be written just now, and how many rows wait in memory; empty: it can."""
        why = self._trouble or self._progress.away
        waiting = counted(len(self._waiting), "exchange")
        return f"{why} ({waiting} waiting, {self._missing} lost)" if self._trouble else why

    @property
    def position(self) -> int:
        """How many rows there were to write so far; when :attr:`settled` is as many, all of them are
        written.
        """
        return self.settled + len(self._waiting)

    def configure(self, settings: Ledger, redacted: Callable[[str], str] = str) -> None:
        """From now on keep what these settings say.

        :param redacted: cuts the secrets of the configuration out of names.
        """
        self._settings = settings
        self._redacted = redacted
        self._room_due = 0.0
        if self._watch is not None:
            self._watch.management = settings.management if settings.enable else None
        if self._running:
            self._wake(0.0)

    def start(self) -> None:
        """Write from now on. The file is made at once: trouble with it is logged before it matters, and
        whoever reads it finds one that is empty rather than none.
        """
        self._running = True
        self._wake(0.0)
        if self._watch is not None:
            self._watch.start()

    def observe(self, record: ExchangeRecord) -> None:
        """An exchange has ended."""
        settings = self._settings
        if not settings.enable or not is_kept(record, management=settings.management):
            return
        waiting = self._waiting
        before = len(waiting)
        if before >= MAX_WAITING:
            self._missing += 1
            if self._missing == 1:
                self._log.warn(
                    "The ledger {name} cannot be written: {exchanges} are waiting; further ones are "
                    "dropped until it can be",
                    exchanges=counted(len(waiting), "exchange"),
                    count=len(waiting),
                    name=self._name,
                )
            return
        try:
            entry = entry_of(record, record.ended_at or self._wall(), *(record.row or self._new_row()))
            waiting.append(entry)
            if record.usage is not None and record.usage.beside:
                waiting.extend(beside(entry, record.usage))
        except Exception:
            # What is wrong with a record of ours must not reach the client that it is about.
            self._missing += 1
            self._log.failure("Unhandled error while recording an exchange")
            return
        if self._retry:
            return
        if before == 0:
            self._wake(INTERVAL)
        elif before < BATCH <= len(waiting):
            self._wake(0.0)

    def stop(self) -> Deferred[None]:
        """Write what waits, and close the file; fires when that is done, or cannot be."""
        self._running = False
        self._cancel()
        stopping = Deferred.fromCoroutine(self._finish())
        limit = STOP_TIMEOUT if self._settings.url is None else self._settings.timeout + STOP_TIMEOUT
        stopping.addTimeout(limit, self._clock)
        stopping.addErrback(self._unfinished)
        return stopping.addCallback(lambda _: self._log_lost())

    async def _finish(self) -> None:
        if self._working is not None:
            await self._after(self._working)
        self._retry = 0.0
        while self._waiting and not self._retry:
            if await self._write():
                self._succeeded()
        await self._close()
        if self._watch is not None:
            await self._watch.stop()

    def _unfinished(self, failure: Failure) -> None:
        if failure.check(TimeoutError) is None:
            self._log.failure("Unhandled error while closing the ledger", failure)

    @staticmethod
    def _after(working: Deferred[None]) -> Deferred[None]:
        """Fires when that work is done. Others wait for it, too."""
        done: Deferred[None] = Deferred()
        working.addBoth(lambda _: done.callback(None))
        return done

    def _log_lost(self) -> None:
        lost = self._missing + len(self._waiting)
        if lost:
            self._log.error(
                "Not written to the ledger {name}: {exchanges}",
                exchanges=counted(lost, "exchange"),
                count=lost,
                name=self._name,
            )
        if self._progress.backlog:
            self._log.info(
                "{bytes} bytes of exchanges wait on the disk for the ledger {name}; the next start of the "
                "service goes on with them",
                bytes=self._progress.backlog,
                name=self._name,
            )

    def _wake(self, delay: float) -> None:
        """Work after so many seconds, or when the work under way is done."""
        if not self._running or self._working is not None:
            return
        if self._timer is not None and self._timer.getTime() <= self._clock.seconds() + delay:
            return
        self._cancel()
        self._timer = self._clock.callLater(delay, self._work)

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _work(self) -> None:
        self._timer = None
        self._working = Deferred.fromCoroutine(self._round())
        # It may be over already.
        self._working.addBoth(self._rest)

    def _rest(self, result: object) -> None:
        self._working = None
        if isinstance(result, Failure):
            self._log.failure("Unhandled error while writing the ledger", result)
        if not self._running:
            return
        if self._retry:
            self._wake(self._retry)
        elif len(self._waiting) >= BATCH:
            self._wake(0.0)
        elif self._settings.enable:
            room = max(INTERVAL, self._room_due - self._clock.seconds())
            delay = INTERVAL if self._waiting else room
            progress = self._progress
            self._wake(min(delay, progress.pause) if progress.away or progress.backlog else delay)

    async def _round(self) -> None:
        """Write one batch, and take one step of making room where that is due."""
        if await self._write() and await self._make_room():
            self._succeeded()

    async def _make_room(self) -> bool:
        """Take one step of it where that is due; whether it went well. An unwanted file is let go."""
        settings = self._settings
        if not settings.enable:
            if not self._waiting:
                await self._close()
            return True
        now, wall = self._clock.seconds(), int(self._wall() * 1_000_000)
        if now < self._room_due and self._since_room < ROOM_ROWS:
            return True
        max_age = int(settings.max_age * 1_000_000)
        try:
            more = await self._in_thread(
                lambda: self._open(settings).make_room(wall, max_age, settings.max_size)
            )
        except LedgerError as error:
            self._failed(str(error))
            return False
        self._since_room = 0
        self._room_due = now + (INTERVAL if more else ROOM_INTERVAL)
        return True

    def _open(self, settings: Ledger) -> Writes:
        """The store. Called in the other thread, which alone works at that time."""
        where = _where(settings)
        if self._store is not None and where != self._store_of:
            self._store.close()
            self._store = None
        if self._store is None:
            self._store, self._store_of = self._make_store(settings), where
        return self._store

    async def _close(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            await self._in_thread(store.close)

    async def _write(self) -> bool:
        """Write one batch; whether it went well. Without any, the file is looked at."""
        batch = self._waiting[:BATCH]
        settings, redacted = self._settings, self._redacted
        if not batch and not settings.enable:
            return True
        try:
            progress = await self._in_thread(lambda: self._open(settings).write(batch, redacted))
        except CancelledError:
            raise
        except LedgerError as error:
            self._failed(str(error))
            return False
        except Exception:
            # A batch that cannot be written at all must not keep all others from it.
            self._log.failure("Unhandled error while writing the ledger")
            self._missing += len(batch)
            self._take(len(batch))
            return False
        self._take(len(batch))
        self._since_room += len(batch)
        self._note(progress or Progress())
        return True

    def _take(self, count: int) -> None:
        """The first of those that wait wait no more. New ones have only been added at the other end."""
        del self._waiting[:count]
        self.settled += count

    def _note(self, progress: Progress) -> None:
        """Log it when rows begin to wait on a disk, and when none does any more."""
        self._progress = progress
        if progress.lost:
            self._missing += progress.lost
            self._log.error(
                "{exchanges} that waited for the ledger {name} cannot be stored and are dropped",
                exchanges=counted(progress.lost, "exchange"),
                count=progress.lost,
                name=self._name,
            )
        if progress.away and not self._away:
            self._away = True
            self._log.warn(
                "The ledger {name} cannot be reached: {why}. Exchanges wait for it on the disk, up to a limit"
                " (setting: ledger.spool-size), and are written when it is back",
                name=self._name,
                why=progress.away,
            )
        elif self._away and not progress.away and not progress.backlog:
            self._away = False
            self._log.info("The ledger {name} is back; what waited for it is written", name=self._name)

    def _failed(self, why: str) -> None:
        self._retry = min(max(RETRY, self._retry * 2), MAX_RETRY_SECONDS)
        if why != self._trouble:
            self._trouble = why
            self._log.error(
                "The ledger {name} cannot be written: {why}. Requests are served all the same; up to"
                " {most} exchanges wait for it (settings: ledger, state-dir)",
                name=self._name,
                why=why,
                most=MAX_WAITING,
            )

    def _succeeded(self) -> None:
        self._retry = 0.0
        if self._trouble or self._missing:
            self._log.info(
                "The ledger {name} can be written again; missing from it: {exchanges}",
                name=self._name,
                exchanges=counted(self._missing, "exchange"),
                missing=self._missing,
            )
        self._trouble, self._missing = "", 0


def _where(settings: Ledger) -> object:
    """What of the settings the store is made by."""
    return settings.url, settings.password, settings.timeout, settings.spool_size, settings.max_series
