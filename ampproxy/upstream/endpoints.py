"""How an origin is reached: one endpoint for each, made once."""

from __future__ import annotations

from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer

from ampproxy.http.closing import TLSEndpoint
from ampproxy.upstream.proxy import Proxy
from ampproxy.upstream.unresolved import NamedEndpoint, UnresolvedHosts


@implementer(IAgentEndpointFactory)
class OriginEndpoints:
    """Gives the endpoint of a URI's origin; the same object for the same origin.

    An address is connected to directly: Twisted's ``HostnameEndpoint`` asks a resolver thread even
    for one, which costs most of a millisecond on each new connection.

    :param connect_timeout: seconds until a connection must stand, its TLS handshake not counted.
    :param policy: verifies certificates; by default against the system's trust store. That of an
        ``https://`` proxy is verified by it too.
    :param proxy: what every connection goes through.
    :param names: hears which names cannot be resolved.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        connect_timeout: float,
        policy: IPolicyForHTTPS | None = None,
        proxy: Proxy | None = None,
        names: UnresolvedHosts | None = None,
    ) -> None:
        self._names = names or UnresolvedHosts()
        self._reactor = reactor
        self._timeout = connect_timeout
        self._policy: Any = BrowserLikePolicyForHTTPS() if policy is None else policy
        self._proxy = proxy
        self._known: dict[tuple[bytes, bytes, int], IStreamClientEndpoint] = {}

    def use(self, connect_timeout: float) -> None:
        """Another time limit, for connections that are made from now on."""
        if connect_timeout != self._timeout:
            self._timeout = connect_timeout
            self._known.clear()

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The endpoint of ``uri``.

        :raises SchemeNotSupported: neither ``http`` nor ``https``.
        """
        key = (uri.scheme, uri.host, uri.port)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._make(*key)
        return found

    def _make(self, scheme: bytes, host: bytes, port: int) -> IStreamClientEndpoint:
        if scheme not in (b"http", b"https"):
            raise SchemeNotSupported(f"{scheme.decode('ascii', 'replace')!r} is neither http nor https")
        name = host.decode("ascii")
        plain = self._direct(name, port) if self._proxy is None else self._tunnel(self._proxy, name, port)
        return self._under_tls(plain, host, port) if scheme == b"https" else plain

    def _direct(self, name: str, port: int) -> IStreamClientEndpoint:
        if isIPAddress(name):
            return TCP4ClientEndpoint(self._reactor, name, port, self._timeout)
        if isIPv6Address(name):
            return TCP6ClientEndpoint(self._reactor, name, port, self._timeout)
        return NamedEndpoint(self._reactor, name, port, self._timeout, self._names)

    def _tunnel(self, proxy: Proxy, name: str, port: int) -> IStreamClientEndpoint:
        # Not at the top: few go through a proxy.
        from ampproxy.upstream.proxy_tunnel import TunnelEndpoint

        way = self._direct(proxy.host, proxy.port)
        if proxy.scheme == "https":
            way = self._under_tls(way, proxy.host.encode("ascii"), proxy.port)
        return TunnelEndpoint(self._reactor, way, proxy, name, port, self._timeout)

    def _under_tls(self, plain: IStreamClientEndpoint, host: bytes, port: int) -> IStreamClientEndpoint:
        return TLSEndpoint(self._policy.creatorForNetloc(host, port), plain, self._reactor)
