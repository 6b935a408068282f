"""``twistd ampproxy``: the composition root. Only here do the reactor, the environment and the arguments
come in; everything else is handed what it needs.
"""

from __future__ import annotations

import atexit
import os
import random
import signal
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python import usage
from twisted.web.iweb import IPolicyForHTTPS

from ampproxy import __version__
from ampproxy.clock import ClockWatch, keep_steady
from ampproxy.config.changes import check_still_keyed
from ampproxy.config.load import find, load, not_found
from ampproxy.config.schema import Config
from ampproxy.credentials.names import kept_salt
from ampproxy.credits.allowance import Allowance
from ampproxy.errors import ConfigError, StartFailed
from ampproxy.generation import Generation
from ampproxy.ledger import NAME
from ampproxy.ledger.recorder import Recorder, Writes
from ampproxy.listen.inherited import Inherited, first_environment
from ampproxy.logs.observer import LogObserver
from ampproxy.logs.queued import QueuedOutput
from ampproxy.logs.twistd import output_of
from ampproxy.metrics.service import MetricsService
from ampproxy.metrics.stalls import Stalls
from ampproxy.notify import Notifier, for_successor
from ampproxy.process import Process, leave_no_core, state_of
from ampproxy.relay.clients import SeenClients
from ampproxy.relay.discovery import Discovery
from ampproxy.relay.model_cache import ModelCache, cache_folder
from ampproxy.relay.record import Observer
from ampproxy.relay.unknown import RouteMemory
from ampproxy.relay.workers import Workers
from ampproxy.reload import ConfigWatch, Reloader, Snapshot
from ampproxy.restart.predecessor import Command, Predecessor
from ampproxy.restart.successor import Succession
from ampproxy.runtime import Runtime
from ampproxy.server.descriptors import raise_limit
from ampproxy.server.running import Running
from ampproxy.service import GatewayService
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.proxy import Proxy
from ampproxy.wire.redact import Redactor, Secret


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
        self["succession"] = succession = Succession.of(os.environ)
        self["command"] = command()
        if succession is not None:
            succession.adapt(of_twistd(self))
            self["inherited"] = succession.inherited
        try:
            with telling(succession):
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

    keep_steady(reactor)
    raise_limit()
    leave_no_core()
    sys.excepthook = _told
    with telling(options["succession"]):
        return _make(options, reactor)


def _make(options: Options, reactor: Any) -> GatewayService:
    succession: Succession | None = options["succession"]
    config: Config = options["parsed"]
    log = _log_observer(options.parent, reactor)
    own = Logger(namespace="ampproxy")
    metrics = MetricsService(reactor, own, {} if log is None else log.counts, Stalls(reactor, own))
    try:
        cache = cache_folder(os.environ, Path.home())
        service = build(
            config,
            reactor,
            listen=tuple(options["listen"]),
            cache=cache,
            state=config.state_dir,
            discover=True,
            observers=(metrics.observe,),
            brief=log is not None,
            in_force=(metrics.use, *(() if log is None else (partial(_log_by, log),))),
            inherited=options["inherited"],
            generation=1 if succession is None else succession.generation + 1,
        )
        if succession is not None:
            service.hold(succession.failed)
        service.log_observer = log
        if any(config.auth_dir.glob("*.json")):
            attach_logins(service, reactor)
    except ConfigError as error:
        raise StartFailed(str(error)) from None
    for warning in config.warnings:
        service.current.runtime.log.warn("{warning}", warning=warning)
    notifier = Notifier.of(os.environ, os.getpid(), reactor, service.current.runtime.log)
    Process(
        service,
        reactor,
        twistd=of_twistd(options),
        watch=_watch(service, config, options["snapshot"], notifier, reactor),
        clock=ClockWatch(reactor, time.time, service.current.runtime.log, service.clock_set),
        notifier=notifier,
        metrics=metrics,
        attach_logins=partial(attach_logins, service, reactor),
        succession=succession,
        restart=partial(_predecessor, options["command"], service, reactor),
    ).install()
    if log is not None:
        _settle_log(log, reactor)
    return service


def _told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What keeps the service from starting is one sentence; a defect has its traceback."""
    if isinstance(error, StartFailed):
        print(f"ampproxy: {error}", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _predecessor(command: Command, service: GatewayService, reactor: Any, process: Process) -> Predecessor:
    """What has another process take this one's place."""
    return Predecessor(
        command,
        service.listeners,
        reactor,
        service.current.runtime.log,
        generation=lambda: service.generation,
        keyed=lambda: bool(service.current.config.api_keys),
        obstacle=process.obstacle,
        give_way=process.give_way,
        go_on=process.go_on,
        leave=process.leave,
        wall=time.time,
    )


def command() -> Command:
    """How this process was started, to be started so again: by the same interpreter, whose packages may be
    others by then, and in the same folder, which may be reached by a link that leads elsewhere by then.
    """
    folder, told = Path.cwd(), Path(os.environ.get("PWD", ""))
    if told.is_absolute() and told.exists() and told.samefile(folder):
        folder = told
    return Command((sys.executable, *sys.orig_argv[1:]), for_successor(os.environ), folder)


def of_twistd(options: Options) -> MutableMapping[str, Any]:
    """The options before the word ``ampproxy``, which ``twistd`` goes by."""
    before: Any = options.parent
    return {} if before is None else before


@contextmanager
def telling(succession: Succession | None) -> Iterator[None]:
    """Have the process before know why this one cannot take its place."""
    try:
        yield
    except Exception as error:
        if succession is not None:
            succession.failed(str(error))
        raise


def _watch(
    service: GatewayService, config: Config, snapshot: Snapshot, notifier: Notifier, reactor: Any
) -> ConfigWatch:
    """Have the service follow its file."""
    path = config.source
    assert path is not None
    log = service.current.runtime.log
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
    service.watch = watch = ConfigWatch(reloader, clock=reactor, log=log)
    return watch


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
    _check_proxies(config)
    return config


def attach_logins(service: GatewayService, reactor: Any) -> None:
    """Serve with the logins in ``auth-dir``, and with those that come there later."""
    if service.has_logins:
        return
    # Not at the top: most users have no login, and its libraries are slow to load.
    from ampproxy.credentials.oauth.service import Logins

    runtime = service.current.runtime
    chance = random.SystemRandom().random
    service.attach(
        lambda config: Logins(
            config, reactor, runtime.client.send, runtime.log, wall=runtime.wall, random=chance
        )
    )


def build(
    config: Config,
    reactor: Any,
    *,
    listen: tuple[str, ...] = (),
    environ: Mapping[str, str] | None = None,
    home: Path | None = None,
    policy: IPolicyForHTTPS | None = None,
    observer: ILogObserver = globalLogPublisher,
    cache: Path | None = None,
    state: Path | None = None,
    discover: bool = False,
    observers: tuple[Observer, ...] = (),
    brief: bool = False,
    in_force: tuple[Callable[[Generation, Collection[Secret]], None], ...] = (),
    inherited: Inherited | None = None,
    generation: int = 1,
) -> GatewayService:
    """Put a service together; it listens once it is started.

    :param listen: endpoint strings that replace the configured address.
    :param policy: verifies the upstreams' certificates; by default against the system's trust store.
    :param observer: takes the log's events.
    :param cache: the folder of what may be forgotten; ``None``: nothing of it is kept.
    :param state: the folder of what is kept across restarts; ``None``: nothing is.
    :param discover: ask the vendors for the models of accounts that name none, as long as it runs.
    :param observers: hear of each exchange that has ended.
    :param brief: whether ``observer`` makes the fields of exchanges itself.
    :param in_force: hear of each configuration that comes in force.
    :param inherited: sockets that listen already.
    :param generation: what the first configuration is counted as.
    :raises ConfigError: a proxy's URL cannot be used.
    """
    _check_proxies(config)
    log = Logger(namespace="ampproxy", observer=observer)
    client = UpstreamClient(reactor, connect_timeout=config.timeouts.connect, policy=policy, log=log)
    discovery = Discovery(
        client, reactor, ModelCache(cache), log, wall=time.time, random=random.SystemRandom().random
    )
    ledger = None if state is None else _ledger(state, reactor, log)
    runtime = Runtime(
        clock=reactor,
        client=client,
        environ=os.environ if environ is None else environ,
        home=Path.home() if home is None else home,
        wall=time.time,
        new_id=lambda prefix: prefix + uuid.uuid4().hex,
        log=log,
        running=Running(),
        seen_clients=SeenClients(log),
        unknown_routes=RouteMemory(state, reactor, time.time, log),
        brief=brief,
        observers=observers if ledger is None else (*observers, ledger.observe),
        state=state,
        names_salt=_names_salt(state, log),
        workers=Workers(_in_thread(reactor)),
        allowance=Allowance(state, lambda: time.strftime("%Y-%m-%d")),
        known_models=discovery.models,
    )
    return GatewayService(
        config,
        runtime,
        reactor,
        listen,
        discovery if discover else None,
        ledger,
        inherited=inherited,
        generation=generation,
        in_force=in_force if ledger is None else (*in_force, partial(_keep_by, ledger)),
    )


def _names_salt(state: Path | None, log: Logger) -> bytes:
    """What the names of clients' keys are made with."""
    try:
        return kept_salt(state)
    except OSError as error:
        log.warn(
            "{path}: {error}: the names of clients' keys in log and ledger change with each start",
            path=str(state),
            error=str(error.strerror or error),
        )
        return kept_salt(None)


def _ledger(state: Path, reactor: Any, log: Logger) -> Recorder:
    """The ledger in a folder of state; it touches nothing before it is started."""
    path = state / NAME

    def make_store() -> Writes:
        # Not at the top: it loads SQLite.
        from ampproxy.ledger.store import Store

        return Store(path)

    in_thread = _in_thread(reactor)
    return Recorder(str(path), make_store, clock=reactor, in_thread=in_thread, wall=time.time, log=log)


def _in_thread(reactor: Any) -> Callable[[Callable[[], Any]], Deferred[Any]]:
    """Runs a function in one of the reactor's threads."""
    return lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work)


def _keep_by(ledger: Recorder, generation: Generation, secrets: Collection[Secret]) -> None:
    """Keep what the configuration in force wants kept."""
    ledger.configure(generation.config.ledger, Redactor(secrets).text)


def _check_proxies(config: Config) -> None:
    """Find out at the start, not at the first request, that a proxy's URL cannot be used."""
    places = [(config.place("proxy-url"), config.proxy_url)]
    places += [
        (config.place(f"{account.label}.proxy-url", account.line), account.proxy_url)
        for account in config.accounts
    ]
    complaints = []
    for place, url in places:
        try:
            Proxy.of(url or "")
        except ValueError as error:
            complaints.append(f"{place}: {error}")
    if complaints:
        raise ConfigError(tuple(complaints))
