"""A way out of the gateway, and what is known of it: treq's client, its endpoints and its kept connections.

Loaded when a request is first sent, or when the service has started: treq and Twisted's own client are large.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from hyperlink import EncodedURL
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer

from ampproxy.http.client import PoolAgent
from ampproxy.http.client_pool import Pool
from ampproxy.http.headers import FixedHeaders
from ampproxy.upstream.codings import ACCEPTED, decoded
from ampproxy.upstream.endpoints import OriginEndpoints

#: Idle connections kept to each origin: as many as a busy client may have requests at once.
POOL_SIZE = 128

#: Seconds until an idle connection is closed: below what vendors' front ends allow, so that a request
#: rarely meets a connection that is about to be closed by the other side.
POOL_IDLE = 50


class PreparedURL(EncodedURL):
    """A URL that is known to be right, so that treq need not take it apart and put it together.

    :param text: ASCII, percent-encoded.
    :ivar raw: the same as bytes.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self.raw = text.encode("ascii")

    def to_uri(self) -> PreparedURL:
        """Itself: it is one already."""
        return self

    def to_text(self, with_password: bool = False) -> str:
        """The URL as it was given."""
        return self._text


#: Most requests of a service go to few URLs, which are short; what clients add to a query may not be.
_known = lru_cache(maxsize=512)(PreparedURL)
_USUAL_CHARS = 512


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
        if type(headers) is not FixedHeaders:  # Those say it already.
            name, value = ACCEPTED
            headers.setRawHeaders(name, [value])
        return self._straight.request(method.encode("ascii"), url.raw, headers, data)


#: What else a plain request has: whatever is not here is left to treq.
_PLAIN = {"unbuffered": True, "allow_redirects": False}


class Way:
    """A way out: straight, or through one proxy.

    :param reactor: for connections and timers.
    :param others: as for :class:`~ampproxy.upstream.endpoints.OriginEndpoints`.
    """

    def __init__(self, reactor: Any, **others: Any) -> None:
        self._endpoints = OriginEndpoints(reactor, **others)
        self._pool = pool = Pool(reactor, most=POOL_SIZE, idle=POOL_IDLE)
        # Nothing is sent twice here: a retry would not be counted or logged; ours is (see relay.exchange).
        self._client = StraightClient(PoolAgent(pool, self._endpoints, decoded))

    def send(self, method: str, url: str, headers: Headers, body: IBodyProducer | None) -> Deferred[Any]:
        """See :meth:`ampproxy.upstream.client.UpstreamClient.send`."""
        return self._client.request(
            method,
            _known(url) if len(url) <= _USUAL_CHARS else PreparedURL(url),
            headers=headers,
            data=body,
            allow_redirects=False,
            unbuffered=True,
        )

    def endpoint(self, url: str) -> IStreamClientEndpoint:
        """How the origin of ``url`` is reached."""
        return self._endpoints.endpointForURI(URI.fromBytes(url.encode("ascii")))

    def use(self, connect_timeout: float) -> None:
        self._endpoints.use(connect_timeout)

    def close(self) -> Deferred[Any]:
        """Close the idle connections; those in use are closed when they come back."""
        return self._pool.close()
