"""A worker whose supervisor has ended: until its own end it writes the log and the ledger itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from ampproxy.assembly import make_ledger
from ampproxy.ledger import NAME
from ampproxy.ledger.entry import entry_of
from ampproxy.ledger.written import unwritten
from ampproxy.logs.twistd import output_of
from ampproxy.relay.record import ExchangeRecord
from ampproxy.service import GatewayService
from ampproxy.wire.redact import Redactor
from ampproxy.workers.reporting import ChannelOutput, Reporter


def _unwritten(path: Path, records: Iterable[ExchangeRecord]) -> Iterable[ExchangeRecord]:
    """Those of which the supervisor has not come to tell that they are written, and that are not."""
    entries = [(entry_of(record, record.ended_at), record) for record in records]
    rest = set(unwritten(path, (entry for entry, _ in entries)))
    return [record for entry, record in entries if entry in rest]


class Orphan:
    """What the supervisor did for it.

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
        """Do it from now on: what has ended and may not have been written, first."""
        self._write_log(output)
        runtime, config = self._service.current.runtime, self._service.current.config
        if runtime.state is None:
            return
        ledger = make_ledger(runtime.state, self._reactor, self._log)
        ledger.configure(config.ledger, Redactor(()).text)
        reporter.orphaned = ledger.observe
        for record in _unwritten(runtime.state / NAME, reporter.unwritten()):
            ledger.observe(record)
        ledger.start()
        self._reactor.addSystemEventTrigger("during", "shutdown", ledger.stop)

    def _write_log(self, output: ChannelOutput) -> None:
        try:
            own = output_of(self._twistd, self._reactor.seconds)
        except SystemExit:
            own = None
        if own is None:
            output.replace(lambda line, level: None)
            return
        output.replace(own.write)
