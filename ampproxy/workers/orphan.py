"""A worker whose supervisor has ended: until its own end it writes the log and the ledger itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ampproxy.credentials.secrets import secrets_of
from ampproxy.ledger import NAME, LedgerError
from ampproxy.ledger.entry import Entry, entry_of
from ampproxy.ledger.making import make_ledger
from ampproxy.ledger.place import Place
from ampproxy.ledger.recorder import RETRY, Recorder
from ampproxy.ledger.written import unwritten
from ampproxy.logs.twistd import output_of
from ampproxy.service import GatewayService
from ampproxy.wire.redact import Redactor
from ampproxy.workers.reporting import ChannelOutput, Reporter


class Orphan:
    """Does what the supervisor did for it.

    :param twistd: the supervisor's options, those before the word ``ampproxy``.
    """

    def __init__(
        self, twistd: Mapping[str, object], service: GatewayService, reactor: Any, log: Logger
    ) -> None:
        self._twistd = twistd
        self._service = service
        self._reactor = reactor
        self._log = log
        self._ending = False

    def take_over(self, output: ChannelOutput, reporter: Reporter) -> None:
        """Do it from now on: first what has ended and may not have been written."""
        self._write_log(output)
        runtime, config = self._service.current.runtime, self._service.current.config
        if runtime.state is None:
            return
        ledger = make_ledger(runtime.state, self._reactor, self._log)
        ledger.configure(config.ledger, Redactor(secrets_of(config)).text)
        reporter.orphaned = ledger.observe
        ledger.start()
        if config.ledger.url is not None:
            # It knows each row by its key, whoever writes it, and writes it again.
            for record in reporter.unwritten():
                ledger.observe(record)
            looked: Deferred[None] = succeed(None)
        else:
            looked = Deferred.fromCoroutine(self._settle(Place(runtime.state / NAME), reporter, ledger))
        self._reactor.addSystemEventTrigger("before", "shutdown", self._finish, looked, ledger)

    def _finish(self, looked: Deferred[None], ledger: Recorder) -> Deferred[None]:
        self._ending = True
        return looked.addCallbacks(lambda _: None, self._defect).addCallback(lambda _: ledger.stop())

    async def _settle(self, place: Place, reporter: Reporter, ledger: Recorder) -> None:
        """Write what the supervisor has not come to report as written, and that is not in the file."""
        records = {
            entry_of(record, record.ended_at, *record.row or ()): record for record in reporter.unwritten()
        }
        for entry in await self._missing(place, list(records)):
            ledger.observe(records[entry])

    async def _missing(self, place: Place, entries: list[Entry]) -> list[Entry]:
        """Those that are not in the file. As long as it cannot be read it is looked at again: none may be
        written twice.
        """
        pool = self._reactor.getThreadPool()
        while True:
            ending = self._ending
            try:
                return await deferToThreadPool(self._reactor, pool, unwritten, place, entries)
            except LedgerError as error:
                if ending:
                    self._log.error(
                        "Whether the ledger has the last {count} exchanges is not known: {why}",
                        count=len(entries),
                        why=str(error),
                    )
                    return []
            await deferLater(self._reactor, RETRY)

    def _defect(self, failure: Any) -> None:
        self._log.failure("Unhandled error while reading the ledger", failure)

    def _write_log(self, output: ChannelOutput) -> None:
        try:
            own = output_of(self._twistd, self._reactor.seconds)
        except SystemExit:
            own = None
        output.replace((lambda line, level: None) if own is None else own.write)
