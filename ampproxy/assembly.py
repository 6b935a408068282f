"""What a service is made of: every part of it, in one order, complete before the service itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from socket import socket
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.web.iweb import IPolicyForHTTPS

from ampproxy.config.schema import Config
from ampproxy.credentials.health import PoolState
from ampproxy.credentials.lessons import Lessons
from ampproxy.credentials.names import kept_salt
from ampproxy.credentials.pins import Pins
from ampproxy.credits.allowance import Allowance
from ampproxy.dashboard.mount import Dashboard
from ampproxy.generation import Generation, InForce
from ampproxy.http.deadlines import Deadlines
from ampproxy.ledger import LedgerError
from ampproxy.ledger.making import make_ledger
from ampproxy.ledger.recorder import Recorder
from ampproxy.lifecycle import Lifecycle
from ampproxy.listen.inherited import Inherited
from ampproxy.model.base import Value
from ampproxy.relay.clients import SeenClients
from ampproxy.relay.discovery import Discovery
from ampproxy.relay.knowledge import Knowledge, NewerData
from ampproxy.relay.model_cache import ModelCache
from ampproxy.relay.record import ExchangeRecord, Observer
from ampproxy.relay.unknown import RouteMemory
from ampproxy.relay.workers import Workers
from ampproxy.reload import ConfigWatch
from ampproxy.runtime import Alerting, Runtime
from ampproxy.server.failures import Failures
from ampproxy.server.limiter import InThread, Limiter, Works
from ampproxy.server.owners import Owners
from ampproxy.server.running import ActiveExchanges
from ampproxy.state.library import check_library
from ampproxy.state.shared import ALONE, Shared
from ampproxy.status import Reports, WorkerStatus
from ampproxy.tenants.costs import Costs, NoCosts
from ampproxy.tenants.store import Counts
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.proxy import check_proxies
from ampproxy.wire.ids import Ids
from ampproxy.wire.redact import Redactor, Secret

if TYPE_CHECKING:
    from ampproxy.credentials.oauth.service import Logins


class Reloads(Protocol):
    """What puts a configuration in force that was read anew: the service."""

    @property
    def ports(self) -> list[IListeningPort]:
        """What it listens on."""

    @property
    def generation(self) -> int:
        """The number of the configuration that is in force."""

    def use_read(self, config: Config) -> tuple[str, ...]:
        """Put it in force; gives what has changed, for people."""


class Crew(Protocol):
    """The workers of a service that serves by several processes: :class:`~ampproxy.workers.crew.Supervisor`.

    :ivar count: how many there are; 0: none, the service serves itself.
    """

    count: int

    def attach(self, service: Any) -> None:
        """Belong to a service, which is not complete yet."""

    def start(self) -> None:
        """Start them."""

    def prepare(self, config: Config, sockets: Mapping[str, list[socket]]) -> None:
        """Have all of them ready for another configuration.

        :param sockets: those that they need for it and do not have.
        :raises ConfigError: one of them cannot use it.
        """

    def cancel(self) -> None:
        """Have them forget it."""

    def commit(self, generation: int) -> None:
        """Have them serve by it, all at once.

        :param generation: its number.
        """

    def report(self) -> tuple[WorkerStatus, ...]:
        """How each of them is."""

    def leave(self, pid: int) -> None:
        """Another process has the sockets: have them serve what is under way, and end."""

    def stop(self) -> None:
        """Have them accept nothing more, serve what is under way, and end; when called again, not wait."""

    def ended(self, within: float) -> Deferred[None]:
        """Fires when all of them have; those that have not in time are killed.

        :param within: seconds that they have been given.
        """


class NoCrew:
    """A service that serves itself."""

    count = 0

    def attach(self, service: Any) -> None:
        """Nothing is attached."""

    start = cancel = stop = lambda self: None

    def prepare(self, config: Config, sockets: Mapping[str, list[socket]]) -> None:
        """No other process has to be ready."""

    def commit(self, generation: int) -> None:
        """No other process serves."""

    def report(self) -> tuple[WorkerStatus, ...]:
        """There are none."""
        return ()

    def leave(self, pid: int) -> None:
        """No other process serves."""

    def ended(self, within: float) -> Deferred[None]:
        """At once."""
        return succeed(None)


class Outside(Value, frozen=True, kw_only=True):
    """What comes from outside: the reactor, and the machine that it runs on.

    :param policy: verifies the upstreams' certificates; by default against the system's trust store.
    :param observer: takes the log's events.
    :param cache: the folder of what may be forgotten; ``None``: nothing of it is kept.
    :param state: the folder of what is kept across restarts; ``None``: nothing is.
    :param shared: by what other processes of this machine know what this one learns, where the configuration
        names nothing that reaches further; ``None``: there are none.
    """

    reactor: Any
    environ: Mapping[str, str]
    home: Path
    policy: IPolicyForHTTPS | None = None
    observer: ILogObserver = globalLogPublisher
    cache: Path | None = None
    state: Path | None = None
    shared: Shared | None = None


class Start(Value, frozen=True, kw_only=True):
    """How the process was started.

    :param listen: endpoint strings that replace the configured address.
    :param inherited: sockets that listen already.
    :param generation: what the first configuration is counted as.
    :param failed: called if there is nothing to listen on. Where it is given, the service accepts nobody
        before it is told to: another process serves still.
    :param discover: ask the vendors for the models of accounts that name none, as long as it runs.
    :param watch: makes what reads the configuration's file anew; ``None``: it came from none.
    :param log_observer: takes the events of ``twistd``'s log; ``None``: ``twistd`` has its own.
    :param crew: the processes that serve for this one.
    :param borrowed: this is one of those: its sockets are another process's, which logs what concerns all.
    """

    listen: tuple[str, ...] = ()
    inherited: Inherited = msgspec.field(default_factory=Inherited)
    generation: int = 1
    failed: Callable[[str], None] | None = None
    discover: bool = False
    watch: Callable[[Reloads], ConfigWatch] | None = None
    log_observer: ILogObserver | None = None
    crew: Crew = msgspec.field(default_factory=NoCrew)
    borrowed: bool = False


class Hearers(Value, frozen=True, kw_only=True):
    """Who hears of what happens, beside the log.

    :param exchanges: hear of each exchange that has ended.
    :param in_force: hear of each configuration that comes in force.
    :param brief: whether who takes the log's events makes the fields of exchanges itself.
    :param alerts: sends alerts; ``None``: nothing does.
    :param supervised: another process keeps the ledger, serves the page, and asks vendors for their models.
    """

    exchanges: tuple[Observer, ...] = ()
    in_force: tuple[InForce, ...] = ()
    brief: bool = False
    alerts: Alerting | None = None
    supervised: bool = False


class Assembly(Value, frozen=True, kw_only=True):
    """All parts of a service.

    :param config: as the file says it; logins add accounts to it.
    :param discovery: asks vendors for their models, as long as the service runs; ``None``: nobody does.
    :param ledger: one of the observers; it writes as long as the service runs.
    :param in_force: hear of each configuration that comes in force.
    :param logins: gives the logins of a configuration's ``auth-dir``; slow to load.
    """

    config: Config
    reactor: Any
    start: Start
    lifecycle: Lifecycle
    runtime: Runtime
    discovery: Discovery | None
    ledger: Recorder | None
    in_force: tuple[InForce, ...]
    reports: Reports
    logins: Callable[[Config], Logins]


def assemble(
    config: Config, outside: Outside, start: Start | None = None, hearers: Hearers | None = None
) -> Assembly:
    """Make the parts of a service. None of them does anything before the service starts.

    :raises ConfigError: a proxy's URL cannot be used, or a library is missing.
    """
    check_proxies(config)
    start, hearers = start or Start(), hearers or Hearers()
    reactor = outside.reactor
    log = Logger(namespace="ampproxy", observer=outside.observer)
    client = UpstreamClient(reactor, connect_timeout=config.timeouts.connect, policy=outside.policy, log=log)
    chance = random.SystemRandom().random
    discovery = Discovery(
        client,
        reactor,
        ModelCache(outside.cache),
        log,
        wall=time.time,
        random=chance,
        asks=not hearers.supervised,
    )
    live: dict[int, ExchangeRecord] = {}
    ledger = None
    if outside.state is not None and not hearers.supervised:
        ledger = make_ledger(outside.state, reactor, log, live)
    lifecycle = Lifecycle(held=start.failed is not None)
    page = Dashboard(reactor, _in_thread(reactor), time.time, live, lambda: lifecycle.ending)
    shared = _shared(config, outside, log, quiet=hearers.supervised)
    runtime = replace(
        _runtime(outside, hearers, client, discovery, ledger, log, shared, config),
        live=live,
        mount=(lambda generation: None) if hearers.supervised else page.mount,
        owners=Owners(partial(_peer_uid, _in_thread(reactor))),
    )
    if not hearers.supervised:
        runtime = replace(runtime, observers=(*runtime.observers, page.recent.observe))
    reactor.addSystemEventTrigger("before", "shutdown", page.stop)
    return Assembly(
        config=config,
        reactor=reactor,
        start=start,
        lifecycle=lifecycle,
        runtime=runtime,
        discovery=discovery if start.discover else None,
        ledger=ledger,
        in_force=(
            *hearers.in_force,
            *(() if ledger is None else (partial(_keep_by, ledger),)),
            page.recent.use,
        ),
        reports=Reports(),
        logins=partial(_logins, reactor, runtime),
    )


def _runtime(
    outside: Outside,
    hearers: Hearers,
    client: UpstreamClient,
    discovery: Discovery,
    ledger: Recorder | None,
    log: Logger,
    shared: Shared,
    config: Config,
) -> Runtime:
    state, in_thread = outside.state, _in_thread(outside.reactor)
    pool_state = PoolState()
    lessons = Lessons(state, time.time, clock=outside.reactor, log=log, in_thread=in_thread)
    pins = Pins(state, time.time, clock=outside.reactor, log=log, in_thread=in_thread)
    if shared.active:
        # Not at the top: most gateways serve by one process.
        from ampproxy.credentials.sharing import share_pool
        from ampproxy.credentials.sharing_memory import share_lessons, share_pins

        share_pool(pool_state, shared, outside.reactor.seconds)
        share_lessons(lessons, shared, time.time)
        share_pins(pins, shared, time.time)
        discovery.share(shared)
    return Runtime(
        clock=outside.reactor,
        deadlines=Deadlines(outside.reactor),
        client=client,
        environ=outside.environ,
        home=outside.home,
        wall=time.time,
        new_id=Ids(),
        log=log,
        running=ActiveExchanges(),
        seen_clients=SeenClients(log),
        unknown_routes=RouteMemory(state, outside.reactor, time.time, log),
        brief=hearers.brief,
        alerts=hearers.alerts,
        observers=(*hearers.exchanges, *(() if ledger is None else (ledger.observe,))),
        state=state,
        pool_state=pool_state,
        shared=shared,
        names_salt=_names_salt(state, log),
        lessons=lessons,
        pins=pins,
        workers=Workers(in_thread),
        failures=Failures(outside.reactor.seconds),
        limiter=_limiter(config, state, shared, in_thread, log),
        costs=partial(_costs, in_thread, log),
        allowance=Allowance(state, lambda: time.strftime("%Y-%m-%d")),
        known_models=discovery.models,
        knowledge=Knowledge(NewerData(outside.cache), discovery.declared),
    )


def _shared(config: Config, outside: Outside, log: Logger, *, quiet: bool) -> Shared:
    """By what other processes know what this one learns.

    :param quiet: another process of the same service logs how that goes.
    :raises ConfigError: the client library is missing.
    """
    if config.state is None:
        return outside.shared or ALONE
    check_library(config)
    # Not at the top: most gateways have no Redis, and not its client library.
    from ampproxy.state.redis.engine import RedisState

    return RedisState(config.state, outside.reactor, time.time, log, quiet=quiet)


def _limiter(config: Config, state: Path | None, shared: Shared, in_thread: InThread, log: Logger) -> Limiter:
    """What counts what clients use: for all gateways that share by a Redis, else in a file."""
    settings = config.state
    if settings is None:
        return Limiter(lambda: Counts(state, time.time), in_thread, log)
    # Not at the top: most gateways serve by one process.
    from ampproxy.state.view import View

    more: dict[str, Any] = {}
    if isinstance(shared, View):
        more = {"connected": lambda: shared.connected, "failed": shared.failed}

    def make_counts() -> Works:
        # Not at the top: most gateways have no Redis, and not its client library.
        from ampproxy.tenants.shared_counts import SharedCounts

        return SharedCounts(settings, lambda ahead: time.time() + ahead, **more)

    limiter = Limiter(make_counts, in_thread, log)
    if isinstance(shared, View):
        shared.on_open.append(limiter.look_again)
    return limiter


def _logins(reactor: Any, runtime: Runtime, config: Config) -> Logins:
    # Not at the top: most users have no login, and its libraries are slow to load.
    from ampproxy.credentials.oauth.service import Logins

    chance = random.SystemRandom().random
    return Logins(
        config,
        reactor,
        runtime.client.send,
        runtime.log,
        wall=runtime.wall,
        random=chance,
        shared=runtime.shared,
    )


def _names_salt(state: Path | None, log: Logger) -> bytes:
    """What the names of clients' keys are made with."""
    try:
        return kept_salt(state)
    except OSError as error:
        log.warn(
            "{path}: {error}: clients without a name will be called differently in log and ledger after "
            "each start",
            path=str(state),
            error=str(error.strerror or error),
        )
        return kept_salt(None)


def _costs(in_thread: InThread, log: Logger, config: Config) -> Costs:
    """What models cost. Where the user's prices cannot be read none is known, so that nothing is served under
    a limit in dollars.
    """
    from ampproxy.ledger.book import BookCosts, price_book

    try:
        costs = BookCosts(price_book(config), time.time)
    except LedgerError as error:
        log.error(
            "Clients with a limit in dollars are not served, because there are no prices: {why}",
            why=str(error),
        )
        return NoCosts()
    in_thread(costs.warm).addErrback(lambda failure: log.failure("A price could not be looked up", failure))
    return costs


def _peer_uid(in_thread: InThread, host: str, port: int) -> Deferred[int | None]:
    """Whose a connection of this machine is. Where there are many connections that takes milliseconds."""
    # Not at the top: only where somebody opens the page.
    from ampproxy.desktop.clients.owners import connected_uid

    return in_thread(partial(connected_uid, host, port))


def _in_thread(reactor: Any) -> Callable[[Callable[[], Any]], Deferred[Any]]:
    """Runs a function in one of the reactor's threads."""
    return lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work)


def _keep_by(ledger: Recorder, generation: Generation, secrets: Collection[Secret]) -> None:
    """Keep what the configuration in force wants kept."""
    ledger.configure(generation.config.ledger, Redactor(secrets).text)
