"""The one way out: requests to vendors and to the Amp upstream, through treq."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer, IPolicyForHTTPS

from ampproxy.errors import GatewayFault
from ampproxy.upstream.proxy import Proxy

if TYPE_CHECKING:
    from ampproxy.upstream.unresolved import UnresolvedHosts
    from ampproxy.upstream.ways import Way

#: Seconds that idle connections are given to end in order where the end of the process waits for it.
CLOSING = 1.0


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
        self._log = log
        self._reactor = reactor
        self._timeout = connect_timeout
        self._policy = policy
        # A pool knows connections by their origin alone: each proxy gets one of its own.
        self._proxied: dict[str, Way] = {}

    @cached_property
    def _names(self) -> UnresolvedHosts:
        # Not at the top, here and below: treq and Twisted's client are large, and a service listens before it
        # sends anything.
        from ampproxy.upstream.unresolved import UnresolvedHosts

        return UnresolvedHosts(self._log)

    @cached_property
    def _direct(self) -> Way:
        return self._make(None)

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
        return way.send(method, url, headers, body)

    def endpoint(self, url: str, proxy: str | None = None) -> IStreamClientEndpoint:
        """How the origin of ``url`` is reached, for what is not one request and one answer.

        :param proxy: as for :meth:`send`.
        :raises ampproxy.errors.GatewayFault: ``proxy`` is no URL of a proxy that we know.
        """
        try:
            way = self._direct if proxy is None else self._through(proxy)
        except ValueError as error:
            raise GatewayFault.of("internal", f"{error}.") from None
        return way.endpoint(url)

    def use(self, connect_timeout: float, proxies: Collection[str]) -> None:
        """Other settings, from the next connection on. What is under way goes on as it is.

        :param proxies: the ones that may still be asked for; what is kept of the others is closed.
        """
        self._timeout = connect_timeout
        for proxy in [proxy for proxy in self._proxied if proxy not in proxies]:
            way = self._proxied.pop(proxy)
            if way is not self._direct:
                # What is in use comes back to this pool, and is closed when it has been idle for long.
                way.close()
        for way in self._ways():
            way.use(connect_timeout)

    def close(self) -> Deferred[None]:
        """Close the idle connections; those in use are closed when their exchange ends.

        Fires when they are closed, and soon in any case: a vendor that hangs does not answer the end of TLS.
        """
        done: Deferred[None] = Deferred()
        late = self._reactor.callLater(CLOSING, done.callback, None)

        def closed(_: object) -> None:
            if late.active():
                late.cancel()
                done.callback(None)

        gatherResults([way.close() for way in self._ways()]).addCallback(closed)
        return done

    def load(self) -> None:
        """Load what sends requests, if it is not loaded yet."""
        assert self._direct

    def _ways(self) -> list[Way]:
        direct: Way | None = vars(self).get("_direct")
        return [
            *(() if direct is None else (direct,)),
            *(way for way in self._proxied.values() if way is not direct),
        ]

    def _through(self, proxy: str) -> Way:
        way = self._proxied.get(proxy)
        if way is None:
            known = Proxy.of(proxy)
            way = self._proxied[proxy] = self._direct if known is None else self._make(known)
        return way

    def _make(self, proxy: Proxy | None) -> Way:
        from ampproxy.upstream.ways import Way

        return Way(
            self._reactor,
            connect_timeout=self._timeout,
            policy=self._policy,
            proxy=proxy,
            names=self._names,
        )
