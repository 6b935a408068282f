"""A connection in memory, with requests that the test answers."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from ampproxy.config.schema import Limits
from ampproxy.http.deadlines import Deadlines
from ampproxy.http.server_channel import HttpChannel
from ampproxy.http.server_heads import Head
from ampproxy.http.server_request import HttpRequest, answer_head


class Served(HttpRequest):
    """A request that keeps what comes."""

    def __init__(self, channel: Any, head: Head) -> None:
        super().__init__(channel, head)
        self.got = b""
        self.length: int | None = 0
        self.whole = self.abandoned_once = False
        self.aborted: Any = None

    def gotLength(self, length: int | None) -> None:
        self.length = length
        self.channel.site.served.append(self)  # type: ignore[attr-defined]
        self.channel.site.on_head(self)  # type: ignore[attr-defined]

    def handleContentChunk(self, data: bytes) -> None:
        self.got += data
        self.channel.site.on_piece(self)  # type: ignore[attr-defined]

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        self.received = self.whole = True
        self.channel.site.on_whole(self)  # type: ignore[attr-defined]

    def abandoned(self) -> None:
        self.abandoned_once = True

    def abort(self, error: Any) -> None:
        self.aborted = error

    def answer(self, body: bytes = b"ok") -> None:
        self.responseHeaders.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        self.write(body)
        self.finish()


class House:
    """A site whose requests the test looks at.

    :ivar on_head: called with each request when its head is there; ``on_piece``, ``on_whole`` likewise.
    """

    request: Any = Served

    def __init__(self, **limits: Any) -> None:
        self.limits = Limits(**limits)
        self.lines: list[Any] = []
        self.logger = Logger(namespace="test", observer=self.lines.append)
        self.channels: set[Any] = set()
        self.reactor = Clock()
        self.deadlines = Deadlines(self.reactor)
        self.served: list[Served] = []
        self.on_head = self.on_piece = self.on_whole = lambda request: None

    @property
    def idle_timeout(self) -> float:
        return self.limits.idle_timeout

    def make_request(self, channel: HttpChannel, head: Head) -> HttpRequest:
        made: HttpRequest = self.request(channel, head)
        return made

    def refusal(self, status: int, message: str) -> bytes:
        body = message.encode()
        lines = {b"Content-Length": [b"%d" % len(body)], b"Connection": [b"close"]}
        return answer_head(b"HTTP/1.1", status, b"Refused", Headers(lines)) + body

    def connect(self) -> Line:
        return Line(self)


class Line:
    """One connection."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.transport: Any = StringTransport(peerAddress=IPv4Address("TCP", "127.0.0.1", 4000))
        self.transport.abortConnection = self._abort
        self.aborted = False
        self.channel = HttpChannel(house)
        self.channel.makeConnection(self.transport)

    def _abort(self) -> None:
        self.aborted = True
        self.transport.loseConnection()

    def send(self, data: bytes, step: int = 0) -> Line:
        """Send it whole, or in pieces of ``step`` bytes."""
        for at in range(0, len(data), step or len(data) or 1):
            self.channel.dataReceived(data[at : at + (step or len(data))])
        return self

    def leave(self) -> None:
        self.channel.connectionLost(Failure(ConnectionDone()))

    @property
    def said(self) -> bytes:
        said: bytes = self.transport.value()
        return said

    @property
    def closed(self) -> bool:
        return bool(self.transport.disconnecting)
