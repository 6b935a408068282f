"""The demonstration's own client: one request over a real socket, its bytes as they come, and the times."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers

Arrived = Callable[[bytes], None]


@dataclass(slots=True)
class Answered:
    """What came back. Times are seconds since the request was begun.

    :param whole: the body ended as HTTP says, not by a lost connection.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    first_byte: float = 0.0
    total: float = 0.0
    whole: bool = True


class _Body(Protocol):
    """Collects a body and tells of each piece."""

    def __init__(self, clock: Any, arrived: Arrived) -> None:
        self.done: Deferred[bool] = Deferred()
        self.first: float | None = None
        self.data = b""
        self._clock = clock
        self._arrived = arrived

    def dataReceived(self, data: bytes) -> None:
        if self.first is None:
            self.first = self._clock.seconds()
        self.data += data
        self._arrived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.done.callback(reason.check(ResponseDone) is not None)


class Client:
    """Requests to one origin.

    :param url: the origin, without a slash at its end.
    """

    def __init__(self, reactor: Any, url: str) -> None:
        self.url = url
        self._reactor = reactor
        self._pool = HTTPConnectionPool(reactor, persistent=False)
        self._agent = Agent(reactor, connectTimeout=5, pool=self._pool)

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        arrived: Arrived = lambda data: None,
    ) -> Answered:
        """Send a request, with a JSON body if one is given, and read the answer to its end.

        :raises twisted.internet.error.ConnectError: there is no connection.
        """
        sent = {"user-agent": "ampproxy-demo", **(headers or {})}
        producer = None
        if body is not None:
            sent["content-type"] = "application/json"
            producer = FileBodyProducer(BytesIO(json.dumps(body).encode()))
        started = self._reactor.seconds()
        fields = Headers({name: [value] for name, value in sent.items()})
        response = await self._agent.request(method.encode(), (self.url + path).encode(), fields, producer)
        reader = _Body(self._reactor, arrived)
        response.deliverBody(reader)
        whole = await reader.done
        now = self._reactor.seconds()
        names = {
            name.decode("latin-1").lower(): values[-1].decode("latin-1")
            for name, values in response.headers.getAllRawHeaders()
        }
        first = now if reader.first is None else reader.first
        return Answered(response.code, names, reader.data, first - started, now - started, whole)
