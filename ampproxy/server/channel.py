"""One client connection: twisted.web's, with limits that answer before they close it."""

from __future__ import annotations

import json
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, _ChunkedTransferDecoder
from zope.interface import alsoProvides

from ampproxy.config.schema import Limits
from ampproxy.errors import ClientFault
from ampproxy.http.closing import Closing
from ampproxy.http.transports import give_to
from ampproxy.server.reading import Reading
from ampproxy.upstream.chunks import ChunkDecoder
from ampproxy.wire.framing import (
    BadMessage,
    check_begun,
    check_field_line,
    check_request_coding,
    check_request_length,
    check_request_line,
)

#: How long a client that was answered before it had sent its whole body may go on sending it, so that
#: it reads the answer instead of meeting a reset connection. Seconds.
LINGER = 5.0

#: So many bytes of further requests are kept behind one that is being answered. More are dropped, and the
#: connection is closed after the answer. Twisted would stop to read, and not hear of a client that leaves.
MOST_BEHIND = 1024 * 1024

#: Slower than this, over more than ``body-timeout`` seconds, a body counts as an attack. Bytes a second.
SLOWEST_BODY = 1024

#: Says under which configuration an answer was made.
GENERATION_HEADER = b"X-Ampproxy-Generation"

_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    505: b"HTTP Version Not Supported",
}


class ChannelSite(Protocol):
    """What a connection needs of its site.

    :ivar channels: the connections that are open.
    :ivar generation: the number of the configuration that is in force.
    """

    limits: Limits
    logger: Logger
    channels: set[GatewayChannel]
    generation: int
    reactor: IReactorTime

    @property
    def idle_timeout(self) -> float:
        """Seconds for which a connection may be idle."""
        ...


class GatewayChannel(HTTPChannel):
    """One client connection. Its limits answer with a status before they close it."""

    site: ChannelSite
    transport: Any
    timeOut: Any
    _networkProducer: Any
    _in_headers = False
    _body_began: float | None = None
    _body_bytes = 0
    _taken: Any = None
    _transferDecoder: Any
    _closing: Closing
    _reading: Reading
    _behind = 0
    _in_fields = False
    _refused = False
    lingering = False

    def connectionMade(self) -> None:
        """A client connected; it has the idle time to begin its first request."""
        limits = self.site.limits
        self.site.channels.add(self)
        self.timeOut = self.site.idle_timeout
        clock = self.site.reactor
        self._closing = Closing(self.transport, clock)
        self._reading = Reading(self.transport, clock, self._may_not_read, self._not_read)
        self.totalHeadersSize = self.MAX_LENGTH = limits.max_header_bytes
        self.maxHeaders = limits.max_headers
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Bytes of a request.

        The base class lets every byte put the time limit off; here the headers have one deadline
        in all, and a body must keep a pace.
        """
        if self._taken is not None:
            self._taken.dataReceived(data)
            return
        if self._refused:
            # What is behind a request that is none is no request either.
            return
        # Then this was sent ahead, and the answer before it is just ending: whoever receives goes on with it.
        nested = self._busyReceiving
        LineReceiver.dataReceived(self, data)
        if self.line_mode and self._buffer and not nested:
            self._check_begun(len(data))
        if self._handlingRequest or self.lingering or self.transport.disconnecting:
            self._in_headers = False
        elif not self.line_mode:
            self._in_headers = False
            self._watch_body(len(data))
        elif not (self.requests or self._buffer):
            self._in_headers = False
        elif not self._in_headers:
            self._in_headers = True
            self.setTimeout(self.site.limits.header_timeout)

    def _check_begun(self, size: int) -> None:
        # A line that never ends as it should would otherwise be awaited. One byte more, for a CR may be half
        # of a line's end.
        try:
            check_begun(self._buffer[-size - 1 :])
        except BadMessage as bad:
            self._refuse_message(bad)

    def lineReceived(self, line: bytes) -> None:
        """One line of a request's head, looked at as soon as it is there.

        The base class would put it together with lines that continue it.
        """
        try:
            if not self._in_fields:
                if line:
                    check_request_line(line)
                    self._in_fields = True
                super().lineReceived(line)
            elif line:
                check_field_line(line)
                self._receivedHeaderSize += len(line)
                if self._receivedHeaderSize > self.totalHeadersSize:
                    self._refuse_headers()
                else:
                    self.headerReceived(line)
            else:
                self._in_fields = False
                super().lineReceived(line)
        except BadMessage as bad:
            self._refuse_message(bad)

    def _maybeChooseTransferDecoder(self, header: bytes, data: bytes) -> bool:
        # The base class's hook for how a body comes; its own decoder takes each chunk for itself.
        if header == b"Content-Length":
            check_request_length(data)
        elif header == b"Transfer-Encoding":
            check_request_coding(data, self._version)
        else:
            return True
        framed = self._transferDecoder is not None
        if framed:
            raise BadMessage("more than one Content-Length or Transfer-Encoding")
        chosen: bool = super()._maybeChooseTransferDecoder(header, data)
        if chosen and type(self._transferDecoder) is _ChunkedTransferDecoder:
            theirs, limits = self._transferDecoder, self.site.limits
            self._transferDecoder = ChunkDecoder(theirs.dataCallback, theirs.finishCallback)
            self._transferDecoder.bound(limits.max_header_bytes, limits.max_headers)
        return chosen

    def rawDataReceived(self, data: bytes) -> None:
        """Part of a body; or what comes behind a request that is being answered, for which it waits."""
        if not self._handlingRequest or self._is_upgrade():
            super().rawDataReceived(data)
            return
        self._behind += len(data)
        if self._behind <= MOST_BEHIND:
            self._dataBuffer.append(data)
        else:
            self.persistent = False
            self._dataBuffer.clear()

    def _is_upgrade(self) -> bool:
        """Whether what comes next may belong to a tunnel, of which nothing may be lost."""
        return bool(self.requests) and self.requests[0].requestHeaders.hasHeader(b"upgrade")

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Whether another request may follow: of each list of options (RFC 9112, section 9.6)."""
        if version != b"HTTP/1.1":
            return False
        values = request.requestHeaders.getRawHeaders(b"Connection", ())
        if any(option.strip().lower() == b"close" for value in values for option in value.split(b",")):
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        return True

    def _send100Continue(self) -> None:
        # Nothing is to be sent, or the answer is there already (RFC 9110, section 10.1.1).
        if self.length != 0 and self.requests and not self.requests[-1].startedWriting:
            super()._send100Continue()

    def _watch_body(self, size: int) -> None:
        now = self.site.reactor.seconds()
        limit = self.site.limits.body_timeout
        if self._body_began is None:
            self._body_began, self._body_bytes = now, 0
        self._body_bytes += size
        elapsed = now - self._body_began
        if elapsed > limit and self._body_bytes < elapsed * SLOWEST_BODY:
            self.timeoutConnection()
        else:
            self.setTimeout(limit)

    def allContentReceived(self) -> None:
        """The body is whole."""
        self._body_began = None
        super().allContentReceived()

    def requestDone(self, request: Any) -> None:
        """The answer is out: the client has the idle time for its next request."""
        self.lingering = False
        self._behind = 0
        super().requestDone(request)
        if self.persistent and not self._handlingRequest and not self._in_headers:
            self.setTimeout(self.site.idle_timeout)

    def end_soon(self) -> None:
        """Close the connection when it is idle for a while."""
        if not (self.requests or self._in_headers or self._taken):
            self.setTimeout(self.site.idle_timeout)

    def hold_body(self) -> None:
        """Stop reading the body until it can be passed on. The client's slowness is then ours."""
        self.setTimeout(None)
        self.transport.pauseProducing()

    def go_on_with_body(self) -> None:
        """Read the body again."""
        if self.transport is None:
            return
        if not self._handlingRequest:
            self._body_began = None
            self.setTimeout(LINGER if self.lingering else self.site.limits.body_timeout)
        self.transport.resumeProducing()

    def linger(self) -> None:
        """The answer is out though the body is not in: drop what still comes, but not for ever."""
        self.lingering = True
        self.setTimeout(LINGER)

    def pauseProducing(self) -> None:
        """The client takes less than there is for it. For how long it takes nothing at all has a limit."""
        super().pauseProducing()
        if self._taken is None:
            self._reading.paused()

    def resumeProducing(self) -> None:
        """It has taken what there was."""
        self._reading.resumed()
        super().resumeProducing()

    def _may_not_read(self) -> float:
        return self.site.limits.answer_timeout

    def _not_read(self) -> None:
        """End the exchange, which closes its upstream, and the connection: nothing more can be said on it."""
        why = (
            f"The client took nothing of its answer for {self._may_not_read():g} s"
            " (setting: limits.answer-timeout)."
        )
        self.site.logger.info("Closed {peer}: {why}", peer=self.getPeer(), why=why)
        for request in tuple(self.requests):
            request.abort(ClientFault.of("timeout", why, status=408, code="answer_timeout"))
        self.transport.abortConnection()

    def hand_over(self, protocol: Any) -> bytes:
        """Connect ``protocol`` to the client from now on: HTTP has ended here, its time limits too.

        The transport is the protocol's alone; it is told of a half-closed connection as well.

        :param protocol: an ``IHalfCloseableProtocol``.
        :return: what the client has said to it already.
        """
        self._taken = protocol
        self.timeOut = self._savedTimeOut = None
        self.setTimeout(None)
        early: bytes = b"".join(self._dataBuffer) + self.clearLineBuffer()
        self._dataBuffer = []
        self._reading.end()
        self._networkProducer.unregisterProducer()
        self._networkProducer.resumeProducing()
        # Only from now on: in HTTP, a client that closes its half has left.
        alsoProvides(self, IHalfCloseableProtocol)
        # The connection may live for days, and with it what it refers to.
        self.requests.clear()
        self.site.channels.discard(self)
        protocol.makeConnection(self.transport)
        give_to(self.transport, protocol)
        return early

    def loseConnection(self) -> None:
        """Close it when the client has taken what is on its way to it, and not much later if it does not."""
        super().loseConnection()
        self._closing.begin()

    def readConnectionLost(self) -> None:
        """The client will say nothing more. Called once the connection is handed over, not before."""
        self._taken.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """The client will hear nothing more, as we wished."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection ended."""
        self.site.channels.discard(self)
        self._closing.end()
        self._reading.end()
        if self._taken is None:
            super().connectionLost(reason)
            # The decoder of a body that was broken off leads to its request.
            self._transferDecoder = None
            self._dataBuffer.clear()
            self.clearLineBuffer()
        self.requests.clear()
        if self._taken is not None:
            self._taken.connectionLost(reason)

    def timeoutConnection(self) -> None:
        """A time limit passed: say which, unless an answer has begun or nothing was asked."""
        limits = self.site.limits
        request = self.requests[0] if self.requests else None
        if request is not None and request.startedWriting:
            self.transport.abortConnection()
        elif not self.line_mode:
            if request is not None:
                request.drop_body()
            self._refuse(
                408, f"The body came too slowly (setting: limits.body-timeout, {limits.body_timeout:g} s)."
            )
        elif self._in_headers:
            self._refuse(
                408,
                f"The headers came too slowly (setting: limits.header-timeout, {limits.header_timeout:g} s).",
            )
        else:
            self.loseConnection()

    def lineLengthExceeded(self, line: bytes) -> None:
        """One line is longer than all headers may be."""
        self._refuse_headers()

    def _respondToBadRequestAndDisconnect(self) -> None:
        # The base class's only hook for every way in which a request can be malformed.
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self._refuse_headers()
        elif self.line_mode:
            self._refuse(400, "The request is not valid HTTP/1.1.")
        else:
            self._refuse_body(self._transferDecoder.fault)

    def _refuse_message(self, bad: BadMessage) -> None:
        self._refuse(bad.status, f"The request is not valid HTTP/1.1. It has {bad.words}.")

    def _refuse_body(self, words: str) -> None:
        """End a request whose body cannot be read, and what serves it: nobody can know where it ends."""
        request = self.requests[0]
        self._refused = True
        if request.finished:
            self.loseConnection()
        elif request.startedWriting:
            self.transport.abortConnection()
        else:
            self._refuse(400, f"The chunked coding of the request's body is broken{words}.")
            self.requests.clear()
            request.connectionLost(Failure(ConnectionDone()))

    def _refuse_headers(self) -> None:
        limits = self.site.limits
        self._refuse(
            431,
            "The request headers are too many or too large (settings: limits.max-headers,"
            f" {limits.max_headers}; limits.max-header-bytes, {limits.max_header_bytes}).",
        )

    def _refuse(self, status: int, message: str) -> None:
        """Answer a request that is not one, and close."""
        self._refused = True
        self.clearLineBuffer()
        if self.transport.disconnecting:
            return
        self.site.logger.info(
            "Refused {peer}: {status} {why}", peer=self.getPeer(), status=status, why=message
        )
        body = json.dumps({"error": {"type": "invalid_request_error", "message": message}}).encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%b: %d\r\n"
            b"Connection: close\r\n\r\n%b"
            % (status, _REASONS[status], len(body), GENERATION_HEADER, self.site.generation, body)
        )
        self.persistent = False
        self.loseConnection()
