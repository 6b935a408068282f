"""The way out through a proxy: HTTP CONNECT or SOCKS5, as endpoints around endpoints.

Every connection is a tunnel, those to ``http://`` origins too: a proxy that only passes single HTTP
requests on would be another way of speaking HTTP, and would read what it passes on. The proxy resolves the
origin's name, with ``socks5://`` as with ``socks5h://``, as Go's proxy dialer does: whoever has a proxy
because the names that this machine is told are wrong is not helped by those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionDone,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.upstream.handshake import ConnectHandshake, Handshake, HandshakeRefused
from ampproxy.upstream.proxy import Proxy, ProxyFailed


class _Tunnel(Protocol):
    """A connection to the proxy; after the handshake, the one to the origin."""

    def __init__(self, factory: IProtocolFactory, peer: IAddress) -> None:
        self._factory = factory
        self._peer = peer
        self._handshake: Handshake | None = None
        self._opened: Deferred[IProtocol] | None = None
        self._inner: IProtocol | None = None

    def open(self, handshake: Handshake) -> Deferred[IProtocol]:
        """Ask for the tunnel. Cancelling the result closes the connection."""
        self._handshake = handshake
        opened = self._opened = Deferred(lambda _: self._fail(Failure(ConnectingCancelledError(self._peer))))
        self._send(handshake.start())
        return opened

    def dataReceived(self, data: bytes) -> None:
        """From the proxy, or through it."""
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif self._handshake is not None:
            try:
                self._send(self._handshake.feed(data))
            except HandshakeRefused:
                self._fail(Failure())
                return
            rest = self._handshake.rest
            if rest is not None:
                self._stand(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The proxy, or the origin behind it, closed the connection."""
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif reason.check(ConnectionDone):
            self._fail(Failure(HandshakeRefused("closed the connection before the tunnel was open")))
        else:
            self._fail(reason)

    def _send(self, data: bytes) -> None:
        if data and self.transport is not None:
            self.transport.write(data)

    def _stand(self, rest: bytes) -> None:
        opened, self._opened, self._handshake = self._opened, None, None
        inner = self._inner = self._factory.buildProtocol(self._peer)
        if opened is None or inner is None or self.transport is None:
            self._opened = opened
            self._fail(Failure(NoProtocol()))
            return
        inner.makeConnection(self.transport)
        # Whoever waits for the connection uses it first; then it meets what has come already.
        opened.callback(inner)
        if rest:
            inner.dataReceived(rest)

    def _fail(self, reason: Failure) -> None:
        opened, self._opened, self._handshake = self._opened, None, None
        if opened is not None:
            if self.transport is not None:
                self.transport.abortConnection()  # type: ignore[attr-defined]
            opened.errback(reason)


class _TunnelFactory(Factory):
    noisy = False

    def __init__(self, factory: IProtocolFactory) -> None:
        self._factory = factory

    def doStart(self) -> None:
        """Begins with the factory of what goes through the tunnel."""
        self._factory.doStart()

    def doStop(self) -> None:
        """Ends with it."""
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """A connection without a tunnel yet."""
        assert addr is not None
        return _Tunnel(self._factory, addr)


@implementer(IStreamClientEndpoint)
class TunnelEndpoint:
    """Connects to an origin through a proxy.

    :param way: the endpoint of the proxy itself, under TLS where its URL is ``https://``.
    :param timeout: seconds until the tunnel must stand: the connection to the proxy, a TLS handshake
        with it, and the one of the tunnel, all together.
    """

    def __init__(
        self, reactor: Any, way: IStreamClientEndpoint, proxy: Proxy, host: str, port: int, timeout: float
    ) -> None:
        self._reactor = reactor
        self._way = way
        self._proxy = proxy
        self._host = host
        self._port = port
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect.

        :raises ProxyFailed: there is no tunnel; its reason says why.
        """
        connecting: Deferred[Any] = self._way.connect(_TunnelFactory(protocolFactory))
        connecting.addCallback(self._open)
        connecting.addErrback(self._blame)
        return connecting.addTimeout(self._timeout, self._reactor, self._late)

    def _open(self, tunnel: _Tunnel) -> Deferred[IProtocol]:
        return tunnel.open(self._handshake())

    def _late(self, _: Any, __: float) -> Any:
        raise ProxyFailed(self._proxy.address, TimeoutError())

    def _blame(self, failure: Failure) -> Failure:
        """The proxy's name on what went wrong with it; a cancelled attempt is nobody's fault."""
        if failure.check(CancelledError, ConnectingCancelledError, NoProtocol) or failure.value is None:
            return failure
        return Failure(ProxyFailed(self._proxy.address, failure.value))

    def _handshake(self) -> Handshake:
        make: Callable[[str, int, tuple[str, str] | None], Handshake] = ConnectHandshake
        if not self._proxy.scheme.startswith("http"):
            from ampproxy.upstream.socks import SocksHandshake

            make = SocksHandshake
        return make(self._host, self._port, self._proxy.credentials)
