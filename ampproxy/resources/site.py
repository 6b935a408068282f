"""The HTTP server: twisted.web's, with limits that answer, bodies that stream, and early refusals.

Three things are decided as soon as a request's headers are there, before its body has come: which
resource serves it, whether it is let in at all, and whether its body is gathered or handed on while
it arrives. twisted.web itself decides the first after the body, and spools every large body to disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.web.http import SWITCHING, HTTPChannel, datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import Request, Site
from zope.interface import alsoProvides

from ampproxy.config.schema import Limits
from ampproxy.errors import ExchangeError
from ampproxy.resources.bodies import GatheredBody, body_too_large
from ampproxy.resources.descriptors import Descriptors, Refusal
from ampproxy.resources.guard import forwarded_from_elsewhere
from ampproxy.resources.pending import Pending
from ampproxy.upstream.body import PipeProducer

#: How long a client that was answered before it had sent its whole body may go on sending it, so that
#: it reads the answer instead of meeting a reset connection. Seconds.
LINGER = 5.0

#: Slower than this, over more than ``body-timeout`` seconds, a body counts as an attack. Bytes a second.
SLOWEST_BODY = 1024

#: Tells the client which id the log's lines about its request have.
REQUEST_ID_HEADER = b"X-Ampproxy-Request-Id"

#: An id that a client may give its request: what needs no quoting anywhere, and no more than a line of it.
_GOOD_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}\Z")

#: So long is an id of our own: that two of a million are the same has a probability of one in 37 million.
_ID_LENGTH = 16

_INTERNAL_ERROR = "An internal error; the log of the gateway has more."

_REASONS = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class GatewayChannel(HTTPChannel):
    """One client connection. Its limits answer with a status before they close it."""

    site: GatewaySite
    transport: Any
    timeOut: Any
    _networkProducer: Any
    _in_headers = False
    _body_began: float | None = None
    _body_bytes = 0
    _taken: Any = None
    lingering = False

    def connectionMade(self) -> None:
        """A client connected; it has the idle time to begin its first request."""
        limits = self.site.limits
        self.timeOut = limits.idle_timeout
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
        LineReceiver.dataReceived(self, data)
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
        super().requestDone(request)
        if self.persistent and not self._handlingRequest and not self._in_headers:
            self.setTimeout(self.site.limits.idle_timeout)

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
        self._networkProducer.unregisterProducer()
        self._networkProducer.resumeProducing()
        # Only from now on: in HTTP, a client that closes its half has left.
        alsoProvides(self, IHalfCloseableProtocol)
        protocol.makeConnection(self.transport)
        return early

    def readConnectionLost(self) -> None:
        """The client will say nothing more. Called once the connection is handed over, not before."""
        self._taken.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """The client will hear nothing more, as we wished."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection ended."""
        if self._taken is None:
            super().connectionLost(reason)
            return
        self.requests.clear()
        self._taken.connectionLost(reason)

    def timeoutConnection(self) -> None:
        """A time limit passed: say which, unless an answer has begun or nothing was asked."""
        limits = self.site.limits
        request = self.requests[0] if self.requests else None
        if request is not None and request.startedWriting:
            self.transport.abortConnection()
        elif not self.line_mode:
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
        else:
            self._refuse(400, "The request is not valid HTTP/1.1.")

    def _refuse_headers(self) -> None:
        limits = self.site.limits
        self._refuse(
            431,
            "The request headers are too many or too large (settings: limits.max-headers,"
            f" {limits.max_headers}; limits.max-header-bytes, {limits.max_header_bytes}).",
        )

    def _refuse(self, status: int, message: str) -> None:
        """Answer a request that is not one, and close."""
        if self.transport.disconnecting:
            return
        self.site.logger.info(
            "Refused {peer}: {status} {why}", peer=self.getPeer(), status=status, why=message
        )
        body = json.dumps({"error": {"type": "invalid_request_error", "message": message}}).encode()
        self.transport.write(
            b"HTTP/1.1 %d %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
            b"Connection: close\r\n\r\n%b" % (status, _REASONS[status], len(body), body)
        )
        self.persistent = False
        self.loseConnection()


class GatewayRequest(Request):
    """One request, served as soon as its headers are there.

    :ivar body: a :class:`GatheredBody`, or a :class:`PipeProducer` for a resource that streams it;
        ``None`` once it was refused.
    :ivar query: the query string as it came, without the question mark.
    :ivar received: whether the whole body has come.
    :ivar pending: what waits, while nobody knows whether the request is let in.
    :ivar length: of its body, in bytes; ``None`` where the client does not say it in advance.
    """

    channel: GatewayChannel
    site: GatewaySite
    query: bytes = b""
    length: int | None = 0
    received = False
    pending: Pending | None = None
    body: GatheredBody | PipeProducer | None = None
    client_key: Any = None
    request_id: str = ""
    _resource: Any = None
    _broken_off = False
    defaultContentType = None

    def parseCookies(self) -> None:
        """Cookies are none of our business: they are passed on as they are."""

    def gotLength(self, length: int | None) -> None:
        """The headers are there: find the resource, and let the request in or refuse it."""
        channel = self.channel
        self.content = _NoContent
        self.args = {}
        self.site = channel.site
        # The base class tells these only after the body.
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        self.path, _, self.query = self.uri.partition(b"?")
        self.prepath = []
        self.postpath = list(map(unquote_to_bytes, self.path[1:].split(b"/")))
        self.request_id = taken_id(self.requestHeaders.getRawHeaders(b"x-request-id")) or self.site.new_id()
        self.responseHeaders.setRawHeaders(b"Date", [self.site.date()])
        self.responseHeaders.setRawHeaders(REQUEST_ID_HEADER, [self.request_id.encode("ascii")])
        self.length = length
        try:
            found = getChildForRequest(self.site.resource, self)
            self._resource = getattr(found, "itself", found)
            waiting = self._resource.admit(self)
            if waiting is None:
                self.let_in()
            else:
                Pending(self, waiting).begin()
        except ExchangeError as refusal:
            self.refuse_early(refusal)
        except Exception:
            self.processingFailed(Failure())

    def let_in(self) -> None:
        """Take the body, as the resource wants it.

        :raises ClientFault: it is too large.
        """
        channel, length = self.channel, self.length
        if self._resource.streams_body:
            self.body = PipeProducer(length, pause=channel.hold_body, resume=channel.go_on_with_body)
            self.render(self._resource)
            return
        limit = self.site.limits.max_body
        if length is not None and length > limit:
            raise body_too_large(limit)
        self.body = GatheredBody(limit)

    def handleContentChunk(self, data: bytes) -> None:
        """More of the body."""
        if self.pending is not None:
            self.pending.push(data)
            return
        if self.body is None or self.finished:
            return
        try:
            self.body.push(data)
        except ExchangeError as refusal:
            self.refuse_early(refusal)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is whole."""
        self.received = True
        if self.pending is None:
            self.body_is_whole()

    def body_is_whole(self) -> None:
        """All of it has come: a resource that gathers it can answer."""
        if self.finished:
            self.queued = False
            self._cleanup()
        elif isinstance(self.body, PipeProducer):
            self.body.end()
        elif self.body is not None:
            self.render(self._resource)

    def render(self, resrc: IResource) -> None:
        """Have the resource answer; it always does so itself, in its own time."""
        try:
            resrc.render(self)
        except ExchangeError as refusal:
            self._resource.turn_away(self, refusal)
        except Exception:
            self.processingFailed(Failure())

    def finish(self) -> None:
        """The answer is complete. If the body is not, what still comes of it is dropped."""
        if self.received:
            super().finish()
            return
        # ``queued`` keeps the base class from freeing the connection for the next request.
        self.queued = True
        super().finish()
        if isinstance(self.body, PipeProducer):
            self.body.abandon()
        self.channel.linger()

    def break_off(self) -> None:
        """Close the connection in mid-answer, so that the client sees that it is not whole."""
        if self.channel is not None and not self._broken_off:
            self._broken_off = True
            self.channel.persistent = False
            self.channel.loseConnection()

    def switch_protocols(self, headers: Headers, protocol: Any) -> bytes:
        """Answer with status 101 and give the connection away (see :meth:`GatewayChannel.hand_over`)."""
        self.setResponseCode(SWITCHING)
        self.startedWriting = 1
        self.channel.writeHeaders(self.clientproto, b"%d" % self.code, self.code_message, headers)
        # The connection may live for days, and with it this request.
        self.requestHeaders = self.responseHeaders = Headers()
        self.body = None
        return self.channel.hand_over(protocol)

    def answer(self, status: int, body: bytes, content_type: bytes = b"application/json") -> None:
        """Answer with a whole body."""
        self.setResponseCode(status)
        headers = self.responseHeaders
        headers.setRawHeaders(b"Content-Type", [content_type])
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        self.write(body)
        self.finish()

    def processingFailed(self, reason: Failure) -> Failure:
        """A defect of ours: the log gets the traceback, the client only a status."""
        self.site.logger.failure(
            "A defect met while serving {method} {path}",
            reason,
            request=self.request_id,
            method=self.method.decode("latin-1"),
            path=self.path.decode("latin-1"),
        )
        if self.startedWriting:
            self.break_off()
        elif not self._disconnected:
            self.body = None
            error = {
                "type": "server_error",
                "message": _INTERNAL_ERROR,
                "request_id": self.request_id,
            }
            self.answer(500, json.dumps({"error": error}).encode())
        return reason

    def is_local(self) -> bool:
        """Whether the client is on this machine: the peer is, and if that is a proxy it does not say that it
        asks for somebody elsewhere. No header can make a client local.
        """
        return self.has_local_peer() and not forwarded_from_elsewhere(self.requestHeaders)

    def has_local_peer(self) -> bool:
        """Whether the peer of the socket is this machine: the client, or a proxy in front of us."""
        peer = self.client
        host: str = getattr(peer, "host", "")
        return isinstance(peer, UNIXAddress) or host == "::1" or host.startswith(("127.", "::ffff:127."))

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return bool(self._disconnected)

    def refuse_early(self, refusal: ExchangeError) -> None:
        """Answer with an error though the body may not be in."""
        self.body = None
        # No "100 Continue" after a final answer (RFC 9110, section 10.1.1).
        self.requestHeaders.removeHeader(b"Expect")
        if self.startedWriting:
            self.break_off()
            return
        if not self.received and self.length != 0:
            self.channel.persistent = False
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        self._resource.turn_away(self, refusal)


def taken_id(values: Sequence[bytes] | None) -> str:
    """The id that a client gave its request; empty if it gave none, several, or one that is not fit to be
    repeated in headers and log lines.
    """
    if not values or len(values) != 1 or not _GOOD_ID.match(values[0]):
        return ""
    return values[0].decode("ascii")


class _NoContent:
    """Stands where the base class would keep the body in a file, and closes it."""

    @staticmethod
    def close() -> None:
        pass


class GatewaySite(Site):
    """The factory of client connections.

    :param limits: what a client may send, and how long it may take.
    :param new_id: makes an unguessable id for a prefix.
    :param logger: told of what is wrong before there is an exchange.
    :param descriptors: whether another client may be let in; ``None``: always.
    """

    requestFactory = GatewayRequest
    noisy = False

    def __init__(
        self,
        resource: IResource,
        limits: Limits,
        reactor: IReactorTime,
        new_id: Callable[[str], str],
        logger: Logger,
        descriptors: Descriptors | None = None,
    ) -> None:
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=reactor)
        self.limits = limits
        self.logger = logger
        self._new_id = new_id
        self._descriptors = descriptors
        self.protocol = GatewayChannel  # type: ignore[assignment]  # without the detour for HTTP/2
        self._date = b""
        self._date_at = -1.0

    def buildProtocol(self, addr: Any) -> Any:
        """One more client, or one too many."""
        if self._descriptors is not None and not self._descriptors.suffice():
            return Refusal()
        return super().buildProtocol(addr)

    def date(self) -> bytes:
        """The value of a ``Date`` header, made once a second."""
        now = self.reactor.seconds() // 1
        if now != self._date_at:
            self._date_at = now
            self._date = datetimeToString()
        return self._date

    def new_id(self) -> str:
        """An id for a request whose client gave it none."""
        return self._new_id("")[:_ID_LENGTH]

    def startFactory(self) -> None:
        """No access log: every exchange is told once, by its own line."""

    def stopFactory(self) -> None:
        """No access log."""

    def log(self, request: Any) -> None:
        """No access log."""
