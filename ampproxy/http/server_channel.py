"""One client connection: requests are taken one after another, and limits answer before they close it."""

from __future__ import annotations

from socket import socket
from typing import Any

from twisted.internet import protocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from ampproxy.errors import ClientFault
from ampproxy.http.chunks import BrokenChunks
from ampproxy.http.closing import Closing, reset_at_end
from ampproxy.http.outbox import Outbox
from ampproxy.http.server_heads import HeadReader
from ampproxy.http.server_reading import Reading
from ampproxy.http.server_receiving import Receiving, Waits
from ampproxy.http.server_request import HttpRequest
from ampproxy.http.transports import give_to
from ampproxy.wire.framing import BadMessage

#: How long a client that was answered before it had sent its whole body may go on sending it, so that
#: it reads the answer instead of meeting a reset connection. Seconds.
LINGER = 5.0

#: The answer to what is no request at a listener that tells strangers nothing.
NAMELESS = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@implementer(IPushProducer)
class HttpChannel(Receiving):
    """One client connection. Its limits answer with a status before they close it."""

    _secure = False
    _producer: IPushProducer | None = None
    _reading: Reading | None = None

    def connectionMade(self) -> None:
        """A client connected; it has the idle time to begin its first request."""
        site, transport = self.site, self.transport
        site.channels.add(self)
        self._secure = ISSLTransport.providedBy(transport)
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        self._heads = HeadReader(site.limits.max_header_bytes, site.limits.max_headers)
        self._closing = Closing(transport, site.reactor)
        self._deadline = site.deadlines.deadline(self._late)
        self._wait(Waits.IDLE, site.idle_timeout)
        self._outbox = Outbox(transport, self)
        self._outbox.open()

    def getPeer(self) -> Any:
        """The client's address. Where a line of the PROXY protocol comes first it is known only then, and no
        sooner asked for.
        """
        if self.peer is None:
            self.peer = self.transport.getPeer()
        return self.peer

    def getHost(self) -> Any:
        """The address to which it has connected."""
        return self.transport.getHost()

    def isSecure(self) -> bool:
        """Whether the connection is TLS."""
        return self._secure

    @property
    def requests(self) -> list[HttpRequest]:
        """What is being served on it: one request, or none."""
        return [] if self._current is None else [self._current]

    @property
    def is_new(self) -> bool:
        """Whether no request has come on it so far."""
        return self.known is None and not self._closed

    # What goes.

    def send(self, data: bytes) -> None:
        """Send a part of an answer."""
        if not self._closed:
            self._outbox.write(data)

    def send_from(self, source: socket, most: int) -> int:
        """Send what has come at another socket; see :meth:`~ampproxy.http.outbox.Outbox.draw`."""
        return 0 if self._closed else self._outbox.draw(source, most)

    def finished(self, request: HttpRequest) -> None:
        """The answer is out. If the request is not in, its rest is dropped, but not for ever."""
        if request.received:
            self._done(request)
        else:
            self._let_go()
            self._wait(Waits.LINGER, LINGER)
            request.abandoned()

    def _done(self, request: HttpRequest) -> None:
        """The client has the idle time for its next request, which may be here already."""
        self._current = None
        notifications = request.over()
        self._receive = Receiving._receive_head
        if self._closed:
            pass
        elif not self.persistent:
            self.loseConnection()
        else:
            self._wait(Waits.IDLE, self.site.idle_timeout)
            if self._stopped:
                self._start_reading()
        for deferred in notifications:
            deferred.callback(None)
        if self._behind:
            self._go_on()

    def registerProducer(self, producer: IPushProducer) -> None:
        """Have it pause while the client takes less than there is."""
        self._producer = producer
        if self._full:
            producer.pauseProducing()

    def unregisterProducer(self) -> None:
        """End that."""
        self._producer = None

    def pauseProducing(self) -> None:
        """The client takes less than there is for it. For how long it takes nothing at all has a limit."""
        self._full = True
        if self._reading is None:
            deadlines = self.site.deadlines
            self._reading = Reading(self.transport, deadlines, self._may_not_read, self._not_read)
        self._reading.paused()
        if self._producer is not None:
            self._producer.pauseProducing()
        if self._current is None:
            # Else it could ask for more and more that it does not take.
            self._stop_reading()

    def resumeProducing(self) -> None:
        """It has taken what there was."""
        self._full = False
        if self._reading is not None:
            self._reading.resumed()
        if self._producer is not None:
            self._producer.resumeProducing()
        if self._current is None:
            self._start_reading()
            if self._behind:
                self._go_on_later()

    def stopProducing(self) -> None:
        """The connection is gone."""
        if self._producer is not None:
            self._producer.stopProducing()

    def _may_not_read(self) -> float:
        return self.site.limits.answer_timeout

    def _not_read(self) -> None:
        """End the exchange, which closes its upstream, and the connection: nothing more can be sent on it."""
        why = (
            f"The client took nothing of its answer for {self._may_not_read():g} s"
            " (setting: limits.answer-timeout)."
        )
        self.site.logger.info("Closed {peer}: {why}", peer=self.getPeer(), why=why)
        if self._current is not None:
            self._current.abort(ClientFault.of("timeout", why, status=408, code="answer_timeout"))
        self.abortConnection()

    # Its ends.

    def end_soon(self) -> None:
        """Close the connection when it is idle for a while."""
        if self._waits is Waits.IDLE:
            self._wait(Waits.IDLE, self.site.idle_timeout)

    def _late(self) -> None:
        """A time limit passed: say which, unless an answer has begun or nothing was asked."""
        limits, request = self.site.limits, self._current
        if self._waits is Waits.NOTHING or self._closed:
            return
        if request is not None and request.startedWriting:
            self.abortConnection()
        elif self._waits is Waits.BODY:
            self._refuse(
                408, f"The body came too slowly (setting: limits.body-timeout, {limits.body_timeout:g} s)."
            )
        elif self._waits is Waits.HEAD:
            self._refuse(
                408,
                f"The headers came too slowly (setting: limits.header-timeout, {limits.header_timeout:g} s).",
            )
        else:
            self.loseConnection()

    def _refuse_head(self, bad: BadMessage) -> None:
        limits = self.site.limits
        if bad.status == 431:
            why = (
                "The request headers are too many or too large (settings: limits.max-headers,"
                f" {limits.max_headers}; limits.max-header-bytes, {limits.max_header_bytes})."
            )
        else:
            why = f"The request is not valid HTTP/1.1. It has {bad.words}."
        self._refuse(bad.status, why)

    def _refuse_body(self, broken: BrokenChunks) -> None:
        """End a request whose body cannot be read: where it ends cannot be known."""
        request = self._current
        assert request is not None
        if request.finished:
            self.loseConnection()
        elif request.startedWriting:
            self.abortConnection()
        else:
            self._refuse(400, f"The chunked coding of the request's body is broken: it has {broken.words}.")

    def _refuse(self, status: int, why: str) -> None:
        """Answer a request that is none, or none that can come whole; end what serves it, and close."""
        if self._closed:
            return
        self.site.logger.info("Refused {peer}: {status} {why}", peer=self.getPeer(), status=status, why=why)
        # To strangers it does not tell whose it is.
        self._outbox.write(NAMELESS if self.by_cloud else self.site.refusal(status, why))
        self.loseConnection()
        request, self._current = self._current, None
        if request is not None:
            request.connectionLost(Failure(ConnectionDone()))

    def loseConnection(self) -> None:
        """Close it when the client has taken what is on its way to it, and not much later if it does not."""
        if not self._closed:
            self._closed = True
            self._waits = Waits.NOTHING
            self._forget()
            self._outbox.close()
            # Under TLS the other side's notice of the end has to be read.
            self._let_go()
            self.transport.loseConnection()
            self._closing.begin()

    def abortConnection(self) -> None:
        """Close it at once, whatever is on its way to the client."""
        self._closed = True
        self.transport.abortConnection()

    def resets_if_killed(self, on: bool) -> None:
        """Have the end of this process in mid-answer be an error for the client, too, to which an orderly end
        of the connection would be that of the answer.
        """
        reset_at_end(self.transport, on)

    def hand_over(self, protocol: Any) -> bytes:
        """Connect ``protocol`` to the client from now on: HTTP has ended here, its time limits too.

        The transport is the protocol's alone; it hears of a half-closed connection as well.

        :param protocol: an ``IHalfCloseableProtocol``.
        :return: what the client has sent to it already.
        """
        self._taken = protocol
        early = b"".join([*self._behind, self._unread])
        self._unread = b""
        self._outbox.close()
        if self._stopped or self._held:
            self.transport.resumeProducing()
        # Only from now on: in HTTP, a client that closes its half has left.
        alsoProvides(self, IHalfCloseableProtocol)
        # The connection may live for days, and with it what it refers to.
        self._current = None
        self._forget()
        self._end_limits()
        self.site.channels.discard(self)
        protocol.makeConnection(self.transport)
        give_to(self.transport, protocol)
        return early

    def readConnectionLost(self) -> None:
        """The client will send nothing more. Called once the connection is handed over, not before."""
        self._taken.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """The client will get nothing more, as we wished."""

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        """The connection ended."""
        self._closed = True
        self.site.channels.discard(self)
        self._closing.end()
        self._forget()
        self._end_limits()
        request, self._current = self._current, None
        if request is not None:
            request.connectionLost(reason)
        if self._taken is not None:
            self._taken.connectionLost(reason)

    def _forget(self) -> None:
        """Keep nothing of what has come."""
        self._behind.clear()
        self._behind_size = 0
        self._chunks = None
        later, self._later = self._later, None
        if later is not None:
            later.cancel()

    def _end_limits(self) -> None:
        self._waits = Waits.NOTHING
        self._deadline.end()
        self._outbox.end()
        if self._reading is not None:
            self._reading.end()
            self._reading = None
