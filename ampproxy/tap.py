"""``twistd ampproxy``: the composition root. Only here do the reactor, the environment and the arguments
come in; everything else is handed what it needs.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python import usage
from twisted.web.iweb import IPolicyForHTTPS

from ampproxy import __version__
from ampproxy.assembly import Hearers, Outside, Reloads, Start, assemble
from ampproxy.clock import ClockWatch, use_monotonic_clock
from ampproxy.config.changes import check_still_keyed
from ampproxy.config.load import find, load, not_found
from ampproxy.config.schema import Config
from ampproxy.errors import ConfigError, StartFailed
from ampproxy.generation import Generation
from ampproxy.listen.inherited import Inherited, first_environment
from ampproxy.logs.observer import LogObserver
from ampproxy.logs.queued import QueuedOutput
from ampproxy.logs.twistd import output_of
from ampproxy.metrics.service import MetricsService
from ampproxy.metrics.stalls import Stalls
from ampproxy.notify import Notifier, for_successor
from ampproxy.process import Process, leave_no_core, state_of
from ampproxy.relay.model_cache import cache_folder
from ampproxy.reload import ConfigWatch, Reloader, Snapshot
from ampproxy.restart.handover_new import Handover
from ampproxy.restart.handover_old import Command, HandoverSource
from ampproxy.server.descriptors import raise_limit
from ampproxy.service import GatewayService
from ampproxy.upstream.proxy import check_proxies
from ampproxy.wire.redact import Secret


class Options(usage.Options):
    """What ``twistd ampproxy`` takes."""

    longdesc = "Runs the Amp coding agent on the model accounts you already have."
    optParameters: ClassVar[Sequence[Sequence[Any]]] = [
        [
            "config",
            "c",
            None,
            "The configuration file [~/.config/ampproxy/config.yaml, /etc/ampproxy/config.yaml]",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["listen"] = []
        self["inherited"] = None

    def opt_listen(self, endpoint: str) -> None:
        """A Twisted endpoint string to listen on, instead of the configured host and port; repeatable."""
        self["listen"].append(endpoint)

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"ampproxy {__version__}")
        raise SystemExit(0)

    def postOptions(self) -> None:
        """Read the configuration, so that a mistake in it is told before anything is started."""
        if self.parent is not None and "nodaemon" not in self.parent:
            # It opens no ports before privileges are given up, as we do, and has a log of its own.
            raise usage.UsageError(
                "ampproxy is started by twistd, not by twist: twistd -n ampproxy (see docs/operations.md)."
            )
        self["succession"] = succession = Handover.of(os.environ)
        self["command"] = command()
        if succession is not None:
            succession.adapt(of_twistd(self))
            self["inherited"] = succession.inherited
        try:
            with report_failure_to_predecessor(succession):
                self._read()
        except usage.UsageError as error:
            # twistd would print all of its options first, and the sentence below them.
            print(f"ampproxy: {error}", file=sys.stderr)
            raise SystemExit(1) from None

    def _read(self) -> None:
        home = Path.home()
        named = self["config"]
        path = Path(named).expanduser().absolute() if named else find(home)
        if path is None:
            raise usage.UsageError(not_found(Path.cwd()))
        self["snapshot"] = Snapshot()
        try:
            if self["inherited"] is None:
                self["inherited"] = Inherited.by_systemd(first_environment(), os.getpid())
            self["parsed"] = _load(path, self["snapshot"].read)
            succession = self["succession"]
            check_still_keyed(succession is not None and succession.keyed, self["parsed"])
        except ConfigError as error:
            raise usage.UsageError("The configuration is wrong.\n" + str(error)) from None


def makeService(options: Options) -> GatewayService:
    """The service for ``twistd``."""
    from twisted.internet import reactor

    use_monotonic_clock(reactor)
    raise_limit()
    leave_no_core()
    sys.excepthook = _excepthook
    with report_failure_to_predecessor(options["succession"]):
        return _make(options, reactor)


def _make(options: Options, reactor: Any) -> GatewayService:
    succession: Handover | None = options["succession"]
    config: Config = options["parsed"]
    observer = _log_observer(options.parent, reactor)
    log = Logger(namespace="ampproxy")
    metrics = MetricsService(reactor, log, {} if observer is None else observer.counts, Stalls(reactor, log))
    notifier = Notifier.of(os.environ, os.getpid(), reactor, log)
    watch = partial(_watch, config, options["snapshot"], notifier, reactor, log)
    try:
        service = GatewayService(
            assemble(
                config,
                Outside(
                    reactor=reactor,
                    environ=os.environ,
                    home=Path.home(),
                    cache=cache_folder(os.environ, Path.home()),
                    state=config.state_dir,
                ),
                _start(options, watch, observer),
                _hearers(metrics, observer),
            )
        )
        if any(config.auth_dir.glob("*.json")):
            service.attach_logins()
    except ConfigError as error:
        raise StartFailed(str(error)) from None
    for warning in config.warnings:
        log.warn("{warning}", warning=warning)
    Process(
        service,
        reactor,
        twistd=of_twistd(options),
        clock=ClockWatch(reactor, time.time, log, service.clock_set),
        notifier=notifier,
        metrics=metrics,
        succession=succession,
        restart=partial(_predecessor, options["command"], service, reactor),
    ).install()
    if observer is not None:
        _settle_log(observer, reactor)
    return service


def _start(options: Options, watch: Callable[[Reloads], ConfigWatch], observer: LogObserver | None) -> Start:
    succession: Handover | None = options["succession"]
    return Start(
        listen=tuple(options["listen"]),
        inherited=options["inherited"] or Inherited(),
        generation=1 if succession is None else succession.generation + 1,
        failed=None if succession is None else succession.failed,
        discover=True,
        watch=watch,
        log_observer=observer,
    )


def _hearers(metrics: MetricsService, observer: LogObserver | None) -> Hearers:
    return Hearers(
        exchanges=(metrics.observe,),
        in_force=(metrics.use, *(() if observer is None else (partial(_log_by, observer),))),
        brief=observer is not None,
    )


def _excepthook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What keeps the service from starting is one sentence; a defect has its traceback."""
    if isinstance(error, StartFailed):
        print(f"ampproxy: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _predecessor(command: Command, service: GatewayService, reactor: Any, process: Process) -> HandoverSource:
    """What has another process take this one's place."""
    return HandoverSource(
        command,
        service.listeners,
        reactor,
        service.current.runtime.log,
        reports=service.reports,
        generation=lambda: service.generation,
        keyed=lambda: bool(service.current.config.clients),
        obstacle=process.obstacle,
        yield_to=process.yield_to,
        go_on=process.go_on,
        leave=process.leave,
        wall=time.time,
    )


def command() -> Command:
    """How this process was started, to be started so again: by the same interpreter, whose packages may be
    others by then, and in the same folder, which may be reached by a link that leads elsewhere by then.
    """
    folder, logical = Path.cwd(), Path(os.environ.get("PWD", ""))
    if logical.is_absolute() and logical.exists() and logical.samefile(folder):
        folder = logical
    return Command((sys.executable, *sys.orig_argv[1:]), for_successor(os.environ), folder)


def of_twistd(options: Options) -> MutableMapping[str, Any]:
    """The options before the word ``ampproxy``, which ``twistd`` goes by."""
    before: Any = options.parent
    return {} if before is None else before


@contextmanager
def report_failure_to_predecessor(succession: Handover | None) -> Iterator[None]:
    """Have the process before know why this one cannot take its place."""
    try:
        yield
    except Exception as error:
        if succession is not None:
            succession.failed(str(error))
        raise


def _watch(
    config: Config, snapshot: Snapshot, notifier: Notifier, reactor: Any, log: Logger, service: Reloads
) -> ConfigWatch:
    """Have the service follow its file."""
    path = config.source
    assert path is not None
    reloader = Reloader(
        path,
        lambda read: _load(path, read),
        service.use_read,
        generation=lambda: service.generation,
        snapshot=snapshot,
        wall=time.time,
        log=log,
        announce=lambda: notifier.reloading(lambda: state_of(service)),
    )
    return ConfigWatch(reloader, clock=reactor, log=log)


def _log_observer(twistd: Mapping[str, Any] | None, reactor: Any) -> LogObserver | None:
    """What takes the log's events under ``twistd``.

    :param twistd: the options before the word ``ampproxy``.
    """
    output = output_of(twistd, reactor.seconds)
    if output is None:
        return None
    return LogObserver(
        QueuedOutput(output),
        now=reactor.seconds,
        later=reactor.callLater,
        in_reactor=reactor.callFromThread,
        wall=time.time,
    )


def _log_by(log: LogObserver, generation: Generation, secrets: Collection[Secret]) -> None:
    log.use(generation.config.logging, secrets)


def _settle_log(log: LogObserver, reactor: Any) -> None:
    """SIGUSR1 has the log's file opened anew, as with any daemon of ``twistd``'s."""

    # Not only when it runs: logrotate may come right after the start, and by default the signal kills.
    signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(log.reopen))
    reactor.callWhenRunning(log.start)
    reactor.addSystemEventTrigger("after", "shutdown", log.flush)
    # What is told after that, or where the reactor never came to it.
    atexit.register(log.flush)


def _load(path: Path, read: Callable[[Path], bytes]) -> Config:
    config = load(path, environ=os.environ, home=Path.home(), read=read)
    check_proxies(config)
    return config


def build(
    config: Config,
    reactor: Any,
    *,
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
    listen: tuple[str, ...] = (),
    policy: IPolicyForHTTPS | None = None,
    observer: ILogObserver = globalLogPublisher,
) -> GatewayService:
    """A service that keeps nothing on disk, and asks no vendor for its models; it listens once it is started.

    :param environ: by default that of the process.
    :param home: by default that of the user.
    :param listen: endpoint strings that replace the configured address.
    :param policy: verifies the upstreams' certificates; by default against the system's trust store.
    :param observer: takes the log's events.
    :raises ConfigError: a proxy's URL cannot be used.
    """
    outside = Outside(
        reactor=reactor,
        environ=os.environ if environ is None else environ,
        home=Path.home() if home is None else home,
        policy=policy,
        observer=observer,
    )
    return GatewayService(assemble(config, outside, Start(listen=listen)))
