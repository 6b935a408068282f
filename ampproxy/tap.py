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
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec import structs
from msgspec.structs import replace
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from twisted.python import usage
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import provider

from ampproxy import __version__
from ampproxy.alerts.service import AlertsService
from ampproxy.assembly import Hearers, NoCrew, Outside, Reloads, Start, assemble
from ampproxy.clock import ClockWatch, use_monotonic_clock
from ampproxy.config.load import find, load, not_found
from ampproxy.config.reloading import check_still_keyed
from ampproxy.config.schema import Config
from ampproxy.credentials.oauth.watch import holds_logins
from ampproxy.errors import ConfigError, StartFailed
from ampproxy.generation import Generation
from ampproxy.listen.inherited import Inherited, first_environment
from ampproxy.logs.observer import LogObserver
from ampproxy.logs.queued import QueuedOutput
from ampproxy.logs.twistd import output_of
from ampproxy.metrics.service import MetricsService
from ampproxy.metrics.stalls import Stalls
from ampproxy.model.base import Value
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

if TYPE_CHECKING:
    from ampproxy.state.view import View
    from ampproxy.workers.crew import Supervisor


class Overrides(Value, frozen=True):
    """What a command line sets in place of the configuration, each time that it is read.

    :param host: ``None``: as the file says; so ``port``.
    :param verbose: whether the log holds everything.
    """

    host: str | None = None
    port: int | None = None
    verbose: bool = False

    def applied(self, config: Config) -> Config:
        """The configuration with them."""
        changes: dict[str, Any] = {}
        if self.host is not None:
            changes["host"] = self.host
        if self.port is not None:
            changes["port"] = self.port
        if self.verbose:
            changes["logging"] = structs.replace(config.logging, level="debug")
        return replace(config, **changes) if changes else config


class Options(usage.Options):
    """What ``twistd ampproxy`` takes.

    ``ampproxy serve`` sets two more: ``overrides``, and ``announce``, which is called with the service as
    soon as this process serves.
    """

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
        self["overrides"] = Overrides()
        self["announce"] = lambda service: None

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
            self["parsed"] = _load(path, self["overrides"], self["snapshot"].read)
            succession = self["succession"]
            check_still_keyed(succession is not None and succession.keyed, self["parsed"])
        except ConfigError as error:
            raise usage.UsageError("The configuration is invalid.\n" + str(error)) from None


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
    alerts = AlertsService(reactor, log)
    notifier = Notifier.of(os.environ, os.getpid(), reactor, log)
    watch = partial(_watch, config, options, notifier, reactor, log)
    crew = _crew(options, reactor, log, observer, metrics)
    shared: View | None = None
    if crew is not None:
        # Not at the top: with one process nothing of it is loaded.
        from ampproxy.state.view import View

        shared = View("the supervisor", reactor, time.time, Logger(observer=_ignored))
        metrics.workers = notifier.alive = crew
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
                    shared=shared,
                ),
                _start(options, watch, observer, crew),
                _hearers(metrics, alerts, observer),
            )
        )
        if holds_logins(config.auth_dir):
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
        alerts=alerts,
        succession=succession,
        restart=partial(_predecessor, options["command"], service, reactor),
        announce=lambda: options["announce"](service),
        crew=crew,
    ).install()
    if crew is not None and shared is not None:
        crew.hub.join(shared)
    if observer is not None:
        _settle_log(observer, reactor)
    return service


def _crew(
    options: Options, reactor: Any, log: Logger, observer: LogObserver | None, metrics: MetricsService
) -> Supervisor | None:
    """The workers, where there are several."""
    count = options["parsed"].workers or len(os.sched_getaffinity(0))
    if count == 1:
        return None
    if of_twistd(options).get("chroot"):
        raise StartFailed("a service in a chroot (--chroot) can start no workers (setting: workers)")
    # Not at the top: with one process nothing of it is loaded.
    from ampproxy.workers.beginning import Beginning
    from ampproxy.workers.crew import Supervisor

    return Supervisor(
        count,
        reactor,
        log,
        environ=os.environ,
        begins=Beginning(Path.home(), cache_folder(os.environ, Path.home()), of_twistd(options)),
        line=(lambda line, level: None) if observer is None else observer.forward,
        late=metrics.late,
        wall=time.time,
    )


@provider(ILogObserver)
def _ignored(event: LogEvent) -> None:
    """The supervisor's own link to the state that its workers share cannot fail."""


def _start(
    options: Options,
    watch: Callable[[Reloads], ConfigWatch],
    observer: LogObserver | None,
    crew: Supervisor | None,
) -> Start:
    succession: Handover | None = options["succession"]
    return Start(
        listen=tuple(options["listen"]),
        inherited=options["inherited"] or Inherited(),
        generation=1 if succession is None else succession.generation + 1,
        failed=None if succession is None else succession.failed,
        discover=True,
        watch=watch,
        log_observer=observer,
        crew=crew or NoCrew(),
    )


def _hearers(metrics: MetricsService, alerts: AlertsService, observer: LogObserver | None) -> Hearers:
    return Hearers(
        exchanges=(metrics.observe,),
        alerts=alerts,
        in_force=(metrics.use, alerts.use, *(() if observer is None else (partial(_log_by, observer),))),
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
    config: Config, options: Options, notifier: Notifier, reactor: Any, log: Logger, service: Reloads
) -> ConfigWatch:
    """Have the service follow its file."""
    path = config.source
    assert path is not None
    reloader = Reloader(
        path,
        lambda read: _load(path, options["overrides"], read),
        service.use_read,
        generation=lambda: service.generation,
        snapshot=options["snapshot"],
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


def _load(path: Path, overrides: Overrides, read: Callable[[Path], bytes]) -> Config:
    config = overrides.applied(load(path, environ=os.environ, home=Path.home(), read=read))
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
    state: Path | None = None,
) -> GatewayService:
    """A service that asks no vendor for its models; it listens once it is started.

    :param environ: by default that of the process.
    :param home: by default that of the user.
    :param listen: endpoint strings that replace the configured address.
    :param policy: verifies the upstreams' certificates; by default against the system's trust store.
    :param observer: takes the log's events.
    :param state: the folder of what is kept, such as the ledger; ``None``: nothing is kept on a disk.
    :raises ConfigError: a proxy's URL cannot be used.
    """
    outside = Outside(
        reactor=reactor,
        environ=os.environ if environ is None else environ,
        home=Path.home() if home is None else home,
        policy=policy,
        observer=observer,
        state=state,
    )
    return GatewayService(assemble(config, outside, Start(listen=listen)))
