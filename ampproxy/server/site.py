"""The HTTP server: twisted.web's, with limits that answer, bodies that stream, and early refusals.

Three things are decided as soon as a request's headers are there, before its body has come: which
resource serves it, whether it is let in at all, and whether its body is gathered or handed on while
it arrives. twisted.web itself decides the first after the body, and spools every large body to disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, cast
from urllib.parse import unquote_to_bytes

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.protocols.haproxy._wrapper import HAProxyProtocolWrapper
from twisted.python.failure import Failure
from twisted.web.http import SWITCHING, datetimeToString
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, getChildForRequest
from twisted.web.server import Request, Site

from ampproxy.config.schema import Limits
from ampproxy.errors import ExchangeError
from ampproxy.lifecycle import Lifecycle
from ampproxy.routing.paths import PathRefused, canonical_path
from ampproxy.server.bodies import GatheredBody, body_too_large
from ampproxy.server.channel import GENERATION_HEADER, GatewayChannel
from ampproxy.server.deferred_auth import AwaitingAuth
from ampproxy.server.descriptors import Descriptors, Refusal
from ampproxy.server.guard import forwarded_from_elsewhere
from ampproxy.upstream.body import PipeProducer
from ampproxy.upstream.held import Held, Share
from ampproxy.wire.framing import MAX_LENGTH

#: How long a connection may be idle while the service ends, so that few clients meet one that is just being
#: closed. Seconds.
IDLE_AT_THE_END = 5.0

#: Tells the client which id the log's lines about its request have.
REQUEST_ID_HEADER = b"X-Ampproxy-Request-Id"

#: An id that a client may give its request: what needs no quoting anywhere, and no more than a line of it.
_GOOD_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}\Z")

#: So long is an id of our own: that two of a million are the same has a probability of one in 37 million.
_ID_LENGTH = 16

_INTERNAL_ERROR = "An internal error; the log of the gateway has more."


def is_here(peer: Any) -> bool:
    """Whether an address is one of this machine's own."""
    host: str = getattr(peer, "host", "")
    return isinstance(peer, UNIXAddress) or host == "::1" or host.startswith(("127.", "::ffff:127."))


def is_introduced_from_elsewhere(transport: Any) -> bool:
    """Whether a PROXY line (``--listen haproxy:...``) came from another machine, or names nobody: anybody can
    write one, so that only a proxy on this machine is believed that its client is here.
    """
    if not isinstance(transport, HAProxyProtocolWrapper):
        return False
    proxy = transport.transport.getPeer()  # type: ignore[union-attr]
    return not is_here(proxy) or transport.getPeer() == proxy


class GatewayRequest(Request):
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
    :ivar on_abort: ends what serves the request; whoever serves it sets it.
    """

    channel: GatewayChannel
    site: GatewaySite
    query: bytes = b""
    length: int | None = 0
    received = False
    pending: AwaitingAuth | None = None
    body: GatheredBody | PipeProducer | None = None
    share: Share | None = None
    client_key: Any = None
    request_id: str = ""
    path_refusal: PathRefused | None = None
    on_abort: Callable[[ExchangeError], None] | None = None
    _tree: Any = None
    _resource: Any = None
    _broken_off = False
    _local_line = True
    defaultContentType = None

    def parseCookies(self) -> None:
        """Cookies are none of our business: they are passed on as they are."""

    def gotLength(self, length: int | None) -> None:
        """The headers are there: find the resource, and let the request in or refuse it."""
        channel = self.channel
        self.content = _NoContent
        self.args = {}
        self.site = channel.site  # type: ignore[assignment]  # a channel asks less of it
        # The base class tells these only after the body.
        self.method, self.uri, self.clientproto = channel._command, channel._path, channel._version
        path, _, self.query = self.uri.partition(b"?")
        try:
            self.path = canonical_path(path)
        except PathRefused as refusal:
            self.path, self.path_refusal = path, refusal
        self.request_id = taken_id(self.requestHeaders.getRawHeaders(b"x-request-id")) or self.site.new_id()
        headers = self.responseHeaders
        headers.setRawHeaders(b"Date", [self.site.date()])
        headers.setRawHeaders(REQUEST_ID_HEADER, [self.request_id.encode("ascii")])
        if self.site.lifecycle.ending:
            channel.persistent = False
            headers.setRawHeaders(b"Connection", [b"close"])
        self.length = length
        self._local_line = not is_introduced_from_elsewhere(channel.transport)
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
        self.responseHeaders.setRawHeaders(GENERATION_HEADER, [b"%d" % site.generation])
        self.prepath = []
        self.postpath = list(map(unquote_to_bytes, self.path[1:].split(b"/")))
        found = getChildForRequest(site.resource, self)
        self._resource = getattr(found, "itself", found)
        waiting: Deferred[None] | None = self._resource.authorize(self)
        return waiting

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
            return
        limit = self.site.limits.max_body
        if length is not None and length > limit:
            raise body_too_large(limit)
        self.share = Share(self.site.held, self.site.limits.max_held)
        self.share.check(length or 0)
        self.body = GatheredBody(limit, self.share)

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

    def abort(self, error: ExchangeError) -> None:
        """End what serves this request; the client is told ``error``, as far as that can still be said."""
        if self.on_abort is not None:
            self.on_abort(error)

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
        headers.setRawHeaders(GENERATION_HEADER, [b"%d" % self.site.generation])
        self.channel.writeHeaders(self.clientproto, b"%d" % self.code, self.code_message, headers)
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
        elif not self._disconnected:
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

    def has_local_peer(self) -> bool:
        """Whether the peer of the socket is this machine: the client, or a proxy in front of us."""
        return self._local_line and is_here(self.client)

    @property
    def gone(self) -> bool:
        """Whether the client has left."""
        return bool(self._disconnected)

    def connectionLost(self, reason: Failure) -> None:
        """The client is gone: whoever serves it hears of that, and its body is dropped."""
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
        # No "100 Continue" after a final answer (RFC 9110, section 10.1.1).
        self.requestHeaders.removeHeader(b"Expect")
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
    :param held: counts the bodies that are held; ``None``: those of this site alone.
    :ivar resource: the tree of the configuration that is in force; a request keeps the one that let it in.
    :ivar generation: the number of that configuration.
    :ivar channels: the connections that are open.
    :ivar lifecycle: says whether connections are closed after the answer that they wait for.
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
        held: Held | None = None,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        super().__init__(resource, parsePOSTFormSubmission=False, reactor=reactor)
        self.limits = limits
        self.logger = logger
        self._new_id = new_id
        self._descriptors = descriptors
        self.held = held or Held()
        self.generation = 1
        self.channels: set[GatewayChannel] = set()
        self.lifecycle = lifecycle or Lifecycle()
        self.protocol = GatewayChannel  # type: ignore[assignment]  # without the detour for HTTP/2
        self._date = b""
        self._date_at = -1.0

    def buildProtocol(self, addr: Any) -> Any:
        """One more client, or one too many."""
        if self._descriptors is not None and not self._descriptors.suffice():
            return Refusal(self.generation)
        return super().buildProtocol(addr)

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

    def startFactory(self) -> None:
        """No access log: every exchange is told once, by its own line."""

    def stopFactory(self) -> None:
        """No access log."""

    def log(self, request: Any) -> None:
        """No access log."""
