"""Hosts that are known by their names, and a resolver that fails or hangs."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer


class UnresolvedHosts:
    """Which names cannot be resolved now: each is told in the log when that begins, and when it is over.

    :param log: ``None``: nobody is told.
    """

    def __init__(self, log: Logger | None = None) -> None:
        self._log = log
        self._lost: set[str] = set()

    def lost(self, name: str) -> None:
        """It could not be resolved."""
        if name not in self._lost and self._log is not None:
            self._log.error(
                "Cannot resolve {name}; requests to it will fail. To do: see to"
                " this machine's DNS (resolv.conf, the network), or at the address in the configuration",
                name=name,
            )
        self._lost.add(name)

    def found(self, name: str) -> None:
        """It could be."""
        if name in self._lost:
            self._lost.discard(name)
            if self._log is not None:
                self._log.info("The name {name} is resolved again", name=name)


@implementer(IStreamClientEndpoint)
class NamedEndpoint:
    """A host by its name. The connection must stand in time, its name's resolution included: Twisted's own
    endpoint waits for a resolver without end.

    :param timeout: seconds. A resolver that is too slow is as good as one that fails: ``DNSLookupError``.
    """

    def __init__(self, reactor: Any, name: str, port: int, timeout: float, names: UnresolvedHosts) -> None:
        self._reactor = reactor
        self._name = name
        self._timeout = timeout
        self._names = names
        self._endpoint = HostnameEndpoint(reactor, name, port, timeout)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """See ``IStreamClientEndpoint``."""
        unwanted = []

        def cancel(_: object) -> None:
            # The base endpoint calls that a failed lookup, too.
            unwanted.append(True)
            connecting.cancel()

        connected: Deferred[IProtocol] = Deferred(cancel)
        connecting = self._endpoint.connect(protocolFactory).addTimeout(self._timeout, self._reactor)

        def failed(failure: Failure) -> Failure:
            if not failure.check(DNSLookupError):
                self._stands(None)
            elif not unwanted:
                self._names.lost(self._name)
            return failure

        connecting.addCallbacks(self._stands, failed).chainDeferred(connected)
        return connected

    def _stands(self, protocol: Any) -> Any:
        self._names.found(self._name)
        return protocol
