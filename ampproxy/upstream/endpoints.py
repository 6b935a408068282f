"""How an origin is reached: one endpoint for each, made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, BrowserLikePolicyForHTTPS
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer


@implementer(IAgentEndpointFactory)
class OriginEndpoints:
    """Gives the endpoint of a URI's origin; the same object for the same origin.

    An address is connected to directly: Twisted's ``HostnameEndpoint`` asks a resolver thread even
    for one, which costs most of a millisecond on each new connection.

    :param connect_timeout: seconds until a connection must stand, its TLS handshake not counted.
    :param policy: verifies certificates; by default against the system's trust store.
    """

    def __init__(
        self, reactor: Any, *, connect_timeout: float, policy: IPolicyForHTTPS | None = None
    ) -> None:
        self._reactor = reactor
        self._timeout = connect_timeout
        self._policy: Any = BrowserLikePolicyForHTTPS() if policy is None else policy
        self._known: dict[tuple[bytes, bytes, int], IStreamClientEndpoint] = {}

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
        name = host.decode("ascii")
        make: Callable[..., IStreamClientEndpoint]
        if isIPAddress(name):
            make = TCP4ClientEndpoint
        elif isIPv6Address(name):
            make = TCP6ClientEndpoint
        else:
            make = HostnameEndpoint
        plain = make(self._reactor, name, port, self._timeout)
        if scheme == b"http":
            return plain
        if scheme == b"https":
            return wrapClientTLS(self._policy.creatorForNetloc(host, port), plain)
        raise SchemeNotSupported(f"{scheme.decode('ascii', 'replace')!r} is neither http nor https")
