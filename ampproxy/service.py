"""The running service: its ports, its site, and an orderly end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from ampproxy.errors import ConfigError
from ampproxy.listen import describe, is_reachable_from_elsewhere
from ampproxy.resources.gateway import Gateway
from ampproxy.resources.root import Root
from ampproxy.resources.site import GatewaySite


class GatewayService(Service):
    """Listens, serves, and at its end lets what is under way finish.

    :param endpoints: where to listen.
    :ivar ports: what it listens on, once it does.
    """

    name = "ampproxy"

    def __init__(
        self, gateway: Gateway, endpoints: Sequence[IStreamServerEndpoint], reactor: Any, log: Logger
    ) -> None:
        self.gateway = gateway
        self.site = GatewaySite(Root(gateway), gateway.config.limits, reactor)
        self.ports: list[IListeningPort] = []
        self._endpoints = endpoints
        self._reactor = reactor
        self._log = log

    async def listen(self) -> None:
        """Open the ports. Whoever calls this stops the service if it fails.

        :raises ConfigError: one is reachable from elsewhere and there are no client keys.
        :raises twisted.internet.error.CannotListenError: one is taken.
        """
        for endpoint in self._endpoints:
            port = await endpoint.listen(self.site)
            self.ports.append(port)
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

    def hurry(self) -> None:
        """Do not wait any longer for what is under way."""
        self.gateway.around.running.give_up()

    def stopService(self) -> Deferred[None]:
        """Accept nothing more; wait for what is under way, no longer than the grace period."""
        super().stopService()
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
        await self.gateway.client.close()
