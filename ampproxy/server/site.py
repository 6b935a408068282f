"""The service's side of HTTP: requests that find their resource by their headers, and what makes connections.

Three things are decided as soon as a request's headers are there, before its body has come: which
resource serves it, whether it is let in at all, and whether its body is gathered or passed on while
it arrives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from socket import socket
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import SWITCHING, datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, getChildForRequest

from ampproxy.config.schema import Limits
from ampproxy.errors import ExchangeError
from ampproxy.http.deadlines import Deadlines
from ampproxy.http.server_channel import HttpChannel
from ampproxy.http.server_heads import Head
from ampproxy.http.server_request import HttpRequest, answer_head
from ampproxy.lifecycle import Lifecycle
from ampproxy.routing.base_urls import joined
from ampproxy.routing.paths import PathRefused, canonical_path, is_canonical
from ampproxy.server.bodies import GatheredBody, body_too_large
from ampproxy.server.deferred_auth import AwaitingAuth
from ampproxy.server.descriptors import Descriptors, Refusal
from ampproxy.server.guard import (
    forwarded_from_elsewhere,
    is_forwarded,
    is_here,
    is_introduced,
)
from ampproxy.server.known import known_of
from ampproxy.server.running import Revocable
from ampproxy.tenants.tenant import Tenant
from ampproxy.upstream.held import Held, Share
from ampproxy.upstream.pipe import PipeProducer
from ampproxy.wire.framing import MAX_LENGTH
from ampproxy.wire.late import LatePattern

#: How long a connection may be idle while the service ends, so that few clients meet one that is just being
#: closed. Seconds.
IDLE_AT_THE_END = 5.0

#: Under which configuration an answer was made.
GENERATION_HEADER = b"X-Ampproxy-Generation"

#: Tells the client which id the log's lines about its request have.
REQUEST_ID_HEADER = b"X-Ampproxy-Request-Id"
#: Both in lower case.
_GENERATION, _REQUEST_ID = GENERATION_HEADER.lower(), REQUEST_ID_HEADER.lower()

#: An id that a client may give its request: what needs no quoting anywhere, and no more than a line of it.
_GOOD_ID = LatePattern(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}\Z")

#: So long is an id of our own: that two of a million are the same has a probability of one in 37 million.
_ID_LENGTH = 16

_REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    431: b"Request Header Fields Too Large",
    505: b"HTTP Version Not Supported",
}

_INTERNAL_ERROR = "Internal error; see the gateway's log."


class GatewayRequest(Revocable, HttpRequest):
    """One request, served as soon as its headers are there.

    :ivar body: a :class:`GatheredBody`, or a :class:`PipeProducer` for a resource that streams it;
        ``None`` once it was refused.
    :ivar path: in its canonical form (:mod:`ampproxy.routing.paths`), unless it was refused.
    :ivar path_refusal: why the path is served by nobody.
    :ivar query: the query string as it came, without the question mark.
    :ivar received: whether the whole body has come.
    :ivar pending: what waits, while nobody knows whether the request is let in.
    :ivar length: of its body, in bytes; ``None`` where the client does not say it in advance.
    :ivar share: what of the bodies that are held is its own.
    :ivar by_cloud: whether it came by the listener for Amp's cloud.
    :ivar visitor: by what right the owner's page was opened; whoever let the request in sets it.
    :ivar on_leave: called when the client leaves before its answer is out; whoever serves it sets it.
    """

    site: GatewaySite
    query: bytes = b""
    length: int | None = 0
    pending: AwaitingAuth | None = None
    body: GatheredBody | PipeProducer | None = None
    share: Share | None = None
    visitor: Any = None
    request_id: str = ""
    by_cloud: bool = False
    path_refusal: PathRefused | None = None
    on_leave: Callable[[], None] | None = None
    _tree: Any = None
    _resource: Any = None
    _broken_off = False
    _local_line = True
    #: What Twisted's does, without a call of Python's.
    __hash__ = object.__hash__

    def gotLength(self, length: int | None) -> None:
        """The headers are there: find the resource, and let the request in or refuse it."""
        channel = self.channel
        path, _, self.query = self.uri.partition(b"?")
        if is_canonical(path):
            self.path = path
        else:
            try:
                self.path = canonical_path(joined(path) if b"//" in path else path)
            except PathRefused as refusal:
                self.path, self.path_refusal = path, refusal
        theirs = self.requestHeaders.by_name.get(b"x-request-id")
        self.request_id = (theirs and taken_id(theirs)) or self.site.new_id()
        headers = self.responseHeaders.by_name
        headers[b"date"] = [self.site.date()]
        headers[_REQUEST_ID] = [self.request_id.encode("ascii")]
        if self.site.lifecycle.ending:
            channel.persistent = False
            headers[b"connection"] = [b"close"]
        self.length = length
        known = channel.known or known_of(channel)
        self._local_line = known.local_line
        try:
            waiting = self.find()
            if waiting is None:
                self.accept()
            else:
                AwaitingAuth(self, waiting).begin()
        except ExchangeError as refusal:
            self.reject_early(refusal)
        except Exception:
            self.processingFailed(Failure())

    @property
    def outdated(self) -> bool:
        """Whether another configuration has come in force since the resource was found."""
        return self._tree is not self.site.resource

    def find(self) -> Deferred[None] | None:
        """Find the resource of the path, by the configuration that is in force, and have it let the request
        in (see :meth:`~ampproxy.resources.base.GatewayResource.authorize`).
        """
        site = self.site
        self._tree = site.resource
        self.responseHeaders.by_name[_GENERATION] = [b"%d" % site.generation]
        # A tree may remember what it has found for others.
        known = getattr(site.resource, "known", None)
        self._resource = (known and known(self)) or self._found_in(site.resource)
        waiting: Deferred[None] | None = self._resource.authorize(self)
        return waiting

    def _found_in(self, tree: IResource) -> Any:
        self.prepath = []
        self.postpath = list(map(unquote_to_bytes, self.path[1:].split(b"/")))
        found = getChildForRequest(tree, self)
        return getattr(found, "itself", found)

    def accept(self) -> None:
        """Take the body, as the resource wants it.

        :raises ClientFault: it is too large.
        :raises GatewayFault: there is no room for it.
        """
        channel, length = self.channel, self.length
        if self._resource.streams_body:
            if length is not None and length > MAX_LENGTH:
                raise body_too_large(MAX_LENGTH, "")
            self.body = PipeProducer(length, pause=channel.hold_body, resume=channel.go_on_with_body)
            self.render(self._resource)
            if length != 0 and self.channel is not None:
                channel.invite(self)
            return
        limit = self.site.limits.max_body
        if length is not None and length > limit:
            raise body_too_large(limit)
        self.share = Share(self.site.held, self.site.limits.max_held)
        if length:
            self.share.check(length)
        self.body = GatheredBody(limit, self.share)
        if length != 0 and b"expect" in self.requestHeaders.by_name:
            channel.invite(self)

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
            self.reject_early(refusal)

    def draw(self, source: socket, most: int) -> int:
        """Take more of the body from the client's socket, if it only passes."""
        body = self.body
        if self.pending is not None or self.finished or not isinstance(body, PipeProducer):
            return 0
        return body.draw(source, most)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The body is whole."""
        self.received = True
        if self.pending is None:
            self.body_is_whole()

    def body_is_whole(self) -> None:
        """All of it has come: a resource that gathers it can answer."""
        if self.finished:
            return
        if isinstance(self.body, PipeProducer):
            self.body.end()
        elif self.body is not None:
            self._begin()

    def _begin(self) -> None:
        """The request begins only now: if the configuration has changed meanwhile, the new one decides."""
        try:
            waiting = self.find() if self.outdated else None
        except ExchangeError as refusal:
            self._resource.reject_unserved(self, refusal)
        except Exception:
            self.processingFailed(Failure())
        else:
            if waiting is None:
                self.render(self._resource)
            else:
                waiting.addCallbacks(self._accept_late, self._rejected_late)
                waiting.addErrback(self.processingFailed)

    def _accept_late(self, _: object) -> None:
        if not self.gone:
            self.render(self._resource)

    def _rejected_late(self, failure: Failure) -> None:
        failure.trap(ExchangeError)
        if not self.gone:
            self._resource.reject_unserved(self, cast(ExchangeError, failure.value))

    def check_again(self, tenant: Tenant) -> None:
        """See that its client may still have it, by the rights that it has now.

        :raises ClientFault: it may not.
        """
        self._resource.check_again(tenant)
        if self.recheck is not None:
            self.recheck(tenant)

    def render(self, resrc: IResource) -> None:
        """Have the resource answer; it always does so itself, in its own time."""
        try:
            resrc.render(self)
        except ExchangeError as refusal:
            self._resource.reject_unserved(self, refusal)
        except Exception:
            self.processingFailed(Failure())

    def finish(self) -> None:
        """The answer is complete. If the body is not, what still comes of it is dropped."""
        self.release()
        super().finish()

    def abandoned(self) -> None:
        """What still comes of the body is not read."""
        if isinstance(self.body, PipeProducer):
            self.body.abandon()

    def break_off(self) -> None:
        """Close the connection in mid-answer, so that the client sees that it is not whole. To a client of
        HTTP/1.0 a connection that is closed in order is the end of a whole answer.
        """
        channel = self.channel
        if channel is not None and not self._broken_off:
            self._broken_off = True
            channel.persistent = False
            if self.open_ended:
                channel.abortConnection()
            else:
                channel.loseConnection()

    def switch_protocols(self, headers: Headers, protocol: Any) -> bytes:
        """Answer with status 101 and give the connection away (see
        :meth:`~ampproxy.http.server_channel.HttpChannel.hand_over`).
        """
        self.setResponseCode(SWITCHING)
        self.startedWriting = 1
        headers.setRawHeaders(GENERATION_HEADER, [b"%d" % self.site.generation])
        self.channel.send(answer_head(self.clientproto, self.code, self.code_message, headers))
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
            "Unhandled error while serving {method} {path}",
            reason,
            request=self.request_id,
            method=self.method.decode("latin-1"),
            path=self.path.decode("latin-1"),
        )
        if self.startedWriting:
            self.break_off()
        elif not self.gone:
            self.drop_body()
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

    def is_direct(self) -> bool:
        """Whether the client is on this machine and is itself the peer of the socket, without any proxy."""
        introduced = is_introduced(self.channel.transport)
        return self.has_local_peer() and not introduced and not is_forwarded(self.requestHeaders)

    @property
    def speaks_tls(self) -> bool:
        """Whether the client speaks TLS: with us, or with a proxy on this machine, which reports it."""
        reported = self.requestHeaders.getRawHeaders(b"x-forwarded-proto") == [b"https"]
        return self.isSecure() or (self.has_local_peer() and reported)

    def has_local_peer(self) -> bool:
        """Whether the peer of the socket is this machine: the client, or a proxy in front of us."""
        return self._local_line and is_here(self.client)

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone: whoever serves it hears of that first, for else the end of its body would look
        like a fault; and its body is dropped.
        """
        self.gone = True
        on_leave, self.on_leave = self.on_leave, None
        if on_leave is not None:
            on_leave()
        super().connectionLost(reason)
        self.drop_body()

    def drop_body(self) -> None:
        """Keep nothing of what has come of the body; what still comes is dropped, too."""
        self.body = None
        self.release()
        if self.pending is not None:
            self.pending.drop()

    def holds(self, size: int) -> None:
        """Its body has become larger.

        :raises GatewayFault: there is no room for that.
        """
        if self.share is not None and size > self.share.size:
            self.share.grow(size - self.share.size)

    def release(self) -> None:
        """Nobody needs its body any more."""
        if self.share is not None:
            self.share.give_back()

    def reject_early(self, refusal: ExchangeError) -> None:
        """Answer with an error though the body may not be in."""
        self.drop_body()
        if self.startedWriting:
            self.break_off()
            return
        if not self.received and self.length != 0:
            self.channel.persistent = False
            self.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        self._resource.reject_unserved(self, refusal)


def taken_id(values: Sequence[bytes] | None) -> str:
    """The id that a client gave its request; empty if it gave none, several, or one that is not fit to be
    repeated in headers and log lines.
    """
    if not values or len(values) != 1 or not _GOOD_ID.match(values[0]):
        return ""
    return values[0].decode("ascii")


class GatewaySite(Factory):
    """The factory of client connections.

    :param limits: what a client may send, and how long it may take.
    :param new_id: makes an unguessable id for a prefix.
    :param logger: told of what is wrong before there is an exchange.
    :param descriptors: whether another client may be let in; ``None``: always.
    :param held: counts the bodies that are held; ``None``: those of this site alone.
    :ivar resource: the tree of the configuration that is in force; a request keeps the one that let it in.
    :ivar generation: the number of that configuration.
    :ivar channels: the connections that are open.
    :ivar deadlines: of all of them.
    :ivar lifecycle: says whether connections are closed after the answer that they wait for.
    """

    noisy = False

    def __init__(
        self,
        resource: IResource,
        limits: Limits,
        reactor: IReactorTime,
        new_id: Callable[[str], str],
        logger: Logger,
        descriptors: Descriptors | None = None,
        held: Held | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        self.resource = resource
        self.reactor = reactor
        self.deadlines = Deadlines(reactor)
        self.limits = limits
        self.logger = logger
        self._new_id = new_id
        self._descriptors = descriptors
        self.held = held or Held()
        self.generation = 1
        self.channels: set[HttpChannel] = set()
        self.lifecycle = lifecycle or Lifecycle()
        self._date = b""
        self._date_at = -1.0

    def buildProtocol(self, addr: Any) -> Any:
        """One more client, or one too many."""
        if self._descriptors is not None and not self._descriptors.suffice():
            return Refusal(self.generation)
        channel = HttpChannel(self)
        channel.factory = self
        return channel

    def make_request(self, channel: HttpChannel, head: Head) -> GatewayRequest:
        """A request whose head has come."""
        request = GatewayRequest(channel, head)
        request.site = self
        if channel.by_cloud:
            request.by_cloud = True
        return request

    def refusal(self, status: int, message: str) -> bytes:
        """The whole answer to what is no request."""
        body = json.dumps({"error": {"type": "invalid_request_error", "message": message}}).encode()
        headers = Headers()
        headers.setRawHeaders(b"Content-Type", [b"application/json"])
        headers.setRawHeaders(b"Content-Length", [b"%d" % len(body)])
        headers.setRawHeaders(GENERATION_HEADER, [b"%d" % self.generation])
        headers.setRawHeaders(b"Connection", [b"close"])
        return answer_head(b"HTTP/1.1", status, _REASONS.get(status, b""), headers) + body

    @property
    def idle_timeout(self) -> float:
        """Seconds for which a connection may be idle."""
        limit = self.limits.idle_timeout
        return min(limit, IDLE_AT_THE_END) if self.lifecycle.ending else limit

    def end(self) -> None:
        """Close each connection that waits for no answer soon; the others are closed after theirs."""
        for channel in tuple(self.channels):
            channel.end_soon()

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
