"""Requests that come as messages over one connection, and whose answers leave as messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from ampproxy.http.headers import LowerHeaders
from ampproxy.http.server_heads import Head
from ampproxy.server.site import GatewayRequest, GatewaySite
from ampproxy.wire.headers import HOP_BY_HOP

#: What belongs to the upgrade, and to no request within.
_OF_UPGRADE = (b"sec-websocket-", b"content-", b"expect", b"x-request-id")


class Answering(Protocol):
    """What takes the answer to one message."""

    def piece(self, request: MessageRequest, data: bytes) -> None:
        """More of it; its status and headers stand."""

    def over(self, request: MessageRequest, *, whole: bool) -> None:
        """It has ended, as it should or broken off."""

    def pace(self, *, full: bool) -> None:
        """More waits for the client than its connection holds; or nothing any more."""


@implementer(IPushProducer)
class MessageChannel:
    """What a request of a message takes for its connection.

    :param transport: of the connection.
    :param secure: whether it is one of TLS.
    :param answering: takes the answers.
    """

    persistent = True
    by_cloud = False
    known: Any = None

    def __init__(self, transport: Any, *, secure: bool, answering: Answering) -> None:
        self.transport = transport
        self.peer = transport.getPeer()
        self.answering = answering
        self._secure = secure
        self._full = self._ended = False
        self._producer: Any = None
        transport.registerProducer(self, True)

    def end(self) -> None:
        """Nothing more is written. May be called again."""
        self._producer = None
        if not self._ended:
            self._ended = True
            self.transport.unregisterProducer()

    def getHost(self) -> Any:
        """The address to which the client has connected."""
        return self.transport.getHost()

    def isSecure(self) -> bool:
        """Whether the connection is one of TLS."""
        return self._secure

    def registerProducer(self, producer: Any) -> None:
        """Have it pause while the client takes less than there is."""
        self._producer = producer
        if self._full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """End that."""
        self._producer = None

    def pauseProducing(self) -> None:
        """The client takes less than there is for it."""
        self._full = True
        if self._producer is not None:
            self._producer.pauseProducing()
        self.answering.pace(full=True)

    def resumeProducing(self) -> None:
        """It has taken what there was."""
        self._full = False
        if self._producer is not None:
            self._producer.resumeProducing()
        self.answering.pace(full=False)

    def stopProducing(self) -> None:
        """The connection is gone."""
        if self._producer is not None:
            self._producer.stopProducing()

    def invite(self, request: GatewayRequest) -> None:
        """Nothing: the body of a message is there."""

    def hold_body(self) -> None:
        """Nothing, likewise."""

    def go_on_with_body(self) -> None:
        """Nothing, likewise."""


class MessageRequest(GatewayRequest):
    """One request of a message: served as any other, by the configuration that is in force."""

    def ask(self, body: bytes) -> None:
        """Have it served."""
        self.gotLength(len(body))
        if not self.finished:
            self.handleContentChunk(body)
        if not self.finished:
            self.requestReceived(b"", b"", b"")

    def write(self, data: bytes) -> None:
        """More of the answer."""
        self.startedWriting = 1
        if data and not self.gone and not self.finished:
            self.sentLength += len(data)
            self._answering.piece(self, data)

    def finish(self) -> None:
        """The answer is complete."""
        if self.gone:
            raise RuntimeError("Request.finish called on a request after its connection was lost.")
        self._end(whole=True)

    def break_off(self) -> None:
        """The answer ends before its end."""
        self._end(whole=False)

    def _end(self, *, whole: bool) -> None:
        self.release()
        if self.finished or self.gone:
            return
        self.finished = 1
        answering = self._answering
        notifications = self.over()
        answering.over(self, whole=whole)
        for deferred in notifications:
            if whole:
                deferred.callback(None)
            else:
                deferred.errback(Failure(ConnectionDone()))

    @property
    def _answering(self) -> Answering:
        channel: Any = self.channel
        found: Answering = channel.answering
        return found


def head_for(upgrade: GatewayRequest) -> Callable[[int], Head]:
    """Makes the heads of requests that come over a connection: of the request that opened it, as a ``POST``
    of so many bytes of JSON.
    """
    options = b",".join(upgrade.requestHeaders.getRawHeaders(b"connection") or ()).lower().split(b",")
    left_out = {*HOP_BY_HOP, *(option.strip() for option in options)}
    kept = [
        (name.lower(), value)
        for name, values in upgrade.requestHeaders.getAllRawHeaders()
        for value in values
        if name.lower() not in left_out and not name.lower().startswith(_OF_UPGRADE)
    ]
    target = upgrade.uri

    def head(length: int) -> Head:
        pairs = [*kept, (b"content-type", b"application/json"), (b"content-length", b"%d" % length)]
        return Head(b"POST", target, b"HTTP/1.1", LowerHeaders.of_pairs(pairs), length, True)

    return head


def request_of(site: GatewaySite, channel: MessageChannel, head: Head) -> MessageRequest:
    """A request whose head is this."""
    connection: Any = channel
    request = MessageRequest(connection, head)
    request.site = site
    return request
