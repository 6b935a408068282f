"""Shows metrics as long as the configuration wants it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort
from twisted.logger import Logger

from ampproxy.config.schema import Config, Metrics
from ampproxy.credentials.names import account_name
from ampproxy.generation import Generation
from ampproxy.listen import describe
from ampproxy.metrics.stalls import Stalls
from ampproxy.relay.record import ExchangeRecord
from ampproxy.resources.metrics import MetricsResource
from ampproxy.server.site import GatewaySite
from ampproxy.wire.redact import Secret

if TYPE_CHECKING:
    from ampproxy.metrics.registry import MetricsRegistry
    from ampproxy.metrics.workers import Workers

#: Seconds until a port that was taken is tried again: another process may be about to end.
RETRY = 5.0

#: So many exchanges are counted together: one after another takes half as long, and nobody looks meanwhile.
_BATCH = 128
#: So many that end before the library is loaded are kept for it.
_EARLY = 10_000


class MetricsService:
    """Counts, and listens on a port of its own.

    The library is loaded when it is first asked for metrics, or has as many exchanges to count as are counted
    together. A port that is taken keeps nothing from running: it is told once, and tried again.

    :param reactor: listens, and has the time.
    :param logged: how many events of the log there were, by level.
    :param stalls: tells of turns of the reactor that last too long, whether metrics are shown or not.
    :ivar port: what it listens on, if it does.
    :ivar workers: the processes that serve, where there are several.
    """

    def __init__(
        self, reactor: Any, log: Logger, logged: Mapping[str, int], stalls: Stalls | None = None
    ) -> None:
        self.port: IListeningPort | None = None
        self.workers: Workers | None = None
        self._reactor = reactor
        self._log = log
        self._logged = logged
        self._stalls = stalls
        self._generation: Generation | None = None
        self._settings = Metrics(enable=False)
        self._board: MetricsRegistry | None = None
        self._records: list[ExchangeRecord] = []
        self._most = _EARLY
        self._running = False
        self._retry: IDelayedCall | None = None
        self._last_reason = ""
        self._closing: Deferred[None] = succeed(None)

    def late(self, seconds: float) -> None:
        """The reactor of a worker came so late to what was due."""
        if self._board is not None:
            self._board.late(seconds)

    def observe(self, record: ExchangeRecord) -> None:
        """An exchange has ended. An :data:`~ampproxy.relay.record.Observer`."""
        self._records.append(record)
        if len(self._records) >= self._most:
            self._count()

    def use(self, generation: Generation, secrets: Collection[Secret] = ()) -> None:
        """Another configuration is in force."""
        del secrets  # nothing of what is shown can hold one
        self._generation = generation
        if self._stalls is not None:
            self._stalls.use(generation.config.logging.stall)
        settings, before = generation.config.metrics, self._settings
        self._settings = settings
        if not self._running:
            return
        if (settings.enable, settings.host, settings.port) != (before.enable, before.host, before.port):
            self._close()
            self._open_when_closed()
        else:
            self._configure(generation)

    def start(self) -> None:
        """Listen, if that is wanted; and watch the reactor, in any case."""
        self._running = True
        if self._stalls is not None:
            self._stalls.start()
        self._open_when_closed()

    def stop(self) -> Deferred[None]:
        """Listen no longer; another process may want the port. Fires when it can have it."""
        self._running = False
        if self._stalls is not None:
            self._stalls.stop()
        if self._board is not None:
            self._drop()
        return self._close()

    def _open_when_closed(self) -> None:
        """Twisted closes a port in the reactor's next turn; until then it is taken, by ourselves."""
        self._closing.addCallback(lambda _: self._open())

    def _open(self) -> None:
        generation = self._generation
        if not self._running or self.port is not None or self._retry is not None:
            return
        if generation is None or not self._settings.enable:
            self._drop()
            return
        self._configure(generation)
        if self._board is not None:
            self._board.lag.start()
        self._most = _BATCH
        self._listen()

    def _loaded(self) -> MetricsRegistry:
        """All metrics, with what was not counted yet."""
        if self._board is None:
            # Here and not at the top: it is large, and nobody may want it.
            from ampproxy.metrics.registry import MetricsRegistry

            self._board = MetricsRegistry(
                self._reactor, self._current, self._logged, self._longest, self.workers
            )
            self._configure(self._current())
            if self.port is not None:
                self._board.lag.start()
        return self._board

    def _current(self) -> Generation:
        assert self._generation is not None
        return self._generation

    def _longest(self) -> float:
        own = 0.0 if self._stalls is None else self._stalls.longest
        return own if self.workers is None else max(own, self.workers.stall)

    def _configure(self, generation: Generation) -> None:
        config = generation.config
        if self._board is not None:
            clients = [client.name for client in config.all_clients if client.name]
            accounts = [account_name(account) for account in config.accounts]
            series = self._board.exchanges
            series.configure(_named_models(config), accounts, config.metrics.max_models, clients)
        if self.port is not None:
            self._site.limits = config.limits
            self._site.resource = MetricsResource(generation, self._shown)

    def _listen(self) -> None:
        self._retry = None
        generation = self._generation
        assert generation is not None
        settings, runtime = self._settings, generation.runtime
        host = "127.0.0.1" if settings.host.lower() == "localhost" else settings.host
        self._site = GatewaySite(
            MetricsResource(generation, self._shown),
            generation.config.limits,
            self._reactor,
            runtime.new_id,
            runtime.log,
        )
        try:
            self.port = port = self._reactor.listenTCP(settings.port, self._site, interface=host)
        except CannotListenError as error:
            why = f"{settings.host}:{settings.port}: {error.socketError}"
            if why != self._last_reason:
                self._last_reason = why
                self._log.warn(
                    "Metrics cannot be served at {why} (setting: metrics.listen). Retrying every "
                    "{seconds:g} s; everything else runs.",
                    why=why,
                    seconds=RETRY,
                )
            self._retry = self._reactor.callLater(RETRY, self._listen)
            return
        self._last_reason = ""
        self._log.info("Serving metrics at http://{address}/metrics", address=describe(port))

    def _count(self) -> None:
        """What has ended meanwhile."""
        records, self._records = self._records, []
        if records and self._most == _BATCH:
            count = self._loaded().exchanges.observe
            for record in records:
                count(record)

    def _drop(self) -> None:
        """Count what there is; what comes from now on is let go, one by one."""
        self._count()
        self._most = 1

    def _shown(self, accept: str, names: bool) -> tuple[bytes, str]:
        self._count()
        return self._loaded().shown(accept, names=names)

    def _close(self) -> Deferred[None]:
        if self._board is not None:
            self._board.lag.stop()
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()
        port, self.port = self.port, None
        if port is not None:
            stop: Callable[[], Any] = port.stopListening
            self._closing = maybeDeferred(stop)
        return self._closing


def _named_models(config: Config) -> Iterator[str]:
    """The models that the configuration names: clients ask for these by right."""
    for account in config.accounts:
        for model in account.models:
            yield model.visible
            if account.prefix:
                yield f"{account.prefix}/{model.visible}"
    for mapping in config.ampcode.mappings:
        if mapping.pattern is None:
            yield mapping.source
