"""The client's side of HTTP: an ``IAgent`` over kept connections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.web.client import URI
from twisted.web.error import SchemeNotSupported
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer, IResponse
from zope.interface import implementer

from ampproxy.http.client_answer import Answer
from ampproxy.http.client_connection import ClientConnection
from ampproxy.http.client_pool import Pool
from ampproxy.http.client_request import Request
from ampproxy.http.headers import LowerHeaders

#: Origins that are remembered.
_MAX_ORIGINS = 1024
#: Where a path begins at the earliest: behind "http://".
_SCHEME = 7
_USUAL_PORTS = {b"http": 80, b"https": 443}


class _Origin(NamedTuple):
    """What the beginning of a URL leads to.

    :param host: how ``Host`` names it.
    """

    uri: URI
    key: tuple[bytes, bytes, int]
    host: bytes


class _Connections(Factory):
    """Makes the connections to one origin, without a line in the log for each."""

    noisy = False

    def __init__(self, pool: Pool, key: object) -> None:
        self._pool = pool
        self._key = key

    def buildProtocol(self, addr: IAddress | None) -> ClientConnection:
        """A connection that goes back to the pool when it is free."""
        return ClientConnection(self._pool, self._key)


@implementer(IAgent)
class PoolAgent:
    """Sends requests over kept connections, and makes new ones where there are none. Follows no redirect,
    keeps no cookie, sends nothing twice.

    :param endpoints: how origins are reached.
    :param accept: sees each answer before whoever asked, and gives what that one gets; what it raises, that
        one gets instead.
    """

    def __init__(
        self,
        pool: Pool,
        endpoints: IAgentEndpointFactory,
        accept: Callable[[Answer], IResponse] | None = None,
    ) -> None:
        self._pool = pool
        self._endpoints = endpoints
        self._accept = accept
        self._origins: dict[bytes, _Origin] = {}

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """See ``IAgent``. The result fires when the answer's head is there.

        :raises ValueError: it cannot be sent (all of these by the result).
        :raises SchemeNotSupported: the URI is neither ``http`` nor ``https``.
        :raises Exception: no connection could be made, as the endpoint fails; or as
            :meth:`ClientConnection.ask` does.
        """
        try:
            origin, target = self._taken_apart(uri)
            request = Request(
                method,
                uri,
                target,
                origin.host,
                LowerHeaders() if headers is None else headers,
                bodyProducer,
                self._accept,
            )
            connection = self._pool.take(origin.key)
            if connection is not None:
                return connection.ask(request)
            endpoint = self._endpoints.endpointForURI(origin.uri)
        except (ValueError, SchemeNotSupported):
            return fail()
        connecting: Deferred[Any] = endpoint.connect(_Connections(self._pool, origin.key))
        return connecting.addCallback(lambda made: made.ask(request))

    def _taken_apart(self, uri: bytes) -> tuple[_Origin, bytes]:
        path = uri.find(b"/", _SCHEME + 1)
        if path < 0 or b"#" in uri or b"?" in uri[:path]:
            parsed = URI.fromBytes(uri)
            form = parsed.originForm
            return _origin(parsed), form if form.startswith(b"/") else b"/" + form
        begin = uri[:path]
        origin = self._origins.get(begin)
        if origin is None:
            if len(self._origins) >= _MAX_ORIGINS:
                self._origins.clear()
            origin = self._origins[begin] = _origin(URI.fromBytes(begin + b"/"))
        return origin, uri[path:]


def _origin(uri: URI) -> _Origin:
    host = b"[%b]" % uri.host if b":" in uri.host else uri.host
    if uri.port != _USUAL_PORTS.get(uri.scheme):
        host = b"%b:%d" % (host, uri.port)
    return _Origin(uri, (uri.scheme, uri.host, uri.port), host)
