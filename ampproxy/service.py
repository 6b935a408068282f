"""The running service: its ports, its site, the configuration in force, and an orderly end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from ampproxy.config.schema import Account, Config, TokenSource
from ampproxy.credentials.report import LoginStatus
from ampproxy.credentials.secrets import secrets_of
from ampproxy.errors import ConfigError
from ampproxy.ledger.recorder import Recorder
from ampproxy.listen import describe, endpoints_for, is_reachable_from_elsewhere
from ampproxy.relay.discovery import Discovery
from ampproxy.resources.descriptors import Descriptors
from ampproxy.resources.gateway import Gateway, Surroundings
from ampproxy.resources.root import Root
from ampproxy.resources.site import GatewaySite

if TYPE_CHECKING:
    from ampproxy.credentials.oauth.service import Logins


class GatewayService(Service):
    """Listens, serves, and at its end lets what is under way finish.

    :param config: as the file says it; logins add accounts to it.
    :param around: what outlives a configuration.
    :param listen: Twisted endpoint strings that replace the configured address.
    :param discovery: asks vendors for their models, as long as the service runs.
    :param ledger: one of the observers; it writes as long as the service runs.
    :ivar log_observer: takes the events of ``twistd``'s log; ``None``: ``twistd`` has its own.
    :ivar ports: what it listens on, once it does.
    :ivar generation: how often the configuration was put in force, the first time included.
    """

    name = "ampproxy"
    log_observer: ILogObserver | None = None

    def __init__(
        self,
        config: Config,
        around: Surroundings,
        reactor: Any,
        listen: tuple[str, ...] = (),
        discovery: Discovery | None = None,
        ledger: Recorder | None = None,
    ) -> None:
        self._config = config
        self._around = replace(around, login_statuses=self.login_statuses)
        self._logins: tuple[Account, ...] = ()
        self._source: Logins | None = None
        self._listen = listen
        self._discovery = discovery
        self._ledger = ledger
        self._endpoints = endpoints_for(config, reactor, listen)
        self._reactor = reactor
        self._log = around.log
        self.generation = 1
        self.gateway = self._build()
        self._announce()
        self._descriptors = Descriptors(reactor, around.log)
        self.site = GatewaySite(
            Root(self.gateway), config.limits, reactor, around.new_id, around.log, self._descriptors
        )
        self.ports: list[IListeningPort] = []

    def _build(self) -> Gateway:
        accounts = (*self._config.accounts, *self._logins)
        return Gateway(replace(self._config, accounts=accounts), self._around)

    def use(self, config: Config) -> None:
        """Serve by another configuration, from the next request on. What is under way keeps its own; a
        changed address is opened before the old one is closed.
        """
        old, self._config = self._config, config
        if self._source is not None:
            self._source.configure(config)
            self._logins = self._source.accounts()
        self._swap(ask_again=True)
        if not self._listen and (config.host, config.port, config.tls) != (old.host, old.port, old.tls):
            moving = Deferred.fromCoroutine(self._move())
            moving.addErrback(lambda failure: self._log.failure("A defect met while moving", failure))

    def attach(self, logins: Logins) -> None:
        """Serve with the logins' accounts, too: now, and whenever they change."""
        self._source = logins
        logins.changed = lambda: self.use_logins(logins.accounts())
        logins.renewed = self._forgive
        logins.load()
        self.use_logins(logins.accounts())
        if self.running:
            logins.start()

    def clock_set(self) -> None:
        """The wall clock is another one."""
        if self._source is not None:
            self._source.clock_set()

    @property
    def has_logins(self) -> bool:
        """Whether logins are attached."""
        return self._source is not None

    def login_statuses(self) -> tuple[LoginStatus, ...]:
        """How each login is."""
        return () if self._source is None else self._source.statuses()

    def _forgive(self, token: TokenSource) -> None:
        """A login has another token: what its old one was refused for is void."""
        for account in self.gateway.config.accounts:
            if account.token is token:
                self._around.pool_state.forgive(account)
        self._announce()

    def _announce(self) -> None:
        """Tell what is in force, and which secrets there are now."""
        gateway = self.gateway
        amp = gateway.amp_keys.find(None, gateway.clock.seconds()) if gateway.amp_url else None
        secrets = [*secrets_of(gateway.config), *(() if amp is None else (amp,))]
        secrets += [] if self._source is None else self._source.secrets()
        for hear in self._around.in_force:
            hear(gateway, secrets)

    def setServiceParent(self, parent: Any) -> None:
        """Under ``twistd``, log by our observer: an application names its own by this component."""
        if self.log_observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self.log_observer)
        super().setServiceParent(parent)

    def use_logins(self, accounts: tuple[Account, ...]) -> None:
        """Serve with these accounts beside the configured ones."""
        if accounts != self._logins:
            self._logins = accounts
            self._swap()

    def _swap(self, *, ask_again: bool = False) -> None:
        gateway = self._build()
        self.generation += 1
        self.gateway = gateway
        self._announce()
        self.site.limits = gateway.config.limits
        self.site.resource = Root(gateway)
        if self.running:
            self._discover(again=ask_again)
        self._log.info(
            "Configuration {generation} is in force: {accounts} accounts, {mappings} model mappings",
            generation=self.generation,
            accounts=len(gateway.config.accounts),
            mappings=len(gateway.config.ampcode.mappings),
        )

    async def _move(self) -> None:
        """Listen where the configuration says now, and then no longer where it said before."""
        old, self.ports = self.ports, []
        try:
            self._endpoints = endpoints_for(self._config, self._reactor)
            await self.listen()
        except (ConfigError, CannotListenError) as error:
            opened, self.ports = self.ports, old
            self._log.error("The address stays as it was: {error}", error=str(error))
            old = opened
        for port in old:
            await maybeDeferred(port.stopListening)

    async def listen(self) -> None:
        """Open the ports. Whoever calls this stops the service if it fails.

        :raises ConfigError: one is reachable from elsewhere and there are no client keys.
        :raises twisted.internet.error.CannotListenError: one is taken.
        """
        for endpoint in self._endpoints:
            port = await endpoint.listen(self.site)
            self.ports.append(port)
            self._descriptors.watch(port)
            if is_reachable_from_elsewhere(port) and self.gateway.guard.open:
                raise ConfigError(
                    (
                        f"{describe(port)} can be reached from other machines, and api-keys is empty:"
                        " set api-keys, or listen on 127.0.0.1.",
                    )
                )
            self._log.info("Listening on {address}", address=describe(port))

    def privilegedStartService(self) -> None:
        """Open the ports before privileges are given up; a port that is taken ends the program."""
        super().privilegedStartService()
        failures: list[Failure] = []
        Deferred.fromCoroutine(self.listen()).addErrback(failures.append)
        for failure in failures:
            if isinstance(failure.value, (ConfigError, CannotListenError)):
                raise SystemExit(f"ampproxy: {failure.value}")
            failure.raiseException()

    def startService(self) -> None:
        """It listens already; from now on vendors are asked for their models."""
        super().startService()
        self._discover()
        if self._source is not None:
            self._source.start()
        if self._ledger is not None:
            self._ledger.start()

    def _discover(self, *, again: bool = False) -> None:
        if self._discovery is not None:
            gateway = self.gateway
            self._discovery.watch(gateway.config, gateway.providers, gateway.find_models, again=again)

    def hurry(self) -> None:
        """Do not wait any longer for what is under way."""
        self.gateway.around.running.give_up()

    def stopService(self) -> Deferred[None]:
        """Accept nothing more; wait for what is under way, no longer than the grace period."""
        super().stopService()
        if self._discovery is not None:
            self._discovery.stop()
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        ports, self.ports = self.ports, []
        for port in ports:
            await maybeDeferred(port.stopListening)
        running = self.gateway.around.running
        if running.count:
            grace = self.gateway.config.timeouts.grace
            self._log.info(
                "Waiting up to {grace:g} s for {count} exchanges to end", grace=grace, count=running.count
            )
            await running.idle(self._reactor, grace)
        if running.count:
            self._log.warn("{count} exchanges are cut off", count=running.count)
        if self._source is not None:
            await self._source.stop()
        await self.gateway.client.close()
        self._around.allowance.close()
        self._around.unknown_routes.close()
        if self._ledger is not None:
            await self._ledger.stop()
