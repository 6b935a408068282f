"""The service in this process: what ``twistd`` does for a plugin, without its options and its files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from twisted.application.app import startApplication
from twisted.application.service import Application, IService
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    Logger,
    PredicateResult,
    globalLogBeginner,
)
from zope.interface import implementer

from ampproxy.cli.configured import note_of
from ampproxy.config.run_file import RunFile, RunNote, read_note, run_file
from ampproxy.config.schema import Config
from ampproxy.errors import StartFailed
from ampproxy.listen import describe
from ampproxy.logs.twistd import is_about_port
from ampproxy.service import GatewayService
from ampproxy.start import Options, makeService
from ampproxy.tap import Overrides


def run(file: Path, overrides: Overrides, listen: Sequence[str], log: str) -> None:
    """Serve until a signal ends it.

    :param log: the log's file; empty: the standard output.
    :raises SystemExit: it cannot start; why is on the standard error.
    """
    from twisted.internet import reactor

    options = Options()
    # As twistd's own options would be.
    before: Any = {"nodaemon": True, "logfile": log or "-", "pidfile": "", "uid": None, "gid": None}
    options.parent = before
    options.update(config=str(file), listen=list(listen), overrides=overrides)
    options["announce"] = lambda service: _announce(service, log, options["succession"] is None, reactor)
    options.postOptions()
    try:
        service = makeService(options)
        application = Application("ampproxy")
        service.setServiceParent(application)
        IService(application).privilegedStartService()
    except StartFailed as error:
        hint = _who_runs(options["parsed"]) if "in use" in str(error) else ""
        click.echo(f"Error: {error}{hint}", err=True)
        raise SystemExit(1) from None
    # Not before: what keeps it from starting is for the standard error. What was logged is not lost.
    observer = application.getComponent(ILogObserver)
    globalLogBeginner.beginLoggingTo([FilteringLogObserver(observer, [_WithoutPorts()])])
    startApplication(application, False)
    reactor.callWhenRunning(_end_by_interrupt)
    reactor.run()


def _end_by_interrupt() -> None:
    """Ctrl-C is an orderly end, and a second one the end of waiting: as SIGTERM is."""
    signal.signal(signal.SIGINT, lambda *_: os.kill(os.getpid(), signal.SIGTERM))


@implementer(ILogFilterPredicate)
class _WithoutPorts:
    """Leaves out Twisted's own lines on ports and its loop, which add nothing to ours."""

    def __call__(self, event: LogEvent) -> Any:
        """Whether an event is one of these."""
        return PredicateResult.no if is_about_port(event) else PredicateResult.maybe


def _who_runs(config: Config) -> str:
    """Where it cannot listen: whether that is so because it runs already."""
    note = note_of(config)
    if note is None:
        return "\nAnother one: ampproxy serve --port PORT"
    return f"\nIt runs already, as process {note.pid}: ampproxy status, ampproxy stop"


def _announce(service: GatewayService, log: str, first: bool, reactor: Any) -> None:
    """This process is the service: leave a note for the commands, and tell who started it.

    :param first: whether it has not taken another one's place, which Ctrl-C reaches no more.
    """
    config = service.current.config
    assert config.source is not None
    listening = tuple(describe(port) for port in service.ports)
    note = RunNote(os.getpid(), time.time(), str(config.source.absolute()), listening, log)
    logger = service.current.runtime.log
    _leave(run_file(config.state_dir, config.source), note, first, logger, reactor)
    scheme = "http" if config.tls is None else "https"
    where = ", ".join(one if "/" in one else f"{scheme}://{one}" for one in listening)
    logger.info(
        "Serving on {where}, configured by {config}{how}",
        where=where,
        config=note.config,
        how="; Ctrl-C ends it" if first and not log and os.isatty(0) else "",
    )


def _leave(path: Path, note: RunNote, first: bool, logger: Logger, reactor: Any) -> None:
    """Leave the note. Of two services that run by one file, at two addresses, the commands mean the older."""
    other = read_note(path) if first else None
    if other is not None:
        logger.warn(
            "Process {pid} uses the same file: ampproxy status, stop and the like address that one, and this"
            " one only with --at {where}",
            pid=other.pid,
            where=note.listening[0] if note.listening else "ADDRESS",
        )
        return
    try:
        left = RunFile(path, note)
    except OSError as error:
        logger.warn(
            "{path} cannot be written: {why}; ampproxy status and stop look at the configured address alone",
            path=str(path),
            why=error.strerror or str(error),
        )
    else:
        reactor.addSystemEventTrigger("after", "shutdown", left.remove)
