"""Which endpoint an origin gets."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.iweb import IAgentEndpointFactory, IPolicyForHTTPS
from zope.interface import implementer
from zope.interface.verify import verifyObject

from ampproxy.upstream.endpoints import OriginEndpoints
from ampproxy.upstream.proxy import Proxy
from ampproxy.upstream.proxy_tunnel import TunnelEndpoint
from ampproxy.upstream.unresolved import NamedEndpoint


@implementer(IPolicyForHTTPS)
class Policy:
    """Keeps for whom it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, int]] = []

    def creatorForNetloc(self, hostname: bytes, port: int) -> Any:
        self.asked.append((hostname, port))
        return object()


def endpoints(proxy: str | None = None, policy: Any = None) -> OriginEndpoints:
    return OriginEndpoints(
        MemoryReactorClock(), connect_timeout=3, policy=policy or Policy(), proxy=Proxy.of(proxy)
    )


def test_one_for_each_origin() -> None:
    """Scheme, host and port make an origin; path and query do not, and TLS is set up once for each."""
    policy = Policy()
    made = endpoints(policy=policy)
    assert verifyObject(IAgentEndpointFactory, made)
    first = made.endpointForURI(URI.fromBytes(b"https://api.test/v1/messages?x=1"))
    assert verifyObject(IStreamClientEndpoint, first)
    assert made.endpointForURI(URI.fromBytes(b"https://api.test:443/other")) is first
    others = [
        made.endpointForURI(URI.fromBytes(uri))
        for uri in (b"http://api.test:443/", b"https://api.test:8443/", b"https://b.test/")
    ]
    assert len({id(endpoint) for endpoint in [first, *others]}) == 4
    assert policy.asked == [(b"api.test", 443), (b"api.test", 8443), (b"b.test", 443)]


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        (b"http://127.0.0.1:8080/", TCP4ClientEndpoint),
        (b"http://[::1]:8080/", TCP6ClientEndpoint),
        (b"http://localhost:8080/", NamedEndpoint),
    ],
)
def test_kinds(uri: bytes, kind: type) -> None:
    """Addresses are connected to as they are; names go through the resolver."""
    assert type(endpoints().endpointForURI(URI.fromBytes(uri))) is kind


def test_addresses_need_no_resolver() -> None:
    """A connection to an address begins at once, with the configured limit."""
    reactor = MemoryReactorClock()
    reactor.nameResolver = None  # type: ignore[assignment]
    made = OriginEndpoints(reactor, connect_timeout=3)
    made.endpointForURI(URI.fromBytes(b"http://127.0.0.1:8080/")).connect(Factory())
    made.endpointForURI(URI.fromBytes(b"https://127.0.0.1:8443/")).connect(Factory())
    assert [(host, port, timeout) for host, port, _, timeout, _ in reactor.tcpClients] == [
        ("127.0.0.1", 8080, 3),
        ("127.0.0.1", 8443, 3),
    ]


@pytest.mark.parametrize("proxy", [None, "http://p.test"])
@pytest.mark.parametrize("scheme", [b"ftp", b"ws", b""])
def test_other_schemes(scheme: bytes, proxy: str | None) -> None:
    """Neither http nor https: refused in words, with and without a proxy."""
    uri = URI(scheme, b"a.test", b"a.test", 80, b"/", b"", b"", b"")
    with pytest.raises(SchemeNotSupported, match="neither http nor https"):
        endpoints(proxy).endpointForURI(uri)


def test_through_a_proxy() -> None:
    """An ``http://`` origin goes through a tunnel too; an ``https://`` proxy is verified by its own name."""
    policy = Policy()
    made = endpoints("https://u:p@p.test:3129", policy)
    plain = made.endpointForURI(URI.fromBytes(b"http://a.test/"))
    assert type(plain) is TunnelEndpoint
    assert made.endpointForURI(URI.fromBytes(b"http://a.test/x")) is plain
    made.endpointForURI(URI.fromBytes(b"https://a.test/"))
    assert policy.asked == [(b"p.test", 3129), (b"p.test", 3129), (b"a.test", 443)]
