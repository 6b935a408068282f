"""A bare pass-through on twisted.web and treq, as one would write it without any care for speed.

It authenticates nobody, routes nothing, changes nothing and logs nothing: what it costs is what the
framework costs. ``python -m benchmarks.plain PORT URL`` listens on 127.0.0.1 and hands everything on to
URL.
"""

from __future__ import annotations

import sys
from typing import Any

import treq
from treq.client import HTTPClient
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

reactor: Any = _reactor

_OWN = frozenset((b"host", b"connection", b"content-length", b"transfer-encoding"))


class Plain(Resource):
    """Everything below it goes to one upstream."""

    isLeaf = True

    def __init__(self, upstream: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._upstream = upstream
        pool = HTTPConnectionPool(reactor)
        # The default of two would have every other request open a connection.
        pool.maxPersistentPerHost = 32
        self._client = HTTPClient(Agent(reactor, pool))

    def render(self, request: Any) -> Any:
        Deferred.fromCoroutine(self._serve(request)).addErrback(lambda _: request.loseConnection())
        return NOT_DONE_YET

    async def _serve(self, request: Any) -> None:
        headers = Headers()
        for name, values in request.requestHeaders.getAllRawHeaders():
            if name.lower() not in _OWN:
                headers.setRawHeaders(name, values)
        # treq itself takes no body that twisted.web has put into a file.
        has_body = request.content.seek(0, 2) > 0
        request.content.seek(0)
        response = await self._client.request(
            request.method.decode(),
            self._upstream + request.uri.decode(),
            headers=headers,
            data=FileBodyProducer(request.content) if has_body else None,
        )
        request.setResponseCode(response.code)
        for name, values in response.headers.getAllRawHeaders():
            if name.lower() not in _OWN:
                request.responseHeaders.setRawHeaders(name, values)
        await treq.collect(response, request.write)
        request.finish()


if __name__ == "__main__":
    reactor.listenTCP(int(sys.argv[1]), Site(Plain(sys.argv[2])), backlog=1024, interface="127.0.0.1")
    reactor.run()
