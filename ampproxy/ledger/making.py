"""The ledger of a service, made of its parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ampproxy.ledger import NAME
from ampproxy.ledger.journal import JOURNAL, Journal, Journalled
from ampproxy.ledger.place import SPOOL, Place, name_of, server_of
from ampproxy.ledger.recorder import Recorder, new_writer, row_keys
from ampproxy.ledger.watch import Watch
from ampproxy.ledger.writing import Writes
from ampproxy.model.ledger import Ledger
from ampproxy.relay.record import ExchangeRecord
from ampproxy.wire.words import counted


def make_ledger(
    state: Path, reactor: Any, log: Logger, live: Mapping[int, ExchangeRecord] | None = None
) -> Recorder:
    """The ledger of a service; it touches nothing before it is started.

    :param state: the folder of its state.
    :param live: what is under way, and is kept in case the process is killed; ``None``: another process does
        that.
    """
    writer = new_writer()
    new_row = row_keys(writer)

    def in_thread(work: Callable[[], Any]) -> Any:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    def name(settings: Ledger) -> str:
        return str(state / NAME) if settings.url is None else name_of(settings)

    watch = None
    make = partial(make_store, state, reactor.seconds)
    if live is not None:
        journal = Journal(state / JOURNAL, writer)
        make = partial(_journalled, state, reactor.seconds, journal, log)
        watch = Watch(
            journal,
            lambda: list(live.values()),
            new_row,
            clock=reactor,
            in_thread=in_thread,
            wall=time.time,
            log=log,
        )
    return Recorder(
        name,
        make,
        clock=reactor,
        in_thread=in_thread,
        wall=time.time,
        log=log,
        new_row=new_row,
        watch=watch,
    )


def make_store(state: Path, seconds: Callable[[], float], settings: Ledger) -> Writes:
    """What keeps the rows by some settings. Loads SQLite, or SQLAlchemy.

    :raises LedgerError: a package is not installed.
    """
    if settings.url is None:
        from ampproxy.ledger.store import Store

        return Store(state / NAME, settings.max_series)
    server = server_of(settings)
    from ampproxy.ledger.database_store import MAX_SERIES, DatabaseStore
    from ampproxy.ledger.shared import SharedStore
    from ampproxy.ledger.spool import Spool

    return SharedStore(
        DatabaseStore(server, settings.max_series or MAX_SERIES, seconds),
        Spool(state / SPOOL, new_writer(), settings.spool_size),
        seconds,
    )


def _journalled(
    state: Path, seconds: Callable[[], float], journal: Journal, log: Logger, settings: Ledger
) -> Writes:
    place = Place(state / NAME, None if settings.url is None else settings)

    def found(count: int) -> None:
        log.warn(
            "{exchanges} of a process that was killed are in the ledger now: as failed, with the tokens that "
            "were known",
            exchanges=counted(count, "exchange"),
            count=count,
        )

    return Journalled(make_store(state, seconds, settings), journal, place, found)
