"""A worker whose supervisor has ended: until its own end it writes the log and the ledger itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from ampproxy.assembly import make_ledger
from ampproxy.credentials.secrets import secrets_of
from ampproxy.ledger import NAME
from ampproxy.ledger.entry import Entry, entry_of
from ampproxy.ledger.place import Place
from ampproxy.ledger.recorder import Recorder
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
        place = Place(runtime.state / NAME, None if config.ledger.url is None else config.ledger)
        looked = self._settle(place, reporter, ledger)
        self._reactor.addSystemEventTrigger(
            "before", "shutdown", lambda: looked.addBoth(lambda _: ledger.stop())
        )

    def _settle(self, place: Place, reporter: Reporter, ledger: Recorder) -> Deferred[Any]:
        """Write what the supervisor has not come to report as written, and that is not."""
        records = {entry_of(record, record.ended_at): record for record in reporter.unwritten()}

        def write(missing: list[Entry]) -> None:
            for entry in missing:
                ledger.observe(records[entry])

        pool = self._reactor.getThreadPool()
        looked: Deferred[Any] = deferToThreadPool(self._reactor, pool, unwritten, place, list(records))
        return looked.addCallbacks(write, self._defect)

    def _defect(self, failure: Any) -> None:
        self._log.failure("Unhandled error while reading the ledger", failure)

    def _write_log(self, output: ChannelOutput) -> None:
        try:
            own = output_of(self._twistd, self._reactor.seconds)
        except SystemExit:
            own = None
        output.replace((lambda line, level: None) if own is None else own.write)
