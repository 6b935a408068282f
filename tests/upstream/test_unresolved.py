"""What a resolver that fails, hangs, or works again does."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import Logger, formatEvent
from twisted.web.client import URI
from zope.interface.verify import verifyObject

from ampproxy.upstream.endpoints import OriginEndpoints
from ampproxy.upstream.unresolved import UnresolvedHosts


class Resolver:
    """Answers when the test says so, if ever."""

    def __init__(self) -> None:
        self.receivers: list[Any] = []

    def resolveHostName(self, receiver: Any, name: str, portNumber: int = 0, *_: Any) -> None:
        self.receivers.append(receiver)

    def answer(self, *addresses: str) -> None:
        receiver = self.receivers.pop(0)
        for address in addresses:
            receiver.addressResolved(IPv4Address("TCP", address, 80))
        receiver.resolutionComplete()


class Way:
    """The endpoint of one name, over that resolver."""

    def __init__(self) -> None:
        self.reactor = MemoryReactorClock()
        self.resolver = Resolver()
        self.reactor.installNameResolver(self.resolver)
        self.lines: list[str | None] = []
        names = UnresolvedHosts(Logger(observer=lambda event: self.lines.append(formatEvent(event))))
        endpoints = OriginEndpoints(self.reactor, connect_timeout=3, names=names)
        self.endpoint = endpoints.endpointForURI(URI.fromBytes(b"http://a.test/"))
        self.failures: list[Any] = []

    def connect(self) -> Any:
        return self.endpoint.connect(Factory()).addErrback(self.failures.append)

    @property
    def asked(self) -> list[str]:
        return [client[0] for client in self.reactor.tcpClients]


def test_resolver_that_never_answers() -> None:
    """A name that is not resolved in time fails as one that cannot be; a late answer does no harm, and the
    next attempt asks anew.
    """
    way = Way()
    assert verifyObject(IStreamClientEndpoint, way.endpoint)
    way.connect()
    way.reactor.advance(2.9)
    assert way.failures == []
    way.reactor.advance(0.2)
    assert way.failures[0].check(DNSLookupError)
    way.resolver.answer("10.0.0.1")
    way.connect()
    way.resolver.answer("10.0.0.2")
    assert way.asked == ["10.0.0.2"]


def test_told_once() -> None:
    """However many requests fail, the log has one line; and one when the name is resolved again."""
    way = Way()
    for _ in range(50):
        way.connect()
        way.resolver.answer()
    assert len(way.failures) == 50
    assert all(failure.check(DNSLookupError) for failure in way.failures)
    (line,) = way.lines
    assert "Cannot resolve a.test" in (line or "")
    assert way.reactor.getDelayedCalls() == []
    way.connect()
    way.resolver.answer("10.0.0.1")
    way.reactor.advance(4)
    assert len(way.lines) == 2
    assert "resolved again" in (way.lines[1] or "")
    way.connect()
    way.resolver.answer()
    assert len(way.lines) == 3


def test_client_that_leaves() -> None:
    """A request that is given up while its name is being resolved says nothing of the resolver."""
    way = Way()
    way.connect().cancel()
    assert len(way.failures) == 1
    assert way.lines == []
    assert way.reactor.getDelayedCalls() == []
