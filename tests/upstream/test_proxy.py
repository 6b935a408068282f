"""Proxy URLs, and the endpoint of a tunnel in memory: order of events, deadlines, cancelling."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ampproxy.upstream.failures import explain
from ampproxy.upstream.handshake import HandshakeRefused
from ampproxy.upstream.proxy import Proxy, ProxyFailed
from ampproxy.upstream.proxy_tunnel import TunnelEndpoint

HERE = IPv4Address("TCP", "127.0.0.1", 1)


class Reactor(Clock):
    """A clock. Nobody may ask it for a name: proxies resolve them."""

    nameResolver = None


@implementer(IStreamClientEndpoint)
class Way:
    """The endpoint of the proxy itself; connects when the test says so."""

    def __init__(self) -> None:
        self.connecting: Deferred[Any] = Deferred(self._cancelled)
        self.cancelled = False
        self.transport = StringTransport()
        self.protocol: Any = None
        self.factory: Any = None

    def connect(self, protocolFactory: Any) -> Any:
        self.factory = protocolFactory
        return self.connecting

    def _cancelled(self, _: Any) -> None:
        self.cancelled = True

    def stand(self) -> None:
        self.protocol = self.factory.buildProtocol(HERE)
        self.protocol.makeConnection(self.transport)
        self.connecting.callback(self.protocol)


class Inner(Protocol):
    """What goes through the tunnel."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def connectionMade(self) -> None:
        self.events.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Any = None) -> None:
        self.events.append("lost")


class Attempt:
    """A connection through a proxy, on its way."""

    def __init__(self, url: str, factory: Any = None) -> None:
        self.reactor = Reactor()
        self.way = Way()
        self.results: list[Any] = []
        proxy = Proxy.of(url)
        assert proxy is not None
        self.endpoint = TunnelEndpoint(self.reactor, self.way, proxy, "api.test", 443, 10.0)
        factory = factory or Factory.forProtocol(Inner)
        self.done = self.endpoint.connect(factory).addBoth(self.results.append)

    @property
    def failed(self) -> Any:
        (failure,) = self.results
        return failure.value


def test_endpoint_is_one() -> None:
    """It keeps Twisted's contract for client endpoints."""
    assert verifyObject(IStreamClientEndpoint, Attempt("http://p").endpoint)


@pytest.mark.parametrize("url", [None, "", "direct", "none", " DIRECT ", "None"])
def test_no_proxy(url: str | None) -> None:
    """Nothing, ``direct`` and ``none`` mean no proxy."""
    assert Proxy.of(url) is None


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://p.test", "p.test:80"),
        ("https://p.test", "p.test:443"),
        ("socks5://p.test", "p.test:1080"),
        ("SOCKS5H://u:secret@p.test/", "p.test:1080"),
        ("http://u:secret@[::1]:3128", "[::1]:3128"),
    ],
)
def test_urls(url: str, address: str) -> None:
    """A URL is shown by host and port only; a port that is not said is the usual one."""
    proxy = Proxy.of(url)
    assert proxy is not None
    assert proxy.address == address
    assert "secret" not in repr(proxy) + str(proxy)


@pytest.mark.parametrize(
    ("url", "credentials"),
    [
        ("http://p", None),
        ("http://@p", None),
        ("http://amy@p", ("amy", "")),
        ("http://a%40b:c%3Ad@p", ("a@b", "c:d")),
        ("socks5://a%3Ab:%C3%BC@p", ("a:b", "\u00fc")),
    ],
)
def test_credentials(url: str, credentials: tuple[str, str] | None) -> None:
    """User name and password are percent-decoded."""
    proxy = Proxy.of(url)
    assert proxy is not None
    assert proxy.credentials == credentials


@pytest.mark.parametrize(
    "url",
    ["ftp://u:secret@p", "http:secret", "secret:1", "http://u%3Ax:secret@p", f"socks5://u:{'secret' * 50}@p"],
)
def test_wrong_urls(url: str) -> None:
    """What cannot be used is refused without being shown."""
    with pytest.raises(ValueError, match="proxy-url") as caught:
        Proxy.of(url)
    assert "secret" not in str(caught.value)


def test_bytes_behind_the_handshake() -> None:
    """Bytes of the tunnel that come with the proxy's answer reach the protocol, after it was handed out."""
    handed: list[Any] = []
    attempt = Attempt("http://p")
    attempt.done.addCallback(lambda _: handed.extend(attempt.results[0].events))
    attempt.way.stand()
    assert attempt.way.transport.value().startswith(b"CONNECT api.test:443 HTTP/1.1\r\n")
    attempt.way.protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\nearly")
    (inner,) = attempt.results
    assert handed == ["made"]
    assert inner.events == ["made", b"early"]
    attempt.way.protocol.dataReceived(b"later")
    attempt.way.protocol.connectionLost(Failure(ConnectionDone()))
    assert inner.events == ["made", b"early", b"later", "lost"]
    assert inner.transport is attempt.way.transport
    assert attempt.reactor.getDelayedCalls() == []


@pytest.mark.parametrize("stands", [False, True])
def test_one_deadline(stands: bool) -> None:
    """The deadline counts from the first moment and covers the handshake; the connection is closed."""
    attempt = Attempt("http://p")
    attempt.reactor.advance(9)
    if stands:
        attempt.way.stand()
        attempt.way.protocol.dataReceived(b"HTTP/1.1 200 OK\r\n")
    assert attempt.results == []
    attempt.reactor.advance(1)
    assert isinstance(attempt.failed, ProxyFailed)
    assert isinstance(attempt.failed.reason, TimeoutError)
    assert (attempt.way.cancelled, attempt.way.transport.disconnecting) == (not stands, stands)
    told = explain(attempt.failed, "https://api.test").error
    assert told.kind == "timeout"
    assert told.message == "The proxy p:80 (setting proxy-url) did not answer in time."


@pytest.mark.parametrize("stands", [False, True])
def test_cancelling(stands: bool) -> None:
    """An attempt that nobody wants any longer is closed, and is not counted as the proxy's fault."""
    attempt = Attempt("socks5h://p")
    if stands:
        attempt.way.stand()
    attempt.done.cancel()
    assert isinstance(attempt.failed, (CancelledError, ConnectingCancelledError))
    assert (attempt.way.cancelled, attempt.way.transport.disconnecting) == (not stands, stands)
    assert attempt.reactor.getDelayedCalls() == []
    if stands:
        attempt.way.protocol.dataReceived(b"\x05\x00")
        attempt.way.protocol.connectionLost(Failure(ConnectionDone()))


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            ConnectionDone(),
            "The proxy p:80 (setting proxy-url) closed the connection before the tunnel was open.",
        ),
        (ConnectionLost(), "The proxy p:80 (setting proxy-url) closed the connection unanswered."),
    ],
)
def test_closed_in_the_handshake(reason: Exception, told: str) -> None:
    """A proxy that hangs up in the handshake is named."""
    attempt = Attempt("http://u:secret@p")
    attempt.way.stand()
    attempt.way.protocol.connectionLost(Failure(reason))
    assert explain(attempt.failed, "https://api.test").error.message == told
    assert "secret" not in repr(attempt.failed) + str(attempt.failed)


def test_refused() -> None:
    """After a refusal the connection is closed, and what else the proxy sends is ignored."""
    attempt = Attempt("http://p")
    attempt.way.stand()
    attempt.way.protocol.dataReceived(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    assert isinstance(attempt.failed.reason, HandshakeRefused)
    assert attempt.way.transport.disconnecting
    attempt.way.protocol.dataReceived(b"<html>")
    attempt.way.protocol.connectionLost(Failure(ConnectionDone()))


def test_proxy_not_reached() -> None:
    """A proxy that cannot be connected to is named."""
    attempt = Attempt("http://p")
    attempt.way.connecting.errback(ConnectionRefusedError())
    told = explain(attempt.failed, "https://api.test").error.message
    assert told == "The proxy p:80 (setting proxy-url) refused the connection."
    attempt = Attempt("http://p")
    attempt.way.connecting.errback(DNSLookupError())
    told = explain(attempt.failed, "https://api.test").error.message
    assert told == "Cannot resolve the proxy p:80 (setting proxy-url)."


def test_factory_without_a_protocol() -> None:
    """A factory that changes its mind closes the connection."""
    factory = Factory()
    factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
    attempt = Attempt("http://p", factory)
    attempt.way.stand()
    attempt.way.protocol.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
    assert isinstance(attempt.failed, NoProtocol)
    assert attempt.way.transport.disconnecting


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_socks_proxies_resolve(scheme: str) -> None:
    """Both spellings have the proxy resolve the origin's name; nobody is asked for it here."""
    attempt = Attempt(f"{scheme}://p")
    attempt.way.stand()
    attempt.way.protocol.dataReceived(b"\x05\x00")
    named = b"\x05\x01\x00\x03\x08api.test\x01\xbb"
    assert attempt.way.transport.value() == b"\x05\x01\x00" + named


@pytest.mark.parametrize(
    ("address", "said"),
    [("10.0.0.9", b"\x01\x0a\x00\x00\x09"), ("::1", b"\x04" + bytes(15) + b"\x01")],
)
def test_socks_proxies_are_told_addresses(address: str, said: bytes) -> None:
    """An origin that is an address is told as one."""
    way, proxy = Way(), Proxy.of("socks5://p")
    assert proxy is not None
    TunnelEndpoint(Reactor(), way, proxy, address, 443, 10.0).connect(Factory.forProtocol(Inner))
    way.stand()
    way.protocol.dataReceived(b"\x05\x00")
    assert way.transport.value() == b"\x05\x01\x00" + b"\x05\x01\x00" + said + b"\x01\xbb"
