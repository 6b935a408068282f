"""Whether each upstream can be reached: its name, a connection, and under TLS a certificate that is trusted,
by the way that requests would take, proxies included. No request is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.desktop.doctor.context import Probe, Target
from ampproxy.upstream.client import UpstreamClient
from ampproxy.upstream.failures import explain

#: Seconds for all of it; a name, a connection and a handshake take a tenth of one.
PATIENCE = 20.0


@implementer(IHandshakeListener)
class _Knock(Protocol):
    """Comes, waits for the certificate, and goes.

    :param tls: whether there is a certificate to wait for.
    :ivar known: fires when all is well, and fails if it is not.
    """

    def __init__(self, tls: bool) -> None:
        self._tls = tls
        self.known: Deferred[None] = Deferred(lambda _: self._leave())

    def connectionMade(self) -> None:
        """Connected. Under TLS the handshake begins only now."""
        if not self._tls:
            self._end()

    def handshakeCompleted(self) -> None:
        """The certificate is good."""
        self._end()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Closed: by us, or before all was well."""
        if not self.known.called:
            self.known.errback(reason)

    def _end(self) -> None:
        if not self.known.called:
            self.known.callback(None)
        self._leave()

    def _leave(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]


async def knock(
    client: UpstreamClient,
    reactor: Any,
    wanted: list[Target],
    report: Callable[[Probe], object] = lambda probe: None,
) -> tuple[Probe, ...]:
    """Reach all of them, at once.

    :param client: knows the ways.
    :param report: called with what came of each, as soon as that is known.
    """
    knocking = [Deferred.fromCoroutine(_reported(client, reactor, target, report)) for target in wanted]
    results: list[Probe] = await gatherResults(knocking)
    return tuple(results)


async def _reported(
    client: UpstreamClient, reactor: Any, target: Target, report: Callable[[Probe], object]
) -> Probe:
    probe = await _knock(client, reactor, target)
    report(probe)
    return probe


async def _knock(client: UpstreamClient, reactor: Any, target: Target) -> Probe:
    began = reactor.seconds()
    factory = Factory.forProtocol(lambda: _Knock(target.url.startswith("https:")))
    factory.noisy = False
    error = ""
    try:
        connecting: Deferred[Any] = client.endpoint(target.url, target.proxy).connect(factory)
        connecting.addCallback(lambda protocol: protocol.known)
        await connecting.addTimeout(PATIENCE, reactor)
    except Exception as failure:
        error = explain(failure, target.url).error.message
    return Probe(target, reactor.seconds() - began, error)
