"""The one way out: requests to vendors and to the Amp upstream, through treq."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from hyperlink import EncodedURL
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IPolicyForHTTPS

from ampproxy.errors import GatewayFault
from ampproxy.http.client import PoolAgent
from ampproxy.http.client_pool import Pool
from ampproxy.upstream.codings import decoded
from ampproxy.upstream.endpoints import OriginEndpoints
from ampproxy.upstream.proxy import Proxy
from ampproxy.upstream.unresolved import UnresolvedHosts

#: Idle connections kept to each origin: as many as a busy client may have requests at once.
POOL_SIZE = 128

#: Seconds until an idle connection is closed: below what vendors' front ends allow, so that a request
#: rarely meets a connection that is about to be closed by the other side.
POOL_IDLE = 50


class PreparedURL(EncodedURL):
    """A URL that is known to be right, so that treq need not take it apart and put it together.

    :param text: ASCII, percent-encoded.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    def to_uri(self) -> PreparedURL:
        """Itself: it is one already."""
        return self

    def to_text(self, with_password: bool = False) -> str:
        """The URL as it was given."""
        return self._text


class NoCookies(IndexableCookieJar):
    """A jar that takes and gives nothing: it would be shared by all clients."""

    def add_cookie_header(self, request: Any) -> None:
        """Add none."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Keep none."""


class StraightClient(HTTPClient):
    """treq's client, which sends what is plain straight to the agent: no redirect, no parameter, no cookie.

    treq would build a request for its cookie jar, take the URL apart twice, and put three objects around the
    answer, for nothing.
    """

    def __init__(self, agent: IAgent) -> None:
        super().__init__(agent, NoCookies())
        self._straight = agent

    def request(
        self, method: str, url: Any, *, headers: Any = None, data: Any = None, **more: Any
    ) -> Deferred[Any]:
        """See :func:`treq.request`. What is plain gives an ``IResponse``, without what treq adds to it.

        :param url: a :class:`PreparedURL`, of what is plain.
        """
        if more != _PLAIN or type(url) is not PreparedURL:
            return super().request(method, url, headers=headers, data=data, **more)
        headers.setRawHeaders(b"accept-encoding", [b"gzip"])
        return self._straight.request(method.encode("ascii"), url.to_text().encode("ascii"), headers, data)


#: What else a plain request has: whatever is not here is left to treq.
_PLAIN = {"unbuffered": True, "allow_redirects": False}


class _Way(NamedTuple):
    """A way out: straight, or through one proxy."""

    client: HTTPClient
    endpoints: OriginEndpoints
    pool: Pool


class UpstreamClient:
    """Sends requests over kept connections. Verifies TLS, follows no redirect, keeps no cookie.

    :param reactor: for connections and timers.
    :param connect_timeout: seconds.
    :param policy: verifies certificates; by default against the system's trust store.
    :param log: is told of names that cannot be resolved.
    """

    def __init__(
        self,
        reactor: Any,
        *,
        connect_timeout: float,
        policy: IPolicyForHTTPS | None = None,
        log: Logger | None = None,
    ) -> None:
        self._names = UnresolvedHosts(log)
        self._reactor = reactor
        self._timeout = connect_timeout
        self._policy = policy
        # A pool knows connections by their origin alone: each proxy gets one of its own.
        self._proxied: dict[str, _Way] = {}
        self._direct = self._make(None)

    def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: IBodyProducer | None = None,
        proxy: str | None = None,
    ) -> Deferred[Any]:
        """Send a request; the result is an ``IResponse``, and fires when the answer's
        headers are there.

        The body of the answer waits until somebody asks for it with ``deliverBody``. A gzip-encoded
        answer is decoded on the way; one that is compressed more than once is refused.

        :param proxy: ``proxy-url`` as it is configured; ``None``, ``direct`` and ``none`` mean none at all.
        :raises ampproxy.errors.GatewayFault: ``proxy`` is no URL of a proxy that we know (by the Deferred).
        """
        try:
            way = self._direct if proxy is None else self._through(proxy)
        except ValueError as error:
            return fail(GatewayFault.of("internal", f"{error}."))
        return way.client.request(
            method,
            PreparedURL(url),
            headers=headers,
            data=body,
            allow_redirects=False,
            unbuffered=True,
        )

    def endpoint(self, url: str, proxy: str | None = None) -> IStreamClientEndpoint:
        """How the origin of ``url`` is reached, for what is not one request and one answer.

        :param proxy: as for :meth:`send`.
        :raises ampproxy.errors.GatewayFault: ``proxy`` is no URL of a proxy that we know.
        """
        try:
            way = self._direct if proxy is None else self._through(proxy)
        except ValueError as error:
            raise GatewayFault.of("internal", f"{error}.") from None
        return way.endpoints.endpointForURI(URI.fromBytes(url.encode("ascii")))

    def use(self, connect_timeout: float, proxies: Collection[str]) -> None:
        """Other settings, from the next connection on. What is under way goes on as it is.

        :param proxies: the ones that may still be asked for; what is kept of the others is closed.
        """
        self._timeout = connect_timeout
        for proxy in [proxy for proxy in self._proxied if proxy not in proxies]:
            way = self._proxied.pop(proxy)
            if way is not self._direct:
                # What is in use comes back to this pool, and is closed when it has been idle for long.
                way.pool.close()
        for way in self._ways():
            way.endpoints.use(connect_timeout)

    def close(self) -> Deferred[None]:
        """Close the idle connections; those in use are closed when their exchange ends."""
        closing = gatherResults([way.pool.close() for way in self._ways()])
        return closing.addCallback(lambda _: None)

    def _ways(self) -> list[_Way]:
        return [self._direct, *(way for way in self._proxied.values() if way is not self._direct)]

    def _through(self, proxy: str) -> _Way:
        way = self._proxied.get(proxy)
        if way is None:
            known = Proxy.of(proxy)
            way = self._proxied[proxy] = self._direct if known is None else self._make(known)
        return way

    def _make(self, proxy: Proxy | None) -> _Way:
        pool = Pool(self._reactor, most=POOL_SIZE, idle=POOL_IDLE)
        endpoints = OriginEndpoints(
            self._reactor,
            connect_timeout=self._timeout,
            policy=self._policy,
            proxy=proxy,
            names=self._names,
        )
        # Nothing is sent twice here: a retry would not be counted or logged; ours is (see relay.exchange).
        return _Way(StraightClient(PoolAgent(pool, endpoints, decoded)), endpoints, pool)
